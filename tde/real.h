/*
 * libc's functions behind ours: what a call would have reached without the layer. Found at first use, so that also what
 * runs before our constructor gets through. Tests put functions that fail in their place.
 */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* name, type of the result, types of the parameters */
#define TDE_REAL_FUNCTIONS(X)                                                                                          \
    X(open, int, (const char *, int, ...))                                                                             \
    X(openat, int, (int, const char *, int, ...))                                                                      \
    X(close, int, (int))                                                                                               \
    X(close_range, int, (unsigned, unsigned, int))                                                                     \
    X(dup, int, (int))                                                                                                 \
    X(dup2, int, (int, int))                                                                                           \
    X(dup3, int, (int, int, int))                                                                                      \
    X(fcntl, int, (int, int, ...))                                                                                     \
    X(chdir, int, (const char *))                                                                                      \
    X(fchdir, int, (int))                                                                                              \
    X(read, ssize_t, (int, void *, size_t))                                                                            \
    X(write, ssize_t, (int, const void *, size_t))                                                                     \
    X(pread, ssize_t, (int, void *, size_t, off_t))                                                                    \
    X(pwrite, ssize_t, (int, const void *, size_t, off_t))                                                             \
    X(readv, ssize_t, (int, const struct iovec *, int))                                                                \
    X(writev, ssize_t, (int, const struct iovec *, int))                                                               \
    X(preadv, ssize_t, (int, const struct iovec *, int, off_t))                                                        \
    X(pwritev, ssize_t, (int, const struct iovec *, int, off_t))                                                       \
    X(preadv2, ssize_t, (int, const struct iovec *, int, off_t, int))                                                  \
    X(pwritev2, ssize_t, (int, const struct iovec *, int, off_t, int))                                                 \
    X(lseek, off_t, (int, off_t, int))                                                                                 \
    X(ftruncate, int, (int, off_t))                                                                                    \
    X(truncate, int, (const char *, off_t))                                                                            \
    X(posix_fallocate, int, (int, off_t, off_t))                                                                       \
    X(fallocate, int, (int, int, off_t, off_t))                                                                        \
    X(mmap, void *, (void *, size_t, int, int, int, off_t))                                                            \
    X(ioctl, int, (int, unsigned long, ...))                                                                           \
    X(copy_file_range, ssize_t, (int, off64_t *, int, off64_t *, size_t, unsigned))                                    \
    X(sendfile, ssize_t, (int, int, off_t *, size_t))                                                                  \
    X(splice, ssize_t, (int, off64_t *, int, off64_t *, size_t, unsigned))                                             \
    X(rename, int, (const char *, const char *))                                                                       \
    X(renameat, int, (int, const char *, int, const char *))                                                           \
    X(renameat2, int, (int, const char *, int, const char *, unsigned))                                                \
    X(link, int, (const char *, const char *))                                                                         \
    X(linkat, int, (int, const char *, int, const char *, int))                                                        \
    X(unlink, int, (const char *))                                                                                     \
    X(rmdir, int, (const char *))                                                                                      \
    X(fopen, FILE *, (const char *, const char *))                                                                     \
    X(freopen, FILE *, (const char *, const char *, FILE *))                                                           \
    X(fdopen, FILE *, (int, const char *))                                                                             \
    X(fclose, int, (FILE *))                                                                                           \
    X(fileno, int, (FILE *))                                                                                           \
    X(execve, int, (const char *, char *const[], char *const[]))                                                       \
    X(execvpe, int, (const char *, char *const[], char *const[]))                                                      \
    X(posix_spawn, int,                                                                                                \
      (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[],            \
       char *const[]))                                                                                                 \
    X(posix_spawnp, int,                                                                                               \
      (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[],            \
       char *const[]))                                                                                                 \
    X(system, int, (const char *))                                                                                     \
    X(popen, FILE *, (const char *, const char *))

struct tde_real {
#define X(name, type, args) type(*name) args;
    TDE_REAL_FUNCTIONS(X)
#undef X
};

extern struct tde_real tde_real_functions;

/* Fills the table; what libc does not have stays NULL. */
void tde_real_find(void);

static inline const struct tde_real *
tde_real(void)
{
    if (__builtin_expect(tde_real_functions.open == NULL, 0))
        tde_real_find();
    return &tde_real_functions;
}
