/* SQL: create_key, rotate, adopt_keys, and the trigger that tells other sessions. */
#include "postgres/compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/trigger.h"
#include "crypto/random.h"
#include "mb/pg_wchar.h"
#include "postgres/data_key.h"
#include "postgres/report.h"
#include "postgres/session.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"

KS_SQL_FUNCTION(keystead_create_key);
KS_SQL_FUNCTION(keystead_rotate);
KS_SQL_FUNCTION(keystead_adopt_keys);
KS_SQL_FUNCTION(keystead_key_changed);

/* ---- KEKs of transactions that are not committed ---- */

/*
 * A KEK made for a transaction that is rolled back keeps its name at the KMS, so the next create_key with that name
 * would be refused. Such KEKs are remembered, and removed when this backend makes the next key.
 *
 * Not before its own subtransaction was rolled back: a KEK that no row names now, because a rotation has replaced it,
 * comes back when a savepoint undoes that rotation.
 */
enum { UNCERTAIN_MAX = 16 };

static struct {
    bool registered;
    size_t n;
    struct {
        SubTransactionId made_in; /* InvalidSubTransactionId: that was rolled back */
        char kek[KS_UID_SIZE];
    } v[UNCERTAIN_MAX];
} uncertain;

static void
subtransaction_ended(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
    (void)arg;
    if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
        return;
    for (size_t i = 0; i < uncertain.n; i++)
        if (uncertain.v[i].made_in == id)
            uncertain.v[i].made_in = event == SUBXACT_EVENT_COMMIT_SUB ? parent : InvalidSubTransactionId;
}

static void
transaction_ended(XactEvent event, void *arg)
{
    (void)arg;
    const bool kept = event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE;
    if (!kept && event != XACT_EVENT_ABORT)
        return;
    size_t n = 0;
    for (size_t i = 0; i < uncertain.n; i++) {
        if (kept && uncertain.v[i].made_in != InvalidSubTransactionId)
            continue;
        uncertain.v[n] = uncertain.v[i];
        uncertain.v[n++].made_in = InvalidSubTransactionId;
    }
    uncertain.n = n;
}

static void
remember_kek(const char *kek)
{
    if (!uncertain.registered) {
        RegisterXactCallback(transaction_ended, NULL);
        RegisterSubXactCallback(subtransaction_ended, NULL);
        uncertain.registered = true;
    }
    if (uncertain.n == UNCERTAIN_MAX)
        return;
    uncertain.v[uncertain.n].made_in = GetCurrentSubTransactionId();
    (void)strlcpy(uncertain.v[uncertain.n++].kek, kek, KS_UID_SIZE);
}

/* What cannot be removed is tried again the next time; until then its name is taken, and create_key says so. */
static void
discard_left_keks(struct ks_kms *kms)
{
    size_t kept = 0;
    for (size_t i = 0; i < uncertain.n; i++) {
        struct ks_error ignored = {0};
        const char *kek = uncertain.v[i].kek;
        /* That none is in use is certain; but what is destroyed does not come back, so look all the same. */
        if (uncertain.v[i].made_in != InvalidSubTransactionId || ks_key_table_uses(kek) ||
            ks_kms_discard(kms, kek, &ignored) != 0)
            uncertain.v[kept++] = uncertain.v[i];
    }
    uncertain.n = kept;
}

/* ---- create_key ---- */

static void
check_name(const char *name)
{
    const size_t len = strlen(name);
    if (len == 0 || len >= KS_KEY_NAME_SIZE)
        ereport(ERROR, errcode(ERRCODE_INVALID_NAME),
                errmsg("the name of a key has 1 to %d bytes", KS_KEY_NAME_SIZE - 1),
                errdetail("This one has %zu.", len));
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            ereport(ERROR, errcode(ERRCODE_INVALID_NAME), errmsg("the name of a key has no control characters"));
        /* It goes to the KMS as UTF-8 and is part of what a data key is bound to, in whatever database that is. */
        if (IS_HIGHBIT_SET(name[i]) && GetDatabaseEncoding() != PG_UTF8)
            ereport(ERROR, errcode(ERRCODE_INVALID_NAME),
                    errmsg("the name of a key is ASCII in a database whose encoding is not UTF8"));
    }
}

static void
new_id(uint8_t ret[KS_VALUE_ID])
{
    if (ks_random(ret, KS_VALUE_ID) != 0)
        ks_report_local(KS_E_CRYPTO, NULL, "could not make an identifier");
    ret[6] = (uint8_t)((ret[6] & 0x0f) | 0x40); /* UUID version 4 (RFC 9562, 5.4) */
    ret[8] = (uint8_t)((ret[8] & 0x3f) | 0x80);
}

