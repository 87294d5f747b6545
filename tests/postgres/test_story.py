"""Column encryption from beginning to end: a real PostgreSQL against a real Keystead server."""

import contextlib
import os
import subprocess
import threading
import time
import uuid

import pytest

from cluster import WATCHDOG, free_port, psycopg2, refused, sql, value, wait_until

CARD = b"4111 1111 1111 1111"


def fresh(what="key"):
    """A name that no other test uses: all tests share one KMS."""
    return "%s-%s" % (what, uuid.uuid4().hex[:12])


@pytest.fixture
def key(db):
    name = fresh()
    sql(db, "SELECT keystead.create_key(%s)", name)
    return name


def encrypt(connection, key, plaintext=CARD):
    return value(connection, "SELECT keystead.encrypt(%s, %s)", key, psycopg2.Binary(plaintext))


def decrypt(connection, key, encrypted):
    return value(connection, "SELECT keystead.decrypt(%s, %s)", key, psycopg2.Binary(encrypted))


def version_of(encrypted):
    return int.from_bytes(encrypted[17:21], "big")


def identifier(connection, key):
    return value(connection, "SELECT identifier FROM keystead.keys WHERE name = %s", key)


# ---- Keys and values


def test_create_encrypt_decrypt(db):
    name = fresh()
    uid = value(db, "SELECT keystead.create_key(%s)", name)
    encrypted = encrypt(db, name)
    assert CARD not in encrypted
    assert len(encrypted) == len(CARD) + 61
    assert decrypt(db, name, encrypted) == CARD
    assert identifier(db, name) == uid


def test_configuration_file(cluster, kms):
    """The file that enrolling wrote is all that has to be set; keystead.servers come before its own."""
    with cluster.database("enrolled", config_file=str(kms.client / "client.conf")) as connection:
        name = fresh()
        sql(connection, "SELECT keystead.create_key(%s)", name)
        encrypted = encrypt(connection, name)
        sql(connection, "SET keystead.servers = '127.0.0.1:%d'" % free_port())
        assert decrypt(connection, name, encrypted) == CARD  # the dead one first, then the file's
        sql(connection, "SET keystead.ca_file = '/nonexistent'")
        with refused("F0000", "/nonexistent"):
            decrypt(connection, name, encrypted)


@pytest.mark.parametrize("plaintext", [b"", b"\0", bytes(range(256)), os.urandom(3_000_000)], ids=len)
def test_any_value(db, key, plaintext):
    assert decrypt(db, key, encrypt(db, key, plaintext)) == plaintext


def test_text(db, key):
    encrypted = value(db, "SELECT keystead.encrypt_text(%s, %s)", key, "Größe 4111 \u4e2d")
    assert value(db, "SELECT keystead.decrypt_text(%s, %s)", key, psycopg2.Binary(encrypted)) == "Größe 4111 \u4e2d"


def test_equal_values_do_not_look_equal(db, key):
    sql(db, "CREATE TABLE t AS SELECT keystead.encrypt(%s, 'same'::bytea) AS c FROM generate_series(1, 1000)", key)
    assert value(db, "SELECT count(DISTINCT c) FROM t") == 1000
    assert value(db, "SELECT count(*) FROM t WHERE keystead.decrypt(%s, c) = 'same'", key) == 1000


def test_view(db, kms, key):
    ((name, uid, version, state, algorithm, length, created, activated, deactivated, problem),) = sql(
        db, "SELECT * FROM keystead.keys WHERE name = %s", key)
    assert (name, version, state, algorithm, length) == (key, 1, "Active", "AES", 256)
    assert created is not None and activated is not None and deactivated is None and problem is None
    kms.key("revoke", uid)
    state, deactivated = sql(db, "SELECT state, deactivated FROM keystead.keys WHERE name = %s", key)[0]
    assert state == "Deactivated" and deactivated is not None


def test_view_has_no_material(db, key):
    encrypt(db, key)
    shown = repr(sql(db, "SELECT k::text, to_jsonb(k) FROM keystead.keys k")).lower()
    wrapped = value(db, "SELECT wrapped FROM keystead.data_key")
    for part in (wrapped, wrapped[12:44]):
        assert part.hex() not in shown
    types = sql(db, "SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'keystead.keys'::regclass AND attnum > 0")
    assert ("bytea",) not in types


