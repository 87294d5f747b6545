/* Idle connections of a client's servers, and which servers to try. Thread-safe: takes the client's lock. */
#pragma once

#include "client/client.h"

/* An idle connection that is still good, or NULL. */
struct conn *pool_take(struct ks_client *client, size_t server);
/* Keeps the connection for the next call, or closes it if there are enough. */
void pool_give(struct ks_client *client, size_t server, struct conn *conn);
/* Closes all idle connections of a server: one was found broken, so the rest will be. */
void pool_drop(struct ks_client *client, size_t server);

/* Order in which to try: configured order, servers that were dead a moment ago last. ret has n_servers places. */
void pool_order(struct ks_client *client, size_t *ret);
void pool_mark(struct ks_client *client, size_t server, bool alive);

bool pool_version(struct ks_client *client, size_t server, enum kmip_version *ret);
void pool_set_version(struct ks_client *client, size_t server, enum kmip_version version);
void pool_forget_version(struct ks_client *client, size_t server);
