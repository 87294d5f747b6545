/*
 * The store: durable tables of sealed rows. One interface; SQLite behind it now, PostgreSQL later.
 *
 * The store knows nothing of keys or attributes: it holds bytes under a key, and it never sees a plaintext.
 * Writing is by whole transactions that are durable when store_commit returns; whoever calls it groups what is
 * waiting (server/vault/committer.h). One process and one thread use a store at a time.
 */
#pragma once

#include "base/mem.h"

enum store_table {
    STORE_OBJECT, /* managed objects, by unique identifier */
    STORE_SYSTEM, /* the instance's own: wrapped master keys, clients, tokens, CA key, counters; by name */
    STORE_TABLE_COUNT
};

struct store_change {
    enum store_table table;
    bool is_delete;
    struct ks_span key;
    struct ks_span value; /* sealed; not used by a delete */
};

struct store;

/* Creates (KS_E_EXISTS) or opens (KS_E_NOT_FOUND) a store. SQLite: path of the file. KS_E_BUSY: another process has it. */
int store_create(const char *path, struct ks_diag *diag) KS_MUST_CHECK;
int store_open(const char *path, struct store **ret, struct ks_diag *diag) KS_MUST_CHECK;
void store_close(struct store *store);

/* Every row of a table in key order; row() returning other than 0 ends the scan with that code. Spans last for the call. */
int store_scan(struct store *store, enum store_table table,
               int (*row)(void *arg, struct ks_span key, struct ks_span value), void *arg,
               struct ks_diag *diag) KS_MUST_CHECK;

/* KS_E_NOT_FOUND without a diag. */
int store_get(struct store *store, enum store_table table, struct ks_span key, struct ks_buf *ret,
              struct ks_diag *diag) KS_MUST_CHECK;

/* All of it or nothing, on stable storage when this returns 0. KS_E_FULL, KS_E_IO: nothing was changed. */
int store_commit(struct store *store, const struct store_change *changes, size_t n,
                 struct ks_diag *diag) KS_MUST_CHECK;
