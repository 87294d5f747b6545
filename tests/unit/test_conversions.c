/*
 * Every kind of key in every format that Get gives, and back: what is registered in the other format is the same key.
 * Which formats there are for a kind is written down here; all others are refused with their reason.
 */
#include "engine_talk.h"

#include "base/text.h"
#include "crypto/keyformat.h"

/* Formats by number, 1 (Raw) to 0x15 (Transparent EC Public Key); 'y': given, and taken back as the same key; 'c': the
 * same where the curve is said by Cryptographic Domain Parameters, since length and algorithm do not say it. */
struct kind {
    const char *name;
    struct ks_keypair_params params; /* algorithm 0: of the vectors */
    const char *private, *public;
};

static const struct kind kinds[] = {
    /*           1   2   3   4   5   6   7   8   9   a   b   c   d   e   f   10  11  12  13  14  15 */
    {"RSA",
     {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, .bits = 2048},
     "--yy-----y-----------",
     "--y-y-----y----------"},
    {"P-256",
     {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, .curve = KMIP_RECOMMENDED_CURVE_P_256},
     "y--y-y-------y-y-y-y-",
     "y---y---------y-y-y-y"},
    {"P-521",
     {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, .curve = KMIP_RECOMMENDED_CURVE_P_521},
     "y--y-y-------y-y-y-y-",
     "y---y---------y-y-y-y"},
    {"P-192",
     {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, .curve = KMIP_RECOMMENDED_CURVE_P_192},
     "c--y-y-------y-y-y-y-",
     "c---y---------y-y-y-y"},
    {"X9.62 239",
     {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, .curve = KMIP_RECOMMENDED_CURVE_ANSIX9P239V2},
     "c--y-y-------y-y-y-y-",
     "c---y---------y-y-y-y"},
    {"brainpool 320",
     {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, .curve = KMIP_RECOMMENDED_CURVE_BRAINPOOLP320T1},
     "c--y-y-------y-y-y-y-",
     "c---y---------y-y-y-y"},
    {"X25519",
     {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, .curve = KMIP_RECOMMENDED_CURVE_CURVE25519},
     "c--y---------y-y-y-y-",
     "c---y---------y-y-y-y"},
    {"Ed25519", {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519}, "y--y---------------y-", "y---y---------------y"},
    {"Ed448", {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448}, "y--y---------------y-", "y---y---------------y"},
    {"DSA", {.bits = KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA}, "---y---y-------------", "----y---y------------"},
    {"DH", {.bits = KMIP_CRYPTOGRAPHIC_ALGORITHM_DH}, "---y-------y---------", "----y-------y--------"},
};
enum { FORMATS = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY };

static void
add_component(struct ks_ffc_parts *parts, struct ks_arena *arena, char which, const char *hex)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(4096);
    struct ks_span *const to = which == 'P'   ? &parts->p
                               : which == 'Q' ? &parts->q
                               : which == 'G' ? &parts->g
                               : which == 'X' ? &parts->x
                                              : &parts->y;
    assert_int_equal(ks_hex_decode(ks_span_str(hex), &bytes), 0);
    assert_int_equal(ks_arena_span(arena, ks_buf_span(&bytes), to), 0);
}

static void
make(struct talk *t, const struct kind *kind, struct ks_pkey **ret)
{
    struct ks_diag diag = {0};
    if (kind->params.algorithm != 0) {
        if (ks_keygen_pair(&kind->params, ret, &diag) != 0)
            fail_msg("%s: %s", kind->name, diag.message);
        return;
    }
    struct ks_ffc_parts parts = {.algorithm = kind->params.bits};
#define FFC(component, hex) add_component(&parts, &t->arena, #component[0], hex);
#include "tests/vectors/ffc.def"
#undef FFC
    if (ks_pkey_from_ffc(&parts, ret, &diag) != 0)
        fail_msg("%s: %s", kind->name, diag.message);
}

