"""What the encryption layer costs: a plain and an encrypted cluster of the same PostgreSQL, side by side, in pairs.

Both run on this machine and do the same thing at the same moment, or in turns (--turns). A row's figure is the
median of the ratios of its pairs: encrypted to plain in speed, so 1 is no cost. CPU is that of the server's processes.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import types

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "tde"))

from suites import Server  # noqa: E402

GOALS = {"tpc-b": 0.97, "select": 0.97, "copy": 0.95, "index": 0.97, "scan": 0.85, "spill": 0.70}
TICK = os.sysconf("SC_CLK_TCK")
HOT, LARGE = "32MB", "1GB"


class Cluster(Server):
    """A cluster as the suites have it."""

    def sql(self, *statements):
        """In one session; what the last says."""
        words = [word for statement in statements for word in ("-c", statement)]
        return self.as_user([self.bin / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.work, "-p", self.port,
                             "-U", "regress", "-d", "postgres", *words], capture_output=True, text=True, cwd="/").stdout.strip()

    def seconds(self, *statements):
        began = time.monotonic()
        self.sql(*statements)
        return time.monotonic() - began

    def pgbench(self, *words):
        return self.as_user([self.bin / "pgbench", "-n", "-h", self.work, "-p", self.port, "-U", "regress", *words, "postgres"],
                            capture_output=True, text=True, cwd="/").stdout

    def cpu(self):
        """CPU seconds of the server, children that ended included."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        total = 0
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rsplit(")", 1)[1].split()
                if postmaster in (int(stat.parent.name), int(fields[1])):
                    total += sum(map(int, fields[11:13])) # of its own
                    if int(stat.parent.name) == postmaster:
                        total += sum(map(int, fields[13:15])) # of children that it waited for
        return total / TICK


def measured(cluster, work):
    """Seconds and CPU seconds of work(cluster), and what it says."""
    cpu, began = cluster.cpu(), time.monotonic()
    count = work(cluster)
    took = time.monotonic() - began
    time.sleep(0.3) # the sessions that have just ended are waited for by the postmaster, which has their time then
    return {"seconds": took, "cpu": cluster.cpu() - cpu, "count": count or 1, "speed": (count or 1) / took}


