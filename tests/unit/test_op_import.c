/* Export and Import: what was exported comes back as it was; over which object; whose; what no object can be. */
#include "engine_talk.h"

enum { BOTH = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT };

static const char other_uid[] = "8a4b5b9c-6188-4c63-8142-fe9c328129fc";

static const struct kmip_export_response *export(struct talk *t, const char *id)
{
    const struct kmip_export_request r = {.unique_identifier = uid(id)};
    return talk_do(t, KMIP_OPERATION_EXPORT, &r);
}

static struct kmip_import_request
import_of(const struct kmip_export_response *e, const char *id, bool replace)
{
    return (struct kmip_import_request){.unique_identifier = uid(id),
                                        .object_type = e->object_type,
                                        .replace_existing = replace,
                                        .has_replace_existing = true,
                                        .attributes = e->attributes,
                                        .object = e->object};
}

static const char *
import(struct talk *t, const struct kmip_import_request *r)
{
    const struct kmip_import_response *made = talk_do(t, KMIP_OPERATION_IMPORT, r);
    return uid_string(t, &made->unique_identifier);
}

/* A list of its own without that attribute. */
static void
drop(struct talk *t, struct kmip_attrs *attrs, uint32_t tag)
{
    struct kmip_attrs kept = {.present = true};
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        if (a->tag != tag) {
            struct kmip_attr *copy = kmip_attrs_add(&t->arena, &kept, a->tag, a->value);
            copy->vendor = a->vendor;
            copy->name = a->name;
        }
    *attrs = kept;
}

static bool
same_attribute(struct talk *t, const struct kmip_attr *a, const char *id)
{
    const struct kmip_get_attributes_request r = {.unique_identifier = uid(id)};
    const struct kmip_get_attributes_response *all = talk_do(t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    for (const struct kmip_attr *b = all->attributes.first; b != NULL; b = b->next)
        if (b->tag == a->tag && ks_span_equal(a->vendor, b->vendor) && ks_span_equal(a->name, b->name) &&
            kmip_item_equal(a->value, b->value))
            return true;
    return false;
}

static void
what_was_exported_comes_back(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "tde", BOTH);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id), .new_attribute = {.present = true}};
    put_vendor(&t, &add.new_attribute, "x", "note", "hello");
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    activate_key(&t, id);
    const struct ks_span plain = key_bytes(&t, id);
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_SUPERSEDED);
    t.rig.now_us += 777000000;
    const struct kmip_export_response *e = export(&t, id);
    assert_non_null(strstr(records(&t), "\"Export\""));
    destroy_key(&t, id);
    const struct kmip_import_request r = import_of(e, id, true);
    assert_string_equal(import(&t, &r), id);
    assert_int_equal(state_of(&t, id), KMIP_STATE_DEACTIVATED);
    assert_true(ks_span_equal(key_bytes(&t, id), plain));
    for (const struct kmip_attr *a = e->attributes.first; a != NULL; a = a->next)
        if (!same_attribute(&t, a, id) && a->tag != KMIP_TAG_NEVER_EXTRACTABLE)
            fail_msg("%s is not what it was", kmip_tag_name(a->tag));
    /* And it is in the store. */
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    assert_true(ks_span_equal(key_bytes(&t, id), plain));
    talk_close(&t);
}

static void
a_destroyed_key_is_exported_without_its_value(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, BOTH);
    destroy_key(&t, id);
    const struct kmip_export_response *e = export(&t, id);
    assert_null(e->object.symmetric_key->key_block->key_value);
    struct kmip_import_request r = import_of(e, other_uid, false);
    drop(&t, &r.attributes, KMIP_TAG_UNIQUE_IDENTIFIER);
    import(&t, &r);
    assert_int_equal(state_of(&t, other_uid), KMIP_STATE_DESTROYED);
    talk_close(&t);
}

