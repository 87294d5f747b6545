#include "ops_check.h"

#include "fuzz.h"
#include "server/engine/ctx.h"

/* ---- In memory ---- */

static void
check_client(const struct clients *clients, const struct client *client)
{
    const struct client *c = clients->first;
    while (c != NULL && c != client)
        c = c->next;
    FUZZ_ASSERT(c != NULL);
}

/* Every value that the index answers for is found in it. */
static void
check_found(const struct objects *objects, const struct object *object)
{
    size_t n = 0;
    for (uint32_t at = object->entries; at != INDEX_NONE; at = index_at(&objects->index, at)->sibling, n++) {
        FUZZ_ASSERT(n < objects->index.n);
        FUZZ_ASSERT(index_at(&objects->index, at)->object == object);
    }
    if (object->rev == NULL)
        return;
    FUZZ_ASSERT(n <= index_need(object->rev));
    if (rev_is_destroyed(object->rev)) {
        FUZZ_ASSERT(n == 0);
        return;
    }
    for (const struct kmip_attr *a = object->rev->attrs.first; a != NULL; a = a->next) {
        uint32_t hash;
        if (a->value == NULL || !index_hash(&objects->index, object->owner, a, &hash))
            continue;
        uint32_t at = INDEX_NONE;
        do
            at = index_next(&objects->index, hash, at);
        while (at != INDEX_NONE && index_at(&objects->index, at)->object != object);
        FUZZ_ASSERT(at != INDEX_NONE);
    }
}

/* What the server says of a suspension is there as long as that is. */
static void
check_suspension(const struct rev *rev)
{
    const bool suspended = core_has(&rev->core, CORE_SUSPENSION);
    size_t said = 0, agreed = 0;
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL; a = a->next)
        if (a->tag == KMIP_TAG_ATTRIBUTE && ks_span_is(a->vendor, "y")) {
            const bool resume = a->name.len >= 6 && memcmp(a->name.data, "Resume", 6) == 0;
            FUZZ_ASSERT(a->value != NULL);
            said += !resume;
            agreed += resume;
        }
    FUZZ_ASSERT(said == (suspended ? 4 : 0) && (agreed == 0 || (suspended && agreed == 2)));
    FUZZ_ASSERT(!suspended || core_get(&rev->core, CORE_SUSPENSION) == SUSPENSION_ALL ||
                core_get(&rev->core, CORE_SUSPENSION) == SUSPENSION_PROTECT);
}

static void
check_object(struct engine *engine, struct object *object, bool settled)
{
    const struct objects *objects = &engine->objects;
    const struct rev *rev = object->rev;
    FUZZ_ASSERT(objects_handle(objects, object_uid(object)) == object);
    check_client(&engine->clients, object->owner);
    check_found(objects, object);
    FUZZ_ASSERT((object->place != 0) == (object->due != STATE_NEVER));
    if (object->place != 0) {
        FUZZ_ASSERT(object->place <= objects->n_due);
        FUZZ_ASSERT(objects->due[object->place - 1].object == object);
        FUZZ_ASSERT(objects->due[object->place - 1].at == object->due);
    }
    FUZZ_ASSERT(!settled || object->pending == 0);
    if (rev == NULL)
        return;
    FUZZ_ASSERT(rev->object == object && rev->seal == object->seal && rev->version >= 1);
    FUZZ_ASSERT(object->type == (uint8_t)core_get(&rev->core, CORE_OBJECT_TYPE));
    check_suspension(rev);
    if (rev_is_destroyed(rev)) {
        FUZZ_ASSERT(rev->material.len == 0 && rev->parsed == NULL);
        FUZZ_ASSERT(object->storage == KMIP_STORAGE_STATUS_MASK_DESTROYED_STORAGE);
    }
}

static void
check_heap(const struct objects *objects)
{
    size_t placed = 0;
    for (const struct object *o = objects->all.oldest; o != NULL; o = o->all.newer)
        placed += o->place != 0;
    FUZZ_ASSERT(placed == objects->n_due && objects->n_due <= objects->cap_due);
    for (size_t i = 1; i < objects->n_due; i++)
        FUZZ_ASSERT(objects->due[(i - 1) / 2].at <= objects->due[i].at);
}

