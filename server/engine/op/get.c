/* Get (KMIP 1.4: 4.11; 2.1: 6.1.21): the object, in the format asked for, in the clear or wrapped. */
#include "server/engine/op/get.h"
#include "server/engine/op/pkcs12.h"
#include "server/engine/wrap.h"

/* An object that was registered wrapped leaves so unless the request says otherwise. */
static bool
stays_wrapped(const struct object *object, const struct kmip_get_request *r)
{
    const bool unwrap = r->has_key_wrap_type && r->key_wrap_type == KMIP_KEY_WRAP_TYPE_NOT_WRAPPED;
    return object->rev->wrapping != NULL && !unwrap;
}

static bool
is_readable_wrapping(const struct kmip_item *wrapping)
{
    const struct kmip_item *method = kmip_item_child(wrapping, KMIP_TAG_WRAPPING_METHOD);
    return method == NULL || method->type != KMIP_TYPE_ENUMERATION || wrap_is_readable(method->u32);
}

bool
get_is_readable(const struct object *object, const struct kmip_get_request *r)
{
    if (r->key_wrapping_specification != NULL)
        return wrap_is_readable(r->key_wrapping_specification->wrapping_method);
    return !stays_wrapped(object, r) || is_readable_wrapping(object->rev->wrapping);
}

static int
check_request(struct ctx *ctx, const struct object *object, const struct kmip_get_request *r)
{
    const bool has_value = core_get(&object->rev->core, CORE_KEY_VALUE_PRESENT) != 0 ||
                           !core_has(&object->rev->core, CORE_KEY_VALUE_PRESENT);
    if (r->has_key_wrap_type && r->key_wrap_type == KMIP_KEY_WRAP_TYPE_AS_REGISTERED && object->rev->wrapping == NULL &&
        r->key_wrapping_specification != NULL)
        return engine_fail(ctx, COND_KEY_WRAP_TYPE,
                           "the request wants object %s as it was registered, and wrapped otherwise", object->uid);
    if (r->key_wrapping_specification != NULL && stays_wrapped(object, r))
        return engine_fail(ctx, COND_BAD_FIELD,
                           "object %s is wrapped already; ask for it Not Wrapped to have it wrapped anew", object->uid);
    if (!has_value && r->key_wrapping_specification != NULL)
        return engine_fail(ctx, COND_NO_KEY_VALUE, "the value of key %s is not on this server", object->uid);
    if (r->key_wrapping_specification != NULL && !material_is_key(object_type(object)))
        return engine_fail(ctx, COND_OBJECT_KIND, "object %s is no key: it can not be wrapped", object->uid);
    return 0;
}

/* The material in another format than the one it is kept in. */
static int
convert(struct ctx *ctx, const struct object *object, bool wrapped, uint32_t format, struct material *material)
{
    const struct core *core = &object->rev->core;
    const uint32_t type = object_type(object);
    const uint32_t kept = (uint32_t)core_get(core, CORE_KEY_FORMAT_TYPE);
    if (format == kept)
        return 0;
    if (material->kind == MATERIAL_WRAPPED || wrapped)
        return engine_fail(ctx, COND_KEY_FORMAT, "object %s was registered wrapped: its format can not be changed",
                           object->uid);
    if (type == KMIP_OBJECT_TYPE_PUBLIC_KEY || type == KMIP_OBJECT_TYPE_PRIVATE_KEY) {
        KS_PKEY *key = NULL;
        const int rc = material_pkey(ctx, object->rev, material, &key);
        if (rc == KS_E_NOMEM)
            return rc;
        if (rc == 0)
            return material_export(ctx, key, format, type == KMIP_OBJECT_TYPE_PRIVATE_KEY, material);
    }
    if (type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY || type == KMIP_OBJECT_TYPE_SECRET_DATA)
        return material_convert_bytes(ctx, object, format, material);
    return engine_fail(ctx, COND_KEY_FORMAT, "object %s can not be given in that Key Format Type", object->uid);
}

/*
 * The format in which a key is handed out when none is asked for: as it is kept, or under the name that the version of
 * the request has for it. Up to 1.2 a transparent key on a curve is one for ECDSA; 2.0 knows Transparent EC alone.
 */
static uint32_t
usual_format(const struct ctx *ctx, const struct object *object)
{
    const uint32_t kept = (uint32_t)core_get(&object->rev->core, CORE_KEY_FORMAT_TYPE);
    const bool of_old = ctx->version < KMIP_V1_3;
    if (object->rev->wrapping != NULL || kmip_enum_known(KMIP_TAG_KEY_FORMAT_TYPE, kept, ctx->version))
        return kept;
    switch (kept) {
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDH_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECMQV_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PRIVATE_KEY:
        return of_old ? KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PRIVATE_KEY
                      : KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PRIVATE_KEY;
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PUBLIC_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDH_PUBLIC_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECMQV_PUBLIC_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY:
        return of_old ? KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PUBLIC_KEY
                      : KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY;
    default:
        return kept;
    }
}

