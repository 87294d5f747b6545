/*
 * What a request changes: objects in memory at once, rows for the store and records for the audit trail in the reply's
 * job. Everything can be taken back until tx_finish.
 */
#include <stdlib.h>

#include "server/engine/outbox.h"
#include "server/engine/rules.h"

static int
add_change(struct ctx *ctx, const struct store_change *change)
{
    struct change *c = CTX_NEW(ctx, struct change);
    if (c == NULL)
        return KS_E_NOMEM;
    c->c = *change;
    if (ctx->tx.last_change == NULL)
        ctx->tx.last_change = &ctx->tx.first_change;
    *ctx->tx.last_change = c;
    ctx->tx.last_change = &c->next;
    ctx->tx.n_changes++;
    return 0;
}

int
tx_row(struct ctx *ctx, const struct store_change *change)
{
    return add_change(ctx, change);
}

int
tx_hook(struct ctx *ctx, void (*undo)(struct engine *, void *), void (*done)(struct engine *, void *), void *arg)
{
    struct tx_hook *hook = CTX_NEW(ctx, struct tx_hook);
    if (hook == NULL)
        return KS_E_NOMEM;
    *hook = (struct tx_hook){ctx->tx.newest_hook, undo, done, arg};
    ctx->tx.newest_hook = hook;
    ctx->tx.n_hooks++;
    return 0;
}

/* A session object of PKCS#11: sealed and undone like any other, and in no row. */
static int
put_session(struct ctx *ctx, struct object *object, const struct rev *draft, struct tx_entry *entry)
{
    struct rev *rev;
    KS_TRY(rev_make(object, draft, &rev));
    if (rev->size > PKCS11_OBJECT_BYTES) {
        rev_free(rev);
        return engine_fail(ctx, COND_SERVER_LIMIT, "an object of a session has at most %d bytes with its attributes",
                           PKCS11_OBJECT_BYTES);
    }
    *entry = (struct tx_entry){ctx->tx.newest, object, object->rev, rev, true};
    p11_object_set(&ctx->engine->pkcs11, object, rev);
    ctx->tx.newest = entry;
    ctx->tx.n++;
    return 0;
}

/* Everything that can fail comes before the swap. */
static int
put(struct ctx *ctx, struct object *object, struct rev *draft)
{
    struct engine *engine = ctx->engine;
    struct tx_entry *entry = CTX_NEW(ctx, struct tx_entry);
    struct ks_span row;
    if (entry == NULL)
        return KS_E_NOMEM;
    KS_TRY(row_seal(engine, ctx->arena, object_uid(object), ks_span_str(object->owner->name), draft, &row));
    if (object->of_session)
        return put_session(ctx, object, draft, entry);
    ctx->tx.n_entries += index_need(draft) + index_need(object->rev);
    KS_TRY(objects_reserve(&engine->objects, 2 * (ctx->tx.n + 1), ctx->tx.n_entries));
    struct rev *rev;
    KS_TRY(rev_make(object, draft, &rev));
    const struct store_change change = {
        .table = STORE_OBJECT,
        .key = KS_SPAN(ks_arena_dup(ctx->arena, object->uid, sizeof(object->uid) - 1), sizeof(object->uid) - 1),
        .value = row,
    };
    if (change.key.data == NULL || add_change(ctx, &change) != 0) {
        rev_free(rev);
        return KS_E_NOMEM;
    }
    const bool own = !ctx->by_itself && ctx->client == object->owner && ctx->holder == object->owner;
    *entry = (struct tx_entry){ctx->tx.newest, object, object->rev, rev, own};
    if (object->rev == NULL)
        objects_add(&engine->objects, object);
    objects_set(&engine->objects, object, rev);
    ctx->tx.newest = entry;
    ctx->tx.n++;
    return 0;
}

int
tx_create(struct ctx *ctx, struct client *owner, struct rev *draft, struct object **ret)
{
    core_set(&draft->core, CORE_LAST_CHANGE_DATE, ctx->now);
    return tx_create_as(ctx, owner, KS_SPAN_NONE, draft, ret);
}

static int
new_object(struct ctx *ctx, const struct rev *draft, struct object **ret)
{
    if (!p11_makes(ctx->p11, (uint32_t)core_get(&draft->core, CORE_OBJECT_TYPE))) {
        *ret = calloc(1, sizeof(**ret));
        return *ret != NULL ? 0 : KS_E_NOMEM;
    }
    const int rc = p11_object_new(&ctx->engine->pkcs11, ctx->p11, ret);
    if (rc == KS_E_LIMIT)
        return engine_fail(ctx, COND_SERVER_LIMIT, "there are too many session objects of PKCS#11; destroy some");
    return rc;
}

