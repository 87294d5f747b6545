/* The set of all objects: a hash table by identifier, the index of attributes, lists by age, a heap by due time. */
#include <stdlib.h>

#include "server/engine/client.h"
#include "server/engine/state.h"

enum { FIRST_BUCKETS = 256, FIRST_DUE = 64 };

static bool
hash_uid(const struct objects *objects, struct ks_span uid, uint32_t *ret)
{
    uint64_t hash;
    if (objects->n_buckets == 0 || ks_siphash_sum(objects->key, &uid, 1, &hash) != 0)
        return false;
    *ret = (uint32_t)hash;
    return true;
}

int
objects_init(struct objects *objects, const uint8_t key[2 * KS_SIPHASH_KEY])
{
    *objects = (struct objects){.peeked = KS_ARENA(OBJECT_LOAD_MAX), .loading = KS_ARENA(OBJECT_LOAD_MAX)};
    objects->by_uid = calloc(FIRST_BUCKETS, sizeof(void *));
    if (objects->by_uid == NULL || index_init(&objects->index, key) != 0 ||
        ks_siphash_key_new(key + KS_SIPHASH_KEY, &objects->key) != 0) {
        objects_done(objects);
        return KS_E_NOMEM;
    }
    objects->n_buckets = FIRST_BUCKETS;
    return 0;
}

void
objects_done(struct objects *objects)
{
    for (struct object *o = objects->all.oldest; o != NULL;) {
        struct object *next = o->all.newer;
        rev_free(o->rev);
        free(o);
        o = next;
    }
    free(objects->by_uid);
    free(objects->due);
    index_done(&objects->index);
    ks_siphash_key_free(objects->key);
    ks_arena_done(&objects->peeked);
    ks_arena_done(&objects->loading);
    *objects = (struct objects){0};
}

struct object *
objects_handle(const struct objects *objects, struct ks_span uid)
{
    uint32_t hash;
    if (!hash_uid(objects, uid, &hash))
        return NULL;
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
    if (by_uid == NULL)
        return;
    for (size_t i = 0; i < objects->n_buckets; i++)
        for (struct object *o = objects->by_uid[i]; o != NULL;) {
            struct object *next = o->hash_next;
            o->hash_next = by_uid[o->hash & (n - 1)];
            by_uid[o->hash & (n - 1)] = o;
            o = next;
        }
    free(objects->by_uid);
    objects->by_uid = by_uid;
    objects->n_buckets = n;
}

size_t
objects_fixed_bytes(const struct objects *objects)
{
    /* 16: what malloc keeps for itself */
    return objects->all.n * (sizeof(struct object) + 16) + objects->n_buckets * sizeof(void *) +
           objects->cap_due * sizeof(struct due) + index_bytes(&objects->index);
}

/* The heap: an object is in it once at most, and knows where. */

static void
due_set(struct objects *objects, size_t i, struct due due)
{
    objects->due[i] = due;
    due.object->place = i + 1;
}

