/* The comparer: whether two structs of a schema say the same, whatever version they came by. */
#include "kmip/walk.h"

static bool
spans_equal(const struct ks_span *a, const struct ks_span *b, bool secret)
{
    if (!secret)
        return ks_span_equal(*a, *b);
    return a->len == b->len && ks_equal_secret(a->data, b->data, a->len);
}

static bool
items_equal(const struct kmip_item *a, const struct kmip_item *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return kmip_item_equal(a, b);
}

static bool
item_lists_equal(const struct kmip_item *a, const struct kmip_item *b)
{
    for (; a != NULL && b != NULL; a = a->next, b = b->next)
        if (!kmip_item_equal(a, b))
            return false;
    return a == b;
}

static bool
attrs_equal(const struct kmip_attrs *a, const struct kmip_attrs *b)
{
    if (a->n != b->n || !item_lists_equal(a->names, b->names))
        return false;
    const struct kmip_attr *x = a->first, *y = b->first;
    for (; x != NULL && y != NULL; x = x->next, y = y->next)
        if (x->tag != y->tag || x->index != y->index || !ks_span_equal(x->vendor, y->vendor) ||
            !ks_span_equal(x->name, y->name) || !items_equal(x->value, y->value))
            return false;
    return true;
}

static bool
refs_equal(const struct kmip_attr_refs *a, const struct kmip_attr_refs *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].tag != b->v[i].tag || a->v[i].index != b->v[i].index ||
            !ks_span_equal(a->v[i].vendor, b->v[i].vendor) || !ks_span_equal(a->v[i].name, b->v[i].name))
            return false;
    return true;
}

static bool
one_equal(const struct kmip_field *f, uint32_t operation, const void *a, const void *b)
{
    const struct kmip_uid *ua = a, *ub = b;
    const struct kmip_operation *op;
    switch (f->kind) {
    case KMIP_KIND_INT:
    case KMIP_KIND_MASK:
    case KMIP_KIND_ENUM:
    case KMIP_KIND_INTERVAL:
        return *(const uint32_t *)a == *(const uint32_t *)b;
    case KMIP_KIND_LONG:
    case KMIP_KIND_DATE:
    case KMIP_KIND_DATEX:
        return *(const int64_t *)a == *(const int64_t *)b;
    case KMIP_KIND_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case KMIP_KIND_UID:
        return ua->type == ub->type && ua->number == ub->number && ks_span_equal(ua->text, ub->text);
    case KMIP_KIND_STRUCT:
        return kmip_equal(f->sub, *(const void *const *)a, *(const void *const *)b);
    case KMIP_KIND_ITEM:
        return items_equal(*(const struct kmip_item *const *)a, *(const struct kmip_item *const *)b);
    case KMIP_KIND_ATTRS_T:
    case KMIP_KIND_ATTRS_1:
    case KMIP_KIND_ATTRS_2:
        return attrs_equal(a, b);
    case KMIP_KIND_REFS_1:
    case KMIP_KIND_REFS_2:
        return refs_equal(a, b);
    case KMIP_KIND_PAYLOAD:
        op = kmip_operation_find(operation);
        return op != NULL && kmip_equal(f->tag == KMIP_TAG_REQUEST_PAYLOAD ? op->request : op->response,
                                        *(const void *const *)a, *(const void *const *)b);
    default:
        return spans_equal(a, b, (f->flags & KMIP_FIELD_SECRET) != 0);
    }
}

static bool
field_equal(const struct kmip_field *f, uint32_t operation, const void *a, const void *b)
{
    const size_t n = kmip_field_count(f, a);
    const void *at_a = kmip_field_at(f, a), *at_b = kmip_field_at(f, b);
    if (n != kmip_field_count(f, b))
        return false;
    if (f->card == KMIP_CARD_ONE || f->card == KMIP_CARD_OPT)
        return n == 0 || one_equal(f, operation, at_a, at_b);
    for (size_t i = 0; i < n; i++)
        if (!one_equal(f, operation, *(const uint8_t *const *)at_a + i * f->member_size,
                       *(const uint8_t *const *)at_b + i * f->member_size))
            return false;
    return true;
}

bool
kmip_equal(const struct kmip_schema *schema, const void *a, const void *b)
{
    uint32_t operation = 0;
    if (a == NULL || b == NULL)
        return a == b;
    for (unsigned i = 0; i < schema->n_fields; i++) {
        const struct kmip_field *f = &schema->fields[i];
        if (f->alt) /* the same member again */
            continue;
        if (f->kind == KMIP_KIND_GROUP) {
            if (!kmip_equal(f->sub, kmip_field_at(f, a), kmip_field_at(f, b)))
                return false;
            continue;
        }
        if (f->tag == KMIP_TAG_OPERATION && f->card <= KMIP_CARD_OPT)
            operation = *(const uint32_t *)kmip_field_at(f, a);
        if (!field_equal(f, operation, a, b))
            return false;
    }
    return true;
}
