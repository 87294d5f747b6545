/* Attributes of objects that are imported (KMIP 1.4: 4.41; 2.1: 6.1.25): who sets an attribute otherwise does not
 * count. */
#include "server/engine/attr.h"
#include "server/engine/dependants.h"

static const char *
label(const struct kmip_attr *attr)
{
    const char *name = attr->tag != 0 ? kmip_tag_name(attr->tag) : NULL;
    return name != NULL ? name : "attribute";
}

/* Put together from others, or found out again from the object itself. */
static bool
is_derived(const struct kmip_attr *attr, const struct kmip_attr_rule *rule)
{
    const uint32_t certificates = (uint32_t)1 << KMIP_OBJECT_TYPE_CERTIFICATE;
    if (attr->tag == KMIP_TAG_USAGE_LIMITS)
        return false;
    return attr_is_computed(attr->tag) || attr->tag == KMIP_TAG_DIGEST || attr->tag == KMIP_TAG_KEY_FORMAT_TYPE ||
           attr->tag == KMIP_TAG_DIGITAL_SIGNATURE_ALGORITHM || attr->tag == KMIP_TAG_CERTIFICATE_LENGTH ||
           (rule->objects == certificates && (rule->flags & KMIP_ATTR_CLIENT_SETS) == 0);
}

static int
rule_for(struct ctx *ctx, const struct rev *draft, const struct kmip_attr *attr, const struct kmip_attr_rule **ret)
{
    const struct kmip_attr_rule *rule = attr->tag != 0 ? kmip_attr_rule_find(attr->tag) : NULL;
    if (rule == NULL || ctx->version < rule->since || ctx->version > rule->until)
        return engine_fail(ctx, COND_ATTRIBUTE_UNKNOWN, "%s is no attribute of this version of KMIP", label(attr));
    if ((rule->objects >> core_get(&draft->core, CORE_OBJECT_TYPE) & 1) == 0)
        return engine_fail(ctx, COND_ATTRIBUTE_MISPLACED, "objects of this type have no %s", label(attr));
    if (attr->value == NULL)
        return engine_fail(ctx, COND_MISSING, "%s has no value", label(attr));
    if (rule->type != 0 && attr->value->type != rule->type)
        return engine_fail(ctx, COND_ATTRIBUTE_VALUE, "%s is of the wrong type", label(attr));
    if (attr->tag == KMIP_TAG_NAME && name_text(attr->value).len == 0)
        return engine_fail(ctx, COND_ATTRIBUTE_VALUE, "a Name needs a text");
    /* What this server says of objects under its own name nobody else says. */
    if (attr->tag == KMIP_TAG_ATTRIBUTE && ks_span_is(attr->vendor, "y"))
        return engine_fail(ctx, COND_ATTRIBUTE_READ_ONLY, "names of vendor y are the server's own");
    *ret = rule;
    return 0;
}

static int
take_fact(struct ctx *ctx, struct core *core, const struct kmip_attr *attr, const struct kmip_item *item,
          enum core_id id)
{
    int64_t value;
    if (core_from_item(id, item, &value) != 0)
        return engine_fail(ctx, COND_ATTRIBUTE_VALUE, "%s is of the wrong type", label(attr));
    if (id == CORE_OBJECT_TYPE) {
        if (value != core_get(core, id))
            return engine_fail(ctx, COND_ATTRIBUTE_VALUE,
                               "the Object Type in the attributes is not that of the request");
        return 0;
    }
    if (core_has(core, id))
        return engine_fail(ctx, COND_ATTRIBUTE_TWICE, "the request has more than one %s", label(attr));
    core_set(core, id, value);
    return 0;
}

static int
take_usage_limits(struct ctx *ctx, struct core *core, const struct kmip_attr *attr)
{
    const struct kmip_item *total = kmip_item_child(attr->value, KMIP_TAG_USAGE_LIMITS_TOTAL);
    const struct kmip_item *count = kmip_item_child(attr->value, KMIP_TAG_USAGE_LIMITS_COUNT);
    const struct kmip_item *unit = kmip_item_child(attr->value, KMIP_TAG_USAGE_LIMITS_UNIT);
    KS_TRY(take_fact(ctx, core, attr, total, CORE_USAGE_TOTAL));
    KS_TRY(take_fact(ctx, core, attr, count != NULL ? count : total, CORE_USAGE_COUNT));
    KS_TRY(take_fact(ctx, core, attr, unit, CORE_USAGE_UNIT));
    if (core_get(core, CORE_USAGE_COUNT) < 0 || core_get(core, CORE_USAGE_COUNT) > core_get(core, CORE_USAGE_TOTAL))
        return engine_fail(ctx, COND_ATTRIBUTE_VALUE, "Usage Limits: the Count is not between 0 and the Total");
    return 0;
}

/* An attribute of the list, in the order in which it comes. */
static int
take_listed(struct ctx *ctx, struct rev *draft, const struct kmip_attr *attr, const struct kmip_attr_rule *rule)
{
    int32_t index = 0;
    for (const struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next)
        if (attr_same(a, attr->tag, attr->vendor, attr->name))
            index = a->index + 1;
    if (index != 0 && (rule->flags & KMIP_ATTR_MULTI) == 0)
        return engine_fail(ctx, COND_ATTRIBUTE_TWICE, "the request has more than one %s", label(attr));
    if (draft->attrs.n >= ATTR_MOST)
        return engine_fail(ctx, COND_SERVER_LIMIT, "an object can not have more than %d attributes", ATTR_MOST);
    struct kmip_attr *made = kmip_attrs_add(ctx->arena, &draft->attrs, attr->tag, attr->value);
    if (made == NULL)
        return KS_E_NOMEM;
    made->vendor = attr->vendor;
    made->name = attr->name;
    made->index = index;
    return 0;
}

int
attr_import(struct ctx *ctx, const struct kmip_attrs *attrs, struct rev *draft)
{
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next) {
        const struct kmip_attr_rule *rule;
        KS_TRY(rule_for(ctx, draft, a, &rule));
        KS_TRY(dependants_may_agree(ctx, a));
        engine_attribute_named(ctx, a->tag, a->vendor, a->name);
        if (is_derived(a, rule))
            continue;
        const enum core_id id = core_find(a->tag);
        if (a->tag == KMIP_TAG_USAGE_LIMITS)
            KS_TRY(take_usage_limits(ctx, &draft->core, a));
        else if (id != CORE_COUNT && (core_rows[id].flags & CORE_HIDDEN) == 0)
            KS_TRY(take_fact(ctx, &draft->core, a, a->value, id));
        else
            KS_TRY(take_listed(ctx, draft, a, rule));
    }
    return 0;
}
