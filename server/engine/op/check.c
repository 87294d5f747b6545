/* Check (KMIP 1.4: 4.10; 2.1: 6.1.6): would a use of the object be allowed? */
#include "server/engine/op/op.h"

int
op_check(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_check_request *r = request;
    struct object *object;
    OP_RESPONSE(ctx, kmip_check_response, response);
    const struct use use = {.use = USE_CHECK,
                            .mask = r->has_cryptographic_usage_mask ? r->cryptographic_usage_mask : 0};
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &use));
    const struct core *core = &object->rev->core;
    if (r->has_usage_limits_count && core_has(core, CORE_USAGE_TOTAL) &&
        r->usage_limits_count > core_get(core, CORE_USAGE_COUNT))
        return engine_fail(ctx, COND_USAGE_LIMIT, "object %s has less than %lld units of its Usage Limits left",
                           object->uid, (long long)r->usage_limits_count);
    if (r->has_lease_time && core_has(core, CORE_LEASE_TIME) && r->lease_time > core_get(core, CORE_LEASE_TIME))
        return engine_fail(ctx, COND_LEASE_REFUSED, "object %s is not leased for so long", object->uid);
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
