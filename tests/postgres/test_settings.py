"""Settings, rights and errors that need no key management system."""

import contextlib

import pytest

from cluster import refused, sql, value

FILES = ["config_file", "ca_file", "certificate_file", "key_file"]
ALL = FILES + ["servers", "connect_timeout", "request_timeout", "data_key_cache_ttl"]


@pytest.fixture
def database(cluster):
    with cluster.database("settings") as connection:
        yield connection


@pytest.fixture
def user(cluster, database):
    """A session of an ordinary user who may use keys."""
    sql(database, "DROP ROLE IF EXISTS settings_user")
    sql(database, "CREATE ROLE settings_user LOGIN")
    sql(database, "GRANT keystead_user TO settings_user")
    with contextlib.closing(cluster.connect("settings", "settings_user")) as connection:
        yield connection


@pytest.fixture
def stranger(cluster, database):
    """A session of a user who was granted nothing."""
    sql(database, "DROP ROLE IF EXISTS settings_stranger")
    sql(database, "CREATE ROLE settings_stranger LOGIN")
    with contextlib.closing(cluster.connect("settings", "settings_stranger")) as connection:
        yield connection


def test_nothing_configured(database):
    with refused("F0000", "no key management server is configured", "keystead.config_file"):
        sql(database, "SELECT keystead.create_key('a')")


@pytest.mark.parametrize("name", FILES)
def test_relative_file_is_refused(database, name):
    sql(database, "LOAD 'keystead'")
    with refused("22023", "absolute path"):
        sql(database, "SET keystead.%s = 'some/file.pem'" % name)


@pytest.mark.parametrize("servers", ["a,,b", "kms:99999", "kms:port", ":5696", ","])
def test_wrong_server_list_is_refused(database, servers):
    sql(database, "LOAD 'keystead'")
    with refused("22023", "host:port"):
        sql(database, "SET keystead.servers = %s", servers)


def test_server_lists(database):
    sql(database, "LOAD 'keystead'")
    for servers in ["kms1", "kms1.example:5696, kms2.example", "127.0.0.1:1", "[::1]:5696,[2001:db8::1]", ""]:
        sql(database, "SET keystead.servers = %s", servers)


def test_unknown_setting_is_refused(database):
    sql(database, "LOAD 'keystead'")
    with refused("42602", "keystead"):
        sql(database, "SET keystead.cache_tll = 5")


def test_missing_file_is_named(database):
    sql(database, "SET keystead.servers = '127.0.0.1:1'")
    sql(database, "SET keystead.ca_file = '/nonexistent/ca.pem'")
    sql(database, "SET keystead.certificate_file = '/nonexistent/client.pem'")
    sql(database, "SET keystead.key_file = '/nonexistent/client.key'")
    with refused("F0000", "/nonexistent/ca.pem"):
        sql(database, "SELECT keystead.create_key('a')")


@pytest.mark.parametrize("name", ALL)
def test_ordinary_user_may_not_set(user, name):
    sql(user, "SELECT keystead.forget_keys()")  # loads the library
    with refused("42501", "keystead." + name):
        sql(user, "SET keystead.%s = '1000'" % name)


@pytest.mark.parametrize("name", ALL)
def test_setting_before_the_library_is_loaded_does_not_count(cluster, database, user, name):
    """Before that PostgreSQL does not know the setting and lets anybody set it; it must not survive."""
    sql(database, "LOAD 'keystead'")
    before = value(database, "SELECT current_setting('keystead.%s')" % name)
    sql(user, "SET keystead.%s = '1234'" % name)
    sql(user, "SELECT keystead.forget_keys()")
    sql(database, "GRANT pg_read_all_settings TO settings_user")
    try:
        assert value(user, "SELECT current_setting('keystead.%s')" % name) == before
    finally:
        sql(database, "REVOKE pg_read_all_settings FROM settings_user")


@pytest.mark.parametrize("name", ALL)
def test_settings_at_connecting_do_not_count(cluster, database, user, name):
    sql(database, "LOAD 'keystead'")
    before = value(database, "SELECT current_setting('keystead.%s')" % name)
    sql(database, "GRANT pg_read_all_settings TO settings_user")
    options = "-c keystead.%s=/1234" % name if name in FILES else "-c keystead.%s=1234" % name
    with contextlib.closing(cluster.connect("settings", "settings_user", options)) as connection:
        sql(connection, "SELECT keystead.forget_keys()")
        assert value(connection, "SELECT current_setting('keystead.%s')" % name) == before


@pytest.mark.parametrize("name", ALL)
def test_ordinary_user_may_not_set_for_his_role(user, name):
    with refused("42501", "keystead." + name):
        sql(user, "ALTER ROLE settings_user SET keystead.%s = '1234'" % name)


@pytest.mark.parametrize("name", FILES + ["servers"])
def test_ordinary_user_may_not_see(user, name):
    sql(user, "SELECT keystead.forget_keys()")
    with refused("42501"):
        sql(user, "SHOW keystead.%s" % name)


