#include "conform/compare.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "kmip/wire.h"

enum effect { ANY = 1, NOW = 2, DATE = 4, ALIKE = 8, MISS = 16, MORE = 32, ORDER = 64 };
enum { EVERY_ATTRIBUTE = 1, EVERY_LEAF = 2 };
enum condition {
    ALWAYS,
    FROM_REQUEST,
    NOT_CRITICAL,
    INDEX_ZERO,
    GENERATED,
    OTHER_DIGEST,
    NOT_SENT,
    NONE_NAMED,
    UNFORESEEABLE,
    ONE_IS_THERE,
    NO_VERSIONS_ASKED
};

/* Rows name up to 13 tags; a field of 16 is plenty. */
enum { ROW_TAGS = 16, ROW_OPS = 4 };

static const struct vary {
    unsigned effects;
    unsigned every; /* 0: tags */
    uint32_t tags[ROW_TAGS];
    uint32_t within;
    uint32_t ops[ROW_OPS]; /* none: all */
    enum condition when;
} rows[] = {
#define COUNT_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, ...) n
#define COUNT(...) COUNT_(__VA_ARGS__, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)
#define EACH_1(M, a) M(a)
#define EACH_2(M, a, ...) M(a), EACH_1(M, __VA_ARGS__)
#define EACH_3(M, a, ...) M(a), EACH_2(M, __VA_ARGS__)
#define EACH_4(M, a, ...) M(a), EACH_3(M, __VA_ARGS__)
#define EACH_5(M, a, ...) M(a), EACH_4(M, __VA_ARGS__)
#define EACH_6(M, a, ...) M(a), EACH_5(M, __VA_ARGS__)
#define EACH_7(M, a, ...) M(a), EACH_6(M, __VA_ARGS__)
#define EACH_8(M, a, ...) M(a), EACH_7(M, __VA_ARGS__)
#define EACH_9(M, a, ...) M(a), EACH_8(M, __VA_ARGS__)
#define EACH_10(M, a, ...) M(a), EACH_9(M, __VA_ARGS__)
#define EACH_11(M, a, ...) M(a), EACH_10(M, __VA_ARGS__)
#define EACH_12(M, a, ...) M(a), EACH_11(M, __VA_ARGS__)
#define EACH_13(M, a, ...) M(a), EACH_12(M, __VA_ARGS__)
#define EACH__(n, M, ...) EACH_##n(M, __VA_ARGS__)
#define EACH_(n, M, ...) EACH__(n, M, __VA_ARGS__)
#define EACH(M, ...) EACH_(COUNT(__VA_ARGS__), M, __VA_ARGS__)
#define TAG(name) KMIP_TAG_##name
#define OP(name) KMIP_OPERATION_##name
#define TAGS(...) .tags = {EACH(TAG, __VA_ARGS__)}
#define EVERY(what) .every = EVERY_##what
#define OPS(...) .ops = {EACH(OP, __VA_ARGS__)}
#define EVERYWHERE .ops = {0}
#define KMIP_TAG_0 0
#define WITHIN(tag) KMIP_TAG_##tag
#define VARY(EFFECTS, WHICH, WITHIN_TAG, IN, WHEN, WHY)                                                                \
    {.effects = (EFFECTS), WHICH, .within = WITHIN(WITHIN_TAG), IN, .when = WHEN},
#include "conform/vary.def"
#undef VARY
};

struct comparison {
    struct memory *m;
    const struct tree *request;      /* the whole message */
    const struct tree *request_item; /* NULL: of the header */
    uint32_t operation;
    bool generated, derived, unforeseeable, names_asked, other_digest;
    struct ks_span object;
    struct difference *first, **last;
    char path[1024];
    uint32_t labels[KMIP_DEPTH_MAX + 2]; /* of the items on the path */
    size_t depth;
    int rc; /* out of memory sticks */
};

void
provenance_done(struct provenance *p)
{
    ks_buf_done(&p->generated);
    ks_buf_done(&p->derived);
}

/* ---- Memory ---- */

/* Whether a request of this case held this very value. */
static bool
was_sent(const struct memory *m, const struct kmip_item *value)
{
    for (size_t i = 0; i < m->n_requests; i++)
        for (const struct tree *t = m->request[i]; t != NULL; t = tree_next(m->request[i], t))
            if (tree_is_leaf(t) && tree_same_value(&t->item, value))
                return true;
    return false;
}

