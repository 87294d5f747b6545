#include "server/net/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "server/net/internal.h"

enum {
    ACCEPT_BATCH = 8, /* per wake-up: the other workers get their share, and established connections their turn */
    HANDSHAKE_BATCH = 2,
    SWEEP_MS = 250,
};

/* Connections by number */

int
worker_attach(struct net_worker *w, struct conn *c)
{
    if (w->n_conns == w->n_slots)
        return KS_E_LIMIT;
    const uint32_t slot = w->free_slots[w->free_head];
    w->free_head = (w->free_head + 1) % w->n_slots;
    w->slots[slot] = c;
    c->id = slot | w->generations[slot] << SLOT_BITS;
    w->n_conns++;
    w->n_handshakes++;
    return 0;
}

void
worker_detach(struct conn *c)
{
    struct net_worker *w = c->worker;
    const uint32_t slot = c->id & SLOT_MASK;
    w->slots[slot] = NULL;
    w->generations[slot]++;
    w->n_conns--;
    w->free_slots[(w->free_head + w->n_slots - 1 - w->n_conns) % w->n_slots] = slot;
    worker_check_listeners(w);
    if (w->drain != DRAIN_NO && w->n_conns == 0)
        worker_post(w);
}

static struct conn *
find(struct net_worker *w, uint32_t id)
{
    const uint32_t slot = id & SLOT_MASK;
    struct conn *c = slot < w->n_slots ? w->slots[slot] : NULL;
    return c != NULL && c->id == id ? c : NULL;
}

void
worker_log_peer(struct conn *c, const char *what)
{
    struct net_worker *w = c->worker;
    if (w->now_ms - w->said_ms < 1000) {
        w->unsaid++;
        return;
    }
    char address[ADDRESS_TEXT_LEN];
    address_text((const struct sockaddr *)&c->peer, address);
    if (w->unsaid != 0)
        ks_log_notice("%s: %s (and %u lines like it were left out)", address, what, w->unsaid);
    else
        ks_log_notice("%s: %s", address, what);
    w->said_ms = w->now_ms;
    w->unsaid = 0;
}

/* Listening */

static void
set_listening(struct net_worker *w, bool on)
{
    if (w->listening == on)
        return;
    w->listening = on;
    for (size_t i = 0; i < w->n_listeners; i++)
        (void)(on ? event_add(w->listeners[i].event, NULL) : event_del(w->listeners[i].event));
}

void
worker_check_listeners(struct net_worker *w)
{
    set_listening(w, w->drain == DRAIN_NO && w->n_conns < w->n_slots &&
                         w->n_handshakes < (size_t)w->config->limits_handshakes);
}

static void
on_accept(evutil_socket_t fd_listening, short what, void *arg)
{
    (void)what;
    const struct listener *listener = arg;
    struct net_worker *w = listener->worker;
    for (int i = 0; i < ACCEPT_BATCH && w->listening; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof(peer);
        const int fd = accept4(fd_listening, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                ks_log_warning("cannot accept connections just now: %s", strerror(errno));
                set_listening(w, false); /* the next sweep tries again */
            }
            return;
        }
        net_conn_accept(w, fd, &peer, listener->https);
        worker_check_listeners(w);
    }
}

/* Between the loop's rounds: what all connections together produced leaves in few system calls */

void
worker_mark_dirty(struct conn *c)
{
    if (!c->dirty)
        TAILQ_INSERT_TAIL(&c->worker->dirty, c, dirty_link);
    c->dirty = true;
    worker_post(c->worker);
}

void
worker_queue_handshake(struct conn *c)
{
    if (!c->queued)
        TAILQ_INSERT_TAIL(&c->worker->handshakes, c, handshake_link);
    c->queued = true;
    worker_post(c->worker);
}

void
worker_post(struct net_worker *w)
{
    if (w->posted)
        return;
    w->posted = true;
    event_active(w->post, 0, 0);
}

static void
end(struct net_worker *w, int rc)
{
    w->rc = w->rc != 0 ? w->rc : rc;
    (void)event_base_loopbreak(w->base);
}

static void
flush_vault(struct net_worker *w)
{
    size_t done = 0;
    while (done < w->to_vault.len) {
        const ssize_t n = send(w->vault, w->to_vault.data + done, w->to_vault.len - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            end(w, KS_E_CLOSED);
            return;
        }
        if (n < 0)
            break;
        done += (size_t)n;
    }
    ks_buf_drop_front(&w->to_vault, done);
    const bool waits = w->to_vault.len != 0;
    if (waits != w->vault_writing)
        (void)(waits ? event_add(w->vault_write, NULL) : event_del(w->vault_write));
    w->vault_writing = waits;
    if (!w->vault_full || w->to_vault.len > VAULT_BACKLOG / 4)
        return;
    w->vault_full = false;
    for (size_t i = 0; i < w->n_slots && !w->vault_full; i++)
        if (w->slots[i] != NULL)
            net_conn_resume(w->slots[i]);
}

