/* Descriptors: open, openat, creat, close, dup, fcntl, chdir, and their other names. */
#include "tde/hooks.h"

bool
tde_hook_encrypted(int dirfd, const char *path, struct tde_what *ret)
{
    if (!tde_active())
        return false;
    const int e = errno;
    tde_root_classify(dirfd, path, ret);
    errno = e;
    return tde_is_encrypted(ret->class);
}

int
tde_hook_open(int dirfd, const char *path, int flags, mode_t mode, const struct tde_what *what)
{
    tde_process_guarded();
    /* Edges of blocks are read before they are written; appending is ours; direct I/O would want aligned memory. */
    int how = flags & ~(O_APPEND | O_DIRECT);
    if ((how & O_ACCMODE) == O_WRONLY)
        how = (how & ~O_ACCMODE) | O_RDWR;
    const int fd = tde_real()->openat(dirfd, path, how, mode);
    if (fd < 0)
        return -1;
    struct stat st;
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        tde_files_drop(fd);
        return fd;
    }
    struct tde_file *f = tde_file_new_of(what->root, fd, what->class, what->identity, flags);
    if (f == NULL || tde_files_put(fd, f) != 0) {
        const int e = errno;
        tde_real()->close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

static int
open_any(int dirfd, const char *path, int flags, mode_t mode)
{
    struct tde_what what = {.class = TDE_CLEAR};
    const bool ours = tde_active() && (flags & (O_PATH | O_DIRECTORY)) == 0;
    enum tde_sends sends = TDE_SENDS_NOTHING;
    if (ours && tde_state.sends != NULL && (flags & O_ACCMODE) == O_RDONLY)
        sends = tde_state.sends();
    if (sends == TDE_SENDS_CLEAR)
        tde_root_tablespaces(); /* a base backup reaches them by their own paths */
    if (ours && sends != TDE_SENDS_RAW && tde_hook_encrypted(dirfd, path, &what))
        return tde_hook_open(dirfd, path, flags, mode, &what);
    if (ours && (flags & (O_WRONLY | O_CREAT | O_TRUNC)) != 0 && tde_process_keeps(dirfd, path)) {
        dirfd = AT_FDCWD; /* what is written goes nowhere; for fsync, with O_RDWR alone, it is the file itself */
        path = "/dev/null";
        flags &= ~(O_CREAT | O_EXCL | O_TRUNC);
    }
    const int fd = tde_real()->openat(dirfd, path, flags, mode);
    if (fd >= 0) {
        tde_files_drop(fd);
        if (what.class == TDE_UNKNOWN && (flags & O_CREAT) != 0) {
            const int e = errno;
            tde_process_unknown(path);
            errno = e;
        }
    }
    return fd;
}

static mode_t
mode_of(int flags, va_list args)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;
}

TDE_HOOK(int, open, (const char *path, int flags, ...))
{
    va_list args;
    va_start(args, flags);
    const mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_any(AT_FDCWD, path, flags, mode);
}
TDE_ALIAS(int, open64, (const char *path, int flags, ...), open);

TDE_HOOK(int, openat, (int dirfd, const char *path, int flags, ...))
{
    va_list args;
    va_start(args, flags);
    const mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_any(dirfd, path, flags, mode);
}
TDE_ALIAS(int, openat64, (int dirfd, const char *path, int flags, ...), openat);

TDE_HOOK(int, __open_2, (const char *path, int flags))
{
    return open_any(AT_FDCWD, path, flags, 0);
}
TDE_ALIAS(int, __open64_2, (const char *path, int flags), __open_2);

TDE_HOOK(int, __openat_2, (int dirfd, const char *path, int flags))
{
    return open_any(dirfd, path, flags, 0);
}
TDE_ALIAS(int, __openat64_2, (int dirfd, const char *path, int flags), __openat_2);

TDE_HOOK(int, creat, (const char *path, mode_t mode))
{
    return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
TDE_ALIAS(int, creat64, (const char *path, mode_t mode), creat);

TDE_HOOK(int, close, (int fd))
{
    tde_files_drop(fd);
    return tde_real()->close(fd);
}

TDE_HOOK(int, close_range, (unsigned first, unsigned last, int flags))
{
    if ((flags & (int)CLOSE_RANGE_CLOEXEC) == 0)
        tde_files_drop_range(first, last);
    if (tde_real()->close_range == NULL) {
        errno = ENOSYS;
        return -1;
    }
    return tde_real()->close_range(first, last, flags);
}

TDE_HOOK(void, closefrom, (int first))
{
    const unsigned from = first < 0 ? 0 : (unsigned)first;
    tde_files_drop_range(from, ~0U);
    if (tde_real()->close_range != NULL && tde_real()->close_range(from, ~0U, 0) == 0)
        return;
    const long most = sysconf(_SC_OPEN_MAX);
    for (long fd = from; fd < most; fd++)
        (void)tde_real()->close((int)fd);
}

static int
duplicated(int from, int to)
{
    if (to < 0 || tde_files_dup(from, to) == 0)
        return to;
    (void)tde_real()->close(to);
    errno = EMFILE;
    return -1;
}

TDE_HOOK(int, dup, (int fd))
{
    return duplicated(fd, tde_real()->dup(fd));
}

TDE_HOOK(int, dup2, (int from, int to))
{
    return duplicated(from, tde_real()->dup2(from, to));
}

TDE_HOOK(int, dup3, (int from, int to, int flags))
{
    return duplicated(from, tde_real()->dup3(from, to, flags));
}

TDE_HOOK(int, fcntl, (int fd, int what, ...))
{
    va_list args;
    va_start(args, what);
    void *arg = va_arg(args, void *); /* an int is in the same place */
    va_end(args);
    const int rc = tde_real()->fcntl(fd, what, arg);
    return what == F_DUPFD || what == F_DUPFD_CLOEXEC ? duplicated(fd, rc) : rc;
}
TDE_ALIAS(int, fcntl64, (int fd, int what, ...), fcntl);

TDE_HOOK(int, chdir, (const char *path))
{
    const int rc = tde_real()->chdir(path);
    if (rc == 0)
        tde_root_cwd_changed();
    return rc;
}

TDE_HOOK(int, fchdir, (int fd))
{
    const int rc = tde_real()->fchdir(fd);
    if (rc == 0)
        tde_root_cwd_changed();
    return rc;
}
