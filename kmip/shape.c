/*
 * Attributes, references to them and identifiers: one form in memory, the forms that the versions have on the wire.
 *
 *   1.x   Attribute {Attribute Name, Attribute Index, Attribute Value}; custom ones are named x-... or y-...
 *   2.x   the attribute under its own tag; vendor ones Attribute {Vendor Identification, Attribute Name, Attribute
 * Value} 3.0   as 2.x, but: a Name is a text; a Link is a reference under a tag of its own (Private Key Link, ...);
 *         identifiers have a type of their own
 */
#include "kmip/walk.h"

/* The tag that a 3.0 link has for each Link Type. */
static const struct {
    uint32_t type, tag;
} links[] = {
    {KMIP_LINK_TYPE_CERTIFICATE_LINK, KMIP_TAG_CERTIFICATE_LINK},
    {KMIP_LINK_TYPE_PUBLIC_KEY_LINK, KMIP_TAG_PUBLIC_KEY_LINK},
    {KMIP_LINK_TYPE_PRIVATE_KEY_LINK, KMIP_TAG_PRIVATE_KEY_LINK},
    {KMIP_LINK_TYPE_DERIVATION_BASE_OBJECT_LINK, KMIP_TAG_DERIVATION_OBJECT_LINK},
    {KMIP_LINK_TYPE_DERIVED_KEY_LINK, KMIP_TAG_DERIVED_OBJECT_LINK},
    {KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK, KMIP_TAG_REPLACEMENT_OBJECT_LINK},
    {KMIP_LINK_TYPE_REPLACED_OBJECT_LINK, KMIP_TAG_REPLACED_OBJECT_LINK},
    {KMIP_LINK_TYPE_PARENT_LINK, KMIP_TAG_PARENT_LINK},
    {KMIP_LINK_TYPE_CHILD_LINK, KMIP_TAG_CHILD_LINK},
    {KMIP_LINK_TYPE_PREVIOUS_LINK, KMIP_TAG_PREVIOUS_LINK},
    {KMIP_LINK_TYPE_NEXT_LINK, KMIP_TAG_NEXT_LINK},
    {KMIP_LINK_TYPE_PKCS_12_CERTIFICATE_LINK, KMIP_TAG_PKCS_12_CERTIFICATE_LINK},
    {KMIP_LINK_TYPE_PKCS_12_PASSWORD_LINK, KMIP_TAG_PKCS_12_PASSWORD_LINK},
    {KMIP_LINK_TYPE_WRAPPING_KEY_LINK, KMIP_TAG_WRAPPING_KEY_LINK},
};

uint32_t
kmip_link_type(uint32_t tag)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(links); i++)
        if (links[i].tag == tag)
            return links[i].type;
    return 0;
}

uint32_t
kmip_link_tag(uint32_t type)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(links); i++)
        if (links[i].type == type)
            return links[i].tag;
    return 0;
}

static bool
is_text(uint8_t type)
{
    return type == KMIP_TYPE_TEXT_STRING || type >= KMIP_TYPE_IDENTIFIER;
}

/* Names */

/* "x-foo" and "y-foo" are the custom attributes of 1.x (1.4, 3.38). */
static bool
is_custom(struct ks_span name)
{
    return name.len > 2 && (name.data[0] == 'x' || name.data[0] == 'y') && name.data[1] == '-';
}

static void
name_to_ref(struct ks_span name, struct kmip_attr_ref *ret)
{
    *ret = (struct kmip_attr_ref){.index = -1, .name = name};
    if (is_custom(name)) {
        ret->tag = KMIP_TAG_ATTRIBUTE;
        ret->vendor = KS_SPAN(name.data, 1);
        ret->name = KS_SPAN(name.data + 2, name.len - 2);
        return;
    }
    uint32_t tag;
    if (kmip_tag_find(name, &tag) == 0 && tag != KMIP_TAG_ATTRIBUTE && kmip_attr_rule_find(tag) != NULL) {
        ret->tag = tag;
        ret->name = KS_SPAN_NONE;
    }
}

/* Whether the version has the attribute, by the tag that it bears there. */
static bool
has_attribute(uint32_t tag, int version)
{
    const struct kmip_attr_rule *rule = kmip_attr_rule_find(tag);
    return rule != NULL &&
           (version == KMIP_VERSION_ANY || ((int)rule->since <= version && version <= (int)rule->until));
}

