/* Who is asking: what net found out about the peer and vault decides by. */
#pragma once

#include "base/mem.h"

enum identity_role {
    IDENTITY_NOBODY, /* no certificate (enrolment), or one that the registry of clients does not know */
    IDENTITY_CLIENT,
    IDENTITY_ADMIN,
    IDENTITY_SYSTEM, /* the server itself: transitions by date, start, stop */
};

struct identity {
    bool http;               /* KMIP over HTTPS: the roles of its connection cannot be turned */
    bool authenticated;      /* a certificate that chains to the instance's CA, valid now */
    uint8_t fingerprint[32]; /* SHA-256 of the certificate's DER */
    struct ks_span name;     /* Common Name; the client's name in the registry is the vault's business */
    struct ks_span subject;  /* RFC 2253 text */
    struct ks_span serial;   /* hexadecimal */
    struct ks_span address;  /* "192.0.2.7:40122", "[2001:db8::1]:40122" */
    struct ks_span tls;      /* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
};
