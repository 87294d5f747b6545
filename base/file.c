#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void
ks_closep(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static int
read_fd(int fd, const char *path, struct ks_buf *buf, struct ks_diag *diag)
{
    for (;;) {
        size_t room = buf->max - buf->len;
        uint8_t extra;
        uint8_t *to = &extra;
        if (room == 0) {
            room = 1; /* is there more than may be? */
        } else {
            if (room > 65536)
                room = 65536;
            if (ks_buf_reserve(buf, room) != 0)
                return ks_fail(diag, buf->err, "%s: %s", path, ks_err_text(buf->err));
            to = buf->data + buf->len;
        }
        const ssize_t n = read(fd, to, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ks_fail_errno(diag, KS_E_IO, errno, "cannot read %s", path);
        if (n == 0)
            return 0;
        if (to == &extra)
            return ks_fail(diag, KS_E_LIMIT, "%s is larger than %zu bytes", path, buf->max);
        buf->len += (size_t)n;
    }
}

static int
open_to_read(const char *path, struct ks_diag *diag, int *ret)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        const int code = errno == ENOENT ? KS_E_NOT_FOUND : errno == EACCES ? KS_E_DENIED : KS_E_IO;
        return ks_fail_errno(diag, code, errno, "cannot open %s", path);
    }
    *ret = fd;
    return 0;
}

int
ks_file_read(const char *path, struct ks_buf *buf, struct ks_diag *diag)
{
    if (strcmp(path, "-") == 0)
        return read_fd(STDIN_FILENO, "standard input", buf, diag);
    KS_CLEANUP(ks_closep) int fd = -1;
    KS_TRY(open_to_read(path, diag, &fd));
    return read_fd(fd, path, buf, diag);
}

/* forbidden: permission bits that must not be there; remedy: what chmod is to be told. */
static int
read_own(const char *path, mode_t forbidden, const char *remedy, struct ks_buf *buf, struct ks_diag *diag)
{
    KS_CLEANUP(ks_closep) int fd = -1;
    KS_TRY(open_to_read(path, diag, &fd));
    struct stat st;
    if (fstat(fd, &st) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot examine %s", path);
    if (!S_ISREG(st.st_mode))
        return ks_fail(diag, KS_E_DENIED, "%s is not a regular file", path);
    if ((st.st_mode & forbidden) != 0)
        return ks_fail(diag, KS_E_DENIED, "%s can be %s by others (mode %04o); run: chmod %s %s", path,
                       (st.st_mode & forbidden & (S_IWGRP | S_IWOTH)) == (st.st_mode & forbidden) ? "changed" : "used",
                       (unsigned)st.st_mode & 07777U, remedy, path);
    if (st.st_uid != geteuid())
        return ks_fail(diag, KS_E_DENIED, "%s belongs to user %u, not to the user running this (%u)", path,
                       (unsigned)st.st_uid, (unsigned)geteuid());
    return read_fd(fd, path, buf, diag);
}

int
ks_file_read_private(const char *path, struct ks_buf *buf, struct ks_diag *diag)
{
    return read_own(path, S_IRWXG | S_IRWXO, "600", buf, diag);
}

int
ks_file_read_own(const char *path, struct ks_buf *buf, struct ks_diag *diag)
{
    return read_own(path, S_IWGRP | S_IWOTH, "go-w", buf, diag);
}

int
ks_write_all(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len > 0) {
        const ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == ENOSPC || errno == EDQUOT ? KS_E_FULL : KS_E_IO;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int
ks_fsync_parent(const char *path, struct ks_diag *diag)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const size_t n = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (n >= sizeof(parent))
        return ks_fail(diag, KS_E_INVALID, "%s: the path is too long", path);
    if (n == 0)
        snprintf(parent, sizeof(parent), ".");
    else
        snprintf(parent, sizeof(parent), "%.*s", (int)n, path);
    KS_CLEANUP(ks_closep) int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot sync %s", parent);
    return 0;
}

static int
write_file(const char *path, struct ks_span data, mode_t mode, bool replace, struct ks_diag *diag)
{
    char temporary[PATH_MAX];
    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.tmp.%ld", path, (long)getpid()) >= sizeof(temporary))
        return ks_fail(diag, KS_E_INVALID, "%s: the path is too long", path);
    (void)unlink(temporary);
    KS_CLEANUP(ks_closep) int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot create %s", path);
    int rc = ks_write_all(fd, data.data, data.len);
    if (rc == 0 && fsync(fd) != 0)
        rc = KS_E_IO;
    if (rc != 0) {
        const int err = errno;
        (void)unlink(temporary);
        return ks_fail_errno(diag, rc, err, "cannot write %s", path);
    }
    rc = replace ? rename(temporary, path) : link(temporary, path);
    const int err = errno;
    if (rc != 0 || !replace)
        (void)unlink(temporary);
    if (rc != 0)
        return ks_fail_errno(diag, err == EEXIST ? KS_E_EXISTS : KS_E_IO, err, "cannot create %s", path);
    return ks_fsync_parent(path, diag);
}

int
ks_file_write(const char *path, struct ks_span data, mode_t mode, struct ks_diag *diag)
{
    return write_file(path, data, mode, true, diag);
}

int
ks_file_create(const char *path, struct ks_span data, mode_t mode, struct ks_diag *diag)
{
    return write_file(path, data, mode, false, diag);
}
