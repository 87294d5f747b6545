/* Key material: wrapped, converted, generated and used. */
#include "engine_talk.h"

#include "crypto/keywrap.h"
#include "server/engine/prepared.h"

enum {
    MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT,
    WRAP = KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY,
};

/* Wrapping */

struct wrapping {
    struct kmip_cryptographic_parameters parameters;
    struct kmip_encryption_key_information info;
    struct kmip_key_wrapping_specification specification;
    struct kmip_get_request get;
};

static const struct kmip_get_request *
wrapped_get(struct wrapping *w, const char *id, const char *kek, uint32_t mode, uint32_t encoding)
{
    *w = (struct wrapping){0};
    w->parameters.block_cipher_mode = mode;
    w->parameters.has_block_cipher_mode = true;
    w->info.unique_identifier = uid(kek);
    w->info.cryptographic_parameters = &w->parameters;
    w->specification.wrapping_method = KMIP_WRAPPING_METHOD_ENCRYPT;
    w->specification.encryption_key_information = &w->info;
    w->specification.encoding_option = encoding;
    w->specification.has_encoding_option = encoding != 0;
    w->get.unique_identifier = uid(id);
    w->get.key_wrapping_specification = &w->specification;
    return &w->get;
}

static void
a_wrapped_key_is_unwrapped_by_the_other_side(void **unused)
{
    (void)unused;
    static const uint8_t kek_bytes[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    static const uint8_t key[32] = {0xaa, 0xbb, 0xcc};
    struct talk t;
    struct wrapping w;
    talk_open(&t);
    const char *kek = register_key(&t, "kek", WRAP, KS_SPAN(kek_bytes, 32));
    const char *id = register_key(&t, "dek", MASK, KS_SPAN(key, 32));
    /* The wrapping key has to be Active. */
    talk_refused(&t, KMIP_OPERATION_GET, wrapped_get(&w, id, kek, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, 0),
                 KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    activate_key(&t, kek);

    const struct kmip_get_response *r =
        talk_do(&t, KMIP_OPERATION_GET, wrapped_get(&w, id, kek, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, 0));
    const struct kmip_key_block *block = r->object.symmetric_key->key_block;
    assert_int_equal(block->key_value->type, KMIP_TYPE_BYTE_STRING);
    KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(4096);
    assert_int_equal(ks_keyunwrap(KS_KEYWRAP_RFC3394, KS_SPAN(kek_bytes, 32), block->key_value->s, &ttlv, NULL), 0);
    struct kmip_item *value;
    assert_int_equal(kmip_item_from_ttlv(ks_buf_span(&ttlv), &kmip_limits_default, &t.arena, &value, NULL), 0);
    assert_int_equal(value->tag, KMIP_TAG_KEY_VALUE);
    assert_true(ks_span_equal(kmip_item_child(value, KMIP_TAG_KEY_MATERIAL)->s, KS_SPAN(key, 32)));
    assert_non_null(strstr(records(&t), "\"wrapped\""));

    r = talk_do(&t, KMIP_OPERATION_GET,
                wrapped_get(&w, id, kek, KMIP_BLOCK_CIPHER_MODE_AESKEYWRAPPADDING, KMIP_ENCODING_OPTION_NO_ENCODING));
    block = r->object.symmetric_key->key_block;
    KS_CLEANUP(ks_buf_done) struct ks_buf raw = KS_BUF(4096);
    assert_int_equal(block->key_value->type, KMIP_TYPE_BYTE_STRING);
    assert_int_equal(ks_keyunwrap(KS_KEYWRAP_RFC5649, KS_SPAN(kek_bytes, 32), block->key_value->s, &raw, NULL), 0);
    assert_true(ks_span_equal(ks_buf_span(&raw), KS_SPAN(key, 32)));
    assert_int_equal(block->key_wrapping_data->encoding_option, KMIP_ENCODING_OPTION_NO_ENCODING);
    talk_close(&t);
}

/* Attributes are named and no Encoding Option: 1.1 and 1.2 wrap the bare key (TC-142), others the Key Value with them.
 */
static void
an_absent_encoding_option_is_what_the_version_says(void **unused)
{
    (void)unused;
    static const uint8_t kek_bytes[16] = {1, 2, 3}, key[16] = {0xaa, 0xbb};
    struct kmip_attr_ref mask = {.tag = KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, .index = -1};
    struct talk t;
    struct wrapping w;
    talk_open(&t);
    const char *kek = register_key(&t, "kek", WRAP, KS_SPAN(kek_bytes, 16));
    const char *id = register_key(&t, "dek", MASK, KS_SPAN(key, 16));
    activate_key(&t, kek);
    for (enum kmip_version version = KMIP_V1_1; version <= KMIP_V2_1; version++) {
        t.version = version;
        (void)wrapped_get(&w, id, kek, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, 0);
        w.specification.attribute_refs = (struct kmip_attr_refs){.v = &mask, .n = 1};
        const struct kmip_get_response *r = talk_do(&t, KMIP_OPERATION_GET, &w.get);
        const struct kmip_key_block *block = r->object.symmetric_key->key_block;
        KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(4096);
        assert_int_equal(ks_keyunwrap(KS_KEYWRAP_RFC3394, KS_SPAN(kek_bytes, 16), block->key_value->s, &out, NULL), 0);
        assert_false(block->key_wrapping_data->has_encoding_option);
        if (version == KMIP_V1_1 || version == KMIP_V1_2) {
            assert_true(ks_span_equal(ks_buf_span(&out), KS_SPAN(key, 16)));
            continue;
        }
        struct kmip_item *value;
        assert_int_equal(kmip_item_from_ttlv(ks_buf_span(&out), &kmip_limits_default, &t.arena, &value, NULL), 0);
        assert_int_equal(value->tag, KMIP_TAG_KEY_VALUE);
        assert_non_null(value->first->next); /* the attribute behind the Key Material */
    }
    talk_close(&t);
}

static void
wrapping_keys_have_reasons_of_their_own(void **unused)
{
    (void)unused;
    struct talk t;
    struct wrapping w;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK), *kek = make_key(&t, NULL, WRAP), *wrong = make_key(&t, NULL, MASK);
    const uint32_t mode = KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP;
    activate_key(&t, wrong);
    talk_refused(&t, KMIP_OPERATION_GET, wrapped_get(&w, id, "none", mode, 0),
                 KMIP_RESULT_REASON_WRAPPING_OBJECT_NOT_FOUND);
    talk_refused(&t, KMIP_OPERATION_GET, wrapped_get(&w, id, wrong, mode, 0),
                 KMIP_RESULT_REASON_INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK);
    destroy_key(&t, kek);
    talk_refused(&t, KMIP_OPERATION_GET, wrapped_get(&w, id, kek, mode, 0),
                 KMIP_RESULT_REASON_WRAPPING_OBJECT_DESTROYED);
    t.who = &t.rig.admin;
    const char *theirs = make_key(&t, NULL, WRAP);
    activate_key(&t, theirs);
    t.who = &t.rig.client;
    talk_refused(&t, KMIP_OPERATION_GET, wrapped_get(&w, id, theirs, mode, 0),
                 KMIP_RESULT_REASON_WRAPPING_OBJECT_NOT_FOUND);
    talk_close(&t);
}

static void
a_sensitive_key_leaves_wrapped_alone(void **unused)
{
    (void)unused;
    struct talk t;
    struct wrapping w;
    talk_open(&t);
    const char *kek = make_key(&t, NULL, WRAP), *id = make_key(&t, NULL, MASK);
    activate_key(&t, kek);
    struct kmip_modify_attribute_request m = {.unique_identifier = uid(id)};
    put_number(&t, &m.new_attribute, KMIP_TAG_SENSITIVE, 1);
    talk_do(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &m);
    talk_do(&t, KMIP_OPERATION_GET, wrapped_get(&w, id, kek, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, 0));
    m.new_attribute = (struct kmip_attrs){0};
    put_number(&t, &m.new_attribute, KMIP_TAG_EXTRACTABLE, 0);
    talk_do(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &m);
    talk_refused(&t, KMIP_OPERATION_GET, wrapped_get(&w, id, kek, KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP, 0),
                 KMIP_RESULT_REASON_NOT_EXTRACTABLE);
    talk_close(&t);
}

/* Pairs */

static void
make_pair_as(struct talk *t, uint32_t algorithm, int64_t bits, uint32_t curve, uint32_t private_format,
             const char **ret_private, const char **ret_public)
{
    struct kmip_create_key_pair_request r = {0};
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, algorithm);
    if (bits != 0)
        put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, bits);
    if (curve != 0) {
        struct kmip_item *item;
        const struct kmip_cryptographic_domain_parameters p = {.recommended_curve = curve,
                                                               .has_recommended_curve = true};
        assert_int_equal(
            kmip_item_encode(&kmip_schema_cryptographic_domain_parameters, KMIP_V2_1, &p, &t->arena, &item), 0);
        kmip_attrs_add(&t->arena, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS, item);
    }
    if (private_format != 0)
        put_number(t, &r.private_attributes, KMIP_TAG_KEY_FORMAT_TYPE, private_format);
    put_number(t, &r.private_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
    put_number(t, &r.public_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
    const struct kmip_create_key_pair_response *made = talk_do(t, KMIP_OPERATION_CREATE_KEY_PAIR, &r);
    *ret_private = uid_string(t, &made->private_key_unique_identifier);
    *ret_public = uid_string(t, &made->public_key_unique_identifier);
}

static void
make_pair(struct talk *t, uint32_t algorithm, int64_t bits, uint32_t curve, const char **ret_private,
          const char **ret_public)
{
    make_pair_as(t, algorithm, bits, curve, 0, ret_private, ret_public);
}

static struct ks_pkey *
fetch(struct talk *t, const char *id, bool is_private, uint32_t format)
{
    const struct kmip_get_request r = {
        .unique_identifier = uid(id), .key_format_type = format, .has_key_format_type = true};
    const struct kmip_get_response *got = talk_do(t, KMIP_OPERATION_GET, &r);
    const struct kmip_key_block *block =
        is_private ? got->object.private_key->key_block : got->object.public_key->key_block;
    assert_int_equal(block->key_format_type, format);
    struct ks_pkey *key = NULL;
    assert_int_equal(ks_pkey_parse(format, is_private, 0, 0,
                                   kmip_item_child(block->key_value, KMIP_TAG_KEY_MATERIAL)->s, &key, NULL),
                     0);
    return key;
}

static void
pairs_belong_together_in_every_format(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t algorithm;
        int64_t bits;
        uint32_t curve;
    } kinds[] = {{KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, 2048, 0},
                 {KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 0, KMIP_RECOMMENDED_CURVE_P_256},
                 {KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 384, 0},
                 {KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519, 0, 0}};
    struct talk t;
    talk_open(&t);
    for (size_t i = 0; i < KS_ARRAY_LEN(kinds); i++) {
        const char *private_id, *public_id;
        make_pair(&t, kinds[i].algorithm, kinds[i].bits, kinds[i].curve, &private_id, &public_id);
        KS_PKEY *private = fetch(&t, private_id, true, KMIP_KEY_FORMAT_TYPE_PKCS_8);
        KS_PKEY *public = fetch(&t, public_id, false, KMIP_KEY_FORMAT_TYPE_X_509);
        assert_true(ks_pkey_same_public(private, public));
        const struct kmip_item *link = attribute(&t, private_id, KMIP_TAG_LINK);
        assert_true(ks_span_is(kmip_item_child(link, KMIP_TAG_LINKED_OBJECT_IDENTIFIER)->s, public_id));
        link = attribute(&t, public_id, KMIP_TAG_LINK);
        assert_true(ks_span_is(kmip_item_child(link, KMIP_TAG_LINKED_OBJECT_IDENTIFIER)->s, private_id));
    }
    talk_close(&t);
}

