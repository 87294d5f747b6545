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
#include "server/engine/engine.h"
#include "server/frame.h"
#include "server/net/tls.h"

enum {
    DELIVERY_MS = 10000, /* from connecting to the whole answer */
    ANSWER_MAX = 65536,  /* an answer has no payload */
    ARENA_MAX = 1 << 20,
    READ_LEN = 16384,
};

/*
 * A delivery. It never waits: it goes on as far as it can, and says what it waits for. One that gets nothing by its
 * deadline has failed; meanwhile the others go on.
 */
enum stage { STAGE_NONE, STAGE_CONNECT, STAGE_SHAKE, STAGE_ANSWER, STAGE_BYE };

struct delivery {
    enum stage stage;
    int fd;
    short events; /* of poll */
    struct tls_conn *tls;
    int64_t deadline_ms;
    uint32_t connection, sequence; /* of the vault's frame */
    uint8_t fingerprint[32];
    struct ks_buf message, out, answer;
    uint8_t received[READ_LEN];
    enum notice_result result;
    char why[FRAME_WHY_MAX]; /* what went wrong */
};

struct notifier {
    const struct notifier_address *addresses;
    size_t n_addresses;
    struct tls_server *tls;
    int vault;
    struct ks_buf in; /* from the vault */
    struct delivery *v[ENGINE_NOTICES_MOST];
    size_t n; /* under way */
};

