#include "server/engine/outbox.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "server/engine/attr.h"

#define LISTENER_PREFIX "listener/"
#define NOTICE_PREFIX "notice/"
enum { FORMAT = 1, NAME_MAX_LEN = 4096, PLAIN_MAX = 1 << 18 };

static void
notice_free(struct notice *notice)
{
    if (notice == NULL)
        return;
    free(notice->attrs);
    free(notice);
}

void
outbox_done(struct outbox *outbox)
{
    for (struct notice *n = outbox->first, *next; n != NULL; n = next) {
        next = n->next;
        notice_free(n);
    }
    const uint64_t next_id = outbox->next_id; /* no number is used twice: a result may still be on its way */
    *outbox = (struct outbox){.next_id = next_id};
}

static void
append(struct outbox *outbox, struct notice *notice)
{
    if (outbox->last == NULL)
        outbox->last = &outbox->first;
    *outbox->last = notice;
    outbox->last = &notice->next;
    notice->next = NULL;
    outbox->n++;
    if (notice->client->listener != NULL) /* else it is dropped when its turn comes */
        notice->client->listener->n_notices++;
}

static void
unlink_notice(struct outbox *outbox, struct notice *notice)
{
    struct notice **at = &outbox->first;
    while (*at != NULL && *at != notice)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = notice->next;
    if (notice->next == NULL)
        outbox->last = at;
    outbox->n--;
    for (size_t i = 0; i < ENGINE_NOTICES_MOST; i++)
        if (outbox->sending[i].id == notice->id)
            outbox->sending[i].id = 0;
    struct listener *listener = notice->client->listener;
    if (listener == NULL)
        return;
    listener->n_notices--;
    listener->full = listener->full && listener->n_notices != 0;
}

struct notice *
outbox_find(const struct outbox *outbox, uint64_t id)
{
    for (struct notice *n = outbox->first; n != NULL; n = n->next)
        if (n->id == id)
            return n;
    return NULL;
}

/* Rows */

static int
notice_key(const struct notice *notice, char ret[32])
{
    const int n = snprintf(ret, 32, NOTICE_PREFIX "%016llx", (unsigned long long)notice->id);
    return n > 0 && n < 32 ? 0 : KS_E_INTERNAL;
}

static int
notice_row(struct ctx *ctx, const struct notice *notice, struct store_change *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(PLAIN_MAX);
    char key[32];
    const struct ks_span name = ks_span_str(notice->client->name);
    ks_buf_add_u8(&plain, FORMAT);
    ks_buf_add_u8(&plain, notice->put);
    ks_buf_add(&plain, notice->uid, sizeof(notice->uid) - 1);
    ks_buf_add_be32(&plain, (uint32_t)name.len);
    ks_buf_add_span(&plain, name);
    KS_TRY(ks_buf_add(&plain, notice->attrs, notice->attrs_len));
    KS_TRY(notice_key(notice, key));
    return system_row(ctx->engine->keyring, ctx->arena, key, ks_buf_span(&plain), ret);
}

static int
notice_gone(struct ctx *ctx, const struct notice *notice)
{
    struct store_change change = {.table = STORE_SYSTEM, .is_delete = true};
    char key[32];
    KS_TRY(notice_key(notice, key));
    KS_TRY(ks_arena_span(ctx->arena, ks_span_str(key), &change.key));
    return tx_row(ctx, &change);
}

static int
load_notice(struct engine *engine, uint64_t id, struct ks_span plain)
{
    struct ks_cursor c = KS_CURSOR(plain);
    struct notice *notice = calloc(1, sizeof(*notice));
    if (notice == NULL)
        return KS_E_NOMEM;
    const uint8_t format = ks_cursor_u8(&c);
    notice->id = id;
    notice->put = ks_cursor_u8(&c) != 0;
    const struct ks_span uid = ks_cursor_take(&c, sizeof(notice->uid) - 1);
    const uint32_t len = ks_cursor_be32(&c);
    const struct ks_span name = ks_cursor_take(&c, len);
    const struct ks_span attrs = ks_cursor_take(&c, ks_cursor_left(&c));
    int rc = c.err != 0 ? c.err : format != FORMAT ? KS_E_UNSUPPORTED : 0;
    if (rc == 0) {
        memcpy(notice->uid, uid.data, uid.len);
        notice->client = clients_find(&engine->clients, name);
        notice->attrs = malloc(attrs.len + 1);
        rc = notice->attrs != NULL ? 0 : KS_E_NOMEM;
    }
    if (rc != 0 || notice->client == NULL) {
        notice_free(notice);
        return rc;
    }
    memcpy(notice->attrs, attrs.data != NULL ? attrs.data : (const uint8_t *)"", attrs.len);
    notice->attrs_len = attrs.len;
    if (id >= engine->outbox.next_id)
        engine->outbox.next_id = id + 1;
    append(&engine->outbox, notice);
    return 0;
}

