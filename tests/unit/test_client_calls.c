/* client/: what typed calls send, what they make of answers, and refusals. */
#include "client_calls.h"

static const struct kmip_item *
attribute(const struct kmip_attrs *attrs, uint32_t tag)
{
    for (const struct kmip_attr *attr = attrs->first; attr != NULL; attr = attr->next)
        if (attr->tag == tag)
            return attr->value;
    return NULL;
}

static bool
has_name(const struct kmip_attrs *attrs, const char *name)
{
    const struct kmip_item *value = attribute(attrs, KMIP_TAG_NAME);
    const struct kmip_item *text = value != NULL ? kmip_item_child(value, KMIP_TAG_NAME_VALUE) : NULL;
    return text != NULL && ks_span_is(text->s, name);
}

/* ---- Refusals ---- */

/* Every value of every set, of which the Result Reasons are picked. */
static const struct {
    const char *set;
    uint32_t value;
} values[] = {
#define KMIP_ENUM_SET(set, text)
#define KMIP_ENUM(set, name, value, text, xml, since, until) {#set, (value)},
#include <keystead/spec/enums.def>
#undef KMIP_ENUM_SET
#undef KMIP_ENUM
};

static enum peer_action
refuse(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)request;
    const uint32_t *reason = peer->arg;
    reply->status[0] = KMIP_RESULT_STATUS_OPERATION_FAILED;
    reply->reason[0] = *reason;
    reply->text = "not now\r\n\x1b[31mAnd something nasty";
    return PEER_ANSWER;
}

static int
code_of(uint32_t reason)
{
    switch (reason) {
    case KMIP_RESULT_REASON_ITEM_NOT_FOUND:
    case KMIP_RESULT_REASON_OBJECT_NOT_FOUND:
    case KMIP_RESULT_REASON_ATTRIBUTE_NOT_FOUND:
    case KMIP_RESULT_REASON_ATTRIBUTE_INSTANCE_NOT_FOUND:
    case KMIP_RESULT_REASON_WRAPPING_OBJECT_NOT_FOUND:
    case KMIP_RESULT_REASON_INVALID_ASYNCHRONOUS_CORRELATION_VALUE:
        return KS_E_NOT_FOUND;
    case KMIP_RESULT_REASON_OPERATION_CANCELED_BY_REQUESTER:
        return KS_E_CANCELLED;
    case KMIP_RESULT_REASON_PERMISSION_DENIED:
    case KMIP_RESULT_REASON_NOT_AUTHORISED:
    case KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL:
        return KS_E_DENIED;
    case KMIP_RESULT_REASON_OBJECT_ALREADY_EXISTS:
    case KMIP_RESULT_REASON_NON_UNIQUE_NAME_ATTRIBUTE:
        return KS_E_EXISTS;
    case KMIP_RESULT_REASON_OPERATION_NOT_SUPPORTED:
    case KMIP_RESULT_REASON_FEATURE_NOT_SUPPORTED:
        return KS_E_UNSUPPORTED;
    case KMIP_RESULT_REASON_RESPONSE_TOO_LARGE:
        return KS_E_LIMIT;
    default:
        return KS_E_KMIP;
    }
}

static void
every_reason_is_told(void **state)
{
    (void)state;
    uint32_t reason = 0;
    struct peer peer = start(refuse, KMIP_V2_1);
    peer.arg = &reason;
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    size_t n = 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(values); i++) {
        if (strcmp(values[i].set, "RESULT_REASON") != 0)
            continue;
        n++;
        reason = values[i].value;
        struct ks_error error = {0};
        assert_int_equal(ks_client_destroy(client, NULL, "key-1", &error), code_of(reason));
        assert_int_equal(error.code, code_of(reason));
        assert_true(error.answered);
        assert_int_equal(error.result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
        assert_true(error.result_reason == reason);
        assert_int_equal(error.operation, KMIP_OPERATION_DESTROY);
        assert_false(error.maybe_done);
        assert_message(error, "cannot destroy key-1: ");
        assert_message(error, ks_client_enum_name(KMIP_TAG_RESULT_REASON, reason));
        for (const char *p = error.message; *p != '\0'; p++)
            assert_true((unsigned char)*p >= ' ');
    }
    assert_true(n > 60);
    assert_int_equal(peer.n_requests, n);
    assert_int_equal(peer.n_connections, 1);
    stop(&peer, client);
}

