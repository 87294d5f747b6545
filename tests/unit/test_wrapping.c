/*
 * Every way of wrapping a key and back: what is wrapped by Get is unwrapped by Import to the same key with the
 * attributes that were wrapped with it; and what must not be wrapped, or unwrapped, is not.
 */
#include "engine_talk.h"

enum {
    KEK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY | KMIP_CRYPTOGRAPHIC_USAGE_MASK_UNWRAP_KEY,
    MAC = KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE | KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_VERIFY,
    BOTH = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT
};

static const char unused_uid[] = "00000000-0000-4000-8000-00000000000a";

struct keys {
    const char *aes, *mac, *cmac, *rsa_public, *rsa_private, *ec_private, *id;
};

static void
pair(struct talk *t, uint32_t algorithm, int64_t bits, uint32_t private_mask, uint32_t public_mask,
     const char **ret_private, const char **ret_public)
{
    struct kmip_create_key_pair_request r = {.common_attributes = {.present = true},
                                             .private_attributes = {.present = true},
                                             .public_attributes = {.present = true}};
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, algorithm);
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, bits);
    put_number(t, &r.common_attributes, KMIP_TAG_ACTIVATION_DATE, RIG_START_S);
    put_number(t, &r.private_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, private_mask);
    put_number(t, &r.public_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, public_mask);
    const struct kmip_create_key_pair_response *made = talk_do(t, KMIP_OPERATION_CREATE_KEY_PAIR, &r);
    *ret_private = uid_string(t, &made->private_key_unique_identifier);
    *ret_public = uid_string(t, &made->public_key_unique_identifier);
}

static const char *
key_of_length(struct talk *t, uint32_t algorithm, int64_t bits, uint32_t mask)
{
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, algorithm);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, bits);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, mask);
    put_number(t, &r.attributes, KMIP_TAG_ACTIVATION_DATE, RIG_START_S);
    const struct kmip_create_response *made = talk_do(t, KMIP_OPERATION_CREATE, &r);
    return uid_string(t, &made->unique_identifier);
}

static void
make_keys(struct talk *t, struct keys *k)
{
    const char *ec_public;
    k->aes = key_of_length(t, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 256, KEK);
    k->mac = key_of_length(t, KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, 256, MAC);
    k->cmac = key_of_length(t, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 256, MAC);
    pair(t, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, 3072, KMIP_CRYPTOGRAPHIC_USAGE_MASK_UNWRAP_KEY,
         KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY, &k->rsa_private, &k->rsa_public);
    pair(t, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, 256, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN,
         KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY, &k->ec_private, &ec_public);
    k->id = key_of_length(t, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 128, BOTH);
}

struct way {
    uint32_t method, mode, padding, encoding;
    bool rsa, sign, cmac; /* the keys: RSA in place of AES, EC or AES in place of HMAC */
};

struct specification {
    struct kmip_cryptographic_parameters parameters, mac_parameters;
    struct kmip_encryption_key_information encrypt;
    struct kmip_mac_signature_key_information mac;
    struct kmip_key_wrapping_specification how;
    struct kmip_attr_ref refs[1];
};

static void
specify(struct specification *s, const struct way *w, const struct keys *k)
{
    *s = (struct specification){0};
    s->parameters.block_cipher_mode = w->mode;
    s->parameters.has_block_cipher_mode = w->mode != 0;
    s->parameters.padding_method = w->padding;
    s->parameters.has_padding_method = w->padding != 0;
    s->encrypt.unique_identifier = uid(w->rsa ? k->rsa_public : k->aes);
    s->encrypt.cryptographic_parameters = &s->parameters;
    s->mac.unique_identifier = uid(w->sign ? k->ec_private : w->cmac ? k->cmac : k->mac);
    s->mac_parameters.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CMAC;
    s->mac_parameters.has_block_cipher_mode = true;
    if (w->cmac)
        s->mac.cryptographic_parameters = &s->mac_parameters;
    s->how.wrapping_method = w->method;
    if (w->method != KMIP_WRAPPING_METHOD_MAC_SIGN)
        s->how.encryption_key_information = &s->encrypt;
    if (w->method != KMIP_WRAPPING_METHOD_ENCRYPT)
        s->how.mac_signature_key_information = &s->mac;
    s->how.encoding_option = w->encoding;
    s->how.has_encoding_option = true;
    if (w->encoding == KMIP_ENCODING_OPTION_TTLV_ENCODING) {
        s->refs[0] = (struct kmip_attr_ref){.tag = KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, .index = -1};
        s->how.attribute_refs = (struct kmip_attr_refs){.v = s->refs, .n = 1};
    }
}

