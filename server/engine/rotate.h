/* Rotation that the server does by itself: Rotate Automatic, Interval and Offset (KMIP 2.1: 4.48 to 4.54). */
#pragma once

#include "server/engine/ctx.h"

/*
 * Replaces an object whose Rotate Interval is over, as its owner would by Re-key, Re-key Key Pair or Re-certify with
 * the Rotate Offset, and puts it on record. One that can not be replaced is on record as failed and tried again in an
 * hour. KS_E_BUSY: not in this call, it takes long and so did another.
 */
int rotate_object(struct ctx *ctx, struct object *object) KS_MUST_CHECK;
