/* Calls that read objects: Get, Get Attributes, Locate, Check. */
#include "client/call.h"

#include <ctype.h>
#include <stdio.h>

/* How many objects are asked for in one message. */
enum { BATCH = 100 };

static const struct kmip_key_block *
key_block_of(const struct kmip_managed_object *object)
{
    return object->symmetric_key != NULL ? object->symmetric_key->key_block
           : object->private_key != NULL ? object->private_key->key_block
           : object->public_key != NULL  ? object->public_key->key_block
           : object->secret_data != NULL ? object->secret_data->key_block
           : object->split_key != NULL   ? object->split_key->key_block
           : object->pgp_key != NULL     ? object->pgp_key->key_block
                                         : NULL;
}

static int
take_material(const struct kmip_item *item, struct ks_object *object)
{
    if (item->type == KMIP_TYPE_BYTE_STRING)
        return client_result_secret(object, item->s, &object->material);
    KS_TRY(client_value_from_item(item, client_result_arena(object), &object->structure));
    const struct kmip_item *key = object->key_format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY
                                      ? kmip_item_child(item, KMIP_TAG_KEY)
                                      : NULL;
    if (key != NULL && key->type == KMIP_TYPE_BYTE_STRING)
        return client_result_secret(object, key->s, &object->material);
    return 0;
}

static int
take_key_block(const struct kmip_key_block *block, struct ks_object *object)
{
    object->key_format = block->key_format_type;
    object->algorithm = block->has_cryptographic_algorithm ? block->cryptographic_algorithm : 0;
    object->length = block->has_cryptographic_length ? block->cryptographic_length : 0;
    const struct kmip_key_wrapping_data *wrapping = block->key_wrapping_data;
    if (wrapping != NULL) {
        object->wrapped = true;
        const struct kmip_encryption_key_information *key = wrapping->encryption_key_information;
        if (key != NULL && key->cryptographic_parameters != NULL &&
            key->cryptographic_parameters->has_block_cipher_mode)
            object->wrap_mode = key->cryptographic_parameters->block_cipher_mode;
        if (wrapping->has_iv_counter_nonce)
            KS_TRY(client_result_bytes(object, wrapping->iv_counter_nonce, &object->wrap_iv));
    }
    if (block->key_value == NULL)
        return 0; /* the key's value is not kept on the server */
    if (block->key_value->type == KMIP_TYPE_BYTE_STRING)
        return client_result_secret(object, block->key_value->s, &object->material);
    const struct kmip_item *material = kmip_item_child(block->key_value, KMIP_TAG_KEY_MATERIAL);
    return material != NULL ? take_material(material, object) : KS_E_MALFORMED;
}

int
client_object_from(const struct kmip_get_response *response, struct ks_object *object)
{
    object->object_type = response->object_type;
    KS_TRY(client_uid_text(&response->unique_identifier, object->uid));
    const struct kmip_managed_object *from = &response->object;
    if (from->secret_data != NULL)
        object->subtype = from->secret_data->secret_data_type;
    const struct kmip_key_block *block = key_block_of(from);
    if (block != NULL)
        return take_key_block(block, object);
    if (from->certificate != NULL) {
        object->subtype = from->certificate->certificate_type;
        return client_result_secret(object, from->certificate->certificate_value, &object->material);
    }
    if (from->opaque_object != NULL) {
        object->subtype = from->opaque_object->opaque_data_type;
        return client_result_secret(object, from->opaque_object->opaque_data_value, &object->material);
    }
    if (from->certificate_request != NULL)
        return client_result_secret(object, from->certificate_request->certificate_request_value, &object->material);
    return KS_E_MALFORMED;
}

void
client_wrapping(const struct ks_wrap *wrap, struct client_wrapping *ret)
{
    *ret = (struct client_wrapping){
        .cipher = {.has_block_cipher_mode = true,
                   .block_cipher_mode =
                       wrap->block_cipher_mode != 0 ? wrap->block_cipher_mode : KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP},
        .key = {.unique_identifier = client_uid(wrap->key_uid)},
        .how = {.wrapping_method = KMIP_WRAPPING_METHOD_ENCRYPT,
                .has_encoding_option = true,
                .encoding_option =
                    wrap->encoding_option != 0 ? wrap->encoding_option : KMIP_ENCODING_OPTION_NO_ENCODING}};
    ret->key.cryptographic_parameters = &ret->cipher;
    ret->how.encryption_key_information = &ret->key;
}

