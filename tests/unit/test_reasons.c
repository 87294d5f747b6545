/* Reasons of refusal as the tables of the specification have them (1.4: 11; 2.1: 6.1), where nothing else tests them.
 */
#include "engine_talk.h"

enum { BOTH = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT };

static const enum kmip_version versions[] = {KMIP_V1_0, KMIP_V1_2, KMIP_V1_4, KMIP_V2_0, KMIP_V2_1};

static uint32_t
by(const struct talk *t, uint32_t old, uint32_t now)
{
    return t->version < KMIP_V2_0 ? old : now;
}

static const char *
register_opaque(struct talk *t)
{
    struct kmip_opaque_object opaque = {.opaque_data_type = 0x80000001, .opaque_data_value = KS_LIT("bytes")};
    struct kmip_register_request r = {.object_type = KMIP_OBJECT_TYPE_OPAQUE_OBJECT,
                                      .attributes = {.present = true},
                                      .object = {.opaque_object = &opaque}};
    const struct kmip_register_response *made = talk_do(t, KMIP_OPERATION_REGISTER, &r);
    const char *id = uid_string(t, &made->unique_identifier);
    r.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY; /* which it is not */
    talk_refused(t, KMIP_OPERATION_REGISTER, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    return id;
}

/* 1.x: an object that "is not able to be" re-keyed, certified, used for encryption. */
static void
objects_of_another_type(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    for (size_t i = 0; i < KS_ARRAY_LEN(versions); i++) {
        t.version = versions[i];
        const char *id = register_opaque(&t);
        const uint32_t unfit = by(&t, KMIP_RESULT_REASON_PERMISSION_DENIED, KMIP_RESULT_REASON_INVALID_OBJECT_TYPE);
        const struct kmip_re_key_request re_key = {.unique_identifier = uid(id)};
        const struct kmip_certify_request certify = {.unique_identifier = uid(id)};
        const struct kmip_re_certify_request re_certify = {.unique_identifier = uid(id)};
        talk_refused(&t, KMIP_OPERATION_RE_KEY, &re_key, unfit);
        talk_refused(&t, KMIP_OPERATION_CERTIFY, &certify, unfit);
        talk_refused(&t, KMIP_OPERATION_RE_CERTIFY, &re_certify, unfit);
    }
    talk_close(&t);
}

static void
what_wraps_is_a_key(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    for (size_t i = 0; i < KS_ARRAY_LEN(versions); i++) {
        t.version = versions[i];
        const char *id = register_opaque(&t);
        struct kmip_encryption_key_information with = {.unique_identifier = uid(id)};
        struct kmip_key_wrapping_specification wrapping = {.wrapping_method = KMIP_WRAPPING_METHOD_ENCRYPT,
                                                           .encryption_key_information = &with};
        const char *key = make_key(&t, NULL, BOTH);
        activate_key(&t, key);
        const struct kmip_get_request get = {.unique_identifier = uid(key), .key_wrapping_specification = &wrapping};
        talk_refused(&t, KMIP_OPERATION_GET, &get,
                     by(&t, KMIP_RESULT_REASON_ILLEGAL_OPERATION, KMIP_RESULT_REASON_INVALID_OBJECT_TYPE));
    }
    talk_close(&t);
}

/* 1.1 to 1.4 refuse a name that is there twice; 1.0 and 2.x say nothing of it. */
static void
attributes_asked_for_twice(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, BOTH);
    struct kmip_attr_ref twice[] = {{.tag = KMIP_TAG_STATE, .index = -1}, {.tag = KMIP_TAG_STATE, .index = -1}};
    const struct kmip_get_attributes_request r = {.unique_identifier = uid(id), .attribute_refs = {.n = 2, .v = twice}};
    for (size_t i = 0; i < KS_ARRAY_LEN(versions); i++) {
        t.version = versions[i];
        if (t.version > KMIP_V1_0 && t.version < KMIP_V2_0)
            talk_refused(&t, KMIP_OPERATION_GET_ATTRIBUTES, &r, KMIP_RESULT_REASON_INVALID_MESSAGE);
        else
            talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    }
    talk_close(&t);
}

