"""What the encryption layer costs: a plain and an encrypted cluster of the same PostgreSQL, side by side, in pairs.

Both run on this machine and do the same thing at the same moment, or in turns (--turns): transactions, or one statement
over and over, for --seconds. A row's figure is the median of the ratios of its pairs: encrypted to plain in speed, so 1
is no cost. CPU is that of the server's processes, plain to encrypted: it says more than speed where other things run.
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

TICK = os.sysconf("SC_CLK_TCK")
HOT, LARGE = "32MB", "1GB"
WHOLE = {"seconds": 30, "pairs": 7, "scale": 20, "rows": 1000000}
SHORT = {"seconds": 3, "pairs": 3, "scale": 5, "rows": 200000}
AROUND = 5 # seconds of a pair besides its run: checkpoint, prewarming, the last statement's end
MAKING = 120 # seconds until there are two clusters
COLUMNS = (("ratio", 6), ("lowest", 6), ("most", 6), ("goal", 5), ("", 5), ("cpu", 5), ("plain/s", 10), ("enc/s", 10), ("plain us", 11),
           ("enc us", 11))


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


class Row:
    """each(cluster) comes before each run, once(cluster) before all of them, after(cluster) behind."""

    def __init__(self, name, goal, buffers, run, once=None, each=None, after=None):
        self.name, self.goal, self.buffers, self.run = name, goal, buffers, run
        self.once, self.each, self.after = (work or (lambda cluster: None) for work in (once, each, after))


def all_rows(options):
    seconds = str(options.seconds)

    def transactions(*words):
        def run(cluster):
            said = cluster.pgbench("-c", "4", "-j", "1", "-T", seconds, *words)
            return int(re.search(r"actually processed: (\d+)", said)[1])
        return run

    def over_and_over(*statements):
        """One client; the statements count as one."""
        def run(cluster):
            script = cluster.work / "script"
            script.write_text("".join("%s;\n" % statement.replace("COPYFILE", str(cluster.work / "wide.copy"))
                                      for statement in statements))
            script.chmod(0o644)
            said = cluster.pgbench("-c", "1", "-T", seconds, "-f", script)
            return int(re.search(r"actually processed: (\d+)", said)[1])
        return run

    def checkpoint(cluster):
        cluster.sql("CHECKPOINT")

    def prewarm(cluster):
        cluster.sql("SELECT pg_prewarm('pgbench_accounts')")

    def slot(cluster):
        cluster.sql("TRUNCATE target", "SELECT pg_create_logical_replication_slot('spill', 'test_decoding')",
                    "INSERT INTO target SELECT g, md5(g::text), 'x' FROM generate_series(1, %d) AS g" % (options.rows // 4),
                    "CHECKPOINT")

    def spilled(cluster):
        if int(cluster.sql("SELECT spill_bytes FROM pg_stat_replication_slots WHERE slot_name = 'spill'")) == 0:
            raise SystemExit("nothing was spilled by the %s cluster" % cluster.name)
        cluster.sql("SELECT pg_drop_replication_slot('spill')")

    return [
        Row("TPC-B, %s" % HOT, 0.97, HOT, transactions(), each=checkpoint),
        Row("select-only, %s" % HOT, 0.97, HOT, transactions("-S"), each=prewarm),
        Row("COPY FROM", 0.95, HOT, over_and_over("TRUNCATE target", "COPY target FROM 'COPYFILE'"), each=checkpoint),
        Row("CREATE INDEX", 0.97, HOT, over_and_over("DROP INDEX IF EXISTS wide_a_idx", "CREATE INDEX ON wide (a)"), each=checkpoint),
        # The kernel has the pages: it is the layer's reading that counts, not the disk's.
        Row("scan > buffers, count(*)", 0.85, HOT, over_and_over("SELECT count(*) FROM wide")),
        Row("scan > buffers, sum(column)", 0.85, HOT, over_and_over("SELECT sum(abalance) FROM pgbench_accounts")),
        Row("logical decoding, spilled", 0.70, HOT, over_and_over(
            "SELECT count(*) FROM pg_logical_slot_peek_changes('spill', NULL, NULL)"), once=slot, after=spilled),
        Row("TPC-B, %s" % LARGE, 0.97, LARGE, transactions(), each=checkpoint),
        Row("select-only, %s" % LARGE, 0.97, LARGE, transactions("-S"), each=prewarm),
    ]


class Bench:
    def __init__(self, options, rows):
        self.options, self.rows, self.found = options, rows, []
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="ks-bench-tde-", dir=options.tmp))
        self.root.chmod(0o755)
        self.clusters = [Cluster(self.root, pathlib.Path("/"), name, options.user,
                                 types.SimpleNamespace(build=options.build, major=15)) for name in ("plain", "encrypted")]

    def expected(self):
        """Seconds that all of it will take."""
        return MAKING + len(self.rows) * self.options.pairs * (self.options.seconds + AROUND)

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
                cluster.sql("CREATE EXTENSION pg_prewarm",
                            "CREATE UNLOGGED TABLE wide AS SELECT g AS id, md5(g::text) AS a, repeat('x', 90) AS b"
                            " FROM generate_series(1, %d) AS g" % self.options.rows,
                            "CREATE TABLE target (id bigint, a text, b text)",
                            "COPY wide TO '%s'" % (cluster.work / "wide.copy"), "VACUUM ANALYZE", "CHECKPOINT")

    @contextlib.contextmanager
    def running(self, buffers):
        with contextlib.ExitStack() as stack:
            for cluster in self.clusters:
                stack.enter_context(cluster.running("-c shared_buffers=%s" % buffers))
            yield

    def pair(self, number, row):
        """One run of each. In turns, the order changes from pair to pair, so that neither has the better place."""
        order = self.clusters if number % 2 == 0 else self.clusters[::-1]
        found, failed = {}, []
        for cluster in order:
            row.each(cluster)

        def one(cluster):
            try:
                found[cluster.name] = measured(cluster, row.run)
            except Exception as error: # noqa: BLE001: the thread that waits raises it again
                failed.append(error)

        threads = [threading.Thread(target=one, args=(cluster,)) for cluster in order]
        for thread in threads:
            thread.start()
            if self.options.turns:
                thread.join()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        return found

    def measure(self, row):
        for cluster in self.clusters:
            row.once(cluster)
        pairs = [self.pair(number, row) for number in range(self.options.pairs)]
        for cluster in self.clusters:
            row.after(cluster)

        def median(what):
            return statistics.median(what(pair) for pair in pairs)

        ratios = [pair["encrypted"]["speed"] / pair["plain"]["speed"] for pair in pairs]
        line = {"name": row.name, "goal": row.goal, "ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
        for side in ("plain", "encrypted"):
            line["%s_per_second" % side] = median(lambda pair: pair[side]["speed"])
            line["%s_cpu_us" % side] = 1e6 * median(lambda pair: pair[side]["cpu"] / pair[side]["count"])
        line["cpu_ratio"] = median(lambda pair: pair["plain"]["cpu"] / pair["plain"]["count"] /
                                   max(pair["encrypted"]["cpu"] / pair["encrypted"]["count"], 1e-9))
        line["met"] = line["ratio"] >= row.goal
        line["mark"] = "" if line["met"] else "below"
        print("%(name)-32s %(ratio)6.2f %(lowest)6.2f %(highest)6.2f %(goal)5.2f %(mark)5s %(cpu_ratio)5.2f %(plain_per_second)10.2f"
              " %(encrypted_per_second)10.2f %(plain_cpu_us)11.0f %(encrypted_cpu_us)11.0f" % line, flush=True)
        del line["mark"]
        self.found.append(line)

    def run(self):
        self.make()
        print("%-32s" % ("medians of %d pairs of %d s" % (self.options.pairs, self.options.seconds)),
              *("%*s" % (width, title) for title, width in COLUMNS), flush=True)
        for buffers in (HOT, LARGE):
            rows = [row for row in self.rows if row.buffers == buffers]
            if rows:
                with self.running(buffers):
                    for row in rows:
                        self.measure(row)
        print("ratio: encrypted/plain in speed, its lowest and its highest pair; cpu: plain/encrypted in CPU time of the server;\n"
              "us: that time for each transaction or statement")
        return self.found


def main():
    parser = argparse.ArgumentParser(prog="script/bench tde", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, help="of each run (default 30)")
    parser.add_argument("--pairs", type=int, help="of runs for each row (default 7)")
    parser.add_argument("--scale", type=int, help="of pgbench's tables (default 20: 300 MB)")
    parser.add_argument("--rows", type=int, help="of the table for COPY, indexes and scans (default 1000000: 160 MB)")
    parser.add_argument("--short", action="store_true", help="few minutes instead of most of an hour; noisy: --seconds 3 --pairs 3"
                        " --scale 5 --rows 200000, where not given")
    parser.add_argument("--turns", action="store_true", help="the two clusters in turns instead of at the same time")
    parser.add_argument("--only", default="", metavar="TEXT,...", help="rows whose name contains one of these, as in: copy,scan")
    parser.add_argument("--user", default="postgres", help="who runs the servers, if this is run by root")
    parser.add_argument("--tmp", default="/tmp", metavar="DIR", help="where the clusters are made: 8 GB (default /tmp)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here as well")
    options = parser.parse_args()
    for name, value in (SHORT if options.short else WHOLE).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.build = options.build.resolve()
    figures = {"machine": "%s, %d cores" % (platform.machine(), os.cpu_count()), "kernel": platform.release(),
               "seconds": options.seconds, "pairs": options.pairs, "together": not options.turns}
    rows = all_rows(options)
    chosen = [row for row in rows if any(word.strip() in row.name.lower() for word in options.only.lower().split(","))]
    if not chosen:
        raise SystemExit("no row's name contains %s: they are %s" % (options.only, "; ".join(row.name for row in rows)))
    bench = Bench(options, chosen)
    print("%s, kernel %s; the clusters run %s, pgbench on the same cores; about %d minutes" % (
        figures["machine"], figures["kernel"], "in turns" if options.turns else "at the same time",
        -(-bench.expected() * (2 if options.turns else 1) // 60)), flush=True)
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
