"""pg_upgrade and pg_rewind between two data directories, each encrypted with keys of its own."""

import contextlib
import json
import os
import shutil
import subprocess

import pytest

from encrypted import BUILD, WATCHDOG, Cluster, own, pg_config

KEYSTEAD = BUILD / "keystead"
LAYER = ("LD_PRELOAD=%s" % (BUILD / "tde" / "libkeystead_tde.so"),)
MARK = "canary-that-is-upgraded"
BIN = pg_config("--bindir")
SUMS = ("SELECT (SELECT sum(hashtext(h::text)) FROM heap h), (SELECT md5(string_agg(long, '' ORDER BY n)) FROM toasted),"
        " (SELECT md5(string_agg(lo_get(oid), '' ORDER BY oid)) FROM pg_largeobject_metadata),"
        " (SELECT nextval('counter') > 0), (SELECT count(*) FROM unlogged)")
CONF = ("listen_addresses = ''\nunix_socket_directories = '%s'\nfsync = off\nshared_buffers = 4MB\nautovacuum = off\n"
        "max_connections = 30\nmax_wal_size = 64MB\nwal_log_hints = on\nwal_keep_size = 64MB\n")


def keystead(*args, cwd="/", env=()):
    command = ["runuser", "-u", "postgres", "--", "env", *env, KEYSTEAD, "pg", *args]
    return subprocess.run([str(word) for word in command], check=False, text=True, timeout=WATCHDOG, cwd=cwd,
                          stdin=subprocess.DEVNULL, capture_output=True)


def done(*args, **how):
    result = keystead(*args, **how)
    assert result.returncode == 0, (result.stdout, result.stderr)
    return result.stdout


def refused(*args, **how):
    result = keystead(*args, **how)
    assert result.returncode != 0, result.stdout
    return result.stdout + result.stderr


def in_the_clear(folder):
    found = subprocess.run(["grep", "-rlaF", MARK, folder], capture_output=True, text=True, check=False)
    return found.stdout.split()


class Kept(Cluster):
    """A cluster whose keys are in a keyring; plain without. like: one that is copied."""

    def __init__(self, work, name, encrypted=True, like=None):
        super().__init__(work, name, None, initdb=() if not encrypted and like is None else None,
                         conf=CONF % (work / name))
        self.folder.chmod(0o777)
        if like is not None:
            subprocess.run(["cp", "-a", like.data, self.data], check=True)
        elif encrypted:
            key = self.folder / "key"
            key.write_text(os.urandom(32).hex() + "\n")
            own(key, 0o600)
            done("init", "--data", self.data, "--key-file", key, "--", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
                 "--no-sync", "-k")
        if encrypted or like is not None:
            self.append(CONF % self.folder)

    def start(self, **kwargs):
        super().start(env=LAYER, **kwargs)


