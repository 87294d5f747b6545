#include "crypto/hash.h"

#include <keystead/kmip.h>
#include <openssl/core_names.h>
#include <stdlib.h>

#include "crypto/ossl.h"

struct row {
    uint32_t hash;
    enum ks_ossl id;
    size_t len;
    const char *text;
    uint32_t hmac;
    bool weak;
};

static const struct row rows[] = {
#define HASH(kmip, id, len, text, hmac, weak) {KMIP_HASHING_ALGORITHM_##kmip, KS_OSSL_MD_##id, len, text, hmac, weak},
#include "crypto/hash.def"
#undef HASH
};

static const struct row *
find(uint32_t hash)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (rows[i].hash == hash)
            return &rows[i];
    return NULL;
}

size_t
ks_hash_len(uint32_t hash)
{
    const struct row *row = find(hash);
    return row != NULL ? row->len : 0;
}

const char *
ks_hash_name(uint32_t hash)
{
    const struct row *row = find(hash);
    return row != NULL ? row->text : NULL;
}

uint32_t
ks_hash_of_hmac(uint32_t algorithm)
{
    for (size_t i = 0; algorithm != 0 && i < KS_ARRAY_LEN(rows); i++)
        if (rows[i].hmac == algorithm)
            return rows[i].hash;
    return 0;
}

bool
ks_hash_is_weak(uint32_t hash)
{
    const struct row *row = find(hash);
    return row != NULL && row->weak;
}

uint32_t
ks_hmac_of_hash(uint32_t hash)
{
    const struct row *row = find(hash);
    return row != NULL ? row->hmac : 0;
}

static int
fetched(uint32_t hash, bool weak_too, const EVP_MD **ret, struct ks_diag *diag)
{
    const struct row *row = find(hash);
    if (row == NULL || (row->weak && !weak_too))
        return ks_fail(diag, KS_E_UNSUPPORTED, "hashing algorithm %#x is not offered", hash);
    const EVP_MD *md = ks_ossl_md(row->id);
    if (md == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "OpenSSL's active providers do not offer %s", row->text);
    *ret = md;
    return 0;
}

int
ks_ossl_hash(uint32_t hash, const EVP_MD **ret, struct ks_diag *diag)
{
    return fetched(hash, false, ret, diag);
}

int
ks_ossl_hash_any(uint32_t hash, const EVP_MD **ret, struct ks_diag *diag)
{
    return fetched(hash, true, ret, diag);
}

int
ks_hash(uint32_t hash, struct ks_span data, uint8_t *ret, struct ks_diag *diag)
{
    const EVP_MD *md;
    KS_TRY(ks_ossl_hash_any(hash, &md, diag));
    uint8_t out[KS_HASH_MAX];
    if (EVP_Digest(data.data, data.len, out, NULL, md, NULL) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "%s", ks_hash_name(hash));
    memcpy(ret, out, ks_hash_len(hash));
    ks_wipe(out, sizeof(out));
    return 0;
}

/* Any hash, in parts */

struct ks_hash_stream {
    EVP_MD_CTX *ctx;
    uint32_t hash;
};

int
ks_hash_stream_new(uint32_t hash, struct ks_hash_stream **ret, struct ks_diag *diag)
{
    const EVP_MD *md;
    KS_TRY(ks_ossl_hash_any(hash, &md, diag));
    struct ks_hash_stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s: out of memory", ks_hash_name(hash));
    s->hash = hash;
    s->ctx = EVP_MD_CTX_new();
    if (s->ctx == NULL || EVP_DigestInit_ex2(s->ctx, md, NULL) != 1) {
        ks_hash_stream_free(s);
        return ks_ossl_fail(diag, KS_E_CRYPTO, "%s", ks_hash_name(hash));
    }
    *ret = s;
    return 0;
}

int
ks_hash_stream_update(struct ks_hash_stream *s, struct ks_span data, struct ks_diag *diag)
{
    if (data.len != 0 && EVP_DigestUpdate(s->ctx, data.data, data.len) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "%s", ks_hash_name(s->hash));
    return 0;
}

int
ks_hash_stream_final(struct ks_hash_stream *s, uint8_t *ret, size_t *ret_len, struct ks_diag *diag)
{
    uint8_t out[KS_HASH_MAX];
    if (EVP_DigestFinal_ex(s->ctx, out, NULL) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "%s", ks_hash_name(s->hash));
    *ret_len = ks_hash_len(s->hash);
    memcpy(ret, out, *ret_len);
    ks_wipe(out, sizeof(out));
    return 0;
}

