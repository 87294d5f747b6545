/* Calls about the server: Query, Discover Versions, and Keystead's own operations. */
#include "client/call.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/pool.h"

/* ---- Query, Discover Versions ---- */

static const uint32_t *
copy_numbers(void *result, const uint32_t *from, size_t n)
{
    return ks_arena_dup(client_result_arena(result), from, n * sizeof(*from));
}

int
ks_client_query(struct ks_client *client, const struct ks_call *options, struct ks_query_result **ret,
                struct ks_error *error)
{
    CALL(call, client, options, error);
    uint32_t functions[] = {KMIP_QUERY_FUNCTION_QUERY_OPERATIONS, KMIP_QUERY_FUNCTION_QUERY_OBJECTS,
                            KMIP_QUERY_FUNCTION_QUERY_SERVER_INFORMATION,
                            KMIP_QUERY_FUNCTION_QUERY_APPLICATION_NAMESPACES};
    const struct kmip_query_request request = {.query_function = functions, .n_query_function = 4};
    struct kmip_query_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_QUERY, &request, (void **)&response, "query the server", NULL));
    CLIENT_RESULT struct ks_query_result *result = client_result_new(sizeof(*result));
    const size_t n = response->n_application_namespace;
    const char **names =
        result != NULL ? ks_arena_array(client_result_arena(result), n > 0 ? n : 1, sizeof(*names)) : NULL;
    if (names == NULL)
        return client_report(&call, KS_E_NOMEM);
    for (size_t i = 0; i < n; i++)
        if ((names[i] = client_result_text(result, response->application_namespace[i])) == NULL)
            return client_report(&call, KS_E_NOMEM);
    result->n_namespaces = n;
    result->namespaces = names;
    result->n_operations = response->n_operation;
    result->operations = copy_numbers(result, response->operation, response->n_operation);
    result->n_object_types = response->n_object_type;
    result->object_types = copy_numbers(result, response->object_type, response->n_object_type);
    result->vendor =
        response->has_vendor_identification ? client_result_text(result, response->vendor_identification) : NULL;
    if (result->operations == NULL || result->object_types == NULL ||
        (response->has_vendor_identification && result->vendor == NULL))
        return client_report(&call, KS_E_NOMEM);
    *ret = result;
    result = NULL;
    return 0;
}

void
ks_query_result_free(struct ks_query_result *result)
{
    client_result_free(result);
}

static int
only_1_0(struct client_call *call, struct ks_versions **ret)
{
    CLIENT_RESULT struct ks_versions *versions = client_result_new(sizeof(*versions));
    struct ks_version *v = versions != NULL ? ks_arena_array(client_result_arena(versions), 1, sizeof(*v)) : NULL;
    if (v == NULL)
        return client_report(call, KS_E_NOMEM);
    v[0] = (struct ks_version){1, 0};
    versions->n = 1;
    versions->v = v;
    *ret = versions;
    versions = NULL;
    return 0;
}

int
ks_client_discover_versions(struct ks_client *client, const struct ks_call *options, struct ks_versions **ret,
                            struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_discover_versions_request request = {0};
    struct kmip_discover_versions_response *response = NULL;
    const int rc = client_call_one(&call, KMIP_OPERATION_DISCOVER_VERSIONS, &request, (void **)&response,
                                   "discover versions", NULL);
    if (rc == KS_E_UNSUPPORTED)
        return only_1_0(&call, ret); /* 1.0 does not know the operation: the negotiation found that out before us */
    KS_TRY(rc);
    CLIENT_RESULT struct ks_versions *versions = client_result_new(sizeof(*versions));
    const size_t n = response->n_protocol_version;
    struct ks_version *v =
        versions != NULL ? ks_arena_array(client_result_arena(versions), n > 0 ? n : 1, sizeof(*v)) : NULL;
    if (v == NULL)
        return client_report(&call, KS_E_NOMEM);
    for (size_t i = 0; i < n; i++)
        v[i] = (struct ks_version){response->protocol_version[i]->protocol_version_major,
                                   response->protocol_version[i]->protocol_version_minor};
    versions->n = n;
    versions->v = v;
    *ret = versions;
    versions = NULL;
    return 0;
}

void
ks_versions_free(struct ks_versions *versions)
{
    client_result_free(versions);
}

/* ---- Server Status, Unseal ---- */

int
ks_client_status(struct ks_client *client, const struct ks_call *options, struct ks_status **ret,
                 struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_server_status_request request = {0};
    struct kmip_server_status_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_SERVER_STATUS, &request, (void **)&response,
                           "read the server's status", NULL));
    CLIENT_RESULT struct ks_status *status = client_result_new(sizeof(*status));
    if (status == NULL)
        return client_report(&call, KS_E_NOMEM);
    status->server_version = client_result_text(status, response->keystead_version);
    status->node = client_result_text(status, response->node_name);
    status->profile = response->has_policy_profile ? client_result_text(status, response->policy_profile) : NULL;
    if (status->server_version == NULL || status->node == NULL ||
        (response->has_policy_profile && status->profile == NULL))
        return client_report(&call, KS_E_NOMEM);
    snprintf(status->server, sizeof(status->server), "%s", call.error->server);
    status->sealed = response->server_sealed;
    status->objects = response->has_object_count ? response->object_count : -1;
    status->uptime_s = response->server_uptime;
    for (size_t i = 0; i < client->n_servers; i++) {
        enum kmip_version version;
        if (strcmp(client->servers[i].address.text, status->server) == 0 && pool_version(client, i, &version))
            status->version =
                (struct ks_version){kmip_version_number(version).major, kmip_version_number(version).minor};
    }
    *ret = status;
    status = NULL;
    return 0;
}