class Bench:
    def __init__(self, options):
        self.options, self.rows = options, []
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="ks-bench-tde-", dir=options.tmp))
        self.root.chmod(0o755)
        self.clusters = [Cluster(self.root, pathlib.Path("/"), name, options.user, types.SimpleNamespace(build=options.build))
                         for name in ("plain", "encrypted")]

    def make(self):
        for cluster in self.clusters:
            cluster.make()
            with open(cluster.data / "postgresql.conf", "a") as conf:
                # What would come at moments of its own is off, or comes with the same volume of work.
                conf.write("fsync = on\nautovacuum = off\nwal_level = logical\nlogical_decoding_work_mem = 64kB\n"
                           "max_wal_size = 4GB\ncheckpoint_timeout = 1h\nmax_parallel_workers_per_gather = 0\n"
                           "max_parallel_maintenance_workers = 0\nsynchronize_seqscans = off\nmaintenance_work_mem = 64MB\n")
        with self.running(HOT):
            for cluster in self.clusters:
                cluster.pgbench("-i", "-q", "-I", "dtgvp", "-s", str(self.options.scale))
                rows = self.options.rows
                cluster.sql("CREATE EXTENSION pg_prewarm",
                            "CREATE UNLOGGED TABLE wide AS SELECT g AS id, md5(g::text) AS a, repeat('x', 90) AS b"
                            " FROM generate_series(1, %d) AS g" % rows,
                            "CREATE TABLE target (id bigint, a text, b text)",
                            "COPY wide TO '%s'" % (cluster.work / "wide.copy"), "VACUUM ANALYZE", "CHECKPOINT")

    @contextlib.contextmanager
    def running(self, buffers):
        with contextlib.ExitStack() as stack:
            for cluster in self.clusters:
                stack.enter_context(cluster.running("-c shared_buffers=%s" % buffers))
            yield

    def pair(self, number, work, before):
        """One run of each. In turns, the order changes from pair to pair, so that neither has the better place."""
        order = self.clusters if number % 2 == 0 else self.clusters[::-1]
        found = {}
        for cluster in order:
            if before:
                before(cluster)

        def one(cluster):
            found[cluster.name] = measured(cluster, work)

        if self.options.turns:
            for cluster in order:
                one(cluster)
        else:
            threads = [threading.Thread(target=one, args=(cluster,)) for cluster in order]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if len(found) != len(threads):
                raise SystemExit("a run failed: see above")
        return found

    def row(self, name, kind, work, before=None, unit="run"):
        if self.options.only not in name:
            return
        if before:
            for cluster in self.clusters:
                before(cluster)
        pairs = [self.pair(number, work, before) for number in range(self.options.pairs)]

        def median(what):
            return statistics.median(what(pair) for pair in pairs)

        ratios = [pair["encrypted"]["speed"] / pair["plain"]["speed"] for pair in pairs]
        row = {"name": name, "goal": GOALS[kind], "ratio": statistics.median(ratios), "lowest": min(ratios),
               "highest": max(ratios), "unit": unit,
               **{"%s_per_second" % side: median(lambda pair: pair[side]["speed"]) for side in ("plain", "encrypted")},
               **{"%s_cpu_us" % side: 1e6 * median(lambda pair: pair[side]["cpu"] / pair[side]["count"])
                  for side in ("plain", "encrypted")}}
        row["cpu_ratio"] = row["encrypted_cpu_us"] / row["plain_cpu_us"] if row["plain_cpu_us"] else None
        print("%(name)-30s %(plain_per_second)11.2f %(encrypted_per_second)11.2f %(ratio)6.2f %(lowest)6.2f %(highest)6.2f"
              " %(goal)5.2f %(plain_cpu_us)11.0f %(encrypted_cpu_us)11.0f" % row, flush=True)
        self.rows.append(row)

    def transactions(self, *words):
        def work(cluster):
            said = cluster.pgbench("-c", "4", "-j", "1", "-T", str(self.options.seconds), *words)
            return int(re.search(r"actually processed: (\d+)", said)[1])
        return work

    def oltp(self, buffers):
        self.row("TPC-B, %s" % buffers, "tpc-b", self.transactions(), lambda cluster: cluster.sql("CHECKPOINT"), "transaction")
        self.row("select-only, %s" % buffers, "select", self.transactions("-S"),
                 lambda cluster: cluster.sql("SELECT pg_prewarm('pgbench_accounts')"), "transaction")

    def bulk(self):
        def times(statement, n=1):
            """n in one session, each of them counts."""
            def work(cluster):
                cluster.sql(*([statement(cluster) if callable(statement) else statement] * n))
                return n
            return work

        self.row("COPY FROM", "copy", times(lambda cluster: "COPY target FROM '%s'" % (cluster.work / "wide.copy")),
                 lambda cluster: cluster.sql("TRUNCATE target", "CHECKPOINT"))
        self.row("CREATE INDEX", "index", times("CREATE INDEX ON wide (a)"),
                 lambda cluster: cluster.sql("DROP INDEX IF EXISTS wide_a_idx", "CHECKPOINT"))
        # The kernel has the pages: it is the layer's reading that counts, not the disk's.
        self.row("sequential scan > buffers", "scan", times("SELECT count(*) FROM wide", 5),
                 lambda cluster: cluster.sql("SELECT count(*) FROM wide"))

        def large(cluster):
            cluster.sql("TRUNCATE target", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots",
                        "SELECT pg_create_logical_replication_slot('spill', 'test_decoding')",
                        "INSERT INTO target SELECT g, md5(g::text), 'x' FROM generate_series(1, %d) AS g" % (self.options.rows // 4))

        self.row("logical decoding, spilled", "spill",
                 times("SELECT count(*) FROM pg_logical_slot_peek_changes('spill', NULL, NULL)"), large)
        if self.options.only in "logical decoding, spilled":
            for cluster in self.clusters:
                if int(cluster.sql("SELECT spill_bytes FROM pg_stat_replication_slots WHERE slot_name = 'spill'")) == 0:
                    raise SystemExit("nothing was spilled by the %s cluster" % cluster.name)
                cluster.sql("SELECT pg_drop_replication_slot('spill')")

    def run(self):
        self.make()
        print("%-30s %11s %11s %6s %6s %6s %5s %11s %11s" % (
            "medians of %d pairs" % self.options.pairs, "plain/s", "encrypted/s", "ratio", "lowest", "most", "goal",
            "plain us", "enc us"), flush=True)
        with self.running(HOT):
            self.oltp(HOT)
            self.bulk()
        with self.running(LARGE):
            self.oltp(LARGE)
        print("us: CPU time of the server for each transaction or run; ratio: encrypted/plain in speed")
        return self.rows


def main():
    parser = argparse.ArgumentParser(prog="script/bench tde", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=30, help="of each run of pgbench (default 30)")
    parser.add_argument("--pairs", type=int, default=7, help="of runs for each row (default 7)")
    parser.add_argument("--scale", type=int, default=20, help="of pgbench's tables (default 20: 300 MB)")
    parser.add_argument("--rows", type=int, default=1000000, help="of the table for COPY and scans (default 1000000: 160 MB)")
    parser.add_argument("--turns", action="store_true", help="the two clusters in turns instead of at the same time")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name contains this")
    parser.add_argument("--user", default="postgres", help="who runs the servers, if this is run by root")
    parser.add_argument("--tmp", default="/tmp", metavar="DIR", help="where the clusters are made (default /tmp)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here as well")
    options = parser.parse_args()
    options.build = options.build.resolve()
    figures = {"machine": "%s, %d cores" % (platform.machine(), os.cpu_count()), "kernel": platform.release(),
               "seconds": options.seconds, "pairs": options.pairs, "together": not options.turns}
    print("%s, kernel %s; the clusters run %s, pgbench on the same cores" % (
        figures["machine"], figures["kernel"], "in turns" if options.turns else "at the same time"), flush=True)
    bench = Bench(options)
    # Debian's own PostgreSQL, not one that was unpacked for the suites.
    for cluster in bench.clusters:
        cluster.bin = pathlib.Path("/usr/lib/postgresql/15/bin")
    try:
        figures["rows"] = bench.run()
    except subprocess.CalledProcessError as error:
        raise SystemExit("%s: %s" % (" ".join(map(str, error.cmd)), error.stderr or "failed")) from error
    finally:
        shutil.rmtree(bench.root, ignore_errors=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
