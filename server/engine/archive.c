#include "server/engine/archive.h"

#define PREFIX "archive/"
enum { MATERIAL_MAX = 4 << 20 };

static int
key_of(struct ctx *ctx, const struct object *object, struct ks_span *ret)
{
    const size_t n = sizeof(PREFIX) - 1, len = sizeof(object->uid) - 1;
    uint8_t *key = ks_arena_alloc(ctx->arena, n + len);
    if (key == NULL)
        return KS_E_NOMEM;
    memcpy(key, PREFIX, n);
    memcpy(key + n, object->uid, len);
    *ret = KS_SPAN(key, n + len);
    return 0;
}

int
archive_put(struct ctx *ctx, const struct object *object)
{
    struct store_change change = {.table = STORE_SYSTEM};
    if (object->rev->material.len == 0)
        return 0;
    KS_TRY(key_of(ctx, object, &change.key));
    KS_TRY(ks_arena_span(ctx->arena, object->rev->material, &change.value));
    return tx_row(ctx, &change);
}

/*
 * An object that was archived since the server started has its material in memory still: its row may be on its way
 * to the store. One that was loaded has its row there.
 */
int
archive_take(struct ctx *ctx, const struct object *object, struct rev *draft)
{
    struct store_change change = {.table = STORE_SYSTEM, .is_delete = true};
    KS_TRY(key_of(ctx, object, &change.key));
    if (draft->material.len == 0) {
        KS_CLEANUP(ks_buf_done) struct ks_buf sealed = KS_BUF(MATERIAL_MAX);
        struct ks_diag diag = {0};
        const int rc = store_get(ctx->engine->store, STORE_SYSTEM, change.key, &sealed, &diag);
        if (rc == KS_E_NOT_FOUND)
            return 0; /* it had none */
        if (rc != 0)
            return engine_fail_diag(ctx, COND_INTERNAL, &diag);
        KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&sealed), &draft->material));
    }
    return tx_row(ctx, &change);
}
