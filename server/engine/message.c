/*
 * Messages: header, batch, items, the answer.
 *
 * Order of checks of an item: it decoded; the operation exists, in this version and here; no critical extension; the
 * client is known and may ask at all; the server is not sealed. All else is the handler's (engine_object, engine_use).
 */
#include "server/engine/message.h"

#include "base/text.h"
#include "server/engine/async.h"
#include "server/engine/leniency.h"
#include "server/engine/op/op.h"
#include "server/engine/storage_masks.h"
#include "server/engine/tick.h"

enum {
    MAX_ITEMS = 1024,
    NEWEST = KMIP_V2_1,
    ALONE_RESPONSE = 32768, /* more than any answer of an operation that can not be undone */
};

enum { OP_SEALED = 1, OP_ALONE = 2, OP_HANDS_OUT = 4, OP_LATER = 8, OP_AT_ONCE = 16, OP_IN_PERSON = 32 };

struct engine_op {
    uint32_t operation;
    op_handler *run;
    enum right right;
    unsigned flags;
};

static const struct engine_op ops[] = {
#define ENGINE_OP(NAME, handler, RIGHT, FLAGS) {KMIP_OPERATION_##NAME, op_##handler, RIGHT_##RIGHT, FLAGS},
#include "server/engine/ops.def"
#undef ENGINE_OP
};

static const struct engine_op *
find_op(uint32_t operation)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(ops); i++)
        if (ops[i].operation == operation)
            return &ops[i];
    return NULL;
}

bool
engine_offers(uint32_t operation, enum kmip_version version)
{
    const struct kmip_operation *op = kmip_operation_find(operation);
    return op != NULL && op->since <= version && version <= op->until &&
           (find_op(operation) != NULL || (op->flags & KMIP_OP_SERVER_TO_CLIENT) != 0);
}

bool
engine_hands_out(uint32_t operation)
{
    const struct engine_op *row = find_op(operation);
    return row != NULL && (row->flags & OP_HANDS_OUT) != 0;
}

/* A code that no handler gave a reason for. */
static void
fail_by_code(struct ctx *ctx, int rc)
{
    if (rc == KS_E_LIMIT)
        engine_say(ctx, COND_SERVER_LIMIT, "the request goes beyond a limit of this server");
    else if (rc == KS_E_NOMEM)
        engine_say(ctx, COND_INTERNAL, "the server is out of memory; try again later");
    else
        engine_say(ctx, COND_INTERNAL, "%s failed: %s", ctx->op != NULL ? ctx->op->name : "the request",
                   ks_err_text(rc));
}

static struct record *
new_record(struct ctx *ctx)
{
    struct record *record = tx_record(ctx);
    if (record == NULL)
        return NULL;
    static const char *const texts[KMIP_VERSION_COUNT] = {
#define KMIP_VERSION(name, major, minor) [KMIP_##name] = #major "." #minor,
#include <keystead/spec/versions.def>
#undef KMIP_VERSION
    };
    struct audit_event *e = &record->event;
    e->event = KS_LIT("kmip");
    e->who = ctx->who;
    if (ctx->client != NULL) {
        const struct client *actor = ctx->holder != NULL ? ctx->holder : ctx->client;
        e->client = ks_span_str(actor->name);
        e->role = role_name(actor->role);
        if (ctx->ticket != NULL)
            e->acts_for = ks_span_str(ctx->client->name);
    }
    e->version = texts[ctx->version];
    if (ctx->header != NULL)
        e->client_correlation = ctx->header->client_correlation_value;
    e->server_correlation = ctx->correlation;
    return record;
}

static void
close_record(struct ctx *ctx, struct record *record, const char *status)
{
    record->event.status = status;
    if (!ctx->failed)
        return;
    record->event.reason = kmip_enum_xml_name(KMIP_TAG_RESULT_REASON, ctx->reason);
    record->event.message = ks_span_str(ctx->message);
}

/* Whether the rights behind the ticket that is shown, if one is, reach the operation. */
static int
check_rights(struct ctx *ctx, uint32_t operation, const struct engine_op *row)
{
    const struct ticket *ticket = ctx->ticket;
    if (ticket == NULL ||
        (ticket_allows(ticket, operation) && !(ticket->delegated && (row->flags & OP_IN_PERSON) != 0)))
        return 0;
    return engine_fail(ctx, COND_NOT_DELEGATED, "the rights of the ticket do not reach %s",
                       kmip_operation_find(operation)->name);
}

