#include "tde/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <keystead/kmip.h>

#include "crypto/kdf.h"
#include "crypto/random.h"
#include "tde/real.h"

#define DERIVATION "keystead tde 1"

enum { CACHE = 256, ALL_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

struct held {
    struct tde_bundle bundle;
    uint8_t temp[TDE_BUNDLE_KEY];
};

struct tde_file_key {
    struct ks_xts *xts;
    atomic_int users;
    atomic_flag busy;
    unsigned root;
    enum tde_class class;
    char identity[TDE_IDENTITY_MAX];
};

static struct held *held[TDE_ROOTS];
static struct tde_file_key *cache[CACHE];
static atomic_flag cache_lock = ATOMIC_FLAG_INIT;

static void
lock(atomic_flag *flag)
{
    while (atomic_flag_test_and_set_explicit(flag, memory_order_acquire))
        sched_yield();
}

static void
unlock(atomic_flag *flag)
{
    atomic_flag_clear_explicit(flag, memory_order_release);
}

/* A forked child has the memory, but not the lock on it. */
static void
lock_again(void)
{
    for (unsigned root = 0; root < TDE_ROOTS; root++)
        if (held[root] != NULL)
            (void)mlock(held[root], sizeof(*held[root]));
}

static int
valid(const struct tde_bundle *b, char *why, size_t size)
{
    if (memcmp(b->magic, TDE_BUNDLE_MAGIC, sizeof(b->magic)) != 0 || b->size != sizeof(*b) || b->count == 0 ||
        b->count > TDE_BUNDLE_KEYS_MAX) {
        snprintf(why, size, "the keys that were handed over are of another version than this layer");
        return KS_E_INVALID;
    }
    unsigned active[TDE_PURPOSE_MISC + 1] = {0};
    for (uint32_t i = 0; i < b->count; i++)
        if (b->keys[i].state == TDE_KEY_ACTIVE && b->keys[i].purpose >= 1 && b->keys[i].purpose <= TDE_PURPOSE_MISC)
            active[b->keys[i].purpose]++;
    for (int purpose = TDE_PURPOSE_REL; purpose <= TDE_PURPOSE_MISC; purpose++)
        if (active[purpose] != 1) {
            snprintf(why, size, "the keys that were handed over have %u active keys of purpose %d, where one is needed",
                     active[purpose], purpose);
            return KS_E_INVALID;
        }
    return 0;
}

static int
read_bundle(int fd, struct held *into, char *why, size_t size)
{
    const int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS) {
        snprintf(why, size, "descriptor %d is no sealed memory with keys", fd);
        return KS_E_INVALID;
    }
    if (syscall(SYS_pread64, fd, &into->bundle, sizeof(into->bundle), (off_t)0) != (ssize_t)sizeof(into->bundle)) {
        snprintf(why, size, "the keys that were handed over are of another version than this layer");
        return KS_E_INVALID;
    }
    return valid(&into->bundle, why, size);
}

static void
free_key(struct tde_file_key *key)
{
    ks_xts_free(key->xts);
    ks_wipe(key, sizeof(*key));
    free(key);
}

void
tde_file_key_put(struct tde_file_key *key)
{
    if (key != NULL && atomic_fetch_sub(&key->users, 1) == 1)
        free_key(key);
}

static void
drop(unsigned root)
{
    lock(&cache_lock);
    for (size_t i = 0; i < CACHE; i++)
        if (cache[i] != NULL && cache[i]->root == root) {
            tde_file_key_put(cache[i]);
            cache[i] = NULL;
        }
    unlock(&cache_lock);
    if (held[root] != NULL) {
        ks_wipe(held[root], sizeof(*held[root]));
        munmap(held[root], sizeof(*held[root]));
        held[root] = NULL;
    }
}

int
tde_keys_load_of(unsigned root, int fd, char *why, size_t size)
{
    static bool registered;
    struct held *h = mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (h == MAP_FAILED) {
        snprintf(why, size, "no memory for the keys");
        (void)syscall(SYS_close, fd);
        return KS_E_NOMEM;
    }
    (void)madvise(h, sizeof(*h), MADV_DONTDUMP);
    (void)mlock(h, sizeof(*h));
    int rc = read_bundle(fd, h, why, size);
    (void)syscall(SYS_close, fd);
    if (rc == 0 && (rc = ks_random_key(h->temp, sizeof(h->temp))) != 0)
        snprintf(why, size, "no random bytes for the key of temporary files");
    if (rc == 0 && !registered) {
        registered = pthread_atfork(NULL, NULL, lock_again) == 0;
        if (!registered)
            rc = KS_E_NOMEM;
    }
    if (rc != 0) {
        ks_wipe(h, sizeof(*h));
        munmap(h, sizeof(*h));
        return rc;
    }
    drop(root);
    held[root] = h;
    return 0;
}

bool
tde_keys_loaded_of(unsigned root)
{
    return held[root] != NULL;
}

const struct tde_bundle *
tde_keys_bundle_of(unsigned root)
{
    return held[root] != NULL ? &held[root]->bundle : NULL;
}

