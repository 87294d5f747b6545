#include "server/audit/audit.h"

#include "base/file.h"
#include "base/text.h"
#include "server/audit/line.h"

struct verify {
    struct audit_chain chain;
    const struct audit_files *files;
    const char *name;
    const struct audit_head *expect;
    bool seen; /* what was expected */
    struct audit_summary sum;
    struct ks_diag *diag;
};

static void
verify_done(struct verify *v)
{
    audit_chain_done(&v->chain);
}

static void
files_done(struct audit_files *files)
{
    if (files->n > 0 || files->path != NULL)
        ks_closep(&files->dir);
}

/* Microseconds of "2026-11-24T06:57:42.000123Z"; 0 if it is no time. */
static int64_t
time_of(struct ks_span ts)
{
    int64_t seconds;
    if (ks_time_parse(ts, &seconds) != 0)
        return 0;
    int64_t us = 0;
    if (ts.len >= 27 && ts.data[19] == '.' && ks_parse_i64(KS_SPAN(ts.data + 20, 6), 0, 999999, &us) != 0)
        us = 0;
    return seconds * 1000000 + us;
}

static int
check_line(void *arg, struct ks_span line, size_t number)
{
    struct verify *v = arg;
    const char *why;
    const int rc = audit_chain_follow(&v->chain, line, &why);
    if (rc != 0)
        return ks_fail(v->diag, rc, "%s/%s:%zu: after record %llu: this line %s", v->files->path, v->name, number,
                       (unsigned long long)v->chain.head.seq, why);
    struct audit_line l;
    if (audit_line_parse(line, &l) == NULL) { /* always: it followed */
        v->sum.last_us = time_of(l.ts);
        if (v->sum.records++ == 0) {
            v->sum.first_us = v->sum.last_us;
            v->sum.first_seq = l.seq;
        }
    }
    if (v->expect != NULL && v->expect->seq == v->chain.head.seq) {
        if (memcmp(v->expect->hash, v->chain.head.hash, 32) != 0)
            return ks_fail(v->diag, KS_E_CORRUPT,
                           "%s/%s:%zu: record %llu does not have the expected hash: the trail was written anew",
                           v->files->path, v->name, number, (unsigned long long)v->expect->seq);
        v->seen = true;
    }
    return 0;
}

int
audit_verify(const char *dir, const struct audit_head *expect, struct audit_summary *ret, struct ks_diag *diag)
{
    KS_CLEANUP(files_done) struct audit_files files = {0};
    KS_TRY(audit_files_open(dir, &files, diag));
    KS_CLEANUP(verify_done) struct verify v = {.files = &files, .expect = expect, .diag = diag};
    int rc = audit_chain_init(&v.chain);
    if (rc != 0)
        return ks_fail(diag, rc, "verifying %s: %s", dir, ks_err_text(rc));
    if (files.n == 0)
        return ks_fail(diag, KS_E_NOT_FOUND, "%s has no audit files (audit-000001.jsonl and so on)", dir);
    for (size_t i = 0; i < files.n; i++) {
        char name[AUDIT_NAME_LEN];
        audit_file_name(files.first + (uint32_t)i, name);
        v.name = name;
        uint64_t whole;
        KS_TRY(audit_file_walk(files.dir, name, 0, check_line, &v, &whole, &v.sum.unfinished, diag));
        if (v.sum.unfinished != 0 && i + 1 < files.n)
            return ks_fail(diag, KS_E_CORRUPT, "%s/%s: its last line has no end, but other files follow: it was cut",
                           dir, name);
    }
    if (expect != NULL && !v.seen && expect->seq != 0)
        return ks_fail(diag, KS_E_CORRUPT,
                       "%s ends with record %llu, but record %llu was expected: the end was cut off", dir,
                       (unsigned long long)v.chain.head.seq, (unsigned long long)expect->seq);
    v.sum.head = v.chain.head;
    v.sum.files = files.n;
    *ret = v.sum;
    return 0;
}
