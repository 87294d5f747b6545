#include "crypto/cipher.h"

#include <keystead/kmip.h>
#include <stdlib.h>

#include "crypto/keywrap.h"
#include "crypto/ossl.h"
#include "crypto/random.h"

enum kind { BLOCKS, STREAM, GCM, CCM, XTS, WRAP, WRAP_PAD, CHACHA, CHACHA_POLY };

enum { KMIP_BLOCK_CIPHER_MODE_NO_MODE = 0, BLOCK_MAX = 16, GCM_IV_MAX = 128, LARGEST = 1 << 30 };

struct row {
    uint32_t algorithm, mode;
    size_t key_len;
    enum ks_ossl id;
    enum kind kind;
    size_t block; /* BLOCKS: what the data is padded to */
    size_t iv_len;
    const char *text;
};

static const struct row rows[] = {
#define CIPHER(algorithm, mode, key, id, kind, block, iv, text)                                                        \
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_##algorithm,                                                                         \
     KMIP_BLOCK_CIPHER_MODE_##mode,                                                                                    \
     key,                                                                                                              \
     KS_OSSL_CIPHER_##id,                                                                                              \
     kind,                                                                                                             \
     block,                                                                                                            \
     iv,                                                                                                               \
     text},
#include "crypto/cipher.def"
#undef CIPHER
};

static bool
has_tag(enum kind kind)
{
    return kind == GCM || kind == CCM || kind == CHACHA_POLY;
}

bool
ks_cipher_has_tag(const struct ks_cipher_params *params)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (rows[i].algorithm == params->algorithm && rows[i].mode == params->mode)
            return has_tag(rows[i].kind);
    return false;
}

/* The row for algorithm, mode and key length; the errors say which of the three is wrong. */
static int
find(const struct ks_cipher_params *params, size_t key_len, const struct row **ret, struct ks_diag *diag)
{
    const struct row *algorithm = NULL, *mode = NULL;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        if (row->algorithm != params->algorithm)
            continue;
        algorithm = row;
        if (row->mode != params->mode)
            continue;
        mode = row;
        if (row->key_len != key_len)
            continue;
        *ret = row;
        return 0;
    }
    if (algorithm == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "cryptographic algorithm %#x does not encrypt here", params->algorithm);
    if (mode == NULL && params->mode == 0)
        return ks_fail(diag, KS_E_INVALID, "%s: the block cipher mode is missing", algorithm->text);
    if (mode == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "block cipher mode %#x is not offered with cryptographic algorithm %#x",
                       params->mode, params->algorithm);
    return ks_fail(diag, KS_E_INVALID, "%s and its like take no key of %zu bits", mode->text, key_len * 8);
}

static int
check_padding(const struct ks_cipher_params *params, const struct row *row, struct ks_diag *diag)
{
    switch (params->padding) {
    case 0:
    case KMIP_PADDING_METHOD_NONE:
        return 0;
    case KMIP_PADDING_METHOD_PKCS5:
    case KMIP_PADDING_METHOD_ANSI_X9_23:
    case KMIP_PADDING_METHOD_ISO_10126:
        if (row->kind != BLOCKS)
            return ks_fail(diag, KS_E_INVALID, "%s takes no padding", row->text);
        return 0;
    default:
        return ks_fail(diag, KS_E_UNSUPPORTED, "%s: padding method %#x is not offered", row->text, params->padding);
    }
}

static int
check_tag_len(const struct ks_cipher_params *params, const struct row *row, struct ks_diag *diag)
{
    const size_t len = params->tag_len;
    bool fits = false;
    switch (row->kind) {
    case GCM:
        fits = len >= 12 && len <= 16; /* SP 800-38D, 5.2.1.2, without the short tags of appendix C */
        break;
    case CCM:
        fits = len >= 4 && len <= 16 && len % 2 == 0; /* SP 800-38C, A.1 */
        break;
    case CHACHA_POLY:
        fits = len >= 12 && len <= 16; /* RFC 8439 has 16; the published KMIP cases cut it as GCM's is cut */
        break;
    default:
        return 0; /* no tag: the parameter says nothing */
    }
    if (len != 0 && !fits)
        return ks_fail(diag, KS_E_INVALID, "%s takes no tag of %zu bytes", row->text, len);
    return 0;
}

