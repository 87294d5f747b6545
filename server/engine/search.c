#include "server/engine/search.h"

#include <stdlib.h>

enum { HASHES = 8 /* filters of which the shortest list is taken */, SHORT = 1024, PART = 16 };

/* The objects that a client may see are its own, or those of all (rights.def, SEE). */
const struct client *
search_owner(const struct ctx *ctx, const struct client *after)
{
    if (!policy_sees_all(ctx->client))
        return after == NULL ? ctx->client : NULL;
    const struct client *c = after != NULL ? after->next : ctx->engine->clients.first;
    while (c != NULL && c->objects.n == 0)
        c = c->next;
    return c;
}

struct gathered {
    struct object **v;
    size_t n, cap, most;
};

static int
gather(struct ctx *ctx, struct gathered *g, struct object *object)
{
    if (g->n == g->cap) {
        const size_t cap = g->cap != 0 ? g->cap * 2 : 16;
        struct object **v = ks_arena_array(ctx->arena, cap, sizeof(void *));
        if (v == NULL)
            return KS_E_NOMEM;
        if (g->n != 0)
            memcpy(v, g->v, g->n * sizeof(void *));
        g->v = v;
        g->cap = cap;
    }
    g->v[g->n++] = object;
    return 0;
}

/* All lists in step: the one that ends first is the shortest. KS_E_LIMIT: none ends in time. */
static int
shortest(const struct attr_index *index, const uint32_t *hashes, size_t n, size_t most, uint32_t *ret)
{
    uint32_t at[HASHES] = {INDEX_NONE};
    for (size_t steps = 0; steps <= most; steps++)
        for (size_t i = 0; i < n; i++)
            if ((at[i] = index_next(index, hashes[i], at[i])) == INDEX_NONE) {
                *ret = hashes[i];
                return 0;
            }
    return KS_E_LIMIT;
}

/* What the index has of one owner. KS_E_LIMIT: too much, or it does not answer such filters. */
static int
ask_index(struct ctx *ctx, const struct client *owner, const struct kmip_attr *const *filters, size_t n,
          struct gathered *g)
{
    const struct attr_index *index = &ctx->engine->objects.index;
    uint32_t hashes[HASHES], hash;
    size_t n_hashes = 0;
    for (size_t i = 0; i < n && n_hashes < HASHES; i++)
        n_hashes += index_hash(index, owner, filters[i], &hashes[n_hashes]);
    if (n_hashes == 0)
        return KS_E_LIMIT;
    if (n_hashes == 1)
        hash = hashes[0];
    else
        KS_TRY(shortest(index, hashes, n_hashes, g->most, &hash));
    for (uint32_t at = index_next(index, hash, INDEX_NONE); at != INDEX_NONE; at = index_next(index, hash, at)) {
        if (g->n >= g->most)
            return KS_E_LIMIT;
        KS_TRY(gather(ctx, g, index_at(index, at)->object));
    }
    return 0;
}

static int
newest_first(const void *a, const void *b)
{
    const struct object *x = *(struct object *const *)a, *y = *(struct object *const *)b;
    return (x->order < y->order) - (x->order > y->order);
}

static int
oldest_first(const void *a, const void *b)
{
    return newest_first(b, a);
}

/* In order, each once: values of one object may hash alike. */
static void
arrange(struct gathered *g, bool oldest)
{
    size_t kept = 0;
    if (g->n < 2)
        return;
    qsort(g->v, g->n, sizeof(struct object *), oldest ? oldest_first : newest_first);
    for (size_t i = 0; i < g->n; i++)
        if (kept == 0 || g->v[kept - 1] != g->v[i])
            g->v[kept++] = g->v[i];
    g->n = kept;
}

/* What others have in the groups of the acting user. KS_E_LIMIT: very much. */
static int
ask_groups(struct ctx *ctx, struct gathered *g)
{
    const struct attr_index *index = &ctx->engine->objects.index;
    const struct acting *acting = ctx->client->acting;
    uint32_t hash, looked = 0;
    if (acting == NULL || acting->user == NULL)
        return 0;
    for (const struct kmip_attr *a = acting->user->rev->attrs.first; a != NULL; a = a->next) {
        if (a->tag != KMIP_TAG_GROUP_LINK || !index_hash(index, NULL, a, &hash))
            continue;
        for (uint32_t at = index_next(index, hash, INDEX_NONE); at != INDEX_NONE; at = index_next(index, hash, at)) {
            struct object *object = index_at(index, at)->object;
            if (looked++ >= g->most)
                return KS_E_LIMIT;
            if (object->owner != ctx->client)
                KS_TRY(gather(ctx, g, object));
        }
    }
    return 0;
}

static int
take_list(struct ctx *ctx, struct gathered *g, struct search *search)
{
    arrange(g, search->oldest_first);
    search->v = g->v;
    search->n = g->n;
    if (g->v == NULL && (search->v = CTX_NEW(ctx, struct object *)) == NULL)
        return KS_E_NOMEM;
    return 0;
}

/* The client's own, by the index or one by one, and what the groups have. KS_E_LIMIT: that is very much. */
static int
begin_member(struct ctx *ctx, const struct kmip_attr *const *filters, size_t n, struct search *search)
{
    const struct objects *objects = &ctx->engine->objects;
    struct gathered shared = {.most = SHORT + objects->all.n / PART};
    KS_TRY(ask_groups(ctx, &shared));
    struct gathered both = shared;
    both.most = shared.n + SHORT + ctx->client->objects.n / PART;
    const int rc = n != 0 ? ask_index(ctx, ctx->client, filters, n, &both) : KS_E_LIMIT;
    if (rc != 0 && rc != KS_E_LIMIT)
        return rc;
    search->owner = ctx->client;
    search->walks = rc != 0;
    return take_list(ctx, rc == 0 ? &both : &shared, search);
}

int
search_begin(struct ctx *ctx, const struct search_by *by, struct search *ret)
{
    struct search search = {.owner = policy_sees_all(ctx->client) ? NULL : ctx->client,
                            .oldest_first = by->oldest_first};
    const size_t all = search.owner != NULL ? search.owner->objects.n : ctx->engine->objects.all.n;
    struct gathered g = {.most = SHORT + all / PART};
    int rc = KS_E_LIMIT;
    if (ctx->client != NULL && policy_sees_groups_alone(ctx->client) && !by->destroyed)
        rc = begin_member(ctx, by->filters, by->n, &search);
    if (rc == KS_E_LIMIT && by->n != 0) {
        rc = 0;
        for (const struct client *owner = search_owner(ctx, NULL); owner != NULL && rc == 0;
             owner = search_owner(ctx, owner))
            rc = ask_index(ctx, owner, by->filters, by->n, &g);
        if (rc == 0)
            rc = take_list(ctx, &g, &search);
    }
    if (rc != 0 && rc != KS_E_LIMIT)
        return rc;
    search.walks = search.walks || rc == KS_E_LIMIT;
    *ret = search;
    return 0;
}

/* The next of the list and the next of the walk are in order each: the one that comes first. */
struct object *
search_next(const struct ctx *ctx, struct search *search)
{
    struct object *listed = search->v != NULL && search->at < search->n ? search->v[search->at] : NULL;
    if (!search->walks) {
        search->at++;
        return listed;
    }
    struct object *walked = objects_next(&ctx->engine->objects, search->owner, search->last, search->oldest_first);
    if (listed != NULL && (walked == NULL || (listed->order < walked->order) == search->oldest_first)) {
        search->at++;
        return listed;
    }
    search->last = walked != NULL ? walked : search->last;
    return walked;
}
