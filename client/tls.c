#include "client/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "client/alloc.h"
#include "client/error.h"

#define ENROLL_ALPN "\x11keystead-enroll/1"

struct tls_context {
    SSL_CTX *ctx;
    BIO_METHOD *socket; /* read and write that cannot raise SIGPIPE */
    uint8_t ca_pin[TLS_CA_PIN_LEN];
    bool enroll;
    bool has_certificate;
};

struct tls {
    SSL *ssl;
    int fd;
    const struct tls_context *context;
    bool refused; /* by an alert about who we are */
};

/* ---- The socket, as a BIO whose data is the file descriptor ---- */

static int
bio_result(BIO *bio, ssize_t n, int retry_flag)
{
    BIO_clear_retry_flags(bio);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_flags(bio, retry_flag | BIO_FLAGS_SHOULD_RETRY);
    return (int)n;
}

static int
bio_write(BIO *bio, const char *data, int len)
{
    const int *fd = BIO_get_data(bio);
    return bio_result(bio, send(*fd, data, (size_t)len, MSG_NOSIGNAL), BIO_FLAGS_WRITE);
}

static int
bio_read(BIO *bio, char *data, int len)
{
    const int *fd = BIO_get_data(bio);
    return bio_result(bio, recv(*fd, data, (size_t)len, 0), BIO_FLAGS_READ);
}

static long
bio_ctrl(BIO *bio, int command, long number, void *arg)
{
    (void)bio;
    (void)number;
    (void)arg;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *
new_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "keystead socket");
    if (method == NULL || BIO_meth_set_write(method, bio_write) != 1 || BIO_meth_set_read(method, bio_read) != 1 ||
        BIO_meth_set_ctrl(method, bio_ctrl) != 1) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* ---- Errors ---- */

/* The newest entry of OpenSSL's queue as text, and the queue emptied. */
static const char *
openssl_text(char text[256])
{
    const unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    snprintf(text, 256, "%s", reason != NULL ? reason : "no reason given");
    ERR_clear_error();
    return text;
}

static int
fail_openssl(struct ks_error *error, int code, const char *what)
{
    char text[256];
    return client_fail(error, code, "%s: %s", what, openssl_text(text));
}

/* The peer's fatal alert as its number (RFC 8446, 6), -1 if the last error is something else. */
static int
peer_alert(void)
{
    const unsigned long code = ERR_peek_last_error();
    const int reason = ERR_GET_REASON(code);
    if (ERR_GET_LIB(code) != ERR_LIB_SSL || reason < SSL_AD_REASON_OFFSET || reason > SSL_AD_REASON_OFFSET + 255)
        return -1;
    return reason - SSL_AD_REASON_OFFSET;
}

static int
fail_alert(struct tls *tls, int alert, struct ks_error *error)
{
    const char *hint = "";
    tls->refused = true;
    switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
        hint = "; it does not accept this client's certificate: is it from that server's CA?";
        break;
    case SSL_AD_CERTIFICATE_REVOKED:
        hint = "; this client's certificate was revoked";
        break;
    case SSL_AD_CERTIFICATE_EXPIRED:
        hint = "; this client's certificate has expired: enrol again";
        break;
    case TLS13_AD_CERTIFICATE_REQUIRED:
    case SSL_AD_HANDSHAKE_FAILURE:
        hint = tls->context->has_certificate ? "" : "; no client certificate is configured (certificate, key)";
        break;
    default:
        tls->refused = false;
        break;
    }
    ERR_clear_error();
    return client_fail(error, KS_E_TLS, "the server broke off with the TLS alert \"%s\"%s",
                       SSL_alert_desc_string_long(alert), hint);
}

/* ---- What connections have in common ---- */

void
tls_context_free(struct tls_context *context)
{
    if (context == NULL)
        return;
    SSL_CTX_free(context->ctx);
    BIO_meth_free(context->socket);
    free(context);
}

static void
context_freep(struct tls_context **context)
{
    tls_context_free(*context);
}

