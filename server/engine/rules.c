#include "server/engine/rules.h"

#include "server/engine/attr.h"

enum { RULES_MAX = 1 << 18, ROWS_MOST = 256 };

void
rules_done(struct rules *rules)
{
    ks_buf_done(&rules->constraints);
    ks_buf_done(&rules->defaults);
    *rules = (struct rules){0};
}

int
rules_load(struct engine *engine, struct ks_span key, struct ks_span value, struct ks_diag *diag)
{
    struct ks_buf *to = ks_span_is(key, "constraints") ? &engine->rules.constraints
                        : ks_span_is(key, "defaults")  ? &engine->rules.defaults
                                                       : NULL;
    if (to == NULL)
        return 0;
    *to = KS_BUF(RULES_MAX);
    const int rc = system_row_open(engine->keyring, key, value, to);
    if (rc == 0 || rc == KS_E_NOMEM)
        return rc;
    return ks_fail(diag, KS_E_CORRUPT,
                   "system row %.*s of the store is damaged or was changed (%s); restore the store from a backup",
                   (int)(key.len & 127), (const char *)key.data, ks_err_text(rc));
}

static int
get(struct ctx *ctx, const struct ks_buf *from, const struct kmip_schema *schema, void **ret)
{
    struct kmip_item *item;
    *ret = NULL;
    if (from->len == 0)
        return 0;
    KS_TRY(kmip_item_from_ttlv(ks_buf_span(from), &kmip_limits_default, ctx->arena, &item, NULL));
    return kmip_item_decode(schema, KMIP_V2_1, item, ctx->arena, ret, NULL);
}

/* Into the store and into memory; OP_ALONE sees to it that nothing after it fails. */
static int
set(struct ctx *ctx, const char *key, struct ks_buf *to, const struct kmip_schema *schema, const void *from)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(RULES_MAX);
    struct store_change change = {.table = STORE_SYSTEM, .key = ks_span_str(key), .is_delete = true};
    if (from != NULL) {
        struct kmip_item *item;
        KS_TRY(kmip_item_encode(schema, KMIP_V2_1, from, ctx->arena, &item));
        KS_TRY(kmip_item_to_ttlv(item, &ttlv));
        KS_TRY(system_row(ctx->engine->keyring, ctx->arena, key, ks_buf_span(&ttlv), &change));
    } else if (to->len == 0) {
        return 0;
    }
    KS_TRY(tx_row(ctx, &change));
    ks_buf_done(to);
    *to = ttlv;
    ttlv = KS_BUF(RULES_MAX);
    return 0;
}

int
rules_constraints(struct ctx *ctx, struct kmip_constraints **ret)
{
    void *got;
    KS_TRY(get(ctx, &ctx->engine->rules.constraints, &kmip_schema_constraints, &got));
    *ret = got;
    return 0;
}

int
rules_defaults(struct ctx *ctx, struct kmip_defaults_information **ret)
{
    void *got;
    KS_TRY(get(ctx, &ctx->engine->rules.defaults, &kmip_schema_defaults_information, &got));
    *ret = got;
    return 0;
}

/* Attributes that a client could give at all: what the server sets is not for others to lay down. */
static int
check_attributes(struct ctx *ctx, const struct kmip_attrs *attrs)
{
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next) {
        const struct kmip_attr_rule *rule = kmip_attr_rule_find(a->tag);
        if (rule == NULL || (rule->flags & (KMIP_ATTR_CLIENT_SETS | KMIP_ATTR_CLIENT_ASKS)) == 0 || a->value == NULL)
            return engine_fail(ctx, COND_BAD_FIELD, "%s can not be laid down: clients do not set it",
                               kmip_tag_name(a->tag) != NULL ? kmip_tag_name(a->tag) : "an attribute");
    }
    return 0;
}

int
rules_set_constraints(struct ctx *ctx, const struct kmip_constraints *constraints)
{
    const size_t n = constraints != NULL ? constraints->n_constraint : 0;
    if (n > ROWS_MOST)
        return engine_fail(ctx, COND_SERVER_LIMIT, "there can be %d constraints at most", ROWS_MOST);
    for (size_t i = 0; i < n; i++)
        KS_TRY(check_attributes(ctx, &constraints->constraint[i]->attributes));
    return set(ctx, "constraints", &ctx->engine->rules.constraints, &kmip_schema_constraints,
               n != 0 ? constraints : NULL);
}

int
rules_set_defaults(struct ctx *ctx, const struct kmip_defaults_information *defaults)
{
    const size_t n = defaults != NULL ? defaults->n_object_defaults : 0;
    if (n > ROWS_MOST)
        return engine_fail(ctx, COND_SERVER_LIMIT, "there can be %d Object Defaults at most", ROWS_MOST);
    for (size_t i = 0; i < n; i++)
        KS_TRY(check_attributes(ctx, &defaults->object_defaults[i]->attributes));
    return set(ctx, "defaults", &ctx->engine->rules.defaults, &kmip_schema_defaults_information,
               n != 0 ? defaults : NULL);
}

/* Matching */

