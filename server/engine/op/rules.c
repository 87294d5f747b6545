/* Set and Get Constraints, Set Defaults (KMIP 2.1: 6.1.52, 6.1.22, 6.1.53). */
#include "server/engine/rules.h"
#include "server/engine/op/op.h"

int
op_set_constraints(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_set_constraints_request *r = request;
    OP_RESPONSE(ctx, kmip_set_constraints_response, response);
    KS_TRY(rules_set_constraints(ctx, r->constraints));
    *ret_response = response;
    return 0;
}

int
op_get_constraints(struct ctx *ctx, const void *request, void **ret_response)
{
    (void)request;
    OP_RESPONSE(ctx, kmip_get_constraints_response, response);
    KS_TRY(rules_constraints(ctx, &response->constraints));
    if (response->constraints == NULL)
        response->constraints = CTX_NEW(ctx, struct kmip_constraints);
    if (response->constraints == NULL)
        return KS_E_NOMEM;
    *ret_response = response;
    return 0;
}

int
op_set_defaults(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_set_defaults_request *r = request;
    OP_RESPONSE(ctx, kmip_set_defaults_response, response);
    KS_TRY(rules_set_defaults(ctx, r->defaults_information));
    *ret_response = response;
    return 0;
}
