/* Query: what it claims is what the server does. A probe for each capability; a row without one does not compile. */
#include "engine_talk.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>

#include "kmip/schema.h"

enum { MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT };

static const struct kmip_query_response *
ask(struct talk *t, uint32_t function)
{
    uint32_t *kept = ks_arena_dup(&t->arena, &function, sizeof(function));
    const struct kmip_query_request r = {.query_function = kept, .n_query_function = 1};
    return talk_do(t, KMIP_OPERATION_QUERY, &r);
}

static const char *
active_key(struct talk *t)
{
    const char *id = make_key(t, NULL, MASK | KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY);
    activate_key(t, id);
    return id;
}

/* Probes: what the server does, in the words of the capability. */

static uint32_t
probe_streaming_capability(struct talk *t)
{
    struct kmip_cryptographic_parameters cbc = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CBC,
                                                .has_block_cipher_mode = true};
    struct kmip_encrypt_request r = {.unique_identifier = uid(active_key(t)),
                                     .cryptographic_parameters = &cbc,
                                     .iv_counter_nonce = KS_LIT("sixteen bytes iv"),
                                     .has_iv_counter_nonce = true,
                                     .data = KS_LIT("0123456789abcdef"),
                                     .has_data = true,
                                     .init_indicator = true,
                                     .has_init_indicator = true};
    const struct kmip_encrypt_response *first = talk_do(t, KMIP_OPERATION_ENCRYPT, &r);
    if (!first->has_correlation_value)
        return false;
    r.correlation_value = first->correlation_value;
    r.has_correlation_value = r.final_indicator = r.has_final_indicator = true;
    r.init_indicator = r.has_init_indicator = r.has_iv_counter_nonce = false;
    r.iv_counter_nonce = KS_SPAN_NONE;
    const struct kmip_encrypt_response *last = talk_do(t, KMIP_OPERATION_ENCRYPT, &r);
    return first->data.len + last->data.len == 32;
}

static uint32_t
probe_asynchronous_capability(struct talk *t)
{
    const struct kmip_create_key_pair_request r = {.common_attributes = {.present = true}};
    t->asynchronous = KMIP_ASYNCHRONOUS_INDICATOR_MANDATORY;
    const uint32_t status = talk_ask(t, KMIP_OPERATION_CREATE_KEY_PAIR, &r)->result_status;
    t->asynchronous = 0;
    return status == KMIP_RESULT_STATUS_OPERATION_PENDING;
}

static uint32_t
probe_attestation_capability(struct talk *t)
{
    assert_int_equal(ask(t, KMIP_QUERY_FUNCTION_QUERY_ATTESTATION_TYPES)->n_attestation_type, 0);
    struct kmip_nonce nonce = {.nonce_id = KS_LIT("1"), .nonce_value = KS_LIT("2")};
    const struct kmip_attestation_credential said = {.nonce = &nonce,
                                                     .attestation_type = KMIP_ATTESTATION_TYPE_TPM_QUOTE,
                                                     .attestation_measurement = KS_LIT("measured"),
                                                     .has_attestation_measurement = true};
    struct kmip_credential credential = {.credential_type = KMIP_CREDENTIAL_TYPE_ATTESTATION};
    struct kmip_credential *list[] = {&credential};
    struct kmip_authentication authentication = {.credential = list, .n_credential = 1};
    assert_int_equal(kmip_item_encode(&kmip_schema_attestation_credential, KMIP_V2_1, &said, &t->arena,
                                      &credential.credential_value),
                     0);
    t->authentication = &authentication; /* cppcheck-suppress autoVariables ; taken back below */
    const uint32_t status = talk_ask(t, KMIP_OPERATION_PING, &(const struct kmip_ping_request){0})->result_status;
    t->authentication = NULL;
    return status == KMIP_RESULT_STATUS_SUCCESS;
}

/* A batch whose second item of three fails: whether the first stands, and the third was tried. */
static void
fail_in_the_middle(struct talk *t, uint32_t option, bool *ret_stands, bool *ret_goes_on)
{
    const struct kmip_get_request none = {.unique_identifier = uid("nothing")};
    const struct kmip_activate_request activate = {.unique_identifier = uid(make_key(t, NULL, MASK))};
    const struct kmip_ping_request ping = {0};
    const struct talk_item items[] = {
        {KMIP_OPERATION_ACTIVATE, &activate}, {KMIP_OPERATION_GET, &none}, {KMIP_OPERATION_PING, &ping}};
    t->option = option;
    const struct kmip_response_message *m = talk_batch(t, items, 3);
    t->option = 0;
    *ret_goes_on = m->n_batch_item == 3 && m->batch_item[2]->result_status == KMIP_RESULT_STATUS_SUCCESS;
    *ret_stands = state_of(t, uid_string(t, &activate.unique_identifier)) == KMIP_STATE_ACTIVE;
}