def test_key_does_not_leave_the_kms(kms, db, key):
    """Not even an administrator's Get gives the key out: it is sensitive and not extractable."""
    done = subprocess.run([kms.binary, "key", "get", identifier(db, key), "--dir", kms.dir], capture_output=True,
                          timeout=WATCHDOG, check=False)
    assert done.returncode != 0, done.stdout


def test_name_is_taken_here(db, key):
    with refused("42710", 'key "%s" already exists' % key, "keystead.rotate"):
        sql(db, "SELECT keystead.create_key(%s)", key)


def test_name_is_taken_at_the_kms(cluster, kms, db, key):
    with cluster.database("namesake", **kms.settings()) as other:
        with refused("42710", key, "127.0.0.1"):
            sql(other, "SELECT keystead.create_key(%s)", key)


def test_rolled_back_key_leaves_no_trace(db):
    name = fresh()
    sql(db, "BEGIN")
    sql(db, "SELECT keystead.create_key(%s)", name)
    encrypted = encrypt(db, name)
    assert decrypt(db, name, encrypted) == CARD
    sql(db, "ROLLBACK")
    with refused("42704", name):
        encrypt(db, name)
    sql(db, "SELECT keystead.create_key(%s)", name)
    with refused("22000", "an unknown key"):
        decrypt(db, name, encrypted)


def test_savepoint(db, key):
    sql(db, "BEGIN")
    sql(db, "SAVEPOINT s")
    sql(db, "SELECT keystead.rotate(%s)", key)
    assert version_of(encrypt(db, key)) == 2
    sql(db, "ROLLBACK TO s")
    kept = encrypt(db, key)
    assert version_of(kept) == 1
    sql(db, "COMMIT")
    assert decrypt(db, key, kept) == CARD


# ---- Wrong values


def test_unknown_key(db):
    with refused("42704", 'key "nobody" does not exist', "keystead.create_key"):
        encrypt(db, "nobody")
    with refused("42704", 'key "nobody" does not exist'):
        decrypt(db, "nobody", bytes(100))


def test_not_a_value(db, key):
    for nonsense in (b"", b"\x01", CARD, b"\x02" + encrypt(db, key)[1:]):
        with refused("22P03", "not a value that keystead.encrypt made"):
            decrypt(db, key, nonsense)


def test_changed_value(db, key):
    encrypted = encrypt(db, key)
    for position in (21, 33, 45, len(encrypted) - 1):
        changed = bytearray(encrypted)
        changed[position] ^= 1
        with refused("XX001", "was changed"):
            decrypt(db, key, bytes(changed))


def test_value_of_another_key(db, key):
    other = fresh("other")
    sql(db, "SELECT keystead.create_key(%s)", other)
    encrypted = encrypt(db, key)
    with refused("22000", other, 'It names key "%s"' % key):
        decrypt(db, other, encrypted)
    moved = encrypted[:1] + encrypt(db, other)[1:17] + encrypted[17:]  # given the other key's identifier
    with refused("XX001", "was changed"):
        decrypt(db, other, moved)


def test_value_of_a_version_that_never_was(db, key):
    encrypted = encrypt(db, key)
    with refused("42704", "data key version 9"):
        decrypt(db, key, encrypted[:17] + (9).to_bytes(4, "big") + encrypted[21:])


def test_data_key_moved_to_another_key(db, key):
    """Whoever can write to the tables still cannot make a wrapped key serve another name or version."""
    other = fresh("other")
    sql(db, "SELECT keystead.create_key(%s)", other)
    sql(db, """UPDATE keystead.data_key SET (wrapped, kms_identifier) = (
                   SELECT wrapped, kms_identifier FROM keystead.data_key d JOIN keystead.key k ON k.id = d.key
                   WHERE name = %s)
               WHERE key = (SELECT id FROM keystead.key WHERE name = %s)""", key, other)
    with refused("XX001", "could not unwrap data key 1"):
        encrypt(db, other)


# ---- Rotation


def test_rotation(db, kms, key):
    old_uid = identifier(db, key)
    old = encrypt(db, key)
    new_uid = value(db, "SELECT keystead.rotate(%s)", key)
    assert new_uid != old_uid
    assert identifier(db, key) == new_uid
    new = encrypt(db, key)
    assert (version_of(old), version_of(new)) == (1, 2)
    assert decrypt(db, key, old) == decrypt(db, key, new) == CARD

    kms.key("revoke", old_uid)  # nothing depends on the replaced key any more
    sql(db, "SELECT keystead.forget_keys()")
    assert decrypt(db, key, old) == decrypt(db, key, new) == CARD