bool
ks_cipher_tag_fits(const struct ks_cipher_params *params)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (rows[i].algorithm == params->algorithm && rows[i].mode == params->mode)
            return check_tag_len(params, &rows[i], NULL) == 0;
    return true;
}

static int
check(const struct ks_cipher_params *params, size_t key_len, const struct row **ret, struct ks_diag *diag)
{
    const struct row *row = NULL;
    KS_TRY(find(params, key_len, &row, diag));
    KS_TRY(check_padding(params, row, diag));
    KS_TRY(check_tag_len(params, row, diag));
    *ret = row;
    return 0;
}

static int
check_iv(const struct row *row, size_t len, struct ks_diag *diag)
{
    bool fits;
    switch (row->kind) {
    case GCM:
        fits = len >= 1 && len <= GCM_IV_MAX;
        break;
    case CCM:
        fits = len >= 7 && len <= 13;
        break;
    case CHACHA:
        fits = len == 8 || len == 12 || len == 16;
        break;
    default:
        fits = len == row->iv_len;
    }
    if (fits)
        return 0;
    if (row->iv_len == 0)
        return ks_fail(diag, KS_E_INVALID, "%s takes no IV", row->text);
    if (len == 0)
        return ks_fail(diag, KS_E_INVALID, "%s: the IV is missing (%zu bytes)", row->text, row->iv_len);
    return ks_fail(diag, KS_E_INVALID, "%s takes no IV of %zu bytes; %zu are usual", row->text, len, row->iv_len);
}

/* A counter in the last bits of the IV, which those before it are not to be touched by. */
static int
check_counter(const struct ks_cipher_params *params, const struct row *row, uint64_t len, struct ks_diag *diag)
{
    const unsigned bits = params->counter_bits;
    if (bits == 0 || bits >= 64 || params->mode != KMIP_BLOCK_CIPHER_MODE_CTR)
        return 0;
    const uint64_t mask = ((uint64_t)1 << bits) - 1;
    const uint64_t first = ks_be64(params->iv.data + params->iv.len - 8) & mask;
    const uint64_t blocks = (len + BLOCK_MAX - 1) / BLOCK_MAX;
    if (blocks != 0 && blocks - 1 > mask - first)
        return ks_fail(diag, KS_E_INVALID, "%s: a counter of %u bits that begins with %llu is used up by %llu bytes",
                       row->text, bits, (unsigned long long)first, (unsigned long long)len);
    return 0;
}

/* What holds for the data of both directions, apart from padding. */
static int
check_data(const struct ks_cipher_params *params, const struct row *row, struct ks_span key, size_t len,
           struct ks_diag *diag)
{
    if (len > LARGEST || params->aad.len > LARGEST)
        return ks_fail(diag, KS_E_LIMIT, "%s: %zu bytes are too much at once", row->text, len);
    if (params->aad.len != 0 && !has_tag(row->kind))
        return ks_fail(diag, KS_E_INVALID, "%s takes no additional authenticated data", row->text);
    if (row->kind == XTS) {
        if (len < 16 || len > 1 << 24)
            return ks_fail(diag, KS_E_INVALID, "%s takes data units of 16 bytes to 16 MiB, not %zu bytes", row->text,
                           len);
        if (ks_equal_secret(key.data, key.data + key.len / 2, key.len / 2))
            return ks_fail(diag, KS_E_INVALID, "%s: the two halves of the key are equal", row->text);
    }
    /* SP 800-38C, A.1: the nonce leaves 15 - n bytes for the length. */
    if (row->kind == CCM && params->iv.len > 11 && (uint64_t)len >> 8 * (15 - params->iv.len) != 0)
        return ks_fail(diag, KS_E_INVALID, "%s: %zu bytes are too many for a nonce of %zu bytes; take a shorter nonce",
                       row->text, len, params->iv.len);
    return check_counter(params, row, len, diag);
}

