/*
 * crypto/: the only code that calls libcrypto. Everything else includes these headers, never an OpenSSL one.
 *
 * Numbers named algorithm, mode, padding, hash, curve and format are the KMIP enumeration values
 * (KMIP_CRYPTOGRAPHIC_ALGORITHM_AES and so on, <keystead/kmip.h>), so nothing is translated twice.
 *
 * Common to all functions here:
 *   - result: 0, or KS_E_INVALID (a parameter or a length is wrong), KS_E_UNSUPPORTED (valid KMIP that is not
 *     offered), KS_E_INTEGRITY (a tag, signature or wrapped key does not verify), KS_E_MALFORMED (input that does
 *     not parse; padding that is not padding), KS_E_LIMIT, KS_E_NOMEM, KS_E_CRYPTO (libcrypto failed);
 *   - outputs are untouched on failure; a struct ks_buf that is appended to keeps its former length (but its err
 *     sticks when it is full); inputs must not lie in the buffer that is appended to;
 *   - bytes of keys live in struct ks_secret, in struct ks_buf or in an arena, all of which wipe themselves;
 *   - no OpenSSL error queue is left behind.
 *
 * Algorithms are fetched from the provider at first use and kept for the process.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

/*
 * Fetches what the server uses on every request, so that a missing provider is an error at start and not at the
 * first request (KS_E_CRYPTO). Optional, idempotent, safe from several threads.
 */
int ks_crypto_init(struct ks_diag *diag) KS_MUST_CHECK;

/*
 * Releases the fetched algorithms. Idempotent; later calls fetch again. No other thread may be inside crypto/, and
 * no object of crypto/ may be in use.
 */
void ks_crypto_done(void);

/*
 * Makes libcrypto wipe every block of memory that it frees. It wipes most secrets by itself, but not the copies that
 * its encoders make of private keys on the way out. For programs that hold keys, as their first act: false (and no
 * change) where libcrypto has allocated something already; idempotent. A library must not call this: it is the
 * process's choice.
 */
bool ks_crypto_wipe_heap(void);
