/* Add, Modify, Set, Delete and Adjust Attribute (KMIP 1.4: 4.14 to 4.16; 2.1: 6.1.2, 6.1.3, 6.1.12, 6.1.37, 6.1.59). */
#include "server/engine/op/op.h"

static const struct use changing = {.use = USE_CHANGE_ATTRIBUTES};

/* The object, that it may be changed, and a draft of it. */
static int
begin(struct ctx *ctx, const struct kmip_uid *uid, const struct kmip_attr *attr, struct object **ret, struct rev *draft)
{
    struct object *object;
    KS_TRY(engine_object(ctx, uid, &object));
    KS_TRY(attr_is_clients(ctx, attr));
    KS_TRY(engine_use(ctx, object, &changing));
    KS_TRY(rev_draft(ctx->arena, object->rev, draft));
    *ret = object;
    return 0;
}

static int
finish(struct ctx *ctx, struct object *object, struct rev *draft)
{
    const int64_t before = core_get(&object->rev->core, CORE_STATE);
    KS_TRY(attr_check(ctx, object->owner, draft, object, true));
    KS_TRY(tx_put(ctx, object, draft, true));
    if (ctx->record != NULL && core_get(&draft->core, CORE_STATE) != before)
        ctx->record->event.state_after = state_name((uint32_t)core_get(&draft->core, CORE_STATE));
    return 0;
}

/* 1.x answers with the attribute as it is now. */
static int
echo(struct ctx *ctx, const struct kmip_attr *attr, struct kmip_attrs *ret)
{
    struct kmip_attr *copy = kmip_attrs_add(ctx->arena, ret, attr->tag, attr->value);
    if (copy == NULL)
        return KS_E_NOMEM;
    copy->vendor = attr->vendor;
    copy->name = attr->name;
    copy->index = attr->index > 0 ? attr->index : -1;
    ret->present = true;
    return 0;
}

/* The one attribute that these requests carry. */
static int
only_one(struct ctx *ctx, const struct kmip_attrs *attrs, const struct kmip_attr **ret)
{
    if (attrs->n != 1)
        return engine_fail(ctx, COND_BAD_MESSAGE, "the request has %zu attributes where one is wanted", attrs->n);
    *ret = attrs->first;
    return 0;
}

int
op_add_attribute(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_add_attribute_request *r = request;
    const struct kmip_attr *attr;
    struct kmip_attr *made;
    struct object *object;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_add_attribute_response, response);
    KS_TRY(only_one(ctx, &r->new_attribute, &attr));
    KS_TRY(begin(ctx, &r->unique_identifier, attr, &object, &draft));
    if (attr->index > 0)
        return engine_fail(ctx, COND_BAD_FIELD, "Add Attribute takes no Attribute Index: the server gives it");
    KS_TRY(attr_add(ctx, object, &draft, attr, &made));
    KS_TRY(finish(ctx, object, &draft));
    KS_TRY(echo(ctx, made, &response->attributes));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

int
op_modify_attribute(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_modify_attribute_request *r = request;
    const struct kmip_attr *attr, *current = NULL;
    struct kmip_attr *made;
    struct object *object;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_modify_attribute_response, response);
    KS_TRY(only_one(ctx, &r->new_attribute, &attr));
    if (r->current_attribute.present && r->current_attribute.n != 0) {
        KS_TRY(only_one(ctx, &r->current_attribute, &current));
        if (!attr_same(current, attr->tag, attr->vendor, attr->name))
            return engine_fail(ctx, COND_BAD_FIELD, "Current Attribute and New Attribute are not the same attribute");
    }
    KS_TRY(begin(ctx, &r->unique_identifier, attr, &object, &draft));
    KS_TRY(attr_modify(ctx, object, &draft, attr, current, &made));
    KS_TRY(finish(ctx, object, &draft));
    KS_TRY(echo(ctx, made, &response->attributes));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