def test_rotation_is_seen_by_other_sessions(cluster, db, key):
    with contextlib.closing(cluster.connect(db.info.dbname)) as other:
        assert version_of(encrypt(other, key)) == 1
        sql(db, "SELECT keystead.rotate(%s)", key)
        assert version_of(encrypt(other, key)) == 2


def test_rolled_back_rotation(db, key):
    old = encrypt(db, key)
    sql(db, "BEGIN")
    sql(db, "SELECT keystead.rotate(%s)", key)
    lost = encrypt(db, key)
    assert version_of(lost) == 2
    sql(db, "ROLLBACK")
    assert version_of(encrypt(db, key)) == 1
    with refused("42704", "data key version 2"):
        decrypt(db, key, lost)
    sql(db, "SELECT keystead.rotate(%s)", key)
    assert version_of(encrypt(db, key)) == 2
    assert decrypt(db, key, old) == CARD
    with refused("XX001"):  # the same version number, but another data key
        decrypt(db, key, lost)


def test_rotation_at_the_kms_is_followed(db, kms, key):
    old = encrypt(db, key)
    kms.key("rotate", identifier(db, key))
    assert decrypt(db, key, old) == CARD
    first = value(db, "SELECT keystead.rotate(%s)", key)
    second = value(db, "SELECT keystead.rotate(%s)", key)
    assert first != second
    assert decrypt(db, key, old) == CARD


def test_concurrent_rotations(cluster, db, key):
    old = encrypt(db, key)
    in_parallel(cluster, db.info.dbname, 4, lambda session, i: sql(session, "SELECT keystead.rotate(%s)", key))
    assert value(db, "SELECT version FROM keystead.keys WHERE name = %s", key) == 5
    assert decrypt(db, key, old) == CARD
    assert version_of(encrypt(db, key)) == 5


def in_parallel(cluster, database, n, work):
    """Runs work(session, i) in n sessions at once; raises the first failure."""
    failures = []
    barrier = threading.Barrier(n)

    def run(i):
        try:
            with contextlib.closing(cluster.connect(database)) as session:
                barrier.wait(WATCHDOG)
                work(session, i)
        except Exception as failure:  # handed to the main thread
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WATCHDOG)
        assert not thread.is_alive(), "a session hangs"
    if failures:
        raise failures[0]


def test_eight_sessions(cluster, db, key):
    sql(db, "CREATE TABLE cards (session int, c bytea)")

    def work(session, i):
        for _ in range(20):
            sql(session, "INSERT INTO cards SELECT %s, keystead.encrypt(%s, %s) FROM generate_series(1, 5)", i, key,
                psycopg2.Binary(b"session %d" % i))
            assert value(session, "SELECT count(*) FROM cards WHERE session = %s AND keystead.decrypt(%s, c) = %s", i,
                         key, psycopg2.Binary(b"session %d" % i)) % 5 == 0
    in_parallel(cluster, db.info.dbname, 8, work)
    assert value(db, "SELECT count(DISTINCT c) FROM cards") == 800
    assert value(db, "SELECT count(*) FROM cards WHERE keystead.decrypt_text(%s, c) = 'session ' || session", key) == 800


def test_parallel_query(db, key):
    sql(db, "CREATE TABLE big AS SELECT keystead.encrypt(%s, int4send(i)) AS c FROM generate_series(1, 5000) i", key)
    sql(db, "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0")
    sql(db, "SET max_parallel_workers_per_gather = 2")
    statement = "SELECT count(keystead.decrypt('%s', c)) FROM (SELECT c FROM big WHERE length(c) > 0 OFFSET 0) t" % key
    assert "Gather" in repr(sql(db, "EXPLAIN " + statement))
    sql(db, "SELECT keystead.forget_keys()")
    assert value(db, statement) == 5000


# ---- Revocation


def test_revoked_key_is_refused_after_the_ttl(db, kms, key):
    encrypted = encrypt(db, key)
    sql(db, "SET keystead.data_key_cache_ttl = '1s'")
    assert decrypt(db, key, encrypted) == CARD
    kms.key("revoke", identifier(db, key))

    def is_refused():
        try:
            decrypt(db, key, encrypted)
            return False
        except psycopg2.Error as error:
            assert error.pgcode == "42501"
            return True
    wait_until("the key is refused", is_refused)
    with refused("42501", "could not unwrap data key 1", "Deactivated", "revoked"):
        encrypt(db, key)


