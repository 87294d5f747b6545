#include "server/engine/async.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "crypto/hash.h"
#include "server/engine/message.h"

#define PREFIX "request/"
enum {
    FORMAT = 1,
    KEY_LEN = sizeof(PREFIX) - 1 + ASYNC_ID_LEN + ASYNC_ID_LEN,
    PLAIN_MAX = 2 << 20,
    SEALED_MAX = PLAIN_MAX + 1024,
    LOAD_MAX = 4 << 20,
    FLAG_ORDERED = 1,
    FLAG_ON_ERROR = 2,
    RUN_MOST = 64, /* in one tick */
};

/* What the row holds besides the request itself. */
struct kept {
    struct identity who;
    struct ks_span correlation; /* Server Correlation Value of the request that was put off */
    struct ks_span placeholder[PLACEHOLDERS];
    struct ks_span body; /* a request message while it is not carried out, the response message after */
};

static void
request_free(struct async_request *request)
{
    if (request == NULL)
        return;
    ks_buf_done(&request->row);
    free(request);
}

void
async_done(struct async *async)
{
    for (size_t i = 0; i < ASYNC_MOST; i++)
        request_free(async->v[i]);
    *async = (struct async){0};
}

static bool
is_open(const struct async_request *r)
{
    return r->stage == ASYNC_WAITING || r->stage == ASYNC_SUBMITTED;
}

/* Rows */

static void
put_span(struct ks_buf *buf, struct ks_span s)
{
    ks_buf_add_be32(buf, (uint32_t)s.len);
    ks_buf_add_span(buf, s);
}

static struct ks_span
get_span(struct ks_cursor *c)
{
    const uint32_t len = ks_cursor_be32(c);
    return ks_cursor_take(c, len);
}

static int
key_text(const uint8_t id[ASYNC_ID_LEN], struct ks_buf *ret)
{
    ks_buf_add_str(ret, PREFIX);
    return ks_hex_add(ret, id, ASYNC_ID_LEN);
}

static int
plain_text(const struct async_request *r, const struct kept *kept, struct ks_buf *ret)
{
    ks_buf_add_u8(ret, FORMAT);
    put_span(ret, ks_span_str(r->client->name));
    ks_buf_add_u8(ret, (uint8_t)r->stage);
    ks_buf_add_be32(ret, r->operation);
    ks_buf_add_be64(ret, (uint64_t)r->submitted_us);
    ks_buf_add_be64(ret, (uint64_t)r->finished_us);
    ks_buf_add(ret, r->batch, sizeof(r->batch));
    ks_buf_add_be32(ret, r->place);
    ks_buf_add_u8(ret, (uint8_t)((r->ordered ? FLAG_ORDERED : 0) | (r->on_error ? FLAG_ON_ERROR : 0)));
    ks_buf_add_u8(ret, r->slow);
    ks_buf_add(ret, kept->who.fingerprint, sizeof(kept->who.fingerprint));
    put_span(ret, kept->who.name);
    put_span(ret, kept->who.subject);
    put_span(ret, kept->who.serial);
    put_span(ret, kept->who.address);
    put_span(ret, kept->who.tls);
    put_span(ret, kept->correlation);
    ks_buf_add_u8(ret, PLACEHOLDERS);
    for (size_t i = 0; i < PLACEHOLDERS; i++)
        put_span(ret, kept->placeholder[i]);
    put_span(ret, kept->body);
    return ret->err;
}

