/* The registry of clients, the tokens that make new ones, and the certificate authority that enrols them. */
#pragma once

#include "kmip/kmip.h"
#include "server/engine/object.h"
#include "server/engine/ticket.h"
#include "server/engine/user.h"

struct ctx;

struct client {
    struct client *next; /* in the order in which they came */
    char *name;          /* unique */
    enum identity_role role;
    uint8_t fingerprint[32];
    int64_t not_after;
    bool revoked;
    bool renewing; /* there is a certificate that takes the place of this one when it is first used */
    uint8_t next_fingerprint[32];
    int64_t next_not_after;
    uint32_t leniency;          /* leniency.h */
    struct object_list objects; /* that it owns */
    struct listener *listener;  /* outbox_list.h; NULL: none */
    /* While a request with a ticket of this client is handled, that request's: it narrows what policy_may grants. */
    const struct ticket *ticket;
    uint32_t doing;              /* the operation of the item */
    const struct acting *acting; /* while a request of this client is handled: for which user (user.h) */
    uint64_t users;              /* objects.users when last_user was found */
    uint8_t users_of[32];        /* that certificate's fingerprint */
    struct object *last_user;    /* whose credential this client's certificate was then */
};

struct token {
    struct token *next;
    uint8_t id[8];
    uint8_t mac[32]; /* of the secret, under KEYRING_STATE */
    int64_t expires;
    enum identity_role role;
    uint32_t leniency;
    char *client;
};

struct clients {
    struct client *first, **last;
    size_t n;
    struct client **by_fingerprint; /* hash table, open addressing; a power of two */
    size_t n_slots;
    struct token *tokens;
    size_t n_tokens;
    struct ks_buf ca; /* row of the CA as it is sealed in the store */
};

enum { CLIENT_NAME_MAX = 64, CLIENT_MOST = 100000, TOKEN_MOST = 1000 };

int clients_init(struct clients *clients) KS_MUST_CHECK;
void clients_done(struct clients *clients);
struct client *clients_find(const struct clients *clients, struct ks_span name);
struct client *clients_by_fingerprint(const struct clients *clients, const uint8_t fingerprint[32]);

/* 1 to 64 bytes of letters, digits and "-_.@ ", not beginning with a blank or a point. */
bool client_name_valid(struct ks_span name);
const char *role_name(enum identity_role role);
bool role_find(struct ks_span name, enum identity_role *ret);

/* Adds, or replaces what is known under the name (a client that enrols again). */
int clients_put(struct clients *clients, const struct engine_client *client, bool revoked) KS_MUST_CHECK;
/* The client as it is, for its row; the name is borrowed. */
struct engine_client client_facts(const struct client *client);
/* Makes the client that is known under the name what `to` says (its row is the caller's matter), last in a request. */
int client_change(struct ctx *ctx, struct client *client, const struct engine_client *to) KS_MUST_CHECK;
/* Who asks with a new certificate has done with the old one: on record, and for good. */
int client_renewed(struct ctx *ctx) KS_MUST_CHECK;
/* Room for one more, so that clients_put cannot fail for want of slots. */
int clients_index(struct clients *clients) KS_MUST_CHECK;

/* A copy of the token is kept; and the token at a place in the list is forgotten. */
int tokens_put(struct clients *clients, const struct token *token) KS_MUST_CHECK;
void tokens_remove(struct clients *clients, struct token **at);

/* Rows of STORE_SYSTEM: "client/<name>", "token/<id>", "ca". Key and sealed value lie in the arena. */
int client_row(struct keyring *keyring, struct ks_arena *arena, const struct engine_client *client, bool revoked,
               struct store_change *ret) KS_MUST_CHECK;
int token_row(struct keyring *keyring, struct ks_arena *arena, const struct token *token,
              struct store_change *ret) KS_MUST_CHECK;
int token_gone(struct ks_arena *arena, const struct token *token, struct store_change *ret) KS_MUST_CHECK;
int ca_row(struct keyring *keyring, struct ks_arena *arena, struct ks_span cert, struct ks_span key,
           struct store_change *ret) KS_MUST_CHECK;
int ca_open(struct keyring *keyring, struct ks_span sealed, struct ks_buf *plain, struct ks_span *ret_cert,
            struct ks_span *ret_key) KS_MUST_CHECK;

/* A row of STORE_SYSTEM that is no client's. open: appends what was sealed. */
int system_row(struct keyring *keyring, struct ks_arena *arena, const char *key, struct ks_span plain,
               struct store_change *ret) KS_MUST_CHECK;
int system_row_open(struct keyring *keyring, struct ks_span key, struct ks_span sealed,
                    struct ks_buf *ret) KS_MUST_CHECK;

/* One row read back; rows with other keys are not ours and are passed over. */
int clients_load(struct clients *clients, struct keyring *keyring, struct ks_span key, struct ks_span value,
                 struct ks_diag *diag) KS_MUST_CHECK;
