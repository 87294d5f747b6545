/* Sizes: truncate, ftruncate, posix_fallocate, fallocate. */
#include "tde/hooks.h"

TDE_HOOK(int, ftruncate, (int fd, off_t size))
{
    struct tde_file *f = tde_files_at(fd);
    return f == NULL ? tde_real()->ftruncate(fd, size) : tde_file_truncate(f, fd, size);
}
TDE_ALIAS(int, ftruncate64, (int fd, off_t size), ftruncate);

TDE_HOOK(int, truncate, (const char *path, off_t size))
{
    struct tde_what what;
    if (!tde_hook_encrypted(AT_FDCWD, path, &what))
        return tde_real()->truncate(path, size);
    const int fd = tde_hook_open(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0, &what);
    if (fd < 0)
        return -1;
    const int rc = ftruncate(fd, size), e = errno;
    close(fd);
    errno = e;
    return rc;
}
TDE_ALIAS(int, truncate64, (const char *path, off_t size), truncate);

TDE_HOOK(int, posix_fallocate, (int fd, off_t offset, off_t len))
{
    struct tde_file *f = tde_files_at(fd);
    if (f == NULL)
        return tde_real()->posix_fallocate(fd, offset, len);
    if (offset < 0 || len <= 0)
        return EINVAL;
    if ((offset | len) % TDE_BLOCK == 0 && (tde_classes[tde_file_class(f)].flags & TDE_FIXED) != 0)
        return tde_real()->posix_fallocate(fd, offset, len); /* zeros are zeros */
    const int e = errno, rc = tde_file_extend(f, fd, offset + len);
    errno = e;
    return rc;
}
TDE_ALIAS(int, posix_fallocate64, (int fd, off_t offset, off_t len), posix_fallocate);

TDE_HOOK(int, fallocate, (int fd, int mode, off_t offset, off_t len))
{
    struct tde_file *f = tde_files_at(fd);
    if (f == NULL)
        return tde_real()->fallocate(fd, mode, offset, len);
    if (mode != 0) {
        errno = EOPNOTSUPP;
        return -1;
    }
    const int rc = posix_fallocate(fd, offset, len);
    if (rc != 0)
        errno = rc;
    return rc == 0 ? 0 : -1;
}
TDE_ALIAS(int, fallocate64, (int fd, int mode, off_t offset, off_t len), fallocate);
