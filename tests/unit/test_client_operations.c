/*
 * Every operation of the registry has a typed call, which sends that operation and no other; or says why not
 * (client/calls.def). And what the calls of keystead/access.h and keystead/operations.h send and make of answers.
 */
#include "client_calls.h"

#include <keystead/access.h>
#include <keystead/operations.h>

typedef void any_function(void);

static const struct {
    uint32_t operation;
    any_function *function; /* NULL: none, for a reason */
    const char *why;
} rows[] = {
#define CLIENT_CALL(OPERATION, function, command) {KMIP_OPERATION_##OPERATION, (any_function *)(function), NULL},
#define CLIENT_NO_CALL(OPERATION, why, command) {KMIP_OPERATION_##OPERATION, NULL, (why)},
#include "client/calls.def"
#undef CLIENT_CALL
#undef CLIENT_NO_CALL
};

static const uint32_t registry[] = {
#define KMIP_OPERATION(NAME, value, text, request, response, since, until, flags) KMIP_OPERATION_##NAME,
#include "kmip/spec/ops.def"
#undef KMIP_OPERATION
};

static void
every_operation_has_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(registry); i++) {
        size_t n = 0;
        for (size_t k = 0; k < KS_ARRAY_LEN(rows); k++)
            n += rows[k].operation == registry[i] && (rows[k].function != NULL || rows[k].why[0] != '\0');
        if (n != 1)
            fail_msg("%s has %zu rows in client/calls.def", kmip_operation_find(registry[i])->name, n);
    }
    assert_int_equal(KS_ARRAY_LEN(rows), KS_ARRAY_LEN(registry));
}

/* ---- One call of each ---- */

static char uid[KS_UID_SIZE], uid_2[KS_UID_SIZE];
static const char *const some_uids[] = {"a", "b"};
static const struct ks_attribute attribute = {
    .value = {.tag = KMIP_TAG_SENSITIVE, .type = KMIP_TYPE_BOOLEAN, .boolean = true}};
static const struct ks_attribute_name attribute_name = {.tag = KMIP_TAG_SENSITIVE};
static const struct ks_pending pending = {.len = 4, .value = "abcd"};
static const struct ks_bytes some = {(const uint8_t *)"some", 4};
static const struct ks_crypto crypto = {.uid = "a", .data = {(const uint8_t *)"data", 4}};
static const struct ks_new_object aes = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, .length = 256};
static const struct ks_rule rule = {.attributes = &attribute, .n_attributes = 1};
static const struct ks_right right = {.uids = some_uids, .n_uids = 2};

static int
import(struct ks_client *c, struct ks_error *e)
{
    /* The payload of an Export answer: a Secret Data of one byte. */
    struct kmip_key_block block = {.key_format_type = KMIP_KEY_FORMAT_TYPE_OPAQUE};
    struct kmip_key_value value = {0};
    struct kmip_secret_data secret = {.secret_data_type = KMIP_SECRET_DATA_TYPE_PASSWORD, .key_block = &block};
    struct kmip_export_response exported = {.object_type = KMIP_OBJECT_TYPE_SECRET_DATA,
                                            .unique_identifier = {.type = KMIP_TYPE_TEXT_STRING, .text = KS_LIT("a")},
                                            .attributes.present = true,
                                            .object.secret_data = &secret};
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 16);
    KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(4096);
    struct kmip_item *item = NULL;
    value.key_material = kmip_item_new(&arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    value.key_material->s = KS_LIT("x");
    assert_int_equal(kmip_item_encode(&kmip_schema_key_value, KMIP_V2_1, &value, &arena, &block.key_value), 0);
    assert_int_equal(kmip_item_encode(&kmip_schema_export_response, KMIP_V2_1, &exported, &arena, &item), 0);
    assert_int_equal(kmip_item_to_ttlv(item, &ttlv), 0);
    return ks_client_import(c, NULL, &(struct ks_import){.bytes = {ttlv.data, ttlv.len}}, uid, e);
}