int
op_set_attribute(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_set_attribute_request *r = request;
    const struct kmip_attr *attr;
    struct object *object;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_set_attribute_response, response);
    KS_TRY(only_one(ctx, &r->new_attribute, &attr));
    KS_TRY(begin(ctx, &r->unique_identifier, attr, &object, &draft));
    KS_TRY(attr_set(ctx, object, &draft, attr));
    KS_TRY(finish(ctx, object, &draft));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

int
op_delete_attribute(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_delete_attribute_request *r = request;
    struct kmip_attr which = {.index = -1}, *gone;
    const struct kmip_attr *current = NULL;
    struct object *object;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_delete_attribute_response, response);
    if (r->current_attribute.present && r->current_attribute.n != 0) {
        KS_TRY(only_one(ctx, &r->current_attribute, &current));
        which = *current;
    } else if (r->attribute_refs.n == 1) {
        const struct kmip_attr_ref *ref = &r->attribute_refs.v[0];
        which = (struct kmip_attr){.tag = ref->tag, .vendor = ref->vendor, .name = ref->name, .index = ref->index};
        if (r->has_attribute_index)
            which.index = r->attribute_index;
    } else {
        return engine_fail(ctx, COND_MISSING, "the request does not say which one attribute is to be deleted");
    }
    KS_TRY(begin(ctx, &r->unique_identifier, &which, &object, &draft));
    /* A reference of 2.x means every instance; a name of 1.x the one with the index, or the first. */
    KS_TRY(attr_delete(ctx, object, &draft, &which, current == NULL && ctx->version >= KMIP_V2_0, &gone));
    KS_TRY(finish(ctx, object, &draft));
    KS_TRY(echo(ctx, gone, &response->attributes));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

/* Adjust Attribute */

static int
step_of(struct ctx *ctx, const struct kmip_item *value, int64_t *ret)
{
    if (value == NULL) {
        *ret = 1;
        return 0;
    }
    switch (value->type) {
    case KMIP_TYPE_INTEGER:
        *ret = value->i32;
        return 0;
    case KMIP_TYPE_LONG_INTEGER:
    case KMIP_TYPE_DATE_TIME:
        *ret = value->i64;
        return 0;
    case KMIP_TYPE_INTERVAL:
        *ret = value->u32;
        return 0;
    default:
        return engine_fail(ctx, COND_BAD_FIELD, "an Adjustment Value is a number");
    }
}

static bool
in_range(uint8_t type, int64_t v)
{
    switch (type) {
    case KMIP_TYPE_INTEGER:
        return v >= INT32_MIN && v <= INT32_MAX;
    case KMIP_TYPE_INTERVAL:
        return v >= 0 && v <= UINT32_MAX;
    default:
        return true;
    }
}

static int
adjusted(struct ctx *ctx, const struct kmip_adjust_attribute_request *r, uint8_t type, int64_t *v)
{
    int64_t step, out;
    bool overflow = false;
    const bool boolean = type == KMIP_TYPE_BOOLEAN;
    KS_TRY(step_of(ctx, r->adjustment_value, &step));
    switch (r->adjustment_type) {
    case KMIP_ADJUSTMENT_TYPE_INCREMENT:
        overflow = __builtin_add_overflow(*v, step, &out);
        break;
    case KMIP_ADJUSTMENT_TYPE_DECREMENT:
        overflow = __builtin_sub_overflow(*v, step, &out);
        break;
    case KMIP_ADJUSTMENT_TYPE_NEGATE:
        overflow = !boolean && __builtin_sub_overflow((int64_t)0, *v, &out);
        if (boolean)
            out = *v == 0;
        break;
    default:
        return engine_fail(ctx, COND_BAD_FIELD, "the Adjustment Type is unknown");
    }
    if ((boolean && r->adjustment_type != KMIP_ADJUSTMENT_TYPE_NEGATE))
        return engine_fail(ctx, COND_BAD_FIELD, "an attribute of that type can not be adjusted so");
    if (overflow || !in_range(type, out))
        return engine_fail(ctx, COND_NUMBER_RANGE, "the adjusted value does not fit its type");
    *v = out;
    return 0;
}

