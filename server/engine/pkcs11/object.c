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

/* The classes, and the types of objects that are of them. */
static const struct {
    uint64_t object_class;
    uint32_t type;
} classes[] = {{CKO_CERTIFICATE, KMIP_OBJECT_TYPE_CERTIFICATE},
               {CKO_PUBLIC_KEY, KMIP_OBJECT_TYPE_PUBLIC_KEY},
               {CKO_PRIVATE_KEY, KMIP_OBJECT_TYPE_PRIVATE_KEY},
               {CKO_SECRET_KEY, KMIP_OBJECT_TYPE_SYMMETRIC_KEY},
               {CKO_SECRET_KEY, KMIP_OBJECT_TYPE_SECRET_DATA}};

static uint64_t
class_of(uint32_t object_type)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(classes); i++)
        if (classes[i].type == object_type)
            return classes[i].object_class;
    return CKO_DATA;
}

static void
key_type_of(struct p11_facts *f)
{
    f->has_key_type = true;
    if (f->type == KMIP_OBJECT_TYPE_SECRET_DATA)
        f->key_type = CKK_GENERIC_SECRET;
    else if (f->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC && p11_curve_find(f->curve, CKK_EC_MONTGOMERY) != NULL)
        f->key_type = CKK_EC_MONTGOMERY;
    else
        f->has_key_type = f->type != KMIP_OBJECT_TYPE_CERTIFICATE && p11_key_type_of(f->algorithm, &f->key_type);
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
    if (ret->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA || ret->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH)
        ret->algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC; /* names of one kind of key */
    const int64_t state = number_or(ret->attrs, KMIP_TAG_STATE, 0);
    if (state == KMIP_STATE_DESTROYED || state == KMIP_STATE_DESTROYED_COMPROMISED)
        return CKR(OBJECT_HANDLE_INVALID);
    const struct kmip_item *domain = find_value(ret->attrs, KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS);
    const struct kmip_item *curve = domain != NULL && domain->type == KMIP_TYPE_STRUCTURE
                                        ? kmip_item_child(domain, KMIP_TAG_RECOMMENDED_CURVE)
                                        : NULL;
    ret->curve = curve != NULL && curve->type == KMIP_TYPE_ENUMERATION ? curve->u32 : 0;
    ret->object_class = class_of(ret->type);
    ret->of_session = p11_object_find(p->app, uid->text) != NULL;
    key_type_of(ret);
    return CKR(OK);
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
    switch (facts->type) {
    case KMIP_OBJECT_TYPE_PRIVATE_KEY:
        return CKR(ATTRIBUTE_SENSITIVE);
    case KMIP_OBJECT_TYPE_CERTIFICATE:
        P11_TRY(get_object(p, uid, 0, &got));
        *ret = got->object.certificate->certificate_value;
        return CKR(OK);
    case KMIP_OBJECT_TYPE_SYMMETRIC_KEY:
    case KMIP_OBJECT_TYPE_SECRET_DATA:
        break;
    default:
        return CKR(ATTRIBUTE_TYPE_INVALID);
    }
    P11_TRY(get_object(p, uid, KMIP_KEY_FORMAT_TYPE_RAW, &got));
    const struct kmip_item *material =
        material_of(facts->type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY ? got->object.symmetric_key->key_block
                                                                  : got->object.secret_data->key_block);
    if (material == NULL || material->type != KMIP_TYPE_BYTE_STRING)
        return CKR(ATTRIBUTE_SENSITIVE); /* it is there wrapped only */
    *ret = material->s;
    return CKR(OK);
}

/* CKA_EC_POINT is the point as an OCTET STRING. */
static uint32_t
octet_string(struct p11 *p, struct ks_span point, struct ks_span *ret)
{
    size_t n = 0;
    uint8_t *der = point.len < 256 ? ks_arena_alloc(p->ctx->arena, point.len + 3) : NULL;
    if (der == NULL)
        return p11_fail(p, KS_E_NOMEM);
    der[n++] = 4;
    if (point.len > 127)
        der[n++] = 0x81;
    der[n++] = (uint8_t)point.len;
    memcpy(der + n, point.data, point.len);
    *ret = KS_SPAN(der, n + point.len);
    return CKR(OK);
}

