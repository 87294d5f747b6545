/*
 * Tells calls that the encryption layer made from all others, for who traces system calls: stands between the layer and
 * libc, and makes what comes from the layer's code by instructions of its own, so that the instruction pointer (strace
 * -i) is in this library. What anybody else calls goes on to libc and is seen there, and so is what libc does by
 * itself.
 *
 * WITNESS_RANGES   a file that gets a line for each program: first and last address of this library
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static uintptr_t layer[2], mine[2];

static int
range_of(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    uintptr_t *to = strstr(info->dlpi_name, "libkeystead_tde.so") != NULL ? layer
                    : strstr(info->dlpi_name, "witness.so") != NULL       ? mine
                                                                          : NULL;
    if (to == NULL)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        if (info->dlpi_phdr[i].p_type != PT_LOAD || (info->dlpi_phdr[i].p_flags & PF_X) == 0)
            continue;
        to[0] = start;
        to[1] = start + info->dlpi_phdr[i].p_memsz;
    }
    return 0;
}

static void
find(void)
{
    dl_iterate_phdr(range_of, NULL);
    const char *path = getenv("WITNESS_RANGES");
    const int fd = path == NULL ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
    if (fd >= 0) {
        dprintf(fd, "%lx %lx\n", (unsigned long)mine[0], (unsigned long)mine[1]);
        syscall(SYS_close, fd);
    }
}

static long
call(long number, long a, long b, long c, long d, long e, long f)
{
    long rc;
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(rc)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
                     x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    rc = x0;
#else
#error "the instruction that makes a system call is not known here"
#endif
    if (rc < 0 && rc > -4096) {
        errno = (int)-rc;
        return -1;
    }
    return rc;
}

#define WITNESS(name, number, args, named, d, e, f)                                                                    \
    ssize_t name args                                                                                                  \
    {                                                                                                                  \
        static ssize_t(*real) args;                                                                                    \
        if (mine[0] == 0)                                                                                              \
            find();                                                                                                    \
        const uintptr_t from = (uintptr_t)__builtin_return_address(0);                                                 \
        if (from >= layer[0] && from < layer[1])                                                                       \
            return call(number, fd, (long)buf, (long)n, (long)(d), (long)(e), (long)(f));                              \
        if (real == NULL)                                                                                              \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                                                 \
        return real named;                                                                                             \
    }

WITNESS(read, SYS_read, (int fd, void *buf, size_t n), (fd, buf, n), 0, 0, 0)
WITNESS(write, SYS_write, (int fd, const void *buf, size_t n), (fd, buf, n), 0, 0, 0)
WITNESS(pread, SYS_pread64, (int fd, void *buf, size_t n, off_t at), (fd, buf, n, at), at, 0, 0)
WITNESS(pwrite, SYS_pwrite64, (int fd, const void *buf, size_t n, off_t at), (fd, buf, n, at), at, 0, 0)
WITNESS(readv, SYS_readv, (int fd, const struct iovec *buf, int n), (fd, buf, n), 0, 0, 0)
WITNESS(writev, SYS_writev, (int fd, const struct iovec *buf, int n), (fd, buf, n), 0, 0, 0)
WITNESS(preadv, SYS_preadv, (int fd, const struct iovec *buf, int n, off_t at), (fd, buf, n, at), at, 0, 0)
WITNESS(pwritev, SYS_pwritev, (int fd, const struct iovec *buf, int n, off_t at), (fd, buf, n, at), at, 0, 0)
