/* Authorization: may this client do that to this object? The one place that answers; rights.def is the first policy. */
#pragma once

#include "server/engine/object.h"

enum right {
#define RIGHT(NAME, OWNER, GROUP, ADMIN, CLIENT, ANYBODY) RIGHT_##NAME,
#include "server/engine/rights.def"
#undef RIGHT
    RIGHT_COUNT
};

/* Whether the ticket of the request, if it has one, leaves the object to it. */
bool policy_ticket_allows(const struct client *client, const struct object *object);

/* Whether the object is the client's own, but another user's. */
bool policy_is_anothers(const struct client *client, const struct object *object);

/* object NULL: a right to no object. client NULL: nobody who is registered. */
bool policy_may(const struct client *client, enum right right, const struct object *object);

/* Whether the client may see objects of others at all; else searches look at its own alone. No less than what
 * policy_may says of RIGHT_SEE. */
bool policy_sees_all(const struct client *client);

/* Whether of the objects of others it may see those alone that have a Group Link of the acting user. */
bool policy_sees_groups_alone(const struct client *client);