int
ks_client_get(struct ks_client *client, const struct ks_call *options, const struct ks_get *params,
              struct ks_object **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct client_wrapping wrapping;
    struct kmip_get_request request = {.unique_identifier = client_uid(params->uid),
                                       .has_key_format_type = params->key_format != 0,
                                       .key_format_type = params->key_format,
                                       .has_key_wrap_type = params->unwrap,
                                       .key_wrap_type = KMIP_KEY_WRAP_TYPE_NOT_WRAPPED,
                                       .has_key_compression_type = params->key_compression != 0,
                                       .key_compression_type = params->key_compression};
    if (params->wrap != NULL) {
        client_wrapping(params->wrap, &wrapping);
        request.key_wrapping_specification = &wrapping.how;
    }
    struct kmip_get_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_GET, &request, (void **)&response, "get", params->uid));
    CLIENT_RESULT struct ks_object *object = client_result_new(sizeof(*object));
    if (object == NULL)
        return client_report(&call, KS_E_NOMEM);
    const int rc = client_object_from(response, object);
    if (rc != 0)
        return client_fail(call.error, rc, "cannot get %s: the server's answer holds no usable object: %s", params->uid,
                           ks_err_text(rc));
    /* A key that was to be wrapped and came in the clear must not be taken for the wrapped one. */
    if (params->wrap != NULL && !object->wrapped)
        return client_fail(call.error, KS_E_MALFORMED, "cannot get %s: it was asked for wrapped, and came in the clear",
                           params->uid);
    *ret = object;
    object = NULL;
    return 0;
}

void
ks_object_free(struct ks_object *object)
{
    client_result_free(object);
}

/* ---- Attributes ---- */

static int
take_attributes(const struct client_op *op, struct ks_arena *arena, struct ks_attributes *ret)
{
    const struct kmip_get_attributes_response *response = op->response;
    KS_TRY(client_uid_text(&response->unique_identifier, ret->uid));
    return client_attributes_from(&response->attributes, arena, ret);
}

int
ks_client_get_attributes(struct ks_client *client, const struct ks_call *options, const char *uid,
                         const struct ks_attribute_name *names, size_t n_names, struct ks_attributes **ret,
                         struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_get_attributes_request request = {.unique_identifier = client_uid(uid)};
    KS_TRY(client_report(&call, client_refs_from(&call.arena, names, n_names, &request.attribute_refs)));
    struct client_op op = {.operation = KMIP_OPERATION_GET_ATTRIBUTES, .request = &request};
    KS_TRY(client_call_batch(&call, &op, 1, "read the attributes of", uid));
    if (op.code != 0)
        return client_refuse(&call, &op, "read the attributes of", uid);
    CLIENT_RESULT struct ks_attributes *result = client_result_new(sizeof(*result));
    if (result == NULL)
        return client_report(&call, KS_E_NOMEM);
    KS_TRY(client_report(&call, take_attributes(&op, client_result_arena(result), result)));
    *ret = result;
    result = NULL;
    return 0;
}

void
ks_attributes_free(struct ks_attributes *attributes)
{
    client_result_free(attributes);
}

static int
get_many(struct client_call *call, const char *const *uids, size_t n, const struct kmip_attr_refs *refs,
         struct ks_arena *arena, struct ks_attributes *ret)
{
    struct kmip_get_attributes_request requests[BATCH];
    struct client_op ops[BATCH];
    for (size_t i = 0; i < n; i++) {
        requests[i] =
            (struct kmip_get_attributes_request){.unique_identifier = client_uid(uids[i]), .attribute_refs = *refs};
        ops[i] = (struct client_op){.operation = KMIP_OPERATION_GET_ATTRIBUTES, .request = &requests[i]};
    }
    KS_TRY(client_call_batch(call, ops, n, "read attributes", NULL));
    for (size_t i = 0; i < n; i++) {
        snprintf(ret[i].uid, sizeof(ret[i].uid), "%s", uids[i]);
        ret[i].code = ops[i].code;
        if (ops[i].code == 0)
            KS_TRY(client_report(call, take_attributes(&ops[i], arena, &ret[i])));
    }
    return 0;
}

