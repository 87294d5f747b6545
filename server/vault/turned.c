/*
 * Peers that have turned the roles of their connection (Set Endpoint Role): the vault sends requests, made by the
 * engine (engine_ask), over the connection's net worker, and takes their answers. One at a time each; a peer that does
 * not answer in time is closed. A client has one such connection: a newer one takes the place of the last.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/text.h"
#include "server/vault/internal.h"

enum { TURNED_MOST = 1024, ANSWER_MS = 10000, EACH_ROUND = 64 /* so many can be looked at in every round */ };

static void
unlink_turned(struct vault *v, struct turned *t)
{
    struct turned **at = &v->turned;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    v->n_turned--;
    t->peer->turned = NULL;
    free(t);
}

/* What the engine is told of the request under way: its answer, or why there is none. */
static void
report(struct vault *v, struct turned *t, struct ks_span answer, struct ks_span failure)
{
    const bool asked = t->deadline_ms != 0 || t->committing;
    t->deadline_ms = 0;
    t->committing = false;
    struct job *job = asked && v->state == VAULT_OPEN && !v->failing ? vault_job(v) : NULL;
    if (job == NULL) {
        t->endpoint.notice = 0; /* the engine loads it anew with everything else */
        return;
    }
    if (engine_answered(v->engine, &t->endpoint, answer, failure, &job->reply))
        vault_finish(v, job);
    else
        vault_job_free(v, job);
}

static void
close_it(struct vault *v, struct turned *t, const char *why)
{
    struct channel *c = t->channel;
    struct peer *p = t->peer;
    report(v, t, KS_SPAN_NONE, ks_span_str(why));
    unlink_turned(v, t);
    p->dropped = true;
    channel_tell(c, FRAME_DROP, p->id, KS_SPAN_NONE);
}

void
turned_begin(struct vault *v, struct channel *c, struct peer *p, const struct engine_reply *reply)
{
    for (struct turned *t = v->turned; t != NULL; t = t->next)
        if (memcmp(t->endpoint.fingerprint, p->who.fingerprint, sizeof(p->who.fingerprint)) == 0) {
            close_it(v, t, "the client has opened another connection for it");
            break;
        }
    struct turned *t = v->n_turned < TURNED_MOST ? calloc(1, sizeof(*t)) : NULL;
    if (t == NULL) {
        ks_log_warning("no more connections whose roles are turned can be served; one more was closed");
        p->dropped = true;
        channel_tell(c, FRAME_DROP, p->id, KS_SPAN_NONE);
        return;
    }
    t->channel = c;
    t->peer = p;
    t->endpoint.version = reply->turned_version;
    memcpy(t->endpoint.fingerprint, p->who.fingerprint, sizeof(t->endpoint.fingerprint));
    t->next = v->turned;
    v->turned = t;
    v->n_turned++;
    p->turned = t;
}

void
turned_end(struct vault *v, struct peer *p)
{
    struct turned *t = p->turned;
    if (t == NULL)
        return;
    report(v, t, KS_SPAN_NONE, KS_LIT("the connection ended before the client answered"));
    unlink_turned(v, t);
}

void
turned_forget(struct vault *v)
{
    while (v->turned != NULL)
        unlink_turned(v, v->turned);
}

static void
ask(struct vault *v, struct turned *t)
{
    if (!channel_takes(t->channel))
        return;
    struct job *job = vault_job(v);
    if (job == NULL)
        return;
    if (!engine_ask(v->engine, &t->endpoint, &job->reply)) {
        vault_job_free(v, job);
        return;
    }
    if (job->reply.response.len != 0) {
        job->is_ask = t->committing = true;
        job->channel = t->channel;
        job->connection = t->peer->id;
        t->channel->under_way++;
    }
    vault_finish(v, job);
}

void
turned_next(struct vault *v, int64_t now_ms)
{
    if (v->turned == NULL || v->state != VAULT_OPEN || v->failing || v->stopping)
        return;
    if (now_ms - v->turned_ms < (int64_t)(v->n_turned / EACH_ROUND))
        return;
    v->turned_ms = now_ms;
    for (struct turned *t = v->turned, *next; t != NULL; t = next) {
        const struct channel *c = t->channel;
        next = t->next;
        if (t->deadline_ms == 0 && !t->committing && !t->endpoint.over)
            ask(v, t);
        if (t->endpoint.over)
            close_it(v, t, "its certificate is good no more, or what it says is no KMIP");
        else if (t->deadline_ms != 0 && now_ms > t->deadline_ms)
            close_it(v, t, "the client took longer than 10 seconds");
        if (c->fd < 0)
            return; /* with it others went, which may be the next */
    }
}

/* The record of the request is on stable storage, or not: then the engine loads everything anew. */
void
turned_send(struct vault *v, struct job *job, bool committed)
{
    struct channel *c = job->channel;
    struct peer *p = c->fd >= 0 ? channel_peer(c, job->connection) : NULL;
    c->under_way--;
    job->channel = NULL;
    struct turned *t = p != NULL ? p->turned : NULL;
    if (t == NULL || !t->committing)
        return; /* it is gone, which was reported */
    t->committing = false;
    if (!committed) {
        t->endpoint.notice = 0;
        return;
    }
    t->deadline_ms = ks_monotonic_ms() + ANSWER_MS;
    channel_tell(c, FRAME_ASK, p->id, ks_buf_span(&job->reply.response));
    (void)v;
}

int
turned_answer(struct vault *v, struct peer *p, struct ks_span answer)
{
    struct turned *t = p->turned;
    if (p->dropped)
        return 0;
    if (t == NULL || t->deadline_ms == 0 || answer.len > FRAME_ANSWER_MAX)
        return KS_E_MALFORMED;
    report(v, t, answer, KS_SPAN_NONE);
    return 0;
}
