/* Values as the text that JSON and XML have for them (KMIP Profiles, "JSON Encoding" and "XML Encoding"). */
#include "kmip/wire.h"

#include <stdio.h>

#include "base/text.h"

static int
format_mask(uint32_t bits, uint32_t tag, char separator, struct ks_buf *ret)
{
    uint32_t rest = bits;
    bool first = true;
    for (unsigned i = 0; i < 32; i++) {
        const uint32_t bit = (uint32_t)1 << i;
        const char *name = (bits & bit) != 0 ? kmip_mask_xml_name(tag, bit) : NULL;
        if (name == NULL)
            continue;
        if (!first)
            ks_buf_add_u8(ret, (uint8_t)separator);
        ks_buf_add_str(ret, name);
        first = false;
        rest &= ~bit;
    }
    if (rest != 0) {
        if (!first)
            ks_buf_add_u8(ret, (uint8_t)separator);
        ks_buf_addf(ret, "0x%08X", rest);
    } else if (first) {
        ks_buf_add_u8(ret, '0');
    }
    return ret->err;
}

static int
format_date(const struct kmip_item *item, struct ks_buf *ret)
{
    char text[KS_TIME_TEXT_LEN];
    const int rc =
        item->type == KMIP_TYPE_DATE_TIME ? ks_time_format(item->i64, text) : ks_time_format_us(item->i64, text);
    /* Outside the years 1 to 9999 only the number is left. */
    return rc == 0 ? ks_buf_add_str(ret, text) : ks_buf_addf(ret, "0x%016llX", (unsigned long long)item->i64);
}

int
kmip_value_format(const struct kmip_item *item, uint32_t value_tag, char separator, struct ks_buf *ret)
{
    const char *name;
    switch (item->type) {
    case KMIP_TYPE_INTEGER:
        if (kmip_tag_is_mask(value_tag))
            return format_mask((uint32_t)item->i32, value_tag, separator, ret);
        return ks_buf_addf(ret, "%d", item->i32);
    case KMIP_TYPE_LONG_INTEGER:
        return ks_buf_addf(ret, "%lld", (long long)item->i64);
    case KMIP_TYPE_ENUMERATION:
        /* Extensions are written as numbers; see kmip_tag_text_name. */
        name = item->u32 < 0x80000000 ? kmip_enum_xml_name(value_tag, item->u32) : NULL;
        return name != NULL ? ks_buf_add_str(ret, name) : ks_buf_addf(ret, "0x%08X", item->u32);
    case KMIP_TYPE_BOOLEAN:
        return ks_buf_add_str(ret, item->b ? "true" : "false");
    case KMIP_TYPE_INTERVAL:
        return ks_buf_addf(ret, "%u", item->u32);
    case KMIP_TYPE_BIG_INTEGER:
    case KMIP_TYPE_BYTE_STRING:
        return ks_hex_add(ret, item->s.data, item->s.len);
    case KMIP_TYPE_DATE_TIME:
    case KMIP_TYPE_DATE_TIME_EXTENDED:
        return format_date(item, ret);
    default:
        return ks_buf_add_span(ret, item->s);
    }
}

static bool
is_hex(struct ks_span text)
{
    return text.len > 2 && text.data[0] == '0' && (text.data[1] == 'x' || text.data[1] == 'X');
}

