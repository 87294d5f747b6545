/* Objects that are not in memory, and the index of attributes. */
#include "engine_talk.h"

#include <stdio.h>

enum { MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT };

/* Nothing stays in memory from one request to the next. */
static const struct engine_config cold = {.node = {(const uint8_t *)"test", 4}, .object_memory = 1};

static void
overwrite(struct talk *t, const char *id, struct ks_span value)
{
    const struct store_change change = {
        .table = STORE_OBJECT, .key = ks_span_str(id), .value = value, .is_delete = value.len == 0};
    assert_int_equal(store_commit(t->rig.store, &change, 1, NULL), 0);
}

static size_t
located(struct talk *t, const char *vendor, const char *name, const char *value)
{
    struct kmip_locate_request r = {.attributes = {.present = true}};
    put_vendor(t, &r.attributes, vendor, name, value);
    const struct kmip_locate_response *found = talk_do(t, KMIP_OPERATION_LOCATE, &r);
    return found->n_unique_identifier;
}

static void
set_vendor(struct talk *t, uint32_t operation, const char *id, const char *value)
{
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    struct kmip_modify_attribute_request modify = {.unique_identifier = uid(id)};
    put_vendor(t, operation == KMIP_OPERATION_ADD_ATTRIBUTE ? &add.new_attribute : &modify.new_attribute, "x", "rack",
               value);
    talk_do(t, operation, operation == KMIP_OPERATION_ADD_ATTRIBUTE ? (const void *)&add : &modify);
}

/* The row that is read back is the one that was written last, or nothing is done with it. */
static void
rows_that_were_changed_meanwhile_are_not_served(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open_with(&t, &cold);
    const char *id = make_key(&t, "k", MASK), *other = make_key(&t, "other", MASK);
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    KS_CLEANUP(ks_buf_done) struct ks_buf before = KS_BUF(1 << 20), after = KS_BUF(1 << 20), mixed = KS_BUF(1 << 20);
    assert_int_equal(store_get(t.rig.store, STORE_OBJECT, ks_span_str(id), &before, NULL), 0);
    activate_key(&t, id);
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    assert_int_equal(store_get(t.rig.store, STORE_OBJECT, ks_span_str(id), &after, NULL), 0);
    assert_int_equal(state_of(&t, id), KMIP_STATE_COMPROMISED);
    /* An older row: sealed by us, and the key not revoked in it. */
    overwrite(&t, id, ks_buf_span(&before));
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_GENERAL_FAILURE);
    assert_non_null(strstr(records(&t), id));
    /* Other bytes, in every part of it. */
    for (size_t i = 0; i < after.len; i += 37) {
        after.data[i] ^= 1;
        overwrite(&t, id, ks_buf_span(&after));
        after.data[i] ^= 1;
        talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_GENERAL_FAILURE);
    }
    /* The metadata of now with the key material as it was sealed another time. */
    const size_t at = 13 + ks_be32(after.data + 9);
    ks_buf_add(&mixed, after.data, at);
    assert_int_equal(ks_buf_add(&mixed, before.data + before.len - 16, 16), 0);
    overwrite(&t, id, ks_buf_span(&mixed));
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_GENERAL_FAILURE);
    /* Gone. */
    overwrite(&t, id, KS_SPAN_NONE);
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_GENERAL_FAILURE);
    /* A search passes over it, and others are served. */
    struct kmip_locate_request all = {.attributes = {.present = true}};
    const struct kmip_locate_response *found = talk_do(&t, KMIP_OPERATION_LOCATE, &all);
    assert_int_equal(found->n_unique_identifier, 1);
    assert_int_equal(key_bytes(&t, other).len, 32);
    overwrite(&t, id, ks_buf_span(&after));
    assert_int_equal(state_of(&t, id), KMIP_STATE_COMPROMISED);
    talk_close(&t);
}

