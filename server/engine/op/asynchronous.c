/* Poll, Cancel, Process and Query Asynchronous Requests (KMIP 2.1: 6.1.38, 6.1.5, 6.1.39, 6.1.41; 1.4: 4.27, 4.28). */
#include "server/engine/async.h"
#include "server/engine/op/op.h"

static int
find(struct ctx *ctx, struct ks_span id, struct async_request **ret)
{
    *ret = async_find(ctx, id);
    if (*ret == NULL)
        return engine_fail(ctx, COND_NOT_PENDING,
                           "no request of this client is pending under that Asynchronous Correlation Value; a result "
                           "is handed out once");
    return 0;
}

/* What the request that was put off is answered with, where that is no message of its own. */
static int
answer_by_stage(struct ctx *ctx, const struct async_request *request)
{
    struct kmip_response_batch_item *item = CTX_NEW(ctx, struct kmip_response_batch_item);
    if (item == NULL)
        return KS_E_NOMEM;
    const bool canceled = request->stage == ASYNC_CANCELED;
    item->operation = request->operation;
    item->has_operation = true;
    item->result_status = KMIP_RESULT_STATUS_OPERATION_FAILED;
    item->result_reason = condition_reason(canceled ? COND_CANCELED : COND_INTERNAL, ctx->version);
    item->has_result_reason = true;
    item->result_message = canceled ? KS_LIT("the request was canceled before it was carried out")
                                    : KS_LIT("an item before it in its batch failed or was canceled: not carried out");
    item->has_result_message = true;
    ctx->answer = item;
    return 0;
}

int
op_poll(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_poll_request *r = request;
    struct async_request *found;
    OP_RESPONSE(ctx, kmip_poll_response, response);
    KS_TRY(find(ctx, r->asynchronous_correlation_value, &found));
    if (found->stage == ASYNC_SUBMITTED || found->stage == ASYNC_WAITING) {
        ctx->pending = r->asynchronous_correlation_value;
        return 0;
    }
    if (found->stage == ASYNC_COMPLETED || found->stage == ASYNC_FAILED)
        KS_TRY(async_answer(ctx, found, &ctx->answer));
    else
        KS_TRY(answer_by_stage(ctx, found));
    const struct kmip_operation *op = kmip_operation_find(found->operation);
    engine_note(ctx, "the result of %s", op != NULL ? op->name : "an operation");
    KS_TRY(async_forget(ctx, found));
    *ret_response = response;
    return 0;
}

int
op_cancel(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_cancel_request *r = request;
    struct async_request *found = async_find(ctx, r->asynchronous_correlation_value);
    OP_RESPONSE(ctx, kmip_cancel_response, response);
    response->asynchronous_correlation_value = r->asynchronous_correlation_value;
    response->cancellation_result = KMIP_CANCELLATION_RESULT_UNAVAILABLE;
    if (found != NULL)
        switch (found->stage) {
        case ASYNC_WAITING:
        case ASYNC_SUBMITTED: /* a key that is being made for it is thrown away */
            KS_TRY(async_cancel(ctx, found));
            response->cancellation_result = KMIP_CANCELLATION_RESULT_CANCELED;
            break;
        case ASYNC_CANCELED:
            response->cancellation_result = KMIP_CANCELLATION_RESULT_CANCELED;
            break;
        case ASYNC_COMPLETED:
            response->cancellation_result = KMIP_CANCELLATION_RESULT_COMPLETED;
            break;
        case ASYNC_FAILED:
        case ASYNC_STOPPED:
            response->cancellation_result = KMIP_CANCELLATION_RESULT_FAILED;
            break;
        }
    *ret_response = response;
    return 0;
}

/* The work is done before the batch begins (async_hurry): here it is said how that went. */
int
op_process(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_process_request *r = request;
    struct async_request *found;
    OP_RESPONSE(ctx, kmip_process_response, response);
    KS_TRY(find(ctx, r->asynchronous_correlation_value, &found));
    if (found->stage == ASYNC_WAITING)
        return engine_fail(ctx, COND_NOT_PERMITTED, "the request waits for approval; only those who approve can go on");
    if (found->stage == ASYNC_SUBMITTED)
        return engine_fail(ctx, COND_SERVER_LIMIT, "the request could not be carried out now; try again");
    if (found->finished_by != ctx->engine->n_requests)
        return engine_fail(ctx, COND_ALREADY_PROCESSED, "the request was carried out already; poll for its result");
    *ret_response = response;
    return 0;
}

static bool
is_asked_for(const struct kmip_query_asynchronous_requests_request *r, const struct async_request *request)
{
    const struct kmip_asynchronous_correlation_values *values = r->asynchronous_correlation_values;
    const struct kmip_operations *operations = r->operations;
    bool named = values == NULL || values->n_asynchronous_correlation_value == 0;
    for (size_t i = 0; !named && i < values->n_asynchronous_correlation_value; i++)
        named = ks_span_equal(values->asynchronous_correlation_value[i], KS_SPAN(request->id, ASYNC_ID_LEN));
    if (!named || operations == NULL || operations->n_operation == 0)
        return named;
    for (size_t i = 0; i < operations->n_operation; i++)
        if (operations->operation[i] == request->operation)
            return true;
    return false;
}

static uint32_t
processing_stage(const struct engine *engine, const struct async_request *request)
{
    const struct async *async = &engine->async;
    if (request->stage != ASYNC_SUBMITTED && request->stage != ASYNC_WAITING)
        return KMIP_PROCESSING_STAGE_COMPLETED;
    return async->is_preparing && memcmp(async->preparing, request->id, ASYNC_ID_LEN) == 0
               ? KMIP_PROCESSING_STAGE_IN_PROCESS
               : KMIP_PROCESSING_STAGE_SUBMITTED;
}

int
op_query_asynchronous_requests(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_query_asynchronous_requests_request *r = request;
    const struct engine *engine = ctx->engine;
    OP_RESPONSE(ctx, kmip_query_asynchronous_requests_response, response);
    response->asynchronous_request = ks_arena_array(ctx->arena, engine->async.n + 1, sizeof(void *));
    if (response->asynchronous_request == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < ASYNC_MOST; i++) {
        const struct async_request *a = engine->async.v[i];
        if (a == NULL || a->client != ctx->client || a->stage == ASYNC_CANCELED || !is_asked_for(r, a))
            continue;
        struct kmip_asynchronous_request *item = CTX_NEW(ctx, struct kmip_asynchronous_request);
        struct ks_span id;
        if (item == NULL)
            return KS_E_NOMEM;
        KS_TRY(ks_arena_span(ctx->arena, KS_SPAN(a->id, ASYNC_ID_LEN), &id));
        item->asynchronous_correlation_value = id;
        item->operation = a->operation;
        item->submission_date = a->submitted_us;
        item->processing_stage = processing_stage(engine, a);
        response->asynchronous_request[response->n_asynchronous_request++] = item;
    }
    *ret_response = response;
    return 0;
}