static int
parse(struct ks_span plain, struct async_request *r, struct ks_span *ret_client, struct kept *kept)
{
    struct ks_cursor c = KS_CURSOR(plain);
    if (ks_cursor_u8(&c) != FORMAT)
        return KS_E_UNSUPPORTED;
    *ret_client = get_span(&c);
    r->stage = (enum async_stage)ks_cursor_u8(&c);
    r->operation = ks_cursor_be32(&c);
    r->submitted_us = (int64_t)ks_cursor_be64(&c);
    r->finished_us = (int64_t)ks_cursor_be64(&c);
    const struct ks_span batch = ks_cursor_take(&c, sizeof(r->batch));
    r->place = ks_cursor_be32(&c);
    const uint8_t flags = ks_cursor_u8(&c);
    r->ordered = (flags & FLAG_ORDERED) != 0;
    r->on_error = (flags & FLAG_ON_ERROR) != 0;
    r->slow = ks_cursor_u8(&c) != 0;
    const struct ks_span fingerprint = ks_cursor_take(&c, sizeof(kept->who.fingerprint));
    kept->who.name = get_span(&c);
    kept->who.subject = get_span(&c);
    kept->who.serial = get_span(&c);
    kept->who.address = get_span(&c);
    kept->who.tls = get_span(&c);
    kept->correlation = get_span(&c);
    const uint8_t n = ks_cursor_u8(&c);
    for (size_t i = 0; i < n; i++) {
        const struct ks_span s = get_span(&c);
        if (i < PLACEHOLDERS)
            kept->placeholder[i] = s;
    }
    kept->body = get_span(&c);
    if (c.err != 0 || ks_cursor_left(&c) != 0)
        return KS_E_MALFORMED;
    memcpy(r->batch, batch.data, sizeof(r->batch));
    memcpy(kept->who.fingerprint, fingerprint.data, sizeof(kept->who.fingerprint));
    kept->who.authenticated = true;
    return 0;
}

/* The row's contents, in the arena. */
static int
open_row(struct engine *engine, struct ks_arena *arena, struct ks_span key, struct ks_span row, struct async_request *r,
         struct ks_span *ret_client, struct kept *kept)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(PLAIN_MAX);
    KS_TRY(keyring_open_sealed(engine->keyring, KEYRING_OBJECT, key, row, &plain));
    struct ks_span copy;
    KS_TRY(ks_arena_span(arena, ks_buf_span(&plain), &copy));
    return parse(copy, r, ret_client, kept);
}

static int
open_kept(struct ctx *ctx, const struct async_request *request, struct kept *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf key = KS_BUF(KEY_LEN + 1);
    struct async_request again = {0};
    struct ks_span client;
    KS_TRY(key_text(request->id, &key));
    return open_row(ctx->engine, ctx->arena, ks_buf_span(&key), ks_buf_span(&request->row), &again, &client, ret);
}

int
async_load(struct engine *engine, struct ks_span key, struct ks_span value, struct ks_diag *diag)
{
    const size_t n = sizeof(PREFIX) - 1;
    if (key.len < n || memcmp(key.data, PREFIX, n) != 0)
        return 0;
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(LOAD_MAX);
    KS_CLEANUP(ks_buf_done) struct ks_buf id = KS_BUF(ASYNC_ID_LEN + 1);
    struct async *async = &engine->async;
    struct kept kept = {0};
    struct ks_span client;
    struct async_request *r = calloc(1, sizeof(*r));
    if (r != NULL)
        r->row = KS_BUF(SEALED_MAX);
    if (r == NULL || ks_buf_add_span(&r->row, value) != 0) {
        request_free(r);
        return ks_fail(diag, KS_E_NOMEM, "out of memory while loading pending requests");
    }
    int rc = ks_hex_decode(KS_SPAN(key.data + n, key.len - n), &id);
    rc = rc != 0 ? rc : id.len != ASYNC_ID_LEN || async->n == ASYNC_MOST ? KS_E_MALFORMED : 0;
    rc = rc != 0 ? rc : open_row(engine, &arena, key, value, r, &client, &kept);
    r->client = rc == 0 ? clients_find(&engine->clients, client) : NULL;
    if (rc != 0 || r->client == NULL) {
        request_free(r);
        return ks_fail(diag, rc == KS_E_NOMEM ? rc : KS_E_CORRUPT,
                       "system row %.*s of the store is damaged or was changed (%s); restore the store from a backup",
                       (int)(key.len & 127), (const char *)key.data, ks_err_text(rc));
    }
    memcpy(r->id, id.data, ASYNC_ID_LEN);
    async->v[async->n++] = r;
    return 0;
}

/* Changes: a slot of the table gets another request, or none; its row follows. */

