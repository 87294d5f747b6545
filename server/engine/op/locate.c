/* Locate (KMIP 1.4: 4.9; 2.1: 6.1.32). */
#include <stdlib.h>

#include "server/engine/op/op.h"

enum { LOCATE_MOST = 20000 };

/* A filter: an attribute that the object has to have. A date that is given twice is a range. */
struct filter {
    const struct kmip_attr *attr;
    bool range;
    int64_t from, to;
};

struct query {
    struct filter *filters;
    size_t n;
    uint32_t storage;
    uint32_t member;                    /* Object Group Member; 0: any */
    const struct kmip_attr *name, *uid; /* filters that an index answers */
};

static bool
is_date(const struct kmip_attr *attr)
{
    return attr->value != NULL && attr->value->type == KMIP_TYPE_DATE_TIME;
}

static int
make_filters(struct ctx *ctx, const struct kmip_attrs *attrs, struct query *q)
{
    q->filters = ks_arena_array(ctx->arena, attrs->n + 1, sizeof(*q->filters));
    if (q->filters == NULL)
        return KS_E_NOMEM;
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next) {
        struct filter *pair = NULL;
        for (size_t i = 0; i < q->n && is_date(a) && pair == NULL; i++)
            if (attr_same(q->filters[i].attr, a->tag, a->vendor, a->name) && is_date(q->filters[i].attr))
                pair = &q->filters[i];
        if (pair != NULL && pair->range)
            return engine_fail(ctx, COND_BAD_FIELD, "a date is given three times: once is that date, twice a range");
        if (pair != NULL) {
            const int64_t x = pair->attr->value->i64, y = a->value->i64;
            pair->range = true;
            pair->from = x < y ? x : y;
            pair->to = x < y ? y : x;
            continue;
        }
        q->filters[q->n++] = (struct filter){.attr = a};
        if (a->tag == KMIP_TAG_NAME && a->value != NULL)
            q->name = a;
        if (a->tag == KMIP_TAG_UNIQUE_IDENTIFIER && a->value != NULL && a->value->type == KMIP_TYPE_TEXT_STRING)
            q->uid = a;
    }
    return 0;
}

/* No attribute of KMIP has more fields; more would be a client's structure that takes the square of its size. */
enum { FIELDS_MOST = 64 };

static bool
has_few_fields(const struct kmip_item *item)
{
    size_t n = 0;
    for (const struct kmip_item *field = item->first; field != NULL && n <= FIELDS_MOST; field = field->next)
        n++;
    return n <= FIELDS_MOST;
}

/* A structure matches if every field that the filter has is there and equal. */
static bool
value_matches(const struct kmip_item *value, const struct kmip_item *want)
{
    if (want->type == KMIP_TYPE_STRUCTURE && !has_few_fields(want))
        return kmip_item_equal(value, want);
    if (want->type != KMIP_TYPE_STRUCTURE || value->type != KMIP_TYPE_STRUCTURE)
        return value->type == want->type && kmip_item_equal(value, want);
    for (const struct kmip_item *field = want->first; field != NULL; field = field->next) {
        const struct kmip_item *have = value->first;
        while (have != NULL && !(have->tag == field->tag && kmip_item_equal(have, field)))
            have = have->next;
        if (have == NULL)
            return false;
    }
    return true;
}

/* A date with the largest value there is stands for one that the object does not have. */
static bool
absent_matches(const struct filter *f)
{
    return f->range ? f->to == INT64_MAX : is_date(f->attr) && f->attr->value->i64 == INT64_MAX;
}

static bool
fact_matches(const struct core *core, enum core_id id, const struct filter *f)
{
    int64_t want;
    if (!core_has(core, id))
        return absent_matches(f);
    const int64_t have = core_get(core, id);
    if (f->range)
        return f->from <= have && have <= f->to;
    if (core_from_item(id, f->attr->value, &want) != 0)
        return false;
    if (id == CORE_USAGE_MASK) /* every bit of the filter */
        return (have & want) == want;
    return have == want;
}

static bool
instance_matches(const struct kmip_attr *a, const struct filter *f)
{
    if (f->attr->value == NULL) /* the name alone: the object has one */
        return true;
    if (f->range)
        return a->value->type == KMIP_TYPE_DATE_TIME && f->from <= a->value->i64 && a->value->i64 <= f->to;
    return value_matches(a->value, f->attr->value);
}

