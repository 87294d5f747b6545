/* Calls about certificates, and about pairs of keys: Certify, Re-certify, Validate, Re-key Key Pair. */
#include "client/call.h"

static int
add_date(struct client_call *call, struct kmip_attrs *attrs, uint32_t tag, int64_t date)
{
    if (date == 0)
        return 0;
    const struct ks_attribute attribute = {.value = {.tag = tag, .type = KMIP_TYPE_DATE_TIME, .number = date}};
    return client_report(call, client_attrs_append(&call->arena, attrs, &attribute));
}

static int
add_issuer(struct client_call *call, struct kmip_attrs *attrs, const char *uid)
{
    if (uid == NULL)
        return 0;
    const struct ks_value fields[] = {
        {.tag = KMIP_TAG_LINK_TYPE, .type = KMIP_TYPE_ENUMERATION, .enumeration = KMIP_LINK_TYPE_CERTIFICATE_LINK},
        {.tag = KMIP_TAG_LINKED_OBJECT_IDENTIFIER,
         .type = KMIP_TYPE_TEXT_STRING,
         .bytes = {(const uint8_t *)uid, strlen(uid)}}};
    const struct ks_attribute link = {.value = {.tag = KMIP_TAG_LINK,
                                                .type = KMIP_TYPE_STRUCTURE,
                                                .fields = fields,
                                                .n_fields = sizeof(fields) / sizeof(fields[0])}};
    return client_report(call, client_attrs_append(&call->arena, attrs, &link));
}

static int
add_all(struct client_call *call, const struct ks_certify *params, struct kmip_attrs *ret)
{
    KS_TRY(client_new_attributes(call, &params->object, ret));
    KS_TRY(add_date(call, ret, KMIP_TAG_ACTIVATION_DATE, params->not_before));
    KS_TRY(add_date(call, ret, KMIP_TAG_DEACTIVATION_DATE, params->not_after));
    KS_TRY(add_issuer(call, ret, params->issuer_uid));
    if (params->common_name == NULL)
        return 0;
    const struct ks_attribute name = {
        .value = {.tag = KMIP_TAG_CERTIFICATE_SUBJECT_CN,
                  .type = KMIP_TYPE_TEXT_STRING,
                  .bytes = {(const uint8_t *)params->common_name, strlen(params->common_name)}}};
    return client_report(call, client_attrs_append(&call->arena, ret, &name));
}

static uint32_t
request_type(const struct ks_certify *params)
{
    return params->request_type != 0 ? params->request_type : KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10;
}

int
ks_client_certify(struct ks_client *client, const struct ks_call *options, const struct ks_certify *params,
                  char ret_uid[KS_UID_SIZE], struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_certify_request request = {.certificate_request = client_span(params->request),
                                           .has_certificate_request = params->request.len != 0,
                                           .certificate_request_type = request_type(params),
                                           .has_certificate_request_type = params->request.len != 0};
    struct kmip_certify_response *response = NULL;
    if (params->uid == NULL && params->request.len == 0)
        return client_fail(call.error, KS_E_INVALID, "there is neither a key nor a request to certify");
    if (params->uid != NULL)
        request.unique_identifier = client_uid(params->uid);
    KS_TRY(add_all(&call, params, &request.attributes));
    KS_TRY(client_call_one(&call, KMIP_OPERATION_CERTIFY, &request, (void **)&response, "certify",
                           params->uid != NULL ? params->uid : params->object.name));
    return client_new_uid(&call, &response->unique_identifier, ret_uid);
}

int
ks_client_recertify(struct ks_client *client, const struct ks_call *options, const struct ks_certify *params,
                    int64_t offset_s, char ret_new_uid[KS_UID_SIZE], struct ks_error *error)
{
    CALL(call, client, options, error);
    if (params->uid == NULL || offset_s > UINT32_MAX)
        return client_fail(call.error, KS_E_INVALID, "the certificate is missing, or the offset is too large");
    struct kmip_re_certify_request request = {.unique_identifier = client_uid(params->uid),
                                              .certificate_request = client_span(params->request),
                                              .has_certificate_request = params->request.len != 0,
                                              .certificate_request_type = request_type(params),
                                              .has_certificate_request_type = params->request.len != 0,
                                              .has_offset = offset_s >= 0,
                                              .offset = offset_s >= 0 ? (uint32_t)offset_s : 0};
    struct kmip_re_certify_response *response = NULL;
    KS_TRY(add_all(&call, params, &request.attributes));
    KS_TRY(client_call_one(&call, KMIP_OPERATION_RE_CERTIFY, &request, (void **)&response, "renew", params->uid));
    return client_new_uid(&call, &response->unique_identifier, ret_new_uid);
}

int
ks_client_validate(struct ks_client *client, const struct ks_call *options, const struct ks_validate *params,
                   uint32_t *ret_indicator, struct ks_error *error)
{
    CALL(call, client, options, error);
    const size_t n = params->n_certificates;
    struct kmip_certificate *certificates = ks_arena_array(&call.arena, n + 1, sizeof(*certificates));
    struct kmip_certificate **list = ks_arena_array(&call.arena, n + 1, sizeof(struct kmip_certificate *));
    struct kmip_uid *uids = ks_arena_array(&call.arena, params->n_uids + 1, sizeof(*uids));
    if (certificates == NULL || list == NULL || uids == NULL)
        return client_report(&call, KS_E_NOMEM);
    for (size_t i = 0; i < n; i++) {
        certificates[i] = (struct kmip_certificate){.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
                                                    .certificate_value = client_span(params->certificates[i])};
        list[i] = &certificates[i];
    }
    for (size_t i = 0; i < params->n_uids; i++)
        uids[i] = client_uid(params->uids[i]);
    const struct kmip_validate_request request = {.certificate = list,
                                                  .n_certificate = n,
                                                  .unique_identifier = uids,
                                                  .n_unique_identifier = params->n_uids,
                                                  .has_validity_date = params->at != 0,
                                                  .validity_date = params->at};
    struct kmip_validate_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_VALIDATE, &request, (void **)&response, "validate",
                           params->n_uids != 0 ? params->uids[0] : NULL));
    *ret_indicator = response->validity_indicator;
    return 0;
}

int
ks_client_rekey_key_pair(struct ks_client *client, const struct ks_call *options, const char *private_uid,
                         int64_t offset_s, char ret_private_uid[KS_UID_SIZE], char ret_public_uid[KS_UID_SIZE],
                         struct ks_error *error)
{
    CALL(call, client, options, error);
    if (offset_s > UINT32_MAX)
        return client_fail(call.error, KS_E_INVALID, "the offset is too large");
    const struct kmip_re_key_key_pair_request request = {.private_key_unique_identifier = client_uid(private_uid),
                                                         .has_offset = offset_s >= 0,
                                                         .offset = offset_s >= 0 ? (uint32_t)offset_s : 0};
    struct kmip_re_key_key_pair_response *response = NULL;
    char private[KS_UID_SIZE];
    KS_TRY(client_call_one(&call, KMIP_OPERATION_RE_KEY_KEY_PAIR, &request, (void **)&response, "rotate", private_uid));
    KS_TRY(client_new_uid(&call, &response->private_key_unique_identifier, private));
    KS_TRY(client_new_uid(&call, &response->public_key_unique_identifier, ret_public_uid));
    memcpy(ret_private_uid, private, sizeof(private));
    return 0;
}