static struct kmip_key_block *
wrapped(struct talk *t, const char *id, struct specification *s)
{
    const struct kmip_get_request r = {.unique_identifier = uid(id), .key_wrapping_specification = &s->how};
    const struct kmip_get_response *got = talk_do(t, KMIP_OPERATION_GET, &r);
    return got->object.symmetric_key->key_block;
}

static struct kmip_import_request
import_of(struct talk *t, struct kmip_symmetric_key *key, struct kmip_key_block *block, bool unwrap)
{
    key->key_block = block;
    struct kmip_import_request r = {.unique_identifier = uid(unused_uid),
                                    .object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                    .replace_existing = true,
                                    .has_replace_existing = true,
                                    .key_wrap_type =
                                        unwrap ? KMIP_KEY_WRAP_TYPE_NOT_WRAPPED : KMIP_KEY_WRAP_TYPE_AS_REGISTERED,
                                    .has_key_wrap_type = true,
                                    .attributes = {.present = true},
                                    .object = {.symmetric_key = key}};
    put_text(t, &r.attributes, KMIP_TAG_CONTACT_INFORMATION, "somebody");
    return r;
}

static void
every_way_and_back(void **unused)
{
    (void)unused;
    static const uint32_t methods[] = {KMIP_WRAPPING_METHOD_ENCRYPT, KMIP_WRAPPING_METHOD_MAC_SIGN,
                                       KMIP_WRAPPING_METHOD_ENCRYPT_THEN_MAC_SIGN,
                                       KMIP_WRAPPING_METHOD_MAC_SIGN_THEN_ENCRYPT};
    static const uint32_t encodings[] = {KMIP_ENCODING_OPTION_NO_ENCODING, KMIP_ENCODING_OPTION_TTLV_ENCODING};
    static const struct way ciphers[] = {
        {.mode = 0},
        {.mode = KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP},
        {.mode = KMIP_BLOCK_CIPHER_MODE_AESKEYWRAPPADDING},
        {.mode = KMIP_BLOCK_CIPHER_MODE_GCM},
        {.mode = KMIP_BLOCK_CIPHER_MODE_CCM},
        {.mode = KMIP_BLOCK_CIPHER_MODE_CTR},
        {.mode = KMIP_BLOCK_CIPHER_MODE_CBC, .padding = KMIP_PADDING_METHOD_PKCS5},
        {.padding = KMIP_PADDING_METHOD_OAEP, .rsa = true},
    };
    struct talk t;
    struct keys k;
    talk_open(&t);
    make_keys(&t, &k);
    const struct ks_span plain = key_bytes(&t, k.id);
    for (size_t m = 0; m < KS_ARRAY_LEN(methods); m++)
        for (size_t e = 0; e < KS_ARRAY_LEN(encodings); e++)
            for (size_t c = 0; c < KS_ARRAY_LEN(ciphers); c++)
                for (int sign = 0; sign < (c == 1 ? 3 : 2); sign++) {
                    struct way w = ciphers[c];
                    struct specification s;
                    struct kmip_symmetric_key key;
                    w.method = methods[m];
                    w.encoding = encodings[e];
                    w.sign = sign == 1;
                    w.cmac = sign == 2;
                    specify(&s, &w, &k);
                    struct kmip_key_block *block = wrapped(&t, k.id, &s);
                    assert_int_equal(block->key_value->type, KMIP_TYPE_BYTE_STRING);
                    const bool readable = w.method == KMIP_WRAPPING_METHOD_MAC_SIGN;
                    const bool there = memmem(block->key_value->s.data, block->key_value->s.len, plain.data, plain.len);
                    assert_int_equal(there, readable);
                    struct kmip_import_request r = import_of(&t, &key, block, true);
                    const struct kmip_import_response *made = talk_do(&t, KMIP_OPERATION_IMPORT, &r);
                    const char *id = uid_string(&t, &made->unique_identifier);
                    assert_string_equal(id, unused_uid);
                    assert_true(ks_span_equal(key_bytes(&t, id), plain));
                    const struct kmip_item *mask = attribute(&t, id, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK);
                    if (w.encoding == KMIP_ENCODING_OPTION_TTLV_ENCODING)
                        assert_int_equal(mask->i32, BOTH);
                    else
                        assert_null(mask);
                    /* Changed bytes are found out, by whatever checks them. */
                    if (w.method == KMIP_WRAPPING_METHOD_ENCRYPT && w.mode != 0 &&
                        w.mode != KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP && w.mode != KMIP_BLOCK_CIPHER_MODE_GCM)
                        continue;
                    uint8_t *changed = ks_arena_dup(&t.arena, block->key_value->s.data, block->key_value->s.len);
                    changed[block->key_value->s.len / 2] ^= 1;
                    block->key_value->s = KS_SPAN(changed, block->key_value->s.len);
                    talk_refused(&t, KMIP_OPERATION_IMPORT, &r, KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE);
                }
    talk_close(&t);
}

