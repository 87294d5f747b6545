"""An encrypted cluster lives as a plain one does: it starts, stops, is killed, recovers; without its keys it does not."""

import subprocess
import time

from encrypted import Keys

PGBENCH = 4  # scale


def bench(cluster, seconds):
    return subprocess.Popen(["runuser", "-u", "postgres", "--", cluster.bin / "pgbench", "-n", "-c", "4", "-T",
                             str(seconds), "-h", cluster.folder, "postgres"], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, cwd="/")


def exact(cluster):
    """TPC-B's sums agree, and no row of the history is missing from them."""
    ((branches, tellers, accounts, history),) = cluster.sql(
        "SELECT (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(tbalance) FROM pgbench_tellers),"
        " (SELECT sum(abalance) FROM pgbench_accounts), (SELECT coalesce(sum(delta), 0) FROM pgbench_history)")
    assert branches == tellers == accounts == history
    return history


def test_start_stop_kill(make):
    cluster = make("life", Keys())
    cluster.start()
    cluster.run("pgbench", "-i", "-q", "-s", PGBENCH, "-h", cluster.folder, "postgres", layer=False)
    for _ in range(3):
        running = bench(cluster, 60)
        time.sleep(1.5)
        cluster.kill()
        running.wait(60)
        cluster.start()
        exact(cluster)
        assert cluster.sql("SELECT count(*) > 0 FROM pgbench_history") == [(True,)]
    cluster.sql("CREATE DATABASE copied TEMPLATE postgres STRATEGY file_copy", "CREATE DATABASE logged TEMPLATE postgres")
    before = exact(cluster)
    cluster.stop()
    cluster.start()
    assert exact(cluster) == before
    for database in ("copied", "logged"):
        assert cluster.sql("SELECT sum(abalance) FROM pgbench_accounts", database=database) == [(before,)]
    assert "not known to the encryption layer" not in cluster.log()
    cluster.stop()
    assert "Bad checksums:  0" in cluster.run("pg_checksums", "--check", "-D", cluster.data)
