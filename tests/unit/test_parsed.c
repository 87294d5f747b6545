/* Keys that are kept ready to be used: never those of what an object no longer is, never too many, never for long. */
#include "crypto/keyformat.h"
#include "engine_talk.h"
#include "server/engine/ctx.h"

static bool no_memory; /* for another handle of a key */

int __real_ks_pkey_share(const struct ks_pkey *key, struct ks_pkey **ret); /* NOLINT(bugprone-reserved-identifier) */
int __wrap_ks_pkey_share(const struct ks_pkey *key, struct ks_pkey **ret); /* NOLINT(bugprone-reserved-identifier) */
int
__wrap_ks_pkey_share(const struct ks_pkey *key, struct ks_pkey **ret) /* NOLINT(bugprone-reserved-identifier) */
{
    return no_memory ? KS_E_NOMEM : __real_ks_pkey_share(key, ret);
}

static struct kmip_cryptographic_parameters ecdsa = {.has_digital_signature_algorithm = true,
                                                     .digital_signature_algorithm =
                                                         KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA256};

struct pair {
    const char *private, *public;
};

static struct pair
make_limited_pair(struct talk *t, int64_t uses)
{
    struct kmip_create_key_pair_request r = {.common_attributes = {.present = true},
                                             .private_attributes = {.present = true},
                                             .public_attributes = {.present = true}};
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC);
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(t, &r.common_attributes, KMIP_TAG_ACTIVATION_DATE, RIG_START_S);
    put_number(t, &r.private_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
    put_number(t, &r.public_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
    const struct kmip_usage_limits limits = {.usage_limits_total = uses,
                                             .usage_limits_unit = KMIP_USAGE_LIMITS_UNIT_OBJECT};
    struct kmip_item *item;
    if (uses != 0) {
        assert_int_equal(kmip_item_encode(&kmip_schema_usage_limits, KMIP_V2_1, &limits, &t->arena, &item), 0);
        assert_non_null(kmip_attrs_add(&t->arena, &r.private_attributes, KMIP_TAG_USAGE_LIMITS, item));
    }
    const struct kmip_create_key_pair_response *made = talk_do(t, KMIP_OPERATION_CREATE_KEY_PAIR, &r);
    return (struct pair){uid_string(t, &made->private_key_unique_identifier),
                         uid_string(t, &made->public_key_unique_identifier)};
}

static struct pair
make_pair(struct talk *t)
{
    return make_limited_pair(t, 0);
}

static struct kmip_sign_request
request(const char *id)
{
    return (struct kmip_sign_request){
        .unique_identifier = uid(id), .cryptographic_parameters = &ecdsa, .data = KS_LIT("data"), .has_data = true};
}

static struct ks_span
sign(struct talk *t, const char *id)
{
    const struct kmip_sign_request r = request(id);
    const struct kmip_sign_response *a = talk_do(t, KMIP_OPERATION_SIGN, &r);
    struct ks_span ret;
    assert_int_equal(ks_arena_span(&t->arena, a->signature_data, &ret), 0);
    return ret;
}

static bool
is_signature_of(struct talk *t, const char *public, struct ks_span signature)
{
    const struct kmip_signature_verify_request r = {.unique_identifier = uid(public),
                                                    .cryptographic_parameters = &ecdsa,
                                                    .data = KS_LIT("data"),
                                                    .has_data = true,
                                                    .signature_data = signature,
                                                    .has_signature_data = true};
    const struct kmip_signature_verify_response *a = talk_do(t, KMIP_OPERATION_SIGNATURE_VERIFY, &r);
    return a->validity_indicator == KMIP_VALIDITY_INDICATOR_VALID;
}

/* Nothing stays in memory between requests: each request reads its key. */
static bool
is_cold(void)
{
    return getenv("KEYSTEAD_TEST_COLD") != NULL;
}

static void
a_key_is_read_once(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct parsed_keys *keys = &t.rig.engine->parsed;
    const struct pair pair = make_pair(&t);
    for (int i = 0; i < 4; i++)
        assert_true(is_signature_of(&t, pair.public, sign(&t, pair.private)));
    assert_int_equal(keys->found + keys->read, 8);
    if (!is_cold()) {
        assert_int_equal(keys->read, 2);
        assert_int_equal(keys->n, 2);
    }
    talk_close(&t);
}

static void
a_key_goes_with_what_its_object_was(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct parsed_keys *keys = &t.rig.engine->parsed;
    const struct pair pair = make_pair(&t);
    (void)sign(&t, pair.private);
    struct kmip_add_attribute_request change = {.unique_identifier = uid(pair.private)};
    put_name(&t, &change.new_attribute, "another name");
    (void)talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &change);
    assert_int_equal(keys->n, 0);
    const uint64_t read = keys->read;
    assert_true(is_signature_of(&t, pair.public, sign(&t, pair.private)));
    assert_int_equal(keys->read, read + 2);

    const struct kmip_sign_request r = request(pair.private);
    revoke_key(&t, pair.private, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION);
    assert_true(keys->n <= 1); /* that of the public key */
    talk_refused(&t, KMIP_OPERATION_SIGN, &r, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    destroy_key(&t, pair.private);
    const struct kmip_response_batch_item *item = talk_ask(&t, KMIP_OPERATION_SIGN, &r);
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    assert_int_equal(keys->read, read + 2);
    talk_close(&t);
}

/* A batch that uses a key, changes its object and is taken back leaves the key of what the object is again. */
static void
a_change_that_is_taken_back(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct pair pair = make_pair(&t), other = make_pair(&t);
    const struct kmip_sign_request r = request(pair.private), bad = request(other.public);
    struct kmip_revocation_reason why = {.revocation_reason_code = KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION};
    const struct kmip_revoke_request revoke = {.unique_identifier = uid(pair.private), .revocation_reason = &why};
    const struct talk_item items[] = {
        {KMIP_OPERATION_SIGN, &r}, {KMIP_OPERATION_REVOKE, &revoke}, {KMIP_OPERATION_SIGN, &bad}};
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
    const struct kmip_response_message *a = talk_batch(&t, items, 3);
    assert_int_equal(a->batch_item[2]->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    t.option = 0;
    assert_int_equal(state_of(&t, pair.private), KMIP_STATE_ACTIVE);
    assert_true(is_signature_of(&t, pair.public, sign(&t, pair.private)));
    talk_close(&t);
}

static void
limits_count_whatever_is_kept(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct pair pair = make_limited_pair(&t, 2);
    (void)sign(&t, pair.private);
    (void)sign(&t, pair.private);
    const struct kmip_sign_request r = request(pair.private);
    const struct kmip_response_batch_item *refused = talk_ask(&t, KMIP_OPERATION_SIGN, &r);
    assert_int_equal(refused->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    talk_close(&t);
}

static void
keys_are_not_too_many(void **unused)
{
    enum { MORE = 8 };
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct parsed_keys *keys = &t.rig.engine->parsed;
    struct pair pairs[PARSED_MOST / 2 + MORE];
    for (size_t i = 0; i < KS_ARRAY_LEN(pairs); i++) {
        pairs[i] = make_pair(&t);
        assert_true(is_signature_of(&t, pairs[i].public, sign(&t, pairs[i].private)));
        assert_true(keys->n <= PARSED_MOST);
    }
    if (!is_cold()) {
        assert_int_equal(keys->n, PARSED_MOST);
        const uint64_t read = keys->read;
        (void)sign(&t, pairs[KS_ARRAY_LEN(pairs) - 1].private); /* the newest is there */
        assert_int_equal(keys->read, read);
        (void)sign(&t, pairs[0].private); /* the oldest is not, and takes the place of the next */
        assert_int_equal(keys->read, read + 1);
        assert_int_equal(keys->n, PARSED_MOST);
    }
    for (size_t i = 0; i < KS_ARRAY_LEN(pairs); i++) {
        assert_true(is_signature_of(&t, pairs[i].public, sign(&t, pairs[i].private)));
        assert_false(is_signature_of(&t, pairs[(i + 1) % KS_ARRAY_LEN(pairs)].public, sign(&t, pairs[i].private)));
    }
    talk_close(&t);
}

static void
keys_do_not_stay(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    struct ks_diag diag = {0};
    const struct parsed_keys *keys = &t.rig.engine->parsed;
    const struct pair pair = make_pair(&t);
    struct ks_span s = sign(&t, pair.private);
    const size_t kept = keys->n;
    t.rig.now_us += (int64_t)(PARSED_IDLE_S - 1) * 1000000;
    (void)rig_tick(&t.rig);
    assert_true(is_cold() || keys->n == kept);
    t.rig.now_us += 1000000;
    (void)rig_tick(&t.rig);
    assert_int_equal(keys->n, 0);

    (void)sign(&t, pair.private);
    assert_int_equal(rig_reload(&t.rig, &diag), 0);
    assert_int_equal(keys->n, 0);
    assert_true(is_signature_of(&t, pair.public, s));

    (void)sign(&t, pair.private);
    engine_seal(t.rig.engine);
    assert_int_equal(keys->n, 0);
    assert_null(keys->newest);
    assert_null(keys->oldest);
    talk_close(&t);
}

static void
without_memory_it_is_read_each_time(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct parsed_keys *keys = &t.rig.engine->parsed;
    const struct pair pair = make_pair(&t);
    no_memory = true;
    assert_true(is_signature_of(&t, pair.public, sign(&t, pair.private)));
    assert_int_equal(keys->n, 0);
    no_memory = false;
    (void)sign(&t, pair.private);
    no_memory = true; /* a key is there, and can not be handed out */
    assert_true(is_signature_of(&t, pair.public, sign(&t, pair.private)));
    no_memory = false;
    assert_true(is_signature_of(&t, pair.public, sign(&t, pair.private)));
    talk_close(&t);
}

/* A number of so many bytes, odd, with the two top bits set; which one is all the same. */
static struct ks_span
number(struct talk *t, size_t len, uint8_t fill)
{
    uint8_t *bytes = ks_arena_alloc(&t->arena, len);
    assert_non_null(bytes);
    memset(bytes, fill, len);
    bytes[0] |= 0xc0;
    bytes[len - 1] |= 1;
    return KS_SPAN(bytes, len);
}

/* One use of a huge RSA key would hold the engine for seconds: such a key is kept and handed out, and not used. */
static void
huge_keys_are_not_computed_with(void **unused)
{
    (void)unused;
    static const struct {
        size_t bytes, exponent;
        uint32_t reason;
    } cases[] = {
        {1025, 3, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS},
        {2048, 3, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS},
        {512, 9, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        struct talk t;
        KS_PKEY *key = NULL;
        KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(1 << 16);
        talk_open(&t);
        const size_t half = cases[i].bytes / 2;
        const struct ks_rsa_parts parts = {.n = number(&t, cases[i].bytes, 0xa5),
                                           .e = number(&t, cases[i].exponent, 0),
                                           .d = number(&t, cases[i].bytes - 1, 0x5a),
                                           .p = number(&t, half, 0x11),
                                           .q = number(&t, half, 0x36),
                                           .dp = number(&t, half - 1, 0x44),
                                           .dq = number(&t, half - 1, 0x55),
                                           .qi = number(&t, half - 1, 0x66)};
        assert_int_equal(ks_pkey_from_rsa(&parts, &key, NULL), 0);
        assert_int_equal(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_PKCS_8, true, &der, NULL), 0);
        struct kmip_item material = {
            .tag = KMIP_TAG_KEY_MATERIAL, .type = KMIP_TYPE_BYTE_STRING, .s = ks_buf_span(&der)};
        struct kmip_item value = {.tag = KMIP_TAG_KEY_VALUE, .type = KMIP_TYPE_STRUCTURE, .first = &material};
        struct kmip_key_block block = {.key_format_type = KMIP_KEY_FORMAT_TYPE_PKCS_8,
                                       .key_value = &value,
                                       .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA,
                                       .has_cryptographic_algorithm = true,
                                       .cryptographic_length = (int32_t)cases[i].bytes * 8,
                                       .has_cryptographic_length = true};
        struct kmip_private_key private = {.key_block = &block};
        struct kmip_register_request r = {.object_type = KMIP_OBJECT_TYPE_PRIVATE_KEY,
                                          .object.private_key = &private,
                                          .attributes = {.present = true}};
        put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
        put_number(&t, &r.attributes, KMIP_TAG_ACTIVATION_DATE, 1);
        const struct kmip_register_response *made = talk_do(&t, KMIP_OPERATION_REGISTER, &r);
        const char *id = uid_string(&t, &made->unique_identifier);
        const struct kmip_get_request get = {.unique_identifier = uid(id)};
        talk_do(&t, KMIP_OPERATION_GET, &get);
        struct kmip_cryptographic_parameters p = {.has_digital_signature_algorithm = true,
                                                  .digital_signature_algorithm =
                                                      KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA_256_WITH_RSA_ENCRYPTION};
        struct kmip_sign_request sign = request(id);
        sign.cryptographic_parameters = &p;
        talk_refused(&t, KMIP_OPERATION_SIGN, &sign, cases[i].reason);
        assert_non_null(strstr(records(&t), "at most"));
        talk_close(&t);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_read_once),
        cmocka_unit_test(a_key_goes_with_what_its_object_was),
        cmocka_unit_test(a_change_that_is_taken_back),
        cmocka_unit_test(limits_count_whatever_is_kept),
        cmocka_unit_test(keys_are_not_too_many),
        cmocka_unit_test(keys_do_not_stay),
        cmocka_unit_test(without_memory_it_is_read_each_time),
        cmocka_unit_test(huge_keys_are_not_computed_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