static enum peer_action
refuse_all(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    (void)request;
    reply->no_operation = true;
    reply->n_items = 1;
    reply->status[0] = KMIP_RESULT_STATUS_OPERATION_FAILED;
    reply->reason[0] = KMIP_RESULT_REASON_INVALID_MESSAGE;
    return PEER_ANSWER;
}

static void
a_message_that_was_not_understood_is_refused_as_a_whole(void **state)
{
    (void)state;
    struct peer peer = start(refuse_all, KMIP_V2_1);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    char uid[KS_UID_SIZE];
    assert_int_equal(ks_client_create(client, NULL, &(struct ks_create){.object.activate = true}, uid, &error),
                     KS_E_KMIP);
    assert_message(error, "Invalid Message");
    stop(&peer, client);
}

static enum peer_action
answer_something_else(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    (void)request;
    reply->operation = KMIP_OPERATION_ACTIVATE;
    return PEER_ANSWER;
}

static enum peer_action
answer_twice(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    (void)request;
    reply->operation = KMIP_OPERATION_DESTROY;
    reply->n_items = 2;
    return PEER_ANSWER;
}

static void
an_answer_must_fit_the_question(void **state)
{
    (void)state;
    peer_script *const scripts[] = {answer_something_else, answer_twice};
    for (size_t i = 0; i < KS_ARRAY_LEN(scripts); i++) {
        struct peer peer = start(scripts[i], KMIP_V2_1);
        peer_start(&peer);
        struct ks_client *client = CLIENT(&world, "", &peer);
        struct ks_error error = {0};
        assert_int_equal(ks_client_destroy(client, NULL, "key-1", &error), KS_E_MALFORMED);
        assert_message(error, "does not fit the request");
        assert_true(error.maybe_done);
        stop(&peer, client);
    }
}

/* ---- Making ---- */

