/* The engine's life: new, sealed, loaded, freed; and work that is prepared outside of its thread. */
#include <stdlib.h>

#include "base/text.h"
#include "crypto/keygen.h"
#include "server/engine/async.h"
#include "server/engine/message.h"
#include "server/engine/outbox.h"
#include "server/engine/prepared.h"
#include "server/engine/rules.h"

static int64_t
system_now(void *arg)
{
    (void)arg;
    return ks_clock_us();
}

static int
system_random(void *arg, void *ret, size_t len)
{
    (void)arg;
    return ks_random(ret, len);
}

int
engine_random(struct engine *engine, void *ret, size_t len)
{
    return engine->env.random(engine->env.arg, ret, len);
}

static void
set_defaults(struct engine *engine)
{
    struct engine_config *c = &engine->config;
    if (engine->env.now_us == NULL)
        engine->env.now_us = system_now;
    if (engine->env.random == NULL)
        engine->env.random = system_random;
    if (c->max_response == 0)
        c->max_response = 1 << 20;
    if (c->default_lease_s == 0)
        c->default_lease_s = 3600;
    if (c->batch_us == 0)
        c->batch_us = 1000000;
    if (c->search_most == 0)
        c->search_most = 1 << 20;
    if (c->token_s == 0)
        c->token_s = 3600;
    if (c->certificate_s == 0)
        c->certificate_s = INT64_C(365) * 86400;
}

int
engine_new(const struct engine_env *env, const struct engine_config *config, struct engine **ret)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL)
        return KS_E_NOMEM;
    if (env != NULL)
        engine->env = *env;
    engine->config = *config;
    set_defaults(engine);
    engine->node = strndup(config->node.data != NULL ? (const char *)config->node.data : "", config->node.len);
    uint8_t boot[4];
    int rc = engine->node != NULL ? engine_random(engine, boot, sizeof(boot)) : KS_E_NOMEM;
    if (rc != 0) {
        engine_free(engine);
        return rc;
    }
    engine->boot = ks_be32(boot);
    engine->started_us = engine->last_us = engine->env.now_us(engine->env.arg);
    *ret = engine;
    return 0;
}

void
engine_seal(struct engine *engine)
{
    streams_clear(&engine->streams); /* they point to clients */
    pkcs11_clear(&engine->pkcs11);
    parsed_clear(&engine->parsed);
    objects_done(&engine->objects);
    async_done(&engine->async);
    clients_done(&engine->clients);
    tickets_done(&engine->tickets);
    rules_done(&engine->rules);
    outbox_done(&engine->outbox);
    engine->keyring = NULL;
    engine->store = NULL;
}

bool
engine_sealed(const struct engine *engine)
{
    return engine->keyring == NULL;
}

void
engine_free(struct engine *engine)
{
    if (engine == NULL)
        return;
    engine_seal(engine);
    free(engine->node);
    free(engine);
}

/* Loading */

struct loading {
    struct engine *engine;
    struct owners owners;
    struct ks_diag *diag;
};

static int
load_system(void *arg, struct ks_span key, struct ks_span value)
{
    struct loading *l = arg;
    KS_TRY(clients_load(&l->engine->clients, l->engine->keyring, key, value, l->diag));
    KS_TRY(rules_load(l->engine, key, value, l->diag));
    KS_TRY(outbox_load(l->engine, key, value, l->diag)); /* after "client/", too: "listener/", "notice/" */
    return async_load(l->engine, key, value, l->diag);   /* "client/" comes before "request/" */
}

static int
load_object(void *arg, struct ks_span key, struct ks_span value)
{
    struct loading *l = arg;
    return row_load(l->engine, &l->owners, key, value, l->diag);
}

static int
set_up_objects(struct engine *engine)
{
    uint8_t key[2 * KS_SIPHASH_KEY];
    KS_TRY(engine_random(engine, key, sizeof(key)));
    const int rc = objects_init(&engine->objects, key);
    ks_wipe(key, sizeof(key));
    KS_TRY(rc);
    engine->objects.load = row_reload;
    engine->objects.peek = row_peek;
    engine->objects.arg = engine;
    engine->objects.limit = engine->config.object_memory;
    return 0;
}

void
engine_committed(struct engine *engine, const struct engine_reply *reply)
{
    if (engine_sealed(engine))
        return;
    for (size_t i = 0; i < reply->job.n_changes; i++)
        if (reply->job.changes[i].table == STORE_OBJECT)
            objects_committed(&engine->objects, reply->job.changes[i].key);
}

