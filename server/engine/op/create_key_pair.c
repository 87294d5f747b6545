/* Create Key Pair (KMIP 1.4: 4.2; 2.1: 6.1.9). */
#include "crypto/keygen.h"
#include "crypto/pq.h"
#include "server/engine/op/pair.h"
#include "server/engine/prepared.h"
#include "server/engine/profile.h"
#include "server/engine/required.h"
#include "server/engine/rules.h"

int
pair_common(struct ctx *ctx, const struct kmip_attrs *common, const struct kmip_attrs *own, struct kmip_attrs *ret)
{
    struct kmip_attrs rest = {.names = common->names};
    for (const struct kmip_attr *a = common->first; a != NULL; a = a->next) {
        bool said = false;
        for (const struct kmip_attr *b = own->first; b != NULL && !said; b = b->next)
            said = attr_same(b, a->tag, a->vendor, a->name);
        if (said)
            continue;
        struct kmip_attr *copy = kmip_attrs_add(ctx->arena, &rest, a->tag, a->value);
        if (copy == NULL)
            return KS_E_NOMEM;
        copy->vendor = a->vendor;
        copy->name = a->name;
    }
    *ret = rest;
    return 0;
}

static int
start_half(struct ctx *ctx, struct half *half, uint32_t type, const struct kmip_attrs *common,
           const struct kmip_attrs *own)
{
    struct kmip_attrs rest;
    core_set(&half->draft.core, CORE_OBJECT_TYPE, type);
    KS_TRY(attr_new(ctx, own, &half->draft));
    /* What is common holds where the half says nothing itself. */
    KS_TRY(pair_common(ctx, common, own, &rest));
    KS_TRY(attr_new(ctx, &rest, &half->draft));
    KS_TRY(rules_fill(ctx, &half->draft));
    return required_check(ctx, KMIP_OPERATION_CREATE_KEY_PAIR, &half->draft);
}

static uint32_t
curve_of(const struct rev *draft)
{
    return profile_facts(draft).curve;
}

/* In the engine's thread, while all wait: about a second. 8192 bits take a minute. */
enum { RSA_HERE_MOST = 4096 };

static int
made(struct ctx *ctx, int rc, struct ks_diag *diag)
{
    if (rc == KS_E_INVALID || rc == KS_E_UNSUPPORTED)
        return engine_fail_diag(ctx, COND_AGAINST_POLICY, diag);
    return rc == KS_E_CRYPTO ? engine_fail_diag(ctx, COND_CRYPTOGRAPHY, diag) : rc;
}

int
pair_make(struct ctx *ctx, const struct rev *a, const struct rev *b, struct ks_pkey **ret)
{
    struct ks_diag diag = {0};
    if (!core_has(&a->core, CORE_ALGORITHM) || !core_has(&b->core, CORE_ALGORITHM))
        return engine_fail(ctx, COND_PAIR_MISSING, "the request has no Cryptographic Algorithm");
    if (core_get(&a->core, CORE_ALGORITHM) != core_get(&b->core, CORE_ALGORITHM) ||
        core_get(&a->core, CORE_LENGTH) != core_get(&b->core, CORE_LENGTH) || curve_of(a) != curve_of(b))
        return engine_fail(ctx, COND_BAD_FIELD, "both keys of a pair have the same algorithm, length and curve");
    if (core_get(&a->core, CORE_LENGTH) < 0)
        return engine_fail(ctx, COND_AGAINST_POLICY, "a Cryptographic Length is not negative");
    const struct ks_keypair_params params = {.algorithm = (uint32_t)core_get(&a->core, CORE_ALGORITHM),
                                             .bits = (uint32_t)core_get(&a->core, CORE_LENGTH),
                                             .curve = curve_of(a)};
    const struct profile_what what = profile_facts(a);
    KS_TRY(profile_check(ctx, PROFILE_MAKE, &what));
    if (ks_pq_check(params.algorithm, &diag) != 0)
        return engine_fail_diag(ctx, COND_PARAMETERS_NOT_OFFERED, &diag);
    if (params.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA) {
        const int rc = prepared_rsa(ctx, params.bits, ret, &diag);
        if (rc != KS_E_NOT_FOUND)
            return made(ctx, rc, &diag);
    }
    /* Where nobody makes them beforehand; more would keep all others waiting. */
    if (ks_pq_is_slow(params.algorithm) && ctx->n_slow++ != 0)
        return engine_fail(ctx, COND_SERVER_LIMIT,
                           "a request makes or signs with one SLH-DSA key of small signatures; send another");
    if (params.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA && ctx->n_slow++ != 0)
        return engine_fail(ctx, COND_SERVER_LIMIT, "a request makes one RSA key pair; send another");
    if (ctx->who != NULL && params.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA && params.bits > RSA_HERE_MOST)
        return engine_fail(
            ctx, COND_SERVER_LIMIT,
            "an RSA key pair of more than %d bits is made only for a request that itself has the length, "
            "or the Unique Identifier of the private key that is replaced",
            RSA_HERE_MOST);
    return made(ctx, ks_keygen_pair(&params, ret, &diag), &diag);
}

