/* Certify (KMIP 1.4: 4.7; 2.1: 6.1.6): a certificate for a public key, under an authority of the client's own. */
#include "server/engine/op/certify.h"

int
wish_attributes(struct ctx *ctx, const struct kmip_attrs *attrs, struct wish *wish)
{
    wish->attributes = (struct kmip_attrs){.present = true, .names = attrs->names};
    wish->subject = ks_arena_array(ctx->arena, attrs->n + 1, sizeof(*wish->subject));
    if (wish->subject == NULL)
        return KS_E_NOMEM;
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next) {
        const char *part = certificate_subject_part(a->tag);
        if (part != NULL && a->value != NULL && a->value->type == KMIP_TYPE_TEXT_STRING) {
            const char *value = ks_arena_dup(ctx->arena, a->value->s.data, a->value->s.len);
            if (value == NULL)
                return KS_E_NOMEM;
            wish->subject[wish->n_subject++] = (struct ks_cert_part){part, value};
            continue;
        }
        const struct kmip_item *type =
            a->tag == KMIP_TAG_LINK && a->value != NULL ? kmip_item_child(a->value, KMIP_TAG_LINK_TYPE) : NULL;
        const struct kmip_item *to = type != NULL ? kmip_item_child(a->value, KMIP_TAG_LINKED_OBJECT_IDENTIFIER) : NULL;
        if (to != NULL && to->type == KMIP_TYPE_TEXT_STRING && type->u32 == KMIP_LINK_TYPE_CERTIFICATE_LINK)
            wish->link = to->s;
        if (a->tag == KMIP_TAG_CERTIFICATE_TYPE && a->value != NULL && a->value->u32 != KMIP_CERTIFICATE_TYPE_X_509)
            return engine_fail(ctx, COND_NO_SUCH_FEATURE, "this server issues X.509 certificates alone");
        struct kmip_attr *copy = kmip_attrs_add(ctx->arena, &wish->attributes, a->tag, a->value);
        if (copy == NULL)
            return KS_E_NOMEM;
        copy->vendor = a->vendor;
        copy->name = a->name;
        copy->index = a->index;
    }
    return 0;
}

int
wish_request(struct ctx *ctx, bool has_type, uint32_t type, struct ks_span request, struct wish *wish)
{
    KS_PKEY *key = NULL;
    if (!has_type)
        return engine_fail(ctx, COND_MISSING, "the request has a Certificate Request and not its type");
    KS_TRY(certificate_request_der(ctx, type, request, &wish->request, &key));
    if (wish->key != NULL && !ks_pkey_same_public(wish->key, key))
        return engine_fail(ctx, COND_BAD_REQUEST_OF_CERTIFICATE,
                           "the certificate request asks for another key than the one that is named");
    ks_pkey_free(wish->key);
    wish->key = key;
    key = NULL; /* transferred */
    return 0;
}

int
wish_request_object(struct ctx *ctx, struct object *object, struct wish *wish)
{
    static const struct use use = {.use = USE_CERTIFY};
    struct material material;
    KS_TRY(engine_use(ctx, object, &use));
    if (object_type(object) != KMIP_OBJECT_TYPE_CERTIFICATE_REQUEST)
        return engine_fail(ctx, COND_OBJECT_KIND, "object %s is no certificate request", object->uid);
    KS_TRY(material_open(ctx, object, &material));
    return wish_request(ctx, true, (uint32_t)core_get(&object->rev->core, CORE_CERTIFICATE_REQUEST_TYPE),
                        material.bytes, wish);
}

/* Without any other name the certificate is for the key's. */
static int
default_subject(struct ctx *ctx, const struct rev *draft, const struct wish *wish, struct ks_cert_part *ret)
{
    struct ks_span name = rev_name(draft);
    if (name.len == 0 && wish->public != NULL)
        name = rev_name(wish->public->rev);
    if (name.len == 0 && wish->public != NULL)
        name = object_uid(wish->public);
    *ret = (struct ks_cert_part){"CN", ks_arena_dup(ctx->arena, name.data, name.len)};
    return ret->value != NULL ? 0 : KS_E_NOMEM;
}