/* After an operation: what it took of the ticket's Usage Limits is taken off. */
static int
take_use(struct ctx *ctx, uint32_t operation)
{
    if (ctx->ticket != NULL && !ticket_use(ctx->ticket, operation, ctx->used, ctx->used_bytes))
        return engine_fail(ctx, COND_USAGE_LIMIT, "the Usage Limits of the ticket are used up; log in anew");
    return 0;
}

int
engine_run(struct ctx *ctx, uint32_t operation, op_handler *own, const void *request, void **ret_response)
{
    const struct kmip_operation *asked = ctx->op;
    const struct engine_op *row = find_op(operation);
    if (row == NULL || !engine_offers(operation, ctx->version))
        return engine_fail(ctx, COND_NO_SUCH_OPERATION, "what this takes is not supported by this server");
    if (!policy_may(ctx->client, row->right, NULL))
        return engine_fail(ctx, COND_NOT_PERMITTED, "this client may not %s; ask an administrator",
                           kmip_operation_find(operation)->name);
    KS_TRY(check_rights(ctx, operation, row));
    ctx->op = kmip_operation_find(operation);
    ctx->used = NULL;
    ctx->used_bytes = 0;
    if (ctx->client != NULL)
        ctx->client->doing = operation;
    int rc = (own != NULL ? own : row->run)(ctx, request, ret_response);
    ctx->op = asked;
    if (rc == 0)
        rc = take_use(ctx, operation);
    if (ctx->client != NULL && asked != NULL)
        ctx->client->doing = asked->value;
    return rc;
}

/* Items */

static size_t
response_limit(const struct ctx *ctx)
{
    const size_t most = ctx->engine->config.max_response;
    const size_t own = ctx->async != NULL && most > ASYNC_RESULT_MAX ? ASYNC_RESULT_MAX : most;
    const struct kmip_request_header *h = ctx->header;
    if (h->has_maximum_response_size && h->maximum_response_size > 0 && (size_t)h->maximum_response_size < own)
        return (size_t)h->maximum_response_size;
    return own;
}

static int
check_item(struct ctx *ctx, const struct kmip_request_batch_item *item, const struct engine_op **ret)
{
    const struct kmip_operation *op = ctx->op;
    const struct engine_op *row = find_op(item->operation);
    if (item->operation == 0)
        return engine_fail(ctx, COND_BAD_MESSAGE, "the batch item has no Operation");
    if (op == NULL || row == NULL || ctx->version < op->since || ctx->version > op->until)
        return engine_fail(ctx, COND_NO_SUCH_OPERATION, "%s is not supported by this server in this version of KMIP",
                           op != NULL ? op->name : "the operation");
    if (!ctx->who->authenticated && row->right != RIGHT_ENROLL)
        return engine_fail(ctx, COND_NOT_AUTHENTICATED, "%s needs a client certificate; enroll first", op->name);
    const bool sealed = engine_sealed(ctx->engine);
    if (sealed && (row->flags & OP_SEALED) == 0)
        return engine_fail(ctx, COND_SEALED, "the server is sealed; an administrator has to unseal it");
    if (!sealed && ctx->client == NULL && row->right != RIGHT_ENROLL)
        return engine_fail(ctx, COND_NOT_AUTHENTICATED,
                           "the certificate belongs to no client of this server, or was revoked");
    if (!sealed && !policy_may(ctx->client, row->right, NULL))
        return engine_fail(ctx, COND_NOT_PERMITTED, "this client may not %s; ask an administrator", op->name);
    if (ctx->bad_ticket)
        return engine_fail(ctx, COND_BAD_TICKET, "the ticket is unknown, has ended, or is not this client's; log in");
    if (ctx->used_ticket)
        return engine_fail(ctx, COND_USAGE_LIMIT, "the ticket was good for a number of requests, which were made");
    KS_TRY(check_rights(ctx, item->operation, row));
    if (item->payload_error != 0 || item->payload == NULL) {
        const struct ks_span what = item->payload_message;
        const int rc = engine_fail(ctx, COND_BAD_MESSAGE, "%s: %.*s", op->name, what.len < 400 ? (int)what.len : 400,
                                   (const char *)what.data);
        if (item->payload_reason != 0)
            ctx->reason = item->payload_reason;
        return rc;
    }
    for (size_t i = 0; i < item->n_message_extension; i++)
        if (item->message_extension[i]->criticality_indicator)
            return engine_fail(ctx, COND_CRITICAL_EXTENSION,
                               "the message extension of %.*s is unknown here, and critical",
                               item->message_extension[i]->vendor_identification.len < 64
                                   ? (int)item->message_extension[i]->vendor_identification.len
                                   : 64,
                               (const char *)item->message_extension[i]->vendor_identification.data);
    if ((row->flags & OP_ALONE) != 0 && ctx->n_items > 1)
        return engine_fail(ctx, COND_NO_SUCH_FEATURE, "%s can not be undone and has to be the one item of its batch",
                           op->name);
    if ((row->flags & OP_ALONE) != 0 && response_limit(ctx) < ALONE_RESPONSE)
        return engine_fail(
            ctx, COND_TOO_LARGE,
            "%s can not be undone if its answer is too large; ask without Maximum Response Size, or with "
            "%d at least",
            op->name, ALONE_RESPONSE);
    *ret = row;
    return 0;
}

