#include "server/engine/suspend.h"

#include <stdio.h>

#include "base/text.h"

static const char *const modes[] = {[SUSPENSION_ALL] = "all", [SUSPENSION_PROTECT] = "protect"};

/* Names of the attributes, without the vendor's "y". */
static const char name_mode[] = "Suspended", name_since[] = "Suspended-Since", name_by[] = "Suspended-By",
                  name_reason[] = "Suspended-Reason", name_agreed_by[] = "Resume-By",
                  name_agreed_since[] = "Resume-Since";

bool
suspend_mode(struct ks_span name, enum suspension *ret)
{
    for (size_t i = SUSPENSION_ALL; i < KS_ARRAY_LEN(modes); i++)
        if (ks_span_is(name, modes[i])) {
            *ret = (enum suspension)i;
            return true;
        }
    return false;
}

static bool
is_ours(const struct kmip_attr *attr, const char *name)
{
    return attr->tag == KMIP_TAG_ATTRIBUTE && ks_span_is(attr->vendor, "y") && ks_span_is(attr->name, name);
}

static const struct kmip_item *
value_of(const struct rev *rev, const char *name, enum kmip_type type)
{
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL; a = a->next)
        if (is_ours(a, name) && a->value != NULL && a->value->type == type)
            return a->value;
    return NULL;
}

static struct ks_span
text_of(const struct rev *rev, const char *name)
{
    const struct kmip_item *item = value_of(rev, name, KMIP_TYPE_TEXT_STRING);
    return item != NULL ? item->s : KS_LIT("?");
}

void
suspend_say(struct ctx *ctx, const struct object *object, enum condition condition)
{
    const struct rev *rev = object->rev;
    const struct kmip_item *at = value_of(rev, name_since, KMIP_TYPE_DATE_TIME);
    const struct ks_span by = text_of(rev, name_by), mode = text_of(rev, name_mode), why = text_of(rev, name_reason);
    char since[KS_TIME_TEXT_LEN];
    if (at == NULL || ks_time_format(at->i64, since) != 0)
        (void)snprintf(since, sizeof(since), "?");
    engine_say(ctx, condition,
               "object %s is suspended (%.*s) since %s by %.*s: %.*s. Wait, or ask the administrators: two of "
               "them resume it",
               object->uid, (int)mode.len, (const char *)mode.data, since, (int)(by.len < 64 ? by.len : 64),
               (const char *)by.data, (int)why.len, (const char *)why.data);
}

static void
drop(struct rev *draft, const char *const *names, size_t n)
{
    struct kmip_attrs kept = {.present = draft->attrs.present};
    for (struct kmip_attr *a = draft->attrs.first, *next; a != NULL; a = next) {
        bool gone = false;
        next = a->next;
        for (size_t i = 0; i < n; i++)
            gone = gone || is_ours(a, names[i]);
        if (gone)
            continue;
        a->next = NULL;
        *(kept.last != NULL ? &kept.last->next : &kept.first) = a;
        kept.last = a;
        kept.n++;
    }
    draft->attrs = kept;
}

static int
put(struct ctx *ctx, struct rev *draft, const char *name, enum kmip_type type, struct kmip_item **ret)
{
    struct kmip_item *item = kmip_item_new(ctx->arena, KMIP_TAG_ATTRIBUTE_VALUE, type);
    struct kmip_attr *attr = item != NULL ? kmip_attrs_add(ctx->arena, &draft->attrs, KMIP_TAG_ATTRIBUTE, item) : NULL;
    if (attr == NULL)
        return KS_E_NOMEM;
    attr->vendor = KS_LIT("y");
    attr->name = ks_span_str(name);
    attr->index = 0;
    *ret = item;
    return 0;
}

static int
put_text(struct ctx *ctx, struct rev *draft, const char *name, struct ks_span text)
{
    struct kmip_item *item;
    KS_TRY(put(ctx, draft, name, KMIP_TYPE_TEXT_STRING, &item));
    return ks_arena_span(ctx->arena, text, &item->s);
}

static int
put_now(struct ctx *ctx, struct rev *draft, const char *name)
{
    struct kmip_item *item;
    KS_TRY(put(ctx, draft, name, KMIP_TYPE_DATE_TIME, &item));
    item->i64 = ctx->now;
    return 0;
}

int
suspend_put(struct ctx *ctx, struct rev *draft, enum suspension mode, struct ks_span reason)
{
    suspend_drop(draft);
    core_set(&draft->core, CORE_SUSPENSION, mode);
    KS_TRY(put_text(ctx, draft, name_mode, ks_span_str(modes[mode])));
    KS_TRY(put_now(ctx, draft, name_since));
    KS_TRY(put_text(ctx, draft, name_by, ks_span_str(ctx->client->name)));
    return put_text(ctx, draft, name_reason, reason);
}

void
suspend_drop(struct rev *draft)
{
    static const char *const all[] = {name_mode, name_since, name_by, name_reason, name_agreed_by, name_agreed_since};
    core_clear(&draft->core, CORE_SUSPENSION);
    drop(draft, all, KS_ARRAY_LEN(all));
}

const struct client *
suspend_agreed(const struct ctx *ctx, const struct rev *rev)
{
    const struct kmip_item *by = value_of(rev, name_agreed_by, KMIP_TYPE_TEXT_STRING);
    const struct kmip_item *at = value_of(rev, name_agreed_since, KMIP_TYPE_DATE_TIME);
    if (by == NULL || at == NULL || ctx->now - at->i64 >= SUSPEND_AGREED_S)
        return NULL;
    const struct client *who = clients_find(&ctx->engine->clients, by->s);
    return who != NULL && who != ctx->client && policy_may(who, RIGHT_ADMINISTER, NULL) ? who : NULL;
}

int
suspend_agree(struct ctx *ctx, struct rev *draft)
{
    static const char *const agreement[] = {name_agreed_by, name_agreed_since};
    drop(draft, agreement, KS_ARRAY_LEN(agreement));
    KS_TRY(put_text(ctx, draft, name_agreed_by, ks_span_str(ctx->client->name)));
    return put_now(ctx, draft, name_agreed_since);
}
