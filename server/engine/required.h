/* What a request has to say of the object that it makes, by version: required.def. */
#pragma once

#include "server/engine/ctx.h"

/*
 * Refuses a draft that lacks something. To be asked once everything is in it that the request says. Of a key that is
 * registered wrapped the algorithm may be known to what is wrapped alone.
 */
int required_check(struct ctx *ctx, uint32_t operation, const struct rev *draft) KS_MUST_CHECK;