int
wish_issue(struct ctx *ctx, const struct wish *wish, struct rev *draft)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(1 << 16);
    const struct core *core = &draft->core;
    struct issuer issuer = {0};
    struct ks_cert_part fallback;
    struct ks_diag diag = {0};
    struct ks_span kept;
    KS_TRY(default_subject(ctx, draft, wish, &fallback));
    int rc = issuer_find(ctx, wish->link, &issuer);
    KS_PKEY *ca_key = issuer.pkey;
    KS_TRY(rc);
    struct ks_cert_wish what = {.request = wish->request,
                                .certificate = wish->certificate,
                                .subject = wish->n_subject != 0 ? wish->subject : &fallback,
                                .n_subject = wish->n_subject != 0 ? wish->n_subject : 1,
                                .key = wish->key,
                                .not_before = ctx->now,
                                .usage = (uint32_t)core_get(core, CORE_USAGE_MASK)};
    if ((what.usage & (KMIP_CRYPTOGRAPHIC_USAGE_MASK_CERTIFICATE_SIGN | KMIP_CRYPTOGRAPHIC_USAGE_MASK_CRL_SIGN)) != 0)
        return engine_fail(ctx, COND_NOT_PERMITTED, "certificates of authorities are not issued; register one instead");
    if (core_has(core, CORE_ACTIVATION_DATE))
        what.not_before = core_get(core, CORE_ACTIVATION_DATE);
    if (core_has(core, CORE_DEACTIVATION_DATE))
        what.not_after = core_get(core, CORE_DEACTIVATION_DATE);
    else if (__builtin_add_overflow(what.not_before, ctx->engine->config.certificate_s, &what.not_after))
        return engine_fail(ctx, COND_BAD_FIELD, "the certificate would end beyond what a date can be");
    if (what.not_after > issuer.not_after)
        what.not_after = issuer.not_after; /* nothing outlives its issuer */
    rc = ks_cert_certify(issuer.der, ca_key, &what, &der, &diag);
    if (rc == KS_E_INVALID || rc == KS_E_LIMIT || rc == KS_E_MALFORMED)
        return engine_fail(ctx, COND_BAD_REQUEST_OF_CERTIFICATE, "no certificate can be issued: %s", diag.message);
    if (rc != 0)
        return rc == KS_E_NOMEM ? rc : engine_fail_diag(ctx, COND_CRYPTOGRAPHY, &diag);
    KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&der), &kept));
    KS_TRY(certificate_put(ctx, kept, draft));
    engine_note(ctx, "issued under certificate %s", issuer.certificate->uid);
    core_set(&draft->core, CORE_ORIGINAL_CREATION_DATE, ctx->now);
    return 0;
}

int
wish_link(struct ctx *ctx, const struct wish *wish, const struct object *certificate)
{
    struct rev draft;
    if (wish->public == NULL)
        return 0;
    KS_TRY(rev_draft(ctx->arena, wish->public->rev, &draft));
    KS_TRY(attr_link(ctx, &draft, KMIP_LINK_TYPE_CERTIFICATE_LINK, object_uid(certificate)));
    return tx_put(ctx, wish->public, &draft, true);
}

/* The object that is to be certified: a public key, or (2.x) a request that is kept. */
static int
find_subject(struct ctx *ctx, const struct kmip_certify_request *r, struct wish *wish)
{
    static const struct use use = {.use = USE_CERTIFY};
    struct object *object;
    struct material material;
    /* A request in the payload needs no object; up to 1.4 one that the batch has made before counts. */
    const bool named = r->unique_identifier.type != 0;
    const bool placeholder =
        ctx->version < KMIP_V2_0 && ctx->placeholder[KMIP_UNIQUE_IDENTIFIER_ID_PLACEHOLDER].len != 0;
    if (r->has_certificate_request && !named && !placeholder)
        return 0;
    KS_TRY(engine_object(ctx, &r->unique_identifier, &object));
    KS_TRY(engine_use(ctx, object, &use));
    if (object_type(object) == KMIP_OBJECT_TYPE_CERTIFICATE_REQUEST && !r->has_certificate_request)
        return wish_request_object(ctx, object, wish);
    if (object_type(object) != KMIP_OBJECT_TYPE_PUBLIC_KEY)
        return engine_fail(ctx, COND_OBJECT_UNFIT, "object %s is no public key, which is what is certified",
                           object->uid);
    KS_TRY(material_open(ctx, object, &material));
    const int rc = material_pkey(ctx, object->rev, &material, &wish->key);
    if (rc != 0)
        return rc == KS_E_NOMEM
                   ? rc
                   : engine_fail(ctx, COND_NOT_PERMITTED,
                                 "public key %s is in a format or of a kind that is not certified", object->uid);
    wish->public = object;
    return 0;
}

int
op_certify(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_certify_request *r = request;
    KS_CLEANUP(wish_done) struct wish wish = {0};
    struct rev draft = {0};
    struct object *made;
    OP_RESPONSE(ctx, kmip_certify_response, response);
    KS_TRY(find_subject(ctx, r, &wish));
    if (r->has_certificate_request)
        KS_TRY(wish_request(ctx, r->has_certificate_request_type, r->certificate_request_type, r->certificate_request,
                            &wish));
    KS_TRY(wish_attributes(ctx, &r->attributes, &wish));
    core_set(&draft.core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_CERTIFICATE);
    KS_TRY(attr_new(ctx, &wish.attributes, &draft));
    KS_TRY(wish_issue(ctx, &wish, &draft));
    if (wish.public != NULL)
        KS_TRY(attr_link(ctx, &draft, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, object_uid(wish.public)));
    KS_TRY(op_new_object(ctx, ctx->client, &draft, false, &made));
    KS_TRY(wish_link(ctx, &wish, made));
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_CERTIFY, object_uid(made));
    response->unique_identifier = uid_of(made);
    *ret_response = response;
    return 0;
}