/* A vendor attribute fits into a 1.x name if its vendor is "x" or "y". */
static bool
has_ref(uint32_t tag, struct ks_span vendor, int version)
{
    if (tag == KMIP_TAG_ATTRIBUTE && version < KMIP_V2_0)
        return ks_span_is(vendor, "x") || ks_span_is(vendor, "y");
    return has_attribute(tag, version);
}

static int
put_text(struct kmip_encoder *e, uint32_t tag, struct ks_span text)
{
    const struct kmip_item item = {.tag = tag, .type = KMIP_TYPE_TEXT_STRING, .s = text};
    return kmip_writer_leaf(e->w, &item);
}

/* The 1.x Attribute Name of an attribute. */
static int
put_name(struct kmip_encoder *e, uint32_t tag, struct ks_span vendor, struct ks_span name)
{
    if (tag == 0)
        return put_text(e, KMIP_TAG_ATTRIBUTE_NAME, name);
    if (tag != KMIP_TAG_ATTRIBUTE)
        return put_text(e, KMIP_TAG_ATTRIBUTE_NAME, ks_span_str(kmip_tag_name(tag)));
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(vendor.len + name.len + 256);
    ks_buf_add_span(&text, vendor);
    ks_buf_add_u8(&text, '-');
    KS_TRY(ks_buf_add_span(&text, name));
    return put_text(e, KMIP_TAG_ATTRIBUTE_NAME, ks_buf_span(&text));
}

/* Values: from the wire */

static struct kmip_item *
add_child(struct kmip_decoder *d, struct kmip_item *parent, uint32_t tag, enum kmip_type type)
{
    struct kmip_item *item = kmip_item_new(d->arena, tag, type);
    if (item != NULL)
        kmip_item_append(parent, item);
    return item;
}

/* 3.0: a text as Name, a reference as Link. Others stay what they are. */
static int
value_from_3_0(struct kmip_decoder *d, struct kmip_attr *attr)
{
    const struct kmip_item *from = attr->value;
    if (attr->tag == KMIP_TAG_NAME && is_text(from->type)) {
        struct kmip_item *name = kmip_item_new(d->arena, KMIP_TAG_NAME, KMIP_TYPE_STRUCTURE);
        struct kmip_item *value = name != NULL ? add_child(d, name, KMIP_TAG_NAME_VALUE, KMIP_TYPE_TEXT_STRING) : NULL;
        struct kmip_item *type = name != NULL ? add_child(d, name, KMIP_TAG_NAME_TYPE, KMIP_TYPE_ENUMERATION) : NULL;
        if (value == NULL || type == NULL)
            return kmip_decode_no_memory(d);
        value->s = from->s;
        type->u32 = KMIP_NAME_TYPE_UNINTERPRETED_TEXT_STRING;
        attr->value = name;
        return 0;
    }
    const bool numbered = from->type == KMIP_TYPE_ENUMERATION || from->type == KMIP_TYPE_INTEGER;
    for (size_t i = 0; i < KS_ARRAY_LEN(links); i++) {
        if (links[i].tag != attr->tag || (from->type != KMIP_TYPE_REFERENCE && !numbered))
            continue;
        struct kmip_item *link = kmip_item_new(d->arena, KMIP_TAG_LINK, KMIP_TYPE_STRUCTURE);
        struct kmip_item *type = link != NULL ? add_child(d, link, KMIP_TAG_LINK_TYPE, KMIP_TYPE_ENUMERATION) : NULL;
        struct kmip_item *to =
            link != NULL ? add_child(d, link, KMIP_TAG_LINKED_OBJECT_IDENTIFIER, KMIP_TYPE_TEXT_STRING) : NULL;
        if (type == NULL || to == NULL)
            return kmip_decode_no_memory(d);
        type->u32 = links[i].type;
        to->s = from->s;
        if (numbered) {
            to->type = from->type;
            if (from->type == KMIP_TYPE_INTEGER)
                to->i32 = from->i32;
            else
                to->u32 = from->u32;
        }
        attr->tag = KMIP_TAG_LINK;
        attr->value = link;
        return 0;
    }
    return 0;
}

