/* Attributes of new objects, and the changes that clients make: KMIP 1.4, 3 and 4.14 to 4.16; 2.1, 4 and 6.1.2, 6.1.3,
 * ... */
#include "base/text.h"
#include "server/engine/attr.h"

#include "server/engine/dependants.h"
#include "server/engine/search.h"

enum change_kind { CHANGE_NEW, CHANGE_ADD, CHANGE_MODIFY, CHANGE_SET, CHANGE_DELETE, CHANGE_ADJUST };

static const char *
attr_label(const struct kmip_attr *attr, char *buf, size_t size)
{
    if (attr->tag != KMIP_TAG_ATTRIBUTE) {
        const char *name = kmip_tag_name(attr->tag);
        return name != NULL ? name : "attribute";
    }
    const size_t n = attr->name.len < size - 1 ? attr->name.len : size - 1;
    if (n != 0)
        memcpy(buf, attr->name.data, n);
    buf[n] = '\0';
    return buf;
}
#define LABEL(attr) attr_label((attr), (char[64]){0}, 64)

static enum condition
read_only(enum change_kind kind)
{
    return kind == CHANGE_ADD || kind == CHANGE_SET || kind == CHANGE_ADJUST ? COND_ATTRIBUTE_READ_ONLY_ADD
                                                                             : COND_ATTRIBUTE_READ_ONLY;
}

/* Vendor attributes whose names begin so are the server's (1.x: "y-", 2.x: vendor "y"). */
static int
servers_own(struct ctx *ctx, const struct kmip_attr *attr, enum change_kind kind)
{
    if (attr->tag != KMIP_TAG_ATTRIBUTE || !ks_span_is(attr->vendor, "y"))
        return 0;
    return engine_fail(ctx, read_only(kind), "names of vendor y are the server's own: %s", LABEL(attr));
}

int
attr_is_clients(struct ctx *ctx, const struct kmip_attr *attr)
{
    switch (ctx->op != NULL ? ctx->op->value : 0) {
    case KMIP_OPERATION_ADD_ATTRIBUTE:
        return servers_own(ctx, attr, CHANGE_ADD);
    case KMIP_OPERATION_SET_ATTRIBUTE:
        return servers_own(ctx, attr, CHANGE_SET);
    case KMIP_OPERATION_ADJUST_ATTRIBUTE:
        return servers_own(ctx, attr, CHANGE_ADJUST);
    default:
        return servers_own(ctx, attr, CHANGE_MODIFY);
    }
}

/* The rule of the attribute, if the client may do that with it. */
static int
rule_for(struct ctx *ctx, const struct rev *draft, const struct kmip_attr *attr, enum change_kind kind,
         const struct kmip_attr_rule **ret)
{
    static const unsigned needed[] = {
        [CHANGE_NEW] = KMIP_ATTR_CLIENT_SETS | KMIP_ATTR_CLIENT_ASKS,
        [CHANGE_ADD] = KMIP_ATTR_CLIENT_SETS,
        [CHANGE_MODIFY] = KMIP_ATTR_CLIENT_MODIFIES,
        [CHANGE_SET] = KMIP_ATTR_CLIENT_SETS | KMIP_ATTR_CLIENT_MODIFIES,
        [CHANGE_DELETE] = KMIP_ATTR_CLIENT_DELETES,
        [CHANGE_ADJUST] = KMIP_ATTR_CLIENT_MODIFIES,
    };
    const struct kmip_attr_rule *rule = attr->tag != 0 ? kmip_attr_rule_find(attr->tag) : NULL;
    const bool typed = attr->tag == KMIP_TAG_LINK && ctx->version >= KMIP_V3_0; /* a Link of another name there */
    if (rule == NULL || ctx->version < rule->since || (ctx->version > rule->until && !typed))
        return engine_fail(ctx, COND_ATTRIBUTE_UNKNOWN, "%s is no attribute of this version of KMIP", LABEL(attr));
    if ((rule->flags & needed[kind]) == 0)
        return engine_fail(ctx, read_only(kind),
                           kind == CHANGE_DELETE ? "%s may not be deleted" : "%s is set by the server alone",
                           LABEL(attr));
    KS_TRY(servers_own(ctx, attr, kind));
    if (!kmip_attr_applies(rule, typed ? KMIP_V2_1 : ctx->version, (uint32_t)core_get(&draft->core, CORE_OBJECT_TYPE)))
        return engine_fail(ctx, kind == CHANGE_ADD ? COND_ATTRIBUTE_MISPLACED_ADD : COND_ATTRIBUTE_MISPLACED,
                           "objects of this type have no %s", LABEL(attr));
    *ret = rule;
    return dependants_may_agree(ctx, attr);
}

