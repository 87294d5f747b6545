/*
 * XML (KMIP Profiles, "XML Encoding"): <BatchItem>...</BatchItem>, <State type="Enumeration" value="Active"/>. Parsed
 * by expat; a document type, and with it entities, is refused.
 */
#include "kmip/wire.h"

#include <expat.h>
#include <limits.h>
#include <stdlib.h>

#include "base/text.h"

struct xml {
    struct kmip_text_reader *r;
    XML_Parser parser;
    bool in_leaf;
    int rc;
};

/* Secrets pass through expat's memory: it is wiped like all other. */
struct block {
    size_t size;
    _Alignas(16) uint8_t data[];
};

static void *
wiped_malloc(size_t size)
{
    struct block *b = size <= SIZE_MAX - sizeof(*b) ? malloc(sizeof(*b) + size) : NULL;
    if (b == NULL)
        return NULL;
    b->size = size;
    return b->data;
}

static void
wiped_free(void *p)
{
    if (p == NULL)
        return;
    struct block *b = (struct block *)((uint8_t *)p - offsetof(struct block, data));
    ks_wipe(b->data, b->size);
    free(b);
}

static void *
wiped_realloc(void *p, size_t size)
{
    uint8_t *more = wiped_malloc(size);
    if (more == NULL || p == NULL)
        return more;
    const struct block *b = (const struct block *)((const uint8_t *)p - offsetof(struct block, data));
    memcpy(more, p, b->size < size ? b->size : size);
    wiped_free(p);
    return more;
}

static void
parser_freep(XML_Parser *parser)
{
    if (*parser != NULL)
        XML_ParserFree(*parser);
}

static size_t
offset(const struct xml *x)
{
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 9
    const int64_t at = XML_GetCurrentByteIndex64(x->parser); /* the other one is deprecated */
#else
    const XML_Index at = XML_GetCurrentByteIndex(x->parser);
#endif
    return at >= 0 ? (size_t)at : 0;
}

static void
stop(struct xml *x, int rc)
{
    x->rc = rc;
    (void)XML_StopParser(x->parser, XML_FALSE);
}

static int
fail(struct xml *x, const char *what)
{
    return kmip_reader_fail(&x->r->base, KS_E_MALFORMED, offset(x), "XML: %s", what);
}

static int
element(struct xml *x, const char *name, const char **attributes)
{
    struct kmip_text_reader *r = x->r;
    const char *tag = NULL, *type = NULL, *value = NULL;
    const size_t at = offset(x);
    struct kmip_item item = {.type = KMIP_TYPE_STRUCTURE};
    if (x->in_leaf)
        return fail(x, "an element with a value has no elements inside");
    for (size_t i = 0; attributes[i] != NULL; i += 2) {
        const struct ks_span key = ks_span_str(attributes[i]);
        if (ks_span_is(key, "type"))
            type = attributes[i + 1];
        else if (ks_span_is(key, "value"))
            value = attributes[i + 1];
        else if (ks_span_is(key, "tag"))
            tag = attributes[i + 1];
        else if (!ks_span_is(key, "name")) /* of an extension: for people */
            return fail(x, "an element has the attributes tag, type and value");
    }
    const bool by_number = ks_span_is(ks_span_str(name), "TTLV");
    if (by_number != (tag != NULL))
        return fail(x, "the attribute tag belongs to the element TTLV, and to it alone");
    KS_TRY(kmip_text_reader_tag(r, ks_span_str(by_number ? tag : name), at, &item.tag));
    KS_TRY(kmip_reader_item(&r->base, item.tag, at));
    if (type != NULL)
        KS_TRY(kmip_text_reader_type(r, ks_span_str(type), at, &item.type));
    const unsigned depth = r->base.depth;
    if (item.type == KMIP_TYPE_STRUCTURE) {
        if (value != NULL)
            return fail(x, "a structure has no value");
        KS_TRY(kmip_reader_enter(&r->base));
        r->value_tag[r->base.depth] = 0;
        return kmip_text_reader_add(r, KMIP_BEGIN, at, &item);
    }
    if (value == NULL)
        return fail(x, "the element has no value");
    const struct ks_span text = ks_span_str(value);
    KS_TRY(kmip_value_parse(r, text, kmip_value_tag(item.tag, r->value_tag[depth]), at, &item));
    if (item.tag == KMIP_TAG_ATTRIBUTE_NAME && kmip_tag_find(text, &r->value_tag[depth]) != 0)
        r->value_tag[depth] = 0;
    x->in_leaf = true;
    return kmip_text_reader_add(r, KMIP_LEAF, at, &item);
}

static void XMLCALL
on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
    struct xml *x = data;
    const int rc = x->rc == 0 ? element(x, name, attributes) : 0;
    if (rc != 0)
        stop(x, rc);
}

static void XMLCALL
on_end(void *data, const XML_Char *name)
{
    struct xml *x = data;
    (void)name;
    if (x->rc != 0)
        return;
    if (x->in_leaf) {
        x->in_leaf = false;
        return;
    }
    const int rc = kmip_text_reader_add(x->r, KMIP_END, offset(x), NULL);
    if (rc != 0)
        stop(x, rc);
    else
        kmip_reader_leave(&x->r->base);
}

