/* The writer. One process has a folder at a time: the folder itself is locked (flock). */
#include "server/audit/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "server/audit/line.h"

enum { SEGMENT = 64 << 20, PENDING_MAX = 8 << 20 };

struct audit_log {
    char *path;
    int dir;
    int fd; /* the last file */
    uint32_t number;
    uint64_t len;            /* of the last file, all of it acknowledged */
    bool dirty;              /* bytes behind len may be there: cut before the next write */
    struct audit_head head;  /* what is in the files */
    struct audit_chain next; /* with what is prepared */
    uint64_t segment;
    bool lazy;             /* audit_log_lazy */
    bool unsynced;         /* lazy: bytes before len are not on stable storage */
    bool suspect;          /* a sync failed: the kernel may have dropped what it was to write, and says so once only */
    struct ks_buf pending; /* the bytes before len that are not synced, for that case */
    uint64_t hole;         /* bytes that are, or were, cut off at the opening */
};

void
audit_log_close(struct audit_log *log)
{
    if (log == NULL)
        return;
    ks_closep(&log->fd);
    ks_closep(&log->dir);
    audit_chain_done(&log->next);
    ks_buf_done(&log->pending);
    free(log->path);
    free(log);
}

void
audit_log_head(const struct audit_log *log, struct audit_head *ret)
{
    *ret = log->head;
}

void
audit_log_prepared(const struct audit_log *log, struct audit_head *ret)
{
    *ret = log->next.head;
}

void
audit_log_set_segment(struct audit_log *log, uint64_t bytes)
{
    log->segment = bytes;
}

/* Writing */

int
audit_log_prepare(struct audit_log *log, const struct ks_span *fragments, size_t n, uint64_t commit, int64_t now_us,
                  struct ks_buf *lines)
{
    if (log->next.head.seq != log->head.seq)
        return KS_E_BUSY; /* one group at a time */
    char ts[KS_TIME_TEXT_LEN];
    KS_TRY(ks_time_format_us(now_us, ts));
    const struct ks_span ts_span = ks_span_str(ts);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = audit_chain_add(&log->next, ts_span, fragments[i], commit, lines);
    if (rc != 0)
        log->next.head = log->head;
    return rc;
}

void
audit_log_abandon(struct audit_log *log)
{
    log->next.head = log->head;
}

static int
fail_write(const struct audit_log *log, int err, const char *doing, struct ks_diag *diag)
{
    return ks_fail_errno(diag, KS_E_IO, err, "cannot %s %s/audit-%06u.jsonl", doing, log->path, (unsigned)log->number);
}

