/* Random bytes from libcrypto's DRBG, and time-ordered UUIDs. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Fills ret with len random bytes. Small draws come from a pool per thread (one DRBG call per 4 KiB), whose bytes
 * are wiped as they are handed out; a forked child never sees its parent's pool. Good for IVs, nonces, salts,
 * identifiers and tokens. KS_E_CRYPTO; ret is all zero then, never half random.
 */
int ks_random(void *ret, size_t len) KS_MUST_CHECK;

/* The same for keys: from the DRBG that libcrypto keeps for private values, never pooled. */
int ks_random_key(void *ret, size_t len) KS_MUST_CHECK;

/*
 * Mixes bytes of a stranger's into the DRBG, as additional input that counts for nothing: they can make its numbers no
 * better known to anybody. KS_E_CRYPTO.
 */
int ks_random_mix(const void *data, size_t len) KS_MUST_CHECK;

/*
 * UUID version 7 (RFC 9562, 5.7): 48 bits of milliseconds, a 12-bit counter, 62 random bits. Identifiers of one
 * generator grow strictly, in text order too, also within a millisecond, when the clock steps back (then the time
 * part stays ahead of the clock) and between threads. Time and randomness are the caller's, so that tests, replays
 * and simulations are deterministic.
 *
 *     static struct ks_uuid_gen gen;         // all zero to begin with
 *     uint8_t random[KS_UUID_RANDOM];
 *     KS_TRY(ks_random(random, sizeof(random)));
 *     ks_uuid7(&gen, ks_clock_us() / 1000, random, text);
 */
enum { KS_UUID_TEXT = 37 /* 36 characters and NUL */, KS_UUID_RANDOM = 10 };

struct ks_uuid_gen {
    _Atomic uint64_t last; /* milliseconds << 12 | counter */
};

void ks_uuid7(struct ks_uuid_gen *gen, int64_t now_ms, const uint8_t random[KS_UUID_RANDOM],
              char ret_text[KS_UUID_TEXT]);