static bool
holds_uid(const struct ks_buf *list, struct ks_span uid)
{
    const uint8_t *p = list->data, *const end = list->data + list->len;
    for (const uint8_t *nl; p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL; p = nl + 1)
        if (ks_span_equal(KS_SPAN(p, (size_t)(nl - p)), uid))
            return true;
    return false;
}

static void
add_uid(struct comparison *c, struct ks_buf *list, struct ks_span uid)
{
    ks_buf_add_span(list, uid);
    if (ks_buf_add_u8(list, '\n') != 0)
        c->rc = list->err;
}

/* ---- What differences say ---- */

enum { SHOWN = 100 }; /* characters of a value */

static void
add_value(struct ks_buf *out, const struct tree *t)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(TREE_MAX_BYTES);
    (void)kmip_value_format(&t->item, tree_label(t), ' ', &text);
    const bool is_text = t->item.type == KMIP_TYPE_TEXT_STRING;
    ks_buf_addf(out, is_text ? "'%.*s'%s" : "%.*s%s", (int)(text.len < SHOWN ? text.len : SHOWN),
                text.data != NULL ? (const char *)text.data : "", text.len > SHOWN ? "..." : "");
}

static void
add_name(struct ks_buf *out, const struct tree *t)
{
    const char *name = kmip_tag_text_name(t->item.tag);
    if (name != NULL)
        ks_buf_add_str(out, name);
    else
        ks_buf_addf(out, "0x%06X", t->item.tag);
    const struct tree *of = t->item.tag == KMIP_TAG_ATTRIBUTE ? tree_child(t, KMIP_TAG_ATTRIBUTE_NAME) : NULL;
    if (of != NULL && of->item.type == KMIP_TYPE_TEXT_STRING)
        ks_buf_addf(out, "[%.*s]", (int)of->item.s.len, of->item.s.data);
}

static void
add_brief(struct ks_buf *out, const struct tree *t)
{
    add_name(out, t);
    if (tree_is_leaf(t)) {
        ks_buf_add_str(out, " ");
        if (t->var.len != 0)
            ks_buf_addf(out, "$%.*s", (int)t->var.len, t->var.data);
        else
            add_value(out, t);
        return;
    }
    for (size_t i = 0; i < t->n && i < 4; i++) {
        ks_buf_add_str(out, i == 0 ? " {" : ", ");
        if (tree_is_leaf(t->child[i])) {
            add_name(out, t->child[i]);
            ks_buf_add_str(out, " ");
            add_value(out, t->child[i]);
        } else {
            add_name(out, t->child[i]);
        }
    }
    ks_buf_add_str(out, t->n > 4 ? ", ...}" : t->n != 0 ? "}" : "");
}

static void
differ(struct comparison *c, const struct tree *at, struct ks_buf *expected, struct ks_buf *got)
{
    struct difference *d = ks_arena_alloc(c->m->arena, sizeof(*d));
    KS_CLEANUP(ks_buf_done) struct ks_buf path = KS_BUF(4096);
    ks_buf_add_str(&path, c->path);
    if (at != NULL) {
        ks_buf_add_str(&path, path.len != 0 ? "/" : "");
        add_name(&path, at);
    }
    if (d == NULL || expected->err != 0 || got->err != 0 || path.err != 0) {
        c->rc = KS_E_NOMEM;
        return;
    }
    d->path = ks_arena_dup(c->m->arena, path.data, path.len);
    d->expected = ks_arena_dup(c->m->arena, expected->data, expected->len);
    d->got = ks_arena_dup(c->m->arena, got->data, got->len);
    if (d->path == NULL || d->expected == NULL || d->got == NULL) {
        c->rc = KS_E_NOMEM;
        return;
    }
    *c->last = d;
    c->last = &d->next;
}

static void differ_text(struct comparison *c, const struct tree *at, const char *expected, const char *fmt, ...)
    KS_PRINTF(4, 5);
static void
differ_text(struct comparison *c, const struct tree *at, const char *expected, const char *fmt, ...)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf e = KS_BUF(4096), g = KS_BUF(4096);
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args); /* NOLINT(clang-analyzer-valist.Uninitialized): started above */
    va_end(args);
    ks_buf_add_str(&e, expected);
    ks_buf_add_str(&g, text);
    differ(c, at, &e, &g);
}

static void
differ_items(struct comparison *c, const struct tree *at, const struct tree *expected, const struct tree *got)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf e = KS_BUF(8192), g = KS_BUF(8192);
    if (expected != NULL)
        add_brief(&e, expected);
    else
        ks_buf_add_str(&e, "nothing");
    if (got != NULL)
        add_brief(&g, got);
    else
        ks_buf_add_str(&g, "nothing");
    differ(c, at, &e, &g);
}

