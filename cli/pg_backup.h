/*
 * A backup, as much of it as it takes to say whether it can be decrypted: a folder (pg_basebackup -Fp, a copy, a
 * snapshot), a folder of tars or one tar (pg_basebackup -Ft), a set in a repository of pgBackRest's.
 */
#pragma once

#include <limits.h>
#include <sys/types.h>

#include "cli/cli.h"
#include "tde/classify.h"

enum { PG_BACKUP_SAMPLES = 64 };

/* A file of the data directory, where the backup has it. */
struct pg_backup_file {
    char path[512];    /* in the data directory; "": there is none */
    char at[PATH_MAX]; /* the file on the disk, */
    off_t offset;      /* where in it, */
    off_t size;        /* and how long */
    struct tde_what what;
};

struct pg_backup {
    const char *kind; /* "folder", "tar", "pgbackrest" */
    char where[PATH_MAX];
    int major; /* 0: not known */
    struct pg_backup_file keyring, control, version;
    struct pg_backup_file relations[PG_BACKUP_SAMPLES], wal[PG_BACKUP_SAMPLES]; /* drawn from all */
    size_t n_relations, n_wal;                                                  /* of all */
    size_t compressed;                                                          /* files that were not looked into */
    char first[32], last[32]; /* segments of WAL that pgBackRest says it needs; "": all are of it */
};

/*
 * path: where it is. stanza, set: of a repository with several, NULL: the only one, the newest. KS_E_NOT_FOUND: that
 * is no backup of an encrypted cluster.
 */
int pg_backup_find(struct cli *cli, const char *path, const char *stanza, const char *set,
                   struct pg_backup *ret) KS_MUST_CHECK;

/* Exactly n bytes of the file from offset. KS_E_IO, KS_E_MALFORMED: it is shorter. */
int pg_backup_read(struct cli *cli, const struct pg_backup_file *file, off_t offset, void *ret, size_t n) KS_MUST_CHECK;
