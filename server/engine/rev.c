/* Revisions of objects: drafts, and blocks of memory made of them. */
#include <stdlib.h>

#include "server/engine/object.h"
#include "server/engine/parsed.h"

/*
 * Two passes over the same code: without memory it counts, with memory it copies. Everything is aligned to 16, so the
 * count of the first pass is what the second takes.
 */
struct flat {
    uint8_t *base;
    size_t used;
};

static void *
flat_take(struct flat *flat, size_t size)
{
    const size_t at = flat->used;
    flat->used += (size + 15) & ~(size_t)15;
    return flat->base != NULL ? flat->base + at : NULL;
}

static struct ks_span
flat_span(struct flat *flat, struct ks_span from)
{
    if (from.len == 0)
        return KS_SPAN_NONE;
    uint8_t *p = flat_take(flat, from.len);
    if (p != NULL)
        memcpy(p, from.data, from.len);
    return KS_SPAN(p, from.len);
}

static bool
has_span(uint8_t type)
{
    switch (type) {
    case KMIP_TYPE_STRUCTURE:
    case KMIP_TYPE_INTEGER:
    case KMIP_TYPE_LONG_INTEGER:
    case KMIP_TYPE_DATE_TIME:
    case KMIP_TYPE_DATE_TIME_EXTENDED:
    case KMIP_TYPE_ENUMERATION:
    case KMIP_TYPE_INTERVAL:
    case KMIP_TYPE_BOOLEAN:
        return false;
    default:
        return true;
    }
}

/* The depth is that of the message that brought the item, which its reader has bounded. */
static struct kmip_item *
flat_item(struct flat *flat, const struct kmip_item *from) /* NOLINT(misc-no-recursion) */
{
    if (from == NULL)
        return NULL;
    struct kmip_item *item = flat_take(flat, sizeof(*item));
    struct kmip_item copy = *from;
    copy.next = NULL;
    if (from->type == KMIP_TYPE_STRUCTURE) {
        struct kmip_item **at = &copy.first;
        copy.first = NULL;
        for (const struct kmip_item *child = from->first; child != NULL; child = child->next) {
            struct kmip_item *made = flat_item(flat, child);
            if (made != NULL) {
                *at = made;
                at = &made->next;
            }
        }
    } else if (has_span(from->type)) {
        copy.s = flat_span(flat, from->s);
    }
    if (item != NULL)
        *item = copy;
    return item;
}

static void
flat_attrs(struct flat *flat, const struct kmip_attrs *from, struct kmip_attrs *ret)
{
    struct kmip_attrs made = {.present = from->present};
    for (const struct kmip_attr *a = from->first; a != NULL; a = a->next) {
        struct kmip_attr *attr = flat_take(flat, sizeof(*attr));
        struct kmip_attr copy = *a;
        copy.next = NULL;
        copy.vendor = flat_span(flat, a->vendor);
        copy.name = flat_span(flat, a->name);
        copy.value = flat_item(flat, a->value);
        if (attr == NULL)
            continue;
        *attr = copy;
        if (made.last != NULL)
            made.last->next = attr;
        else
            made.first = attr;
        made.last = attr;
        made.n++;
    }
    *ret = made;
}

struct ks_span
name_text(const struct kmip_item *name)
{
    if (name == NULL)
        return KS_SPAN_NONE;
    if (name->type == KMIP_TYPE_TEXT_STRING) /* as 3.0 has it */
        return name->s;
    const struct kmip_item *value =
        name->type == KMIP_TYPE_STRUCTURE ? kmip_item_child(name, KMIP_TAG_NAME_VALUE) : NULL;
    return value != NULL && value->type == KMIP_TYPE_TEXT_STRING ? value->s : KS_SPAN_NONE;
}

struct ks_span
rev_name(const struct rev *rev)
{
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_NAME && a->value != NULL)
            return name_text(a->value);
    return KS_SPAN_NONE;
}

bool
rev_is_destroyed(const struct rev *rev)
{
    const int64_t state = core_get(&rev->core, CORE_STATE);
    return state == KMIP_STATE_DESTROYED || state == KMIP_STATE_DESTROYED_COMPROMISED;
}

static void
flat_rev(struct flat *flat, const struct rev *draft, struct rev *ret)
{
    flat_attrs(flat, &draft->attrs, &ret->attrs);
    flat_attrs(flat, &draft->content, &ret->content);
    ret->wrapping = flat_item(flat, draft->wrapping);
    ret->material = flat_span(flat, draft->material);
}

int
rev_make(struct object *object, const struct rev *draft, struct rev **ret)
{
    struct flat count = {NULL, 0};
    struct rev unused;
    (void)flat_take(&count, sizeof(struct rev));
    flat_rev(&count, draft, &unused);
    uint8_t *block = calloc(1, count.used);
    if (block == NULL)
        return KS_E_NOMEM;
    struct flat copy = {block, 0};
    struct rev *rev = flat_take(&copy, sizeof(*rev));
    *rev = *draft;
    flat_rev(&copy, draft, rev);
    rev->object = object;
    rev->new_material = false;
    rev->size = count.used;
    rev->hotter = rev->colder = NULL;
    rev->parsed = NULL;
    *ret = rev;
    return 0; /* cppcheck-suppress memleak ; the block begins with the rev, which is the caller's */
}

void
rev_free(struct rev *rev)
{
    if (rev == NULL)
        return;
    parsed_forget(rev->parsed);
    ks_wipe(rev, rev->size);
    free(rev);
}

static int
copy_list(struct ks_arena *arena, const struct kmip_attrs *from, struct kmip_attrs *ret)
{
    *ret = (struct kmip_attrs){.present = from->present};
    for (const struct kmip_attr *a = from->first; a != NULL; a = a->next) {
        struct kmip_attr *copy = kmip_attrs_add(arena, ret, a->tag, a->value);
        if (copy == NULL)
            return KS_E_NOMEM;
        copy->vendor = a->vendor;
        copy->name = a->name;
        copy->index = a->index;
    }
    return 0;
}

int
rev_draft(struct ks_arena *arena, const struct rev *from, struct rev *ret)
{
    struct rev draft = *from;
    draft.parsed = NULL;
    KS_TRY(copy_list(arena, &from->attrs, &draft.attrs));
    KS_TRY(copy_list(arena, &from->content, &draft.content));
    *ret = draft;
    return 0;
}
