/*
 * DATA/keystead/keyring on the disk. It is replaced so that at every moment a whole keyring has its name, and that the
 * one before is there (keyring.prev) until the new one was read back from the disk and unwrapped:
 *
 *   1. keyring.tmp is written and synced
 *   2. keyring.prev becomes another name of keyring; the folder is synced
 *   3. keyring.tmp is renamed to keyring; the folder is synced
 *   4. keyring is read again and verified; if that fails, keyring.prev is put back
 *   5. keyring.prev is removed; the folder is synced
 *
 * A crash leaves the old or the new one, and at most keyring.tmp and keyring.prev beside it, which the next change
 * removes. Changes take a lock (flock on the folder); reading does not, since a rename is one step.
 */
#pragma once

#include "tde/keyring.h"

/* Appends the file to ret_bytes and takes it apart. KS_E_NOT_FOUND: DATA has no keyring, it is not encrypted. */
int tde_keyring_file_read(const char *data, struct ks_buf *ret_bytes, struct tde_keyring **ret,
                          struct ks_diag *diag) KS_MUST_CHECK;

/* Waits for no one: KS_E_BUSY if another command is changing the keyring. The lock ends when *ret_fd is closed. */
int tde_keyring_file_lock(const char *data, int *ret_fd, struct ks_diag *diag) KS_MUST_CHECK;

/* Whether the bytes that were read back are good: 0 or a KS_E_* code with a diag. */
typedef int tde_keyring_verify_fn(struct ks_span file, void *arg, struct ks_diag *diag);

/* Replaces the keyring; under the lock. On failure the old one is in place. */
int tde_keyring_file_write(const char *data, struct ks_span file, tde_keyring_verify_fn *verify, void *arg,
                           struct ks_diag *diag) KS_MUST_CHECK;

/* The first one, with its folder if that is not there. KS_E_EXISTS. */
int tde_keyring_file_create(const char *data, struct ks_span file, struct ks_diag *diag) KS_MUST_CHECK;
