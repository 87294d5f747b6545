#include "tests/fault/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INTERPOSED __attribute__((visibility("default")))

const char *const fault_names[FAULT_COUNT] = {
#define FAULT(name, writes, ends, lasts) #name,
    FAULTS
#undef FAULT
};

static const struct {
    bool writes, ends, lasts;
} rows[FAULT_COUNT] = {
#define FAULT(name, writes, ends, lasts) {writes, ends, lasts},
    FAULTS
#undef FAULT
};

static struct {
    pthread_mutex_t lock;
    bool armed, lasting;
    enum fault fault;
    size_t at, calls;
    char shadow[128];
} shim = {.lock = PTHREAD_MUTEX_INITIALIZER};

void
shim_arm(enum fault fault, size_t at, const char *shadow)
{
    shim.fault = fault;
    shim.at = at;
    shim.calls = 0;
    shim.lasting = false;
    snprintf(shim.shadow, sizeof(shim.shadow), "%s", shadow);
    shim.armed = true;
}

void
shim_heal(void)
{
    (void)pthread_mutex_lock(&shim.lock);
    shim.lasting = false;
    (void)pthread_mutex_unlock(&shim.lock);
}

size_t
shim_calls(void)
{
    return shim.calls;
}

/* What is in the file now is safe. The copy is written beside and renamed, so that a fault in between leaves one. */
static void
keep_copy(int fd)
{
    char link[64];
    char path[PATH_MAX];
    char to[PATH_MAX];
    char temporary[PATH_MAX];
    struct stat st;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof(path) - 1);
    if (n < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    path[n] = '\0';
    const char *name = strrchr(path, '/');
    snprintf(to, sizeof(to), "%s/%.200s", shim.shadow, name + 1);
    snprintf(temporary, sizeof(temporary), "%s/.tmp", shim.shadow);
    const int out = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const int in = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t block[65536];
    ssize_t got;
    while (in >= 0 && out >= 0 && (got = read(in, block, sizeof(block))) > 0)
        if (syscall(SYS_write, out, block, (size_t)got) != got)
            _exit(1);
    if (in < 0 || out < 0 || rename(temporary, to) != 0)
        _exit(1);
    (void)close(in);
    (void)close(out);
}

/* Is this call hit? */
static bool
hit(bool is_write)
{
    if (!shim.armed)
        return false;
    (void)pthread_mutex_lock(&shim.lock);
    shim.calls++;
    /* A fault of writes that is due at another call waits for the next write. */
    bool yes = shim.lasting;
    if (shim.at != 0 && shim.calls >= shim.at && (is_write || !rows[shim.fault].writes)) {
        yes = true;
        shim.at = 0;
        shim.lasting = rows[shim.fault].lasts;
    }
    (void)pthread_mutex_unlock(&shim.lock);
    return yes;
}

INTERPOSED ssize_t
pwrite(int fd, const void *data, size_t len, off_t at)
{
    const bool was_lasting = shim.lasting;
    size_t now = len;
    bool kill = false;
    if (hit(true)) {
        kill = rows[shim.fault].ends;
        switch (shim.fault) {
        case FAULT_EIO:
        case FAULT_DEAD_DISK:
            errno = EIO;
            return -1;
        case FAULT_ENOSPC:
            errno = ENOSPC;
            return -1;
        case FAULT_HALF_ENOSPC:
            if (was_lasting || len < 2) {
                errno = ENOSPC;
                return -1;
            }
            now = len / 2;
            break;
        case FAULT_SHORT:
        case FAULT_KILL_HALF:
            now = len < 2 ? len : len / 2;
            break;
        case FAULT_KILL_BEFORE:
            _exit(SHIM_KILLED);
        case FAULT_KILL_AFTER:
        case FAULT_COUNT:
            break;
        }
    }
    const ssize_t n = syscall(SYS_pwrite64, fd, data, now, at);
    if (kill)
        _exit(SHIM_KILLED);
    return n;
}

/* The calls that either are done or are not. */
static bool
fails(bool *ret_kill)
{
    *ret_kill = false;
    if (!hit(false))
        return false;
    if (shim.fault == FAULT_KILL_BEFORE)
        _exit(SHIM_KILLED);
    *ret_kill = rows[shim.fault].ends;
    if (shim.fault == FAULT_HALF_ENOSPC) /* a full disk still syncs and cuts */
        return false;
    errno = EIO;
    return !*ret_kill;
}

INTERPOSED int
fdatasync(int fd)
{
    bool kill;
    if (fails(&kill))
        return -1;
    if (shim.armed)
        keep_copy(fd); /* stands for the disk: no need to wait for that */
    if (kill)
        _exit(SHIM_KILLED);
    return 0;
}

INTERPOSED int
fsync(int fd)
{
    return fdatasync(fd);
}

INTERPOSED int
ftruncate(int fd, off_t len)
{
    bool kill;
    if (fails(&kill))
        return -1;
    const int rc = (int)syscall(SYS_ftruncate, fd, len);
    if (kill)
        _exit(SHIM_KILLED);
    return rc;
}