static void
nobody_takes_over_what_is_anothers(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, BOTH);
    const struct kmip_export_response *e = export(&t, id);
    struct kmip_import_request r = import_of(e, id, false);
    talk_refused(&t, KMIP_OPERATION_IMPORT, &r, KMIP_RESULT_REASON_OBJECT_ALREADY_EXISTS);
    r.replace_existing = true;
    /* Not even an administrator, who may manage it. */
    t.who = &t.rig.admin;
    talk_refused(&t, KMIP_OPERATION_IMPORT, &r, KMIP_RESULT_REASON_OBJECT_ALREADY_EXISTS);
    const struct kmip_export_request theirs = {.unique_identifier = uid(id)};
    talk_refused(&t, KMIP_OPERATION_EXPORT, &theirs, KMIP_RESULT_REASON_PERMISSION_DENIED);
    t.who = &t.rig.client;
    import(&t, &r);
    /* What is compromised stays so: it can not be imported anew as if it were not. */
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    talk_refused(&t, KMIP_OPERATION_IMPORT, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

static void
identifiers_are_uuids_or_new(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_export_response *e = export(&t, make_key(&t, NULL, BOTH));
    struct kmip_import_request r = import_of(e, other_uid, false);
    assert_string_equal(import(&t, &r), other_uid);
    r = import_of(e, "key-17", false);
    const char *id = import(&t, &r);
    assert_string_not_equal(id, "key-17");
    assert_int_equal(strlen(id), 36);
    talk_close(&t);
}

static void
what_no_object_can_be_is_refused(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_export_response *e = export(&t, make_key(&t, "used", BOTH));
    struct kmip_import_request r = import_of(e, other_uid, false);
    talk_refused(&t, KMIP_OPERATION_IMPORT, &r, KMIP_RESULT_REASON_NON_UNIQUE_NAME_ATTRIBUTE);
    drop(&t, &r.attributes, KMIP_TAG_NAME);
    struct kmip_attrs good = r.attributes;
    drop(&t, &r.attributes, KMIP_TAG_STATE);
    put_number(&t, &r.attributes, KMIP_TAG_STATE, KMIP_STATE_DESTROYED);
    talk_refused(&t, KMIP_OPERATION_IMPORT, &r, KMIP_RESULT_REASON_INVALID_ATTRIBUTE_VALUE);
    drop(&t, &r.attributes, KMIP_TAG_STATE);
    put_number(&t, &r.attributes, KMIP_TAG_STATE, 77);
    const struct kmip_response_batch_item *item = talk_ask(&t, KMIP_OPERATION_IMPORT, &r);
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    r.attributes = good;
    r.object_type = KMIP_OBJECT_TYPE_SECRET_DATA;
    item = talk_ask(&t, KMIP_OPERATION_IMPORT, &r);
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    /* That a key never left somewhere is not believed of one that comes in the clear. */
    r.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
    drop(&t, &r.attributes, KMIP_TAG_NEVER_EXTRACTABLE);
    put_number(&t, &r.attributes, KMIP_TAG_NEVER_EXTRACTABLE, true);
    import(&t, &r);
    assert_false(attribute(&t, other_uid, KMIP_TAG_NEVER_EXTRACTABLE)->b);
    talk_close(&t);
}

/* 3.0 writes Unique Identifiers as Identifiers. */
static void
identifiers_of_3_0(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, BOTH);
    t.version = KMIP_V3_0;
    const struct kmip_export_response *e = export(&t, id);
    struct kmip_import_request r = import_of(e, other_uid, false);
    assert_string_equal(import(&t, &r), other_uid);
    talk_refused(&t, KMIP_OPERATION_IMPORT, &r, KMIP_RESULT_REASON_OBJECT_ALREADY_EXISTS);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_exported_comes_back),
        cmocka_unit_test(a_destroyed_key_is_exported_without_its_value),
        cmocka_unit_test(nobody_takes_over_what_is_anothers),
        cmocka_unit_test(identifiers_are_uuids_or_new),
        cmocka_unit_test(what_no_object_can_be_is_refused),
        cmocka_unit_test(identifiers_of_3_0),
    };
    return cmocka_run_group_tests_name("engine: Import and Export", tests, NULL, NULL);
}
