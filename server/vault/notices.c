/* The notifier as the vault sees it: messages out, one at a time to each listener, and what became of them in
 * (server/net/notifier.h). */
#include <errno.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/log.h"
#include "server/vault/internal.h"

enum { IN_MAX = FRAME_HEADER_LEN + FRAME_WHY_MAX };

/* What became of one that is under way. */
static void
done(struct vault *v, size_t which, enum notice_result result, struct ks_span why)
{
    const uint64_t id = v->notices.v[which].id;
    v->notices.v[which].id = 0;
    struct job *job = v->state == VAULT_OPEN && !v->failing ? vault_job(v) : NULL;
    if (job == NULL)
        return; /* the engine loads it anew with everything else */
    const bool sent = result == NOTICE_SENT;
    const struct ks_span failure = sent || why.len != 0 ? why : KS_LIT("it failed");
    if (engine_notice_done(v->engine, id, result != NOTICE_FAILED, sent ? KS_SPAN_NONE : failure, &job->reply))
        vault_finish(v, job);
    else
        vault_job_free(v, job);
}

/* What is under way is not known to have arrived: it is sent again. */
static void
lose(struct vault *v)
{
    struct notices *n = &v->notices;
    ks_closep(&n->fd);
    ks_buf_done(&n->in);
    ks_buf_done(&n->out);
    for (size_t i = 0; i < ENGINE_NOTICES_MOST; i++)
        if (n->v[i].id != 0 && !n->v[i].committing)
            done(v, i, NOTICE_FAILED, KS_LIT("the notifier ended meanwhile"));
}

void
notices_attach(struct vault *v, int fd)
{
    lose(v);
    v->notices.fd = fd;
    v->notices.in = KS_BUF((size_t)2 * IN_MAX);
    v->notices.out = KS_BUF(ENGINE_NOTICES_MOST * (FRAME_HEADER_LEN + (size_t)FRAME_BODY_MAX));
}

void
notices_close(struct vault *v)
{
    ks_closep(&v->notices.fd);
    ks_buf_done(&v->notices.in);
    ks_buf_done(&v->notices.out);
    for (size_t i = 0; i < ENGINE_NOTICES_MOST; i++)
        v->notices.v[i].id = 0;
}

static size_t
find(const struct notices *n, uint64_t id)
{
    size_t i = 0;
    while (i < ENGINE_NOTICES_MOST && n->v[i].id != id)
        i++;
    return i;
}

/* One more, if there is one; false: there is none now. */
static bool
begin(struct vault *v)
{
    struct notices *n = &v->notices;
    const size_t which = find(n, 0);
    struct job *job = which < ENGINE_NOTICES_MOST ? vault_job(v) : NULL;
    if (job == NULL)
        return false;
    if (!engine_notice(v->engine, &job->reply, &n->v[which].to)) {
        vault_job_free(v, job);
        return false;
    }
    if (job->reply.response.len != 0) {
        n->v[which].id = n->v[which].to.id;
        n->v[which].committing = job->is_notice = true;
        job->notice = which;
    }
    vault_finish(v, job);
    return true;
}

/* The next ones, as far as their listeners are done with what went before. */
void
notices_next(struct vault *v)
{
    struct notices *n = &v->notices;
    const bool has_notifier = n->fd >= 0 || v->config->server_listeners.n == 0; /* else what is left is to be dropped */
    if (!has_notifier || v->state != VAULT_OPEN || v->failing || v->stopping)
        return;
    for (size_t i = 0; i < ENGINE_NOTICES_MOST && begin(v); i++)
        continue;
}

/* The record of it is on stable storage, or not: then the engine loads it anew. */
void
notices_send(struct vault *v, const struct job *job, bool committed)
{
    struct notices *n = &v->notices;
    const size_t which = job->notice;
    const struct engine_notice *to = &n->v[which].to;
    KS_CLEANUP(ks_buf_done) struct ks_buf body = KS_BUF(FRAME_BODY_MAX);
    struct frame_notice notice = {.address = ks_span_str(to->address), .message = ks_buf_span(&job->reply.response)};
    n->v[which].committing = false;
    if (!committed) {
        n->v[which].id = 0;
        return;
    }
    memcpy(notice.fingerprint, to->fingerprint, sizeof(notice.fingerprint));
    int rc = n->fd >= 0 ? frame_notice_encode(&notice, &body) : KS_E_CLOSED;
    if (rc == 0)
        rc = frame_add(&n->out, &(struct frame){.type = FRAME_NOTICE,
                                                .connection = (uint32_t)(to->id >> 32),
                                                .sequence = (uint32_t)to->id,
                                                .body = ks_buf_span(&body)});
    if (rc != 0)
        done(v, which, NOTICE_FAILED, KS_LIT("the notifier is not there, or has no room"));
}

static int
take_frame(struct vault *v, const struct frame *frame)
{
    struct notices *n = &v->notices;
    const uint64_t id = (uint64_t)frame->connection << 32 | frame->sequence;
    if (frame->type != FRAME_NOTICED || frame->body.len > FRAME_WHY_MAX || frame->flags < NOTICE_SENT ||
        frame->flags > NOTICE_FAILED || id == 0)
        return KS_E_MALFORMED;
    const size_t which = find(n, id);
    if (which == ENGINE_NOTICES_MOST)
        return 0; /* of what the engine has loaded anew meanwhile */
    if (n->v[which].committing)
        return KS_E_MALFORMED;
    done(v, which, (enum notice_result)frame->flags, frame->body);
    return 0;
}

static int
take(struct vault *v)
{
    struct notices *n = &v->notices;
    struct frame frame;
    size_t used;
    KS_TRY(ks_buf_reserve(&n->in, IN_MAX));
    const ssize_t got = recv(n->fd, n->in.data + n->in.len, IN_MAX, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got <= 0)
        return KS_E_CLOSED;
    n->in.len += (size_t)got;
    for (;;) {
        KS_TRY(frame_take(ks_buf_span(&n->in), &frame, &used));
        if (used == 0)
            return 0;
        KS_TRY(take_frame(v, &frame));
        ks_buf_drop_front(&n->in, used);
    }
}

void
notices_read(struct vault *v)
{
    const int rc = take(v);
    if (rc == 0)
        return;
    if (rc != KS_E_CLOSED)
        ks_log_error("the notifier sent what makes no sense (%s); it is cut off", ks_err_text(rc));
    lose(v);
}

void
notices_flush(struct vault *v)
{
    struct notices *n = &v->notices;
    size_t done = 0;
    while (n->fd >= 0 && done < n->out.len) {
        const ssize_t sent = send(n->fd, n->out.data + done, n->out.len - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN) {
            lose(v);
            return;
        }
        if (sent < 0)
            break;
        done += (size_t)sent;
    }
    ks_buf_drop_front(&n->out, done);
}
