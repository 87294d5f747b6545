/*
 * RNG Seed (KMIP 2.1: 6.1.50). The bytes are mixed into the generator, which counts them for nothing: what a client
 * sends can make the server's random numbers no worse. Of what the specification lets a server answer, this one says
 * that it took all of it.
 */
#include "crypto/random.h"
#include "server/engine/op/op.h"

enum { SEED_MAX = 65536 };

int
op_rng_seed(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_rng_seed_request *r = request;
    OP_RESPONSE(ctx, kmip_rng_seed_response, response);
    if (r->data.len > SEED_MAX)
        return engine_fail(ctx, COND_BAD_FIELD, "a seed of %zu bytes is too long: %d at most", r->data.len, SEED_MAX);
    KS_TRY(ks_random_mix(r->data.data, r->data.len));
    response->data_length = (int32_t)r->data.len;
    *ret_response = response;
    return 0;
}
