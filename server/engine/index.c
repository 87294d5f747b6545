#include "server/engine/index.h"

#include <stdlib.h>

#include "server/engine/object.h"

enum { BLOCK = 65536, FIRST_BUCKETS = 1024, LOOK = 64 /* entries in which one that stays is looked for */ };

int
index_init(struct attr_index *index, const uint8_t key[KS_SIPHASH_KEY])
{
    *index = (struct attr_index){.used = 1};
    index->buckets = calloc(FIRST_BUCKETS, sizeof(*index->buckets));
    if (index->buckets == NULL || ks_siphash_key_new(key, &index->key) != 0) {
        index_done(index);
        return KS_E_NOMEM;
    }
    index->n_buckets = FIRST_BUCKETS;
    return 0;
}

void
index_done(struct attr_index *index)
{
    for (size_t i = 0; i < index->n_blocks; i++)
        free(index->blocks[i]);
    free(index->blocks);
    free(index->buckets);
    ks_siphash_key_free(index->key);
    *index = (struct attr_index){0};
}

size_t
index_bytes(const struct attr_index *index)
{
    return index->n_blocks * BLOCK * sizeof(struct index_entry) + index->n_buckets * sizeof(*index->buckets);
}

/* Hashes */

static bool
hash_value(const struct attr_index *index, const struct client *owner, const struct kmip_attr *attr, uint8_t kind,
           struct ks_span value, uint32_t *ret)
{
    uint8_t head[8 + 4 + 4 + 4 + 1];
    uint64_t hash;
    ks_put_be64(head, (uint64_t)(uintptr_t)owner);
    ks_put_be32(head + 8, attr->tag);
    ks_put_be32(head + 12, (uint32_t)attr->vendor.len);
    ks_put_be32(head + 16, (uint32_t)attr->name.len);
    head[20] = kind;
    const struct ks_span parts[] = {KS_SPAN(head, sizeof(head)), attr->vendor, attr->name, value};
    const size_t first = attr->tag == KMIP_TAG_ATTRIBUTE ? 0 : 2; /* of others, vendor and name say nothing */
    if (first != 0)
        memset(head + 12, 0, 8);
    const struct ks_span plain[] = {parts[0], value};
    const int rc = first == 0 ? ks_siphash_sum(index->key, parts, KS_ARRAY_LEN(parts), &hash)
                              : ks_siphash_sum(index->key, plain, KS_ARRAY_LEN(plain), &hash);
    if (rc != 0)
        return false;
    *ret = (uint32_t)hash;
    return true;
}

/* 3.0: a text that names an object. A filter may say the text alone. */
static bool
is_reference(const struct kmip_item *item)
{
    return item->type == KMIP_TYPE_REFERENCE || item->type == KMIP_TYPE_NAME_REFERENCE;
}

static bool
is_string(const struct kmip_item *item)
{
    return item->type == KMIP_TYPE_TEXT_STRING || item->type == KMIP_TYPE_BYTE_STRING || is_reference(item);
}

/* A number of a vendor attribute. Not dates: a filter may have a range of them, or the one that means none. */
static bool
number_of(const struct kmip_item *item, int64_t *ret)
{
    switch (item->type) {
    case KMIP_TYPE_BOOLEAN:
        *ret = item->b;
        return true;
    case KMIP_TYPE_INTEGER:
        *ret = item->i32;
        return true;
    case KMIP_TYPE_ENUMERATION:
    case KMIP_TYPE_INTERVAL:
        *ret = item->u32;
        return true;
    case KMIP_TYPE_LONG_INTEGER:
        *ret = item->i64;
        return true;
    default:
        return false;
    }
}

/*
 * The next value of an attribute that is indexed: the value itself, or one of the texts and bytes of a structure. Text
 * in a structure and the same text by itself are one (3.0 has Name as a text). after: NULL at first.
 */
static const struct kmip_item *
next_value(const struct kmip_attr *attr, const struct kmip_item *after)
{
    const struct kmip_item *value = attr->value;
    int64_t number;
    if (value == NULL)
        return NULL;
    if (value->type != KMIP_TYPE_STRUCTURE) {
        const bool indexed = is_string(value) || (attr->tag == KMIP_TAG_ATTRIBUTE && number_of(value, &number));
        return after == NULL && indexed ? value : NULL;
    }
    const struct kmip_item *field = after != NULL ? after->next : value->first;
    while (field != NULL && !is_string(field))
        field = field->next;
    return field;
}

static bool
hash_of(const struct attr_index *index, const struct client *owner, const struct kmip_attr *attr,
        const struct kmip_item *value, uint32_t *ret)
{
    uint8_t bytes[8];
    int64_t number;
    if (is_string(value))
        return hash_value(index, owner, attr, is_reference(value) ? (uint8_t)KMIP_TYPE_TEXT_STRING : value->type,
                          value->s, ret);
    if (!number_of(value, &number))
        return false;
    ks_put_be64(bytes, (uint64_t)number);
    return hash_value(index, owner, attr, value->type, KS_SPAN(bytes, sizeof(bytes)), ret);
}

bool
index_hash(const struct attr_index *index, const struct client *owner, const struct kmip_attr *attr, uint32_t *ret)
{
    const struct kmip_item *value = next_value(attr, NULL);
    return value != NULL && hash_of(index, owner, attr, value, ret);
}

/* What objects of all owners are looked for by: these have an entry of no owner besides. */
static bool
is_common(const struct kmip_attr *attr)
{
    return attr->tag == KMIP_TAG_GROUP_LINK;
}

/* Room */

