#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tde/bundle.h"
#include "tde/convert.h"

#define MAGIC "keystead conversion 1"

enum { JOURNAL_MAX = 1 << 30 };

static const char *const words[] = {[TDE_CONVERT_NOTHING] = "",
                                    [TDE_CONVERT_ENCRYPT] = "encrypt",
                                    [TDE_CONVERT_DECRYPT] = "decrypt",
                                    [TDE_CONVERT_ROTATE] = "rotate"};

void
tde_journal_done(struct tde_journal *j)
{
    ks_closep(&j->fd);
    ks_buf_done(&j->text);
    free(j->lines);
    j->lines = NULL;
    j->n_lines = 0;
}

static int
by_path(const void *a, const void *b)
{
    return strcmp(((const struct tde_journal_line *)a)->path, ((const struct tde_journal_line *)b)->path);
}

/* "OLD NEW PATH", cut at its newline. */
static int
parse_line(char *text, struct tde_journal_line *ret)
{
    char *end;
    errno = 0;
    ret->before = strtoull(text, &end, 10);
    if (end == text || *end != ' ')
        return KS_E_MALFORMED;
    text = end + 1;
    ret->after = strtoull(text, &end, 10);
    if (end == text || *end != ' ' || end[1] == '\0' || errno != 0)
        return KS_E_MALFORMED;
    ret->path = end + 1;
    return 0;
}

static int
parse_first(const char *text, uint64_t *ret_inode, enum tde_direction *ret)
{
    const size_t n = strlen(MAGIC);
    if (strncmp(text, MAGIC " ", n + 1) != 0)
        return KS_E_MALFORMED;
    for (int i = TDE_CONVERT_ENCRYPT; i <= TDE_CONVERT_ROTATE; i++) {
        const size_t len = strlen(words[i]);
        char *end;
        if (strncmp(text + n + 1, words[i], len) != 0 || text[n + 1 + len] != ' ')
            continue;
        *ret_inode = strtoull(text + n + 1 + len, &end, 10);
        *ret = (enum tde_direction)i;
        return *end == '\0' ? 0 : KS_E_MALFORMED;
    }
    return KS_E_MALFORMED;
}

static int
parse(struct tde_journal *j, uint64_t inode, struct ks_diag *diag)
{
    char *text = (char *)j->text.data;
    size_t n = 0, at = 0;
    uint64_t own = 0;
    enum tde_direction direction = TDE_CONVERT_NOTHING;
    for (size_t i = 0; i < j->text.len; i++)
        n += text[i] == '\n';
    if ((j->lines = calloc(n + 1, sizeof(*j->lines))) == NULL)
        return ks_fail(diag, KS_E_NOMEM, "out of memory");
    for (size_t line = 0; line < n; line++) {
        char *end = memchr(text + at, '\n', j->text.len - at);
        *end = '\0';
        if ((line == 0 ? parse_first(text, &own, &direction) : parse_line(text + at, &j->lines[line - 1])) != 0)
            return ks_fail(diag, KS_E_CORRUPT, "%s, line %zu: is not what was written there; nothing was touched",
                           j->path, line + 1);
        at = (size_t)(end - text) + 1;
    }
    if (own != inode)
        return ks_fail(diag, KS_E_CORRUPT,
                       "%s belongs to another copy of this cluster: it was copied or restored in the middle of a "
                       "conversion. Go on with the one where it began, or restore another backup",
                       j->path);
    j->n_lines = n - 1;
    qsort(j->lines, j->n_lines, sizeof(*j->lines), by_path);
    j->direction = direction;
    return 0;
}

int
tde_journal_read(const char *data, struct tde_journal *ret, struct ks_diag *diag)
{
    struct stat st;
    *ret = (struct tde_journal){.fd = -1, .text = KS_BUF(JOURNAL_MAX)};
    if ((size_t)snprintf(ret->path, sizeof(ret->path), "%s/" TDE_CONVERTING, data) >= sizeof(ret->path))
        return ks_fail(diag, KS_E_INVALID, "%s: the path is too long", data);
    if (stat(ret->path, &st) != 0)
        return errno == ENOENT ? 0 : ks_fail_errno(diag, KS_E_IO, errno, "%s", ret->path);
    KS_TRY(ks_file_read(ret->path, &ret->text, diag));
    while (ret->text.len > 0 && ret->text.data[ret->text.len - 1] != '\n')
        ret->text.len--; /* a line that a crash cut off: its file was not renamed */
    if (ret->text.len == 0)
        return 0;
    KS_TRY(parse(ret, st.st_ino, diag));
    ret->fd = open(ret->path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (ret->fd < 0 || ftruncate(ret->fd, (off_t)ret->text.len) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "%s", ret->path);
    return 0;
}

int
tde_journal_begin(struct tde_journal *j, enum tde_direction direction, struct ks_diag *diag)
{
    char line[128];
    struct stat st;
    if (unlink(j->path) != 0 && errno != ENOENT)
        return ks_fail_errno(diag, KS_E_IO, errno, "%s", j->path);
    j->fd = open(j->path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (j->fd < 0 || fstat(j->fd, &st) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "%s", j->path);
    const int n = snprintf(line, sizeof(line), MAGIC " %s %ju\n", words[direction], (uintmax_t)st.st_ino);
    KS_TRY(tde_journal_add(j, KS_SPAN(line, (size_t)n), diag));
    j->direction = direction;
    return ks_fsync_parent(j->path, diag);
}

int
tde_journal_add(struct tde_journal *j, struct ks_span lines, struct ks_diag *diag)
{
    if (ks_write_all(j->fd, lines.data, lines.len) != 0 || fsync(j->fd) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "%s", j->path);
    return 0;
}

int
tde_journal_remove(struct tde_journal *j, struct ks_diag *diag)
{
    if (unlink(j->path) != 0 && errno != ENOENT)
        return ks_fail_errno(diag, KS_E_IO, errno, "%s", j->path);
    return ks_fsync_parent(j->path, diag);
}

int
tde_journal_is_done(const struct tde_journal *j, const char *path, uint64_t inode, bool *ret_done, struct ks_diag *diag)
{
    const struct tde_journal_line key = {.path = path};
    const struct tde_journal_line *line =
        j->n_lines != 0 ? bsearch(&key, j->lines, j->n_lines, sizeof(key), by_path) : NULL;
    bool old = line == NULL, new = false;
    if (line != NULL) {
        while (line > j->lines && by_path(line - 1, &key) == 0)
            line--;
        for (; line < j->lines + j->n_lines && by_path(line, &key) == 0; line++) {
            old = old || line->before == inode;
            new = new || line->after == inode;
        }
    }
    if (!old && !new)
        return ks_fail(diag, KS_E_CORRUPT,
                       "%s: was put there by somebody else in the middle of the conversion; it cannot be told whether "
                       "it is encrypted. Restore a backup",
                       path);
    *ret_done = new;
    return 0;
}
