/* Serving on a connection whose roles are turned (KMIP 2.1: 6.1.54, 6.2). */
#include "client/call.h"

#include <time.h>

enum { REQUEST_MOST = 65536 };

struct serve {
    struct client_call *call;
    ks_client_serve_fn take;
    void *arg;
};

/* One request of the server, and what it is answered with. */
struct asked {
    struct ks_arena arena;
    struct ks_buf in, out;
};

static void
asked_done(struct asked *asked)
{
    ks_arena_done(&asked->arena);
    ks_buf_done(&asked->in);
    ks_buf_done(&asked->out);
}

static int
turn(struct serve *serve, struct conn *conn, enum kmip_version version, const struct client_wait *wait,
     bool *ret_processed, struct ks_error *error)
{
    struct client_call *call = serve->call;
    const struct kmip_set_endpoint_role_request request = {.endpoint_role = KMIP_ENDPOINT_ROLE_CLIENT};
    struct client_op op = {.operation = KMIP_OPERATION_SET_ENDPOINT_ROLE, .request = &request};
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(REQUEST_MOST);
    const size_t max_response = (size_t)call->client->config->max_response;
    KS_TRY(message_encode(&op, 1, version, max_response, KS_SPAN_NONE, &call->arena, &out, error));
    ks_buf_reset(&call->answer);
    KS_TRY(conn_exchange(conn, ks_buf_span(&out), max_response, wait, &call->answer, ret_processed, error));
    KS_TRY(message_decode(ks_buf_span(&call->answer), &op, 1, &call->arena, error));
    return op.code == 0 ? 0 : message_refuse(&op, "cannot turn the connection's roles", error);
}

/* What the caller is told of. */

static int
tell_notify(struct serve *serve, const struct kmip_notify_request *request)
{
    CLIENT_RESULT struct ks_attributes *attributes = client_result_new(sizeof(*attributes));
    if (attributes == NULL)
        return KS_E_NOMEM;
    KS_TRY(client_uid_text(&request->unique_identifier, attributes->uid));
    KS_TRY(client_attributes_from(&request->attributes, client_result_arena(attributes), attributes));
    const struct ks_served served = {
        .uid = attributes->uid, .attributes = attributes, .n_deleted = request->attribute_refs.n};
    return serve->take(serve->arg, &served);
}

static int
tell_put(struct serve *serve, const struct kmip_put_request *request)
{
    CLIENT_RESULT struct ks_attributes *attributes = client_result_new(sizeof(*attributes));
    CLIENT_RESULT struct ks_object *object = client_result_new(sizeof(*object));
    char replaced[KS_UID_SIZE] = "";
    if (attributes == NULL || object == NULL)
        return KS_E_NOMEM;
    struct kmip_get_response got = {.unique_identifier = request->unique_identifier, .object = request->object};
    KS_TRY(client_uid_text(&request->unique_identifier, attributes->uid));
    KS_TRY(client_attributes_from(&request->attributes, client_result_arena(attributes), attributes));
    const struct ks_attribute *type = ks_attributes_find(attributes, KMIP_TAG_OBJECT_TYPE);
    got.object_type = type != NULL && type->value.type == KMIP_TYPE_ENUMERATION ? type->value.enumeration : 0;
    KS_TRY(client_object_from(&got, object));
    const bool replaces = request->put_function == KMIP_PUT_FUNCTION_REPLACE;
    if (replaces)
        KS_TRY(client_uid_text(&request->replaced_unique_identifier, replaced));
    const struct ks_served served = {.put = true,
                                     .uid = attributes->uid,
                                     .replaced = replaces ? replaced : NULL,
                                     .object = object,
                                     .attributes = attributes};
    return serve->take(serve->arg, &served);
}

/* What the server wants to know of this end. */

static void *
own_versions(struct serve *serve, struct ks_arena *arena)
{
    const struct ks_client_config *config = serve->call->client->config;
    const size_t n = (size_t)(config->newest - config->oldest) + 1;
    struct kmip_discover_versions_response *r = ks_arena_alloc(arena, sizeof(*r));
    struct kmip_protocol_version *v = ks_arena_array(arena, n, sizeof(*v));
    if (r == NULL || v == NULL || (r->protocol_version = ks_arena_array(arena, n, sizeof(void *))) == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++) { /* best first */
        const struct kmip_version_number number = kmip_version_number((enum kmip_version)(config->newest - i));
        v[i].protocol_version_major = number.major;
        v[i].protocol_version_minor = number.minor;
        r->protocol_version[i] = &v[i];
    }
    r->n_protocol_version = n;
    return r;
}

