#include "server/engine/stream.h"

#include <stdlib.h>

#include "server/engine/ctx.h"

static void
stream_free(struct stream *s)
{
    ks_cipher_stream_free(s->cipher);
    ks_hash_stream_free(s->hash);
    ks_mac_free(s->mac);
    ks_buf_done(&s->whole);
    ks_buf_done(&s->claim);
    ks_wipe(s, sizeof(*s));
    free(s);
}

static void
take_out(struct streams *streams, struct stream **at)
{
    struct stream *s = *at;
    *at = s->next;
    streams->n--;
    stream_free(s);
}

void
streams_clear(struct streams *streams)
{
    while (streams->first != NULL)
        take_out(streams, &streams->first);
    *streams = (struct streams){0};
}

void
streams_expire(struct engine *engine, int64_t now_s)
{
    struct stream **at = &engine->streams.first;
    while (*at != NULL) {
        if (now_s - (*at)->used_s >= STREAM_LIFE_S)
            take_out(&engine->streams, at);
        else
            at = &(*at)->next;
    }
}

void
streams_rollback(struct engine *engine, size_t touches)
{
    struct stream **at = &engine->streams.first;
    while (*at != NULL) {
        if ((*at)->request == engine->n_requests && (*at)->touch > touches)
            take_out(&engine->streams, at);
        else
            at = &(*at)->next;
    }
}

void
streams_forget(struct engine *engine, const char *uid)
{
    struct stream **at = &engine->streams.first;
    while (*at != NULL) {
        if (strcmp((*at)->uid, uid) == 0)
            take_out(&engine->streams, at);
        else
            at = &(*at)->next;
    }
}

int
stream_part(struct ctx *ctx, const struct part_fields *f, enum part *ret)
{
    if (f->has_correlation && f->init)
        return engine_fail(ctx, COND_BAD_FIELD,
                           "an Init Indicator begins a new stream, a Correlation Value goes on with one: send one of "
                           "the two");
    if (!f->has_correlation && f->final && !f->init)
        return engine_fail(ctx, COND_CORRELATION,
                           "the last part of a stream needs the Correlation Value that the first part was answered "
                           "with");
    *ret = f->has_correlation ? (f->final ? PART_LAST : PART_NEXT) : f->init && !f->final ? PART_FIRST : PART_WHOLE;
    return 0;
}

/* A stream goes on with the rights that it was begun with: with the same ticket, or without one. */
static const uint8_t *
ticket_of(const struct ctx *ctx)
{
    static const uint8_t none[32];
    return ctx->ticket != NULL ? ctx->ticket->digest : none;
}

/* Correlation values are not guessed, but compared as if they were. */
static struct stream *
find(struct ctx *ctx, struct ks_span value)
{
    struct stream *found = NULL;
    streams_expire(ctx->engine, ctx->now);
    for (struct stream *s = ctx->engine->streams.first; s != NULL; s = s->next)
        if (value.len == STREAM_VALUE && ks_equal_secret(s->value, value.data, STREAM_VALUE))
            found = s;
    return found != NULL && found->client == ctx->client && found->operation == ctx->op->value &&
                   memcmp(found->ticket, ticket_of(ctx), sizeof(found->ticket)) == 0
               ? found
               : NULL;
}

int
stream_find(struct ctx *ctx, struct ks_span value, struct stream **ret)
{
    struct stream *s = find(ctx, value);
    if (s == NULL && value.len == STREAM_VALUE && ks_be32(value.data) != ctx->engine->boot)
        return engine_fail(ctx, COND_NO_STREAM,
                           "the stream was begun before the server was last started, and ended with that; begin again");
    if (s == NULL)
        return engine_fail(ctx, COND_NO_STREAM,
                           "this client has no stream of %s with that Correlation Value: it has ended, lapsed after %d "
                           "minutes without a part, or never was; begin again with an Init Indicator",
                           ctx->op->name, STREAM_LIFE_S / 60);
    *ret = s;
    return 0;
}

int
stream_key(struct ctx *ctx, enum part part, const struct kmip_uid *uid, struct ks_span value, struct stream **ret,
           struct object **ret_key)
{
    struct object *key;
    if (part == PART_WHOLE || part == PART_FIRST)
        return engine_object(ctx, uid, ret_key);
    KS_TRY(stream_find(ctx, value, ret));
    const struct kmip_uid own = uid_text(ks_span_str((*ret)->uid));
    KS_TRY(engine_object(ctx, uid->type != 0 ? uid : &own, &key));
    if (strcmp(key->uid, (*ret)->uid) != 0)
        return engine_fail(ctx, COND_CORRELATION, "the stream was begun with another key than %s", key->uid);
    *ret_key = key;
    return 0;
}

int
stream_data(struct ctx *ctx, enum part part, bool has_data)
{
    if (!has_data && (part == PART_WHOLE || part == PART_NEXT))
        return engine_fail(ctx, COND_MISSING, "the request has no Data");
    return 0;
}

