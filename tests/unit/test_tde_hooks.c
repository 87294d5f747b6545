/*
 * The functions that stand in libc's place, against libc's own: each random call is made on a file of an encrypted
 * class and on a plain one beside the data directory, and has the same result, the same errno and the same bytes on
 * both.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "tde/files.h"
#include "tde/keys.h"
#include "tde/process.h"
#include "tde/real.h"
#include "tde/root.h"

#include "tde_keys_rig.h"

enum { SEEDS = 12, ROUNDS = 200, SIZE = 60000, PARTS = 5 };

/* A file of each class that has a key of its own. */
static const char *const names[] = {
    "base/5/16384",
    "pg_wal/000000010000000000000001",
    "pg_xact/0000",
    "base/pgsql_tmp/pgsql_tmp1.0",
    "pg_twophase/00000001",
    "pg_replslot/s/xid-1-lsn-0-1.spill",
    "pg_stat_tmp/pgss_query_texts.stat",
};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

static char base[64], root[80];
static uint64_t dice;

static size_t
roll(size_t n)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return n > 0 ? (size_t)(dice % n) : 0;
}

static void
in_root(const char *name, char ret[256])
{
    snprintf(ret, 256, "%s/%s", root, name);
}

static int
setup(void **state)
{
    (void)state;
    static const char *const folders[] = {"",       "base",       "base/5",      "base/pgsql_tmp", "pg_wal",
                                          "global", "pg_xact",    "pg_twophase", "pg_replslot",    "pg_replslot/s",
                                          "log",    "pg_stat_tmp"};
    char why[256], path[256];
    snprintf(base, sizeof(base), "/tmp/ks-tde-hooks-XXXXXX");
    if (mkdtemp(base) == NULL)
        return -1;
    snprintf(root, sizeof(root), "%s/data", base);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        in_root(folders[i], path);
        if (mkdir(path, 0700) != 0)
            return -1;
    }
    in_root("PG_VERSION", path);
    FILE *f = fopen(path, "w");
    if (f == NULL || fputs("15\n", f) < 0 || fclose(f) != 0)
        return -1;
    if (tde_keys_load(tde_rig_memfd(TDE_RIG_SEALS), why, sizeof(why)) != 0)
        return -1;
    tde_root_set(root, false);
    tde_state.active = true;
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    char command[128];
    tde_state.active = false;
    tde_keys_done();
    snprintf(command, sizeof(command), "rm -rf %s", base);
    return system(command);
}

/* The same file twice: side 0 is the encrypted one. */
struct twin {
    char path[2][256];
    int fd[2];
    bool fixed, append;
};

static void
open_twin(struct twin *t, int flags)
{
    for (int i = 0; i < 2; i++) {
        t->fd[i] = roll(2) == 0 ? open(t->path[i], flags | O_CLOEXEC, 0600)
                                : openat(AT_FDCWD, t->path[i], flags | O_CLOEXEC, 0600);
        assert_true(t->fd[i] >= 0);
    }
    t->append = (flags & O_APPEND) != 0;
    assert_non_null(tde_files_at(t->fd[0]));
    assert_null(tde_files_at(t->fd[1]));
}

static void
close_twin(struct twin *t)
{
    assert_int_equal(close(t->fd[0]), 0);
    assert_int_equal(close(t->fd[1]), 0);
}

static struct twin
make_twin(const char *name)
{
    struct twin t = {0};
    struct tde_what what;
    tde_classify(15, name, &what);
    assert_true(tde_is_encrypted(what.class));
    t.fixed = (tde_classes[what.class].flags & TDE_FIXED) != 0;
    in_root(name, t.path[0]);
    snprintf(t.path[1], sizeof(t.path[1]), "%s/plain", base);
    open_twin(&t, O_RDWR | O_CREAT | O_TRUNC);
    return t;
}

