/* What certificates and requests for them say. */
#pragma once

#include "crypto/keyformat.h"
#include "server/engine/ctx.h"

/* Facts and attributes of an X.509 certificate, into the draft of its object. */
int certificate_facts(struct ctx *ctx, struct ks_span der, struct rev *draft) KS_MUST_CHECK;

/* An X.509 certificate that this server made, as the object of the draft: facts, attributes and bytes. */
int certificate_put(struct ctx *ctx, struct ks_span der, struct rev *draft) KS_MUST_CHECK;

/* The attributes of a draft that its certificate said are taken off it. */
void certificate_drop_facts(struct rev *draft);

/* The KMIP tag of a part of the subject's name, by which 2.x calls it, as X.509 names it ("CN"); NULL: it is none. */
const char *certificate_subject_part(uint32_t tag);

/* Whether this server reads requests of that Certificate Request Type: PKCS#10, also as PEM. */
bool certificate_request_readable(uint32_t type);

/* The DER of a request whose signature verifies, in the arena, and the key that it asks for. */
int certificate_request_der(struct ctx *ctx, uint32_t type, struct ks_span request, struct ks_span *ret,
                            struct ks_pkey **ret_key) KS_MUST_CHECK;
