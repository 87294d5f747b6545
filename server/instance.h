/*
 * A new instance: everything that `keystead init` makes, or nothing.
 *
 *   keystead.conf            the server's configuration
 *   ca.pem                   the certificate of the instance's authority, for clients; its key is sealed in the store
 *   server.pem, server.key   the TLS server's
 *   admin.pem, admin.key     the first administrator's
 *   client.conf              for the command line, as that administrator
 *   root.key                 opens the store; with a passphrase instead: root.params, which is no secret
 *   store.db, audit/         objects and trail
 */
#pragma once

#include "base/mem.h"

struct instance_settings {
    const char *dir;          /* must not exist */
    const char *listen;       /* "127.0.0.1:5696" */
    const char *listen_https; /* NULL: KMIP is not served over HTTPS */
    const char *const *names; /* further names and addresses for the server's certificate */
    size_t n_names;
    const char *node;          /* NULL: the host's name */
    const char *profile;       /* of algorithms; NULL: the default */
    struct ks_span passphrase; /* empty: a root key file */
};

/* KS_E_EXISTS, KS_E_CONFIG (listen), KS_E_IO, ... On failure nothing is left behind. */
int instance_create(const struct instance_settings *settings, struct ks_diag *diag) KS_MUST_CHECK;
