"""An encrypted cluster of Patroni's, with the configuration of docs/patroni.md: two nodes and a witness on the loopback
address.
"""

import contextlib
import json
import os
import pathlib
import pwd
import re
import signal
import subprocess
import textwrap
import threading
import time
import urllib.request

import pytest

from instance import free_port
from test_keyring import BIN, KEYSTEAD, LAYER, SOURCE, as_user, client, own, pg, status, work  # noqa: F401

psycopg2 = pytest.importorskip("psycopg2", reason="python3-psycopg2 is not installed")
yaml = pytest.importorskip("yaml", reason="patroni (python3-yaml) is not installed")

PATRONI = {name: pathlib.Path("/usr/bin", name) for name in ("patroni", "patronictl", "patroni_raft_controller")}

pytestmark = [
    pytest.mark.skipif(not LAYER.exists(), reason="the encryption layer is not built"),
    pytest.mark.skipif(not (BIN / "initdb").exists(), reason="PostgreSQL's programs are not in %s" % BIN),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: to run PostgreSQL as the user postgres"),
    pytest.mark.skipif(not all(path.exists() for path in PATRONI.values()), reason="patroni is not installed"),
]
PATIENCE = 100  # seconds after which something hangs
# Changes to the page's: Patroni's intervals and no syncing, to take less time, and what logical decoding needs.
FASTER = {"ttl: 30": "ttl: 6", "loop_wait: 10": "loop_wait: 1", "retry_timeout: 10": "retry_timeout: 2",
          "wal_keep_size: 1GB": "wal_keep_size: 1GB\n        fsync: 'off'\n        wal_level: logical",
          "-- --data-checksums": "-- --no-sync --data-checksums", "--wal-method=fetch": "--no-sync --wal-method=fetch"}
MARK = b"CANARY-in-a-row"


def until(what, why="it"):
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, why() if callable(why) else why
        time.sleep(0.1)
    return found


def example():
    """The configuration in docs/patroni.md."""
    page = (SOURCE / "docs" / "patroni.md").read_text(encoding="utf-8")
    return textwrap.dedent(re.search(r"^    scope: .*?(?=^\S|\Z)", page, re.M | re.S).group())


def substituted(text, changes):
    for old, new in changes.items():
        assert old in text, "docs/patroni.md has no %s" % old
        text = text.replace(old, str(new))
    return text