/* A Template is no cryptographic object. */
static void
templates_have_no_life(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V1_4;
    struct kmip_template template = {.attributes = {.present = true}};
    put_text(&t, &template.attributes, KMIP_TAG_OBJECT_GROUP, "pool");
    struct kmip_register_request r = {
        .object_type = KMIP_OBJECT_TYPE_TEMPLATE, .attributes = {.present = true}, .object = {.template = &template}};
    put_name(&t, &r.attributes, "pattern");
    const struct kmip_register_response *made = talk_do(&t, KMIP_OPERATION_REGISTER, &r);
    const char *id = uid_string(&t, &made->unique_identifier);
    struct kmip_revocation_reason reason = {.revocation_reason_code = KMIP_REVOCATION_REASON_CODE_UNSPECIFIED};
    const struct kmip_activate_request activate = {.unique_identifier = uid(id)};
    const struct kmip_revoke_request revoke = {.unique_identifier = uid(id), .revocation_reason = &reason};
    const struct kmip_check_request check = {.unique_identifier = uid(id)};
    talk_refused(&t, KMIP_OPERATION_ACTIVATE, &activate, KMIP_RESULT_REASON_ILLEGAL_OPERATION);
    talk_refused(&t, KMIP_OPERATION_REVOKE, &revoke, KMIP_RESULT_REASON_ILLEGAL_OPERATION);
    talk_refused(&t, KMIP_OPERATION_CHECK, &check, KMIP_RESULT_REASON_ILLEGAL_OPERATION);
    destroy_key(&t, id);
    talk_close(&t);
}

static void
streams_that_are_not_there(void **unused)
{
    (void)unused;
    static const enum kmip_version streaming[] = {KMIP_V1_3, KMIP_V1_4, KMIP_V2_0, KMIP_V2_1};
    struct talk t;
    talk_open(&t);
    struct kmip_cryptographic_parameters sha = {.hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256,
                                                .has_hashing_algorithm = true};
    const struct kmip_hash_request r = {.cryptographic_parameters = &sha,
                                        .data = KS_LIT("data"),
                                        .has_data = true,
                                        .correlation_value = KS_LIT("nobody's"),
                                        .has_correlation_value = true};
    for (size_t i = 0; i < KS_ARRAY_LEN(streaming); i++) {
        t.version = streaming[i];
        talk_refused(&t, KMIP_OPERATION_HASH, &r,
                     by(&t, KMIP_RESULT_REASON_ITEM_NOT_FOUND, KMIP_RESULT_REASON_INVALID_CORRELATION_VALUE));
    }
    talk_close(&t);
}

/* 2.1, 7.33: one alternative has to be met with all its bits. */
static void
where_objects_are_kept(void **unused)
{
    (void)unused;
    enum {
        SOFT = KMIP_PROTECTION_STORAGE_MASK_SOFTWARE,
        HARD = KMIP_PROTECTION_STORAGE_MASK_HARDWARE,
        NO = KMIP_RESULT_REASON_PROTECTION_STORAGE_UNAVAILABLE,
        NO_PRIVATE = KMIP_RESULT_REASON_PRIVATE_PROTECTION_STORAGE_UNAVAILABLE,
        NO_PUBLIC = KMIP_RESULT_REASON_PUBLIC_PROTECTION_STORAGE_UNAVAILABLE
    };
    static const struct {
        uint32_t masks[2];
        size_t n;
        uint32_t reason;
    } cases[] = {{{0}, 0, 0}, {{SOFT}, 1, 0}, {{HARD}, 1, NO}, {{HARD | SOFT}, 1, NO}, {{HARD, SOFT}, 2, 0}};
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V2_1;
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        uint32_t masks[] = {cases[i].masks[0], cases[i].masks[1]};
        struct kmip_protection_storage_masks m = {.n_protection_storage_mask = cases[i].n,
                                                  .protection_storage_mask = masks};
        struct kmip_create_request create = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                             .attributes = {.present = true},
                                             .protection_storage_masks = &m};
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
        put_number(&t, &create.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 128);
        if (cases[i].reason == 0)
            talk_do(&t, KMIP_OPERATION_CREATE, &create);
        else
            talk_refused(&t, KMIP_OPERATION_CREATE, &create, cases[i].reason);
    }
    uint32_t soft = SOFT, hard = HARD;
    struct kmip_protection_storage_masks software = {.n_protection_storage_mask = 1, .protection_storage_mask = &soft};
    struct kmip_protection_storage_masks hardware = {.n_protection_storage_mask = 1, .protection_storage_mask = &hard};
    struct kmip_create_key_pair_request pair = {.common_protection_storage_masks = &hardware};
    put_number(&t, &pair.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC);
    put_number(&t, &pair.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    pair.common_attributes.present = true;
    talk_refused(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &pair, NO);
    pair.private_protection_storage_masks = &software;
    pair.public_protection_storage_masks = &software;
    talk_do(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &pair);
    pair.public_protection_storage_masks = &hardware;
    talk_refused(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &pair, NO_PUBLIC);
    pair.private_protection_storage_masks = &hardware;
    talk_refused(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &pair, NO_PRIVATE);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_of_another_type),    cmocka_unit_test(what_wraps_is_a_key),
        cmocka_unit_test(attributes_asked_for_twice), cmocka_unit_test(templates_have_no_life),
        cmocka_unit_test(streams_that_are_not_there), cmocka_unit_test(where_objects_are_kept),
    };
    return cmocka_run_group_tests_name("reasons of refusal", tests, NULL, NULL);
}
