/*
 * Rows of STORE_INSTANCE: "master/1": 0x01 | master key sealed (crypto/seal.h) under SP 800-108(root, "keystead root
 * wrap"), with the row's key as AAD. What keyring_seal makes: number of the master key (1 byte) | sealed.
 */
#include "store/keyring.h"

#include <pthread.h>
#include <stdlib.h>

#include <keystead/kmip.h>

#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "store/state.h"

enum { MASTER_KEY = 1, WRAP_FORMAT = 1, WRAP_MAX = 256 };
#define MASTER_ROW KS_LIT("master/1")

static const struct {
    struct ks_span label;
} purposes[KEYRING_PURPOSE_COUNT] = {
    [KEYRING_OBJECT] = {{(const uint8_t *)"keystead object", 15}},
    [KEYRING_METADATA] = {{(const uint8_t *)"keystead metadata", 17}},
    [KEYRING_NAME] = {{(const uint8_t *)"keystead name", 13}},
    [KEYRING_AUDIT] = {{(const uint8_t *)"keystead audit", 14}},
    [KEYRING_STATE] = {{(const uint8_t *)"keystead state", 14}},
};

/* One purpose's keyed contexts. They are for one thread at a time; threads have different purposes in mind, so that
 * they seldom meet. */
struct slot {
    pthread_mutex_t turn;
    struct ks_seal_key *seal;
    struct ks_hmac_key *mac;
};

struct keyring {
    struct slot slot[KEYRING_PURPOSE_COUNT];
    size_t n_slots; /* that are set up */
};

static int
slot_init(struct slot *slot, const struct ks_key32 *master, struct ks_span label, struct ks_diag *diag)
{
    KS_KEY32 seal;
    KS_KEY32 mac;
    KS_TRY(ks_kdf_subkey(KS_SPAN(master->b, 32), label, KS_LIT("seal"), seal.b, 32, diag));
    KS_TRY(ks_kdf_subkey(KS_SPAN(master->b, 32), label, KS_LIT("mac"), mac.b, 32, diag));
    KS_TRY(ks_seal_key_new(seal.b, &slot->seal, diag));
    int rc = ks_hmac_key_new(KMIP_HASHING_ALGORITHM_SHA_256, KS_SPAN(mac.b, 32), &slot->mac, diag);
    if (rc == 0 && pthread_mutex_init(&slot->turn, NULL) != 0) {
        ks_hmac_key_free(slot->mac);
        rc = ks_fail(diag, KS_E_NOMEM, "keyring: cannot make a mutex");
    }
    if (rc != 0)
        ks_seal_key_free(slot->seal);
    return rc;
}

void
keyring_free(struct keyring *keyring)
{
    if (keyring == NULL)
        return;
    for (size_t i = 0; i < keyring->n_slots; i++) {
        ks_seal_key_free(keyring->slot[i].seal);
        ks_hmac_key_free(keyring->slot[i].mac);
        (void)pthread_mutex_destroy(&keyring->slot[i].turn);
    }
    free(keyring);
}

static void
keyring_freep(struct keyring **keyring)
{
    keyring_free(*keyring);
}

static int
keyring_of(const struct ks_key32 *master, struct keyring **ret, struct ks_diag *diag)
{
    struct keyring *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return ks_fail(diag, KS_E_NOMEM, "keyring: out of memory");
    for (; k->n_slots < KEYRING_PURPOSE_COUNT; k->n_slots++) {
        const int rc = slot_init(&k->slot[k->n_slots], master, purposes[k->n_slots].label, diag);
        if (rc != 0) {
            keyring_free(k);
            return rc;
        }
    }
    *ret = k;
    return 0;
}

static int
wrap_key(const struct ks_key32 *root, struct ks_seal_key **ret, struct ks_diag *diag)
{
    KS_KEY32 key;
    KS_TRY(ks_kdf_subkey(KS_SPAN(root->b, 32), KS_LIT("keystead root wrap"), KS_SPAN_NONE, key.b, 32, diag));
    return ks_seal_key_new(key.b, ret, diag);
}

