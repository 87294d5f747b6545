#include "server/net/notifier.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "kmip/kmip.h"
#include "server/frame.h"
#include "server/net/tls.h"

enum {
    DELIVERY_MS = 10000, /* from connecting to the whole answer */
    ANSWER_MAX = 65536,  /* an answer has no payload */
    ARENA_MAX = 1 << 20,
    READ_LEN = 16384,
};

struct notifier {
    const struct notifier_address *addresses;
    size_t n_addresses;
    struct tls_server *tls;
    int vault;
    struct ks_buf in; /* from the vault */
};

/* One delivery */

struct delivery {
    int fd;
    struct tls_conn *tls;
    int64_t deadline_ms;
    struct ks_buf out, answer;
    uint8_t received[READ_LEN];
    char why[FRAME_WHY_MAX]; /* what went wrong */
};

static void
delivery_done(struct delivery *d)
{
    net_tls_conn_free(d->tls);
    ks_closep(&d->fd);
    ks_buf_done(&d->out);
    ks_buf_done(&d->answer);
    ks_wipe(d->received, sizeof(d->received));
}

static int fail(struct delivery *d, const char *fmt, ...) KS_PRINTF(2, 3);

static int
fail(struct delivery *d, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(d->why, sizeof(d->why), fmt, args);
    va_end(args);
    return KS_E_IO;
}

static int
wait_for(struct delivery *d, short events)
{
    for (;;) {
        const int64_t left = d->deadline_ms - ks_monotonic_ms();
        if (left <= 0)
            return fail(d, "the listener took longer than %d seconds", DELIVERY_MS / 1000);
        struct pollfd fd = {d->fd, events, 0};
        const int n = poll(&fd, 1, (int)left);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return fail(d, "poll: %s", strerror(errno));
    }
}