struct slot_change {
    size_t slot;
    struct async_request *before, *after;
};

static void
set_slot(struct engine *engine, size_t slot, struct async_request *request)
{
    struct async *async = &engine->async;
    async->n += (request != NULL) - (async->v[slot] != NULL);
    async->v[slot] = request;
}

static void
undo_slot(struct engine *engine, void *arg)
{
    const struct slot_change *c = arg;
    set_slot(engine, c->slot, c->before);
    request_free(c->after);
}

static void
done_slot(struct engine *engine, void *arg)
{
    (void)engine;
    const struct slot_change *c = arg;
    request_free(c->before);
}

/* kept NULL: the request is forgotten. The new one is a copy of `next`. */
static int
change_slot(struct ctx *ctx, size_t slot, const struct async_request *next, const struct kept *kept)
{
    struct engine *engine = ctx->engine;
    KS_CLEANUP(ks_buf_done) struct ks_buf key = KS_BUF(KEY_LEN + 1);
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(PLAIN_MAX);
    KS_CLEANUP(ks_buf_done) struct ks_buf sealed = KS_BUF(SEALED_MAX);
    struct store_change row = {.table = STORE_SYSTEM, .is_delete = kept == NULL};
    struct slot_change *change = CTX_NEW(ctx, struct slot_change);
    if (change == NULL)
        return KS_E_NOMEM;
    *change = (struct slot_change){.slot = slot, .before = engine->async.v[slot]};
    KS_TRY(key_text(next->id, &key));
    KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&key), &row.key));
    if (kept != NULL) {
        KS_TRY(plain_text(next, kept, &plain));
        KS_TRY(keyring_seal(engine->keyring, KEYRING_OBJECT, row.key, ks_buf_span(&plain), &sealed));
        KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&sealed), &row.value));
        struct async_request *r = malloc(sizeof(*r));
        if (r == NULL)
            return KS_E_NOMEM;
        *r = *next;
        r->row = KS_BUF(SEALED_MAX);
        if (ks_buf_add_span(&r->row, row.value) != 0) {
            request_free(r);
            return KS_E_NOMEM;
        }
        change->after = r;
    }
    int rc = tx_row(ctx, &row);
    if (rc == 0)
        rc = tx_hook(ctx, undo_slot, done_slot, change);
    if (rc != 0) {
        request_free(change->after);
        return rc;
    }
    set_slot(engine, slot, change->after);
    return 0;
}

static size_t
slot_of(const struct async *async, const struct async_request *request)
{
    size_t i = 0;
    while (i < ASYNC_MOST && async->v[i] != request)
        i++;
    return i;
}

/* Another stage, with or without another body. */
static int
to_stage(struct ctx *ctx, const struct async_request *request, enum async_stage stage, struct kept *kept)
{
    struct async_request next = *request;
    next.stage = stage;
    next.finished_us = ctx->now_us;
    next.finished_by = ctx->engine->n_requests;
    return change_slot(ctx, slot_of(&ctx->engine->async, request), &next, kept);
}

int
async_forget(struct ctx *ctx, struct async_request *request)
{
    return change_slot(ctx, slot_of(&ctx->engine->async, request), request, NULL);
}

/* Finding */

struct async_request *
async_find(struct ctx *ctx, struct ks_span id)
{
    const struct async *async = &ctx->engine->async;
    for (size_t i = 0; i < ASYNC_MOST && async->n != 0 && id.len == ASYNC_ID_LEN; i++)
        if (async->v[i] != NULL && async->v[i]->client == ctx->client && memcmp(async->v[i]->id, id.data, id.len) == 0)
            return async->v[i];
    return NULL;
}

static bool
comes_before(const struct async_request *a, const struct async_request *b)
{
    if (a->submitted_us != b->submitted_us)
        return a->submitted_us < b->submitted_us;
    const int batch = memcmp(a->batch, b->batch, sizeof(a->batch));
    return batch != 0 ? batch < 0 : a->place < b->place;
}

static bool
same_batch(const struct async_request *a, const struct async_request *b)
{
    return a->client == b->client && a->submitted_us == b->submitted_us && memcmp(a->batch, b->batch, 8) == 0;
}

