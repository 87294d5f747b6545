/*
 * Session objects of PKCS#11 (CKA_TOKEN false): objects like any other to the operations, and in no set of objects,
 * index or row. So no request of KMIP finds them, and what is made anew from the store has none.
 *
 * One goes with the session that made it, and can be seen by the sessions of the same application alone: engine_find
 * looks for it where a call of PKCS#11 asks (ctx.p11). Its key material is sealed in memory as it would be in the
 * store. Where a session ends, the request may still point to its objects: they are `dying` until that is answered.
 */
#pragma once

#include "server/engine/pkcs11/state.h"

struct ctx;

/* Agreement on a key with whoever has the private half of `peer`: the point, or the OCTET STRING that holds it. hash:
 * that of the derivation of ANSI X9.63, over `shared` too; 0: the end of the secret itself is the key. */
struct p11_agreement {
    struct ks_span peer, shared;
    uint32_t hash;
};

/* What a call of PKCS#11 says to the operations that it asks for, and what no request of KMIP can. */
struct p11_terms {
    struct p11_app *app;
    const struct p11_session *session;
    uint32_t makes;            /* bits by Object Type: new objects of these types are objects of the session */
    bool no_token, no_session; /* Locate: not the objects of the token, of sessions */
    struct ks_span iv;         /* for wrapping with a cipher; empty: it is drawn */
    const struct p11_agreement *agreement; /* Derive Key: in place of the second object; NULL: none */
};

/* Whether an object of the type that is made becomes one of a session. terms may be NULL. */
bool p11_makes(const struct p11_terms *terms, uint32_t object_type);

/* An object without a rev for the session, in no list yet. KS_E_LIMIT: too many of them; KS_E_NOMEM. */
int p11_object_new(struct pkcs11 *all, const struct p11_terms *terms, struct object **ret) KS_MUST_CHECK;

/* Makes rev what the object is, which is then in its session's list (dying, where that is gone); NULL: in none. */
void p11_object_set(struct pkcs11 *all, struct object *object, struct rev *rev);

/* Of the application's sessions; NULL: none of that identifier. */
struct object *p11_object_find(const struct p11_app *app, struct ks_span uid);
/* Each of them: begin with session 0 and NULL, until NULL. */
struct object *p11_object_next(const struct p11_app *app, size_t *session, const struct object *after);

/* The session ends: its objects die. */
void p11_objects_leave(struct pkcs11 *all, struct p11_session *session);
/* The request is answered: what died is wiped and freed. */
void p11_objects_bury(struct pkcs11 *all);
