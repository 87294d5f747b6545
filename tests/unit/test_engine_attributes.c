/* Attributes: the rules of attrs.def walked one by one, instances and their indexes, and what the server sets. */
#include "engine_talk.h"

#include "kmip/schema.h"

enum { MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT };

/* Adds a value that fits the rule, as far as one can be made up; false: not for this rule. */
static bool
made_up(struct talk *t, const struct kmip_attr_rule *rule, struct kmip_attrs *attrs)
{
    if (rule->tag == KMIP_TAG_ATTRIBUTE || (rule->objects >> KMIP_OBJECT_TYPE_SYMMETRIC_KEY & 1) == 0)
        return false;
    if (rule->schema != NULL) {
        struct kmip_item *item = kmip_item_new(&t->arena, rule->tag, KMIP_TYPE_STRUCTURE);
        attrs->present = true;
        kmip_attrs_add(&t->arena, attrs, rule->tag, item);
        return true;
    }
    switch (rule->type) {
    case KMIP_TYPE_TEXT_STRING:
        put_text(t, attrs, rule->tag, "some text");
        return true;
    case KMIP_TYPE_BYTE_STRING:
        attrs->present = true;
        return kmip_attrs_add(&t->arena, attrs, rule->tag,
                              kmip_item_new(&t->arena, rule->tag, KMIP_TYPE_BYTE_STRING)) != NULL;
    case KMIP_TYPE_INTEGER:
    case KMIP_TYPE_INTERVAL:
    case KMIP_TYPE_ENUMERATION:
    case KMIP_TYPE_BOOLEAN:
    case KMIP_TYPE_DATE_TIME:
        put_number(t, attrs, rule->tag, 1);
        return true;
    default:
        return false;
    }
}

/* Whatever the rules make the server's alone is refused to clients, by every operation, in every version. */
static void
what_is_read_only_stays_so(void **unused)
{
    (void)unused;
    static const enum kmip_version versions[] = {KMIP_V1_0, KMIP_V1_2, KMIP_V1_4, KMIP_V2_0, KMIP_V2_1};
    struct talk t;
    size_t n, tried = 0;
    talk_open(&t);
    const struct kmip_attr_rule *rules = kmip_attr_rules(&n);
    const char *id = make_key(&t, NULL, MASK);
    for (size_t v = 0; v < KS_ARRAY_LEN(versions); v++)
        for (size_t i = 0; i < n; i++) {
            struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
            t.version = versions[v];
            if (rules[i].since > t.version || t.version > rules[i].until || rules[i].schema != NULL ||
                !made_up(&t, &rules[i], &add.new_attribute))
                continue;
            const struct kmip_modify_attribute_request modify = {.unique_identifier = uid(id),
                                                                 .new_attribute = add.new_attribute};
            struct kmip_attr_ref ref = {.tag = rules[i].tag, .index = -1};
            const struct kmip_delete_attribute_request gone = {.unique_identifier = uid(id),
                                                               .attribute_refs = {.n = 1, .v = &ref}};
            const uint32_t denied =
                t.version < KMIP_V2_0 ? KMIP_RESULT_REASON_PERMISSION_DENIED : KMIP_RESULT_REASON_ATTRIBUTE_READ_ONLY;
            if ((rules[i].flags & KMIP_ATTR_CLIENT_SETS) == 0)
                talk_refused(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add,
                             t.version < KMIP_V2_0 ? denied : KMIP_RESULT_REASON_READ_ONLY_ATTRIBUTE);
            if ((rules[i].flags & KMIP_ATTR_CLIENT_MODIFIES) == 0)
                talk_refused(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &modify, denied);
            if ((rules[i].flags & KMIP_ATTR_CLIENT_DELETES) == 0)
                talk_refused(&t, KMIP_OPERATION_DELETE_ATTRIBUTE, &gone, denied);
            tried++;
        }
    assert_true(tried > 100);
    talk_close(&t);
}