/* The next one of its batch that is not yet carried out; first: the first of all, else the first behind it. */
static struct async_request *
next_in_batch(const struct async *async, const struct async_request *request, bool first)
{
    struct async_request *found = NULL;
    for (size_t i = 0; i < ASYNC_MOST; i++) {
        struct async_request *r = async->v[i];
        if (r != NULL && is_open(r) && same_batch(r, request) && (first || r->place > request->place) &&
            (found == NULL || r->place < found->place))
            found = r;
    }
    return found;
}

/* Accepting */

/* What was canceled does not count. */
static size_t
count_of(const struct async *async, const struct client *client)
{
    size_t n = 0;
    for (size_t i = 0; i < ASYNC_MOST; i++)
        n += async->v[i] != NULL && async->v[i]->client == client && async->v[i]->stage != ASYNC_CANCELED;
    return n;
}

int
async_wanted(struct ctx *ctx, const struct kmip_request_batch_item *item, bool later, bool never, bool alone, bool *ret)
{
    const struct kmip_request_header *h = ctx->header;
    const bool always =
        h->has_asynchronous_indicator && h->asynchronous_indicator == KMIP_ASYNCHRONOUS_INDICATOR_MANDATORY;
    const bool optional =
        h->has_asynchronous_indicator && h->asynchronous_indicator == KMIP_ASYNCHRONOUS_INDICATOR_OPTIONAL;
    const bool old = h->has_asynchronous && h->asynchronous;
    const bool undo = ctx->n_items > 1 && h->has_batch_error_continuation_option &&
                      h->batch_error_continuation_option == KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
    *ret = false;
    if (ctx->async != NULL || never || !(always || optional || old))
        return 0;
    const bool slow = engine_item_is_slow(item);
    /* Once one is put off, those behind it follow, so that the order of the batch stays. */
    if (!always && !slow && !(old && later) && !ctx->putting_off)
        return 0;
    if (alone || undo || ctx->client == NULL) {
        if (!always && !slow)
            return 0;
        return engine_fail(ctx, COND_NO_SUCH_FEATURE,
                           "%s can not be put off %s; ask for it without an Asynchronous "
                           "Indicator",
                           ctx->op->name, undo ? "in a batch with the option Undo" : "by anybody");
    }
    const struct async *async = &ctx->engine->async;
    if (async->n >= ASYNC_MOST || count_of(async, ctx->client) >= ASYNC_CLIENT_MOST) {
        if (!always && !slow && !ctx->putting_off)
            return 0;
        return engine_fail(ctx, COND_SERVER_LIMIT,
                           "too many requests are pending; poll for their results before asking for more");
    }
    *ret = true;
    return 0;
}

/* The item as a message of its own, which is carried out at once when its time comes. */
static int
alone(struct ctx *ctx, const struct kmip_request_batch_item *item, struct ks_buf *ret)
{
    struct kmip_request_header header = *ctx->header;
    struct kmip_request_batch_item copy = *item, *items[] = {&copy};
    const struct kmip_request_message message = {.request_header = &header, .batch_item = items, .n_batch_item = 1};
    header.has_asynchronous = false;
    header.has_asynchronous_indicator = false;
    header.has_batch_error_continuation_option = false;
    header.batch_count = 1;
    copy.has_unique_batch_item_id = false;
    struct ks_diag diag = {0};
    const int rc = kmip_request_encode(&message, ret, &diag);
    if (rc == KS_E_LIMIT)
        return engine_fail(ctx, COND_SERVER_LIMIT, "the request is too large to be put off");
    return rc != 0 ? engine_fail_diag(ctx, COND_BAD_MESSAGE, &diag) : 0;
}

static void
note_id(struct ctx *ctx, const struct async_request *request)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf hex = KS_BUF(2 * ASYNC_ID_LEN + 1);
    if (ks_hex_add(&hex, request->id, ASYNC_ID_LEN) == 0)
        engine_note(ctx, "asynchronous request %.*s", (int)hex.len, (const char *)hex.data);
}

