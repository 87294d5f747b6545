/* What the tests of the client's typed calls share: peers whose scripts look at requests. Include it once a program. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include <keystead/client.h>

#include "client_peer.h"

static struct world world;

#define assert_message(error, part)                                                                                    \
    do {                                                                                                               \
        if (strstr((error).message, (part)) == NULL)                                                                   \
            fail_msg("\"%s\" is not in \"%s\"", (part), (error).message);                                              \
    } while (0)

/* In the peer's threads an assertion of cmocka has nobody to go to: scripts count what they did not like. */
static atomic_int disliked;
#define EXPECT(x)                                                                                                      \
    do {                                                                                                               \
        if (!(x)) {                                                                                                    \
            fprintf(stderr, "%s:%d: the request is not as expected: %s\n", __FILE__, __LINE__, #x);                    \
            atomic_fetch_add(&disliked, 1);                                                                            \
        }                                                                                                              \
    } while (0)

static inline struct peer
start(peer_script *script, int newest)
{
    atomic_store(&disliked, 0);
    return (struct peer){.script = script, .cert = &world.server, .ca = &world.ca, .newest = newest};
}

static inline void
stop(struct peer *peer, struct ks_client *client)
{
    ks_client_free(client);
    peer_stop(peer);
    assert_int_equal(disliked, 0);
}

static inline void *
payload_of(const struct peer_request *request, size_t i)
{
    return request->message->batch_item[i]->payload;
}
