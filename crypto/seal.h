/*
 * Sealing what is stored: AES-256-GCM (SP 800-38D) with a random 96-bit IV for each seal.
 *
 *     struct ks_seal_key *key;
 *     KS_TRY(ks_seal_key_new(subkey.b, &key, diag));
 *     KS_TRY(ks_seal(key, aad, plaintext, &row, diag));         // row grows by plaintext.len + KS_SEAL_OVERHEAD
 *     KS_TRY(ks_open(key, aad, ks_buf_span(&row), &clear, diag));
 *     ks_seal_key_free(key);
 *
 * Sealed form: IV (12) | ciphertext (as long as the plaintext) | tag (16). The AAD is not stored: it is what ties
 * the bytes to their place (identifier, row version, digest of the attributes); build it from fixed-length or
 * length-prefixed fields.
 *
 * A key object holds keyed contexts and is for one thread at a time: make one per thread. A key must not seal
 * more than 2^32 times in all its objects together (SP 800-38D, 8.3: random IVs); one object refuses to go beyond
 * that by itself (KS_E_LIMIT), the sum over objects and restarts is the owner's to bound by rotating the key.
 */
#pragma once

#include "base/mem.h"

enum { KS_SEAL_KEY = 32, KS_SEAL_IV = 12, KS_SEAL_TAG = 16, KS_SEAL_OVERHEAD = KS_SEAL_IV + KS_SEAL_TAG };

struct ks_seal_key;
int ks_seal_key_new(const uint8_t key[KS_SEAL_KEY], struct ks_seal_key **ret, struct ks_diag *diag) KS_MUST_CHECK;
void ks_seal_key_free(struct ks_seal_key *key); /* wipes; accepts NULL */
static inline void
ks_seal_key_freep(struct ks_seal_key **key)
{
    ks_seal_key_free(*key);
    *key = NULL;
}

/* Appends the sealed form of plaintext (may be empty) to ret. Neither span may lie in ret. */
int ks_seal(struct ks_seal_key *key, struct ks_span aad, struct ks_span plaintext, struct ks_buf *ret,
            struct ks_diag *diag) KS_MUST_CHECK;

/*
 * Appends the plaintext to ret. KS_E_INTEGRITY: another key, another AAD, or changed bytes; nothing is appended
 * and what was decrypted is wiped. KS_E_MALFORMED: shorter than KS_SEAL_OVERHEAD.
 */
int ks_open(struct ks_seal_key *key, struct ks_span aad, struct ks_span sealed, struct ks_buf *ret,
            struct ks_diag *diag) KS_MUST_CHECK;

/* As ks_open, into a secret of its own. */
int ks_open_secret(struct ks_seal_key *key, struct ks_span aad, struct ks_span sealed, struct ks_secret **ret,
                   struct ks_diag *diag) KS_MUST_CHECK;
