#include "server/engine/ticket.h"

#include <stdlib.h>

#include "crypto/hash.h"

struct ticket *
ticket_new(void)
{
    return calloc(1, sizeof(struct ticket));
}

void
ticket_free(struct ticket *ticket)
{
    if (ticket == NULL)
        return;
    for (size_t i = 0; i < ticket->n_rights; i++) {
        struct ticket_right *r = &ticket->rights[i];
        for (size_t g = 0; g < r->n_groups; g++)
            free(r->groups[g]);
        free(r->operations);
        free(r->objects);
        free(r->groups);
    }
    free(ticket->rights);
    free(ticket->maker);
    ks_wipe(ticket, sizeof(*ticket));
    free(ticket);
}

void
tickets_done(struct tickets *tickets)
{
    while (tickets->first != NULL)
        tickets_remove(tickets, tickets->first);
}

void
tickets_add(struct tickets *tickets, struct ticket *ticket)
{
    ticket->next = tickets->first;
    tickets->first = ticket;
    tickets->n++;
}

void
tickets_take(struct tickets *tickets, struct ticket *ticket)
{
    for (struct ticket **at = &tickets->first; *at != NULL; at = &(*at)->next)
        if (*at == ticket) {
            *at = ticket->next;
            ticket->next = NULL;
            tickets->n--;
            return;
        }
}

void
tickets_remove(struct tickets *tickets, struct ticket *ticket)
{
    tickets_take(tickets, ticket);
    ticket_free(ticket);
}

void
tickets_expire(struct tickets *tickets, int64_t now)
{
    for (struct ticket *t = tickets->first, *next; t != NULL; t = next) {
        next = t->next;
        if (t->expires <= now)
            tickets_remove(tickets, t);
    }
}

struct ticket *
tickets_find(const struct tickets *tickets, struct ks_span value)
{
    uint8_t digest[KS_SHA256];
    if (value.len != TICKET_BYTES || ks_sha256(&value, 1, digest) != 0)
        return NULL;
    struct ticket *t = tickets->first;
    while (t != NULL && !ks_equal_secret(t->digest, digest, sizeof(digest)))
        t = t->next;
    ks_wipe(digest, sizeof(digest));
    return t;
}

size_t
tickets_of(const struct tickets *tickets, const char *maker)
{
    size_t n = 0;
    for (const struct ticket *t = tickets->first; t != NULL; t = t->next)
        n += strcmp(t->maker, maker) == 0;
    return n;
}

static bool
right_allows(const struct ticket_right *r, uint32_t operation)
{
    for (size_t i = 0; i < r->n_operations; i++)
        if (r->operations[i] == operation)
            return true;
    return !r->has_operations;
}

static bool
names_object(const struct ticket_right *r, const struct object *object)
{
    for (size_t i = 0; object != NULL && i < r->n_objects; i++)
        if (strcmp(r->objects[i], object->uid) == 0)
            return true;
    return !r->has_objects;
}

static bool
names_group(const struct ticket_right *r, const struct rev *rev)
{
    if (!r->has_groups || rev == NULL)
        return !r->has_groups;
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL; a = a->next)
        for (size_t i = 0; a->tag == KMIP_TAG_OBJECT_GROUP && a->value != NULL && i < r->n_groups; i++)
            if (ks_span_is(a->value->s, r->groups[i]))
                return true;
    return false;
}

bool
ticket_allows(const struct ticket *ticket, uint32_t operation)
{
    for (size_t i = 0; i < ticket->n_rights; i++)
        if (right_allows(&ticket->rights[i], operation))
            return true;
    return !ticket->delegated;
}

bool
ticket_allows_object(const struct ticket *ticket, uint32_t operation, const struct object *object,
                     const struct rev *rev)
{
    for (size_t i = 0; i < ticket->n_rights; i++) {
        const struct ticket_right *r = &ticket->rights[i];
        if (right_allows(r, operation) && names_object(r, object) && names_group(r, rev))
            return true;
    }
    return !ticket->delegated;
}

static int64_t
units(const struct ticket_usage *usage, int64_t bytes)
{
    if (!usage->set)
        return 0;
    return usage->unit == KMIP_USAGE_LIMITS_UNIT_BYTE ? bytes : 1;
}

bool
ticket_use(struct ticket *ticket, uint32_t operation, const struct object *object, int64_t bytes)
{
    struct ticket_right *by = NULL;
    const int64_t of_ticket = units(&ticket->usage, bytes);
    if (of_ticket > ticket->usage.left)
        return false;
    for (size_t i = 0; i < ticket->n_rights && by == NULL; i++) {
        struct ticket_right *r = &ticket->rights[i];
        const bool fits =
            right_allows(r, operation) && (object == NULL || (names_object(r, object) && names_group(r, object->rev)));
        if (fits && units(&r->usage, bytes) <= r->usage.left)
            by = r;
    }
    if (by == NULL && ticket->delegated)
        return false;
    ticket->usage.left -= of_ticket;
    if (by != NULL)
        by->usage.left -= units(&by->usage, bytes);
    return true;
}
