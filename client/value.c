#include "client/value.h"

#include "client/result.h"

/* Deeper than any attribute of the standard; what comes from the wire was bounded by the reader already. */
enum { MAX_DEPTH = 16 };

static int
from_item(const struct kmip_item *item, struct ks_arena *arena, struct ks_value *ret, int depth)
{
    struct ks_value value = {.tag = item->tag, .type = item->type};
    switch (item->type) {
    case KMIP_TYPE_INTEGER:
        value.integer = item->i32;
        break;
    case KMIP_TYPE_LONG_INTEGER:
    case KMIP_TYPE_DATE_TIME:
    case KMIP_TYPE_DATE_TIME_EXTENDED:
        value.number = item->i64;
        break;
    case KMIP_TYPE_ENUMERATION:
    case KMIP_TYPE_INTERVAL:
        value.enumeration = item->u32;
        break;
    case KMIP_TYPE_BOOLEAN:
        value.boolean = item->b;
        break;
    case KMIP_TYPE_STRUCTURE: {
        size_t n = 0;
        for (const struct kmip_item *child = item->first; child != NULL; child = child->next)
            n++;
        struct ks_value *fields = ks_arena_array(arena, n > 0 ? n : 1, sizeof(*fields));
        if (fields == NULL)
            return KS_E_NOMEM;
        if (depth == MAX_DEPTH)
            return KS_E_LIMIT;
        n = 0;
        for (const struct kmip_item *child = item->first; child != NULL; child = child->next)
            KS_TRY(from_item(child, arena, &fields[n++], depth + 1));
        value.fields = fields;
        value.n_fields = n;
        break;
    }
    default: { /* text, byte strings, big integers, and 3.0's references, which are text */
        const uint8_t *copy = ks_arena_dup(arena, item->s.data, item->s.len);
        if (copy == NULL)
            return KS_E_NOMEM;
        value.bytes = (struct ks_bytes){copy, item->s.len};
        break;
    }
    }
    *ret = value;
    return 0;
}

int
client_value_from_item(const struct kmip_item *item, struct ks_arena *arena, struct ks_value *ret)
{
    return from_item(item, arena, ret, 0);
}

static int
from_value(const struct ks_value *value, struct ks_arena *arena, struct kmip_item **ret, int depth)
{
    struct kmip_item *item = kmip_item_new(arena, value->tag, (enum kmip_type)value->type);
    if (item == NULL)
        return KS_E_NOMEM;
    switch (value->type) {
    case KMIP_TYPE_INTEGER:
        item->i32 = value->integer;
        break;
    case KMIP_TYPE_LONG_INTEGER:
    case KMIP_TYPE_DATE_TIME:
    case KMIP_TYPE_DATE_TIME_EXTENDED:
        item->i64 = value->number;
        break;
    case KMIP_TYPE_ENUMERATION:
    case KMIP_TYPE_INTERVAL:
        item->u32 = value->enumeration;
        break;
    case KMIP_TYPE_BOOLEAN:
        item->b = value->boolean;
        break;
    case KMIP_TYPE_TEXT_STRING:
    case KMIP_TYPE_BYTE_STRING:
    case KMIP_TYPE_BIG_INTEGER:
    case KMIP_TYPE_IDENTIFIER:
    case KMIP_TYPE_REFERENCE:
    case KMIP_TYPE_NAME_REFERENCE:
        item->s = KS_SPAN(value->bytes.data, value->bytes.len);
        break;
    case KMIP_TYPE_STRUCTURE:
        if (depth == MAX_DEPTH)
            return KS_E_LIMIT;
        for (size_t i = 0; i < value->n_fields; i++) {
            struct kmip_item *child = NULL;
            KS_TRY(from_value(&value->fields[i], arena, &child, depth + 1));
            kmip_item_append(item, child);
        }
        break;
    default:
        return KS_E_INVALID;
    }
    *ret = item;
    return 0;
}

int
client_item_from_value(const struct ks_value *value, struct ks_arena *arena, struct kmip_item **ret)
{
    return from_value(value, arena, ret, 0);
}

static const char *
dup_text(struct ks_arena *arena, struct ks_span text)
{
    return ks_arena_dup(arena, text.data, text.len);
}

int
client_attributes_from(const struct kmip_attrs *attrs, struct ks_arena *arena, struct ks_attributes *ret)
{
    struct ks_attribute *v = ks_arena_array(arena, attrs->n > 0 ? attrs->n : 1, sizeof(*v));
    if (v == NULL)
        return KS_E_NOMEM;
    size_t n = 0;
    for (const struct kmip_attr *attr = attrs->first; attr != NULL && n < attrs->n; attr = attr->next) {
        v[n].index = attr->index >= 0 ? attr->index : 0;
        v[n].value.tag = attr->tag;
        if (attr->value != NULL)
            KS_TRY(client_value_from_item(attr->value, arena, &v[n].value));
        v[n].value.tag = attr->tag; /* a vendor attribute's value is tagged Attribute Value */
        if (attr->tag == KMIP_TAG_ATTRIBUTE) {
            v[n].vendor = dup_text(arena, attr->vendor);
            v[n].name = dup_text(arena, attr->name);
            if (v[n].vendor == NULL || v[n].name == NULL)
                return KS_E_NOMEM;
        }
        n++;
    }
    ret->n = n;
    ret->v = v;
    return 0;
}