/* One thread serves all: a batch of a thousand costly items must not keep the others waiting. */
static int
check_time(struct ctx *ctx)
{
    const struct engine *engine = ctx->engine;
    if (ctx->item == 0 || engine->env.now_us(engine->env.arg) - ctx->now_us < engine->config.batch_us)
        return 0;
    return engine_fail(ctx, COND_SERVER_LIMIT, "the batch has taken too long; send the rest in another request");
}

static int
run_item(struct ctx *ctx, const struct kmip_request_batch_item *item, void **ret_payload)
{
    const struct engine_op *row;
    KS_TRY(check_item(ctx, item, &row));
    KS_TRY(check_time(ctx));
    bool later;
    KS_TRY(async_wanted(ctx, item, (row->flags & OP_LATER) != 0,
                        (row->flags & OP_AT_ONCE) != 0 || ctx->ticket != NULL || ctx->by_header,
                        (row->flags & OP_ALONE) != 0, &later));
    KS_TRY(leniency_apply(ctx, item->operation, item->payload));
    KS_TRY(storage_masks_check(ctx, item->payload));
    if (later)
        return async_accept(ctx, item);
    KS_TRY(row->run(ctx, item->payload, ret_payload));
    ctx->once = ctx->once || ctx->ticket != NULL || item->operation == KMIP_OPERATION_PKCS_11;
    return item->operation == KMIP_OPERATION_PKCS_11 ? 0 : take_use(ctx, item->operation); /* each call took its own */
}

/* What Poll hands out: the answer that was kept, under the identifier of the item that asked. */
static void
answer_for_another(const struct kmip_response_batch_item *answer, struct kmip_response_batch_item *ret)
{
    struct kmip_response_batch_item item = *answer;
    item.unique_batch_item_id = ret->unique_batch_item_id;
    item.has_unique_batch_item_id = ret->has_unique_batch_item_id;
    *ret = item;
}

/*
 * A Message Extension (KMIP 2.1: 8.6, 9.13) of a failed item: Vendor Extension {Server Sealed: True}. A client of ours
 * goes to another server then; others may pass it over. Without the memory for it the Result Message says it alone.
 */
static void
say_sealed(struct ctx *ctx, struct kmip_response_batch_item *ret)
{
    struct kmip_message_extension *extension = CTX_NEW(ctx, struct kmip_message_extension);
    struct kmip_message_extension **list = CTX_NEW(ctx, struct kmip_message_extension *);
    struct kmip_item *body = kmip_item_new(ctx->arena, KMIP_TAG_VENDOR_EXTENSION, KMIP_TYPE_STRUCTURE);
    struct kmip_item *sealed = kmip_item_new(ctx->arena, KMIP_TAG_SERVER_SEALED, KMIP_TYPE_BOOLEAN);
    if (extension == NULL || list == NULL || body == NULL || sealed == NULL)
        return;
    sealed->b = true;
    kmip_item_append(body, sealed);
    extension->vendor_identification = KS_LIT(KMIP_VENDOR_KEYSTEAD);
    extension->vendor_extension = body;
    list[0] = extension;
    ret->message_extension = list;
    ret->n_message_extension = 1;
}

