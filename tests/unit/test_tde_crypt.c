#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "tde/classify.h"
#include "tde/crypt.h"

enum { SEEDS = 20, ROUNDS = 300, SIZE = 40000 };

static uint64_t dice;

static size_t
roll(size_t n)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return n > 0 ? (size_t)(dice % n) : 0;
}

static void
unhex(const char *hex, uint8_t *ret, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        ret[i] = (uint8_t)strtoul(two, NULL, 16);
    }
}

/* IEEE 1619-2007, annex B, vector 10: AES-256, data unit 0xff of 512 bytes; the first 32 bytes. */
static void
test_known(void **state)
{
    (void)state;
    uint8_t key[KS_XTS_KEY], plain[512], out[512], again[512], first[32];
    unhex("271828182845904523536028747135266249775724709369995957496696762731415926535897932384626433832795028841971693"
          "99375"
          "105820974944592",
          key, sizeof(key));
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)i;
    unhex("1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b", first, sizeof(first));
    struct ks_xts *xts;
    assert_int_equal(ks_xts_new(key, &xts, NULL), 0);
    const struct tde_shape shape = {512, 512};
    assert_int_equal(tde_encrypt(xts, &shape, 0xff * 512, plain, sizeof(plain), out), 0);
    assert_memory_equal(out, first, sizeof(first));
    /* The same, in parts that begin anywhere. */
    for (size_t at = 0, n; at < sizeof(plain); at += n) {
        n = 16 * (1 + at / 16 % 5);
        if (n > sizeof(plain) - at)
            n = sizeof(plain) - at;
        assert_int_equal(tde_encrypt(xts, &shape, 0xff * 512 + at, plain + at, n, again + at), 0);
    }
    assert_memory_equal(out, again, sizeof(out));
    assert_int_equal(tde_decrypt(xts, &shape, 0xff * 512, out, sizeof(out)), 0);
    assert_memory_equal(out, plain, sizeof(out));
    ks_xts_free(xts);
    memset(key, 7, sizeof(key));
    assert_int_equal(ks_xts_new(key, &xts, NULL), KS_E_INVALID);
}

static struct ks_xts *
some_key(uint8_t fill)
{
    uint8_t key[KS_XTS_KEY];
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)(fill + i);
    struct ks_xts *xts;
    assert_int_equal(ks_xts_new(key, &xts, NULL), 0);
    return xts;
}

/* Random ranges of random bytes and zeros, for each class's shape, against a buffer in the clear. */
static void
test_ranges(void **state)
{
    (void)state;
    static uint8_t disk[SIZE], shadow[SIZE], part[SIZE], out[SIZE];
    struct ks_xts *xts = some_key(1);
    for (int seed = 1; seed <= SEEDS; seed++)
        for (int class = TDE_REL; class < TDE_CLASSES; class ++) {
            dice = (uint64_t)seed * 0x9e3779b97f4a7c15U + (uint64_t) class;
            const struct tde_shape shape = {tde_classes[class].unit, tde_classes[class].zero};
            memset(disk, 0, sizeof(disk));
            memset(shadow, 0, sizeof(shadow));
            for (int i = 0; i < ROUNDS / 10; i++) {
                const size_t at = roll(SIZE / 16) * 16, n = roll((SIZE - at) / 16 + 1) * 16;
                const size_t zeros = roll(n + 1);
                for (size_t k = 0; k < n; k++)
                    part[k] = k < zeros ? 0 : (uint8_t)roll(256);
                assert_int_equal(tde_encrypt(xts, &shape, at, part, n, out), 0);
                memcpy(disk + at, out, n);
                memcpy(shadow + at, part, n);
                const size_t from = roll(SIZE / 16) * 16, len = roll((SIZE - from) / 16 + 1) * 16;
                memcpy(out, disk + from, len);
                assert_int_equal(tde_decrypt(xts, &shape, from, out, len), 0);
                assert_memory_equal(out, shadow + from, len);
            }
        }
    ks_xts_free(xts);
}

