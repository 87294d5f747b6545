/*
 * Unwrapped data keys of one backend: bounded, in locked memory, each with an end.
 *
 *     struct ks_key_cache *cache;
 *     KS_TRY(ks_key_cache_new(64, &cache));
 *     KS_KEY32 key;
 *     if (!ks_key_cache_find(cache, &which, ks_monotonic_ms(), &key)) {
 *         ... unwrap it into key ...
 *         ks_key_cache_add(cache, &which, &key, ks_monotonic_ms() + ttl_ms);
 *     }
 *
 * A key is given out as a copy (wipe it: KS_KEY32), never as a pointer, so ks_key_cache_expire may run in a signal
 * handler at any moment: it is what makes an idle backend forget a key on time.
 *
 * No PostgreSQL here, so that it can be tested alone.
 */
#pragma once

#include "postgres/value.h"

struct ks_key_cache;
int ks_key_cache_new(size_t max, struct ks_key_cache **ret) KS_MUST_CHECK;
void ks_key_cache_free(struct ks_key_cache *cache); /* wipes; accepts NULL */

/* Whether the key is there and now_ms is before its end; an expired key is wiped. */
bool ks_key_cache_find(struct ks_key_cache *cache, const struct ks_value_key *which, int64_t now_ms,
                       struct ks_key32 *ret);

/* Adds or replaces. When it is full, the key that ends first makes room. */
void ks_key_cache_add(struct ks_key_cache *cache, const struct ks_value_key *which, const struct ks_key32 *key,
                      int64_t end_ms);

/* Wipes all. Async-signal-safe too. */
void ks_key_cache_clear(struct ks_key_cache *cache);

/*
 * Wipes what has ended. Async-signal-safe: if it interrupted another call on this cache, that call does it before
 * it returns.
 */
void ks_key_cache_expire(struct ks_key_cache *cache, int64_t now_ms);

/* When the next key ends; INT64_MAX if there is none. */
int64_t ks_key_cache_next_end(const struct ks_key_cache *cache);

size_t ks_key_cache_count(const struct ks_key_cache *cache);
