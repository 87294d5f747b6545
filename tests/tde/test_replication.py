"""Standbys of an encrypted cluster: other keys, the same keys, synchronous, cascading; failover, pg_rewind, and a key
encryption key that changes while a base backup is taken; WAL that pg_receivewal archives; logical replication with a plain
cluster."""

import json
import shutil
import subprocess
import time

import pytest

from crash import Load, equal, whole
from encrypted import WATCHDOG, Cluster, own
from test_move import LAYER, MARK, done, in_the_clear, key_file, keystead

CONF = """listen_addresses = ''
unix_socket_directories = '%s'
cluster_name = '%s'
max_connections = 30
shared_buffers = 4MB
fsync = off
log_min_messages = log
autovacuum = off
wal_level = logical
wal_log_hints = on
logical_decoding_work_mem = 64kB
max_wal_size = 64MB
min_wal_size = 32MB
wal_keep_size = 512MB
wal_retrieve_retry_interval = 100ms
"""


class Node(Cluster):
    """A cluster with a keyring as users have it: LD_PRELOAD alone in its environment."""

    def __init__(self, work, name):
        super().__init__(work, name, None, initdb=None)
        self.folder.chmod(0o777)

    def settings(self, more=""):
        self.append(CONF % (self.folder, self.folder.name) + more)

    def start(self, **kwargs):
        super().start(env=LAYER, **kwargs)

    def data_keys(self):
        return {key["identifier"] for key in json.loads(done("status", "--data", self.data, "--json"))["keys"]}

    def keyring(self):
        return (self.data / "keystead" / "keyring").read_bytes()

    def tool(self, program, *args):
        return done("exec", "--data", self.data, "--", program, *args)


def until(node, query):
    """The query's answer is true."""
    end = time.monotonic() + WATCHDOG
    while node.sql(query) != [(True,)]:
        assert time.monotonic() < end, (query, node.log()[-3000:])
        time.sleep(0.05)


def backup(source, to, *options):
    """An ordinary pg_basebackup, without the layer and without a key."""
    source.run("pg_basebackup", "-D", to, "-h", source.folder, "-U", "postgres", "-X", "fetch", "-c", "fast", "--no-sync",
               "--no-verify-checksums", *options, layer=False)
    assert in_the_clear(to) == []


def copied(source, name, *options):
    """A node of an ordinary base backup: the keys are the source's."""
    node = Node(source.work, name)
    backup(source, node.data, *options)
    node.settings()
    return node


