"""Backups of an encrypted cluster are ciphertext: over the replication protocol, by a backup program, in the archive."""

import contextlib
import copy
import hmac
import json
import re
import shutil
import struct
import subprocess
import tarfile
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from encrypted import Cluster, Keys, own

ROWS = 2000
MARK = b"CANARYBACKUP9x"
CONF = "max_wal_senders = 8\nwal_keep_size = 256MB\nwal_level = replica\narchive_mode = on\narchive_command = ''\n"


def fill(cluster, name="t", rows=ROWS):
    cluster.sql("CREATE TABLE %s AS SELECT '%s' || g AS v FROM generate_series(1, %d) g" % (name, MARK.decode(), rows),
                "CHECKPOINT")


def count(cluster, name="t"):
    return cluster.sql("SELECT count(*) FROM %s WHERE v LIKE '%s%%'" % (name, MARK.decode()))[0][0]


def marked(folder):
    """Which files show the marker."""
    done = subprocess.run(["grep", "-rlaF", MARK.decode(), folder], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def backup(cluster, to, *options, layer=False, **kwargs):
    """pg_basebackup, by an ordinary client unless layer is set."""
    client = copy.copy(cluster)
    client.data = to
    return client.command("pg_basebackup", "-h", cluster.folder, "-D", to, "-c", "fast", "--no-sync", *options,
                          layer=layer, **kwargs)


def took(*args, **kwargs):
    done = backup(*args, **kwargs)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr


def on(cluster, data):
    """A server on a copy of a cluster's files."""
    other = copy.copy(cluster)
    other.data, other.folder = data, data.parent
    with open(data / "postgresql.conf", "a", encoding="utf-8") as out:
        out.write("unix_socket_directories = '%s'\n" % other.folder)
    return other


@pytest.fixture(scope="module")
def cluster(work):
    """One encrypted cluster with data, in a tablespace too, running."""
    made = Cluster(work, "source", Keys(), CONF)
    made.start()
    space = made.folder / "space"
    space.mkdir()
    shutil.chown(space, "postgres", "postgres")
    fill(made)
    made.sql("CREATE TABLESPACE space LOCATION '%s'" % space)
    made.sql("CREATE TABLE s TABLESPACE space AS TABLE t", "CHECKPOINT")
    made.permit = made.data / "keystead" / "permit"
    yield made
    made.done()
    shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture
def place(work, request):
    """A folder of PostgreSQL's user for what a test takes, and a list of clusters that are stopped at the end."""
    folder = work / re.sub(r"\W", "", request.node.name)[-20:]
    folder.mkdir()
    shutil.chown(folder, "postgres", "postgres")
    copies = []
    yield folder, copies
    for other in copies:
        other.done()
    shutil.rmtree(folder, ignore_errors=True)


def spaces(cluster, folder):
    return ["-T", "%s=%s" % (cluster.folder / "space", folder / "space")]


def starts(cluster, folder, copies, keys=None, stop=True):
    """The copy has all rows, and no damaged page."""
    other = on(cluster, folder / "data")
    other.keys = keys or other.keys
    copies.append(other)
    other.start()
    assert count(other) == ROWS and count(other, "s") == ROWS
    if not stop:
        return other
    other.stop()
    assert "Bad checksums:  0" in other.run("pg_checksums", "--check", "-D", other.data)
    return other


def permit(keys, seconds):
    """What keystead pg permit writes."""
    misc = next(key for _, purpose, key in keys.keys if purpose == 3)
    mac_key = HKDF(hashes.SHA256(), 32, None, b"keystead tde 1 permit").derive(misc)
    body = b"KSTDEPM1" + keys.cluster + struct.pack(">q", int(time.time()) + seconds)
    return body + hmac.new(mac_key, body, "sha256").digest()


@contextlib.contextmanager
def permitted(cluster, text):
    cluster.permit.write_bytes(text)
    own(cluster.permit, 0o600)
    yield
    cluster.permit.unlink()


def test_plain_format(cluster, place):
    """An ordinary pg_basebackup has ciphertext, which its manifest speaks of, and which starts with the keys."""
    folder, copies = place
    took(cluster, folder / "data", "-X", "fetch", "--no-verify-checksums", *spaces(cluster, folder))
    assert marked(folder) == []
    cluster.run("pg_verifybackup", "-n", folder / "data", layer=False)
    assert "the encryption layer is not loaded" in on(cluster, folder / "data").refused(layer=False)
    starts(cluster, folder, copies)


def test_tar_format(cluster, place):
    """The same as a tar; and the tar of a client that has the layer is no other."""
    folder, _ = place
    for to, layer in (("tar", False), ("layer", True)):
        took(cluster, folder / to, "-Ft", "-X", "fetch", "--no-verify-checksums", layer=layer)
        assert marked(folder) == []
        with tarfile.open(folder / to / "base.tar") as tar:
            names = tar.getnames()
            assert "keystead/keyring" in names and any(re.fullmatch("pg_wal/[0-9A-F]{24}", n) for n in names)
            path = cluster.sql("SELECT pg_relation_filepath('t')")[0][0]
            assert tar.extractfile(path).read() == (cluster.data / path).read_bytes()
    done = backup(cluster, folder / "stream", "-Ft", "-z", "--no-verify-checksums", layer=True)
    assert done.returncode == 1 and "pg_wal.tar would be written in the clear" in done.stderr
    assert not (folder / "stream").exists()


def test_streamed_wal(cluster, place):
    """WAL is streamed to whoever says that it encrypts it; what pg_basebackup and pg_receivewal write is ciphertext."""
    folder, copies = place
    done = backup(cluster, folder / "no", "-X", "stream", "--no-verify-checksums", *spaces(cluster, folder))
    assert done.returncode == 1 and "this client does not say that it encrypts it" in done.stderr
    shutil.rmtree(folder / "no", ignore_errors=True)
    shutil.rmtree(folder / "space", ignore_errors=True)
    took(cluster, folder / "data", "-X", "stream", "--no-verify-checksums", *spaces(cluster, folder), layer=True)
    assert marked(folder) == []
    starts(cluster, folder, copies)


def test_standby(cluster, place):
    """A standby from an ordinary backup is streamed to, for the layer in it says that it encrypts."""
    folder, copies = place
    took(cluster, folder / "data", "-X", "fetch", "-R", "--no-verify-checksums", *spaces(cluster, folder))
    with open(folder / "data" / "postgresql.auto.conf", "a", encoding="utf-8") as out:
        out.write("primary_conninfo = 'host=%s user=postgres options=''-c statement_timeout=9s'''\n" % cluster.folder)
    other = starts(cluster, folder, copies, stop=False)
    fill(cluster, "live")
    ((lsn,),) = cluster.sql("SELECT pg_current_wal_lsn()")
    deadline = time.monotonic() + 60
    while not other.sql("SELECT pg_last_wal_replay_lsn() >= '%s'" % lsn)[0][0]:
        assert time.monotonic() < deadline, other.log()[-3000:]
        time.sleep(0.1)
    assert count(other, "live") == ROWS
    assert cluster.sql("SELECT state FROM pg_stat_replication") == [("streaming",)]
    assert marked(folder) == []
    other.stop()
    cluster.sql("DROP TABLE live")


def test_received_wal(cluster, place):
    folder, _ = place
    cluster.sql("SELECT pg_create_physical_replication_slot('receiver', true)")
    segments = []
    for i in range(2):
        fill(cluster, "streamed%d" % i)
        segments.append(cluster.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0])
        ((last,),) = cluster.sql("SELECT pg_switch_wal()")
    args = ["-h", cluster.folder, "-D", folder, "-S", "receiver", "-n", "--no-sync", "-E", last]
    done = cluster.command("pg_receivewal", *args, layer=False)
    assert done.returncode == 1 and "this client does not say that it encrypts it" in done.stderr
    done = cluster.command("pg_receivewal", *args, "-Z", "1")
    assert done.returncode == 1 and "compressed segments would be written in the clear" in done.stderr
    assert list(folder.iterdir()) == [] and marked(cluster.data) == []
    cluster.run("pg_receivewal", *args)
    assert marked(folder) == []
    received = folder / segments[0]
    assert received.read_bytes() == (cluster.data / "pg_wal" / segments[0]).read_bytes()
    assert "desc: SWITCH" in cluster.run("pg_waldump", received)
    cluster.sql("SELECT pg_drop_replication_slot('receiver')")