static void
check_tables(const struct engine *engine)
{
    size_t n = 0, of_clients = 0, entries = 0;
    uint64_t order = 0;
    for (const struct object *o = engine->objects.all.oldest; o != NULL; o = o->all.newer, n++) {
        FUZZ_ASSERT(o->order > order);
        order = o->order;
        for (uint32_t at = o->entries; at != INDEX_NONE; at = index_at(&engine->objects.index, at)->sibling)
            entries++;
    }
    FUZZ_ASSERT(n == engine->objects.all.n && entries == engine->objects.index.n);
    n = 0;
    for (size_t i = 0; i < engine->objects.n_buckets; i++)
        for (const struct object *o = engine->objects.by_uid[i]; o != NULL; o = o->hash_next)
            n++;
    FUZZ_ASSERT(n == engine->objects.all.n);
    n = 0;
    for (const struct client *c = engine->clients.first; c != NULL; c = c->next, n++) {
        of_clients += c->objects.n;
        FUZZ_ASSERT(clients_find(&engine->clients, ks_span_str(c->name)) == c);
        FUZZ_ASSERT(c->revoked || clients_by_fingerprint(&engine->clients, c->fingerprint) == c);
        FUZZ_ASSERT(c->ticket == NULL && c->acting == NULL);
    }
    FUZZ_ASSERT(n == engine->clients.n && of_clients == engine->objects.all.n);
}

/* Session objects of PKCS#11: in their sessions, in no set, and none that is dying between requests. */
static void
check_session_objects(const struct engine *engine)
{
    size_t n = 0;
    for (const struct p11_app *app = engine->pkcs11.first; app != NULL; app = app->next) {
        size_t session = 0;
        const struct object *o = p11_object_next(app, &session, NULL);
        for (; o != NULL; o = p11_object_next(app, &session, o), n++) {
            FUZZ_ASSERT(o->of_session && o->rev != NULL && o->rev->object == o && app->sessions[session].handle != 0);
            FUZZ_ASSERT(o->rev->size <= PKCS11_OBJECT_BYTES && o->entries == 0 && o->place == 0);
            FUZZ_ASSERT(objects_handle(&engine->objects, object_uid(o)) == NULL);
            check_client(&engine->clients, o->owner);
        }
    }
    FUZZ_ASSERT(n == engine->pkcs11.n_objects && n <= PKCS11_OBJECTS && engine->pkcs11.dying.n == 0);
}

/* What lives between requests is counted, bounded, and somebody's. */
static void
check_state(const struct engine *engine)
{
    size_t n = 0;
    for (const struct stream *s = engine->streams.first; s != NULL; s = s->next, n++)
        check_client(&engine->clients, s->client);
    FUZZ_ASSERT(n == engine->streams.n && n <= STREAM_MOST);
    n = 0;
    for (const struct ticket *t = engine->tickets.first; t != NULL; t = t->next, n++)
        ;
    FUZZ_ASSERT(n == engine->tickets.n && n <= TICKET_MOST);
    n = 0;
    for (size_t i = 0; i < ASYNC_MOST; i++) {
        if (engine->async.v[i] == NULL)
            continue;
        check_client(&engine->clients, engine->async.v[i]->client);
        n++;
    }
    FUZZ_ASSERT(n == engine->async.n);
    n = 0;
    for (const struct notice *notice = engine->outbox.first; notice != NULL; notice = notice->next, n++)
        check_client(&engine->clients, notice->client);
    FUZZ_ASSERT(n == engine->outbox.n);
    n = 0;
    for (const struct token *t = engine->clients.tokens; t != NULL; t = t->next, n++)
        ;
    FUZZ_ASSERT(n == engine->clients.n_tokens && n <= TOKEN_MOST);
    FUZZ_ASSERT(engine->parsed.n <= PARSED_MOST);
    check_session_objects(engine);
}

void
check_engine(struct engine *engine, bool settled)
{
    if (engine_sealed(engine)) {
        FUZZ_ASSERT(engine->objects.all.oldest == NULL && engine->clients.first == NULL);
        FUZZ_ASSERT(engine->streams.first == NULL && engine->tickets.first == NULL && engine->async.n == 0);
        return;
    }
    for (struct object *o = engine->objects.all.oldest; o != NULL; o = o->all.newer)
        check_object(engine, o, settled);
    check_tables(engine);
    check_heap(&engine->objects);
    check_state(engine);
}

/* ---- Against the store ---- */

static void
same_attrs(const struct kmip_attrs *a, const struct kmip_attrs *b)
{
    const struct kmip_attr *x = a->first, *y = b->first;
    for (; x != NULL && y != NULL; x = x->next, y = y->next) {
        FUZZ_ASSERT(x->tag == y->tag && x->index == y->index);
        FUZZ_ASSERT(ks_span_equal(x->vendor, y->vendor) && ks_span_equal(x->name, y->name));
        FUZZ_ASSERT((x->value == NULL) == (y->value == NULL));
        FUZZ_ASSERT(x->value == NULL || kmip_item_equal(x->value, y->value));
    }
    FUZZ_ASSERT(x == NULL && y == NULL);
}