static int
take_nothing(void *arg, const struct ks_served *served)
{
    (void)arg;
    (void)served;
    return 0;
}

#define RESULT(type)                                                                                                   \
    struct type *r = NULL;                                                                                             \
    struct type **ret = &r
#define CALL_OF(OPERATION, result, expression)                                                                         \
    static int call_##OPERATION(struct ks_client *c, struct ks_error *e)                                               \
    {                                                                                                                  \
        result;                                                                                                        \
        return expression;                                                                                             \
    }
#define PLAIN (void)0

/* clang-format off */
CALL_OF(CREATE, PLAIN, ks_client_create(c, NULL, &(struct ks_create){.object = aes}, uid, e))
CALL_OF(CREATE_KEY_PAIR, PLAIN, ks_client_create_key_pair(c, NULL, &(struct ks_create_key_pair){.common = aes}, uid, uid_2, e))
CALL_OF(REGISTER, PLAIN, ks_client_register(c, NULL, &(struct ks_register){.object_type = KMIP_OBJECT_TYPE_SECRET_DATA, .material = some}, uid, e))
CALL_OF(RE_KEY, PLAIN, ks_client_rekey(c, NULL, "a", -1, false, uid, e))
CALL_OF(DERIVE_KEY, PLAIN, ks_client_derive_key(c, NULL, &(struct ks_derive){.object = aes, .uids = some_uids, .n_uids = 1, .method = KMIP_DERIVATION_METHOD_HASH}, uid, e))
CALL_OF(CERTIFY, PLAIN, ks_client_certify(c, NULL, &(struct ks_certify){.uid = "a"}, uid, e))
CALL_OF(RE_CERTIFY, PLAIN, ks_client_recertify(c, NULL, &(struct ks_certify){.uid = "a"}, -1, uid, e))
CALL_OF(LOCATE, RESULT(ks_uids), ks_client_locate(c, NULL, &(struct ks_locate){.name = "a"}, ret, e))
CALL_OF(CHECK, PLAIN, ks_client_check(c, NULL, &(struct ks_check){.uid = "a"}, e))
CALL_OF(GET, RESULT(ks_object), ks_client_get(c, NULL, &(struct ks_get){.uid = "a"}, ret, e))
CALL_OF(GET_ATTRIBUTES, RESULT(ks_attributes), ks_client_get_attributes(c, NULL, "a", NULL, 0, ret, e))
CALL_OF(GET_ATTRIBUTE_LIST, RESULT(ks_attribute_names), ks_client_get_attribute_list(c, NULL, "a", ret, e))
CALL_OF(ADD_ATTRIBUTE, PLAIN, ks_client_add_attribute(c, NULL, "a", &attribute, e))
CALL_OF(MODIFY_ATTRIBUTE, PLAIN, ks_client_modify_attribute(c, NULL, "a", &attribute, e))
CALL_OF(DELETE_ATTRIBUTE, PLAIN, ks_client_delete_attribute(c, NULL, "a", &attribute_name, e))
CALL_OF(OBTAIN_LEASE, struct ks_lease lease, ks_client_obtain_lease(c, NULL, "a", &lease, e))
CALL_OF(GET_USAGE_ALLOCATION, PLAIN, ks_client_get_usage_allocation(c, NULL, "a", 1, e))
CALL_OF(ACTIVATE, PLAIN, ks_client_activate(c, NULL, "a", e))
CALL_OF(REVOKE, PLAIN, ks_client_revoke(c, NULL, "a", KMIP_REVOCATION_REASON_CODE_UNSPECIFIED, NULL, 0, e))
CALL_OF(DESTROY, PLAIN, ks_client_destroy(c, NULL, "a", e))
CALL_OF(ARCHIVE, PLAIN, ks_client_archive(c, NULL, "a", e))
CALL_OF(RECOVER, PLAIN, ks_client_recover(c, NULL, "a", e))
CALL_OF(VALIDATE, uint32_t indicator, ks_client_validate(c, NULL, &(struct ks_validate){.uids = some_uids, .n_uids = 1}, &indicator, e))
CALL_OF(QUERY, RESULT(ks_query_result), ks_client_query(c, NULL, ret, e))
CALL_OF(CANCEL, uint32_t outcome, ks_client_cancel(c, NULL, &pending, &outcome, e))
CALL_OF(POLL, RESULT(ks_poll_result), ks_client_poll(c, NULL, &pending, ret, e))
CALL_OF(RE_KEY_KEY_PAIR, PLAIN, ks_client_rekey_key_pair(c, NULL, "a", -1, uid, uid_2, e))
CALL_OF(ENCRYPT, RESULT(ks_cipher_result), ks_client_encrypt(c, NULL, &(struct ks_cipher){.uid = "a", .data = some}, ret, e))
CALL_OF(DECRYPT, RESULT(ks_cipher_result), ks_client_decrypt(c, NULL, &(struct ks_cipher){.uid = "a", .data = some}, ret, e))
CALL_OF(SIGN, RESULT(ks_crypto_result), ks_client_sign(c, NULL, &crypto, ret, e))
CALL_OF(SIGNATURE_VERIFY, RESULT(ks_crypto_result), ks_client_signature_verify(c, NULL, &crypto, ret, e))
CALL_OF(MAC, RESULT(ks_crypto_result), ks_client_mac(c, NULL, &crypto, ret, e))
CALL_OF(MAC_VERIFY, RESULT(ks_crypto_result), ks_client_mac_verify(c, NULL, &crypto, ret, e))
CALL_OF(RNG_RETRIEVE, uint8_t bytes[4], ks_client_rng_retrieve(c, NULL, bytes, sizeof(bytes), e))
CALL_OF(RNG_SEED, PLAIN, ks_client_rng_seed(c, NULL, some, NULL, e))
CALL_OF(HASH, RESULT(ks_crypto_result), ks_client_hash(c, NULL, &(struct ks_crypto){.data = some, .crypto = &(struct ks_crypto_params){.hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256}}, ret, e))
CALL_OF(CREATE_SPLIT_KEY, RESULT(ks_uids), ks_client_create_split_key(c, NULL, &(struct ks_create_split_key){.uid = "a", .parts = 3, .threshold = 2}, ret, e))
CALL_OF(JOIN_SPLIT_KEY, PLAIN, ks_client_join_split_key(c, NULL, &(struct ks_join_split_key){.uids = some_uids, .n_uids = 2}, uid, e))
CALL_OF(IMPORT, PLAIN, import(c, e))
CALL_OF(EXPORT, RESULT(ks_exported), ks_client_export(c, NULL, &(struct ks_get){.uid = "a"}, ret, e))
CALL_OF(LOG, PLAIN, ks_client_log(c, NULL, "said", e))
CALL_OF(LOGIN, RESULT(ks_ticket), ks_client_login(c, NULL, NULL, ret, e))
CALL_OF(LOGOUT, PLAIN, ks_client_logout(c, NULL, some, e))
CALL_OF(DELEGATED_LOGIN, RESULT(ks_ticket), ks_client_delegated_login(c, NULL, NULL, &right, 1, ret, e))
CALL_OF(ADJUST_ATTRIBUTE, PLAIN, ks_client_adjust_attribute(c, NULL, "a", &attribute_name, KMIP_ADJUSTMENT_TYPE_NEGATE, NULL, e))
CALL_OF(SET_ATTRIBUTE, PLAIN, ks_client_set_attribute(c, NULL, "a", &attribute, e))
CALL_OF(SET_ENDPOINT_ROLE, PLAIN, ks_client_serve(c, NULL, take_nothing, NULL, e))
CALL_OF(PKCS_11, RESULT(ks_pkcs11_result), ks_client_pkcs11(c, NULL, &(struct ks_pkcs11){.function = KMIP_PKCS_11_FUNCTION_C_GETINFO}, ret, e))
CALL_OF(INTEROP, PLAIN, ks_client_interop(c, NULL, KMIP_INTEROP_FUNCTION_BEGIN, "TC-1", e))
CALL_OF(RE_PROVISION, PLAIN, ks_client_re_provision(c, NULL, &(struct ks_re_provision){.request = some}, uid, e))
CALL_OF(SET_DEFAULTS, PLAIN, ks_client_set_defaults(c, NULL, &rule, 1, e))
CALL_OF(SET_CONSTRAINTS, PLAIN, ks_client_set_constraints(c, NULL, &rule, 1, e))
CALL_OF(GET_CONSTRAINTS, RESULT(ks_rules), ks_client_get_constraints(c, NULL, ret, e))
CALL_OF(QUERY_ASYNCHRONOUS_REQUESTS, RESULT(ks_pending_list), ks_client_pending(c, NULL, ret, e))
CALL_OF(PROCESS, PLAIN, ks_client_process(c, NULL, &pending, e))
CALL_OF(PING, PLAIN, ks_client_ping(c, NULL, e))
CALL_OF(CREATE_GROUP, PLAIN, ks_client_create_group(c, NULL, "staff", NULL, 0, uid, e))
CALL_OF(OBLITERATE, PLAIN, ks_client_obliterate(c, NULL, "a", e))
CALL_OF(CREATE_USER, PLAIN, ks_client_create_user(c, NULL, &(struct ks_new_user){.name = "ada", .credentials = some_uids, .n_credentials = 1}, uid, e))
CALL_OF(CREATE_CREDENTIAL, PLAIN, ks_client_create_credential(c, NULL, &(struct ks_new_credential){.type = KMIP_CREDENTIAL_TYPE_PASSWORD, .password = "secret"}, uid, e))
CALL_OF(DEACTIVATE, PLAIN, ks_client_deactivate(c, NULL, "a", 0, NULL, e))
CALL_OF(SERVER_STATUS, RESULT(ks_status), ks_client_status(c, NULL, ret, e))
CALL_OF(UNSEAL, bool sealed, ks_client_unseal(c, NULL, some, &sealed, e))
CALL_OF(ENROLL_TOKEN_CREATE, RESULT(ks_enroll_token), ks_client_enroll_token_create(c, NULL, "m", NULL, 0, NULL, ret, e))
CALL_OF(CLIENT_LIST, RESULT(ks_client_entries), ks_client_list(c, NULL, ret, e))
CALL_OF(CLIENT_REVOKE, PLAIN, ks_client_revoke_client(c, NULL, "m", e))
CALL_OF(SUSPEND, PLAIN, ks_client_suspend(c, NULL, "a", false, "why", e))
CALL_OF(RESUME, bool resumed, ks_client_resume(c, NULL, "a", &resumed, e))
CALL_OF(LISTENER_SET, PLAIN, ks_client_listener_set(c, NULL, &(struct ks_listener){0}, e))
/* clang-format on */

