/* Log, Interop, Ping (KMIP 2.1: 6.1.33, 6.1.26, 6.1.41) and Server Status. */
#include "server/engine/op/op.h"

/* What the client wants noted goes into the record of the item, as what the client says. */
int
op_log(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_log_request *r = request;
    OP_RESPONSE(ctx, kmip_log_response, response);
    if (r->log_message.len > 4096)
        return engine_fail(ctx, COND_BAD_FIELD, "a Log Message has 4096 bytes at most");
    if (ctx->record != NULL)
        ctx->record->event.message = r->log_message;
    *ret_response = response;
    return 0;
}

/* Marks the beginning and the end of a test; a server in use resets nothing. */
int
op_interop(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_interop_request *r = request;
    OP_RESPONSE(ctx, kmip_interop_response, response);
    if (ctx->record != NULL)
        ctx->record->event.message = r->interop_identifier.len <= 256 ? r->interop_identifier : KS_SPAN_NONE;
    *ret_response = response;
    return 0;
}

int
op_ping(struct ctx *ctx, const void *request, void **ret_response)
{
    (void)request;
    OP_RESPONSE(ctx, kmip_ping_response, response);
    *ret_response = response;
    return 0;
}

int
op_server_status(struct ctx *ctx, const void *request, void **ret_response)
{
    (void)request;
    OP_RESPONSE(ctx, kmip_server_status_response, response);
    const struct engine *engine = ctx->engine;
    response->keystead_version = KS_LIT(KEYSTEAD_VERSION);
    response->server_sealed = engine_sealed(engine);
    response->object_count = (int64_t)engine->objects.all.n;
    response->has_object_count = !response->server_sealed;
    response->server_uptime = (uint32_t)((ctx->now_us - engine->started_us) / 1000000);
    response->node_name = ks_span_str(engine->node);
    response->policy_profile = ks_span_str(profile_name(engine->config.profile));
    response->has_policy_profile = true;
    *ret_response = response;
    return 0;
}

int
op_unseal(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_unseal_request *r = request;
    const struct engine_config *config = &ctx->engine->config;
    OP_RESPONSE(ctx, kmip_unseal_response, response);
    if (engine_sealed(ctx->engine)) {
        if (config->unseal == NULL)
            return engine_fail(ctx, COND_NO_SUCH_OPERATION, "this server is not unsealed over the network");
        const int rc = config->unseal(config->unseal_arg, ctx->who, r->passphrase);
        if (rc == KS_E_DENIED || rc == KS_E_INTEGRITY)
            return engine_fail(ctx, COND_NOT_PERMITTED, "the passphrase is wrong; the server stays sealed");
        if (rc == KS_E_BUSY)
            return engine_fail(
                ctx, COND_INTERNAL,
                "the last attempt was a moment ago, and guessing is slowed down; try again in a second, or, after "
                "wrong passphrases, in a minute");
        if (rc == KS_E_SEALED)
            return engine_fail(ctx, COND_INTERNAL,
                               "no passphrase opens this store: put its root key file back, the log says where, and "
                               "start the server again");
        if (rc != 0)
            return engine_fail(ctx, COND_INTERNAL, "the server can not be unsealed: %s; see its log", ks_err_text(rc));
    }
    response->server_sealed = engine_sealed(ctx->engine);
    *ret_response = response;
    return 0;
}
