#include "server/engine/op/pkcs12.h"

#include "crypto/pkcs12.h"

enum { CHAIN_MOST = 16 };

/* Where the first of these links leads, if the client may see it and it is of that type; NULL: nowhere. */
static struct object *
follow(struct ctx *ctx, const struct object *from, const uint32_t *links, size_t n, uint32_t type)
{
    struct ks_span uid;
    for (size_t i = 0; i < n; i++) {
        struct object *to = attr_linked(from->rev, links[i], &uid) ? objects_find(&ctx->engine->objects, uid) : NULL;
        if (to != NULL && policy_may(ctx->client, RIGHT_SEE, to) && object_type(to) == type)
            return to;
    }
    return NULL;
}

static int
read_bytes(struct ctx *ctx, struct object *object, struct ks_span *ret)
{
    static const struct use use = {.use = USE_GET};
    struct material material;
    KS_TRY(engine_use(ctx, object, &use));
    KS_TRY(material_open(ctx, object, &material));
    if (material.kind != MATERIAL_BYTES || object->rev->wrapping != NULL)
        return engine_fail(ctx, COND_KEY_FORMAT, "object %s is not there as plain bytes", object->uid);
    *ret = material.bytes;
    return 0;
}

/* The key's certificate, by its own link or by the public key's, and then from each to the one that issued it. */
static int
collect_chain(struct ctx *ctx, const struct object *key, struct ks_span chain[CHAIN_MOST], size_t *ret_n)
{
    static const uint32_t public[] = {KMIP_LINK_TYPE_PUBLIC_KEY_LINK};
    static const uint32_t first[] = {KMIP_LINK_TYPE_PKCS_12_CERTIFICATE_LINK, KMIP_LINK_TYPE_CERTIFICATE_LINK};
    static const uint32_t next[] = {KMIP_LINK_TYPE_CERTIFICATE_LINK, KMIP_LINK_TYPE_PKCS_12_CERTIFICATE_LINK};
    const struct object *seen[CHAIN_MOST];
    size_t n = 0;
    const struct object *half = follow(ctx, key, public, 1, KMIP_OBJECT_TYPE_PUBLIC_KEY);
    struct object *at = follow(ctx, key, first, KS_ARRAY_LEN(first), KMIP_OBJECT_TYPE_CERTIFICATE);
    if (at == NULL && half != NULL)
        at = follow(ctx, half, first, KS_ARRAY_LEN(first), KMIP_OBJECT_TYPE_CERTIFICATE);
    while (at != NULL) {
        for (size_t i = 0; i < n; i++)
            if (seen[i] == at)
                at = NULL; /* a root that links to itself, or a circle */
        if (at == NULL)
            break;
        if (n == CHAIN_MOST)
            return engine_fail(ctx, COND_SERVER_LIMIT, "the certificate chain of key %s has more than %d certificates",
                               key->uid, CHAIN_MOST);
        KS_TRY(read_bytes(ctx, at, &chain[n]));
        seen[n++] = at;
        at = follow(ctx, at, next, KS_ARRAY_LEN(next), KMIP_OBJECT_TYPE_CERTIFICATE);
    }
    *ret_n = n;
    return 0;
}

static const char *
friendly_name(struct ctx *ctx, const struct object *key)
{
    for (const struct kmip_attr *a = key->rev->attrs.first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_PKCS_12_FRIENDLY_NAME && a->value != NULL)
            return ks_arena_dup(ctx->arena, a->value->s.data, a->value->s.len);
    return NULL;
}

int
pkcs12_make(struct ctx *ctx, const struct object *object, struct material *material)
{
    static const uint32_t password_link[] = {KMIP_LINK_TYPE_PKCS_12_PASSWORD_LINK};
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(1 << 20);
    struct ks_span chain[CHAIN_MOST], password;
    struct ks_diag diag = {0};
    KS_PKEY *key = NULL;
    size_t n;
    if (object_type(object) != KMIP_OBJECT_TYPE_PRIVATE_KEY)
        return engine_fail(ctx, COND_KEY_FORMAT, "a PKCS#12 container is made of a private key; object %s is none",
                           object->uid);
    int rc = material_pkey(ctx, object->rev, material, &key);
    if (rc == KS_E_NOMEM)
        return rc;
    if (rc != 0)
        return engine_fail(ctx, COND_KEY_FORMAT, "key %s is in a format that can not be converted", object->uid);
    struct object *secret = follow(ctx, object, password_link, 1, KMIP_OBJECT_TYPE_SECRET_DATA);
    if (secret == NULL)
        return engine_fail(ctx, COND_KEY_FORMAT,
                           "key %s has no PKCS#12 Password Link to secret data that this client may see", object->uid);
    KS_TRY(read_bytes(ctx, secret, &password));
    KS_TRY(collect_chain(ctx, object, chain, &n));
    rc = ks_pkcs12_make(key, chain, n, friendly_name(ctx, object), password, &out, &diag);
    if (rc != 0)
        return rc == KS_E_INVALID ? engine_fail_diag(ctx, COND_BAD_FIELD, &diag)
                                  : engine_fail_diag(ctx, COND_CRYPTOGRAPHY, &diag);
    engine_note(ctx, "as PKCS#12 with %zu certificates", n);
    /* Where the container stands is what the published cases show: up to 1.4 as the Key Value itself. */
    material->kind = ctx->version < KMIP_V2_0 ? MATERIAL_WRAPPED : MATERIAL_BYTES;
    return ks_arena_span(ctx->arena, ks_buf_span(&out), &material->bytes);
}
