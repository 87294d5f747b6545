/* Replies: the answer and what has to be durable before it leaves. */
#include "server/engine/engine.h"

enum { RESPONSE_MAX = 16 << 20, ARENA_MAX = 64 << 20, AUDIT_MAX = 16 << 20 };

int
engine_reply_init(struct engine_reply *reply)
{
    *reply = (struct engine_reply){
        .response = KS_BUF(RESPONSE_MAX), .arena = KS_ARENA(ARENA_MAX), .audit = KS_BUF(AUDIT_MAX)};
    return ks_buf_reserve(&reply->response, 1024);
}

void
engine_reply_reset(struct engine_reply *reply)
{
    ks_buf_reset(&reply->response);
    ks_buf_reset(&reply->audit);
    ks_arena_reset(&reply->arena);
    reply->drop = reply->turns = false;
    reply->wanted = NULL;
    reply->job = (struct commit_job){0};
}

void
engine_reply_done(struct engine_reply *reply)
{
    ks_buf_done(&reply->response);
    ks_buf_done(&reply->audit);
    ks_arena_done(&reply->arena);
}
