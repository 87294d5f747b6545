#include "conform/tree.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/text.h"
#include "kmip/wire.h"

static const struct kmip_limits limits = {.bytes = TREE_MAX_BYTES, .depth = 32, .items = 65536, .text = 1 << 20};

bool
tree_var(struct ks_span text, struct ks_span *ret_name, int64_t *ret_offset)
{
    const char *p = (const char *)text.data, *const end = p + text.len;
    if (text.len < 2 || p[0] != '$' || !isalpha((unsigned char)p[1]))
        return false;
    const char *const name = ++p;
    while (p < end && (isalnum((unsigned char)*p) || *p == '_'))
        p++;
    const struct ks_span found = KS_SPAN(name, (size_t)(p - name));
    int64_t offset = 0;
    if (p < end && ks_parse_i64(KS_SPAN(p, (size_t)(end - p)), -INT32_MAX, INT32_MAX, &offset) != 0)
        return false;
    *ret_name = found;
    *ret_offset = offset;
    return true;
}

/* XML as far as it is needed to find the elements, in order, and their attributes. */
struct scan {
    const char *p, *end;
    const char *from; /* what has not been copied yet */
};

static const char *
find(const char *p, const char *end, const char *what)
{
    const char *at = memmem(p, (size_t)(end - p), what, strlen(what));
    return at != NULL ? at + strlen(what) : end;
}

/* The value of an attribute inside a tag, without the quotes; false: it has none of that name. */
static bool
attribute(struct ks_span tag, const char *name, struct ks_span *ret)
{
    const size_t len = strlen(name);
    const char *p = (const char *)tag.data, *const end = p + tag.len;
    while (p < end) {
        const char *const eq = memchr(p, '=', (size_t)(end - p));
        if (eq == NULL || end - eq < 2)
            return false;
        const char quote = eq[1];
        const char *const close = memchr(eq + 2, quote, (size_t)(end - eq - 2));
        if ((quote != '"' && quote != '\'') || close == NULL)
            return false;
        if ((size_t)(eq - p) >= len && memcmp(eq - len, name, len) == 0 &&
            (eq - len == p || isspace((unsigned char)eq[-(ptrdiff_t)len - 1]))) {
            *ret = KS_SPAN(eq + 2, (size_t)(close - eq - 2));
            return true;
        }
        p = close + 1;
    }
    return false;
}

/* The next opening tag, without the brackets; false: there is none. */
static bool
next_tag(struct scan *s, struct ks_span *ret)
{
    for (;;) {
        s->p = memchr(s->p, '<', (size_t)(s->end - s->p));
        if (s->p == NULL || s->end - s->p < 3) {
            s->p = s->end;
            return false;
        }
        if (s->end - s->p > 4 && memcmp(s->p, "<!--", 4) == 0) {
            s->p = find(s->p, s->end, "-->");
        } else if (s->p[1] == '/' || s->p[1] == '?' || s->p[1] == '!') {
            s->p = find(s->p, s->end, ">");
        } else {
            const char *const begin = s->p + 1;
            char quote = '\0';
            for (s->p = begin; s->p < s->end && (quote != '\0' || *s->p != '>'); s->p++) {
                if (quote == '\0' && (*s->p == '"' || *s->p == '\''))
                    quote = *s->p;
                else if (*s->p == quote)
                    quote = '\0';
            }
            *ret = KS_SPAN(begin, (size_t)(s->p - begin));
            return true;
        }
    }
}

static void
add_escaped(struct ks_buf *out, struct ks_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.data[i]) {
        case '&':
            ks_buf_add_str(out, "&amp;");
            break;
        case '<':
            ks_buf_add_str(out, "&lt;");
            break;
        case '>':
            ks_buf_add_str(out, "&gt;");
            break;
        case '"':
            ks_buf_add_str(out, "&quot;");
            break;
        default:
            ks_buf_add_u8(out, text.data[i]);
        }
    }
}

int
tree_fill_xml(struct ks_span xml, struct tree_fill *fill, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(TREE_MAX_BYTES);
    struct scan s = {(const char *)xml.data, (const char *)xml.data + xml.len, (const char *)xml.data};
    struct ks_span tag, value, name, type;
    int64_t offset;
    while (next_tag(&s, &tag)) {
        if (!attribute(tag, "value", &value) || !tree_var(value, &name, &offset))
            continue;
        if (!attribute(tag, "type", &type))
            type = KS_LIT("Structure");
        size_t n = 0;
        while (n < tag.len && !isspace(tag.data[n]))
            n++;
        ks_buf_reset(&text);
        const int rc = fill->fill(fill, name, offset, KS_SPAN(tag.data, n), type, &text);
        if (rc != 0 || text.err != 0) {
            fill->missing = name;
            return ks_fail(diag, rc != 0 ? rc : text.err, "$%.*s has no value", (int)name.len, name.data);
        }
        ks_buf_add(ret, s.from, (size_t)((const char *)value.data - s.from));
        add_escaped(ret, ks_buf_span(&text));
        s.from = (const char *)value.data + value.len;
    }
    if (ks_buf_add(ret, s.from, (size_t)(s.end - s.from)) != 0)
        return ks_fail(diag, ret->err, "%s", ks_err_text(ret->err));
    return 0;
}

/* A value of the right type, so that the message can be read; what stands there is a placeholder. */
static int
fill_any(struct tree_fill *fill, struct ks_span name, int64_t offset, struct ks_span tag, struct ks_span type,
         struct ks_buf *ret)
{
    static const struct {
        const char *type, *value;
    } values[] = {{"DateTime", "2026-01-01T00:00:00Z"},
                  {"DateTimeExtended", "2026-01-01T00:00:00.000000Z"},
                  {"ByteString", "00"},
                  {"BigInteger", "0000000000000000"},
                  {"Boolean", "false"}};
    (void)fill, (void)name, (void)offset, (void)tag;
    for (size_t i = 0; i < KS_ARRAY_LEN(values); i++)
        if (ks_span_is(type, values[i].type))
            return ks_buf_add_str(ret, values[i].value);
    return ks_buf_add_str(ret, "1");
}

