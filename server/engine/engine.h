/*
 * The engine: the one door. Everything that touches a key or a policy is engine_handle(identity, request) ->
 * (response, changes, audit records). No network, no files, no clock, no random source but what it is given.
 *
 * The engine's memory (objects, clients) is changed at once; the change is durable, and the reply may leave, only when
 * the caller has committed reply->job. If that fails the caller calls engine_load again: memory is built anew from the
 * store. Every reply waits for the jobs before it, so no reply shows a state that a crash could take back.
 */
#pragma once

#include "base/mem.h"
#include "server/identity.h"
#include "server/vault/committer.h"
#include "store/keyring.h"
#include "store/store.h"

struct engine;

/* What may be done with which algorithms (server/engine/profile.h). */
enum profile {
#define PROFILE(NAME, text) PROFILE_##NAME,
#define PROFILE_ROW(KIND, VALUE, LEAST, MOST, FIPS, CNSA2, COMPAT)
#include "server/engine/profile.def"
#undef PROFILE_ROW
#undef PROFILE
    PROFILE_COUNT
};
/* The profile of that name; false: there is none. "fips", "cnsa2", "compat". */
bool profile_find(const char *name, enum profile *ret);
const char *profile_name(enum profile profile);

struct engine_env {
    void *arg;
    int64_t (*now_us)(void *arg);                    /* wall clock */
    int (*random)(void *arg, void *ret, size_t len); /* cryptographically strong */
};

/* KMIP 3.0, which is no standard yet: answered where it is asked for; not at all; answered and offered. */
enum engine_kmip_3_0 { ENGINE_3_0_UNANNOUNCED, ENGINE_3_0_OFF, ENGINE_3_0_ON };

struct engine_config {
    struct ks_span node;          /* name of this server */
    size_t max_response;          /* bytes; 0: 1 MiB */
    int64_t default_lease_s;      /* Lease Time of new objects; 0: 3600 */
    const char *const *listeners; /* addresses that clients may listen at (Listener Set); borrowed */
    size_t n_listeners;
    bool refuse_past_activation; /* else an Activation Date in the past makes a new object Active at once (KMIP) */
    enum profile profile;        /* of algorithms; 0: fips */
    enum engine_kmip_3_0 kmip_3_0;
    size_t search_most;    /* objects that the searches of one request look at before more are refused; 0: 2^20 */
    size_t object_memory;  /* bytes for objects and their indexes, beyond which they are read back; 0: all */
    int64_t batch_us;      /* after so long no further item of a batch is begun; 0: one second */
    bool prepares;         /* the caller makes slow keys in other threads: engine_async_slow */
    int64_t token_s;       /* validity of an enrolment token; 0: 3600 */
    int64_t certificate_s; /* validity of a client's certificate; 0: 365 days */
    /* Unseals the instance with the passphrase, calling engine_load; KS_E_DENIED: wrong. NULL: Unseal is not offered.
     */
    int (*unseal)(void *arg, const struct identity *who, struct ks_span passphrase);
    void *unseal_arg;
};

struct engine_prepared;

/* A reply and everything that must be durable before it leaves. Reusable: engine_reply_reset wipes it. */
struct engine_reply {
    struct ks_buf response; /* TTLV; empty: drop the connection without an answer */
    bool drop;              /* close the connection after the answer */
    bool turns;             /* after the answer the client serves on its connection: engine_ask */
    int turned_version;     /* enum kmip_version in which it is asked then */
    struct commit_job job;  /* changes and audit records, owned by the reply's arena and buffers */
    struct ks_arena arena;
    struct ks_buf audit; /* text of the records */
    /* Not NULL: there is no reply yet, and nothing to commit. See engine_prepare_more. */
    struct engine_prepared *wanted;
};
int engine_reply_init(struct engine_reply *reply) KS_MUST_CHECK;
void engine_reply_reset(struct engine_reply *reply);
void engine_reply_done(struct engine_reply *reply);