int
ks_client_get_attributes_many(struct ks_client *client, const struct ks_call *options, const char *const *uids,
                              size_t n_uids, const struct ks_attribute_name *names, size_t n_names,
                              struct ks_attributes_list **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_attr_refs refs = {0};
    KS_TRY(client_report(&call, client_refs_from(&call.arena, names, n_names, &refs)));
    CLIENT_RESULT struct ks_attributes_list *list = client_result_new(sizeof(*list));
    struct ks_arena *arena = list != NULL ? client_result_arena(list) : NULL;
    struct ks_attributes *v = list != NULL ? ks_arena_array(arena, n_uids > 0 ? n_uids : 1, sizeof(*v)) : NULL;
    if (v == NULL)
        return client_report(&call, KS_E_NOMEM);
    const struct client_wait wait = client_wait_begin(options, client->config->request_timeout_ms);
    for (size_t i = 0; i < n_uids; i += BATCH) {
        struct ks_call rest = options != NULL ? *options : (struct ks_call){0};
        rest.timeout_ms = client_wait_left(&wait) > 0 ? client_wait_left(&wait) : 1; /* one deadline for all messages */
        call.options = &rest;
        KS_TRY(get_many(&call, uids + i, n_uids - i < BATCH ? n_uids - i : BATCH, &refs, arena, v + i));
    }
    list->n = n_uids;
    list->v = v;
    *ret = list;
    list = NULL;
    return 0;
}

void
ks_attributes_list_free(struct ks_attributes_list *list)
{
    client_result_free(list);
}

/* ---- Locate, Check ---- */

static int
take_uids(struct client_call *call, const struct kmip_locate_response *response, struct ks_uids **ret)
{
    CLIENT_RESULT struct ks_uids *uids = client_result_new(sizeof(*uids));
    const size_t n = response->n_unique_identifier;
    const char **v = uids != NULL ? ks_arena_array(client_result_arena(uids), n > 0 ? n : 1, sizeof(*v)) : NULL;
    if (v == NULL)
        return client_report(call, KS_E_NOMEM);
    for (size_t i = 0; i < n; i++) {
        char uid[KS_UID_SIZE];
        KS_TRY(client_report(call, client_uid_text(&response->unique_identifier[i], uid)));
        v[i] = client_result_text(uids, ks_span_str(uid));
        if (v[i] == NULL)
            return client_report(call, KS_E_NOMEM);
    }
    uids->located = response->has_located_items ? response->located_items : -1;
    uids->n = n;
    uids->v = v;
    *ret = uids;
    uids = NULL;
    return 0;
}

int
ks_client_locate(struct ks_client *client, const struct ks_call *options, const struct ks_locate *params,
                 struct ks_uids **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_locate_request request = {.has_maximum_items = params->maximum != 0,
                                          .maximum_items = params->maximum,
                                          .has_offset_items = params->offset != 0,
                                          .offset_items = params->offset,
                                          .has_storage_status_mask = params->storage_status_mask != 0,
                                          .storage_status_mask = params->storage_status_mask};
    request.attributes.present = true;
    if (params->name != NULL)
        KS_TRY(client_report(&call, client_attrs_add_name(&call.arena, &request.attributes, params->name)));
    for (size_t i = 0; i < params->n_attributes; i++)
        KS_TRY(client_report(&call, client_attrs_append(&call.arena, &request.attributes, &params->attributes[i])));
    struct kmip_locate_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_LOCATE, &request, (void **)&response, "list objects", NULL));
    return take_uids(&call, response, ret);
}

void
ks_uids_free(struct ks_uids *uids)
{
    client_result_free(uids);
}

/* "0193..., 0194... and 3 more" */
static void
list_some(const struct kmip_locate_response *response, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < response->n_unique_identifier; i++) {
        const struct ks_span uid = response->unique_identifier[i].text;
        if (i == 8 || used + uid.len + 40 > size) {
            snprintf(text + used, size - used, " and %zu more", response->n_unique_identifier - i);
            return;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%.*s", i > 0 ? ", " : "", (int)uid.len,
                                 (const char *)uid.data);
    }
}

