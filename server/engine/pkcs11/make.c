/* PKCS#11 functions that make objects: C_CreateObject, C_GenerateKey, C_GenerateKeyPair. */
#include "crypto/keyformat.h"
#include "server/engine/pkcs11/template.h"

enum { VALUE_MOST = 65536, DER_MOST = 65536 };

uint32_t
p11_put_handle(struct p11 *p, const struct kmip_uid *uid)
{
    char text[37] = "";
    memcpy(text, uid->text.data, uid->text.len < sizeof(text) - 1 ? uid->text.len : sizeof(text) - 1);
    const uint64_t handle = p11_handle_of(p->app, text);
    if (handle == 0)
        return p11_fail(p, KS_E_NOMEM);
    p11_put_u64(p, handle);
    return CKR(OK);
}

uint32_t
p11_add_facts(struct p11 *p, struct kmip_attrs *attrs, uint32_t algorithm, uint32_t usage)
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

uint32_t
p11_usual_usage(uint64_t object_class, uint64_t key_type)
{
    const bool rsa = key_type == CKK_RSA;
    if (key_type == CKK_GENERIC_SECRET || key_type == CKK_EC_MONTGOMERY)
        return KMIP_CRYPTOGRAPHIC_USAGE_MASK_DERIVE_KEY;
    if (object_class == CKO_PUBLIC_KEY)
        return KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY | (rsa ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT : 0);
    if (object_class == CKO_PRIVATE_KEY)
        return KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN | (rsa ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT : 0);
    return key_type == CKK_AES ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT
                               : KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE | KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_VERIFY;
}

/* Whether a template says what the function makes anyway, or nothing of it. */
static bool
is_of(const struct p11_template *t, uint64_t object_class, uint64_t key_type)
{
    const struct p11_value *c = &t->v[CKA_CLASS], *k = &t->v[CKA_KEY_TYPE];
    return (!c->given || c->number == object_class) && (!k->given || k->number == key_type);
}

