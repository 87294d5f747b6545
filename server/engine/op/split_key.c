/* Create Split Key and Join Split Key (KMIP 1.4: 4.38, 4.39; 2.1: 6.1.10, 6.1.27). */
#include "crypto/hash.h"
#include "crypto/split.h"
#include "server/engine/op/op.h"
#include "server/engine/profile.h"
#include "server/engine/suspend.h"

/* WORK_MOST: steps for one request, half a second of the one thread that answers everybody. */
enum { SECRET_MOST = 65536, WORK_MOST = 50000000 };

static int
fail_split(struct ctx *ctx, int rc, struct ks_diag *diag)
{
    switch (rc) {
    case KS_E_UNSUPPORTED:
    case KS_E_INVALID:
        return engine_fail_diag(ctx, COND_BAD_FIELD, diag);
    case KS_E_INTEGRITY:
    case KS_E_CRYPTO:
        return engine_fail_diag(ctx, COND_CRYPTOGRAPHY, diag);
    default:
        return rc;
    }
}

/* One thread serves all: what takes long is refused before it begins. n: as of ks_split_work. */
static int
have_time(struct ctx *ctx, const struct ks_split *how, size_t secret_len, size_t n)
{
    const uint64_t work = ks_split_work(how, secret_len, n);
    if (work > WORK_MOST - ctx->split_work)
        return engine_fail(ctx, COND_SERVER_LIMIT,
                           "%s %zu bytes in %u parts, of which %u are needed, takes longer than a request may: use "
                           "fewer parts, or a smaller Prime Field Size",
                           n != 0 ? "joining" : "splitting", secret_len, how->parts, how->threshold);
    ctx->split_work += work;
    return 0;
}

/* A Big Integer that is not negative, without the zeros before it. */
static int
prime_of(struct ctx *ctx, struct ks_span big, struct ks_span *ret)
{
    if (big.len == 0 || (big.data[0] & 0x80) != 0)
        return engine_fail(ctx, COND_BAD_FIELD, "the Prime Field Size is no prime");
    while (big.len != 0 && big.data[0] == 0)
        big = KS_SPAN(big.data + 1, big.len - 1);
    *ret = big;
    return 0;
}

static int
how_of(struct ctx *ctx, const struct kmip_create_split_key_request *r, struct ks_split *ret)
{
    *ret = (struct ks_split){.method = r->split_key_method,
                             .polynomial = r->has_split_key_polynomial ? r->split_key_polynomial : 0};
    if (r->split_key_parts < 2 || r->split_key_parts > KS_SPLIT_MOST || r->split_key_threshold < 2 ||
        r->split_key_threshold > r->split_key_parts)
        return engine_fail(ctx, COND_BAD_FIELD, "a key is split into 2 to %d parts, of which 2 to all are needed",
                           KS_SPLIT_MOST);
    ret->parts = (unsigned)r->split_key_parts;
    ret->threshold = (unsigned)r->split_key_threshold;
    if (r->split_key_method != KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_PRIME_FIELD)
        return 0;
    if (!r->has_prime_field_size)
        return engine_fail(ctx, COND_MISSING, "sharing in a prime field takes a Prime Field Size");
    return prime_of(ctx, r->prime_field_size, &ret->prime);
}

