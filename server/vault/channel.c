/* A net worker as the vault sees it: frames in, connections with their identities, answers out. Nothing is believed. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "server/vault/internal.h"

enum { SLOT_MASK = (1 << 20) - 1 };

/* Connections */

static struct waiting *
take_waiting(struct channel *c, struct peer *p)
{
    struct waiting *w = p->first;
    p->first = w->next;
    if (p->first == NULL)
        p->last = &p->first;
    c->bytes -= w->bytes;
    return w;
}

static void
free_waiting(struct waiting *w)
{
    ks_buf_done(&w->request);
    free(w);
}

static void
peer_close(struct channel *c, struct peer *p)
{
    p->closed = true;
    turned_end(c->vault, p);
    while (p->first != NULL)
        free_waiting(take_waiting(c, p));
    if (p->busy)
        return; /* the task that is under way frees it */
    c->n_open--;
    c->identity_bytes -= p->identity.len;
    ks_buf_done(&p->identity);
    free(p);
}

static struct peer *
find(const struct channel *c, uint32_t id)
{
    const size_t slot = id & SLOT_MASK;
    struct peer *p = slot < c->n_peers ? c->peers[slot] : NULL;
    return p != NULL && p->id == id ? p : NULL;
}

static int
open_peer(struct channel *c, const struct frame *frame)
{
    const size_t slot = frame->connection & SLOT_MASK;
    if (slot >= c->n_peers) {
        const size_t n = slot < 64 ? 128 : 2 * slot; /* at most 2^21 */
        struct peer **peers = reallocarray(c->peers, n, sizeof(struct peer *));
        if (peers == NULL)
            return KS_E_NOMEM;
        memset(peers + c->n_peers, 0, (n - c->n_peers) * sizeof(struct peer *));
        c->peers = peers;
        c->n_peers = n;
    }
    if (c->peers[slot] != NULL)
        return KS_E_MALFORMED;
    /* A worker that was taken over may open as many as it likes: not at the cost of the vault's memory. */
    if (frame->body.len > IDENTITY_ONE_MAX || c->n_open >= PEERS_MOST ||
        c->identity_bytes + frame->body.len > IDENTITY_BYTES_MAX)
        return KS_E_LIMIT;
    struct peer *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return KS_E_NOMEM;
    p->id = frame->connection;
    c->n_open++;
    p->last = &p->first;
    p->identity = KS_BUF(frame->body.len + 1);
    int rc = ks_buf_add_span(&p->identity, frame->body);
    c->identity_bytes += p->identity.len;
    rc = rc != 0 ? rc : identity_decode(ks_buf_span(&p->identity), &p->who);
    if (rc != 0) {
        peer_close(c, p);
        return rc;
    }
    c->peers[slot] = p;
    return 0;
}

/* Requests */

/* wanted: NULL, or what is to be done; then it belongs to the task. */
static int
hand_to_pool(struct channel *c, struct peer *p, uint32_t sequence, struct ks_span request,
             struct engine_prepared *wanted)
{
    struct prepare_task *task = calloc(1, sizeof(*task));
    struct task_owner *owner = calloc(1, sizeof(*owner));
    if (task == NULL || owner == NULL) {
        engine_prepared_free(wanted);
        free(task);
        free(owner);
        return KS_E_NOMEM;
    }
    task->prepared = wanted;
    task->request = KS_BUF(FRAME_BODY_MAX);
    if (ks_buf_add_span(&task->request, request) != 0) {
        prepare_task_free(task);
        free(owner);
        return KS_E_NOMEM;
    }
    *owner = (struct task_owner){c, p, sequence, task->request.cap};
    task->owner = owner;
    c->bytes += owner->bytes;
    p->busy = true;
    c->under_way++;
    prepare_submit(c->vault->pool, task);
    return 0;
}

/*
 * unreadable: the request could not be read, and this is what is known of it; NULL: it is one. ret_wanted: what has to
 * be done before there is an answer; NULL: there is.
 */
static int
handle(struct channel *c, struct peer *p, uint32_t sequence, struct ks_span request, struct engine_prepared *prepared,
       const struct engine_unreadable *unreadable, struct engine_prepared **ret_wanted)
{
    struct vault *v = c->vault;
    struct job *job = vault_job(v);
    if (job == NULL)
        return KS_E_NOMEM;
    job->channel = c;
    job->connection = p->id;
    job->sequence = sequence;
    *ret_wanted = NULL;
    if (unreadable != NULL)
        engine_refuse(v->engine, &p->who, unreadable, &job->reply);
    else if (prepared != NULL)
        engine_handle_prepared(v->engine, &p->who, request, prepared, &job->reply);
    else
        engine_handle(v->engine, &p->who, request, &job->reply);
    if (job->reply.wanted != NULL) {
        *ret_wanted = job->reply.wanted;
        vault_job_free(v, job);
        return 0;
    }
    c->under_way++;
    job->bytes = job->reply.response.cap + job->reply.audit.cap + job->reply.arena.used;
    c->bytes += job->bytes;
    job->reply.drop = job->reply.drop || p->turning; /* it asks behind Set Endpoint Role */
    p->dropped = p->dropped || job->reply.drop || job->reply.response.len == 0;
    p->turning = p->turning || job->reply.turns;
    vault_finish(v, job);
    return 0;
}

