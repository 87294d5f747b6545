#include "server/engine/op/replace.h"

#include "server/engine/dependants.h"
#include "server/engine/suspend.h"

static const enum core_id along[] = {CORE_PROCESS_START_DATE, CORE_PROTECT_STOP_DATE, CORE_DEACTIVATION_DATE};

static bool
given(const struct kmip_attrs *attrs, uint32_t tag)
{
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        if (a->tag == tag)
            return true;
    return false;
}

int
replace_offset_fits(struct ctx *ctx, bool has_offset, const struct kmip_attrs *attrs)
{
    if (!has_offset)
        return 0;
    if (given(attrs, KMIP_TAG_ACTIVATION_DATE))
        return engine_fail(ctx, COND_BAD_MESSAGE, "the request has an Offset and an Activation Date; only one can be");
    for (size_t i = 0; i < KS_ARRAY_LEN(along); i++)
        if (given(attrs, core_rows[along[i]].tag))
            return engine_fail(ctx, COND_BAD_MESSAGE, "the request has an Offset and a %s; only one can be",
                               kmip_tag_name(core_rows[along[i]].tag));
    return 0;
}

int
replace_dates(struct ctx *ctx, bool has_offset, uint32_t offset, struct core *core)
{
    if (!has_offset)
        return 0;
    const int64_t activation = ctx->now + (int64_t)offset;
    for (size_t i = 0; i < KS_ARRAY_LEN(along); i++) {
        int64_t by, moved;
        if (!core_has(core, along[i]))
            continue;
        if (!core_has(core, CORE_ACTIVATION_DATE))
            return engine_fail(ctx, COND_OFFSET,
                               "the object has a %s and no Activation Date: an Offset can not move the one along with "
                               "the other",
                               kmip_tag_name(core_rows[along[i]].tag));
        if (__builtin_sub_overflow(activation, core_get(core, CORE_ACTIVATION_DATE), &by) ||
            __builtin_add_overflow(core_get(core, along[i]), by, &moved))
            return engine_fail(ctx, COND_BAD_FIELD, "the Offset moves a date beyond what a date can be");
        core_set(core, along[i], moved);
    }
    core_set(core, CORE_ACTIVATION_DATE, activation);
    return 0;
}

int
replace_inherit(struct ctx *ctx, const struct object *old, struct rev *draft)
{
    static const enum core_id not [] = {CORE_DESTROY_DATE, CORE_COMPROMISE_DATE, CORE_COMPROMISE_OCCURRENCE_DATE,
                                        CORE_ARCHIVE_DATE, CORE_FRESH,           CORE_KEY_VALUE_PRESENT,
                                        CORE_ROTATE_DATE,  CORE_ROTATE_RETRY,    CORE_PAD_USED};
    static const uint32_t dropped[] = {KMIP_TAG_DIGEST, KMIP_TAG_LINK, KMIP_TAG_REVOCATION_REASON,
                                       KMIP_TAG_RANDOM_NUMBER_GENERATOR};
    KS_TRY(rev_draft(ctx->arena, old->rev, draft));
    for (size_t i = 0; i < KS_ARRAY_LEN(not ); i++)
        core_clear(&draft->core, not [i]);
    for (size_t i = 0; i < KS_ARRAY_LEN(dropped); i++)
        attr_drop(draft, dropped[i]);
    if (core_has(&draft->core, CORE_USAGE_TOTAL))
        core_set(&draft->core, CORE_USAGE_COUNT, core_get(&draft->core, CORE_USAGE_TOTAL));
    dependants_drop(draft);
    suspend_drop(draft);
    draft->material = KS_SPAN_NONE;
    draft->wrapping = NULL;
    return 0;
}

int
replace_override(struct ctx *ctx, const struct kmip_attrs *attrs, struct rev *draft)
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

bool
replace_done(const struct object *object)
{
    struct ks_span uid;
    return attr_linked(object->rev, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK, &uid);
}

int
replace_put(struct ctx *ctx, struct object *old, struct rev *draft, bool made, struct object **ret)
{
    struct rev old_draft;
    struct object *object;
    /* The names leave the object before the replacement takes them. */
    KS_TRY(rev_draft(ctx->arena, old->rev, &old_draft));
    attr_drop(&old_draft, KMIP_TAG_NAME);
    core_set(&old_draft.core, CORE_ROTATE_DATE, ctx->now);
    core_set(&old_draft.core, CORE_ROTATE_LATEST, false);
    core_set(&draft->core, CORE_ROTATE_LATEST, true);
    core_set(&draft->core, CORE_ROTATE_GENERATION, core_get(&old->rev->core, CORE_ROTATE_GENERATION) + 1);
    KS_TRY(tx_put(ctx, old, &old_draft, true));
    KS_TRY(op_new_object(ctx, old->owner, draft, made, &object));
    KS_TRY(rev_draft(ctx->arena, old->rev, &old_draft));
    KS_TRY(attr_link(ctx, &old_draft, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK, object_uid(object)));
    KS_TRY(tx_put(ctx, old, &old_draft, true));
    *ret = object;
    return 0;
}
