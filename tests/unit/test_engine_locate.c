/* Locate: filters one by one, ranges of dates, storage status, offset and maximum, groups. */
#include "engine_talk.h"

#include "kmip/schema.h"

enum { MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT };

static const struct kmip_locate_response *
locate(struct talk *t, const struct kmip_locate_request *r)
{
    return talk_do(t, KMIP_OPERATION_LOCATE, r);
}

static bool
finds(struct talk *t, const struct kmip_locate_request *r, const char *id)
{
    const struct kmip_locate_response *found = locate(t, r);
    for (size_t i = 0; i < found->n_unique_identifier; i++)
        if (ks_span_is(found->unique_identifier[i].text, id))
            return true;
    return false;
}

/* Every attribute that an object has finds it, and a value that it does not have does not. */
static void
every_attribute_is_a_filter(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "needle", MASK);
    make_key(&t, "hay", MASK);
    activate_key(&t, id);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    put_vendor(&t, &add.new_attribute, "x", "rack", "14");
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    const struct kmip_get_attributes_request r = {.unique_identifier = uid(id)};
    const struct kmip_get_attributes_response *all = talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    size_t n = 0;
    for (const struct kmip_attr *a = all->attributes.first; a != NULL; a = a->next, n++) {
        struct kmip_locate_request by = {.attributes = {.present = true}};
        struct kmip_attr *copy = kmip_attrs_add(&t.arena, &by.attributes, a->tag, a->value);
        copy->vendor = a->vendor;
        copy->name = a->name;
        if (!finds(&t, &by, id))
            fail_msg("not found by %s", kmip_tag_name(a->tag));
        struct kmip_item *other = kmip_item_copy(&t.arena, a->value);
        if (other->type == KMIP_TYPE_TEXT_STRING || other->type == KMIP_TYPE_BYTE_STRING)
            other->s = KS_LIT("something else");
        else if (other->type == KMIP_TYPE_BOOLEAN)
            other->b = !other->b;
        else if (other->type == KMIP_TYPE_DATE_TIME)
            other->i64 += 77;
        else if (other->type == KMIP_TYPE_INTEGER)
            other->i32 = 4096;
        else if (other->type == KMIP_TYPE_INTERVAL)
            other->u32 = 77;
        else
            continue;
        copy->value = other;
        if (finds(&t, &by, id))
            fail_msg("found by a %s that it does not have", kmip_tag_name(a->tag));
    }
    assert_true(n > 20);
    talk_close(&t);
}

static void
a_date_given_twice_is_a_range(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK);
    static const struct {
        int64_t a, b;
        bool found;
    } ranges[] = {{-10, 10, true},  {10, -10, true}, {0, 0, true},  {1, 10, false},
                  {-10, -1, false}, {0, 10, true},   {-10, 0, true}};
    for (size_t i = 0; i < KS_ARRAY_LEN(ranges); i++) {
        struct kmip_locate_request r = {.attributes = {.present = true}};
        put_number(&t, &r.attributes, KMIP_TAG_INITIAL_DATE, RIG_START_S + ranges[i].a);
        put_number(&t, &r.attributes, KMIP_TAG_INITIAL_DATE, RIG_START_S + ranges[i].b);
        assert_int_equal(finds(&t, &r, id), ranges[i].found);
        put_number(&t, &r.attributes, KMIP_TAG_INITIAL_DATE, RIG_START_S);
        talk_refused(&t, KMIP_OPERATION_LOCATE, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    }
    talk_close(&t);
}

