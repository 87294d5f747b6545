/*
 * Work that takes long, done outside of the engine's thread: RSA key pairs and PBKDF2.
 *
 * A handler that needs a piece asks prepared_rsa or prepared_pbkdf2. If it is not there yet, it is added to the list of
 * the request, and the handler leaves with KS_E_BUSY: then all of the request is taken back, and begun anew when the
 * caller of the engine has had the list done (engine_reply.wanted). Each time the batch comes further. What can not be
 * begun anew (ctx.once: a stream that went on, a call of PKCS#11, limits of a ticket) is not: the item is refused.
 */
#pragma once

#include "crypto/keyformat.h"
#include "server/engine/engine.h"

struct ctx;

enum { PREPARED_MOST = 16, WORK_INPUT_MAX = 65536, ROTATION_KEEP_S = 60 };

struct prepared_work {
    enum { WORK_RSA, WORK_PBKDF2 } kind;
    bool done, taken; /* taken: used by the request, which is not begun anew */
    int rc;           /* of what is done */
    struct ks_diag diag;
    /* RSA */
    uint32_t bits;       /* as asked for; 0: the default */
    struct ks_pkey *key; /* NULL: it failed */
    /* PBKDF2 */
    uint32_t hash, iterations;
    size_t len;
    struct ks_buf secret, salt, out;
};

struct engine_prepared {
    size_t n;
    bool again; /* the request was begun before, and its ticket's Request Count has counted it */
    struct prepared_work v[PREPARED_MOST];
};

/*
 * An RSA key pair that was made beforehand; 0 or what making it gave. KS_E_BUSY: it is to be made, leave.
 * KS_E_NOT_FOUND: make it here (engine_config.prepares is not set). KS_E_KMIP: refused. bits 0: the default length.
 */
int prepared_rsa(struct ctx *ctx, uint32_t bits, struct ks_pkey **ret, struct ks_diag *diag) KS_MUST_CHECK;

/* The same for len bytes of PBKDF2. */
struct prepared_pbkdf2 {
    uint32_t hash, iterations;
    struct ks_span secret, salt;
    size_t len;
};
int prepared_pbkdf2(struct ctx *ctx, const struct prepared_pbkdf2 *p, uint8_t *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* The list, for the request to be begun anew when it is done; all was taken back. */
struct engine_prepared *prepared_again(struct ctx *ctx);
/* What was asked for and is not done is not wanted after all. */
void prepared_drop(struct ctx *ctx);

/* Keys for the rotation by the clock: asked for in one tick, used in a later one, or thrown away. */
struct rotation {
    struct engine_prepared *wanted, *ready;
    int64_t ready_s;
    bool under_way;
};
/* Whether there is one of that length; false: it is asked for. */
bool rotation_has(struct engine *engine, uint32_t bits);
void rotation_expire(struct rotation *rotation, int64_t now);
void rotation_done(struct rotation *rotation);