/* A reference to an object as a Unique Identifier may be: by enumeration or position. */
static bool
by_number(const struct kmip_item *value)
{
    return value->type == KMIP_TYPE_ENUMERATION || value->type == KMIP_TYPE_INTEGER;
}

static int
check_value(struct ctx *ctx, const struct kmip_attr *attr, const struct kmip_attr_rule *rule)
{
    if (attr->value == NULL)
        return engine_fail(ctx, COND_MISSING, "%s has no value", LABEL(attr));
    if (rule->type != 0 && attr->value->type != rule->type &&
        !(rule->type == KMIP_TYPE_REFERENCE && by_number(attr->value)))
        return engine_fail(ctx, COND_ATTRIBUTE_VALUE, "%s is of the wrong type", LABEL(attr));
    if (attr->tag == KMIP_TAG_NAME && name_text(attr->value).len == 0)
        return engine_fail(ctx, COND_ATTRIBUTE_VALUE, "a Name needs a text");
    return 0;
}

/* The one namespace in which the server makes Application Data where a client leaves it out (2.1: 4.4). */
const char attr_namespace[] = "keystead";

/* Where a Link leads may be said as a Unique Identifier may (2.x: 4.31): by enumeration or position. It is kept as the
 * identifier that this is now. */
static int
complete_link(struct ctx *ctx, struct kmip_attr *attr)
{
    const bool whole = attr->value != NULL && attr->value->type == KMIP_TYPE_STRUCTURE;
    const struct kmip_item *to = whole ? kmip_item_child(attr->value, KMIP_TAG_LINKED_OBJECT_IDENTIFIER) : attr->value;
    if (to == NULL || !by_number(to))
        return 0;
    const struct kmip_uid uid = {.type = to->type,
                                 .number = to->type == KMIP_TYPE_INTEGER ? (uint32_t)to->i32 : to->u32};
    struct kmip_item *copy = kmip_item_copy(ctx->arena, attr->value);
    struct kmip_item *kept = copy;
    if (copy == NULL)
        return KS_E_NOMEM;
    if (whole)
        for (kept = copy->first; kept->tag != KMIP_TAG_LINKED_OBJECT_IDENTIFIER;)
            kept = kept->next;
    KS_TRY(engine_uid(ctx, &uid, &kept->s));
    kept->type = whole ? KMIP_TYPE_TEXT_STRING : KMIP_TYPE_REFERENCE;
    attr->value = copy;
    return 0;
}

/* The attribute as it is to be kept: with the data that the server makes. The request's own is left as it was. */
static int
complete(struct ctx *ctx, const struct kmip_attr *attr, struct kmip_attr *ret)
{
    *ret = *attr;
    const struct kmip_attr_rule *rule = kmip_attr_rule_find(attr->tag);
    if (attr->tag == KMIP_TAG_LINK || (rule != NULL && rule->type == KMIP_TYPE_REFERENCE))
        return complete_link(ctx, ret);
    if (attr->tag != KMIP_TAG_APPLICATION_SPECIFIC_INFORMATION || attr->value == NULL ||
        attr->value->type != KMIP_TYPE_STRUCTURE || kmip_item_child(attr->value, KMIP_TAG_APPLICATION_DATA) != NULL)
        return 0;
    const struct kmip_item *space = kmip_item_child(attr->value, KMIP_TAG_APPLICATION_NAMESPACE);
    if (space == NULL || space->type != KMIP_TYPE_TEXT_STRING || !ks_span_is(space->s, attr_namespace))
        return engine_fail(ctx, COND_NAMESPACE,
                           "the server makes no Application Data for that Application Namespace; send it along");
    uint8_t random[16];
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(64);
    struct kmip_item *data = kmip_item_new(ctx->arena, KMIP_TAG_APPLICATION_DATA, KMIP_TYPE_TEXT_STRING);
    ret->value = kmip_item_copy(ctx->arena, attr->value);
    if (data == NULL || ret->value == NULL)
        return KS_E_NOMEM;
    KS_TRY(engine_random(ctx->engine, random, sizeof(random)));
    KS_TRY(ks_hex_add(&text, random, sizeof(random)));
    KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&text), &data->s));
    kmip_item_append(ret->value, data);
    return 0;
}