static void
do_handshakes(struct net_worker *w)
{
    for (int i = 0; i < HANDSHAKE_BATCH && !TAILQ_EMPTY(&w->handshakes); i++) {
        struct conn *c = TAILQ_FIRST(&w->handshakes);
        TAILQ_REMOVE(&w->handshakes, c, handshake_link);
        c->queued = false;
        net_conn_receive(c);
    }
    const struct timeval now = {0, 0};
    if (!TAILQ_EMPTY(&w->handshakes)) /* in the next round, after whoever else has something */
        (void)event_add(w->post_later, &now);
}

static void
on_post(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct net_worker *w = arg;
    w->posted = true; /* what comes up now is done below */
    do_handshakes(w);
    while (!TAILQ_EMPTY(&w->dirty)) {
        struct conn *c = TAILQ_FIRST(&w->dirty);
        TAILQ_REMOVE(&w->dirty, c, dirty_link);
        c->dirty = false;
        net_conn_flush(c);
    }
    flush_vault(w);
    w->posted = false;
    if (w->rc != 0 || (w->drain != DRAIN_NO && w->n_conns == 0 && w->to_vault.len == 0))
        end(w, w->rc);
}

static void
on_post_later(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    worker_post(arg);
}

/* The vault */

static int
take_frames(struct net_worker *w)
{
    size_t used, done = 0;
    do {
        struct frame frame;
        const struct ks_span rest = KS_SPAN(w->from_vault.data + done, w->from_vault.len - done);
        KS_TRY(frame_take(rest, &frame, &used));
        struct conn *c = used != 0 ? find(w, frame.connection) : NULL;
        done += used;
        if (c == NULL)
            continue; /* gone meanwhile */
        if (frame.type == FRAME_RESPONSE) {
            c->turned = c->turned || (frame.flags & FRAME_TURN) != 0;
            net_conn_answer(c, frame.body);
        } else if (frame.type == FRAME_ASK)
            net_turned_ask(c, frame.body);
        else if (frame.type == FRAME_DROP)
            net_conn_drop(c);
        else
            return KS_E_MALFORMED;
    } while (used != 0);
    ks_buf_drop_front(&w->from_vault, done);
    return 0;
}

static void
on_vault_read(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct net_worker *w = arg;
    if (ks_buf_reserve(&w->from_vault, VAULT_READ) != 0) {
        end(w, w->from_vault.err);
        return;
    }
    const ssize_t n = recv(fd, w->from_vault.data + w->from_vault.len, VAULT_READ, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end(w, KS_E_CLOSED);
        return;
    }
    w->from_vault.len += (size_t)n;
    const int rc = take_frames(w);
    if (rc != 0)
        end(w, rc);
}

static void
on_vault_write(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    worker_post(arg);
}

/* Time and signals */

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct net_worker *w = arg;
    w->now_ms = ks_monotonic_ms();
    worker_check_listeners(w);
    for (size_t i = 0; i < w->n_slots; i++)
        if (w->slots[i] != NULL)
            net_conn_sweep(w->slots[i]);
    if (w->drain != DRAIN_NO)
        worker_post(w);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
    (void)what;
    struct net_worker *w = arg;
    const enum drain wanted = sig == SIGTERM ? DRAIN_STOP : DRAIN_IDLE;
    if (w->drain >= wanted)
        return;
    /* What had arrived by now is in flight too: one last look into each socket before reading ends. */
    for (size_t i = 0; wanted == DRAIN_STOP && i < w->n_slots; i++)
        if (w->slots[i] != NULL && w->slots[i]->state == CONN_OPEN && w->slots[i]->reading)
            net_conn_receive(w->slots[i]);
    w->drain = wanted;
    w->drain_ms = ks_monotonic_ms();
    worker_check_listeners(w);
    on_sweep(-1, 0, w);
}

/* Life */

static int
make_slots(struct net_worker *w, size_t n)
{
    w->slots = calloc(n, sizeof(struct conn *));
    w->generations = calloc(n, sizeof(*w->generations));
    w->free_slots = calloc(n, sizeof(*w->free_slots));
    if (w->slots == NULL || w->generations == NULL || w->free_slots == NULL)
        return KS_E_NOMEM;
    w->n_slots = n;
    for (size_t i = 0; i < n; i++)
        w->free_slots[i] = (uint32_t)i;
    return 0;
}

