/*
 * Users and groups (KMIP 3.0, as its enumerations and published cases have them), which administrators make.
 *
 * The certificate says which client asks (client.h). A user divides what a client may, and groups add to it:
 *
 *   A request is a user's if its header shows a credential of the user that is verified (credential.c), or if the
 *   certificate of the connection is one of the user's credentials.
 *   What such a request makes is that user's, within its client: no other request of the client is permitted to use it,
 *   with another user or with none. Where the user is destroyed or gone, it is the client's again.
 *   What a client makes without a user is for all its requests.
 *   A Group Link of a user names a group of the administrator who made the user: the user is a member. Objects with a
 *   Group Link of that name which a member or an administrator has made are the group's: members may see and use them
 *   (rights.def), whatever their client.
 */
#pragma once

#include "server/engine/object.h"

/* Who acts while a request is handled. */
struct acting {
    struct objects *objects;
    struct object *user; /* NULL: none */
    bool grouped;        /* the user is a member of some group */
    bool all;            /* the server itself: what belongs to users is no obstacle */
};

struct ctx;

/* Whether an object of the client is not another user's. acting may be NULL: no user. */
bool user_allows(const struct acting *acting, const struct object *object);

/* Whether an object is of a group of the acting user. */
bool user_shares(const struct acting *acting, const struct object *object);

/* The user one of whose credentials is the certificate of the request, or NULL. */
int user_by_certificate(struct ctx *ctx, struct object **ret) KS_MUST_CHECK;

/* The user who has the credential, or NULL. */
struct object *user_of_credential(struct ctx *ctx, const struct object *credential);

/* Whether a user may still act. */
bool user_stands(const struct object *user);

/* From now on the request is of that user. */
void user_acts(struct ctx *ctx, struct object *user);

/* What the acting user makes is marked as that user's. */
int user_mark(struct ctx *ctx, struct rev *draft) KS_MUST_CHECK;

/* The next object among those of administrators that has the attribute (its value a text or bytes); begin with both
 * zeroed. */
struct user_search {
    const struct client *owner;
    uint32_t at;
};
struct object *user_search_next(struct ctx *ctx, const struct kmip_attr *attr, struct user_search *search);

/*
 * Guesses at passwords: after GUESSES wrong ones a client waits for that user, longer with each. In memory alone; a
 * slot is shared by whoever hashes to it, so the table has one size.
 */
enum { GUESS_SLOTS = 1024, GUESSES = 5, GUESS_WAIT_S = 60, GUESS_WAIT_MOST_S = 3600 };
struct guesses {
    struct {
        uint32_t wrong;
        int64_t until;
    } slots[GUESS_SLOTS];
};
/* Fails the request while the client has to wait. */
int user_guess_allowed(struct ctx *ctx, const struct object *user) KS_MUST_CHECK;
void user_guessed(struct ctx *ctx, const struct object *user, bool right);
