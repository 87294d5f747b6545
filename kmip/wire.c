/* What all readers and writers share. */
#include "kmip/wire.h"

#include <stdarg.h>
#include <stdio.h>

/* The analyzer's versions are for callers. */
#undef kmip_reader_fail
#undef kmip_reader_complain

const struct kmip_limits kmip_limits_default = {.bytes = 1 << 20, .depth = 32, .items = 65536, .text = 1 << 20};
const struct kmip_limits kmip_limits_anonymous = {.bytes = 16384, .depth = 16, .items = 256, .text = 8192};

/* No tag has more than 24 bits. */
#define NO_TAG UINT32_MAX

void
kmip_reader_init(struct kmip_reader *r, int (*next)(struct kmip_reader *, struct kmip_event *),
                 const struct kmip_limits *limits, struct ks_diag *diag)
{
    r->next = next;
    r->limits = *limits;
    if (r->limits.depth > KMIP_DEPTH_MAX)
        r->limits.depth = KMIP_DEPTH_MAX;
    r->diag = diag;
    r->failed = false;
    r->offset = 0;
    r->n_items = 0;
    r->depth = 0;
    r->at = KMIP_AT_OPEN;
    r->step[0] = (struct kmip_step){.last_tag = NO_TAG};
}

int
kmip_reader_item(struct kmip_reader *r, uint32_t tag, size_t offset)
{
    struct kmip_step *parent = &r->step[r->depth];
    if (parent->last_tag == tag) {
        parent->last_index++;
    } else {
        parent->last_tag = tag;
        parent->last_index = 0;
    }
    r->at = KMIP_AT_LEAF;
    r->offset = offset;
    if (r->n_items++ >= r->limits.items)
        return kmip_reader_fail(r, KS_E_LIMIT, offset, "more than %zu items", r->limits.items);
    return 0;
}

int
kmip_reader_enter(struct kmip_reader *r)
{
    if (r->depth >= r->limits.depth)
        return kmip_reader_fail(r, KS_E_LIMIT, r->offset, "structures nest more than %u deep", r->limits.depth);
    const struct kmip_step *parent = &r->step[r->depth];
    r->step[++r->depth] = (struct kmip_step){
        .tag = parent->last_tag, .index = parent->last_index, .last_tag = NO_TAG, .offset = r->offset};
    r->at = KMIP_AT_OPEN;
    return 0;
}

void
kmip_reader_leave(struct kmip_reader *r)
{
    r->offset = r->step[r->depth].offset;
    r->depth--;
    r->at = KMIP_AT_CLOSED;
}

static size_t
add_step(char *text, size_t size, size_t used, uint32_t tag, uint32_t index)
{
    if (used >= size)
        return used;
    const char *slash = used != 0 ? "/" : "";
    const char *name = kmip_tag_xml_name(tag);
    char hex[16];
    if (name == NULL) {
        snprintf(hex, sizeof(hex), "0x%06X", tag);
        name = hex;
    }
    /* Batch items always say which; of others the first needs no number. */
    const int n = index != 0 || tag == KMIP_TAG_BATCH_ITEM
                      ? snprintf(text + used, size - used, "%s%s[%u]", slash, name, index)
                      : snprintf(text + used, size - used, "%s%s", slash, name);
    return n > 0 ? used + (size_t)n : used;
}

void
kmip_reader_path(const struct kmip_reader *r, char *ret, size_t size)
{
    size_t used = 0;
    ret[0] = '\0';
    const unsigned depth = r->at == KMIP_AT_CLOSED ? r->depth + 1 : r->depth;
    for (unsigned d = 1; d <= depth; d++)
        used = add_step(ret, size, used, r->step[d].tag, r->step[d].index);
    if (r->at == KMIP_AT_LEAF)
        (void)add_step(ret, size, used, r->step[r->depth].last_tag, r->step[r->depth].last_index);
}

int
kmip_reader_fail(struct kmip_reader *r, int code, size_t offset, const char *fmt, ...)
{
    r->failed = true;
    if (r->diag == NULL || r->diag->code != 0)
        return code;
    char path[sizeof(r->diag->path)];
    char message[sizeof(r->diag->message)];
    kmip_reader_path(r, path, sizeof(path));
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt,
              args); /* NOLINT(clang-analyzer-valist.Uninitialized): started just above */
    va_end(args);
    return ks_fail_at(r->diag, code, path, offset, "%s", message);
}

int
kmip_reader_complain(const struct kmip_reader *r, struct ks_diag *diag, int code, const char *fmt, ...)
{
    if (diag == NULL || diag->code != 0)
        return code;
    char path[sizeof(diag->path)];
    char message[sizeof(diag->message)];
    kmip_reader_path(r, path, sizeof(path));
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt,
              args); /* NOLINT(clang-analyzer-valist.Uninitialized): started just above */
    va_end(args);
    return ks_fail_at(diag, code, path, r->offset, "%s", message);
}

int
kmip_reader_unwind(struct kmip_reader *r, unsigned depth)
{
    struct kmip_event event;
    while (r->depth > depth)
        KS_TRY(kmip_reader_next(r, &event));
    return 0;
}

