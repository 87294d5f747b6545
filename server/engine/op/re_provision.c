/*
 * Re-Provision (KMIP 2.1: 6.1.48): another credential for the client that asks, which is a certificate. With a
 * Certificate Request the server's authority certifies its key, whatever subject it says; a Certificate is taken as it
 * is if an authority of the TLS configuration stands for it; with neither the server makes a key pair and a certificate
 * for it.
 *
 * The same client: name, role and all it owns. The answer may get lost, and a key that the server made is fetched with
 * the old certificate; so that is good until the new one is first used (client_renewed), and never after. Asking again
 * replaces one that was not used.
 */
#include "crypto/cert.h"
#include "server/engine/certificate.h"
#include "server/engine/op/enroll.h"
#include "server/engine/op/pair.h"

/* The request, a structure in 2.x, as the key that it proves to have. */
static int
request_key(struct ctx *ctx, struct kmip_item *item, struct ks_pkey **ret)
{
    struct ks_span der;
    void *value;
    if (item->type == KMIP_TYPE_BYTE_STRING)
        return certificate_request_der(ctx, KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10, item->s, &der, ret);
    const int rc = kmip_item_decode(&kmip_schema_certificate_request, ctx->version, item, ctx->arena, &value, NULL);
    if (rc != 0)
        return rc == KS_E_NOMEM ? rc : engine_fail(ctx, COND_BAD_FIELD, "the Certificate Request is none");
    const struct kmip_certificate_request *r = value;
    return certificate_request_der(ctx, r->certificate_request_type, r->certificate_request_value, &der, ret);
}

/* A certificate object of the client's that has these bytes; NULL: none. */
static struct object *
find_certificate(struct ctx *ctx, const uint8_t fingerprint[32])
{
    struct objects *objects = &ctx->engine->objects;
    struct kmip_item item = {.tag = KMIP_TAG_DIGEST, .type = KMIP_TYPE_BYTE_STRING, .s = KS_SPAN(fingerprint, 32)};
    const struct kmip_attr digest = {.tag = KMIP_TAG_DIGEST, .value = &item};
    uint32_t hash, at = INDEX_NONE;
    if (!index_hash(&objects->index, ctx->client, &digest, &hash))
        return NULL;
    while ((at = index_next(&objects->index, hash, at)) != INDEX_NONE) {
        struct object *object = index_at(&objects->index, at)->object;
        if (object->type == KMIP_OBJECT_TYPE_CERTIFICATE && object->owner == ctx->client &&
            objects_ready(objects, object) == 0)
            return object;
    }
    return NULL;
}

/* "SHALL fail if the certificate that represents the client credential has been Revoked", or compromised. */
static int
check_standing(struct ctx *ctx, const uint8_t fingerprint[32], const char *which)
{
    const struct object *object = find_certificate(ctx, fingerprint);
    if (object == NULL || object_stands(object))
        return 0;
    return engine_fail(ctx, COND_NOT_PERMITTED,
                       "%s is object %s, which was revoked or is suspended: an administrator has to enroll it", which,
                       object->uid);
}

static int
put_certificate(struct ctx *ctx, struct ks_span der, int64_t not_after, struct rev *draft)
{
    core_set(&draft->core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_CERTIFICATE);
    KS_TRY(certificate_put(ctx, der, draft));
    core_set(&draft->core, CORE_ACTIVATION_DATE, ctx->now);
    core_set(&draft->core, CORE_DEACTIVATION_DATE, not_after);
    core_set(&draft->core, CORE_ORIGINAL_CREATION_DATE, ctx->now);
    return 0;
}

/* The credential from its first use on. */
static int
associate(struct ctx *ctx, struct ks_span der, int64_t not_after)
{
    struct engine_client facts = client_facts(ctx->client);
    facts.renewing = true;
    facts.next_not_after = not_after;
    KS_TRY(ks_cert_fingerprint(der, facts.next_fingerprint));
    return client_change(ctx, ctx->client, &facts);
}

static int
by_request(struct ctx *ctx, struct kmip_item *request, struct object **ret)
{
    KS_PKEY *key = NULL;
    struct ks_span issued, ca;
    struct rev draft = {0};
    const int64_t not_after = ctx->now + ctx->engine->config.certificate_s;
    KS_TRY(request_key(ctx, request, &key));
    KS_TRY(enroll_issue(ctx, ctx->client->name, key, &issued, &ca));
    KS_TRY(put_certificate(ctx, issued, not_after, &draft));
    KS_TRY(op_new_object(ctx, ctx->client, &draft, false, ret));
    return associate(ctx, issued, not_after);
}

/*
 * Whether TLS will let the certificate in, and it is nobody's. The server's own authority has issued no certificate
 * that was not some client's: each is in use, or was made invalid for good.
 */
static int
check_brought(struct ctx *ctx, struct ks_span der)
{
    const struct ks_cert_path path = {
        .chain = &der, .n_chain = 1, .trust = ctx->engine->authorities, .at = ctx->now, .tls_client = true};
    struct ks_cert_verdict verdict;
    struct ks_diag diag = {0};
    struct ks_span own;
    uint8_t fingerprint[32];
    const int rc = ks_cert_validate(&path, &verdict, &diag);
    if (rc == KS_E_NOMEM)
        return rc;
    if (rc != 0)
        return engine_fail(ctx, COND_BAD_FIELD, "the Certificate is no X.509 certificate");
    KS_TRY(enroll_authority(ctx, &own));
    if (ks_cert_signed_by(der, own, NULL) == 0)
        return engine_fail(
            ctx, COND_BAD_FIELD,
            "certificates of this server's own authority are had with a Certificate Request: this one is "
            "in use, or is not accepted any more");
    if (verdict.chain != KS_CHAIN_VALID)
        return engine_fail(ctx, COND_BAD_FIELD,
                           "no authority of tls { ca } stands for the certificate as one of a TLS client: %s",
                           ks_diag_text(&diag));
    KS_TRY(ks_cert_fingerprint(der, fingerprint));
    if (clients_by_fingerprint(&ctx->engine->clients, fingerprint) != NULL)
        return engine_fail(ctx, COND_BAD_FIELD, "a client has that certificate already");
    return check_standing(ctx, fingerprint, "the Certificate");
}

