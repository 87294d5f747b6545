"""kill -9 of everything at random moments, with a standby; a full device; writes that end early. Nothing is lost.

KEYSTEAD_CRASH_ROUNDS says how many kills (3 without it), KEYSTEAD_CRASH_SEED repeats a run's moments as far as a machine
does that.
"""

import contextlib
import os
import random
import shutil
import subprocess
import threading
import time

import psycopg2
import pytest
from encrypted import WATCHDOG, Cluster, Keys, own
from test_life import exact

ROUNDS = int(os.environ.get("KEYSTEAD_CRASH_ROUNDS", "3"))
SEED = int(os.environ.get("KEYSTEAD_CRASH_SEED", str(random.randrange(1 << 32))))
SYNCED = "fsync = on\nsynchronous_commit = on\nmax_wal_size = 64MB\nmin_wal_size = 32MB\n"
PRIMARY = SYNCED + "checkpoint_timeout = 30s\nwal_keep_size = 512MB\n"


class Client(threading.Thread):
    """Transfers as TPC-B does, each with a number of its own, and remembers which the server acknowledged."""

    def __init__(self, cluster, number):
        super().__init__(daemon=True)
        self.cluster, self.number = cluster, number
        self.acknowledged, self.tried = set(), set()

    def run(self):
        chance = random.Random(self.number)
        with contextlib.suppress(psycopg2.Error), contextlib.closing(self.cluster.connect()) as connection:
            connection.autocommit = False
            cursor = connection.cursor()
            for n in range(1 << 20):
                mark = self.number * (1 << 24) + n
                delta, account = chance.randrange(-5000, 5000), chance.randrange(1, 100000)
                self.tried.add(mark)
                cursor.execute("UPDATE pgbench_accounts SET abalance = abalance + %s WHERE aid = %s", (delta, account))
                cursor.execute("UPDATE pgbench_tellers SET tbalance = tbalance + %s WHERE tid = %s", (delta, account % 10 + 1))
                cursor.execute("UPDATE pgbench_branches SET bbalance = bbalance + %s WHERE bid = 1", (delta,))
                cursor.execute("INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (%s, 1, %s, %s, now())",
                               (account % 10 + 1, account, delta))
                cursor.execute("INSERT INTO marks VALUES (%s)", (mark,))
                connection.commit()
                self.acknowledged.add(mark)


class Standby(Cluster):
    """Of a running cluster, by pg_basebackup with its keys."""

    def __init__(self, primary, name):  # it is not made by initdb
        self.work, self.keys, self.bin, self.preload = primary.work, primary.keys, primary.bin, primary.preload
        self.folder = primary.work / name
        self.folder.mkdir()
        own(self.folder, 0o755)
        self.data = self.folder / "data"
        self.data.mkdir()
        own(self.data, 0o700)
        self.run("pg_basebackup", "-D", self.data, "-h", primary.folder, "-U", "postgres", "-R", "-X", "stream", "-c", "fast",
                 "--no-sync")
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as out:
            out.write("unix_socket_directories = '%s'\n" % self.folder)


def marks(cluster):
    return {mark for (mark,) in cluster.sql("SELECT mark FROM marks")}


def whole(cluster):
    """Sums, indexes and heaps."""
    exact(cluster)
    done = cluster.command("pg_amcheck", "-h", cluster.folder, "-d", "postgres", "--heapallindexed", "--install-missing",
                           layer=False)
    assert done.returncode == 0, done.stdout + done.stderr


def caught_up(primary, standby):
    ((end,),) = primary.sql("SELECT pg_current_wal_flush_lsn()")
    until = time.monotonic() + WATCHDOG
    while standby.sql("SELECT pg_last_wal_replay_lsn() >= %r::pg_lsn" % end) != [(True,)]:
        assert time.monotonic() < until, standby.log()[-2000:]
        time.sleep(0.05)


TABLES = ("pgbench_accounts", "pgbench_tellers", "pgbench_branches", "pgbench_history", "marks")