int
engine_load(struct engine *engine, struct keyring *keyring, struct store *store, struct ks_diag *diag)
{
    struct loading l = {.engine = engine, .diag = diag};
    engine_seal(engine);
    int rc = set_up_objects(engine);
    if (rc == 0)
        rc = clients_init(&engine->clients);
    engine->keyring = keyring;
    engine->store = store;
    if (rc == 0)
        rc = store_scan(store, STORE_SYSTEM, load_system, &l, diag);
    if (rc == 0)
        rc = owners_init(&l.owners, &engine->clients, engine->objects.key);
    if (rc == 0)
        rc = store_scan(store, STORE_OBJECT, load_object, &l, diag);
    free(l.owners.slots);
    if (rc == 0)
        return 0;
    engine_seal(engine);
    return ks_fail(diag, rc, "the store can not be loaded: %s", ks_err_text(rc));
}

/* Preparing */

/* An Operation item of TTLV that says Create Key Pair. */
static const uint8_t slow_operation[] = {0x42, 0x00, 0x5C, 0x05, 0, 0, 0, 4, 0, 0, 0, KMIP_OPERATION_CREATE_KEY_PAIR};

/* Whether the header has an Asynchronous Indicator that allows an answer later: then the key is made later too. */
static bool
can_wait(struct ks_span request)
{
    struct ks_cursor c = KS_CURSOR(request);
    ks_cursor_take(&c, 8); /* Request Message */
    const uint32_t header = ks_cursor_be32(&c), length = ks_cursor_be32(&c);
    const struct ks_span body = ks_cursor_take(&c, length);
    if (c.err != 0 || header >> 8 != KMIP_TAG_REQUEST_HEADER)
        return false;
    for (c = KS_CURSOR(body); ks_cursor_left(&c) >= 16;) {
        const uint32_t tag = ks_cursor_be32(&c), len = ks_cursor_be32(&c);
        const struct ks_span value = ks_cursor_take(&c, len + (-len & 7U));
        if (c.err != 0)
            return false;
        if (tag >> 8 != KMIP_TAG_ASYNCHRONOUS_INDICATOR || value.len < 8)
            continue;
        return (tag & 0xff) == KMIP_TYPE_BOOLEAN ? value.data[7] != 0
                                                 : ks_be32(value.data) != KMIP_ASYNCHRONOUS_INDICATOR_PROHIBITED;
    }
    return false;
}

bool
engine_is_slow(struct ks_span request)
{
    return request.len != 0 && memmem(request.data, request.len, slow_operation, sizeof(slow_operation)) != NULL &&
           !can_wait(request);
}

static int64_t
number_in(const struct kmip_attrs *attrs, uint32_t tag)
{
    const enum core_id id = core_find(tag);
    int64_t v = 0;
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        if (a->tag == tag && core_from_item(id, a->value, &v) == 0)
            return v;
    return 0;
}

/* The length of the RSA key that the item wants to be made, 0 for the default; negative: it wants none. */
static int64_t
slow_bits(const struct kmip_request_batch_item *item)
{
    if (item->operation != KMIP_OPERATION_CREATE_KEY_PAIR || item->payload == NULL)
        return -1;
    const struct kmip_create_key_pair_request *r = item->payload;
    const struct kmip_attrs *const places[] = {&r->common_attributes, &r->private_attributes, &r->public_attributes};
    int64_t algorithm = 0, bits = 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(places); i++) {
        if (algorithm == 0)
            algorithm = number_in(places[i], KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM);
        if (bits == 0)
            bits = number_in(places[i], KMIP_TAG_CRYPTOGRAPHIC_LENGTH);
    }
    return algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA ? bits : -1;
}

bool
engine_item_is_slow(const struct kmip_request_batch_item *item)
{
    return slow_bits(item) >= 0;
}

static void
prepare_key(uint32_t bits, struct engine_prepared *prepared)
{
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, .bits = bits};
    struct ks_pkey *key;
    if (prepared->n < PREPARED_MOST && ks_keygen_pair(&params, &key, NULL) == 0)
        prepared->v[prepared->n++] = (struct prepared_key){bits, key};
}

/* A key for the item if it wants one that takes long; the handler compares before it takes it. */
static void
prepare_item(const struct kmip_request_batch_item *item, struct engine_prepared *prepared)
{
    const int64_t bits = slow_bits(item);
    if (bits >= 0)
        prepare_key((uint32_t)bits, prepared);
}

