/* crypto/seal.h */
#include "tests/unit/crypto_test.h"

#include <openssl/err.h>

#include "crypto/crypto.h"
#include "crypto/seal.h"

#define SEAL_KEY KS_CLEANUP(ks_seal_key_freep) struct ks_seal_key
#define BUF KS_CLEANUP(ks_buf_done) struct ks_buf
static const uint8_t key_bytes[KS_SEAL_KEY] = "an example key of thirty-two by";

static struct ks_seal_key *
new_key(const uint8_t bytes[KS_SEAL_KEY])
{
    struct ks_seal_key *key;
    assert_int_equal(ks_seal_key_new(bytes, &key, NULL), 0);
    return key;
}

/* The GCM specification's test case 16, laid out as IV | ciphertext | tag. */
static void
opens_the_published_case(void **state)
{
    (void)state;
    TEST_ARENA(arena);
    SEAL_KEY *key = new_key(hex(&arena, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308").data);
    const struct ks_span sealed = hex(&arena, "cafebabefacedbaddecaf888"
                                              "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                                              "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                                              "76fc6ece0f4e1768cddf8853bb2d551b");
    BUF clear = KS_BUF(4096);
    assert_int_equal(ks_open(key, hex(&arena, "feedfacedeadbeeffeedfacedeadbeefabaddad2"), sealed, &clear, NULL), 0);
    assert_hex(clear.data, clear.len,
               "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
               "b16aedf5aa0de657ba637b39");
}

static void
what_was_sealed_opens(void **state)
{
    (void)state;
    SEAL_KEY *key = new_key(key_bytes);
    static const size_t sizes[] = {0, 1, 15, 16, 17, 400, 65536};
    static uint8_t data[65536];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < KS_ARRAY_LEN(sizes); i++) {
        for (int with_aad = 0; with_aad < 2; with_aad++) {
            const struct ks_span aad = with_aad ? KS_LIT("row 7, version 3") : KS_SPAN_NONE;
            const struct ks_span plain = KS_SPAN(data, sizes[i]);
            BUF sealed = KS_BUF(1 << 20);
            BUF clear = KS_BUF(1 << 20);
            assert_int_equal(ks_buf_add_str(&sealed, "head"), 0); /* appended to what is there */
            assert_int_equal(ks_buf_add_str(&clear, "head"), 0);
            assert_int_equal(ks_seal(key, aad, plain, &sealed, NULL), 0);
            assert_int_equal(sealed.len, 4 + sizes[i] + KS_SEAL_OVERHEAD);
            const struct ks_span body = KS_SPAN(sealed.data + 4, sealed.len - 4);
            assert_int_equal(ks_open(key, aad, body, &clear, NULL), 0);
            assert_int_equal(clear.len, 4 + sizes[i]);
            assert_memory_equal(clear.data, "head", 4);
            assert_memory_equal(clear.data + 4, data, sizes[i]);
            KS_SECRET *secret = NULL;
            assert_int_equal(ks_open_secret(key, aad, body, &secret, NULL), 0);
            assert_int_equal(ks_secret_len(secret), sizes[i]);
            assert_memory_equal(ks_secret_data(secret), data, sizes[i]);
        }
    }
}

static void
no_two_seals_are_alike(void **state)
{
    (void)state;
    SEAL_KEY *key = new_key(key_bytes);
    BUF a = KS_BUF(4096);
    BUF b = KS_BUF(4096);
    assert_int_equal(ks_seal(key, KS_SPAN_NONE, KS_LIT("same"), &a, NULL), 0);
    assert_int_equal(ks_seal(key, KS_SPAN_NONE, KS_LIT("same"), &b, NULL), 0);
    assert_memory_not_equal(a.data, b.data, KS_SEAL_IV);
    assert_memory_not_equal(a.data + KS_SEAL_IV, b.data + KS_SEAL_IV, 4);
}

static void
assert_does_not_open(struct ks_seal_key *key, struct ks_span aad, struct ks_span sealed, int rc)
{
    BUF clear = KS_BUF(4096);
    assert_int_equal(ks_buf_add_str(&clear, "head"), 0);
    struct ks_diag diag = {0};
    assert_int_equal(ks_open(key, aad, sealed, &clear, &diag), rc);
    assert_int_equal(diag.code, rc);
    assert_int_equal(clear.len, 4);
    for (size_t i = 4; rc == KS_E_INTEGRITY && i < 4 + sealed.len - KS_SEAL_OVERHEAD; i++)
        assert_int_equal(clear.data[i], 0); /* what was decrypted is wiped */
    struct ks_secret *secret = NULL;
    assert_int_equal(ks_open_secret(key, aad, sealed, &secret, NULL), rc);
    assert_null(secret);
    assert_int_equal(ERR_peek_error(), 0);
}

static void
every_changed_bit_is_noticed(void **state)
{
    (void)state;
    SEAL_KEY *key = new_key(key_bytes);
    uint8_t other_bytes[KS_SEAL_KEY];
    memcpy(other_bytes, key_bytes, sizeof(other_bytes));
    other_bytes[31] ^= 1;
    SEAL_KEY *other = new_key(other_bytes);
    const struct ks_span aad = KS_LIT("row 7");
    BUF sealed = KS_BUF(4096);
    assert_int_equal(ks_seal(key, aad, KS_LIT("a secret of some bytes"), &sealed, NULL), 0);
    const struct ks_span whole = ks_buf_span(&sealed);

    for (size_t bit = 0; bit < whole.len * 8; bit++) {
        sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_does_not_open(key, aad, whole, KS_E_INTEGRITY);
        sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_does_not_open(other, aad, whole, KS_E_INTEGRITY);
    assert_does_not_open(key, KS_LIT("row 8"), whole, KS_E_INTEGRITY);
    assert_does_not_open(key, KS_LIT("row 7 "), whole, KS_E_INTEGRITY);
    assert_does_not_open(key, KS_SPAN_NONE, whole, KS_E_INTEGRITY);
    for (size_t len = 0; len < whole.len; len++)
        assert_does_not_open(key, aad, KS_SPAN(whole.data, len),
                             len < KS_SEAL_OVERHEAD ? KS_E_MALFORMED : KS_E_INTEGRITY);
    /* and after all these failures the object still works */
    BUF clear = KS_BUF(4096);
    assert_int_equal(ks_open(key, aad, whole, &clear, NULL), 0);
    assert_memory_equal(clear.data, "a secret of some bytes", clear.len);
}

static void
a_full_buffer_is_an_error(void **state)
{
    (void)state;
    SEAL_KEY *key = new_key(key_bytes);
    BUF small = KS_BUF(KS_SEAL_OVERHEAD + 3);
    assert_int_equal(ks_seal(key, KS_SPAN_NONE, KS_LIT("four"), &small, NULL), KS_E_LIMIT);
    assert_int_equal(small.len, 0);
    ks_buf_reset(&small);
    assert_int_equal(ks_seal(key, KS_SPAN_NONE, KS_LIT("thr"), &small, NULL), 0);
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
        cmocka_unit_test(opens_the_published_case),  cmocka_unit_test(what_was_sealed_opens),
        cmocka_unit_test(no_two_seals_are_alike),    cmocka_unit_test(every_changed_bit_is_noticed),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };
    return cmocka_run_group_tests_name("crypto/seal", tests, NULL, done);
}