void
ks_status_free(struct ks_status *status)
{
    client_result_free(status);
}

int
ks_client_unseal(struct ks_client *client, const struct ks_call *options, struct ks_bytes passphrase, bool *ret_sealed,
                 struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_unseal_request request = {.passphrase = client_span(passphrase)};
    struct kmip_unseal_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_UNSEAL, &request, (void **)&response, "unseal the server", NULL));
    *ret_sealed = response->server_sealed;
    return 0;
}

/* ---- Clients ---- */

int
ks_client_enroll_token_create(struct ks_client *client, const struct ks_call *options, const char *name,
                              const char *role, uint32_t valid_s, const char *leniency, struct ks_enroll_token **ret,
                              struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_enroll_token_create_request request = {.client_name = ks_span_str(name),
                                                             .has_client_role = role != NULL,
                                                             .client_role = ks_span_str(role),
                                                             .has_validity_interval = valid_s != 0,
                                                             .validity_interval = valid_s,
                                                             .has_client_leniency = leniency != NULL && *leniency != 0,
                                                             .client_leniency = ks_span_str(leniency)};
    struct kmip_enroll_token_create_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_ENROLL_TOKEN_CREATE, &request, (void **)&response,
                           "make a token for client", name));
    CLIENT_RESULT struct ks_enroll_token *token = client_result_new(sizeof(*token));
    if (token == NULL)
        return client_report(&call, KS_E_NOMEM);
    struct ks_bytes text;
    KS_TRY(client_report(&call, client_result_secret(token, response->enrollment_token, &text)));
    token->text = (const char *)text.data; /* a NUL stands behind it */
    token->expires = response->token_expiry_date;
    if (token->text == NULL || strlen(token->text) != text.len)
        return client_fail(call.error, KS_E_MALFORMED, "the server's token is no text");
    *ret = token;
    token = NULL;
    return 0;
}

void
ks_enroll_token_free(struct ks_enroll_token *token)
{
    client_result_free(token);
}

int
ks_client_re_provision(struct ks_client *client, const struct ks_call *options, const struct ks_re_provision *params,
                       char ret_uid[KS_UID_SIZE], struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_certificate_request csr = {.certificate_request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10,
                                                 .certificate_request_value = client_span(params->request)};
    struct kmip_certificate certificate = {.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
                                           .certificate_value = client_span(params->certificate)};
    struct kmip_re_provision_request asked = {.certificate = params->certificate.len != 0 ? &certificate : NULL};
    struct kmip_re_provision_response *response = NULL;
    if (params->request.len != 0)
        KS_TRY(client_report(&call, kmip_item_encode(&kmip_schema_certificate_request, KMIP_V2_1, &csr, &call.arena,
                                                     &asked.certificate_request)));
    KS_TRY(
        client_call_one(&call, KMIP_OPERATION_RE_PROVISION, &asked, (void **)&response, "renew the certificate", NULL));
    return client_new_uid(&call, &response->unique_identifier, ret_uid);
}

static int
take_entry(void *result, const struct kmip_client_entry *from, struct ks_client_entry *ret)
{
    ret->name = client_result_text(result, from->client_name);
    ret->role = client_result_text(result, from->client_role);
    ret->fingerprint = client_result_text(result, from->certificate_fingerprint);
    ret->expires = from->certificate_expiry_date;
    ret->revoked = from->certificate_revoked;
    if (from->has_client_leniency) {
        ret->leniency = client_result_text(result, from->client_leniency);
        if (ret->leniency == NULL)
            return KS_E_NOMEM;
    }
    return ret->name != NULL && ret->role != NULL && ret->fingerprint != NULL ? 0 : KS_E_NOMEM;
}

int
ks_client_list(struct ks_client *client, const struct ks_call *options, struct ks_client_entries **ret,
               struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_client_list_request request = {0};
    struct kmip_client_list_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_CLIENT_LIST, &request, (void **)&response, "list clients", NULL));
    CLIENT_RESULT struct ks_client_entries *entries = client_result_new(sizeof(*entries));
    const size_t n = response->n_client_entry;
    struct ks_client_entry *v =
        entries != NULL ? ks_arena_array(client_result_arena(entries), n > 0 ? n : 1, sizeof(*v)) : NULL;
    if (v == NULL)
        return client_report(&call, KS_E_NOMEM);
    for (size_t i = 0; i < n; i++)
        KS_TRY(client_report(&call, take_entry(entries, response->client_entry[i], &v[i])));
    entries->n = n;
    entries->v = v;
    *ret = entries;
    entries = NULL;
    return 0;
}

void
ks_client_entries_free(struct ks_client_entries *entries)
{
    client_result_free(entries);
}

int
ks_client_revoke_client(struct ks_client *client, const struct ks_call *options, const char *name,
                        struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_client_revoke_request request = {.client_name = ks_span_str(name)};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_CLIENT_REVOKE, &request, &response, "revoke client", name);
}

int
ks_client_listener_set(struct ks_client *client, const struct ks_call *options, const struct ks_listener *listener,
                       struct ks_error *error)
{
    CALL(call, client, options, error);
    const bool listens = listener->address != NULL;
    const struct kmip_listener_set_request request = {
        .listener_address = ks_span_str(listener->address),
        .has_listener_address = listens,
        .listener_notify = listener->notify,
        .has_listener_notify = listens,
        .listener_put = listener->put,
        .has_listener_put = listens,
        .listener_own = listener->own,
        .has_listener_own = listens,
    };
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_LISTENER_SET, &request, &response, "register listener",
                           listens ? listener->address : "none");
}
