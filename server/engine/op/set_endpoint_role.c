/* Set Endpoint Role (KMIP 2.1: 6.1.54). */
#include "server/engine/op/op.h"

/* The server keeps its role on every connection: it sends Notify and Put to listeners that were registered for them. */
int
op_set_endpoint_role(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_set_endpoint_role_request *r = request;
    OP_RESPONSE(ctx, kmip_set_endpoint_role_response, response);
    if (r->endpoint_role != KMIP_ENDPOINT_ROLE_SERVER)
        return engine_fail(ctx, COND_NO_SUCH_FEATURE, "this server sends no requests on a client's connection");
    response->endpoint_role = r->endpoint_role;
    *ret_response = response;
    return 0;
}
