/* A key that backups need is not destroyed, unless two administrators agree. */
#include <stdio.h>

#include "engine_talk.h"

static struct identity deputy; /* the other administrator */

static void
add(struct talk *talk, const char *id, const char *vendor, const char *name, const char *value)
{
    struct kmip_attrs attrs = {.present = true};
    put_vendor(talk, &attrs, vendor, name, value);
    const struct kmip_add_attribute_request r = {.unique_identifier = uid(id), .new_attribute = attrs};
    (void)talk_do(talk, KMIP_OPERATION_ADD_ATTRIBUTE, &r);
}

static void
add_refused(struct talk *talk, const char *id, const char *name, const char *value)
{
    struct kmip_attrs attrs = {.present = true};
    put_vendor(talk, &attrs, "x", name, value);
    const struct kmip_add_attribute_request r = {.unique_identifier = uid(id), .new_attribute = attrs};
    talk_refused(talk, KMIP_OPERATION_ADD_ATTRIBUTE, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
}

static void
take_off(struct talk *talk, const char *id, const char *name, bool may)
{
    struct kmip_attr_ref ref = {
        .tag = KMIP_TAG_ATTRIBUTE, .vendor = KS_LIT("x"), .name = ks_span_str(name), .index = -1};
    const struct kmip_delete_attribute_request r = {.unique_identifier = uid(id),
                                                    .attribute_refs = {.n = 1, .v = &ref}};
    if (may)
        (void)talk_do(talk, KMIP_OPERATION_DELETE_ATTRIBUTE, &r);
    else
        talk_refused(talk, KMIP_OPERATION_DELETE_ATTRIBUTE, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
}

static void
no_destroy(struct talk *talk, const char *id)
{
    const struct kmip_destroy_request r = {.unique_identifier = uid(id)};
    talk_refused(talk, KMIP_OPERATION_DESTROY, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
}

/* The code that the refusal of a Destroy names. */
static const char *
code_of(struct talk *talk, const char *id)
{
    static char code[17];
    const struct kmip_destroy_request r = {.unique_identifier = uid(id)};
    const struct kmip_response_batch_item *item = talk_ask(talk, KMIP_OPERATION_DESTROY, &r);
    assert_int_equal(item->result_reason, KMIP_RESULT_REASON_PERMISSION_DENIED);
    const struct ks_span said = item->result_message;
    static const char before[] = "OWNNAME to ";
    const char *at = memmem(said.data, said.len, before, sizeof(before) - 1);
    assert_non_null(at);
    memcpy(code, at + sizeof(before) - 1, 16);
    code[16] = '\0';
    return code;
}

/* A key of the client's that a backup needs, deactivated. */
static const char *
needed_key(struct talk *talk)
{
    talk->who = &talk->rig.client;
    const char *id = make_key(talk, "kek", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    activate_key(talk, id);
    add(talk, id, "x", "keystead-needs-monday", "base backup monday");
    add(talk, id, "acme", "keystead-needs-others", "another vendor's attribute is nothing to us");
    revoke_key(talk, id, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION);
    return id;
}

static void
test_needed(void **state)
{
    (void)state;
    struct talk t;
    talk_open(&t);
    const char *id = needed_key(&t);
    no_destroy(&t, id);
    t.who = &t.rig.admin;
    no_destroy(&t, id);
    take_off(&t, id, "keystead-needs-monday", false); /* not the administrator's to say */
    assert_int_equal(state_of(&t, id), KMIP_STATE_DEACTIVATED);
    t.who = &t.rig.client;
    take_off(&t, id, "keystead-needs-monday", true);
    destroy_key(&t, id);
    talk_close(&t);
}

static void
test_two_agree(void **state)
{
    (void)state;
    struct talk t;
    talk_open(&t);
    rig_add_admin(&t.rig, &deputy);
    const char *id = needed_key(&t);
    const char *code = code_of(&t, id);
    add_refused(&t, id, "keystead-destroy-app", code); /* no administrator */
    t.who = &t.rig.admin;
    add_refused(&t, id, "keystead-destroy-deputy", code); /* not for another one */
    add(&t, id, "x", "keystead-destroy-admin", code);
    no_destroy(&t, id); /* one is not two */
    t.who = &t.rig.client;
    no_destroy(&t, id); /* nor is the client an administrator */
    take_off(&t, id, "keystead-destroy-admin", false);
    add(&t, id, "x", "keystead-needs-tuesday", "base backup tuesday");
    t.who = &deputy;
    no_destroy(&t, id); /* that was not what was agreed to */
    take_off(&t, id, "keystead-destroy-admin", false);
    t.who = &t.rig.admin;
    take_off(&t, id, "keystead-destroy-admin", true);
    add(&t, id, "x", "keystead-destroy-admin", code_of(&t, id));
    t.who = &deputy;
    destroy_key(&t, id);
    assert_int_equal(state_of(&t, id), KMIP_STATE_DESTROYED);
    talk_close(&t);
}

/* The new key of a Re-key is needed by nothing. */
static void
test_re_key(void **state)
{
    (void)state;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const char *id = make_key(&t, "kek", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    activate_key(&t, id);
    add(&t, id, "x", "keystead-needs-monday", "base backup monday");
    const struct kmip_re_key_request r = {.unique_identifier = uid(id)};
    const struct kmip_re_key_response *made = talk_do(&t, KMIP_OPERATION_RE_KEY, &r);
    const char *next = uid_string(&t, &made->unique_identifier);
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION);
    no_destroy(&t, id);
    if (state_of(&t, next) == KMIP_STATE_ACTIVE)
        revoke_key(&t, next, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION);
    destroy_key(&t, next);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_needed),
        cmocka_unit_test(test_two_agree),
        cmocka_unit_test(test_re_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
