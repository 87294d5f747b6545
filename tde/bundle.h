/*
 * The bundle: the data keys of one encrypted cluster, as a process of PostgreSQL gets them.
 *
 * Host byte order, for it never leaves the machine. It travels in a memfd that is sealed against everything (shrink,
 * grow, write, seal): as the descriptor that KEYSTEAD_TDE_FD names, or over the socket that the helper
 * `keystead pg unwrap --data DIR` has as descriptor 3 (SCM_RIGHTS). What is in it is docs/tde.md's matter.
 */
#pragma once

#include <stdint.h>

#define TDE_BUNDLE_MAGIC "KSTDEKB1" /* eight bytes, no terminator */

enum {
    TDE_BUNDLE_KEYS_MAX = 64,
    TDE_BUNDLE_ID = 16,  /* bytes of a key's, and of a cluster's, identifier */
    TDE_BUNDLE_KEY = 32, /* bytes of a key */
};

/* What a key is for. Keys of temporary files are drawn at each start and are in no bundle. */
enum tde_purpose {
    TDE_PURPOSE_REL = 1,  /* relations of all forks, catalogs */
    TDE_PURPOSE_WAL = 2,  /* WAL, in the cluster and in archives */
    TDE_PURPOSE_MISC = 3, /* everything else that lasts */
};

enum tde_key_state {
    TDE_KEY_ACTIVE = 1,       /* encrypt and decrypt */
    TDE_KEY_DECRYPT_ONLY = 2, /* an older generation */
    TDE_KEY_NEXT = 3,         /* the generation that a rotation is on its way to */
};

struct tde_bundle_key {
    uint8_t id[TDE_BUNDLE_ID];
    uint32_t purpose;    /* enum tde_purpose */
    uint32_t generation; /* from 1 */
    uint32_t state;      /* enum tde_key_state */
    uint32_t reserved;   /* 0 */
    uint8_t key[TDE_BUNDLE_KEY];
};

struct tde_bundle {
    char magic[8];
    uint32_t size;                  /* of this structure */
    uint32_t count;                 /* of keys that are in use */
    uint8_t cluster[TDE_BUNDLE_ID]; /* the keyring's UUID */
    uint64_t epoch;                 /* the keyring's, counts its changes */
    struct tde_bundle_key keys[TDE_BUNDLE_KEYS_MAX];
};

/* What both sides know by name. */
#define TDE_ENV_FD "KEYSTEAD_TDE_FD"         /* the descriptor of a bundle */
#define TDE_ENV_ROOT "KEYSTEAD_TDE_ROOT"     /* absolute path of a data directory that has no keyring yet */
#define TDE_ENV_FD_2 "KEYSTEAD_TDE_FD_2"     /* the same of the second data directory, */
#define TDE_ENV_ROOT_2 "KEYSTEAD_TDE_ROOT_2" /* which is this: for programs of pg_upgrade and pg_rewind */
#define TDE_ENV_CLEAR "KEYSTEAD_TDE_CLEAR"   /* set: pg_basebackup asks the server for a backup in the clear */
#define TDE_KEYRING "keystead/keyring"       /* below the data directory: it is an encrypted one */
#define TDE_CHECK "keystead/check"           /* the layer's: check values of the keys that it was started with */
#define TDE_CONVERTING "keystead/converting" /* journal of a conversion that is not finished: nothing starts */
#define TDE_PERMIT "keystead/permit"         /* that base backups may be sent in the clear, until a time */
#define TDE_LIBRARY "libkeystead_tde.so"
#define TDE_GUARD "keystead_guard"
#define TDE_HELPER_FD 3

/* Settings by which the guard of a server and the layer of a client of replication speak. */
#define TDE_GUC_RECEIVER "keystead.receiver" /* the client's: "layer" encrypts what it gets */
#define TDE_GUC_BACKUP "keystead.backup"     /* what base backups are sent as: ciphertext, clear */
#define TDE_GUC_KEYS "keystead.keys"         /* the server's: identifiers of the keys that the ciphertext is under */
