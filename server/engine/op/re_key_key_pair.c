/* Re-key Key Pair (KMIP 1.4: 4.5; 2.1: 6.1.47): a replacement for both keys of a pair, which takes over their names. */
#include "server/engine/op/pair.h"
#include "server/engine/op/replace.h"

/* The other half of the pair, which the private key's link names. */
static int
find_public(struct ctx *ctx, const struct object *private, struct object **ret)
{
    struct ks_span uid;
    if (!attr_linked(private->rev, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, &uid))
        return engine_fail(ctx, COND_BAD_FIELD, "private key %s has no Link to its public key, so it is no pair",
                           private->uid);
    struct object *public = objects_find(&ctx->engine->objects, uid);
    if (public == NULL || !policy_may(ctx->client, RIGHT_SEE, public) ||
        object_type(public) != KMIP_OBJECT_TYPE_PUBLIC_KEY)
        return engine_fail(ctx, COND_UNKNOWN_OBJECT, "the public key that private key %s names is not there",
                           private->uid);
    *ret = public;
    return 0;
}

static int
check_old(struct ctx *ctx, struct object *old, uint32_t type)
{
    static const struct use use = {.use = USE_RE_KEY};
    KS_TRY(engine_use(ctx, old, &use));
    if (object_type(old) != type)
        return engine_fail(ctx, COND_OBJECT_UNFIT, "object %s is no private key; a pair is named by its private key",
                           old->uid);
    if (core_has(&old->rev->core, CORE_KEY_VALUE_PRESENT) && core_get(&old->rev->core, CORE_KEY_VALUE_PRESENT) == 0)
        return engine_fail(ctx, COND_NO_KEY_VALUE, "the value of key %s is not on this server", old->uid);
    if (replace_done(old))
        return engine_fail(ctx, COND_NOT_PERMITTED, "object %s has a replacement already; re-key that one", old->uid);
    return 0;
}

static int
start(struct ctx *ctx, const struct kmip_re_key_key_pair_request *r, const struct object *old,
      const struct kmip_attrs *own, struct half *half)
{
    struct kmip_attrs rest;
    KS_TRY(pair_common(ctx, &r->common_attributes, own, &rest));
    KS_TRY(replace_offset_fits(ctx, r->has_offset, &rest));
    KS_TRY(replace_offset_fits(ctx, r->has_offset, own));
    KS_TRY(replace_inherit(ctx, old, &half->draft));
    KS_TRY(replace_dates(ctx, r->has_offset, r->offset, &half->draft.core));
    KS_TRY(replace_override(ctx, &rest, &half->draft));
    return replace_override(ctx, own, &half->draft);
}

/* The Link to the other half, then the one to the key that was replaced. */
static int
link_new(struct ctx *ctx, const struct half *half, uint32_t type, const struct half *to, const struct object *old)
{
    struct rev draft;
    KS_TRY(rev_draft(ctx->arena, half->object->rev, &draft));
    KS_TRY(attr_link(ctx, &draft, type, object_uid(to->object)));
    KS_TRY(attr_link(ctx, &draft, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK, object_uid(old)));
    return tx_put(ctx, half->object, &draft, true);
}

int
op_re_key_key_pair(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_re_key_key_pair_request *r = request;
    struct half private = {.is_private = true}, public = {.is_private = false};
    struct object *old_private, *old_public;
    KS_PKEY *key = NULL;
    OP_RESPONSE(ctx, kmip_re_key_key_pair_response, response);
    KS_TRY(engine_object(ctx, &r->private_key_unique_identifier, &old_private));
    KS_TRY(check_old(ctx, old_private, KMIP_OBJECT_TYPE_PRIVATE_KEY));
    KS_TRY(find_public(ctx, old_private, &old_public));
    KS_TRY(check_old(ctx, old_public, KMIP_OBJECT_TYPE_PUBLIC_KEY));
    KS_TRY(start(ctx, r, old_private, &r->private_attributes, &private));
    KS_TRY(start(ctx, r, old_public, &r->public_attributes, &public));
    KS_TRY(pair_make(ctx, &private.draft, &public.draft, &key));
    KS_TRY(pair_material(ctx, &public, key));
    KS_TRY(pair_material(ctx, &private, key));
    KS_TRY(replace_put(ctx, old_public, &public.draft, true, &public.object));
    KS_TRY(replace_put(ctx, old_private, &private.draft, true, &private.object));
    KS_TRY(link_new(ctx, &private, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, &public, old_private));
    KS_TRY(link_new(ctx, &public, KMIP_LINK_TYPE_PRIVATE_KEY_LINK, &private, old_public));
    engine_note(ctx, "replaces %s, with the public key %s", old_private->uid, public.object->uid);
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_RE_KEY_KEY_PAIR_PUBLIC_KEY, object_uid(public.object));
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_RE_KEY_KEY_PAIR, object_uid(private.object));
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_RE_KEY_KEY_PAIR_PRIVATE_KEY, object_uid(private.object));
    response->private_key_unique_identifier = uid_of(private.object);
    response->public_key_unique_identifier = uid_of(public.object);
    *ret_response = response;
    return 0;
}
