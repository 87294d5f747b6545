#include "store/ahead.h"

#include <pthread.h>

enum { BATCHES = 4, BATCH_BYTES = 256 << 10, BATCH_MAX = 80 << 20 /* one row may be larger than a batch */ };

/* Rows, each: lengths of key, value and tag (4 bytes each), then the three. */
struct ahead {
    const struct store_ops *ops;
    struct store_backend *backend;
    enum store_table table;
    struct ks_diag diag; /* the reader's */
    int rc;
    struct ks_buf batch[BATCHES];
    pthread_mutex_t lock;
    pthread_cond_t moved;
    /* Under lock: batches that were filled and that were emptied, ever. */
    size_t filled, emptied;
    bool ended;   /* by the reader */
    bool stopped; /* by the caller: no more rows are wanted */
};

static struct ks_buf *
batch_to_fill(struct ahead *a)
{
    return &a->batch[a->filled % BATCHES];
}

/* The batch is the caller's; waits for an empty one. False: the caller wants no more. */
static bool
hand_over(struct ahead *a)
{
    (void)pthread_mutex_lock(&a->lock);
    a->filled++;
    (void)pthread_cond_broadcast(&a->moved);
    while (a->filled - a->emptied == BATCHES && !a->stopped)
        (void)pthread_cond_wait(&a->moved, &a->lock);
    const bool go_on = !a->stopped;
    (void)pthread_mutex_unlock(&a->lock);
    return go_on;
}

static int
add_row(void *arg, struct ks_span key, struct ks_span value, struct ks_span tag)
{
    struct ahead *a = arg;
    struct ks_buf *batch = batch_to_fill(a);
    ks_buf_add_be32(batch, (uint32_t)key.len);
    ks_buf_add_be32(batch, (uint32_t)value.len);
    ks_buf_add_be32(batch, (uint32_t)tag.len);
    ks_buf_add_span(batch, key);
    ks_buf_add_span(batch, value);
    KS_TRY(ks_buf_add_span(batch, tag));
    return batch->len < BATCH_BYTES || hand_over(a) ? 0 : KS_E_CLOSED;
}

static void *
read_rows(void *arg)
{
    struct ahead *a = arg;
    const int rc = a->ops->scan(a->backend, a->table, add_row, a, &a->diag);
    (void)pthread_mutex_lock(&a->lock);
    a->rc = rc;
    if (batch_to_fill(a)->len != 0 && !a->stopped)
        a->filled++;
    a->ended = true;
    (void)pthread_cond_broadcast(&a->moved);
    (void)pthread_mutex_unlock(&a->lock);
    return NULL;
}

static int
hand_out(const struct ks_buf *batch, store_tagged_row_fn *row, void *arg)
{
    struct ks_cursor c = KS_CURSOR(ks_buf_span(batch));
    while (ks_cursor_left(&c) != 0) {
        const uint32_t key = ks_cursor_be32(&c), value = ks_cursor_be32(&c), tag = ks_cursor_be32(&c);
        const struct ks_span k = ks_cursor_take(&c, key), v = ks_cursor_take(&c, value), t = ks_cursor_take(&c, tag);
        KS_TRY(c.err);
        KS_TRY(row(arg, k, v, t));
    }
    return 0;
}

static int
take_rows(struct ahead *a, store_tagged_row_fn *row, void *arg)
{
    int rc = 0;
    (void)pthread_mutex_lock(&a->lock);
    for (;;) {
        while (a->filled == a->emptied && !a->ended)
            (void)pthread_cond_wait(&a->moved, &a->lock);
        if (a->filled == a->emptied)
            break;
        struct ks_buf *batch = &a->batch[a->emptied % BATCHES];
        (void)pthread_mutex_unlock(&a->lock);
        rc = hand_out(batch, row, arg);
        batch->len = 0; /* sealed rows: nothing to wipe */
        (void)pthread_mutex_lock(&a->lock);
        a->emptied++;
        if (rc != 0)
            break;
        (void)pthread_cond_broadcast(&a->moved);
    }
    a->stopped = true;
    (void)pthread_cond_broadcast(&a->moved);
    (void)pthread_mutex_unlock(&a->lock);
    return rc;
}

static int
run(struct ahead *a, store_tagged_row_fn *row, void *arg, struct ks_diag *diag)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, read_rows, a) != 0) /* slower, and as good */
        return a->ops->scan(a->backend, a->table, row, arg, diag);
    const int rc = take_rows(a, row, arg);
    (void)pthread_join(thread, NULL);
    if (rc != 0 || a->rc == 0)
        return rc;
    return ks_fail(diag, a->rc, "%s", a->diag.code != 0 ? ks_diag_text(&a->diag) : ks_err_text(a->rc));
}

int
ahead_scan(const struct store_ops *ops, struct store_backend *backend, enum store_table table, store_tagged_row_fn *row,
           void *arg, struct ks_diag *diag)
{
    struct ahead a = {.ops = ops, .backend = backend, .table = table};
    /* On Linux neither allocates: they do not fail. */
    if (pthread_mutex_init(&a.lock, NULL) != 0 || pthread_cond_init(&a.moved, NULL) != 0)
        return ks_fail(diag, KS_E_NOMEM, "a scan of the store: out of memory");
    for (size_t i = 0; i < BATCHES; i++)
        a.batch[i] = KS_BUF(BATCH_MAX);
    const int rc = run(&a, row, arg, diag);
    for (size_t i = 0; i < BATCHES; i++)
        ks_buf_done(&a.batch[i]);
    (void)pthread_cond_destroy(&a.moved);
    (void)pthread_mutex_destroy(&a.lock);
    return rc;
}
