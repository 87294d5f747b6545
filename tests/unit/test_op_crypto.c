/* Sign, Signature Verify, MAC, MAC Verify, Hash, RNG Retrieve and Seed, and Encrypt with IVs of parts. */
#include "base/text.h"
#include "engine_talk.h"

enum {
    GCM = KMIP_BLOCK_CIPHER_MODE_GCM,
    CTR = KMIP_BLOCK_CIPHER_MODE_CTR,
    SHA256 = KMIP_HASHING_ALGORITHM_SHA_256,
    MAC_MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE | KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_VERIFY,
    CIPHER_MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT,
    RANDOM_MAX = 65536
};

static struct ks_span
hex(struct talk *t, const char *text)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(1 << 16);
    struct ks_span ret;
    assert_int_equal(ks_hex_decode(ks_span_str(text), &buf), 0);
    assert_int_equal(ks_arena_span(&t->arena, ks_buf_span(&buf), &ret), 0);
    return ret;
}

struct pair {
    const char *private, *public;
};

static struct pair
make_pair(struct talk *t, uint32_t algorithm, int64_t bits, uint32_t private_mask, uint32_t public_mask)
{
    struct kmip_create_key_pair_request r = {.common_attributes = {.present = true},
                                             .private_attributes = {.present = true},
                                             .public_attributes = {.present = true}};
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, algorithm);
    if (bits != 0)
        put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, bits);
    put_number(t, &r.common_attributes, KMIP_TAG_ACTIVATION_DATE, RIG_START_S);
    put_number(t, &r.private_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, private_mask);
    put_number(t, &r.public_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, public_mask);
    const struct kmip_create_key_pair_response *made = talk_do(t, KMIP_OPERATION_CREATE_KEY_PAIR, &r);
    return (struct pair){uid_string(t, &made->private_key_unique_identifier),
                         uid_string(t, &made->public_key_unique_identifier)};
}

static uint32_t
verify(struct talk *t, const char *id, const struct kmip_cryptographic_parameters *p, struct ks_span data,
       struct ks_span signature)
{
    struct kmip_cryptographic_parameters copy = *p;
    const struct kmip_signature_verify_request r = {
        .unique_identifier = uid(id),
        .cryptographic_parameters = &copy,
        .data = data,
        .has_data = true,
        .signature_data = signature,
        .has_signature_data = true,
    };
    const struct kmip_signature_verify_response *a = talk_do(t, KMIP_OPERATION_SIGNATURE_VERIFY, &r);
    assert_true(a->has_validity_indicator);
    return a->validity_indicator;
}

static void
every_kind_of_key_signs(void **unused)
{
    (void)unused;
    const struct engine_config compat = {.node = KS_LIT("test"), .profile = PROFILE_COMPAT};
    static const struct {
        uint32_t algorithm;
        int64_t bits;
        struct kmip_cryptographic_parameters p;
    } rows[] = {
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA,
         2048,
         {.has_padding_method = true,
          .padding_method = KMIP_PADDING_METHOD_PSS,
          .has_hashing_algorithm = true,
          .hashing_algorithm = SHA256,
          .has_salt_length = true,
          .salt_length = 20}},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA,
         2048,
         {.has_digital_signature_algorithm = true,
          .digital_signature_algorithm = KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA_384_WITH_RSA_ENCRYPTION}},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
         384,
         {.has_hashing_algorithm = true,
          .hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_384,
          .has_cryptographic_algorithm = true,
          .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA}},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519, 0, {0}},
    };
    struct talk t;
    talk_open_with(&t, &compat);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const struct pair pair = make_pair(&t, rows[i].algorithm, rows[i].bits, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN,
                                           KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
        struct kmip_cryptographic_parameters p = rows[i].p;
        const struct kmip_sign_request r = {.unique_identifier = uid(pair.private),
                                            .cryptographic_parameters = &p,
                                            .data = KS_LIT("a message"),
                                            .has_data = true};
        const struct kmip_sign_response *a = talk_do(&t, KMIP_OPERATION_SIGN, &r);
        assert_true(a->has_signature_data);
        assert_false(a->has_correlation_value);
        struct ks_span s;
        assert_int_equal(ks_arena_span(&t.arena, a->signature_data, &s), 0);
        assert_int_equal(verify(&t, pair.public, &p, KS_LIT("a message"), s), KMIP_VALIDITY_INDICATOR_VALID);
        assert_int_equal(verify(&t, pair.public, &p, KS_LIT("another"), s), KMIP_VALIDITY_INDICATOR_INVALID);
        /* The masks and the kinds of the halves count. */
        struct kmip_sign_request wrong = r;
        wrong.unique_identifier = uid(pair.public);
        talk_refused(&t, KMIP_OPERATION_SIGN, &wrong, KMIP_RESULT_REASON_INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK);
        /* Parameters of another kind of key: no signature of this one is of that kind. */
        p.has_cryptographic_algorithm = true;
        p.cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA;
        assert_int_equal(verify(&t, pair.public, &p, KS_LIT("a message"), s), KMIP_VALIDITY_INDICATOR_INVALID);
        talk_refused(&t, KMIP_OPERATION_SIGN, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    }
    talk_close(&t);
}

