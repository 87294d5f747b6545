/*
 * The committer: one thread that makes groups of jobs durable. No timer: it takes whatever queued while the last
 * group was being synced. A job with changes is a row of a store transaction; every job's audit records are on stable
 * storage before the job is done. Jobs are done in the order in which they were submitted.
 *
 * Order within a group: prepare the audit lines; if there are changes, one store transaction that holds them, the new
 * state of the set of rows (store/state.h) and the audit lines; then append to the audit file and sync; then done.
 * After a crash between the two, committer_new appends what the store remembers. If either fails, every job of the
 * group and every job behind it gets the error, until committer_reset: what the engine's memory holds for them is void
 * (the changes of the failed group itself may or may not be in the store: load anew).
 *
 * What a start notices, because store and audit log vouch for each other:
 *   - rows that were edited, swapped, added, deleted or put back to an older version;
 *   - an older store beside a newer audit log: each audit record carries the number of the store's commit;
 *   - an audit log that lacks what the store has seen there, or has another history: the store remembers the number
 *     and hash of a record, renewed with each change, every few thousand records, when idle and at the end.
 *
 * What it cannot notice: both put back together to one earlier moment, or audit records cut off that are newer than
 * what the store remembers. Against that stands a head noted outside: `keystead audit verify --head`.
 */
#pragma once

#include "server/audit/audit.h"
#include "store/store.h"

struct keyring;
struct committer;

struct commit_job {
    struct commit_job *next;            /* the queue's */
    const struct store_change *changes; /* all below: borrowed until the job is done */
    size_t n_changes;
    const struct ks_span *records; /* from audit_event_format */
    size_t n_records;
    int rc; /* result when done */
    void *owner;
};

/*
 * Verifies the store, opens the audit log in audit_dir (created for a store that has no record yet) and starts. Before
 * engine_load. Store and keyring are borrowed. KS_E_CORRUPT says what does not fit; KS_E_BUSY: another process.
 */
int committer_new(struct store *store, struct keyring *keyring, const char *audit_dir, struct committer **ret,
                  struct ks_diag *diag) KS_MUST_CHECK;
/*
 * each: audit records are on stable storage before their job is done; the default. Else those of groups without a
 * change are written, and synced before the store's next transaction: when something changes, after a few thousand
 * records, and when nothing has come for a second. A crash of the machine may take those since then; one of the server
 * alone takes none, and what the store holds has its records in any case.
 */
void committer_audit_sync(struct committer *c, bool each);
/* audit_log_hole: bytes at the end of the audit log that do not count, and that the first write cuts off. */
/* The last record of the audit log, as its line is; empty: there is none. */
int committer_last_record(struct committer *c, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;
uint64_t committer_hole(struct committer *c);
void committer_free(struct committer *c); /* finishes what was submitted */
void committer_submit(struct committer *c, struct commit_job *first,
                      struct commit_job *last);              /* a list linked by next */
int committer_fd(const struct committer *c);                 /* readable when jobs are done */
struct commit_job *committer_take_done(struct committer *c); /* a list in order, or NULL; clears the fd */
/* After a failure: true once store and audit log take writes again (it tries), and later jobs are accepted. */
bool committer_reset(struct committer *c, struct ks_diag *diag);
