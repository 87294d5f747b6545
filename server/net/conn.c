/* One connection: bytes in, requests to the vault, answers back, and every way in which that can stall or go wrong. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "server/net/internal.h"

enum {
    TTLV_HEADER = 8,
    KEEP_MAX = 4096, /* capacity that an idle buffer may keep */
    ANONYMOUS_REQUEST_MAX = 16384,
    ANONYMOUS_SECONDS = 60, /* the whole life of a connection that enrols */
    LINGER_MS = 2000,
    IDLE_DRAIN_MS = 2000,   /* reload: a connection this quiet is closed */
    FIRST_REQUEST_MS = 500, /* stop: for the first request of a connection that has asked nothing yet */
};

static void on_read(evutil_socket_t fd, short what, void *arg);
static void on_write(evutil_socket_t fd, short what, void *arg);

static void
account(struct conn *c)
{
    const size_t now = c->in.cap + c->out.cap + c->cipher.cap + (c->http != NULL ? http_reader_memory(c->http) : 0);
    c->worker->memory += now - c->accounted;
    c->accounted = now;
}

/* Gives back what a large message needed. */
static void
shrink(struct ks_buf *buf)
{
    if (buf->len == 0 && buf->cap > KEEP_MAX)
        ks_buf_done(buf);
}

static void
set_reading(struct conn *c, bool on)
{
    if (c->reading == on)
        return;
    c->reading = on;
    (void)(on ? event_add(c->event_read, NULL) : event_del(c->event_read));
}

static void
set_writing(struct conn *c, bool on)
{
    if (c->writing == on)
        return;
    c->writing = on;
    (void)(on ? event_add(c->event_write, NULL) : event_del(c->event_write));
}

void
net_conn_accept(struct net_worker *w, int fd, const struct sockaddr_storage *peer, bool https)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        (void)close(fd);
        return;
    }
    c->worker = w;
    c->fd = fd;
    c->peer = *peer;
    c->since_ms = c->active_ms = w->now_ms;
    /* Bounds that no honest connection meets; what really bounds these is the worker's memory_bytes. */
    c->in = KS_BUF((size_t)w->config->limits_request_bytes + 2 * (size_t)READ_MAX);
    c->out = KS_BUF((size_t)w->config->limits_memory_bytes);
    c->cipher = KS_BUF((size_t)w->config->limits_memory_bytes);
    if (worker_attach(w, c) != 0) {
        (void)close(fd);
        free(c);
        return;
    }
    const int rc = addresses_take(w->addresses, (const struct sockaddr *)peer,
                                  (size_t)w->config->limits_connections_per_address, &c->address);
    if (rc == KS_E_LIMIT)
        worker_log_peer(c, "refused: too many connections from this address");
    c->event_read = event_new(w->base, fd, EV_READ | EV_PERSIST, on_read, c);
    c->event_write = event_new(w->base, fd, EV_WRITE | EV_PERSIST, on_write, c);
    if (rc != 0 || c->event_read == NULL || c->event_write == NULL || (https && net_http_new(c) != 0) ||
        net_tls_conn_new(w->tls, https, &c->tls) != 0) {
        net_conn_free(c);
        return;
    }
    set_reading(c, true);
}

static void
tell_vault(struct conn *c, enum frame_type type, uint32_t sequence, struct ks_span body)
{
    struct net_worker *w = c->worker;
    const struct frame frame = {.type = (uint8_t)type, .connection = c->id, .sequence = sequence, .body = body};
    if (frame_add(&w->to_vault, &frame) != 0)
        w->rc = KS_E_NOMEM; /* the loop ends: a worker that lost a frame can serve nobody */
    if (w->to_vault.len > VAULT_BACKLOG)
        w->vault_full = true;
    worker_post(w);
}

static void
leave_handshake(struct conn *c)
{
    if (c->state != CONN_HANDSHAKE)
        return;
    c->state = CONN_OPEN;
    c->worker->n_handshakes--;
    if (c->queued)
        TAILQ_REMOVE(&c->worker->handshakes, c, handshake_link);
    c->queued = false;
}

static void
forget_at_vault(struct conn *c)
{
    if (c->known)
        tell_vault(c, FRAME_CLOSE, 0, KS_SPAN_NONE);
    c->known = false;
}