/* Parts of a public key, out of its transparent form; the curve is no secret of a private key either. */
static uint32_t
public_part(struct p11 *p, const struct kmip_uid *uid, const struct p11_facts *facts, enum p11_attr attr,
            struct ks_span *ret)
{
    const bool rsa = attr == CKA_MODULUS || attr == CKA_PUBLIC_EXPONENT;
    const struct kmip_get_response *got;
    const bool is_rsa = facts->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA;
    const struct p11_curve *curve = facts->has_key_type ? p11_curve_find(facts->curve, facts->key_type) : NULL;
    if (attr == CKA_EC_PARAMS && curve != NULL) {
        *ret = curve->oid;
        return CKR(OK);
    }
    if (facts->type != KMIP_OBJECT_TYPE_PUBLIC_KEY || is_rsa != rsa)
        return CKR(ATTRIBUTE_TYPE_INVALID);
    const bool raw = facts->key_type == CKK_EC_EDWARDS || facts->key_type == CKK_EC_MONTGOMERY;
    P11_TRY(get_object(p, uid,
                       rsa   ? KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PUBLIC_KEY
                       : raw ? KMIP_KEY_FORMAT_TYPE_RAW
                             : KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY,
                       &got));
    const struct kmip_item *material = material_of(got->object.public_key->key_block);
    if (raw && material != NULL && material->type == KMIP_TYPE_BYTE_STRING && attr == CKA_EC_POINT)
        return octet_string(p, material->s, ret);
    const uint32_t tag = attr == CKA_MODULUS           ? KMIP_TAG_MODULUS
                         : attr == CKA_PUBLIC_EXPONENT ? KMIP_TAG_PUBLIC_EXPONENT
                         : attr == CKA_EC_PARAMS       ? KMIP_TAG_RECOMMENDED_CURVE
                                                       : KMIP_TAG_Q_STRING;
    const struct kmip_item *part =
        material != NULL && material->type == KMIP_TYPE_STRUCTURE ? kmip_item_child(material, tag) : NULL;
    if (part == NULL)
        return CKR(ATTRIBUTE_TYPE_INVALID);
    if (attr == CKA_EC_PARAMS) {
        curve = p11_curve_find(part->u32, CKK_EC);
        *ret = curve != NULL ? curve->oid : KS_SPAN_NONE;
        return ret->len != 0 ? CKR(OK) : CKR(ATTRIBUTE_TYPE_INVALID);
    }
    if (attr == CKA_EC_POINT)
        return octet_string(p, part->s, ret);
    *ret = part->s;
    while (rsa && ret->len > 1 && ret->data[0] == 0) /* PKCS#11 counts without a sign */
        *ret = KS_SPAN(ret->data + 1, ret->len - 1);
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

bool
p11_flag(const struct p11_facts *facts, uint32_t tag)
{
    return number_or(facts->attrs, tag, 0) != 0;
}

/* The value of an attribute: a number, or bytes. */
static uint32_t
look(struct p11 *p, const struct kmip_uid *uid, const struct p11_facts *f, enum p11_attr attr, uint64_t *ret_number,
     struct ks_span *ret_bytes)
{
    const bool key = f->type != KMIP_OBJECT_TYPE_CERTIFICATE;
    const uint64_t object_class = f->object_class;
    *ret_number = 0;
    *ret_bytes = KS_SPAN_NONE;
    switch (attr) {
    case CKA_CLASS:
        *ret_number = object_class;
        return CKR(OK);
    case CKA_TOKEN:
        *ret_number = !f->of_session;
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
        *ret_number = f->key_type;
        return f->has_key_type ? CKR(OK) : CKR(ATTRIBUTE_TYPE_INVALID);
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
        return object_class == CKO_SECRET_KEY ? CKR(OK) : CKR(ATTRIBUTE_TYPE_INVALID);
    case CKA_PRIVATE_EXPONENT:
    case CKA_PRIME_1:
    case CKA_PRIME_2:
    case CKA_EXPONENT_1:
    case CKA_EXPONENT_2:
    case CKA_COEFFICIENT:
        return object_class == CKO_PRIVATE_KEY ? CKR(ATTRIBUTE_SENSITIVE) : CKR(ATTRIBUTE_TYPE_INVALID);
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

/* One name of KMIP's for keys on all curves, and key types that tell the curves apart. */
static uint32_t
is_of_type(struct p11 *p, const struct kmip_uid *uid, uint64_t key_type, bool *ret)
{
    struct p11_facts facts;
    struct record *record = p->ctx->record;
    *ret = true;
    if (key_type != CKK_EC && key_type != CKK_EC_MONTGOMERY)
        return CKR(OK);
    p->ctx->record = NULL; /* looking at it in passing is not what the record is about */
    const uint32_t code = p11_attributes(p, uid, &facts);
    p->ctx->record = record;
    *ret = code == CKR(OK) && facts.has_key_type && facts.key_type == key_type;
    return code == CKR(GENERAL_ERROR) ? code : CKR(OK);
}

/* Objects of that type, and of that algorithm (0: any). */
static uint32_t
locate(struct p11 *p, const struct p11_template *t, size_t class, uint32_t algorithm)
{
    struct kmip_locate_request request = {.maximum_items = (int32_t)(PKCS11_FOUND - p->session->n_found),
                                          .has_maximum_items = true};
    void *response;
    if (request.maximum_items <= 0)
        return CKR(OK);
    P11_TRY(p11_template_attrs(p, t, classes[class].object_class, true, &request.attributes));
    P11_TRY(p11_add_number(p, &request.attributes, KMIP_TAG_OBJECT_TYPE, classes[class].type));
    if (algorithm != 0)
        P11_TRY(p11_add_number(p, &request.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, algorithm));
    P11_TRY(p11_ask(p, KMIP_OPERATION_LOCATE, &request, &response));
    const struct kmip_locate_response *found = response;
    for (size_t i = 0; i < found->n_unique_identifier && p->session->n_found < PKCS11_FOUND; i++) {
        char uid[37] = "";
        bool fits = true;
        const struct ks_span text = found->unique_identifier[i].text;
        if (text.len != sizeof(uid) - 1)
            continue;
        memcpy(uid, text.data, text.len);
        if (algorithm != 0)
            P11_TRY(is_of_type(p, &found->unique_identifier[i], t->v[CKA_KEY_TYPE].number, &fits));
        if (!fits)
            continue;
        const uint64_t handle = p11_handle_of(p->app, uid);
        if (handle == 0)
            return p11_fail(p, KS_E_NOMEM);
        p->session->found[p->session->n_found++] = handle;
    }
    return CKR(OK);
}

/* What of a type is of the key type that the template says, if it does. */
static uint32_t
locate_type(struct p11 *p, const struct p11_template *t, size_t class)
{
    const struct p11_value *key_type = &t->v[CKA_KEY_TYPE];
    const bool secret_data = classes[class].type == KMIP_OBJECT_TYPE_SECRET_DATA;
    uint32_t algorithm;
    if (!key_type->given || (secret_data && key_type->number == CKK_GENERIC_SECRET))
        return locate(p, t, class, 0);
    for (size_t i = 0; !secret_data && (algorithm = p11_algorithm_of(key_type->number, i)) != 0; i++)
        P11_TRY(locate(p, t, class, algorithm));
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
        if (!t->v[CKA_CLASS].given || t->v[CKA_CLASS].number == classes[i].object_class)
            code = locate_type(p, t, i);
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

/* The size of its key or certificate: how much room the rest takes is nobody's business. */
uint32_t
p11_get_object_size(struct p11 *p)
{
    struct kmip_uid uid;
    struct p11_facts facts;
    const uint64_t handle = ks_cursor_be64(&p->in);
    P11_END(p);
    if (!p11_uid(p, handle, &uid))
        return CKR(OBJECT_HANDLE_INVALID);
    P11_TRY(p11_attributes(p, &uid, &facts));
    const int64_t len = facts.type == KMIP_OBJECT_TYPE_CERTIFICATE
                            ? number_or(facts.attrs, KMIP_TAG_CERTIFICATE_LENGTH, 0)
                            : (facts.bits + 7) / 8;
    p11_put_u64(p, (uint64_t)len);
    return CKR(OK);
}
