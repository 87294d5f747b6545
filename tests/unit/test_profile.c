/* Policy profiles: every row, what the standards say by hand, and what the engine makes of them. */
#include "engine_talk.h"
#include "server/engine/profile.h"

static const uint32_t aes = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, tdes = KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES,
                      rsa = KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, ec = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC;

enum {
    NO = 0,
    OLD = 1 << PROFILE_PROCESS,
    GIVE = OLD | 1 << PROFILE_MAKE,
    ALL = GIVE | 1 << PROFILE_PROTECT,
};

#define WHAT_ALGORITHM(V, B)                                                                                           \
    {                                                                                                                  \
        .algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_##V, .bits = (B)                                                     \
    }
#define WHAT_CURVE(V, B)                                                                                               \
    {                                                                                                                  \
        .algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, .curve = KMIP_RECOMMENDED_CURVE_##V, .bits = 384                 \
    }
#define WHAT_MODE(V, B)                                                                                                \
    {                                                                                                                  \
        .mode = KMIP_BLOCK_CIPHER_MODE_##V, .bits = (B)                                                                \
    }
#define WHAT_PADDING(V, B)                                                                                             \
    {                                                                                                                  \
        .padding = KMIP_PADDING_METHOD_##V                                                                             \
    }
#define WHAT_HASH(V, B)                                                                                                \
    {                                                                                                                  \
        .hash = KMIP_HASHING_ALGORITHM_##V                                                                             \
    }
#define WHAT_SIGNATURE_HASH(V, B)                                                                                      \
    {                                                                                                                  \
        .signature_hash = KMIP_HASHING_ALGORITHM_##V                                                                   \
    }
#define WHAT_DERIVATION(V, B)                                                                                          \
    {                                                                                                                  \
        .derivation = KMIP_DERIVATION_METHOD_##V                                                                       \
    }

