#include "client/call.h"

#include <stdio.h>

enum { REQUEST_MAX = 16 << 20 };

/*
 * Operations that do no harm when they are carried out twice, so that a lost answer is no reason to give up. Encrypt
 * and Decrypt may count twice against Usage Limits, which errs on the safe side. Everything else is never repeated
 * unless the server cannot have seen it.
 */
static const uint32_t repeatable[] = {
    KMIP_OPERATION_LOCATE,
    KMIP_OPERATION_CHECK,
    KMIP_OPERATION_GET,
    KMIP_OPERATION_GET_ATTRIBUTES,
    KMIP_OPERATION_GET_ATTRIBUTE_LIST,
    KMIP_OPERATION_QUERY,
    KMIP_OPERATION_DISCOVER_VERSIONS,
    KMIP_OPERATION_ENCRYPT,
    KMIP_OPERATION_DECRYPT,
    KMIP_OPERATION_SERVER_STATUS,
    KMIP_OPERATION_CLIENT_LIST,
    KMIP_OPERATION_OBTAIN_LEASE,
    KMIP_OPERATION_CANCEL,
    KMIP_OPERATION_QUERY_ASYNCHRONOUS_REQUESTS,
    KMIP_OPERATION_GET_CONSTRAINTS,
    KMIP_OPERATION_PING,
};

static bool
is_repeatable(const struct client_op *op)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(repeatable); i++)
        if (op->operation == repeatable[i])
            return !op->once;
    return false;
}

void
client_call_begin(struct client_call *call, struct ks_client *client, const struct ks_call *options,
                  struct ks_error *error)
{
    *call = (struct client_call){.client = client, .options = options};
    call->error = client_error_begin(error, &call->spare);
    call->arena = KS_ARENA((size_t)client->config->max_response * 4 + REQUEST_MAX);
    call->answer = KS_BUF((size_t)client->config->max_response);
}

void
client_call_done(struct client_call *call)
{
    ks_arena_done(&call->arena);
    ks_buf_done(&call->answer);
}

struct batch {
    struct client_call *call;
    struct client_op *ops;
    size_t n_ops;
};

static int
run(struct client_step *step, struct conn *conn, const struct client_wait *wait, struct ks_error *error)
{
    struct batch *batch = step->arg;
    struct client_call *call = batch->call;
    const size_t max_response = (size_t)call->client->config->max_response;
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(REQUEST_MAX);
    step->outcome = CLIENT_FINAL;
    const struct ks_span ticket = call->options != NULL ? client_span(call->options->ticket) : KS_SPAN_NONE;
    KS_TRY(
        message_encode(batch->ops, batch->n_ops, step->version, max_response, ticket, &call->arena, &request, error));
    ks_buf_reset(&call->answer);
    bool processed = false;
    step->conn_ok = false;
    int rc = conn_exchange(conn, ks_buf_span(&request), max_response, wait, &call->answer, &processed, error);
    if (rc != 0) {
        step->outcome = processed ? CLIENT_UNKNOWN : CLIENT_NOT_PROCESSED;
        return rc;
    }
    step->conn_ok = true;
    rc = message_decode(ks_buf_span(&call->answer), batch->ops, batch->n_ops, &call->arena, error);
    if (rc != 0) {
        /* It was answered, in a way that cannot be read: another connection would get the same. */
        error->maybe_done = true;
        return rc;
    }
    /* A sealed server did nothing; another may be unsealed. Its own operations are about this server, though. */
    if (batch->ops[0].code == KS_E_SEALED && (batch->ops[0].operation & 0x80000000) == 0) {
        step->outcome = CLIENT_NOT_PROCESSED;
        return message_refuse(&batch->ops[0], "nothing was done", error);
    }
    return 0;
}

/* "get invoices" in front of a message. */
static void
say_what(struct client_call *call, const char *verb, const char *object)
{
    client_error_prefix(call->error, "cannot %s%s%.100s: ", verb, object != NULL ? " " : "",
                        object != NULL ? object : "");
}

int
client_call_batch(struct client_call *call, struct client_op *ops, size_t n_ops, const char *verb, const char *object)
{
    struct batch batch = {call, ops, n_ops};
    struct client_step step = {.run = run, .arg = &batch, .repeatable = true, .negotiate = true};
    for (size_t i = 0; i < n_ops; i++)
        step.repeatable = step.repeatable && is_repeatable(&ops[i]);
    const int rc = client_run(call->client, call->options, &step, call->error);
    if (rc != 0)
        say_what(call, verb, object);
    return rc;
}

int
client_refuse(struct client_call *call, const struct client_op *op, const char *verb, const char *object)
{
    char what[160];
    snprintf(what, sizeof(what), "cannot %s%s%.100s", verb, object != NULL ? " " : "", object != NULL ? object : "");
    return message_refuse(op, what, call->error);
}

int
client_call_one(struct client_call *call, uint32_t operation, const void *request, void **ret_response,
                const char *verb, const char *object)
{
    struct client_op op = {.operation = operation, .request = request};
    KS_TRY(client_call_batch(call, &op, 1, verb, object));
    if (op.code != 0)
        return client_refuse(call, &op, verb, object);
    *ret_response = op.response;
    return 0;
}

int
client_report(struct client_call *call, int code)
{
    return code == 0 ? 0 : client_fail(call->error, code, "%s", ks_err_text(code));
}
