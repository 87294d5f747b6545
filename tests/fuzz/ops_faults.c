#include "ops_faults.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
    uint32_t left; /* until one fails; 0: none will */
    bool lasting, hit;
} memory;

static struct {
    enum disk_fault fault;
    uint32_t left;
} disk;

void
faults_memory(uint32_t n, bool lasting)
{
    memory.left = n;
    memory.lasting = lasting;
    memory.hit = false;
}

void
faults_memory_end(void)
{
    memory.left = 0;
}

bool
faults_memory_hit(void)
{
    return memory.hit;
}

static bool
no_memory(void)
{
    if (memory.left == 0)
        return false;
    if (memory.left > 1) {
        memory.left--;
        return false;
    }
    memory.hit = true;
    if (!memory.lasting)
        memory.left = 0;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *
__wrap_malloc(size_t size)
{
    return no_memory() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
    return no_memory() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
    return no_memory() ? NULL : __real_realloc(p, size);
}

void
faults_disk(enum disk_fault fault, uint32_t n)
{
    disk.fault = fault;
    disk.left = n;
}

/* Once it has failed it goes on to. */
static bool
disk_fails(bool is_write)
{
    if (disk.fault == DISK_WELL || is_write == (disk.fault == DISK_NO_SYNC))
        return false;
    if (disk.left > 1) {
        disk.left--;
        return false;
    }
    return true;
}

/* Reserved names are what is to be replaced. NOLINTBEGIN(bugprone-reserved-identifier) */
#define INTERPOSED __attribute__((visibility("default")))

static ssize_t
put(int fd, const void *data, size_t len, off_t at)
{
    if (!disk_fails(true))
        return syscall(SYS_pwrite64, fd, data, len, at);
    if (disk.fault == DISK_HALF_WRITTEN && len > 1)
        (void)syscall(SYS_pwrite64, fd, data, len / 2, at);
    errno = ENOSPC;
    return -1;
}

INTERPOSED ssize_t
pwrite64(int fd, const void *data, size_t len, off_t at)
{
    return put(fd, data, len, at);
}

static int
sync_file(long call, int fd)
{
    if (!disk_fails(false))
        return (int)syscall(call, fd);
    errno = EIO;
    return -1;
}

INTERPOSED int
fdatasync(int fd)
{
    return sync_file(SYS_fdatasync, fd);
}

INTERPOSED int
fsync(int fd)
{
    return sync_file(SYS_fsync, fd);
}
/* NOLINTEND(bugprone-reserved-identifier) */
