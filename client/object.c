/* Calls that make objects: Create, Create Key Pair, Register, Re-key. */
#include "client/call.h"

static int
add_attributes(struct client_call *call, struct kmip_attrs *attrs, const struct ks_attribute *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int rc = client_attrs_append(&call->arena, attrs, &v[i]);
        if (rc != 0)
            return client_fail(call->error, rc, "attribute %zu cannot be sent: %s", i, ks_err_text(rc));
    }
    return 0;
}

/* What is the same for all objects. */
int
client_new_facts(struct client_call *call, struct kmip_attrs *attrs, const struct ks_new_object *object)
{
    attrs->present = true;
    if (object->algorithm != 0)
        KS_TRY(client_report(
            call, client_attrs_add_enum(&call->arena, attrs, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, object->algorithm)));
    if (object->length != 0)
        KS_TRY(client_report(call,
                             client_attrs_add_int(&call->arena, attrs, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, object->length)));
    return add_attributes(call, attrs, object->attributes, object->n_attributes);
}

static int
add_name_and_mask(struct client_call *call, struct kmip_attrs *attrs, const char *name, uint32_t usage_mask)
{
    attrs->present = true;
    if (usage_mask != 0)
        KS_TRY(client_report(
            call, client_attrs_add_int(&call->arena, attrs, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, (int32_t)usage_mask)));
    if (name != NULL)
        KS_TRY(client_report(call, client_attrs_add_name(&call->arena, attrs, name)));
    return 0;
}

static int
take_uid(struct client_call *call, const struct kmip_uid *uid, char ret[KS_UID_SIZE])
{
    const int rc = client_uid_text(uid, ret);
    if (rc != 0)
        return client_fail(call->error, rc, "the object was made, but its identifier is no text of 1 to %d bytes",
                           KS_UID_SIZE - 1);
    return 0;
}

int
client_new_attributes(struct client_call *call, const struct ks_new_object *object, struct kmip_attrs *ret)
{
    ret->present = true;
    KS_TRY(add_attributes(call, ret, object->attributes, object->n_attributes));
    return add_name_and_mask(call, ret, object->name, object->usage_mask);
}

int
client_new_uid(struct client_call *call, const struct kmip_uid *uid, char ret[KS_UID_SIZE])
{
    return take_uid(call, uid, ret);
}

/*
 * Some servers cannot read batches, or an Activate without an identifier, and refuse such a message as a whole: then
 * nothing was done.
 */
static bool
is_no_batch(const struct client_op ops[2])
{
    return ops[0].code != 0 && ops[1].code == ops[0].code && ops[0].reason == KMIP_RESULT_REASON_INVALID_MESSAGE;
}

int
client_make(struct client_call *call, uint32_t operation, const void *request, bool activate,
            const struct kmip_uid *(*uid_of)(const void *response), const char *verb, const char *name,
            char ret_uid[KS_UID_SIZE])
{
    struct kmip_activate_request activation = {0};
    struct client_op ops[] = {{.operation = operation, .request = request},
                              {.operation = KMIP_OPERATION_ACTIVATE, .request = &activation}};
    KS_TRY(client_call_batch(call, ops, activate ? 2 : 1, verb, name));
    const bool apart = activate && is_no_batch(ops);
    if (apart)
        KS_TRY(client_call_batch(call, ops, 1, verb, name));
    if (ops[0].code != 0)
        return client_refuse(call, &ops[0], verb, name);
    char uid[KS_UID_SIZE];
    KS_TRY(take_uid(call, uid_of(ops[0].response), uid));
    memcpy(ret_uid, uid, sizeof(uid));
    if (apart) {
        activation.unique_identifier = client_uid(uid);
        KS_TRY(client_call_batch(call, &ops[1], 1, "activate the new object", uid));
    }
    return activate && ops[1].code != 0 ? client_refuse(call, &ops[1], "activate the new object", uid) : 0;
}

static const struct kmip_uid *
uid_of_create(const void *response)
{
    return &((const struct kmip_create_response *)response)->unique_identifier;
}

static const struct kmip_uid *
uid_of_register(const void *response)
{
    return &((const struct kmip_register_response *)response)->unique_identifier;
}

static const struct kmip_uid *
uid_of_re_key(const void *response)
{
    return &((const struct kmip_re_key_response *)response)->unique_identifier;
}