@pytest.mark.parametrize("forget", ["SELECT keystead.forget_keys()", "DISCARD ALL"])
def test_revoked_key_is_refused_when_forgotten(cluster, db, kms, key, forget):
    sql(db, "ALTER DATABASE %s SET keystead.data_key_cache_ttl = '1d'" % psycopg2.extensions.quote_ident(db.info.dbname, db))
    with contextlib.closing(cluster.connect(db.info.dbname)) as session:
        encrypted = encrypt(session, key)
        kms.key("revoke", identifier(session, key))
        assert decrypt(session, key, encrypted) == CARD  # what the cache is for
        sql(session, forget)
        with refused("42501", "Deactivated"):
            decrypt(session, key, encrypted)


def test_revoked_key_is_refused_at_once_without_a_cache(db, kms, key):
    sql(db, "SET keystead.data_key_cache_ttl = 0")
    encrypted = encrypt(db, key)
    kms.key("revoke", identifier(db, key))
    with refused("42501", "Deactivated"):
        decrypt(db, key, encrypted)
    assert value(db, "SELECT keystead.forget_keys()") == 0


def test_compromised_and_destroyed_keys_are_refused(db, kms, key):
    encrypted = encrypt(db, key)
    uid = identifier(db, key)
    kms.key("revoke", uid, "--reason", "key-compromise")
    sql(db, "SELECT keystead.forget_keys()")
    with refused("42501", "Compromised"):
        decrypt(db, key, encrypted)
    kms.key("destroy", uid)
    with refused("42501"):
        decrypt(db, key, encrypted)


def test_rotation_of_a_revoked_key_is_refused(db, kms, key):
    kms.key("revoke", identifier(db, key))
    with refused("42501"):
        sql(db, "SELECT keystead.rotate(%s)", key)


def test_idle_session_forgets(db, key):
    """The timer wipes: forget_keys counts what is still in memory, used or not."""
    sql(db, "SET keystead.data_key_cache_ttl = '1s'")
    encrypt(db, key)
    time.sleep(1.5)
    assert value(db, "SELECT keystead.forget_keys()") == 0


def test_idle_session_forgets_after_an_error_too(db, key):
    sql(db, "SET keystead.data_key_cache_ttl = '1s'")
    encrypt(db, key)
    with refused("22012"):
        sql(db, "SELECT 1 / 0")
    time.sleep(1.5)
    assert value(db, "SELECT keystead.forget_keys()") == 0


def test_forget_keys_counts(db, key):
    sql(db, "SET keystead.data_key_cache_ttl = '1d'")
    old = encrypt(db, key)
    assert value(db, "SELECT keystead.forget_keys()") == 1
    sql(db, "SELECT keystead.rotate(%s)", key)
    encrypt(db, key)
    decrypt(db, key, old)
    assert value(db, "SELECT keystead.forget_keys()") == 2
    assert value(db, "SELECT keystead.forget_keys()") == 0


# ---- The KMS goes away and comes back


def test_kms_stopped_and_started(db, kms, key):
    encrypted = encrypt(db, key)
    kms.stop()
    try:
        assert decrypt(db, key, encrypted) == CARD  # from the cache
        sql(db, "SELECT keystead.forget_keys()")
        with refused("08001", "127.0.0.1:%d" % kms.port):
            decrypt(db, key, encrypted)
    finally:
        kms.start()
    assert decrypt(db, key, encrypted) == CARD


def test_kms_hangs(db, kms, key):
    sql(db, "SET keystead.request_timeout = '1s'")
    encrypted = encrypt(db, key)
    sql(db, "SELECT keystead.forget_keys()")
    kms.pause()
    try:
        with refused("08006", "127.0.0.1:%d" % kms.port, "keystead.request_timeout"):
            decrypt(db, key, encrypted)
    finally:
        kms.resume()
    sql(db, "SET keystead.request_timeout = '10s'")
    assert decrypt(db, key, encrypted) == CARD


# ---- Ordinary users


def test_user(cluster, db, key):
    sql(db, "DROP ROLE IF EXISTS story_user")
    sql(db, "CREATE ROLE story_user LOGIN IN ROLE keystead_user")
    with contextlib.closing(cluster.connect(db.info.dbname, "story_user")) as user:
        assert decrypt(user, key, encrypt(user, key)) == CARD
        assert value(user, "SELECT state FROM keystead.keys WHERE name = %s", key) == "Active"
        assert value(user, "SELECT current_user") == "story_user"
        with refused("42501"):
            sql(user, "SELECT wrapped FROM keystead.data_key")