int
ks_cipher_iv_len(const struct ks_cipher_params *params, size_t key_len, size_t *ret_iv_len, struct ks_diag *diag)
{
    const struct row *row;
    KS_TRY(check(params, key_len, &row, diag));
    if (ret_iv_len != NULL)
        *ret_iv_len = row->iv_len;
    return 0;
}

/* A keyed context with IV, tag length or tag, data length and AAD set; the data comes next. */
static int
start(const struct ks_cipher_params *params, const struct row *row, struct ks_span key, struct ks_span tag, size_t len,
      bool encrypt, EVP_CIPHER_CTX **ret, struct ks_diag *diag)
{
    const EVP_CIPHER *cipher = ks_ossl_cipher(row->id);
    if (cipher == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "OpenSSL's active providers do not offer %s", row->text);
    KS_CLEANUP(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "%s", row->text);

    uint8_t counter_and_nonce[16] = {0};
    const uint8_t *iv = params->iv.len != 0 ? params->iv.data : NULL;
    if (row->kind == CHACHA) {
        memcpy(counter_and_nonce + 16 - params->iv.len, params->iv.data, params->iv.len);
        iv = counter_and_nonce;
    }
    /* Lengths that are not the cipher's own are set before the key; CCM wants the tag (encrypting: its length) too. */
    const bool lengths_first = row->kind == CCM || (row->kind == GCM && params->iv.len != row->iv_len);
    void *const tag_data = ks_ossl_unconst(tag.data);
    bool ok = true;
    if (lengths_first)
        ok = EVP_CipherInit_ex2(ctx, cipher, NULL, NULL, encrypt, NULL) == 1 &&
             EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)params->iv.len, NULL) == 1 &&
             (row->kind != CCM || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)tag.len, tag_data) == 1);
    ok = ok && EVP_CipherInit_ex2(ctx, lengths_first ? NULL : cipher, key.data, iv, encrypt, NULL) == 1 &&
         EVP_CIPHER_CTX_set_padding(ctx, 0) == 1;
    if (ok && !encrypt && has_tag(row->kind) && row->kind != CCM)
        ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)tag.len, tag_data) == 1;
    int n;
    if (ok && row->kind == CCM)
        ok = EVP_CipherUpdate(ctx, NULL, &n, NULL, (int)len) == 1;
    if (ok && params->aad.len != 0)
        ok = EVP_CipherUpdate(ctx, NULL, &n, params->aad.data, (int)params->aad.len) == 1;
    if (!ok)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "%s: setting key and parameters", row->text);
    *ret = ctx;
    ctx = NULL; /* transferred */
    return 0;
}

/* Puts the last, partial block and its padding into last. */
static int
pad(uint32_t method, struct ks_span rest, size_t block, uint8_t last[BLOCK_MAX])
{
    const uint8_t n = (uint8_t)(block - rest.len);
    memset(last, method == KMIP_PADDING_METHOD_PKCS5 ? n : 0, block);
    if (method == KMIP_PADDING_METHOD_ISO_10126)
        KS_TRY(ks_random(last, block));
    if (rest.len != 0)
        memcpy(last, rest.data, rest.len);
    last[block - 1] = n;
    return 0;
}

/* The length of the padding of the last block, 0 if it is none. The time depends on neither. */
static size_t
padding_len(uint32_t method, const uint8_t *last, size_t block)
{
    const unsigned n = last[block - 1];
    /* 1 where n is 0 or more than block. */
    unsigned bad = ((n - 1) >> 31) | ((unsigned)(block - n) >> 31);
    for (size_t i = 0; i < block - 1; i++) {
        /* all ones where byte i is padding: block - i <= n */
        const unsigned inside = 0U - (((unsigned)(block - i) - n - 1) >> 31);
        const unsigned expected = method == KMIP_PADDING_METHOD_PKCS5 ? n : 0;
        const unsigned differs = method == KMIP_PADDING_METHOD_ISO_10126 ? 0 : last[i] ^ expected;
        bad |= inside & differs;
    }
    const unsigned ok = 0U - ((bad - 1) >> 31); /* all ones where bad is 0 */
    return n & ok;
}

