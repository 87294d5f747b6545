#include "crypto/rsa_pkcs1.h"

#include <keystead/kmip.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "crypto/hash.h"

enum {
    LEAST_PADDING = 8,
    BEFORE = 2 + LEAST_PADDING, /* 00 02, and eight bytes of padding at least */
    CANDIDATES = 128,
    KEY_MOST = 2048, /* bytes of an RSA key: 16384 bits */
};

/* All of it is secret and lies together, so that one wipe is enough. */
struct work {
    uint8_t em[KEY_MOST], other[KEY_MOST], lengths[2 * CANDIDATES], d[KEY_MOST], hash[KS_SHA256], kdk[KS_SHA256];
};

static void
work_done(struct work **work)
{
    if (*work != NULL)
        OPENSSL_clear_free(*work, sizeof(**work));
}

/* All ones where a is smaller than b. Both below 2^31. */
static uint32_t
less(uint32_t a, uint32_t b)
{
    return 0U - ((a - b) >> 31);
}

static uint32_t
choose(uint32_t mask, uint32_t a, uint32_t b)
{
    return (mask & a) | (~mask & b);
}

/* The draft's IRPRF: HMAC-SHA256 over block number, label and length in bits. */
static int
prf(const uint8_t kdk[KS_SHA256], const char *label, uint8_t *ret, size_t len, struct ks_diag *diag)
{
    struct ks_hmac_key *key = NULL;
    KS_TRY(ks_hmac_key_new(KMIP_HASHING_ALGORITHM_SHA_256, KS_SPAN(kdk, KS_SHA256), &key, diag));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i * KS_SHA256 < len; i++) {
        const uint8_t number[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        const uint8_t bits[2] = {(uint8_t)(len * 8 >> 8), (uint8_t)(len * 8)};
        const struct ks_span parts[] = {KS_SPAN(number, 2), ks_span_str(label), KS_SPAN(bits, 2)};
        uint8_t block[KS_SHA256];
        rc = ks_hmac_key_sum(key, parts, KS_ARRAY_LEN(parts), block);
        const size_t n = len - i * KS_SHA256 < KS_SHA256 ? len - i * KS_SHA256 : KS_SHA256;
        memcpy(ret + i * KS_SHA256, block, n);
        ks_wipe(block, sizeof(block));
    }
    ks_hmac_key_free(key);
    return rc == 0 ? 0 : ks_fail(diag, rc, "RSA PKCS#1 v1.5: HMAC failed");
}

/* The key that belongs to private key and ciphertext. */
static int
derive(const struct ks_pkey *key, struct ks_span ciphertext, struct work *w, struct ks_diag *diag)
{
    KS_CLEANUP(BN_clear_freep) BIGNUM *d = NULL;
    if (EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_RSA_D, &d) != 1 ||
        BN_bn2binpad(d, w->d, (int)ciphertext.len) != (int)ciphertext.len)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "RSA PKCS#1 v1.5: the private exponent");
    KS_TRY(ks_hash(KMIP_HASHING_ALGORITHM_SHA_256, KS_SPAN(w->d, ciphertext.len), w->hash, diag));
    return ks_hmac(KMIP_HASHING_ALGORITHM_SHA_256, KS_SPAN(w->hash, KS_SHA256), ciphertext, w->kdk, diag);
}

/* The length of the other message: the last candidate that is possible. */
static uint32_t
other_length(const uint8_t *lengths, uint32_t most)
{
    uint32_t mask = most, ret = 0;
    for (unsigned shift = 1; shift < 16; shift *= 2)
        mask |= mask >> shift;
    for (size_t i = 0; i < CANDIDATES; i++) {
        const uint32_t candidate = ((uint32_t)lengths[2 * i] << 8 | lengths[2 * i + 1]) & mask;
        ret = choose(less(candidate, most), candidate, ret);
    }
    return ret;
}

/* All ones where em is a padded message; its length. The time depends on k alone. */
static uint32_t
look(const uint8_t *em, uint32_t k, uint32_t *ret_len)
{
    uint32_t good = less(em[0], 1) & less(em[1] ^ 2U, 1), found = 0, at = 0;
    for (uint32_t i = 2; i < k; i++) {
        const uint32_t zero = less(em[i], 1);
        at = choose(zero & ~found, i, at);
        found |= zero;
    }
    good &= found & ~less(at, BEFORE);
    *ret_len = k - at - 1;
    return good;
}

int
ks_rsa_pkcs1_decrypt(const struct ks_pkey *key, struct ks_span ciphertext, struct ks_buf *ret, struct ks_diag *diag)
{
    const uint32_t k = (uint32_t)EVP_PKEY_get_size(key->pkey);
    size_t len = KEY_MOST;
    if (k > KEY_MOST || k <= BEFORE || ciphertext.len != k)
        return ks_fail(diag, KS_E_INTEGRITY, "RSA: the data does not decrypt");
    KS_CLEANUP(work_done) struct work *w = OPENSSL_zalloc(sizeof(*w));
    KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (w == NULL || ctx == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "RSA decryption");
    if (EVP_PKEY_decrypt_init(ctx) != 1 || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "RSA decryption: these parameters");
    /* Fails where the number is not below the modulus, which anybody can see. */
    const bool done = EVP_PKEY_decrypt(ctx, w->em, &len, ciphertext.data, ciphertext.len) == 1 && len == k;
    ERR_clear_error();
    if (!done)
        return ks_fail(diag, KS_E_INTEGRITY, "RSA: the data does not decrypt");
    KS_TRY(derive(key, ciphertext, w, diag));
    KS_TRY(prf(w->kdk, "length", w->lengths, sizeof(w->lengths), diag));
    KS_TRY(prf(w->kdk, "message", w->other, k, diag));
    uint32_t message_len;
    const uint32_t good = look(w->em, k, &message_len);
    message_len = choose(good, message_len, other_length(w->lengths, k - BEFORE));
    for (uint32_t i = 0; i < k; i++)
        w->em[i] = (uint8_t)choose(good, w->em[i], w->other[i]);
    if (ks_buf_add(ret, w->em + k - message_len, message_len) != 0)
        return ks_fail(diag, ret->err, "no room for %u bytes", (unsigned)message_len);
    return 0;
}
