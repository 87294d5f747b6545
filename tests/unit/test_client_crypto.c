/* client/: the typed calls of Encrypt, Decrypt, Sign, Signature Verify, MAC, MAC Verify, Hash, RNG Retrieve and Seed.
 */
#include "client_calls.h"

static enum peer_action
expect_cipher(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    if (request->operation == KMIP_OPERATION_ENCRYPT) {
        const struct kmip_encrypt_request *e = payload_of(request, 0);
        EXPECT(ks_span_is(e->data, "plain") && ks_span_is(e->authenticated_encryption_additional_data, "aad"));
        EXPECT(e->cryptographic_parameters != NULL &&
               e->cryptographic_parameters->block_cipher_mode == KMIP_BLOCK_CIPHER_MODE_GCM &&
               e->cryptographic_parameters->random_iv && e->cryptographic_parameters->tag_length == 16 &&
               !e->cryptographic_parameters->has_padding_method);
        struct kmip_encrypt_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
        *payload =
            (struct kmip_encrypt_response){.unique_identifier = {.type = KMIP_TYPE_TEXT_STRING, .text = KS_LIT("k")},
                                           .has_data = true,
                                           .data = KS_LIT("cipher"),
                                           .has_iv_counter_nonce = true,
                                           .iv_counter_nonce = KS_LIT("twelve bytes"),
                                           .has_authenticated_encryption_tag = true,
                                           .authenticated_encryption_tag = KS_LIT("sixteen bytes...")};
        reply->payload[0] = payload;
        return PEER_ANSWER;
    }
    const struct kmip_decrypt_request *d = payload_of(request, 0);
    EXPECT(ks_span_is(d->data, "cipher") && ks_span_is(d->iv_counter_nonce, "twelve bytes") &&
           ks_span_is(d->authenticated_encryption_tag, "sixteen bytes..."));
    struct kmip_decrypt_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
    *payload = (struct kmip_decrypt_response){.unique_identifier = {.type = KMIP_TYPE_TEXT_STRING, .text = KS_LIT("k")},
                                              .has_data = true,
                                              .data = KS_LIT("plain")};
    reply->payload[0] = payload;
    return PEER_ANSWER;
}

static void
encryption_and_back(void **state)
{
    (void)state;
    struct peer peer = start(expect_cipher, KMIP_V1_4);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    const struct ks_crypto_params gcm = {
        .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM, .random_iv = true, .tag_length = 16};
    struct ks_cipher_result *sealed = NULL;
    struct ks_cipher_result *opened = NULL;
    assert_int_equal(ks_client_encrypt(client, NULL,
                                       &(struct ks_cipher){.uid = "k",
                                                           .crypto = &gcm,
                                                           .data = {(const uint8_t *)"plain", 5},
                                                           .aad = {(const uint8_t *)"aad", 3}},
                                       &sealed, &error),
                     0);
    assert_int_equal(sealed->data.len, 6);
    assert_int_equal(sealed->iv.len, 12);
    assert_int_equal(sealed->tag.len, 16);
    assert_int_equal(
        ks_client_decrypt(
            client, NULL,
            &(struct ks_cipher){.uid = "k", .crypto = &gcm, .data = sealed->data, .iv = sealed->iv, .tag = sealed->tag},
            &opened, &error),
        0);
    assert_int_equal(opened->data.len, 5);
    assert_memory_equal(opened->data.data, "plain", 5);
    ks_cipher_result_free(sealed);
    ks_cipher_result_free(opened);
    stop(&peer, client);
}

/* ---- Sign, Signature Verify, MAC, MAC Verify, Hash ---- */

#define UID_K .unique_identifier = {.type = KMIP_TYPE_TEXT_STRING, .text = KS_LIT("k")}

/* What a request of any of these operations says about parts, by the same names. */
#define EXPECT_WHOLE(r) EXPECT(!(r)->has_init_indicator && !(r)->has_final_indicator && !(r)->has_correlation_value)

