/* The notifier as the vault sees it: one message at a time out, what became of it in (server/net/notifier.h). */
#include <errno.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/log.h"
#include "server/vault/internal.h"

enum { IN_MAX = FRAME_HEADER_LEN + FRAME_WHY_MAX };

/* What is under way is not known to have arrived: it is sent again. */
static void
lose(struct vault *v)
{
    struct notices *n = &v->notices;
    ks_closep(&n->fd);
    ks_buf_done(&n->in);
    ks_buf_done(&n->out);
    if (n->id != 0 && !n->committing)
        notices_done(v, NOTICE_FAILED, KS_LIT("the notifier ended meanwhile"));
}

void
notices_attach(struct vault *v, int fd)
{
    lose(v);
    v->notices.fd = fd;
    v->notices.in = KS_BUF((size_t)2 * IN_MAX);
    v->notices.out = KS_BUF(FRAME_HEADER_LEN + (size_t)FRAME_BODY_MAX);
}

void
notices_close(struct vault *v)
{
    ks_closep(&v->notices.fd);
    ks_buf_done(&v->notices.in);
    ks_buf_done(&v->notices.out);
    v->notices.id = 0;
}

void
notices_done(struct vault *v, enum notice_result result, struct ks_span why)
{
    const uint64_t id = v->notices.id;
    v->notices.id = 0;
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

/* The next one, when the last is done with. */
void
notices_next(struct vault *v)
{
    struct notices *n = &v->notices;
    const bool has_notifier = n->fd >= 0 || v->config->server_listeners.n == 0; /* else what is left is to be dropped */
    if (!has_notifier || n->id != 0 || v->state != VAULT_OPEN || v->failing || v->stopping)
        return;
    struct job *job = vault_job(v);
    if (job == NULL)
        return;
    if (!engine_notice(v->engine, &job->reply, &n->to)) {
        vault_job_free(v, job);
        return;
    }
    if (job->reply.response.len != 0) {
        n->id = n->to.id;
        n->committing = job->is_notice = true;
    }
    vault_finish(v, job);
}

/* The record of it is on stable storage, or not: then the engine loads it anew. */
void
notices_send(struct vault *v, const struct job *job, bool committed)
{
    struct notices *n = &v->notices;
    KS_CLEANUP(ks_buf_done) struct ks_buf body = KS_BUF(FRAME_BODY_MAX);
    struct frame_notice notice = {.address = ks_span_str(n->to.address), .message = ks_buf_span(&job->reply.response)};
    n->committing = false;
    if (!committed) {
        n->id = 0;
        return;
    }
    memcpy(notice.fingerprint, n->to.fingerprint, sizeof(notice.fingerprint));
    int rc = n->fd >= 0 ? frame_notice_encode(&notice, &body) : KS_E_CLOSED;
    if (rc == 0)
        rc = frame_add(&n->out, &(struct frame){.type = FRAME_NOTICE,
                                                .connection = (uint32_t)(n->id >> 32),
                                                .sequence = (uint32_t)n->id,
                                                .body = ks_buf_span(&body)});
    if (rc != 0)
        notices_done(v, NOTICE_FAILED, KS_LIT("the notifier is not there, or has no room"));
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
    KS_TRY(frame_take(ks_buf_span(&n->in), &frame, &used));
    if (used == 0)
        return 0;
    const uint64_t id = (uint64_t)frame.connection << 32 | frame.sequence;
    if (frame.type != FRAME_NOTICED || frame.body.len > FRAME_WHY_MAX || frame.flags < NOTICE_SENT ||
        frame.flags > NOTICE_FAILED || n->committing)
        return KS_E_MALFORMED;
    if (id == n->id) /* else of what the engine has loaded anew meanwhile */
        notices_done(v, (enum notice_result)frame.flags, frame.body);
    ks_buf_drop_front(&n->in, used);
    return 0;
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
