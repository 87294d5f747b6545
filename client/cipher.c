/* Encrypt and Decrypt. */
#include "client/call.h"

struct kmip_cryptographic_parameters
client_crypto_params(const struct ks_crypto_params *from)
{
    return (struct kmip_cryptographic_parameters){
        .has_block_cipher_mode = from->block_cipher_mode != 0,
        .block_cipher_mode = from->block_cipher_mode,
        .has_padding_method = from->padding_method != 0,
        .padding_method = from->padding_method,
        .has_hashing_algorithm = from->hashing_algorithm != 0,
        .hashing_algorithm = from->hashing_algorithm,
        .has_key_role_type = from->key_role_type != 0,
        .key_role_type = from->key_role_type,
        .has_digital_signature_algorithm = from->digital_signature_algorithm != 0,
        .digital_signature_algorithm = from->digital_signature_algorithm,
        .has_cryptographic_algorithm = from->cryptographic_algorithm != 0,
        .cryptographic_algorithm = from->cryptographic_algorithm,
        .has_random_iv = from->random_iv,
        .random_iv = from->random_iv,
        .has_iv_length = from->iv_length != 0,
        .iv_length = from->iv_length,
        .has_tag_length = from->tag_length != 0,
        .tag_length = from->tag_length,
        .has_fixed_field_length = from->fixed_field_length != 0,
        .fixed_field_length = from->fixed_field_length,
        .has_invocation_field_length = from->invocation_field_length != 0,
        .invocation_field_length = from->invocation_field_length,
        .has_counter_length = from->counter_length != 0,
        .counter_length = from->counter_length,
        .has_initial_counter_value = from->has_initial_counter_value,
        .initial_counter_value = from->initial_counter_value,
        .has_salt_length = from->salt_length != 0,
        .salt_length = from->salt_length,
        .has_mask_generator = from->mask_generator != 0,
        .mask_generator = from->mask_generator,
        .has_mask_generator_hashing_algorithm = from->mask_generator_hashing_algorithm != 0,
        .mask_generator_hashing_algorithm = from->mask_generator_hashing_algorithm,
        .has_p_source = from->p_source.len != 0,
        .p_source = client_span(from->p_source),
        .has_trailer_field = from->trailer_field != 0,
        .trailer_field = from->trailer_field,
    };
}

static bool
is_streaming(const struct ks_cipher *params)
{
    return params->init || params->final || params->correlation.len > 0;
}

static int
take(struct client_call *call, bool secret, const struct ks_span from[4], struct ks_cipher_result **ret)
{
    CLIENT_RESULT struct ks_cipher_result *result = client_result_new(sizeof(*result));
    if (result == NULL)
        return client_report(call, KS_E_NOMEM);
    KS_TRY(client_report(call, secret ? client_result_secret(result, from[0], &result->data)
                                      : client_result_bytes(result, from[0], &result->data)));
    KS_TRY(client_report(call, client_result_bytes(result, from[1], &result->iv)));
    KS_TRY(client_report(call, client_result_bytes(result, from[2], &result->tag)));
    KS_TRY(client_report(call, client_result_bytes(result, from[3], &result->correlation)));
    *ret = result;
    result = NULL;
    return 0;
}

#define IF_PRESENT(response, member) ((response)->has_##member ? (response)->member : KS_SPAN_NONE)

int
ks_client_encrypt(struct ks_client *client, const struct ks_call *options, const struct ks_cipher *params,
                  struct ks_cipher_result **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_cryptographic_parameters crypto = {0};
    struct kmip_encrypt_request request = {
        .unique_identifier = client_uid(params->uid),
        .has_data = true,
        .data = client_span(params->data),
        .has_iv_counter_nonce = params->iv.len > 0,
        .iv_counter_nonce = client_span(params->iv),
        .has_correlation_value = params->correlation.len > 0,
        .correlation_value = client_span(params->correlation),
        .has_init_indicator = params->init,
        .init_indicator = params->init,
        .has_final_indicator = params->final,
        .final_indicator = params->final,
        .has_authenticated_encryption_additional_data = params->aad.len > 0,
        .authenticated_encryption_additional_data = client_span(params->aad),
    };
    if (params->crypto != NULL) {
        crypto = client_crypto_params(params->crypto);
        request.cryptographic_parameters = &crypto;
    }
    struct client_op op = {.operation = KMIP_OPERATION_ENCRYPT, .request = &request, .once = is_streaming(params)};
    KS_TRY(client_call_batch(&call, &op, 1, "encrypt with", params->uid));
    if (op.code != 0)
        return client_refuse(&call, &op, "encrypt with", params->uid);
    const struct kmip_encrypt_response *response = op.response;
    return take(&call, false,
                (const struct ks_span[4]){IF_PRESENT(response, data), IF_PRESENT(response, iv_counter_nonce),
                                          IF_PRESENT(response, authenticated_encryption_tag),
                                          IF_PRESENT(response, correlation_value)},
                ret);
}

int
ks_client_decrypt(struct ks_client *client, const struct ks_call *options, const struct ks_cipher *params,
                  struct ks_cipher_result **ret, struct ks_error *error)
{
    CALL(call, client, options, error);
    struct kmip_cryptographic_parameters crypto = {0};
    struct kmip_decrypt_request request = {
        .unique_identifier = client_uid(params->uid),
        .has_data = true,
        .data = client_span(params->data),
        .has_iv_counter_nonce = params->iv.len > 0,
        .iv_counter_nonce = client_span(params->iv),
        .has_correlation_value = params->correlation.len > 0,
        .correlation_value = client_span(params->correlation),
        .has_init_indicator = params->init,
        .init_indicator = params->init,
        .has_final_indicator = params->final,
        .final_indicator = params->final,
        .has_authenticated_encryption_additional_data = params->aad.len > 0,
        .authenticated_encryption_additional_data = client_span(params->aad),
        .has_authenticated_encryption_tag = params->tag.len > 0,
        .authenticated_encryption_tag = client_span(params->tag),
    };
    if (params->crypto != NULL) {
        crypto = client_crypto_params(params->crypto);
        request.cryptographic_parameters = &crypto;
    }
    struct client_op op = {.operation = KMIP_OPERATION_DECRYPT, .request = &request, .once = is_streaming(params)};
    KS_TRY(client_call_batch(&call, &op, 1, "decrypt with", params->uid));
    if (op.code != 0)
        return client_refuse(&call, &op, "decrypt with", params->uid);
    const struct kmip_decrypt_response *response = op.response;
    return take(&call, true,
                (const struct ks_span[4]){IF_PRESENT(response, data), KS_SPAN_NONE, KS_SPAN_NONE,
                                          IF_PRESENT(response, correlation_value)},
                ret);
}

void
ks_cipher_result_free(struct ks_cipher_result *result)
{
    client_result_free(result);
}