static uint32_t
format_of(struct talk *t, const char *id, bool is_private)
{
    const struct kmip_get_request r = {.unique_identifier = uid(id)};
    const struct kmip_get_response *got = talk_do(t, KMIP_OPERATION_GET, &r);
    return (is_private ? got->object.private_key->key_block : got->object.public_key->key_block)->key_format_type;
}

/* Formats of the Digests, a byte each in the order in which they are given. */
static uint32_t
digest_formats(struct talk *t, const char *id)
{
    struct kmip_attr_ref ref = {.tag = KMIP_TAG_DIGEST, .index = -1};
    const struct kmip_get_attributes_request r = {.unique_identifier = uid(id), .attribute_refs = {.n = 1, .v = &ref}};
    const struct kmip_get_attributes_response *got = talk_do(t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    uint32_t formats = 0;
    for (const struct kmip_attr *a = got->attributes.first; a != NULL; a = a->next)
        formats = formats << 8 | kmip_item_child(a->value, KMIP_TAG_KEY_FORMAT_TYPE)->u32;
    return formats;
}

/* 2.0 and 2.1, 4.26: the format of a pair for which none was asked; 1.x names none. */
static void
pairs_are_in_the_default_format(void **unused)
{
    (void)unused;
    enum {
        PKCS_1 = KMIP_KEY_FORMAT_TYPE_PKCS_1,
        PKCS_8 = KMIP_KEY_FORMAT_TYPE_PKCS_8,
        X_509 = KMIP_KEY_FORMAT_TYPE_X_509,
        EC_PRIVATE = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PRIVATE_KEY,
        EC_PUBLIC = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY,
    };
    static const struct {
        enum kmip_version version;
        uint32_t algorithm, bits, curve, asked; /* asked: of the private key */
        uint32_t private, public, digests;      /* digests: of the private key */
    } rows[] = {
        {KMIP_V1_4, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 256, 0, 0, PKCS_8, X_509, PKCS_8},
        {KMIP_V2_0, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 256, 0, 0, EC_PRIVATE, EC_PUBLIC, EC_PRIVATE},
        {KMIP_V2_1, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 0, KMIP_RECOMMENDED_CURVE_SECP256K1, 0, EC_PRIVATE, EC_PUBLIC,
         EC_PRIVATE},
        {KMIP_V2_1, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 0, KMIP_RECOMMENDED_CURVE_CURVE25519, 0, EC_PRIVATE, EC_PUBLIC,
         EC_PRIVATE},
        {KMIP_V3_0, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 384, 0, 0, EC_PRIVATE, EC_PUBLIC, EC_PRIVATE},
        {KMIP_V2_1, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 256, 0, PKCS_8, PKCS_8, EC_PUBLIC, PKCS_8 << 8 | EC_PRIVATE},
        {KMIP_V2_1, KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519, 0, 0, 0, PKCS_8, X_509, PKCS_8},
        {KMIP_V2_1, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, 2048, 0, 0, PKCS_1, PKCS_1, PKCS_1},
        {KMIP_V2_1, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, 2048, 0, PKCS_8, PKCS_8, PKCS_1, PKCS_8 << 8 | PKCS_1},
    };
    const struct engine_config config = {.kmip_3_0 = ENGINE_3_0_ON, .profile = PROFILE_COMPAT};
    struct talk t;
    talk_open_with(&t, &config);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const char *private_id, *public_id;
        t.version = rows[i].version;
        make_pair_as(&t, rows[i].algorithm, rows[i].bits, rows[i].curve, rows[i].asked, &private_id, &public_id);
        assert_int_equal(format_of(&t, private_id, true), rows[i].private);
        assert_int_equal(format_of(&t, public_id, false), rows[i].public);
        assert_int_equal(digest_formats(&t, private_id), rows[i].digests);
        KS_PKEY *private = fetch(&t, private_id, true, PKCS_8);
        KS_PKEY *public = fetch(&t, public_id, false, X_509);
        assert_true(ks_pkey_same_public(private, public));
    }
    talk_close(&t);
}