static int
by_certificate(struct ctx *ctx, const struct kmip_certificate *brought, struct object **ret)
{
    struct ks_cert_info info;
    struct rev draft = {0};
    if (brought->certificate_type != KMIP_CERTIFICATE_TYPE_X_509)
        return engine_fail(ctx, COND_NO_SUCH_FEATURE, "clients have X.509 certificates alone");
    KS_TRY(check_brought(ctx, brought->certificate_value));
    const int rc = ks_cert_parse(brought->certificate_value, ctx->arena, &info, NULL);
    if (rc != 0)
        return rc == KS_E_NOMEM ? rc : engine_fail(ctx, COND_BAD_FIELD, "the Certificate can not be read");
    KS_TRY(put_certificate(ctx, brought->certificate_value, info.not_after, &draft));
    KS_TRY(op_new_object(ctx, ctx->client, &draft, false, ret));
    return associate(ctx, brought->certificate_value, info.not_after);
}

static void
start_half(struct ctx *ctx, struct half *half, uint32_t type, uint32_t mask, int64_t not_after)
{
    struct core *core = &half->draft.core;
    core_set(core, CORE_OBJECT_TYPE, type);
    core_set(core, CORE_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC);
    core_set(core, CORE_LENGTH, ctx->engine->config.profile == PROFILE_CNSA2 ? 384 : 256);
    core_set(core, CORE_USAGE_MASK, mask);
    core_set(core, CORE_ACTIVATION_DATE, ctx->now);
    core_set(core, CORE_DEACTIVATION_DATE, not_after);
}

static int
link_to(struct ctx *ctx, struct object *from, uint32_t type_a, const struct object *a, uint32_t type_b,
        const struct object *b)
{
    struct rev draft;
    KS_TRY(rev_draft(ctx->arena, from->rev, &draft));
    KS_TRY(attr_link(ctx, &draft, type_a, object_uid(a)));
    KS_TRY(attr_link(ctx, &draft, type_b, object_uid(b)));
    return tx_put(ctx, from, &draft, true);
}

/* The answer is the private key; its Certificate Link leads on. */
static int
by_server(struct ctx *ctx, struct object **ret)
{
    KS_PKEY *key = NULL;
    struct ks_span issued, ca;
    struct half private = {.is_private = true}, public = {.is_private = false};
    struct rev draft = {0};
    struct object *certificate;
    const int64_t not_after = ctx->now + ctx->engine->config.certificate_s;
    start_half(ctx, &private, KMIP_OBJECT_TYPE_PRIVATE_KEY, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN, not_after);
    start_half(ctx, &public, KMIP_OBJECT_TYPE_PUBLIC_KEY, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY, not_after);
    KS_TRY(pair_make(ctx, &private.draft, &public.draft, &key));
    KS_TRY(enroll_issue(ctx, ctx->client->name, key, &issued, &ca));
    KS_TRY(pair_material(ctx, &public, key));
    KS_TRY(op_new_object(ctx, ctx->client, &public.draft, true, &public.object));
    KS_TRY(pair_material(ctx, &private, key));
    KS_TRY(op_new_object(ctx, ctx->client, &private.draft, true, &private.object));
    KS_TRY(put_certificate(ctx, issued, not_after, &draft));
    KS_TRY(attr_link(ctx, &draft, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, object_uid(public.object)));
    KS_TRY(attr_link(ctx, &draft, KMIP_LINK_TYPE_PRIVATE_KEY_LINK, object_uid(private.object)));
    KS_TRY(op_new_object(ctx, ctx->client, &draft, false, &certificate));
    KS_TRY(link_to(ctx, private.object, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, public.object, KMIP_LINK_TYPE_CERTIFICATE_LINK,
                   certificate));
    KS_TRY(link_to(ctx, public.object, KMIP_LINK_TYPE_PRIVATE_KEY_LINK, private.object, KMIP_LINK_TYPE_CERTIFICATE_LINK,
                   certificate));
    engine_note(ctx, "with the certificate %s", certificate->uid);
    *ret = private.object;
    return associate(ctx, issued, not_after);
}

int
op_re_provision(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_re_provision_request *r = request;
    struct object *object;
    OP_RESPONSE(ctx, kmip_re_provision_response, response);
    if (r->certificate != NULL && r->certificate_request != NULL)
        return engine_fail(ctx, COND_BAD_FIELD, "a Certificate or a request for one, not both");
    KS_TRY(check_standing(ctx, ctx->who->fingerprint, "the certificate of the client"));
    if (r->certificate_request != NULL)
        KS_TRY(by_request(ctx, r->certificate_request, &object));
    else if (r->certificate != NULL)
        KS_TRY(by_certificate(ctx, r->certificate, &object));
    else
        KS_TRY(by_server(ctx, &object));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