/* What is kept, unwrapped if that is wanted, in the format and the compression that are asked for. */
static int
make_material(struct ctx *ctx, const struct object *object, const struct kmip_get_request *r, uint32_t format,
              struct material *ret)
{
    const struct core *core = &object->rev->core;
    const bool wrapped = stays_wrapped(object, r);
    const uint32_t kept = (uint32_t)core_get(core, CORE_KEY_COMPRESSION_TYPE);
    KS_TRY(object->rev->wrapping != NULL && !wrapped ? unwrap_object(ctx, object, ret)
                                                     : material_open(ctx, object, ret));
    if (format == KMIP_KEY_FORMAT_TYPE_PKCS_12 && format != core_get(core, CORE_KEY_FORMAT_TYPE))
        return pkcs12_make(ctx, object, ret);
    if (r->has_key_compression_type && r->key_compression_type != kept)
        return material_compress(ctx, object->rev, format, r->key_compression_type, ret);
    return convert(ctx, object, wrapped, format, ret);
}

static int
make_key_block(struct ctx *ctx, const struct object *object, const struct kmip_get_request *r,
               struct kmip_key_block **ret)
{
    const struct core *core = &object->rev->core;
    struct material material = {MATERIAL_BYTES, KS_SPAN_NONE};
    struct kmip_key_block *block = CTX_NEW(ctx, struct kmip_key_block);
    if (block == NULL)
        return KS_E_NOMEM;
    const uint32_t format = r->has_key_format_type ? r->key_format_type : usual_format(ctx, object);
    /* 1.2 and later: a key whose value is elsewhere is handed out without one; Export does so with a destroyed one. */
    const bool elsewhere = object->rev->material.len == 0 ||
                           (core_has(core, CORE_KEY_VALUE_PRESENT) && core_get(core, CORE_KEY_VALUE_PRESENT) == 0);
    if (!elsewhere) {
        KS_TRY(make_material(ctx, object, r, format, &material));
    }
    block->key_format_type = format;
    block->key_compression_type =
        r->has_key_compression_type ? r->key_compression_type : (uint32_t)core_get(core, CORE_KEY_COMPRESSION_TYPE);
    block->has_key_compression_type = r->has_key_compression_type || core_has(core, CORE_KEY_COMPRESSION_TYPE);
    /* Neither applies to secret data (2.1: 3.1), and a container says it itself. */
    const bool secret = object_type(object) == KMIP_OBJECT_TYPE_SECRET_DATA || format == KMIP_KEY_FORMAT_TYPE_PKCS_12;
    block->cryptographic_algorithm = (uint32_t)core_get(core, CORE_ALGORITHM);
    block->has_cryptographic_algorithm = !secret && core_has(core, CORE_ALGORITHM);
    block->cryptographic_length = (int32_t)core_get(core, CORE_LENGTH);
    block->has_cryptographic_length = !secret && core_has(core, CORE_LENGTH);
    if (stays_wrapped(object, r)) {
        void *wrapping;
        KS_TRY(kmip_item_decode(&kmip_schema_key_wrapping_data, KMIP_V2_1, object->rev->wrapping, ctx->arena, &wrapping,
                                NULL));
        block->key_wrapping_data = wrapping;
    }
    if (r->key_wrapping_specification != NULL)
        KS_TRY(wrap_key_block(ctx, object, r->key_wrapping_specification, &material, block));
    else if (!elsewhere)
        KS_TRY(material_key_value(ctx, &material, NULL, &block->key_value));
    *ret = block;
    return 0;
}

static int
put_template(struct ctx *ctx, const struct object *object, struct kmip_managed_object *ret)
{
    struct kmip_template *template = CTX_NEW(ctx, struct kmip_template);
    if (template == NULL)
        return KS_E_NOMEM;
    template->attributes = object->rev->content;
    template->attributes.present = true;
    ret->template = template;
    return 0;
}

/* Objects without a Key Block. */
static int
put_plain(struct ctx *ctx, const struct object *object, struct kmip_managed_object *ret)
{
    const struct core *core = &object->rev->core;
    struct material material;
    KS_TRY(material_open(ctx, object, &material));
    if (object_type(object) == KMIP_OBJECT_TYPE_CERTIFICATE) {
        ret->certificate = CTX_NEW(ctx, struct kmip_certificate);
        if (ret->certificate == NULL)
            return KS_E_NOMEM;
        ret->certificate->certificate_type = (uint32_t)core_get(core, CORE_CERTIFICATE_TYPE);
        ret->certificate->certificate_value = material.bytes;
        return 0;
    }
    if (object_type(object) == KMIP_OBJECT_TYPE_CERTIFICATE_REQUEST) {
        ret->certificate_request = CTX_NEW(ctx, struct kmip_certificate_request);
        if (ret->certificate_request == NULL)
            return KS_E_NOMEM;
        ret->certificate_request->certificate_request_type = (uint32_t)core_get(core, CORE_CERTIFICATE_REQUEST_TYPE);
        ret->certificate_request->certificate_request_value = material.bytes;
        return 0;
    }
    ret->opaque_object = CTX_NEW(ctx, struct kmip_opaque_object);
    if (ret->opaque_object == NULL)
        return KS_E_NOMEM;
    ret->opaque_object->opaque_data_type = (uint32_t)core_get(core, CORE_OPAQUE_DATA_TYPE);
    ret->opaque_object->opaque_data_value = material.bytes;
    return 0;
}