/* Else deleting and adding them anew would be the way around them. */
static int
check_unused(struct ctx *ctx, const struct core *core)
{
    if (core_has(core, CORE_USAGE_TOTAL) && core_get(core, CORE_USAGE_COUNT) != core_get(core, CORE_USAGE_TOTAL))
        return engine_fail(ctx, COND_NOT_PERMITTED, "Usage Limits of which some is used can not be changed");
    return 0;
}

static int
set_usage_limits(struct ctx *ctx, struct core *core, const struct kmip_attr *attr)
{
    const struct kmip_item *total = kmip_item_child(attr->value, KMIP_TAG_USAGE_LIMITS_TOTAL);
    const struct kmip_item *unit = kmip_item_child(attr->value, KMIP_TAG_USAGE_LIMITS_UNIT);
    int64_t n, u;
    if (core_from_item(CORE_USAGE_TOTAL, total, &n) != 0 || core_from_item(CORE_USAGE_UNIT, unit, &u) != 0 || n < 0)
        return engine_fail(ctx, COND_ATTRIBUTE_VALUE, "Usage Limits need a Total that is not negative, and a Unit");
    KS_TRY(check_unused(ctx, core));
    core_set(core, CORE_USAGE_TOTAL, n);
    core_set(core, CORE_USAGE_COUNT, n);
    core_set(core, CORE_USAGE_UNIT, u);
    return 0;
}

/* Facts whose changes have conditions: dates are fixed once they have come, secrecy is only ever tightened. */
static int
check_fact(struct ctx *ctx, const struct object *object, enum core_id id, int64_t value)
{
    const struct core *core = &object->rev->core;
    const int64_t state = core_get(core, CORE_STATE);
    const bool pre = state == KMIP_STATE_PRE_ACTIVE, active = state == KMIP_STATE_ACTIVE;
    bool fits = true;
    switch (id) {
    case CORE_ACTIVATION_DATE:
        fits = pre;
        break;
    case CORE_DEACTIVATION_DATE:
        fits = pre || active;
        break;
    case CORE_PROCESS_START_DATE:
    case CORE_PROTECT_STOP_DATE:
        fits = (pre || active) && (!core_has(core, id) || core->v[id] > ctx->now);
        break;
    case CORE_SENSITIVE:
        if (core_get(core, id) != 0 && value == 0)
            return engine_fail(ctx, COND_NOT_PERMITTED, "object %s is Sensitive and stays so", object->uid);
        break;
    case CORE_EXTRACTABLE:
        if (core_get(core, id) == 0 && value != 0)
            return engine_fail(ctx, COND_NOT_PERMITTED, "object %s is not Extractable and stays so", object->uid);
        break;
    default:
        break;
    }
    if (fits)
        return 0;
    return engine_fail(ctx, COND_WRONG_STATE, "%s of object %s is fixed in state %s", kmip_tag_name(core_rows[id].tag),
                       object->uid, kmip_enum_name(KMIP_TAG_STATE, (uint32_t)state));
}

static int
set_fact(struct ctx *ctx, const struct object *object, struct core *core, const struct kmip_attr *attr, enum core_id id)
{
    int64_t value;
    if (core_from_item(id, attr->value, &value) != 0)
        return engine_fail(ctx, COND_ATTRIBUTE_VALUE, "%s is of the wrong type", LABEL(attr));
    if (object != NULL)
        KS_TRY(check_fact(ctx, object, id, value));
    core_set(core, id, value);
    return 0;
}