/*
 * Sealed: no keyring, answers Server Status and Unseal alone. `node` is copied. env NULL members: the system's clock
 * and libcrypto's generator. After a failed commit call engine_load again: memory is then what the store holds.
 */
int engine_new(const struct engine_env *env, const struct engine_config *config, struct engine **ret) KS_MUST_CHECK;
void engine_free(struct engine *engine);

/* Unseals: takes the keyring (kept by reference) and loads everything from the store. KS_E_CORRUPT names the row. */
int engine_load(struct engine *engine, struct keyring *keyring, struct store *store,
                struct ks_diag *diag) KS_MUST_CHECK;
void engine_seal(struct engine *engine);

/*
 * What Validate trusts besides what is stored, with lists of what was revoked; and the authorities whose certificates
 * TLS takes from clients, which Re-Provision takes too. Either may be NULL: none. Both are taken over, in place of
 * those before.
 */
struct ks_trust;
void engine_trust(struct engine *engine, struct ks_trust *validate, struct ks_trust *authorities);
bool engine_sealed(const struct engine *engine);

/* One request message. Never fails: whatever happens, reply says so in KMIP. */
void engine_handle(struct engine *engine, const struct identity *who, struct ks_span request,
                   struct engine_reply *reply);

/*
 * Refuses a message that whoever received it could not turn into TTLV, with an answer and on record as for TTLV that
 * cannot be read. All of it comes from outside, and so is checked.
 */
struct engine_unreadable {
    int32_t major, minor; /* the version that the message says, if that much of it could be read; 0 and 0: none */
    struct ks_span why;   /* what is wrong with it, in text */
};
void engine_refuse(struct engine *engine, const struct identity *who, const struct engine_unreadable *what,
                   struct engine_reply *reply);

/*
 * The reply's job was committed. What it changed may leave memory from then on (engine_config.object_memory), as it can
 * be read back from the store; without this call it stays.
 */
void engine_committed(struct engine *engine, const struct engine_reply *reply);

/*
 * Work that takes long (RSA key pairs, PBKDF2) is done outside of the engine's thread where config.prepares is set.
 * What the request itself describes (engine_is_slow) is best made before it is handled: engine_prepare, in another
 * thread. What shows only when it is handled leaves reply->wanted behind: then run engine_prepare_more on it in another
 * thread, and hand the same request and the list to engine_handle_prepared, as often as it takes. The list is the one
 * that was handed in, or a new one where none was; either way it is the caller's to free. Neither touches the engine's
 * state.
 */
bool engine_is_slow(struct ks_span request);
struct engine_prepared *engine_prepare(struct ks_span request); /* NULL: nothing could be prepared; handle it anyway */
void engine_prepare_more(struct engine_prepared *prepared);
void engine_prepared_free(struct engine_prepared *prepared);
void engine_handle_prepared(struct engine *engine, const struct identity *who, struct ks_span request,
                            struct engine_prepared *prepared, struct engine_reply *reply);

/*
 * Asynchronous requests that need slow work are not carried out by the tick where config.prepares is set: when
 * engine_async_slow says that there is one (appended to ret_request), run engine_prepare in another thread and hand the
 * result, which may be NULL, to engine_async_prepared with the same id. One at a time. engine_async_prepared: true if
 * reply holds a job to commit; false and reply->wanted: more is to be prepared, as above.
 */
enum { ENGINE_ASYNC_ID = 16 };
bool engine_async_slow(struct engine *engine, struct ks_buf *ret_request, uint8_t ret_id[ENGINE_ASYNC_ID]);
bool engine_async_prepared(struct engine *engine, const uint8_t id[ENGINE_ASYNC_ID], struct engine_prepared *prepared,
                           struct engine_reply *reply);

/* Key pairs that the rotation by the clock needs (NULL: none): run engine_prepare_more on them in another thread, and
 * give them back. A tick then uses them. */
