/* An encrypted file against a buffer in the clear: random reads, writes, cuts and reopenings, and calls that fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>

#include "tde/file.h"
#include "tde/files.h"
#include "tde/real.h"

#include "tde_keys_rig.h"

enum { SEEDS = 20, ROUNDS = 150, SIZE = 60000, PARTS = 8, PAGE = 8192, PAGES = 40 };

static uint64_t dice;
static int faults; /* one call in so many is short, interrupted or fails; 0: none */
static int calls;  /* of the system, that read or write */
static struct tde_real real;

static size_t
roll(size_t n)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return n > 0 ? (size_t)(dice % n) : 0;
}

static ssize_t
faulty_pread(int fd, void *buf, size_t n, off_t offset)
{
    calls++;
    if (faults > 0 && roll((size_t)faults) == 0) {
        if (roll(2) == 0) {
            errno = EINTR;
            return -1;
        }
        n = n > 1 ? 1 + roll(n - 1) : n;
    }
    return real.pread(fd, buf, n, offset);
}

static ssize_t
faulty_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    calls++;
    if (faults > 0 && roll((size_t)faults) == 0) {
        errno = roll(2) == 0 ? EINTR : ENOSPC;
        if (n <= 1 || roll(2) == 0)
            return -1;
        n = 1 + roll(n - 1);
    }
    return real.pwrite(fd, buf, n, offset);
}

static ssize_t
faulty_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
    calls++;
    return real.preadv(fd, iov, faults > 0 && roll((size_t)faults) == 0 ? 1 + (int)roll((size_t)count) : count, offset);
}

static ssize_t
faulty_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    calls++;
    return real.pwritev(fd, iov, faults > 0 && roll((size_t)faults) == 0 ? 1 + (int)roll((size_t)count) : count,
                        offset);
}

static int
setup(void **state)
{
    (void)state;
    char why[256];
    if (tde_keys_load(tde_rig_memfd(TDE_RIG_SEALS), why, sizeof(why)) != 0)
        return -1;
    tde_real_find();
    real = tde_real_functions;
    tde_real_functions.pread = faulty_pread;
    tde_real_functions.pwrite = faulty_pwrite;
    tde_real_functions.preadv = faulty_preadv;
    tde_real_functions.pwritev = faulty_pwritev;
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    tde_real_functions = real;
    tde_keys_done();
    return 0;
}

