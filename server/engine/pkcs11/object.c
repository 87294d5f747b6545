/* PKCS#11 functions about objects: made, found, looked at, destroyed. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "server/engine/pkcs11/template.h"

/* Looking at one */

static const struct kmip_item *
find_value(const struct kmip_attrs *attrs, uint32_t tag)
{
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        if (a->tag == tag)
            return a->value;
    return NULL;
}

static bool
find_number(const struct kmip_attrs *attrs, uint32_t tag, int64_t *ret)
{
    const struct kmip_item *item = find_value(attrs, tag);
    const enum core_id id = core_find(tag);
    return item != NULL && id < CORE_COUNT && core_from_item(id, item, ret) == 0;
}

static int64_t
number_or(const struct kmip_attrs *attrs, uint32_t tag, int64_t otherwise)
{
    int64_t v;
    return find_number(attrs, tag, &v) ? v : otherwise;
}

uint32_t
p11_attributes(struct p11 *p, const struct kmip_uid *uid, struct p11_facts *ret)
{
    const struct kmip_get_attributes_request request = {.unique_identifier = *uid};
    void *response;
    P11_TRY(p11_ask(p, KMIP_OPERATION_GET_ATTRIBUTES, &request, &response));
    ret->attrs = &((const struct kmip_get_attributes_response *)response)->attributes;
    ret->type = (uint32_t)number_or(ret->attrs, KMIP_TAG_OBJECT_TYPE, 0);
    ret->algorithm = (uint32_t)number_or(ret->attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, 0);
    ret->bits = (uint32_t)number_or(ret->attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 0);
    ret->usage = (uint32_t)number_or(ret->attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, 0);
    if (ret->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA)
        ret->algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC; /* two names of one kind of key */
    return CKR(OK);
}

static const uint64_t classes[] = {CKO_CERTIFICATE, CKO_PUBLIC_KEY, CKO_PRIVATE_KEY, CKO_SECRET_KEY};

static uint64_t
class_of(uint32_t object_type)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(classes); i++)
        if (p11_object_type(classes[i]) == object_type)
            return classes[i];
    return CKO_DATA;
}

static struct ks_span
label_of(const struct kmip_attrs *attrs)
{
    const struct kmip_item *name = find_value(attrs, KMIP_TAG_NAME);
    return name != NULL ? name_text(name) : KS_SPAN_NONE;
}

static struct ks_span
id_of(const struct kmip_attrs *attrs)
{
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_ATTRIBUTE && ks_span_is(a->vendor, P11_VENDOR) && ks_span_is(a->name, P11_VENDOR_ID) &&
            a->value != NULL && a->value->type == KMIP_TYPE_BYTE_STRING)
            return a->value->s;
    return KS_SPAN_NONE;
}

static uint32_t
date_of(struct p11 *p, const struct kmip_attrs *attrs, uint32_t tag, struct ks_span *ret)
{
    int64_t at;
    struct tm tm;
    char text[16];
    if (!find_number(attrs, tag, &at))
        return CKR(OK); /* empty: there is none */
    const time_t seconds = at;
    if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year + 1900 > 9999 || tm.tm_year + 1900 < 0)
        return CKR(OK);
    const int n = snprintf(text, sizeof(text), "%04d%02d%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    const int rc = n == 8 ? ks_arena_span(p->ctx->arena, KS_SPAN(text, 8), ret) : 0;
    return rc == 0 ? CKR(OK) : p11_fail(p, rc);
}

/* What Get hands out of an object, in a format (0: its own). */
static uint32_t
get_object(struct p11 *p, const struct kmip_uid *uid, uint32_t format, const struct kmip_get_response **ret)
{
    const struct kmip_get_request request = {
        .unique_identifier = *uid, .key_format_type = format, .has_key_format_type = format != 0};
    void *response;
    P11_TRY(p11_ask(p, KMIP_OPERATION_GET, &request, &response));
    *ret = response;
    return CKR(OK);
}

static const struct kmip_item *
material_of(const struct kmip_key_block *block)
{
    return block != NULL && block->key_value != NULL && block->key_value->type == KMIP_TYPE_STRUCTURE
               ? kmip_item_child(block->key_value, KMIP_TAG_KEY_MATERIAL)
               : NULL;
}