static void
offset_and_maximum(void **unused)
{
    (void)unused;
    struct talk t;
    const char *ids[7];
    talk_open(&t);
    for (size_t i = 0; i < KS_ARRAY_LEN(ids); i++)
        ids[i] = make_key(&t, NULL, MASK);
    struct kmip_locate_request r = {.attributes = {.present = true},
                                    .maximum_items = 3,
                                    .has_maximum_items = true,
                                    .offset_items = 2,
                                    .has_offset_items = true};
    const struct kmip_locate_response *found = locate(&t, &r);
    assert_int_equal(found->n_unique_identifier, 3);
    assert_int_equal(found->located_items, 7);
    for (size_t i = 0; i < 3; i++) /* newest first */
        assert_true(ks_span_is(found->unique_identifier[i].text, ids[4 - i]));
    r.offset_items = 6;
    assert_int_equal(locate(&t, &r)->n_unique_identifier, 1);
    r.offset_items = 7;
    assert_int_equal(locate(&t, &r)->n_unique_identifier, 0);
    r.maximum_items = -1;
    talk_refused(&t, KMIP_OPERATION_LOCATE, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    talk_close(&t);
}

static void
destroyed_objects_are_asked_for(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "gone", MASK), *here = make_key(&t, "here", MASK);
    destroy_key(&t, id);
    struct kmip_locate_request r = {.attributes = {.present = true}};
    assert_false(finds(&t, &r, id));
    r.has_storage_status_mask = true;
    r.storage_status_mask = KMIP_STORAGE_STATUS_MASK_DESTROYED_STORAGE;
    assert_true(finds(&t, &r, id));
    assert_false(finds(&t, &r, here));
    r.storage_status_mask = KMIP_STORAGE_STATUS_MASK_ARCHIVAL_STORAGE;
    assert_int_equal(locate(&t, &r)->n_unique_identifier, 0);
    talk_close(&t);
}

static void
masks_names_and_groups(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "one", MASK);
    struct kmip_locate_request by_mask = {.attributes = {.present = true}}, more = {.attributes = {.present = true}};
    put_number(&t, &by_mask.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    put_number(&t, &more.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, MASK | KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
    assert_true(finds(&t, &by_mask, id));
    assert_false(finds(&t, &more, id));
    struct kmip_add_attribute_request group = {.unique_identifier = uid(id)}, alias = {.unique_identifier = uid(id)};
    put_text(&t, &group.new_attribute, KMIP_TAG_OBJECT_GROUP, "pool");
    put_name(&t, &alias.new_attribute, "two");
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &group);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &alias);
    struct kmip_locate_request by_name = {.attributes = {.present = true}}, by_both = {.attributes = {.present = true}};
    put_name(&t, &by_name.attributes, "two");
    put_name(&t, &by_both.attributes, "one");
    put_name(&t, &by_both.attributes, "two");
    assert_int_equal(locate(&t, &by_name)->n_unique_identifier, 1);
    assert_int_equal(locate(&t, &by_both)->n_unique_identifier, 1);
    struct kmip_locate_request fresh = {.attributes = {.present = true},
                                        .has_object_group_member = true,
                                        .object_group_member = KMIP_OBJECT_GROUP_MEMBER_GROUP_MEMBER_FRESH};
    put_text(&t, &fresh.attributes, KMIP_TAG_OBJECT_GROUP, "pool");
    assert_true(finds(&t, &fresh, id));
    (void)key_bytes(&t, id);
    assert_false(finds(&t, &fresh, id));
    talk_close(&t);
}

/* 2.x and the cases of 1.4 have the newest first, 1.1 to 1.3 the oldest; whether or not an index answers. */
static void
the_order_is_that_of_the_version(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *ids[3];
    for (size_t i = 0; i < 3; i++) {
        ids[i] = make_key(&t, NULL, MASK);
        t.rig.now_us += 1000;
    }
    /* Of one name, which only templates and keys of several owners can have: an administrator sees them all. */
    const char *mine = make_key(&t, "same", MASK);
    t.rig.now_us += 1000000;
    t.who = &t.rig.admin;
    const char *theirs = make_key(&t, "same", MASK);
    struct kmip_locate_request all = {.attributes = {.present = true}}, named = all;
    put_name(&t, &named.attributes, "same");
    for (enum kmip_version v = KMIP_V1_0; v <= KMIP_V2_1; v++) {
        t.version = v;
        const struct kmip_locate_response *r = locate(&t, &all);
        const bool newest = v >= KMIP_V1_4;
        assert_int_equal(r->n_unique_identifier, 5);
        for (size_t i = 0; i < 3; i++)
            assert_true(ks_span_is(r->unique_identifier[newest ? 4 - i : i].text, ids[i]));
        r = locate(&t, &named);
        assert_int_equal(r->n_unique_identifier, 2);
        assert_true(ks_span_is(r->unique_identifier[newest ? 1 : 0].text, mine));
        assert_true(ks_span_is(r->unique_identifier[newest ? 0 : 1].text, theirs));
        named.has_maximum_items = true;
        named.maximum_items = 1;
        r = locate(&t, &named);
        assert_int_equal(r->n_unique_identifier, 1);
        assert_true(ks_span_is(r->unique_identifier[0].text, newest ? theirs : mine));
        named.has_maximum_items = false;
    }
    talk_close(&t);
}

