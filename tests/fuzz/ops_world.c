#include "ops_world.h"

#include <unistd.h>

#include "crypto/keyformat.h"
#include "ops_faults.h"
#include "server/engine/ctx.h"

/* ---- The store as it was ---- */

struct row {
    enum store_table table;
    struct ks_span key, value;
};
enum { ROWS_MOST = 4096 };
static struct rows {
    struct ks_arena arena;
    enum store_table table; /* being read */
    struct row v[ROWS_MOST];
    size_t n;
} made, now;

static int
take_row(void *arg, struct ks_span key, struct ks_span value)
{
    struct rows *rows = arg;
    struct row *row = &rows->v[rows->n++];
    FUZZ_ASSERT(rows->n < ROWS_MOST);
    row->table = rows->table;
    FUZZ_ASSERT(ks_arena_span(&rows->arena, key, &row->key) == 0);
    FUZZ_ASSERT(ks_arena_span(&rows->arena, value, &row->value) == 0);
    return 0;
}

static void
take_rows(struct world *world, struct rows *rows)
{
    static const enum store_table tables[] = {STORE_OBJECT, STORE_SYSTEM};
    ks_arena_done(&rows->arena);
    rows->arena = KS_ARENA(FUZZ_MEMORY);
    rows->n = 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(tables); i++) {
        rows->table = tables[i];
        FUZZ_ASSERT(store_scan(world->rig.store, tables[i], take_row, rows, NULL) == 0);
    }
}

static const struct row *
row_of(const struct rows *rows, const struct row *like)
{
    for (size_t i = 0; i < rows->n; i++)
        if (rows->v[i].table == like->table && ks_span_equal(rows->v[i].key, like->key))
            return &rows->v[i];
    return NULL;
}

static void
restore(struct world *world)
{
    static struct store_change changes[2 * ROWS_MOST];
    size_t n = 0;
    take_rows(world, &now);
    for (size_t i = 0; i < now.n; i++)
        if (row_of(&made, &now.v[i]) == NULL)
            changes[n++] = (struct store_change){.table = now.v[i].table, .is_delete = true, .key = now.v[i].key};
    for (size_t i = 0; i < made.n; i++) {
        const struct row *is = row_of(&now, &made.v[i]);
        if (is == NULL || !ks_span_equal(is->value, made.v[i].value))
            changes[n++] =
                (struct store_change){.table = made.v[i].table, .key = made.v[i].key, .value = made.v[i].value};
    }
    if (n != 0)
        FUZZ_ASSERT(store_commit(world->rig.store, changes, n, NULL) == 0);
}

/* ---- Commits ---- */

bool
world_commit(struct world *world, bool fail, bool wrote)
{
    struct rig *rig = &world->rig;
    struct ks_diag diag = {0};
    size_t n = 0, at = 0;
    for (size_t i = 0; i < world->n_queued; i++)
        n += world->queue[i].job.n_changes;
    struct store_change *changes = calloc(n + 1, sizeof(*changes));
    FUZZ_ASSERT(changes != NULL);
    for (size_t i = 0; i < world->n_queued; i++) {
        const struct commit_job *job = &world->queue[i].job;
        for (size_t k = 0; k < job->n_changes; k++)
            changes[at++] = job->changes[k];
    }
    int rc = n == 0 || (fail && !wrote) ? 0 : store_commit(rig->store, changes, n, &diag);
    free(changes);
    if (rc == 0 && !fail) {
        for (size_t i = 0; i < world->n_queued; i++)
            engine_committed(rig->engine, &world->queue[i]);
    } else {
        /* Whatever the engine has done since the last commit is not: what the store holds counts. */
        world->n_refused++;
        faults_disk(DISK_WELL, 0);
        engine_seal(rig->engine);
        if (rc != 0)
            rc = store_reopen(rig->store, &diag);
        FUZZ_ASSERT(rc == 0);
        rc = rig_reload(rig, &diag);
        if (rc != 0)
            fprintf(stderr, "%s\n", ks_diag_text(&diag));
        FUZZ_ASSERT(rc == 0);
        fail = true;
    }
    world->n_queued = 0;
    return !fail;
}

/* ---- What there is ---- */

