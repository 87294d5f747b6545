\echo Use "CREATE EXTENSION keystead" to load this file. \quit

-- Not taken over if it exists: somebody else's schema could hold, or later be given, objects of his under our names.
CREATE SCHEMA keystead;

-- Roles belong to the cluster: another database's extension may have made them, or somebody who may make roles and
-- wants to be in them. Whoever is in them already is named.
DO $$
DECLARE
    members text;
BEGIN
    SELECT pg_catalog.string_agg(pg_catalog.format('%I in %I', m.rolname, g.rolname), ', ') INTO members
        FROM pg_catalog.pg_auth_members a
        JOIN pg_catalog.pg_roles g ON g.oid OPERATOR(pg_catalog.=) a.roleid
        JOIN pg_catalog.pg_roles m ON m.oid OPERATOR(pg_catalog.=) a.member
        WHERE g.rolname OPERATOR(pg_catalog.=) ANY (ARRAY['keystead_user', 'keystead_admin']::pg_catalog.name[])
            AND m.rolname OPERATOR(pg_catalog.<>) current_user;
    IF members IS NOT NULL THEN
        RAISE WARNING 'roles that existed already have rights to the keys of this database: %', members;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'keystead_user') THEN
        CREATE ROLE keystead_user NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'keystead_admin') THEN
        CREATE ROLE keystead_admin NOLOGIN;
    END IF;
END
$$;

REVOKE ALL ON SCHEMA keystead FROM PUBLIC;
GRANT USAGE ON SCHEMA keystead TO keystead_user, keystead_admin;

-- The keys of this database. Nobody but the owner reads these two tables; the functions do it for everybody.

CREATE TABLE keystead.key (
    id uuid PRIMARY KEY,                        -- stands in every encrypted value
    name text NOT NULL UNIQUE CHECK (pg_catalog.octet_length(name) BETWEEN 1 AND 127),
    version integer NOT NULL CHECK (version > 0), -- what encrypts now
    created timestamptz NOT NULL DEFAULT pg_catalog.now()
);

CREATE TABLE keystead.data_key (
    key uuid NOT NULL REFERENCES keystead.key (id),
    version integer NOT NULL CHECK (version > 0),
    kms_identifier text NOT NULL,               -- the key at the KMS that wraps it
    system_identifier bigint NOT NULL,          -- the cluster and the database that it was wrapped for
    database oid NOT NULL,
    wrapped bytea NOT NULL,                     -- IV, ciphertext, tag; check of the key in the clear
    created timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (key, version)
);

REVOKE ALL ON keystead.key, keystead.data_key FROM PUBLIC;

-- pg_dump takes their rows along: wrapped keys, of no use without the KMS.
SELECT pg_catalog.pg_extension_config_dump('keystead.key', '');
SELECT pg_catalog.pg_extension_config_dump('keystead.data_key', '');

-- Whoever changes them, other sessions forget what they remember.
CREATE FUNCTION keystead.key_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'keystead_key_changed';
REVOKE ALL ON FUNCTION keystead.key_changed() FROM PUBLIC;

CREATE TRIGGER key_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON keystead.key
    FOR EACH STATEMENT EXECUTE FUNCTION keystead.key_changed();
CREATE TRIGGER key_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON keystead.data_key
    FOR EACH STATEMENT EXECUTE FUNCTION keystead.key_changed();
ALTER TABLE keystead.key ENABLE ALWAYS TRIGGER key_changed;
ALTER TABLE keystead.data_key ENABLE ALWAYS TRIGGER key_changed;

-- Encryption. Restricted to the leader of a parallel query: each worker would connect and unwrap for itself.

CREATE FUNCTION keystead.encrypt(key text, value bytea) RETURNS bytea
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'keystead_encrypt';
COMMENT ON FUNCTION keystead.encrypt(text, bytea) IS 'encrypts a value under the current data key of a key';

CREATE FUNCTION keystead.decrypt(key text, value bytea) RETURNS bytea
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'keystead_decrypt';
COMMENT ON FUNCTION keystead.decrypt(text, bytea) IS 'decrypts what keystead.encrypt made with that key, in any version';

CREATE FUNCTION keystead.encrypt_text(key text, value text) RETURNS bytea
    LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED
    AS $$ SELECT keystead.encrypt($1, pg_catalog.convert_to($2, 'UTF8')) $$;
COMMENT ON FUNCTION keystead.encrypt_text(text, text) IS 'encrypts a text, as UTF-8';

CREATE FUNCTION keystead.decrypt_text(key text, value bytea) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
    AS $$ SELECT pg_catalog.convert_from(keystead.decrypt($1, $2), 'UTF8') $$;
COMMENT ON FUNCTION keystead.decrypt_text(text, bytea) IS 'decrypts what keystead.encrypt_text made';

CREATE FUNCTION keystead.forget_keys() RETURNS integer
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'keystead_forget_keys';
COMMENT ON FUNCTION keystead.forget_keys() IS 'wipes the data keys that this session holds; returns how many there were';

-- Management.

CREATE FUNCTION keystead.create_key(name text) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'keystead_create_key';
COMMENT ON FUNCTION keystead.create_key(text) IS 'makes a key at the KMS and its first data key here; returns the identifier at the KMS';

CREATE FUNCTION keystead.rotate(key text) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'keystead_rotate';
COMMENT ON FUNCTION keystead.rotate(text) IS 'replaces the key at the KMS and begins a new data key; returns the new identifier at the KMS';

CREATE FUNCTION keystead.adopt_keys() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'keystead_adopt_keys';
COMMENT ON FUNCTION keystead.adopt_keys() IS 'takes over the keys of the database that this one was restored from; returns how many data keys';

CREATE FUNCTION keystead.list_keys(
    OUT name text, OUT identifier text, OUT version integer, OUT state text, OUT algorithm text, OUT length integer,
    OUT created timestamptz, OUT activated timestamptz, OUT deactivated timestamptz, OUT problem text)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'keystead_list_keys';

CREATE VIEW keystead.keys AS SELECT * FROM keystead.list_keys();
COMMENT ON VIEW keystead.keys IS 'the keys of this database, as the KMS describes them now';

-- Rights: nothing for everybody.

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA keystead FROM PUBLIC;
REVOKE ALL ON keystead.keys FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keystead.encrypt(text, bytea), keystead.decrypt(text, bytea),
    keystead.encrypt_text(text, text), keystead.decrypt_text(text, bytea), keystead.forget_keys()
    TO keystead_user;
GRANT EXECUTE ON FUNCTION keystead.create_key(text), keystead.rotate(text), keystead.forget_keys() TO keystead_admin;
GRANT EXECUTE ON FUNCTION keystead.list_keys() TO keystead_user, keystead_admin;
GRANT SELECT ON keystead.keys TO keystead_user, keystead_admin;