static int
scratch_file(void)
{
    char path[] = "/tmp/ks-tde-file-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

struct model {
    int fd;
    struct tde_file *file;
    enum tde_class class;
    size_t size;
    uint8_t bytes[SIZE];
};

static void
reopen(struct model *m)
{
    tde_file_put(m->file);
    m->file = tde_file_new(m->fd, m->class, "x", O_RDWR);
    assert_non_null(m->file);
}

/* Sizes and offsets as the class has them: whole pages for those that have nothing else. */
static size_t
some(const struct model *m, size_t most)
{
    const size_t n = roll(most + 1);
    return (tde_classes[m->class].flags & TDE_FIXED) != 0 ? n / 16 * 16 : n;
}

static void
check_all(struct model *m)
{
    static uint8_t all[SIZE + 16];
    struct stat st;
    assert_int_equal(fstat(m->fd, &st), 0);
    assert_int_equal(st.st_size, m->size);
    assert_int_equal(tde_file_pread(m->file, m->fd, all, sizeof(all), 0), m->size);
    assert_memory_equal(all, m->bytes, m->size);
}

/* The buffer in a few parts, at times of whole pages. */
static int
parts_of(uint8_t *buf, size_t n, struct iovec ret[PARTS])
{
    int count = 0;
    const size_t grain = roll(2) == 0 ? PAGE : 1;
    while (count < PARTS - 1 && n > 0) {
        size_t part = roll(n / 2 + 2) / grain * grain;
        part = part < n ? part : n;
        ret[count++] = (struct iovec){buf, part};
        buf += part;
        n -= part;
    }
    ret[count++] = (struct iovec){buf, n};
    return count;
}

static void
do_write(struct model *m)
{
    static uint8_t buf[SIZE];
    const size_t at = roll(3) == 0 ? m->size : some(m, m->size + 5000 < SIZE ? m->size + 5000 : SIZE);
    const size_t room = SIZE - at, n = some(m, roll(2) == 0 ? (room < 300 ? room : 300) : room);
    const size_t zeros = roll(4) == 0 ? roll(n + 1) : 0;
    for (size_t i = 0; i < n; i++)
        buf[i] = i < zeros ? 0 : (uint8_t)roll(256);
    struct iovec parts[PARTS];
    const int count = roll(2) == 0 ? 0 : parts_of(buf, n, parts);
    const ssize_t put = count == 0 ? tde_file_pwrite(m->file, m->fd, buf, n, (off_t)at)
                                   : tde_file_pwritev(m->file, m->fd, parts, count, (off_t)at);
    assert_true(put <= (ssize_t)n && (faults > 0 || put == (ssize_t)n));
    if (put > 0) {
        memcpy(m->bytes + at, buf, (size_t)put);
        if (at + (size_t)put > m->size)
            m->size = at + (size_t)put;
    }
}

static void
do_read(struct model *m)
{
    static uint8_t buf[SIZE];
    size_t at = roll(m->size + 100), n = roll(roll(2) == 0 ? 200 : SIZE);
    struct iovec parts[PARTS];
    const int count = roll(2) == 0 ? 0 : parts_of(buf, n, parts);
    if (count > 0 && roll(2) == 0)
        at = at / PAGE * PAGE;
    const ssize_t got = count == 0 ? tde_file_pread(m->file, m->fd, buf, n, (off_t)at)
                                   : tde_file_preadv(m->file, m->fd, parts, count, (off_t)at);
    const size_t have = at < m->size ? (m->size - at < n ? m->size - at : n) : 0;
    assert_int_equal(got, have);
    assert_memory_equal(buf, m->bytes + at, have);
}

static void
do_truncate(struct model *m)
{
    const size_t size = some(m, roll(3) == 0 ? SIZE : m->size);
    assert_int_equal(tde_file_truncate(m->file, m->fd, (off_t)size), 0);
    if (size < m->size)
        memset(m->bytes + size, 0, m->size - size);
    m->size = size;
}

static void
run(enum tde_class class, int seed)
{
    static struct model m;
    memset(&m, 0, sizeof(m));
    m.class = class;
    m.fd = scratch_file();
    dice = (uint64_t)seed * 0x9e3779b97f4a7c15U + (uint64_t) class;
    reopen(&m);
    for (int i = 0; i < ROUNDS; i++)
        switch (roll(8)) {
        case 0:
            do_truncate(&m);
            break;
        case 1:
            reopen(&m);
            break;
        case 2:
        case 3:
        case 4:
            do_read(&m);
            break;
        default:
            do_write(&m);
        }
    check_all(&m);
    tde_file_put(m.file);
    close(m.fd);
}

static void
test_shadow(void **state)
{
    (void)state;
    faults = 0;
    for (int seed = 1; seed <= SEEDS; seed++)
        for (int class = TDE_REL; class < TDE_CLASSES; class ++)
            run((enum tde_class) class, seed);
}

/* Appended in small pieces, as spilled changes are, and read back in others. */
static void
test_append(void **state)
{
    (void)state;
    static uint8_t bytes[SIZE], back[SIZE];
    faults = 0;
    dice = 99;
    const int fd = scratch_file();
    struct tde_file *f = tde_file_new(fd, TDE_SPILL, "x", O_RDWR | O_APPEND);
    size_t size = 0;
    while (size + 400 < SIZE) {
        const size_t n = 1 + roll(300);
        for (size_t i = 0; i < n; i++)
            bytes[size + i] = (uint8_t)roll(256);
        assert_int_equal(tde_file_write(f, fd, bytes + size, n), n);
        size += n;
    }
    tde_file_put(f);
    f = tde_file_new(fd, TDE_SPILL, "x", O_RDONLY);
    for (size_t at = 0; at < size;) {
        const size_t n = 1 + roll(250);
        const ssize_t got = tde_file_pread(f, fd, back + at, n, (off_t)at);
        assert_true(got > 0);
        at += (size_t)got;
    }
    assert_memory_equal(bytes, back, size);
    /* Nothing of it is on the disk. */
    assert_int_equal(real.pread(fd, back, size, 0), size);
    for (size_t i = 0; i + 16 <= size; i += 16)
        assert_memory_not_equal(bytes + i, back + i, 16);
    tde_file_put(f);
    close(fd);
}

/* A write that ends early, in the middle of a block: as many bytes as it says are there, and nothing else has changed.
 */
static void
test_short_writes(void **state)
{
    (void)state;
    static uint8_t before[3000], text[3000], after[6100];
    for (int seed = 1; seed <= 200; seed++) {
        const int fd = scratch_file();
        struct tde_file *f = tde_file_new(fd, TDE_TEMP, "x", O_RDWR);
        dice = (uint64_t)seed * 0x9e3779b97f4a7c15U;
        const size_t size = roll(sizeof(before));
        for (size_t i = 0; i < sizeof(text); i++) {
            before[i] = (uint8_t)roll(256);
            text[i] = (uint8_t)roll(256);
        }
        faults = 0;
        assert_int_equal(tde_file_pwrite(f, fd, before, size, 0), size);
        faults = 2;
        const ssize_t put =
            tde_file_write(f, fd, NULL, 0) == 0 ? tde_file_pwrite(f, fd, text, sizeof(text), (off_t)size) : -1;
        faults = 0;
        assert_true(put >= -1 && put <= (ssize_t)sizeof(text));
        const size_t good = put > 0 ? (size_t)put : 0;
        const size_t whole = size / 16 * 16; /* the block that both share may be given up with the write */
        assert_true(tde_file_pread(f, fd, after, sizeof(after), 0) >= (ssize_t)whole);
        assert_memory_equal(after, before, good > 0 ? size : whole);
        assert_memory_equal(after + size, text, good);
        tde_file_put(f);
        close(fd);
    }
}

/* Pages of PostgreSQL in as many calls as without the layer, and zeros as zeros; more than fits at once in a few. */
static void
test_pages(void **state)
{
    (void)state;
    static uint8_t bytes[PAGES * PAGE], back[PAGES * PAGE];
    struct iovec parts[PAGES];
    faults = 0;
    dice = 7;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)roll(256);
    static const enum tde_class classes[] = {TDE_REL, TDE_WAL};
    for (size_t c = 0; c < 2; c++) {
        const int fd = scratch_file();
        struct tde_file *f = tde_file_new(fd, classes[c], "x", O_RDWR);
        const struct {
            size_t pages;
            int calls;
        } cases[] = {{1, 1}, {16, 1}, {PAGES, 3}}; /* 128 KiB go at once */
        for (size_t k = 0; k < 3; k++)
            for (int zero = 0; zero < 2; zero++) {
                const size_t n = cases[k].pages * PAGE;
                memset(back, 0, n);
                for (size_t i = 0; i < cases[k].pages; i++)
                    parts[i] = (struct iovec){zero ? back : bytes + i * PAGE, PAGE};
                calls = 0;
                assert_int_equal(tde_file_pwritev(f, fd, parts, (int)cases[k].pages, 0), n);
                assert_int_equal(calls, cases[k].calls);
                calls = 0;
                assert_int_equal(tde_file_pwrite(f, fd, zero ? back : bytes, n, 0), n);
                assert_int_equal(calls, cases[k].calls);
                for (size_t i = 0; i < cases[k].pages; i++)
                    parts[i] = (struct iovec){back + i * PAGE, PAGE};
                assert_int_equal(real.pread(fd, back, n, 0), n);
                assert_int_equal(tde_all_zero(back, n), zero);
                if (!zero)
                    for (size_t i = 0; i < n; i += 1008)
                        assert_memory_not_equal(back + i, bytes + i, 16);
                calls = 0;
                assert_int_equal(tde_file_preadv(f, fd, parts, (int)cases[k].pages, 0), n);
                assert_int_equal(calls, 1);
                assert_true(zero ? tde_all_zero(back, n) : memcmp(back, bytes, n) == 0);
            }
        tde_file_put(f);
        close(fd);
    }
}