static uint32_t
probe_batch_undo_capability(struct talk *t)
{
    bool stands, goes_on;
    fail_in_the_middle(t, KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO, &stands, &goes_on);
    return !stands && !goes_on;
}

static uint32_t
probe_batch_continue_capability(struct talk *t)
{
    bool stands, goes_on;
    fail_in_the_middle(t, KMIP_BATCH_ERROR_CONTINUATION_OPTION_CONTINUE, &stands, &goes_on);
    return stands && goes_on;
}

/* A key that comes wrapped is kept wrapped. */
static uint32_t
probe_unwrap_mode(struct talk *t)
{
    struct kmip_encryption_key_information by = {.unique_identifier = uid(active_key(t))};
    struct kmip_key_wrapping_specification wrap = {.wrapping_method = KMIP_WRAPPING_METHOD_ENCRYPT,
                                                   .encryption_key_information = &by,
                                                   .encoding_option = KMIP_ENCODING_OPTION_NO_ENCODING,
                                                   .has_encoding_option = true};
    struct kmip_get_request get = {.unique_identifier = uid(make_key(t, NULL, MASK)),
                                   .key_wrapping_specification = &wrap};
    const struct kmip_get_response *wrapped = talk_do(t, KMIP_OPERATION_GET, &get);
    struct kmip_register_request r = {
        .object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}, .object = wrapped->object};
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, MASK);
    const struct kmip_register_response *made = talk_do(t, KMIP_OPERATION_REGISTER, &r);
    get = (struct kmip_get_request){.unique_identifier = made->unique_identifier};
    const struct kmip_get_response *got = talk_do(t, KMIP_OPERATION_GET, &get);
    return got->object.symmetric_key->key_block->key_wrapping_data != NULL ? KMIP_UNWRAP_MODE_NOT_PROCESSED
                                                                           : KMIP_UNWRAP_MODE_PROCESSED;
}

/* What is left of a destroyed key: its attributes. */
static uint32_t
probe_destroy_action(struct talk *t)
{
    const char *id = make_key(t, NULL, MASK);
    destroy_key(t, id);
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    talk_refused(t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_OBJECT_DESTROYED);
    assert_int_equal(state_of(t, id), KMIP_STATE_DESTROYED);
    return KMIP_DESTROY_ACTION_KEY_MATERIAL_DELETED;
}

/* The engine overwrites nothing on a disk, whatever SQLite and the file system keep: none of the named methods. */
static uint32_t
probe_shredding_algorithm(struct talk *t)
{
    (void)t;
    return KMIP_SHREDDING_ALGORITHM_UNSUPPORTED;
}

/* All clients draw from one generator. */
static uint32_t
probe_rng_mode(struct talk *t)
{
    const struct kmip_rng_retrieve_request r = {.data_length = 16};
    const uint64_t before = t->rig.drawn;
    talk_do(t, KMIP_OPERATION_RNG_RETRIEVE, &r);
    const uint64_t between = t->rig.drawn;
    t->who = &t->rig.admin;
    talk_do(t, KMIP_OPERATION_RNG_RETRIEVE, &r);
    t->who = &t->rig.client;
    return between > before && t->rig.drawn > between ? KMIP_RNG_MODE_SHARED_INSTANTIATION : 0;
}

static uint32_t
probe_quantum_safe_capability(struct talk *t)
{
    struct kmip_create_key_pair_request r = {.common_attributes = {.present = true}};
    const enum kmip_version version = t->version;
    t->version = KMIP_V3_0;
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_ML_DSA_87);
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
    const uint32_t status = talk_ask(t, KMIP_OPERATION_CREATE_KEY_PAIR, &r)->result_status;
    t->version = version;
    return status == KMIP_RESULT_STATUS_SUCCESS;
}