/* Whether the value is as the rule of its attribute has it, in the form of the version. */
static int
check_value(struct kmip_decoder *d, const struct kmip_attr_rule *rule, const struct kmip_item *value)
{
    const bool text_name = rule->tag == KMIP_TAG_NAME && d->version >= KMIP_V3_0;
    const uint8_t wanted = text_name ? (uint8_t)KMIP_TYPE_TEXT_STRING : rule->type;
    /* As identifiers, references stand for objects by enumeration or position as well. */
    const bool numbered =
        wanted == KMIP_TYPE_REFERENCE && (value->type == KMIP_TYPE_ENUMERATION || value->type == KMIP_TYPE_INTEGER);
    const bool fits = wanted == 0 || value->type == wanted || numbered ||
                      (d->version >= KMIP_V3_0 && is_text(value->type) && is_text(wanted));
    if (!fits)
        return kmip_misfit(d, KMIP_MISFIT_ATTRIBUTE_VALUE, "the value of %s is %s, not %s", kmip_tag_name(rule->tag),
                           kmip_type_name(wanted), kmip_type_name(value->type));
    const enum kmip_version version = (enum kmip_version)d->version;
    if (value->type == KMIP_TYPE_ENUMERATION && !numbered && !kmip_enum_known(rule->tag, value->u32, version))
        return kmip_misfit(d, KMIP_MISFIT_ATTRIBUTE_VALUE, "0x%08X is unknown as %s in this version of KMIP",
                           value->u32, kmip_tag_name(rule->tag));
    if (value->type != KMIP_TYPE_STRUCTURE || rule->schema == NULL)
        return 0;
    /* Decoding it finds what does not belong there. */
    struct kmip_item_reader r;
    struct kmip_decoder inner;
    struct kmip_event e;
    struct ks_diag diag;
    diag.code = 0;
    kmip_item_reader_init(&r, value, NULL);
    kmip_decoder_init(&inner, &r.base, d->arena, d->version, true, &diag);
    inner.partial = d->partial;
    void *scratch = ks_arena_alloc(d->arena, rule->schema->size);
    if (scratch == NULL)
        return kmip_decode_no_memory(d);
    int rc = kmip_reader_next(&r.base, &e);
    if (rc == 0)
        rc = kmip_decode_fields(&inner, rule->schema, scratch);
    if (rc == KS_E_NOMEM)
        return kmip_decode_no_memory(d);
    return rc == 0 ? 0 : kmip_misfit(d, KMIP_MISFIT_ATTRIBUTE_VALUE, "%s: %s", diag.path, diag.message);
}

/* attr->tag is the tag on the wire; value has been read. */
static int
accept_value(struct kmip_decoder *d, struct kmip_attr *attr)
{
    if (attr->tag == KMIP_TAG_ATTRIBUTE || attr->tag == 0 || attr->value == NULL)
        return 0;
    attr->value->tag = attr->tag;
    const struct kmip_attr_rule *rule = kmip_attr_rule_find(attr->tag);
    if (d->strict && rule != NULL)
        KS_TRY(check_value(d, rule, attr->value));
    if (d->version < KMIP_V3_0)
        return 0;
    KS_TRY(value_from_3_0(d, attr));
    if (attr->value->type == KMIP_TYPE_IDENTIFIER)
        attr->value->type = KMIP_TYPE_TEXT_STRING;
    return 0;
}

static int
no_attribute(struct kmip_decoder *d, struct ks_span name)
{
    return kmip_misfit(d, KMIP_MISFIT_ATTRIBUTE, "\"%.*s\" is no attribute in this version of KMIP",
                       name.len < 60 ? (int)name.len : 60, (const char *)name.data);
}

static int
read_value(struct kmip_decoder *d, const struct kmip_event *e, struct kmip_attr *attr)
{
    if (attr->value != NULL)
        return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "the field is there twice");
    return kmip_reader_tree(d->r, e, d->arena, &attr->value);
}

static int
read_text(struct kmip_decoder *d, const struct kmip_event *e, struct ks_span *ret)
{
    if (e->item.type != KMIP_TYPE_TEXT_STRING)
        return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "%s is expected, not %s", kmip_type_name(KMIP_TYPE_TEXT_STRING),
                           kmip_type_name(e->item.type));
    if (ret->data != NULL)
        return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "the field is there twice");
    *ret = e->item.s;
    return 0;
}