/* The same where calls are short or fail: what is said to be there is there. */
static void
test_pages_short(void **state)
{
    (void)state;
    static uint8_t bytes[PAGES * PAGE], back[PAGES * PAGE];
    struct iovec parts[PAGES];
    bool shorter = false, failed = false;
    for (int seed = 1; seed <= 30; seed++) {
        const int fd = scratch_file();
        struct tde_file *f = tde_file_new(fd, TDE_REL, "x", O_RDWR);
        dice = (uint64_t)seed * 0x9e3779b97f4a7c15U;
        const bool zero = seed % 4 == 0;
        memset(bytes, zero ? 0 : seed, sizeof(bytes));
        for (size_t i = 0; i < PAGES; i++)
            parts[i] = (struct iovec){bytes + i * PAGE, PAGE};
        faults = 2;
        const ssize_t put =
            seed % 2 == 0 ? tde_file_pwritev(f, fd, parts, PAGES, 0) : tde_file_pwrite(f, fd, bytes, sizeof(bytes), 0);
        const int e = errno;
        faults = 0;
        assert_true(put == -1 ? e == EINTR || e == ENOSPC : put > 0 && put % 16 == 0);
        failed = failed || put == -1;
        shorter = shorter || (put > 0 && put < (ssize_t)sizeof(bytes));
        for (size_t i = 0; i < PAGES; i++)
            parts[i] = (struct iovec){back + i * PAGE, PAGE};
        if (put > 0) {
            assert_true(tde_file_preadv(f, fd, parts, PAGES, 0) >= put);
            assert_memory_equal(back, bytes, put);
        }
        tde_file_put(f);
        close(fd);
    }
    assert_true(shorter && failed);
}

