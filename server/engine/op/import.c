/* Import (KMIP 1.4: 4.41; 2.1: 6.1.25): an object from elsewhere, with its identifier, state and dates as they were. */
#include "server/engine/dependants.h"
#include "server/engine/op/op.h"

/* 1.4 does not say the type apart: it is that of the object. */
static uint32_t
type_of(const struct kmip_import_request *r)
{
    const struct kmip_managed_object *o = &r->object;
    const struct {
        bool there;
        uint32_t type;
    } rows[] = {
        {o->certificate != NULL, KMIP_OBJECT_TYPE_CERTIFICATE},
        {o->symmetric_key != NULL, KMIP_OBJECT_TYPE_SYMMETRIC_KEY},
        {o->public_key != NULL, KMIP_OBJECT_TYPE_PUBLIC_KEY},
        {o->private_key != NULL, KMIP_OBJECT_TYPE_PRIVATE_KEY},
        {o->split_key != NULL, KMIP_OBJECT_TYPE_SPLIT_KEY},
        {o->template != NULL, KMIP_OBJECT_TYPE_TEMPLATE},
        {o->secret_data != NULL, KMIP_OBJECT_TYPE_SECRET_DATA},
        {o->opaque_object != NULL, KMIP_OBJECT_TYPE_OPAQUE_OBJECT},
        {o->pgp_key != NULL, KMIP_OBJECT_TYPE_PGP_KEY},
        {o->certificate_request != NULL, KMIP_OBJECT_TYPE_CERTIFICATE_REQUEST},
    };
    if (r->object_type != 0)
        return r->object_type;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (rows[i].there)
            return rows[i].type;
    return 0;
}

/* Identifiers of this server have the form of a UUID; under another name an object is not kept. */
static bool
is_identifier(struct ks_span uid)
{
    if (uid.len != sizeof(((struct object *)NULL)->uid) - 1)
        return false;
    for (size_t i = 0; i < uid.len; i++) {
        const uint8_t c = uid.data[i];
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return false;
    }
    return true;
}

/* The object whose place this one takes; NULL: none. Nobody takes over what is another's. */
static int
find_replaced(struct ctx *ctx, const struct kmip_import_request *r, struct ks_span uid, struct object **ret)
{
    struct object *there = objects_find(&ctx->engine->objects, uid);
    *ret = NULL;
    if (there == NULL && ctx->engine->objects.failed != 0)
        return engine_unreadable(ctx, uid);
    if (there == NULL)
        return 0;
    if (there->owner != ctx->client)
        return engine_fail(ctx, COND_OBJECT_EXISTS,
                           "an object of that Unique Identifier exists and is not this client's; choose another");
    if (!r->has_replace_existing || !r->replace_existing)
        return engine_fail(ctx, COND_OBJECT_EXISTS, "object %s exists; Replace Existing would replace it", there->uid);
    const struct use use = {.use = USE_IMPORT_OVER};
    engine_about(ctx, there);
    KS_TRY(engine_use(ctx, there, &use));
    KS_TRY(dependants_allow(ctx, there, false));
    *ret = there;
    return 0;
}

/* What was wrapped with the key counts where the request says nothing itself. */
static int
take_inner(struct ctx *ctx, const struct kmip_attrs *inner, const struct kmip_attrs *said, struct rev *draft)
{
    struct kmip_attrs rest = {.present = true};
    for (const struct kmip_attr *a = inner->first; a != NULL; a = a->next) {
        bool again = false;
        for (const struct kmip_attr *b = said->first; b != NULL && !again; b = b->next)
            again = attr_same(b, a->tag, a->vendor, a->name);
        const enum core_id id = core_find(a->tag);
        if (again || (id != CORE_COUNT && core_has(&draft->core, id)))
            continue;
        struct kmip_attr *copy = kmip_attrs_add(ctx->arena, &rest, a->tag, a->value);
        if (copy == NULL)
            return KS_E_NOMEM;
        copy->vendor = a->vendor;
        copy->name = a->name;
    }
    return attr_import(ctx, &rest, draft);
}

