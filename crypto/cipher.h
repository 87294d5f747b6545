/*
 * Symmetric encryption by KMIP Cryptographic Parameters.
 *
 *     struct ks_cipher_params p = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
 *                                  .mode = KMIP_BLOCK_CIPHER_MODE_GCM, .iv = iv, .aad = aad};
 *     struct ks_cipher_tag tag;
 *     KS_TRY(ks_cipher_encrypt(&p, key, data, &out, &tag, diag));
 *
 * Offered: AES ECB, CBC, CFB (128 bit), OFB, CTR, GCM, CCM, XTS, NISTKeyWrap (RFC 3394), AESKeyWrapPadding
 * (RFC 5649); ChaCha20-Poly1305 (mode absent or AEAD); ChaCha20; 3DES ECB and CBC when allow_legacy is set.
 * ECB and CBC take padding None, PKCS5, ANSI X9.23 or ISO 10126; every other mode takes None or nothing. Padding
 * methods that cannot be undone without doubt (Zeros, SSL3) are KS_E_UNSUPPORTED. ChaCha20 takes a nonce of 12 bytes
 * (RFC 8439) or 8 (Bernstein's), the counter starting at 0, or counter and nonce together, 16 bytes.
 */
#pragma once

#include "base/mem.h"

enum { KS_CIPHER_TAG_MAX = 16, KS_CIPHER_IV_MAX = 16 };

struct ks_cipher_params {
    uint32_t algorithm; /* KMIP Cryptographic Algorithm */
    uint32_t mode;      /* KMIP Block Cipher Mode; 0 where the algorithm has none */
    uint32_t padding;   /* KMIP Padding Method; 0: None */
    size_t tag_len;     /* bytes, GCM 12 to 16, CCM 4 to 16 (even); 0: 16 */
    bool allow_legacy;  /* 3DES */
    struct ks_span iv;  /* as long as ks_cipher_iv_len says; GCM takes 1 to 128 bytes; CCM 7 to 13; ChaCha20: below */
    struct ks_span aad; /* GCM, CCM, ChaCha20-Poly1305; must be empty elsewhere */
};

struct ks_cipher_tag {
    size_t len; /* 0: the mode has no tag */
    uint8_t b[KS_CIPHER_TAG_MAX];
};

/*
 * Whether the combination is offered with a key of that many bytes, and how long an IV to generate is (0: it takes
 * none). ret_iv_len may be NULL. KS_E_UNSUPPORTED or KS_E_INVALID otherwise. An IV to generate is to be random.
 */
int ks_cipher_iv_len(const struct ks_cipher_params *params, size_t key_len, size_t *ret_iv_len,
                     struct ks_diag *diag) KS_MUST_CHECK;

/* Whether the mode authenticates, so that a tag goes with the ciphertext. */
bool ks_cipher_has_tag(const struct ks_cipher_params *params);

/*
 * Appends the ciphertext to ret and, for modes that have one, fills ret_tag (NULL: KS_E_INVALID for such modes).
 * KS_E_INVALID: key, IV or data of a length that the mode does not take, equal XTS halves.
 */
int ks_cipher_encrypt(const struct ks_cipher_params *params, struct ks_span key, struct ks_span plaintext,
                      struct ks_buf *ret, struct ks_cipher_tag *ret_tag, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * Appends the plaintext to ret. tag must be as long as tag_len says where the mode has one, else empty.
 * KS_E_INTEGRITY: the tag (or the key wrap's own check) does not match. KS_E_MALFORMED: the padding is wrong; it is
 * found out in constant time, but do not let a stranger tell this from other failures by the answer: an
 * unauthenticated mode is a padding oracle otherwise.
 */
int ks_cipher_decrypt(const struct ks_cipher_params *params, struct ks_span key, struct ks_span ciphertext,
                      struct ks_span tag, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;
