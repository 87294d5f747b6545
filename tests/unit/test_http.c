/* The reader of HTTP/1.1 (server/net/http.h): what is taken, what is refused and how, whatever the pieces it comes in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "server/net/http.h"

enum { TTLV_MAX = 1024, TEXT_MAX = 2048 };

#define START "POST /kmip HTTP/1.1\r\nHost: kms\r\n"
#define TTLV_TYPE "Content-Type: application/octet-stream\r\n"

struct outcome {
    enum http_result result;
    int status;
    enum kmip_encoding encoding;
    bool close, expected;
    size_t used, body_len;
    char body[TEXT_MAX + 1];
};

/* Feeds text in pieces of that many bytes until the reader has decided. */
static struct outcome
feed(struct ks_span text, size_t piece)
{
    struct http_reader r;
    struct outcome o = {.result = HTTP_MORE};
    http_reader_init(&r, TTLV_MAX, TEXT_MAX);
    while (o.used < text.len && o.result == HTTP_MORE) {
        const size_t n = text.len - o.used < piece ? text.len - o.used : piece;
        size_t used = SIZE_MAX;
        o.result = http_reader_take(&r, KS_SPAN(text.data + o.used, n), &used);
        assert_true(used <= n);
        assert_true(used == n || o.result != HTTP_MORE);
        o.used += used;
        o.expected = o.expected || r.expects;
    }
    if (o.result == HTTP_REQUEST) {
        o.encoding = r.encoding;
        o.close = r.close;
        o.body_len = r.body.len;
        assert_true(r.body.len <= TEXT_MAX);
        if (r.body.len != 0)
            memcpy(o.body, r.body.data, r.body.len);
    }
    o.status = r.status;
    assert_true((o.result == HTTP_REFUSED) == (r.status != 0 && r.why != NULL));
    http_reader_done(&r);
    return o;
}

/* Pieces of every size come to the same. */
static struct outcome
take(struct ks_span text)
{
    const struct outcome whole = feed(text, text.len);
    static const size_t pieces[] = {1, 2, 3, 7, 64};
    for (size_t i = 0; i < KS_ARRAY_LEN(pieces); i++) {
        const struct outcome o = feed(text, pieces[i]);
        assert_int_equal(o.result, whole.result);
        assert_int_equal(o.status, whole.status);
        assert_int_equal(o.used, whole.used);
        assert_int_equal(o.body_len, whole.body_len);
        assert_memory_equal(o.body, whole.body, sizeof(o.body));
    }
    return whole;
}

static void
assert_refused(const char *text, int status)
{
    const struct outcome o = take(ks_span_str(text));
    if (o.result != HTTP_REFUSED || o.status != status)
        fail_msg("not refused with %d, but result %d, status %d:\n%s", status, o.result, o.status, text);
}

static void
assert_body(const char *text, const char *body)
{
    const struct outcome o = take(ks_span_str(text));
    if (o.result != HTTP_REQUEST)
        fail_msg("refused with %d:\n%s", o.status, text);
    assert_string_equal(o.body, body);
    assert_int_equal(o.used, strlen(text));
}

static void
test_lengths(void **state)
{
    (void)state;
    assert_body(START TTLV_TYPE "Content-Length: 5\r\n\r\nhello", "hello");
    assert_body(START TTLV_TYPE "content-length:5\r\n\r\nhello", "hello");
    assert_body(START TTLV_TYPE "Content-Length: \t 005 \t\r\n\r\nhello", "hello");
    assert_body(START TTLV_TYPE "Content-Length: 0\r\n\r\n", "");
}

static void
test_what_follows_is_not_taken(void **state)
{
    (void)state;
    static const char one[] = START TTLV_TYPE "Content-Length: 5\r\n\r\nhello";
    static const char two[] = START TTLV_TYPE "Content-Length: 5\r\n\r\nhello" START;
    const struct outcome o = take(KS_SPAN(two, sizeof(two) - 1));
    assert_int_equal(o.result, HTTP_REQUEST);
    assert_int_equal(o.used, sizeof(one) - 1);
}

