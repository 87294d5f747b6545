#include "crypto/sign.h"

#include <keystead/kmip.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "crypto/hash.h"
#include "crypto/pkey.h"
#include "crypto/rsa_pkcs1.h"

enum { RSA_LEAST = 2048, SIGNATURE_MAX = 1 << 16, DIGEST_LEAST = 16, PKCS1_OVERHEAD = 11 };
enum scheme { PKCS1, PSS, ECDSA, EDDSA, ML_DSA, SLH_DSA };

static const char *const scheme_text[] = {"RSA PKCS#1 v1.5", "RSA PSS", "ECDSA", "EdDSA", "ML-DSA", "SLH-DSA"};

/* What KMIP's Digital Signature Algorithms stand for; hash 0: from the Hashing Algorithm. */
static const struct {
    uint32_t signature;
    enum scheme scheme;
    uint32_t hash;
} rows[] = {
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA_1_WITH_RSA_ENCRYPTION, PKCS1, KMIP_HASHING_ALGORITHM_SHA_1},
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA_224_WITH_RSA_ENCRYPTION, PKCS1, KMIP_HASHING_ALGORITHM_SHA_224},
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA_256_WITH_RSA_ENCRYPTION, PKCS1, KMIP_HASHING_ALGORITHM_SHA_256},
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA_384_WITH_RSA_ENCRYPTION, PKCS1, KMIP_HASHING_ALGORITHM_SHA_384},
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA_512_WITH_RSA_ENCRYPTION, PKCS1, KMIP_HASHING_ALGORITHM_SHA_512},
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA3_256_WITH_RSA_ENCRYPTION, PKCS1, KMIP_HASHING_ALGORITHM_SHA3_256},
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA3_384_WITH_RSA_ENCRYPTION, PKCS1, KMIP_HASHING_ALGORITHM_SHA3_384},
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA3_512_WITH_RSA_ENCRYPTION, PKCS1, KMIP_HASHING_ALGORITHM_SHA3_512},
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_RSASSA_PSS, PSS, 0},
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA_1, ECDSA, KMIP_HASHING_ALGORITHM_SHA_1},
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA224, ECDSA, KMIP_HASHING_ALGORITHM_SHA_224},
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA256, ECDSA, KMIP_HASHING_ALGORITHM_SHA_256},
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA384, ECDSA, KMIP_HASHING_ALGORITHM_SHA_384},
    {KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA512, ECDSA, KMIP_HASHING_ALGORITHM_SHA_512},
};

/* How to sign, after the parameters were understood. */
struct plan {
    enum scheme scheme;
    uint32_t hash; /* 0: a scheme that takes the message, or a digest of an unnamed hash (PKCS1: padded as it is) */
    uint32_t mgf_hash;
    int salt_len;
};

/* Schemes that take the message whole, with a hash of their own, and have no parameters. */
static bool
takes_message(enum scheme scheme)
{
    return scheme == EDDSA || scheme == ML_DSA || scheme == SLH_DSA;
}

static int
scheme_of_key(const struct ks_pkey *key, enum scheme *ret, struct ks_diag *diag)
{
    if (ks_pkey_is_ffc(key))
        return ks_fail(diag, KS_E_UNSUPPORTED, "keys of type %s are kept, and not signed with", ks_pkey_text(key));
    if (key->pq != NULL && key->pq->kind == KS_PQ_KEM)
        return ks_fail(diag, KS_E_INVALID, "keys of type %s do not sign", ks_pkey_text(key));
    if (key->pq != NULL) {
        *ret = strncmp(key->pq->type, "SLH", strlen("SLH")) == 0 ? SLH_DSA : ML_DSA;
        return 0;
    }
    if (key->curve == NULL) {
        *ret = PKCS1;
        return 0;
    }
    if (key->curve->group != NULL) {
        *ret = ECDSA;
        return 0;
    }
    if (key->info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC)
        return ks_fail(diag, KS_E_INVALID, "keys of type %s do not sign", ks_pkey_text(key));
    *ret = EDDSA;
    return 0;
}

