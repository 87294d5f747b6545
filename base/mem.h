/*
 * Memory: wiping, comparing, spans, arenas and growable buffers.
 *
 * Everything here wipes what it frees. There is no variant that does not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "base/err.h"

/* Borrowed bytes. Text is a span too: UTF-8, not terminated. */
struct ks_span {
    const uint8_t *data;
    size_t len;
};

#define KS_SPAN(ptr, length) ((struct ks_span){(const uint8_t *)(ptr), (length)})
#define KS_SPAN_NONE ((struct ks_span){NULL, 0})
/* A span over a string literal. */
#define KS_LIT(s) ((struct ks_span){(const uint8_t *)("" s), sizeof(s) - 1})

static inline struct ks_span
ks_span_str(const char *s)
{
    return KS_SPAN(s, s != NULL ? strlen(s) : 0);
}

/* Not for secrets: returns at the first difference. */
static inline bool
ks_span_equal(struct ks_span a, struct ks_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool
ks_span_is(struct ks_span a, const char *s)
{
    return ks_span_equal(a, ks_span_str(s));
}

/* Overwrites memory in a way that the compiler keeps. p may be NULL when len is 0. */
void ks_wipe(void *p, size_t len);

/* Equality in a time that depends on the length alone. */
bool ks_equal_secret(const void *a, const void *b, size_t len);

/* A 32-byte secret on the stack, wiped when it goes out of scope: `KS_KEY32 key;` */
struct ks_key32 {
    uint8_t b[32];
};
void ks_key32_done(struct ks_key32 *key);
#define KS_KEY32 KS_CLEANUP(ks_key32_done) struct ks_key32

/*
 * A secret of any size: own pages, locked into memory where the limits allow it, left out of core dumps, wiped
 * on free.
 */
struct ks_secret;
int ks_secret_new(size_t len, struct ks_secret **ret) KS_MUST_CHECK; /* zeroed; KS_E_NOMEM */
int ks_secret_from(const void *data, size_t len, struct ks_secret **ret) KS_MUST_CHECK;
uint8_t *ks_secret_data(struct ks_secret *secret);
size_t ks_secret_len(const struct ks_secret *secret);
bool ks_secret_locked(const struct ks_secret *secret);
void ks_secret_free(struct ks_secret *secret);
static inline void
ks_secret_freep(struct ks_secret **secret)
{
    ks_secret_free(*secret);
    *secret = NULL;
}
#define KS_SECRET KS_CLEANUP(ks_secret_freep) struct ks_secret

/*
 * Arena: many small allocations that end together. `limit` bounds the sum of all of them.
 *
 *     KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
 *     struct thing *t = ks_arena_alloc(&arena, sizeof(*t));
 *     if (t == NULL)
 *         return KS_E_NOMEM;
 */
struct ks_arena_chunk;
struct ks_arena {
    struct ks_arena_chunk *chunk;
    size_t used;
    size_t limit;
};
#define KS_ARENA(max) ((struct ks_arena){NULL, 0, (max)})

void *ks_arena_alloc(struct ks_arena *arena, size_t size); /* zeroed, aligned to 16; NULL: limit or no memory */
void *ks_arena_array(struct ks_arena *arena, size_t n, size_t size);
void *ks_arena_dup(struct ks_arena *arena, const void *data, size_t len); /* with a NUL behind it */
int ks_arena_span(struct ks_arena *arena, struct ks_span from, struct ks_span *ret) KS_MUST_CHECK;
void ks_arena_reset(struct ks_arena *arena); /* wipes what was used, keeps one chunk for the next round */
void ks_arena_done(struct ks_arena *arena);

/*
 * Growable buffer. It is told its maximum at the start. The first failure sticks: later calls do
 * nothing and return the same code, so a writer may append ten things and check once.
 */
struct ks_buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max;
    int err;
};
#define KS_BUF(maximum) ((struct ks_buf){NULL, 0, 0, (maximum), 0})

int ks_buf_reserve(struct ks_buf *buf, size_t extra); /* room for extra bytes behind len */
int ks_buf_add(struct ks_buf *buf, const void *data, size_t len);
int ks_buf_add_span(struct ks_buf *buf, struct ks_span span);
int ks_buf_add_str(struct ks_buf *buf, const char *s);
int ks_buf_add_u8(struct ks_buf *buf, uint8_t v);
int ks_buf_add_be32(struct ks_buf *buf, uint32_t v);
int ks_buf_add_be64(struct ks_buf *buf, uint64_t v);
int ks_buf_addf(struct ks_buf *buf, const char *fmt, ...) KS_PRINTF(2, 3);
int ks_buf_put_be32(struct ks_buf *buf, size_t at, uint32_t v); /* overwrites; at + 4 <= len */
void ks_buf_drop_front(struct ks_buf *buf, size_t n);           /* n <= len; wipes what it uncovers */
void ks_buf_reset(struct ks_buf *buf);                          /* wipes, keeps the memory, clears err */
const char *ks_buf_cstr(struct ks_buf *buf);                    /* terminated; NULL after a failure */
void ks_buf_done(struct ks_buf *buf);
static inline struct ks_span
ks_buf_span(const struct ks_buf *buf)
{
    return KS_SPAN(buf->data, buf->len);
}

/* Bounded reading cursor; the first failure sticks and every later read gives zeroes. */
struct ks_cursor {
    const uint8_t *data;
    size_t len;
    size_t pos;
    int err;
};
#define KS_CURSOR(span) ((struct ks_cursor){(span).data, (span).len, 0, 0})

uint8_t ks_cursor_u8(struct ks_cursor *c);
uint32_t ks_cursor_be32(struct ks_cursor *c);
uint64_t ks_cursor_be64(struct ks_cursor *c);
struct ks_span ks_cursor_take(struct ks_cursor *c, size_t len);
static inline size_t
ks_cursor_left(const struct ks_cursor *c)
{
    return c->len - c->pos;
}

static inline uint32_t
ks_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t
ks_be64(const uint8_t *p)
{
    return (uint64_t)ks_be32(p) << 32 | ks_be32(p + 4);
}

static inline void
ks_put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static inline void
ks_put_be64(uint8_t *p, uint64_t v)
{
    ks_put_be32(p, (uint32_t)(v >> 32));
    ks_put_be32(p + 4, (uint32_t)v);
}
