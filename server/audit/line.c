#include "server/audit/line.h"

#include <stdio.h>

#include "base/text.h"

#define FRAME_SEQ "{\"seq\":"
#define FRAME_TS ",\"ts\":\""
#define FRAME_COMMIT ",\"commit\":"
#define FRAME_PREV ",\"prev\":\""
#define FRAME_HASH "\",\"hash\":\""
#define FRAME_END "\"}"

enum {
    HASHED_TAIL = sizeof(FRAME_HASH) - 2 + AUDIT_HASH_HEX + sizeof(FRAME_END) - 1, /* not hashed: `,"hash":"..."}` */
    TAIL = sizeof(FRAME_PREV) - 1 + AUDIT_HASH_HEX + HASHED_TAIL + 1,              /* from `,"prev":` on */
};

int
audit_chain_init(struct audit_chain *chain)
{
    *chain = (struct audit_chain){0};
    return ks_sha256_new(&chain->sha);
}

void
audit_chain_done(struct audit_chain *chain)
{
    ks_sha256_free(chain->sha);
    chain->sha = NULL;
}

static int
hash_line(struct audit_chain *chain, struct ks_span hashed, uint8_t ret[32])
{
    static const uint8_t zero = 0; /* RFC 9162's prefix of a leaf, should the chain become a tree */
    KS_TRY(ks_sha256_update(chain->sha, KS_SPAN(&zero, 1)));
    KS_TRY(ks_sha256_update(chain->sha, hashed));
    return ks_sha256_final(chain->sha, ret);
}

static int
add_number(struct ks_buf *buf, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    return ks_buf_add(buf, digits + at, sizeof(digits) - at);
}

#define ADD_LITERAL(buf, text) ks_buf_add(buf, text, sizeof(text) - 1)

int
audit_chain_add(struct audit_chain *chain, struct ks_span ts, struct ks_span fragment, uint64_t commit,
                struct ks_buf *buf)
{
    if (fragment.len == 0 || fragment.len > AUDIT_LINE_MAX - 512)
        return KS_E_LIMIT;
    const size_t begin = buf->len;
    KS_TRY(ks_buf_reserve(buf, fragment.len + 512));
    ADD_LITERAL(buf, FRAME_SEQ);
    add_number(buf, chain->head.seq + 1);
    ADD_LITERAL(buf, FRAME_TS);
    ks_buf_add_span(buf, ts);
    ADD_LITERAL(buf, "\",");
    ks_buf_add_span(buf, fragment);
    ADD_LITERAL(buf, FRAME_COMMIT);
    add_number(buf, commit);
    ADD_LITERAL(buf, FRAME_PREV);
    ks_hex_add(buf, chain->head.hash, 32);
    KS_TRY(ks_buf_add_u8(buf, '"'));
    uint8_t hash[32];
    KS_TRY(hash_line(chain, KS_SPAN(buf->data + begin, buf->len - begin), hash));
    ks_buf_add(buf, FRAME_HASH + 1, sizeof(FRAME_HASH) - 2);
    ks_hex_add(buf, hash, 32);
    KS_TRY(ks_buf_add_str(buf, FRAME_END "\n"));
    chain->head.seq++;
    chain->head.commit = commit;
    memcpy(chain->head.hash, hash, 32);
    return 0;
}

/* Reading */

static bool
take_literal(struct ks_cursor *c, const char *text)
{
    const struct ks_span want = ks_span_str(text);
    return ks_cursor_left(c) >= want.len && ks_span_equal(ks_cursor_take(c, want.len), want);
}

/* As add_number writes it: no sign, no leading zero. */
static bool
take_number(struct ks_cursor *c, uint64_t *ret)
{
    const size_t begin = c->pos;
    uint64_t v = 0;
    while (c->pos < c->len && c->data[c->pos] >= '0' && c->data[c->pos] <= '9') {
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(c->data[c->pos] - '0'), &v))
            return false;
        c->pos++;
    }
    *ret = v;
    return c->pos > begin && (c->data[begin] != '0' || c->pos == begin + 1);
}

