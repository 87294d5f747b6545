#include "engine_rig.h"

#include <stdio.h>

#include "base/text.h"
#include "crypto/random.h"

static void
must(int rc, const char *what, struct ks_diag *diag)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, ks_err_text(rc), diag != NULL ? ks_diag_text(diag) : "");
    exit(99);
}

static int64_t
rig_now(void *arg)
{
    struct rig *rig = arg;
    rig->now_us += rig->step_us;
    return rig->real_time ? ks_clock_us() : rig->now_us;
}

static int
rig_random(void *arg, void *ret, size_t len)
{
    struct rig *rig = arg;
    if (!rig->predictable)
        return ks_random(ret, len);
    uint8_t *to = ret;
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(rig->drawn++ * 37);
    return 0;
}

static void
commit(struct rig *rig)
{
    struct ks_diag diag = {0};
    const struct commit_job *job = &rig->reply.job;
    if (job->n_changes != 0)
        must(store_commit(rig->store, job->changes, job->n_changes, &diag), "commit", &diag);
    if (rig->engine != NULL)
        engine_committed(rig->engine, &rig->reply);
}

static void
identities(struct rig *rig)
{
    rig->admin = (struct identity){.authenticated = true,
                                   .name = KS_LIT("admin"),
                                   .subject = KS_LIT("CN=admin"),
                                   .address = KS_LIT("192.0.2.1:1"),
                                   .tls = KS_LIT("TLSv1.3")};
    rig->client = rig->stranger = rig->admin;
    rig->client.name = KS_LIT("app");
    memset(rig->admin.fingerprint, 1, 32);
    memset(rig->client.fingerprint, 2, 32);
    memset(rig->stranger.fingerprint, 3, 32);
    rig->nobody = (struct identity){.address = KS_LIT("192.0.2.9:1"), .tls = KS_LIT("TLSv1.3")};
}

static void
make_instance(struct rig *rig)
{
    struct ks_diag diag = {0};
    KS_PKEY *key = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(4096);
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
                                             .curve = KMIP_RECOMMENDED_CURVE_P_256};
    const struct ks_cert_spec spec = {.common_name = "Test CA", .not_before = 1600000000, .not_after = 2500000000};
    must(ks_keygen_pair(&params, &key, &diag), "CA key", &diag);
    must(ks_cert_ca(key, &spec, &rig->ca, &diag), "CA", &diag);
    must(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_PKCS_8, true, &der, &diag), "CA key", &diag);
    struct engine_client admin = {.name = KS_LIT("admin"), .role = IDENTITY_ADMIN, .not_after = 2500000000};
    memcpy(admin.fingerprint, rig->admin.fingerprint, 32);
    must(engine_bootstrap(rig->keyring, &admin, ks_buf_span(&rig->ca), ks_buf_span(&der), &rig->reply, &diag),
         "bootstrap", &diag);
    commit(rig);
    struct engine_client app = {.name = KS_LIT("app"), .role = IDENTITY_CLIENT, .not_after = 2500000000};
    memcpy(app.fingerprint, rig->client.fingerprint, 32);
    must(engine_bootstrap(rig->keyring, &app, ks_buf_span(&rig->ca), ks_buf_span(&der), &rig->reply, &diag), "client",
         &diag);
    commit(rig);
}

static void
add_client(struct rig *rig, const char *name, enum identity_role role, struct identity *ret)
{
    struct ks_diag diag = {0};
    const struct ks_span der = ks_buf_span(&rig->ca);
    struct engine_client other = {.name = ks_span_str(name), .role = role, .not_after = 2500000000};
    must(ks_cert_fingerprint(der, other.fingerprint), "fingerprint", NULL);
    must(engine_bootstrap(rig->keyring, &other, der, der, &rig->reply, &diag), "other client", &diag);
    commit(rig);
    must(rig_reload(rig, &diag), "loading anew", &diag);
    *ret = rig->client;
    memcpy(ret->fingerprint, other.fingerprint, sizeof(ret->fingerprint));
}