@pytest.fixture(scope="module")
def clusters(work):
    """clusters(name, ...): stopped and removed at the end."""
    made = []

    def new(*args, **kwargs):
        made.append(Kept(work, *args, **kwargs))
        return made[-1]

    yield new
    for cluster in made:
        cluster.done()
        shutil.rmtree(cluster.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def old(clusters):
    """Something of everything, stopped."""
    cluster = clusters("old")
    cluster.start()
    cluster.sql("CREATE DATABASE other")
    for database in ("postgres", "other"):
        cluster.sql("CREATE TABLE heap AS SELECT n, '%s ' || n AS t FROM generate_series(1, 20000) n" % MARK,
                    "CREATE INDEX ON heap (t)",
                    "CREATE TABLE toasted AS SELECT n, (SELECT string_agg(md5((n * m)::text), '%s') FROM generate_series(1, 300) m)"
                    " AS long FROM generate_series(1, 50) n" % MARK,
                    "SELECT lo_from_bytea(0, convert_to(repeat('%s ', 1000), 'UTF8'))" % MARK,
                    "CREATE SEQUENCE counter START 77", "SELECT nextval('counter')",
                    "CREATE UNLOGGED TABLE unlogged AS SELECT 1 AS n",
                    "UPDATE heap SET t = t || '.' WHERE n % 7 = 0", "VACUUM (FREEZE, ANALYZE) toasted", database=database)
    with contextlib.closing(cluster.connect()) as a, contextlib.closing(cluster.connect()) as b:
        for connection in (a, b):  # two who share locks on rows
            connection.autocommit = False
            connection.cursor().execute("SELECT * FROM heap WHERE n < 100 FOR KEY SHARE")
    cluster.sql("CHECKPOINT")
    cluster.sums = [cluster.sql(SUMS, database=d) for d in ("postgres", "other")]
    cluster.stop()
    cluster.content = content(cluster.data)
    return cluster


def content(data):
    """Of all files."""
    done_ = subprocess.run("find . -type f | sort | xargs sha256sum", shell=True, cwd=data, check=True, text=True,
                           capture_output=True)
    return dict(reversed(line.split(None, 1)) for line in done_.stdout.splitlines())


def upgrade(old_one, new_one, *args):
    return ("exec", "--", "pg_upgrade", "-b", BIN, "-B", BIN, "-d", old_one.data, "-D", new_one.data, *args)


def is_right(new, sums):
    """The data, by all that can tell; what is on the disk."""
    new.start()
    assert [new.sql(SUMS, database=d) for d in ("postgres", "other")] == sums
    assert new.sql("SELECT nextval('counter') > 77") == [(True,)]
    new.sql("CREATE TABLE later AS SELECT '%s' AS t" % MARK)
    done_ = new.command("vacuumdb", "-h", new.folder, "--all", "--analyze-only", layer=False)
    assert done_.returncode == 0, done_.stderr
    done_ = new.command("pg_amcheck", "-h", new.folder, "--all", "--install-missing", "--heapallindexed", layer=False)
    assert done_.returncode == 0, (done_.stdout, done_.stderr)
    new.sql("CHECKPOINT")
    new.stop()
    assert "Bad checksums:  0" in done("exec", "--", "pg_checksums", "--check", "-D", new.data)
    assert not in_the_clear(new.data)
    done("check", "--data", new.data)


def test_upgrade(clusters, old):
    new = clusters("new")
    keys = json.loads(done("status", "--data", new.data, "--json"))["keys"]
    for option in ("--clone", "-rk"):
        assert "leave it out" in refused(*upgrade(old, new, option), cwd=new.folder)
    assert "Clusters are compatible" in done(*upgrade(old, new, "--check"), cwd=new.folder)
    assert "Upgrade Complete" in done(*upgrade(old, new, "-j", "2"), cwd=new.folder)
    assert json.loads(done("status", "--data", new.data, "--json"))["keys"] == keys
    is_right(new, old.sums)
    # The old one: what the server touches when it starts is all that is not as it was, and it starts.
    after = content(old.data)
    assert not [n for n in old.content if n.startswith("./keystead/") and after[n] != old.content[n]]
    assert {n for n in old.content if not n.endswith("pg_internal.init")} <= set(after)
    old.start()
    assert [old.sql(SUMS, database=d) for d in ("postgres", "other")] == old.sums
    old.stop()


def test_upgrade_from_plain(clusters):
    """A plain cluster becomes an encrypted one on the way; the other way round it does not."""
    plain, new = clusters("plain", encrypted=False), clusters("fromplain")
    plain.start()
    plain.sql("CREATE TABLE heap AS SELECT n, '%s ' || n AS t FROM generate_series(1, 1000) n" % MARK, "CHECKPOINT")
    plain.stop()
    assert in_the_clear(plain.data)
    assert "leave it out" in refused(*upgrade(plain, new, "--link"), cwd=new.folder)
    back = ("runuser", "-u", "postgres", "--", "env", *LAYER, BIN + "/pg_upgrade", "-b", BIN, "-B", BIN, "-d", new.data,
            "--new-data=%s" % plain.data)
    said = subprocess.run(back, check=False, text=True, capture_output=True, cwd=new.folder, timeout=WATCHDOG)
    assert said.returncode != 0 and "is encrypted, and the one in" in said.stderr
    assert "Upgrade Complete" in done(*upgrade(plain, new), cwd=new.folder)
    new.start()
    assert new.sql("SELECT count(*) FROM heap WHERE t LIKE '%s%%'" % MARK) == [(1000,)]
    new.sql("CHECKPOINT")
    new.stop()
    assert "Bad checksums:  0" in done("exec", "--", "pg_checksums", "--check", "-D", new.data)
    assert not in_the_clear(new.data)


def test_rewind(clusters, old):
    """A primary that went on after its standby was promoted becomes as that is now, under its own keys."""
    primary, standby = clusters("primary", like=old), clusters("standby", like=old)
    done("rotate", "--data-keys", "--data", standby.data)
    (standby.data / "standby.signal").write_text("")
    own(standby.data / "standby.signal", 0o600)
    standby.start()
    standby.run("pg_ctl", "-D", standby.data, "-w", "promote", layer=False)
    primary.start()
    for cluster, what in ((primary, "lost"), (standby, "kept")):
        cluster.sql("CREATE TABLE %s AS SELECT n, '%s ' || n AS t FROM generate_series(1, 3000) n" % (what, MARK),
                    "UPDATE heap SET t = '%s %s' WHERE n %% 3 = 0" % (what, MARK), "DELETE FROM toasted WHERE n < 9",
                    "CHECKPOINT")
    sums = standby.sql(SUMS)
    for cluster in (primary, standby):
        cluster.stop()
    ours = {path.name: path.read_bytes() for path in (primary.data / "keystead").iterdir()}
    theirs = content(standby.data)
    assert (standby.data / "keystead" / "keyring").read_bytes() != ours["keyring"]
    (primary.data / "keystead" / "keyring.prev").write_bytes(b"not in the other one")
    ours["keyring.prev"] = b"not in the other one"
    rewind = ("exec", "--", "pg_rewind", "--target-pgdata", primary.data, "--source-pgd=%s" % standby.data)
    done(*rewind)
    assert {path.name: path.read_bytes() for path in (primary.data / "keystead").iterdir()} == ours
    assert content(standby.data) == theirs
    (primary.data / "keystead" / "keyring.prev").unlink()
    primary.append(CONF % primary.folder)  # that came from the other one
    primary.start()
    assert primary.sql(SUMS) == sums
    assert primary.sql("SELECT count(*), to_regclass('lost') FROM kept WHERE t LIKE '%s%%'" % MARK) == [(3000, None)]
    done_ = primary.command("pg_amcheck", "-h", primary.folder, "postgres", "--install-missing", "--heapallindexed", layer=False)
    assert done_.returncode == 0, (done_.stdout, done_.stderr)
    primary.sql("CHECKPOINT")
    primary.stop()
    assert "Bad checksums:  0" in done("exec", "--", "pg_checksums", "--check", "-D", primary.data)
    assert not in_the_clear(primary.data)