static void
put_limits(struct talk *t, struct kmip_attrs *attrs, int64_t total, int64_t count)
{
    const struct kmip_usage_limits limits = {.usage_limits_total = total,
                                             .usage_limits_count = count,
                                             .has_usage_limits_count = count >= 0,
                                             .usage_limits_unit = KMIP_USAGE_LIMITS_UNIT_OBJECT};
    struct kmip_item *item;
    assert_int_equal(kmip_item_encode(&kmip_schema_usage_limits, KMIP_V2_1, &limits, &t->arena, &item), 0);
    item->tag = KMIP_TAG_USAGE_LIMITS;
    attrs->present = true;
    assert_non_null(kmip_attrs_add(&t->arena, attrs, KMIP_TAG_USAGE_LIMITS, item));
}

/* At least so many units (2.1: 6.1.28). */
static void
usage_limits_are_a_least(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    put_limits(&t, &add.new_attribute, 100, -1);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    static const struct {
        int64_t total, count;
        bool found;
    } rows[] = {{100, -1, true}, {99, 99, true}, {1, 100, true}, {101, -1, false}, {100, 101, false}};
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        struct kmip_locate_request r = {.attributes = {.present = true}};
        put_limits(&t, &r.attributes, rows[i].total, rows[i].count);
        assert_int_equal(finds(&t, &r, id), rows[i].found);
    }
    talk_close(&t);
}

/* "If a Date attribute is set to its largest possible value, then it is equivalent to an undefined attribute." */
static void
the_largest_date_is_none(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *without = make_key(&t, NULL, MASK), *with = make_key(&t, NULL, MASK);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(with)};
    put_number(&t, &add.new_attribute, KMIP_TAG_DEACTIVATION_DATE, RIG_START_S + 100);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    struct kmip_locate_request none = {.attributes = {.present = true}}, after = none;
    put_number(&t, &none.attributes, KMIP_TAG_DEACTIVATION_DATE, INT64_MAX);
    assert_true(finds(&t, &none, without));
    assert_false(finds(&t, &none, with));
    put_number(&t, &after.attributes, KMIP_TAG_DEACTIVATION_DATE, RIG_START_S + 50);
    put_number(&t, &after.attributes, KMIP_TAG_DEACTIVATION_DATE, INT64_MAX);
    assert_true(finds(&t, &after, without));
    assert_true(finds(&t, &after, with));
    talk_close(&t);
}