static void
one_item(struct ctx *ctx, size_t at, const struct kmip_request_batch_item *item, struct kmip_response_batch_item *ret)
{
    const struct tx mark = ctx->tx;
    void *payload = NULL;
    ctx->op = kmip_operation_find(item->operation);
    ctx->item = at;
    ctx->used = NULL;
    ctx->used_bytes = 0;
    if (ctx->client != NULL)
        ctx->client->doing = item->operation;
    ctx->failed = false;
    ctx->reason = 0;
    ctx->message = NULL;
    ctx->refusal = NULL;
    ctx->pending = KS_SPAN_NONE;
    ctx->answer = NULL;
    ctx->declined = false;
    ctx->record = new_record(ctx);
    if (ctx->record != NULL) {
        ctx->record->event.batch_item = (int)at;
        ctx->record->event.operation = ctx->op != NULL ? ctx->op->name : NULL;
        if (ctx->async != NULL)
            ctx->record->event.message = KS_LIT("asynchronous");
    }
    int rc = ctx->record != NULL ? run_item(ctx, item, &payload) : KS_E_NOMEM;
    if (rc == 0)
        rc = engine_note_results(ctx, payload);
    if (rc != 0) {
        tx_rollback(ctx, &mark);
        if (!ctx->failed)
            fail_by_code(ctx, rc);
        payload = ctx->refusal;
    }
    const bool pending = rc == 0 && ctx->pending.len != 0;
    if (ctx->record != NULL)
        close_record(ctx, ctx->record, rc != 0 || ctx->declined ? "failed" : pending ? "pending" : "success");
    ret->operation = item->operation;
    ret->has_operation = item->operation != 0;
    ret->unique_batch_item_id = item->unique_batch_item_id;
    ret->has_unique_batch_item_id = item->has_unique_batch_item_id;
    ret->payload = payload;
    if (rc == 0) {
        ret->result_status = pending ? KMIP_RESULT_STATUS_OPERATION_PENDING : KMIP_RESULT_STATUS_SUCCESS;
        ret->asynchronous_correlation_value = ctx->pending;
        ret->has_asynchronous_correlation_value = pending;
        if (ctx->answer != NULL)
            answer_for_another(ctx->answer, ret);
        return;
    }
    ret->result_status = KMIP_RESULT_STATUS_OPERATION_FAILED;
    ret->result_reason = ctx->reason;
    ret->has_result_reason = true;
    ret->result_message = ks_span_str(ctx->message);
    ret->has_result_message = true;
    if (ctx->failed_sealed)
        say_sealed(ctx, ret);
}

/* The items before a failed one, when the batch asked for Undo: nothing of them counts. */
static void
undo_batch(struct ctx *ctx, const struct tx *mark, struct kmip_response_batch_item **items, size_t n)
{
    tx_rollback(ctx, mark);
    for (size_t i = 0; i < n; i++) {
        const struct engine_op *row = find_op(items[i]->operation);
        if (items[i]->result_status == KMIP_RESULT_STATUS_SUCCESS)
            items[i]->result_status = KMIP_RESULT_STATUS_OPERATION_UNDONE;
        if (row != NULL && (row->flags & OP_HANDS_OUT) != 0)
            items[i]->payload = NULL;
    }
    tx_undone_records(ctx, mark);
}