/* A transition by date of an object that is not in memory is carried out. */
static void
dates_count_for_objects_that_are_not_in_memory(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open_with(&t, &cold);
    const char *id = make_key(&t, "k", MASK);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    put_number(&t, &add.new_attribute, KMIP_TAG_ACTIVATION_DATE, RIG_START_S + 1000);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    for (int i = 0; i < 10; i++)
        make_key(&t, NULL, MASK);
    assert_int_equal(state_of(&t, id), KMIP_STATE_PRE_ACTIVE);
    t.rig.now_us += INT64_C(1001) * 1000000;
    assert_int_equal(state_of(&t, id), KMIP_STATE_ACTIVE);
    /* One whose row is damaged holds up nobody; the trail says so. */
    const char *bad = make_key(&t, "bad", MASK);
    add.unique_identifier = uid(bad);
    add.new_attribute = (struct kmip_attrs){.present = true};
    put_number(&t, &add.new_attribute, KMIP_TAG_ACTIVATION_DATE, RIG_START_S + 2000);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    overwrite(&t, bad, KS_LIT("no row at all"));
    t.rig.now_us += INT64_C(2000) * 1000000;
    assert_int_equal(key_bytes(&t, id).len, 32);
    const char *next = make_key(&t, NULL, MASK);
    assert_int_equal(state_of(&t, next), KMIP_STATE_PRE_ACTIVE);
    talk_close(&t);
}