int
tx_create_as(struct ctx *ctx, struct client *owner, struct ks_span uid, struct rev *draft, struct object **ret)
{
    uint8_t random[KS_UUID_RANDOM];
    struct object *object;
    KS_TRY(engine_random(ctx->engine, random, sizeof(random)));
    KS_TRY(new_object(ctx, draft, &object));
    if (uid.len == sizeof(object->uid) - 1)
        memcpy(object->uid, uid.data, uid.len);
    else
        ks_uuid7(&ctx->engine->uuid, ctx->now_us / 1000, random, object->uid);
    if (objects_full(&ctx->engine->objects)) {
        free(object);
        return engine_fail(ctx, COND_SERVER_LIMIT,
                           "the server holds as many objects as its memory for them allows; an administrator may raise "
                           "limits { object_memory_bytes }");
    }
    object->owner = owner;
    draft->version = 1;
    if (ctx->client != NULL && ctx->client->ticket != NULL &&
        !ticket_allows_object(ctx->client->ticket, ctx->client->doing, NULL, draft)) {
        free(object);
        return engine_fail(ctx, COND_NOT_DELEGATED, "the rights of the ticket do not reach objects that are made");
    }
    int rc = user_mark(ctx, draft);
    if (rc == 0)
        rc = rules_check(ctx, draft);
    if (rc == 0)
        rc = put(ctx, object, draft);
    if (rc != 0) {
        free(object);
        return rc;
    }
    *ret = object;
    return 0;
}

/* Whatever led to the object, links for instance: what a ticket does not reach stays as it is. */
static int
check_reach(struct ctx *ctx, const struct object *object)
{
    if (policy_ticket_allows(ctx->client, object))
        return 0;
    return engine_fail(ctx, COND_NOT_DELEGATED,
                       "this would change another object too, and the rights of the ticket do not reach that");
}

int
tx_put(struct ctx *ctx, struct object *object, struct rev *draft, bool touch)
{
    KS_TRY(check_reach(ctx, object));
    draft->version = object->rev->version + 1;
    if (touch)
        core_set(&draft->core, CORE_LAST_CHANGE_DATE, ctx->now);
    if (!draft->new_material && draft->material.len != 0 && !row_binding_same(&draft->core, &object->rev->core)) {
        KS_TRY(row_material(ctx, object, &draft->material));
        draft->new_material = true;
    }
    return put(ctx, object, draft);
}

int
tx_delete(struct ctx *ctx, struct object *object)
{
    struct tx_entry *entry = CTX_NEW(ctx, struct tx_entry);
    struct store_change change = {.table = STORE_OBJECT, .is_delete = true};
    KS_TRY(check_reach(ctx, object));
    if (entry == NULL)
        return KS_E_NOMEM;
    if (object->of_session) {
        *entry = (struct tx_entry){ctx->tx.newest, object, object->rev, NULL, true};
        p11_object_set(&ctx->engine->pkcs11, object, NULL);
        ctx->used = NULL;
        ctx->tx.newest = entry;
        ctx->tx.n++;
        return 0;
    }
    KS_TRY(ks_arena_span(ctx->arena, object_uid(object), &change.key));
    ctx->tx.n_entries += index_need(object->rev);
    KS_TRY(objects_reserve(&ctx->engine->objects, 2 * (ctx->tx.n + 1), ctx->tx.n_entries));
    KS_TRY(add_change(ctx, &change));
    *entry = (struct tx_entry){ctx->tx.newest, object, object->rev, NULL, true};
    objects_remove(&ctx->engine->objects, object);
    ctx->used = NULL;
    ctx->tx.newest = entry;
    ctx->tx.n++;
    return 0;
}

static void
take_back(struct engine *engine, const struct tx_entry *entry)
{
    if (entry->object->of_session) {
        p11_object_set(&engine->pkcs11, entry->object, entry->before);
        return;
    }
    if (entry->after == NULL)
        objects_add(&engine->objects, entry->object); /* as the newest one, until the next start */
    if (entry->before != NULL)
        objects_set(&engine->objects, entry->object, entry->before);
    else
        objects_remove(&engine->objects, entry->object);
}

void
tx_rollback(struct ctx *ctx, const struct tx *mark)
{
    struct tx *tx = &ctx->tx;
    for (; tx->n_hooks > mark->n_hooks; tx->n_hooks--) {
        struct tx_hook *hook = tx->newest_hook;
        tx->newest_hook = hook->older;
        hook->undo(ctx->engine, hook->arg);
    }
    if (tx->touches > mark->touches)
        streams_rollback(ctx->engine, mark->touches);
    tx->touches = mark->touches;
    while (tx->n > mark->n) {
        struct tx_entry *entry = tx->newest;
        take_back(ctx->engine, entry);
        tx->newest = entry->older;
        tx->n--;
        entry->older = tx->dead;
        tx->dead = entry;
    }
    tx->n_changes = mark->n_changes;
    tx->last_change = &tx->first_change;
    for (size_t i = 0; i < tx->n_changes; i++)
        tx->last_change = &(*tx->last_change)->next;
    *tx->last_change = NULL;
}

