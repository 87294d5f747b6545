/*
 * Every write and sync of a committer's life fails in turn, in every way of tests/fault/shim.h. Afterwards a start must
 * succeed (it verifies the rows and that store and audit log fit together), the chain must verify, and:
 *   - what was acknowledged is there: the change, and its record, once;
 *   - a change that is there has its record, acknowledged or not.
 * The same is asked of what a power failure leaves: each file as it was when it was last synced.
 */
#define SCRATCH_ROOT "/dev/shm" /* thousands of small files; syncs are the shim's, not the disk's */
#include "tests/unit/instance_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "base/text.h"
#include "server/vault/committer.h"
#include "store/keyring.h"
#include "tests/fault/shim.h"

enum { JOBS = 12 };

/* What a process that was killed had told its clients. */
enum { UNKNOWN, ACKNOWLEDGED };

struct world {
    struct scratch s;
    char shadow[96];
    char template_store[96];
    uint8_t acks[2 * JOBS];
};

struct instance {
    struct store *store;
    struct keyring *keyring;
    struct committer *c;
};

static void
stop(struct instance *i)
{
    committer_free(i->c);
    keyring_free(i->keyring);
    store_close(i->store);
    *i = (struct instance){0};
}

static int
start(const struct scratch *s, struct instance *i, struct ks_diag *diag)
{
    *i = (struct instance){0};
    int rc = store_open(s->store, &i->store, diag);
    if (rc == 0)
        rc = keyring_open(i->store, &test_root, &i->keyring, diag);
    if (rc == 0)
        rc = committer_new(i->store, i->keyring, s->audit, &i->c, diag);
    if (rc != 0)
        stop(i);
    return rc;
}

/* Job n: every third only reads; the others put "k<n>", and every sixth takes away what the one before it put. */
struct job {
    struct commit_job job;
    struct store_change changes[2];
    char key[16], gone[16], record[32];
    struct ks_span span;
};

static bool
puts_row(int n)
{
    return n % 3 != 0;
}

static bool
removes_row(int n)
{
    return n % 6 == 5; /* that of n - 1 */
}

static void
make_job(struct job *j, int n)
{
    memset(j, 0, sizeof(*j));
    snprintf(j->key, sizeof(j->key), "k%d", n);
    snprintf(j->gone, sizeof(j->gone), "k%d", n - 1);
    snprintf(j->record, sizeof(j->record), "\"event\":\"job %d.\"", n);
    j->span = ks_span_str(j->record);
    j->changes[0] = (struct store_change){
        .table = STORE_OBJECT, .key = ks_span_str(j->key), .value = KS_LIT("what the store holds for this job")};
    j->changes[1] = (struct store_change){.table = STORE_OBJECT, .is_delete = true, .key = ks_span_str(j->gone)};
    j->job = (struct commit_job){.changes = j->changes,
                                 .n_changes = (size_t)puts_row(n) + removes_row(n),
                                 .records = &j->span,
                                 .n_records = 1,
                                 .rc = 1};
}

/* Submits jobs first to last - 1 together; returns the first failure. Acknowledges the others over the pipe. */
static int
do_jobs(struct committer *c, int first, int last, int pipe_fd)
{
    static struct job jobs[2 * JOBS];
    for (int n = first; n < last; n++) {
        make_job(&jobs[n], n);
        if (n > first)
            jobs[n - 1].job.next = &jobs[n].job;
    }
    committer_submit(c, &jobs[first].job, &jobs[last - 1].job);
    int rc = 0;
    for (int n = first; n < last;) {
        struct pollfd fd = {committer_fd(c), POLLIN, 0};
        (void)poll(&fd, 1, 10000);
        for (const struct commit_job *done = committer_take_done(c); done != NULL; done = done->next, n++) {
            const uint8_t ack = (uint8_t)n;
            if (done->rc == 0 && write(pipe_fd, &ack, 1) != 1)
                _exit(1);
            if (done->rc != 0 && rc == 0)
                rc = done->rc;
        }
    }
    return rc;
}

