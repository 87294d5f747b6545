/*
 * The store: durable tables of sealed rows. One interface; SQLite behind it now, PostgreSQL later.
 *
 * The store knows nothing of keys or attributes: it holds bytes under a key, and it never sees a plaintext.
 * Writing is by whole transactions that are durable when store_commit returns; whoever calls it groups what is
 * waiting (server/vault/committer.h). One process has a store at a time; calls from its threads take turns.
 *
 * Changes outside keyring_create go through the committer, which keeps the digest of the set of rows (store/state.h): a
 * change that bypasses it is refused at the next start, as tampering would be.
 */
#pragma once

#include "base/mem.h"

enum store_table {
    STORE_OBJECT,   /* managed objects, by unique identifier */
    STORE_SYSTEM,   /* the engine's own: clients, tokens, CA key, counters; by name */
    STORE_INSTANCE, /* not the engine's: wrapped master keys (store/keyring.h), state of the whole (store/state.h) */
    STORE_TABLE_COUNT
};

struct store_change {
    enum store_table table;
    bool is_delete;
    struct ks_span key;
    struct ks_span value; /* sealed; not used by a delete */
    struct ks_span tag;   /* leave empty: the committer's, see store/state.h */
};

struct store;

/* Creates (KS_E_EXISTS) or opens (KS_E_NOT_FOUND) a store. SQLite: path of the file. KS_E_BUSY: another process has it.
 */
int store_create(const char *path, struct ks_diag *diag) KS_MUST_CHECK;
int store_open(const char *path, struct store **ret, struct ks_diag *diag) KS_MUST_CHECK;
void store_close(struct store *store);

/* The path that it was opened with. */
const char *store_path(const struct store *store);

/* Every row of a table in key order; row() returning other than 0 ends the scan with that code. Spans last for the
 * call. */
typedef int store_row_fn(void *arg, struct ks_span key, struct ks_span value);
int store_scan(struct store *store, enum store_table table, store_row_fn *row, void *arg,
               struct ks_diag *diag) KS_MUST_CHECK;
/* The same with the rows' tags. row() may not call the store. */
typedef int store_tagged_row_fn(void *arg, struct ks_span key, struct ks_span value, struct ks_span tag);
int store_scan_tagged(struct store *store, enum store_table table, store_tagged_row_fn *row, void *arg,
                      struct ks_diag *diag) KS_MUST_CHECK;

/* Appends the value. KS_E_NOT_FOUND without a diag. */
int store_get(struct store *store, enum store_table table, struct ks_span key, struct ks_buf *ret,
              struct ks_diag *diag) KS_MUST_CHECK;
/* The same with the tag appended to ret_tag. */
int store_get_tagged(struct store *store, enum store_table table, struct ks_span key, struct ks_buf *ret,
                     struct ks_buf *ret_tag, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * All of it or nothing, on stable storage when this returns 0. A change of a key that has a row replaces it; deleting
 * what is not there does nothing. KS_E_FULL, KS_E_IO: the disk refused; whether the transaction is there is known after
 * store_reopen alone (a crash may bring it back), and until then everything is refused with KS_E_CLOSED.
 */
int store_commit(struct store *store, const struct store_change *changes, size_t n, struct ks_diag *diag) KS_MUST_CHECK;

/* After a failed commit: closes and opens anew, and brings the file to one certain state on disk. */
int store_reopen(struct store *store, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * For moments without work: moves the write-ahead log into the database file and cuts it, so that what was deleted or
 * replaced is in neither any more.
 */
int store_idle(struct store *store, struct ks_diag *diag) KS_MUST_CHECK;
