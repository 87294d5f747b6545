/*
 * A TLS server for tests of the client: answers KMIP requests as a script says, or misbehaves.
 *
 * Every connection has a thread. The script is called with each request decoded and says what to do.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <openssl/ssl.h>

#include "base/mem.h"
#include "kmip/kmip.h"

/* ---- Certificates ---- */

struct pki {
    EVP_PKEY *key;
    X509 *cert;
};
/* A CA of that name; a certificate from it. name: "DNS:localhost,IP:127.0.0.1", NULL for a client. Dates: from now, s.
 */
void pki_ca(struct pki *ca, const char *common_name);
void pki_issue(const struct pki *ca, struct pki *ret, const char *common_name, const char *names, long from_s,
               long to_s);
void pki_done(struct pki *pki);
void pki_write(const struct pki *pki, const char *cert_path, const char *key_path); /* either may be NULL */

/* ---- The peer ---- */

enum peer_action {
    PEER_ANSWER, /* what the script put into the response */
    PEER_CLOSE,  /* close without an answer */
    PEER_HALF,   /* half of the answer, then close */
    PEER_SILENT, /* say nothing until the peer is stopped */
    PEER_BYTES,  /* what the script put into raw */
    PEER_DRIP,   /* the answer a byte at a time */
    PEER_LAST,   /* the answer, then close */
    PEER_SPOILT, /* carried out, but what comes back is no TLS: somebody on the way, say */
};

struct peer_request {
    struct kmip_request_message *message;
    int32_t major, minor;
    uint32_t operation; /* of the first item */
    size_t n;           /* which request of this peer this is, from 0 */
};

/* What to answer: one item for each of the request's unless refused. */
struct peer_reply {
    struct ks_arena *arena;
    void *payload[8];              /* by item; NULL: the default for the operation, if there is one */
    uint32_t status[8], reason[8]; /* 0: success */
    const char *text;              /* Result Message */
    const char *sealed_by;         /* vendor of a Message Extension that says Server Sealed; NULL: none */
    struct ks_span pending;        /* Asynchronous Correlation Value */
    uint32_t operation;            /* 0: the request's */
    bool no_operation;             /* one item without an operation, as for a message that was not understood */
    size_t n_items;                /* 0: as many as in the request */
    struct ks_buf raw;             /* PEER_BYTES */
};

struct peer;
typedef enum peer_action peer_script(struct peer *peer, const struct peer_request *request, struct peer_reply *reply);

struct peer {
    peer_script *script; /* NULL: the defaults */
    void *arg;
    const struct pki *cert, *ca; /* its own; what clients' certificates must come from */
    bool send_ca;                /* the CA certificate in the chain, as Keystead does in enrolment */
    bool never_handshake;        /* accepts TCP and is silent */
    bool no_client_certificate;  /* does not ask for one */
    int newest;                  /* enum kmip_version; -1: does not know Discover Versions. Default 2.1 */

    int port;
    atomic_size_t n_connections, n_requests;
    int32_t last_major, last_minor; /* of the last request that was no Discover Versions */

    int listener;
    SSL_CTX *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    struct peer_conn *conns;
    atomic_bool stopping;
};
void peer_start(struct peer *peer); /* after the first members were set */
void peer_stop(struct peer *peer);

/* ---- What tests have in common ---- */

struct ks_client;

struct world {
    char dir[64]; /* with ca.pem, client.pem, client.key, foreign.pem */
    struct pki ca, server, client, foreign_ca, foreign_server;
};
void world_start(struct world *world); /* aborts the program if it cannot */
void world_stop(struct world *world);

/* A client for these peers (NULL ends the list), with settings "name=value" separated by blanks. */
struct ks_client *world_client(const struct world *world, const char *settings, struct peer *const *peers);
#define CLIENT(world, settings, ...) world_client((world), (settings), (struct peer *const[]){__VA_ARGS__, NULL})