static int
put_split_key(struct ctx *ctx, const struct object *object, struct kmip_key_block *block,
              struct kmip_managed_object *ret)
{
    const struct core *core = &object->rev->core;
    struct kmip_split_key *split = CTX_NEW(ctx, struct kmip_split_key);
    if (split == NULL)
        return KS_E_NOMEM;
    split->split_key_parts = (int32_t)core_get(core, CORE_SPLIT_KEY_PARTS);
    split->key_part_identifier = (int32_t)core_get(core, CORE_KEY_PART_IDENTIFIER);
    split->split_key_threshold = (int32_t)core_get(core, CORE_SPLIT_KEY_THRESHOLD);
    split->split_key_method = (uint32_t)core_get(core, CORE_SPLIT_KEY_METHOD);
    split->split_key_polynomial = (uint32_t)core_get(core, CORE_SPLIT_KEY_POLYNOMIAL);
    split->has_split_key_polynomial = core_has(core, CORE_SPLIT_KEY_POLYNOMIAL);
    const struct kmip_attr *prime = object->rev->content.first;
    if (prime != NULL && prime->tag == KMIP_TAG_PRIME_FIELD_SIZE && prime->value != NULL) {
        split->prime_field_size = prime->value->s;
        split->has_prime_field_size = true;
    }
    split->key_block = block;
    ret->split_key = split;
    return 0;
}

/* The structures around a Key Block that hold nothing else. */
#define PUT_KEY(member, schema)                                                                                        \
    do {                                                                                                               \
        ret->member = CTX_NEW(ctx, struct schema);                                                                     \
        if (ret->member == NULL)                                                                                       \
            return KS_E_NOMEM;                                                                                         \
        ret->member->key_block = block;                                                                                \
    } while (0)

int
get_object(struct ctx *ctx, const struct object *object, const struct kmip_get_request *r,
           struct kmip_managed_object *ret)
{
    const struct core *core = &object->rev->core;
    const uint32_t type = object_type(object);
    struct kmip_key_block *block = NULL;
    KS_TRY(check_request(ctx, object, r));
    if (type == KMIP_OBJECT_TYPE_TEMPLATE)
        return put_template(ctx, object, ret);
    if (!material_is_key(type))
        return put_plain(ctx, object, ret);
    KS_TRY(make_key_block(ctx, object, r, &block));
    switch (type) {
    case KMIP_OBJECT_TYPE_SYMMETRIC_KEY:
        PUT_KEY(symmetric_key, kmip_symmetric_key);
        return 0;
    case KMIP_OBJECT_TYPE_PUBLIC_KEY:
        PUT_KEY(public_key, kmip_public_key);
        return 0;
    case KMIP_OBJECT_TYPE_PRIVATE_KEY:
        PUT_KEY(private_key, kmip_private_key);
        return 0;
    case KMIP_OBJECT_TYPE_SECRET_DATA:
        PUT_KEY(secret_data, kmip_secret_data);
        ret->secret_data->secret_data_type = (uint32_t)core_get(core, CORE_SECRET_DATA_TYPE);
        return 0;
    case KMIP_OBJECT_TYPE_PGP_KEY:
        PUT_KEY(pgp_key, kmip_pgp_key);
        ret->pgp_key->pgp_key_version = (int32_t)core_get(core, CORE_PGP_KEY_VERSION);
        return 0;
    default:
        return put_split_key(ctx, object, block, ret);
    }
}

int
get_served(struct ctx *ctx, struct object *object, bool readable)
{
    struct rev draft;
    if (ctx->record != NULL)
        ctx->record->event.form = readable ? "plaintext" : "wrapped";
    if (core_get(&object->rev->core, CORE_FRESH) == 0)
        return 0;
    KS_TRY(rev_draft(ctx->arena, object->rev, &draft));
    core_set(&draft.core, CORE_FRESH, false);
    return tx_put(ctx, object, &draft, false);
}

int
op_get(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_get_request *r = request;
    struct object *object;
    OP_RESPONSE(ctx, kmip_get_response, response);
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    const bool readable = get_is_readable(object, r);
    const struct use use = {.use = USE_GET, .plaintext = readable, .wrapped = !readable};
    KS_TRY(engine_use(ctx, object, &use));
    KS_TRY(get_object(ctx, object, r, &response->object));
    response->object_type = object_type(object);
    response->unique_identifier = uid_of(object);
    KS_TRY(get_served(ctx, object, readable));
    *ret_response = response;
    return 0;
}