static void *
own_operations(const struct kmip_query_request *request, struct ks_arena *arena)
{
    static const uint32_t all[] = {KMIP_OPERATION_QUERY, KMIP_OPERATION_DISCOVER_VERSIONS, KMIP_OPERATION_NOTIFY,
                                   KMIP_OPERATION_PUT};
    struct kmip_query_response *r = ks_arena_alloc(arena, sizeof(*r));
    if (r == NULL)
        return NULL;
    for (size_t i = 0; i < request->n_query_function; i++)
        if (request->query_function[i] == KMIP_QUERY_FUNCTION_QUERY_OPERATIONS) {
            r->operation = ks_arena_dup(arena, all, sizeof(all));
            r->n_operation = KS_ARRAY_LEN(all);
        }
    return r->n_operation == 0 || r->operation != NULL ? r : NULL;
}

static int
carry_out(struct serve *serve, const struct kmip_request_batch_item *item, struct ks_arena *arena,
          struct kmip_response_batch_item *ret)
{
    int rc = 0;
    ret->operation = item->operation;
    ret->has_operation = true;
    ret->result_status = KMIP_RESULT_STATUS_SUCCESS;
    const bool known = item->payload != NULL && item->payload_error == 0;
    if (known && item->operation == KMIP_OPERATION_NOTIFY)
        rc = tell_notify(serve, item->payload);
    else if (known && item->operation == KMIP_OPERATION_PUT)
        rc = tell_put(serve, item->payload);
    else if (known && item->operation == KMIP_OPERATION_DISCOVER_VERSIONS)
        rc = (ret->payload = own_versions(serve, arena)) != NULL ? 0 : KS_E_NOMEM;
    else if (known && item->operation == KMIP_OPERATION_QUERY)
        rc = (ret->payload = own_operations(item->payload, arena)) != NULL ? 0 : KS_E_NOMEM;
    else
        rc = KS_E_UNSUPPORTED;
    if (rc == 0 || rc == KS_SERVE_LAST)
        return rc;
    ret->result_status = KMIP_RESULT_STATUS_OPERATION_FAILED;
    ret->has_result_reason = true;
    ret->result_reason =
        rc == KS_E_UNSUPPORTED ? KMIP_RESULT_REASON_OPERATION_NOT_SUPPORTED : KMIP_RESULT_REASON_GENERAL_FAILURE;
    return 0;
}

static int
answer_one(struct serve *serve, struct conn *conn, const struct client_wait *wait, struct ks_error *error)
{
    const size_t most = (size_t)serve->call->client->config->max_response;
    KS_CLEANUP(asked_done)
    struct asked asked = {.arena = KS_ARENA(4 * most + REQUEST_MOST), .in = KS_BUF(most), .out = KS_BUF(REQUEST_MOST)};
    struct kmip_request_message *message = NULL;
    struct ks_diag diag = {0};
    KS_TRY(conn_receive(conn, KMIP_TAG_REQUEST_MESSAGE, most, wait, &asked.in, error));
    int rc = kmip_request_decode(ks_buf_span(&asked.in), &kmip_limits_default, &asked.arena, &message, &diag);
    if (rc != 0)
        return client_fail_diag(error, &diag, rc, "cannot read what the server asks");
    if (message->n_batch_item != 1)
        return client_fail(error, KS_E_UNSUPPORTED, "the server asks for more than one thing at a time");
    struct kmip_response_header header = {
        .protocol_version = message->request_header->protocol_version, .time_stamp = time(NULL), .batch_count = 1};
    struct kmip_response_batch_item item = {0}, *items[] = {&item};
    const struct kmip_response_message answer = {.response_header = &header, .batch_item = items, .n_batch_item = 1};
    const int ended = carry_out(serve, message->batch_item[0], &asked.arena, &item);
    rc = kmip_response_encode(&answer, &asked.out, &diag);
    if (rc != 0)
        return client_fail_diag(error, &diag, rc, "cannot answer the server");
    bool all_sent = false;
    KS_TRY(tls_write(conn->tls, ks_buf_span(&asked.out), wait, &all_sent, error));
    return ended;
}

static int
run(struct client_step *step, struct conn *conn, const struct client_wait *wait, struct ks_error *error)
{
    struct serve *serve = step->arg;
    bool processed = false;
    step->conn_ok = false;
    step->outcome = CLIENT_FINAL;
    int rc = turn(serve, conn, step->version, wait, &processed, error);
    if (rc != 0 && !processed)
        step->outcome = CLIENT_NOT_PROCESSED;
    const struct client_wait whole = client_wait_begin(serve->call->options, INT64_MAX / 4);
    while (rc == 0)
        rc = answer_one(serve, conn, &whole, error);
    return rc == KS_SERVE_LAST ? 0 : rc;
}

int
ks_client_serve(struct ks_client *client, const struct ks_call *options, ks_client_serve_fn take, void *arg,
                struct ks_error *error)
{
    CALL(call, client, options, error);
    struct serve serve = {&call, take, arg};
    struct client_step step = {.run = run, .arg = &serve, .repeatable = true, .negotiate = true};
    return client_run(client, options, &step, call.error);
}