static enum peer_action
expect_create(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    (void)reply;
    const struct kmip_create_request *create = payload_of(request, 0);
    EXPECT(request->message->n_batch_item == 2);
    EXPECT(request->message->batch_item[1]->operation == KMIP_OPERATION_ACTIVATE);
    EXPECT(((const struct kmip_activate_request *)payload_of(request, 1))->unique_identifier.type == 0);
    EXPECT(create->object_type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY);
    EXPECT(has_name(&create->attributes, "invoices"));
    const struct kmip_item *algorithm = attribute(&create->attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM);
    const struct kmip_item *length = attribute(&create->attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH);
    const struct kmip_item *mask = attribute(&create->attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK);
    const struct kmip_item *group = attribute(&create->attributes, KMIP_TAG_OBJECT_GROUP);
    EXPECT(algorithm != NULL && algorithm->u32 == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    EXPECT(length != NULL && length->i32 == 256);
    EXPECT(mask != NULL && mask->i32 == 12);
    EXPECT(group != NULL && ks_span_is(group->s, "payroll"));
    return PEER_ANSWER;
}

static void
create_says_what_is_wanted_in_every_version(void **state)
{
    (void)state;
    static const struct ks_attribute group = {.value = {.tag = KMIP_TAG_OBJECT_GROUP,
                                                        .type = KMIP_TYPE_TEXT_STRING,
                                                        .bytes = {(const uint8_t *)"payroll", 7}}};
    static const struct ks_create params = {
        .object = {.name = "invoices",
                   .algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                   .length = 256,
                   .usage_mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT,
                   .attributes = &group,
                   .n_attributes = 1,
                   .activate = true}};
    static const int newest[] = {-1, KMIP_V1_2, KMIP_V1_4, KMIP_V2_0, KMIP_V2_1};
    for (size_t i = 0; i < KS_ARRAY_LEN(newest); i++) {
        struct peer peer = start(expect_create, newest[i]);
        peer_start(&peer);
        struct ks_client *client = CLIENT(&world, "", &peer);
        char uid[KS_UID_SIZE] = "";
        assert_int_equal(ks_client_create(client, NULL, &params, uid, NULL), 0);
        assert_string_equal(uid, "key-1");
        stop(&peer, client);
    }
}

static enum peer_action
refuse_batches(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    if (request->message->n_batch_item > 1)
        return refuse_all(peer, request, reply);
    if (request->operation == KMIP_OPERATION_ACTIVATE) {
        const struct kmip_activate_request *activate = payload_of(request, 0);
        EXPECT(ks_span_is(activate->unique_identifier.text, "key-1"));
    }
    return PEER_ANSWER;
}

static void
a_server_without_batches_gets_two_messages(void **state)
{
    (void)state;
    struct peer peer = start(refuse_batches, KMIP_V1_4);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    char uid[KS_UID_SIZE] = "";
    assert_int_equal(ks_client_create(client, NULL, &(struct ks_create){.object.activate = true}, uid, NULL), 0);
    assert_string_equal(uid, "key-1");
    assert_int_equal(peer.n_requests, 3);
    stop(&peer, client);
}

static enum peer_action
refuse_second(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    (void)request;
    reply->status[1] = KMIP_RESULT_STATUS_OPERATION_FAILED;
    reply->reason[1] = KMIP_RESULT_REASON_PERMISSION_DENIED;
    return PEER_ANSWER;
}

static void
a_key_that_could_not_be_activated_is_told_of(void **state)
{
    (void)state;
    struct peer peer = start(refuse_second, KMIP_V1_4);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    char uid[KS_UID_SIZE] = "";
    assert_int_equal(ks_client_create(client, NULL, &(struct ks_create){.object.activate = true}, uid, &error),
                     KS_E_DENIED);
    assert_string_equal(uid, "key-1");
    assert_message(error, "cannot activate the new object key-1");
    stop(&peer, client);
}

static enum peer_action
expect_register(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)reply;
    const uint32_t *type = peer->arg;
    const struct kmip_register_request *r = payload_of(request, 0);
    EXPECT(r->object_type == *type);
    switch (*type) {
    case KMIP_OBJECT_TYPE_SYMMETRIC_KEY:
        EXPECT(r->object.symmetric_key != NULL &&
               r->object.symmetric_key->key_block->key_format_type == KMIP_KEY_FORMAT_TYPE_RAW &&
               r->object.symmetric_key->key_block->cryptographic_length == 128);
        break;
    case KMIP_OBJECT_TYPE_SECRET_DATA:
        EXPECT(r->object.secret_data != NULL &&
               r->object.secret_data->secret_data_type == KMIP_SECRET_DATA_TYPE_PASSWORD);
        break;
    case KMIP_OBJECT_TYPE_CERTIFICATE:
        EXPECT(r->object.certificate != NULL && r->object.certificate->certificate_value.len == 16);
        break;
    case KMIP_OBJECT_TYPE_PRIVATE_KEY:
        EXPECT(r->object.private_key != NULL);
        break;
    case KMIP_OBJECT_TYPE_PUBLIC_KEY:
        EXPECT(r->object.public_key != NULL);
        break;
    default:
        EXPECT(r->object.opaque_object != NULL);
        break;
    }
    return PEER_ANSWER;
}

