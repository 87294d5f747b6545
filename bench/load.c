/*
 * A load generator for KMIP over TLS: N connections with D requests in flight each, out of one thread.
 *
 *     load --dir INSTANCE --connect 127.0.0.1:5696 --request get.ttlv --connections 256 --depth 8 --seconds 5
 *     load --dir INSTANCE --connect 127.0.0.1:5696 --handshakes --connections 16 --seconds 5
 *
 * The request file holds one or more TTLV messages, sent in turn. Prints one line of JSON. With --pid, the CPU time of
 * that process and its descendants is read from /proc before and after, and given per request.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "base/file.h"
#include "base/text.h"

enum { DEPTH_MAX = 64, CONNECTIONS_MAX = 20000, READ_MAX = 65536, TTLV_HEADER = 8, EVENTS = 256 };
enum { BUCKET_SHIFT = 5, BUCKETS = 64 << BUCKET_SHIFT }; /* latency in us: 32 buckets for each power of two */

struct load;

struct conn {
    struct load *load;
    SSL *ssl;
    int fd;
    bool open;
    const uint8_t *in; /* what recv gave */
    size_t in_len;
    struct ks_buf cipher, plain;
    int64_t sent_ns[DEPTH_MAX];
    size_t first, in_flight, next_request;
};

struct load {
    SSL_CTX *ctx;
    BIO_METHOD *method;
    struct sockaddr_in to;
    int epoll;
    bool handshakes;
    size_t n_conns, depth;
    struct conn *conns;
    struct ks_buf file, batch;
    struct ks_span requests[1024];
    size_t n_requests;
    int64_t measure_from, measure_to;
    bool measuring;
    uint64_t done, failed, lost, buckets[BUCKETS];
    size_t answer_bytes; /* of the last one */
    uint8_t received[READ_MAX], text[READ_MAX];
};

static int64_t
now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Latencies */

static size_t
bucket_of(uint64_t us)
{
    if (us < 1U << BUCKET_SHIFT)
        return us;
    const unsigned shift = 63U - (unsigned)__builtin_clzll(us) - BUCKET_SHIFT;
    return ((size_t)(shift + 1) << BUCKET_SHIFT) + ((us >> shift) & ((1U << BUCKET_SHIFT) - 1));
}

static double
bucket_us(size_t bucket)
{
    if (bucket < 1U << BUCKET_SHIFT)
        return (double)bucket;
    const unsigned shift = (unsigned)(bucket >> BUCKET_SHIFT) - 1;
    return (double)(((1ULL << BUCKET_SHIFT) + (bucket & ((1U << BUCKET_SHIFT) - 1))) << shift);
}

static double
percentile(const struct load *l, double part)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += l->buckets[i];
        if (seen != 0 && (double)seen >= part * (double)l->done)
            return bucket_us(i);
    }
    return 0;
}

static void
count(struct load *l, int64_t since_ns, bool ok)
{
    if (!l->measuring)
        return;
    l->done++;
    l->failed += !ok;
    l->buckets[bucket_of((uint64_t)(now_ns() - since_ns) / 1000)]++;
}

/* TLS in memory, as the server does it */

