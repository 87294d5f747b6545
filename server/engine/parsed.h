/*
 * Asymmetric keys as libcrypto computes with them, kept with the revision of the object that they were read from:
 * unsealing and reading a private key takes longer than signing with it.
 *
 * A key belongs to one rev, which never changes, and is wiped when that is freed: whatever changes an object makes
 * another rev, so no key outlives what the object was. Nothing is decided here: callers have asked engine_use.
 * Bounded: the keys used longest ago go first, and each goes when it was not used for a while, because a key in here is
 * not sealed. All in the engine's thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ctx;
struct object;
struct ks_pkey;
struct parsed;

enum {
    PARSED_MOST = 256,  /* keys; the largest RSA key takes some 30 KiB, so 8 MiB at most */
    PARSED_IDLE_S = 60, /* after so many seconds without use a key is wiped: see parsed_expire */
};

struct parsed_keys {
    struct parsed *newest, *oldest; /* by use */
    size_t n;
    uint64_t found, read; /* how often a key was there, and was not */
};

/*
 * The key of a Private Key, Public Key or Certificate; freed by the caller, who may keep it as long as it likes. Fails
 * the item with KEY_FORMAT where what the object holds is no key that can be computed with. Without memory to keep the
 * key it is read, and not kept.
 */
int parsed_key(struct ctx *ctx, const struct object *object, struct ks_pkey **ret) KS_MUST_CHECK;

/* Wiped, once nobody computes with it any more; the rev no longer has one. Accepts NULL. */
void parsed_forget(struct parsed *parsed);

/* Those that were not used for PARSED_IDLE_S before now (seconds). */
void parsed_expire(struct parsed_keys *keys, int64_t now);
void parsed_clear(struct parsed_keys *keys);
