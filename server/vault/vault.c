#include "server/vault/vault.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/random.h"
#include "server/control.h"
#include "server/passphrase.h"
#include "server/sandbox.h"
#include "server/vault/internal.h"

enum {
    CHANNELS_MAX = 256, /* workers, and those that drain after reloads */
    FREE_JOBS_MAX = 1024,
    TICK_MS = 1000,
    RETRY_MS = 1000,
    SAY_MS = 60000, /* between lines of the log that say what goes on */
    PREPARE_THREADS = 2,
    STOP_MS = 10000,
};

/* What failed to be stored may have reached the disk all the same: then it counts, with its record (committer.c). */
static const char not_durable[] =
    "The change or its audit record could not be stored for certain. Nothing is served until "
    "storage works again; then see whether it was carried out.";
static const char not_recorded[] =
    "The server is sealed, and the request could not be put on record; see the server's log.";

/* Jobs */

struct job *
vault_job(struct vault *v)
{
    struct job *job = v->free_jobs;
    if (job != NULL) {
        v->free_jobs = job->next_free;
        v->n_free_jobs--;
        job->next_free = NULL;
        job->reply.job.owner = job;
        return job;
    }
    job = calloc(1, sizeof(*job));
    if (job == NULL)
        return NULL;
    if (engine_reply_init(&job->reply) != 0) {
        free(job);
        return NULL;
    }
    job->reply.job.owner = job;
    return job;
}

void
vault_job_free(struct vault *v, struct job *job)
{
    if (v->n_free_jobs >= FREE_JOBS_MAX) {
        engine_reply_done(&job->reply);
        free(job);
        return;
    }
    engine_reply_reset(&job->reply);
    job->channel = NULL;
    job->is_notice = job->is_ask = false;
    job->bytes = 0;
    job->next_free = v->free_jobs;
    v->free_jobs = job;
    v->n_free_jobs++;
}

static void
answer(struct vault *v, struct job *job)
{
    if (job->channel != NULL)
        channel_answer(job->channel, job);
    vault_job_free(v, job);
}

/* Before an answer of a sealed server leaves, its records are on disk. */
static void
finish_sealed(struct vault *v, struct job *job)
{
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf audit = KS_BUF(8192);
    int rc = server_config_path(v->config, v->config->store_audit, &audit);
    if (rc == 0)
        rc = sealed_log_add(&v->sealed, (const char *)audit.data, job->reply.job.records, job->reply.job.n_records,
                            ks_clock_us(), &diag);
    const int64_t now = ks_monotonic_ms();
    if (rc == KS_E_LIMIT && (v->said_ms == 0 || now - v->said_ms >= SAY_MS)) {
        v->said_ms = now;
        ks_log_warning("sealed.jsonl is full: %llu requests to the sealed server were counted, but are not on record",
                       (unsigned long long)v->sealed.unlisted);
    }
    if (rc != 0 && rc != KS_E_LIMIT) { /* beyond the limit they are counted */
        ks_log_error("a request to the sealed server cannot be put on record: %s",
                     diag.code != 0 ? ks_diag_text(&diag) : ks_err_text(rc));
        answer_fail(&job->reply.response, not_recorded);
    }
}

void
vault_finish(struct vault *v, struct job *job)
{
    if (v->state == VAULT_OPEN) {
        job->reply.job.owner = job;
        job->reply.job.next = NULL;
        *v->batch_end = &job->reply.job;
        v->batch_end = &job->reply.job.next;
        v->under_way++;
        return;
    }
    if (v->state == VAULT_FAILED) {
        v->unserved++;
        answer_fail(&job->reply.response, not_durable);
        job->reply.drop = job->reply.drop || job->reply.turns;
        job->reply.turns = false;
    } else {
        finish_sealed(v, job);
    }
    answer(v, job);
}

static void
submit_batch(struct vault *v)
{
    if (v->batch == NULL)
        return;
    struct commit_job *last = v->batch;
    while (last->next != NULL)
        last = last->next;
    committer_submit(v->committer, v->batch, last);
    v->batch = NULL;
    v->batch_end = &v->batch;
}

