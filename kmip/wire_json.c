/*
 * JSON (KMIP Profiles, "JSON Encoding"): {"tag": "BatchItem", "value": [...]}, {"tag": "State", "type": "Enumeration",
 * "value": "Active"}. The reader is our own because it must say where in the input an error is and stop at limits
 * while it reads; what it takes is strict RFC 8259.
 */
#include "kmip/wire.h"

#include <stdio.h>

#include "base/text.h"

struct json {
    struct kmip_text_reader *r;
    const uint8_t *data;
    size_t len, pos;
    int fault; /* why a structure that was entered is unsound; 0 */
};

/* A JSON value that was passed over: where it is, and by its first character what it is. */
struct raw {
    size_t at, end;
};

static int
fail(struct json *j, const char *what)
{
    return kmip_reader_fail(&j->r->base, KS_E_MALFORMED, j->pos, "JSON: %s", what);
}

static int
no_memory(struct json *j)
{
    return kmip_reader_fail(&j->r->base, KS_E_NOMEM, j->pos, "the message needs more memory than it may have");
}

static void
skip_blanks(struct json *j)
{
    while (j->pos < j->len &&
           (j->data[j->pos] == ' ' || j->data[j->pos] == '\t' || j->data[j->pos] == '\n' || j->data[j->pos] == '\r'))
        j->pos++;
}

/* The next character that is not blank, 0 at the end; it is not consumed. */
static uint8_t
peek(struct json *j)
{
    skip_blanks(j);
    return j->pos < j->len ? j->data[j->pos] : 0;
}

static int
expect(struct json *j, uint8_t c, const char *what)
{
    if (peek(j) != c || j->pos >= j->len)
        return fail(j, what);
    j->pos++;
    return 0;
}

static int
hex4(struct json *j, uint32_t *ret)
{
    uint32_t v = 0;
    if (j->len - j->pos < 4)
        return fail(j, "the input ends inside \\u");
    for (int i = 0; i < 4; i++, j->pos++) {
        const uint8_t c = j->data[j->pos];
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint32_t)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            v = v << 4 | (uint32_t)(c - 'A' + 10);
        else
            return fail(j, "four hexadecimal digits follow \\u");
    }
    *ret = v;
    return 0;
}

static void
put_utf8(uint8_t *out, size_t *len, uint32_t c)
{
    if (c < 0x80) {
        out[(*len)++] = (uint8_t)c;
        return;
    }
    if (c < 0x800) {
        out[(*len)++] = (uint8_t)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            out[(*len)++] = (uint8_t)(0xe0 | c >> 12);
        } else {
            out[(*len)++] = (uint8_t)(0xf0 | c >> 18);
            out[(*len)++] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        }
        out[(*len)++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    }
    out[(*len)++] = (uint8_t)(0x80 | (c & 0x3f));
}

/* The character behind a backslash. What comes out is never longer than what went in. */
static int
escape(struct json *j, uint8_t *out, size_t *len)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (j->pos >= j->len)
        return fail(j, "the input ends inside a string");
    const uint8_t c = j->data[j->pos];
    const char *p = c != 0 ? strchr(from, c) : NULL;
    if (p != NULL) {
        j->pos++;
        out[(*len)++] = (uint8_t)to[p - from];
        return 0;
    }
    if (c != 'u')
        return fail(j, "no such escape");
    j->pos++;
    uint32_t v, low;
    KS_TRY(hex4(j, &v));
    if (v >= 0xdc00 && v <= 0xdfff)
        return fail(j, "half a surrogate pair");
    if (v >= 0xd800 && v <= 0xdbff) {
        if (j->len - j->pos < 2 || j->data[j->pos] != '\\' || j->data[j->pos + 1] != 'u')
            return fail(j, "half a surrogate pair");
        j->pos += 2;
        KS_TRY(hex4(j, &low));
        if (low < 0xdc00 || low > 0xdfff)
            return fail(j, "half a surrogate pair");
        v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
    }
    put_utf8(out, len, v);
    return 0;
}

/* Passes over a string, and says whether it has escapes. */
static int
skip_string(struct json *j, struct ks_span *ret_inside, bool *ret_escapes)
{
    const size_t from = ++j->pos;
    bool escapes = false;
    for (; j->pos < j->len && j->data[j->pos] != '"'; j->pos++) {
        if (j->data[j->pos] < 0x20)
            return fail(j, "a control character inside a string");
        if (j->data[j->pos] == '\\') {
            escapes = true;
            if (++j->pos == j->len)
                break;
        }
    }
    if (j->pos >= j->len) {
        j->pos = from - 1;
        return fail(j, "a string without an end");
    }
    *ret_inside = KS_SPAN(j->data + from, j->pos - from);
    *ret_escapes = escapes;
    j->pos++;
    return 0;
}

