/* A message as it is. */
#include "client/call.h"

struct raw {
    struct ks_span request;
    struct client_call *call;
};

static int
run(struct client_step *step, struct conn *conn, const struct client_wait *wait, struct ks_error *error)
{
    const struct raw *raw = step->arg;
    struct client_call *call = raw->call;
    ks_buf_reset(&call->answer);
    bool processed = false;
    const int rc = conn_exchange(conn, raw->request, (size_t)call->client->config->max_response, wait, &call->answer,
                                 &processed, error);
    step->conn_ok = rc == 0;
    if (rc != 0)
        step->outcome = processed ? CLIENT_UNKNOWN : CLIENT_NOT_PROCESSED;
    return rc;
}

int
ks_client_raw(struct ks_client *client, const struct ks_call *options, struct ks_bytes request, bool repeatable,
              struct ks_raw_response **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    if (request.len < 8 || ks_be32(request.data) != ((uint32_t)KMIP_TAG_REQUEST_MESSAGE << 8 | KMIP_TYPE_STRUCTURE) ||
        ks_be32(request.data + 4) != request.len - 8)
        return client_fail(call.error, KS_E_INVALID, "the request is not one Request Message in TTLV");
    struct raw raw = {client_span(request), &call};
    struct client_step step = {.run = run, .arg = &raw, .repeatable = repeatable};
    KS_TRY(client_run(client, options, &step, call.error));
    CLIENT_RESULT struct ks_raw_response *response = client_result_new(sizeof(*response));
    if (response == NULL)
        return client_report(&call, KS_E_NOMEM);
    KS_TRY(client_report(&call, client_result_secret(response, ks_buf_span(&call.answer), &response->bytes)));
    *ret = response;
    response = NULL;
    return 0;
}

void
ks_raw_response_free(struct ks_raw_response *response)
{
    client_result_free(response);
}
