/*
 * getaddrinfo can take minutes and cannot be interrupted, so names are looked up in a thread that may outlive the wait:
 * whoever is last, thread or waiter, frees what they share. Addresses in numbers are turned at once.
 */
#include "client/resolve.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/file.h"
#include "client/alloc.h"
#include "client/error.h"

struct client_resolved {
    atomic_int holders;
    int done; /* eventfd: readable when code and list are there; -1: no thread was needed */
    int code; /* of getaddrinfo */
    struct addrinfo *list;
    struct client_address address;
};

static int
look_up(const struct client_address *address, int flags, struct addrinfo **ret)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    return getaddrinfo(address->host, address->port, &hints, ret);
}

void
client_resolved_free(struct client_resolved *resolved)
{
    if (resolved == NULL || atomic_fetch_sub(&resolved->holders, 1) > 1)
        return;
    if (resolved->list != NULL)
        freeaddrinfo(resolved->list);
    ks_closep(&resolved->done);
    free(resolved);
}

static void *
run(void *arg)
{
    struct client_resolved *resolved = arg;
    resolved->code = look_up(&resolved->address, AI_ADDRCONFIG, &resolved->list);
    const uint64_t one = 1;
    (void)!write(resolved->done, &one, sizeof(one)); /* an eventfd at 0 takes it */
    client_resolved_free(resolved);
    return NULL;
}

/* A detached thread with all signals blocked, so that none of the program's handlers runs in it. */
static int
start(struct client_resolved *resolved)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return KS_E_NOMEM;
    sigset_t all;
    sigfillset(&all);
    pthread_t thread;
    atomic_fetch_add(&resolved->holders, 1);
    const bool started = pthread_attr_setsigmask_np(&attr, &all) == 0 &&
                         pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 &&
                         pthread_create(&thread, &attr, run, resolved) == 0;
    (void)pthread_attr_destroy(&attr);
    if (!started) {
        atomic_fetch_sub(&resolved->holders, 1);
        return KS_E_NOMEM;
    }
    return 0;
}

static int
refuse(const struct client_resolved *resolved, int code, struct ks_error *error)
{
    if (code == EAI_MEMORY)
        return client_fail(error, KS_E_NOMEM, "out of memory");
    return client_fail(error, KS_E_CONNECT, "cannot find host %s: %s; check the name and the name service",
                       resolved->address.host, gai_strerror(code));
}

int
client_resolve(const struct client_address *address, const struct client_wait *wait, struct client_resolved **ret,
               struct ks_error *error)
{
    KS_CLEANUP(client_resolved_freep) struct client_resolved *resolved = client_alloc(sizeof(*resolved));
    if (resolved == NULL)
        return client_fail(error, KS_E_NOMEM, "out of memory");
    atomic_init(&resolved->holders, 1);
    resolved->done = -1;
    resolved->address = *address;
    resolved->code = look_up(address, AI_NUMERICHOST, &resolved->list);
    if (resolved->code == EAI_NONAME) {
        resolved->list = NULL;
        resolved->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (resolved->done < 0 || start(resolved) != 0)
            return client_fail(error, KS_E_NOMEM, "cannot look up %s: no thread or file descriptor left",
                               address->host);
        const int rc = client_wait_fd(wait, resolved->done, POLLIN);
        if (rc != 0)
            return client_fail(error, rc, "looking up host %s: %s", address->host, ks_err_text(rc));
        uint64_t one;
        (void)!read(resolved->done, &one, sizeof(one)); /* orders what the thread wrote before what is read now */
    }
    if (resolved->code != 0)
        return refuse(resolved, resolved->code, error);
    *ret = resolved;
    resolved = NULL;
    return 0;
}

const struct addrinfo *
client_resolved_first(const struct client_resolved *resolved)
{
    return resolved->list;
}
