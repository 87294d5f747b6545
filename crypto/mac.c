#include "crypto/mac.h"

#include <keystead/kmip.h>
#include <openssl/core_names.h>
#include <stdlib.h>

#include "crypto/ossl.h"

static const struct {
    uint32_t algorithm;
    size_t key_len;
    const char *cipher; /* OpenSSL's; CMAC wants a CBC cipher */
    size_t len;
    const char *text;
} cmacs[] = {
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 16, "AES-128-CBC", 16, "AES-128-CMAC"},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 24, "AES-192-CBC", 16, "AES-192-CMAC"},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 32, "AES-256-CBC", 16, "AES-256-CMAC"},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES, 16, "DES-EDE-CBC", 8, "2-key 3DES-CMAC"},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES, 24, "DES-EDE3-CBC", 8, "3DES-CMAC"},
};

struct ks_mac {
    EVP_MAC_CTX *ctx;
    const char *text;
    size_t len;
};

size_t
ks_mac_len(uint32_t algorithm)
{
    const uint32_t hash = ks_hash_of_hmac(algorithm);
    if (hash != 0)
        return ks_hash_len(hash);
    for (size_t i = 0; i < KS_ARRAY_LEN(cmacs); i++)
        if (cmacs[i].algorithm == algorithm)
            return cmacs[i].len;
    return 0;
}

/* What EVP_MAC_init needs to know, for algorithm and key. */
static int
plan(uint32_t algorithm, struct ks_span key, struct ks_mac *mac, enum ks_ossl *ret_id, struct ks_ossl_params *ps,
     struct ks_diag *diag)
{
    const uint32_t hash = ks_hash_of_hmac(algorithm);
    if (hash != 0) {
        const EVP_MD *md;
        if (key.len == 0)
            return ks_fail(diag, KS_E_INVALID, "HMAC-%s: the key is empty", ks_hash_name(hash));
        KS_TRY(ks_ossl_hash_any(hash, &md, diag));
        mac->text = ks_hash_name(hash);
        mac->len = ks_hash_len(hash);
        *ret_id = KS_OSSL_MAC_HMAC;
        ks_ossl_put_text(ps, OSSL_MAC_PARAM_DIGEST, EVP_MD_get0_name(md));
        return 0;
    }
    bool known = false;
    for (size_t i = 0; i < KS_ARRAY_LEN(cmacs); i++) {
        if (cmacs[i].algorithm != algorithm)
            continue;
        known = true;
        if (cmacs[i].key_len != key.len)
            continue;
        mac->text = cmacs[i].text;
        mac->len = cmacs[i].len;
        *ret_id = KS_OSSL_MAC_CMAC;
        ks_ossl_put_text(ps, OSSL_MAC_PARAM_CIPHER, cmacs[i].cipher);
        return 0;
    }
    if (known)
        return ks_fail(diag, KS_E_INVALID, "CMAC: no key of this algorithm has %zu bits", key.len * 8);
    return ks_fail(diag, KS_E_UNSUPPORTED, "cryptographic algorithm %#x makes no message authentication code here",
                   algorithm);
}

int
ks_mac_new(uint32_t algorithm, struct ks_span key, struct ks_mac **ret, struct ks_diag *diag)
{
    struct ks_mac m = {0};
    struct ks_ossl_params ps = {.n = 0};
    enum ks_ossl id;
    KS_TRY(plan(algorithm, key, &m, &id, &ps, diag));
    EVP_MAC *fetched = ks_ossl_mac(id);
    KS_CLEANUP(ks_mac_freep) struct ks_mac *mac = calloc(1, sizeof(*mac));
    if (mac == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s: out of memory", m.text);
    *mac = m;
    mac->ctx = fetched != NULL ? EVP_MAC_CTX_new(fetched) : NULL;
    if (mac->ctx == NULL || EVP_MAC_init(mac->ctx, key.data, key.len, ks_ossl_params_end(&ps)) != 1)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the cleanup attribute frees it */
        return ks_ossl_fail(diag, KS_E_CRYPTO, "%s: preparing the code", m.text);
    *ret = mac;
    mac = NULL; /* transferred */
    return 0;
}

int
ks_mac_update(struct ks_mac *mac, struct ks_span data, struct ks_diag *diag)
{
    if (data.len != 0 && EVP_MAC_update(mac->ctx, data.data, data.len) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "%s: the code", mac->text);
    return 0;
}

int
ks_mac_final(struct ks_mac *mac, uint8_t *ret, size_t *ret_len, struct ks_diag *diag)
{
    uint8_t out[KS_MAC_MAX];
    size_t len = 0;
    if (EVP_MAC_final(mac->ctx, out, &len, sizeof(out)) != 1 || len != mac->len)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "%s: the code", mac->text);
    memcpy(ret, out, len);
    ks_wipe(out, sizeof(out));
    *ret_len = len;
    return 0;
}

void
ks_mac_free(struct ks_mac *mac)
{
    if (mac == NULL)
        return;
    EVP_MAC_CTX_free(mac->ctx); /* wipes the key */
    free(mac);
}
