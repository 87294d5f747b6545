/* crypto/sign.h */
#include "tests/unit/crypto_test.h"

#include <openssl/err.h>

#include "crypto/crypto.h"
#include "crypto/hash.h"
#include "crypto/keygen.h"
#include "crypto/sign.h"

#define BUF KS_CLEANUP(ks_buf_done) struct ks_buf
enum {
    PSS = KMIP_PADDING_METHOD_PSS,
    PKCS1 = KMIP_PADDING_METHOD_PKCS1_V1_5,
    OAEP = KMIP_PADDING_METHOD_OAEP,
    SHA256 = KMIP_HASHING_ALGORITHM_SHA_256,
    RSA_WITH_SHA256 = KMIP_DIGITAL_SIGNATURE_ALGORITHM_SHA_256_WITH_RSA_ENCRYPTION
};

static struct ks_pkey *
rsa_key(void)
{
    static const char *const der = {
#define RSA_VECTOR(n, e, d, p, q, dp, dq, qi, pkcs1, pkcs1_public, pkcs8, spki) pkcs8
#define EC_VECTOR(...)
#include "tests/vectors/keys.def"
#undef RSA_VECTOR
#undef EC_VECTOR
    };
    TEST_ARENA(arena);
    struct ks_pkey *key = NULL;
    assert_int_equal(ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_PKCS_8, true, 0, 0, hex(&arena, der), &key, NULL), 0);
    return key;
}

static struct ks_pkey *
raw_key(uint32_t algorithm, uint32_t curve, const char *d)
{
    TEST_ARENA(arena);
    struct ks_pkey *key = NULL;
    assert_int_equal(ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_RAW, true, algorithm, curve, hex(&arena, d), &key, NULL), 0);
    return key;
}

/* Valid as it is; not with a changed bit, another message, or a cut. The public half alone verifies. */
static void
check_signature(const struct ks_pkey *key, const struct ks_sign_params *p, struct ks_span data,
                struct ks_span signature)
{
    KS_PKEY *public = NULL;
    assert_int_equal(ks_pkey_public(key, &public, NULL), 0);
    assert_int_equal(ks_verify(public, p, data, signature, NULL), 0);
    TEST_ARENA(arena);
    uint8_t *changed = ks_arena_dup(&arena, signature.data, signature.len);
    changed[signature.len - 5] ^= 1;
    struct ks_diag diag = {0};
    assert_int_equal(ks_verify(public, p, data, KS_SPAN(changed, signature.len), &diag), KS_E_INTEGRITY);
    assert_non_null(strstr(diag.message, "not valid"));
    assert_int_equal(ks_verify(public, p, data, KS_SPAN(signature.data, signature.len - 1), NULL), KS_E_INTEGRITY);
    assert_int_equal(ks_verify(public, p, data, KS_SPAN_NONE, NULL), KS_E_INTEGRITY);
    if (!p->digested)
        assert_int_equal(ks_verify(public, p, KS_LIT("another message"), signature, NULL), KS_E_INTEGRITY);
    BUF out = KS_BUF(4096);
    assert_int_equal(ks_sign(public, p, data, &out, NULL), KS_E_INVALID);
    assert_int_equal(ERR_peek_error(), 0);
}

