#include "tde/clear.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum {
    PAGE = 8192,      /* of relations and of the write-ahead log, as PostgreSQL is built */
    PAGE_VERSION = 4, /* since 8.3 */
    BLOCK = 16,       /* a block of ciphertext; one of zeros was never written */
    READ = 64 * PAGE,
    LIST_MAX = 1 << 30,
};

/* ---- What plaintext looks like ---- */

static uint16_t
u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* PageHeaderData: LSN, checksum, flags, lower, upper, special, size and version. */
static bool
is_page(const uint8_t *p)
{
    const unsigned flags = u16(p + 10), lower = u16(p + 12), upper = u16(p + 14), special = u16(p + 16);
    return u16(p + 18) == (PAGE | PAGE_VERSION) && flags <= 7 && lower >= 24 && lower <= upper && upper <= special &&
           special <= PAGE && special % 8 == 0;
}

/* XLogPageHeaderData: magic, flags, timeline, address. Magics of all majors since 9.0 begin with D0 or D1. */
static bool
is_wal_page(const uint8_t *p)
{
    uint32_t timeline;
    uint64_t address;
    memcpy(&timeline, p + 4, sizeof(timeline));
    memcpy(&address, p + 8, sizeof(address));
    return (u16(p) >> 8 == 0xd0 || u16(p) >> 8 == 0xd1) && u16(p + 2) <= 15 && timeline != 0 && timeline < 65536 &&
           address % PAGE == 0 && address != 0;
}

