#include "server/engine/issuer.h"

#include "crypto/cert.h"
#include "crypto/keygen.h"
#include "server/engine/certificate.h"
#include "server/engine/op/pair.h"
#include "server/engine/profile.h"

enum { AUTHORITY_S = 10 * 365 * 86400 };

static int
put_name(struct ctx *ctx, struct rev *draft, const char *text)
{
    struct kmip_item *item;
    const struct kmip_name name = {.name_value = ks_span_str(text),
                                   .name_type = KMIP_NAME_TYPE_UNINTERPRETED_TEXT_STRING};
    KS_TRY(kmip_item_encode(&kmip_schema_name, KMIP_V2_1, &name, ctx->arena, &item));
    return attr_put(ctx, draft, KMIP_TAG_NAME, item);
}

static int
make_key(struct ctx *ctx, struct ks_pkey **ret, struct object **ret_object)
{
    static const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                                    .curve = KMIP_RECOMMENDED_CURVE_P_384};
    struct half half = {.is_private = true};
    struct core *core = &half.draft.core;
    struct ks_diag diag = {0};
    if (ks_keygen_pair(&params, ret, &diag) != 0)
        return engine_fail_diag(ctx, COND_CRYPTOGRAPHY, &diag);
    core_set(core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_PRIVATE_KEY);
    core_set(core, CORE_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_EC);
    core_set(core, CORE_USAGE_MASK,
             KMIP_CRYPTOGRAPHIC_USAGE_MASK_CERTIFICATE_SIGN | KMIP_CRYPTOGRAPHIC_USAGE_MASK_CRL_SIGN);
    core_set(core, CORE_SENSITIVE, true);
    core_set(core, CORE_EXTRACTABLE, false);
    core_set(core, CORE_ACTIVATION_DATE, ctx->now);
    KS_TRY(put_name(ctx, &half.draft, ISSUER_NAME " key"));
    KS_TRY(pair_material(ctx, &half, *ret));
    return op_new_object(ctx, ctx->client, &half.draft, true, ret_object);
}

static int
make_certificate(struct ctx *ctx, const struct ks_pkey *pkey, const struct object *key, struct object **ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(1 << 16);
    struct ks_diag diag = {0};
    struct ks_span kept;
    struct rev draft = {0};
    const struct ks_cert_spec spec = {.common_name = "Keystead issuing CA",
                                      .organization = ctx->client->name,
                                      .not_before = ctx->now,
                                      .not_after = ctx->now + AUTHORITY_S};
    if (ks_cert_ca(pkey, &spec, &der, &diag) != 0)
        return engine_fail_diag(ctx, COND_CRYPTOGRAPHY, &diag);
    KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&der), &kept));
    core_set(&draft.core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_CERTIFICATE);
    KS_TRY(certificate_put(ctx, kept, &draft));
    core_set(&draft.core, CORE_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_CERTIFICATE_SIGN);
    core_set(&draft.core, CORE_ACTIVATION_DATE, ctx->now);
    core_set(&draft.core, CORE_DEACTIVATION_DATE, spec.not_after);
    core_set(&draft.core, CORE_ORIGINAL_CREATION_DATE, ctx->now);
    KS_TRY(put_name(ctx, &draft, ISSUER_NAME));
    KS_TRY(attr_link(ctx, &draft, KMIP_LINK_TYPE_PRIVATE_KEY_LINK, object_uid(key)));
    return op_new_object(ctx, ctx->client, &draft, false, ret);
}

static int
make(struct ctx *ctx, struct object **ret)
{
    KS_PKEY *pkey = NULL;
    struct object *key, *certificate;
    struct rev draft;
    KS_TRY(make_key(ctx, &pkey, &key));
    KS_TRY(make_certificate(ctx, pkey, key, &certificate));
    KS_TRY(rev_draft(ctx->arena, key->rev, &draft));
    KS_TRY(attr_link(ctx, &draft, KMIP_LINK_TYPE_CERTIFICATE_LINK, object_uid(certificate)));
    KS_TRY(tx_put(ctx, key, &draft, true));
    *ret = certificate;
    return 0;
}

static struct object *
named(struct ctx *ctx)
{
    const struct ks_span name = ks_span_str(ISSUER_NAME);
    uint32_t at = INDEX_NONE;
    for (struct object *o; (o = objects_named(&ctx->engine->objects, ctx->client, name, &at)) != NULL;)
        if (object_type(o) == KMIP_OBJECT_TYPE_CERTIFICATE)
            return o;
    return NULL;
}

static int
find_certificate(struct ctx *ctx, struct ks_span link, struct object **ret)
{
    if (link.len == 0) {
        *ret = named(ctx);
        return *ret != NULL ? 0 : make(ctx, ret);
    }
    struct object *object = objects_find(&ctx->engine->objects, link);
    if (object == NULL || !policy_may(ctx->client, RIGHT_SEE, object) ||
        object_type(object) != KMIP_OBJECT_TYPE_CERTIFICATE)
        return engine_fail(ctx, COND_UNKNOWN_OBJECT, "the Certificate Link leads to no certificate that could issue");
    *ret = object;
    return 0;
}

int
issuer_find(struct ctx *ctx, struct ks_span link, struct issuer *ret)
{
    static const struct use use = {.use = USE_PROTECT, .mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_CERTIFICATE_SIGN};
    static const struct use above = {.use = USE_CERTIFY};
    struct material material;
    struct ks_cert_info info;
    struct ks_span uid;
    KS_TRY(find_certificate(ctx, link, &ret->certificate));
    KS_TRY(engine_use(ctx, ret->certificate, &above));
    ret->key = attr_linked(ret->certificate->rev, KMIP_LINK_TYPE_PRIVATE_KEY_LINK, &uid)
                   ? objects_find(&ctx->engine->objects, uid)
                   : NULL;
    if (ret->key == NULL || !policy_may(ctx->client, RIGHT_SEE, ret->key))
        return engine_fail(ctx, COND_NOT_PERMITTED,
                           "certificate %s has no Private Key Link to a key of this client: nothing can be issued "
                           "under it",
                           ret->certificate->uid);
    KS_TRY(engine_use(ctx, ret->key, &use));
    const struct profile_what what = profile_key(ret->key);
    KS_TRY(profile_check(ctx, PROFILE_PROTECT, &what));
    KS_TRY(material_open(ctx, ret->certificate, &material));
    ret->der = material.bytes;
    const int rc = ks_cert_parse(material.bytes, ctx->arena, &info, NULL);
    if (rc != 0)
        return rc == KS_E_NOMEM ? rc
                                : engine_fail(ctx, COND_NOT_PERMITTED, "certificate %s is no X.509 certificate",
                                              ret->certificate->uid);
    ret->not_after = info.not_after;
    return parsed_key(ctx, ret->key, &ret->pkey);
}