/* The bytes to split: the Key Material of an object, in the format in which it is kept. */
static int
source_bytes(struct ctx *ctx, struct object *source, struct ks_span *ret)
{
    const uint32_t type = object_type(source);
    struct material material;
    const struct use use = {.use = USE_GET};
    KS_TRY(engine_use(ctx, source, &use));
    const struct core *core = &source->rev->core;
    if (core_has(core, CORE_SUSPENSION)) /* its parts would not be */
        return suspend_refuse(ctx, source, COND_NOT_PERMITTED);
    /* What the parts are joined to has no limits: who can not have the key itself must not count anew that way. */
    if (core_has(core, CORE_USAGE_TOTAL) && core_has(core, CORE_EXTRACTABLE) && core_get(core, CORE_EXTRACTABLE) == 0)
        return engine_fail(ctx, COND_NOT_EXTRACTABLE,
                           "object %s is not Extractable and has Usage Limits, which its parts could not keep",
                           source->uid);
    if (type != KMIP_OBJECT_TYPE_SYMMETRIC_KEY && type != KMIP_OBJECT_TYPE_PRIVATE_KEY &&
        type != KMIP_OBJECT_TYPE_SECRET_DATA)
        return engine_fail(ctx, COND_OBJECT_KIND, "symmetric keys, private keys and secret data are split; %s is none",
                           source->uid);
    if (type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        return material_symmetric(ctx, source, ret);
    KS_TRY(material_open(ctx, source, &material));
    if (material.kind != MATERIAL_BYTES || source->rev->wrapping != NULL)
        return engine_fail(ctx, COND_KEY_FORMAT, "object %s is kept in a form that can not be split", source->uid);
    *ret = material.bytes;
    return 0;
}

/* What all parts have: the facts of the key, how it was split, and the digest by which joining knows it again. */
static int
part_facts(struct ctx *ctx, const struct ks_split *how, const struct core *from, struct ks_span secret,
           struct rev *draft)
{
    static const enum core_id copied[] = {CORE_ALGORITHM, CORE_LENGTH, CORE_SENSITIVE, CORE_EXTRACTABLE};
    struct core *core = &draft->core;
    struct kmip_item *prime = kmip_item_new(ctx->arena, KMIP_TAG_PRIME_FIELD_SIZE, KMIP_TYPE_BIG_INTEGER),
                     *digest = kmip_item_new(ctx->arena, KMIP_TAG_DIGEST_VALUE, KMIP_TYPE_BYTE_STRING),
                     *length = kmip_item_new(ctx->arena, KMIP_TAG_DATA_LENGTH, KMIP_TYPE_INTEGER);
    uint8_t *value = ks_arena_alloc(ctx->arena, KS_SHA256);
    if (prime == NULL || digest == NULL || length == NULL || value == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < KS_ARRAY_LEN(copied); i++)
        if (core_has(from, copied[i]))
            core_set(core, copied[i], core_get(from, copied[i]));
    if (!core_has(core, CORE_LENGTH))
        core_set(core, CORE_LENGTH, (int64_t)secret.len * 8);
    core_set(core, CORE_SPLIT_KEY_PARTS, how->parts);
    core_set(core, CORE_SPLIT_KEY_THRESHOLD, how->threshold);
    core_set(core, CORE_SPLIT_KEY_METHOD, how->method);
    if (how->polynomial != 0)
        core_set(core, CORE_SPLIT_KEY_POLYNOMIAL, how->polynomial);
    if (how->prime.len != 0) {
        /* Two's complement, in multiples of 8 bytes. */
        const size_t len = (how->prime.len + 8) & ~(size_t)7;
        uint8_t *p = ks_arena_alloc(ctx->arena, len);
        if (p == NULL)
            return KS_E_NOMEM;
        memcpy(p + len - how->prime.len, how->prime.data, how->prime.len);
        prime->s = KS_SPAN(p, len);
        if (kmip_attrs_add(ctx->arena, &draft->content, KMIP_TAG_PRIME_FIELD_SIZE, prime) == NULL)
            return KS_E_NOMEM;
    }
    KS_TRY(ks_sha256(&secret, 1, value));
    digest->s = KS_SPAN(value, KS_SHA256);
    length->i32 = (int32_t)secret.len;
    return kmip_attrs_add(ctx->arena, &draft->content, KMIP_TAG_DIGEST_VALUE, digest) != NULL &&
                   kmip_attrs_add(ctx->arena, &draft->content, KMIP_TAG_DATA_LENGTH, length) != NULL
               ? 0
               : KS_E_NOMEM;
}

/* A new key to split, of the algorithm and length that the request says. */
static int
new_secret(struct ctx *ctx, struct rev *facts, struct ks_span *ret)
{
    if (!core_has(&facts->core, CORE_ALGORITHM))
        return engine_fail(ctx, COND_MISSING,
                           "the request names no key to split, and no Cryptographic Algorithm for a new one");
    core_set(&facts->core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_SYMMETRIC_KEY);
    core_set(&facts->core, CORE_KEY_FORMAT_TYPE, KMIP_KEY_FORMAT_TYPE_RAW);
    KS_TRY(op_make_symmetric(ctx, facts));
    *ret = KS_SPAN(facts->material.data + 1, facts->material.len - 1);
    return 0;
}

static int
make_part(struct ctx *ctx, const struct kmip_create_split_key_request *r, const struct ks_split *how,
          const struct core *from, struct ks_span secret, unsigned part, struct ks_span bytes, struct object **ret)
{
    struct rev draft = {0};
    core_set(&draft.core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_SPLIT_KEY);
    KS_TRY(attr_new(ctx, &r->attributes, &draft));
    KS_TRY(part_facts(ctx, how, from, secret, &draft));
    core_set(&draft.core, CORE_KEY_PART_IDENTIFIER, part);
    core_set(&draft.core, CORE_KEY_FORMAT_TYPE,
             core_get(from, CORE_OBJECT_TYPE) == KMIP_OBJECT_TYPE_SYMMETRIC_KEY ? KMIP_KEY_FORMAT_TYPE_RAW
                                                                                : core_get(from, CORE_KEY_FORMAT_TYPE));
    KS_TRY(material_put(ctx, &draft, MATERIAL_BYTES, bytes));
    return op_new_object(ctx, ctx->client, &draft, true, ret);
}

int
op_create_split_key(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_create_split_key_request *r = request;
    struct ks_split how;
    struct ks_span secret;
    struct rev facts = {0};
    struct ks_diag diag = {0};
    struct object *first = NULL;
    const struct core *from = &facts.core;
    size_t len = 0;
    OP_RESPONSE(ctx, kmip_create_split_key_response, response);
    if (r->object_type != KMIP_OBJECT_TYPE_SPLIT_KEY)
        return engine_fail(ctx, COND_OBJECT_KIND, "Create Split Key makes split keys");
    KS_TRY(how_of(ctx, r, &how));
    if (r->unique_identifier.type != 0) {
        struct object *source;
        KS_TRY(engine_object(ctx, &r->unique_identifier, &source));
        KS_TRY(source_bytes(ctx, source, &secret));
        from = &source->rev->core;
        engine_note(ctx, "parts of %s", source->uid);
    } else {
        core_set(&facts.core, CORE_OBJECT_TYPE, KMIP_OBJECT_TYPE_SYMMETRIC_KEY);
        KS_TRY(attr_new(ctx, &r->attributes, &facts));
        KS_TRY(new_secret(ctx, &facts, &secret));
    }
    if (secret.len > SECRET_MOST)
        return engine_fail(ctx, COND_SERVER_LIMIT, "keys of %d bytes at most are split", SECRET_MOST);
    int rc = ks_split_length(&how, secret.len, &len, &diag);
    if (rc == 0)
        KS_TRY(have_time(ctx, &how, secret.len, 0));
    uint8_t *parts = rc == 0 ? ks_arena_alloc(ctx->arena, len * how.parts) : NULL;
    if (rc == 0)
        rc = parts != NULL ? ks_split(&how, secret, parts, &diag) : KS_E_NOMEM;
    if (rc != 0)
        return fail_split(ctx, rc, &diag);
    response->unique_identifier = ks_arena_array(ctx->arena, how.parts, sizeof(*response->unique_identifier));
    if (response->unique_identifier == NULL)
        return KS_E_NOMEM;
    for (unsigned i = 0; i < how.parts; i++) {
        struct object *object;
        KS_TRY(make_part(ctx, r, &how, from, secret, i + 1, KS_SPAN(parts + i * len, len), &object));
        first = i == 0 ? object : first;
        response->unique_identifier[response->n_unique_identifier++] = uid_of(object);
    }
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_CREATE_SPLIT_KEY, object_uid(first));
    *ret_response = response;
    return 0;
}

