/* PKCS#11 functions that make keys of keys: C_WrapKey, C_UnwrapKey, C_DeriveKey. */
#include "server/engine/pkcs11/template.h"

static const struct kmip_uid no_uid = {.type = KMIP_TYPE_TEXT_STRING};

/* A key that wraps, unwraps or derives: there, of the mechanism's kind, and for that use. */
struct key_codes {
    uint32_t handle, type;
};

static uint32_t
take_key(struct p11 *p, uint64_t handle, const struct p11_mechanism *m, enum p11_attr usage,
         const struct key_codes *codes, struct kmip_uid *ret_uid, struct p11_facts *ret)
{
    uint64_t key_type = 0;
    if (!p11_uid(p, handle, ret_uid))
        return codes->handle;
    const uint32_t code = p11_attributes(p, ret_uid, ret);
    if (code != CKR(OK))
        return code == CKR(OBJECT_HANDLE_INVALID) ? codes->handle : code;
    const bool fits =
        m->algorithm == 0 ||
        (ret->has_key_type && p11_key_type_of(m->algorithm, &key_type) &&
         (ret->key_type == key_type || (m->method != 0 && key_type == CKK_EC && ret->key_type == CKK_EC_MONTGOMERY)));
    if (!fits)
        return codes->type;
    return (ret->usage & p11_usage_bits(usage, ret->object_class)) != 0 ? CKR(OK) : CKR(KEY_FUNCTION_NOT_PERMITTED);
}

/* Wrapping */

static uint32_t
wrap_code(const struct p11 *p, uint32_t code)
{
    switch (code) {
    case CKR(ATTRIBUTE_SENSITIVE):
        return CKR(KEY_UNEXTRACTABLE);
    case CKR(MECHANISM_PARAM_INVALID): /* they are sound: it is what is wrapped that they do not fit, or the profile */
        return p->ctx->reason == KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS ? CKR(MECHANISM_INVALID)
                                                                                         : CKR(KEY_SIZE_RANGE);
    default:
        return code;
    }
}

uint32_t
p11_wrap_key(struct p11 *p)
{
    static const struct key_codes codes = {CKR(WRAPPING_KEY_HANDLE_INVALID), CKR(WRAPPING_KEY_TYPE_INCONSISTENT)};
    const struct p11_mechanism *m;
    struct ks_span parameter;
    struct p11_parameters k;
    struct kmip_uid wrapping, uid;
    struct p11_facts facts;
    void *response;
    const bool known = p11_take_mechanism(p, CKF_WRAP, &m, &parameter);
    const uint64_t wrapping_handle = ks_cursor_be64(&p->in), handle = ks_cursor_be64(&p->in);
    const struct p11_space space = p11_take_space(p);
    P11_END(p);
    if (!known)
        return CKR(MECHANISM_INVALID);
    if (parameter.len > PKCS11_PARAMETER || !p11_parameters_of(m, parameter, &k))
        return CKR(MECHANISM_PARAM_INVALID);
    P11_TRY(take_key(p, wrapping_handle, m, CKA_WRAP, &codes, &wrapping, &facts));
    if (!p11_uid(p, handle, &uid))
        return CKR(KEY_HANDLE_INVALID);
    uint32_t code = p11_attributes(p, &uid, &facts);
    if (code != CKR(OK))
        return code == CKR(OBJECT_HANDLE_INVALID) ? CKR(KEY_HANDLE_INVALID) : code;
    if (facts.object_class != CKO_SECRET_KEY && facts.object_class != CKO_PRIVATE_KEY)
        return CKR(KEY_NOT_WRAPPABLE);
    struct kmip_encryption_key_information info = {.unique_identifier = wrapping, .cryptographic_parameters = &k.kmip};
    struct kmip_key_wrapping_specification how = {.wrapping_method = KMIP_WRAPPING_METHOD_ENCRYPT,
                                                  .encryption_key_information = &info,
                                                  .encoding_option = KMIP_ENCODING_OPTION_NO_ENCODING,
                                                  .has_encoding_option = true};
    const struct kmip_get_request get = {
        .unique_identifier = uid,
        .key_format_type =
            facts.object_class == CKO_PRIVATE_KEY ? KMIP_KEY_FORMAT_TYPE_PKCS_8 : KMIP_KEY_FORMAT_TYPE_RAW,
        .has_key_format_type = true,
        .key_wrapping_specification = &how,
    };
    const struct tx mark = p->ctx->tx;
    p->terms.iv = k.iv;
    code = p11_ask(p, KMIP_OPERATION_GET, &get, &response);
    p->terms.iv = KS_SPAN_NONE;
    if (code != CKR(OK))
        return wrap_code(p, code);
    const struct kmip_managed_object *got = &((const struct kmip_get_response *)response)->object;
    const struct kmip_key_block *block = got->private_key != NULL     ? got->private_key->key_block
                                         : got->symmetric_key != NULL ? got->symmetric_key->key_block
                                                                      : got->secret_data->key_block;
    if (block->key_value == NULL || block->key_value->type != KMIP_TYPE_BYTE_STRING)
        return CKR(KEY_NOT_WRAPPABLE);
    code = p11_put_output(p, &space, block->key_value->s);
    if (!space.given || code != CKR(OK)) { /* how long it is was asked, and nothing left */
        tx_rollback(p->ctx, &mark);
        if (p->ctx->record != NULL)
            p->ctx->record->event.form = NULL;
    }
    return code;
}

