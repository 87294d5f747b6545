/*
 * Obtain Lease (KMIP 1.4: 4.17; 2.1: 6.1.35). A lease is a time that the client keeps to by itself: the server grants
 * the object's Lease Time, which is the longest that there is, and has nothing to remember but the record of it. What
 * it refuses is a new lease for an object that is not to be used any more.
 */
#include "server/engine/op/op.h"

int
op_obtain_lease(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct use use = {.use = USE_OBTAIN_LEASE};
    const struct kmip_obtain_lease_request *r = request;
    struct object *object;
    OP_RESPONSE(ctx, kmip_obtain_lease_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &use));
    const struct core *core = &object->rev->core;
    response->unique_identifier = uid_of(object);
    response->lease_time = (uint32_t)core_get(core, CORE_LEASE_TIME); /* 0: without limit */
    response->last_change_date = core_get(core, CORE_LAST_CHANGE_DATE);
    engine_note(ctx, "lease of %u s", (unsigned)response->lease_time);
    *ret_response = response;
    return 0;
}
