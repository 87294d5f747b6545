/* Rotation: what every replacement leaves behind, and the rotation that the server does by the clock. */
#include "engine_talk.h"

#include <stdio.h>

#include "server/engine/ctx.h"

enum { MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT, DAY = 86400 };

static void
put_rotation(struct talk *t, struct kmip_attrs *attrs, uint32_t interval)
{
    put_number(t, attrs, KMIP_TAG_ROTATE_AUTOMATIC, true);
    put_number(t, attrs, KMIP_TAG_ROTATE_INTERVAL, interval);
}

static const char *
rotating_key(struct talk *t, const char *name, uint32_t interval)
{
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, MASK);
    put_name(t, &r.attributes, name);
    put_rotation(t, &r.attributes, interval);
    const struct kmip_create_response *response = talk_do(t, KMIP_OPERATION_CREATE, &r);
    return uid_string(t, &response->unique_identifier);
}

/* The one object that carries the name. */
static const char *
named(struct talk *t, const char *name)
{
    struct kmip_locate_request r = {.attributes = {.present = true}};
    put_name(t, &r.attributes, name);
    const struct kmip_locate_response *found = talk_do(t, KMIP_OPERATION_LOCATE, &r);
    assert_int_equal(found->n_unique_identifier, 1);
    return uid_string(t, &found->unique_identifier[0]);
}

/* The clock goes on and strikes; its changes are committed as the server would. */
static bool
tick(struct talk *t, int64_t seconds)
{
    t->rig.now_us += seconds * 1000000;
    const bool work = engine_tick(t->rig.engine, &t->rig.reply);
    const struct commit_job *job = &t->rig.reply.job;
    if (work && job->n_changes != 0)
        assert_int_equal(store_commit(t->rig.store, job->changes, job->n_changes, NULL), 0);
    return work;
}

static void
generations(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "payroll", MASK);
    assert_null(attribute(&t, id, KMIP_TAG_ROTATE_GENERATION));
    assert_null(attribute(&t, id, KMIP_TAG_ROTATE_LATEST));
    for (int i = 1; i <= 3; i++) {
        t.rig.now_us += 5000000;
        const struct kmip_re_key_request r = {.unique_identifier = uid(id)};
        const struct kmip_re_key_response *made = talk_do(&t, KMIP_OPERATION_RE_KEY, &r);
        const char *newer = uid_string(&t, &made->unique_identifier);
        assert_int_equal(attribute(&t, newer, KMIP_TAG_ROTATE_GENERATION)->i32, i);
        assert_true(attribute(&t, newer, KMIP_TAG_ROTATE_LATEST)->b);
        assert_null(attribute(&t, newer, KMIP_TAG_ROTATE_DATE));
        assert_false(attribute(&t, id, KMIP_TAG_ROTATE_LATEST)->b);
        assert_int_equal(attribute(&t, id, KMIP_TAG_ROTATE_DATE)->i64, RIG_START_S + 5 * i);
        id = newer;
    }
    talk_close(&t);
}

static void
the_clock_rotates(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = rotating_key(&t, "ledger", 30 * DAY), *first = id;
    activate_key(&t, id);
    const struct ks_span bytes = key_bytes(&t, id);
    assert_false(tick(&t, 30 * DAY - 1));
    /* A request does not wait for a rotation, and the key is what it was until the clock strikes. */
    t.rig.now_us += 1000000;
    assert_string_equal(named(&t, "ledger"), first);
    assert_true(tick(&t, 0));
    assert_non_null(strstr(records(&t), "\"rotation\""));
    assert_non_null(strstr(records(&t), "\"system\""));
    assert_non_null(strstr(records(&t), first));
    const char *second = named(&t, "ledger");
    assert_string_not_equal(second, first);
    assert_int_equal(attribute(&t, second, KMIP_TAG_ROTATE_GENERATION)->i32, 1);
    assert_true(attribute(&t, second, KMIP_TAG_ROTATE_AUTOMATIC)->b);
    assert_false(ks_span_equal(key_bytes(&t, second), bytes));
    /* The key before still decrypts: it is there, and is not rotated again. */
    assert_int_equal(state_of(&t, first), KMIP_STATE_ACTIVE);
    assert_false(tick(&t, 29 * DAY));
    /* After a restart the next one is as due as ever. */
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    assert_true(tick(&t, DAY));
    const char *third = named(&t, "ledger");
    assert_string_not_equal(third, second);
    assert_int_equal(attribute(&t, third, KMIP_TAG_ROTATE_GENERATION)->i32, 2);
    assert_false(tick(&t, 1));
    /* One that is revoked is not rotated. */
    revoke_key(&t, third, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION);
    assert_false(tick(&t, 31 * DAY));
    talk_close(&t);
}