def test_other_commands_are_not_concerned(cluster):
    """One connection for replication that takes a backup reads the server's own files as before."""
    size = "SELECT count(*) FROM %s"
    done = subprocess.run(["runuser", "-u", "postgres", "--", "psql", "-qAt",
                           "host=%s dbname=postgres replication=database" % cluster.folder, "-c", size % "t", "-c",
                           "BASE_BACKUP (LABEL 'x', CHECKPOINT 'fast', MANIFEST 'no', WAIT false, VERIFY_CHECKSUMS false)",
                           "-c", size % "s"], capture_output=True, check=False, cwd="/")
    # psql calls several results of one command an error, and goes on.
    assert b"ERROR" not in done.stderr and len(done.stdout) > 1 << 20, done.stderr
    assert done.stdout.startswith(b"%d\n" % ROWS) and done.stdout.endswith(b"%d\n" % ROWS), done.stderr
    assert MARK not in done.stdout


def test_checksums_are_not_verified(cluster, place):
    done = backup(cluster, place[0] / "data", "-X", "fetch", *spaces(cluster, place[0]))
    assert done.returncode == 1 and "page checksums cannot be verified" in done.stderr, done.stderr
    assert "--no-verify-checksums" in done.stderr


def test_clear_needs_a_permit(cluster, place):
    """A backup in the clear is for whoever holds a permit of the keys' owner, for as long as it says, and is logged."""
    folder, copies = place
    ask = {"env": ["PGOPTIONS=-c keystead.backup=clear"]}
    changed = permit(cluster.keys, 3600)
    changed = changed[:24] + struct.pack(">q", int(time.time()) + 99999) + changed[32:]
    other = Keys()
    for text, why in ((None, "are not permitted"), (permit(cluster.keys, -1), "has ended"), (changed, "is damaged"),
                      (permit(other, 60), "is damaged"), (b"x", "is damaged")):
        with permitted(cluster, text) if text is not None else contextlib.nullcontext():
            done = backup(cluster, folder / "no", "-X", "fetch", *spaces(cluster, folder), **ask)
        assert done.returncode == 1 and why in done.stderr, done.stderr
        shutil.rmtree(folder / "no", ignore_errors=True)
        shutil.rmtree(folder / "space", ignore_errors=True)

    # Other keys cannot have the ciphertext, and with a permit encrypt what comes by their own.
    done = backup(cluster, folder / "no", "-X", "fetch", "--no-verify-checksums", layer=True, keys=other)
    assert done.returncode == 1 and "encrypted with other keys than these" in done.stderr
    before = len(cluster.log())
    with permitted(cluster, permit(cluster.keys, 3600)):
        took(cluster, folder / "data", "-X", "stream", *spaces(cluster, folder), layer=True, keys=other,
             env=["KEYSTEAD_TDE_CLEAR=1"])
        assert 'base backup in the clear for user "postgres", by the permit that ends at' in cluster.log()[before:]
        done = backup(cluster, folder / "no", "-Ft", "-X", "fetch", layer=True, keys=other, env=["KEYSTEAD_TDE_CLEAR=1"])
        assert done.returncode == 1 and "they would be so in the tar" in done.stderr
        assert marked(folder) == []
        took(cluster, folder / "tar", "-Ft", "-X", "fetch", **ask)
    assert {path.rpartition("/")[2].lstrip("0123456789") for path in marked(folder / "tar")} == {"base.tar", ".tar"}
    (folder / "data" / "keystead" / "check").unlink()  # the source's, as its keyring is
    starts(cluster, folder, copies, keys=other)

