/*
 * The keyring on the disk: every call that changes it is made to fail, to be the last that a process made, or the last
 * before the power was gone. Afterwards the keyring is the old or the new one, whole.
 *
 * Power: what was not synced is lost. A file's contents are cut off, and the folder is as it was when it was last
 * synced (names are undone by a second folder of hard links that each sync of the folder brings up to date).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tde/keyring_file.h"
#include "tde_testing.h"

enum fault { NONE, FAIL, KILL, KILL_AFTER, POWER, POWER_AFTER, FAULTS };
enum { KILLED = 77 };

static struct {
    enum fault fault;
    size_t at, calls;
    bool on;
    int dirty; /* descriptor of the file that was written and not synced */
} disk = {.dirty = -1};

static char data_dir[64], folder[80], shadow[80];
static struct tde_keyring *keyring;
static struct ks_key32 key;

int __real_openat(int dir, const char *name, int flags, ...);
ssize_t __real_write(int fd, const void *data, size_t len);
int __real_fsync(int fd);
int __real_renameat(int dir, const char *from, int to_dir, const char *to);
int __real_linkat(int dir, const char *from, int to_dir, const char *to, int flags);
int __real_unlinkat(int dir, const char *name, int flags);
int __wrap_openat(int dir, const char *name, int flags, ...);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_fsync(int fd);
int __wrap_renameat(int dir, const char *from, int to_dir, const char *to);
int __wrap_linkat(int dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags);

static void
empty(const char *path)
{
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.')
            assert_int_equal(__real_unlinkat(dirfd(dir), e->d_name, 0), 0);
    closedir(dir);
}

/* Makes `to` the same names of the same files as `from`. */
static void
same_names(const char *from, const char *to)
{
    empty(to);
    DIR *dir = opendir(from);
    const int target = open(to, O_RDONLY | O_DIRECTORY);
    assert_true(dir != NULL && target >= 0);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.')
            assert_int_equal(__real_linkat(dirfd(dir), e->d_name, target, e->d_name, 0), 0);
    closedir(dir);
    (void)close(target);
}

static void
end_it(bool power)
{
    if (power) {
        if (disk.dirty >= 0)
            (void)!ftruncate(disk.dirty, 3);
        same_names(shadow, folder);
    }
    _exit(KILLED);
}

/* Before a call: whether it is to fail. */
static bool
before(void)
{
    if (!disk.on || ++disk.calls != disk.at)
        return false;
    if (disk.fault == KILL || disk.fault == POWER)
        end_it(disk.fault == POWER);
    errno = EIO;
    return disk.fault == FAIL;
}

static void
after(void)
{
    if (disk.on && disk.calls == disk.at && (disk.fault == KILL_AFTER || disk.fault == POWER_AFTER))
        end_it(disk.fault == POWER_AFTER);
}

#define CALL(call)                                                                                                     \
    if (before())                                                                                                      \
        return -1;                                                                                                     \
    const int rc = (call);                                                                                             \
    after();                                                                                                           \
    return rc

int
__wrap_openat(int dir, const char *name, int flags, ...)
{
    CALL(__real_openat(dir, name, flags, 0600));
}

ssize_t
__wrap_write(int fd, const void *data, size_t len)
{
    if (disk.on)
        disk.dirty = fd;
    if (before())
        return -1;
    if (disk.on && len > 1000)
        len = 1000; /* short writes are no errors */
    const ssize_t n = __real_write(fd, data, len);
    after();
    return n;
}

int
__wrap_fsync(int fd)
{
    struct stat st;
    if (before())
        return -1;
    const int rc = __real_fsync(fd);
    if (disk.on && rc == 0 && fstat(fd, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            same_names(folder, shadow);
        else
            disk.dirty = -1;
    }
    after();
    return rc;
}

int
__wrap_renameat(int dir, const char *from, int to_dir, const char *to)
{
    CALL(__real_renameat(dir, from, to_dir, to));
}

int
__wrap_linkat(int dir, const char *from, int to_dir, const char *to, int flags)
{
    CALL(__real_linkat(dir, from, to_dir, to, flags));
}

int
__wrap_unlinkat(int dir, const char *name, int flags)
{
    CALL(__real_unlinkat(dir, name, flags));
}

/* ---- */

static int
verify(struct ks_span file, void *arg, struct ks_diag *diag)
{
    TDE_KEYRING_PTR *read = NULL;
    KS_TRY(tde_keyring_decode(file, &read, diag));
    return tde_keyring_open(read, file, arg, diag);
}

static int
refuse(struct ks_span file, void *arg, struct ks_diag *diag)
{
    (void)file;
    (void)arg;
    return ks_fail(diag, KS_E_DENIED, "wrong passphrase");
}

static int
write_epoch(uint64_t epoch, tde_keyring_verify_fn *fn)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(TDE_KEYRING_MAX);
    keyring->epoch = epoch;
    assert_int_equal(tde_keyring_encode(keyring, &key, &file, NULL), 0);
    return tde_keyring_file_write(data_dir, ks_buf_span(&file), fn, &key, NULL);
}

/* What is there, whole; 0: nothing. */
static uint64_t
epoch_there(void)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(TDE_KEYRING_MAX);
    TDE_KEYRING_PTR *read = NULL;
    struct ks_diag diag = {0};
    const int rc = tde_keyring_file_read(data_dir, &file, &read, &diag);
    if (rc == KS_E_NOT_FOUND)
        return 0;
    if (rc != 0)
        fail_msg("%s", ks_diag_text(&diag));
    assert_int_equal(tde_keyring_open(read, ks_buf_span(&file), &key, NULL), 0);
    return read->epoch;
}

