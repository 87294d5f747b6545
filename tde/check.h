/* DATA/keystead/check: check values of the keys, so that a start with other keys is refused before anything is read. */
#pragma once

#include <stddef.h>

#include "base/attr.h"

/*
 * Compares the keys of this process (tde_check_of: for that data directory) with the file below root; where there is
 * none and the process is to make the cluster, tde_check_write writes it. 0, or a KS_E_* and why.
 */
int tde_check_of(unsigned which, const char *root, char *why, size_t size) KS_MUST_CHECK;
int tde_check(const char *root, char *why, size_t size) KS_MUST_CHECK;
int tde_check_write(const char *root) KS_MUST_CHECK; /* 0, or -1 and errno */