static void
test_one_after_the_other(void **state)
{
    (void)state;
    static const char text[] =
        START TTLV_TYPE "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" START
                        "Content-Type: text/xml\r\nConnection: close\r\nContent-Length: 2\r\n\r\nde";
    struct http_reader r;
    size_t used, at = 0;
    http_reader_init(&r, TTLV_MAX, TEXT_MAX);
    assert_true(http_reader_is_idle(&r));
    assert_int_equal(http_reader_take(&r, KS_SPAN(text, sizeof(text) - 1), &used), HTTP_REQUEST);
    assert_true(r.body.len == 3 && memcmp(r.body.data, "abc", 3) == 0 && !r.close);
    at += used;
    assert_int_equal(http_reader_take(&r, KS_SPAN(text + at, sizeof(text) - 1 - at), &used), HTTP_MORE);
    assert_int_equal(used, 0); /* until the first one is dealt with */
    http_reader_next(&r);
    assert_true(http_reader_is_idle(&r));
    assert_int_equal(http_reader_memory(&r), 0);
    assert_int_equal(http_reader_take(&r, KS_SPAN(text + at, sizeof(text) - 1 - at), &used), HTTP_REQUEST);
    assert_true(r.body.len == 2 && memcmp(r.body.data, "de", 2) == 0 && r.close);
    assert_int_equal(at + used, sizeof(text) - 1);
    http_reader_done(&r);
}

static void
test_chunks(void **state)
{
    (void)state;
#define CHUNKED START TTLV_TYPE "Transfer-Encoding: chunked\r\n\r\n"
    assert_body(CHUNKED "5\r\nhello\r\n0\r\n\r\n", "hello");
    assert_body(CHUNKED "00000001\r\nh\r\n4;x=y\r\nello\r\n0\r\nDigest: none\r\n\r\n", "hello");
    assert_body(START TTLV_TYPE "Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", "0123456789");
    assert_body(CHUNKED "0\r\n\r\n", "");
    assert_refused(CHUNKED "5\r\nhelloo\r\n0\r\n\r\n", 400);
    assert_refused(CHUNKED "5\r\nhello\n0\r\n\r\n", 400);
    assert_refused(CHUNKED "5\nhello\r\n0\r\n\r\n", 400);
    assert_refused(CHUNKED "\r\n", 400);
    assert_refused(CHUNKED "-1\r\n", 400);
    assert_refused(CHUNKED "0x5\r\nhello\r\n", 400);
    assert_refused(CHUNKED " 5\r\nhello\r\n", 400);
    assert_refused(CHUNKED "5 \r\nhello\r\n", 400);
    assert_refused(CHUNKED "000000005\r\n", 400); /* nine digits */
    assert_refused(CHUNKED "FFFFFFFF\r\n", 413);
    assert_refused(CHUNKED "401\r\n", 413); /* TTLV_MAX is 0x400 */
    assert_refused(CHUNKED "1\r\nx\r\n400\r\n", 413);
    assert_refused(CHUNKED "0\r\nno field\r\n\r\n", 400);
    assert_refused(CHUNKED "0\r\n folded: x\r\n\r\n", 400);
    assert_refused(CHUNKED "5\rhello", 400);
}

static void
test_two_ways_to_read_it(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length:\r\n",
        "Content-Length : 5\r\n",
        " Content-Length: 5\r\n",
        "\tContent-Length: 5\r\n",
        "Content-Length: 5\r\n folded\r\n",
        "Content-Length: 5\n",
        "Content-Length: 5\rX: y\r\n",
        "Content-Length: 5\r\r\n",
        "X\r\nContent-Length: 5\r\n",
        ": 5\r\nContent-Length: 5\r\n",
        "Content-Length\x01: 5\r\n",
        "Content-Length: 5\x01\r\n",
        "Content-Length: 5\x7f\r\n",
        "Host: other\r\nContent-Length: 5\r\n",
        "Content-Type: text/xml\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(heads); i++) {
        char text[512];
        (void)snprintf(text, sizeof(text), START TTLV_TYPE "%s\r\nhello", heads[i]);
        assert_refused(text, 400);
    }
    assert_refused(START TTLV_TYPE "Transfer-Encoding: gzip, chunked\r\n\r\n", 501);
    assert_refused(START TTLV_TYPE "Transfer-Encoding: identity\r\n\r\n", 501);
    assert_refused(START TTLV_TYPE "Transfer-Encoding: xchunked\r\n\r\n", 501);
    assert_refused("POST /kmip HTTP/1.0\r\n" TTLV_TYPE "Transfer-Encoding: chunked\r\n\r\n", 400);
    static const char nul[] = START TTLV_TYPE "Content-Length: 5\0\r\n\r\nhello";
    assert_int_equal(take(KS_SPAN(nul, sizeof(nul) - 1)).status, 400);
}

