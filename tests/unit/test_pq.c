/* ML-KEM, ML-DSA and SLH-DSA in the engine: whatever libcrypto has at run time, in 3.0. */
#include "crypto/pq.h"

#include "base/text.h"
#include "engine_talk.h"

enum {
    ML_DSA_44 = KMIP_CRYPTOGRAPHIC_ALGORITHM_ML_DSA_44,
    ML_DSA_65 = KMIP_CRYPTOGRAPHIC_ALGORITHM_ML_DSA_65,
    ML_DSA_87 = KMIP_CRYPTOGRAPHIC_ALGORITHM_ML_DSA_87,
    ML_KEM_768 = KMIP_CRYPTOGRAPHIC_ALGORITHM_ML_KEM_768,
    ML_KEM_1024 = KMIP_CRYPTOGRAPHIC_ALGORITHM_ML_KEM_1024,
    SLH_DSA_SMALL = KMIP_CRYPTOGRAPHIC_ALGORITHM_SLH_DSA_SHA2_128S,
    SLH_DSA_FAST = KMIP_CRYPTOGRAPHIC_ALGORITHM_SLH_DSA_SHAKE_128F,
    SIGN = KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN,
    VERIFY = KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY,
};

static bool
is_there(void)
{
    return ks_pq_check(ML_DSA_65, NULL) == 0;
}

static void
open_3_0(struct talk *t, enum profile profile)
{
    const struct engine_config config = {.node = KS_LIT("test"), .profile = profile};
    talk_open_with(t, &config);
    t->version = KMIP_V3_0;
}

static struct kmip_create_key_pair_request
pair_request(struct talk *t, uint32_t algorithm)
{
    struct kmip_create_key_pair_request r = {.common_attributes = {.present = true},
                                             .private_attributes = {.present = true},
                                             .public_attributes = {.present = true}};
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, algorithm);
    put_number(t, &r.common_attributes, KMIP_TAG_ACTIVATION_DATE, RIG_START_S);
    put_number(t, &r.private_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, SIGN);
    put_number(t, &r.public_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, VERIFY);
    return r;
}

struct pair {
    const char *private, *public;
};

static struct pair
make_pair(struct talk *t, uint32_t algorithm)
{
    const struct kmip_create_key_pair_request r = pair_request(t, algorithm);
    const struct kmip_create_key_pair_response *made = talk_do(t, KMIP_OPERATION_CREATE_KEY_PAIR, &r);
    return (struct pair){uid_string(t, &made->private_key_unique_identifier),
                         uid_string(t, &made->public_key_unique_identifier)};
}

static uint32_t
verify(struct talk *t, const char *id, struct ks_span data, struct ks_span signature)
{
    const struct kmip_signature_verify_request r = {.unique_identifier = uid(id),
                                                    .data = data,
                                                    .has_data = true,
                                                    .signature_data = signature,
                                                    .has_signature_data = true};
    const struct kmip_signature_verify_response *a = talk_do(t, KMIP_OPERATION_SIGNATURE_VERIFY, &r);
    return a->validity_indicator;
}

static struct kmip_sign_request
sign_request(const char *id)
{
    return (struct kmip_sign_request){.unique_identifier = uid(id), .data = KS_LIT("a message"), .has_data = true};
}

/* The refusal names what is missing and what has it. */
static void
assert_absent(struct talk *t, uint32_t operation, const void *request, const char *name)
{
    const struct kmip_response_batch_item *item = talk_ask(t, operation, request);
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    assert_int_equal(item->result_reason, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS);
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(1 << 12);
    assert_int_equal(ks_buf_add_span(&text, item->result_message), 0);
    const char *message = ks_buf_cstr(&text);
    if (message == NULL || strstr(message, name) == NULL || strstr(message, "3.5 or later is needed") == NULL)
        fail_msg("%s", message);
}

