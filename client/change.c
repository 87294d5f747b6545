/* Calls that change objects: Activate, Revoke, Destroy, attributes. */
#include "client/call.h"

int
ks_client_activate(struct ks_client *client, const struct ks_call *options, const char *uid, struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_activate_request request = {.unique_identifier = client_uid(uid)};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_ACTIVATE, &request, &response, "activate", uid);
}

int
ks_client_revoke(struct ks_client *client, const struct ks_call *options, const char *uid, uint32_t reason,
                 const char *message, int64_t occurred, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_revocation_reason why = {.revocation_reason_code = reason,
                                         .has_revocation_message = message != NULL,
                                         .revocation_message = ks_span_str(message)};
    const struct kmip_revoke_request request = {.unique_identifier = client_uid(uid),
                                                .revocation_reason = &why,
                                                .has_compromise_occurrence_date = occurred != 0,
                                                .compromise_occurrence_date = occurred};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_REVOKE, &request, &response, "revoke", uid);
}

int
ks_client_destroy(struct ks_client *client, const struct ks_call *options, const char *uid, struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_destroy_request request = {.unique_identifier = client_uid(uid)};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_DESTROY, &request, &response, "destroy", uid);
}

int
ks_client_suspend(struct ks_client *client, const struct ks_call *options, const char *uid, bool protect,
                  const char *reason, struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_suspend_request request = {.unique_identifier = client_uid(uid),
                                                 .suspension_mode = ks_span_str(protect ? "protect" : "all"),
                                                 .has_suspension_mode = true,
                                                 .suspension_reason = ks_span_str(reason)};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_SUSPEND, &request, &response, "suspend", uid);
}

int
ks_client_resume(struct ks_client *client, const struct ks_call *options, const char *uid, bool *ret_resumed,
                 struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_resume_request request = {.unique_identifier = client_uid(uid)};
    struct kmip_resume_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_RESUME, &request, (void **)&response, "resume", uid));
    *ret_resumed = response->resumed;
    return 0;
}

int
ks_client_add_attribute(struct ks_client *client, const struct ks_call *options, const char *uid,
                        const struct ks_attribute *attribute, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_add_attribute_request request = {.unique_identifier = client_uid(uid), .new_attribute.present = true};
    KS_TRY(client_report(&call, client_attrs_append(&call.arena, &request.new_attribute, attribute)));
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_ADD_ATTRIBUTE, &request, &response, "add an attribute to", uid);
}

int
ks_client_modify_attribute(struct ks_client *client, const struct ks_call *options, const char *uid,
                           const struct ks_attribute *attribute, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_modify_attribute_request request = {.unique_identifier = client_uid(uid),
                                                    .new_attribute.present = true};
    KS_TRY(client_report(&call, client_attrs_append(&call.arena, &request.new_attribute, attribute)));
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_MODIFY_ATTRIBUTE, &request, &response, "modify an attribute of", uid);
}

int
ks_client_delete_attribute(struct ks_client *client, const struct ks_call *options, const char *uid,
                           const struct ks_attribute_name *name, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_delete_attribute_request request = {.unique_identifier = client_uid(uid)};
    KS_TRY(client_report(&call, client_refs_from(&call.arena, name, 1, &request.attribute_refs)));
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_DELETE_ATTRIBUTE, &request, &response, "delete an attribute of", uid);
}
