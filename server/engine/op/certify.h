/* What Certify and Re-certify share. */
#pragma once

#include "crypto/cert.h"
#include "server/engine/certificate.h"
#include "server/engine/issuer.h"
#include "server/engine/op/op.h"

/* What is to be certified: the key, and where the subject's names come from. */
struct wish {
    struct object *public;      /* the managed public key; NULL: the key is in the request alone */
    struct ks_pkey *key;        /* freed by wish_done */
    struct ks_span request;     /* PKCS#10; empty: none */
    struct ks_span certificate; /* Re-certify without a request: the one that is renewed */
    struct ks_cert_part *subject;
    size_t n_subject;
    struct kmip_attrs attributes; /* of the request, those that are the certificate object's */
    struct ks_span link;          /* of its Certificate Link */
};
static inline void
wish_done(struct wish *wish)
{
    ks_pkey_free(wish->key);
}

/* The attributes of the request: parts of the subject's name and the link to the authority apart from the rest. */
int wish_attributes(struct ctx *ctx, const struct kmip_attrs *attrs, struct wish *wish) KS_MUST_CHECK;

/* The request in the payload, or the one that is a managed object (request NULL). */
int wish_request(struct ctx *ctx, bool has_type, uint32_t type, struct ks_span request,
                 struct wish *wish) KS_MUST_CHECK;
int wish_request_object(struct ctx *ctx, struct object *object, struct wish *wish) KS_MUST_CHECK;

/* Issues, and makes the certificate that of the draft, whose dates and usage mask count. */
int wish_issue(struct ctx *ctx, const struct wish *wish, struct rev *draft) KS_MUST_CHECK;

/* The public key's Certificate Link leads to the certificate. */
int wish_link(struct ctx *ctx, const struct wish *wish, const struct object *certificate) KS_MUST_CHECK;