/* Fresh members come in the order in which they were put in; of the group "default" there always is one more. */
static void
members_of_groups(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V1_2;
    struct kmip_locate_request fresh = {.attributes = {.present = true},
                                        .has_object_group_member = true,
                                        .object_group_member = KMIP_OBJECT_GROUP_MEMBER_GROUP_MEMBER_FRESH};
    struct kmip_locate_request other = fresh;
    put_text(&t, &fresh.attributes, KMIP_TAG_OBJECT_GROUP, "default");
    put_text(&t, &other.attributes, KMIP_TAG_OBJECT_GROUP, "pool");
    assert_int_equal(locate(&t, &other)->n_unique_identifier, 0);
    const struct kmip_locate_response *r = locate(&t, &fresh);
    assert_int_equal(r->n_unique_identifier, 1);
    const char *first = uid_string(&t, &r->unique_identifier[0]);
    assert_int_equal(locate(&t, &fresh)->n_unique_identifier, 1);
    assert_true(finds(&t, &fresh, first)); /* still fresh: it was not handed out */
    assert_int_equal(key_bytes(&t, first).len, 32);
    r = locate(&t, &fresh);
    assert_int_equal(r->n_unique_identifier, 1);
    assert_false(ks_span_is(r->unique_identifier[0].text, first));
    /* What a new key could not be is not made. */
    put_name(&t, &fresh.attributes, "mine");
    assert_int_equal(locate(&t, &fresh)->n_unique_identifier, 0);
    /* After a search that found none the ID Placeholder names no object. */
    const struct kmip_get_request get = {.unique_identifier = {0}};
    const struct talk_item both[] = {{KMIP_OPERATION_LOCATE, &other}, {KMIP_OPERATION_GET, &get}};
    const struct kmip_response_message *m = talk_batch(&t, both, 2);
    assert_int_equal(m->batch_item[1]->result_reason, KMIP_RESULT_REASON_ITEM_NOT_FOUND);
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_MISSING_DATA);
    /* The member by default is one. */
    make_key(&t, NULL, MASK);
    struct kmip_locate_request one = {.attributes = {.present = true},
                                      .has_object_group_member = true,
                                      .object_group_member = KMIP_OBJECT_GROUP_MEMBER_GROUP_MEMBER_DEFAULT};
    put_text(&t, &one.attributes, KMIP_TAG_OBJECT_GROUP, "default");
    assert_int_equal(locate(&t, &one)->n_unique_identifier, 1);
    talk_close(&t);
}

/* Whatever order a version has for searches, members of a group come in that in which they were put in. */
static void
members_come_oldest_first(void **unused)
{
    (void)unused;
    static const enum kmip_version versions[] = {KMIP_V1_1, KMIP_V1_3, KMIP_V1_4, KMIP_V2_0, KMIP_V2_1};
    struct talk t;
    talk_open(&t);
    const char *ids[2];
    for (size_t i = 0; i < 2; i++) {
        struct kmip_create_request create = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                             .attributes = {.present = true}};
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 128);
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, MASK);
        put_text(&t, &create.attributes, KMIP_TAG_OBJECT_GROUP, "pool");
        const struct kmip_create_response *made = talk_do(&t, KMIP_OPERATION_CREATE, &create);
        ids[i] = uid_string(&t, &made->unique_identifier);
    }
    for (size_t i = 0; i < KS_ARRAY_LEN(versions); i++)
        for (uint32_t member = KMIP_OBJECT_GROUP_MEMBER_GROUP_MEMBER_FRESH;
             member <= KMIP_OBJECT_GROUP_MEMBER_GROUP_MEMBER_DEFAULT; member++) {
            t.version = versions[i];
            struct kmip_locate_request one = {.attributes = {.present = true},
                                              .has_maximum_items = true,
                                              .maximum_items = 1,
                                              .has_object_group_member = true,
                                              .object_group_member = member};
            put_text(&t, &one.attributes, KMIP_TAG_OBJECT_GROUP, "pool");
            assert_true(finds(&t, &one, ids[0]));
            assert_false(finds(&t, &one, ids[1]));
        }
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_attribute_is_a_filter), cmocka_unit_test(a_date_given_twice_is_a_range),
        cmocka_unit_test(offset_and_maximum),          cmocka_unit_test(destroyed_objects_are_asked_for),
        cmocka_unit_test(masks_names_and_groups),      cmocka_unit_test(the_order_is_that_of_the_version),
        cmocka_unit_test(usage_limits_are_a_least),    cmocka_unit_test(the_largest_date_is_none),
        cmocka_unit_test(members_of_groups),           cmocka_unit_test(members_come_oldest_first),
    };
    return cmocka_run_group_tests_name("engine: locate", tests, NULL, NULL);
}
