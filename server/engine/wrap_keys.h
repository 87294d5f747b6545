/* What wrapping and unwrapping do with the keys that they are told: encrypt, decrypt, MAC, sign, verify. */
#pragma once

#include "server/engine/wrap.h"

struct wrap_key {
    struct object *object;
    const struct kmip_cryptographic_parameters *parameters;
};

/*
 * The keys that Encryption Key Information and MAC/Signature Key Information name, for wrapping or (unwrap) for the
 * way back. What is wrong with one of them is said with the reasons that are its own.
 */
int wrap_find_encryption_key(struct ctx *ctx, const struct kmip_encryption_key_information *info, bool unwrap,
                             struct wrap_key *ret) KS_MUST_CHECK;
int wrap_find_mac_key(struct ctx *ctx, const struct kmip_mac_signature_key_information *info, bool unwrap,
                      struct wrap_key *ret) KS_MUST_CHECK;

/* Everything lies in the arena. ret_iv: the IV, counter or nonce that was drawn; empty: the method takes none. */
int wrap_encrypt(struct ctx *ctx, const struct wrap_key *key, struct ks_span input, struct ks_span *ret,
                 struct ks_span *ret_iv) KS_MUST_CHECK;
int wrap_decrypt(struct ctx *ctx, const struct wrap_key *key, struct ks_span input, struct ks_span iv,
                 struct ks_span *ret) KS_MUST_CHECK;
int wrap_mac(struct ctx *ctx, const struct wrap_key *key, struct ks_span input, struct ks_span *ret) KS_MUST_CHECK;
int wrap_mac_verify(struct ctx *ctx, const struct wrap_key *key, struct ks_span input,
                    struct ks_span mac) KS_MUST_CHECK;

/* Refuses a wrapping key that is weaker than what it is to wrap. */
int wrap_check_strength(struct ctx *ctx, const struct object *object, const struct wrap_key *key) KS_MUST_CHECK;