static int
run_batch(struct ctx *ctx, const struct kmip_request_message *request, struct kmip_response_message *response)
{
    const struct tx mark = ctx->tx;
    const size_t n = request->n_batch_item;
    const uint32_t option = request->request_header->has_batch_error_continuation_option
                                ? request->request_header->batch_error_continuation_option
                                : KMIP_BATCH_ERROR_CONTINUATION_OPTION_STOP;
    response->batch_item = ks_arena_array(ctx->arena, n, sizeof(void *));
    if (response->batch_item == NULL)
        return KS_E_NOMEM;
    ctx->n_items = n;
    for (size_t i = 0; i < n; i++) {
        struct kmip_response_batch_item *item = CTX_NEW(ctx, struct kmip_response_batch_item);
        if (item == NULL)
            return KS_E_NOMEM;
        response->batch_item[i] = item;
        response->n_batch_item = i + 1;
        one_item(ctx, i, request->batch_item[i], item);
        if (ctx->wants)
            return KS_E_BUSY;
        if (item->result_status == KMIP_RESULT_STATUS_SUCCESS ||
            item->result_status == KMIP_RESULT_STATUS_OPERATION_PENDING ||
            option == KMIP_BATCH_ERROR_CONTINUATION_OPTION_CONTINUE)
            continue;
        if (option == KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO)
            undo_batch(ctx, &mark, response->batch_item, i);
        break;
    }
    return 0;
}

/* Answers */

static int
make_response(struct ctx *ctx, struct kmip_response_message **ret)
{
    struct kmip_response_message *response = CTX_NEW(ctx, struct kmip_response_message);
    struct kmip_response_header *header = CTX_NEW(ctx, struct kmip_response_header);
    struct kmip_protocol_version *version = CTX_NEW(ctx, struct kmip_protocol_version);
    if (response == NULL || header == NULL || version == NULL)
        return KS_E_NOMEM;
    const struct kmip_version_number number = kmip_version_number(ctx->version);
    version->protocol_version_major = number.major;
    version->protocol_version_minor = number.minor;
    header->protocol_version = version;
    header->time_stamp = ctx->now;
    if (ctx->header != NULL) {
        /* Only to those who use correlation values themselves: PyKMIP 0.10 and libkmip fail on one in a header. */
        header->server_correlation_value = ctx->correlation;
        header->has_server_correlation_value =
            ctx->correlation.len != 0 &&
            (ctx->header->has_client_correlation_value || ctx->header->has_server_correlation_value);
        header->server_hashed_password = ctx->hashed;
        header->has_server_hashed_password = ctx->hashed.len != 0;
        header->client_correlation_value = ctx->header->client_correlation_value;
        header->has_client_correlation_value = ctx->header->has_client_correlation_value;
    }
    response->response_header = header;
    *ret = response;
    return 0;
}

static int
encode(struct ctx *ctx, struct kmip_response_message *response)
{
    response->response_header->batch_count = (int32_t)response->n_batch_item;
    ks_buf_reset(&ctx->reply->response);
    return kmip_response_encode(response, &ctx->reply->response, NULL);
}

/* A request of which nothing was carried out: one item without an operation, and one record. */
static int
refuse_said(struct ctx *ctx)
{
    struct kmip_response_message *response;
    struct record *record = new_record(ctx);
    struct kmip_response_batch_item *item = CTX_NEW(ctx, struct kmip_response_batch_item);
    struct kmip_response_batch_item **items = CTX_NEW(ctx, struct kmip_response_batch_item *);
    if (record == NULL || item == NULL || items == NULL)
        return KS_E_NOMEM;
    close_record(ctx, record, "failed");
    KS_TRY(make_response(ctx, &response));
    item->result_status = KMIP_RESULT_STATUS_OPERATION_FAILED;
    item->result_reason = ctx->reason;
    item->has_result_reason = true;
    item->result_message = ks_span_str(ctx->message);
    item->has_result_message = true;
    items[0] = item;
    response->batch_item = items;
    response->n_batch_item = 1;
    return encode(ctx, response);
}

static int
refuse(struct ctx *ctx, enum condition condition, const char *message)
{
    ctx->failed = false;
    engine_say(ctx, condition, "%s", message);
    return refuse_said(ctx);
}

/* A message that could not be read; the reader may know a better reason. */
static int
refuse_message(struct ctx *ctx, const struct kmip_request_message *request, const char *message)
{
    ctx->failed = false;
    engine_say(ctx, COND_BAD_MESSAGE, "%s", message);
    if (request != NULL && request->reason != 0)
        ctx->reason = request->reason;
    return refuse_said(ctx);
}

static bool
does_not_fit(const struct ctx *ctx, int encoded)
{
    return encoded == KS_E_LIMIT || (encoded == 0 && ctx->reply->response.len > response_limit(ctx));
}