void
net_conn_free(struct conn *c)
{
    struct net_worker *w = c->worker;
    forget_at_vault(c);
    leave_handshake(c);
    if (c->dirty)
        TAILQ_REMOVE(&w->dirty, c, dirty_link);
    if (c->event_read != NULL)
        event_free(c->event_read);
    if (c->event_write != NULL)
        event_free(c->event_write);
    net_tls_conn_free(c->tls);
    (void)close(c->fd);
    addresses_drop(w->addresses, c->address);
    w->n_strangers -= c->stranger;
    ks_buf_done(&c->in);
    ks_buf_done(&c->out);
    ks_buf_done(&c->cipher);
    net_http_free(c);
    account(c);
    worker_detach(c);
    free(c);
}

/* Sends what lies in scratch; what the socket does not take is kept. False: the connection is gone. */
static bool
send_scratch(struct conn *c)
{
    struct ks_buf *scratch = &c->worker->scratch;
    const int rc = scratch->err;
    size_t sent = 0;
    if (rc == 0 && scratch->len != 0 && c->cipher.len == 0) {
        const ssize_t n = send(c->fd, scratch->data, scratch->len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            ks_buf_reset(scratch);
            net_conn_free(c);
            return false;
        }
        sent = n > 0 ? (size_t)n : 0;
    }
    if (rc == 0 && sent < scratch->len) {
        if (c->stalled_ms == 0)
            c->stalled_ms = c->worker->now_ms;
        (void)ks_buf_add(&c->cipher, scratch->data + sent, scratch->len - sent);
        set_writing(c, true);
        account(c);
    }
    scratch->len = 0; /* ciphertext: nothing to wipe */
    scratch->err = 0;
    if (rc != 0 || c->cipher.err != 0) {
        net_conn_free(c);
        return false;
    }
    return true;
}

/* How many bytes of out make up the next write: whole messages up to a record, or one that is larger than that. */
static size_t
next_chunk(struct ks_span out)
{
    size_t chunk = 0;
    while (out.len - chunk >= TTLV_HEADER) {
        const size_t message = TTLV_HEADER + (size_t)ks_be32(out.data + chunk + 4);
        if (message > out.len - chunk)
            return out.len; /* cannot be: only whole messages are put there */
        if (chunk != 0 && chunk + message > TLS_RECORD_MAX)
            break;
        chunk += message;
        if (chunk >= TLS_RECORD_MAX)
            break;
    }
    return chunk != 0 ? chunk : out.len;
}

/* Encrypts and sends while the peer takes it. False: the connection is gone. */
static bool
send_answers(struct conn *c)
{
    size_t done = 0;
    while (done < c->out.len && c->cipher.len == 0) {
        while (done < c->out.len && c->worker->scratch.len < CIPHER_BATCH) {
            const struct ks_span rest = KS_SPAN(c->out.data + done, c->out.len - done);
            const size_t chunk = c->http != NULL ? rest.len : next_chunk(rest);
            if (net_tls_write(c->tls, KS_SPAN(rest.data, chunk), &c->worker->scratch) != 0) {
                c->worker->scratch.len = 0;
                net_conn_free(c);
                return false;
            }
            done += chunk;
        }
        if (!send_scratch(c))
            return false;
    }
    ks_buf_drop_front(&c->out, done);
    shrink(&c->out);
    account(c);
    return true;
}

/* Our side says good-bye; the peer may still be sending, and a reset would take our last answer from it. */
static void
begin_linger(struct conn *c)
{
    net_tls_close(c->tls, &c->worker->scratch);
    if (!send_scratch(c))
        return;
    if (c->eof || c->cipher.len != 0 || shutdown(c->fd, SHUT_WR) != 0) {
        net_conn_free(c);
        return;
    }
    forget_at_vault(c);
    leave_handshake(c);
    c->state = CONN_LINGER;
    c->since_ms = c->worker->now_ms;
    set_reading(c, true);
}

static bool
all_answered(const struct conn *c)
{
    return c->in_flight == 0 && c->out.len == 0 && c->cipher.len == 0;
}

/* Whether another request may go to the vault: what it may answer must have somewhere to wait. */
bool
net_conn_may_ask(const struct conn *c)
{
    const struct net_worker *w = c->worker;
    const size_t in_flight_max = net_tls_is_anonymous(c->tls) ? 1 : (size_t)w->config->limits_in_flight;
    return !w->vault_full && !c->refused && c->in_flight < in_flight_max &&
           c->out.len + c->cipher.len <= (size_t)w->config->limits_pending_bytes;
}

