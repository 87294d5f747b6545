/* Set Endpoint Role (KMIP 2.1: 6.1.54). */
#include "server/engine/op/op.h"
#include "server/engine/outbox.h"

static void
no_turn(struct engine *engine, void *arg)
{
    (void)engine;
    (void)arg;
}

static void
turn(struct engine *engine, void *arg)
{
    struct engine_reply *reply = arg;
    (void)engine;
    reply->turns = true;
}

/*
 * Client: the server is the client on this connection from its answer on (engine_ask). A client that does not listen
 * yet listens there then, to what others do with its objects, until Listener Set says otherwise.
 */
int
op_set_endpoint_role(struct ctx *ctx, const void *request, void **ret_response)
{
    static const struct listener here = {.wants = LISTENER_NOTIFY | LISTENER_PUT};
    const struct kmip_set_endpoint_role_request *r = request;
    OP_RESPONSE(ctx, kmip_set_endpoint_role_response, response);
    response->endpoint_role = r->endpoint_role;
    *ret_response = response;
    if (r->endpoint_role == KMIP_ENDPOINT_ROLE_SERVER) /* it is */
        return 0;
    if (r->endpoint_role != KMIP_ENDPOINT_ROLE_CLIENT)
        return engine_fail(ctx, COND_BAD_FIELD, "Endpoint Role is Client or Server");
    if (ctx->who->http)
        return engine_fail(ctx, COND_NO_SUCH_FEATURE,
                           "the roles of a connection of HTTPS cannot be turned; connect with KMIP itself");
    if (ctx->client->listener == NULL) {
        struct listener listener = here;
        listener.version = ctx->version;
        KS_TRY(outbox_listen(ctx, ctx->client, &listener));
    }
    ctx->reply->turned_version = ctx->version;
    return tx_hook(ctx, no_turn, turn, ctx->reply);
}
