/* Archive and Recover, leases, allocations and Check: what keeps a key from being used, or counts its uses. */
#include "engine_talk.h"

enum { BOTH = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT };

static void
archive_key(struct talk *t, const char *id)
{
    const struct kmip_archive_request r = {.unique_identifier = uid(id)};
    talk_do(t, KMIP_OPERATION_ARCHIVE, &r);
}

static void
recover_key(struct talk *t, const char *id)
{
    const struct kmip_recover_request r = {.unique_identifier = uid(id)};
    const struct kmip_recover_response *response = talk_do(t, KMIP_OPERATION_RECOVER, &r);
    assert_string_equal(uid_string(t, &response->unique_identifier), id);
}

static size_t
found(struct talk *t, const char *name, uint32_t storage)
{
    struct kmip_locate_request r = {.storage_status_mask = storage, .has_storage_status_mask = storage != 0};
    put_name(t, &r.attributes, name);
    const struct kmip_locate_response *response = talk_do(t, KMIP_OPERATION_LOCATE, &r);
    return response->n_unique_identifier;
}

/* Bytes of the value of the object's row, and of what the archive has of it. */
static size_t
stored(struct talk *t, enum store_table table, const char *prefix, const char *id)
{
    char key[64];
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf value = KS_BUF(1 << 20);
    assert_true(strlen(prefix) + strlen(id) < sizeof(key));
    strncpy(key, prefix, sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    strncat(key, id, sizeof(key) - 1 - strlen(key));
    const int rc = store_get(t->rig.store, table, ks_span_str(key), &value, &diag);
    assert_true(rc == 0 || rc == KS_E_NOT_FOUND);
    return value.len;
}

static void
away_and_back(struct talk *t, bool reload)
{
    const char *id = make_key(t, reload ? "there" : "here", BOTH);
    const struct ks_span before = key_bytes(t, id);
    const size_t online = stored(t, STORE_OBJECT, "", id);
    assert_int_equal(stored(t, STORE_SYSTEM, "archive/", id), 0);
    t->rig.now_us += 7000000;
    archive_key(t, id);
    const int64_t at = t->rig.now_us / 1000000;
    assert_int_equal(attribute(t, id, KMIP_TAG_ARCHIVE_DATE)->i64, at);
    assert_int_equal(attribute(t, id, KMIP_TAG_LAST_CHANGE_DATE)->i64, at);
    /* The key material is in the archive, and there alone. */
    assert_true(stored(t, STORE_SYSTEM, "archive/", id) > 32);
    assert_true(stored(t, STORE_OBJECT, "", id) < online);
    if (reload)
        rig_restart(&t->rig);

    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    talk_refused(t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_OBJECT_ARCHIVED);
    assert_int_equal(found(t, reload ? "there" : "here", 0), 0);
    assert_int_equal(found(t, reload ? "there" : "here", KMIP_STORAGE_STATUS_MASK_ARCHIVAL_STORAGE), 1);
    t->rig.now_us += 5000000;
    recover_key(t, id);
    assert_null(attribute(t, id, KMIP_TAG_ARCHIVE_DATE));
    assert_int_equal(attribute(t, id, KMIP_TAG_LAST_CHANGE_DATE)->i64, t->rig.now_us / 1000000);
    const struct ks_span after = key_bytes(t, id);
    assert_int_equal(after.len, before.len);
    assert_memory_equal(after.data, before.data, before.len);
    assert_int_equal(stored(t, STORE_SYSTEM, "archive/", id), 0);
    assert_int_equal(found(t, reload ? "there" : "here", 0), 1);
    rig_restart(&t->rig);
    assert_memory_equal(key_bytes(t, id).data, before.data, before.len);
    talk_refused(t, KMIP_OPERATION_RECOVER, &get, KMIP_RESULT_REASON_PERMISSION_DENIED);
}

static void
an_archived_key_comes_back_as_it_was(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    away_and_back(&t, false);
    away_and_back(&t, true);
    talk_close(&t);
}

/* An object without key material has nothing in the archive. */
static void
a_template_is_archived_too(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V1_2;
    struct kmip_register_request r = {.object_type = KMIP_OBJECT_TYPE_TEMPLATE, .attributes = {.present = true}};
    struct kmip_template content = {0};
    put_name(&t, &r.attributes, "pattern");
    put_number(&t, &content.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 128);
    r.object.template = &content;
    const struct kmip_register_response *response = talk_do(&t, KMIP_OPERATION_REGISTER, &r);
    const char *id = uid_string(&t, &response->unique_identifier);
    archive_key(&t, id);
    assert_int_equal(stored(&t, STORE_SYSTEM, "archive/", id), 0);
    rig_restart(&t.rig);
    recover_key(&t, id);
    assert_null(attribute(&t, id, KMIP_TAG_ARCHIVE_DATE));
    talk_close(&t);
}

/* One transaction: a batch that is undone leaves neither object nor archive changed. */
static void
undone_it_never_was_archived(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, BOTH);
    const struct kmip_archive_request archive = {.unique_identifier = uid(id)};
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    const struct talk_item items[] = {{KMIP_OPERATION_ARCHIVE, &archive}, {KMIP_OPERATION_GET, &get}};
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
    const struct kmip_response_message *response = talk_batch(&t, items, 2);
    assert_int_equal(response->batch_item[0]->result_status, KMIP_RESULT_STATUS_OPERATION_UNDONE);
    assert_int_equal(response->batch_item[1]->result_reason, KMIP_RESULT_REASON_OBJECT_ARCHIVED);
    t.option = 0;
    assert_int_equal(stored(&t, STORE_SYSTEM, "archive/", id), 0);
    assert_int_equal(key_bytes(&t, id).len, 32);
    rig_restart(&t.rig);
    assert_int_equal(key_bytes(&t, id).len, 32);
    talk_close(&t);
}

