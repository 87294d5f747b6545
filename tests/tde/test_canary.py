"""Markers that were written through every path are in no file of an encrypted cluster, and in a plain one they are."""

import contextlib
import shutil
import subprocess
import time

import psycopg2.extras
from encrypted import BUILD, WATCHDOG, Keys, own

ROWS = 3000


def mark(where):
    return "CANARY%s9x" % where.upper()


def numbers(text):
    """As a constant in an expression is kept in the catalogs."""
    return " ".join(str(ord(letter)) for letter in text)


def spilling(cluster, open_ones):
    """A transaction that is not at its end, and that decoding has spilled: its files stay until it is."""
    cluster.sql("CREATE TABLE pending (v text)")
    session = cluster.connect()
    session.autocommit = False
    session.cursor().execute("INSERT INTO pending SELECT '%s' || g FROM generate_series(1, 20000) g" % mark("decoded"))
    stream = psycopg2.connect(host=str(cluster.folder), dbname="postgres", user="postgres",
                              connection_factory=psycopg2.extras.LogicalReplicationConnection)
    reader = stream.cursor()
    reader.start_replication(slot_name="streamed")
    open_ones += [session, stream]
    ((end,),) = cluster.sql("CREATE TABLE nothing ()", "SELECT pg_current_wal_flush_lsn()")
    until = time.monotonic() + WATCHDOG
    while cluster.sql("SELECT sent_lsn >= %r::pg_lsn FROM pg_stat_replication" % end) != [(True,)]:
        assert time.monotonic() < until, cluster.log()[-2000:]
        reader.read_message()
        time.sleep(0.05)
    assert list(cluster.data.glob("pg_replslot/streamed/*.spill"))


def notifying(cluster, open_ones):
    """More than fits into the memory of the queue, and somebody who has not listened yet."""
    listener = cluster.connect()
    listener.cursor().execute("LISTEN canary")
    listener.autocommit = False
    listener.cursor().execute("SELECT 1")
    open_ones.append(listener)
    cluster.sql(*("SELECT pg_notify('canary', rpad('%s%d', 7000, '.'))" % (mark("notify"), n) for n in range(40)))


def backed_up(cluster):
    """A copy by pg_basebackup, which has the keys where the cluster has."""
    backup = cluster.folder / "backup"
    backup.mkdir()
    own(backup, 0o700)
    cluster.run("pg_basebackup", "-D", backup, "-h", cluster.folder, "-U", "postgres", "-c", "fast", "-X", "stream", "--no-sync",
                "--no-verify-checksums", env=["KEYSTEAD_TDE_ROOT=%s" % backup])


