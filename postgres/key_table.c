#include "postgres/key_table.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "postgres/session.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

/* ---- Names that this backend remembers ---- */

enum { NAMES_MAX = 64 };

static struct {
    Oid key_table, data_key_table;
    bool registered;
    uint64_t generation; /* grows when everything is forgotten: what was read before is not to be remembered */
    size_t n, next;      /* next: the place that is overwritten when all are taken */
    struct {
        char name[KS_KEY_NAME_SIZE];
        struct ks_value_key key;
    } names[NAMES_MAX];
} tables;

void
ks_key_table_forget_names(void)
{
    tables.generation++;
    tables.n = 0;
    tables.next = 0;
}

/*
 * A data key goes with the names: a version that was made in a transaction that is rolled back may come again with
 * another key.
 */
static void
table_changed(Datum arg, Oid relation)
{
    (void)arg;
    if (relation != InvalidOid && relation != tables.key_table && relation != tables.data_key_table)
        return;
    ks_key_table_forget_names();
    (void)ks_session_forget_keys();
}

static void
remember(const char *name, const struct ks_value_key *key, uint64_t generation)
{
    if (generation != tables.generation)
        return;
    const size_t at = tables.n < NAMES_MAX ? tables.n++ : tables.next++ % NAMES_MAX;
    strlcpy(tables.names[at].name, name, KS_KEY_NAME_SIZE);
    tables.names[at].key = *key;
}

static bool
remembered(const char *name, struct ks_value_key *ret)
{
    for (size_t i = 0; i < tables.n; i++)
        if (strcmp(tables.names[i].name, name) == 0) {
            *ret = tables.names[i].key;
            return true;
        }
    return false;
}

/* ---- Queries as the tables' owner ---- */

struct scope {
    Oid user;
    int security;
    bool snapshot;
};

/* Finds the tables; their owner. */
static Oid
find_tables(void)
{
    const Oid schema = get_namespace_oid("keystead", true);
    tables.key_table = OidIsValid(schema) ? get_relname_relid("key", schema) : InvalidOid;
    tables.data_key_table = OidIsValid(schema) ? get_relname_relid("data_key", schema) : InvalidOid;
    HeapTuple row = OidIsValid(tables.key_table) && OidIsValid(tables.data_key_table)
                        ? SearchSysCache1(RELOID, ObjectIdGetDatum(tables.key_table))
                        : NULL;
    if (!HeapTupleIsValid(row))
        ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
                errmsg("extension \"keystead\" does not exist in this database"),
                errhint("Run CREATE EXTENSION keystead."));
    const Oid owner = ((Form_pg_class)GETSTRUCT(row))->relowner;
    ReleaseSysCache(row);
    if (!tables.registered) {
        CacheRegisterRelcacheCallback(table_changed, (Datum)0);
        tables.registered = true;
    }
    return owner;
}

/*
 * Reads see what is committed now, not what was when the statement began: with an invalidation in between the old
 * version would be remembered for good. (Within a parallel query the statement's snapshot is the only one there is.)
 * An error on the way leaves user and snapshot to the end of the transaction, which restores both.
 */
static struct scope
begin(void)
{
    struct scope scope;
    const Oid owner = find_tables();
    GetUserIdAndSecContext(&scope.user, &scope.security);
    SetUserIdAndSecContext(owner, scope.security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
    scope.snapshot = !IsInParallelMode();
    if (scope.snapshot)
        PushActiveSnapshot(GetLatestSnapshot());
    if (SPI_connect() != SPI_OK_CONNECT)
        elog(ERROR, "SPI_connect failed");
    return scope;
}

static void
end(const struct scope *scope)
{
    if (SPI_finish() != SPI_OK_FINISH)
        elog(ERROR, "SPI_finish failed");
    if (scope->snapshot)
        PopActiveSnapshot();
    SetUserIdAndSecContext(scope->user, scope->security);
}

enum { ARGS_MAX = 6 };

struct args {
    int n;
    Oid types[ARGS_MAX];
    Datum values[ARGS_MAX];
};

static void
add(struct args *args, Oid type, Datum value)
{
    Assert(args->n < ARGS_MAX);
    args->types[args->n] = type;
    args->values[args->n++] = value;
}

static void
add_id(struct args *args, const uint8_t id[KS_VALUE_ID])
{
    pg_uuid_t *uuid = palloc(sizeof(*uuid));
    memcpy(uuid->data, id, sizeof(uuid->data));
    add(args, UUIDOID, UUIDPGetDatum(uuid));
}

static void
add_bytes(struct args *args, const void *data, size_t len)
{
    bytea *value = palloc(VARHDRSZ + len);
    SET_VARSIZE(value, VARHDRSZ + len);
    memcpy(VARDATA(value), data, len);
    add(args, BYTEAOID, PointerGetDatum(value));
}

/* Returns the number of rows. */
static uint64
run(const char *sql, struct args *args, int expected)
{
    const bool read_only = expected == SPI_OK_SELECT && strstr(sql, "FOR UPDATE") == NULL;
    const int rc = SPI_execute_with_args(sql, args->n, args->types, args->values, NULL, read_only, 0);
    if (rc != expected)
        elog(ERROR, "unexpected result of a query on the extension's tables: %s", SPI_result_code_string(rc));
    return SPI_processed;
}

/* A column of a row; none of the extension's columns is ever null. */
static Datum
column(uint64 row, int number)
{
    bool null;
    const Datum value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, &null);
    if (null)
        elog(ERROR, "unexpected null in the extension's tables");
    return value;
}