class Node:
    """One of the three members: its ports, its folder, its Patroni."""

    def __init__(self, folder, number):
        self.folder, self.name = folder / ("node%d" % number), "node%d" % number
        self.sql_port, self.rest_port, self.raft_port = free_port(), free_port(), free_port()
        self.data, self.conf = self.folder / "data", self.folder / "patroni.yml"
        self.process = None
        self.folder.mkdir()
        own(self.folder, 0o700)

    def configure(self, text, others, work):
        guard = re.search(r"shared_preload_libraries: (\S+)", text).group(1)
        raft = ["127.0.0.1:%d" % other.raft_port for other in others]
        text = substituted(text, {
            "name: node1": "name: " + self.name,
            "10.0.0.11:8008": "127.0.0.1:%d" % self.rest_port,
            "10.0.0.11:5432": "127.0.0.1:%d" % self.sql_port,
            "10.0.0.11:2222": "127.0.0.1:%d" % self.raft_port,
            "10.0.0.12:2222, 10.0.0.13:2222": ", ".join(raft),
            "10.0.0.0/24": "127.0.0.1/32",
            "/var/lib/postgresql/15/main": self.data,
            "/var/lib/patroni": self.folder,
            "/var/run/postgresql": self.folder,
            "/usr/lib/postgresql/15/bin": BIN,
            "/etc/keystead/client.conf": work / "client.conf",
            "/etc/postgresql/server": work / "server",
            "keystead pg init": "%s pg init" % KEYSTEAD,
            " %s" % guard: " %s" % (LAYER.parent / "guard" / ("keystead_guard-pg%s.so" % BIN.parent.name)),
            **FASTER})
        self.conf.write_text(text, encoding="utf-8")
        own(self.conf)

    def start(self, program="patroni"):
        user = pwd.getpwnam("postgres")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "KEYSTEAD_", "PATRONI_"))}
        with open(self.folder / "patroni.log", "ab") as log:
            self.process = subprocess.Popen(
                [PATRONI[program], self.conf], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                start_new_session=True, user=user.pw_uid, group=user.pw_gid, extra_groups=[],
                env={**env, "HOME": str(self.folder), "LD_PRELOAD": str(LAYER)})

    def log(self):
        return (self.folder / "patroni.log").read_text(encoding="utf-8", errors="replace")

    def copies(self):
        return self.log().count("replica has been created using keystead")

    def connect(self, **kwargs):
        return psycopg2.connect(host="127.0.0.1", port=self.sql_port, user="postgres", password="change-me-1",
                                dbname="postgres", sslmode="require", connect_timeout=10, **kwargs)

    def sql(self, statement, *args):
        with contextlib.closing(self.connect()) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, args or None)
                return cursor.fetchall() if cursor.description else None

    def rest(self, path, change=None):
        """What the node's Patroni says; None: nothing."""
        request = urllib.request.Request("http://127.0.0.1:%d/%s" % (self.rest_port, path))
        if change is not None:
            request.method, request.data = "PATCH", json.dumps(change).encode()
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def slots(self):
        """Those of logical decoding, while the node can be asked."""
        with contextlib.suppress(psycopg2.Error):
            return self.sql("SELECT slot_name, plugin, confirmed_flush_lsn FROM pg_replication_slots WHERE plugin <> ''")

    def postmaster(self):
        return int((self.data / "postmaster.pid").read_text(encoding="ascii").split()[0])

    def lock_out_standbys(self):
        """While no Patroni is there, which would write pg_hba.conf anew."""
        path, loaded = self.data / "pg_hba.conf", self.sql("SELECT pg_conf_load_time()")
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if "replicator" not in line), encoding="utf-8")
        self.sql("SELECT pg_reload_conf()")
        until(lambda: self.sql("SELECT pg_conf_load_time()") != loaded, "the server did not read its configuration")
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_replication"
        until(lambda: self.sql(ended) == [(0,)], "the standby is there still")

    def kill_patroni(self):
        self.process.kill()
        self.process.wait()

    def kill_postgres(self):
        """The postmaster and its children at once."""
        pid = self.postmaster()
        children = pathlib.Path("/proc/%d/task/%d/children" % (pid, pid)).read_text(encoding="ascii").split()
        for one in [pid, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        until(lambda: not processes(self.data), "processes that were killed are there still")


def processes(folder):
    """Those that are in the folder, or were told of it. One that is dead and not waited for has neither."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in line or os.readlink(entry / "cwd").startswith(str(folder)):
                found.append((int(entry.name), line))
    return found


class Reaper(threading.Thread):
    """Waits for the postmasters. Patroni leaves them to init, in whose place this process is (encrypted.py)."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.1):
            for task in pathlib.Path("/proc/self/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    for pid in map(int, task.read_text(encoding="ascii").split()):
                        if pathlib.Path("/proc/%d/comm" % pid).read_text(encoding="ascii") == "postgres\n":
                            os.waitpid(pid, os.WNOHANG)


class Group:
    """Two nodes with data and one that only votes."""

    def __init__(self, work):
        self.work = work
        self.nodes = [Node(work, 1), Node(work, 2)]
        self.witness = Node(work, 3)
        members = [*self.nodes, self.witness]
        for node in members:
            node.configure(example(), [other for other in members if other is not node], work)

    def start(self):
        self.witness.start("patroni_raft_controller")
        for node in self.nodes:
            node.start()

    def members(self):
        for node in self.nodes:
            said = node.rest("cluster")
            if said:
                return {member["name"]: member for member in said["members"]}
        return {}

    def roles(self):
        """The leader and the replica, once the one leads and the other streams synchronously; None until then."""
        members = self.members()
        alive = [member for member in members.values() if member["state"] in ("running", "streaming")]
        by_role = {member["role"]: member["name"] for member in alive}
        if set(by_role) != {"leader", "sync_standby"}:
            return None
        lines = {member.get("timeline") for member in members.values()}
        if len(lines) != 1 or None in lines:
            return None
        return tuple(next(n for n in self.nodes if n.name == by_role[role]) for role in ("leader", "sync_standby"))

    def why(self):
        logs = ["%s:\n%s" % (node.name, node.log()[-4000:]) for node in [*self.nodes, self.witness]]
        return "\n".join([*logs, str(self.members())])

    def settled(self):
        return until(self.roles, self.why)

    def ctl(self, *args):
        done = as_user(["patronictl", "-c", self.witness.conf, *args])
        assert done.returncode == 0, done.stdout + done.stderr + self.why()
        return done.stdout

    def stop(self):
        """The witness last, so that those that go have somebody to agree with. What is left of processes after that."""
        for members in (self.nodes, [self.witness]):
            alive = [node.process for node in members if node.process and node.process.poll() is None]
            for process in alive:
                process.terminate()
            for process in alive:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE)
        left = processes(self.work)
        for pid, _ in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for node in [*self.nodes, self.witness]:
            if node.process:
                node.process.wait()
        return left


class Load(threading.Thread):
    """Commits one row after the other at whichever node leads, and remembers those that were acknowledged."""

    def __init__(self, group):
        super().__init__(daemon=True)
        self.ports = ",".join(str(node.sql_port) for node in group.nodes)
        self.number, self.acknowledged = 0, []
        self.ended = threading.Event()

    def run(self):
        while not self.ended.is_set():
            with contextlib.suppress(psycopg2.Error):
                with contextlib.closing(psycopg2.connect(
                        host="127.0.0.1,127.0.0.1", port=self.ports, user="postgres", password="change-me-1",
                        dbname="postgres", target_session_attrs="read-write", connect_timeout=5)) as connection:
                    connection.autocommit = True
                    self.insert(connection.cursor())
            self.ended.wait(0.1)

    def insert(self, cursor):
        while not self.ended.is_set():
            self.number += 1
            cursor.execute("INSERT INTO t VALUES (%s, replace('CANARY in a row', ' ', '-'))", (self.number,))
            self.acknowledged.append(self.number)
            self.ended.wait(0.005)

    def more(self, n=20):
        """Waits until some more commits were acknowledged."""
        before = len(self.acknowledged)
        until(lambda: len(self.acknowledged) >= before + n, "nothing commits")


@pytest.fixture(scope="module")
def group(work, client):  # noqa: F811
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=node", "-days", "2", "-keyout", work / "server.key", "-out", work / "server.crt"],
                   check=True, capture_output=True)
    own(work / "server.key")
    own(work / "server.crt")
    reaper = Reaper()
    reaper.start()
    made = Group(work)
    yield made
    made.stop()
    reaper.ended.set()
    reaper.join()