/* The life of a server under faults. Never returns. */
static void
child(const struct world *w, int first, enum fault fault, size_t at, int pipe_fd)
{
    shim_arm(fault, at, w->shadow);
    struct instance i;
    struct ks_diag diag = {0};
    if (start(&w->s, &i, &diag) != 0) {
        /* The disk fails at the start: refused, but never as if data were damaged. */
        if (diag.code != KS_E_IO && diag.code != KS_E_FULL) {
            fprintf(stderr, "start under %s at %zu: %s\n", fault_names[fault], at, ks_diag_text(&diag));
            _exit(1);
        }
        _exit(shim_calls() >= at ? 2 : 1);
    }
    for (int n = first; n < first + JOBS;) {
        const int together = n % 4 == 1 ? 3 : 1;
        if (do_jobs(i.c, n, n + together, pipe_fd) != 0) {
            /* Fail closed: nothing is taken until the reset succeeds, which it does not while the disk fails. */
            for (int tries = 0; !committer_reset(i.c, &diag); tries++) {
                if (tries == 0 && do_jobs(i.c, n, n + 1, pipe_fd) == 0)
                    _exit(1);
                if (tries == 2)
                    shim_heal();
                if (tries == 4) {
                    fprintf(stderr, "reset after %s at %zu: %s\n", fault_names[fault], at, ks_diag_text(&diag));
                    _exit(1);
                }
                diag = (struct ks_diag){0};
            }
        }
        n += together;
    }
    shim_heal();
    stop(&i);
    _exit(at != 0 && shim_calls() >= at ? 2 : 0); /* 0: the fault was never reached */
}

/* Runs jobs from first on under a fault. Returns the process's exit status. */
static int
run_child(struct world *w, int first, enum fault fault, size_t at)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(fds[0]);
        child(w, first, fault, at, fds[1]);
    }
    (void)close(fds[1]);
    uint8_t ack;
    while (read(fds[0], &ack, 1) == 1)
        w->acks[ack] = ACKNOWLEDGED;
    (void)close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static size_t
count(const struct ks_buf *text, const char *part)
{
    size_t n = 0;
    const uint8_t *at = text->data;
    while (at != NULL && (at = memmem(at, text->len - (size_t)(at - text->data), part, strlen(part))) != NULL) {
        n++;
        at++;
    }
    return n;
}

/* What must hold, whatever happened. */
static void
check(const struct world *w, const struct scratch *s, const char *what)
{
    struct instance i;
    struct ks_diag diag = {0};
    if (start(s, &i, &diag) != 0)
        fail_msg("%s: does not start: %s", what, ks_diag_text(&diag));
    struct audit_summary sum;
    if (audit_verify(s->audit, NULL, &sum, &diag) != 0)
        fail_msg("%s: %s", what, ks_diag_text(&diag));
    BUF log = KS_BUF(1 << 20);
    assert_int_equal(ks_file_read(s->file, &log, NULL), 0);
    for (int n = 0; n < 2 * JOBS; n++) {
        struct job j;
        make_job(&j, n);
        BUF value = KS_BUF(4096);
        const bool there = store_get(i.store, STORE_OBJECT, ks_span_str(j.key), &value, NULL) == 0;
        const size_t records = count(&log, j.record);
        const bool acknowledged = w->acks[n] == ACKNOWLEDGED;
        /* A job that failed is tried once more by the child, which may make two records, never after success. */
        if (acknowledged && records == 0)
            fail_msg("%s: job %d was acknowledged, and has no record", what, n);
        if (there && records == 0)
            fail_msg("%s: job %d has a change, but no record", what, n);
        const bool may_be_gone = n + 1 < 2 * JOBS && removes_row(n + 1) && count(&log, j.record) != 0;
        if (acknowledged && puts_row(n) && !there && !may_be_gone)
            fail_msg("%s: job %d was acknowledged, and its change is lost", what, n);
        if (n > 0 && acknowledged && removes_row(n)) {
            BUF gone = KS_BUF(4096);
            if (store_get(i.store, STORE_OBJECT, ks_span_str(j.gone), &gone, NULL) != KS_E_NOT_FOUND)
                fail_msg("%s: job %d was acknowledged, and what it removed is there", what, n);
        }
    }
    stop(&i);
}

/* The instance as a power failure leaves it: for each file what was last synced; nothing of what never was. */
static void
lose_power(const struct world *w, struct scratch *ret)
{
    scratch_init(ret);
    char from[160];
    assert_int_equal(mkdir(ret->audit, 0700), 0);
    snprintf(from, sizeof(from), "%s/store.db", w->shadow);
    copy_file(access(from, F_OK) == 0 ? from : w->template_store, ret->store);
    snprintf(from, sizeof(from), "%s/store.db-wal", w->shadow);
    char wal[128];
    snprintf(wal, sizeof(wal), "%s-wal", ret->store);
    if (access(from, F_OK) == 0)
        copy_file(from, wal);
    snprintf(from, sizeof(from), "%s/audit-000001.jsonl", w->shadow);
    if (access(from, F_OK) == 0)
        copy_file(from, ret->file);
    else
        assert_int_equal(ks_file_write(ret->file, KS_SPAN_NONE, 0600, NULL), 0);
}