struct builder {
    struct ks_arena *arena;
    struct kmip_reader *reader;
    struct ks_diag *diag;
};

static int
build(struct builder *b, const struct kmip_event *event, struct tree *parent, struct tree **ret)
{
    struct tree *t = ks_arena_alloc(b->arena, sizeof(*t));
    if (t == NULL)
        return ks_fail(b->diag, KS_E_NOMEM, "out of memory");
    t->parent = parent;
    t->item = event->item;
    t->item.next = NULL;
    if (event->kind == KMIP_LEAF) {
        if (tree_has_text(t))
            KS_TRY(ks_arena_span(b->arena, event->item.s, &t->item.s));
        *ret = t;
        return 0;
    }
    t->item.first = NULL;
    size_t room = 0;
    for (struct kmip_event e;;) {
        const int rc = kmip_reader_next(b->reader, &e);
        if (rc != 0)
            return rc;
        if (e.kind == KMIP_END)
            break;
        if (t->n == room) {
            const size_t more = room != 0 ? 2 * room : 4;
            struct tree **grown = ks_arena_array(b->arena, more, sizeof(struct tree *));
            if (grown == NULL)
                return ks_fail(b->diag, KS_E_NOMEM, "out of memory");
            if (t->n != 0)
                memcpy(grown, t->child, t->n * sizeof(struct tree *));
            t->child = grown;
            room = more;
        }
        KS_TRY(build(b, &e, t, &t->child[t->n]));
        t->n++;
    }
    *ret = t;
    return 0;
}

int
tree_read(enum kmip_encoding encoding, struct ks_span bytes, struct ks_arena *arena, struct tree **ret,
          struct ks_diag *diag)
{
    struct kmip_any_reader any;
    struct builder b = {.arena = arena, .diag = diag};
    struct kmip_event e;
    struct tree *root;
    KS_TRY(kmip_read_from(encoding, bytes, &limits, arena, &any, &b.reader, diag));
    KS_TRY(kmip_reader_next(b.reader, &e));
    if (e.kind != KMIP_BEGIN)
        return ks_fail(diag, KS_E_MALFORMED, "there is no message");
    KS_TRY(build(&b, &e, NULL, &root));
    KS_TRY(kmip_reader_next(b.reader, &e));
    *ret = root;
    return 0;
}

struct tree *
tree_next(const struct tree *root, const struct tree *t)
{
    if (t->n != 0)
        return t->child[0];
    while (t != root) {
        struct tree *const parent = t->parent;
        for (size_t i = 0; i + 1 < parent->n; i++)
            if (parent->child[i] == t)
                return parent->child[i + 1];
        t = parent;
    }
    return NULL;
}

int
tree_read_case(struct ks_span xml, struct ks_arena *arena, struct tree **ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf filled = KS_BUF(TREE_MAX_BYTES);
    struct tree_fill fill = {.fill = fill_any};
    struct tree *root;
    KS_TRY(tree_fill_xml(xml, &fill, &filled, diag));
    struct ks_span copy;
    KS_TRY(ks_arena_span(arena, ks_buf_span(&filled), &copy));
    KS_TRY(tree_read(KMIP_ENCODING_XML, copy, arena, &root, diag));
    /* The items of the tree are the elements of the text, in the same order. */
    struct scan s = {.p = (const char *)xml.data, .end = (const char *)xml.data + xml.len};
    struct ks_span tag, value;
    struct tree *t = root;
    while (t != NULL && next_tag(&s, &tag)) {
        if (attribute(tag, "value", &value) && tree_var(value, &t->var, &t->offset))
            KS_TRY(ks_arena_span(arena, t->var, &t->var));
        t = tree_next(root, t);
    }
    if (t != NULL)
        return ks_fail(diag, KS_E_MALFORMED, "the message ends early");
    *ret = root;
    return 0;
}

struct tree *
tree_child(const struct tree *t, uint32_t tag)
{
    for (size_t i = 0; t != NULL && i < t->n; i++)
        if (t->child[i]->item.tag == tag)
            return t->child[i];
    return NULL;
}

bool
tree_same_value(const struct kmip_item *a, const struct kmip_item *b)
{
    struct kmip_item one = *a, other = *b;
    one.tag = other.tag = KMIP_TAG_ATTRIBUTE_VALUE;
    one.secret = other.secret = false;
    return kmip_item_equal(&one, &other);
}

static uint32_t
attribute_tag(const struct tree *t)
{
    const struct tree *const name = tree_child(t, KMIP_TAG_ATTRIBUTE_NAME);
    uint32_t tag;
    if (name == NULL || name->item.type != KMIP_TYPE_TEXT_STRING || kmip_tag_find(name->item.s, &tag) != 0 ||
        kmip_attr_rule_find(tag) == NULL)
        return KMIP_TAG_ATTRIBUTE;
    return tag;
}

uint32_t
tree_label(const struct tree *t)
{
    if (t->item.tag == KMIP_TAG_ATTRIBUTE && t->n != 0)
        return attribute_tag(t);
    if (t->item.tag == KMIP_TAG_ATTRIBUTE_VALUE && t->parent != NULL && t->parent->item.tag == KMIP_TAG_ATTRIBUTE)
        return attribute_tag(t->parent);
    return t->item.tag;
}