static bool
is_zero(const uint8_t *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/*
 * Of n random bytes, 256 (1 - exp(-n / 256)) are different ones, give or take a few; the limits are at 60 per cent of
 * that, which of 64 bytes one in 10^10 reaches, and of a whole piece none.
 */
static bool
is_readable(const uint8_t *p, size_t n)
{
    static const struct {
        size_t n;
        unsigned least;
    } limits[] = {{64, 33},  {80, 41},   {96, 48},   {112, 54},  {128, 60},  {160, 71},   {192, 81},  {224, 89},
                  {256, 97}, {320, 109}, {384, 119}, {448, 126}, {512, 132}, {1024, 150}, {4096, 153}};
    bool seen[256] = {false};
    unsigned different = 0, least = 0;
    size_t counted = 0;
    for (size_t at = 0; at < n; at += BLOCK) {
        const size_t len = n - at < BLOCK ? n - at : BLOCK;
        if (is_zero(p + at, len)) /* what a file was extended by */
            continue;
        counted += len;
        for (size_t i = at; i < at + len; i++) {
            different += !seen[p[i]];
            seen[p[i]] = true;
        }
    }
    for (size_t i = 0; i < KS_ARRAY_LEN(limits) && limits[i].n <= counted; i++)
        least = limits[i].least;
    return different < least;
}

const char *
tde_clear_piece(enum tde_class class, const uint8_t *data, size_t len)
{
    const uint32_t key = tde_classes[class].key;
    if (class == TDE_REL && len >= PAGE && is_page(data))
        return "page header";
    if (key == TDE_KEY_WAL && len >= 24 && is_wal_page(data))
        return "WAL page header";
    return is_readable(data, len) ? "readable bytes" : NULL;
}

/* ---- Files ---- */

/* Ciphertext has zeros only as pieces of this size, which the layer leaves as they are. */
static size_t piece_size(enum tde_class class)
{
    return tde_classes[class].zero;
}

static int
add_finding(struct tde_clear *clear, const struct tde_clear_finding *finding, struct ks_diag *diag)
{
    if (clear->findings == NULL) {
        clear->findings = calloc(TDE_CLEAR_FINDINGS, sizeof(*clear->findings));
        if (clear->findings == NULL)
            return ks_fail(diag, KS_E_NOMEM, "out of memory");
    }
    if (clear->n_findings < TDE_CLEAR_FINDINGS)
        clear->findings[clear->n_findings++] = *finding;
    return 0;
}

static void
look(struct tde_clear_class *sums, struct tde_clear_finding *found, const uint8_t *data, size_t len, uint64_t offset)
{
    const size_t size = piece_size(found->class);
    for (size_t at = 0; at < len; at += size) {
        const size_t n = len - at < size ? len - at : size;
        if (is_zero(data + at, n)) {
            sums->zeros += n;
            continue;
        }
        const char *what = tde_clear_piece(found->class, data + at, n);
        if (what == NULL)
            continue;
        if (found->pieces++ == 0) {
            found->what = what;
            found->offset = offset + at;
        }
    }
}

static int
read_file(struct tde_clear *clear, const char *rel, uint8_t *room, uint64_t *ret_read, struct ks_diag *diag)
{
    char path[PATH_MAX];
    struct tde_what what;
    struct tde_clear_finding found = {.path = rel};
    uint64_t offset = 0;
    (void)snprintf(path, sizeof(path), "%s/%s", clear->data, rel);
    tde_classify(clear->major, rel, &what);
    found.class = what.class;
    struct tde_clear_class *sums = &clear->classes[what.class];
    KS_CLEANUP(ks_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : ks_fail_errno(diag, KS_E_IO, errno, "%s", path);
    for (;;) {
        size_t n = 0; /* whole pieces, wherever a read ends */
        ssize_t got = 1;
        while (n < READ && (got = pread(fd, room + n, READ - n, (off_t)(offset + n))) > 0)
            n += (size_t)got;
        if (got < 0)
            return ks_fail_errno(diag, KS_E_IO, errno, "%s", path);
        look(sums, &found, room, n, offset);
        offset += n;
        *ret_read += n;
        if (clear->progress != NULL)
            clear->progress(clear->arg, *ret_read, clear->all);
        if (n < READ)
            break;
    }
    sums->files++;
    sums->bytes += offset;
    sums->clear_files += found.pieces != 0;
    sums->clear_pieces += found.pieces;
    return found.pieces != 0 ? add_finding(clear, &found, diag) : 0;
}

static int
take(struct tde_clear *clear, const char *rel, const struct stat *st, struct ks_diag *diag)
{
    struct tde_what what;
    tde_classify(clear->major, rel, &what);
    if (tde_is_encrypted(what.class)) {
        clear->all += (uint64_t)st->st_size;
        return ks_buf_add(&clear->files, rel, strlen(rel) + 1) == 0
                   ? 0
                   : ks_fail(diag, clear->files.err, "the list of files is too long");
    }
    clear->classes[what.class].files++;
    clear->classes[what.class].bytes += (uint64_t)st->st_size;
    if (what.class != TDE_UNKNOWN)
        return 0;
    clear->n_unknown++;
    return ks_buf_add(&clear->unknown, rel, strlen(rel) + 1) == 0
               ? 0
               : ks_fail(diag, clear->unknown.err, "the list of files is too long");
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

/* A tablespace may have folders of other servers in it. */
static bool
is_ours(const struct tde_clear *clear, const char *rel)
{
    char own[64];
    const char *p = strncmp(rel, "pg_tblspc/", 10) == 0 ? strchr(rel + 10, '/') : NULL;
    if (p == NULL || strchr(p + 1, '/') != NULL)
        return true;
    (void)snprintf(own, sizeof(own), "/PG_%d_%u", clear->major, clear->catalog);
    return strcmp(p, own) == 0;
}

static void
fts_closep(FTS **fts)
{
    if (*fts != NULL)
        (void)fts_close(*fts);
}

static int
list(struct tde_clear *clear, struct ks_diag *diag)
{
    char root[PATH_MAX];
    char *const roots[] = {root, NULL};
    (void)snprintf(root, sizeof(root), "%s", clear->data);
    const size_t prefix = strlen(root) + 1;
    KS_CLEANUP(fts_closep) FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (fts == NULL)
        return ks_fail_errno(diag, KS_E_IO, errno, "%s", clear->data);
    for (;;) {
        errno = 0;
        FTSENT *entry = fts_read(fts);
        if (entry == NULL)
            return errno == 0 ? 0 : ks_fail_errno(diag, KS_E_IO, errno, "%s", clear->data);
        const char *rel = entry->fts_level > 0 ? entry->fts_path + prefix : "";
        switch (entry->fts_info) {
        case FTS_F:
            KS_TRY(take(clear, rel, entry->fts_statp, diag));
            break;
        case FTS_SL:
            if (follows(rel))
                (void)fts_set(fts, entry, FTS_FOLLOW);
            else
                KS_TRY(take(clear, rel, entry->fts_statp, diag));
            break;
        case FTS_D:
            if (!is_ours(clear, rel))
                (void)fts_set(fts, entry, FTS_SKIP);
            break;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
            if (entry->fts_errno != ENOENT)
                return ks_fail_errno(diag, KS_E_IO, entry->fts_errno, "%s", entry->fts_path);
            break;
        default:
            break;
        }
    }
}

int
tde_clear_scan(struct tde_clear *clear, struct ks_diag *diag)
{
    uint64_t bytes = 0;
    clear->files = KS_BUF(LIST_MAX);
    clear->unknown = KS_BUF(LIST_MAX);
    uint8_t *room = malloc(READ);
    int rc = room != NULL ? list(clear, diag) : ks_fail(diag, KS_E_NOMEM, "out of memory");
    const char *path = (const char *)clear->files.data;
    for (size_t at = 0; rc == 0 && at < clear->files.len; at += strlen(path + at) + 1)
        rc = read_file(clear, path + at, room, &bytes, diag);
    free(room);
    return rc;
}

void
tde_clear_done(struct tde_clear *clear)
{
    free(clear->findings);
    ks_buf_done(&clear->files);
    ks_buf_done(&clear->unknown);
}
