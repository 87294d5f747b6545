/* Inside the engine: the batch and its items. */
#pragma once

#include "server/engine/ctx.h"

/* A request's context with the time of now; also for what the server does by itself. */
void engine_ctx_init(struct ctx *ctx, struct engine *engine, const struct identity *who, struct engine_reply *reply);

/* Whether the operation is carried out in that version. */
bool engine_offers(uint32_t operation, enum kmip_version version);
