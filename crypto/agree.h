/* Key agreement: ECDH on curves of the EC kind, X25519, X448 (SP 800-56A, RFC 7748). */
#pragma once

#include "base/mem.h"
#include "crypto/keyformat.h"

/*
 * Appends the shared secret of a private key and the other side's public key: the x coordinate, as long as the field,
 * or the RFC's bytes. KS_E_INVALID: keys of different curves, a point that is none of the curve, a secret of zeros
 * alone. KS_E_UNSUPPORTED: keys that agree on nothing (RSA, Ed25519).
 */
int ks_agree(const struct ks_pkey *own, const struct ks_pkey *peer, struct ks_buf *ret,
             struct ks_diag *diag) KS_MUST_CHECK;
