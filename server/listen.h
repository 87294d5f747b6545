/* Listening sockets from addresses in text: "192.0.2.1:5696", "[2001:db8::1]:5696". */
#pragma once

#include "server/config.h"

enum { LISTENERS_MAX = 16 };

struct listeners {
    char *names[LISTENERS_MAX];
    int fds[LISTENERS_MAX];
    bool https[LISTENERS_MAX]; /* what is spoken there: KMIP over HTTPS, or over TLS alone */
    size_t n;
};

/*
 * Opens what the lists name; https may be NULL. A socket of `before` (may be NULL) with the same address is used again
 * (duplicated), so that no connection is lost in a reload. KS_E_CONFIG, KS_E_IO, KS_E_BUSY (address in use).
 */
int listeners_open(const struct config_list *kmip, const struct config_list *https, const struct listeners *before,
                   struct listeners *ret, struct ks_diag *diag) KS_MUST_CHECK;
/* "HOST:PORT" with HOST an address in numbers, in brackets for IPv6. KS_E_CONFIG. */
struct sockaddr_storage;
int listen_parse(const char *text, struct sockaddr_storage *ret, unsigned *ret_len, struct ks_diag *diag) KS_MUST_CHECK;
void listeners_close(struct listeners *listeners);