static int
bio_read(BIO *bio, char *ret, int len)
{
    struct conn *c = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (c->in_len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    const size_t n = (size_t)len < c->in_len ? (size_t)len : c->in_len;
    memcpy(ret, c->in, n);
    c->in += n;
    c->in_len -= n;
    return (int)n;
}

static int
bio_write(BIO *bio, const char *data, int len)
{
    struct conn *c = BIO_get_data(bio);
    return ks_buf_add(&c->cipher, data, (size_t)len) == 0 ? len : -1;
}

static long
bio_ctrl(BIO *bio, int cmd, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return cmd == BIO_CTRL_FLUSH;
}

static int
on_session(SSL *ssl, SSL_SESSION *session)
{
    (void)session;
    struct conn *c = SSL_get_app_data(ssl);
    c->open = true; /* the server's ticket: it has accepted our certificate */
    return 0;
}

static void
die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, errno != 0 ? strerror(errno) : "failed");
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void
set_up_tls(struct load *l, const char *dir)
{
    char path[3][4096];
    static const char *const names[] = {"ca.pem", "admin.pem", "admin.key"};
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(path[i], sizeof(path[i]), "%s/%s", dir, names[i]);
    l->ctx = SSL_CTX_new(TLS_client_method());
    l->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "load");
    if (l->ctx == NULL || l->method == NULL || SSL_CTX_load_verify_locations(l->ctx, path[0], NULL) != 1 ||
        SSL_CTX_use_certificate_chain_file(l->ctx, path[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(l->ctx, path[2], SSL_FILETYPE_PEM) != 1)
        die("TLS");
    SSL_CTX_set_verify(l->ctx, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_session_cache_mode(l->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(l->ctx, on_session);
    (void)BIO_meth_set_read(l->method, bio_read);
    (void)BIO_meth_set_write(l->method, bio_write);
    (void)BIO_meth_set_ctrl(l->method, bio_ctrl);
}

/* Connections */

static void
flush(struct conn *c)
{
    size_t done = 0;
    while (done < c->cipher.len) {
        const ssize_t n = send(c->fd, c->cipher.data + done, c->cipher.len - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            break;                     /* the next recv tells */
        done += n > 0 ? (size_t)n : 0; /* a full socket: the server reads soon, requests are few */
    }
    c->cipher.len = 0;
}

static void
conn_open(struct conn *c)
{
    static const int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&c->load->to, sizeof(c->load->to)) != 0)
        die("connect");
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct timeval never = {0, 0};
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof(never));
    c->ssl = SSL_new(c->load->ctx);
    BIO *bio = BIO_new(c->load->method);
    if (c->ssl == NULL || bio == NULL)
        die("TLS");
    BIO_set_data(bio, c);
    BIO_set_init(bio, 1);
    SSL_set_bio(c->ssl, bio, bio);
    (void)SSL_set_app_data(c->ssl, c);
    SSL_set_connect_state(c->ssl);
    c->open = false;
    c->in_flight = c->first = 0;
    c->plain.len = c->cipher.len = 0;
    c->sent_ns[0] = now_ns();
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(c->load->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll_ctl");
    (void)SSL_do_handshake(c->ssl);
    flush(c);
}

static void
conn_close(struct conn *c)
{
    const struct linger at_once = {1, 0}; /* or the ports run out */
    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    (void)close(c->fd);
    SSL_free(c->ssl);
    c->ssl = NULL;
    ERR_clear_error();
}

static void
ask(struct conn *c)
{
    struct load *l = c->load;
    const int64_t now = now_ns();
    struct ks_buf *batch = &l->batch;
    batch->len = 0;
    while (c->in_flight < l->depth) {
        (void)ks_buf_add_span(batch, l->requests[c->next_request]);
        c->next_request = (c->next_request + 1) % l->n_requests;
        c->sent_ns[(c->first + c->in_flight++) % DEPTH_MAX] = now;
    }
    size_t n;
    if (batch->len != 0 && SSL_write_ex(c->ssl, batch->data, batch->len, &n) != 1)
        die("write");
    flush(c);
}

/* Result Status (42007F, Enumeration) of every item is Success: looked for, not parsed. */
static bool
is_success(struct ks_span message)
{
    static const uint8_t status[] = {0x42, 0x00, 0x7f, 0x05, 0, 0, 0, 4};
    const uint8_t *at = memmem(message.data, message.len, status, sizeof(status));
    return at == NULL || (at + 12 <= message.data + message.len && ks_be32(at + 8) == 0);
}

static void
take_answers(struct conn *c)
{
    size_t done = 0;
    while (c->plain.len - done >= TTLV_HEADER) {
        const size_t len = TTLV_HEADER + (size_t)ks_be32(c->plain.data + done + 4);
        if (len > c->plain.len - done)
            break;
        c->load->answer_bytes = len;
        count(c->load, c->sent_ns[c->first], is_success(KS_SPAN(c->plain.data + done, len)));
        c->first = (c->first + 1) % DEPTH_MAX;
        c->in_flight--;
        done += len;
    }
    ks_buf_drop_front(&c->plain, done);
}

static void
receive(struct conn *c)
{
    struct load *l = c->load;
    const ssize_t n = recv(c->fd, l->received, sizeof(l->received), 0);
    if (n <= 0) {
        l->lost++;
        conn_close(c);
        conn_open(c);
        return;
    }
    c->in = l->received;
    c->in_len = (size_t)n;
    size_t got;
    while (SSL_read_ex(c->ssl, l->text, sizeof(l->text), &got) == 1)
        (void)ks_buf_add(&c->plain, l->text, got);
    if (SSL_get_error(c->ssl, 0) == SSL_ERROR_SSL)
        die("TLS");
    flush(c);
    if (l->handshakes) {
        if (c->open) {
            count(l, c->sent_ns[0], true);
            conn_close(c);
            conn_open(c);
        }
        return;
    }
    take_answers(c);
    if (SSL_is_init_finished(c->ssl))
        ask(c);
}

/* CPU time of processes */

static bool
read_stat(long pid, long *ret_parent, double *ret_seconds)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    const size_t n = fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    const char *after = strrchr(text, ')');
    unsigned long user, system;
    if (after == NULL ||
        sscanf(after + 1, " %*c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", ret_parent, &user, &system) != 3)
        return false;
    *ret_seconds = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    return true;
}

static double
cpu_of(long pid)
{
    long parent;
    double total = 0, seconds;
    if (pid == 0)
        return 0;
    if (read_stat(pid, &parent, &seconds))
        total = seconds;
    DIR *dir = opendir("/proc");
    if (dir == NULL)
        return total;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int64_t other;
        if (ks_parse_i64(ks_span_str(entry->d_name), 1, 1 << 30, &other) == 0 &&
            read_stat((long)other, &parent, &seconds) && parent == pid)
            total += cpu_of((long)other);
    }
    (void)closedir(dir);
    return total;
}