/* What failed says why, and in fewer words where they do not fit. */
static int
encode_short(struct ctx *ctx, struct kmip_response_message *response)
{
    for (size_t i = 0; i < response->n_batch_item; i++)
        response->batch_item[i]->has_result_message = false;
    return encode(ctx, response);
}

/* An answer that is larger than the client takes: nothing of the request counts, and each item says so. */
static int
too_large(struct ctx *ctx, const struct tx *mark, struct kmip_response_message *response)
{
    tx_rollback(ctx, mark);
    ctx->failed = false;
    engine_say(ctx, COND_TOO_LARGE, "the answer has more than %zu bytes; nothing was carried out", response_limit(ctx));
    for (size_t i = 0; i < response->n_batch_item; i++) {
        struct kmip_response_batch_item *item = response->batch_item[i];
        if (item->result_status != KMIP_RESULT_STATUS_SUCCESS &&
            item->result_status != KMIP_RESULT_STATUS_OPERATION_PENDING)
            continue;
        item->has_asynchronous_correlation_value = false;
        item->payload = NULL;
        item->result_status = KMIP_RESULT_STATUS_OPERATION_FAILED;
        item->result_reason = ctx->reason;
        item->has_result_reason = true;
        item->result_message = KS_SPAN_NONE;
        item->has_result_message = false;
        item->n_message_extension = 0;
    }
    for (struct record *r = tx_records_since(ctx, mark); r != NULL; r = r->next)
        if (r->event.batch_item >= 0 && r->event.reason == NULL) {
            close_record(ctx, r, "failed");
            r->event.state_after = NULL;
            r->event.form = NULL;
        }
    return encode(ctx, response);
}

/* The best header for a version that is not supported: the newest one of the same kind that the client asked for. */
static enum kmip_version
nearest_version(const struct kmip_request_message *request)
{
    const struct kmip_protocol_version *asked =
        request != NULL && request->request_header != NULL ? request->request_header->protocol_version : NULL;
    for (int v = NEWEST; asked != NULL && v > KMIP_V1_0; v--)
        if (kmip_version_number((enum kmip_version)v).major == asked->protocol_version_major)
            return (enum kmip_version)v;
    return asked == NULL || asked->protocol_version_major < 1 ? KMIP_V1_0 : NEWEST;
}

/* A message with a fault is answered in its own version, if it came as far as to say which (1.x: 6.1; 2.1: 9.16). */
static enum kmip_version
version_of(const struct ctx *ctx, int32_t major, int32_t minor)
{
    enum kmip_version version;
    if (kmip_version_find(major, minor, &version) != 0)
        return KMIP_V1_0;
    return version >= KMIP_V3_0 && ctx->engine->config.kmip_3_0 == ENGINE_3_0_OFF ? KMIP_V2_1 : version;
}

