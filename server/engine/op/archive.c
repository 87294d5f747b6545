/* Archive and Recover (KMIP 1.4: 4.22, 4.23; 2.1: 6.1.4, 6.1.42). What archived means is in archive.h. */
#include "server/engine/archive.h"
#include "server/engine/op/op.h"

int
op_archive(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct use use = {.use = USE_ARCHIVE};
    const struct kmip_archive_request *r = request;
    struct object *object;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_archive_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &use));
    KS_TRY(rev_draft(ctx->arena, object->rev, &draft));
    core_set(&draft.core, CORE_ARCHIVE_DATE, ctx->now);
    KS_TRY(archive_put(ctx, object));
    KS_TRY(tx_put(ctx, object, &draft, true));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

int
op_recover(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct use use = {.use = USE_RECOVER};
    const struct kmip_recover_request *r = request;
    struct object *object;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_recover_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &use));
    KS_TRY(rev_draft(ctx->arena, object->rev, &draft));
    core_clear(&draft.core, CORE_ARCHIVE_DATE);
    KS_TRY(archive_take(ctx, object, &draft));
    KS_TRY(tx_put(ctx, object, &draft, true));
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_ID_PLACEHOLDER, object_uid(object));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