static enum peer_action
expect_signing(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    if (request->operation == KMIP_OPERATION_SIGN) {
        const struct kmip_sign_request *s = payload_of(request, 0);
        const struct kmip_cryptographic_parameters *p = s->cryptographic_parameters;
        struct kmip_sign_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
        EXPECT_WHOLE(s);
        EXPECT(ks_span_is(s->unique_identifier.text, "k"));
        if (s->has_digested_data) {
            EXPECT(ks_span_is(s->digested_data, "digest") && !s->has_data);
            EXPECT(p == NULL);
        } else {
            EXPECT(s->has_data && ks_span_is(s->data, "data"));
            EXPECT(p != NULL && p->padding_method == KMIP_PADDING_METHOD_PSS && p->has_hashing_algorithm &&
                   p->hashing_algorithm == KMIP_HASHING_ALGORITHM_SHA_256 && !p->has_digital_signature_algorithm);
        }
        *payload =
            (struct kmip_sign_response){UID_K, .has_signature_data = true, .signature_data = KS_LIT("signature")};
        reply->payload[0] = payload;
        return PEER_ANSWER;
    }
    const struct kmip_signature_verify_request *v = payload_of(request, 0);
    struct kmip_signature_verify_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
    EXPECT_WHOLE(v);
    EXPECT(v->has_data && ks_span_is(v->data, "data") && v->has_signature_data);
    *payload = (struct kmip_signature_verify_response){UID_K, .has_validity_indicator = true,
                                                       .validity_indicator = ks_span_is(v->signature_data, "signature")
                                                                                 ? KMIP_VALIDITY_INDICATOR_VALID
                                                                                 : KMIP_VALIDITY_INDICATOR_INVALID};
    reply->payload[0] = payload;
    return PEER_ANSWER;
}

#define BYTES(text)                                                                                                    \
    {                                                                                                                  \
        (const uint8_t *)(text), sizeof(text) - 1                                                                      \
    }

static void
assert_bytes(struct ks_bytes bytes, const char *expected)
{
    assert_int_equal(bytes.len, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.len);
}

static void
signatures_are_made_and_verified(void **state)
{
    (void)state;
    struct peer peer = start(expect_signing, KMIP_V2_1);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    struct ks_crypto_result *result = NULL;
    const struct ks_crypto_params pss = {.padding_method = KMIP_PADDING_METHOD_PSS,
                                         .hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256};
    struct ks_crypto params = {.uid = "k", .crypto = &pss, .data = BYTES("data")};
    assert_int_equal(ks_client_sign(client, NULL, &params, &result, &error), 0);
    assert_bytes(result->data, "signature");
    assert_int_equal(result->correlation.len, 0);
    assert_int_equal(result->validity, 0);
    params.claim = result->data;
    struct ks_crypto_result *judged = NULL;
    assert_int_equal(ks_client_signature_verify(client, NULL, &params, &judged, &error), 0);
    assert_int_equal(judged->validity, KMIP_VALIDITY_INDICATOR_VALID);
    ks_crypto_result_free(judged);
    params.claim = (struct ks_bytes)BYTES("another");
    assert_int_equal(ks_client_signature_verify(client, NULL, &params, &judged, &error), 0);
    assert_int_equal(judged->validity, KMIP_VALIDITY_INDICATOR_INVALID);
    ks_crypto_result_free(judged);
    ks_crypto_result_free(result);

    const struct ks_crypto digest = {.uid = "k", .digested = BYTES("digest")};
    assert_int_equal(ks_client_sign(client, NULL, &digest, &result, &error), 0);
    assert_bytes(result->data, "signature");
    ks_crypto_result_free(result);
    stop(&peer, client);
}

