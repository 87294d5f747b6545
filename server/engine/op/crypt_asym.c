/* Encrypt and Decrypt with RSA keys: OAEP and PKCS#1 v1.5 (RFC 8017, 7). */
#include "crypto/sign.h"
#include "server/engine/op/crypto.h"

static int
asym_params(struct ctx *ctx, const struct object *key, const struct kmip_cryptographic_parameters *p,
            struct ks_asym_params *ret)
{
    if (!crypto_algorithm_fits(key, p))
        return engine_fail(ctx, COND_BAD_PARAMETERS, "the parameters name another algorithm than that of key %s",
                           key->uid);
    if (!p->has_padding_method)
        return engine_fail(ctx, COND_BAD_PARAMETERS, "neither the request nor key %s says which Padding Method to use",
                           key->uid);
    if (p->has_mask_generator && p->mask_generator != KMIP_MASK_GENERATOR_MGF1)
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED, "MGF1 is the only Mask Generator");
    ret->padding = p->padding_method;
    ret->hash = p->has_hashing_algorithm ? p->hashing_algorithm : 0;
    /* 1.4 and later: SHA-1 unless it is said (2.1: 4.16). Before there is no field for it. */
    ret->mgf_hash = ctx->version >= KMIP_V1_4 ? KMIP_HASHING_ALGORITHM_SHA_1 : 0;
    if (p->has_mask_generator_hashing_algorithm)
        ret->mgf_hash = p->mask_generator_hashing_algorithm;
    if (p->has_p_source)
        ret->label = p->p_source;
    return 0;
}

int
crypt_asym(struct ctx *ctx, const struct object *key, const struct kmip_cryptographic_parameters *p, bool encrypt,
           struct ks_span data, struct ks_span *ret)
{
    struct ks_asym_params params = {0};
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_pkey_freep) struct ks_pkey *pkey = NULL;
    KS_TRY(crypto_pkey(ctx, key, &pkey));
    KS_TRY(asym_params(ctx, key, p, &params));
    struct profile_what what = profile_key(key);
    what.padding = params.padding;
    if (params.padding == KMIP_PADDING_METHOD_OAEP)
        what.hash = params.hash != 0 ? params.hash : KMIP_HASHING_ALGORITHM_SHA_256;
    KS_TRY(profile_check(ctx, encrypt ? PROFILE_PROTECT : PROFILE_PROCESS, &what));
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(1 << 14);
    const int rc =
        encrypt ? ks_asym_encrypt(pkey, &params, data, &out, &diag) : ks_asym_decrypt(pkey, &params, data, &out, &diag);
    if (rc != 0)
        return crypto_fail(ctx, rc, &diag);
    return ks_arena_span(ctx->arena, ks_buf_span(&out), ret);
}
