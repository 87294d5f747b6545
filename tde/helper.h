/*
 * The helper that has the network and the keyring's code: `keystead pg unwrap --data DIR`. It is given one end of a
 * socket as descriptor TDE_HELPER_FD and sends a sealed memfd with the bundle over it; what goes wrong it says on its
 * standard error.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"

/* Where that command is. */
enum { TDE_HELPER_PATH = 4096 };
void tde_helper_path(char ret[TDE_HELPER_PATH]);

/* 0 and the descriptor; or KS_E_* and why. Waits for the helper, TDE_HELPER_SECONDS at most. */
enum { TDE_HELPER_SECONDS = 15 * 60 };
int tde_helper_run(const char *root, int *ret_fd, char *why, size_t size) KS_MUST_CHECK;
