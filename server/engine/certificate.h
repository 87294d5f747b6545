/* What certificates and requests for them say. */
#pragma once

#include "crypto/keyformat.h"
#include "server/engine/ctx.h"

/* Facts and attributes of an X.509 certificate, into the draft of its object. */
int certificate_facts(struct ctx *ctx, struct ks_span der, struct rev *draft) KS_MUST_CHECK;

/* Whether this server reads requests of that Certificate Request Type: PKCS#10, also as PEM. */
bool certificate_request_readable(uint32_t type);

/* The DER of a request whose signature verifies, in the arena, and the key that it asks for. */
int certificate_request_der(struct ctx *ctx, uint32_t type, struct ks_span request, struct ks_span *ret,
                            struct ks_pkey **ret_key) KS_MUST_CHECK;
