/* Login, Delegated Login, Logout. */
#include <keystead/access.h>

#include "client/call.h"
#include "client/rows.h"

/* What Login and Delegated Login have in common. */
struct terms {
    struct kmip_item *lease;
    struct kmip_usage_limits limits;
    bool limited;
};

static struct kmip_usage_limits
limits_of(uint32_t unit, int64_t total)
{
    return (struct kmip_usage_limits){.usage_limits_unit = unit, .usage_limits_total = total};
}

static int
take_terms(struct client_call *call, const struct ks_login *params, struct terms *ret)
{
    *ret = (struct terms){.limited = params->usage_unit != 0,
                          .limits = limits_of(params->usage_unit, params->usage_total)};
    if (params->lease_s == 0)
        return 0;
    ret->lease = kmip_item_new(&call->arena, KMIP_TAG_LEASE_TIME, KMIP_TYPE_INTERVAL);
    if (ret->lease == NULL)
        return client_report(call, KS_E_NOMEM);
    ret->lease->u32 = params->lease_s;
    return 0;
}

static int
take_ticket(struct client_call *call, const struct kmip_ticket *from, struct ks_ticket **ret)
{
    CLIENT_RESULT struct ks_ticket *ticket = client_result_new(sizeof(*ticket));
    if (ticket == NULL)
        return client_report(call, KS_E_NOMEM);
    if (from->ticket_value.len == 0)
        return client_fail(call->error, KS_E_MALFORMED, "the server's ticket is empty");
    KS_TRY(client_report(call, client_result_secret(ticket, from->ticket_value, &ticket->value)));
    *ret = ticket;
    ticket = NULL;
    return 0;
}

int
ks_client_login(struct ks_client *client, const struct ks_call *options, const struct ks_login *params,
                struct ks_ticket **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    static const struct ks_login usual = {0};
    struct terms terms;
    params = params != NULL ? params : &usual;
    KS_TRY(take_terms(&call, params, &terms));
    const struct kmip_login_request request = {.lease_time = terms.lease,
                                               .has_request_count = params->requests != 0,
                                               .request_count = params->requests,
                                               .usage_limits = terms.limited ? &terms.limits : NULL};
    struct kmip_login_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_LOGIN, &request, (void **)&response, "log in", NULL));
    return take_ticket(&call, response->ticket, ret);
}

void
ks_ticket_free(struct ks_ticket *ticket)
{
    client_result_free(ticket);
}

int
ks_client_logout(struct ks_client *client, const struct ks_call *options, struct ks_bytes ticket,
                 struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_ticket shown = {.ticket_type = KMIP_TICKET_TYPE_LOGIN, .ticket_value = client_span(ticket)};
    const struct kmip_logout_request request = {.ticket = &shown};
    void *response = NULL;
    return client_call_one(&call, KMIP_OPERATION_LOGOUT, &request, &response, "log out", NULL);
}

/* ---- Rights ---- */

static int
take_objects(struct client_call *call, const struct ks_right *from, struct kmip_right *ret)
{
    struct kmip_objects *objects = ks_arena_alloc(&call->arena, sizeof(*objects));
    struct kmip_uid *uids = ks_arena_array(&call->arena, from->n_uids, sizeof(*uids));
    if (objects == NULL || uids == NULL)
        return client_report(call, KS_E_NOMEM);
    for (size_t i = 0; i < from->n_uids; i++)
        uids[i] = client_uid(from->uids[i]);
    *objects = (struct kmip_objects){.unique_identifier = uids, .n_unique_identifier = from->n_uids};
    ret->objects = objects;
    return 0;
}

static int
take_right(struct client_call *call, const struct ks_right *from, struct kmip_right *ret)
{
    if (from->n_operations != 0) {
        struct kmip_operations *operations = ks_arena_alloc(&call->arena, sizeof(*operations));
        if (operations == NULL || client_rows_numbers(call, from->operations, from->n_operations,
                                                      &operations->operation, &operations->n_operation) != 0)
            return client_report(call, KS_E_NOMEM);
        ret->operations = operations;
    }
    if (from->usage_unit != 0) {
        ret->usage_limits = ks_arena_alloc(&call->arena, sizeof(*ret->usage_limits));
        if (ret->usage_limits == NULL)
            return client_report(call, KS_E_NOMEM);
        *ret->usage_limits = limits_of(from->usage_unit, from->usage_total);
    }
    if (from->n_uids != 0)
        KS_TRY(take_objects(call, from, ret));
    return client_rows_groups(call, from->groups, from->n_groups, &ret->object_groups);
}

int
ks_client_delegated_login(struct ks_client *client, const struct ks_call *options, const struct ks_login *params,
                          const struct ks_right *rights, size_t n_rights, struct ks_ticket **ret,
                          struct ks_error *error)
{
    CALL(call, client, options, error);
    static const struct ks_login usual = {0};
    struct terms terms;
    params = params != NULL ? params : &usual;
    KS_TRY(take_terms(&call, params, &terms));
    struct kmip_rights given = {.n_right = n_rights};
    struct kmip_right *rows = ks_arena_array(&call.arena, n_rights + 1, sizeof(*rows));
    given.right = ks_arena_array(&call.arena, n_rights + 1, sizeof(void *));
    if (rows == NULL || given.right == NULL)
        return client_report(&call, KS_E_NOMEM);
    for (size_t i = 0; i < n_rights; i++) {
        KS_TRY(take_right(&call, &rights[i], &rows[i]));
        given.right[i] = &rows[i];
    }
    const struct kmip_delegated_login_request request = {.lease_time = terms.lease,
                                                         .has_request_count = params->requests != 0,
                                                         .request_count = params->requests,
                                                         .usage_limits = terms.limited ? &terms.limits : NULL,
                                                         .rights = &given};
    struct kmip_delegated_login_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_DELEGATED_LOGIN, &request, (void **)&response, "log in for another",
                           NULL));
    return take_ticket(&call, response->ticket, ret);
}
