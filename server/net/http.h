/*
 * HTTP/1.1 as KMIP over HTTPS needs it (RFC 9112; KMIP Profiles, "HTTPS"): POST /kmip with a body of one message.
 * No I/O. The reader is fed what comes, in pieces of any size, and keeps what it needs:
 *
 *     switch (http_reader_take(&reader, bytes, &used)) {
 *     case HTTP_MORE:     feed more; with reader.expects, send HTTP_CONTINUE first
 *     case HTTP_REQUEST:  reader.body is the message in reader.encoding; then http_reader_next
 *     case HTTP_REFUSED:  answer reader.status with reader.why, and close
 *     }
 *
 * It is strict, so that nobody in front of it can see other requests in the same bytes: lines end in CRLF; no folded
 * lines, no control characters, no blank before a colon; Content-Length and Transfer-Encoding exclude each other and
 * come once; the only transfer coding is chunked. What is refused ends the connection: after it nothing is certain.
 */
#pragma once

#include "kmip/kmip.h"

enum {
    HTTP_HEAD_MAX = 8192, /* bytes of a request's head */
    HTTP_LINE_MAX = 2048, /* of its first line */
    HTTP_FIELDS_MAX = 64,
    HTTP_CHUNK_LINE_MAX = 256, /* size and extensions of one chunk */
    HTTP_TRAILER_MAX = 2048,
};

#define HTTP_PATH "/kmip"
#define HTTP_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

enum http_result { HTTP_MORE, HTTP_REQUEST, HTTP_REFUSED };

struct http_reader {
    /* Of the request whose head is read. */
    enum kmip_encoding encoding;
    const char *content_type; /* the one that the body came with, for the answer; static text */
    bool expects;             /* 100-continue, and the body has not begun; whoever answers it clears this */
    bool close;               /* the client wants, or its version means, that this is the last request */
    struct ks_buf body;
    /* After HTTP_REFUSED. */
    int status;
    const char *why; /* static text */
    bool is_head;    /* the answer to HEAD has no body */

    /* The reader's own. */
    enum http_state {
        HTTP_IN_HEAD,
        HTTP_IN_BODY,
        HTTP_IN_CHUNK_LINE,
        HTTP_IN_CHUNK,
        HTTP_IN_CHUNK_END,
        HTTP_IN_TRAILER,
        HTTP_DONE, /* or refused: takes nothing */
    } state;
    size_t left;               /* of the body, or of the chunk */
    size_t ttlv_max, text_max; /* bytes of a body */
    struct ks_buf line;        /* the head; a chunk's line; the trailer */
    size_t line_start;         /* of the line that is arriving */
};

/* ttlv_max, text_max: the largest body in TTLV, and in JSON or XML. */
void http_reader_init(struct http_reader *r, size_t ttlv_max, size_t text_max);
void http_reader_done(struct http_reader *r); /* wipes */

/* How many of the bytes were used: all, unless a request ended or was refused before. */
enum http_result http_reader_take(struct http_reader *r, struct ks_span bytes, size_t *ret_used);

/* The request has been dealt with: wipes it, and is ready for the next one. */
void http_reader_next(struct http_reader *r);

/* Whether no byte of a request has come. */
bool http_reader_is_idle(const struct http_reader *r);

/* Bytes of memory that it holds. */
size_t http_reader_memory(const struct http_reader *r);

struct http_answer {
    int status;
    const char *content_type; /* NULL: plain text */
    struct ks_span body;
    bool close;   /* the connection ends after it */
    bool is_head; /* the body is announced, and left out */
    int64_t now;  /* seconds since 1970, for the field Date */
};
int http_answer_add(struct ks_buf *out, const struct http_answer *answer) KS_MUST_CHECK;
