#include "crypto/pq.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "crypto/pkey.h"

static const struct ks_pq rows[] = {
#define PQ(name, type, kind, strength, public, private, seed, arc, last)                                               \
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_##name, type, KS_PQ_##kind, strength, public, private, seed, {arc, last}},
#include "crypto/pq.def"
#undef PQ
};

const struct ks_pq *
ks_pq_find(uint32_t algorithm)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (rows[i].algorithm == algorithm)
            return &rows[i];
    return NULL;
}

const struct ks_pq *
ks_pq_find_pkey(const EVP_PKEY *pkey)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (EVP_PKEY_is_a(pkey, rows[i].type) == 1)
            return &rows[i];
    return NULL;
}

const struct ks_pq *
ks_pq_find_oid(struct ks_span oid)
{
    static const uint8_t nist[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04}; /* 2.16.840.1.101.3.4 */
    if (oid.len != sizeof(nist) + 2 || memcmp(oid.data, nist, sizeof(nist)) != 0)
        return NULL;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (memcmp(oid.data + sizeof(nist), rows[i].oid, 2) == 0)
            return &rows[i];
    return NULL;
}

bool
ks_pq_is(uint32_t algorithm)
{
    return ks_pq_find(algorithm) != NULL;
}

int
ks_pq_check(uint32_t algorithm, struct ks_diag *diag)
{
    const struct ks_pq *pq = ks_pq_find(algorithm);
    if (pq == NULL)
        return 0;
    EVP_KEYMGMT *there = EVP_KEYMGMT_fetch(NULL, pq->type, NULL);
    if (there == NULL) {
        ERR_clear_error();
        return ks_fail(diag, KS_E_UNSUPPORTED, "the server's OpenSSL %s has no %s; 3.5 or later is needed",
                       OpenSSL_version(OPENSSL_VERSION_STRING), pq->type);
    }
    EVP_KEYMGMT_free(there);
    return 0;
}

uint32_t
ks_pq_strength(uint32_t algorithm)
{
    const struct ks_pq *pq = ks_pq_find(algorithm);
    return pq != NULL ? pq->strength : 0;
}

bool
ks_pq_signs(uint32_t algorithm)
{
    const struct ks_pq *pq = ks_pq_find(algorithm);
    return pq != NULL && pq->kind != KS_PQ_KEM;
}

bool
ks_pq_is_slow(uint32_t algorithm)
{
    const struct ks_pq *pq = ks_pq_find(algorithm);
    return pq != NULL && pq->kind == KS_PQ_SLOW;
}

int
ks_pq_generate(const struct ks_pq *pq, struct ks_pkey **ret, struct ks_diag *diag)
{
    KS_TRY(ks_pq_check(pq->algorithm, diag));
    KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, pq->type, NULL);
    EVP_PKEY *pkey = NULL;
    if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_generate(ctx, &pkey) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "generating a key of type %s", pq->type);
    return ks_pkey_take(pkey, true, ret, diag);
}

/* FIPS 203 and 204: a private key is expanded from its seed, and libcrypto keeps both. */
static EVP_PKEY *
from_seed(const struct ks_pq *pq, struct ks_span seed)
{
    KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, pq->type, NULL);
    struct ks_ossl_params ps = {.n = 0};
    EVP_PKEY *pkey = NULL;
    ks_ossl_put_bytes(&ps, "seed", seed);
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, ps.p) != 1)
        return NULL;
    return pkey;
}

int
ks_pq_from_raw(const struct ks_pq *pq, bool is_private, struct ks_span bytes, struct ks_pkey **ret,
               struct ks_diag *diag)
{
    KS_TRY(ks_pq_check(pq->algorithm, diag));
    const bool seed = is_private && pq->seed_bytes != 0 && bytes.len == pq->seed_bytes;
    const size_t needed = is_private ? pq->private_bytes : pq->public_bytes;
    if (!seed && bytes.len != needed)
        return ks_fail(diag, KS_E_INVALID, "%s: a %s key has %zu bytes, not %zu", pq->type,
                       is_private ? "private" : "public", needed, bytes.len);
    EVP_PKEY *pkey = seed         ? from_seed(pq, bytes)
                     : is_private ? EVP_PKEY_new_raw_private_key_ex(NULL, pq->type, NULL, bytes.data, bytes.len)
                                  : EVP_PKEY_new_raw_public_key_ex(NULL, pq->type, NULL, bytes.data, bytes.len);
    if (pkey == NULL)
        return ks_ossl_fail(diag, KS_E_INVALID, "%s: an impossible key", pq->type);
    return ks_pkey_take(pkey, is_private, ret, diag);
}

int
ks_pq_raw(const struct ks_pkey *key, bool is_private, struct ks_buf *ret, struct ks_diag *diag)
{
    size_t len = is_private ? key->pq->private_bytes : key->pq->public_bytes;
    if (ks_buf_reserve(ret, len) != 0)
        return ks_fail(diag, ret->err, "no room for a key of %zu bytes", len);
    uint8_t *out = ret->data + ret->len;
    const int ok = is_private ? EVP_PKEY_get_raw_private_key(key->pkey, out, &len)
                              : EVP_PKEY_get_raw_public_key(key->pkey, out, &len);
    if (ok != 1)
        return ks_ossl_undo(ret, ret->len,
                            ks_ossl_fail(diag, KS_E_CRYPTO, "the bytes of a key of type %s", key->pq->type));
    ret->len += len;
    return 0;
}
