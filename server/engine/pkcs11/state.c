#include "server/engine/pkcs11/state.h"

#include <stdlib.h>

#include "server/engine/pkcs11/session.h"

void
p11_job_end(struct pkcs11 *all, struct p11_job *job)
{
    all->collected -= job->data.len;
    ks_buf_done(&job->data);
    ks_buf_done(&job->parameter);
    ks_wipe(job, sizeof(*job));
}

int
p11_job_collect(struct pkcs11 *all, struct p11_job *job, struct ks_span data)
{
    if (job->data.max == 0)
        job->data = KS_BUF(PKCS11_COLLECT);
    if (data.len > PKCS11_COLLECT - job->data.len || data.len > PKCS11_COLLECT_ALL - all->collected)
        return KS_E_LIMIT;
    KS_TRY(ks_buf_add_span(&job->data, data));
    all->collected += data.len;
    return 0;
}

void
p11_find_end(struct p11_session *session)
{
    free(session->found);
    session->found = NULL;
    session->n_found = session->next_found = 0;
    session->finding = false;
}

void
p11_session_close(struct pkcs11 *all, struct p11_session *session)
{
    for (size_t i = 0; i < P11_JOBS; i++)
        p11_job_end(all, &session->jobs[i]);
    p11_find_end(session);
    p11_objects_leave(all, session);
    *session = (struct p11_session){0};
}

struct p11_session *
p11_session_new(struct pkcs11 *all, struct p11_app *app, bool read_write)
{
    for (size_t i = 0; i < PKCS11_SESSIONS; i++)
        if (app->sessions[i].handle == 0) {
            app->sessions[i].handle = ++app->last_session;
            app->sessions[i].serial = ++all->last_serial;
            app->sessions[i].read_write = read_write;
            return &app->sessions[i];
        }
    return NULL;
}

struct p11_session *
p11_session_find(struct p11_app *app, uint64_t handle)
{
    for (size_t i = 0; i < PKCS11_SESSIONS && handle != 0; i++)
        if (app->sessions[i].handle == handle)
            return &app->sessions[i];
    return NULL;
}

uint64_t
p11_handle_of(struct p11_app *app, const char *uid)
{
    if (app->handles == NULL)
        app->handles = calloc(PKCS11_HANDLES, sizeof(*app->handles));
    if (app->handles == NULL)
        return 0;
    for (size_t i = 0; i < PKCS11_HANDLES; i++)
        if (app->handles[i].handle != 0 && memcmp(app->handles[i].uid, uid, sizeof(app->handles[i].uid)) == 0)
            return app->handles[i].handle;
    struct p11_handle *h = &app->handles[++app->last_handle % PKCS11_HANDLES];
    h->handle = app->last_handle;
    memcpy(h->uid, uid, sizeof(h->uid));
    return h->handle;
}

const char *
p11_handle_uid(const struct p11_app *app, uint64_t handle)
{
    const struct p11_handle *h = app->handles != NULL ? &app->handles[handle % PKCS11_HANDLES] : NULL;
    return h != NULL && handle != 0 && h->handle == handle ? h->uid : NULL;
}

/* Applications */

bool
p11_app_is_own(const struct p11_app *app, const uint8_t fingerprint[32])
{
    return memcmp(app->fingerprint, fingerprint, sizeof(app->fingerprint)) == 0;
}

static bool
is_own(const struct p11_app *app, const struct identity *who)
{
    return who->authenticated && p11_app_is_own(app, who->fingerprint);
}

void
p11_app_free(struct pkcs11 *all, struct p11_app *app)
{
    for (struct p11_app **at = &all->first; *at != NULL; at = &(*at)->next) {
        if (*at != app)
            continue;
        *at = app->next;
        break;
    }
    all->n--;
    for (size_t i = 0; i < PKCS11_SESSIONS; i++)
        p11_session_close(all, &app->sessions[i]);
    free(app->handles);
    ks_wipe(app, sizeof(*app));
    free(app);
}

int
p11_app_new(struct pkcs11 *all, const struct identity *who, const uint8_t value[PKCS11_VALUE], int64_t now_s,
            struct p11_app **ret)
{
    struct p11_app *oldest = NULL;
    size_t own = 0;
    for (struct p11_app *app = all->first; app != NULL; app = app->next)
        if (is_own(app, who)) {
            own++;
            oldest = app;
        }
    if (own >= PKCS11_CLIENT_MOST)
        p11_app_free(all, oldest);
    if (all->n >= PKCS11_MOST)
        return KS_E_LIMIT;
    struct p11_app *app = calloc(1, sizeof(*app));
    if (app == NULL)
        return KS_E_NOMEM;
    memcpy(app->value, value, PKCS11_VALUE);
    memcpy(app->fingerprint, who->fingerprint, sizeof(app->fingerprint));
    app->used_s = now_s;
    app->next = all->first;
    all->first = app;
    all->n++;
    *ret = app;
    return 0;
}

struct p11_app *
p11_app_find(struct pkcs11 *all, const struct identity *who, struct ks_span value, int64_t now_s)
{
    for (struct p11_app **at = &all->first; *at != NULL; at = &(*at)->next) {
        struct p11_app *app = *at;
        if (!is_own(app, who) || now_s - app->used_s > PKCS11_LIFE_S)
            continue;
        if (value.len != 0 && (value.len != PKCS11_VALUE || !ks_equal_secret(value.data, app->value, PKCS11_VALUE)))
            continue;
        *at = app->next;
        app->next = all->first;
        all->first = app;
        app->used_s = now_s;
        return app;
    }
    return NULL;
}

void
pkcs11_expire(struct pkcs11 *all, int64_t now_s)
{
    struct p11_app *next;
    for (struct p11_app *app = all->first; app != NULL; app = next) {
        next = app->next;
        if (now_s - app->used_s > PKCS11_LIFE_S)
            p11_app_free(all, app);
    }
}

void
pkcs11_clear(struct pkcs11 *all)
{
    while (all->first != NULL)
        p11_app_free(all, all->first);
    p11_objects_bury(all);
}
