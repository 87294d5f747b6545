/* Who may do what: owners, administrators, strangers; enrolment; a sealed server; what the audit trail gets. */
#include "engine_talk.h"

#include <stdio.h>

enum { MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT };

static void
an_administrator_manages_and_does_not_read(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "client's", MASK);
    activate_key(&t, id);
    t.who = &t.rig.admin;
    assert_int_equal(state_of(&t, id), KMIP_STATE_ACTIVE);
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    struct kmip_cryptographic_parameters gcm = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM,
                                                .has_block_cipher_mode = true};
    const struct kmip_encrypt_request encrypt = {
        .unique_identifier = uid(id), .cryptographic_parameters = &gcm, .data = KS_LIT("x"), .has_data = true};
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &encrypt, KMIP_RESULT_REASON_PERMISSION_DENIED);
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_SUPERSEDED);
    destroy_key(&t, id);
    talk_close(&t);
}

static void
an_object_of_another_is_unknown(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.admin;
    const char *id = make_key(&t, "admin's", MASK);
    t.who = &t.rig.client;
    const struct kmip_get_request get = {.unique_identifier = uid(id)},
                                  none = {.unique_identifier = uid("01a20c93-7d22-7148-bb4a-3787a721a046")};
    const struct kmip_response_batch_item *a = talk_ask(&t, KMIP_OPERATION_GET, &get);
    const struct kmip_response_batch_item *b = talk_ask(&t, KMIP_OPERATION_GET, &none);
    assert_int_equal(a->result_reason, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    assert_int_equal(b->result_reason, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    /* But for the identifier both answers are the same: nobody learns whether there is such an object. */
    assert_int_equal(a->result_message.len, b->result_message.len);
    struct kmip_locate_request locate = {.attributes = {.present = true}};
    const struct kmip_locate_response *r = talk_do(&t, KMIP_OPERATION_LOCATE, &locate);
    assert_int_equal(r->n_unique_identifier, 0);
    talk_close(&t);
}

static void
strangers_get_nothing(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_query_request query = {.n_query_function = 1,
                                             .query_function = (uint32_t[]){KMIP_QUERY_FUNCTION_QUERY_OPERATIONS}};
    t.who = &t.rig.stranger;
    talk_refused(&t, KMIP_OPERATION_QUERY, &query, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    assert_int_equal(t.rig.reply.job.n_records, 1);
    t.who = &t.rig.nobody;
    talk_refused(&t, KMIP_OPERATION_QUERY, &query, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    assert_true(t.rig.reply.drop);
    t.who = &t.rig.client;
    const struct kmip_client_list_request list = {0};
    talk_refused(&t, KMIP_OPERATION_CLIENT_LIST, &list, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

/* The other machine's side: a key and a request. */
static struct ks_span
certificate_request(struct talk *t)
{
    KS_PKEY *key = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf csr = KS_BUF(8192);
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_256};
    struct ks_span copy;
    assert_int_equal(ks_keygen_pair(&params, &key, NULL), 0);
    assert_int_equal(ks_cert_request(key, "whatever", &csr, NULL), 0);
    assert_int_equal(ks_arena_span(&t->arena, ks_buf_span(&csr), &copy), 0);
    return copy;
}

static const struct kmip_enroll_token_create_response *
make_token(struct talk *t, const char *name, const char *role)
{
    const struct kmip_enroll_token_create_request r = {
        .client_name = ks_span_str(name), .client_role = ks_span_str(role), .has_client_role = role != NULL};
    t->who = &t->rig.admin;
    const struct kmip_enroll_token_create_response *token = talk_do(t, KMIP_OPERATION_ENROLL_TOKEN_CREATE, &r);
    t->who = &t->rig.nobody;
    return token;
}

static void
a_machine_enrolls(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_enroll_token_create_response *token = make_token(&t, "db1", NULL);
    assert_memory_equal(token->enrollment_token.data, "ks1-", 4);
    /* The token is a secret: neither the trail nor the store has it. */
    assert_null(strstr(records(&t), "ks1-"));
    uint8_t fingerprint[32];
    assert_int_equal(ks_cert_fingerprint(ks_buf_span(&t.rig.ca), fingerprint), 0);
    char pin[40] = {0};
    for (size_t i = 0; i < 16; i++)
        snprintf(pin + 2 * i, 3, "%02x", fingerprint[i]);
    assert_memory_equal(token->enrollment_token.data + token->enrollment_token.len - 32, pin, 32);
    /* It is still good after a restart. */
    assert_int_equal(rig_reload(&t.rig, NULL), 0);

    const struct kmip_enroll_request r = {.enrollment_token = token->enrollment_token,
                                          .certificate_signing_request = certificate_request(&t)};
    const struct kmip_enroll_response *made = talk_do(&t, KMIP_OPERATION_ENROLL, &r);
    assert_true(ks_span_is(made->client_name, "db1"));
    assert_true(ks_span_equal(made->ca_certificate, ks_buf_span(&t.rig.ca)));
    assert_int_equal(ks_cert_signed_by(made->issued_certificate, made->ca_certificate, NULL), 0);
    struct ks_cert_info info;
    assert_int_equal(ks_cert_parse(made->issued_certificate, &t.arena, &info, NULL), 0);
    assert_string_equal(info.common_name, "db1");
    assert_false(info.is_ca);
    /* Once only. */
    talk_refused(&t, KMIP_OPERATION_ENROLL, &r, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);

    struct identity db1 = {.authenticated = true, .name = KS_LIT("db1")};
    memcpy(db1.fingerprint, info.fingerprint, 32);
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    t.who = &db1;
    const char *id = make_key(&t, "db1's", MASK);
    t.who = &t.rig.admin;
    const struct kmip_client_list_request list = {0};
    const struct kmip_client_list_response *clients = talk_do(&t, KMIP_OPERATION_CLIENT_LIST, &list);
    assert_int_equal(clients->n_client_entry, 3);
    const struct kmip_client_revoke_request revocation = {.client_name = KS_LIT("db1")};
    /* An answer that would be too large says that nothing was carried out, and nothing was. */
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    t.max_response = 50;
    const struct kmip_response_batch_item *item = talk_ask(&t, KMIP_OPERATION_CLIENT_REVOKE, &revocation);
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    assert_int_equal(item->result_reason, KMIP_RESULT_REASON_RESPONSE_TOO_LARGE);
    t.max_response = 0;
    t.who = &db1;
    talk_do(&t, KMIP_OPERATION_GET, &get);
    t.who = &t.rig.admin;
    talk_do(&t, KMIP_OPERATION_CLIENT_REVOKE, &revocation);
    t.who = &db1;
    assert_false(t.rig.reply.drop);
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    assert_true(t.rig.reply.drop); /* its connection ends */
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    /* Enrolling again under the name brings the client back to what is his; the old certificate stays out. */
    token = make_token(&t, "db1", NULL);
    const struct kmip_enroll_request again = {.enrollment_token = token->enrollment_token,
                                              .certificate_signing_request = certificate_request(&t)};
    made = talk_do(&t, KMIP_OPERATION_ENROLL, &again);
    struct identity renewed = db1;
    assert_int_equal(ks_cert_fingerprint(made->issued_certificate, renewed.fingerprint), 0);
    t.who = &renewed;
    talk_do(&t, KMIP_OPERATION_GET, &get);
    t.who = &db1;
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    talk_close(&t);
}

static void
tokens_expire_and_are_not_guessed(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_enroll_token_create_response *token = make_token(&t, "db2", "admin");
    assert_int_equal(token->token_expiry_date, RIG_START_S + 3600);
    struct kmip_enroll_request r = {.enrollment_token = token->enrollment_token,
                                    .certificate_signing_request = certificate_request(&t)};
    for (size_t i = 4; i < token->enrollment_token.len - 33; i += 7) {
        uint8_t *other = ks_arena_dup(&t.arena, token->enrollment_token.data, token->enrollment_token.len);
        other[i] = other[i] == '0' ? '1' : '0';
        r.enrollment_token = KS_SPAN(other, token->enrollment_token.len);
        talk_refused(&t, KMIP_OPERATION_ENROLL, &r, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    }
    r.enrollment_token = token->enrollment_token;
    r.certificate_signing_request = KS_LIT("no request");
    talk_refused(&t, KMIP_OPERATION_ENROLL, &r, KMIP_RESULT_REASON_INVALID_CSR);
    t.rig.now_us += INT64_C(3600) * 1000000;
    r.certificate_signing_request = certificate_request(&t);
    talk_refused(&t, KMIP_OPERATION_ENROLL, &r, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    assert_true(engine_tick(t.rig.engine, &t.rig.reply));
    assert_non_null(strstr(records(&t), "token-expired"));
    assert_true(t.rig.reply.job.changes[0].is_delete);
    talk_close(&t);
}

static void
the_last_administrator_stays(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.admin;
    const struct kmip_client_revoke_request r = {.client_name = KS_LIT("admin")}, none = {.client_name = KS_LIT("who")};
    talk_refused(&t, KMIP_OPERATION_CLIENT_REVOKE, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_refused(&t, KMIP_OPERATION_CLIENT_REVOKE, &none, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    const struct kmip_enroll_token_create_request bad = {.client_name = KS_LIT("../x")};
    talk_refused(&t, KMIP_OPERATION_ENROLL_TOKEN_CREATE, &bad, KMIP_RESULT_REASON_INVALID_FIELD);
    talk_close(&t);
}

static int
unseal_with(void *arg, const struct identity *who, struct ks_span passphrase)
{
    (void)who;
    struct talk *t = arg;
    return ks_span_is(passphrase, "open sesame") ? rig_reload(&t->rig, NULL) : KS_E_DENIED;
}

static void
a_sealed_server_answers_nothing_but_status(void **unused)
{
    (void)unused;
    struct talk t;
    const struct engine_config config = {.node = KS_LIT("n1"), .unseal = unseal_with, .unseal_arg = &t};
    talk_open_with(&t, &config);
    const char *id = make_key(&t, "k", MASK);
    engine_seal(t.rig.engine);
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    for (enum kmip_version v = KMIP_V1_0; v <= KMIP_V3_0; v++) { /* said in words, and for programs */
        t.version = v;
        const struct kmip_response_batch_item *item = talk_ask(&t, KMIP_OPERATION_GET, &get);
        assert_int_equal(item->n_message_extension, 1);
        assert_true(ks_span_is(item->message_extension[0]->vendor_identification, "Keystead"));
        assert_false(item->message_extension[0]->criticality_indicator);
        assert_true(kmip_item_child(item->message_extension[0]->vendor_extension, KMIP_TAG_SERVER_SEALED)->b);
    }
    t.version = KMIP_V2_1;
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_INTERNAL_SERVER_ERROR);
    t.version = KMIP_V1_4;
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_GENERAL_FAILURE);
    const struct kmip_server_status_request ask = {0};
    const struct kmip_server_status_response *status = talk_do(&t, KMIP_OPERATION_SERVER_STATUS, &ask);
    assert_true(status->server_sealed);
    assert_true(ks_span_is(status->node_name, "n1"));
    assert_false(status->has_object_count);
    const struct kmip_enroll_request enroll = {.enrollment_token = KS_LIT("x"),
                                               .certificate_signing_request = KS_LIT("y")};
    t.who = &t.rig.nobody;
    talk_refused(&t, KMIP_OPERATION_ENROLL, &enroll, KMIP_RESULT_REASON_GENERAL_FAILURE);
    t.who = &t.rig.client;
    struct kmip_unseal_request unseal = {.passphrase = KS_LIT("wrong")};
    talk_refused(&t, KMIP_OPERATION_UNSEAL, &unseal, KMIP_RESULT_REASON_PERMISSION_DENIED);
    assert_int_equal(t.response->batch_item[0]->n_message_extension, 0);
    unseal.passphrase = KS_LIT("open sesame");
    const struct kmip_unseal_response *open = talk_do(&t, KMIP_OPERATION_UNSEAL, &unseal);
    assert_false(open->server_sealed);
    assert_null(strstr(records(&t), "sesame"));
    talk_do(&t, KMIP_OPERATION_GET, &get);
    talk_close(&t);
}

static void
each_item_is_one_record(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "ledger", MASK);
    const struct kmip_get_request get = {.unique_identifier = uid(id)}, none = {.unique_identifier = uid("nope")};
    const struct talk_item items[] = {{KMIP_OPERATION_GET, &get}, {KMIP_OPERATION_GET, &none}};
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_CONTINUE;
    (void)talk_batch(&t, items, 2);
    assert_int_equal(t.rig.reply.job.n_records, 2);
    const char *text = records(&t);
    assert_non_null(strstr(text, id));
    assert_non_null(strstr(text, "ledger"));
    assert_non_null(strstr(text, "plaintext"));
    assert_non_null(strstr(text, "ObjectNotFound"));
    assert_non_null(strstr(text, "192.0.2.1"));
    assert_non_null(strstr(text, "\"app\""));
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_administrator_manages_and_does_not_read),
        cmocka_unit_test(an_object_of_another_is_unknown),
        cmocka_unit_test(strangers_get_nothing),
        cmocka_unit_test(a_machine_enrolls),
        cmocka_unit_test(tokens_expire_and_are_not_guessed),
        cmocka_unit_test(the_last_administrator_stays),
        cmocka_unit_test(a_sealed_server_answers_nothing_but_status),
        cmocka_unit_test(each_item_is_one_record),
    };
    return cmocka_run_group_tests_name("engine: access", tests, NULL, NULL);
}