int
tde_keys_memfd_of(unsigned root)
{
    if (held[root] == NULL) {
        errno = ENOKEY;
        return -1;
    }
    const int fd = memfd_create("keystead", MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    if (syscall(SYS_pwrite64, fd, &held[root]->bundle, sizeof(struct tde_bundle), (off_t)0) !=
            (ssize_t)sizeof(struct tde_bundle) ||
        fcntl(fd, F_ADD_SEALS, ALL_SEALS) != 0) {
        (void)syscall(SYS_close, fd);
        errno = EIO;
        return -1;
    }
    return fd;
}

void
tde_keys_done(void)
{
    for (unsigned root = 0; root < TDE_ROOTS; root++)
        drop(root);
}

int
tde_keys_check_value(const struct tde_bundle_key *key, uint8_t ret[32])
{
    return ks_kdf_hkdf(KMIP_HASHING_ALGORITHM_SHA_256, KS_SPAN(key->key, TDE_BUNDLE_KEY), KS_SPAN_NONE,
                       KS_LIT(DERIVATION " check"), ret, 32, NULL);
}

static struct ks_span
data_key(const struct held *h, uint32_t which, enum tde_key_state state)
{
    if (which == TDE_KEY_TEMP && state == TDE_KEY_ACTIVE)
        return KS_SPAN(h->temp, sizeof(h->temp));
    for (uint32_t i = 0; i < h->bundle.count; i++)
        if (h->bundle.keys[i].purpose == which && h->bundle.keys[i].state == state)
            return KS_SPAN(h->bundle.keys[i].key, TDE_BUNDLE_KEY);
    return KS_SPAN_NONE;
}

bool
tde_keys_same(void)
{
    bool same = held[0] != NULL && held[1] != NULL;
    for (uint32_t purpose = TDE_PURPOSE_REL; same && purpose <= TDE_PURPOSE_MISC; purpose++) {
        const struct ks_span a = data_key(held[0], purpose, TDE_KEY_ACTIVE),
                             b = data_key(held[1], purpose, TDE_KEY_ACTIVE);
        same = a.len == b.len && a.len > 0 && ks_equal_secret(a.data, b.data, a.len);
    }
    return same;
}

static int
derive(unsigned root, enum tde_key_state state, enum tde_class class, const char *identity, struct tde_file_key **ret)
{
    char info[sizeof(DERIVATION) + 32 + TDE_IDENTITY_MAX];
    uint8_t key[KS_XTS_KEY];
    /* The zeros between the parts are part of it: no two files have the same. */
    const int len = snprintf(info, sizeof(info), DERIVATION "%c%s%c%s", 0, tde_classes[class].name, 0, identity);
    if (len < 0 || (size_t)len >= sizeof(info))
        return KS_E_LIMIT;
    const struct ks_span from = data_key(held[root], tde_classes[class].key, state);
    if (from.len == 0)
        return KS_E_NOT_FOUND;
    struct tde_file_key *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return KS_E_NOMEM;
    int rc = ks_kdf_hkdf(KMIP_HASHING_ALGORITHM_SHA_256, from, KS_SPAN_NONE, KS_SPAN(info, (size_t)len), key,
                         sizeof(key), NULL);
    if (rc == 0)
        rc = ks_xts_new(key, &k->xts, NULL);
    ks_wipe(key, sizeof(key));
    if (rc != 0) {
        free(k);
        return rc;
    }
    k->root = root;
    k->class = class;
    snprintf(k->identity, sizeof(k->identity), "%s", identity);
    atomic_init(&k->users, 1);
    *ret = k;
    return 0;
}

static struct tde_file_key **
slot(unsigned root, enum tde_class class, const char *identity)
{
    uint32_t h = 2166136261U ^ (uint32_t) class ^ root << 8;
    for (const char *p = identity; *p != '\0'; p++)
        h = (h ^ (uint8_t)*p) * 16777619U;
    return &cache[(h ^ h >> 16) % CACHE];
}

int
tde_file_key_get_of(unsigned root, enum tde_class class, const char *identity, struct tde_file_key **ret)
{
    if (held[root] == NULL)
        return KS_E_SEALED;
    struct tde_file_key **at = slot(root, class, identity), *k = NULL;
    lock(&cache_lock);
    if (*at != NULL && (*at)->root == root && (*at)->class == class && strcmp((*at)->identity, identity) == 0) {
        k = *at;
        atomic_fetch_add(&k->users, 1);
    }
    unlock(&cache_lock);
    if (k == NULL) {
        KS_TRY(derive(root, TDE_KEY_ACTIVE, class, identity, &k));
        atomic_fetch_add(&k->users, 1);
        lock(&cache_lock);
        struct tde_file_key *old = *at;
        *at = k;
        unlock(&cache_lock);
        tde_file_key_put(old);
    }
    *ret = k;
    return 0;
}

int
tde_file_key_of(enum tde_key_state state, enum tde_class class, const char *identity, struct tde_file_key **ret)
{
    return held[0] == NULL ? KS_E_SEALED : derive(0, state, class, identity, ret);
}

struct ks_xts *
tde_file_key_begin(struct tde_file_key *key)
{
    lock(&key->busy);
    return key->xts;
}

void
tde_file_key_end(struct tde_file_key *key)
{
    unlock(&key->busy);
}