static void
a_transparent_key_comes_back_as_bytes(void **unused)
{
    (void)unused;
    struct talk t;
    const char *private_id, *public_id;
    talk_open(&t);
    make_pair(&t, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, 2048, 0, &private_id, &public_id);
    const struct kmip_get_request r = {.unique_identifier = uid(public_id),
                                       .key_format_type = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PUBLIC_KEY,
                                       .has_key_format_type = true};
    const struct kmip_get_response *got = talk_do(&t, KMIP_OPERATION_GET, &r);
    struct kmip_key_block block = *got->object.public_key->key_block;
    struct kmip_public_key key = {.key_block = &block};
    struct kmip_register_request again = {
        .object_type = KMIP_OBJECT_TYPE_PUBLIC_KEY, .attributes = {.present = true}, .object = {.public_key = &key}};
    put_number(&t, &again.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
    const struct kmip_register_response *made = talk_do(&t, KMIP_OPERATION_REGISTER, &again);
    KS_PKEY *a = fetch(&t, public_id, false, KMIP_KEY_FORMAT_TYPE_X_509);
    KS_PKEY *b = fetch(&t, uid_string(&t, &made->unique_identifier), false, KMIP_KEY_FORMAT_TYPE_X_509);
    assert_true(ks_pkey_same_public(a, b));
    const struct kmip_get_request bad = {.unique_identifier = uid(public_id),
                                         .key_format_type = KMIP_KEY_FORMAT_TYPE_PKCS_12,
                                         .has_key_format_type = true};
    talk_refused(&t, KMIP_OPERATION_GET, &bad, KMIP_RESULT_REASON_KEY_FORMAT_TYPE_NOT_SUPPORTED);
    talk_close(&t);
}

/* Encryption */

static void
what_is_encrypted_is_decrypted(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t mode, padding;
        bool aad;
    } modes[] = {{KMIP_BLOCK_CIPHER_MODE_GCM, 0, true},
                 {KMIP_BLOCK_CIPHER_MODE_CBC, KMIP_PADDING_METHOD_PKCS5, false},
                 {KMIP_BLOCK_CIPHER_MODE_CTR, 0, false},
                 {KMIP_BLOCK_CIPHER_MODE_ECB, KMIP_PADDING_METHOD_PKCS5, false},
                 {KMIP_BLOCK_CIPHER_MODE_AESKEYWRAPPADDING, 0, false}};
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK);
    activate_key(&t, id);
    for (size_t i = 0; i < KS_ARRAY_LEN(modes); i++) {
        struct kmip_cryptographic_parameters p = {.block_cipher_mode = modes[i].mode,
                                                  .has_block_cipher_mode = true,
                                                  .padding_method = modes[i].padding,
                                                  .has_padding_method = modes[i].padding != 0,
                                                  .random_iv = true,
                                                  .has_random_iv = true};
        const struct kmip_encrypt_request e = {.unique_identifier = uid(id),
                                               .cryptographic_parameters = &p,
                                               .data = KS_LIT("4111 1111 1111 1111"),
                                               .has_data = true,
                                               .authenticated_encryption_additional_data = KS_LIT("row 7"),
                                               .has_authenticated_encryption_additional_data = modes[i].aad};
        const struct kmip_encrypt_response *sealed = talk_do(&t, KMIP_OPERATION_ENCRYPT, &e);
        assert_false(ks_span_equal(sealed->data, e.data));
        struct kmip_decrypt_request d = {.unique_identifier = uid(id),
                                         .cryptographic_parameters = &p,
                                         .data = sealed->data,
                                         .has_data = true,
                                         .iv_counter_nonce = sealed->iv_counter_nonce,
                                         .has_iv_counter_nonce = sealed->has_iv_counter_nonce,
                                         .authenticated_encryption_additional_data = KS_LIT("row 7"),
                                         .has_authenticated_encryption_additional_data = modes[i].aad,
                                         .authenticated_encryption_tag = sealed->authenticated_encryption_tag,
                                         .has_authenticated_encryption_tag = sealed->has_authenticated_encryption_tag};
        const struct kmip_decrypt_response *open = talk_do(&t, KMIP_OPERATION_DECRYPT, &d);
        assert_true(ks_span_equal(open->data, e.data));
        if (modes[i].aad) {
            d.authenticated_encryption_additional_data = KS_LIT("row 8");
            talk_refused(&t, KMIP_OPERATION_DECRYPT, &d, KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE);
        }
    }
    talk_close(&t);
}