static const struct {
    struct profile_what what;
    uint8_t allows[PROFILE_COUNT];
    const char *text;
} rows[] = {
#define PROFILE(NAME, text)
#define PROFILE_ROW(KIND, VALUE, LEAST, MOST, FIPS, CNSA2, COMPAT)                                                     \
    {WHAT_##KIND(VALUE, LEAST), {FIPS, CNSA2, COMPAT}, #KIND " " #VALUE " " #LEAST},                                   \
        {WHAT_##KIND(VALUE, MOST), {FIPS, CNSA2, COMPAT}, #KIND " " #VALUE " " #MOST},
#include "server/engine/profile.def"
#undef PROFILE_ROW
#undef PROFILE
};

static void
every_row_is_what_it_says(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        for (int profile = 0; profile < PROFILE_COUNT; profile++) {
            for (int use = 0; use <= PROFILE_PROCESS; use++) {
                const bool want = (rows[i].allows[profile] >> use & 1) != 0;
                if (profile_allows((enum profile)profile, (enum profile_use)use, &rows[i].what, NULL, NULL) != want)
                    fail_msg("%s, profile %s, use %d", rows[i].text, profile_name((enum profile)profile), use);
            }
        }
        /* A stricter profile allows nothing that a milder one does not, and whoever may make or protect may process. */
        assert_int_equal(rows[i].allows[PROFILE_CNSA2] & ~rows[i].allows[PROFILE_FIPS], 0);
        assert_int_equal(rows[i].allows[PROFILE_COMPAT], ALL);
        for (int profile = 0; profile < PROFILE_COUNT; profile++)
            assert_true(rows[i].allows[profile] == NO || (rows[i].allows[profile] & OLD) != 0);
    }
}

static void
what_the_standards_say(void **unused)
{
    (void)unused;
    static const struct {
        struct profile_what what;
        enum profile_use use;
        bool fips, cnsa2;
    } cases[] = {
        {{.algorithm = aes, .bits = 128}, PROFILE_MAKE, true, false},
        {{.algorithm = aes, .bits = 128}, PROFILE_PROCESS, true, true},
        {{.algorithm = aes, .bits = 256}, PROFILE_MAKE, true, true},
        {{.algorithm = aes}, PROFILE_MAKE, true, true},
        {{.algorithm = aes, .bits = 256, .mode = KMIP_BLOCK_CIPHER_MODE_XTS}, PROFILE_PROTECT, true, false},
        {{.algorithm = aes, .bits = 512, .mode = KMIP_BLOCK_CIPHER_MODE_XTS}, PROFILE_PROTECT, true, true},
        {{.algorithm = aes, .bits = 256, .mode = KMIP_BLOCK_CIPHER_MODE_PCBC}, PROFILE_PROTECT, false, false},
        {{.algorithm = tdes, .bits = 168}, PROFILE_MAKE, true, false},
        {{.algorithm = tdes, .bits = 168}, PROFILE_PROTECT, false, false},
        {{.algorithm = tdes, .bits = 168}, PROFILE_PROCESS, true, false},
        {{.algorithm = rsa, .bits = 1024}, PROFILE_MAKE, false, false},
        {{.algorithm = rsa, .bits = 1024}, PROFILE_PROTECT, false, false},
        {{.algorithm = rsa, .bits = 1024}, PROFILE_PROCESS, true, true},
        {{.algorithm = rsa, .bits = 2048}, PROFILE_MAKE, true, false},
        {{.algorithm = rsa, .bits = 3072}, PROFILE_MAKE, true, true},
        {{.algorithm = rsa}, PROFILE_MAKE, true, true},
        {{.algorithm = rsa, .bits = 3072, .padding = KMIP_PADDING_METHOD_PKCS1_V1_5}, PROFILE_PROTECT, false, false},
        {{.algorithm = rsa, .bits = 3072, .padding = KMIP_PADDING_METHOD_PKCS1_V1_5}, PROFILE_PROCESS, true, true},
        {{.algorithm = rsa, .bits = 3072, .signature_hash = KMIP_HASHING_ALGORITHM_SHA_1},
         PROFILE_PROTECT,
         false,
         false},
        {{.algorithm = rsa, .bits = 3072, .signature_hash = KMIP_HASHING_ALGORITHM_SHA_1}, PROFILE_PROCESS, true, true},
        {{.algorithm = rsa, .bits = 3072, .hash = KMIP_HASHING_ALGORITHM_SHA_1}, PROFILE_PROTECT, true, false},
        {{.hash = KMIP_HASHING_ALGORITHM_MD5}, PROFILE_PROTECT, false, false},
        {{.hash = KMIP_HASHING_ALGORITHM_MD5}, PROFILE_PROCESS, false, false},
        {{.algorithm = ec, .curve = KMIP_RECOMMENDED_CURVE_P_256}, PROFILE_MAKE, true, false},
        {{.algorithm = ec, .curve = KMIP_RECOMMENDED_CURVE_P_384}, PROFILE_MAKE, true, true},
        {{.algorithm = ec, .curve = KMIP_RECOMMENDED_CURVE_SECP256K1, .bits = 256}, PROFILE_MAKE, false, false},
        {{.algorithm = ec, .curve = KMIP_RECOMMENDED_CURVE_CURVE25519, .bits = 256}, PROFILE_PROTECT, false, false},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519, .curve = KMIP_RECOMMENDED_CURVE_CURVE25519},
         PROFILE_MAKE,
         true,
         false},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20POLY1305, .bits = 256}, PROFILE_MAKE, false, false},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, .bits = 64}, PROFILE_MAKE, false, false},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, .bits = 256}, PROFILE_MAKE, true, false},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ML_KEM_768}, PROFILE_MAKE, true, false},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ML_KEM_1024}, PROFILE_MAKE, true, true},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ML_DSA_87}, PROFILE_PROTECT, true, true},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_SM2}, PROFILE_PROCESS, false, false},
        {{0}, PROFILE_MAKE, true, true},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        const char *kind = "", *name = "";
        if (profile_allows(PROFILE_FIPS, cases[i].use, &cases[i].what, &kind, &name) != cases[i].fips)
            fail_msg("case %zu, fips: %s %s", i, kind, name);
        if (profile_allows(PROFILE_CNSA2, cases[i].use, &cases[i].what, &kind, &name) != cases[i].cnsa2)
            fail_msg("case %zu, cnsa2: %s %s", i, kind, name);
        assert_true(profile_allows(PROFILE_COMPAT, cases[i].use, &cases[i].what, NULL, NULL));
    }
}

static void
profiles_have_names(void **unused)
{
    (void)unused;
    enum profile found = PROFILE_FIPS;
    for (int i = 0; i < PROFILE_COUNT; i++) {
        assert_true(profile_find(profile_name((enum profile)i), &found));
        assert_int_equal(found, i);
    }
    assert_false(profile_find("FIPS", &found));
    assert_false(profile_find("", &found));
}

static const struct engine_config compat = {.node = {(const uint8_t *)"n", 1}, .profile = PROFILE_COMPAT},
                                  cnsa2 = {.node = {(const uint8_t *)"n", 1}, .profile = PROFILE_CNSA2};

static const void *
create(struct talk *t, uint32_t algorithm, int bits, bool allowed)
{
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, algorithm);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, bits);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK,
               KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT);
    put_number(t, &r.attributes, KMIP_TAG_ACTIVATION_DATE, 1);
    if (allowed)
        return talk_do(t, KMIP_OPERATION_CREATE, &r);
    talk_refused(t, KMIP_OPERATION_CREATE, &r, KMIP_RESULT_REASON_INVALID_ATTRIBUTE_VALUE);
    return NULL;
}