/* One item that has to succeed; its payload, which lasts as long as the arena. */
static const void *
ask(struct world *world, struct ks_arena *arena, const struct identity *by, uint32_t operation, void *payload)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(1 << 16);
    struct ks_diag diag = {0};
    struct kmip_protocol_version version = {3, 0, 0};
    struct kmip_request_header header = {.protocol_version = &version, .batch_count = 1};
    struct kmip_request_batch_item item = {.operation = operation, .payload = payload};
    struct kmip_request_batch_item *items[] = {&item};
    const struct kmip_request_message msg = {.request_header = &header, .batch_item = items, .n_batch_item = 1};
    struct kmip_response_message *response;
    FUZZ_ASSERT(kmip_request_encode(&msg, &request, &diag) == 0);
    const struct ks_span answer = rig_ask(&world->rig, by, ks_buf_span(&request));
    FUZZ_ASSERT(kmip_response_decode(answer, &kmip_limits_default, arena, &response, &diag) == 0);
    const struct kmip_response_batch_item *one = response->batch_item[0];
    if (one->result_status != KMIP_RESULT_STATUS_SUCCESS)
        fprintf(stderr, "%x: %.*s\n", operation, (int)one->result_message.len, (const char *)one->result_message.data);
    FUZZ_ASSERT(one->result_status == KMIP_RESULT_STATUS_SUCCESS);
    return one->payload;
}

static void
name(struct ks_arena *arena, struct kmip_attrs *attrs, uint32_t tag, uint8_t type, struct ks_span text)
{
    struct kmip_item *item = kmip_item_new(arena, tag, type);
    FUZZ_ASSERT(item != NULL);
    item->s = text;
    FUZZ_ASSERT(kmip_attrs_add(arena, attrs, tag, item) != NULL);
}

static void
named(struct ks_arena *arena, struct kmip_attrs *attrs, const char *text)
{
    const struct kmip_name value = {.name_value = ks_span_str(text), .name_type = 1};
    struct kmip_item *item = NULL;
    FUZZ_ASSERT(kmip_item_encode(&kmip_schema_name, KMIP_V2_1, &value, arena, &item) == 0);
    FUZZ_ASSERT(kmip_attrs_add(arena, attrs, KMIP_TAG_NAME, item) != NULL);
}

static void
make_user(struct world *world, struct ks_arena *arena, const char *who, const char *group, bool by_certificate)
{
    const struct identity *admin = &world->rig.admin;
    struct kmip_password_credential password = {.password = KS_LIT("secret"), .has_password = true};
    struct kmip_certificate certificate = {.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
                                           .certificate_value = ks_buf_span(&world->kit.certificate)};
    struct kmip_create_credential_request c = {.credential_type = KMIP_CREDENTIAL_TYPE_PASSWORD,
                                               .attributes = {.present = true},
                                               .password_credential = &password};
    if (by_certificate)
        c = (struct kmip_create_credential_request){.credential_type = KMIP_CREDENTIAL_TYPE_CERTIFICATE,
                                                    .attributes = {.present = true},
                                                    .certificate = &certificate};
    const struct kmip_create_credential_response *made_credential =
        ask(world, arena, admin, KMIP_OPERATION_CREATE_CREDENTIAL, &c);
    struct kmip_create_user_request u = {.attributes = {.present = true}};
    named(arena, &u.attributes, who);
    name(arena, &u.attributes, KMIP_TAG_CREDENTIAL_LINK, KMIP_TYPE_REFERENCE, made_credential->unique_identifier.text);
    if (group != NULL)
        name(arena, &u.attributes, KMIP_TAG_GROUP_LINK, KMIP_TYPE_NAME_REFERENCE, ks_span_str(group));
    const struct kmip_create_user_response *made_user = ask(world, arena, admin, KMIP_OPERATION_CREATE_USER, &u);
    pool_add(&world->uids, KMIP_TAG_UNIQUE_IDENTIFIER, made_credential->unique_identifier.text);
    pool_add(&world->uids, KMIP_TAG_UNIQUE_IDENTIFIER, made_user->unique_identifier.text);
}

/* A client that enrols as clients do. */
static struct identity
enrol(struct world *world, struct ks_arena *arena, const char *client, const char *role)
{
    struct kmip_enroll_token_create_request t = {
        .client_name = ks_span_str(client), .client_role = ks_span_str(role), .has_client_role = true};
    const struct kmip_enroll_token_create_response *token =
        ask(world, arena, &world->rig.admin, KMIP_OPERATION_ENROLL_TOKEN_CREATE, &t);
    struct kmip_enroll_request e = {.enrollment_token = token->enrollment_token,
                                    .certificate_signing_request = ks_buf_span(&world->kit.request)};
    const struct kmip_enroll_response *enrolled = ask(world, arena, &world->rig.nobody, KMIP_OPERATION_ENROLL, &e);
    struct identity who = world->rig.client;
    FUZZ_ASSERT(ks_cert_fingerprint(enrolled->issued_certificate, who.fingerprint) == 0);
    if (world->kit.certificate.len == 0)
        FUZZ_ASSERT(ks_buf_add_span(&world->kit.certificate, enrolled->issued_certificate) == 0);
    return who;
}

static void
add_key(struct kit *kit, const struct ks_pkey *key, uint32_t format, bool is_private)
{
    FUZZ_ASSERT(kit->n_keys < KIT_KEYS);
    kit->keys[kit->n_keys] = KS_BUF(4096);
    FUZZ_ASSERT(ks_pkey_export(key, format, is_private, &kit->keys[kit->n_keys++], NULL) == 0);
}