/* What the rules let a client have can be added, changed and deleted, and is then as it was. */
static void
what_is_the_clients_can_be_changed(void **unused)
{
    (void)unused;
    struct talk t;
    size_t n, tried = 0;
    talk_open(&t);
    const struct kmip_attr_rule *rules = kmip_attr_rules(&n);
    const unsigned all = KMIP_ATTR_CLIENT_SETS | KMIP_ATTR_CLIENT_MODIFIES | KMIP_ATTR_CLIENT_DELETES;
    for (size_t i = 0; i < n; i++) {
        const char *id = make_key(&t, NULL, MASK);
        struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
        if ((rules[i].flags & all) != all || rules[i].schema != NULL || rules[i].until < KMIP_V2_1 ||
            rules[i].since > KMIP_V2_1 || !made_up(&t, &rules[i], &add.new_attribute))
            continue;
        assert_null(attribute(&t, id, rules[i].tag));
        talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
        assert_non_null(attribute(&t, id, rules[i].tag));
        if ((rules[i].flags & KMIP_ATTR_MULTI) == 0)
            talk_refused(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add, KMIP_RESULT_REASON_ATTRIBUTE_SINGLE_VALUED);
        const struct kmip_modify_attribute_request modify = {.unique_identifier = uid(id),
                                                             .new_attribute = add.new_attribute};
        talk_do(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &modify);
        struct kmip_attr_ref ref = {.tag = rules[i].tag, .index = -1};
        const struct kmip_delete_attribute_request gone = {.unique_identifier = uid(id),
                                                           .attribute_refs = {.n = 1, .v = &ref}};
        talk_do(&t, KMIP_OPERATION_DELETE_ATTRIBUTE, &gone);
        assert_null(attribute(&t, id, rules[i].tag));
        talk_refused(&t, KMIP_OPERATION_DELETE_ATTRIBUTE, &gone, KMIP_RESULT_REASON_ATTRIBUTE_NOT_FOUND);
        talk_refused(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &modify, KMIP_RESULT_REASON_ATTRIBUTE_NOT_FOUND);
        tried++;
    }
    assert_true(tried >= 6);
    talk_close(&t);
}

static int32_t
add_group(struct talk *t, const char *id, const char *group)
{
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    put_text(t, &add.new_attribute, KMIP_TAG_OBJECT_GROUP, group);
    const struct kmip_add_attribute_response *r = talk_do(t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    assert_int_equal(r->attributes.n, 1);
    return r->attributes.first->index < 0 ? 0 : r->attributes.first->index;
}

static void
delete_group(struct talk *t, const char *id, int32_t index)
{
    struct kmip_attr_ref ref = {.tag = KMIP_TAG_OBJECT_GROUP, .index = -1};
    const struct kmip_delete_attribute_request r = {.unique_identifier = uid(id),
                                                    .attribute_refs = {.n = 1, .v = &ref},
                                                    .attribute_index = index,
                                                    .has_attribute_index = true};
    talk_do(t, KMIP_OPERATION_DELETE_ATTRIBUTE, &r);
}

static void
an_index_is_not_given_twice(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK);
    t.version = KMIP_V1_4;
    assert_int_equal(add_group(&t, id, "a"), 0);
    assert_int_equal(add_group(&t, id, "b"), 1);
    assert_int_equal(add_group(&t, id, "c"), 2);
    delete_group(&t, id, 1);
    assert_int_equal(add_group(&t, id, "d"), 3);
    delete_group(&t, id, 3);
    assert_int_equal(add_group(&t, id, "e"), 4);
    delete_group(&t, id, 4);
    /* Nor after a start, since what was deleted last leaves its place in the store. */
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    assert_int_equal(add_group(&t, id, "f"), 5);
    const struct kmip_get_attributes_request r = {.unique_identifier = uid(id)};
    const struct kmip_get_attributes_response *all = talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    static const int32_t expected[] = {-1, 2, 5};
    size_t n = 0;
    for (const struct kmip_attr *a = all->attributes.first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_OBJECT_GROUP) {
            assert_true(n < KS_ARRAY_LEN(expected));
            assert_int_equal(a->index, expected[n++]);
        }
    assert_int_equal(n, KS_ARRAY_LEN(expected));
    talk_close(&t);
}

static void
several_values_need_the_current_one(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK);
    t.version = KMIP_V1_4;
    add_group(&t, id, "red");
    add_group(&t, id, "blue");
    t.version = KMIP_V2_1;
    struct kmip_modify_attribute_request r = {.unique_identifier = uid(id)};
    put_text(&t, &r.new_attribute, KMIP_TAG_OBJECT_GROUP, "green");
    talk_refused(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &r, KMIP_RESULT_REASON_MULTI_VALUED_ATTRIBUTE);
    put_text(&t, &r.current_attribute, KMIP_TAG_OBJECT_GROUP, "yellow");
    talk_refused(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &r, KMIP_RESULT_REASON_ATTRIBUTE_INSTANCE_NOT_FOUND);
    r.current_attribute = (struct kmip_attrs){0};
    put_text(&t, &r.current_attribute, KMIP_TAG_OBJECT_GROUP, "blue");
    talk_do(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &r);
    struct kmip_set_attribute_request set = {.unique_identifier = uid(id)};
    put_text(&t, &set.new_attribute, KMIP_TAG_OBJECT_GROUP, "white");
    talk_refused(&t, KMIP_OPERATION_SET_ATTRIBUTE, &set, KMIP_RESULT_REASON_MULTI_VALUED_ATTRIBUTE);
    struct kmip_delete_attribute_request gone = {.unique_identifier = uid(id)};
    put_text(&t, &gone.current_attribute, KMIP_TAG_OBJECT_GROUP, "red");
    talk_do(&t, KMIP_OPERATION_DELETE_ATTRIBUTE, &gone);
    assert_true(ks_span_is(attribute(&t, id, KMIP_TAG_OBJECT_GROUP)->s, "green"));
    talk_close(&t);
}