/* ---- The rows ---- */

static bool
is_attribute(const struct tree *t)
{
    if (t->item.tag == KMIP_TAG_ATTRIBUTE && t->n != 0)
        return true;
    if (t->parent == NULL)
        return false;
    const uint32_t in = t->parent->item.tag;
    return in == KMIP_TAG_ATTRIBUTES || in == KMIP_TAG_TEMPLATE_ATTRIBUTE || in == KMIP_TAG_COMMON_ATTRIBUTES;
}

static bool
is_critical(const struct tree *extension)
{
    const struct tree *const critical = tree_child(extension, KMIP_TAG_CRITICALITY_INDICATOR);
    return critical != NULL && critical->item.b;
}

static bool
asks_for_versions(const struct comparison *c)
{
    return tree_child(tree_child(c->request_item, KMIP_TAG_REQUEST_PAYLOAD), KMIP_TAG_PROTOCOL_VERSION) != NULL;
}

static bool
holds_now(const struct comparison *c, enum condition when, const struct tree *expected, const struct tree *actual,
          const struct tree *siblings)
{
    const struct tree *const t = expected != NULL ? expected : actual;
    const struct tree *value;
    switch (when) {
    case ALWAYS:
        return true;
    case FROM_REQUEST:
        if (expected == NULL)
            for (const struct tree *r = c->request; r != NULL; r = tree_next(c->request, r))
                if (r->item.tag == actual->item.tag && tree_same_value(&r->item, &actual->item))
                    return true;
        return false;
    case NOT_CRITICAL:
        return expected == NULL && !is_critical(actual);
    case INDEX_ZERO:
        return c->m->version >= KMIP_V1_1 && t->item.i32 == 0;
    case GENERATED:
        return c->generated;
    case OTHER_DIGEST:
        return c->generated || c->other_digest;
    case NOT_SENT:
        value = t->item.tag == KMIP_TAG_ATTRIBUTE ? tree_child(t, KMIP_TAG_ATTRIBUTE_VALUE) : t;
        return value == NULL || !was_sent(c->m, &value->item);
    case NONE_NAMED:
        return !c->names_asked;
    case UNFORESEEABLE:
        return c->generated || c->unforeseeable;
    case ONE_IS_THERE:
        return expected == NULL || tree_child(siblings, expected->item.tag) != NULL;
    case NO_VERSIONS_ASKED:
        return !asks_for_versions(c);
    }
    return false;
}

static bool
row_is_about(const struct comparison *c, const struct vary *row, const struct tree *t, size_t depth)
{
    bool about = row->every == EVERY_ATTRIBUTE ? is_attribute(t) : row->every == EVERY_LEAF && tree_is_leaf(t);
    const uint32_t label = tree_label(t);
    for (size_t i = 0; row->every == 0 && !about && i < ROW_TAGS && row->tags[i] != 0; i++)
        about = row->tags[i] == label;
    if (about && row->within != 0) {
        about = false;
        for (size_t i = 0; !about && i < depth; i++)
            about = c->labels[i] == row->within;
    }
    if (about && row->ops[0] != 0) {
        about = false;
        for (size_t i = 0; !about && i < ROW_OPS && row->ops[i] != 0; i++)
            about = row->ops[i] == c->operation;
    }
    return about;
}

/* Whether a row lets the item differ so. depth: of the structure that it is in. */
static bool
may(const struct comparison *c, enum effect effect, const struct tree *expected, const struct tree *actual,
    const struct tree *siblings, size_t depth)
{
    const struct tree *const t = expected != NULL ? expected : actual;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if ((rows[i].effects & effect) != 0 && row_is_about(c, &rows[i], t, depth) &&
            holds_now(c, rows[i].when, expected, actual, siblings))
            return true;
    return false;
}

/* ---- Values ---- */

static bool
is_date(const struct tree *t)
{
    return t->item.type == KMIP_TYPE_DATE_TIME || t->item.type == KMIP_TYPE_DATE_TIME_EXTENDED;
}

static void
compare_now(struct comparison *c, const struct tree *actual, int64_t offset)
{
    const int64_t at =
        actual->item.type == KMIP_TYPE_DATE_TIME_EXTENDED ? actual->item.i64 / 1000000 : actual->item.i64;
    if (at >= c->m->started + offset - c->m->tolerance && at <= c->m->now + offset + c->m->tolerance)
        return;
    char what[80];
    snprintf(what, sizeof(what), "the server's time %+lld s, within %lld s", (long long)offset,
             (long long)c->m->tolerance);
    differ_text(c, NULL, what, "%lld s from now", (long long)(at - c->m->now));
}

