/* What a client is told. The names and bounds are rows in client/config.def. */
#pragma once

#include <keystead/client.h>

#include "base/attr.h"
#include "base/err.h"

enum { CLIENT_MAX_SERVERS = 32, CLIENT_DEFAULT_PORT = 5696 };

struct client_address {
    char host[256];
    char port[8];
    char text[268]; /* "host:port", for people */
};

struct ks_client_config {
    struct client_address servers[CLIENT_MAX_SERVERS];
    size_t n_servers;
    char *ca, *certificate, *key, *server_name;
    int64_t connect_timeout_ms, request_timeout_ms, idle_timeout_ms;
    int64_t pool_size, max_response;
    enum kmip_version oldest, newest;
};

/* "host", "host:port", "[2001:db8::1]:port". KS_E_CONFIG. */
int client_address_parse(const char *text, struct client_address *ret, struct ks_error *error) KS_MUST_CHECK;

int client_config_copy(const struct ks_client_config *from, struct ks_client_config **ret) KS_MUST_CHECK;