static int
read_stray(struct kmip_decoder *d, const struct kmip_event *e)
{
    if (d->strict)
        return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "the field does not belong here");
    return e->kind == KMIP_BEGIN ? kmip_reader_unwind(d->r, d->r->depth - 1) : 0;
}

/* Attribute {...}, both that of 1.x and the vendor attribute of 2.x, behind its BEGIN. */
static int
read_attribute(struct kmip_decoder *d, bool by_name, struct kmip_attr *attr)
{
    struct kmip_event e;
    struct ks_span name = KS_SPAN_NONE;
    attr->index = -1;
    for (;;) {
        KS_TRY(kmip_reader_next(d->r, &e));
        if (e.kind == KMIP_END)
            break;
        if (e.item.tag == KMIP_TAG_ATTRIBUTE_NAME) {
            KS_TRY(read_text(d, &e, &name));
        } else if (e.item.tag == KMIP_TAG_ATTRIBUTE_VALUE) {
            KS_TRY(read_value(d, &e, attr));
        } else if (e.item.tag == KMIP_TAG_ATTRIBUTE_INDEX && by_name && e.item.type == KMIP_TYPE_INTEGER &&
                   attr->index == -1) {
            if (e.item.i32 < 0)
                return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "an index is not negative");
            attr->index = e.item.i32;
        } else if (e.item.tag == KMIP_TAG_VENDOR_IDENTIFICATION && !by_name) {
            KS_TRY(read_text(d, &e, &attr->vendor));
        } else {
            KS_TRY(read_stray(d, &e));
        }
    }
    if (name.data == NULL)
        return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "%s is missing", kmip_tag_xml_name(KMIP_TAG_ATTRIBUTE_NAME));
    if (!by_name) {
        attr->tag = KMIP_TAG_ATTRIBUTE;
        attr->name = name;
        return 0;
    }
    struct kmip_attr_ref ref;
    name_to_ref(name, &ref);
    attr->tag = ref.tag;
    attr->vendor = ref.vendor;
    attr->name = ref.name;
    if (d->strict && !has_attribute(attr->tag, d->version))
        return no_attribute(d, name);
    return accept_value(d, attr);
}

/* An attribute of 2.x, by its first event. */
static int
read_tagged(struct kmip_decoder *d, const struct kmip_event *e, struct kmip_attr *attr)
{
    if (e->item.tag == KMIP_TAG_ATTRIBUTE && e->kind == KMIP_BEGIN)
        return read_attribute(d, false, attr);
    attr->index = -1;
    attr->tag = e->item.tag;
    if (d->strict && !has_attribute(attr->tag, d->version)) {
        if (!kmip_tag_known(attr->tag, (enum kmip_version)d->version))
            return kmip_misfit(d, KMIP_MISFIT_TAG, "the tag is unknown in this version of KMIP");
        return kmip_misfit(d, KMIP_MISFIT_ATTRIBUTE, "this is no attribute in this version of KMIP");
    }
    KS_TRY(kmip_reader_tree(d->r, e, d->arena, &attr->value));
    return accept_value(d, attr);
}

static struct kmip_attr *
new_attr(struct kmip_decoder *d)
{
    struct kmip_attr *attr = ks_arena_alloc(d->arena, sizeof(*attr));
    if (attr == NULL)
        (void)kmip_decode_no_memory(d);
    return attr;
}

static void
append(struct kmip_attrs *attrs, struct kmip_attr *attr)
{
    if (attrs->last != NULL)
        attrs->last->next = attr;
    else
        attrs->first = attr;
    attrs->last = attr;
    attrs->n++;
}

