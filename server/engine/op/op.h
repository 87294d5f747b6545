/* What the operations share. */
#pragma once

#include "server/engine/attr.h"
#include "server/engine/material.h"

/* Allocates the payload of a response, or leaves the handler with KS_E_NOMEM. */
#define OP_RESPONSE(ctx, type, name)                                                                                   \
    struct type *name = CTX_NEW(ctx, struct type);                                                                     \
    if (name == NULL)                                                                                                  \
    return KS_E_NOMEM

/* The last steps of making an object: defaults, checks, the date's state. made: the server made the key material. */
int op_new_object(struct ctx *ctx, struct client *owner, struct rev *draft, bool made,
                  struct object **ret) KS_MUST_CHECK;

/* A fresh symmetric key for the facts of a draft (algorithm, length, format). */
int op_make_symmetric(struct ctx *ctx, struct rev *draft) KS_MUST_CHECK;

/* The handlers of ops.def. */
#define ENGINE_OP(NAME, handler, RIGHT, FLAGS) op_handler op_##handler;
#include "server/engine/ops.def"
#undef ENGINE_OP