static const struct kmip_item *
kept(const struct object *part, uint32_t tag)
{
    for (const struct kmip_attr *a = part->rev->content.first; a != NULL; a = a->next)
        if (a->tag == tag)
            return a->value;
    return NULL;
}

/* Parts of one key agree in how it was split and what it is. */
static bool
same_key(const struct object *a, const struct object *b)
{
    static const enum core_id same[] = {CORE_SPLIT_KEY_PARTS,      CORE_SPLIT_KEY_THRESHOLD, CORE_SPLIT_KEY_METHOD,
                                        CORE_SPLIT_KEY_POLYNOMIAL, CORE_ALGORITHM,           CORE_LENGTH,
                                        CORE_KEY_FORMAT_TYPE};
    static const uint32_t items[] = {KMIP_TAG_PRIME_FIELD_SIZE, KMIP_TAG_DIGEST_VALUE};
    for (size_t i = 0; i < KS_ARRAY_LEN(same); i++)
        if (core_get(&a->rev->core, same[i]) != core_get(&b->rev->core, same[i]))
            return false;
    for (size_t i = 0; i < KS_ARRAY_LEN(items); i++) {
        const struct kmip_item *x = kept(a, items[i]), *y = kept(b, items[i]);
        if ((x == NULL) != (y == NULL) || (x != NULL && !ks_span_equal(x->s, y->s)))
            return false;
    }
    return true;
}