struct record *
tx_record(struct ctx *ctx)
{
    struct record *record = CTX_NEW(ctx, struct record);
    if (record == NULL)
        return NULL;
    record->event.batch_item = -1;
    if (ctx->tx.last_record == NULL)
        ctx->tx.last_record = &ctx->tx.first_record;
    *ctx->tx.last_record = record;
    ctx->tx.last_record = &record->next;
    ctx->tx.n_records++;
    return record;
}

struct record *
tx_records_since(const struct ctx *ctx, const struct tx *mark)
{
    struct record *r = ctx->tx.first_record;
    for (size_t i = 0; i < mark->n_records && r != NULL; i++)
        r = r->next;
    return r;
}

void
tx_forget_records(struct ctx *ctx, const struct tx *mark)
{
    struct tx *tx = &ctx->tx;
    if (tx->n_records <= mark->n_records)
        return;
    tx->n_records = mark->n_records;
    tx->last_record = &tx->first_record;
    for (size_t i = 0; i < tx->n_records; i++)
        tx->last_record = &(*tx->last_record)->next;
    *tx->last_record = NULL;
}

void
tx_undone_records(struct ctx *ctx, const struct tx *mark)
{
    for (struct record *r = tx_records_since(ctx, mark); r != NULL; r = r->next)
        if (r->event.batch_item >= 0 && r->event.status != NULL && r->event.reason == NULL) {
            r->event.status = "undone";
            r->event.state_after = NULL;
            r->event.form = NULL;
        }
}

static int
finish_records(struct ctx *ctx)
{
    struct engine_reply *reply = ctx->reply;
    const size_t n = ctx->tx.n_records;
    size_t *ends = ks_arena_array(ctx->arena, n, sizeof(*ends));
    struct ks_span *records = ks_arena_array(ctx->arena, n, sizeof(*records));
    if (ends == NULL || records == NULL)
        return KS_E_NOMEM;
    size_t i = 0;
    for (const struct record *r = ctx->tx.first_record; r != NULL; r = r->next) {
        KS_TRY(audit_event_format(&r->event, &reply->audit));
        ends[i++] = reply->audit.len;
    }
    for (i = 0; i < n; i++) {
        const size_t from = i == 0 ? 0 : ends[i - 1];
        records[i] = KS_SPAN(reply->audit.data + from, ends[i] - from);
    }
    reply->job.records = records;
    reply->job.n_records = n;
    return 0;
}

static void
bury(struct ctx *ctx)
{
    for (struct tx_entry *entry = ctx->tx.dead; entry != NULL; entry = entry->older) {
        rev_free(entry->after);
        if (entry->before == NULL)
            free(entry->object);
    }
    ctx->tx.dead = NULL;
    p11_objects_bury(&ctx->engine->pkcs11);
}

/* What was replaced goes; of an object that was deleted, the object as well. */
static void
finish_entry(struct tx_entry *entry)
{
    rev_free(entry->before);
    if (entry->after == NULL)
        free(entry->object);
}

int
tx_finish(struct ctx *ctx)
{
    struct tx *tx = &ctx->tx;
    KS_TRY(outbox_collect(ctx));
    struct store_change *changes = ks_arena_array(ctx->arena, tx->n_changes, sizeof(*changes));
    if (changes == NULL)
        return KS_E_NOMEM;
    size_t n = 0;
    for (const struct change *c = tx->first_change; c != NULL && n < tx->n_changes; c = c->next)
        changes[n++] = c->c;
    KS_TRY(finish_records(ctx));
    ctx->reply->job.changes = changes;
    ctx->reply->job.n_changes = n;
    for (const struct tx_entry *entry = tx->newest; entry != NULL; entry = entry->older)
        if (entry->after != NULL && !entry->object->of_session)
            objects_pend(entry->object);
    /* Only then: an object that goes may have been changed before in the same request, by a date that has come. */
    for (struct tx_entry *entry = tx->newest; entry != NULL; entry = entry->older)
        finish_entry(entry);
    tx->newest = NULL;
    tx->n = 0;
    for (const struct tx_hook *hook = tx->newest_hook; hook != NULL; hook = hook->older)
        if (hook->done != NULL)
            hook->done(ctx->engine, hook->arg);
    tx->newest_hook = NULL;
    tx->n_hooks = 0;
    bury(ctx);
    return 0;
}

void
tx_abandon(struct ctx *ctx)
{
    const struct tx nothing = {0};
    tx_rollback(ctx, &nothing);
    bury(ctx);
}