static bool
take_hash(struct ks_cursor *c, uint8_t ret[32])
{
    const struct ks_span hex = ks_cursor_take(c, AUDIT_HASH_HEX);
    for (size_t i = 0; c->err == 0 && i < AUDIT_HASH_HEX; i++) {
        const uint8_t d = hex.data[i];
        if (!(d >= '0' && d <= '9') && !(d >= 'a' && d <= 'f'))
            return false;
        const uint8_t v = (uint8_t)(d <= '9' ? d - '0' : d - 'a' + 10);
        ret[i / 2] = (uint8_t)(i % 2 == 0 ? v << 4 : ret[i / 2] | v);
    }
    return c->err == 0;
}

/* The commit is the last member before the tail. A fragment cannot forge it: quotes inside strings are escaped. */
static bool
find_commit(struct ks_span body, uint64_t *ret)
{
    size_t at = body.len;
    while (at > 0 && body.data[at - 1] >= '0' && body.data[at - 1] <= '9')
        at--;
    const size_t frame = sizeof(FRAME_COMMIT) - 1;
    if (at < frame)
        return false;
    struct ks_cursor c = KS_CURSOR(KS_SPAN(body.data + at - frame, body.len - at + frame));
    return take_literal(&c, FRAME_COMMIT) && take_number(&c, ret);
}

const char *
audit_line_parse(struct ks_span line, struct audit_line *ret)
{
    struct audit_line out = {0};
    struct ks_cursor c = KS_CURSOR(line);
    if (!take_literal(&c, FRAME_SEQ) || !take_number(&c, &out.seq) || !take_literal(&c, FRAME_TS))
        return "does not begin as a record does";
    const size_t ts = c.pos;
    while (c.pos < c.len && c.data[c.pos] != '"' && c.pos - ts < KS_TIME_TEXT_LEN)
        c.pos++;
    out.ts = KS_SPAN(line.data + ts, c.pos - ts);
    if (!take_literal(&c, "\",") || ks_cursor_left(&c) < TAIL)
        return "does not begin as a record does";
    const size_t tail = line.len - TAIL;
    if (!find_commit(KS_SPAN(line.data + c.pos, tail - c.pos), &out.commit))
        return "does not name a commit";
    c.pos = tail;
    if (!take_literal(&c, FRAME_PREV) || !take_hash(&c, out.prev) || !take_literal(&c, FRAME_HASH) ||
        !take_hash(&c, out.hash) || !take_literal(&c, FRAME_END) || ks_cursor_left(&c) != 0)
        return "does not end as a record does";
    *ret = out;
    return NULL;
}

int
audit_chain_follow(struct audit_chain *chain, struct ks_span line, const char **ret_why)
{
    struct audit_line l;
    const char *why = audit_line_parse(line, &l);
    uint8_t hash[32];
    if (why == NULL) {
        const int rc = hash_line(chain, KS_SPAN(line.data, line.len - HASHED_TAIL), hash);
        if (rc != 0) {
            *ret_why = "cannot be hashed";
            return rc;
        }
        if (memcmp(hash, l.hash, 32) != 0)
            why = "was edited: its hash does not fit its text";
        else if (l.seq != chain->head.seq + 1)
            why = "does not have the next number: records before it were removed, inserted or swapped";
        else if (memcmp(l.prev, chain->head.hash, 32) != 0)
            why = "does not continue the chain: the record before it is another one than was written";
        else if (l.commit < chain->head.commit)
            why = "belongs to an earlier commit than the record before it";
    }
    if (why != NULL) {
        *ret_why = why;
        return KS_E_CORRUPT;
    }
    chain->head.seq = l.seq;
    chain->head.commit = l.commit;
    memcpy(chain->head.hash, hash, 32);
    return 0;
}
