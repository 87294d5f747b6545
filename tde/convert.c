#include "tde/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tde/file.h"

enum {
    PAGE = 8192, /* a multiple of the unit of every class whose zeros stay zeros */
    PIECE = 8 * PAGE,
    BATCH_FILES = 64, /* so many new files, or bytes of them, are synced before the journal is */
    BATCH_BYTES = 8 << 20,
};

struct work {
    struct tde_convert *convert;
    uint8_t *piece;
    struct tde_file *from, *to; /* of the file in work; NULL: that side is plain */
    struct ks_buf lines, paths; /* of the batch; each path with its NUL */
    size_t n, bytes;
    uint64_t behind;
    uint64_t pages, plausible; /* of the file in work */
};

static int
full_path(const struct work *w, const char *rel, const char *suffix, char ret[PATH_MAX], struct ks_diag *diag)
{
    if (snprintf(ret, PATH_MAX, "%s/%s%s", w->convert->scan->data, rel, suffix) >= PATH_MAX)
        return ks_fail(diag, KS_E_LIMIT, "%s: the path is too long", rel);
    return 0;
}

/* Notes the batch, and only then gives the new files their names. */
static int
finish_batch(struct work *w, struct ks_diag *diag)
{
    char from[PATH_MAX], to[PATH_MAX];
    if (w->n == 0)
        return 0;
    if (w->lines.err != 0 || w->paths.err != 0)
        return ks_fail(diag, KS_E_NOMEM, "out of memory");
    KS_TRY(tde_journal_add(w->convert->journal, ks_buf_span(&w->lines), diag));
    const char *rel = (const char *)w->paths.data;
    for (size_t i = 0; i < w->n; i++, rel += strlen(rel) + 1) {
        KS_TRY(full_path(w, rel, TDE_CONVERT_SUFFIX, from, diag));
        KS_TRY(full_path(w, rel, "", to, diag));
        if (rename(from, to) != 0)
            return ks_fail_errno(diag, KS_E_IO, errno, "%s", to);
    }
    w->convert->converted += w->n;
    w->n = w->bytes = 0;
    ks_buf_reset(&w->lines);
    ks_buf_reset(&w->paths);
    return 0;
}

