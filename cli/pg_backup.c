#include "cli/pg_backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/pg.h"
#include "crypto/random.h"

enum { DEPTH_MAX = 12, TAR_BLOCK = 512, PAGE = 8192, MANIFEST_HEAD = 65536 };

static void
closedirp(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static bool
ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

static bool
is_compressed(const char *path)
{
    static const char *const ends[] = {".gz", ".lz4", ".zst", ".bz2"};
    for (size_t i = 0; i < KS_ARRAY_LEN(ends); i++)
        if (ends_with(path, ends[i]))
            return true;
    return false;
}

int
pg_backup_read(struct cli *cli, const struct pg_backup_file *file, off_t offset, void *ret, size_t n)
{
    KS_CLEANUP(ks_closep) int fd = open(file->at, O_RDONLY | O_CLOEXEC);
    uint8_t *to = ret;
    if (fd < 0)
        return cli_fail(cli, KS_E_IO, "%s: %s", file->at, strerror(errno));
    if (offset < 0 || offset > file->size || (off_t)n > file->size - offset)
        return cli_fail(cli, KS_E_MALFORMED, "%s: %s ends too early", file->at, file->path);
    while (n > 0) {
        const ssize_t got = pread(fd, to, n, file->offset + offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return cli_fail(cli, got < 0 ? KS_E_IO : KS_E_MALFORMED, "%s: %s", file->at,
                            got < 0 ? strerror(errno) : "ends too early");
        to += got;
        n -= (size_t)got;
        offset += got;
    }
    return 0;
}

/* Each of `seen` files has the same chance to be among the samples. */
static void
draw(struct pg_backup_file *samples, size_t *seen, const struct pg_backup_file *file)
{
    uint64_t dice = 0;
    size_t at = (*seen)++;
    if (at >= PG_BACKUP_SAMPLES) {
        if (ks_random((uint8_t *)&dice, sizeof(dice)) != 0)
            return;
        at = (size_t)(dice % *seen);
    }
    if (at < PG_BACKUP_SAMPLES)
        samples[at] = *file;
}

static bool
is_needed(const struct pg_backup *b, const char *segment)
{
    return b->first[0] == '\0' || (strncmp(segment, b->first, 24) >= 0 && strncmp(segment, b->last, 24) <= 0);
}

static void
look_at(struct pg_backup *b, struct pg_backup_file *file)
{
    static const char *const names[] = {TDE_KEYRING, "global/pg_control", "PG_VERSION"};
    struct pg_backup_file *const wanted[] = {&b->keyring, &b->control, &b->version};
    for (size_t i = 0; i < KS_ARRAY_LEN(names); i++)
        if (strcmp(file->path, names[i]) == 0) {
            if (wanted[i]->path[0] == '\0')
                *wanted[i] = *file;
            return;
        }
    if (is_compressed(file->path)) {
        b->compressed++;
        return;
    }
    tde_classify(b->major, file->path, &file->what);
    if (file->what.class == TDE_REL && file->size >= PAGE)
        draw(b->relations, &b->n_relations, file);
    else if (file->what.class == TDE_WAL && file->size >= PAGE && is_needed(b, file->what.identity))
        draw(b->wal, &b->n_wal, file);
}

/* ---- Folders ---- */

static int
walk(struct cli *cli, struct pg_backup *b, const char *folder, const char *path, int depth)
{
    KS_CLEANUP(closedirp) DIR *dir = opendir(folder);
    if (dir == NULL)
        return cli_fail(cli, KS_E_IO, "%s: %s", folder, strerror(errno));
    if (depth > DEPTH_MAX)
        return cli_fail(cli, KS_E_LIMIT, "%s: folders within folders without end", folder);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        struct pg_backup_file file = {.offset = 0};
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if ((size_t)snprintf(file.at, sizeof(file.at), "%s/%s", folder, e->d_name) >= sizeof(file.at) ||
            (size_t)snprintf(file.path, sizeof(file.path), "%s%s%s", path, path[0] != '\0' ? "/" : "", e->d_name) >=
                sizeof(file.path))
            return cli_fail(cli, KS_E_LIMIT, "%s: a path is too long", folder);
        /* Links lead to tablespaces, or pg_wal elsewhere: what they lead to is of the backup. */
        if (stat(file.at, &st) != 0)
            continue; /* gone, or a link to a tablespace that is not here */
        if (S_ISDIR(st.st_mode)) {
            KS_TRY(walk(cli, b, file.at, file.path, depth + 1));
        } else if (S_ISREG(st.st_mode)) {
            file.size = st.st_size;
            look_at(b, &file);
        }
    }
    return 0;
}

/* ---- Tars, as PostgreSQL writes them: ustar ---- */

static bool
octal(const uint8_t *p, size_t n, off_t *ret)
{
    uint64_t v = 0;
    if ((p[0] & 0x80) != 0) { /* base 256 */
        for (size_t i = 1; i < n; i++) {
            if (v >> 54 != 0)
                return false;
            v = v << 8 | p[i];
        }
    } else {
        for (size_t i = 0; i < n && p[i] >= '0' && p[i] <= '7'; i++)
            v = v << 3 | (uint64_t)(p[i] - '0');
    }
    if (v > INT64_MAX / 2)
        return false;
    *ret = (off_t)v;
    return true;
}

static int
walk_tar(struct cli *cli, struct pg_backup *b, const char *at, const char *prefix)
{
    struct stat st;
    if (stat(at, &st) != 0)
        return cli_fail(cli, errno == ENOENT ? KS_E_NOT_FOUND : KS_E_IO, "%s: %s", at, strerror(errno));
    struct pg_backup_file tar = {.size = st.st_size};
    (void)snprintf(tar.at, sizeof(tar.at), "%s", at);
    for (off_t offset = 0; offset + TAR_BLOCK <= st.st_size;) {
        uint8_t head[TAR_BLOCK];
        struct pg_backup_file file = tar;
        KS_TRY(pg_backup_read(cli, &tar, offset, head, sizeof(head)));
        if (head[0] == '\0')
            break; /* the end */
        if (memcmp(head + 257, "ustar", 5) != 0 || !octal(head + 124, 12, &file.size) ||
            file.size > st.st_size - offset - TAR_BLOCK)
            return cli_fail(cli, KS_E_MALFORMED, "%s is no whole tar, at byte %lld", at, (long long)offset);
        (void)snprintf(file.path, sizeof(file.path), "%s%.155s%s%.100s", prefix, (const char *)head + 345,
                       head[345] != '\0' ? "/" : "", (const char *)head);
        file.offset = offset + TAR_BLOCK;
        if (head[156] == '0' || head[156] == '\0')
            look_at(b, &file);
        else
            file.size = 0;
        offset += TAR_BLOCK + (file.size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    }
    return 0;
}

/* base.tar, pg_wal.tar and those of tablespaces, which are called by their numbers. */
static int
walk_tars(struct cli *cli, struct pg_backup *b, const char *folder)
{
    KS_CLEANUP(closedirp) DIR *dir = opendir(folder);
    if (dir == NULL)
        return cli_fail(cli, KS_E_IO, "%s: %s", folder, strerror(errno));
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char at[PATH_MAX], prefix[64] = "";
        const size_t digits = strspn(e->d_name, "0123456789");
        if (!ends_with(e->d_name, ".tar") || (size_t)snprintf(at, sizeof(at), "%s/%s", folder, e->d_name) >= sizeof(at))
            continue;
        if (digits > 0 && digits < 20 && strcmp(e->d_name + digits, ".tar") == 0)
            (void)snprintf(prefix, sizeof(prefix), "pg_tblspc/%.*s/", (int)digits, e->d_name);
        else if (strcmp(e->d_name, "pg_wal.tar") == 0)
            (void)snprintf(prefix, sizeof(prefix), "pg_wal/");
        else if (strcmp(e->d_name, "base.tar") != 0)
            continue;
        KS_TRY(walk_tar(cli, b, at, prefix));
    }
    return 0;
}

/* ---- A repository of pgBackRest's ---- */

static bool
is_there(const char *folder, const char *name, char ret[PATH_MAX])
{
    const int n = snprintf(ret, PATH_MAX, "%s/%s", folder, name);
    return n > 0 && n < PATH_MAX && access(ret, F_OK) == 0;
}

/* The name in a folder that is the last in order, among those that have the file, and not behind `most`. */
static bool
last_of(const char *folder, const char *family, const char *most, const char *with, char ret[256])
{
    KS_CLEANUP(closedirp) DIR *dir = opendir(folder);
    bool found = false;
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        char path[PATH_MAX], inside[600];
        (void)snprintf(inside, sizeof(inside), "%s/%s", e->d_name, with);
        if (e->d_name[0] == '.' || strcmp(e->d_name, "latest") == 0 || !is_there(folder, inside, path) ||
            strncmp(e->d_name, family, strlen(family)) != 0 || (most != NULL && strcmp(e->d_name, most) > 0) ||
            (found && strcmp(e->d_name, ret) < 0))
            continue;
        (void)snprintf(ret, 256, "%s", e->d_name);
        found = true;
    }
    return found;
}

