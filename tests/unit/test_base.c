/* base/: what every other module stands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

static void
a_buffer_keeps_its_maximum_and_its_first_error(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(10);
    assert_int_equal(ks_buf_add(&buf, "12345678", 8), 0);
    assert_int_equal(ks_buf_add(&buf, "abc", 3), KS_E_LIMIT);
    assert_int_equal(ks_buf_add(&buf, "a", 1), KS_E_LIMIT); /* sticky, though it would fit */
    assert_int_equal(buf.len, 8);
    ks_buf_reset(&buf);
    assert_int_equal(ks_buf_add_be32(&buf, 0x01020304), 0);
    assert_int_equal(ks_be32(buf.data), 0x01020304);
    ks_buf_drop_front(&buf, 3);
    assert_int_equal(buf.len, 1);
    assert_int_equal(buf.data[0], 4);
    assert_int_equal(buf.data[1], 0); /* wiped */
}

static void
an_arena_keeps_its_limit(void **state)
{
    (void)state;
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(100000);
    size_t n = 0;
    while (n < 10000) {
        uint8_t *p = ks_arena_alloc(&arena, 100);
        if (p == NULL)
            break;
        for (size_t i = 0; i < 100; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, 100);
        n++;
    }
    assert_int_equal(n, 1000);
    assert_null(ks_arena_alloc(&arena, SIZE_MAX));
    assert_null(ks_arena_array(&arena, SIZE_MAX / 2, 4));
    ks_arena_reset(&arena);
    assert_non_null(ks_arena_alloc(&arena, 100));
}

static void
a_cursor_never_reads_past_its_end(void **state)
{
    (void)state;
    struct ks_cursor c = KS_CURSOR(KS_LIT("\x01\x02\x03\x04\x05"));
    assert_int_equal(ks_cursor_be32(&c), 0x01020304);
    assert_int_equal(ks_cursor_be32(&c), 0);
    assert_int_equal(c.err, KS_E_MALFORMED);
    assert_int_equal(ks_cursor_u8(&c), 0); /* the byte is there, but the error sticks */
}