struct joining {
    struct ks_split how;
    struct object *first;
    struct ks_share *shares;
    size_t n;
    bool sensitive, not_extractable;
};

static int
find_parts(struct ctx *ctx, const struct kmip_join_split_key_request *r, struct joining *j)
{
    if (r->n_unique_identifier > KS_SPLIT_MOST)
        return engine_fail(ctx, COND_BAD_FIELD, "a key has %d parts at most", KS_SPLIT_MOST);
    j->shares = ks_arena_array(ctx->arena, r->n_unique_identifier, sizeof(*j->shares));
    if (j->shares == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < r->n_unique_identifier; i++) {
        const struct use use = {.use = USE_GET};
        struct object *part;
        struct material material;
        KS_TRY(engine_object(ctx, &r->unique_identifier[i], &part));
        KS_TRY(engine_use(ctx, part, &use));
        if (core_has(&part->rev->core, CORE_SUSPENSION))
            return suspend_refuse(ctx, part, COND_NOT_PERMITTED);
        if (object_type(part) != KMIP_OBJECT_TYPE_SPLIT_KEY)
            return engine_fail(ctx, COND_OBJECT_KIND, "object %s is no part of a split key", part->uid);
        j->first = i == 0 ? part : j->first;
        if (!same_key(part, j->first))
            return engine_fail(ctx, COND_CRYPTOGRAPHY, "objects %s and %s are parts of different keys", part->uid,
                               j->first->uid);
        KS_TRY(material_open(ctx, part, &material));
        if (material.kind != MATERIAL_BYTES || part->rev->wrapping != NULL)
            return engine_fail(ctx, COND_KEY_FORMAT, "part %s is kept in a form that can not be joined", part->uid);
        const struct core *core = &part->rev->core;
        j->sensitive = j->sensitive || core_get(core, CORE_SENSITIVE) != 0;
        j->not_extractable =
            j->not_extractable || (core_has(core, CORE_EXTRACTABLE) && core_get(core, CORE_EXTRACTABLE) == 0);
        j->shares[j->n++] = (struct ks_share){(unsigned)core_get(core, CORE_KEY_PART_IDENTIFIER), material.bytes};
    }
    return j->n != 0 ? 0 : engine_fail(ctx, COND_MISSING, "the request names no parts");
}

/* How long the secret was: parts may be longer. Of parts that others made the length of the key has to tell. */
static size_t
secret_length(const struct object *part, size_t whole)
{
    const struct core *core = &part->rev->core;
    const struct kmip_item *length = kept(part, KMIP_TAG_DATA_LENGTH);
    const uint32_t method = (uint32_t)core_get(core, CORE_SPLIT_KEY_METHOD);
    const bool longer = method == KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_GF_2_16 ||
                        method == KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_PRIME_FIELD;
    const int64_t bytes = length != NULL ? length->i32 : longer ? core_get(core, CORE_LENGTH) / 8 : 0;
    return bytes > 0 && bytes <= (int64_t)whole ? (size_t)bytes : whole;
}

