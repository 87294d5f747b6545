/*
 * KMIP over HTTPS on a connection: requests out of HTTP, JSON and XML into TTLV for the vault, and its answers back.
 * One request at a time: what comes behind it waits, so answers need no order of their own. The vault never sees HTTP,
 * JSON or XML; that a message could not be read it is told, so that this is on record like everything else.
 */
#include <stdlib.h>

#include "base/text.h"
#include "server/net/internal.h"

enum {
    TEXT_FACTOR = 2,            /* JSON and XML of a message are longer than its TTLV: bytes as hexadecimal */
    PARSE_MEMORY = 64 << 20,    /* of JSON or XML while it is read; gone with it */
    ANSWER_TEXT_MAX = 32 << 20, /* the largest answer in JSON or XML: names and layout around each number */
};

int
net_http_new(struct conn *c)
{
    const size_t max = (size_t)c->worker->config->limits_request_bytes;
    c->http = calloc(1, sizeof(*c->http));
    if (c->http == NULL)
        return KS_E_NOMEM;
    http_reader_init(c->http, max, TEXT_FACTOR * max);
    return 0;
}

void
net_http_free(struct conn *c)
{
    if (c->http == NULL)
        return;
    http_reader_done(c->http);
    free(c->http);
    c->http = NULL;
}

static int
add_answer(struct conn *c, int status, const char *content_type, struct ks_span body)
{
    const struct http_answer answer = {.status = status,
                                       .content_type = content_type,
                                       .body = body,
                                       .close = c->refused,
                                       .is_head = status != 200 && c->http->is_head,
                                       .now = ks_clock_us() / 1000000};
    return http_answer_add(&c->out, &answer);
}

void
net_http_refuse(struct conn *c, int status, const char *why)
{
    c->refused = true;
    /* Without memory for it the connection ends without a word. */
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(256);
    if (ks_buf_addf(&text, "%s\n", why) != 0 || add_answer(c, status, NULL, ks_buf_span(&text)) != 0)
        ks_buf_reset(&c->out);
    worker_mark_dirty(c);
}

/* JSON or XML as TTLV for the vault, or what is wrong with it. */
static void
ask_text(struct conn *c)
{
    const struct http_reader *r = c->http;
    const size_t max = (size_t)c->worker->config->limits_request_bytes;
    const struct kmip_limits limits = {.bytes = r->text_max,
                                       .depth = kmip_limits_default.depth,
                                       .items = kmip_limits_default.items,
                                       .text = kmip_limits_default.text};
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(PARSE_MEMORY);
    KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(max);
    struct ks_diag diag = {0};
    const int rc =
        kmip_transcode(r->encoding, ks_buf_span(&r->body), KMIP_ENCODING_TTLV, &limits, &arena, &ttlv, &diag);
    if (rc == 0) {
        net_conn_ask(c, FRAME_REQUEST, ks_buf_span(&ttlv));
        return;
    }
    if (diag.code == 0)
        (void)ks_fail(&diag, rc, "%s: %s", kmip_encoding_name(r->encoding), ks_err_text(rc));
    ks_arena_done(&arena); /* which may be full */
    const struct kmip_version_number version =
        kmip_transcode_version(r->encoding, ks_buf_span(&r->body), &limits, &arena);
    const struct frame_unreadable what = {version.major, version.minor, ks_span_str(ks_diag_text(&diag))};
    KS_CLEANUP(ks_buf_done) struct ks_buf body = KS_BUF(2 + FRAME_WHY_MAX);
    static const uint8_t nothing[2]; /* without memory it is told no more than that */
    const int encoded = frame_unreadable_encode(&what, &body);
    net_conn_ask(c, FRAME_UNREADABLE, encoded == 0 ? ks_buf_span(&body) : KS_SPAN(nothing, sizeof(nothing)));
    worker_log_peer(c, "sent JSON or XML that is no KMIP request");
}

static void
ask(struct conn *c)
{
    const struct http_reader *r = c->http;
    c->partial_ms = 0;
    if (r->encoding == KMIP_ENCODING_TTLV)
        net_conn_ask(c, FRAME_REQUEST, ks_buf_span(&r->body));
    else
        ask_text(c);
    c->refused = r->close; /* once this one is answered */
    ks_buf_done(&c->http->body);
}

size_t
net_http_take(struct conn *c, struct ks_span bytes)
{
    struct http_reader *r = c->http;
    size_t used = 0;
    while (used < bytes.len && !c->refused) {
        if (c->in_flight != 0 || !net_conn_may_ask(c)) {
            c->partial_ms = 0; /* what is left waits for us and not for the peer */
            return used;
        }
        size_t n = 0;
        c->partial_ms = c->partial_ms != 0 ? c->partial_ms : c->worker->now_ms;
        const enum http_result result = http_reader_take(r, KS_SPAN(bytes.data + used, bytes.len - used), &n);
        used += n;
        if (result == HTTP_REQUEST) {
            ask(c);
        } else if (result == HTTP_REFUSED) {
            c->partial_ms = 0;
            worker_log_peer(c, r->why);
            net_http_refuse(c, r->status, r->why);
        } else if (r->expects) {
            r->expects = false;
            if (ks_buf_add_str(&c->out, HTTP_CONTINUE) == 0)
                worker_mark_dirty(c);
        }
    }
    return c->refused ? bytes.len : used;
}

int
net_http_answer(struct conn *c, struct ks_span ttlv)
{
    const struct kmip_limits limits = {FRAME_BODY_MAX, kmip_limits_default.depth, FRAME_BODY_MAX, FRAME_BODY_MAX};
    const enum kmip_encoding encoding = c->http->encoding;
    const char *type = c->http->content_type;
    int rc;
    if (encoding == KMIP_ENCODING_TTLV) {
        rc = add_answer(c, 200, type, ttlv);
    } else {
        KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(ANSWER_TEXT_MAX);
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(0); /* reading TTLV needs none */
        struct ks_diag diag = {0};
        rc = kmip_transcode(KMIP_ENCODING_TTLV, ttlv, encoding, &limits, &arena, &text, &diag);
        if (rc == 0) {
            rc = add_answer(c, 200, type, ks_buf_span(&text));
        } else {
            worker_log_peer(c, "an answer cannot be written in the encoding of its request");
            net_http_refuse(c, 500, ks_diag_text(&diag)); /* such as: a text has characters that XML cannot carry */
            rc = 0;
        }
    }
    http_reader_next(c->http);
    return rc;
}