static void
utf8_is_checked_to_the_letter(void **state)
{
    (void)state;
    assert_true(ks_utf8_valid(KS_LIT("plain")));
    assert_true(ks_utf8_valid(KS_LIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x91")));
    static const char *const bad[] = {"\x80",         "\xc0\xaf",         "\xc3", "\xe0\x80\xaf",
                                      "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"};
    for (size_t i = 0; i < KS_ARRAY_LEN(bad); i++)
        assert_false(ks_utf8_valid(ks_span_str(bad[i])));
}

static void
numbers_and_dates_are_whole_strings(void **state)
{
    (void)state;
    int64_t v = 7;
    assert_int_equal(ks_parse_i64(KS_LIT("-42"), -100, 100, &v), 0);
    assert_int_equal(v, -42);
    assert_int_equal(ks_parse_i64(KS_LIT("0x10"), 0, 100, &v), 0);
    assert_int_equal(v, 16);
    assert_int_equal(ks_parse_i64(KS_LIT("9223372036854775808"), INT64_MIN, INT64_MAX, &v), KS_E_LIMIT);
    assert_int_equal(ks_parse_i64(KS_LIT("-9223372036854775808"), INT64_MIN, INT64_MAX, &v), 0);
    assert_true(v == INT64_MIN);
    assert_int_equal(ks_parse_i64(KS_LIT("1x"), 0, 100, &v), KS_E_MALFORMED);
    assert_int_equal(ks_parse_i64(KS_LIT(""), 0, 100, &v), KS_E_MALFORMED);
    assert_int_equal(ks_parse_i64(KS_LIT("101"), 0, 100, &v), KS_E_LIMIT);

    char text[KS_TIME_TEXT_LEN];
    assert_int_equal(ks_time_parse(KS_LIT("2026-11-24T06:57:42+01:00"), &v), 0);
    assert_int_equal(ks_time_format(v, text), 0);
    assert_string_equal(text, "2026-11-24T05:57:42+00:00");
    assert_int_equal(ks_time_parse(KS_LIT("2026-02-31T00:00:00Z"), &v), KS_E_MALFORMED);
    assert_int_equal(ks_time_parse(KS_LIT("2026-02-28T00:00:00"), &v), KS_E_MALFORMED);
    assert_int_equal(ks_time_format_us(-1, text), 0);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");

    KS_CLEANUP(ks_buf_done) struct ks_buf digits = KS_BUF(200);
    const int64_t numbers[] = {0, 7, 10, -1, 1234567890, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char expected[32];
        snprintf(expected, sizeof(expected), "%lld", (long long)numbers[i]);
        ks_buf_reset(&digits);
        assert_int_equal(ks_dec_add(&digits, numbers[i]), 0);
        assert_string_equal(ks_buf_cstr(&digits), expected);
    }
    char most[KS_DEC_TEXT_LEN];
    assert_int_equal(ks_dec_text(UINT64_MAX, most), 20);
    assert_memory_equal(most, "18446744073709551615", 20);
}

static void
json_strings_cannot_break_out(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(200);
    assert_int_equal(ks_json_add_string(&buf, KS_LIT("a\"\\\n\xff")), 0);
    assert_string_equal(ks_buf_cstr(&buf), "\"a\\\"\\\\\\u000a\\u00ff\"");

    /* Every byte at every place of a text that is looked at eight bytes at a time. */
    for (int c = 0; c < 0x80; c++) {
        for (size_t at = 0; at < 19; at++) {
            uint8_t given[19];
            char one[8] = {(char)c, '\0'}, expected[64];
            memset(given, 'a', sizeof(given));
            given[at] = (uint8_t)c;
            if (c == '"' || c == '\\')
                snprintf(one, sizeof(one), "\\%c", c);
            else if (c < 0x20 || c == 0x7f)
                snprintf(one, sizeof(one), "\\u%04x", (unsigned)c);
            snprintf(expected, sizeof(expected), "\"%.*s%s%.*s\"", (int)at, "aaaaaaaaaaaaaaaaaaa", one, (int)(18 - at),
                     "aaaaaaaaaaaaaaaaaaa");
            ks_buf_reset(&buf);
            assert_int_equal(ks_json_add_string(&buf, KS_SPAN(given, sizeof(given))), 0);
            assert_string_equal(ks_buf_cstr(&buf), expected);
        }
    }
}

static void
files_are_replaced_whole_and_private_ones_stay_private(void **state)
{
    (void)state;
    char dir[] = "/tmp/keystead-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char path[64];
    snprintf(path, sizeof(path), "%s/f", dir);
    struct ks_diag diag = {0};
    assert_int_equal(ks_file_write(path, KS_LIT("one"), 0600, &diag), 0);
    assert_int_equal(ks_file_write(path, KS_LIT("two"), 0600, &diag), 0);
    assert_int_equal(ks_file_create(path, KS_LIT("three"), 0600, &diag), KS_E_EXISTS);
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(3);
    assert_int_equal(ks_file_read_private(path, &buf, NULL), 0);
    assert_true(ks_span_is(ks_buf_span(&buf), "two"));
    assert_int_equal(chmod(path, 0640), 0);
    diag = (struct ks_diag){0};
    ks_buf_reset(&buf);
    assert_int_equal(ks_file_read_private(path, &buf, &diag), KS_E_DENIED);
    assert_non_null(strstr(ks_diag_text(&diag), "chmod 600"));
    KS_CLEANUP(ks_buf_done) struct ks_buf small = KS_BUF(2);
    assert_int_equal(ks_file_read(path, &small, NULL), KS_E_LIMIT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ks_file_read(path, &buf, NULL), KS_E_NOT_FOUND);
    assert_int_equal(rmdir(dir), 0);
}

static void
secrets_compare_whole(void **state)
{
    (void)state;
    KS_SECRET *secret = NULL;
    assert_int_equal(ks_secret_from("0123456789abcdef", 16, &secret), 0);
    assert_true(ks_equal_secret(ks_secret_data(secret), "0123456789abcdef", 16));
    assert_false(ks_equal_secret(ks_secret_data(secret), "0123456789abcdeX", 16));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_keeps_its_maximum_and_its_first_error),
        cmocka_unit_test(an_arena_keeps_its_limit),
        cmocka_unit_test(a_cursor_never_reads_past_its_end),
        cmocka_unit_test(utf8_is_checked_to_the_letter),
        cmocka_unit_test(numbers_and_dates_are_whole_strings),
        cmocka_unit_test(json_strings_cannot_break_out),
        cmocka_unit_test(files_are_replaced_whole_and_private_ones_stay_private),
        cmocka_unit_test(secrets_compare_whole),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
