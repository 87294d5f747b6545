/* What a backend of the store offers; store.c takes turns and passes on. Contracts as in store/store.h. */
#pragma once

#include "store/store.h"

struct store_backend;

struct store_ops {
    int (*create)(const char *path, struct ks_diag *diag);
    /* Leaves one certain state on disk, whatever failed or crashed before. */
    int (*open)(const char *path, struct store_backend **ret, struct ks_diag *diag);
    void (*close)(struct store_backend *backend);
    int (*scan)(struct store_backend *backend, enum store_table table, store_tagged_row_fn *row, void *arg,
                struct ks_diag *diag);
    int (*get)(struct store_backend *backend, enum store_table table, struct ks_span key, struct ks_buf *ret,
               struct ks_buf *ret_tag, struct ks_diag *diag); /* ret_tag may be NULL */
    int (*commit)(struct store_backend *backend, const struct store_change *changes, size_t n, struct ks_diag *diag);
    int (*idle)(struct store_backend *backend, struct ks_diag *diag);
};

extern const struct store_ops store_sqlite_ops;
