#include "client/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/file.h"
#include "client/alloc.h"
#include "client/error.h"
#include "client/resolve.h"

enum { TTLV_HEADER = 8, READ_CHUNK = 16384 };

/* Takes a descriptor out of its cleanup. */
static int
keep(int *fd)
{
    const int kept = *fd;
    *fd = -1;
    return kept;
}

/* A TCP connection to one address. */
static int
connect_one(const struct addrinfo *to, const struct client_wait *wait, int *ret, struct ks_error *error)
{
    KS_CLEANUP(ks_closep)
    int fd = socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol);
    char text[128];
    if (fd < 0)
        return client_fail(error, KS_E_CONNECT, "cannot make a socket: %s", strerror_r(errno, text, sizeof(text)));
    int failed = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    if (failed == EINPROGRESS || failed == EINTR) {
        const int rc = client_wait_fd(wait, fd, POLLOUT);
        if (rc != 0)
            return client_fail(error, rc, "connecting: %s", ks_err_text(rc));
        socklen_t len = sizeof(failed);
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len) != 0)
            failed = errno;
    }
    if (failed != 0)
        return client_fail(error, KS_E_CONNECT, "cannot connect: %s%s", strerror_r(failed, text, sizeof(text)),
                           failed == ECONNREFUSED ? " (does the server run, and on this port?)" : "");
    const int on = 1; /* both are for speed and long silences: without them it still works */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    *ret = keep(&fd);
    return 0;
}

/* The first address that takes the connection; each gets its share of the time that is left. */
static int
connect_any(const struct client_resolved *resolved, const struct client_wait *wait, int *ret, struct ks_error *error)
{
    int64_t n = 0;
    for (const struct addrinfo *to = client_resolved_first(resolved); to != NULL; to = to->ai_next)
        n++;
    int rc = client_fail(error, KS_E_CONNECT, "cannot connect: the host has no address");
    for (const struct addrinfo *to = client_resolved_first(resolved); to != NULL; to = to->ai_next, n--) {
        const struct client_wait share = client_wait_within(wait, client_wait_left(wait) / (n > 0 ? n : 1));
        rc = connect_one(to, &share, ret, error);
        if (rc == 0 || rc == KS_E_CANCELLED)
            return rc;
    }
    return rc;
}

int
conn_open(const struct client_address *address, const char *name, struct tls_context *context,
          const struct client_wait *wait, struct conn **ret, struct ks_error *error)
{
    KS_CLEANUP(conn_closep) struct conn *conn = client_alloc(sizeof(*conn));
    if (conn == NULL)
        return client_fail(error, KS_E_NOMEM, "out of memory");
    conn->fd = -1;
    KS_CLEANUP(client_resolved_freep) struct client_resolved *resolved = NULL;
    KS_TRY(client_resolve(address, wait, &resolved, error));
    KS_TRY(connect_any(resolved, wait, &conn->fd, error));
    KS_TRY(tls_connect(context, conn->fd, name, wait, &conn->tls, error));
    *ret = conn;
    conn = NULL;
    return 0;
}

void
conn_close(struct conn *conn)
{
    if (conn == NULL)
        return;
    tls_free(conn->tls);
    ks_closep(&conn->fd);
    free(conn);
}

/* Reads until buf holds len bytes. Memory grows with what has come, not with what was announced. */
static int
read_until(struct conn *conn, struct ks_buf *buf, size_t len, const struct client_wait *wait, struct ks_error *error)
{
    while (buf->len < len) {
        const size_t wanted = len - buf->len < READ_CHUNK ? len - buf->len : READ_CHUNK;
        if (ks_buf_reserve(buf, wanted) != 0)
            return client_fail(error, buf->err, "the answer: %s", ks_err_text(buf->err));
        size_t n = 0;
        KS_TRY(tls_read(conn->tls, buf->data + buf->len, wanted, wait, &n, error));
        buf->len += n;
    }
    return 0;
}

int
conn_receive(struct conn *conn, uint32_t tag, size_t max_response, const struct client_wait *wait, struct ks_buf *ret,
             struct ks_error *error)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(max_response);
    KS_TRY(read_until(conn, &buf, TTLV_HEADER, wait, error));
    if (ks_be32(buf.data) != (tag << 8 | KMIP_TYPE_STRUCTURE))
        return client_fail(error, KS_E_MALFORMED, "what came is no KMIP %s message; is this a KMIP server?",
                           tag == KMIP_TAG_RESPONSE_MESSAGE ? "response" : "request");
    const size_t len = ks_be32(buf.data + 4);
    if (len > max_response - TTLV_HEADER)
        return client_fail(error, KS_E_LIMIT,
                           "the answer has %zu bytes, more than max_response (%zu); ask for less, or raise it", len,
                           max_response);
    KS_TRY(read_until(conn, &buf, TTLV_HEADER + len, wait, error));
    if (ks_buf_add_span(ret, ks_buf_span(&buf)) != 0)
        return client_fail(error, ret->err, "the answer: %s", ks_err_text(ret->err));
    return 0;
}

int
conn_exchange(struct conn *conn, struct ks_span request, size_t max_response, const struct client_wait *wait,
              struct ks_buf *ret, bool *ret_processed, struct ks_error *error)
{
    bool all_sent = false;
    int rc = tls_write(conn->tls, request, wait, &all_sent, error);
    if (rc == 0)
        rc = conn_receive(conn, KMIP_TAG_RESPONSE_MESSAGE, max_response, wait, ret, error);
    /*
     * An alert about this client before the first answer says that the server did not take the connection (TLS 1.3).
     * Nothing else does: whoever is on the way can spoil the answer to a request that was carried out.
     */
    *ret_processed = all_sent && !(rc == KS_E_TLS && !conn->used && tls_was_refused(conn->tls));
    conn->used = true;
    return rc;
}
