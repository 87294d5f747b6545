/* Listeners and what waits to be sent to them, as the engine holds it; what it means is in outbox.h. */
#pragma once

#include "base/mem.h"
#include "kmip/kmip.h"
#include "server/engine/engine.h"

enum {
    OUTBOX_MOST = 4096,       /* notices in all */
    OUTBOX_CLIENT_MOST = 256, /* of one client */
    OUTBOX_ATTRS_MOST = 64,   /* attributes of one notice: beyond them it says Last Change Date alone */
    OUTBOX_TRIES = 12,        /* of one notice, before it is given up */
    OUTBOX_WAIT_MOST_S = 300, /* between two tries; the first wait is a second */
    LISTENER_ADDRESS_MAX = 63,
};

enum { LISTENER_NOTIFY = 1, LISTENER_PUT = 2, LISTENER_OWN = 4 /* also of what the client did itself */ };

/* Of a client. */
struct listener {
    char address[LISTENER_ADDRESS_MAX + 1]; /* "": at its end of a connection whose roles it turned */
    uint8_t wants;                          /* LISTENER_* */
    enum kmip_version version;              /* of the messages */
    int64_t due;                            /* nothing is sent before, in seconds: the last try failed */
    unsigned failures;                      /* in a row */
    size_t n_notices;
    bool full; /* and it is on record that something was left out */
};

/* Something to be sent: never changed once made, replaced as a whole, but for its place and its tries. */
struct notice {
    struct notice *next;
    uint64_t id;
    struct client *client;
    bool put;     /* Put of the object; else Notify */
    bool sending; /* it is under way */
    unsigned tries;
    char uid[37];   /* of the object */
    uint8_t *attrs; /* Notify: which changed; allocated */
    size_t attrs_len;
};

struct outbox {
    struct notice *first, **last; /* in the order in which they are to be sent */
    size_t n;
    uint64_t next_id;
    struct {
        uint64_t id; /* 0: none */
        const struct client *client;
    } sending[ENGINE_NOTICES_MOST]; /* what is under way to addresses; one at a time to each client */
};