int
ks_client_create(struct ks_client *client, const struct ks_call *options, const struct ks_create *params,
                 char ret_uid[KS_UID_SIZE], struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct ks_new_object *object = &params->object;
    struct kmip_create_request request = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY};
    KS_TRY(client_new_facts(&call, &request.attributes, object));
    KS_TRY(add_name_and_mask(&call, &request.attributes, object->name, object->usage_mask));
    return client_make(&call, KMIP_OPERATION_CREATE, &request, object->activate, uid_of_create, "create", object->name,
                       ret_uid);
}

static int
add_curve(struct client_call *call, struct kmip_attrs *attrs, uint32_t curve)
{
    if (curve == 0)
        return 0;
    const struct ks_value field = {
        .tag = KMIP_TAG_RECOMMENDED_CURVE, .type = KMIP_TYPE_ENUMERATION, .enumeration = curve};
    const struct ks_attribute domain = {.value = {.tag = KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS,
                                                  .type = KMIP_TYPE_STRUCTURE,
                                                  .fields = &field,
                                                  .n_fields = 1}};
    return client_report(call, client_attrs_append(&call->arena, attrs, &domain));
}

static int
activate_pair(struct client_call *call, const char *private_uid, const char *public_uid)
{
    const struct kmip_activate_request requests[] = {{.unique_identifier = client_uid(private_uid)},
                                                     {.unique_identifier = client_uid(public_uid)}};
    struct client_op ops[] = {{.operation = KMIP_OPERATION_ACTIVATE, .request = &requests[0]},
                              {.operation = KMIP_OPERATION_ACTIVATE, .request = &requests[1]}};
    KS_TRY(client_call_batch(call, ops, 2, "activate the new key pair", private_uid));
    for (size_t i = 0; i < 2; i++)
        if (ops[i].code != 0)
            return client_refuse(call, &ops[i], "activate the new key", i == 0 ? private_uid : public_uid);
    return 0;
}

int
ks_client_create_key_pair(struct ks_client *client, const struct ks_call *options,
                          const struct ks_create_key_pair *params, char ret_private_uid[KS_UID_SIZE],
                          char ret_public_uid[KS_UID_SIZE], struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_create_key_pair_request request = {0};
    KS_TRY(client_new_facts(&call, &request.common_attributes, &params->common));
    KS_TRY(add_curve(&call, &request.common_attributes, params->curve));
    KS_TRY(add_name_and_mask(&call, &request.private_attributes, params->private_name, params->private_usage_mask));
    KS_TRY(add_name_and_mask(&call, &request.public_attributes, params->public_name, params->public_usage_mask));
    struct kmip_create_key_pair_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_CREATE_KEY_PAIR, &request, (void **)&response, "create key pair",
                           params->private_name));
    char private_uid[KS_UID_SIZE];
    char public_uid[KS_UID_SIZE];
    KS_TRY(take_uid(&call, &response->private_key_unique_identifier, private_uid));
    KS_TRY(take_uid(&call, &response->public_key_unique_identifier, public_uid));
    memcpy(ret_private_uid, private_uid, sizeof(private_uid));
    memcpy(ret_public_uid, public_uid, sizeof(public_uid));
    return params->common.activate ? activate_pair(&call, private_uid, public_uid) : 0;
}

/* ---- Register ---- */

