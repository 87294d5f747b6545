/* Reading attributes, and what the server sets by itself. */
#include "server/engine/attr.h"

#include "crypto/hash.h"

bool
attr_same(const struct kmip_attr *a, uint32_t tag, struct ks_span vendor, struct ks_span name)
{
    return a->tag == tag &&
           (tag != KMIP_TAG_ATTRIBUTE || (ks_span_equal(a->vendor, vendor) && ks_span_equal(a->name, name)));
}

/* Whether the version of the request has the attribute for such objects. 3.0 knows a Link by another name
 * (kmip_link_tag). */
static bool
known(const struct ctx *ctx, const struct object *object, uint32_t tag)
{
    if (tag == KMIP_TAG_LINK && ctx->version >= KMIP_V3_0)
        return true;
    const struct kmip_attr_rule *rule = kmip_attr_rule_find(tag);
    return rule != NULL && kmip_attr_applies(rule, ctx->version, object_type(object));
}

static int
add(struct ctx *ctx, struct kmip_attrs *to, uint32_t tag, struct kmip_item *value)
{
    return value == NULL || kmip_attrs_add(ctx->arena, to, tag, value) == NULL ? KS_E_NOMEM : 0;
}

/* Attributes that are put together */

static struct kmip_item *
make_uid(struct ctx *ctx, const struct object *object)
{
    struct kmip_item *item = kmip_item_new(ctx->arena, KMIP_TAG_UNIQUE_IDENTIFIER, KMIP_TYPE_TEXT_STRING);
    if (item != NULL)
        item->s = object_uid(object);
    return item;
}

static struct kmip_item *
make_short_uid(struct ctx *ctx, const struct object *object)
{
    struct kmip_item *item = kmip_item_new(ctx->arena, KMIP_TAG_SHORT_UNIQUE_IDENTIFIER, KMIP_TYPE_BYTE_STRING);
    uint8_t *digest = ks_arena_alloc(ctx->arena, KS_SHA256);
    const struct ks_span uid = object_uid(object);
    if (item == NULL || digest == NULL || ks_sha256(&uid, 1, digest) != 0)
        return NULL;
    item->s = KS_SPAN(digest, KS_SHA256);
    return item;
}

/* 3.0: users, groups and credentials are the system's, all else is the users'. */
static struct kmip_item *
make_class(struct ctx *ctx, const struct object *object)
{
    struct kmip_item *item = kmip_item_new(ctx->arena, KMIP_TAG_OBJECT_CLASS, KMIP_TYPE_ENUMERATION);
    const uint32_t type = object_type(object);
    if (item != NULL)
        item->u32 = type >= KMIP_OBJECT_TYPE_USER && type <= KMIP_OBJECT_TYPE_HASHED_PASSWORD_CREDENTIAL
                        ? KMIP_OBJECT_CLASS_SYSTEM
                        : KMIP_OBJECT_CLASS_USER;
    return item;
}

static struct kmip_item *
make_usage_limits(struct ctx *ctx, const struct object *object)
{
    static const enum core_id parts[] = {CORE_USAGE_TOTAL, CORE_USAGE_COUNT, CORE_USAGE_UNIT};
    struct kmip_item *limits = kmip_item_new(ctx->arena, KMIP_TAG_USAGE_LIMITS, KMIP_TYPE_STRUCTURE);
    for (size_t i = 0; limits != NULL && i < KS_ARRAY_LEN(parts); i++) {
        struct kmip_item *part = core_item(ctx->arena, &object->rev->core, parts[i]);
        if (part == NULL)
            return NULL;
        kmip_item_append(limits, part);
    }
    return limits;
}

static const struct {
    uint32_t tag;
    enum core_id when; /* only if the object has this; CORE_COUNT: always */
    struct kmip_item *(*make)(struct ctx *ctx, const struct object *object);
} computed[] = {
    {KMIP_TAG_UNIQUE_IDENTIFIER, CORE_COUNT, make_uid},
    {KMIP_TAG_SHORT_UNIQUE_IDENTIFIER, CORE_COUNT, make_short_uid},
    {KMIP_TAG_OBJECT_CLASS, CORE_COUNT, make_class},
    {KMIP_TAG_USAGE_LIMITS, CORE_USAGE_TOTAL, make_usage_limits},
};

bool
attr_is_computed(uint32_t tag)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(computed); i++)
        if (computed[i].tag == tag)
            return true;
    return false;
}

