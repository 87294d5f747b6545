/* Bytes: read, write, their positional, vectored and checked forms, and what copies without them. */
#include "tde/hooks.h"

#include <sys/ioctl.h>

TDE_HOOK(ssize_t, read, (int fd, void *buf, size_t n))
{
    struct tde_file *f = tde_files_verified(fd);
    return f == NULL ? tde_real()->read(fd, buf, n) : tde_file_read(f, fd, buf, n);
}

TDE_HOOK(ssize_t, write, (int fd, const void *buf, size_t n))
{
    struct tde_file *f = tde_files_verified(fd);
    return f == NULL ? tde_real()->write(fd, buf, n) : tde_file_write(f, fd, buf, n);
}

TDE_HOOK(ssize_t, pread, (int fd, void *buf, size_t n, off_t offset))
{
    struct tde_file *f = tde_files_at(fd);
    return f == NULL ? tde_real()->pread(fd, buf, n, offset) : tde_file_pread(f, fd, buf, n, offset);
}
TDE_ALIAS(ssize_t, pread64, (int fd, void *buf, size_t n, off_t offset), pread);

TDE_HOOK(ssize_t, pwrite, (int fd, const void *buf, size_t n, off_t offset))
{
    struct tde_file *f = tde_files_at(fd);
    return f == NULL ? tde_real()->pwrite(fd, buf, n, offset) : tde_file_pwrite(f, fd, buf, n, offset);
}
TDE_ALIAS(ssize_t, pwrite64, (int fd, const void *buf, size_t n, off_t offset), pwrite);

/* What glibc calls when it was compiled with a check of the buffer's size. */
TDE_HOOK(ssize_t, __read_chk, (int fd, void *buf, size_t n, size_t room))
{
    if (n > room)
        abort();
    return read(fd, buf, n);
}

TDE_HOOK(ssize_t, __pread_chk, (int fd, void *buf, size_t n, off_t offset, size_t room))
{
    if (n > room)
        abort();
    return pread(fd, buf, n, offset);
}
TDE_ALIAS(ssize_t, __pread64_chk, (int fd, void *buf, size_t n, off_t offset, size_t room), __pread_chk);

TDE_HOOK(ssize_t, preadv, (int fd, const struct iovec *iov, int count, off_t offset))
{
    struct tde_file *f = tde_files_at(fd);
    return f == NULL ? tde_real()->preadv(fd, iov, count, offset) : tde_file_preadv(f, fd, iov, count, offset);
}
TDE_ALIAS(ssize_t, preadv64, (int fd, const struct iovec *iov, int count, off_t offset), preadv);

TDE_HOOK(ssize_t, pwritev, (int fd, const struct iovec *iov, int count, off_t offset))
{
    struct tde_file *f = tde_files_at(fd);
    return f == NULL ? tde_real()->pwritev(fd, iov, count, offset) : tde_file_pwritev(f, fd, iov, count, offset);
}
TDE_ALIAS(ssize_t, pwritev64, (int fd, const struct iovec *iov, int count, off_t offset), pwritev);

static ssize_t
read_here(struct tde_file *f, int fd, const struct iovec *iov, int count)
{
    const off_t at = tde_file_seek(f, fd, 0, SEEK_CUR);
    const ssize_t got = at < 0 ? -1 : tde_file_preadv(f, fd, iov, count, at);
    if (got > 0)
        (void)tde_file_seek(f, fd, at + got, SEEK_SET);
    return got;
}

static ssize_t
write_here(struct tde_file *f, int fd, const struct iovec *iov, int count)
{
    ssize_t done = 0;
    for (int i = 0; i < count; i++) {
        const ssize_t put = tde_file_write(f, fd, iov[i].iov_base, iov[i].iov_len);
        if (put < 0)
            return done > 0 ? done : -1;
        done += put;
        if ((size_t)put < iov[i].iov_len)
            break;
    }
    return done;
}