static int
decode_attrs(struct kmip_decoder *d, const struct kmip_field *field, const struct kmip_event *event,
             struct kmip_attrs *attrs)
{
    struct kmip_event e = *event;
    struct kmip_item **next_name = &attrs->names;
    attrs->present = true;
    if (field->kind == KMIP_KIND_ATTRS_1) {
        struct kmip_attr *attr = new_attr(d);
        if (attr == NULL)
            return KS_E_NOMEM;
        KS_TRY(read_attribute(d, true, attr));
        append(attrs, attr);
        return 0;
    }
    for (;;) {
        KS_TRY(kmip_reader_next(d->r, &e));
        if (e.kind == KMIP_END)
            return 0;
        const bool by_name = field->kind == KMIP_KIND_ATTRS_T;
        if (by_name && e.item.tag == KMIP_TAG_NAME) {
            KS_TRY(kmip_reader_tree(d->r, &e, d->arena, next_name));
            next_name = &(*next_name)->next;
            continue;
        }
        if (by_name && (e.item.tag != KMIP_TAG_ATTRIBUTE || e.kind != KMIP_BEGIN)) {
            KS_TRY(read_stray(d, &e));
            continue;
        }
        struct kmip_attr *attr = new_attr(d);
        if (attr == NULL)
            return KS_E_NOMEM;
        KS_TRY(by_name ? read_attribute(d, true, attr) : read_tagged(d, &e, attr));
        append(attrs, attr);
    }
}

int
kmip_attrs_decode(struct kmip_decoder *d, const struct kmip_field *field, const struct kmip_event *event,
                  struct kmip_attrs *attrs)
{
    d->partial = (field->flags & KMIP_FIELD_PARTIAL) != 0;
    const int rc = decode_attrs(d, field, event, attrs);
    d->partial = false;
    return rc;
}

/* Values: to the wire */

/* A structure without the fields that the version does not have. */
static int
put_known(struct kmip_encoder *e, const struct kmip_schema *schema, uint32_t tag, const struct kmip_item *item)
{
    struct kmip_item copy = *item;
    copy.tag = tag;
    copy.next = NULL;
    if (schema == NULL || item->type != KMIP_TYPE_STRUCTURE)
        return kmip_writer_tree(e->w, &copy);
    KS_TRY(kmip_writer_begin(e->w, tag));
    for (const struct kmip_item *child = item->first; child != NULL; child = child->next) {
        const struct kmip_field *field = kmip_schema_field(schema, child->tag, (int)e->version);
        if (field == NULL && kmip_schema_field(schema, child->tag, KMIP_VERSION_ANY) != NULL)
            continue;
        KS_TRY(put_known(e, field != NULL ? field->sub : NULL, child->tag, child));
    }
    return kmip_writer_end(e->w);
}

/* The 3.0 form of a value, if it has one of its own: *ret is then what to write. */
static bool
value_to_3_0(const struct kmip_attr *attr, struct kmip_item *ret)
{
    const struct kmip_item *value = attr->value;
    if (attr->tag == KMIP_TAG_UNIQUE_IDENTIFIER && value->type == KMIP_TYPE_TEXT_STRING) {
        *ret = *value;
        ret->type = KMIP_TYPE_IDENTIFIER;
        return true;
    }
    if (value->type != KMIP_TYPE_STRUCTURE)
        return false;
    if (attr->tag == KMIP_TAG_NAME) {
        const struct kmip_item *text = kmip_item_child(value, KMIP_TAG_NAME_VALUE);
        if (text == NULL || !is_text(text->type))
            return false;
        *ret = *text;
        ret->tag = KMIP_TAG_NAME;
        ret->type = KMIP_TYPE_TEXT_STRING;
        return true;
    }
    if (attr->tag != KMIP_TAG_LINK)
        return false;
    const struct kmip_item *type = kmip_item_child(value, KMIP_TAG_LINK_TYPE);
    const struct kmip_item *to = kmip_item_child(value, KMIP_TAG_LINKED_OBJECT_IDENTIFIER);
    if (type == NULL || type->type != KMIP_TYPE_ENUMERATION || to == NULL || !is_text(to->type))
        return false;
    for (size_t i = 0; i < KS_ARRAY_LEN(links); i++)
        if (links[i].type == type->u32) {
            *ret = *to;
            ret->tag = links[i].tag;
            ret->type = KMIP_TYPE_REFERENCE;
            return true;
        }
    return false;
}