/* Unwrapping */

static uint32_t
unwrap_code(uint32_t code)
{
    switch (code) {
    case CKR(FUNCTION_FAILED):
    case CKR(ARGUMENTS_BAD):
        return CKR(WRAPPED_KEY_INVALID);
    default:
        return code;
    }
}

/* What comes out of a wrapping without a check value may have any length. */
static uint32_t
check_length(struct p11 *p, const struct kmip_uid *uid)
{
    struct p11_facts facts;
    P11_TRY(p11_attributes(p, uid, &facts));
    if (facts.algorithm != KMIP_CRYPTOGRAPHIC_ALGORITHM_AES || facts.bits == 128 || facts.bits == 192 ||
        facts.bits == 256)
        return CKR(OK);
    return CKR(WRAPPED_KEY_INVALID);
}

/* What the template says of the new key: its class and its type, in KMIP's words. */
struct wanted {
    uint64_t object_class, key_type;
    uint32_t type, algorithm;
};

static uint32_t
want(const struct p11_template *t, struct wanted *ret)
{
    if (!t->v[CKA_CLASS].given || !t->v[CKA_KEY_TYPE].given)
        return CKR(TEMPLATE_INCOMPLETE);
    *ret = (struct wanted){.object_class = t->v[CKA_CLASS].number,
                           .key_type = t->v[CKA_KEY_TYPE].number,
                           .algorithm = p11_algorithm_of(t->v[CKA_KEY_TYPE].number, 0)};
    const bool secret = ret->object_class == CKO_SECRET_KEY, generic = ret->key_type == CKK_GENERIC_SECRET;
    if (!secret && ret->object_class != CKO_PRIVATE_KEY)
        return CKR(ATTRIBUTE_VALUE_INVALID);
    if (secret ? !generic && !p11_is_secret_type(ret->key_type)
               : ret->algorithm == 0 || p11_is_secret_type(ret->key_type))
        return CKR(ATTRIBUTE_VALUE_INVALID);
    ret->type = !secret   ? KMIP_OBJECT_TYPE_PRIVATE_KEY
                : generic ? KMIP_OBJECT_TYPE_SECRET_DATA
                          : KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
    return CKR(OK);
}

