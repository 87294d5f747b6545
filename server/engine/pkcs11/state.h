/*
 * What the server keeps of clients that speak PKCS#11 (op/pkcs11.c) between requests: applications, which C_Initialize
 * makes and a Correlation Value names, their sessions, and the operations that are under way in these.
 *
 * An application belongs to the certificate that made it; whoever else names its value hears that there is none. It
 * ends with C_Finalize, PKCS11_LIFE_S after its last call, when the server seals itself or reads its store anew, or
 * when the same client needs the room. All of it is in memory alone, bounded, and wiped when it goes.
 */
#pragma once

#include "server/engine/object.h"
#include "server/identity.h"

enum {
    PKCS11_LIFE_S = 900,
    PKCS11_MOST = 64, /* applications in all */
    PKCS11_CLIENT_MOST = 8,
    PKCS11_SESSIONS = 16,        /* of an application */
    PKCS11_HANDLES = 4096,       /* objects that an application can name at a time; older handles are forgotten */
    PKCS11_FOUND = 2048,         /* objects that one search finds */
    PKCS11_TEMPLATE = 64,        /* attributes in a template */
    PKCS11_VALUE = 16,           /* bytes of a Correlation Value */
    PKCS11_PARAMETER = 4096,     /* bytes of a mechanism's parameter */
    PKCS11_COLLECT = 512 * 1024, /* bytes that one operation collects: the answer has to fit into a message */
    PKCS11_COLLECT_ALL = 16 << 20,
    PKCS11_OBJECTS = 4096,       /* session objects in all */
    PKCS11_CLIENT_OBJECTS = 256, /* of one client, in all its applications */
    PKCS11_OBJECT_BYTES = 16384, /* of one, with its attributes and its key material */
};

struct p11_mechanism;

enum p11_job_kind {
    P11_ENCRYPT,
    P11_DECRYPT,
    P11_DIGEST,
    P11_SIGN,
    P11_VERIFY,
    P11_SIGN_RECOVER,
    P11_VERIFY_RECOVER,
    P11_JOBS
};

/* An operation between its Init and its end. */
struct p11_job {
    const struct p11_mechanism *mechanism; /* NULL: none */
    bool in_parts;                         /* an Update has come */
    char uid[37];                          /* of the key */
    uint32_t key_bits;
    struct ks_buf parameter;
    struct ks_buf data; /* of the parts */
};

struct p11_session {
    uint64_t handle; /* 0: none */
    uint64_t serial; /* of no other session of the engine */
    struct object_list objects;
    bool read_write, finding;
    struct p11_job jobs[P11_JOBS];
    uint64_t *found;
    size_t n_found, next_found;
};

struct p11_handle {
    uint64_t handle;
    char uid[37];
};

struct p11_app {
    struct p11_app *next;
    uint8_t value[PKCS11_VALUE];
    uint8_t fingerprint[32];
    int64_t used_s;
    bool logged_in;
    uint64_t last_session, last_handle;
    struct p11_session sessions[PKCS11_SESSIONS];
    struct p11_handle *handles; /* a ring: handle h is at h % PKCS11_HANDLES */
};

struct pkcs11 {
    struct p11_app *first; /* the one used last is the first */
    size_t n, collected;
    uint64_t last_serial;
    struct object_list dying; /* session objects whose session is gone, until the request is answered (session.h) */
    size_t n_objects;         /* session objects in all */
};

/* A new application of the client, in place of its oldest if it has too many. KS_E_LIMIT: the server has too many. */
int p11_app_new(struct pkcs11 *all, const struct identity *who, const uint8_t value[PKCS11_VALUE], int64_t now_s,
                struct p11_app **ret) KS_MUST_CHECK;
/* That of the value, if it is the client's; with an empty value the one that the client used last. NULL: none. */
struct p11_app *p11_app_find(struct pkcs11 *all, const struct identity *who, struct ks_span value, int64_t now_s);
void p11_app_free(struct pkcs11 *all, struct p11_app *app);
/* Whether the application is that certificate's. */
bool p11_app_is_own(const struct p11_app *app, const uint8_t fingerprint[32]);

/* NULL: too many */
struct p11_session *p11_session_new(struct pkcs11 *all, struct p11_app *app, bool read_write);
struct p11_session *p11_session_find(struct p11_app *app, uint64_t handle);
void p11_session_close(struct pkcs11 *all, struct p11_session *session);

void p11_job_end(struct pkcs11 *all, struct p11_job *job);
/* More data of a job. KS_E_LIMIT, KS_E_NOMEM. */
int p11_job_collect(struct pkcs11 *all, struct p11_job *job, struct ks_span data) KS_MUST_CHECK;
void p11_find_end(struct p11_session *session);

/* The handle of an object; 0: no memory. And back; NULL: none, or forgotten. */
uint64_t p11_handle_of(struct p11_app *app, const char *uid);
const char *p11_handle_uid(const struct p11_app *app, uint64_t handle);

void pkcs11_expire(struct pkcs11 *all, int64_t now_s);
void pkcs11_clear(struct pkcs11 *all);
