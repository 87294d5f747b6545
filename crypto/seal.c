#include "crypto/seal.h"

#include <stdlib.h>

#include "crypto/ossl.h"
#include "crypto/random.h"

/* EVP lengths are int; rows are far smaller. */
enum { LARGEST = 1 << 30 };

struct ks_seal_key {
    EVP_CIPHER_CTX *enc; /* keyed; every use sets the IV alone, which costs a third of keying */
    EVP_CIPHER_CTX *dec;
    uint64_t seals;
};

int
ks_seal_key_new(const uint8_t key[KS_SEAL_KEY], struct ks_seal_key **ret, struct ks_diag *diag)
{
    struct ks_seal_key *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return ks_fail(diag, KS_E_NOMEM, "AES-256-GCM: out of memory");
    const EVP_CIPHER *cipher = ks_ossl_cipher(KS_OSSL_CIPHER_AES_256_GCM);
    k->enc = EVP_CIPHER_CTX_new();
    k->dec = EVP_CIPHER_CTX_new();
    if (cipher == NULL || k->enc == NULL || k->dec == NULL ||
        EVP_EncryptInit_ex2(k->enc, cipher, key, NULL, NULL) != 1 ||
        EVP_DecryptInit_ex2(k->dec, cipher, key, NULL, NULL) != 1) {
        ks_seal_key_free(k);
        return ks_ossl_fail(diag, KS_E_CRYPTO, "AES-256-GCM: setting the key");
    }
    *ret = k;
    return 0;
}

void
ks_seal_key_free(struct ks_seal_key *key)
{
    if (key == NULL)
        return;
    EVP_CIPHER_CTX_free(key->enc);
    EVP_CIPHER_CTX_free(key->dec);
    free(key);
}

int
ks_seal(struct ks_seal_key *key, struct ks_span aad, struct ks_span plaintext, struct ks_buf *ret, struct ks_diag *diag)
{
    if (plaintext.len > LARGEST || aad.len > LARGEST)
        return ks_fail(diag, KS_E_LIMIT, "sealing: %zu bytes are more than one seal takes", plaintext.len);
    if (key->seals >= UINT64_C(1) << 32)
        return ks_fail(diag, KS_E_LIMIT, "sealing: this key has sealed 2^32 times; rotate it");
    if (ks_buf_reserve(ret, plaintext.len + KS_SEAL_OVERHEAD) != 0)
        return ks_fail(diag, ret->err, "sealing: no room for %zu bytes", plaintext.len + KS_SEAL_OVERHEAD);
    uint8_t *iv = ret->data + ret->len;
    uint8_t *out = iv + KS_SEAL_IV;
    if (ks_random(iv, KS_SEAL_IV) != 0)
        return ks_fail(diag, KS_E_CRYPTO, "sealing: no random bytes from OpenSSL");
    key->seals++;

    int n;
    if (EVP_EncryptInit_ex2(key->enc, NULL, NULL, iv, NULL) != 1 ||
        (aad.len != 0 && EVP_EncryptUpdate(key->enc, NULL, &n, aad.data, (int)aad.len) != 1) ||
        (plaintext.len != 0 && EVP_EncryptUpdate(key->enc, out, &n, plaintext.data, (int)plaintext.len) != 1) ||
        EVP_EncryptFinal_ex(key->enc, out + plaintext.len, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(key->enc, EVP_CTRL_AEAD_GET_TAG, KS_SEAL_TAG, out + plaintext.len) != 1)
        return ks_ossl_undo(ret, ret->len, ks_ossl_fail(diag, KS_E_CRYPTO, "AES-256-GCM: encryption"));
    ret->len += plaintext.len + KS_SEAL_OVERHEAD;
    return 0;
}

/* out has room for sealed.len - KS_SEAL_OVERHEAD bytes; they are wiped on failure. */
static int
open_into(struct ks_seal_key *key, struct ks_span aad, struct ks_span sealed, uint8_t *out, struct ks_diag *diag)
{
    const size_t len = sealed.len - KS_SEAL_OVERHEAD;
    const uint8_t *in = sealed.data + KS_SEAL_IV;
    uint8_t tag[KS_SEAL_TAG];
    memcpy(tag, in + len, sizeof(tag));
    uint8_t none;
    int n;
    if (EVP_DecryptInit_ex2(key->dec, NULL, NULL, sealed.data, NULL) != 1 ||
        EVP_CIPHER_CTX_ctrl(key->dec, EVP_CTRL_AEAD_SET_TAG, KS_SEAL_TAG, tag) != 1 ||
        (aad.len != 0 && EVP_DecryptUpdate(key->dec, NULL, &n, aad.data, (int)aad.len) != 1) ||
        (len != 0 && EVP_DecryptUpdate(key->dec, out, &n, in, (int)len) != 1)) {
        ks_wipe(out, len);
        return ks_ossl_fail(diag, KS_E_CRYPTO, "AES-256-GCM: decryption");
    }
    if (EVP_DecryptFinal_ex(key->dec, &none, &n) != 1) {
        ks_wipe(out, len);
        return ks_ossl_fail(diag, KS_E_INTEGRITY,
                            "sealed data does not open: another key, another place, or changed bytes");
    }
    return 0;
}

static int
check_sealed(struct ks_span aad, struct ks_span sealed, struct ks_diag *diag)
{
    if (sealed.len < KS_SEAL_OVERHEAD)
        return ks_fail(diag, KS_E_MALFORMED, "sealed data of %zu bytes is cut off: %d at least", sealed.len,
                       KS_SEAL_OVERHEAD);
    if (sealed.len > LARGEST || aad.len > LARGEST)
        return ks_fail(diag, KS_E_LIMIT, "sealed data of %zu bytes is more than one seal takes", sealed.len);
    return 0;
}

int
ks_open(struct ks_seal_key *key, struct ks_span aad, struct ks_span sealed, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_TRY(check_sealed(aad, sealed, diag));
    const size_t len = sealed.len - KS_SEAL_OVERHEAD;
    if (ks_buf_reserve(ret, len + 1) != 0) /* + 1: so that out is never NULL */
        return ks_fail(diag, ret->err, "opening sealed data: no room for %zu bytes", len);
    KS_TRY(open_into(key, aad, sealed, ret->data + ret->len, diag));
    ret->len += len;
    return 0;
}

int
ks_open_secret(struct ks_seal_key *key, struct ks_span aad, struct ks_span sealed, struct ks_secret **ret,
               struct ks_diag *diag)
{
    KS_TRY(check_sealed(aad, sealed, diag));
    KS_SECRET *secret = NULL;
    const int rc = ks_secret_new(sealed.len - KS_SEAL_OVERHEAD, &secret);
    if (rc != 0)
        return ks_fail(diag, rc, "opening sealed data: no memory for a secret");
    KS_TRY(open_into(key, aad, sealed, ks_secret_data(secret), diag));
    *ret = secret;
    secret = NULL; /* transferred */
    return 0;
}