@pytest.mark.parametrize("table", ["key", "data_key"])
def test_ordinary_user_may_not_touch_the_tables(user, table):
    for statement in ["SELECT * FROM keystead.%s", "DELETE FROM keystead.%s", "TRUNCATE keystead.%s CASCADE",
                      "UPDATE keystead.%s SET version = 1"]:
        with refused("42501", table):
            sql(user, statement % table)


def test_keystead_user_may_not_manage(user):
    for statement in ["SELECT keystead.create_key('a')", "SELECT keystead.rotate('a')",
                      "SELECT keystead.adopt_keys()"]:
        with refused("42501", "permission denied for function"):
            sql(user, statement)


def test_stranger_may_do_nothing(stranger):
    for statement in ["SELECT keystead.encrypt('a', 'x')", "SELECT keystead.decrypt('a', 'x')",
                      "SELECT * FROM keystead.keys", "SELECT keystead.forget_keys()"]:
        with refused("42501", "keystead"):
            sql(stranger, statement)


def test_no_function_is_public(database):
    assert sql(database, """
        SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
        WHERE pronamespace = 'keystead'::regnamespace AND a.grantee = 0""") == []


def test_nothing_runs_with_its_owners_rights(database):
    assert sql(database, "SELECT proname FROM pg_proc WHERE pronamespace = 'keystead'::regnamespace AND prosecdef") == []


def test_hostile_search_path(cluster, database, user):
    """A user's own operators and functions are not called while the extension reads its tables as their owner."""
    sql(database, "DROP SCHEMA IF EXISTS hostile CASCADE")
    sql(database, "CREATE SCHEMA hostile AUTHORIZATION settings_user")
    sql(user, """CREATE FUNCTION hostile.eq(text, text) RETURNS boolean LANGUAGE plpgsql
                 AS $$BEGIN RAISE EXCEPTION 'hostile code ran as %', current_user; END$$""")
    sql(user, "CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.eq)")
    sql(user, "SET search_path = hostile, pg_catalog")
    with refused("42704", 'key "a" does not exist'):
        sql(user, "SELECT keystead.encrypt('a', 'x'::bytea)")
    sql(user, "DROP SCHEMA hostile CASCADE")


def test_schema_of_somebody_else_is_refused(cluster):
    with contextlib.closing(cluster.connect()) as admin:
        sql(admin, "DROP DATABASE IF EXISTS squatted WITH (FORCE)")
        sql(admin, "CREATE DATABASE squatted")
        sql(admin, "DROP ROLE IF EXISTS squatter")
        sql(admin, "CREATE ROLE squatter")
    with contextlib.closing(cluster.connect("squatted")) as admin:
        sql(admin, "CREATE SCHEMA keystead AUTHORIZATION squatter")
        with refused("42P06", 'schema "keystead" already exists'):
            sql(admin, "CREATE EXTENSION keystead")


@pytest.mark.parametrize("name", ["", "x" * 128, "a\nb"])
def test_impossible_names(database, name):
    sql(database, "SET keystead.servers = '127.0.0.1:1'")
    with refused("42602", "name of a key"):
        sql(database, "SELECT keystead.create_key(%s)", name)


def test_members_of_roles_that_were_there_before_are_named(cluster):
    """Who may make roles could have made ours, with himself in them, before the extension came."""
    with contextlib.closing(cluster.connect()) as admin:
        sql(admin, "DROP ROLE IF EXISTS early_bird")
        sql(admin, "CREATE ROLE early_bird")
        with cluster.database("early"):  # makes the roles, if this is the first
            sql(admin, "GRANT keystead_user TO early_bird")
        with cluster.database("late") as connection:
            assert any("keystead_user" in notice and "early_bird" in notice for notice in connection.notices)
        sql(admin, "DROP ROLE early_bird")


def test_names_are_the_same_in_every_encoding(cluster, database):
    """KMIP and the binding of a data key have UTF-8; a name that other databases write otherwise is none."""
    with contextlib.closing(cluster.connect()) as admin:
        sql(admin, "CREATE DATABASE latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        try:
            with contextlib.closing(cluster.connect("latin1")) as latin1:
                latin1.set_client_encoding("UTF8")
                sql(latin1, "CREATE EXTENSION keystead")
                with refused("42602", "UTF8"):
                    sql(latin1, "SELECT keystead.create_key('schl\u00fcssel')")
                with refused("F0000", "no key management server"):
                    sql(latin1, "SELECT keystead.create_key('key')")
        finally:
            sql(admin, "DROP DATABASE latin1 WITH (FORCE)")
    with refused("F0000", "no key management server"):
        sql(database, "SELECT keystead.create_key('schl\u00fcssel')")


def test_null_in_null_out(database):
    assert value(database, "SELECT keystead.encrypt('a', NULL)") is None
    assert value(database, "SELECT keystead.encrypt(NULL, 'x')") is None
    assert value(database, "SELECT keystead.decrypt('a', NULL)") is None
    assert value(database, "SELECT keystead.decrypt_text('a', NULL)") is None


def test_extension_can_be_dropped_and_made_again(database):
    sql(database, "DROP EXTENSION keystead")
    sql(database, "CREATE EXTENSION keystead")
    with refused("42704", 'key "a" does not exist'):
        sql(database, "SELECT keystead.encrypt('a', 'x'::bytea)")
