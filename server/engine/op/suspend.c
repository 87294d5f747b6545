/* Suspend and Resume, Keystead's own: an object is withdrawn for a time, and given back (suspend.h). */
#include "server/engine/suspend.h"

#include "base/text.h"
#include "server/engine/op/op.h"

/* It is quoted in refusals, records and terminals. */
static int
check_reason(struct ctx *ctx, struct ks_span reason)
{
    if (reason.len == 0 || reason.len > SUSPEND_REASON_MOST)
        return engine_fail(ctx, COND_BAD_FIELD, "say why in 1 to %d bytes", SUSPEND_REASON_MOST);
    for (size_t i = 0; i < reason.len; i++)
        if (reason.data[i] < 0x20 || reason.data[i] == 0x7f)
            return engine_fail(ctx, COND_BAD_FIELD, "the reason is one line, without control characters");
    return 0;
}

int
op_suspend(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct use use = {.use = USE_SUSPEND};
    const struct kmip_suspend_request *r = request;
    enum suspension mode = SUSPENSION_ALL;
    struct object *object;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_suspend_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &use));
    if (r->has_suspension_mode && !suspend_mode(r->suspension_mode, &mode))
        return engine_fail(ctx, COND_BAD_FIELD, "the mode of a suspension is all or protect");
    KS_TRY(check_reason(ctx, r->suspension_reason));
    /* One may tighten it; to loosen it takes two. */
    if (mode == SUSPENSION_PROTECT && core_get(&object->rev->core, CORE_SUSPENSION) == SUSPENSION_ALL)
        return engine_fail(ctx, COND_WRONG_STATE,
                           "object %s is suspended for all uses already; have two administrators resume it first",
                           object->uid);
    KS_TRY(rev_draft(ctx->arena, object->rev, &draft));
    KS_TRY(suspend_put(ctx, &draft, mode, r->suspension_reason));
    KS_TRY(tx_put(ctx, object, &draft, true));
    engine_note(ctx, "%s: %.*s", mode == SUSPENSION_ALL ? "all uses" : "new uses", (int)r->suspension_reason.len,
                (const char *)r->suspension_reason.data);
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

int
op_resume(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct use use = {.use = USE_RESUME};
    const struct kmip_resume_request *r = request;
    struct object *object;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_resume_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    if (!core_has(&object->rev->core, CORE_SUSPENSION))
        return engine_fail(ctx, COND_WRONG_STATE, "object %s is not suspended", object->uid);
    KS_TRY(engine_use(ctx, object, &use));
    const struct client *other = suspend_agreed(ctx, object->rev);
    KS_TRY(rev_draft(ctx->arena, object->rev, &draft));
    if (other != NULL)
        suspend_drop(&draft);
    else
        KS_TRY(suspend_agree(ctx, &draft));
    KS_TRY(tx_put(ctx, object, &draft, true));
    if (other != NULL)
        engine_note(ctx, "resumed, as %s agreed", other->name);
    else
        engine_note(ctx, "agreed; another administrator has to resume it within 24 hours");
    response->unique_identifier = uid_of(object);
    response->resumed = other != NULL;
    *ret_response = response;
    return 0;
}
