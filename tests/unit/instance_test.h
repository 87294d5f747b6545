/* For tests of store, audit log and committer: a scratch folder with a store, its keyring and an audit folder. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <ftw.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define BUF KS_CLEANUP(ks_buf_done) struct ks_buf

static const struct ks_key32 test_root = {{1, 2, 3, 4, 5, 6, 7, 8, 9}};

#ifndef SCRATCH_ROOT
#define SCRATCH_ROOT "/tmp"
#endif

struct scratch {
    char dir[64];
    char store[96], audit[96], file[128];
};

static inline void
scratch_init(struct scratch *s)
{
    snprintf(s->dir, sizeof(s->dir), SCRATCH_ROOT "/keystead-test-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->store, sizeof(s->store), "%s/store.db", s->dir);
    snprintf(s->audit, sizeof(s->audit), "%s/audit", s->dir);
    snprintf(s->file, sizeof(s->file), "%s/audit/audit-000001.jsonl", s->dir);
}

static inline int
remove_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
    (void)st, (void)what, (void)ftw;
    return remove(path);
}

static inline void
scratch_done(struct scratch *s)
{
    (void)nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
#define SCRATCH(name)                                                                                                  \
    KS_CLEANUP(scratch_done) struct scratch name;                                                                      \
    scratch_init(&name)

/* Runs SQL in a database file that nobody has open. */
static inline void
tamper(const char *path, const char *sql)
{
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static inline void
copy_file(const char *from, const char *to)
{
    BUF data = KS_BUF(64 << 20);
    assert_int_equal(ks_file_read(from, &data, NULL), 0);
    assert_int_equal(ks_file_write(to, ks_buf_span(&data), 0600, NULL), 0);
}

static inline void
assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}
