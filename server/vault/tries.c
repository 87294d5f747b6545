#include "server/vault/tries.h"

#include <string.h>

static size_t
find(const struct tries *tries, const uint8_t fingerprint[32])
{
    size_t i = 0;
    while (i < tries->n && memcmp(tries->v[i].fingerprint, fingerprint, 32) != 0)
        i++;
    return i;
}

bool
tries_may(const struct tries *tries, const uint8_t fingerprint[32], int64_t now_ms)
{
    const size_t i = find(tries, fingerprint);
    return now_ms >= tries->next_ms && (i == tries->n || now_ms - tries->v[i].failed_ms >= tries->v[i].wait_ms);
}

/* A place for who is not there yet: a free one, or that of the oldest failure. */
static size_t
place_for(struct tries *tries, const uint8_t fingerprint[32])
{
    size_t at = 0;
    if (tries->n < TRIES_MOST)
        at = tries->n++;
    else
        for (size_t i = 1; i < tries->n; i++)
            if (tries->v[i].failed_ms < tries->v[at].failed_ms)
                at = i;
    memcpy(tries->v[at].fingerprint, fingerprint, 32);
    tries->v[at].failed_ms = tries->v[at].wait_ms = 0;
    return at;
}

void
tries_made(struct tries *tries, const uint8_t fingerprint[32], bool wrong, int64_t now_ms)
{
    tries->next_ms = now_ms + TRIES_PAUSE_MS;
    if (!wrong)
        return;
    size_t i = find(tries, fingerprint);
    if (i == tries->n)
        i = place_for(tries, fingerprint);
    const int64_t longer = 2 * tries->v[i].wait_ms;
    const bool forgotten = now_ms - tries->v[i].failed_ms >= TRIES_FORGET_MS;
    tries->v[i].wait_ms = longer == 0 || forgotten    ? TRIES_FIRST_MS
                          : longer < TRIES_LONGEST_MS ? longer
                                                      : TRIES_LONGEST_MS;
    tries->v[i].failed_ms = now_ms;
}