static void XMLCALL
on_text(void *data, const XML_Char *text, int len)
{
    struct xml *x = data;
    for (int i = 0; i < len && x->rc == 0; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\n' && text[i] != '\r')
            stop(x, fail(x, "values stand in the attribute value, not between elements"));
}

static void XMLCALL
on_doctype(void *data, const XML_Char *name, const XML_Char *system_id, const XML_Char *public_id, int has_internal)
{
    struct xml *x = data;
    (void)name, (void)system_id, (void)public_id, (void)has_internal;
    if (x->rc == 0)
        stop(x, fail(x, "a document type is not allowed"));
}

int
kmip_xml_reader_init(struct kmip_text_reader *r, struct ks_span in, const struct kmip_limits *limits,
                     struct ks_arena *arena, struct ks_diag *diag)
{
    static const XML_Memory_Handling_Suite memory = {wiped_malloc, wiped_realloc, wiped_free};
    kmip_text_reader_start(r, limits, arena, diag);
    if (in.len > limits->bytes || in.len > INT_MAX)
        return kmip_reader_fail(&r->base, KS_E_LIMIT, 0, "the message has %zu bytes; at most %zu are taken", in.len,
                                limits->bytes);
    KS_CLEANUP(parser_freep) XML_Parser parser = XML_ParserCreate_MM("UTF-8", &memory, NULL);
    if (parser == NULL)
        return kmip_reader_fail(&r->base, KS_E_NOMEM, 0, "out of memory");
    struct xml x = {.r = r, .parser = parser};
    XML_SetUserData(parser, &x);
    XML_SetElementHandler(parser, on_start, on_end);
    XML_SetCharacterDataHandler(parser, on_text);
    XML_SetStartDoctypeDeclHandler(parser, on_doctype);
    const enum XML_Status status = XML_Parse(parser, (const char *)in.data, (int)in.len, XML_TRUE);
    if (x.rc != 0)
        return x.rc;
    if (status != XML_STATUS_OK) {
        const enum XML_Error error = XML_GetErrorCode(parser);
        if (error == XML_ERROR_NO_MEMORY)
            return kmip_reader_fail(&r->base, KS_E_NOMEM, offset(&x), "out of memory");
        return kmip_reader_fail(&r->base, KS_E_MALFORMED, offset(&x), "XML: %s", XML_ErrorString(error));
    }
    kmip_text_reader_replay(r);
    return 0;
}

/* Writing */

/* XML 1.0 has no way to write most control characters, U+FFFE and U+FFFF, not even escaped. */
static bool
can_carry(struct ks_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (c < 0x20 && c != '\t' && c != '\n' && c != '\r')
            return false;
        if (c == 0xef && text.len - i >= 3 && text.data[i + 1] == 0xbf && text.data[i + 2] >= 0xbe)
            return false;
    }
    return ks_utf8_valid(text);
}

static int
add_escaped(struct kmip_text_writer *w, struct ks_span text)
{
    if (!can_carry(text))
        return ks_fail(w->base.diag, KS_E_UNSUPPORTED, "a text has characters that XML cannot carry; use TTLV or JSON");
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        /* Blanks other than the space would come back as spaces. */
        if (c == '&' || c == '<' || c == '>' || c == '"' || c < 0x20)
            ks_buf_addf(w->out, "&#%u;", c);
        else
            ks_buf_add_u8(w->out, c);
    }
    return w->out->err;
}

static int
open_tag(struct kmip_text_writer *w, uint32_t tag)
{
    const char *name = kmip_tag_text_name(tag);
    ks_buf_addf(w->out, "%*s<", (int)(2 * w->base.depth), "");
    return name != NULL ? ks_buf_add_str(w->out, name) : ks_buf_addf(w->out, "TTLV tag=\"0x%06X\"", tag);
}

static int
xml_begin(struct kmip_writer *base, uint32_t tag)
{
    struct kmip_text_writer *w = (struct kmip_text_writer *)base;
    if (base->depth >= KMIP_DEPTH_MAX)
        return ks_fail(base->diag, KS_E_LIMIT, "structures nest more than %d deep", KMIP_DEPTH_MAX);
    open_tag(w, tag);
    base->depth++;
    w->tag[base->depth] = tag;
    w->value_tag[base->depth] = 0;
    return ks_buf_add_str(w->out, ">\n");
}

static int
xml_leaf(struct kmip_writer *base, const struct kmip_item *item)
{
    struct kmip_text_writer *w = (struct kmip_text_writer *)base;
    const uint32_t value_tag = kmip_value_tag(item->tag, w->value_tag[base->depth]);
    if (item->tag == KMIP_TAG_ATTRIBUTE_NAME && item->type == KMIP_TYPE_TEXT_STRING &&
        kmip_tag_find(item->s, &w->value_tag[base->depth]) != 0)
        w->value_tag[base->depth] = 0;
    open_tag(w, item->tag);
    ks_buf_addf(w->out, " type=\"%s\" value=\"", kmip_type_name(item->type));
    if (item->type == KMIP_TYPE_TEXT_STRING || item->type >= KMIP_TYPE_IDENTIFIER)
        KS_TRY(add_escaped(w, item->s));
    else
        kmip_value_format(item, value_tag, ' ', w->out);
    return ks_buf_add_str(w->out, "\"/>\n");
}

static int
xml_end(struct kmip_writer *base)
{
    struct kmip_text_writer *w = (struct kmip_text_writer *)base;
    const char *name = kmip_tag_text_name(w->tag[base->depth]);
    base->depth--;
    return ks_buf_addf(w->out, "%*s</%s>\n", (int)(2 * base->depth), "", name != NULL ? name : "TTLV");
}

void
kmip_xml_writer_init(struct kmip_text_writer *w, struct ks_buf *out, struct ks_diag *diag)
{
    *w = (struct kmip_text_writer){.base = {xml_begin, xml_leaf, xml_end, diag, 0}, .out = out};
}
