/* What Enroll and Re-Provision share. */
#pragma once

#include "crypto/keyformat.h"
#include "server/engine/op/op.h"

/* A certificate of this server's authority for the client of that name and the key, and the authority's own, in the
 * arena. */
int enroll_issue(struct ctx *ctx, const char *name, const struct ks_pkey *subject, struct ks_span *ret,
                 struct ks_span *ret_ca) KS_MUST_CHECK;

/* The certificate of this server's authority, in the arena. */
int enroll_authority(struct ctx *ctx, struct ks_span *ret) KS_MUST_CHECK;