/* What a call gave on both sides, and with which errno. */
#define SAME(call)                                                                                                     \
    do {                                                                                                               \
        long long got_[2];                                                                                             \
        int errno_[2];                                                                                                 \
        for (int i = 0; i < 2; i++) {                                                                                  \
            errno = 0;                                                                                                 \
            got_[i] = (long long)(call);                                                                               \
            errno_[i] = got_[i] < 0 ? errno : 0;                                                                       \
        }                                                                                                              \
        assert_int_equal(got_[0], got_[1]);                                                                            \
        assert_int_equal(errno_[0], errno_[1]);                                                                        \
    } while (0)

static off_t
size_of(const struct twin *t)
{
    struct stat st[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(fstat(t->fd[i], &st[i]), 0);
    assert_int_equal(st[0].st_size, st[1].st_size);
    return st[1].st_size;
}

/* Classes without tails are written in whole blocks of 16 bytes. */
static size_t
some(const struct twin *t, size_t most)
{
    const size_t n = roll(most + 1);
    return t->fixed ? n / 16 * 16 : n;
}

static void
fill(uint8_t *buf, size_t n)
{
    const size_t zeros = roll(4) == 0 ? roll(n + 1) : 0;
    for (size_t i = 0; i < n; i++)
        buf[i] = i < zeros ? 0 : (uint8_t)roll(256);
}

/* n bytes as several buffers, some of them empty. For classes without tails in whole blocks, as far as it goes. */
static int
parts(const struct twin *t, uint8_t *buf, size_t n, struct iovec ret[PARTS])
{
    const int count = 1 + (int)roll(PARTS);
    for (int i = 0; i < count; i++) {
        const size_t len = i + 1 == count ? n : some(t, n);
        ret[i] = (struct iovec){buf, len};
        buf += len;
        n -= len;
    }
    return count;
}

static void
write_both(struct twin *t)
{
    static uint8_t buf[SIZE];
    const off_t size = size_of(t);
    const size_t limit = (size_t)size + 5000 < SIZE ? (size_t)size + 5000 : SIZE;
    const off_t at = roll(3) == 0 && size < SIZE ? size : (off_t)some(t, limit);
    const size_t room = SIZE - (size_t)at, n = some(t, roll(2) == 0 && room > 300 ? 300 : room);
    struct iovec iov[PARTS];
    fill(buf, n);
    const int count = parts(t, buf, n, iov);
    if (!t->append) /* Linux ignores the offset of pwrite there; the layer has POSIX's meaning */
        switch (roll(5)) {
        case 0:
            SAME(pwrite(t->fd[i], buf, n, at));
            return;
        case 1:
            SAME(pwritev(t->fd[i], iov, count, at));
            return;
        case 2:
            SAME(pwritev2(t->fd[i], iov, count, at, 0));
            return;
        default:
            SAME(lseek(t->fd[i], at, SEEK_SET));
        }
    else if ((size_t)size + n > SIZE)
        return;
    switch (roll(3)) {
    case 0:
        SAME(write(t->fd[i], buf, n));
        break;
    case 1:
        SAME(writev(t->fd[i], iov, count));
        break;
    default:
        SAME(pwritev2(t->fd[i], iov, count, -1, 0));
    }
    SAME(lseek(t->fd[i], 0, SEEK_CUR));
}

ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __pread_chk(int fd, void *buf, size_t n, off_t offset, size_t room);

static void
read_both(struct twin *t)
{
    static uint8_t buf[2][SIZE + 200];
    const size_t at = roll((size_t)size_of(t) + 100), n = roll(roll(2) == 0 ? 200 : SIZE);
    struct iovec iov[2][PARTS];
    const uint64_t before = dice;
    const int count = parts(t, buf[0], n, iov[0]);
    dice = before;
    (void)parts(t, buf[1], n, iov[1]);
    memset(buf, 0xee, sizeof(buf));
    if (roll(2) == 0)
        SAME(lseek(t->fd[i], (off_t)at, SEEK_SET));
    switch (roll(8)) {
    case 0:
        SAME(pread(t->fd[i], buf[i], n, (off_t)at));
        break;
    case 1:
        SAME(preadv(t->fd[i], iov[i], count, (off_t)at));
        break;
    case 2:
        SAME(preadv2(t->fd[i], iov[i], count, (off_t)at, 0));
        break;
    case 3:
        SAME(preadv2(t->fd[i], iov[i], count, -1, 0));
        break;
    case 4:
        SAME(readv(t->fd[i], iov[i], count));
        break;
    case 5:
        SAME(__read_chk(t->fd[i], buf[i], n, sizeof(buf[i])));
        break;
    case 6:
        SAME(__pread_chk(t->fd[i], buf[i], n, (off_t)at, sizeof(buf[i])));
        break;
    default:
        SAME(read(t->fd[i], buf[i], n));
    }
    assert_memory_equal(buf[0], buf[1], sizeof(buf[0]));
    SAME(lseek(t->fd[i], 0, SEEK_CUR));
}

static void
resize_both(struct twin *t)
{
    const off_t size = size_of(t), to = (off_t)some(t, roll(3) == 0 ? SIZE : (size_t)size);
    switch (roll(4)) {
    case 0:
        SAME(truncate(t->path[i], to));
        break;
    case 1:
        SAME(posix_fallocate(t->fd[i], 0, to));
        break;
    case 2:
        SAME(fallocate(t->fd[i], 0, to, 16));
        break;
    default:
        SAME(ftruncate(t->fd[i], to));
    }
    (void)size_of(t);
}

static void
seek_both(struct twin *t)
{
    static const int whence[] = {SEEK_SET, SEEK_CUR, SEEK_END};
    const int from = whence[roll(3)];
    const off_t by = (off_t)some(t, SIZE / 2) - (from == SEEK_SET ? 0 : SIZE / 4 / 16 * 16);
    SAME(lseek(t->fd[i], by, from));
    const off_t at = lseek(t->fd[1], 0, SEEK_CUR);
    if (at > SIZE / 2)
        SAME(lseek(t->fd[i], 0, SEEK_SET));
}

/* Another descriptor of the same open file: they have one position. */
static void
duplicate_both(struct twin *t)
{
    for (int i = 0; i < 2; i++) {
        int to;
        switch (roll(4)) {
        case 0:
            to = dup(t->fd[i]);
            break;
        case 1:
            to = fcntl(t->fd[i], F_DUPFD_CLOEXEC, 100);
            break;
        case 2:
            to = open("/dev/null", O_RDONLY | O_CLOEXEC);
            assert_int_equal(dup2(t->fd[i], to), to);
            break;
        default:
            to = open("/dev/null", O_RDONLY | O_CLOEXEC);
            assert_int_equal(dup3(t->fd[i], to, O_CLOEXEC), to);
        }
        assert_true(to >= 0);
        assert_int_equal(close(t->fd[i]), 0);
        t->fd[i] = to;
    }
    SAME(lseek(t->fd[i], 0, SEEK_CUR));
}

/* The same through streams, opened by name or made of a descriptor. */
static void
stream_both(struct twin *t)
{
    static uint8_t buf[2][3000];
    FILE *f[2];
    const bool by_name = roll(2) == 0;
    for (int i = 0; i < 2; i++) {
        f[i] = by_name ? fopen(t->path[i], "r+") : fdopen(dup(t->fd[i]), "r+");
        assert_non_null(f[i]);
        assert_true(fileno(f[i]) >= 0);
    }
    for (int round = 0; round < 6; round++) {
        const long at = (long)some(t, (size_t)size_of(t) < SIZE / 2 ? (size_t)size_of(t) : SIZE / 2);
        const size_t n = some(t, sizeof(buf[0]));
        SAME(fseek(f[i], at, SEEK_SET));
        if (roll(2) == 0) {
            memset(buf, 0xee, sizeof(buf));
            SAME(fread(buf[i], 1, n, f[i]));
            assert_memory_equal(buf[0], buf[1], sizeof(buf[0]));
        } else {
            fill(buf[0], n);
            memcpy(buf[1], buf[0], n);
            SAME(fwrite(buf[i], 1, n, f[i]));
        }
        SAME(fflush(f[i]));
        SAME(ftell(f[i]));
    }
    SAME(fclose(f[i]));
}

static void
reopen_both(struct twin *t)
{
    static const int flags[] = {O_RDWR, O_RDWR | O_APPEND, O_RDWR | O_CREAT};
    close_twin(t);
    open_twin(t, flags[roll(3)]);
}

/* All of it is the same, and nothing of it is on the disk. */
static void
check_twin(const struct twin *t)
{
    static uint8_t bytes[2][2 * SIZE], disk[2 * SIZE];
    const off_t size = size_of(t);
    SAME(pread(t->fd[i], bytes[i], sizeof(bytes[i]), 0));
    assert_memory_equal(bytes[0], bytes[1], (size_t)size);
    assert_int_equal(tde_real()->pread(t->fd[0], disk, sizeof(disk), 0), size);
    for (off_t at = 0; at + 16 <= size; at += 16)
        if (!tde_all_zero(bytes[1] + at, 16))
            assert_memory_not_equal(disk + at, bytes[1] + at, 16);
}

static void
test_random_calls(void **state)
{
    (void)state;
    static void (*const calls[])(struct twin *) = {write_both,  write_both,  write_both, read_both,
                                                   read_both,   read_both,   seek_both,  duplicate_both,
                                                   resize_both, reopen_both, stream_both};
    for (int seed = 1; seed <= SEEDS; seed++)
        for (size_t name = 0; name < NAMES; name++) {
            dice = (uint64_t)seed * 0x9e3779b97f4a7c15U + name;
            struct twin t = make_twin(names[name]);
            for (int i = 0; i < ROUNDS; i++)
                calls[roll(sizeof(calls) / sizeof(calls[0]))](&t);
            check_twin(&t);
            close_twin(&t);
            for (int i = 0; i < 2; i++)
                assert_int_equal(unlink(t.path[i]), 0);
        }
}

/* Calls that cannot be are refused as libc's are. */
static void
test_errors(void **state)
{
    (void)state;
    uint8_t b[16] = {1};
    struct iovec iov = {b, sizeof(b)};
    for (size_t name = 0; name < NAMES; name++) {
        struct twin t = make_twin(names[name]);
        SAME(pread(t.fd[i], b, sizeof(b), -1));
        SAME(pwrite(t.fd[i], b, sizeof(b), -1));
        SAME(lseek(t.fd[i], -1, SEEK_SET));
        SAME(lseek(t.fd[i], 0, 77));
        SAME(ftruncate(t.fd[i], -1));
        SAME(posix_fallocate(t.fd[i], -1, 16));
        SAME(posix_fallocate(t.fd[i], 0, 0));
        SAME(pwritev(t.fd[i], &iov, 0, 0));
        SAME(readv(t.fd[i], &iov, 0));
        SAME(open(t.path[i], O_RDWR | O_CREAT | O_EXCL, 0600));
        SAME(fcntl(t.fd[i], F_GETFD));
        close_twin(&t);
        SAME(pread(t.fd[i], b, sizeof(b), 0));
        for (int i = 0; i < 2; i++)
            assert_int_equal(unlink(t.path[i]), 0);
        SAME(open(t.path[i], O_RDWR));
        SAME(truncate(t.path[i], 0));
        for (int i = 0; i < 2; i++) {
            FILE *none = fopen(t.path[i], "r");
            assert_null(none);
            assert_int_equal(errno, ENOENT);
        }
    }
}

/* What would show or move bytes without passing through here is refused, in both directions. */
static void
test_refused(void **state)
{
    (void)state;
    enum { CLONE = 0x40049409 };
    uint8_t page[8192] = {1};
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    for (size_t name = 0; name < NAMES; name++) {
        struct twin t = make_twin(names[name]);
        assert_int_equal(pwrite(t.fd[0], page, sizeof(page), 0), sizeof(page));
        assert_ptr_equal(mmap(NULL, sizeof(page), PROT_READ, MAP_SHARED, t.fd[0], 0), MAP_FAILED);
        assert_ptr_equal(mmap(NULL, sizeof(page), PROT_READ, MAP_PRIVATE, t.fd[0], 0), MAP_FAILED);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(copy_file_range(t.fd[i], NULL, t.fd[1 - i], NULL, 100, 0), -1);
            assert_int_equal(errno, EXDEV);
            assert_int_equal(sendfile(t.fd[i], t.fd[1 - i], NULL, 100), -1);
            assert_int_equal(errno, EINVAL);
        }
        assert_int_equal(splice(t.fd[0], NULL, pipes[1], NULL, 100, 0), -1);
        assert_int_equal(splice(pipes[0], NULL, t.fd[0], NULL, 100, 0), -1);
        assert_int_equal(ioctl(t.fd[0], CLONE, t.fd[1]), -1);
        assert_int_equal(errno, EOPNOTSUPP);
        assert_int_equal(fallocate(t.fd[0], 3 /* punch a hole */, 0, 16), -1);
        assert_null(freopen(t.path[0], "r", stdin));
        close_twin(&t);
        assert_int_equal(unlink(t.path[0]), 0);
    }
    close(pipes[0]);
    close(pipes[1]);
}