static void
what_is_kept_wrapped_can_be_unwrapped(void **unused)
{
    (void)unused;
    struct talk t;
    struct keys k;
    struct specification s;
    struct kmip_symmetric_key key;
    talk_open(&t);
    make_keys(&t, &k);
    const struct ks_span plain = key_bytes(&t, k.id);
    const struct way w = {.method = KMIP_WRAPPING_METHOD_ENCRYPT, .encoding = KMIP_ENCODING_OPTION_NO_ENCODING};
    specify(&s, &w, &k);
    struct kmip_key_block *block = wrapped(&t, k.id, &s);
    struct kmip_import_request r = import_of(&t, &key, block, false);
    talk_do(&t, KMIP_OPERATION_IMPORT, &r);
    struct kmip_get_request get = {.unique_identifier = uid(unused_uid)};
    const struct kmip_get_response *got = talk_do(&t, KMIP_OPERATION_GET, &get);
    assert_true(ks_span_equal(got->object.symmetric_key->key_block->key_value->s, block->key_value->s));
    assert_non_null(got->object.symmetric_key->key_block->key_wrapping_data);
    get.key_wrap_type = KMIP_KEY_WRAP_TYPE_NOT_WRAPPED;
    get.has_key_wrap_type = true;
    got = talk_do(&t, KMIP_OPERATION_GET, &get);
    assert_null(got->object.symmetric_key->key_block->key_wrapping_data);
    assert_true(ks_span_equal(
        kmip_item_child(got->object.symmetric_key->key_block->key_value, KMIP_TAG_KEY_MATERIAL)->s, plain));
    /* Wrapped anew, with another key. */
    const struct way other = {.method = KMIP_WRAPPING_METHOD_ENCRYPT,
                              .encoding = KMIP_ENCODING_OPTION_NO_ENCODING,
                              .rsa = true,
                              .padding = KMIP_PADDING_METHOD_OAEP};
    specify(&s, &other, &k);
    get.key_wrapping_specification = &s.how;
    got = talk_do(&t, KMIP_OPERATION_GET, &get);
    assert_non_null(got->object.symmetric_key->key_block->key_wrapping_data);
    get.has_key_wrap_type = false;
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_INVALID_FIELD);
    /* Another client may not unwrap with a key that is not its own. */
    t.who = &t.rig.admin;
    struct kmip_import_request theirs = import_of(&t, &key, block, true);
    theirs.unique_identifier = uid("00000000-0000-4000-8000-00000000000b");
    talk_refused(&t, KMIP_OPERATION_IMPORT, &theirs, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

static void
secrets_do_not_leave_by_a_mac(void **unused)
{
    (void)unused;
    struct talk t;
    struct keys k;
    struct specification s;
    talk_open(&t);
    make_keys(&t, &k);
    struct kmip_set_attribute_request set = {.unique_identifier = uid(k.id), .new_attribute = {.present = true}};
    put_number(&t, &set.new_attribute, KMIP_TAG_SENSITIVE, true);
    talk_do(&t, KMIP_OPERATION_SET_ATTRIBUTE, &set);
    struct way w = {.method = KMIP_WRAPPING_METHOD_MAC_SIGN, .encoding = KMIP_ENCODING_OPTION_NO_ENCODING};
    specify(&s, &w, &k);
    const struct kmip_get_request r = {.unique_identifier = uid(k.id), .key_wrapping_specification = &s.how};
    talk_refused(&t, KMIP_OPERATION_GET, &r, KMIP_RESULT_REASON_SENSITIVE);
    w.method = KMIP_WRAPPING_METHOD_MAC_SIGN_THEN_ENCRYPT;
    specify(&s, &w, &k);
    talk_do(&t, KMIP_OPERATION_GET, &r);
    /* Registered under a MAC alone it can be read as well. */
    const char *open = key_of_length(&t, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 128, BOTH);
    w.method = KMIP_WRAPPING_METHOD_MAC_SIGN;
    w.encoding = KMIP_ENCODING_OPTION_TTLV_ENCODING;
    specify(&s, &w, &k);
    struct kmip_symmetric_key key;
    struct kmip_import_request import = import_of(&t, &key, wrapped(&t, open, &s), false);
    put_number(&t, &import.attributes, KMIP_TAG_SENSITIVE, true);
    talk_do(&t, KMIP_OPERATION_IMPORT, &import);
    const struct kmip_get_request get = {.unique_identifier = uid(unused_uid)};
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_SENSITIVE);
    talk_close(&t);
}