/* A string, unescaped. Without escapes it is a span into the input. */
static int
string(struct json *j, struct ks_span *ret)
{
    const size_t at = j->pos;
    struct ks_span inside;
    bool escapes;
    KS_TRY(skip_string(j, &inside, &escapes));
    if (inside.len > 2 * j->r->base.limits.text + 64) {
        j->pos = at;
        return kmip_reader_fail(&j->r->base, KS_E_LIMIT, at, "%zu bytes in one string", inside.len);
    }
    if (!ks_utf8_valid(inside)) {
        j->pos = at;
        return fail(j, "the string is not valid UTF-8");
    }
    if (!escapes) {
        *ret = inside;
        return 0;
    }
    uint8_t *out = ks_arena_alloc(j->r->arena, inside.len);
    if (out == NULL)
        return no_memory(j);
    size_t n = 0;
    const size_t end = at + 1 + inside.len;
    for (j->pos = at + 1; j->pos < end;) {
        if (j->data[j->pos] == '\\') {
            j->pos++;
            KS_TRY(escape(j, out, &n));
        } else {
            out[n++] = j->data[j->pos++];
        }
    }
    j->pos = end + 1;
    *ret = KS_SPAN(out, n);
    return 0;
}

/* A number, true, false or null: checked, not valued. */
static int
skip_word(struct json *j)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < KS_ARRAY_LEN(words); i++) {
        const size_t n = strlen(words[i]);
        if (j->len - j->pos >= n && memcmp(j->data + j->pos, words[i], n) == 0) {
            j->pos += n;
            return 0;
        }
    }
    size_t p = j->pos;
    if (p < j->len && j->data[p] == '-')
        p++;
    const size_t digits = p;
    while (p < j->len && j->data[p] >= '0' && j->data[p] <= '9')
        p++;
    if (p == digits || (j->data[digits] == '0' && p > digits + 1))
        return fail(j, "a value is missing here");
    if (p < j->len && (j->data[p] == '.' || j->data[p] == 'e' || j->data[p] == 'E'))
        return fail(j, "KMIP has whole numbers only");
    j->pos = p;
    return 0;
}

/* Passes over any value, nested ones by counting brackets: they are read properly afterwards. */
static int
skip_value(struct json *j, struct raw *ret)
{
    size_t open = 0;
    (void)peek(j);
    ret->at = j->pos;
    do {
        const uint8_t c = peek(j);
        struct ks_span inside;
        bool escapes;
        if (j->pos >= j->len)
            return fail(j, "the input ends inside a value");
        if (c == '"') {
            KS_TRY(skip_string(j, &inside, &escapes));
        } else if (c == '[' || c == '{') {
            open++;
            j->pos++;
        } else if (c == ']' || c == '}') {
            if (open == 0)
                return fail(j, "a value is missing here");
            open--;
            j->pos++;
        } else if (open != 0) {
            j->pos++;
        } else {
            KS_TRY(skip_word(j));
        }
    } while (open != 0);
    ret->end = j->pos;
    return 0;
}

struct members {
    struct ks_span tag, type;
    struct raw value;
    size_t tag_at, type_at;
    bool has_tag, has_type, has_value;
};

static int
member(struct json *j, struct members *m)
{
    struct ks_span ignored;
    if (peek(j) != '"')
        return fail(j, "the name of a member is expected");
    const size_t name_at = j->pos;
    struct ks_span name;
    KS_TRY(string(j, &name));
    KS_TRY(expect(j, ':', "':' is expected"));
    (void)peek(j);
    bool *has = ks_span_is(name, "tag")     ? &m->has_tag
                : ks_span_is(name, "type")  ? &m->has_type
                : ks_span_is(name, "value") ? &m->has_value
                                            : NULL;
    if (has == NULL) {
        if (ks_span_is(name, "name") && peek(j) == '"') /* of an extension: for people */
            return string(j, &ignored);
        j->pos = name_at;
        return fail(j, "an item has the members \"tag\", \"type\" and \"value\"");
    }
    if (*has) {
        j->pos = name_at;
        return fail(j, "the member is there twice");
    }
    *has = true;
    if (has == &m->has_value)
        return skip_value(j, &m->value);
    *(has == &m->has_tag ? &m->tag_at : &m->type_at) = j->pos;
    if (peek(j) != '"')
        return fail(j, "a string is expected");
    return string(j, has == &m->has_tag ? &m->tag : &m->type);
}

static int
members(struct json *j, struct members *m)
{
    KS_TRY(expect(j, '{', "an item begins with '{'"));
    do
        KS_TRY(member(j, m));
    while (peek(j) == ',' && j->pos++ < j->len);
    return expect(j, '}', "',' or '}' is expected");
}

