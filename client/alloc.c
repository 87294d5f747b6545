#include "client/alloc.h"

#include <stdlib.h>

void *
client_alloc(size_t size)
{
    return calloc(1, size);
}
