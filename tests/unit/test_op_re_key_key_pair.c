/* Re-key Key Pair: names, links and dates of both halves; what is no pair; Offset. */
#include "engine_talk.h"
#include "server/engine/ctx.h"
#include "server/engine/prepared.h"

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

/* The answer of the engine to a request that it was handed with what it had asked for. */
static const struct kmip_response_message *
answer_of(struct talk *t)
{
    struct kmip_response_message *r;
    assert_null(t->rig.reply.wanted);
    rig_commit(&t->rig);
    assert_int_equal(
        kmip_response_decode(ks_buf_span(&t->rig.reply.response), &kmip_limits_default, &t->arena, &r, NULL), 0);
    return r;
}

static void
encode(const struct talk_item *from, size_t n, struct ks_buf *ret)
{
    struct kmip_protocol_version version = {.protocol_version_major = 2, .protocol_version_minor = 1};
    struct kmip_request_header header = {.protocol_version = &version, .batch_count = (int32_t)n};
    struct kmip_request_batch_item items[4] = {0}, *at[4];
    for (size_t i = 0; i < n; i++) {
        items[i] = (struct kmip_request_batch_item){.operation = from[i].operation};
        memcpy(&items[i].payload, &from[i].payload, sizeof(void *));
        items[i].has_unique_batch_item_id = n > 1;
        items[i].unique_batch_item_id = KS_SPAN((const uint8_t *)"abcd" + i, 1);
        at[i] = &items[i];
    }
    const struct kmip_request_message message = {.request_header = &header, .batch_item = at, .n_batch_item = n};
    ks_buf_reset(ret);
    assert_int_equal(kmip_request_encode(&message, ret, NULL), 0);
}

/* RSA keys are made beside the engine's thread: it says what it wants, and has changed nothing until it is there. */
static void
rsa_keys_are_made_beforehand(void **unused)
{
    (void)unused;
    struct talk t;
    const struct engine_config config = {.node = KS_LIT("test"), .prepares = true};
    struct kmip_create_key_pair_request make = {.common_attributes = {.present = true}};
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(65536);
    talk_open_with(&t, &config);
    put_number(&t, &make.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA);
    put_number(&t, &make.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 2048);
    const struct kmip_re_key_key_pair_request again = {.private_key_unique_identifier = {.type = 0}};
    const struct talk_item items[] = {{KMIP_OPERATION_CREATE_KEY_PAIR, &make},
                                      {KMIP_OPERATION_RE_KEY_KEY_PAIR, &again}}; /* by the ID Placeholder */
    encode(items, 2, &request);
    const size_t before = t.rig.engine->objects.all.n;
    engine_handle(t.rig.engine, t.who, ks_buf_span(&request), &t.rig.reply);
    struct engine_prepared *prepared = t.rig.reply.wanted;
    assert_non_null(prepared);
    assert_int_equal(t.rig.reply.job.n_changes, 0);
    assert_int_equal(t.rig.reply.job.n_records, 0);
    assert_int_equal(prepared->n, 1);
    assert_int_equal(prepared->v[0].bits, 2048);
    engine_prepare_more(prepared);
    engine_handle_prepared(t.rig.engine, t.who, ks_buf_span(&request), prepared, &t.rig.reply);
    /* The first item was done, and the second wants a key as well: all is taken back once more. */
    assert_ptr_equal(t.rig.reply.wanted, prepared);
    assert_int_equal(prepared->n, 2);
    assert_int_equal(t.rig.engine->objects.all.n, before);
    engine_prepare_more(prepared);
    engine_handle_prepared(t.rig.engine, t.who, ks_buf_span(&request), prepared, &t.rig.reply);
    const struct kmip_response_message *r = answer_of(&t);
    assert_int_equal(r->n_batch_item, 2);
    assert_int_equal(r->batch_item[0]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(r->batch_item[1]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(t.rig.engine->objects.all.n, before + 4);
    engine_prepared_free(prepared);
    /* Of elliptic curves, and of what is not there, nothing has to be made. */
    const struct kmip_re_key_key_pair_request r2 = {.private_key_unique_identifier = uid(make_pair(&t).private)};
    const struct talk_item one[] = {{KMIP_OPERATION_RE_KEY_KEY_PAIR, &r2}};
    encode(one, 1, &request);
    engine_handle(t.rig.engine, t.who, ks_buf_span(&request), &t.rig.reply);
    assert_int_equal(answer_of(&t)->batch_item[0]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    const struct kmip_re_key_key_pair_request none = {.private_key_unique_identifier = uid("nobody")};
    const struct talk_item two[] = {{KMIP_OPERATION_RE_KEY_KEY_PAIR, &none}};
    encode(two, 1, &request);
    engine_handle(t.rig.engine, t.who, ks_buf_span(&request), &t.rig.reply);
    assert_int_equal(answer_of(&t)->batch_item[0]->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
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