static size_t
names_there(void)
{
    size_t n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void
create_first(void)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(TDE_KEYRING_MAX);
    keyring->epoch = 1;
    assert_int_equal(tde_keyring_encode(keyring, &key, &file, NULL), 0);
    assert_int_equal(tde_keyring_file_create(data_dir, ks_buf_span(&file), NULL), 0);
}

static int
setup(void **state)
{
    (void)state;
    (void)snprintf(data_dir, sizeof(data_dir), "/tmp/ks-keyring-XXXXXX");
    assert_non_null(mkdtemp(data_dir));
    (void)snprintf(folder, sizeof(folder), "%s/keystead", data_dir);
    (void)snprintf(shadow, sizeof(shadow), "%s/shadow", data_dir);
    assert_int_equal(mkdir(shadow, 0700), 0);
    keyring = tde_test_keyring(&key);
    keyring->slots[0].wrapped_len = TDE_WRAPPED_MAX; /* more than one write */
    for (size_t i = 0; i < 1000; i++)
        keyring->slots[0].name[i] = 'n';
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    empty(folder);
    empty(shadow);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(rmdir(shadow), 0);
    assert_int_equal(rmdir(data_dir), 0);
    tde_keyring_free(keyring);
    return 0;
}

/* One change in a process of its own, with a fault in its n-th call; whether it had so many. */
static bool
change_with(enum fault fault, size_t at, uint64_t epoch, bool *ret_done)
{
    int report[2];
    assert_int_equal(pipe(report), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        disk.fault = fault;
        disk.at = at;
        disk.on = true;
        const int rc = write_epoch(epoch, verify);
        disk.on = false;
        const uint8_t said[2] = {rc == 0, disk.calls >= at};
        (void)!__real_write(report[1], said, sizeof(said));
        _exit(0);
    }
    int status;
    uint8_t said[2] = {0, 1};
    (void)close(report[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)!read(report[0], said, sizeof(said));
    (void)close(report[0]);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED));
    *ret_done = said[0] != 0;
    return said[1] != 0;
}

static void
test_every_crash_point(void **state)
{
    (void)state;
    static const char *const names[FAULTS] = {"", "fails", "kill before", "kill after", "power before", "power after"};
    create_first();
    uint64_t epoch = 1;
    for (enum fault fault = FAIL; fault < FAULTS; fault++) {
        bool more = true;
        size_t at = 1;
        for (; more; at++) {
            same_names(folder, shadow);
            bool done = false;
            more = change_with(fault, at, epoch + 1, &done);
            const uint64_t there = epoch_there();
            if (there != epoch && there != epoch + 1)
                fail_msg("%s, call %zu: epoch %llu", names[fault], at, (unsigned long long)there);
            if (done)
                assert_int_equal(there, epoch + 1);
            else if (fault == FAIL)
                assert_int_equal(there, epoch); /* what was refused was not done */
            /* And the next change goes through, whatever was left; nothing stays beside it. */
            assert_int_equal(write_epoch(there + 1, verify), 0);
            epoch = epoch_there();
            assert_int_equal(epoch, there + 1);
            assert_int_equal(names_there(), 1);
        }
        assert_true(at > 12); /* so many calls there are */
    }
}

/* The previous one is there until the new one was unwrapped, and comes back if it cannot be. */
static void
test_one_that_does_not_unwrap_is_taken_back(void **state)
{
    (void)state;
    create_first();
    assert_int_equal(write_epoch(2, refuse), KS_E_DENIED);
    assert_int_equal(epoch_there(), 1);
    assert_int_equal(names_there(), 1);
    assert_int_equal(write_epoch(3, verify), 0);
    assert_int_equal(epoch_there(), 3);
}

static void
test_create(void **state)
{
    (void)state;
    assert_int_equal(epoch_there(), 0);
    create_first();
    assert_int_equal(epoch_there(), 1);
    assert_int_equal(names_there(), 1);
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(TDE_KEYRING_MAX);
    assert_int_equal(tde_keyring_encode(keyring, &key, &file, NULL), 0);
    assert_int_equal(tde_keyring_file_create(data_dir, ks_buf_span(&file), NULL), KS_E_EXISTS);
    assert_int_equal(names_there(), 1);
}

static void
test_two_changes_at_once(void **state)
{
    (void)state;
    create_first();
    int first = -1, second = -1;
    assert_int_equal(tde_keyring_file_lock(data_dir, &first, NULL), 0);
    assert_int_equal(tde_keyring_file_lock(data_dir, &second, NULL), KS_E_BUSY);
    (void)close(first);
    assert_int_equal(tde_keyring_file_lock(data_dir, &second, NULL), 0);
    (void)close(second);
}

static void
test_others_must_not_change_it(void **state)
{
    (void)state;
    create_first();
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(TDE_KEYRING_MAX);
    struct tde_keyring *read = NULL;
    char path[100];
    (void)snprintf(path, sizeof(path), "%s/keyring", folder);
    const mode_t changeable[] = {0620, 0602, 0666};
    for (size_t i = 0; i < KS_ARRAY_LEN(changeable); i++) {
        struct ks_diag diag = {0};
        assert_int_equal(chmod(path, changeable[i]), 0);
        assert_int_equal(tde_keyring_file_read(data_dir, &file, &read, &diag), KS_E_DENIED);
        assert_non_null(strstr(ks_diag_text(&diag), "chmod go-w"));
        assert_null(read);
    }
    /* A copy of a data directory does not always keep the mode; what is wrapped may be read. */
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(tde_keyring_file_read(data_dir, &file, &read, NULL), 0);
    tde_keyring_free(read);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        TEST(every_crash_point),
        TEST(one_that_does_not_unwrap_is_taken_back),
        TEST(create),
        TEST(two_changes_at_once),
        TEST(others_must_not_change_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