static int
refuse_turned(struct channel *c, struct peer *p, uint32_t sequence)
{
    const struct engine_unreadable what = {
        .why = KS_LIT("a request on a connection whose roles are turned; use another one")};
    struct engine_prepared *wanted; /* never: nothing is carried out */
    return handle(c, p, sequence, KS_SPAN_NONE, NULL, &what, &wanted);
}

static int
request(struct channel *c, struct peer *p, uint32_t sequence, struct ks_span body)
{
    if (p->dropped)
        return 0;
    if (p->turning) /* it is a server from there on: this ends the connection, with a refusal on record */
        return refuse_turned(c, p, sequence);
    if (p->busy) {
        struct waiting *w = calloc(1, sizeof(*w));
        if (w == NULL)
            return KS_E_NOMEM;
        w->sequence = sequence;
        w->request = KS_BUF(FRAME_BODY_MAX);
        *p->last = w;
        p->last = &w->next;
        const int rc = ks_buf_add_span(&w->request, body);
        w->bytes = sizeof(*w) + w->request.cap;
        c->bytes += w->bytes;
        return rc;
    }
    struct engine_prepared *wanted;
    if (c->vault->state == VAULT_OPEN && engine_is_slow(body))
        return hand_to_pool(c, p, sequence, body, NULL);
    KS_TRY(handle(c, p, sequence, body, NULL, NULL, &wanted));
    return wanted != NULL ? hand_to_pool(c, p, sequence, body, wanted) : 0;
}

/* HTTP carries one request at a time: nothing of the same peer is under way, or its worker is not one of ours. */
static int
unreadable(struct channel *c, struct peer *p, uint32_t sequence, struct ks_span body)
{
    struct frame_unreadable said;
    if (p->busy)
        return KS_E_MALFORMED;
    KS_TRY(frame_unreadable_decode(body, &said));
    const struct engine_unreadable what = {said.major, said.minor, said.why};
    struct engine_prepared *wanted; /* never: nothing is carried out */
    return p->dropped ? 0 : handle(c, p, sequence, KS_SPAN_NONE, NULL, &what, &wanted);
}

void
channel_prepared(struct vault *v, struct prepare_task *task)
{
    struct task_owner *owner = task->owner;
    struct channel *c = owner->channel;
    struct peer *p = owner->peer;
    /* The connection may be gone: what it asked for is still done and put on record. */
    struct engine_prepared *wanted = NULL;
    int rc = handle(c, p, owner->sequence, ks_buf_span(&task->request), task->prepared, NULL, &wanted);
    if (wanted != NULL) { /* the batch came further, and there is more to be done; the same list, or the first */
        task->prepared = wanted;
        prepare_submit(v->pool, task);
        return;
    }
    c->under_way--;
    c->bytes -= owner->bytes;
    free(owner);
    prepare_task_free(task);
    p->busy = false;
    if (p->closed) {
        peer_close(c, p);
        return;
    }
    /* An answer that cannot be passed on closes the channel, and with it the peer. */
    while (rc == 0 && c->fd >= 0 && p->first != NULL && !p->busy) {
        struct waiting *w = take_waiting(c, p);
        rc = request(c, p, w->sequence, ks_buf_span(&w->request));
        free_waiting(w);
    }
    if (rc != 0)
        channel_close(c);
}

/* Frames */

static int
take_frame(struct channel *c, const struct frame *frame)
{
    if (frame->type == FRAME_OPEN)
        return open_peer(c, frame);
    struct peer *p = find(c, frame->connection);
    if (p == NULL)
        return KS_E_MALFORMED;
    if (frame->type == FRAME_REQUEST)
        return request(c, p, frame->sequence, frame->body);
    if (frame->type == FRAME_ANSWER)
        return turned_answer(c->vault, p, frame->body);
    if (frame->type == FRAME_UNREADABLE)
        return unreadable(c, p, frame->sequence, frame->body);
    if (frame->type != FRAME_CLOSE)
        return KS_E_MALFORMED;
    c->peers[frame->connection & SLOT_MASK] = NULL;
    peer_close(c, p);
    return 0;
}