static void
due_swap(struct objects *objects, size_t a, size_t b)
{
    const struct due t = objects->due[a];
    due_set(objects, a, objects->due[b]);
    due_set(objects, b, t);
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

static void
due_take(struct objects *objects, struct object *object)
{
    if (object->place == 0)
        return;
    const size_t i = object->place - 1;
    const struct due last = objects->due[--objects->n_due];
    object->place = 0;
    if (last.object == object)
        return;
    due_set(objects, i, last);
    due_up(objects, i);
    due_down(objects, last.object->place - 1);
}

static int
reserve_due(struct objects *objects, size_t room)
{
    if (objects->cap_due - objects->n_due >= room)
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

int
objects_reserve(struct objects *objects, size_t room, size_t entries)
{
    if (objects->all.n >= objects->n_buckets)
        grow(objects);
    KS_TRY(index_reserve(&objects->index, entries));
    return reserve_due(objects, room);
}

/* Where the object belongs, after its due time was set. */
static void
put_due(struct objects *objects, struct object *object)
{
    if (object->place != 0 && objects->due[object->place - 1].at == object->due)
        return;
    due_take(objects, object);
    if (object->due == STATE_NEVER || objects->n_due >= objects->cap_due)
        return;
    due_set(objects, objects->n_due, (struct due){object->due, object});
    due_up(objects, objects->n_due++);
}

void
objects_stay_due(struct objects *objects, struct object *object)
{
    put_due(objects, object);
}

void
objects_postpone(struct objects *objects, struct object *object, int64_t until)
{
    object->due = until;
    put_due(objects, object);
}

struct object *
objects_due(struct objects *objects, int64_t now)
{
    if (objects->n_due == 0 || objects->due[0].at > now)
        return NULL;
    struct object *object = objects->due[0].object;
    due_take(objects, object);
    return object;
}

/* Lists */

#define LINK(list, object, link)                                                                                       \
    do {                                                                                                               \
        (object)->link = (struct object_link){.older = (list)->newest};                                                \
        *((list)->newest != NULL ? &(list)->newest->link.newer : &(list)->oldest) = (object);                          \
        (list)->newest = (object);                                                                                     \
        (list)->n++;                                                                                                   \
    } while (0)

#define UNLINK(list, object, link)                                                                                     \
    do {                                                                                                               \
        struct object *older = (object)->link.older, *newer = (object)->link.newer;                                    \
        *(older != NULL ? &older->link.newer : &(list)->oldest) = newer;                                               \
        *(newer != NULL ? &newer->link.older : &(list)->newest) = older;                                               \
        (list)->n--;                                                                                                   \
    } while (0)

struct object *
objects_next(const struct objects *objects, const struct client *owner, const struct object *after, bool oldest_first)
{
    const struct object_list *list = owner != NULL ? &owner->objects : &objects->all;
    if (after == NULL)
        return oldest_first ? list->oldest : list->newest;
    const struct object_link *link = owner != NULL ? &after->own : &after->all;
    return oldest_first ? link->newer : link->older;
}

/* Objects */

void
objects_add(struct objects *objects, struct object *object)
{
    if (!hash_uid(objects, object_uid(object), &object->hash))
        object->hash = 0; /* not to be found: libcrypto no longer works, and nothing else does */
    object->due = STATE_NEVER;
    object->place = 0;
    object->entries = INDEX_NONE;
    object->order = ++objects->order;
    struct object **bucket = &objects->by_uid[object->hash & (objects->n_buckets - 1)];
    object->hash_next = *bucket;
    *bucket = object;
    LINK(&objects->all, object, all);
    LINK(&object->owner->objects, object, own);
}

void
objects_remove(struct objects *objects, struct object *object)
{
    objects_set(objects, object, NULL);
    struct object **at = &objects->by_uid[object->hash & (objects->n_buckets - 1)];
    while (*at != object)
        at = &(*at)->hash_next;
    *at = object->hash_next;
    UNLINK(&objects->all, object, all);
    UNLINK(&object->owner->objects, object, own);
}

static uint8_t
storage_of(const struct core *core)
{
    const int64_t state = core_get(core, CORE_STATE);
    if (state == KMIP_STATE_DESTROYED || state == KMIP_STATE_DESTROYED_COMPROMISED)
        return KMIP_STORAGE_STATUS_MASK_DESTROYED_STORAGE;
    return core_has(core, CORE_ARCHIVE_DATE) ? KMIP_STORAGE_STATUS_MASK_ARCHIVAL_STORAGE
                                             : KMIP_STORAGE_STATUS_MASK_ON_LINE_STORAGE;
}

/* Users, and what administrators have that may be a credential. */
static bool
tells_of_users(const struct object *object, const struct rev *rev)
{
    const uint32_t type = rev != NULL ? (uint32_t)core_get(&rev->core, CORE_OBJECT_TYPE) : object->type;
    return object->owner->role == IDENTITY_ADMIN &&
           (type == KMIP_OBJECT_TYPE_CERTIFICATE ||
            (type >= KMIP_OBJECT_TYPE_USER && type <= KMIP_OBJECT_TYPE_HASHED_PASSWORD_CREDENTIAL));
}

static bool
carries_tag(const struct rev *rev, uint32_t tag)
{
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL; a = a->next)
        if (a->tag == tag && a->value != NULL)
            return true;
    return false;
}

void
objects_describe(struct object *object, const struct rev *rev)
{
    object->seal = rev->seal;
    object->type = (uint8_t)core_get(&rev->core, CORE_OBJECT_TYPE);
    object->storage = storage_of(&rev->core);
    object->of_user = carries_tag(rev, KMIP_TAG_OBJECT_USER);
    object->in_group = carries_tag(rev, KMIP_TAG_GROUP_LINK);
}

void
objects_set(struct objects *objects, struct object *object, struct rev *rev)
{
    objects->users += tells_of_users(object, rev);
    objects_set_rev(objects, object, rev);
    index_set(&objects->index, object, object->owner, rev, &object->entries);
    object->due = rev != NULL ? state_next_due(&rev->core) : STATE_NEVER;
    put_due(objects, object);
    if (rev != NULL)
        objects_describe(object, rev);
}

static bool
carries(const struct rev *rev, struct ks_span name)
{
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_NAME && a->value != NULL && ks_span_equal(name_text(a->value), name))
            return true;
    return false;
}

struct object *
objects_named(struct objects *objects, const struct client *owner, struct ks_span name, uint32_t *at)
{
    struct kmip_item text = {.tag = KMIP_TAG_NAME, .type = KMIP_TYPE_TEXT_STRING, .s = name};
    const struct kmip_attr attr = {.tag = KMIP_TAG_NAME, .value = &text};
    uint32_t hash;
    if (objects->n_buckets == 0 || !index_hash(&objects->index, owner, &attr, &hash))
        return NULL;
    while ((*at = index_next(&objects->index, hash, *at)) != INDEX_NONE) {
        struct object *object = index_at(&objects->index, *at)->object;
        if (objects_ready(objects, object) == 0 && carries(object->rev, name))
            return object;
    }
    return NULL;
}
