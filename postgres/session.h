/*
 * What one backend holds: its connection to the key management system and the data keys that it unwrapped.
 *
 * Nothing is shared between backends, and nothing is made before a backend needs it: a server that preloads the
 * library forks no connection. Both end with the backend; the keys also when their time is up (a timer wipes them in
 * a backend that is idle), with DISCARD ALL, with keystead.forget_keys(), and when a setting changes.
 */
#pragma once

#include "postgres/compat.h"

#include "postgres/kms.h"
#include "postgres/value.h"

/* The connection, made anew if settings changed. Does not return if the settings are not good for one. */
struct ks_kms *ks_session_kms(void);

/* Whether the data key is there and its time is not up. */
bool ks_session_find_key(const struct ks_value_key *which, struct ks_key32 *ret);

/*
 * Keeps it until asked_ms (ks_monotonic_ms, when the KMS began to be asked) plus keystead.data_key_cache_ttl. May
 * ereport before it does anything with the key.
 */
void ks_session_prepare_cache(void);
void ks_session_keep_key(const struct ks_value_key *which, const struct ks_key32 *key, int64_t asked_ms);

/* Wipes the data keys; how many there were. */
size_t ks_session_forget_keys(void);

/* Closes the connection, too. At exit. */
void ks_session_end(void);