size_t
index_need(const struct rev *rev)
{
    size_t n = 0;
    for (const struct kmip_attr *a = rev != NULL ? rev->attrs.first : NULL; a != NULL; a = a->next)
        for (const struct kmip_item *v = next_value(a, NULL); v != NULL; v = next_value(a, v))
            n += is_common(a) ? 2 : 1;
    return n;
}

static int
add_block(struct attr_index *index)
{
    struct index_entry **blocks = realloc(index->blocks, (index->n_blocks + 1) * sizeof(struct index_entry *));
    if (blocks == NULL)
        return KS_E_NOMEM;
    index->blocks = blocks;
    if ((blocks[index->n_blocks] = calloc(BLOCK, sizeof(struct index_entry))) == NULL)
        return KS_E_NOMEM;
    index->n_blocks++;
    return 0;
}

/* Twice the buckets; not having the memory makes look-ups slower, nothing else. */
static void
grow(struct attr_index *index)
{
    const size_t n = index->n_buckets * 2;
    uint32_t *buckets = calloc(n, sizeof(*buckets));
    if (buckets == NULL)
        return;
    for (size_t i = 0; i < index->n_buckets; i++) {
        /* The last of the old bucket first, so that each bucket stays in its order. */
        uint32_t last = index->buckets[i];
        while (last != INDEX_NONE && index_at(index, last)->next != INDEX_NONE)
            last = index_at(index, last)->next;
        for (uint32_t at = last; at != INDEX_NONE;) {
            struct index_entry *e = index_at(index, at);
            const uint32_t before = e->prev;
            uint32_t *bucket = &buckets[e->hash & (n - 1)];
            e->prev = INDEX_NONE;
            e->next = *bucket;
            if (*bucket != INDEX_NONE)
                index_at(index, *bucket)->prev = at;
            *bucket = at;
            at = before;
        }
    }
    free(index->buckets);
    index->buckets = buckets;
    index->n_buckets = n;
}

int
index_reserve(struct attr_index *index, size_t room)
{
    if (index->n + room > UINT32_MAX - BLOCK)
        return KS_E_LIMIT;
    while (index->n_unused + index->n_blocks * BLOCK < index->used + room)
        KS_TRY(add_block(index));
    if (index->n > index->n_buckets)
        grow(index);
    return 0;
}

/* Entries */

static uint32_t
add(struct attr_index *index, struct object *object, uint32_t hash)
{
    uint32_t number = index->unused;
    if (number != INDEX_NONE) {
        index->unused = index_at(index, number)->next;
        index->n_unused--;
    } else {
        number = index->used++;
    }
    uint32_t *bucket = &index->buckets[hash & (index->n_buckets - 1)];
    *index_at(index, number) = (struct index_entry){.object = object, .hash = hash, .next = *bucket};
    if (*bucket != INDEX_NONE)
        index_at(index, *bucket)->prev = number;
    *bucket = number;
    index->n++;
    return number;
}

/* at: where the number of the entry stands in its object's list. */
static void
take_out(struct attr_index *index, uint32_t *at)
{
    const uint32_t number = *at;
    struct index_entry *e = index_at(index, number);
    if (e->prev != INDEX_NONE)
        index_at(index, e->prev)->next = e->next;
    else
        index->buckets[e->hash & (index->n_buckets - 1)] = e->next;
    if (e->next != INDEX_NONE)
        index_at(index, e->next)->prev = e->prev;
    *at = e->sibling;
    *e = (struct index_entry){.next = index->unused};
    index->unused = number;
    index->n_unused++;
    index->n--;
}

/* An object's entries while they are made anew, in the order of the values: what did not change is found at the head of
 * the old list. */
struct renewing {
    struct attr_index *index;
    struct object *object;
    uint32_t old, made, *tail;
};

static void
renew(struct renewing *r, uint32_t hash)
{
    struct attr_index *index = r->index;
    uint32_t *at = &r->old;
    for (size_t n = 0; n < LOOK && *at != INDEX_NONE && index_at(index, *at)->hash != hash; n++)
        at = &index_at(index, *at)->sibling;
    const bool same = *at != INDEX_NONE && index_at(index, *at)->hash == hash;
    const uint32_t number = same ? *at : add(index, r->object, hash);
    if (same)
        *at = index_at(index, number)->sibling;
    *r->tail = number;
    r->tail = &index_at(index, number)->sibling;
    *r->tail = INDEX_NONE;
}

void
index_set(struct attr_index *index, struct object *object, const struct client *owner, const struct rev *rev,
          uint32_t *first)
{
    struct renewing r = {.index = index, .object = object, .old = *first, .made = INDEX_NONE};
    uint32_t hash;
    r.tail = &r.made;
    for (const struct kmip_attr *a = rev != NULL && !rev_is_destroyed(rev) ? rev->attrs.first : NULL; a != NULL;
         a = a->next)
        for (const struct kmip_item *v = next_value(a, NULL); v != NULL; v = next_value(a, v)) {
            if (hash_of(index, owner, a, v, &hash))
                renew(&r, hash);
            if (is_common(a) && hash_of(index, NULL, a, v, &hash))
                renew(&r, hash);
        }
    while (r.old != INDEX_NONE)
        take_out(index, &r.old);
    *first = r.made;
}

uint32_t
index_next(const struct attr_index *index, uint32_t hash, uint32_t after)
{
    if (index->n_buckets == 0)
        return INDEX_NONE;
    uint32_t at = after != INDEX_NONE ? index_at(index, after)->next : index->buckets[hash & (index->n_buckets - 1)];
    while (at != INDEX_NONE && index_at(index, at)->hash != hash)
        at = index_at(index, at)->next;
    return at;
}
