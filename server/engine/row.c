/*
 * Rows of STORE_OBJECT:
 *
 *   format (1) | row version (8) | length of metadata (4) | sealed metadata | sealed key material
 *
 * Metadata is bound to the identifier and the row's version; key material to the identifier, the version of the row for
 * which it was sealed (which the metadata names) and a digest of the facts that may not be exchanged (core.def,
 * CORE_BOUND): parts of another row, or of this row at another time, do not open.
 */
#include <stdlib.h>

#include "server/engine/ctx.h"

enum { ROW_FORMAT = 1, METADATA_FORMAT = 1, ROW_MAX = 4 << 20, CONTEXT_MAX = 64 + 12 * CORE_COUNT };

/*
 * What can be written can be read: an item takes 8 bytes at least in the row, and as an item of memory 48 at most, so
 * OBJECT_LOAD_MAX holds whatever fits into METADATA_MAX. A row that did not load would keep the server from starting.
 */
enum { METADATA_MAX = 2 << 20 };
_Static_assert(sizeof(struct kmip_item) <= 48, "OBJECT_LOAD_MAX counts on it");
_Static_assert((int)OBJECT_LOAD_MAX >= 3 * ROW_MAX + 6 * METADATA_MAX, "what can be written can be read back");

/*
 * What tells a row from every other that was ever sealed: beginnings of the tags of both seals. With the seals
 * themselves, which bind identifier and version, it shows that a row that is read back is the one that was written
 * last: not an older one, nor parts of several.
 */
static uint64_t
seal_of(struct ks_span sealed, struct ks_span material)
{
    uint64_t seal = sealed.len >= 16 ? ks_be64(sealed.data + sealed.len - 16) : 0;
    const uint64_t other = material.len >= 16 ? ks_be64(material.data + material.len - 16) : 0;
    return seal ^ (other << 1 | other >> 63);
}

/* AAD of a part. facts: those that may not be exchanged, for key material; NULL for metadata. */
static int
context(struct ks_span uid, uint64_t version, char part, const struct core *facts, struct ks_buf *ret)
{
    ks_buf_add_str(ret, "object");
    ks_buf_add_be32(ret, (uint32_t)uid.len);
    ks_buf_add_span(ret, uid);
    ks_buf_add_be64(ret, version);
    ks_buf_add_u8(ret, (uint8_t)part);
    for (unsigned id = 0; facts != NULL && id < CORE_COUNT; id++) {
        uint8_t fact[12];
        if ((core_rows[id].flags & CORE_BOUND) == 0 || !core_has(facts, (enum core_id)id))
            continue;
        ks_put_be32(fact, core_rows[id].tag);
        ks_put_be64(fact + 4, (uint64_t)facts->v[id]);
        ks_buf_add(ret, fact, sizeof(fact));
    }
    return ret->err;
}

bool
row_binding_same(const struct core *a, const struct core *b)
{
    for (unsigned id = 0; id < CORE_COUNT; id++)
        if ((core_rows[id].flags & CORE_BOUND) != 0 &&
            (core_has(a, (enum core_id)id) != core_has(b, (enum core_id)id) ||
             core_get(a, (enum core_id)id) != core_get(b, (enum core_id)id)))
            return false;
    return true;
}

/* Writing */

static void
put_span(struct ks_buf *buf, struct ks_span s)
{
    ks_buf_add_be32(buf, (uint32_t)s.len);
    ks_buf_add_span(buf, s);
}

static int
put_item(struct ks_buf *buf, const struct kmip_item *item)
{
    ks_buf_add_u8(buf, item != NULL);
    if (item == NULL)
        return buf->err;
    const size_t at = buf->len;
    KS_TRY(ks_buf_add_be32(buf, 0));
    KS_TRY(kmip_item_to_ttlv(item, buf));
    return ks_buf_put_be32(buf, at, (uint32_t)(buf->len - at - 4));
}

static int
put_attrs(struct ks_buf *buf, const struct kmip_attrs *attrs)
{
    uint32_t n = 0;
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        n++;
    ks_buf_add_be32(buf, n);
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next) {
        ks_buf_add_be32(buf, a->tag);
        ks_buf_add_be32(buf, (uint32_t)a->index);
        put_span(buf, a->vendor);
        put_span(buf, a->name);
        KS_TRY(put_item(buf, a->value));
    }
    return buf->err;
}

