/*
 * The root key: what opens the store's keyring. From a file, or from a passphrase.
 *
 * Key file, mode 0600, owned by the server's user:
 *
 *     keystead-root-key 1
 *     <64 hexadecimal digits>
 *
 * With a passphrase nothing secret is on disk. Its parameters are, beside the store:
 *
 *     keystead-passphrase 1
 *     scrypt n=131072 r=8 p=1
 *     salt <64 hexadecimal digits>
 *
 * Whoever can write that file cannot weaken anything: other parameters give another key, which does not open the
 * store, and less than the default n is refused.
 *
 * Neither function knows whether the key is the right one: keyring_open says so (KS_E_INTEGRITY).
 */
#pragma once

#include "base/mem.h"

/* A new random key in a new file (KS_E_EXISTS). */
int rootkey_file_create(const char *path, struct ks_key32 *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* KS_E_NOT_FOUND, KS_E_DENIED (others could read it), KS_E_MALFORMED. */
int rootkey_file_read(const char *path, struct ks_key32 *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* New parameters with a random salt in a new file (KS_E_EXISTS), and the key. An empty passphrase is KS_E_INVALID. */
int rootkey_passphrase_create(const char *path, struct ks_span passphrase, struct ks_key32 *ret,
                              struct ks_diag *diag) KS_MUST_CHECK;

/* The key of a passphrase; about half a second and 128 MiB. */
int rootkey_passphrase_derive(const char *path, struct ks_span passphrase, struct ks_key32 *ret,
                              struct ks_diag *diag) KS_MUST_CHECK;