/*
 * A correlation value: what the connection has for its own, and the first number that is free. So a value comes again
 * on its connection when its result was fetched there (the published cases have it so), and nowhere else.
 */
static int
make_id(struct ctx *ctx, uint8_t ret[ASYNC_ID_LEN])
{
    const struct async *async = &ctx->engine->async;
    uint8_t boot[4], sum[KS_SHA256];
    ks_put_be32(boot, ctx->engine->boot);
    const struct ks_span parts[] = {KS_SPAN(boot, sizeof(boot)),
                                    KS_SPAN(ctx->who->fingerprint, sizeof(ctx->who->fingerprint)), ctx->who->address};
    KS_TRY(ks_sha256(parts, KS_ARRAY_LEN(parts), sum));
    memcpy(ret, sum, ASYNC_ID_LEN);
    for (uint32_t n = 1;; n++) {
        bool taken = false;
        ks_put_be32(ret + ASYNC_ID_LEN - 4, n);
        for (size_t i = 0; i < ASYNC_MOST && !taken; i++)
            taken = async->v[i] != NULL && memcmp(async->v[i]->id, ret, ASYNC_ID_LEN) == 0;
        if (!taken)
            return 0;
    }
}

int
async_accept(struct ctx *ctx, const struct kmip_request_batch_item *item)
{
    struct async *async = &ctx->engine->async;
    const struct kmip_request_header *h = ctx->header;
    KS_CLEANUP(ks_buf_done) struct ks_buf body = KS_BUF(ASYNC_REQUEST_MAX);
    struct async_request r = {
        .client = ctx->client,
        .stage = ASYNC_SUBMITTED,
        .operation = item->operation,
        .submitted_us = ctx->now_us,
        .place = (uint32_t)ctx->item,
        .ordered = !h->has_batch_order_option || h->batch_order_option,
        .on_error = h->has_batch_error_continuation_option &&
                    h->batch_error_continuation_option == KMIP_BATCH_ERROR_CONTINUATION_OPTION_CONTINUE,
        .slow = engine_item_is_slow(item),
    };
    KS_TRY(alone(ctx, item, &body));
    KS_TRY(make_id(ctx, r.id));
    ks_put_be64(r.batch, ctx->engine->n_requests);
    struct kept kept = {.who = *ctx->who, .correlation = ctx->correlation, .body = ks_buf_span(&body)};
    memcpy(kept.placeholder, ctx->placeholder, sizeof(kept.placeholder));
    uint8_t *id = ks_arena_dup(ctx->arena, r.id, sizeof(r.id));
    if (id == NULL)
        return KS_E_NOMEM;
    KS_TRY(change_slot(ctx, slot_of(async, NULL), &r, &kept));
    note_id(ctx, &r);
    ctx->putting_off = true;
    ctx->pending = KS_SPAN(id, ASYNC_ID_LEN);
    return 0;
}

/* Carrying out */

/* Those behind it in the batch are not carried out any more. */
static int
stop_rest(struct ctx *ctx, const struct async_request *request)
{
    const struct async_request from = *request;
    for (struct async_request *r = next_in_batch(&ctx->engine->async, &from, false); r != NULL && !from.on_error;
         r = next_in_batch(&ctx->engine->async, &from, false)) {
        struct kept kept = {0};
        KS_TRY(open_kept(ctx, r, &kept));
        kept.body = KS_SPAN_NONE;
        KS_TRY(to_stage(ctx, r, ASYNC_STOPPED, &kept));
    }
    return 0;
}

int
async_cancel(struct ctx *ctx, struct async_request *request)
{
    const struct async_request was = *request;
    struct async *async = &ctx->engine->async;
    struct kept kept = {0};
    /* What a client canceled before is known no longer: it has been told, and may not fill the table so. */
    for (size_t i = 0; i < ASYNC_MOST; i++)
        if (async->v[i] != NULL && async->v[i]->client == was.client && async->v[i]->stage == ASYNC_CANCELED)
            KS_TRY(async_forget(ctx, async->v[i]));
    KS_TRY(open_kept(ctx, request, &kept));
    kept.body = KS_SPAN_NONE;
    KS_TRY(to_stage(ctx, request, ASYNC_CANCELED, &kept));
    return stop_rest(ctx, &was);
}

