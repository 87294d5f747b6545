/* Export (KMIP 1.4: 4.40; 2.1: 6.1.18): the object as Get hands it out, with all its attributes. */
#include "server/engine/op/get.h"

/* Of a destroyed key what there is to say of it: its Key Block without a Key Value. Other objects are left out. */
static int
put_destroyed(struct ctx *ctx, const struct object *object, struct kmip_managed_object *ret)
{
    if (!material_is_key(object_type(object)))
        return 0;
    const struct kmip_get_request as_it_is = {0};
    return get_object(ctx, object, &as_it_is, ret);
}

int
op_export(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_export_request *r = request;
    const struct kmip_get_request get = {.key_format_type = r->key_format_type,
                                         .has_key_format_type = r->has_key_format_type,
                                         .key_wrap_type = r->key_wrap_type,
                                         .has_key_wrap_type = r->has_key_wrap_type,
                                         .key_compression_type = r->key_compression_type,
                                         .has_key_compression_type = r->has_key_compression_type,
                                         .key_wrapping_specification = r->key_wrapping_specification};
    struct object *object;
    OP_RESPONSE(ctx, kmip_export_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    const uint32_t state = object_state(object);
    const bool destroyed = state == KMIP_STATE_DESTROYED || state == KMIP_STATE_DESTROYED_COMPROMISED;
    const bool readable = !destroyed && get_is_readable(object, &get);
    const struct use use = {.use = USE_EXPORT, .plaintext = readable, .wrapped = !readable && !destroyed};
    KS_TRY(engine_use(ctx, object, &use));
    /* The attributes as they are before this: an object that was not handed out yet is Fresh in what is exported. */
    KS_TRY(attr_collect(ctx, object, NULL, &response->attributes));
    KS_TRY(destroyed ? put_destroyed(ctx, object, &response->object)
                     : get_object(ctx, object, &get, &response->object));
    response->object_type = object_type(object);
    response->unique_identifier = uid_of(object);
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_ID_PLACEHOLDER, object_uid(object));
    if (!destroyed)
        KS_TRY(get_served(ctx, object, readable));
    *ret_response = response;
    return 0;
}
