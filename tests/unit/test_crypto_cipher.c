/* crypto/cipher.h and crypto/keywrap.h */
#include "tests/unit/crypto_test.h"

#include <openssl/err.h>

#include "crypto/cipher.h"
#include "crypto/crypto.h"
#include "crypto/keywrap.h"
#include "crypto/random.h"

enum { KMIP_BLOCK_CIPHER_MODE_NO_MODE = 0, PKCS5 = KMIP_PADDING_METHOD_PKCS5, AES = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES };
#define BUF KS_CLEANUP(ks_buf_done) struct ks_buf

static void
published_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t algorithm, mode;
        const char *key, *iv, *aad, *plain, *cipher, *tag;
    } rows[] = {
#define CIPHER_VECTOR(algorithm, mode, key, iv, aad, plain, cipher, tag)                                               \
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_##algorithm, KMIP_BLOCK_CIPHER_MODE_##mode, key, iv, aad, plain, cipher, tag},
#include "tests/vectors/cipher.def"
    };
    TEST_ARENA(arena);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const struct ks_span tag = hex(&arena, rows[i].tag), key = hex(&arena, rows[i].key);
        const struct ks_cipher_params p = {.algorithm = rows[i].algorithm,
                                           .mode = rows[i].mode,
                                           .tag_len = tag.len,
                                           .iv = hex(&arena, rows[i].iv),
                                           .aad = hex(&arena, rows[i].aad)};
        assert_int_equal(ks_cipher_has_tag(&p), tag.len != 0);
        BUF out = KS_BUF(4096);
        struct ks_cipher_tag made = {0};
        struct ks_diag diag = {0};
        if (ks_cipher_encrypt(&p, key, hex(&arena, rows[i].plain), &out, &made, &diag) != 0)
            fail_msg("vector %zu: %s", i, ks_diag_text(&diag));
        assert_hex(out.data, out.len, rows[i].cipher);
        assert_hex(made.b, made.len, rows[i].tag);
        BUF back = KS_BUF(4096);
        assert_int_equal(ks_cipher_decrypt(&p, key, ks_buf_span(&out), tag, &back, NULL), 0);
        assert_true(ks_span_equal(ks_buf_span(&back), hex(&arena, rows[i].plain)));
    }
}

/* Every combination on offer, with every padding, at lengths around block ends. */
static const struct {
    uint32_t algorithm, mode;
    size_t key_len;
} offered[] = {
#define CIPHER(algorithm, mode, key, id, kind, block, iv, text)                                                        \
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_##algorithm, KMIP_BLOCK_CIPHER_MODE_##mode, key},
#include "crypto/cipher.def"
#undef CIPHER
};

static bool
takes(const struct ks_cipher_params *p, size_t len)
{
    const bool padded = p->padding != 0 && p->padding != KMIP_PADDING_METHOD_NONE;
    const size_t block = p->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES ? 8 : 16;
    switch (p->mode) {
    case KMIP_BLOCK_CIPHER_MODE_ECB:
    case KMIP_BLOCK_CIPHER_MODE_CBC:
        return padded || len % block == 0;
    case KMIP_BLOCK_CIPHER_MODE_XTS:
        return len >= 16;
    case KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP:
        return len >= 16 && len % 8 == 0;
    case KMIP_BLOCK_CIPHER_MODE_AESKEYWRAPPADDING:
        return len >= 1;
    default:
        return true;
    }
}