static int
leaf(struct json *j, const struct raw *value, struct kmip_item *item)
{
    struct kmip_text_reader *r = j->r;
    const unsigned depth = r->base.depth;
    const uint32_t value_tag = kmip_value_tag(item->tag, r->value_tag[depth]);
    struct ks_span text = KS_SPAN_NONE;
    const uint8_t c = j->data[value->at];
    j->pos = value->at;
    if (c == '"') {
        KS_TRY(string(j, &text));
    } else if (c == '{' || c == '[') {
        return fail(j, "only a structure's value is an array");
    } else {
        text = KS_SPAN(j->data + value->at, value->end - value->at);
        const bool word = c == 't' || c == 'f';
        if (c == 'n' || word != (item->type == KMIP_TYPE_BOOLEAN) ||
            (!word && item->type != KMIP_TYPE_INTEGER && item->type != KMIP_TYPE_LONG_INTEGER &&
             item->type != KMIP_TYPE_ENUMERATION && item->type != KMIP_TYPE_INTERVAL &&
             item->type != KMIP_TYPE_DATE_TIME && item->type != KMIP_TYPE_DATE_TIME_EXTENDED))
            return kmip_reader_fail(&r->base, KS_E_MALFORMED, value->at, "JSON: a string is expected for %s",
                                    kmip_type_name(item->type));
    }
    KS_TRY(kmip_value_parse(r, text, value_tag, value->at, item));
    if (item->tag == KMIP_TAG_ATTRIBUTE_NAME && kmip_tag_find(text, &r->value_tag[depth]) != 0)
        r->value_tag[depth] = 0;
    return kmip_text_reader_add(r, KMIP_LEAF, r->base.offset, item);
}

/* Where a structure's array ends, and the object around it. */
struct ends {
    size_t array, object;
};

/*
 * One leaf, or the beginning of a structure up to its '['. The members of an item come in any order, so they are
 * passed over to the end of the object first. A structure with a fault is entered all the same: what stands before the
 * fault may be of use (kmip_transcode_version); that there is one has been reported.
 */
static int
one_item(struct json *j, struct ends *ends, bool *ret_opened)
{
    struct kmip_text_reader *r = j->r;
    struct members m = {0};
    (void)peek(j);
    const size_t at = j->pos;
    const int rc = members(j, &m);
    if (rc != 0) {
        if (!m.has_tag || !m.has_value || m.value.at >= j->len || j->data[m.value.at] != '[')
            return rc;
        j->fault = j->fault != 0 ? j->fault : rc;
        m.value.end = j->len;
    }
    const size_t behind = rc == 0 ? j->pos : j->len;
    struct kmip_item item = {.type = KMIP_TYPE_STRUCTURE};
    j->pos = at;
    if (!m.has_tag || !m.has_value)
        return fail(j, m.has_tag ? "the item has no \"value\"" : "the item has no \"tag\"");
    KS_TRY(kmip_text_reader_tag(r, m.tag, m.tag_at, &item.tag));
    KS_TRY(kmip_reader_item(&r->base, item.tag, at));
    if (m.has_type)
        KS_TRY(kmip_text_reader_type(r, m.type, m.type_at, &item.type));
    if (item.type != KMIP_TYPE_STRUCTURE) {
        KS_TRY(leaf(j, &m.value, &item));
        j->pos = behind;
        *ret_opened = false;
        return 0;
    }
    KS_TRY(kmip_reader_enter(&r->base));
    KS_TRY(kmip_text_reader_add(r, KMIP_BEGIN, at, &item));
    ends[r->base.depth] = (struct ends){.array = m.value.end, .object = behind};
    r->value_tag[r->base.depth] = 0;
    j->pos = m.value.at;
    *ret_opened = true;
    return expect(j, '[', "the value of a structure is an array");
}

/* Closes the structures that end here. Stops before the next item, or at depth 0. */
static int
close_structures(struct json *j, const struct ends *ends, bool opened)
{
    struct kmip_reader *base = &j->r->base;
    while (base->depth != 0) {
        const uint8_t c = peek(j);
        if (opened && c != ']')
            return 0;
        if (!opened && c == ',') {
            j->pos++;
            return 0;
        }
        KS_TRY(expect(j, ']', "',' or ']' is expected"));
        if (j->pos != ends[base->depth].array)
            return fail(j, "brackets do not match");
        KS_TRY(kmip_text_reader_add(j->r, KMIP_END, j->pos - 1, NULL));
        j->pos = ends[base->depth].object;
        kmip_reader_leave(base);
        opened = false;
    }
    return 0;
}

/* Not recursive: `ends` remembers, per depth, where to go on. */
static int
items(struct json *j)
{
    struct ends ends[KMIP_DEPTH_MAX + 1];
    do {
        bool opened;
        KS_TRY(one_item(j, ends, &opened));
        KS_TRY(close_structures(j, ends, opened));
    } while (j->r->base.depth != 0);
    return 0;
}