static int
plan_padding(uint32_t padding, struct plan *plan, struct ks_diag *diag)
{
    if (padding == 0 || (plan->scheme != PKCS1 && padding == KMIP_PADDING_METHOD_NONE))
        return 0;
    if (plan->scheme == PKCS1 && padding == KMIP_PADDING_METHOD_PKCS1_V1_5)
        return 0;
    if (plan->scheme == PKCS1 && padding == KMIP_PADDING_METHOD_PSS) {
        plan->scheme = PSS;
        return 0;
    }
    return ks_fail(diag, plan->scheme == PKCS1 ? KS_E_UNSUPPORTED : KS_E_INVALID,
                   "%s signatures: padding method %#x is not offered", scheme_text[plan->scheme], padding);
}

/* The Digital Signature Algorithm, where there is one, must fit key, padding and hash. */
static int
plan_signature(const struct ks_sign_params *params, struct plan *plan, struct ks_diag *diag)
{
    if (params->signature == 0)
        return 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        if (rows[i].signature != params->signature)
            continue;
        if (rows[i].scheme == PSS && plan->scheme == PKCS1 && params->padding == 0)
            plan->scheme = PSS;
        if (rows[i].scheme != plan->scheme || (rows[i].hash != 0 && params->hash != 0 && rows[i].hash != params->hash))
            return ks_fail(diag, KS_E_INVALID,
                           "digital signature algorithm %#x contradicts the key, the padding or the hash",
                           params->signature);
        if (rows[i].hash != 0)
            plan->hash = rows[i].hash;
        return 0;
    }
    return ks_fail(diag, KS_E_UNSUPPORTED, "digital signature algorithm %#x is not offered", params->signature);
}

static int
make_plan(const struct ks_pkey *key, const struct ks_sign_params *params, struct plan *ret, struct ks_diag *diag)
{
    struct plan plan = {.hash = params->hash, .mgf_hash = params->mgf_hash, .salt_len = params->salt_len};
    KS_TRY(scheme_of_key(key, &plan.scheme, diag));
    KS_TRY(plan_padding(params->padding, &plan, diag));
    KS_TRY(plan_signature(params, &plan, diag));
    if (takes_message(plan.scheme)) {
        if (plan.hash != 0 || params->digested)
            return ks_fail(diag, KS_E_INVALID, "%s signs messages, with a hash of its own", scheme_text[plan.scheme]);
    } else if (plan.hash == 0 && !(params->digested && plan.scheme != PSS)) {
        plan.hash = KMIP_HASHING_ALGORITHM_SHA_256;
    }
    if (plan.mgf_hash == 0)
        plan.mgf_hash = plan.hash;
    *ret = plan;
    return 0;
}

/* The digest to sign: made here, or checked where it was given. */
static int
digest(const struct plan *plan, size_t key_bytes, const struct ks_sign_params *params, struct ks_span data,
       uint8_t buf[KS_HASH_MAX], struct ks_span *ret, struct ks_diag *diag)
{
    const size_t len = ks_hash_len(plan->hash);
    if (plan->hash != 0 && len == 0)
        return ks_fail(diag, KS_E_UNSUPPORTED, "hashing algorithm %#x is not offered", plan->hash);
    if (!params->digested) {
        KS_TRY(ks_hash(plan->hash, data, buf, diag));
        *ret = KS_SPAN(buf, len);
        return 0;
    }
    const size_t most = plan->scheme == PKCS1 && key_bytes > PKCS1_OVERHEAD ? key_bytes - PKCS1_OVERHEAD : KS_HASH_MAX;
    if (plan->hash != 0 ? data.len != len : (data.len < DIGEST_LEAST || data.len > most))
        return ks_fail(diag, KS_E_INVALID, "%s: a digest of %zu bytes is none of %s", scheme_text[plan->scheme],
                       data.len, plan->hash != 0 ? ks_hash_name(plan->hash) : "a sound hash");
    *ret = data;
    return 0;
}

