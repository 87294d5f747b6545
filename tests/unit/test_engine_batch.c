/* Messages and batches: placeholders, stop, continue and undo, sizes, versions, and what is not understood. */
#include "engine_talk.h"

enum { MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT };

static struct kmip_create_request
new_key(struct talk *t, const char *name)
{
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, MASK);
    put_name(t, &r.attributes, name);
    return r;
}

static size_t
count_named(struct talk *t, const char *name)
{
    struct kmip_locate_request r = {.attributes = {.present = true}};
    put_name(t, &r.attributes, name);
    const struct kmip_locate_response *response = talk_do(t, KMIP_OPERATION_LOCATE, &r);
    return response->n_unique_identifier;
}

static void
the_placeholder_is_the_last_object(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_create_request create = new_key(&t, "k");
    const struct kmip_activate_request activate = {0};
    const struct kmip_get_request get = {
        .unique_identifier = {.type = KMIP_TYPE_ENUMERATION, .number = KMIP_UNIQUE_IDENTIFIER_CREATE}};
    const struct talk_item items[] = {
        {KMIP_OPERATION_CREATE, &create}, {KMIP_OPERATION_ACTIVATE, &activate}, {KMIP_OPERATION_GET, &get}};
    const struct kmip_response_message *r = talk_batch(&t, items, 3);
    assert_int_equal(r->n_batch_item, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(r->batch_item[i]->result_status, KMIP_RESULT_STATUS_SUCCESS);
        assert_int_equal(ks_be32(r->batch_item[i]->unique_batch_item_id.data), i + 7);
    }
    const struct kmip_create_response *made = r->batch_item[0]->payload;
    const struct kmip_get_response *got = r->batch_item[2]->payload;
    assert_true(ks_span_equal(made->unique_identifier.text, got->unique_identifier.text));
    talk_refused(&t, KMIP_OPERATION_ACTIVATE, &activate, KMIP_RESULT_REASON_MISSING_DATA);
    assert_int_equal(t.rig.reply.job.n_records, 1);
    talk_close(&t);
}

/* One good item, one that fails, one good item: what each option makes of it. */
static void
stop_continue_undo(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t option;
        size_t answered, a, b;
    } expected[] = {{KMIP_BATCH_ERROR_CONTINUATION_OPTION_STOP, 2, 1, 0},
                    {KMIP_BATCH_ERROR_CONTINUATION_OPTION_CONTINUE, 3, 1, 1},
                    {KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO, 2, 0, 0},
                    {0, 2, 1, 0}};
    for (size_t i = 0; i < KS_ARRAY_LEN(expected); i++) {
        struct talk t;
        talk_open(&t);
        const struct kmip_create_request a = new_key(&t, "a"), b = new_key(&t, "b");
        const struct kmip_destroy_request none = {.unique_identifier = uid("nothing")};
        const struct talk_item items[] = {
            {KMIP_OPERATION_CREATE, &a}, {KMIP_OPERATION_DESTROY, &none}, {KMIP_OPERATION_CREATE, &b}};
        t.option = expected[i].option;
        const struct kmip_response_message *r = talk_batch(&t, items, 3);
        assert_int_equal(r->n_batch_item, expected[i].answered);
        assert_int_equal(t.rig.reply.job.n_records, expected[i].answered);
        assert_int_equal(r->batch_item[0]->result_status,
                         expected[i].a != 0 ? KMIP_RESULT_STATUS_SUCCESS : KMIP_RESULT_STATUS_OPERATION_UNDONE);
        assert_int_equal(r->batch_item[1]->result_reason, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
        t.option = 0;
        assert_int_equal(count_named(&t, "a"), expected[i].a);
        assert_int_equal(count_named(&t, "b"), expected[i].b);
        assert_int_equal(rig_reload(&t.rig, NULL), 0);
        assert_int_equal(count_named(&t, "a"), expected[i].a);
        talk_close(&t);
    }
}