static void
the_keys_own_parameters_count(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK);
    activate_key(&t, id);
    const struct kmip_encrypt_request e = {.unique_identifier = uid(id), .data = KS_LIT("abc"), .has_data = true};
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &e, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    struct kmip_item *item;
    const struct kmip_cryptographic_parameters p = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM,
                                                    .has_block_cipher_mode = true};
    assert_int_equal(kmip_item_encode(&kmip_schema_cryptographic_parameters, KMIP_V2_1, &p, &t.arena, &item), 0);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id), .new_attribute = {.present = true}};
    kmip_attrs_add(&t.arena, &add.new_attribute, KMIP_TAG_CRYPTOGRAPHIC_PARAMETERS, item);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    const struct kmip_encrypt_response *r = talk_do(&t, KMIP_OPERATION_ENCRYPT, &e);
    assert_int_equal(r->authenticated_encryption_tag.len, 16);
    assert_int_equal(r->iv_counter_nonce.len, 12);
    talk_close(&t);
}

static void
a_key_is_replaced(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *old = make_key(&t, "tde", MASK);
    activate_key(&t, old);
    t.rig.now_us += 100000000;
    const struct kmip_re_key_request r = {.unique_identifier = uid(old)};
    const struct kmip_re_key_response *made = talk_do(&t, KMIP_OPERATION_RE_KEY, &r);
    const char *new = uid_string(&t, &made->unique_identifier);
    assert_string_not_equal(old, new);
    assert_int_equal(state_of(&t, old), KMIP_STATE_ACTIVE);
    assert_int_equal(state_of(&t, new), KMIP_STATE_ACTIVE);
    assert_null(attribute(&t, old, KMIP_TAG_NAME));
    assert_true(ks_span_is(kmip_item_child(attribute(&t, new, KMIP_TAG_NAME), KMIP_TAG_NAME_VALUE)->s, "tde"));
    assert_true(
        ks_span_is(kmip_item_child(attribute(&t, old, KMIP_TAG_LINK), KMIP_TAG_LINKED_OBJECT_IDENTIFIER)->s, new));
    assert_true(
        ks_span_is(kmip_item_child(attribute(&t, new, KMIP_TAG_LINK), KMIP_TAG_LINKED_OBJECT_IDENTIFIER)->s, old));
    assert_int_equal(kmip_item_child(attribute(&t, new, KMIP_TAG_LINK), KMIP_TAG_LINK_TYPE)->u32,
                     KMIP_LINK_TYPE_REPLACED_OBJECT_LINK);
    assert_int_equal(attribute(&t, new, KMIP_TAG_INITIAL_DATE)->i64, RIG_START_S + 100);
    assert_int_equal(attribute(&t, new, KMIP_TAG_ACTIVATION_DATE)->i64, RIG_START_S);
    assert_false(ks_span_equal(key_bytes(&t, old), key_bytes(&t, new)));
    /* With an Offset the dates move along. */
    const struct kmip_re_key_request later = {.unique_identifier = uid(new), .offset = 50, .has_offset = true};
    made = talk_do(&t, KMIP_OPERATION_RE_KEY, &later);
    const char *third = uid_string(&t, &made->unique_identifier);
    assert_int_equal(state_of(&t, third), KMIP_STATE_PRE_ACTIVE);
    assert_int_equal(attribute(&t, third, KMIP_TAG_ACTIVATION_DATE)->i64, RIG_START_S + 150);
    talk_close(&t);
}