struct kmip_key_block *
p11_key_block(struct p11 *p, uint32_t format, struct ks_span bytes)
{
    struct kmip_item *material = kmip_item_new(p->ctx->arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    struct kmip_item *value = kmip_item_new(p->ctx->arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    struct kmip_key_block *block = CTX_NEW(p->ctx, struct kmip_key_block);
    if (material == NULL || value == NULL || block == NULL)
        return NULL;
    material->s = bytes;
    material->secret = true;
    kmip_item_append(value, material);
    *block = (struct kmip_key_block){.key_format_type = format, .key_value = value};
    return block;
}

uint32_t
p11_put_block(struct p11 *p, uint32_t object_type, struct kmip_key_block *block, struct kmip_managed_object *ret)
{
    switch (object_type) {
    case KMIP_OBJECT_TYPE_SYMMETRIC_KEY:
        if ((ret->symmetric_key = CTX_NEW(p->ctx, struct kmip_symmetric_key)) == NULL)
            return p11_fail(p, KS_E_NOMEM);
        ret->symmetric_key->key_block = block;
        return CKR(OK);
    case KMIP_OBJECT_TYPE_PUBLIC_KEY:
        if ((ret->public_key = CTX_NEW(p->ctx, struct kmip_public_key)) == NULL)
            return p11_fail(p, KS_E_NOMEM);
        ret->public_key->key_block = block;
        return CKR(OK);
    case KMIP_OBJECT_TYPE_PRIVATE_KEY:
        if ((ret->private_key = CTX_NEW(p->ctx, struct kmip_private_key)) == NULL)
            return p11_fail(p, KS_E_NOMEM);
        ret->private_key->key_block = block;
        return CKR(OK);
    default:
        if ((ret->secret_data = CTX_NEW(p->ctx, struct kmip_secret_data)) == NULL)
            return p11_fail(p, KS_E_NOMEM);
        ret->secret_data->secret_data_type = KMIP_SECRET_DATA_TYPE_SEED;
        ret->secret_data->key_block = block;
        return CKR(OK);
    }
}

/* C_CreateObject */

static uint32_t
register_it(struct p11 *p, const struct p11_template *t, struct kmip_register_request *request)
{
    void *response;
    const uint64_t object_class = t->v[CKA_CLASS].number;
    P11_TRY(p11_template_attrs(p, t, object_class, false, &request->attributes));
    if (object_class == CKO_CERTIFICATE)
        P11_TRY(p11_add_number(p, &request->attributes, KMIP_TAG_ACTIVATION_DATE, p->ctx->now));
    else
        P11_TRY(p11_add_facts(p, &request->attributes, 0, p11_usual_usage(object_class, t->v[CKA_KEY_TYPE].number)));
    P11_TRY(p11_ask(p, KMIP_OPERATION_REGISTER, request, &response));
    return p11_put_handle(p, &((const struct kmip_register_response *)response)->unique_identifier);
}

static uint32_t
create_secret(struct p11 *p, const struct p11_template *t)
{
    const struct ks_span value = t->v[CKA_VALUE].bytes;
    const bool generic = t->v[CKA_KEY_TYPE].number == CKK_GENERIC_SECRET;
    const uint32_t algorithm = p11_algorithm_of(t->v[CKA_KEY_TYPE].number, 0);
    struct kmip_register_request request = {.object_type = generic ? KMIP_OBJECT_TYPE_SECRET_DATA
                                                                   : KMIP_OBJECT_TYPE_SYMMETRIC_KEY};
    if (!t->v[CKA_VALUE].given)
        return CKR(TEMPLATE_INCOMPLETE);
    if (value.len == 0 || value.len > 4096 || (!generic && !p11_is_secret_type(t->v[CKA_KEY_TYPE].number)))
        return CKR(ATTRIBUTE_VALUE_INVALID);
    struct kmip_key_block *block =
        p11_key_block(p, generic ? KMIP_KEY_FORMAT_TYPE_OPAQUE : KMIP_KEY_FORMAT_TYPE_RAW, value);
    if (block == NULL)
        return p11_fail(p, KS_E_NOMEM);
    block->cryptographic_algorithm = algorithm;
    block->has_cryptographic_algorithm = !generic;
    block->cryptographic_length = (int32_t)value.len * 8;
    block->has_cryptographic_length = true;
    P11_TRY(p11_put_block(p, request.object_type, block, &request.object));
    return register_it(p, t, &request);
}

static uint32_t
create_certificate(struct p11 *p, const struct p11_template *t)
{
    enum { CKC_X_509 = 0 };
    struct kmip_register_request request = {.object_type = KMIP_OBJECT_TYPE_CERTIFICATE};
    const struct p11_value *type = &t->v[CKA_CERTIFICATE_TYPE], *value = &t->v[CKA_VALUE];
    if (!type->given || !value->given)
        return CKR(TEMPLATE_INCOMPLETE);
    if (type->number != CKC_X_509 || value->bytes.len == 0 || value->bytes.len > VALUE_MOST)
        return CKR(ATTRIBUTE_VALUE_INVALID);
    request.object.certificate = CTX_NEW(p->ctx, struct kmip_certificate);
    if (request.object.certificate == NULL)
        return p11_fail(p, KS_E_NOMEM);
    request.object.certificate->certificate_type = KMIP_CERTIFICATE_TYPE_X_509;
    request.object.certificate->certificate_value = value->bytes;
    return register_it(p, t, &request);
}

/* The numbers that PKCS#11 has for the parts of a key have no zeros in front; some send them. */
static struct ks_span
part(const struct p11_template *t, enum p11_attr attr)
{
    struct ks_span v = t->v[attr].bytes;
    while (v.len > 1 && v.data[0] == 0)
        v = KS_SPAN(v.data + 1, v.len - 1);
    return v;
}

static int
key_of_parts(const struct p11_template *t, bool is_private, struct ks_pkey **ret)
{
    if (t->v[CKA_KEY_TYPE].number == CKK_RSA) {
        struct ks_rsa_parts rsa = {.n = part(t, CKA_MODULUS), .e = part(t, CKA_PUBLIC_EXPONENT)};
        if (is_private) {
            rsa.d = part(t, CKA_PRIVATE_EXPONENT);
            rsa.p = part(t, CKA_PRIME_1);
            rsa.q = part(t, CKA_PRIME_2);
            rsa.dp = part(t, CKA_EXPONENT_1);
            rsa.dq = part(t, CKA_EXPONENT_2);
            rsa.qi = part(t, CKA_COEFFICIENT);
        }
        return ks_pkey_from_rsa(&rsa, ret, NULL);
    }
    const struct p11_curve *curve = p11_curve_of(t->v[CKA_EC_PARAMS].bytes);
    if (curve == NULL || curve->key_type != t->v[CKA_KEY_TYPE].number)
        return KS_E_INVALID;
    struct ks_ec_parts ec = {.algorithm = curve->algorithm, .curve = curve->curve};
    if (!is_private) {
        ec.q = p11_point(t->v[CKA_EC_POINT].bytes);
        return ks_pkey_from_ec(&ec, ret, NULL);
    }
    uint8_t scalar[80] = {0};
    const struct ks_span d = t->v[CKA_VALUE].bytes;
    const size_t len = (curve->bits + 7) / 8;
    if (d.len == 0 || d.len > len)
        return KS_E_INVALID;
    memcpy(scalar + len - d.len, d.data, d.len); /* a number in PKCS#11, and as long as the order elsewhere */
    ec.d = KS_SPAN(scalar, len);
    const int rc = ks_pkey_from_ec(&ec, ret, NULL);
    ks_wipe(scalar, sizeof(scalar));
    return rc;
}

static uint32_t
create_asymmetric(struct p11 *p, const struct p11_template *t, bool is_private)
{
    struct kmip_register_request request = {.object_type = is_private ? KMIP_OBJECT_TYPE_PRIVATE_KEY
                                                                      : KMIP_OBJECT_TYPE_PUBLIC_KEY};
    const uint32_t format = is_private ? KMIP_KEY_FORMAT_TYPE_PKCS_8 : KMIP_KEY_FORMAT_TYPE_X_509;
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(DER_MOST);
    KS_PKEY *key = NULL;
    struct ks_span bytes;
    const bool rsa = t->v[CKA_KEY_TYPE].number == CKK_RSA;
    const bool whole = rsa ? t->v[CKA_MODULUS].given &&
                                 (is_private ? t->v[CKA_PRIVATE_EXPONENT].given : t->v[CKA_PUBLIC_EXPONENT].given)
                           : t->v[CKA_EC_PARAMS].given && t->v[is_private ? CKA_VALUE : CKA_EC_POINT].given;
    if (!whole)
        return CKR(TEMPLATE_INCOMPLETE);
    int rc = key_of_parts(t, is_private, &key);
    if (rc == 0)
        rc = ks_pkey_export(key, format, is_private, &der, NULL);
    if (rc == 0)
        rc = ks_arena_span(p->ctx->arena, ks_buf_span(&der), &bytes);
    if (rc == KS_E_NOMEM)
        return p11_fail(p, rc);
    if (rc != 0)
        return CKR(ATTRIBUTE_VALUE_INVALID);
    struct kmip_key_block *block = p11_key_block(p, format, bytes);
    if (block == NULL)
        return p11_fail(p, KS_E_NOMEM);
    struct ks_pkey_info info;
    ks_pkey_info(key, &info);
    block->cryptographic_algorithm = info.algorithm;
    block->cryptographic_length = (int32_t)info.bits;
    block->has_cryptographic_algorithm = block->has_cryptographic_length = true;
    P11_TRY(p11_put_block(p, request.object_type, block, &request.object));
    if (info.curve != 0)
        P11_TRY(p11_add_curve(p, &request.attributes, info.curve));
    return register_it(p, t, &request);
}

uint32_t
p11_create_object(struct p11 *p)
{
    struct p11_template *t = CTX_NEW(p->ctx, struct p11_template);
    if (t == NULL)
        return p11_fail(p, KS_E_NOMEM);
    P11_TRY(p11_take_template(p, true, t));
    P11_END(p);
    const struct p11_value *object_class = &t->v[CKA_CLASS];
    if (!object_class->given || (object_class->number != CKO_CERTIFICATE && !t->v[CKA_KEY_TYPE].given))
        return CKR(TEMPLATE_INCOMPLETE);
    if (p11_object_type(object_class->number) == 0)
        return CKR(ATTRIBUTE_VALUE_INVALID);
    P11_TRY(p11_place(p, t, object_class->number));
    switch (object_class->number) {
    case CKO_SECRET_KEY:
        return create_secret(p, t);
    case CKO_CERTIFICATE:
        return create_certificate(p, t);
    default:
        return create_asymmetric(p, t, object_class->number == CKO_PRIVATE_KEY);
    }
}

/* C_GenerateKey, C_GenerateKeyPair */

uint32_t
p11_generate_key(struct p11 *p)
{
    const struct p11_mechanism *m;
    struct ks_span parameter;
    void *response;
    struct p11_template *t = CTX_NEW(p->ctx, struct p11_template);
    if (t == NULL)
        return p11_fail(p, KS_E_NOMEM);
    const bool known = p11_take_mechanism(p, CKF_GENERATE, &m, &parameter);
    P11_TRY(p11_take_template(p, true, t));
    P11_END(p);
    if (!known)
        return CKR(MECHANISM_INVALID);
    const uint64_t key_type = m->algorithm == 0 ? CKK_GENERIC_SECRET : CKK_AES;
    struct kmip_create_request request = {.object_type = m->algorithm == 0 ? KMIP_OBJECT_TYPE_SECRET_DATA
                                                                           : KMIP_OBJECT_TYPE_SYMMETRIC_KEY};
    P11_TRY(p11_place(p, t, CKO_SECRET_KEY));
    P11_TRY(p11_no_parts(t));
    if (!is_of(t, CKO_SECRET_KEY, key_type))
        return CKR(TEMPLATE_INCONSISTENT);
    if (!t->v[CKA_VALUE_LEN].given)
        return CKR(TEMPLATE_INCOMPLETE);
    P11_TRY(p11_template_attrs(p, t, CKO_SECRET_KEY, false, &request.attributes));
    P11_TRY(p11_add_facts(p, &request.attributes, m->algorithm, p11_usual_usage(CKO_SECRET_KEY, key_type)));
    P11_TRY(p11_ask(p, KMIP_OPERATION_CREATE, &request, &response));
    return p11_put_handle(p, &((const struct kmip_create_response *)response)->unique_identifier);
}

/* What a pair is made from: its algorithm, and its size or its curve. */
static uint32_t
add_size(struct p11 *p, const struct p11_mechanism *m, const struct p11_template *public, uint64_t *ret_type,
         struct kmip_attrs *ret)
{
    static const uint8_t usual[] = {1, 0, 1};
    const struct p11_value *bits = &public->v[CKA_MODULUS_BITS], *e = &public->v[CKA_PUBLIC_EXPONENT];
    if (m->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA) {
        if (!bits->given)
            return CKR(TEMPLATE_INCOMPLETE);
        if ((e->given && !ks_span_equal(e->bytes, KS_SPAN(usual, sizeof(usual)))) || bits->number > m->most)
            return CKR(ATTRIBUTE_VALUE_INVALID);
        *ret_type = CKK_RSA;
        P11_TRY(p11_add_number(p, ret, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, m->algorithm));
        return p11_add_number(p, ret, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, (int64_t)bits->number);
    }
    if (!public->v[CKA_EC_PARAMS].given)
        return CKR(TEMPLATE_INCOMPLETE);
    const struct p11_curve *curve = p11_curve_of(public->v[CKA_EC_PARAMS].bytes);
    if (curve == NULL || curve->generation != m->value)
        return CKR(CURVE_NOT_SUPPORTED);
    *ret_type = curve->key_type;
    P11_TRY(p11_add_number(p, ret, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, curve->algorithm));
    return curve->key_type == CKK_EC_EDWARDS ? CKR(OK) : p11_add_curve(p, ret, curve->curve);
}

uint32_t
p11_generate_key_pair(struct p11 *p)
{
    const struct p11_mechanism *m;
    struct ks_span parameter;
    struct kmip_create_key_pair_request request = {0};
    void *response;
    uint64_t key_type;
    struct p11_template *t = ks_arena_array(p->ctx->arena, 2, sizeof(*t));
    if (t == NULL)
        return p11_fail(p, KS_E_NOMEM);
    const bool known = p11_take_mechanism(p, CKF_GENERATE_KEY_PAIR, &m, &parameter);
    P11_TRY(p11_take_template(p, true, &t[0]));
    P11_TRY(p11_take_template(p, true, &t[1]));
    P11_END(p);
    if (!known)
        return CKR(MECHANISM_INVALID);
    P11_TRY(p11_place(p, &t[0], CKO_PUBLIC_KEY));
    P11_TRY(p11_place(p, &t[1], CKO_PRIVATE_KEY));
    P11_TRY(p11_no_parts(&t[0]));
    P11_TRY(p11_no_parts(&t[1]));
    P11_TRY(add_size(p, m, &t[0], &key_type, &request.common_attributes));
    if (!is_of(&t[0], CKO_PUBLIC_KEY, key_type) || !is_of(&t[1], CKO_PRIVATE_KEY, key_type))
        return CKR(TEMPLATE_INCONSISTENT);
    P11_TRY(p11_template_attrs(p, &t[0], CKO_PUBLIC_KEY, false, &request.public_attributes));
    P11_TRY(p11_template_attrs(p, &t[1], CKO_PRIVATE_KEY, false, &request.private_attributes));
    P11_TRY(p11_add_facts(p, &request.public_attributes, 0, p11_usual_usage(CKO_PUBLIC_KEY, key_type)));
    P11_TRY(p11_add_facts(p, &request.private_attributes, 0, p11_usual_usage(CKO_PRIVATE_KEY, key_type)));
    P11_TRY(p11_ask(p, KMIP_OPERATION_CREATE_KEY_PAIR, &request, &response));
    const struct kmip_create_key_pair_response *made = response;
    P11_TRY(p11_put_handle(p, &made->public_key_unique_identifier));
    return p11_put_handle(p, &made->private_key_unique_identifier);
}