static int
set_up(EVP_PKEY_CTX *ctx, const struct plan *plan, bool verify, struct ks_diag *diag)
{
    const EVP_MD *md = NULL, *mgf = NULL;
    if (plan->hash != 0)
        KS_TRY(ks_ossl_hash(plan->hash, &md, diag));
    bool ok = (verify ? EVP_PKEY_verify_init(ctx) : EVP_PKEY_sign_init(ctx)) == 1;
    if (ok && (plan->scheme == PKCS1 || plan->scheme == PSS))
        ok = EVP_PKEY_CTX_set_rsa_padding(ctx, plan->scheme == PSS ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) == 1;
    if (ok && md != NULL)
        ok = EVP_PKEY_CTX_set_signature_md(ctx, md) == 1;
    if (ok && plan->scheme == PSS) {
        KS_TRY(ks_ossl_hash(plan->mgf_hash, &mgf, diag));
        const int automatic = verify ? RSA_PSS_SALTLEN_AUTO : RSA_PSS_SALTLEN_DIGEST;
        ok = EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, mgf) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, plan->salt_len < 0 ? automatic : plan->salt_len) == 1;
    }
    return ok ? 0 : ks_ossl_fail(diag, KS_E_INVALID, "%s: these parameters", scheme_text[plan->scheme]);
}

static int
sign_message(const struct ks_pkey *key, enum scheme scheme, struct ks_span data, uint8_t *out, size_t *len,
             struct ks_diag *diag)
{
    KS_CLEANUP(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key->pkey, NULL) != 1 ||
        EVP_DigestSign(ctx, out, len, data.data, data.len) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "%s: signing", scheme_text[scheme]);
    return 0;
}

int
ks_sign(const struct ks_pkey *key, const struct ks_sign_params *params, struct ks_span data, struct ks_buf *ret,
        struct ks_diag *diag)
{
    struct plan plan = {0};
    KS_TRY(make_plan(key, params, &plan, diag));
    if (!key->info.is_private)
        return ks_fail(diag, KS_E_INVALID, "%s: signing needs the private key", scheme_text[plan.scheme]);
    if (ks_pkey_is_rsa(key) && key->info.bits < RSA_LEAST)
        return ks_fail(diag, KS_E_INVALID, "RSA: a key of %u bits is too short to sign; %d at least", key->info.bits,
                       RSA_LEAST);
    size_t len = (size_t)EVP_PKEY_get_size(key->pkey);
    if (ks_buf_reserve(ret, len) != 0)
        return ks_fail(diag, ret->err, "no room for a signature of %zu bytes", len);
    uint8_t *out = ret->data + ret->len;
    if (takes_message(plan.scheme)) {
        KS_TRY(sign_message(key, plan.scheme, data, out, &len, diag));
    } else {
        uint8_t buf[KS_HASH_MAX];
        struct ks_span d = KS_SPAN_NONE;
        KS_TRY(digest(&plan, (size_t)EVP_PKEY_get_size(key->pkey), params, data, buf, &d, diag));
        KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
        if (ctx == NULL)
            return ks_ossl_fail(diag, KS_E_NOMEM, "%s", scheme_text[plan.scheme]);
        KS_TRY(set_up(ctx, &plan, false, diag));
        if (EVP_PKEY_sign(ctx, out, &len, d.data, d.len) != 1)
            return ks_ossl_fail(diag, KS_E_CRYPTO, "%s: signing", scheme_text[plan.scheme]);
    }
    ret->len += len;
    return 0;
}

