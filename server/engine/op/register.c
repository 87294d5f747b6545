/* Register (KMIP 1.4: 4.3; 2.1: 6.1.49). */
#include "server/engine/op/op.h"
#include "server/engine/required.h"
#include "server/engine/rules.h"

int
op_register(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_register_request *r = request;
    struct rev draft = {0};
    struct object *object;
    OP_RESPONSE(ctx, kmip_register_response, response);
    core_set(&draft.core, CORE_OBJECT_TYPE, r->object_type);
    KS_TRY(attr_new(ctx, &r->attributes, &draft));
    core_clear(&draft.core, CORE_KEY_FORMAT_TYPE); /* the object's own counts */
    KS_TRY(material_register(ctx, &r->object, &draft));
    KS_TRY(rules_fill(ctx, &draft));
    KS_TRY(required_check(ctx, KMIP_OPERATION_REGISTER, &draft));
    KS_TRY(op_new_object(ctx, ctx->client, &draft, false, &object));
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_REGISTER, object_uid(object));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
