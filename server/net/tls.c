#include "server/net/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/text.h"

enum {
    SESSIONS_MAX = 1024,      /* each keeps the peer's certificate, some KiB */
    SESSION_SECONDS = 600,    /* a resumed session skips the chain's verification for so long */
    CERT_LIST_MAX = 32 << 10, /* bytes of certificates that a stranger may send */
    CHAIN_DEPTH = 4,
};

struct tls_server {
    SSL_CTX *ctx;
    BIO_METHOD *method;
    bool connects; /* the notifier's: connections are made, not taken */
};

struct tls_conn {
    SSL *ssl;
    const uint8_t *in;
    size_t in_len;
    struct ks_buf *out;
    bool anonymous, https, open;
    char error[160];
};

/* The BIO between OpenSSL and our buffers */

static int
bio_read(BIO *bio, char *ret, int len)
{
    struct tls_conn *conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (conn->in_len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    const size_t n = (size_t)len < conn->in_len ? (size_t)len : conn->in_len;
    memcpy(ret, conn->in, n);
    conn->in += n;
    conn->in_len -= n;
    return (int)n;
}

static int
bio_write(BIO *bio, const char *data, int len)
{
    struct tls_conn *conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (conn->out == NULL || ks_buf_add(conn->out, data, (size_t)len) != 0)
        return -1;
    return len;
}

static long
bio_ctrl(BIO *bio, int cmd, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *
make_method(void)
{
    const int type = BIO_get_new_index();
    BIO_METHOD *method = type == -1 ? NULL : BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "buffers");
    if (method == NULL)
        return NULL;
    if (BIO_meth_set_read(method, bio_read) != 1 || BIO_meth_set_write(method, bio_write) != 1 ||
        BIO_meth_set_ctrl(method, bio_ctrl) != 1) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* Setting up */

static int
fail(struct ks_diag *diag, const char *what)
{
    const unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return ks_fail(diag, KS_E_TLS, "%s: %s", what, reason != NULL ? reason : "not usable");
}

static void
freep_bio(BIO **bio)
{
    (void)BIO_free(*bio);
}

static void
freep_x509(X509 **cert)
{
    X509_free(*cert);
}

static void
freep_pkey(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

/* Without it OpenSSL would ask the terminal for the passphrase of an encrypted key. */
static int
no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static BIO *
open_pem(struct ks_span pem)
{
    return pem.len > 0 && pem.len <= (1 << 20) ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
}

static bool
is_end_of_pem(void)
{
    const unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static int
load_certificate(SSL_CTX *ctx, struct ks_span pem, struct ks_diag *diag)
{
    KS_CLEANUP(freep_bio) BIO *bio = open_pem(pem);
    KS_CLEANUP(freep_x509) X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
    if (cert == NULL || SSL_CTX_use_certificate(ctx, cert) != 1)
        return fail(diag, "the server's certificate");
    for (;;) {
        X509 *more = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        if (more == NULL)
            break;
        if (SSL_CTX_add0_chain_cert(ctx, more) != 1) {
            X509_free(more);
            return fail(diag, "the chain of the server's certificate");
        }
    }
    if (!is_end_of_pem())
        return fail(diag, "the chain of the server's certificate");
    ERR_clear_error();
    return 0;
}

static int
load_key(SSL_CTX *ctx, struct ks_span pem, struct ks_diag *diag)
{
    KS_CLEANUP(freep_bio) BIO *bio = open_pem(pem);
    KS_CLEANUP(freep_pkey)
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    if (key == NULL || SSL_CTX_use_PrivateKey(ctx, key) != 1)
        return fail(diag, "the server's private key");
    if (SSL_CTX_check_private_key(ctx) != 1)
        return fail(diag, "the server's private key does not belong to its certificate");
    return 0;
}

static int
load_ca(SSL_CTX *ctx, struct ks_span pem, struct ks_diag *diag)
{
    KS_CLEANUP(freep_bio) BIO *bio = open_pem(pem);
    size_t n = 0;
    while (bio != NULL) {
        KS_CLEANUP(freep_x509) X509 *cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        if (cert == NULL)
            break;
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) != 1 || SSL_CTX_add_client_CA(ctx, cert) != 1)
            return fail(diag, "the certificate of the authority");
        n++;
    }
    if (n == 0 || !is_end_of_pem())
        return fail(diag, "the certificate of the authority");
    ERR_clear_error();
    return 0;
}

/* Whether a list of protocols (RFC 7301, 3.1) names one. */
static bool
alpn_has(struct ks_span list, const char *protocol)
{
    struct ks_cursor c = KS_CURSOR(list);
    while (ks_cursor_left(&c) != 0) {
        const uint8_t len = ks_cursor_u8(&c);
        const struct ks_span name = ks_cursor_take(&c, len);
        if (c.err != 0)
            return false;
        if (ks_span_is(name, protocol))
            return true;
    }
    return false;
}

/* The same of the ALPN extension of a ClientHello, where the list's length stands in front. */
static bool
extension_has(struct ks_span extension, const char *protocol)
{
    struct ks_cursor c = KS_CURSOR(extension);
    const size_t high = ks_cursor_u8(&c);
    const size_t total = high << 8 | ks_cursor_u8(&c);
    return c.err == 0 && total == ks_cursor_left(&c) && alpn_has(ks_cursor_take(&c, total), protocol);
}

static const unsigned char session_peers[] = "keystead", session_enroll[] = "keystead-enroll";

static int
on_client_hello(SSL *ssl, int *alert, void *arg)
{
    (void)arg;
    struct tls_conn *conn = SSL_get_app_data(ssl);
    const unsigned char *data;
    size_t len;
    if (conn->https ||
        SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &len) != 1 ||
        !extension_has(KS_SPAN(data, len), TLS_ALPN_ENROLL))
        return SSL_CLIENT_HELLO_SUCCESS;
    /* A session made without a certificate must not be resumed by a peer that needs one: another session context. */
    if (SSL_set_session_id_context(ssl, session_enroll, sizeof(session_enroll) - 1) != 1) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    /* It knows the authority by a fingerprint alone, so it is shown the certificate. Others have it already. */
    (void)SSL_clear_mode(ssl, SSL_MODE_NO_AUTO_CHAIN);
    conn->anonymous = true;
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int
on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *in, unsigned in_len,
        void *arg)
{
    (void)arg;
    const struct tls_conn *conn = SSL_get_app_data(ssl);
    const char *own = conn->anonymous ? TLS_ALPN_ENROLL : TLS_ALPN_HTTP;
    if ((!conn->anonymous && !conn->https) || !alpn_has(KS_SPAN(in, in_len), own))
        return SSL_TLSEXT_ERR_NOACK;
    *ret = (const unsigned char *)own;
    *ret_len = (unsigned char)strlen(own);
    return SSL_TLSEXT_ERR_OK;
}

static int
set_rules(SSL_CTX *ctx, const struct tls_settings *settings)
{
    const int oldest = strcmp(settings->min_version, "1.3") == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (SSL_CTX_set_min_proto_version(ctx, oldest) != 1 ||
        SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK") != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256") !=
            1 ||
        SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") != 1 ||
        SSL_CTX_set_session_id_context(ctx, session_peers, sizeof(session_peers) - 1) != 1 ||
        SSL_CTX_set_num_tickets(ctx, 1) != 1)
        return KS_E_TLS;
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                       SSL_OP_CLEANSE_PLAINTEXT);
    /* Idle connections hold no record buffers; the chain is what the file has, not looked for in every handshake. */
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
    (void)SSL_CTX_sess_set_cache_size(ctx, SESSIONS_MAX);
    (void)SSL_CTX_set_timeout(ctx, SESSION_SECONDS);
    SSL_CTX_set_max_cert_list(ctx, CERT_LIST_MAX);
    SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    return 0;
}