static void
undo_brings_back_what_was(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "old", MASK);
    const struct ks_span bytes = key_bytes(&t, id);
    const struct kmip_activate_request activate = {.unique_identifier = uid(id)};
    const struct kmip_re_key_request re_key = {.unique_identifier = uid(id)};
    struct kmip_revocation_reason why = {.revocation_reason_code = KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE};
    const struct kmip_revoke_request revoke = {.unique_identifier = uid(id), .revocation_reason = &why};
    const struct kmip_destroy_request destroy = {.unique_identifier = uid(id)};
    const struct talk_item items[] = {{KMIP_OPERATION_ACTIVATE, &activate},
                                      {KMIP_OPERATION_RE_KEY, &re_key},
                                      {KMIP_OPERATION_REVOKE, &revoke},
                                      {KMIP_OPERATION_DESTROY, &destroy},
                                      {KMIP_OPERATION_DESTROY, &destroy}};
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
    const struct kmip_response_message *r = talk_batch(&t, items, 5);
    assert_int_equal(r->n_batch_item, 5);
    assert_int_equal(r->batch_item[4]->result_reason, KMIP_RESULT_REASON_OBJECT_DESTROYED);
    assert_int_equal(t.rig.reply.job.n_changes, 0);
    assert_non_null(strstr(records(&t), "undone"));
    t.option = 0;
    assert_int_equal(state_of(&t, id), KMIP_STATE_PRE_ACTIVE);
    assert_int_equal(count_named(&t, "old"), 1);
    assert_true(ks_span_equal(key_bytes(&t, id), bytes));
    talk_close(&t);
}

static void
what_cannot_be_undone_stands_alone(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.admin;
    const struct kmip_enroll_token_create_request token = {.client_name = KS_LIT("db1")};
    const struct kmip_query_request query = {.n_query_function = 1,
                                             .query_function = (uint32_t[]){KMIP_QUERY_FUNCTION_QUERY_OBJECTS}};
    const struct talk_item items[] = {{KMIP_OPERATION_ENROLL_TOKEN_CREATE, &token}, {KMIP_OPERATION_QUERY, &query}};
    const struct kmip_response_message *r = talk_batch(&t, items, 2);
    assert_int_equal(r->batch_item[0]->result_reason, KMIP_RESULT_REASON_FEATURE_NOT_SUPPORTED);
    talk_close(&t);
}

static void
an_answer_that_is_too_large_changes_nothing(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_create_request a = new_key(&t, "a");
    const struct kmip_get_attributes_request all = {0};
    const struct talk_item items[] = {{KMIP_OPERATION_CREATE, &a}, {KMIP_OPERATION_GET_ATTRIBUTES, &all}};
    t.max_response = 600;
    const struct kmip_response_message *r = talk_batch(&t, items, 2);
    assert_int_equal(r->batch_item[0]->result_reason, KMIP_RESULT_REASON_RESPONSE_TOO_LARGE);
    assert_int_equal(r->batch_item[1]->result_reason, KMIP_RESULT_REASON_RESPONSE_TOO_LARGE);
    assert_int_equal(t.rig.reply.job.n_changes, 0);
    assert_int_equal(t.rig.reply.job.n_records, 2);
    assert_null(strstr(records(&t), "success"));
    t.max_response = 0;
    assert_int_equal(count_named(&t, "a"), 0);
    talk_close(&t);
}