static void
the_server_sets_what_versions_know(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t tag;
        enum kmip_version since;
    } expected[] = {
        {KMIP_TAG_UNIQUE_IDENTIFIER, KMIP_V1_0},
        {KMIP_TAG_OBJECT_TYPE, KMIP_V1_0},
        {KMIP_TAG_DIGEST, KMIP_V1_0},
        {KMIP_TAG_STATE, KMIP_V1_0},
        {KMIP_TAG_INITIAL_DATE, KMIP_V1_0},
        {KMIP_TAG_LAST_CHANGE_DATE, KMIP_V1_0},
        {KMIP_TAG_LEASE_TIME, KMIP_V1_0},
        {KMIP_TAG_FRESH, KMIP_V1_1},
        {KMIP_TAG_ORIGINAL_CREATION_DATE, KMIP_V1_2},
        {KMIP_TAG_RANDOM_NUMBER_GENERATOR, KMIP_V1_3},
        {KMIP_TAG_SENSITIVE, KMIP_V1_4},
        {KMIP_TAG_ALWAYS_SENSITIVE, KMIP_V1_4},
        {KMIP_TAG_EXTRACTABLE, KMIP_V1_4},
        {KMIP_TAG_NEVER_EXTRACTABLE, KMIP_V1_4},
        {KMIP_TAG_KEY_FORMAT_TYPE, KMIP_V2_0},
        {KMIP_TAG_SHORT_UNIQUE_IDENTIFIER, KMIP_V2_0},
        {KMIP_TAG_PROTECTION_STORAGE_MASK, KMIP_V2_0},
    };
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "n", MASK);
    for (int v = KMIP_V1_0; v <= KMIP_V2_1; v++) {
        t.version = (enum kmip_version)v;
        const struct kmip_get_attributes_request r = {.unique_identifier = uid(id)};
        const struct kmip_get_attributes_response *all = talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
        for (size_t i = 0; i < KS_ARRAY_LEN(expected); i++) {
            size_t n = 0;
            for (const struct kmip_attr *a = all->attributes.first; a != NULL; a = a->next)
                n += a->tag == expected[i].tag;
            assert_int_equal(n, t.version >= expected[i].since);
        }
    }
    talk_close(&t);
}

static void
names_are_unique_for_their_owner(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "wal", MASK);
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_name(&t, &r.attributes, "wal");
    talk_refused(&t, KMIP_OPERATION_CREATE, &r, KMIP_RESULT_REASON_NON_UNIQUE_NAME_ATTRIBUTE);
    t.version = KMIP_V1_4;
    talk_refused(&t, KMIP_OPERATION_CREATE, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    t.version = KMIP_V2_1;
    /* Another owner has names of his own. */
    t.who = &t.rig.admin;
    talk_do(&t, KMIP_OPERATION_CREATE, &r);
    t.who = &t.rig.client;
    /* A name is free again when its object is destroyed. */
    destroy_key(&t, id);
    talk_do(&t, KMIP_OPERATION_CREATE, &r);
    talk_close(&t);
}

static void
secrecy_is_only_tightened(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK);
    struct kmip_modify_attribute_request yes = {.unique_identifier = uid(id)}, no = {.unique_identifier = uid(id)};
    put_number(&t, &yes.new_attribute, KMIP_TAG_SENSITIVE, 1);
    put_number(&t, &no.new_attribute, KMIP_TAG_SENSITIVE, 0);
    talk_do(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &yes);
    talk_refused(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &no, KMIP_RESULT_REASON_PERMISSION_DENIED);
    assert_false(attribute(&t, id, KMIP_TAG_ALWAYS_SENSITIVE)->b);
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_SENSITIVE);
    struct kmip_modify_attribute_request locked = {.unique_identifier = uid(id)};
    put_number(&t, &locked.new_attribute, KMIP_TAG_EXTRACTABLE, 0);
    talk_do(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &locked);
    /* The material was sealed anew with the new facts: it can still be used. */
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    activate_key(&t, id);
    struct kmip_cryptographic_parameters gcm = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM,
                                                .has_block_cipher_mode = true};
    const struct kmip_encrypt_request encrypt = {
        .unique_identifier = uid(id), .cryptographic_parameters = &gcm, .data = KS_LIT("x"), .has_data = true};
    talk_do(&t, KMIP_OPERATION_ENCRYPT, &encrypt);
    talk_close(&t);
}