/* In 3.0 the same identifier is an Identifier in one place and a Reference in another. */
static bool
is_same_text(const struct kmip_item *a, const struct kmip_item *b)
{
    const struct tree one = {.item = *a}, other = {.item = *b};
    return tree_has_text(&one) && tree_has_text(&other) && a->type != KMIP_TYPE_BYTE_STRING &&
           b->type != KMIP_TYPE_BYTE_STRING && ks_span_equal(a->s, b->s);
}

static void
compare_var(struct comparison *c, const struct tree *expected, const struct tree *actual)
{
    const struct kmip_item *const value = memory_find(c->m, expected->var);
    if (value == NULL) {
        if (memory_bind(c->m, expected->var, &actual->item) != 0)
            c->rc = KS_E_NOMEM;
        return;
    }
    if (is_same_text(value, &actual->item) || tree_same_value(value, &actual->item))
        return;
    KS_CLEANUP(ks_buf_done) struct ks_buf e = KS_BUF(8192), g = KS_BUF(8192);
    struct tree was = *expected;
    was.item = *value;
    ks_buf_addf(&e, "$%.*s = ", (int)expected->var.len, expected->var.data);
    add_value(&e, &was);
    add_value(&g, actual);
    differ(c, NULL, &e, &g);
}

/* A literal that only the server could know: what it stands for, from the first time on. */
static bool
is_alike(struct comparison *c, const struct tree *expected, const struct tree *actual)
{
    for (size_t i = 0; i < c->m->n_bound; i++) {
        const struct binding *const b = &c->m->bound[i];
        if (b->literal != NULL && b->literal->item.tag == expected->item.tag &&
            tree_same_value(&b->literal->item, &expected->item) && ks_span_equal(b->object, c->object))
            return tree_same_value(b->value, &actual->item);
    }
    if (memory_keep(c->m, &(struct binding){.object = c->object, .literal = expected, .value = &actual->item}) != 0)
        c->rc = KS_E_NOMEM;
    return true;
}

static void
compare_leaf(struct comparison *c, const struct tree *expected, const struct tree *actual, size_t depth)
{
    if (expected->var.len != 0 && ks_span_is(expected->var, "NOW")) {
        compare_now(c, actual, expected->offset);
        return;
    }
    if (may(c, NOW, expected, actual, actual->parent, depth)) {
        compare_now(c, actual, 0);
        return;
    }
    if (expected->var.len != 0) {
        compare_var(c, expected, actual);
        return;
    }
    if (tree_same_value(&expected->item, &actual->item) || may(c, ANY, expected, actual, actual->parent, depth))
        return;
    if (is_date(expected)) {
        if (may(c, DATE, expected, actual, actual->parent, depth) && !was_sent(c->m, &expected->item))
            return;
    } else if (may(c, ALIKE, expected, actual, actual->parent, depth)) {
        /* What was derived or joined is known where the case itself sent it before. */
        const bool known =
            c->derived && expected->item.type == KMIP_TYPE_BYTE_STRING && was_sent(c->m, &expected->item);
        if (!known && is_alike(c, expected, actual))
            return;
    }
    KS_CLEANUP(ks_buf_done) struct ks_buf e = KS_BUF(8192), g = KS_BUF(8192);
    add_value(&e, expected);
    add_value(&g, actual);
    differ(c, NULL, &e, &g);
}

/* ---- Structures ---- */

static void compare_children(struct comparison *c, const struct tree *expected, const struct tree *actual);

/* For these, absent is as good as empty. */
static bool
is_optional_frame(uint32_t tag)
{
    return tag == KMIP_TAG_RESPONSE_PAYLOAD || tag == KMIP_TAG_SERVER_INFORMATION || tag == KMIP_TAG_ATTRIBUTES;
}

static bool
is_empty(const struct tree *t)
{
    return !tree_is_leaf(t) && t->n == 0 && is_optional_frame(t->item.tag);
}

static const struct kmip_item *
value_of(const struct tree *t, uint32_t tag)
{
    const struct tree *const child = tree_child(t, tag);
    return child != NULL && tree_is_leaf(child) ? &child->item : NULL;
}

static bool
same_child(const struct tree *a, const struct tree *b, uint32_t tag)
{
    const struct kmip_item *const x = value_of(a, tag), *const y = value_of(b, tag);
    return x == NULL || y == NULL ? x == y : tree_same_value(x, y);
}