/* The run */

static void
run_until(struct load *l, int64_t end)
{
    struct epoll_event events[EVENTS];
    for (int64_t now; (now = now_ns()) < end;) {
        const int n = epoll_wait(l->epoll, events, EVENTS, (int)((end - now) / 1000000) + 1);
        for (int i = 0; i < n; i++)
            receive(events[i].data.ptr);
    }
}

static void
split_requests(struct load *l)
{
    for (size_t at = 0; at + TTLV_HEADER <= l->file.len && l->n_requests < KS_ARRAY_LEN(l->requests);) {
        const size_t len = TTLV_HEADER + (size_t)ks_be32(l->file.data + at + 4);
        if (len > l->file.len - at)
            break;
        l->requests[l->n_requests++] = KS_SPAN(l->file.data + at, len);
        at += len;
    }
    if (l->n_requests == 0) {
        fprintf(stderr, "load: the request file holds no TTLV message\n");
        exit(64);
    }
}

struct settings {
    const char *dir, *connect, *request;
    int64_t connections, depth, seconds, warm_ms, pid;
    bool handshakes;
};

static void
parse_connect(struct load *l, const char *text)
{
    char host[64] = "";
    int64_t port = 0;
    const char *colon = strrchr(text, ':');
    if (colon != NULL && (size_t)(colon - text) < sizeof(host))
        memcpy(host, text, (size_t)(colon - text));
    l->to.sin_family = AF_INET;
    if (colon == NULL || ks_parse_i64(ks_span_str(colon + 1), 1, 65535, &port) != 0 ||
        inet_pton(AF_INET, host, &l->to.sin_addr) != 1) {
        fprintf(stderr, "load: --connect ADDRESS:PORT, in numbers\n");
        exit(64);
    }
    l->to.sin_port = htons((uint16_t)port);
}

