#include "server/engine/user.h"

#include "server/engine/attr.h"

/* Whose it is within its client; empty: everybody's. */
static struct ks_span
user_of(const struct rev *rev)
{
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_OBJECT_USER && a->value != NULL)
            return a->value->s;
    return KS_SPAN_NONE;
}

static bool
is_gone(struct objects *objects, struct ks_span uid)
{
    const struct object *user = objects_find(objects, uid);
    return user == NULL ? objects->failed == 0 : rev_is_destroyed(user->rev);
}

bool
user_allows(const struct acting *acting, const struct object *object)
{
    if (!object->of_user || (acting != NULL && acting->all))
        return true;
    if (acting == NULL || object->rev == NULL)
        return false;
    const struct ks_span uid = user_of(object->rev);
    return (acting->user != NULL && ks_span_equal(object_uid(acting->user), uid)) || is_gone(acting->objects, uid);
}

static bool
is_member(const struct rev *user, struct ks_span group)
{
    for (const struct kmip_attr *a = user->attrs.first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_GROUP_LINK && a->value != NULL && ks_span_equal(a->value->s, group))
            return true;
    return false;
}

static bool
is_group(struct objects *objects, const struct client *owner, struct ks_span name)
{
    uint32_t at = INDEX_NONE;
    for (const struct object *o; (o = objects_named(objects, owner, name, &at)) != NULL;)
        if (object_type(o) == KMIP_OBJECT_TYPE_GROUP && object_stands(o))
            return true;
    return false;
}

/* Who put the object into the group has a say there: a member, or an administrator. Else anybody could slip an object
 * of a familiar name in among those of a group. */
static bool
entered_by_right(struct objects *objects, const struct object *object, const struct client *owner, struct ks_span group)
{
    const struct ks_span uid = user_of(object->rev);
    if (object->owner->role == IDENTITY_ADMIN)
        return true;
    const struct object *maker = uid.len != 0 ? objects_find(objects, uid) : NULL;
    return maker != NULL && maker->owner == owner && user_stands(maker) && is_member(maker->rev, group);
}

bool
user_shares(const struct acting *acting, const struct object *object)
{
    if (acting == NULL || !acting->grouped || !object->in_group || object->rev == NULL)
        return false;
    const struct object *user = acting->user;
    for (const struct kmip_attr *a = object->rev->attrs.first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_GROUP_LINK && a->value != NULL && is_member(user->rev, a->value->s) &&
            is_group(acting->objects, user->owner, a->value->s) &&
            entered_by_right(acting->objects, object, user->owner, a->value->s))
            return true;
    return false;
}

bool
user_stands(const struct object *user)
{
    return object_type(user) == KMIP_OBJECT_TYPE_USER && user->owner->role == IDENTITY_ADMIN && object_stands(user) &&
           !core_has(&user->rev->core, CORE_ARCHIVE_DATE);
}

/* The index may name an object that has something else of the same hash. */
static bool
has(const struct rev *rev, const struct kmip_attr *attr)
{
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL; a = a->next) {
        if (a->tag != attr->tag || a->value == NULL)
            continue;
        if (kmip_item_has_span(a->value) && ks_span_equal(a->value->s, attr->value->s))
            return true;
        const struct kmip_item *field = a->value->type == KMIP_TYPE_STRUCTURE ? a->value->first : NULL;
        for (; field != NULL; field = field->next)
            if (kmip_item_has_span(field) && ks_span_equal(field->s, attr->value->s))
                return true;
    }
    return false;
}

struct object *
user_search_next(struct ctx *ctx, const struct kmip_attr *attr, struct user_search *search)
{
    const struct attr_index *index = &ctx->engine->objects.index;
    if (search->owner == NULL) {
        search->owner = ctx->engine->clients.first;
        search->at = INDEX_NONE;
    }
    for (; search->owner != NULL; search->owner = search->owner->next, search->at = INDEX_NONE) {
        uint32_t hash;
        if (search->owner->role != IDENTITY_ADMIN || search->owner->objects.n == 0 ||
            !index_hash(index, search->owner, attr, &hash))
            continue;
        while ((search->at = index_next(index, hash, search->at)) != INDEX_NONE) {
            struct object *object = index_at(index, search->at)->object;
            if (objects_ready(&ctx->engine->objects, object) == 0 && has(object->rev, attr))
                return object;
        }
    }
    return NULL;
}