static int
call_DISCOVER_VERSIONS(struct ks_client *c, struct ks_error *e)
{
    struct ks_versions *versions = NULL;
    const int rc = ks_client_discover_versions(c, NULL, &versions, e);
    ks_versions_free(versions); /* the peer answers this itself */
    return rc;
}

/* Without a client (test_client.c has it), and in a program of its own. */
static int
call_ENROLL(struct ks_client *c, struct ks_error *e)
{
    (void)c;
    (void)e;
    return KS_E_DENIED;
}

static const struct {
    uint32_t operation;
    int (*call)(struct ks_client *client, struct ks_error *error);
} calls[] = {
#define CLIENT_CALL(OPERATION, function, command) {KMIP_OPERATION_##OPERATION, call_##OPERATION},
#define CLIENT_NO_CALL(OPERATION, why, command)
#include "client/calls.def"
#undef CLIENT_CALL
#undef CLIENT_NO_CALL
};

static enum peer_action
note_and_refuse(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    atomic_uint *asked = peer->arg;
    atomic_store(asked, request->operation);
    for (size_t i = 0; i < request->message->n_batch_item && i < 8; i++) {
        reply->status[i] = KMIP_RESULT_STATUS_OPERATION_FAILED;
        reply->reason[i] = KMIP_RESULT_REASON_PERMISSION_DENIED;
    }
    return PEER_ANSWER;
}

