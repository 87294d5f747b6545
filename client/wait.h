/* Waiting with a deadline that the caller can end. */
#pragma once

#include <keystead/client.h>

#include "base/attr.h"

struct client_wait {
    int64_t until_ms;           /* monotonic */
    const struct ks_call *call; /* may be NULL */
};

/* The wait for a call; fallback_ms is for calls that say nothing. */
struct client_wait client_wait_begin(const struct ks_call *call, int64_t fallback_ms);

/* The same, but over in at most ms. */
struct client_wait client_wait_within(const struct client_wait *wait, int64_t ms);

/* Milliseconds left, 0 at least. */
int64_t client_wait_left(const struct client_wait *wait);

/*
 * Until fd has one of events (of poll), or an error that the next read or write will tell. KS_E_TIMEOUT,
 * KS_E_CANCELLED, KS_E_IO. fd -1: only looks whether the wait is over.
 */
int client_wait_fd(const struct client_wait *wait, int fd, short events) KS_MUST_CHECK;
