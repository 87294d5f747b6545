/*
 * The audit trail: one line of JSON per event, chained by hash, durable before any answer leaves.
 *
 *   {"seq":17,"ts":"2026-11-24T06:57:42.000123Z",<event>,"commit":9,"prev":"<hex>","hash":"<hex>"}
 *
 * hash = SHA-256(0x00 || the line up to, not including, `,"hash":`), prev = the hash of the line before; the first
 * line's prev is 64 zeroes. Files are <dir>/audit-NNNNNN.jsonl, mode 0600, cut at a size; the chain runs on across
 * files. Never in a record: key bytes, plaintexts, passphrases, tokens.
 */
#pragma once

#include "base/mem.h"
#include "server/identity.h"

/* What happened. Spans may be empty: the field is then left out. Formatting copies. */
struct audit_event {
    struct ks_span event;       /* "kmip", "start", "stop", "unseal", "state-change", ... */
    const struct identity *who; /* NULL: the server itself ("actor":"system") */
    struct ks_span acts_for;    /* client whose ticket the request shows; empty: none */
    struct ks_span client;      /* the client's name in the registry, if known */
    const char *role;           /* "client", "admin", "system", ... */
    const char *operation;      /* KMIP name, else NULL */
    const char *version;        /* "2.1": protocol version, else NULL */
    int batch_item;             /* from 0; -1: none */
    struct ks_span object;      /* unique identifier */
    const char *object_type;    /* "SymmetricKey" */
    struct ks_span name;        /* the object's first Name */
    const char *algorithm;
    int length;                             /* bits; 0: none */
    const char *state_before, *state_after; /* KMIP state names; after only if it differs */
    struct ks_span attributes;              /* names of the attributes set, changed or deleted, separated by blanks */
    const char *form;                       /* key material handed out: "plaintext", "wrapped"; else NULL */
    const char *status;                     /* "success", "failed", "pending" */
    const char *reason;                     /* KMIP Result Reason name, else NULL */
    struct ks_span message;
    struct ks_span client_correlation, server_correlation;
};

/* Appends the event's members, long texts cut to 1 KiB (no braces, no seq, ts, prev, hash) to buf; called by the
 * engine's thread. ts is added by audit_append. */
int audit_event_format(const struct audit_event *event, struct ks_buf *buf) KS_MUST_CHECK;

struct audit_log;

/*
 * Opens the log for appending and checks that its end is whole: the last file is verified, a torn last line (never
 * acknowledged) is cut off, and so, with the next write, is what a crash of the machine left with a hole in it. `tail`
 * is the lines of the last group that the store remembers: those that the files lack are appended, and KS_E_CORRUPT is
 * returned if they do not follow. Creates the folder and its first file if there is none and `create`. KS_E_BUSY:
 * another process writes this log. The committer does this (committer_new).
 */
int audit_log_open(const char *dir, bool create, struct ks_span tail, struct audit_log **ret,
                   struct ks_diag *diag) KS_MUST_CHECK;
void audit_log_close(struct audit_log *log);

/*
 * Two steps, so that a group's records can ride in the store's transaction: prepare assigns seq, ts, commit, prev and
 * hash to each fragment and appends the finished lines to `lines`; then write puts those lines into the file and syncs
 * it, or abandon takes the numbers back. When write fails nothing of it counts: the file is cut back to what it was,
 * and the numbers are free again. `commit` is the number of the store's commit that the records belong to or follow.
 */
int audit_log_prepare(struct audit_log *log, const struct ks_span *fragments, size_t n, uint64_t commit, int64_t now_us,
                      struct ks_buf *lines) KS_MUST_CHECK;
int audit_log_write(struct audit_log *log, struct ks_span lines, struct ks_diag *diag) KS_MUST_CHECK;
void audit_log_abandon(struct audit_log *log);

/*
 * Lazy: audit_log_write leaves syncing to audit_log_sync, which does nothing where nothing waits for it. A file is
 * synced before the next one begins.
 */
void audit_log_lazy(struct audit_log *log, bool lazy);
int audit_log_sync(struct audit_log *log, struct ks_diag *diag) KS_MUST_CHECK;

/* Appends the line of the last record, without its end; nothing where there is none. */
int audit_log_last(const struct audit_log *log, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* Bytes that the opening found behind a hole, which a power failure left: the next write cuts them off. 0: none. */
uint64_t audit_log_hole(const struct audit_log *log);

/* Appends and syncs those of the lines that the files lack; the rest must be in the files. As audit_log_open does. */
int audit_log_replay(struct audit_log *log, struct ks_span tail, struct ks_diag *diag) KS_MUST_CHECK;

/* Files are cut when they are larger than this; 64 MiB if it is not called. */
void audit_log_set_segment(struct audit_log *log, uint64_t bytes);

/* Position: the last record that is in the files, and the last one that is prepared (the same if none is). */
struct audit_head {
    uint64_t seq; /* 0: none yet */
    uint8_t hash[32];
    uint64_t commit; /* of the store */
};
void audit_log_head(const struct audit_log *log, struct audit_head *ret);
void audit_log_prepared(const struct audit_log *log, struct audit_head *ret);

/* Is the record of that number in the files, with that hash? KS_E_CORRUPT says what is there instead. */
int audit_log_check(struct audit_log *log, uint64_t seq, const uint8_t hash[32], struct ks_diag *diag) KS_MUST_CHECK;

/*
 * Offline: every file of dir in order, from the first record on. KS_E_CORRUPT names file, line and what is wrong.
 * expect, if not NULL, is a head that was noted outside (commit is not looked at): the record must be there, which is
 * what shows that nothing behind it was cut off and that the whole was not written anew.
 */
struct audit_summary {
    uint64_t records, first_seq;
    int64_t first_us, last_us; /* 0 if there are no records */
    struct audit_head head;
    size_t files;
    size_t unfinished; /* bytes of a last line without an end: being written, or left by a crash; not acknowledged */
};
int audit_verify(const char *dir, const struct audit_head *expect, struct audit_summary *ret,
                 struct ks_diag *diag) KS_MUST_CHECK;
