/*
 * Asynchronous requests: items that are answered with Operation Pending and carried out later (KMIP 1.4: 4.27, 4.28;
 * 2.1: 6.1.5, 6.1.38, 6.1.39, 6.1.41, 9.1, 9.2).
 *
 * An item that is put off is kept as a request message of its own with who asked, sealed, in a row of STORE_SYSTEM
 * ("request/<correlation value>"): it survives a restart as the acceptance does that its client was told of. It is
 * carried out by the tick, or when its client polls for it, as that client, through the same door and with the same
 * checks; what came out takes the request's place in the row until the client has fetched it once, or time is over.
 * What hands something out (Get, Export, Decrypt, ...) is carried out when it is polled for and not before: nothing of
 * it is ever kept, so no copy of a key outlives its destruction here.
 *
 *   WAITING    for people to approve it. Nothing brings a request here yet; nothing but them takes it on.
 *   SUBMITTED  to be carried out, not before ASYNC_DELAY_US: what was sent by mistake can be canceled.
 *   COMPLETED, FAILED  the answer is there.
 *   CANCELED   by its client. STOPPED: an item before it in its batch failed or was canceled.
 *
 * Items of one batch that are put off are carried out in their order, the ID Placeholder handed on from each to the
 * next, and as the batch's error continuation option says.
 */
#pragma once

#include "server/engine/ctx.h"

void async_done(struct async *async);
/* A row of STORE_SYSTEM; others are passed over. Clients are there already. */
int async_load(struct engine *engine, struct ks_span key, struct ks_span value, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * Whether the item is to be put off; else it is answered at once. Refuses what may not be carried out at once and can
 * not be put off. later, never: the operation's flags.
 */
int async_wanted(struct ctx *ctx, const struct kmip_request_batch_item *item, bool later, bool never, bool alone,
                 bool *ret) KS_MUST_CHECK;
/* Keeps the item: ctx->pending is its correlation value. */
int async_accept(struct ctx *ctx, const struct kmip_request_batch_item *item) KS_MUST_CHECK;

/* The request with that correlation value, if it is this client's; NULL. */
struct async_request *async_find(struct ctx *ctx, struct ks_span id);

/* Before a batch: requests that its items Poll or Process are carried out, with what has to come before them. */
void async_hurry(struct ctx *ctx, const struct kmip_request_message *request);

/* For the tick: carries out what is due, forgets what nobody fetched. */
int async_settle(struct ctx *ctx) KS_MUST_CHECK;

/* The answer of a finished request, in the arena. KS_E_NOT_FOUND: it has none. */
int async_answer(struct ctx *ctx, const struct async_request *request,
                 const struct kmip_response_batch_item **ret) KS_MUST_CHECK;

/* Changes, with the batch: the request is forgotten, or canceled with those behind it. */
int async_forget(struct ctx *ctx, struct async_request *request) KS_MUST_CHECK;
int async_cancel(struct ctx *ctx, struct async_request *request) KS_MUST_CHECK;