static void
take_done(struct vault *v)
{
    struct commit_job *next;
    for (struct commit_job *done = committer_take_done(v->committer); done != NULL; done = next) {
        next = done->next;
        struct job *job = done->owner;
        v->under_way--;
        if (done->rc != 0) {
            if (!v->failing)
                ks_log_error("storage failed (%s): what was under way is answered with failure", ks_err_text(done->rc));
            v->failing = true;
            v->unserved++;
            answer_fail(&job->reply.response, not_durable);
            job->reply.drop = job->reply.drop || job->reply.turns;
            job->reply.turns = false;
        }
        if (done->rc == 0)
            engine_committed(v->engine, &job->reply);
        if (job->is_notice)
            notices_send(v, job, done->rc == 0);
        if (job->is_ask)
            turned_send(v, job, done->rc == 0);
        answer(v, job);
    }
}

static int
format_event(const char *event, const char *message, struct job *job)
{
    const struct audit_event e = {.event = ks_span_str(event),
                                  .role = "system",
                                  .batch_item = -1,
                                  .status = "success",
                                  .message = ks_span_str(message)};
    KS_TRY(audit_event_format(&e, &job->reply.audit));
    job->record = ks_buf_span(&job->reply.audit);
    job->reply.job.records = &job->record;
    job->reply.job.n_records = 1;
    job->reply.job.changes = NULL;
    job->reply.job.n_changes = 0;
    return 0;
}

int
vault_commit_records(struct vault *v, const struct ks_span *records, size_t n)
{
    struct commit_job job = {.records = records, .n_records = n};
    committer_submit(v->committer, &job, &job);
    struct pollfd fd = {committer_fd(v->committer), POLLIN, 0};
    while (committer_take_done(v->committer) == NULL)
        (void)poll(&fd, 1, 1000);
    return job.rc;
}

int
vault_record(struct vault *v, const char *event, const char *message)
{
    struct job *job = vault_job(v);
    if (job == NULL)
        return KS_E_NOMEM;
    int rc = format_event(event, message, job);
    if (rc == 0)
        rc = vault_commit_records(v, &job->record, 1);
    vault_job_free(v, job);
    return rc;
}

/* The same of a sealed server. */
static int
record_sealed(struct vault *v, const char *event, struct ks_diag *diag)
{
    struct job *job = vault_job(v);
    KS_CLEANUP(ks_buf_done) struct ks_buf audit = KS_BUF(8192);
    int rc = job != NULL ? server_config_path(v->config, v->config->store_audit, &audit) : KS_E_NOMEM;
    if (rc == 0)
        rc = format_event(event, "sealed", job);
    if (rc == 0)
        rc = sealed_log_add(&v->sealed, (const char *)audit.data, &job->record, 1, ks_clock_us(), diag);
    if (job != NULL)
        vault_job_free(v, job);
    if (rc == 0 || rc == KS_E_LIMIT)
        return 0;
    return diag->code != 0 ? rc : ks_fail(diag, rc, "%s cannot be put on record: %s", event, ks_err_text(rc));
}

/* States */

/* Everything that was under way has come back: what the engine's memory holds is void. */
static void
enter_failed(struct vault *v)
{
    engine_seal(v->engine);
    v->state = VAULT_FAILED;
    v->failing = false;
    v->said_ms = ks_monotonic_ms() - SAY_MS;
    v->retry_ms = ks_monotonic_ms() + RETRY_MS;
}

static void
try_again(struct vault *v, int64_t now_ms)
{
    if (now_ms < v->retry_ms)
        return;
    v->retry_ms = now_ms + RETRY_MS;
    struct ks_diag diag = {0};
    if (!committer_reset(v->committer, &diag)) {
        if (now_ms - v->said_ms >= SAY_MS) {
            v->said_ms = now_ms;
            ks_log_error("storage still fails: %s; %llu requests were answered with failure, which is not on record",
                         ks_diag_text(&diag), (unsigned long long)v->unserved);
        }
        return;
    }
    if (engine_load(v->engine, v->keyring, v->store, &diag) != 0) {
        ks_log_error("the store cannot be read again: %s", ks_diag_text(&diag));
        engine_seal(v->engine);
        return;
    }
    char message[120];
    (void)snprintf(message, sizeof(message),
                   "storage takes writes again; %llu requests were answered with failure meanwhile",
                   (unsigned long long)v->unserved);
    if (vault_record(v, "recovered", message) != 0)
        return;
    v->unserved = 0;
    v->state = VAULT_OPEN;
    ks_log_notice("storage takes writes again: serving");
}

/* Keys for the rotation by the clock. Without the memory for a task they are asked for again. */
static void
rotation_to_pool(struct vault *v)
{
    struct engine_prepared *wanted = engine_rotation_wanted(v->engine);
    if (wanted == NULL)
        return;
    struct prepare_task *task = calloc(1, sizeof(*task));
    if (task == NULL) {
        engine_rotation_prepared(v->engine, NULL);
        engine_prepared_free(wanted);
        return;
    }
    task->rotation = true;
    task->prepared = wanted;
    prepare_submit(v->pool, task);
}