static void
make_kit(struct kit *kit)
{
    static const struct ks_keypair_params kinds[] = {
        {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, .curve = KMIP_RECOMMENDED_CURVE_P_256},
        {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519},
        {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, .bits = 2048},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(kinds); i++) {
        KS_PKEY *key = NULL;
        FUZZ_ASSERT(ks_keygen_pair(&kinds[i], &key, NULL) == 0);
        add_key(kit, key, KMIP_KEY_FORMAT_TYPE_PKCS_8, true);
        add_key(kit, key, KMIP_KEY_FORMAT_TYPE_X_509, false);
        if (i != 0)
            continue;
        add_key(kit, key, KMIP_KEY_FORMAT_TYPE_EC_PRIVATE_KEY, true);
        kit->request = KS_BUF(8192);
        FUZZ_ASSERT(ks_cert_request(key, "somebody", &kit->request, NULL) == 0);
    }
}

static int
unseal(void *arg, const struct identity *who, struct ks_span passphrase)
{
    struct rig *rig = arg;
    (void)who;
    return ks_span_equal(passphrase, KIT_PASSPHRASE) ? rig_reload(rig, NULL) : KS_E_DENIED;
}

static void
make_users(struct world *world, struct ks_arena *arena)
{
    struct kmip_create_group_request g = {.attributes = {.present = true}};
    named(arena, &g.attributes, "team");
    const struct kmip_create_group_response *group =
        ask(world, arena, &world->rig.admin, KMIP_OPERATION_CREATE_GROUP, &g);
    pool_add(&world->uids, KMIP_TAG_UNIQUE_IDENTIFIER, group->unique_identifier.text);
    make_user(world, arena, "ada", "team", false);
    make_user(world, arena, "bob", "team", true);
    make_user(world, arena, "cyd", NULL, false);
}

void
world_make(struct world *world)
{
    static const struct {
        const char *name, *role;
    } more[] = {{"other", "client"}, {"second", "officer"}, {"deputy", "admin"}};
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(FUZZ_MEMORY);
    /* A store that is gone with the next start of the machine is synced fast. */
    if (access("/dev/shm", W_OK) == 0 && getenv("TMPDIR") == NULL)
        (void)setenv("TMPDIR", "/dev/shm", 0);
    rig_open(&world->rig, NULL, false);
    world->rig.config.unseal = unseal;
    world->rig.config.unseal_arg = &world->rig;
    rig_restart(&world->rig);
    world->kit.ca = KS_BUF(8192);
    world->kit.certificate = KS_BUF(8192);
    FUZZ_ASSERT(ks_buf_add_span(&world->kit.ca, ks_buf_span(&world->rig.ca)) == 0);
    make_kit(&world->kit);
    const struct rig *r = &world->rig;
    const struct identity first[] = {r->client, r->client, r->client, r->client,   r->client, r->client,
                                     r->client, r->client, r->admin,  r->stranger, r->nobody};
    memcpy(world->who, first, sizeof(first));
    world->n_who = KS_ARRAY_LEN(first);
    for (size_t i = 0; i < KS_ARRAY_LEN(more); i++) {
        enum identity_role role;
        if (!role_find(ks_span_str(more[i].role), &role))
            continue;
        world->deputy = enrol(world, &arena, more[i].name, more[i].role);
        world->who[world->n_who++] = world->deputy;
    }
    make_users(world, &arena);
    for (size_t i = 0; i < QUEUE; i++)
        FUZZ_ASSERT(engine_reply_init(&world->queue[i]) == 0);
    take_rows(world, &made);
}

void
world_free(struct world *world)
{
    for (size_t i = 0; i < QUEUE; i++)
        engine_reply_done(&world->queue[i]);
    for (size_t i = 0; i < world->kit.n_keys; i++)
        ks_buf_done(&world->kit.keys[i]);
    ks_buf_done(&world->kit.ca);
    ks_buf_done(&world->kit.certificate);
    ks_buf_done(&world->kit.request);
    ks_arena_done(&made.arena);
    ks_arena_done(&now.arena);
    rig_close(&world->rig);
}

void
world_begin(struct world *world, enum profile profile, size_t object_memory)
{
    struct rig *rig = &world->rig;
    for (size_t i = 0; i < world->n_queued; i++)
        engine_reply_reset(&world->queue[i]);
    world->n_queued = 0;
    restore(world);
    rig->config.profile = profile;
    rig->config.object_memory = object_memory;
    rig->predictable = true;
    rig->drawn = 0;
    rig->now_us = (int64_t)RIG_START_S * 1000000;
    rig_restart(rig);
}
