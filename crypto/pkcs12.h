/* PKCS#12 containers (RFC 7292): a private key and certificates under a password. */
#pragma once

#include "base/mem.h"
#include "crypto/keyformat.h"

/*
 * Appends the container: AES-256-CBC under PBES2, MAC with HMAC-SHA-256, iterations as OpenSSL has them. certs: DER,
 * the key's own first; may be none. friendly: name, may be NULL. KS_E_INVALID: a password that is empty or has a NUL
 * in it, or a first certificate of another key.
 */
int ks_pkcs12_make(const struct ks_pkey *key, const struct ks_span *certs, size_t n_certs, const char *friendly,
                   struct ks_span password, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * The private key of a container: the first. It has to have a MAC, under the same password. KS_E_INTEGRITY: another
 * password, or changed bytes. KS_E_LIMIT: it asks for more iterations of key derivation than that, which is some
 * seconds' work, over all its parts; none is begun that would go beyond. KS_E_UNSUPPORTED: without a MAC, or with
 * algorithms that libcrypto does not have.
 */
enum { KS_PKCS12_ITERATIONS_MOST = 4 << 20 };
int ks_pkcs12_key(struct ks_span container, struct ks_span password, struct ks_pkey **ret,
                  struct ks_diag *diag) KS_MUST_CHECK;