static bool
pads(const struct ks_cipher_params *params)
{
    return params->padding != 0 && params->padding != KMIP_PADDING_METHOD_NONE;
}

int
ks_cipher_encrypt(const struct ks_cipher_params *params, struct ks_span key, struct ks_span plaintext,
                  struct ks_buf *ret, struct ks_cipher_tag *ret_tag, struct ks_diag *diag)
{
    const struct row *row;
    KS_TRY(check(params, key.len, &row, diag));
    KS_TRY(check_iv(row, params->iv.len, diag));
    KS_TRY(check_data(params, row, key, plaintext.len, diag));
    if (has_tag(row->kind) && ret_tag == NULL)
        return ks_fail(diag, KS_E_INVALID, "%s makes a tag, which is not asked for", row->text);
    if (row->kind == WRAP || row->kind == WRAP_PAD) {
        KS_TRY(ks_keywrap(row->kind == WRAP ? KS_KEYWRAP_RFC3394 : KS_KEYWRAP_RFC5649, key, plaintext, ret, diag));
        if (ret_tag != NULL)
            *ret_tag = (struct ks_cipher_tag){0};
        return 0;
    }

    const size_t rest = row->kind == BLOCKS ? plaintext.len % row->block : 0;
    if (rest != 0 && !pads(params))
        return ks_fail(diag, KS_E_INVALID, "%s without padding takes multiples of %zu bytes, not %zu", row->text,
                       row->block, plaintext.len);
    const size_t whole = plaintext.len - rest;
    const size_t total = whole + (pads(params) ? row->block : 0);
    struct ks_cipher_tag tag = {.len = has_tag(row->kind) ? (params->tag_len != 0 ? params->tag_len : 16) : 0};
    KS_CLEANUP(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = NULL;
    KS_TRY(start(params, row, key, KS_SPAN(NULL, tag.len), plaintext.len, true, &ctx, diag));
    if (ks_buf_reserve(ret, total + 1) != 0) /* + 1: so that out is never NULL */
        return ks_fail(diag, ret->err, "%s: no room for %zu bytes", row->text, total);
    uint8_t *out = ret->data + ret->len;
    const uint8_t *in = plaintext.data != NULL ? plaintext.data : out;

    uint8_t last[BLOCK_MAX];
    if (pads(params) && pad(params->padding, KS_SPAN(in + whole, rest), row->block, last) != 0)
        return ks_fail(diag, KS_E_CRYPTO, "%s: no random bytes from OpenSSL for the padding", row->text);
    int n;
    const bool ok = ((whole == 0 && row->kind != CCM) || EVP_CipherUpdate(ctx, out, &n, in, (int)whole) == 1) &&
                    (!pads(params) || EVP_CipherUpdate(ctx, out + whole, &n, last, (int)row->block) == 1) &&
                    EVP_CipherFinal_ex(ctx, out + total, &n) == 1 &&
                    (tag.len == 0 || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)tag.len, tag.b) == 1);
    ks_wipe(last, sizeof(last));
    if (!ok)
        return ks_ossl_undo(ret, ret->len, ks_ossl_fail(diag, KS_E_CRYPTO, "%s: encryption", row->text));
    ret->len += total;
    if (ret_tag != NULL)
        *ret_tag = tag;
    return 0;
}

static int
check_ciphertext(const struct ks_cipher_params *params, const struct row *row, size_t len, struct ks_span tag,
                 struct ks_diag *diag)
{
    const size_t tag_len = params->tag_len != 0 ? params->tag_len : 16;
    if (!has_tag(row->kind) && tag.len != 0)
        return ks_fail(diag, KS_E_INVALID, "%s has no tag, but one was given", row->text);
    if (has_tag(row->kind) && tag.len != tag_len)
        return ks_fail(diag, KS_E_INVALID, "%s: a tag of %zu bytes where %zu are asked for", row->text, tag.len,
                       tag_len);
    if (row->kind == BLOCKS && (len % row->block != 0 || (len == 0 && pads(params))))
        return ks_fail(diag, KS_E_INVALID, "%s: %zu bytes are no whole number of blocks of %zu", row->text, len,
                       row->block);
    return 0;
}

