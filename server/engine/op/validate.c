/* Validate (KMIP 1.4: 4.24; 2.1: 6.1.57): whether certificates are a chain that leads to one that is trusted. */
#include "crypto/cert.h"
#include "server/engine/op/op.h"

enum { CHAIN_MOST = 32, ANCHORS_MOST = 1000 };

struct chain {
    size_t n;
    struct ks_span v[CHAIN_MOST];
    bool revoked; /* one of them is a managed object that was revoked */
};

static int
add(struct ctx *ctx, struct chain *chain, struct ks_span der)
{
    if (chain->n == CHAIN_MOST)
        return engine_fail(ctx, COND_SERVER_LIMIT, "a chain has %d certificates at most", CHAIN_MOST);
    chain->v[chain->n++] = der;
    return 0;
}

static bool
is_revoked(const struct object *object)
{
    const uint32_t state = object_state(object);
    return state != KMIP_STATE_PRE_ACTIVE && state != KMIP_STATE_ACTIVE;
}

static int
add_managed(struct ctx *ctx, const struct kmip_uid *uid, struct chain *chain)
{
    static const struct use use = {.use = USE_CHECK};
    struct object *object;
    struct material material;
    KS_TRY(engine_object(ctx, uid, &object));
    KS_TRY(engine_use(ctx, object, &use));
    if (object_type(object) != KMIP_OBJECT_TYPE_CERTIFICATE ||
        core_get(&object->rev->core, CORE_CERTIFICATE_TYPE) != KMIP_CERTIFICATE_TYPE_X_509)
        return engine_fail(ctx, COND_OBJECT_KIND, "object %s is no X.509 certificate", object->uid);
    KS_TRY(material_open(ctx, object, &material));
    chain->revoked = chain->revoked || is_revoked(object);
    return add(ctx, chain, material.bytes);
}

static int
collect(struct ctx *ctx, const struct kmip_validate_request *r, struct chain *chain)
{
    for (size_t i = 0; i < r->n_certificate; i++) {
        if (r->certificate[i]->certificate_type != KMIP_CERTIFICATE_TYPE_X_509)
            return engine_fail(ctx, COND_NO_SUCH_FEATURE, "this server validates X.509 certificates alone");
        KS_TRY(add(ctx, chain, r->certificate[i]->certificate_value));
    }
    for (size_t i = 0; i < r->n_unique_identifier; i++)
        KS_TRY(add_managed(ctx, &r->unique_identifier[i], chain));
    if (chain->n == 0)
        return engine_fail(ctx, COND_BAD_MESSAGE, "the request names no certificates");
    return 0;
}

static const struct kmip_item *
first(const struct object *object, uint32_t tag)
{
    for (const struct kmip_attr *a = object->rev->attrs.first; a != NULL; a = a->next)
        if (a->tag == tag && a->value != NULL)
            return a->value;
    return NULL;
}

/* Subject and issuer are the same: so its attributes say without the certificate being opened. */
static bool
is_self_issued(const struct object *object)
{
    const struct kmip_item *subject = first(object, KMIP_TAG_X_509_CERTIFICATE_SUBJECT);
    const struct kmip_item *issuer = first(object, KMIP_TAG_X_509_CERTIFICATE_ISSUER);
    const struct kmip_item *a = subject != NULL ? kmip_item_child(subject, KMIP_TAG_SUBJECT_DISTINGUISHED_NAME) : NULL;
    const struct kmip_item *b = issuer != NULL ? kmip_item_child(issuer, KMIP_TAG_ISSUER_DISTINGUISHED_NAME) : NULL;
    return a != NULL && b != NULL && ks_span_equal(a->s, b->s);
}

/* What this client trusts: the self-signed certificates among its own objects that are not revoked. */
static int
find_anchors(struct ctx *ctx, struct ks_span **ret, size_t *ret_n)
{
    struct ks_span *anchors = ks_arena_array(ctx->arena, ANCHORS_MOST, sizeof(*anchors));
    size_t n = 0;
    if (anchors == NULL)
        return KS_E_NOMEM;
    struct objects *objects = &ctx->engine->objects;
    for (struct object *o = NULL; n < ANCHORS_MOST && (o = objects_next(objects, ctx->client, o, false)) != NULL;) {
        struct material material;
        if (++ctx->searched > ctx->engine->config.search_most)
            return engine_fail(ctx, COND_SERVER_LIMIT, "the request searches too many objects; send it again alone");
        if (o->type != KMIP_OBJECT_TYPE_CERTIFICATE)
            continue;
        if (objects_ready(objects, o) != 0) {
            KS_TRY(engine_unreadable(ctx, object_uid(o)));
            continue;
        }
        if (!policy_may(ctx->client, RIGHT_SEE, o) || is_revoked(o) || core_has(&o->rev->core, CORE_ARCHIVE_DATE) ||
            !is_self_issued(o))
            continue;
        KS_TRY(material_open(ctx, o, &material));
        anchors[n++] = material.bytes;
    }
    *ret = anchors;
    *ret_n = n;
    return 0;
}

int
op_validate(struct ctx *ctx, const void *request, void **ret_response)
{
    static const uint32_t indicators[] = {[KS_CHAIN_VALID] = KMIP_VALIDITY_INDICATOR_VALID,
                                          [KS_CHAIN_INVALID] = KMIP_VALIDITY_INDICATOR_INVALID,
                                          [KS_CHAIN_UNKNOWN] = KMIP_VALIDITY_INDICATOR_UNKNOWN};
    const struct kmip_validate_request *r = request;
    struct chain chain = {0};
    struct ks_span *anchors;
    size_t n_anchors;
    enum ks_chain found;
    struct ks_diag diag = {0};
    OP_RESPONSE(ctx, kmip_validate_response, response);
    KS_TRY(collect(ctx, r, &chain));
    KS_TRY(find_anchors(ctx, &anchors, &n_anchors));
    const int rc = ks_cert_validate(chain.v, chain.n, anchors, n_anchors,
                                    r->has_validity_date ? r->validity_date : ctx->now, &found, &diag);
    if (rc == KS_E_MALFORMED || rc == KS_E_LIMIT)
        return engine_fail(ctx, COND_BAD_FIELD, "one of the certificates is no X.509 certificate");
    if (rc != 0)
        return rc == KS_E_NOMEM ? rc : engine_fail_diag(ctx, COND_CRYPTOGRAPHY, &diag);
    if (chain.revoked)
        found = KS_CHAIN_INVALID;
    if (found != KS_CHAIN_VALID)
        engine_note(ctx, "%s", chain.revoked ? "one of the certificates was revoked" : diag.message);
    response->validity_indicator = indicators[found];
    *ret_response = response;
    return 0;
}