static void
test_zeros(void **state)
{
    (void)state;
    struct ks_xts *xts = some_key(2);
    uint8_t in[8192] = {0}, out[8192];
    const struct tde_shape rel = {8192, 8192}, wal = {4096, 512};
    memset(out, 1, sizeof(out));
    assert_int_equal(tde_encrypt(xts, &rel, 0, in, sizeof(in), out), 0);
    assert_true(tde_all_zero(out, sizeof(out)));
    /* One byte, and nothing of a relation's page is zeros; of a page of WAL, only the piece that it is in is not. */
    in[600] = 1;
    assert_int_equal(tde_encrypt(xts, &rel, 0, in, sizeof(in), out), 0);
    for (size_t i = 0; i < sizeof(out); i += 16)
        assert_false(tde_all_zero(out + i, 16));
    assert_int_equal(tde_encrypt(xts, &wal, 0, in, sizeof(in), out), 0);
    for (size_t i = 0; i < sizeof(out); i += 512)
        assert_int_equal(tde_all_zero(out + i, 512), i != 512);
    assert_int_equal(tde_decrypt(xts, &wal, 0, out, sizeof(out)), 0);
    assert_memory_equal(in, out, sizeof(in));
    ks_xts_free(xts);
}

/* Zeros are looked for many bytes at once: none is overlooked, wherever it is, and however long the rest is. */
static void
test_looking(void **state)
{
    (void)state;
    static uint8_t data[420], page[8192], disk[8192], again[8192];
    for (size_t from = 0; from < 17; from += 4)
        for (size_t len = 0; len + from <= sizeof(data); len += 1 + len / 20) {
            assert_true(tde_all_zero(data + from, len));
            for (size_t at = 0; at < len; at++) {
                data[from + at] = 0x80;
                assert_false(tde_all_zero(data + from, len));
                data[from + at] = 0;
            }
        }
    struct ks_xts *xts = some_key(4);
    const struct tde_shape rel = {8192, 8192};
    for (size_t i = 0; i < sizeof(page); i++)
        page[i] = (uint8_t)(1 + i % 250);
    for (size_t len = 16; len <= sizeof(page); len += 16 + len / 16 * 16) {
        assert_int_equal(tde_encrypt(xts, &rel, 0, page, len, disk), 0);
        for (size_t at = 0; at < len; at += 16) {
            memcpy(again, disk, len);
            memset(again + at, 0, 16);
            assert_int_equal(tde_decrypt(xts, &rel, 0, again, len), 0);
            assert_true(tde_all_zero(again + at, 16));
            assert_memory_equal(again, page, at);
            assert_memory_equal(again + at + 16, page + at + 16, len - at - 16);
        }
    }
    ks_xts_free(xts);
}

/* The stream of a tail is another where its position, or what is in front of it, is. */
static void
test_tail(void **state)
{
    (void)state;
    struct ks_xts *xts = some_key(3);
    uint8_t a[16] = {0}, b[16] = {0}, c[16] = {0}, before[16] = {1}, other[16] = {2};
    assert_int_equal(tde_tail(xts, 32, before, a, 15), 0);
    assert_int_equal(tde_tail(xts, 32, other, b, 15), 0);
    assert_int_equal(tde_tail(xts, 48, before, c, 15), 0);
    assert_memory_not_equal(a, b, 15);
    assert_memory_not_equal(a, c, 15);
    assert_memory_not_equal(b, c, 15);
    assert_int_equal(a[15], 0);
    assert_int_equal(tde_tail(xts, 32, before, a, 15), 0);
    assert_true(tde_all_zero(a, 16));
    ks_xts_free(xts);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),   cmocka_unit_test(test_ranges), cmocka_unit_test(test_zeros),
        cmocka_unit_test(test_looking), cmocka_unit_test(test_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
