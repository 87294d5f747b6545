/* The files of an audit folder: their names, which there are, and their lines. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "server/audit/line.h"

enum { NUMBER_MAX = 999999, READ_SIZE = 1 << 18 };

void
audit_file_name(uint32_t number, char ret_name[AUDIT_NAME_LEN])
{
    snprintf(ret_name, AUDIT_NAME_LEN, "audit-%06u.jsonl", (unsigned)number);
}

/* 0: not the name of an audit file. */
static uint32_t
number_of(const char *name)
{
    int64_t v;
    char again[AUDIT_NAME_LEN];
    if (strlen(name) != strlen("audit-NNNNNN.jsonl") || ks_parse_i64(KS_SPAN(name + 6, 6), 1, NUMBER_MAX, &v) != 0)
        return 0;
    audit_file_name((uint32_t)v, again);
    return strcmp(name, again) == 0 ? (uint32_t)v : 0;
}

static void
closedirp(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

int
audit_files_open(const char *path, struct audit_files *ret, struct ks_diag *diag)
{
    KS_CLEANUP(closedirp) DIR *dir = opendir(path);
    if (dir == NULL)
        return ks_fail_errno(diag, errno == ENOENT ? KS_E_NOT_FOUND : KS_E_IO, errno, "cannot open the audit folder %s",
                             path);
    struct audit_files files = {.path = path};
    uint32_t last = 0;
    const struct dirent *entry;
    for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0) {
        const uint32_t number = number_of(entry->d_name);
        if (number == 0)
            continue;
        files.n++;
        if (files.first == 0 || number < files.first)
            files.first = number;
        if (number > last)
            last = number;
    }
    if (errno != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot read the audit folder %s", path);
    for (uint32_t number = 1; files.n > 0 && number <= last; number++) {
        char name[AUDIT_NAME_LEN];
        audit_file_name(number, name);
        if (faccessat(dirfd(dir), name, F_OK, 0) != 0)
            return ks_fail(diag, KS_E_CORRUPT, "%s/%s is missing: it was removed or renamed", path, name);
    }
    files.dir = fcntl(dirfd(dir), F_DUPFD_CLOEXEC, 0);
    if (files.dir < 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot open the audit folder %s", path);
    *ret = files;
    return 0;
}

/* Hands out the whole lines of buf and drops them. */
static int
hand_out(struct ks_buf *buf, audit_line_fn *line, void *arg, size_t *number, uint64_t *whole)
{
    size_t begin = 0;
    const uint8_t *end;
    while ((end = memchr(buf->data + begin, '\n', buf->len - begin)) != NULL) {
        const size_t len = (size_t)(end - buf->data) - begin;
        KS_TRY(line(arg, KS_SPAN(buf->data + begin, len), ++*number));
        begin += len + 1;
        *whole += len + 1;
    }
    memmove(buf->data, buf->data + begin, buf->len - begin); /* not secret: no wiping */
    buf->len -= begin;
    return 0;
}

int
audit_file_walk(int dir, const char *name, uint64_t from, audit_line_fn *line, void *arg, uint64_t *ret_whole,
                size_t *ret_rest, struct ks_diag *diag)
{
    KS_CLEANUP(ks_closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot open %s", name);
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(AUDIT_LINE_MAX + READ_SIZE);
    size_t number = 0;
    uint64_t whole = 0;
    for (;;) {
        if (ks_buf_reserve(&buf, READ_SIZE) != 0 && buf.err == KS_E_LIMIT)
            KS_TRY(line(arg, ks_buf_span(&buf), number + 1));
        if (buf.err != 0)
            return ks_fail(diag, buf.err == KS_E_LIMIT ? KS_E_CORRUPT : buf.err, "%s:%zu: longer than any record", name,
                           number + 1);
        const ssize_t n = pread(fd, buf.data + buf.len, READ_SIZE, (off_t)(from + whole + buf.len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ks_fail_errno(diag, KS_E_IO, errno, "cannot read %s", name);
        if (n == 0)
            break;
        buf.len += (size_t)n;
        KS_TRY(hand_out(&buf, line, arg, &number, &whole));
    }
    *ret_whole = whole;
    *ret_rest = buf.len;
    return 0;
}