static void
capabilities_are_true(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.rig.predictable = true;
    t.version = KMIP_V2_1;
    t.who = &t.rig.client;
    const struct kmip_capability_information claims =
        *ask(&t, KMIP_QUERY_FUNCTION_QUERY_CAPABILITIES)->capability_information[0];
#define CAPABILITY(field, value)                                                                                       \
    assert_true(claims.has_##field);                                                                                   \
    if ((uint32_t)claims.field != probe_##field(&t))                                                                   \
        fail_msg("%s is claimed as %u and is not so", #field, (unsigned)claims.field);
#define CLAIMED_PROFILE(NAME, family, SINCE, UNTIL)
#include "server/engine/query.def"
#undef CLAIMED_PROFILE
#undef CAPABILITY
    /* All that the version has are said, and none that it has not. */
    const struct kmip_schema *schema = &kmip_schema_capability_information;
    size_t n = 0;
#define CAPABILITY(field, value) n++;
#define CLAIMED_PROFILE(NAME, family, SINCE, UNTIL)
#include "server/engine/query.def"
#undef CLAIMED_PROFILE
#undef CAPABILITY
    assert_int_equal(n, schema->n_fields);
    t.version = KMIP_V1_3;
    const struct kmip_capability_information old =
        *ask(&t, KMIP_QUERY_FUNCTION_QUERY_CAPABILITIES)->capability_information[0];
    assert_true(old.has_streaming_capability);
    assert_false(old.has_batch_undo_capability || old.has_quantum_safe_capability);
    talk_close(&t);
}

static void
profiles_are_those_of_the_table(void **unused)
{
    (void)unused;
    static const uint32_t table[] = {
#define CAPABILITY(field, value)
#define CLAIMED_PROFILE(NAME, family, SINCE, UNTIL) KMIP_PROFILE_NAME_##NAME,
#include "server/engine/query.def"
#undef CLAIMED_PROFILE
#undef CAPABILITY
    };
    struct talk t;
    talk_open(&t);
    for (enum kmip_version v = KMIP_V1_3; v <= KMIP_V3_0; v++) {
        t.version = v;
        const struct kmip_query_response *r = ask(&t, KMIP_QUERY_FUNCTION_QUERY_PROFILES);
        size_t n = 0;
        for (size_t i = 0; i < KS_ARRAY_LEN(table); i++) {
            if (!kmip_enum_known(KMIP_TAG_PROFILE_NAME, table[i], v))
                continue;
            assert_true(n < r->n_profile_information);
            assert_int_equal(r->profile_information[n++]->profile_name, table[i]);
        }
        assert_true(n > 0);
        assert_int_equal(r->n_profile_information, n);
        /* No validated module is claimed, in any version. */
        assert_int_equal(ask(&t, KMIP_QUERY_FUNCTION_QUERY_VALIDATIONS)->n_validation_information, 0);
    }
    talk_close(&t);
}

/* The generator that keys are said to come of is the one that libcrypto has. */
static void
the_generator_is_the_one_that_is_said(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V2_1;
    const struct kmip_query_response *r = ask(&t, KMIP_QUERY_FUNCTION_QUERY_RNGS);
    assert_int_equal(r->n_rng_parameters, 1);
    const struct kmip_rng_parameters *rng = r->rng_parameters[0];
    EVP_RAND_CTX *private = RAND_get0_private(NULL);
    char cipher[32] = "";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_DRBG_PARAM_CIPHER, cipher, sizeof(cipher)),
                           OSSL_PARAM_construct_end()};
    assert_non_null(private);
    assert_int_equal(rng->rng_algorithm, KMIP_RNG_ALGORITHM_DRBG);
    assert_int_equal(rng->drbg_algorithm, KMIP_DRBG_ALGORITHM_CTR);
    assert_string_equal(EVP_RAND_get0_name(EVP_RAND_CTX_get0_rand(private)), "CTR-DRBG");
    assert_int_equal(EVP_RAND_CTX_get_params(private, params), 1);
    assert_int_equal(rng->cryptographic_length, 256);
    assert_string_equal(cipher, "AES-256-CTR");
    /* And new keys say the same. */
    const struct kmip_item *said = attribute(&t, make_key(&t, NULL, MASK), KMIP_TAG_RANDOM_NUMBER_GENERATOR);
    assert_int_equal(kmip_item_child(said, KMIP_TAG_DRBG_ALGORITHM)->u32, rng->drbg_algorithm);
    talk_close(&t);
}

/* A place that is said to be there is one that a key can be kept in; any other is not. */
static void
keys_are_kept_where_it_is_said(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V2_1;
    const struct kmip_query_response *r = ask(&t, KMIP_QUERY_FUNCTION_QUERY_STORAGE_PROTECTION_MASKS);
    assert_int_equal(r->n_protection_storage_masks, 1);
    const uint32_t here = r->protection_storage_masks[0]->protection_storage_mask[0];
    for (uint32_t bit = 1; bit <= KMIP_PROTECTION_STORAGE_MASK_SAME_JURISDICTION; bit <<= 1) {
        struct kmip_protection_storage_masks masks = {.protection_storage_mask = &bit, .n_protection_storage_mask = 1};
        struct kmip_create_request create = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                             .attributes = {.present = true},
                                             .protection_storage_masks = &masks};
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, MASK);
        assert_int_equal(talk_ask(&t, KMIP_OPERATION_CREATE, &create)->result_status == KMIP_RESULT_STATUS_SUCCESS,
                         (here & bit) != 0);
    }
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_are_true),
        cmocka_unit_test(profiles_are_those_of_the_table),
        cmocka_unit_test(the_generator_is_the_one_that_is_said),
        cmocka_unit_test(keys_are_kept_where_it_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
