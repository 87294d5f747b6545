/* Requests that are carried out later: submission, Poll, Cancel, Query Asynchronous Requests. */
#include <string.h>

#include "client/call.h"
#include "kmip/schema.h"

/* KS_E_MALFORMED: longer than any server makes one. */
static int
take_value(struct ks_span from, struct ks_pending *ret)
{
    if (from.len > sizeof(ret->value))
        return KS_E_MALFORMED;
    *ret = (struct ks_pending){.len = from.len};
    if (from.len != 0)
        memcpy(ret->value, from.data, from.len);
    return 0;
}

static struct ks_span
value_of(const struct ks_pending *pending)
{
    return KS_SPAN(pending->value, pending->len <= sizeof(pending->value) ? pending->len : 0);
}

/* Where the request of the operation has its Unique Identifier; NULL: it takes something else, or more. */
static const struct kmip_field *
identifier_alone(const struct kmip_schema *schema)
{
    const struct kmip_field *found = NULL;
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct kmip_field *field = &schema->fields[i];
        if (field->tag == KMIP_TAG_UNIQUE_IDENTIFIER && field->kind == KMIP_KIND_UID)
            found = field;
        else if (field->card == KMIP_CARD_ONE || field->card == KMIP_CARD_SOME)
            return NULL;
    }
    return found;
}

int
ks_client_submit(struct ks_client *client, const struct ks_call *options, uint32_t operation, const char *uid,
                 struct ks_pending *ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_operation *op = kmip_operation_find(operation);
    const struct kmip_field *field = op != NULL ? identifier_alone(op->request) : NULL;
    if (field == NULL)
        return client_fail(call.error, KS_E_INVALID, "operation 0x%08x takes more than an identifier", operation);
    uint8_t *request = ks_arena_alloc(&call.arena, op->request->size);
    if (request == NULL)
        return client_report(&call, KS_E_NOMEM);
    const struct kmip_uid id = client_uid(uid);
    memcpy(request + field->at, &id, sizeof(id));
    struct client_op one = {.operation = operation, .request = request, .put_off = true};
    KS_TRY(client_call_batch(&call, &one, 1, "submit a request about", uid));
    if (one.code != 0)
        return client_refuse(&call, &one, "submit a request about", uid);
    return client_report(&call, take_value(one.pending, ret));
}

/* The Unique Identifiers of a response, whatever its operation. */
static int
take_uids(const struct kmip_schema *schema, const uint8_t *response, struct ks_poll_result *ret)
{
    struct ks_arena *arena = client_result_arena(ret);
    for (size_t i = 0; i < schema->n_fields && ret->n == 0; i++) {
        const struct kmip_field *field = &schema->fields[i];
        if (field->kind != KMIP_KIND_UID || field->tag != KMIP_TAG_UNIQUE_IDENTIFIER)
            continue;
        const struct kmip_uid *v = (const void *)(response + field->at);
        size_t n = 1;
        if (field->card == KMIP_CARD_MANY || field->card == KMIP_CARD_SOME) {
            v = *(const struct kmip_uid *const *)(const void *)(response + field->at);
            n = *(const size_t *)(const void *)(response + field->count_at);
        }
        const char **uids = ks_arena_array(arena, n != 0 ? n : 1, sizeof(*uids));
        if (uids == NULL)
            return KS_E_NOMEM;
        for (size_t k = 0; k < n; k++)
            if (v[k].text.len != 0 && (uids[ret->n++] = client_result_text(ret, v[k].text)) == NULL)
                return KS_E_NOMEM;
        ret->uids = uids;
    }
    return 0;
}

int
ks_client_poll(struct ks_client *client, const struct ks_call *options, const struct ks_pending *pending,
               struct ks_poll_result **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_poll_request request = {.asynchronous_correlation_value = value_of(pending)};
    struct client_op one = {.operation = KMIP_OPERATION_POLL, .request = &request};
    KS_TRY(client_call_batch(&call, &one, 1, "poll for a result", NULL));
    if (one.code != 0)
        return client_refuse(&call, &one, "carry out the request", NULL);
    CLIENT_RESULT struct ks_poll_result *result = client_result_new(sizeof(*result));
    if (result == NULL)
        return client_report(&call, KS_E_NOMEM);
    result->pending = one.response == NULL;
    result->operation = one.answered;
    const struct kmip_operation *op = kmip_operation_find(one.answered);
    if (!result->pending && op != NULL)
        KS_TRY(client_report(&call, take_uids(op->response, one.response, result)));
    *ret = result;
    result = NULL;
    return 0;
}

void
ks_poll_result_free(struct ks_poll_result *result)
{
    client_result_free(result);
}

int
ks_client_cancel(struct ks_client *client, const struct ks_call *options, const struct ks_pending *pending,
                 uint32_t *ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_cancel_request request = {.asynchronous_correlation_value = value_of(pending)};
    struct kmip_cancel_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_CANCEL, &request, (void **)&response, "cancel the request", NULL));
    *ret = response->cancellation_result;
    return 0;
}

int
ks_client_pending(struct ks_client *client, const struct ks_call *options, struct ks_pending_list **ret,
                  struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_query_asynchronous_requests_request request = {0};
    struct kmip_query_asynchronous_requests_response *response = NULL;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_QUERY_ASYNCHRONOUS_REQUESTS, &request, (void **)&response,
                           "list pending requests", NULL));
    CLIENT_RESULT struct ks_pending_list *list = client_result_new(sizeof(*list));
    const size_t n = response->n_asynchronous_request;
    struct ks_pending_entry *v =
        list != NULL ? ks_arena_array(client_result_arena(list), n > 0 ? n : 1, sizeof(*v)) : NULL;
    if (v == NULL)
        return client_report(&call, KS_E_NOMEM);
    for (size_t i = 0; i < n; i++) {
        const struct kmip_asynchronous_request *from = response->asynchronous_request[i];
        v[i].operation = from->operation;
        v[i].stage = from->processing_stage;
        v[i].submitted_us = from->submission_date;
        KS_TRY(client_report(&call, take_value(from->asynchronous_correlation_value, &v[i].pending)));
    }
    list->n = n;
    list->v = v;
    *ret = list;
    list = NULL;
    return 0;
}

void
ks_pending_list_free(struct ks_pending_list *list)
{
    client_result_free(list);
}
