/* Derivations that are made of message authentication codes: SP 800-108 in all its modes, AWS Signature Version 4. */
#include <keystead/kmip.h>
#include <openssl/core_names.h>

#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/ossl.h"

static inline void
mac_freep(EVP_MAC **mac)
{
    EVP_MAC_free(*mac);
}

/* One of the two. */
struct prf {
    struct ks_hmac_key *hmac;
    EVP_MAC_CTX *cmac;
    struct ks_span key;
    size_t len;
};

static void
prf_done(struct prf *prf)
{
    ks_hmac_key_free(prf->hmac);
    EVP_MAC_CTX_free(prf->cmac);
}

static int
prf_cmac(struct prf *prf, struct ks_span key, struct ks_diag *diag)
{
    enum { BLOCK = 16 };
    const char *cipher = key.len == 16   ? "AES-128-CBC"
                         : key.len == 24 ? "AES-192-CBC"
                         : key.len == 32 ? "AES-256-CBC"
                                         : NULL;
    if (cipher == NULL)
        return ks_fail(diag, KS_E_INVALID, "CMAC: AES has no key of %zu bytes", key.len);
    KS_CLEANUP(mac_freep) EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    prf->cmac = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    struct ks_ossl_params ps = {.n = 0};
    ks_ossl_put_text(&ps, OSSL_MAC_PARAM_CIPHER, cipher);
    if (prf->cmac == NULL || EVP_MAC_init(prf->cmac, key.data, key.len, ks_ossl_params_end(&ps)) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "CMAC");
    prf->key = key;
    prf->len = BLOCK;
    return 0;
}

static int
prf_sum(struct prf *prf, const struct ks_span *parts, size_t n, uint8_t *ret)
{
    if (prf->hmac != NULL)
        return ks_hmac_key_sum(prf->hmac, parts, n, ret);
    size_t len = 0;
    bool good = EVP_MAC_init(prf->cmac, prf->key.data, prf->key.len, NULL) == 1;
    for (size_t i = 0; good && i < n; i++)
        good = parts[i].len == 0 || EVP_MAC_update(prf->cmac, parts[i].data, parts[i].len) == 1;
    good = good && EVP_MAC_final(prf->cmac, ret, &len, prf->len) == 1 && len == prf->len;
    return good ? 0 : ks_ossl_fail(NULL, KS_E_CRYPTO, "CMAC");
}

/* What differs between the modes is what goes before the counter; it is in `before`, of which `n` bytes count. */
static int
expand(struct prf *prf, enum ks_kdf108 mode, struct ks_span iv, struct ks_span fixed, uint8_t *ret, size_t len)
{
    uint8_t before[KS_HASH_MAX], block[KS_HASH_MAX];
    struct ks_span first = mode == KS_KDF108_FEEDBACK ? iv : mode == KS_KDF108_COUNTER ? KS_SPAN_NONE : fixed;
    int rc = 0;
    for (size_t done = 0, i = 1; rc == 0 && done < len; i++) {
        const uint8_t counter[4] = {(uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        if (mode == KS_KDF108_DOUBLE_PIPELINE) {
            rc = prf_sum(prf, &first, 1, before);
            first = KS_SPAN(before, prf->len);
        }
        const struct ks_span parts[] = {first, KS_SPAN(counter, 4), fixed};
        rc = rc != 0 ? rc : prf_sum(prf, parts, KS_ARRAY_LEN(parts), block);
        if (rc != 0)
            break;
        const size_t n = len - done < prf->len ? len - done : prf->len;
        memcpy(ret + done, block, n);
        done += n;
        if (mode == KS_KDF108_FEEDBACK) {
            memcpy(before, block, prf->len);
            first = KS_SPAN(before, prf->len);
        }
    }
    ks_wipe(before, sizeof(before));
    ks_wipe(block, sizeof(block));
    return rc;
}

int
ks_kdf_108(enum ks_kdf108 mode, uint32_t hash, struct ks_span key, struct ks_span iv, struct ks_span fixed,
           uint8_t *ret, size_t len, struct ks_diag *diag)
{
    KS_CLEANUP(prf_done) struct prf prf = {0};
    if (key.len == 0 || len == 0)
        return ks_fail(diag, KS_E_INVALID, "SP 800-108: %s",
                       len == 0 ? "asked for no bytes at all" : "the key is empty");
    if (mode != KS_KDF108_FEEDBACK && iv.len != 0)
        return ks_fail(diag, KS_E_INVALID, "SP 800-108: only the feedback mode begins with an IV");
    if (hash == 0) {
        KS_TRY(prf_cmac(&prf, key, diag));
    } else {
        KS_TRY(ks_hmac_key_new(hash, key, &prf.hmac, diag));
        prf.len = ks_hash_len(hash);
    }
    const int rc = expand(&prf, mode, iv, fixed, ret, len);
    if (rc == 0)
        return 0;
    ks_wipe(ret, len);
    return ks_fail(diag, rc, "SP 800-108: the pseudorandom function failed");
}

int
ks_kdf_aws4(struct ks_span secret, struct ks_span date, struct ks_span region, struct ks_span service, uint8_t ret[32],
            struct ks_diag *diag)
{
    const struct ks_span steps[] = {date, region, service, KS_LIT("aws4_request")};
    KS_CLEANUP(ks_buf_done) struct ks_buf first = KS_BUF(4 + secret.len);
    uint8_t key[KS_HASH_MAX];
    ks_buf_add_str(&first, "AWS4");
    ks_buf_add_span(&first, secret);
    if (first.err != 0)
        return ks_fail(diag, first.err, "AWS Signature Version 4: out of memory");
    struct ks_span with = ks_buf_span(&first);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < KS_ARRAY_LEN(steps); i++) {
        rc = ks_hmac(KMIP_HASHING_ALGORITHM_SHA_256, with, steps[i], key, diag);
        with = KS_SPAN(key, KS_SHA256);
    }
    if (rc == 0)
        memcpy(ret, key, KS_SHA256);
    ks_wipe(key, sizeof(key));
    return rc;
}