static void
a_weaker_key_does_not_wrap_a_stronger(void **unused)
{
    (void)unused;
    struct talk t;
    struct keys k;
    struct specification s;
    talk_open(&t);
    make_keys(&t, &k);
    const char *strong = key_of_length(&t, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 256, BOTH);
    struct way w = {.method = KMIP_WRAPPING_METHOD_ENCRYPT, .encoding = KMIP_ENCODING_OPTION_NO_ENCODING};
    specify(&s, &w, &k);
    const struct kmip_get_request r = {.unique_identifier = uid(strong), .key_wrapping_specification = &s.how};
    talk_do(&t, KMIP_OPERATION_GET, &r); /* 256 by 256 */
    w.rsa = true;
    w.padding = KMIP_PADDING_METHOD_OAEP;
    specify(&s, &w, &k);
    talk_refused(&t, KMIP_OPERATION_GET, &r, KMIP_RESULT_REASON_PERMISSION_DENIED); /* RSA of 3072 bits: 128 */
    k.aes = key_of_length(&t, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 128, KEK);
    w.rsa = false;
    w.padding = 0;
    specify(&s, &w, &k);
    talk_refused(&t, KMIP_OPERATION_GET, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

/* What a wrapping has as its MAC is what the operation MAC makes, and Register and Export take part. */
static void
a_cmac_is_a_cmac(void **unused)
{
    (void)unused;
    struct talk t;
    struct keys k;
    struct specification s;
    struct kmip_symmetric_key key;
    talk_open(&t);
    make_keys(&t, &k);
    const struct way w = {
        .method = KMIP_WRAPPING_METHOD_MAC_SIGN, .encoding = KMIP_ENCODING_OPTION_NO_ENCODING, .cmac = true};
    specify(&s, &w, &k);
    const struct kmip_mac_request asked = {.unique_identifier = uid(k.cmac),
                                           .cryptographic_parameters = &s.mac_parameters,
                                           .data = key_bytes(&t, k.id),
                                           .has_data = true};
    const struct kmip_mac_response *mac = talk_do(&t, KMIP_OPERATION_MAC, &asked);
    struct kmip_key_block *block = wrapped(&t, k.id, &s);
    assert_int_equal(mac->mac_data.len, 16);
    assert_true(ks_span_equal(block->key_wrapping_data->mac_signature, mac->mac_data));
    const struct kmip_export_request out = {.unique_identifier = uid(k.id), .key_wrapping_specification = &s.how};
    const struct kmip_export_response *exported = talk_do(&t, KMIP_OPERATION_EXPORT, &out);
    block = exported->object.symmetric_key->key_block;
    assert_true(ks_span_equal(block->key_wrapping_data->mac_signature, mac->mac_data));
    /* By name of the algorithm as well. */
    s.mac_parameters = (struct kmip_cryptographic_parameters){
        .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, .has_cryptographic_algorithm = true};
    block = wrapped(&t, k.id, &s);
    assert_true(ks_span_equal(block->key_wrapping_data->mac_signature, mac->mac_data));
    /* Registered as it is, and unwrapped by Get. */
    key.key_block = block;
    block->cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES;
    block->has_cryptographic_algorithm = true;
    block->cryptographic_length = 128;
    block->has_cryptographic_length = true;
    struct kmip_register_request in = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                       .attributes = {.present = true},
                                       .object = {.symmetric_key = &key}};
    put_number(&t, &in.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, BOTH);
    const struct kmip_register_response *made = talk_do(&t, KMIP_OPERATION_REGISTER, &in);
    const struct kmip_get_request plain = {.unique_identifier = made->unique_identifier,
                                           .key_wrap_type = KMIP_KEY_WRAP_TYPE_NOT_WRAPPED,
                                           .has_key_wrap_type = true};
    const struct kmip_get_response *got = talk_do(&t, KMIP_OPERATION_GET, &plain);
    assert_null(got->object.symmetric_key->key_block->key_wrapping_data);
    /* A key that is an HMAC's makes no CMAC, and no algorithm but the key's own. */
    const struct kmip_get_request r = {.unique_identifier = uid(k.id), .key_wrapping_specification = &s.how};
    specify(&s, &w, &k);
    s.mac.unique_identifier = uid(k.mac);
    talk_refused(&t, KMIP_OPERATION_GET, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    specify(&s, &w, &k);
    s.mac_parameters.cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES;
    s.mac_parameters.has_cryptographic_algorithm = true;
    talk_refused(&t, KMIP_OPERATION_GET, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    talk_close(&t);
}

static void
methods_take_their_keys(void **unused)
{
    (void)unused;
    struct talk t;
    struct keys k;
    struct specification s;
    talk_open(&t);
    make_keys(&t, &k);
    struct way w = {.method = KMIP_WRAPPING_METHOD_ENCRYPT_THEN_MAC_SIGN, .encoding = KMIP_ENCODING_OPTION_NO_ENCODING};
    const struct kmip_get_request r = {.unique_identifier = uid(k.id), .key_wrapping_specification = &s.how};
    specify(&s, &w, &k);
    s.how.mac_signature_key_information = NULL;
    talk_refused(&t, KMIP_OPERATION_GET, &r, KMIP_RESULT_REASON_MISSING_DATA);
    specify(&s, &w, &k);
    s.how.encryption_key_information = NULL;
    talk_refused(&t, KMIP_OPERATION_GET, &r, KMIP_RESULT_REASON_MISSING_DATA);
    specify(&s, &w, &k);
    s.how.wrapping_method = KMIP_WRAPPING_METHOD_ENCRYPT;
    talk_refused(&t, KMIP_OPERATION_GET, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    s.how.wrapping_method = KMIP_WRAPPING_METHOD_TR_31;
    talk_refused(&t, KMIP_OPERATION_GET, &r, KMIP_RESULT_REASON_FEATURE_NOT_SUPPORTED);
    /* Attributes go with TTLV Encoding alone; a key for wrapping is no key for MACs. */
    w.method = KMIP_WRAPPING_METHOD_ENCRYPT;
    w.encoding = KMIP_ENCODING_OPTION_TTLV_ENCODING;
    specify(&s, &w, &k);
    s.how.encoding_option = KMIP_ENCODING_OPTION_NO_ENCODING;
    talk_refused(&t, KMIP_OPERATION_GET, &r, KMIP_RESULT_REASON_ENCODING_OPTION_ERROR);
    w.method = KMIP_WRAPPING_METHOD_MAC_SIGN;
    k.mac = k.aes;
    specify(&s, &w, &k);
    talk_refused(&t, KMIP_OPERATION_GET, &r, KMIP_RESULT_REASON_INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_and_back),
        cmocka_unit_test(what_is_kept_wrapped_can_be_unwrapped),
        cmocka_unit_test(secrets_do_not_leave_by_a_mac),
        cmocka_unit_test(a_weaker_key_does_not_wrap_a_stronger),
        cmocka_unit_test(a_cmac_is_a_cmac),
        cmocka_unit_test(methods_take_their_keys),
    };
    return cmocka_run_group_tests_name("engine: wrapping", tests, NULL, NULL);
}