static void
published_signatures(void **state)
{
    (void)state;
    TEST_ARENA(arena);
    KS_PKEY *rsa = rsa_key();
    const struct ks_span message = KS_LIT("a message to sign");
#define PKCS1_VECTOR(h, text)                                                                                          \
    {                                                                                                                  \
        const struct ks_sign_params p = {.hash = KMIP_HASHING_ALGORITHM_##h, .padding = PKCS1};                        \
        BUF out = KS_BUF(4096);                                                                                        \
        assert_int_equal(ks_sign(rsa, &p, message, &out, NULL), 0);                                                    \
        assert_hex(out.data, out.len, text);                                                                           \
        check_signature(rsa, &p, message, ks_buf_span(&out));                                                          \
        uint8_t digest[KS_HASH_MAX];                                                                                   \
        assert_int_equal(ks_hash(p.hash, message, digest, NULL), 0);                                                   \
        struct ks_sign_params digested = p;                                                                            \
        digested.digested = true;                                                                                      \
        check_signature(rsa, &digested, KS_SPAN(digest, ks_hash_len(p.hash)), ks_buf_span(&out));                      \
    }
#define PSS_VECTOR(h, mgf, salt, text)                                                                                 \
    {                                                                                                                  \
        struct ks_sign_params p = {.hash = KMIP_HASHING_ALGORITHM_##h,                                                 \
                                   .mgf_hash = KMIP_HASHING_ALGORITHM_##mgf,                                           \
                                   .padding = PSS,                                                                     \
                                   .salt_len = salt};                                                                  \
        check_signature(rsa, &p, message, hex(&arena, text));                                                          \
        p.salt_len = salt == 1 ? 2 : 1;                                                                                \
        assert_int_equal(ks_verify(rsa, &p, message, hex(&arena, text), NULL), KS_E_INTEGRITY);                        \
        p.salt_len = -1;                                                                                               \
        assert_int_equal(ks_verify(rsa, &p, message, hex(&arena, text), NULL), 0);                                     \
    }
#define OAEP_VECTOR(...)
#define EDDSA_VECTOR(algorithm, d, m, text)                                                                            \
    {                                                                                                                  \
        KS_PKEY *key = raw_key(KMIP_CRYPTOGRAPHIC_ALGORITHM_##algorithm, 0, d);                                        \
        const struct ks_sign_params p = {0};                                                                           \
        BUF out = KS_BUF(4096);                                                                                        \
        assert_int_equal(ks_sign(key, &p, hex(&arena, m), &out, NULL), 0);                                             \
        assert_hex(out.data, out.len, text);                                                                           \
        check_signature(key, &p, hex(&arena, m), ks_buf_span(&out));                                                   \
    }
#define ECDSA_VECTOR(curve, d, h, m, text)                                                                             \
    {                                                                                                                  \
        KS_PKEY *key = raw_key(KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA, KMIP_RECOMMENDED_CURVE_##curve, d);                 \
        check_signature(key, &(struct ks_sign_params){.hash = KMIP_HASHING_ALGORITHM_##h}, KS_LIT(m),                  \
                        hex(&arena, text));                                                                            \
    }
#include "tests/vectors/sign.def"
#undef OAEP_VECTOR
}

static void
published_oaep(void **state)
{
    (void)state;
    TEST_ARENA(arena);
    KS_PKEY *rsa = rsa_key();
#undef PKCS1_VECTOR
#undef PSS_VECTOR
#undef EDDSA_VECTOR
#undef ECDSA_VECTOR
#define PKCS1_VECTOR(...)
#define PSS_VECTOR(...)
#define EDDSA_VECTOR(...)
#define ECDSA_VECTOR(...)
#define OAEP_VECTOR(h, mgf, l, plain, text)                                                                            \
    {                                                                                                                  \
        struct ks_asym_params p = {                                                                                    \
            .hash = KMIP_HASHING_ALGORITHM_##h, .mgf_hash = KMIP_HASHING_ALGORITHM_##mgf, .label = KS_LIT(l)};         \
        BUF out = KS_BUF(4096);                                                                                        \
        assert_int_equal(ks_asym_decrypt(rsa, &p, hex(&arena, text), &out, NULL), 0);                                  \
        assert_true(ks_span_is(ks_buf_span(&out), plain));                                                             \
        p.label = KS_LIT("another label");                                                                             \
        assert_int_equal(ks_asym_decrypt(rsa, &p, hex(&arena, text), &out, NULL), KS_E_INTEGRITY);                     \
    }
#include "tests/vectors/sign.def"
}

static void
rsa_encryption_goes_both_ways(void **state)
{
    (void)state;
    KS_PKEY *rsa = rsa_key();
    KS_PKEY *public = NULL;
    assert_int_equal(ks_pkey_public(rsa, &public, NULL), 0);
    static const uint8_t data[256] = {1};
    static const struct {
        struct ks_asym_params p;
        size_t most; /* RFC 8017, 7.1.1 and 7.2.1 */
    } rows[] = {
        {{.padding = 0}, 256 - 2 * 32 - 2},
        {{.padding = OAEP, .hash = KMIP_HASHING_ALGORITHM_SHA_1}, 256 - 2 * 20 - 2},
        {{.padding = OAEP, .hash = SHA256, .mgf_hash = KMIP_HASHING_ALGORITHM_SHA_512}, 256 - 2 * 32 - 2},
        {{.padding = PKCS1}, 256 - 11},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const size_t lens[] = {0, 1, 32, rows[i].most, rows[i].most + 1};
        for (size_t k = 0; k < KS_ARRAY_LEN(lens); k++) {
            BUF cipher = KS_BUF(4096);
            BUF back = KS_BUF(4096);
            const int rc = ks_asym_encrypt(public, &rows[i].p, KS_SPAN(data, lens[k]), &cipher, NULL);
            assert_int_equal(rc, lens[k] > rows[i].most ? KS_E_INVALID : 0);
            if (rc != 0)
                continue;
            assert_int_equal(cipher.len, 256);
            assert_int_equal(ks_asym_decrypt(rsa, &rows[i].p, ks_buf_span(&cipher), &back, NULL), 0);
            assert_int_equal(back.len, lens[k]);
            assert_memory_equal(back.data, data, lens[k]);
            assert_int_equal(ks_asym_decrypt(public, &rows[i].p, ks_buf_span(&cipher), &back, NULL), KS_E_INVALID);
            assert_int_equal(ks_asym_decrypt(rsa, &rows[i].p, KS_SPAN(cipher.data, 255), &back, NULL), KS_E_INTEGRITY);
            cipher.data[100] ^= 1;
            if (rows[i].p.padding != PKCS1) /* one in some 2^16 changed PKCS#1 v1.5 texts has padding again */
                assert_int_equal(ks_asym_decrypt(rsa, &rows[i].p, ks_buf_span(&cipher), &back, NULL), KS_E_INTEGRITY);
        }
    }
    assert_int_equal(ERR_peek_error(), 0);
}

/* Bleichenbacher's question gets no answer: what is wrongly padded decrypts too, always to the same. */
static void
wrong_padding_is_not_told(void **state)
{
    (void)state;
    KS_PKEY *rsa = rsa_key();
    const struct ks_asym_params p = {.padding = PKCS1};
    BUF first = KS_BUF(4096);
    bool lengths[256] = {false};
    size_t n_lengths = 0;
    for (unsigned i = 0; i < 64; i++) {
        uint8_t cipher[256] = {0, (uint8_t)(i + 1), 0x5a};
        BUF one = KS_BUF(4096);
        BUF two = KS_BUF(4096);
        assert_int_equal(ks_asym_decrypt(rsa, &p, KS_SPAN(cipher, 256), &one, NULL), 0);
        assert_int_equal(ks_asym_decrypt(rsa, &p, KS_SPAN(cipher, 256), &two, NULL), 0);
        assert_true(ks_span_equal(ks_buf_span(&one), ks_buf_span(&two)));
        assert_true(one.len <= 256 - 11);
        n_lengths += !lengths[one.len];
        lengths[one.len] = true;
        if (i == 0)
            assert_int_equal(ks_buf_add_span(&first, ks_buf_span(&one)), 0);
        else
            assert_false(one.len >= 8 && ks_span_equal(ks_buf_span(&one), ks_buf_span(&first)));
    }
    assert_true(n_lengths > 16);
    /* What anybody can see is refused: too short, and not below the modulus. */
    uint8_t large[256];
    BUF out = KS_BUF(4096);
    memset(large, 0xff, sizeof(large));
    assert_int_equal(ks_asym_decrypt(rsa, &p, KS_SPAN(large, 256), &out, NULL), KS_E_INTEGRITY);
    assert_int_equal(ks_asym_decrypt(rsa, &p, KS_SPAN(large, 255), &out, NULL), KS_E_INTEGRITY);
    assert_int_equal(out.len, 0);
    assert_int_equal(ERR_peek_error(), 0);
}

/* What was signed comes back from PKCS#1 v1.5; a digest of no named hash is padded as it is. */
static void
signatures_give_back_what_was_signed(void **state)
{
    (void)state;
    KS_PKEY *rsa = rsa_key();
    const struct ks_sign_params named = {.hash = SHA256, .padding = PKCS1}, raw = {.digested = true};
    uint8_t digest[KS_HASH_MAX], bytes[246] = {0x30, 1, 2, 3};
    BUF signature = KS_BUF(4096);
    BUF back = KS_BUF(4096);
    assert_int_equal(ks_hash(SHA256, KS_LIT("m"), digest, NULL), 0);
    assert_int_equal(ks_sign(rsa, &named, KS_LIT("m"), &signature, NULL), 0);
    assert_int_equal(ks_verify_recover(rsa, &named, ks_buf_span(&signature), &back, NULL), 0);
    assert_true(ks_span_equal(ks_buf_span(&back), KS_SPAN(digest, 32)));
    signature.data[9] ^= 1;
    assert_int_equal(ks_verify_recover(rsa, &named, ks_buf_span(&signature), &back, NULL), KS_E_INTEGRITY);
    const struct ks_sign_params pss = {.padding = PSS};
    assert_int_equal(ks_verify_recover(rsa, &pss, ks_buf_span(&signature), &back, NULL), KS_E_UNSUPPORTED);

    ks_buf_reset(&signature);
    ks_buf_reset(&back);
    assert_int_equal(ks_sign(rsa, &raw, KS_SPAN(bytes, 16), &signature, NULL), 0);
    assert_int_equal(ks_verify(rsa, &raw, KS_SPAN(bytes, 16), ks_buf_span(&signature), NULL), 0);
    assert_int_equal(ks_verify_recover(rsa, &raw, ks_buf_span(&signature), &back, NULL), 0);
    assert_true(ks_span_equal(ks_buf_span(&back), KS_SPAN(bytes, 16)));
    assert_int_equal(ks_sign(rsa, &raw, KS_SPAN(bytes, 15), &signature, NULL), KS_E_INVALID);
    assert_int_equal(ks_sign(rsa, &raw, KS_SPAN(bytes, 246), &signature, NULL), KS_E_INVALID);
    assert_int_equal(ks_sign(rsa, &raw, KS_SPAN(bytes, 245), &signature, NULL), 0);
}

static void
signs_with_every_key(void **state)
{
    (void)state;
    static const struct ks_keypair_params keys[] = {
        {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, .bits = 224},
        {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, .bits = 256},
        {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, .bits = 384},
        {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, .bits = 521},
        {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, .curve = KMIP_RECOMMENDED_CURVE_SECP256K1},
    };
    static const uint32_t hashes[] = {0, SHA256, KMIP_HASHING_ALGORITHM_SHA_384, KMIP_HASHING_ALGORITHM_SHA3_256};
    for (size_t i = 0; i < KS_ARRAY_LEN(keys); i++) {
        KS_PKEY *key = NULL;
        assert_int_equal(ks_keygen_pair(&keys[i], &key, NULL), 0);
        for (size_t k = 0; k < KS_ARRAY_LEN(hashes); k++) {
            BUF out = KS_BUF(4096);
            const struct ks_sign_params p = {.hash = hashes[k]};
            assert_int_equal(ks_sign(key, &p, KS_LIT("m"), &out, NULL), 0);
            check_signature(key, &p, KS_LIT("m"), ks_buf_span(&out));
        }
        /* A digest of no named hash, as in KMIP's test case TC-ECDSA-SIGN-DIGESTEDDATA-1. */
        BUF out = KS_BUF(4096);
        const struct ks_sign_params p = {.digested = true};
        assert_int_equal(ks_sign(key, &p, KS_LIT("sixteen bytes..."), &out, NULL), 0);
        check_signature(key, &p, KS_LIT("sixteen bytes..."), ks_buf_span(&out));
    }
    KS_PKEY *rsa = rsa_key();
    BUF out = KS_BUF(4096);
    const struct ks_sign_params p = {.padding = PSS, .salt_len = -1};
    assert_int_equal(ks_sign(rsa, &p, KS_LIT("m"), &out, NULL), 0);
    check_signature(rsa, &p, KS_LIT("m"), ks_buf_span(&out));
}

static void
contradictions_are_refused(void **state)
{
    (void)state;
    KS_PKEY *rsa = rsa_key();
    KS_PKEY *ec = NULL;
    KS_PKEY *x25519 = NULL;
    KS_PKEY *ed = NULL;
    const struct ks_keypair_params p256 = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC};
    const struct ks_keypair_params x = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                        .curve = KMIP_RECOMMENDED_CURVE_CURVE25519};
    assert_int_equal(ks_keygen_pair(&p256, &ec, NULL), 0);
    assert_int_equal(ks_keygen_pair(&x, &x25519, NULL), 0);
    assert_int_equal(
        ks_keygen_pair(&(struct ks_keypair_params){.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519}, &ed, NULL), 0);
    const struct {
        const struct ks_pkey *key;
        struct ks_sign_params p;
        int rc;
    } rows[] = {
        {rsa, {.signature = RSA_WITH_SHA256}, 0},
        {rsa, {.signature = RSA_WITH_SHA256, .hash = SHA256, .padding = PKCS1}, 0},
        {rsa, {.signature = RSA_WITH_SHA256, .hash = KMIP_HASHING_ALGORITHM_SHA_512}, KS_E_INVALID},
        {rsa, {.signature = RSA_WITH_SHA256, .padding = PSS}, KS_E_INVALID},
        {rsa, {.signature = KMIP_DIGITAL_SIGNATURE_ALGORITHM_RSASSA_PSS, .salt_len = 32}, 0},
        {rsa, {.signature = KMIP_DIGITAL_SIGNATURE_ALGORITHM_RSASSA_PSS, .padding = PKCS1}, KS_E_INVALID},
        {rsa, {.signature = KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA256}, KS_E_INVALID},
        {rsa, {.signature = KMIP_DIGITAL_SIGNATURE_ALGORITHM_DSA_WITH_SHA256}, KS_E_UNSUPPORTED},
        {rsa, {.signature = KMIP_DIGITAL_SIGNATURE_ALGORITHM_MD5_WITH_RSA_ENCRYPTION}, KS_E_UNSUPPORTED},
        {rsa, {.hash = KMIP_HASHING_ALGORITHM_MD5}, KS_E_UNSUPPORTED},
        {rsa, {.padding = OAEP}, KS_E_UNSUPPORTED},
        {rsa, {.padding = PSS, .salt_len = 223}, KS_E_CRYPTO},
        {rsa, {.digested = true}, KS_E_INVALID}, /* "message" is no digest */
        {ec, {.signature = KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA384}, 0},
        {ec, {.signature = RSA_WITH_SHA256}, KS_E_INVALID},
        {ec, {.padding = PKCS1}, KS_E_INVALID},
        {ec, {.padding = KMIP_PADDING_METHOD_NONE}, 0},
        {ec, {.digested = true}, KS_E_INVALID},
        {ed, {.hash = SHA256}, KS_E_INVALID},
        {ed, {.digested = true}, KS_E_INVALID},
        {x25519, {.hash = 0}, KS_E_INVALID},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        BUF out = KS_BUF(4096);
        struct ks_diag diag = {0};
        const int rc = ks_sign(rows[i].key, &rows[i].p, KS_LIT("message"), &out, &diag);
        if (rc != rows[i].rc)
            fail_msg("row %zu: %d, %s", i, rc, ks_diag_text(&diag));
        assert_int_equal(out.len != 0, rc == 0);
        assert_int_equal(ERR_peek_error(), 0);
    }
    BUF out = KS_BUF(4096);
    assert_int_equal(ks_asym_encrypt(ec, &(struct ks_asym_params){.padding = OAEP}, KS_LIT("m"), &out, NULL),
                     KS_E_INVALID);
    assert_int_equal(ks_asym_encrypt(rsa, &(struct ks_asym_params){.padding = PSS}, KS_LIT("m"), &out, NULL),
                     KS_E_UNSUPPORTED);
    assert_int_equal(
        ks_asym_encrypt(rsa, &(struct ks_asym_params){.padding = PKCS1, .label = KS_LIT("l")}, KS_LIT("m"), &out, NULL),
        KS_E_INVALID);
    assert_int_equal(ks_asym_encrypt(rsa, &(struct ks_asym_params){.hash = 0x77}, KS_LIT("m"), &out, NULL),
                     KS_E_UNSUPPORTED);
}

static int
done(void **state)
{
    (void)state;
    ks_crypto_done();
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_signatures),
        cmocka_unit_test(published_oaep),
        cmocka_unit_test(rsa_encryption_goes_both_ways),
        cmocka_unit_test(signs_with_every_key),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(wrong_padding_is_not_told),
        cmocka_unit_test(signatures_give_back_what_was_signed),
    };
    return cmocka_run_group_tests_name("crypto/sign", tests, NULL, done);
}