static int
handle(struct ctx *ctx, struct ks_span bytes)
{
    struct kmip_request_message *request = NULL;
    struct ks_diag diag = {0};
    const struct kmip_limits *limits = ctx->who->authenticated ? &kmip_limits_default : &kmip_limits_anonymous;
    ctx->version = KMIP_V1_0;
    const int rc = kmip_request_decode(bytes, limits, ctx->arena, &request, &diag);
    if (rc == KS_E_NOMEM)
        return rc;
    if (rc == KS_E_UNSUPPORTED) {
        ctx->version = nearest_version(request);
        return refuse(ctx, COND_UNKNOWN_VERSION, "this version of KMIP is not supported; use 1.0 to 2.1");
    }
    if (rc != 0) {
        const struct kmip_protocol_version *said =
            request != NULL && request->request_header != NULL ? request->request_header->protocol_version : NULL;
        if (said != NULL)
            ctx->version = version_of(ctx, said->protocol_version_major, said->protocol_version_minor);
        return refuse_message(ctx, request, ks_diag_text(&diag));
    }
    ctx->header = request->request_header;
    if (kmip_version_find(ctx->header->protocol_version->protocol_version_major,
                          ctx->header->protocol_version->protocol_version_minor, &ctx->version) != 0)
        return refuse(ctx, COND_UNKNOWN_VERSION, "this version of KMIP is not supported; use 1.0 to 2.1");
    if (ctx->version >= KMIP_V3_0 && ctx->engine->config.kmip_3_0 == ENGINE_3_0_OFF) {
        ctx->version = KMIP_V2_1;
        return refuse(ctx, COND_UNKNOWN_VERSION, "KMIP 3.0 is switched off on this server; use 1.0 to 2.1");
    }
    if (ctx->version <= KMIP_V2_1 && (size_t)ctx->header->batch_count != request->n_batch_item)
        return refuse(ctx, COND_BAD_MESSAGE, "Batch Count is not the number of Batch Items");
    if (request->n_batch_item > MAX_ITEMS)
        return refuse(ctx, COND_SERVER_LIMIT, "the batch has more than 1024 items; split it");
    const int known = credentials_check(ctx);
    if (known == KS_E_KMIP)
        return refuse_said(ctx);
    KS_TRY(known);
    struct kmip_response_message *response;
    /* What was put off is not to be narrowed by a ticket, nor to be refused for one that is none. */
    if (ctx->ticket == NULL && !ctx->bad_ticket && !ctx->used_ticket)
        async_hurry(ctx, request);
    if (ctx->wants)
        return KS_E_BUSY;
    const struct tx mark = ctx->tx;
    KS_TRY(make_response(ctx, &response));
    KS_TRY(run_batch(ctx, request, response));
    int encoded = encode(ctx, response);
    if (does_not_fit(ctx, encoded))
        encoded = encode_short(ctx, response);
    if (does_not_fit(ctx, encoded))
        encoded = too_large(ctx, &mark, response);
    /* Identifiers of items and reasons may be too large by themselves: one item says it for all. */
    if (does_not_fit(ctx, encoded) && (response->n_batch_item > 1 || response->batch_item[0]->has_unique_batch_item_id))
        return refuse(ctx, COND_TOO_LARGE, "the answers to the items are too large together; split the batch");
    return encoded;
}

int
message_handle(struct ctx *ctx, struct ks_span bytes)
{
    struct client *asked = ctx->client;
    ctx->acting = (struct acting){.objects = &ctx->engine->objects};
    ctx->by_header = false;
    ctx->hashed = KS_SPAN_NONE;
    if (asked != NULL)
        asked->acting = &ctx->acting;
    const int rc = handle(ctx, bytes);
    if (asked != NULL)
        asked->acting = NULL;
    if (ctx->client != NULL)
        ctx->client->acting = NULL; /* whoever made the ticket that was shown */
    return rc;
}

void
engine_ctx_init(struct ctx *ctx, struct engine *engine, const struct identity *who, struct engine_reply *reply)
{
    *ctx = (struct ctx){.engine = engine, .reply = reply, .arena = &reply->arena, .who = who};
    const int64_t now = engine->env.now_us(engine->env.arg);
    if (now > engine->last_us)
        engine->last_us = now; /* time never goes back for the machine */
    ctx->now_us = engine->last_us;
    ctx->now = engine->last_us / 1000000;
}

static void
set_correlation(struct ctx *ctx)
{
    enum { BOOT_LEN = 9 }; /* eight hexadecimal digits and a dash */
    char text[BOOT_LEN + KS_DEC_TEXT_LEN];
    for (int i = 0; i < BOOT_LEN - 1; i++)
        text[i] = "0123456789abcdef"[ctx->engine->boot >> (28 - 4 * i) & 15];
    text[BOOT_LEN - 1] = '-';
    const size_t n = BOOT_LEN + ks_dec_text(++ctx->engine->n_requests, text + BOOT_LEN);
    ctx->correlation = KS_SPAN(ks_arena_dup(ctx->arena, text, n), n);
    if (ctx->correlation.data == NULL)
        ctx->correlation = KS_SPAN_NONE;
}

/* Not even the records fit (into memory, or into one group of the trail): nothing was carried out, and one says so. */
static void
record_alone(const struct ctx *ctx)
{
    struct engine_reply *reply = ctx->reply;
    const struct audit_event event = {
        .event = KS_LIT("kmip"),
        .who = ctx->who,
        .client = ks_span_str(ctx->client != NULL ? ctx->client->name : NULL),
        .role = ctx->client != NULL ? role_name(ctx->client->role) : NULL,
        .batch_item = -1,
        .status = "failed",
        .message =
            KS_LIT("the records of this request are too large, or memory ran out: nothing of it was carried out"),
    };
    struct ks_span *record = ks_arena_alloc(&reply->arena, sizeof(*record));
    if (record == NULL || audit_event_format(&event, &reply->audit) != 0) {
        engine_reply_reset(reply);
        return;
    }
    *record = ks_buf_span(&reply->audit);
    reply->job.records = record;
    reply->job.n_records = 1;
}

