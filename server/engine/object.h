/*
 * Managed objects in memory.
 *
 * An object is a handle with identifier and owner; what it is at a time is a `struct rev`, which never changes once
 * made: one block of memory that holds facts, attributes and the sealed key material. A change makes a new rev from a
 * draft and swaps it in (tx.h), so a change that fails half way leaves nothing behind, and undoing is swapping back.
 *
 * Key material is sealed here as it is in the store and opened only into the arena of a request that uses it;
 * asymmetric keys that are in use stay open for a while (parsed.h).
 *
 * Handles and indexes are always in memory; revs are a cache of the rows, as large as limits { object_memory_bytes }
 * allows. What a handle knows of its row (the tags of its seals) shows that the row that is read back is the one that
 * was written last. A rev leaves memory only between requests, and only when its row is committed: all that a request
 * was given stays while it lasts.
 */
#pragma once

#include "kmip/kmip.h"
#include "server/engine/engine.h"
#include "server/engine/index.h"

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
struct parsed;

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
    bool used;                   /* since the cache last looked */
    uint64_t seal;               /* of the row: row_seal_of */
    size_t size;                 /* of the block */
    struct rev *hotter, *colder; /* the cache: a ring */
    struct parsed *parsed;       /* its key, ready to be used (parsed.h); NULL: none. The one thing that changes */
};

struct object_list {
    struct object *oldest, *newest;
    size_t n;
};
struct object_link {
    struct object *older, *newer;
};

struct object {
    struct object *hash_next;
    struct object_link all, own; /* in the order in which they were made: of all, and of its owner's */
    struct client *owner;
    struct rev *rev; /* NULL: not in memory; see objects_ready */
    uint64_t seal;   /* of the row as it is committed or about to be */
    uint64_t order;  /* grows with each object made */
    int64_t due;     /* when its next transition falls due; STATE_NEVER */
    size_t place;    /* in the heap, from 1; 0: it is not there */
    uint32_t hash;
    uint32_t entries; /* in the index; the first */
    uint32_t pending; /* changes that are not committed yet */
    uint8_t type;     /* KMIP Object Type */
    uint8_t storage;  /* KMIP Storage Status Mask, one bit */
    bool of_user;     /* a user made it (user.h) */
    bool in_group;    /* it has a Group Link */
    bool of_session;  /* of PKCS#11 (pkcs11/session.h): in no set, index or row */
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

/* Pre-Active or Active, and not suspended: it may still say who somebody is. */
static inline bool
object_stands(const struct object *object)
{
    return object_state(object) <= KMIP_STATE_ACTIVE && !core_has(&object->rev->core, CORE_SUSPENSION);
}

/* Whether a is kept where b goes with its session: then nothing of a is to point to b. */
static inline bool
object_outlives(const struct object *a, const struct object *b)
{
    return !a->of_session && b->of_session;
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

bool rev_is_destroyed(const struct rev *rev);

/* Memory that reading a row back takes at most (row.c says why). */
enum { OBJECT_LOAD_MAX = 24 << 20 };

/* All objects: by identifier, by attribute, by age and by the time at which their next transition falls due. */
struct due {
    int64_t at; /* seconds */
    struct object *object;
};
struct objects {
    struct object **by_uid;
    size_t n_buckets; /* a power of two */
    struct object_list all;
    struct attr_index index;
    struct ks_siphash_key *key; /* of by_uid */
    uint64_t order;
    uint64_t users;  /* grows with each change of what tells who is a user (user.h); 0: there is none */
    struct due *due; /* a heap */
    size_t n_due, cap_due;

    /* The cache */
    struct rev *hand;                              /* the next to be looked at; NULL: empty */
    size_t bytes;                                  /* of revs in memory */
    size_t loaded;                                 /* read back since objects_trim */
    size_t limit;                                  /* of all of it; 0: none */
    int (*load)(void *arg, struct object *object); /* reads the rev back: objects_set_rev */
    int (*peek)(void *arg, struct object *object, struct ks_arena *arena, struct rev *ret);
    void *arg;
    struct ks_arena peeked, loading;
    struct rev peek_rev;
    int failed; /* KS_E_* of the last rev that could not be read */
};
/* key: 32 random bytes, for the hashes. */
int objects_init(struct objects *objects, const uint8_t key[2 * KS_SIPHASH_KEY]) KS_MUST_CHECK;
void objects_done(struct objects *objects); /* frees every object */

/* The object, its rev in memory; NULL: there is none, or objects->failed says why it could not be read. */
struct object *objects_find(struct objects *objects, struct ks_span uid);
/* The same without the rev, if it is not there. */
struct object *objects_handle(const struct objects *objects, struct ks_span uid);
/* Brings the rev into memory. KS_E_CORRUPT: the row is not the one that was written. */
int objects_ready(struct objects *objects, struct object *object) KS_MUST_CHECK;
/* For a look in passing: the rev is there until objects_unpeek, and the cache is as before. One object at a time. */
int objects_peek(struct objects *objects, struct object *object) KS_MUST_CHECK;
void objects_unpeek(struct objects *objects, struct object *object);
/* Between requests: takes out of memory what is beyond the limit, what was not used for long first. */
void objects_trim(struct objects *objects);
/* The change of the object was made, and what was made is committed. */
void objects_pend(struct object *object);
void objects_committed(struct objects *objects, struct ks_span uid);
/* Memory of what can not leave it, and whether that leaves no room for more. */
size_t objects_fixed_bytes(const struct objects *objects);
bool objects_full(const struct objects *objects);

/* Room for so many calls of objects_set with so many entries of the index (index_need of what comes and what goes), so
 * that neither they nor taking them back can fail. */
int objects_reserve(struct objects *objects, size_t room, size_t entries) KS_MUST_CHECK;
void objects_add(struct objects *objects, struct object *object); /* without a rev; the owner is set */
void objects_remove(struct objects *objects, struct object *object);
/* Makes rev (or NULL) what the object is: attributes and due time are indexed. Cannot fail after objects_reserve. */
void objects_set(struct objects *objects, struct object *object, struct rev *rev);
/* What the handle says of the rev that the object gets. */
void objects_describe(struct object *object, const struct rev *rev);
/* Puts a rev that was read back into the cache: nothing else changes. */
void objects_set_rev(struct objects *objects, struct object *object, struct rev *rev);

/* The object after `after` (NULL: the first) among those of an owner (NULL: of all). */
struct object *objects_next(const struct objects *objects, const struct client *owner, const struct object *after,
                            bool oldest_first);

/*
 * Objects of the owner that carry that name, in memory: begin with *at INDEX_NONE, until NULL. Destroyed objects have
 * lost theirs.
 */
struct object *objects_named(struct objects *objects, const struct client *owner, struct ks_span name, uint32_t *at);

/* The object whose next transition is due at `now`, taken off the heap; NULL: none. Its rev may not be in memory. */
struct object *objects_due(struct objects *objects, int64_t now);
/* Puts it back there. */
void objects_stay_due(struct objects *objects, struct object *object);
/* What could not be done is due again at that time; not remembered over a restart. */
void objects_postpone(struct objects *objects, struct object *object, int64_t until);