static size_t
request_max(const struct conn *c)
{
    return net_tls_is_anonymous(c->tls) ? ANONYMOUS_REQUEST_MAX : (size_t)c->worker->config->limits_request_bytes;
}

/* Whether bytes can begin a request message: tag 420078, a structure, and a length that is allowed. */
static bool
can_begin(const struct conn *c, struct ks_span bytes)
{
    static const uint8_t head[] = {0x42, 0x00, 0x78, 0x01};
    const size_t n = bytes.len < sizeof(head) ? bytes.len : sizeof(head);
    if (memcmp(bytes.data, head, n) != 0)
        return false;
    return bytes.len < TTLV_HEADER || ks_be32(bytes.data + 4) <= request_max(c) - TTLV_HEADER;
}

void
net_conn_ask(struct conn *c, enum frame_type type, struct ks_span body)
{
    c->in_flight++;
    c->active_ms = c->worker->now_ms;
    tell_vault(c, type, c->next_sequence++, body);
}

void
net_conn_tell(struct conn *c, enum frame_type type, struct ks_span body)
{
    tell_vault(c, type, 0, body);
}

/* Takes whole requests from the front of bytes as far as they may go. Returns how many bytes were used. */
static size_t
take_requests(struct conn *c, struct ks_span bytes)
{
    if (c->http != NULL)
        return net_http_take(c, bytes);
    if (c->turned)
        return net_turned_take(c, bytes);
    size_t used = 0;
    c->partial_ms = c->partial_ms != 0 ? c->partial_ms : c->worker->now_ms;
    while (used < bytes.len && !c->refused) {
        const struct ks_span rest = KS_SPAN(bytes.data + used, bytes.len - used);
        if (!can_begin(c, rest)) {
            if (!net_conn_may_ask(c))
                break;
            /* The engine answers a message that cannot be one, and audits it; then the connection ends. */
            net_conn_ask(c, FRAME_REQUEST, KS_SPAN(rest.data, rest.len < TTLV_HEADER ? rest.len : TTLV_HEADER));
            worker_log_peer(c, "sent what is no KMIP request, or too large a one");
            c->refused = true;
            return bytes.len;
        }
        const size_t whole = rest.len < TTLV_HEADER ? SIZE_MAX : TTLV_HEADER + (size_t)ks_be32(rest.data + 4);
        if (whole > rest.len)
            return used; /* partial: its clock runs */
        c->partial_ms = c->worker->now_ms;
        if (!net_conn_may_ask(c))
            break;
        net_conn_ask(c, FRAME_REQUEST, KS_SPAN(rest.data, whole));
        used += whole;
    }
    c->partial_ms = 0; /* nothing left, or what is left waits for us and not for the peer */
    return c->refused ? bytes.len : used;
}

/* False: the connection is gone. */
static bool
take_input(struct conn *c, struct ks_span bytes)
{
    if (c->refused)
        return true;
    size_t used = 0;
    if (c->in.len == 0)
        used = take_requests(c, bytes);
    if (used < bytes.len && ks_buf_add(&c->in, bytes.data + used, bytes.len - used) != 0) {
        net_conn_free(c);
        return false;
    }
    if (c->in.len > bytes.len - used)
        ks_buf_drop_front(&c->in, take_requests(c, ks_buf_span(&c->in)));
    shrink(&c->in);
    account(c);
    return true;
}

/*
 * Whether a peer is to be read from no more. To a client a connection is open as soon as it has said Finished itself;
 * its first request may be on its way when the server is told to stop, held back by its own kernel even (RFC 9293,
 * 3.7.4: a small segment waits until what was sent before is acknowledged).
 */
static bool
is_stopped(const struct conn *c)
{
    const struct net_worker *w = c->worker;
    return w->drain == DRAIN_STOP && (c->next_sequence != 0 || w->now_ms - w->drain_ms > FIRST_REQUEST_MS);
}

/* After anything that changed what is pending: read on, pause, or end. May free it. */
static void
settle(struct conn *c)
{
    if ((c->refused || c->eof || is_stopped(c)) && all_answered(c) && (c->in.len == 0 || c->partial_ms != 0)) {
        begin_linger(c);
        return;
    }
    if (c->worker->memory > (size_t)c->worker->config->limits_memory_bytes && c->accounted > READ_MAX) {
        worker_log_peer(c, "cut off: limits.memory_bytes is reached");
        net_conn_free(c);
        return;
    }
    /* Whole requests that wait stop the reading; so does a peer that does not take its answers. */
    const bool waits = c->in.len != 0 && c->partial_ms == 0;
    set_reading(c, !c->eof && !c->refused && !waits && !is_stopped(c));
}

