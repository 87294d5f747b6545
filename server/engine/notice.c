/* Making the messages of the outbox, and what became of them. */
#include <stdio.h>

#include "server/engine/message.h"
#include "server/engine/op/get.h"
#include "server/engine/outbox.h"

static const char *
kind_of(const struct notice *notice)
{
    return notice->put ? "Put" : "Notify";
}

static struct record *
record_of(struct ctx *ctx, const struct notice *notice)
{
    struct record *record = tx_record(ctx);
    char *uid = ks_arena_dup(ctx->arena, notice->uid, sizeof(notice->uid) - 1);
    if (record == NULL || uid == NULL)
        return NULL;
    record->event.event = KS_LIT("notice");
    record->event.role = "system";
    record->event.client = ks_span_str(notice->client->name);
    record->event.operation = kind_of(notice);
    record->event.object = KS_SPAN(uid, sizeof(notice->uid) - 1);
    record->event.status = "success";
    return record;
}

/* Payloads. The checks are those of Get and Get Attributes by that client. */

static bool
is_there(const struct kmip_attrs *attrs, const struct kmip_attr_ref *ref)
{
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        if (attr_same(a, ref->tag, ref->vendor, ref->name))
            return true;
    return false;
}

/* Attributes that are gone: without a value in 1.x, by reference from 2.0. */
static int
add_deleted(struct ctx *ctx, const struct object *object, const struct kmip_attr_refs *refs,
            struct kmip_notify_request *ret)
{
    ret->attribute_refs.v = ks_arena_array(ctx->arena, refs->n + 1, sizeof(*refs->v));
    if (ret->attribute_refs.v == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < refs->n; i++) {
        const struct kmip_attr_ref *ref = &refs->v[i];
        const struct kmip_attr_rule *rule = kmip_attr_rule_find(ref->tag);
        if (is_there(&ret->attributes, ref) || rule == NULL ||
            !kmip_attr_applies(rule, ctx->version, object_type(object)) || attr_is_hidden(ctx, object, ref->tag))
            continue;
        if (ctx->version >= KMIP_V2_0) {
            ret->attribute_refs.v[ret->attribute_refs.n++] = *ref;
            continue;
        }
        struct kmip_attr *a = kmip_attrs_add(ctx->arena, &ret->attributes, ref->tag, NULL);
        if (a == NULL)
            return KS_E_NOMEM;
        a->vendor = ref->vendor;
        a->name = ref->name;
    }
    return 0;
}

static int
make_notify(struct ctx *ctx, const struct notice *notice, struct object *object, void **ret)
{
    struct kmip_notify_request *r = CTX_NEW(ctx, struct kmip_notify_request);
    struct kmip_attr_refs refs;
    if (r == NULL)
        return KS_E_NOMEM;
    KS_TRY(outbox_attrs(ctx->arena, notice, &refs));
    bool has_date = false;
    for (size_t i = 0; i < refs.n; i++)
        has_date = has_date || refs.v[i].tag == KMIP_TAG_LAST_CHANGE_DATE;
    if (!has_date) { /* "at least the Last Change Date" */
        if (refs.n == OUTBOX_ATTRS_MOST)
            refs.n--;
        refs.v[refs.n++] = (struct kmip_attr_ref){.tag = KMIP_TAG_LAST_CHANGE_DATE, .index = -1};
    }
    r->unique_identifier = uid_of(object);
    KS_TRY(attr_collect(ctx, object, &refs, &r->attributes));
    KS_TRY(add_deleted(ctx, object, &refs, r));
    *ret = r;
    return 0;
}

static int
make_put(struct ctx *ctx, struct object *object, void **ret)
{
    static const struct kmip_get_request as_it_is = {0};
    const bool readable = get_is_readable(object, &as_it_is);
    const struct use use = {.use = USE_GET, .plaintext = readable, .wrapped = !readable};
    struct kmip_put_request *r = CTX_NEW(ctx, struct kmip_put_request);
    struct ks_span replaced;
    if (r == NULL)
        return KS_E_NOMEM;
    KS_TRY(engine_use(ctx, object, &use));
    KS_TRY(get_object(ctx, object, &as_it_is, &r->object));
    r->unique_identifier = uid_of(object);
    r->put_function = KMIP_PUT_FUNCTION_NEW;
    if (attr_linked(object->rev, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK, &replaced)) {
        r->put_function = KMIP_PUT_FUNCTION_REPLACE;
        r->replaced_unique_identifier = uid_text(replaced);
    }
    KS_TRY(attr_collect(ctx, object, NULL, &r->attributes));
    KS_TRY(get_served(ctx, object, readable));
    *ret = r;
    return 0;
}

static int
encode(struct ctx *ctx, const struct notice *notice, void *payload)
{
    const struct kmip_version_number v = kmip_version_number(ctx->version);
    struct kmip_protocol_version version = {.protocol_version_major = v.major, .protocol_version_minor = v.minor};
    struct kmip_request_header header = {.protocol_version = &version, .batch_count = 1};
    struct kmip_request_batch_item item = {
        .operation = notice->put ? KMIP_OPERATION_PUT : KMIP_OPERATION_NOTIFY,
        .payload = payload,
    };
    struct kmip_request_batch_item *items[] = {&item};
    const struct kmip_request_message message = {.request_header = &header, .batch_item = items, .n_batch_item = 1};
    const int rc = kmip_request_encode(&message, &ctx->reply->response, NULL);
    return rc == 0 && ctx->reply->response.len > ctx->engine->config.max_response ? KS_E_LIMIT : rc;
}