static bool
of_type(const struct kmip_object_types *types, uint32_t type)
{
    for (size_t i = 0; types != NULL && i < types->n_object_type; i++)
        if (types->object_type[i] == type)
            return true;
    return types == NULL;
}

static bool
of_group(const struct kmip_object_groups *groups, const struct rev *draft)
{
    if (groups == NULL)
        return true;
    for (const struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next)
        for (size_t i = 0; a->tag == KMIP_TAG_OBJECT_GROUP && a->value != NULL && i < groups->n_object_group; i++)
            if (ks_span_equal(a->value->s, groups->object_group[i]))
                return true;
    return false;
}

static bool
draft_has(const struct rev *draft, const struct kmip_attr *wanted)
{
    const enum core_id id = core_find(wanted->tag);
    int64_t value;
    if (id != CORE_COUNT) {
        if (!core_has(&draft->core, id) || core_from_item(id, wanted->value, &value) != 0)
            return false;
        if (id == CORE_USAGE_MASK)
            return (core_get(&draft->core, id) & ~value) == 0;
        return core_get(&draft->core, id) == value;
    }
    for (const struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next)
        if (a->value != NULL && attr_same(a, wanted->tag, wanted->vendor, wanted->name) &&
            kmip_item_equal(a->value, wanted->value))
            return true;
    return false;
}

/* The attribute of the constraint that the draft does not keep; NULL: it keeps all. */
static const struct kmip_attr *
broken(const struct kmip_attrs *attrs, const struct rev *draft)
{
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next) {
        bool kept = false;
        for (const struct kmip_attr *b = attrs->first; b != NULL && !kept; b = b->next)
            kept = attr_same(b, a->tag, a->vendor, a->name) && draft_has(draft, b);
        if (!kept)
            return a;
    }
    return NULL;
}

int
rules_check(struct ctx *ctx, const struct rev *draft)
{
    struct kmip_constraints *all;
    const struct kmip_attr *first = NULL;
    bool by_group = false;
    const uint32_t type = (uint32_t)core_get(&draft->core, CORE_OBJECT_TYPE);
    KS_TRY(rules_constraints(ctx, &all));
    for (size_t i = 0; all != NULL && i < all->n_constraint; i++) {
        const struct kmip_constraint *c = all->constraint[i];
        by_group = by_group ||
                   (c->object_groups != NULL && of_type(c->object_types, type) && of_group(c->object_groups, draft));
    }
    for (size_t i = 0; all != NULL && i < all->n_constraint; i++) {
        const struct kmip_constraint *c = all->constraint[i];
        if ((c->object_groups != NULL) != by_group || !of_type(c->object_types, type) ||
            !of_group(c->object_groups, draft))
            continue;
        const struct kmip_attr *a = broken(&c->attributes, draft);
        if (a == NULL)
            return 0;
        first = first != NULL ? first : a;
    }
    if (first == NULL)
        return 0;
    return engine_fail(ctx, COND_AGAINST_CONSTRAINT,
                       "the constraints of this server do not allow the object: %s is not what they ask for "
                       "(Get Constraints says what)",
                       kmip_tag_name(first->tag) != NULL ? kmip_tag_name(first->tag) : "an attribute");
}

static bool
is_there(const struct rev *draft, const struct kmip_attr *which)
{
    const enum core_id id = core_find(which->tag);
    if (id != CORE_COUNT)
        return core_has(&draft->core, id);
    for (const struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next)
        if (a->value != NULL && attr_same(a, which->tag, which->vendor, which->name))
            return true;
    return which->tag == KMIP_TAG_USAGE_LIMITS && core_has(&draft->core, CORE_USAGE_TOTAL);
}

int
rules_fill(struct ctx *ctx, struct rev *draft)
{
    struct kmip_defaults_information *all;
    struct kmip_attrs missing = {.present = true};
    const uint32_t type = (uint32_t)core_get(&draft->core, CORE_OBJECT_TYPE);
    KS_TRY(rules_defaults(ctx, &all));
    for (size_t i = 0; all != NULL && i < all->n_object_defaults; i++) {
        const struct kmip_object_defaults *d = all->object_defaults[i];
        if (!of_type(d->object_types, type) || !of_group(d->object_groups, draft))
            continue;
        for (const struct kmip_attr *a = d->attributes.first; a != NULL; a = a->next) {
            const struct kmip_attr_rule *rule = kmip_attr_rule_find(a->tag);
            bool doubled = false;
            for (const struct kmip_attr *b = missing.first; b != NULL; b = b->next)
                doubled = doubled || attr_same(b, a->tag, a->vendor, a->name);
            if (doubled || is_there(draft, a) || rule == NULL || !kmip_attr_applies(rule, ctx->version, type))
                continue;
            struct kmip_attr *copy = kmip_attrs_add(ctx->arena, &missing, a->tag, a->value);
            if (copy == NULL)
                return KS_E_NOMEM;
            copy->vendor = a->vendor;
            copy->name = a->name;
        }
    }
    return missing.first != NULL ? attr_new(ctx, &missing, draft) : 0;
}
