/* Signatures and asymmetric encryption by KMIP Cryptographic Parameters. */
#pragma once

#include "base/mem.h"
#include "crypto/keyformat.h"

/*
 * RSA PKCS#1 v1.5 and PSS (RFC 8017), ECDSA (FIPS 186-4), EdDSA (RFC 8032), ML-DSA and SLH-DSA (FIPS 204 and
 * 205: the message itself, empty context, hedged). What kind of key it is decides; the
 * parameters must fit.
 */
struct ks_sign_params {
    uint32_t signature; /* KMIP Digital Signature Algorithm; 0: from hash and padding */
    uint32_t hash;      /* KMIP Hashing Algorithm; 0: SHA-256. EdDSA, ML-DSA, SLH-DSA: must be 0 */
    uint32_t padding;   /* RSA: PKCS1 v1.5 or PSS; 0: PKCS1 v1.5. Others: must be 0 or None */
    uint32_t mgf_hash;  /* PSS: hash of MGF1; 0: the same hash. (KMIP's default is SHA-1: the caller sets it.) */
    int32_t salt_len;   /* PSS: bytes; negative: as long as the hash, and any when verifying */
    /*
     * The data is the digest already. With hash 0 (and no algorithm that names one) ECDSA takes 16 to 64 bytes of
     * whatever hash it was, and PKCS1 v1.5 pads 16 bytes to 11 less than the key as they are: a DigestInfo, say.
     */
    bool digested;
};

/*
 * The hash that a signature with key and parameters is made of, so that the caller can compute it in parts and sign
 * with hash and digested set. 0: EdDSA, ML-DSA, SLH-DSA, which need the message whole; or a digest of an unnamed hash.
 */
int ks_sign_hash(const struct ks_pkey *key, const struct ks_sign_params *params, uint32_t *ret,
                 struct ks_diag *diag) KS_MUST_CHECK;

/* Appends the signature (ECDSA: DER). RSA keys below 2048 bits: KS_E_INVALID. */
int ks_sign(const struct ks_pkey *key, const struct ks_sign_params *params, struct ks_span data, struct ks_buf *ret,
            struct ks_diag *diag) KS_MUST_CHECK;

/* 0: valid. KS_E_INTEGRITY: it is not. */
int ks_verify(const struct ks_pkey *key, const struct ks_sign_params *params, struct ks_span data,
              struct ks_span signature, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * RSA PKCS1 v1.5: appends what was signed: the digest where there is a hash, else the padded bytes. KS_E_UNSUPPORTED:
 * schemes that do not give it back. KS_E_INTEGRITY: the signature is not valid.
 */
int ks_verify_recover(const struct ks_pkey *key, const struct ks_sign_params *params, struct ks_span signature,
                      struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

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
 * KS_E_INTEGRITY: does not decrypt; one code and message for every reason. PKCS1 v1.5 padding that is wrong is no
 * failure: another message comes out, always the same one (crypto/rsa_pkcs1.h).
 */
int ks_asym_decrypt(const struct ks_pkey *key, const struct ks_asym_params *params, struct ks_span ciphertext,
                    struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;