static int
collect_computed(struct ctx *ctx, const struct object *object, uint32_t tag, struct kmip_attrs *ret)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(computed); i++)
        if ((tag == 0 || computed[i].tag == tag) && known(ctx, object, computed[i].tag) &&
            (computed[i].when == CORE_COUNT || core_has(&object->rev->core, computed[i].when)))
            KS_TRY(add(ctx, ret, computed[i].tag, computed[i].make(ctx, object)));
    return 0;
}

static int
collect_core(struct ctx *ctx, const struct object *object, uint32_t tag, struct kmip_attrs *ret)
{
    const struct core *core = &object->rev->core;
    for (unsigned id = 0; id < CORE_COUNT; id++)
        if ((tag == 0 || core_rows[id].tag == tag) && core_has(core, (enum core_id)id) &&
            (core_rows[id].flags & CORE_HIDDEN) == 0 && known(ctx, object, core_rows[id].tag))
            KS_TRY(add(ctx, ret, core_rows[id].tag, core_item(ctx->arena, core, (enum core_id)id)));
    return 0;
}

/* Secrets that people choose can be guessed from a Digest: it is for those who may read them. */
bool
attr_is_hidden(const struct ctx *ctx, const struct object *object, uint32_t tag)
{
    const uint32_t type = object_type(object);
    return tag == KMIP_TAG_DIGEST && (type == KMIP_OBJECT_TYPE_SECRET_DATA || type == KMIP_OBJECT_TYPE_OPAQUE_OBJECT) &&
           !policy_may(ctx->client, RIGHT_READ, object);
}

bool
attr_is_asked_for(const struct kmip_attr *a, const struct kmip_attr *which)
{
    const uint32_t type = kmip_link_type(which->tag);
    if (type != 0 && a->tag == KMIP_TAG_LINK)
        return a->value != NULL && attr_link_type(a->value) == type;
    return attr_same(a, which->tag, which->vendor, which->name);
}

static int
collect_listed(struct ctx *ctx, const struct object *object, const struct kmip_attr *which, struct kmip_attrs *ret)
{
    for (const struct kmip_attr *a = object->rev->attrs.first; a != NULL; a = a->next) {
        if (a->value == NULL || !known(ctx, object, a->tag) || attr_is_hidden(ctx, object, a->tag) ||
            (which != NULL && (!attr_is_asked_for(a, which) || (which->index >= 0 && which->index != a->index))))
            continue;
        struct kmip_attr *copy = kmip_attrs_add(ctx->arena, ret, a->tag, a->value);
        if (copy == NULL)
            return KS_E_NOMEM;
        copy->vendor = a->vendor;
        copy->name = a->name;
        copy->index = a->index > 0 ? a->index : -1; /* 1.x: an absent index is 0 */
    }
    return 0;
}

int
attr_values(struct ctx *ctx, const struct object *object, const struct kmip_attr *which, struct kmip_attrs *ret)
{
    *ret = (struct kmip_attrs){.present = true};
    if (which->tag != KMIP_TAG_ATTRIBUTE) {
        KS_TRY(collect_computed(ctx, object, which->tag, ret));
        KS_TRY(collect_core(ctx, object, which->tag, ret));
    }
    return collect_listed(ctx, object, which, ret);
}

int
attr_collect(struct ctx *ctx, const struct object *object, const struct kmip_attr_refs *refs, struct kmip_attrs *ret)
{
    struct kmip_attrs all = {.present = true};
    if (refs == NULL || refs->n == 0) {
        KS_TRY(collect_computed(ctx, object, 0, &all));
        KS_TRY(collect_core(ctx, object, 0, &all));
        KS_TRY(collect_listed(ctx, object, NULL, &all));
        *ret = all;
        return 0;
    }
    for (size_t i = 0; i < refs->n; i++) {
        const struct kmip_attr_ref *ref = &refs->v[i];
        struct kmip_attrs some;
        if (ref->tag == 0)
            continue; /* a name that no version knows: an attribute that the object does not have */
        const struct kmip_attr which = {.tag = ref->tag, .vendor = ref->vendor, .name = ref->name, .index = ref->index};
        KS_TRY(attr_values(ctx, object, &which, &some));
        if (some.first == NULL)
            continue;
        *(all.last != NULL ? &all.last->next : &all.first) = some.first;
        all.last = some.last;
        all.n += some.n;
    }
    *ret = all;
    return 0;
}

