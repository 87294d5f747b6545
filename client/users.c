/* Create Credential, Create Group, Create User (3.0). */
#include <keystead/access.h>

#include "client/call.h"

static struct ks_attribute
reference(uint32_t tag, uint8_t type, const char *to)
{
    return (struct ks_attribute){.value = {.tag = tag, .type = type, .bytes = {(const uint8_t *)to, strlen(to)}}};
}

static int
add_references(struct client_call *call, struct kmip_attrs *attrs, uint32_t tag, uint8_t type, const char *const *to,
               size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct ks_attribute link = reference(tag, type, to[i]);
        KS_TRY(client_report(call, client_attrs_append(&call->arena, attrs, &link)));
    }
    return 0;
}

int
ks_client_create_user(struct ks_client *client, const struct ks_call *options, const struct ks_new_user *params,
                      char ret_uid[KS_UID_SIZE], struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct ks_new_object object = {
        .name = params->name, .attributes = params->attributes, .n_attributes = params->n_attributes};
    struct kmip_create_user_request request = {0};
    struct kmip_create_user_response *response = NULL;
    KS_TRY(client_new_attributes(&call, &object, &request.attributes));
    KS_TRY(add_references(&call, &request.attributes, KMIP_TAG_CREDENTIAL_LINK, KMIP_TYPE_REFERENCE,
                          params->credentials, params->n_credentials));
    KS_TRY(add_references(&call, &request.attributes, KMIP_TAG_GROUP_LINK, KMIP_TYPE_NAME_REFERENCE, params->groups,
                          params->n_groups));
    KS_TRY(
        client_call_one(&call, KMIP_OPERATION_CREATE_USER, &request, (void **)&response, "create user", params->name));
    return client_new_uid(&call, &response->unique_identifier, ret_uid);
}

int
ks_client_create_group(struct ks_client *client, const struct ks_call *options, const char *name,
                       const struct ks_attribute *attributes, size_t n_attributes, char ret_uid[KS_UID_SIZE],
                       struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct ks_new_object object = {.name = name, .attributes = attributes, .n_attributes = n_attributes};
    struct kmip_create_group_request request = {0};
    struct kmip_create_group_response *response = NULL;
    KS_TRY(client_new_attributes(&call, &object, &request.attributes));
    KS_TRY(client_call_one(&call, KMIP_OPERATION_CREATE_GROUP, &request, (void **)&response, "create group", name));
    return client_new_uid(&call, &response->unique_identifier, ret_uid);
}

/* ---- Credentials ---- */

/* Room for one of them; only one is used. */
struct proof {
    struct kmip_password_credential password;
    struct kmip_certificate certificate;
    struct kmip_kept_device_credential device;
    struct kmip_otp_credential otp;
    struct kmip_kept_hashed_password hashed;
};

static int
put_number(struct client_call *call, uint32_t tag, int32_t value, struct kmip_item **ret)
{
    if (value == 0)
        return 0;
    *ret = kmip_item_new(&call->arena, tag, KMIP_TYPE_INTEGER);
    if (*ret == NULL)
        return client_report(call, KS_E_NOMEM);
    (*ret)->i32 = value;
    return 0;
}

static int
put_otp(struct client_call *call, const struct ks_new_credential *params, struct kmip_otp_credential *ret)
{
    ret->otp_algorithm = params->otp.algorithm;
    ret->has_otp_digest = params->otp.digest != 0;
    ret->otp_digest = params->otp.digest;
    ret->otp_seed = kmip_item_new(&call->arena, KMIP_TAG_OTP_SEED, KMIP_TYPE_BYTE_STRING);
    if (ret->otp_seed == NULL)
        return client_report(call, KS_E_NOMEM);
    ret->otp_seed->s = client_span(params->otp.seed);
    KS_TRY(put_number(call, KMIP_TAG_OTP_INTERVAL, params->otp.interval, &ret->otp_interval));
    KS_TRY(put_number(call, KMIP_TAG_OTP_DIGITS, params->otp.digits, &ret->otp_digits));
    return put_number(call, KMIP_TAG_OTP_COUNTER, params->otp.counter, &ret->otp_counter);
}

#define PUT_TEXT(to, member, from)                                                                                     \
    do {                                                                                                               \
        (to)->has_##member = (from) != NULL;                                                                           \
        (to)->member = ks_span_str(from);                                                                              \
    } while (0)

static void
put_device(const struct ks_new_credential *params, struct kmip_kept_device_credential *ret)
{
    PUT_TEXT(ret, device_serial_number, params->device.serial_number);
    PUT_TEXT(ret, password, params->password);
    PUT_TEXT(ret, device_identifier, params->device.identifier);
    PUT_TEXT(ret, network_identifier, params->device.network);
    PUT_TEXT(ret, machine_identifier, params->device.machine);
    PUT_TEXT(ret, media_identifier, params->device.media);
}

static int
put_proof(struct client_call *call, const struct ks_new_credential *params, struct proof *proof,
          struct kmip_create_credential_request *ret)
{
    ret->credential_type = params->type;
    switch (params->type) {
    case KMIP_CREDENTIAL_TYPE_PASSWORD:
        PUT_TEXT(&proof->password, password, params->password);
        ret->password_credential = &proof->password;
        return 0;
    case KMIP_CREDENTIAL_TYPE_CERTIFICATE:
        proof->certificate = (struct kmip_certificate){.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
                                                       .certificate_value = client_span(params->certificate)};
        ret->certificate = &proof->certificate;
        return 0;
    case KMIP_CREDENTIAL_TYPE_DEVICE:
        put_device(params, &proof->device);
        ret->device_credential = &proof->device;
        return 0;
    case KMIP_CREDENTIAL_TYPE_ONE_TIME_PASSWORD:
        ret->otp_credential = &proof->otp;
        return put_otp(call, params, &proof->otp);
    case KMIP_CREDENTIAL_TYPE_HASHED_PASSWORD:
        proof->hashed = (struct kmip_kept_hashed_password){
            .has_hashing_algorithm = params->hashed.hash != 0,
            .hashing_algorithm = params->hashed.hash,
            .hashed_username_password = client_span(params->hashed.username_password),
            .hashed_password_username = client_span(params->hashed.password_username)};
        ret->hashed_password_credential = &proof->hashed;
        return 0;
    default:
        return client_fail(call->error, KS_E_INVALID,
                           "a credential is a password, certificate, device, one-time or "
                           "hashed password");
    }
}

int
ks_client_create_credential(struct ks_client *client, const struct ks_call *options,
                            const struct ks_new_credential *params, char ret_uid[KS_UID_SIZE], struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct ks_new_object object = {
        .name = params->name, .attributes = params->attributes, .n_attributes = params->n_attributes};
    struct kmip_create_credential_request request = {0};
    struct kmip_create_credential_response *response = NULL;
    struct proof proof = {0};
    KS_TRY(put_proof(&call, params, &proof, &request));
    KS_TRY(client_new_attributes(&call, &object, &request.attributes));
    KS_TRY(client_call_one(&call, KMIP_OPERATION_CREATE_CREDENTIAL, &request, (void **)&response, "create a credential",
                           params->name));
    return client_new_uid(&call, &response->unique_identifier, ret_uid);
}