static int
make_events(struct net_worker *w, const struct net_settings *settings)
{
    static const struct timeval sweep_every = {0, SWEEP_MS * 1000L};
    w->base = event_base_new();
    if (w->base == NULL)
        return KS_E_NOMEM;
    w->vault_read = event_new(w->base, w->vault, EV_READ | EV_PERSIST, on_vault_read, w);
    w->vault_write = event_new(w->base, w->vault, EV_WRITE | EV_PERSIST, on_vault_write, w);
    w->post = event_new(w->base, -1, 0, on_post, w);
    w->post_later = evtimer_new(w->base, on_post_later, w);
    w->sweep = event_new(w->base, -1, EV_PERSIST, on_sweep, w);
    w->sig_term = evsignal_new(w->base, SIGTERM, on_signal, w);
    w->sig_usr1 = evsignal_new(w->base, SIGUSR1, on_signal, w);
    if (w->vault_read == NULL || w->vault_write == NULL || w->post == NULL || w->post_later == NULL ||
        w->sweep == NULL || w->sig_term == NULL || w->sig_usr1 == NULL || event_add(w->vault_read, NULL) != 0 ||
        event_add(w->sweep, &sweep_every) != 0 || event_add(w->sig_term, NULL) != 0 ||
        event_add(w->sig_usr1, NULL) != 0)
        return KS_E_NOMEM;
    for (size_t i = 0; i < settings->n_listeners && i < KS_ARRAY_LEN(w->listeners); i++) {
        struct listener *listener = &w->listeners[i];
        listener->worker = w;
        listener->https = settings->https != NULL && settings->https[i];
        listener->event = event_new(w->base, settings->listeners[i], EV_READ | EV_PERSIST, on_accept, listener);
        if (listener->event == NULL)
            return KS_E_NOMEM;
        w->n_listeners++;
    }
    return 0;
}

static void
freep_worker(struct net_worker **worker)
{
    net_worker_free(*worker);
}

int
net_worker_new(const struct net_settings *settings, struct net_worker **ret, struct ks_diag *diag)
{
    const struct server_config *config = settings->config;
    KS_CLEANUP(freep_worker) struct net_worker *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return ks_fail(diag, KS_E_NOMEM, "net worker: %s", ks_err_text(KS_E_NOMEM));
    w->vault = settings->vault;
    w->config = config;
    w->now_ms = ks_monotonic_ms();
    w->to_vault = KS_BUF(4 * (size_t)VAULT_BACKLOG + (size_t)config->limits_memory_bytes);
    w->from_vault = KS_BUF(FRAME_HEADER_LEN + (size_t)FRAME_BODY_MAX + VAULT_READ);
    w->scratch = KS_BUF((size_t)config->limits_memory_bytes);
    TAILQ_INIT(&w->dirty);
    TAILQ_INIT(&w->handshakes);
    const struct tls_settings tls = {settings->certificate, settings->key, settings->ca, config->tls_min_version};
    KS_TRY(net_tls_server_new(&tls, &w->tls, diag));
    uint64_t key;
    size_t share = ((size_t)config->limits_connections + settings->n_workers - 1) / settings->n_workers;
    if (share > SLOT_MASK)
        share = SLOT_MASK;
    int rc = getrandom(&key, sizeof(key), 0) == (ssize_t)sizeof(key) ? 0 : KS_E_CRYPTO;
    rc = rc != 0 ? rc : addresses_new(key, &w->addresses);
    rc = rc != 0 ? rc : make_slots(w, share);
    rc = rc != 0 ? rc : make_events(w, settings);
    if (rc != 0)
        return ks_fail(diag, rc, "net worker: %s", ks_err_text(rc));
    worker_check_listeners(w);
    *ret = w;
    w = NULL; /* handed over */
    return 0;
}

static void
free_event(struct event *event)
{
    if (event != NULL)
        event_free(event);
}

void
net_worker_free(struct net_worker *w)
{
    if (w == NULL)
        return;
    w->drain = DRAIN_STOP; /* no listener is put in force again */
    w->posted = true;
    for (size_t i = 0; i < w->n_slots && w->slots != NULL; i++)
        if (w->slots[i] != NULL)
            net_conn_free(w->slots[i]);
    for (size_t i = 0; i < w->n_listeners; i++)
        free_event(w->listeners[i].event);
    free_event(w->vault_read);
    free_event(w->vault_write);
    free_event(w->post);
    free_event(w->post_later);
    free_event(w->sweep);
    free_event(w->sig_term);
    free_event(w->sig_usr1);
    if (w->base != NULL)
        event_base_free(w->base);
    net_tls_server_free(w->tls);
    addresses_free(w->addresses);
    ks_buf_done(&w->to_vault);
    ks_buf_done(&w->from_vault);
    ks_buf_done(&w->scratch);
    free(w->slots);
    free(w->generations);
    free(w->free_slots);
    ks_closep(&w->vault);
    ks_wipe(w, sizeof(*w));
    free(w);
}

int
net_worker_run(struct net_worker *w)
{
    if (event_base_dispatch(w->base) < 0)
        return KS_E_INTERNAL;
    return w->rc;
}