/* The pair that an item is to replace: how long its RSA keys are; 0: it names none. */
static uint32_t
replaced_bits(struct engine *engine, const struct kmip_request_batch_item *item)
{
    if (item->operation != KMIP_OPERATION_RE_KEY_KEY_PAIR || item->payload == NULL)
        return 0;
    const struct kmip_re_key_key_pair_request *r = item->payload;
    const struct object *object = r->private_key_unique_identifier.type == KMIP_TYPE_TEXT_STRING
                                      ? objects_find(&engine->objects, r->private_key_unique_identifier.text)
                                      : NULL;
    if (object == NULL || object->rev == NULL ||
        core_get(&object->rev->core, CORE_ALGORITHM) != KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA)
        return 0;
    return (uint32_t)core_get(&object->rev->core, CORE_LENGTH);
}

void
engine_wanted(struct engine *engine, struct ks_span request, struct engine_wanted *ret)
{
    static const uint8_t operation[] = {0x42, 0x00, 0x5C, 0x05, 0, 0, 0, 4, 0, 0, 0, KMIP_OPERATION_RE_KEY_KEY_PAIR};
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(16 << 20);
    struct kmip_request_message *message = NULL;
    ret->n = 0;
    if (request.len == 0 || memmem(request.data, request.len, operation, sizeof(operation)) == NULL ||
        can_wait(request) || kmip_request_decode(request, &kmip_limits_default, &arena, &message, NULL) != 0)
        return;
    for (size_t i = 0; i < message->n_batch_item && ret->n < ENGINE_WANTED_MOST; i++) {
        const uint32_t bits = replaced_bits(engine, message->batch_item[i]);
        if (bits != 0)
            ret->bits[ret->n++] = bits;
    }
}

struct engine_prepared *
engine_prepare(struct ks_span request)
{
    const struct engine_wanted none = {.n = 0};
    return engine_prepare_wanted(request, &none);
}

struct engine_prepared *
engine_prepare_wanted(struct ks_span request, const struct engine_wanted *wanted)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(16 << 20);
    struct kmip_request_message *message = NULL;
    if (kmip_request_decode(request, &kmip_limits_default, &arena, &message, NULL) != 0)
        return NULL;
    struct engine_prepared *prepared = calloc(1, sizeof(*prepared));
    for (size_t i = 0; prepared != NULL && i < message->n_batch_item; i++)
        prepare_item(message->batch_item[i], prepared);
    for (size_t i = 0; prepared != NULL && i < wanted->n; i++)
        prepare_key(wanted->bits[i], prepared);
    if (prepared != NULL && prepared->n == 0) {
        free(prepared);
        return NULL;
    }
    return prepared;
}

void
engine_prepared_free(struct engine_prepared *prepared)
{
    if (prepared == NULL)
        return;
    for (size_t i = 0; i < prepared->n; i++)
        ks_pkey_free(prepared->v[i].key);
    free(prepared);
}

/* Bootstrap */

int
engine_bootstrap(struct keyring *keyring, const struct engine_client *admin, struct ks_span ca_cert_der,
                 struct ks_span ca_key_der, struct engine_reply *reply, struct ks_diag *diag)
{
    engine_reply_reset(reply);
    struct store_change *changes = ks_arena_array(&reply->arena, 2, sizeof(*changes));
    if (changes == NULL)
        return ks_fail(diag, KS_E_NOMEM, "out of memory");
    if (!client_name_valid(admin->name))
        return ks_fail(diag, KS_E_INVALID, "%.*s: not a name for a client: 1 to %d letters, digits and -_.@",
                       (int)(admin->name.len & 127), (const char *)admin->name.data, CLIENT_NAME_MAX);
    int rc = client_row(keyring, &reply->arena, admin, false, &changes[0]);
    if (rc == 0)
        rc = ca_row(keyring, &reply->arena, ca_cert_der, ca_key_der, &changes[1]);
    const struct audit_event event = {
        .event = KS_LIT("client-registered"),
        .role = "system",
        .batch_item = -1,
        .name = admin->name,
        .status = "success",
        .message = KS_LIT("the instance was made, with its first administrator"),
    };
    if (rc == 0)
        rc = audit_event_format(&event, &reply->audit);
    struct ks_span *record = ks_arena_alloc(&reply->arena, sizeof(*record));
    if (rc == 0 && record == NULL)
        rc = KS_E_NOMEM;
    if (rc != 0)
        return ks_fail(diag, rc, "the first administrator can not be registered: %s", ks_err_text(rc));
    *record = ks_buf_span(&reply->audit);
    reply->job = (struct commit_job){.changes = changes, .n_changes = 2, .records = record, .n_records = 1};
    return 0;
}
