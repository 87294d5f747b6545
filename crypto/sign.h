/* Signatures and asymmetric encryption by KMIP Cryptographic Parameters. */
#pragma once

#include "base/mem.h"
#include "crypto/keyformat.h"

/*
 * RSA PKCS#1 v1.5 and PSS (RFC 8017), ECDSA (FIPS 186-4), EdDSA (RFC 8032). What kind of key it is decides; the
 * parameters must fit.
 */
struct ks_sign_params {
    uint32_t signature; /* KMIP Digital Signature Algorithm; 0: from hash and padding */
    uint32_t hash;      /* KMIP Hashing Algorithm; 0: SHA-256. EdDSA: must be 0 */
    uint32_t padding;   /* RSA: PKCS1 v1.5 or PSS; 0: PKCS1 v1.5. Others: must be 0 or None */
    uint32_t mgf_hash;  /* PSS: hash of MGF1; 0: the same hash. (KMIP's default is SHA-1: the caller sets it.) */
    int32_t salt_len;   /* PSS: bytes; negative: as long as the hash, and any when verifying */
    bool digested;      /* data is the digest already; ECDSA with hash 0 takes 16 to 64 bytes of whatever hash it was */
};

/* Appends the signature (ECDSA: DER). RSA keys below 2048 bits: KS_E_INVALID. */
int ks_sign(const struct ks_pkey *key, const struct ks_sign_params *params, struct ks_span data, struct ks_buf *ret,
            struct ks_diag *diag) KS_MUST_CHECK;

/* 0: valid. KS_E_INTEGRITY: it is not. */
int ks_verify(const struct ks_pkey *key, const struct ks_sign_params *params, struct ks_span data,
              struct ks_span signature, struct ks_diag *diag) KS_MUST_CHECK;

struct ks_asym_params {
    uint32_t padding;     /* OAEP or PKCS1 v1.5; 0: OAEP */
    uint32_t hash;        /* OAEP; 0: SHA-256 */
    uint32_t mgf_hash;    /* OAEP; 0: the same hash. (KMIP's default is SHA-1.) */
    struct ks_span label; /* OAEP P Source; may be empty */
};

/* RSA encryption of a short message. KS_E_INVALID: too long for the key. */
int ks_asym_encrypt(const struct ks_pkey *key, const struct ks_asym_params *params, struct ks_span plaintext,
                    struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * KS_E_INTEGRITY: does not decrypt; one code and message for every reason. OpenSSL 3.0 still answers for PKCS1 v1.5
 * padding whether it was right: offer that to trusted peers only, or OAEP instead.
 */
int ks_asym_decrypt(const struct ks_pkey *key, const struct ks_asym_params *params, struct ks_span ciphertext,
                    struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;
