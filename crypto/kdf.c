#include "crypto/kdf.h"

#include <keystead/kmip.h>
#include <openssl/core_names.h>

#include "crypto/hash.h"
#include "crypto/ossl.h"

/* Derives into ret; on failure ret is untouched except for being wiped when it was written. */
static int
derive(enum ks_ossl id, struct ks_ossl_params *ps, uint8_t *ret, size_t len, struct ks_diag *diag)
{
    if (len == 0)
        return ks_fail(diag, KS_E_INVALID, "%s: asked for no bytes at all", ks_ossl_name(id));
    EVP_KDF *kdf = ks_ossl_kdf(id);
    if (kdf == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "OpenSSL's active providers do not offer %s", ks_ossl_name(id));
    KS_CLEANUP(EVP_KDF_CTX_freep) EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    if (ctx == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "%s", ks_ossl_name(id));
    if (EVP_KDF_derive(ctx, ret, len, ks_ossl_params_end(ps)) != 1) {
        ks_wipe(ret, len);
        return ks_ossl_fail(diag, KS_E_CRYPTO, "%s", ks_ossl_name(id));
    }
    return 0;
}

int
ks_kdf_subkey(struct ks_span key, struct ks_span label, struct ks_span context, uint8_t *ret, size_t len,
              struct ks_diag *diag)
{
    if (key.len == 0)
        return ks_fail(diag, KS_E_INVALID, "KBKDF: the key is empty");
    struct ks_ossl_params ps = {.n = 0};
    ks_ossl_put_text(&ps, OSSL_KDF_PARAM_MODE, "counter");
    ks_ossl_put_text(&ps, OSSL_KDF_PARAM_MAC, "HMAC");
    ks_ossl_put_text(&ps, OSSL_KDF_PARAM_DIGEST, ks_ossl_name(KS_OSSL_MD_SHA2_256));
    ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_KEY, key);
    ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_SALT, label);
    ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_INFO, context);
    return derive(KS_OSSL_KDF_KBKDF, &ps, ret, len, diag);
}

int
ks_kdf_counter(uint32_t hash, struct ks_span key, struct ks_span fixed_input, uint8_t *ret, size_t len,
               struct ks_diag *diag)
{
    const EVP_MD *md;
    KS_TRY(ks_ossl_hash(hash, &md, diag));
    if (key.len == 0)
        return ks_fail(diag, KS_E_INVALID, "KBKDF: the key is empty");
    int off = 0;
    struct ks_ossl_params ps = {.n = 0};
    ks_ossl_put_text(&ps, OSSL_KDF_PARAM_MODE, "counter");
    ks_ossl_put_text(&ps, OSSL_KDF_PARAM_MAC, "HMAC");
    ks_ossl_put_text(&ps, OSSL_KDF_PARAM_DIGEST, EVP_MD_get0_name(md));
    ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_KEY, key);
    ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_SALT, fixed_input);
    ks_ossl_put_int(&ps, OSSL_KDF_PARAM_KBKDF_USE_L, &off);
    ks_ossl_put_int(&ps, OSSL_KDF_PARAM_KBKDF_USE_SEPARATOR, &off);
    return derive(KS_OSSL_KDF_KBKDF, &ps, ret, len, diag);
}

int
ks_kdf_scrypt(struct ks_span passphrase, struct ks_span salt, uint64_t n, uint32_t r, uint32_t p, uint64_t max_memory,
              uint8_t *ret, size_t len, struct ks_diag *diag)
{
    if (n < 2 || (n & (n - 1)) != 0 || r == 0 || p == 0)
        return ks_fail(diag, KS_E_INVALID, "scrypt: N must be a power of two above 1, r and p at least 1");
    uint64_t block, blocks, need, extra;
    /* Blocks of 128 * r bytes: n of them, p and two more for work. */
    if (__builtin_mul_overflow((uint64_t)r, 128, &block) || __builtin_add_overflow(n, (uint64_t)p + 2, &blocks) ||
        __builtin_mul_overflow(block, blocks, &need) || __builtin_add_overflow(need, 4096, &extra) || need > max_memory)
        return ks_fail(diag, KS_E_LIMIT, "scrypt: N=%llu r=%u p=%u needs more than the %llu bytes allowed",
                       (unsigned long long)n, r, p, (unsigned long long)max_memory);
    struct ks_ossl_params ps = {.n = 0};
    ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_PASSWORD, passphrase);
    ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_SALT, salt);
    ps.p[ps.n++] = OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n);
    ps.p[ps.n++] = OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r);
    ps.p[ps.n++] = OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p);
    ps.p[ps.n++] = OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &extra);
    return derive(KS_OSSL_KDF_SCRYPT, &ps, ret, len, diag);
}

int
ks_kdf_hkdf(uint32_t hash, struct ks_span key, struct ks_span salt, struct ks_span info, uint8_t *ret, size_t len,
            struct ks_diag *diag)
{
    const EVP_MD *md;
    KS_TRY(ks_ossl_hash(hash, &md, diag));
    if (key.len == 0)
        return ks_fail(diag, KS_E_INVALID, "HKDF: the key is empty");
    if (len > 255 * ks_hash_len(hash))
        return ks_fail(diag, KS_E_INVALID, "HKDF with %s gives %zu bytes at most", ks_hash_name(hash),
                       255 * ks_hash_len(hash));
    struct ks_ossl_params ps = {.n = 0};
    ks_ossl_put_text(&ps, OSSL_KDF_PARAM_DIGEST, EVP_MD_get0_name(md));
    ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_KEY, key);
    if (salt.len != 0)
        ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_SALT, salt);
    if (info.len != 0)
        ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_INFO, info);
    return derive(KS_OSSL_KDF_HKDF, &ps, ret, len, diag);
}

int
ks_kdf_x963(uint32_t hash, struct ks_span secret, struct ks_span info, uint8_t *ret, size_t len, struct ks_diag *diag)
{
    const EVP_MD *md;
    KS_TRY(ks_ossl_hash(hash, &md, diag));
    if (secret.len == 0)
        return ks_fail(diag, KS_E_INVALID, "X9.63 KDF: the secret is empty");
    struct ks_ossl_params ps = {.n = 0};
    ks_ossl_put_text(&ps, OSSL_KDF_PARAM_DIGEST, EVP_MD_get0_name(md));
    ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_KEY, secret);
    if (info.len != 0)
        ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_INFO, info);
    return derive(KS_OSSL_KDF_X963, &ps, ret, len, diag);
}

int
ks_kdf_pbkdf2(uint32_t hash, struct ks_span passphrase, struct ks_span salt, uint32_t iterations, uint8_t *ret,
              size_t len, struct ks_diag *diag)
{
    const EVP_MD *md;
    KS_TRY(ks_ossl_hash(hash, &md, diag));
    if (iterations == 0)
        return ks_fail(diag, KS_E_INVALID, "PBKDF2: the iteration count is 0");
    int unchecked = 1; /* SP 800-132's lower bounds are a policy; KMIP's own test cases use short salts */
    struct ks_ossl_params ps = {.n = 0};
    ks_ossl_put_text(&ps, OSSL_KDF_PARAM_DIGEST, EVP_MD_get0_name(md));
    ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_PASSWORD, passphrase);
    ks_ossl_put_bytes(&ps, OSSL_KDF_PARAM_SALT, salt);
    ps.p[ps.n++] = OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ITER, &iterations);
    ks_ossl_put_int(&ps, OSSL_KDF_PARAM_PKCS5, &unchecked);
    return derive(KS_OSSL_KDF_PBKDF2, &ps, ret, len, diag);
}
