/* Sign, Signature Verify, MAC, MAC Verify, Hash, RNG Retrieve, RNG Seed. */
#include "client/call.h"

enum { RANDOM_AT_ONCE = 4096, RANDOM_MOST = 1 << 20 };

/* What an answer holds of these; absent: empty and 0. */
struct parts_of {
    struct ks_span data, correlation;
    uint32_t validity;
};

#define IF_PRESENT(response, member) ((response)->has_##member ? (response)->member : KS_SPAN_NONE)

static int
take(struct client_call *call, const struct parts_of *from, struct ks_crypto_result **ret)
{
    CLIENT_RESULT struct ks_crypto_result *result = client_result_new(sizeof(*result));
    if (result == NULL)
        return client_report(call, KS_E_NOMEM);
    KS_TRY(client_report(call, client_result_bytes(result, from->data, &result->data)));
    KS_TRY(client_report(call, client_result_bytes(result, from->correlation, &result->correlation)));
    result->validity = from->validity;
    *ret = result;
    result = NULL;
    return 0;
}

/* Asks; a part of a stream, or what counts against a limit, is not sent again by itself. */
static int
ask(struct client_call *call, uint32_t operation, const struct ks_crypto *params, const void *request,
    const void **ret_response, const char *verb)
{
    struct client_op op = {.operation = operation,
                           .request = request,
                           .once = params->init || params->final || params->correlation.len > 0};
    KS_TRY(client_call_batch(call, &op, 1, verb, params->uid));
    if (op.code != 0 || op.response == NULL) {
        const int rc = client_refuse(call, &op, verb, params->uid);
        return rc != 0 ? rc : KS_E_INTERNAL;
    }
    *ret_response = op.response;
    return 0;
}

/* The members that all these requests have, by the same names. */
#define COMMON(request, params, parameters)                                                                            \
    do {                                                                                                               \
        (request).data = client_span((params)->data);                                                                  \
        (request).has_data = true;                                                                                     \
        (request).has_correlation_value = (params)->correlation.len > 0;                                               \
        (request).correlation_value = client_span((params)->correlation);                                              \
        (request).has_init_indicator = (params)->init;                                                                 \
        (request).init_indicator = (params)->init;                                                                     \
        (request).has_final_indicator = (params)->final;                                                               \
        (request).final_indicator = (params)->final;                                                                   \
        if ((params)->crypto != NULL) {                                                                                \
            (parameters) = client_crypto_params((params)->crypto);                                                     \
            (request).cryptographic_parameters = &(parameters);                                                        \
        }                                                                                                              \
    } while (0)

#define DIGESTED(request, params)                                                                                      \
    do {                                                                                                               \
        (request).has_digested_data = (params)->digested.len > 0;                                                      \
        (request).digested_data = client_span((params)->digested);                                                     \
        (request).has_data = !(request).has_digested_data;                                                             \
    } while (0)

int
ks_client_sign(struct ks_client *client, const struct ks_call *options, const struct ks_crypto *params,
               struct ks_crypto_result **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_cryptographic_parameters crypto = {0};
    struct kmip_sign_request request = {.unique_identifier = client_uid(params->uid)};
    const void *answer = NULL;
    COMMON(request, params, crypto);
    DIGESTED(request, params);
    KS_TRY(ask(&call, KMIP_OPERATION_SIGN, params, &request, &answer, "sign with"));
    const struct kmip_sign_response *r = answer;
    return take(&call, &(struct parts_of){IF_PRESENT(r, signature_data), IF_PRESENT(r, correlation_value), 0}, ret);
}

int
ks_client_signature_verify(struct ks_client *client, const struct ks_call *options, const struct ks_crypto *params,
                           struct ks_crypto_result **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_cryptographic_parameters crypto = {0};
    struct kmip_signature_verify_request request = {.unique_identifier = client_uid(params->uid),
                                                    .has_signature_data = params->claim.len > 0,
                                                    .signature_data = client_span(params->claim)};
    const void *answer = NULL;
    COMMON(request, params, crypto);
    DIGESTED(request, params);
    KS_TRY(ask(&call, KMIP_OPERATION_SIGNATURE_VERIFY, params, &request, &answer, "verify a signature with"));
    const struct kmip_signature_verify_response *r = answer;
    return take(&call,
                &(struct parts_of){IF_PRESENT(r, data), IF_PRESENT(r, correlation_value),
                                   r->has_validity_indicator ? r->validity_indicator : 0},
                ret);
}

