/* Derive Key: every method against figures that others published, links, limits and refusals. */
#include "base/text.h"
#include "engine_talk.h"

enum {
    DERIVE = KMIP_CRYPTOGRAPHIC_USAGE_MASK_DERIVE_KEY,
    AES = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
    SYMMETRIC = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
    SECRET = KMIP_OBJECT_TYPE_SECRET_DATA
};

static struct ks_span
hex(struct talk *t, const char *text)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(4096);
    struct ks_span span;
    assert_int_equal(ks_hex_decode(ks_span_str(text), &buf), 0);
    assert_int_equal(ks_arena_span(&t->arena, ks_buf_span(&buf), &span), 0);
    return span;
}

/* An active object of a type (symmetric key or secret data) with those bytes. */
static const char *
base_object(struct talk *t, uint32_t type, uint32_t algorithm, uint32_t mask, struct ks_span bytes)
{
    struct kmip_item value = {.tag = KMIP_TAG_KEY_VALUE, .type = KMIP_TYPE_STRUCTURE},
                     material = {.tag = KMIP_TAG_KEY_MATERIAL, .type = KMIP_TYPE_BYTE_STRING, .s = bytes};
    value.first = &material;
    struct kmip_key_block block = {.key_format_type =
                                       type == SECRET ? KMIP_KEY_FORMAT_TYPE_OPAQUE : KMIP_KEY_FORMAT_TYPE_RAW,
                                   .key_value = &value,
                                   .cryptographic_algorithm = algorithm,
                                   .has_cryptographic_algorithm = algorithm != 0,
                                   .cryptographic_length = (int32_t)bytes.len * 8,
                                   .has_cryptographic_length = algorithm != 0};
    struct kmip_symmetric_key key = {.key_block = &block};
    struct kmip_secret_data secret = {.key_block = &block, .secret_data_type = KMIP_SECRET_DATA_TYPE_SEED};
    struct kmip_register_request r = {.object_type = type, .attributes = {.present = true}};
    if (type == SECRET)
        r.object.secret_data = &secret;
    else
        r.object.symmetric_key = &key;
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, mask);
    put_number(t, &r.attributes, KMIP_TAG_ACTIVATION_DATE, 1);
    const struct kmip_register_response *made = talk_do(t, KMIP_OPERATION_REGISTER, &r);
    return uid_string(t, &made->unique_identifier);
}

struct wanted {
    struct kmip_derive_key_request request;
    struct kmip_derivation_parameters parameters;
    struct kmip_cryptographic_parameters p;
    struct kmip_uid bases[3];
    struct ks_span data[3];
};

static void
want(struct talk *t, struct wanted *w, uint32_t method, const char *base, const char *second, uint32_t type, int bits)
{
    memset(w, 0, sizeof(*w));
    w->bases[0] = uid(base);
    if (second != NULL)
        w->bases[1] = uid(second);
    w->request = (struct kmip_derive_key_request){.object_type = type,
                                                  .unique_identifier = w->bases,
                                                  .n_unique_identifier = second != NULL ? 2 : 1,
                                                  .derivation_method = method,
                                                  .derivation_parameters = &w->parameters,
                                                  .attributes = {.present = true}};
    w->parameters.derivation_data = w->data;
    if (type == SYMMETRIC)
        put_number(t, &w->request.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, AES);
    put_number(t, &w->request.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, bits);
    put_number(t, &w->request.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
}

static void
with_data(struct wanted *w, struct ks_span data)
{
    w->data[w->parameters.n_derivation_data++] = data;
}

static void
with_hash(struct wanted *w, uint32_t hash)
{
    w->p.hashing_algorithm = hash;
    w->p.has_hashing_algorithm = true;
    w->parameters.cryptographic_parameters = &w->p;
}

static const char *
derive(struct talk *t, struct wanted *w)
{
    const struct kmip_derive_key_response *made = talk_do(t, KMIP_OPERATION_DERIVE_KEY, &w->request);
    return uid_string(t, &made->unique_identifier);
}

static void
expect(struct talk *t, const char *id, const char *expected)
{
    struct ks_span bytes;
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    const struct kmip_get_response *got = talk_do(t, KMIP_OPERATION_GET, &get);
    const struct kmip_key_block *block =
        got->object_type == SECRET ? got->object.secret_data->key_block : got->object.symmetric_key->key_block;
    bytes = kmip_item_child(block->key_value, KMIP_TAG_KEY_MATERIAL)->s;
    assert_true(ks_span_equal(bytes, hex(t, expected)));
}

static void
passwords(void **unused)
{
    (void)unused;
    struct talk t;
    struct wanted w;
    talk_open(&t);
    const char *base = base_object(&t, SECRET, 0, DERIVE, KS_LIT("passwd"));
    want(&t, &w, KMIP_DERIVATION_METHOD_PBKDF2, base, NULL, SECRET, 512);
    w.parameters.salt = KS_LIT("salt");
    w.parameters.has_salt = true;
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_MISSING_DATA);
    w.parameters.iteration_count = 1;
    w.parameters.has_iteration_count = true;
    with_hash(&w, KMIP_HASHING_ALGORITHM_SHA_256);
    expect(
        &t, derive(&t, &w), /* RFC 7914, section 11 */
        "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e3"
        "0bd509112041d3a19783");
    w.parameters.iteration_count = 0;
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_INVALID_FIELD);
    /* So many that others would wait; the two blocks count both. */
    w.parameters.iteration_count = 500001;
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    w.parameters.iteration_count = INT32_MAX;
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    w.parameters.iteration_count = 1;
    with_data(&w, KS_LIT("more"));
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_INVALID_MESSAGE);
    talk_close(&t);
}

