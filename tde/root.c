#include "tde/root.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tde/real.h"

static struct {
    char path[TDE_PATH_MAX];
    size_t len;
    bool known; /* dev and ino are */
    dev_t dev;
    ino_t ino;
    bool tablespaces;
    int major;
    bool cwd_inside;
    char cwd[TDE_PATH_MAX]; /* below the root; "" is the root itself */
} root;

/* "a//b/./c" to "a/b/c"; false: a "..", which only the file system can answer, or too long. */
static bool
tidy(const char *path, char ret[TDE_PATH_MAX])
{
    size_t n = 0;
    if (*path == '/')
        ret[n++] = '/';
    while (*path != '\0') {
        const size_t len = strcspn(path, "/");
        if (len == 2 && path[0] == '.' && path[1] == '.')
            return false;
        if (len > 0 && !(len == 1 && path[0] == '.')) {
            if (n + len + 2 >= TDE_PATH_MAX)
                return false;
            if (n > 0 && ret[n - 1] != '/')
                ret[n++] = '/';
            memcpy(ret + n, path, len);
            n += len;
        }
        path += len;
        path += *path == '/';
    }
    ret[n] = '\0';
    return true;
}

static bool
find_root(void)
{
    struct stat st;
    if (!root.known && root.len > 0 && stat(root.path, &st) == 0) {
        root.known = true;
        root.dev = st.st_dev;
        root.ino = st.st_ino;
        tde_root_cwd_changed();
    }
    return root.known;
}

static bool
is_root(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_dev == root.dev && st.st_ino == root.ino;
}

/* An absolute, tidy path: what of it is below the root, by name or, under another name, by device and inode. */
static const char *
below(char *path)
{
    if (strncmp(path, root.path, root.len) == 0 && (path[root.len] == '/' || path[root.len] == '\0'))
        return path + root.len + (path[root.len] == '/');
    if (!root.known)
        return NULL;
    for (char *p = path + strlen(path); p > path; p--) {
        if (*p != '/' && *p != '\0')
            continue;
        const char was = *p;
        *p = '\0';
        const bool same = is_root(path);
        *p = was;
        if (same)
            return p + (was == '/');
    }
    return NULL;
}

void
tde_root_cwd_changed(void)
{
    char path[TDE_PATH_MAX];
    root.cwd_inside = false;
    if (!root.known || getcwd(path, sizeof(path)) == NULL)
        return;
    const char *in = below(path);
    if (in == NULL)
        return;
    snprintf(root.cwd, sizeof(root.cwd), "%s", in);
    root.cwd_inside = true;
}

void
tde_root_set(const char *path, bool tablespaces_outside)
{
    memset(&root, 0, sizeof(root));
    if (*path == '\0')
        return;
    char whole[TDE_PATH_MAX], cwd[TDE_PATH_MAX];
    if (*path != '/' && getcwd(cwd, sizeof(cwd)) != NULL &&
        (size_t)snprintf(whole, sizeof(whole), "%s/%s", cwd, path) < sizeof(whole))
        path = whole;
    if (!tidy(path, root.path) && realpath(path, root.path) == NULL)
        root.path[0] = '\0';
    root.len = strlen(root.path);
    root.tablespaces = tablespaces_outside;
    find_root();
}

void
tde_root_tablespaces(void)
{
    root.tablespaces = true;
}

const char *
tde_root(void)
{
    return root.path;
}

int
tde_root_major(void)
{
    char path[TDE_PATH_MAX + 16], text[8] = {0};
    if (root.major != 0 || root.len == 0)
        return root.major;
    snprintf(path, sizeof(path), "%s/PG_VERSION", root.path);
    const int fd = tde_real()->open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (tde_real()->read(fd, text, sizeof(text) - 1) > 0)
        root.major = (int)strtol(text, NULL, 10);
    tde_real()->close(fd);
    return root.major;
}

/* An absolute path without "..": what is in front of the last part by the file system, if need be. */
static bool
absolute(int dirfd, const char *path, char ret[TDE_PATH_MAX])
{
    char whole[2 * TDE_PATH_MAX], base[TDE_PATH_MAX];
    if (*path != '/') {
        if (dirfd == AT_FDCWD) {
            if (getcwd(base, sizeof(base)) == NULL)
                return false;
        } else {
            char link[32];
            snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
            const ssize_t n = readlink(link, base, sizeof(base) - 1);
            if (n <= 0)
                return false;
            base[n] = '\0';
        }
        if ((size_t)snprintf(whole, sizeof(whole), "%s/%s", base, path) >= sizeof(whole))
            return false;
        path = whole;
    }
    if (tidy(path, ret))
        return true;
    const char *last = strrchr(path, '/');
    char front[2 * TDE_PATH_MAX], real[PATH_MAX];
    snprintf(front, sizeof(front), "%.*s", (int)(last - path), path);
    if (strcmp(last, "/..") == 0 || realpath(*front != '\0' ? front : "/", real) == NULL)
        return false;
    return (size_t)snprintf(front, sizeof(front), "%s%s", real, last) < TDE_PATH_MAX && tidy(front, ret);
}

/* Below the root: the path there; else false, and the absolute path (or "" where there is none). */
static bool
locate(int dirfd, const char *path, char ret[TDE_PATH_MAX])
{
    ret[0] = '\0';
    if (root.len == 0)
        return false;
    find_root();
    if (*path != '/' && dirfd == AT_FDCWD && root.cwd_inside && tidy(path, ret)) {
        if (root.cwd[0] == '\0')
            return true;
        char in[TDE_PATH_MAX];
        memcpy(in, ret, sizeof(in));
        return (size_t)snprintf(ret, TDE_PATH_MAX, "%s/%s", root.cwd, in) < TDE_PATH_MAX;
    }
    char whole[TDE_PATH_MAX];
    if (!absolute(dirfd, path, whole))
        return false;
    const char *in = below(whole);
    snprintf(ret, TDE_PATH_MAX, "%s", in != NULL ? in : whole);
    return in != NULL;
}

void
tde_root_classify(int dirfd, const char *path, struct tde_what *ret)
{
    char where[TDE_PATH_MAX];
    if (locate(dirfd, path, where))
        tde_classify(tde_root_major(), where, ret);
    else
        tde_classify_outside(tde_root_major(), where, root.tablespaces, ret);
}

bool
tde_root_relative(int dirfd, const char *path, char ret[TDE_PATH_MAX])
{
    return locate(dirfd, path, ret);
}
