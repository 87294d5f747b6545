#include "client/result.h"

#include <stdalign.h>
#include <stdlib.h>

#include "client/alloc.h"

enum { RESULT_MAX = 256 << 20 };

struct header {
    alignas(max_align_t) struct ks_arena arena;
    struct ks_secret *secret;
    size_t size; /* of the public struct */
};

static struct header *
header_of(void *result)
{
    return (struct header *)result - 1;
}

void *
client_result_new(size_t size)
{
    struct header *header = client_alloc(sizeof(*header) + size);
    if (header == NULL)
        return NULL;
    header->arena = KS_ARENA(RESULT_MAX);
    header->size = size;
    return header + 1;
}

void
client_result_free(void *result)
{
    if (result == NULL)
        return;
    struct header *header = header_of(result);
    ks_secret_free(header->secret);
    ks_arena_done(&header->arena);
    ks_wipe(header, sizeof(*header) + header->size);
    free(header);
}

void
client_result_freep(void *pointer_to_result)
{
    void *result;
    memcpy(&result, pointer_to_result, sizeof(result));
    client_result_free(result);
}

struct ks_arena *
client_result_arena(void *result)
{
    return &header_of(result)->arena;
}

int
client_result_bytes(void *result, struct ks_span from, struct ks_bytes *ret)
{
    const uint8_t *copy = ks_arena_dup(client_result_arena(result), from.data, from.len);
    if (copy == NULL)
        return KS_E_NOMEM;
    *ret = (struct ks_bytes){copy, from.len};
    return 0;
}

const char *
client_result_text(void *result, struct ks_span from)
{
    return ks_arena_dup(client_result_arena(result), from.data, from.len);
}

int
client_result_secret(void *result, struct ks_span from, struct ks_bytes *ret)
{
    struct header *header = header_of(result);
    if (header->secret != NULL)
        return KS_E_INTERNAL;
    if (from.len == 0) {
        *ret = (struct ks_bytes){NULL, 0};
        return 0;
    }
    /* A NUL stands behind it, for secrets that are text. */
    KS_TRY(ks_secret_new(from.len + 1, &header->secret));
    memcpy(ks_secret_data(header->secret), from.data, from.len);
    *ret = (struct ks_bytes){ks_secret_data(header->secret), from.len};
    return 0;
}
