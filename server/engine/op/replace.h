/* What Re-key, Re-key Key Pair and Re-certify share: an object that takes the place of another (KMIP 2.1: 6.1.45
 * to 6.1.47). */
#pragma once

#include "server/engine/op/op.h"

/* Whether the object has a replacement already: it is not replaced again, there would be two in its place. */
bool replace_done(const struct object *object);

/* What the replacement has from the object: all attributes but those that tell of its life and its bytes. */
int replace_inherit(struct ctx *ctx, const struct object *old, struct rev *draft) KS_MUST_CHECK;

/* An Offset beside one of the dates that follow from it, among the attributes of the request, is refused. */
int replace_offset_fits(struct ctx *ctx, bool has_offset, const struct kmip_attrs *attrs) KS_MUST_CHECK;

/*
 * With an Offset (seconds from now to the new Activation Date) the dates move along with the Activation Date; without
 * one they stay as they were copied.
 */
int replace_dates(struct ctx *ctx, bool has_offset, uint32_t offset, struct core *core) KS_MUST_CHECK;

/* Attributes of the request count more than those of the object that is replaced. */
int replace_override(struct ctx *ctx, const struct kmip_attrs *attrs, struct rev *draft) KS_MUST_CHECK;

/*
 * The last steps: names leave the object, the draft becomes a new one of the same owner, to which a Link of the old one
 * leads. (The Link back is the caller's: its place among the others differs.) made: the server made the key material.
 */
int replace_put(struct ctx *ctx, struct object *old, struct rev *draft, bool made, struct object **ret) KS_MUST_CHECK;