static uint32_t
value_of(struct p11 *p, const struct kmip_uid *uid, const struct p11_facts *facts, struct ks_span *ret)
{
    const struct kmip_get_response *got;
    if (facts->type == KMIP_OBJECT_TYPE_PRIVATE_KEY)
        return CKR(ATTRIBUTE_SENSITIVE);
    if (facts->type != KMIP_OBJECT_TYPE_SYMMETRIC_KEY && facts->type != KMIP_OBJECT_TYPE_CERTIFICATE)
        return CKR(ATTRIBUTE_TYPE_INVALID);
    const bool key = facts->type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
    P11_TRY(get_object(p, uid, key ? KMIP_KEY_FORMAT_TYPE_RAW : 0, &got));
    if (!key) {
        *ret = got->object.certificate->certificate_value;
        return CKR(OK);
    }
    const struct kmip_item *material = material_of(got->object.symmetric_key->key_block);
    if (material == NULL || material->type != KMIP_TYPE_BYTE_STRING)
        return CKR(ATTRIBUTE_SENSITIVE); /* it is there wrapped only */
    *ret = material->s;
    return CKR(OK);
}

/* Parts of a public key, out of its transparent form. */
static uint32_t
public_part(struct p11 *p, const struct kmip_uid *uid, const struct p11_facts *facts, enum p11_attr attr,
            struct ks_span *ret)
{
    const bool rsa = attr == CKA_MODULUS || attr == CKA_PUBLIC_EXPONENT;
    const struct kmip_get_response *got;
    if (facts->type != KMIP_OBJECT_TYPE_PUBLIC_KEY ||
        facts->algorithm != (rsa ? KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA : KMIP_CRYPTOGRAPHIC_ALGORITHM_EC))
        return CKR(ATTRIBUTE_TYPE_INVALID);
    P11_TRY(get_object(
        p, uid, rsa ? KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PUBLIC_KEY : KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY,
        &got));
    const struct kmip_item *material = material_of(got->object.public_key->key_block);
    const uint32_t tag = attr == CKA_MODULUS           ? KMIP_TAG_MODULUS
                         : attr == CKA_PUBLIC_EXPONENT ? KMIP_TAG_PUBLIC_EXPONENT
                         : attr == CKA_EC_PARAMS       ? KMIP_TAG_RECOMMENDED_CURVE
                                                       : KMIP_TAG_Q_STRING;
    const struct kmip_item *part =
        material != NULL && material->type == KMIP_TYPE_STRUCTURE ? kmip_item_child(material, tag) : NULL;
    if (part == NULL)
        return CKR(ATTRIBUTE_TYPE_INVALID);
    if (attr == CKA_EC_PARAMS) {
        *ret = p11_curve_oid(part->u32);
        return ret->len != 0 ? CKR(OK) : CKR(ATTRIBUTE_TYPE_INVALID);
    }
    *ret = part->s;
    while (rsa && ret->len > 1 && ret->data[0] == 0) /* PKCS#11 counts without a sign */
        *ret = KS_SPAN(ret->data + 1, ret->len - 1);
    if (attr != CKA_EC_POINT || ret->len > 127 + 6)
        return CKR(OK);
    /* CKA_EC_POINT is the point as an OCTET STRING. */
    uint8_t *der = ks_arena_alloc(p->ctx->arena, ret->len + 3);
    if (der == NULL)
        return p11_fail(p, KS_E_NOMEM);
    size_t n = 0;
    der[n++] = 4;
    if (ret->len > 127)
        der[n++] = 0x81;
    der[n++] = (uint8_t)ret->len;
    memcpy(der + n, ret->data, ret->len);
    *ret = KS_SPAN(der, n + ret->len);
    return CKR(OK);
}

static uint32_t
flag_of(const struct kmip_attrs *attrs, uint32_t tag, uint64_t *ret)
{
    int64_t v;
    if (!find_number(attrs, tag, &v))
        return CKR(ATTRIBUTE_TYPE_INVALID);
    *ret = v != 0;
    return CKR(OK);
}

