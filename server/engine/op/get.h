/* What Get and Export share: the object as it is handed out (KMIP 2.1: 6.1.18, 6.1.19). */
#pragma once

#include "server/engine/op/op.h"

/* The request's object, in the format asked for, in the clear or wrapped. Checks nothing of who may have it. */
int get_object(struct ctx *ctx, const struct object *object, const struct kmip_get_request *r,
               struct kmip_managed_object *ret) KS_MUST_CHECK;

/* Whether the key would leave so that whoever sees the answer knows it. */
bool get_is_readable(const struct object *object, const struct kmip_get_request *r);

/* The rest of handing it out: it is not Fresh any more, and the audit record says in which form it left. */
int get_served(struct ctx *ctx, struct object *object, bool readable) KS_MUST_CHECK;
