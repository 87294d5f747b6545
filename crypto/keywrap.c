#include "crypto/keywrap.h"

#include "crypto/ossl.h"

enum { SEMIBLOCK = 8, LARGEST = 1 << 30 };

/* By method and by key of 16, 24 or 32 bytes. */
static const enum ks_ossl ids[2][3] = {
    [KS_KEYWRAP_RFC3394] = {KS_OSSL_CIPHER_AES_128_WRAP, KS_OSSL_CIPHER_AES_192_WRAP, KS_OSSL_CIPHER_AES_256_WRAP},
    [KS_KEYWRAP_RFC5649] = {KS_OSSL_CIPHER_AES_128_WRAP_PAD, KS_OSSL_CIPHER_AES_192_WRAP_PAD,
                            KS_OSSL_CIPHER_AES_256_WRAP_PAD},
};

static int
start(enum ks_keywrap how, struct ks_span kek, bool wrap, EVP_CIPHER_CTX **ret, struct ks_diag *diag)
{
    if (kek.len != 16 && kek.len != 24 && kek.len != 32)
        return ks_fail(diag, KS_E_INVALID, "AES key wrap: a wrapping key of %zu bytes; 16, 24 or 32 it must be",
                       kek.len);
    const enum ks_ossl id = ids[how][kek.len / 8 - 2];
    const EVP_CIPHER *cipher = ks_ossl_cipher(id);
    if (cipher == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "OpenSSL's active providers do not offer %s", ks_ossl_name(id));
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "%s", ks_ossl_name(id));
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (EVP_CipherInit_ex2(ctx, cipher, kek.data, NULL, wrap, NULL) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        return ks_ossl_fail(diag, KS_E_CRYPTO, "%s: setting the key", ks_ossl_name(id));
    }
    *ret = ctx;
    return 0;
}

int
ks_keywrap(enum ks_keywrap how, struct ks_span kek, struct ks_span plaintext, struct ks_buf *ret, struct ks_diag *diag)
{
    const size_t rounded = (plaintext.len + SEMIBLOCK - 1) / SEMIBLOCK * SEMIBLOCK;
    if (how == KS_KEYWRAP_RFC3394 && (plaintext.len != rounded || plaintext.len < (size_t)2 * SEMIBLOCK))
        return ks_fail(
            diag, KS_E_INVALID,
            "AES key wrap (RFC 3394) takes 16, 24, 32, ... bytes, not %zu; AESKeyWrapPadding takes any length",
            plaintext.len);
    if (plaintext.len == 0 || plaintext.len > LARGEST)
        return ks_fail(diag, KS_E_INVALID, "AES key wrap: %zu bytes cannot be wrapped", plaintext.len);
    KS_CLEANUP(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = NULL;
    KS_TRY(start(how, kek, true, &ctx, diag));
    const size_t room = rounded + SEMIBLOCK;
    /* The padded form is made in place, so the buffer needs a whole semiblock more. */
    if (ks_buf_reserve(ret, room + SEMIBLOCK) != 0)
        return ks_fail(diag, ret->err, "AES key wrap: no room for %zu bytes", room);
    int n;
    if (EVP_CipherUpdate(ctx, ret->data + ret->len, &n, plaintext.data, (int)plaintext.len) != 1 || (size_t)n != room)
        return ks_ossl_undo(ret, ret->len, ks_ossl_fail(diag, KS_E_CRYPTO, "AES key wrap"));
    ret->len += room;
    return 0;
}

int
ks_keyunwrap(enum ks_keywrap how, struct ks_span kek, struct ks_span wrapped, struct ks_buf *ret, struct ks_diag *diag)
{
    const size_t least = (size_t)SEMIBLOCK * (how == KS_KEYWRAP_RFC3394 ? 3 : 2);
    if (wrapped.len % SEMIBLOCK != 0 || wrapped.len < least || wrapped.len > LARGEST)
        return ks_fail(diag, KS_E_INVALID, "AES key wrap: %zu bytes are no wrapped key (a multiple of 8, %zu at least)",
                       wrapped.len, least);
    KS_CLEANUP(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = NULL;
    KS_TRY(start(how, kek, false, &ctx, diag));
    if (ks_buf_reserve(ret, wrapped.len) != 0)
        return ks_fail(diag, ret->err, "AES key wrap: no room for %zu bytes", wrapped.len);
    int n;
    if (EVP_CipherUpdate(ctx, ret->data + ret->len, &n, wrapped.data, (int)wrapped.len) != 1 || n <= 0)
        return ks_ossl_undo(ret, ret->len,
                            ks_ossl_fail(diag, KS_E_INTEGRITY,
                                         "AES key wrap: does not unwrap: another wrapping key, or changed bytes"));
    /* RFC 5649 decrypts the padding too: what lies behind the plaintext is wiped. */
    ks_wipe(ret->data + ret->len + n, wrapped.len - (size_t)n);
    ret->len += (size_t)n;
    return 0;
}
