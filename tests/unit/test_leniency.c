/* Leniencies: off for everybody, on for who was enrolled with them, and still on after a restart. */
#include "engine_talk.h"

#include "server/engine/leniency.h"

enum { MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT };

/* A machine that is enrolled as a client with the leniencies; what it is from then on. */
static struct identity
enrolled(struct talk *t, const char *name, const char *leniency)
{
    KS_PKEY *key = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf csr = KS_BUF(8192);
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_256};
    assert_int_equal(ks_keygen_pair(&params, &key, NULL), 0);
    assert_int_equal(ks_cert_request(key, "whatever", &csr, NULL), 0);
    const struct kmip_enroll_token_create_request r = {.client_name = ks_span_str(name),
                                                       .client_leniency = ks_span_str(leniency),
                                                       .has_client_leniency = leniency != NULL};
    t->who = &t->rig.admin;
    const struct kmip_enroll_token_create_response *token = talk_do(t, KMIP_OPERATION_ENROLL_TOKEN_CREATE, &r);
    assert_int_equal(rig_reload(&t->rig, NULL), 0); /* the token keeps them */
    const struct kmip_enroll_request enrol = {.enrollment_token = token->enrollment_token,
                                              .certificate_signing_request = ks_buf_span(&csr)};
    t->who = &t->rig.nobody;
    const struct kmip_enroll_response *made = talk_do(t, KMIP_OPERATION_ENROLL, &enrol);
    assert_int_equal(rig_reload(&t->rig, NULL), 0); /* and so does the client */
    struct identity who = {.authenticated = true, .name = KS_LIT("machine")};
    assert_int_equal(ks_cert_fingerprint(made->issued_certificate, who.fingerprint), 0);
    return who;
}

static void
names(void **unused)
{
    (void)unused;
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 16);
    uint32_t set = 99;
    struct ks_span list;
    assert_int_equal(leniency_find(KS_SPAN_NONE, &set), 0);
    assert_int_equal(set, 0);
    assert_int_equal(leniency_find(KS_LIT("activate-new,iv-in-front"), &set), 0);
    assert_int_equal(leniency_list(&arena, set, &list), 0);
    assert_true(ks_span_is(list, "iv-in-front,activate-new"));
    static const char *const wrong[] = {"nonsense", ",iv-in-front", "iv-in-front nonsense", "IV-IN-FRONT"};
    for (size_t i = 0; i < KS_ARRAY_LEN(wrong); i++)
        assert_int_equal(leniency_find(ks_span_str(wrong[i]), &set), KS_E_NOT_FOUND);
    struct talk t;
    talk_open(&t);
    const struct kmip_enroll_token_create_request r = {
        .client_name = KS_LIT("db1"), .client_leniency = KS_LIT("nonsense"), .has_client_leniency = true};
    t.who = &t.rig.admin;
    talk_refused(&t, KMIP_OPERATION_ENROLL_TOKEN_CREATE, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    talk_close(&t);
}

static void
the_iv_in_front_of_the_data(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct identity lenient = enrolled(&t, "edb", "iv-in-front"), strict = enrolled(&t, "other", NULL);
    struct kmip_cryptographic_parameters cbc = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CBC,
                                                .has_block_cipher_mode = true,
                                                .padding_method = KMIP_PADDING_METHOD_PKCS5,
                                                .has_padding_method = true};
    for (int i = 0; i < 2; i++) {
        t.who = i == 0 ? &lenient : &strict;
        const char *id = make_key(&t, NULL, MASK);
        activate_key(&t, id);
        const struct kmip_encrypt_request encrypt = {.unique_identifier = uid(id),
                                                     .cryptographic_parameters = &cbc,
                                                     .data = KS_LIT("the key of the cluster"),
                                                     .has_data = true};
        const struct kmip_encrypt_response *made = talk_do(&t, KMIP_OPERATION_ENCRYPT, &encrypt);
        assert_int_equal(made->iv_counter_nonce.len, 16);
        uint8_t *both = ks_arena_alloc(&t.arena, 16 + made->data.len);
        memcpy(both, made->iv_counter_nonce.data, 16);
        memcpy(both + 16, made->data.data, made->data.len);
        struct kmip_decrypt_request decrypt = {.unique_identifier = uid(id),
                                               .cryptographic_parameters = &cbc,
                                               .data = KS_SPAN(both, 16 + made->data.len),
                                               .has_data = true};
        if (i == 1) {
            talk_refused(&t, KMIP_OPERATION_DECRYPT, &decrypt, KMIP_RESULT_REASON_INVALID_MESSAGE);
            continue;
        }
        const struct kmip_decrypt_response *plain = talk_do(&t, KMIP_OPERATION_DECRYPT, &decrypt);
        assert_true(ks_span_is(plain->data, "the key of the cluster"));
        /* Done the right way it works as ever. */
        decrypt.data = made->data;
        decrypt.iv_counter_nonce = made->iv_counter_nonce;
        decrypt.has_iv_counter_nonce = true;
        plain = talk_do(&t, KMIP_OPERATION_DECRYPT, &decrypt);
        assert_true(ks_span_is(plain->data, "the key of the cluster"));
    }
    /* The list of clients says who is forgiven what. */
    t.who = &t.rig.admin;
    const struct kmip_client_list_request list = {0};
    const struct kmip_client_list_response *clients = talk_do(&t, KMIP_OPERATION_CLIENT_LIST, &list);
    for (size_t i = 0; i < clients->n_client_entry; i++) {
        const struct kmip_client_entry *e = clients->client_entry[i];
        assert_int_equal(e->has_client_leniency, ks_span_is(e->client_name, "edb"));
    }
    talk_close(&t);
}

