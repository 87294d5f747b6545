"""The kill switch: a key encryption key that is suspended, revoked or out of reach while the server runs.

A real Keystead is the KMS. The lease is two seconds, so that the server learns of everything within one.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

from test_keyring import BIN, EXIT, KEYSTEAD, LAYER, as_user, client, kek, own, pg, refused, status, work  # noqa: F401

psycopg2 = pytest.importorskip("psycopg2", reason="python3-psycopg2 is not installed")

pytestmark = [
    pytest.mark.skipif(not LAYER.exists(), reason="the encryption layer is not built"),
    pytest.mark.skipif(not (BIN / "initdb").exists(), reason="PostgreSQL's programs are not in %s" % BIN),
]
LEASE = 2
copies = iter(range(100))
PATIENCE = 60  # seconds after which something hangs


def until(what, why="it"):
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, why() if callable(why) else why
        time.sleep(0.05)
    return found


class Server:
    """An encrypted cluster that is started by LD_PRELOAD alone, its key encryption key at the instance."""

    def __init__(self, folder, client):
        self.folder, self.data = folder, folder / "data"
        pg("init", "--data", self.data, "--config", client, "--create-key", "--wait", "1s", "--when-unreachable", "other-slot",
           "--", "-A", "trust",
           "--no-sync", "-k", "--locale=C")
        self.settings("unix_socket_directories = '%s'" % folder, "listen_addresses = ''", "fsync = off",
                      "autovacuum = off", "max_connections = 20", "shared_buffers = 8MB", "keystead.lease = %d" % LEASE)

    def settings(self, *lines):
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as out:
            out.write("".join(line + "\n" for line in lines))

    def control(self, *args):
        return as_user(["env", "LD_PRELOAD=%s" % LAYER, BIN / "pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w",
                        *args])

    def start(self):
        done = self.control("start")
        assert done.returncode == 0, done.stdout + self.log()

    def reload(self, *lines):
        self.settings(*lines)
        assert self.control("reload").returncode == 0

    def log(self):
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def connect(self, user="postgres"):
        connection = psycopg2.connect(host=str(self.folder), dbname="postgres", user=user)
        connection.autocommit = True
        return connection

    def sql(self, *statements, user="postgres"):
        with contextlib.closing(self.connect(user)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def state(self):
        return self.sql("SHOW keystead.key_state")[0][0]

    def wait_for(self, state):
        return until(lambda: re.match(state, self.state()), lambda: self.state() + "\n" + self.log())

    def runs(self):
        return (self.data / "postmaster.pid").exists()


@pytest.fixture(scope="module")
def server(instance, client, work):  # noqa: F811
    folder = work / "lease"
    folder.mkdir()
    made = Server(folder, client if own(folder, 0o700) else None)
    made.start()
    made.sql("CREATE ROLE app LOGIN", "CREATE TABLE t (n int)", "GRANT ALL ON t TO app", "CREATE SEQUENCE s")
    yield made
    if made.runs():
        made.control("-m", "immediate", "stop")


@pytest.fixture(scope="module")
def deputy(instance, tmp_path_factory):
    """The other administrator: to resume a key takes two."""
    folder = tmp_path_factory.mktemp("deputy") / "deputy"
    token = instance.run("client", "token", "create", "deputy", "--role", "admin").stdout.strip()
    instance.run("client", "enroll", token, "--server", "127.0.0.1:%d" % instance.port, "--out", folder)
    return ["--config", folder / "client.conf"]


def resume(instance, deputy, uid):
    assert "Agreed" in instance.run("resume", uid).stdout
    assert "Resumed" in instance.run("resume", uid, *deputy).stdout


@contextlib.contextmanager
def suspended(instance, server):
    """KMIP's way: nothing is decrypted before the Process Start Date. Once it has come it is fixed: so another key
    first, which the worker has to follow."""
    pg("rotate", "--kek", "--data", server.data)
    uid = kek(instance, server.data)[0]
    server.wait_for("active; .*")
    instance.run("key", "attribute", "add", uid, "process-start-date=2099-01-01T00:00:00Z")
    try:
        yield uid
    finally:
        instance.run("key", "attribute", "modify", uid,
                     "process-start-date=" + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def fails(connection, statement, *words):
    with connection.cursor() as cursor, pytest.raises(psycopg2.Error) as caught:
        cursor.execute(statement)
    for word in words:
        assert word in str(caught.value), caught.value


# The question

def test_the_helper(instance, data, client, work):  # noqa: F811
    """keystead pg lease: one line, and the status says which of three it is."""
    pg("migrate", "--data", data, "--key-file", work / "asked.key", "--create-key", "--yes")
    assert pg("lease", "--data", data).stdout.startswith("internal 0 ")
    pg("migrate", "--data", data, "--config", client, "--create-key", "--keep")
    uid = status(data, "--offline")["slots"][1]["key_identifier"]
    assert re.match(r"active 3600 the key encryption key \S+ at the KMS", pg("lease", "--data", data).stdout)
    assert json.loads(pg("lease", "--data", data, "--json").stdout)["state"] == "active"
    instance.run("key", "attribute", "add", uid, "process-start-date=2099-01-01T00:00:00Z")
    assert ": suspended: " in refused("denied", "lease", "--data", data)
    done = pg("exec", "--data", data, "--", "/usr/bin/env", check=False)
    assert done.returncode == EXIT["denied"] and "is Suspended at the KMS" in done.stderr and "FD=" not in done.stdout
    assert status(data)["slots"][1]["key_state"] == "Suspended"
    instance.run("key", "revoke", uid, "--yes")
    assert ": deactivated: " in refused("denied", "lease", "--data", data)
    instance.run("key", "destroy", uid, "--yes")
    assert ": destroyed: " in refused("denied", "lease", "--data", data)
    pg("migrate", "make-primary", "2", "--data", data)
    pg("rotate", "--kek", "--slot", "2", "--data", data, "--config", client, "--create-key")
    instance.stop()
    try:
        assert ": unreachable: " in refused("connect", "lease", "--data", data, "--timeout", "1s")
    finally:
        instance.start()
    assert pg("lease", "--data", data).stdout.startswith("active ")


@pytest.fixture
def data(server, work):  # noqa: F811
    """The server's keyring, to do with what one likes."""
    path = work / ("copy-%d" % next(copies))
    for folder in (path, path / "keystead"):
        folder.mkdir()
        own(folder, 0o700)
    own(pathlib.Path(shutil.copy(server.data / "keystead" / "keyring", path / "keystead")))
    return path


