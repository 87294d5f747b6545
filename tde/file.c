#include "tde/file.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>

#include "tde/real.h"

enum {
    CHUNK = 131072,      /* bytes that go through the bounce buffer at once; a multiple of every unit */
    ROOM = CHUNK + 4096, /* whole pages: blocks in front of it and behind it */
    AHEAD = 8192,
    ZEROS = 8192,
    STAMPS = 64,
    PARTS = CHUNK / ZEROS,
};

struct tde_file {
    atomic_int users;
    enum tde_class class;
    struct tde_shape shape;
    uint32_t flags; /* of the class */
    bool append;
    dev_t dev;
    ino_t ino;
    struct tde_file_key *key;
    _Atomic off_t position;

    /* The end, as the one who writes knows it: good while nobody in this process wrote anything else. */
    bool end_known;
    uint64_t end_stamp;
    off_t size;
    bool tail_known;
    uint8_t tail[TDE_BLOCK], before[TDE_BLOCK]; /* plaintext of the tail, ciphertext of the block in front of it */

    /* What was read ahead, decrypted; good under the same condition. */
    uint8_t *ahead;
    uint64_t ahead_stamp;
    off_t ahead_at;
    size_t ahead_len;
};

/*
 * Counts what this process wrote into files of one writer: by it a file's memory of itself is told from an old one. A
 * count for each inode would do; those that share one here forget too much, never too little.
 */
static _Atomic uint64_t stamps[STAMPS];

static __thread uint8_t *bounce; /* of this thread, made at first use */

static const uint8_t zeros[ZEROS];

static _Atomic uint64_t *
stamp(const struct tde_file *f)
{
    return &stamps[(f->ino ^ f->dev) % STAMPS];
}

static uint64_t
now(const struct tde_file *f)
{
    return atomic_load(stamp(f)) + 1; /* 0 is never */
}

static uint8_t *
room(void)
{
    if (bounce == NULL && (bounce = aligned_alloc(4096, ROOM)) == NULL)
        errno = ENOMEM;
    return bounce;
}

static off_t
floor16(off_t n)
{
    return n & ~(off_t)(TDE_BLOCK - 1);
}

static off_t
ceil16(off_t n)
{
    return floor16(n + TDE_BLOCK - 1);
}

static struct tde_file *
new_file(unsigned root, enum tde_key_state state, int fd, enum tde_class class, const char *identity, int flags)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return NULL;
    struct tde_file *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return NULL;
    if ((state == TDE_KEY_ACTIVE ? tde_file_key_get_of(root, class, identity, &f->key)
                                 : tde_file_key_of(state, class, identity, &f->key)) != 0) {
        free(f);
        errno = EIO;
        return NULL;
    }
    const struct tde_class_row *row = &tde_classes[class];
    atomic_init(&f->users, 1);
    f->class = class;
    f->shape = (struct tde_shape){row->unit, row->zero};
    f->flags = row->flags;
    f->append = (flags & O_APPEND) != 0;
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    return f;
}

struct tde_file *
tde_file_new(int fd, enum tde_class class, const char *identity, int flags)
{
    return new_file(0, TDE_KEY_ACTIVE, fd, class, identity, flags);
}

struct tde_file *
tde_file_new_of(unsigned root, int fd, enum tde_class class, const char *identity, int flags)
{
    return new_file(root, TDE_KEY_ACTIVE, fd, class, identity, flags);
}

struct tde_file *
tde_file_new_next(int fd, enum tde_class class, const char *identity, int flags)
{
    return new_file(0, TDE_KEY_NEXT, fd, class, identity, flags);
}

void
tde_file_hold(struct tde_file *file)
{
    atomic_fetch_add(&file->users, 1);
}

void
tde_file_put(struct tde_file *f)
{
    if (f == NULL || atomic_fetch_sub(&f->users, 1) != 1)
        return;
    tde_file_key_put(f->key);
    if (f->ahead != NULL) {
        ks_wipe(f->ahead, AHEAD);
        free(f->ahead);
    }
    ks_wipe(f->tail, sizeof(f->tail));
    free(f);
}