static void
hashes_and_macs(void **unused)
{
    (void)unused;
    struct talk t;
    struct wanted w;
    talk_open(&t);
    /* SHA-256 of "abc" (FIPS 180-4), all of it and the beginning. */
    const char *abc = base_object(&t, SECRET, 0, DERIVE, KS_LIT("abc"));
    want(&t, &w, KMIP_DERIVATION_METHOD_HASH, abc, NULL, SYMMETRIC, 256);
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    with_hash(&w, KMIP_HASHING_ALGORITHM_SHA_256);
    expect(&t, derive(&t, &w), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    want(&t, &w, KMIP_DERIVATION_METHOD_HASH, abc, NULL, SYMMETRIC, 128);
    with_hash(&w, KMIP_HASHING_ALGORITHM_SHA_256);
    expect(&t, derive(&t, &w), "ba7816bf8f01cfea414140de5dae2223");
    /* More than the hash gives. */
    want(&t, &w, KMIP_DERIVATION_METHOD_HASH, abc, NULL, SECRET, 264);
    with_hash(&w, KMIP_HASHING_ALGORITHM_SHA_256);
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE);
    /* A hash that the profile (fips) does not have. */
    with_hash(&w, KMIP_HASHING_ALGORITHM_MD5);
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS);

    /* RFC 4231, test case 1: what the key says counts, not the parameters. */
    const char *key = base_object(&t, SYMMETRIC, KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, DERIVE,
                                  hex(&t, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"));
    const char *expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
    want(&t, &w, KMIP_DERIVATION_METHOD_HMAC, key, NULL, SYMMETRIC, 256);
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_MISSING_DATA);
    with_data(&w, KS_LIT("Hi "));
    with_data(&w, KS_LIT("There"));
    with_hash(&w, KMIP_HASHING_ALGORITHM_SHA_384);
    expect(&t, derive(&t, &w), expected);
    /* The data from Secret Data, in any order; not from both. */
    const char *data = base_object(&t, SECRET, 0, DERIVE, KS_LIT("Hi There"));
    want(&t, &w, KMIP_DERIVATION_METHOD_HMAC, data, key, SYMMETRIC, 256);
    const char *id = derive(&t, &w);
    expect(&t, id, expected);
    with_data(&w, KS_LIT("Hi There"));
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_INVALID_MESSAGE);
    talk_close(&t);
}

