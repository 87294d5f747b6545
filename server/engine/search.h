/*
 * Which objects a search has to look at: those of owners that the client may see, and of these, where a filter is one
 * that the index answers, what the index has. Candidates only: whoever asks compares.
 */
#pragma once

#include "server/engine/ctx.h"

/* The owner after `after` (NULL: the first) of objects that the client may see; NULL: no more. */
const struct client *search_owner(const struct ctx *ctx, const struct client *after);

struct search {
    struct object **v; /* from the index, in order, each once */
    size_t n, at;
    bool walks;                 /* all of `owner` besides, none of which is in v */
    const struct client *owner; /* NULL: of all owners */
    struct object *last;
    bool oldest_first;
};

/* What is searched for: attributes that an object has to have, all of them, if there are any. */
struct search_by {
    const struct kmip_attr *const *filters;
    size_t n;
    bool oldest_first;
    bool destroyed; /* also what is destroyed, of which the index has nothing: then there are no filters */
};

/*
 * The index is asked where it is shorter than looking at all; then the memory lies in the arena of the request. Who
 * sees objects of others by groups alone looks at those that the index has of the groups, and at its own.
 */
int search_begin(struct ctx *ctx, const struct search_by *by, struct search *ret) KS_MUST_CHECK;
/* The next candidate, without its rev if that is not in memory; NULL: no more. */
struct object *search_next(const struct ctx *ctx, struct search *search);