static void
every_kind_of_object_can_be_registered(void **state)
{
    (void)state;
    static const uint32_t types[] = {KMIP_OBJECT_TYPE_SYMMETRIC_KEY, KMIP_OBJECT_TYPE_SECRET_DATA,
                                     KMIP_OBJECT_TYPE_CERTIFICATE,   KMIP_OBJECT_TYPE_PRIVATE_KEY,
                                     KMIP_OBJECT_TYPE_PUBLIC_KEY,    KMIP_OBJECT_TYPE_OPAQUE_OBJECT};
    uint32_t type = 0;
    struct peer peer = start(expect_register, KMIP_V2_1);
    peer.arg = &type;
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    char uid[KS_UID_SIZE] = "";
    struct ks_register params = {.object.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                                 .material = {(const uint8_t *)"0123456789abcdef", 16}};
    for (size_t i = 0; i < KS_ARRAY_LEN(types); i++) {
        params.object_type = type = types[i];
        assert_int_equal(ks_client_register(client, NULL, &params, uid, &error), 0);
        assert_string_equal(uid, "key-1");
    }
    params.object_type = KMIP_OBJECT_TYPE_SPLIT_KEY;
    assert_int_equal(ks_client_register(client, NULL, &params, uid, &error), KS_E_INVALID);
    params.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
    params.key_format = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY;
    assert_int_equal(ks_client_register(client, NULL, &params, uid, &error), KS_E_INVALID);
    params.key_format = 0;
    params.material.len = 0;
    assert_int_equal(ks_client_register(client, NULL, &params, uid, &error), KS_E_INVALID);
    assert_int_equal(peer.n_requests, KS_ARRAY_LEN(types));
    stop(&peer, client);
}

/* ---- Reading ---- */

static void
a_key_in_the_clear_is_not_taken_for_a_wrapped_one(void **state)
{
    (void)state;
    struct peer peer = start(NULL, KMIP_V1_4);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    struct ks_object *object = NULL;
    const struct ks_get params = {.uid = "key-1", .wrap = &(struct ks_wrap){.key_uid = "kek"}};
    assert_int_equal(ks_client_get(client, NULL, &params, &object, &error), KS_E_MALFORMED);
    assert_null(object);
    assert_message(error, "came in the clear");
    stop(&peer, client);
}

static enum peer_action
find(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    const int *n = peer->arg;
    if (request->operation == KMIP_OPERATION_GET_ATTRIBUTES) {
        if (*n < 0)
            return PEER_ANSWER;
        reply->status[0] = KMIP_RESULT_STATUS_OPERATION_FAILED;
        reply->reason[0] = KMIP_RESULT_REASON_ITEM_NOT_FOUND;
        return PEER_ANSWER;
    }
    const struct kmip_locate_request *locate = payload_of(request, 0);
    EXPECT(request->operation == KMIP_OPERATION_LOCATE);
    EXPECT(has_name(&locate->attributes, *n < 0 ? "key-1" : "invoices"));
    struct kmip_locate_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
    payload->n_unique_identifier = *n < 0 ? 0 : (size_t)*n;
    payload->unique_identifier =
        ks_arena_array(reply->arena, payload->n_unique_identifier + 1, sizeof(struct kmip_uid));
    for (int i = 0; i < *n; i++) {
        char uid[16];
        snprintf(uid, sizeof(uid), "uid-%d", i);
        payload->unique_identifier[i] = (struct kmip_uid){
            .type = KMIP_TYPE_TEXT_STRING, .text = KS_SPAN(ks_arena_dup(reply->arena, uid, strlen(uid)), strlen(uid))};
    }
    reply->payload[0] = payload;
    return PEER_ANSWER;
}

static void
names_and_identifiers_are_found(void **state)
{
    (void)state;
    int n = -1;
    struct peer peer = start(find, KMIP_V2_1);
    peer.arg = &n;
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    char uid[KS_UID_SIZE] = "";
    assert_int_equal(ks_client_find(client, NULL, "key-1", uid, &error), 0);
    assert_string_equal(uid, "key-1");
    const size_t before = peer.n_requests;
    const char *uuid = "0193c1f0-7d2a-7c3e-9a55-0242ac120002"; /* found with the first question, as a name is */
    assert_int_equal(ks_client_find(client, NULL, uuid, uid, &error), 0);
    assert_string_equal(uid, uuid);
    assert_int_equal(peer.n_requests, before + 1);
    n = 1;
    assert_int_equal(ks_client_find(client, NULL, "invoices", uid, &error), 0);
    assert_string_equal(uid, "uid-0");
    assert_int_equal(peer.n_requests, before + 2);
    n = 0;
    assert_int_equal(ks_client_find(client, NULL, "invoices", uid, &error), KS_E_NOT_FOUND);
    assert_message(error, "\"invoices\"");
    n = 3;
    assert_int_equal(ks_client_find(client, NULL, "invoices", uid, &error), KS_E_INVALID);
    assert_message(error, "uid-0, uid-1, uid-2");
    n = 99;
    assert_int_equal(ks_client_find(client, NULL, "invoices", uid, &error), KS_E_INVALID);
    assert_message(error, "and 91 more");
    assert_string_equal(uid, "uid-0"); /* untouched since */
    assert_int_equal(ks_client_find(client, NULL, "", uid, &error), KS_E_INVALID);
    stop(&peer, client);
}

