/* Making keys. Generating RSA keys takes 0.1 s (2048) to many seconds (8192): in a worker thread, never in a loop. */
#pragma once

#include "base/mem.h"

struct ks_pkey;

/*
 * Whether a symmetric key of that algorithm (KMIP Cryptographic Algorithm) may be bits long: AES 128, 192, 256
 * (XTS: 256, 512 with the flag KS_KEYLEN_XTS); 3DES 112 or 168 (KMIP counts no parity bits; 128 and 192 are taken
 * for the same keys); HMAC a multiple of 8 from 112 to 8192 (SP 800-107: 112 at least);
 * ChaCha20 and ChaCha20-Poly1305 256. ret_bytes (may be NULL): length of the key in bytes.
 * KS_E_INVALID: a length the algorithm does not have. KS_E_UNSUPPORTED: an algorithm that is not offered.
 */
enum { KS_KEYLEN_XTS = 1 };
int ks_keygen_length(uint32_t algorithm, size_t bits, unsigned flags, size_t *ret_bytes,
                     struct ks_diag *diag) KS_MUST_CHECK;

/* A fresh symmetric key. bits 0: the algorithm's usual length (AES 256, HMAC the hash's). 3DES keys get odd parity. */
int ks_keygen_symmetric(uint32_t algorithm, size_t bits, unsigned flags, struct ks_secret **ret,
                        struct ks_diag *diag) KS_MUST_CHECK;

struct ks_keypair_params {
    uint32_t algorithm; /* RSA, EC, ECDSA, ECDH, Ed25519, Ed448, those of crypto/pq.h */
    uint32_t bits;  /* RSA 1024 to 8192, multiple of 256 (which of these are allowed is the caller's policy); 0: 3072.
                       EC: picks the NIST curve where curve is 0. Post-quantum: 0, or the length of the public key */
    uint32_t curve; /* KMIP Recommended Curve: P-224, P-256, P-384, P-521, SECP256K1, CURVE25519, CURVE448 */
    uint32_t exponent; /* RSA: odd, 65537 at least; 0: 65537 */
};

/* A fresh key pair; get its bytes and components with crypto/keyformat.h. CURVE25519/448 with EC or ECDH: X25519/448.
 */
int ks_keygen_pair(const struct ks_keypair_params *params, struct ks_pkey **ret, struct ks_diag *diag) KS_MUST_CHECK;
