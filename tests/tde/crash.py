"""kill -9 of everything, and failures of power, at random moments under pgbench with a streaming standby: see script/tde-crash.

After each of them what clients saw acknowledged is there, TPC-B's sums are exact, pg_amcheck is clean and the standby is
equal. test_crash.py does a few rounds of the same.
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import psycopg2
from encrypted import WATCHDOG, Cluster, Keys, own, prepare
from lossy import Device
from test_life import exact

SYNCED = "synchronous_commit = on\nmax_wal_size = 64MB\nmin_wal_size = 32MB\n"
PRIMARY = SYNCED + "checkpoint_timeout = 30s\nwal_keep_size = 512MB\n"
TABLES = ("pgbench_accounts", "pgbench_tellers", "pgbench_branches", "pgbench_history", "marks")


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
                cursor.execute("INSERT INTO pgbench_history (tid, bid, aid, delta, mtime, filler)"
                               " VALUES (%s, 1, %s, %s, now(), 'ours')", (account % 10 + 1, account, delta))
                cursor.execute("INSERT INTO marks VALUES (%s)", (mark,))
                connection.commit()
                self.acknowledged.add(mark)


class Load:
    """Clients that remember, and pgbench beside them."""

    def __init__(self, cluster, number, clients=3):
        self.cluster = cluster
        self.clients = [Client(cluster, number * 16 + n) for n in range(clients)]
        for client in self.clients:
            client.start()
        self.bench = subprocess.Popen(["runuser", "-u", "postgres", "--", cluster.bin / "pgbench", "-n", "-c", "2", "-T",
                                       str(WATCHDOG), "-h", cluster.folder, "postgres"], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL, cwd="/")

    def ended(self):
        """The server is gone, and so they are."""
        self.bench.wait(WATCHDOG)
        for client in self.clients:
            client.join(WATCHDOG)
            assert not client.is_alive()

    def sure(self):
        return set().union(*(client.acknowledged for client in self.clients))

    def possible(self):
        return set().union(*(client.tried for client in self.clients))

    def check(self, before):
        """Everything that was acknowledged is there, and nothing that nobody did. What is there."""
        there = {mark for (mark,) in self.cluster.sql("SELECT mark FROM marks")}
        lost, invented = (before | self.sure()) - there, there - (before | self.possible())
        assert not lost and not invented, "%d commits lost, %d invented" % (len(lost), len(invented))
        assert self.cluster.sql("SELECT count(*) FROM pgbench_history WHERE filler = 'ours'") == [(len(there),)]
        return there


def loaded(cluster):
    """The tables that the clients want; the cluster is stopped then."""
    cluster.start()
    cluster.run("pgbench", "-i", "-q", "-s", "1", "-h", cluster.folder, "postgres", layer=False)
    cluster.sql("CREATE TABLE marks (mark bigint PRIMARY KEY)", "CREATE EXTENSION amcheck")
    cluster.stop()
    return cluster


def standby_of(primary, name):
    """By pg_basebackup from a running cluster, with its keys."""
    standby = Cluster(primary.work, name, primary.keys, initdb=None)
    standby.data.mkdir()
    own(standby.data, 0o700)
    standby.run("pg_basebackup", "-D", standby.data, "-h", primary.folder, "-U", "postgres", "-R", "-X", "stream", "-c",
                "fast", "--no-sync", "--no-verify-checksums")
    standby.append("unix_socket_directories = '%s'" % standby.folder)
    return standby


def whole(cluster):
    """Sums, indexes and heaps. Every page of every table and index of the database is read, and so its checksum verified."""
    exact(cluster)
    done = cluster.command("pg_amcheck", "-h", cluster.folder, "-d", "postgres", "--heapallindexed", layer=False)
    assert done.returncode == 0, done.stdout + done.stderr


def content(cluster):
    return [cluster.sql("SELECT count(*), sum(hashtext(t::text)::bigint) FROM %s AS t" % table) for table in TABLES]


def equal(primary, standby):
    ((end,),) = primary.sql("SELECT pg_current_wal_flush_lsn()")
    until = time.monotonic() + WATCHDOG
    while standby.sql("SELECT pg_last_wal_replay_lsn() >= %r::pg_lsn" % end) != [(True,)]:
        assert time.monotonic() < until, standby.log()[-2000:]
        time.sleep(0.05)
    assert content(standby) == content(primary)


def checksums(cluster):
    assert "Bad checksums:  0" in cluster.run("pg_checksums", "--check", "-D", cluster.data)


def no_report(*_):
    pass


def kills(primary, standby, rounds, chance, report=no_report, most=2.0):
    """Rounds of kill -9 with the file system's cache intact. How many commits were acknowledged in all."""
    primary.start()
    standby.start()
    there, total = set(), 0
    for number in range(rounds):
        load = Load(primary, number)
        time.sleep(chance.uniform(0.3, most))
        victims = [primary, standby] if chance.random() < 0.5 else [primary]
        for victim in victims:
            victim.kill()
        load.ended()
        for victim in victims:
            victim.start()
        there = load.check(there)
        total += len(load.sure())
        whole(primary)
        equal(primary, standby)
        report(number + 1, len(victims), len(load.sure()))
    exact(standby)
    for cluster in (primary, standby):
        cluster.stop()
        checksums(cluster)
    return total