static void
every_call_sends_its_operation(void **state)
{
    (void)state;
    for (enum kmip_version version = KMIP_V2_1; version <= KMIP_V3_0; version++) {
        atomic_uint asked = 0;
        char settings[32];
        struct peer peer = start(note_and_refuse, KMIP_V3_0);
        peer.arg = &asked;
        peer_start(&peer);
        snprintf(settings, sizeof(settings), "versions=%s", version == KMIP_V3_0 ? "3.0" : "2.1");
        struct ks_client *client = CLIENT(&world, settings, &peer);
        for (size_t i = 0; i < KS_ARRAY_LEN(calls); i++) {
            const struct kmip_operation *op = kmip_operation_find(calls[i].operation);
            struct ks_error error = {0};
            atomic_store(&asked, 0);
            const int rc = calls[i].call(client, &error);
            if (version < op->since) {
                assert_int_equal(rc, KS_E_UNSUPPORTED);
                assert_int_equal(asked, 0);
                continue;
            }
            if (calls[i].operation == KMIP_OPERATION_DISCOVER_VERSIONS && rc == 0)
                continue;
            if (rc != KS_E_DENIED)
                fail_msg("%s: %d, %s", op->name, rc, error.message);
            if (calls[i].operation != (uint32_t)KMIP_OPERATION_ENROLL && asked != calls[i].operation)
                fail_msg("%s: operation 0x%08x was sent", op->name, asked);
        }
        stop(&peer, client);
    }
}

