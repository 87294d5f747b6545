/*
 * Enrolment: a token for a certificate. There is no client yet, so this makes one connection by itself.
 *
 * A token is "ks1-<random>-<first 16 bytes of the SHA-256 of the CA certificate, hexadecimal>". Its second part tells
 * which server to trust with the first.
 */
#include "client/call.h"

#include "base/text.h"

static int
pin_of(const char *token, uint8_t ret[TLS_CA_PIN_LEN])
{
    const char *last = strrchr(token, '-');
    if (strncmp(token, "ks1-", 4) != 0 || last == NULL || last <= token + 4)
        return KS_E_INVALID;
    KS_CLEANUP(ks_buf_done) struct ks_buf pin = KS_BUF(TLS_CA_PIN_LEN);
    if (ks_hex_decode(ks_span_str(last + 1), &pin) != 0 || pin.len != TLS_CA_PIN_LEN)
        return KS_E_INVALID;
    memcpy(ret, pin.data, TLS_CA_PIN_LEN);
    return 0;
}

static void
context_freep(struct tls_context **context)
{
    tls_context_free(*context);
}

enum { REQUEST_MAX = 65536, RESPONSE_MAX = 1 << 20, TIMEOUT_MS = 30000 };

struct enrolment {
    struct ks_arena arena;
    struct ks_buf answer;
};

static void
enrolment_done(struct enrolment *e)
{
    ks_arena_done(&e->arena);
    ks_buf_done(&e->answer);
}

static int
exchange(const struct ks_enroll *params, const struct client_address *address, const uint8_t pin[TLS_CA_PIN_LEN],
         const struct client_wait *wait, struct enrolment *e, struct client_op *op, struct ks_error *error)
{
    KS_CLEANUP(context_freep) struct tls_context *context = NULL;
    KS_TRY(tls_context_new_enroll(pin, &context, error));
    KS_CLEANUP(conn_closep) struct conn *conn = NULL;
    KS_TRY(conn_open(address, params->server_name != NULL ? params->server_name : address->host, context, wait, &conn,
                     error));
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(REQUEST_MAX);
    /* Keystead's own operations are in every version; 1.0 needs no asking. */
    KS_TRY(message_encode(op, 1, KMIP_V1_0, RESPONSE_MAX, KS_SPAN_NONE, &e->arena, &request, error));
    bool processed = false;
    const int rc = conn_exchange(conn, ks_buf_span(&request), RESPONSE_MAX, wait, &e->answer, &processed, error);
    if (rc != 0) {
        error->maybe_done = processed; /* then the token is used up */
        return rc;
    }
    return message_decode(ks_buf_span(&e->answer), op, 1, &e->arena, error);
}

static int
take(const struct kmip_enroll_response *response, struct ks_enroll_result **ret)
{
    CLIENT_RESULT struct ks_enroll_result *result = client_result_new(sizeof(*result));
    if (result == NULL || (result->name = client_result_text(result, response->client_name)) == NULL)
        return KS_E_NOMEM;
    KS_TRY(client_result_bytes(result, response->issued_certificate, &result->certificate));
    KS_TRY(client_result_bytes(result, response->ca_certificate, &result->ca));
    *ret = result;
    result = NULL;
    return 0;
}

int
ks_client_enroll(const struct ks_enroll *params, const struct ks_call *options, struct ks_enroll_result **ret,
                 struct ks_error *error)
{
    struct ks_error spare;
    error = client_error_begin(error, &spare);
    struct client_address address;
    KS_TRY(client_address_parse(params->server, &address, error));
    uint8_t pin[TLS_CA_PIN_LEN];
    if (pin_of(params->token, pin) != 0)
        return client_fail(error, KS_E_INVALID,
                           "this is no enrolment token; make one with: keystead client token create NAME");
    memcpy(error->server, address.text,
           strlen(address.text) + 1 < sizeof(error->server) ? strlen(address.text) + 1 : 0);
    const struct client_wait wait = client_wait_begin(options, TIMEOUT_MS);
    KS_CLEANUP(enrolment_done) struct enrolment e = {KS_ARENA(8 << 20), KS_BUF(RESPONSE_MAX)};
    const struct kmip_enroll_request request = {.enrollment_token = ks_span_str(params->token),
                                                .certificate_signing_request = client_span(params->request)};
    struct client_op op = {.operation = KMIP_OPERATION_ENROLL, .request = &request};
    int rc = exchange(params, &address, pin, &wait, &e, &op, error);
    if (rc != 0) {
        client_error_prefix(error, "cannot enrol at %s: %s", address.text,
                            error->maybe_done ? "the token may be used up: " : "");
        return rc;
    }
    if (op.code != 0)
        return message_refuse(&op, "cannot enrol", error);
    /* Who answers for the server has its TLS key, but perhaps not the authority's: no other one is to be trusted. */
    const struct kmip_enroll_response *response = op.response;
    if (!tls_pin_fits(pin, response->ca_certificate))
        return client_fail(
            error, KS_E_INTEGRITY,
            "%s answered with another authority than the token names: it may be compromised; report this",
            address.text);
    rc = take(response, ret);
    return rc == 0 ? 0 : client_fail(error, rc, "%s", ks_err_text(rc));
}

void
ks_enroll_result_free(struct ks_enroll_result *result)
{
    client_result_free(result);
}