/* The joined secret, compared with the digest of what was split where that is known. */
static int
join(struct ctx *ctx, struct joining *j, struct ks_span *ret)
{
    const struct core *core = &j->first->rev->core;
    const struct kmip_item *prime = kept(j->first, KMIP_TAG_PRIME_FIELD_SIZE),
                           *digest = kept(j->first, KMIP_TAG_DIGEST_VALUE);
    struct ks_diag diag = {0};
    uint8_t found[KS_SHA256];
    const int64_t parts = core_get(core, CORE_SPLIT_KEY_PARTS), threshold = core_get(core, CORE_SPLIT_KEY_THRESHOLD);
    const size_t whole = j->shares[0].bytes.len;
    const uint32_t method = (uint32_t)core_get(core, CORE_SPLIT_KEY_METHOD);
    if (parts < 2 || parts > KS_SPLIT_MOST || threshold < 2 || threshold > parts)
        return engine_fail(ctx, COND_CRYPTOGRAPHY, "object %s says that it is of %lld parts: it can not be joined",
                           j->first->uid, (long long)parts);
    j->how = (struct ks_split){.method = method,
                               .polynomial = (uint32_t)core_get(core, CORE_SPLIT_KEY_POLYNOMIAL),
                               .parts = (unsigned)parts,
                               .threshold = (unsigned)threshold};
    if (prime != NULL)
        KS_TRY(prime_of(ctx, prime->s, &j->how.prime));
    const size_t len = secret_length(j->first, whole);
    KS_TRY(have_time(ctx, &j->how, len, j->n));
    uint8_t *secret = ks_arena_alloc(ctx->arena, whole);
    if (secret == NULL)
        return KS_E_NOMEM;
    const int rc = ks_split_join(&j->how, j->shares, j->n, secret, len, &diag);
    if (rc == KS_E_INVALID || rc == KS_E_INTEGRITY || rc == KS_E_CRYPTO)
        return engine_fail_diag(ctx, COND_CRYPTOGRAPHY, &diag);
    if (rc != 0)
        return fail_split(ctx, rc, &diag);
    *ret = KS_SPAN(secret, len);
    KS_TRY(ks_sha256(ret, 1, found));
    if (digest != NULL && !ks_span_equal(digest->s, KS_SPAN(found, KS_SHA256)))
        return engine_fail(ctx, COND_CRYPTOGRAPHY, "the parts do not give back the key that was split");
    return 0;
}

int
op_join_split_key(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_join_split_key_request *r = request;
    struct joining j = {0};
    struct rev draft = {0};
    struct object *object;
    struct ks_span secret;
    OP_RESPONSE(ctx, kmip_join_split_key_response, response);
    struct core *core = &draft.core;
    if (r->object_type != KMIP_OBJECT_TYPE_SYMMETRIC_KEY && r->object_type != KMIP_OBJECT_TYPE_PRIVATE_KEY &&
        r->object_type != KMIP_OBJECT_TYPE_SECRET_DATA)
        return engine_fail(ctx, COND_OBJECT_KIND, "parts are joined to symmetric keys, private keys and secret data");
    core_set(core, CORE_OBJECT_TYPE, r->object_type);
    KS_TRY(attr_new(ctx, &r->attributes, &draft));
    KS_TRY(find_parts(ctx, r, &j));
    KS_TRY(join(ctx, &j, &secret));
    const struct core *from = &j.first->rev->core;
    /* What the parts say is the key, says more than the request. */
    if (core_has(from, CORE_ALGORITHM))
        core_set(core, CORE_ALGORITHM, core_get(from, CORE_ALGORITHM));
    if (core_has(from, CORE_LENGTH))
        core_set(core, CORE_LENGTH, core_get(from, CORE_LENGTH));
    else if (!core_has(core, CORE_LENGTH) && r->object_type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        core_set(core, CORE_LENGTH, (int64_t)secret.len * 8);
    core_set(core, CORE_KEY_FORMAT_TYPE, core_get(from, CORE_KEY_FORMAT_TYPE));
    if (r->object_type == KMIP_OBJECT_TYPE_SECRET_DATA)
        core_set(core, CORE_SECRET_DATA_TYPE,
                 r->has_secret_data_type ? r->secret_data_type : (uint32_t)KMIP_SECRET_DATA_TYPE_PASSWORD);
    if (j.sensitive)
        core_set(core, CORE_SENSITIVE, true);
    if (j.not_extractable)
        core_set(core, CORE_EXTRACTABLE, false);
    KS_TRY(material_put(ctx, &draft, MATERIAL_BYTES, secret));
    KS_TRY(op_new_object(ctx, ctx->client, &draft, true, &object));
    engine_note(ctx, "joined from %zu parts, the first %s", j.n, j.first->uid);
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_JOIN_SPLIT_KEY, object_uid(object));
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
