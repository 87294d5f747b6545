/* TTLV: the binary encoding (KMIP 1.4, 9.1; 2.1, 10.1). */
#include "kmip/wire.h"

#include "base/text.h"

enum { HEADER = 8 };

static int
bad(struct kmip_ttlv_reader *r, size_t offset, const char *what)
{
    return kmip_reader_fail(&r->base, KS_E_MALFORMED, offset, "%s", what);
}

/* The lengths that the type asks for; the value is inside its parent already. */
static int
check_length(struct kmip_ttlv_reader *r, uint8_t type, size_t at, uint32_t len)
{
    uint32_t want;
    switch (type) {
    case KMIP_TYPE_STRUCTURE:
        return len % 8 == 0 ? 0 : bad(r, at + 4, "the length of a structure is a multiple of 8");
    case KMIP_TYPE_BIG_INTEGER:
        if (len == 0 || len % 8 != 0)
            return bad(r, at + 4, "the length of a big integer is a multiple of 8, and not 0");
        break;
    case KMIP_TYPE_TEXT_STRING:
    case KMIP_TYPE_BYTE_STRING:
    case KMIP_TYPE_IDENTIFIER:
    case KMIP_TYPE_REFERENCE:
    case KMIP_TYPE_NAME_REFERENCE:
        break;
    case KMIP_TYPE_INTEGER:
    case KMIP_TYPE_ENUMERATION:
    case KMIP_TYPE_INTERVAL:
        want = 4;
        goto fixed;
    case KMIP_TYPE_LONG_INTEGER:
    case KMIP_TYPE_BOOLEAN:
    case KMIP_TYPE_DATE_TIME:
    case KMIP_TYPE_DATE_TIME_EXTENDED:
        want = 8;
    fixed:
        if (len == want)
            return 0;
        return kmip_reader_fail(&r->base, KS_E_MALFORMED, at + 4, "the length of %s is %u, not %u",
                                kmip_type_name(type), want, len);
    default:
        return kmip_reader_fail(&r->base, KS_E_MALFORMED, at + 3, "0x%02X is no item type", type);
    }
    if (len > r->base.limits.text)
        return kmip_reader_fail(&r->base, KS_E_LIMIT, at + 4, "%u bytes in one item; at most %zu are taken", len,
                                r->base.limits.text);
    return 0;
}

static bool
all_zero(const uint8_t *p, size_t n)
{
    uint8_t bits = 0;
    for (size_t i = 0; i < n; i++)
        bits |= p[i];
    return bits == 0;
}

static int
read_value(struct kmip_ttlv_reader *r, struct kmip_item *item, size_t at, uint32_t len)
{
    const uint8_t *v = r->in.data + at + HEADER;
    switch (item->type) {
    case KMIP_TYPE_INTEGER:
        item->i32 = (int32_t)ks_be32(v);
        break;
    case KMIP_TYPE_ENUMERATION:
    case KMIP_TYPE_INTERVAL:
        item->u32 = ks_be32(v);
        break;
    case KMIP_TYPE_LONG_INTEGER:
    case KMIP_TYPE_DATE_TIME:
    case KMIP_TYPE_DATE_TIME_EXTENDED:
        item->i64 = (int64_t)ks_be64(v);
        break;
    case KMIP_TYPE_BOOLEAN:
        if (ks_be64(v) > 1)
            return bad(r, at + HEADER, "a boolean is 0 or 1");
        item->b = v[7] != 0;
        break;
    case KMIP_TYPE_BYTE_STRING:
    case KMIP_TYPE_BIG_INTEGER:
        item->s = KS_SPAN(v, len);
        break;
    default:
        item->s = KS_SPAN(v, len);
        if (!ks_utf8_valid(item->s))
            return bad(r, at + HEADER, "the text is not valid UTF-8");
    }
    const size_t padding = -(size_t)len & 7;
    if (padding != 0 && !all_zero(v + len, padding))
        return bad(r, at + HEADER + len, "padding is zero");
    return 0;
}

static int
ttlv_next(struct kmip_reader *base, struct kmip_event *ret)
{
    struct kmip_ttlv_reader *r = (struct kmip_ttlv_reader *)base;
    const size_t at = r->pos;
    const size_t end = r->end[base->depth];
    if (base->failed)
        return KS_E_MALFORMED;
    if (at == end && base->n_items != 0) {
        ret->offset = at;
        if (base->depth == 0) {
            ret->kind = KMIP_DONE;
            return 0;
        }
        kmip_reader_leave(base);
        ret->kind = KMIP_END;
        return 0;
    }
    if (base->depth == 0 && base->n_items != 0)
        return kmip_reader_fail(base, KS_E_MALFORMED, at, "%zu bytes follow the message", end - at);
    if (end - at < HEADER)
        return bad(r, at,
                   base->depth != 0 ? "the structure ends inside the header of an item"
                                    : "the input ends inside the header of an item");
    const uint8_t *p = r->in.data + at;
    const uint32_t tag = ks_be32(p) >> 8;
    const uint8_t type = p[3];
    const uint32_t len = ks_be32(p + 4);
    ret->offset = at;
    KS_TRY(kmip_reader_item(base, tag, at));
    if (p[0] != 0x42 && p[0] != 0x54)
        return kmip_reader_fail(base, KS_E_MALFORMED, at, "0x%06X is no tag: tags begin with 42 or 54", tag);
    const size_t padded = ((size_t)len + 7) & ~(size_t)7;
    if (padded > end - at - HEADER)
        return kmip_reader_fail(base, KS_E_MALFORMED, at + 4, "a length of %u, but only %zu bytes are left in %s", len,
                                end - at - HEADER, base->depth != 0 ? "the structure" : "the input");
    KS_TRY(check_length(r, type, at, len));
    ret->item.tag = tag;
    ret->item.type = type;
    ret->item.secret = false;
    ret->item.next = NULL;
    if (type == KMIP_TYPE_STRUCTURE) {
        KS_TRY(kmip_reader_enter(base));
        r->pos = at + HEADER;
        r->end[base->depth] = r->pos + len;
        ret->item.first = NULL;
        ret->kind = KMIP_BEGIN;
        return 0;
    }
    KS_TRY(read_value(r, &ret->item, at, len));
    r->pos = at + HEADER + padded;
    ret->kind = KMIP_LEAF;
    return 0;
}

