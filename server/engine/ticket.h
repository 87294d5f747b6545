/*
 * Tickets (KMIP 2.1: 6.1.12, 6.1.30, 6.1.31, 7.34, 9.11): what Login and Delegated Login hand out, and a request's
 * header shows later.
 *
 * A ticket stands beside the certificate, never in its place. That of a Login is good for the client that logged in;
 * that of a Delegated Login for any registered client: its holder acts for the maker, within the Rights, which are
 * never more than what the maker may at that moment. Who has been revoked, or has enrolled anew since, has no tickets
 * left. No ticket allows what administrators alone may do, nor another ticket to be made.
 *
 * Tickets live in memory alone: a restart, or a commit that failed, ends them all. The server keeps a digest of the
 * value, not the value.
 */
#pragma once

#include "server/engine/object.h"

enum {
    TICKET_BYTES = 32,           /* random */
    TICKET_MOST = 10000,         /* in all */
    TICKET_MOST_PER_CLIENT = 64, /* of one maker */
    TICKET_RIGHTS = 64,          /* rights of one ticket */
    TICKET_NAMES = 256,          /* operations, objects and groups of one right, each */
    TICKET_USUAL_S = 3600,       /* where the maker says nothing, or 0 */
    TICKET_LONGEST_S = 86400,
};

/* Usage Limits: what is left of them. */
struct ticket_usage {
    bool set;
    uint32_t unit; /* KMIP_USAGE_LIMITS_UNIT_* */
    int64_t left;
};

/* One of the rights; a part that is absent (n 0) is unrestricted. */
struct ticket_right {
    bool has_operations, has_objects, has_groups;
    size_t n_operations, n_objects, n_groups;
    uint32_t *operations;
    char (*objects)[37];
    char **groups;
    struct ticket_usage usage;
};

struct ticket {
    struct ticket *next;
    uint8_t digest[32];      /* SHA-256 of the value */
    uint8_t certificate[32]; /* fingerprint of the maker's when it was made */
    char *maker;
    int64_t expires;
    bool counted;
    int64_t requests_left;
    struct ticket_usage usage;
    bool delegated;
    size_t n_rights;
    struct ticket_right *rights; /* of a delegated one */
};

struct tickets {
    struct ticket *first;
    size_t n;
};
void tickets_done(struct tickets *tickets); /* wipes and frees all */
void tickets_expire(struct tickets *tickets, int64_t now);

struct ticket *ticket_new(void); /* empty; NULL: out of memory */
void ticket_free(struct ticket *ticket);
/* The ticket with that value (any type of length); NULL. */
struct ticket *tickets_find(const struct tickets *tickets, struct ks_span value);
void tickets_add(struct tickets *tickets, struct ticket *ticket);
void tickets_take(struct tickets *tickets, struct ticket *ticket);   /* out of the list; it is the caller's again */
void tickets_remove(struct tickets *tickets, struct ticket *ticket); /* and frees it */
size_t tickets_of(const struct tickets *tickets, const char *maker);

/* Whether the operation may be asked for with it at all. */
bool ticket_allows(const struct ticket *ticket, uint32_t operation);
/* Whether it may be done with an object as it is (rev: of a new one); rev's object NULL: one that is just made. */
bool ticket_allows_object(const struct ticket *ticket, uint32_t operation, const struct object *object,
                          const struct rev *rev);
/* Takes a use from the limits of the ticket and of a right that allows it; false: they do not hold so much. */
bool ticket_use(struct ticket *ticket, uint32_t operation, const struct object *object, int64_t bytes);
