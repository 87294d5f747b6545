"""keystead pg encrypt and decrypt: a cluster that exists becomes an encrypted one, and a plain one again."""

import contextlib
import hashlib
import json
import os
import pathlib
import pty
import shutil
import subprocess

import pytest

from encrypted import BUILD, WATCHDOG, own

KEYSTEAD = BUILD / "keystead"
LAYER = BUILD / "tde" / "libkeystead_tde.so"
CANARY = "canary-of-the-plain-cluster"
SUMS = ("SELECT (SELECT sum(hashtext(t::text)) FROM heap t), (SELECT sum(hashtext(t::text)) FROM elsewhere t),"
        " (SELECT sum(hashtext(t::text)) FROM unlogged t), (SELECT md5(string_agg(lo_get(oid), '')) FROM pg_largeobject_metadata),"
        " (SELECT count(*) FROM pg_prepared_xacts), (SELECT count(*) FROM pg_stats)")
KEPT = ("keystead", "postgresql.conf", "postmaster.opts", "log")  # what is not to be the same

KILLER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void count(const char *path)
{
    static long left = -1;
    const char *on = getenv("KILL_ON");
    if (left < 0)
        left = atol(getenv("KILL_AT"));
    if (--left == 0 || (on && strstr(path, on)))
        kill(getpid(), SIGKILL);
}
#define HOOK(type, name, params, args, path) \
    type name params { type (*real) params = (type (*) params)dlsym(RTLD_NEXT, #name); count(path); return real args; }
HOOK(int, fsync, (int fd), (fd), "")
HOOK(int, rename, (const char *a, const char *b), (a, b), b)
HOOK(int, renameat, (int x, const char *a, int y, const char *b), (x, a, y, b), b)
HOOK(int, unlink, (const char *a), (a), a)
HOOK(int, unlinkat, (int x, const char *a, int flags), (x, a, flags), a)
HOOK(int, ftruncate, (int fd, off_t n), (fd, n), "")
"""


def keystead(*args, env=(), **how):
    command = ["runuser", "-u", "postgres", "--", "env", *env, KEYSTEAD, "pg", *args]
    how = {"capture_output": True, **how}
    return subprocess.run([str(word) for word in command], check=False, text=True, timeout=WATCHDOG, cwd="/",
                          stdin=subprocess.DEVNULL, **how)


def done(*args, **how):
    result = keystead(*args, **how)
    assert result.returncode == 0, (result.stdout, result.stderr)
    return result.stdout


def refused(*args):
    """One line that says why."""
    result = keystead(*args)
    assert result.returncode != 0 and len(result.stderr.splitlines()) == 1, (result.stdout, result.stderr)
    return result.stderr


@pytest.fixture
def plain(make, request):
    """A plain cluster with something of everything in it, and the options that encrypt it."""
    cluster = make(request.node.name[5:15], None)
    space = cluster.folder / "space"
    space.mkdir()
    own(space, 0o700)
    cluster.start()
    cluster.sql("CREATE TABLESPACE elsewhere LOCATION '%s'" % space)
    cluster.sql("CREATE TABLE heap AS SELECT n, '%s ' || n AS t FROM generate_series(1, 20000) n" % CANARY,
                "CREATE INDEX ON heap (t)",
                "CREATE TABLE elsewhere TABLESPACE elsewhere AS SELECT n, '%s ' || n AS t FROM generate_series(1, 3000) n"
                % CANARY,
                "CREATE UNLOGGED TABLE unlogged AS SELECT n, '%s ' || n AS t FROM generate_series(1, 100) n" % CANARY,
                "SELECT lo_from_bytea(0, convert_to(repeat('%s ', 1000), 'UTF8'))" % CANARY, "VACUUM ANALYZE")
    prepare(cluster, "before")
    cluster.sql("CHECKPOINT")
    cluster.sums = cluster.sql(SUMS)
    cluster.stop()
    holes = cluster.data / "base" / "1" / "999999"
    with open(holes, "wb") as file:
        file.truncate(16 << 20)
    own(holes, 0o600)
    cluster.space = space
    key = cluster.folder / "key"
    key.write_text(os.urandom(32).hex() + "\n")
    own(key, 0o600)
    cluster.options = ("--data", cluster.data, "--key-file", key)
    return cluster


def prepare(cluster, name):
    connection = cluster.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO heap VALUES (0, '%s %s')" % (CANARY, name))
        cursor.execute("PREPARE TRANSACTION '%s'" % name)
    connection.close()


def files(cluster):
    found = []
    for top in (cluster.data, cluster.space):
        for path in top.rglob("*"):
            rel = path.relative_to(top)
            if path.is_file() and rel.parts[0] not in KEPT and ".conf.tmp." not in path.name and path.name not in ("pg_internal.init", "postmaster.pid"):
                found.append(path)
    return found


def contents(cluster):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files(cluster)}


def status(cluster):
    found = {path: path.stat() for path in files(cluster)}
    return {path: (st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns, st.st_size) for path, st in found.items()}


def readable(cluster):
    """The files that the canary can be read in."""
    return [path for path in files(cluster) if CANARY.encode() in path.read_bytes()]


def temporary(cluster):
    return [path for top in (cluster.data, cluster.space) for path in top.rglob("*.keystead-tmp")]


def test_there_and_back(plain):
    before, held = contents(plain), status(plain)
    assert len(readable(plain)) > 4
    ours, theirs = pty.openpty()
    done("encrypt", *plain.options, stderr=theirs, stdout=subprocess.PIPE, capture_output=False)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal says that nobody writes to it any more
        while True:
            shown += os.read(ours, 65536)
    os.close(ours)
    assert b"100%" in shown

    assert readable(plain) == [] and temporary(plain) == []
    after = contents(plain)
    assert after.keys() == before.keys() and status(plain) == held
    changed = {path.relative_to(plain.data).parts[0] for path in after
               if after[path] != before[path] and path.is_relative_to(plain.data)}
    assert changed >= {"base", "global", "pg_wal", "pg_xact", "pg_twophase"}
    assert all(after[path] != before[path] for path in after if path.is_relative_to(plain.space) and path.stat().st_size
               and path.name != "PG_VERSION")
    holes = plain.data / "base" / "1" / "999999"
    assert holes.stat().st_blocks < 64 and after[holes] == before[holes]
    assert "is an encrypted cluster already" in refused("encrypt", *plain.options)
    assert "encryption layer is not loaded" in plain.refused()

    layer = ("LD_PRELOAD=%s" % LAYER,)
    assert "Bad checksums:  0" in done("exec", "--", "pg_checksums", "--check", "-D", plain.data)
    plain.start(env=layer)
    assert plain.sql(SUMS) == plain.sums
    assert "stop the server first" in refused("decrypt", "--data", plain.data)
    plain.sql("COMMIT PREPARED 'before'")
    assert plain.sql("SELECT t FROM heap WHERE n = 0") == [(CANARY + " before",)]
    prepare(plain, "under the layer")
    plain.sql("INSERT INTO heap SELECT n, '%s again' FROM generate_series(1, 1000) n" % CANARY, "CHECKPOINT", "ANALYZE")
    sums = plain.sql(SUMS)
    plain.stop()
    assert readable(plain) == []

    said = json.loads(done("decrypt", "--data", plain.data, "--json"))
    assert said["converted"] > 500 and said["converted_before"] == 0 and said["resumed"] is False
    assert not (plain.data / "keystead" / "keyring").exists() and not (plain.data / "keystead" / "check").exists()
    assert len(list((plain.data / "keystead").glob("keyring.*"))) == 1
    assert "keystead" not in (plain.data / "postgresql.conf").read_text().lower().replace(str(plain.data).lower(), "")
    assert len(readable(plain)) > 4
    assert "Bad checksums:  0" in plain.run("pg_checksums", "--check", "-D", plain.data)
    plain.start()
    assert plain.sql(SUMS) == sums
    plain.sql("COMMIT PREPARED 'under the layer'")
    plain.stop()


def killed_until_done(cluster, killer, halfway, ends, *command):
    """Runs it again and again, each time killed at the n-th call that changes something, and then at the calls that end
    the work, by the file they are for. The finished files at each kill, and the report of the last run."""
    journal, held = cluster.data / "keystead" / "converting", []
    for at in [*range(1, 14), 40, 90, 200, 201, 203, 500, 777, *ends]:
        at = ("KILL_AT=%d" % at,) if isinstance(at, int) else ("KILL_AT=0", "KILL_ON=%s" % at)
        result = keystead(*command, "--json", env=("LD_PRELOAD=%s" % killer, *at))
        assert result.returncode in (137, -9), (at, result.stdout, result.stderr)
        held.append(journal.read_bytes().count(b"\n") if journal.exists() else 0)
        if at == ("KILL_AT=200",):
            halfway(journal)
    return held, json.loads(done(*command, "--json"))


@pytest.fixture
def killer(work):
    path = work / "killer.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-w", "-o", path, "-x", "c", "-", "-ldl"], input=KILLER, text=True, check=True)
    path.chmod(0o755)
    return path


def test_killed_at_any_moment(plain, killer):
    before, held = contents(plain), status(plain)
    layer = ("LD_PRELOAD=%s" % LAYER,)

    def halfway(journal):
        """Nothing starts, with the layer or without; nor is a copy gone on with."""
        assert "is not finished" in plain.refused()
        assert "is not finished" in plain.refused(env=layer)
        other = plain.folder / "copy"
        shutil.copytree(plain.data, other, symlinks=True)
        subprocess.run(["chown", "-R", "postgres:", other], check=True)
        (other / "postmaster.pid").unlink(missing_ok=True)
        direction, back = journal.read_text().split()[3], ["decrypt", "encrypt"]
        back.remove(direction)
        assert "another copy" in refused(direction, "--data", other)
        assert "is not finished" in refused(back[0], "--data", plain.data)
        shutil.rmtree(other)

    kills, said = killed_until_done(plain, killer, halfway, ("keystead/check", "/converting"), "encrypt", *plain.options)
    assert len(set(kills)) > 5 and said["resumed"] and said["converted_before"] > 800
    assert readable(plain) == [] and temporary(plain) == []
    assert status(plain) == held
    plain.start(env=layer)
    assert plain.sql(SUMS) == plain.sums
    plain.stop()

    held = status(plain)
    kills, said = killed_until_done(plain, killer, halfway, ("keystead/check", "keystead/keyring", "postgresql.conf", "/converting"),
                                    "decrypt", "--data", plain.data)
    assert len(set(kills)) > 5 and said["resumed"]
    assert temporary(plain) == [] and status(plain) == held
    # What no server wrote since is what it was, to the byte.
    assert sum(before.get(path) == now for path, now in contents(plain).items()) > 800
    assert "Bad checksums:  0" in plain.run("pg_checksums", "--check", "-D", plain.data)
    plain.start()
    assert plain.sql(SUMS) == plain.sums
    plain.stop()


def test_rotation(plain, killer):
    """New data keys, with kills at any moment: nothing of what was on the disk is there, and all that was in it."""
    layer = ("LD_PRELOAD=%s" % LAYER,)
    done("encrypt", *plain.options)
    plain.start(env=layer)
    plain.sql("INSERT INTO heap SELECT n, '%s again' FROM generate_series(1, 1000) n" % CANARY, "CHECKPOINT")
    sums = plain.sql(SUMS)
    plain.stop()
    before, held = contents(plain), status(plain)
    keyring = (plain.data / "keystead" / "keyring").read_bytes()

    def halfway(_):
        assert "is not finished" in plain.refused(env=layer)
        assert "keystead pg rotate --data-keys was begun" in refused("decrypt", "--data", plain.data)

    kills, said = killed_until_done(plain, killer, halfway, ("keystead/check", "/converting"),
                                    "rotate", "--data-keys", "--data", plain.data)
    assert len(set(kills)) > 5 and said["resumed"] and said["converted_before"] > 500
    assert status(plain) == held and temporary(plain) == [] and readable(plain) == []
    after = contents(plain)
    written = [path for path in before if path.stat().st_size and path.stat().st_blocks >= 16]
    same = [path for path in written if after[path] == before[path]]
    assert len(written) > 100 and {path.name for path in same} <= {"pg_control", "pg_hba.conf"}, same
    keys = json.loads(done("status", "--data", plain.data, "--json"))["keys"]
    assert sorted((key["generation"], key["state"]) for key in keys) == [(1, "decrypt only")] * 3 + [(2, "active")] * 3
    # The keyring of before does not open the cluster of now.
    now = (plain.data / "keystead" / "keyring").read_bytes()
    (plain.data / "keystead" / "keyring").write_bytes(keyring)
    assert "are not those of the cluster" in plain.refused(env=layer)
    (plain.data / "keystead" / "keyring").write_bytes(now)
    plain.start(env=layer)
    assert plain.sql(SUMS) == sums
    plain.sql("COMMIT PREPARED 'before'")
    plain.stop()
    done("decrypt", "--data", plain.data)
    plain.start()
    assert plain.sql("SELECT count(*) FROM heap WHERE t LIKE '%%%s%%'" % CANARY)[0][0] == 21001
    plain.stop()


def test_what_is_refused(plain):
    plain.start()
    before = (plain.data / "postgresql.conf").read_bytes()
    assert "stop the server first" in refused("encrypt", *plain.options)
    plain.kill()
    assert "was not shut down in order" in refused("encrypt", *plain.options)
    assert (plain.data / "postmaster.pid").exists()
    plain.start()
    plain.stop()
    assert "keystead/keyring" in refused("decrypt", "--data", plain.data)
    relation = next(path for path in sorted((plain.data / "base" / "1").iterdir()) if path.stat().st_size > 8192)
    second = plain.folder / "second"
    os.link(relation, second)
    assert "has 2 names" in refused("encrypt", *plain.options)
    second.unlink()
    assert "where is the key encryption key" in refused("encrypt", "--data", plain.data)
    (plain.data / "conf.d").mkdir()
    (plain.data / "conf.d" / "later.conf").write_text("shared_preload_libraries = 'pg_stat_statements'\n")
    own(plain.data / "conf.d", 0o755)
    with open(plain.data / "postgresql.auto.conf", "a", encoding="utf-8") as out:
        out.write("include '%s'\n" % (plain.data / "conf.d" / "later.conf"))
    assert "sets shared_preload_libraries again" in refused("encrypt", *plain.options)
    assert (plain.data / "postgresql.conf").read_bytes() == before
    assert not (plain.data / "keystead" / "keyring").exists() and not (plain.data / "keystead" / "converting").exists()
    (plain.data / "postgresql.auto.conf").write_text("shared_preload_libraries = 'pg_stat_statements'\n")
    garbage = plain.data / "base" / "1" / "888888"
    garbage.write_bytes(os.urandom(3 * 8192))
    own(garbage, 0o600)
    assert "has no pages of PostgreSQL's in it" in refused("encrypt", *plain.options)
    assert "is not finished" in plain.refused()
    garbage.unlink()
    assert json.loads(done("encrypt", *plain.options, "--json"))["resumed"]
    assert "keystead_guard" in pathlib.Path(plain.data / "postgresql.auto.conf").read_text()
    plain.start(env=("LD_PRELOAD=%s" % LAYER,))
    assert plain.sql("SHOW shared_preload_libraries")[0][0].endswith(",pg_stat_statements")
    plain.stop()
    check = plain.data / "keystead" / "check"
    check.write_bytes(check.read_bytes()[:8] + bytes(len(check.read_bytes()) - 8))
    assert "nothing was touched" in refused("decrypt", "--data", plain.data)