void
rig_add_other(struct rig *rig, struct identity *ret)
{
    add_client(rig, "other", IDENTITY_CLIENT, ret);
}

void
rig_add_admin(struct rig *rig, struct identity *ret)
{
    add_client(rig, "deputy", IDENTITY_ADMIN, ret);
    ret->name = KS_LIT("deputy");
}

void
rig_open(struct rig *rig, const struct engine_config *config, bool real_time)
{
    struct ks_diag diag = {0};
    const struct engine_config plain = {.node = KS_LIT("test")};
    KS_KEY32 root;
    *rig = (struct rig){.now_us = (int64_t)RIG_START_S * 1000000, .real_time = real_time, .ca = KS_BUF(65536)};
    const char *tmp = getenv("TMPDIR");
    snprintf(rig->dir, sizeof(rig->dir), "%.40s/ks-engine-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(rig->dir) == NULL)
        must(KS_E_IO, "mkdtemp", NULL);
    snprintf(rig->path, sizeof(rig->path), "%s/store.db", rig->dir);
    memset(root.b, 7, sizeof(root.b));
    identities(rig);
    must(engine_reply_init(&rig->reply), "reply", NULL);
    must(store_create(rig->path, &diag), "store", &diag);
    must(store_open(rig->path, &rig->store, &diag), "store", &diag);
    must(keyring_create(rig->store, &root, &diag), "keyring", &diag);
    must(keyring_open(rig->store, &root, &rig->keyring, &diag), "keyring", &diag);
    make_instance(rig);
    rig->config = config != NULL ? *config : plain;
    /* The tests of the engine run a second time with a cache that keeps nothing from one request to the next. */
    if (rig->config.object_memory == 0 && getenv("KEYSTEAD_TEST_COLD") != NULL)
        rig->config.object_memory = 1;
    rig_restart(rig);
}

void
rig_restart(struct rig *rig)
{
    struct ks_diag diag = {0};
    const struct engine_env env = {.arg = rig, .now_us = rig_now, .random = rig_random};
    engine_free(rig->engine);
    rig->engine = NULL;
    must(engine_new(&env, &rig->config, &rig->engine), "engine", NULL);
    must(engine_load(rig->engine, rig->keyring, rig->store, &diag), "load", &diag);
}

int
rig_reload(struct rig *rig, struct ks_diag *diag)
{
    return engine_load(rig->engine, rig->keyring, rig->store, diag);
}

struct ks_span
rig_ask(struct rig *rig, const struct identity *who, struct ks_span request)
{
    engine_handle(rig->engine, who, request, &rig->reply);
    struct engine_prepared *prepared = NULL;
    for (; rig->reply.wanted != NULL; rig->n_prepared++) { /* with config.prepares */
        prepared = rig->reply.wanted;
        engine_prepare_more(prepared);
        engine_handle_prepared(rig->engine, who, request, prepared, &rig->reply);
    }
    engine_prepared_free(prepared);
    commit(rig);
    return ks_buf_span(&rig->reply.response);
}

void
rig_close(struct rig *rig)
{
    engine_free(rig->engine);
    keyring_free(rig->keyring);
    store_close(rig->store);
    engine_reply_done(&rig->reply);
    ks_buf_done(&rig->ca);
    static const char *const files[] = {"store.db", "store.db-wal", "store.db-shm", "store.db-journal",
                                        "store.db.lock"};
    for (size_t i = 0; i < KS_ARRAY_LEN(files); i++) {
        char path[160];
        snprintf(path, sizeof(path), "%s/%s", rig->dir, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(rig->dir);
}

bool
rig_tick(struct rig *rig)
{
    const bool changed = engine_tick(rig->engine, &rig->reply);
    if (changed)
        commit(rig);
    return changed;
}

void
rig_commit(struct rig *rig)
{
    commit(rig);
}
