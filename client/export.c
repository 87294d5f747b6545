/* Export and Import: an object with all its attributes, as the TTLV of a KMIP 2.1 Export answer. */
#include "client/call.h"

enum { EXPORT_MAX = 16 << 20 };

static int
take(struct client_call *call, const struct kmip_export_response *response, struct ks_exported *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(EXPORT_MAX);
    struct kmip_item *item;
    ret->object_type = response->object_type;
    KS_TRY(client_uid_text(&response->unique_identifier, ret->uid));
    KS_TRY(kmip_item_encode(&kmip_schema_export_response, KMIP_V2_1, response, &call->arena, &item));
    KS_TRY(kmip_item_to_ttlv(item, &ttlv));
    return client_result_secret(ret, ks_buf_span(&ttlv), &ret->bytes);
}

int
ks_client_export(struct ks_client *client, const struct ks_call *options, const struct ks_get *params,
                 struct ks_exported **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct client_wrapping wrapping;
    struct kmip_export_request request = {.unique_identifier = client_uid(params->uid),
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
    struct kmip_export_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_EXPORT, &request, (void **)&response, "export", params->uid));
    CLIENT_RESULT struct ks_exported *exported = client_result_new(sizeof(*exported));
    if (exported == NULL)
        return client_report(&call, KS_E_NOMEM);
    const int rc = take(&call, response, exported);
    if (rc != 0)
        return client_fail(call.error, rc, "cannot export %s: the server's answer can not be kept: %s", params->uid,
                           ks_err_text(rc));
    *ret = exported;
    exported = NULL;
    return 0;
}

void
ks_exported_free(struct ks_exported *exported)
{
    client_result_free(exported);
}

int
ks_client_import(struct ks_client *client, const struct ks_call *options, const struct ks_import *params,
                 char ret_uid[KS_UID_SIZE], struct ks_error *error)
{
    static const struct kmip_limits limits = {.bytes = EXPORT_MAX, .depth = 64, .items = 65536, .text = EXPORT_MAX};
    CALL(call, client, options, error);
    struct kmip_item *item;
    void *decoded;
    int rc = kmip_item_from_ttlv(client_span(params->bytes), &limits, &call.arena, &item, NULL);
    if (rc == 0)
        rc = item->tag == KMIP_TAG_RESPONSE_PAYLOAD
                 ? kmip_item_decode(&kmip_schema_export_response, KMIP_V2_1, item, &call.arena, &decoded, NULL)
                 : KS_E_MALFORMED;
    if (rc != 0)
        return client_fail(call.error, rc == KS_E_NOMEM ? rc : KS_E_MALFORMED,
                           "what is to be imported is no exported object");
    const struct kmip_export_response *exported = decoded;
    struct kmip_import_request request = {.unique_identifier = exported->unique_identifier,
                                          .object_type = exported->object_type,
                                          .replace_existing = params->replace,
                                          .has_replace_existing = true,
                                          .key_wrap_type = KMIP_KEY_WRAP_TYPE_NOT_WRAPPED,
                                          .has_key_wrap_type = params->unwrap,
                                          .attributes = exported->attributes,
                                          .object = exported->object};
    if (params->uid != NULL)
        request.unique_identifier = client_uid(params->uid);
    struct kmip_import_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_IMPORT, &request, (void **)&response, "import", params->uid));
    return client_new_uid(&call, &response->unique_identifier, ret_uid);
}