static int
put_curve(struct ctx *ctx, struct rev *draft, uint32_t curve)
{
    struct kmip_item *item;
    if (curve == 0 || curve_of(draft) != 0)
        return 0;
    const struct kmip_cryptographic_domain_parameters p = {.recommended_curve = curve, .has_recommended_curve = true};
    KS_TRY(kmip_item_encode(&kmip_schema_cryptographic_domain_parameters, KMIP_V2_1, &p, ctx->arena, &item));
    attr_drop(draft, KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS);
    return attr_put(ctx, draft, KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS, item);
}

int
pair_material(struct ctx *ctx, struct half *half, const struct ks_pkey *key)
{
    struct core *core = &half->draft.core;
    struct ks_pkey_info info;
    struct material material;
    ks_pkey_info(key, &info);
    if (!core_has(core, CORE_LENGTH))
        core_set(core, CORE_LENGTH, info.bits);
    KS_TRY(put_curve(ctx, &half->draft, info.curve));
    if (!core_has(core, CORE_KEY_FORMAT_TYPE))
        core_set(core, CORE_KEY_FORMAT_TYPE, material_default_format(ctx, key, half->is_private));
    KS_TRY(material_export(ctx, key, (uint32_t)core_get(core, CORE_KEY_FORMAT_TYPE), half->is_private, &material));
    return material_put_key(ctx, &half->draft, &material, key);
}

static int
finish_half(struct ctx *ctx, struct half *half, const struct ks_pkey *key)
{
    KS_TRY(pair_material(ctx, half, key));
    return op_new_object(ctx, ctx->client, &half->draft, true, &half->object);
}

static int
link_half(struct ctx *ctx, struct half *half, uint32_t type, const struct half *to)
{
    struct rev draft;
    if (object_outlives(half->object, to->object))
        return 0;
    KS_TRY(rev_draft(ctx->arena, half->object->rev, &draft));
    KS_TRY(attr_link(ctx, &draft, type, object_uid(to->object)));
    return tx_put(ctx, half->object, &draft, true);
}

int
op_create_key_pair(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_create_key_pair_request *r = request;
    OP_RESPONSE(ctx, kmip_create_key_pair_response, response);
    struct half private = {.is_private = true}, public = {.is_private = false};
    KS_PKEY *key = NULL;
    KS_TRY(start_half(ctx, &private, KMIP_OBJECT_TYPE_PRIVATE_KEY, &r->common_attributes, &r->private_attributes));
    KS_TRY(start_half(ctx, &public, KMIP_OBJECT_TYPE_PUBLIC_KEY, &r->common_attributes, &r->public_attributes));
    KS_TRY(pair_make(ctx, &private.draft, &public.draft, &key));
    KS_TRY(finish_half(ctx, &public, key));
    KS_TRY(finish_half(ctx, &private, key));
    KS_TRY(link_half(ctx, &private, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, &public));
    KS_TRY(link_half(ctx, &public, KMIP_LINK_TYPE_PRIVATE_KEY_LINK, &private));
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_CREATE_KEY_PAIR_PUBLIC_KEY, object_uid(public.object));
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_CREATE_KEY_PAIR, object_uid(private.object));
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_CREATE_KEY_PAIR_PRIVATE_KEY, object_uid(private.object));
    engine_note(ctx, "with the public key %s", public.object->uid);
    response->private_key_unique_identifier = uid_of(private.object);
    response->public_key_unique_identifier = uid_of(public.object);
    *ret_response = response;
    return 0;
}
