/*
 * The keyring of an encrypted cluster, as bytes and as a structure: DATA/keystead/keyring (docs/keyring.md).
 *
 *     data keys --sealed under--> keyring key --wrapped by--> one slot or several (tde/wrap.h)
 *
 * Pure: no files, no network. Reading has two steps. tde_keyring_decode takes the bytes apart, bounded and strict, and
 * is all that can be done without a key; tde_keyring_open is given the keyring key that a slot has unwrapped, and only
 * then is anything of it true: the code over the whole file verifies, and every data key opens.
 */
#pragma once

#include "base/mem.h"
#include "tde/bundle.h"

enum {
    TDE_KEYRING_MAX = 65536, /* bytes of a file */
    TDE_KEYRING_VERSION = 1,
    TDE_SLOTS_MAX = 8,
    TDE_TEXT = 1024, /* bytes of a text, with its NUL */
    TDE_SALT = 32,
    TDE_CHECK_VALUE = 8,
    TDE_WRAPPED_MAX = 512,
    TDE_SEALED_KEY = 12 + TDE_BUNDLE_KEY + 16, /* crypto/seal.h */
    TDE_UUID_TEXT = 37,
};

/* TDE_PROVIDER(name, number, word): what holds the key that the keyring key is wrapped by. */
#define TDE_PROVIDERS                                                                                                  \
    TDE_PROVIDER(PASSPHRASE, 1, "passphrase")                                                                          \
    TDE_PROVIDER(KEY_FILE, 2, "key-file")                                                                              \
    TDE_PROVIDER(KMIP, 3, "kmip")                                                                                      \
    TDE_PROVIDER(KEY_COMMAND, 4, "key-command")
enum tde_provider {
#define TDE_PROVIDER(name, number, word) TDE_PROVIDER_##name = (number),
    TDE_PROVIDERS
#undef TDE_PROVIDER
};

/* Where a passphrase comes from. */
enum tde_source { TDE_SOURCE_NONE = 0, TDE_SOURCE_PROMPT = 1, TDE_SOURCE_FILE = 2, TDE_SOURCE_COMMAND = 3 };

/* What the KMS is asked to do: chosen when the slot is made, never by itself. */
enum tde_kms_mode {
    TDE_KMS_NONE = 0,
    TDE_KMS_ENCRYPT = 1,     /* Encrypt and Decrypt there: the key encryption key never leaves */
    TDE_KMS_WRAPPED_GET = 2, /* it comes wrapped under a transport key that both have */
    TDE_KMS_GET = 3,         /* it comes as it is, inside TLS */
};

/* How the keyring key is wrapped. */
struct tde_slot {
    uint32_t id;         /* from 1; not used again while others are there */
    uint32_t provider;   /* enum tde_provider */
    uint32_t primary;    /* 1: the one that a start uses */
    int64_t created;     /* seconds since 1970 */
    uint32_t source;     /* enum tde_source, of passphrases */
    char path[TDE_TEXT]; /* the file, or the command, of the internal providers */
    uint32_t scrypt_n, scrypt_r, scrypt_p;
    uint8_t salt[TDE_SALT];
    uint32_t mode;                      /* enum tde_kms_mode */
    char uid[TDE_TEXT], name[TDE_TEXT]; /* of the key encryption key */
    char servers[TDE_TEXT];             /* "host:port,host:port", in the order of trying */
    char ca[TDE_TEXT], certificate[TDE_TEXT], key[TDE_TEXT], server_name[TDE_TEXT];
    char transport_uid[TDE_TEXT], transport_file[TDE_TEXT];
    uint8_t check[TDE_CHECK_VALUE]; /* of the key encryption key where we see it; else zero */
    uint32_t wrapped_len;
    uint8_t wrapped[TDE_WRAPPED_MAX];
};

struct tde_data_key {
    uint8_t id[TDE_BUNDLE_ID];
    uint32_t purpose;    /* enum tde_purpose */
    uint32_t generation; /* from 1, in each purpose */
    uint32_t state;      /* enum tde_key_state */
    int64_t created;
    uint8_t sealed[TDE_SEALED_KEY];
};

