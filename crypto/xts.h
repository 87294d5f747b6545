/*
 * AES-256-XTS (IEEE 1619, SP 800-38E) for storage: a key that is set up once and used for many data units.
 *
 *     struct ks_xts *xts;
 *     KS_TRY(ks_xts_new(key, &xts, diag));
 *     KS_TRY(ks_xts_encrypt(xts, tweak, page, 8192, out));
 *     ks_xts_free(xts);
 *
 * One user at a time: the caller serializes. The key schedules are wiped when it is freed.
 */
#pragma once

#include "base/mem.h"

enum { KS_XTS_KEY = 64, KS_XTS_BLOCK = 16, KS_XTS_UNIT_MAX = 1 << 20 };

struct ks_xts;

/* KS_E_INVALID: the two halves of the key are equal. */
int ks_xts_new(const uint8_t key[KS_XTS_KEY], struct ks_xts **ret, struct ks_diag *diag) KS_MUST_CHECK;
void ks_xts_free(struct ks_xts *xts); /* accepts NULL */

/*
 * One data unit of len bytes, from 16 to KS_XTS_UNIT_MAX; what is no multiple of 16 is ciphertext stealing. ret may be
 * in. KS_E_INVALID: a length out of bounds; KS_E_CRYPTO.
 */
int ks_xts_encrypt(struct ks_xts *xts, const uint8_t tweak[KS_XTS_BLOCK], const uint8_t *in, size_t len,
                   uint8_t *ret) KS_MUST_CHECK;
int ks_xts_decrypt(struct ks_xts *xts, const uint8_t tweak[KS_XTS_BLOCK], const uint8_t *in, size_t len,
                   uint8_t *ret) KS_MUST_CHECK;