static const char *
register_block(struct talk *t, struct kmip_key_block *block, bool is_private, uint32_t curve)
{
    struct kmip_private_key private = {.key_block = block};
    struct kmip_public_key public = {.key_block = block};
    struct kmip_register_request r = {
        .object_type = is_private ? KMIP_OBJECT_TYPE_PRIVATE_KEY : KMIP_OBJECT_TYPE_PUBLIC_KEY,
        .attributes = {.present = true},
        .object = {.private_key = is_private ? &private : NULL, .public_key = is_private ? NULL : &public}};
    const struct kmip_cryptographic_domain_parameters domain = {.recommended_curve = curve,
                                                                .has_recommended_curve = true};
    struct kmip_item *item = NULL;
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK,
               is_private ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN : KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
    if (curve != 0) {
        assert_int_equal(
            kmip_item_encode(&kmip_schema_cryptographic_domain_parameters, t->version, &domain, &t->arena, &item), 0);
        assert_non_null(kmip_attrs_add(&t->arena, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS, item));
    }
    const struct kmip_register_response *made = talk_do(t, KMIP_OPERATION_REGISTER, &r);
    return uid_string(t, &made->unique_identifier);
}

static const char *
register_key_of(struct talk *t, const struct ks_pkey *key, bool is_private)
{
    const uint32_t format = is_private ? KMIP_KEY_FORMAT_TYPE_PKCS_8 : KMIP_KEY_FORMAT_TYPE_X_509;
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(8192);
    struct kmip_item *value = kmip_item_new(&t->arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    struct kmip_item *bytes = kmip_item_new(&t->arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    struct ks_pkey_info info;
    ks_pkey_info(key, &info);
    assert_int_equal(ks_pkey_export(key, format, is_private, &der, NULL), 0);
    assert_int_equal(ks_arena_span(&t->arena, ks_buf_span(&der), &bytes->s), 0);
    kmip_item_append(value, bytes);
    struct kmip_key_block block = {.key_format_type = format,
                                   .key_value = value,
                                   .cryptographic_algorithm = info.algorithm,
                                   .has_cryptographic_algorithm = true,
                                   .cryptographic_length = (int32_t)info.bits,
                                   .has_cryptographic_length = true};
    return register_block(t, &block, is_private, 0);
}

static const struct kmip_response_batch_item *
get(struct talk *t, const char *id, uint32_t format)
{
    const struct kmip_get_request r = {
        .unique_identifier = uid(id), .key_format_type = format, .has_key_format_type = true};
    return talk_ask(t, KMIP_OPERATION_GET, &r);
}

static struct kmip_key_block *
block_of(const struct kmip_response_batch_item *item, bool is_private)
{
    const struct kmip_get_response *got = item->payload;
    return is_private ? got->object.private_key->key_block : got->object.public_key->key_block;
}

static void
one_half(struct talk *t, const struct kind *kind, const struct ks_pkey *key, bool is_private)
{
    const char *wanted = is_private ? kind->private : kind->public;
    const uint32_t usual = is_private ? KMIP_KEY_FORMAT_TYPE_PKCS_8 : KMIP_KEY_FORMAT_TYPE_X_509;
    /* 1.4 knows all formats, 2.1 all kinds of keys. */
    t->version = kmip_enum_known(KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, kind->params.algorithm, KMIP_V1_4) ||
                         kind->params.algorithm == 0
                     ? KMIP_V1_4
                     : KMIP_V2_1;
    const char *id = register_key_of(t, key, is_private);
    const struct kmip_item *first = block_of(get(t, id, usual), is_private)->key_value;
    for (uint32_t format = 1; format <= FORMATS; format++) {
        if (!kmip_enum_known(KMIP_TAG_KEY_FORMAT_TYPE, format, t->version))
            continue;
        const struct kmip_response_batch_item *item = get(t, id, format);
        const bool given = item->result_status == KMIP_RESULT_STATUS_SUCCESS;
        if (given != (wanted[format - 1] != '-'))
            fail_msg("%s, %s: format %#x is %sgiven", kind->name, is_private ? "private" : "public", format,
                     given ? "" : "not ");
        if (!given)
            assert_int_equal(item->result_reason, KMIP_RESULT_REASON_KEY_FORMAT_TYPE_NOT_SUPPORTED);
        if (!given)
            continue;
        struct kmip_key_block *block = block_of(item, is_private);
        assert_int_equal(block->key_format_type, format);
        const uint32_t curve = wanted[format - 1] == 'c' ? kind->params.curve : 0;
        const enum kmip_version version = t->version;
        if (curve != 0 && !kmip_enum_known(KMIP_TAG_RECOMMENDED_CURVE, curve, version))
            t->version = KMIP_V2_1;
        const char *again = register_block(t, block, is_private, curve);
        t->version = version;
        const struct kmip_response_batch_item *back = get(t, again, usual);
        if (back->result_status != KMIP_RESULT_STATUS_SUCCESS ||
            !kmip_item_equal(block_of(back, is_private)->key_value, first))
            fail_msg("%s, %s: format %#x does not come back", kind->name, is_private ? "private" : "public", format);
    }
}

static void
every_format_and_back(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    for (size_t i = 0; i < KS_ARRAY_LEN(kinds); i++) {
        KS_PKEY *key = NULL;
        make(&t, &kinds[i], &key);
        one_half(&t, &kinds[i], key, true);
        one_half(&t, &kinds[i], key, false);
    }
    talk_close(&t);
}

static void
points_are_compressed(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t compression, format;
        size_t len; /* of the point */
        uint8_t first;
    } rows[] = {
        {KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_UNCOMPRESSED, KMIP_KEY_FORMAT_TYPE_RAW, 65, 4},
        {KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_X9_62_COMPRESSED_PRIME, KMIP_KEY_FORMAT_TYPE_RAW, 33, 2},
        {KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_X9_62_HYBRID, KMIP_KEY_FORMAT_TYPE_RAW, 65, 6},
        {KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_X9_62_COMPRESSED_PRIME, KMIP_KEY_FORMAT_TYPE_X_509, 59, 0x30},
        {KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_UNCOMPRESSED, KMIP_KEY_FORMAT_TYPE_X_509, 91, 0x30},
    };
    struct talk t;
    KS_PKEY *key = NULL;
    talk_open(&t);
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_256};
    assert_int_equal(ks_keygen_pair(&params, &key, NULL), 0);
    const char *id = register_key_of(&t, key, false);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const struct kmip_get_request r = {.unique_identifier = uid(id),
                                           .key_format_type = rows[i].format,
                                           .has_key_format_type = true,
                                           .key_compression_type = rows[i].compression,
                                           .has_key_compression_type = true};
        const struct kmip_get_response *got = talk_do(&t, KMIP_OPERATION_GET, &r);
        struct kmip_key_block *block = got->object.public_key->key_block;
        const struct ks_span bytes = kmip_item_child(block->key_value, KMIP_TAG_KEY_MATERIAL)->s;
        assert_int_equal(block->key_compression_type, rows[i].compression);
        assert_int_equal(bytes.len, rows[i].len);
        assert_int_equal(bytes.data[0] & (rows[i].first == 0x30 ? 0xff : 0xfe), rows[i].first);
        if (rows[i].format != KMIP_KEY_FORMAT_TYPE_X_509)
            continue;
        KS_PKEY *read = NULL;
        assert_int_equal(ks_pkey_parse(rows[i].format, false, 0, 0, bytes, &read, NULL), 0);
        assert_true(ks_pkey_same_public(read, key));
    }
    const struct kmip_get_request binary = {.unique_identifier = uid(id),
                                            .key_compression_type =
                                                KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_X9_62_COMPRESSED_CHAR2,
                                            .has_key_compression_type = true};
    talk_refused(&t, KMIP_OPERATION_GET, &binary, KMIP_RESULT_REASON_KEY_COMPRESSION_TYPE_NOT_SUPPORTED);
    talk_close(&t);
}