static int
put_metadata(struct ks_buf *buf, struct ks_span owner, const struct rev *draft)
{
    ks_buf_add_u8(buf, METADATA_FORMAT);
    put_span(buf, owner);
    ks_buf_add_be64(buf, draft->material_version);
    ks_buf_add_be32(buf, (uint32_t)__builtin_popcountll(draft->core.present));
    for (unsigned id = 0; id < CORE_COUNT; id++)
        if (core_has(&draft->core, (enum core_id)id)) {
            ks_buf_add_be32(buf, core_rows[id].tag);
            ks_buf_add_be64(buf, (uint64_t)draft->core.v[id]);
        }
    KS_TRY(put_attrs(buf, &draft->attrs));
    KS_TRY(put_attrs(buf, &draft->content));
    return put_item(buf, draft->wrapping);
}

static int
seal_material(struct engine *engine, struct ks_arena *arena, struct ks_span uid, struct rev *draft)
{
    uint8_t text[CONTEXT_MAX];
    struct ks_buf aad = {text, 0, sizeof(text), sizeof(text), 0};
    KS_TRY(context(uid, draft->version, 'k', &draft->core, &aad));
    KS_CLEANUP(ks_buf_done) struct ks_buf sealed = KS_BUF(ROW_MAX);
    KS_TRY(keyring_seal(engine->keyring, KEYRING_OBJECT, ks_buf_span(&aad), draft->material, &sealed));
    KS_TRY(ks_arena_span(arena, ks_buf_span(&sealed), &draft->material));
    draft->material_version = draft->version;
    draft->new_material = false;
    return 0;
}

int
row_seal(struct engine *engine, struct ks_arena *arena, struct ks_span uid, struct ks_span owner, struct rev *draft,
         struct ks_span *ret)
{
    uint8_t text[CONTEXT_MAX];
    if (draft->new_material)
        KS_TRY(seal_material(engine, arena, uid, draft));
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(METADATA_MAX);
    KS_TRY(put_metadata(&plain, owner, draft));
    struct ks_buf aad = {text, 0, sizeof(text), sizeof(text), 0};
    KS_TRY(context(uid, draft->version, 'm', NULL, &aad));
    KS_CLEANUP(ks_buf_done) struct ks_buf row = KS_BUF(ROW_MAX);
    ks_buf_add_u8(&row, ROW_FORMAT);
    ks_buf_add_be64(&row, draft->version);
    KS_TRY(ks_buf_add_be32(&row, 0));
    const size_t at = row.len;
    KS_TRY(keyring_seal(engine->keyring, KEYRING_METADATA, ks_buf_span(&aad), ks_buf_span(&plain), &row));
    KS_TRY(ks_buf_put_be32(&row, at - 4, (uint32_t)(row.len - at)));
    /* Of what is archived the material is in the archive (archive.h). */
    const struct ks_span here = core_has(&draft->core, CORE_ARCHIVE_DATE) ? KS_SPAN_NONE : draft->material;
    draft->seal = seal_of(KS_SPAN(row.data + at, row.len - at), here);
    KS_TRY(ks_buf_add_span(&row, here));
    return ks_arena_span(arena, ks_buf_span(&row), ret);
}

/* Owners */

static uint64_t
owner_hash(const struct owners *owners, struct ks_span name)
{
    uint64_t hash;
    return ks_siphash_sum(owners->key, &name, 1, &hash) == 0 ? hash : 0;
}

int
owners_init(struct owners *owners, const struct clients *clients, struct ks_siphash_key *key)
{
    size_t n = 64;
    while (n < 2 * clients->n)
        n *= 2;
    *owners = (struct owners){.slots = calloc(n, sizeof(struct client *)), .n = n, .key = key};
    if (owners->slots == NULL)
        return KS_E_NOMEM;
    for (struct client *c = clients->first; c != NULL; c = c->next) {
        size_t i = owner_hash(owners, ks_span_str(c->name)) & (n - 1);
        while (owners->slots[i] != NULL)
            i = (i + 1) & (n - 1);
        owners->slots[i] = c;
    }
    return 0;
}

static struct client *
owners_find(const struct owners *owners, struct ks_span name)
{
    size_t i = owner_hash(owners, name) & (owners->n - 1);
    while (owners->slots[i] != NULL && !ks_span_is(name, owners->slots[i]->name))
        i = (i + 1) & (owners->n - 1);
    return owners->slots[i];
}

/* Reading */