enum tde_unreachable {
    TDE_UNREACHABLE_REFUSE = 0, /* no answer within wait_s: no start */
    TDE_UNREACHABLE_OTHER = 1,  /* then the other slots, in their order */
};

struct tde_keyring {
    uint8_t cluster[TDE_BUNDLE_ID]; /* UUID */
    uint8_t key_id[TDE_BUNDLE_ID];  /* of the keyring key */
    uint64_t epoch;                 /* counts the changes of the file, from 1 */
    int64_t created, changed;
    uint32_t wait_s;      /* how long a start waits for a KMS, all its servers together */
    uint32_t unreachable; /* enum tde_unreachable */
    uint32_t n_slots, n_keys;
    struct tde_slot slots[TDE_SLOTS_MAX];
    struct tde_data_key keys[TDE_BUNDLE_KEYS_MAX];
};
enum { TDE_WAIT_DEFAULT = 60, TDE_WAIT_MAX = 600 };

void tde_keyring_free(struct tde_keyring *keyring); /* wipes; accepts NULL */
static inline void
tde_keyring_freep(struct tde_keyring **keyring)
{
    tde_keyring_free(*keyring);
    *keyring = NULL;
}
#define TDE_KEYRING_PTR KS_CLEANUP(tde_keyring_freep) struct tde_keyring

/* "passphrase"; NULL: unknown. */
const char *tde_provider_word(uint32_t provider);

/* 36 characters and a NUL. */
void tde_uuid_text(const uint8_t uuid[TDE_BUNDLE_ID], char ret[TDE_UUID_TEXT]);

/* A new one: random identifiers, one active data key for each purpose, no slot yet. ret_key: its keyring key. */
int tde_keyring_new(int64_t now, struct tde_keyring **ret, struct ks_key32 *ret_key,
                    struct ks_diag *diag) KS_MUST_CHECK;

/*
 * KS_E_MALFORMED, with the offset: cut off, lengths that do not fit, values that do not exist, bytes behind the end.
 * KS_E_UNSUPPORTED: a newer format.
 */
int tde_keyring_decode(struct ks_span file, struct tde_keyring **ret, struct ks_diag *diag) KS_MUST_CHECK;

/* The bytes it was decoded from, under the key that a slot gave. KS_E_INTEGRITY: changed, or another keyring's key. */
int tde_keyring_open(const struct tde_keyring *keyring, struct ks_span file, const struct ks_key32 *key,
                     struct ks_diag *diag) KS_MUST_CHECK;

/* Appends the file. KS_E_INVALID: it would not be read again (no slot, two primary ones, ...). */
int tde_keyring_encode(const struct tde_keyring *keyring, const struct ks_key32 *key, struct ks_buf *ret,
                       struct ks_diag *diag) KS_MUST_CHECK;

/* The data keys in the clear. ret: memory of the caller's, locked and wiped by it; wiped here on failure. */
int tde_keyring_bundle(const struct tde_keyring *keyring, const struct ks_key32 *key, struct tde_bundle *ret,
                       struct ks_diag *diag) KS_MUST_CHECK;

/*
 * Rotation of the data keys, in two steps: first each purpose gets a key of the next generation (none if there is one
 * already: the rotation was begun before); then those become the active ones, and what was active decrypts only. Where
 * there is no room, keys of the oldest generations go.
 */
int tde_keyring_add_next(struct tde_keyring *keyring, const struct ks_key32 *key, int64_t now,
                         struct ks_diag *diag) KS_MUST_CHECK;
bool tde_keyring_has_next(const struct tde_keyring *keyring);
void tde_keyring_promote_next(struct tde_keyring *keyring);

/* The primary slot (a decoded keyring has one), or that of a number; NULL: none. */
struct tde_slot *tde_keyring_primary(struct tde_keyring *keyring);
struct tde_slot *tde_keyring_slot(struct tde_keyring *keyring, uint32_t id);

/* A new, empty slot with the next free number; primary if it is the first. NULL: TDE_SLOTS_MAX are there. */
struct tde_slot *tde_keyring_add_slot(struct tde_keyring *keyring, int64_t now);
void tde_keyring_drop_slot(struct tde_keyring *keyring, uint32_t id); /* not the primary one */
