/*
 * The index of attributes: which objects of an owner have an attribute with a value.
 *
 * An entry is a keyed hash (SipHash, a key of this process) over owner, attribute and value, and the object: no values
 * are in it, and nobody can choose values that collide. What it gives are candidates; whoever asks compares. Indexed
 * are values that are texts, bytes or, of vendor attributes, numbers, and the texts and bytes that are fields of a
 * structure, each by itself. Objects that are destroyed have no entries. Group Links are found of all owners as well:
 * owner NULL.
 *
 * Entries are 24 bytes in blocks that never move; an object knows its own, so changing one takes a time that does not
 * depend on how many others have the same value.
 */
#pragma once

#include "crypto/hash.h"
#include "kmip/kmip.h"

struct client;
struct object;
struct rev;

enum { INDEX_NONE = 0 }; /* number of no entry */

struct index_entry {
    struct object *object;
    uint32_t hash;
    uint32_t next, prev; /* of its bucket */
    uint32_t sibling;    /* the object's next */
};

struct attr_index {
    struct ks_siphash_key *key;
    struct index_entry **blocks;
    size_t n_blocks;
    uint32_t used;   /* entries that were ever in use; 0 is INDEX_NONE's */
    uint32_t unused; /* list of those that are not now, by next */
    size_t n, n_unused;
    uint32_t *buckets;
    size_t n_buckets; /* a power of two */
};

int index_init(struct attr_index *index, const uint8_t key[KS_SIPHASH_KEY]) KS_MUST_CHECK;
void index_done(struct attr_index *index);
size_t index_bytes(const struct attr_index *index);

/* How many entries a revision takes at most. */
size_t index_need(const struct rev *rev);
/* Room for so many entries, so that index_set cannot fail. KS_E_NOMEM. */
int index_reserve(struct attr_index *index, size_t room) KS_MUST_CHECK;
/*
 * Makes the entries of the object those of rev; NULL: none. first: the object's list, whose head is its caller's to
 * keep. After index_reserve.
 */
void index_set(struct attr_index *index, struct object *object, const struct client *owner, const struct rev *rev,
               uint32_t *first);

/* The hash of an attribute's value as a filter has it; false: the index does not answer such a filter. */
bool index_hash(const struct attr_index *index, const struct client *owner, const struct kmip_attr *attr,
                uint32_t *ret);
/* The entries that may be meant, the one that came last first: begin with INDEX_NONE. */
uint32_t index_next(const struct attr_index *index, uint32_t hash, uint32_t after);

static inline struct index_entry *
index_at(const struct attr_index *index, uint32_t number)
{
    return &index->blocks[number >> 16][number & 0xffff];
}