struct object *
user_of_credential(struct ctx *ctx, const struct object *credential)
{
    struct kmip_item to = {.tag = KMIP_TAG_CREDENTIAL_LINK, .type = KMIP_TYPE_REFERENCE, .s = object_uid(credential)};
    const struct kmip_attr attr = {.tag = KMIP_TAG_CREDENTIAL_LINK, .value = &to};
    struct user_search search = {0};
    for (struct object *o; (o = user_search_next(ctx, &attr, &search)) != NULL;)
        if (user_stands(o))
            return o;
    return NULL;
}

int
user_by_certificate(struct ctx *ctx, struct object **ret)
{
    struct client *client = ctx->client;
    struct objects *objects = &ctx->engine->objects;
    struct kmip_item digest = {.tag = KMIP_TAG_DIGEST,
                               .type = KMIP_TYPE_BYTE_STRING,
                               .s = KS_SPAN(ctx->who->fingerprint, sizeof(ctx->who->fingerprint))};
    const struct kmip_attr attr = {.tag = KMIP_TAG_DIGEST, .value = &digest};
    struct user_search search = {0};
    *ret = NULL;
    if (objects->users == 0)
        return 0; /* nobody has ever made one */
    if (client->users == objects->users && memcmp(client->users_of, ctx->who->fingerprint, 32) == 0) {
        /* The same answer as before: nothing about users has changed since. */
        if (client->last_user != NULL)
            KS_TRY(objects_ready(objects, client->last_user));
        *ret = client->last_user;
        return 0;
    }
    for (struct object *o; *ret == NULL && (o = user_search_next(ctx, &attr, &search)) != NULL;)
        if (object_type(o) == KMIP_OBJECT_TYPE_CERTIFICATE && object_stands(o))
            *ret = user_of_credential(ctx, o);
    client->users = objects->users;
    client->last_user = *ret;
    memcpy(client->users_of, ctx->who->fingerprint, sizeof(client->users_of));
    return 0;
}

void
user_acts(struct ctx *ctx, struct object *user)
{
    ctx->acting.user = user;
    ctx->acting.grouped = false;
    for (const struct kmip_attr *a = user->rev->attrs.first; a != NULL; a = a->next)
        ctx->acting.grouped = ctx->acting.grouped || (a->tag == KMIP_TAG_GROUP_LINK && a->value != NULL);
}

int
user_mark(struct ctx *ctx, struct rev *draft)
{
    const uint32_t type = (uint32_t)core_get(&draft->core, CORE_OBJECT_TYPE);
    const struct acting *acting = ctx->client != NULL ? ctx->client->acting : NULL;
    if (acting == NULL || acting->user == NULL || user_of(draft).len != 0 ||
        (type >= KMIP_OBJECT_TYPE_USER && type <= KMIP_OBJECT_TYPE_HASHED_PASSWORD_CREDENTIAL))
        return 0;
    struct kmip_item *item = kmip_item_new(ctx->arena, KMIP_TAG_OBJECT_USER, KMIP_TYPE_TEXT_STRING);
    if (item == NULL)
        return KS_E_NOMEM;
    item->s = object_uid(acting->user);
    return attr_put(ctx, draft, KMIP_TAG_OBJECT_USER, item);
}

/* Guesses */

static size_t
guess_slot(const struct ctx *ctx, const struct object *user)
{
    const struct ks_span parts[] = {ks_span_str(ctx->holder != NULL ? ctx->holder->name : ""), object_uid(user)};
    uint64_t hash;
    return ks_siphash_sum(ctx->engine->objects.key, parts, KS_ARRAY_LEN(parts), &hash) == 0 ? hash % GUESS_SLOTS : 0;
}

int
user_guess_allowed(struct ctx *ctx, const struct object *user)
{
    const int64_t until = ctx->engine->guesses.slots[guess_slot(ctx, user)].until;
    if (until <= ctx->now)
        return 0;
    return engine_fail(ctx, COND_NOT_AUTHENTICATED,
                       "there were too many wrong guesses from this client; try again in %lld seconds",
                       (long long)(until - ctx->now));
}

void
user_guessed(struct ctx *ctx, const struct object *user, bool right)
{
    const size_t slot = guess_slot(ctx, user);
    uint32_t *wrong = &ctx->engine->guesses.slots[slot].wrong;
    if (right) {
        *wrong = 0;
        return;
    }
    if (*wrong < UINT32_MAX)
        ++*wrong;
    if (*wrong < GUESSES)
        return;
    int64_t wait = GUESS_WAIT_S;
    for (uint32_t i = GUESSES; i < *wrong && wait < GUESS_WAIT_MOST_S; i++)
        wait *= 2;
    ctx->engine->guesses.slots[slot].until = ctx->now + (wait < GUESS_WAIT_MOST_S ? wait : GUESS_WAIT_MOST_S);
}