static void
ciphers(void **unused)
{
    (void)unused;
    struct talk t;
    struct wanted w;
    talk_open(&t);
    /* SP 800-38A, F.2.1: AES-128 in CBC mode, the first block. */
    const char *key = base_object(&t, SYMMETRIC, AES, DERIVE, hex(&t, "2b7e151628aed2a6abf7158809cf4f3c"));
    want(&t, &w, KMIP_DERIVATION_METHOD_ENCRYPT, key, NULL, SYMMETRIC, 128);
    with_data(&w, hex(&t, "6bc1bee22e409f96e93d7e117393172a"));
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    w.p.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CBC;
    w.p.has_block_cipher_mode = true;
    w.parameters.cryptographic_parameters = &w.p;
    w.parameters.initialization_vector = hex(&t, "000102030405060708090a0b0c0d0e0f");
    w.parameters.has_initialization_vector = true;
    expect(&t, derive(&t, &w), "7649abac8119b246cee98e9b12e9197d");
    want(&t, &w, KMIP_DERIVATION_METHOD_ENCRYPT, key, NULL, SYMMETRIC, 256);
    with_data(&w, hex(&t, "6bc1bee22e409f96e93d7e117393172a"));
    w.p.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_ECB;
    w.p.has_block_cipher_mode = true;
    w.parameters.cryptographic_parameters = &w.p;
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE);
    talk_close(&t);
}

/* SP 800-108: the vectors of tests/vectors/kdf.def that are of 128 bits and more, by way of the engine. */
static void
counters_and_feedback(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t method;
        bool cmac;
        const char *iv, *expected;
    } rows[] = {
        {KMIP_DERIVATION_METHOD_NIST800_108_C, true, NULL,
         "042226feaeda38b74d524e5778eac4bf3532e39ce7c2552c025c69c9d0b56d7b"},
        {KMIP_DERIVATION_METHOD_NIST800_108_F, true, NULL,
         "042226feaeda38b74d524e5778eac4bf89ee3b8765f2d9926fe5df254c41c851"},
        {KMIP_DERIVATION_METHOD_NIST800_108_DPI, true, NULL,
         "da13eaef8ba48121a95544c904d912813b343ebbcb0b4cfb80c820b29f96b271"},
        {KMIP_DERIVATION_METHOD_NIST800_108_DPI, false, NULL,
         "89ff340db85a56477c9a02c872859441084653ad437cdf71684b7e79dc6424dd"},
        {KMIP_DERIVATION_METHOD_NIST800_108_F, false,
         "0000000000000000000000000000000000000000000000000000000000000007",
         "2aa0a589bb2fb9d2e63c2d7e8785bbe5752ecf41d8ef0e6e12695fa90de9daa3"},
    };
    struct talk t;
    talk_open(&t);
    const char *key = base_object(&t, SYMMETRIC, AES, DERIVE, hex(&t, "000102030405060708090a0b0c0d0e0f"));
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        struct wanted w;
        want(&t, &w, rows[i].method, key, NULL, SYMMETRIC, 256);
        with_data(&w, hex(&t, "6c6162656c00636f6e74657874"));
        if (rows[i].cmac) {
            w.p.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CMAC;
            w.p.has_block_cipher_mode = true;
            w.parameters.cryptographic_parameters = &w.p;
        } else {
            with_hash(&w, KMIP_HASHING_ALGORITHM_SHA_256);
        }
        if (rows[i].iv != NULL) {
            w.parameters.initialization_vector = hex(&t, rows[i].iv);
            w.parameters.has_initialization_vector = true;
        }
        expect(&t, derive(&t, &w), rows[i].expected);
    }
    talk_close(&t);
}

