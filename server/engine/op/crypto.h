/* What the cryptographic operations share. */
#pragma once

#include "crypto/hash.h"
#include "server/engine/op/op.h"
#include "server/engine/profile.h"
#include "server/engine/wrap.h"

/* The item fails with what crypto/ says; failures that would tell of padding or tags are one. Codes of memory pass. */
int crypto_fail(struct ctx *ctx, int rc, struct ks_diag *diag) KS_MUST_CHECK;

/* The key of a Private Key, Public Key or Certificate; freed by the caller. */
int crypto_pkey(struct ctx *ctx, const struct object *object, struct ks_pkey **ret) KS_MUST_CHECK;

/* Whether the parameters are about an algorithm of the key's kind (EC, ECDSA and ECDH are one), or about none. */
bool crypto_algorithm_fits(const struct object *key, const struct kmip_cryptographic_parameters *p);

/*
 * Encrypt and Decrypt with a One Time Pad. start: the first byte of the pad to use; for Encrypt *has_start false is the
 * first that is not used yet, and is said then unless it is the first of all. Changes the object: to be called last.
 */
bool crypt_is_pad(const struct object *key);
int crypt_pad(struct ctx *ctx, struct object *key, const struct kmip_cryptographic_parameters *p, bool encrypt,
              struct ks_span data, struct ks_span *start, bool *has_start, struct ks_span *ret) KS_MUST_CHECK;

/* Encrypt and Decrypt with an asymmetric key. */
int crypt_asym(struct ctx *ctx, const struct object *key, const struct kmip_cryptographic_parameters *p, bool encrypt,
               struct ks_span data, struct ks_span *ret) KS_MUST_CHECK;