static void
compare_structure(struct comparison *c, const struct tree *expected, const struct tree *actual)
{
    const bool other_digest = c->other_digest;
    if (tree_label(expected) == KMIP_TAG_DIGEST) {
        const struct tree *e = expected, *a = actual;
        do {
            c->other_digest =
                !same_child(e, a, KMIP_TAG_HASHING_ALGORITHM) || !same_child(e, a, KMIP_TAG_KEY_FORMAT_TYPE);
            e = tree_child(e, KMIP_TAG_ATTRIBUTE_VALUE);
            a = tree_child(a, KMIP_TAG_ATTRIBUTE_VALUE);
        } while (e != NULL && a != NULL);
    }
    compare_children(c, expected, actual);
    c->other_digest = other_digest;
}

static void
compare_item(struct comparison *c, const struct tree *expected, const struct tree *actual)
{
    if (c->rc != 0 || c->depth >= KMIP_DEPTH_MAX)
        return;
    const size_t path_len = strlen(c->path), depth = c->depth;
    KS_CLEANUP(ks_buf_done) struct ks_buf name = KS_BUF(512);
    add_name(&name, expected);
    snprintf(c->path + path_len, sizeof(c->path) - path_len, "%s%.*s", path_len != 0 ? "/" : "", (int)name.len,
             name.data != NULL ? (const char *)name.data : "");
    c->labels[c->depth++] = tree_label(expected);
    if (expected->item.type != actual->item.type) {
        /* Material of a generated key may have another shape. */
        if (expected->item.tag != KMIP_TAG_KEY_MATERIAL || !c->generated)
            differ_text(c, NULL, kmip_type_name((enum kmip_type)expected->item.type), "%s",
                        kmip_type_name((enum kmip_type)actual->item.type));
    } else if (tree_is_leaf(expected)) {
        compare_leaf(c, expected, actual, depth);
    } else if (!may(c, ANY, expected, actual, actual->parent, depth)) {
        compare_structure(c, expected, actual);
    }
    c->depth = depth;
    c->path[path_len] = '\0';
}

/* Whether two items are compared with each other, if both are the only ones of their kind. */
static bool
same_kind(const struct tree *a, const struct tree *b)
{
    if (a->item.tag != b->item.tag)
        return false;
    return a->item.tag != KMIP_TAG_ATTRIBUTE || a->n == 0 ||
           (same_child(a, b, KMIP_TAG_ATTRIBUTE_NAME) && same_child(a, b, KMIP_TAG_VENDOR_IDENTIFICATION));
}

/* Tries a match; what it bound stays if it holds. */
static bool
is_equal(struct comparison *c, const struct tree *expected, const struct tree *actual)
{
    struct difference *const first = c->first, **const last = c->last;
    const size_t n_bound = c->m->n_bound;
    struct difference *found = NULL;
    c->last = &found;
    compare_item(c, expected, actual);
    c->first = first;
    c->last = last;
    if (found == NULL)
        return true;
    c->m->n_bound = n_bound;
    return false;
}

/* Two lists of children, and which of them are settled. */
struct pairing {
    const struct tree *const *wanted, *const *found;
    size_t n_wanted, n_found;
    uint8_t *wanted_done, *found_done;
};

static bool
has_free_var(const struct comparison *c, const struct tree *t)
{
    return t->var.len != 0 && !ks_span_is(t->var, "NOW") && memory_find(c->m, t->var) == NULL;
}

/* Several of a kind: each expected one takes one that equals it; placeholders without a value choose last. */
static void
pair_several(struct comparison *c, struct pairing *p, const struct tree *kind, const struct tree *siblings)
{
    for (int free_vars = 0; free_vars < 2; free_vars++) {
        for (size_t i = 0; i < p->n_wanted; i++) {
            if (p->wanted_done[i] || !same_kind(p->wanted[i], kind) ||
                has_free_var(c, p->wanted[i]) != (free_vars != 0))
                continue;
            for (size_t k = 0; k < p->n_found && !p->wanted_done[i]; k++)
                if (!p->found_done[k] && same_kind(p->found[k], kind) && is_equal(c, p->wanted[i], p->found[k]))
                    p->wanted_done[i] = p->found_done[k] = 1;
        }
    }
    const struct tree *missing = NULL, *more = NULL;
    size_t n_missing = 0, n_more = 0;
    for (size_t i = 0; i < p->n_wanted; i++) {
        if (p->wanted_done[i] || !same_kind(p->wanted[i], kind))
            continue;
        p->wanted_done[i] = 1;
        if (may(c, MISS, p->wanted[i], NULL, siblings, c->depth))
            continue;
        missing = missing != NULL ? missing : p->wanted[i];
        n_missing++;
    }
    for (size_t k = 0; k < p->n_found; k++) {
        if (p->found_done[k] || !same_kind(p->found[k], kind))
            continue;
        p->found_done[k] = 1;
        if (may(c, MORE, NULL, p->found[k], siblings, c->depth))
            continue;
        more = more != NULL ? more : p->found[k];
        n_more++;
    }
    if (n_missing == 1 && n_more == 1)
        compare_item(c, missing, more); /* so that the difference is in the detail */
    else if (n_missing != 0)
        differ_items(c, missing, missing, NULL);
    else if (n_more != 0)
        differ_items(c, more, NULL, more);
}

