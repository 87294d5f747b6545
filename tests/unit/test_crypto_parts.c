/* What crypto/ does in parts: struct ks_cipher_stream, ks_hash_stream, crypto/mac.h. */
#include "tests/unit/crypto_test.h"

#include <openssl/err.h>

#include "crypto/cipher.h"
#include "crypto/crypto.h"
#include "crypto/mac.h"

#define BUF KS_CLEANUP(ks_buf_done) struct ks_buf
enum { NO_MODE = 0, MOST = 1 << 16 };

struct cipher_row {
    uint32_t algorithm, mode;
    const char *key, *iv, *aad, *plain, *cipher, *tag;
};
static const struct cipher_row ciphers[] = {
#define KMIP_BLOCK_CIPHER_MODE_NO_MODE NO_MODE
#define CIPHER_VECTOR(algorithm, mode, key, iv, aad, plain, cipher, tag)                                               \
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_##algorithm, KMIP_BLOCK_CIPHER_MODE_##mode, key, iv, aad, plain, cipher, tag},
#include "tests/vectors/cipher.def"
#undef CIPHER_VECTOR
};

/* In parts of so many bytes; the result is appended. */
static int
in_parts(const struct ks_cipher_params *p, struct ks_span key, bool encrypt, struct ks_span data, size_t size,
         struct ks_span tag, struct ks_buf *out, struct ks_cipher_tag *made)
{
    KS_CLEANUP(ks_cipher_stream_freep) struct ks_cipher_stream *s = NULL;
    KS_TRY(ks_cipher_stream_new(p, key, encrypt, MOST, &s, NULL));
    for (size_t at = 0; at < data.len; at += size) {
        const size_t n = data.len - at < size ? data.len - at : size;
        KS_TRY(ks_cipher_stream_update(s, KS_SPAN(data.data + at, n), out, NULL));
    }
    return ks_cipher_stream_final(s, tag, out, encrypt ? made : NULL, NULL);
}

static void
published_figures_in_parts_of_any_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(ciphers); i++) {
        TEST_ARENA(arena);
        const struct cipher_row *v = &ciphers[i];
        const struct ks_span key = hex(&arena, v->key), plain = hex(&arena, v->plain), tag = hex(&arena, v->tag),
                             cipher = hex(&arena, v->cipher);
        const struct ks_cipher_params p = {.algorithm = v->algorithm,
                                           .mode = v->mode,
                                           .tag_len = tag.len,
                                           .iv = hex(&arena, v->iv),
                                           .aad = hex(&arena, v->aad)};
        for (size_t size = 1; size < 70; size += size < 34 ? 1 : 5) {
            BUF out = KS_BUF(MOST);
            BUF back = KS_BUF(MOST);
            struct ks_cipher_tag made = {0};
            assert_int_equal(in_parts(&p, key, true, plain, size, KS_SPAN_NONE, &out, &made), 0);
            assert_true(ks_span_equal(ks_buf_span(&out), cipher));
            assert_true(ks_span_equal(KS_SPAN(made.b, made.len), tag));
            assert_int_equal(in_parts(&p, key, false, cipher, size, tag, &back, NULL), 0);
            assert_true(ks_span_equal(ks_buf_span(&back), plain));
        }
        if (tag.len == 0)
            continue;
        uint8_t wrong[16];
        memcpy(wrong, tag.data, tag.len);
        wrong[0] ^= 1;
        BUF out = KS_BUF(MOST);
        assert_int_equal(in_parts(&p, key, false, cipher, 7, KS_SPAN(wrong, tag.len), &out, NULL), KS_E_INTEGRITY);
        assert_int_equal(out.len, 0);
    }
    assert_int_equal(ERR_peek_error(), 0);
}

