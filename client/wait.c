#include "client/wait.h"

#include <errno.h>
#include <poll.h>

#include "base/text.h"

/* How long at most between two looks at ks_call.interrupted. */
enum { SLICE_MS = 50 };

struct client_wait
client_wait_begin(const struct ks_call *call, int64_t fallback_ms)
{
    int64_t ms = call != NULL && call->timeout_ms > 0 ? call->timeout_ms : fallback_ms;
    const int64_t now = ks_monotonic_ms();
    if (ms > INT64_MAX - now)
        ms = INT64_MAX - now;
    return (struct client_wait){.until_ms = now + ms, .call = call};
}

struct client_wait
client_wait_within(const struct client_wait *wait, int64_t ms)
{
    struct client_wait within = *wait;
    const int64_t until = ks_monotonic_ms() + ms;
    if (until < within.until_ms)
        within.until_ms = until;
    return within;
}

int64_t
client_wait_left(const struct client_wait *wait)
{
    const int64_t left = wait->until_ms - ks_monotonic_ms();
    return left > 0 ? left : 0;
}

static bool
interrupted(const struct ks_call *call)
{
    return call != NULL && call->interrupted != NULL && call->interrupted(call->interrupted_arg) != 0;
}

int
client_wait_fd(const struct client_wait *wait, int fd, short events)
{
    for (;;) {
        if (interrupted(wait->call))
            return KS_E_CANCELLED;
        const int64_t left = client_wait_left(wait);
        if (fd < 0)
            return left > 0 ? 0 : KS_E_TIMEOUT;
        int64_t slice = left < 3600000 ? left : 3600000;
        if (wait->call != NULL && wait->call->interrupted != NULL && slice > SLICE_MS)
            slice = SLICE_MS;
        struct pollfd p = {.fd = fd, .events = events};
        const int n = poll(&p, 1, (int)slice); /* also with nothing left: what is there already counts */
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return KS_E_IO;
        if (n == 0 && left == 0)
            return KS_E_TIMEOUT;
    }
}