/* The fact that an attribute is, CORE_USAGE_TOTAL for Usage Limits, CORE_COUNT for one of the list. */
static enum core_id
fact_of(uint32_t tag)
{
    if (tag == KMIP_TAG_USAGE_LIMITS)
        return CORE_USAGE_TOTAL;
    const enum core_id id = core_find(tag);
    return id != CORE_COUNT && (core_rows[id].flags & CORE_HIDDEN) != 0 ? CORE_COUNT : id;
}

static int
write_fact(struct ctx *ctx, const struct object *object, struct rev *draft, const struct kmip_attr *attr,
           enum core_id id)
{
    if (attr->tag == KMIP_TAG_USAGE_LIMITS)
        return set_usage_limits(ctx, &draft->core, attr);
    return set_fact(ctx, object, &draft->core, attr, id);
}

static bool
is_add(const struct ctx *ctx)
{
    return ctx->op != NULL && ctx->op->value == KMIP_OPERATION_ADD_ATTRIBUTE;
}

/* Appends an instance. An index is not used again: a deleted last instance leaves its place behind. */
static int
append(struct ctx *ctx, struct rev *draft, const struct kmip_attr *attr, const struct kmip_attr_rule *rule,
       struct kmip_attr **ret)
{
    int32_t index = 0;
    size_t n = 0;
    for (const struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next) {
        n++;
        if (!attr_same(a, attr->tag, attr->vendor, attr->name))
            continue;
        if (a->index >= index)
            index = a->index + 1;
        if (a->value == NULL)
            continue;
        if ((rule->flags & KMIP_ATTR_MULTI) == 0)
            return engine_fail(ctx, COND_ATTRIBUTE_ONLY_ONE, "the object has a %s already, and can have one only",
                               LABEL(attr));
        if (attr->tag != KMIP_TAG_NAME && attr->tag != KMIP_TAG_ATTRIBUTE && kmip_item_equal(a->value, attr->value))
            return engine_fail(ctx, is_add(ctx) ? COND_INSTANCE_THERE : COND_ATTRIBUTE_VALUE,
                               "the object has that %s already", LABEL(attr));
    }
    if (n >= ATTR_MOST)
        return engine_fail(ctx, COND_ATTRIBUTE_INSTANCES, "an object can not have more than %d attributes", ATTR_MOST);
    struct kmip_attr *made = kmip_attrs_add(ctx->arena, &draft->attrs, attr->tag, attr->value);
    if (made == NULL)
        return KS_E_NOMEM;
    made->vendor = attr->vendor;
    made->name = attr->name;
    made->index = (rule->flags & KMIP_ATTR_MULTI) != 0 ? index : 0;
    *ret = made;
    return 0;
}

/* New objects */

static int
take_new(struct ctx *ctx, const struct kmip_attr *attr, struct rev *draft)
{
    const struct kmip_attr_rule *rule;
    struct kmip_attr *made;
    KS_TRY(rule_for(ctx, draft, attr, CHANGE_NEW, &rule));
    KS_TRY(check_value(ctx, attr, rule));
    struct kmip_attr whole;
    KS_TRY(complete(ctx, attr, &whole));
    attr = &whole;
    engine_attribute_named(ctx, attr->tag, attr->vendor, attr->name);
    const enum core_id id = fact_of(attr->tag);
    if (id == CORE_COUNT)
        return append(ctx, draft, attr, rule, &made);
    if (core_has(&draft->core, id))
        return engine_fail(ctx, COND_ATTRIBUTE_TWICE, "the request has more than one %s", LABEL(attr));
    return write_fact(ctx, NULL, draft, attr, id);
}