static void
padding_goes_with_the_last_part(void **state)
{
    (void)state;
    static const uint32_t methods[] = {KMIP_PADDING_METHOD_PKCS5, KMIP_PADDING_METHOD_ANSI_X9_23,
                                       KMIP_PADDING_METHOD_ISO_10126};
    uint8_t bytes[80];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t m = 0; m < KS_ARRAY_LEN(methods); m++)
        for (size_t len = 0; len <= 49; len++)
            for (size_t size = 1; size <= 33; size++) {
                const struct ks_cipher_params p = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                                                   .mode = KMIP_BLOCK_CIPHER_MODE_CBC,
                                                   .padding = methods[m],
                                                   .iv = KS_SPAN(bytes, 16)};
                const struct ks_span key = KS_SPAN(bytes + 16, 32), data = KS_SPAN(bytes + 5, len);
                BUF out = KS_BUF(MOST);
                BUF back = KS_BUF(MOST);
                assert_int_equal(in_parts(&p, key, true, data, size, KS_SPAN_NONE, &out, NULL), 0);
                assert_int_equal(out.len, len - len % 16 + 16);
                assert_int_equal(in_parts(&p, key, false, ks_buf_span(&out), size, KS_SPAN_NONE, &back, NULL), 0);
                assert_true(ks_span_equal(ks_buf_span(&back), data));
                /* The whole decrypts what the parts encrypted. */
                ks_buf_reset(&back);
                assert_int_equal(ks_cipher_decrypt(&p, key, ks_buf_span(&out), KS_SPAN_NONE, &back, NULL), 0);
                assert_true(ks_span_equal(ks_buf_span(&back), data));
                assert_int_equal(
                    in_parts(&p, key, false, KS_SPAN(out.data, out.len - 1), size, KS_SPAN_NONE, &back, NULL),
                    KS_E_INVALID);
            }
}

static void
what_is_collected_has_a_limit(void **state)
{
    (void)state;
    static const uint8_t bytes[64] = {1};
    const struct ks_cipher_params p = {
        .algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, .mode = KMIP_BLOCK_CIPHER_MODE_GCM, .iv = KS_SPAN(bytes, 12)};
    KS_CLEANUP(ks_cipher_stream_freep) struct ks_cipher_stream *s = NULL;
    struct ks_diag diag = {0};
    uint8_t end[8];
    BUF out = KS_BUF(MOST);
    assert_int_equal(ks_cipher_stream_new(&p, KS_SPAN(bytes, 32), false, 40, &s, NULL), 0);
    assert_int_equal(ks_cipher_stream_update(s, KS_SPAN(bytes, 40), &out, NULL), 0);
    assert_int_equal(out.len, 0);
    assert_int_equal(ks_cipher_stream_collected(s), 40);
    assert_int_equal(ks_cipher_stream_take_end(s, end, 8), 0);
    assert_int_equal(ks_cipher_stream_collected(s), 32);
    assert_int_equal(ks_cipher_stream_update(s, KS_SPAN(bytes, 9), &out, &diag), KS_E_LIMIT);
    assert_non_null(strstr(diag.message, "40 bytes"));
}

static void
a_counter_of_few_bits_does_not_run_over(void **state)
{
    (void)state;
    static const uint8_t key[16], iv[16] = {[15] = 0xfe}, data[64];
    const struct ks_cipher_params p = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                                       .mode = KMIP_BLOCK_CIPHER_MODE_CTR,
                                       .counter_bits = 8,
                                       .iv = KS_SPAN(iv, 16)};
    BUF out = KS_BUF(MOST);
    assert_int_equal(ks_cipher_encrypt(&p, KS_SPAN(key, 16), KS_SPAN(data, 32), &out, NULL, NULL), 0);
    assert_int_equal(ks_cipher_encrypt(&p, KS_SPAN(key, 16), KS_SPAN(data, 33), &out, NULL, NULL), KS_E_INVALID);
    assert_int_equal(in_parts(&p, KS_SPAN(key, 16), true, KS_SPAN(data, 32), 5, KS_SPAN_NONE, &out, NULL), 0);
    assert_int_equal(in_parts(&p, KS_SPAN(key, 16), true, KS_SPAN(data, 33), 5, KS_SPAN_NONE, &out, NULL),
                     KS_E_INVALID);
}

