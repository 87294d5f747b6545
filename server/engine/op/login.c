/* Login, Logout and Delegated Login (KMIP 2.1: 6.1.30, 6.1.31, 6.1.12). What a ticket is good for: ticket.h. */
#include <stdlib.h>

#include "crypto/hash.h"
#include "server/engine/op/op.h"

static void
free_ticket(struct ticket **ticket)
{
    ticket_free(*ticket);
}

/* Lease Time is an Interval or the time at which it ends; 0 and nothing: what is usual. */
static int
take_lease(struct ctx *ctx, const struct kmip_item *lease, struct ticket *ticket)
{
    int64_t seconds = 0;
    if (lease != NULL && lease->type == KMIP_TYPE_INTERVAL)
        seconds = lease->u32;
    else if (lease != NULL && lease->type == KMIP_TYPE_DATE_TIME && lease->i64 > ctx->now)
        seconds = lease->i64 - ctx->now;
    else if (lease != NULL)
        return engine_fail(ctx, COND_BAD_FIELD, "Lease Time is an Interval, or a Date-Time that is still to come");
    if (seconds > TICKET_LONGEST_S)
        seconds = TICKET_LONGEST_S;
    ticket->expires = ctx->now + (seconds != 0 ? seconds : TICKET_USUAL_S);
    return 0;
}

static int
take_usage(struct ctx *ctx, const struct kmip_usage_limits *limits, struct ticket_usage *ret)
{
    if (limits == NULL)
        return 0;
    if (limits->usage_limits_total < 0 || (limits->usage_limits_unit != KMIP_USAGE_LIMITS_UNIT_BYTE &&
                                           limits->usage_limits_unit != KMIP_USAGE_LIMITS_UNIT_OBJECT))
        return engine_fail(ctx, COND_BAD_FIELD, "Usage Limits have a Total that is not negative, and a known Unit");
    *ret = (struct ticket_usage){true, limits->usage_limits_unit, limits->usage_limits_total};
    return 0;
}

static int
take_objects(struct ctx *ctx, const struct kmip_objects *from, struct ticket_right *ret)
{
    ret->objects = calloc(from->n_unique_identifier + 1, sizeof(*ret->objects));
    if (ret->objects == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < from->n_unique_identifier; i++) {
        struct object *object;
        KS_TRY(engine_object(ctx, &from->unique_identifier[i], &object));
        memcpy(ret->objects[ret->n_objects++], object->uid, sizeof(object->uid));
    }
    ret->has_objects = true;
    return 0;
}

static int
take_right(struct ctx *ctx, const struct kmip_right *from, struct ticket_right *ret)
{
    const size_t n_operations = from->operations != NULL ? from->operations->n_operation : 0;
    const size_t n_groups = from->object_groups != NULL ? from->object_groups->n_object_group : 0;
    const size_t n_objects = from->objects != NULL ? from->objects->n_unique_identifier : 0;
    if (n_operations > TICKET_NAMES || n_groups > TICKET_NAMES || n_objects > TICKET_NAMES)
        return engine_fail(ctx, COND_SERVER_LIMIT, "a right names %d operations, objects and groups at most",
                           TICKET_NAMES);
    KS_TRY(take_usage(ctx, from->usage_limits, &ret->usage));
    if (from->operations != NULL) {
        ret->operations = calloc(n_operations + 1, sizeof(*ret->operations));
        if (ret->operations == NULL)
            return KS_E_NOMEM;
        for (size_t i = 0; i < n_operations; i++)
            ret->operations[ret->n_operations++] = from->operations->operation[i];
        ret->has_operations = true;
    }
    if (from->objects != NULL)
        KS_TRY(take_objects(ctx, from->objects, ret));
    if (from->object_groups != NULL) {
        ret->groups = calloc(n_groups + 1, sizeof(*ret->groups));
        if (ret->groups == NULL)
            return KS_E_NOMEM;
        for (size_t i = 0; i < n_groups; i++) {
            const struct ks_span g = from->object_groups->object_group[i];
            ret->groups[i] = strndup(g.data != NULL ? (const char *)g.data : "", g.len);
            if (ret->groups[i] == NULL)
                return KS_E_NOMEM;
            ret->n_groups++;
        }
        ret->has_groups = true;
    }
    return 0;
}

static int
take_rights(struct ctx *ctx, const struct kmip_rights *from, struct ticket *ticket)
{
    const size_t n = from != NULL ? from->n_right : 0;
    if (n > TICKET_RIGHTS)
        return engine_fail(ctx, COND_SERVER_LIMIT, "a ticket has %d rights at most", TICKET_RIGHTS);
    ticket->delegated = true;
    ticket->rights = calloc(n + 1, sizeof(*ticket->rights));
    if (ticket->rights == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        ticket->n_rights = i + 1; /* also one that is not whole is freed */
        KS_TRY(take_right(ctx, from->right[i], &ticket->rights[i]));
    }
    return 0;
}

static void
undo_login(struct engine *engine, void *ticket)
{
    tickets_remove(&engine->tickets, ticket);
}