/* Templates (1.x): the object that the Name in a Template-Attribute names. Visible templates of others count too. */
static int
find_template(struct ctx *ctx, const struct kmip_item *name, struct object **ret)
{
    const struct ks_span text = name_text(name);
    for (const struct client *owner = search_owner(ctx, NULL); owner != NULL; owner = search_owner(ctx, owner)) {
        uint32_t at = INDEX_NONE;
        for (struct object *o; (o = objects_named(&ctx->engine->objects, owner, text, &at)) != NULL;)
            if (object_type(o) == KMIP_OBJECT_TYPE_TEMPLATE && policy_may(ctx->client, RIGHT_SEE, o)) {
                *ret = o;
                return 0;
            }
    }
    return engine_fail(ctx, COND_UNKNOWN_OBJECT, "there is no template of the name %.*s",
                       (int)(text.len < 64 ? text.len : 64), (const char *)text.data);
}

static bool
given(const struct kmip_attrs *attrs, const struct kmip_attr *which)
{
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        if (attr_same(a, which->tag, which->vendor, which->name))
            return true;
    return false;
}

int
attr_new(struct ctx *ctx, const struct kmip_attrs *attrs, struct rev *draft)
{
    for (const struct kmip_item *name = attrs->names; name != NULL; name = name->next) {
        struct object *template;
        KS_TRY(find_template(ctx, name, &template));
        /* What the request gives itself counts more than what its templates say; the later template more than the
         * earlier. */
        for (const struct kmip_attr *a = template->rev->content.first; a != NULL; a = a->next) {
            const enum core_id id = fact_of(a->tag);
            if (a->tag == KMIP_TAG_NAME || given(attrs, a))
                continue;
            if (id != CORE_COUNT)
                core_clear(&draft->core, id);
            KS_TRY(take_new(ctx, a, draft));
        }
    }
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        KS_TRY(take_new(ctx, a, draft));
    return 0;
}

static bool
same_name(const struct rev *a, struct ks_span name)
{
    size_t n = 0;
    for (const struct kmip_attr *attr = a->attrs.first; attr != NULL; attr = attr->next)
        n += attr->tag == KMIP_TAG_NAME && attr->value != NULL && ks_span_equal(name_text(attr->value), name);
    return n > 1;
}

/* Revoke may leave a Protect Stop Date behind the end of the object: that is no reason to refuse other changes. */
static bool
dates_changed(const struct core *a, const struct core *b)
{
    static const enum core_id dates[] = {CORE_ACTIVATION_DATE, CORE_PROCESS_START_DATE, CORE_PROTECT_STOP_DATE,
                                         CORE_DEACTIVATION_DATE};
    bool changed = false;
    for (size_t i = 0; i < KS_ARRAY_LEN(dates); i++)
        changed =
            changed || core_has(a, dates[i]) != core_has(b, dates[i]) || core_get(a, dates[i]) != core_get(b, dates[i]);
    return changed;
}

int
attr_check(struct ctx *ctx, const struct client *owner, const struct rev *draft, const struct object *self,
           bool changing)
{
    const char *what;
    /* The names of session objects are nobody's but the session's. */
    const bool of_session =
        self != NULL ? self->of_session : p11_makes(ctx->p11, (uint32_t)core_get(&draft->core, CORE_OBJECT_TYPE));
    if ((self == NULL || dates_changed(&self->rev->core, &draft->core)) && !state_dates_fit(&draft->core, &what))
        return engine_fail(ctx, changing ? COND_WRONG_STATE : COND_ATTRIBUTE_VALUE, "the dates do not fit: %s", what);
    for (const struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next) {
        if (a->tag != KMIP_TAG_NAME || a->value == NULL)
            continue;
        const struct ks_span text = name_text(a->value);
        bool used = same_name(draft, text);
        uint32_t at = INDEX_NONE;
        for (const struct object *o;
             !used && !of_session && (o = objects_named(&ctx->engine->objects, owner, text, &at)) != NULL;)
            used = o != self;
        if (used)
            return engine_fail(ctx, changing ? COND_NAME_IN_USE_CHANGE : COND_NAME_IN_USE,
                               "the name %.*s is in use; choose another, or destroy its object first",
                               (int)(text.len < 64 ? text.len : 64), (const char *)text.data);
    }
    return 0;
}

/* Changes of existing objects */

