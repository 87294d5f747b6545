/* The form of encrypted values: postgres/value.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "postgres/value.h"

static const struct ks_key32 KEY = {{1, 2, 3}};
static const struct ks_value_key WHICH = {.id = "0123456789abcde", .version = 7};

static void
seal(struct ks_span plaintext, struct ks_buf *ret)
{
    assert_int_equal(ks_value_seal(&KEY, &WHICH, plaintext, ret, NULL), 0);
    assert_int_equal(ret->len, plaintext.len + KS_VALUE_OVERHEAD);
}

static void
round_trip(void **state)
{
    (void)state;
    const struct ks_span texts[] = {KS_LIT(""), KS_LIT("x"), KS_LIT("4111 1111 1111 1111")};
    for (size_t i = 0; i < KS_ARRAY_LEN(texts); i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf value = KS_BUF(1000), clear = KS_BUF(1000);
        seal(texts[i], &value);
        struct ks_value_key which;
        assert_int_equal(ks_value_parse(ks_buf_span(&value), &which, NULL), 0);
        assert_memory_equal(which.id, WHICH.id, sizeof(which.id));
        assert_int_equal(which.version, 7);
        assert_int_equal(ks_value_open(&KEY, ks_buf_span(&value), &clear, NULL), 0);
        assert_true(ks_span_equal(ks_buf_span(&clear), texts[i]));
    }
}

static void
equal_plaintexts_differ(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf a = KS_BUF(1000), b = KS_BUF(1000);
    seal(KS_LIT("same"), &a);
    seal(KS_LIT("same"), &b);
    /* Salt, IV, ciphertext and tag: none is shared. */
    const size_t salt = 1 + KS_VALUE_ID + 4;
    assert_memory_not_equal(a.data + salt, b.data + salt, KS_VALUE_SALT);
    assert_memory_not_equal(a.data + KS_VALUE_HEADER, b.data + KS_VALUE_HEADER, KS_SEAL_IV);
    assert_memory_not_equal(a.data + KS_VALUE_HEADER + KS_SEAL_IV, b.data + KS_VALUE_HEADER + KS_SEAL_IV, 4);
}

/* Every byte counts: header, salt, IV, ciphertext, tag. */
static void
every_changed_byte_is_noticed(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf value = KS_BUF(1000);
    seal(KS_LIT("secret"), &value);
    for (size_t i = 0; i < value.len; i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf clear = KS_BUF(1000);
        value.data[i] ^= 0x10;
        const int rc = ks_value_open(&KEY, ks_buf_span(&value), &clear, NULL);
        assert_int_equal(rc, i == 0 ? KS_E_MALFORMED : KS_E_INTEGRITY);
        assert_int_equal(clear.len, 0);
        value.data[i] ^= 0x10;
    }
}

static void
truncated_is_noticed(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf value = KS_BUF(1000);
    seal(KS_LIT("secret"), &value);
    for (size_t len = 0; len < value.len; len++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf clear = KS_BUF(1000);
        const int rc = ks_value_open(&KEY, KS_SPAN(value.data, len), &clear, NULL);
        assert_int_equal(rc, len < KS_VALUE_OVERHEAD ? KS_E_MALFORMED : KS_E_INTEGRITY);
    }
}

static void
other_key_is_noticed(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf value = KS_BUF(1000), clear = KS_BUF(1000);
    seal(KS_LIT("secret"), &value);
    const struct ks_key32 other = {{1, 2, 4}};
    assert_int_equal(ks_value_open(&other, ks_buf_span(&value), &clear, NULL), KS_E_INTEGRITY);
}

/* SP 800-38D; made with the construction in value.h by another implementation (Python's cryptography). */
static void
known_value(void **state)
{
    (void)state;
    static const uint8_t VALUE[] = {
#include "pg_value_vector.inc"
    };
    KS_CLEANUP(ks_buf_done) struct ks_buf clear = KS_BUF(1000);
    struct ks_key32 key;
    for (size_t i = 0; i < sizeof(key.b); i++)
        key.b[i] = (uint8_t)i;
    assert_int_equal(ks_value_open(&key, KS_SPAN(VALUE, sizeof(VALUE)), &clear, NULL), 0);
    assert_true(ks_span_is(ks_buf_span(&clear), "4111 1111 1111 1111"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(equal_plaintexts_differ),
        cmocka_unit_test(every_changed_byte_is_noticed),
        cmocka_unit_test(truncated_is_noticed),
        cmocka_unit_test(other_key_is_noticed),
        cmocka_unit_test(known_value),
    };
    return cmocka_run_group_tests_name("pg_value", tests, NULL, NULL);
}
