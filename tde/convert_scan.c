#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/attr.h"
#include "tde/classify.h"
#include "tde/convert.h"

enum { DEPTH_MAX = 12, LIST_MAX = 1 << 30, DEVICES_MAX = 64, SPARE = 32 << 20 };

struct walk {
    struct tde_scan *scan;
    struct {
        dev_t device;
        uint64_t largest;
        char path[PATH_MAX]; /* a folder there */
    } devices[DEVICES_MAX];
    size_t n_devices;
};

void
tde_scan_done(struct tde_scan *scan)
{
    ks_buf_done(&scan->files);
    ks_buf_done(&scan->folders);
}

static bool
ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

static void
closedirp(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static bool
encrypted(const struct tde_scan *scan, const char *path)
{
    struct tde_what what;
    tde_classify(scan->major, path, &what);
    return tde_is_encrypted(what.class);
}

static int
note_size(struct walk *w, const char *path, const struct stat *st, struct ks_diag *diag)
{
    size_t i = 0;
    while (i < w->n_devices && w->devices[i].device != st->st_dev)
        i++;
    if (i == DEVICES_MAX)
        return ks_fail(diag, KS_E_LIMIT, "the cluster is on more than %d filesystems", DEVICES_MAX);
    if (i == w->n_devices) {
        w->n_devices++;
        w->devices[i].device = st->st_dev;
        w->devices[i].largest = 0;
        (void)snprintf(w->devices[i].path, PATH_MAX, "%s", path);
    }
    if ((uint64_t)st->st_size > w->devices[i].largest)
        w->devices[i].largest = (uint64_t)st->st_size;
    return 0;
}

static int
take_file(struct walk *w, const char *rel, const char *path, const struct stat *st, struct ks_diag *diag)
{
    struct tde_scan *scan = w->scan;
    if (ends_with(rel, TDE_CONVERT_SUFFIX)) {
        char of[PATH_MAX];
        (void)snprintf(of, sizeof(of), "%.*s", (int)(strlen(rel) - strlen(TDE_CONVERT_SUFFIX)), rel);
        if (encrypted(scan, of) && unlink(path) != 0)
            return ks_fail_errno(diag, KS_E_IO, errno, "%s", path);
        return 0;
    }
    if (!encrypted(scan, rel))
        return 0;
    if (!S_ISREG(st->st_mode))
        return ks_fail(diag, KS_E_UNSUPPORTED, "%s: is a link or something else that is no file; put the file there",
                       path);
    if (st->st_nlink != 1)
        return ks_fail(diag, KS_E_UNSUPPORTED,
                       "%s: has %ju names, and another one would stay as it is; remove that (pg_upgrade --link leaves "
                       "such: delete the old cluster first)",
                       path, (uintmax_t)st->st_nlink);
    if (strchr(rel, '\n') != NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "%s: has a name that PostgreSQL does not give", path);
    scan->n_files++;
    scan->bytes += (uint64_t)st->st_size;
    if (ks_buf_add(&scan->files, rel, strlen(rel) + 1) != 0)
        return ks_fail(diag, scan->files.err, "the list of files is too long");
    return note_size(w, path, st, diag);
}

/* Links to folders are PostgreSQL's in the data directory itself (pg_wal) and in pg_tblspc; nothing else is followed.
 */
static bool
follows(const char *rel)
{
    const char *slash = strchr(rel, '/');
    if (slash == NULL)
        return strncmp(rel, "pg_", 3) == 0 || strcmp(rel, "base") == 0 || strcmp(rel, "global") == 0;
    return strncmp(rel, "pg_tblspc/", 10) == 0 && strchr(slash + 1, '/') == NULL;
}

/* A tablespace may have folders of other servers in it: theirs are not ours to touch. */
static bool
is_ours(const struct tde_scan *scan, const char *rel)
{
    char own[64];
    const char *p = strncmp(rel, "pg_tblspc/", 10) == 0 ? strchr(rel + 10, '/') : NULL;
    if (strcmp(rel, "keystead") == 0)
        return false;
    if (p == NULL || strchr(p + 1, '/') != NULL)
        return true;
    (void)snprintf(own, sizeof(own), "/PG_%d_%u", scan->major, scan->catalog);
    return strcmp(p, own) == 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as DEPTH_MAX */
static int
walk(struct walk *w, const char *rel, int depth, struct ks_diag *diag)
{
    char path[PATH_MAX], below[PATH_MAX];
    struct stat st;
    const size_t room = sizeof(path);
    if (depth > DEPTH_MAX || (size_t)snprintf(path, room, "%s/%s", w->scan->data, rel) >= room)
        return ks_fail(diag, KS_E_LIMIT, "%s: folders too deep", rel);
    KS_CLEANUP(closedirp) DIR *dir = opendir(path);
    if (dir == NULL)
        return ks_fail_errno(diag, KS_E_IO, errno, "%s", path);
    if (ks_buf_add(&w->scan->folders, rel, strlen(rel) + 1) != 0)
        return ks_fail(diag, w->scan->folders.err, "the list of folders is too long");
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL)
            return errno == 0 ? 0 : ks_fail_errno(diag, KS_E_IO, errno, "%s", path);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if ((size_t)snprintf(below, room, "%s%s%s", rel, *rel != '\0' ? "/" : "", entry->d_name) >= room ||
            (size_t)snprintf(path, room, "%s/%s", w->scan->data, below) >= room)
            return ks_fail(diag, KS_E_LIMIT, "%s: the path is too long", below);
        if (lstat(path, &st) != 0)
            return ks_fail_errno(diag, KS_E_IO, errno, "%s", path);
        if (S_ISLNK(st.st_mode) && follows(below) && stat(path, &st) != 0)
            return ks_fail_errno(diag, KS_E_IO, errno, "%s", path);
        if (!S_ISDIR(st.st_mode))
            KS_TRY(take_file(w, below, path, &st, diag));
        else if (is_ours(w->scan, below))
            KS_TRY(walk(w, below, depth + 1, diag));
    }
}

static int
check_space(const struct walk *w, struct ks_diag *diag)
{
    for (size_t i = 0; i < w->n_devices; i++) {
        struct statvfs fs;
        if (statvfs(w->devices[i].path, &fs) != 0)
            return ks_fail_errno(diag, KS_E_IO, errno, "%s", w->devices[i].path);
        const uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize, need = w->devices[i].largest + SPARE;
        if (free_bytes < need)
            return ks_fail(diag, KS_E_FULL,
                           "the filesystem of %.300s has %ju MiB free, and the largest file needs %ju MiB: make room",
                           w->devices[i].path, (uintmax_t)(free_bytes >> 20), (uintmax_t)(need >> 20));
    }
    return 0;
}

int
tde_scan(struct tde_scan *scan, struct ks_diag *diag)
{
    struct walk w = {.scan = scan};
    scan->files = scan->folders = KS_BUF(LIST_MAX);
    scan->n_files = scan->bytes = 0;
    KS_TRY(walk(&w, "", 0, diag));
    return check_space(&w, diag);
}