static enum peer_action
one_is_missing(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    EXPECT(request->message->n_batch_item == 3);
    for (size_t i = 0; i < request->message->n_batch_item; i++) {
        const struct kmip_get_attributes_request *get = payload_of(request, i);
        if (ks_span_is(get->unique_identifier.text, "gone")) {
            reply->status[i] = KMIP_RESULT_STATUS_OPERATION_FAILED;
            reply->reason[i] = KMIP_RESULT_REASON_OBJECT_NOT_FOUND;
        }
    }
    return PEER_ANSWER;
}

static void
one_missing_object_does_not_spoil_a_list(void **state)
{
    (void)state;
    struct peer peer = start(one_is_missing, KMIP_V2_1);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    static const char *const uids[] = {"key-1", "gone", "key-1"};
    struct ks_attributes_list *list = NULL;
    struct ks_error error = {0};
    assert_int_equal(ks_client_get_attributes_many(client, NULL, uids, 3, NULL, 0, &list, &error), 0);
    assert_int_equal(list->n, 3);
    assert_int_equal(list->v[0].code, 0);
    assert_int_equal(list->v[1].code, KS_E_NOT_FOUND);
    assert_int_equal(list->v[2].code, 0);
    assert_string_equal(list->v[1].uid, "gone");
    assert_int_equal(peer.n_requests, 1);
    ks_attributes_list_free(list);
    assert_int_equal(ks_client_get_attributes_many(client, NULL, uids, 0, NULL, 0, &list, &error), 0);
    assert_int_equal(list->n, 0);
    assert_int_equal(peer.n_requests, 1); /* nothing to ask */
    ks_attributes_list_free(list);
    stop(&peer, client);
}

/* ---- What a version does not have is refused, not left out ---- */

static void
nothing_is_left_out_silently(void **state)
{
    (void)state;
    const struct ks_crypto_params salted = {.salt_length = 20};
    const struct {
        int newest;
        const char *part;
        struct ks_cipher cipher;
    } cases[] = {
        {-1, "Encrypt does not exist in KMIP 1.0", {.uid = "k"}},
        {KMIP_V1_1, "Encrypt does not exist in KMIP 1.1", {.uid = "k"}},
        {KMIP_V1_2, "does not exist in KMIP 1.2", {.uid = "k", .aad = {(const uint8_t *)"aad", 3}}},
        {KMIP_V1_3, "does not exist in KMIP 1.3", {.uid = "k", .aad = {(const uint8_t *)"aad", 3}}},
        {KMIP_V1_2, "does not exist in KMIP 1.2", {.uid = "k", .init = true}},
        {KMIP_V1_3, "does not exist in KMIP 1.3", {.uid = "k", .crypto = &salted}},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        struct peer peer = start(NULL, cases[i].newest);
        peer_start(&peer);
        struct ks_client *client = CLIENT(&world, "", &peer);
        struct ks_error error = {0};
        struct ks_cipher_result *result = NULL;
        assert_int_equal(ks_client_encrypt(client, NULL, &cases[i].cipher, &result, &error), KS_E_UNSUPPORTED);
        assert_message(error, cases[i].part);
        assert_int_equal(peer.n_requests, 0);
        stop(&peer, client);
    }
    static const struct ks_attribute sensitive = {
        .value = {.tag = KMIP_TAG_SENSITIVE, .type = KMIP_TYPE_BOOLEAN, .boolean = true}};
    struct peer peer = start(NULL, KMIP_V1_3);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    char uid[KS_UID_SIZE];
    assert_int_equal(ks_client_create(client, NULL,
                                      &(struct ks_create){.object = {.attributes = &sensitive, .n_attributes = 1}}, uid,
                                      &error),
                     KS_E_UNSUPPORTED);
    assert_message(error, "attribute Sensitive");
    assert_int_equal(peer.n_requests, 0);
    stop(&peer, client);
}