int
ks_client_mac(struct ks_client *client, const struct ks_call *options, const struct ks_crypto *params,
              struct ks_crypto_result **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_cryptographic_parameters crypto = {0};
    struct kmip_mac_request request = {.unique_identifier = client_uid(params->uid)};
    const void *answer = NULL;
    COMMON(request, params, crypto);
    KS_TRY(ask(&call, KMIP_OPERATION_MAC, params, &request, &answer, "make a MAC with"));
    const struct kmip_mac_response *r = answer;
    return take(&call, &(struct parts_of){IF_PRESENT(r, mac_data), IF_PRESENT(r, correlation_value), 0}, ret);
}

int
ks_client_mac_verify(struct ks_client *client, const struct ks_call *options, const struct ks_crypto *params,
                     struct ks_crypto_result **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_cryptographic_parameters crypto = {0};
    struct kmip_mac_verify_request request = {.unique_identifier = client_uid(params->uid),
                                              .has_mac_data = params->claim.len > 0,
                                              .mac_data = client_span(params->claim)};
    const void *answer = NULL;
    COMMON(request, params, crypto);
    KS_TRY(ask(&call, KMIP_OPERATION_MAC_VERIFY, params, &request, &answer, "verify a MAC with"));
    const struct kmip_mac_verify_response *r = answer;
    return take(&call,
                &(struct parts_of){KS_SPAN_NONE, IF_PRESENT(r, correlation_value),
                                   r->has_validity_indicator ? r->validity_indicator : 0},
                ret);
}

int
ks_client_hash(struct ks_client *client, const struct ks_call *options, const struct ks_crypto *params,
               struct ks_crypto_result **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_cryptographic_parameters crypto = {0};
    struct kmip_hash_request request = {.cryptographic_parameters = &crypto};
    const void *answer = NULL;
    COMMON(request, params, crypto);
    KS_TRY(ask(&call, KMIP_OPERATION_HASH, params, &request, &answer, "hash"));
    const struct kmip_hash_response *r = answer;
    return take(&call, &(struct parts_of){IF_PRESENT(r, data), IF_PRESENT(r, correlation_value), 0}, ret);
}

void
ks_crypto_result_free(struct ks_crypto_result *result)
{
    client_result_free(result);
}

static int
some_random(struct ks_client *client, const struct ks_call *options, size_t len, struct ks_buf *ret,
            struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_rng_retrieve_request request = {.data_length = (int32_t)len};
    void *answer;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_RNG_RETRIEVE, &request, &answer, "get random bytes", NULL));
    const struct kmip_rng_retrieve_response *r = answer;
    /* Fewer than asked for are allowed; none, or more, are no answer. */
    if (r->data.len == 0 || r->data.len > len)
        return client_report(&call, KS_E_MALFORMED);
    return client_report(&call, ks_buf_add_span(ret, r->data));
}

int
ks_client_rng_retrieve(struct ks_client *client, const struct ks_call *options, void *ret, size_t len,
                       struct ks_error *error)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf all = KS_BUF(RANDOM_MOST);
    if (len > RANDOM_MOST) {
        CALL(call, client, options, error);
        return client_report(&call, KS_E_LIMIT);
    }
    while (all.len < len) {
        const size_t left = len - all.len;
        KS_TRY(some_random(client, options, left < RANDOM_AT_ONCE ? left : RANDOM_AT_ONCE, &all, error));
    }
    if (len != 0)
        memcpy(ret, all.data, len);
    return 0;
}

int
ks_client_rng_seed(struct ks_client *client, const struct ks_call *options, struct ks_bytes seed, size_t *ret_taken,
                   struct ks_error *error)
{
    CALL(call, client, options, error);
    const struct kmip_rng_seed_request request = {.data = client_span(seed)};
    void *answer;
    KS_TRY(client_call_one(&call, KMIP_OPERATION_RNG_SEED, &request, &answer, "seed the random generator", NULL));
    const struct kmip_rng_seed_response *r = answer;
    if (ret_taken != NULL)
        *ret_taken = r->data_length > 0 ? (size_t)r->data_length : 0;
    return 0;
}
