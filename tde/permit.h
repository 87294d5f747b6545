/*
 * DATA/keystead/permit: that base backups may be sent in the clear, until a time. Pure.
 *
 * Written by `keystead pg permit`, which has unwrapped the keyring, and read by the server for each such backup: the
 * code over it is under a key that is derived from the data keys, so that nobody else writes one.
 */
#pragma once

#include "base/mem.h"
#include "tde/bundle.h"

enum { TDE_PERMIT_LEN = 8 + TDE_BUNDLE_ID + 8 + 32 };

/* until: seconds since 1970. */
int tde_permit_make(const struct tde_bundle *bundle, int64_t until, uint8_t ret[TDE_PERMIT_LEN]) KS_MUST_CHECK;

/* KS_E_MALFORMED, KS_E_INTEGRITY (changed, or another cluster's), KS_E_DENIED: it is over; until is set all the
 * same. */
int tde_permit_check(const struct tde_bundle *bundle, struct ks_span file, int64_t now,
                     int64_t *ret_until) KS_MUST_CHECK;