int
ks_verify(const struct ks_pkey *key, const struct ks_sign_params *params, struct ks_span data, struct ks_span signature,
          struct ks_diag *diag)
{
    struct plan plan = {0};
    KS_TRY(make_plan(key, params, &plan, diag));
    bool valid = false;
    if (signature.len > SIGNATURE_MAX)
        return ks_fail(diag, KS_E_INTEGRITY, "%s: a signature of %zu bytes is none", scheme_text[plan.scheme],
                       signature.len);
    if (takes_message(plan.scheme)) {
        KS_CLEANUP(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        if (ctx == NULL || EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key->pkey, NULL) != 1)
            return ks_ossl_fail(diag, KS_E_CRYPTO, "%s: preparing to verify", scheme_text[plan.scheme]);
        valid = EVP_DigestVerify(ctx, signature.data, signature.len, data.data, data.len) == 1;
    } else {
        uint8_t buf[KS_HASH_MAX];
        struct ks_span d = KS_SPAN_NONE;
        KS_TRY(digest(&plan, (size_t)EVP_PKEY_get_size(key->pkey), params, data, buf, &d, diag));
        KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
        if (ctx == NULL)
            return ks_ossl_fail(diag, KS_E_NOMEM, "%s", scheme_text[plan.scheme]);
        KS_TRY(set_up(ctx, &plan, true, diag));
        valid = EVP_PKEY_verify(ctx, signature.data, signature.len, d.data, d.len) == 1;
    }
    ERR_clear_error();
    return valid ? 0 : ks_fail(diag, KS_E_INTEGRITY, "%s: the signature is not valid", scheme_text[plan.scheme]);
}

int
ks_sign_hash(const struct ks_pkey *key, const struct ks_sign_params *params, uint32_t *ret, struct ks_diag *diag)
{
    struct plan plan = {0};
    KS_TRY(make_plan(key, params, &plan, diag));
    *ret = plan.hash;
    return 0;
}

int
ks_verify_recover(const struct ks_pkey *key, const struct ks_sign_params *params, struct ks_span signature,
                  struct ks_buf *ret, struct ks_diag *diag)
{
    struct plan plan = {0};
    struct ks_sign_params p = *params;
    p.digested = true; /* no hash is as good as any */
    KS_TRY(make_plan(key, &p, &plan, diag));
    if (plan.scheme != PKCS1)
        return ks_fail(diag, KS_E_UNSUPPORTED, "%s signatures do not give back what was signed; send the data",
                       scheme_text[plan.scheme]);
    const EVP_MD *md = NULL;
    if (plan.hash != 0)
        KS_TRY(ks_ossl_hash(plan.hash, &md, diag));
    size_t len = (size_t)EVP_PKEY_get_size(key->pkey);
    if (ks_buf_reserve(ret, len) != 0)
        return ks_fail(diag, ret->err, "no room for %zu bytes", len);
    KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (ctx == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "%s", scheme_text[plan.scheme]);
    if (EVP_PKEY_verify_recover_init(ctx) != 1 || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) != 1 ||
        (md != NULL && EVP_PKEY_CTX_set_signature_md(ctx, md) != 1))
        return ks_ossl_fail(diag, KS_E_INVALID, "%s: these parameters", scheme_text[plan.scheme]);
    const bool valid = EVP_PKEY_verify_recover(ctx, ret->data + ret->len, &len, signature.data, signature.len) == 1;
    ERR_clear_error();
    if (!valid)
        return ks_ossl_undo(ret, ret->len,
                            ks_fail(diag, KS_E_INTEGRITY, "%s: the signature is not valid", scheme_text[plan.scheme]));
    ret->len += len;
    return 0;
}

