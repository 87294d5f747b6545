#include "tde/root.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tde/real.h"

struct root {
    char path[TDE_PATH_MAX];
    size_t len;
    bool known; /* dev and ino are */
    dev_t dev;
    ino_t ino;
    bool plain; /* what is in it is in the clear */
    int major;
    bool cwd_inside;
    char cwd[TDE_PATH_MAX]; /* below the root; "" is the root itself */
};

static struct root roots[TDE_ROOTS];
static unsigned count;
static bool tablespaces;

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

static void cwd_changed(struct root *r);

static bool
find_root(struct root *r)
{
    struct stat st;
    if (!r->known && r->len > 0 && stat(r->path, &st) == 0) {
        r->known = true;
        r->dev = st.st_dev;
        r->ino = st.st_ino;
        cwd_changed(r);
    }
    return r->known;
}

static bool
is_root(const struct root *r, const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_dev == r->dev && st.st_ino == r->ino;
}

/* An absolute, tidy path: what of it is below the root, by name or, under another name, by device and inode. */
static const char *
below(const struct root *r, char *path)
{
    if (strncmp(path, r->path, r->len) == 0 && (path[r->len] == '/' || path[r->len] == '\0'))
        return path + r->len + (path[r->len] == '/');
    if (!r->known)
        return NULL;
    for (char *p = path + strlen(path); p > path; p--) {
        if (*p != '/' && *p != '\0')
            continue;
        const char was = *p;
        *p = '\0';
        const bool same = is_root(r, path);
        *p = was;
        if (same)
            return p + (was == '/');
    }
    return NULL;
}

static void
cwd_changed(struct root *r)
{
    char path[TDE_PATH_MAX];
    r->cwd_inside = false;
    if (!r->known || getcwd(path, sizeof(path)) == NULL)
        return;
    const char *in = below(r, path);
    if (in == NULL)
        return;
    snprintf(r->cwd, sizeof(r->cwd), "%s", in);
    r->cwd_inside = true;
}

void
tde_root_cwd_changed(void)
{
    for (unsigned i = 0; i < count; i++)
        cwd_changed(&roots[i]);
}

static void
set(struct root *r, const char *path)
{
    memset(r, 0, sizeof(*r));
    char whole[TDE_PATH_MAX], cwd[TDE_PATH_MAX];
    if (*path != '/' && getcwd(cwd, sizeof(cwd)) != NULL &&
        (size_t)snprintf(whole, sizeof(whole), "%s/%s", cwd, path) < sizeof(whole))
        path = whole;
    if (!tidy(path, r->path) && realpath(path, r->path) == NULL)
        r->path[0] = '\0';
    r->len = strlen(r->path);
    find_root(r);
}

void
tde_root_set(const char *path, bool tablespaces_outside)
{
    memset(roots, 0, sizeof(roots));
    count = 0;
    tablespaces = tablespaces_outside;
    if (*path == '\0')
        return;
    set(&roots[0], path);
    count = roots[0].len > 0 ? 1 : 0;
}

bool
tde_root_second(const char *path, bool plain)
{
    if (count == 0 || *path == '\0')
        return false;
    set(&roots[1], path);
    roots[1].plain = plain;
    count = roots[1].known && !is_root(&roots[0], roots[1].path) ? 2 : 1;
    return count == 2;
}

const char *
tde_root_of(unsigned which)
{
    return which < count ? roots[which].path : "";
}

void
tde_root_tablespaces(void)
{
    tablespaces = true;
}

const char *
tde_root(void)
{
    return roots[0].path;
}

static int
major_of(struct root *r)
{
    char path[TDE_PATH_MAX + 16], text[8] = {0};
    if (r->major != 0 || r->len == 0)
        return r->major;
    snprintf(path, sizeof(path), "%s/PG_VERSION", r->path);
    const int fd = tde_real()->open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (tde_real()->read(fd, text, sizeof(text) - 1) > 0)
        r->major = (int)strtol(text, NULL, 10);
    tde_real()->close(fd);
    return r->major;
}

int
tde_root_major(void)
{
    return major_of(&roots[0]);
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

/* Below a root: which, and the path there; else -1, and the absolute path (or "" where there is none). */
static int
locate(int dirfd, const char *path, char ret[TDE_PATH_MAX])
{
    ret[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        struct root *r = &roots[i];
        find_root(r);
        if (*path == '/' || dirfd != AT_FDCWD || !r->cwd_inside || !tidy(path, ret))
            continue;
        if (r->cwd[0] == '\0')
            return (int)i;
        char in[TDE_PATH_MAX];
        memcpy(in, ret, sizeof(in));
        return (size_t)snprintf(ret, TDE_PATH_MAX, "%s/%s", r->cwd, in) < TDE_PATH_MAX ? (int)i : -1;
    }
    char whole[TDE_PATH_MAX];
    ret[0] = '\0';
    if (count == 0 || !absolute(dirfd, path, whole))
        return -1;
    for (unsigned i = 0; i < count; i++) {
        const char *in = below(&roots[i], whole);
        if (in == NULL)
            continue;
        snprintf(ret, TDE_PATH_MAX, "%s", in);
        return (int)i;
    }
    snprintf(ret, TDE_PATH_MAX, "%s", whole);
    return -1;
}

/* Both clusters of an upgrade have folders in the same tablespaces, with their major versions in their names. */
static unsigned
owner(const char *where)
{
    const char *space = count > 1 ? strstr(where, "/PG_") : NULL;
    if (space == NULL)
        return 0;
    const long major = strtol(space + strlen("/PG_"), NULL, 10);
    return major == major_of(&roots[1]) && major != major_of(&roots[0]) ? 1 : 0;
}

void
tde_root_classify(int dirfd, const char *path, struct tde_what *ret)
{
    char where[TDE_PATH_MAX];
    const int which = locate(dirfd, path, where);
    const unsigned i = which >= 0 ? (unsigned)which : owner(where);
    if (which >= 0)
        tde_classify(major_of(&roots[i]), where, ret);
    else
        tde_classify_outside(major_of(&roots[i]), where, tablespaces, ret);
    ret->root = i;
    if (roots[i].plain)
        ret->class = TDE_CLEAR;
}

bool
tde_root_relative(int dirfd, const char *path, char ret[TDE_PATH_MAX])
{
    return locate(dirfd, path, ret) == 0;
}