static void
round_trip(const struct ks_cipher_params *p, struct ks_span key, struct ks_span plain)
{
    BUF out = KS_BUF(4096);
    BUF back = KS_BUF(4096);
    assert_int_equal(ks_buf_add_str(&out, "head"), 0);
    struct ks_cipher_tag tag = {0};
    const int rc = ks_cipher_encrypt(p, key, plain, &out, &tag, NULL);
    if (!takes(p, plain.len)) {
        assert_int_equal(rc, KS_E_INVALID);
        assert_int_equal(out.len, 4);
        return;
    }
    assert_int_equal(rc, 0);
    const struct ks_span body = KS_SPAN(out.data + 4, out.len - 4), t = KS_SPAN(tag.b, tag.len);
    assert_int_equal(ks_cipher_decrypt(p, key, body, t, &back, NULL), 0);
    assert_true(ks_span_equal(ks_buf_span(&back), plain));
    if (plain.len >= 8)
        assert_memory_not_equal(body.data, plain.data, plain.len < body.len ? plain.len : body.len);

    ks_buf_reset(&back);
    if (tag.len != 0) {
        tag.b[tag.len - 1] ^= 1;
        assert_int_equal(ks_cipher_decrypt(p, key, body, t, &back, NULL), KS_E_INTEGRITY);
        assert_int_equal(back.len, 0);
        tag.b[tag.len - 1] ^= 1;
        assert_int_equal(ks_cipher_decrypt(p, key, body, KS_SPAN(tag.b, tag.len - 1), &back, NULL), KS_E_INVALID);
        struct ks_cipher_params other = *p;
        other.aad = KS_LIT("other");
        assert_int_equal(ks_cipher_decrypt(&other, key, body, t, &back, NULL), KS_E_INTEGRITY);
        if (body.len != 0) {
            out.data[4] ^= 1;
            assert_int_equal(ks_cipher_decrypt(p, key, body, t, &back, NULL), KS_E_INTEGRITY);
        }
    } else {
        assert_int_equal(ks_cipher_decrypt(p, key, body, KS_LIT("0123456789abcdef"), &back, NULL), KS_E_INVALID);
    }
    assert_int_equal(ERR_peek_error(), 0);
}

static void
round_trips_everywhere(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 7, 8, 15, 16, 17, 24, 31, 32, 33, 400};
    static const uint32_t paddings[] = {0, KMIP_PADDING_METHOD_NONE, PKCS5, KMIP_PADDING_METHOD_ANSI_X9_23,
                                        KMIP_PADDING_METHOD_ISO_10126};
    uint8_t key[64], data[400], iv[KS_CIPHER_IV_MAX];
    assert_int_equal(ks_random_key(key, sizeof(key)), 0);
    assert_int_equal(ks_random(data, sizeof(data)), 0);
    assert_int_equal(ks_random(iv, sizeof(iv)), 0);
    for (size_t i = 0; i < KS_ARRAY_LEN(offered); i++) {
        struct ks_cipher_params p = {.algorithm = offered[i].algorithm, .mode = offered[i].mode};
        const bool blocks = p.mode == KMIP_BLOCK_CIPHER_MODE_ECB || p.mode == KMIP_BLOCK_CIPHER_MODE_CBC;
        for (size_t k = 0; k < KS_ARRAY_LEN(paddings); k++) {
            p.padding = paddings[k];
            size_t iv_len = 99;
            const int rc = ks_cipher_iv_len(&p, offered[i].key_len, &iv_len, NULL);
            if (k >= 2 && !blocks) {
                assert_int_equal(rc, KS_E_INVALID);
                assert_int_equal(iv_len, 99);
                continue;
            }
            assert_int_equal(rc, 0);
            p.iv = KS_SPAN(iv, iv_len);
            p.aad = ks_cipher_has_tag(&p) ? KS_LIT("additional") : KS_SPAN_NONE;
            for (size_t n = 0; n < KS_ARRAY_LEN(lens); n++)
                round_trip(&p, KS_SPAN(key, offered[i].key_len), KS_SPAN(data, lens[n]));
        }
    }
}

