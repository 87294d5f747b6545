/* What is forgiven to single clients (leniency.def), and how. */
#pragma once

#include "server/engine/ctx.h"

/*
 * The set of leniencies that a list names, "iv-in-front,activate-new"; an empty list is the empty set. KS_E_NOT_FOUND:
 * the list has a name that there is none of.
 */
int leniency_find(struct ks_span list, uint32_t *ret) KS_MUST_CHECK;

/* The list that names a set, in the arena; empty for none. */
int leniency_list(struct ks_arena *arena, uint32_t set, struct ks_span *ret) KS_MUST_CHECK;

/* Puts a request right as far as its client is forgiven what is wrong with it. The payload is the decoded one. */
int leniency_apply(struct ctx *ctx, uint32_t operation, void *payload) KS_MUST_CHECK;
