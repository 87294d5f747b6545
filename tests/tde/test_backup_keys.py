"""Backups and the key that they need: restore-check, and what the KMS knows of them. A real Keystead is the KMS."""

import json
import re
import shutil

import pytest

from test_keyring import EXIT, KEYSTEAD, as_user, client, kek, own, pg, pytestmark, refused, status, work  # noqa: F401
from test_lease import BIN, Server, until

MARK = "archived by keystead"


@pytest.fixture(scope="module")
def server(instance, client, work):  # noqa: F811
    folder = work / "keys"
    for path in (folder, folder / "archive", folder / "backups"):
        path.mkdir()
        own(path, 0o700)
    made = Server(folder, client)
    made.archive, made.backups = folder / "archive", folder / "backups"
    made.settings("archive_mode = on", "archive_command = '%s pg archive %%p %s'" % (KEYSTEAD, made.archive))
    made.start()
    made.sql("CREATE TABLE t AS SELECT g AS n, repeat('x', 200) AS v FROM generate_series(1, 2000) g", "CHECKPOINT")
    yield made
    if made.runs():
        made.control("-m", "immediate", "stop")


def backup(server, name, *options):
    to = server.backups / name
    done = as_user([BIN / "pg_basebackup", "-h", server.folder, "-U", "postgres", "-D", to, "-c", "fast", "-X", "fetch",
                    "--no-verify-checksums", "--no-sync", *options])
    assert done.returncode == 0, done.stderr
    return to


@pytest.fixture(scope="module")
def taken(server):
    return backup(server, "monday")


def check(to, *args):
    return json.loads(pg("restore-check", to, "--json", *args).stdout)


def copied(taken, name, *parts):
    """A copy of some of the backup, the user's own."""
    copy = taken.parent / name
    copy.mkdir()
    for part in parts:
        if (taken / part).is_dir():
            shutil.copytree(taken / part, copy / part)
        else:
            shutil.copy(taken / part, copy / part)
    for path in [copy, *copy.rglob("*")]:
        own(path, 0o700 if path.is_dir() else 0o600)
    return copy


# restore-check

def test_folder_and_tar(server, taken):
    for to, kind in ((taken, "folder"), (backup(server, "tar", "-Ft"), "tar")):
        said = check(to)
        assert said["restorable"] is True and said["kind"] == kind and said["keyring_authentic"] is True
        assert said["pages"] > 10 and said["pages_good"] == said["pages"]
        assert said["wal_segments"] >= 1 and said["wal_segments_good"] == said["wal_segments"]
        assert [(s["provider"], s["key_state"], s["opens"]) for s in said["slots"]] == [("kmip", "Active", True)]
    assert check(server.backups / "tar" / "base.tar")["restorable"] is True
    assert "This backup can be decrypted." in pg("restore-check", taken).stdout


def test_not_its_keys(server, taken):
    """Files that are not encrypted with the keyring's keys, a damaged keyring, and what is no backup."""
    copy = copied(taken, "changed", "PG_VERSION", "base/1", "global", "keystead", "pg_wal")

    def with_changed(paths, part=slice(0, 64)):
        before = {path: path.read_bytes() for path in paths}
        for path, data in before.items():
            changed = bytearray(data)
            changed[part] = bytes(b ^ 0x5a for b in data[part])
            path.write_bytes(changed)
        said = refused("integrity", "restore-check", copy)
        for path, data in before.items():
            path.write_bytes(data)
        return said

    assert "not encrypted with its keys, or damaged: first in base/" in with_changed(
        [p for p in (copy / "base").glob("*/[0-9]*") if p.stat().st_size])
    assert "first in pg_wal/" in with_changed([p for p in (copy / "pg_wal").iterdir() if len(p.name) == 24])
    assert check(copy)["restorable"] is True
    ring = copy / "keystead" / "keyring"
    assert "no wrap of its keyring opens" in with_changed([ring], slice(-1, None))
    ring.unlink()
    assert "it is not the backup of an encrypted cluster" in refused("not found", "restore-check", copy)
    assert "is no backup that this command can look into" in refused("not found", "restore-check", server.archive)


def test_commands_of_a_backup_are_not_run(taken, work):  # noqa: F811
    ring = copied(taken, "command", "PG_VERSION", "global", "keystead")
    mark = work / "was-run"
    secret = work / "command.key"
    secret.write_text("ab" * 32 + "\n")
    own(secret)
    pg("migrate", "--data", ring, "--key-command", "touch %s; cat %s" % (mark, secret), "--yes")
    mark.unlink()
    assert "it runs a command, which was not done" in refused("denied", "restore-check", ring)
    assert not mark.exists()
    assert check(ring, "--run-commands")["restorable"] is True and mark.exists()


def test_a_key_that_is_gone(instance, server, taken):
    """After a rotation the backup needs the old key: revoked, its backup cannot be restored, which is said."""
    old = kek(instance, server.data)[0]
    pg("rotate", "--kek", "--data", server.data)
    assert check(taken)["slots"][0]["key_identifier"] == old
    copy = backup(server, "tuesday")
    assert check(copy)["restorable"] is True and check(copy)["slots"][0]["key_identifier"] != old
    instance.run("key", "revoke", old, "--yes")
    done = pg("restore-check", taken, "--json", check=False)
    assert done.returncode == EXIT["denied"] and "is Deactivated at the KMS" in done.stderr
    said = json.loads(done.stdout)
    assert said["restorable"] is False and said["slots"][0]["key_state"] == "Deactivated"
    assert check(copy)["restorable"] is True