/* The ID Placeholder, and the results that 2.x can name, for the next item of the batch. */
static int
hand_on(struct ctx *ctx, const struct async_request *request, const struct kept *from)
{
    struct async_request *next = next_in_batch(&ctx->engine->async, request, false);
    if (next == NULL || !request->ordered)
        return 0;
    struct kept kept = {0};
    KS_TRY(open_kept(ctx, next, &kept));
    memcpy(kept.placeholder, from->placeholder, sizeof(kept.placeholder));
    return change_slot(ctx, slot_of(&ctx->engine->async, next), next, &kept);
}

/* The stored message as if it came now; ret_failed: its item failed. ctx is what it was, but for the changes. */
static int
run_message(struct ctx *ctx, const struct async_request *request, struct kept *kept, bool *ret_failed)
{
    const struct ctx outer = *ctx;
    struct client *client = request->client;
    ctx->who = &kept->who;
    ctx->client = client->revoked || client->not_after <= ctx->now ? NULL : client;
    ctx->async = request;
    ctx->correlation = kept->correlation;
    ctx->header = NULL;
    ctx->record = NULL;
    ctx->n_items = 0;
    ctx->n_results = 0;
    ctx->n_slow = 0;
    ctx->searched = 0;
    ctx->failed = false;
    memcpy(ctx->placeholder, kept->placeholder, sizeof(ctx->placeholder));
    int rc = message_handle(ctx, kept->body);
    struct ks_buf *response = &ctx->reply->response;
    if (rc == 0)
        rc = ks_arena_span(ctx->arena, ks_buf_span(response), &kept->body);
    memcpy(kept->placeholder, ctx->placeholder, sizeof(ctx->placeholder));
    *ret_failed = ctx->failed;
    ks_buf_reset(response);
    const struct ctx inner = *ctx;
    *ctx = outer;
    ctx->tx = inner.tx;
    ctx->prepared = inner.prepared;
    ctx->prepared_own = inner.prepared_own;
    ctx->wants = inner.wants;
    ctx->once = inner.once;
    return rc;
}

static int
run(struct ctx *ctx, struct async_request *request)
{
    const struct tx mark = ctx->tx;
    const struct async_request was = *request;
    struct kept *kept = CTX_NEW(ctx, struct kept); /* its identity is written into the record later */
    bool failed = false;
    int rc = kept != NULL ? open_kept(ctx, request, kept) : KS_E_NOMEM;
    rc = rc != 0 ? rc : run_message(ctx, request, kept, &failed);
    rc = rc != 0 ? rc : to_stage(ctx, request, failed ? ASYNC_FAILED : ASYNC_COMPLETED, kept);
    rc = rc != 0 ? rc : failed ? stop_rest(ctx, &was) : hand_on(ctx, &was, kept);
    if (rc == 0)
        return 0;
    /* It stays as it was, and its turn comes again. */
    tx_rollback(ctx, &mark);
    if (ctx->wants)
        tx_forget_records(ctx, &mark);
    else
        tx_undone_records(ctx, &mark);
    return rc;
}

/* Whether another thread is making the key for it. */
static bool
is_elsewhere(const struct engine *engine, const struct async_request *r)
{
    return r->slow && engine->config.prepares;
}

/* It turned out to need what takes long: that is made elsewhere first (engine_async_slow). */
static void
leave_to_others(struct ctx *ctx, struct async_request *r)
{
    if (!ctx->wants)
        return;
    r->slow = true;
    prepared_drop(ctx);
}