static void
run(struct load *l, const struct settings *s)
{
    for (size_t i = 0; i < l->n_conns; i++) {
        struct conn *c = &l->conns[i];
        *c = (struct conn){.load = l, .fd = -1, .cipher = KS_BUF(64 << 20), .plain = KS_BUF(64 << 20)};
        c->next_request = l->n_requests != 0 ? i % l->n_requests : 0;
        conn_open(c);
        if (i % 16 == 15)
            run_until(l, now_ns() + 1000000);
    }
    run_until(l, now_ns() + s->warm_ms * 1000000);
    struct rusage before, after;
    const double cpu = cpu_of((long)s->pid);
    (void)getrusage(RUSAGE_SELF, &before);
    const int64_t from = now_ns();
    l->measuring = true;
    run_until(l, from + s->seconds * 1000000000);
    l->measuring = false;
    const double seconds = (double)(now_ns() - from) / 1e9;
    const double server = cpu_of((long)s->pid) - cpu;
    (void)getrusage(RUSAGE_SELF, &after);
    const double own =
        (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) +
        (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec) /
            1e6;
    const double n = l->done != 0 ? (double)l->done : 1;
    printf(
        "{\"kind\": \"%s\", \"connections\": %zu, \"depth\": %zu, \"seconds\": %.2f, \"done\": %llu, \"failed\": %llu, "
        "\"lost_connections\": %llu, \"per_second\": %.0f, \"p50_us\": %.0f, \"p99_us\": %.0f, "
        "\"server_cpu_us\": %.2f, \"load_cpu_us\": %.2f, \"answer_bytes\": %zu}\n",
        l->handshakes ? "handshakes" : "requests", l->n_conns, l->depth, seconds, (unsigned long long)l->done,
        (unsigned long long)l->failed, (unsigned long long)l->lost, (double)l->done / seconds, percentile(l, 0.5),
        percentile(l, 0.99), server * 1e6 / n, own * 1e6 / n, l->answer_bytes);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},     {"connect", required_argument, NULL, 'c'},
        {"request", required_argument, NULL, 'r'}, {"connections", required_argument, NULL, 'n'},
        {"depth", required_argument, NULL, 'k'},   {"seconds", required_argument, NULL, 's'},
        {"warm-up", required_argument, NULL, 'w'}, {"pid", required_argument, NULL, 'p'},
        {"handshakes", no_argument, NULL, 'h'},    {NULL, 0, NULL, 0},
    };
    static struct load l;
    l.file = l.batch = KS_BUF(16 << 20);
    struct settings s = {.connections = 16, .depth = 1, .seconds = 3, .warm_ms = 500};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int rc = 0;
        switch (c) {
        case 'd':
            s.dir = optarg;
            break;
        case 'c':
            s.connect = optarg;
            break;
        case 'r':
            s.request = optarg;
            break;
        case 'h':
            s.handshakes = true;
            break;
        case 'n':
            rc = ks_parse_i64(ks_span_str(optarg), 1, CONNECTIONS_MAX, &s.connections);
            break;
        case 'k':
            rc = ks_parse_i64(ks_span_str(optarg), 1, DEPTH_MAX, &s.depth);
            break;
        case 's':
            rc = ks_parse_i64(ks_span_str(optarg), 1, 3600, &s.seconds);
            break;
        case 'w':
            rc = ks_parse_i64(ks_span_str(optarg), 0, 60000, &s.warm_ms);
            break;
        case 'p':
            rc = ks_parse_i64(ks_span_str(optarg), 1, 1 << 30, &s.pid);
            break;
        default:
            rc = KS_E_INVALID;
        }
        if (rc != 0)
            return 64;
    }
    if (s.dir == NULL || s.connect == NULL || (s.request == NULL && !s.handshakes)) {
        fprintf(stderr,
                "Usage: load --dir INSTANCE --connect ADDRESS:PORT (--request FILE | --handshakes)\n"
                "            [--connections N] [--depth N] [--seconds N] [--warm-up MILLISECONDS] [--pid SERVER]\n");
        return 64;
    }
    struct ks_diag diag = {0};
    if (s.request != NULL && ks_file_read(s.request, &l.file, &diag) != 0) {
        fprintf(stderr, "load: %s\n", ks_diag_text(&diag));
        return 66;
    }
    if (!s.handshakes)
        split_requests(&l);
    l.handshakes = s.handshakes;
    l.n_conns = (size_t)s.connections;
    l.depth = (size_t)s.depth;
    l.conns = calloc(l.n_conns, sizeof(*l.conns));
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l.conns == NULL || l.epoll < 0)
        die("memory");
    parse_connect(&l, s.connect);
    set_up_tls(&l, s.dir);
    run(&l, &s);
    return l.done != 0 ? 0 : 1;
}
