/* SQL: encrypt, decrypt, forget_keys. */
#include "postgres/compat.h"

#include "postgres/data_key.h"
#include "postgres/report.h"
#include "postgres/session.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

KS_SQL_FUNCTION(keystead_encrypt);
KS_SQL_FUNCTION(keystead_decrypt);
KS_SQL_FUNCTION(keystead_forget_keys);

static struct ks_span
span_of(bytea *value)
{
    return KS_SPAN(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/* A bytea with room for len bytes; its size is set to that. Reports what is too long before any key is touched. */
static bytea *
new_bytea(size_t len)
{
    if (len > MaxAllocSize - VARHDRSZ)
        ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the value is too long to encrypt"),
                errdetail("An encrypted value has %d bytes more than the value, and may have %zu in all.",
                          KS_VALUE_OVERHEAD, (size_t)(MaxAllocSize - VARHDRSZ)));
    bytea *result = palloc(VARHDRSZ + len);
    SET_VARSIZE(result, VARHDRSZ + len);
    return result;
}

/*
 * Fills result, which has just the right size. The key and the library's buffer live in here alone: nothing between
 * getting the key and the end can throw.
 */
static int
seal(const struct ks_value_key *which, struct ks_span plaintext, bytea *result, struct ks_diag *diag)
{
    KS_KEY32 key;
    ks_data_key_get(which, &key);
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(plaintext.len + KS_VALUE_OVERHEAD);
    KS_TRY(ks_value_seal(&key, which, plaintext, &out, diag));
    memcpy(VARDATA(result), out.data, out.len);
    return 0;
}

Datum
keystead_encrypt(PG_FUNCTION_ARGS)
{
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    const struct ks_span plaintext = span_of(PG_GETARG_BYTEA_PP(1));
    bytea *result = new_bytea(plaintext.len + KS_VALUE_OVERHEAD);
    struct ks_value_key which;
    ks_key_table_find(name, &which);
    struct ks_diag diag = {0};
    const int rc = seal(&which, plaintext, result, &diag);
    if (rc != 0)
        ks_report_local(rc, ks_diag_text(&diag), "could not encrypt the value");
    PG_RETURN_BYTEA_P(result);
}

static int
open_value(const struct ks_value_key *which, struct ks_span value, bytea *result, struct ks_diag *diag)
{
    KS_KEY32 key;
    ks_data_key_get(which, &key);
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(value.len);
    KS_TRY(ks_value_open(&key, value, &out, diag));
    if (out.len != 0)
        memcpy(VARDATA(result), out.data, out.len);
    return 0;
}

/* What the value says of its key, if it is a value and belongs to the key of that name. */
static struct ks_value_key
key_of(struct ks_span value, const char *name)
{
    struct ks_value_key named, which;
    struct ks_diag diag = {0};
    ks_key_table_find(name, &named);
    if (ks_value_parse(value, &which, &diag) != 0)
        ereport(ERROR, errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
                errmsg("this is not a value that keystead.encrypt made"), errdetail("%s.", ks_diag_text(&diag)));
    if (memcmp(named.id, which.id, sizeof(which.id)) != 0)
        ereport(ERROR, errcode(ERRCODE_DATA_EXCEPTION), errmsg("the value was not encrypted with key \"%s\"", name),
                errdetail("It names %s.", ks_key_table_name(which.id)));
    return which;
}

Datum
keystead_decrypt(PG_FUNCTION_ARGS)
{
    const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    const struct ks_span value = span_of(PG_GETARG_BYTEA_PP(1));
    const struct ks_value_key which = key_of(value, name);
    bytea *result = new_bytea(value.len - KS_VALUE_OVERHEAD);
    struct ks_diag diag = {0};
    const int rc = open_value(&which, value, result, &diag);
    if (rc == KS_E_INTEGRITY)
        ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
                errmsg("the value was changed after it was encrypted with key \"%s\"", name),
                errdetail("The authentication tag does not fit (data key version %u).", which.version),
                errhint("Restore the value from a backup, and find out who wrote to it."));
    if (rc != 0)
        ks_report_local(rc, ks_diag_text(&diag), "could not decrypt the value");
    PG_RETURN_BYTEA_P(result);
}

Datum
keystead_forget_keys(PG_FUNCTION_ARGS)
{
    (void)fcinfo;
    PG_RETURN_INT32((int32)ks_session_forget_keys());
}
