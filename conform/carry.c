#include "conform/carry.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "client/conn.h"
#include "client/tls.h"
#include "client/wait.h"
#include "kmip/wire.h"

enum { BODY_MAX = 16 << 20, HEAD_MAX = 16384, CHUNK = 16384 };

struct carry_client {
    struct conn *conn;
    bool https;
};

static const struct kmip_limits limits = {.bytes = BODY_MAX, .depth = 32, .items = 1 << 20, .text = BODY_MAX};

static const struct {
    enum kmip_encoding encoding;
    const char *type;
} encodings[] = {[CONFORM_HTTPS_TTLV] = {KMIP_ENCODING_TTLV, "application/octet-stream"},
                 [CONFORM_HTTPS_XML] = {KMIP_ENCODING_XML, "text/xml"},
                 [CONFORM_HTTPS_JSON] = {KMIP_ENCODING_JSON, "application/json"}};

static void
close_client(struct carry *carry, size_t i)
{
    if (carry->open[i] == NULL)
        return;
    conn_close(carry->open[i]->conn);
    free(carry->open[i]);
    carry->open[i] = NULL;
}

static void
close_all(struct conform_exchange *x)
{
    struct carry *const carry = (struct carry *)x;
    for (size_t i = 0; i < CARRY_CLIENTS; i++)
        close_client(carry, i);
}

static int
fail(struct ks_diag *diag, int rc, const struct ks_error *error)
{
    return ks_fail(diag, rc, "%s", error->message[0] != '\0' ? error->message : ks_err_text(rc));
}

static int
connect_client(struct carry *carry, size_t i, bool https, const struct client_wait *wait, struct ks_diag *diag)
{
    struct ks_error error = {0};
    const struct ks_client_config *const config = carry->config[i] != NULL ? carry->config[i] : carry->config[0];
    if (config == NULL)
        return ks_fail(diag, KS_E_CONFIG, "there is no server to talk to");
    struct client_address to = config->servers[0];
    if (carry->open[i] != NULL && carry->open[i]->https == https && tls_is_fresh(carry->open[i]->conn->tls))
        return 0;
    close_client(carry, i);
    if (https && carry->https_port == NULL)
        return ks_fail(diag, KS_E_CONFIG, "the case needs HTTPS: say --https-port");
    if (https)
        snprintf(to.port, sizeof(to.port), "%s", carry->https_port);
    if (carry->context[i] == NULL) {
        const int rc = tls_context_new(config, &carry->context[i], &error);
        if (rc != 0)
            return fail(diag, rc, &error);
    }
    struct carry_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return ks_fail(diag, KS_E_NOMEM, "out of memory");
    const int rc = conn_open(&to, config->server_name != NULL ? config->server_name : to.host, carry->context[i], wait,
                             &client->conn, &error);
    if (rc != 0) {
        free(client);
        return fail(diag, rc, &error);
    }
    client->https = https;
    carry->open[i] = client;
    return 0;
}

/* ---- HTTP ---- */

/* The number behind a header's name; -1: it is not there. */
static int64_t
header_number(const char *head, const char *name)
{
    const size_t len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, len) != 0 || line[2 + len] != ':')
            continue;
        const char *from = line + 3 + len, *to = strstr(from, "\r\n");
        while (*from == ' ')
            from++;
        int64_t number;
        if (to != NULL && ks_parse_i64(KS_SPAN(from, (size_t)(to - from)), 0, BODY_MAX, &number) == 0)
            return number;
        return -1;
    }
    return -1;
}

static int
read_more(struct conn *conn, struct ks_buf *in, const struct client_wait *wait, struct ks_error *error)
{
    size_t n = 0;
    if (ks_buf_reserve(in, CHUNK) != 0)
        return in->err;
    KS_TRY(tls_read(conn->tls, in->data + in->len, CHUNK, wait, &n, error));
    in->len += n;
    return 0;
}