static struct ks_span
get_span(struct ks_cursor *c)
{
    const uint32_t len = ks_cursor_be32(c);
    return ks_cursor_take(c, len);
}

static const struct kmip_limits stored_limits = {.bytes = ROW_MAX, .depth = 64, .items = 65536, .text = ROW_MAX};

static int
get_item(struct ks_cursor *c, struct ks_arena *arena, struct kmip_item **ret)
{
    *ret = NULL;
    if (ks_cursor_u8(c) == 0)
        return c->err;
    const struct ks_span ttlv = get_span(c);
    if (c->err != 0)
        return c->err;
    return kmip_item_from_ttlv(ttlv, &stored_limits, arena, ret, NULL);
}

static int
get_attrs(struct ks_cursor *c, struct ks_arena *arena, struct kmip_attrs *ret)
{
    const uint32_t n = ks_cursor_be32(c);
    for (uint32_t i = 0; i < n && c->err == 0; i++) {
        const uint32_t tag = ks_cursor_be32(c);
        const int32_t index = (int32_t)ks_cursor_be32(c);
        const struct ks_span vendor = get_span(c), name = get_span(c);
        struct kmip_item *value;
        KS_TRY(get_item(c, arena, &value));
        struct kmip_attr *attr = kmip_attrs_add(arena, ret, tag, value);
        if (attr == NULL)
            return KS_E_NOMEM;
        attr->vendor = vendor;
        attr->name = name;
        attr->index = index;
    }
    return c->err;
}

static int
get_metadata(struct ks_cursor *c, struct ks_arena *arena, struct ks_span *ret_owner, struct rev *draft)
{
    if (ks_cursor_u8(c) != METADATA_FORMAT)
        return KS_E_UNSUPPORTED;
    *ret_owner = get_span(c);
    draft->material_version = ks_cursor_be64(c);
    const uint32_t n = ks_cursor_be32(c);
    for (uint32_t i = 0; i < n && c->err == 0; i++) {
        const enum core_id id = core_find(ks_cursor_be32(c));
        const int64_t v = (int64_t)ks_cursor_be64(c);
        if (c->err == 0 && id == CORE_COUNT)
            return KS_E_UNSUPPORTED;
        if (c->err == 0)
            core_set(&draft->core, id, v);
    }
    KS_TRY(get_attrs(c, arena, &draft->attrs));
    KS_TRY(get_attrs(c, arena, &draft->content));
    KS_TRY(get_item(c, arena, &draft->wrapping));
    return c->err == 0 && ks_cursor_left(c) != 0 ? KS_E_MALFORMED : c->err;
}

static int
row_open(struct engine *engine, struct ks_arena *arena, struct ks_span uid, struct ks_span value,
         struct ks_span *ret_owner, struct rev *draft)
{
    uint8_t text[CONTEXT_MAX];
    struct ks_cursor c = KS_CURSOR(value);
    const uint8_t format = ks_cursor_u8(&c);
    draft->version = ks_cursor_be64(&c);
    const struct ks_span sealed = get_span(&c);
    if (c.err != 0 || format != ROW_FORMAT)
        return KS_E_UNSUPPORTED;
    draft->material = ks_cursor_take(&c, ks_cursor_left(&c));
    draft->seal = seal_of(sealed, draft->material);
    struct ks_buf aad = {text, 0, sizeof(text), sizeof(text), 0};
    KS_TRY(context(uid, draft->version, 'm', NULL, &aad));
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(ROW_MAX);
    KS_TRY(keyring_open_sealed(engine->keyring, KEYRING_METADATA, ks_buf_span(&aad), sealed, &plain));
    struct ks_span kept;
    KS_TRY(ks_arena_span(arena, ks_buf_span(&plain), &kept));
    struct ks_cursor meta = KS_CURSOR(kept);
    return get_metadata(&meta, arena, ret_owner, draft);
}

static int
damaged(struct ks_span key, int rc, struct ks_diag *diag)
{
    const int len = (int)(key.len < 64 ? key.len : 64);
    if (rc == KS_E_NOMEM)
        return ks_fail(diag, rc, "out of memory while loading object %.*s", len, (const char *)key.data);
    return ks_fail(diag, KS_E_CORRUPT,
                   "object %.*s: its row in the store is damaged or was changed (%s); restore the store from a backup",
                   len, (const char *)key.data, ks_err_text(rc));
}