static int
fill_key_block(struct client_call *call, const struct ks_register *params, uint32_t fallback_format,
               struct kmip_key_block *ret)
{
    struct kmip_item *value = kmip_item_new(&call->arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    struct kmip_item *material = kmip_item_new(&call->arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    if (value == NULL || material == NULL)
        return client_report(call, KS_E_NOMEM);
    material->s = client_span(params->material);
    if (params->structure != NULL)
        KS_TRY(client_report(call, client_item_from_value(params->structure, &call->arena, &material)));
    material->secret = true;
    kmip_item_append(value, material);
    const struct ks_new_object *object = &params->object;
    const bool is_symmetric = params->object_type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
    ret->key_format_type = params->key_format != 0 ? params->key_format : fallback_format;
    ret->key_value = value;
    ret->has_cryptographic_algorithm = object->algorithm != 0;
    ret->cryptographic_algorithm = object->algorithm;
    ret->cryptographic_length = object->length != 0                         ? object->length
                                : is_symmetric && params->structure == NULL ? (int32_t)params->material.len * 8
                                                                            : 0;
    ret->has_cryptographic_length = ret->cryptographic_length != 0;
    return 0;
}

/* The structures that an object to register is made of; one is used. */
struct registered {
    struct kmip_key_block block;
    struct kmip_symmetric_key symmetric;
    struct kmip_public_key public;
    struct kmip_private_key private;
    struct kmip_secret_data secret;
    struct kmip_certificate certificate;
    struct kmip_opaque_object opaque;
};

static int
fill_object(struct client_call *call, const struct ks_register *params, struct registered *parts,
            struct kmip_managed_object *ret)
{
    const uint32_t subtype = params->subtype;
    switch (params->object_type) {
    case KMIP_OBJECT_TYPE_SYMMETRIC_KEY:
        parts->symmetric.key_block = &parts->block;
        ret->symmetric_key = &parts->symmetric;
        return fill_key_block(call, params, KMIP_KEY_FORMAT_TYPE_RAW, &parts->block);
    case KMIP_OBJECT_TYPE_PUBLIC_KEY:
        parts->public.key_block = &parts->block;
        ret->public_key = &parts->public;
        return fill_key_block(call, params, KMIP_KEY_FORMAT_TYPE_X_509, &parts->block);
    case KMIP_OBJECT_TYPE_PRIVATE_KEY:
        parts->private.key_block = &parts->block;
        ret->private_key = &parts->private;
        return fill_key_block(call, params, KMIP_KEY_FORMAT_TYPE_PKCS_8, &parts->block);
    case KMIP_OBJECT_TYPE_SECRET_DATA:
        parts->secret = (struct kmip_secret_data){
            .key_block = &parts->block, .secret_data_type = subtype != 0 ? subtype : KMIP_SECRET_DATA_TYPE_PASSWORD};
        ret->secret_data = &parts->secret;
        return fill_key_block(call, params, KMIP_KEY_FORMAT_TYPE_OPAQUE, &parts->block);
    case KMIP_OBJECT_TYPE_CERTIFICATE:
        parts->certificate =
            (struct kmip_certificate){.certificate_type = subtype != 0 ? subtype : KMIP_CERTIFICATE_TYPE_X_509,
                                      .certificate_value = client_span(params->material)};
        ret->certificate = &parts->certificate;
        return 0;
    case KMIP_OBJECT_TYPE_OPAQUE_OBJECT:
        parts->opaque = (struct kmip_opaque_object){.opaque_data_type = subtype != 0 ? subtype : 0x80000001,
                                                    .opaque_data_value = client_span(params->material)};
        ret->opaque_object = &parts->opaque;
        return 0;
    default:
        return client_fail(call->error, KS_E_INVALID, "objects of type 0x%x cannot be registered", params->object_type);
    }
}

int
ks_client_register(struct ks_client *client, const struct ks_call *options, const struct ks_register *params,
                   char ret_uid[KS_UID_SIZE], struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct ks_new_object *object = &params->object;
    const bool transparent = params->key_format >= KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY &&
                             params->key_format <= KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY;
    if (transparent != (params->structure != NULL))
        return client_fail(call.error, KS_E_INVALID, "key format 0x%x is %s", params->key_format,
                           transparent ? "not made of bytes" : "made of bytes, not of a structure");
    if (params->structure != NULL && (params->structure->tag != KMIP_TAG_KEY_MATERIAL ||
                                      params->structure->type != KMIP_TYPE_STRUCTURE || params->material.len != 0))
        return client_fail(call.error, KS_E_INVALID,
                           "a transparent key is a structure with the tag Key Material alone");
    if (!transparent && (params->material.len == 0 || params->material.len > INT32_MAX / 8))
        return client_fail(call.error, KS_E_INVALID, "there is no material to register, or too much of it");
    struct registered parts = {0};
    struct kmip_register_request request = {.object_type = params->object_type};
    KS_TRY(fill_object(&call, params, &parts, &request.object));
    request.attributes.present = true;
    KS_TRY(add_attributes(&call, &request.attributes, object->attributes, object->n_attributes));
    KS_TRY(add_name_and_mask(&call, &request.attributes, object->name, object->usage_mask));
    return client_make(&call, KMIP_OPERATION_REGISTER, &request, object->activate, uid_of_register, "register",
                       object->name, ret_uid);
}

int
ks_client_rekey(struct ks_client *client, const struct ks_call *options, const char *uid, int64_t offset_s,
                bool activate, char ret_new_uid[KS_UID_SIZE], struct ks_error *error)
{
    CALL(call, client, options, error);
    if (offset_s > UINT32_MAX)
        return client_fail(call.error, KS_E_INVALID, "the offset is too large");
    const struct kmip_re_key_request request = {.unique_identifier = client_uid(uid),
                                                .has_offset = offset_s >= 0,
                                                .offset = offset_s >= 0 ? (uint32_t)offset_s : 0};
    return client_make(&call, KMIP_OPERATION_RE_KEY, &request, activate, uid_of_re_key, "rotate", uid, ret_new_uid);
}
