/* Transitions by date. */
#pragma once

#include "server/engine/ctx.h"

/* Carries out every transition that is due, each with a record of its own. Before a request is looked at, and by the
 * clock. */
int engine_settle(struct ctx *ctx) KS_MUST_CHECK;