static void
test_first_lines(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "POST  /kmip HTTP/1.1",
        "POST /kmip  HTTP/1.1",
        " POST /kmip HTTP/1.1",
        "POST\t/kmip HTTP/1.1",
        "POST /kmip HTTP/1.1 ",
        "POST /kmip",
        "POST",
        "",
        "POST /kmip http/1.1",
        "POST /km ip HTTP/1.1",
        "PO(ST /kmip HTTP/1.1",
        "POST /kmip HTTP/11",
        "POST /kmip\xc3 HTTP/1.1",
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(lines); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), "%s\r\nHost: kms\r\n\r\n", lines[i]);
        assert_refused(text, 400);
    }
    assert_refused("POST /kmip HTTP/2.0\r\nHost: kms\r\n\r\n", 505);
    assert_refused("POST /kmip HTTP/1.2\r\nHost: kms\r\n\r\n", 505);
    assert_refused("POST /kmip HTTP/1.1\r\n" TTLV_TYPE "Content-Length: 0\r\n\r\n", 400); /* no Host */
}

static void
test_what_is_not_offered(void **state)
{
    (void)state;
    assert_refused("POST / HTTP/1.1\r\nHost: kms\r\n\r\n", 404);
    assert_refused("POST /kmip/ HTTP/1.1\r\nHost: kms\r\n\r\n", 404);
    assert_refused("POST /kmip?x HTTP/1.1\r\nHost: kms\r\n\r\n", 404);
    assert_refused("POST /KMIP HTTP/1.1\r\nHost: kms\r\n\r\n", 404);
    assert_refused("POST http://kms/kmip HTTP/1.1\r\nHost: kms\r\n\r\n", 404);
    assert_refused("GET / HTTP/1.1\r\nHost: kms\r\n\r\n", 404);
    assert_refused("OPTIONS * HTTP/1.1\r\nHost: kms\r\n\r\n", 404);
    assert_refused("GET /kmip HTTP/1.1\r\nHost: kms\r\n\r\n", 405);
    assert_refused("post /kmip HTTP/1.1\r\nHost: kms\r\n\r\n", 405);
    assert_refused(START TTLV_TYPE "\r\n", 411);
    assert_refused(START "Content-Length: 5\r\n\r\n", 415);
    assert_refused(START "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n", 415);
    assert_refused(START "Content-Type: text/xml; charset=utf-16\r\nContent-Length: 5\r\n\r\n", 415);
    assert_refused(START TTLV_TYPE "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n", 415);
    assert_refused(START TTLV_TYPE "Expect: miracles\r\nContent-Length: 5\r\n\r\n", 417);
    assert_body("POST https://kms:5697/kmip HTTP/1.1\r\nHost: kms\r\n" TTLV_TYPE "Content-Length: 1\r\n\r\nx", "x");
}

static void
test_sizes(void **state)
{
    (void)state;
    char text[HTTP_HEAD_MAX + 4096];
    assert_refused(START TTLV_TYPE "Content-Length: 1025\r\n\r\n", 413);
    assert_refused(START "Content-Type: text/xml\r\nContent-Length: 2049\r\n\r\n", 413);
    assert_refused(START TTLV_TYPE "Content-Length: 99999999999999999999999999\r\n\r\n", 413);
    assert_int_equal(take(KS_LIT(START TTLV_TYPE "Content-Length: 1024\r\n\r\n")).result, HTTP_MORE);
    assert_int_equal(take(KS_LIT(START "Content-Type: text/xml\r\nContent-Length: 2048\r\n\r\n")).result, HTTP_MORE);

    (void)snprintf(text, sizeof(text), "POST /%0*d HTTP/1.1\r\n", HTTP_LINE_MAX, 0);
    assert_refused(text, 414);
    (void)snprintf(text, sizeof(text), START "X: %0*d\r\n", HTTP_HEAD_MAX, 0);
    assert_refused(text, 431);
    KS_CLEANUP(ks_buf_done) struct ks_buf many = KS_BUF(HTTP_HEAD_MAX);
    (void)ks_buf_add_str(&many, START);
    for (size_t i = 0; i < HTTP_FIELDS_MAX; i++)
        (void)ks_buf_add_str(&many, "X: y\r\n");
    (void)ks_buf_add_str(&many, "\r\n");
    assert_int_equal(many.err, 0);
    assert_int_equal(take(ks_buf_span(&many)).status, 431);

    (void)snprintf(text, sizeof(text), CHUNKED "5;%0*d\r\n", HTTP_CHUNK_LINE_MAX, 0);
    assert_refused(text, 400);
    (void)snprintf(text, sizeof(text), CHUNKED "0\r\nX: %0*d\r\n", HTTP_TRAILER_MAX, 0);
    assert_refused(text, 400);
}