def write_all(cluster):
    """Writes the markers; those of temporary files are there while the sessions are, which are returned."""
    session = cluster.connect()
    session.autocommit = True
    do = session.cursor().execute
    cluster.sql("CREATE EXTENSION pg_stat_statements")
    do("SELECT pg_create_logical_replication_slot('slot', 'test_decoding')")
    do("CREATE TABLE heap (v text)")
    do("CREATE TABLE defaults (v text DEFAULT '%s')" % mark("default"))
    do("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT '%s' $$" % mark("function"))
    do("COMMENT ON TABLE heap IS '%s'" % mark("catalog"))
    do("INSERT INTO heap SELECT '%s' || g FROM generate_series(1, 200) g" % mark("heap"))
    do("CREATE INDEX ON heap ((replace(v, '%s', '%s')))" % (mark("heap"), mark("index")))
    do("CREATE TABLE toast (v text)")
    do("ALTER TABLE toast ALTER v SET STORAGE EXTERNAL")
    do("INSERT INTO toast SELECT string_agg('%s' || g, '') FROM generate_series(1, 2000) g" % mark("toast"))
    do("SELECT lo_from_bytea(0, convert_to('%s', 'UTF8'))" % mark("lo"))
    do("CREATE TABLE counted (v text)")
    do("INSERT INTO counted SELECT '%s' FROM generate_series(1, 1000)" % mark("statistic"))
    do("ANALYZE counted")
    do("TRUNCATE counted")
    do("CREATE UNLOGGED TABLE loose AS SELECT '%s' || g AS v FROM generate_series(1, 100) g" % mark("unlogged"))
    do("SET temp_buffers = '800kB'")
    do("CREATE TEMP TABLE own AS SELECT '%s' || g AS v FROM generate_series(1, 40000) g" % mark("temp"))
    do("SELECT count(*) FROM heap /* %s */" % mark("text"))
    do("SELECT pg_create_logical_replication_slot('streamed', 'test_decoding')")  # waits for prepared transactions
    do("BEGIN")
    do("INSERT INTO heap VALUES ('x')")
    do("PREPARE TRANSACTION '%s'" % mark("twophase"))
    do("CHECKPOINT")
    # Held cursors keep what sorts, hashes and tuple stores have spilled.
    open_ones = [session]
    for where, query in (
            ("sort", "SELECT '%s' || g AS v FROM generate_series(1, 20000) g ORDER BY md5(g::text)"),
            ("hash", "SELECT a.g, b.v FROM generate_series(1, 20000) a(g)"
                     " JOIN (SELECT g, '%s' || g AS v FROM generate_series(1, 20000) g OFFSET 0) b ON a.g = b.g"),
            ("store", "WITH c AS MATERIALIZED (SELECT '%s' || g AS v FROM generate_series(1, 20000) g)"
                      " SELECT a.v FROM c a, c b LIMIT 100000")):
        other = cluster.connect()
        other.autocommit = False
        cursor = other.cursor()
        cursor.execute("SET enable_mergejoin = off")
        cursor.execute("DECLARE c CURSOR FOR " + query % mark(where))
        cursor.execute("FETCH 5000 FROM c")
        open_ones.append(other)
    # A cursor that outlives its transaction: a tuple store.
    do("DECLARE held CURSOR WITH HOLD FOR SELECT '%s' || g FROM generate_series(1, 20000) g" % mark("held"))
    spilling(cluster, open_ones)
    notifying(cluster, open_ones)
    # A transaction that decoding spills.
    do("CREATE TABLE big (v text)")
    do("INSERT INTO big SELECT '%s' || g FROM generate_series(1, 60000) g" % mark("spill"))
    return open_ones


# Where the control has to show each of them.
PLACES = {"catalog": "base/", "heap": "base/", "index": "base/", "toast": "base/", "lo": "base/", "statistic": "base/",
          "temp": "base/", "text": "pg_stat_tmp/", "twophase": "pg_twophase/", "sort": "base/pgsql_tmp/",
          "store": "base/pgsql_tmp/", "hash": "base/pgsql_tmp/", "held": "base/pgsql_tmp/", "unlogged": "base/",
          "default": "base/", "function": "base/", "decoded": "pg_replslot/streamed/", "notify": "pg_notify/"}


def found(cluster):
    """Which markers are in which files: of the data directory, under archive/ and under backup/."""
    places = {cluster.data: "", cluster.folder / "archive": "archive/", cluster.folder / "backup": "backup/"}
    out = subprocess.run(["grep", "-raoE", "CANARY[A-Z]+9x|" + numbers("CANARY") + "( [0-9]+)+ " + numbers("9x"),
                          *(place for place in places if place.exists())], capture_output=True, check=False)
    assert out.returncode in (0, 1)
    hits = {}
    for line in set(out.stdout.decode("ascii", "replace").splitlines()):
        path, _, marker = line.rpartition(":")
        if marker[0].isdigit():
            marker = "".join(chr(int(n)) for n in marker.split())
        for place, name in places.items():
            if path.startswith("%s/" % place):
                hits.setdefault(marker, set()).add(name + path[len(str(place)) + 1:])
    return hits


def archived(cluster):
    """All that is written until now is in the archive."""
    ((last,),) = cluster.sql("SELECT pg_walfile_name(pg_switch_wal())")
    until = time.monotonic() + WATCHDOG
    while not (cluster.folder / "archive" / last).exists():
        assert time.monotonic() < until, cluster.log()[-2000:]
        time.sleep(0.05)


def known(cluster):
    """Every path of the data directory is known to the classifier."""
    paths = "\n".join(str(p.relative_to(cluster.data)) for p in cluster.data.rglob("*") if p.is_file())
    out = subprocess.run([BUILD / "tde" / "tde_files", "--major", "15"], input=paths, capture_output=True, text=True,
                         check=True).stdout
    assert [line for line in out.splitlines() if line.startswith("unknown ")] == []
    return {line.split()[0] for line in out.splitlines()}


