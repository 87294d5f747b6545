/* Activate, Revoke, Destroy (KMIP 1.4: 4.19 to 4.21; 2.1: 6.1.1, 6.1.55, 6.1.14). */
#include "server/engine/op/op.h"

#include "server/engine/dependants.h"

static int
finish(struct ctx *ctx, struct object *object, struct rev *draft)
{
    const int64_t before = core_get(&object->rev->core, CORE_STATE), after = core_get(&draft->core, CORE_STATE);
    KS_TRY(tx_put(ctx, object, draft, true));
    if (ctx->record != NULL && after != before)
        ctx->record->event.state_after = state_name((uint32_t)after);
    return 0;
}

int
op_activate(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct use use = {.use = USE_ACTIVATE};
    const struct kmip_activate_request *r = request;
    struct object *object;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_activate_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &use));
    KS_TRY(rev_draft(ctx->arena, object->rev, &draft));
    core_set(&draft.core, CORE_STATE, KMIP_STATE_ACTIVE);
    core_set(&draft.core, CORE_ACTIVATION_DATE, ctx->now);
    KS_TRY(attr_check(ctx, object->owner, &draft, object, true));
    KS_TRY(finish(ctx, object, &draft));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

/* The reasons that make an object Compromised; the others make it Deactivated. */
static bool
compromises(uint32_t code)
{
    return code == KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE || code == KMIP_REVOCATION_REASON_CODE_CA_COMPROMISE;
}

static void
revoke(struct ctx *ctx, const struct kmip_revoke_request *r, struct core *core)
{
    if (!compromises(r->revocation_reason->revocation_reason_code)) {
        core_set(core, CORE_STATE, KMIP_STATE_DEACTIVATED);
        core_set(core, CORE_DEACTIVATION_DATE, ctx->now);
        return;
    }
    core_set(core, CORE_STATE,
             core_get(core, CORE_STATE) == KMIP_STATE_DESTROYED ? KMIP_STATE_DESTROYED_COMPROMISED
                                                                : KMIP_STATE_COMPROMISED);
    core_set(core, CORE_COMPROMISE_DATE, ctx->now);
    /* 1.4, 3.29: if it is unknown, the Initial Date. */
    core_set(core, CORE_COMPROMISE_OCCURRENCE_DATE,
             r->has_compromise_occurrence_date ? r->compromise_occurrence_date : core_get(core, CORE_INITIAL_DATE));
}

int
op_revoke(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_revoke_request *r = request;
    struct object *object;
    struct rev draft;
    struct kmip_item *reason;
    OP_RESPONSE(ctx, kmip_revoke_response, response);
    const struct use use = {.use = compromises(r->revocation_reason->revocation_reason_code) ? USE_REVOKE_COMPROMISE
                                                                                             : USE_REVOKE};
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &use));
    const uint32_t code = r->revocation_reason->revocation_reason_code;
    if (r->has_compromise_occurrence_date && !compromises(code))
        return engine_fail(ctx, COND_BAD_FIELD, "a Compromise Occurrence Date goes with a compromise alone");
    if (r->has_compromise_occurrence_date && r->compromise_occurrence_date > ctx->now)
        return engine_fail(ctx, COND_BAD_FIELD, "the Compromise Occurrence Date is in the future");
    KS_TRY(rev_draft(ctx->arena, object->rev, &draft));
    revoke(ctx, r, &draft.core);
    KS_TRY(kmip_item_encode(&kmip_schema_revocation_reason, KMIP_V2_1, r->revocation_reason, ctx->arena, &reason));
    reason->tag = KMIP_TAG_REVOCATION_REASON;
    attr_drop(&draft, KMIP_TAG_REVOCATION_REASON);
    KS_TRY(attr_put(ctx, &draft, KMIP_TAG_REVOCATION_REASON, reason));
    KS_TRY(finish(ctx, object, &draft));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

/* The key material goes, in memory and in the store; what the object was stays known. */
int
op_destroy(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct use use = {.use = USE_DESTROY};
    const struct kmip_destroy_request *r = request;
    struct object *object;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_destroy_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &use));
    KS_TRY(dependants_allow(ctx, object, true));
    KS_TRY(rev_draft(ctx->arena, object->rev, &draft));
    core_set(&draft.core, CORE_STATE,
             object_state(object) == KMIP_STATE_COMPROMISED ? KMIP_STATE_DESTROYED_COMPROMISED : KMIP_STATE_DESTROYED);
    core_set(&draft.core, CORE_DESTROY_DATE, ctx->now);
    draft.material = KS_SPAN_NONE;
    draft.wrapping = NULL;
    draft.content = (struct kmip_attrs){0};
    KS_TRY(finish(ctx, object, &draft));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

/* 3.0: as a Revoke for a reason that is no compromise. */
int
op_deactivate(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct use use = {.use = USE_REVOKE};
    const struct kmip_deactivate_request *r = request;
    struct object *object;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_deactivate_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &use));
    KS_TRY(rev_draft(ctx->arena, object->rev, &draft));
    core_set(&draft.core, CORE_STATE, KMIP_STATE_DEACTIVATED);
    core_set(&draft.core, CORE_DEACTIVATION_DATE, ctx->now);
    if (r->deactivation_reason != NULL) {
        struct kmip_item *reason;
        KS_TRY(
            kmip_item_encode(&kmip_schema_deactivation_reason, KMIP_V3_0, r->deactivation_reason, ctx->arena, &reason));
        reason->tag = KMIP_TAG_DEACTIVATION_REASON;
        attr_drop(&draft, KMIP_TAG_DEACTIVATION_REASON);
        KS_TRY(attr_put(ctx, &draft, KMIP_TAG_DEACTIVATION_REASON, reason));
    }
    KS_TRY(finish(ctx, object, &draft));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

/* 3.0: nothing of the object stays, here or in the store, but what the audit trail says. What linked to it still does.
 */
int
op_obliterate(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct use use = {.use = USE_OBLITERATE};
    const struct kmip_obliterate_request *r = request;
    struct object *object;
    OP_RESPONSE(ctx, kmip_obliterate_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &use));
    KS_TRY(dependants_allow(ctx, object, true));
    KS_TRY(tx_delete(ctx, object));
    *ret_response = response;
    return 0;
}