/* name="value" of the manifest's head. */
static void
manifest_value(const char *text, const char *name, char ret[32])
{
    const char *at = text != NULL ? strstr(text, name) : NULL;
    ret[0] = '\0';
    if (at == NULL)
        return;
    at += strlen(name);
    (void)snprintf(ret, 32, "%.*s", (int)(strcspn(at, "\"") < 31 ? strcspn(at, "\"") : 31), at);
}

static int
read_manifest(struct cli *cli, struct pg_backup *b, const char *set)
{
    char text[MANIFEST_HEAD + 1];
    struct stat st;
    struct pg_backup_file file = {.path = "backup.manifest"};
    if (!is_there(set, "backup.manifest", file.at) || stat(file.at, &st) != 0)
        return cli_fail(cli, KS_E_NOT_FOUND, "%s has no backup.manifest: it is no finished backup", set);
    file.size = st.st_size;
    const size_t n = st.st_size < MANIFEST_HEAD ? (size_t)st.st_size : MANIFEST_HEAD;
    KS_TRY(pg_backup_read(cli, &file, 0, text, n));
    text[n] = '\0';
    manifest_value(text, "backup-archive-start=\"", b->first);
    manifest_value(text, "backup-archive-stop=\"", b->last);
    if (b->first[0] == '\0' || b->last[0] == '\0')
        return cli_fail(cli, KS_E_UNSUPPORTED,
                        "%s does not say which WAL it needs: an encrypted repository (repo-cipher-type) can only be "
                        "restored, not looked into",
                        file.at);
    return 0;
}

