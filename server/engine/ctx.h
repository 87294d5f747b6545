/*
 * One request, and one item of its batch: what handlers work with.
 *
 * A handler is `int op_<name>(struct ctx *ctx, const void *request, void **ret_response)`. It returns 0 with the
 * response payload, or what engine_fail returned, or another KS_E_* (then the item fails with General Failure). It
 * changes objects by tx_put alone, as its last step.
 */
#pragma once

#include "crypto/cert.h"
#include "crypto/random.h"
#include "server/audit/audit.h"
#include "server/engine/async_table.h"
#include "server/engine/client.h"
#include "server/engine/object.h"
#include "server/engine/outbox_list.h"
#include "server/engine/parsed.h"
#include "server/engine/pkcs11/session.h"
#include "server/engine/policy.h"
#include "server/engine/prepared.h"
#include "server/engine/state.h"
#include "server/engine/stream.h"
#include "server/engine/user.h"

enum condition {
#define KMIP_REASON(NAME, r10, r14, r20, r21, r30) COND_##NAME,
#include "kmip/spec/reasons.def"
#include "server/engine/reasons.def"
#undef KMIP_REASON
    COND_COUNT
};
uint32_t condition_reason(enum condition condition, enum kmip_version version);

/* rules.h: TTLV of Constraints and of Defaults Information; empty: none. */
struct rules {
    struct ks_buf constraints, defaults;
};

struct engine {
    struct engine_env env;
    struct engine_config config;
    char *node;
    struct keyring *keyring; /* NULL: sealed */
    struct store *store;
    struct objects objects;
    struct parsed_keys parsed;
    struct clients clients;
    struct async async;
    struct streams streams;
    struct tickets tickets;
    struct guesses guesses;
    struct rules rules;
    struct outbox outbox;
    struct pkcs11 pkcs11;
    struct rotation rotation;
    struct ks_trust *trust, *authorities; /* engine_trust; NULL: none */
    struct ks_uuid_gen uuid;
    int64_t started_us, last_us;
    uint64_t n_requests;
    uint32_t boot; /* makes correlation values of this run its own */
};

/* A change of an object that the request has made so far. */
struct tx_entry {
    struct tx_entry *older;
    struct object *object;
    struct rev *before, *after; /* before NULL: the object is new */
    bool own;                   /* its owner asked for it */
};

/* A record of the audit trail that is due; its status is settled when the batch is. */
struct record {
    struct record *next;
    struct audit_event event;
};

struct change {
    struct change *next;
    struct store_change c;
};

/* Something else in memory that the request changed: how it is taken back, and what is left to do once it stands. */
struct tx_hook {
    struct tx_hook *older;
    void (*undo)(struct engine *engine, void *arg);
    void (*done)(struct engine *engine, void *arg);
    void *arg;
};

struct tx {
    struct tx_entry *newest;
    struct tx_entry *dead; /* taken back, but the answer may still point into it: freed at the end */
    size_t n;
    struct change *first_change, **last_change;
    size_t n_changes;
    size_t n_entries; /* of the index, that its changes and taking them back may need */
    struct record *first_record, **last_record;
    size_t n_records;
    struct tx_hook *newest_hook;
    size_t n_hooks;
    size_t touches; /* of streams (stream.h) */
};

/* The operations of 2.x whose results a Unique Identifier enumeration can name, and one slot for the ID Placeholder. */
enum { PLACEHOLDERS = 0x16 };

struct ctx {
    struct engine *engine;
    struct engine_reply *reply;
    struct ks_arena *arena; /* the reply's */
    const struct identity *who;
    struct client *client; /* NULL: nobody who is registered; with a delegated ticket: who made that */
    struct client *holder; /* whose certificate the connection has */
    struct ticket *ticket; /* that the header shows; NULL: none */
    struct acting acting;  /* the user whose request it is */
    bool by_header;        /* who is shown by the header, not by the certificate */
    struct ks_span hashed; /* Server Hashed Password; empty: none */
    bool bad_ticket;       /* it shows one that is none: every item fails */
    bool used_ticket;      /* it shows one whose Request Count is used up: the same */
    enum kmip_version version;
    int64_t now_us, now; /* microseconds and seconds */
    struct tx tx;
    struct engine_prepared *prepared;
    bool prepared_own; /* the list was made while handling the request: nobody else knows it yet */
    bool wants;        /* something in the list is to be done first: all is taken back */
    bool once;         /* something that was done can not be taken back and done again (prepared.h) */
    const struct kmip_request_header *header;

