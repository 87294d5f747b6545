/* Revs in memory: read back when they are wanted, and taken out when they are too many (CLOCK: second chance). */
#include "server/engine/object.h"

enum {
    TRIM_MOST = 4096,        /* revs that one call of objects_trim looks at */
    MALLOC = 16,             /* what malloc keeps for itself */
    FULL_LEAST = 8 << 20,    /* handles and indexes may have so much whatever the limit */
    REQUEST_LEAST = 32 << 20 /* one request may bring a quarter of the cache into memory, or so much */
};

static void
leave_ring(struct objects *objects, struct rev *rev)
{
    objects->bytes -= rev->size + MALLOC;
    if (objects->hand == rev)
        objects->hand = rev->colder != rev ? rev->colder : NULL;
    rev->hotter->colder = rev->colder;
    rev->colder->hotter = rev->hotter;
    rev->hotter = rev->colder = NULL;
}

/* Behind the hand: the last to be looked at. */
static void
enter_ring(struct objects *objects, struct rev *rev)
{
    struct rev *hand = objects->hand;
    objects->bytes += rev->size + MALLOC;
    rev->used = true;
    if (hand == NULL) {
        rev->hotter = rev->colder = objects->hand = rev;
        return;
    }
    rev->colder = hand;
    rev->hotter = hand->hotter;
    hand->hotter->colder = rev;
    hand->hotter = rev;
}

void
objects_set_rev(struct objects *objects, struct object *object, struct rev *rev)
{
    if (object->rev == rev)
        return;
    if (object->rev != NULL && object->rev->hotter != NULL)
        leave_ring(objects, object->rev);
    object->rev = rev;
    if (rev != NULL)
        enter_ring(objects, rev);
}

int
objects_ready(struct objects *objects, struct object *object)
{
    if (object->rev != NULL) {
        object->rev->used = true;
        return 0;
    }
    const size_t most = objects->limit / 4 > REQUEST_LEAST ? objects->limit / 4 : REQUEST_LEAST;
    int rc = objects->limit != 0 && objects->loaded > most ? KS_E_LIMIT : objects->load(objects->arg, object);
    if (rc == 0)
        objects->loaded += object->rev->size;
    if (rc != 0)
        objects->failed = rc;
    return rc;
}

struct object *
objects_find(struct objects *objects, struct ks_span uid)
{
    struct object *object = objects_handle(objects, uid);
    objects->failed = 0;
    return object != NULL && objects_ready(objects, object) == 0 ? object : NULL;
}

int
objects_peek(struct objects *objects, struct object *object)
{
    if (object->rev != NULL)
        return 0;
    objects->peek_rev = (struct rev){.object = object};
    KS_TRY(objects->peek(objects->arg, object, &objects->peeked, &objects->peek_rev));
    object->rev = &objects->peek_rev;
    return 0;
}

void
objects_unpeek(struct objects *objects, struct object *object)
{
    if (object->rev != &objects->peek_rev)
        return;
    object->rev = NULL;
    objects->peek_rev = (struct rev){0};
    ks_arena_reset(&objects->peeked);
}

bool
objects_full(const struct objects *objects)
{
    const size_t limit = objects->limit > FULL_LEAST ? objects->limit : FULL_LEAST;
    return objects->limit != 0 && objects_fixed_bytes(objects) > limit;
}

void
objects_trim(struct objects *objects)
{
    objects->loaded = 0;
    if (objects->limit == 0)
        return;
    for (unsigned n = 0; n < TRIM_MOST && objects->hand != NULL; n++) {
        if (objects->bytes + objects_fixed_bytes(objects) <= objects->limit)
            return;
        struct rev *rev = objects->hand;
        struct object *object = rev->object;
        objects->hand = rev->colder;
        if (object->pending != 0 || rev->used) {
            rev->used = false;
            continue;
        }
        objects_set_rev(objects, object, NULL);
        rev_free(rev);
    }
}

void
objects_pend(struct object *object)
{
    object->pending++;
}

void
objects_committed(struct objects *objects, struct ks_span uid)
{
    struct object *object = objects_handle(objects, uid);
    if (object != NULL && object->pending != 0)
        object->pending--;
}
