/* The encoder: any struct of spec/structs.def as events to a writer. What the version lacks is left out. */
#include "kmip/walk.h"

size_t
kmip_field_count(const struct kmip_field *f, const void *base)
{
    const void *at = kmip_field_at(f, base);
    const struct kmip_attrs *attrs = at;
    if (f->card == KMIP_CARD_MANY || f->card == KMIP_CARD_SOME)
        return *(const size_t *)(const void *)((const uint8_t *)base + f->count_at);
    if (f->count_at != KMIP_FIELD_NO_COUNT)
        return *(const bool *)((const uint8_t *)base + f->count_at) ? 1 : 0;
    switch (f->kind) {
    case KMIP_KIND_STRUCT:
    case KMIP_KIND_ITEM:
    case KMIP_KIND_PAYLOAD:
        return *(const void *const *)at != NULL ? 1 : 0;
    case KMIP_KIND_UID:
        return ((const struct kmip_uid *)at)->type != 0 ? 1 : 0;
    case KMIP_KIND_ATTRS_1:
        return attrs->n;
    case KMIP_KIND_ATTRS_T:
    case KMIP_KIND_ATTRS_2:
        return attrs->present || attrs->n != 0 || attrs->names != NULL ? 1 : 0;
    case KMIP_KIND_REFS_1:
    case KMIP_KIND_REFS_2:
        return ((const struct kmip_attr_refs *)at)->n;
    default:
        return 1; /* required values are always there */
    }
}

static int
put_scalar(struct kmip_encoder *e, const struct kmip_field *f, const void *value)
{
    struct kmip_item item = {
        .tag = f->tag, .type = kmip_kind_type(f->kind), .secret = (f->flags & KMIP_FIELD_SECRET) != 0};
    switch (f->kind) {
    case KMIP_KIND_INT:
        item.i32 = *(const int32_t *)value;
        break;
    case KMIP_KIND_MASK:
        item.i32 = (int32_t) * (const uint32_t *)value;
        break;
    case KMIP_KIND_LONG:
    case KMIP_KIND_DATE:
    case KMIP_KIND_DATEX:
        item.i64 = *(const int64_t *)value;
        break;
    case KMIP_KIND_ENUM:
    case KMIP_KIND_INTERVAL:
        item.u32 = *(const uint32_t *)value;
        break;
    case KMIP_KIND_BOOL:
        item.b = *(const bool *)value;
        break;
    default:
        item.s = *(const struct ks_span *)value;
    }
    return kmip_writer_leaf(e->w, &item);
}

static int
put_payload(struct kmip_encoder *e, const struct kmip_field *f, uint32_t operation, const void *payload)
{
    const struct kmip_operation *op = kmip_operation_find(operation);
    if (op == NULL)
        return ks_fail(e->diag, KS_E_INVALID, "a payload without an operation that is known (0x%08X)", operation);
    return kmip_encode_struct(e, f->tag == KMIP_TAG_REQUEST_PAYLOAD ? op->request : op->response, f->tag, payload);
}

static int
put_item(struct kmip_encoder *e, const struct kmip_field *f, const struct kmip_item *item)
{
    /* The field says under which tag it travels, whatever the item was made as. */
    struct kmip_item copy = *item;
    copy.tag = f->tag;
    copy.secret = copy.secret || (f->flags & KMIP_FIELD_SECRET) != 0;
    copy.next = NULL;
    return kmip_writer_tree(e->w, &copy);
}

static int
put_one(struct kmip_encoder *e, const struct kmip_field *f, uint32_t operation, const void *value)
{
    switch (f->kind) {
    case KMIP_KIND_STRUCT:
        return kmip_encode_struct(e, f->sub, f->tag, *(const void *const *)value);
    case KMIP_KIND_PAYLOAD:
        return put_payload(e, f, operation, *(const void *const *)value);
    case KMIP_KIND_ITEM:
        return put_item(e, f, *(const struct kmip_item *const *)value);
    case KMIP_KIND_UID:
        return kmip_uid_encode(e, f->tag, value);
    default:
        return put_scalar(e, f, value);
    }
}

static int
put_field(struct kmip_encoder *e, const struct kmip_schema *schema, const struct kmip_field *f, uint32_t operation,
          const void *base)
{
    const void *at = kmip_field_at(f, base);
    const size_t n = kmip_field_count(f, base);
    const bool required = f->card == KMIP_CARD_ONE || f->card == KMIP_CARD_SOME;
    switch (f->kind) {
    case KMIP_KIND_ATTRS_T:
    case KMIP_KIND_ATTRS_1:
    case KMIP_KIND_ATTRS_2:
        return n != 0 || required ? kmip_attrs_encode(e, f, at) : 0;
    case KMIP_KIND_REFS_1:
    case KMIP_KIND_REFS_2:
        return kmip_refs_encode(e, f, at);
    default:
        break;
    }
    if (n == 0)
        return required
                   ? ks_fail(e->diag, KS_E_INVALID, "%s of %s is required and was not set", f->member, schema->name)
                   : 0;
    if (f->card == KMIP_CARD_ONE || f->card == KMIP_CARD_OPT)
        return put_one(e, f, operation, at);
    const uint8_t *element = *(const uint8_t *const *)at;
    for (size_t i = 0; i < n; i++)
        KS_TRY(put_one(e, f, operation, element + i * f->member_size));
    return 0;
}

int
kmip_encode_fields(struct kmip_encoder *e, const struct kmip_schema *schema, const void *base)
{
    uint32_t operation = 0;
    for (unsigned i = 0; i < schema->n_fields; i++) {
        const struct kmip_field *f = &schema->fields[i];
        if (f->kind == KMIP_KIND_GROUP) {
            KS_TRY(kmip_encode_fields(e, f->sub, kmip_field_at(f, base)));
            continue;
        }
        if (!kmip_field_in(f, e->version))
            continue;
        if (f->tag == KMIP_TAG_OPERATION && f->card <= KMIP_CARD_OPT)
            operation = *(const uint32_t *)kmip_field_at(f, base);
        KS_TRY(put_field(e, schema, f, operation, base));
    }
    return 0;
}

int
kmip_encode_struct(struct kmip_encoder *e, const struct kmip_schema *schema, uint32_t tag, const void *base)
{
    KS_TRY(kmip_writer_begin(e->w, tag));
    KS_TRY(kmip_encode_fields(e, schema, base));
    return kmip_writer_end(e->w);
}