/* From Pre-Active to Active by date, archived meanwhile: the material stays where it is. */
static void
dates_pass_in_the_archive_too(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, BOTH);
    struct kmip_set_attribute_request r = {.unique_identifier = uid(id)};
    put_number(&t, &r.new_attribute, KMIP_TAG_ACTIVATION_DATE, RIG_START_S + 100);
    talk_do(&t, KMIP_OPERATION_SET_ATTRIBUTE, &r);
    archive_key(&t, id);
    rig_restart(&t.rig);
    t.rig.now_us += 200000000;
    assert_int_equal(state_of(&t, id), KMIP_STATE_ACTIVE);
    rig_restart(&t.rig);
    recover_key(&t, id);
    assert_int_equal(key_bytes(&t, id).len, 32);
    talk_close(&t);
}

static void
a_lease_is_the_objects_lease_time(void **unused)
{
    (void)unused;
    struct talk t;
    const struct engine_config config = {.default_lease_s = 300};
    talk_open_with(&t, &config);
    const char *id = make_key(&t, NULL, BOTH);
    activate_key(&t, id);
    const int64_t changed = attribute(&t, id, KMIP_TAG_LAST_CHANGE_DATE)->i64;
    t.rig.now_us += 60000000;
    const struct kmip_obtain_lease_request r = {.unique_identifier = uid(id)};
    const struct kmip_obtain_lease_response *lease = talk_do(&t, KMIP_OPERATION_OBTAIN_LEASE, &r);
    assert_int_equal(lease->lease_time, 300);
    assert_int_equal(lease->last_change_date, changed); /* a lease changes nothing */
    assert_non_null(strstr(records(&t), "lease of 300 s"));
    assert_int_equal(attribute(&t, id, KMIP_TAG_LEASE_TIME)->u32, 300);
    /* Who may not use the key gets no lease of it, be it the administrator. */
    t.who = &t.rig.admin;
    talk_refused(&t, KMIP_OPERATION_OBTAIN_LEASE, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
    t.who = &t.rig.client;
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    talk_refused(&t, KMIP_OPERATION_OBTAIN_LEASE, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

static const char *
limited_key(struct talk *t, int64_t total, uint32_t mask)
{
    const char *id = make_key(t, NULL, mask);
    const struct kmip_usage_limits limits = {.usage_limits_total = total,
                                             .usage_limits_unit = KMIP_USAGE_LIMITS_UNIT_BYTE};
    struct kmip_item *item;
    assert_int_equal(kmip_item_encode(&kmip_schema_usage_limits, KMIP_V2_1, &limits, &t->arena, &item), 0);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id), .new_attribute = {.present = true}};
    assert_non_null(kmip_attrs_add(&t->arena, &add.new_attribute, KMIP_TAG_USAGE_LIMITS, item));
    talk_do(t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    activate_key(t, id);
    return id;
}

static int64_t
units_left(struct talk *t, const char *id)
{
    return kmip_item_child(attribute(t, id, KMIP_TAG_USAGE_LIMITS), KMIP_TAG_USAGE_LIMITS_COUNT)->i64;
}

static void
an_allocation_is_taken_off_at_once(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = limited_key(&t, 10, BOTH);
    struct kmip_get_usage_allocation_request r = {.unique_identifier = uid(id), .usage_limits_count = 6};
    talk_do(&t, KMIP_OPERATION_GET_USAGE_ALLOCATION, &r);
    assert_non_null(strstr(records(&t), "6 units allocated, 4 left"));
    assert_int_equal(units_left(&t, id), 4);
    talk_refused(&t, KMIP_OPERATION_GET_USAGE_ALLOCATION, &r, KMIP_RESULT_REASON_USAGE_LIMIT_EXCEEDED);
    t.version = KMIP_V1_2;
    talk_refused(&t, KMIP_OPERATION_GET_USAGE_ALLOCATION, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
    assert_int_equal(units_left(&t, id), 4);
    t.version = KMIP_V2_1;
    /* The Total is fixed from the first allocation on. */
    const struct kmip_usage_limits more = {.usage_limits_total = 100, .usage_limits_unit = KMIP_USAGE_LIMITS_UNIT_BYTE};
    struct kmip_item *item;
    assert_int_equal(kmip_item_encode(&kmip_schema_usage_limits, KMIP_V2_1, &more, &t.arena, &item), 0);
    struct kmip_modify_attribute_request modify = {.unique_identifier = uid(id), .new_attribute = {.present = true}};
    assert_non_null(kmip_attrs_add(&t.arena, &modify.new_attribute, KMIP_TAG_USAGE_LIMITS, item));
    talk_refused(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &modify, KMIP_RESULT_REASON_PERMISSION_DENIED);
    r.usage_limits_count = 4;
    talk_do(&t, KMIP_OPERATION_GET_USAGE_ALLOCATION, &r);
    assert_int_equal(units_left(&t, id), 0);
    r.usage_limits_count = 1;
    talk_refused(&t, KMIP_OPERATION_GET_USAGE_ALLOCATION, &r, KMIP_RESULT_REASON_USAGE_LIMIT_EXCEEDED);
    r.usage_limits_count = 0;
    talk_refused(&t, KMIP_OPERATION_GET_USAGE_ALLOCATION, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    r.usage_limits_count = INT64_MIN;
    talk_refused(&t, KMIP_OPERATION_GET_USAGE_ALLOCATION, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    rig_restart(&t.rig);
    assert_int_equal(units_left(&t, id), 0);
    talk_close(&t);
}

static void
what_can_not_be_allocated(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *unlimited = make_key(&t, NULL, BOTH);
    activate_key(&t, unlimited);
    const char *reader = limited_key(&t, 10, KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT);
    const struct kmip_get_usage_allocation_request a = {.unique_identifier = uid(unlimited), .usage_limits_count = 1},
                                                   b = {.unique_identifier = uid(reader), .usage_limits_count = 1};
    talk_refused(&t, KMIP_OPERATION_GET_USAGE_ALLOCATION, &a, KMIP_RESULT_REASON_ATTRIBUTE_NOT_FOUND);
    talk_refused(&t, KMIP_OPERATION_GET_USAGE_ALLOCATION, &b, KMIP_RESULT_REASON_INVALID_OBJECT_TYPE);
    t.version = KMIP_V1_4;
    talk_refused(&t, KMIP_OPERATION_GET_USAGE_ALLOCATION, &a, KMIP_RESULT_REASON_ILLEGAL_OPERATION);
    talk_refused(&t, KMIP_OPERATION_GET_USAGE_ALLOCATION, &b, KMIP_RESULT_REASON_ILLEGAL_OPERATION);
    talk_close(&t);
}

static void
check_says_what_stands_against_it(void **unused)
{
    (void)unused;
    struct talk t;
    const struct engine_config config = {.default_lease_s = 300};
    talk_open_with(&t, &config);
    const char *id = limited_key(&t, 10, BOTH);
    struct kmip_check_request r = {.unique_identifier = uid(id),
                                   .usage_limits_count = 10,
                                   .has_usage_limits_count = true,
                                   .cryptographic_usage_mask = BOTH,
                                   .has_cryptographic_usage_mask = true,
                                   .lease_time = 300,
                                   .has_lease_time = true};
    const struct kmip_check_response *good = talk_do(&t, KMIP_OPERATION_CHECK, &r);
    assert_string_equal(uid_string(&t, &good->unique_identifier), id);
    assert_false(good->has_usage_limits_count || good->has_cryptographic_usage_mask || good->has_lease_time);

    r.usage_limits_count = 11;
    r.lease_time = 301;
    const struct kmip_response_batch_item *item = talk_ask(&t, KMIP_OPERATION_CHECK, &r);
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    assert_int_equal(item->result_reason, KMIP_RESULT_REASON_USAGE_LIMIT_EXCEEDED);
    assert_null(item->payload);
    t.version = KMIP_V1_4;
    item = talk_ask(&t, KMIP_OPERATION_CHECK, &r);
    t.version = KMIP_V2_1;
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    assert_int_equal(item->result_reason, KMIP_RESULT_REASON_PERMISSION_DENIED);
    const struct kmip_check_response *bad = item->payload;
    assert_non_null(bad);
    assert_int_equal(bad->unique_identifier.type, 0);
    assert_int_equal(bad->usage_limits_count, 11);
    assert_int_equal(bad->lease_time, 301);
    assert_false(bad->has_cryptographic_usage_mask);

    /* Nothing of a batch behind it finds the object by the ID Placeholder. */
    struct kmip_locate_request locate = {.attributes = {.present = true}};
    put_text(&t, &locate.attributes, KMIP_TAG_UNIQUE_IDENTIFIER, id);
    struct kmip_check_request sign = {.cryptographic_usage_mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN,
                                      .has_cryptographic_usage_mask = true};
    const struct kmip_get_request get = {0};
    const struct talk_item items[] = {
        {KMIP_OPERATION_LOCATE, &locate}, {KMIP_OPERATION_CHECK, &sign}, {KMIP_OPERATION_GET, &get}};
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_CONTINUE;
    const struct kmip_response_message *response = talk_batch(&t, items, 3);
    assert_int_equal(response->batch_item[0]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(response->batch_item[1]->result_reason, KMIP_RESULT_REASON_INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK);
    assert_int_equal(response->batch_item[2]->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_archived_key_comes_back_as_it_was),
        cmocka_unit_test(a_template_is_archived_too),
        cmocka_unit_test(undone_it_never_was_archived),
        cmocka_unit_test(dates_pass_in_the_archive_too),
        cmocka_unit_test(a_lease_is_the_objects_lease_time),
        cmocka_unit_test(an_allocation_is_taken_off_at_once),
        cmocka_unit_test(what_can_not_be_allocated),
        cmocka_unit_test(check_says_what_stands_against_it),
    };
    return cmocka_run_group_tests_name("engine: archive, leases, allocations", tests, NULL, NULL);
}
