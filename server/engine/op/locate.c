/* Locate (KMIP 1.4: 4.9; 2.1: 6.1.32). */
#include "server/engine/op/op.h"
#include "server/engine/search.h"

enum { LOCATE_MOST = 20000, READ_BACK = 16 /* an object that has to be read from the store counts as so many */ };

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
    uint32_t member;                /* Object Group Member; 0: any */
    const struct kmip_attr *uid;    /* a filter that names one object */
    const struct kmip_attr **exact; /* filters with a value, for the index */
    size_t n_exact;
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
    q->exact = ks_arena_array(ctx->arena, attrs->n + 1, sizeof(const struct kmip_attr *));
    if (q->filters == NULL || q->exact == NULL)
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
        /* The index has attributes of the list alone, and nothing of what is destroyed. */
        if (a->value != NULL && (a->tag == KMIP_TAG_ATTRIBUTE || !attr_is_computed(a->tag)) &&
            (q->storage & KMIP_STORAGE_STATUS_MASK_DESTROYED_STORAGE) == 0)
            q->exact[q->n_exact++] = a;
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

static int
matches(struct ctx *ctx, const struct object *object, const struct query *q, bool *ret)
{
    const struct core *core = &object->rev->core;
    *ret = policy_may(ctx->client, RIGHT_SEE, object) &&
           (q->member != KMIP_OBJECT_GROUP_MEMBER_GROUP_MEMBER_FRESH || core_get(core, CORE_FRESH) != 0);
    for (size_t i = 0; i < q->n && *ret; i++)
        KS_TRY(filter_matches(ctx, object, &q->filters[i], ret));
    return 0;
}

/*
 * 2.x wants the newest first (2.1: 6.1.28), and so do the published cases of 1.4. Those of 1.1 to 1.3, whose text says
 * nothing, want the oldest. Members of a group are handed out in the order in which they were put in, in every version:
 * which comes first is the server's policy, and those published cases (TC-152) are the only ones that show one.
 */
static bool
is_oldest_first(const struct ctx *ctx, const struct query *q)
{
    return ctx->version < KMIP_V1_4 || q->member != 0;
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

/* One thread serves all: a search that has to read very many objects back would keep the others waiting. */
static int
read_back(struct ctx *ctx, struct object *object, bool *ret)
{
    ctx->searched += READ_BACK - 1;
    if (ctx->searched > ctx->engine->config.search_most)
        return engine_fail(ctx, COND_SERVER_LIMIT,
                           "the search has to read more objects from the store than one request may; name an attribute "
                           "with its value, or raise limits { object_memory_bytes }");
    const int rc = objects_peek(&ctx->engine->objects, object);
    *ret = rc == 0;
    return rc == KS_E_CORRUPT ? 0 : rc; /* who asks for it by name is told that it is damaged */
}

static int
look_at(struct ctx *ctx, const struct query *q, struct object *object, bool *ret)
{
    *ret = (object->storage & q->storage) != 0;
    if (*ret && object->rev == NULL)
        KS_TRY(read_back(ctx, object, ret));
    if (!*ret)
        return 0;
    const int rc = matches(ctx, object, q, ret);
    objects_unpeek(&ctx->engine->objects, object);
    return rc;
}

/* Those of the application of PKCS#11 that asks. */
static int
find_of_sessions(struct ctx *ctx, const struct query *q, size_t offset, size_t most, struct found *found)
{
    size_t session = 0;
    bool match;
    struct object *o = ctx->p11->no_session ? NULL : p11_object_next(ctx->p11->app, &session, NULL);
    for (; o != NULL; o = p11_object_next(ctx->p11->app, &session, o)) {
        ctx->searched++;
        KS_TRY(look_at(ctx, q, o, &match));
        if (match && found->total++ >= offset && found->n < most)
            KS_TRY(keep(ctx, found, o));
    }
    return 0;
}

static int
find(struct ctx *ctx, const struct query *q, size_t offset, size_t most, struct found *found)
{
    struct search s = {0};
    bool match;
    /* The first search of a request looks at all there is; a batch of a thousand would stop the server for others. */
    if (ctx->searched >= ctx->engine->config.search_most)
        return engine_fail(ctx, COND_SERVER_LIMIT,
                           "the searches of this request have looked at %zu objects; send the rest in another request",
                           ctx->searched);
    if (ctx->p11 != NULL) {
        KS_TRY(find_of_sessions(ctx, q, offset, most, found));
        if (ctx->p11->no_token)
            return 0;
    }
    struct object *one = q->uid != NULL ? objects_handle(&ctx->engine->objects, q->uid->value->s) : NULL;
    const struct search_by by = {.filters = q->exact,
                                 .n = q->n_exact,
                                 .oldest_first = is_oldest_first(ctx, q),
                                 .destroyed = (q->storage & KMIP_STORAGE_STATUS_MASK_DESTROYED_STORAGE) != 0};
    if (q->uid == NULL)
        KS_TRY(search_begin(ctx, &by, &s));
    for (struct object *o = q->uid != NULL ? one : search_next(ctx, &s); o != NULL;
         o = q->uid != NULL ? NULL : search_next(ctx, &s)) {
        ctx->searched++;
        KS_TRY(look_at(ctx, q, o, &match));
        if (!match || found->total++ < offset || found->n >= most)
            continue;
        KS_TRY(keep(ctx, found, o));
    }
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
    if (found.n == 1 && objects_ready(&ctx->engine->objects, found.v[0]) == 0)
        engine_about(ctx, found.v[0]);
    *ret_response = response;
    return 0;
}
