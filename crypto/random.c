#include "crypto/random.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { POOL = 4096, LARGEST_FROM_POOL = 256 };

/* Bumped in a forked child, so that no pool survives the fork. */
static _Atomic unsigned generation = 1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static _Thread_local struct {
    unsigned generation; /* 0: never filled */
    size_t left;
    uint8_t bytes[POOL]; /* the last `left` are unused, all before them is wiped */
} pool;

static void
in_child(void)
{
    atomic_fetch_add(&generation, 1);
}

static void
watch_forks(void)
{
    /* Failure (no memory at start) leaves generation 0, which no pool ever matches: no pooling then. */
    if (pthread_atfork(NULL, NULL, in_child) != 0)
        atomic_store(&generation, 0);
}

static int
draw(void *ret, size_t len, int (*from)(OSSL_LIB_CTX *, unsigned char *, size_t, unsigned))
{
    if (len == 0 || from(NULL, ret, len, 0) == 1)
        return 0;
    ks_wipe(ret, len);
    ERR_clear_error();
    return KS_E_CRYPTO;
}

int
ks_random(void *ret, size_t len)
{
    if (len > LARGEST_FROM_POOL)
        return draw(ret, len, RAND_bytes_ex);
    pthread_once(&once, watch_forks);
    const unsigned now = atomic_load(&generation);
    if (now == 0)
        return draw(ret, len, RAND_bytes_ex);
    if (pool.generation != now || pool.left < len) {
        pool.left = 0;
        const int rc = draw(pool.bytes, POOL, RAND_bytes_ex);
        if (rc != 0) {
            ks_wipe(ret, len);
            return rc;
        }
        pool.left = POOL;
        pool.generation = now;
    }
    if (len == 0)
        return 0;
    uint8_t *from = pool.bytes + POOL - pool.left;
    memcpy(ret, from, len);
    ks_wipe(from, len);
    pool.left -= len;
    return 0;
}

int
ks_random_key(void *ret, size_t len)
{
    return draw(ret, len, RAND_priv_bytes_ex);
}

int
ks_random_mix(const void *data, size_t len)
{
    if (len == 0)
        return 0;
    if (len > INT_MAX)
        return KS_E_LIMIT;
    RAND_add(data, (int)len, 0.0); /* no entropy is credited, and the generator draws its own besides */
    pool.left = 0;                 /* what this thread has in store was drawn before */
    ks_wipe(pool.bytes, sizeof(pool.bytes));
    const int rc = RAND_status() == 1 ? 0 : KS_E_CRYPTO;
    ERR_clear_error();
    return rc;
}

void
ks_uuid7(struct ks_uuid_gen *gen, int64_t now_ms, const uint8_t random[KS_UUID_RANDOM], char ret_text[KS_UUID_TEXT])
{
    /* The counter starts in the lower half of its range, at random (RFC 9562, 6.2, method 1). */
    const uint64_t ms = now_ms < 0 ? 0 : (uint64_t)now_ms & 0xffffffffffff;
    const uint64_t fresh = ms << 12 | ((uint64_t)(random[8] & 7) << 8 | random[9]);
    uint64_t last = atomic_load_explicit(&gen->last, memory_order_relaxed);
    uint64_t next;
    do
        next = fresh > last ? fresh : last + 1;
    while (!atomic_compare_exchange_weak(&gen->last, &last, next));

    const uint64_t time = next >> 12;
    uint8_t b[16];
    ks_put_be32(b, (uint32_t)(time >> 16));
    b[4] = (uint8_t)(time >> 8);
    b[5] = (uint8_t)time;
    b[6] = (uint8_t)(0x70 | (next >> 8 & 0x0f));
    b[7] = (uint8_t)next;
    memcpy(b + 8, random, 8);
    b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));

    static const char digits[] = "0123456789abcdef";
    char *out = ret_text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[b[i] >> 4];
        *out++ = digits[b[i] & 15];
    }
    *out = '\0';
}
