/*
 * The lease of the key encryption key: whether a running server may go on with what was unwrapped when it started. It
 * does not need the key again; what it keeps is a promise, and here is asked whether it still stands.
 */
#pragma once

#include "tde/wrap.h"

enum tde_lease_state {
    TDE_LEASE_NONE,      /* nobody to ask: the wrap is an internal one */
    TDE_LEASE_ACTIVE,    /* the KMS answered: the key is active and is leased to us */
    TDE_LEASE_WITHDRAWN, /* the KMS answered: it is not, or not to us */
    TDE_LEASE_UNKNOWN,   /* no KMS answered, or not to the question */
};

struct tde_lease {
    enum tde_lease_state state;
    uint32_t slot;     /* that was asked last */
    uint32_t seconds;  /* ACTIVE: of the lease that was obtained; 0: the KMS sets no end */
    char word[32];     /* "active", "suspended", "deactivated", "not permitted", "unreachable", ... */
    char message[700]; /* one line for people: which key, where, why */
};

/*
 * Asks the primary slot's KMS; where it does not answer and the keyring's policy allows other slots at a start, those
 * of them that are at a KMS, until one says that its key is active. Obtain Lease, and the key's State for a KMS that
 * does not know leases. Each call takes timeout_ms at most, and there are up to four for a slot.
 *
 * Only an answer of a KMS whose certificate convinced is a withdrawal: whoever cuts or bends the connection gets no
 * further than UNKNOWN.
 */
void tde_lease_ask(struct tde_keyring *keyring, int64_t timeout_ms, struct tde_lease *ret);