/* What is before it in its batch, and then itself. slow: also those whose keys have to be made here and now. */
static void
hurry_one(struct ctx *ctx, struct ks_span id, bool slow)
{
    struct async_request *wanted = async_find(ctx, id);
    while (wanted != NULL && wanted->stage == ASYNC_SUBMITTED) {
        struct async_request *r = wanted->ordered ? next_in_batch(&ctx->engine->async, wanted, true) : wanted;
        if (r == NULL || r->stage != ASYNC_SUBMITTED || (!slow && is_elsewhere(ctx->engine, r)))
            return;
        if (ctx->engine->env.now_us(ctx->engine->env.arg) - ctx->now_us > ctx->engine->config.batch_us)
            return;
        if (run(ctx, r) != 0) {
            if (!slow)
                leave_to_others(ctx, r);
            return;
        }
        wanted = async_find(ctx, id);
    }
}

void
async_hurry(struct ctx *ctx, const struct kmip_request_message *request)
{
    if (ctx->engine->async.n == 0 || ctx->client == NULL || ctx->async != NULL)
        return;
    for (size_t i = 0; i < request->n_batch_item; i++) {
        const struct kmip_request_batch_item *item = request->batch_item[i];
        if (item->payload_error != 0 || item->payload == NULL)
            continue;
        if (item->operation == KMIP_OPERATION_POLL)
            hurry_one(ctx, ((const struct kmip_poll_request *)item->payload)->asynchronous_correlation_value, false);
        else if (item->operation == KMIP_OPERATION_PROCESS && engine_offers(KMIP_OPERATION_PROCESS, ctx->version))
            hurry_one(ctx, ((const struct kmip_process_request *)item->payload)->asynchronous_correlation_value, true);
    }
}

/* The oldest that is due; one of a batch only when those before it are done. */
static struct async_request *
due(struct ctx *ctx)
{
    struct async *async = &ctx->engine->async;
    struct async_request *found = NULL;
    for (size_t i = 0; i < ASYNC_MOST; i++) {
        struct async_request *r = async->v[i];
        if (r == NULL || r->stage != ASYNC_SUBMITTED || ctx->now_us - r->submitted_us < ASYNC_DELAY_US ||
            is_elsewhere(ctx->engine, r) || engine_hands_out(r->operation) ||
            (found != NULL && !comes_before(r, found)))
            continue;
        if (!r->ordered || next_in_batch(async, r, true) == r)
            found = r;
    }
    return found;
}

/* Since when the client has had something to fetch and has not; 0: it has not. */
static int64_t
unfetched_since(const struct async_request *r)
{
    if (r->stage == ASYNC_SUBMITTED)
        return engine_hands_out(r->operation) ? r->submitted_us : 0;
    return r->finished_us;
}

static int
expire(struct ctx *ctx)
{
    struct async *async = &ctx->engine->async;
    for (size_t i = 0; i < ASYNC_MOST; i++) {
        struct async_request *r = async->v[i];
        const int64_t since = r != NULL ? unfetched_since(r) : 0;
        if (since == 0 || ctx->now_us - since < ASYNC_KEEP_S * INT64_C(1000000))
            continue;
        const struct async_request was = *r;
        struct record *record = tx_record(ctx);
        char *name = ks_arena_dup(ctx->arena, r->client->name, strlen(r->client->name));
        if (record == NULL || name == NULL)
            return KS_E_NOMEM;
        record->event.event = KS_LIT("result-expired");
        record->event.role = "system";
        record->event.name = ks_span_str(name);
        record->event.operation =
            kmip_operation_find(r->operation) != NULL ? kmip_operation_find(r->operation)->name : NULL;
        record->event.status = "success";
        record->event.message = KS_LIT("the result of an asynchronous request was not fetched");
        KS_TRY(async_forget(ctx, r));
        if (was.stage == ASYNC_SUBMITTED) /* those behind it have waited for it */
            KS_TRY(stop_rest(ctx, &was));
    }
    return 0;
}

int
async_settle(struct ctx *ctx)
{
    const struct engine *engine = ctx->engine;
    if (engine->async.n == 0 || engine_sealed(engine))
        return 0;
    KS_TRY(expire(ctx));
    for (size_t n = 0; n < RUN_MOST; n++) {
        struct async_request *r = due(ctx);
        if (r == NULL || ctx->arena->used > (8 << 20) ||
            engine->env.now_us(engine->env.arg) - ctx->now_us > engine->config.batch_us / 50)
            return 0;
        ctx->once = false;
        const int rc = run(ctx, r);
        if (rc != 0 && !ctx->wants)
            return 0; /* what came before it counts */
        leave_to_others(ctx, r);
    }
    return 0;
}

