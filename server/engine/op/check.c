/*
 * Check (KMIP 1.4: 4.10; 2.1: 6.1.7): would a use of the object be allowed? What stands against it is said back, and
 * then nothing else is: no Unique Identifier, and no ID Placeholder.
 */
#include "server/engine/op/op.h"

static int
against(struct ctx *ctx, const struct object *object, const struct kmip_check_request *r,
        struct kmip_check_response *ret)
{
    const struct core *core = &object->rev->core;
    if (r->has_cryptographic_usage_mask &&
        (core_get(core, CORE_USAGE_MASK) & r->cryptographic_usage_mask) != r->cryptographic_usage_mask) {
        ret->cryptographic_usage_mask = r->cryptographic_usage_mask;
        ret->has_cryptographic_usage_mask = true;
        engine_say(ctx, COND_USAGE_MASK, "the Cryptographic Usage Mask of object %s does not allow that use",
                   object->uid);
    }
    if (r->has_usage_limits_count && core_has(core, CORE_USAGE_TOTAL) &&
        r->usage_limits_count > core_get(core, CORE_USAGE_COUNT)) {
        ret->usage_limits_count = r->usage_limits_count;
        ret->has_usage_limits_count = true;
        engine_say(ctx, COND_USAGE_LIMIT, "object %s has less than %lld units of its Usage Limits left", object->uid,
                   (long long)r->usage_limits_count);
    }
    /* A Lease Time of 0 is one without limit. */
    const int64_t longest = core_get(core, CORE_LEASE_TIME);
    if (r->has_lease_time && longest != 0 && (r->lease_time > longest || r->lease_time == 0)) {
        ret->lease_time = r->lease_time;
        ret->has_lease_time = true;
        engine_say(ctx, COND_LEASE_REFUSED, "object %s is leased for %lld seconds at most", object->uid,
                   (long long)longest);
    }
    return ctx->failed ? KS_E_KMIP : 0;
}

int
op_check(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct use use = {.use = USE_CHECK};
    const struct kmip_check_request *r = request;
    struct object *object;
    OP_RESPONSE(ctx, kmip_check_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &use));
    if (against(ctx, object, r, response) != 0) {
        engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_ID_PLACEHOLDER, KS_SPAN_NONE);
        /* 2.1 has it too, but its published cases (BL-M-2, BL-M-3) want the reason alone. */
        ctx->refusal = ctx->version < KMIP_V2_0 ? response : NULL;
        return KS_E_KMIP;
    }
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
