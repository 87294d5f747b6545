#include "client_peer.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <keystead/client.h>

#define MUST(x)                                                                                                        \
    do {                                                                                                               \
        if (!(x)) {                                                                                                    \
            fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #x);                                             \
            ERR_print_errors_fp(stderr);                                                                               \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static atomic_long serial = 1;

static void
add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    MUST(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void
make(struct pki *ret, const struct pki *ca, const char *common_name, const char *names, long from_s, long to_s)
{
    ret->key = EVP_EC_gen("P-256");
    ret->cert = X509_new();
    MUST(ret->key != NULL && ret->cert != NULL && X509_set_version(ret->cert, 2) == 1);
    MUST(ASN1_INTEGER_set(X509_get_serialNumber(ret->cert), atomic_fetch_add(&serial, 1)) == 1);
    MUST(X509_gmtime_adj(X509_getm_notBefore(ret->cert), from_s) != NULL);
    MUST(X509_gmtime_adj(X509_getm_notAfter(ret->cert), to_s) != NULL);
    X509_NAME *name = X509_get_subject_name(ret->cert);
    MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0) == 1);
    MUST(X509_set_issuer_name(ret->cert, ca != NULL ? X509_get_subject_name(ca->cert) : name) == 1);
    MUST(X509_set_pubkey(ret->cert, ret->key) == 1);
    X509 *issuer = ca != NULL ? ca->cert : ret->cert;
    add_extension(ret->cert, issuer, NID_basic_constraints, ca != NULL ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (names != NULL)
        add_extension(ret->cert, issuer, NID_subject_alt_name, names);
    MUST(X509_sign(ret->cert, ca != NULL ? ca->key : ret->key, EVP_sha256()) > 0);
}

void
pki_ca(struct pki *ca, const char *common_name)
{
    make(ca, NULL, common_name, NULL, -3600, 3600);
}

void
pki_issue(const struct pki *ca, struct pki *ret, const char *common_name, const char *names, long from_s, long to_s)
{
    make(ret, ca, common_name, names, from_s, to_s);
}

void
pki_done(struct pki *pki)
{
    EVP_PKEY_free(pki->key);
    X509_free(pki->cert);
}

void
pki_write(const struct pki *pki, const char *cert_path, const char *key_path)
{
    if (cert_path != NULL) {
        FILE *file = fopen(cert_path, "w");
        MUST(file != NULL && PEM_write_X509(file, pki->cert) == 1 && fclose(file) == 0);
    }
    if (key_path != NULL) {
        FILE *file = fopen(key_path, "w");
        MUST(file != NULL && fchmod(fileno(file), 0600) == 0);
        MUST(PEM_write_PrivateKey(file, pki->key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(file) == 0);
    }
}

/* ---- Answers ---- */

static struct kmip_uid
uid(const char *text)
{
    return (struct kmip_uid){.type = KMIP_TYPE_TEXT_STRING, .text = ks_span_str(text)};
}

static void *
versions_payload(const struct peer *peer, struct ks_arena *arena)
{
    struct kmip_discover_versions_response *payload = ks_arena_alloc(arena, sizeof(*payload));
    const size_t n = (size_t)peer->newest + 1;
    MUST(payload != NULL);
    payload->protocol_version = ks_arena_array(arena, n, sizeof(*payload->protocol_version));
    payload->n_protocol_version = n;
    for (size_t i = 0; i < n; i++) {
        const struct kmip_version_number number = kmip_version_number((enum kmip_version)(n - 1 - i));
        struct kmip_protocol_version *version = ks_arena_alloc(arena, sizeof(*version));
        MUST(version != NULL);
        version->protocol_version_major = number.major;
        version->protocol_version_minor = number.minor;
        payload->protocol_version[i] = version;
    }
    return payload;
}

static void *
get_payload(struct ks_arena *arena)
{
    struct kmip_get_response *payload = ks_arena_alloc(arena, sizeof(*payload));
    struct kmip_symmetric_key *key = ks_arena_alloc(arena, sizeof(*key));
    struct kmip_key_block *block = ks_arena_alloc(arena, sizeof(*block));
    struct kmip_item *value = kmip_item_new(arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    struct kmip_item *material = kmip_item_new(arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    MUST(payload != NULL && key != NULL && block != NULL && value != NULL && material != NULL);
    material->s = KS_LIT("0123456789abcdef0123456789abcdef");
    kmip_item_append(value, material);
    *block = (struct kmip_key_block){.key_format_type = KMIP_KEY_FORMAT_TYPE_RAW,
                                     .key_value = value,
                                     .has_cryptographic_algorithm = true,
                                     .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                                     .has_cryptographic_length = true,
                                     .cryptographic_length = 256};
    key->key_block = block;
    payload->object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
    payload->unique_identifier = uid("key-1");
    payload->object.symmetric_key = key;
    return payload;
}

/* Responses that are complete with a Unique Identifier, and where that stands. */
static const struct {
    uint32_t operation;
    size_t size, at;
} simple[] = {
#define SIMPLE(OPERATION, type)                                                                                        \
    {KMIP_OPERATION_##OPERATION, sizeof(struct type), offsetof(struct type, unique_identifier)},
    SIMPLE(CREATE, kmip_create_response) SIMPLE(REGISTER, kmip_register_response) SIMPLE(RE_KEY, kmip_re_key_response)
        SIMPLE(ACTIVATE, kmip_activate_response) SIMPLE(REVOKE, kmip_revoke_response)
            SIMPLE(DESTROY, kmip_destroy_response) SIMPLE(GET_ATTRIBUTES, kmip_get_attributes_response)
                SIMPLE(CHECK, kmip_check_response) SIMPLE(ENCRYPT, kmip_encrypt_response)
                    SIMPLE(DECRYPT, kmip_decrypt_response) SIMPLE(ARCHIVE, kmip_archive_response)
                        SIMPLE(RECOVER, kmip_recover_response)
                            SIMPLE(GET_USAGE_ALLOCATION, kmip_get_usage_allocation_response)
#undef SIMPLE
};

static void *
default_payload(const struct peer *peer, uint32_t operation, struct ks_arena *arena)
{
    if (operation == KMIP_OPERATION_DISCOVER_VERSIONS)
        return versions_payload(peer, arena);
    if (operation == KMIP_OPERATION_GET)
        return get_payload(arena);
    for (size_t i = 0; i < KS_ARRAY_LEN(simple); i++) {
        if (simple[i].operation != operation)
            continue;
        uint8_t *payload = ks_arena_alloc(arena, simple[i].size);
        MUST(payload != NULL);
        const struct kmip_uid key = uid("key-1");
        memcpy(payload + simple[i].at, &key, sizeof(key));
        if (operation == KMIP_OPERATION_CREATE)
            ((struct kmip_create_response *)(void *)payload)->object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
        return payload;
    }
    return NULL;
}

static void
extend(const struct peer_reply *reply, struct kmip_response_batch_item *item)
{
    struct kmip_message_extension *extension = ks_arena_alloc(reply->arena, sizeof(*extension));
    struct kmip_message_extension **list = ks_arena_alloc(reply->arena, sizeof(struct kmip_message_extension *));
    struct kmip_item *sealed = kmip_item_new(reply->arena, KMIP_TAG_SERVER_SEALED, KMIP_TYPE_BOOLEAN);
    MUST(extension != NULL && list != NULL && sealed != NULL);
    sealed->b = true;
    extension->vendor_identification = ks_span_str(reply->sealed_by);
    extension->vendor_extension = kmip_item_new(reply->arena, KMIP_TAG_VENDOR_EXTENSION, KMIP_TYPE_STRUCTURE);
    MUST(extension->vendor_extension != NULL);
    kmip_item_append(extension->vendor_extension, sealed);
    list[0] = extension;
    item->message_extension = list;
    item->n_message_extension = 1;
}

static void
fill_item(const struct peer *peer, const struct kmip_request_message *request, size_t i, struct peer_reply *reply,
          struct kmip_response_batch_item *item)
{
    const struct kmip_request_batch_item *asked = i < request->n_batch_item ? request->batch_item[i] : NULL;
    item->has_operation = !reply->no_operation;
    item->operation = reply->operation != 0 ? reply->operation : asked != NULL ? asked->operation : 0;
    item->result_status = reply->status[i];
    if (asked != NULL && asked->has_unique_batch_item_id) {
        item->has_unique_batch_item_id = true;
        item->unique_batch_item_id = asked->unique_batch_item_id;
    }
    item->asynchronous_correlation_value = reply->pending;
    item->has_asynchronous_correlation_value = reply->pending.len != 0;
    if (item->result_status != 0) {
        item->has_result_reason = reply->reason[i] != 0;
        item->result_reason = reply->reason[i];
        item->has_result_message = reply->text != NULL;
        item->result_message = ks_span_str(reply->text);
        if (reply->sealed_by != NULL)
            extend(reply, item);
    } else {
        item->payload =
            reply->payload[i] != NULL ? reply->payload[i] : default_payload(peer, item->operation, reply->arena);
    }
}

static void
encode(const struct peer *peer, const struct kmip_request_message *request, struct peer_reply *reply,
       struct ks_buf *ret)
{
    struct ks_arena *arena = reply->arena;
    struct kmip_protocol_version version = *request->request_header->protocol_version;
    const size_t n = reply->n_items != 0 ? reply->n_items : request->n_batch_item;
    struct kmip_response_header header = {
        .protocol_version = &version, .time_stamp = 1700000000, .batch_count = (int32_t)n};
    struct kmip_response_message message = {.response_header = &header, .n_batch_item = n};
    message.batch_item = ks_arena_array(arena, n, sizeof(*message.batch_item));
    for (size_t i = 0; i < n; i++) {
        message.batch_item[i] = ks_arena_alloc(arena, sizeof(*message.batch_item[i]));
        MUST(message.batch_item[i] != NULL);
        fill_item(peer, request, i, reply, message.batch_item[i]);
    }
    struct ks_diag diag = {0};
    if (kmip_response_encode(&message, ret, &diag) != 0) {
        fprintf(stderr, "peer: cannot encode: %s\n", ks_diag_text(&diag));
        abort();
    }
}

/* ---- Connections ---- */

struct peer_conn {
    struct peer *peer;
    int fd;
    pthread_t thread;
    struct peer_conn *next;
};

static bool
read_all(SSL *ssl, uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t n = 0;
        if (SSL_read_ex(ssl, data, len, &n) != 1)
            return false;
        data += n;
        len -= n;
    }
    return true;
}

static bool
send_reply(SSL *ssl, int fd, enum peer_action action, struct ks_buf *answer, const struct peer_reply *reply)
{
    size_t n;
    switch (action) {
    case PEER_ANSWER:
        return SSL_write_ex(ssl, answer->data, answer->len, &n) == 1;
    case PEER_LAST:
        (void)SSL_write_ex(ssl, answer->data, answer->len, &n);
        return false;
    case PEER_HALF:
        (void)SSL_write_ex(ssl, answer->data, answer->len / 2, &n);
        return false;
    case PEER_BYTES:
        return SSL_write_ex(ssl, reply->raw.data, reply->raw.len, &n) == 1;
    case PEER_DRIP:
        for (size_t i = 0; i < answer->len; i++)
            if (SSL_write_ex(ssl, answer->data + i, 1, &n) != 1)
                return false;
        return true;
    case PEER_SPOILT:
        (void)!write(fd, "\x17\x03\x03\x00\x20 this is no record of this session", 37);
        break;
    case PEER_CLOSE:
    case PEER_SILENT:
        break;
    }
    return false;
}

static bool
serve_one(struct peer *peer, SSL *ssl, int fd)
{
    uint8_t head[8];
    if (!read_all(ssl, head, sizeof(head)))
        return false;
    const size_t len = 8 + ks_be32(head + 4);
    MUST(len < (1 << 20));
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(8 << 20);
    uint8_t *bytes = ks_arena_alloc(&arena, len);
    MUST(bytes != NULL);
    memcpy(bytes, head, 8);
    if (!read_all(ssl, bytes + 8, len - 8))
        return false;
    struct kmip_request_message *message = NULL;
    struct ks_diag diag = {0};
    if (kmip_request_decode(KS_SPAN(bytes, len), &kmip_limits_default, &arena, &message, &diag) != 0) {
        fprintf(stderr, "peer: cannot decode: %s\n", ks_diag_text(&diag));
        abort();
    }
    const struct kmip_protocol_version *version = message->request_header->protocol_version;
    struct peer_request request = {message, version->protocol_version_major, version->protocol_version_minor,
                                   message->batch_item[0]->operation, 0};
    struct peer_reply reply = {.arena = &arena, .raw = KS_BUF(1 << 20)};
    enum peer_action action = PEER_ANSWER;
    if (request.operation == KMIP_OPERATION_DISCOVER_VERSIONS && peer->newest < 0) {
        reply.status[0] = KMIP_RESULT_STATUS_OPERATION_FAILED;
        reply.reason[0] = KMIP_RESULT_REASON_OPERATION_NOT_SUPPORTED;
    } else if (request.operation != KMIP_OPERATION_DISCOVER_VERSIONS) {
        (void)pthread_mutex_lock(&peer->lock);
        peer->last_major = request.major;
        peer->last_minor = request.minor;
        (void)pthread_mutex_unlock(&peer->lock);
        request.n = atomic_fetch_add(&peer->n_requests, 1);
        if (peer->script != NULL)
            action = peer->script(peer, &request, &reply);
    }
    bool more = false;
    if (action == PEER_SILENT) {
        struct pollfd p = {.fd = fd, .events = 0};
        while (!atomic_load(&peer->stopping) && poll(&p, 1, 10) == 0)
            continue;
    } else {
        KS_CLEANUP(ks_buf_done) struct ks_buf answer = KS_BUF(1 << 20);
        if (action != PEER_BYTES && action != PEER_CLOSE)
            encode(peer, message, &reply, &answer);
        more = send_reply(ssl, fd, action, &answer, &reply);
    }
    ks_buf_done(&reply.raw);
    return more;
}

static void *
serve(void *arg)
{
    struct peer_conn *conn = arg;
    struct peer *peer = conn->peer;
    sigset_t pipe; /* here alone: a client that raises SIGPIPE is to be found out */
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    if (peer->never_handshake) {
        struct pollfd p = {.fd = conn->fd, .events = POLLRDHUP};
        while (!atomic_load(&peer->stopping) && poll(&p, 1, 10) == 0)
            continue;
        return NULL;
    }
    SSL *ssl = SSL_new(peer->ctx);
    MUST(ssl != NULL && SSL_set_fd(ssl, conn->fd) == 1);
    if (SSL_accept(ssl) == 1)
        while (serve_one(peer, ssl, conn->fd))
            continue;
    (void)SSL_shutdown(ssl);
    SSL_free(ssl);
    ERR_clear_error();
    (void)shutdown(conn->fd, SHUT_RDWR);
    return NULL;
}

static void *
accept_all(void *arg)
{
    struct peer *peer = arg;
    for (;;) {
        const int fd = accept(peer->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        atomic_fetch_add(&peer->n_connections, 1);
        struct peer_conn *conn = calloc(1, sizeof(*conn));
        MUST(conn != NULL);
        conn->peer = peer;
        conn->fd = fd;
        (void)pthread_mutex_lock(&peer->lock);
        conn->next = peer->conns;
        peer->conns = conn;
        (void)pthread_mutex_unlock(&peer->lock);
        MUST(pthread_create(&conn->thread, NULL, serve, conn) == 0);
    }
}

static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
        void *arg)
{
    (void)ssl;
    (void)arg;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len,
                                 (const unsigned char *)"\x11keystead-enroll/1", 18, in,
                                 in_len) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_NOACK;
}

void
peer_start(struct peer *peer)
{
    if (peer->newest == 0)
        peer->newest = KMIP_V2_1;
    MUST(pthread_mutex_init(&peer->lock, NULL) == 0);
    peer->ctx = SSL_CTX_new(TLS_server_method());
    MUST(peer->ctx != NULL && SSL_CTX_use_certificate(peer->ctx, peer->cert->cert) == 1);
    MUST(SSL_CTX_use_PrivateKey(peer->ctx, peer->cert->key) == 1);
    SSL_CTX_set_alpn_select_cb(peer->ctx, on_alpn, NULL);
    if (peer->send_ca)
        MUST(SSL_CTX_add1_chain_cert(peer->ctx, peer->ca->cert) == 1);
    if (!peer->no_client_certificate) {
        MUST(X509_STORE_add_cert(SSL_CTX_get_cert_store(peer->ctx), peer->ca->cert) == 1);
        SSL_CTX_set_verify(peer->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    MUST(peer->listener >= 0 && bind(peer->listener, (struct sockaddr *)&address, len) == 0);
    MUST(listen(peer->listener, 64) == 0 && getsockname(peer->listener, (struct sockaddr *)&address, &len) == 0);
    peer->port = ntohs(address.sin_port);
    MUST(pthread_create(&peer->thread, NULL, accept_all, peer) == 0);
}

void
peer_stop(struct peer *peer)
{
    atomic_store(&peer->stopping, true);
    (void)shutdown(peer->listener, SHUT_RDWR);
    (void)pthread_join(peer->thread, NULL);
    (void)close(peer->listener);
    while (peer->conns != NULL) {
        struct peer_conn *conn = peer->conns;
        peer->conns = conn->next;
        (void)shutdown(conn->fd, SHUT_RDWR);
        (void)pthread_join(conn->thread, NULL);
        (void)close(conn->fd);
        free(conn);
    }
    SSL_CTX_free(peer->ctx);
    (void)pthread_mutex_destroy(&peer->lock);
}

/* ---- What tests have in common ---- */

static const char *
in(const struct world *world, const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", world->dir, name);
    return path;
}

void
world_start(struct world *world)
{
    char path[128];
    char key[128];
    snprintf(world->dir, sizeof(world->dir), "/tmp/keystead-test-XXXXXX");
    MUST(mkdtemp(world->dir) != NULL);
    pki_ca(&world->ca, "Test CA");
    pki_ca(&world->foreign_ca, "Foreign CA");
    pki_issue(&world->ca, &world->server, "server", "DNS:localhost,IP:127.0.0.1", -3600, 3600);
    pki_issue(&world->ca, &world->client, "client", NULL, -3600, 3600);
    pki_issue(&world->foreign_ca, &world->foreign_server, "server", "DNS:localhost,IP:127.0.0.1", -3600, 3600);
    pki_write(&world->ca, in(world, "ca.pem", path), NULL);
    pki_write(&world->client, in(world, "client.pem", path), in(world, "client.key", key));
    pki_write(&world->foreign_server, in(world, "foreign.pem", path), in(world, "foreign.key", key));
}

void
world_stop(struct world *world)
{
    char path[128];
    static const char *const names[] = {"ca.pem", "client.pem", "client.key", "foreign.pem", "foreign.key"};
    for (size_t i = 0; i < KS_ARRAY_LEN(names); i++)
        (void)unlink(in(world, names[i], path));
    MUST(rmdir(world->dir) == 0);
    struct pki *all[] = {&world->ca, &world->server, &world->client, &world->foreign_ca, &world->foreign_server};
    for (size_t i = 0; i < KS_ARRAY_LEN(all); i++)
        pki_done(all[i]);
}

struct ks_client *
world_client(const struct world *world, const char *settings, struct peer *const *peers)
{
    char text[256];
    struct ks_error error = {0};
    struct ks_client_config *config = NULL;
    struct ks_client *client = NULL;
    MUST(ks_client_config_new(&config) == 0);
    MUST(ks_client_config_set(config, "ca", in(world, "ca.pem", text), &error) == 0);
    MUST(ks_client_config_set(config, "certificate", in(world, "client.pem", text), &error) == 0);
    MUST(ks_client_config_set(config, "key", in(world, "client.key", text), &error) == 0);
    for (size_t i = 0; peers[i] != NULL; i++) {
        snprintf(text, sizeof(text), "127.0.0.1:%d", peers[i]->port);
        MUST(ks_client_config_set(config, "server", text, &error) == 0);
    }
    while (settings != NULL && *settings != '\0') {
        const size_t len = strcspn(settings, " ");
        snprintf(text, sizeof(text), "%.*s", (int)len, settings);
        char *value = strchr(text, '=');
        MUST(value != NULL);
        *value++ = '\0';
        MUST(ks_client_config_set(config, text, value, &error) == 0);
        settings += len + strspn(settings + len, " ");
    }
    if (ks_client_new(config, &client, &error) != 0) {
        fprintf(stderr, "client: %s\n", error.message);
        abort();
    }
    ks_client_config_free(config);
    return client;
}
