/* Query and Discover Versions (KMIP 1.4: 4.25, 4.26; 2.1: 6.1.44, 6.1.13). */
#include "crypto/pq.h"
#include "server/engine/message.h"
#include "server/engine/op/op.h"
#include "server/engine/rules.h"
#include "server/engine/storage_masks.h"

static const uint32_t object_types[] = {
    KMIP_OBJECT_TYPE_CERTIFICATE,
    KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
    KMIP_OBJECT_TYPE_PUBLIC_KEY,
    KMIP_OBJECT_TYPE_PRIVATE_KEY,
    KMIP_OBJECT_TYPE_SPLIT_KEY,
    KMIP_OBJECT_TYPE_TEMPLATE,
    KMIP_OBJECT_TYPE_SECRET_DATA,
    KMIP_OBJECT_TYPE_OPAQUE_OBJECT,
    KMIP_OBJECT_TYPE_PGP_KEY,
    KMIP_OBJECT_TYPE_CERTIFICATE_REQUEST,
    KMIP_OBJECT_TYPE_USER,
    KMIP_OBJECT_TYPE_GROUP,
    KMIP_OBJECT_TYPE_PASSWORD_CREDENTIAL,
    KMIP_OBJECT_TYPE_DEVICE_CREDENTIAL,
    KMIP_OBJECT_TYPE_ONE_TIME_PASSWORD_CREDENTIAL,
    KMIP_OBJECT_TYPE_HASHED_PASSWORD_CREDENTIAL,
};

static int
put_operations(struct ctx *ctx, struct kmip_query_response *ret)
{
    size_t n;
    const struct kmip_operation *all = kmip_operations(&n);
    ret->operation = ks_arena_array(ctx->arena, n, sizeof(*ret->operation));
    if (ret->operation == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < n; i++)
        if (engine_offers(all[i].value, ctx->version) &&
            (ctx->ticket == NULL || ticket_allows(ctx->ticket, all[i].value)))
            ret->operation[ret->n_operation++] = all[i].value;
    return 0;
}

static int
put_objects(struct ctx *ctx, struct kmip_query_response *ret)
{
    ret->object_type = ks_arena_array(ctx->arena, KS_ARRAY_LEN(object_types), sizeof(*ret->object_type));
    if (ret->object_type == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < KS_ARRAY_LEN(object_types); i++)
        if (kmip_enum_known(KMIP_TAG_OBJECT_TYPE, object_types[i], ctx->version))
            ret->object_type[ret->n_object_type++] = object_types[i];
    return 0;
}

static int
put_server(struct ctx *ctx, struct kmip_query_response *ret)
{
    const struct kmip_server_information info = {
        .server_name = ks_span_str(ctx->engine->node),
        .has_server_name = ctx->engine->node[0] != '\0',
        .server_version = KS_LIT(KEYSTEAD_VERSION),
        .has_server_version = true,
        .product_name = KS_LIT("Keystead"),
        .has_product_name = true,
    };
    ret->vendor_identification = KS_LIT(KMIP_VENDOR_KEYSTEAD);
    ret->has_vendor_identification = true;
    /* The fields are of 2.0; before that the structure is the vendor's to fill, and these tags are not known. */
    if (ctx->version < KMIP_V2_0) {
        ret->server_information = kmip_item_new(ctx->arena, KMIP_TAG_SERVER_INFORMATION, KMIP_TYPE_STRUCTURE);
        return ret->server_information != NULL ? 0 : KS_E_NOMEM;
    }
    return kmip_item_encode(&kmip_schema_server_information, KMIP_V2_1, &info, ctx->arena, &ret->server_information);
}

static int
put_rngs(struct ctx *ctx, struct kmip_query_response *ret)
{
    struct kmip_rng_parameters *rng = CTX_NEW(ctx, struct kmip_rng_parameters);
    ret->rng_parameters = CTX_NEW(ctx, struct kmip_rng_parameters *);
    if (rng == NULL || ret->rng_parameters == NULL)
        return KS_E_NOMEM;
    *rng = attr_rng;
    ret->rng_parameters[0] = rng;
    ret->n_rng_parameters = 1;
    return 0;
}

