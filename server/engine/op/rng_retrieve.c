/* RNG Retrieve (KMIP 2.1: 6.1.49). */
#include "server/engine/op/op.h"

enum { RANDOM_MAX = 65536 }; /* bytes for one request: an answer, not a stream */

int
op_rng_retrieve(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_rng_retrieve_request *r = request;
    OP_RESPONSE(ctx, kmip_rng_retrieve_response, response);
    if (r->data_length < 1 || r->data_length > RANDOM_MAX)
        return engine_fail(ctx, COND_BAD_FIELD, "Data Length is %d; from 1 to %d bytes can be had", r->data_length,
                           RANDOM_MAX);
    uint8_t *bytes = ks_arena_alloc(ctx->arena, (size_t)r->data_length);
    if (bytes == NULL)
        return KS_E_NOMEM;
    KS_TRY(engine_random(ctx->engine, bytes, (size_t)r->data_length));
    response->data = KS_SPAN(bytes, (size_t)r->data_length);
    *ret_response = response;
    return 0;
}
