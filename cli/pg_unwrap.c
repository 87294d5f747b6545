/*
 * keystead pg unwrap: the helper that the layer runs at a start. It holds the code of TLS and KMIP, which the server
 * never does, and gives the data keys through the socket that it has as descriptor 3.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/pg.h"

static int
send_descriptor(struct cli *cli, int fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char one = 'K';
    struct iovec data = {&one, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    while (sendmsg(TDE_HELPER_FD, &message, MSG_NOSIGNAL) != 1)
        if (errno != EINTR)
            return cli_fail(cli, KS_E_IO, "cannot hand over the data keys: %s", strerror(errno));
    return 0;
}

static int
run(struct cli *cli)
{
    struct sockaddr_un peer = {0};
    socklen_t len = sizeof(peer);
    pg_harden();
    if (getsockname(TDE_HELPER_FD, (struct sockaddr *)&peer, &len) != 0 || peer.sun_family != AF_UNIX)
        return cli_fail(cli, KS_E_INVALID,
                        "this is run by the encryption layer, which gives it a socket as descriptor %d; people use: "
                        "keystead pg exec",
                        TDE_HELPER_FD);
    KS_CLEANUP(pg_ring_done) struct pg_ring ring = PG_RING;
    KS_CLEANUP(ks_closep) int fd = -1;
    KS_TRY(pg_ring_read(cli, cli_value(cli, "data"), &ring));
    KS_TRY(pg_ring_unlock(cli, &ring, true));
    KS_TRY(pg_bundle(cli, &ring, &fd));
    return send_descriptor(cli, fd);
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "the data directory"},
};

const struct cli_command cli_pg_unwrap = {
    .name = "pg unwrap",
    .args = "",
    .hidden = true,
    .summary = "give the layer the data keys of a cluster that starts",
    .details =
        "Run by libkeystead_tde.so, not by people: see docs/keyring.md. The data keys go through the socket that it\n"
        "has as descriptor 3, in a sealed file in memory. What went wrong is one line.",
    .examples = "  keystead pg unwrap --data /var/lib/postgresql/15/main\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
