/*
 * The parts of the guard: guard.c is what a start is refused for, lease.c the worker that keeps the key's lease and
 * what it found (in shared memory), ask.c how it asks, enforce.c what sessions are refused while the key is withdrawn.
 */
#pragma once

#include "postgres.h"

#include "port/atomics.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

/* This project hides what it does not say to show; before 16 the server's headers say nothing. */
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))

/* What is done when the key is withdrawn, or the KMS away for too long; each one is stronger than those before it. */
enum guard_policy { GUARD_WARN, GUARD_READ_ONLY, GUARD_REFUSE_SESSIONS, GUARD_STOP };

enum guard_key {
    GUARD_KEY_UNASKED,  /* not asked since the start */
    GUARD_KEY_INTERNAL, /* wrapped by no KMS: no lease */
    GUARD_KEY_ACTIVE,
    GUARD_KEY_WITHDRAWN, /* the KMS answered, and took it */
    GUARD_KEY_UNKNOWN,   /* no answer */
};

enum { GUARD_LINE = 800 };

/* In shared memory. */
struct guard_lease {
    pg_atomic_uint32 policy; /* enum guard_policy in force; GUARD_WARN: nothing is refused */
    slock_t lock;            /* for what follows */
    enum guard_key key;
    bool withdrawn;        /* the last answer: no answer after it does not give the key back */
    TimestampTz contact;   /* the KMS answered last; before it did, when the server was started */
    TimestampTz until;     /* the lease ends; 0: there is none */
    char line[GUARD_LINE]; /* what was said of it */
};
extern struct guard_lease *guard_lease; /* NULL: not a server of many processes */

/* The policy in force, for this process to obey. */
static inline enum guard_policy
guard_policy(void)
{
    return guard_lease != NULL ? (enum guard_policy)pg_atomic_read_u32(&guard_lease->policy) : GUARD_WARN;
}

/* The line as it is now. */
void guard_lease_line(char ret[GUARD_LINE]);

/* From _PG_init of a server that is encrypted: settings, shared memory, the worker. helper: the keystead command. */
void guard_lease_init(const char *helper);
/* ... and what refuses. */
void guard_enforce_init(void);

/*
 * Runs the helper once: `keystead pg lease`. ret_line: the first line that it printed. Returns its exit status, or -1
 * (it could not be run, or did not end within the time). Ends early, with -1, if the worker is to end.
 */
int guard_ask(const char *helper, int timeout_s, char ret_line[GUARD_LINE]);

/* Exit statuses of the helper (base/err.def): all others are no answer. */
enum { GUARD_STATUS_ACTIVE = 0, GUARD_STATUS_WITHDRAWN = 5 };
