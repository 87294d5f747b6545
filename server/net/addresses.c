#include "server/net/addresses.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUCKETS = 1024 };

struct address {
    struct address *next;
    uint64_t prefix;
    size_t n;
};

struct addresses {
    uint64_t key;
    struct address *buckets[BUCKETS];
};

int
addresses_new(uint64_t key, struct addresses **ret)
{
    struct addresses *table = calloc(1, sizeof(*table));
    if (table == NULL)
        return KS_E_NOMEM;
    table->key = key | 1;
    *ret = table;
    return 0;
}

void
addresses_free(struct addresses *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct address *a = table->buckets[i], *next; a != NULL; a = next) {
            next = a->next;
            free(a);
        }
    free(table);
}

static bool
is_mapped(const struct sockaddr_in6 *peer)
{
    return IN6_IS_ADDR_V4MAPPED(&peer->sin6_addr);
}

/* IPv4 addresses as ::ffff:0:0/96 would have prefix 0, so they are kept apart by their own high half. */
static uint64_t
prefix_of(const struct sockaddr *peer)
{
    struct sockaddr_in6 six;
    struct sockaddr_in four;
    if (peer->sa_family == AF_INET) {
        memcpy(&four, peer, sizeof(four));
        return 0xffffULL << 32 | ntohl(four.sin_addr.s_addr);
    }
    memcpy(&six, peer, sizeof(six));
    return is_mapped(&six) ? 0xffffULL << 32 | ks_be32(six.sin6_addr.s6_addr + 12) : ks_be64(six.sin6_addr.s6_addr);
}

static struct address **
bucket_of(struct addresses *table, uint64_t prefix)
{
    uint64_t h = (prefix ^ table->key) * 0x9e3779b97f4a7c15ULL;
    h = (h ^ h >> 29) * table->key;
    return &table->buckets[h >> 48 & (BUCKETS - 1)];
}

int
addresses_take(struct addresses *table, const struct sockaddr *peer, size_t max, struct address **ret)
{
    const uint64_t prefix = prefix_of(peer);
    struct address **bucket = bucket_of(table, prefix);
    struct address *a = *bucket;
    while (a != NULL && a->prefix != prefix)
        a = a->next;
    if (a == NULL) {
        a = calloc(1, sizeof(*a));
        if (a == NULL)
            return KS_E_NOMEM;
        *a = (struct address){*bucket, prefix, 0};
        *bucket = a;
    } else if (a->n >= max) {
        return KS_E_LIMIT;
    }
    a->n++;
    *ret = a;
    return 0;
}

void
addresses_drop(struct addresses *table, struct address *address)
{
    if (address == NULL || --address->n != 0)
        return;
    struct address **at = bucket_of(table, address->prefix);
    while (*at != address)
        at = &(*at)->next;
    *at = address->next;
    free(address);
}

void
address_text(const struct sockaddr *peer, char text[ADDRESS_TEXT_LEN])
{
    struct sockaddr_in6 six;
    struct sockaddr_in four;
    char host[INET6_ADDRSTRLEN] = "?";
    if (peer->sa_family == AF_INET) {
        memcpy(&four, peer, sizeof(four));
        (void)inet_ntop(AF_INET, &four.sin_addr, host, sizeof(host));
        (void)snprintf(text, ADDRESS_TEXT_LEN, "%s:%u", host, ntohs(four.sin_port));
        return;
    }
    memcpy(&six, peer, sizeof(six));
    if (is_mapped(&six)) {
        (void)inet_ntop(AF_INET, six.sin6_addr.s6_addr + 12, host, sizeof(host));
        (void)snprintf(text, ADDRESS_TEXT_LEN, "%s:%u", host, ntohs(six.sin6_port));
        return;
    }
    (void)inet_ntop(AF_INET6, &six.sin6_addr, host, sizeof(host));
    (void)snprintf(text, ADDRESS_TEXT_LEN, "[%s]:%u", host, ntohs(six.sin6_port));
}