static void
read_id(uint64 row, int number, struct ks_value_key *ret)
{
    memcpy(ret->id, DatumGetUUIDP(column(row, number))->data, KS_VALUE_ID);
    ret->version = (uint32_t)DatumGetInt32(column(row, number + 1));
}

static void
read_text(uint64 row, int number, char *ret, size_t size)
{
    const char *value = TextDatumGetCString(column(row, number));
    if (strlcpy(ret, value, size) >= size)
        elog(ERROR, "a name in the extension's tables is too long");
}

/* ---- The queries ---- */

#define EQ " OPERATOR(pg_catalog.=) "

static bool
select_key(const char *name, bool lock, struct ks_value_key *ret)
{
    const struct scope scope = begin();
    struct args args = {0};
    add(&args, TEXTOID, CStringGetTextDatum(name));
    const bool found = run(lock ? "SELECT id, version FROM keystead.key WHERE name" EQ "$1 FOR UPDATE"
                                : "SELECT id, version FROM keystead.key WHERE name" EQ "$1",
                           &args, SPI_OK_SELECT) == 1;
    if (found)
        read_id(0, 1, ret);
    end(&scope);
    return found;
}

KS_NORETURN static void
no_such_key(const char *name)
{
    ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("key \"%s\" does not exist", name),
            errhint("keystead.keys lists the keys of this database; keystead.create_key makes one."));
}

void
ks_key_table_find(const char *name, struct ks_value_key *ret)
{
    if (remembered(name, ret))
        return;
    const uint64_t generation = tables.generation;
    if (strlen(name) >= KS_KEY_NAME_SIZE || !select_key(name, false, ret))
        no_such_key(name);
    /* What a parallel query sees may be older than invalidations that were obeyed already: see begin. */
    if (!IsInParallelMode())
        remember(name, ret, generation);
}

void
ks_key_table_lock(const char *name, struct ks_value_key *ret)
{
    if (strlen(name) >= KS_KEY_NAME_SIZE || !select_key(name, true, ret))
        no_such_key(name);
}

void
ks_key_table_lock_all(void)
{
    const struct scope scope = begin();
    (void)run("SELECT id, version FROM keystead.key ORDER BY id FOR UPDATE", &(struct args){0}, SPI_OK_SELECT);
    end(&scope);
}

const char *
ks_key_table_name(const uint8_t id[KS_VALUE_ID])
{
    MemoryContext caller = CurrentMemoryContext;
    const struct scope scope = begin();
    struct args args = {0};
    add_id(&args, id);
    const char *name = "an unknown key";
    if (run("SELECT name FROM keystead.key WHERE id" EQ "$1", &args, SPI_OK_SELECT) == 1)
        name = MemoryContextStrdup(caller, psprintf("key \"%s\"", TextDatumGetCString(column(0, 1))));
    end(&scope);
    return name;
}

#define DATA_KEY_COLUMNS "d.key, d.version, k.name, d.kms_identifier, d.system_identifier, d.database, d.wrapped"
#define DATA_KEY_TABLES "keystead.data_key d JOIN keystead.key k ON k.id" EQ "d.key"

static void
read_data_key(uint64 row, struct ks_data_key *ret)
{
    read_id(row, 1, &ret->which);
    read_text(row, 3, ret->name, sizeof(ret->name));
    read_text(row, 4, ret->kek, sizeof(ret->kek));
    ret->system_identifier = (uint64_t)DatumGetInt64(column(row, 5));
    ret->database = DatumGetObjectId(column(row, 6));
    bytea *wrapped = DatumGetByteaPP(column(row, 7));
    if (VARSIZE_ANY_EXHDR(wrapped) != sizeof(ret->wrapped))
        ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
                errmsg("data key %u of \"%s\" has %zu bytes instead of %zu", ret->which.version, ret->name,
                       (size_t)VARSIZE_ANY_EXHDR(wrapped), sizeof(ret->wrapped)));
    memcpy(ret->wrapped, VARDATA_ANY(wrapped), sizeof(ret->wrapped));
}