static void
hkdf_and_aws(void **unused)
{
    (void)unused;
    struct talk t;
    struct wanted w;
    talk_open(&t);
    /* RFC 5869, A.1. */
    const char *ikm = base_object(&t, SECRET, 0, DERIVE, hex(&t, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"));
    want(&t, &w, KMIP_DERIVATION_METHOD_HKDF, ikm, NULL, SECRET, 336);
    w.parameters.salt = hex(&t, "000102030405060708090a0b0c");
    w.parameters.has_salt = true;
    with_data(&w, hex(&t, "f0f1f2f3f4f5f6f7f8f9"));
    expect(&t, derive(&t, &w), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    want(&t, &w, KMIP_DERIVATION_METHOD_HKDF, ikm, NULL, SECRET, 65280 + 8);
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE);
    const char *secret = base_object(&t, SECRET, 0, DERIVE, KS_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
    want(&t, &w, KMIP_DERIVATION_METHOD_AWS_SIGNATURE_VERSION_4, secret, NULL, SECRET, 256);
    with_data(&w, KS_LIT("20150830"));
    with_data(&w, KS_LIT("us-east-1"));
    talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_INVALID_FIELD);
    with_data(&w, KS_LIT("iam"));
    expect(&t, derive(&t, &w), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    talk_close(&t);
}

static void
key_pair(struct talk *t, uint32_t curve, const char **ret_private, const char **ret_public)
{
    struct kmip_create_key_pair_request r = {0};
    struct kmip_item *domain = kmip_item_new(&t->arena, KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS, KMIP_TYPE_STRUCTURE);
    struct kmip_item *item = kmip_item_new(&t->arena, KMIP_TAG_RECOMMENDED_CURVE, KMIP_TYPE_ENUMERATION);
    assert_true(domain != NULL && item != NULL);
    item->u32 = curve;
    kmip_item_append(domain, item);
    assert_non_null(kmip_attrs_add(&t->arena, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS, domain));
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH);
    put_number(t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, DERIVE);
    put_number(t, &r.common_attributes, KMIP_TAG_ACTIVATION_DATE, 1);
    const struct kmip_create_key_pair_response *made = talk_do(t, KMIP_OPERATION_CREATE_KEY_PAIR, &r);
    *ret_private = uid_string(t, &made->private_key_unique_identifier);
    *ret_public = uid_string(t, &made->public_key_unique_identifier);
}

static struct ks_span
bytes_of(struct talk *t, const char *id)
{
    struct ks_span copy;
    assert_int_equal(ks_arena_span(&t->arena, key_bytes(t, id), &copy), 0);
    return copy;
}

static void
both_sides_agree(void **unused)
{
    (void)unused;
    static const struct engine_config compat = {.node = {(const uint8_t *)"n", 1}, .profile = PROFILE_COMPAT};
    static const uint32_t curves[] = {KMIP_RECOMMENDED_CURVE_P_256,      KMIP_RECOMMENDED_CURVE_P_384,
                                      KMIP_RECOMMENDED_CURVE_P_521,      KMIP_RECOMMENDED_CURVE_SECP256K1,
                                      KMIP_RECOMMENDED_CURVE_CURVE25519, KMIP_RECOMMENDED_CURVE_CURVE448};
    struct talk t;
    talk_open_with(&t, &compat);
    const char *private[2][KS_ARRAY_LEN(curves)], *public[2][KS_ARRAY_LEN(curves)];
    for (size_t i = 0; i < KS_ARRAY_LEN(curves); i++) {
        struct wanted w;
        key_pair(&t, curves[i], &private[0][i], &public[0][i]);
        key_pair(&t, curves[i], &private[1][i], &public[1][i]);
        want(&t, &w, KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY, private[0][i], public[1][i], SYMMETRIC, 256);
        const struct ks_span ours = bytes_of(&t, derive(&t, &w));
        want(&t, &w, KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY, public[0][i], private[1][i], SYMMETRIC, 256);
        assert_true(ks_span_equal(ours, bytes_of(&t, derive(&t, &w))));
        /* No key is derived from one half alone, nor from two that do not fit. */
        want(&t, &w, KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY, private[0][i], NULL, SYMMETRIC, 256);
        talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_INVALID_OBJECT_TYPE);
        want(&t, &w, KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY, private[0][i], private[1][i], SYMMETRIC, 256);
        talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_INVALID_OBJECT_TYPE);
        if (i != 0) {
            want(&t, &w, KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY, private[0][i], public[0][i - 1], SYMMETRIC, 256);
            talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
        }
    }
    talk_close(&t);
}

static size_t
links_of(struct talk *t, const char *id, uint32_t type, const char *to)
{
    size_t n = 0;
    const struct kmip_get_attributes_request get = {.unique_identifier = uid(id)};
    const struct kmip_get_attributes_response *got = talk_do(t, KMIP_OPERATION_GET_ATTRIBUTES, &get);
    for (const struct kmip_attr *a = got->attributes.first; a != NULL; a = a->next) {
        if (a->tag != KMIP_TAG_LINK || kmip_item_child(a->value, KMIP_TAG_LINK_TYPE)->u32 != type)
            continue;
        if (to == NULL ||
            ks_span_equal(kmip_item_child(a->value, KMIP_TAG_LINKED_OBJECT_IDENTIFIER)->s, ks_span_str(to)))
            n++;
    }
    return n;
}