def test_pgbackrest_repository(server):
    """The newest set, an incremental one, whose keyring is in the full one; and the full one."""
    if shutil.which("pgbackrest") is None:
        pytest.skip("pgbackrest is not installed")
    folder = server.folder / "rest"
    folder.mkdir()
    own(folder, 0o700)
    conf = folder / "pgbackrest.conf"
    conf.write_text("[global]\nrepo1-path=%(f)s/repo\nspool-path=%(f)s/spool\nlock-path=%(f)s/lock\nlog-path=%(f)s\n"
                    "log-level-file=off\nlog-level-console=warn\nrepo1-retention-full=2\nstart-fast=y\nprocess-max=2\n"
                    "archive-timeout=20\narchive-header-check=n\nchecksum-page=n\ncompress-type=none\n[main]\n"
                    "pg1-path=%(d)s\npg1-socket-path=%(s)s\npg1-user=postgres\n"
                    % {"f": folder, "d": server.data, "s": server.folder}, encoding="utf-8")
    own(conf)
    rest = ["pgbackrest", "--config=%s" % conf, "--stanza=main"]
    before = server.sql("SHOW archive_command")[0][0]
    server.reload("archive_command = '%s archive-push %%p'" % " ".join(rest))
    for args in (["stanza-create"], ["--type=full", "backup"], ["--type=incr", "backup"]):
        done = as_user([*rest, *args])
        assert done.returncode == 0, done.stdout + done.stderr
    server.reload("archive_command = '%s'" % before)
    sets = sorted(p.name for p in (folder / "repo" / "backup" / "main").iterdir() if p.name[:2] == "20")
    assert len(sets) == 2
    assert not (folder / "repo" / "backup" / "main" / sets[1] / "pg_data" / "keystead" / "keyring").exists()
    for args, where in (((), sets[1]), (("--set", sets[0]), sets[0])):
        said = check(folder / "repo", *args)
        assert said["kind"] == "pgbackrest" and said["backup"].endswith("/" + where)
        assert said["restorable"] is True and said["pages_good"] == said["pages"] > 0
        assert said["wal_segments_good"] == said["wal_segments"] >= 1
    said = json.loads(pg("register-backup", folder / "repo", "--json").stdout)
    assert re.search(r"base backup %s of cluster \S+, WAL from 0/\w+ to 0/\w+" % sets[1], said["needs"])
    pg("register-backup", folder / "repo", "--expire")


# What depends on a key

def test_a_needed_key_is_not_destroyed(instance, server):
    to = backup(server, "wednesday")
    uid = kek(instance, server.data)[0]
    said = json.loads(pg("register-backup", to, "--json").stdout)
    assert re.search(r"base backup wednesday of cluster \S+, WAL from 0/\w+ to 0/\w+, at .*/wednesday, registered 2",
                     said["needs"])
    pg("register-backup", to)  # once more is no second one
    shown = status(server.data)
    (slot,) = shown["slots"]
    mine = [d for d in slot["needed_by"] if d["dependant"] == said["dependant"]]
    assert len(mine) == 1 and mine[0]["needs"].startswith("base backup wednesday of cluster")

    pg("rotate", "--kek", "--data", server.data)
    instance.run("key", "revoke", uid, "--yes")
    done = instance.run("key", "destroy", uid, "--yes", check=False)
    assert done.returncode != 0 and "is needed, by 2. Let them expire" in done.stderr, done.stderr
    assert "Needed by: " in done.stderr
    assert "Expired at 1 KMS" in pg("register-backup", to, "--expire").stdout
    refused("not found", "register-backup", to, "--expire")


def test_the_archive_registers_itself(instance, server):
    uid = kek(instance, server.data)[0]
    server.sql("INSERT INTO t SELECT 1, '%s'" % MARK)
    ((segment,),) = server.sql("SELECT pg_walfile_name(pg_switch_wal())")
    until(lambda: (server.archive / segment).exists(), server.log)
    own(server.archive / segment)
    assert MARK.encode() not in (server.archive / segment).read_bytes()
    until(lambda: any("WAL of cluster" in d["needs"] for d in status(server.data)["slots"][0]["needed_by"]), server.log)
    done = instance.run("key", "destroy", uid, "--yes", check=False)
    assert done.returncode != 0

    # The same again is no error, another one of that name is.
    source = server.backups / segment
    shutil.copy(server.archive / segment, source)
    own(source)
    pg("archive", source, server.archive, "--data", server.data)
    source.write_bytes(b"another")
    own(source)
    assert "is another segment" in refused("exists", "archive", source, server.archive, "--data", server.data)
    assert "24 hexadecimal digits" in refused("invalid", "register-backup", "--wal", "x", "--data", server.data)
    pg("register-backup", "--wal", segment, "--expire", "--data", server.data)


def test_the_archive_does_not_wait_for_the_kms(instance, server):
    (server.data / "keystead" / "archived").unlink()
    segment = server.backups / ("0" * 24)
    segment.write_bytes(b"a segment")
    own(segment)
    instance.stop()
    try:
        done = pg("archive", segment, server.archive, "--data", server.data)
        assert "the KMS is not told" in done.stderr and (server.archive / segment.name).exists()
        assert not (server.data / "keystead" / "archived").exists()
    finally:
        instance.start()