static int
shadow(struct ctx *ctx, const struct rev *draft, const struct kmip_attr *attr, enum core_id id, struct kmip_attr **ret)
{
    struct kmip_attr *made = CTX_NEW(ctx, struct kmip_attr);
    if (made == NULL)
        return KS_E_NOMEM;
    *made = *attr;
    made->next = NULL;
    made->index = -1;
    if (attr->tag != KMIP_TAG_USAGE_LIMITS) {
        made->value = core_item(ctx->arena, &draft->core, id);
        if (made->value == NULL)
            return KS_E_NOMEM;
    }
    *ret = made;
    return 0;
}

/* What follows from a change of one fact. */
static void
settle_facts(struct ctx *ctx, struct core *core)
{
    if (core_get(core, CORE_SENSITIVE) == 0)
        core_set(core, CORE_ALWAYS_SENSITIVE, false);
    if (core_get(core, CORE_EXTRACTABLE) != 0)
        core_set(core, CORE_NEVER_EXTRACTABLE, false);
    (void)state_settle(core, ctx->now);
}

int
attr_add(struct ctx *ctx, const struct object *object, struct rev *draft, const struct kmip_attr *attr,
         struct kmip_attr **ret)
{
    const struct kmip_attr_rule *rule;
    KS_TRY(rule_for(ctx, draft, attr, CHANGE_ADD, &rule));
    KS_TRY(check_value(ctx, attr, rule));
    struct kmip_attr whole;
    KS_TRY(complete(ctx, attr, &whole));
    attr = &whole;
    engine_attribute_named(ctx, attr->tag, attr->vendor, attr->name);
    const enum core_id id = fact_of(attr->tag);
    if (id == CORE_COUNT)
        return append(ctx, draft, attr, rule, ret);
    if (core_has(&draft->core, id))
        return engine_fail(ctx, COND_ATTRIBUTE_ONLY_ONE, "object %s has a %s already, and can have one only",
                           object->uid, LABEL(attr));
    KS_TRY(write_fact(ctx, object, draft, attr, id));
    settle_facts(ctx, &draft->core);
    return shadow(ctx, draft, attr, id, ret);
}

/* Whether an instance is one of what a request names: 3.0 has a name for each type of Link. */
static bool
is_meant(const struct ctx *ctx, const struct kmip_attr *a, const struct kmip_attr *which)
{
    const bool typed = ctx->version >= KMIP_V3_0 && which->tag == KMIP_TAG_LINK && which->value != NULL;
    return a->value != NULL && attr_is_asked_for(a, which) &&
           (!typed || attr_link_type(a->value) == attr_link_type(which->value));
}

/* What it is called that an object does not have the attribute at all. */
static enum condition
absent(const struct ctx *ctx)
{
    return ctx->op != NULL && ctx->op->value == KMIP_OPERATION_MODIFY_ATTRIBUTE ? COND_ATTRIBUTE_ABSENT_MODIFY
                                                                                : COND_ATTRIBUTE_ABSENT;
}

/* The instance that a request means: with that value, with that index, or the only one there is. */
static int
find_instance(struct ctx *ctx, const struct object *object, struct rev *draft, const struct kmip_attr *which,
              const struct kmip_item *value, struct kmip_attr **ret)
{
    struct kmip_attr *found = NULL;
    size_t n = 0, matches = 0;
    const int32_t index = ctx->version < KMIP_V2_0 && which->index < 0 ? 0 : which->index;
    for (struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next) {
        if (!is_meant(ctx, a, which))
            continue;
        n++;
        if (value != NULL ? !kmip_item_equal(a->value, value) : index >= 0 && a->index != index)
            continue;
        found = a;
        matches++;
    }
    if (n == 0)
        return engine_fail(ctx, absent(ctx), "object %s has no %s", object->uid, LABEL(which));
    if (matches == 0)
        return engine_fail(ctx, COND_INSTANCE_ABSENT, "object %s has no such instance of %s", object->uid,
                           LABEL(which));
    if (matches > 1)
        return engine_fail(ctx, COND_ATTRIBUTE_MANY,
                           "object %s has several instances of %s; say which with Current Attribute", object->uid,
                           LABEL(which));
    *ret = found;
    return 0;
}