/* What the server sets */

int
attr_put(struct ctx *ctx, struct rev *draft, uint32_t tag, struct kmip_item *value)
{
    int32_t index = 0;
    for (const struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next)
        if (a->tag == tag && a->index >= index)
            index = a->index + 1;
    struct kmip_attr *attr = value != NULL ? kmip_attrs_add(ctx->arena, &draft->attrs, tag, value) : NULL;
    if (attr == NULL)
        return KS_E_NOMEM;
    attr->index = index;
    return 0;
}

void
attr_drop(struct rev *draft, uint32_t tag)
{
    struct kmip_attrs kept = {.present = draft->attrs.present};
    for (struct kmip_attr *a = draft->attrs.first, *next; a != NULL; a = next) {
        next = a->next;
        if (a->tag == tag)
            continue;
        a->next = NULL;
        *(kept.last != NULL ? &kept.last->next : &kept.first) = a;
        kept.last = a;
        kept.n++;
    }
    draft->attrs = kept;
}

uint32_t
attr_link_type(const struct kmip_item *link)
{
    const struct kmip_item *type = kmip_item_child(link, KMIP_TAG_LINK_TYPE);
    return type != NULL && type->type == KMIP_TYPE_ENUMERATION ? type->u32 : 0;
}

bool
attr_linked(const struct rev *rev, uint32_t type, struct ks_span *ret)
{
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL; a = a->next) {
        const struct kmip_item *to = a->tag == KMIP_TAG_LINK && a->value != NULL && attr_link_type(a->value) == type
                                         ? kmip_item_child(a->value, KMIP_TAG_LINKED_OBJECT_IDENTIFIER)
                                         : NULL;
        if (to != NULL && to->type == KMIP_TYPE_TEXT_STRING) {
            *ret = to->s;
            return true;
        }
    }
    return false;
}

static int
link_item(struct ctx *ctx, uint32_t type, struct ks_span uid, struct kmip_item **ret)
{
    struct kmip_item *link = kmip_item_new(ctx->arena, KMIP_TAG_LINK, KMIP_TYPE_STRUCTURE);
    struct kmip_item *kind = kmip_item_new(ctx->arena, KMIP_TAG_LINK_TYPE, KMIP_TYPE_ENUMERATION);
    struct kmip_item *to = kmip_item_new(ctx->arena, KMIP_TAG_LINKED_OBJECT_IDENTIFIER, KMIP_TYPE_TEXT_STRING);
    if (link == NULL || kind == NULL || to == NULL)
        return KS_E_NOMEM;
    kind->u32 = type;
    KS_TRY(ks_arena_span(ctx->arena, uid, &to->s));
    kmip_item_append(link, kind);
    kmip_item_append(link, to);
    *ret = link;
    return 0;
}

int
attr_link(struct ctx *ctx, struct rev *draft, uint32_t type, struct ks_span uid)
{
    struct kmip_item *link;
    KS_TRY(link_item(ctx, type, uid, &link));
    for (struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_LINK && a->value != NULL && attr_link_type(a->value) == type) {
            a->value = link;
            return 0;
        }
    return attr_put(ctx, draft, KMIP_TAG_LINK, link);
}

int
attr_link_add(struct ctx *ctx, struct rev *draft, uint32_t type, struct ks_span uid)
{
    struct kmip_item *link;
    struct kmip_attr *last = NULL;
    size_t n = 0;
    KS_TRY(link_item(ctx, type, uid, &link));
    for (struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next)
        n += a->tag == KMIP_TAG_LINK && a->value != NULL && attr_link_type(a->value) == type;
    if (n < ATTR_LINKS_MOST)
        return attr_put(ctx, draft, KMIP_TAG_LINK, link);
    for (struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next) {
        if (a->tag != KMIP_TAG_LINK || a->value == NULL || attr_link_type(a->value) != type)
            continue;
        if (last != NULL)
            last->value = a->value;
        last = a;
    }
    if (last != NULL)
        last->value = link;
    return 0;
}

int
attr_digest(struct ctx *ctx, struct rev *draft, struct ks_span material)
{
    attr_drop(draft, KMIP_TAG_DIGEST);
    return attr_digest_as(ctx, draft,
                          core_has(&draft->core, CORE_KEY_FORMAT_TYPE)
                              ? (uint32_t)core_get(&draft->core, CORE_KEY_FORMAT_TYPE)
                              : KMIP_KEY_FORMAT_TYPE_RAW,
                          material);
}