/* The value of an attribute that is a number; false where it is none. */
static bool
number_of(const struct kmip_item *item, int64_t *ret)
{
    switch (item->type) {
    case KMIP_TYPE_INTEGER:
        *ret = item->i32;
        return true;
    case KMIP_TYPE_LONG_INTEGER:
    case KMIP_TYPE_DATE_TIME:
        *ret = item->i64;
        return true;
    case KMIP_TYPE_INTERVAL:
        *ret = item->u32;
        return true;
    case KMIP_TYPE_BOOLEAN:
        *ret = item->b;
        return true;
    default:
        return false;
    }
}

static void
set_number(struct kmip_item *item, int64_t v)
{
    switch (item->type) {
    case KMIP_TYPE_INTEGER:
        item->i32 = (int32_t)v;
        break;
    case KMIP_TYPE_INTERVAL:
        item->u32 = (uint32_t)v;
        break;
    case KMIP_TYPE_BOOLEAN:
        item->b = v != 0;
        break;
    default:
        item->i64 = v;
        break;
    }
}

/* What an attribute is adjusted from that the object does not have (2.1: 6.1.3): 0 or false. No date is 0. */
static int
nothing_yet(struct ctx *ctx, const struct object *object, const struct kmip_attr *attr, struct kmip_item **ret)
{
    const struct kmip_attr_rule *rule = kmip_attr_rule_find(attr->tag);
    const uint8_t type = rule != NULL ? rule->type : 0;
    switch (type) {
    case KMIP_TYPE_INTEGER:
    case KMIP_TYPE_LONG_INTEGER:
    case KMIP_TYPE_INTERVAL:
    case KMIP_TYPE_BOOLEAN:
        *ret = kmip_item_new(ctx->arena, attr->tag, (enum kmip_type)type);
        return *ret != NULL ? 0 : KS_E_NOMEM;
    case KMIP_TYPE_DATE_TIME:
    case 0: /* a vendor's */
        return engine_fail(ctx, COND_ATTRIBUTE_ABSENT, "object %s does not have that attribute", object->uid);
    default:
        return engine_fail(ctx, COND_NOT_A_NUMBER, "that attribute is no number");
    }
}

int
op_adjust_attribute(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_adjust_attribute_request *r = request;
    struct object *object;
    struct rev draft;
    struct kmip_attrs values;
    int64_t v;
    OP_RESPONSE(ctx, kmip_adjust_attribute_response, response);
    if (r->attribute_refs.n != 1)
        return engine_fail(ctx, COND_BAD_FIELD, "Adjust Attribute takes one Attribute Reference");
    const struct kmip_attr_ref *ref = &r->attribute_refs.v[0];
    struct kmip_attr attr = {.tag = ref->tag, .vendor = ref->vendor, .name = ref->name, .index = -1};
    KS_TRY(begin(ctx, &r->unique_identifier, &attr, &object, &draft));
    KS_TRY(attr_adjustable(ctx, &draft, &attr));
    KS_TRY(attr_values(ctx, object, &attr, &values));
    if (values.n > 1)
        return engine_fail(ctx, COND_ATTRIBUTE_MANY, "object %s has several instances of that attribute", object->uid);
    if (values.n == 0)
        KS_TRY(nothing_yet(ctx, object, &attr, &attr.value));
    else if ((attr.value = kmip_item_copy(ctx->arena, values.first->value)) == NULL)
        return KS_E_NOMEM;
    if (!number_of(attr.value, &v))
        return engine_fail(ctx, COND_NOT_A_NUMBER, "that attribute is no number");
    KS_TRY(adjusted(ctx, r, attr.value->type, &v));
    set_number(attr.value, v);
    KS_TRY(values.n == 1 ? attr_adjust(ctx, object, &draft, &attr) : attr_set(ctx, object, &draft, &attr));
    KS_TRY(finish(ctx, object, &draft));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
