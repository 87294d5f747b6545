/* Re-key Key Pair: names, links and dates of both halves; what is no pair; Offset. */
#include "engine_talk.h"

#include "server/engine/prepared.h"

static const char *
linked(struct talk *t, const char *id, uint32_t type)
{
    const struct kmip_get_attributes_request r = {.unique_identifier = uid(id)};
    const struct kmip_get_attributes_response *all = talk_do(t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    for (const struct kmip_attr *a = all->attributes.first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_LINK && kmip_item_child(a->value, KMIP_TAG_LINK_TYPE)->u32 == type) {
            const struct kmip_uid to = (struct kmip_uid){
                .type = KMIP_TYPE_TEXT_STRING, .text = kmip_item_child(a->value, KMIP_TAG_LINKED_OBJECT_IDENTIFIER)->s};
            return uid_string(t, &to);
        }
    return "";
}

struct pair {
    const char *private, *public;
};

static bool
same_digest(struct talk *t, const char *a, const char *b)
{
    return ks_span_equal(kmip_item_child(attribute(t, a, KMIP_TAG_DIGEST), KMIP_TAG_DIGEST_VALUE)->s,
                         kmip_item_child(attribute(t, b, KMIP_TAG_DIGEST), KMIP_TAG_DIGEST_VALUE)->s);
}

static struct pair
make_pair(struct talk *t)
{
    struct kmip_create_key_pair_request r = {.common_attributes = {.present = true},
                                             .private_attributes = {.present = true},
                                             .public_attributes = {.present = true}};
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC);
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(t, &r.common_attributes, KMIP_TAG_ACTIVATION_DATE, RIG_START_S);
    put_number(t, &r.common_attributes, KMIP_TAG_DEACTIVATION_DATE, RIG_START_S + 1000);
    put_name(t, &r.private_attributes, "signer");
    put_number(t, &r.private_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
    put_name(t, &r.public_attributes, "verifier");
    put_number(t, &r.public_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
    const struct kmip_create_key_pair_response *made = talk_do(t, KMIP_OPERATION_CREATE_KEY_PAIR, &r);
    return (struct pair){uid_string(t, &made->private_key_unique_identifier),
                         uid_string(t, &made->public_key_unique_identifier)};
}

static struct pair
re_key(struct talk *t, const struct kmip_re_key_key_pair_request *r)
{
    const struct kmip_re_key_key_pair_response *made = talk_do(t, KMIP_OPERATION_RE_KEY_KEY_PAIR, r);
    return (struct pair){uid_string(t, &made->private_key_unique_identifier),
                         uid_string(t, &made->public_key_unique_identifier)};
}

static void
both_halves_are_replaced(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct pair old = make_pair(&t);
    t.rig.now_us += 10000000;
    const struct kmip_re_key_key_pair_request r = {.private_key_unique_identifier = uid(old.private)};
    const struct pair new = re_key(&t, &r);
    assert_string_equal(linked(&t, new.private, KMIP_LINK_TYPE_PUBLIC_KEY_LINK), new.public);
    assert_string_equal(linked(&t, new.public, KMIP_LINK_TYPE_PRIVATE_KEY_LINK), new.private);
    assert_string_equal(linked(&t, old.private, KMIP_LINK_TYPE_PUBLIC_KEY_LINK), old.public);
    assert_string_equal(linked(&t, old.private, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK), new.private);
    assert_string_equal(linked(&t, old.public, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK), new.public);
    assert_string_equal(linked(&t, new.private, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK), old.private);
    assert_string_equal(linked(&t, new.public, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK), old.public);
    assert_null(attribute(&t, old.private, KMIP_TAG_NAME));
    assert_null(attribute(&t, old.public, KMIP_TAG_NAME));
    assert_true(
        ks_span_is(kmip_item_child(attribute(&t, new.private, KMIP_TAG_NAME), KMIP_TAG_NAME_VALUE)->s, "signer"));
    assert_true(
        ks_span_is(kmip_item_child(attribute(&t, new.public, KMIP_TAG_NAME), KMIP_TAG_NAME_VALUE)->s, "verifier"));
    assert_false(same_digest(&t, old.private, new.private));
    assert_false(same_digest(&t, old.public, new.public));
    assert_int_equal(attribute(&t, new.private, KMIP_TAG_INITIAL_DATE)->i64, RIG_START_S + 10);
    assert_int_equal(attribute(&t, new.private, KMIP_TAG_DEACTIVATION_DATE)->i64, RIG_START_S + 1000);
    assert_int_equal(attribute(&t, new.private, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK)->i32,
                     KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
    assert_int_equal(state_of(&t, new.private), KMIP_STATE_ACTIVE);
    /* A pair that was replaced is not replaced again, by neither version. */
    talk_refused(&t, KMIP_OPERATION_RE_KEY_KEY_PAIR, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

static void
an_offset_moves_the_dates(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct pair old = make_pair(&t);
    t.rig.now_us += 10000000;
    struct kmip_re_key_key_pair_request r = {
        .private_key_unique_identifier = uid(old.private), .offset = 90, .has_offset = true};
    put_number(&t, &r.public_attributes, KMIP_TAG_ACTIVATION_DATE, RIG_START_S + 500);
    talk_refused(&t, KMIP_OPERATION_RE_KEY_KEY_PAIR, &r, KMIP_RESULT_REASON_INVALID_MESSAGE);
    r.public_attributes = (struct kmip_attrs){0};
    const struct pair new = re_key(&t, &r);
    const char *halves[] = {new.private, new.public};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(attribute(&t, halves[i], KMIP_TAG_ACTIVATION_DATE)->i64, RIG_START_S + 100);
        assert_int_equal(attribute(&t, halves[i], KMIP_TAG_DEACTIVATION_DATE)->i64, RIG_START_S + 1100);
        assert_int_equal(state_of(&t, halves[i]), KMIP_STATE_PRE_ACTIVE);
    }
    talk_close(&t);
}

static void
what_is_no_pair_is_refused(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct pair old = make_pair(&t);
    const char *aes = make_key(&t, "aes", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    struct kmip_re_key_key_pair_request r = {.private_key_unique_identifier = uid(aes)};
    talk_refused(&t, KMIP_OPERATION_RE_KEY_KEY_PAIR, &r, KMIP_RESULT_REASON_INVALID_OBJECT_TYPE);
    r.private_key_unique_identifier = uid(old.public);
    talk_refused(&t, KMIP_OPERATION_RE_KEY_KEY_PAIR, &r, KMIP_RESULT_REASON_INVALID_OBJECT_TYPE);
    /* An administrator may replace it; it stays its owner's. A request that fails leaves nothing behind. */
    r.private_key_unique_identifier = uid(old.private);
    put_number(&t, &r.private_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 384);
    talk_refused(&t, KMIP_OPERATION_RE_KEY_KEY_PAIR, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    assert_string_equal(linked(&t, old.private, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK), "");
    assert_non_null(attribute(&t, old.private, KMIP_TAG_NAME));
    talk_close(&t);
}

/* RSA keys are made beside the engine's thread, for which the engine says how long they are. */
static void
rsa_keys_are_made_beforehand(void **unused)
{
    (void)unused;
    struct talk t;
    struct engine_wanted wanted;
    struct kmip_create_key_pair_request make = {.common_attributes = {.present = true}};
    talk_open(&t);
    put_number(&t, &make.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA);
    put_number(&t, &make.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 2048);
    const struct kmip_create_key_pair_response *made = talk_do(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &make);
    struct kmip_re_key_key_pair_request r = {.private_key_unique_identifier = made->private_key_unique_identifier};
    struct kmip_protocol_version version = {.protocol_version_major = 2, .protocol_version_minor = 1};
    struct kmip_request_header header = {.protocol_version = &version, .batch_count = 1};
    struct kmip_request_batch_item item = {.operation = KMIP_OPERATION_RE_KEY_KEY_PAIR, .payload = &r};
    struct kmip_request_batch_item *items[] = {&item};
    const struct kmip_request_message message = {.request_header = &header, .batch_item = items, .n_batch_item = 1};
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(65536);
    assert_int_equal(kmip_request_encode(&message, &request, NULL), 0);
    assert_false(engine_is_slow(ks_buf_span(&request)));
    engine_wanted(t.rig.engine, ks_buf_span(&request), &wanted);
    assert_int_equal(wanted.n, 1);
    assert_int_equal(wanted.bits[0], 2048);
    struct engine_prepared *prepared = engine_prepare_wanted(ks_buf_span(&request), &wanted);
    assert_non_null(prepared);
    engine_handle_prepared(t.rig.engine, t.who, ks_buf_span(&request), prepared, &t.rig.reply);
    assert_int_equal(prepared->n, 1);
    assert_null(prepared->v[0].key); /* taken */
    engine_prepared_free(prepared);
    /* Of elliptic curves, and of what is not there, nothing has to be made. */
    r.private_key_unique_identifier = uid(make_pair(&t).private);
    ks_buf_reset(&request);
    assert_int_equal(kmip_request_encode(&message, &request, NULL), 0);
    engine_wanted(t.rig.engine, ks_buf_span(&request), &wanted);
    assert_int_equal(wanted.n, 0);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_halves_are_replaced),
        cmocka_unit_test(an_offset_moves_the_dates),
        cmocka_unit_test(what_is_no_pair_is_refused),
        cmocka_unit_test(rsa_keys_are_made_beforehand),
    };
    return cmocka_run_group_tests_name("engine: Re-key Key Pair", tests, NULL, NULL);
}