def content(cluster):
    return [cluster.sql("SELECT count(*), sum(hashtext(t::text)::bigint) FROM %s AS t" % table) for table in TABLES]


def loaded(cluster):
    cluster.start()
    cluster.run("pgbench", "-i", "-q", "-s", "1", "-h", cluster.folder, "postgres", layer=False)
    cluster.sql("CREATE TABLE marks (mark bigint PRIMARY KEY)", "CREATE EXTENSION amcheck")


def drive(cluster, number, count=3):
    clients = [Client(cluster, number * 16 + n) for n in range(count)]
    for client in clients:
        client.start()
    return clients


def acknowledged(cluster, clients, before):
    """Everything that was acknowledged is there, and nothing that nobody did. What is there."""
    for client in clients:
        client.join(WATCHDOG)
        assert not client.is_alive()
    there = marks(cluster)
    sure, possible = (set().union(*(getattr(client, what) for client in clients)) for what in ("acknowledged", "tried"))
    assert sure, "no client did anything before the kill"
    assert before | sure <= there <= before | possible
    assert cluster.sql("SELECT count(*) FROM pgbench_history") == [(len(there),)]
    return there


def test_kill(make):
    print("KEYSTEAD_CRASH_SEED=%d" % SEED)
    chance = random.Random(SEED)
    primary = make("kill", Keys(), PRIMARY)
    loaded(primary)
    standby = Standby(primary, "kill-standby")
    try:
        standby.start()
        there = set()
        for number in range(ROUNDS):
            clients = drive(primary, number)
            time.sleep(chance.uniform(0.3, 2))
            victims = [primary, standby] if chance.random() < 0.5 else [primary]
            for victim in victims:
                victim.kill()
            for victim in victims:
                victim.start()
            there = acknowledged(primary, clients, there)
            whole(primary)
            caught_up(primary, standby)
            assert content(standby) == content(primary)
        exact(standby)
        for cluster in (primary, standby):
            cluster.stop()
            assert "Bad checksums:  0" in cluster.run("pg_checksums", "--check", "-D", cluster.data)
    finally:
        standby.done()
        shutil.rmtree(standby.folder, ignore_errors=True)


@pytest.fixture
def shim(work):
    """What stands between the layer and libc: see shim.c."""
    out = work / "shim.so"
    if not out.exists():
        subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", out,
                        os.path.join(os.path.dirname(__file__), "shim.c"), "-ldl"], check=True)
        out.chmod(0o755)
    return out


@pytest.mark.parametrize("fault", ["short", "full"])
def test_faulty_device(make, shim, fault):
    """Writes that end early, at odd bytes, or find no room: the server says so or goes on, and nothing is lost."""
    cluster = make("faulty-" + fault, Keys(), PRIMARY)
    loaded(cluster)
    cluster.stop()
    switch, tally = cluster.folder / "faults", cluster.folder / "tally"
    tally.touch()
    own(tally, 0o600)
    library = cluster.work / "libkeystead_tde.so"
    there = set()
    for number in range(2):
        # The shim is found behind the layer: what it gets is ciphertext.
        cluster.start(env=["LD_PRELOAD=%s:%s" % (library, shim), "SHIM_FAULT=%s" % fault, "SHIM_SWITCH=%s" % switch,
                           "SHIM_TALLY=%s" % tally, "SHIM_BELOW=%s" % cluster.data])
        clients = drive(cluster, number)
        time.sleep(0.5)
        switch.touch()
        time.sleep(1)
        with contextlib.suppress(psycopg2.Error):
            cluster.sql("CHECKPOINT")
        switch.unlink()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError): # it may have ended itself: WAL could not be written
            cluster.kill()
        cluster.start()
        there = acknowledged(cluster, clients, there)
        # Reads every page, and so verifies its checksum. pg_checksums would not pass over the part of a page that a server,
        # encrypted or not, leaves at the end of a relation that found no room.
        whole(cluster)
        cluster.stop()
    assert tally.stat().st_size > 0, "the shim was never asked to fail"
