/* What the commands about encrypted clusters have in common: keystead pg ... */
#pragma once

#include <limits.h>

#include "cli/cli.h"
#include "tde/keyring_file.h"
#include "tde/wrap.h"

/* Every one of them begins with this: it makes itself undumpable, and libcrypto wipe what it frees. */
void pg_harden(void);

/*
 * The data directory: --data, else PGDATA; an absolute path. KS_E_DENIED if it is not this user's, for what is in it (a
 * command, for example) would be obeyed as this user.
 */
int pg_data(struct cli *cli, const char *given, char ret[PATH_MAX]) KS_MUST_CHECK;

/* A keyring that was read; with its key when it was unlocked. */
struct pg_ring {
    char data[PATH_MAX];
    struct ks_buf bytes;
    struct tde_keyring *keyring;
    struct ks_key32 key;
    uint32_t slot; /* that unlocked it */
    struct tde_memo memo;
};
#define PG_RING                                                                                                        \
    {                                                                                                                  \
        .bytes = KS_BUF(TDE_KEYRING_MAX), .memo = TDE_MEMO                                                             \
    }
void pg_ring_done(struct pg_ring *ring);
int pg_ring_read(struct cli *cli, const char *data, struct pg_ring *ring) KS_MUST_CHECK;

/*
 * A new one, for the cluster in data (absolute), with one slot as the options say: PG_PROVIDER_OPTIONS, --wait and
 * --when-unreachable. Nothing is written; a key that was made at a KMS or as a file stays if a later step fails.
 */
int pg_ring_new(struct cli *cli, const char *data, struct pg_ring *ring) KS_MUST_CHECK;

/* As a start does, and notes when a KMS answered. */
int pg_ring_unlock(struct cli *cli, struct pg_ring *ring, bool ask) KS_MUST_CHECK;

/* By this slot alone, a KMS is asked once. */
int pg_ring_unlock_by(struct cli *cli, struct pg_ring *ring, const struct tde_slot *slot) KS_MUST_CHECK;

/* When a KMS answered last, for `keystead pg status`. No secret, and no harm if it cannot be written. */
void pg_note_contact(const struct pg_ring *ring);

/*
 * Writes the keyring as it is now, one epoch further, and has it read back and unwrapped by `slot` before the one
 * before it goes. Under the lock (tde_keyring_file_lock).
 */
int pg_ring_write(struct cli *cli, struct pg_ring *ring, uint32_t slot) KS_MUST_CHECK;

/* The lock, then the keyring as it is under it. *ret_lock is closed by the caller. */
int pg_ring_lock(struct cli *cli, const char *data, struct pg_ring *ring, int *ret_lock) KS_MUST_CHECK;

/* ---- Where a key encryption key is: the options of init, rotate and migrate (cli/pg_provider.c) ---- */

/* clang-format off */
#define PG_PROVIDER_OPTIONS                                                                                            \
    {"passphrase", CLI_FLAG, NULL, "internal: a passphrase that a person types; a start by a service cannot ask"},    \
    {"passphrase-file", CLI_FILE, "FILE", "internal: the passphrase is the first line of a file"},                    \
    {"passphrase-command", CLI_TEXT, "COMMAND", "internal: ... the first line that a command prints"},                \
    {"key-file", CLI_FILE, "FILE", "internal: a file with a key of 256 bits"},                                        \
    {"key-command", CLI_TEXT, "COMMAND", "internal: a command that prints 64 hexadecimal digits"},                    \
    {"kmip", CLI_TEXT, "HOST:PORT", "external: a KMS; several with commas, in the order of trying"},                  \
    {"key", CLI_TEXT, "NAME|UID", "external: the key encryption key there (AES, 256 bits)"},                          \
    {"create-key", CLI_FLAG, NULL, "make the key: at the KMS, or the --key-file"},                                    \
    {"kmip-mode", CLI_CHOICE, "encrypt|wrapped-get|get", "what the KMS does (default encrypt: the key stays there)"}, \
    {"transport-key", CLI_TEXT, "UID", "for wrapped-get: the key that the KMS wraps with"},                           \
    {"transport-key-file", CLI_FILE, "FILE", "for wrapped-get: the same key here"},                                   \
    {"ca", CLI_FILE, "FILE", "certificates of the KMS to trust, PEM (default: the client configuration's)"},          \
    {"certificate", CLI_FILE, "FILE", "this client's certificate, PEM (default as --ca)"},                            \
    {"certificate-key", CLI_FILE, "FILE", "its private key, PEM (default as --ca)"},                                  \
    {"server-name", CLI_TEXT, "NAME", "name in the KMS's certificate, if it is not the host"},                        \
    {"config", CLI_FILE, "FILE", "client configuration of the KMS (default: see keystead key create --help)"},        \
    {"dir", CLI_FOLDER, "DIR", "an instance's folder: its client configuration"}
/* clang-format on */

/* Whether one of them names a provider. */
bool pg_provider_given(const struct cli *cli);

/*
 * Fills a new slot by the options: makes or finds the key encryption key. Refuses none and several. `name`: of a key
 * that is made without --key. What it made at a KMS stays if a later step fails; the message then says so.
 */
int pg_provider_slot(struct cli *cli, const struct tde_keyring *keyring, struct tde_slot *slot,
                     const char *name) KS_MUST_CHECK;

/* What a key is called that is made for a cluster: its UUID, and something that no other one has. */
enum { PG_KEY_NAME = 64 };
int pg_key_name(struct cli *cli, const struct tde_keyring *keyring, char ret[PG_KEY_NAME]) KS_MUST_CHECK;

/* Makes a key encryption key at the slot's KMS, and puts it into the slot. */
int pg_provider_create_key(struct cli *cli, const struct tde_keyring *keyring, struct tde_slot *slot,
                           const char *name) KS_MUST_CHECK;

/* ---- The layer (cli/pg_layer.c) ---- */

/* libkeystead_tde.so, absolute; KS_E_NOT_FOUND. */
int pg_layer_path(struct cli *cli, char ret[PATH_MAX]) KS_MUST_CHECK;

/* What to write into shared_preload_libraries. */
int pg_guard_name(struct cli *cli, const char *version, char ret[PATH_MAX]) KS_MUST_CHECK;

/* The data keys in a sealed memfd. */
int pg_bundle(struct cli *cli, const struct pg_ring *ring, int *ret_fd) KS_MUST_CHECK;

/*
 * Sets LD_PRELOAD and the descriptor (and the root, if not NULL) in this process's environment, for a program that is
 * executed next. Without a layer KS_E_NOT_FOUND.
 */
int pg_layer_environment(struct cli *cli, int bundle, const char *root) KS_MUST_CHECK;

/* A program of PostgreSQL's: as it is if it has a slash; in --bin's folder; on PATH; in Debian's folder of that major
 * version (or of the newest, NULL). */
int pg_program(struct cli *cli, const char *bin, const char *version, const char *name,
               char ret[PATH_MAX]) KS_MUST_CHECK;

/* PG_VERSION of a data directory, "15"; "" if there is none. */
void pg_version(const char *data, char ret[16]);