int
client_attrs_append(struct ks_arena *arena, struct kmip_attrs *attrs, const struct ks_attribute *attribute)
{
    struct ks_value value = attribute->value;
    const bool is_vendor = value.tag == KMIP_TAG_ATTRIBUTE;
    if (is_vendor) {
        if (attribute->vendor == NULL || attribute->name == NULL)
            return KS_E_INVALID;
        value.tag = KMIP_TAG_ATTRIBUTE_VALUE;
    }
    struct kmip_item *item = NULL;
    KS_TRY(client_item_from_value(&value, arena, &item));
    struct kmip_attr *attr = kmip_attrs_add(arena, attrs, attribute->value.tag, item);
    if (attr == NULL)
        return KS_E_NOMEM;
    if (is_vendor) {
        attr->vendor = ks_span_str(attribute->vendor);
        attr->name = ks_span_str(attribute->name);
    }
    if (attribute->index > 0)
        attr->index = attribute->index;
    return 0;
}

int
client_refs_from(struct ks_arena *arena, const struct ks_attribute_name *names, size_t n, struct kmip_attr_refs *ret)
{
    struct kmip_attr_ref *v = ks_arena_array(arena, n > 0 ? n : 1, sizeof(*v));
    if (v == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        v[i].tag = names[i].tag;
        v[i].index = names[i].index > 0 ? names[i].index : -1;
        if (names[i].tag == KMIP_TAG_ATTRIBUTE) {
            if (names[i].vendor == NULL || names[i].name == NULL)
                return KS_E_INVALID;
            v[i].vendor = ks_span_str(names[i].vendor);
            v[i].name = ks_span_str(names[i].name);
        }
    }
    ret->n = n;
    ret->v = v;
    return 0;
}

int
client_attrs_add_name(struct ks_arena *arena, struct kmip_attrs *attrs, const char *name)
{
    struct kmip_item *structure = kmip_item_new(arena, KMIP_TAG_NAME, KMIP_TYPE_STRUCTURE);
    struct kmip_item *value = kmip_item_new(arena, KMIP_TAG_NAME_VALUE, KMIP_TYPE_TEXT_STRING);
    struct kmip_item *type = kmip_item_new(arena, KMIP_TAG_NAME_TYPE, KMIP_TYPE_ENUMERATION);
    if (structure == NULL || value == NULL || type == NULL)
        return KS_E_NOMEM;
    value->s = ks_span_str(name);
    type->u32 = KMIP_NAME_TYPE_UNINTERPRETED_TEXT_STRING;
    kmip_item_append(structure, value);
    kmip_item_append(structure, type);
    return kmip_attrs_add(arena, attrs, KMIP_TAG_NAME, structure) != NULL ? 0 : KS_E_NOMEM;
}

int
client_attrs_add_enum(struct ks_arena *arena, struct kmip_attrs *attrs, uint32_t tag, uint32_t value)
{
    struct kmip_item *item = kmip_item_new(arena, tag, KMIP_TYPE_ENUMERATION);
    if (item == NULL)
        return KS_E_NOMEM;
    item->u32 = value;
    return kmip_attrs_add(arena, attrs, tag, item) != NULL ? 0 : KS_E_NOMEM;
}

int
client_attrs_add_int(struct ks_arena *arena, struct kmip_attrs *attrs, uint32_t tag, int32_t value)
{
    struct kmip_item *item = kmip_item_new(arena, tag, KMIP_TYPE_INTEGER);
    if (item == NULL)
        return KS_E_NOMEM;
    item->i32 = value;
    return kmip_attrs_add(arena, attrs, tag, item) != NULL ? 0 : KS_E_NOMEM;
}

int
client_uid_text(const struct kmip_uid *uid, char ret[KS_UID_SIZE])
{
    if (uid->text.len == 0 || memchr(uid->text.data, '\0', uid->text.len) != NULL)
        return KS_E_MALFORMED;
    if (uid->text.len >= KS_UID_SIZE)
        return KS_E_LIMIT;
    memcpy(ret, uid->text.data, uid->text.len);
    ret[uid->text.len] = '\0';
    return 0;
}

const struct ks_attribute *
ks_attributes_find(const struct ks_attributes *attributes, uint32_t tag)
{
    for (size_t i = 0; i < attributes->n; i++)
        if (attributes->v[i].value.tag == tag)
            return &attributes->v[i];
    return NULL;
}

const char *
ks_attributes_name(const struct ks_attributes *attributes)
{
    const struct ks_attribute *name = ks_attributes_find(attributes, KMIP_TAG_NAME);
    if (name == NULL || name->value.type != KMIP_TYPE_STRUCTURE)
        return NULL;
    for (size_t i = 0; i < name->value.n_fields; i++)
        if (name->value.fields[i].tag == KMIP_TAG_NAME_VALUE && name->value.fields[i].type == KMIP_TYPE_TEXT_STRING)
            return (const char *)name->value.fields[i].bytes.data;
    return NULL;
}