/* An asynchronous request that needs a key which takes long: the key is made in the pool. */
static void
hand_to_pool(struct vault *v)
{
    rotation_to_pool(v);
    struct prepare_task *task = v->prepare_task;
    if (task == NULL)
        task = calloc(1, sizeof(*task));
    v->prepare_task = NULL;
    if (task == NULL)
        return;
    task->request = KS_BUF(FRAME_BODY_MAX);
    if (engine_async_slow(v->engine, &task->request, task->id))
        prepare_submit(v->pool, task);
    else
        v->prepare_task = task;
}

static void
prepared(struct vault *v, struct prepare_task *task)
{
    if (task->rotation) {
        engine_rotation_prepared(v->engine, task->prepared);
        task->prepared = NULL;
    }
    struct job *job = v->state == VAULT_OPEN && !task->rotation ? vault_job(v) : NULL;
    struct engine_prepared *wanted = NULL;
    if (job != NULL) {
        const bool work = engine_async_prepared(v->engine, task->id, task->prepared, &job->reply);
        wanted = job->reply.wanted;
        if (work)
            vault_finish(v, job);
        else
            vault_job_free(v, job);
    }
    if (wanted != NULL) {
        task->prepared = wanted;
        prepare_submit(v->pool, task);
        return;
    }
    prepare_task_free(task);
}

static void
tick(struct vault *v, int64_t now_ms)
{
    if (v->state == VAULT_FAILED)
        try_again(v, now_ms);
    if (v->state != VAULT_OPEN || v->failing)
        return;
    v->tick_ms = now_ms;
    struct job *job = vault_job(v);
    if (job == NULL)
        return;
    if (engine_tick(v->engine, &job->reply))
        vault_finish(v, job);
    else
        vault_job_free(v, job);
    hand_to_pool(v);
}

static void
take_over(struct vault *v, const struct server_config *fresh)
{
    struct ks_diag diag = {0};
    ks_log_init("vault", (enum ks_log_level)server_config_log_level(fresh));
    if (trust_read(v, fresh, &diag) != 0)
        ks_log_error("reload: %s; the certificates that were trusted stay so", ks_diag_text(&diag));
}

static void
reload(struct vault *v)
{
    struct ks_diag diag = {0};
    KS_CLEANUP(server_config_done) struct server_config fresh = {0};
    if (server_config_load(v->config->dir, &fresh, &diag) != 0)
        ks_log_error("%s", ks_diag_text(&diag)); /* the supervisor says that the old one stays in force */
    else
        take_over(v, &fresh);
    if (v->state == VAULT_SEALED && record_sealed(v, "reload", &diag) != 0)
        ks_log_error("%s", ks_diag_text(&diag));
    struct job *job = v->state == VAULT_OPEN && !v->failing ? vault_job(v) : NULL;
    if (job == NULL)
        return;
    if (format_event("reload", "configuration and certificates", job) == 0)
        vault_finish(v, job);
    else
        vault_job_free(v, job);
}

/* False: the supervisor is gone. */
static bool
take_control(struct vault *v)
{
    enum control_type type;
    int fd;
    if (control_receive(v->control, &type, &fd) != 0)
        return false;
    if (type == CONTROL_WORKER && fd >= 0) {
        if (channel_add(v, fd) == 0)
            fd = -1; /* handed over */
    } else if (type == CONTROL_NOTIFIER && fd >= 0) {
        notices_attach(v, fd);
        fd = -1; /* handed over */
    } else if (type == CONTROL_RELOAD) {
        reload(v);
    } else if (type == CONTROL_STOP) {
        v->stopping = true;
    }
    ks_closep(&fd);
    return true;
}

/* The loop */

enum { AT_CONTROL, AT_COMMITTER, AT_POOL, AT_NOTIFIER, AT_CHANNELS };

