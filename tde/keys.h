/*
 * The data keys of this process and what is derived from them.
 *
 * The bundle is copied into locked memory that is left out of core dumps; a file's key is HKDF-SHA256 of the key of its
 * class, with the class's name and the file's identity. Children that are forked have all of it; what is exec'ed has
 * nothing.
 */
#pragma once

#include "crypto/xts.h"
#include "tde/bundle.h"
#include "tde/classify.h"

/*
 * Takes the bundle of a data directory (root: below TDE_ROOTS) over from a sealed memfd (closed in any case) and draws
 * its key of temporary files. On failure why (of size bytes) says what is wrong with it.
 */
int tde_keys_load_of(unsigned root, int fd, char *why, size_t size) KS_MUST_CHECK;
bool tde_keys_loaded_of(unsigned root);
const struct tde_bundle *tde_keys_bundle_of(unsigned root); /* NULL: not loaded */

/* Both data directories have the same active keys: what one wrote the other can read. */
bool tde_keys_same(void);

/* A new sealed memfd with the bundle, inherited over exec; -1 and errno. */
int tde_keys_memfd_of(unsigned root);

/* The same for the data directory of this process. */
static inline int
tde_keys_load(int fd, char *why, size_t size)
{
    return tde_keys_load_of(0, fd, why, size);
}

static inline bool
tde_keys_loaded(void)
{
    return tde_keys_loaded_of(0);
}

static inline const struct tde_bundle *
tde_keys_bundle(void)
{
    return tde_keys_bundle_of(0);
}

static inline int
tde_keys_memfd(void)
{
    return tde_keys_memfd_of(0);
}

/* Wipes all. For tests; files that are open keep theirs. */
void tde_keys_done(void);

/* 32 bytes that say whether a process has this key, and nothing of the key. */
int tde_keys_check_value(const struct tde_bundle_key *key, uint8_t ret[32]) KS_MUST_CHECK;

/* The key of a file. It is shared between those that opened the file, and kept for a while after that. */
struct tde_file_key;
int tde_file_key_get_of(unsigned root, enum tde_class class, const char *identity,
                        struct tde_file_key **ret) KS_MUST_CHECK;
static inline int
tde_file_key_get(enum tde_class class, const char *identity, struct tde_file_key **ret)
{
    return tde_file_key_get_of(0, class, identity, ret);
}
void tde_file_key_put(struct tde_file_key *key); /* accepts NULL */

/* The same by the key of another state than active, for a rotation: not shared. Temporary files have none such. */
int tde_file_key_of(enum tde_key_state state, enum tde_class class, const char *identity,
                    struct tde_file_key **ret) KS_MUST_CHECK;

/* Of one user at a time: every begin has its end. */
struct ks_xts *tde_file_key_begin(struct tde_file_key *key);
void tde_file_key_end(struct tde_file_key *key);