/* The address of the connection, where it can tell one from another. */
static void
address_of(const struct ctx *ctx, char ret[64])
{
    const struct ks_span a = ctx->who->address;
    memset(ret, 0, 64);
    if (a.len < 64 && a.len != 0)
        memcpy(ret, a.data, a.len);
}

static void
spend(struct streams *streams, const struct stream *s)
{
    struct stream_spent *spent = &streams->spent[streams->n_spent++ % STREAM_SPENT];
    *spent = (struct stream_spent){.client = s->client, .operation = s->operation};
    memcpy(spent->uid, s->uid, sizeof(s->uid));
    memcpy(spent->address, s->address, sizeof(s->address));
    memcpy(spent->value, s->value, sizeof(s->value));
}

/* A value that a stream like this one has left behind, or a new one. */
static int
new_value(struct ctx *ctx, struct stream *s)
{
    struct streams *streams = &ctx->engine->streams;
    for (size_t i = 0; s->address[0] != 0 && i < STREAM_SPENT; i++) {
        struct stream_spent *spent = &streams->spent[i];
        if (spent->client != s->client || spent->operation != s->operation || strcmp(spent->uid, s->uid) != 0 ||
            strcmp(spent->address, s->address) != 0)
            continue;
        memcpy(s->value, spent->value, sizeof(s->value));
        *spent = (struct stream_spent){0};
        return 0;
    }
    ks_put_be32(s->value, ctx->engine->boot);
    return engine_random(ctx->engine, s->value + 4, STREAM_VALUE - 4);
}

int
stream_open(struct ctx *ctx, const struct object *key, struct stream **ret)
{
    struct engine *engine = ctx->engine;
    size_t own = 0;
    streams_expire(engine, ctx->now);
    for (const struct stream *s = engine->streams.first; s != NULL; s = s->next)
        own += s->client == ctx->client;
    if (own >= STREAM_CLIENT_MOST)
        return engine_fail(
            ctx, COND_SERVER_LIMIT,
            "this client has %d streams under way, and may not have more; finish one, or wait %d minutes",
            STREAM_CLIENT_MOST, STREAM_LIFE_S / 60);
    if (engine->streams.n >= STREAM_MOST)
        return engine_fail(ctx, COND_SERVER_LIMIT, "%d streams are under way, and that is all; try again later",
                           STREAM_MOST);
    struct stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return KS_E_NOMEM;
    s->client = ctx->client;
    memcpy(s->ticket, ticket_of(ctx), sizeof(s->ticket));
    s->operation = ctx->op->value;
    if (key != NULL)
        memcpy(s->uid, key->uid, sizeof(s->uid));
    address_of(ctx, s->address);
    const int rc = new_value(ctx, s);
    if (rc != 0) {
        stream_free(s);
        return rc;
    }
    s->whole.max = STREAM_COLLECT;
    s->claim.max = 1 << 16;
    s->next = engine->streams.first;
    engine->streams.first = s;
    engine->streams.n++;
    stream_touch(ctx, s);
    *ret = s;
    return 0;
}

void
stream_touch(struct ctx *ctx, struct stream *s)
{
    s->used_s = ctx->now;
    s->request = ctx->engine->n_requests;
    s->touch = ++ctx->tx.touches;
    ctx->once = true;
}

int
stream_room(struct ctx *ctx, size_t more)
{
    size_t all = more;
    for (const struct stream *s = ctx->engine->streams.first; s != NULL; s = s->next)
        all += s->whole.len + (s->cipher != NULL ? ks_cipher_stream_collected(s->cipher) : 0);
    if (all > STREAM_COLLECT_ALL)
        return engine_fail(ctx, COND_SERVER_LIMIT, "the server keeps %d MiB of parts already; try again later",
                           STREAM_COLLECT_ALL >> 20);
    return 0;
}

int
stream_collect(struct ctx *ctx, struct stream *s, struct ks_span data)
{
    KS_TRY(stream_room(ctx, data.len));
    if (ks_buf_add_span(&s->whole, data) == KS_E_LIMIT)
        return engine_fail(ctx, COND_SERVER_LIMIT,
                           "with this algorithm the parts are kept until the last one, %d bytes of them at most",
                           STREAM_COLLECT);
    return s->whole.err;
}

int
stream_answer(struct ctx *ctx, enum part part, struct stream *stream, struct ks_span *ret_value, bool *ret_has)
{
    struct streams *streams = &ctx->engine->streams;
    *ret_has = part == PART_FIRST || part == PART_NEXT;
    if (*ret_has)
        return ks_arena_span(ctx->arena, KS_SPAN(stream->value, STREAM_VALUE), ret_value);
    for (struct stream **at = &streams->first; part == PART_LAST && *at != NULL; at = &(*at)->next)
        if (*at == stream) {
            spend(streams, stream);
            take_out(streams, at);
            break;
        }
    return 0;
}