int
async_answer(struct ctx *ctx, const struct async_request *request, const struct kmip_response_batch_item **ret)
{
    struct kept kept = {0};
    struct kmip_response_message *message = NULL;
    if (request->stage != ASYNC_COMPLETED && request->stage != ASYNC_FAILED)
        return KS_E_NOT_FOUND;
    KS_TRY(open_kept(ctx, request, &kept));
    KS_TRY(kmip_response_decode(kept.body, &kmip_limits_default, ctx->arena, &message, NULL));
    if (message->n_batch_item != 1)
        return KS_E_MALFORMED;
    const struct kmip_version_number now = kmip_version_number(ctx->version);
    const struct kmip_protocol_version *then = message->response_header->protocol_version;
    if (then->protocol_version_major != now.major || then->protocol_version_minor != now.minor)
        return engine_fail(ctx, COND_NOT_PENDING,
                           "the request under that Asynchronous Correlation Value was one of KMIP %d.%d, and so is its "
                           "answer: ask for it in that version",
                           then->protocol_version_major, then->protocol_version_minor);
    *ret = message->batch_item[0];
    return 0;
}

/* Keys that take long are made elsewhere */

bool
engine_async_slow(struct engine *engine, struct ks_buf *ret_request, uint8_t ret_id[ENGINE_ASYNC_ID])
{
    struct async *async = &engine->async;
    if (async->n == 0 || async->is_preparing || engine_sealed(engine))
        return false;
    const int64_t now = engine->env.now_us(engine->env.arg);
    struct async_request *found = NULL;
    for (size_t i = 0; i < ASYNC_MOST; i++) {
        struct async_request *r = async->v[i];
        if (r != NULL && r->slow && r->stage == ASYNC_SUBMITTED && now - r->submitted_us >= ASYNC_DELAY_US &&
            (found == NULL || comes_before(r, found)) && (!r->ordered || next_in_batch(async, r, true) == r))
            found = r;
    }
    if (found == NULL)
        return false;
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(LOAD_MAX);
    KS_CLEANUP(ks_buf_done) struct ks_buf key = KS_BUF(KEY_LEN + 1);
    struct async_request again = {0};
    struct ks_span client;
    struct kept kept = {0};
    if (key_text(found->id, &key) != 0 ||
        open_row(engine, &arena, ks_buf_span(&key), ks_buf_span(&found->row), &again, &client, &kept) != 0 ||
        ks_buf_add_span(ret_request, kept.body) != 0)
        return false;
    memcpy(ret_id, found->id, ASYNC_ID_LEN);
    memcpy(async->preparing, found->id, ASYNC_ID_LEN);
    async->is_preparing = true;
    return true;
}

bool
engine_async_prepared(struct engine *engine, const uint8_t id[ENGINE_ASYNC_ID], struct engine_prepared *prepared,
                      struct engine_reply *reply)
{
    struct async *async = &engine->async;
    struct ctx ctx;
    engine_reply_reset(reply);
    if (async->is_preparing && memcmp(async->preparing, id, ASYNC_ID_LEN) == 0)
        async->is_preparing = false;
    if (engine_sealed(engine))
        return false;
    engine_ctx_init(&ctx, engine, NULL, reply);
    ctx.prepared = prepared;
    for (size_t i = 0; i < ASYNC_MOST; i++) {
        struct async_request *r = async->v[i];
        if (r == NULL || memcmp(r->id, id, ASYNC_ID_LEN) != 0 || r->stage != ASYNC_SUBMITTED)
            continue;
        if (run(&ctx, r) != 0 || tx_finish(&ctx) != 0) {
            tx_abandon(&ctx);
            engine_reply_reset(reply);
            if (ctx.wants) {
                async->is_preparing = true;
                reply->wanted = prepared_again(&ctx);
            }
            return false;
        }
        return reply->job.n_changes != 0;
    }
    return false; /* canceled meanwhile */
}
