/* Signatures and asymmetric encryption by KMIP Cryptographic Parameters. */
#pragma once

#include "base/mem.h"
#include "crypto/keyformat.h"

struct ks_sign_params {
    uint32_t signature; /* KMIP Digital Signature Algorithm; 0: from hash and padding */
    uint32_t hash;      /* KMIP Hashing Algorithm; 0: SHA-256 (EdDSA: must be 0) */
    uint32_t padding;   /* RSA: PKCS1 v1.5 or PSS; 0: PKCS1 v1.5 */
    uint32_t mgf_hash;  /* PSS: hash of MGF1; 0: hash */
    int32_t salt_len;   /* PSS: bytes; negative: as long as the hash */
    bool digested;      /* data is the digest already */
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
    uint32_t mgf_hash;    /* OAEP; 0: hash */
    struct ks_span label; /* OAEP P Source; may be empty */
};

/* RSA encryption of a short message. KS_E_INVALID: too long for the key. */
int ks_asym_encrypt(const struct ks_pkey *key, const struct ks_asym_params *params, struct ks_span plaintext,
                    struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* KS_E_INTEGRITY: does not decrypt; one message for every reason (no padding oracle). */
int ks_asym_decrypt(const struct ks_pkey *key, const struct ks_asym_params *params, struct ks_span ciphertext,
                    struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;