/* Takes nothing more from the peer; ends when all is answered. May free it. */
static void
refuse(struct conn *c, const char *why)
{
    worker_log_peer(c, why);
    c->refused = true;
    c->partial_ms = 0;
    ks_buf_done(&c->in);
    if (c->http != NULL && c->in_flight == 0)
        net_http_refuse(c, 408, why);
    account(c);
    settle(c);
}

static int
introduce(struct conn *c)
{
    struct net_worker *w = c->worker;
    char address[ADDRESS_TEXT_LEN];
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(16384);
    KS_CLEANUP(ks_buf_done) struct ks_buf body = KS_BUF(16384);
    struct identity who;
    KS_TRY(net_tls_identity(c->tls, &arena, &who));
    address_text((const struct sockaddr *)&c->peer, address);
    who.address = ks_span_str(address);
    who.http = c->http != NULL;
    KS_TRY(identity_encode(&who, &body));
    leave_handshake(c);
    worker_check_listeners(w);
    c->active_ms = w->now_ms;
    c->known = true;
    tell_vault(c, FRAME_OPEN, 0, ks_buf_span(&body));
    return 0;
}

/*
 * Anyone can connect without a certificate, and what they ask is put on record: how many at a time and how many in a
 * minute is bounded, so that strangers cannot take the places of clients nor fill the disk.
 */
static bool
let_in(struct conn *c)
{
    struct net_worker *w = c->worker;
    const int64_t minute = 60000, each = minute / w->config->limits_enrolments_per_minute;
    if (!net_tls_is_anonymous(c->tls))
        return true;
    if (w->strangers_due_ms < w->now_ms)
        w->strangers_due_ms = w->now_ms;
    if (w->n_strangers >= (size_t)w->config->limits_enrolments || w->strangers_due_ms + each > w->now_ms + minute)
        return false;
    w->strangers_due_ms += each;
    w->n_strangers++;
    c->stranger = true;
    return true;
}

/* The handshake as far as the bytes reach. False: not open (yet), or gone. */
static bool
handshake(struct conn *c)
{
    switch (net_tls_handshake(c->tls)) {
    case TLS_WANT:
        if (send_scratch(c))
            set_reading(c, true);
        return false;
    case TLS_OK:
        if (!let_in(c)) {
            worker_log_peer(c, "refused: too many connections without a certificate just now");
            break;
        }
        if (introduce(c) == 0)
            return send_scratch(c);
        worker_log_peer(c, "the client's certificate has expired");
        break;
    case TLS_CLOSED:
    case TLS_FAILED:
        worker_log_peer(c, net_tls_error(c->tls));
        break;
    }
    begin_linger(c); /* sends the alert that says why */
    return false;
}

void
net_conn_receive(struct conn *c)
{
    struct net_worker *w = c->worker;
    const ssize_t n = recv(c->fd, w->received, sizeof(w->received), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        set_reading(c, true);
        return;
    }
    if (n < 0 || (n == 0 && c->state != CONN_OPEN)) {
        net_conn_free(c);
        return;
    }
    if (c->state == CONN_LINGER)
        return;
    net_tls_feed(c->tls, KS_SPAN(w->received, (size_t)n), &w->scratch);
    if (!net_tls_is_open(c->tls) && !handshake(c))
        return;
    enum tls_result result = n == 0 ? TLS_CLOSED : TLS_WANT;
    for (size_t got; n != 0 && (got = net_tls_read(c->tls, w->plain, sizeof(w->plain), &result)) > 0;) {
        const bool alive = take_input(c, KS_SPAN(w->plain, got));
        ks_wipe(w->plain, got);
        if (!alive) {
            ks_buf_reset(&w->scratch); /* what TLS had to say to this peer must not reach another */
            return;
        }
    }
    if (!send_scratch(c)) /* alerts, answers to key updates */
        return;
    if (result == TLS_FAILED) {
        worker_log_peer(c, net_tls_error(c->tls));
        begin_linger(c);
        return;
    }
    c->eof = c->eof || result == TLS_CLOSED;
    settle(c);
}

