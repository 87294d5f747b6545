/* Frames and identities: what one side writes the other reads; damage of any kind is told apart from "not yet". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "server/frame.h"

static const struct frame sample = {.type = FRAME_REQUEST,
                                    .flags = 3,
                                    .connection = 0x01020304,
                                    .sequence = 0xfffefdfc,
                                    .body = {(const uint8_t *)"abcdef", 6}};

static void
test_layout(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(256);
    assert_int_equal(frame_add(&buf, &sample), 0);
    static const uint8_t expected[] = {0, 0,    0,    18,   2,    3,   0,   0,   1,   2,   3,
                                       4, 0xff, 0xfe, 0xfd, 0xfc, 'a', 'b', 'c', 'd', 'e', 'f'};
    assert_int_equal(buf.len, sizeof(expected));
    assert_memory_equal(buf.data, expected, sizeof(expected));
}

static void
test_round_trip_and_every_prefix(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(256);
    assert_int_equal(frame_add(&buf, &sample), 0);
    const size_t first = buf.len;
    const struct frame empty = {.type = FRAME_CLOSE, .connection = 9};
    assert_int_equal(frame_add(&buf, &empty), 0);

    struct frame got;
    size_t used = 1;
    for (size_t n = 0; n < first; n++) {
        assert_int_equal(frame_take(KS_SPAN(buf.data, n), &got, &used), 0);
        assert_int_equal(used, 0);
    }
    assert_int_equal(frame_take(ks_buf_span(&buf), &got, &used), 0);
    assert_int_equal(used, first);
    assert_int_equal(got.type, FRAME_REQUEST);
    assert_int_equal(got.flags, 3);
    assert_int_equal(got.connection, sample.connection);
    assert_int_equal(got.sequence, sample.sequence);
    assert_true(ks_span_equal(got.body, sample.body));
    assert_int_equal(frame_take(KS_SPAN(buf.data + first, buf.len - first), &got, &used), 0);
    assert_int_equal(used, FRAME_HEADER_LEN);
    assert_int_equal(got.type, FRAME_CLOSE);
    assert_int_equal(got.body.len, 0);
}

static void
test_damage(void **state)
{
    (void)state;
    struct frame got;
    size_t used;
    static const uint8_t cases[][FRAME_HEADER_LEN] = {
        {0, 0, 0, 11, 2},            /* shorter than a header */
        {0xff, 0xff, 0xff, 0xff, 2}, /* longer than any body */
        {0, 0x10, 0x10, 0x0d, 2},    /* one byte longer than a body may be */
        {0, 0, 0, 12, 0},            /* no such type */
        {0, 0, 0, 12, FRAME_ANSWER + 1},
        {0, 0, 0, 12, 2, 0, 1, 0}, /* bytes that are to be zero */
        {0, 0, 0, 12, 2, 0, 0, 1},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++)
        assert_int_equal(frame_take(KS_SPAN(cases[i], sizeof(cases[i])), &got, &used), KS_E_MALFORMED);

    static const uint8_t largest[FRAME_HEADER_LEN] = {0, 0x10, 0x10, 0x0c, 2};
    assert_int_equal(frame_take(KS_SPAN(largest, sizeof(largest)), &got, &used), 0);
    assert_int_equal(used, 0);

    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(4 << 20);
    const struct frame too_big = {.type = FRAME_REQUEST, .body = {(const uint8_t *)"", FRAME_BODY_MAX + 1}};
    assert_int_equal(frame_add(&buf, &too_big), KS_E_LIMIT);
    assert_int_equal(buf.len, 0);
}

