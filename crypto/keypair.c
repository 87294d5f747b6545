/* Generating key pairs (crypto/keygen.h). */
#include <keystead/kmip.h>
#include <openssl/rsa.h>

#include "crypto/keygen.h"
#include "crypto/pkey.h"

enum { RSA_LEAST = 1024, RSA_MOST = 8192, RSA_STEP = 256, RSA_USUAL = 3072, EXPONENT_LEAST = 65537 };

static int
generate(EVP_PKEY_CTX *ctx, const char *text, struct ks_pkey **ret, struct ks_diag *diag)
{
    EVP_PKEY *pkey = NULL;
    if (EVP_PKEY_generate(ctx, &pkey) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "generating a key of type %s", text);
    return ks_pkey_take(pkey, true, ret, diag);
}

static int
generate_rsa(const struct ks_keypair_params *params, struct ks_pkey **ret, struct ks_diag *diag)
{
    const uint32_t bits = params->bits != 0 ? params->bits : RSA_USUAL;
    const uint32_t exponent = params->exponent != 0 ? params->exponent : EXPONENT_LEAST;
    if (params->curve != 0)
        return ks_fail(diag, KS_E_INVALID, "RSA keys have no recommended curve");
    if (bits < RSA_LEAST || bits > RSA_MOST || bits % RSA_STEP != 0)
        return ks_fail(diag, KS_E_INVALID, "RSA keys of %u bits are not made: %d to %d, multiples of %d", bits,
                       RSA_LEAST, RSA_MOST, RSA_STEP);
    if (exponent < EXPONENT_LEAST || exponent % 2 == 0)
        return ks_fail(diag, KS_E_INVALID, "RSA: the public exponent %u is not odd or below %d", exponent,
                       EXPONENT_LEAST);
    KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    KS_CLEANUP(BN_clear_freep) BIGNUM *e = BN_new();
    if (ctx == NULL || e == NULL || BN_set_word(e, exponent) != 1 || EVP_PKEY_keygen_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits) != 1 || EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "preparing to generate an RSA key");
    return generate(ctx, "RSA", ret, diag);
}

uint32_t
ks_curve_of_length(uint32_t bits)
{
    switch (bits) {
    case 224:
        return KMIP_RECOMMENDED_CURVE_P_224;
    case 256:
        return KMIP_RECOMMENDED_CURVE_P_256;
    case 384:
        return KMIP_RECOMMENDED_CURVE_P_384;
    case 521:
        return KMIP_RECOMMENDED_CURVE_P_521;
    default:
        return 0;
    }
}

static int
generate_ec(const struct ks_keypair_params *params, struct ks_pkey **ret, struct ks_diag *diag)
{
    const bool edwards = params->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519 ||
                         params->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448;
    const uint32_t number =
        params->curve != 0 || edwards ? params->curve : ks_curve_of_length(params->bits != 0 ? params->bits : 256);
    const struct ks_curve *curve = number != 0 || edwards ? ks_curve_find(number, params->algorithm) : NULL;
    if (curve == NULL && params->curve == 0)
        return ks_fail(diag, KS_E_INVALID, "there is no curve of %u bits; name a recommended curve", params->bits);
    if (curve == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "recommended curve %#x is not offered with cryptographic algorithm %#x",
                       params->curve, params->algorithm);
    if (params->bits != 0 && params->bits != curve->bits)
        return ks_fail(diag, KS_E_INVALID, "keys on curve %#x have %u bits, not %u", curve->curve, curve->bits,
                       params->bits);
    const bool sign_only = params->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA;
    if (sign_only && curve->group == NULL)
        return ks_fail(diag, KS_E_INVALID, "ECDSA has no curve %s", curve->type);
    KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, curve->type, NULL);
    if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1 ||
        (curve->group != NULL && EVP_PKEY_CTX_set_group_name(ctx, curve->group) != 1))
        return ks_ossl_fail(diag, KS_E_CRYPTO, "preparing to generate a key of type %s", curve->type);
    return generate(ctx, curve->type, ret, diag);
}

int
ks_keygen_pair(const struct ks_keypair_params *params, struct ks_pkey **ret, struct ks_diag *diag)
{
    switch (params->algorithm) {
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA:
        return generate_rsa(params, ret, diag);
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_EC:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448:
        return generate_ec(params, ret, diag);
    default:
        break;
    }
    const struct ks_pq *pq = ks_pq_find(params->algorithm);
    if (pq == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "no key pairs are made for cryptographic algorithm %#x",
                       params->algorithm);
    if (params->curve != 0)
        return ks_fail(diag, KS_E_INVALID, "%s keys have no recommended curve", pq->type);
    if (params->bits != 0 && params->bits != pq->public_bytes * 8)
        return ks_fail(diag, KS_E_INVALID,
                       "%s has public keys of %zu bits, which is their length, not %u; leave it out", pq->type,
                       pq->public_bytes * 8, params->bits);
    return ks_pq_generate(pq, ret, diag);
}
