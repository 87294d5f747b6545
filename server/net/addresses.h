/* How many connections each peer address has: a hash table, keyed by a random number so that nobody can aim at it. */
#pragma once

#include <sys/socket.h>

#include "base/mem.h"

struct addresses;
struct address; /* one peer's count, referred to by its connections */

int addresses_new(uint64_t key, struct addresses **ret) KS_MUST_CHECK;
void addresses_free(struct addresses *table); /* every address has been dropped before */

/* Counts one more connection. KS_E_LIMIT: the peer has `max` already. IPv6 peers are told apart by their /64. */
int addresses_take(struct addresses *table, const struct sockaddr *peer, size_t max,
                   struct address **ret) KS_MUST_CHECK;
void addresses_drop(struct addresses *table, struct address *address);

/* "192.0.2.7:40122", "[2001:db8::1]:40122"; IPv4 inside IPv6 is written as IPv4. */
enum { ADDRESS_TEXT_LEN = 64 };
void address_text(const struct sockaddr *peer, char text[ADDRESS_TEXT_LEN]);
