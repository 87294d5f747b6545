/*
 * The client behind the public handle: servers with their pools, and the one way in which calls are carried out.
 *
 * client_run gives a step a connection, and gives it another one (of the same or of the next server) as long as the
 * step says that nothing can have happened yet, or that repeating does no harm.
 */
#pragma once

#include <pthread.h>

#include "client/conn.h"
#include "kmip/kmip.h"

/* A server that could not be reached is left alone for so long, unless all are. */
enum { CLIENT_DEAD_MS = 5000 };

struct client_server {
    struct client_address address;
    struct conn *idle; /* newest first */
    size_t n_idle;
    int64_t dead_until_ms; /* 0: no reason to think so */
    bool knows_version;
    enum kmip_version version;
};

struct ks_client {
    struct ks_client_config *config;
    struct tls_context *tls;
    pthread_mutex_t lock; /* servers */
    size_t n_servers;
    struct client_server servers[CLIENT_MAX_SERVERS];
};

/* What a step found out about its request when it failed. */
enum client_outcome {
    CLIENT_FINAL,         /* the server answered, or the fault is ours: no other connection would help */
    CLIENT_NOT_PROCESSED, /* the server cannot have carried it out */
    CLIENT_UNKNOWN,       /* it may have */
};

/* On success the connection goes back to the pool; after CLIENT_FINAL too if conn_ok was left true. */
struct client_step {
    int (*run)(struct client_step *step, struct conn *conn, const struct client_wait *wait, struct ks_error *error);
    void *arg;
    bool repeatable; /* doing it twice does no harm */
    bool negotiate;  /* find out the version first */
    struct ks_client *client;
    size_t server;             /* set by client_run: index of the server in use */
    enum kmip_version version; /* set by client_run, if negotiate */
    enum client_outcome outcome;
    bool conn_ok;
};

int client_run(struct ks_client *client, const struct ks_call *call, struct client_step *step,
               struct ks_error *error) KS_MUST_CHECK;

/*
 * Which version to speak on this connection: the newest that both sides have (client/version.c). What the server said
 * is kept for its later connections; *ret_sure is false if it would not say.
 */
int client_negotiate(struct ks_client *client, struct conn *conn, const struct client_wait *wait,
                     enum kmip_version *ret, bool *ret_sure, struct ks_error *error) KS_MUST_CHECK;
