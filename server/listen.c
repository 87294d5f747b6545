#include "server/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"

enum { BACKLOG = 1024 };

/* "HOST:PORT" with HOST an address in numbers, in brackets for IPv6. */
int
listen_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len, struct ks_diag *diag)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : 0;
    const char *from = text;
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        from++;
        len -= 2;
    }
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    if (len > 0 && len < sizeof(host)) {
        memcpy(host, from, len);
        host[len] = '\0';
        if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
            found = NULL;
    }
    if (found == NULL)
        return ks_fail(diag, KS_E_CONFIG,
                       "\"%s\" is no address with a port; write 192.0.2.1:5696 or [2001:db8::1]:5696", text);
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    *ret_len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int
open_one(const char *name, int *ret, struct ks_diag *diag)
{
    static const int on = 1, idle_seconds = 60;
    struct sockaddr_storage address;
    socklen_t len = 0;
    KS_TRY(listen_parse(name, &address, &len, diag));
    KS_CLEANUP(ks_closep) int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "%s: no socket", name);
    /* Accepted sockets inherit these, which saves the net workers the calls. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof(idle_seconds)) != 0)
        return ks_fail_errno(diag, KS_E_IO, errno, "%s: cannot set up the socket", name);
    if (bind(fd, (const struct sockaddr *)&address, len) != 0 || listen(fd, BACKLOG) != 0)
        return errno == EADDRINUSE
                   ? ks_fail(
                         diag, KS_E_BUSY,
                         "cannot listen on %s: the address is in use. Does this server run already? If not, end what "
                         "has the address, or change listen in keystead.conf",
                         name)
                   : ks_fail_errno(diag, KS_E_IO, errno, "cannot listen on %s", name);
    *ret = fd;
    fd = -1; /* handed over; NOLINT(clang-analyzer-deadcode.DeadStores): the cleanup reads it */
    return 0;
}

static int
find(const struct listeners *listeners, const char *name)
{
    for (size_t i = 0; i < listeners->n; i++)
        if (strcmp(listeners->names[i], name) == 0)
            return (int)i;
    return -1;
}

static int
open_list(const struct config_list *addresses, bool https, const struct listeners *before, struct listeners *opened,
          struct ks_diag *diag)
{
    for (size_t i = 0; i < addresses->n; i++) {
        const char *name = addresses->v[i];
        if (opened->n == LISTENERS_MAX)
            return ks_fail(diag, KS_E_CONFIG, "server.listen and server.listen_https: at most %d addresses together",
                           LISTENERS_MAX);
        if (find(opened, name) >= 0)
            return ks_fail(diag, KS_E_CONFIG, "server.listen and server.listen_https name %s twice", name);
        const int at = before != NULL ? find(before, name) : -1;
        int fd = at >= 0 ? fcntl(before->fds[at], F_DUPFD_CLOEXEC, 3) : -1;
        if (fd < 0)
            KS_TRY(open_one(name, &fd, diag));
        opened->fds[opened->n] = fd;
        opened->https[opened->n] = https;
        opened->names[opened->n++] = strdup(name);
        if (opened->names[opened->n - 1] == NULL)
            return ks_fail(diag, KS_E_NOMEM, "%s", ks_err_text(KS_E_NOMEM));
    }
    return 0;
}

int
listeners_open(const struct config_list *kmip, const struct config_list *https, const struct listeners *before,
               struct listeners *ret, struct ks_diag *diag)
{
    KS_CLEANUP(listeners_close) struct listeners opened = {.n = 0};
    KS_TRY(open_list(kmip, false, before, &opened, diag)); /* NOLINT(clang-analyzer-unix.Malloc): cleaned up */
    if (https != NULL)
        KS_TRY(open_list(https, true, before, &opened, diag)); /* NOLINT(clang-analyzer-unix.Malloc): the same */
    *ret = opened;
    opened.n = 0; /* handed over */
    return 0;
}

void
listeners_close(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->n; i++) {
        free(listeners->names[i]);
        ks_closep(&listeners->fds[i]);
    }
    listeners->n = 0;
}