static int
too_long(struct kmip_reader *base, struct kmip_event *ret)
{
    (void)ret;
    const struct kmip_ttlv_reader *r = (const struct kmip_ttlv_reader *)base;
    return kmip_reader_fail(base, KS_E_LIMIT, 0, "the message has %zu bytes; at most %zu are taken", r->in.len,
                            base->limits.bytes);
}

void
kmip_ttlv_reader_init(struct kmip_ttlv_reader *r, struct ks_span in, const struct kmip_limits *limits,
                      struct ks_diag *diag)
{
    kmip_reader_init(&r->base, in.len <= limits->bytes ? ttlv_next : too_long, limits, diag);
    r->in = in;
    r->pos = 0;
    r->end[0] = in.len;
}

/* Writing */

static uint8_t *
header(uint8_t *p, uint32_t tag, uint8_t type, size_t len)
{
    ks_put_be32(p, tag << 8 | type);
    ks_put_be32(p + 4, (uint32_t)len);
    return p + HEADER;
}

static int
ttlv_begin(struct kmip_writer *base, uint32_t tag)
{
    struct kmip_ttlv_writer *w = (struct kmip_ttlv_writer *)base;
    if (base->depth >= KMIP_DEPTH_MAX)
        return ks_fail(base->diag, KS_E_LIMIT, "structures nest more than %d deep", KMIP_DEPTH_MAX);
    KS_TRY(ks_buf_reserve(w->out, HEADER));
    (void)header(w->out->data + w->out->len, tag, KMIP_TYPE_STRUCTURE, 0);
    w->out->len += HEADER;
    w->at[++base->depth] = w->out->len;
    return 0;
}

static int
ttlv_end(struct kmip_writer *base)
{
    struct kmip_ttlv_writer *w = (struct kmip_ttlv_writer *)base;
    const size_t at = w->at[base->depth--];
    const size_t len = w->out->len - at;
    if (len > UINT32_MAX)
        return ks_fail(base->diag, KS_E_LIMIT, "a structure of more than 4 GiB");
    return ks_buf_put_be32(w->out, at - 4, (uint32_t)len);
}

static int
add_string(struct kmip_ttlv_writer *w, const struct kmip_item *item)
{
    const size_t len = item->s.len;
    /* A big integer is filled up to a multiple of 8 in front, with its sign. */
    const bool big = item->type == KMIP_TYPE_BIG_INTEGER;
    const size_t fill = big && len == 0 ? 8 : -len & 7;
    if (len > UINT32_MAX - 8)
        return ks_fail(w->base.diag, KS_E_LIMIT, "a value of more than 4 GiB");
    KS_TRY(ks_buf_reserve(w->out, HEADER + len + fill));
    uint8_t *p = header(w->out->data + w->out->len, item->tag, item->type, big ? len + fill : len);
    if (big) {
        memset(p, len != 0 && item->s.data[0] >= 0x80 ? 0xff : 0, fill);
        p += fill;
    }
    if (len != 0)
        memcpy(p, item->s.data, len);
    if (!big)
        memset(p + len, 0, fill);
    w->out->len += HEADER + len + fill;
    return 0;
}

static int
ttlv_leaf(struct kmip_writer *base, const struct kmip_item *item)
{
    struct kmip_ttlv_writer *w = (struct kmip_ttlv_writer *)base;
    uint64_t value;
    size_t len = 4;
    switch (item->type) {
    case KMIP_TYPE_INTEGER:
        value = (uint64_t)(uint32_t)item->i32 << 32;
        break;
    case KMIP_TYPE_ENUMERATION:
    case KMIP_TYPE_INTERVAL:
        value = (uint64_t)item->u32 << 32;
        break;
    case KMIP_TYPE_LONG_INTEGER:
    case KMIP_TYPE_DATE_TIME:
    case KMIP_TYPE_DATE_TIME_EXTENDED:
        value = (uint64_t)item->i64;
        len = 8;
        break;
    case KMIP_TYPE_BOOLEAN:
        value = item->b ? 1 : 0;
        len = 8;
        break;
    case KMIP_TYPE_BIG_INTEGER:
    case KMIP_TYPE_TEXT_STRING:
    case KMIP_TYPE_BYTE_STRING:
    case KMIP_TYPE_IDENTIFIER:
    case KMIP_TYPE_REFERENCE:
    case KMIP_TYPE_NAME_REFERENCE:
        return add_string(w, item);
    default:
        return ks_fail(base->diag, KS_E_INVALID, "0x%02X is no item type", item->type);
    }
    KS_TRY(ks_buf_reserve(w->out, HEADER + 8));
    ks_put_be64(header(w->out->data + w->out->len, item->tag, item->type, len), value);
    w->out->len += HEADER + 8;
    return 0;
}

void
kmip_ttlv_writer_init(struct kmip_ttlv_writer *w, struct ks_buf *out, struct ks_diag *diag)
{
    w->base = (struct kmip_writer){ttlv_begin, ttlv_leaf, ttlv_end, diag, 0};
    w->out = out;
}
