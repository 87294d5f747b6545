/*
 * Wrapping the keyring key: a row for each provider (tde/wrap.c), a file for each (tde/wrap_<provider>.c).
 *
 *     struct tde_slot *slot = tde_keyring_add_slot(keyring, now);
 *     slot->provider = TDE_PROVIDER_KEY_FILE; ...              // where its key encryption key is
 *     KS_TRY(tde_wrap(keyring, slot, &how, &key, diag));       // fills wrapped and check
 *     KS_TRY(tde_unlock(keyring, file, &how, &key, &id, diag)) // at a start: by the policies of the keyring
 *
 * The internal ones, and a KMS that only hands keys out, give a key encryption key that is used here: AES-256-GCM under
 * the cluster's UUID and the keyring key's identifier. A KMS that encrypts does the same by itself, with the same two
 * as additional authenticated data.
 *
 * Errors: KS_E_DENIED (wrong passphrase or key; a key encryption key that is not active; not permitted), KS_E_INTEGRITY
 * (the wrapped key was changed), KS_E_CONNECT, KS_E_TIMEOUT, KS_E_CLOSED, KS_E_SEALED (the KMS is not there), and those
 * of files and of libkeystead.
 */
#pragma once

#include "tde/keyring.h"

/*
 * What a passphrase gave last, so that a command that wraps and then verifies does not run scrypt twice. The passphrase
 * is read from where it comes from each time all the same.
 */
struct tde_memo {
    struct ks_buf passphrase;
    uint8_t salt[TDE_SALT];
    uint32_t scrypt_n, scrypt_r, scrypt_p;
    struct ks_key32 key;
};
enum { TDE_MEMO_MAX = 4096 };
#define TDE_MEMO                                                                                                       \
    {                                                                                                                  \
        .passphrase = KS_BUF(TDE_MEMO_MAX)                                                                             \
    }
void tde_memo_done(struct tde_memo *memo); /* wipes */

struct tde_how {
    const char *data;                 /* the data directory, for messages */
    bool ask;                         /* a person may be asked at the terminal */
    bool again;                       /* ... twice: a new passphrase */
    int64_t deadline_ms;              /* monotonic: until then a KMS that does not answer is tried again; 0: one try */
    void (*notice)(const char *line); /* what it waits for; NULL: nobody is told */
    struct tde_memo *memo;            /* NULL: none */
};

/* Fills check and wrapped of a slot whose other fields are set; parameters of a passphrase are drawn here. */
int tde_wrap(const struct tde_keyring *keyring, struct tde_slot *slot, const struct tde_how *how,
             const struct ks_key32 *key, struct ks_diag *diag) KS_MUST_CHECK;

/* The keyring key by one slot. It is the right one for this slot; whether it is for the file, tde_keyring_open says. */
int tde_unwrap(const struct tde_keyring *keyring, const struct tde_slot *slot, const struct tde_how *how,
               struct ks_key32 *ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * As a start does it: the primary slot, waiting for its KMS as the keyring says (how->deadline_ms is not used); if none
 * answers and the policy allows it, the other slots in their order; then the file is verified (tde_keyring_open).
 * A KMS that answers and refuses is obeyed: no other slot is tried. ret_slot: the number of the one that it was.
 */
int tde_unlock(const struct tde_keyring *keyring, struct ks_span file, const struct tde_how *how, struct ks_key32 *ret,
               uint32_t *ret_slot, struct ks_diag *diag) KS_MUST_CHECK;

/* Whether a failure says that the KMS is not there, rather than that it refused. */
bool tde_is_unreachable(int code);

/* "slot 2 (kmip: kek-1 at 192.0.2.1:5696)" */
void tde_slot_text(const struct tde_slot *slot, char ret[2 * TDE_TEXT]);

/* ---- The providers: internal to tde/ ---- */

/* The key encryption key. `fresh`: for wrapping; new parameters are drawn into the slot. */
typedef int tde_kek_fn(struct tde_slot *slot, const struct tde_how *how, bool fresh, struct ks_key32 *ret,
                       struct ks_diag *diag);
tde_kek_fn tde_passphrase_kek, tde_key_file_kek, tde_key_command_kek, tde_kmip_kek;

enum { TDE_AAD = 2 * TDE_BUNDLE_ID };
/* What a wrapped keyring key is tied to. */
void tde_wrap_aad(const struct tde_keyring *keyring, uint8_t ret[TDE_AAD]);

int tde_kmip_encrypt(const struct tde_keyring *keyring, struct tde_slot *slot, const struct tde_how *how,
                     const struct ks_key32 *key, struct ks_diag *diag) KS_MUST_CHECK;
int tde_kmip_decrypt(const struct tde_keyring *keyring, const struct tde_slot *slot, const struct tde_how *how,
                     struct ks_key32 *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* 32 bytes: as they are, or 64 hexadecimal digits on a line. KS_E_MALFORMED. */
int tde_key_bytes(struct ks_span text, const char *whence, struct ks_key32 *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* The standard output of `sh -c command`, which is given no input and a minute. KS_E_IO: it failed. */
int tde_command_output(const char *command, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;