static enum peer_action
expect_codes(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    if (request->operation == KMIP_OPERATION_MAC) {
        const struct kmip_mac_request *m = payload_of(request, 0);
        struct kmip_mac_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
        EXPECT_WHOLE(m);
        EXPECT(m->has_data && ks_span_is(m->data, "data") && m->cryptographic_parameters != NULL &&
               m->cryptographic_parameters->cryptographic_algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256);
        *payload = (struct kmip_mac_response){UID_K, .has_mac_data = true, .mac_data = KS_LIT("code")};
        reply->payload[0] = payload;
    } else if (request->operation == KMIP_OPERATION_MAC_VERIFY) {
        const struct kmip_mac_verify_request *m = payload_of(request, 0);
        struct kmip_mac_verify_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
        EXPECT(m->has_mac_data && ks_span_is(m->mac_data, "code") && ks_span_is(m->data, "data"));
        *payload = (struct kmip_mac_verify_response){UID_K, .has_validity_indicator = true,
                                                     .validity_indicator = KMIP_VALIDITY_INDICATOR_VALID};
        reply->payload[0] = payload;
    } else {
        const struct kmip_hash_request *h = payload_of(request, 0);
        struct kmip_hash_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
        EXPECT(request->operation == KMIP_OPERATION_HASH && ks_span_is(h->data, "data") &&
               h->cryptographic_parameters != NULL &&
               h->cryptographic_parameters->hashing_algorithm == KMIP_HASHING_ALGORITHM_SHA_256);
        *payload = (struct kmip_hash_response){.has_data = true, .data = KS_LIT("digest")};
        reply->payload[0] = payload;
    }
    return PEER_ANSWER;
}

static void
codes_and_digests(void **state)
{
    (void)state;
    struct peer peer = start(expect_codes, KMIP_V1_4);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    struct ks_crypto_result *result = NULL;
    const struct ks_crypto_params hmac = {.cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256};
    const struct ks_crypto_params sha = {.hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256};
    struct ks_crypto params = {.uid = "k", .crypto = &hmac, .data = BYTES("data")};
    assert_int_equal(ks_client_mac(client, NULL, &params, &result, &error), 0);
    assert_bytes(result->data, "code");
    ks_crypto_result_free(result);
    params.claim = (struct ks_bytes)BYTES("code");
    assert_int_equal(ks_client_mac_verify(client, NULL, &params, &result, &error), 0);
    assert_int_equal(result->validity, KMIP_VALIDITY_INDICATOR_VALID);
    ks_crypto_result_free(result);
    const struct ks_crypto plain = {.crypto = &sha, .data = BYTES("data")};
    assert_int_equal(ks_client_hash(client, NULL, &plain, &result, &error), 0);
    assert_bytes(result->data, "digest");
    ks_crypto_result_free(result);
    assert_int_equal(peer.n_requests, 3);
    stop(&peer, client);
}

/* Two parts: what each says of itself, and of the one before. */
static enum peer_action
expect_parts(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    const struct kmip_mac_request *m = payload_of(request, 0);
    struct kmip_mac_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
    if (ks_span_is(m->data, "first")) {
        EXPECT(m->has_init_indicator && m->init_indicator && !m->has_final_indicator && !m->has_correlation_value);
        *payload = (struct kmip_mac_response){UID_K, .has_correlation_value = true, .correlation_value = KS_LIT("c")};
    } else {
        EXPECT(ks_span_is(m->data, "last") && !m->has_init_indicator && m->has_final_indicator && m->final_indicator &&
               m->has_correlation_value && ks_span_is(m->correlation_value, "c"));
        *payload = (struct kmip_mac_response){UID_K, .has_mac_data = true, .mac_data = KS_LIT("code")};
    }
    reply->payload[0] = payload;
    return PEER_ANSWER;
}

static void
parts_are_told_apart(void **state)
{
    (void)state;
    struct peer peer = start(expect_parts, KMIP_V2_1);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    struct ks_crypto_result *first = NULL, *last = NULL;
    assert_int_equal(ks_client_mac(client, NULL, &(struct ks_crypto){.uid = "k", .data = BYTES("first"), .init = true},
                                   &first, &error),
                     0);
    assert_bytes(first->correlation, "c");
    assert_int_equal(first->data.len, 0);
    assert_int_equal(
        ks_client_mac(
            client, NULL,
            &(struct ks_crypto){.uid = "k", .data = BYTES("last"), .final = true, .correlation = first->correlation},
            &last, &error),
        0);
    assert_bytes(last->data, "code");
    ks_crypto_result_free(first);
    ks_crypto_result_free(last);
    stop(&peer, client);
}

/* A part may have been taken though no answer came: sent again it would count twice. */
static enum peer_action
lose_it(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    (void)request;
    (void)reply;
    return PEER_CLOSE;
}