TDE_HOOK(ssize_t, preadv2, (int fd, const struct iovec *iov, int count, off_t offset, int flags))
{
    struct tde_file *f = tde_files_at(fd);
    if (f == NULL)
        return tde_real()->preadv2(fd, iov, count, offset, flags);
    return offset == -1 ? read_here(f, fd, iov, count) : tde_file_preadv(f, fd, iov, count, offset);
}
TDE_ALIAS(ssize_t, preadv64v2, (int fd, const struct iovec *iov, int count, off_t offset, int flags), preadv2);

TDE_HOOK(ssize_t, pwritev2, (int fd, const struct iovec *iov, int count, off_t offset, int flags))
{
    struct tde_file *f = tde_files_at(fd);
    if (f == NULL)
        return tde_real()->pwritev2(fd, iov, count, offset, flags);
    if ((flags & ~RWF_HIPRI) != 0) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return offset == -1 ? write_here(f, fd, iov, count) : tde_file_pwritev(f, fd, iov, count, offset);
}
TDE_ALIAS(ssize_t, pwritev64v2, (int fd, const struct iovec *iov, int count, off_t offset, int flags), pwritev2);

TDE_HOOK(ssize_t, readv, (int fd, const struct iovec *iov, int count))
{
    struct tde_file *f = tde_files_verified(fd);
    return f == NULL ? tde_real()->readv(fd, iov, count) : read_here(f, fd, iov, count);
}

TDE_HOOK(ssize_t, writev, (int fd, const struct iovec *iov, int count))
{
    struct tde_file *f = tde_files_verified(fd);
    return f == NULL ? tde_real()->writev(fd, iov, count) : write_here(f, fd, iov, count);
}

TDE_HOOK(off_t, lseek, (int fd, off_t offset, int whence))
{
    struct tde_file *f = tde_files_at(fd);
    return f == NULL ? tde_real()->lseek(fd, offset, whence) : tde_file_seek(f, fd, offset, whence);
}
TDE_ALIAS(off_t, lseek64, (int fd, off_t offset, int whence), lseek);

/* What would move bytes, or show them, without passing through here. Callers fall back to reading and writing. */
TDE_HOOK(void *, mmap, (void *at, size_t n, int protection, int flags, int fd, off_t offset))
{
    if (fd >= 0 && (flags & MAP_ANONYMOUS) == 0 && tde_files_verified(fd) != NULL) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    return tde_real()->mmap(at, n, protection, flags, fd, offset);
}
TDE_ALIAS(void *, mmap64, (void *at, size_t n, int protection, int flags, int fd, off_t offset), mmap);

TDE_HOOK(ssize_t, copy_file_range, (int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n, unsigned flags))
{
    if (tde_files_at(in) != NULL || tde_files_at(out) != NULL) {
        errno = EXDEV;
        return -1;
    }
    return tde_real()->copy_file_range(in, in_offset, out, out_offset, n, flags);
}

TDE_HOOK(ssize_t, sendfile, (int out, int in, off_t *offset, size_t n))
{
    if (tde_files_at(in) != NULL || tde_files_verified(out) != NULL) {
        errno = EINVAL;
        return -1;
    }
    return tde_real()->sendfile(out, in, offset, n);
}
TDE_ALIAS(ssize_t, sendfile64, (int out, int in, off_t *offset, size_t n), sendfile);

TDE_HOOK(ssize_t, splice, (int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n, unsigned flags))
{
    if (tde_files_verified(in) != NULL || tde_files_verified(out) != NULL) {
        errno = EINVAL;
        return -1;
    }
    return tde_real()->splice(in, in_offset, out, out_offset, n, flags);
}

TDE_HOOK(int, ioctl, (int fd, unsigned long request, ...))
{
    enum { CLONE = 0x40049409, CLONE_RANGE = 0x4020940d }; /* FICLONE, FICLONERANGE */
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    if ((request == CLONE || request == CLONE_RANGE) && tde_files_at(fd) != NULL) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return tde_real()->ioctl(fd, request, arg);
}
