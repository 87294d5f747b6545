#include "crypto/xts.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "crypto/ossl.h"

struct ks_xts {
    EVP_CIPHER_CTX *encrypt, *decrypt;
};

void
ks_xts_free(struct ks_xts *xts)
{
    if (xts == NULL)
        return;
    EVP_CIPHER_CTX_free(xts->encrypt);
    EVP_CIPHER_CTX_free(xts->decrypt);
    free(xts);
}

int
ks_xts_new(const uint8_t key[KS_XTS_KEY], struct ks_xts **ret, struct ks_diag *diag)
{
    if (ks_equal_secret(key, key + KS_XTS_KEY / 2, KS_XTS_KEY / 2))
        return ks_fail(diag, KS_E_INVALID, "XTS: the two halves of the key are equal");
    const EVP_CIPHER *cipher = ks_ossl_cipher(KS_OSSL_CIPHER_AES_256_XTS);
    if (cipher == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "OpenSSL's active providers do not offer AES-256-XTS");
    struct ks_xts *xts = calloc(1, sizeof(*xts));
    if (xts == NULL)
        return KS_E_NOMEM;
    xts->encrypt = EVP_CIPHER_CTX_new();
    xts->decrypt = EVP_CIPHER_CTX_new();
    if (xts->encrypt == NULL || xts->decrypt == NULL ||
        EVP_EncryptInit_ex2(xts->encrypt, cipher, key, NULL, NULL) != 1 ||
        EVP_DecryptInit_ex2(xts->decrypt, cipher, key, NULL, NULL) != 1) {
        ks_xts_free(xts);
        return ks_ossl_fail(diag, KS_E_CRYPTO, "AES-256-XTS");
    }
    *ret = xts;
    return 0;
}

static int
unit(EVP_CIPHER_CTX *ctx, const uint8_t *tweak, const uint8_t *in, size_t len, uint8_t *ret)
{
    if (len < KS_XTS_BLOCK || len > KS_XTS_UNIT_MAX)
        return KS_E_INVALID;
    int done = 0;
    if (EVP_CipherInit_ex2(ctx, NULL, NULL, tweak, -1, NULL) != 1 ||
        EVP_CipherUpdate(ctx, ret, &done, in, (int)len) != 1 || done != (int)len) {
        ERR_clear_error();
        return KS_E_CRYPTO;
    }
    return 0;
}

int
ks_xts_encrypt(struct ks_xts *xts, const uint8_t tweak[KS_XTS_BLOCK], const uint8_t *in, size_t len, uint8_t *ret)
{
    return unit(xts->encrypt, tweak, in, len, ret);
}

int
ks_xts_decrypt(struct ks_xts *xts, const uint8_t tweak[KS_XTS_BLOCK], const uint8_t *in, size_t len, uint8_t *ret)
{
    return unit(xts->decrypt, tweak, in, len, ret);
}