@pytest.fixture
def load(group):
    """Commits all the time; at the end those that were acknowledged are on both nodes."""
    made = Load(group)
    made.start()
    yield made
    made.ended.set()
    made.join(PATIENCE)
    assert not made.is_alive()


def everything_is_there(group, load):
    """What was acknowledged is there, on both nodes."""
    load.ended.set()
    load.join(PATIENCE)
    leader, replica = group.settled()
    rows = {n for n, in leader.sql("SELECT n FROM t WHERE v = %s", MARK.decode())}
    assert load.acknowledged and set(load.acknowledged) <= rows
    end = leader.sql("SELECT pg_current_wal_lsn()")[0][0]
    until(lambda: replica.sql("SELECT pg_last_wal_replay_lsn() >= %s", end)[0][0], group.why)
    assert {n for n, in replica.sql("SELECT n FROM t")} == {n for n, in leader.sql("SELECT n FROM t")}


def test_a_new_cluster(group):
    group.start()
    leader, replica = group.settled()
    leader.sql("CREATE TABLE t (n bigint, v text)")
    first, second = (status(node.data, "--offline") for node in (leader, replica))
    assert first["cluster"] == second["cluster"] and first["slots"][0]["provider"] == "kmip"


def test_a_switchover(group, load):
    leader, replica = group.settled()
    load.more()
    group.ctl("switchover", "main", "--master", leader.name, "--candidate", replica.name, "--force")
    assert until(lambda: group.roles() == (replica, leader), group.why)
    load.more()
    everything_is_there(group, load)


