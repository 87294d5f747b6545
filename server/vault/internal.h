/* What the parts of the vault know of each other: vault.c (loop, states), channel.c (net workers), notices.c (the
 * notifier), turned.c (clients that serve), unlock.c, trust.c, sealed.c, answer.c.
 */
#pragma once

#include "server/audit/audit.h"
#include "server/engine/engine.h"
#include "server/frame.h"
#include "server/vault/committer.h"
#include "server/vault/prepare.h"
#include "server/vault/sealed.h"
#include "server/vault/tries.h"
#include "server/vault/vault.h"

enum vault_state { VAULT_SEALED, VAULT_OPEN, VAULT_FAILED };

struct vault;

/* A request that waits behind a slow one of its connection. */
struct waiting {
    struct waiting *next;
    uint32_t sequence;
    struct ks_buf request;
    size_t bytes; /* in channel->bytes */
};

/* A peer of a net worker. */
struct peer {
    uint32_t id;
    struct ks_buf identity; /* what `who` points into */
    struct identity who;
    bool busy;             /* a slow request is being prepared */
    bool closed;           /* out of the channel's table; freed when not busy */
    bool dropped;          /* the engine wants it closed: requests are ignored until net closes it */
    bool turning;          /* its roles are to be turned: nothing more is taken from it as a client */
    struct turned *turned; /* NULL: it is the client of its connection */
    struct waiting *first, **last;
};

/* A peer that serves on its connection: what is known of it, and what it is asked. One request at a time. */
struct turned {
    struct turned *next;
    struct channel *channel;
    struct peer *peer;
    struct engine_endpoint endpoint;
    bool committing;     /* the request's record is not on stable storage yet */
    int64_t deadline_ms; /* 0: nothing is asked */
};

/* A net worker's end. */
struct channel {
    struct channel *next;
    struct vault *vault;
    int fd; /* -1: gone; freed when nothing is under way for it */
    struct ks_buf in, out;
    struct peer **peers;                    /* by slot: the low bits of the connection's number */
    size_t n_peers, n_open, identity_bytes; /* room for peers, those that there are, and what they are called */
    size_t under_way;                       /* jobs and tasks */
    size_t bytes;                           /* what requests that wait, and jobs, hold */
};

/* A request between the engine and its answer's way out. */
struct job {
    struct engine_reply reply; /* reply.job.owner is the job */
    struct job *next_free;
    struct channel *channel; /* NULL: nobody waits (transitions by date, start, stop) */
    uint32_t connection, sequence;
    size_t bytes;
    struct ks_span record; /* of an event of the vault's own */
    bool is_notice;        /* the response goes to the notifier */
    size_t notice;         /* which of those under way it is */
    bool is_ask;           /* the response is a request to a peer that serves */
};

/* The notifier's end, and what is under way: one message at a time to each listener. */
struct notices {
    int fd; /* -1: none */
    struct ks_buf in, out;
    struct {
        uint64_t id;     /* 0: nothing is under way */
        bool committing; /* it waits for its record */
        struct engine_notice to;
    } v[ENGINE_NOTICES_MOST];
};

struct task_owner {
    struct channel *channel;
    struct peer *peer;
    uint32_t sequence;
    size_t bytes; /* in channel->bytes */
};

struct vault {
    const struct server_config *config;
    int control;
    char node[256];
    enum vault_state state;
    bool failing; /* a commit failed: no frame is taken until all that was under way has come back */
    bool stopping;
    struct engine *engine;
    struct store *store;
    struct keyring *keyring;
    struct committer *committer;
    struct prepare_pool *pool;
    struct prepare_task *prepare_task; /* for the next asynchronous request; NULL: none at hand */
    struct channel *channels;
    struct notices notices;
    struct turned *turned;
    size_t n_turned;
    int64_t turned_ms; /* when they were last looked at */
    struct job *free_jobs;
    size_t n_free_jobs, under_way;         /* jobs at the committer */
    struct commit_job *batch, **batch_end; /* made in this round */
    int64_t tick_ms, retry_ms, said_ms;
    struct tries tries;       /* to unseal */
    struct sealed_log sealed; /* records that wait for the trail */
    uint64_t unserved;        /* requests answered with failure while storage fails: no record can be written */
};