static int
read_http(struct conn *conn, const struct client_wait *wait, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf in = KS_BUF(BODY_MAX + HEAD_MAX + CHUNK);
    struct ks_error error = {0};
    const uint8_t *end = NULL;
    int rc = 0;
    while (rc == 0 && end == NULL && in.len < HEAD_MAX) {
        rc = read_more(conn, &in, wait, &error);
        end = in.len != 0 ? memmem(in.data, in.len, "\r\n\r\n", 4) : NULL;
    }
    if (rc != 0)
        return fail(diag, rc, &error);
    if (end == NULL)
        return ks_fail(diag, KS_E_MALFORMED, "the answer is not HTTP");
    const size_t head_len = (size_t)(end - in.data) + 4;
    KS_CLEANUP(ks_buf_done) struct ks_buf head = KS_BUF(HEAD_MAX + CHUNK);
    ks_buf_add(&head, in.data, head_len);
    const char *const text = ks_buf_cstr(&head);
    if (text == NULL)
        return ks_fail(diag, KS_E_NOMEM, "out of memory");
    const int64_t length = header_number(text, "Content-Length");
    if (strncmp(text, "HTTP/1.", 7) != 0 || strlen(text) < 12 || strncmp(text + 8, " 200", 4) != 0)
        return ks_fail(diag, KS_E_MALFORMED, "the server answers %.*s", (int)strcspn(text, "\r\n"), text);
    if (length < 0)
        return ks_fail(diag, KS_E_MALFORMED, "the answer has no Content-Length");
    while (rc == 0 && in.len < head_len + (size_t)length)
        rc = read_more(conn, &in, wait, &error);
    if (rc != 0)
        return fail(diag, rc, &error);
    if (in.len != head_len + (size_t)length)
        return ks_fail(diag, KS_E_MALFORMED, "the answer is longer than it says");
    return ks_buf_add(ret, in.data + head_len, (size_t)length);
}

static int
exchange_https(struct carry *carry, struct conn *conn, const char *host, enum conform_transport transport,
               struct ks_span request, const struct client_wait *wait, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done)
    struct ks_buf body = KS_BUF(BODY_MAX), out = KS_BUF(BODY_MAX + HEAD_MAX), in = KS_BUF(BODY_MAX);
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(256 << 20);
    struct ks_error error = {0};
    bool all_sent;
    KS_TRY(kmip_transcode(KMIP_ENCODING_TTLV, request, encodings[transport].encoding, &limits, &arena, &body, diag));
    ks_buf_addf(&out,
                "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: %s\r\nAccept: %s\r\nCache-Control: no-cache\r\n"
                "Content-Length: %zu\r\n\r\n",
                carry->https_path, host, carry->https_port, encodings[transport].type, encodings[transport].type,
                body.len);
    if (ks_buf_add_span(&out, ks_buf_span(&body)) != 0)
        return ks_fail(diag, out.err, "%s", ks_err_text(out.err));
    const int rc = tls_write(conn->tls, ks_buf_span(&out), wait, &all_sent, &error);
    if (rc != 0)
        return fail(diag, rc, &error);
    KS_TRY(read_http(conn, wait, &in, diag));
    return kmip_transcode(encodings[transport].encoding, ks_buf_span(&in), KMIP_ENCODING_TTLV, &limits, &arena, ret,
                          diag);
}

static int
exchange(struct conform_exchange *x, char client, enum conform_transport transport, struct ks_span request,
         struct ks_buf *ret, struct ks_diag *diag)
{
    struct carry *const carry = (struct carry *)x;
    const size_t i = client >= 'A' && client <= 'Z' ? (size_t)(client - 'A') : 0;
    const struct client_wait wait = client_wait_begin(NULL, carry->timeout_ms);
    struct ks_error error = {0};
    KS_TRY(connect_client(carry, i, transport != CONFORM_TTLV, &wait, diag));
    struct conn *const conn = carry->open[i]->conn;
    int rc;
    if (transport == CONFORM_TTLV) {
        bool processed;
        rc = conn_exchange(conn, request, BODY_MAX, &wait, ret, &processed, &error);
        if (rc != 0)
            (void)fail(diag, rc, &error);
    } else {
        rc = exchange_https(carry, conn, carry->config[0]->servers[0].host, transport, request, &wait, ret, diag);
    }
    if (rc != 0)
        close_client(carry, i);
    return rc;
}

void
carry_init(struct carry *carry)
{
    *carry = (struct carry){.base = {exchange, close_all}, .https_path = "/kmip", .timeout_ms = 10000};
}

void
carry_done(struct carry *carry)
{
    close_all(&carry->base);
    for (size_t i = 0; i < CARRY_CLIENTS; i++)
        tls_context_free(carry->context[i]);
}
