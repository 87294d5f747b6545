/* Where a passphrase comes from: a file, the service manager, or a person at a terminal. */
#pragma once

#include "base/mem.h"

enum { PASSPHRASE_MAX = 1024 };

/* The first line of a file that nobody else can read ("-": standard input). KS_E_INVALID: it is empty. */
int passphrase_from_file(const char *path, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* What systemd's LoadCredential=keystead-passphrase:... provides. KS_E_NOT_FOUND without a diag: nothing. */
int passphrase_from_credentials(struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * Asks at the terminal without showing what is typed; twice if `again`. KS_E_NOT_FOUND: there is no terminal.
 * KS_E_INVALID: empty, or the two differ.
 */
int passphrase_ask(const char *prompt, bool again, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;
