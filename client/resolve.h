/* Host names to addresses, within a deadline. */
#pragma once

#include <netdb.h>

#include "client/config.h"
#include "client/wait.h"

/*
 * Addresses to try in order; ret is freed with client_resolved_free. KS_E_CONNECT: no such host; KS_E_TIMEOUT,
 * KS_E_CANCELLED, KS_E_NOMEM.
 */
struct client_resolved;
int client_resolve(const struct client_address *address, const struct client_wait *wait, struct client_resolved **ret,
                   struct ks_error *error) KS_MUST_CHECK;
const struct addrinfo *client_resolved_first(const struct client_resolved *resolved);
void client_resolved_free(struct client_resolved *resolved); /* accepts NULL */
static inline void
client_resolved_freep(struct client_resolved **resolved)
{
    client_resolved_free(*resolved);
}
