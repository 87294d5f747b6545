/*
 * Names: rename and link. A file's key comes of its identity, and some renames change that: then what is in the file is
 * encrypted anew, in place and synced, before it gets the new name. A crash in between leaves a file that PostgreSQL
 * removes, or makes anew, under its old name.
 */
#include "tde/hooks.h"

#include <string.h>

enum { FIRST_PAGE = 8192 };

/* A segment under construction is zeros, which need no key, or a copy of another's beginning. */
static bool
begins_with_zeros(int fd)
{
    uint8_t first[FIRST_PAGE];
    const ssize_t n = tde_real()->pread(fd, first, sizeof(first), 0);
    return n >= 0 && tde_all_zero(first, (size_t)n);
}

static int
convert(int dirfd, const char *path, const struct tde_what *from, const struct tde_what *to)
{
    const int fd = tde_real()->openat(dirfd, path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -1;
    /*
     * A recycled segment has nothing in it that is read any more, but for its first page, by which tools tell the size
     * of segments.
     */
    const off_t most = from->class == TDE_WAL ? FIRST_PAGE : -1;
    int rc = -1;
    struct tde_file *a = tde_file_new(fd, from->class, from->identity, O_RDWR);
    struct tde_file *b = tde_file_new(fd, to->class, to->identity, O_RDWR);
    if (a != NULL && b != NULL)
        rc = from->class == TDE_WALNEW && begins_with_zeros(fd) ? 0 : tde_file_convert(fd, a, b, most);
    tde_file_put(a);
    tde_file_put(b);
    const int e = errno;
    (void)tde_real()->close(fd);
    errno = e;
    return rc;
}

/* Before a file gets another name. 0, or -1 and errno: the rename must not be done. */
static int
prepare(int old_dir, const char *old, int new_dir, const char *new)
{
    struct tde_what from, to;
    if (!tde_active())
        return 0;
    const bool was = tde_hook_encrypted(old_dir, old, &from), will = tde_hook_encrypted(new_dir, new, &to);
    struct stat st;
    if (!was || (will && from.class == to.class && strcmp(from.identity, to.identity) == 0))
        return 0; /* what is in the clear by name, as a segment from the archive is, has its bytes already */
    if (fstatat(old_dir, old, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return 0; /* the rename itself has what there is to say */
    if (!will) {
        errno = EXDEV; /* to a name in the clear: as between file systems, by reading and writing */
        return -1;
    }
    return convert(old_dir, old, &from, &to);
}

TDE_HOOK(int, rename, (const char *old, const char *new))
{
    return prepare(AT_FDCWD, old, AT_FDCWD, new) != 0 ? -1 : tde_real()->rename(old, new);
}

TDE_HOOK(int, renameat, (int old_dir, const char *old, int new_dir, const char *new))
{
    return prepare(old_dir, old, new_dir, new) != 0 ? -1 : tde_real()->renameat(old_dir, old, new_dir, new);
}

TDE_HOOK(int, renameat2, (int old_dir, const char *old, int new_dir, const char *new, unsigned flags))
{
    return prepare(old_dir, old, new_dir, new) != 0 ? -1 : tde_real()->renameat2(old_dir, old, new_dir, new, flags);
}

TDE_HOOK(int, link, (const char *old, const char *new))
{
    return prepare(AT_FDCWD, old, AT_FDCWD, new) != 0 ? -1 : tde_real()->link(old, new);
}

TDE_HOOK(int, linkat, (int old_dir, const char *old, int new_dir, const char *new, int flags))
{
    return prepare(old_dir, old, new_dir, new) != 0 ? -1 : tde_real()->linkat(old_dir, old, new_dir, new, flags);
}
