#include "server/net/http.h"

#include <strings.h>
#include <time.h>

/* Statuses, and what they are called. */
static const struct {
    int status;
    const char *phrase;
} phrases[] = {
    {200, "OK"},
    {400, "Bad Request"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {505, "HTTP Version Not Supported"},
};

/* Types of bodies (KMIP Profiles: HTTPS, JSON and XML), and the encoding that each means. */
static const struct {
    const char *type;
    enum kmip_encoding encoding;
} types[] = {
    {"application/octet-stream", KMIP_ENCODING_TTLV},
    {"application/json", KMIP_ENCODING_JSON},
    {"text/xml", KMIP_ENCODING_XML},
    {"application/xml", KMIP_ENCODING_XML},
};

void
http_reader_init(struct http_reader *r, size_t ttlv_max, size_t text_max)
{
    const size_t body_max = text_max > ttlv_max ? text_max : ttlv_max;
    *r = (struct http_reader){
        .body = KS_BUF(body_max), .line = KS_BUF(HTTP_HEAD_MAX), .ttlv_max = ttlv_max, .text_max = text_max};
}

void
http_reader_done(struct http_reader *r)
{
    ks_buf_done(&r->body);
    ks_buf_done(&r->line);
}

void
http_reader_next(struct http_reader *r)
{
    const size_t ttlv_max = r->ttlv_max, text_max = r->text_max;
    http_reader_done(r);
    http_reader_init(r, ttlv_max, text_max);
}

bool
http_reader_is_idle(const struct http_reader *r)
{
    return r->state == HTTP_IN_HEAD && r->line.len == 0;
}

size_t
http_reader_memory(const struct http_reader *r)
{
    return r->body.cap + r->line.cap;
}

static enum http_result
refuse(struct http_reader *r, int status, const char *why)
{
    r->state = HTTP_DONE;
    r->status = status;
    r->why = why;
    ks_buf_done(&r->body);
    ks_buf_done(&r->line);
    return HTTP_REFUSED;
}

/* Lines, byte by byte: whatever could be taken in two ways is refused where it stands. */

enum line_result { LINE_MORE, LINE_WHOLE, LINE_BAD, LINE_FULL };

/* LINE_WHOLE: the line begins at line_start and ends two bytes before the end of the buffer. */
static enum line_result
take_line_byte(struct http_reader *r, uint8_t c, size_t max)
{
    const bool after_cr = r->line.len > r->line_start && r->line.data[r->line.len - 1] == '\r';
    if (after_cr != (c == '\n'))
        return LINE_BAD; /* CR without LF, or LF without CR */
    if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
        return LINE_BAD;
    if (r->line.len >= max || ks_buf_add_u8(&r->line, c) != 0)
        return LINE_FULL;
    return c == '\n' ? LINE_WHOLE : LINE_MORE;
}

static struct ks_span
current_line(const struct http_reader *r)
{
    return KS_SPAN(r->line.data + r->line_start, r->line.len - r->line_start - 2);
}

/* Text */

/* RFC 9110, 5.6.2 */
static bool
is_token(struct ks_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alphanumeric && (c == 0 || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return text.len != 0;
}

static bool
is_word(struct ks_span text, const char *word)
{
    return text.len == strlen(word) && strncasecmp((const char *)text.data, word, text.len) == 0;
}

static struct ks_span
trim(struct ks_span text)
{
    while (text.len != 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = KS_SPAN(text.data + 1, text.len - 1);
    while (text.len != 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Cuts off what stands before the first c, or everything. The rest has c cut off too. */
static struct ks_span
cut(struct ks_span *rest, uint8_t c)
{
    const uint8_t *at = rest->len != 0 ? memchr(rest->data, c, rest->len) : NULL;
    const size_t n = at != NULL ? (size_t)(at - rest->data) : rest->len;
    const struct ks_span first = KS_SPAN(rest->data, n);
    *rest = at != NULL ? KS_SPAN(at + 1, rest->len - n - 1) : KS_SPAN(rest->data + rest->len, 0);
    return first;
}

/* The head */

struct head {
    struct ks_span method, target;
    int minor; /* of the version */
    struct ks_span host, content_length, transfer_encoding, content_type, content_encoding, expect;
    bool has_host, has_content_length, has_transfer_encoding, has_content_type, has_content_encoding, has_expect;
    bool close;
    size_t n_fields;
};

static enum http_result
request_line(struct http_reader *r, struct ks_span line, struct head *head)
{
    head->method = cut(&line, ' ');
    head->target = cut(&line, ' ');
    if (!is_token(head->method) || head->target.len == 0 || line.len != 8 || memcmp(line.data, "HTTP/", 5) != 0 ||
        line.data[6] != '.')
        return refuse(r, 400, "The first line is no request of HTTP/1.1.");
    for (size_t i = 0; i < head->target.len; i++)
        if (head->target.data[i] <= 0x20 || head->target.data[i] >= 0x7f)
            return refuse(r, 400, "The request's target has characters that it must not have.");
    if (line.data[5] != '1' || (line.data[7] != '0' && line.data[7] != '1'))
        return refuse(r, 505, "HTTP/1.1 is spoken here.");
    head->minor = line.data[7] - '0';
    head->close = head->minor == 0;
    r->is_head = ks_span_is(head->method, "HEAD");
    return HTTP_MORE;
}

static enum http_result
field(struct http_reader *r, struct ks_span line, struct head *head)
{
    const struct {
        const char *name;
        struct ks_span *value;
        bool *has;
    } known[] = {
        {"Host", &head->host, &head->has_host},
        {"Content-Length", &head->content_length, &head->has_content_length},
        {"Transfer-Encoding", &head->transfer_encoding, &head->has_transfer_encoding},
        {"Content-Type", &head->content_type, &head->has_content_type},
        {"Content-Encoding", &head->content_encoding, &head->has_content_encoding},
        {"Expect", &head->expect, &head->has_expect},
    };
    const bool has_colon = memchr(line.data, ':', line.len) != NULL;
    const struct ks_span name = cut(&line, ':');
    if (!has_colon || !is_token(name))
        return refuse(r, 400, "A line of the head is no field.");
    if (++head->n_fields > HTTP_FIELDS_MAX)
        return refuse(r, 431, "The head has too many fields.");
    const struct ks_span value = trim(line);
    if (is_word(name, "Connection"))
        for (struct ks_span rest = value; rest.len != 0;)
            head->close = is_word(trim(cut(&rest, ',')), "close") || head->close;
    for (size_t i = 0; i < KS_ARRAY_LEN(known); i++) {
        if (!is_word(name, known[i].name))
            continue;
        if (*known[i].has)
            return refuse(r, 400, "A field that may come once comes twice.");
        *known[i].has = true;
        *known[i].value = value;
    }
    return HTTP_MORE;
}

/* The path: a target is "/path", or "https://host/path" from those who speak as to a proxy. */
static bool
is_our_path(struct ks_span target)
{
    static const char scheme[] = "https://";
    const size_t n = sizeof(scheme) - 1;
    if (target.len > n && strncasecmp((const char *)target.data, scheme, n) == 0) {
        struct ks_span rest = KS_SPAN(target.data + n, target.len - n);
        const struct ks_span host = cut(&rest, '/');
        target = KS_SPAN(host.data + host.len, target.len - n - host.len);
    }
    return ks_span_is(target, HTTP_PATH);
}

/* "text/xml; charset=utf-8". Another character set than UTF-8 is none that JSON and XML are read in here. */
static bool
take_type(struct http_reader *r, struct ks_span value)
{
    const struct ks_span type = trim(cut(&value, ';'));
    while (value.len != 0) {
        struct ks_span parameter = trim(cut(&value, ';'));
        const struct ks_span name = trim(cut(&parameter, '='));
        const struct ks_span charset = trim(parameter);
        if (is_word(name, "charset") && !is_word(charset, "utf-8") && !is_word(charset, "\"utf-8\"") &&
            !is_word(charset, "us-ascii"))
            return false;
    }
    for (size_t i = 0; i < KS_ARRAY_LEN(types); i++)
        if (is_word(type, types[i].type)) {
            r->encoding = types[i].encoding;
            r->content_type = types[i].type;
            return true;
        }
    return false;
}

/* Digits alone. What is too large to be a number is SIZE_MAX, which is too large anyway. */
static bool
parse_length(struct ks_span text, size_t *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        n = n > SIZE_MAX / 16 ? SIZE_MAX : n * 10 + (size_t)(text.data[i] - '0');
    }
    *ret = n;
    return text.len != 0;
}

static size_t
body_max(const struct http_reader *r)
{
    return r->encoding == KMIP_ENCODING_TTLV ? r->ttlv_max : r->text_max;
}

/* How long the body is. First what leaves it in doubt. */
static enum http_result
framing(struct http_reader *r, const struct head *head)
{
    if (head->has_content_length && head->has_transfer_encoding)
        return refuse(r, 400, "Content-Length and Transfer-Encoding exclude each other.");
    if (head->has_content_length && !parse_length(head->content_length, &r->left))
        return refuse(r, 400, "Content-Length is no number.");
    if (head->has_transfer_encoding && head->minor == 0)
        return refuse(r, 400, "HTTP/1.0 has no Transfer-Encoding.");
    if (head->has_transfer_encoding && !is_word(head->transfer_encoding, "chunked"))
        return refuse(r, 501, "The only transfer coding that is known here is chunked.");
    if (head->minor == 1 && !head->has_host)
        return refuse(r, 400, "The field Host is missing.");
    return HTTP_MORE;
}

static enum http_result
use_head(struct http_reader *r, const struct head *head)
{
    if (framing(r, head) != HTTP_MORE)
        return HTTP_REFUSED;
    if (!is_our_path(head->target))
        return refuse(r, 404, "KMIP is at " HTTP_PATH ".");
    if (!ks_span_is(head->method, "POST"))
        return refuse(r, 405, "KMIP is spoken by POST.");
    if (head->has_expect && head->minor == 1 && !is_word(head->expect, "100-continue"))
        return refuse(r, 417, "The only expectation that is met here is 100-continue.");
    if (head->has_content_encoding && !is_word(head->content_encoding, "identity"))
        return refuse(r, 415, "Bodies are not compressed.");
    if (!head->has_content_type || !take_type(r, head->content_type))
        return refuse(r, 415,
                      "The Content-Type is application/octet-stream, application/json, text/xml or application/xml, in "
                      "UTF-8.");
    if (!head->has_content_length && !head->has_transfer_encoding)
        return refuse(r, 411, "The field Content-Length is missing.");
    if (head->has_content_length && r->left > body_max(r))
        return refuse(r, 413, "The message is larger than limits.request_bytes allows.");
    r->close = head->close;
    r->expects = head->has_expect && head->minor == 1 && (head->has_transfer_encoding || r->left != 0);
    ks_buf_done(&r->line);
    r->line_start = 0;
    r->state = head->has_transfer_encoding ? HTTP_IN_CHUNK_LINE : HTTP_IN_BODY;
    if (r->state == HTTP_IN_BODY && r->left == 0) {
        r->state = HTTP_DONE;
        return HTTP_REQUEST;
    }
    return HTTP_MORE;
}

static enum http_result
parse_head(struct http_reader *r)
{
    struct head head = {0};
    bool first = true;
    for (size_t from = 0, end; from + 2 < r->line.len; from = end + 2) {
        const uint8_t *cr = memchr(r->line.data + from, '\r', r->line.len - from); /* LF follows: it was looked at */
        end = cr != NULL ? (size_t)(cr - r->line.data) : r->line.len - 2;
        const struct ks_span line = KS_SPAN(r->line.data + from, end - from);
        const enum http_result result = first ? request_line(r, line, &head) : field(r, line, &head);
        if (result != HTTP_MORE)
            return result;
        first = false;
    }
    return use_head(r, &head);
}

static enum http_result
take_head(struct http_reader *r, struct ks_span bytes, size_t *used)
{
    while (*used < bytes.len) {
        const bool in_first = r->line_start == 0;
        switch (take_line_byte(r, bytes.data[(*used)++], in_first ? HTTP_LINE_MAX : HTTP_HEAD_MAX)) {
        case LINE_MORE:
            break;
        case LINE_BAD:
            return refuse(r, 400,
                          "The head has a character that it must not have, or a line that does not end in CRLF.");
        case LINE_FULL:
            return in_first ? refuse(r, 414, "The first line is too long.") : refuse(r, 431, "The head is too long.");
        case LINE_WHOLE:
            if (current_line(r).len == 0)
                return in_first ? refuse(r, 400, "An empty line stands where a request begins.") : parse_head(r);
            r->line_start = r->line.len;
        }
    }
    return HTTP_MORE;
}

/* The body */

static enum http_result
take_bytes(struct http_reader *r, struct ks_span bytes, size_t *used)
{
    const size_t n = bytes.len - *used < r->left ? bytes.len - *used : r->left;
    if (ks_buf_add(&r->body, bytes.data + *used, n) != 0)
        return refuse(r, 413, "The message is larger than limits.request_bytes allows.");
    r->expects = r->expects && n == 0;
    r->left -= n;
    *used += n;
    return HTTP_MORE;
}

/* Size in hexadecimal, and extensions, which are passed over. */
static enum http_result
chunk_line(struct http_reader *r, struct ks_span line)
{
    const struct ks_span digits = cut(&line, ';');
    size_t size = 0;
    for (size_t i = 0; i < digits.len; i++) {
        const uint8_t c = digits.data[i];
        const int value = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (value < 0 || i == 8)
            return refuse(r, 400, "A chunk's size is up to eight hexadecimal digits.");
        size = size << 4 | (size_t)value;
    }
    if (digits.len == 0)
        return refuse(r, 400, "A chunk's size is missing.");
    if (size > body_max(r) - r->body.len)
        return refuse(r, 413, "The message is larger than limits.request_bytes allows.");
    r->left = size;
    r->state = size != 0 ? HTTP_IN_CHUNK : HTTP_IN_TRAILER;
    r->line.len = r->line_start = 0; /* sizes are no secret */
    return HTTP_MORE;
}

/* A line of the trailer: nothing in it is of use here. Whole with an empty line. */
static enum http_result
trailer_line(struct http_reader *r, struct ks_span line)
{
    if (line.len == 0) {
        r->state = HTTP_DONE;
        return HTTP_REQUEST;
    }
    if (memchr(line.data, ':', line.len) == NULL || !is_token(cut(&line, ':')))
        return refuse(r, 400, "A line of the trailer is no field.");
    r->line_start = r->line.len;
    return HTTP_MORE;
}

static enum http_result
take_chunk_byte(struct http_reader *r, uint8_t c)
{
    const size_t max = r->state == HTTP_IN_TRAILER ? HTTP_TRAILER_MAX : HTTP_CHUNK_LINE_MAX;
    r->expects = false;
    switch (take_line_byte(r, c, max)) {
    case LINE_MORE:
        return HTTP_MORE;
    case LINE_BAD:
        return refuse(r, 400, "The chunked body has a line that does not end in CRLF.");
    case LINE_FULL:
        return refuse(r, 400, "The chunked body has a line that is too long.");
    case LINE_WHOLE:
        break;
    }
    const struct ks_span line = current_line(r);
    if (r->state == HTTP_IN_CHUNK_LINE)
        return chunk_line(r, line);
    if (r->state == HTTP_IN_TRAILER)
        return trailer_line(r, line);
    if (line.len != 0)
        return refuse(r, 400, "A chunk is longer than its size.");
    r->line.len = r->line_start = 0;
    r->state = HTTP_IN_CHUNK_LINE;
    return HTTP_MORE;
}

static enum http_result
take_body(struct http_reader *r, struct ks_span bytes, size_t *used)
{
    enum http_result result = HTTP_MORE;
    while (result == HTTP_MORE && *used < bytes.len) {
        if (r->state == HTTP_IN_BODY || r->state == HTTP_IN_CHUNK) {
            result = take_bytes(r, bytes, used);
            if (result == HTTP_MORE && r->left == 0 && r->state == HTTP_IN_BODY) {
                r->state = HTTP_DONE;
                return HTTP_REQUEST;
            }
            if (result == HTTP_MORE && r->left == 0)
                r->state = HTTP_IN_CHUNK_END;
        } else {
            result = take_chunk_byte(r, bytes.data[(*used)++]);
        }
    }
    return result;
}

enum http_result
http_reader_take(struct http_reader *r, struct ks_span bytes, size_t *ret_used)
{
    size_t used = 0;
    enum http_result result = HTTP_MORE;
    if (r->state == HTTP_IN_HEAD)
        result = take_head(r, bytes, &used);
    if (result == HTTP_MORE && r->state != HTTP_IN_HEAD && r->state != HTTP_DONE)
        result = take_body(r, bytes, &used);
    *ret_used = used;
    return result;
}

/* Answers */

static const char *
phrase(int status)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Error";
}

static void
add_date(struct ks_buf *out, int64_t now)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const time_t seconds = now;
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL)
        return;
    (void)ks_buf_addf(out, "Date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday], tm.tm_mday,
                      months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

int
http_answer_add(struct ks_buf *out, const struct http_answer *answer)
{
    (void)ks_buf_addf(out, "HTTP/1.1 %d %s\r\n", answer->status, phrase(answer->status));
    add_date(out, answer->now);
    (void)ks_buf_addf(out, "Content-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-cache, no-store\r\n",
                      answer->content_type != NULL ? answer->content_type : "text/plain; charset=utf-8",
                      answer->body.len);
    if (answer->status == 405)
        (void)ks_buf_add_str(out, "Allow: POST\r\n");
    if (answer->close)
        (void)ks_buf_add_str(out, "Connection: close\r\n");
    (void)ks_buf_add_str(out, "\r\n");
    return answer->is_head ? out->err : ks_buf_add_span(out, answer->body);
}
