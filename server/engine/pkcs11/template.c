#include "server/engine/pkcs11/template.h"

#include "base/text.h"

/* What an attribute of a template means for KMIP. */
enum meaning {
    IGNORED,
    READ_ONLY,
    PART,
    TOKEN,
    OBJECT_CLASS,
    LABEL,
    VALUE,
    KEY_TYPE,
    ID,
    SENSITIVE,
    USAGE,
    LENGTH_BITS,
    LENGTH_BYTES,
    EXPONENT,
    EXTRACTABLE,
    CURVE
};

static const struct {
    uint64_t type;
    enum p11_kind kind;
    enum meaning meaning;
} rows[CKA_COUNT] = {
#define P11_ATTRIBUTE(NAME, value, kind, meaning) [CKA_##NAME] = {(value), P11_##kind, meaning},
#include "server/engine/pkcs11/attributes.def"
#undef P11_ATTRIBUTE
};

#define DER(text)                                                                                                      \
    {                                                                                                                  \
        (const uint8_t *)(text), sizeof(text) - 1                                                                      \
    }
static const struct p11_curve curves[] = {
#define P11_CURVE(curve, algorithm, bits, key_type, generation, oid, name)                                             \
    {KMIP_RECOMMENDED_CURVE_##curve,                                                                                   \
     KMIP_CRYPTOGRAPHIC_ALGORITHM_##algorithm,                                                                         \
     bits,                                                                                                             \
     CKK_##key_type,                                                                                                   \
     generation,                                                                                                       \
     DER(oid),                                                                                                         \
     DER(name)},
#include "server/engine/pkcs11/curves.def"
#undef P11_CURVE
};
#undef DER

const struct p11_curve *
p11_curve_find(uint32_t curve, uint64_t key_type)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(curves); i++)
        if (curves[i].curve == curve && curves[i].key_type == key_type)
            return &curves[i];
    return NULL;
}

const struct p11_curve *
p11_curve_of(struct ks_span params)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(curves) && params.len != 0; i++)
        if (ks_span_equal(curves[i].oid, params) || ks_span_equal(curves[i].name, params))
            return &curves[i];
    return NULL;
}

uint32_t
p11_add_curve(struct p11 *p, struct kmip_attrs *attrs, uint32_t curve)
{
    struct kmip_item *item;
    const struct kmip_cryptographic_domain_parameters domain = {.recommended_curve = curve,
                                                                .has_recommended_curve = true};
    const int rc =
        kmip_item_encode(&kmip_schema_cryptographic_domain_parameters, p->ctx->version, &domain, p->ctx->arena, &item);
    attrs->present = true;
    if (rc == 0 && kmip_attrs_add(p->ctx->arena, attrs, KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS, item) != NULL)
        return CKR(OK);
    return p11_fail(p, rc != 0 ? rc : KS_E_NOMEM);
}

struct ks_span
p11_point(struct ks_span v)
{
    const size_t head = v.len > 3 && v.data[1] == 0x81 ? 3 : 2;
    if (v.len > head && v.data[0] == 0x04 && v.data[head - 1] == v.len - head && (head == 3 || v.data[1] < 0x80))
        return KS_SPAN(v.data + head, v.len - head);
    return v;
}

uint64_t
p11_attr_type(enum p11_attr attr)
{
    return rows[attr].type;
}

enum p11_kind
p11_attr_kind(enum p11_attr attr)
{
    return rows[attr].kind;
}

/* On the wire: type, whether a value and whether a length follow; the length of BYTES alone; the value. */
static uint32_t
take_attribute(struct p11 *p, bool values, struct p11_template *ret)
{
    const uint64_t type = ks_cursor_be64(&p->in);
    const bool has_value = ks_cursor_u8(&p->in) != 0, has_length = ks_cursor_u8(&p->in) != 0;
    unsigned attr = 0;
    while (attr < CKA_COUNT && rows[attr].type != type)
        attr++;
    if (p->in.err != 0)
        return P11_CODEC;
    if (attr == CKA_COUNT)
        return CKR(ATTRIBUTE_TYPE_INVALID); /* how long it is nobody here knows: what follows cannot be read */
    struct p11_value *v = &ret->v[attr];
    if (v->given)
        return CKR(TEMPLATE_INCONSISTENT);
    *v = (struct p11_value){.given = true, .has_value = has_value, .has_length = has_length};
    if (rows[attr].kind == P11_BYTES && has_length)
        v->length = ks_cursor_be32(&p->in);
    if (has_value && rows[attr].kind == P11_BOOL)
        v->number = ks_cursor_u8(&p->in);
    else if (has_value && rows[attr].kind == P11_ULONG)
        v->number = ks_cursor_be64(&p->in);
    else if (has_value)
        v->bytes = ks_cursor_take(&p->in, rows[attr].kind == P11_DATE ? 8 : v->length);
    if (p->in.err != 0)
        return P11_CODEC;
    ret->order[ret->n++] = (enum p11_attr)attr;
    /* Without a value it is an empty one, where such a thing can be. */
    return values && !has_value && rows[attr].kind != P11_BYTES ? CKR(ATTRIBUTE_VALUE_INVALID) : CKR(OK);
}

