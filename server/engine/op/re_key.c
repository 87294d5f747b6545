/* Re-key (KMIP 1.4: 4.4; 2.1: 6.1.46): a replacement for a symmetric key, which takes over its names. */
#include "server/engine/op/op.h"

/* With an Offset the dates move along with the Activation Date; without one they are copied. */
static int
new_dates(struct ctx *ctx, const struct kmip_re_key_request *r, struct core *core)
{
    static const enum core_id along[] = {CORE_PROCESS_START_DATE, CORE_PROTECT_STOP_DATE, CORE_DEACTIVATION_DATE};
    if (!r->has_offset)
        return 0;
    const int64_t activation = ctx->now + r->offset;
    for (size_t i = 0; i < KS_ARRAY_LEN(along); i++) {
        int64_t by, moved;
        if (!core_has(core, along[i]) || !core_has(core, CORE_ACTIVATION_DATE))
            continue;
        if (__builtin_sub_overflow(activation, core_get(core, CORE_ACTIVATION_DATE), &by) ||
            __builtin_add_overflow(core_get(core, along[i]), by, &moved))
            return engine_fail(ctx, COND_BAD_FIELD, "the Offset moves a date beyond what a date can be");
        core_set(core, along[i], moved);
    }
    core_set(core, CORE_ACTIVATION_DATE, activation);
    return 0;
}

/* What the replacement has from the key: all attributes but those that tell of its life and its bytes. */
static int
inherit(struct ctx *ctx, const struct object *old, struct rev *draft)
{
    static const enum core_id not [] = {CORE_DESTROY_DATE, CORE_COMPROMISE_DATE, CORE_COMPROMISE_OCCURRENCE_DATE,
                                        CORE_ARCHIVE_DATE, CORE_FRESH,           CORE_KEY_VALUE_PRESENT};
    static const uint32_t dropped[] = {KMIP_TAG_DIGEST, KMIP_TAG_LINK, KMIP_TAG_REVOCATION_REASON,
                                       KMIP_TAG_RANDOM_NUMBER_GENERATOR};
    KS_TRY(rev_draft(ctx->arena, old->rev, draft));
    for (size_t i = 0; i < KS_ARRAY_LEN(not ); i++)
        core_clear(&draft->core, not [i]);
    for (size_t i = 0; i < KS_ARRAY_LEN(dropped); i++)
        attr_drop(draft, dropped[i]);
    if (core_has(&draft->core, CORE_USAGE_TOTAL))
        core_set(&draft->core, CORE_USAGE_COUNT, core_get(&draft->core, CORE_USAGE_TOTAL));
    draft->material = KS_SPAN_NONE;
    draft->wrapping = NULL;
    return 0;
}

/* Attributes of the request count more than those of the key. */
static int
override(struct ctx *ctx, const struct kmip_attrs *attrs, struct rev *draft)
{
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next) {
        const enum core_id id = core_find(a->tag);
        if (id != CORE_COUNT && (core_rows[id].flags & CORE_HIDDEN) == 0)
            core_clear(&draft->core, id);
        else if (a->tag != KMIP_TAG_ATTRIBUTE)
            attr_drop(draft, a->tag);
        if (a->tag == KMIP_TAG_USAGE_LIMITS)
            core_clear(&draft->core, CORE_USAGE_TOTAL);
    }
    return attr_new(ctx, attrs, draft);
}

/* A key that was replaced is not replaced again: there would be two that took its place. */
static bool
replaced(const struct object *object)
{
    for (const struct kmip_attr *a = object->rev->attrs.first; a != NULL; a = a->next) {
        const struct kmip_item *type =
            a->tag == KMIP_TAG_LINK && a->value != NULL ? kmip_item_child(a->value, KMIP_TAG_LINK_TYPE) : NULL;
        if (type != NULL && type->type == KMIP_TYPE_ENUMERATION && type->u32 == KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK)
            return true;
    }
    return false;
}

int
op_re_key(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct use use = {.use = USE_RE_KEY};
    const struct kmip_re_key_request *r = request;
    struct object *old, *made;
    struct rev draft, old_draft;
    OP_RESPONSE(ctx, kmip_re_key_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &old));
    KS_TRY(engine_use(ctx, old, &use));
    if (object_type(old) != KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        return engine_fail(ctx, COND_OBJECT_KIND, "object %s is no symmetric key", old->uid);
    if (replaced(old))
        return engine_fail(ctx, COND_NOT_PERMITTED, "object %s has a replacement already; re-key that one", old->uid);
    KS_TRY(inherit(ctx, old, &draft));
    KS_TRY(new_dates(ctx, r, &draft.core));
    KS_TRY(override(ctx, &r->attributes, &draft));
    KS_TRY(attr_link(ctx, &draft, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK, object_uid(old)));
    KS_TRY(op_make_symmetric(ctx, &draft));
    /* The names leave the key before the replacement takes them. */
    KS_TRY(rev_draft(ctx->arena, old->rev, &old_draft));
    attr_drop(&old_draft, KMIP_TAG_NAME);
    KS_TRY(tx_put(ctx, old, &old_draft, true));
    KS_TRY(op_new_object(ctx, old->owner, &draft, true, &made));
    KS_TRY(rev_draft(ctx->arena, old->rev, &old_draft));
    KS_TRY(attr_link(ctx, &old_draft, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK, object_uid(made)));
    KS_TRY(tx_put(ctx, old, &old_draft, true));
    engine_note(ctx, "replaces %s", old->uid);
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_RE_KEY, object_uid(made));
    response->unique_identifier = uid_of(made);
    *ret_response = response;
    return 0;
}