static int
fact_present(struct ctx *ctx, const struct object *object, const struct rev *draft, const struct kmip_attr *attr,
             const struct kmip_item *value, enum core_id id)
{
    int64_t v;
    if (!core_has(&draft->core, id))
        return engine_fail(ctx, absent(ctx), "object %s has no %s", object->uid, LABEL(attr));
    if (attr->index > 0)
        return engine_fail(ctx, COND_INSTANCE_ABSENT, "object %s has no such instance of %s", object->uid, LABEL(attr));
    if (value != NULL && attr->tag != KMIP_TAG_USAGE_LIMITS &&
        (core_from_item(id, value, &v) != 0 || v != core_get(&draft->core, id)))
        return engine_fail(ctx, COND_INSTANCE_ABSENT, "%s of object %s has another value", LABEL(attr), object->uid);
    return 0;
}

static int
modify(struct ctx *ctx, const struct object *object, struct rev *draft, const struct kmip_attr *attr,
       const struct kmip_attr *current, enum change_kind kind, struct kmip_attr **ret)
{
    const struct kmip_attr_rule *rule;
    KS_TRY(rule_for(ctx, draft, attr, kind, &rule));
    KS_TRY(dependants_may_change(ctx, object, attr));
    KS_TRY(check_value(ctx, attr, rule));
    struct kmip_attr whole;
    KS_TRY(complete(ctx, attr, &whole));
    attr = &whole;
    engine_attribute_named(ctx, attr->tag, attr->vendor, attr->name);
    const struct kmip_item *value = current != NULL ? current->value : NULL;
    const enum core_id id = fact_of(attr->tag);
    if (id != CORE_COUNT) {
        KS_TRY(fact_present(ctx, object, draft, attr, value, id));
        KS_TRY(write_fact(ctx, object, draft, attr, id));
        settle_facts(ctx, &draft->core);
        return shadow(ctx, draft, attr, id, ret);
    }
    KS_TRY(find_instance(ctx, object, draft, attr, value, ret));
    (*ret)->value = attr->value;
    return 0;
}

int
attr_modify(struct ctx *ctx, const struct object *object, struct rev *draft, const struct kmip_attr *attr,
            const struct kmip_attr *current, struct kmip_attr **ret)
{
    return modify(ctx, object, draft, attr, current, CHANGE_MODIFY, ret);
}

int
attr_adjustable(struct ctx *ctx, const struct rev *draft, const struct kmip_attr *which)
{
    const struct kmip_attr_rule *rule;
    return rule_for(ctx, draft, which, CHANGE_ADJUST, &rule);
}

int
attr_adjust(struct ctx *ctx, const struct object *object, struct rev *draft, const struct kmip_attr *attr)
{
    struct kmip_attr *made;
    return modify(ctx, object, draft, attr, NULL, CHANGE_ADJUST, &made);
}

/* The one instance gets another value and keeps its index. */
static int
attr_replace(struct rev *draft, const struct kmip_attr *attr)
{
    for (struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next)
        if (a->value != NULL && attr_same(a, attr->tag, attr->vendor, attr->name))
            a->value = attr->value;
    return 0;
}

int
attr_set(struct ctx *ctx, const struct object *object, struct rev *draft, const struct kmip_attr *attr)
{
    const struct kmip_attr_rule *rule;
    struct kmip_attr *made;
    KS_TRY(rule_for(ctx, draft, attr, CHANGE_SET, &rule));
    KS_TRY(dependants_may_change(ctx, object, attr));
    KS_TRY(check_value(ctx, attr, rule));
    struct kmip_attr whole;
    KS_TRY(complete(ctx, attr, &whole));
    attr = &whole;
    engine_attribute_named(ctx, attr->tag, attr->vendor, attr->name);
    /* Of a vendor attribute nothing says that it has several values: one is set, several are not. */
    size_t n = 0;
    for (const struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next)
        n += a->value != NULL && attr_same(a, attr->tag, attr->vendor, attr->name);
    if ((rule->flags & KMIP_ATTR_MULTI) != 0 && (attr->tag != KMIP_TAG_ATTRIBUTE || n > 1))
        return engine_fail(ctx, COND_ATTRIBUTE_MANY, "%s can have several instances: use Add or Modify Attribute",
                           LABEL(attr));
    const enum core_id id = fact_of(attr->tag);
    if (id == CORE_COUNT && n == 1)
        return attr_replace(draft, attr);
    if (id == CORE_COUNT) {
        return append(ctx, draft, attr, rule, &made);
    }
    const bool there = core_has(&draft->core, id);
    if ((rule->flags & (there ? KMIP_ATTR_CLIENT_MODIFIES : KMIP_ATTR_CLIENT_SETS)) == 0)
        return engine_fail(ctx, COND_ATTRIBUTE_READ_ONLY_ADD, "%s of object %s is set already and may not be changed",
                           LABEL(attr), object->uid);
    KS_TRY(write_fact(ctx, object, draft, attr, id));
    settle_facts(ctx, &draft->core);
    return 0;
}

