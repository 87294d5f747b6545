/*
 * The committer: one thread that makes groups of jobs durable. No timer: it takes whatever queued while the last
 * group was being synced. A job with changes is a row of a store transaction; every job's audit records are on stable
 * storage before the job is done. Jobs are done in the order in which they were submitted.
 *
 * Order within a group: prepare the audit lines; if there are changes, one store transaction that holds them and the
 * audit lines (system row "audit-tail", with seq and hash, sealed); then append to the audit file and sync; then done.
 * After a crash between the two, audit_log_open appends what the store remembers. If either fails, every job of the
 * group and every job behind it gets the error, until committer_reset: what the engine's memory holds for them is void.
 */
#pragma once

#include "server/audit/audit.h"
#include "store/store.h"

struct keyring;
struct committer;

struct commit_job {
    struct commit_job *next;             /* the queue's */
    const struct store_change *changes;  /* all below: borrowed until the job is done */
    size_t n_changes;
    const struct ks_span *records;       /* from audit_event_format */
    size_t n_records;
    int rc;                              /* result when done */
    void *owner;
};

int committer_new(struct store *store, struct audit_log *audit, struct keyring *keyring, struct committer **ret) KS_MUST_CHECK;
void committer_free(struct committer *c); /* finishes what was submitted */
void committer_submit(struct committer *c, struct commit_job *first, struct commit_job *last); /* a list linked by next */
int committer_fd(const struct committer *c); /* readable when jobs are done */
struct commit_job *committer_take_done(struct committer *c); /* a list in order, or NULL; clears the fd */
/* After a failure: true once store and audit log take writes again (it tries), and later jobs are accepted. */
bool committer_reset(struct committer *c, struct ks_diag *diag);
