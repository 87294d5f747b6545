#include "server/engine/op/crypto.h"

int
crypto_fail(struct ctx *ctx, int rc, struct ks_diag *diag)
{
    switch (rc) {
    case KS_E_UNSUPPORTED:
        return engine_fail_diag(ctx, COND_PARAMETERS_NOT_OFFERED, diag);
    case KS_E_INVALID:
        return engine_fail_diag(ctx, COND_BAD_PARAMETERS, diag);
    case KS_E_LIMIT:
        return engine_fail_diag(ctx, COND_SERVER_LIMIT, diag);
    case KS_E_INTEGRITY:
    case KS_E_MALFORMED:
        /* One text for both: padding must not tell. */
        return engine_fail(ctx, COND_CRYPTOGRAPHY, "the data can not be decrypted with this key and these parameters");
    case KS_E_CRYPTO:
        return engine_fail(ctx, COND_CRYPTOGRAPHY, "the cryptographic operation failed");
    default:
        return rc;
    }
}

int
crypto_pkey(struct ctx *ctx, const struct object *object, struct ks_pkey **ret)
{
    const uint32_t type = object_type(object);
    if (type != KMIP_OBJECT_TYPE_PRIVATE_KEY && type != KMIP_OBJECT_TYPE_PUBLIC_KEY &&
        type != KMIP_OBJECT_TYPE_CERTIFICATE)
        return engine_fail(ctx, COND_OBJECT_UNFIT, "object %s is no private key, public key or certificate",
                           object->uid);
    return parsed_key(ctx, object, ret);
}

static bool
is_ec(uint32_t algorithm)
{
    return algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC || algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA ||
           algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH;
}

bool
crypto_algorithm_fits(const struct object *key, const struct kmip_cryptographic_parameters *p)
{
    const uint32_t own = (uint32_t)core_get(&key->rev->core, CORE_ALGORITHM);
    return !p->has_cryptographic_algorithm || own == 0 || p->cryptographic_algorithm == own ||
           (is_ec(own) && is_ec(p->cryptographic_algorithm));
}
