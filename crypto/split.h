/*
 * Splitting a secret into parts of which some together give it back (KMIP 1.4: 2.2.5; Shamir's scheme, or XOR).
 *
 *     const struct ks_split how = {.method = KMIP_SPLIT_KEY_METHOD_XOR, .parts = 3, .threshold = 3};
 *     KS_TRY(ks_split_length(&how, secret.len, &len, diag));
 *     KS_TRY(ks_split(&how, secret, shares, diag));        (3 * len bytes: part 1, part 2, ...)
 *     KS_TRY(ks_split_join(&how, given, 3, ret, secret_len, diag));
 *
 * Nothing here takes a time that depends on the secret, but in the prime field as far as libcrypto's arithmetic goes.
 */
#pragma once

#include "base/mem.h"

enum { KS_SPLIT_MOST = 255, KS_SPLIT_PRIME_MOST = 520 /* bytes */ };

struct ks_split {
    uint32_t method;      /* KMIP Split Key Method */
    uint32_t polynomial;  /* GF(2^8): Split Key Polynomial; 0: 285, as the published cases have it */
    unsigned parts;       /* 2 to KS_SPLIT_MOST */
    unsigned threshold;   /* 2 to parts; XOR: parts */
    struct ks_span prime; /* Prime Field: unsigned, greater than any secret of its length */
};

/* A part: its identifier from 1 and its bytes. */
struct ks_share {
    unsigned identifier;
    struct ks_span bytes;
};

/*
 * Whether it can be done, and how long a part of a secret of that length is: as long, but for GF(2^16) one byte longer
 * where the length is odd, and for the prime field as long as the prime. KS_E_INVALID, KS_E_UNSUPPORTED.
 */
int ks_split_length(const struct ks_split *how, size_t secret_len, size_t *ret_len, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * How long splitting a secret of that length takes, or joining n parts of it (n 0: splitting), in steps of some ten
 * nanoseconds: so that whoever has no time can refuse. For what ks_split_length finds possible.
 */
uint64_t ks_split_work(const struct ks_split *how, size_t secret_len, size_t n);

/* ret: how->parts times that many bytes. With random numbers of libcrypto. */
int ks_split(const struct ks_split *how, struct ks_span secret, uint8_t *ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * The secret, of secret_len bytes, from n parts: as many as the threshold says, or more, which then have to fit.
 * KS_E_INVALID: too few, one twice, of wrong length. KS_E_INTEGRITY: they do not belong together, as far as that shows:
 * parts beyond the threshold do not fit, or the secret is longer than it was.
 */
int ks_split_join(const struct ks_split *how, const struct ks_share *shares, size_t n, uint8_t *ret, size_t secret_len,
                  struct ks_diag *diag) KS_MUST_CHECK;
