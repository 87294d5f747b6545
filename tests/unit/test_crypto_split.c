/* crypto/split.h */
#include "tests/unit/crypto_test.h"

#include <stdlib.h>

#include "crypto/random.h"
#include "crypto/split.h"

enum {
    XOR = KMIP_SPLIT_KEY_METHOD_XOR,
    GF16 = KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_GF_2_16,
    GF8 = KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_GF_2_8,
    PRIME = KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_PRIME_FIELD
};

/* 2^521 - 1: a prime greater than what 65 bytes can be. */
static struct ks_span
mersenne(void)
{
    static uint8_t p[66];
    memset(p, 0xff, sizeof(p));
    p[0] = 1;
    return KS_SPAN(p, sizeof(p));
}

/* The parts of the published case TC-SJ-2-20; any two of them give the key. */
static void
the_published_parts_give_the_published_key(void **state)
{
    (void)state;
    static const char *const parts[] = {"66c46a7754f94de420c7b1a7fff5ec56", "cf93d1e2a7e593cd5b8d6247f4e5d49c",
                                        "a855b891f61ad9217240d8ec061e37da", "803dbad55cdd329fad19d99ae2c5a415"};
    const struct ks_split how = {.method = GF8, .parts = 4, .threshold = 2};
    TEST_ARENA(arena);
    uint8_t key[16];
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 4; k++) {
            const struct ks_share two[] = {{i + 1, hex(&arena, parts[i])}, {k + 1, hex(&arena, parts[k])}};
            if (i == k) {
                assert_int_equal(ks_split_join(&how, two, 2, key, 16, NULL), KS_E_INVALID);
                continue;
            }
            assert_int_equal(ks_split_join(&how, two, 2, key, 16, NULL), 0);
            assert_hex(key, 16, "0102030405060708090a0b0c0d0e0f10");
        }
    }
}

/* By hand: f(x) = s + a x. In GF(2^8) mod 283 {57}{83} = {c1} and {57}{13} = {fe} (FIPS 197, 4.2); in the field of 23,
 * f(x) = 5 + 7 x. */
static void
fields_are_what_the_standards_say(void **state)
{
    (void)state;
    /* s = 0, a = {57}: the parts at {83} and {13}. */
    const struct ks_split rijndael = {
        .method = GF8, .polynomial = KMIP_SPLIT_KEY_POLYNOMIAL_POLYNOMIAL_283, .parts = 0x83, .threshold = 2};
    static const uint8_t c1 = 0xc1, fe = 0xfe;
    const struct ks_share two[] = {{0x83, {&c1, 1}}, {0x13, {&fe, 1}}};
    uint8_t out[2] = {1, 1};
    assert_int_equal(ks_split_join(&rijndael, two, 2, out, 1, NULL), 0);
    assert_int_equal(out[0], 0);
    /* The same values are in another field those of another polynomial. */
    struct ks_split other = rijndael;
    other.polynomial = KMIP_SPLIT_KEY_POLYNOMIAL_POLYNOMIAL_285;
    assert_int_equal(ks_split_join(&other, two, 2, out, 1, NULL), 0);
    assert_int_not_equal(out[0], 0);
    /*
     * GF(2^16): a = y, s = 0. Part 1 is y = 01 00, part 2 is {02} y = 02 00; and with a = {83} y part {57} is {c1} y.
     */
    const struct ks_split wide = {.method = GF16, .parts = 255, .threshold = 2};
    static const uint8_t y[] = {1, 0}, y2[] = {2, 0}, y83[] = {0x83, 0}, yc1[] = {0xc1, 0};
    const struct ks_share pair[] = {{1, {y, 2}}, {2, {y2, 2}}}, far[] = {{1, {y83, 2}}, {0x57, {yc1, 2}}};
    assert_int_equal(ks_split_join(&wide, pair, 2, out, 2, NULL), 0);
    assert_true(out[0] == 0 && out[1] == 0);
    assert_int_equal(ks_split_join(&wide, far, 2, out, 2, NULL), 0);
    assert_true(out[0] == 0 && out[1] == 0);
    /* 65537: f(x) = 5 + 7 x. */
    static const uint8_t prime[] = {1, 0, 1}, f1[] = {0, 0, 12}, f4[] = {0, 0, 33};
    const struct ks_split small = {.method = PRIME, .parts = 5, .threshold = 2, .prime = {prime, 3}};
    const struct ks_share shares[] = {{4, {f4, 3}}, {1, {f1, 3}}};
    assert_int_equal(ks_split_join(&small, shares, 2, out, 1, NULL), 0);
    assert_int_equal(out[0], 5);
}

