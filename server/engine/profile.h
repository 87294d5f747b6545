/*
 * Policy profiles: which algorithms, lengths, curves, modes, hashes and methods may be used for what. profile.def has
 * the rows. Keys that a profile does not allow are still registered, kept and handed out: their owners may need them
 * elsewhere.
 *
 *     struct profile_what what = profile_key(key);
 *     what.mode = params.mode;
 *     KS_TRY(profile_check(ctx, PROFILE_PROTECT, &what));
 */
#pragma once

#include "server/engine/ctx.h"

enum profile_use {
    PROFILE_MAKE,    /* the server makes key material */
    PROFILE_PROTECT, /* encrypt, sign, MAC, wrap, derive, hash */
    PROFILE_PROCESS, /* decrypt, verify, unwrap */
};

/* What a use involves; 0 where it does not, or is not known. */
struct profile_what {
    uint32_t algorithm;      /* KMIP Cryptographic Algorithm of the key */
    uint32_t bits;           /* its length */
    uint32_t curve;          /* its Recommended Curve; counts for EC, ECDSA and ECDH */
    uint32_t mode;           /* Block Cipher Mode */
    uint32_t padding;        /* Padding Method of an asymmetric encryption */
    uint32_t hash;           /* Hashing Algorithm: of a hash, HMAC, OAEP, derivation */
    uint32_t signature_hash; /* Hashing Algorithm of a digital signature */
    uint32_t derivation;     /* Derivation Method */
};

/* Fails with AGAINST_POLICY when something is to be made, else with PARAMETERS_NOT_OFFERED; the message names what is
 * not allowed, the profile, and the remedy. */
int profile_check(struct ctx *ctx, enum profile_use use, const struct profile_what *what) KS_MUST_CHECK;

/* Whether a profile allows it. ret_kind, ret_name (may be NULL): the first thing that it does not allow, as text. */
bool profile_allows(enum profile profile, enum profile_use use, const struct profile_what *what, const char **ret_kind,
                    const char **ret_name);

/* Algorithm, length and curve of a key or a draft of one. */
struct profile_what profile_facts(const struct rev *rev);
static inline struct profile_what
profile_key(const struct object *key)
{
    return profile_facts(key->rev);
}
