#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "client/alloc.h"
#include "client/error.h"
#include "client/pool.h"

int
ks_client_new(const struct ks_client_config *config, struct ks_client **ret, struct ks_error *error)
{
    struct ks_error spare;
    error = client_error_begin(error, &spare);
    if (config->n_servers == 0)
        return client_fail(error, KS_E_CONFIG, "no server is configured (server = HOST:PORT)");
    struct ks_client *client = client_alloc(sizeof(*client));
    if (client == NULL)
        return client_fail(error, KS_E_NOMEM, "out of memory");
    if (pthread_mutex_init(&client->lock, NULL) != 0) {
        free(client);
        return client_fail(error, KS_E_NOMEM, "out of memory");
    }
    int rc = client_config_copy(config, &client->config);
    if (rc != 0)
        rc = client_fail(error, rc, "%s", ks_err_text(rc));
    else
        rc = tls_context_new(client->config, &client->tls, error);
    if (rc != 0) {
        ks_client_free(client);
        return rc;
    }
    client->n_servers = config->n_servers;
    for (size_t i = 0; i < client->n_servers; i++)
        client->servers[i].address = config->servers[i];
    *ret = client;
    return 0;
}

void
ks_client_free(struct ks_client *client)
{
    if (client == NULL)
        return;
    for (size_t i = 0; i < client->n_servers; i++)
        pool_drop(client, i);
    tls_context_free(client->tls);
    ks_client_config_free(client->config);
    (void)pthread_mutex_destroy(&client->lock);
    free(client);
}

/* What went wrong with each server, for the message when all have failed. */
struct failures {
    char text[sizeof(((struct ks_error *)NULL)->message)];
    int code;
    size_t n;
};

static void
note(struct failures *failures, const struct ks_error *error, const char *server)
{
    const size_t used = strlen(failures->text);
    snprintf(failures->text + used, sizeof(failures->text) - used, "%s%s: %s", failures->n > 0 ? "; " : "", server,
             error->message);
    /* Servers that failed in different ways have in common that none could be reached. */
    failures->code = failures->n == 0 || failures->code == error->code ? error->code : KS_E_CONNECT;
    failures->n++;
}

/*
 * A connection to the server and the version to speak on it. Looking up, connecting, shaking hands and agreeing on a
 * version have connect_timeout together. ret_reused, which is set in any case: it is one that was used before.
 */
static int
open_conn(struct ks_client *client, struct client_step *step, bool fresh, const struct client_wait *wait,
          bool *ret_reused, struct conn **ret, struct ks_error *error)
{
    const struct client_server *server = &client->servers[step->server];
    const struct client_wait share = client_wait_within(wait, client->config->connect_timeout_ms);
    KS_CLEANUP(conn_closep) struct conn *conn = fresh ? NULL : pool_take(client, step->server);
    *ret_reused = conn != NULL;
    if (conn == NULL) {
        const char *name = client->config->server_name;
        KS_TRY(
            conn_open(&server->address, name != NULL ? name : server->address.host, client->tls, &share, &conn, error));
    }
    if (step->negotiate && !pool_version(client, step->server, &step->version)) {
        bool sure = false;
        KS_TRY(client_negotiate(client, conn, &share, &step->version, &sure, error));
        if (sure)
            pool_set_version(client, step->server, step->version);
    }
    *ret = conn;
    conn = NULL;
    return 0;
}

enum verdict { DONE, NEXT_SERVER };

/*
 * One server: with an idle connection if there is one, and with a fresh one if that turns out to be broken. DONE:
 * *ret_rc is the result of the call.
 */
static enum verdict
try_server(struct ks_client *client, struct client_step *step, const struct client_wait *wait,
           const struct client_wait *whole, int *ret_rc, struct ks_error *error)
{
    for (bool fresh = false;; fresh = true) {
        KS_CLEANUP(conn_closep) struct conn *conn = NULL;
        bool reused = false;
        step->outcome = CLIENT_NOT_PROCESSED;
        int rc = client_wait_fd(whole, -1, 0);
        if (rc != 0)
            rc = client_fail(error, rc, "%s", ks_err_text(rc));
        if (rc == 0)
            rc = open_conn(client, step, fresh, wait, &reused, &conn, error);
        if (rc != 0 && reused && rc != KS_E_CANCELLED && rc != KS_E_TIMEOUT)
            continue; /* it broke while the version was asked for: a fresh one tells */
        if (rc != 0) {
            pool_mark(client, step->server, rc == KS_E_CANCELLED);
            *ret_rc = rc;
            return rc == KS_E_CANCELLED || rc == KS_E_NOMEM || client_wait_left(whole) == 0 ? DONE : NEXT_SERVER;
        }
        step->outcome = CLIENT_UNKNOWN;
        step->conn_ok = true;
        rc = step->run(step, conn, wait, error);
        *ret_rc = rc;
        if (rc == 0 || step->outcome == CLIENT_FINAL || step->conn_ok) {
            if (step->conn_ok) {
                pool_give(client, step->server, conn);
                conn = NULL;
            }
            pool_mark(client, step->server, step->outcome != CLIENT_NOT_PROCESSED);
            return step->outcome == CLIENT_NOT_PROCESSED && rc != 0 ? NEXT_SERVER : DONE;
        }
        pool_drop(client, step->server);
        pool_forget_version(client, step->server); /* it may have been replaced by another release */
        if (step->outcome == CLIENT_UNKNOWN && !step->repeatable) {
            error->maybe_done = true;
            return DONE;
        }
        if (rc == KS_E_CANCELLED || rc == KS_E_NOMEM || client_wait_left(whole) == 0) {
            error->maybe_done = step->outcome == CLIENT_UNKNOWN;
            return DONE;
        }
        if (!reused || fresh || rc == KS_E_TIMEOUT) {
            pool_mark(client, step->server, false);
            return NEXT_SERVER;
        }
    }
}

int
client_run(struct ks_client *client, const struct ks_call *call, struct client_step *step, struct ks_error *error)
{
    const struct client_wait whole = client_wait_begin(call, client->config->request_timeout_ms);
    size_t order[CLIENT_MAX_SERVERS];
    pool_order(client, order);
    struct failures failures = {0};
    step->client = client;
    for (size_t i = 0; i < client->n_servers; i++) {
        step->server = order[i];
        const char *name = client->servers[step->server].address.text;
        snprintf(error->server, sizeof(error->server), "%s", name);
        /* A request that may be repeated waits for each server its share of the time; any other has one chance. */
        const struct client_wait wait =
            step->repeatable ? client_wait_within(&whole, client_wait_left(&whole) / (int64_t)(client->n_servers - i))
                             : whole;
        int rc = 0;
        if (try_server(client, step, &wait, &whole, &rc, error) == DONE) {
            if (rc == 0)
                return 0;
            if (step->outcome != CLIENT_FINAL)
                client_error_prefix(error, "%s: ", name);
            if (error->maybe_done)
                client_error_prefix(error, "the request may have been carried out (look before repeating it): ");
            return rc;
        }
        note(&failures, error, name);
    }
    return client_fail(error, failures.code, "%s", failures.text);
}