/* ---- What is sent, and what is made of answers ---- */

static enum peer_action
with_ticket(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    if (request->operation == KMIP_OPERATION_DELEGATED_LOGIN) {
        const struct kmip_delegated_login_request *r = payload_of(request, 0);
        EXPECT(r->lease_time != NULL && r->lease_time->u32 == 600 && r->has_request_count && r->request_count == 3);
        EXPECT(r->usage_limits == NULL && r->rights->n_right == 1);
        const struct kmip_right *got = r->rights->right[0];
        EXPECT(got->operations->n_operation == 1 && got->operations->operation[0] == KMIP_OPERATION_GET);
        EXPECT(got->objects->n_unique_identifier == 2 && got->object_groups->n_object_group == 1);
        EXPECT(got->usage_limits->usage_limits_total == 9);
        struct kmip_delegated_login_response *response = ks_arena_alloc(reply->arena, sizeof(*response));
        response->ticket = ks_arena_alloc(reply->arena, sizeof(*response->ticket));
        *response->ticket =
            (struct kmip_ticket){.ticket_type = KMIP_TICKET_TYPE_LOGIN, .ticket_value = KS_LIT("a ticket")};
        reply->payload[0] = response;
        return PEER_ANSWER;
    }
    const struct kmip_authentication *shown = request->message->request_header->authentication;
    void *value = NULL;
    EXPECT(request->operation == KMIP_OPERATION_PING && shown != NULL && shown->n_credential == 1);
    if (shown != NULL) {
        EXPECT(shown->credential[0]->credential_type == KMIP_CREDENTIAL_TYPE_TICKET);
        EXPECT(kmip_item_decode(&kmip_schema_ticket_credential, KMIP_V2_1, shown->credential[0]->credential_value,
                                reply->arena, &value, NULL) == 0);
        EXPECT(ks_span_is(((struct kmip_ticket_credential *)value)->ticket->ticket_value, "a ticket"));
    }
    reply->payload[0] = ks_arena_alloc(reply->arena, sizeof(struct kmip_ping_response));
    return PEER_ANSWER;
}