def test_pgbackrest(cluster, place):
    """Debian's backup program outside of the layer: full, incremental, archived in the background, restored to a point."""
    if shutil.which("pgbackrest") is None:
        pytest.skip("pgbackrest is not installed")
    folder, copies = place
    conf = folder / "pgbackrest.conf"
    conf.write_text("[global]\nrepo1-path=%(f)s/repo\nspool-path=%(f)s/spool\nlock-path=%(f)s/lock\nlog-path=%(f)s\n"
                    "log-level-file=off\nlog-level-console=warn\nrepo1-retention-full=2\nstart-fast=y\nprocess-max=2\n"
                    "archive-async=y\narchive-timeout=20\narchive-header-check=n\nchecksum-page=n\n"
                    "compress-type=none\n[main]\npg1-path=%(d)s\npg1-socket-path=%(s)s\n"
                    % {"f": folder, "d": cluster.data, "s": cluster.folder}, encoding="utf-8")

    def rest(*args, **options):
        done = subprocess.run(["runuser", "-u", "postgres", "--", "pgbackrest", "--config=%s" % conf, "--stanza=main",
                               *args], capture_output=True, text=True, check=False, cwd="/", timeout=100, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def archived(segment):
        deadline = time.monotonic() + 60
        while not cluster.sql("SELECT coalesce(last_archived_wal >= '%s', false) FROM pg_stat_archiver" % segment)[0][0]:
            assert time.monotonic() < deadline, cluster.log()[-3000:]
            time.sleep(0.1)

    rest("stanza-create")
    cluster.sql("ALTER SYSTEM SET archive_command = 'pgbackrest --config=%s --stanza=main archive-push %%p'" % conf,
                "SELECT pg_reload_conf()")
    rest("--type=full", "backup")
    fill(cluster, "later")
    rest("--type=incr", "backup")
    (info,) = json.loads(rest("--output=json", "info"))
    assert [b["type"] for b in info["backup"]] == ["full", "incr"] and not any(b["error"] for b in info["backup"])
    cluster.sql("CREATE TABLE known AS SELECT 1 AS n", "SELECT pg_create_restore_point('here')",
                "INSERT INTO known VALUES (2)")
    ((segment,),) = cluster.sql("SELECT pg_walfile_name(pg_switch_wal())")
    archived(segment)
    cluster.sql("ALTER SYSTEM RESET archive_command", "SELECT pg_reload_conf()")
    assert marked(folder) == []
    assert segment in {path.name[:24] for path in (folder / "repo" / "archive").rglob("*")}

    (folder / "data").mkdir(mode=0o700)
    shutil.chown(folder / "data", "postgres", "postgres")
    rest("--pg1-path=%s" % (folder / "data"), "--type=name", "--target=here", "--target-action=promote",
         "--tablespace-map-all=%s" % (folder / "spaces"), "--archive-mode=off", "restore")
    assert marked(folder) == []
    other = starts(cluster, folder, copies, stop=False)
    assert count(other, "later") == ROWS and other.sql("SELECT n FROM known") == [(1,)]
    other.stop()
    cluster.sql("DROP TABLE later, known")
