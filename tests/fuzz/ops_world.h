/*
 * Where the stories of fuzz_ops.c happen: an engine whose store commits, clients of every role, users, a group, and
 * what can be named from the beginning. Every story begins with the same.
 */
#pragma once

#include "engine_rig.h"
#include "ops_draw.h"

enum { WHO_MOST = 16, QUEUE = 4 };

struct world {
    struct rig rig;
    struct kit kit;
    struct identity who[WHO_MOST]; /* the more often, the more they ask */
    size_t n_who;
    struct identity deputy; /* the second administrator, for what takes two */
    struct pool uids;       /* of what there is before the story */
    /* What was answered and is not committed; answers leave with the commit alone. */
    struct engine_reply queue[QUEUE];
    size_t n_queued;
    unsigned long n_refused; /* commits that failed */
};

/* Once. */
void world_make(struct world *world);
void world_free(struct world *world);
/* The store is again as it was made, and the engine is new. */
void world_begin(struct world *world, enum profile profile, size_t object_memory);

/* The place for the next answer. */
static inline struct engine_reply *
world_reply(struct world *world)
{
    return &world->queue[world->n_queued];
}

/*
 * Commits the queue as one group, and empties it. False: the disk refused, the answers are void, and the engine was
 * loaded anew. fail: the disk is made to refuse, whether (wrote) or not what was written is there in the end.
 */
bool world_commit(struct world *world, bool fail, bool wrote);
