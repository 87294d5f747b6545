#include "server/frame.h"

enum { HEADER_AFTER_LENGTH = FRAME_HEADER_LEN - 4, IDENTITY_TEXT_MAX = 4096 };
enum { AUTHENTICATED = 1, HTTP = 2 }; /* flags of an identity */

int
frame_add(struct ks_buf *buf, const struct frame *frame)
{
    if (frame->body.len > FRAME_BODY_MAX)
        return KS_E_LIMIT;
    KS_TRY(ks_buf_reserve(buf, FRAME_HEADER_LEN + frame->body.len));
    uint8_t *p = buf->data + buf->len;
    ks_put_be32(p, (uint32_t)(HEADER_AFTER_LENGTH + frame->body.len));
    p[4] = frame->type;
    p[5] = frame->flags;
    p[6] = p[7] = 0;
    ks_put_be32(p + 8, frame->connection);
    ks_put_be32(p + 12, frame->sequence);
    if (frame->body.len != 0)
        memcpy(p + FRAME_HEADER_LEN, frame->body.data, frame->body.len);
    buf->len += FRAME_HEADER_LEN + frame->body.len;
    return 0;
}

int
frame_take(struct ks_span bytes, struct frame *ret, size_t *ret_used)
{
    if (bytes.len < 4) {
        *ret_used = 0;
        return 0;
    }
    const uint32_t length = ks_be32(bytes.data);
    if (length < HEADER_AFTER_LENGTH || length > HEADER_AFTER_LENGTH + FRAME_BODY_MAX)
        return KS_E_MALFORMED;
    if (bytes.len < FRAME_HEADER_LEN) {
        *ret_used = 0;
        return 0;
    }
    const uint8_t *p = bytes.data;
    if (p[4] < FRAME_OPEN || p[4] > FRAME_ANSWER || p[6] != 0 || p[7] != 0)
        return KS_E_MALFORMED;
    if (bytes.len - 4 < length) {
        *ret_used = 0;
        return 0;
    }
    *ret = (struct frame){
        .type = p[4],
        .flags = p[5],
        .connection = ks_be32(p + 8),
        .sequence = ks_be32(p + 12),
        .body = KS_SPAN(p + FRAME_HEADER_LEN, length - HEADER_AFTER_LENGTH),
    };
    *ret_used = 4 + (size_t)length;
    return 0;
}

static int
add_text(struct ks_buf *buf, struct ks_span text)
{
    if (text.len > IDENTITY_TEXT_MAX)
        return KS_E_LIMIT;
    KS_TRY(ks_buf_add_u8(buf, (uint8_t)(text.len >> 8)));
    KS_TRY(ks_buf_add_u8(buf, (uint8_t)text.len));
    return ks_buf_add_span(buf, text);
}

int
identity_encode(const struct identity *who, struct ks_buf *buf)
{
    KS_TRY(ks_buf_add_u8(buf, (uint8_t)((who->authenticated ? AUTHENTICATED : 0) | (who->http ? HTTP : 0))));
    KS_TRY(ks_buf_add(buf, who->fingerprint, sizeof(who->fingerprint)));
    KS_TRY(add_text(buf, who->name));
    KS_TRY(add_text(buf, who->subject));
    KS_TRY(add_text(buf, who->serial));
    KS_TRY(add_text(buf, who->address));
    return add_text(buf, who->tls);
}

static struct ks_span
take_text(struct ks_cursor *c)
{
    const size_t high = ks_cursor_u8(c);
    const size_t len = high << 8 | ks_cursor_u8(c);
    if (len > IDENTITY_TEXT_MAX)
        c->err = KS_E_MALFORMED;
    return ks_cursor_take(c, len);
}

int
identity_decode(struct ks_span body, struct identity *ret)
{
    struct ks_cursor c = KS_CURSOR(body);
    struct identity who = {0};
    const uint8_t flags = ks_cursor_u8(&c);
    who.authenticated = (flags & AUTHENTICATED) != 0;
    who.http = (flags & HTTP) != 0;
    const struct ks_span fingerprint = ks_cursor_take(&c, sizeof(who.fingerprint));
    who.name = take_text(&c);
    who.subject = take_text(&c);
    who.serial = take_text(&c);
    who.address = take_text(&c);
    who.tls = take_text(&c);
    if (c.err != 0 || ks_cursor_left(&c) != 0 || (flags & ~(AUTHENTICATED | HTTP)) != 0)
        return KS_E_MALFORMED;
    memcpy(who.fingerprint, fingerprint.data, sizeof(who.fingerprint));
    *ret = who;
    return 0;
}

int
frame_notice_encode(const struct frame_notice *notice, struct ks_buf *buf)
{
    KS_TRY(ks_buf_add(buf, notice->fingerprint, sizeof(notice->fingerprint)));
    KS_TRY(add_text(buf, notice->address));
    return ks_buf_add_span(buf, notice->message);
}

int
frame_notice_decode(struct ks_span body, struct frame_notice *ret)
{
    struct ks_cursor c = KS_CURSOR(body);
    struct frame_notice notice = {0};
    const struct ks_span fingerprint = ks_cursor_take(&c, sizeof(notice.fingerprint));
    const size_t high = ks_cursor_u8(&c), len = high << 8 | ks_cursor_u8(&c);
    notice.address = ks_cursor_take(&c, len);
    notice.message = ks_cursor_take(&c, ks_cursor_left(&c));
    if (c.err != 0)
        return KS_E_MALFORMED;
    memcpy(notice.fingerprint, fingerprint.data, sizeof(notice.fingerprint));
    *ret = notice;
    return 0;
}

int
frame_unreadable_encode(const struct frame_unreadable *what, struct ks_buf *buf)
{
    const bool fits = what->major > 0 && what->major <= UINT8_MAX && what->minor >= 0 && what->minor <= UINT8_MAX;
    const size_t len = what->why.len < FRAME_WHY_MAX ? what->why.len : FRAME_WHY_MAX;
    KS_TRY(ks_buf_add_u8(buf, fits ? (uint8_t)what->major : 0));
    KS_TRY(ks_buf_add_u8(buf, fits ? (uint8_t)what->minor : 0));
    return ks_buf_add(buf, what->why.data, len);
}

int
frame_unreadable_decode(struct ks_span body, struct frame_unreadable *ret)
{
    struct ks_cursor c = KS_CURSOR(body);
    const int32_t major = ks_cursor_u8(&c), minor = ks_cursor_u8(&c);
    const struct ks_span why = ks_cursor_take(&c, ks_cursor_left(&c));
    if (c.err != 0 || why.len > FRAME_WHY_MAX)
        return KS_E_MALFORMED;
    *ret = (struct frame_unreadable){major, minor, why};
    return 0;
}
