/* The engine's life: new, sealed, loaded, freed; and work that is prepared outside of its thread. */
#include <stdlib.h>

#include "base/text.h"
#include "crypto/keygen.h"
#include "server/engine/async.h"
#include "server/engine/message.h"
#include "server/engine/outbox.h"
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
    rotation_done(&engine->rotation);
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
    engine_trust(engine, NULL, NULL);
    free(engine->node);
    free(engine);
}

void
engine_trust(struct engine *engine, struct ks_trust *validate, struct ks_trust *authorities)
{
    ks_trust_free(engine->trust);
    ks_trust_free(engine->authorities);
    engine->trust = validate;
    engine->authorities = authorities;
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