bool
channel_takes(const struct channel *c)
{
    return c->fd >= 0 && c->out.len < CHANNEL_OUT_MAX && c->under_way < CHANNEL_JOBS_MAX &&
           c->bytes < CHANNEL_BYTES_MAX;
}

void
channel_read(struct channel *c)
{
    if (ks_buf_reserve(&c->in, CHANNEL_READ) != 0) {
        channel_close(c);
        return;
    }
    const ssize_t n = recv(c->fd, c->in.data + c->in.len, CHANNEL_READ, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        channel_close(c);
        return;
    }
    c->in.len += (size_t)n;
    size_t done = 0, used = 0;
    int rc = 0;
    do {
        struct frame frame;
        done += used;
        rc = frame_take(KS_SPAN(c->in.data + done, c->in.len - done), &frame, &used);
        if (rc == 0 && used != 0)
            rc = take_frame(c, &frame);
    } while (rc == 0 && used != 0 && c->fd >= 0);
    if (rc != 0) {
        ks_log_error("a network process sent what makes no sense (%s); it is cut off", ks_err_text(rc));
        channel_close(c);
    }
    ks_buf_drop_front(&c->in, done);
}

void
channel_flush(struct channel *c)
{
    size_t done = 0;
    while (c->fd >= 0 && done < c->out.len) {
        const ssize_t n = send(c->fd, c->out.data + done, c->out.len - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            channel_close(c);
        if (n < 0)
            break;
        done += (size_t)n;
    }
    ks_buf_drop_front(&c->out, done);
}

void
channel_answer(struct channel *c, const struct job *job)
{
    const struct engine_reply *reply = &job->reply;
    c->under_way--;
    c->bytes -= job->bytes;
    struct peer *p = c->fd >= 0 ? find(c, job->connection) : NULL;
    if (p == NULL)
        return; /* gone meanwhile */
    const struct frame answer = {.type = FRAME_RESPONSE,
                                 .flags = reply->turns ? FRAME_TURN : 0,
                                 .connection = job->connection,
                                 .sequence = job->sequence,
                                 .body = ks_buf_span(&reply->response)};
    const struct frame drop = {.type = FRAME_DROP, .connection = job->connection, .sequence = job->sequence};
    const bool fits = answer.body.len != 0 && answer.body.len <= FRAME_BODY_MAX;
    if (answer.body.len > FRAME_BODY_MAX) /* the engine's limit is lower; if it fails, one connection ends, not all */
        ks_log_error("an answer of %zu bytes is too large; the connection is closed", answer.body.len);
    int rc = fits ? frame_add(&c->out, &answer) : 0;
    if (rc == 0 && (reply->drop || !fits))
        rc = frame_add(&c->out, &drop);
    if (rc != 0) {
        ks_log_error("an answer of %zu bytes cannot be passed on (%s)", answer.body.len, ks_err_text(rc));
        channel_close(c);
        return;
    }
    if (reply->turns && fits && !p->dropped)
        turned_begin(c->vault, c, p, reply);
}

struct peer *
channel_peer(const struct channel *c, uint32_t connection)
{
    return find(c, connection);
}

void
channel_tell(struct channel *c, enum frame_type type, uint32_t connection, struct ks_span body)
{
    const struct frame frame = {.type = (uint8_t)type, .connection = connection, .body = body};
    if (c->fd < 0)
        return;
    const int rc = frame_add(&c->out, &frame);
    if (rc != 0) {
        ks_log_error("a network process does not take what it is sent (%s); it is cut off", ks_err_text(rc));
        channel_close(c);
    }
}

/* Life */

int
channel_add(struct vault *v, int fd)
{
    struct channel *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return KS_E_NOMEM;
    c->vault = v;
    c->fd = fd;
    c->in = KS_BUF(FRAME_HEADER_LEN + (size_t)FRAME_BODY_MAX + CHANNEL_READ);
    c->out = KS_BUF((size_t)CHANNEL_OUT_MAX + CHANNEL_BYTES_MAX + (4 << 20));
    c->next = v->channels;
    v->channels = c;
    return 0;
}

void
channel_close(struct channel *c)
{
    ks_closep(&c->fd);
    for (size_t i = 0; i < c->n_peers; i++)
        if (c->peers[i] != NULL) {
            peer_close(c, c->peers[i]);
            c->peers[i] = NULL;
        }
    ks_buf_done(&c->out);
}

void
channel_reap(struct vault *v)
{
    for (struct channel **at = &v->channels; *at != NULL;) {
        struct channel *c = *at;
        if (c->fd >= 0 || c->under_way != 0) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        ks_buf_done(&c->in);
        ks_buf_done(&c->out);
        free(c->peers);
        free(c);
    }
}