static void
attributes_to_look_for_in_a_template(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct identity lenient = enrolled(&t, "forti", "locate-template");
    struct kmip_locate_request r = {.misplaced_attributes = {.present = true}};
    put_name(&t, &r.misplaced_attributes, "tunnel-1");
    t.who = &t.rig.client;
    make_key(&t, "tunnel-1", MASK);
    t.version = KMIP_V1_0;
    talk_refused(&t, KMIP_OPERATION_LOCATE, &r, KMIP_RESULT_REASON_INVALID_MESSAGE);
    t.who = &lenient;
    t.version = KMIP_V2_1;
    const char *id = make_key(&t, "tunnel-1", MASK);
    make_key(&t, "tunnel-2", MASK);
    t.version = KMIP_V1_0;
    const struct kmip_locate_response *found = talk_do(&t, KMIP_OPERATION_LOCATE, &r);
    assert_int_equal(found->n_unique_identifier, 1);
    assert_true(ks_span_is(found->unique_identifier[0].text, id));
    talk_close(&t);
}

static void
new_objects_are_active(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    static const uint8_t bytes[32] = {1};
    const struct identity lenient = enrolled(&t, "machine", "activate-new");
    for (int i = 0; i < 2; i++) {
        t.who = i == 0 ? &lenient : &t.rig.client;
        const uint32_t wanted = i == 0 ? KMIP_STATE_ACTIVE : KMIP_STATE_PRE_ACTIVE;
        for (enum kmip_version v = KMIP_V1_0; v <= KMIP_V2_1; v++) {
            t.version = v;
            assert_int_equal(state_of(&t, make_key(&t, NULL, MASK)), wanted);
            assert_int_equal(state_of(&t, register_key(&t, NULL, MASK, KS_SPAN(bytes, 32))), wanted);
        }
        struct kmip_create_key_pair_request pair = {.common_attributes = {.present = true}};
        put_number(&t, &pair.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA);
        put_number(&t, &pair.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
        put_number(&t, &pair.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
        const struct kmip_create_key_pair_response *made = talk_do(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &pair);
        assert_int_equal(state_of(&t, uid_string(&t, &made->private_key_unique_identifier)), wanted);
        assert_int_equal(state_of(&t, uid_string(&t, &made->public_key_unique_identifier)), wanted);
    }
    /* A client that says when a key is to be active is believed. */
    t.who = &lenient;
    struct kmip_create_request later = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(&t, &later.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(&t, &later.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(&t, &later.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, MASK);
    put_number(&t, &later.attributes, KMIP_TAG_ACTIVATION_DATE, RIG_START_S + 1000);
    const struct kmip_create_response *made = talk_do(&t, KMIP_OPERATION_CREATE, &later);
    assert_int_equal(state_of(&t, uid_string(&t, &made->unique_identifier)), KMIP_STATE_PRE_ACTIVE);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(the_iv_in_front_of_the_data),
        cmocka_unit_test(attributes_to_look_for_in_a_template),
        cmocka_unit_test(new_objects_are_active),
    };
    return cmocka_run_group_tests_name("leniency", tests, NULL, NULL);
}