/* What is not committed stays in memory: it could not be read back. */
static void
what_is_not_committed_stays(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open_with(&t, &cold);
    const char *id = make_key(&t, "k", MASK);
    struct kmip_activate_request activate = {.unique_identifier = uid(id)};
    struct kmip_protocol_version version = {.protocol_version_major = 2, .protocol_version_minor = 1};
    struct kmip_request_header header = {.protocol_version = &version, .batch_count = 1};
    struct kmip_request_batch_item item = {.operation = KMIP_OPERATION_ACTIVATE, .payload = &activate}, *items = &item;
    const struct kmip_request_message message = {.request_header = &header, .batch_item = &items, .n_batch_item = 1};
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(65536);
    struct engine_reply kept;
    assert_int_equal(kmip_request_encode(&message, &request, NULL), 0);
    assert_int_equal(engine_reply_init(&kept), 0);
    engine_handle(t.rig.engine, t.who, ks_buf_span(&request), &kept);
    assert_int_equal(kept.job.n_changes, 1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(state_of(&t, id), KMIP_STATE_ACTIVE);
    assert_int_equal(store_commit(t.rig.store, kept.job.changes, kept.job.n_changes, NULL), 0);
    engine_committed(t.rig.engine, &kept);
    for (int i = 0; i < 10; i++)
        assert_int_equal(state_of(&t, id), KMIP_STATE_ACTIVE);
    engine_reply_done(&kept);
    talk_close(&t);
}

/* The index follows every change, one that is taken back too. */
static void
the_index_follows_changes(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *ids[40];
    for (size_t i = 0; i < KS_ARRAY_LEN(ids); i++) {
        ids[i] = make_key(&t, NULL, MASK);
        set_vendor(&t, KMIP_OPERATION_ADD_ATTRIBUTE, ids[i], i % 2 == 0 ? "even" : "odd");
    }
    assert_int_equal(located(&t, "x", "rack", "even"), 20);
    assert_int_equal(located(&t, "x", "rack", "odd"), 20);
    assert_int_equal(located(&t, "x", "other", "odd"), 0);
    set_vendor(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, ids[3], "even");
    assert_int_equal(located(&t, "x", "rack", "even"), 21);
    assert_int_equal(located(&t, "x", "rack", "odd"), 19);
    destroy_key(&t, ids[5]);
    assert_int_equal(located(&t, "x", "rack", "odd"), 18);
    /* A batch that is undone. */
    struct kmip_modify_attribute_request modify = {.unique_identifier = uid(ids[7])};
    put_vendor(&t, &modify.new_attribute, "x", "rack", "even");
    const struct kmip_get_request bad = {.unique_identifier = uid("no such object")};
    const struct talk_item both[] = {{KMIP_OPERATION_MODIFY_ATTRIBUTE, &modify}, {KMIP_OPERATION_GET, &bad}};
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
    talk_batch(&t, both, 2);
    t.option = 0;
    assert_int_equal(located(&t, "x", "rack", "even"), 21);
    assert_int_equal(located(&t, "x", "rack", "odd"), 18);
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    assert_int_equal(located(&t, "x", "rack", "even"), 21);
    assert_int_equal(located(&t, "x", "rack", "odd"), 18);
    /* What is destroyed is found where it is asked for. */
    struct kmip_locate_request r = {.attributes = {.present = true},
                                    .has_storage_status_mask = true,
                                    .storage_status_mask = KMIP_STORAGE_STATUS_MASK_DESTROYED_STORAGE};
    put_vendor(&t, &r.attributes, "x", "rack", "odd");
    const struct kmip_locate_response *found = talk_do(&t, KMIP_OPERATION_LOCATE, &r);
    assert_int_equal(found->n_unique_identifier, 1);
    /* Owners see their own; an administrator all. */
    t.who = &t.rig.admin;
    assert_int_equal(located(&t, "x", "rack", "odd"), 18);
    const char *mine = make_key(&t, NULL, MASK);
    set_vendor(&t, KMIP_OPERATION_ADD_ATTRIBUTE, mine, "odd");
    assert_int_equal(located(&t, "x", "rack", "odd"), 19);
    t.who = &t.rig.client;
    assert_int_equal(located(&t, "x", "rack", "odd"), 18);
    talk_close(&t);
}

/* More objects of one value than the index is good for: the same pages, whichever way they are found. */
static void
long_lists_keep_their_order(void **unused)
{
    (void)unused;
    enum { N = 1500, PAGE = 7 };
    struct talk t;
    const char *first = NULL, *last = NULL;
    talk_open(&t);
    for (size_t i = 0; i < N; i++) {
        last = make_key(&t, NULL, MASK);
        first = first != NULL ? first : last;
        set_vendor(&t, KMIP_OPERATION_ADD_ATTRIBUTE, last, i % 10 == 0 ? "some" : "most");
    }
    struct kmip_locate_request r = {.attributes = {.present = true}, .has_maximum_items = true, .maximum_items = PAGE};
    put_vendor(&t, &r.attributes, "x", "rack", "most");
    const struct kmip_locate_response *found = talk_do(&t, KMIP_OPERATION_LOCATE, &r);
    assert_int_equal(found->located_items, N - N / 10);
    assert_int_equal(found->n_unique_identifier, PAGE);
    assert_true(ks_span_is(found->unique_identifier[0].text, last));
    r.attributes = (struct kmip_attrs){.present = true};
    put_vendor(&t, &r.attributes, "x", "rack", "some");
    t.version = KMIP_V1_2;
    found = talk_do(&t, KMIP_OPERATION_LOCATE, &r);
    assert_int_equal(found->n_unique_identifier, PAGE);
    assert_true(ks_span_is(found->unique_identifier[0].text, first));
    talk_close(&t);
}

/* An answer that would be larger than an answer may be says so; in pages all of it can be had. */
static void
answers_stay_bounded(void **unused)
{
    (void)unused;
    struct talk t;
    const struct engine_config small = {.node = KS_LIT("test"), .max_response = 4096};
    talk_open_with(&t, &small);
    for (size_t i = 0; i < 200; i++)
        make_key(&t, NULL, MASK);
    struct kmip_locate_request r = {.attributes = {.present = true}};
    assert_int_equal(talk_ask(&t, KMIP_OPERATION_LOCATE, &r)->result_reason, KMIP_RESULT_REASON_RESPONSE_TOO_LARGE);
    r.has_maximum_items = r.has_offset_items = true;
    r.maximum_items = 50;
    size_t n = 0;
    for (r.offset_items = 0; r.offset_items < 200; r.offset_items += 50) {
        const struct kmip_locate_response *found = talk_do(&t, KMIP_OPERATION_LOCATE, &r);
        n += found->n_unique_identifier;
    }
    assert_int_equal(n, 200);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_were_changed_meanwhile_are_not_served),
        cmocka_unit_test(dates_count_for_objects_that_are_not_in_memory),
        cmocka_unit_test(what_is_not_committed_stays),
        cmocka_unit_test(the_index_follows_changes),
        cmocka_unit_test(long_lists_keep_their_order),
        cmocka_unit_test(answers_stay_bounded),
    };
    return cmocka_run_group_tests_name("engine: scale", tests, NULL, NULL);
}
