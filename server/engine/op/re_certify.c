/* Re-certify (KMIP 1.4: 4.8; 2.1: 6.1.45): a new certificate for the key of one that there is. */
#include "server/engine/op/certify.h"
#include "server/engine/op/replace.h"

static int
find_old(struct ctx *ctx, const struct kmip_uid *uid, struct object **ret)
{
    static const struct use use = {.use = USE_CERTIFY};
    struct object *old;
    KS_TRY(engine_object(ctx, uid, &old));
    KS_TRY(engine_use(ctx, old, &use));
    if (object_type(old) != KMIP_OBJECT_TYPE_CERTIFICATE ||
        core_get(&old->rev->core, CORE_CERTIFICATE_TYPE) != KMIP_CERTIFICATE_TYPE_X_509)
        return engine_fail(ctx, COND_OBJECT_UNFIT, "object %s is no X.509 certificate", old->uid);
    if (replace_done(old))
        return engine_fail(ctx, COND_NOT_PERMITTED, "certificate %s has a replacement already; renew that one",
                           old->uid);
    *ret = old;
    return 0;
}

/* The key is the certificate's, and so are the names where no request says others. */
static int
find_subject(struct ctx *ctx, const struct kmip_re_certify_request *r, const struct object *old, struct wish *wish)
{
    struct material material;
    struct ks_cert_info info;
    struct ks_span uid;
    KS_TRY(material_open(ctx, old, &material));
    int rc = ks_cert_parse(material.bytes, ctx->arena, &info, NULL);
    if (rc == 0)
        rc = ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_X_509, false, 0, 0, info.public_key, &wish->key, NULL);
    if (rc != 0)
        return rc == KS_E_NOMEM ? rc
                                : engine_fail(ctx, COND_NOT_PERMITTED,
                                              "the key of certificate %s is of a kind that is not certified", old->uid);
    struct object *public =
        attr_linked(old->rev, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, &uid) ? objects_find(&ctx->engine->objects, uid) : NULL;
    if (public != NULL && public->owner == old->owner && policy_may(ctx->client, RIGHT_SEE, public) &&
        object_type(public) == KMIP_OBJECT_TYPE_PUBLIC_KEY)
        wish->public = public;
    if (r->has_certificate_request)
        return wish_request(ctx, r->has_certificate_request_type, r->certificate_request_type, r->certificate_request,
                            wish);
    if (r->certificate_request_unique_identifier.type != 0) {
        struct object *kept;
        KS_TRY(engine_object(ctx, &r->certificate_request_unique_identifier, &kept));
        KS_TRY(wish_request_object(ctx, kept, wish));
        engine_about(ctx, old);
        return 0;
    }
    wish->certificate = material.bytes;
    return 0;
}

/* Names of the request first, then those that the certificate had. */
static int
take_names(struct ctx *ctx, const struct object *old, struct rev *draft)
{
    for (const struct kmip_attr *a = old->rev->attrs.first; a != NULL; a = a->next) {
        if (a->tag != KMIP_TAG_NAME || a->value == NULL)
            continue;
        bool again = false;
        for (const struct kmip_attr *b = draft->attrs.first; b != NULL && !again; b = b->next)
            again =
                b->tag == KMIP_TAG_NAME && b->value != NULL && ks_span_equal(name_text(b->value), name_text(a->value));
        if (!again)
            KS_TRY(attr_put(ctx, draft, KMIP_TAG_NAME, a->value));
    }
    return 0;
}

/* Its links: to the public key, to the authority, and to the certificate that it replaces. */
static int
put_links(struct ctx *ctx, const struct wish *wish, const struct object *old, struct rev *draft)
{
    if (wish->public != NULL)
        KS_TRY(attr_link(ctx, draft, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, object_uid(wish->public)));
    KS_TRY(attr_link(ctx, draft, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK, object_uid(old)));
    return wish->link.len != 0 ? attr_link(ctx, draft, KMIP_LINK_TYPE_CERTIFICATE_LINK, wish->link) : 0;
}

int
op_re_certify(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_re_certify_request *r = request;
    KS_CLEANUP(wish_done) struct wish wish = {0};
    struct object *old, *made;
    struct rev draft;
    OP_RESPONSE(ctx, kmip_re_certify_response, response);
    KS_TRY(find_old(ctx, &r->unique_identifier, &old));
    KS_TRY(find_subject(ctx, r, old, &wish));
    KS_TRY(wish_attributes(ctx, &r->attributes, &wish));
    if (wish.link.len == 0)
        (void)attr_linked(old->rev, KMIP_LINK_TYPE_CERTIFICATE_LINK, &wish.link);
    KS_TRY(replace_offset_fits(ctx, r->has_offset, &wish.attributes));
    KS_TRY(replace_inherit(ctx, old, &draft));
    certificate_drop_facts(&draft);
    attr_drop(&draft, KMIP_TAG_NAME);
    KS_TRY(replace_dates(ctx, r->has_offset, r->offset, &draft.core));
    KS_TRY(replace_override(ctx, &wish.attributes, &draft));
    KS_TRY(take_names(ctx, old, &draft));
    KS_TRY(wish_issue(ctx, &wish, &draft));
    attr_drop(&draft, KMIP_TAG_LINK);
    KS_TRY(put_links(ctx, &wish, old, &draft));
    KS_TRY(replace_put(ctx, old, &draft, false, &made));
    KS_TRY(wish_link(ctx, &wish, made));
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_RE_CERTIFY, object_uid(made));
    response->unique_identifier = uid_of(made);
    *ret_response = response;
    return 0;
}
