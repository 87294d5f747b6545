/*
 * The state of the whole: what shows that rows are the ones that were committed last, all of them and no others.
 *
 * Each row has an HMAC over table, key and value (KEYRING_STATE). Its first half is stored beside the row, as its tag:
 * a row that was edited or moved is found by name. The sum of the second halves, modulo 2^128, and the count of rows
 * are kept for each table: a row that was deleted, added, or put back with its older tag changes them. The halves that
 * are summed are never stored, and the sums are sealed, so nobody can look for another set of rows with the same sum.
 *
 * With them are sealed the number of the commit and the position in the audit log. That one row (STORE_INSTANCE,
 * "state") is written in the transaction of every commit. Behind the seal it holds the audit lines of the group, in
 * case a crash comes before they are in the audit file; they are chained and end in the position's hash.
 *
 * An older copy of the whole database file is consistent in itself. The audit log is what it is held against
 * (server/vault/committer.h).
 */
#pragma once

#include "store/keyring.h"
#include "store/store.h"

struct state;

/* Where the audit log stood. seq 0: no record yet. */
struct state_mark {
    uint64_t seq;
    uint8_t hash[32];
};

/* The first commit of an empty store, number 1; only keyring_create does this. */
int state_create(struct store *store, struct keyring *keyring, const struct store_change *const *changes, size_t n,
                 struct ks_diag *diag) KS_MUST_CHECK;

/* Loads the state and verifies every row against it. KS_E_CORRUPT names the row, or the table and what happened. */
int state_open(struct store *store, struct keyring *keyring, struct state **ret, struct ks_diag *diag) KS_MUST_CHECK;
void state_free(struct state *state);

uint64_t state_number(const struct state *state); /* of the last commit */
void state_mark(const struct state *state, struct state_mark *ret);
struct ks_span state_lines(const struct state *state); /* audit lines of the last commit, as loaded by state_open */

/*
 * One transaction: the changes (the last one of a key counts), and the state with number + 1. Nothing in memory changes
 * on failure. After a failure of the store: store_reopen, and state_open anew.
 */
int state_commit(struct state *state, const struct store_change *const *changes, size_t n,
                 const struct state_mark *mark, struct ks_span lines, struct ks_diag *diag) KS_MUST_CHECK;

/* Remembers a later position of the audit log, whose records are all in its files; the number stays. */
int state_note(struct state *state, const struct state_mark *mark, struct ks_diag *diag) KS_MUST_CHECK;