static int
load_listener(struct engine *engine, struct ks_span name, struct ks_span plain)
{
    struct client *client = clients_find(&engine->clients, name);
    struct listener *listener = calloc(1, sizeof(*listener));
    struct ks_cursor c = KS_CURSOR(plain);
    if (listener == NULL)
        return KS_E_NOMEM;
    const uint8_t format = ks_cursor_u8(&c);
    listener->wants = ks_cursor_u8(&c);
    const int32_t major = ks_cursor_u8(&c), minor = ks_cursor_u8(&c);
    const struct ks_span address = ks_cursor_take(&c, ks_cursor_left(&c));
    int rc = c.err != 0                                 ? c.err
             : format != FORMAT                         ? KS_E_UNSUPPORTED
             : address.len >= sizeof(listener->address) ? KS_E_MALFORMED
                                                        : kmip_version_find(major, minor, &listener->version);
    if (rc != 0 || client == NULL || client->listener != NULL) {
        free(listener);
        return rc;
    }
    memcpy(listener->address, address.data != NULL ? address.data : (const uint8_t *)"", address.len);
    client->listener = listener;
    return 0;
}

static bool
starts(struct ks_span key, const char *prefix, struct ks_span *ret_rest)
{
    const size_t len = strlen(prefix);
    if (key.len < len || memcmp(key.data, prefix, len) != 0)
        return false;
    *ret_rest = KS_SPAN(key.data + len, key.len - len);
    return true;
}

int
outbox_load(struct engine *engine, struct ks_span key, struct ks_span value, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(PLAIN_MAX);
    struct ks_span rest;
    KS_CLEANUP(ks_buf_done) struct ks_buf id = KS_BUF(64);
    const bool is_listener = starts(key, LISTENER_PREFIX, &rest);
    if (!is_listener && !starts(key, NOTICE_PREFIX, &rest))
        return 0;
    int rc = system_row_open(engine->keyring, key, value, &plain);
    if (rc == 0 && !is_listener)
        rc = ks_hex_decode(rest, &id);
    if (rc == 0 && !is_listener && id.len != sizeof(uint64_t))
        rc = KS_E_MALFORMED;
    if (rc == 0)
        rc = is_listener ? load_listener(engine, rest, ks_buf_span(&plain))
                         : load_notice(engine, ks_be64(id.data), ks_buf_span(&plain));
    if (rc == 0 || rc == KS_E_NOMEM)
        return rc;
    return ks_fail(diag, KS_E_CORRUPT,
                   "system row %.*s of the store is damaged or was changed (%s); restore the store from a backup",
                   (int)(key.len & 127), (const char *)key.data, ks_err_text(rc));
}

/* Listeners */

struct listen_change {
    struct client *client;
    struct listener *listener; /* in force from the end of the request on; NULL: none */
};

static void
listen_undo(struct engine *engine, void *arg)
{
    struct listen_change *change = arg;
    (void)engine;
    free(change->listener);
}

static void
listen_done(struct engine *engine, void *arg)
{
    struct listen_change *change = arg;
    (void)engine;
    if (change->listener != NULL && change->client->listener != NULL)
        change->listener->n_notices = change->client->listener->n_notices;
    free(change->client->listener);
    change->client->listener = change->listener;
}