def failures(devices, rounds, chance, report=no_report, most=2.0):
    """Rounds of power failures: of the first device, the primary's, and sometimes of the other, the standby's."""
    for device in devices:
        device.on()
    there, total = set(), 0
    for number in range(rounds):
        load = Load(devices[0].cluster, number)
        time.sleep(chance.uniform(0.3, most))
        victims = devices if chance.random() < 0.5 else devices[:1]
        lost = [victim.power_failure(chance) for victim in victims]
        load.ended()
        for victim in victims:
            victim.on()
        there = load.check(there)
        total += len(load.sure())
        whole(devices[0].cluster)
        if len(devices) > 1:
            equal(devices[0].cluster, devices[1].cluster)
        report(number + 1, len(victims), len(load.sure()), *lost[0])
    for device in devices:
        device.cluster.stop()
        checksums(device.cluster)
    return total


class Progress:
    """One line, written over at a terminal."""

    def __init__(self, what, rounds):
        self.what, self.rounds, self.began, self.commits = what, rounds, time.monotonic(), 0

    def __call__(self, number, victims, commits, *lost):
        self.commits += commits
        spent = time.monotonic() - self.began
        line = "%s %d/%d: %d commits acknowledged, %d s, %d s to go" % (
            self.what, number, self.rounds, self.commits, spent, spent / number * (self.rounds - number))
        if lost:
            line += "; last: %d files, %d sectors and %d names lost" % lost
        end = "\r" if sys.stderr.isatty() and number < self.rounds else "\n"
        if end == "\r" or number % 10 == 0 or number == self.rounds:
            print("%-100s" % line if end == "\r" else line, end=end, file=sys.stderr, flush=True)


def pair(work, name, keys, more):
    primary = loaded(Cluster(work, name, keys, PRIMARY + more))
    primary.start()
    standby = standby_of(primary, name + "-standby")
    primary.stop()
    return primary, standby


def drop(*clusters):
    for cluster in clusters:
        cluster.done()
        shutil.rmtree(cluster.folder)


def run_kills(work, options, chance):
    primary, standby = pair(work, "kill", Keys(), "fsync = on\n")
    commits = kills(primary, standby, options.rounds, chance, Progress("kill -9", options.rounds))
    drop(primary, standby)
    return {"rounds": options.rounds, "commits": commits}


def run_failures(work, options, chance):
    """The encrypted pair; a plain one on the same device; and a plain one that does not sync, which must not survive."""
    result = {"rounds": options.power}
    for what, keys, sync, rounds in (("encrypted", Keys(), "on", options.power), ("plain", None, "on", (options.power + 4) // 5),
                                     ("unsynced", None, "off", 1)):
        clusters = pair(work, what, keys, "fsync = %s\n" % sync)
        devices = [Device(cluster) for cluster in clusters]
        try:
            result[what] = failures(devices[:1] if what == "unsynced" else devices, rounds, chance,
                                    Progress("power failure, " + what, rounds))
            assert what != "unsynced", "a cluster with fsync = off survived: the device loses nothing, and this proves nothing"
        except (AssertionError, psycopg2.Error) as error:
            if what != "unsynced" or "proves nothing" in str(error):
                raise
            result[what] = str(error).strip().splitlines()[0]
            print("power failure, without fsync: damaged, as it has to be: %s" % result[what], file=sys.stderr)
        drop(*clusters)
    return result


def main():
    parser = argparse.ArgumentParser(prog="script/tde-crash", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, metavar="N", help="kill -9 of everything, N times (200)")
    parser.add_argument("--power", type=int, default=50, metavar="N", help="failures of power, N of them (50)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="repeats a run's moments as far as a"
                        " machine does that; the one that was used is printed")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="the figures for programs as well")
    options = parser.parse_args()
    print("seed %d" % options.seed, file=sys.stderr)
    chance = random.Random(options.seed)
    work = prepare(pathlib.Path(tempfile.mkdtemp(prefix="ks-crash-", dir="/tmp")))
    result = {"seed": options.seed}
    try:
        if options.rounds > 0:
            result["kills"] = run_kills(work, options, chance)
        if options.power > 0:
            result["power"] = run_failures(work, options, chance)
    except BaseException:
        for data in work.glob("*/data"):
            if (data / "postmaster.pid").exists():
                subprocess.run(["runuser", "-u", "postgres", "--", os.path.join(Cluster.bindir(), "pg_ctl"), "-D", data, "-m",
                                "immediate", "stop"], check=False, stdout=subprocess.DEVNULL, cwd="/")
        print("left for inspection: %s" % work, file=sys.stderr)
        raise
    shutil.rmtree(work)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if "kills" in result:
        print("kill -9: %(rounds)d rounds, %(commits)d commits acknowledged, none lost; sums exact, pg_amcheck clean, standby"
              " equal each time" % result["kills"])
    if "power" in result:
        print("power failure: %(rounds)d rounds, %(encrypted)d commits acknowledged, none lost; sums exact, pg_amcheck clean,"
              " standby equal each time; without fsync: %(unsynced)s" % result["power"])


if __name__ == "__main__":
    main()