/* The value of an attribute: a number, or bytes. */
static uint32_t
look(struct p11 *p, const struct kmip_uid *uid, const struct p11_facts *f, enum p11_attr attr, uint64_t *ret_number,
     struct ks_span *ret_bytes)
{
    const bool key = f->type != KMIP_OBJECT_TYPE_CERTIFICATE;
    const uint64_t object_class = class_of(f->type);
    *ret_number = 0;
    *ret_bytes = KS_SPAN_NONE;
    switch (attr) {
    case CKA_CLASS:
        *ret_number = object_class;
        return CKR(OK);
    case CKA_TOKEN:
        *ret_number = p11_object_find(p->app, uid->text) == NULL;
        return CKR(OK);
    case CKA_MODIFIABLE:
    case CKA_DESTROYABLE:
        *ret_number = 1;
        return CKR(OK);
    case CKA_PRIVATE: /* to be seen without C_Login, since the certificate is what lets one in */
    case CKA_COPYABLE:
        return CKR(OK);
    case CKA_LABEL:
        *ret_bytes = label_of(f->attrs);
        return CKR(OK);
    case CKA_UNIQUE_ID:
        *ret_bytes = uid->text;
        return CKR(OK);
    case CKA_ID:
        *ret_bytes = id_of(f->attrs);
        return CKR(OK);
    case CKA_VALUE:
        return value_of(p, uid, f, ret_bytes);
    case CKA_CERTIFICATE_TYPE: /* CKC_X_509 */
        return key ? CKR(ATTRIBUTE_TYPE_INVALID) : CKR(OK);
    case CKA_KEY_TYPE:
        return key && p11_key_type_of(f->algorithm, ret_number) ? CKR(OK) : CKR(ATTRIBUTE_TYPE_INVALID);
    case CKA_SENSITIVE:
        return flag_of(f->attrs, KMIP_TAG_SENSITIVE, ret_number);
    case CKA_EXTRACTABLE:
        return flag_of(f->attrs, KMIP_TAG_EXTRACTABLE, ret_number);
    case CKA_NEVER_EXTRACTABLE:
        return flag_of(f->attrs, KMIP_TAG_NEVER_EXTRACTABLE, ret_number);
    case CKA_ALWAYS_SENSITIVE:
        return flag_of(f->attrs, KMIP_TAG_ALWAYS_SENSITIVE, ret_number);
    case CKA_START_DATE:
        return date_of(p, f->attrs, KMIP_TAG_ACTIVATION_DATE, ret_bytes);
    case CKA_END_DATE:
        return date_of(p, f->attrs, KMIP_TAG_DEACTIVATION_DATE, ret_bytes);
    case CKA_MODULUS_BITS:
        *ret_number = f->bits;
        return f->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA ? CKR(OK) : CKR(ATTRIBUTE_TYPE_INVALID);
    case CKA_VALUE_LEN:
        *ret_number = f->bits / 8;
        return f->type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY ? CKR(OK) : CKR(ATTRIBUTE_TYPE_INVALID);
    case CKA_MODULUS:
    case CKA_PUBLIC_EXPONENT:
    case CKA_EC_PARAMS:
    case CKA_EC_POINT:
        return public_part(p, uid, f, attr, ret_bytes);
    default: {
        const uint32_t bits = p11_usage_bits(attr, object_class);
        *ret_number = bits != 0 && (f->usage & bits) != 0;
        return key && bits != 0 ? CKR(OK) : CKR(ATTRIBUTE_TYPE_INVALID);
    }
    }
}

static uint32_t
put_attribute(struct p11 *p, const struct kmip_uid *uid, const struct p11_facts *facts, enum p11_attr attr,
              const struct p11_value *asked)
{
    uint64_t number;
    struct ks_span bytes;
    uint32_t code = look(p, uid, facts, attr, &number, &bytes);
    const enum p11_kind kind = p11_attr_kind(attr);
    const bool there = code == CKR(OK);
    bool fits = there;
    if (there && kind == P11_BYTES && asked->has_length && asked->length < bytes.len) {
        code = CKR(BUFFER_TOO_SMALL);
        fits = false;
    }
    if (kind == P11_DATE && bytes.len != 8)
        fits = false; /* no date */
    p11_put_u64(p, p11_attr_type(attr));
    p11_put_u8(p, fits);
    p11_put_u8(p, there && (kind != P11_DATE || fits));
    if (there && kind == P11_BYTES)
        p11_put_u32(p, (uint32_t)bytes.len);
    if (fits && kind == P11_BOOL)
        p11_put_u8(p, (uint8_t)number);
    else if (fits && kind == P11_ULONG)
        p11_put_u64(p, number);
    else if (fits)
        (void)ks_buf_add_span(p->out, bytes);
    return code;
}