/* Room for one more, its value, and into the list: the ticket is the list's from then on. */
static int
hand_out(struct ctx *ctx, struct ticket **ticket, struct kmip_ticket **ret)
{
    struct tickets *tickets = &ctx->engine->tickets;
    struct kmip_ticket *out = CTX_NEW(ctx, struct kmip_ticket);
    uint8_t *value = ks_arena_alloc(ctx->arena, TICKET_BYTES);
    if (out == NULL || value == NULL)
        return KS_E_NOMEM;
    tickets_expire(tickets, ctx->now);
    if (tickets->n >= TICKET_MOST || tickets_of(tickets, ctx->client->name) >= TICKET_MOST_PER_CLIENT)
        return engine_fail(ctx, COND_SERVER_LIMIT, "there are too many tickets; log out with some, or let them expire");
    const struct ks_span bytes = KS_SPAN(value, TICKET_BYTES);
    (*ticket)->maker = strdup(ctx->client->name);
    if ((*ticket)->maker == NULL)
        return KS_E_NOMEM;
    KS_TRY(engine_random(ctx->engine, value, TICKET_BYTES));
    KS_TRY(ks_sha256(&bytes, 1, (*ticket)->digest));
    memcpy((*ticket)->certificate, ctx->client->fingerprint, sizeof((*ticket)->certificate));
    KS_TRY(tx_hook(ctx, undo_login, NULL, *ticket));
    tickets_add(tickets, *ticket);
    *ticket = NULL;
    *out = (struct kmip_ticket){.ticket_type = KMIP_TICKET_TYPE_LOGIN, .ticket_value = bytes};
    *ret = out;
    return 0;
}

static int
take_count(struct ctx *ctx, bool has, int32_t count, struct ticket *ticket)
{
    if (has && count < 0)
        return engine_fail(ctx, COND_BAD_FIELD, "Request Count can not be negative");
    ticket->counted = has && count != 0;
    ticket->requests_left = count;
    return 0;
}

int
op_login(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_login_request *r = request;
    __attribute__((cleanup(free_ticket))) struct ticket *ticket = ticket_new();
    OP_RESPONSE(ctx, kmip_login_response, response);
    if (ticket == NULL)
        return KS_E_NOMEM;
    if (ctx->ticket != NULL)
        return engine_fail(ctx, COND_NOT_DELEGATED, "a ticket does not make another: log in without one");
    KS_TRY(take_lease(ctx, r->lease_time, ticket));
    KS_TRY(take_count(ctx, r->has_request_count, r->request_count, ticket));
    KS_TRY(take_usage(ctx, r->usage_limits, &ticket->usage));
    KS_TRY(hand_out(ctx, &ticket, &response->ticket));
    *ret_response = response;
    return 0;
}

int
op_delegated_login(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_delegated_login_request *r = request;
    __attribute__((cleanup(free_ticket))) struct ticket *ticket = ticket_new();
    OP_RESPONSE(ctx, kmip_delegated_login_response, response);
    if (ticket == NULL)
        return KS_E_NOMEM;
    if (ctx->ticket != NULL)
        return engine_fail(ctx, COND_NOT_DELEGATED, "a ticket does not make another: log in without one");
    KS_TRY(take_lease(ctx, r->lease_time, ticket));
    KS_TRY(take_count(ctx, r->has_request_count, r->request_count, ticket));
    KS_TRY(take_usage(ctx, r->usage_limits, &ticket->usage));
    KS_TRY(take_rights(ctx, r->rights, ticket));
    KS_TRY(hand_out(ctx, &ticket, &response->ticket));
    *ret_response = response;
    return 0;
}

/* A ticket that was taken out is kept until nothing can be undone any more. */
struct ended {
    struct ctx *ctx;
    struct ticket *ticket;
    int64_t expires;
};

static void
undo_logout(struct engine *engine, void *arg)
{
    const struct ended *e = arg;
    tickets_add(&engine->tickets, e->ticket);
}

static void
done_logout(struct engine *engine, void *arg)
{
    const struct ended *e = arg;
    (void)engine;
    ticket_free(e->ticket);
}

static void
undo_own_logout(struct engine *engine, void *arg)
{
    const struct ended *e = arg;
    (void)engine;
    e->ticket->expires = e->expires;
    e->ctx->bad_ticket = false;
}

/*
 * Whoever could show the ticket can end it: to know it is enough, since ending it takes rights from nobody but its
 * holders.
 */
int
op_logout(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_logout_request *r = request;
    struct tickets *tickets = &ctx->engine->tickets;
    OP_RESPONSE(ctx, kmip_logout_response, response);
    struct ticket *ticket = tickets_find(tickets, r->ticket->ticket_value);
    if (ticket == NULL || ticket->expires <= ctx->now ||
        (!ticket->delegated && strcmp(ticket->maker, ctx->client->name) != 0))
        return engine_fail(ctx, COND_BAD_TICKET, "the ticket is unknown, has ended, or is not this client's");
    struct ended *ended = CTX_NEW(ctx, struct ended);
    if (ended == NULL)
        return KS_E_NOMEM;
    *ended = (struct ended){ctx, ticket, ticket->expires};
    if (ticket != ctx->ticket) {
        KS_TRY(tx_hook(ctx, undo_logout, done_logout, ended));
        tickets_take(tickets, ticket);
    } else {
        KS_TRY(tx_hook(ctx, undo_own_logout, NULL, ended));
        ticket->expires = ctx->now; /* what follows in the batch is refused; the next request sweeps it away */
        ctx->bad_ticket = true;
    }
    *ret_response = response;
    return 0;
}