static void
round_trip(uint32_t method, unsigned parts, unsigned threshold, size_t len)
{
    uint8_t secret[65], joined[65], *shares;
    size_t share_len = 0;
    struct ks_share given[KS_SPLIT_MOST];
    const struct ks_split how = {.method = method, .parts = parts, .threshold = threshold, .prime = mersenne()};
    assert_int_equal(ks_random(secret, sizeof(secret)), 0);
    secret[0] = len % 2 == 0 ? 0 : 0xff; /* zeros in front count */
    assert_int_equal(ks_split_length(&how, len, &share_len, NULL), 0);
    shares = calloc(parts, share_len);
    assert_non_null(shares);
    assert_int_equal(ks_split(&how, KS_SPAN(secret, len), shares, NULL), 0);
    /* Windows of every size from the threshold on, anywhere, backwards. */
    for (unsigned n = threshold; n <= parts; n += n < threshold + 2 ? 1 : parts) {
        for (unsigned from = 0; from + n <= parts; from += 1 + parts / 5) {
            for (unsigned i = 0; i < n; i++)
                given[i] = (struct ks_share){from + n - i, KS_SPAN(shares + (from + n - i - 1) * share_len, share_len)};
            memset(joined, 0xaa, sizeof(joined));
            assert_int_equal(ks_split_join(&how, given, n, joined, len, NULL), 0);
            assert_memory_equal(joined, secret, len);
            assert_int_equal(ks_split_join(&how, given, threshold - 1, joined, len, NULL), KS_E_INVALID);
        }
    }
    /* A part that was changed is found out where there are more than are needed. */
    if (threshold < parts && method != XOR) {
        for (unsigned i = 0; i <= threshold; i++)
            given[i] = (struct ks_share){i + 1, KS_SPAN(shares + i * share_len, share_len)};
        shares[share_len - 1] ^= 1;
        assert_int_equal(ks_split_join(&how, given, threshold + 1, joined, len, NULL), KS_E_INTEGRITY);
    }
    free(shares);
}

static void
every_method_gives_back_what_it_split(void **state)
{
    (void)state;
    static const uint32_t methods[] = {XOR, GF16, GF8, PRIME};
    static const unsigned sizes[][2] = {{2, 2}, {3, 2}, {3, 3}, {5, 3}, {7, 4}, {16, 9}, {255, 2}};
    static const size_t lengths[] = {1, 2, 15, 16, 31, 32, 33, 64, 65};
    for (size_t m = 0; m < KS_ARRAY_LEN(methods); m++)
        for (size_t s = 0; s < KS_ARRAY_LEN(sizes); s++)
            for (size_t l = 0; l < KS_ARRAY_LEN(lengths); l++)
                round_trip(methods[m], sizes[s][0], methods[m] == XOR ? sizes[s][0] : sizes[s][1], lengths[l]);
}

static void
what_can_not_be_split(void **state)
{
    (void)state;
    static const uint8_t composite[] = {1, 0, 0}, zero_first[] = {0, 1, 0, 1};
    static const struct {
        struct ks_split how;
        size_t len;
        int rc;
    } cases[] = {
        {{.method = GF8, .parts = 1, .threshold = 1}, 16, KS_E_INVALID},
        {{.method = GF8, .parts = 3, .threshold = 1}, 16, KS_E_INVALID},
        {{.method = GF8, .parts = 3, .threshold = 4}, 16, KS_E_INVALID},
        {{.method = GF8, .parts = 256, .threshold = 2}, 16, KS_E_INVALID},
        {{.method = XOR, .parts = 3, .threshold = 2}, 16, KS_E_INVALID},
        {{.method = GF8, .parts = 3, .threshold = 2}, 0, KS_E_INVALID},
        {{.method = 99, .parts = 3, .threshold = 2}, 16, KS_E_UNSUPPORTED},
        {{.method = PRIME, .parts = 3, .threshold = 2}, 16, KS_E_INVALID},
        {{.method = PRIME, .parts = 3, .threshold = 2, .prime = {composite, 3}}, 3, KS_E_INVALID},
        {{.method = PRIME, .parts = 3, .threshold = 2, .prime = {zero_first, 4}}, 2, KS_E_INVALID},
    };
    size_t len = 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++)
        assert_int_equal(ks_split_length(&cases[i].how, cases[i].len, &len, NULL), cases[i].rc);
    /* Long enough, and no prime: found when it is split. */
    const struct ks_split how = {.method = PRIME, .parts = 3, .threshold = 2, .prime = {composite, 3}};
    uint8_t parts[9];
    assert_int_equal(ks_split(&how, KS_LIT("ab"), parts, NULL), KS_E_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_parts_give_the_published_key),
        cmocka_unit_test(fields_are_what_the_standards_say),
        cmocka_unit_test(every_method_gives_back_what_it_split),
        cmocka_unit_test(what_can_not_be_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
