/*
 * Carries a case's messages to a server: TTLV over TLS, or a POST over HTTPS in one of the three encodings (KMIP
 * Profiles, "HTTPS Transport"). A connection for each client of the case, kept while the case runs.
 */
#pragma once

#include <keystead/client.h>

#include "conform/run.h"

enum { CARRY_CLIENTS = 26 };

struct carry {
    struct conform_exchange base;
    /* Of the clients A to Z; those that have none of their own are A. Borrowed. */
    const struct ks_client_config *config[CARRY_CLIENTS];
    const char *https_port; /* NULL: cases that need HTTPS fail with a message */
    const char *https_path; /* "/kmip" */
    int64_t timeout_ms;     /* for one message */
    struct carry_client *open[CARRY_CLIENTS];
    struct tls_context *context[CARRY_CLIENTS];
};
void carry_init(struct carry *carry);
void carry_done(struct carry *carry);