int
ks_cipher_decrypt(const struct ks_cipher_params *params, struct ks_span key, struct ks_span ciphertext,
                  struct ks_span tag, struct ks_buf *ret, struct ks_diag *diag)
{
    const struct row *row;
    KS_TRY(check(params, key.len, &row, diag));
    KS_TRY(check_iv(row, params->iv.len, diag));
    KS_TRY(check_data(params, row, key, ciphertext.len, diag));
    KS_TRY(check_ciphertext(params, row, ciphertext.len, tag, diag));
    if (row->kind == WRAP || row->kind == WRAP_PAD)
        return ks_keyunwrap(row->kind == WRAP ? KS_KEYWRAP_RFC3394 : KS_KEYWRAP_RFC5649, key, ciphertext, ret, diag);

    KS_CLEANUP(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = NULL;
    KS_TRY(start(params, row, key, tag, ciphertext.len, false, &ctx, diag));
    if (ks_buf_reserve(ret, ciphertext.len + 1) != 0)
        return ks_fail(diag, ret->err, "%s: no room for %zu bytes", row->text, ciphertext.len);
    const size_t before = ret->len;
    uint8_t *out = ret->data + before;
    const uint8_t *in = ciphertext.data != NULL ? ciphertext.data : out;
    int n;
    const bool updated =
        (ciphertext.len == 0 && row->kind != CCM) || EVP_CipherUpdate(ctx, out, &n, in, (int)ciphertext.len) == 1;
    /* CCM checks its tag with the data, the others at the end. */
    if ((!updated && row->kind == CCM) || (updated && EVP_CipherFinal_ex(ctx, out + ciphertext.len, &n) != 1)) {
        const int code = has_tag(row->kind) ? KS_E_INTEGRITY : KS_E_CRYPTO;
        return ks_ossl_undo(ret, before, ks_ossl_fail(diag, code, "%s: the tag does not match", row->text));
    }
    if (!updated)
        return ks_ossl_undo(ret, before, ks_ossl_fail(diag, KS_E_CRYPTO, "%s: decryption", row->text));
    ret->len += ciphertext.len;
    if (!pads(params))
        return 0;
    const size_t padding = padding_len(params->padding, ret->data + ret->len - row->block, row->block);
    if (padding == 0)
        return ks_ossl_undo(ret, before, ks_fail(diag, KS_E_MALFORMED, "%s: the padding is wrong", row->text));
    ks_wipe(ret->data + ret->len - padding, padding);
    ret->len -= padding;
    return 0;
}

/* In parts */

struct ks_cipher_stream {
    const struct row *row;
    struct ks_cipher_params params; /* iv and aad point into kept */
    bool encrypt;
    EVP_CIPHER_CTX *ctx; /* NULL: the data is collected */
    uint8_t held[BLOCK_MAX];
    size_t n_held;  /* of the block that is not whole, or that may be padding */
    uint64_t total; /* bytes that came */
    struct ks_secret *key;
    struct ks_buf kept, whole;
};

static bool
collects(const struct row *row, bool encrypt)
{
    return row->kind == CCM || row->kind == XTS || row->kind == WRAP || row->kind == WRAP_PAD ||
           (has_tag(row->kind) && !encrypt);
}

/* The stream's own copies of IV and AAD: all that collecting needs, and what CTR's check needs. */
static int
keep(struct ks_cipher_stream *s, const struct ks_cipher_params *params)
{
    const size_t aad_len = s->ctx == NULL ? params->aad.len : 0;
    ks_buf_add_span(&s->kept, params->iv);
    ks_buf_add(&s->kept, params->aad.data, aad_len);
    s->params = *params;
    s->params.iv = KS_SPAN(s->kept.data, params->iv.len);
    s->params.aad = KS_SPAN(s->kept.data != NULL ? s->kept.data + params->iv.len : NULL, aad_len);
    return s->kept.err;
}

int
ks_cipher_stream_new(const struct ks_cipher_params *params, struct ks_span key, bool encrypt, size_t most,
                     struct ks_cipher_stream **ret, struct ks_diag *diag)
{
    const struct row *row;
    KS_TRY(check(params, key.len, &row, diag));
    KS_TRY(check_iv(row, params->iv.len, diag));
    if (!collects(row, encrypt))
        KS_TRY(check_data(params, row, key, 0, diag));
    KS_CLEANUP(ks_cipher_stream_freep) struct ks_cipher_stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s: out of memory", row->text);
    s->row = row;
    s->encrypt = encrypt;
    s->whole.max = most;
    s->kept.max = LARGEST;
    const size_t tag_len = has_tag(row->kind) ? (params->tag_len != 0 ? params->tag_len : KS_CIPHER_TAG_MAX) : 0;
    if (collects(row, encrypt)) {
        const int rc = ks_secret_from(key.data, key.len, &s->key);
        if (rc != 0)
            return ks_fail(diag, rc, "%s: no memory for the key", row->text);
    } else {
        KS_TRY(start(params, row, key, KS_SPAN(NULL, tag_len), 0, encrypt, &s->ctx, diag));
    }
    if (keep(s, params) != 0)
        return ks_fail(diag, KS_E_NOMEM, "%s: out of memory", row->text);
    *ret = s;
    s = NULL; /* transferred */
    return 0;
}

size_t
ks_cipher_stream_collected(const struct ks_cipher_stream *s)
{
    return s->whole.len;
}

int
ks_cipher_stream_take_end(struct ks_cipher_stream *s, uint8_t *ret, size_t len)
{
    if (s->whole.len < len)
        return KS_E_INVALID;
    if (len != 0)
        memcpy(ret, s->whole.data + s->whole.len - len, len);
    s->whole.len -= len;
    return 0;
}

static int
crypt_into(struct ks_cipher_stream *s, struct ks_span data, struct ks_buf *ret, struct ks_diag *diag)
{
    int n = 0;
    if (data.len == 0)
        return 0;
    if (ks_buf_reserve(ret, data.len) != 0)
        return ks_fail(diag, ret->err, "%s: no room for %zu bytes", s->row->text, data.len);
    if (EVP_CipherUpdate(s->ctx, ret->data + ret->len, &n, data.data, (int)data.len) != 1 || (size_t)n != data.len)
        return ks_ossl_undo(ret, ret->len, ks_ossl_fail(diag, KS_E_CRYPTO, "%s: a part", s->row->text));
    ret->len += data.len;
    return 0;
}

/* Whole blocks go through; what is left over, or is the last block and may be padding, is held back. */
static int
update_blocks(struct ks_cipher_stream *s, struct ks_span data, struct ks_buf *ret, struct ks_diag *diag)
{
    const size_t block = s->row->block;
    const bool hold_block = !s->encrypt && pads(&s->params);
    while (data.len != 0) {
        if (s->n_held == block || (s->n_held == 0 && data.len > block)) {
            const bool held = s->n_held == block;
            const size_t left = held ? 0 : (data.len - (hold_block ? 1 : 0)) % block + (hold_block ? 1 : 0);
            const size_t n = held ? block : data.len - left;
            KS_TRY(crypt_into(s, KS_SPAN(held ? s->held : data.data, n), ret, diag));
            if (held)
                s->n_held = 0;
            else
                data = KS_SPAN(data.data + n, left);
            continue;
        }
        const size_t n = data.len < block - s->n_held ? data.len : block - s->n_held;
        memcpy(s->held + s->n_held, data.data, n);
        s->n_held += n;
        data = KS_SPAN(data.data + n, data.len - n);
    }
    if (s->n_held == block && !hold_block) {
        KS_TRY(crypt_into(s, KS_SPAN(s->held, block), ret, diag));
        s->n_held = 0;
    }
    return 0;
}

int
ks_cipher_stream_update(struct ks_cipher_stream *s, struct ks_span data, struct ks_buf *ret, struct ks_diag *diag)
{
    static const uint64_t most = ((uint64_t)1 << 36) - 32; /* SP 800-38D, 5.2.1.1; the others allow more */
    if (data.len > LARGEST || s->total + data.len > most)
        return ks_fail(diag, KS_E_LIMIT, "%s: more than 64 GiB under one IV", s->row->text);
    s->total += data.len;
    if (s->ctx == NULL) {
        if (ks_buf_add_span(&s->whole, data) == KS_E_LIMIT)
            return ks_fail(diag, KS_E_LIMIT,
                           "%s: more than %zu bytes in parts; nothing of it may be given out before "
                           "the end, so that is all that is kept",
                           s->row->text, s->whole.max);
        return s->whole.err;
    }
    KS_TRY(check_counter(&s->params, s->row, s->total, diag));
    if (s->row->kind == BLOCKS)
        return update_blocks(s, data, ret, diag);
    return crypt_into(s, data, ret, diag);
}

static int
final_blocks(struct ks_cipher_stream *s, struct ks_buf *ret, struct ks_diag *diag)
{
    const size_t block = s->row->block;
    uint8_t last[BLOCK_MAX];
    if (!pads(&s->params) || (!s->encrypt && s->n_held != block)) {
        if (s->n_held == 0 && !pads(&s->params))
            return 0;
        return ks_fail(diag, KS_E_INVALID, "%s: %llu bytes are no whole number of blocks of %zu", s->row->text,
                       (unsigned long long)s->total, block);
    }
    if (s->encrypt) {
        if (pad(s->params.padding, KS_SPAN(s->held, s->n_held), block, last) != 0)
            return ks_fail(diag, KS_E_CRYPTO, "%s: no random bytes from OpenSSL for the padding", s->row->text);
        const int rc = crypt_into(s, KS_SPAN(last, block), ret, diag);
        ks_wipe(last, sizeof(last));
        return rc;
    }
    const size_t before = ret->len;
    KS_TRY(crypt_into(s, KS_SPAN(s->held, block), ret, diag));
    const size_t padding = padding_len(s->params.padding, ret->data + before, block);
    if (padding == 0)
        return ks_ossl_undo(ret, before, ks_fail(diag, KS_E_MALFORMED, "%s: the padding is wrong", s->row->text));
    ks_wipe(ret->data + ret->len - padding, padding);
    ret->len -= padding;
    return 0;
}

int
ks_cipher_stream_final(struct ks_cipher_stream *s, struct ks_span tag, struct ks_buf *ret,
                       struct ks_cipher_tag *ret_tag, struct ks_diag *diag)
{
    if (s->ctx == NULL) {
        const struct ks_span key = KS_SPAN(ks_secret_data(s->key), ks_secret_len(s->key));
        return s->encrypt ? ks_cipher_encrypt(&s->params, key, ks_buf_span(&s->whole), ret, ret_tag, diag)
                          : ks_cipher_decrypt(&s->params, key, ks_buf_span(&s->whole), tag, ret, diag);
    }
    if (has_tag(s->row->kind) && ret_tag == NULL)
        return ks_fail(diag, KS_E_INVALID, "%s makes a tag, which is not asked for", s->row->text);
    if (!has_tag(s->row->kind) && tag.len != 0)
        return ks_fail(diag, KS_E_INVALID, "%s has no tag, but one was given", s->row->text);
    if (s->row->kind == BLOCKS)
        KS_TRY(final_blocks(s, ret, diag));
    struct ks_cipher_tag made = {
        .len = has_tag(s->row->kind) ? (s->params.tag_len != 0 ? s->params.tag_len : KS_CIPHER_TAG_MAX) : 0};
    uint8_t none[BLOCK_MAX];
    int n;
    if (EVP_CipherFinal_ex(s->ctx, none, &n) != 1 ||
        (made.len != 0 && EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_GET_TAG, (int)made.len, made.b) != 1))
        return ks_ossl_fail(diag, KS_E_CRYPTO, "%s: the end", s->row->text);
    if (ret_tag != NULL)
        *ret_tag = made;
    return 0;
}

void
ks_cipher_stream_free(struct ks_cipher_stream *s)
{
    if (s == NULL)
        return;
    EVP_CIPHER_CTX_free(s->ctx); /* wipes the key's schedule */
    ks_secret_free(s->key);
    ks_buf_done(&s->kept);
    ks_buf_done(&s->whole);
    ks_wipe(s, sizeof(*s));
    free(s);
}