/* ---- Keystead's own ---- */

static enum peer_action
keystead(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    switch (request->operation) {
    case (uint32_t)KMIP_OPERATION_SERVER_STATUS: {
        struct kmip_server_status_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
        *payload = (struct kmip_server_status_response){
            .keystead_version = KS_LIT("9.8"), .server_sealed = true, .server_uptime = 77, .node_name = KS_LIT("node")};
        reply->payload[0] = payload;
        break;
    }
    case (uint32_t)KMIP_OPERATION_UNSEAL: {
        const struct kmip_unseal_request *unseal = payload_of(request, 0);
        EXPECT(ks_span_is(unseal->passphrase, "open sesame"));
        reply->payload[0] = ks_arena_alloc(reply->arena, sizeof(struct kmip_unseal_response));
        break;
    }
    case (uint32_t)KMIP_OPERATION_ENROLL_TOKEN_CREATE: {
        const struct kmip_enroll_token_create_request *create = payload_of(request, 0);
        EXPECT(ks_span_is(create->client_name, "db1") && create->has_client_role &&
               ks_span_is(create->client_role, "admin") && create->validity_interval == 900);
        struct kmip_enroll_token_create_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
        payload->enrollment_token = KS_LIT("ks1-00-00");
        payload->token_expiry_date = 1800000000;
        reply->payload[0] = payload;
        break;
    }
    case (uint32_t)KMIP_OPERATION_CLIENT_LIST: {
        struct kmip_client_list_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
        payload->client_entry = ks_arena_array(reply->arena, 1, sizeof(*payload->client_entry));
        payload->client_entry[0] = ks_arena_alloc(reply->arena, sizeof(**payload->client_entry));
        *payload->client_entry[0] = (struct kmip_client_entry){.client_name = KS_LIT("db1"),
                                                               .client_role = KS_LIT("client"),
                                                               .certificate_fingerprint = KS_LIT("aabb"),
                                                               .certificate_revoked = true};
        payload->n_client_entry = 1;
        reply->payload[0] = payload;
        break;
    }
    default: {
        struct kmip_client_revoke_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
        payload->client_name = KS_LIT("db1");
        reply->payload[0] = payload;
        break;
    }
    }
    return PEER_ANSWER;
}

static void
keysteads_own_operations(void **state)
{
    (void)state;
    static const int newest[] = {-1, KMIP_V2_1};
    for (size_t i = 0; i < KS_ARRAY_LEN(newest); i++) {
        struct peer peer = start(keystead, newest[i]);
        peer_start(&peer);
        struct ks_client *client = CLIENT(&world, "", &peer);
        struct ks_error error = {0};
        struct ks_status *status = NULL;
        assert_int_equal(ks_client_status(client, NULL, &status, &error), 0);
        assert_string_equal(status->server_version, "9.8");
        assert_true(status->sealed);
        assert_int_equal(status->objects, -1);
        assert_int_equal(status->uptime_s, 77);
        assert_int_equal(status->version.major, newest[i] < 0 ? 1 : 2);
        ks_status_free(status);
        bool sealed = true;
        assert_int_equal(
            ks_client_unseal(client, NULL, (struct ks_bytes){(const uint8_t *)"open sesame", 11}, &sealed, &error), 0);
        assert_false(sealed);
        struct ks_enroll_token *token = NULL;
        assert_int_equal(
            ks_client_enroll_token_create(client, NULL, "db1", "admin", 900, "iv-in-front", &token, &error), 0);
        assert_string_equal(token->text, "ks1-00-00");
        assert_int_equal(token->expires, 1800000000);
        ks_enroll_token_free(token);
        struct ks_client_entries *entries = NULL;
        assert_int_equal(ks_client_list(client, NULL, &entries, &error), 0);
        assert_int_equal(entries->n, 1);
        assert_string_equal(entries->v[0].fingerprint, "aabb");
        assert_true(entries->v[0].revoked);
        ks_client_entries_free(entries);
        assert_int_equal(ks_client_revoke_client(client, NULL, "db1", &error), 0);
        stop(&peer, client);
    }
}

