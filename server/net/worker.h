/*
 * A net worker: the process that faces the network. It accepts connections, does TLS, finds where requests end, and
 * passes them with the peer's identity to the vault as frames (server/frame.h). It understands of KMIP the first eight
 * bytes of a message; over HTTPS (conn_http.c) it also turns JSON and XML into TTLV, and answers back. It holds no key
 * but the TLS server's own, and no file.
 *
 * Set-up and running are two steps so that the sandbox stands between them:
 *
 *     KS_TRY(net_worker_new(&settings, &worker, diag));
 *     enter the sandbox; say "ready"
 *     net_worker_run(worker);                 // until drained, or until the vault is gone
 *
 * SIGTERM: accept and read no more, finish what is in flight, end (at the latest after stop_timeout).
 * SIGUSR1: accept no more, close connections as they become idle, end (at the latest after reload_timeout).
 */
#pragma once

#include "base/mem.h"
#include "server/config.h"

struct net_worker;

struct net_settings {
    const struct server_config *config; /* kept by reference */
    size_t n_workers;                   /* that share the limit of connections */
    const int *listeners;               /* listening sockets, shared with the other workers */
    const bool *https;                  /* for each, whether HTTP is spoken there; NULL: nowhere */
    size_t n_listeners;
    int vault;                           /* the worker's end of its socket pair; taken over */
    struct ks_span certificate, key, ca; /* PEM; borrowed for the call */
};

int net_worker_new(const struct net_settings *settings, struct net_worker **ret, struct ks_diag *diag) KS_MUST_CHECK;
void net_worker_free(struct net_worker *worker);

/* 0: drained. KS_E_CLOSED: the vault is gone; KS_E_MALFORMED: it sent what is no frame. */
int net_worker_run(struct net_worker *worker) KS_MUST_CHECK;