def test_other_slots(instance, data, client, work):  # noqa: F811
    """--when-unreachable other-slot: for a KMS that does not answer, and for nothing else."""
    start = ("exec", "--data", data, "--", "/usr/bin/env")
    key = work / "break-glass.key"
    pg("migrate", "add-wrap", "--data", data, "--key-file", key, "--create-key")
    pg("rotate", "--kek", "--data", data)
    assert status(data, "--offline")["when_unreachable"] == "other-slot"
    instance.stop()
    try:
        done = pg(*start)
        assert "KEYSTEAD_TDE_FD=" in done.stdout
        assert "by the keyring's policy another slot is used" in done.stderr
        # An internal slot lets it start. It is no lease: the worker says that the KMS is not there.
        assert ": unreachable: " in refused("connect", "lease", "--data", data, "--timeout", "1s")
        key.rename(work / "hidden")
        done = pg(*start, check=False)
        assert done.returncode == EXIT["connect"] and "no other slot opened the keyring either" in done.stderr
        (work / "hidden").rename(key)
    finally:
        instance.start()
    # Two slots at KMSs: the one that answers counts, at a start and for the lease.
    pg("migrate", "add-wrap", "--data", data, "--config", client, "--kmip", "127.0.0.1:%d" % instance.port, "--create-key")
    live = status(data, "--offline")["slots"][2]
    pg("migrate", "add-wrap", "--data", data, "--config", client, "--create-key", "--key", "dead-%s" % live["slot"])
    gone = status(data, "--offline")["slots"][3]
    pg("migrate", "make-primary", gone["slot"], "--data", data)
    instance.run("key", "revoke", gone["key_identifier"], "--yes")
    done = pg(*start, check=False)  # a KMS that answers is obeyed, whatever else would open it
    assert done.returncode == EXIT["denied"] and "is Deactivated at the KMS" in done.stderr
    assert ": deactivated: " in refused("denied", "lease", "--data", data)


# The policies

def test_active(server):
    server.wait_for(r"active; in force: warn; last contact: \S+ .*; lease until: \S+ .*; the key encryption key .* is active")
    with contextlib.closing(server.connect("app")) as connection:
        fails(connection, "SHOW keystead.key_state", "keystead.key_state")
        fails(connection, "SET keystead.on_key_withdrawn = 'warn'", "cannot be changed now")
    assert "T" in status(server.data)["last_contact"]


def test_warn(instance, server):
    server.reload("keystead.on_key_withdrawn = 'warn'")
    with suspended(instance, server):
        server.wait_for("withdrawn; in force: warn; .* is Suspended")
        server.sql("INSERT INTO t VALUES (1)", user="app")
    server.wait_for("active")
    assert "the key of this cluster is withdrawn" in server.log()