static ssize_t
get(struct tde_file *file, int fd, uint8_t *data, size_t n, off_t offset)
{
    if (file != NULL)
        return tde_file_pread(file, fd, data, n, offset);
    size_t done = 0;
    while (done < n) {
        const ssize_t got = pread(fd, data + done, n - done, offset + (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static int
put(struct tde_file *file, int fd, const uint8_t *data, size_t n, off_t offset)
{
    for (size_t done = 0; done < n;) {
        const ssize_t now = file != NULL ? tde_file_pwrite(file, fd, data + done, n - done, offset + (off_t)done)
                                         : pwrite(fd, data + done, n - done, offset + (off_t)done);
        if (now <= 0 && (now == 0 || errno != EINTR))
            return -1;
        done += now > 0 ? (size_t)now : 0;
    }
    return 0;
}

/* A page of a relation says its size and its layout; what says neither is no page, or is encrypted already. */
static void
look_at_page(struct work *w, const uint8_t *page)
{
    uint16_t field;
    memcpy(&field, page + 18, sizeof(field));
    const unsigned size = field & 0xFF00U, layout = field & 0xFFU;
    w->pages++;
    if (layout >= 1 && layout <= 8 && size >= 1024 && (size & (size - 1)) == 0)
        w->plausible++;
}

/* In classes whose zeros stay zeros, a page of them is left as the hole that ftruncate made. */
static int
put_piece(struct work *w, const struct tde_class_row *row, int fd, size_t n, off_t offset)
{
    const size_t step = (row->flags & TDE_FIXED) != 0 ? PAGE : n;
    for (size_t at = 0; at < n; at += step) {
        const size_t part = n - at < step ? n - at : step;
        const uint8_t *data = w->piece + at;
        if ((row->flags & TDE_FIXED) != 0 && part == PAGE) {
            if (tde_all_zero(data, PAGE))
                continue;
            look_at_page(w, data);
        }
        if (put(w->to, fd, data, part, offset + (off_t)at) != 0)
            return -1;
    }
    return 0;
}

static int
copy(struct work *w, const struct tde_class_row *row, int from, int to, off_t size)
{
    w->pages = w->plausible = 0;
    errno = EIO;
    if ((row->flags & TDE_FIXED) != 0 && ftruncate(to, size - size % PAGE) != 0)
        return -1;
    for (off_t at = 0; at < size;) {
        const size_t want = size - at < PIECE ? (size_t)(size - at) : PIECE;
        const ssize_t got = get(w->from, from, w->piece, want, at);
        if (got != (ssize_t)want || put_piece(w, row, to, want, at) != 0)
            return -1;
        at += got;
        if (w->convert->progress != NULL)
            w->convert->progress(w->convert->arg, w->behind + (uint64_t)at);
    }
    return 0;
}

static int
keep_status(int fd, const struct stat *st)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    struct stat now;
    if (fstat(fd, &now) != 0 || now.st_size != st->st_size)
        return -1;
    if ((now.st_uid != st->st_uid || now.st_gid != st->st_gid) && fchown(fd, st->st_uid, st->st_gid) != 0)
        return -1;
    return fchmod(fd, st->st_mode & 07777) != 0 || futimens(fd, times) != 0 || fsync(fd) != 0 ? -1 : 0;
}

/* By the direction: the sides of a file that are encrypted, and by which generation. */
static int
open_sides(struct work *w, const struct tde_what *what, int from, int to)
{
    const enum tde_direction direction = w->convert->journal->direction;
    w->from = w->to = NULL;
    if (direction != TDE_CONVERT_ENCRYPT && (w->from = tde_file_new(from, what->class, what->identity, O_RDWR)) == NULL)
        return -1;
    if (direction == TDE_CONVERT_ENCRYPT)
        w->to = tde_file_new(to, what->class, what->identity, O_RDWR);
    if (direction == TDE_CONVERT_ROTATE)
        w->to = tde_file_new_next(to, what->class, what->identity, O_RDWR);
    return direction != TDE_CONVERT_DECRYPT && w->to == NULL ? -1 : 0;
}

static void
close_sides(struct work *w)
{
    tde_file_put(w->from);
    tde_file_put(w->to);
    w->from = w->to = NULL;
}

/* The new file beside the old one, synced, with all that the old one has. */
static int
convert_file(struct work *w, const char *rel, const struct tde_what *what, int from, const struct stat *st,
             struct ks_diag *diag)
{
    char path[PATH_MAX];
    struct stat new;
    KS_TRY(full_path(w, rel, TDE_CONVERT_SUFFIX, path, diag));
    KS_CLEANUP(ks_closep) int to = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0 || fstat(to, &new) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "%s", path);
    const bool good = open_sides(w, what, from, to) == 0 &&
                      copy(w, &tde_classes[what->class], from, to, st->st_size) == 0 && keep_status(to, st) == 0;
    const int err = errno;
    close_sides(w);
    if (!good) {
        (void)unlink(path);
        return ks_fail_errno(diag, KS_E_IO, err, "%s", path);
    }
    if (what->class == TDE_REL && w->plausible * 8 < w->pages) {
        (void)unlink(path);
        return ks_fail(diag, KS_E_CORRUPT,
                       "%s: what is to be plain has no pages of PostgreSQL's in it: the file is damaged, or %s", rel,
                       w->convert->journal->direction == TDE_CONVERT_ENCRYPT ? "encrypted already"
                                                                             : "not encrypted with these keys");
    }
    if (ks_buf_addf(&w->lines, "%ju %ju %s\n", (uintmax_t)st->st_ino, (uintmax_t) new.st_ino, rel) == 0)
        (void)ks_buf_add(&w->paths, rel, strlen(rel) + 1);
    w->n++;
    w->bytes += (size_t)st->st_size;
    return w->n == BATCH_FILES || w->bytes >= BATCH_BYTES ? finish_batch(w, diag) : 0;
}

/* What the server makes anew at its next start, or removes then. */
static bool
is_temporary(const char *rel, const struct tde_what *what)
{
    const char *last = strrchr(rel, '/');
    last = last != NULL ? last + 1 : rel;
    return tde_classes[what->class].key == TDE_KEY_TEMP || what->class == TDE_WALNEW ||
           strncmp(last, "pg_internal.init", 16) == 0;
}

static int
one_file(struct work *w, const char *rel, struct ks_diag *diag)
{
    char path[PATH_MAX];
    struct tde_what what;
    struct stat st;
    bool done = false;
    KS_TRY(full_path(w, rel, "", path, diag));
    tde_classify(w->convert->scan->major, rel, &what);
    if (is_temporary(rel, &what)) {
        w->convert->removed++;
        return unlink(path) == 0 ? 0 : ks_fail_errno(diag, KS_E_IO, errno, "%s", path);
    }
    KS_CLEANUP(ks_closep) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "%s", path);
    KS_TRY(tde_journal_is_done(w->convert->journal, rel, st.st_ino, &done, diag));
    if (done)
        w->convert->before++;
    else if (st.st_size != 0) /* an empty file is the same either way */
        KS_TRY(convert_file(w, rel, &what, fd, &st, diag));
    w->behind += (uint64_t)st.st_size;
    return 0;
}

static int
sync_folders(const struct work *w, struct ks_diag *diag)
{
    const struct ks_buf *folders = &w->convert->scan->folders;
    for (size_t at = 0; at < folders->len;) {
        const char *rel = (const char *)folders->data + at;
        char path[PATH_MAX];
        KS_TRY(full_path(w, rel, "", path, diag));
        KS_CLEANUP(ks_closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) != 0)
            return ks_fail_errno(diag, KS_E_IO, errno, "%s", path);
        at += strlen(rel) + 1;
    }
    return 0;
}

static int
convert_all(struct work *w, struct ks_diag *diag)
{
    const struct ks_buf *files = &w->convert->scan->files;
    for (size_t at = 0; at < files->len; at += strlen((const char *)files->data + at) + 1)
        KS_TRY(one_file(w, (const char *)files->data + at, diag));
    KS_TRY(finish_batch(w, diag));
    return sync_folders(w, diag);
}

int
tde_convert(struct tde_convert *convert, struct ks_diag *diag)
{
    struct work w = {.convert = convert, .piece = malloc(PIECE), .lines = KS_BUF(1 << 20), .paths = KS_BUF(1 << 20)};
    if (w.piece == NULL)
        return ks_fail(diag, KS_E_NOMEM, "out of memory");
    const int rc = convert_all(&w, diag);
    ks_wipe(w.piece, PIECE);
    free(w.piece);
    ks_buf_done(&w.lines);
    ks_buf_done(&w.paths);
    return rc;
}