/* Attribute {name, index, value} of 1.x. */
static int
put_named(struct kmip_encoder *e, const struct kmip_attr *attr)
{
    const struct kmip_attr_rule *rule = kmip_attr_rule_find(attr->tag);
    if (attr->tag != 0 && !has_ref(attr->tag, attr->vendor, (int)e->version))
        return 0;
    KS_TRY(kmip_writer_begin(e->w, KMIP_TAG_ATTRIBUTE));
    KS_TRY(put_name(e, attr->tag, attr->vendor, attr->name));
    if (attr->index >= 0) {
        const struct kmip_item index = {.tag = KMIP_TAG_ATTRIBUTE_INDEX, .type = KMIP_TYPE_INTEGER, .i32 = attr->index};
        KS_TRY(kmip_writer_leaf(e->w, &index));
    }
    if (attr->value != NULL)
        KS_TRY(put_known(e, rule != NULL ? rule->schema : NULL, KMIP_TAG_ATTRIBUTE_VALUE, attr->value));
    return kmip_writer_end(e->w);
}

static int
put_tagged(struct kmip_encoder *e, const struct kmip_attr *attr)
{
    if (attr->tag == KMIP_TAG_ATTRIBUTE) {
        KS_TRY(kmip_writer_begin(e->w, KMIP_TAG_ATTRIBUTE));
        KS_TRY(put_text(e, KMIP_TAG_VENDOR_IDENTIFICATION, attr->vendor));
        KS_TRY(put_text(e, KMIP_TAG_ATTRIBUTE_NAME, attr->name));
        if (attr->value != NULL)
            KS_TRY(put_known(e, NULL, KMIP_TAG_ATTRIBUTE_VALUE, attr->value));
        return kmip_writer_end(e->w);
    }
    if (attr->value == NULL)
        return 0;
    struct kmip_item own = {0};
    const bool has_own = e->version >= KMIP_V3_0 && value_to_3_0(attr, &own);
    if (!has_attribute(has_own ? own.tag : attr->tag, (int)e->version))
        return 0;
    if (has_own)
        return kmip_writer_leaf(e->w, &own);
    return put_known(e, kmip_attr_rule_find(attr->tag)->schema, attr->tag, attr->value);
}

int
kmip_attrs_encode(struct kmip_encoder *e, const struct kmip_field *field, const struct kmip_attrs *attrs)
{
    const bool wrapped = field->kind != KMIP_KIND_ATTRS_1;
    if (wrapped)
        KS_TRY(kmip_writer_begin(e->w, field->tag));
    if (field->kind == KMIP_KIND_ATTRS_T)
        for (const struct kmip_item *name = attrs->names; name != NULL; name = name->next)
            KS_TRY(kmip_writer_tree(e->w, name));
    for (const struct kmip_attr *attr = attrs->first; attr != NULL; attr = attr->next)
        KS_TRY(field->kind == KMIP_KIND_ATTRS_2 ? put_tagged(e, attr) : put_named(e, attr));
    return wrapped ? kmip_writer_end(e->w) : 0;
}

/* References */

/* Attribute Reference {Vendor Identification, Attribute Name} of 2.x, behind its BEGIN. */
static int
read_reference(struct kmip_decoder *d, struct kmip_attr_ref *ref)
{
    struct kmip_event e;
    for (;;) {
        KS_TRY(kmip_reader_next(d->r, &e));
        if (e.kind == KMIP_END)
            break;
        if (e.item.tag == KMIP_TAG_VENDOR_IDENTIFICATION)
            KS_TRY(read_text(d, &e, &ref->vendor));
        else if (e.item.tag == KMIP_TAG_ATTRIBUTE_NAME)
            KS_TRY(read_text(d, &e, &ref->name));
        else
            KS_TRY(read_stray(d, &e));
    }
    ref->tag = KMIP_TAG_ATTRIBUTE;
    if (ref->name.data == NULL || ref->vendor.data == NULL)
        return kmip_misfit(
            d, KMIP_MISFIT_MESSAGE, "%s is missing",
            kmip_tag_xml_name(ref->name.data == NULL ? KMIP_TAG_ATTRIBUTE_NAME : KMIP_TAG_VENDOR_IDENTIFICATION));
    return 0;
}

