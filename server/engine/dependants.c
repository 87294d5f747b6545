#include "server/engine/dependants.h"

#include "base/text.h"
#include "crypto/hash.h"
#include "server/engine/policy.h"

enum { CODE = 8, NAMED_MOST = 3, VALUE_MOST = 120 };

/* What stands behind the prefix in the attribute's name; no data: it is another attribute. */
static struct ks_span
behind(const struct kmip_attr *attr, const char *prefix)
{
    const size_t n = strlen(prefix);
    if (attr->tag != KMIP_TAG_ATTRIBUTE || !ks_span_is(attr->vendor, "x") || attr->name.len <= n ||
        memcmp(attr->name.data, prefix, n) != 0)
        return KS_SPAN_NONE;
    return KS_SPAN(attr->name.data + n, attr->name.len - n);
}

static bool
is_needs(const struct kmip_attr *attr)
{
    return behind(attr, DEPENDANT_NEEDS).len != 0;
}

static struct ks_span
value_of(const struct kmip_attr *attr)
{
    return attr->value != NULL && attr->value->type == KMIP_TYPE_TEXT_STRING ? attr->value->s : KS_SPAN_NONE;
}

/* The code of the dependants as they are: 16 hexadecimal digits. 0 dependants: none. */
static int
code_of(const struct rev *rev, size_t *ret_n, char ret[2 * CODE + 1])
{
    KS_CLEANUP(ks_buf_done) struct ks_buf all = KS_BUF(16 << 20);
    KS_CLEANUP(ks_buf_done) struct ks_buf hex = KS_BUF(64);
    uint8_t digest[KS_SHA256];
    size_t n = 0;
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL; a = a->next) {
        if (a->value == NULL || !is_needs(a))
            continue;
        const struct ks_span value = value_of(a);
        KS_TRY(ks_buf_add_be32(&all, (uint32_t)a->name.len));
        KS_TRY(ks_buf_add_span(&all, a->name));
        KS_TRY(ks_buf_add_be32(&all, (uint32_t)value.len));
        KS_TRY(ks_buf_add_span(&all, value));
        n++;
    }
    const struct ks_span span = ks_buf_span(&all);
    KS_TRY(ks_sha256(&span, 1, digest));
    KS_TRY(ks_hex_add(&hex, digest, CODE));
    memcpy(ret, hex.data, (size_t)2 * CODE);
    ret[(size_t)2 * CODE] = '\0';
    *ret_n = n;
    return 0;
}

/* Another administrator than the one who asks has agreed to the destruction of exactly this. */
static bool
another_agreed(const struct ctx *ctx, const struct rev *rev, const char *code)
{
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL; a = a->next) {
        const struct ks_span name = behind(a, DEPENDANT_DESTROY);
        if (name.len == 0 || a->value == NULL || !ks_span_is(value_of(a), code))
            continue;
        const struct client *who = clients_find(&ctx->engine->clients, name);
        if (who != NULL && who != ctx->client && policy_may(who, RIGHT_ADMINISTER, NULL))
            return true;
    }
    return false;
}

static int
refuse(struct ctx *ctx, const struct object *object, size_t n, const char *code, bool forced)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf named = KS_BUF(4096);
    size_t said = 0;
    for (const struct kmip_attr *a = object->rev->attrs.first; a != NULL && said < NAMED_MOST; a = a->next) {
        if (a->value == NULL || !is_needs(a))
            continue;
        const struct ks_span value = value_of(a);
        KS_TRY(ks_buf_addf(&named, "%s%.*s", said > 0 ? "; " : "",
                           (int)(value.len < VALUE_MOST ? value.len : VALUE_MOST), (const char *)value.data));
        said++;
    }
    const char *text = ks_buf_cstr(&named);
    /* What to do comes first: a message has an end. */
    return engine_fail(ctx, COND_DEPENDED_ON,
                       forced ? "object %s is needed, by %zu. Let them expire, or one administrator sets "
                                "x-" DEPENDANT_DESTROY "OWNNAME to %s and another destroys it. Needed by: %s%s"
                              : "object %s is needed, by %zu. Let them expire (%s). Needed by: %s%s",
                       object->uid, n, code, text != NULL ? text : "", n > said ? "; ..." : "");
}

int
dependants_allow(struct ctx *ctx, const struct object *object, bool forced)
{
    char code[2 * CODE + 1];
    size_t n = 0;
    KS_TRY(code_of(object->rev, &n, code));
    if (n == 0)
        return 0;
    if (forced && policy_may(ctx->client, RIGHT_ADMINISTER, NULL) && another_agreed(ctx, object->rev, code))
        return 0;
    return refuse(ctx, object, n, code, forced);
}

int
dependants_may_agree(struct ctx *ctx, const struct kmip_attr *attr)
{
    const struct ks_span name = behind(attr, DEPENDANT_DESTROY);
    if (name.len == 0)
        return 0;
    if (ctx->client != NULL && policy_may(ctx->client, RIGHT_ADMINISTER, NULL) && ks_span_is(name, ctx->client->name))
        return 0;
    return engine_fail(ctx, COND_NOT_PERMITTED,
                       "x-" DEPENDANT_DESTROY "NAME is set, and taken back, by the administrator of that name alone");
}

int
dependants_may_change(struct ctx *ctx, const struct object *object, const struct kmip_attr *attr)
{
    if (!is_needs(attr) || object->owner == ctx->client)
        return 0;
    return engine_fail(
        ctx, COND_NOT_PERMITTED,
        "what object %s is needed by is changed by its owner alone: keystead pg register-backup --expire", object->uid);
}

void
dependants_drop(struct rev *draft)
{
    struct kmip_attrs kept = {.present = draft->attrs.present};
    for (struct kmip_attr *a = draft->attrs.first, *next; a != NULL; a = next) {
        next = a->next;
        if (is_needs(a) || behind(a, DEPENDANT_DESTROY).len != 0)
            continue;
        a->next = NULL;
        *(kept.last != NULL ? &kept.last->next : &kept.first) = a;
        kept.last = a;
        kept.n++;
    }
    draft->attrs = kept;
}
