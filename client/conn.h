/* One connection to one server: connect, one request message, one response message. */
#pragma once

#include "client/tls.h"

struct conn {
    struct tls *tls;
    int fd;
    bool used;             /* something was answered on it */
    int64_t idle_since_ms; /* while it lies in the pool */
    struct conn *next;
};

/* Looks up, connects, shakes hands. name: what to verify in the certificate. Errors as tls_connect, and KS_E_CONNECT.
 */
int conn_open(const struct client_address *address, const char *name, struct tls_context *context,
              const struct client_wait *wait, struct conn **ret, struct ks_error *error) KS_MUST_CHECK;
void conn_close(struct conn *conn); /* accepts NULL */
static inline void
conn_closep(struct conn **conn)
{
    conn_close(*conn);
}

/* Appends the next message, which has to begin with that tag, at most max bytes of it. */
int conn_receive(struct conn *conn, uint32_t tag, size_t max, const struct client_wait *wait, struct ks_buf *ret,
                 struct ks_error *error) KS_MUST_CHECK;

/*
 * Sends a request in TTLV and appends the response to ret, at most max_response bytes of it. After a failure the
 * connection is good for nothing; ret_processed is false if the server cannot have carried the request out, because it
 * never had all of it or refused the connection before looking.
 */
int conn_exchange(struct conn *conn, struct ks_span request, size_t max_response, const struct client_wait *wait,
                  struct ks_buf *ret, bool *ret_processed, struct ks_error *error) KS_MUST_CHECK;