static void
a_part_is_sent_once(void **state)
{
    (void)state;
    struct peer peer = start(lose_it, KMIP_V2_1);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "versions=2.1", &peer);
    struct ks_error error = {0};
    struct ks_crypto_result *result = NULL;
    assert_int_not_equal(
        ks_client_mac(client, NULL,
                      &(struct ks_crypto){.uid = "k", .data = BYTES("next"), .correlation = {(const uint8_t *)"c", 1}},
                      &result, &error),
        0);
    assert_null(result);
    assert_int_equal(peer.n_requests, 1);
    stop(&peer, client);
}

/* ---- Random numbers ---- */

struct giver {
    size_t at_most;
    atomic_size_t given;
};

static enum peer_action
give_random(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    struct giver *giver = peer->arg;
    if (request->operation == KMIP_OPERATION_RNG_SEED) {
        const struct kmip_rng_seed_request *s = payload_of(request, 0);
        struct kmip_rng_seed_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
        EXPECT(ks_span_is(s->data, "a seed"));
        payload->data_length = 4;
        reply->payload[0] = payload;
        return PEER_ANSWER;
    }
    const struct kmip_rng_retrieve_request *r = payload_of(request, 0);
    struct kmip_rng_retrieve_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
    EXPECT(r->data_length > 0 && r->data_length <= 4096);
    size_t n = (size_t)r->data_length;
    if (giver->at_most == SIZE_MAX)
        n++; /* more than was asked for */
    else if (n > giver->at_most)
        n = giver->at_most;
    uint8_t *bytes = ks_arena_alloc(reply->arena, n + 1);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(atomic_fetch_add(&giver->given, 1) % 251);
    payload->data = KS_SPAN(bytes, n);
    reply->payload[0] = payload;
    return PEER_ANSWER;
}

static void
random_bytes_come_in_as_many_requests_as_it_takes(void **state)
{
    (void)state;
    enum { MANY = 10000 };
    static const struct {
        size_t at_most, len;
        int code;
    } cases[] = {
        {SIZE_MAX / 2, 32, 0},  {3, 8, 0}, {SIZE_MAX / 2, MANY, 0}, {SIZE_MAX, 8, KS_E_MALFORMED},
        {0, 8, KS_E_MALFORMED}, {7, 0, 0},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        struct giver giver = {.at_most = cases[i].at_most};
        struct peer peer = start(give_random, KMIP_V2_1);
        peer.arg = &giver;
        peer_start(&peer);
        struct ks_client *client = CLIENT(&world, "", &peer);
        struct ks_error error = {0};
        static uint8_t bytes[MANY];
        memset(bytes, 0xff, sizeof(bytes)); /* is not given */
        assert_int_equal(ks_client_rng_retrieve(client, NULL, bytes, cases[i].len, &error), cases[i].code);
        for (size_t k = 0; k < sizeof(bytes); k++)
            assert_int_equal(bytes[k], cases[i].code == 0 && k < cases[i].len ? k % 251 : 0xff);
        stop(&peer, client);
    }
}

static void
a_seed_is_given(void **state)
{
    (void)state;
    struct giver giver = {.at_most = 0};
    struct peer peer = start(give_random, KMIP_V2_1);
    peer.arg = &giver;
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    size_t taken = 0;
    assert_int_equal(ks_client_rng_seed(client, NULL, (struct ks_bytes)BYTES("a seed"), &taken, &error), 0);
    assert_int_equal(taken, 4);
    assert_int_equal(ks_client_rng_seed(client, NULL, (struct ks_bytes)BYTES("a seed"), NULL, &error), 0);
    stop(&peer, client);
}

int
main(void)
{
    world_start(&world);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encryption_and_back), cmocka_unit_test(signatures_are_made_and_verified),
        cmocka_unit_test(codes_and_digests),   cmocka_unit_test(parts_are_told_apart),
        cmocka_unit_test(a_part_is_sent_once), cmocka_unit_test(random_bytes_come_in_as_many_requests_as_it_takes),
        cmocka_unit_test(a_seed_is_given),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_stop(&world);
    return failed;
}
