/* Get Usage Allocation (KMIP 1.4: 4.18; 2.1: 6.1.23): what is allocated counts as used from now on. */
#include "server/engine/op/op.h"

/* Uses that apply protection; those that undo or check it are not limited. */
enum {
    PROTECTING = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN |
                 KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY | KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE |
                 KMIP_CRYPTOGRAPHIC_USAGE_MASK_DERIVE_KEY | KMIP_CRYPTOGRAPHIC_USAGE_MASK_CONTENT_COMMITMENT |
                 KMIP_CRYPTOGRAPHIC_USAGE_MASK_CERTIFICATE_SIGN | KMIP_CRYPTOGRAPHIC_USAGE_MASK_CRL_SIGN |
                 KMIP_CRYPTOGRAPHIC_USAGE_MASK_GENERATE_CRYPTOGRAM | KMIP_CRYPTOGRAPHIC_USAGE_MASK_TRANSLATE_ENCRYPT |
                 KMIP_CRYPTOGRAPHIC_USAGE_MASK_TRANSLATE_WRAP | KMIP_CRYPTOGRAPHIC_USAGE_MASK_FPE_ENCRYPT
};

int
op_get_usage_allocation(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct use use = {.use = USE_USAGE_ALLOCATION};
    const struct kmip_get_usage_allocation_request *r = request;
    const int64_t n = r->usage_limits_count;
    struct object *object;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_get_usage_allocation_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    if (n < 1)
        return engine_fail(ctx, COND_BAD_FIELD, "an allocation has one unit at least");
    /* That there is nothing to allocate is not a matter of state (1.4: 11.19). */
    const struct core *core = &object->rev->core;
    if ((core_get(core, CORE_USAGE_MASK) & PROTECTING) == 0)
        return engine_fail(ctx, COND_PROTECTS_NOTHING,
                           "object %s protects nothing by its Cryptographic Usage Mask: there is nothing to allocate",
                           object->uid);
    if (!core_has(core, CORE_USAGE_TOTAL))
        return engine_fail(ctx, COND_NO_USAGE_LIMITS,
                           "object %s has no Usage Limits: it may be used without an "
                           "allocation",
                           object->uid);
    KS_TRY(engine_use(ctx, object, &use));
    const int64_t left = core_get(core, CORE_USAGE_COUNT);
    if (n > left)
        return engine_fail(ctx, COND_USAGE_LIMIT, "object %s has %lld units of its Usage Limits left, not %lld",
                           object->uid, (long long)left, (long long)n);
    KS_TRY(rev_draft(ctx->arena, object->rev, &draft));
    core_set(&draft.core, CORE_USAGE_COUNT, left - n);
    KS_TRY(tx_put(ctx, object, &draft, true));
    engine_note(ctx, "%lld units allocated, %lld left", (long long)n, (long long)(left - n));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