/* Who listens shows a client's certificate, and is known by it alone: there is no name to compare. */
static int
set_client_rules(SSL_CTX *ctx, const struct tls_settings *settings)
{
    const int oldest = strcmp(settings->min_version, "1.3") == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (SSL_CTX_set_min_proto_version(ctx, oldest) != 1 ||
        SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK") != 1 ||
        SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") != 1 || SSL_CTX_set_purpose(ctx, X509_PURPOSE_ANY) != 1)
        return KS_E_TLS;
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CLEANSE_PLAINTEXT);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ctx, CERT_LIST_MAX);
    SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return 0;
}

static void
freep_server(struct tls_server **server)
{
    net_tls_server_free(*server);
}

static int
new_context(const struct tls_settings *settings, bool connects, struct tls_server **ret, struct ks_diag *diag)
{
    KS_CLEANUP(freep_server) struct tls_server *server = NULL;
    server = calloc(1, sizeof(*server));
    if (server == NULL)
        return ks_fail(diag, KS_E_NOMEM, "TLS: %s", ks_err_text(KS_E_NOMEM));
    server->method = make_method();
    server->connects = connects;
    server->ctx = SSL_CTX_new(connects ? TLS_client_method() : TLS_server_method());
    if (server->method == NULL || server->ctx == NULL ||
        (connects ? set_client_rules(server->ctx, settings) : set_rules(server->ctx, settings)) != 0)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the cleanup attribute frees it */
        return fail(diag, "TLS cannot be set up"); /* cppcheck-suppress memleak ; the same */
    KS_TRY(load_certificate(server->ctx, settings->certificate, diag));
    KS_TRY(load_key(server->ctx, settings->key, diag));
    KS_TRY(load_ca(server->ctx, settings->ca, diag));
    *ret = server;
    server = NULL; /* handed over */
    return 0;
}

