/* Get Attributes and Get Attribute List (KMIP 1.4: 4.12, 4.13; 2.1: 6.1.23, 6.1.24). */
#include "server/engine/op/op.h"

static const struct use reading = {.use = USE_GET_ATTRIBUTES};

/* 1.1 to 1.4 (1.4: 11.13): a name that is there twice is refused. */
static int
check_repeated(struct ctx *ctx, const struct kmip_attr_refs *refs)
{
    for (size_t i = 0; ctx->version >= KMIP_V1_1 && ctx->version < KMIP_V2_0 && i < refs->n; i++)
        for (size_t j = 0; j < i; j++)
            if (refs->v[i].tag != 0 && refs->v[i].tag == refs->v[j].tag &&
                ks_span_equal(refs->v[i].vendor, refs->v[j].vendor) && ks_span_equal(refs->v[i].name, refs->v[j].name))
                return engine_fail(ctx, COND_BAD_MESSAGE, "the request asks for an attribute twice");
    return 0;
}

int
op_get_attributes(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_get_attributes_request *r = request;
    struct object *object;
    OP_RESPONSE(ctx, kmip_get_attributes_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &reading));
    KS_TRY(check_repeated(ctx, &r->attribute_refs));
    KS_TRY(attr_collect(ctx, object, &r->attribute_refs, &response->attributes));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}

static bool
listed(const struct kmip_attr_refs *refs, const struct kmip_attr *attr)
{
    for (size_t i = 0; i < refs->n; i++)
        if (attr_same(attr, refs->v[i].tag, refs->v[i].vendor, refs->v[i].name))
            return true;
    return false;
}

/* 3.0: each type of Link is an attribute of its own. */
static uint32_t
tag_of(const struct ctx *ctx, const struct kmip_attr *attr)
{
    const struct kmip_item *type = attr->tag == KMIP_TAG_LINK && ctx->version >= KMIP_V3_0
                                       ? kmip_item_child(attr->value, KMIP_TAG_LINK_TYPE)
                                       : NULL;
    const uint32_t tag = type != NULL ? kmip_link_tag(type->u32) : 0;
    return tag != 0 ? tag : attr->tag;
}

int
op_get_attribute_list(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_get_attribute_list_request *r = request;
    struct object *object;
    struct kmip_attrs all;
    OP_RESPONSE(ctx, kmip_get_attribute_list_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &reading));
    KS_TRY(attr_collect(ctx, object, NULL, &all));
    struct kmip_attr_refs *refs = &response->attribute_refs;
    refs->v = ks_arena_array(ctx->arena, all.n, sizeof(*refs->v));
    if (refs->v == NULL)
        return KS_E_NOMEM;
    for (const struct kmip_attr *a = all.first; a != NULL; a = a->next)
        if (!listed(refs, &(struct kmip_attr){
                              .tag = tag_of(ctx, a),
                              .vendor = a->vendor,
                              .name = a->name})) /* the name of an attribute once, however many instances there are */
            refs->v[refs->n++] =
                (struct kmip_attr_ref){.tag = tag_of(ctx, a), .vendor = a->vendor, .name = a->name, .index = -1};
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