static void
pairs_are_made_and_sign(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t algorithm;
        const char *name;
        int32_t bits;
        bool signs;
    } rows[] = {
        {ML_DSA_65, "ML-DSA-65", 1952 * 8, true},        {ML_DSA_87, "ML-DSA-87", 2592 * 8, true},
        {SLH_DSA_FAST, "SLH-DSA-SHAKE-128f", 256, true}, {ML_KEM_768, "ML-KEM-768", 1184 * 8, false},
        {ML_KEM_1024, "ML-KEM-1024", 1568 * 8, false},
    };
    struct talk t;
    open_3_0(&t, PROFILE_FIPS);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        if (!is_there()) {
            const struct kmip_create_key_pair_request r = pair_request(&t, rows[i].algorithm);
            assert_absent(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &r, rows[i].name);
            continue;
        }
        const struct pair pair = make_pair(&t, rows[i].algorithm);
        assert_int_equal(attribute(&t, pair.private, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM)->u32, rows[i].algorithm);
        assert_int_equal(attribute(&t, pair.private, KMIP_TAG_CRYPTOGRAPHIC_LENGTH)->i32, rows[i].bits);
        assert_int_equal(attribute(&t, pair.private, KMIP_TAG_KEY_FORMAT_TYPE)->u32, KMIP_KEY_FORMAT_TYPE_PKCS_8);
        assert_int_equal(attribute(&t, pair.public, KMIP_TAG_KEY_FORMAT_TYPE)->u32, KMIP_KEY_FORMAT_TYPE_X_509);
        struct kmip_sign_request r = sign_request(pair.private);
        if (!rows[i].signs) {
            talk_refused(&t, KMIP_OPERATION_SIGN, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
            continue;
        }
        const struct kmip_sign_response *a = talk_do(&t, KMIP_OPERATION_SIGN, &r);
        struct ks_span signature;
        assert_int_equal(ks_arena_span(&t.arena, a->signature_data, &signature), 0);
        assert_int_equal(verify(&t, pair.public, r.data, signature), KMIP_VALIDITY_INDICATOR_VALID);
        assert_int_equal(verify(&t, pair.public, KS_LIT("another"), signature), KMIP_VALIDITY_INDICATOR_INVALID);
        /* A hash, or a digest in place of the message, is none of this algorithm. */
        struct kmip_cryptographic_parameters p = {.hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256,
                                                  .has_hashing_algorithm = true};
        r.cryptographic_parameters = &p;
        talk_refused(&t, KMIP_OPERATION_SIGN, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
        r.cryptographic_parameters = NULL;
        r.has_data = false;
        r.digested_data = KS_LIT("0123456789abcdef0123456789abcdef");
        r.has_digested_data = true;
        talk_refused(&t, KMIP_OPERATION_SIGN, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    }
    talk_close(&t);
}

static const struct kmip_key_block *
get(struct talk *t, const char *id, bool is_private, uint32_t format, struct ks_span *ret)
{
    const struct kmip_get_request r = {
        .unique_identifier = uid(id), .key_format_type = format, .has_key_format_type = true};
    const struct kmip_get_response *a = talk_do(t, KMIP_OPERATION_GET, &r);
    const struct kmip_key_block *block =
        is_private ? a->object.private_key->key_block : a->object.public_key->key_block;
    assert_int_equal(block->key_format_type, format);
    assert_int_equal(ks_arena_span(&t->arena, kmip_item_child(block->key_value, KMIP_TAG_KEY_MATERIAL)->s, ret), 0);
    return block;
}

static struct kmip_register_request
register_request(struct talk *t, bool is_private, uint32_t format, uint32_t algorithm, struct ks_span bytes)
{
    struct kmip_item *value = kmip_item_new(&t->arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    struct kmip_item *material = kmip_item_new(&t->arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    struct kmip_key_block *block = ks_arena_array(&t->arena, 1, sizeof(*block));
    struct kmip_private_key *private = ks_arena_array(&t->arena, 1, sizeof(*private));
    struct kmip_public_key *public = ks_arena_array(&t->arena, 1, sizeof(*public));
    assert_true(value != NULL && material != NULL && block != NULL && private != NULL && public != NULL);
    material->s = bytes;
    kmip_item_append(value, material);
    *block = (struct kmip_key_block){.key_format_type = format,
                                     .key_value = value,
                                     .cryptographic_algorithm = algorithm,
                                     .has_cryptographic_algorithm = true};
    private->key_block = public->key_block = block;
    struct kmip_register_request r = {.object_type =
                                          is_private ? KMIP_OBJECT_TYPE_PRIVATE_KEY : KMIP_OBJECT_TYPE_PUBLIC_KEY,
                                      .attributes = {.present = true}};
    if (is_private)
        r.object.private_key = private;
    else
        r.object.public_key = public;
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, is_private ? SIGN : VERIFY);
    put_number(t, &r.attributes, KMIP_TAG_ACTIVATION_DATE, RIG_START_S);
    return r;
}

static const char *
registered(struct talk *t, const struct kmip_register_request *r)
{
    const struct kmip_register_response *made = talk_do(t, KMIP_OPERATION_REGISTER, r);
    return uid_string(t, &made->unique_identifier);
}

/* What one server hands out another takes in, and the signatures of one are the other's. */
static void
keys_travel(void **unused)
{
    (void)unused;
    static const uint32_t privates[] = {KMIP_KEY_FORMAT_TYPE_PKCS_8, KMIP_KEY_FORMAT_TYPE_RAW},
                          publics[] = {KMIP_KEY_FORMAT_TYPE_X_509, KMIP_KEY_FORMAT_TYPE_RAW};
    struct talk t;
    if (!is_there())
        return;
    open_3_0(&t, PROFILE_FIPS);
    const struct pair pair = make_pair(&t, ML_DSA_44);
    for (size_t i = 0; i < KS_ARRAY_LEN(privates); i++) {
        struct ks_span private, public, signature;
        (void)get(&t, pair.private, true, privates[i], &private);
        (void)get(&t, pair.public, false, publics[i], &public);
        struct kmip_register_request r = register_request(&t, true, privates[i], ML_DSA_44, private);
        const char *own = registered(&t, &r);
        r = register_request(&t, false, publics[i], ML_DSA_44, public);
        const char *other = registered(&t, &r);
        assert_int_equal(attribute(&t, own, KMIP_TAG_CRYPTOGRAPHIC_LENGTH)->i32, 1312 * 8);
        const struct kmip_sign_request sign = sign_request(own);
        const struct kmip_sign_response *a = talk_do(&t, KMIP_OPERATION_SIGN, &sign);
        assert_int_equal(ks_arena_span(&t.arena, a->signature_data, &signature), 0);
        assert_int_equal(verify(&t, other, sign.data, signature), KMIP_VALIDITY_INDICATOR_VALID);
        assert_int_equal(verify(&t, pair.public, sign.data, signature), KMIP_VALIDITY_INDICATOR_VALID);
        /* It is what it says, or it is not taken. */
        r = register_request(&t, true, privates[i], ML_DSA_65, private);
        talk_refused(&t, KMIP_OPERATION_REGISTER, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    }
    talk_close(&t);
}

/* Without the algorithm keys are kept as they are, and can be had again; nothing is computed with them. */
static void
what_can_not_be_used_is_kept(void **unused)
{
    (void)unused;
    static const char spki[] =
        "3030300b06096086480165030403140321000102030405060708090a0b0c0d0e0f101112131415161718191a"
        "1b1c1d1e1f20";
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(1 << 10);
    struct talk t;
    struct ks_span back;
    open_3_0(&t, PROFILE_FIPS);
    assert_int_equal(ks_hex_decode(ks_span_str(spki), &der), 0);
    struct kmip_register_request r =
        register_request(&t, false, KMIP_KEY_FORMAT_TYPE_X_509, SLH_DSA_SMALL, ks_buf_span(&der));
    put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    const char *id = registered(&t, &r);
    (void)get(&t, id, false, KMIP_KEY_FORMAT_TYPE_X_509, &back);
    assert_true(ks_span_equal(back, ks_buf_span(&der)));
    const struct kmip_signature_verify_request v = {.unique_identifier = uid(id),
                                                    .data = KS_LIT("a message"),
                                                    .has_data = true,
                                                    .signature_data = KS_LIT("no signature"),
                                                    .has_signature_data = true};
    if (is_there())
        assert_int_equal(verify(&t, id, v.data, v.signature_data), KMIP_VALIDITY_INDICATOR_INVALID);
    else
        assert_absent(&t, KMIP_OPERATION_SIGNATURE_VERIFY, &v, "SLH-DSA-SHA2-128s");
    talk_close(&t);
}

/* The profile is asked first, so this holds whatever libcrypto has. */
static void
cnsa2_makes_what_it_names(void **unused)
{
    (void)unused;
    static const uint32_t others[] = {ML_DSA_44, ML_DSA_65, ML_KEM_768, SLH_DSA_SMALL, SLH_DSA_FAST};
    struct talk t;
    open_3_0(&t, PROFILE_CNSA2);
    for (size_t i = 0; i < KS_ARRAY_LEN(others); i++) {
        const struct kmip_create_key_pair_request r = pair_request(&t, others[i]);
        talk_refused(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &r, KMIP_RESULT_REASON_INVALID_ATTRIBUTE_VALUE);
    }
    if (is_there()) {
        (void)make_pair(&t, ML_KEM_1024);
        const struct pair pair = make_pair(&t, ML_DSA_87);
        const struct kmip_sign_request r = sign_request(pair.private);
        (void)talk_do(&t, KMIP_OPERATION_SIGN, &r);
    }
    talk_close(&t);
}

/* A registered key of another strength verifies under cnsa2, and signs nothing. */
static void
cnsa2_reads_what_others_made(void **unused)
{
    (void)unused;
    struct talk t;
    struct ks_span private, public, signature, kept;
    if (!is_there())
        return;
    open_3_0(&t, PROFILE_FIPS);
    const struct pair pair = make_pair(&t, ML_DSA_65);
    const struct kmip_sign_request sign = sign_request(pair.private);
    const struct kmip_sign_response *a = talk_do(&t, KMIP_OPERATION_SIGN, &sign);
    assert_int_equal(ks_arena_span(&t.arena, a->signature_data, &signature), 0);
    (void)get(&t, pair.private, true, KMIP_KEY_FORMAT_TYPE_RAW, &private);
    (void)get(&t, pair.public, false, KMIP_KEY_FORMAT_TYPE_RAW, &public);
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 16);
    assert_int_equal(ks_arena_span(&arena, private, &private), 0);
    assert_int_equal(ks_arena_span(&arena, public, &public), 0);
    assert_int_equal(ks_arena_span(&arena, signature, &kept), 0);
    talk_close(&t);

    open_3_0(&t, PROFILE_CNSA2);
    struct kmip_register_request r = register_request(&t, true, KMIP_KEY_FORMAT_TYPE_RAW, ML_DSA_65, private);
    const struct kmip_sign_request again = sign_request(registered(&t, &r));
    talk_refused(&t, KMIP_OPERATION_SIGN, &again, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS);
    r = register_request(&t, false, KMIP_KEY_FORMAT_TYPE_RAW, ML_DSA_65, public);
    assert_int_equal(verify(&t, registered(&t, &r), sign.data, kept), KMIP_VALIDITY_INDICATOR_VALID);
    talk_close(&t);
}

/* Small signatures take their time: one a request. */
static void
slow_ones_come_one_at_a_time(void **unused)
{
    (void)unused;
    struct talk t;
    if (!is_there())
        return;
    open_3_0(&t, PROFILE_FIPS);
    const struct pair pair = make_pair(&t, SLH_DSA_SMALL);
    const struct kmip_sign_request r = sign_request(pair.private);
    const struct talk_item items[] = {{KMIP_OPERATION_SIGN, &r}, {KMIP_OPERATION_SIGN, &r}};
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_CONTINUE;
    const struct kmip_response_message *m = talk_batch(&t, items, KS_ARRAY_LEN(items));
    assert_int_equal(m->batch_item[0]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(m->batch_item[1]->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    assert_int_equal(m->batch_item[1]->result_reason, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    talk_close(&t);
}

/* Query says no more than there is. */
static void
query_says_whether_it_is_there(void **unused)
{
    (void)unused;
    struct talk t;
    uint32_t function = KMIP_QUERY_FUNCTION_QUERY_CAPABILITIES;
    open_3_0(&t, PROFILE_FIPS);
    const struct kmip_query_request r = {.query_function = &function, .n_query_function = 1};
    const struct kmip_query_response *a = talk_do(&t, KMIP_OPERATION_QUERY, &r);
    assert_int_equal(a->n_capability_information, 1);
    assert_true(a->capability_information[0]->has_quantum_safe_capability);
    assert_int_equal(a->capability_information[0]->quantum_safe_capability, is_there());
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_made_and_sign),        cmocka_unit_test(keys_travel),
        cmocka_unit_test(what_can_not_be_used_is_kept),   cmocka_unit_test(cnsa2_makes_what_it_names),
        cmocka_unit_test(cnsa2_reads_what_others_made),   cmocka_unit_test(slow_ones_come_one_at_a_time),
        cmocka_unit_test(query_says_whether_it_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