int
kmip_json_reader_init(struct kmip_text_reader *r, struct ks_span in, const struct kmip_limits *limits,
                      struct ks_arena *arena, struct ks_diag *diag)
{
    struct json j = {.r = r, .data = in.data, .len = in.len};
    kmip_text_reader_start(r, limits, arena, diag);
    if (in.len > limits->bytes)
        return kmip_reader_fail(&r->base, KS_E_LIMIT, 0, "the message has %zu bytes; at most %zu are taken", in.len,
                                limits->bytes);
    const int rc = items(&j);
    if (j.fault != 0) /* it is unsound however it went on */
        return j.fault;
    KS_TRY(rc);
    if (peek(&j) != 0 || j.pos < j.len) {
        r->base.at = KMIP_AT_OPEN;
        return fail(&j, "more follows the message");
    }
    kmip_text_reader_replay(r);
    return 0;
}

/* Writing */

static int
begin_item(struct kmip_text_writer *w, uint32_t tag)
{
    const unsigned d = w->base.depth;
    const char *name = kmip_tag_text_name(tag);
    if (w->has_child[d])
        ks_buf_add_u8(w->out, ',');
    if (d != 0)
        ks_buf_addf(w->out, "\n%*s", (int)(2 * d), "");
    w->has_child[d] = true;
    return name != NULL ? ks_buf_addf(w->out, "{\"tag\": \"%s\", ", name)
                        : ks_buf_addf(w->out, "{\"tag\": \"0x%06X\", ", tag);
}

static int
json_begin(struct kmip_writer *base, uint32_t tag)
{
    struct kmip_text_writer *w = (struct kmip_text_writer *)base;
    if (base->depth >= KMIP_DEPTH_MAX)
        return ks_fail(base->diag, KS_E_LIMIT, "structures nest more than %d deep", KMIP_DEPTH_MAX);
    begin_item(w, tag);
    base->depth++;
    w->has_child[base->depth] = false;
    w->value_tag[base->depth] = 0;
    return ks_buf_add_str(w->out, "\"value\": [");
}

/* Numbers are exact in every JSON reader only up to 53 bits. */
static bool
is_plain_number(const struct kmip_item *item, uint32_t value_tag)
{
    switch (item->type) {
    case KMIP_TYPE_INTEGER:
        return !kmip_tag_is_mask(value_tag) || item->i32 == 0;
    case KMIP_TYPE_LONG_INTEGER:
        return item->i64 > -(1LL << 53) && item->i64 < 1LL << 53;
    case KMIP_TYPE_INTERVAL:
    case KMIP_TYPE_BOOLEAN:
        return true;
    default:
        return false;
    }
}

static int
json_leaf(struct kmip_writer *base, const struct kmip_item *item)
{
    struct kmip_text_writer *w = (struct kmip_text_writer *)base;
    const uint32_t value_tag = kmip_value_tag(item->tag, w->value_tag[base->depth]);
    if (item->tag == KMIP_TAG_ATTRIBUTE_NAME && item->type == KMIP_TYPE_TEXT_STRING &&
        kmip_tag_find(item->s, &w->value_tag[base->depth]) != 0)
        w->value_tag[base->depth] = 0;
    begin_item(w, item->tag);
    ks_buf_addf(w->out, "\"type\": \"%s\", \"value\": ", kmip_type_name(item->type));
    if (is_plain_number(item, value_tag)) {
        kmip_value_format(item, value_tag, '|', w->out);
    } else if (item->type == KMIP_TYPE_LONG_INTEGER) {
        ks_buf_addf(w->out, "\"0x%016llX\"", (unsigned long long)item->i64);
    } else if (item->type == KMIP_TYPE_TEXT_STRING || item->type >= KMIP_TYPE_IDENTIFIER) {
        ks_json_add_string(w->out, item->s);
    } else {
        ks_buf_add_str(w->out, item->type == KMIP_TYPE_BIG_INTEGER ? "\"0x" : "\"");
        kmip_value_format(item, value_tag, '|', w->out);
        ks_buf_add_u8(w->out, '"');
    }
    return ks_buf_add_u8(w->out, '}');
}

static int
json_end(struct kmip_writer *base)
{
    struct kmip_text_writer *w = (struct kmip_text_writer *)base;
    if (w->has_child[base->depth])
        ks_buf_addf(w->out, "\n%*s", (int)(2 * (base->depth - 1)), "");
    base->depth--;
    return ks_buf_add_str(w->out, base->depth == 0 ? "]}\n" : "]}");
}

void
kmip_json_writer_init(struct kmip_text_writer *w, struct ks_buf *out, struct ks_diag *diag)
{
    *w = (struct kmip_text_writer){.base = {json_begin, json_leaf, json_end, diag, 0}, .out = out};
}
