/*
 * The store in an SQLite database.
 *
 * Write-ahead log, synchronous=FULL: a commit is one append and one sync. locking_mode=EXCLUSIVE: the lock is taken
 * once and held, no shared-memory file, and a second process is told so. Opening and closing the database file in this
 * process by other means would drop that lock (POSIX locks belong to the process): nobody does.
 *
 * What is deleted or replaced is overwritten with zeroes (secure_delete), and leaves the log when that is cut at the
 * next idle moment: the sealed bytes of a destroyed key do not lie about. What the file system keeps of a file that was
 * cut, and what a flash disk keeps of blocks that were overwritten, is out of reach here.
 *
 * Tables are clustered by key (WITHOUT ROWID), so keys that grow with time touch few pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "store/backend.h"

enum {
    APPLICATION_ID = 0x4b657973, /* "Keys" */
    SCHEMA_VERSION = 1,
    CHECKPOINT_PAGES = 16000, /* 64 MiB of write-ahead log; idle moments come first */
};

static const char *const table_names[STORE_TABLE_COUNT] = {
    [STORE_OBJECT] = "object",
    [STORE_SYSTEM] = "system",
    [STORE_INSTANCE] = "instance",
};

struct store_backend {
    sqlite3 *db;
    char *path;   /* for messages */
    bool written; /* since the last checkpoint */
    sqlite3_stmt *begin, *commit, *rollback;
    struct {
        sqlite3_stmt *scan, *get, *put, *del;
    } table[STORE_TABLE_COUNT];
};

static int
code_of(int sqlite_rc)
{
    switch (sqlite_rc & 0xff) {
    case SQLITE_OK:
        return 0;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return KS_E_BUSY;
    case SQLITE_NOMEM:
        return KS_E_NOMEM;
    case SQLITE_FULL:
        return KS_E_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* no such table, no such column: our statements are right */
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return KS_E_CORRUPT;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
        return KS_E_DENIED;
    case SQLITE_TOOBIG:
        return KS_E_LIMIT;
    default:
        return KS_E_IO;
    }
}

static int
fail(const struct store_backend *s, int sqlite_rc, const char *doing, struct ks_diag *diag)
{
    const int code = code_of(sqlite_rc);
    if (code == KS_E_BUSY)
        return ks_fail(diag, code, "%s is in use by another process; stop that one first", s->path);
    if (code == KS_E_CORRUPT)
        return ks_fail(diag, code, "%s: %s: the database file is damaged or was changed: %s", s->path, doing,
                       sqlite3_errmsg(s->db));
    const int err = s->db != NULL ? sqlite3_system_errno(s->db) : 0;
    if (err != 0)
        return ks_fail_errno(diag, code, err, "%s: %s: %s", s->path, doing, sqlite3_errstr(sqlite_rc));
    return ks_fail(diag, code, "%s: %s: %s", s->path, doing, sqlite3_errstr(sqlite_rc));
}

static int
run(struct store_backend *s, const char *sql, const char *doing, struct ks_diag *diag)
{
    const int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : fail(s, rc, doing, diag);
}

static int
prepare(struct store_backend *s, sqlite3_stmt **stmt, const char *sql, struct ks_diag *diag)
{
    const int rc = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
    return rc == SQLITE_OK ? 0 : fail(s, rc, "preparing", diag);
}