def test_admin_role(cluster, db):
    sql(db, "DROP ROLE IF EXISTS story_admin")
    sql(db, "CREATE ROLE story_admin LOGIN IN ROLE keystead_admin")
    name = fresh()
    with contextlib.closing(cluster.connect(db.info.dbname, "story_admin")) as admin:
        sql(admin, "SELECT keystead.create_key(%s)", name)
        sql(admin, "SELECT keystead.rotate(%s)", name)
        with refused("42501", "permission denied for function encrypt"):
            encrypt(admin, name)
    assert decrypt(db, name, encrypt(db, name)) == CARD


# ---- Disk and dumps


def on_disk(cluster, marker):
    found = subprocess.run(["grep", "-r", "-l", "-a", "-F", marker, cluster.data], capture_output=True, text=True,
                           check=False, timeout=WATCHDOG)
    return found.stdout.split()


def test_plaintext_is_not_on_disk(cluster, db, key):
    secret, clear = uuid.uuid4().hex, uuid.uuid4().hex
    sql(db, "CREATE TABLE cards (clear text, c bytea)")
    sql(db, "INSERT INTO cards VALUES (%s, keystead.encrypt_text(%s, %s))", clear, key, secret)
    sql(db, "CHECKPOINT")
    assert on_disk(cluster, clear)  # what is not encrypted would be found
    assert not on_disk(cluster, secret)
    dump = cluster.run("pg_dump", "-h", cluster.folder, db.info.dbname)
    assert clear in dump
    assert secret not in dump and secret.encode().hex() not in dump


def test_dump_and_restore(cluster, kms, db, key):
    sql(db, "CREATE TABLE cards (c bytea)")
    sql(db, "INSERT INTO cards VALUES (keystead.encrypt(%s, 'one'))", key)
    sql(db, "SELECT keystead.rotate(%s)", key)
    sql(db, "INSERT INTO cards VALUES (keystead.encrypt(%s, 'two'))", key)
    dump = cluster.run("pg_dump", "-h", cluster.folder, db.info.dbname)

    restored = db.info.dbname[:50] + "_2"
    with cluster.database(restored, **kms.settings()) as copy:
        sql(copy, "DROP EXTENSION keystead")
        cluster.run("psql", "-h", cluster.folder, "-v", "ON_ERROR_STOP=1", "-q", restored, input=dump)
        with refused("55000", "came from another database", "keystead.adopt_keys()"):
            sql(copy, "SELECT keystead.decrypt(%s, c) FROM cards", key)
        assert value(copy, "SELECT problem FROM keystead.keys WHERE name = %s", key) is not None
        assert value(copy, "SELECT keystead.adopt_keys()") == 2
        assert value(copy, "SELECT keystead.adopt_keys()") == 0
        assert value(copy, "SELECT string_agg(convert_from(keystead.decrypt(%s, c), 'UTF8'), ',') FROM cards",
                     key) == "one,two"
        assert version_of(encrypt(copy, key)) == 2
    assert value(db, "SELECT count(keystead.decrypt(%s, c)) FROM cards", key) == 2  # the original is as it was


def test_standby_reads(cluster, kms, db, key, work):
    """A physical standby has the same identity: it decrypts, and follows a rotation."""
    sql(db, "CREATE TABLE cards AS SELECT keystead.encrypt(%s, 'one') AS c", key)
    folder = work / "standby"
    folder.mkdir()
    os.chown(folder, *[os.stat(cluster.folder).st_uid] * 2)
    data = folder / "data"
    cluster.run("pg_basebackup", "-h", cluster.folder, "-D", data, "-R", "-c", "fast", "--no-sync")
    with open(data / "postgresql.conf", "a", encoding="utf-8") as conf:
        conf.write("unix_socket_directories = '%s'\n" % folder)
    cluster.run("pg_ctl", "-D", data, "-l", folder / "log", "-w", "start")
    try:
        standby = psycopg2.connect(host=str(folder), dbname=db.info.dbname, user="postgres")
        with contextlib.closing(standby):
            standby.autocommit = True
            assert value(standby, "SELECT pg_is_in_recovery()")
            assert value(standby, "SELECT keystead.decrypt(%s, c) FROM cards", key) == b"one"
            assert version_of(encrypt(standby, key)) == 1
            sql(db, "SELECT keystead.rotate(%s)", key)
            wait_until("the standby follows", lambda: version_of(encrypt(standby, key)) == 2)
            with refused("25006"):
                sql(standby, "SELECT keystead.rotate(%s)", key)
    finally:
        cluster.run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