static void
numbers_are_adjusted(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK);
    struct kmip_set_attribute_request set = {.unique_identifier = uid(id)};
    put_number(&t, &set.new_attribute, KMIP_TAG_PROTECTION_PERIOD, 10);
    talk_do(&t, KMIP_OPERATION_SET_ATTRIBUTE, &set);
    struct kmip_attr_ref ref = {.tag = KMIP_TAG_PROTECTION_PERIOD, .index = -1};
    struct kmip_adjust_attribute_request r = {.unique_identifier = uid(id),
                                              .attribute_refs = {.n = 1, .v = &ref},
                                              .adjustment_type = KMIP_ADJUSTMENT_TYPE_INCREMENT};
    talk_do(&t, KMIP_OPERATION_ADJUST_ATTRIBUTE, &r);
    assert_int_equal(attribute(&t, id, KMIP_TAG_PROTECTION_PERIOD)->u32, 11);
    struct kmip_item *twelve = kmip_item_new(&t.arena, KMIP_TAG_ADJUSTMENT_VALUE, KMIP_TYPE_INTERVAL);
    twelve->u32 = 12;
    r.adjustment_value = twelve;
    r.adjustment_type = KMIP_ADJUSTMENT_TYPE_DECREMENT;
    talk_refused(&t, KMIP_OPERATION_ADJUST_ATTRIBUTE, &r, KMIP_RESULT_REASON_NUMERIC_RANGE);
    ref.tag = KMIP_TAG_CRYPTOGRAPHIC_LENGTH;
    r.adjustment_value = NULL;
    talk_refused(&t, KMIP_OPERATION_ADJUST_ATTRIBUTE, &r, KMIP_RESULT_REASON_READ_ONLY_ATTRIBUTE);
    talk_close(&t);
}

static void
vendor_attributes(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK);
    struct kmip_add_attribute_request mine = {.unique_identifier = uid(id)}, servers = {.unique_identifier = uid(id)};
    put_vendor(&t, &mine.new_attribute, "x", "shelf", "7");
    put_vendor(&t, &servers.new_attribute, "y", "shelf", "7");
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &mine);
    talk_refused(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &servers, KMIP_RESULT_REASON_READ_ONLY_ATTRIBUTE);
    struct kmip_attr_ref ref = {.tag = KMIP_TAG_ATTRIBUTE, .vendor = KS_LIT("x"), .name = KS_LIT("shelf"), .index = -1};
    const struct kmip_get_attributes_request r = {.unique_identifier = uid(id), .attribute_refs = {.n = 1, .v = &ref}};
    const struct kmip_get_attributes_response *response = talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    assert_int_equal(response->attributes.n, 1);
    assert_true(ks_span_is(response->attributes.first->value->s, "7"));
    t.version = KMIP_V1_2; /* "x-shelf" there */
    response = talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    assert_int_equal(response->attributes.n, 1);
    assert_true(ks_span_is(response->attributes.first->vendor, "x"));
    talk_close(&t);
}

