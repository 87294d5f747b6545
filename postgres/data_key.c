#include "postgres/data_key.h"

#include "access/xlog.h"
#include "base/text.h"
#include "crypto/kdf.h"
#include "crypto/random.h"
#include "postgres/report.h"
#include "postgres/session.h"

bool
ks_data_key_is_ours(const struct ks_data_key *data_key)
{
    return data_key->system_identifier == GetSystemIdentifier() && data_key->database == MyDatabaseId;
}

/*
 * What the wrapped form is bound to: key, version, cluster and database, name. A row that is moved to another key,
 * version or database, or renamed, does not unwrap.
 */
static int
associated_data(const struct ks_data_key *data_key, struct ks_buf *ret)
{
    (void)ks_buf_add_str(ret, "keystead data key v1");
    (void)ks_buf_add(ret, data_key->which.id, sizeof(data_key->which.id));
    (void)ks_buf_add_be32(ret, data_key->which.version);
    (void)ks_buf_add_be64(ret, data_key->system_identifier);
    (void)ks_buf_add_be32(ret, data_key->database);
    return ks_buf_add_str(ret, data_key->name);
}

static int
out_of_memory(struct ks_error *error)
{
    *error = (struct ks_error){.code = KS_E_NOMEM};
    return KS_E_NOMEM;
}

/*
 * What stands behind the wrapped form: 16 bytes that follow from the key in the clear and what it is bound to (SP
 * 800-108), and tell nothing of the key. A KMS that gives another key, or looks at no associated data, is found out
 * before anything is encrypted that could not be read again.
 */
static int
check_of(const struct ks_key32 *key, const struct ks_buf *aad, uint8_t ret[KS_DATA_KEY_CHECK], struct ks_error *error)
{
    struct ks_diag diag = {0};
    const int rc = ks_kdf_subkey(KS_SPAN(key->b, sizeof(key->b)), KS_LIT("keystead data key check v1"),
                                 ks_buf_span(aad), ret, KS_DATA_KEY_CHECK, &diag);
    if (rc != 0) {
        *error = (struct ks_error){.code = rc};
        (void)strlcpy(error->message, ks_diag_text(&diag), sizeof(error->message));
    }
    return rc;
}

static int
unwrap(struct ks_kms *kms, const struct ks_data_key *data_key, struct ks_key32 *ret, uint32_t *ret_state,
       struct ks_error *error)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf aad = KS_BUF(512);
    KS_KEY32 key = {{0}};
    uint8_t check[KS_DATA_KEY_CHECK];
    if (associated_data(data_key, &aad) != 0)
        return out_of_memory(error);
    KS_TRY(ks_kms_unwrap(kms, data_key->kek, ks_buf_span(&aad), KS_SPAN(data_key->wrapped, KS_KMS_WRAPPED), &key,
                         ret_state, error));
    KS_TRY(check_of(&key, &aad, check, error));
    if (!ks_equal_secret(check, data_key->wrapped + KS_KMS_WRAPPED, sizeof(check))) {
        *error = (struct ks_error){
            .code = KS_E_CORRUPT, .message = "the key management server gave another data key than the one it wrapped"};
        return KS_E_CORRUPT;
    }
    *ret = key;
    return 0;
}

/*
 * Wraps key for this database, and unwraps what came of it: it may take the place of the only form that can be
 * unwrapped.
 */
static int
wrap(struct ks_kms *kms, struct ks_data_key *data_key, const char *kek, const struct ks_key32 *key,
     struct ks_error *error)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf aad = KS_BUF(512);
    KS_KEY32 again = {{0}};
    uint32_t ignored = 0;
    struct ks_data_key made = *data_key;
    made.system_identifier = GetSystemIdentifier();
    made.database = MyDatabaseId;
    (void)strlcpy(made.kek, kek, sizeof(made.kek));
    if (associated_data(&made, &aad) != 0)
        return out_of_memory(error);
    KS_TRY(ks_kms_wrap(kms, kek, ks_buf_span(&aad), key, made.wrapped, error));
    KS_TRY(check_of(key, &aad, made.wrapped + KS_KMS_WRAPPED, error));
    KS_TRY(unwrap(kms, &made, &again, &ignored, error));
    *data_key = made;
    return 0;
}

int
ks_data_key_make(struct ks_kms *kms, struct ks_data_key *data_key, struct ks_error *error)
{
    KS_KEY32 key;
    if (ks_random_key(key.b, sizeof(key.b)) != 0) {
        *error = (struct ks_error){.code = KS_E_CRYPTO, .message = "no random bytes for a data key"};
        return KS_E_CRYPTO;
    }
    return wrap(kms, data_key, data_key->kek, &key, error);
}

int
ks_data_key_rewrap(struct ks_kms *kms, struct ks_data_key *data_key, const char *new_kek, uint32_t *ret_state,
                   struct ks_error *error)
{
    KS_KEY32 key = {{0}};
    KS_TRY(unwrap(kms, data_key, &key, ret_state, error));
    return wrap(kms, data_key, new_kek, &key, error);
}

void
ks_data_key_get(const struct ks_value_key *which, struct ks_key32 *ret)
{
    if (ks_session_find_key(which, ret))
        return;
    struct ks_data_key data_key;
    if (!ks_key_table_data_key(which, &data_key))
        ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
                errmsg("data key version %u of %s does not exist", which->version, ks_key_table_name(which->id)),
                errhint("The value was encrypted in another database, or after the backup that this one was restored "
                        "from."));
    if (!ks_data_key_is_ours(&data_key))
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("key \"%s\" came from another database", data_key.name),
                errdetail("Its data key was wrapped for the database with identifier %u of the cluster " UINT64_FORMAT
                          "; this is database %u of " UINT64_FORMAT ".",
                          data_key.database, data_key.system_identifier, MyDatabaseId, GetSystemIdentifier()),
                errhint("If this database was restored from a dump on purpose, a superuser can take its keys over: "
                        "SELECT keystead.adopt_keys();"));
    struct ks_kms *kms = ks_session_kms();
    ks_session_prepare_cache();
    struct ks_error error = {0};
    uint32_t state = 0;
    const int64_t asked = ks_monotonic_ms();
    if (unwrap(kms, &data_key, ret, &state, &error) != 0)
        ks_report_kms(&error, "could not unwrap data key %u of \"%s\"", which->version, data_key.name);
    ks_session_keep_key(which, ret, asked);
}