int
attr_digest_as(struct ctx *ctx, struct rev *draft, uint32_t format, struct ks_span material)
{
    struct kmip_digest digest = {.hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256};
    uint8_t *value = ks_arena_alloc(ctx->arena, KS_SHA256);
    if (value == NULL)
        return KS_E_NOMEM;
    KS_TRY(ks_sha256(&material, 1, value));
    digest.digest_value = KS_SPAN(value, KS_SHA256);
    digest.key_format_type = format;
    digest.has_key_format_type = true;
    struct kmip_item *item;
    KS_TRY(kmip_item_encode(&kmip_schema_digest, KMIP_V2_1, &digest, ctx->arena, &item));
    item->tag = KMIP_TAG_DIGEST;
    return attr_put(ctx, draft, KMIP_TAG_DIGEST, item);
}

/* A client may say which generator is to be used (2.1, 4.46): in every field that it gives ours has to be that one. */
static bool
is_that_rng(const struct kmip_item *want, const struct kmip_item *ours)
{
    for (const struct kmip_item *field = want->first; field != NULL; field = field->next) {
        const struct kmip_item *have = kmip_item_child(ours, field->tag);
        const bool any = field->tag == KMIP_TAG_RNG_ALGORITHM && field->type == KMIP_TYPE_ENUMERATION &&
                         field->u32 == KMIP_RNG_ALGORITHM_UNSPECIFIED;
        if (!any && (have == NULL || !kmip_item_equal(have, field)))
            return false;
    }
    return true;
}

const struct kmip_rng_parameters attr_rng = {
    .rng_algorithm = KMIP_RNG_ALGORITHM_DRBG,
    .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
    .has_cryptographic_algorithm = true,
    .cryptographic_length = 256,
    .has_cryptographic_length = true,
    .drbg_algorithm = KMIP_DRBG_ALGORITHM_CTR,
    .has_drbg_algorithm = true,
};

static int
put_rng(struct ctx *ctx, struct rev *draft)
{
    struct kmip_item *item;
    KS_TRY(kmip_item_encode(&kmip_schema_rng_parameters, KMIP_V2_1, &attr_rng, ctx->arena, &item));
    item->tag = KMIP_TAG_RANDOM_NUMBER_GENERATOR;
    for (const struct kmip_attr *a = draft->attrs.first; a != NULL; a = a->next)
        if (a->tag == item->tag && a->value != NULL && !is_that_rng(a->value, item))
            return engine_fail(ctx, COND_ATTRIBUTE_VALUE,
                               "keys are made with a CTR_DRBG of AES-256, not with the Random Number Generator wanted");
    attr_drop(draft, KMIP_TAG_RANDOM_NUMBER_GENERATOR);
    return attr_put(ctx, draft, KMIP_TAG_RANDOM_NUMBER_GENERATOR, item);
}

static void
default_fact(struct core *core, enum core_id id, int64_t value)
{
    if (!core_has(core, id))
        core_set(core, id, value);
}

int
attr_defaults(struct ctx *ctx, struct rev *draft, bool made)
{
    struct core *core = &draft->core;
    core_set(core, CORE_STATE, KMIP_STATE_PRE_ACTIVE);
    core_set(core, CORE_INITIAL_DATE, ctx->now);
    core_set(core, CORE_PROTECTION_STORAGE_MASK, KMIP_PROTECTION_STORAGE_MASK_SOFTWARE);
    default_fact(core, CORE_SENSITIVE, false); /* these four are all objects', templates included (1.4: 3.48 to 3.51) */
    default_fact(core, CORE_EXTRACTABLE, true);
    core_set(core, CORE_ALWAYS_SENSITIVE, core_get(core, CORE_SENSITIVE));
    core_set(core, CORE_NEVER_EXTRACTABLE, core_get(core, CORE_EXTRACTABLE) == 0);
    if (core_get(core, CORE_OBJECT_TYPE) == KMIP_OBJECT_TYPE_TEMPLATE)
        return 0;
    core_set(core, CORE_LEASE_TIME, ctx->engine->config.default_lease_s);
    default_fact(core, CORE_FRESH, true);
    if (!made)
        return 0;
    core_set(core, CORE_ORIGINAL_CREATION_DATE, ctx->now);
    return put_rng(ctx, draft);
}