/* Two descriptors of one file in one process: what one of them wrote, the other does not remember otherwise. */
static void
test_two(void **state)
{
    (void)state;
    faults = 0;
    const int fd = scratch_file(), other = scratch_file();
    struct tde_file *a = tde_file_new(fd, TDE_STATE, "x", O_RDWR), *b = tde_file_new(fd, TDE_STATE, "x", O_RDWR);
    struct tde_file *c = tde_file_new(other, TDE_STATE, "y", O_RDWR);
    static uint8_t text[100], back[200];
    size_t size = 0;
    for (int i = 0; i < 20; i++) {
        memset(text, 'a' + i, sizeof(text));
        struct tde_file *f = i % 3 == 0 ? a : b;
        const size_t n = 3 + (size_t)i;
        assert_int_equal(tde_file_pwrite(f, fd, text, n, (off_t)size), n);
        assert_int_equal(tde_file_pwrite(c, other, text, 5, (off_t)(5 * i)), 5);
        size += n;
        assert_int_equal(tde_file_pread(i % 2 == 0 ? a : b, fd, back, n, (off_t)(size - n)), n);
        assert_memory_equal(back, text, n);
    }
    assert_int_equal(tde_file_pread(c, other, back, sizeof(back), 0), 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(back[i], 'a' + i / 5);
    tde_file_put(a);
    tde_file_put(b);
    tde_file_put(c);
    close(fd);
    close(other);
}

/* From one identity to another: all of it, or its beginning alone. */
static void
test_convert(void **state)
{
    (void)state;
    static uint8_t bytes[200000], back[200000];
    faults = 0;
    dice = 5;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)roll(256);
    static const enum tde_class classes[] = {TDE_WAL, TDE_WALINFO};
    for (size_t c = 0; c < 2; c++) {
        const size_t size = c == 0 ? 196608 : 131081;
        const int fd = scratch_file();
        struct tde_file *a = tde_file_new(fd, classes[c], "a", O_RDWR), *b = tde_file_new(fd, classes[c], "b", O_RDWR);
        assert_int_equal(tde_file_pwrite(a, fd, bytes, size, 0), size);
        assert_int_equal(tde_file_convert(fd, a, b, -1), 0);
        assert_int_equal(tde_file_pread(b, fd, back, size, 0), size);
        assert_memory_equal(back, bytes, size);
        if (c == 0) {
            assert_int_equal(tde_file_convert(fd, b, a, 8192), 0);
            assert_int_equal(tde_file_pread(a, fd, back, 8192, 0), 8192);
            assert_memory_equal(back, bytes, 8192);
        }
        tde_file_put(a);
        tde_file_put(b);
        close(fd);
    }
}

/* The number of a file that libc closed by itself is not taken for the file. */
static void
test_stale(void **state)
{
    (void)state;
    const int fd = scratch_file();
    assert_int_equal(tde_files_put(fd, tde_file_new(fd, TDE_REL, "x", O_RDWR)), 0);
    assert_non_null(tde_files_verified(fd));
    const int other = scratch_file(), copy = dup(fd);
    assert_int_equal(tde_files_dup(fd, copy), 0);
    assert_ptr_equal(tde_files_at(copy), tde_files_at(fd));
    assert_int_equal(dup2(other, fd), fd);
    assert_null(tde_files_verified(fd));
    assert_null(tde_files_at(fd));
    assert_non_null(tde_files_verified(copy));
    tde_files_drop_range((unsigned)copy, ~0U);
    assert_null(tde_files_at(copy));
    assert_int_equal(tde_files_put(TDE_FILES_MAX, tde_file_new(other, TDE_REL, "x", O_RDWR)), -1);
    assert_int_equal(errno, EMFILE);
    close(fd);
    close(copy);
    close(other);
}

/* Keys are taken from sealed memory alone, and not while one of the purposes has none. */
static void
test_keys(void **state)
{
    (void)state;
    char why[256];
    assert_int_not_equal(tde_keys_load(tde_rig_memfd(F_SEAL_SHRINK), why, sizeof(why)), 0);
    assert_non_null(strstr(why, "no sealed memory"));
    assert_int_not_equal(tde_keys_load(scratch_file(), why, sizeof(why)), 0);
    assert_true(tde_keys_loaded()); /* the old ones are still there */
    const int fd = tde_keys_memfd();
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    assert_int_equal(tde_keys_load(fd, why, sizeof(why)), 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shadow),  cmocka_unit_test(test_append),      cmocka_unit_test(test_short_writes),
        cmocka_unit_test(test_pages),   cmocka_unit_test(test_pages_short), cmocka_unit_test(test_two),
        cmocka_unit_test(test_convert), cmocka_unit_test(test_stale),       cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
