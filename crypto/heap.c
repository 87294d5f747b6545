/* ks_crypto_wipe_heap (crypto/crypto.h). */
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/crypto.h"

/* What the allocator gave, which may be more than was asked for: all of it may have been written. */
static void
wipe_and_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    if (p != NULL)
        ks_wipe(p, malloc_usable_size(p));
    free(p);
}

static void *
allocate(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return size != 0 ? malloc(size) : NULL;
}

/* Not realloc(): the old place would stay behind unwiped. */
static void *
reallocate(void *old, size_t size, const char *file, int line)
{
    if (old == NULL)
        return allocate(size, file, line);
    if (size == 0) {
        wipe_and_free(old, file, line);
        return NULL;
    }
    void *p = malloc(size);
    if (p == NULL)
        return NULL;
    const size_t had = malloc_usable_size(old);
    memcpy(p, old, had < size ? had : size);
    wipe_and_free(old, file, line);
    return p;
}

bool
ks_crypto_wipe_heap(void)
{
    return CRYPTO_set_mem_functions(allocate, reallocate, wipe_and_free) == 1;
}