int
kmip_reader_tree(struct kmip_reader *r, const struct kmip_event *event, struct ks_arena *arena, struct kmip_item **ret)
{
    struct kmip_item_writer w;
    kmip_item_writer_init(&w, arena, NULL);
    struct kmip_event e = *event;
    for (;;) {
        int rc = 0;
        if (e.kind == KMIP_BEGIN)
            rc = kmip_writer_begin(&w.base, e.item.tag);
        else if (e.kind == KMIP_LEAF)
            rc = kmip_writer_leaf(&w.base, &e.item);
        else
            rc = kmip_writer_end(&w.base);
        if (rc != 0)
            return kmip_reader_fail(r, rc, e.offset, "the message needs more memory than it may have");
        if (w.base.depth == 0)
            break;
        KS_TRY(kmip_reader_next(r, &e));
    }
    *ret = w.root;
    return 0;
}

int
kmip_pump(struct kmip_reader *r, struct kmip_writer *w)
{
    struct kmip_event e;
    for (;;) {
        KS_TRY(kmip_reader_next(r, &e));
        if (e.kind == KMIP_DONE)
            return 0;
        if (e.kind == KMIP_BEGIN)
            KS_TRY(kmip_writer_begin(w, e.item.tag));
        else if (e.kind == KMIP_LEAF)
            KS_TRY(kmip_writer_leaf(w, &e.item));
        else
            KS_TRY(kmip_writer_end(w));
    }
}

/* Item trees as events, and events as item trees. */

static int
item_next(struct kmip_reader *base, struct kmip_event *ret)
{
    struct kmip_item_reader *r = (struct kmip_item_reader *)base;
    const struct kmip_item *item = r->next[base->depth];
    if (item == NULL) {
        if (base->depth == 0) {
            ret->kind = KMIP_DONE;
            return 0;
        }
        kmip_reader_leave(base);
        ret->kind = KMIP_END;
        return 0;
    }
    /* The siblings of the root are not part of it. */
    r->next[base->depth] = base->depth != 0 ? item->next : NULL;
    ret->offset = base->n_items;
    KS_TRY(kmip_reader_item(base, item->tag, base->n_items));
    ret->item = *item;
    ret->item.next = NULL;
    if (item->type != KMIP_TYPE_STRUCTURE) {
        ret->kind = KMIP_LEAF;
        return 0;
    }
    KS_TRY(kmip_reader_enter(base));
    ret->item.first = NULL;
    r->next[base->depth] = item->first;
    ret->kind = KMIP_BEGIN;
    return 0;
}

void
kmip_item_reader_init(struct kmip_item_reader *r, const struct kmip_item *item, struct ks_diag *diag)
{
    static const struct kmip_limits limits = {SIZE_MAX, KMIP_DEPTH_MAX, SIZE_MAX, SIZE_MAX};
    kmip_reader_init(&r->base, item_next, &limits, diag);
    r->next[0] = item;
}

static int
add_item(struct kmip_item_writer *w, const struct kmip_item *from)
{
    struct kmip_item *item = ks_arena_alloc(w->arena, sizeof(*item));
    if (item == NULL)
        return ks_fail(w->base.diag, KS_E_NOMEM, "the message needs more memory than it may have");
    *item = *from;
    item->next = NULL;
    const unsigned d = w->base.depth;
    if (d == 0)
        w->root = item;
    else if (w->last[d] != NULL)
        w->last[d]->next = item;
    else
        w->open[d]->first = item;
    w->last[d] = item;
    return 0;
}

static int
item_begin(struct kmip_writer *base, uint32_t tag)
{
    struct kmip_item_writer *w = (struct kmip_item_writer *)base;
    if (base->depth >= KMIP_DEPTH_MAX)
        return ks_fail(base->diag, KS_E_LIMIT, "structures nest more than %d deep", KMIP_DEPTH_MAX);
    const struct kmip_item item = {.tag = tag, .type = KMIP_TYPE_STRUCTURE};
    KS_TRY(add_item(w, &item));
    struct kmip_item *added = w->last[base->depth];
    base->depth++;
    w->open[base->depth] = added;
    w->last[base->depth] = NULL;
    return 0;
}

static int
item_leaf(struct kmip_writer *base, const struct kmip_item *item)
{
    struct kmip_item_writer *w = (struct kmip_item_writer *)base;
    struct kmip_item copy = *item;
    if (w->copies && kmip_item_has_span(item) && ks_arena_span(w->arena, item->s, &copy.s) != 0)
        return ks_fail(base->diag, KS_E_NOMEM, "the message needs more memory than it may have");
    return add_item(w, &copy);
}

static int
item_end(struct kmip_writer *base)
{
    base->depth--;
    return 0;
}

void
kmip_item_writer_init(struct kmip_item_writer *w, struct ks_arena *arena, struct ks_diag *diag)
{
    w->base = (struct kmip_writer){item_begin, item_leaf, item_end, diag, 0};
    w->arena = arena;
    w->copies = false;
    w->root = NULL;
    w->last[0] = NULL;
}

int
kmip_writer_tree(struct kmip_writer *w, const struct kmip_item *item)
{
    struct kmip_item_reader r;
    kmip_item_reader_init(&r, item, w->diag);
    return kmip_pump(&r.base, w);
}