int
outbox_listen(struct ctx *ctx, struct client *client, const struct listener *listener)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf plain = KS_BUF(256);
    KS_CLEANUP(ks_buf_done) struct ks_buf key = KS_BUF(256);
    struct store_change change = {.table = STORE_SYSTEM, .is_delete = true};
    struct listen_change *to = CTX_NEW(ctx, struct listen_change);
    ks_buf_add_str(&key, LISTENER_PREFIX);
    ks_buf_add_str(&key, client->name);
    KS_TRY(ks_buf_add_u8(&key, 0));
    if (to == NULL)
        return KS_E_NOMEM;
    if (listener == NULL) {
        if (client->listener == NULL)
            return 0;
        KS_TRY(ks_arena_span(ctx->arena, KS_SPAN(key.data, key.len - 1), &change.key));
    } else {
        const struct kmip_version_number v = kmip_version_number(listener->version);
        ks_buf_add_u8(&plain, FORMAT);
        ks_buf_add_u8(&plain, listener->wants);
        ks_buf_add_u8(&plain, (uint8_t)v.major);
        ks_buf_add_u8(&plain, (uint8_t)v.minor);
        KS_TRY(ks_buf_add_str(&plain, listener->address));
        KS_TRY(system_row(ctx->engine->keyring, ctx->arena, (const char *)key.data, ks_buf_span(&plain), &change));
    }
    if (listener == NULL) /* what waits for it goes with it */
        for (struct notice *n = ctx->engine->outbox.first; n != NULL; n = n->next)
            if (n->client == client)
                KS_TRY(outbox_remove(ctx, n));
    KS_TRY(tx_row(ctx, &change));
    to->client = client;
    if (listener != NULL) {
        to->listener = malloc(sizeof(*listener));
        if (to->listener == NULL)
            return KS_E_NOMEM;
        *to->listener = *listener;
    }
    const int rc = tx_hook(ctx, listen_undo, listen_done, to);
    if (rc != 0)
        free(to->listener);
    return rc;
}

/* What changed */

static bool
is_listed(const struct kmip_attr_refs *refs, uint32_t tag, struct ks_span vendor, struct ks_span name)
{
    for (size_t i = 0; i < refs->n; i++)
        if (attr_same(&(struct kmip_attr){.tag = refs->v[i].tag, .vendor = refs->v[i].vendor, .name = refs->v[i].name},
                      tag, vendor, name))
            return true;
    return false;
}

/* Too many: the least that a Notify says is Last Change Date, which has a place of its own. */
static void
list(struct kmip_attr_refs *refs, uint32_t tag, struct ks_span vendor, struct ks_span name)
{
    if (refs->n < OUTBOX_ATTRS_MOST && !is_listed(refs, tag, vendor, name))
        refs->v[refs->n++] = (struct kmip_attr_ref){.tag = tag, .vendor = vendor, .name = name, .index = -1};
}

static bool
has_value(const struct rev *rev, const struct kmip_attr *like)
{
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL; a = a->next)
        if (a->value != NULL && attr_same(a, like->tag, like->vendor, like->name) && a->index == like->index &&
            kmip_item_equal(a->value, like->value))
            return true;
    return false;
}

static void
compare_lists(const struct rev *a, const struct rev *b, struct kmip_attr_refs *refs)
{
    for (const struct kmip_attr *at = a->attrs.first; at != NULL; at = at->next)
        if (at->value != NULL && !has_value(b, at))
            list(refs, at->tag, at->vendor, at->name);
}

static uint32_t
tag_of(unsigned id)
{
    return id == CORE_USAGE_TOTAL || id == CORE_USAGE_COUNT || id == CORE_USAGE_UNIT ? KMIP_TAG_USAGE_LIMITS
                                                                                     : core_rows[id].tag;
}

static void
compare(const struct rev *before, const struct rev *after, struct kmip_attr_refs *refs)
{
    for (unsigned id = 0; id < CORE_COUNT; id++) {
        const bool had = core_has(&before->core, (enum core_id)id), has = core_has(&after->core, (enum core_id)id);
        const uint32_t tag = tag_of(id);
        if ((had != has || (has && before->core.v[id] != after->core.v[id])) &&
            ((core_rows[id].flags & CORE_HIDDEN) == 0 || tag == KMIP_TAG_USAGE_LIMITS))
            list(refs, tag, KS_SPAN_NONE, KS_SPAN_NONE);
    }
    compare_lists(before, after, refs);
    compare_lists(after, before, refs);
}

