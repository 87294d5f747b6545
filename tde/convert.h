/*
 * A cluster that is stopped, from plain to encrypted files or back, or from one generation of data keys to the next,
 * one file after the other.
 *
 * At every moment each file is wholly the one or wholly the other. A file is written anew beside the old one
 * (FILE.keystead-tmp), synced, noted in the journal, and renamed over it. The journal, DATA/keystead/converting, says
 * of a file which inode it was and which one it is to become, and is synced before the rename: what is at the name
 * after a crash is told by its inode number. A file that is neither of the two was copied or restored, and ends the
 * work. While there is a journal nothing of PostgreSQL's that is under the layer starts, and no server that has the
 * guard.
 *
 * The journal is text: a line with what is done and the journal's own inode number (a copy of a half converted cluster
 * is not to be gone on with), then a line "OLD NEW PATH" for each file, the path from the data directory on.
 */
#pragma once

#include "base/mem.h"

enum tde_direction { TDE_CONVERT_NOTHING, TDE_CONVERT_ENCRYPT, TDE_CONVERT_DECRYPT, TDE_CONVERT_ROTATE };

#define TDE_CONVERT_SUFFIX ".keystead-tmp"

struct tde_journal_line {
    uint64_t before, after; /* inode numbers */
    const char *path;
};

struct tde_journal {
    char path[4096];
    enum tde_direction direction;
    int fd; /* -1 until it is begun or resumed */
    struct ks_buf text;
    struct tde_journal_line *lines; /* by path */
    size_t n_lines;
};

/* Reads what is there. direction NOTHING: no journal, or one that was not begun; then nothing is converted. */
int tde_journal_read(const char *data, struct tde_journal *ret, struct ks_diag *diag) KS_MUST_CHECK;
int tde_journal_begin(struct tde_journal *journal, enum tde_direction direction, struct ks_diag *diag) KS_MUST_CHECK;
int tde_journal_add(struct tde_journal *journal, struct ks_span lines, struct ks_diag *diag) KS_MUST_CHECK; /* synced */
int tde_journal_remove(struct tde_journal *journal, struct ks_diag *diag) KS_MUST_CHECK;
void tde_journal_done(struct tde_journal *journal);

/* Whether the file of that name and inode number was converted; KS_E_CORRUPT: it is another one. */
int tde_journal_is_done(const struct tde_journal *journal, const char *path, uint64_t inode, bool *ret_done,
                        struct ks_diag *diag) KS_MUST_CHECK;

/* What is in the cluster. Paths are relative to the data directory, each with its NUL. */
struct tde_scan {
    const char *data;
    int major;
    uint32_t catalog;             /* folders of other servers in the same tablespace are not touched */
    struct ks_buf files, folders; /* to convert or remove; to sync */
    uint64_t n_files, bytes;
};

/*
 * Lists the files, removes what an earlier run left unfinished, and refuses what would not come to a good end: files
 * with several names, links to files, not enough space for the largest file (KS_E_FULL).
 */
int tde_scan(struct tde_scan *scan, struct ks_diag *diag) KS_MUST_CHECK;
void tde_scan_done(struct tde_scan *scan);

/* bytes: of all, those that are behind us. */
typedef void tde_progress_fn(void *arg, uint64_t bytes);

struct tde_convert {
    const struct tde_scan *scan;
    struct tde_journal *journal;
    tde_progress_fn *progress;
    void *arg;
    uint64_t converted, before, removed; /* files: now, in an earlier run, temporary ones; counted here */
};

/* Converts all of them with the keys that tde_keys_load has, and syncs all folders. */
int tde_convert(struct tde_convert *convert, struct ks_diag *diag) KS_MUST_CHECK;