/* Attributes of the list are looked at where they are: a search may pass a million objects. */
static bool
listed_matches(const struct rev *rev, const struct filter *f)
{
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL; a = a->next)
        if (a->value != NULL && attr_same(a, f->attr->tag, f->attr->vendor, f->attr->name) && instance_matches(a, f))
            return true;
    return false;
}

/* At least so much, in total and left; the unit, if it is given, is the same. */
static bool
limits_match(const struct core *core, const struct kmip_item *want)
{
    static const struct {
        uint32_t tag;
        enum core_id id;
    } parts[] = {{KMIP_TAG_USAGE_LIMITS_TOTAL, CORE_USAGE_TOTAL},
                 {KMIP_TAG_USAGE_LIMITS_COUNT, CORE_USAGE_COUNT},
                 {KMIP_TAG_USAGE_LIMITS_UNIT, CORE_USAGE_UNIT}};
    if (!core_has(core, CORE_USAGE_TOTAL))
        return false;
    for (size_t i = 0; want != NULL && i < KS_ARRAY_LEN(parts); i++) {
        const struct kmip_item *part = kmip_item_child(want, parts[i].tag);
        int64_t n;
        if (part == NULL)
            continue;
        if (core_from_item(parts[i].id, part, &n) != 0)
            return false;
        if (parts[i].id == CORE_USAGE_UNIT ? n != core_get(core, parts[i].id) : n > core_get(core, parts[i].id))
            return false;
    }
    return want == NULL || want->type == KMIP_TYPE_STRUCTURE;
}

static int
filter_matches(struct ctx *ctx, const struct object *object, const struct filter *f, bool *ret)
{
    const uint32_t tag = f->attr->tag;
    const enum core_id id = tag != KMIP_TAG_ATTRIBUTE ? core_find(tag) : CORE_COUNT;
    struct kmip_attrs values;
    if (tag == KMIP_TAG_UNIQUE_IDENTIFIER) {
        *ret = f->attr->value != NULL && f->attr->value->type == KMIP_TYPE_TEXT_STRING &&
               ks_span_equal(f->attr->value->s, object_uid(object));
        return 0;
    }
    if (tag == KMIP_TAG_USAGE_LIMITS) {
        *ret = limits_match(&object->rev->core, f->attr->value);
        return 0;
    }
    if (id != CORE_COUNT && (core_rows[id].flags & CORE_HIDDEN) == 0) {
        *ret = f->attr->value != NULL ? fact_matches(&object->rev->core, id, f) : core_has(&object->rev->core, id);
        return 0;
    }
    if (!attr_is_computed(tag)) {
        *ret = !attr_is_hidden(ctx, object, tag) && listed_matches(object->rev, f);
        return 0;
    }
    *ret = false;
    KS_TRY(attr_values(ctx, object, &(struct kmip_attr){.tag = tag, .index = -1}, &values));
    for (const struct kmip_attr *a = values.first; a != NULL && !*ret; a = a->next)
        *ret = instance_matches(a, f);
    return 0;
}

static bool
stored_as(const struct core *core, uint32_t mask)
{
    const int64_t state = core_get(core, CORE_STATE);
    if (state == KMIP_STATE_DESTROYED || state == KMIP_STATE_DESTROYED_COMPROMISED)
        return (mask & KMIP_STORAGE_STATUS_MASK_DESTROYED_STORAGE) != 0;
    if (core_has(core, CORE_ARCHIVE_DATE))
        return (mask & KMIP_STORAGE_STATUS_MASK_ARCHIVAL_STORAGE) != 0;
    return (mask & KMIP_STORAGE_STATUS_MASK_ON_LINE_STORAGE) != 0;
}

static int
matches(struct ctx *ctx, const struct object *object, const struct query *q, bool *ret)
{
    const struct core *core = &object->rev->core;
    *ret = policy_may(ctx->client, RIGHT_SEE, object) && stored_as(core, q->storage) &&
           (q->member != KMIP_OBJECT_GROUP_MEMBER_GROUP_MEMBER_FRESH || core_get(core, CORE_FRESH) != 0);
    for (size_t i = 0; i < q->n && *ret; i++)
        KS_TRY(filter_matches(ctx, object, &q->filters[i], ret));
    return 0;
}

/*
 * 2.x wants the newest first (2.1: 6.1.28), and so do the published cases of 1.4. Those of 1.1 to 1.3, whose text says
 * nothing, want the oldest: what was put into a group first is handed out first.
 */
static bool
is_oldest_first(const struct ctx *ctx)
{
    return ctx->version < KMIP_V1_4;
}

