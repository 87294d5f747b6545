/* KMIP 3.0: its switch, its users, groups and credentials, Obliterate and Deactivate, links by type. */
#include "engine_talk.h"

static const struct kmip_ping_request ping;

static bool
offered(struct talk *t)
{
    const struct kmip_discover_versions_request r = {0};
    t->version = KMIP_V2_1;
    const struct kmip_discover_versions_response *got = talk_do(t, KMIP_OPERATION_DISCOVER_VERSIONS, &r);
    t->version = KMIP_V3_0;
    return got->protocol_version[0]->protocol_version_major == 3;
}

static void
the_switch(void **unused)
{
    (void)unused;
    static const enum engine_kmip_3_0 settings[] = {ENGINE_3_0_UNANNOUNCED, ENGINE_3_0_OFF, ENGINE_3_0_ON};
    for (size_t i = 0; i < 3; i++) {
        const struct engine_config config = {.kmip_3_0 = settings[i]};
        struct talk t;
        talk_open_with(&t, &config);
        t.who = &t.rig.client;
        assert_int_equal(offered(&t), settings[i] == ENGINE_3_0_ON);
        const struct kmip_response_message *got = talk_batch(&t, &(struct talk_item){KMIP_OPERATION_PING, &ping}, 1);
        if (settings[i] == ENGINE_3_0_OFF)
            assert_int_equal(got->batch_item[0]->result_reason, KMIP_RESULT_REASON_UNSUPPORTED_PROTOCOL_VERSION);
        else
            assert_int_equal(got->batch_item[0]->result_status, KMIP_RESULT_STATUS_SUCCESS);
        talk_close(&t);
    }
}

static const char *
password(struct talk *t, const char *text)
{
    struct kmip_password_credential p = {.password = ks_span_str(text), .has_password = true};
    const struct kmip_create_credential_request r = {
        .credential_type = KMIP_CREDENTIAL_TYPE_PASSWORD, .attributes = {.present = true}, .password_credential = &p};
    const struct kmip_create_credential_response *made = talk_do(t, KMIP_OPERATION_CREATE_CREDENTIAL, &r);
    return uid_string(t, &made->unique_identifier);
}

static struct kmip_create_user_request
user(struct talk *t, const char *name, const char *credential)
{
    struct kmip_create_user_request r = {.attributes = {.present = true}};
    struct kmip_item *link = kmip_item_new(&t->arena, KMIP_TAG_CREDENTIAL_LINK, KMIP_TYPE_REFERENCE);
    link->s = ks_span_str(credential);
    assert_non_null(kmip_attrs_add(&t->arena, &r.attributes, KMIP_TAG_CREDENTIAL_LINK, link));
    put_name(t, &r.attributes, name);
    return r;
}

static void
say(struct talk *t, const char *name, const char *text)
{
    const struct kmip_username_password_credential value = {
        .username = ks_span_str(name), .password = ks_span_str(text), .has_password = true};
    t->authentication = ks_arena_alloc(&t->arena, sizeof(*t->authentication));
    struct kmip_credential *c = ks_arena_alloc(&t->arena, sizeof(*c));
    c->credential_type = KMIP_CREDENTIAL_TYPE_USERNAME_AND_PASSWORD;
    assert_int_equal(
        kmip_item_encode(&kmip_schema_username_password_credential, KMIP_V2_1, &value, &t->arena, &c->credential_value),
        0);
    t->authentication->credential = ks_arena_alloc(&t->arena, sizeof(c));
    t->authentication->credential[0] = c;
    t->authentication->n_credential = 1;
}