uint32_t
p11_get_attribute_value(struct p11 *p)
{
    struct kmip_uid uid;
    struct p11_facts facts;
    struct p11_template *t = CTX_NEW(p->ctx, struct p11_template);
    if (t == NULL)
        return p11_fail(p, KS_E_NOMEM);
    const uint64_t handle = ks_cursor_be64(&p->in);
    P11_TRY(p11_take_template(p, false, t));
    P11_END(p);
    if (!p11_uid(p, handle, &uid))
        return CKR(OBJECT_HANDLE_INVALID);
    P11_TRY(p11_attributes(p, &uid, &facts));
    uint32_t code = CKR(OK);
    p11_put_u32(p, (uint32_t)t->n);
    for (size_t i = 0; i < t->n; i++) {
        const uint32_t one = put_attribute(p, &uid, &facts, t->order[i], &t->v[t->order[i]]);
        code = code == CKR(OK) ? one : code; /* what could be had is there all the same */
    }
    return code;
}

/* Finding */

static uint32_t
locate(struct p11 *p, const struct p11_template *t, uint64_t object_class)
{
    struct kmip_locate_request request = {.maximum_items = (int32_t)(PKCS11_FOUND - p->session->n_found),
                                          .has_maximum_items = true};
    void *response;
    if (request.maximum_items <= 0)
        return CKR(OK);
    P11_TRY(p11_template_attrs(p, t, object_class, true, &request.attributes));
    if (!t->v[CKA_CLASS].given)
        P11_TRY(p11_add_number(p, &request.attributes, KMIP_TAG_OBJECT_TYPE, p11_object_type(object_class)));
    P11_TRY(p11_ask(p, KMIP_OPERATION_LOCATE, &request, &response));
    const struct kmip_locate_response *found = response;
    for (size_t i = 0; i < found->n_unique_identifier && p->session->n_found < PKCS11_FOUND; i++) {
        char uid[37] = "";
        const struct ks_span text = found->unique_identifier[i].text;
        if (text.len != sizeof(uid) - 1)
            continue;
        memcpy(uid, text.data, text.len);
        const uint64_t handle = p11_handle_of(p->app, uid);
        if (handle == 0)
            return p11_fail(p, KS_E_NOMEM);
        p->session->found[p->session->n_found++] = handle;
    }
    return CKR(OK);
}

uint32_t
p11_find_objects_init(struct p11 *p)
{
    struct p11_template *t = CTX_NEW(p->ctx, struct p11_template);
    if (t == NULL)
        return p11_fail(p, KS_E_NOMEM);
    P11_TRY(p11_take_template(p, true, t));
    P11_END(p);
    if (p->session->finding)
        return CKR(OPERATION_ACTIVE);
    p->session->found = calloc(PKCS11_FOUND, sizeof(*p->session->found));
    if (p->session->found == NULL)
        return p11_fail(p, KS_E_NOMEM);
    p->session->finding = true;
    uint32_t code = CKR(OK);
    for (size_t i = 0; i < KS_ARRAY_LEN(classes) && code == CKR(OK); i++)
        if (!t->v[CKA_CLASS].given || t->v[CKA_CLASS].number == classes[i])
            code = locate(p, t, classes[i]);
    if (code == P11_NOTHING)
        code = CKR(OK);
    if (code != CKR(OK))
        p11_find_end(p->session);
    return code;
}