/* archive/STANZA/15-1/0000000100000000/0000000100000000000000A1-<checksum> */
static int
walk_archive(struct cli *cli, struct pg_backup *b, const char *folder, int depth)
{
    KS_CLEANUP(closedirp) DIR *dir = opendir(folder);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        struct pg_backup_file file = {.offset = 0};
        struct stat st;
        if (e->d_name[0] == '.' ||
            (size_t)snprintf(file.at, sizeof(file.at), "%s/%s", folder, e->d_name) >= sizeof(file.at) ||
            stat(file.at, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < 3) {
            KS_TRY(walk_archive(cli, b, file.at, depth + 1));
        } else if (S_ISREG(st.st_mode) && strspn(e->d_name, "0123456789ABCDEF") == 24 && e->d_name[24] == '-') {
            (void)snprintf(file.path, sizeof(file.path), "pg_wal/%.24s%s", e->d_name,
                           is_compressed(e->d_name) ? strrchr(e->d_name, '.') : "");
            file.size = st.st_size;
            look_at(b, &file);
        }
    }
    return 0;
}

static int
find_in_repository(struct cli *cli, struct pg_backup *b, const char *repo, const char *stanza, const char *set)
{
    char folder[PATH_MAX], name[256], label[256], older[256], path[PATH_MAX], archive[PATH_MAX];
    b->kind = "pgbackrest";
    if (stanza == NULL) {
        if (!is_there(repo, "backup", folder) || !last_of(folder, "", NULL, "backup.info", name))
            return cli_fail(cli, KS_E_NOT_FOUND, "%s has no stanza with a backup", repo);
        stanza = name;
    }
    if (snprintf(folder, sizeof(folder), "%s/backup/%s", repo, stanza) >= (int)sizeof(folder) ||
        snprintf(archive, sizeof(archive), "%s/archive/%s", repo, stanza) >= (int)sizeof(archive))
        return cli_fail(cli, KS_E_LIMIT, "%s: the path is too long", repo);
    if (!last_of(folder, set != NULL ? set : "", set, "backup.manifest", label))
        return cli_fail(cli, KS_E_NOT_FOUND, "%s has no backup%s%s", folder, set != NULL ? " " : "",
                        set != NULL ? set : "");
    if ((size_t)snprintf(b->where, sizeof(b->where), "%s/%s", folder, label) >= sizeof(b->where))
        return cli_fail(cli, KS_E_LIMIT, "%s: the path is too long", folder);
    KS_TRY(read_manifest(cli, b, b->where));
    /* What did not change since is in the sets before, the nearest first. */
    char family[32];
    (void)snprintf(family, sizeof(family), "%.16s", label); /* 20261124-203311F */
    for (char *at = label;;) {
        static const char *const parts[] = {"pg_data", "pg_tblspc"};
        char one[PATH_MAX];
        if (snprintf(one, sizeof(one), "%s/%s", folder, at) >= (int)sizeof(one))
            break;
        for (size_t i = 0; i < KS_ARRAY_LEN(parts); i++)
            if (is_there(one, parts[i], path) && (b->n_relations == 0 || b->keyring.path[0] == '\0'))
                KS_TRY(walk(cli, b, path, i == 0 ? "" : parts[i], 0));
        size_t n = strlen(at);
        if (n <= strlen(family) || (b->n_relations > 0 && b->keyring.path[0] != '\0'))
            break;
        /* The set before: the last one that sorts in front of this. */
        char before[256];
        (void)snprintf(before, sizeof(before), "%s", at);
        before[n - 1] = '\0'; /* sorts in front of its own name alone */
        if (!last_of(folder, family, before, "backup.manifest", older))
            break;
        (void)snprintf(label, sizeof(label), "%s", older);
    }
    return walk_archive(cli, b, archive, 0);
}