static void
write_file(const char *name, const uint8_t *bytes, size_t n)
{
    char path[256];
    in_root(name, path);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(close(fd), 0);
}

static void
assert_file(const char *name, const uint8_t *bytes, size_t n)
{
    static uint8_t back[SIZE];
    char path[256];
    in_root(name, path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, back, sizeof(back)), n);
    assert_memory_equal(back, bytes, n);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
}

static int
rename_in(const char *old, const char *new)
{
    char from[256], to[256];
    in_root(old, from);
    in_root(new, to);
    switch (roll(4)) {
    case 0:
        return renameat(AT_FDCWD, from, AT_FDCWD, to);
    case 1:
        return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
    case 2:
        return link(from, to) == 0 ? unlink(from) : -1;
    default:
        return rename(from, to);
    }
}

/* A file that gets a name of another identity has the same content under it. */
static void
test_names(void **state)
{
    (void)state;
    static const char *const renames[][2] = {
        {"base/5/16384", "base/5/16385"},
        {"base/5/16384", "global/16384"},
        {"pg_wal/xlogtemp.77", "pg_wal/000000010000000000000002"},
        {"pg_twophase/00000001", "pg_twophase/00000002"},
        {"pg_stat_tmp/a.stat", "pg_twophase/00000002"},
        {"pg_xact/0000", "pg_xact/0001"},
        {"pg_twophase/00000003.tmp", "pg_twophase/00000003"}, /* of the same identity */
    };
    static uint8_t bytes[3 * 8192];
    dice = 77;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)roll(256);
    for (size_t i = 0; i < sizeof(renames) / sizeof(renames[0]); i++)
        for (int round = 0; round < 8; round++) {
            write_file(renames[i][0], bytes, sizeof(bytes));
            assert_int_equal(rename_in(renames[i][0], renames[i][1]), 0);
            assert_file(renames[i][1], bytes, sizeof(bytes));
        }
    /* To a name in the clear: not by a rename. */
    write_file("base/5/16384", bytes, sizeof(bytes));
    assert_int_equal(rename_in("base/5/16384", "log/x"), -1);
    assert_int_equal(errno, EXDEV);
    assert_file("base/5/16384", bytes, sizeof(bytes));
}

/* Descriptors that are closed or reused by way of calls for many at once are forgotten. */
static void
test_descriptors(void **state)
{
    (void)state;
    struct twin t = make_twin(names[0]);
    const int far = fcntl(t.fd[0], F_DUPFD, 400), farther = fcntl(t.fd[0], F_DUPFD, 500);
    assert_non_null(tde_files_at(far));
    assert_int_equal(close_range((unsigned)far, (unsigned)far, 0), 0);
    assert_null(tde_files_at(far));
    assert_non_null(tde_files_at(farther));
    closefrom(farther);
    assert_null(tde_files_at(farther));
    /* Another file takes the place of one of ours. */
    assert_int_equal(dup2(t.fd[1], t.fd[0]), t.fd[0]);
    assert_null(tde_files_at(t.fd[0]));
    close_twin(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_calls), cmocka_unit_test(test_errors),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_descriptors),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
