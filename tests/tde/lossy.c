/*
 * A device that loses what was not synced: between the encryption layer and libc, for the layer finds its functions by
 * RTLD_NEXT.
 *
 * LOSSY_ROOT    the data directory
 * LOSSY_SHADOW  a folder: tree/ is what the device has for sure, as a copy of the data directory; names are the changes
 * of names that it may lose, one a line, in their order; lock is locked meanwhile
 *
 * fsync of a file copies its content into the tree, and does what is left to be done to names in its directory, as
 * common file systems do; fsync of a directory does the latter. Everything else changes the data directory alone, which
 * is what a running system sees. What of it survives a failure of power is lossy.py's to draw.
 *
 * System calls are made directly: libc's functions would lead into the layer.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATH = 4096, JOURNAL = 1 << 20, CHUNK = 1 << 17 };

static const char *root, *shadow;

static void __attribute__((noreturn)) broken(const char *why, const char *what)
{
    dprintf(STDERR_FILENO, "lossy: %s: %s\n", why, what);
    abort();
}

static bool
on(void)
{
    if (root == NULL) {
        root = getenv("LOSSY_ROOT");
        shadow = getenv("LOSSY_SHADOW");
        if (root == NULL || shadow == NULL)
            root = "";
    }
    return *root != '\0';
}

/* Of a path below the root; false: it is not. */
static bool
below(const char *path, char ret[PATH])
{
    char whole[2 * PATH];
    if (*path == '/') {
        snprintf(whole, sizeof(whole), "%s", path);
    } else {
        char cwd[PATH];
        if (getcwd(cwd, sizeof(cwd)) == NULL)
            return false;
        snprintf(whole, sizeof(whole), "%s/%s", cwd, strncmp(path, "./", 2) == 0 ? path + 2 : path);
    }
    const size_t n = strlen(root);
    if (strncmp(whole, root, n) != 0 || (whole[n] != '/' && whole[n] != '\0'))
        return false;
    snprintf(ret, PATH, "%s", whole + n + (whole[n] == '/'));
    size_t len = strlen(ret);
    while (len > 0 && ret[len - 1] == '/')
        ret[--len] = '\0';
    return true;
}

static int
of_shadow(const char *name, int flags)
{
    char path[2 * PATH];
    snprintf(path, sizeof(path), "%s/%s", shadow, name);
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        broken("cannot be opened", path);
    return fd;
}

static int
lock(void)
{
    const int fd = of_shadow("lock", O_RDWR);
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR)
            broken("it fails", strerror(errno));
    return fd;
}

static void
unlock(int fd)
{
    syscall(SYS_close, fd);
}

/* The directory of a path; "" at the top. */
static bool
is_in(const char *path, const char *dir)
{
    const char *slash = strrchr(path, '/');
    const size_t n = slash == NULL ? 0 : (size_t)(slash - path);
    return strlen(dir) == n && strncmp(path, dir, n) == 0;
}

static void
in_tree(const char *path, char ret[2 * PATH])
{
    snprintf(ret, 2 * PATH, "%s/tree/%s", shadow, path);
}

static void
make_parents(char *path)
{
    for (char *p = path + strlen(shadow) + 1; (p = strchr(p + 1, '/')) != NULL;) {
        *p = '\0';
        syscall(SYS_mkdirat, AT_FDCWD, path, 0700);
        *p = '/';
    }
}

static void
remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char in[3 * PATH];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(in, sizeof(in), "%s/%s", path, e->d_name);
        if (syscall(SYS_unlinkat, AT_FDCWD, in, 0) != 0 && (errno == EISDIR || errno == EPERM))
            remove_tree(in);
    }
    if (dir != NULL)
        closedir(dir);
    syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

/* R: a rename; L: a link; U: an unlink; D: a directory removed. b is empty but for the first two. */
static void
apply(char what, const char *a, const char *b)
{
    char from[2 * PATH], to[2 * PATH];
    in_tree(a, from);
    in_tree(b, to);
    switch (what) {
    case 'R':
        if (syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to) == 0 || errno != ENOENT)
            break;
        /* The name is durable, the content never was. */
        syscall(SYS_unlinkat, AT_FDCWD, to, 0);
        const int fd = (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
            syscall(SYS_close, fd);
        break;
    case 'L':
        syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
        break;
    case 'U':
        syscall(SYS_unlinkat, AT_FDCWD, from, 0);
        break;
    default:
        remove_tree(from);
    }
}

