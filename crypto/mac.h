/*
 * Message authentication codes by KMIP Cryptographic Algorithm: HMAC-... with any hash of crypto/hash.h, and CMAC
 * (SP 800-38B, RFC 4493) for AES and 3DES.
 *
 *     struct ks_mac *mac;
 *     KS_TRY(ks_mac_new(KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, key, &mac, diag));
 *     KS_TRY(ks_mac_update(mac, part, diag));
 *     KS_TRY(ks_mac_final(mac, out, &len, diag));
 *     ks_mac_free(mac);
 */
#pragma once

#include "base/mem.h"
#include "crypto/hash.h"

enum { KS_MAC_MAX = KS_HASH_MAX };

struct ks_mac;

/* Bytes of the code; 0 where the algorithm makes none that is offered. */
size_t ks_mac_len(uint32_t algorithm);

/*
 * KS_E_UNSUPPORTED: no such code. KS_E_INVALID: a key of a length that the algorithm does not have (HMAC takes any but
 * an empty one). The key is wiped with the object. Not for two threads at once.
 */
int ks_mac_new(uint32_t algorithm, struct ks_span key, struct ks_mac **ret, struct ks_diag *diag) KS_MUST_CHECK;
int ks_mac_update(struct ks_mac *mac, struct ks_span data, struct ks_diag *diag) KS_MUST_CHECK;
/* Ends it; ret holds KS_MAC_MAX bytes. */
int ks_mac_final(struct ks_mac *mac, uint8_t *ret, size_t *ret_len, struct ks_diag *diag) KS_MUST_CHECK;
void ks_mac_free(struct ks_mac *mac); /* accepts NULL */
static inline void
ks_mac_freep(struct ks_mac **mac)
{
    ks_mac_free(*mac);
    *mac = NULL;
}
