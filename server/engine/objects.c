/* The set of all objects: hash tables by identifier and by name, a list by age, a heap by due time. */
#include <stdlib.h>

#include "server/engine/object.h"
#include "server/engine/state.h"

enum { FIRST_BUCKETS = 256, FIRST_DUE = 64 };

uint32_t
span_hash(struct ks_span s)
{
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ s.data[i]) * 16777619U;
    return h ^ h >> 15;
}

int
objects_init(struct objects *objects)
{
    *objects = (struct objects){0};
    objects->by_uid = calloc(FIRST_BUCKETS, sizeof(void *));
    objects->by_name = calloc(FIRST_BUCKETS, sizeof(void *));
    if (objects->by_uid == NULL || objects->by_name == NULL) {
        objects_done(objects);
        return KS_E_NOMEM;
    }
    objects->n_buckets = FIRST_BUCKETS;
    return 0;
}

void
objects_done(struct objects *objects)
{
    for (struct object *o = objects->oldest; o != NULL;) {
        struct object *next = o->newer;
        rev_free(o->rev);
        free(o);
        o = next;
    }
    free(objects->by_uid);
    free(objects->by_name);
    free(objects->due);
    *objects = (struct objects){0};
}

struct object *
objects_find(const struct objects *objects, struct ks_span uid)
{
    if (objects->n_buckets == 0)
        return NULL;
    const uint32_t hash = span_hash(uid);
    for (struct object *o = objects->by_uid[hash & (objects->n_buckets - 1)]; o != NULL; o = o->hash_next)
        if (o->hash == hash && ks_span_equal(object_uid(o), uid))
            return o;
    return NULL;
}

/* Twice the buckets. Not having the memory for it makes look-ups slower, nothing else. */
static void
grow(struct objects *objects)
{
    const size_t n = objects->n_buckets * 2;
    struct object **by_uid = calloc(n, sizeof(struct object *));
    struct name_node **by_name = calloc(n, sizeof(struct name_node *));
    if (by_uid == NULL || by_name == NULL) {
        free(by_uid);
        free(by_name);
        return;
    }
    for (size_t i = 0; i < objects->n_buckets; i++) {
        for (struct object *o = objects->by_uid[i]; o != NULL;) {
            struct object *next = o->hash_next;
            o->hash_next = by_uid[o->hash & (n - 1)];
            by_uid[o->hash & (n - 1)] = o;
            o = next;
        }
        for (struct name_node *node = objects->by_name[i]; node != NULL;) {
            struct name_node *next = node->next;
            node->next = by_name[node->hash & (n - 1)];
            by_name[node->hash & (n - 1)] = node;
            node = next;
        }
    }
    free(objects->by_uid);
    free(objects->by_name);
    objects->by_uid = by_uid;
    objects->by_name = by_name;
    objects->n_buckets = n;
}

/* The heap */

static void
due_swap(struct objects *objects, size_t a, size_t b)
{
    const struct due t = objects->due[a];
    objects->due[a] = objects->due[b];
    objects->due[b] = t;
}

static void
due_up(struct objects *objects, size_t i)
{
    for (; i != 0 && objects->due[i].at < objects->due[(i - 1) / 2].at; i = (i - 1) / 2)
        due_swap(objects, i, (i - 1) / 2);
}

static void
due_down(struct objects *objects, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < objects->n_due; child++)
            if (objects->due[child].at < objects->due[least].at)
                least = child;
        if (least == i)
            return;
        due_swap(objects, i, least);
        i = least;
    }
}

/* Entries that no longer count are dropped: at most one is left for each object. */
static void
due_compact(struct objects *objects)
{
    size_t n = 0;
    for (size_t i = 0; i < objects->n_due; i++)
        objects->due[i].object->queued = STATE_NEVER;
    for (size_t i = 0; i < objects->n_due; i++) {
        const struct due d = objects->due[i];
        if (d.object->queued == d.at || state_next_due(&d.object->rev->core) != d.at)
            continue;
        d.object->queued = d.at;
        objects->due[n++] = d;
    }
    objects->n_due = n;
    for (size_t i = n / 2 + 1; i-- > 0;)
        if (i < n)
            due_down(objects, i);
}