static const struct kmip_response_message *
raw(struct talk *t, struct ks_span request)
{
    struct kmip_response_message *r;
    struct ks_span copy;
    const struct ks_span answer = rig_ask(&t->rig, t->who, request);
    assert_true(answer.len != 0);
    assert_int_equal(ks_arena_span(&t->arena, answer, &copy), 0);
    assert_int_equal(kmip_response_decode(copy, &kmip_limits_default, &t->arena, &r, NULL), 0);
    assert_int_equal(r->n_batch_item, 1);
    assert_int_equal(r->batch_item[0]->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    assert_int_equal(t->rig.reply.job.n_records, 1);
    return r;
}

/* A request for Discover Versions with that version and Batch Count. */
static size_t
discover(uint8_t *b, uint32_t major, uint32_t minor, uint32_t count)
{
    static const uint8_t frame[] = {
        0x42, 0, 0x78, 1, 0, 0, 0, 0x60, /* Request Message */
        0x42, 0, 0x77, 1, 0, 0, 0, 0x38, /* Request Header */
        0x42, 0, 0x69, 1, 0, 0, 0, 0x20, /* Protocol Version */
        0x42, 0, 0x6a, 2, 0, 0, 0, 4,    0, 0,    0, 0,    0, 0, 0, 0, 0x42, 0, 0x6b, 2, 0, 0, 0, 4, 0,
        0,    0, 0,    0, 0, 0, 0, 0x42, 0, 0x0d, 2, 0,    0, 0, 4, 0, 0,    0, 0,    0, 0, 0, 0, /* Batch Count */
        0x42, 0, 0x0f, 1, 0, 0, 0, 0x18,                                                          /* Batch Item */
        0x42, 0, 0x5c, 5, 0, 0, 0, 4,    0, 0,    0, 0x1e, 0, 0, 0, 0, 0x42, 0, 0x79, 1, 0, 0, 0, 0,
    };
    memcpy(b, frame, sizeof(frame));
    ks_put_be32(b + 32, major);
    ks_put_be32(b + 48, minor);
    ks_put_be32(b + 64, count);
    return sizeof(frame);
}

static void
versions_and_damage(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t major, minor, best_major, best_minor, reason;
    } expected[] = {{1, 9, 1, 4, KMIP_RESULT_REASON_INVALID_MESSAGE},
                    {2, 7, 2, 1, KMIP_RESULT_REASON_UNSUPPORTED_PROTOCOL_VERSION},
                    {9, 0, 2, 1, KMIP_RESULT_REASON_UNSUPPORTED_PROTOCOL_VERSION},
                    {0, 1, 1, 0, KMIP_RESULT_REASON_INVALID_MESSAGE}};
    struct talk t;
    uint8_t b[256];
    talk_open(&t);
    for (size_t i = 0; i < KS_ARRAY_LEN(expected); i++) {
        const size_t n = discover(b, expected[i].major, expected[i].minor, 1);
        const struct kmip_response_message *r = raw(&t, KS_SPAN(b, n));
        assert_int_equal(r->response_header->protocol_version->protocol_version_major, expected[i].best_major);
        assert_int_equal(r->response_header->protocol_version->protocol_version_minor, expected[i].best_minor);
        assert_int_equal(r->batch_item[0]->result_reason, expected[i].reason);
    }
    const size_t n = discover(b, 1, 4, 2);
    assert_int_equal(raw(&t, KS_SPAN(b, n))->batch_item[0]->result_reason, KMIP_RESULT_REASON_INVALID_MESSAGE);
    for (size_t cut = 0; cut < n; cut += 8) {
        (void)discover(b, 1, 4, 1);
        assert_int_equal(raw(&t, KS_SPAN(b, cut))->batch_item[0]->result_reason, KMIP_RESULT_REASON_INVALID_MESSAGE);
    }
    talk_close(&t);
}

/* A header that is wrong behind its version, is answered in that version. */
static void
a_fault_is_answered_in_the_version_of_the_request(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t major, minor;
    } versions[] = {{1, 0}, {1, 2}, {1, 4}, {2, 0}, {2, 1}, {3, 0}};
    enum { TYPE_OF_BATCH_COUNT = 59 };
    struct talk t;
    uint8_t b[256];
    talk_open(&t);
    for (size_t i = 0; i < KS_ARRAY_LEN(versions); i++) {
        const size_t n = discover(b, versions[i].major, versions[i].minor, 1);
        b[TYPE_OF_BATCH_COUNT] = KMIP_TYPE_ENUMERATION;
        const struct kmip_response_message *r = raw(&t, KS_SPAN(b, n));
        assert_int_equal(r->response_header->protocol_version->protocol_version_major, versions[i].major);
        assert_int_equal(r->response_header->protocol_version->protocol_version_minor, versions[i].minor);
        assert_int_equal(r->batch_item[0]->result_reason, KMIP_RESULT_REASON_INVALID_MESSAGE);
    }
    talk_close(&t);
    const struct engine_config off = {.kmip_3_0 = ENGINE_3_0_OFF};
    talk_open_with(&t, &off);
    const size_t n = discover(b, 3, 0, 1);
    b[TYPE_OF_BATCH_COUNT] = KMIP_TYPE_ENUMERATION;
    assert_int_equal(raw(&t, KS_SPAN(b, n))->response_header->protocol_version->protocol_version_major, 2);
    talk_close(&t);
}