static void
published_digests_in_parts(void **state)
{
    (void)state;
    static const struct {
        uint32_t hash;
        const char *message, *digest;
    } rows[] = {
#define HASH_VECTOR(hash, message, digest) {KMIP_HASHING_ALGORITHM_##hash, message, digest},
#define HMAC_VECTOR(hash, key, data, mac)
#include "tests/vectors/hash.def"
#undef HASH_VECTOR
#undef HMAC_VECTOR
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        struct ks_hash_stream *s;
        uint8_t out[KS_HASH_MAX];
        size_t len = 0;
        assert_int_equal(ks_hash_stream_new(rows[i].hash, &s, NULL), 0);
        for (const char *c = rows[i].message; *c != '\0'; c++)
            assert_int_equal(ks_hash_stream_update(s, KS_SPAN(c, 1), NULL), 0);
        assert_int_equal(ks_hash_stream_final(s, out, &len, NULL), 0);
        assert_hex(out, len, rows[i].digest);
        ks_hash_stream_free(s);
    }
    struct ks_hash_stream *none = NULL;
    assert_int_equal(ks_hash_stream_new(KMIP_HASHING_ALGORITHM_TIGER, &none, NULL), KS_E_UNSUPPORTED);
    assert_null(none);
}

static void
check_mac(uint32_t algorithm, struct ks_span key, struct ks_span data, const char *expected)
{
    for (size_t size = 1; size <= data.len + 1; size += 3) {
        KS_CLEANUP(ks_mac_freep) struct ks_mac *mac = NULL;
        uint8_t out[KS_MAC_MAX];
        size_t len = 0;
        assert_int_equal(ks_mac_new(algorithm, key, &mac, NULL), 0);
        for (size_t at = 0; at < data.len; at += size)
            assert_int_equal(
                ks_mac_update(mac, KS_SPAN(data.data + at, data.len - at < size ? data.len - at : size), NULL), 0);
        assert_int_equal(ks_mac_final(mac, out, &len, NULL), 0);
        assert_int_equal(len, ks_mac_len(algorithm));
        assert_hex(out, len, expected);
    }
}

static void
published_codes(void **state)
{
    (void)state;
    TEST_ARENA(arena);
    const struct ks_span plain = hex(&arena, PLAIN_38A);
#define CMAC_VECTOR(algorithm, key, n, code)                                                                           \
    check_mac(KMIP_CRYPTOGRAPHIC_ALGORITHM_##algorithm, hex(&arena, key), KS_SPAN(plain.data, n), code);
#include "tests/vectors/cmac.def"
#undef CMAC_VECTOR
#define HASH_VECTOR(hash, message, digest)
#define HMAC_VECTOR(hash, key, data, code)                                                                             \
    check_mac(ks_hmac_of_hash(KMIP_HASHING_ALGORITHM_##hash), hex(&arena, key), hex(&arena, data), code);
#include "tests/vectors/hash.def"
#undef HASH_VECTOR
#undef HMAC_VECTOR
    struct ks_mac *none = NULL;
    assert_int_equal(ks_mac_new(KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, KS_LIT("k"), &none, NULL), KS_E_UNSUPPORTED);
    assert_int_equal(ks_mac_new(KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, KS_LIT("k"), &none, NULL), KS_E_INVALID);
    assert_int_equal(ks_mac_new(KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, KS_SPAN_NONE, &none, NULL), KS_E_INVALID);
    assert_null(none);
    assert_int_equal(ks_mac_len(0), 0);
    assert_int_equal(ERR_peek_error(), 0);
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
        cmocka_unit_test(published_figures_in_parts_of_any_size),
        cmocka_unit_test(padding_goes_with_the_last_part),
        cmocka_unit_test(what_is_collected_has_a_limit),
        cmocka_unit_test(a_counter_of_few_bits_does_not_run_over),
        cmocka_unit_test(published_digests_in_parts),
        cmocka_unit_test(published_codes),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