static void
compare_order(struct comparison *c, const struct pairing *p)
{
    size_t place = 0;
    const struct tree *before = NULL;
    for (size_t i = 0; i < p->n_wanted; i++) {
        const struct tree *const e = p->wanted[i];
        bool first = true;
        for (size_t k = 0; k < i && first; k++)
            first = !same_kind(p->wanted[k], e);
        if (!first || may(c, ORDER, e, e, NULL, c->depth))
            continue;
        size_t at = 0;
        while (at < p->n_found && !same_kind(p->found[at], e))
            at++;
        if (at == p->n_found)
            continue;
        if (before != NULL && at < place) {
            KS_CLEANUP(ks_buf_done) struct ks_buf what = KS_BUF(512), got = KS_BUF(64);
            add_name(&what, before);
            ks_buf_add_str(&what, " before ");
            add_name(&what, e);
            ks_buf_add_str(&got, "the other order");
            differ(c, NULL, &what, &got);
            return;
        }
        place = at;
        before = e;
    }
}

/* The children that count: without empty frames and, of a generated key in another format, without its value. */
static const struct tree **
counting(struct comparison *c, const struct tree *t, bool without_value, size_t *ret_n)
{
    const struct tree **list = ks_arena_array(c->m->arena, t->n + 1, sizeof(const struct tree *));
    size_t n = 0;
    if (list == NULL) {
        c->rc = KS_E_NOMEM;
        return NULL;
    }
    for (size_t i = 0; i < t->n; i++)
        if (!is_empty(t->child[i]) && !(without_value && t->child[i]->item.tag == KMIP_TAG_KEY_VALUE))
            list[n++] = t->child[i];
    *ret_n = n;
    return list;
}

static void
compare_children(struct comparison *c, const struct tree *expected, const struct tree *actual)
{
    static const struct tree nothing = {.item = {.type = KMIP_TYPE_STRUCTURE}};
    const bool without_value = c->generated && expected->item.tag == KMIP_TAG_KEY_BLOCK &&
                               !same_child(expected, actual, KMIP_TAG_KEY_FORMAT_TYPE);
    struct pairing p = {0};
    p.wanted = counting(c, expected, without_value, &p.n_wanted);
    p.found = counting(c, actual, without_value, &p.n_found);
    p.wanted_done = ks_arena_alloc(c->m->arena, p.n_wanted + 1);
    p.found_done = ks_arena_alloc(c->m->arena, p.n_found + 1);
    if (p.wanted == NULL || p.found == NULL || p.wanted_done == NULL || p.found_done == NULL) {
        c->rc = KS_E_NOMEM;
        return;
    }
    for (size_t i = 0; i < p.n_wanted && c->rc == 0; i++) {
        if (p.wanted_done[i])
            continue;
        const struct tree *const e = p.wanted[i];
        size_t n_wanted = 0, n_found = 0, at = 0;
        for (size_t k = 0; k < p.n_wanted; k++)
            n_wanted += same_kind(p.wanted[k], e);
        for (size_t k = 0; k < p.n_found; k++) {
            if (same_kind(p.found[k], e)) {
                at = n_found == 0 ? k : at;
                n_found++;
            }
        }
        if (n_wanted == 1 && n_found == 1) {
            p.wanted_done[i] = p.found_done[at] = 1;
            compare_item(c, e, p.found[at]);
        } else if (n_wanted == 1 && n_found == 0 && is_optional_frame(e->item.tag)) {
            p.wanted_done[i] = 1;
            compare_item(c, e, &nothing);
        } else {
            pair_several(c, &p, e, actual);
        }
    }
    for (size_t k = 0; k < p.n_found; k++)
        if (!p.found_done[k] && !may(c, MORE, NULL, p.found[k], actual, c->depth))
            differ_items(c, p.found[k], NULL, p.found[k]);
    compare_order(c, &p);
}

