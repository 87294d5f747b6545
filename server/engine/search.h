/*
 * Which objects a search has to look at: those of owners that the client may see, and of these, where a filter is one
 * that the index answers, what the index has. Candidates only: whoever asks compares.
 */
#pragma once

#include "server/engine/ctx.h"

/* The owner after `after` (NULL: the first) of objects that the client may see; NULL: no more. */
const struct client *search_owner(const struct ctx *ctx, const struct client *after);

struct search {
    struct object **v; /* from the index, in order, each once; NULL: all of `owner` */
    size_t n, at;
    const struct client *owner; /* NULL: of all owners */
    struct object *last;
    bool oldest_first;
};

/*
 * filters: attributes that an object has to have, all of them; may be empty. The index is asked where it is shorter
 * than looking at all; then the memory lies in the arena of the request.
 */
int search_begin(struct ctx *ctx, const struct kmip_attr *const *filters, size_t n, bool oldest_first,
                 struct search *ret) KS_MUST_CHECK;
/* The next candidate, without its rev if that is not in memory; NULL: no more. */
struct object *search_next(const struct ctx *ctx, struct search *search);
