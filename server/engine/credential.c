/*
 * The credentials in a request's header (KMIP 2.1: 9.3, 9.11). The certificate says which client asks, and nothing here
 * replaces it:
 *
 *   Ticket                          has to be one that this client may show (ticket.h)
 *   Username and Password, Device   of a user of this server (user.h): has to be right, and the request is that user's;
 *                                   else what the client says of itself, and no more
 *   One Time Password,
 *   Hashed Password                 have to be a user's
 *   Attestation                     nothing here can verify it: refused
 */
#include "crypto/hash.h"
#include "server/engine/device.h"
#include "server/engine/proof.h"

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
    /* Who acts for another is none of the other's users. */
    if (ticket->delegated)
        ctx->acting = (struct acting){.objects = ctx->acting.objects};
    maker->acting = &ctx->acting;
    return 0;
}

/* A request is one user's. */
static int
take_user(struct ctx *ctx, struct object *user)
{
    if (ctx->acting.user != NULL && ctx->acting.user != user)
        return engine_fail(ctx, COND_NOT_AUTHENTICATED,
                           "the request shows credentials of two users, or its certificate is another user's");
    if (ctx->client != NULL)
        user_acts(ctx, user);
    ctx->by_header = true;
    return 0;
}

/*
 * A name that a user of this server has (Create User) and that is shown with something to compare: then that has to be
 * right, and the request is the user's. A name that nobody has proves nothing.
 */
static int
check_user(struct ctx *ctx, struct proof *proof)
{
    struct kmip_item text = {.tag = KMIP_TAG_NAME, .type = KMIP_TYPE_TEXT_STRING, .s = proof->username};
    const struct kmip_attr name = {.tag = KMIP_TAG_NAME, .value = &text};
    struct user_search search = {0};
    const struct object *tried = NULL;
    for (struct object *user; (user = user_search_next(ctx, &name, &search)) != NULL;) {
        if (!user_stands(user))
            continue;
        KS_TRY(user_guess_allowed(ctx, user));
        KS_TRY(proof_compare(ctx, user, proof));
        if (!proof->comparable)
            continue;
        tried = user;
        if (!proof->fits)
            continue;
        user_guessed(ctx, user, true);
        KS_TRY(proof_spend(ctx, proof));
        ctx->hashed = proof->answer;
        return take_user(ctx, user);
    }
    if (tried != NULL)
        user_guessed(ctx, tried, false);
    if (tried != NULL && proof->kind == PROOF_PASSWORD)
        return engine_fail(ctx, COND_NOT_AUTHENTICATED, "the password is not that of the user");
    if (tried != NULL || proof->kind != PROOF_PASSWORD)
        return engine_fail(ctx, COND_NOT_AUTHENTICATED,
                           "that is no credential of a user of this server, or it was shown before");
    return 0; /* many clients send a name and a password that are meant for other servers */
}

static int
check_password(struct ctx *ctx, const struct kmip_username_password_credential *c)
{
    struct proof proof = {.kind = PROOF_PASSWORD, .username = c->username, .password = c->password};
    return check_user(ctx, &proof);
}

static int
check_otp(struct ctx *ctx, const struct kmip_one_time_password_credential *c)
{
    struct proof proof = {
        .kind = PROOF_OTP, .username = c->username, .password = c->password, .otp = c->one_time_password};
    return check_user(ctx, &proof);
}

static int
check_hashed(struct ctx *ctx, const struct kmip_hashed_password_credential *c)
{
    struct proof proof = {.kind = PROOF_HASHED,
                          .username = c->username,
                          .time_us = c->time_stamp,
                          .hash = c->has_hashing_algorithm ? c->hashing_algorithm : KMIP_HASHING_ALGORITHM_SHA_256,
                          .hashed = c->hashed_password};
    if (ks_hash_len(proof.hash) == 0 || ks_hash_is_weak(proof.hash))
        return engine_fail(ctx, COND_NOT_AUTHENTICATED, "a Hashed Password of that algorithm proves nothing here");
    return check_user(ctx, &proof);
}

/* Whether a device says all of itself that is kept of it. */
static int
compare_device(struct ctx *ctx, const struct object *object, const struct device_field said[DEVICE_FIELDS],
               struct ks_span password, bool *ret_is, bool *ret_fits)
{
    void *value;
    KS_TRY(proof_kept(ctx, object, &kmip_schema_kept_device_credential, &value));
    const struct kmip_kept_device_credential *kept = value;
    const struct device_field fields[DEVICE_FIELDS] = DEVICE_FIELDS_OF(kept);
    *ret_is = true;
    for (size_t i = 0; i < DEVICE_FIELDS; i++)
        *ret_is = *ret_is && (!fields[i].has || (said[i].has && ks_span_equal(fields[i].value, said[i].value)));
    *ret_fits = !kept->has_password || (kept->password.len == password.len &&
                                        ks_equal_secret(kept->password.data, password.data, password.len));
    return 0;
}

/* A device that the server knows has to show its password; one that it does not know proves nothing. */
static int
check_device(struct ctx *ctx, const struct kmip_device_credential *c)
{
    const struct device_field said[DEVICE_FIELDS] = DEVICE_FIELDS_OF(c);
    for (size_t i = 0; i < DEVICE_FIELDS; i++) {
        struct kmip_item text = {.tag = said[i].tag, .type = KMIP_TYPE_TEXT_STRING, .s = said[i].value};
        const struct kmip_attr attr = {.tag = said[i].tag, .value = &text};
        struct user_search search = {0};
        for (struct object *o; said[i].has && (o = user_search_next(ctx, &attr, &search)) != NULL;) {
            bool is, fits;
            struct object *user =
                object_type(o) == KMIP_OBJECT_TYPE_DEVICE_CREDENTIAL && object_stands(o) && o->rev->material.len != 0
                    ? user_of_credential(ctx, o)
                    : NULL;
            if (user == NULL)
                continue;
            KS_TRY(user_guess_allowed(ctx, user));
            KS_TRY(compare_device(ctx, o, said, c->password, &is, &fits));
            if (!is)
                continue;
            user_guessed(ctx, user, fits);
            if (fits)
                return take_user(ctx, user);
            return engine_fail(ctx, COND_NOT_AUTHENTICATED, "the password is not that of the device");
        }
    }
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
        return check_otp(ctx, value);
    case KMIP_CREDENTIAL_TYPE_HASHED_PASSWORD:
        return check_hashed(ctx, value);
    case KMIP_CREDENTIAL_TYPE_DEVICE:
        return check_device(ctx, value);
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
    struct object *user;
    if (engine_sealed(ctx->engine) || !ctx->who->authenticated)
        return 0;
    if (ctx->client != NULL) {
        KS_TRY(user_by_certificate(ctx, &user));
        if (user != NULL)
            user_acts(ctx, user);
    }
    if (authentication == NULL)
        return 0;
    if (authentication->n_credential > CREDENTIALS_MOST)
        return engine_fail(ctx, COND_SERVER_LIMIT, "a request has %d credentials at most", CREDENTIALS_MOST);
    /* Tickets last: what one of them narrows is not to stand in the way of the others. */
    for (int tickets = 0; tickets < 2; tickets++)
        for (size_t i = 0; i < authentication->n_credential; i++)
            if ((authentication->credential[i]->credential_type == KMIP_CREDENTIAL_TYPE_TICKET) == (tickets != 0))
                KS_TRY(check_one(ctx, authentication->credential[i]));
    return 0;
}