static void
create_pair(struct talk *t, uint32_t algorithm, int bits, bool allowed)
{
    struct kmip_create_key_pair_request r = {0};
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, algorithm);
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, bits);
    if (allowed)
        (void)talk_do(t, KMIP_OPERATION_CREATE_KEY_PAIR, &r);
    else
        talk_refused(t, KMIP_OPERATION_CREATE_KEY_PAIR, &r, KMIP_RESULT_REASON_INVALID_ATTRIBUTE_VALUE);
}

static void
keys_are_made_as_the_profile_allows(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    create(&t, tdes, 168, true); /* for use elsewhere */
    create(&t, KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20, 256, false);
    assert_non_null(strstr((const char *)t.response->batch_item[0]->result_message.data, "profile \"fips\""));
    create(&t, aes, 128, true);
    create_pair(&t, rsa, 1024, false);
    create_pair(&t, ec, 256, true);
    talk_close(&t);
    talk_open_with(&t, &cnsa2);
    create(&t, aes, 128, false);
    create(&t, aes, 256, true);
    create_pair(&t, ec, 256, false);
    create_pair(&t, ec, 384, true);
    talk_close(&t);
    talk_open_with(&t, &compat);
    create(&t, tdes, 168, true);
    create(&t, KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20, 256, true);
    create_pair(&t, rsa, 1024, true);
    talk_close(&t);
}

/* A 3DES key of before: it is registered, decrypts and is handed out, and encrypts only under compat. */
static void
old_keys_read_and_do_not_write(void **unused)
{
    (void)unused;
    static const uint8_t key[24] = {1, 2, 4, 8, 16, 32, 64, 128, 7, 11, 13, 14, 19, 21, 22, 25, 26, 28, 31, 35, 37, 38};
    for (int profile = 0; profile < PROFILE_COUNT; profile++) {
        struct talk t;
        const struct engine_config config = {.node = {(const uint8_t *)"n", 1}, .profile = (enum profile)profile};
        talk_open_with(&t, &config);
        struct kmip_item value = {.tag = KMIP_TAG_KEY_VALUE, .type = KMIP_TYPE_STRUCTURE},
                         material = {
                             .tag = KMIP_TAG_KEY_MATERIAL, .type = KMIP_TYPE_BYTE_STRING, .s = {key, sizeof(key)}};
        value.first = &material;
        struct kmip_key_block block = {.key_format_type = KMIP_KEY_FORMAT_TYPE_RAW,
                                       .key_value = &value,
                                       .cryptographic_algorithm = tdes,
                                       .has_cryptographic_algorithm = true,
                                       .cryptographic_length = 168,
                                       .has_cryptographic_length = true};
        struct kmip_symmetric_key symmetric = {.key_block = &block};
        struct kmip_register_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                          .object = {.symmetric_key = &symmetric},
                                          .attributes = {.present = true}};
        put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK,
                   KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT |
                       KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY);
        put_number(&t, &r.attributes, KMIP_TAG_ACTIVATION_DATE, 1);
        const struct kmip_register_response *made = talk_do(&t, KMIP_OPERATION_REGISTER, &r);
        const char *id = uid_string(&t, &made->unique_identifier);
        assert_int_equal(key_bytes(&t, id).len, 24);
        struct kmip_cryptographic_parameters ecb = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_ECB,
                                                    .has_block_cipher_mode = true};
        const struct kmip_encrypt_request encrypt = {.unique_identifier = uid(id),
                                                     .cryptographic_parameters = &ecb,
                                                     .data = KS_LIT("8 bytes."),
                                                     .has_data = true};
        const struct kmip_decrypt_request decrypt = {.unique_identifier = uid(id),
                                                     .cryptographic_parameters = &ecb,
                                                     .data = KS_LIT("8 bytes."),
                                                     .has_data = true};
        if (profile == PROFILE_COMPAT)
            (void)talk_do(&t, KMIP_OPERATION_ENCRYPT, &encrypt);
        else
            talk_refused(&t, KMIP_OPERATION_ENCRYPT, &encrypt, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS);
        struct kmip_encryption_key_information with = {.unique_identifier = uid(id)};
        struct kmip_key_wrapping_specification how = {.wrapping_method = KMIP_WRAPPING_METHOD_ENCRYPT,
                                                      .encryption_key_information = &with};
        const struct kmip_get_request get = {.unique_identifier = uid(make_key(&t, NULL, 0)),
                                             .key_wrapping_specification = &how};
        if (profile != PROFILE_COMPAT)
            talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS);
        if (profile == PROFILE_CNSA2)
            talk_refused(&t, KMIP_OPERATION_DECRYPT, &decrypt, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS);
        else
            (void)talk_do(&t, KMIP_OPERATION_DECRYPT, &decrypt);
        talk_close(&t);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_what_it_says),
        cmocka_unit_test(what_the_standards_say),
        cmocka_unit_test(profiles_have_names),
        cmocka_unit_test(keys_are_made_as_the_profile_allows),
        cmocka_unit_test(old_keys_read_and_do_not_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
