#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void
ks_wipe(void *p, size_t len)
{
    if (len != 0)
        explicit_bzero(p, len);
}

bool
ks_equal_secret(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a;
    const volatile uint8_t *y = b;
    uint8_t diff = 0;
    for (size_t i = 0; i < len; i++)
        diff = (uint8_t)(diff | (x[i] ^ y[i]));
    return diff == 0;
}

void
ks_key32_done(struct ks_key32 *key)
{
    ks_wipe(key, sizeof(*key));
}

/* Secrets: a header page part and the data share one mapping; the mapping is what is locked. */

struct ks_secret {
    size_t len;
    size_t mapped;
    bool locked;
    _Alignas(16) uint8_t data[];
};

int
ks_secret_new(size_t len, struct ks_secret **ret)
{
    const long page = sysconf(_SC_PAGESIZE);
    if (page <= 0 || len > (size_t)1 << 30)
        return KS_E_INVALID;
    const size_t need = sizeof(struct ks_secret) + len;
    const size_t mapped = (need + (size_t)page - 1) / (size_t)page * (size_t)page;
    struct ks_secret *s = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED)
        return KS_E_NOMEM;
    s->len = len;
    s->mapped = mapped;
    s->locked = mlock(s, mapped) == 0;
    /* Best effort: an old kernel without MADV_DONTDUMP still has PR_SET_DUMPABLE, which programs set. */
    (void)madvise(s, mapped, MADV_DONTDUMP);
    *ret = s;
    return 0;
}

int
ks_secret_from(const void *data, size_t len, struct ks_secret **ret)
{
    struct ks_secret *s;
    KS_TRY(ks_secret_new(len, &s));
    if (len != 0)
        memcpy(s->data, data, len);
    *ret = s;
    return 0;
}

uint8_t *
ks_secret_data(struct ks_secret *secret)
{
    return secret->data;
}

size_t
ks_secret_len(const struct ks_secret *secret)
{
    return secret->len;
}

bool
ks_secret_locked(const struct ks_secret *secret)
{
    return secret->locked;
}

void
ks_secret_free(struct ks_secret *secret)
{
    if (secret == NULL)
        return;
    const size_t mapped = secret->mapped;
    ks_wipe(secret, mapped);
    (void)munmap(secret, mapped);
}

/* Arenas */

struct ks_arena_chunk {
    struct ks_arena_chunk *next;
    size_t cap;
    size_t pos;
    _Alignas(16) uint8_t data[];
};

enum { FIRST_CHUNK = 4096, LARGEST_CHUNK = 1 << 20 };

static struct ks_arena_chunk *
new_chunk(struct ks_arena *arena, size_t size)
{
    size_t cap = arena->chunk != NULL ? arena->chunk->cap * 2 : FIRST_CHUNK;
    if (cap > LARGEST_CHUNK)
        cap = LARGEST_CHUNK;
    if (cap < size)
        cap = size;
    struct ks_arena_chunk *chunk = malloc(sizeof(*chunk) + cap);
    if (chunk == NULL)
        return NULL;
    chunk->next = arena->chunk;
    chunk->cap = cap;
    chunk->pos = 0;
    arena->chunk = chunk;
    return chunk;
}

void *
ks_arena_alloc(struct ks_arena *arena, size_t size)
{
    if (size > arena->limit - arena->used || size > SIZE_MAX - 15)
        return NULL;
    const size_t need = size == 0 ? 16 : (size + 15) & ~(size_t)15;
    struct ks_arena_chunk *chunk = arena->chunk;
    if (chunk == NULL || need > chunk->cap - chunk->pos) {
        chunk = new_chunk(arena, need);
        if (chunk == NULL)
            return NULL;
    }
    void *p = chunk->data + chunk->pos;
    chunk->pos += need;
    arena->used += size;
    memset(p, 0, need);
    return p;
}

void *
ks_arena_array(struct ks_arena *arena, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    return ks_arena_alloc(arena, bytes);
}

void *
ks_arena_dup(struct ks_arena *arena, const void *data, size_t len)
{
    if (len == SIZE_MAX)
        return NULL;
    uint8_t *p = ks_arena_alloc(arena, len + 1);
    if (p != NULL && len != 0)
        memcpy(p, data, len);
    return p;
}

int
ks_arena_span(struct ks_arena *arena, struct ks_span from, struct ks_span *ret)
{
    const uint8_t *p = ks_arena_dup(arena, from.data, from.len);
    if (p == NULL)
        return KS_E_NOMEM;
    *ret = KS_SPAN(p, from.len);
    return 0;
}

static void
free_chunk(struct ks_arena_chunk *chunk)
{
    ks_wipe(chunk->data, chunk->pos);
    free(chunk);
}

void
ks_arena_reset(struct ks_arena *arena)
{
    struct ks_arena_chunk *keep = arena->chunk;
    if (keep != NULL) {
        while (keep->next != NULL) {
            struct ks_arena_chunk *next = keep->next->next;
            free_chunk(keep->next);
            keep->next = next;
        }
        ks_wipe(keep->data, keep->pos);
        keep->pos = 0;
    }
    arena->used = 0;
}