static void
bases_and_derived_are_linked(void **unused)
{
    (void)unused;
    struct talk t;
    struct wanted w;
    talk_open(&t);
    const char *key = base_object(&t, SYMMETRIC, KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, DERIVE,
                                  KS_LIT("0123456789abcdef0123456789abcdef"));
    const char *data = base_object(&t, SECRET, 0, DERIVE, KS_LIT("data"));
    want(&t, &w, KMIP_DERIVATION_METHOD_HMAC, key, data, SYMMETRIC, 256);
    const char *first = derive(&t, &w), *second = derive(&t, &w);
    for (int i = 0; i < 2; i++) {
        const char *derived = i == 0 ? first : second;
        assert_int_equal(links_of(&t, derived, KMIP_LINK_TYPE_DERIVATION_BASE_OBJECT_LINK, key), 1);
        assert_int_equal(links_of(&t, derived, KMIP_LINK_TYPE_DERIVATION_BASE_OBJECT_LINK, data), 1);
        assert_int_equal(links_of(&t, key, KMIP_LINK_TYPE_DERIVED_KEY_LINK, derived), 1);
        assert_int_equal(links_of(&t, data, KMIP_LINK_TYPE_DERIVED_KEY_LINK, derived), 1);
    }
    /* So many, and the oldest goes. */
    const char *last = NULL;
    for (int i = 2; i < 258; i++)
        last = derive(&t, &w);
    assert_int_equal(links_of(&t, key, KMIP_LINK_TYPE_DERIVED_KEY_LINK, NULL), 256);
    assert_int_equal(links_of(&t, key, KMIP_LINK_TYPE_DERIVED_KEY_LINK, first), 0);
    assert_int_equal(links_of(&t, key, KMIP_LINK_TYPE_DERIVED_KEY_LINK, second), 0);
    assert_int_equal(links_of(&t, key, KMIP_LINK_TYPE_DERIVED_KEY_LINK, last), 1);
    talk_close(&t);
}

static void
what_is_refused(void **unused)
{
    (void)unused;
    struct talk t;
    struct wanted w;
    talk_open(&t);
    const struct ks_span bytes = KS_LIT("0123456789abcdef");
    const char *key = base_object(&t, SYMMETRIC, AES, DERIVE, bytes),
               *other = base_object(&t, SYMMETRIC, AES, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT, bytes);
#define REFUSED(reason) talk_refused(&t, KMIP_OPERATION_DERIVE_KEY, &w.request, KMIP_RESULT_REASON_##reason)
    want(&t, &w, KMIP_DERIVATION_METHOD_HKDF, other, NULL, SYMMETRIC, 256);
    REFUSED(INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK);
    want(&t, &w, KMIP_DERIVATION_METHOD_HKDF, make_key(&t, NULL, DERIVE), NULL, SYMMETRIC, 256);
    REFUSED(WRONG_KEY_LIFECYCLE_STATE);
    want(&t, &w, KMIP_DERIVATION_METHOD_HKDF, "nothing", NULL, SYMMETRIC, 256);
    REFUSED(OBJECT_NOT_FOUND);
    want(&t, &w, KMIP_DERIVATION_METHOD_HKDF, key, key, SYMMETRIC, 256);
    REFUSED(INVALID_FIELD);
    want(&t, &w, KMIP_DERIVATION_METHOD_HKDF, key, NULL, KMIP_OBJECT_TYPE_OPAQUE_OBJECT, 256);
    REFUSED(INVALID_OBJECT_TYPE);
    want(&t, &w, KMIP_DERIVATION_METHOD_HKDF, key, NULL, SYMMETRIC, 136); /* no length of AES */
    REFUSED(INVALID_ATTRIBUTE_VALUE);
    want(&t, &w, KMIP_DERIVATION_METHOD_HKDF, key, NULL, SECRET, 12);
    REFUSED(INVALID_ATTRIBUTE_VALUE);
    want(&t, &w, KMIP_DERIVATION_METHOD_HKDF, key, NULL, SECRET, 1 << 20);
    REFUSED(INVALID_ATTRIBUTE_VALUE);
    want(&t, &w, KMIP_DERIVATION_METHOD_HKDF, key, NULL, SYMMETRIC, 256);
    w.request.attributes = (struct kmip_attrs){.present = true};
    REFUSED(MISSING_DATA);
    /* Somebody else's key is not there. */
    want(&t, &w, KMIP_DERIVATION_METHOD_HKDF, key, NULL, SYMMETRIC, 256);
    t.who = &t.rig.stranger;
    assert_int_not_equal(talk_ask(&t, KMIP_OPERATION_DERIVE_KEY, &w.request)->result_status,
                         KMIP_RESULT_STATUS_SUCCESS);
#undef REFUSED
    talk_close(&t);
}