static int
pack(const struct kmip_attr_refs *refs, struct notice *notice)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(PLAIN_MAX / 2);
    for (size_t i = 0; i < refs->n; i++) {
        if (refs->v[i].vendor.len > NAME_MAX_LEN || refs->v[i].name.len > NAME_MAX_LEN)
            continue;
        const size_t mark = buf.len;
        ks_buf_add_be32(&buf, refs->v[i].tag);
        ks_buf_add_be32(&buf, (uint32_t)refs->v[i].vendor.len);
        ks_buf_add_span(&buf, refs->v[i].vendor);
        ks_buf_add_be32(&buf, (uint32_t)refs->v[i].name.len);
        if (ks_buf_add_span(&buf, refs->v[i].name) == KS_E_LIMIT) {
            buf.err = 0; /* as many as fit */
            buf.len = mark;
            break;
        }
        KS_TRY(buf.err);
    }
    notice->attrs = malloc(buf.len + 1);
    if (notice->attrs == NULL)
        return KS_E_NOMEM;
    if (buf.len != 0)
        memcpy(notice->attrs, buf.data, buf.len);
    notice->attrs_len = buf.len;
    return 0;
}

int
outbox_attrs(struct ks_arena *arena, const struct notice *notice, struct kmip_attr_refs *ret)
{
    struct kmip_attr_refs refs = {.v = ks_arena_array(arena, OUTBOX_ATTRS_MOST, sizeof(*refs.v))};
    struct ks_cursor c = KS_CURSOR(KS_SPAN(notice->attrs, notice->attrs_len));
    if (refs.v == NULL)
        return KS_E_NOMEM;
    while (ks_cursor_left(&c) != 0 && refs.n < OUTBOX_ATTRS_MOST) {
        struct kmip_attr_ref ref = {.tag = ks_cursor_be32(&c), .index = -1};
        uint32_t len = ks_cursor_be32(&c);
        ref.vendor = ks_cursor_take(&c, len);
        len = ks_cursor_be32(&c);
        ref.name = ks_cursor_take(&c, len);
        KS_TRY(c.err);
        refs.v[refs.n++] = ref;
    }
    *ret = refs;
    return 0;
}

/* Into the outbox */

struct outbox_change {
    struct notice *made, *gone; /* either may be NULL */
};

static void
change_undo(struct engine *engine, void *arg)
{
    struct outbox_change *change = arg;
    (void)engine;
    notice_free(change->made);
}

static void
change_done(struct engine *engine, void *arg)
{
    struct outbox_change *change = arg;
    if (change->gone != NULL) {
        unlink_notice(&engine->outbox, change->gone);
        notice_free(change->gone);
    }
    if (change->made != NULL)
        append(&engine->outbox, change->made);
}

int
outbox_remove(struct ctx *ctx, struct notice *notice)
{
    struct outbox_change *change = CTX_NEW(ctx, struct outbox_change);
    if (change == NULL)
        return KS_E_NOMEM;
    change->gone = notice;
    KS_TRY(notice_gone(ctx, notice));
    return tx_hook(ctx, change_undo, change_done, change);
}

/* What waits already about the object, and is not under way. */
static struct notice *
waiting(const struct outbox *outbox, const struct object *object)
{
    for (struct notice *n = outbox->first; n != NULL; n = n->next)
        if (n->client == object->owner && !n->sending && strcmp(n->uid, object->uid) == 0)
            return n;
    return NULL;
}

/* Once, until there is room again. */
static int
say_full(struct ctx *ctx, struct client *client)
{
    if (client->listener->full)
        return 0;
    struct record *record = tx_record(ctx);
    if (record == NULL)
        return KS_E_NOMEM;
    record->event.event = KS_LIT("notice");
    record->event.role = "system";
    record->event.client = ks_span_str(client->name);
    record->event.status = "failed";
    record->event.message = KS_LIT("too much waits for this listener already: changes are not told until it has taken "
                                   "what waits");
    client->listener->full = true;
    return 0;
}

