/* Inside crypto/ only: what a struct ks_pkey is. */
#pragma once

#include <keystead/kmip.h>

#include "crypto/keyformat.h"
#include "crypto/ossl.h"

struct ks_curve {
    uint32_t curve, algorithm;
    const char *type;  /* OpenSSL's key type */
    const char *group; /* OpenSSL's group for type EC, else NULL */
    uint32_t bits;
    size_t bytes;
};

/* A row of crypto/pq.def. */
enum ks_pq_kind { KS_PQ_KEM, KS_PQ_SIGN, KS_PQ_SLOW };
struct ks_pq {
    uint32_t algorithm;
    const char *type; /* OpenSSL's key type, and the name for messages */
    enum ks_pq_kind kind;
    uint32_t strength;
    size_t public_bytes, private_bytes, seed_bytes;
    uint8_t oid[2]; /* its last two numbers */
};

struct ks_pkey {
    EVP_PKEY *pkey;
    const struct ks_curve *curve; /* NULL: not on a curve */
    const struct ks_pq *pq;       /* NULL: not post-quantum */
    struct ks_pkey_info info;
};

/*
 * The row for a curve and an algorithm (0, EC, ECDSA and ECDH: any curve key but Edwards ones; Ed25519, Ed448 with
 * curve 0 too), or NULL.
 */
const struct ks_curve *ks_curve_find(uint32_t curve, uint32_t algorithm);

/* The row of a group of type EC by OpenSSL's name; NULL: not offered. */
const struct ks_curve *ks_curve_find_group(const char *group);

/* Whether it is a key over a finite field: DSA or DH. Such keys are kept and converted, and nothing is computed with
 * them. */
static inline bool
ks_pkey_is_ffc(const struct ks_pkey *key)
{
    return key->info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA ||
           key->info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_DH;
}

static inline bool
ks_pkey_is_rsa(const struct ks_pkey *key)
{
    return key->info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA;
}

/* The row of an algorithm, of a key of libcrypto, of an object identifier's bytes; NULL: it is none of these. */
const struct ks_pq *ks_pq_find(uint32_t algorithm);
const struct ks_pq *ks_pq_find_pkey(const EVP_PKEY *pkey);
const struct ks_pq *ks_pq_find_oid(struct ks_span oid);

/* Making post-quantum keys, and their raw bytes. KS_E_UNSUPPORTED: this OpenSSL has no such keys. */
int ks_pq_generate(const struct ks_pq *pq, struct ks_pkey **ret, struct ks_diag *diag) KS_MUST_CHECK;
int ks_pq_from_raw(const struct ks_pq *pq, bool is_private, struct ks_span bytes, struct ks_pkey **ret,
                   struct ks_diag *diag) KS_MUST_CHECK;
int ks_pq_raw(const struct ks_pkey *key, bool is_private, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* Wraps a key of libcrypto, which it takes in any case. KS_E_UNSUPPORTED for kinds that are not offered. */
int ks_pkey_take(EVP_PKEY *pkey, bool is_private, struct ks_pkey **ret, struct ks_diag *diag) KS_MUST_CHECK;

/* "RSA", "EC P-256" and so on, for messages. */
const char *ks_pkey_text(const struct ks_pkey *key);
