#include "store/store.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#include "store/ahead.h"

struct store {
    const struct store_ops *ops;
    struct store_backend *backend; /* NULL: a reopening failed */
    pthread_mutex_t turn;
    bool uncertain; /* a commit failed: closed until store_reopen */
    char path[PATH_MAX];
};

/* The only one so far; a path that begins with "postgresql:" will name the next. */
static const struct store_ops *
ops_of(const char *path)
{
    (void)path;
    return &store_sqlite_ops;
}

int
store_create(const char *path, struct ks_diag *diag)
{
    return ops_of(path)->create(path, diag);
}

int
store_open(const char *path, struct store **ret, struct ks_diag *diag)
{
    const size_t len = strlen(path);
    if (len == 0 || len >= PATH_MAX)
        return ks_fail(diag, KS_E_INVALID, "the store's path is empty or longer than %d bytes", PATH_MAX - 1);
    struct store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return ks_fail(diag, KS_E_NOMEM, "%s: out of memory", path);
    memcpy(store->path, path, len);
    store->ops = ops_of(path);
    int rc = store->ops->open(path, &store->backend, diag);
    if (rc == 0 && pthread_mutex_init(&store->turn, NULL) != 0) {
        store->ops->close(store->backend);
        rc = ks_fail(diag, KS_E_NOMEM, "%s: cannot make a mutex", path);
    }
    if (rc != 0) {
        free(store);
        return rc;
    }
    *ret = store;
    return 0;
}

void
store_close(struct store *store)
{
    if (store == NULL)
        return;
    if (store->backend != NULL)
        store->ops->close(store->backend);
    (void)pthread_mutex_destroy(&store->turn);
    free(store);
}

const char *
store_path(const struct store *store)
{
    return store->path;
}

/* Takes the turn, unless the store must not be used. */
static int
enter(struct store *store, struct ks_diag *diag)
{
    (void)pthread_mutex_lock(&store->turn);
    if (!store->uncertain && store->backend != NULL)
        return 0;
    (void)pthread_mutex_unlock(&store->turn);
    return ks_fail(diag, KS_E_CLOSED, "%s: closed after a failed write; it must be opened anew first", store->path);
}

static int
leave(struct store *store, int rc)
{
    (void)pthread_mutex_unlock(&store->turn);
    return rc;
}

struct untagged {
    store_row_fn *row;
    void *arg;
};

static int
without_tag(void *arg, struct ks_span key, struct ks_span value, struct ks_span tag)
{
    (void)tag;
    const struct untagged *u = arg;
    return u->row(u->arg, key, value);
}

int
store_scan(struct store *store, enum store_table table, store_row_fn *row, void *arg, struct ks_diag *diag)
{
    struct untagged u = {row, arg};
    return store_scan_tagged(store, table, without_tag, &u, diag);
}

int
store_scan_tagged(struct store *store, enum store_table table, store_tagged_row_fn *row, void *arg,
                  struct ks_diag *diag)
{
    KS_TRY(enter(store, diag));
    return leave(store, ahead_scan(store->ops, store->backend, table, row, arg, diag));
}

int
store_get(struct store *store, enum store_table table, struct ks_span key, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_TRY(enter(store, diag));
    return leave(store, store->ops->get(store->backend, table, key, ret, NULL, diag));
}

int
store_get_tagged(struct store *store, enum store_table table, struct ks_span key, struct ks_buf *ret,
                 struct ks_buf *ret_tag, struct ks_diag *diag)
{
    KS_TRY(enter(store, diag));
    return leave(store, store->ops->get(store->backend, table, key, ret, ret_tag, diag));
}

int
store_commit(struct store *store, const struct store_change *changes, size_t n, struct ks_diag *diag)
{
    KS_TRY(enter(store, diag));
    const int rc = store->ops->commit(store->backend, changes, n, diag);
    store->uncertain = rc != 0;
    return leave(store, rc);
}

int
store_reopen(struct store *store, struct ks_diag *diag)
{
    (void)pthread_mutex_lock(&store->turn);
    if (store->backend != NULL)
        store->ops->close(store->backend);
    store->backend = NULL;
    const int rc = store->ops->open(store->path, &store->backend, diag);
    store->uncertain = rc != 0;
    return leave(store, rc);
}

int
store_idle(struct store *store, struct ks_diag *diag)
{
    KS_TRY(enter(store, diag));
    return leave(store, store->ops->idle(store->backend, diag));
}