static size_t
fill(struct vault *v, struct pollfd *fds)
{
    const bool reads = !v->failing;
    fds[AT_CONTROL] = (struct pollfd){v->control, POLLIN, 0};
    fds[AT_COMMITTER] = (struct pollfd){v->committer != NULL ? committer_fd(v->committer) : -1, POLLIN, 0};
    fds[AT_POOL] = (struct pollfd){reads ? prepare_fd(v->pool) : -1, POLLIN, 0};
    fds[AT_NOTIFIER] =
        (struct pollfd){reads ? v->notices.fd : -1, (short)(POLLIN | (v->notices.out.len != 0 ? POLLOUT : 0)), 0};
    size_t n = AT_CHANNELS;
    for (struct channel *c = v->channels; c != NULL && n < AT_CHANNELS + CHANNELS_MAX; c = c->next) {
        const short events = (short)((reads && channel_takes(c) ? POLLIN : 0) | (c->out.len != 0 ? POLLOUT : 0));
        fds[n++] = (struct pollfd){c->fd, events, 0};
    }
    return n;
}

static void
round_of(struct vault *v, const struct pollfd *fds, size_t n)
{
    if (v->state == VAULT_OPEN)
        take_done(v);
    if (v->failing && v->under_way == 0)
        enter_failed(v);
    tick(v, ks_monotonic_ms()); /* transitions that are due come before requests that see them */
    if (!v->failing && fds[AT_POOL].revents != 0) {
        struct prepare_task *next;
        for (struct prepare_task *task = prepare_take_done(v->pool); task != NULL; task = next) {
            next = task->next;
            if (task->owner == NULL)
                prepared(v, task);
            else
                channel_prepared(v, task);
        }
    }
    /* A channel that was added meanwhile stands in front of those that were polled. */
    for (struct channel *c = v->channels; c != NULL; c = c->next)
        for (size_t i = AT_CHANNELS; i < n; i++)
            if (c->fd >= 0 && fds[i].fd == c->fd && (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
                !v->failing && channel_takes(c))
                channel_read(c);
    if (!v->failing && fds[AT_NOTIFIER].fd == v->notices.fd && v->notices.fd >= 0 &&
        (fds[AT_NOTIFIER].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
        notices_read(v);
    notices_next(v);
    turned_next(v, ks_monotonic_ms());
    submit_batch(v);
    notices_flush(v);
    for (struct channel *c = v->channels; c != NULL; c = c->next)
        if (c->out.len != 0)
            channel_flush(c);
    channel_reap(v);
}

static bool
is_idle(const struct vault *v)
{
    if (v->under_way != 0)
        return false;
    for (const struct channel *c = v->channels; c != NULL; c = c->next)
        if (c->under_way != 0 || c->out.len != 0)
            return false;
    return true;
}

static int
serve(struct vault *v)
{
    struct pollfd fds[AT_CHANNELS + CHANNELS_MAX];
    int64_t stop_ms = 0;
    for (;;) {
        const size_t n = fill(v, fds);
        const int ready = poll(fds, n, v->stopping ? 10 : TICK_MS / 4);
        if (ready < 0 && errno != EINTR) {
            ks_log_error("poll: %s", strerror(errno));
            return 70;
        }
        if (fds[AT_CONTROL].revents != 0 && !take_control(v))
            return 70;
        round_of(v, fds, n);
        if (!v->stopping)
            continue;
        stop_ms = stop_ms != 0 ? stop_ms : ks_monotonic_ms() + STOP_MS;
        if (is_idle(v))
            return 0;
        if (ks_monotonic_ms() > stop_ms) { /* jobs are the committer's still: no record may be made now */
            ks_log_error("what was under way did not end in time");
            return 74;
        }
    }
}

/* Life */

static int64_t
env_now(void *arg)
{
    (void)arg;
    return ks_clock_us();
}

static int
env_random(void *arg, void *ret, size_t len)
{
    (void)arg;
    return ks_random_key(ret, len);
}

static enum engine_kmip_3_0
kmip_3_0(const char *setting)
{
    if (strcmp(setting, "on") == 0)
        return ENGINE_3_0_ON;
    return strcmp(setting, "off") == 0 ? ENGINE_3_0_OFF : ENGINE_3_0_UNANNOUNCED;
}

static int
set_up(struct vault *v, struct ks_diag *diag)
{
    if (v->config->server_name[0] != '\0')
        (void)snprintf(v->node, sizeof(v->node), "%s", v->config->server_name);
    else if (gethostname(v->node, sizeof(v->node) - 1) != 0)
        (void)snprintf(v->node, sizeof(v->node), "keystead");
    KS_TRY(ks_crypto_init(diag));
    const struct engine_env env = {.now_us = env_now, .random = env_random};
    enum profile profile = PROFILE_FIPS;
    if (!profile_find(v->config->policy_profile, &profile))
        return ks_fail(diag, KS_E_CONFIG, "policy { profile }: there is no profile \"%s\"", v->config->policy_profile);
    const struct engine_config config = {.node = ks_span_str(v->node),
                                         .max_response = FRAME_BODY_MAX - 4096,
                                         .prepares = true,
                                         .default_lease_s = v->config->policy_default_lease,
                                         .profile = profile,
                                         .object_memory = (size_t)v->config->limits_object_memory_bytes,
                                         .kmip_3_0 = kmip_3_0(v->config->kmip_version_3_0),
                                         .listeners = (const char *const *)v->config->server_listeners.v,
                                         .n_listeners = v->config->server_listeners.n,
                                         .unseal = vault_unseal,
                                         .unseal_arg = v};
    int rc = engine_new(&env, &config, &v->engine);
    rc = rc != 0 ? rc : prepare_pool_new(PREPARE_THREADS, &v->pool);
    if (rc != 0)
        return ks_fail(diag, rc, "the vault cannot be set up: %s", ks_err_text(rc));
    return trust_read(v, v->config, diag);
}

/* What was given on the command line, by the service manager, or by a person if one is there; else nothing. */
static int
find_passphrase(const struct vault *v, const char *file, struct ks_buf *ret, struct ks_diag *diag)
{
    if (strcmp(v->config->root_key_kind, "passphrase") != 0)
        return 0;
    if (file != NULL)
        return passphrase_from_file(file, ret, diag);
    const int rc = passphrase_from_credentials(ret, diag);
    if (rc != KS_E_NOT_FOUND)
        return rc;
    return isatty(STDIN_FILENO) == 1 ? passphrase_ask("Passphrase of the store: ", false, ret, diag) : 0;
}

static int
start(struct vault *v, const char *passphrase_file, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf passphrase = KS_BUF(PASSPHRASE_MAX);
    KS_TRY(find_passphrase(v, passphrase_file, &passphrase, diag));
    const int rc = unlock(v, ks_buf_span(&passphrase), diag);
    if (rc == KS_E_SEALED) {
        ks_log_notice("sealed: %s", ks_diag_text(diag));
        *diag = (struct ks_diag){0};
        return record_sealed(v, "start", diag);
    }
    KS_TRY(rc);
    const int recorded = vault_record(v, "start", "");
    if (recorded != 0)
        return ks_fail(diag, recorded, "the start cannot be put on record in the audit trail: %s",
                       ks_err_text(recorded));
    return 0;
}

static void
tear_down(struct vault *v)
{
    turned_forget(v);
    for (struct channel *c = v->channels; c != NULL; c = c->next)
        channel_close(c);
    notices_close(v);
    prepare_pool_free(v->pool);
    committer_free(v->committer);
    engine_free(v->engine);
    keyring_free(v->keyring);
    store_close(v->store);
    for (struct channel *c = v->channels; c != NULL; c = c->next)
        c->under_way = 0;
    channel_reap(v);
    for (struct job *job = v->free_jobs, *next; job != NULL; job = next) {
        next = job->next_free;
        engine_reply_done(&job->reply);
        free(job);
    }
    prepare_task_free(v->prepare_task);
    sealed_log_close(&v->sealed);
    ks_closep(&v->control);
    ks_crypto_done();
}

int
vault_run(const struct vault_settings *settings)
{
    struct vault v = {
        .config = settings->config, .control = settings->control, .sealed = {.fd = -1}, .notices = {.fd = -1}};
    v.batch_end = &v.batch;
    struct ks_diag diag = {0};
    bool locked = false;
    int rc = sandbox_vault(&locked, &diag);
    rc = rc != 0 ? rc : set_up(&v, &diag);
    rc = rc != 0 ? rc : start(&v, settings->passphrase_file, &diag);
    int status = ks_err_exit_status(rc);
    if (rc != 0) {
        ks_log_error("%s", ks_diag_text(&diag));
    } else {
        if (!locked)
            ks_log_notice(
                "memory is not locked: keys may be swapped out; raise the limit \"memlock\", or encrypt swap");
        const bool sealed = v.state == VAULT_SEALED;
        status = control_send(v.control, sealed ? CONTROL_SEALED : CONTROL_READY, -1) == 0 ? serve(&v) : 70;
        if (status == 0 && v.state == VAULT_OPEN && vault_record(&v, "stop", "") != 0) {
            ks_log_error("the stop cannot be put on record in the audit trail");
            status = 74;
        }
        if (status == 0 && v.state == VAULT_SEALED && record_sealed(&v, "stop", &diag) != 0) {
            ks_log_error("%s", ks_diag_text(&diag));
            status = 74;
        }
    }
    tear_down(&v);
    return status;
}
