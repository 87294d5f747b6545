/* Zeroed memory; NULL: there is none. Freed with free. In a file of its own so that tests can make it fail. */
#pragma once

#include <stddef.h>

void *client_alloc(size_t size);