static void
users_have_passwords(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V3_0;
    t.who = &t.rig.admin;
    const char *secret = password(&t, "secret");
    const struct kmip_create_user_request r = user(&t, "ada", secret);
    talk_do(&t, KMIP_OPERATION_CREATE_USER, &r);
    assert_int_equal(attribute(&t, secret, KMIP_TAG_OBJECT_CLASS)->u32, KMIP_OBJECT_CLASS_SYSTEM);
    /* Nobody gets it, not even who made it. */
    const struct kmip_get_request get = {.unique_identifier = uid(secret)};
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_SENSITIVE);
    t.who = &t.rig.client;
    static const struct {
        const char *name, *password;
        bool fits;
    } tries[] = {{"ada", "secret", true},
                 {"ada", "secres", false},
                 {"ada", "", false},
                 {"ada", "secret2", false},
                 {"bob", "anything", true}};
    for (size_t i = 0; i < KS_ARRAY_LEN(tries); i++) {
        say(&t, tries[i].name, tries[i].password);
        const struct kmip_response_message *got = talk_batch(&t, &(struct talk_item){KMIP_OPERATION_PING, &ping}, 1);
        if (tries[i].fits)
            assert_int_equal(got->batch_item[0]->result_status, KMIP_RESULT_STATUS_SUCCESS);
        else
            assert_int_equal(got->batch_item[0]->result_reason, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    }
    t.authentication = NULL;
    talk_refused(&t, KMIP_OPERATION_CREATE_USER, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

static void
nothing_stays_of_what_is_obliterated(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const char *id = make_key(&t, "gone", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    const char *other = make_key(&t, "stays", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    const char *active = make_key(&t, "in use", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    activate_key(&t, active);
    t.version = KMIP_V3_0;
    const struct kmip_obliterate_request r = {.unique_identifier = uid(id)}, used = {.unique_identifier = uid(active)};
    talk_refused(&t, KMIP_OPERATION_OBLITERATE, &used, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    talk_do(&t, KMIP_OPERATION_OBLITERATE, &r);
    const struct kmip_get_attributes_request get = {.unique_identifier = uid(id)};
    for (int turn = 0; turn < 2; turn++) {
        talk_refused(&t, KMIP_OPERATION_GET_ATTRIBUTES, &get, KMIP_RESULT_REASON_ITEM_NOT_FOUND);
        const struct kmip_locate_request locate = {.attributes = {.present = true}};
        const struct kmip_locate_response *found = talk_do(&t, KMIP_OPERATION_LOCATE, &locate);
        assert_int_equal(found->n_unique_identifier, 2);
        assert_int_equal(state_of(&t, other), KMIP_STATE_PRE_ACTIVE);
        struct ks_diag diag = {0};
        assert_int_equal(rig_reload(&t.rig, &diag), 0);
    }
    t.version = KMIP_V2_1;
    make_key(&t, "gone", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT); /* its name is free */
    t.version = KMIP_V3_0;
    const struct kmip_deactivate_request end = {.unique_identifier = uid(active)};
    talk_do(&t, KMIP_OPERATION_DEACTIVATE, &end);
    assert_int_equal(state_of(&t, active), KMIP_STATE_DEACTIVATED);
    talk_close(&t);
}

/* Its date has come, so the request that deletes it first carries out what was due. */
static void
what_is_due_is_obliterated_too(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const char *id = make_key(&t, "due", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    activate_key(&t, id);
    struct kmip_add_attribute_request end = {.unique_identifier = uid(id)};
    put_number(&t, &end.new_attribute, KMIP_TAG_DEACTIVATION_DATE, t.rig.now_us / 1000000 + 10);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &end);
    t.version = KMIP_V3_0;
    t.rig.now_us += INT64_C(11) * 1000000;
    const struct kmip_obliterate_request r = {.unique_identifier = uid(id)};
    talk_do(&t, KMIP_OPERATION_OBLITERATE, &r);
    assert_non_null(strstr(records(&t), "state-change"));
    assert_non_null(strstr(records(&t), "Obliterate"));
    const struct kmip_get_attributes_request get = {.unique_identifier = uid(id)};
    for (int turn = 0; turn < 2; turn++) {
        struct ks_diag diag = {0};
        talk_refused(&t, KMIP_OPERATION_GET_ATTRIBUTES, &get, KMIP_RESULT_REASON_ITEM_NOT_FOUND);
        assert_int_equal(rig_reload(&t.rig, &diag), 0);
    }
    talk_close(&t);
}

static void
links_have_names_of_their_own(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const char *a = make_key(&t, "a", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    const char *b = make_key(&t, "b", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    t.version = KMIP_V3_0;
    struct kmip_add_attribute_request add = {.unique_identifier = uid(a), .new_attribute = {.present = true}};
    struct kmip_link link = {.link_type = KMIP_LINK_TYPE_PARENT_LINK, .linked_object_identifier = uid(b)};
    struct kmip_item *item;
    assert_int_equal(kmip_item_encode(&kmip_schema_link, KMIP_V2_1, &link, &t.arena, &item), 0);
    assert_non_null(kmip_attrs_add(&t.arena, &add.new_attribute, KMIP_TAG_LINK, item));
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    const struct kmip_get_attribute_list_request list = {.unique_identifier = uid(a)};
    const struct kmip_get_attribute_list_response *got = talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTE_LIST, &list);
    bool parent = false;
    for (size_t i = 0; i < got->attribute_refs.n; i++)
        parent = parent || got->attribute_refs.v[i].tag == KMIP_TAG_PARENT_LINK;
    assert_true(parent);
    struct kmip_attr_ref ref = {.tag = KMIP_TAG_PARENT_LINK, .index = -1};
    const struct kmip_get_attributes_request get = {.unique_identifier = uid(a), .attribute_refs = {1, &ref}};
    const struct kmip_get_attributes_response *values = talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTES, &get);
    assert_int_equal(values->attributes.n, 1);
    ref.tag = KMIP_TAG_CHILD_LINK;
    values = talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTES, &get);
    assert_int_equal(values->attributes.n, 0);
    talk_close(&t);
}

static void
link_to(struct talk *t, const char *from, uint32_t type, const char *to, bool modify)
{
    struct kmip_attrs attrs = {.present = true};
    struct kmip_link link = {.link_type = type, .linked_object_identifier = uid(to)};
    struct kmip_item *item;
    assert_int_equal(kmip_item_encode(&kmip_schema_link, KMIP_V2_1, &link, &t->arena, &item), 0);
    assert_non_null(kmip_attrs_add(&t->arena, &attrs, KMIP_TAG_LINK, item));
    const struct kmip_add_attribute_request add = {.unique_identifier = uid(from), .new_attribute = attrs};
    const struct kmip_modify_attribute_request change = {.unique_identifier = uid(from), .new_attribute = attrs};
    if (modify)
        talk_do(t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &change);
    else
        talk_do(t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
}

static size_t
count_of(struct talk *t, const char *id, uint32_t tag)
{
    struct kmip_attr_ref ref = {.tag = tag, .index = -1};
    const struct kmip_get_attributes_request get = {.unique_identifier = uid(id), .attribute_refs = {1, &ref}};
    const struct kmip_get_attributes_response *values = talk_do(t, KMIP_OPERATION_GET_ATTRIBUTES, &get);
    return values->attributes.n;
}

static void
links_are_changed_by_their_types(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const char *a = make_key(&t, "a", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    const char *b = make_key(&t, "b", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    t.version = KMIP_V3_0;
    link_to(&t, a, KMIP_LINK_TYPE_CHILD_LINK, a, false);
    link_to(&t, a, KMIP_LINK_TYPE_CHILD_LINK, b, false);
    link_to(&t, a, KMIP_LINK_TYPE_PARENT_LINK, a, false);
    link_to(&t, a, KMIP_LINK_TYPE_PARENT_LINK, b, true); /* the one of that type */
    struct kmip_attr_ref ref = {.tag = KMIP_TAG_CHILD_LINK, .index = -1};
    const struct kmip_delete_attribute_request r = {.unique_identifier = uid(a), .attribute_refs = {1, &ref}};
    talk_do(&t, KMIP_OPERATION_DELETE_ATTRIBUTE, &r);
    assert_int_equal(count_of(&t, a, KMIP_TAG_CHILD_LINK), 0);
    assert_int_equal(count_of(&t, a, KMIP_TAG_PARENT_LINK), 1);
    talk_refused(&t, KMIP_OPERATION_DELETE_ATTRIBUTE, &r, KMIP_RESULT_REASON_ATTRIBUTE_NOT_FOUND);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_switch),
        cmocka_unit_test(users_have_passwords),
        cmocka_unit_test(nothing_stays_of_what_is_obliterated),
        cmocka_unit_test(what_is_due_is_obliterated_too),
        cmocka_unit_test(links_have_names_of_their_own),
        cmocka_unit_test(links_are_changed_by_their_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