    /* of the batch */
    struct ks_span placeholder[PLACEHOLDERS]; /* by KMIP_UNIQUE_IDENTIFIER_*; 1: the ID Placeholder */
    bool found_none;                          /* the last Locate has emptied the ID Placeholder */
    struct ks_span *results;                  /* every Unique Identifier that the answers so far hold, in order */
    size_t n_results;
    size_t n_items;
    size_t n_slow;                     /* RSA keys made, SLH-DSA keys made or signed with, in the engine's thread */
    size_t iterations;                 /* of PBKDF2 that were made in the engine's thread */
    uint64_t split_work;               /* steps of splitting and joining keys in the engine's thread */
    size_t searched;                   /* objects that Locate has looked at */
    struct ks_span correlation;        /* Server Correlation Value */
    const struct async_request *async; /* the asynchronous request that is being carried out; NULL: none */
    bool by_itself;                    /* the server makes the change: nobody asked for it */
    bool quiet;                        /* nobody is notified of it */
    bool putting_off;                  /* an item of the batch is pending: those behind it follow */

    /* of the item */
    size_t item; /* from 0 */
    const struct kmip_operation *op;
    const struct p11_terms *p11; /* a call of PKCS#11 asks for the operation; NULL: the request itself */
    const struct object *used;   /* what engine_use allowed last, for the limits of a ticket */
    int64_t used_bytes;
    struct record *record;
    bool failed;
    bool failed_sealed; /* because the server is sealed: KMIP has no reason for that, so an extension says it */
    uint32_t reason;    /* KMIP Result Reason */
    const char *message;
    void *refusal;          /* the response payload of a failure, where the operation has one (Check); else NULL */
    struct ks_span pending; /* Asynchronous Correlation Value: the item is answered with Operation Pending */
    const struct kmip_response_batch_item *answer; /* of Poll: what another request is answered with; NULL: its own */
    bool declined; /* the item succeeds and answers that what it asked for failed (PKCS#11): so the record says */
};

typedef int op_handler(struct ctx *ctx, const void *request, void **ret_response);

/*
 * Makes the item fail. The message says what happened, to which object, and what to do next; it holds nothing that the
 * client may not see. Returns KS_E_KMIP.
 */
void engine_say(struct ctx *ctx, enum condition condition, const char *fmt, ...) KS_PRINTF(3, 4);
#define engine_fail(...) (engine_say(__VA_ARGS__), KS_E_KMIP)

/* As engine_fail, with the message of a library's complaint. */
static inline int
engine_fail_diag(struct ctx *ctx, enum condition condition, struct ks_diag *diag)
{
    if (diag->code == KS_E_NOMEM)
        return KS_E_NOMEM;
    return engine_fail(ctx, condition, "%s", diag->code != 0 ? diag->message : "the operation failed");
}

/* An allocation in the reply's arena. */
#define CTX_NEW(ctx, type) ((type *)ks_arena_alloc((ctx)->arena, sizeof(type)))

/* The object that a request names, or the ID Placeholder where it names none. One that the client may not see is
 * unknown. */
int engine_object(struct ctx *ctx, const struct kmip_uid *uid, struct object **ret) KS_MUST_CHECK;

/* What has that identifier, for the client to see or not: an object of the store, or, where a call of PKCS#11 asks, a
 * session object of its application. NULL: there is none, or objects.failed says why it can not be read. */
struct object *engine_find(struct ctx *ctx, struct ks_span uid);

/* Fails because of objects.failed, after a NULL of objects_find or a failure of objects_ready. */
int engine_unreadable(struct ctx *ctx, struct ks_span uid) KS_MUST_CHECK;

/*
 * The fixed order of checks for a use of a visible object: permission, destroyed, archived, state and dates, usage mask
 * (mask: all of these bits; 0: none), usage limits (units: 0 none), sensitive and extractable (for USE_GET with
 * plaintext).
 */
struct use {
    enum state_use use;
    uint32_t mask;
    int64_t bytes;  /* protected by it, for Usage Limits */
    bool further;   /* a further part of what has been counted as one object already */
    bool plaintext; /* key material would leave in the clear */
    bool wrapped;   /* key material would leave wrapped */
};
int engine_use(struct ctx *ctx, struct object *object, const struct use *use) KS_MUST_CHECK;

/* After success: what the use took of the Usage Limits is taken off. */
int engine_used(struct ctx *ctx, struct object *object, const struct use *use) KS_MUST_CHECK;

/* What the audit record says about the object of the item. */
void engine_about(struct ctx *ctx, const struct object *object);
/* Something that the record of a success says besides: another object that took part. */
void engine_note(struct ctx *ctx, const char *fmt, ...) KS_PRINTF(2, 3);
void engine_attribute_named(struct ctx *ctx, uint32_t tag, struct ks_span vendor, struct ks_span name);