static void
delivery_free(struct delivery *d)
{
    if (d == NULL)
        return;
    net_tls_conn_free(d->tls);
    ks_closep(&d->fd);
    ks_buf_done(&d->message);
    ks_buf_done(&d->out);
    ks_buf_done(&d->answer);
    ks_wipe(d->received, sizeof(d->received));
    free(d);
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
connect_to(struct delivery *d, const struct notifier_address *to)
{
    d->fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        return fail(d, "no socket: %s", strerror(errno));
    if (connect(d->fd, (const struct sockaddr *)&to->address, to->len) != 0 && errno != EINPROGRESS)
        return fail(d, "cannot connect: %s", strerror(errno));
    d->stage = STAGE_CONNECT;
    d->events = POLLOUT;
    return 0;
}

/* As much as the socket takes: what is left waits for POLLOUT. */
static int
send_out(struct delivery *d)
{
    size_t done = 0;
    while (done < d->out.len) {
        const ssize_t n = send(d->fd, d->out.data + done, d->out.len - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0 && errno != EINTR)
            return fail(d, "the listener broke off: %s", strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
    ks_buf_drop_front(&d->out, done);
    return 0;
}

/* What is there from the network into the TLS connection. */
static int
receive(struct delivery *d)
{
    const ssize_t n = recv(d->fd, d->received, sizeof(d->received), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return fail(d, "the listener broke off before it answered");
    net_tls_feed(d->tls, KS_SPAN(d->received, (size_t)n), &d->out);
    return 0;
}

static int
connected(struct notifier *n, struct delivery *d)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
        return fail(d, "cannot connect: %s", strerror(error));
    if (net_tls_conn_new(n->tls, false, &d->tls) != 0)
        return fail(d, "out of memory");
    net_tls_feed(d->tls, KS_SPAN_NONE, &d->out);
    d->stage = STAGE_SHAKE;
    return 0;
}

/* Who is there has to be the client; then it gets the message. */
static int
shaken(struct delivery *d)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(65536);
    struct identity who;
    if (net_tls_identity(d->tls, &arena, &who) != 0)
        return fail(d, "the listener's certificate is not valid");
    if (memcmp(who.fingerprint, d->fingerprint, sizeof(who.fingerprint)) != 0)
        return fail(d, "the listener's certificate is not the one of the client that listens there");
    if (net_tls_write(d->tls, ks_buf_span(&d->message), &d->out) != 0)
        return fail(d, "TLS: %s", net_tls_error(d->tls));
    d->stage = STAGE_ANSWER;
    return 0;
}

/* The length of a whole message, 0 while its header is not there. */
static size_t
message_len(const struct ks_buf *buf)
{
    return buf->len < 8 ? 0 : 8 + (size_t)ks_be32(buf->data + 4);
}

/* ret_whole: the answer is there; else more has to come. */
static int
read_answer(struct delivery *d, bool *ret_whole)
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
        *ret_whole = len != 0 && d->answer.len >= len;
        if (*ret_whole) {
            d->answer.len = len;
            return 0;
        }
        if (n != 0)
            continue;
        return result == TLS_WANT ? 0 : fail(d, "the listener ended the connection before it answered");
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

/* The next stage, if what it takes is there; ret_waits: more has to come from the listener. */
static int
go_on(struct notifier *n, struct delivery *d, bool *ret_waits)
{
    enum tls_result result;
    bool whole = false;
    *ret_waits = false;
    switch (d->stage) {
    case STAGE_CONNECT:
        return connected(n, d);
    case STAGE_SHAKE:
        result = net_tls_handshake(d->tls);
        *ret_waits = result == TLS_WANT;
        if (result == TLS_OK)
            return shaken(d);
        if (result == TLS_WANT)
            return 0;
        return fail(d, "TLS: %s", result == TLS_CLOSED ? "closed" : net_tls_error(d->tls));
    case STAGE_ANSWER:
        KS_TRY(read_answer(d, &whole));
        *ret_waits = !whole;
        if (!whole)
            return 0;
        d->result = judge(d);
        net_tls_close(d->tls, &d->out);
        d->stage = STAGE_BYE;
        return 0;
    default:
        return 0;
    }
}

/* As far as it goes. True: it is over. */
static bool
advance(struct notifier *n, struct delivery *d, short revents)
{
    const bool comes = (revents & (POLLIN | POLLHUP | POLLERR)) != 0;
    if (d->stage != STAGE_CONNECT && comes && (d->events & POLLIN) != 0 && receive(d) != 0)
        return true;
    for (bool waits = false;;) {
        const enum stage stage = d->stage;
        if (go_on(n, d, &waits) != 0) {
            (void)send_out(d); /* an alert may be in it; what went wrong is known already */
            return true;
        }
        const char kept = d->why[0];
        if (send_out(d) != 0) {
            if (d->stage == STAGE_BYE) /* the answer is there: how the listener ends the connection does not matter */
                d->why[0] = kept;
            return true;
        }
        if (d->out.len != 0 || waits) {
            d->events = (short)((d->out.len != 0 ? POLLOUT : 0) | (d->stage != STAGE_BYE ? POLLIN : 0));
            return false;
        }
        if (stage == STAGE_BYE || d->stage == STAGE_BYE)
            return true;
    }
}

/* Talking to the vault */

static int
report(struct notifier *n, const struct delivery *d)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(FRAME_HEADER_LEN + FRAME_WHY_MAX);
    KS_TRY(frame_add(&buf, &(struct frame){.type = FRAME_NOTICED,
                                           .flags = (uint8_t)d->result,
                                           .connection = d->connection,
                                           .sequence = d->sequence,
                                           .body = d->result == NOTICE_SENT ? KS_SPAN_NONE : ks_span_str(d->why)}));
    for (size_t done = 0; done < buf.len;) {
        const ssize_t sent = send(n->vault, buf.data + done, buf.len - done, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return KS_E_CLOSED;
        done += sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

/* The delivery at that place is over. */
static int
end(struct notifier *n, size_t which)
{
    const int rc = report(n, n->v[which]);
    delivery_free(n->v[which]);
    n->v[which] = n->v[--n->n];
    n->v[n->n] = NULL;
    return rc;
}

static int
begin(struct notifier *n, struct delivery *d, const struct frame_notice *notice)
{
    const struct notifier_address *to = NULL;
    for (size_t i = 0; i < n->n_addresses; i++)
        if (ks_span_is(notice->address, n->addresses[i].text))
            to = &n->addresses[i];
    if (to == NULL)
        return fail(d, "server { listeners } does not have the address");
    if (ks_buf_add_span(&d->message, notice->message) != 0)
        return fail(d, "out of memory");
    memcpy(d->fingerprint, notice->fingerprint, sizeof(d->fingerprint));
    return connect_to(d, to);
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
        return KS_E_NOMEM;
    d->fd = -1;
    d->connection = frame->connection;
    d->sequence = frame->sequence;
    d->message = KS_BUF(FRAME_BODY_MAX);
    d->out = KS_BUF(2 << 20);
    d->answer = KS_BUF(ANSWER_MAX + 4096);
    d->deadline_ms = ks_monotonic_ms() + DELIVERY_MS;
    d->result = NOTICE_FAILED;
    n->v[n->n++] = d;
    return begin(n, d, &notice) == 0 ? 0 : end(n, n->n - 1);
}

/* Whatever came from the vault, as far as there is room for it. */
static int
take_all(struct notifier *n)
{
    while (n->n < ENGINE_NOTICES_MOST) {
        struct frame frame;
        size_t used;
        KS_TRY(frame_take(ks_buf_span(&n->in), &frame, &used));
        if (used == 0)
            return 0;
        KS_TRY(take(n, &frame));
        ks_buf_drop_front(&n->in, used);
    }
    return 0;
}

static int
read_vault(struct notifier *n)
{
    KS_TRY(ks_buf_reserve(&n->in, READ_LEN));
    const ssize_t got = recv(n->vault, n->in.data + n->in.len, READ_LEN, 0);
    if (got < 0 && errno == EINTR)
        return 0;
    if (got <= 0)
        return KS_E_CLOSED;
    n->in.len += (size_t)got;
    return 0;
}

/* How long poll may wait, in milliseconds: to the first deadline. */
static int
patience(const struct notifier *n)
{
    int64_t least = -1;
    const int64_t now = ks_monotonic_ms();
    for (size_t i = 0; i < n->n; i++) {
        const int64_t left = n->v[i]->deadline_ms > now ? n->v[i]->deadline_ms - now : 0;
        least = least < 0 || left < least ? left : least;
    }
    return (int)least;
}

static int
serve(struct notifier *n, const struct pollfd *fds)
{
    const int64_t now = ks_monotonic_ms();
    for (size_t i = n->n; i-- > 0;) { /* backwards: the last takes the place of one that is over */
        struct delivery *d = n->v[i];
        bool over = fds[i].revents != 0 && advance(n, d, fds[i].revents);
        if (!over && d->deadline_ms <= now) {
            (void)fail(d, "the listener took longer than %d seconds", DELIVERY_MS / 1000);
            d->result = d->stage == STAGE_BYE ? d->result : NOTICE_FAILED;
            over = true;
        }
        if (over)
            KS_TRY(end(n, i));
    }
    return 0;
}

int
notifier_run(struct notifier *n)
{
    for (;;) {
        struct pollfd fds[ENGINE_NOTICES_MOST + 1];
        KS_TRY(take_all(n));
        const size_t n_fds = n->n;
        for (size_t i = 0; i < n_fds; i++)
            fds[i] = (struct pollfd){n->v[i]->fd, n->v[i]->events, 0};
        fds[n_fds] = (struct pollfd){n->vault, (short)(n_fds < ENGINE_NOTICES_MOST ? POLLIN : 0), 0};
        if (poll(fds, n_fds + 1, patience(n)) < 0) {
            if (errno != EINTR)
                return KS_E_IO;
            continue;
        }
        KS_TRY(serve(n, fds));
        if (fds[n_fds].revents != 0)
            KS_TRY(read_vault(n));
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
    for (size_t i = 0; i < n->n; i++)
        delivery_free(n->v[i]);
    net_tls_server_free(n->tls);
    ks_closep(&n->vault);
    ks_buf_done(&n->in);
    free(n);
}
