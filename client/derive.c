/* Calls that make keys of other objects: Derive Key, Create Split Key, Join Split Key. */
#include "client/call.h"

/* The identifiers of a request, in the call's memory. */
static int
uids_from(struct client_call *call, const char *const *uids, size_t n, struct kmip_uid **ret)
{
    struct kmip_uid *v = ks_arena_array(&call->arena, n, sizeof(*v));
    if (v == NULL)
        return client_report(call, KS_E_NOMEM);
    for (size_t i = 0; i < n; i++)
        v[i] = client_uid(uids[i]);
    *ret = v;
    return 0;
}

/* Everything that the caller says of the new object. */
static int
attributes_of(struct client_call *call, const struct ks_new_object *object, struct kmip_attrs *ret)
{
    const struct ks_new_object rest = {.name = object->name, .usage_mask = object->usage_mask};
    KS_TRY(client_new_facts(call, ret, object));
    return client_new_attributes(call, &rest, ret);
}

static const struct kmip_uid *
uid_of_derive_key(const void *response)
{
    return &((const struct kmip_derive_key_response *)response)->unique_identifier;
}

int
ks_client_derive_key(struct ks_client *client, const struct ks_call *options, const struct ks_derive *params,
                     char ret_uid[KS_UID_SIZE], struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_cryptographic_parameters crypto = {0};
    struct ks_span data = client_span(params->data);
    struct kmip_derivation_parameters how = {.derivation_data = &data,
                                             .n_derivation_data = data.len != 0,
                                             .initialization_vector = client_span(params->iv),
                                             .has_initialization_vector = params->iv.len != 0,
                                             .salt = client_span(params->salt),
                                             .has_salt = params->salt.len != 0,
                                             .iteration_count = params->iterations,
                                             .has_iteration_count = params->iterations != 0};
    struct kmip_derive_key_request request = {
        .object_type = params->object_type != 0 ? params->object_type : (uint32_t)KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
        .n_unique_identifier = params->n_uids,
        .derivation_method = params->method,
        .derivation_parameters = &how};
    if (params->n_uids == 0)
        return client_fail(call.error, KS_E_INVALID, "a key is derived from one object at least");
    if (params->crypto != NULL) {
        crypto = client_crypto_params(params->crypto);
        how.cryptographic_parameters = &crypto;
    }
    KS_TRY(uids_from(&call, params->uids, params->n_uids, &request.unique_identifier));
    KS_TRY(attributes_of(&call, &params->object, &request.attributes));
    return client_make(&call, KMIP_OPERATION_DERIVE_KEY, &request, params->object.activate, uid_of_derive_key,
                       "derive a key from", params->uids[0], ret_uid);
}

static int
take_parts(struct client_call *call, const struct kmip_create_split_key_response *response, struct ks_uids **ret)
{
    CLIENT_RESULT struct ks_uids *uids = client_result_new(sizeof(*uids));
    const char **v =
        uids != NULL ? ks_arena_array(client_result_arena(uids), response->n_unique_identifier, sizeof(*v)) : NULL;
    if (v == NULL)
        return client_report(call, KS_E_NOMEM);
    for (size_t i = 0; i < response->n_unique_identifier; i++) {
        char uid[KS_UID_SIZE];
        KS_TRY(client_new_uid(call, &response->unique_identifier[i], uid));
        v[i] = client_result_text(uids, ks_span_str(uid));
        if (v[i] == NULL)
            return client_report(call, KS_E_NOMEM);
    }
    uids->located = -1;
    uids->n = response->n_unique_identifier;
    uids->v = v;
    *ret = uids;
    uids = NULL;
    return 0;
}

int
ks_client_create_split_key(struct ks_client *client, const struct ks_call *options,
                           const struct ks_create_split_key *params, struct ks_uids **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_create_split_key_response *response = NULL;
    struct kmip_create_split_key_request request = {
        .object_type = KMIP_OBJECT_TYPE_SPLIT_KEY,
        .split_key_parts = params->parts,
        .split_key_threshold = params->threshold,
        .split_key_method =
            params->method != 0 ? params->method : (uint32_t)KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_GF_2_8,
        .prime_field_size = client_span(params->prime),
        .has_prime_field_size = params->prime.len != 0};
    if (params->uid != NULL)
        request.unique_identifier = client_uid(params->uid);
    KS_TRY(attributes_of(&call, &params->object, &request.attributes));
    KS_TRY(client_call_one(&call, KMIP_OPERATION_CREATE_SPLIT_KEY, &request, (void **)&response, "split", params->uid));
    return take_parts(&call, response, ret);
}

static const struct kmip_uid *
uid_of_join_split_key(const void *response)
{
    return &((const struct kmip_join_split_key_response *)response)->unique_identifier;
}

int
ks_client_join_split_key(struct ks_client *client, const struct ks_call *options,
                         const struct ks_join_split_key *params, char ret_uid[KS_UID_SIZE], struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_join_split_key_request request = {
        .object_type = params->object_type != 0 ? params->object_type : (uint32_t)KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
        .n_unique_identifier = params->n_uids,
        .secret_data_type = params->secret_data_type,
        .has_secret_data_type = params->secret_data_type != 0};
    if (params->n_uids == 0)
        return client_fail(call.error, KS_E_INVALID, "a key is joined from its parts: name them");
    KS_TRY(uids_from(&call, params->uids, params->n_uids, &request.unique_identifier));
    KS_TRY(attributes_of(&call, &params->object, &request.attributes));
    return client_make(&call, KMIP_OPERATION_JOIN_SPLIT_KEY, &request, params->object.activate, uid_of_join_split_key,
                       "join the parts of", params->object.name, ret_uid);
}
