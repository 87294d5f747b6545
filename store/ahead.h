/*
 * A scan with its reading in a thread of its own: while the caller looks at some rows (checks, decrypts, indexes them),
 * the next ones are read. The order of rows, and everything else, is as in a plain scan.
 */
#pragma once

#include "store/backend.h"

/* Contract as store_ops.scan; the backend is used by the other thread until this returns. */
int ahead_scan(const struct store_ops *ops, struct store_backend *backend, enum store_table table,
               store_tagged_row_fn *row, void *arg, struct ks_diag *diag) KS_MUST_CHECK;