static void
test_identity(void **state)
{
    (void)state;
    struct identity who = {
        .authenticated = true,
        .http = true,
        .name = KS_LIT("db1"),
        .subject = KS_LIT("CN=db1,O=Example"),
        .serial = KS_LIT("0a1b"),
        .address = KS_LIT("[2001:db8::1]:40122"),
        .tls = KS_LIT("TLSv1.3 TLS_AES_256_GCM_SHA384"),
    };
    for (size_t i = 0; i < sizeof(who.fingerprint); i++)
        who.fingerprint[i] = (uint8_t)(i * 7);
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(1024);
    assert_int_equal(identity_encode(&who, &buf), 0);

    struct identity got;
    assert_int_equal(identity_decode(ks_buf_span(&buf), &got), 0);
    assert_true(got.authenticated);
    assert_true(got.http);
    assert_memory_equal(got.fingerprint, who.fingerprint, sizeof(who.fingerprint));
    assert_true(ks_span_equal(got.name, who.name));
    assert_true(ks_span_equal(got.subject, who.subject));
    assert_true(ks_span_equal(got.serial, who.serial));
    assert_true(ks_span_equal(got.address, who.address));
    assert_true(ks_span_equal(got.tls, who.tls));

    for (size_t n = 0; n < buf.len; n++)
        assert_int_equal(identity_decode(KS_SPAN(buf.data, n), &got), KS_E_MALFORMED);
    assert_int_equal(ks_buf_add_u8(&buf, 0), 0);
    assert_int_equal(identity_decode(ks_buf_span(&buf), &got), KS_E_MALFORMED);
    buf.data[0] = 4; /* no such flag */
    buf.len--;
    assert_int_equal(identity_decode(ks_buf_span(&buf), &got), KS_E_MALFORMED);
}

static void
test_notice(void **unused)
{
    (void)unused;
    KS_CLEANUP(ks_buf_done) struct ks_buf body = KS_BUF(4096);
    struct frame_notice notice = {.address = KS_LIT("192.0.2.7:5699"), .message = KS_LIT("a message")}, got;
    memset(notice.fingerprint, 0x5a, sizeof(notice.fingerprint));
    assert_int_equal(frame_notice_encode(&notice, &body), 0);
    assert_int_equal(frame_notice_decode(ks_buf_span(&body), &got), 0);
    assert_true(ks_span_equal(got.address, notice.address));
    assert_true(ks_span_equal(got.message, notice.message));
    assert_memory_equal(got.fingerprint, notice.fingerprint, sizeof(got.fingerprint));
    const size_t head = body.len - notice.message.len;
    for (size_t len = 0; len < head; len++)
        assert_int_equal(frame_notice_decode(KS_SPAN(body.data, len), &got), KS_E_MALFORMED);
}

static void
test_unreadable(void **unused)
{
    (void)unused;
    static const struct {
        int32_t major, minor, then_major, then_minor;
    } rows[] = {{2, 1, 2, 1},   {1, 0, 1, 0},   {0, 0, 0, 0},        {-1, 4, 0, 0},
                {1, 256, 0, 0}, {257, 4, 0, 0}, {255, 255, 255, 255}};
    static const char longest[FRAME_WHY_MAX + 10] = "why";
    struct frame_unreadable got;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf body = KS_BUF(2 + FRAME_WHY_MAX);
        const struct frame_unreadable what = {rows[i].major, rows[i].minor,
                                              KS_SPAN((const uint8_t *)longest, i == 0 ? sizeof(longest) : 3)};
        assert_int_equal(frame_unreadable_encode(&what, &body), 0);
        assert_int_equal(frame_unreadable_decode(ks_buf_span(&body), &got), 0);
        assert_int_equal(got.major, rows[i].then_major);
        assert_int_equal(got.minor, rows[i].then_minor);
        assert_true(ks_span_equal(got.why, KS_SPAN((const uint8_t *)longest, i == 0 ? FRAME_WHY_MAX : 3)));
    }
    assert_int_equal(frame_unreadable_decode(KS_LIT("x"), &got), KS_E_MALFORMED);
    assert_int_equal(frame_unreadable_decode(KS_SPAN((const uint8_t *)longest, FRAME_WHY_MAX + 3), &got),
                     KS_E_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout), cmocka_unit_test(test_round_trip_and_every_prefix),
        cmocka_unit_test(test_damage), cmocka_unit_test(test_identity),
        cmocka_unit_test(test_notice), cmocka_unit_test(test_unreadable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