/* Handshakes take close to a millisecond each: they stand in line, and established connections go first. */
static void
on_read(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *c = arg;
    if (c->state == CONN_HANDSHAKE) {
        set_reading(c, false);
        worker_queue_handshake(c);
        return;
    }
    net_conn_receive(c);
}

static void
on_write(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct conn *c = arg;
    if (c->cipher.len != 0) {
        const ssize_t n = send(fd, c->cipher.data, c->cipher.len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            net_conn_free(c);
            return;
        }
        if (n > 0) {
            ks_buf_drop_front(&c->cipher, (size_t)n);
            c->stalled_ms = c->worker->now_ms;
        }
    }
    if (c->cipher.len != 0)
        return;
    c->stalled_ms = 0;
    shrink(&c->cipher);
    account(c);
    set_writing(c, false);
    net_conn_flush(c);
}

void
net_conn_answer(struct conn *c, struct ks_span body)
{
    if (c->state != CONN_OPEN || c->in_flight == 0)
        return;
    c->in_flight--;
    c->active_ms = c->worker->now_ms;
    if ((c->http != NULL ? net_http_answer(c, body) : ks_buf_add_span(&c->out, body)) != 0) {
        net_conn_free(c);
        return;
    }
    account(c);
    worker_mark_dirty(c);
}

void
net_conn_drop(struct conn *c)
{
    if (c->state != CONN_OPEN)
        return;
    c->refused = true;
    c->in_flight = 0;
    ks_buf_done(&c->in);
    account(c);
    worker_mark_dirty(c);
}

void
net_conn_flush(struct conn *c)
{
    if (c->state == CONN_OPEN && send_answers(c))
        net_conn_resume(c);
}

void
net_conn_resume(struct conn *c)
{
    if (c->state != CONN_OPEN)
        return;
    if (c->in.len != 0 && c->partial_ms == 0) {
        ks_buf_drop_front(&c->in, take_requests(c, ks_buf_span(&c->in)));
        shrink(&c->in);
        account(c);
    }
    settle(c);
}

static bool
sweep_drain(struct conn *c)
{
    const struct net_worker *w = c->worker;
    const int64_t since = w->now_ms - w->drain_ms;
    const int64_t bound = w->drain == DRAIN_STOP ? w->config->limits_stop_timeout : w->config->limits_reload_timeout;
    if (since > bound * 1000 || (c->state == CONN_HANDSHAKE && is_stopped(c))) {
        net_conn_free(c);
        return false;
    }
    if (c->state != CONN_OPEN)
        return true;
    if (w->drain == DRAIN_STOP) {
        settle(c);
        return false;
    }
    if (all_answered(c) && c->in.len == 0 && c->partial_ms == 0 && w->now_ms - c->active_ms > IDLE_DRAIN_MS) {
        begin_linger(c);
        return false;
    }
    return true;
}

void
net_conn_sweep(struct conn *c)
{
    struct net_worker *w = c->worker;
    const struct server_config *config = w->config;
    const int64_t age = w->now_ms - c->since_ms;
    if (w->drain != DRAIN_NO && !sweep_drain(c))
        return;
    switch ((enum conn_state)c->state) {
    case CONN_HANDSHAKE:
        if (age > config->limits_handshake_timeout * 1000) {
            worker_log_peer(c, "the TLS handshake took too long");
            net_conn_free(c);
        }
        return;
    case CONN_LINGER:
        if (age > LINGER_MS)
            net_conn_free(c);
        return;
    case CONN_OPEN:
        break;
    }
    if (c->stalled_ms != 0 && w->now_ms - c->stalled_ms > config->limits_write_timeout * 1000) {
        worker_log_peer(c, "cut off: it does not take its answers");
        net_conn_free(c);
    } else if (c->partial_ms != 0 && w->now_ms - c->partial_ms > config->limits_request_timeout * 1000) {
        refuse(c, "closed: a request did not arrive whole in time");
    } else if (net_tls_is_anonymous(c->tls) && age > (int64_t)ANONYMOUS_SECONDS * 1000 && !c->refused) {
        refuse(c, "closed: enrolment took too long");
    } else if (!c->turned && all_answered(c) && w->now_ms - c->active_ms > config->limits_idle_timeout * 1000) {
        begin_linger(c);
    }
}