/* ---- Later ---- */

static enum peer_action
patient(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    const struct kmip_request_header *header = request->message->request_header;
    const bool later = request->major == 1
                           ? header->has_asynchronous && header->asynchronous
                           : header->has_asynchronous_indicator &&
                                 header->asynchronous_indicator == KMIP_ASYNCHRONOUS_INDICATOR_MANDATORY;
    size_t *polls = peer->arg;
    switch (request->operation) {
    case KMIP_OPERATION_ARCHIVE:
        EXPECT(
            ks_span_is(((const struct kmip_archive_request *)payload_of(request, 0))->unique_identifier.text, "key-1"));
        if (later) {
            reply->status[0] = KMIP_RESULT_STATUS_OPERATION_PENDING;
            reply->pending = KS_LIT("abc");
        }
        return PEER_ANSWER;
    case KMIP_OPERATION_RECOVER: /* of 1.x: it may answer at once all the same */
        return PEER_ANSWER;
    case KMIP_OPERATION_POLL:
        EXPECT(!later &&
               ks_span_is(((const struct kmip_poll_request *)payload_of(request, 0))->asynchronous_correlation_value,
                          "abc"));
        if (++*polls == 1) {
            reply->status[0] = KMIP_RESULT_STATUS_OPERATION_PENDING;
            reply->pending = KS_LIT("abc");
        } else if (*polls == 2) {
            reply->operation = KMIP_OPERATION_ARCHIVE;
        } else {
            reply->operation = KMIP_OPERATION_ARCHIVE;
            reply->status[0] = KMIP_RESULT_STATUS_OPERATION_FAILED;
            reply->reason[0] = KMIP_RESULT_REASON_OPERATION_CANCELED_BY_REQUESTER;
        }
        return PEER_ANSWER;
    case KMIP_OPERATION_CANCEL: {
        struct kmip_cancel_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
        payload->asynchronous_correlation_value = KS_LIT("abc");
        payload->cancellation_result = KMIP_CANCELLATION_RESULT_UNABLE_TO_CANCEL;
        reply->payload[0] = payload;
        return PEER_ANSWER;
    }
    case KMIP_OPERATION_OBTAIN_LEASE: {
        struct kmip_obtain_lease_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
        payload->unique_identifier = (struct kmip_uid){.type = KMIP_TYPE_TEXT_STRING, .text = KS_LIT("key-1")};
        payload->lease_time = 300;
        payload->last_change_date = 1800000000;
        reply->payload[0] = payload;
        return PEER_ANSWER;
    }
    case KMIP_OPERATION_GET_USAGE_ALLOCATION:
        EXPECT(((const struct kmip_get_usage_allocation_request *)payload_of(request, 0))->usage_limits_count == 77);
        return PEER_ANSWER;
    default: {
        struct kmip_query_asynchronous_requests_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
        payload->asynchronous_request = ks_arena_array(reply->arena, 1, sizeof(void *));
        payload->asynchronous_request[0] = ks_arena_alloc(reply->arena, sizeof(**payload->asynchronous_request));
        *payload->asynchronous_request[0] =
            (struct kmip_asynchronous_request){.asynchronous_correlation_value = KS_LIT("abc"),
                                               .operation = KMIP_OPERATION_ARCHIVE,
                                               .submission_date = 1800000000000001,
                                               .processing_stage = KMIP_PROCESSING_STAGE_IN_PROCESS};
        payload->n_asynchronous_request = 1;
        reply->payload[0] = payload;
        return PEER_ANSWER;
    }
    }
}