/* The one for which the server makes data; whatever a client brings its own data for is taken. */
static int
put_namespaces(struct ctx *ctx, struct kmip_query_response *ret)
{
    ret->application_namespace = CTX_NEW(ctx, struct ks_span);
    if (ret->application_namespace == NULL)
        return KS_E_NOMEM;
    ret->application_namespace[0] = ks_span_str(attr_namespace);
    ret->n_application_namespace = 1;
    return 0;
}

static int
put_profiles(struct ctx *ctx, struct kmip_query_response *ret)
{
    static const uint32_t profiles[] = {
#define CAPABILITY(field, value)
#define CLAIMED_PROFILE(NAME, family, SINCE, UNTIL) KMIP_PROFILE_NAME_##NAME,
#include "server/engine/query.def"
#undef CLAIMED_PROFILE
#undef CAPABILITY
    };
    ret->profile_information = ks_arena_array(ctx->arena, KS_ARRAY_LEN(profiles), sizeof(void *));
    if (ret->profile_information == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < KS_ARRAY_LEN(profiles); i++) {
        if (!kmip_enum_known(KMIP_TAG_PROFILE_NAME, profiles[i], ctx->version))
            continue;
        struct kmip_profile_information *p = CTX_NEW(ctx, struct kmip_profile_information);
        if (p == NULL)
            return KS_E_NOMEM;
        p->profile_name = profiles[i];
        ret->profile_information[ret->n_profile_information++] = p;
    }
    return 0;
}

static int
put_capabilities(struct ctx *ctx, struct kmip_query_response *ret)
{
    struct kmip_capability_information *c = CTX_NEW(ctx, struct kmip_capability_information);
    ret->capability_information = CTX_NEW(ctx, struct kmip_capability_information *);
    if (c == NULL || ret->capability_information == NULL)
        return KS_E_NOMEM;
    *c = (struct kmip_capability_information){
#define CAPABILITY(field, value) .has_##field = true, .field = (value),
#define CLAIMED_PROFILE(NAME, family, SINCE, UNTIL)
#include "server/engine/query.def"
#undef CLAIMED_PROFILE
#undef CAPABILITY
    };
    ret->capability_information[0] = c;
    ret->n_capability_information = 1;
    return 0;
}

static int
put_registration(struct ctx *ctx, struct kmip_query_response *ret)
{
    ret->client_registration_method = CTX_NEW(ctx, uint32_t);
    if (ret->client_registration_method == NULL)
        return KS_E_NOMEM;
    ret->client_registration_method[0] = KMIP_CLIENT_REGISTRATION_METHOD_CLIENT_GENERATED;
    ret->n_client_registration_method = 1;
    return 0;
}

static int
put_storage(struct ctx *ctx, struct kmip_query_response *ret)
{
    struct kmip_protection_storage_masks *masks = CTX_NEW(ctx, struct kmip_protection_storage_masks);
    uint32_t *mask = CTX_NEW(ctx, uint32_t);
    ret->protection_storage_masks = CTX_NEW(ctx, struct kmip_protection_storage_masks *);
    if (masks == NULL || mask == NULL || ret->protection_storage_masks == NULL)
        return KS_E_NOMEM;
    *mask = STORAGE_MASKS_HERE;
    masks->protection_storage_mask = mask;
    masks->n_protection_storage_mask = 1;
    ret->protection_storage_masks[0] = masks;
    ret->n_protection_storage_masks = 1;
    return 0;
}

/* Extensions: the tags of Keystead's own operations. */
static int
put_extensions(struct ctx *ctx, struct kmip_query_response *ret, bool map)
{
    enum { FIRST = 0x540001, LAST = 0x540012 };
    ret->extension_information = ks_arena_array(ctx->arena, LAST - FIRST + 1, sizeof(void *));
    if (ret->extension_information == NULL)
        return KS_E_NOMEM;
    ret->n_extension_information = 0;
    for (uint32_t tag = FIRST; tag <= LAST; tag++) {
        struct kmip_extension_information *e = CTX_NEW(ctx, struct kmip_extension_information);
        if (e == NULL)
            return KS_E_NOMEM;
        e->extension_name = ks_span_str(kmip_tag_name(tag));
        e->extension_tag = (int32_t)tag;
        e->has_extension_tag = map;
        ret->extension_information[ret->n_extension_information++] = e;
    }
    return 0;
}