static void
what_a_signature_needs(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct pair pair = make_pair(&t, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, 2048, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN,
                                       KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
    struct kmip_cryptographic_parameters p = {.has_hashing_algorithm = true, .hashing_algorithm = SHA256};
    struct kmip_sign_request r = {.unique_identifier = uid(pair.private)};
    talk_refused(&t, KMIP_OPERATION_SIGN, &r, KMIP_RESULT_REASON_MISSING_DATA);
    r.data = KS_LIT("m");
    r.has_data = true;
    talk_refused(&t, KMIP_OPERATION_SIGN, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    r.cryptographic_parameters = &p;
    r.digested_data = KS_LIT("0123456789abcdef0123456789abcdef");
    r.has_digested_data = true;
    talk_refused(&t, KMIP_OPERATION_SIGN, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    r.has_data = false;
    const struct kmip_sign_response *a = talk_do(&t, KMIP_OPERATION_SIGN, &r);
    struct ks_span s;
    assert_int_equal(ks_arena_span(&t.arena, a->signature_data, &s), 0);
    /* Without data the digest is recovered from a PKCS#1 v1.5 signature. */
    struct kmip_signature_verify_request v = {.unique_identifier = uid(pair.public),
                                              .cryptographic_parameters = &p,
                                              .signature_data = s,
                                              .has_signature_data = true};
    const struct kmip_signature_verify_response *b = talk_do(&t, KMIP_OPERATION_SIGNATURE_VERIFY, &v);
    assert_int_equal(b->validity_indicator, KMIP_VALIDITY_INDICATOR_VALID);
    assert_true(b->has_data && ks_span_equal(b->data, r.digested_data));
    v.has_signature_data = false;
    talk_refused(&t, KMIP_OPERATION_SIGNATURE_VERIFY, &v, KMIP_RESULT_REASON_MISSING_DATA);
    /* fips: signatures with SHA-1 are verified, not made. */
    p.hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_1;
    r.has_digested_data = false;
    r.has_data = true;
    talk_refused(&t, KMIP_OPERATION_SIGN, &r, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS);
    assert_int_equal(verify(&t, pair.public, &p, KS_LIT("m"), s), KMIP_VALIDITY_INDICATOR_INVALID);
    talk_close(&t);
}

static void
codes_are_made_and_verified(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = register_key(&t, NULL, MAC_MASK, hex(&t, "2b7e151628aed2a6abf7158809cf4f3c"));
    activate_key(&t, id);
    struct kmip_cryptographic_parameters p = {.has_block_cipher_mode = true,
                                              .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CMAC};
    struct kmip_mac_request r = {
        .unique_identifier = uid(id), .data = hex(&t, "6bc1bee22e409f96e93d7e117393172a"), .has_data = true};
    talk_refused(&t, KMIP_OPERATION_MAC, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    r.cryptographic_parameters = &p;
    const struct kmip_mac_response *a = talk_do(&t, KMIP_OPERATION_MAC, &r);
    assert_true(ks_span_equal(a->mac_data, hex(&t, "070a16b46b4d4144f79bdd9dd04a287c")));
    struct kmip_mac_verify_request v = {.unique_identifier = uid(id),
                                        .cryptographic_parameters = &p,
                                        .data = r.data,
                                        .has_data = true,
                                        .mac_data = hex(&t, "070a16b46b4d4144f79bdd9dd04a287c"),
                                        .has_mac_data = true};
    const struct kmip_mac_verify_response *b = talk_do(&t, KMIP_OPERATION_MAC_VERIFY, &v);
    assert_int_equal(b->validity_indicator, KMIP_VALIDITY_INDICATOR_VALID);
    v.mac_data.len = 8; /* cut */
    b = talk_do(&t, KMIP_OPERATION_MAC_VERIFY, &v);
    assert_int_equal(b->validity_indicator, KMIP_VALIDITY_INDICATOR_INVALID);
    v.has_mac_data = false;
    talk_refused(&t, KMIP_OPERATION_MAC_VERIFY, &v, KMIP_RESULT_REASON_MISSING_DATA);
    p = (struct kmip_cryptographic_parameters){.has_cryptographic_algorithm = true,
                                               .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256};
    a = talk_do(&t, KMIP_OPERATION_MAC, &r);
    assert_int_equal(a->mac_data.len, 32);
    p.cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_MD5;
    talk_refused(&t, KMIP_OPERATION_MAC, &r, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS);
    p.cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA;
    talk_refused(&t, KMIP_OPERATION_MAC, &r, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS);
    talk_close(&t);
}

static void
hashes_and_random_bytes(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    struct kmip_cryptographic_parameters p = {.has_hashing_algorithm = true, .hashing_algorithm = SHA256};
    const struct kmip_hash_request h = {.cryptographic_parameters = &p, .data = KS_LIT("abc"), .has_data = true};
    const struct kmip_hash_response *a = talk_do(&t, KMIP_OPERATION_HASH, &h);
    assert_true(ks_span_equal(a->data, hex(&t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")));
    p.hashing_algorithm = KMIP_HASHING_ALGORITHM_MD5;
    talk_refused(&t, KMIP_OPERATION_HASH, &h, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS);
    p.has_hashing_algorithm = false;
    talk_refused(&t, KMIP_OPERATION_HASH, &h, KMIP_RESULT_REASON_MISSING_DATA);

    struct kmip_rng_retrieve_request r = {.data_length = 32};
    const struct kmip_rng_retrieve_response *one = talk_do(&t, KMIP_OPERATION_RNG_RETRIEVE, &r);
    struct ks_span first;
    assert_int_equal(ks_arena_span(&t.arena, one->data, &first), 0);
    assert_int_equal(first.len, 32);
    const struct kmip_rng_seed_request s = {.data = KS_LIT("a seed")};
    const struct kmip_rng_seed_response *seeded = talk_do(&t, KMIP_OPERATION_RNG_SEED, &s);
    assert_int_equal(seeded->data_length, 6);
    const struct kmip_rng_retrieve_response *two = talk_do(&t, KMIP_OPERATION_RNG_RETRIEVE, &r);
    assert_false(ks_span_equal(first, two->data));
    static const int32_t wrong[] = {0, -1, RANDOM_MAX + 1};
    for (size_t i = 0; i < KS_ARRAY_LEN(wrong); i++) {
        r.data_length = wrong[i];
        talk_refused(&t, KMIP_OPERATION_RNG_RETRIEVE, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    }
    t.version = KMIP_V1_1;
    talk_refused(&t, KMIP_OPERATION_RNG_SEED, &s, KMIP_RESULT_REASON_OPERATION_NOT_SUPPORTED);
    talk_close(&t);
}

static void
counters_have_parts(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    /* RFC 3686, test vector 1: nonce of 32 bits, IV of 64, counter of 32 that begins with 1. */
    const char *id = register_key(&t, NULL, CIPHER_MASK, hex(&t, "ae6852f8121067cc4bf7a5765577f39e"));
    activate_key(&t, id);
    struct kmip_cryptographic_parameters p = {.has_block_cipher_mode = true,
                                              .block_cipher_mode = CTR,
                                              .has_fixed_field_length = true,
                                              .fixed_field_length = 32,
                                              .has_invocation_field_length = true,
                                              .invocation_field_length = 64,
                                              .has_counter_length = true,
                                              .counter_length = 32,
                                              .has_initial_counter_value = true,
                                              .initial_counter_value = 1};
    struct kmip_encrypt_request r = {.unique_identifier = uid(id),
                                     .cryptographic_parameters = &p,
                                     .data = KS_LIT("Single block msg"),
                                     .has_data = true,
                                     .iv_counter_nonce = hex(&t, "000000300000000000000000"),
                                     .has_iv_counter_nonce = true};
    const struct kmip_encrypt_response *a = talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    assert_true(ks_span_equal(a->data, hex(&t, "e4095d4fb7a7b3792d6175a3261311b8")));
    struct kmip_decrypt_request d = {.unique_identifier = uid(id),
                                     .cryptographic_parameters = &p,
                                     .data = hex(&t, "e4095d4fb7a7b3792d6175a3261311b8"),
                                     .has_data = true,
                                     .iv_counter_nonce = hex(&t, "00000030000000000000000000000001"),
                                     .has_iv_counter_nonce = true};
    const struct kmip_decrypt_response *b = talk_do(&t, KMIP_OPERATION_DECRYPT, &d);
    assert_true(ks_span_is(b->data, "Single block msg"));
    d.iv_counter_nonce = hex(&t, "00000030000000000000000000000002"); /* not the counter that was named */
    talk_refused(&t, KMIP_OPERATION_DECRYPT, &d, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    /* The server's own IV ends with the counter. */
    r.has_iv_counter_nonce = false;
    p.initial_counter_value = 7;
    a = talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    assert_true(a->has_iv_counter_nonce && a->iv_counter_nonce.len == 16);
    assert_int_equal(ks_be32(a->iv_counter_nonce.data + 12), 7);
    /* 8 bits of counter from 255: one block and no more. */
    p.fixed_field_length = 56;
    p.counter_length = 8;
    p.initial_counter_value = 255;
    talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    r.data = KS_LIT("Single block msg and more");
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    p.counter_length = 16; /* not 128 together */
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    /* GCM: fixed and invocation field are the IV. */
    p = (struct kmip_cryptographic_parameters){.has_block_cipher_mode = true,
                                               .block_cipher_mode = GCM,
                                               .has_fixed_field_length = true,
                                               .fixed_field_length = 32,
                                               .has_invocation_field_length = true,
                                               .invocation_field_length = 96};
    a = talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    assert_int_equal(a->iv_counter_nonce.len, 16);
    r.iv_counter_nonce = hex(&t, "000000300000000000000000");
    r.has_iv_counter_nonce = true;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    p = (struct kmip_cryptographic_parameters){
        .has_block_cipher_mode = true, .block_cipher_mode = GCM, .has_iv_length = true, .iv_length = 96};
    talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    p.iv_length = 128;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    r.has_iv_counter_nonce = false;
    a = talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    assert_int_equal(a->iv_counter_nonce.len, 16);
    p.has_tag_length = true;
    p.tag_length = 1;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_GENERAL_FAILURE);
    talk_close(&t);
}

static void
rsa_encrypts_short_messages(void **unused)
{
    (void)unused;
    const struct engine_config compat = {.node = KS_LIT("test"), .profile = PROFILE_COMPAT};
    struct talk t;
    talk_open_with(&t, &compat);
    const struct pair pair = make_pair(&t, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, 2048,
                                       KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    const struct kmip_cryptographic_parameters rows[] = {
        {.has_padding_method = true,
         .padding_method = KMIP_PADDING_METHOD_OAEP,
         .has_hashing_algorithm = true,
         .hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256},
        {.has_padding_method = true,
         .padding_method = KMIP_PADDING_METHOD_OAEP,
         .has_hashing_algorithm = true,
         .hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_384,
         .has_mask_generator_hashing_algorithm = true,
         .mask_generator_hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256,
         .has_p_source = true,
         .p_source = KS_LIT("label")},
        {.has_padding_method = true, .padding_method = KMIP_PADDING_METHOD_PKCS1_V1_5},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        struct kmip_cryptographic_parameters p = rows[i];
        struct kmip_encrypt_request r = {.unique_identifier = uid(pair.public),
                                         .cryptographic_parameters = &p,
                                         .data = KS_LIT("short"),
                                         .has_data = true};
        const struct kmip_encrypt_response *a = talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
        struct kmip_decrypt_request d = {
            .unique_identifier = uid(pair.private), .cryptographic_parameters = &p, .has_data = true};
        assert_int_equal(ks_arena_span(&t.arena, a->data, &d.data), 0);
        const struct kmip_decrypt_response *b = talk_do(&t, KMIP_OPERATION_DECRYPT, &d);
        assert_true(ks_span_is(b->data, "short"));
        r.init_indicator = r.has_init_indicator = true;
        talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_FEATURE_NOT_SUPPORTED);
        p.has_padding_method = false;
        r.has_init_indicator = false;
        talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    }
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_key_signs),     cmocka_unit_test(what_a_signature_needs),
        cmocka_unit_test(codes_are_made_and_verified), cmocka_unit_test(hashes_and_random_bytes),
        cmocka_unit_test(counters_have_parts),         cmocka_unit_test(rsa_encrypts_short_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