static void
what_is_done_later(void **state)
{
    (void)state;
    static const int newest[] = {KMIP_V1_2, KMIP_V2_1};
    for (size_t i = 0; i < KS_ARRAY_LEN(newest); i++) {
        size_t polls = 0;
        struct peer peer = start(patient, newest[i]);
        peer.arg = &polls;
        peer_start(&peer);
        struct ks_client *client = CLIENT(&world, "", &peer);
        struct ks_error error = {0};
        struct ks_pending pending = {0};
        struct ks_poll_result *result = NULL;
        uint32_t outcome = 0;
        assert_int_equal(ks_client_archive(client, NULL, "key-1", &error), 0);
        assert_int_equal(ks_client_submit(client, NULL, KMIP_OPERATION_ARCHIVE, "key-1", &pending, &error), 0);
        assert_int_equal(pending.len, 3);
        assert_memory_equal(pending.value, "abc", 3);
        assert_int_equal(ks_client_poll(client, NULL, &pending, &result, &error), 0);
        assert_true(result->pending);
        ks_poll_result_free(result);
        assert_int_equal(ks_client_poll(client, NULL, &pending, &result, &error), 0);
        assert_false(result->pending);
        assert_int_equal(result->operation, KMIP_OPERATION_ARCHIVE);
        assert_int_equal(result->n, 1);
        assert_string_equal(result->uids[0], "key-1");
        ks_poll_result_free(result);
        assert_int_equal(ks_client_poll(client, NULL, &pending, &result, &error), KS_E_CANCELLED);
        assert_int_equal(ks_client_cancel(client, NULL, &pending, &outcome, &error), 0);
        assert_int_equal(outcome, KMIP_CANCELLATION_RESULT_UNABLE_TO_CANCEL);
        assert_int_equal(ks_client_submit(client, NULL, KMIP_OPERATION_RECOVER, "key-1", &pending, &error), 0);
        assert_int_equal(pending.len, 0);
        assert_int_equal(ks_client_submit(client, NULL, KMIP_OPERATION_REGISTER, "key-1", &pending, &error),
                         KS_E_INVALID);
        struct ks_lease lease = {0};
        assert_int_equal(ks_client_obtain_lease(client, NULL, "key-1", &lease, &error), 0);
        assert_int_equal(lease.seconds, 300);
        assert_int_equal(lease.last_change, 1800000000);
        assert_int_equal(ks_client_get_usage_allocation(client, NULL, "key-1", 77, &error), 0);
        struct ks_pending_list *list = NULL;
        const int rc = ks_client_pending(client, NULL, &list, &error);
        assert_int_equal(rc, newest[i] == KMIP_V2_1 ? 0 : KS_E_UNSUPPORTED);
        if (rc == 0) {
            assert_int_equal(list->n, 1);
            assert_memory_equal(list->v[0].pending.value, "abc", 3);
            assert_int_equal(list->v[0].operation, KMIP_OPERATION_ARCHIVE);
            assert_int_equal(list->v[0].stage, KMIP_PROCESSING_STAGE_IN_PROCESS);
            assert_int_equal(list->v[0].submitted_us, 1800000000000001);
        }
        ks_pending_list_free(list);
        stop(&peer, client);
    }
}

int
main(void)
{
    world_start(&world);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_is_told),
        cmocka_unit_test(a_message_that_was_not_understood_is_refused_as_a_whole),
        cmocka_unit_test(an_answer_must_fit_the_question),
        cmocka_unit_test(create_says_what_is_wanted_in_every_version),
        cmocka_unit_test(a_server_without_batches_gets_two_messages),
        cmocka_unit_test(a_key_that_could_not_be_activated_is_told_of),
        cmocka_unit_test(every_kind_of_object_can_be_registered),
        cmocka_unit_test(a_key_in_the_clear_is_not_taken_for_a_wrapped_one),
        cmocka_unit_test(names_and_identifiers_are_found),
        cmocka_unit_test(one_missing_object_does_not_spoil_a_list),
        cmocka_unit_test(nothing_is_left_out_silently),
        cmocka_unit_test(keysteads_own_operations),
        cmocka_unit_test(what_is_done_later),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_stop(&world);
    return failed;
}