uint32_t
p11_take_template(struct p11 *p, bool values, struct p11_template *ret)
{
    const uint32_t n = ks_cursor_be32(&p->in);
    *ret = (struct p11_template){0};
    if (p->in.err != 0)
        return P11_CODEC;
    if (n > PKCS11_TEMPLATE)
        return CKR(ARGUMENTS_BAD);
    for (uint32_t i = 0; i < n; i++)
        P11_TRY(take_attribute(p, values, ret));
    return CKR(OK);
}

uint32_t
p11_add_number(struct p11 *p, struct kmip_attrs *attrs, uint32_t tag, int64_t value)
{
    const struct kmip_attr_rule *rule = kmip_attr_rule_find(tag);
    struct kmip_item *item = rule != NULL ? kmip_item_new(p->ctx->arena, tag, (enum kmip_type)rule->type) : NULL;
    if (item == NULL)
        return p11_fail(p, KS_E_NOMEM);
    switch (rule->type) {
    case KMIP_TYPE_INTEGER:
        item->i32 = (int32_t)value;
        break;
    case KMIP_TYPE_BOOLEAN:
        item->b = value != 0;
        break;
    case KMIP_TYPE_ENUMERATION:
    case KMIP_TYPE_INTERVAL:
        item->u32 = (uint32_t)value;
        break;
    default:
        item->i64 = value;
    }
    attrs->present = true;
    return kmip_attrs_add(p->ctx->arena, attrs, tag, item) != NULL ? CKR(OK) : p11_fail(p, KS_E_NOMEM);
}

static uint32_t
add_label(struct p11 *p, struct kmip_attrs *attrs, struct ks_span label)
{
    struct kmip_item *item;
    const struct kmip_name name = {.name_value = label, .name_type = KMIP_NAME_TYPE_UNINTERPRETED_TEXT_STRING};
    if (label.len == 0)
        return CKR(OK);
    if (!ks_utf8_valid(label))
        return CKR(ATTRIBUTE_VALUE_INVALID);
    const int rc = kmip_item_encode(&kmip_schema_name, p->ctx->version, &name, p->ctx->arena, &item);
    attrs->present = true;
    if (rc == 0 && kmip_attrs_add(p->ctx->arena, attrs, KMIP_TAG_NAME, item) != NULL)
        return CKR(OK);
    return p11_fail(p, rc != 0 ? rc : KS_E_NOMEM);
}

/* CKA_ID is nothing that KMIP has: an attribute of a vendor's, whose name says whose it is. */
static uint32_t
add_id(struct p11 *p, struct kmip_attrs *attrs, struct ks_span id)
{
    struct kmip_item *item = kmip_item_new(p->ctx->arena, KMIP_TAG_ATTRIBUTE_VALUE, KMIP_TYPE_BYTE_STRING);
    if (id.len == 0)
        return CKR(OK);
    if (item == NULL)
        return p11_fail(p, KS_E_NOMEM);
    item->s = id;
    attrs->present = true;
    struct kmip_attr *attr = kmip_attrs_add(p->ctx->arena, attrs, KMIP_TAG_ATTRIBUTE, item);
    if (attr == NULL)
        return p11_fail(p, KS_E_NOMEM);
    attr->vendor = KS_LIT(P11_VENDOR);
    attr->name = KS_LIT(P11_VENDOR_ID);
    return CKR(OK);
}

uint32_t
p11_usage_bits(enum p11_attr attr, uint64_t object_class)
{
    const bool secret = object_class == CKO_SECRET_KEY;
    switch (attr) {
    case CKA_ENCRYPT:
        return KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT;
    case CKA_DECRYPT:
        return KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT;
    case CKA_WRAP:
        return KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY;
    case CKA_UNWRAP:
        return KMIP_CRYPTOGRAPHIC_USAGE_MASK_UNWRAP_KEY;
    case CKA_SIGN:
    case CKA_SIGN_RECOVER:
        return secret ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE : KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN;
    case CKA_VERIFY:
    case CKA_VERIFY_RECOVER:
        return secret ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_VERIFY : KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY;
    case CKA_DERIVE:
        return KMIP_CRYPTOGRAPHIC_USAGE_MASK_DERIVE_KEY;
    default:
        return 0;
    }
}

static const struct {
    uint64_t key_type;
    uint32_t algorithm;
} key_types[] = {
    {CKK_RSA, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA},
    {CKK_EC, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC},
    {CKK_EC_MONTGOMERY, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC}, /* on a curve of its own */
    {CKK_EC_EDWARDS, KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519},
    {CKK_EC_EDWARDS, KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448},
    {CKK_AES, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES},
    {CKK_SHA256_HMAC, KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256},
    {CKK_SHA384_HMAC, KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA384},
    {CKK_SHA512_HMAC, KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA512},
};

