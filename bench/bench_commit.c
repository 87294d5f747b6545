/*
 * The committer by itself: jobs a second, with one audit record each, and with one changed row of 400 bytes each.
 * Submits in bursts of the size that a busy server has in flight, on the disk where the scratch folder is ($TMPDIR).
 * Prints one line of JSON for each case.
 */
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/text.h"
#include "crypto/random.h"
#include "server/audit/audit.h"
#include "server/vault/committer.h"
#include "store/keyring.h"

enum { IN_FLIGHT = 2048, VALUE = 400 };

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        const int rc_ = (call);                                                                                        \
        if (rc_ != 0) {                                                                                                \
            fprintf(stderr, "bench_commit: %s: %s %s\n", #call, ks_err_text(rc_), ks_diag_text(&diag));                \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)
static struct ks_diag diag;

static struct job {
    struct commit_job job;
    struct store_change change;
    char key[KS_UUID_TEXT];
    uint8_t value[VALUE];
    struct ks_buf record;
    struct ks_span span;
} jobs[IN_FLIGHT];

static double
now(void)
{
    return (double)ks_clock_us() / 1e6;
}

static double
cpu(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void
format(struct job *j)
{
    static const struct identity who = {.authenticated = true,
                                        .name = {(const uint8_t *)"database-1", 10},
                                        .subject = {(const uint8_t *)"CN=database-1,O=Example", 23},
                                        .serial = {(const uint8_t *)"4fa0c1b2d3e4f506", 16},
                                        .address = {(const uint8_t *)"192.0.2.7:40122", 15},
                                        .tls = {(const uint8_t *)"TLSv1.3 TLS_AES_256_GCM_SHA384", 30}};
    const struct audit_event e = {.event = KS_LIT("kmip"),
                                  .who = &who,
                                  .client = KS_LIT("database-1"),
                                  .role = "client",
                                  .operation = "Get",
                                  .version = "2.1",
                                  .object = KS_SPAN(j->key, 36),
                                  .object_type = "SymmetricKey",
                                  .name = KS_LIT("cards"),
                                  .algorithm = "AES",
                                  .length = 256,
                                  .state_before = "Active",
                                  .form = "plaintext",
                                  .status = "success"};
    ks_buf_reset(&j->record);
    MUST(audit_event_format(&e, &j->record));
    j->span = ks_buf_span(&j->record);
}

static void
make(struct job *j, bool change)
{
    static struct ks_uuid_gen gen;
    uint8_t random[KS_UUID_RANDOM];
    MUST(ks_random(random, sizeof(random)));
    ks_uuid7(&gen, ks_clock_us() / 1000, random, j->key);
    format(j);
    j->change = (struct store_change){
        .table = STORE_OBJECT, .key = KS_SPAN(j->key, 36), .value = KS_SPAN(j->value, sizeof(j->value))};
    j->job = (struct commit_job){
        .changes = &j->change, .n_changes = change, .records = &j->span, .n_records = 1, .owner = j};
}

static void
run(struct committer *c, bool change, double seconds)
{
    const double begin = now();
    const double cpu_begin = cpu();
    size_t n = 0;
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        make(&jobs[i], change);
        committer_submit(c, &jobs[i].job, &jobs[i].job);
    }
    size_t in_flight = IN_FLIGHT;
    while (in_flight > 0) {
        struct pollfd fd = {committer_fd(c), POLLIN, 0};
        (void)poll(&fd, 1, 1000);
        const bool more = now() - begin < seconds;
        struct commit_job *first = committer_take_done(c);
        struct commit_job *last = NULL;
        for (struct commit_job *job = first; job != NULL; job = job->next) {
            MUST(job->rc);
            n++;
            if (!more)
                in_flight--;
            else {
                struct commit_job *next = job->next;
                make(job->owner, change);
                job->next = next;
            }
            last = job;
        }
        if (more && first != NULL)
            committer_submit(c, first, last);
    }
    const double took = now() - begin;
    printf("{\"bench\":\"commit\",\"case\":\"%s\",\"in_flight\":%d,\"jobs\":%zu,\"seconds\":%.2f,\"per_second\":%.0f,"
           "\"cpu_us_per_job\":%.2f}\n",
           change ? "audit record and one row" : "audit record", IN_FLIGHT, n, took, (double)n / took,
           (cpu() - cpu_begin) / (double)n * 1e6);
}

/* Formatting and chaining alone, one thread, nothing written. */
static void
run_format(const char *dir)
{
    struct audit_log *log;
    char path[160];
    snprintf(path, sizeof(path), "%s/chain", dir);
    MUST(audit_log_open(path, true, KS_SPAN_NONE, &log, &diag));
    KS_CLEANUP(ks_buf_done) struct ks_buf lines = KS_BUF(64 << 20);
    const double begin = cpu();
    size_t n = 0;
    double took;
    do {
        struct ks_span spans[1000];
        for (size_t i = 0; i < KS_ARRAY_LEN(spans); i++, n++) {
            format(&jobs[i]);
            spans[i] = jobs[i].span;
        }
        ks_buf_reset(&lines);
        MUST(audit_log_prepare(log, spans, KS_ARRAY_LEN(spans), 1, ks_clock_us(), &lines));
        audit_log_abandon(log);
        took = cpu() - begin;
    } while (took < 1);
    printf("{\"bench\":\"commit\",\"case\":\"format and chain alone\",\"jobs\":%zu,\"line_bytes\":%zu,"
           "\"per_second\":%.0f}\n",
           n, lines.len / 1000, (double)n / took);
    audit_log_close(log);
}

static int
remove_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
    (void)st, (void)what, (void)ftw;
    return remove(path);
}

int
main(int argc, char **argv)
{
    double seconds = 3;
    int64_t given;
    if (argc > 1 && ks_parse_i64(ks_span_str(argv[1]), 1, 600, &given) == 0)
        seconds = (double)given;
    const char *tmp = getenv("TMPDIR");
    char dir[128];
    char store_path_text[160];
    char audit[160];
    snprintf(dir, sizeof(dir), "%s/keystead-bench-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL) {
        perror(dir);
        return 1;
    }
    snprintf(store_path_text, sizeof(store_path_text), "%s/store.db", dir);
    snprintf(audit, sizeof(audit), "%s/audit", dir);
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        jobs[i].record = KS_BUF(4096);
        MUST(ks_random(jobs[i].value, VALUE));
        memcpy(jobs[i].key, "0195f0a1-0000-7000-8000-000000000000", 36);
    }
    run_format(dir);

    const struct ks_key32 root = {{1}};
    struct store *store;
    struct keyring *keyring;
    struct committer *c;
    MUST(store_create(store_path_text, &diag));
    MUST(store_open(store_path_text, &store, &diag));
    MUST(keyring_create(store, &root, &diag));
    MUST(keyring_open(store, &root, &keyring, &diag));
    MUST(committer_new(store, keyring, audit, &c, &diag));
    run(c, false, seconds);
    run(c, true, seconds);
    committer_free(c);

    const double begin = now();
    MUST(committer_new(store, keyring, audit, &c, &diag));
    printf("{\"bench\":\"commit\",\"case\":\"start: rows verified against the state\",\"seconds\":%.2f}\n",
           now() - begin);
    committer_free(c);
    keyring_free(keyring);
    store_close(store);
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