/* A format that one version has and another has not goes by the name that the other has for it. */
static void
versions_have_their_names_for_formats(void **unused)
{
    (void)unused;
    struct talk t;
    KS_PKEY *key = NULL;
    talk_open(&t);
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_384};
    assert_int_equal(ks_keygen_pair(&params, &key, NULL), 0);
    t.version = KMIP_V1_4;
    const char *first = register_key_of(&t, key, true);
    struct kmip_key_block *block = block_of(get(&t, first, KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PRIVATE_KEY), true);
    const char *id = register_block(&t, block, true, 0);
    static const struct {
        enum kmip_version version;
        uint32_t format;
    } rows[] = {{KMIP_V1_0, KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PRIVATE_KEY},
                {KMIP_V1_4, KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PRIVATE_KEY},
                {KMIP_V2_1, KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PRIVATE_KEY}};
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        t.version = rows[i].version;
        const struct kmip_get_request r = {.unique_identifier = uid(id)};
        const struct kmip_get_response *got = talk_do(&t, KMIP_OPERATION_GET, &r);
        assert_int_equal(got->object.private_key->key_block->key_format_type, rows[i].format);
    }
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_and_back),
        cmocka_unit_test(points_are_compressed),
        cmocka_unit_test(versions_have_their_names_for_formats),
    };
    return cmocka_run_group_tests_name("engine: conversions between key formats", tests, NULL, NULL);
}