static void
an_object_has_so_many_attributes_and_no_more(void **unused)
{
    (void)unused;
    struct talk t;
    struct talk_item items[1000];
    struct kmip_add_attribute_request adds[1000];
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK);
    for (size_t i = 0; i < KS_ARRAY_LEN(items); i++) {
        adds[i] = (struct kmip_add_attribute_request){.unique_identifier = uid(id)};
        put_vendor(&t, &adds[i].new_attribute, "x", "tag", "v");
        items[i] = (struct talk_item){KMIP_OPERATION_ADD_ATTRIBUTE, &adds[i]};
    }
    const struct kmip_response_message *response = talk_batch(&t, items, KS_ARRAY_LEN(items));
    assert_int_equal(response->n_batch_item, 1000);
    assert_int_equal(response->batch_item[999]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    response = talk_batch(&t, items, 100);
    const struct kmip_response_batch_item *last = response->batch_item[response->n_batch_item - 1];
    assert_int_equal(last->result_reason, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    talk_close(&t);
}

/* What a client leaves out of its Application Specific Information the server makes, in the namespace that Query names.
 */
static void
application_data_of_the_server(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    uint32_t function = KMIP_QUERY_FUNCTION_QUERY_APPLICATION_NAMESPACES;
    const struct kmip_query_request query = {.query_function = &function, .n_query_function = 1};
    const struct kmip_query_response *offered = talk_do(&t, KMIP_OPERATION_QUERY, &query);
    assert_int_equal(offered->n_application_namespace, 1);
    const char *ids[2];
    struct ks_span made[2];
    for (int i = 0; i < 2; i++) {
        ids[i] = make_key(&t, NULL, MASK);
        const struct kmip_application_specific_information information = {.application_namespace =
                                                                              offered->application_namespace[0]};
        struct kmip_item *item;
        assert_int_equal(
            kmip_item_encode(&kmip_schema_application_specific_information, KMIP_V2_1, &information, &t.arena, &item),
            0);
        struct kmip_add_attribute_request add = {.unique_identifier = uid(ids[i]), .new_attribute = {.present = true}};
        kmip_attrs_add(&t.arena, &add.new_attribute, KMIP_TAG_APPLICATION_SPECIFIC_INFORMATION, item);
        talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
        const struct kmip_item *kept = attribute(&t, ids[i], KMIP_TAG_APPLICATION_SPECIFIC_INFORMATION);
        const struct kmip_item *data = kmip_item_child(kept, KMIP_TAG_APPLICATION_DATA);
        assert_non_null(data);
        assert_int_equal(data->s.len, 32);
        made[i] = data->s;
    }
    assert_false(ks_span_equal(made[0], made[1]));
    for (enum kmip_version v = KMIP_V1_0; v <= KMIP_V2_1; v++) {
        const struct kmip_application_specific_information other = {.application_namespace = KS_LIT("another")};
        struct kmip_item *item;
        assert_int_equal(
            kmip_item_encode(&kmip_schema_application_specific_information, KMIP_V2_1, &other, &t.arena, &item), 0);
        struct kmip_add_attribute_request add = {.unique_identifier = uid(ids[0]), .new_attribute = {.present = true}};
        kmip_attrs_add(&t.arena, &add.new_attribute, KMIP_TAG_APPLICATION_SPECIFIC_INFORMATION, item);
        t.version = v;
        talk_refused(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add, KMIP_RESULT_REASON_APPLICATION_NAMESPACE_NOT_SUPPORTED);
    }
    talk_close(&t);
}

/* "As long as it has not been reached", also while nothing is active yet. */
static void
a_date_that_has_come_is_fixed(void **unused)
{
    (void)unused;
    static const uint32_t tags[] = {KMIP_TAG_PROCESS_START_DATE, KMIP_TAG_PROTECT_STOP_DATE};
    struct talk t;
    talk_open(&t);
    for (size_t i = 0; i < KS_ARRAY_LEN(tags); i++) {
        const char *id = make_key(&t, NULL, MASK);
        struct kmip_set_attribute_request set = {.unique_identifier = uid(id)}, later = set;
        put_number(&t, &set.new_attribute, tags[i], t.rig.now_us / 1000000 + 10);
        put_number(&t, &later.new_attribute, tags[i], t.rig.now_us / 1000000 + 20);
        talk_do(&t, KMIP_OPERATION_SET_ATTRIBUTE, &set);
        talk_do(&t, KMIP_OPERATION_SET_ATTRIBUTE, &later);
        t.rig.now_us += 30000000;
        talk_refused(&t, KMIP_OPERATION_SET_ATTRIBUTE, &later, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    }
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_only_stays_so),
        cmocka_unit_test(what_is_the_clients_can_be_changed),
        cmocka_unit_test(an_index_is_not_given_twice),
        cmocka_unit_test(several_values_need_the_current_one),
        cmocka_unit_test(the_server_sets_what_versions_know),
        cmocka_unit_test(names_are_unique_for_their_owner),
        cmocka_unit_test(secrecy_is_only_tightened),
        cmocka_unit_test(numbers_are_adjusted),
        cmocka_unit_test(vendor_attributes),
        cmocka_unit_test(an_object_has_so_many_attributes_and_no_more),
        cmocka_unit_test(application_data_of_the_server),
        cmocka_unit_test(a_date_that_has_come_is_fixed),
    };
    return cmocka_run_group_tests_name("engine: attributes", tests, NULL, NULL);
}
