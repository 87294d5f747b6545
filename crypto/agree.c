#include "crypto/agree.h"

#include <keystead/kmip.h>

#include "crypto/pkey.h"

enum { SHARED_MAX = 128 };

int
ks_agree(const struct ks_pkey *own, const struct ks_pkey *peer, struct ks_buf *ret, struct ks_diag *diag)
{
    uint8_t secret[SHARED_MAX];
    size_t len = sizeof(secret);
    if (own->info.algorithm != KMIP_CRYPTOGRAPHIC_ALGORITHM_EC || peer->info.algorithm != own->info.algorithm)
        return ks_fail(diag, KS_E_UNSUPPORTED, "keys of the kinds %s and %s agree on nothing", ks_pkey_text(own),
                       ks_pkey_text(peer));
    if (!own->info.is_private)
        return ks_fail(diag, KS_E_INVALID, "a key agreement takes a private key");
    if (own->curve != peer->curve)
        return ks_fail(diag, KS_E_INVALID, "keys on the curves %s and %s do not go together", ks_pkey_text(own),
                       ks_pkey_text(peer));
    KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own->pkey, NULL);
    if (ctx == NULL || EVP_PKEY_derive_init(ctx) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "preparing a key agreement on %s", ks_pkey_text(own));
    /* Checks that the point is on the curve. */
    if (EVP_PKEY_derive_set_peer_ex(ctx, peer->pkey, 1) != 1 || EVP_PKEY_derive(ctx, secret, &len) != 1) {
        ks_wipe(secret, sizeof(secret));
        return ks_ossl_fail(diag, KS_E_INVALID, "the key agreement on %s failed", ks_pkey_text(own));
    }
    const int rc = ks_buf_add(ret, secret, len);
    ks_wipe(secret, sizeof(secret));
    return rc != 0 ? ks_fail(diag, rc, "no room for a shared secret") : 0;
}