struct engine_prepared *engine_rotation_wanted(struct engine *engine);
void engine_rotation_prepared(struct engine *engine, struct engine_prepared *prepared);

/*
 * Notify and Put, which the server sends (server/engine/outbox.h). engine_notice: what is to be sent next, or can not
 * be: true if reply holds a job to commit. If its response is not empty, send it to ret->address once that is done, and
 * say with engine_notice_done what became of it. Up to ENGINE_NOTICES_MOST at a time, one to each client, so that a
 * listener that is slow holds up its own alone. Who listens there has to show that certificate.
 */
enum { ENGINE_ADDRESS_MAX = 64, ENGINE_NOTICES_MOST = 16 };
struct engine_notice {
    uint64_t id;
    char address[ENGINE_ADDRESS_MAX];
    uint8_t fingerprint[32];
};
bool engine_notice(struct engine *engine, struct engine_reply *reply, struct engine_notice *ret);
/* final: it was sent, or refused, and is done with; else it is tried again later. failure: empty where it was sent. */
bool engine_notice_done(struct engine *engine, uint64_t id, bool final, struct ks_span failure,
                        struct engine_reply *reply);

/*
 * Set Endpoint Role (KMIP 2.0: 6.1.48): the client's end of a connection whose roles it turned. Fill in fingerprint and
 * version and ask again and again: which versions it knows, what it takes, then Notify and Put for it, one at a time.
 * engine_ask: true if reply holds a job to commit; if its response is not empty send it once that is done, and hand the
 * answer to engine_answered, or why there is none (failure). over: the connection is to be closed. None of it is lost
 * with the connection: what was not answered is sent again on the next one.
 */
enum engine_stage { ENDPOINT_VERSIONS, ENDPOINT_QUERY, ENDPOINT_OPEN };
struct engine_endpoint {
    uint8_t fingerprint[32]; /* of the certificate that the connection was opened with */
    int version;             /* enum kmip_version */
    enum engine_stage stage;
    uint32_t versions;      /* that it says it knows, a bit each by enum kmip_version; 0: it did not say */
    bool no_notify, no_put; /* it says what it takes, and that is not among it */
    uint64_t notice;        /* under way; 0: none */
    bool over;
};
bool engine_ask(struct engine *engine, struct engine_endpoint *endpoint, struct engine_reply *reply);
bool engine_answered(struct engine *engine, struct engine_endpoint *endpoint, struct ks_span answer,
                     struct ks_span failure, struct engine_reply *reply);

/* Transitions that fell due by date, and asynchronous requests: call at least once a second; true if reply holds a job
 * to commit. */
bool engine_tick(struct engine *engine, struct engine_reply *reply);

/*
 * Enrolment tokens are text: "ks1-<id and secret>-<fingerprint>", hexadecimal, 8 + 32 and 16 bytes: the token's number,
 * its secret (the server keeps a MAC of it alone), and the beginning of the SHA-256 of the CA's certificate, by which
 * the enrolling machine knows the server. A token names client and role, works once, and expires.
 */

/* Clients and enrolment are part of the engine's state; init writes the first ones through this. */
struct engine_client {
    struct ks_span name;
    enum identity_role role;
    uint8_t fingerprint[32];
    int64_t not_after;
    uint32_t leniency; /* leniency.h; 0: none */
    /* The certificate that takes the place of this one when it is first used (Re-Provision). */
    bool renewing;
    uint8_t next_fingerprint[32];
    int64_t next_not_after;
};
/* A job (changes sealed under keyring) that registers a client, or stores the CA certificate and key (PKCS#8 DER). */
int engine_bootstrap(struct keyring *keyring, const struct engine_client *admin, struct ks_span ca_cert_der,
                     struct ks_span ca_key_der, struct engine_reply *reply, struct ks_diag *diag) KS_MUST_CHECK;