/* The objects that can match, in the order of the version: by identifier, by name (in no order), or all. */
struct candidates {
    const struct query *q;
    struct object *next;
    struct name_node *node;
};

static struct object *
candidate(struct ctx *ctx, struct candidates *c, bool first)
{
    const struct objects *objects = &ctx->engine->objects;
    if (c->q->uid != NULL)
        return first ? objects_find(objects, c->q->uid->value->s) : NULL;
    if (c->q->name != NULL) {
        c->node = objects_named(objects, name_text(c->q->name->value), first ? NULL : c->node);
        return c->node != NULL ? c->node->object : NULL;
    }
    if (is_oldest_first(ctx))
        c->next = first ? objects->oldest : c->next->newer;
    else
        c->next = first ? objects->newest : c->next->older;
    return c->next;
}

struct found {
    struct object **v;
    size_t n, cap, total;
};

static int
keep(struct ctx *ctx, struct found *found, struct object *object)
{
    if (found->n == found->cap) {
        const size_t cap = found->cap != 0 ? found->cap * 2 : 16;
        struct object **v = ks_arena_array(ctx->arena, cap, sizeof(void *));
        if (v == NULL)
            return KS_E_NOMEM;
        if (found->n != 0)
            memcpy(v, found->v, found->n * sizeof(void *));
        found->v = v;
        found->cap = cap;
    }
    found->v[found->n++] = object;
    return 0;
}

static int
search(struct ctx *ctx, const struct query *q, size_t offset, size_t most, struct found *found)
{
    struct candidates c = {.q = q};
    bool match;
    /* The first search of a request looks at all there is; a batch of a thousand would stop the server for others. */
    if (ctx->searched >= ctx->engine->config.search_most)
        return engine_fail(ctx, COND_SERVER_LIMIT,
                           "the searches of this request have looked at %zu objects; send the rest in another request",
                           ctx->searched);
    for (struct object *o = candidate(ctx, &c, true); o != NULL; o = candidate(ctx, &c, false)) {
        ctx->searched++;
        if (found->n != 0 && found->v[found->n - 1] == o)
            continue; /* two of its names hash alike */
        KS_TRY(matches(ctx, o, q, &match));
        if (!match)
            continue;
        if (found->total++ < offset || found->n >= most)
            continue;
        KS_TRY(keep(ctx, found, o));
    }
    return 0;
}

/* By the time at which they were made; identifiers made in the same second count up. */
static int
by_age(const void *a, const void *b)
{
    const struct object *x = *(struct object *const *)a, *y = *(struct object *const *)b;
    const int64_t s = core_get(&x->rev->core, CORE_INITIAL_DATE), t = core_get(&y->rev->core, CORE_INITIAL_DATE);
    return s != t ? (s < t ? -1 : 1) : memcmp(x->uid, y->uid, sizeof(x->uid));
}

/* What an index gave, in the order of the version, and of it the part that was asked for. */
static void
arrange(const struct ctx *ctx, size_t offset, size_t most, struct found *found)
{
    if (found->n > 1)
        qsort(found->v, found->n, sizeof(*found->v), by_age);
    for (size_t i = 0; !is_oldest_first(ctx) && i < found->n / 2; i++) {
        struct object *o = found->v[i];
        found->v[i] = found->v[found->n - 1 - i];
        found->v[found->n - 1 - i] = o;
    }
    if (offset > found->n)
        offset = found->n;
    found->v += offset;
    found->n -= offset;
    if (found->n > most)
        found->n = most;
}

static int
find(struct ctx *ctx, const struct query *q, size_t offset, size_t most, struct found *found)
{
    if (q->name == NULL)
        return search(ctx, q, offset, most, found);
    KS_TRY(search(ctx, q, 0, LOCATE_MOST, found));
    if (found->v != NULL)
        arrange(ctx, offset, most, found);
    return 0;
}

