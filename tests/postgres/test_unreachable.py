"""The key management system is down, silent or not what it claims to be: an error in time, and cancelling works."""

import contextlib
import threading

import pytest

from cluster import WATCHDOG, SilentPeer, free_port, psycopg2, refused, sql, value

KEY = "00112233-4455-4677-8899-aabbccddeeff"


@contextlib.contextmanager
def database(cluster, certificates, port, **settings):
    """A database whose tables hold a key that only the KMS on that port could unwrap."""
    with cluster.database("unreachable", **certificates.settings(port), **settings) as connection:
        sql(connection, "INSERT INTO keystead.key VALUES (%s, 'cards', 1)", KEY)
        sql(connection, """INSERT INTO keystead.data_key SELECT %s, 1, 'kek-1', system_identifier, d.oid,
                           decode(repeat('00', 76), 'hex') FROM pg_control_system(), pg_database d
                           WHERE datname = current_database()""", KEY)
        yield connection


STATEMENTS = {
    "create_key": "SELECT keystead.create_key('new')",
    "encrypt": "SELECT keystead.encrypt('cards', 'x'::bytea)",
    "rotate": "SELECT keystead.rotate('cards')",
    "decrypt": "SELECT keystead.decrypt('cards', ('\\x01' || replace('%s', '-', '') || '00000001' || repeat('00', 40))::bytea)" % KEY,
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_nobody_listens(cluster, certificates, statement):
    port = free_port()
    with database(cluster, certificates, port) as connection:
        with refused("08001", "127.0.0.1:%d" % port, "key management server"):
            sql(connection, STATEMENTS[statement])
        assert value(connection, "SELECT 1") == 1


@pytest.mark.parametrize("statement", STATEMENTS)
def test_silence_ends_with_the_configured_time(cluster, certificates, silent, statement):
    with database(cluster, certificates, silent.port, connect_timeout="300", request_timeout="600") as connection:
        with refused("08006", "127.0.0.1:%d" % silent.port, "keystead.request_timeout"):
            sql(connection, STATEMENTS[statement])
        assert value(connection, "SELECT 1") == 1


def test_statement_timeout(cluster, certificates, silent):
    with database(cluster, certificates, silent.port, connect_timeout="600000", request_timeout="600000") as connection:
        sql(connection, "SET statement_timeout = '300ms'")
        with refused("57014", "statement timeout"):
            sql(connection, STATEMENTS["encrypt"])
        assert value(connection, "SELECT 1") == 1


def run_in_thread(connection, statement):
    """Starts a statement; returns a function that waits for its error."""
    result = []

    def work():
        try:
            sql(connection, statement)
        except psycopg2.Error as error:
            result.append(error)

    thread = threading.Thread(target=work)
    thread.start()

    def join():
        thread.join(WATCHDOG)
        assert not thread.is_alive(), "the statement hangs"
        return result[0]
    return join


@pytest.mark.parametrize("statement", STATEMENTS)
def test_cancel(cluster, certificates, silent, statement):
    with database(cluster, certificates, silent.port, connect_timeout="600000", request_timeout="600000") as connection:
        pid = connection.get_backend_pid()
        join = run_in_thread(connection, STATEMENTS[statement])
        assert silent.waiting.wait(WATCHDOG)
        with contextlib.closing(cluster.connect()) as admin:
            assert value(admin, "SELECT pg_cancel_backend(%s)", pid)
        assert join().pgcode == "57014"
        assert value(connection, "SELECT 1") == 1


def test_terminate(cluster, certificates, silent):
    with database(cluster, certificates, silent.port, connect_timeout="600000", request_timeout="600000"):
        with contextlib.closing(cluster.connect("unreachable")) as victim:
            pid = victim.get_backend_pid()
            join = run_in_thread(victim, STATEMENTS["encrypt"])
            assert silent.waiting.wait(WATCHDOG)
            with contextlib.closing(cluster.connect()) as admin:
                assert value(admin, "SELECT pg_terminate_backend(%s, %s)", pid, WATCHDOG * 1000)  # it has ended
            assert isinstance(join(), psycopg2.OperationalError)


def test_error_can_be_caught_in_plpgsql(cluster, certificates):
    with database(cluster, certificates, free_port()) as connection:
        sql(connection, """CREATE FUNCTION try() RETURNS text LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM keystead.encrypt('cards', 'x'::bytea);
                RETURN 'no error';
            EXCEPTION WHEN connection_exception OR sqlclient_unable_to_establish_sqlconnection THEN
                RETURN sqlstate || ' as ' || current_user;
            END $$""")
        assert value(connection, "SELECT try()") == "08001 as postgres"


def test_server_of_another_authority(cluster, certificates, work):
    """A server that shows a certificate of a CA that is not ours gets no request."""
    from cluster import Certificates
    peer = SilentPeer(Certificates(work / "other-certificates"))
    try:
        with database(cluster, certificates, peer.port) as connection:
            with refused("08001", "certificate"):
                sql(connection, STATEMENTS["encrypt"])
        assert not peer.waiting.is_set()
    finally:
        peer.close()


def test_second_server_is_tried(cluster, certificates, silent):
    """The first of the list is down: the request goes to the second (which is silent here, but was reached)."""
    dead = free_port()
    with database(cluster, certificates, silent.port, connect_timeout="300", request_timeout="900") as connection:
        sql(connection, "SET keystead.servers = '127.0.0.1:%d, 127.0.0.1:%d'" % (dead, silent.port))
        with refused("08001", "127.0.0.1:%d" % dead, "127.0.0.1:%d" % silent.port):
            sql(connection, STATEMENTS["encrypt"])
        assert silent.waiting.is_set()


def test_view_says_what_it_cannot_know(cluster, certificates):
    with database(cluster, certificates, free_port()) as connection:
        del connection.notices[:]
        ((name, identifier, version, state, problem),) = sql(
            connection, "SELECT name, identifier, version, state, problem FROM keystead.keys")
        assert (name, identifier, version, state) == ("cards", "kek-1", 1, None)
        assert problem == "cannot connect"
        assert any("could not be asked" in notice for notice in connection.notices)


def test_keys_of_another_database(cluster, certificates):
    with database(cluster, certificates, free_port()) as connection:
        sql(connection, "UPDATE keystead.data_key SET system_identifier = 1")
        with refused("55000", "came from another database", "keystead.adopt_keys()"):
            sql(connection, STATEMENTS["encrypt"])


def test_damaged_rows(cluster, certificates):
    with database(cluster, certificates, free_port()) as connection:
        sql(connection, "UPDATE keystead.data_key SET wrapped = 'short'")
        with refused("XX001", "has 5 bytes instead of 76"):
            sql(connection, STATEMENTS["encrypt"])
        sql(connection, "DELETE FROM keystead.data_key")
        with refused("42704", 'version 1 of key "cards" does not exist'):
            sql(connection, STATEMENTS["encrypt"])