@pytest.fixture(scope="module")
def nodes(work):
    made = []

    def add(node):
        made.append(node)
        return node

    yield add
    for node in made:
        node.done()
        shutil.rmtree(node.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def primary(work, nodes):
    node = nodes(Node(work, "a"))
    node.kek = key_file(node.folder, "kek")
    done("init", "--data", node.data, "--key-file", node.kek, "--", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
         "--no-sync", "-k")
    archive = node.folder / "archive"
    archive.mkdir()
    own(archive, 0o700)
    node.settings("archive_mode = on\narchive_command = 'cp %%p %s/%%f'\nrestore_command = 'cp %s/%%f %%p'\n"
                  % (archive, archive))
    node.start()
    node.run("pgbench", "-i", "-q", "-s", "1", "-h", node.folder, "postgres", layer=False)
    node.sql("CREATE TABLE marks (mark bigint PRIMARY KEY)", "CREATE EXTENSION amcheck",
             "CREATE TABLE told AS SELECT n, '%s ' || n AS t FROM generate_series(1, 5000) n" % MARK, "CHECKPOINT")
    return node


def test_rotation_in_a_base_backup(primary, nodes):
    """The key encryption key changes while a base backup is taken: the keyring in it is whole, and opens by the key it names."""
    before, node = primary.keyring(), nodes(Node(primary.work, "rotated"))
    old, new = primary.kek, key_file(primary.folder, "kek2")
    running = subprocess.Popen(["runuser", "-u", "postgres", "--", primary.bin / "pg_basebackup", "-D", node.data, "-h",
                                primary.folder, "-U", "postgres", "-X", "fetch", "-c", "fast", "--no-sync",
                                "--no-verify-checksums", "--max-rate=8M"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, cwd="/")
    until(primary, "SELECT count(*) = 1 FROM pg_stat_progress_basebackup WHERE backup_streamed > 0")
    done("rotate", "--kek", "--data", primary.data, "--key-file", new)
    assert running.poll() is None  # it was in the middle
    said = running.communicate(timeout=WATCHDOG)[1]
    assert running.returncode == 0, said
    assert primary.keyring() != before and node.keyring() in (before, primary.keyring())
    primary.kek = new
    needed, other = (old, new) if node.keyring() == before else (new, old)
    other.rename(other.with_suffix(".away"))
    node.settings()
    node.start()
    assert node.sql("SELECT count(*) FROM told") == [(5000,)]
    node.stop()
    other.with_suffix(".away").rename(other)
    needed.rename(needed.with_suffix(".away"))
    assert node.refused(env=LAYER) != ""
    needed.with_suffix(".away").rename(needed)
    assert in_the_clear(node.data) == []


def test_restore_of_received_wal(primary, nodes):
    """What pg_receivewal wrote under the layer is ciphertext, and brings a base backup up to date by restore_command."""
    received = primary.folder / "received"
    received.mkdir()
    own(received, 0o700)
    primary.sql("SELECT pg_create_physical_replication_slot('receiver', true)")
    node = nodes(copied(primary, "restored"))
    primary.sql("CREATE TABLE later AS SELECT n, '%s ' || n AS t FROM generate_series(1, 3000) n" % MARK)
    primary.sql("SELECT pg_switch_wal()", "CHECKPOINT")
    ((end,),) = primary.sql("SELECT pg_current_wal_lsn()")
    primary.sql("CHECKPOINT")  # the segment is whole, and the end is reached, once there is something behind them
    primary.tool("pg_receivewal", "-h", primary.folder, "-U", "postgres", "-D", received, "-S", "receiver", "-n",
                 "--no-sync", "-E", end)
    primary.sql("SELECT pg_drop_replication_slot('receiver')")
    assert any(received.iterdir()) and in_the_clear(received) == []
    node.append("archive_mode = off\nrestore_command = 'cp %s/%%f %%p'" % received)
    signal = node.data / "recovery.signal"
    signal.touch()
    own(signal, 0o600)
    node.start()
    until(node, "SELECT NOT pg_is_in_recovery()")
    assert node.sql("SELECT count(*), sum(n) FROM later") == primary.sql("SELECT count(*), sum(n) FROM later")
    node.stop()
    assert in_the_clear(node.data) == []


def test_logical_replication(primary, nodes):
    """
    With a plain cluster, both ways; of transactions larger than logical_decoding_work_mem, which the sender spills to files
    in the one direction and the receiver in the other.
    """
    plain = nodes(Cluster(primary.work, "plain", None, "max_slot_wal_keep_size = 512MB"))
    plain.start()
    rows = "SELECT n, '%s ' || repeat(md5(n::text), 8) FROM generate_series(1, %d) n"
    for node in (primary, plain):
        node.sql("CREATE TABLE out_of_it (n int PRIMARY KEY, t text)", "CREATE TABLE into_it (n int PRIMARY KEY, t text)")
    for sender, receiver, table, streaming in ((primary, plain, "out_of_it", "off"), (plain, primary, "into_it", "on")):
        sender.sql("INSERT INTO %s %s" % (table, rows % (MARK, 500)))  # what the first copy takes along
        sender.sql("CREATE PUBLICATION p FOR TABLE %s" % table)
        receiver.sql("CREATE SUBSCRIPTION s CONNECTION 'host=%s user=postgres dbname=postgres' PUBLICATION p WITH "
                     "(streaming = %s, slot_name = s)" % (sender.folder, streaming))
        until(receiver, "SELECT count(*) = 500 FROM %s" % table)
        sender.sql("TRUNCATE %s" % table, "BEGIN", "INSERT INTO %s %s" % (table, rows % (MARK, 20000)),
                   "UPDATE %s SET t = t || 'x' WHERE n %% 3 = 0" % table, "DELETE FROM %s WHERE n %% 7 = 0" % table, "COMMIT")
        sums = "SELECT count(*), sum(n), md5(string_agg(t, '' ORDER BY n)) FROM %s" % table
        expected = sender.sql(sums)
        until(receiver, "SELECT (count(*), sum(n)) = (%d, %d) FROM %s" % (*expected[0][:2], table))
        assert receiver.sql(sums) == expected
        spilled = "stream_txns" if streaming == "on" else "spill_txns"
        until(sender, "SELECT sum(%s) > 0 FROM pg_stat_replication_slots" % spilled)
        receiver.sql("DROP SUBSCRIPTION s")
    plain.stop()
    assert in_the_clear(primary.data) == []
    assert in_the_clear(plain.data) != []


def test_failover(primary, nodes):
    """
    A synchronous standby with keys of its own and a standby of that; the primary is killed, the one is promoted, the other
    follows, and pg_rewind brings the old primary back, with its own keys, from its archive.
    """
    folder = primary.folder / "keys"
    done("init", "--data", folder, "--key-file", key_file(primary.folder, "kek-b"), "--", "--no-sync", "-k")
    b = nodes(Node(primary.work, "b"))
    options = ("exec", "--clear-backup", "--data", folder, "--", "pg_basebackup", "-D", b.data, "-h", primary.folder, "-U",
               "postgres", "-R", "-c", "fast", "--no-sync")
    refused = keystead(*options)
    assert refused.returncode != 0 and "keystead pg permit" in refused.stderr + primary.log()
    done("permit", "--clear-backup", "--for", "1h", "--data", primary.data)
    done(*options)
    done("permit", "--end", "--data", primary.data)
    subprocess.run(["rm", "-rf", b.data / "keystead"], check=True)
    subprocess.run(["cp", "-a", folder / "keystead", b.data], check=True)
    b.settings("restore_command = ''\narchive_mode = off\n")
    b.start()
    assert not b.data_keys() & primary.data_keys()
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'b'", "SELECT pg_reload_conf()")
    until(primary, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
    c = nodes(copied(b, "c", "-R"))
    assert c.keyring() == b.keyring()
    c.start()
    until(b, "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'")

    load = Load(primary, 1)
    time.sleep(1)
    primary.kill()
    load.ended()
    load.cluster = b
    assert b.sql("SELECT pg_promote(true, 60)") == [(True,)]
    assert len(load.check(set())) >= len(load.sure()) > 0
    b.sql("INSERT INTO marks VALUES (-1)")
    equal(b, c)
    assert c.sql("SELECT received_tli FROM pg_stat_wal_receiver") == [(2,)]

    # The old primary wrote on, alone; then it follows.
    keyring, mine = primary.keyring(), primary.data_keys()
    primary.append("synchronous_standby_names = ''")
    with open(primary.data / "postgresql.auto.conf", "w", encoding="utf-8"):
        pass
    primary.start()
    primary.sql("INSERT INTO marks VALUES (-2)", "CHECKPOINT")
    primary.stop()
    b.sql("CHECKPOINT")  # until then the promoted server's control file is on the old timeline, and nothing would be rewound
    primary.tool("pg_rewind", "-D", primary.data, "--source-server", "host=%s user=postgres dbname=postgres" % b.folder,
                 "-R")
    assert primary.keyring() == keyring and primary.data_keys() == mine
    primary.settings("restore_command = ''\narchive_mode = off\nsynchronous_standby_names = ''\n")
    primary.start()
    b.sql("INSERT INTO marks VALUES (-3)")
    for node in (primary, c):
        equal(b, node)
        assert node.sql("SELECT mark FROM marks WHERE mark < 0 ORDER BY 1") == [(-3,), (-1,)]
    whole(b)
    for node in (c, primary, b):
        node.stop()
        assert "Bad checksums:  0" in node.tool("pg_checksums", "--check", "-D", node.data)
        assert in_the_clear(node.data) == []
    assert in_the_clear(primary.folder / "archive") == []