static void
wrong_parameters_are_told_apart(void **state)
{
    (void)state;
    static const uint8_t bytes[129] = {1};
    const struct ks_span key = KS_SPAN(bytes, 32), iv = KS_SPAN(bytes, 16), nonce = KS_SPAN(bytes, 12);
    const struct ks_span data = KS_LIT("sixteen bytes...");
    enum {
        ECB = KMIP_BLOCK_CIPHER_MODE_ECB,
        CBC = KMIP_BLOCK_CIPHER_MODE_CBC,
        GCM = KMIP_BLOCK_CIPHER_MODE_GCM,
        CCM = KMIP_BLOCK_CIPHER_MODE_CCM,
        CTR = KMIP_BLOCK_CIPHER_MODE_CTR
    };
    const struct {
        struct ks_cipher_params p;
        size_t key_len;
        int rc;
        const char *says;
    } rows[] = {
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_BLOWFISH, .mode = CBC, .iv = iv}, 16, KS_E_UNSUPPORTED, "0x10"},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_DES, .mode = CBC, .iv = iv}, 8, KS_E_UNSUPPORTED, "0x1"},
        {{.algorithm = 0, .mode = CBC, .iv = iv}, 16, KS_E_UNSUPPORTED, "algorithm"},
        {{.algorithm = AES, .iv = iv}, 32, KS_E_INVALID, "mode is missing"},
        {{.algorithm = AES, .mode = KMIP_BLOCK_CIPHER_MODE_PCBC, .iv = iv}, 32, KS_E_UNSUPPORTED, "mode 0x3"},
        {{.algorithm = AES, .mode = KMIP_BLOCK_CIPHER_MODE_AEAD, .iv = iv}, 32, KS_E_UNSUPPORTED, "mode 0x12"},
        {{.algorithm = AES, .mode = CBC, .iv = iv}, 31, KS_E_INVALID, "248 bits"},
        {{.algorithm = AES, .mode = CBC, .iv = iv}, 0, KS_E_INVALID, "0 bits"},
        {{.algorithm = AES, .mode = CBC}, 32, KS_E_INVALID, "IV is missing"},
        {{.algorithm = AES, .mode = CBC, .iv = nonce}, 32, KS_E_INVALID, "no IV of 12"},
        {{.algorithm = AES, .mode = ECB, .iv = iv}, 32, KS_E_INVALID, "takes no IV"},
        {{.algorithm = AES, .mode = CBC, .iv = iv, .aad = nonce}, 32, KS_E_INVALID, "additional"},
        {{.algorithm = AES, .mode = CBC, .iv = iv, .padding = KMIP_PADDING_METHOD_ZEROS}, 32, KS_E_UNSUPPORTED, "0x5"},
        {{.algorithm = AES, .mode = CBC, .iv = iv, .padding = KMIP_PADDING_METHOD_SSL3}, 32, KS_E_UNSUPPORTED, "0x4"},
        {{.algorithm = AES, .mode = CBC, .iv = iv, .padding = KMIP_PADDING_METHOD_OAEP}, 32, KS_E_UNSUPPORTED, "0x2"},
        {{.algorithm = AES, .mode = CTR, .iv = iv, .padding = PKCS5}, 32, KS_E_INVALID, "no padding"},
        {{.algorithm = AES, .mode = GCM, .iv = nonce, .tag_len = 1}, 32, KS_E_INVALID, "tag of 1"},
        {{.algorithm = AES, .mode = GCM, .iv = nonce, .tag_len = 11}, 32, KS_E_INVALID, "tag of 11"},
        {{.algorithm = AES, .mode = GCM, .iv = nonce, .tag_len = 32}, 32, KS_E_INVALID, "tag of 32"},
        {{.algorithm = AES, .mode = GCM, .iv = KS_SPAN(bytes, 129)}, 32, KS_E_INVALID, "no IV of 129"},
        {{.algorithm = AES, .mode = GCM}, 32, KS_E_INVALID, "IV is missing"},
        {{.algorithm = AES, .mode = CCM, .iv = nonce, .tag_len = 5}, 32, KS_E_INVALID, "tag of 5"},
        {{.algorithm = AES, .mode = CCM, .iv = KS_SPAN(bytes, 6)}, 32, KS_E_INVALID, "no IV of 6"},
        {{.algorithm = AES, .mode = CCM, .iv = KS_SPAN(bytes, 14)}, 32, KS_E_INVALID, "no IV of 14"},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20POLY1305, .iv = nonce, .tag_len = 11},
         32,
         KS_E_INVALID,
         "11"},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20, .iv = KS_SPAN(bytes, 9)}, 32, KS_E_INVALID, "IV of 9"},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES, .mode = GCM}, 24, KS_E_UNSUPPORTED, "mode"},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        BUF out = KS_BUF(4096);
        struct ks_cipher_tag tag = {.len = 77};
        struct ks_diag diag = {0};
        const struct ks_span k = KS_SPAN(bytes, rows[i].key_len);
        assert_int_equal(ks_cipher_encrypt(&rows[i].p, k, data, &out, &tag, &diag), rows[i].rc);
        if (strstr(diag.message, rows[i].says) == NULL)
            fail_msg("row %zu: %s", i, diag.message);
        assert_int_equal(tag.len, 77);
        assert_int_equal(ks_cipher_decrypt(&rows[i].p, k, data, KS_SPAN_NONE, &out, NULL), rows[i].rc);
        assert_int_equal(out.len, 0);
    }
    BUF out = KS_BUF(4096);
    struct ks_cipher_params p = {.algorithm = AES, .mode = GCM, .iv = nonce};
    assert_int_equal(ks_cipher_encrypt(&p, key, data, &out, NULL, NULL), KS_E_INVALID);
    p = (struct ks_cipher_params){.algorithm = AES, .mode = CBC, .iv = iv};
    assert_int_equal(ks_cipher_decrypt(&p, key, KS_LIT("seventeen bytes.."), KS_SPAN_NONE, &out, NULL), KS_E_INVALID);
    p.padding = PKCS5;
    assert_int_equal(ks_cipher_decrypt(&p, key, KS_SPAN_NONE, KS_SPAN_NONE, &out, NULL), KS_E_INVALID);
}