static void
test_types(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        enum kmip_encoding encoding;
    } rows[] = {
        {"application/octet-stream", KMIP_ENCODING_TTLV},
        {"Application/JSON", KMIP_ENCODING_JSON},
        {"application/json; charset=UTF-8", KMIP_ENCODING_JSON},
        {"text/xml;charset=\"utf-8\"; x=y", KMIP_ENCODING_XML},
        {"application/xml", KMIP_ENCODING_XML},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), START "Content-Type: %s\r\nContent-Length: 1\r\n\r\nx", rows[i].type);
        const struct outcome o = take(ks_span_str(text));
        assert_int_equal(o.result, HTTP_REQUEST);
        assert_int_equal(o.encoding, rows[i].encoding);
    }
}

static void
test_connections(void **state)
{
    (void)state;
    static const struct {
        const char *version, *field;
        bool close;
    } rows[] = {
        {"1.1", "X: close", false},
        {"1.1", "Connection: close", true},
        {"1.1", "Connection: TE, Close", true},
        {"1.1", "Connection: keep-alive", false},
        {"1.0", "Connection: keep-alive", true},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text),
                       "POST /kmip HTTP/%s\r\nHost: kms\r\n" TTLV_TYPE "%s\r\nContent-Length: 1\r\n\r\nx",
                       rows[i].version, rows[i].field);
        const struct outcome o = take(ks_span_str(text));
        assert_int_equal(o.result, HTTP_REQUEST);
        assert_int_equal(o.close, rows[i].close);
    }
}

static void
test_expectations(void **state)
{
    (void)state;
#define EXPECTS START TTLV_TYPE "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n"
    assert_true(take(KS_LIT(EXPECTS)).expected);
    const struct outcome with_body = feed(KS_LIT(EXPECTS "x"), sizeof(EXPECTS));
    assert_int_equal(with_body.result, HTTP_REQUEST);
    assert_false(with_body.expected); /* it did not wait */
    assert_false(
        take(KS_LIT("POST /kmip HTTP/1.0\r\n" TTLV_TYPE "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n")).expected);
}

static void
test_answers(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(4096);
    const struct http_answer answer = {
        .status = 200, .content_type = "text/xml", .body = KS_LIT("<a/>"), .now = 784111777};
    assert_int_equal(http_answer_add(&out, &answer), 0);
    assert_string_equal(ks_buf_cstr(&out), "HTTP/1.1 200 OK\r\n"
                                           "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" /* RFC 9110, 5.6.7 */
                                           "Content-Type: text/xml\r\n"
                                           "Content-Length: 4\r\n"
                                           "Cache-Control: no-cache, no-store\r\n"
                                           "\r\n"
                                           "<a/>");
    ks_buf_reset(&out);
    const struct http_answer head = {.status = 405, .body = KS_LIT("no"), .close = true, .is_head = true};
    assert_int_equal(http_answer_add(&out, &head), 0);
    const char *text = ks_buf_cstr(&out);
    assert_non_null(strstr(text, "Content-Length: 2\r\n"));
    assert_non_null(strstr(text, "Allow: POST\r\n"));
    assert_non_null(strstr(text, "Connection: close\r\n\r\n"));
    assert_true(out.len > 4 && memcmp(text + strlen(text) - 4, "\r\n\r\n", 4) == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_what_follows_is_not_taken),
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_two_ways_to_read_it),
        cmocka_unit_test(test_first_lines),
        cmocka_unit_test(test_what_is_not_offered),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_expectations),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
