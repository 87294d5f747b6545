/*
 * Certificate authorities of clients: what Certify and Re-certify issue under.
 *
 * An authority is a managed certificate of the client with a Private Key Link to its managed private key. Which one is
 * said by a Certificate Link among the attributes of the request (the certificate above, in KMIP's words), else it is
 * the client's certificate of the name ISSUER_NAME; where there is none it is made, key and self-signed certificate.
 * So a client issues under authorities of its own alone. The authority that enrols clients of this server is none of
 * them, and clients are known by the fingerprints of certificates that it issued: what is issued here lets nobody in.
 */
#pragma once

#include "crypto/keyformat.h"
#include "server/engine/ctx.h"

#define ISSUER_NAME "issuing-ca"

struct issuer {
    struct object *certificate, *key;
    struct ks_span der;   /* of the certificate, in the arena */
    struct ks_pkey *pkey; /* the private key; the caller frees it */
    int64_t not_after;
};

/* link: where the request's Certificate Link leads; empty: it has none. */
int issuer_find(struct ctx *ctx, struct ks_span link, struct issuer *ret) KS_MUST_CHECK;