static void
correlation_values_are_for_those_who_use_them(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_query_request query = {.n_query_function = 1,
                                             .query_function = (uint32_t[]){KMIP_QUERY_FUNCTION_QUERY_OPERATIONS}};
    for (int v = KMIP_V1_0; v <= KMIP_V2_1; v++) {
        t.version = (enum kmip_version)v;
        const struct kmip_query_response *r = talk_do(&t, KMIP_OPERATION_QUERY, &query);
        assert_false(t.response->response_header->has_server_correlation_value);
        t.correlation = "mine";
        r = talk_do(&t, KMIP_OPERATION_QUERY, &query);
        assert_int_equal(t.response->response_header->has_server_correlation_value, t.version >= KMIP_V1_4);
        assert_int_equal(t.response->response_header->has_client_correlation_value, t.version >= KMIP_V1_4);
        t.correlation = NULL;
        bool encrypt = false;
        for (size_t i = 0; i < r->n_operation; i++)
            encrypt = encrypt || r->operation[i] == KMIP_OPERATION_ENCRYPT;
        assert_int_equal(encrypt, t.version >= KMIP_V1_2);
    }
    talk_close(&t);
}

static void
operations_of_other_versions_are_refused(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V1_0;
    const struct kmip_discover_versions_request d = {0};
    talk_refused(&t, KMIP_OPERATION_DISCOVER_VERSIONS, &d, KMIP_RESULT_REASON_OPERATION_NOT_SUPPORTED);
    t.version = KMIP_V1_1;
    const struct kmip_discover_versions_response *r = talk_do(&t, KMIP_OPERATION_DISCOVER_VERSIONS, &d);
    assert_int_equal(r->n_protocol_version, 7);
    assert_int_equal(r->protocol_version[0]->protocol_version_major, 2);
    talk_close(&t);
}

static void
records_that_do_not_fit_leave_one_that_says_so(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    enum { N = 1000 };
    static struct talk_item items[N];
    static char odd[1025];
    memset(odd, 1, sizeof(odd) - 1); /* six characters each in a record */
    struct identity who = t.rig.admin;
    who.subject = who.serial = who.tls = ks_span_str(odd);
    t.who = &who;
    t.correlation = odd;
    const struct kmip_discover_versions_request ask = {0};
    for (size_t i = 0; i < N; i++)
        items[i] = (struct talk_item){KMIP_OPERATION_DISCOVER_VERSIONS, &ask};
    assert_null(talk_batch(&t, items, N));
    assert_true(t.rig.reply.drop);
    assert_int_equal(t.rig.reply.job.n_changes, 0);
    assert_int_equal(t.rig.reply.job.n_records, 1);
    const struct ks_span record = t.rig.reply.job.records[0];
    assert_non_null(memmem(record.data, record.len, "\"status\":\"failed\"", 17));
    assert_non_null(memmem(record.data, record.len, "nothing of it was carried out", 29));

    /* The same where memory ends before anything is known of the request. */
    t.who = &t.rig.admin;
    t.correlation = NULL;
    const size_t limit = t.rig.reply.arena.limit;
    size_t unanswered = 0;
    for (size_t few = 100; few < 4000; few += 100) {
        t.rig.reply.arena.limit = few;
        const bool answered = talk_batch(&t, items, 2) != NULL;
        assert_int_equal(t.rig.reply.drop, !answered);
        assert_true(t.rig.reply.job.n_records >= 1);
        unanswered += !answered;
    }
    assert_true(unanswered > 1);
    t.rig.reply.arena.limit = limit;
    assert_non_null(talk_batch(&t, items, 2));
    talk_close(&t);
}