uint32_t
p11_find_objects(struct p11 *p)
{
    const uint64_t most = ks_cursor_be64(&p->in);
    P11_END(p);
    struct p11_session *s = p->session;
    if (!s->finding)
        return CKR(OPERATION_NOT_INITIALIZED);
    const size_t left = s->n_found - s->next_found, n = most < left ? (size_t)most : left;
    p11_put_u32(p, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        p11_put_u64(p, s->found[s->next_found++]);
    return CKR(OK);
}

uint32_t
p11_find_objects_final(struct p11 *p)
{
    P11_END(p);
    if (!p->session->finding)
        return CKR(OPERATION_NOT_INITIALIZED);
    p11_find_end(p->session);
    return CKR(OK);
}

/* Making */

static uint32_t
put_handle(struct p11 *p, const struct kmip_uid *uid)
{
    char text[37] = "";
    memcpy(text, uid->text.data, uid->text.len < sizeof(text) - 1 ? uid->text.len : sizeof(text) - 1);
    const uint64_t handle = p11_handle_of(p->app, text);
    if (handle == 0)
        return p11_fail(p, KS_E_NOMEM);
    p11_put_u64(p, handle);
    return CKR(OK);
}

/* What every new object is told: its algorithm, what it is for if the template does not say, and that it is in use. */
static uint32_t
add_facts(struct p11 *p, struct kmip_attrs *attrs, uint32_t algorithm, uint32_t usage)
{
    bool has_usage = false;
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        has_usage = has_usage || a->tag == KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK;
    if (algorithm != 0)
        P11_TRY(p11_add_number(p, attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, algorithm));
    if (!has_usage)
        P11_TRY(p11_add_number(p, attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, usage));
    return p11_add_number(p, attrs, KMIP_TAG_ACTIVATION_DATE, p->ctx->now);
}

static uint32_t
usual_usage(uint32_t algorithm)
{
    return algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES
               ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT
               : KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE | KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_VERIFY;
}

/* Whether a template says what the function makes anyway, or nothing of it. */
static bool
is_of(const struct p11_template *t, uint64_t object_class, uint32_t algorithm)
{
    const struct p11_value *c = &t->v[CKA_CLASS], *k = &t->v[CKA_KEY_TYPE];
    return (!c->given || c->number == object_class) && (!k->given || p11_algorithm_of(k->number) == algorithm);
}

static uint32_t
create_secret(struct p11 *p, const struct p11_template *t)
{
    const struct p11_value *value = &t->v[CKA_VALUE];
    const uint32_t algorithm = p11_algorithm_of(t->v[CKA_KEY_TYPE].number);
    struct kmip_register_request request = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY};
    void *response;
    if (algorithm == 0 || algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA || algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC)
        return CKR(ATTRIBUTE_VALUE_INVALID);
    if (value->bytes.len == 0 || value->bytes.len > 4096)
        return CKR(ATTRIBUTE_VALUE_INVALID);
    struct kmip_item *material = kmip_item_new(p->ctx->arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    struct kmip_item *key_value = kmip_item_new(p->ctx->arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    struct kmip_key_block *block = CTX_NEW(p->ctx, struct kmip_key_block);
    struct kmip_symmetric_key *key = CTX_NEW(p->ctx, struct kmip_symmetric_key);
    if (material == NULL || key_value == NULL || block == NULL || key == NULL)
        return p11_fail(p, KS_E_NOMEM);
    material->s = value->bytes;
    material->secret = true;
    kmip_item_append(key_value, material);
    *block = (struct kmip_key_block){.key_format_type = KMIP_KEY_FORMAT_TYPE_RAW,
                                     .key_value = key_value,
                                     .cryptographic_algorithm = algorithm,
                                     .has_cryptographic_algorithm = true,
                                     .cryptographic_length = (int32_t)value->bytes.len * 8,
                                     .has_cryptographic_length = true};
    key->key_block = block;
    request.object.symmetric_key = key;
    P11_TRY(p11_template_attrs(p, t, CKO_SECRET_KEY, false, &request.attributes));
    P11_TRY(add_facts(p, &request.attributes, 0, usual_usage(algorithm)));
    P11_TRY(p11_ask(p, KMIP_OPERATION_REGISTER, &request, &response));
    return put_handle(p, &((const struct kmip_register_response *)response)->unique_identifier);
}

uint32_t
p11_create_object(struct p11 *p)
{
    struct p11_template *t = CTX_NEW(p->ctx, struct p11_template);
    if (t == NULL)
        return p11_fail(p, KS_E_NOMEM);
    P11_TRY(p11_take_template(p, true, t));
    P11_END(p);
    if (!t->v[CKA_CLASS].given || !t->v[CKA_KEY_TYPE].given || !t->v[CKA_VALUE].given)
        return CKR(TEMPLATE_INCOMPLETE);
    if (t->v[CKA_CLASS].number != CKO_SECRET_KEY) /* other objects are for KMIP's Register */
        return CKR(ATTRIBUTE_VALUE_INVALID);
    P11_TRY(p11_place(p, t, CKO_SECRET_KEY));
    return create_secret(p, t);
}

uint32_t
p11_generate_key(struct p11 *p)
{
    const struct p11_mechanism *m;
    struct ks_span parameter;
    struct kmip_create_request request = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY};
    void *response;
    struct p11_template *t = CTX_NEW(p->ctx, struct p11_template);
    if (t == NULL)
        return p11_fail(p, KS_E_NOMEM);
    const bool known = p11_take_mechanism(p, &m, &parameter);
    P11_TRY(p11_take_template(p, true, t));
    P11_END(p);
    if (!known || (m->flags & CKF_GENERATE) == 0)
        return CKR(MECHANISM_INVALID);
    P11_TRY(p11_place(p, t, CKO_SECRET_KEY));
    if (!is_of(t, CKO_SECRET_KEY, m->algorithm) || t->v[CKA_VALUE].given)
        return CKR(TEMPLATE_INCONSISTENT);
    if (!t->v[CKA_VALUE_LEN].given)
        return CKR(TEMPLATE_INCOMPLETE);
    P11_TRY(p11_template_attrs(p, t, CKO_SECRET_KEY, false, &request.attributes));
    P11_TRY(add_facts(p, &request.attributes, m->algorithm, usual_usage(m->algorithm)));
    P11_TRY(p11_ask(p, KMIP_OPERATION_CREATE, &request, &response));
    return put_handle(p, &((const struct kmip_create_response *)response)->unique_identifier);
}

/* What a pair is made from: its size, or its curve. */
static uint32_t
add_size(struct p11 *p, const struct p11_mechanism *m, const struct p11_template *public, struct kmip_attrs *ret)
{
    static const uint8_t usual[] = {1, 0, 1};
    const struct p11_value *bits = &public->v[CKA_MODULUS_BITS], *e = &public->v[CKA_PUBLIC_EXPONENT];
    P11_TRY(p11_add_number(p, ret, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, m->algorithm));
    if (m->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA) {
        if (!bits->given)
            return CKR(TEMPLATE_INCOMPLETE);
        if ((e->given && !ks_span_equal(e->bytes, KS_SPAN(usual, sizeof(usual)))) || bits->number > m->most)
            return CKR(ATTRIBUTE_VALUE_INVALID);
        return p11_add_number(p, ret, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, (int64_t)bits->number);
    }
    if (!public->v[CKA_EC_PARAMS].given)
        return CKR(TEMPLATE_INCOMPLETE);
    const struct kmip_cryptographic_domain_parameters domain = {
        .recommended_curve = p11_curve_of(public->v[CKA_EC_PARAMS].bytes), .has_recommended_curve = true};
    if (domain.recommended_curve == 0)
        return CKR(CURVE_NOT_SUPPORTED);
    struct kmip_item *item;
    const int rc =
        kmip_item_encode(&kmip_schema_cryptographic_domain_parameters, p->ctx->version, &domain, p->ctx->arena, &item);
    if (rc != 0 || kmip_attrs_add(p->ctx->arena, ret, KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS, item) == NULL)
        return p11_fail(p, rc != 0 ? rc : KS_E_NOMEM);
    return CKR(OK);
}

uint32_t
p11_generate_key_pair(struct p11 *p)
{
    const struct p11_mechanism *m;
    struct ks_span parameter;
    struct kmip_create_key_pair_request request = {0};
    void *response;
    struct p11_template *t = ks_arena_array(p->ctx->arena, 2, sizeof(*t));
    if (t == NULL)
        return p11_fail(p, KS_E_NOMEM);
    const bool known = p11_take_mechanism(p, &m, &parameter);
    P11_TRY(p11_take_template(p, true, &t[0]));
    P11_TRY(p11_take_template(p, true, &t[1]));
    P11_END(p);
    if (!known || (m->flags & CKF_GENERATE_KEY_PAIR) == 0)
        return CKR(MECHANISM_INVALID);
    P11_TRY(p11_place(p, &t[0], CKO_PUBLIC_KEY));
    P11_TRY(p11_place(p, &t[1], CKO_PRIVATE_KEY));
    if (!is_of(&t[0], CKO_PUBLIC_KEY, m->algorithm) || !is_of(&t[1], CKO_PRIVATE_KEY, m->algorithm))
        return CKR(TEMPLATE_INCONSISTENT);
    const bool rsa = m->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA;
    P11_TRY(add_size(p, m, &t[0], &request.common_attributes));
    P11_TRY(p11_template_attrs(p, &t[0], CKO_PUBLIC_KEY, false, &request.public_attributes));
    P11_TRY(p11_template_attrs(p, &t[1], CKO_PRIVATE_KEY, false, &request.private_attributes));
    P11_TRY(add_facts(p, &request.public_attributes, 0,
                      KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY | (rsa ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT : 0)));
    P11_TRY(add_facts(p, &request.private_attributes, 0,
                      KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN | (rsa ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT : 0)));
    P11_TRY(p11_ask(p, KMIP_OPERATION_CREATE_KEY_PAIR, &request, &response));
    const struct kmip_create_key_pair_response *made = response;
    P11_TRY(put_handle(p, &made->public_key_unique_identifier));
    return put_handle(p, &made->private_key_unique_identifier);
}

/* In PKCS#11 an object in use can be destroyed; in KMIP it is revoked first. Both, or nothing. */
uint32_t
p11_destroy_object(struct p11 *p)
{
    struct kmip_uid uid;
    void *response;
    const uint64_t handle = ks_cursor_be64(&p->in);
    P11_END(p);
    if (!p11_uid(p, handle, &uid))
        return CKR(OBJECT_HANDLE_INVALID);
    struct object *of_session = p11_object_find(p->app, uid.text);
    if (!p->session->read_write && of_session == NULL) {
        struct p11_facts facts;
        P11_TRY(p11_attributes(p, &uid, &facts)); /* it may be one that is gone */
        return CKR(SESSION_READ_ONLY);
    }
    const struct kmip_destroy_request destroy = {.unique_identifier = uid};
    struct kmip_revocation_reason reason = {.revocation_reason_code =
                                                KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION};
    const struct kmip_revoke_request revoke = {.unique_identifier = uid, .revocation_reason = &reason};
    const struct tx mark = p->ctx->tx;
    uint32_t code = p11_ask(p, KMIP_OPERATION_DESTROY, &destroy, &response);
    if (code == CKR(ACTION_PROHIBITED)) {
        code = p11_ask(p, KMIP_OPERATION_REVOKE, &revoke, &response);
        if (code == CKR(OK))
            code = p11_ask(p, KMIP_OPERATION_DESTROY, &destroy, &response);
    }
    /* What a session had and destroyed nobody asks after. */
    if (code == CKR(OK) && of_session != NULL) {
        const int rc = tx_delete(p->ctx, of_session);
        code = rc == 0 ? CKR(OK) : p11_fail(p, rc);
    }
    if (code != CKR(OK))
        tx_rollback(p->ctx, &mark);
    return code;
}

/* Random numbers */

uint32_t
p11_generate_random(struct p11 *p)
{
    const uint32_t len = ks_cursor_be32(&p->in);
    /* Some send the buffer as it is. */
    if (ks_cursor_left(&p->in) == len)
        (void)ks_cursor_take(&p->in, len);
    P11_END(p);
    const struct kmip_rng_retrieve_request request = {.data_length = len <= INT32_MAX ? (int32_t)len : INT32_MAX};
    void *response;
    P11_TRY(p11_ask(p, KMIP_OPERATION_RNG_RETRIEVE, &request, &response));
    const struct ks_span data = ((const struct kmip_rng_retrieve_response *)response)->data;
    p11_put_u32(p, (uint32_t)data.len);
    (void)ks_buf_add_span(p->out, data);
    return CKR(OK);
}

uint32_t
p11_seed_random(struct p11 *p)
{
    const struct kmip_rng_seed_request request = {.data = p11_take_bytes(p)};
    void *response;
    P11_END(p);
    return p11_ask(p, KMIP_OPERATION_RNG_SEED, &request, &response);
}
