"""What transactions that fail in part leave behind: at the KMS, in the tables, in a session's memory."""

import contextlib
import threading
import time

import pytest

from cluster import WATCHDOG, psycopg2, sql, value, wait_until
from test_story import CARD, decrypt, encrypt, fresh, key, version_of  # noqa: F401 (key is a fixture)


# ---- Keys at the KMS


def test_a_key_that_a_savepoint_brings_back_was_not_destroyed(db):
    """The KEK is out of use only until ROLLBACK TO; another create_key must not clean it up meanwhile."""
    name = fresh()
    sql(db, "BEGIN")
    sql(db, "SELECT keystead.create_key(%s)", name)
    encrypted = encrypt(db, name)
    sql(db, "SAVEPOINT s")
    sql(db, "SELECT keystead.rotate(%s)", name)
    sql(db, "SELECT keystead.create_key(%s)", fresh())
    sql(db, "ROLLBACK TO s")
    sql(db, "COMMIT")
    sql(db, "SELECT keystead.forget_keys()")
    assert decrypt(db, name, encrypted) == CARD


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_key_undone_by_a_savepoint_leaves_its_name(db, end):
    name = fresh()
    sql(db, "BEGIN")
    sql(db, "SAVEPOINT s")
    sql(db, "SAVEPOINT t")
    sql(db, "SELECT keystead.create_key(%s)", name)
    sql(db, "RELEASE t")
    sql(db, "ROLLBACK TO s")
    sql(db, end)
    sql(db, "SELECT keystead.create_key(%s)", name)
    assert decrypt(db, name, encrypt(db, name)) == CARD


# ---- Data keys in memory


@pytest.mark.parametrize("statements", [
    ["SELECT 1 / 0", "SELECT 1"],  # the second finds a transaction that has failed already
    ["SAVEPOINT s", "SELECT 1 / 0"],
    ["SAVEPOINT s", "SELECT 1 / 0", "ROLLBACK TO s"],
    ["SAVEPOINT s", "SELECT 1 / 0", "ROLLBACK TO s", "COMMIT"],
    ["SAVEPOINT s", "SELECT 1 / 0", "SELECT 1", "ROLLBACK"],
    ["DO $$BEGIN PERFORM 1 / 0; EXCEPTION WHEN others THEN END$$"],
], ids=lambda statements: "; ".join(statements)[:40])
def test_idle_session_forgets_whatever_failed(db, key, statements):  # noqa: F811
    """PostgreSQL stops all timers with each error that reaches the client."""
    sql(db, "SET keystead.data_key_cache_ttl = '1s'")
    sql(db, "BEGIN")
    encrypt(db, key)
    for statement in statements:
        with contextlib.suppress(psycopg2.Error):
            sql(db, statement)
    time.sleep(1.5)
    with contextlib.suppress(psycopg2.Error):
        sql(db, "ROLLBACK")
    assert value(db, "SELECT keystead.forget_keys()") == 0


def test_caught_errors_cost_no_key(db, key):  # noqa: F811
    """A PL/pgSQL exception handler is no reason to ask the KMS again."""
    sql(db, "SET keystead.data_key_cache_ttl = '1d'")
    encrypt(db, key)
    sql(db, "DO $$BEGIN PERFORM 1 / 0; EXCEPTION WHEN others THEN END$$")
    assert value(db, "SELECT keystead.forget_keys()") == 1


# ---- Names in memory


def test_rotation_during_a_parallel_query(cluster, db, key):  # noqa: F811
    """A parallel query sees the keys as of its beginning; what it saw is not for later statements."""
    sql(db, "CREATE TABLE big AS SELECT i FROM generate_series(1, 5000) i")
    sql(db, "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0")
    sql(db, "SET max_parallel_workers_per_gather = 2")
    statement = ("SELECT max(get_byte(c, 20)) FROM (SELECT pg_advisory_lock_shared(7), keystead.encrypt('%s', 'x') AS c "
                 "FROM big WHERE i %% 100 = 0 OFFSET 0) t" % key)
    assert "Gather" in repr(sql(db, "EXPLAIN " + statement))
    with contextlib.closing(cluster.connect(db.info.dbname)) as other:
        sql(other, "SELECT pg_advisory_lock(7)")
        thread = threading.Thread(target=sql, args=(db, statement))
        thread.start()
        wait_until("the query waits", lambda: value(
            other, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") > 0)
        sql(other, "SELECT keystead.rotate(%s)", key)
        sql(other, "SELECT pg_advisory_unlock(7)")
        thread.join(WATCHDOG)
    assert not thread.is_alive()
    assert version_of(encrypt(db, key)) == 2