static void
xts_halves_must_differ(void **state)
{
    (void)state;
    uint8_t key[64] = {0}, iv[16] = {0};
    const struct ks_cipher_params p = {
        .algorithm = AES, .mode = KMIP_BLOCK_CIPHER_MODE_XTS, .iv = KS_SPAN(iv, sizeof(iv))};
    BUF out = KS_BUF(4096);
    struct ks_diag diag = {0};
    for (size_t len = 32; len <= 64; len += 32) {
        assert_int_equal(ks_cipher_encrypt(&p, KS_SPAN(key, len), KS_SPAN(key, 64), &out, NULL, &diag), KS_E_INVALID);
        assert_int_equal(ks_cipher_decrypt(&p, KS_SPAN(key, len), KS_SPAN(key, 64), KS_SPAN_NONE, &out, NULL),
                         KS_E_INVALID);
    }
    assert_non_null(strstr(diag.message, "halves"));
    key[63] = 1;
    assert_int_equal(ks_cipher_encrypt(&p, KS_SPAN(key, 64), KS_SPAN(key, 64), &out, NULL, NULL), 0);
}

static void
ccm_nonce_bounds_the_length(void **state)
{
    (void)state;
    static uint8_t data[65536];
    const uint8_t bytes[32] = {2};
    struct ks_cipher_params p = {.algorithm = AES, .mode = KMIP_BLOCK_CIPHER_MODE_CCM, .iv = KS_SPAN(bytes, 13)};
    BUF out = KS_BUF(1 << 17);
    struct ks_cipher_tag tag;
    assert_int_equal(ks_cipher_encrypt(&p, KS_SPAN(bytes, 32), KS_SPAN(data, 65536), &out, &tag, NULL), KS_E_INVALID);
    assert_int_equal(ks_cipher_encrypt(&p, KS_SPAN(bytes, 32), KS_SPAN(data, 65535), &out, &tag, NULL), 0);
    p.iv.len = 12;
    assert_int_equal(ks_cipher_encrypt(&p, KS_SPAN(bytes, 32), KS_SPAN(data, 65536), &out, &tag, NULL), 0);
}