static int
make(struct ctx *ctx, const struct notice *notice)
{
    void *payload = NULL;
    const struct kmip_uid uid = uid_text(KS_SPAN(notice->uid, sizeof(notice->uid) - 1));
    struct object *object;
    KS_TRY(engine_object(ctx, &uid, &object));
    if (notice->put)
        KS_TRY(make_put(ctx, object, &payload));
    else
        KS_TRY(make_notify(ctx, notice, object, &payload));
    return encode(ctx, notice, payload);
}

/* The next one whose listener may be tried. */
static struct notice *
next_due(const struct engine *engine, int64_t now)
{
    for (struct notice *n = engine->outbox.first; n != NULL; n = n->next)
        if (n->client->listener == NULL || n->client->revoked || n->client->listener->due <= now)
            return n;
    return NULL;
}

static bool
is_allowed(const struct engine *engine, const char *address)
{
    for (size_t i = 0; i < engine->config.n_listeners; i++)
        if (strcmp(engine->config.listeners[i], address) == 0)
            return true;
    return false;
}

static int
drop(struct ctx *ctx, struct notice *notice, struct record *record, const char *why)
{
    record->event.status = "failed";
    record->event.message = ks_span_str(why);
    return outbox_remove(ctx, notice);
}

static int
hand_out(struct ctx *ctx, struct notice *notice, struct engine_notice *ret)
{
    const struct client *client = notice->client;
    struct record *record = record_of(ctx, notice);
    if (record == NULL)
        return KS_E_NOMEM;
    if (client->listener == NULL || client->revoked || client->not_after <= ctx->now)
        return drop(ctx, notice, record, "the client listens no more, was revoked, or has no valid certificate");
    if (!is_allowed(ctx->engine, client->listener->address))
        return drop(ctx, notice, record, "server { listeners } does not allow the listener's address any more");
    ctx->client = ctx->holder = notice->client;
    ctx->version = client->listener->version;
    ctx->record = record;
    ctx->op = kmip_operation_find(notice->put ? KMIP_OPERATION_PUT : KMIP_OPERATION_NOTIFY);
    const struct tx mark = ctx->tx;
    const int rc = make(ctx, notice);
    if (rc == KS_E_NOMEM)
        return rc;
    if (rc != 0) {
        tx_rollback(ctx, &mark);
        ks_buf_reset(&ctx->reply->response);
        record->event.form = NULL;
        return drop(ctx, notice, record, ctx->failed ? ctx->message : "the message can not be made, or is too large");
    }
    engine_note(ctx, "handed to the notifier, for %s", client->listener->address);
    ret->id = notice->id;
    (void)snprintf(ret->address, sizeof(ret->address), "%s", client->listener->address);
    memcpy(ret->fingerprint, client->fingerprint, sizeof(ret->fingerprint));
    return 0;
}

/* The end of both: true if there is something to commit. */
static bool
finish(struct ctx *ctx, int rc)
{
    if (rc == 0 && tx_finish(ctx) == 0)
        return true;
    tx_abandon(ctx);
    engine_reply_reset(ctx->reply);
    return false;
}

bool
engine_notice(struct engine *engine, struct engine_reply *reply, struct engine_notice *ret)
{
    struct ctx ctx;
    struct engine_notice to = {0};
    engine_reply_reset(reply);
    if (engine_sealed(engine) || engine->outbox.sending != 0 || engine->outbox.first == NULL)
        return false;
    engine_ctx_init(&ctx, engine, NULL, reply);
    ctx.quiet = true;
    struct notice *notice = next_due(engine, ctx.now);
    if (notice == NULL || !finish(&ctx, hand_out(&ctx, notice, &to)))
        return false;
    if (reply->response.len != 0)
        engine->outbox.sending = to.id;
    *ret = to;
    return true;
}

/* A listener that can not be reached is left alone for a second, then twice as long each time. */
static void
put_back(struct listener *listener, int64_t now)
{
    const int64_t wait = listener->failures < 8 ? (int64_t)1 << listener->failures : OUTBOX_WAIT_MOST_S;
    listener->failures++;
    listener->due = now + (wait < OUTBOX_WAIT_MOST_S ? wait : OUTBOX_WAIT_MOST_S);
}

bool
engine_notice_done(struct engine *engine, uint64_t id, bool final, struct ks_span failure, struct engine_reply *reply)
{
    struct ctx ctx;
    engine_reply_reset(reply);
    if (engine_sealed(engine) || id == 0 || engine->outbox.sending != id)
        return false; /* the store was loaded anew meanwhile: it is sent again */
    engine->outbox.sending = 0;
    struct notice *notice = outbox_find(&engine->outbox, id);
    if (notice == NULL)
        return false;
    engine_ctx_init(&ctx, engine, NULL, reply);
    struct listener *listener = notice->client->listener;
    struct record *record = record_of(&ctx, notice);
    int rc = record != NULL ? ks_arena_span(ctx.arena, failure, &record->event.message) : KS_E_NOMEM;
    if (record != NULL && failure.len == 0)
        record->event.message = KS_LIT("sent, and answered");
    if (record != NULL && failure.len != 0)
        record->event.status = "failed";
    if (!final)
        notice->tries++;
    if (rc == 0 && (final || listener == NULL || notice->tries >= OUTBOX_TRIES))
        rc = outbox_remove(&ctx, notice);
    if (listener != NULL && final)
        listener->due = listener->failures = 0;
    else if (listener != NULL)
        put_back(listener, ctx.now);
    return finish(&ctx, rc);
}