static int
put_defaults(struct ctx *ctx, struct kmip_query_response *ret)
{
    struct kmip_defaults_information *all;
    KS_TRY(rules_defaults(ctx, &all));
    if (all == NULL)
        return 0;
    ret->defaults_information = all;
    return 0;
}

static int
put_nothing(struct ctx *ctx, struct kmip_query_response *ret)
{
    (void)ctx;
    (void)ret;
    return 0;
}

static int
put_extension_list(struct ctx *ctx, struct kmip_query_response *ret)
{
    return put_extensions(ctx, ret, false);
}

static int
put_extension_map(struct ctx *ctx, struct kmip_query_response *ret)
{
    return put_extensions(ctx, ret, true);
}

static const struct {
    uint32_t function;
    int (*put)(struct ctx *ctx, struct kmip_query_response *ret);
} functions[] = {
    {KMIP_QUERY_FUNCTION_QUERY_OPERATIONS, put_operations},
    {KMIP_QUERY_FUNCTION_QUERY_OBJECTS, put_objects},
    {KMIP_QUERY_FUNCTION_QUERY_SERVER_INFORMATION, put_server},
    {KMIP_QUERY_FUNCTION_QUERY_APPLICATION_NAMESPACES, put_namespaces},
    {KMIP_QUERY_FUNCTION_QUERY_EXTENSION_LIST, put_extension_list},
    {KMIP_QUERY_FUNCTION_QUERY_EXTENSION_MAP, put_extension_map},
    {KMIP_QUERY_FUNCTION_QUERY_ATTESTATION_TYPES, put_nothing},
    {KMIP_QUERY_FUNCTION_QUERY_RNGS, put_rngs},
    {KMIP_QUERY_FUNCTION_QUERY_VALIDATIONS, put_nothing}, /* no validated module: none is claimed */
    {KMIP_QUERY_FUNCTION_QUERY_PROFILES, put_profiles},
    {KMIP_QUERY_FUNCTION_QUERY_CAPABILITIES, put_capabilities},
    {KMIP_QUERY_FUNCTION_QUERY_CLIENT_REGISTRATION_METHODS, put_registration},
    {KMIP_QUERY_FUNCTION_QUERY_DEFAULTS_INFORMATION, put_defaults},
    {KMIP_QUERY_FUNCTION_QUERY_STORAGE_PROTECTION_MASKS, put_storage},
};

int
op_query(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_query_request *r = request;
    uint64_t done = 0;
    OP_RESPONSE(ctx, kmip_query_response, response);
    for (size_t i = 0; i < r->n_query_function; i++)
        for (size_t f = 0; f < KS_ARRAY_LEN(functions); f++) {
            if (functions[f].function != r->query_function[i] || (done >> f & 1) != 0)
                continue;
            done |= (uint64_t)1 << f;
            KS_TRY(functions[f].put(ctx, response));
        }
    *ret_response = response;
    return 0;
}

static bool
asked_for(const struct kmip_discover_versions_request *r, struct kmip_version_number v)
{
    for (size_t i = 0; i < r->n_protocol_version; i++)
        if (r->protocol_version[i]->protocol_version_major == v.major &&
            r->protocol_version[i]->protocol_version_minor == v.minor)
            return true;
    return r->n_protocol_version == 0;
}

int
op_discover_versions(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_discover_versions_request *r = request;
    OP_RESPONSE(ctx, kmip_discover_versions_response, response);
    response->protocol_version = ks_arena_array(ctx->arena, KMIP_VERSION_COUNT, sizeof(void *));
    if (response->protocol_version == NULL)
        return KS_E_NOMEM;
    const bool offers_3_0 = ctx->engine->config.kmip_3_0 == ENGINE_3_0_ON;
    for (int v = offers_3_0 ? KMIP_V3_0 : KMIP_V2_1; v >= KMIP_V1_0; v--) { /* the preferred one first */
        const struct kmip_version_number number = kmip_version_number((enum kmip_version)v);
        struct kmip_protocol_version *p = CTX_NEW(ctx, struct kmip_protocol_version);
        if (p == NULL)
            return KS_E_NOMEM;
        p->protocol_version_major = number.major;
        p->protocol_version_minor = number.minor;
        if (asked_for(r, number))
            response->protocol_version[response->n_protocol_version++] = p;
    }
    *ret_response = response;
    return 0;
}