static int
new_context(struct tls_context **ret, struct ks_error *error)
{
    KS_CLEANUP(context_freep) struct tls_context *context = client_alloc(sizeof(*context));
    if (context == NULL)
        return client_fail(error, KS_E_NOMEM, "out of memory");
    ERR_clear_error();
    context->socket = new_bio_method();
    context->ctx = SSL_CTX_new(TLS_client_method());
    if (context->socket == NULL || context->ctx == NULL ||
        SSL_CTX_set_min_proto_version(context->ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context->ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL") != 1)
        return fail_openssl(error, KS_E_TLS, "cannot set up TLS");
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(context->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CLEANSE_PLAINTEXT);
    X509_VERIFY_PARAM_set_hostflags(SSL_CTX_get0_param(context->ctx), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    *ret = context;
    context = NULL;
    return 0;
}

static void
bio_freep(BIO **bio)
{
    BIO_free(*bio);
}

static void
x509_freep(X509 **cert)
{
    X509_free(*cert);
}

static void
pkey_freep(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

/* Asked for the passphrase of an encrypted key: there is none, and nobody is asked. */
static int
no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static int
read_pem(const char *path, bool is_private, const char *what, struct ks_buf *text, BIO **ret, struct ks_error *error)
{
    struct ks_diag diag = {0};
    const int rc = is_private ? ks_file_read_private(path, text, &diag) : ks_file_read(path, text, &diag);
    if (rc != 0)
        return client_fail_diag(error, &diag, rc, what);
    if (text->len == 0)
        return client_fail(error, KS_E_CONFIG, "%s: %s is empty", what, path);
    *ret = BIO_new_mem_buf(text->data, (int)text->len);
    return *ret != NULL ? 0 : client_fail(error, KS_E_NOMEM, "out of memory");
}

/* Whether reading PEM blocks ended because there were no more, rather than at a damaged one. */
static bool
at_end_of_pem(void)
{
    const unsigned long code = ERR_peek_last_error();
    const bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (end)
        ERR_clear_error();
    return end;
}

static int
load_ca(struct tls_context *context, const char *path, struct ks_error *error)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(1 << 20);
    KS_CLEANUP(bio_freep) BIO *bio = NULL;
    KS_TRY(read_pem(path, false, "CA certificate", &text, &bio, error));
    X509_STORE *store = SSL_CTX_get_cert_store(context->ctx);
    for (size_t n = 0;; n++) {
        KS_CLEANUP(x509_freep) X509 *cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        if (cert == NULL && at_end_of_pem() && n > 0)
            return 0;
        if (cert == NULL && n == 0)
            return client_fail(error, KS_E_CONFIG, "CA certificate: no PEM certificate in %s", path);
        if (cert == NULL || X509_STORE_add_cert(store, cert) != 1) {
            char reason[256];
            return client_fail(error, KS_E_CONFIG, "CA certificate: certificate %zu in %s is damaged: %s", n + 1, path,
                               openssl_text(reason));
        }
    }
}

static int
load_certificate(struct tls_context *context, const char *path, struct ks_error *error)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(1 << 20);
    KS_CLEANUP(bio_freep) BIO *bio = NULL;
    KS_TRY(read_pem(path, false, "client certificate", &text, &bio, error));
    for (size_t n = 0;; n++) {
        KS_CLEANUP(x509_freep) X509 *cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        if (cert == NULL && at_end_of_pem() && n > 0)
            return 0;
        if (cert == NULL && n == 0)
            return client_fail(error, KS_E_CONFIG, "client certificate: no PEM certificate in %s", path);
        if (cert == NULL ||
            (n == 0 ? SSL_CTX_use_certificate(context->ctx, cert) : SSL_CTX_add1_chain_cert(context->ctx, cert)) != 1) {
            char reason[256];
            return client_fail(error, KS_E_CONFIG, "client certificate: certificate %zu in %s cannot be used: %s",
                               n + 1, path, openssl_text(reason));
        }
    }
}

static int
load_key(struct tls_context *context, const char *path, const char *certificate, struct ks_error *error)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(65536);
    KS_CLEANUP(bio_freep) BIO *bio = NULL;
    KS_TRY(read_pem(path, true, "client key", &text, &bio, error));
    KS_CLEANUP(pkey_freep) EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    char reason[256];
    if (key == NULL)
        return client_fail(error, KS_E_CONFIG, "client key: no unencrypted PEM key in %s: %s", path,
                           openssl_text(reason));
    if (SSL_CTX_use_PrivateKey(context->ctx, key) != 1)
        return client_fail(error, KS_E_CONFIG, "client key: %s is not the key of %s: %s", path, certificate,
                           openssl_text(reason));
    return 0;
}

int
tls_context_new(const struct ks_client_config *config, struct tls_context **ret, struct ks_error *error)
{
    if (config->ca == NULL)
        return client_fail(error, KS_E_CONFIG, "no CA certificate is configured (ca): no server could be trusted");
    if ((config->certificate == NULL) != (config->key == NULL))
        return client_fail(error, KS_E_CONFIG, "certificate and key must be configured together");
    KS_CLEANUP(context_freep) struct tls_context *context = NULL;
    KS_TRY(new_context(&context, error));
    KS_TRY(load_ca(context, config->ca, error));
    if (config->certificate != NULL) {
        KS_TRY(load_certificate(context, config->certificate, error));
        KS_TRY(load_key(context, config->key, config->certificate, error));
        context->has_certificate = true;
    }
    *ret = context;
    context = NULL;
    return 0;
}

/*
 * Verifies the peer's chain against the one CA certificate in it that has the known fingerprint. Names, dates and
 * purposes are checked as ever. Without such a certificate nothing is trusted.
 */
static int
verify_by_pin(X509_STORE_CTX *store, void *arg)
{
    const struct tls_context *context = arg;
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
    STACK_OF(X509) *trusted = sk_X509_new_null();
    if (trusted == NULL) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
        return 0;
    }
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *cert = sk_X509_value(chain, i);
        uint8_t digest[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        if (X509_check_ca(cert) == 1 && X509_digest(cert, EVP_sha256(), digest, &len) == 1 && len >= TLS_CA_PIN_LEN &&
            CRYPTO_memcmp(digest, context->ca_pin, TLS_CA_PIN_LEN) == 0)
            (void)sk_X509_push(trusted, cert); /* if not: nothing is trusted */
    }
    X509_STORE_CTX_set0_trusted_stack(store, trusted);
    const int ok = X509_verify_cert(store);
    sk_X509_free(trusted); /* the certificates are the chain's */
    return ok == 1;
}

