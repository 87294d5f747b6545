/*
 * What administrators lay down for objects that are made (KMIP 2.1: 6.1.22, 6.1.52, 6.1.53, 7.6, 7.11): constraints
 * that they have to keep, and defaults for what a request does not say. Rows "constraints" and "defaults" of
 * STORE_SYSTEM.
 *
 * A constraint is about the objects of its types and groups (absent: all), and asks for its attributes: of several
 * values of one attribute any will do, of Cryptographic Usage Mask no bit beyond it. Where constraints that name groups
 * are about an object, they count and the general ones do not; of those that count one has to be kept.
 */
#pragma once

#include "server/engine/ctx.h"

void rules_done(struct rules *rules);
/* A row of STORE_SYSTEM; others are passed over. */
int rules_load(struct engine *engine, struct ks_span key, struct ks_span value, struct ks_diag *diag) KS_MUST_CHECK;

/* What is laid down, in the arena of the request; NULL: nothing. And what is to be from now on: NULL: nothing. */
int rules_constraints(struct ctx *ctx, struct kmip_constraints **ret) KS_MUST_CHECK;
int rules_set_constraints(struct ctx *ctx, const struct kmip_constraints *constraints) KS_MUST_CHECK;
int rules_defaults(struct ctx *ctx, struct kmip_defaults_information **ret) KS_MUST_CHECK;
int rules_set_defaults(struct ctx *ctx, const struct kmip_defaults_information *defaults) KS_MUST_CHECK;

/* Refuses a draft that breaks the constraints. */
int rules_check(struct ctx *ctx, const struct rev *draft) KS_MUST_CHECK;
/* Gives a draft, which has what its request says, the defaults of its type and groups for the rest. */
int rules_fill(struct ctx *ctx, struct rev *draft) KS_MUST_CHECK;