def test_a_leader_dies(group, load, instance):
    """Patroni and all of PostgreSQL by kill -9. The old leader has a commit that nobody else has: it must be rewound. Its
    keys come from the KMS, which those who run do not need."""
    leader, replica = group.settled()
    load.more()
    instance.stop()
    leader.kill_patroni()
    leader.lock_out_standbys()
    leader.sql("SET synchronous_commit = local; INSERT INTO t VALUES (-1, 'lost')")
    leader.kill_postgres()
    until(lambda: (replica.rest("patroni") or {}).get("role") in ("master", "primary"), group.why)
    load.more()
    instance.start()
    leader.start()
    assert until(lambda: group.roles() == (replica, leader), group.why)
    assert "pg_rewind exit code=0" in leader.log(), group.why()
    everything_is_there(group, load)
    assert leader.sql("SELECT count(*) FROM t WHERE n < 0")[0][0] == 0


def test_settings_and_a_replica_made_anew(group, load):
    """A reload, a restart of the leader, and another copy of it by the replica. The replica has the leader's slot of
    logical decoding both before and after that: Patroni carries the file of the slot."""
    leader, replica = group.settled()
    load.more()
    assert leader.rest("config", {
        "postgresql": {"parameters": {"work_mem": "1234kB", "max_connections": 120}},
        "slots": {"carried": {"type": "logical", "database": "postgres", "plugin": "test_decoding"}}})
    until(lambda: (leader.rest("patroni") or {}).get("pending_restart"), group.why)
    until(lambda: leader.slots() and replica.slots() == leader.slots(), group.why)
    text = leader.conf.read_text(encoding="utf-8")
    text = substituted(text, {"    ssl: 'on'": "    ssl: 'on'\n    random_page_cost: 1.5"})
    leader.conf.write_text(text, encoding="utf-8")
    group.ctl("reload", "main", leader.name, "--force")
    until(lambda: leader.sql("SHOW random_page_cost") == [("1.5",)], group.why)
    copies = replica.copies()
    group.ctl("restart", "main", leader.name, "--force")
    group.ctl("reinit", "main", replica.name, "--force")
    until(lambda: replica.copies() == copies + 1 and replica.slots(), group.why)
    assert until(lambda: group.roles() == (leader, replica), group.why)
    load.more()
    everything_is_there(group, load)
    for node in (leader, replica):
        assert node.sql("SHOW max_connections") == [("120",)] and node.sql("SHOW work_mem") == [("1234kB",)]
    assert replica.slots() == leader.slots()


def test_nothing_in_the_clear(group):
    leader, _ = group.settled()
    leader.sql("CHECKPOINT")
    assert leader.sql("SELECT count(*) FROM t WHERE v = %s", MARK.decode())[0][0] > 0
    assert group.stop() == []
    done = subprocess.run(["grep", "-rlaF", MARK.decode(), group.work], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    for node in group.nodes:
        scan = status(node.data, "--offline", "--scan")["scan"]
        assert (scan["clear"], scan["unknown"]) == ([], [])
        pg("check", "--data", node.data)
        assert "Bad checksums:  0\n" in pg("exec", "--", "pg_checksums", "--check", "-D", node.data).stdout