static int
connect_to(struct delivery *d, const struct notifier_address *to)
{
    d->fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        return fail(d, "no socket: %s", strerror(errno));
    if (connect(d->fd, (const struct sockaddr *)&to->address, to->len) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return fail(d, "cannot connect: %s", strerror(errno));
    KS_TRY(wait_for(d, POLLOUT));
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
        return fail(d, "cannot connect: %s", strerror(error));
    return 0;
}

static int
send_out(struct delivery *d)
{
    size_t done = 0;
    while (done < d->out.len) {
        const ssize_t n = send(d->fd, d->out.data + done, d->out.len - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            KS_TRY(wait_for(d, POLLOUT));
        else if (n < 0 && errno != EINTR)
            return fail(d, "the listener broke off: %s", strerror(errno));
        else if (n > 0)
            done += (size_t)n;
    }
    ks_buf_reset(&d->out);
    return 0;
}

/* More from the network into the TLS connection. */
static int
receive(struct delivery *d)
{
    for (;;) {
        KS_TRY(wait_for(d, POLLIN));
        const ssize_t n = recv(d->fd, d->received, sizeof(d->received), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return fail(d, "the listener broke off before it answered");
        net_tls_feed(d->tls, KS_SPAN(d->received, (size_t)n), &d->out);
        return 0;
    }
}

static int
shake_hands(struct delivery *d, const uint8_t fingerprint[32])
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(65536);
    struct identity who;
    net_tls_feed(d->tls, KS_SPAN_NONE, &d->out);
    for (;;) {
        const enum tls_result result = net_tls_handshake(d->tls);
        KS_TRY(send_out(d));
        if (result == TLS_OK)
            break;
        if (result != TLS_WANT)
            return fail(d, "TLS: %s", result == TLS_CLOSED ? "closed" : net_tls_error(d->tls));
        KS_TRY(receive(d));
    }
    if (net_tls_identity(d->tls, &arena, &who) != 0)
        return fail(d, "the listener's certificate is not valid");
    if (memcmp(who.fingerprint, fingerprint, sizeof(who.fingerprint)) != 0)
        return fail(d, "the listener's certificate is not the one of the client that listens there");
    return 0;
}

/* The length of a whole message, 0 while its header is not there. */
static size_t
message_len(const struct ks_buf *buf)
{
    return buf->len < 8 ? 0 : 8 + (size_t)ks_be32(buf->data + 4);
}

static int
read_answer(struct delivery *d)
{
    uint8_t plain[4096];
    for (;;) {
        enum tls_result result;
        const size_t n = net_tls_read(d->tls, plain, sizeof(plain), &result);
        if (n != 0 && ks_buf_add(&d->answer, plain, n) != 0)
            return fail(d, "the listener's answer is longer than %d bytes", ANSWER_MAX);
        const size_t len = message_len(&d->answer);
        if (len > ANSWER_MAX)
            return fail(d, "the listener's answer is longer than %d bytes", ANSWER_MAX);
        if (len != 0 && d->answer.len >= len) {
            d->answer.len = len;
            return 0;
        }
        if (n != 0)
            continue;
        if (result != TLS_WANT)
            return fail(d, "the listener ended the connection before it answered");
        KS_TRY(send_out(d));
        KS_TRY(receive(d));
    }
}

/* Whether the answer says that the message was taken. */
static enum notice_result
judge(struct delivery *d)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(ARENA_MAX);
    struct kmip_response_message *answer = NULL;
    if (kmip_response_decode(ks_buf_span(&d->answer), &kmip_limits_default, &arena, &answer, NULL) != 0 ||
        answer->n_batch_item != 1) {
        (void)fail(d, "what the listener answered is no response of KMIP to one item");
        return NOTICE_FAILED;
    }
    const struct kmip_response_batch_item *item = answer->batch_item[0];
    if (item->result_status == KMIP_RESULT_STATUS_SUCCESS)
        return NOTICE_SENT;
    const char *reason = kmip_enum_name(KMIP_TAG_RESULT_REASON, item->result_reason);
    (void)fail(d, "the listener refused it: %s", reason != NULL ? reason : "without a reason that is known");
    return NOTICE_REFUSED;
}

static enum notice_result
deliver(struct notifier *n, const struct frame_notice *notice, struct delivery *d)
{
    const struct notifier_address *to = NULL;
    for (size_t i = 0; i < n->n_addresses; i++)
        if (ks_span_is(notice->address, n->addresses[i].text))
            to = &n->addresses[i];
    if (to == NULL) {
        (void)fail(d, "server { listeners } does not have the address");
        return NOTICE_FAILED;
    }
    if (connect_to(d, to) != 0)
        return NOTICE_FAILED;
    if (net_tls_conn_new(n->tls, false, &d->tls) != 0) {
        (void)fail(d, "out of memory");
        return NOTICE_FAILED;
    }
    if (shake_hands(d, notice->fingerprint) != 0)
        return NOTICE_FAILED;
    if (net_tls_write(d->tls, notice->message, &d->out) != 0) {
        (void)fail(d, "TLS: %s", net_tls_error(d->tls));
        return NOTICE_FAILED;
    }
    if (send_out(d) != 0 || read_answer(d) != 0)
        return NOTICE_FAILED;
    const enum notice_result result = judge(d);
    net_tls_close(d->tls, &d->out);
    const char kept = d->why[0];
    if (send_out(d) != 0) /* the answer is there: how the listener ends the connection does not matter */
        d->why[0] = kept;
    return result;
}

/* Talking to the vault */

static int
report(struct notifier *n, const struct frame *to, enum notice_result result, const char *why)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(FRAME_HEADER_LEN + FRAME_WHY_MAX);
    KS_TRY(frame_add(&buf, &(struct frame){.type = FRAME_NOTICED,
                                           .flags = (uint8_t)result,
                                           .connection = to->connection,
                                           .sequence = to->sequence,
                                           .body = result == NOTICE_SENT ? KS_SPAN_NONE : ks_span_str(why)}));
    for (size_t done = 0; done < buf.len;) {
        const ssize_t sent = send(n->vault, buf.data + done, buf.len - done, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return KS_E_CLOSED;
        done += sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

static int
take(struct notifier *n, const struct frame *frame)
{
    struct frame_notice notice;
    if (frame->type != FRAME_NOTICE)
        return KS_E_MALFORMED;
    KS_TRY(frame_notice_decode(frame->body, &notice));
    struct delivery *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return report(n, frame, NOTICE_FAILED, "out of memory");
    d->fd = -1;
    d->out = KS_BUF(2 << 20);
    d->answer = KS_BUF(ANSWER_MAX + 4096);
    d->deadline_ms = ks_monotonic_ms() + DELIVERY_MS;
    const enum notice_result result = deliver(n, &notice, d);
    const int rc = report(n, frame, result, d->why);
    delivery_done(d);
    free(d);
    return rc;
}

int
notifier_run(struct notifier *n)
{
    for (;;) {
        struct frame frame;
        size_t used;
        KS_TRY(frame_take(ks_buf_span(&n->in), &frame, &used));
        if (used != 0) {
            KS_TRY(take(n, &frame));
            ks_buf_drop_front(&n->in, used);
            continue;
        }
        KS_TRY(ks_buf_reserve(&n->in, READ_LEN));
        const ssize_t got = recv(n->vault, n->in.data + n->in.len, READ_LEN, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return KS_E_CLOSED;
        n->in.len += (size_t)got;
    }
}

int
notifier_new(const struct notifier_settings *settings, struct notifier **ret, struct ks_diag *diag)
{
    struct notifier *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return ks_fail(diag, KS_E_NOMEM, "notifier: %s", ks_err_text(KS_E_NOMEM));
    n->vault = settings->vault;
    n->addresses = settings->addresses;
    n->n_addresses = settings->n_addresses;
    n->in = KS_BUF(2 * (FRAME_HEADER_LEN + (size_t)FRAME_BODY_MAX));
    const struct tls_settings tls = {settings->certificate, settings->key, settings->ca, settings->min_version};
    const int rc = net_tls_client_new(&tls, &n->tls, diag);
    if (rc != 0) {
        notifier_free(n);
        return rc;
    }
    *ret = n;
    return 0;
}

void
notifier_free(struct notifier *n)
{
    if (n == NULL)
        return;
    net_tls_server_free(n->tls);
    ks_closep(&n->vault);
    ks_buf_done(&n->in);
    free(n);
}
