"""keystead pg move: a cluster that runs becomes an encrypted one, or gets other keys, while clients work on it."""

import contextlib
import copy
import json
import os
import subprocess
import threading
import time

import pytest

from encrypted import BUILD, WATCHDOG, own, psycopg2

KEYSTEAD = BUILD / "keystead"
LAYER = ("LD_PRELOAD=%s" % (BUILD / "tde" / "libkeystead_tde.so"),)
MARK = "canary-that-moves"


def keystead(*args):
    command = ["runuser", "-u", "postgres", "--", KEYSTEAD, "pg", *args]
    return subprocess.run([str(word) for word in command], check=False, text=True, timeout=WATCHDOG, cwd="/",
                          stdin=subprocess.DEVNULL, capture_output=True)


def done(*args):
    result = keystead(*args)
    assert result.returncode == 0, (result.stdout, result.stderr)
    return result.stdout


def refused(*args):
    result = keystead(*args)
    assert result.returncode != 0, result.stdout
    return result.stderr


def in_the_clear(folder):
    found = subprocess.run(["grep", "-rlaF", MARK, folder], capture_output=True, text=True, check=False)
    return found.stdout.split()


class Client(threading.Thread):
    """Inserts row after row until the server is gone; told: how many were acknowledged."""

    def __init__(self, cluster):
        super().__init__()
        self.connection, self.told = cluster.connect(), 0
        self.start()

    def run(self):
        with contextlib.suppress(psycopg2.Error), self.connection.cursor() as cursor:
            while True:
                cursor.execute("INSERT INTO told VALUES (%d, '%s')" % (self.told + 1, MARK))
                self.told += 1


@pytest.fixture
def plain(make):
    cluster = make("moving", None)
    cluster.start()
    cluster.sql("CREATE TABLE heap AS SELECT n, '%s ' || n AS t FROM generate_series(1, 20000) n" % MARK,
                "CREATE TABLE told (n int, t text)", "CHECKPOINT")
    return cluster


def key_file(folder, name):
    path = folder / name
    path.write_text(os.urandom(32).hex() + "\n")
    own(path, 0o600)
    return path


def test_move(plain):
    folder = plain.folder
    new = folder / "new"
    options = ("--data", plain.data, "--to", new, "--key-file", key_file(folder, "key"), "--username", "postgres")
    folder.chmod(0o777)

    # To the standby; nobody is there to say yes, so it goes on following.
    said = json.loads(done("move", *options, "--json"))
    assert said["switched"] is False
    assert plain.sql("SELECT active FROM pg_replication_slots") == [(True,)]
    # Given up, and begun once more: what is there already is not overwritten.
    done("move", *options, "--abort")
    assert plain.sql("SELECT count(*) FROM pg_replication_slots") == [(0,)]
    assert (new / "keystead" / "keyring").exists()
    subprocess.run(["rm", "-rf", new], check=True)
    new.mkdir()
    own(new, 0o700)
    (new / "something").write_text("of another's")
    own(new / "something", 0o600)
    assert "is not empty" in refused("move", *options)
    (new / "something").unlink()
    json.loads(done("move", *options, "--json"))

    # A client works until the server is gone: all that it was told is there afterwards.
    client = Client(plain)
    while client.told < 100 and client.is_alive():
        time.sleep(0.01)
    said = json.loads(done("move", *options, "--yes", "--swap", "--json"))
    client.join(WATCHDOG)
    assert said["switched"] and said["data"] == str(plain.data)
    assert in_the_clear(folder / "data.before-keystead") and not in_the_clear(plain.data)
    assert "encryption layer is not loaded" in plain.refused()
    plain.start(env=LAYER)
    (kept, last), = plain.sql("SELECT count(*), max(n) FROM told")
    assert kept == last and kept in (client.told, client.told + 1) and kept >= 100  # one more may have had no answer
    assert plain.sql("SELECT count(*) FROM heap WHERE t LIKE '%s%%'" % MARK) == [(20000,)]
    assert plain.sql("SELECT pg_is_in_recovery(), current_setting('primary_conninfo')") == [(False, "")]
    plain.sql("CREATE TABLE later AS SELECT '%s' AS t" % MARK, "CHECKPOINT")

    # Once more, from encrypted to encrypted: other data keys.
    keys = json.loads(done("status", "--data", plain.data, "--json"))["keys"]
    again = folder / "again"
    options = ("--data", plain.data, "--to", again, "--key-file", key_file(folder, "key2"), "--username", "postgres")
    assert "pg permit --clear-backup" in refused("move", *options)
    done("permit", "--clear-backup", "--for", "1h", "--data", plain.data)
    said = json.loads(done("move", *options, "--yes", "--json"))
    assert said["switched"] and said["data"] == str(again) and said["old"] == str(plain.data)
    moved = copy.copy(plain)
    moved.data = again
    others = json.loads(done("status", "--data", again, "--json"))["keys"]
    assert not {key["identifier"] for key in keys} & {key["identifier"] for key in others}
    moved.start(env=LAYER)
    assert moved.sql("SELECT count(*) FROM heap WHERE t LIKE '%s%%'" % MARK) == [(20000,)]
    assert moved.sql("SELECT t FROM later") == [(MARK,)]
    moved.stop()
    assert not in_the_clear(again)
    assert not (again / "keystead" / "permit").exists()
    assert "Bad checksums:  0" in done("exec", "--", "pg_checksums", "--check", "-D", again)