/* Whether the request wants a fresh member of the group "default" and nothing that a new AES key could not be. */
static bool
wants_new_member(const struct query *q)
{
    bool of_default = false;
    if (q->member != KMIP_OBJECT_GROUP_MEMBER_GROUP_MEMBER_FRESH)
        return false;
    for (size_t i = 0; i < q->n; i++) {
        const struct kmip_item *value = q->filters[i].attr->value;
        if (value == NULL || q->filters[i].range)
            return false;
        switch (q->filters[i].attr->tag) {
        case KMIP_TAG_OBJECT_GROUP:
            if (of_default || value->type != KMIP_TYPE_TEXT_STRING || !ks_span_is(value->s, "default"))
                return false;
            of_default = true;
            break;
        case KMIP_TAG_OBJECT_TYPE:
            if (value->type != KMIP_TYPE_ENUMERATION || value->u32 != KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
                return false;
            break;
        case KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM:
            if (value->type != KMIP_TYPE_ENUMERATION || value->u32 != KMIP_CRYPTOGRAPHIC_ALGORITHM_AES)
                return false;
            break;
        case KMIP_TAG_CRYPTOGRAPHIC_LENGTH:
        case KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK:
            break;
        default:
            return false;
        }
    }
    return of_default;
}

/* "If there are no more fresh objects in the group, the server may generate one" (2.1: 6.1.28): "default" never ends.
 */
static int
new_member(struct ctx *ctx, const struct query *q, struct found *found)
{
    struct rev draft = {0};
    struct object *object;
    core_set(&draft.core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_SYMMETRIC_KEY);
    core_set(&draft.core, CORE_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    core_set(&draft.core, CORE_LENGTH, 256);
    core_set(&draft.core, CORE_USAGE_MASK,
             KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT);
    for (size_t i = 0; i < q->n; i++) {
        const struct kmip_attr *attr = q->filters[i].attr;
        int64_t n;
        if (attr->tag == KMIP_TAG_OBJECT_GROUP) {
            KS_TRY(attr_put(ctx, &draft, attr->tag, attr->value));
        } else if (attr->tag == KMIP_TAG_CRYPTOGRAPHIC_LENGTH || attr->tag == KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK) {
            if (core_from_item(core_find(attr->tag), attr->value, &n) != 0)
                return engine_fail(ctx, COND_BAD_FIELD, "%s is of the wrong type", kmip_tag_name(attr->tag));
            core_set(&draft.core, core_find(attr->tag), n);
        }
    }
    KS_TRY(op_make_symmetric(ctx, &draft));
    KS_TRY(op_new_object(ctx, ctx->client, &draft, true, &object));
    engine_note(ctx, "made a key for the group default");
    found->total = 1;
    return keep(ctx, found, object);
}

int
op_locate(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_locate_request *r = request;
    struct query q = {.storage = r->has_storage_status_mask ? r->storage_status_mask
                                                            : KMIP_STORAGE_STATUS_MASK_ON_LINE_STORAGE,
                      .member = r->has_object_group_member ? r->object_group_member : 0};
    struct found found = {0};
    OP_RESPONSE(ctx, kmip_locate_response, response);
    if ((r->has_maximum_items && r->maximum_items < 0) || (r->has_offset_items && r->offset_items < 0))
        return engine_fail(ctx, COND_BAD_FIELD, "Maximum Items and Offset Items are not negative");
    if (r->misplaced_attributes.present)
        return engine_fail(ctx, COND_BAD_MESSAGE,
                           "Locate has its attributes in the payload, not in a Template-Attribute");
    size_t most = r->has_maximum_items ? (size_t)r->maximum_items : LOCATE_MOST;
    if (most > LOCATE_MOST)
        most = LOCATE_MOST;
    KS_TRY(make_filters(ctx, &r->attributes, &q));
    /* Of a group the member by default is the one that comes first. */
    if (q.member == KMIP_OBJECT_GROUP_MEMBER_GROUP_MEMBER_DEFAULT && most > 1)
        most = 1;
    KS_TRY(find(ctx, &q, r->has_offset_items ? (size_t)r->offset_items : 0, most, &found));
    if (found.total == 0 && most != 0 && wants_new_member(&q) && policy_may(ctx->client, RIGHT_CREATE, NULL))
        KS_TRY(new_member(ctx, &q, &found));
    response->located_items = found.total > INT32_MAX ? INT32_MAX : (int32_t)found.total;
    response->has_located_items = found.total != 0; /* an empty payload says none */
    response->unique_identifier = ks_arena_array(ctx->arena, found.n, sizeof(*response->unique_identifier));
    if (response->unique_identifier == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < found.n; i++)
        response->unique_identifier[i] = uid_of(found.v[i]);
    response->n_unique_identifier = found.n;
    /* The ID Placeholder is the object found; none or several leave it empty. */
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_LOCATE, found.n == 1 ? object_uid(found.v[0]) : KS_SPAN_NONE);
    if (found.n == 1)
        engine_about(ctx, found.v[0]);
    *ret_response = response;
    return 0;
}
