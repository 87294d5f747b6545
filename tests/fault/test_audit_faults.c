/*
 * The audit log by itself, with files so small that every few groups begin a new one: every write and sync fails in
 * turn. A group whose write failed is written again; what was acknowledged is there, the chain is whole.
 */
#define SCRATCH_ROOT "/dev/shm" /* thousands of small files; syncs are the shim's, not the disk's */
#include "tests/unit/instance_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "server/audit/audit.h"
#include "tests/fault/shim.h"

enum { GROUPS = 12, GROUP = 3, TRIES = 4 };

static int
write_group(struct audit_log *log, int group)
{
    char text[GROUP][32];
    struct ks_span fragments[GROUP];
    for (int i = 0; i < GROUP; i++) {
        snprintf(text[i], sizeof(text[i]), "\"event\":\"record %d.%d\"", group, i);
        fragments[i] = ks_span_str(text[i]);
    }
    BUF lines = KS_BUF(1 << 16);
    if (audit_log_prepare(log, fragments, GROUP, 1, 0, &lines) != 0)
        _exit(1);
    return audit_log_write(log, ks_buf_span(&lines), NULL);
}

/* Acknowledges groups over the pipe. Never returns. */
static void
child(const struct scratch *s, const char *shadow, enum fault fault, size_t at, int pipe_fd)
{
    shim_arm(fault, at, shadow);
    struct audit_log *log;
    if (audit_log_open(s->audit, true, KS_SPAN_NONE, &log, NULL) != 0)
        _exit(2);
    audit_log_set_segment(log, 1000);
    for (int group = 0; group < GROUPS; group++) {
        int tries = 0;
        while (write_group(log, group) != 0) {
            if (++tries == TRIES / 2)
                shim_heal();
            if (tries == TRIES)
                _exit(1);
        }
        const uint8_t ack = (uint8_t)group;
        if (write(pipe_fd, &ack, 1) != 1)
            _exit(1);
    }
    audit_log_close(log);
    _exit(shim_calls() >= at ? 2 : 0);
}

static void
check(const struct scratch *s, const bool acks[GROUPS], const char *what)
{
    struct audit_log *log;
    struct audit_summary sum;
    struct ks_diag diag = {0};
    if (audit_log_open(s->audit, true, KS_SPAN_NONE, &log, &diag) != 0)
        fail_msg("%s: %s", what, ks_diag_text(&diag));
    /* It goes on from there. */
    assert_int_equal(write_group(log, 99), 0);
    audit_log_close(log);
    if (audit_verify(s->audit, NULL, &sum, &diag) != 0)
        fail_msg("%s: %s", what, ks_diag_text(&diag));
    BUF all = KS_BUF(1 << 20);
    for (size_t n = 1; n <= sum.files; n++) {
        char path[160];
        snprintf(path, sizeof(path), "%s/audit-%06zu.jsonl", s->audit, n);
        assert_int_equal(ks_file_read(path, &all, NULL), 0);
    }
    for (int group = 0; group < GROUPS; group++) {
        for (int i = 0; i < GROUP; i++) {
            char text[32];
            snprintf(text, sizeof(text), "\"record %d.%d\"", group, i);
            const uint8_t *found = memmem(all.data, all.len, text, strlen(text));
            if (acks[group] && found == NULL)
                fail_msg("%s: record %d.%d was acknowledged and is lost", what, group, i);
            if (found != NULL &&
                memmem(found + 1, all.len - (size_t)(found + 1 - all.data), text, strlen(text)) != NULL)
                fail_msg("%s: record %d.%d is there twice", what, group, i);
        }
    }
}

