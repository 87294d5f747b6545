/*
 * The archive: where the key material of archived objects is.
 *
 * An object with an Archive Date keeps its row of STORE_OBJECT, with its attributes; its key material, sealed as it
 * was, is in a row of its own, "archive/<unique identifier>" of STORE_SYSTEM, and neither in the object's row nor,
 * from the next start on, in memory. It is the same store all the same: archiving keeps a key from being used, it does
 * not bring it to another medium.
 */
#pragma once

#include "server/engine/ctx.h"

/* For Archive: the object's key material goes into the archive. An object without any has nothing there. */
int archive_put(struct ctx *ctx, const struct object *object) KS_MUST_CHECK;

/* For Recover: the draft has its key material again, and the archive nothing. */
int archive_take(struct ctx *ctx, const struct object *object, struct rev *draft) KS_MUST_CHECK;