static void
the_offset_and_many_at_once(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    char name[32];
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "key-%d", i);
        const char *id = rotating_key(&t, name, DAY);
        struct kmip_set_attribute_request set = {.unique_identifier = uid(id)};
        put_number(&t, &set.new_attribute, KMIP_TAG_ROTATE_OFFSET, 100);
        talk_do(&t, KMIP_OPERATION_SET_ATTRIBUTE, &set);
    }
    assert_true(tick(&t, DAY));
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "key-%d", i);
        const char *id = named(&t, name);
        assert_int_equal(attribute(&t, id, KMIP_TAG_ROTATE_GENERATION)->i32, 1);
        assert_int_equal(attribute(&t, id, KMIP_TAG_ACTIVATION_DATE)->i64, RIG_START_S + DAY + 100);
        assert_int_equal(state_of(&t, id), KMIP_STATE_PRE_ACTIVE);
    }
    assert_true(tick(&t, 100));
    assert_int_equal(state_of(&t, named(&t, "key-7")), KMIP_STATE_ACTIVE);
    talk_close(&t);
}

static void
pairs_go_together(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    struct kmip_create_key_pair_request r = {.common_attributes = {.present = true}};
    put_number(&t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA);
    put_number(&t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_rotation(&t, &r.common_attributes, DAY);
    put_name(&t, &r.private_attributes, "private");
    put_name(&t, &r.public_attributes, "public");
    put_number(&t, &r.private_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
    put_number(&t, &r.public_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
    talk_do(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &r);
    assert_true(tick(&t, DAY));
    assert_int_equal(attribute(&t, named(&t, "private"), KMIP_TAG_ROTATE_GENERATION)->i32, 1);
    assert_int_equal(attribute(&t, named(&t, "public"), KMIP_TAG_ROTATE_GENERATION)->i32, 1);
    assert_false(tick(&t, 1));
    talk_close(&t);
}

/* What can not be rotated is said once an hour, keeps the others from nothing, and stays as it is. */
static void
what_can_not_be_rotated(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    static const uint8_t bytes[32] = {1};
    const char *id = register_key(&t, "odd", MASK, KS_SPAN(bytes, 32));
    struct kmip_add_attribute_request automatic = {.unique_identifier = uid(id)},
                                      interval = {.unique_identifier = uid(id)};
    put_number(&t, &automatic.new_attribute, KMIP_TAG_ROTATE_AUTOMATIC, true);
    put_number(&t, &interval.new_attribute, KMIP_TAG_ROTATE_INTERVAL, DAY);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &automatic);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &interval);
    /* A Protect Stop Date and no Activation Date: an Offset can not move it. */
    struct kmip_set_attribute_request offset = {.unique_identifier = uid(id)}, stop = {.unique_identifier = uid(id)};
    put_number(&t, &offset.new_attribute, KMIP_TAG_ROTATE_OFFSET, 10);
    put_number(&t, &stop.new_attribute, KMIP_TAG_PROTECT_STOP_DATE, RIG_START_S + 100 * DAY);
    talk_do(&t, KMIP_OPERATION_SET_ATTRIBUTE, &offset);
    talk_do(&t, KMIP_OPERATION_SET_ATTRIBUTE, &stop);
    rotating_key(&t, "even", DAY);
    const struct kmip_item *before = attribute(&t, id, KMIP_TAG_LAST_CHANGE_DATE);
    assert_true(tick(&t, DAY));
    assert_non_null(strstr(records(&t), "\"failed\""));
    assert_string_equal(named(&t, "odd"), id);
    assert_int_equal(attribute(&t, named(&t, "even"), KMIP_TAG_ROTATE_GENERATION)->i32, 1);
    assert_int_equal(attribute(&t, id, KMIP_TAG_LAST_CHANGE_DATE)->i64, before->i64);
    assert_false(tick(&t, 3599));
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    assert_true(tick(&t, 1));
    assert_non_null(strstr(records(&t), "\"failed\""));
    /* The reason taken away, the next try does it. */
    activate_key(&t, id);
    assert_true(tick(&t, 3600));
    assert_string_not_equal(named(&t, "odd"), id);
    talk_close(&t);
}

/* An RSA pair is made outside of the engine's thread, and what is due besides does not wait for it. */
static void
rsa_pairs_are_made_beforehand(void **unused)
{
    (void)unused;
    struct talk t;
    const struct engine_config config = {.node = KS_LIT("test"), .prepares = true};
    talk_open_with(&t, &config);
    struct kmip_create_key_pair_request r = {.common_attributes = {.present = true}};
    put_number(&t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA);
    put_number(&t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 2048);
    put_rotation(&t, &r.common_attributes, DAY);
    put_name(&t, &r.private_attributes, "private");
    talk_do(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &r);
    assert_int_equal(t.rig.n_prepared, 1);
    rotating_key(&t, "ledger", DAY);
    assert_null(engine_rotation_wanted(t.rig.engine));
    assert_true(tick(&t, DAY));
    assert_int_equal(attribute(&t, named(&t, "ledger"), KMIP_TAG_ROTATE_GENERATION)->i32, 1);
    assert_null(attribute(&t, named(&t, "private"), KMIP_TAG_ROTATE_GENERATION));
    struct engine_prepared *wanted = engine_rotation_wanted(t.rig.engine);
    assert_non_null(wanted);
    assert_false(tick(&t, 1)); /* it is being made */
    assert_null(engine_rotation_wanted(t.rig.engine));
    engine_prepare_more(wanted);
    engine_rotation_prepared(t.rig.engine, wanted);
    assert_true(tick(&t, 1));
    assert_int_equal(attribute(&t, named(&t, "private"), KMIP_TAG_ROTATE_GENERATION)->i32, 1);
    assert_null(engine_rotation_wanted(t.rig.engine));
    talk_close(&t);
}

static int
no_random(void *arg, void *ret, size_t len)
{
    (void)arg;
    (void)ret;
    (void)len;
    return KS_E_CRYPTO;
}

/* A rotation that fails without being refused is on record, waits for its next turn, and holds nothing else up. */
static void
a_failure_is_no_refusal(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    rotating_key(&t, "ledger", DAY);
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, MASK);
    put_number(&t, &r.attributes, KMIP_TAG_ACTIVATION_DATE, RIG_START_S + DAY + 1);
    const struct kmip_create_response *made = talk_do(&t, KMIP_OPERATION_CREATE, &r);
    const char *dated = uid_string(&t, &made->unique_identifier);
    int (*const random)(void *, void *, size_t) = t.rig.engine->env.random;
    t.rig.engine->env.random = no_random;
    assert_true(tick(&t, DAY + 1));
    assert_non_null(strstr(records(&t), "\"rotation\""));
    assert_non_null(strstr(records(&t), "\"failed\""));
    assert_non_null(strstr(records(&t), "\"state-change\""));
    assert_false(tick(&t, 1));
    t.rig.engine->env.random = random;
    assert_int_equal(state_of(&t, dated), KMIP_STATE_ACTIVE);
    assert_false(tick(&t, 1));
    assert_true(tick(&t, 3600));
    assert_int_equal(attribute(&t, named(&t, "ledger"), KMIP_TAG_ROTATE_GENERATION)->i32, 1);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generations),
        cmocka_unit_test(the_clock_rotates),
        cmocka_unit_test(the_offset_and_many_at_once),
        cmocka_unit_test(pairs_go_together),
        cmocka_unit_test(what_can_not_be_rotated),
        cmocka_unit_test(rsa_pairs_are_made_beforehand),
        cmocka_unit_test(a_failure_is_no_refusal),
    };
    return cmocka_run_group_tests_name("rotate", tests, NULL, NULL);
}
