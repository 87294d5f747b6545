/*
 * Managed objects in memory.
 *
 * An object is a handle with identifier and owner; what it is at a time is a `struct rev`, which never changes once
 * made: one block of memory that holds facts, attributes and the sealed key material. A change makes a new rev from a
 * draft and swaps it in (tx.h), so a change that fails half way leaves nothing behind, and undoing is swapping back.
 *
 * Key material is sealed here as it is in the store and opened only into the arena of a request that uses it.
 */
#pragma once

#include "kmip/kmip.h"
#include "server/engine/engine.h"

enum core_id {
#define CORE(NAME, TAG, TYPE, FLAGS) CORE_##NAME,
#include "server/engine/core.def"
#undef CORE
    CORE_COUNT
};

enum { CORE_HIDDEN = 1, CORE_BOUND = 2 };

struct core_row {
    uint32_t tag;
    uint8_t type; /* enum kmip_type */
    uint8_t flags;
};
extern const struct core_row core_rows[CORE_COUNT];

/* The row of an attribute, hidden ones included; CORE_COUNT: none. */
enum core_id core_find(uint32_t tag);

struct core {
    uint64_t present; /* bit per enum core_id */
    int64_t v[CORE_COUNT];
};

static inline bool
core_has(const struct core *core, enum core_id id)
{
    return (core->present >> id & 1) != 0;
}

/* The fact, or 0 where it is absent. */
static inline int64_t
core_get(const struct core *core, enum core_id id)
{
    return core_has(core, id) ? core->v[id] : 0;
}

static inline void
core_set(struct core *core, enum core_id id, int64_t value)
{
    core->present |= (uint64_t)1 << id;
    core->v[id] = value;
}

static inline void
core_clear(struct core *core, enum core_id id)
{
    core->present &= ~((uint64_t)1 << id);
    core->v[id] = 0;
}

/* A fact as an item and back; NULL when the arena is full; KS_E_INVALID when the item has another type. */
struct kmip_item *core_item(struct ks_arena *arena, const struct core *core, enum core_id id);
int core_from_item(enum core_id id, const struct kmip_item *item, int64_t *ret) KS_MUST_CHECK;

struct client;
struct object;

/* A name of an object in the index of names; lives in the rev's block. */
struct name_node {
    struct name_node *next;
    struct object *object;
    uint32_t hash;
};

/*
 * What an object is. The same struct is a draft while it is put together: then everything lies in the arena of the
 * request or in the rev that it was made from, and `material` is a plaintext if new_material is set.
 */
struct rev {
    struct object *object;
    uint64_t version;          /* of the row in the store, from 1 */
    uint64_t material_version; /* of the row for which the material was sealed */
    struct core core;
    struct kmip_attrs attrs;    /* attributes that are no numbers; index is the 1.x index; value NULL: a deleted one */
    struct kmip_attrs content;  /* Template: the attributes that it holds */
    struct kmip_item *wrapping; /* Key Wrapping Data of a key that was registered wrapped, else NULL */
    struct ks_span material;    /* sealed; empty: none */
    bool new_material;
    size_t n_names;
    struct name_node *names;
    size_t size; /* of the block */
};

struct object {
    struct object *hash_next;
    struct object *older, *newer; /* all objects in the order in which they were made */
    struct client *owner;
    struct rev *rev;
    int64_t queued; /* the last time that was put into the heap for it; STATE_NEVER: none */
    uint32_t hash;
    char uid[37];
};

static inline struct ks_span
object_uid(const struct object *object)
{
    return KS_SPAN(object->uid, sizeof(object->uid) - 1);
}

static inline uint32_t
object_type(const struct object *object)
{
    return (uint32_t)core_get(&object->rev->core, CORE_OBJECT_TYPE);
}

static inline uint32_t
object_state(const struct object *object)
{
    return (uint32_t)core_get(&object->rev->core, CORE_STATE);
}

/* A draft with the same contents, which it borrows; the lists are its own. */
int rev_draft(struct ks_arena *arena, const struct rev *from, struct rev *ret) KS_MUST_CHECK;

/* Copies a finished draft, material sealed, into one block. KS_E_NOMEM. */
int rev_make(struct object *object, const struct rev *draft, struct rev **ret) KS_MUST_CHECK;
void rev_free(struct rev *rev); /* wipes; accepts NULL */

/* The first Name of a rev, or empty. */
struct ks_span rev_name(const struct rev *rev);
/* The text of a Name attribute; empty where the value has none. */
struct ks_span name_text(const struct kmip_item *name);

/* All objects: by identifier, by name, by age and by the time at which their next transition falls due. */
struct due {
    int64_t at; /* seconds */
    struct object *object;
};
struct objects {
    struct object **by_uid;
    struct name_node **by_name;
    size_t n_buckets; /* of both; a power of two */
    size_t n, n_names;
    struct object *oldest, *newest;
    struct due *due; /* a heap; may hold times that no longer count */
    size_t n_due, cap_due;
};
int objects_init(struct objects *objects) KS_MUST_CHECK;
void objects_done(struct objects *objects); /* frees every object */
struct object *objects_find(const struct objects *objects, struct ks_span uid);

/* Room for so many calls of objects_set, so that neither they nor taking them back can fail. */
int objects_reserve(struct objects *objects, size_t room) KS_MUST_CHECK;
void objects_add(struct objects *objects, struct object *object); /* without a rev */
void objects_remove(struct objects *objects, struct object *object);
/* Makes rev (or NULL) what the object is: names and due time are indexed. Cannot fail after objects_reserve. */
void objects_set(struct objects *objects, struct object *object, struct rev *rev);

/* Objects that carry that name: begin with NULL, then hand in what came last. Destroyed objects have lost theirs. */
struct name_node *objects_named(const struct objects *objects, struct ks_span name, struct name_node *after);

/* The object whose next transition is due at `now`, taken off the heap; NULL: none. */
struct object *objects_due(struct objects *objects, int64_t now);

uint32_t span_hash(struct ks_span s);
