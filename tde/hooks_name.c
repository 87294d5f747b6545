/*
 * Names: rename, link and unlink. A file's key comes of its identity, and some renames change that: then what is in the
 * file is encrypted anew, in place and synced, before it gets the new name. A crash in between leaves a file that
 * PostgreSQL removes, or makes anew, under its old name.
 */
#include "tde/hooks.h"
#include "tde/keys.h"

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
    struct tde_file *a = tde_file_new_of(from->root, fd, from->class, from->identity, O_RDWR);
    struct tde_file *b = tde_file_new_of(to->root, fd, to->class, to->identity, O_RDWR);
    if (a != NULL && b != NULL)
        rc = from->class == TDE_WALNEW && begins_with_zeros(fd) ? 0 : tde_file_convert(fd, a, b, most);
    tde_file_put(a);
    tde_file_put(b);
    const int e = errno;
    (void)tde_real()->close(fd);
    errno = e;
    return rc;
}

/*
 * A timeline's history is written under the name of a segment under construction, and gets a name in the clear: small,
 * and nothing that anybody keeps secret.
 */
static int
reveal(int dirfd, const char *path, const struct tde_what *from)
{
    static uint8_t bytes[65536];
    const int fd = tde_real()->openat(dirfd, path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = -1;
    struct tde_file *f = tde_file_new_of(from->root, fd, from->class, from->identity, O_RDWR);
    const ssize_t n = f != NULL ? tde_file_pread(f, fd, bytes, sizeof(bytes), 0) : -1;
    if (n == (ssize_t)sizeof(bytes))
        errno = EFBIG;
    else if (n >= 0 && tde_real()->pwrite(fd, bytes, (size_t)n, 0) == n)
        rc = fdatasync(fd);
    ks_wipe(bytes, sizeof(bytes));
    tde_file_put(f);
    const int e = errno;
    (void)tde_real()->close(fd);
    errno = e;
    return rc;
}

/* A file that no row knew, and so was written in the clear, gets a name under which it will be decrypted. */
static int
conceal(int dirfd, const char *path, const struct tde_what *to)
{
    struct stat st;
    const int fd = tde_real()->openat(dirfd, path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = -1;
    struct tde_file *f = tde_file_new_of(to->root, fd, to->class, to->identity, O_RDWR);
    uint8_t *bytes = f != NULL && fstat(fd, &st) == 0 ? malloc((size_t)st.st_size + 1) : NULL;
    if (bytes != NULL && tde_real()->pread(fd, bytes, (size_t)st.st_size, 0) == st.st_size &&
        tde_real()->ftruncate(fd, 0) == 0 && tde_file_pwrite(f, fd, bytes, (size_t)st.st_size, 0) == st.st_size)
        rc = fdatasync(fd);
    if (bytes != NULL)
        ks_wipe(bytes, (size_t)st.st_size);
    free(bytes);
    tde_file_put(f);
    const int e = errno;
    (void)tde_real()->close(fd);
    errno = e;
    return rc;
}

static bool
has_keys(const struct tde_what *what)
{
    return what->row != NULL && tde_is_encrypted(what->row->class);
}

/* From one cluster to another: the bytes may be shared if they mean the same in both. */
static bool
apart(const struct tde_what *from, const struct tde_what *to)
{
    if (from->root == to->root || (!has_keys(from) && !has_keys(to)))
        return false;
    return from->class != to->class || strcmp(from->identity, to->identity) != 0 || !tde_keys_same();
}

/* Before a file gets another name. 0, or -1 and errno: the rename must not be done. */
static int
prepare(int old_dir, const char *old, int new_dir, const char *new)
{
    struct tde_what from, to;
    if (!tde_active())
        return 0;
    const bool was = tde_hook_encrypted(old_dir, old, &from), will = tde_hook_encrypted(new_dir, new, &to);
    if (apart(&from, &to)) {
        errno = EXDEV;
        return -1;
    }
    struct stat st;
    if (from.class == TDE_UNKNOWN && will && fstatat(old_dir, old, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(st.st_mode))
        return conceal(old_dir, old, &to);
    if (!was || (will && from.class == to.class && strcmp(from.identity, to.identity) == 0))
        return 0; /* what is in the clear by name, as a segment from the archive is, has its bytes already */
    if (fstatat(old_dir, old, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return 0; /* the rename itself has what there is to say */
    if (!will && from.class == TDE_WALNEW)
        return reveal(old_dir, old, &from);
    if (!will) {
        errno = EXDEV; /* to a name in the clear: as between file systems, by reading and writing */
        return -1;
    }
    return convert(old_dir, old, &from, &to);
}

/* pg_rewind removes what the other cluster does not have. */
TDE_HOOK(int, unlink, (const char *path))
{
    return tde_process_keeps(AT_FDCWD, path) ? 0 : tde_real()->unlink(path);
}

TDE_HOOK(int, rmdir, (const char *path))
{
    return tde_process_keeps(AT_FDCWD, path) ? 0 : tde_real()->rmdir(path);
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