static void
tickets_are_had_and_shown(void **state)
{
    (void)state;
    struct peer peer = start(with_ticket, KMIP_V2_1);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    const uint32_t operations[] = {KMIP_OPERATION_GET};
    const char *const groups[] = {"g"};
    const struct ks_right given = {.operations = operations,
                                   .n_operations = 1,
                                   .uids = some_uids,
                                   .n_uids = 2,
                                   .groups = groups,
                                   .n_groups = 1,
                                   .usage_unit = KMIP_USAGE_LIMITS_UNIT_OBJECT,
                                   .usage_total = 9};
    struct ks_error error = {0};
    struct ks_ticket *ticket = NULL;
    assert_int_equal(ks_client_delegated_login(client, NULL, &(struct ks_login){.lease_s = 600, .requests = 3}, &given,
                                               1, &ticket, &error),
                     0);
    assert_int_equal(ticket->value.len, 8);
    assert_int_equal(ks_client_ping(client, &(struct ks_call){.ticket = ticket->value}, &error), 0);
    ks_ticket_free(ticket);
    stop(&peer, client);
}

/* Before 2.0 there are none: nothing is sent without what was to be shown. */
static void
a_ticket_is_never_left_out(void **state)
{
    (void)state;
    struct peer peer = start(NULL, KMIP_V1_4);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "versions=1.4", &peer);
    struct ks_error error = {0};
    struct ks_uids *uids = NULL;
    const struct ks_call call = {.ticket = some};
    assert_int_equal(ks_client_locate(client, &call, &(struct ks_locate){0}, &uids, &error), KS_E_UNSUPPORTED);
    assert_message(error, "ticket");
    assert_int_equal(peer.n_requests, 0);
    stop(&peer, client);
}

static enum peer_action
with_rules(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    (void)request;
    struct kmip_get_constraints_response *response = ks_arena_alloc(reply->arena, sizeof(*response));
    struct kmip_constraints *all = ks_arena_alloc(reply->arena, sizeof(*all));
    struct kmip_constraint *one = ks_arena_alloc(reply->arena, sizeof(*one));
    one->object_types = ks_arena_alloc(reply->arena, sizeof(*one->object_types));
    one->object_types->object_type = ks_arena_array(reply->arena, 1, sizeof(uint32_t));
    one->object_types->object_type[0] = KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
    one->object_types->n_object_type = 1;
    one->attributes.present = true;
    struct kmip_item *item = kmip_item_new(reply->arena, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, KMIP_TYPE_INTEGER);
    item->i32 = 256;
    (void)kmip_attrs_add(reply->arena, &one->attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, item);
    all->constraint = ks_arena_array(reply->arena, 1, sizeof(void *));
    all->constraint[0] = one;
    all->n_constraint = 1;
    response->constraints = all;
    reply->payload[0] = response;
    return PEER_ANSWER;
}

static void
constraints_come_whole(void **state)
{
    (void)state;
    struct peer peer = start(with_rules, KMIP_V2_1);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    struct ks_rules *rules = NULL;
    assert_int_equal(ks_client_get_constraints(client, NULL, &rules, &error), 0);
    assert_int_equal(rules->n, 1);
    assert_int_equal(rules->v[0].n_object_types, 1);
    assert_int_equal(rules->v[0].object_types[0], KMIP_OBJECT_TYPE_SYMMETRIC_KEY);
    assert_int_equal(rules->v[0].n_groups, 0);
    assert_int_equal(rules->v[0].n_attributes, 1);
    assert_int_equal(rules->v[0].attributes[0].value.integer, 256);
    ks_rules_free(rules);
    stop(&peer, client);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_has_a_row), cmocka_unit_test(every_call_sends_its_operation),
        cmocka_unit_test(tickets_are_had_and_shown), cmocka_unit_test(a_ticket_is_never_left_out),
        cmocka_unit_test(constraints_come_whole),
    };
    world_start(&world);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_stop(&world);
    return failed;
}