/* Unique Identifier of an object as payloads carry it. */
struct kmip_uid uid_of(const struct object *object);
struct kmip_uid uid_text(struct ks_span text);

/* The text that a Unique Identifier stands for: itself, or by enumeration or position (2.x: 4.58), or, where it is
 * absent, the ID Placeholder. */
int engine_uid(struct ctx *ctx, const struct kmip_uid *uid, struct ks_span *ret) KS_MUST_CHECK;
/* After an item: the Unique Identifiers of its answer can be named by their position from now on. */
int engine_note_results(struct ctx *ctx, const void *response) KS_MUST_CHECK;

/* The result of an operation for later items: the ID Placeholder, and the slot of the operation. */
void engine_result(struct ctx *ctx, uint32_t slot, struct ks_span uid);

/* tx.c. A new object with its first rev, or a changed one. Sealed, stored and indexed; all or nothing. */
int tx_create(struct ctx *ctx, struct client *owner, struct rev *draft, struct object **ret) KS_MUST_CHECK;
/* The same with an identifier that is nobody's yet (empty: a new one), and with Last Change Date as the draft has it.
 */
int tx_create_as(struct ctx *ctx, struct client *owner, struct ks_span uid, struct rev *draft,
                 struct object **ret) KS_MUST_CHECK;
/* touch: Last Change Date is now. */
int tx_put(struct ctx *ctx, struct object *object, struct rev *draft, bool touch) KS_MUST_CHECK;
/* The object goes, with its row. The item has to be the last that touches it (OP_ALONE). */
int tx_delete(struct ctx *ctx, struct object *object) KS_MUST_CHECK;
/* A row that is no object (clients, tokens). */
int tx_row(struct ctx *ctx, const struct store_change *change) KS_MUST_CHECK;
/* Anything else: call it last before the change. done may be NULL; either is called once, in the engine's thread. */
int tx_hook(struct ctx *ctx, void (*undo)(struct engine *, void *), void (*done)(struct engine *, void *),
            void *arg) KS_MUST_CHECK;
struct record *tx_record(struct ctx *ctx);
/* The first record since the mark. */
struct record *tx_records_since(const struct ctx *ctx, const struct tx *mark);
/* What tx_rollback took back never was: its records go too. */
void tx_forget_records(struct ctx *ctx, const struct tx *mark);
/* What tx_rollback took back was done: its records say that it was undone. */
void tx_undone_records(struct ctx *ctx, const struct tx *mark);
/* Takes back what was done since the mark (a tx as it was). Records stay. */
void tx_rollback(struct ctx *ctx, const struct tx *mark);
/* Formats the records, fills the reply's job, and frees what was replaced or taken back: after the answer is encoded.
 */
int tx_finish(struct ctx *ctx) KS_MUST_CHECK;
/* When tx_finish failed: everything is taken back and freed. */
void tx_abandon(struct ctx *ctx);

/* row.c: rows of STORE_OBJECT. */
int row_seal(struct engine *engine, struct ks_arena *arena, struct ks_span uid, struct ks_span owner, struct rev *draft,
             struct ks_span *ret) KS_MUST_CHECK;
/* Whether the facts that the seal of the key material binds are the same. */
bool row_binding_same(const struct core *a, const struct core *b);
/* Clients by name, while rows are loaded. */
struct owners {
    struct client **slots;
    size_t n; /* a power of two */
    struct ks_siphash_key *key;
};
int owners_init(struct owners *owners, const struct clients *clients, struct ks_siphash_key *key) KS_MUST_CHECK;
int row_load(struct engine *engine, const struct owners *owners, struct ks_span key, struct ks_span value,
             struct ks_diag *diag) KS_MUST_CHECK;
/* The hooks of struct objects, by which revs are read back; arg is the engine. KS_E_CORRUPT: not what was written. */
int row_reload(void *arg, struct object *object) KS_MUST_CHECK;
int row_peek(void *arg, struct object *object, struct ks_arena *arena, struct rev *ret) KS_MUST_CHECK;
/* The plaintext of an object's key material, in the arena of the request. */
int row_material(struct ctx *ctx, const struct object *object, struct ks_span *ret) KS_MUST_CHECK;

/* credential.c: what the header's Authentication says beside the certificate. Fails the request, or marks its ticket as
 * bad, or sets client and ticket. */
int credentials_check(struct ctx *ctx) KS_MUST_CHECK;

/* client.c: tokens that have expired are forgotten. */
int clients_expire(struct ctx *ctx) KS_MUST_CHECK;

/* engine.c */
int engine_random(struct engine *engine, void *ret, size_t len) KS_MUST_CHECK;
