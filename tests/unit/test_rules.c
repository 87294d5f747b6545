/* Set and Get Constraints, Set Defaults: who may, what they do to objects that are made, and that they last. */
#include "engine_talk.h"

static struct kmip_create_request
wants(struct talk *t, int64_t bits, const char *group)
{
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    if (bits != 0)
        put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, bits);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    if (group != NULL)
        put_text(t, &r.attributes, KMIP_TAG_OBJECT_GROUP, group);
    return r;
}

static uint32_t symmetric[] = {KMIP_OBJECT_TYPE_SYMMETRIC_KEY};
static struct kmip_object_types types = {.object_type = symmetric, .n_object_type = 1};

/* As the published case has it: 256 bits in Group1, 192 elsewhere. */
static void
lay_down(struct talk *t)
{
    struct ks_span names[] = {KS_LIT("Group1")};
    struct kmip_object_groups groups = {.object_group = names, .n_object_group = 1};
    struct kmip_constraint a = {.object_types = &types, .object_groups = &groups, .attributes = {.present = true}};
    struct kmip_constraint b = {.object_types = &types, .attributes = {.present = true}};
    put_number(t, &a.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(t, &b.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 192);
    struct kmip_constraint *list[] = {&a, &b};
    struct kmip_constraints all = {.constraint = list, .n_constraint = 2};
    const struct kmip_set_constraints_request r = {.constraints = &all};
    talk_do(t, KMIP_OPERATION_SET_CONSTRAINTS, &r);
}

static void
constraints_hold(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V2_1;
    t.who = &t.rig.admin;
    lay_down(&t);
    t.who = &t.rig.client;
    const struct kmip_create_request in_256 = wants(&t, 256, "Group1"), in_192 = wants(&t, 192, "Group1"),
                                     out_256 = wants(&t, 256, NULL), out_192 = wants(&t, 192, "Group2");
    for (int turn = 0; turn < 2; turn++) {
        talk_do(&t, KMIP_OPERATION_CREATE, &in_256);
        talk_refused(&t, KMIP_OPERATION_CREATE, &in_192, KMIP_RESULT_REASON_CONSTRAINT_VIOLATION);
        talk_refused(&t, KMIP_OPERATION_CREATE, &out_256, KMIP_RESULT_REASON_CONSTRAINT_VIOLATION);
        talk_do(&t, KMIP_OPERATION_CREATE, &out_192);
        struct ks_diag diag = {0};
        assert_int_equal(rig_reload(&t.rig, &diag), 0);
    }
    const struct kmip_get_constraints_request get = {0};
    const struct kmip_get_constraints_response *got = talk_do(&t, KMIP_OPERATION_GET_CONSTRAINTS, &get);
    assert_int_equal(got->constraints->n_constraint, 2);
    /* Clients neither make them nor take them away. */
    const struct kmip_set_constraints_request none = {0};
    talk_refused(&t, KMIP_OPERATION_SET_CONSTRAINTS, &none, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_refused(&t, KMIP_OPERATION_CREATE, &out_256, KMIP_RESULT_REASON_CONSTRAINT_VIOLATION);
    t.who = &t.rig.admin;
    talk_do(&t, KMIP_OPERATION_SET_CONSTRAINTS, &none);
    talk_do(&t, KMIP_OPERATION_CREATE, &out_256);
    struct ks_diag diag = {0};
    assert_int_equal(rig_reload(&t.rig, &diag), 0);
    talk_do(&t, KMIP_OPERATION_CREATE, &out_256);
    got = talk_do(&t, KMIP_OPERATION_GET_CONSTRAINTS, &get);
    assert_int_equal(got->constraints->n_constraint, 0);
    talk_close(&t);
}

static void
what_the_server_sets_is_not_laid_down(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V2_1;
    t.who = &t.rig.admin;
    struct kmip_constraint a = {.attributes = {.present = true}};
    put_number(&t, &a.attributes, KMIP_TAG_STATE, KMIP_STATE_ACTIVE);
    struct kmip_constraint *list[] = {&a};
    struct kmip_constraints all = {.constraint = list, .n_constraint = 1};
    const struct kmip_set_constraints_request r = {.constraints = &all};
    talk_refused(&t, KMIP_OPERATION_SET_CONSTRAINTS, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    talk_close(&t);
}

static void
defaults_fill_what_is_missing(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V2_1;
    t.who = &t.rig.admin;
    struct kmip_object_defaults d = {.object_types = &types, .attributes = {.present = true}};
    put_number(&t, &d.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 192);
    struct kmip_object_defaults *list[] = {&d};
    struct kmip_defaults_information all = {.object_defaults = list, .n_object_defaults = 1};
    const struct kmip_set_defaults_request r = {.defaults_information = &all}, none = {0};
    talk_do(&t, KMIP_OPERATION_SET_DEFAULTS, &r);
    uint32_t functions[] = {KMIP_QUERY_FUNCTION_QUERY_DEFAULTS_INFORMATION};
    const struct kmip_query_request query = {.query_function = functions, .n_query_function = 1};
    const struct kmip_query_response *q = talk_do(&t, KMIP_OPERATION_QUERY, &query);
    assert_non_null(q->defaults_information);
    t.who = &t.rig.client;
    talk_refused(&t, KMIP_OPERATION_SET_DEFAULTS, &none, KMIP_RESULT_REASON_PERMISSION_DENIED);
    const struct kmip_create_request silent = wants(&t, 0, NULL), says = wants(&t, 256, NULL);
    const struct kmip_create_response *made = talk_do(&t, KMIP_OPERATION_CREATE, &silent);
    assert_int_equal(attribute(&t, uid_string(&t, &made->unique_identifier), KMIP_TAG_CRYPTOGRAPHIC_LENGTH)->i32, 192);
    made = talk_do(&t, KMIP_OPERATION_CREATE, &says);
    assert_int_equal(attribute(&t, uid_string(&t, &made->unique_identifier), KMIP_TAG_CRYPTOGRAPHIC_LENGTH)->i32, 256);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constraints_hold),
        cmocka_unit_test(what_the_server_sets_is_not_laid_down),
        cmocka_unit_test(defaults_fill_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