/* ---- Messages ---- */

static bool
is_one_of(uint32_t value, const uint32_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == value)
            return true;
    return false;
}

/* Operations whose results the server makes up, and those whose results follow from other keys. */
static const uint32_t makers[] = {KMIP_OPERATION_CREATE,           KMIP_OPERATION_CREATE_KEY_PAIR,
                                  KMIP_OPERATION_RE_KEY,           KMIP_OPERATION_RE_KEY_KEY_PAIR,
                                  KMIP_OPERATION_CERTIFY,          KMIP_OPERATION_RE_CERTIFY,
                                  KMIP_OPERATION_CREATE_SPLIT_KEY, KMIP_OPERATION_CREATE_CREDENTIAL};
static const uint32_t derivers[] = {KMIP_OPERATION_JOIN_SPLIT_KEY, KMIP_OPERATION_DERIVE_KEY};
static const uint32_t identifiers[] = {KMIP_TAG_UNIQUE_IDENTIFIER, KMIP_TAG_PRIVATE_KEY_UNIQUE_IDENTIFIER,
                                       KMIP_TAG_PUBLIC_KEY_UNIQUE_IDENTIFIER};

static bool
uses_generated(const struct comparison *c)
{
    for (const struct tree *t = c->request_item; t != NULL; t = tree_next(c->request_item, t))
        if (t->item.tag == KMIP_TAG_UNIQUE_IDENTIFIER && tree_has_text(t) &&
            holds_uid(&c->m->provenance->generated, t->item.s))
            return true;
    return false;
}

/* Notes which objects the server makes, and whether the answer is about one of them. */
static void
trace_objects(struct comparison *c, const struct tree *actual)
{
    struct provenance *const known = c->m->provenance;
    const struct tree *const payload = tree_child(actual, KMIP_TAG_RESPONSE_PAYLOAD);
    const bool makes = is_one_of(c->operation, makers, KS_ARRAY_LEN(makers));
    const bool derives = is_one_of(c->operation, derivers, KS_ARRAY_LEN(derivers)) && uses_generated(c);
    for (size_t i = 0; payload != NULL && i < payload->n; i++) {
        const struct tree *const t = payload->child[i];
        if (!is_one_of(t->item.tag, identifiers, KS_ARRAY_LEN(identifiers)) || !tree_has_text(t))
            continue;
        if (makes || derives)
            add_uid(c, &known->generated, t->item.s);
        if (derives)
            add_uid(c, &known->derived, t->item.s);
        if (c->object.len == 0)
            c->object = t->item.s;
        c->generated = c->generated || holds_uid(&known->generated, t->item.s);
        c->derived = c->derived || holds_uid(&known->derived, t->item.s);
    }
    if (c->operation != KMIP_OPERATION_GET && c->operation != KMIP_OPERATION_EXPORT)
        return;
    for (const struct tree *t = actual; t != NULL; t = tree_next(actual, t)) {
        const struct tree *const uid =
            t->item.tag == KMIP_TAG_ENCRYPTION_KEY_INFORMATION ? tree_child(t, KMIP_TAG_UNIQUE_IDENTIFIER) : NULL;
        if (uid != NULL && tree_has_text(uid) && holds_uid(&known->generated, uid->item.s))
            c->generated = true;
    }
}

/* Output that has a random part: a random IV, or a padding or a signature that is random by itself. */
static bool
is_unforeseeable(const struct comparison *c, const struct tree *expected)
{
    for (const struct tree *t = expected; t != NULL; t = tree_next(expected, t))
        if (t->item.tag == KMIP_TAG_IV_COUNTER_NONCE)
            return true;
    for (size_t i = 0; i < c->m->n_requests; i++) {
        for (const struct tree *t = c->m->request[i]; t != NULL; t = tree_next(c->m->request[i], t)) {
            const uint32_t label = tree_is_leaf(t) ? tree_label(t) : 0;
            if (label == KMIP_TAG_PADDING_METHOD &&
                (c->operation == KMIP_OPERATION_ENCRYPT
                     ? t->item.u32 == KMIP_PADDING_METHOD_OAEP || t->item.u32 == KMIP_PADDING_METHOD_PKCS1_V1_5
                     : c->operation == KMIP_OPERATION_SIGN && t->item.u32 == KMIP_PADDING_METHOD_PSS))
                return true;
            const char *name =
                label == KMIP_TAG_DIGITAL_SIGNATURE_ALGORITHM ? kmip_enum_name(label, t->item.u32) : NULL;
            if (name != NULL && (strncmp(name, "DSA", 3) == 0 || strncmp(name, "ECDSA", 5) == 0 ||
                                 strncmp(name, "RSASSA-PSS", 10) == 0))
                return true;
        }
    }
    return false;
}