/* The Key Block that holds the wrapped bytes. */
static uint32_t
wrapped_block(struct p11 *p, const struct wanted *w, const struct kmip_uid *key, struct p11_parameters *k,
              struct ks_span bytes, struct kmip_key_block **ret)
{
    struct kmip_item *value = kmip_item_new(p->ctx->arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_BYTE_STRING);
    struct kmip_key_wrapping_data *data = CTX_NEW(p->ctx, struct kmip_key_wrapping_data);
    struct kmip_encryption_key_information *info = CTX_NEW(p->ctx, struct kmip_encryption_key_information);
    struct kmip_key_block *block = CTX_NEW(p->ctx, struct kmip_key_block);
    if (value == NULL || data == NULL || info == NULL || block == NULL)
        return p11_fail(p, KS_E_NOMEM);
    value->s = bytes;
    *info = (struct kmip_encryption_key_information){.unique_identifier = *key, .cryptographic_parameters = &k->kmip};
    *data = (struct kmip_key_wrapping_data){.wrapping_method = KMIP_WRAPPING_METHOD_ENCRYPT,
                                            .encryption_key_information = info,
                                            .iv_counter_nonce = k->iv,
                                            .has_iv_counter_nonce = k->iv.len != 0,
                                            .encoding_option = KMIP_ENCODING_OPTION_NO_ENCODING,
                                            .has_encoding_option = true};
    *block = (struct kmip_key_block){.key_format_type =
                                         w->type == KMIP_OBJECT_TYPE_PRIVATE_KEY   ? KMIP_KEY_FORMAT_TYPE_PKCS_8
                                         : w->type == KMIP_OBJECT_TYPE_SECRET_DATA ? KMIP_KEY_FORMAT_TYPE_OPAQUE
                                                                                   : KMIP_KEY_FORMAT_TYPE_RAW,
                                     .key_value = value,
                                     .cryptographic_algorithm = w->algorithm,
                                     .has_cryptographic_algorithm = w->type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                     .key_wrapping_data = data};
    *ret = block;
    return CKR(OK);
}

/* The key is what its template says. */
static uint32_t
check_type(struct p11 *p, const struct kmip_uid *uid, const struct wanted *w)
{
    struct p11_facts facts;
    P11_TRY(p11_attributes(p, uid, &facts));
    return facts.has_key_type && facts.key_type == w->key_type ? CKR(OK) : CKR(WRAPPED_KEY_INVALID);
}

uint32_t
p11_unwrap_key(struct p11 *p)
{
    static const struct key_codes codes = {CKR(KEY_HANDLE_INVALID), CKR(UNWRAPPING_KEY_TYPE_INCONSISTENT)};
    const struct p11_mechanism *m;
    struct ks_span parameter;
    struct p11_parameters k;
    struct kmip_uid key;
    struct p11_facts facts;
    struct wanted w;
    struct kmip_key_block *block = NULL;
    void *response;
    struct p11_template *t = CTX_NEW(p->ctx, struct p11_template);
    if (t == NULL)
        return p11_fail(p, KS_E_NOMEM);
    const bool known = p11_take_mechanism(p, CKF_UNWRAP, &m, &parameter);
    const uint64_t handle = ks_cursor_be64(&p->in);
    const struct ks_span wrapped = p11_take_bytes(p);
    P11_TRY(p11_take_template(p, true, t));
    P11_END(p);
    if (!known)
        return CKR(MECHANISM_INVALID);
    if (parameter.len > PKCS11_PARAMETER || !p11_parameters_of(m, parameter, &k))
        return CKR(MECHANISM_PARAM_INVALID);
    P11_TRY(take_key(p, handle, m, CKA_UNWRAP, &codes, &key, &facts));
    P11_TRY(want(t, &w));
    P11_TRY(p11_no_parts(t));
    P11_TRY(p11_place(p, t, w.object_class));
    P11_TRY(wrapped_block(p, &w, &key, &k, wrapped, &block));
    struct kmip_import_request request = {.unique_identifier = no_uid,
                                          .object_type = w.type,
                                          .key_wrap_type = KMIP_KEY_WRAP_TYPE_NOT_WRAPPED,
                                          .has_key_wrap_type = true};
    P11_TRY(p11_put_block(p, w.type, block, &request.object));
    P11_TRY(p11_template_attrs(p, t, w.object_class, false, &request.attributes));
    P11_TRY(p11_add_facts(p, &request.attributes, 0, p11_usual_usage(w.object_class, w.key_type)));
    const struct tx mark = p->ctx->tx;
    uint32_t code = unwrap_code(p11_ask(p, KMIP_OPERATION_IMPORT, &request, &response));
    if (code != CKR(OK))
        return code;
    const struct kmip_uid *made = &((const struct kmip_import_response *)response)->unique_identifier;
    code = check_length(p, made);
    if (code == CKR(OK) && w.type == KMIP_OBJECT_TYPE_PRIVATE_KEY)
        code = check_type(p, made, &w);
    if (code != CKR(OK)) {
        tx_rollback(p->ctx, &mark);
        return code;
    }
    return p11_put_handle(p, made);
}

