/* Rotation that the server does by itself: Rotate Automatic, Interval and Offset (KMIP 2.1: 4.48 to 4.54). */
#pragma once

#include "server/engine/ctx.h"

/*
 * Replaces an object whose Rotate Interval is over, as its owner would by Re-key, Re-key Key Pair or Re-certify with
 * the Rotate Offset, and puts it on record. One that can not be replaced is on record as failed and tried again in an
 * hour. KS_E_BUSY, and nothing else: not in this call, but in ret_wait seconds: its key pair is being made, or not even
 * the failure could be stored.
 */
int rotate_object(struct ctx *ctx, struct object *object, int64_t *ret_wait) KS_MUST_CHECK;