/* Does what is left to be done to names in that directory, and keeps the rest. Under the lock. */
static void
settle(const char *dir)
{
    static __thread char text[JOURNAL], rest[JOURNAL];
    const int fd = of_shadow("names", O_RDWR);
    const ssize_t n = syscall(SYS_pread64, fd, text, sizeof(text) - 1, 0);
    if (n < 0 || n == (ssize_t)sizeof(text) - 1)
        broken("too many changes of names", shadow);
    text[n] = '\0';
    size_t kept = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        char a[PATH] = "", b[PATH] = "";
        if (sscanf(line + 1, " %4095[^\t]\t%4095[^\n]", a, b) < 1)
            broken("not a change of names", line);
        if (is_in(a, dir) || (*b != '\0' && is_in(b, dir)))
            apply(*line, a, b);
        else
            kept += (size_t)snprintf(rest + kept, sizeof(rest) - kept, "%s\n", line);
    }
    if (kept != (size_t)n) {
        /* Whole before and after: the process may be killed here. */
        char path[2 * PATH], new[2 * PATH];
        const int out = of_shadow("names.new", O_WRONLY | O_CREAT | O_TRUNC);
        if (syscall(SYS_pwrite64, out, rest, kept, 0) != (ssize_t)kept)
            broken("it fails", strerror(errno));
        syscall(SYS_close, out);
        snprintf(path, sizeof(path), "%s/names", shadow);
        snprintf(new, sizeof(new), "%s/names.new", shadow);
        syscall(SYS_renameat, AT_FDCWD, new, AT_FDCWD, path);
    }
    syscall(SYS_close, fd);
}

static void
keep_content(const char *path)
{
    static __thread char bytes[CHUNK];
    char live[2 * PATH], to[2 * PATH];
    struct stat st;
    snprintf(live, sizeof(live), "%s/%s", root, path);
    in_tree(path, to);
    const int in = (int)syscall(SYS_openat, AT_FDCWD, live, O_RDONLY | O_CLOEXEC, 0);
    if (in < 0)
        return; /* removed meanwhile */
    make_parents(to);
    const int out = (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (out < 0 || fstat(in, &st) != 0)
        broken("cannot be written", to);
    off_t at = 0;
    ssize_t n;
    while ((n = syscall(SYS_pread64, in, bytes, sizeof(bytes), at)) > 0) {
        if (syscall(SYS_pwrite64, out, bytes, n, at) != n)
            broken("cannot be written", to);
        at += n;
    }
    syscall(SYS_ftruncate, out, at);
    syscall(SYS_close, out);
    syscall(SYS_close, in);
}

static int
synced(int fd)
{
    char link[64], path[PATH], name[PATH];
    struct stat st;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof(path) - 1);
    if (n <= 0 || fstat(fd, &st) != 0)
        return -1;
    path[n] = '\0';
    if (!below(path, name) || st.st_nlink == 0)
        return 0;
    const int held = lock();
    if (S_ISDIR(st.st_mode)) {
        settle(name);
    } else {
        char dir[PATH];
        snprintf(dir, sizeof(dir), "%s", name);
        char *slash = strrchr(dir, '/');
        *(slash != NULL ? slash : dir) = '\0';
        settle(dir);
        keep_content(name);
    }
    unlock(held);
    return 0;
}

int
fsync(int fd)
{
    return on() ? synced(fd) : (int)syscall(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
    return on() ? synced(fd) : (int)syscall(SYS_fdatasync, fd);
}

/* Notes a change of names, before it is made: the process may be killed in between. Returns the lock. */
static int
note(char what, const char *a, const char *b)
{
    char from[PATH] = "", to[PATH] = "", line[2 * PATH + 8];
    if (!on() || !below(a, from) || (b != NULL && !below(b, to)))
        return -1;
    const int held = lock(), fd = of_shadow("names", O_WRONLY | O_APPEND);
    const int n = snprintf(line, sizeof(line), b != NULL ? "%c %s\t%s\n" : "%c %s\n", what, from, to);
    if (syscall(SYS_write, fd, line, n) != n)
        broken("it fails", strerror(errno));
    syscall(SYS_close, fd);
    return held;
}

/* It was made, or was not: then the note of it goes. */
static int
noted(int held, int rc)
{
    const int e = errno;
    if (held < 0)
        return rc;
    if (rc != 0) {
        char text[JOURNAL];
        const int fd = of_shadow("names", O_RDWR);
        ssize_t n = syscall(SYS_pread64, fd, text, sizeof(text), 0);
        if (n > 0)
            for (n--; n > 0 && text[n - 1] != '\n';)
                n--;
        if (n >= 0)
            syscall(SYS_ftruncate, fd, n);
        syscall(SYS_close, fd);
    }
    unlock(held);
    errno = e;
    return rc;
}

int
rename(const char *old, const char *new)
{
    const int held = note('R', old, new);
    return noted(held, (int)syscall(SYS_renameat, AT_FDCWD, old, AT_FDCWD, new));
}

int
link(const char *old, const char *new)
{
    const int held = note('L', old, new);
    return noted(held, (int)syscall(SYS_linkat, AT_FDCWD, old, AT_FDCWD, new, 0));
}

int
unlink(const char *path)
{
    const int held = note('U', path, NULL);
    return noted(held, (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}

int
rmdir(const char *path)
{
    const int held = note('D', path, NULL);
    return noted(held, (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR));
}