static bool
names_attributes(const struct tree *item)
{
    for (const struct tree *t = item; t != NULL; t = tree_next(item, t))
        if (t->item.tag == KMIP_TAG_ATTRIBUTE_NAME || t->item.tag == KMIP_TAG_ATTRIBUTE_REFERENCE)
            return true;
    return false;
}

static uint32_t
number_of(const struct tree *t, uint32_t tag)
{
    const struct kmip_item *const item = value_of(t, tag);
    return item != NULL && item->type == KMIP_TYPE_ENUMERATION ? item->u32 : 0;
}

/* "Operation Failed (Item Not Found: there is no such object)" */
static void
add_outcome(struct ks_buf *out, const struct tree *item)
{
    const char *status = kmip_enum_name(KMIP_TAG_RESULT_STATUS, number_of(item, KMIP_TAG_RESULT_STATUS));
    const char *reason = kmip_enum_name(KMIP_TAG_RESULT_REASON, number_of(item, KMIP_TAG_RESULT_REASON));
    const struct kmip_item *const message = value_of(item, KMIP_TAG_RESULT_MESSAGE);
    ks_buf_add_str(out, status != NULL ? status : "no status");
    if (reason != NULL)
        ks_buf_addf(out, " (%s%s%.*s)", reason, message != NULL ? ": " : "", message != NULL ? (int)message->s.len : 0,
                    message != NULL ? (const char *)message->s.data : "");
}

static void
compare_item_of_batch(struct comparison *c, const struct tree *request_item, const struct tree *expected,
                      const struct tree *actual, size_t index)
{
    snprintf(c->path, sizeof(c->path), "BatchItem[%zu]", index);
    c->labels[0] = KMIP_TAG_BATCH_ITEM;
    c->depth = 1;
    c->request_item = request_item;
    c->operation = number_of(expected, KMIP_TAG_OPERATION);
    if (c->operation == 0 && request_item != NULL)
        c->operation = number_of(request_item, KMIP_TAG_OPERATION);
    c->names_asked = request_item != NULL && names_attributes(request_item);
    c->generated = c->derived = c->other_digest = false;
    c->object = KS_SPAN_NONE;
    trace_objects(c, actual);
    c->unforeseeable = is_unforeseeable(c, expected);
    if (same_child(expected, actual, KMIP_TAG_RESULT_STATUS)) {
        compare_children(c, expected, actual);
    } else { /* all else follows from this */
        KS_CLEANUP(ks_buf_done) struct ks_buf e = KS_BUF(4096), g = KS_BUF(4096);
        add_outcome(&e, expected);
        add_outcome(&g, actual);
        differ(c, tree_child(expected, KMIP_TAG_RESULT_STATUS), &e, &g);
    }
}

static const struct tree *
batch_item(const struct tree *message, size_t index)
{
    for (size_t i = 0; message != NULL && i < message->n; i++)
        if (message->child[i]->item.tag == KMIP_TAG_BATCH_ITEM && index-- == 0)
            return message->child[i];
    return NULL;
}

int
compare_answers(struct memory *m, const struct tree *request, const struct tree *expected, const struct tree *actual,
                struct difference **ret)
{
    struct comparison c = {.m = m, .request = request};
    c.last = &c.first;
    const struct tree *const header = tree_child(expected, KMIP_TAG_RESPONSE_HEADER);
    const struct tree *const got = tree_child(actual, KMIP_TAG_RESPONSE_HEADER);
    if (header == NULL || got == NULL) {
        differ_text(&c, NULL, "a Response Message with a header", "something else");
        *ret = c.first;
        return c.rc;
    }
    size_t n = 0;
    for (;; n++) {
        const struct tree *const one = batch_item(expected, n), *const other = batch_item(actual, n);
        if (one == NULL && other == NULL)
            break;
        if (one == NULL || other == NULL) {
            c.path[0] = '\0';
            differ_text(&c, NULL, one == NULL ? "no further batch item" : "a further batch item", "%s",
                        one == NULL ? "one" : "none");
            break;
        }
        compare_item_of_batch(&c, batch_item(request, n), one, other, n);
    }
    c.path[0] = '\0';
    c.depth = 0;
    c.request_item = NULL;
    c.operation = 0;
    c.generated = c.derived = false;
    compare_item(&c, header, got);
    *ret = c.first;
    return c.rc;
}