/* The next file, empty; left behind by a crash it is just taken at the next start. */
static int
next_file(struct audit_log *log, struct ks_diag *diag)
{
    char name[AUDIT_NAME_LEN];
    audit_file_name(log->number + 1, name);
    const int fd = openat(log->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot create %s/%s", log->path, name);
    if (fsync(log->dir) != 0) {
        const int err = errno;
        (void)close(fd);
        (void)unlinkat(log->dir, name, 0);
        return ks_fail_errno(diag, KS_E_IO, err, "cannot sync %s", log->path);
    }
    ks_closep(&log->fd);
    log->fd = fd;
    log->number++;
    log->len = 0;
    log->dirty = false;
    return 0;
}

static int
cut(struct audit_log *log, struct ks_diag *diag)
{
    if (ftruncate(log->fd, (off_t)log->len) != 0)
        return fail_write(log, errno, "cut back", diag);
    log->dirty = false;
    return 0;
}

static int
write_at(struct audit_log *log, uint64_t at, struct ks_span bytes, struct ks_diag *diag)
{
    size_t done = 0;
    while (done < bytes.len) {
        const ssize_t n = pwrite(log->fd, bytes.data + done, bytes.len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail_write(log, n < 0 ? errno : ENOSPC, "write", diag);
        done += (size_t)n;
    }
    return 0;
}

/*
 * After a sync that failed another one proves nothing: what the kernel could not write it may have dropped, and it
 * calls the pages clean. So all that was not known to be synced is written anew first.
 */
static int
sync_file(struct audit_log *log, struct ks_diag *diag)
{
    if (log->suspect)
        KS_TRY(write_at(log, log->len - log->pending.len, ks_buf_span(&log->pending), diag));
    log->suspect = true;
    if (fdatasync(log->fd) != 0)
        return fail_write(log, errno, "sync", diag);
    log->suspect = false;
    return 0;
}

static int
put(struct audit_log *log, struct ks_span lines, struct ks_diag *diag)
{
    if (log->dirty)
        KS_TRY(cut(log, diag));
    log->dirty = true;
    KS_TRY(write_at(log, log->len, lines, diag));
    /* Lazy or not: what can not be kept for a second try is synced now. */
    const bool waits =
        log->lazy && log->pending.len + lines.len <= PENDING_MAX && ks_buf_add_span(&log->pending, lines) == 0;
    if (!waits) {
        log->pending.err = 0;
        KS_TRY(sync_file(log, diag));
        ks_buf_reset(&log->pending);
    }
    log->dirty = false;
    log->unsynced = waits;
    log->len += lines.len;
    return 0;
}

void
audit_log_lazy(struct audit_log *log, bool lazy)
{
    log->lazy = lazy;
}

int
audit_log_sync(struct audit_log *log, struct ks_diag *diag)
{
    if (!log->unsynced)
        return 0;
    KS_TRY(sync_file(log, diag));
    ks_buf_reset(&log->pending);
    log->unsynced = false;
    return 0;
}

int
audit_log_last(const struct audit_log *log, struct ks_buf *ret, struct ks_diag *diag)
{
    char name[AUDIT_NAME_LEN];
    KS_CLEANUP(ks_closep) int before = -1;
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(AUDIT_LINE_MAX);
    int fd = log->fd;
    off_t end = (off_t)log->len;
    if (end == 0 && log->number > 1) { /* the last file is empty yet */
        struct stat st;
        audit_file_name(log->number - 1, name);
        before = openat(log->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        fd = before;
        if (fd < 0 || fstat(fd, &st) != 0)
            return ks_fail_errno(diag, KS_E_IO, errno, "cannot open %s/%s", log->path, name);
        end = st.st_size;
    }
    const size_t len = end < AUDIT_LINE_MAX ? (size_t)end : AUDIT_LINE_MAX;
    if (len == 0)
        return 0;
    if (ks_buf_reserve(&buf, len) != 0)
        return ks_fail(diag, KS_E_NOMEM, "%s: out of memory", log->path);
    const ssize_t n = pread(fd, buf.data, len, end - (off_t)len);
    if (n != (ssize_t)len)
        return fail_write(log, n < 0 ? errno : EIO, "read", diag);
    const uint8_t *line = len > 1 ? memrchr(buf.data, '\n', len - 1) : NULL;
    line = line != NULL ? line + 1 : buf.data;
    if (ks_buf_add(ret, line, (size_t)(buf.data + len - 1 - line)) != 0)
        return ks_fail(diag, ret->err, "%s: no room for a record", log->path);
    return 0;
}

uint64_t
audit_log_hole(const struct audit_log *log)
{
    return log->hole;
}

int
audit_log_write(struct audit_log *log, struct ks_span lines, struct ks_diag *diag)
{
    int rc = 0;
    if (log->len >= log->segment)
        rc = audit_log_sync(log, diag);
    if (rc == 0 && log->len >= log->segment)
        rc = next_file(log, diag);
    if (rc == 0)
        rc = put(log, lines, diag);
    if (rc != 0) {
        /* Cut back at once where it works, so that a reader does not see what never counted; else before the next
         * write. */
        if (log->dirty)
            (void)cut(log, NULL);
        log->next.head = log->head;
        return rc;
    }
    log->head = log->next.head;
    return 0;
}

/* Replay */

struct replay {
    struct audit_log *log;
    size_t present;            /* bytes of lines that the files have */
    uint64_t last_present_seq; /* 0: none */
    uint8_t last_present[32];  /* its hash */
};

/* Goes through the tail: what is in the files, and does the rest continue them? */
static int
follow_tail(struct replay *r, struct ks_span tail, struct ks_diag *diag)
{
    for (size_t at = 0; at < tail.len;) {
        const uint8_t *end = memchr(tail.data + at, '\n', tail.len - at);
        struct audit_line l;
        if (end == NULL || audit_line_parse(KS_SPAN(tail.data + at, (size_t)(end - tail.data) - at), &l) != NULL)
            return ks_fail(diag, KS_E_CORRUPT, "the audit records that the store keeps of its last commit are damaged");
        const struct ks_span line = KS_SPAN(tail.data + at, (size_t)(end - tail.data) - at);
        at += line.len + 1;
        if (l.seq <= r->log->head.seq) {
            r->present = at;
            r->last_present_seq = l.seq;
            memcpy(r->last_present, l.hash, 32);
            continue;
        }
        if (r->log->next.head.seq == r->log->head.seq && l.seq > r->log->head.seq + 1)
            return ks_fail(
                diag, KS_E_CORRUPT,
                "%s ends with record %llu, but the store has seen records up to %llu: the end was cut off, or "
                "an older copy was put back",
                r->log->path, (unsigned long long)r->log->head.seq, (unsigned long long)l.seq - 1);
        const char *why;
        const int rc = audit_chain_follow(&r->log->next, line, &why);
        if (rc != 0)
            return ks_fail(diag, rc, "%s: record %llu, which the store keeps of its last commit, %s", r->log->path,
                           (unsigned long long)l.seq, why);
    }
    return 0;
}

int
audit_log_replay(struct audit_log *log, struct ks_span tail, struct ks_diag *diag)
{
    struct replay r = {.log = log};
    log->next.head = log->head;
    int rc = follow_tail(&r, tail, diag);
    if (rc == 0 && r.last_present_seq != 0)
        rc = audit_log_check(log, r.last_present_seq, r.last_present, diag);
    if (rc != 0)
        audit_log_abandon(log);
    else if (r.present < tail.len)
        rc = audit_log_write(log, KS_SPAN(tail.data + r.present, tail.len - r.present), diag);
    return rc;
}

/* Opening */

struct walk {
    struct audit_log *log;
    const char *name;
    struct ks_diag *diag;
    /* audit_log_check */
    uint64_t seek;
    struct audit_line found;
    bool first_only;
    /* open_last */
    uint64_t good; /* bytes of lines that continue the chain */
};

enum { HOLE = 2 };

static int
follow_line(void *arg, struct ks_span line, size_t number)
{
    struct walk *w = arg;
    const char *why;
    if (memchr(line.data, 0, line.len) != NULL)
        return HOLE;
    const int rc = audit_chain_follow(&w->log->next, line, &why);
    w->good += line.len + 1;
    if (rc != 0)
        return ks_fail(w->diag, rc, "%s/%s:%zu: after record %llu: this line %s", w->log->path, w->name, number,
                       (unsigned long long)w->log->next.head.seq, why);
    return 0;
}

/* The last line of a file, which the next file continues. */
static int
read_last(struct audit_log *log, const char *name, struct ks_diag *diag)
{
    KS_CLEANUP(ks_closep) int fd = openat(log->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot open %s/%s", log->path, name);
    const size_t len = st.st_size < AUDIT_LINE_MAX ? (size_t)st.st_size : AUDIT_LINE_MAX;
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(AUDIT_LINE_MAX);
    if (ks_buf_reserve(&buf, len) != 0)
        return ks_fail(diag, KS_E_NOMEM, "%s/%s: out of memory", log->path, name);
    const ssize_t n = pread(fd, buf.data, len, st.st_size - (off_t)len);
    if (n < 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot read %s/%s", log->path, name);
    struct audit_line l;
    const uint8_t *before = n > 1 ? memrchr(buf.data, '\n', (size_t)n - 1) : NULL;
    const uint8_t *line = before != NULL ? before + 1 : buf.data;
    if (n < 1 || buf.data[n - 1] != '\n' ||
        audit_line_parse(KS_SPAN(line, (size_t)(buf.data + n - 1 - line)), &l) != NULL)
        return ks_fail(diag, KS_E_CORRUPT, "%s/%s: its last line is not a record, but another file follows: it was cut",
                       log->path, name);
    log->next.head.seq = l.seq;
    log->next.head.commit = l.commit;
    memcpy(log->next.head.hash, l.hash, 32);
    return 0;
}

/* A crash of the machine can leave a file that is longer than what reached it: zeroes at its end. */
static int
drop_zeroes(struct audit_log *log, struct ks_diag *diag)
{
    struct stat st;
    if (fstat(log->fd, &st) != 0)
        return fail_write(log, errno, "examine", diag);
    off_t len = st.st_size;
    uint8_t block[4096];
    for (bool more = true; more && len > 0;) {
        const size_t want = len < (off_t)sizeof(block) ? (size_t)len : sizeof(block);
        const ssize_t n = pread(log->fd, block, want, len - (off_t)want);
        if (n != (ssize_t)want)
            return fail_write(log, n < 0 ? errno : EIO, "read", diag);
        size_t zeroes = 0;
        while (zeroes < want && block[want - 1 - zeroes] == 0)
            zeroes++;
        len -= (off_t)zeroes;
        more = zeroes == want;
    }
    if (len < st.st_size && ftruncate(log->fd, len) != 0)
        return fail_write(log, errno, "cut back", diag);
    return 0;
}

/*
 * A crash of the machine can also leave later blocks and not earlier ones. Such a hole has zeroes, which no record has:
 * the log ends before it, and what is behind it never was on stable storage as a whole.
 */
static int
open_last(struct audit_log *log, const struct audit_files *files, struct ks_diag *diag)
{
    char name[AUDIT_NAME_LEN];
    log->number = files->first + (uint32_t)files->n - 1;
    if (files->n > 1) {
        audit_file_name(log->number - 1, name);
        KS_TRY(read_last(log, name, diag));
    }
    audit_file_name(log->number, name);
    log->fd = openat(log->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (log->fd < 0)
        return fail_write(log, errno, "open", diag);
    KS_TRY(drop_zeroes(log, diag));
    struct walk w = {.log = log, .name = name, .diag = diag};
    size_t rest;
    const int rc = audit_file_walk(log->dir, name, 0, follow_line, &w, &log->len, &rest, diag);
    if (rc != 0 && rc != HOLE)
        return rc;
    log->head = log->next.head;
    if (rc == HOLE) {
        /* Cut by the next write: if the store has seen what is missing, nothing is touched. */
        struct stat st;
        if (fstat(log->fd, &st) != 0)
            return fail_write(log, errno, "examine", diag);
        log->len = w.good;
        log->hole = (uint64_t)st.st_size - w.good;
        log->dirty = true;
    } else if (rest > 0) {
        KS_TRY(cut(log, diag));
        if (fdatasync(log->fd) != 0)
            return fail_write(log, errno, "sync", diag);
    }
    return 0;
}

static int
open_dir(struct audit_log *log, bool create, struct audit_files *ret, struct ks_diag *diag)
{
    if (create && mkdir(log->path, S_IRWXU) == 0)
        KS_TRY(ks_fsync_parent(log->path, diag));
    log->dir = open(log->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (log->dir < 0)
        return ks_fail_errno(diag, errno == ENOENT ? KS_E_NOT_FOUND : KS_E_IO, errno, "cannot open the audit folder %s",
                             log->path);
    if (flock(log->dir, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? ks_fail(diag, KS_E_BUSY, "%s is in use by another process; stop that one first", log->path)
                   : ks_fail_errno(diag, KS_E_IO, errno, "cannot lock %s", log->path);
    KS_TRY(audit_files_open(log->path, ret, diag));
    ks_closep(&ret->dir);
    return 0;
}

static int
open_log(struct audit_log *log, const char *dir, bool create, struct ks_span tail, struct ks_diag *diag)
{
    log->dir = log->fd = -1;
    log->segment = SEGMENT;
    log->pending = KS_BUF(PENDING_MAX);
    log->path = strdup(dir);
    const int rc = log->path == NULL ? KS_E_NOMEM : audit_chain_init(&log->next);
    if (rc != 0)
        return ks_fail(diag, rc, "%s: %s", dir, ks_err_text(rc));
    struct audit_files files = {.dir = -1};
    KS_TRY(open_dir(log, create, &files, diag));
    if (files.n > 0)
        KS_TRY(open_last(log, &files, diag));
    else if (create)
        KS_TRY(next_file(log, diag));
    else
        return ks_fail(diag, KS_E_CORRUPT, "%s has no audit files: they were removed", dir);
    return audit_log_replay(log, tail, diag);
}

int
audit_log_open(const char *dir, bool create, struct ks_span tail, struct audit_log **ret, struct ks_diag *diag)
{
    struct audit_log *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s: out of memory", dir);
    const int rc = open_log(log, dir, create, tail, diag);
    if (rc != 0) {
        audit_log_close(log);
        return rc;
    }
    *ret = log;
    return 0;
}

/* Looking back */

enum { FOUND = 1 };

static int
seek_line(void *arg, struct ks_span line, size_t number)
{
    struct walk *w = arg;
    const char *why = audit_line_parse(line, &w->found);
    if (why != NULL)
        return ks_fail(w->diag, KS_E_CORRUPT, "%s/%s:%zu: this line %s", w->log->path, w->name, number, why);
    return w->first_only || w->found.seq >= w->seek ? FOUND : 0;
}

/* Files begin with growing numbers: the last one that begins at or before seq has it. */
int
audit_log_check(struct audit_log *log, uint64_t seq, const uint8_t hash[32], struct ks_diag *diag)
{
    if (seq == log->head.seq && memcmp(hash, log->head.hash, 32) == 0)
        return 0;
    if (seq > log->head.seq)
        return ks_fail(diag, KS_E_CORRUPT,
                       "%s ends with record %llu, but the store has seen record %llu: the end was cut off, or an older "
                       "copy was put back",
                       log->path, (unsigned long long)log->head.seq, (unsigned long long)seq);
    for (uint32_t number = log->number; number > 0; number--) {
        char name[AUDIT_NAME_LEN];
        audit_file_name(number, name);
        uint64_t whole;
        size_t rest;
        struct walk w = {.log = log, .name = name, .diag = diag, .seek = seq, .first_only = true};
        int rc = audit_file_walk(log->dir, name, 0, seek_line, &w, &whole, &rest, diag);
        if (rc == 0 || (rc == FOUND && w.found.seq > seq))
            continue; /* empty, or begins later */
        w.first_only = false;
        if (rc == FOUND)
            rc = audit_file_walk(log->dir, name, 0, seek_line, &w, &whole, &rest, diag);
        if (rc < 0)
            return rc;
        if (rc == FOUND && w.found.seq == seq && memcmp(w.found.hash, hash, 32) == 0)
            return 0;
        break;
    }
    return ks_fail(
        diag, KS_E_CORRUPT,
        "%s: record %llu is not the one that the store has seen: the trail is another one, or was written anew",
        log->path, (unsigned long long)seq);
}