/* All last blocks that are padding decrypt, all that are not are refused: each put there by encrypting unpadded. */
static void
padding_is_checked_to_the_byte(void **state)
{
    (void)state;
    static const uint8_t key[32] = {3}, iv[16] = {4};
    struct ks_cipher_params plain = {.algorithm = AES, .mode = KMIP_BLOCK_CIPHER_MODE_CBC, .iv = KS_SPAN(iv, 16)};
    static const uint32_t methods[] = {PKCS5, KMIP_PADDING_METHOD_ANSI_X9_23, KMIP_PADDING_METHOD_ISO_10126};
    for (size_t m = 0; m < KS_ARRAY_LEN(methods); m++) {
        struct ks_cipher_params padded = plain;
        padded.padding = methods[m];
        for (unsigned n = 0; n < 256; n++) {
            for (size_t spoiled = 0; spoiled < 16; spoiled++) { /* 15: none, as the last byte is the length */
                uint8_t block[16];
                memset(block, 0xee, sizeof(block));
                for (size_t i = n <= 16 ? 16 - n : 16; i < 15; i++)
                    block[i] = methods[m] == PKCS5 ? (uint8_t)n : 0;
                block[15] = (uint8_t)n;
                if (spoiled != 15)
                    block[spoiled] ^= 0x80;
                const bool inside = spoiled != 15 && 16 - spoiled <= n;
                const bool good = n >= 1 && n <= 16 && (!inside || methods[m] == KMIP_PADDING_METHOD_ISO_10126);
                BUF cipher = KS_BUF(64);
                BUF out = KS_BUF(64);
                assert_int_equal(ks_cipher_encrypt(&plain, KS_SPAN(key, 32), KS_SPAN(block, 16), &cipher, NULL, NULL),
                                 0);
                const int rc =
                    ks_cipher_decrypt(&padded, KS_SPAN(key, 32), ks_buf_span(&cipher), KS_SPAN_NONE, &out, NULL);
                assert_int_equal(rc, good ? 0 : KS_E_MALFORMED);
                assert_int_equal(out.len, good ? 16 - n : 0);
                for (size_t i = out.len; i < 16; i++)
                    assert_int_equal(out.data[i], 0);
            }
        }
    }
}

static void
a_wrapped_key_is_checked(void **state)
{
    (void)state;
    uint8_t kek[32] = {5}, key[32] = {6};
    for (enum ks_keywrap how = KS_KEYWRAP_RFC3394; how <= KS_KEYWRAP_RFC5649; how++) {
        BUF wrapped = KS_BUF(256);
        BUF out = KS_BUF(256);
        assert_int_equal(ks_keywrap(how, KS_SPAN(kek, 32), KS_SPAN(key, 32), &wrapped, NULL), 0);
        assert_int_equal(wrapped.len, 40);
        for (size_t bit = 0; bit < wrapped.len * 8; bit++) {
            wrapped.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(ks_keyunwrap(how, KS_SPAN(kek, 32), ks_buf_span(&wrapped), &out, NULL), KS_E_INTEGRITY);
            assert_int_equal(out.len, 0);
            wrapped.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        kek[0] ^= 1;
        assert_int_equal(ks_keyunwrap(how, KS_SPAN(kek, 32), ks_buf_span(&wrapped), &out, NULL), KS_E_INTEGRITY);
        kek[0] ^= 1;
        static const size_t lens[] = {0, 8, 15, 31, 39};
        for (size_t i = 0; i < KS_ARRAY_LEN(lens); i++)
            assert_int_equal(ks_keyunwrap(how, KS_SPAN(kek, 32), KS_SPAN(wrapped.data, lens[i]), &out, NULL),
                             KS_E_INVALID);
        assert_int_equal(ks_keyunwrap(how, KS_SPAN(kek, 32), ks_buf_span(&wrapped), &out, NULL), 0);
        assert_memory_equal(out.data, key, 32);
        assert_int_equal(ks_keywrap(how, KS_SPAN(kek, 31), KS_SPAN(key, 32), &out, NULL), KS_E_INVALID);
        assert_int_equal(ks_keywrap(how, KS_SPAN(kek, 32), KS_SPAN_NONE, &out, NULL), KS_E_INVALID);
    }
    BUF out = KS_BUF(256);
    assert_int_equal(ks_keywrap(KS_KEYWRAP_RFC3394, KS_SPAN(kek, 32), KS_SPAN(key, 8), &out, NULL), KS_E_INVALID);
    assert_int_equal(ks_keywrap(KS_KEYWRAP_RFC3394, KS_SPAN(kek, 32), KS_SPAN(key, 17), &out, NULL), KS_E_INVALID);
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
        cmocka_unit_test(published_answers),
        cmocka_unit_test(round_trips_everywhere),
        cmocka_unit_test(wrong_parameters_are_told_apart),
        cmocka_unit_test(xts_halves_must_differ),
        cmocka_unit_test(ccm_nonce_bounds_the_length),
        cmocka_unit_test(padding_is_checked_to_the_byte),
        cmocka_unit_test(a_wrapped_key_is_checked),
    };
    return cmocka_run_group_tests_name("crypto/cipher", tests, NULL, done);
}
