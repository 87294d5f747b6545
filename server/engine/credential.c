/*
 * The credentials in a request's header (KMIP 2.1: 9.3, 9.11). The certificate says who asks; what is here can narrow
 * that or stand in its way, and never replaces it:
 *
 *   Ticket                          has to be one that this client may show (ticket.h)
 *   Username and Password, Device   where the server has no such user: what the client says of itself, and no more
 *   Attestation, One Time Password,
 *   Hashed Password                 nothing here can verify them: refused
 */
#include "server/engine/ctx.h"

enum { CREDENTIALS_MOST = 8 };

static bool
maker_stands(const struct ctx *ctx, const struct ticket *ticket, const struct client *maker)
{
    return maker != NULL && !maker->revoked && maker->not_after > ctx->now &&
           memcmp(maker->fingerprint, ticket->certificate, sizeof(ticket->certificate)) == 0;
}

static int
check_ticket(struct ctx *ctx, const struct kmip_ticket *shown)
{
    struct ticket *ticket = tickets_find(&ctx->engine->tickets, shown->ticket_value);
    struct client *maker = ticket != NULL ? clients_find(&ctx->engine->clients, ks_span_str(ticket->maker)) : NULL;
    if (ctx->client == NULL)
        return 0; /* the item says what is wrong */
    if (ctx->ticket != NULL)
        return engine_fail(ctx, COND_BAD_FIELD, "a request shows one ticket");
    if (ticket == NULL || shown->ticket_type != KMIP_TICKET_TYPE_LOGIN || ticket->expires <= ctx->now ||
        !maker_stands(ctx, ticket, maker) || (!ticket->delegated && maker != ctx->client)) {
        ctx->bad_ticket = true;
        return 0;
    }
    const bool counts = ticket->counted && (ctx->prepared == NULL || !ctx->prepared->again);
    if (counts && ticket->requests_left == 0 && ticket->delegated) {
        ctx->used_ticket = true; /* as the published cases have it: each item says so, of a Login the message does */
        return 0;
    }
    if (counts && ticket->requests_left == 0)
        return engine_fail(ctx, COND_USAGE_LIMIT, "the ticket was good for a number of requests, which were made");
    if (counts)
        ticket->requests_left--;
    ctx->ticket = ticket;
    ctx->client = maker;
    maker->ticket = ticket;
    return 0;
}

/* Whether the password is one of the user's; any: whether there is one to compare with. */
static int
users_password(struct ctx *ctx, const struct object *user, struct ks_span given, bool *any, bool *fits)
{
    struct objects *objects = &ctx->engine->objects;
    for (const struct kmip_attr *a = user->rev->attrs.first; a != NULL; a = a->next) {
        const struct object *credential =
            a->tag == KMIP_TAG_CREDENTIAL_LINK && a->value != NULL ? objects_find(objects, a->value->s) : NULL;
        struct ks_span password;
        if (credential == NULL || object_type(credential) != KMIP_OBJECT_TYPE_PASSWORD_CREDENTIAL ||
            credential->rev->material.len == 0 || object_state(credential) > KMIP_STATE_ACTIVE)
            continue;
        KS_TRY(row_material(ctx, credential, &password));
        *any = true;
        *fits = *fits || (password.len == given.len && ks_equal_secret(password.data, given.data, password.len));
    }
    return 0;
}

/*
 * A name that a user of this server has (Create User): then the password has to be one of that user's. A name that
 * nobody has proves nothing, and nothing is refused for it: many clients send one that is meant for other servers.
 */
static int
check_password(struct ctx *ctx, const struct kmip_username_password_credential *c)
{
    bool fits = false, any = false;
    for (const struct client *owner = ctx->engine->clients.first; owner != NULL; owner = owner->next) {
        uint32_t at = INDEX_NONE;
        if (owner->role != IDENTITY_ADMIN)
            continue;
        for (struct object *o; (o = objects_named(&ctx->engine->objects, owner, c->username, &at)) != NULL;)
            if (object_type(o) == KMIP_OBJECT_TYPE_USER)
                KS_TRY(users_password(ctx, o, c->password, &any, &fits));
    }
    if (any && !fits)
        return engine_fail(ctx, COND_NOT_AUTHENTICATED, "the password is not that of the user");
    return 0;
}

static int
check_one(struct ctx *ctx, const struct kmip_credential *credential)
{
    static const struct {
        uint32_t type;
        const struct kmip_schema *schema;
    } kinds[] = {
        {KMIP_CREDENTIAL_TYPE_USERNAME_AND_PASSWORD, &kmip_schema_username_password_credential},
        {KMIP_CREDENTIAL_TYPE_DEVICE, &kmip_schema_device_credential},
        {KMIP_CREDENTIAL_TYPE_ATTESTATION, &kmip_schema_attestation_credential},
        {KMIP_CREDENTIAL_TYPE_ONE_TIME_PASSWORD, &kmip_schema_one_time_password_credential},
        {KMIP_CREDENTIAL_TYPE_HASHED_PASSWORD, &kmip_schema_hashed_password_credential},
        {KMIP_CREDENTIAL_TYPE_TICKET, &kmip_schema_ticket_credential},
    };
    const uint32_t type = credential->credential_type;
    const struct kmip_schema *schema = NULL;
    for (size_t i = 0; i < KS_ARRAY_LEN(kinds); i++)
        if (kinds[i].type == type && kmip_enum_known(KMIP_TAG_CREDENTIAL_TYPE, type, ctx->version))
            schema = kinds[i].schema;
    if (schema == NULL)
        return engine_fail(ctx, COND_NOT_AUTHENTICATED, "credentials of that type are unknown in this version of KMIP");
    void *value;
    const int rc = kmip_item_decode(schema, ctx->version, credential->credential_value, ctx->arena, &value, NULL);
    if (rc == KS_E_NOMEM)
        return rc;
    if (rc != 0)
        return engine_fail(ctx, COND_BAD_MESSAGE, "the Credential Value is not that of its Credential Type");
    switch (type) {
    case KMIP_CREDENTIAL_TYPE_TICKET:
        return check_ticket(ctx, ((const struct kmip_ticket_credential *)value)->ticket);
    case KMIP_CREDENTIAL_TYPE_ATTESTATION:
        return engine_fail(ctx, COND_ATTESTATION, "this server asks for no attestation and can verify none");
    case KMIP_CREDENTIAL_TYPE_ONE_TIME_PASSWORD:
    case KMIP_CREDENTIAL_TYPE_HASHED_PASSWORD:
        return engine_fail(ctx, COND_NOT_AUTHENTICATED,
                           "this server can not verify credentials of that type; the certificate is enough");
    case KMIP_CREDENTIAL_TYPE_USERNAME_AND_PASSWORD:
        return check_password(ctx, value);
    default:
        return 0;
    }
}

int
credentials_check(struct ctx *ctx)
{
    const struct kmip_authentication *authentication = ctx->header->authentication;
    if (authentication == NULL || engine_sealed(ctx->engine) || !ctx->who->authenticated)
        return 0;
    if (authentication->n_credential > CREDENTIALS_MOST)
        return engine_fail(ctx, COND_SERVER_LIMIT, "a request has %d credentials at most", CREDENTIALS_MOST);
    for (size_t i = 0; i < authentication->n_credential; i++)
        KS_TRY(check_one(ctx, authentication->credential[i]));
    return 0;
}
