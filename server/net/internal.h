/* What worker.c (loop, vault, listeners, time) and conn.c (one connection) know of each other. */
#pragma once

#include <event2/event.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "server/frame.h"
#include "server/net/addresses.h"
#include "server/net/http.h"
#include "server/net/tls.h"
#include "server/net/worker.h"

enum drain { DRAIN_NO, DRAIN_IDLE /* reload */, DRAIN_STOP };

enum conn_state {
    CONN_HANDSHAKE,
    CONN_OPEN,
    CONN_LINGER, /* our side is closed; what still comes is thrown away, so that no reset overtakes the last answer */
};

struct conn {
    struct net_worker *worker;
    struct tls_conn *tls;
    struct event *event_read, *event_write;
    struct http_reader *http; /* NULL: KMIP without HTTP */
    struct address *address;
    struct sockaddr_storage peer;
    int fd;
    uint32_t id; /* slot and generation */
    uint32_t next_sequence;
    size_t in_flight;     /* requests at the vault */
    struct ks_buf in;     /* plaintext: whole requests that must wait, and the last one's beginning */
    struct ks_buf out;    /* plaintext: answers not yet encrypted, always whole messages */
    struct ks_buf cipher; /* bytes for the peer that the socket did not take */
    size_t accounted;     /* of the buffers' memory, in worker->memory */
    int64_t since_ms;     /* connected, or lingering since */
    int64_t active_ms;    /* last request or answer */
    int64_t partial_ms;   /* a request began to arrive and is not whole; 0: none */
    int64_t stalled_ms;   /* the peer takes nothing since; 0: nothing waits */
    TAILQ_ENTRY(conn) dirty_link, handshake_link;
    uint8_t state;         /* enum conn_state */
    bool known;            /* the vault was told of it */
    bool reading, writing; /* events in force */
    bool dirty, queued;    /* in the worker's lists */
    bool refused;          /* no further request is taken: close when all is answered */
    bool eof;              /* the peer sends no more */
    bool stranger;         /* counted in worker->n_strangers */
    bool turned;           /* its roles are turned: it is sent requests, and answers */
    bool asked;            /* one is not answered yet */
};

TAILQ_HEAD(conn_list, conn);

/* One read of a connection, decrypted: large enough for a full socket buffer's worth of records. */
enum { READ_MAX = 65536, CIPHER_BATCH = 262144, VAULT_READ = 262144, VAULT_BACKLOG = 4 << 20 };

struct net_worker {
    const struct server_config *config;
    struct event_base *base;
    struct tls_server *tls;
    struct addresses *addresses;
    struct listener {
        struct net_worker *worker;
        struct event *event;
        bool https;
    } listeners[16];
    size_t n_listeners;
    bool listening;
    struct event *vault_read, *vault_write, *post, *post_later, *sweep, *sig_term, *sig_usr1;
    int vault;
    bool vault_writing, vault_full, posted;
    struct ks_buf to_vault, from_vault;

    struct conn **slots;
    uint32_t *generations;
    uint32_t *free_slots; /* a ring: the slot that was freed longest ago is used next */
    size_t n_slots, free_head, n_conns, n_handshakes;
    struct conn_list dirty, handshakes;
    size_t memory;            /* of all connections' buffers */
    size_t n_strangers;       /* connections without a certificate, for enrolment */
    int64_t strangers_due_ms; /* a bucket that leaks: the time up to which those that were let in have used it up */

    enum drain drain;
    int64_t now_ms, drain_ms;
    int64_t said_ms; /* last line about strangers */
    unsigned unsaid;
    int rc;
    uint8_t received[READ_MAX], plain[READ_MAX];
    struct ks_buf scratch; /* ciphertext of one connection's answers on the way to send() */
};

enum { SLOT_BITS = 20, SLOT_MASK = (1 << SLOT_BITS) - 1 };

/* conn.c */
void net_conn_accept(struct net_worker *w, int fd, const struct sockaddr_storage *peer, bool https);
void net_conn_free(struct conn *c);                        /* closes at once; the vault is told */
void net_conn_answer(struct conn *c, struct ks_span body); /* one message from the vault */
void net_conn_drop(struct conn *c);    /* the vault wants it closed once what is pending is written */
void net_conn_flush(struct conn *c);   /* may free it */
void net_conn_receive(struct conn *c); /* reads what came; may free it */
void net_conn_resume(struct conn *c);  /* the vault takes requests again; may free it */
void net_conn_sweep(struct conn *c);   /* what time and draining have to say; may free it */

/* Whether another request may go to the vault, and sending it: one more is in flight then. */
bool net_conn_may_ask(const struct conn *c);
void net_conn_ask(struct conn *c, enum frame_type type, struct ks_span body);

void net_conn_tell(struct conn *c, enum frame_type type, struct ks_span body); /* to the vault, unanswered */

/* conn_turned.c */
void net_turned_ask(struct conn *c, struct ks_span body); /* a request from the vault; may free it */
/* As take_requests of conn.c, of answers. */
size_t net_turned_take(struct conn *c, struct ks_span bytes);

/* conn_http.c */
int net_http_new(struct conn *c) KS_MUST_CHECK;
void net_http_free(struct conn *c);
/* As take_requests of conn.c: takes what may be taken from the front of bytes; returns how many were used. */
size_t net_http_take(struct conn *c, struct ks_span bytes);
int net_http_answer(struct conn *c, struct ks_span ttlv) KS_MUST_CHECK; /* one message from the vault */
void net_http_refuse(struct conn *c, int status, const char *why);      /* answers, and takes nothing more */

/* worker.c */
void worker_post(struct net_worker *w); /* flush what is dirty before the loop sleeps */
void worker_mark_dirty(struct conn *c);
void worker_queue_handshake(struct conn *c);
int worker_attach(struct net_worker *w, struct conn *c) KS_MUST_CHECK; /* gives it an id; KS_E_LIMIT */
void worker_detach(struct conn *c);
void worker_check_listeners(struct net_worker *w);
/* A line about a peer: strangers can cause these, so there is at most one a second. */
void worker_log_peer(struct conn *c, const char *what);