/* Instead of what waits (may be NULL). */
static int
add(struct ctx *ctx, struct object *object, bool put, const struct kmip_attr_refs *refs, struct notice *old)
{
    struct outbox_change *change = CTX_NEW(ctx, struct outbox_change);
    struct notice *notice = calloc(1, sizeof(*notice));
    struct store_change row;
    int rc = change != NULL && notice != NULL ? 0 : KS_E_NOMEM;
    if (rc == 0) {
        if (ctx->engine->outbox.next_id == 0)
            ctx->engine->outbox.next_id = 1;
        notice->id = ctx->engine->outbox.next_id++;
        notice->client = object->owner;
        notice->put = put;
        notice->tries = old != NULL ? old->tries : 0;
        memcpy(notice->uid, object->uid, sizeof(notice->uid));
        rc = pack(refs, notice);
    }
    if (rc == 0)
        rc = notice_row(ctx, notice, &row);
    if (rc == 0)
        rc = tx_row(ctx, &row);
    if (rc == 0 && old != NULL)
        rc = notice_gone(ctx, old);
    if (rc == 0) {
        *change = (struct outbox_change){.made = notice, .gone = old};
        rc = tx_hook(ctx, change_undo, change_done, change);
    }
    if (rc != 0)
        notice_free(notice);
    return rc;
}

static int
changed(struct ctx *ctx, struct object *object, const struct rev *before, const struct rev *after, size_t *n_added)
{
    const struct outbox *outbox = &ctx->engine->outbox;
    const struct listener *listener = object->owner->listener;
    const bool put = before == NULL;
    struct kmip_attr_refs refs = {.v = ks_arena_array(ctx->arena, OUTBOX_ATTRS_MOST, sizeof(*refs.v))};
    if (refs.v == NULL)
        return KS_E_NOMEM;
    if ((listener->wants & (put ? LISTENER_PUT : LISTENER_NOTIFY)) == 0)
        return 0;
    if (!put)
        compare(before, after, &refs);
    if (!put && refs.n == 0)
        return 0;
    struct notice *old = put ? NULL : waiting(outbox, object);
    if (old != NULL && old->put)
        return 0; /* it will say what the object is then */
    if (old != NULL) {
        struct kmip_attr_refs earlier;
        KS_TRY(outbox_attrs(ctx->arena, old, &earlier));
        for (size_t i = 0; i < earlier.n; i++)
            list(&refs, earlier.v[i].tag, earlier.v[i].vendor, earlier.v[i].name);
    }
    if (old == NULL && (outbox->n + *n_added >= OUTBOX_MOST || listener->n_notices + *n_added >= OUTBOX_CLIENT_MOST))
        return say_full(ctx, object->owner);
    *n_added += old == NULL;
    return add(ctx, object, put, &refs, old);
}

/* Whether a newer entry is about the same object. */
static bool
is_overtaken(const struct tx *tx, const struct tx_entry *entry)
{
    for (const struct tx_entry *e = tx->newest; e != entry; e = e->older)
        if (e->object == entry->object)
            return true;
    return false;
}

/* Nothing waits for an address that the configuration cannot have. */
static bool
is_served(const struct engine *engine, const struct listener *listener)
{
    return engine->config.n_listeners != 0 || listener->address[0] == '\0';
}

int
outbox_collect(struct ctx *ctx)
{
    size_t n_added = 0;
    if (ctx->quiet)
        return 0;
    for (const struct tx_entry *entry = ctx->tx.newest; entry != NULL; entry = entry->older) {
        const struct client *owner = entry->object->owner;
        if (owner->listener == NULL || !is_served(ctx->engine, owner->listener) || owner->revoked ||
            entry->after == NULL || entry->object->of_session || is_overtaken(&ctx->tx, entry))
            continue;
        const struct rev *before = entry->before;
        bool own = entry->own;
        for (const struct tx_entry *e = entry->older; e != NULL; e = e->older)
            if (e->object == entry->object) {
                before = e->before;
                own = own && e->own;
            }
        if (!own || (owner->listener->wants & LISTENER_OWN) != 0)
            KS_TRY(changed(ctx, entry->object, before, entry->after, &n_added));
    }
    return 0;
}