/* 2.x: 4.58: from 0 among the identifiers of the answers, or back from the item that asks. */
static void
results_have_positions(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    t.version = KMIP_V2_1;
    struct kmip_create_key_pair_request pair = {.common_attributes = {.present = true},
                                                .private_attributes = {.present = true},
                                                .public_attributes = {.present = true}};
    put_number(&t, &pair.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC);
    put_number(&t, &pair.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(&t, &pair.private_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
    put_number(&t, &pair.public_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
    struct kmip_create_request create = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                         .attributes = {.present = true}};
    put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 128);
    put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    static const struct {
        int32_t position;
        uint32_t type; /* 0: there is none */
    } asked[] = {{0, KMIP_OBJECT_TYPE_PRIVATE_KEY},
                 {1, KMIP_OBJECT_TYPE_PUBLIC_KEY},
                 {2, KMIP_OBJECT_TYPE_SYMMETRIC_KEY},
                 {-1, KMIP_OBJECT_TYPE_SYMMETRIC_KEY},
                 {-3, KMIP_OBJECT_TYPE_PRIVATE_KEY},
                 {3, 0},
                 {-4, 0},
                 {INT32_MIN, 0}};
    for (size_t i = 0; i < KS_ARRAY_LEN(asked); i++) {
        struct kmip_attr_ref ref = {.tag = KMIP_TAG_OBJECT_TYPE, .index = -1};
        const struct kmip_get_attributes_request get = {
            .unique_identifier = {.type = KMIP_TYPE_INTEGER, .number = (uint32_t)asked[i].position},
            .attribute_refs = {.n = 1, .v = &ref}};
        const struct talk_item items[] = {{KMIP_OPERATION_CREATE_KEY_PAIR, &pair},
                                          {KMIP_OPERATION_CREATE, &create},
                                          {KMIP_OPERATION_GET_ATTRIBUTES, &get}};
        const struct kmip_response_message *got = talk_batch(&t, items, 3);
        const struct kmip_response_batch_item *last = got->batch_item[2];
        if (asked[i].type == 0) {
            assert_int_equal(last->result_reason, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
            continue;
        }
        assert_int_equal(last->result_status, KMIP_RESULT_STATUS_SUCCESS);
        const struct kmip_get_attributes_response *values = last->payload;
        assert_int_equal(values->attributes.first->value->u32, asked[i].type);
    }
    talk_close(&t);
}

/* The end of a Link may be said so too, and is kept as the identifier that it is. */
static void
links_lead_to_results(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    t.version = KMIP_V2_1;
    const char *from = make_key(&t, "from", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    static const struct kmip_uid ends[] = {{.type = KMIP_TYPE_INTEGER, .number = 0},
                                           {.type = KMIP_TYPE_ENUMERATION, .number = KMIP_UNIQUE_IDENTIFIER_CREATE}};
    for (size_t i = 0; i < 2; i++) {
        struct kmip_create_request create = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                             .attributes = {.present = true}};
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 128);
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
        const struct kmip_link link = {.link_type = i == 0 ? KMIP_LINK_TYPE_PARENT_LINK : KMIP_LINK_TYPE_CHILD_LINK,
                                       .linked_object_identifier = ends[i]};
        struct kmip_add_attribute_request add = {.unique_identifier = uid(from), .new_attribute = {.present = true}};
        struct kmip_item *item;
        assert_int_equal(kmip_item_encode(&kmip_schema_link, KMIP_V2_1, &link, &t.arena, &item), 0);
        assert_non_null(kmip_attrs_add(&t.arena, &add.new_attribute, KMIP_TAG_LINK, item));
        const struct talk_item items[] = {{KMIP_OPERATION_CREATE, &create}, {KMIP_OPERATION_ADD_ATTRIBUTE, &add}};
        const struct kmip_response_message *got = talk_batch(&t, items, 2);
        assert_int_equal(got->batch_item[1]->result_status, KMIP_RESULT_STATUS_SUCCESS);
        const struct kmip_create_response *made = got->batch_item[0]->payload;
        const char *to = uid_string(&t, &made->unique_identifier);
        struct kmip_attr_ref ref = {.tag = KMIP_TAG_LINK, .index = -1};
        const struct kmip_get_attributes_request get = {.unique_identifier = uid(from),
                                                        .attribute_refs = {.n = 1, .v = &ref}};
        const struct kmip_get_attributes_response *values = talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTES, &get);
        const struct kmip_item *end =
            kmip_item_child(values->attributes.last->value, KMIP_TAG_LINKED_OBJECT_IDENTIFIER);
        assert_int_equal(end->type, KMIP_TYPE_TEXT_STRING);
        assert_true(ks_span_is(end->s, to));
    }
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_placeholder_is_the_last_object),
        cmocka_unit_test(stop_continue_undo),
        cmocka_unit_test(results_have_positions),
        cmocka_unit_test(links_lead_to_results),
        cmocka_unit_test(undo_brings_back_what_was),
        cmocka_unit_test(what_cannot_be_undone_stands_alone),
        cmocka_unit_test(an_answer_that_is_too_large_changes_nothing),
        cmocka_unit_test(versions_and_damage),
        cmocka_unit_test(a_fault_is_answered_in_the_version_of_the_request),
        cmocka_unit_test(correlation_values_are_for_those_who_use_them),
        cmocka_unit_test(operations_of_other_versions_are_refused),
        cmocka_unit_test(records_that_do_not_fit_leave_one_that_says_so),
    };
    return cmocka_run_group_tests_name("engine: batches", tests, NULL, NULL);
}