bool
tde_file_is(const struct tde_file *f, int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->ino;
}

enum tde_class
tde_file_class(const struct tde_file *f)
{
    return f->class;
}

static int
encrypt(struct tde_file *f, off_t offset, const uint8_t *in, size_t len, uint8_t *ret)
{
    const int rc = tde_encrypt(tde_file_key_begin(f->key), &f->shape, (uint64_t)offset, in, len, ret);
    tde_file_key_end(f->key);
    if (rc != 0)
        errno = EIO;
    return rc;
}

static int
decrypt(struct tde_file *f, off_t offset, uint8_t *data, size_t len)
{
    const int rc = tde_decrypt(tde_file_key_begin(f->key), &f->shape, (uint64_t)offset, data, len);
    tde_file_key_end(f->key);
    if (rc != 0)
        errno = EIO;
    return rc;
}

static int
tail(struct tde_file *f, off_t offset, const uint8_t *before, uint8_t *data, size_t len)
{
    const int rc = tde_tail(tde_file_key_begin(f->key), (uint64_t)offset, offset == 0 ? NULL : before, data, len);
    tde_file_key_end(f->key);
    if (rc != 0)
        errno = EIO;
    return rc;
}

/* All of it, unless the file ends or a call fails after something was read. */
static ssize_t
read_raw(int fd, uint8_t *buf, size_t n, off_t offset)
{
    size_t done = 0;
    while (done < n) {
        const ssize_t got = tde_real()->pread(fd, buf + done, n - done, offset + (off_t)done);
        if (got < 0 && errno == EINTR && done > 0)
            continue;
        if (got < 0)
            return done > 0 ? (ssize_t)done : -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static ssize_t
write_raw(int fd, const uint8_t *buf, size_t n, off_t offset)
{
    size_t done = 0;
    while (done < n) {
        const ssize_t put = tde_real()->pwrite(fd, buf + done, n - done, offset + (off_t)done);
        if (put < 0 && errno == EINTR && done > 0)
            continue;
        if (put < 0)
            return done > 0 ? (ssize_t)done : -1;
        if (put == 0)
            break;
        done += (size_t)put;
    }
    return (ssize_t)done;
}

/* At most CHUNK bytes at any offset. */
static ssize_t
read_part(struct tde_file *f, int fd, uint8_t *buf, size_t n, off_t offset)
{
    uint8_t *raw = room();
    if (raw == NULL)
        return -1;
    const off_t start = floor16(offset), lead = start >= TDE_BLOCK ? TDE_BLOCK : 0;
    const ssize_t got = read_raw(fd, raw, (size_t)(ceil16(offset + (off_t)n) - start + lead), start - lead);
    if (got < 0)
        return -1;
    if (got <= lead + (offset - start))
        return 0;
    const size_t have = (size_t)got - (size_t)lead, whole = (size_t)floor16((off_t)have);
    uint8_t *data = raw + lead, before[TDE_BLOCK] = {0};
    if (have != whole && start + (off_t)whole >= TDE_BLOCK)
        memcpy(before, data + whole - TDE_BLOCK, TDE_BLOCK);
    if (decrypt(f, start, data, whole) != 0)
        return -1;
    if (have != whole && tail(f, start + (off_t)whole, before, data + whole, have - whole) != 0)
        return -1;
    size_t from = (size_t)(offset - start), len = have - from;
    if (len > n)
        len = n;
    memcpy(buf, data + from, len);
    return (ssize_t)len;
}

static ssize_t
read_all(struct tde_file *f, int fd, uint8_t *buf, size_t n, off_t offset)
{
    size_t done = 0;
    while (done < n) {
        const size_t part = n - done < CHUNK ? n - done : CHUNK;
        const ssize_t got = read_part(f, fd, buf + done, part, offset + (off_t)done);
        if (got < 0)
            return done > 0 ? (ssize_t)done : -1;
        done += (size_t)got;
        if ((size_t)got < part)
            break;
    }
    return (ssize_t)done;
}

/* Small reads in sequence: from what was read ahead, or -2 where that has nothing. */
static ssize_t
read_ahead(struct tde_file *f, int fd, uint8_t *buf, size_t n, off_t offset)
{
    if (f->ahead == NULL && (f->ahead = malloc(AHEAD)) == NULL)
        return -2;
    if (f->ahead_stamp != now(f) || offset < f->ahead_at || offset + (off_t)n > f->ahead_at + (off_t)f->ahead_len) {
        /* From a unit's start: what was read of it once is not decrypted again for nothing. */
        const off_t at = offset - offset % f->shape.unit;
        f->ahead_stamp = 0;
        const ssize_t got = read_all(f, fd, f->ahead, AHEAD, at);
        if (got < 0)
            return -1;
        f->ahead_at = at;
        f->ahead_len = (size_t)got;
        f->ahead_stamp = now(f);
    }
    const off_t end = f->ahead_at + (off_t)f->ahead_len;
    if (offset >= end)
        return 0;
    if (offset + (off_t)n > end && f->ahead_len == AHEAD)
        return -2; /* longer than what is held */
    const size_t len = offset + (off_t)n > end ? (size_t)(end - offset) : n;
    memcpy(buf, f->ahead + (offset - f->ahead_at), len);
    return (ssize_t)len;
}

ssize_t
tde_file_pread(struct tde_file *f, int fd, void *buf, size_t n, off_t offset)
{
    if (offset < 0) {
        errno = EINVAL;
        return -1;
    }
    if ((f->flags & TDE_READ_AHEAD) != 0 && n <= AHEAD / 4) {
        const ssize_t got = read_ahead(f, fd, buf, n, offset);
        if (got != -2)
            return got;
    }
    if (offset % f->shape.unit != 0 || n % TDE_BLOCK != 0)
        return read_all(f, fd, buf, n, offset);
    /* Whole blocks from a unit's start: into the caller's memory, one system call. */
    const ssize_t got = tde_real()->pread(fd, buf, n, offset);
    if (got <= 0)
        return got;
    if (got % TDE_BLOCK != 0)
        return read_all(f, fd, buf, n, offset);
    return decrypt(f, offset, buf, (size_t)got) == 0 ? got : -1;
}

static void
wrote(struct tde_file *f)
{
    if ((f->flags & TDE_FIXED) == 0)
        f->end_stamp = atomic_fetch_add(stamp(f), 1) + 2; /* what now says after this */
}

/* The size, from memory where that is good. -1 and errno. */
static off_t
size_of(struct tde_file *f, int fd)
{
    if ((f->flags & TDE_ONE_WRITER) != 0 && f->end_known && f->end_stamp == now(f))
        return f->size;
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    f->size = st.st_size;
    f->end_known = true;
    f->tail_known = false;
    f->end_stamp = now(f);
    return st.st_size;
}

/*
 * Takes back what a write that came to an end early left of a block, and says how many of the caller's bytes count.
 * start: of the range in the file; len, put: bytes of it that were to be, and were, written; head: of the caller's
 * first byte in it.
 */
static ssize_t
short_write(struct tde_file *f, int fd, off_t start, size_t put, size_t head, size_t n, off_t size)
{
    const int e = errno != 0 ? errno : ENOSPC;
    f->end_known = false;
    wrote(f);
    const off_t whole = start + floor16((off_t)put);
    if (start + (off_t)put > size && tde_real()->ftruncate(fd, whole > size ? whole : size) != 0) {
        errno = e;
        return -1;
    }
    if ((size_t)(whole - start) <= head) {
        errno = e;
        return -1;
    }
    const size_t len = (size_t)(whole - start) - head;
    return (ssize_t)(len < n ? len : n);
}

/* The tail of a file of that size, made a whole block with zeros behind it. */
static int
complete_tail(struct tde_file *f, int fd, off_t size)
{
    const off_t at = floor16(size);
    uint8_t plain[TDE_BLOCK] = {0}, out[TDE_BLOCK];
    if (at == size)
        return 0;
    if (read_part(f, fd, plain, (size_t)(size - at), at) != size - at || encrypt(f, at, plain, TDE_BLOCK, out) != 0)
        return -1;
    f->end_known = false;
    wrote(f);
    return write_raw(fd, out, TDE_BLOCK, at) == TDE_BLOCK ? 0 : -1;
}

/* What of a write is not the caller's: the plaintext around it, and the ciphertext in front of the tail. */
struct edges {
    off_t start, end; /* the range that is written */
    off_t last, size; /* where the tail will begin; the size that there will be */
    uint8_t before[TDE_BLOCK];
};

static int
plan(struct tde_file *f, int fd, off_t offset, size_t n, off_t size, struct edges *e, uint8_t *plain)
{
    const off_t to = offset + (off_t)n;
    e->size = size > to ? size : to;
    e->last = floor16(e->size);
    e->start = floor16(offset);
    e->end = ceil16(to) < e->size ? ceil16(to) : e->size;
    /* The tail's stream comes of the block in front of it: if that changes, the tail does. */
    if (e->size != e->last && e->end > e->last - TDE_BLOCK)
        e->end = e->size;
    const size_t head = (size_t)(offset - e->start), behind = (size_t)(e->end - to);
    const bool known = f->tail_known && f->end_stamp == now(f) && f->size == size && floor16(size) == e->start;
    uint8_t around[2][2 * TDE_BLOCK] = {0};
    if (head > 0 && known)
        memcpy(around[0], f->tail, TDE_BLOCK);
    else if (head > 0 && size > e->start && read_part(f, fd, around[0], head, e->start) < 0)
        return -1;
    if (behind > 0 && read_part(f, fd, around[1], behind, to) != (ssize_t)behind)
        return -1;
    memcpy(plain, around[0], head);
    memcpy(plain + head + n, around[1], behind);
    if (e->end == e->size && e->size != e->last && e->start == e->last && e->last > 0) {
        if (known)
            memcpy(e->before, f->before, TDE_BLOCK);
        else if (read_raw(fd, e->before, TDE_BLOCK, e->last - TDE_BLOCK) < 0) /* a hole: zeros */
            return -1;
    }
    return 0;
}

static void
remember(struct tde_file *f, const struct edges *e, const uint8_t *plain, const uint8_t *before)
{
    f->end_known = true;
    f->size = e->size;
    f->tail_known = e->end == e->size && e->start <= e->last;
    memset(f->tail, 0, sizeof(f->tail));
    if (f->tail_known) {
        memcpy(f->tail, plain + (e->last - e->start), (size_t)(e->size - e->last));
        memcpy(f->before, before, TDE_BLOCK);
    }
}

/* At most CHUNK - 2 blocks at any offset; the range and its edges in one system call. */
static ssize_t
write_part(struct tde_file *f, int fd, const uint8_t *buf, size_t n, off_t offset)
{
    static __thread uint8_t *scratch;
    uint8_t *out = room();
    if (scratch == NULL && (scratch = malloc(ROOM)) == NULL)
        errno = ENOMEM;
    off_t size = size_of(f, fd);
    if (out == NULL || scratch == NULL || size < 0)
        return -1;
    if (size % TDE_BLOCK != 0 && offset >= ceil16(size)) {
        if (complete_tail(f, fd, size) != 0)
            return -1;
        size = ceil16(size);
    }
    struct edges e = {0};
    if (plan(f, fd, offset, n, size, &e, scratch) != 0)
        return -1;
    const size_t head = (size_t)(offset - e.start), len = (size_t)(e.end - e.start);
    const uint8_t *plain = len == n ? buf : scratch;
    if (len != n)
        memcpy(scratch + head, buf, n);
    const size_t whole = e.end > e.last ? (size_t)(e.last - e.start) : len;
    if (encrypt(f, e.start, plain, whole, out) != 0)
        return -1;
    const uint8_t *before = whole >= TDE_BLOCK ? out + whole - TDE_BLOCK : e.before;
    if (whole < len) {
        memcpy(out + whole, plain + whole, len - whole);
        if (tail(f, e.last, before, out + whole, len - whole) != 0)
            return -1;
    }
    errno = 0;
    const ssize_t put = write_raw(fd, out, len, e.start);
    if (put < 0)
        return -1;
    if ((size_t)put < len)
        return short_write(f, fd, e.start, (size_t)put, head, n, size);
    wrote(f);
    if ((f->flags & TDE_ONE_WRITER) != 0)
        remember(f, &e, plain, before);
    return (ssize_t)n;
}

/* Files that several processes write: their edges under a lock of the open file, held for one call. */
static int
edge_lock(int fd, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = INT64_MAX - 1, .l_len = 1};
    int rc;
    do
        rc = tde_real()->fcntl(fd, F_OFD_SETLKW, &lock);
    while (rc != 0 && errno == EINTR);
    return rc;
}

static ssize_t
write_all(struct tde_file *f, int fd, const uint8_t *buf, size_t n, off_t offset)
{
    const bool locked = (f->flags & TDE_LOCKED) != 0;
    size_t done = 0;
    if (locked && edge_lock(fd, F_WRLCK) != 0)
        return -1;
    ssize_t put = 0;
    while (done < n) {
        /* Parts end where a unit does. */
        const size_t most = CHUNK - (size_t)((offset + (off_t)done) % f->shape.unit);
        const size_t part = n - done < most ? n - done : most;
        put = write_part(f, fd, buf + done, part, offset + (off_t)done);
        if (put < 0)
            break;
        done += (size_t)put;
        if ((size_t)put < part)
            break;
    }
    const int e = errno;
    if (locked)
        (void)edge_lock(fd, F_UNLCK);
    errno = e;
    return done > 0 || n == 0 ? (ssize_t)done : put;
}

/* A buffer that is written from, as writev has it. */
static struct iovec
buffer(const void *from, size_t n)
{
    struct iovec ret = {.iov_len = n};
    memcpy(&ret.iov_base, &from, sizeof(from));
    return ret;
}

/* Whole blocks of a file that has no tail, from a unit's start. */
static bool
is_fixed(const struct tde_file *f, off_t offset, size_t n)
{
    return (f->flags & TDE_FIXED) != 0 && offset % f->shape.unit == 0 && n % TDE_BLOCK == 0;
}

/* PostgreSQL makes new segments of one buffer of zeros, over and over: it is looked at once. */
static bool
all_zeros(const struct iovec *iov, int count)
{
    for (int i = 0; i < count; i++) {
        const bool again = i > 0 && iov[i].iov_base == iov[i - 1].iov_base && iov[i].iov_len <= iov[i - 1].iov_len;
        if (!again && !tde_all_zero(iov[i].iov_base, iov[i].iov_len))
            return false;
    }
    return true;
}

/*
 * At most CHUNK zeros, by one system call. They are our own and not the caller's, which another process might change
 * after they were looked at.
 */
static ssize_t
write_zeros(int fd, size_t n, off_t offset)
{
    struct iovec iov[PARTS];
    int count = 0;
    for (size_t done = 0; done < n; done += ZEROS)
        iov[count++] = buffer(zeros, n - done < ZEROS ? n - done : ZEROS);
    return count <= 1 ? tde_real()->pwrite(fd, zeros, n, offset) : tde_real()->pwritev(fd, iov, count, offset);
}

/* n bytes of the buffers, at most CHUNK, from `from` on, by one system call. offset: of the first of them. */
static ssize_t
write_some(struct tde_file *f, int fd, const struct iovec *iov, int count, size_t from, size_t n, off_t offset)
{
    uint8_t *out = room();
    if (out == NULL)
        return -1;
    size_t done = 0;
    for (; count > 0 && done < n; iov++, count--) {
        if (from >= iov->iov_len) {
            from -= iov->iov_len;
            continue;
        }
        const size_t left = iov->iov_len - from, part = left < n - done ? left : n - done;
        if (encrypt(f, offset + (off_t)done, (const uint8_t *)iov->iov_base + from, part, out + done) != 0)
            return -1;
        done += part;
        from = 0;
    }
    return tde_real()->pwrite(fd, out, done, offset);
}

/* n bytes in buffers of whole units, but for the end of the last one. */
static ssize_t
write_fixed(struct tde_file *f, int fd, const struct iovec *iov, int count, size_t n, off_t offset)
{
    const bool empty = n % f->shape.zero == 0 && all_zeros(iov, count);
    size_t done = 0, part;
    ssize_t put;
    do {
        const off_t at = offset + (off_t)done;
        part = n - done < CHUNK ? n - done : CHUNK;
        put = empty ? write_zeros(fd, part, at) : write_some(f, fd, iov, count, done, part, at);
        /* The part of a block stays: whoever writes again begins at a block; whoever does not gives the page up. */
        if (put > 0 && put < TDE_BLOCK) {
            errno = ENOSPC;
            put = -1;
        }
        done += put > 0 ? (size_t)floor16(put) : 0;
    } while (done < n && put == (ssize_t)part);
    return put < 0 && done == 0 ? -1 : (ssize_t)done;
}

ssize_t
tde_file_pwrite(struct tde_file *f, int fd, const void *buf, size_t n, off_t offset)
{
    if (offset < 0) {
        errno = EINVAL;
        return -1;
    }
    if (!is_fixed(f, offset, n))
        return write_all(f, fd, buf, n, offset);
    const struct iovec part = buffer(buf, n);
    return write_fixed(f, fd, &part, 1, n, offset);
}

/* The bytes in the buffers; *ret_units: all but the last one are whole units. -1: more than a result can say. */
static ssize_t
sum(const struct tde_file *f, const struct iovec *iov, int count, bool *ret_units)
{
    size_t n = 0;
    bool units = true;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > (size_t)SSIZE_MAX - n) {
            errno = EINVAL;
            return -1;
        }
        units = units && n % f->shape.unit == 0;
        n += iov[i].iov_len;
    }
    *ret_units = units;
    return (ssize_t)n;
}