int
kmip_refs_decode(struct kmip_decoder *d, const struct kmip_field *field, const struct kmip_event *event,
                 struct kmip_attr_refs *refs)
{
    struct kmip_attr_ref ref = {.index = -1};
    if (field->kind == KMIP_KIND_REFS_1)
        name_to_ref(event->item.s, &ref);
    else if (event->kind == KMIP_BEGIN)
        KS_TRY(read_reference(d, &ref));
    else if (event->item.type == KMIP_TYPE_ENUMERATION)
        ref.tag = event->item.u32;
    else
        return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "%s or %s is expected, not %s",
                           kmip_type_name(KMIP_TYPE_ENUMERATION), kmip_type_name(KMIP_TYPE_STRUCTURE),
                           kmip_type_name(event->item.type));
    /* In memory these two mean a name of 1.x that is none, and a vendor's attribute, which only a structure names. */
    if (event->item.type == KMIP_TYPE_ENUMERATION && (ref.tag == 0 || ref.tag == KMIP_TAG_ATTRIBUTE))
        return d->strict ? kmip_misfit(d, KMIP_MISFIT_ATTRIBUTE, "%s 0x%08X names no attribute",
                                       kmip_tag_xml_name(field->tag), ref.tag)
                         : 0;
    KS_TRY(kmip_decode_grow(d, (void **)&refs->v, refs->n, sizeof(*refs->v)));
    refs->v[refs->n++] = ref;
    return 0;
}

int
kmip_refs_encode(struct kmip_encoder *e, const struct kmip_field *field, const struct kmip_attr_refs *refs)
{
    for (size_t i = 0; i < refs->n; i++) {
        const struct kmip_attr_ref *ref = &refs->v[i];
        const bool wanted = e->request || has_ref(ref->tag, ref->vendor, (int)e->version);
        if (field->kind == KMIP_KIND_REFS_1) {
            if (wanted || ref->tag == 0)
                KS_TRY(put_name(e, ref->tag, ref->vendor, ref->name));
        } else if (ref->tag == KMIP_TAG_ATTRIBUTE) {
            KS_TRY(kmip_writer_begin(e->w, field->tag));
            KS_TRY(put_text(e, KMIP_TAG_VENDOR_IDENTIFICATION, ref->vendor));
            KS_TRY(put_text(e, KMIP_TAG_ATTRIBUTE_NAME, ref->name));
            KS_TRY(kmip_writer_end(e->w));
        } else if (ref->tag != 0 && (wanted || kmip_attr_rule_find(ref->tag) == NULL)) {
            /* What is no attribute at all goes out as it came in: the answer to it is the server's. */
            const struct kmip_item item = {.tag = field->tag, .type = KMIP_TYPE_ENUMERATION, .u32 = ref->tag};
            KS_TRY(kmip_writer_leaf(e->w, &item));
        }
    }
    return 0;
}

/* Identifiers */

int
kmip_uid_decode(struct kmip_decoder *d, const struct kmip_event *event, struct kmip_uid *ret)
{
    const struct kmip_item *item = &event->item;
    const bool any = d->version == KMIP_VERSION_ANY || !d->strict;
    if (item->type == KMIP_TYPE_TEXT_STRING ||
        (item->type >= KMIP_TYPE_IDENTIFIER && (any || d->version >= KMIP_V3_0))) {
        *ret = (struct kmip_uid){.type = item->type, .text = item->s};
        return 0;
    }
    if (any || d->version >= KMIP_V2_0) {
        if (item->type == KMIP_TYPE_ENUMERATION) {
            *ret = (struct kmip_uid){.type = item->type, .number = item->u32};
            return 0;
        }
        if (item->type == KMIP_TYPE_INTEGER) {
            *ret = (struct kmip_uid){.type = item->type, .number = (uint32_t)item->i32};
            return 0;
        }
    }
    return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "%s is no type of an identifier in this version of KMIP",
                       kmip_type_name(item->type));
}

int
kmip_uid_encode(struct kmip_encoder *e, uint32_t tag, const struct kmip_uid *uid)
{
    struct kmip_item item = {.tag = tag, .type = uid->type};
    if (uid->type == KMIP_TYPE_ENUMERATION)
        item.u32 = uid->number;
    else if (uid->type == KMIP_TYPE_INTEGER)
        item.i32 = (int32_t)uid->number;
    else
        item.s = uid->text;
    if (is_text(uid->type)) {
        if (e->version < KMIP_V3_0)
            item.type = KMIP_TYPE_TEXT_STRING;
        else if (uid->type == KMIP_TYPE_TEXT_STRING)
            item.type = KMIP_TYPE_IDENTIFIER;
    }
    return kmip_writer_leaf(e->w, &item);
}
