#include "client/pool.h"

#include "base/text.h"

static void
lock(struct ks_client *client)
{
    (void)pthread_mutex_lock(&client->lock); /* cannot fail: a plain mutex, never held twice */
}

static void
unlock(struct ks_client *client)
{
    (void)pthread_mutex_unlock(&client->lock);
}

static struct conn *
pop(struct ks_client *client, size_t server)
{
    lock(client);
    struct client_server *s = &client->servers[server];
    struct conn *conn = s->idle;
    if (conn != NULL) {
        s->idle = conn->next;
        s->n_idle--;
        conn->next = NULL;
    }
    unlock(client);
    return conn;
}

struct conn *
pool_take(struct ks_client *client, size_t server)
{
    struct conn *conn;
    while ((conn = pop(client, server)) != NULL) {
        if (ks_monotonic_ms() - conn->idle_since_ms < client->config->idle_timeout_ms && tls_is_fresh(conn->tls))
            return conn;
        conn_close(conn); /* the newest is stale; those beneath are older, and are looked at in turn */
    }
    return NULL;
}

void
pool_give(struct ks_client *client, size_t server, struct conn *conn)
{
    conn->idle_since_ms = ks_monotonic_ms();
    lock(client);
    struct client_server *s = &client->servers[server];
    if ((int64_t)s->n_idle < client->config->pool_size) {
        conn->next = s->idle;
        s->idle = conn;
        s->n_idle++;
        conn = NULL;
    }
    unlock(client);
    conn_close(conn);
}

void
pool_drop(struct ks_client *client, size_t server)
{
    struct conn *conn;
    while ((conn = pop(client, server)) != NULL)
        conn_close(conn);
}

void
pool_order(struct ks_client *client, size_t *ret)
{
    const int64_t now = ks_monotonic_ms();
    size_t n = 0;
    lock(client);
    for (int dead = 0; dead < 2; dead++)
        for (size_t i = 0; i < client->n_servers; i++)
            if ((client->servers[i].dead_until_ms > now) == (dead == 1))
                ret[n++] = i;
    unlock(client);
}

void
pool_mark(struct ks_client *client, size_t server, bool alive)
{
    lock(client);
    client->servers[server].dead_until_ms = alive ? 0 : ks_monotonic_ms() + CLIENT_DEAD_MS;
    unlock(client);
}

bool
pool_version(struct ks_client *client, size_t server, enum kmip_version *ret)
{
    lock(client);
    const bool known = client->servers[server].knows_version;
    if (known)
        *ret = client->servers[server].version;
    unlock(client);
    return known;
}

void
pool_set_version(struct ks_client *client, size_t server, enum kmip_version version)
{
    lock(client);
    client->servers[server].knows_version = true;
    client->servers[server].version = version;
    unlock(client);
}

void
pool_forget_version(struct ks_client *client, size_t server)
{
    lock(client);
    client->servers[server].knows_version = false;
    unlock(client);
}
