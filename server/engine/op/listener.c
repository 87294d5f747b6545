/* Listener Set, Keystead's own: where a client listens for Notify and Put (outbox.h). */
#include "server/engine/op/op.h"
#include "server/engine/outbox.h"

static bool
is_allowed(const struct engine *engine, struct ks_span address)
{
    for (size_t i = 0; i < engine->config.n_listeners; i++)
        if (ks_span_is(address, engine->config.listeners[i]))
            return true;
    return false;
}

int
op_listener_set(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_listener_set_request *r = request;
    struct listener listener = {.version = ctx->version};
    OP_RESPONSE(ctx, kmip_listener_set_response, response);
    *ret_response = response;
    if (!r->has_listener_address)
        return outbox_listen(ctx, ctx->client, NULL);
    /* Empty: at its end of a connection whose roles it turns (Set Endpoint Role). */
    if (r->listener_address.len != 0 &&
        (r->listener_address.len > LISTENER_ADDRESS_MAX || !is_allowed(ctx->engine, r->listener_address)))
        return engine_fail(ctx, COND_NOT_PERMITTED,
                           "this server sends nothing to that address; an administrator may allow it in server { "
                           "listeners } of keystead.conf");
    listener.wants = (uint8_t)((r->listener_notify ? LISTENER_NOTIFY : 0) | (r->listener_put ? LISTENER_PUT : 0) |
                               (r->listener_own ? LISTENER_OWN : 0));
    if ((listener.wants & (LISTENER_NOTIFY | LISTENER_PUT)) == 0)
        return engine_fail(ctx, COND_BAD_FIELD,
                           "a listener wants Notify, Put or both; without an address there is none");
    if (r->listener_address.len != 0)
        memcpy(listener.address, r->listener_address.data, r->listener_address.len);
    response->listener_address = r->listener_address;
    response->has_listener_address = true;
    return outbox_listen(ctx, ctx->client, &listener);
}
