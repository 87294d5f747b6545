/*
 * The instance's key hierarchy:
 *
 *   root key (file or passphrase)  -> wraps -> master key (versioned, in STORE_INSTANCE)  -> SP 800-108 -> subkeys by
 * purpose
 *
 * A keyring is unlocked once, at start or unseal, and then seals and opens rows. Memory of keys is locked and wiped.
 */
#pragma once

#include "base/mem.h"
#include "store/store.h"

enum keyring_purpose {
    KEYRING_OBJECT,   /* key material */
    KEYRING_METADATA, /* attributes, system rows */
    KEYRING_NAME,     /* MAC of names, for indexes */
    KEYRING_AUDIT,    /* MAC of the audit head in the store */
    KEYRING_STATE,    /* MAC of each row and seal of the set of rows (rollback, deletion) */
    KEYRING_PURPOSE_COUNT
};

struct keyring;

/* Puts a new master key, wrapped by the root key, and the state of an otherwise empty set of rows into a new store. */
int keyring_create(struct store *store, const struct ks_key32 *root, struct ks_diag *diag) KS_MUST_CHECK;

/* KS_E_INTEGRITY: not the root key that this store was made with. */
int keyring_open(struct store *store, const struct ks_key32 *root, struct keyring **ret,
                 struct ks_diag *diag) KS_MUST_CHECK;
void keyring_free(struct keyring *keyring);

/*
 * Authenticated encryption of a row's part. The context (table, row key, row version, part) is bound as AAD: a blob put
 * into another row, or an older version of this one, does not open (KS_E_INTEGRITY). Appends to ret. The engine's
 * thread and the committer's may use one keyring at the same time.
 */
int keyring_seal(struct keyring *keyring, enum keyring_purpose purpose, struct ks_span context,
                 struct ks_span plaintext, struct ks_buf *ret) KS_MUST_CHECK;
int keyring_open_sealed(struct keyring *keyring, enum keyring_purpose purpose, struct ks_span context,
                        struct ks_span sealed, struct ks_buf *ret) KS_MUST_CHECK;
int keyring_mac(struct keyring *keyring, enum keyring_purpose purpose, struct ks_span data,
                uint8_t ret[32]) KS_MUST_CHECK;
/* Over the concatenation of n spans. */
int keyring_mac_parts(struct keyring *keyring, enum keyring_purpose purpose, const struct ks_span *parts, size_t n,
                      uint8_t ret[32]) KS_MUST_CHECK;
