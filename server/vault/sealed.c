#include "server/vault/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#define LINE_BEGIN "{\"event\":\""
#define LINE_END "\"}\n"

static int
path_of(const char *audit_dir, struct ks_buf *ret, struct ks_diag *diag)
{
    (void)ks_buf_addf(ret, "%s/sealed.jsonl", audit_dir);
    return ks_buf_cstr(ret) != NULL ? 0 : ks_fail(diag, ret->err, "%s: %s", audit_dir, ks_err_text(ret->err));
}

/* Whole lines; what a crash left behind them was never acknowledged. */
static size_t
whole(struct ks_span text)
{
    const uint8_t *last = text.data != NULL ? memrchr(text.data, '\n', text.len) : NULL;
    return last != NULL ? (size_t)(last - text.data) + 1 : 0;
}

static int
open_log(struct sealed_log *log, const char *audit_dir, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf path = KS_BUF(8192), text = KS_BUF(SEALED_LOG_MAX);
    KS_TRY(path_of(audit_dir, &path, diag));
    const char *name = (const char *)path.data;
    struct stat st, now;
    if (log->fd >= 0 && fstat(log->fd, &st) == 0 && lstat(name, &now) == 0 && st.st_dev == now.st_dev &&
        st.st_ino == now.st_ino)
        return 0;
    sealed_log_close(log); /* not open yet, or somebody moved it away: what is written there would not be found */
    KS_CLEANUP(ks_closep)
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, S_IRUSR | S_IWUSR);
    if (fd < 0 || fstat(fd, &st) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot open %s", name);
    if (!S_ISREG(st.st_mode))
        return ks_fail(diag, KS_E_DENIED, "%s is not a regular file", name);
    KS_TRY(ks_fsync_parent(name, diag));
    KS_TRY(ks_file_read(name, &text, diag));
    const size_t len = whole(ks_buf_span(&text));
    if (len != text.len && ftruncate(fd, (off_t)len) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot cut %s", name);
    log->len = len;
    log->fd = fd;
    fd = -1; /* handed over; NOLINT(clang-analyzer-deadcode.DeadStores): the cleanup reads it */
    return 0;
}

/* All of it on disk, or none of it in the file. */
static int
put(struct sealed_log *log, struct ks_span lines)
{
    size_t done = 0;
    int err = 0;
    while (done < lines.len && err == 0) {
        const ssize_t n = pwrite(log->fd, lines.data + done, lines.len - done, (off_t)(log->len + done));
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            err = n == 0 ? ENOSPC : errno;
    }
    if (err == 0 && fdatasync(log->fd) != 0)
        err = errno;
    if (err == 0) {
        log->len += lines.len;
        return 0;
    }
    if (ftruncate(log->fd, (off_t)log->len) != 0)
        sealed_log_close(log); /* the next one opens it anew, and cuts what is not whole */
    return err;
}

int
sealed_log_add(struct sealed_log *log, const char *audit_dir, const struct ks_span *records, size_t n, int64_t now_us,
               struct ks_diag *diag)
{
    char ts[KS_TIME_TEXT_LEN];
    KS_TRY(ks_time_format_us(now_us, ts));
    KS_TRY(open_log(log, audit_dir, diag));
    KS_CLEANUP(ks_buf_done) struct ks_buf lines = KS_BUF(SEALED_LOG_MAX);
    for (size_t i = 0; i < n; i++) {
        (void)ks_buf_add_u8(&lines, '{');
        (void)ks_buf_add_span(&lines, records[i]);
        (void)ks_buf_addf(&lines, ",\"occurred\":\"%s" LINE_END, ts);
    }
    if (lines.err == KS_E_LIMIT || log->len + lines.len > SEALED_LOG_MAX) {
        log->unlisted += n;
        return KS_E_LIMIT;
    }
    if (lines.err != 0)
        return ks_fail(diag, lines.err, "%s/sealed.jsonl: %s", audit_dir, ks_err_text(lines.err));
    struct stat st;
    if (fstat(log->fd, &st) != 0 || (uint64_t)st.st_size != log->len)
        return ks_fail(diag, KS_E_CORRUPT, "%s/sealed.jsonl was changed by something else; keep it as evidence",
                       audit_dir);
    const int err = put(log, ks_buf_span(&lines));
    return err == 0 ? 0 : ks_fail_errno(diag, KS_E_IO, err, "cannot write %s/sealed.jsonl", audit_dir);
}

/* One line as it was written: the framing, and nothing in it that could end a line or a record of the trail. */
static bool
is_sound(struct ks_span line)
{
    const size_t begin = sizeof(LINE_BEGIN) - 1, end = sizeof(LINE_END) - 1;
    if (line.len < begin + end || memcmp(line.data, LINE_BEGIN, begin) != 0 ||
        memcmp(line.data + line.len - end, LINE_END, end) != 0)
        return false;
    for (size_t i = 0; i + 1 < line.len; i++)
        if (line.data[i] < ' ')
            return false;
    return true;
}

static int
split(struct ks_span text, struct ks_arena *arena, struct ks_span **ret_records, size_t *ret_n)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.data[i] == '\n';
    struct ks_span *records = ks_arena_array(arena, n + 1, sizeof(*records));
    if (records == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *end = memchr(text.data + at, '\n', text.len - at);
        const struct ks_span line = KS_SPAN(text.data + at, (size_t)(end - text.data) - at + 1);
        if (!is_sound(line))
            return KS_E_CORRUPT;
        records[i] = KS_SPAN(line.data + 1, line.len - 3); /* without the braces */
        at += line.len;
    }
    *ret_records = records;
    *ret_n = n;
    return 0;
}

int
sealed_log_read(const char *audit_dir, struct ks_buf *text, struct ks_arena *arena, struct ks_span **ret_records,
                size_t *ret_n, struct ks_diag *diag)
{
    struct ks_diag missing = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf path = KS_BUF(8192);
    KS_TRY(path_of(audit_dir, &path, diag));
    const char *name = (const char *)path.data;
    int rc = ks_file_read(name, text, &missing);
    if (rc == KS_E_NOT_FOUND)
        ks_buf_reset(text);
    else if (rc != 0)
        return ks_fail(diag, rc, "%s", ks_diag_text(&missing));
    rc = split(KS_SPAN(text->data, whole(ks_buf_span(text))), arena, ret_records, ret_n);
    if (rc == KS_E_CORRUPT)
        return ks_fail(diag, rc,
                       "%s holds what this server did not write; keep it as evidence, and move it away to go on", name);
    return rc != 0 ? ks_fail(diag, rc, "%s: %s", name, ks_err_text(rc)) : 0;
}

void
sealed_log_skip(struct ks_span last, struct ks_span **records, size_t *n)
{
    for (size_t i = *n; last.len != 0 && i-- > 0;)
        if (memmem(last.data, last.len, (*records)[i].data, (*records)[i].len) != NULL) {
            *records += i + 1;
            *n -= i + 1;
            return;
        }
}

int
sealed_log_remove(struct sealed_log *log, const char *audit_dir, struct ks_diag *diag)
{
    sealed_log_close(log);
    log->unlisted = 0;
    KS_CLEANUP(ks_buf_done) struct ks_buf path = KS_BUF(8192);
    KS_TRY(path_of(audit_dir, &path, diag));
    const char *name = (const char *)path.data;
    if (unlink(name) != 0 && errno != ENOENT)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot remove %s", name);
    return ks_fsync_parent(name, diag);
}

void
sealed_log_close(struct sealed_log *log)
{
    ks_closep(&log->fd);
    log->len = 0;
}
