/*
 * The notifier: the process that sends Notify and Put to clients that listen (server/engine/outbox.h). It takes
 * finished messages from the vault, ENGINE_NOTICES_MOST at a time; for each it connects to an address that the
 * configuration has, with the server's certificate, sees that the one there is the client's own, sends, reads the
 * answer and reports. It decides nothing: the vault tries again or gives up. It holds no key but the TLS server's, and
 * no file.
 *
 *     KS_TRY(notifier_new(&settings, &notifier, diag));
 *     enter the sandbox
 *     notifier_run(notifier);                 // until the vault is gone
 */
#pragma once

#include <sys/socket.h>

#include "base/mem.h"

struct notifier;

struct notifier_address {
    const char *text; /* as the configuration has it; borrowed */
    struct sockaddr_storage address;
    socklen_t len;
};

struct notifier_settings {
    const struct notifier_address *addresses; /* to which connections may be made; borrowed */
    size_t n_addresses;
    const char *min_version;             /* of TLS */
    int vault;                           /* the notifier's end of its socket pair; taken over */
    struct ks_span certificate, key, ca; /* PEM; borrowed for the call */
};

int notifier_new(const struct notifier_settings *settings, struct notifier **ret, struct ks_diag *diag) KS_MUST_CHECK;
void notifier_free(struct notifier *notifier);

/* KS_E_CLOSED: the vault is gone; KS_E_MALFORMED: it sent what is no frame. */
int notifier_run(struct notifier *notifier) KS_MUST_CHECK;
