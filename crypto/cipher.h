/*
 * Symmetric encryption by KMIP Cryptographic Parameters.
 *
 *     struct ks_cipher_params p = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
 *                                  .mode = KMIP_BLOCK_CIPHER_MODE_GCM, .iv = iv, .aad = aad};
 *     struct ks_cipher_tag tag;
 *     KS_TRY(ks_cipher_encrypt(&p, key, data, &out, &tag, diag));
 *
 * Offered: AES ECB, CBC, CFB (128 bit), OFB, CTR, GCM, CCM, XTS, NISTKeyWrap (RFC 3394), AESKeyWrapPadding
 * (RFC 5649); ChaCha20-Poly1305 (mode absent or AEAD); ChaCha20; 3DES ECB and CBC. What of it may be used is the
 * caller's matter. ECB and CBC take padding None, PKCS5, ANSI X9.23 or ISO 10126; every other mode takes None or
 * nothing. Padding methods that cannot be undone without doubt (Zeros, SSL3) are KS_E_UNSUPPORTED. ChaCha20 takes a
 * nonce of 12 bytes (RFC 8439) or 8 (Bernstein's), the counter starting at 0, or counter and nonce together, 16 bytes.
 */
#pragma once

#include "base/mem.h"

enum { KS_CIPHER_TAG_MAX = 16, KS_CIPHER_IV_MAX = 16 };

struct ks_cipher_params {
    uint32_t algorithm;    /* KMIP Cryptographic Algorithm */
    uint32_t mode;         /* KMIP Block Cipher Mode; 0 where the algorithm has none */
    uint32_t padding;      /* KMIP Padding Method; 0: None */
    size_t tag_len;        /* bytes, GCM and ChaCha20-Poly1305 12 to 16, CCM 4 to 16 (even); 0: 16 */
    unsigned counter_bits; /* CTR: so many bits at the end of the IV count, and must not overflow; 0: all 128 */
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

/* Whether the mode can have a tag of tag_len bytes; true where it has none. */
bool ks_cipher_tag_fits(const struct ks_cipher_params *params);

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

/*
 * The same in parts. What can be, is worked on as it comes; CCM, XTS, the key wraps, and everything that is decrypted
 * with a tag, are collected instead and done at the end, so that nothing is released that was not authenticated:
 * most bytes of them at most (KS_E_LIMIT beyond). The key lives in the object, wiped when it is freed.
 *
 *     struct ks_cipher_stream *s;
 *     KS_TRY(ks_cipher_stream_new(&params, key, true, 1 << 20, &s, diag));
 *     KS_TRY(ks_cipher_stream_update(s, part, &out, diag));
 *     KS_TRY(ks_cipher_stream_final(s, KS_SPAN_NONE, &out, &tag, diag));
 *     ks_cipher_stream_free(s);
 *
 * After a failure the stream is of no use but to be freed. params is not kept, nor what it points to.
 */
struct ks_cipher_stream;
int ks_cipher_stream_new(const struct ks_cipher_params *params, struct ks_span key, bool encrypt, size_t most,
                         struct ks_cipher_stream **ret, struct ks_diag *diag) KS_MUST_CHECK;

/* Bytes that the stream has collected. */
size_t ks_cipher_stream_collected(const struct ks_cipher_stream *stream);

/* Takes the last len bytes of what was collected: a tag behind the data. KS_E_INVALID: there are not so many. */
int ks_cipher_stream_take_end(struct ks_cipher_stream *stream, uint8_t *ret, size_t len) KS_MUST_CHECK;

/* Appends what can be given out already. Errors as with the functions above. */
int ks_cipher_stream_update(struct ks_cipher_stream *stream, struct ks_span data, struct ks_buf *ret,
                            struct ks_diag *diag) KS_MUST_CHECK;

/* Appends the rest. tag: to decrypt with; ret_tag: when encrypting (NULL where the mode makes none). */
int ks_cipher_stream_final(struct ks_cipher_stream *stream, struct ks_span tag, struct ks_buf *ret,
                           struct ks_cipher_tag *ret_tag, struct ks_diag *diag) KS_MUST_CHECK;
void ks_cipher_stream_free(struct ks_cipher_stream *stream); /* accepts NULL */
static inline void
ks_cipher_stream_freep(struct ks_cipher_stream **stream)
{
    ks_cipher_stream_free(*stream);
    *stream = NULL;
}