int
net_tls_server_new(const struct tls_settings *settings, struct tls_server **ret, struct ks_diag *diag)
{
    return new_context(settings, false, ret, diag);
}

int
net_tls_client_new(const struct tls_settings *settings, struct tls_server **ret, struct ks_diag *diag)
{
    return new_context(settings, true, ret, diag);
}

void
net_tls_server_free(struct tls_server *server)
{
    if (server == NULL)
        return;
    SSL_CTX_free(server->ctx);
    BIO_meth_free(server->method);
    free(server);
}

/* Connections */

int
net_tls_conn_new(struct tls_server *server, bool https, struct tls_conn **ret)
{
    struct tls_conn *conn = calloc(1, sizeof(*conn));
    BIO *bio = BIO_new(server->method);
    if (conn != NULL)
        conn->ssl = SSL_new(server->ctx);
    if (conn == NULL || conn->ssl == NULL || bio == NULL) {
        (void)BIO_free(bio);
        net_tls_conn_free(conn);
        ERR_clear_error();
        return KS_E_NOMEM;
    }
    conn->https = https;
    BIO_set_data(bio, conn);
    BIO_set_init(bio, 1);
    SSL_set_bio(conn->ssl, bio, bio);
    (void)SSL_set_app_data(conn->ssl, conn);
    if (server->connects)
        SSL_set_connect_state(conn->ssl);
    else
        SSL_set_accept_state(conn->ssl);
    *ret = conn;
    return 0;
}

void
net_tls_conn_free(struct tls_conn *conn)
{
    if (conn == NULL)
        return;
    SSL_free(conn->ssl);
    free(conn);
}

void
net_tls_feed(struct tls_conn *conn, struct ks_span input, struct ks_buf *out)
{
    conn->in = input.data;
    conn->in_len = input.len;
    conn->out = out;
}

/* Why a call returned no success; the reason is kept, and OpenSSL's queue left empty. */
static enum tls_result
explain(struct tls_conn *conn, int returned)
{
    const int why = SSL_get_error(conn->ssl, returned);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_CLIENT_HELLO_CB)
        return TLS_WANT;
    if (why == SSL_ERROR_ZERO_RETURN)
        return TLS_CLOSED;
    const unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    const long verified = SSL_get_verify_result(conn->ssl);
    if (verified != X509_V_OK)
        (void)snprintf(conn->error, sizeof(conn->error), "%s: %s", reason != NULL ? reason : "certificate",
                       X509_verify_cert_error_string(verified));
    else
        (void)snprintf(conn->error, sizeof(conn->error), "%s", reason != NULL ? reason : "broken off");
    ERR_clear_error();
    return TLS_FAILED;
}

enum tls_result
net_tls_handshake(struct tls_conn *conn)
{
    const int rc = SSL_do_handshake(conn->ssl);
    if (rc != 1)
        return explain(conn, rc);
    conn->open = true;
    return TLS_OK;
}