/* After a power failure: files as they were last synced. A file without a sync of its own is there, and empty. */
static void
lose_power(const struct scratch *s, const char *shadow, struct scratch *ret)
{
    scratch_init(ret);
    assert_int_equal(mkdir(ret->audit, 0700), 0);
    for (int n = 1;; n++) {
        char name[32];
        char from[160];
        char synced[160];
        char to[160];
        snprintf(name, sizeof(name), "audit-%06d.jsonl", n);
        snprintf(from, sizeof(from), "%s/%s", s->audit, name);
        snprintf(synced, sizeof(synced), "%s/%s", shadow, name);
        snprintf(to, sizeof(to), "%s/%s", ret->audit, name);
        if (access(from, F_OK) != 0)
            break;
        if (access(synced, F_OK) == 0)
            copy_file(synced, to);
        else
            assert_int_equal(ks_file_write(to, KS_SPAN_NONE, 0600, NULL), 0);
    }
}

static int
run_one(enum fault fault, size_t at)
{
    SCRATCH(s);
    char shadow[96];
    snprintf(shadow, sizeof(shadow), "%s/synced", s.dir);
    assert_int_equal(mkdir(shadow, 0700), 0);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child(&s, shadow, fault, at, fds[1]);
    (void)close(fds[1]);
    bool acks[GROUPS] = {false};
    uint8_t ack;
    while (read(fds[0], &ack, 1) == 1)
        acks[ack] = true;
    (void)close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    char what[64];
    snprintf(what, sizeof(what), "%s at call %zu", fault_names[fault], at);
    if (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 2 && WEXITSTATUS(status) != SHIM_KILLED)
        fail_msg("%s: the process ended with %d", what, WEXITSTATUS(status));
    KS_CLEANUP(scratch_done) struct scratch lost;
    lose_power(&s, shadow, &lost);
    check(&lost, acks, what);
    check(&s, acks, what);
    return WEXITSTATUS(status);
}

static void
no_fault_loses_a_record(void **state)
{
    (void)state;
    for (enum fault fault = 0; fault < FAULT_COUNT; fault++) {
        size_t at = 1;
        while (run_one(fault, at) != 0)
            at++;
        assert_true(at > 2 * GROUPS); /* each group's write and sync, and those of new files */
    }
}

/*
 * A kernel that could not write pages may drop them and call them clean: the sync after the one that failed says that
 * all is well. What it was to write is written anew.
 */
static void
what_a_failed_sync_lost_is_written_again(void **state)
{
    (void)state;
    SCRATCH(s);
    char shadow[96], path[160];
    struct audit_log *log;
    struct audit_summary sum;
    struct ks_diag diag = {0};
    static const uint8_t zeroes[4096];
    snprintf(shadow, sizeof(shadow), "%s/synced", s.dir);
    assert_int_equal(mkdir(shadow, 0700), 0);
    assert_int_equal(audit_log_open(s.audit, true, KS_SPAN_NONE, &log, NULL), 0);
    audit_log_lazy(log, true);
    assert_int_equal(write_group(log, 0), 0);
    assert_int_equal(audit_log_sync(log, NULL), 0);
    snprintf(path, sizeof(path), "%s/audit-000001.jsonl", s.audit);
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(write_group(log, 1), 0);
    assert_int_equal(write_group(log, 2), 0);
    shim_arm(FAULT_EIO, 1, shadow);
    assert_int_equal(audit_log_sync(log, NULL), KS_E_IO);
    shim_heal();
    assert_int_equal(stat(path, &after), 0);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    const size_t lost = (size_t)(after.st_size - before.st_size);
    assert_true(lost != 0 && lost <= sizeof(zeroes));
    assert_int_equal(pwrite(fd, zeroes, lost, before.st_size), lost);
    assert_int_equal(close(fd), 0);
    assert_int_equal(audit_log_sync(log, NULL), 0);
    assert_int_equal(write_group(log, 3), 0);
    audit_log_close(log);
    if (audit_verify(s.audit, NULL, &sum, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
    assert_int_equal(sum.records, 4 * GROUP);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_fault_loses_a_record),
        /* The last one: it arms the shim in this process. */
        cmocka_unit_test(what_a_failed_sync_lost_is_written_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