/* What the net of threads does beside the engine: a key pair is made before the request is handled, and used once. */
static void
prepared_keys_are_used_once(void **unused)
{
    (void)unused;
    struct talk t;
    struct kmip_protocol_version version = {.protocol_version_major = 2, .protocol_version_minor = 1};
    struct kmip_request_header header = {.protocol_version = &version, .batch_count = 2};
    struct kmip_create_key_pair_request pair = {0};
    talk_open(&t);
    put_number(&t, &pair.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA);
    put_number(&t, &pair.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 2048);
    struct kmip_request_batch_item item = {.operation = KMIP_OPERATION_CREATE_KEY_PAIR, .payload = &pair};
    struct kmip_request_batch_item *items[] = {&item, &item};
    const struct kmip_request_message message = {.request_header = &header, .batch_item = items, .n_batch_item = 2};
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(65536);
    assert_int_equal(kmip_request_encode(&message, &request, NULL), 0);
    assert_true(engine_is_slow(ks_buf_span(&request)));
    struct engine_prepared *prepared = engine_prepare(ks_buf_span(&request));
    assert_non_null(prepared);
    assert_int_equal(prepared->n, 2);
    engine_handle_prepared(t.rig.engine, t.who, ks_buf_span(&request), prepared, &t.rig.reply);
    assert_true(prepared->v[0].taken);
    assert_true(prepared->v[1].taken);
    engine_prepared_free(prepared);
    struct kmip_response_message *r;
    assert_int_equal(kmip_response_decode(ks_buf_span(&t.rig.reply.response), &kmip_limits_default, &t.arena, &r, NULL),
                     0);
    assert_int_equal(r->n_batch_item, 2);
    assert_int_equal(r->batch_item[1]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    const struct kmip_create_key_pair_response *a = r->batch_item[0]->payload, *b = r->batch_item[1]->payload;
    const char *id_a = uid_string(&t, &a->public_key_unique_identifier);
    const char *id_b = uid_string(&t, &b->public_key_unique_identifier);
    KS_PKEY *first = fetch(&t, id_a, false, KMIP_KEY_FORMAT_TYPE_X_509);
    KS_PKEY *second = fetch(&t, id_b, false, KMIP_KEY_FORMAT_TYPE_X_509);
    assert_false(ks_pkey_same_public(first, second));
    static const uint8_t get[] = {0x42, 0, 0x5c, 5, 0, 0, 0, 4, 0, 0, 0, 0x0a, 0, 0, 0, 0};
    assert_false(engine_is_slow(KS_SPAN(get, sizeof(get))));
    assert_null(engine_prepare(KS_SPAN(get, sizeof(get))));
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrapped_key_is_unwrapped_by_the_other_side),
        cmocka_unit_test(an_absent_encoding_option_is_what_the_version_says),
        cmocka_unit_test(wrapping_keys_have_reasons_of_their_own),
        cmocka_unit_test(a_sensitive_key_leaves_wrapped_alone),
        cmocka_unit_test(pairs_belong_together_in_every_format),
        cmocka_unit_test(pairs_are_in_the_default_format),
        cmocka_unit_test(a_transparent_key_comes_back_as_bytes),
        cmocka_unit_test(what_is_encrypted_is_decrypted),
        cmocka_unit_test(the_keys_own_parameters_count),
        cmocka_unit_test(a_key_is_replaced),
        cmocka_unit_test(prepared_keys_are_used_once),
    };
    return cmocka_run_group_tests_name("engine: keys", tests, NULL, NULL);
}