int
objects_reserve(struct objects *objects, size_t room)
{
    if (objects->n >= objects->n_buckets)
        grow(objects);
    if (objects->cap_due - objects->n_due >= room)
        return 0;
    due_compact(objects);
    if (objects->cap_due - objects->n_due >= room && objects->n_due < objects->cap_due / 2)
        return 0;
    size_t cap = objects->cap_due != 0 ? objects->cap_due * 2 : FIRST_DUE;
    while (cap - objects->n_due < room)
        cap *= 2;
    struct due *due = realloc(objects->due, cap * sizeof(*due));
    if (due == NULL)
        return KS_E_NOMEM;
    objects->due = due;
    objects->cap_due = cap;
    return 0;
}

struct object *
objects_due(struct objects *objects, int64_t now)
{
    while (objects->n_due != 0 && objects->due[0].at <= now) {
        const struct due d = objects->due[0];
        objects->due[0] = objects->due[--objects->n_due];
        due_down(objects, 0);
        if (d.object->queued == d.at)
            d.object->queued = STATE_NEVER;
        if (d.object->rev != NULL && state_next_due(&d.object->rev->core) <= now)
            return d.object;
    }
    return NULL;
}

/* Objects */

void
objects_add(struct objects *objects, struct object *object)
{
    object->hash = span_hash(object_uid(object));
    object->queued = STATE_NEVER;
    struct object **bucket = &objects->by_uid[object->hash & (objects->n_buckets - 1)];
    object->hash_next = *bucket;
    *bucket = object;
    object->older = objects->newest;
    object->newer = NULL;
    if (objects->newest != NULL)
        objects->newest->newer = object;
    else
        objects->oldest = object;
    objects->newest = object;
    objects->n++;
}

void
objects_remove(struct objects *objects, struct object *object)
{
    objects_set(objects, object, NULL);
    size_t n = 0;
    for (size_t i = 0; i < objects->n_due; i++)
        if (objects->due[i].object != object)
            objects->due[n++] = objects->due[i];
    if (n != objects->n_due) {
        objects->n_due = n;
        for (size_t i = n; i-- > 0;)
            due_down(objects, i);
    }
    struct object **at = &objects->by_uid[object->hash & (objects->n_buckets - 1)];
    while (*at != object)
        at = &(*at)->hash_next;
    *at = object->hash_next;
    *(object->older != NULL ? &object->older->newer : &objects->oldest) = object->newer;
    *(object->newer != NULL ? &object->newer->older : &objects->newest) = object->older;
    objects->n--;
}

static void
unlink_names(struct objects *objects, struct rev *rev)
{
    for (size_t i = 0; i < rev->n_names; i++) {
        struct name_node **at = &objects->by_name[rev->names[i].hash & (objects->n_buckets - 1)];
        while (*at != &rev->names[i])
            at = &(*at)->next;
        *at = rev->names[i].next;
    }
}

static void
link_names(struct objects *objects, struct rev *rev)
{
    for (size_t i = 0; i < rev->n_names; i++) {
        struct name_node **bucket = &objects->by_name[rev->names[i].hash & (objects->n_buckets - 1)];
        rev->names[i].next = *bucket;
        *bucket = &rev->names[i];
    }
}

void
objects_set(struct objects *objects, struct object *object, struct rev *rev)
{
    if (object->rev != NULL)
        unlink_names(objects, object->rev);
    object->rev = rev;
    if (rev == NULL)
        return;
    link_names(objects, rev);
    const int64_t at = state_next_due(&rev->core);
    if (at != STATE_NEVER && at != object->queued && objects->n_due < objects->cap_due) {
        object->queued = at;
        objects->due[objects->n_due] = (struct due){at, object};
        due_up(objects, objects->n_due++);
    }
}

static bool
carries(const struct object *object, struct ks_span name)
{
    for (const struct kmip_attr *a = object->rev->attrs.first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_NAME && a->value != NULL && ks_span_equal(name_text(a->value), name))
            return true;
    return false;
}

struct name_node *
objects_named(const struct objects *objects, struct ks_span name, struct name_node *after)
{
    if (objects->n_buckets == 0)
        return NULL;
    const uint32_t hash = span_hash(name);
    struct name_node *node = after != NULL ? after->next : objects->by_name[hash & (objects->n_buckets - 1)];
    while (node != NULL && (node->hash != hash || !carries(node->object, name)))
        node = node->next;
    return node;
}
