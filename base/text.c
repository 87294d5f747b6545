#include "base/text.h"

#include <stdio.h>

int
ks_hex_add(struct ks_buf *buf, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    if (len > SIZE_MAX / 2)
        return buf->err = KS_E_LIMIT;
    KS_TRY(ks_buf_reserve(buf, 2 * len));
    for (size_t i = 0; i < len; i++) {
        buf->data[buf->len++] = (uint8_t)digits[p[i] >> 4];
        buf->data[buf->len++] = (uint8_t)digits[p[i] & 15];
    }
    return 0;
}

size_t
ks_dec_text(uint64_t value, char text[KS_DEC_TEXT_LEN])
{
    char turned[KS_DEC_TEXT_LEN];
    size_t n = 0;
    do
        turned[n++] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    for (size_t i = 0; i < n; i++)
        text[i] = turned[n - 1 - i];
    return n;
}

int
ks_dec_add(struct ks_buf *buf, int64_t value)
{
    char text[KS_DEC_TEXT_LEN];
    if (value < 0)
        ks_buf_add_u8(buf, '-');
    return ks_buf_add(buf, text, ks_dec_text(value < 0 ? -(uint64_t)value : (uint64_t)value, text));
}

static int
hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int
ks_hex_decode(struct ks_span text, struct ks_buf *ret)
{
    int high = -1;
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
            continue;
        const int v = hex_value(c);
        if (v < 0)
            return KS_E_MALFORMED;
        if (high < 0) {
            high = v;
        } else {
            KS_TRY(ks_buf_add_u8(ret, (uint8_t)(high << 4 | v)));
            high = -1;
        }
    }
    return high < 0 ? 0 : KS_E_MALFORMED;
}

bool
ks_utf8_valid(struct ks_span text)
{
    const uint8_t *p = text.data;
    size_t i = 0;
    while (i < text.len) {
        const uint8_t c = p[i++];
        if (c < 0x80)
            continue;
        size_t more;
        uint32_t v, least;
        if (c >= 0xc2 && c <= 0xdf) {
            more = 1, v = c & 0x1fU, least = 0x80;
        } else if (c >= 0xe0 && c <= 0xef) {
            more = 2, v = c & 0x0fU, least = 0x800;
        } else if (c >= 0xf0 && c <= 0xf4) {
            more = 3, v = c & 0x07U, least = 0x10000;
        } else {
            return false;
        }
        if (text.len - i < more)
            return false;
        for (; more > 0; more--, i++) {
            if ((p[i] & 0xc0) != 0x80)
                return false;
            v = v << 6 | (p[i] & 0x3fU);
        }
        if (v < least || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
            return false;
    }
    return true;
}

int
ks_parse_i64(struct ks_span text, int64_t min, int64_t max, int64_t *ret)
{
    size_t i = 0;
    bool negative = false;
    if (i < text.len && (text.data[i] == '-' || text.data[i] == '+'))
        negative = text.data[i++] == '-';
    unsigned base = 10;
    if (text.len - i > 2 && text.data[i] == '0' && (text.data[i + 1] == 'x' || text.data[i + 1] == 'X')) {
        base = 16;
        i += 2;
    }
    if (i == text.len)
        return KS_E_MALFORMED;
    uint64_t v = 0;
    for (; i < text.len; i++) {
        const int d = hex_value(text.data[i]);
        if (d < 0 || (unsigned)d >= base)
            return KS_E_MALFORMED;
        if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, (uint64_t)d, &v))
            return KS_E_LIMIT;
    }
    int64_t out;
    if (negative) {
        if (v > (uint64_t)INT64_MAX + 1)
            return KS_E_LIMIT;
        out = v == (uint64_t)INT64_MAX + 1 ? INT64_MIN : -(int64_t)v;
    } else {
        if (v > INT64_MAX)
            return KS_E_LIMIT;
        out = (int64_t)v;
    }
    if (out < min || out > max)
        return KS_E_LIMIT;
    *ret = out;
    return 0;
}

static int
break_down(int64_t seconds, struct tm *tm)
{
    const time_t t = seconds;
    if (gmtime_r(&t, tm) == NULL || tm->tm_year < 1 - 1900 || tm->tm_year > 9999 - 1900)
        return KS_E_LIMIT;
    return 0;
}