/* As servers make identifiers, mostly: 8-4-4-4-12 hexadecimal digits. */
static bool
looks_like_uid(const char *ref)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t i = 0;
    for (; form[i] != '\0' && ref[i] != '\0'; i++)
        if (form[i] == '-' ? ref[i] != '-' : isxdigit((unsigned char)ref[i]) == 0)
            return false;
    return form[i] == ref[i];
}

/* KS_E_NOT_FOUND: no object has this identifier. Unique Identifier alone is the cheapest question about an object, and
 * everyone who may use the object may ask it. */
static int
find_by_uid(struct client_call *call, const char *ref, char ret_uid[KS_UID_SIZE])
{
    struct kmip_get_attributes_request request = {.unique_identifier = client_uid(ref)};
    const struct ks_attribute_name unique_identifier = {.tag = KMIP_TAG_UNIQUE_IDENTIFIER};
    KS_TRY(client_report(call, client_refs_from(&call->arena, &unique_identifier, 1, &request.attribute_refs)));
    struct client_op op = {.operation = KMIP_OPERATION_GET_ATTRIBUTES, .request = &request};
    KS_TRY(client_call_batch(call, &op, 1, "look for", ref));
    if (op.code == KS_E_KMIP || op.code == KS_E_DENIED) /* some servers call it that */
        op.code = KS_E_NOT_FOUND;
    if (op.code == 0)
        memcpy(ret_uid, ref, strlen(ref) + 1);
    return op.code == 0 || op.code == KS_E_NOT_FOUND ? op.code : client_refuse(call, &op, "look for", ref);
}

/* KS_E_NOT_FOUND: no object has this name. */
static int
find_by_name(struct client_call *call, const char *ref, char ret_uid[KS_UID_SIZE])
{
    struct kmip_locate_request request = {.attributes.present = true};
    KS_TRY(client_report(call, client_attrs_add_name(&call->arena, &request.attributes, ref)));
    struct kmip_locate_response *response = NULL;
    KS_TRY(client_call_one(call, KMIP_OPERATION_LOCATE, &request, (void **)&response, "look for", ref));
    if (response->n_unique_identifier == 0)
        return KS_E_NOT_FOUND;
    if (response->n_unique_identifier > 1) {
        char some[480];
        list_some(response, some, sizeof(some));
        return client_fail(call->error, KS_E_INVALID, "%zu objects have the name \"%.100s\"; use one identifier: %s",
                           response->n_unique_identifier, ref, some);
    }
    return client_report(call, client_uid_text(&response->unique_identifier[0], ret_uid));
}

/* The likelier question first: the other leaves a record of a failure in the server's audit trail. */
int
ks_client_find(struct ks_client *client, const struct ks_call *options, const char *ref, char ret_uid[KS_UID_SIZE],
               struct ks_error *error)
{
    CALL(call, client, options, error);
    if (ref[0] == '\0' || strlen(ref) >= KS_UID_SIZE)
        return client_fail(call.error, KS_E_INVALID, "\"%.60s\" is no name or identifier: it must have 1 to %d bytes",
                           ref, KS_UID_SIZE - 1);
    const bool uid_first = looks_like_uid(ref);
    int rc = uid_first ? find_by_uid(&call, ref, ret_uid) : find_by_name(&call, ref, ret_uid);
    if (rc == KS_E_NOT_FOUND)
        rc = uid_first ? find_by_name(&call, ref, ret_uid) : find_by_uid(&call, ref, ret_uid);
    return rc == KS_E_NOT_FOUND
               ? client_fail(call.error, rc,
                             "there is no object \"%s\" that you may see; list them with: keystead key list", ref)
               : rc;
}

int
ks_client_check(struct ks_client *client, const struct ks_call *options, const struct ks_check *params,
                struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_check_request request = {.unique_identifier = client_uid(params->uid),
                                               .has_cryptographic_usage_mask = params->usage_mask != 0,
                                               .cryptographic_usage_mask = params->usage_mask,
                                               .has_usage_limits_count = params->usage_limits_count != 0,
                                               .usage_limits_count = params->usage_limits_count,
                                               .has_lease_time = params->lease_time_s != 0,
                                               .lease_time = params->lease_time_s};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_CHECK, &request, &response, "check", params->uid);
}