static int
prepare_for(struct store_backend *s, sqlite3_stmt **stmt, const char *format, enum store_table table,
            struct ks_diag *diag)
{
    char *sql = sqlite3_mprintf(format, table_names[table]);
    if (sql == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s: out of memory", s->path);
    const int rc = prepare(s, stmt, sql, diag);
    sqlite3_free(sql);
    return rc;
}

static void
sqlite_close(struct store_backend *s)
{
    if (s == NULL)
        return;
    (void)sqlite3_finalize(s->begin);
    (void)sqlite3_finalize(s->commit);
    (void)sqlite3_finalize(s->rollback);
    for (int i = 0; i < STORE_TABLE_COUNT; i++) {
        (void)sqlite3_finalize(s->table[i].scan);
        (void)sqlite3_finalize(s->table[i].get);
        (void)sqlite3_finalize(s->table[i].put);
        (void)sqlite3_finalize(s->table[i].del);
    }
    (void)sqlite3_close(s->db); /* checkpoints; what that cannot do is in the write-ahead log still */
    free(s->path);
    free(s);
}

static void
closep(struct store_backend **s)
{
    sqlite_close(*s);
}

static int
set_up(struct store_backend *s, const char *path, struct ks_diag *diag)
{
    if ((s->path = strdup(path)) == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s: out of memory", path);
    const int rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return fail(s, rc, "opening", diag);
    (void)sqlite3_extended_result_codes(s->db, 1);
    /* Nothing in the file is code: no triggers, no views, no functions of the schema's choice. */
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    return run(s,
               "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;"
               "PRAGMA cache_size=-65536; PRAGMA secure_delete=ON",
               "setting up", diag);
}

/* A connection set up, before anything is read. */
static int
connect_to(const char *path, struct store_backend **ret, struct ks_diag *diag)
{
    struct store_backend *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s: out of memory", path);
    const int rc = set_up(s, path, diag);
    if (rc != 0) {
        sqlite_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

static int
begin_wal(struct store_backend *s, struct ks_diag *diag)
{
    KS_TRY(run(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", "setting up the write-ahead log", diag));
    const int rc = sqlite3_wal_autocheckpoint(s->db, CHECKPOINT_PAGES);
    return rc == SQLITE_OK ? 0 : fail(s, rc, "setting up the write-ahead log", diag);
}

static int
number(struct store_backend *s, const char *sql, int64_t *ret, struct ks_diag *diag)
{
    sqlite3_stmt *stmt = NULL;
    KS_TRY(prepare(s, &stmt, sql, diag));
    int rc = sqlite3_step(stmt);
    const int64_t v = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    rc = rc == SQLITE_ROW ? 0 : fail(s, rc, "reading its header", diag);
    (void)sqlite3_finalize(stmt);
    if (rc == 0)
        *ret = v;
    return rc;
}

static int
check_header(struct store_backend *s, struct ks_diag *diag)
{
    int64_t v;
    KS_TRY(number(s, "PRAGMA application_id", &v, diag));
    if (v != APPLICATION_ID)
        return ks_fail(diag, KS_E_CORRUPT, "%s is not a Keystead store (application_id %#llx)", s->path,
                       (unsigned long long)v);
    KS_TRY(number(s, "PRAGMA user_version", &v, diag));
    if (v != SCHEMA_VERSION)
        return ks_fail(diag, KS_E_UNSUPPORTED, "%s has schema version %lld; this program knows version %d", s->path,
                       (long long)v, SCHEMA_VERSION);
    return 0;
}

static int
prepare_all(struct store_backend *s, struct ks_diag *diag)
{
    KS_TRY(prepare(s, &s->begin, "BEGIN IMMEDIATE", diag));
    KS_TRY(prepare(s, &s->commit, "COMMIT", diag));
    KS_TRY(prepare(s, &s->rollback, "ROLLBACK", diag));
    for (int i = 0; i < STORE_TABLE_COUNT; i++) {
        KS_TRY(prepare_for(s, &s->table[i].scan, "SELECT key, value, tag FROM \"%w\" ORDER BY key", i, diag));
        KS_TRY(prepare_for(s, &s->table[i].get, "SELECT value, tag FROM \"%w\" WHERE key = ?1", i, diag));
        KS_TRY(prepare_for(s, &s->table[i].put,
                           "INSERT INTO \"%w\" (key, value, tag) VALUES (?1, ?2, ?3)"
                           " ON CONFLICT (key) DO UPDATE SET value = ?2, tag = ?3",
                           i, diag));
        KS_TRY(prepare_for(s, &s->table[i].del, "DELETE FROM \"%w\" WHERE key = ?1", i, diag));
    }
    return 0;
}

/*
 * A commit whose sync failed may lie complete in the log, or in the kernel's memory of it, never to be written again.
 * Opening has taken it in if it is readable; writing all of it into the database file, synced, makes that the truth.
 */
static int
settle(struct store_backend *s, struct ks_diag *diag)
{
    const int rc = sqlite3_wal_checkpoint_v2(s->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return rc == SQLITE_OK ? 0 : fail(s, rc, "writing the log into the database", diag);
}

static int
sqlite_open(const char *path, struct store_backend **ret, struct ks_diag *diag)
{
    if (access(path, F_OK) != 0)
        return ks_fail_errno(diag, errno == ENOENT ? KS_E_NOT_FOUND : KS_E_IO, errno, "cannot open the store %s", path);
    KS_CLEANUP(closep) struct store_backend *s = NULL;
    KS_TRY(connect_to(path, &s, diag));
    KS_TRY(check_header(s, diag));
    KS_TRY(begin_wal(s, diag));
    KS_TRY(settle(s, diag));
    KS_TRY(prepare_all(s, diag));
    *ret = s;
    s = NULL; /* transferred */
    return 0;
}

static int
fill_new(const char *path, struct ks_diag *diag)
{
    KS_CLEANUP(closep) struct store_backend *s = NULL;
    KS_TRY(connect_to(path, &s, diag));
    char pragmas[128];
    snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION_ID,
             SCHEMA_VERSION);
    KS_TRY(run(s, "PRAGMA page_size=4096", "creating", diag));
    KS_TRY(begin_wal(s, diag));
    KS_TRY(run(s, "BEGIN IMMEDIATE", "creating", diag));
    KS_TRY(run(s, pragmas, "creating", diag));
    for (int i = 0; i < STORE_TABLE_COUNT; i++) {
        char *sql = sqlite3_mprintf("CREATE TABLE \"%w\" (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL,"
                                    " tag BLOB NOT NULL) STRICT, WITHOUT ROWID",
                                    table_names[i]);
        if (sql == NULL)
            return ks_fail(diag, KS_E_NOMEM, "%s: out of memory", path);
        const int rc = run(s, sql, "creating", diag);
        sqlite3_free(sql);
        KS_TRY(rc);
    }
    return run(s, "COMMIT", "creating", diag);
}

static int
sqlite_create(const char *path, struct ks_diag *diag)
{
    /* Made here for its mode; SQLite gives its log the same. */
    KS_CLEANUP(ks_closep) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST)
        return ks_fail(diag, KS_E_EXISTS, "%s exists already", path);
    if (fd < 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "cannot create the store %s", path);
    ks_closep(&fd);
    int rc = fill_new(path, diag);
    if (rc == 0)
        rc = ks_fsync_parent(path, diag);
    if (rc != 0)
        (void)unlink(path);
    return rc;
}

static int
bind(sqlite3_stmt *stmt, int at, struct ks_span span)
{
    /* An empty blob, not NULL, for an empty span. */
    return sqlite3_bind_blob64(stmt, at, span.len != 0 ? (const void *)span.data : "", span.len, SQLITE_STATIC);
}

static struct ks_span
column(sqlite3_stmt *stmt, int at)
{
    const void *data = sqlite3_column_blob(stmt, at);
    return KS_SPAN(data, data != NULL ? (size_t)sqlite3_column_bytes(stmt, at) : 0);
}

static int
sqlite_scan(struct store_backend *s, enum store_table table, store_tagged_row_fn *row, void *arg, struct ks_diag *diag)
{
    sqlite3_stmt *stmt = s->table[table].scan;
    int rc = 0;
    int step;
    while (rc == 0 && (step = sqlite3_step(stmt)) != SQLITE_DONE) {
        if (step == SQLITE_ROW)
            rc = row(arg, column(stmt, 0), column(stmt, 1), column(stmt, 2));
        else
            rc = fail(s, step, "reading rows", diag);
    }
    (void)sqlite3_reset(stmt);
    return rc;
}

static int
sqlite_get(struct store_backend *s, enum store_table table, struct ks_span key, struct ks_buf *ret,
           struct ks_buf *ret_tag, struct ks_diag *diag)
{
    sqlite3_stmt *stmt = s->table[table].get;
    int rc = bind(stmt, 1, key);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_DONE) {
        rc = KS_E_NOT_FOUND;
    } else if (rc != SQLITE_ROW) {
        rc = fail(s, rc, "reading a row", diag);
    } else {
        rc = ks_buf_add_span(ret, column(stmt, 0));
        if (rc == 0 && ret_tag != NULL)
            rc = ks_buf_add_span(ret_tag, column(stmt, 1));
        if (rc != 0)
            rc = ks_fail(diag, rc, "%s: a row does not fit: %s", s->path, ks_err_text(rc));
    }
    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt);
    return rc;
}

static int
step_once(sqlite3_stmt *stmt)
{
    const int rc = sqlite3_step(stmt);
    (void)sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
apply(struct store_backend *s, const struct store_change *change)
{
    if ((unsigned)change->table >= STORE_TABLE_COUNT)
        return SQLITE_MISUSE;
    sqlite3_stmt *stmt = change->is_delete ? s->table[change->table].del : s->table[change->table].put;
    int rc = bind(stmt, 1, change->key);
    if (rc == SQLITE_OK && !change->is_delete)
        rc = bind(stmt, 2, change->value);
    if (rc == SQLITE_OK && !change->is_delete)
        rc = bind(stmt, 3, change->tag);
    if (rc == SQLITE_OK)
        rc = step_once(stmt);
    (void)sqlite3_clear_bindings(stmt);
    return rc;
}

static int
sqlite_commit(struct store_backend *s, const struct store_change *changes, size_t n, struct ks_diag *diag)
{
    int rc = step_once(s->begin);
    for (size_t i = 0; i < n && rc == SQLITE_OK; i++)
        rc = apply(s, &changes[i]);
    if (rc == SQLITE_OK)
        rc = step_once(s->commit);
    s->written = true;
    if (rc == SQLITE_OK)
        return 0;
    rc = fail(s, rc, "committing", diag);
    if (sqlite3_get_autocommit(s->db) == 0)
        (void)step_once(s->rollback); /* the caller reopens in any case */
    return rc;
}

static int
sqlite_idle(struct store_backend *s, struct ks_diag *diag)
{
    if (!s->written)
        return 0;
    const int rc = sqlite3_wal_checkpoint_v2(s->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (rc != SQLITE_OK)
        return fail(s, rc, "writing the log into the database", diag);
    s->written = false;
    return 0;
}

const struct store_ops store_sqlite_ops = {
    .create = sqlite_create,
    .open = sqlite_open,
    .close = sqlite_close,
    .scan = sqlite_scan,
    .get = sqlite_get,
    .commit = sqlite_commit,
    .idle = sqlite_idle,
};
