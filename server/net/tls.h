/*
 * The server's side of TLS, in memory: bytes from the network are fed in, bytes for the network come out in a buffer.
 * No socket is touched here, so one recv and one send serve any number of records.
 *
 *     net_tls_feed(conn, received, &out);
 *     if (!net_tls_is_open(conn)) switch (net_tls_handshake(conn)) ...
 *     while ((n = net_tls_read(conn, plain, sizeof(plain), &result)) > 0) ...
 *     net_tls_write(conn, answer, &out); send(fd, out.data, out.len)
 *
 * TLS 1.3, or 1.2 with ECDHE and AEAD where the configuration allows it. Every peer presents a certificate that
 * chains to the instance's authority, except one that asks for the ALPN protocol TLS_ALPN_ENROLL: it is anonymous.
 * No tickets: sessions are resumed from this process's memory, which costs a quarter of a stateless ticket.
 */
#pragma once

#include "base/mem.h"
#include "server/identity.h"

#define TLS_ALPN_ENROLL "keystead-enroll/1"
#define TLS_ALPN_HTTP "http/1.1"

enum { TLS_RECORD_MAX = 16384 };

struct tls_server;
struct tls_conn;

struct tls_settings {
    struct ks_span certificate, key, ca; /* PEM; borrowed for the call */
    const char *min_version;             /* "1.2", "1.3" */
};

/* KS_E_TLS: diag says which of the files is unusable and why. */
int net_tls_server_new(const struct tls_settings *settings, struct tls_server **ret,
                       struct ks_diag *diag) KS_MUST_CHECK;
/* The other side of it, with the server's certificate: connections that the notifier makes. The peer shows a
 * certificate of the authority, of whatever purpose; whose it is has to be looked at (net_tls_identity). */
int net_tls_client_new(const struct tls_settings *settings, struct tls_server **ret,
                       struct ks_diag *diag) KS_MUST_CHECK;
void net_tls_server_free(struct tls_server *server);

enum tls_result {
    TLS_OK,
    TLS_WANT,   /* all input is used up; feed more */
    TLS_CLOSED, /* the peer said good-bye */
    TLS_FAILED, /* net_tls_error has the reason; the output may hold an alert for the peer */
};

/* https: ALPN is answered with http/1.1, and there is no enrolment. */
int net_tls_conn_new(struct tls_server *server, bool https, struct tls_conn **ret) KS_MUST_CHECK;
void net_tls_conn_free(struct tls_conn *conn);

/* Input is borrowed until a call returns TLS_WANT. Handshake messages, alerts and key updates are appended to out. */
void net_tls_feed(struct tls_conn *conn, struct ks_span input, struct ks_buf *out);

enum tls_result net_tls_handshake(struct tls_conn *conn);
bool net_tls_is_open(const struct tls_conn *conn);
bool net_tls_is_anonymous(const struct tls_conn *conn);

/* Up to len bytes of plaintext. With 0 bytes *ret_result says why. */
size_t net_tls_read(struct tls_conn *conn, void *ret, size_t len, enum tls_result *ret_result);

/* Encrypts text as one write: up to TLS_RECORD_MAX bytes are one record. Appends to out. */
int net_tls_write(struct tls_conn *conn, struct ks_span text, struct ks_buf *out) KS_MUST_CHECK;

/* Appends a close_notify alert to out. */
void net_tls_close(struct tls_conn *conn, struct ks_buf *out);

/* Who the peer is, address excepted; spans lie in the arena. KS_E_TLS: the certificate ran out meanwhile. */
int net_tls_identity(struct tls_conn *conn, struct ks_arena *arena, struct identity *ret) KS_MUST_CHECK;

/* Why the last call on this thread failed: "no certificate returned", ... */
const char *net_tls_error(struct tls_conn *conn);