int
ks_time_format(int64_t seconds, char text[KS_TIME_TEXT_LEN])
{
    struct tm tm;
    KS_TRY(break_down(seconds, &tm));
    snprintf(text, KS_TIME_TEXT_LEN, "%04d-%02d-%02dT%02d:%02d:%02d+00:00", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return 0;
}

int
ks_time_format_us(int64_t microseconds, char text[KS_TIME_TEXT_LEN])
{
    int64_t seconds = microseconds / 1000000;
    int64_t us = microseconds % 1000000;
    if (us < 0) {
        us += 1000000;
        seconds--;
    }
    struct tm tm;
    KS_TRY(break_down(seconds, &tm));
    snprintf(text, KS_TIME_TEXT_LEN, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)us);
    return 0;
}

/* Reads `digits` decimal digits and then, unless it is NUL, the separator. */
static int
field(struct ks_cursor *c, int digits, char separator)
{
    int v = 0;
    for (int i = 0; i < digits; i++) {
        const uint8_t d = ks_cursor_u8(c);
        if (d < '0' || d > '9')
            c->err = KS_E_MALFORMED;
        v = v * 10 + (d - '0');
    }
    if (separator != '\0' && ks_cursor_u8(c) != (uint8_t)separator)
        c->err = KS_E_MALFORMED;
    return c->err == 0 ? v : 0;
}

int
ks_time_parse(struct ks_span text, int64_t *ret_seconds)
{
    struct ks_cursor c = KS_CURSOR(text);
    struct tm tm = {0};
    tm.tm_year = field(&c, 4, '-') - 1900;
    tm.tm_mon = field(&c, 2, '-') - 1;
    tm.tm_mday = field(&c, 2, 'T');
    tm.tm_hour = field(&c, 2, ':');
    tm.tm_min = field(&c, 2, ':');
    tm.tm_sec = field(&c, 2, '\0');
    if (c.err != 0)
        return KS_E_MALFORMED;
    if (c.pos < c.len && c.data[c.pos] == '.') { /* a fraction is cut off */
        c.pos++;
        while (c.pos < c.len && c.data[c.pos] >= '0' && c.data[c.pos] <= '9')
            c.pos++;
    }
    const uint8_t zone = ks_cursor_u8(&c);
    int64_t offset = 0;
    if (zone == '+' || zone == '-') {
        const int hours = field(&c, 2, ':');
        const int minutes = field(&c, 2, '\0');
        offset = (int64_t)(zone == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
        if (hours > 23 || minutes > 59)
            return KS_E_MALFORMED;
    } else if (zone != 'Z') {
        return KS_E_MALFORMED;
    }
    if (c.err != 0 || ks_cursor_left(&c) != 0)
        return KS_E_MALFORMED;
    const struct tm asked = tm;
    const time_t t = timegm(&tm);
    /* timegm turns 31 February into March: what comes back must be what was written. */
    if (tm.tm_mon != asked.tm_mon || tm.tm_mday != asked.tm_mday || tm.tm_hour != asked.tm_hour ||
        tm.tm_min != asked.tm_min || tm.tm_sec != asked.tm_sec)
        return KS_E_MALFORMED;
    *ret_seconds = (int64_t)t - offset;
    return 0;
}

static bool
json_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Whether all eight bytes are plain, looked at as one word: nearly all text is, and every audit record has much of it.
 */
static bool
json_plain8(const uint8_t *p)
{
    const uint64_t low = 0x0101010101010101U, high = 0x8080808080808080U;
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    const uint64_t quote = v ^ low * '"', backslash = v ^ low * '\\', del = v ^ low * 0x7f;
    /* A borrow can only blame a byte wrongly, above one that is not plain; it never excuses one. */
    return (((v - low * 0x20) | (quote - low) | (backslash - low) | (del - low) | v) & high) == 0;
}

int
ks_json_add_string(struct ks_buf *buf, struct ks_span text)
{
    size_t plain = 0; /* bytes that need neither an escape nor a look at their neighbours: most strings are of these */
    while (text.len - plain >= 8 && json_plain8(text.data + plain))
        plain += 8;
    while (plain < text.len && json_plain(text.data[plain]))
        plain++;
    KS_TRY(ks_buf_reserve(buf, plain + 2));
    buf->data[buf->len++] = '"';
    if (plain > 0)
        memcpy(buf->data + buf->len, text.data, plain);
    buf->len += plain;
    const bool valid = plain == text.len || ks_utf8_valid(text);
    for (size_t i = plain; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (c == '"' || c == '\\') {
            ks_buf_add_u8(buf, '\\');
            ks_buf_add_u8(buf, c);
        } else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !valid)) {
            ks_buf_addf(buf, "\\u%04x", c);
        } else {
            ks_buf_add_u8(buf, c);
        }
    }
    return ks_buf_add_u8(buf, '"');
}

int64_t
ks_clock_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
ks_monotonic_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