def test_suspended_and_resumed_again_and_again(instance, server, deputy):
    """The same key, as often as it takes: Keystead's own suspension lies over the state, which stays Active."""
    server.reload("keystead.on_key_withdrawn = 'read-only'")
    uid = kek(instance, server.data)[0]
    for mode in ("all", "protect"):
        instance.run("suspend", uid, "--mode", mode, "--reason", "laptop stolen")
        server.wait_for("withdrawn; in force: read-only; .* is Suspended")
        with contextlib.closing(server.connect()) as connection:
            fails(connection, "INSERT INTO t VALUES (7)", "read-only transaction")
        assert status(server.data)["slots"][0]["key_state"] == "Suspended"
        assert ": suspended: " in refused("denied", "lease", "--data", server.data)
        resume(instance, deputy, uid)
        server.wait_for("active")
        server.sql("INSERT INTO t VALUES (7)", "DELETE FROM t WHERE n = 7")
    assert kek(instance, server.data)[0] == uid
    server.reload("keystead.on_key_withdrawn = 'warn'")


def test_a_start_waits_for_the_key(instance, data, client, deputy, work):  # noqa: F811
    pg("migrate", "--data", data, "--config", client, "--create-key", "--yes")
    uid = status(data, "--offline")["slots"][0]["key_identifier"]
    for _ in range(2):
        instance.run("suspend", uid, "--reason", "laptop stolen")
        done = pg("exec", "--data", data, "--", "/usr/bin/env", check=False)
        assert done.returncode == EXIT["denied"] and "is Suspended at the KMS" in done.stderr
        resume(instance, deputy, uid)
        pg("exec", "--data", data, "--", "/usr/bin/env")


def test_read_only(instance, server):
    server.reload("keystead.on_key_withdrawn = 'read-only'")
    with contextlib.closing(server.connect("app")) as other, contextlib.closing(server.connect()) as connection:
        other.autocommit = False
        other.cursor().execute("INSERT INTO t VALUES (100)")
        with suspended(instance, server):
            server.wait_for("withdrawn; in force: read-only")
            fails(other, "INSERT INTO t VALUES (101)", "read-only transaction", "The key of this cluster is withdrawn")
            other.rollback()
            for statement in ("INSERT INTO t VALUES (2)", "CREATE TABLE u ()", "COPY t FROM STDIN",
                              "WITH w AS (DELETE FROM t RETURNING n) SELECT * FROM w", "TRUNCATE t",
                              "DO $$BEGIN INSERT INTO t VALUES (3); END$$", "DO $$BEGIN UPDATE t SET n = n; END$$"):
                fails(connection, statement, "read-only transaction", "The key of this cluster is withdrawn")
            fails(connection, "SELECT nextval('s')", "read-only transaction")
            for how in ("SET TRANSACTION READ WRITE", "SET transaction_read_only = off"):
                with contextlib.suppress(psycopg2.Error), connection.cursor() as cursor:
                    cursor.execute("BEGIN READ WRITE")
                    cursor.execute(how)
                with connection.cursor() as cursor:
                    cursor.execute("ROLLBACK; BEGIN")
                fails(connection, "INSERT INTO t VALUES (4)", "read-only transaction")
                connection.cursor().execute("ROLLBACK")
            fails(connection, "SELECT lo_from_bytea(0, 'x')", "this transaction has written, and is rolled back")
            assert server.sql("SELECT count(*), (SELECT count(*) FROM pg_largeobject) FROM t") == [(1, 0)]
        server.wait_for("active; in force: warn")
        connection.cursor().execute("INSERT INTO t VALUES (2)")
        other.cursor().execute("INSERT INTO t VALUES (100)")
        with suspended(instance, server):  # between what was written and its commit
            server.wait_for("withdrawn; in force: read-only")
            with pytest.raises(psycopg2.Error, match="this transaction has written"):
                other.commit()
    server.wait_for("active")
    assert server.sql("SELECT n FROM t ORDER BY n") == [(1,), (2,)]


def test_refuse_sessions(instance, server):
    """The default."""
    server.reload("keystead.on_key_withdrawn = 'refuse-sessions'")
    assert server.sql("SELECT boot_val FROM pg_settings WHERE name = 'keystead.on_key_withdrawn'") == [("refuse-sessions",)]
    with contextlib.closing(server.connect("app")) as before, suspended(instance, server):
        server.wait_for("withdrawn; in force: refuse-sessions")
        with pytest.raises(psycopg2.OperationalError, match="the key of this cluster is withdrawn: new sessions are refused"):
            server.connect("app")
        before.cursor().execute("INSERT INTO t VALUES (3)")  # who is in goes on
    server.wait_for("active")
    assert server.sql("SELECT count(*) FROM t", user="app") == [(3,)]