bool
ks_key_table_data_key(const struct ks_value_key *which, struct ks_data_key *ret)
{
    const struct scope scope = begin();
    struct args args = {0};
    add_id(&args, which->id);
    add(&args, INT4OID, Int32GetDatum((int32)which->version));
    const bool found =
        run("SELECT " DATA_KEY_COLUMNS " FROM " DATA_KEY_TABLES " WHERE d.key" EQ "$1 AND d.version" EQ "$2", &args,
            SPI_OK_SELECT) == 1;
    if (found)
        read_data_key(0, ret);
    end(&scope);
    return found;
}

size_t
ks_key_table_data_keys(const uint8_t *id, bool current_only, struct ks_data_key **ret)
{
    MemoryContext caller = CurrentMemoryContext;
    const struct scope scope = begin();
    struct args args = {0};
    static const uint8_t NO_ID[KS_VALUE_ID];
    add(&args, BOOLOID, BoolGetDatum(id == NULL));
    add_id(&args, id != NULL ? id : NO_ID);
    add(&args, BOOLOID, BoolGetDatum(!current_only));
    const uint64 n = run("SELECT " DATA_KEY_COLUMNS " FROM " DATA_KEY_TABLES " WHERE ($1 OR d.key" EQ
                         "$2) AND ($3 OR d.version" EQ "k.version) ORDER BY k.name, d.version",
                         &args, SPI_OK_SELECT);
    struct ks_data_key *keys =
        MemoryContextAllocExtended(caller, Max(n, 1) * sizeof(*keys), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
    for (uint64 i = 0; i < n; i++)
        read_data_key(i, &keys[i]);
    end(&scope);
    *ret = keys;
    return n;
}

bool
ks_key_table_uses(const char *kek)
{
    const struct scope scope = begin();
    struct args args = {0};
    add(&args, TEXTOID, CStringGetTextDatum(kek));
    const bool found = run("SELECT 1 FROM keystead.data_key WHERE kms_identifier" EQ "$1", &args, SPI_OK_SELECT) > 0;
    end(&scope);
    return found;
}

void
ks_key_table_insert(const char *name, const uint8_t id[KS_VALUE_ID])
{
    const struct scope scope = begin();
    struct args args = {0};
    add_id(&args, id);
    add(&args, TEXTOID, CStringGetTextDatum(name));
    const uint64 n =
        run("INSERT INTO keystead.key (id, name, version) VALUES ($1, $2, 1) ON CONFLICT (name) DO NOTHING", &args,
            SPI_OK_INSERT);
    end(&scope);
    if (n == 0)
        ereport(ERROR, errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("key \"%s\" already exists", name),
                errhint("keystead.rotate gives it a new version."));
}

static void
add_data_key(struct args *args, const struct ks_data_key *data_key)
{
    add_id(args, data_key->which.id);
    add(args, INT4OID, Int32GetDatum((int32)data_key->which.version));
    add(args, TEXTOID, CStringGetTextDatum(data_key->kek));
    add(args, INT8OID, Int64GetDatum((int64)data_key->system_identifier));
    add(args, OIDOID, ObjectIdGetDatum(data_key->database));
    add_bytes(args, data_key->wrapped, sizeof(data_key->wrapped));
}

void
ks_key_table_insert_data_key(const struct ks_data_key *data_key)
{
    const struct scope scope = begin();
    struct args args = {0};
    add_data_key(&args, data_key);
    (void)run("INSERT INTO keystead.data_key (key, version, kms_identifier, system_identifier, database, wrapped) "
              "VALUES ($1, $2, $3, $4, $5, $6)",
              &args, SPI_OK_INSERT);
    end(&scope);
}

void
ks_key_table_update_data_key(const struct ks_data_key *data_key)
{
    const struct scope scope = begin();
    struct args args = {0};
    add_data_key(&args, data_key);
    const uint64 n = run("UPDATE keystead.data_key SET kms_identifier = $3, system_identifier = $4, database = $5, "
                         "wrapped = $6 WHERE key" EQ "$1 AND version" EQ "$2",
                         &args, SPI_OK_UPDATE);
    end(&scope);
    if (n != 1)
        elog(ERROR, "data key %u of \"%s\" went away", data_key->which.version, data_key->name);
}

void
ks_key_table_set_version(const struct ks_value_key *current)
{
    const struct scope scope = begin();
    struct args args = {0};
    add_id(&args, current->id);
    add(&args, INT4OID, Int32GetDatum((int32)current->version));
    if (run("UPDATE keystead.key SET version = $2 WHERE id" EQ "$1", &args, SPI_OK_UPDATE) != 1)
        elog(ERROR, "the key went away");
    end(&scope);
}
