/*
 * The floor under every measurement: a TLS server in the style of the net worker (libevent, TLS in memory, one recv and
 * one send for each wake-up) that answers each TTLV request with a message of a given size and does nothing else.
 *
 *     floor --dir INSTANCE --listen 127.0.0.1:5697 --response 344 --processes 2
 *
 * Certificates are those of an instance made by `keystead init`; clients present theirs, as with Keystead.
 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "server/listen.h"
#include "server/net/tls.h"

enum { READ_MAX = 65536, TTLV_HEADER = 8, PROCESSES_MAX = 64 };

struct floor {
    struct event_base *base;
    struct tls_server *tls;
    struct ks_buf answer; /* one, ready to be sent */
    struct ks_buf out, cipher;
    uint8_t received[READ_MAX], plain[READ_MAX];
};

struct conn {
    struct floor *floor;
    struct tls_conn *tls;
    struct event *event;
    size_t skip; /* bytes of the current request that are still to come */
    uint8_t head[TTLV_HEADER];
    size_t head_len;
};

static void
conn_free(struct conn *c, int fd)
{
    event_free(c->event);
    net_tls_conn_free(c->tls);
    (void)close(fd);
    free(c);
}

/* How many requests end within these bytes. */
static size_t
count_requests(struct conn *c, const uint8_t *p, size_t len)
{
    size_t n = 0;
    while (len != 0) {
        if (c->skip != 0) {
            const size_t step = c->skip < len ? c->skip : len;
            c->skip -= step;
            p += step;
            len -= step;
            n += c->skip == 0;
            continue;
        }
        c->head[c->head_len++] = *p++;
        len--;
        if (c->head_len == TTLV_HEADER) {
            c->skip = ks_be32(c->head + 4);
            c->head_len = 0;
            n += c->skip == 0;
        }
    }
    return n;
}

/* Answers n requests, as many in a record as fit. Sends in one go; a client that does not read is cut off. */
static bool
send_answers(struct conn *c, int fd, size_t n)
{
    struct floor *f = c->floor;
    const size_t in_record = f->answer.len < TLS_RECORD_MAX ? TLS_RECORD_MAX / f->answer.len : 1;
    while (n != 0) {
        const size_t now = n < in_record ? n : in_record;
        ks_buf_reset(&f->out);
        for (size_t i = 0; i < now; i++)
            (void)ks_buf_add_span(&f->out, ks_buf_span(&f->answer));
        if (net_tls_write(c->tls, ks_buf_span(&f->out), &f->cipher) != 0)
            return false;
        n -= now;
    }
    const size_t len = f->cipher.len;
    const ssize_t sent = len != 0 ? send(fd, f->cipher.data, len, MSG_NOSIGNAL) : 0;
    f->cipher.len = 0;
    return f->cipher.err == 0 && sent == (ssize_t)len;
}

static void
on_read(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct conn *c = arg;
    struct floor *f = c->floor;
    const ssize_t n = recv(fd, f->received, sizeof(f->received), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_free(c, fd);
        return;
    }
    size_t requests = 0, got;
    enum tls_result result = TLS_WANT;
    net_tls_feed(c->tls, KS_SPAN(f->received, (size_t)n), &f->cipher);
    if (!net_tls_is_open(c->tls))
        result = net_tls_handshake(c->tls);
    if (net_tls_is_open(c->tls))
        while ((got = net_tls_read(c->tls, f->plain, sizeof(f->plain), &result)) > 0)
            requests += count_requests(c, f->plain, got);
    if (!send_answers(c, fd, requests) || result == TLS_FAILED || result == TLS_CLOSED)
        conn_free(c, fd);
}