/* A context for OAEP or PKCS#1 v1.5 encryption. */
static int
set_up_asym(EVP_PKEY_CTX *ctx, const struct ks_asym_params *params, bool encrypt, struct ks_diag *diag)
{
    const bool oaep = params->padding == 0 || params->padding == KMIP_PADDING_METHOD_OAEP;
    if (!oaep && params->padding != KMIP_PADDING_METHOD_PKCS1_V1_5)
        return ks_fail(diag, KS_E_UNSUPPORTED, "RSA encryption: padding method %#x is not offered", params->padding);
    if (!oaep && params->label.len != 0)
        return ks_fail(diag, KS_E_INVALID, "RSA PKCS#1 v1.5 encryption takes no label");
    if (params->label.len > INT_MAX)
        return ks_fail(diag, KS_E_LIMIT, "RSA OAEP: a label of %zu bytes", params->label.len);
    bool ok = (encrypt ? EVP_PKEY_encrypt_init(ctx) : EVP_PKEY_decrypt_init(ctx)) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(ctx, oaep ? RSA_PKCS1_OAEP_PADDING : RSA_PKCS1_PADDING) == 1;
    if (ok && oaep) {
        const EVP_MD *md = NULL, *mgf = NULL;
        const uint32_t hash = params->hash != 0 ? params->hash : KMIP_HASHING_ALGORITHM_SHA_256;
        KS_TRY(ks_ossl_hash(hash, &md, diag));
        KS_TRY(ks_ossl_hash(params->mgf_hash != 0 ? params->mgf_hash : hash, &mgf, diag));
        ok = EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, mgf) == 1;
        if (ok && params->label.len != 0) {
            uint8_t *label = OPENSSL_memdup(params->label.data, params->label.len); /* the context takes it */
            ok = label != NULL && EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, label, (int)params->label.len) == 1;
            if (!ok)
                OPENSSL_free(label);
        }
    }
    return ok ? 0 : ks_ossl_fail(diag, KS_E_INVALID, "RSA encryption: these parameters");
}

static int
check_asym(const struct ks_pkey *key, struct ks_diag *diag)
{
    if (!ks_pkey_is_rsa(key))
        return ks_fail(diag, KS_E_INVALID, "keys of type %s do not encrypt", ks_pkey_text(key));
    return 0;
}

int
ks_asym_encrypt(const struct ks_pkey *key, const struct ks_asym_params *params, struct ks_span plaintext,
                struct ks_buf *ret, struct ks_diag *diag)
{
    KS_TRY(check_asym(key, diag));
    if (key->info.bits < RSA_LEAST)
        return ks_fail(diag, KS_E_INVALID, "RSA: a key of %u bits is too short to encrypt; %d at least", key->info.bits,
                       RSA_LEAST);
    KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (ctx == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "RSA encryption");
    KS_TRY(set_up_asym(ctx, params, true, diag));
    size_t len = (size_t)EVP_PKEY_get_size(key->pkey);
    if (ks_buf_reserve(ret, len) != 0)
        return ks_fail(diag, ret->err, "no room for %zu bytes", len);
    if (EVP_PKEY_encrypt(ctx, ret->data + ret->len, &len, plaintext.len != 0 ? plaintext.data : (const uint8_t *)"",
                         plaintext.len) != 1)
        return ks_ossl_undo(ret, ret->len,
                            ks_ossl_fail(diag, KS_E_INVALID, "RSA encryption of %zu bytes with a key of %u bits",
                                         plaintext.len, key->info.bits));
    ret->len += len;
    return 0;
}

int
ks_asym_decrypt(const struct ks_pkey *key, const struct ks_asym_params *params, struct ks_span ciphertext,
                struct ks_buf *ret, struct ks_diag *diag)
{
    KS_TRY(check_asym(key, diag));
    if (!key->info.is_private)
        return ks_fail(diag, KS_E_INVALID, "RSA: decrypting needs the private key");
    if (params->padding == KMIP_PADDING_METHOD_PKCS1_V1_5) {
        if (params->label.len != 0)
            return ks_fail(diag, KS_E_INVALID, "RSA PKCS#1 v1.5 encryption takes no label");
        return ks_rsa_pkcs1_decrypt(key, ciphertext, ret, diag);
    }
    KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (ctx == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "RSA decryption");
    KS_TRY(set_up_asym(ctx, params, false, diag));
    size_t len = (size_t)EVP_PKEY_get_size(key->pkey);
    if (ks_buf_reserve(ret, len) != 0)
        return ks_fail(diag, ret->err, "no room for %zu bytes", len);
    const bool ok = EVP_PKEY_decrypt(ctx, ret->data + ret->len, &len, ciphertext.data, ciphertext.len) == 1;
    ERR_clear_error(); /* the reason stays here */
    if (!ok)
        return ks_ossl_undo(ret, ret->len, ks_fail(diag, KS_E_INTEGRITY, "RSA: the data does not decrypt"));
    ret->len += len;
    return 0;
}