static void
world_init(struct world *w)
{
    memset(w->acks, UNKNOWN, sizeof(w->acks));
    scratch_init(&w->s);
    snprintf(w->shadow, sizeof(w->shadow), "%s/synced", w->s.dir);
    snprintf(w->template_store, sizeof(w->template_store), "%s/template.db", w->s.dir);
    assert_int_equal(mkdir(w->shadow, 0700), 0);
    assert_int_equal(mkdir(w->s.audit, 0700), 0);
    struct store *store;
    assert_int_equal(store_create(w->s.store, NULL), 0);
    assert_int_equal(store_open(w->s.store, &store, NULL), 0);
    assert_int_equal(keyring_create(store, &test_root, NULL), 0);
    store_close(store);
    copy_file(w->s.store, w->template_store);
}

static void
world_done(struct world *w)
{
    scratch_done(&w->s);
}

static void
check_both(const struct world *w, const char *what)
{
    KS_CLEANUP(scratch_done) struct scratch lost;
    lose_power(w, &lost);
    char text[128];
    snprintf(text, sizeof(text), "%s, power lost", what);
    check(w, &lost, text);
    check(w, &w->s, what);
}

/* Every call of one life, in every way. */
static void
no_fault_loses_what_was_acknowledged(void **state)
{
    (void)state;
    for (enum fault fault = 0; fault < FAULT_COUNT; fault++) {
        size_t at = 1;
        for (bool reached = true; reached; at++) {
            KS_CLEANUP(world_done) struct world w;
            world_init(&w);
            const int status = run_child(&w, 0, fault, at);
            char what[64];
            snprintf(what, sizeof(what), "%s at call %zu", fault_names[fault], at);
            if (status != 0 && status != 2 && status != SHIM_KILLED)
                fail_msg("%s: the process ended with %d", what, status);
            if (status == 0)
                for (int n = 0; n < JOBS; n++)
                    assert_int_equal(w.acks[n], ACKNOWLEDGED);
            check_both(&w, what);
            reached = status != 0;
        }
        print_message("%s: %zu calls\n", fault_names[fault], at - 2);
        assert_true(at > 40); /* it was a life */
    }
}

/* A life ends between the store's commit and the audit file; every call of the next one, recovery first, in every way.
 */
static void
no_fault_spoils_a_recovery(void **state)
{
    (void)state;
    static const enum fault faults[] = {FAULT_EIO, FAULT_HALF_ENOSPC, FAULT_KILL_HALF, FAULT_KILL_AFTER};
    size_t recoveries = 0;
    for (size_t first = 20; recoveries < 2; first++) {
        KS_CLEANUP(world_done) struct world probe;
        world_init(&probe);
        assert_int_equal(run_child(&probe, 0, FAULT_KILL_BEFORE, first), SHIM_KILLED);
        BUF before = KS_BUF(1 << 20);
        BUF after = KS_BUF(1 << 20);
        assert_int_equal(ks_file_read(probe.s.file, &before, NULL), 0);
        check(&probe, &probe.s, "probe");
        assert_int_equal(ks_file_read(probe.s.file, &after, NULL), 0);
        if (count(&after, "\n") <= count(&before, "\n"))
            continue; /* nothing was replayed: it died elsewhere */
        recoveries++;
        for (size_t f = 0; f < KS_ARRAY_LEN(faults); f++) {
            bool reached = true;
            for (size_t at = 1; reached && at < 40; at++) {
                KS_CLEANUP(world_done) struct world w;
                world_init(&w);
                assert_int_equal(run_child(&w, 0, FAULT_KILL_BEFORE, first), SHIM_KILLED);
                const int status = run_child(&w, JOBS, faults[f], at);
                char what[64];
                snprintf(what, sizeof(what), "death at %zu, then %s at %zu", first, fault_names[faults[f]], at);
                if (status != 0 && status != 2 && status != SHIM_KILLED)
                    fail_msg("%s: the process ended with %d", what, status);
                check_both(&w, what);
                reached = status != 0;
            }
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_fault_loses_what_was_acknowledged),
        cmocka_unit_test(no_fault_spoils_a_recovery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
