/* Archive and Recover; leases and allocations. */
#include "client/call.h"

int
ks_client_archive(struct ks_client *client, const struct ks_call *options, const char *uid, struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_archive_request request = {.unique_identifier = client_uid(uid)};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_ARCHIVE, &request, &response, "archive", uid);
}

int
ks_client_recover(struct ks_client *client, const struct ks_call *options, const char *uid, struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_recover_request request = {.unique_identifier = client_uid(uid)};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_RECOVER, &request, &response, "recover", uid);
}

int
ks_client_obtain_lease(struct ks_client *client, const struct ks_call *options, const char *uid, struct ks_lease *ret,
                       struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_obtain_lease_request request = {.unique_identifier = client_uid(uid)};
    struct kmip_obtain_lease_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_OBTAIN_LEASE, &request, (void **)&response, "obtain a lease of", uid));
    *ret = (struct ks_lease){response->lease_time, response->last_change_date};
    return 0;
}

int
ks_client_get_usage_allocation(struct ks_client *client, const struct ks_call *options, const char *uid, int64_t units,
                               struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_get_usage_allocation_request request = {.unique_identifier = client_uid(uid),
                                                              .usage_limits_count = units};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_GET_USAGE_ALLOCATION, &request, &response, "get an allocation of",
                           uid);
}
