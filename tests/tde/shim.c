/*
 * A device with faults: between the encryption layer and libc, for the layer finds its functions by RTLD_NEXT.
 *
 * SHIM_FAULT    short: writes end early, at any byte; full: every eighth finds no room (ENOSPC), some after a part;
 *               part: of what makes a file below base/ longer by a page, the first 4115 bytes are written
 * SHIM_SWITCH   a file: faults happen while it exists
 * SHIM_TALLY    a file that gets a byte for each fault
 * SHIM_BELOW    the folder whose files are concerned
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);

/* How many of n bytes are written: n mostly. -1: none, ENOSPC. */
static ssize_t
allowed(int fd, size_t n, off_t offset)
{
    static __thread uint32_t state;
    const char *fault = getenv("SHIM_FAULT"), *to = getenv("SHIM_SWITCH"), *below = getenv("SHIM_BELOW");
    char link[64], path[4096];
    if (fault == NULL || to == NULL || below == NULL || n < 2 || access(to, F_OK) != 0)
        return (ssize_t)n;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    const ssize_t len = readlink(link, path, sizeof(path) - 1);
    if (len <= 0 || strncmp(path, below, strlen(below)) != 0)
        return (ssize_t)n;
    struct stat st;
    if (strcmp(fault, "part") == 0)
        return n == 8192 && strstr(path, "/base/") != NULL && fstat(fd, &st) == 0 && st.st_size <= offset ? 4115
                                                                                                          : (ssize_t)n;
    if (state == 0)
        state = (uint32_t)getpid() * 2654435761u | 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    const bool full = strcmp(fault, "full") == 0;
    if (state % (full ? 8 : 2) != 0)
        return (ssize_t)n;
    const int tally = open(getenv("SHIM_TALLY"), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (tally >= 0) {
        (void)!write(tally, "x", 1);
        close(tally);
    }
    if (full && state / 8 % 2 == 0)
        return -1;
    return 1 + (ssize_t)(state / 16 % (n - 1));
}

ssize_t
pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    if (real_pwrite == NULL)
        real_pwrite = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    const ssize_t most = allowed(fd, n, offset);
    if (most < 0) {
        errno = ENOSPC;
        return -1;
    }
    return real_pwrite(fd, buf, (size_t)most, offset);
}

ssize_t
pwrite64(int fd, const void *buf, size_t n, off_t offset)
{
    return pwrite(fd, buf, n, offset);
}
