/* The operations that few programs need (keystead/operations.h). */
#include <keystead/operations.h>

#include "client/call.h"

/* ---- Attributes ---- */

static int
take_names(struct ks_attribute_names *result, const struct kmip_attr_refs *from)
{
    struct ks_attribute_name *v = ks_arena_array(client_result_arena(result), from->n + 1, sizeof(*v));
    if (v == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < from->n; i++) {
        const struct kmip_attr_ref *ref = &from->v[i];
        v[i] = (struct ks_attribute_name){.tag = ref->tag, .index = ref->index > 0 ? ref->index : 0};
        if (ref->tag != KMIP_TAG_ATTRIBUTE && ref->tag != 0)
            continue;
        v[i].vendor = client_result_text(result, ref->vendor);
        v[i].name = client_result_text(result, ref->name);
        if (v[i].vendor == NULL || v[i].name == NULL)
            return KS_E_NOMEM;
    }
    result->n = from->n;
    result->v = v;
    return 0;
}

int
ks_client_get_attribute_list(struct ks_client *client, const struct ks_call *options, const char *uid,
                             struct ks_attribute_names **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_get_attribute_list_request request = {.unique_identifier = client_uid(uid)};
    struct kmip_get_attribute_list_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_GET_ATTRIBUTE_LIST, &request, (void **)&response,
                           "list the attributes of", uid));
    CLIENT_RESULT struct ks_attribute_names *names = client_result_new(sizeof(*names));
    if (names == NULL)
        return client_report(&call, KS_E_NOMEM);
    KS_TRY(client_report(&call, take_names(names, &response->attribute_refs)));
    *ret = names;
    names = NULL;
    return 0;
}

void
ks_attribute_names_free(struct ks_attribute_names *names)
{
    client_result_free(names);
}

int
ks_client_set_attribute(struct ks_client *client, const struct ks_call *options, const char *uid,
                        const struct ks_attribute *attribute, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_set_attribute_request request = {.unique_identifier = client_uid(uid), .new_attribute.present = true};
    KS_TRY(client_report(&call, client_attrs_append(&call.arena, &request.new_attribute, attribute)));
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_SET_ATTRIBUTE, &request, &response, "set an attribute of", uid);
}

int
ks_client_adjust_attribute(struct ks_client *client, const struct ks_call *options, const char *uid,
                           const struct ks_attribute_name *name, uint32_t adjustment, const int64_t *by,
                           struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_adjust_attribute_request request = {.unique_identifier = client_uid(uid),
                                                    .adjustment_type = adjustment};
    KS_TRY(client_report(&call, client_refs_from(&call.arena, name, 1, &request.attribute_refs)));
    if (by != NULL) {
        const bool fits = *by >= INT32_MIN && *by <= INT32_MAX;
        struct kmip_item *value =
            kmip_item_new(&call.arena, KMIP_TAG_ADJUSTMENT_VALUE, fits ? KMIP_TYPE_INTEGER : KMIP_TYPE_LONG_INTEGER);
        if (value == NULL)
            return client_report(&call, KS_E_NOMEM);
        if (fits)
            value->i32 = (int32_t)*by;
        else
            value->i64 = *by;
        request.adjustment_value = value;
    }
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_ADJUST_ATTRIBUTE, &request, &response, "adjust an attribute of", uid);
}

/* ---- Objects of 3.0 ---- */

int
ks_client_deactivate(struct ks_client *client, const struct ks_call *options, const char *uid, uint32_t reason,
                     const char *message, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_deactivation_reason why = {.deactivation_reason_code = reason,
                                           .has_deactivation_message = message != NULL,
                                           .deactivation_message = ks_span_str(message)};
    const struct kmip_deactivate_request request = {.unique_identifier = client_uid(uid),
                                                    .deactivation_reason = reason != 0 ? &why : NULL};
    void *response = NULL;
    if (reason == 0 && message != NULL)
        return client_fail(call.error, KS_E_INVALID, "a deactivation message needs a reason");
    return client_call_one(&call, KMIP_OPERATION_DEACTIVATE, &request, &response, "deactivate", uid);
}

int
ks_client_obliterate(struct ks_client *client, const struct ks_call *options, const char *uid, struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_obliterate_request request = {.unique_identifier = client_uid(uid)};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_OBLITERATE, &request, &response, "obliterate", uid);
}

/* ---- Requests that are carried out later ---- */

int
ks_client_process(struct ks_client *client, const struct ks_call *options, const struct ks_pending *pending,
                  struct ks_error *error)
{
    CALL(call, client, options, error);
    const size_t len = pending->len <= sizeof(pending->value) ? pending->len : 0;
    const struct kmip_process_request request = {.asynchronous_correlation_value = KS_SPAN(pending->value, len)};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_PROCESS, &request, &response, "have the request carried out", NULL);
}

/* ---- The server ---- */

int
ks_client_ping(struct ks_client *client, const struct ks_call *options, struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_ping_request request = {0};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_PING, &request, &response, "ping the server", NULL);
}

int
ks_client_log(struct ks_client *client, const struct ks_call *options, const char *message, struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_log_request request = {.log_message = ks_span_str(message)};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_LOG, &request, &response, "have a message logged", NULL);
}

int
ks_client_interop(struct ks_client *client, const struct ks_call *options, uint32_t function, const char *identifier,
                  struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_interop_request request = {.interop_function = function,
                                                 .interop_identifier = ks_span_str(identifier)};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_INTEROP, &request, &response, "mark the test", identifier);
}

int
ks_client_pkcs11(struct ks_client *client, const struct ks_call *options, const struct ks_pkcs11 *params,
                 struct ks_pkcs11_result **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_pkcs_11_request request = {
        .pkcs_11_function = params->function,
        .has_pkcs_11_interface = params->interface != NULL,
        .pkcs_11_interface = ks_span_str(params->interface),
        .has_correlation_value = params->correlation.len != 0,
        .correlation_value = client_span(params->correlation),
        .has_pkcs_11_input_parameters = params->input.len != 0,
        .pkcs_11_input_parameters = client_span(params->input),
    };
    struct kmip_pkcs_11_response *response = NULL;
    const char *name = kmip_enum_name(KMIP_TAG_PKCS_11_FUNCTION, params->function);
    KS_TRY(client_call_one(&call, KMIP_OPERATION_PKCS_11, &request, (void **)&response, "call", name));
    CLIENT_RESULT struct ks_pkcs11_result *result = client_result_new(sizeof(*result));
    if (result == NULL)
        return client_report(&call, KS_E_NOMEM);
    result->return_code = response->pkcs_11_return_code;
    if (response->has_correlation_value)
        KS_TRY(client_report(&call, client_result_bytes(result, response->correlation_value, &result->correlation)));
    if (response->has_pkcs_11_output_parameters)
        KS_TRY(
            client_report(&call, client_result_secret(result, response->pkcs_11_output_parameters, &result->output)));
    *ret = result;
    result = NULL;
    return 0;
}

void
ks_pkcs11_result_free(struct ks_pkcs11_result *result)
{
    client_result_free(result);
}