void
ks_arena_done(struct ks_arena *arena)
{
    while (arena->chunk != NULL) {
        struct ks_arena_chunk *next = arena->chunk->next;
        free_chunk(arena->chunk);
        arena->chunk = next;
    }
    arena->used = 0;
}

/* Buffers */

int
ks_buf_reserve(struct ks_buf *buf, size_t extra)
{
    if (buf->err != 0)
        return buf->err;
    if (extra > buf->max || buf->len > buf->max - extra)
        return buf->err = KS_E_LIMIT;
    const size_t need = buf->len + extra;
    if (need <= buf->cap)
        return 0;
    size_t cap = buf->cap < 256 ? 256 : buf->cap;
    while (cap < need)
        cap *= 2;
    if (cap > buf->max)
        cap = buf->max;
    /* Not realloc: the old copy would stay behind unwiped. */
    uint8_t *data = malloc(cap);
    if (data == NULL)
        return buf->err = KS_E_NOMEM;
    if (buf->data != NULL) {
        memcpy(data, buf->data, buf->len);
        ks_wipe(buf->data, buf->len);
        free(buf->data);
    }
    buf->data = data;
    buf->cap = cap;
    return 0;
}

int
ks_buf_add(struct ks_buf *buf, const void *data, size_t len)
{
    KS_TRY(ks_buf_reserve(buf, len));
    if (len != 0)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    return 0;
}

int
ks_buf_add_span(struct ks_buf *buf, struct ks_span span)
{
    return ks_buf_add(buf, span.data, span.len);
}

int
ks_buf_add_str(struct ks_buf *buf, const char *s)
{
    return ks_buf_add(buf, s, strlen(s));
}

int
ks_buf_add_u8(struct ks_buf *buf, uint8_t v)
{
    return ks_buf_add(buf, &v, 1);
}

int
ks_buf_add_be32(struct ks_buf *buf, uint32_t v)
{
    uint8_t b[4];
    ks_put_be32(b, v);
    return ks_buf_add(buf, b, sizeof(b));
}

int
ks_buf_add_be64(struct ks_buf *buf, uint64_t v)
{
    uint8_t b[8];
    ks_put_be64(b, v);
    return ks_buf_add(buf, b, sizeof(b));
}

int
ks_buf_addf(struct ks_buf *buf, const char *fmt, ...)
{
    if (buf->err != 0)
        return buf->err;
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0)
        return buf->err = KS_E_INTERNAL;
    KS_TRY(ks_buf_reserve(buf, (size_t)n + 1));
    va_start(args, fmt);
    (void)vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)n;
    return 0;
}

int
ks_buf_put_be32(struct ks_buf *buf, size_t at, uint32_t v)
{
    if (buf->err != 0)
        return buf->err;
    if (buf->len < 4 || at > buf->len - 4)
        return buf->err = KS_E_INTERNAL;
    ks_put_be32(buf->data + at, v);
    return 0;
}

void
ks_buf_drop_front(struct ks_buf *buf, size_t n)
{
    if (n > buf->len)
        n = buf->len;
    const size_t left = buf->len - n;
    if (left != 0 && n != 0)
        memmove(buf->data, buf->data + n, left);
    if (buf->data != NULL)
        ks_wipe(buf->data + left, n);
    buf->len = left;
}

void
ks_buf_reset(struct ks_buf *buf)
{
    if (buf->data != NULL)
        ks_wipe(buf->data, buf->len);
    buf->len = 0;
    buf->err = 0;
}

const char *
ks_buf_cstr(struct ks_buf *buf)
{
    if (ks_buf_reserve(buf, 1) != 0)
        return NULL;
    buf->data[buf->len] = '\0';
    return (const char *)buf->data;
}

void
ks_buf_done(struct ks_buf *buf)
{
    if (buf->data != NULL) {
        ks_wipe(buf->data, buf->cap);
        free(buf->data);
    }
    *buf = KS_BUF(buf->max);
}

/* Cursor */

struct ks_span
ks_cursor_take(struct ks_cursor *c, size_t len)
{
    if (c->err != 0 || len > c->len - c->pos) {
        if (c->err == 0)
            c->err = KS_E_MALFORMED;
        return KS_SPAN_NONE;
    }
    const struct ks_span s = KS_SPAN(c->data + c->pos, len);
    c->pos += len;
    return s;
}

uint8_t
ks_cursor_u8(struct ks_cursor *c)
{
    const struct ks_span s = ks_cursor_take(c, 1);
    return s.data != NULL ? s.data[0] : 0;
}

uint32_t
ks_cursor_be32(struct ks_cursor *c)
{
    const struct ks_span s = ks_cursor_take(c, 4);
    return s.data != NULL ? ks_be32(s.data) : 0;
}

uint64_t
ks_cursor_be64(struct ks_cursor *c)
{
    const struct ks_span s = ks_cursor_take(c, 8);
    return s.data != NULL ? ks_be64(s.data) : 0;
}
