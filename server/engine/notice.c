/* Making the messages of the outbox, and what became of them. */
#include <stdio.h>

#include "server/engine/message.h"
#include "server/engine/op/get.h"
#include "server/engine/outbox.h"

static uint32_t
operation_of(const struct notice *notice)
{
    return notice->put ? KMIP_OPERATION_PUT : KMIP_OPERATION_NOTIFY;
}

static struct record *
record_for(struct ctx *ctx, const struct client *client, uint32_t operation)
{
    struct record *record = tx_record(ctx);
    if (record == NULL)
        return NULL;
    record->event.event = KS_LIT("notice");
    record->event.role = "system";
    record->event.client = ks_span_str(client->name);
    record->event.operation = kmip_operation_find(operation)->name;
    record->event.status = "success";
    return record;
}

static struct record *
record_of(struct ctx *ctx, const struct notice *notice)
{
    struct record *record = record_for(ctx, notice->client, operation_of(notice));
    char *uid = ks_arena_dup(ctx->arena, notice->uid, sizeof(notice->uid) - 1);
    if (record == NULL || uid == NULL)
        return NULL;
    record->event.object = KS_SPAN(uid, sizeof(notice->uid) - 1);
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
encode(struct ctx *ctx, uint32_t operation, void *payload)
{
    const struct kmip_version_number v = kmip_version_number(ctx->version);
    struct kmip_protocol_version version = {.protocol_version_major = v.major, .protocol_version_minor = v.minor};
    struct kmip_request_header header = {.protocol_version = &version, .batch_count = 1};
    struct kmip_request_batch_item item = {
        .operation = operation,
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
    return encode(ctx, operation_of(notice), payload);
}

/* Nothing is sent to it any more: what waits is dropped. */
static bool
is_gone(const struct client *client, int64_t now)
{
    return client->listener == NULL || client->revoked || client->not_after <= now;
}

/* Where that one is noted as under way to an address (0: the first place that is free); ENGINE_NOTICES_MOST: nowhere.
 */
static size_t
place_of(const struct outbox *outbox, uint64_t id)
{
    size_t i = 0;
    while (i < ENGINE_NOTICES_MOST && outbox->sending[i].id != id)
        i++;
    return i;
}

static bool
is_busy(const struct outbox *outbox, const struct client *client)
{
    for (size_t i = 0; i < ENGINE_NOTICES_MOST; i++)
        if (outbox->sending[i].id != 0 && outbox->sending[i].client == client)
            return true;
    return false;
}

/* The next one whose listener may be tried: at an address, or (NULL: no) at that client's end of a turned connection.
 */
static struct notice *
next_due(const struct engine *engine, const struct client *client, int64_t now)
{
    for (struct notice *n = engine->outbox.first; n != NULL; n = n->next) {
        if (n->sending || (client != NULL && n->client != client))
            continue;
        if (client == NULL && is_gone(n->client, now))
            return n;
        const struct listener *listener = n->client->listener;
        if ((listener->address[0] == '\0') == (client != NULL) && listener->due <= now &&
            (client != NULL || !is_busy(&engine->outbox, n->client)))
            return n;
    }
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

/* endpoint: the message goes out on a turned connection; NULL: to the listener's address. */
static const char *
why_not(const struct ctx *ctx, const struct notice *notice, const struct engine_endpoint *endpoint)
{
    const struct client *client = notice->client;
    if (is_gone(client, ctx->now))
        return "the client listens no more, was revoked, or has no valid certificate";
    if (endpoint == NULL && !is_allowed(ctx->engine, client->listener->address))
        return "server { listeners } does not allow the listener's address any more";
    if (endpoint != NULL && (notice->put ? endpoint->no_put : endpoint->no_notify))
        return "the client says in answer to Query that it does not take it";
    return NULL;
}

static int
hand_out(struct ctx *ctx, struct notice *notice, const struct engine_endpoint *endpoint)
{
    const struct client *client = notice->client;
    struct record *record = record_of(ctx, notice);
    if (record == NULL)
        return KS_E_NOMEM;
    const char *why = why_not(ctx, notice, endpoint);
    if (why != NULL)
        return drop(ctx, notice, record, why);
    ctx->client = ctx->holder = notice->client;
    if (client->listener != NULL) /* whoever is gone was dropped above */
        ctx->version = client->listener->version;
    if (endpoint != NULL && endpoint->versions != 0 && (endpoint->versions >> ctx->version & 1) == 0)
        ctx->version = (enum kmip_version)endpoint->version;
    ctx->record = record;
    ctx->op = kmip_operation_find(operation_of(notice));
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
    if (endpoint != NULL)
        engine_note(ctx, "sent on the client's connection, whose roles are turned");
    else
        engine_note(ctx, "handed to the notifier, for %s", client->listener->address);
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
    engine_reply_reset(reply);
    const size_t place = place_of(&engine->outbox, 0);
    if (engine_sealed(engine) || place == ENGINE_NOTICES_MOST || engine->outbox.first == NULL)
        return false;
    engine_ctx_init(&ctx, engine, NULL, reply);
    ctx.quiet = true;
    struct notice *notice = next_due(engine, NULL, ctx.now);
    if (notice == NULL)
        return false;
    struct engine_notice to = {.id = notice->id};
    const struct client *client = notice->client;
    if (notice->client->listener != NULL)
        (void)snprintf(to.address, sizeof(to.address), "%s", notice->client->listener->address);
    memcpy(to.fingerprint, notice->client->fingerprint, sizeof(to.fingerprint));
    if (!finish(&ctx, hand_out(&ctx, notice, NULL)))
        return false;
    if (reply->response.len != 0) { /* else it is gone */
        engine->outbox.sending[place].id = to.id;
        engine->outbox.sending[place].client = client;
        notice->sending = true;
    }
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

/* What became of the one that is under way under that number, to an address or on a turned connection. */
static bool
settle(struct engine *engine, uint64_t id, bool final, struct ks_span failure, struct engine_reply *reply)
{
    struct ctx ctx;
    struct notice *notice = outbox_find(&engine->outbox, id);
    if (notice == NULL || !notice->sending)
        return false; /* the store was loaded anew meanwhile: it is sent again */
    notice->sending = false;
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

bool
engine_notice_done(struct engine *engine, uint64_t id, bool final, struct ks_span failure, struct engine_reply *reply)
{
    engine_reply_reset(reply);
    const size_t place = place_of(&engine->outbox, id);
    if (engine_sealed(engine) || id == 0 || place == ENGINE_NOTICES_MOST)
        return false;
    engine->outbox.sending[place].id = 0;
    return settle(engine, id, final, failure, reply);
}

/* On a connection whose roles are turned */

/* Who turned it, as long as the certificate that it was opened with is good. */
static struct client *
client_at(struct engine *engine, const struct engine_endpoint *endpoint)
{
    struct client *client = clients_by_fingerprint(&engine->clients, endpoint->fingerprint);
    const int64_t now = engine->env.now_us(engine->env.arg) / 1000000;
    if (client == NULL || client->revoked || client->not_after <= now ||
        memcmp(client->fingerprint, endpoint->fingerprint, sizeof(client->fingerprint)) != 0)
        return NULL;
    return client;
}

static int
ask_about(struct ctx *ctx, const struct client *client, const struct engine_endpoint *endpoint)
{
    static uint32_t functions[] = {KMIP_QUERY_FUNCTION_QUERY_OPERATIONS, KMIP_QUERY_FUNCTION_QUERY_OBJECTS};
    const bool first = endpoint->stage == ENDPOINT_VERSIONS;
    const uint32_t operation = first ? KMIP_OPERATION_DISCOVER_VERSIONS : KMIP_OPERATION_QUERY;
    struct record *record = record_for(ctx, client, operation);
    if (record == NULL)
        return KS_E_NOMEM;
    record->event.message = KS_LIT("sent on the client's connection, whose roles are turned");
    ctx->version = (enum kmip_version)endpoint->version;
    struct kmip_discover_versions_request all = {0};
    struct kmip_query_request query = {.query_function = functions, .n_query_function = KS_ARRAY_LEN(functions)};
    return first ? encode(ctx, operation, &all) : encode(ctx, operation, &query);
}

bool
engine_ask(struct engine *engine, struct engine_endpoint *endpoint, struct engine_reply *reply)
{
    struct ctx ctx;
    engine_reply_reset(reply);
    if (engine_sealed(engine) || endpoint->over || endpoint->notice != 0)
        return false;
    struct client *client = client_at(engine, endpoint);
    endpoint->over = client == NULL;
    const bool told = endpoint->stage == ENDPOINT_OPEN;
    if (client == NULL || (told && (client->listener == NULL || client->listener->n_notices == 0)))
        return false;
    engine_ctx_init(&ctx, engine, NULL, reply);
    ctx.quiet = true;
    if (!told)
        return finish(&ctx, ask_about(&ctx, client, endpoint));
    struct notice *notice = next_due(engine, client, ctx.now);
    const uint64_t id = notice != NULL ? notice->id : 0;
    if (notice == NULL || !finish(&ctx, hand_out(&ctx, notice, endpoint)))
        return false;
    if (reply->response.len != 0) {
        endpoint->notice = id;
        notice->sending = true;
    }
    return true;
}

static void
learn(struct engine_endpoint *endpoint, const struct kmip_response_batch_item *item)
{
    enum kmip_version version;
    if (endpoint->stage == ENDPOINT_VERSIONS) {
        const struct kmip_discover_versions_response *r = item->payload;
        for (size_t i = 0; r != NULL && i < r->n_protocol_version; i++)
            if (kmip_version_find(r->protocol_version[i]->protocol_version_major,
                                  r->protocol_version[i]->protocol_version_minor, &version) == 0)
                endpoint->versions |= 1U << version;
        return;
    }
    const struct kmip_query_response *r = item->payload;
    if (r == NULL || r->n_operation == 0)
        return;
    endpoint->no_notify = endpoint->no_put = true;
    for (size_t i = 0; i < r->n_operation; i++) {
        endpoint->no_notify = endpoint->no_notify && r->operation[i] != KMIP_OPERATION_NOTIFY;
        endpoint->no_put = endpoint->no_put && r->operation[i] != KMIP_OPERATION_PUT;
    }
}

/* What it said to a question about itself: it need not know the operation. */
static bool
take_answer(struct engine *engine, struct engine_endpoint *endpoint, const struct kmip_response_batch_item *item,
            struct ks_span failure, struct engine_reply *reply)
{
    struct ctx ctx;
    const bool first = endpoint->stage == ENDPOINT_VERSIONS;
    struct client *client = client_at(engine, endpoint);
    endpoint->over = endpoint->over || client == NULL;
    if (client == NULL)
        return false;
    engine_ctx_init(&ctx, engine, NULL, reply);
    struct record *record = record_for(&ctx, client, first ? KMIP_OPERATION_DISCOVER_VERSIONS : KMIP_OPERATION_QUERY);
    int rc = record != NULL ? ks_arena_span(ctx.arena, failure, &record->event.message) : KS_E_NOMEM;
    if (record != NULL && failure.len == 0)
        record->event.message = KS_LIT("sent, and answered");
    if (record != NULL && failure.len != 0)
        record->event.status = "failed";
    if (item != NULL && failure.len == 0)
        learn(endpoint, item);
    endpoint->stage = first ? ENDPOINT_QUERY : ENDPOINT_OPEN;
    return finish(&ctx, rc);
}

bool
engine_answered(struct engine *engine, struct engine_endpoint *endpoint, struct ks_span answer, struct ks_span failure,
                struct engine_reply *reply)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
    struct kmip_response_message *message = NULL;
    const struct kmip_response_batch_item *item = NULL;
    const uint64_t id = endpoint->notice;
    engine_reply_reset(reply);
    endpoint->notice = 0;
    if (failure.len == 0 && kmip_response_decode(answer, &kmip_limits_default, &arena, &message, NULL) == 0 &&
        message->n_batch_item == 1)
        item = message->batch_item[0];
    else if (failure.len == 0)
        failure = KS_LIT("what the client answered is no response of KMIP to one item");
    const uint32_t asked = endpoint->stage == ENDPOINT_VERSIONS ? KMIP_OPERATION_DISCOVER_VERSIONS
                           : endpoint->stage == ENDPOINT_QUERY  ? KMIP_OPERATION_QUERY
                                                                : 0;
    if (item != NULL && item->result_status == KMIP_RESULT_STATUS_SUCCESS && asked != 0 && item->operation != asked) {
        failure = KS_LIT("the client answered another operation than it was asked for");
        item = NULL;
    }
    endpoint->over = endpoint->over || item == NULL;
    if (item != NULL && item->result_status != KMIP_RESULT_STATUS_SUCCESS) {
        const char *reason = kmip_enum_name(KMIP_TAG_RESULT_REASON, item->result_reason);
        failure = reason != NULL ? ks_span_str(reason) : KS_LIT("refused without a reason that is known");
    }
    if (engine_sealed(engine))
        return false;
    if (endpoint->stage != ENDPOINT_OPEN)
        return take_answer(engine, endpoint, item, failure, reply);
    return id != 0 && settle(engine, id, item != NULL, failure, reply);
}