static bool
is_number(struct ks_span text)
{
    size_t i = text.len != 0 && text.data[0] == '-' ? 1 : 0;
    if (is_hex(text))
        return true;
    if (i == text.len)
        return false;
    for (; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return true;
}

/* Decimal with a sign, or the bits as hexadecimal: 0xFFFFFFFF is -1 as an Integer. */
static int
parse_bits(struct ks_span text, unsigned bits, bool is_signed, uint64_t *ret)
{
    const uint64_t most = bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    const uint64_t most_positive = is_signed ? most >> 1 : most;
    const bool negative = text.len != 0 && text.data[0] == '-';
    const bool hex = is_hex(text);
    uint64_t v = 0;
    if (!is_number(text) || (negative && !is_signed))
        return KS_E_MALFORMED;
    for (size_t i = hex ? 2 : negative ? 1 : 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        unsigned d;
        if (c >= '0' && c <= '9')
            d = c - '0';
        else if (c >= 'a' && c <= 'f')
            d = c - 'a' + 10U;
        else if (c >= 'A' && c <= 'F')
            d = c - 'A' + 10U;
        else
            return KS_E_MALFORMED;
        if (__builtin_mul_overflow(v, hex ? 16U : 10U, &v) || __builtin_add_overflow(v, d, &v) || v > most)
            return KS_E_LIMIT;
    }
    if (!hex && v > most_positive + (negative ? 1 : 0))
        return KS_E_LIMIT;
    *ret = negative ? -v & most : v;
    return 0;
}

static struct ks_span
next_word(struct ks_span *text)
{
    size_t i = 0;
    while (i < text->len && (text->data[i] == ' ' || text->data[i] == '|' || text->data[i] == '\t' ||
                             text->data[i] == '\n' || text->data[i] == '\r'))
        i++;
    const size_t from = i;
    while (i < text->len && text->data[i] != ' ' && text->data[i] != '|' && text->data[i] != '\t' &&
           text->data[i] != '\n' && text->data[i] != '\r')
        i++;
    const struct ks_span word = KS_SPAN(text->data + from, i - from);
    *text = KS_SPAN(text->data + i, text->len - i);
    return word;
}

static int
parse_mask(struct ks_span text, uint32_t tag, uint32_t *ret)
{
    uint32_t bits = 0;
    for (struct ks_span word = next_word(&text); word.len != 0; word = next_word(&text)) {
        uint64_t number;
        uint32_t bit;
        if (is_number(word)) {
            KS_TRY(parse_bits(word, 32, true, &number));
            bit = (uint32_t)number;
        } else if (!kmip_tag_is_mask(tag) || kmip_enum_find(tag, word, &bit) != 0) {
            return KS_E_MALFORMED;
        }
        bits |= bit;
    }
    *ret = bits;
    return 0;
}

static int
parse_bytes(struct kmip_text_reader *r, struct ks_span text, bool big, struct ks_span *ret)
{
    if (is_hex(text))
        text = KS_SPAN(text.data + 2, text.len - 2);
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(text.len + 8);
    KS_TRY(ks_hex_decode(text, &buf));
    if (buf.len > r->base.limits.text)
        return KS_E_LIMIT;
    if (big && buf.len == 0)
        return KS_E_MALFORMED;
    /* A big integer comes out as TTLV has it: a multiple of 8 bytes, filled up with its sign. */
    const size_t fill = big ? -buf.len & 7 : 0;
    uint8_t *p = ks_arena_alloc(r->arena, buf.len + fill);
    if (p == NULL)
        return KS_E_NOMEM;
    if (fill != 0)
        memset(p, buf.data[0] >= 0x80 ? 0xff : 0, fill);
    if (buf.len != 0)
        memcpy(p + fill, buf.data, buf.len);
    *ret = KS_SPAN(p, buf.len + fill);
    return 0;
}

/* "2026-11-24T06:57:42.000123Z": the seconds, and the microseconds that ks_time_parse cuts off. */
static int
parse_date(struct ks_span text, bool extended, int64_t *ret)
{
    if (is_number(text)) {
        uint64_t bits;
        KS_TRY(parse_bits(text, 64, true, &bits));
        *ret = (int64_t)bits;
        return 0;
    }
    int64_t seconds;
    KS_TRY(ks_time_parse(text, &seconds));
    if (!extended) {
        *ret = seconds;
        return 0;
    }
    int64_t us = 0;
    const uint8_t *dot = memchr(text.data, '.', text.len);
    if (dot != NULL) {
        const uint8_t *end = text.data + text.len;
        int64_t unit = 100000;
        for (const uint8_t *p = dot + 1; p < end && *p >= '0' && *p <= '9'; p++, unit /= 10)
            us += (*p - '0') * unit;
    }
    *ret = seconds * 1000000 + us;
    return 0;
}

static int
parse_boolean(struct ks_span text, bool *ret)
{
    if (ks_span_is(text, "true") || ks_span_is(text, "1") || ks_span_is(text, "0x0000000000000001")) {
        *ret = true;
        return 0;
    }
    if (ks_span_is(text, "false") || ks_span_is(text, "0") || ks_span_is(text, "0x0000000000000000")) {
        *ret = false;
        return 0;
    }
    return KS_E_MALFORMED;
}

static int
parse_enumeration(struct ks_span text, uint32_t tag, uint32_t *ret)
{
    if (!is_number(text))
        return kmip_enum_find(tag, text, ret) == 0 ? 0 : KS_E_NOT_FOUND;
    uint64_t bits;
    KS_TRY(parse_bits(text, 32, false, &bits));
    *ret = (uint32_t)bits;
    return 0;
}

static int
parse(struct kmip_text_reader *r, struct ks_span text, uint32_t value_tag, struct kmip_item *ret)
{
    uint64_t bits = 0;
    uint32_t u32 = 0;
    switch (ret->type) {
    case KMIP_TYPE_INTEGER:
        KS_TRY(parse_mask(text, value_tag, &u32));
        if (text.len == 0)
            return KS_E_MALFORMED;
        ret->i32 = (int32_t)u32;
        return 0;
    case KMIP_TYPE_LONG_INTEGER:
        KS_TRY(parse_bits(text, 64, true, &bits));
        ret->i64 = (int64_t)bits;
        return 0;
    case KMIP_TYPE_INTERVAL:
        KS_TRY(parse_bits(text, 32, false, &bits));
        ret->u32 = (uint32_t)bits;
        return 0;
    case KMIP_TYPE_ENUMERATION:
        KS_TRY(parse_enumeration(text, value_tag, &u32));
        ret->u32 = u32;
        return 0;
    case KMIP_TYPE_BOOLEAN:
        return parse_boolean(text, &ret->b);
    case KMIP_TYPE_BIG_INTEGER:
    case KMIP_TYPE_BYTE_STRING:
        return parse_bytes(r, text, ret->type == KMIP_TYPE_BIG_INTEGER, &ret->s);
    case KMIP_TYPE_DATE_TIME:
    case KMIP_TYPE_DATE_TIME_EXTENDED:
        return parse_date(text, ret->type == KMIP_TYPE_DATE_TIME_EXTENDED, &ret->i64);
    default:
        return ks_arena_span(r->arena, text, &ret->s);
    }
}

int
kmip_value_parse(struct kmip_text_reader *r, struct ks_span text, uint32_t value_tag, size_t offset,
                 struct kmip_item *ret)
{
    if (text.len > r->base.limits.text && ret->type != KMIP_TYPE_BYTE_STRING && ret->type != KMIP_TYPE_BIG_INTEGER)
        return kmip_reader_fail(&r->base, KS_E_LIMIT, offset, "%zu bytes in one item; at most %zu are taken", text.len,
                                r->base.limits.text);
    const int rc = parse(r, text, value_tag, ret);
    const int shown = text.len < 60 ? (int)text.len : 60;
    switch (rc) {
    case 0:
        return 0;
    case KS_E_NOMEM:
        return kmip_reader_fail(&r->base, rc, offset, "the message needs more memory than it may have");
    case KS_E_LIMIT:
        return kmip_reader_fail(&r->base, rc, offset, "the value is too large for %s", kmip_type_name(ret->type));
    case KS_E_NOT_FOUND:
        return kmip_reader_fail(&r->base, KS_E_MALFORMED, offset,
                                "\"%.*s\" is no value of %s; unknown ones are "
                                "written as 0x and hexadecimal digits",
                                shown, (const char *)text.data,
                                kmip_tag_xml_name(value_tag) != NULL ? kmip_tag_xml_name(value_tag) : "this tag");
    default:
        /* Byte strings and the like may be secrets: they are not repeated. */
        return kmip_reader_fail(&r->base, KS_E_MALFORMED, offset, "the value is no %s", kmip_type_name(ret->type));
    }
}

/* What the readers of text have in common. */

static int
text_next(struct kmip_reader *base, struct kmip_event *ret)
{
    struct kmip_text_reader *r = (struct kmip_text_reader *)base;
    if (r->next_event == r->n_events) {
        *ret = (struct kmip_event){.kind = KMIP_DONE, .offset = base->offset};
        return 0;
    }
    *ret = r->events[r->next_event++];
    if (ret->kind == KMIP_END) {
        kmip_reader_leave(base);
        return 0;
    }
    KS_TRY(kmip_reader_item(base, ret->item.tag, ret->offset));
    return ret->kind == KMIP_BEGIN ? kmip_reader_enter(base) : 0;
}

void
kmip_text_reader_start(struct kmip_text_reader *r, const struct kmip_limits *limits, struct ks_arena *arena,
                       struct ks_diag *diag)
{
    kmip_reader_init(&r->base, text_next, limits, diag);
    r->arena = arena;
    r->events = NULL;
    r->n_events = 0;
    r->next_event = 0;
    r->value_tag[0] = 0;
}

void
kmip_text_reader_replay(struct kmip_text_reader *r)
{
    const struct kmip_limits limits = r->base.limits;
    kmip_reader_init(&r->base, text_next, &limits, r->base.diag);
}

int
kmip_text_reader_add(struct kmip_text_reader *r, enum kmip_event_kind kind, size_t offset, const struct kmip_item *item)
{
    const size_t n = r->n_events;
    if (n == 0 || (n >= 16 && (n & (n - 1)) == 0)) {
        struct kmip_event *more = ks_arena_array(r->arena, n == 0 ? 16 : 2 * n, sizeof(*more));
        if (more == NULL)
            return kmip_reader_fail(&r->base, KS_E_NOMEM, offset, "the message needs more memory than it may have");
        if (n != 0)
            memcpy(more, r->events, n * sizeof(*more));
        r->events = more;
    }
    struct kmip_event *e = &r->events[r->n_events++];
    *e = (struct kmip_event){.kind = kind, .offset = offset};
    if (item != NULL)
        e->item = *item;
    return 0;
}

int
kmip_text_reader_tag(struct kmip_text_reader *r, struct ks_span name, size_t offset, uint32_t *ret)
{
    if (is_hex(name)) {
        uint64_t bits;
        const uint64_t first = parse_bits(name, 24, false, &bits) == 0 ? bits >> 16 : 0;
        if (first != 0x42 && first != 0x54)
            return kmip_reader_fail(&r->base, KS_E_MALFORMED, offset,
                                    "%.*s is no tag: tags begin with 42 or 54 and have 6 digits",
                                    name.len < 60 ? (int)name.len : 60, (const char *)name.data);
        *ret = (uint32_t)bits;
        return 0;
    }
    if (kmip_tag_find(name, ret) != 0)
        return kmip_reader_fail(&r->base, KS_E_MALFORMED, offset, "\"%.*s\" is no tag of KMIP",
                                name.len < 60 ? (int)name.len : 60, (const char *)name.data);
    return 0;
}

int
kmip_text_reader_type(struct kmip_text_reader *r, struct ks_span name, size_t offset, uint8_t *ret)
{
    uint64_t bits;
    if (is_hex(name) && parse_bits(name, 8, false, &bits) == 0 && bits >= KMIP_TYPE_STRUCTURE &&
        bits <= KMIP_TYPE_NAME_REFERENCE) {
        *ret = (uint8_t)bits;
        return 0;
    }
    for (unsigned type = KMIP_TYPE_STRUCTURE; type <= KMIP_TYPE_NAME_REFERENCE; type++)
        if (ks_span_is(name, kmip_type_name((enum kmip_type)type))) {
            *ret = (uint8_t)type;
            return 0;
        }
    return kmip_reader_fail(&r->base, KS_E_MALFORMED, offset, "\"%.*s\" is no item type",
                            name.len < 60 ? (int)name.len : 60, (const char *)name.data);
}
