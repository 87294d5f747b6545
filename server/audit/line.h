/*
 * A line of the audit trail and the chain of lines; see audit.h for the form. Inside server/audit and cli/audit.c only.
 */
#pragma once

#include "crypto/hash.h"
#include "server/audit/audit.h"

enum {
    AUDIT_LINE_MAX = 1 << 20, /* with the line end; the engine's limits keep records far below */
    AUDIT_HASH_HEX = 64,
};

struct audit_line {
    uint64_t seq;
    uint64_t commit;
    struct ks_span ts; /* in the line */
    uint8_t prev[32];
    uint8_t hash[32]; /* as written; audit_line_hash computes what it ought to be */
};

/* Splits a line without its line end. Strict: the frame has exactly the form that audit_line_add writes. NULL, or what
 * is wrong. */
const char *audit_line_parse(struct ks_span line, struct audit_line *ret) KS_MUST_CHECK;

/* The chain: where it stands, and how it goes on. Not for two threads at once. */
struct audit_chain {
    struct ks_sha256_ctx *sha;
    struct audit_head head;
};
int audit_chain_init(struct audit_chain *chain) KS_MUST_CHECK; /* at the beginning: seq 0, hash of zeroes */
void audit_chain_done(struct audit_chain *chain);

/* Appends the finished line with its end and moves on. ts as text. On failure buf may hold a part, the chain stays. */
int audit_chain_add(struct audit_chain *chain, struct ks_span ts, struct ks_span fragment, uint64_t commit,
                    struct ks_buf *buf) KS_MUST_CHECK;

/*
 * Checks that a line (without its end) follows, hash included, and moves on. KS_E_CORRUPT; *ret_why says what is wrong,
 * as the end of a sentence that begins with the place.
 */
int audit_chain_follow(struct audit_chain *chain, struct ks_span line, const char **ret_why) KS_MUST_CHECK;

/* The files of a folder, by number. */
struct audit_files {
    int dir; /* descriptor */
    const char *path;
    uint32_t first;
    size_t n; /* first, first + 1, ...; none missing between */
};
enum { AUDIT_NAME_LEN = 32 };
void audit_file_name(uint32_t number, char ret_name[AUDIT_NAME_LEN]);
/* KS_E_CORRUPT if one is missing. The caller closes ret->dir. path is borrowed. */
int audit_files_open(const char *path, struct audit_files *ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * Every whole line of a file from byte `from` on, without its end, with its number from 1; line() returning other than
 * 0 ends it with that code; what is longer than any record is handed out so far as it was read, and is KS_E_CORRUPT if
 * that returns 0. *ret_whole: bytes of whole lines; *ret_rest: bytes behind them, a line without end.
 */
typedef int audit_line_fn(void *arg, struct ks_span line, size_t number);
int audit_file_walk(int dir, const char *name, uint64_t from, audit_line_fn *line, void *arg, uint64_t *ret_whole,
                    size_t *ret_rest, struct ks_diag *diag) KS_MUST_CHECK;
