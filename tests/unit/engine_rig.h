/* An engine with a store of its own in a temporary folder, for tests, tools and measurements. */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include "crypto/cert.h"
#include "crypto/keygen.h"
#include "kmip/kmip.h"
#include "server/engine/engine.h"

enum { RIG_START_S = 1900000000 };

struct rig {
    char dir[64], path[96];
    struct store *store;
    struct keyring *keyring;
    struct engine *engine;
    struct engine_reply reply;
    struct identity admin, client, stranger, nobody;
    int64_t now_us;  /* the clock, unless it is the system's */
    int64_t step_us; /* by which each reading puts it on */
    bool real_time;
    bool predictable; /* random numbers count: the same requests get the same identifiers */
    uint64_t drawn;
    size_t n_prepared; /* how often the engine wanted work to be done elsewhere */
    struct ks_buf ca;
    struct engine_config config;
};

/* On failure prints why and exits: nothing can be tested without it. */
void rig_open(struct rig *rig, const struct engine_config *config, bool real_time);
void rig_close(struct rig *rig);

/* The engine anew from what the store holds. */
int rig_reload(struct rig *rig, struct ks_diag *diag);

/* One more client, "other", whose certificate has the SHA-256 of rig->ca as its fingerprint; the engine is loaded anew.
 * It issues no certificates from then on. */
void rig_add_other(struct rig *rig, struct identity *ret);

/* The same, an administrator, "deputy". Not both. */
void rig_add_admin(struct rig *rig, struct identity *ret);

/* Another engine in place of the one there is, with the same configuration. */
void rig_restart(struct rig *rig);

/* The clock's turn, its changes committed; whether there were any. */
bool rig_tick(struct rig *rig);

/* What another call left in rig->reply is committed. */
void rig_commit(struct rig *rig);

/* One request, its changes committed. The answer stays in rig->reply until the next. */
struct ks_span rig_ask(struct rig *rig, const struct identity *who, struct ks_span request);