def test_no_kms(instance, server):
    """No answer is no withdrawal: first there is a time of grace."""
    server.reload("keystead.on_kms_unreachable = 'read-only'", "keystead.on_key_withdrawn = 'stop'")
    server.wait_for("active")
    instance.stop()
    try:
        server.wait_for("unreachable; in force: warn")
        server.sql("INSERT INTO t VALUES (4)")
        assert re.search(r"the lease of this cluster's key cannot be renewed.*\n.*DETAIL:  From .* on: read-only", server.log())
        server.reload("keystead.kms_grace = 0")
        server.wait_for("unreachable; in force: read-only")
        with contextlib.closing(server.connect()) as connection:
            fails(connection, "INSERT INTO t VALUES (5)", "read-only transaction")
    finally:
        instance.start()
    server.wait_for("active; in force: warn")
    server.sql("INSERT INTO t VALUES (5)")
    server.reload("keystead.kms_grace = '3d'")


def worker(server):
    """The process that keeps the lease."""
    postmaster = (server.data / "postmaster.pid").read_text(encoding="ascii").split()[0]
    for pid in pathlib.Path("/proc/%s/task/%s/children" % (postmaster, postmaster)).read_text(encoding="ascii").split():
        with contextlib.suppress(OSError):
            if b"keystead lease" in pathlib.Path("/proc/%s/cmdline" % pid).read_bytes():
                return int(pid)
    return None


def test_what_was_withdrawn_stays_so(instance, server):
    """Cutting the cable gives nothing back."""
    server.reload("keystead.on_key_withdrawn = 'read-only'", "keystead.on_kms_unreachable = 'warn'")
    with suspended(instance, server):
        server.wait_for("withdrawn; in force: read-only")
        instance.stop()
        try:
            server.wait_for("unreachable; in force: read-only")
        finally:
            instance.start()
        server.wait_for("withdrawn; in force: read-only")
    server.wait_for("active; in force: warn")


def test_the_worker_cannot_be_ended(server):
    """Whoever ends it gets another one."""
    old = worker(server)
    os.kill(old, signal.SIGTERM)
    until(lambda: worker(server) not in (None, old), server.log)
    server.wait_for("active")


# Under load

def bench(server, *args):
    return ["env", "PGHOST=%s" % server.folder, "PGUSER=postgres", BIN / "pgbench", *args, "postgres"]


def test_stop_under_load(instance, server):
    """Every commit that was acknowledged is there, no page is damaged; and there is no start before the key is back."""
    done = as_user(bench(server, "-i", "-q", "-s", "1"))
    assert done.returncode == 0, done.stderr
    server.reload("keystead.on_key_withdrawn = 'stop'")
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    load = subprocess.Popen([*user, *map(str, bench(server, "-n", "-c", "3", "-T", str(PATIENCE)))], text=True, cwd="/",
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: server.sql("SELECT count(*) FROM pgbench_history")[0][0] > 50, server.log)
    with suspended(instance, server) as uid:
        printed, errors = load.communicate(timeout=2 * PATIENCE)
        assert load.returncode != 0 and "terminating connection due to administrator command" in errors
        until(lambda: not server.runs(), server.log)
        assert "the server is stopped: its key is not to be used any more" in server.log()
        assert "database system is shut down" in server.log()  # with its checkpoint
        before = len(server.log())
        assert server.control("start").returncode != 0
        said = server.log()[before:]
        assert "is Suspended at the KMS" in said and uid in said and "nothing was touched" in said
        assert "shut down" in as_user([BIN / "pg_controldata", server.data]).stdout.split("state:")[1].splitlines()[0]
    done = pg("exec", "--", "pg_checksums", "--check", "-D", server.data)
    assert "Bad checksums:  0" in done.stdout
    server.start()
    server.wait_for("active")
    acknowledged = int(re.search(r"number of transactions actually processed: (\d+)", printed).group(1))
    sums = server.sql("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM pgbench_branches),"
                      " (SELECT sum(tbalance) FROM pgbench_tellers), sum(delta), count(*) FROM pgbench_history")[0]
    assert len(set(sums[:4])) == 1
    assert acknowledged > 50 and acknowledged <= sums[4] <= acknowledged + 3  # three may have had no answer
