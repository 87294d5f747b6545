#include "postgres/value.h"

#include "crypto/kdf.h"
#include "crypto/random.h"

#define LABEL "keystead value v1"

int
ks_value_parse(struct ks_span value, struct ks_value_key *ret, struct ks_diag *diag)
{
    if (value.len < KS_VALUE_OVERHEAD)
        return ks_fail(diag, KS_E_MALFORMED, "it has %zu bytes, the shortest encrypted value has %d", value.len,
                       KS_VALUE_OVERHEAD);
    if (value.data[0] != KS_VALUE_FORMAT)
        return ks_fail(diag, KS_E_MALFORMED, "it begins with byte %u; this version knows format %d only",
                       (unsigned)value.data[0], KS_VALUE_FORMAT);
    struct ks_value_key key;
    memcpy(key.id, value.data + 1, KS_VALUE_ID);
    key.version = ks_be32(value.data + 1 + KS_VALUE_ID);
    if (key.version == 0)
        return ks_fail(diag, KS_E_MALFORMED, "its data key version is 0; versions begin with 1");
    *ret = key;
    return 0;
}

/* The keyed context of one value. */
static int
value_key(const struct ks_key32 *data_key, struct ks_span header, struct ks_seal_key **ret, struct ks_diag *diag)
{
    KS_KEY32 subkey;
    KS_TRY(ks_kdf_subkey(KS_SPAN(data_key->b, sizeof(data_key->b)), KS_LIT(LABEL), header, subkey.b, sizeof(subkey.b),
                         diag));
    return ks_seal_key_new(subkey.b, ret, diag);
}

int
ks_value_seal(const struct ks_key32 *data_key, const struct ks_value_key *key, struct ks_span plaintext,
              struct ks_buf *ret, struct ks_diag *diag)
{
    uint8_t header[KS_VALUE_HEADER];
    header[0] = KS_VALUE_FORMAT;
    memcpy(header + 1, key->id, KS_VALUE_ID);
    ks_put_be32(header + 1 + KS_VALUE_ID, key->version);
    if (ks_random(header + KS_VALUE_HEADER - KS_VALUE_SALT, KS_VALUE_SALT) != 0)
        return ks_fail(diag, KS_E_CRYPTO, "no random bytes");

    KS_CLEANUP(ks_seal_key_freep) struct ks_seal_key *seal = NULL;
    KS_TRY(value_key(data_key, KS_SPAN(header, sizeof(header)), &seal, diag));
    const size_t before = ret->len;
    KS_TRY(ks_buf_reserve(ret, plaintext.len + KS_VALUE_OVERHEAD));
    KS_TRY(ks_buf_add(ret, header, sizeof(header)));
    const int rc = ks_seal(seal, KS_SPAN(header, sizeof(header)), plaintext, ret, diag);
    if (rc != 0)
        ret->len = before;
    return rc;
}

int
ks_value_open(const struct ks_key32 *data_key, struct ks_span value, struct ks_buf *ret, struct ks_diag *diag)
{
    struct ks_value_key key;
    KS_TRY(ks_value_parse(value, &key, diag));
    const struct ks_span header = KS_SPAN(value.data, KS_VALUE_HEADER);
    KS_CLEANUP(ks_seal_key_freep) struct ks_seal_key *seal = NULL;
    KS_TRY(value_key(data_key, header, &seal, diag));
    return ks_open(seal, header, KS_SPAN(value.data + KS_VALUE_HEADER, value.len - KS_VALUE_HEADER), ret, diag);
}
