#include "server/engine/policy.h"

#include "server/engine/client.h"

static const struct {
    bool owner, group, admin, client, anybody;
} rights[RIGHT_COUNT] = {
#define RIGHT(NAME, OWNER, GROUP, ADMIN, CLIENT, ANYBODY) [RIGHT_##NAME] = {OWNER, GROUP, ADMIN, CLIENT, ANYBODY},
#include "server/engine/rights.def"
#undef RIGHT
};

bool
policy_ticket_allows(const struct client *client, const struct object *object)
{
    return client == NULL || client->ticket == NULL ||
           ticket_allows_object(client->ticket, client->doing, object, object->rev);
}

bool
policy_is_anothers(const struct client *client, const struct object *object)
{
    return client != NULL && object->owner == client && !user_allows(client->acting, object);
}

bool
policy_may(const struct client *client, enum right right, const struct object *object)
{
    if (client != NULL && client->ticket != NULL && client->ticket->delegated &&
        (right == RIGHT_ADMINISTER || (object != NULL && !policy_ticket_allows(client, object))))
        return false;
    if (client == NULL || client->revoked)
        return object == NULL && rights[right].anybody;
    const bool admin = client->role == IDENTITY_ADMIN && rights[right].admin;
    if (object == NULL)
        return admin || rights[right].client || rights[right].anybody;
    return admin || (object->owner == client && rights[right].owner && user_allows(client->acting, object)) ||
           (rights[right].group && user_shares(client->acting, object));
}

bool
policy_sees_all(const struct client *client)
{
    if (client == NULL || client->revoked)
        return false;
    return (client->role == IDENTITY_ADMIN && rights[RIGHT_SEE].admin) ||
           (client->acting != NULL && client->acting->grouped && rights[RIGHT_SEE].group);
}

bool
policy_sees_groups_alone(const struct client *client)
{
    return policy_sees_all(client) && !(client->role == IDENTITY_ADMIN && rights[RIGHT_SEE].admin);
}
