/* Re-key (KMIP 1.4: 4.4; 2.1: 6.1.46): a replacement for a symmetric key, which takes over its names. */
#include "server/engine/op/replace.h"

int
op_re_key(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct use use = {.use = USE_RE_KEY};
    const struct kmip_re_key_request *r = request;
    struct object *old, *made;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_re_key_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &old));
    KS_TRY(engine_use(ctx, old, &use));
    if (object_type(old) != KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        return engine_fail(ctx, COND_OBJECT_UNFIT, "object %s is no symmetric key", old->uid);
    if (core_has(&old->rev->core, CORE_KEY_VALUE_PRESENT) && core_get(&old->rev->core, CORE_KEY_VALUE_PRESENT) == 0)
        return engine_fail(ctx, COND_NO_KEY_VALUE, "the value of key %s is not on this server", old->uid);
    if (replace_done(old))
        return engine_fail(ctx, COND_NOT_PERMITTED, "object %s has a replacement already; re-key that one", old->uid);
    KS_TRY(replace_offset_fits(ctx, r->has_offset, &r->attributes));
    KS_TRY(replace_inherit(ctx, old, &draft));
    KS_TRY(replace_dates(ctx, r->has_offset, r->offset, &draft.core));
    KS_TRY(replace_override(ctx, &r->attributes, &draft));
    KS_TRY(attr_link(ctx, &draft, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK, object_uid(old)));
    KS_TRY(op_make_symmetric(ctx, &draft));
    KS_TRY(replace_put(ctx, old, &draft, true, &made));
    engine_note(ctx, "replaces %s", old->uid);
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_RE_KEY, object_uid(made));
    response->unique_identifier = uid_of(made);
    *ret_response = response;
    return 0;
}
