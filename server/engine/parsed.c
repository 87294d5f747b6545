#include "server/engine/parsed.h"

#include <stdlib.h>

#include "crypto/cert.h"
#include "crypto/pq.h"
#include "server/engine/material.h"

struct parsed {
    struct parsed_keys *keys;
    struct rev *rev; /* whose key it is */
    struct ks_pkey *key;
    int64_t used;                 /* seconds */
    struct parsed *newer, *older; /* by use */
};

static void
unlink_it(struct parsed *p)
{
    struct parsed_keys *keys = p->keys;
    *(p->newer != NULL ? &p->newer->older : &keys->newest) = p->older;
    *(p->older != NULL ? &p->older->newer : &keys->oldest) = p->newer;
    keys->n--;
}

static void
link_newest(struct parsed *p)
{
    struct parsed_keys *keys = p->keys;
    p->newer = NULL;
    p->older = keys->newest;
    *(p->older != NULL ? &p->older->newer : &keys->oldest) = p;
    keys->newest = p;
    keys->n++;
}

void
parsed_forget(struct parsed *parsed)
{
    if (parsed == NULL)
        return;
    unlink_it(parsed);
    parsed->rev->parsed = NULL;
    ks_pkey_free(parsed->key);
    free(parsed);
}

void
parsed_expire(struct parsed_keys *keys, int64_t now)
{
    for (struct parsed *p = keys->oldest, *newer; p != NULL && p->used + PARSED_IDLE_S <= now; p = newer) {
        newer = p->newer;
        parsed_forget(p);
    }
}

void
parsed_clear(struct parsed_keys *keys)
{
    for (struct parsed *p = keys->oldest, *newer; p != NULL; p = newer) {
        newer = p->newer;
        parsed_forget(p);
    }
}

/* A rev that is looked at in passing lies in memory that is used again without rev_free: its key is not kept. */
static void
keep(struct ctx *ctx, struct rev *rev, const struct ks_pkey *key)
{
    struct parsed_keys *keys = &ctx->engine->parsed;
    if (rev->parsed != NULL || rev == &ctx->engine->objects.peek_rev)
        return;
    struct parsed *p = malloc(sizeof(*p));
    if (p == NULL)
        return;
    *p = (struct parsed){.keys = keys, .rev = rev, .used = ctx->now};
    if (ks_pkey_share(key, &p->key) != 0) {
        free(p);
        return;
    }
    for (struct parsed *old = keys->oldest, *newer; keys->n >= PARSED_MOST && old != NULL; old = newer) {
        newer = old->newer;
        parsed_forget(old);
    }
    link_newest(p);
    rev->parsed = p;
}

/*
 * How long one use may hold the engine's thread. Longer keys are kept and handed out; and OpenSSL has the same bound
 * for public exponents of long keys (OPENSSL_RSA_MAX_PUBEXP_BITS), in public uses alone.
 */
enum { RSA_USE_BITS = 8192, RSA_SMALL_BITS = 3072, RSA_EXPONENT_BITS = 64 };

static int
check_length(struct ctx *ctx, const struct object *object, const struct ks_pkey *key)
{
    struct ks_pkey_info info;
    ks_pkey_info(key, &info);
    if (info.algorithm != KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA)
        return 0;
    if (info.bits > RSA_USE_BITS)
        return engine_fail(
            ctx, COND_PARAMETERS_NOT_OFFERED,
            "object %s is an RSA key of %u bits; this server computes with %d at most: get it, and use it "
            "elsewhere",
            object->uid, info.bits, RSA_USE_BITS);
    if (info.bits > RSA_SMALL_BITS && info.exponent_bits > RSA_EXPONENT_BITS)
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED,
                           "object %s is an RSA key of %u bits with a public exponent of %u; this server computes with "
                           "exponents of %d bits at most",
                           object->uid, info.bits, info.exponent_bits, RSA_EXPONENT_BITS);
    return 0;
}

static int
certificate_key(struct ctx *ctx, struct ks_span der, struct ks_pkey **ret)
{
    struct ks_cert_info info;
    KS_TRY(ks_cert_parse(der, ctx->arena, &info, NULL));
    return ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_X_509, false, 0, 0, info.public_key, ret, NULL);
}

int
parsed_key(struct ctx *ctx, const struct object *object, struct ks_pkey **ret)
{
    struct rev *rev = object->rev;
    struct parsed *p = rev->parsed;
    struct material material;
    if (rev->wrapping != NULL)
        return engine_fail(ctx, COND_KEY_FORMAT, "object %s was registered wrapped: it can not be used here",
                           object->uid);
    if (p != NULL && ks_pkey_share(p->key, ret) == 0) {
        p->used = ctx->now;
        unlink_it(p);
        link_newest(p);
        p->keys->found++;
        return 0;
    }
    struct ks_diag diag = {0};
    if (ks_pq_check((uint32_t)core_get(&rev->core, CORE_ALGORITHM), &diag) != 0)
        return engine_fail_diag(ctx, COND_PARAMETERS_NOT_OFFERED, &diag);
    KS_TRY(material_open(ctx, object, &material));
    const int rc = object_type(object) == KMIP_OBJECT_TYPE_CERTIFICATE ? certificate_key(ctx, material.bytes, ret)
                                                                       : material_pkey(ctx, rev, &material, ret);
    if (rc == KS_E_NOMEM)
        return rc;
    if (rc != 0)
        return engine_fail(ctx, COND_KEY_FORMAT, "the key material of object %s can not be used here: %s", object->uid,
                           ks_err_text(rc));
    const int fits = check_length(ctx, object, *ret);
    if (fits != 0) {
        ks_pkey_free(*ret);
        *ret = NULL;
        return fits;
    }
    ctx->engine->parsed.read++;
    keep(ctx, rev, *ret);
    return 0;
}
