#include "postgres/key_cache.h"

#include <signal.h>
#include <stdlib.h>

struct entry {
    int64_t end_ms; /* 0: unused */
    struct ks_value_key which;
    struct ks_key32 key;
};

struct ks_key_cache {
    struct ks_secret *memory; /* this structure itself lies in it */
    size_t max;
    volatile sig_atomic_t busy;    /* a call is at work: a signal handler must not touch the entries */
    volatile sig_atomic_t overdue; /* and the handler wanted to expire */
    volatile int64_t overdue_ms;   /* written before overdue is set, read after */
    struct entry entries[];
};

int
ks_key_cache_new(size_t max, struct ks_key_cache **ret)
{
    if (max == 0 || max > 4096)
        return KS_E_INVALID;
    struct ks_secret *memory;
    KS_TRY(ks_secret_new(sizeof(struct ks_key_cache) + max * sizeof(struct entry), &memory));
    struct ks_key_cache *cache = (struct ks_key_cache *)(void *)ks_secret_data(memory);
    cache->memory = memory;
    cache->max = max;
    *ret = cache;
    return 0;
}

void
ks_key_cache_free(struct ks_key_cache *cache)
{
    if (cache != NULL)
        ks_secret_free(cache->memory);
}

static void
drop(struct entry *e)
{
    ks_wipe(e, sizeof(*e));
}

static void
drop_ended(struct ks_key_cache *cache, int64_t now_ms)
{
    for (size_t i = 0; i < cache->max; i++)
        if (cache->entries[i].end_ms != 0 && cache->entries[i].end_ms <= now_ms)
            drop(&cache->entries[i]);
}

static void
enter(struct ks_key_cache *cache)
{
    cache->busy = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/*
 * Does what a handler left undone, then opens the cache to handlers again, then looks once more: a signal may have
 * come between the two.
 */
static void
leave(struct ks_key_cache *cache)
{
    do {
        if (cache->overdue != 0) {
            cache->overdue = 0;
            drop_ended(cache, cache->overdue_ms);
        }
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        cache->busy = 0;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        if (cache->overdue == 0)
            break;
        enter(cache);
    } while (true);
}

static bool
same(const struct ks_value_key *a, const struct ks_value_key *b)
{
    return a->version == b->version && memcmp(a->id, b->id, sizeof(a->id)) == 0;
}

bool
ks_key_cache_find(struct ks_key_cache *cache, const struct ks_value_key *which, int64_t now_ms, struct ks_key32 *ret)
{
    bool found = false;
    enter(cache);
    for (size_t i = 0; i < cache->max && !found; i++) {
        struct entry *e = &cache->entries[i];
        if (e->end_ms == 0 || !same(&e->which, which))
            continue;
        if (e->end_ms <= now_ms) {
            drop(e);
            break;
        }
        *ret = e->key;
        found = true;
    }
    leave(cache);
    return found;
}

/* The entry of that key, else a free one, else the one that ends first. */
static struct entry *
place_for(struct ks_key_cache *cache, const struct ks_value_key *which)
{
    struct entry *best = &cache->entries[0];
    for (size_t i = 0; i < cache->max; i++) {
        struct entry *e = &cache->entries[i];
        if (e->end_ms != 0 && same(&e->which, which))
            return e;
        if (e->end_ms < best->end_ms)
            best = e;
    }
    return best;
}

void
ks_key_cache_add(struct ks_key_cache *cache, const struct ks_value_key *which, const struct ks_key32 *key,
                 int64_t end_ms)
{
    if (end_ms <= 0)
        return;
    enter(cache);
    struct entry *e = place_for(cache, which);
    e->end_ms = end_ms;
    e->which = *which;
    e->key = *key;
    leave(cache);
}

void
ks_key_cache_clear(struct ks_key_cache *cache)
{
    ks_key_cache_expire(cache, INT64_MAX);
}

void
ks_key_cache_expire(struct ks_key_cache *cache, int64_t now_ms)
{
    if (cache->busy != 0) {
        if (cache->overdue == 0 || cache->overdue_ms < now_ms)
            cache->overdue_ms = now_ms;
        cache->overdue = 1;
        return;
    }
    enter(cache);
    drop_ended(cache, now_ms);
    leave(cache);
}

int64_t
ks_key_cache_next_end(const struct ks_key_cache *cache)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < cache->max; i++)
        if (cache->entries[i].end_ms != 0 && cache->entries[i].end_ms < next)
            next = cache->entries[i].end_ms;
    return next;
}

size_t
ks_key_cache_count(const struct ks_key_cache *cache)
{
    size_t n = 0;
    for (size_t i = 0; i < cache->max; i++)
        n += cache->entries[i].end_ms != 0;
    return n;
}
