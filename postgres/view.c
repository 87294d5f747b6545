/* SQL: list_keys, behind the view keystead.keys. */
#include "postgres/compat.h"

#include "funcapi.h"
#include "postgres/data_key.h"
#include "postgres/report.h"
#include "postgres/session.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

KS_SQL_FUNCTION(keystead_list_keys);

enum {
    COL_NAME,
    COL_IDENTIFIER,
    COL_VERSION,
    COL_STATE,
    COL_ALGORITHM,
    COL_LENGTH,
    COL_CREATED,
    COL_ACTIVATED,
    COL_DEACTIVATED,
    COL_PROBLEM,
    COL_COUNT
};

struct out {
    Datum values[COL_COUNT];
    bool nulls[COL_COUNT];
};

static void
put(struct out *out, int col, Datum value)
{
    out->values[col] = value;
    out->nulls[col] = false;
}

static void
put_name(struct out *out, int col, uint32_t tag, uint32_t value)
{
    if (value == 0)
        return;
    const char *name = ks_client_enum_name(tag, value);
    put(out, col, CStringGetTextDatum(name != NULL ? name : psprintf("0x%08X", value)));
}

static void
put_date(struct out *out, int col, int64_t seconds)
{
    if (seconds != 0)
        put(out, col, TimestampTzGetDatum(time_t_to_timestamptz((pg_time_t)seconds)));
}

static void
add_row(Tuplestorestate *store, TupleDesc desc, const struct ks_data_key *key, const struct ks_kms_info *info)
{
    struct out out;
    memset(out.nulls, true, sizeof(out.nulls));
    put(&out, COL_NAME, CStringGetTextDatum(key->name));
    put(&out, COL_IDENTIFIER, CStringGetTextDatum(key->kek));
    put(&out, COL_VERSION, Int32GetDatum((int32)key->which.version));
    put_name(&out, COL_STATE, KMIP_TAG_STATE, info->state);
    put_name(&out, COL_ALGORITHM, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, info->algorithm);
    if (info->length != 0)
        put(&out, COL_LENGTH, Int32GetDatum(info->length));
    put_date(&out, COL_CREATED, info->created);
    put_date(&out, COL_ACTIVATED, info->activated);
    put_date(&out, COL_DEACTIVATED, info->deactivated);
    const char *problem = info->code != 0 ? ks_client_error_text(info->code) : NULL;
    if (problem == NULL && !ks_data_key_is_ours(key))
        problem = "came from another database: see keystead.adopt_keys()";
    if (problem != NULL)
        put(&out, COL_PROBLEM, CStringGetTextDatum(problem));
    tuplestore_putvalues(store, desc, out.values, out.nulls);
}

static Tuplestorestate *
begin_result(FunctionCallInfo fcinfo, TupleDesc *ret_desc)
{
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    if (result == NULL || !IsA(result, ReturnSetInfo) || (result->allowedModes & SFRM_Materialize) == 0)
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("a set is returned where none is accepted"));
    MemoryContext before = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
    if (get_call_result_type(fcinfo, NULL, ret_desc) != TYPEFUNC_COMPOSITE || (*ret_desc)->natts != COL_COUNT)
        elog(ERROR, "keystead.list_keys was declared with other columns");
    *ret_desc = CreateTupleDescCopy(*ret_desc);
    Tuplestorestate *store = tuplestore_begin_heap(true, false, work_mem);
    result->returnMode = SFRM_Materialize;
    result->setResult = store;
    result->setDesc = *ret_desc;
    MemoryContextSwitchTo(before);
    return store;
}

/* What the KMS says of all of them. If it cannot be asked: a warning, and the reason in every row. */
static struct ks_kms_info *
describe(const struct ks_data_key *keys, size_t n)
{
    struct ks_kms_info *info = palloc0(Max(n, 1) * sizeof(*info));
    const char **uids = palloc(Max(n, 1) * sizeof(*uids));
    for (size_t i = 0; i < n; i++)
        uids[i] = keys[i].kek;
    struct ks_error error = {0};
    if (n == 0 || ks_kms_describe(ks_session_kms(), uids, n, info, &error) == 0)
        return info;
    if (error.code == KS_E_CANCELLED)
        ks_report_kms(&error, "cancelled");
    ereport(WARNING, errmsg("the key management server could not be asked about keys"),
            errdetail("%s%s%s.", ks_report_text(error.message), error.server[0] != '\0' ? " " : "", error.server));
    for (size_t i = 0; i < n; i++)
        info[i].code = error.code;
    return info;
}

Datum
keystead_list_keys(PG_FUNCTION_ARGS)
{
    TupleDesc desc;
    Tuplestorestate *store = begin_result(fcinfo, &desc);
    struct ks_data_key *keys;
    const size_t n = ks_key_table_data_keys(NULL, true, &keys);
    const struct ks_kms_info *info = describe(keys, n);
    for (size_t i = 0; i < n; i++)
        add_row(store, desc, &keys[i], &info[i]);
    return (Datum)0;
}
