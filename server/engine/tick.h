/* Transitions by date. */
#pragma once

#include "server/engine/ctx.h"

/* Carries out every transition that is due, each with a record of its own. Before a request is looked at, and by the
 * clock, which also rotates what is to be rotated (rotate): requests do not wait for that. */
int engine_settle(struct ctx *ctx, bool rotate) KS_MUST_CHECK;
