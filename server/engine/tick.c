#include "server/engine/tick.h"

#include "server/engine/async.h"
#include "server/engine/message.h"
#include "server/engine/rotate.h"

/* An object whose row is not what was written is of no use to anybody any more; its transition is not waited for. */
static int
unreadable(struct ctx *ctx, const struct object *object)
{
    struct record *record = tx_record(ctx);
    if (record == NULL)
        return KS_E_NOMEM;
    char *uid = ks_arena_dup(ctx->arena, object->uid, sizeof(object->uid) - 1);
    record->event.object = uid != NULL ? KS_SPAN(uid, sizeof(object->uid) - 1) : KS_SPAN_NONE;
    record->event.event = KS_LIT("state-change");
    record->event.role = "system";
    record->event.status = "failed";
    record->event.message = KS_LIT("by date: its row in the store is damaged or was changed");
    return 0;
}

/* What can not be rotated now keeps nothing else from its turn. */
static int
rotate_or_wait(struct ctx *ctx, struct object *object)
{
    int64_t wait;
    if (rotate_object(ctx, object, &wait) != 0)
        objects_postpone(&ctx->engine->objects, object, ctx->now + wait);
    return 0;
}

static int
settle_one(struct ctx *ctx, struct object *object, bool rotate)
{
    struct rev draft;
    const int rc = objects_ready(&ctx->engine->objects, object);
    if (rc == KS_E_CORRUPT)
        return unreadable(ctx, object);
    KS_TRY(rc);
    KS_TRY(rev_draft(ctx->arena, object->rev, &draft));
    if (!state_settle(&draft.core, ctx->now))
        return rotate ? rotate_or_wait(ctx, object) : KS_E_BUSY;
    struct record *record = tx_record(ctx);
    if (record == NULL)
        return KS_E_NOMEM;
    ctx->record = record;
    engine_about(ctx, object);
    ctx->record = NULL;
    record->event.event = KS_LIT("state-change");
    record->event.role = "system";
    record->event.status = "success";
    record->event.message = KS_LIT("by date");
    record->event.state_after = state_name((uint32_t)core_get(&draft.core, CORE_STATE));
    return tx_put(ctx, object, &draft, true);
}

/*
 * What one call settles. The rest follows with the next call, and meanwhile is treated as what it is about to be
 * (engine_use): a hundred thousand keys, or a few huge ones, may end in the same second, and all of it has to fit into
 * one reply.
 */
enum { SETTLE_MOST = 4096, SETTLE_BYTES = 16 << 20 };

static int
settle(struct ctx *ctx, bool rotate)
{
    struct objects *objects = &ctx->engine->objects;
    if (engine_sealed(ctx->engine))
        return 0;
    for (unsigned n = 0; n < SETTLE_MOST && ctx->arena->used < SETTLE_BYTES; n++) {
        struct object *o = objects_due(objects, ctx->now);
        if (o == NULL)
            return 0;
        const int rc = settle_one(ctx, o, rotate);
        if (rc == 0)
            continue;
        objects_stay_due(objects, o);
        return rc == KS_E_BUSY ? 0 : rc;
    }
    return 0;
}

int
engine_settle(struct ctx *ctx, bool rotate)
{
    ctx->by_itself = true;
    const int rc = settle(ctx, rotate);
    ctx->by_itself = false;
    return rc;
}

bool
engine_tick(struct engine *engine, struct engine_reply *reply)
{
    struct ctx ctx;
    engine_reply_reset(reply);
    engine_ctx_init(&ctx, engine, NULL, reply);
    tickets_expire(&engine->tickets, ctx.now);
    pkcs11_expire(&engine->pkcs11, ctx.now);
    streams_expire(engine, ctx.now);
    parsed_expire(&engine->parsed, ctx.now);
    objects_trim(&engine->objects);
    rotation_expire(&engine->rotation, ctx.now);
    ctx.prepared = engine->rotation.ready;
    const int settled = engine_settle(&ctx, true);
    ctx.prepared = NULL;
    if (settled != 0 || clients_expire(&ctx) != 0 || async_settle(&ctx) != 0 || tx_finish(&ctx) != 0) {
        tx_abandon(&ctx);
        engine_reply_reset(reply);
        return false;
    }
    return reply->job.n_changes != 0 || reply->job.n_records != 0;
}