static void
same_object(struct object *a, const struct object *b)
{
    FUZZ_ASSERT(strcmp(a->owner->name, b->owner->name) == 0);
    FUZZ_ASSERT(a->type == b->type && a->storage == b->storage && a->of_user == b->of_user &&
                a->in_group == b->in_group && a->seal == b->seal);
    const struct rev *x = a->rev, *y = b->rev;
    if (x == NULL || y == NULL)
        return;
    FUZZ_ASSERT(x->version == y->version && x->material_version == y->material_version);
    FUZZ_ASSERT(x->core.present == y->core.present);
    for (unsigned id = 0; id < CORE_COUNT; id++)
        FUZZ_ASSERT(core_get(&x->core, id) == core_get(&y->core, id));
    same_attrs(&x->attrs, &y->attrs);
    same_attrs(&x->content, &y->content);
    FUZZ_ASSERT((x->wrapping == NULL) == (y->wrapping == NULL));
    FUZZ_ASSERT(x->wrapping == NULL || kmip_item_equal(x->wrapping, y->wrapping));
    /* What was archived leaves memory with the next start. */
    FUZZ_ASSERT(a->storage == KMIP_STORAGE_STATUS_MASK_ARCHIVAL_STORAGE ? y->material.len == 0
                                                                        : ks_span_equal(x->material, y->material));
}

/* Rows of the archive are of objects that are there, archived and not destroyed. */
static int
check_archived(void *arg, struct ks_span key, struct ks_span value)
{
    const struct ks_span prefix = KS_LIT("archive/");
    struct engine *engine = arg;
    (void)value;
    if (key.len <= prefix.len || memcmp(key.data, prefix.data, prefix.len) != 0)
        return 0;
    const struct object *o = objects_handle(&engine->objects, KS_SPAN(key.data + prefix.len, key.len - prefix.len));
    FUZZ_ASSERT(o != NULL && o->storage == KMIP_STORAGE_STATUS_MASK_ARCHIVAL_STORAGE);
    return 0;
}

void
check_store(struct rig *rig)
{
    struct engine *const engine = rig->engine;
    struct engine *other = NULL;
    struct ks_diag diag = {0};
    if (engine_sealed(engine))
        return;
    FUZZ_ASSERT(engine_new(&engine->env, &rig->config, &other) == 0);
    const int rc = engine_load(other, rig->keyring, rig->store, &diag);
    if (rc != 0)
        fprintf(stderr, "%s\n", ks_diag_text(&diag));
    FUZZ_ASSERT(rc == 0);
    FUZZ_ASSERT(engine->objects.all.n == other->objects.all.n && engine->clients.n == other->clients.n);
    FUZZ_ASSERT(engine->clients.n_tokens == other->clients.n_tokens);
    FUZZ_ASSERT(engine->async.n == other->async.n && engine->outbox.n == other->outbox.n);
    for (struct object *o = engine->objects.all.oldest; o != NULL; o = o->all.newer) {
        const struct object *stored = objects_handle(&other->objects, object_uid(o));
        FUZZ_ASSERT(stored != NULL);
        same_object(o, stored);
    }
    for (const struct client *c = engine->clients.first; c != NULL; c = c->next) {
        const struct client *stored = clients_find(&other->clients, ks_span_str(c->name));
        FUZZ_ASSERT(stored != NULL && stored->role == c->role && stored->revoked == c->revoked);
        FUZZ_ASSERT(memcmp(stored->fingerprint, c->fingerprint, sizeof(c->fingerprint)) == 0);
        FUZZ_ASSERT(stored->renewing == c->renewing && stored->leniency == c->leniency);
        FUZZ_ASSERT((stored->listener == NULL) == (c->listener == NULL));
    }
    FUZZ_ASSERT(ks_span_equal(ks_buf_span(&engine->rules.constraints), ks_buf_span(&other->rules.constraints)));
    FUZZ_ASSERT(ks_span_equal(ks_buf_span(&engine->rules.defaults), ks_buf_span(&other->rules.defaults)));
    check_engine(other, true);
    FUZZ_ASSERT(store_scan(rig->store, STORE_SYSTEM, check_archived, other, &diag) == 0);
    engine_free(other);
}