/* What is wrong with a message, as others say: a line of text, or nothing of it. */
static const char *
line_of_text(struct ctx *ctx, struct ks_span why)
{
    bool sound = why.len != 0 && ks_utf8_valid(why);
    for (size_t i = 0; i < why.len; i++)
        sound = sound && why.data[i] >= 0x20 && why.data[i] != 0x7f;
    const char *text = sound ? ks_arena_dup(ctx->arena, why.data, why.len) : NULL;
    return text != NULL ? text : "the message cannot be read";
}

static int
refuse_unreadable(struct ctx *ctx, const struct engine_unreadable *what)
{
    ctx->version = version_of(ctx, what->major, what->minor);
    return refuse(ctx, COND_BAD_MESSAGE, line_of_text(ctx, what->why));
}

/* unreadable: NULL, or the request is none, and this is what is known of it. */
static void
answer(struct engine *engine, const struct identity *who, struct ks_span request,
       const struct engine_unreadable *unreadable, struct engine_prepared *prepared, struct engine_reply *reply)
{
    struct ctx ctx;
    engine_reply_reset(reply);
    engine_ctx_init(&ctx, engine, who, reply);
    objects_trim(&engine->objects);
    ctx.prepared = prepared;
    set_correlation(&ctx);
    if (who->authenticated && !engine_sealed(engine))
        ctx.client = clients_by_fingerprint(&engine->clients, who->fingerprint);
    int rc = engine_settle(&ctx, false);
    if (rc == 0)
        rc = client_renewed(&ctx);
    /* A connection may have outlived what let it in. */
    if (ctx.client != NULL && (ctx.client->revoked || ctx.client->not_after <= ctx.now))
        ctx.client = NULL;
    ctx.holder = ctx.client;
    const struct tx settled = ctx.tx;
    if (rc == 0)
        rc = unreadable != NULL ? refuse_unreadable(&ctx, unreadable) : message_handle(&ctx, request);
    if (ctx.ticket != NULL && ctx.client != NULL)
        ctx.client->ticket = NULL;
    if (ctx.wants) {
        tx_abandon(&ctx);
        engine_reply_reset(reply);
        reply->wanted = prepared_again(&ctx);
        return;
    }
    prepared_drop(&ctx);
    if (rc != 0) {
        /* Not even a refusal fits into memory: nothing counts but what was due anyway. */
        tx_rollback(&ctx, &settled);
        for (struct record *r = ctx.tx.first_record; r != NULL; r = r->next)
            if (r->event.batch_item >= 0)
                r->event.status = "failed";
        ks_buf_reset(&reply->response);
        reply->drop = true;
    }
    const bool on_record = ctx.tx.n_records > settled.n_records;
    if (!on_record || tx_finish(&ctx) != 0) {
        tx_abandon(&ctx);
        engine_reply_reset(reply);
        record_alone(&ctx);
        reply->drop = true;
    }
    /* Whom nobody knows, or no longer, has one try a connection: what is refused costs a record each time. */
    if (ctx.failed && (!who->authenticated || (ctx.client == NULL && !engine_sealed(engine))))
        reply->drop = true;
}

void
engine_handle_prepared(struct engine *engine, const struct identity *who, struct ks_span request,
                       struct engine_prepared *prepared, struct engine_reply *reply)
{
    answer(engine, who, request, NULL, prepared, reply);
}

void
engine_refuse(struct engine *engine, const struct identity *who, const struct engine_unreadable *what,
              struct engine_reply *reply)
{
    answer(engine, who, KS_SPAN_NONE, what, NULL, reply);
}

void
engine_handle(struct engine *engine, const struct identity *who, struct ks_span request, struct engine_reply *reply)
{
    engine_handle_prepared(engine, who, request, NULL, reply);
}
