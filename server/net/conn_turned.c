/* A connection whose roles are turned (Set Endpoint Role): requests go out, one at a time, and answers come in. */
#include "server/net/internal.h"

enum { TTLV_HEADER = 8 };

void
net_turned_ask(struct conn *c, struct ks_span body)
{
    if (c->state != CONN_OPEN || !c->turned || c->refused)
        return;
    if (ks_buf_add_span(&c->out, body) != 0) {
        net_conn_free(c);
        return;
    }
    c->asked = true;
    c->active_ms = c->worker->now_ms;
    worker_mark_dirty(c);
}

/* Whether bytes can begin the answer that is waited for. */
static bool
can_begin(const struct conn *c, struct ks_span bytes)
{
    static const uint8_t head[] = {0x42, 0x00, 0x7B, 0x01};
    const size_t n = bytes.len < sizeof(head) ? bytes.len : sizeof(head);
    if (!c->asked || memcmp(bytes.data, head, n) != 0)
        return false;
    return bytes.len < TTLV_HEADER || ks_be32(bytes.data + 4) <= FRAME_ANSWER_MAX - TTLV_HEADER;
}

size_t
net_turned_take(struct conn *c, struct ks_span bytes)
{
    size_t used = 0;
    c->partial_ms = c->partial_ms != 0 ? c->partial_ms : c->worker->now_ms;
    while (used < bytes.len) {
        const struct ks_span rest = KS_SPAN(bytes.data + used, bytes.len - used);
        if (!can_begin(c, rest)) {
            worker_log_peer(c, "closed: it serves, and sent what is no answer, one too long, or one to nothing");
            c->refused = true;
            c->partial_ms = 0;
            return bytes.len;
        }
        const size_t whole = rest.len < TTLV_HEADER ? SIZE_MAX : TTLV_HEADER + (size_t)ks_be32(rest.data + 4);
        if (whole > rest.len)
            return used; /* partial: its clock runs */
        c->asked = false;
        c->active_ms = c->worker->now_ms;
        net_conn_tell(c, FRAME_ANSWER, KS_SPAN(rest.data, whole));
        used += whole;
    }
    c->partial_ms = 0;
    return used;
}