uint32_t
p11_algorithm_of(uint64_t key_type, size_t at)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(key_types); i++)
        if (key_types[i].key_type == key_type && at-- == 0)
            return key_types[i].algorithm;
    return 0;
}

bool
p11_key_type_of(uint32_t algorithm, uint64_t *ret)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(key_types); i++)
        if (key_types[i].algorithm == algorithm) {
            *ret = key_types[i].key_type;
            return true;
        }
    return false;
}

bool
p11_is_secret_type(uint64_t key_type)
{
    return key_type == CKK_AES || key_type == CKK_SHA256_HMAC || key_type == CKK_SHA384_HMAC ||
           key_type == CKK_SHA512_HMAC;
}

uint32_t
p11_no_parts(const struct p11_template *t)
{
    if (t->v[CKA_VALUE].given)
        return CKR(TEMPLATE_INCONSISTENT);
    for (size_t i = 0; i < t->n; i++)
        if (rows[t->order[i]].meaning == PART)
            return CKR(ATTRIBUTE_READ_ONLY);
    return CKR(OK);
}

uint32_t
p11_object_type(uint64_t object_class)
{
    switch (object_class) {
    case CKO_CERTIFICATE:
        return KMIP_OBJECT_TYPE_CERTIFICATE;
    case CKO_PUBLIC_KEY:
        return KMIP_OBJECT_TYPE_PUBLIC_KEY;
    case CKO_PRIVATE_KEY:
        return KMIP_OBJECT_TYPE_PRIVATE_KEY;
    case CKO_SECRET_KEY:
        return KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
    default:
        return 0;
    }
}

uint32_t
p11_place(struct p11 *p, const struct p11_template *t, uint64_t object_class)
{
    const struct p11_value *token = &t->v[CKA_TOKEN];
    if (!token->given || token->number == 0) {
        p->terms.makes |= UINT32_C(1) << p11_object_type(object_class);
        if (object_class == CKO_SECRET_KEY)
            p->terms.makes |= UINT32_C(1) << KMIP_OBJECT_TYPE_SECRET_DATA;
        return CKR(OK);
    }
    return p->session->read_write ? CKR(OK) : CKR(SESSION_READ_ONLY);
}

/* What a search asks for beside attributes of KMIP's: object.c looks at the class and the key type itself. */
static uint32_t
add_filter(struct p11 *p, enum p11_attr attr, const struct p11_value *v)
{
    switch (rows[attr].meaning) {
    case TOKEN:
        p->terms.no_token = v->number == 0;
        p->terms.no_session = v->number != 0;
        return CKR(OK);
    case OBJECT_CLASS:
    case KEY_TYPE:
    case IGNORED:
        return CKR(OK);
    default:
        return CKR(ATTRIBUTE_TYPE_INVALID);
    }
}

static uint32_t
add_one(struct p11 *p, enum p11_attr attr, const struct p11_value *v, bool search, struct kmip_attrs *ret)
{
    if (rows[attr].meaning == LENGTH_BITS && !search)
        return CKR(OK); /* of a pair: C_GenerateKeyPair says it for both keys */
    switch (rows[attr].meaning) {
    case LABEL:
        return add_label(p, ret, v->bytes);
    case ID:
        return add_id(p, ret, v->bytes);
    case SENSITIVE:
        return p11_add_number(p, ret, KMIP_TAG_SENSITIVE, v->number != 0);
    case EXTRACTABLE:
        return p11_add_number(p, ret, KMIP_TAG_EXTRACTABLE, v->number != 0);
    case USAGE:
        return CKR(OK); /* all of them are one attribute */
    case LENGTH_BITS:
    case LENGTH_BYTES: {
        const uint64_t unit = rows[attr].meaning == LENGTH_BYTES ? 8 : 1;
        if (v->number == 0 || v->number > 65536)
            return CKR(ATTRIBUTE_VALUE_INVALID);
        return p11_add_number(p, ret, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, (int64_t)(v->number * unit));
    }
    default:
        break;
    }
    if (search)
        return add_filter(p, attr, v);
    switch (rows[attr].meaning) {
    case READ_ONLY:
        return CKR(ATTRIBUTE_READ_ONLY);
    default: /* what the function itself looks at */
        return CKR(OK);
    }
}

uint32_t
p11_template_attrs(struct p11 *p, const struct p11_template *t, uint64_t object_class, bool search,
                   struct kmip_attrs *ret)
{
    uint32_t mask = 0;
    bool has_mask = false;
    for (size_t i = 0; i < t->n; i++) {
        const struct p11_value *v = &t->v[t->order[i]];
        P11_TRY(add_one(p, t->order[i], v, search, ret));
        if (rows[t->order[i]].meaning == USAGE) {
            has_mask = has_mask || v->number != 0;
            mask |= v->number != 0 ? p11_usage_bits(t->order[i], object_class) : 0;
        }
    }
    return has_mask ? p11_add_number(p, ret, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, mask) : CKR(OK);
}