bool
net_tls_is_open(const struct tls_conn *conn)
{
    return conn->open;
}

bool
net_tls_is_anonymous(const struct tls_conn *conn)
{
    return conn->anonymous;
}

size_t
net_tls_read(struct tls_conn *conn, void *ret, size_t len, enum tls_result *ret_result)
{
    size_t n = 0;
    const int rc = SSL_read_ex(conn->ssl, ret, len, &n);
    *ret_result = rc == 1 ? TLS_OK : explain(conn, rc);
    return rc == 1 ? n : 0;
}

int
net_tls_write(struct tls_conn *conn, struct ks_span text, struct ks_buf *out)
{
    size_t n = 0;
    conn->out = out;
    if (text.len == 0)
        return 0;
    const int rc = SSL_write_ex(conn->ssl, text.data, text.len, &n);
    if (rc == 1 && n == text.len)
        return 0;
    (void)explain(conn, rc);
    return KS_E_TLS;
}

void
net_tls_close(struct tls_conn *conn, struct ks_buf *out)
{
    conn->out = out;
    if (!conn->open || SSL_get_shutdown(conn->ssl) & SSL_SENT_SHUTDOWN)
        return;
    (void)SSL_shutdown(conn->ssl);
    ERR_clear_error();
}

const char *
net_tls_error(struct tls_conn *conn)
{
    return conn->error[0] != '\0' ? conn->error : "unknown";
}

/* Who it is */

/* The last Common Name as UTF-8; empty if there is none or it has a NUL inside. */
static int
common_name(const X509 *cert, struct ks_arena *arena, struct ks_span *ret)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int last = -1;
    for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;)
        last = i;
    if (last < 0)
        return 0;
    unsigned char *utf8 = NULL;
    const int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
    int rc = 0;
    if (len > 0 && memchr(utf8, 0, (size_t)len) == NULL)
        rc = ks_arena_span(arena, KS_SPAN(utf8, (size_t)len), ret);
    OPENSSL_free(utf8);
    ERR_clear_error();
    return rc;
}

static int
subject_text(const X509 *cert, struct ks_arena *arena, struct ks_span *ret)
{
    KS_CLEANUP(freep_bio) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (bio == NULL || X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) < 0)
        return KS_E_NOMEM;
    long len = BIO_get_mem_data(bio, &text);
    if (len > 1024) /* for people to read; the fingerprint is what counts */
        len = 1024;
    return ks_arena_span(arena, KS_SPAN(text, len > 0 ? (size_t)len : 0), ret);
}

static int
serial_text(const X509 *cert, struct ks_arena *arena, struct ks_span *ret)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    KS_CLEANUP(ks_buf_done) struct ks_buf hex = KS_BUF(128);
    KS_TRY(ks_hex_add(&hex, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial)));
    return ks_arena_span(arena, ks_buf_span(&hex), ret);
}

int
net_tls_identity(struct tls_conn *conn, struct ks_arena *arena, struct identity *ret)
{
    struct identity who = {0};
    char text[96];
    const int n = snprintf(text, sizeof(text), "%s %s%s", SSL_get_version(conn->ssl), SSL_get_cipher_name(conn->ssl),
                           SSL_session_reused(conn->ssl) ? " resumed" : "");
    KS_TRY(ks_arena_span(arena, KS_SPAN(text, n > 0 && n < (int)sizeof(text) ? (size_t)n : 0), &who.tls));
    if (!conn->anonymous) {
        const X509 *cert = SSL_get0_peer_certificate(conn->ssl);
        unsigned len = sizeof(who.fingerprint);
        /* A resumed session was verified when it was made: its dates are looked at again. */
        if (cert == NULL || SSL_get_verify_result(conn->ssl) != X509_V_OK ||
            X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0 ||
            X509_digest(cert, EVP_sha256(), who.fingerprint, &len) != 1 || len != sizeof(who.fingerprint)) {
            ERR_clear_error();
            return KS_E_TLS;
        }
        KS_TRY(common_name(cert, arena, &who.name));
        KS_TRY(subject_text(cert, arena, &who.subject));
        KS_TRY(serial_text(cert, arena, &who.serial));
        who.authenticated = true;
    }
    *ret = who;
    return 0;
}