def run(cluster):
    archive = cluster.folder / "archive"
    archive.mkdir()
    own(archive, 0o700)
    cluster.configure("archive_mode = on\narchive_command = 'cp %%p %s/%%f'" % archive, ["pg_stat_statements"])
    cluster.start()
    sessions = write_all(cluster)
    backed_up(cluster)
    archived(cluster)
    hits = found(cluster)
    classes = known(cluster)
    for session in sessions:
        session.close()
    spilled = cluster.sql("SELECT count(*) FROM pg_logical_slot_peek_changes('slot', NULL, NULL)"
                          " WHERE data LIKE '%%%s%%'" % mark("spill"))
    assert spilled == [(60000,)]
    assert cluster.sql("SELECT min(spill_count) > 0 FROM pg_stat_replication_slots") == [(True,)]
    return hits, classes


def test_canary(make):
    plain = make("plain", None)
    hits, _ = run(plain)
    for where, place in PLACES.items():
        assert any(path.startswith(place) for path in hits.get(mark(where), ())), (where, hits.get(mark(where)))
    for place in ("pg_wal/", "archive/", "backup/base/"):
        assert any(path.startswith(place) for path in hits[mark("heap")] | hits[mark("spill")]), place
    plain.stop()
    assert "pg_stat/pg_stat_statements.stat" in found(plain)[mark("text")]

    cluster = make("canary", Keys())
    hits, classes = run(cluster)
    assert hits == {}
    assert classes >= {"rel", "wal", "slru", "temp", "state", "texts", "clear"}
    cluster.kill()
    assert found(cluster) == {}
    cluster.start()
    assert cluster.sql("SELECT count(*) FROM heap") == [(200,)]
    cluster.sql("COMMIT PREPARED '%s'" % mark("twophase"))
    assert cluster.sql("SELECT count(*) FROM heap") == [(201,)]
    cluster.stop()
    assert found(cluster) == {}
    known(cluster)
    assert "not known to the encryption layer" not in cluster.log()


def test_archive(make, work):
    """The archive is ciphertext under the segments' own names; a restore to a moment reads it."""
    archive = work / "archive"
    archive.mkdir()
    shutil.chown(archive, "postgres")
    keys = Keys()
    cluster = make("archived", keys, "archive_mode = on\narchive_command = 'cp %%p %s/%%f'" % archive)
    cluster.start()
    cluster.sql("CREATE TABLE t (v text)")
    with contextlib.closing(cluster.connect()) as session, session.cursor() as cursor:
        cursor.execute("SELECT pg_backup_start('b', true)")
        subprocess.run(["cp", "-a", cluster.data, work / "base"], check=True)
        cursor.execute("SELECT labelfile FROM pg_backup_stop()")
        ((label,),) = cursor.fetchall()
    (work / "base" / "backup_label").write_text(label, encoding="utf-8")
    shutil.chown(work / "base" / "backup_label", "postgres")
    cluster.sql("INSERT INTO t SELECT '%s' || g FROM generate_series(1, %d) g" % (mark("heap"), ROWS),
                "SELECT pg_switch_wal()", "INSERT INTO t SELECT 'late'", "SELECT pg_switch_wal()")
    cluster.stop()
    assert len(list(archive.iterdir())) >= 3
    assert subprocess.run(["grep", "-raq", "CANARY", archive], check=False).returncode == 1
    shutil.rmtree(cluster.data)
    (work / "base").rename(cluster.data)
    (cluster.data / "postmaster.pid").unlink()
    (cluster.data / "recovery.signal").touch()
    with open(cluster.data / "postgresql.conf", "a", encoding="utf-8") as conf:
        conf.write("restore_command = 'cp %s/%%f %%p'\nrecovery_target_action = promote\n" % archive)
    shutil.chown(cluster.data / "recovery.signal", "postgres")
    for segment in (cluster.data / "pg_wal").glob("0*"):
        segment.unlink()
    cluster.start()
    promoted = time.monotonic() + 60
    while "archive recovery complete" not in cluster.log() and time.monotonic() < promoted:
        time.sleep(0.05)
    assert cluster.sql("SELECT count(*) FROM t") == [(ROWS + 1,)]
    assert "selected new timeline ID: 2" in cluster.log()
    cluster.stop()
    assert found(cluster) == {}