/* ---- Which of them it is ---- */

int
pg_backup_find(struct cli *cli, const char *given, const char *stanza, const char *set, struct pg_backup *ret)
{
    char path[PATH_MAX], there[PATH_MAX];
    struct stat st;
    if (realpath(given, path) == NULL || stat(path, &st) != 0)
        return cli_fail(cli, errno == ENOENT ? KS_E_NOT_FOUND : KS_E_IO, "%s: %s", given, strerror(errno));
    (void)snprintf(ret->where, sizeof(ret->where), "%s", path);
    if (S_ISREG(st.st_mode)) {
        ret->kind = "tar";
        KS_TRY(walk_tar(cli, ret, path, ""));
    } else if (is_there(path, "PG_VERSION", there)) {
        ret->kind = "folder";
        KS_TRY(walk(cli, ret, path, "", 0));
    } else if (is_there(path, "base.tar", there)) {
        ret->kind = "tar";
        KS_TRY(walk_tars(cli, ret, path));
    } else if (is_there(path, "backup", there) && is_there(path, "archive", there)) {
        KS_TRY(find_in_repository(cli, ret, path, stanza, set));
    } else {
        return cli_fail(cli, KS_E_NOT_FOUND,
                        "%s is no backup that this command can look into: a folder with PG_VERSION, with base.tar, a "
                        "tar, or a repository of pgBackRest's. Compressed tars are to be unpacked first",
                        given);
    }
    if (ret->keyring.path[0] == '\0')
        return cli_fail(cli, KS_E_NOT_FOUND, "%s has no %s%s", ret->where, TDE_KEYRING,
                        ret->compressed > 0 ? ": it is compressed, or is not the backup of an encrypted cluster. "
                                              "Ciphertext gets no smaller: set compress-type=none"
                                            : ": it is not the backup of an encrypted cluster");
    char digits[8] = "";
    if (ret->version.path[0] != '\0' && ret->version.size < 8) {
        KS_TRY(pg_backup_read(cli, &ret->version, 0, digits, (size_t)ret->version.size));
        ret->major = (int)strtol(digits, NULL, 10);
    }
    return 0;
}
