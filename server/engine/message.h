/* Inside the engine: the batch and its items. */
#pragma once

#include "server/engine/ctx.h"

/* A request's context with the time of now; also for what the server does by itself. */
void engine_ctx_init(struct ctx *ctx, struct engine *engine, const struct identity *who, struct engine_reply *reply);

/* One request message, answered in ctx->reply->response; ctx knows who asks. KS_E_*: not even a refusal fits. */
int message_handle(struct ctx *ctx, struct ks_span bytes) KS_MUST_CHECK;

/* Whether the item makes a key that takes long. engine.c */
bool engine_item_is_slow(const struct kmip_request_batch_item *item);

/* Whether the answer is what the operation is for (OP_HANDS_OUT). */
bool engine_hands_out(uint32_t operation);

/*
 * Carries out another operation of KMIP within an item, with all of its checks, as if the client had asked for it. What
 * it did before it failed is for the caller to take back (tx_rollback).
 */
int engine_run(struct ctx *ctx, uint32_t operation, op_handler *own, const void *request,
               void **ret_response) KS_MUST_CHECK;

/* Whether the operation is carried out in that version; Notify and Put: sent by the server (outbox.h). */
bool engine_offers(uint32_t operation, enum kmip_version version);
