/* What Create Key Pair and Re-key Key Pair share: the halves of a pair that the server makes. */
#pragma once

#include "crypto/keyformat.h"
#include "server/engine/op/op.h"

struct half {
    struct rev draft;
    struct object *object;
    bool is_private;
};

/* The attributes that are common to both halves and not said again by one of them, in ret. */
int pair_common(struct ctx *ctx, const struct kmip_attrs *common, const struct kmip_attrs *own,
                struct kmip_attrs *ret) KS_MUST_CHECK;

/* A fresh key for the facts of both drafts, which have to agree; made beforehand if it could be. */
int pair_make(struct ctx *ctx, const struct rev *a, const struct rev *b, struct ks_pkey **ret) KS_MUST_CHECK;

/* The key's facts (length, curve, format) and its material into the half's draft. */
int pair_material(struct ctx *ctx, struct half *half, const struct ks_pkey *key) KS_MUST_CHECK;