static void
on_accept(evutil_socket_t listener, short what, void *arg)
{
    (void)what;
    struct floor *f = arg;
    const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct conn *c = fd >= 0 ? calloc(1, sizeof(*c)) : NULL;
    if (c == NULL || net_tls_conn_new(f->tls, false, &c->tls) != 0) {
        free(c);
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    c->floor = f;
    c->event = event_new(f->base, fd, EV_READ | EV_PERSIST, on_read, c);
    if (c->event == NULL || event_add(c->event, NULL) != 0)
        abort();
}

static int
read_file(const char *dir, const char *name, struct ks_buf *ret, struct ks_diag *diag)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return ks_file_read(path, ret, diag);
}

static int
set_up(struct floor *f, const char *dir, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf certificate = KS_BUF(65536), key = KS_BUF(65536), ca = KS_BUF(65536);
    KS_TRY(read_file(dir, "server.pem", &certificate, diag));
    KS_TRY(read_file(dir, "server.key", &key, diag));
    KS_TRY(read_file(dir, "ca.pem", &ca, diag));
    const struct tls_settings settings = {ks_buf_span(&certificate), ks_buf_span(&key), ks_buf_span(&ca), "1.2"};
    return net_tls_server_new(&settings, &f->tls, diag);
}

static _Noreturn void
serve(struct floor *f, const struct listeners *listeners)
{
    f->base = event_base_new();
    for (size_t i = 0; f->base != NULL && i < listeners->n; i++) {
        struct event *event = event_new(f->base, listeners->fds[i], EV_READ | EV_PERSIST, on_accept, f);
        if (event == NULL || event_add(event, NULL) != 0)
            _exit(71);
    }
    _exit(f->base != NULL && event_base_dispatch(f->base) == 0 ? 0 : 71);
}

static void
make_answer(struct floor *f, size_t len)
{
    static const uint8_t head[] = {0x42, 0x00, 0x7b, 0x01};
    (void)ks_buf_add(&f->answer, head, sizeof(head));
    (void)ks_buf_add_be32(&f->answer, (uint32_t)(len - TTLV_HEADER));
    while (f->answer.len < len)
        (void)ks_buf_add_u8(&f->answer, 0);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"listen", required_argument, NULL, 'l'},
        {"response", required_argument, NULL, 'r'},
        {"processes", required_argument, NULL, 'p'},
        {NULL, 0, NULL, 0},
    };
    static char default_listen[] = "127.0.0.1:5697";
    static struct floor f;
    const char *dir = NULL;
    char *listen_on = default_listen;
    int64_t response = 344, processes = 1;
    f.answer = KS_BUF(1 << 20);
    f.out = KS_BUF(1 << 21);
    f.cipher = KS_BUF(64 << 20);
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int rc = 0;
        if (c == 'd')
            dir = optarg;
        else if (c == 'l')
            listen_on = optarg;
        else if (c == 'r')
            rc = ks_parse_i64(ks_span_str(optarg), 16, 1 << 20, &response);
        else if (c == 'p')
            rc = ks_parse_i64(ks_span_str(optarg), 1, PROCESSES_MAX, &processes);
        if (c == '?' || rc != 0)
            return 64;
    }
    if (dir == NULL) {
        fprintf(stderr, "Usage: floor --dir INSTANCE [--listen ADDRESS:PORT] [--response BYTES] [--processes N]\n");
        return 64;
    }
    struct ks_diag diag = {0};
    struct listeners listeners = {.n = 0};
    const struct config_list addresses = {&listen_on, 1};
    int rc = set_up(&f, dir, &diag);
    rc = rc != 0 ? rc : listeners_open(&addresses, NULL, NULL, &listeners, &diag);
    if (rc != 0) {
        fprintf(stderr, "floor: %s\n", ks_diag_text(&diag));
        return ks_err_exit_status(rc);
    }
    make_answer(&f, (size_t)response);
    for (int64_t i = 0; i < processes; i++)
        if (fork() == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve(&f, &listeners);
        }
    printf("floor: ready on %s\n", listen_on);
    (void)fflush(stdout);
    while (wait(NULL) > 0)
        continue;
    return 0;
}