int
keyring_create(struct store *store, const struct ks_key32 *root, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf row = KS_BUF(WRAP_MAX);
    const int there = store_get(store, STORE_INSTANCE, MASTER_ROW, &row, diag);
    if (there != KS_E_NOT_FOUND)
        return there == 0 ? ks_fail(diag, KS_E_EXISTS, "%s has a master key already", store_path(store)) : there;

    KS_KEY32 master;
    if (ks_random_key(master.b, sizeof(master.b)) != 0)
        return ks_fail(diag, KS_E_CRYPTO, "no random bytes for a master key");
    KS_CLEANUP(ks_seal_key_freep) struct ks_seal_key *wrap = NULL;
    KS_TRY(wrap_key(root, &wrap, diag));
    KS_TRY(ks_buf_add_u8(&row, WRAP_FORMAT));
    KS_TRY(ks_seal(wrap, MASTER_ROW, KS_SPAN(master.b, sizeof(master.b)), &row, diag));

    KS_CLEANUP(keyring_freep) struct keyring *keyring = NULL;
    KS_TRY(keyring_of(&master, &keyring, diag));
    const struct store_change change = {.table = STORE_INSTANCE, .key = MASTER_ROW, .value = ks_buf_span(&row)};
    const struct store_change *const changes[] = {&change};
    return state_create(store, keyring, changes, KS_ARRAY_LEN(changes), diag);
}

int
keyring_open(struct store *store, const struct ks_key32 *root, struct keyring **ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf row = KS_BUF(WRAP_MAX);
    const int rc = store_get(store, STORE_INSTANCE, MASTER_ROW, &row, diag);
    if (rc == KS_E_NOT_FOUND)
        return ks_fail(diag, KS_E_CORRUPT, "%s: the master key's row (instance, master/1) is missing",
                       store_path(store));
    KS_TRY(rc);
    if (row.len < 1 || row.data[0] != WRAP_FORMAT)
        return ks_fail(diag, KS_E_CORRUPT, "%s: the master key's row (instance, master/1) is of no known format",
                       store_path(store));
    KS_CLEANUP(ks_seal_key_freep) struct ks_seal_key *wrap = NULL;
    KS_TRY(wrap_key(root, &wrap, diag));
    KS_SECRET *clear = NULL;
    const int opened = ks_open_secret(wrap, MASTER_ROW, KS_SPAN(row.data + 1, row.len - 1), &clear, NULL);
    if (opened == KS_E_INTEGRITY || opened == KS_E_MALFORMED)
        return ks_fail(diag, KS_E_INTEGRITY,
                       "%s does not open: the root key file or the passphrase is not the one it was made with (or the "
                       "master key's row was changed)",
                       store_path(store));
    if (opened != 0)
        return ks_fail(diag, opened, "%s: unwrapping the master key: %s", store_path(store), ks_err_text(opened));
    if (ks_secret_len(clear) != 32)
        return ks_fail(diag, KS_E_CORRUPT, "%s: the master key is not of 32 bytes", store_path(store));
    KS_KEY32 master;
    memcpy(master.b, ks_secret_data(clear), sizeof(master.b));
    return keyring_of(&master, ret, diag);
}

int
keyring_seal(struct keyring *keyring, enum keyring_purpose purpose, struct ks_span context, struct ks_span plaintext,
             struct ks_buf *ret)
{
    struct slot *slot = &keyring->slot[purpose];
    const size_t before = ret->len;
    KS_TRY(ks_buf_add_u8(ret, MASTER_KEY));
    (void)pthread_mutex_lock(&slot->turn);
    const int rc = ks_seal(slot->seal, context, plaintext, ret, NULL);
    (void)pthread_mutex_unlock(&slot->turn);
    if (rc != 0)
        ret->len = before;
    return rc;
}

int
keyring_open_sealed(struct keyring *keyring, enum keyring_purpose purpose, struct ks_span context,
                    struct ks_span sealed, struct ks_buf *ret)
{
    struct slot *slot = &keyring->slot[purpose];
    if (sealed.len < 1 + KS_SEAL_OVERHEAD || sealed.data[0] != MASTER_KEY)
        return KS_E_INTEGRITY;
    (void)pthread_mutex_lock(&slot->turn);
    const int rc = ks_open(slot->seal, context, KS_SPAN(sealed.data + 1, sealed.len - 1), ret, NULL);
    (void)pthread_mutex_unlock(&slot->turn);
    return rc;
}

int
keyring_mac(struct keyring *keyring, enum keyring_purpose purpose, struct ks_span data, uint8_t ret[32])
{
    return keyring_mac_parts(keyring, purpose, &data, 1, ret);
}

int
keyring_mac_parts(struct keyring *keyring, enum keyring_purpose purpose, const struct ks_span *parts, size_t n,
                  uint8_t ret[32])
{
    struct slot *slot = &keyring->slot[purpose];
    (void)pthread_mutex_lock(&slot->turn);
    const int rc = ks_hmac_key_sum(slot->mac, parts, n, ret);
    (void)pthread_mutex_unlock(&slot->turn);
    return rc;
}