/* What every object has, where what was imported is silent; and what only this server can say. */
static int
complete(struct ctx *ctx, struct rev *draft)
{
    struct core given = draft->core, *core = &draft->core;
    KS_TRY(attr_defaults(ctx, draft, false));
    static const enum core_id kept[] = {CORE_STATE,
                                        CORE_INITIAL_DATE,
                                        CORE_LEASE_TIME,
                                        CORE_ALWAYS_SENSITIVE,
                                        CORE_NEVER_EXTRACTABLE,
                                        CORE_ORIGINAL_CREATION_DATE};
    for (size_t i = 0; i < KS_ARRAY_LEN(kept); i++)
        if (core_has(&given, kept[i]))
            core_set(core, kept[i], given.v[kept[i]]);
    /* A key that came in the clear was not always secret, whatever is said of it. */
    if (draft->wrapping == NULL) {
        core_set(core, CORE_ALWAYS_SENSITIVE, false);
        core_set(core, CORE_NEVER_EXTRACTABLE, false);
    }
    return 0;
}

/* State and dates have to be a life that there can be. */
static int
check_life(struct ctx *ctx, const struct rev *draft)
{
    const struct core *core = &draft->core;
    const int64_t state = core_get(core, CORE_STATE);
    const bool gone = state == KMIP_STATE_DESTROYED || state == KMIP_STATE_DESTROYED_COMPROMISED;
    const bool has_value = draft->material.len != 0 || core_get(core, CORE_OBJECT_TYPE) == KMIP_OBJECT_TYPE_TEMPLATE;
    if (kmip_enum_name(KMIP_TAG_STATE, (uint32_t)state) == NULL)
        return engine_fail(ctx, COND_ATTRIBUTE_VALUE, "no object has State %lld", (long long)state);
    if (gone && has_value)
        return engine_fail(ctx, COND_ATTRIBUTE_VALUE,
                           "a destroyed object has no key material; leave out the Key Value, or its State");
    if (core_has(core, CORE_ARCHIVE_DATE))
        return engine_fail(ctx, COND_ATTRIBUTE_VALUE, "an object is imported first and archived then");
    return 0;
}

int
op_import(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_import_request *r = request;
    const bool unwrap = r->has_key_wrap_type && r->key_wrap_type == KMIP_KEY_WRAP_TYPE_NOT_WRAPPED;
    struct rev draft = {0};
    struct object *object, *there;
    struct kmip_attrs inner = {0};
    OP_RESPONSE(ctx, kmip_import_response, response);
    if (r->unique_identifier.type != KMIP_TYPE_TEXT_STRING && r->unique_identifier.type != KMIP_TYPE_IDENTIFIER)
        return engine_fail(ctx, COND_BAD_FIELD, "the Unique Identifier of an object to import is a text");
    KS_TRY(find_replaced(ctx, r, r->unique_identifier.text, &there));
    core_set(&draft.core, CORE_OBJECT_TYPE, type_of(r));
    KS_TRY(attr_import(ctx, &r->attributes, &draft));
    KS_TRY(unwrap ? material_unwrap(ctx, &r->object, &draft, &inner) : material_register(ctx, &r->object, &draft));
    KS_TRY(take_inner(ctx, &inner, &r->attributes, &draft));
    const bool has_change_date = core_has(&draft.core, CORE_LAST_CHANGE_DATE);
    const int64_t change_date = core_get(&draft.core, CORE_LAST_CHANGE_DATE);
    KS_TRY(complete(ctx, &draft));
    KS_TRY(check_life(ctx, &draft));
    KS_TRY(attr_check(ctx, ctx->client, &draft, there, false));
    (void)state_settle(&draft.core, ctx->now);
    core_set(&draft.core, CORE_LAST_CHANGE_DATE, has_change_date ? change_date : ctx->now);
    /* What of a pad is used stays so: it may be the same pad. */
    if (there != NULL && core_has(&there->rev->core, CORE_PAD_USED))
        core_set(&draft.core, CORE_PAD_USED, core_get(&there->rev->core, CORE_PAD_USED));
    if (there != NULL) {
        KS_TRY(tx_put(ctx, there, &draft, false));
        streams_forget(ctx->engine, there->uid);
        object = there;
    } else if (is_identifier(r->unique_identifier.text)) {
        KS_TRY(tx_create_as(ctx, ctx->client, r->unique_identifier.text, &draft, &object));
    } else {
        KS_TRY(tx_create_as(ctx, ctx->client, KS_SPAN_NONE, &draft, &object));
    }
    engine_about(ctx, object);
    engine_note(ctx, there != NULL ? "imported over what was there" : "imported");
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_IMPORT, object_uid(object));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