void
ks_hash_stream_free(struct ks_hash_stream *s)
{
    if (s == NULL)
        return;
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

/* SHA-256 */

struct ks_sha256_ctx {
    EVP_MD_CTX *ctx;
    EVP_MD_CTX *copy; /* for peeking; made when first needed */
};

static int
start(EVP_MD_CTX *ctx, const EVP_MD *md)
{
    if (md == NULL || EVP_DigestInit_ex2(ctx, md, NULL) != 1)
        return ks_ossl_fail(NULL, KS_E_CRYPTO, "SHA-256");
    return 0;
}

static int
add(EVP_MD_CTX *ctx, struct ks_span data)
{
    if (data.len != 0 && EVP_DigestUpdate(ctx, data.data, data.len) != 1)
        return ks_ossl_fail(NULL, KS_E_CRYPTO, "SHA-256");
    return 0;
}

static int
finish(EVP_MD_CTX *ctx, uint8_t ret[KS_SHA256])
{
    uint8_t out[KS_SHA256];
    if (EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        return ks_ossl_fail(NULL, KS_E_CRYPTO, "SHA-256");
    memcpy(ret, out, KS_SHA256);
    return 0;
}

int
ks_sha256(const struct ks_span *parts, size_t n, uint8_t ret[KS_SHA256])
{
    KS_CLEANUP(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL)
        return KS_E_NOMEM;
    KS_TRY(start(ctx, ks_ossl_md(KS_OSSL_MD_SHA2_256)));
    for (size_t i = 0; i < n; i++)
        KS_TRY(add(ctx, parts[i]));
    return finish(ctx, ret);
}

int
ks_sha256_new(struct ks_sha256_ctx **ret)
{
    struct ks_sha256_ctx *ctx = calloc(1, sizeof(*ctx));
    if (ctx == NULL)
        return KS_E_NOMEM;
    ctx->ctx = EVP_MD_CTX_new();
    const int rc = ctx->ctx == NULL ? KS_E_NOMEM : start(ctx->ctx, ks_ossl_md(KS_OSSL_MD_SHA2_256));
    if (rc != 0) {
        ks_sha256_free(ctx);
        return rc;
    }
    *ret = ctx;
    return 0;
}

int
ks_sha256_update(struct ks_sha256_ctx *ctx, struct ks_span data)
{
    return add(ctx->ctx, data);
}

int
ks_sha256_final(struct ks_sha256_ctx *ctx, uint8_t ret[KS_SHA256])
{
    KS_TRY(finish(ctx->ctx, ret));
    return start(ctx->ctx, EVP_MD_CTX_get0_md(ctx->ctx));
}

int
ks_sha256_peek(struct ks_sha256_ctx *ctx, uint8_t ret[KS_SHA256])
{
    if (ctx->copy == NULL && (ctx->copy = EVP_MD_CTX_new()) == NULL)
        return KS_E_NOMEM;
    if (EVP_MD_CTX_copy_ex(ctx->copy, ctx->ctx) != 1)
        return ks_ossl_fail(NULL, KS_E_CRYPTO, "SHA-256");
    return finish(ctx->copy, ret);
}

void
ks_sha256_free(struct ks_sha256_ctx *ctx)
{
    if (ctx == NULL)
        return;
    EVP_MD_CTX_free(ctx->ctx);
    EVP_MD_CTX_free(ctx->copy);
    free(ctx);
}

/* HMAC */

struct ks_hmac_key {
    EVP_MAC_CTX *ctx;
    size_t len;
};

int
ks_hmac_key_new(uint32_t hash, struct ks_span key, struct ks_hmac_key **ret, struct ks_diag *diag)
{
    const EVP_MD *md;
    KS_TRY(ks_ossl_hash_any(hash, &md, diag));
    if (key.len == 0)
        return ks_fail(diag, KS_E_INVALID, "HMAC-%s: the key is empty", ks_hash_name(hash));
    EVP_MAC *mac = ks_ossl_mac(KS_OSSL_MAC_HMAC);
    KS_CLEANUP(EVP_MAC_CTX_freep) EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    if (ctx == NULL)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "HMAC-%s", ks_hash_name(hash));
    struct ks_ossl_params ps = {.n = 0};
    ks_ossl_put_text(&ps, OSSL_MAC_PARAM_DIGEST, EVP_MD_get0_name(md));
    if (EVP_MAC_init(ctx, key.data, key.len, ks_ossl_params_end(&ps)) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "HMAC-%s", ks_hash_name(hash));
    struct ks_hmac_key *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return ks_fail(diag, KS_E_NOMEM, "HMAC: out of memory");
    k->ctx = ctx;
    ctx = NULL; /* transferred */
    k->len = ks_hash_len(hash);
    *ret = k;
    return 0;
}

int
ks_hmac_key_sum(struct ks_hmac_key *key, const struct ks_span *parts, size_t n, uint8_t *ret)
{
    if (EVP_MAC_init(key->ctx, NULL, 0, NULL) != 1)
        return ks_ossl_fail(NULL, KS_E_CRYPTO, "HMAC");
    for (size_t i = 0; i < n; i++)
        if (parts[i].len != 0 && EVP_MAC_update(key->ctx, parts[i].data, parts[i].len) != 1)
            return ks_ossl_fail(NULL, KS_E_CRYPTO, "HMAC");
    uint8_t out[KS_HASH_MAX];
    size_t len;
    if (EVP_MAC_final(key->ctx, out, &len, sizeof(out)) != 1 || len != key->len)
        return ks_ossl_fail(NULL, KS_E_CRYPTO, "HMAC");
    memcpy(ret, out, len);
    ks_wipe(out, sizeof(out));
    return 0;
}

void
ks_hmac_key_free(struct ks_hmac_key *key)
{
    if (key == NULL)
        return;
    EVP_MAC_CTX_free(key->ctx);
    free(key);
}

int
ks_hmac(uint32_t hash, struct ks_span key, struct ks_span data, uint8_t *ret, struct ks_diag *diag)
{
    struct ks_hmac_key *k = NULL;
    KS_TRY(ks_hmac_key_new(hash, key, &k, diag));
    const int rc = ks_hmac_key_sum(k, &data, 1, ret);
    ks_hmac_key_free(k);
    return rc == 0 ? 0 : ks_fail(diag, rc, "HMAC-%s failed", ks_hash_name(hash));
}

struct ks_siphash_key {
    EVP_MAC_CTX *ctx;
    uint8_t key[KS_SIPHASH_KEY];
};

int
ks_siphash_key_new(const uint8_t key[KS_SIPHASH_KEY], struct ks_siphash_key **ret)
{
    EVP_MAC *mac = ks_ossl_mac(KS_OSSL_MAC_SIPHASH);
    KS_CLEANUP(EVP_MAC_CTX_freep) EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    if (ctx == NULL)
        return ks_ossl_fail(NULL, KS_E_CRYPTO, "SipHash");
    unsigned size = sizeof(uint64_t);
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
    if (EVP_MAC_init(ctx, key, KS_SIPHASH_KEY, params) != 1)
        return ks_ossl_fail(NULL, KS_E_CRYPTO, "SipHash");
    struct ks_siphash_key *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return KS_E_NOMEM;
    k->ctx = ctx;
    ctx = NULL; /* transferred */
    memcpy(k->key, key, sizeof(k->key));
    *ret = k;
    return 0;
}

int
ks_siphash_sum(struct ks_siphash_key *key, const struct ks_span *parts, size_t n, uint64_t *ret)
{
    /* The key again: without one this MAC does not begin anew. */
    if (EVP_MAC_init(key->ctx, key->key, sizeof(key->key), NULL) != 1)
        return ks_ossl_fail(NULL, KS_E_CRYPTO, "SipHash");
    for (size_t i = 0; i < n; i++)
        if (parts[i].len != 0 && EVP_MAC_update(key->ctx, parts[i].data, parts[i].len) != 1)
            return ks_ossl_fail(NULL, KS_E_CRYPTO, "SipHash");
    uint8_t out[sizeof(uint64_t)];
    size_t len;
    if (EVP_MAC_final(key->ctx, out, &len, sizeof(out)) != 1 || len != sizeof(out))
        return ks_ossl_fail(NULL, KS_E_CRYPTO, "SipHash");
    *ret = ks_be64(out);
    return 0;
}

void
ks_siphash_key_free(struct ks_siphash_key *key)
{
    if (key == NULL)
        return;
    EVP_MAC_CTX_free(key->ctx);
    ks_wipe(key, sizeof(*key));
    free(key);
}