/* Answers leave the vault in pieces of this; a channel with more waiting is not read. */
enum { PEERS_MOST = 1 << 20, IDENTITY_BYTES_MAX = 64 << 20, IDENTITY_ONE_MAX = 65536 };
enum { CHANNEL_READ = 262144, CHANNEL_OUT_MAX = 8 << 20, CHANNEL_JOBS_MAX = 8192, CHANNEL_BYTES_MAX = 64 << 20 };

/* vault.c */
struct job *vault_job(struct vault *v);              /* NULL: no memory */
void vault_finish(struct vault *v, struct job *job); /* a reply is made: commit it, or send it as the state allows */
/* An event of the vault's own, on stable storage when this returns 0. Only while nothing is under way. */
int vault_record(struct vault *v, const char *event, const char *message) KS_MUST_CHECK;
/* Records on stable storage when this returns 0. Only while nothing is under way. */
int vault_commit_records(struct vault *v, const struct ks_span *records, size_t n) KS_MUST_CHECK;

void vault_job_free(struct vault *v, struct job *job);

/* notices.c */
void notices_attach(struct vault *v, int fd); /* a notifier was started */
void notices_close(struct vault *v);
void notices_next(struct vault *v); /* something to send, if there is */
void notices_send(struct vault *v, const struct job *job, bool committed);
void notices_read(struct vault *v);
void notices_flush(struct vault *v);

/* channel.c */
int channel_add(struct vault *v, int fd) KS_MUST_CHECK;
void channel_close(struct channel *c); /* the net worker is gone or misbehaves */
void channel_reap(struct vault *v);    /* frees the channels that are closed and idle */
void channel_read(struct channel *c);
void channel_flush(struct channel *c);
bool channel_takes(const struct channel *c);
void channel_answer(struct channel *c, const struct job *job);
/* A frame without an answer; p NULL in the result: the peer is gone. */
struct peer *channel_peer(const struct channel *c, uint32_t connection);
void channel_tell(struct channel *c, enum frame_type type, uint32_t connection, struct ks_span body);
void channel_prepared(struct vault *v, struct prepare_task *task);

/* turned.c */
void turned_begin(struct vault *v, struct channel *c, struct peer *p, const struct engine_reply *reply);
void turned_end(struct vault *v, struct peer *p); /* the peer goes */
void turned_next(struct vault *v, int64_t now_ms);
void turned_send(struct vault *v, struct job *job, bool committed);
int turned_answer(struct vault *v, struct peer *p, struct ks_span answer) KS_MUST_CHECK;
void turned_forget(struct vault *v); /* all, without a word: the vault ends */

/* unlock.c */
/* Sealed to open. KS_E_SEALED: no root key is at hand; others: it is wrong, or something is damaged. */
int unlock(struct vault *v, struct ks_span passphrase, struct ks_diag *diag) KS_MUST_CHECK;
/* The engine's hook for Unseal; arg is the vault. KS_E_DENIED: wrong; KS_E_BUSY: too soon after the last attempt. */
int vault_unseal(void *arg, const struct identity *who, struct ks_span passphrase) KS_MUST_CHECK;

/* trust.c */
/* Takes over what the configuration says about trust; on failure what was in force stays. */
int trust_read(struct vault *v, const struct server_config *config, struct ks_diag *diag) KS_MUST_CHECK;

/* answer.c */
/* Makes every item of an answer a failure with this text; an answer that cannot be is emptied: the peer is dropped. */
void answer_fail(struct ks_buf *response, const char *message);
