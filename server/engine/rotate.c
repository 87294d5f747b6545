#include "server/engine/rotate.h"

#include "crypto/pq.h"
#include "server/engine/op/op.h"

enum {
    RETRY_S = 3600,
    FAILED_S = 60, /* when not even that can be stored */
    SOON_S = 1,    /* when its key pair is being made */
};

/* The operation by which objects of a type are replaced, done with the Offset alone. */
static int
replace(struct ctx *ctx, const struct object *object)
{
    const struct core *core = &object->rev->core;
    const bool has_offset = core_has(core, CORE_ROTATE_OFFSET);
    const uint32_t offset = (uint32_t)core_get(core, CORE_ROTATE_OFFSET);
    void *response;
    switch (object_type(object)) {
    case KMIP_OBJECT_TYPE_SYMMETRIC_KEY: {
        const struct kmip_re_key_request r = {
            .unique_identifier = uid_of(object), .offset = offset, .has_offset = has_offset};
        ctx->op = kmip_operation_find(KMIP_OPERATION_RE_KEY);
        return op_re_key(ctx, &r, &response);
    }
    case KMIP_OBJECT_TYPE_PRIVATE_KEY: {
        const struct kmip_re_key_key_pair_request r = {
            .private_key_unique_identifier = uid_of(object), .offset = offset, .has_offset = has_offset};
        ctx->op = kmip_operation_find(KMIP_OPERATION_RE_KEY_KEY_PAIR);
        return op_re_key_key_pair(ctx, &r, &response);
    }
    default: {
        const struct kmip_re_certify_request r = {
            .unique_identifier = uid_of(object), .offset = offset, .has_offset = has_offset};
        ctx->op = kmip_operation_find(KMIP_OPERATION_RE_CERTIFY);
        return op_re_certify(ctx, &r, &response);
    }
    }
}

static int
try_later(struct ctx *ctx, struct object *object)
{
    struct rev draft;
    KS_TRY(rev_draft(ctx->arena, object->rev, &draft));
    core_set(&draft.core, CORE_ROTATE_RETRY, ctx->now + RETRY_S);
    return tx_put(ctx, object, &draft, false);
}

static bool
takes_long(const struct object *object)
{
    return object_type(object) == KMIP_OBJECT_TYPE_PRIVATE_KEY &&
           (core_get(&object->rev->core, CORE_ALGORITHM) == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA ||
            ks_pq_is_slow((uint32_t)core_get(&object->rev->core, CORE_ALGORITHM)));
}

/* What failed, on record; and not again before an hour is over. */
static int
put_off(struct ctx *ctx, struct object *object, struct record *record, int rc, const struct tx *mark)
{
    tx_rollback(ctx, mark);
    if (ctx->failed) {
        record->event.reason = kmip_enum_xml_name(KMIP_TAG_RESULT_REASON, ctx->reason);
        record->event.message = ks_span_str(ctx->message);
    } else {
        record->event.message = ks_span_str(ks_err_text(rc)); /* no refusal: memory, say */
    }
    ctx->failed = false;
    const int later = try_later(ctx, object);
    if (later != 0)
        tx_rollback(ctx, mark);
    return later;
}

int
rotate_object(struct ctx *ctx, struct object *object, int64_t *ret_wait)
{
    *ret_wait = SOON_S;
    if (takes_long(object) && ctx->engine->config.prepares &&
        !rotation_has(ctx->engine, (uint32_t)core_get(&object->rev->core, CORE_LENGTH)))
        return KS_E_BUSY;
    if (takes_long(object) && ctx->n_slow != 0)
        return KS_E_BUSY;
    *ret_wait = FAILED_S;
    const struct tx mark = ctx->tx;
    struct client *const client = ctx->client;
    const enum kmip_version version = ctx->version;
    struct record *record = tx_record(ctx);
    if (record == NULL)
        return KS_E_BUSY;
    record->event.event = KS_LIT("rotation");
    record->event.role = "system";
    record->event.client = ks_span_str(object->owner->name);
    ctx->record = record;
    ctx->client = object->owner;
    ctx->version = KMIP_V2_1;
    ctx->failed = false;
    const struct acting server = {.objects = &ctx->engine->objects, .all = true};
    const struct acting *asking = object->owner->acting;
    object->owner->acting = &server;
    const int rc = replace(ctx, object);
    object->owner->acting = asking;
    ctx->record = NULL;
    ctx->op = NULL;
    ctx->client = client;
    ctx->version = version;
    record->event.status = rc == 0 ? "success" : "failed";
    return rc == 0 || put_off(ctx, object, record, rc, &mark) == 0 ? 0 : KS_E_BUSY;
}
