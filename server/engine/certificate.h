/* What an X.509 certificate says of itself, as attributes. */
#pragma once

#include "server/engine/ctx.h"

int certificate_facts(struct ctx *ctx, struct ks_span der, struct rev *draft) KS_MUST_CHECK;