/* Takes an instance off the list; where it had the highest index its place stays, so that the index is not given again.
 */
static int
remove_instance(struct ctx *ctx, struct rev *draft, struct kmip_attr *gone, struct kmip_attr **ret)
{
    struct kmip_attr *copy = CTX_NEW(ctx, struct kmip_attr);
    if (copy == NULL)
        return KS_E_NOMEM;
    *copy = *gone;
    copy->next = NULL;
    *ret = copy;
    struct kmip_attrs kept = {.present = draft->attrs.present};
    bool highest = true;
    for (const struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next)
        highest =
            highest && !(a != gone && attr_same(a, gone->tag, gone->vendor, gone->name) && a->index > gone->index);
    for (struct kmip_attr *a = draft->attrs.first, *next; a != NULL; a = next) {
        next = a->next;
        const bool tombstone = a->value == NULL && attr_same(a, copy->tag, copy->vendor, copy->name);
        if ((a == gone && !highest) || (tombstone && highest))
            continue;
        if (a == gone)
            a->value = NULL;
        a->next = NULL;
        *(kept.last != NULL ? &kept.last->next : &kept.first) = a;
        kept.last = a;
        kept.n++;
    }
    draft->attrs = kept;
    return 0;
}

int
attr_delete(struct ctx *ctx, const struct object *object, struct rev *draft, const struct kmip_attr *which, bool all,
            struct kmip_attr **ret)
{
    const struct kmip_attr_rule *rule;
    KS_TRY(rule_for(ctx, draft, which, CHANGE_DELETE, &rule));
    KS_TRY(dependants_may_change(ctx, object, which));
    engine_attribute_named(ctx, which->tag, which->vendor, which->name);
    const enum core_id id = fact_of(which->tag);
    if (id != CORE_COUNT) {
        KS_TRY(fact_present(ctx, object, draft, which, which->value, id));
        struct kmip_attrs before;
        KS_TRY(attr_values(ctx, object, which, &before));
        if (before.first == NULL)
            return engine_fail(ctx, COND_ATTRIBUTE_ABSENT, "object %s has no %s", object->uid, LABEL(which));
        *ret = before.first;
        if (which->tag == KMIP_TAG_USAGE_LIMITS)
            KS_TRY(check_unused(ctx, &draft->core));
        core_clear(&draft->core, id);
        if (which->tag == KMIP_TAG_USAGE_LIMITS) {
            core_clear(&draft->core, CORE_USAGE_COUNT);
            core_clear(&draft->core, CORE_USAGE_UNIT);
        }
        return 0;
    }
    struct kmip_attr *found;
    if (!all) {
        KS_TRY(find_instance(ctx, object, draft, which, which->value, &found));
        return remove_instance(ctx, draft, found, ret);
    }
    for (size_t n = 0;; n++) {
        found = NULL;
        for (struct kmip_attr *a = draft->attrs.first; a != NULL && found == NULL; a = a->next)
            if (is_meant(ctx, a, which))
                found = a;
        if (found == NULL && n == 0)
            return engine_fail(ctx, COND_ATTRIBUTE_ABSENT, "object %s has no %s", object->uid, LABEL(which));
        if (found == NULL)
            return 0;
        KS_TRY(remove_instance(ctx, draft, found, ret));
    }
}
