/*
 * Validate (KMIP 1.4: 4.24; 2.1: 6.1.57): whether certificates are a chain that leads to one that is trusted.
 *
 * Trusted are what the configuration names (engine_trust), the certificates of administrators that are in the Object
 * Group ANCHORS, and of the client's own those in that group and those that are self-signed. A path is invalid if a
 * list of the configuration has one of its certificates as revoked, or this server does: as an object of the client or
 * of an administrator that is not active any more, or as the certificate of a client that was revoked.
 */
#include "crypto/cert.h"
#include "server/engine/op/op.h"

#define ANCHORS "trust-anchors"

enum { CHAIN_MOST = 32, ANCHORS_MOST = 1000 };

struct chain {
    size_t n;
    struct ks_span v[CHAIN_MOST];
    bool revoked; /* one of them is a managed object that was revoked */
};

struct anchors {
    size_t n;
    struct ks_span *v;
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
    return !object_stands(object);
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

static bool
is_marked(const struct object *object)
{
    for (const struct kmip_attr *a = object->rev->attrs.first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_OBJECT_GROUP && a->value != NULL && ks_span_is(a->value->s, ANCHORS))
            return true;
    return false;
}

static int
add_anchor(struct ctx *ctx, const struct object *object, struct anchors *anchors)
{
    struct material material;
    if (core_get(&object->rev->core, CORE_CERTIFICATE_TYPE) != KMIP_CERTIFICATE_TYPE_X_509 || is_revoked(object) ||
        core_has(&object->rev->core, CORE_ARCHIVE_DATE))
        return 0;
    if (anchors->n == ANCHORS_MOST)
        return engine_fail(ctx, COND_SERVER_LIMIT, "more than %d stored certificates are trusted", ANCHORS_MOST);
    KS_TRY(material_open(ctx, object, &material));
    anchors->v[anchors->n++] = material.bytes;
    return 0;
}

static int
add_own_anchors(struct ctx *ctx, struct anchors *anchors)
{
    struct objects *objects = &ctx->engine->objects;
    for (struct object *o = NULL; (o = objects_next(objects, ctx->client, o, false)) != NULL;) {
        if (++ctx->searched > ctx->engine->config.search_most)
            return engine_fail(ctx, COND_SERVER_LIMIT, "the request searches too many objects; send it again alone");
        if (o->type != KMIP_OBJECT_TYPE_CERTIFICATE)
            continue;
        if (objects_ready(objects, o) != 0) {
            KS_TRY(engine_unreadable(ctx, object_uid(o)));
            continue;
        }
        if (policy_may(ctx->client, RIGHT_SEE, o) && (is_self_issued(o) || is_marked(o)))
            KS_TRY(add_anchor(ctx, o, anchors));
    }
    return 0;
}

/* An administrator trusts for all. */
static int
add_common_anchors(struct ctx *ctx, struct anchors *anchors)
{
    struct kmip_item group = {.tag = KMIP_TAG_OBJECT_GROUP, .type = KMIP_TYPE_TEXT_STRING, .s = KS_LIT(ANCHORS)};
    const struct kmip_attr attr = {.tag = KMIP_TAG_OBJECT_GROUP, .value = &group};
    struct user_search search = {0};
    for (struct object *o; (o = user_search_next(ctx, &attr, &search)) != NULL;)
        if (o->owner != ctx->client && object_type(o) == KMIP_OBJECT_TYPE_CERTIFICATE)
            KS_TRY(add_anchor(ctx, o, anchors));
    return 0;
}

static int
find_anchors(struct ctx *ctx, struct anchors *anchors)
{
    anchors->v = ks_arena_array(ctx->arena, ANCHORS_MOST, sizeof(*anchors->v));
    if (anchors->v == NULL)
        return KS_E_NOMEM;
    KS_TRY(add_own_anchors(ctx, anchors));
    return add_common_anchors(ctx, anchors);
}

/* The same certificate as an object of the owner that was revoked. */
static bool
has_revoked(struct ctx *ctx, const struct kmip_attr *digest)
{
    struct objects *objects = &ctx->engine->objects;
    uint32_t hash, at = INDEX_NONE;
    if (!index_hash(&objects->index, ctx->client, digest, &hash))
        return false;
    while ((at = index_next(&objects->index, hash, at)) != INDEX_NONE) {
        struct object *o = index_at(&objects->index, at)->object;
        if (o->type == KMIP_OBJECT_TYPE_CERTIFICATE && o->owner == ctx->client && objects_ready(objects, o) == 0 &&
            policy_may(ctx->client, RIGHT_SEE, o) && is_revoked(o))
            return true;
    }
    return false;
}

static bool
is_known_as_revoked(struct ctx *ctx, const uint8_t fingerprint[32])
{
    struct kmip_item item = {.tag = KMIP_TAG_DIGEST, .type = KMIP_TYPE_BYTE_STRING, .s = KS_SPAN(fingerprint, 32)};
    const struct kmip_attr digest = {.tag = KMIP_TAG_DIGEST, .value = &item};
    const struct client *client = clients_by_fingerprint(&ctx->engine->clients, fingerprint);
    struct user_search search = {0};
    if ((client != NULL && client->revoked) || has_revoked(ctx, &digest))
        return true;
    for (struct object *o; (o = user_search_next(ctx, &digest, &search)) != NULL;)
        if (object_type(o) == KMIP_OBJECT_TYPE_CERTIFICATE && is_revoked(o))
            return true;
    return false;
}

/* Whether one that was given, or that the path found, is known here as revoked. */
static int
check_known(struct ctx *ctx, struct chain *chain, const struct ks_cert_verdict *verdict)
{
    uint8_t fingerprint[32];
    for (size_t i = 0; i < chain->n && !chain->revoked; i++) {
        KS_TRY(ks_cert_fingerprint(chain->v[i], fingerprint));
        chain->revoked = is_known_as_revoked(ctx, fingerprint);
    }
    for (size_t i = 0; i < verdict->n_path && !chain->revoked; i++)
        chain->revoked = is_known_as_revoked(ctx, verdict->path[i]);
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
    struct anchors anchors = {0};
    struct ks_cert_verdict verdict;
    struct ks_diag diag = {0};
    OP_RESPONSE(ctx, kmip_validate_response, response);
    KS_TRY(collect(ctx, r, &chain));
    KS_TRY(find_anchors(ctx, &anchors));
    const struct ks_cert_path path = {.chain = chain.v,
                                      .n_chain = chain.n,
                                      .trust = ctx->engine->trust,
                                      .anchors = anchors.v,
                                      .n_anchors = anchors.n,
                                      .at = r->has_validity_date ? r->validity_date : ctx->now};
    const int rc = ks_cert_validate(&path, &verdict, &diag);
    if (rc == KS_E_MALFORMED || rc == KS_E_LIMIT)
        return engine_fail(ctx, COND_BAD_FIELD, "one of the certificates is no X.509 certificate");
    if (rc != 0)
        return rc == KS_E_NOMEM ? rc : engine_fail_diag(ctx, COND_CRYPTOGRAPHY, &diag);
    KS_TRY(check_known(ctx, &chain, &verdict));
    if (chain.revoked)
        verdict.chain = KS_CHAIN_INVALID;
    if (verdict.chain != KS_CHAIN_VALID)
        engine_note(ctx, "%s", chain.revoked ? "one of the certificates was revoked" : diag.message);
    response->validity_indicator = indicators[verdict.chain];
    *ret_response = response;
    return 0;
}
