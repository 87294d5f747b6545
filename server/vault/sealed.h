/*
 * What happens while the server is sealed. The audit trail cannot be continued then: only the opened store says where
 * it ends. So each record waits in <audit folder>/sealed.jsonl, synced before the answer leaves, and goes into the
 * trail at the next unsealing, before anything else, with the time at which it occurred. The file is not chained: until
 * then it is as safe as the folder is.
 */
#pragma once

#include "base/mem.h"

struct sealed_log {
    int fd; /* -1: not open yet */
    uint64_t len;
    uint64_t unlisted; /* that found no room */
};

/* Room for what a sealed server is asked; the rest is counted. */
enum { SEALED_LOG_MAX = 8 << 20 };

/*
 * Appends records (members of an object, as audit_event_format makes them) and syncs them. KS_E_LIMIT, without a diag:
 * there is no room, and they were counted.
 */
int sealed_log_add(struct sealed_log *log, const char *audit_dir, const struct ks_span *records, size_t n,
                   int64_t now_us, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * The records, for the trail: spans into text, in ret_records (from the arena), how many in ret_n. KS_E_CORRUPT: what
 * is there is not what sealed_log_add wrote. A torn last line, which was never acknowledged, is left out.
 */
int sealed_log_read(const char *audit_dir, struct ks_buf *text, struct ks_arena *arena, struct ks_span **ret_records,
                    size_t *ret_n, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * Leaves out those that are in the trail already, whose last record is `last`: nothing else is put there before the
 * file is gone, so it ends with them, or with some of them.
 */
void sealed_log_skip(struct ks_span last, struct ks_span **records, size_t *n);

/* They are in the trail: removes the file. */
int sealed_log_remove(struct sealed_log *log, const char *audit_dir, struct ks_diag *diag) KS_MUST_CHECK;

void sealed_log_close(struct sealed_log *log);