/* Who knows the key of a cipher reads what it encrypts: the result is no less secret than the data. */
static void
a_secret_is_no_less_secret_for_being_encrypted(void **unused)
{
    (void)unused;
    static const uint32_t facts[] = {KMIP_TAG_SENSITIVE, KMIP_TAG_EXTRACTABLE};
    static const uint32_t reasons[] = {KMIP_RESULT_REASON_SENSITIVE, KMIP_RESULT_REASON_NOT_EXTRACTABLE};
    struct talk t;
    struct wanted w;
    talk_open(&t);
    const char *known = base_object(&t, SYMMETRIC, AES, DERIVE, KS_LIT("0123456789abcdef"));
    for (size_t i = 0; i < KS_ARRAY_LEN(facts); i++) {
        const char *secret = base_object(&t, SECRET, 0, DERIVE, KS_LIT("what nobody may read, whole pads"));
        struct kmip_modify_attribute_request hide = {.unique_identifier = uid(secret)};
        put_number(&t, &hide.new_attribute, facts[i], facts[i] == KMIP_TAG_SENSITIVE);
        talk_do(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &hide);
        want(&t, &w, KMIP_DERIVATION_METHOD_ENCRYPT, known, secret, SECRET, 256);
        w.p.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_ECB;
        w.p.has_block_cipher_mode = true;
        w.parameters.cryptographic_parameters = &w.p;
        put_number(&t, &w.request.attributes, facts[i], facts[i] != KMIP_TAG_SENSITIVE);
        const char *made = derive(&t, &w);
        const struct kmip_get_request get = {.unique_identifier = uid(made)};
        talk_refused(&t, KMIP_OPERATION_GET, &get, reasons[i]);
    }
    talk_close(&t);
}

/* Many iterations are made outside of the engine's thread; few are not worth it. */
static void
many_iterations_are_made_elsewhere(void **unused)
{
    (void)unused;
    const struct engine_config config = {.node = KS_LIT("test"), .prepares = true};
    struct talk t;
    struct wanted w;
    talk_open_with(&t, &config);
    const char *base = base_object(&t, SECRET, 0, DERIVE, KS_LIT("Password"));
    want(&t, &w, KMIP_DERIVATION_METHOD_PBKDF2, base, NULL, SECRET, 512);
    w.parameters.salt = KS_LIT("NaCl");
    w.parameters.has_salt = true;
    w.parameters.iteration_count = 1000;
    w.parameters.has_iteration_count = true;
    with_hash(&w, KMIP_HASHING_ALGORITHM_SHA_256);
    derive(&t, &w);
    assert_int_equal(t.rig.n_prepared, 0);
    w.parameters.iteration_count = 80000;
    expect(
        &t, derive(&t, &w), /* RFC 7914, section 11 */
        "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56a1d425a1225833549adb841b51c9b3176a272bdebba1"
        "d078478f62b397f33c8d");
    assert_int_equal(t.rig.n_prepared, 1);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords),
        cmocka_unit_test(many_iterations_are_made_elsewhere),
        cmocka_unit_test(hashes_and_macs),
        cmocka_unit_test(ciphers),
        cmocka_unit_test(counters_and_feedback),
        cmocka_unit_test(hkdf_and_aws),
        cmocka_unit_test(both_sides_agree),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(bases_and_derived_are_linked),
        cmocka_unit_test(a_secret_is_no_less_secret_for_being_encrypted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