/* Deriving */

/* How long the key is: as the template says, else as long as what it is derived to be. */
static uint32_t
add_length(struct p11 *p, const struct p11_mechanism *m, const struct p11_parameters *k, const struct p11_template *t,
           const struct p11_facts *base, struct kmip_attrs *ret)
{
    size_t len = 0;
    if (t->v[CKA_VALUE_LEN].given)
        return CKR(OK); /* the template's attributes have it */
    switch (m->parameter) {
    case P11_PARAMETER_ECDH:
        len = k->agreement.hash == 0 ? (base->bits + 7) / 8 : 0;
        break;
    case P11_PARAMETER_DATA:
    case P11_PARAMETER_IV_DATA:
        len = k->data.len;
        break;
    case P11_PARAMETER_NO:
        len = m->hash == KMIP_HASHING_ALGORITHM_SHA_256 ? 32 : m->hash == KMIP_HASHING_ALGORITHM_SHA_384 ? 48 : 64;
        break;
    default:
        break;
    }
    return len != 0 ? p11_add_number(p, ret, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, (int64_t)len * 8)
                    : CKR(TEMPLATE_INCOMPLETE);
}

uint32_t
p11_derive_key(struct p11 *p)
{
    static const struct key_codes codes = {CKR(KEY_HANDLE_INVALID), CKR(KEY_TYPE_INCONSISTENT)};
    const struct p11_mechanism *m;
    struct ks_span parameter;
    struct p11_parameters k;
    struct kmip_uid uid;
    struct p11_facts base;
    struct wanted w;
    void *response;
    struct p11_template *t = CTX_NEW(p->ctx, struct p11_template);
    if (t == NULL)
        return p11_fail(p, KS_E_NOMEM);
    const bool known = p11_take_mechanism(p, CKF_DERIVE, &m, &parameter);
    const uint64_t handle = ks_cursor_be64(&p->in);
    P11_TRY(p11_take_template(p, true, t));
    P11_END(p);
    if (!known)
        return CKR(MECHANISM_INVALID);
    if (parameter.len > PKCS11_PARAMETER || !p11_parameters_of(m, parameter, &k))
        return CKR(MECHANISM_PARAM_INVALID);
    P11_TRY(take_key(p, handle, m, CKA_DERIVE, &codes, &uid, &base));
    if (m->parameter == P11_PARAMETER_ECDH && base.object_class != CKO_PRIVATE_KEY)
        return CKR(KEY_TYPE_INCONSISTENT);
    P11_TRY(want(t, &w));
    P11_TRY(p11_no_parts(t));
    P11_TRY(p11_place(p, t, w.object_class));
    if (w.object_class != CKO_SECRET_KEY)
        return CKR(TEMPLATE_INCONSISTENT);
    struct kmip_derivation_parameters how = {.cryptographic_parameters = &k.kmip,
                                             .initialization_vector = k.iv,
                                             .has_initialization_vector = k.iv.len != 0,
                                             .derivation_data = &k.data,
                                             .n_derivation_data = k.data.len != 0,
                                             .salt = k.salt,
                                             .has_salt = k.salt.len != 0};
    struct kmip_derive_key_request request = {.object_type = w.type,
                                              .unique_identifier = &uid,
                                              .n_unique_identifier = 1,
                                              .derivation_method = m->method,
                                              .derivation_parameters = &how};
    P11_TRY(p11_template_attrs(p, t, w.object_class, false, &request.attributes));
    P11_TRY(add_length(p, m, &k, t, &base, &request.attributes));
    P11_TRY(p11_add_facts(p, &request.attributes, w.type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY ? w.algorithm : 0,
                          p11_usual_usage(w.object_class, w.key_type)));
    p->terms.agreement = m->parameter == P11_PARAMETER_ECDH ? &k.agreement : NULL;
    const uint32_t code = p11_ask(p, KMIP_OPERATION_DERIVE_KEY, &request, &response);
    p->terms.agreement = NULL;
    if (code != CKR(OK))
        return code;
    return p11_put_handle(p, &((const struct kmip_derive_key_response *)response)->unique_identifier);
}