static ssize_t
read_each(struct tde_file *f, int fd, const struct iovec *iov, int count, off_t offset)
{
    ssize_t done = 0;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len == 0)
            continue;
        const ssize_t got = tde_file_pread(f, fd, iov[i].iov_base, iov[i].iov_len, offset + done);
        if (got < 0)
            return done > 0 ? done : -1;
        done += got;
        if ((size_t)got < iov[i].iov_len)
            break;
    }
    return done;
}

ssize_t
tde_file_preadv(struct tde_file *f, int fd, const struct iovec *iov, int count, off_t offset)
{
    bool units = false;
    const ssize_t n = sum(f, iov, count, &units);
    if (n < 0 || offset < 0 || count <= 1 || !units || !is_fixed(f, offset, (size_t)n))
        return n < 0 ? -1 : read_each(f, fd, iov, count, offset);
    const ssize_t got = tde_real()->preadv(fd, iov, count, offset);
    if (got > 0 && got % TDE_BLOCK != 0)
        return read_each(f, fd, iov, count, offset);
    for (ssize_t done = 0; done < got; iov++) {
        const size_t left = (size_t)(got - done), part = iov->iov_len < left ? iov->iov_len : left;
        if (decrypt(f, offset + done, iov->iov_base, part) != 0)
            return -1;
        done += (ssize_t)part;
    }
    return got;
}