Datum
keystead_create_key(PG_FUNCTION_ARGS)
{
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    check_name(name);
    struct ks_data_key data_key = {.which.version = 1};
    (void)strlcpy(data_key.name, name, sizeof(data_key.name));
    new_id(data_key.which.id);
    struct ks_kms *kms = ks_session_kms();
    discard_left_keks(kms);
    ks_key_table_insert(name, data_key.which.id); /* first: of two sessions the second waits here */

    const char *information = psprintf("cluster=" UINT64_FORMAT ";db=%u", GetSystemIdentifier(), MyDatabaseId);
    struct ks_error error = {0};
    if (ks_kms_create(kms, name, information, data_key.kek, &error) != 0)
        ks_report_kms(&error, "could not create key \"%s\" at the key management server", name);
    remember_kek(data_key.kek);
    if (ks_data_key_make(kms, &data_key, &error) != 0)
        ks_report_kms(&error, "could not wrap the first data key of \"%s\"", name);
    ks_key_table_insert_data_key(&data_key);
    PG_RETURN_TEXT_P(cstring_to_text(data_key.kek));
}

/* ---- rotate ---- */

/*
 * The KEK that is to wrap from now on. A KEK that was replaced already, by an administrator or by a rotation that was
 * rolled back here, is followed; otherwise it is replaced now.
 */
static void
next_kek(struct ks_kms *kms, const char *name, const char *kek, char ret[KS_UID_SIZE])
{
    struct ks_error error = {0};
    bool found = false;
    if (ks_kms_successor(kms, kek, &found, ret, &error) != 0)
        ks_report_kms(&error, "could not look up the replacement of key \"%s\"", name);
    if (!found && ks_kms_rekey(kms, kek, ret, &error) != 0)
        ks_report_kms(&error, "could not rotate key \"%s\" at the key management server", name);
}

static void
rewrap(struct ks_kms *kms, struct ks_data_key *data_key, const char *kek)
{
    struct ks_error error = {0};
    uint32_t state = 0;
    if (ks_data_key_rewrap(kms, data_key, kek, &state, &error) != 0)
        ks_report_kms(&error, "could not wrap data key %u of \"%s\" again", data_key->which.version, data_key->name);
    ks_key_table_update_data_key(data_key);
}

Datum
keystead_rotate(PG_FUNCTION_ARGS)
{
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    struct ks_kms *kms = ks_session_kms();
    struct ks_value_key current;
    ks_key_table_lock(name, &current);
    struct ks_data_key *keys;
    const size_t n = ks_key_table_data_keys(current.id, false, &keys);
    if (n == 0 || keys[n - 1].which.version != current.version || current.version >= PG_INT32_MAX)
        ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED), errmsg("the data keys of \"%s\" are incomplete", name));
    for (size_t i = 0; i < n; i++)
        if (!ks_data_key_is_ours(&keys[i]))
            ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("key \"%s\" came from another database", name),
                    errhint("A superuser can take the keys over first: SELECT keystead.adopt_keys();"));

    struct ks_data_key next = keys[n - 1];
    next.which.version++;
    next_kek(kms, name, keys[n - 1].kek, next.kek);
    /* All versions move to the new KEK: from then on it alone decides, and the old one can be retired. */
    for (size_t i = 0; i < n; i++)
        rewrap(kms, &keys[i], next.kek);
    struct ks_error error = {0};
    if (ks_data_key_make(kms, &next, &error) != 0)
        ks_report_kms(&error, "could not wrap data key %u of \"%s\"", next.which.version, name);
    ks_key_table_insert_data_key(&next);
    ks_key_table_set_version(&next.which);
    PG_RETURN_TEXT_P(cstring_to_text(next.kek));
}

/* ---- adopt_keys ---- */

Datum
keystead_adopt_keys(PG_FUNCTION_ARGS)
{
    (void)fcinfo;
    struct ks_kms *kms = ks_session_kms();
    ks_key_table_lock_all();
    struct ks_data_key *keys, *current;
    const size_t n = ks_key_table_data_keys(NULL, false, &keys);
    const size_t n_current = ks_key_table_data_keys(NULL, true, &current);
    int64 adopted = 0;
    for (size_t i = 0, at = 0; i < n; i++) {
        /* Both lists are in the order of names. */
        while (at < n_current && memcmp(current[at].which.id, keys[i].which.id, KS_VALUE_ID) != 0)
            at++;
        if (at == n_current)
            ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("the data keys of \"%s\" are incomplete", keys[i].name));
        if (ks_data_key_is_ours(&keys[i]))
            continue;
        rewrap(kms, &keys[i], current[at].kek);
        adopted++;
    }
    PG_RETURN_INT64(adopted);
}

/* ---- the trigger ---- */

Datum
keystead_key_changed(PG_FUNCTION_ARGS)
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("keystead.key_changed is a trigger's function"));
    CacheInvalidateRelcacheByRelid(RelationGetRelid(((TriggerData *)fcinfo->context)->tg_relation));
    PG_RETURN_POINTER(NULL); /* not an SQL null: what a trigger returns is a pointer to a row */
}