int
row_load(struct engine *engine, const struct owners *owners, struct ks_span key, struct ks_span value,
         struct ks_diag *diag)
{
    struct objects *objects = &engine->objects;
    struct ks_arena *arena = &objects->peeked;
    struct rev draft = {0};
    struct ks_span owner;
    struct object *object = calloc(1, sizeof(*object));
    if (object == NULL)
        return ks_fail(diag, KS_E_NOMEM, "out of memory while loading objects");
    int rc = key.len == sizeof(object->uid) - 1 ? row_open(engine, arena, key, value, &owner, &draft) : KS_E_MALFORMED;
    if (rc == 0) {
        memcpy(object->uid, key.data, key.len);
        object->owner = owners_find(owners, owner);
        rc = object->owner != NULL ? objects_reserve(objects, 1, index_need(&draft)) : KS_E_NOT_FOUND;
    }
    struct rev *rev = NULL;
    const bool room = objects->limit == 0 || objects->bytes + objects_fixed_bytes(objects) < objects->limit;
    if (rc == 0 && room)
        rc = rev_make(object, &draft, &rev);
    if (rc != 0) {
        ks_arena_reset(arena);
        free(object);
        return damaged(key, rc, diag);
    }
    objects_add(objects, object);
    if (room) {
        objects_set(objects, object, rev);
        rev->used = false; /* by nobody yet */
    } else {
        /* Indexed as it is, and left in the store. */
        draft.object = object;
        objects_set(objects, object, &draft);
        objects_set_rev(objects, object, NULL);
    }
    objects_trim(objects); /* handles and indexes grow into what was taken for revs */
    ks_arena_reset(arena);
    return 0;
}

/* The row of an object that is known, into the arena. */
static int
read_back(struct engine *engine, struct object *object, struct ks_arena *arena, struct rev *ret)
{
    struct rev draft = {0};
    struct ks_span owner, value;
    const struct ks_span uid = object_uid(object);
    KS_CLEANUP(ks_buf_done) struct ks_buf row = KS_BUF(ROW_MAX);
    const int rc = store_get(engine->store, STORE_OBJECT, uid, &row, NULL);
    if (rc == KS_E_NOT_FOUND)
        return KS_E_CORRUPT; /* deleted behind our back */
    KS_TRY(rc);
    KS_TRY(ks_arena_span(arena, ks_buf_span(&row), &value)); /* the sealed material stays in it */
    const int opened = row_open(engine, arena, uid, value, &owner, &draft);
    if (opened == KS_E_NOMEM)
        return opened;
    if (opened != 0 || draft.seal != object->seal || !ks_span_is(owner, object->owner->name))
        return KS_E_CORRUPT;
    draft.object = object;
    *ret = draft;
    return 0;
}

int
row_peek(void *arg, struct object *object, struct ks_arena *arena, struct rev *ret)
{
    const int rc = read_back(arg, object, arena, ret);
    if (rc != 0)
        ks_arena_reset(arena);
    return rc;
}

int
row_reload(void *arg, struct object *object)
{
    struct engine *engine = arg;
    struct ks_arena *arena = &engine->objects.loading;
    struct rev draft, *rev = NULL;
    int rc = read_back(engine, object, arena, &draft);
    if (rc == 0)
        rc = rev_make(object, &draft, &rev);
    ks_arena_reset(arena);
    if (rc == 0)
        objects_set_rev(&engine->objects, object, rev);
    return rc;
}

int
row_material(struct ctx *ctx, const struct object *object, struct ks_span *ret)
{
    uint8_t text[CONTEXT_MAX];
    const struct rev *rev = object->rev;
    if (rev->material.len == 0)
        return engine_fail(ctx, COND_NO_KEY_VALUE, "object %s has no key material on this server", object->uid);
    struct ks_buf aad = {text, 0, sizeof(text), sizeof(text), 0};
    KS_TRY(context(object_uid(object), rev->material_version, 'k', &rev->core, &aad));
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(ROW_MAX);
    const int rc = keyring_open_sealed(ctx->engine->keyring, KEYRING_OBJECT, ks_buf_span(&aad), rev->material, &plain);
    if (rc == KS_E_INTEGRITY)
        return engine_fail(ctx, COND_INTERNAL,
                           "the stored key material of object %s is damaged or was changed; restore it "
                           "from a backup",
                           object->uid);
    KS_TRY(rc);
    return ks_arena_span(ctx->arena, ks_buf_span(&plain), ret);
}
