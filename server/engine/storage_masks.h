/* Protection Storage Masks of a request (2.1: 7.33): where a client will have its new object kept. */
#pragma once

#include "server/engine/ctx.h"

/* Where this server keeps objects, which Query says. */
enum { STORAGE_MASKS_HERE = KMIP_PROTECTION_STORAGE_MASK_SOFTWARE };

/*
 * Refuses a payload whose masks name no place that this server has: one of the alternatives has to be met with all of
 * its bits, and keys are kept in software, nowhere else. The masks of a pair's half count instead of the common ones.
 */
int storage_masks_check(struct ctx *ctx, const void *payload) KS_MUST_CHECK;
