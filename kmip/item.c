/* Items by themselves: making, finding, comparing, and their TTLV. */
#include "kmip/walk.h"

struct kmip_item *
kmip_item_new(struct ks_arena *arena, uint32_t tag, enum kmip_type type)
{
    struct kmip_item *item = ks_arena_alloc(arena, sizeof(*item));
    if (item == NULL)
        return NULL;
    item->tag = tag;
    item->type = (uint8_t)type;
    return item;
}

void
kmip_item_append(struct kmip_item *parent, struct kmip_item *child)
{
    struct kmip_item **last = &parent->first;
    while (*last != NULL)
        last = &(*last)->next;
    *last = child;
}

struct kmip_item *
kmip_item_child(const struct kmip_item *parent, uint32_t tag)
{
    if (parent == NULL || parent->type != KMIP_TYPE_STRUCTURE)
        return NULL;
    for (struct kmip_item *child = parent->first; child != NULL; child = child->next)
        if (child->tag == tag)
            return child;
    return NULL;
}

bool
kmip_item_has_span(const struct kmip_item *item)
{
    switch (item->type) {
    case KMIP_TYPE_BIG_INTEGER:
    case KMIP_TYPE_TEXT_STRING:
    case KMIP_TYPE_BYTE_STRING:
    case KMIP_TYPE_IDENTIFIER:
    case KMIP_TYPE_REFERENCE:
    case KMIP_TYPE_NAME_REFERENCE:
        return true;
    default:
        return false;
    }
}

struct kmip_item *
kmip_item_copy(struct ks_arena *arena, const struct kmip_item *from)
{
    struct kmip_item_reader r;
    struct kmip_item_writer w;
    struct kmip_event e;
    kmip_item_reader_init(&r, from, NULL);
    kmip_item_writer_init(&w, arena, NULL);
    w.copies = true;
    for (;;) {
        int rc = kmip_reader_next(&r.base, &e);
        if (rc == 0 && e.kind == KMIP_DONE)
            return w.root;
        if (rc == 0 && e.kind == KMIP_BEGIN) {
            rc = kmip_writer_begin(&w.base, e.item.tag);
            if (rc == 0)
                w.open[w.base.depth]->secret = e.item.secret;
        } else if (rc == 0) {
            rc = e.kind == KMIP_LEAF ? kmip_writer_leaf(&w.base, &e.item) : kmip_writer_end(&w.base);
        }
        if (rc != 0)
            return NULL;
    }
}

static bool
leaf_equal(const struct kmip_item *a, const struct kmip_item *b)
{
    switch (a->type) {
    case KMIP_TYPE_INTEGER:
        return a->i32 == b->i32;
    case KMIP_TYPE_LONG_INTEGER:
    case KMIP_TYPE_DATE_TIME:
    case KMIP_TYPE_DATE_TIME_EXTENDED:
        return a->i64 == b->i64;
    case KMIP_TYPE_ENUMERATION:
    case KMIP_TYPE_INTERVAL:
        return a->u32 == b->u32;
    case KMIP_TYPE_BOOLEAN:
        return a->b == b->b;
    default:
        /* In constant time whether it is a secret or not: who holds an item does not always know. */
        return a->s.len == b->s.len && ks_equal_secret(a->s.data, b->s.data, a->s.len);
    }
}

bool
kmip_item_equal(const struct kmip_item *a, const struct kmip_item *b)
{
    struct kmip_item_reader ra, rb;
    struct kmip_event ea, eb;
    kmip_item_reader_init(&ra, a, NULL);
    kmip_item_reader_init(&rb, b, NULL);
    for (;;) {
        if (kmip_reader_next(&ra.base, &ea) != 0 || kmip_reader_next(&rb.base, &eb) != 0 || ea.kind != eb.kind)
            return false;
        if (ea.kind == KMIP_DONE)
            return true;
        if (ea.kind == KMIP_END)
            continue;
        if (ea.item.tag != eb.item.tag || ea.item.type != eb.item.type)
            return false;
        if (ea.kind == KMIP_LEAF && !leaf_equal(&ea.item, &eb.item))
            return false;
    }
}

int
kmip_item_to_ttlv(const struct kmip_item *item, struct ks_buf *ret)
{
    struct kmip_ttlv_writer w;
    kmip_ttlv_writer_init(&w, ret, NULL);
    return kmip_writer_tree(&w.base, item);
}

int
kmip_item_from_ttlv(struct ks_span bytes, const struct kmip_limits *limits, struct ks_arena *arena,
                    struct kmip_item **ret, struct ks_diag *diag)
{
    struct kmip_ttlv_reader r;
    struct kmip_item_writer w;
    kmip_ttlv_reader_init(&r, bytes, limits, diag);
    kmip_item_writer_init(&w, arena, diag);
    KS_TRY(kmip_pump(&r.base, &w.base));
    *ret = w.root;
    return 0;
}

struct kmip_attr *
kmip_attrs_add(struct ks_arena *arena, struct kmip_attrs *attrs, uint32_t tag, struct kmip_item *value)
{
    struct kmip_attr *attr = ks_arena_alloc(arena, sizeof(*attr));
    if (attr == NULL)
        return NULL;
    attr->tag = tag;
    attr->index = -1;
    attr->value = value;
    attrs->present = true;
    attrs->n++;
    if (attrs->last != NULL)
        attrs->last->next = attr;
    else
        attrs->first = attr;
    attrs->last = attr;
    return attr;
}

int
kmip_item_decode(const struct kmip_schema *schema, enum kmip_version version, const struct kmip_item *item,
                 struct ks_arena *arena, void **ret, struct ks_diag *diag)
{
    struct kmip_item_reader r;
    struct kmip_decoder d;
    struct kmip_event e;
    if (item->type != KMIP_TYPE_STRUCTURE)
        return ks_fail(diag, KS_E_MALFORMED, "%s is a structure, not %s", schema->name, kmip_type_name(item->type));
    kmip_item_reader_init(&r, item, diag);
    kmip_decoder_init(&d, &r.base, arena, (int)version, true, diag);
    void *to = ks_arena_alloc(arena, schema->size);
    if (to == NULL)
        return kmip_decode_no_memory(&d);
    KS_TRY(kmip_reader_next(&r.base, &e));
    KS_TRY(kmip_decode_fields(&d, schema, to));
    *ret = to;
    return 0;
}

int
kmip_item_encode(const struct kmip_schema *schema, enum kmip_version version, const void *from, struct ks_arena *arena,
                 struct kmip_item **ret)
{
    struct kmip_item_writer w;
    struct kmip_encoder e = {.w = &w.base, .version = version};
    kmip_item_writer_init(&w, arena, NULL);
    w.copies = true; /* the names of custom attributes are put together while they are written */
    KS_TRY(kmip_encode_struct(&e, schema, schema->tag, from));
    *ret = w.root;
    return 0;
}