int
tls_context_new_enroll(const uint8_t ca_pin[TLS_CA_PIN_LEN], struct tls_context **ret, struct ks_error *error)
{
    KS_CLEANUP(context_freep) struct tls_context *context = NULL;
    KS_TRY(new_context(&context, error));
    memcpy(context->ca_pin, ca_pin, TLS_CA_PIN_LEN);
    context->enroll = true;
    SSL_CTX_set_cert_verify_callback(context->ctx, verify_by_pin, context);
    if (SSL_CTX_set_alpn_protos(context->ctx, (const unsigned char *)ENROLL_ALPN, sizeof(ENROLL_ALPN) - 1) != 0)
        return fail_openssl(error, KS_E_TLS, "cannot set up TLS");
    *ret = context;
    context = NULL;
    return 0;
}

/* ---- One connection ---- */

void
tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    if (tls->ssl != NULL && SSL_is_init_finished(tls->ssl))
        (void)SSL_shutdown(tls->ssl); /* one attempt: the close_notify goes if the socket takes it */
    SSL_free(tls->ssl);
    ERR_clear_error();
    free(tls);
}

static void
tls_freep(struct tls **tls)
{
    tls_free(*tls);
}

static int
new_ssl(struct tls_context *context, struct tls *tls, const char *host, struct ks_error *error)
{
    tls->ssl = SSL_new(context->ctx);
    BIO *bio = BIO_new(context->socket);
    if (tls->ssl == NULL || bio == NULL) {
        BIO_free(bio);
        return client_fail(error, KS_E_NOMEM, "out of memory");
    }
    BIO_set_data(bio, &tls->fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    struct in6_addr number;
    X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
    const bool is_number = inet_pton(AF_INET, host, &number) == 1 || inet_pton(AF_INET6, host, &number) == 1;
    if (is_number ? X509_VERIFY_PARAM_set1_ip_asc(param, host) != 1
                  : X509_VERIFY_PARAM_set1_host(param, host, 0) != 1 || SSL_set_tlsext_host_name(tls->ssl, host) != 1)
        return fail_openssl(error, KS_E_TLS, "cannot set up TLS");
    return 0;
}

/* What to do after a call on the SSL that gave rc <= 0: 0 to repeat it, else a KS_E_* code with the message set. */
static int
after(struct tls *tls, int rc, const struct client_wait *wait, const char *doing, struct ks_error *error)
{
    const int saved_errno = errno;
    const int how = SSL_get_error(tls->ssl, rc);
    if (how == SSL_ERROR_WANT_READ || how == SSL_ERROR_WANT_WRITE) {
        const int code = client_wait_fd(wait, tls->fd, how == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
        return code == 0 ? 0 : client_fail(error, code, "%s: %s", doing, ks_err_text(code));
    }
    if (how == SSL_ERROR_ZERO_RETURN)
        return client_fail(error, KS_E_CLOSED, "%s: the server closed the connection", doing);
    const int alert = peer_alert();
    if (alert >= 0)
        return fail_alert(tls, alert, error);
    const unsigned long code = ERR_peek_last_error();
    char text[256];
    if (how == SSL_ERROR_SYSCALL && code == 0) {
        if (saved_errno == 0 || saved_errno == EAGAIN)
            return client_fail(error, KS_E_CLOSED, "%s: the server closed the connection", doing);
        return client_fail(error, KS_E_CLOSED, "%s: %s", doing, strerror_r(saved_errno, text, sizeof(text)));
    }
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        return client_fail(error, KS_E_CLOSED, "%s: the server closed the connection", doing);
    }
    const bool no_tls = ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER;
    return client_fail(error, KS_E_TLS, "%s: TLS error: %s%s", doing, openssl_text(text),
                       no_tls ? " (what answers there does not speak TLS: is this the right port?)" : "");
}

/* The server's certificate did not convince: why, and what to do. */
static int
fail_verify(const struct tls *tls, const char *host, long result, struct ks_error *error)
{
    ERR_clear_error();
    if (result == X509_V_ERR_HOSTNAME_MISMATCH || result == X509_V_ERR_IP_ADDRESS_MISMATCH)
        return client_fail(error, KS_E_TLS,
                           "the server's certificate is not for \"%s\"; correct the server's name, or its certificate",
                           host);
    const bool other_ca = result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
                          result == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
                          result == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT;
    if (tls->context->enroll && other_ca)
        return client_fail(error, KS_E_TLS,
                           "this is not the server that the token was made by: its CA has another fingerprint");
    return client_fail(error, KS_E_TLS, "the server's certificate was refused: %s%s",
                       X509_verify_cert_error_string(result),
                       other_ca ? " (is this another server than the configured authority is for?)" : "");
}

int
tls_connect(struct tls_context *context, int fd, const char *host, const struct client_wait *wait, struct tls **ret,
            struct ks_error *error)
{
    ERR_clear_error();
    KS_CLEANUP(tls_freep) struct tls *tls = client_alloc(sizeof(*tls));
    if (tls == NULL)
        return client_fail(error, KS_E_NOMEM, "out of memory");
    tls->fd = fd;
    tls->context = context;
    KS_TRY(new_ssl(context, tls, host, error));
    for (;;) {
        errno = 0;
        const int rc = SSL_connect(tls->ssl);
        if (rc == 1)
            break;
        const long result = SSL_get_verify_result(tls->ssl);
        if (SSL_get_error(tls->ssl, rc) == SSL_ERROR_SSL && result != X509_V_OK)
            return fail_verify(tls, host, result, error);
        KS_TRY(after(tls, rc, wait, "TLS handshake", error));
    }
    *ret = tls;
    tls = NULL;
    return 0;
}

int
tls_write(struct tls *tls, struct ks_span data, const struct client_wait *wait, bool *ret_all_sent,
          struct ks_error *error)
{
    ERR_clear_error();
    while (data.len > 0) {
        errno = 0;
        size_t n = 0;
        const int rc = SSL_write_ex(tls->ssl, data.data, data.len, &n);
        if (rc != 1) {
            KS_TRY(after(tls, 0, wait, "sending the request", error));
            continue;
        }
        data = KS_SPAN(data.data + n, data.len - n);
    }
    *ret_all_sent = true;
    return 0;
}

int
tls_read(struct tls *tls, void *data, size_t len, const struct client_wait *wait, size_t *ret_len,
         struct ks_error *error)
{
    ERR_clear_error();
    for (;;) {
        errno = 0;
        size_t n = 0;
        if (SSL_read_ex(tls->ssl, data, len, &n) == 1) {
            *ret_len = n;
            return 0;
        }
        KS_TRY(after(tls, 0, wait, "waiting for the answer", error));
    }
}

bool
tls_pin_fits(const uint8_t ca_pin[TLS_CA_PIN_LEN], struct ks_span der)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    const int rc = EVP_Digest(der.data, der.len, digest, &len, EVP_sha256(), NULL);
    ERR_clear_error();
    return rc == 1 && len >= TLS_CA_PIN_LEN && CRYPTO_memcmp(digest, ca_pin, TLS_CA_PIN_LEN) == 0;
}

bool
tls_was_refused(const struct tls *tls)
{
    return tls->refused;
}

bool
tls_is_fresh(struct tls *tls)
{
    ERR_clear_error();
    uint8_t byte;
    size_t n = 0;
    const int rc = SSL_peek_ex(tls->ssl, &byte, 1, &n);
    const bool fresh = rc != 1 && SSL_get_error(tls->ssl, 0) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    return fresh;
}