ssize_t
tde_file_pwritev(struct tde_file *f, int fd, const struct iovec *iov, int count, off_t offset)
{
    bool units = false;
    const ssize_t n = sum(f, iov, count, &units);
    if (n <= 0)
        return n;
    if (offset >= 0 && units && is_fixed(f, offset, (size_t)n))
        return write_fixed(f, fd, iov, count, (size_t)n, offset);
    if (count == 1)
        return tde_file_pwrite(f, fd, iov[0].iov_base, (size_t)n, offset);
    uint8_t *all = malloc((size_t)n);
    if (all == NULL)
        return -1;
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        memcpy(all + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    const ssize_t put = tde_file_pwrite(f, fd, all, (size_t)n, offset);
    ks_wipe(all, (size_t)n);
    free(all);
    return put;
}

ssize_t
tde_file_read(struct tde_file *f, int fd, void *buf, size_t n)
{
    const off_t at = atomic_load(&f->position);
    const ssize_t got = tde_file_pread(f, fd, buf, n, at);
    if (got > 0)
        atomic_store(&f->position, at + got);
    return got;
}

ssize_t
tde_file_write(struct tde_file *f, int fd, const void *buf, size_t n)
{
    off_t at = atomic_load(&f->position);
    if (f->append && (at = size_of(f, fd)) < 0)
        return -1;
    const ssize_t put = tde_file_pwrite(f, fd, buf, n, at);
    if (put > 0)
        atomic_store(&f->position, at + put);
    return put;
}

off_t
tde_file_seek(struct tde_file *f, int fd, off_t offset, int whence)
{
    if (whence == SEEK_CUR) {
        offset += atomic_load(&f->position);
        whence = SEEK_SET;
    }
    const off_t at = tde_real()->lseek(fd, offset, whence);
    if (at >= 0)
        atomic_store(&f->position, at);
    return at;
}

int
tde_file_truncate(struct tde_file *f, int fd, off_t size)
{
    struct stat st;
    if (size < 0) {
        errno = EINVAL;
        return -1;
    }
    if (fstat(fd, &st) != 0)
        return -1;
    if (st.st_size == size)
        return 0;
    if (size > st.st_size)
        return tde_file_extend(f, fd, size) == 0 ? 0 : -1;
    const off_t at = floor16(size);
    uint8_t rest[TDE_BLOCK] = {0}, before[TDE_BLOCK] = {0};
    if (size != at && read_part(f, fd, rest, (size_t)(size - at), at) != size - at)
        return -1;
    f->end_known = false;
    wrote(f);
    if (tde_real()->ftruncate(fd, size) != 0)
        return -1;
    if (size == at)
        return 0;
    /* What was the beginning of a block is the tail now. */
    if (at > 0 && read_raw(fd, before, TDE_BLOCK, at - TDE_BLOCK) != TDE_BLOCK)
        return -1;
    if (tail(f, at, before, rest, (size_t)(size - at)) != 0)
        return -1;
    return write_raw(fd, rest, (size_t)(size - at), at) == size - at ? 0 : -1;
}

int
tde_file_extend(struct tde_file *f, int fd, off_t size)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return errno;
    if (size <= st.st_size)
        return 0;
    const off_t at = floor16(size);
    f->end_known = false;
    wrote(f);
    /* Within the block where the file ends now: what is there, with zeros behind it. */
    if (st.st_size % TDE_BLOCK != 0 && at == floor16(st.st_size)) {
        const size_t n = (size_t)(size - st.st_size);
        return write_all(f, fd, zeros, n, st.st_size) == (ssize_t)n ? 0 : (errno != 0 ? errno : ENOSPC);
    }
    if (complete_tail(f, fd, st.st_size) != 0)
        return errno;
    if (tde_real()->ftruncate(fd, at) != 0)
        return errno;
    if (size != at) {
        const size_t n = (size_t)(size - at);
        if (write_all(f, fd, zeros, n, at) != (ssize_t)n)
            return errno != 0 ? errno : ENOSPC;
    }
    return 0;
}
