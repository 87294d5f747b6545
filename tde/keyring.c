#include "tde/keyring.h"

#include <stdio.h>
#include <stdlib.h>

#include <keystead/kmip.h>

#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/random.h"
#include "crypto/seal.h"

static const uint8_t magic[8] = {'K', 'S', 'T', 'D', 'E', 'K', 'R', '1'};

enum { MAC_LEN = 32 };

void
tde_keyring_free(struct tde_keyring *keyring)
{
    if (keyring == NULL)
        return;
    ks_wipe(keyring, sizeof(*keyring));
    free(keyring);
}

const char *
tde_provider_word(uint32_t provider)
{
    switch (provider) {
#define TDE_PROVIDER(name, number, word)                                                                               \
    case (number):                                                                                                     \
        return (word);
        TDE_PROVIDERS
#undef TDE_PROVIDER
    default:
        return NULL;
    }
}

void
tde_uuid_text(const uint8_t uuid[TDE_BUNDLE_ID], char ret[TDE_UUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < TDE_BUNDLE_ID; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            ret[at++] = '-';
        ret[at++] = digits[uuid[i] >> 4];
        ret[at++] = digits[uuid[i] & 15];
    }
    ret[at] = '\0';
}

/* ---- The bytes: one walk, that writes or reads ---- */

struct walk {
    struct ks_buf *out;   /* writing */
    struct ks_cursor *in; /* reading */
    const char *wrong;    /* the first field that is not what it may be */
    size_t wrong_at;
};

static void
refuse(struct walk *w, const char *what)
{
    if (w->wrong != NULL)
        return;
    w->wrong = what;
    w->wrong_at = w->in != NULL ? w->in->pos : w->out->len;
}

/* A number from least to most. */
static void
u32(struct walk *w, const char *what, uint32_t *v, uint32_t least, uint32_t most)
{
    if (w->in != NULL)
        *v = ks_cursor_be32(w->in);
    else
        (void)ks_buf_add_be32(w->out, *v);
    if (*v < least || *v > most)
        refuse(w, what);
}

static void
u64(struct walk *w, uint64_t *v)
{
    if (w->in != NULL)
        *v = ks_cursor_be64(w->in);
    else
        (void)ks_buf_add_be64(w->out, *v);
}

static void
seconds(struct walk *w, const char *what, int64_t *v)
{
    uint64_t u = (uint64_t)*v;
    u64(w, &u);
    if (u > INT64_C(253402300799)) /* the end of 9999 */
        refuse(w, what);
    else
        *v = (int64_t)u;
}

static void
bytes(struct walk *w, uint8_t *v, size_t len)
{
    if (w->in == NULL) {
        (void)ks_buf_add(w->out, v, len);
        return;
    }
    const struct ks_span s = ks_cursor_take(w->in, len);
    if (s.len == len && len != 0)
        memcpy(v, s.data, len);
}

/* A length, then UTF-8 that a terminal can be shown; below TDE_TEXT bytes. */
static void
text(struct walk *w, const char *what, char v[TDE_TEXT])
{
    uint32_t len = w->in == NULL ? (uint32_t)strnlen(v, TDE_TEXT) : 0;
    u32(w, what, &len, 0, TDE_TEXT - 1);
    if (len >= TDE_TEXT)
        return;
    bytes(w, (uint8_t *)v, len);
    if (w->in != NULL)
        v[len] = '\0';
    if (!ks_utf8_valid(KS_SPAN(v, len)))
        refuse(w, what);
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)v[i] < 0x20 || v[i] == 0x7f)
            refuse(w, what);
}

static void
slot_walk(struct walk *w, struct tde_slot *s)
{
    u32(w, "slot number", &s->id, 1, UINT32_MAX);
    u32(w, "provider", &s->provider, TDE_PROVIDER_PASSPHRASE, TDE_PROVIDER_KEY_COMMAND);
    u32(w, "primary flag", &s->primary, 0, 1);
    seconds(w, "date of a slot", &s->created);
    u32(w, "source of the passphrase", &s->source, TDE_SOURCE_NONE, TDE_SOURCE_COMMAND);
    text(w, "file or command", s->path);
    u32(w, "scrypt n", &s->scrypt_n, 0, 1 << 22);
    u32(w, "scrypt r", &s->scrypt_r, 0, 32);
    u32(w, "scrypt p", &s->scrypt_p, 0, 16);
    bytes(w, s->salt, sizeof(s->salt));
    u32(w, "mode of the KMS", &s->mode, TDE_KMS_NONE, TDE_KMS_GET);
    text(w, "identifier of the key encryption key", s->uid);
    text(w, "name of the key encryption key", s->name);
    text(w, "servers", s->servers);
    text(w, "CA file", s->ca);
    text(w, "certificate file", s->certificate);
    text(w, "key file of the certificate", s->key);
    text(w, "server name", s->server_name);
    text(w, "identifier of the transport key", s->transport_uid);
    text(w, "file of the transport key", s->transport_file);
    bytes(w, s->check, sizeof(s->check));
    u32(w, "length of the wrapped key", &s->wrapped_len, 1, TDE_WRAPPED_MAX);
    if (s->wrapped_len <= TDE_WRAPPED_MAX)
        bytes(w, s->wrapped, s->wrapped_len);
}

static void
key_walk(struct walk *w, struct tde_data_key *k)
{
    bytes(w, k->id, sizeof(k->id));
    u32(w, "purpose of a data key", &k->purpose, TDE_PURPOSE_REL, TDE_PURPOSE_MISC);
    u32(w, "generation of a data key", &k->generation, 1, UINT32_MAX);
    u32(w, "state of a data key", &k->state, TDE_KEY_ACTIVE, TDE_KEY_NEXT);
    seconds(w, "date of a data key", &k->created);
    bytes(w, k->sealed, sizeof(k->sealed));
}

/* What stands between the head (magic, version, length) and the code. */
static void
body_walk(struct walk *w, struct tde_keyring *k)
{
    bytes(w, k->cluster, sizeof(k->cluster));
    bytes(w, k->key_id, sizeof(k->key_id));
    u64(w, &k->epoch);
    seconds(w, "date of the keyring", &k->created);
    seconds(w, "date of the last change", &k->changed);
    u32(w, "time to wait for a KMS", &k->wait_s, 0, TDE_WAIT_MAX);
    u32(w, "policy for a KMS that does not answer", &k->unreachable, TDE_UNREACHABLE_REFUSE, TDE_UNREACHABLE_OTHER);
    u32(w, "number of slots", &k->n_slots, 1, TDE_SLOTS_MAX);
    for (size_t i = 0; w->wrong == NULL && i < k->n_slots; i++)
        slot_walk(w, &k->slots[i]);
    if (w->wrong == NULL)
        u32(w, "number of data keys", &k->n_keys, 1, TDE_BUNDLE_KEYS_MAX);
    for (size_t i = 0; w->wrong == NULL && i < k->n_keys; i++)
        key_walk(w, &k->keys[i]);
}

/* What no field can say by itself; NULL: all is well. */
static const char *
slots_wrong(const struct tde_keyring *k)
{
    size_t primary = 0;
    for (size_t i = 0; i < k->n_slots; i++) {
        const struct tde_slot *s = &k->slots[i];
        primary += s->primary;
        for (size_t j = 0; j < i; j++)
            if (k->slots[j].id == s->id)
                return "two slots have the same number";
        if ((s->provider == TDE_PROVIDER_KMIP) != (s->mode != TDE_KMS_NONE))
            return "a slot's provider and its mode do not belong together";
        if (s->provider == TDE_PROVIDER_KMIP && (s->uid[0] == '\0' || s->servers[0] == '\0'))
            return "a KMIP slot has no key or no server";
        if ((s->provider == TDE_PROVIDER_PASSPHRASE) != (s->source != TDE_SOURCE_NONE))
            return "a slot's provider and its source do not belong together";
        /* Weaker parameters than ours were never written. */
        if (s->provider == TDE_PROVIDER_PASSPHRASE &&
            (s->scrypt_n < KS_SCRYPT_N || (s->scrypt_n & (s->scrypt_n - 1)) != 0 || s->scrypt_r < KS_SCRYPT_R ||
             s->scrypt_p < KS_SCRYPT_P))
            return "the parameters of a passphrase are weaker than this program's";
    }
    return primary == 1 ? NULL : "one slot has to be the primary one";
}

static const char *
keys_wrong(const struct tde_keyring *k)
{
    size_t active[TDE_PURPOSE_MISC + 1] = {0}, next[TDE_PURPOSE_MISC + 1] = {0};
    for (size_t i = 0; i < k->n_keys; i++) {
        const struct tde_data_key *key = &k->keys[i];
        active[key->purpose] += key->state == TDE_KEY_ACTIVE;
        next[key->purpose] += key->state == TDE_KEY_NEXT;
        for (size_t j = 0; j < i; j++) {
            if (memcmp(k->keys[j].id, key->id, sizeof(key->id)) == 0)
                return "two data keys have the same identifier";
            if (k->keys[j].purpose == key->purpose && k->keys[j].generation == key->generation)
                return "two data keys of a purpose have the same generation";
        }
    }
    for (size_t p = TDE_PURPOSE_REL; p <= TDE_PURPOSE_MISC; p++)
        if (active[p] != 1)
            return "each purpose has to have one active data key";
    for (size_t p = TDE_PURPOSE_REL; p <= TDE_PURPOSE_MISC; p++)
        if (next[p] > 1 || next[p] != next[TDE_PURPOSE_REL])
            return "each purpose has to have one data key of the next generation, or none";
    return NULL;
}

int
tde_keyring_decode(struct ks_span file, struct tde_keyring **ret, struct ks_diag *diag)
{
    struct ks_cursor in = KS_CURSOR(file);
    const struct ks_span head = ks_cursor_take(&in, sizeof(magic));
    const uint32_t version = ks_cursor_be32(&in);
    const uint32_t len = ks_cursor_be32(&in);
    if (in.err != 0 || memcmp(head.data, magic, sizeof(magic)) != 0)
        return ks_fail_at(diag, KS_E_MALFORMED, "", 0, "this is no keyring");
    if (version != TDE_KEYRING_VERSION)
        return ks_fail_at(diag, KS_E_UNSUPPORTED, "", sizeof(magic),
                          "the keyring has format %u, this program knows %d: use the version that wrote it", version,
                          TDE_KEYRING_VERSION);
    if (file.len > TDE_KEYRING_MAX || len != file.len || file.len < in.pos + MAC_LEN)
        return ks_fail_at(diag, KS_E_MALFORMED, "", in.pos,
                          "the keyring has %zu bytes and says that it has %u: cut off?", file.len, len);
    TDE_KEYRING_PTR *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return ks_fail(diag, KS_E_NOMEM, "keyring: out of memory");
    in.len -= MAC_LEN;
    struct walk w = {.in = &in};
    body_walk(&w, k);
    if (in.err != 0)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the cleanup attribute frees it */
        return ks_fail_at(diag, KS_E_MALFORMED, "", in.pos, "the keyring ends in the middle of a field");
    if (w.wrong != NULL)
        return ks_fail_at(diag, KS_E_MALFORMED, "", w.wrong_at, "the keyring is damaged: %s", w.wrong);
    if (ks_cursor_left(&in) != 0)
        return ks_fail_at(diag, KS_E_MALFORMED, "", in.pos, "the keyring goes on behind its end");
    const char *wrong = slots_wrong(k);
    if (wrong == NULL)
        wrong = keys_wrong(k);
    if (wrong != NULL)
        return ks_fail(diag, KS_E_MALFORMED, "the keyring is damaged: %s", wrong);
    *ret = k;
    k = NULL; /* transferred */
    return 0;
}

/* ---- Keys ---- */

static int
subkey(const struct tde_keyring *k, const struct ks_key32 *key, const char *label, struct ks_key32 *ret,
       struct ks_diag *diag)
{
    return ks_kdf_subkey(KS_SPAN(key->b, sizeof(key->b)), ks_span_str(label), KS_SPAN(k->cluster, sizeof(k->cluster)),
                         ret->b, sizeof(ret->b), diag);
}

/* The code over all that stands before it. */
static int
file_mac(const struct tde_keyring *k, const struct ks_key32 *key, struct ks_span data, uint8_t ret[MAC_LEN],
         struct ks_diag *diag)
{
    KS_KEY32 mac_key;
    KS_TRY(subkey(k, key, "keystead tde keyring file", &mac_key, diag));
    return ks_hmac(KMIP_HASHING_ALGORITHM_SHA_256, KS_SPAN(mac_key.b, sizeof(mac_key.b)), data, ret, diag);
}

/* What a sealed data key is tied to. Its state is not in it: that changes, under the code of the file. */
enum { KEY_AAD = TDE_BUNDLE_ID + TDE_BUNDLE_ID + 4 + 4 };
static void
key_aad(const struct tde_keyring *k, const struct tde_data_key *key, uint8_t ret[KEY_AAD])
{
    memcpy(ret, k->cluster, TDE_BUNDLE_ID);
    memcpy(ret + TDE_BUNDLE_ID, key->id, TDE_BUNDLE_ID);
    ks_put_be32(ret + (size_t)2 * TDE_BUNDLE_ID, key->purpose);
    ks_put_be32(ret + (size_t)2 * TDE_BUNDLE_ID + 4, key->generation);
}

static int
sealing_key(const struct tde_keyring *k, const struct ks_key32 *key, struct ks_seal_key **ret, struct ks_diag *diag)
{
    KS_KEY32 data_keys;
    KS_TRY(subkey(k, key, "keystead tde data keys", &data_keys, diag));
    return ks_seal_key_new(data_keys.b, ret, diag);
}

/* A new random data key, sealed. */
static int
make_key(const struct tde_keyring *k, struct ks_seal_key *sealing, struct tde_data_key *key, struct ks_diag *diag)
{
    KS_KEY32 fresh;
    uint8_t aad[KEY_AAD];
    KS_CLEANUP(ks_buf_done) struct ks_buf sealed = KS_BUF(TDE_SEALED_KEY);
    if (ks_random_key(fresh.b, sizeof(fresh.b)) != 0 || ks_random(key->id, sizeof(key->id)) != 0)
        return ks_fail(diag, KS_E_CRYPTO, "no random bytes for a data key");
    key_aad(k, key, aad);
    KS_TRY(ks_seal(sealing, KS_SPAN(aad, sizeof(aad)), KS_SPAN(fresh.b, sizeof(fresh.b)), &sealed, diag));
    memcpy(key->sealed, sealed.data, sizeof(key->sealed));
    return 0;
}

int
tde_keyring_new(int64_t now, struct tde_keyring **ret, struct ks_key32 *ret_key, struct ks_diag *diag)
{
    TDE_KEYRING_PTR *k = calloc(1, sizeof(*k));
    KS_KEY32 key;
    if (k == NULL)
        return ks_fail(diag, KS_E_NOMEM, "keyring: out of memory");
    if (ks_random_key(key.b, sizeof(key.b)) != 0 || ks_random(k->cluster, sizeof(k->cluster)) != 0 ||
        ks_random(k->key_id, sizeof(k->key_id)) != 0)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the cleanup attribute frees it */
        return ks_fail(diag, KS_E_CRYPTO, "no random bytes for a keyring"); /* cppcheck-suppress memleak ; the same */
    k->cluster[6] = (uint8_t)((k->cluster[6] & 0x0f) | 0x40);               /* UUID version 4 */
    k->cluster[8] = (uint8_t)((k->cluster[8] & 0x3f) | 0x80);
    k->epoch = 1;
    k->created = k->changed = now;
    k->wait_s = TDE_WAIT_DEFAULT;
    KS_CLEANUP(ks_seal_key_freep) struct ks_seal_key *sealing = NULL;
    KS_TRY(sealing_key(k, &key, &sealing, diag));
    for (uint32_t purpose = TDE_PURPOSE_REL; purpose <= TDE_PURPOSE_MISC; purpose++) {
        struct tde_data_key *data_key = &k->keys[k->n_keys++];
        *data_key = (struct tde_data_key){.purpose = purpose, .generation = 1, .state = TDE_KEY_ACTIVE, .created = now};
        KS_TRY(make_key(k, sealing, data_key, diag));
    }
    *ret_key = key;
    *ret = k;
    k = NULL; /* transferred */
    return 0;
}

bool
tde_keyring_has_next(const struct tde_keyring *k)
{
    for (size_t i = 0; i < k->n_keys; i++)
        if (k->keys[i].state == TDE_KEY_NEXT)
            return true;
    return false;
}

/* The oldest generation of each purpose that only decrypts goes. */
static void
drop_oldest(struct tde_keyring *k)
{
    uint32_t oldest = UINT32_MAX, n = 0;
    for (size_t i = 0; i < k->n_keys; i++)
        if (k->keys[i].state == TDE_KEY_DECRYPT_ONLY && k->keys[i].generation < oldest)
            oldest = k->keys[i].generation;
    for (size_t i = 0; i < k->n_keys; i++)
        if (k->keys[i].state != TDE_KEY_DECRYPT_ONLY || k->keys[i].generation != oldest)
            k->keys[n++] = k->keys[i];
    ks_wipe(&k->keys[n], (k->n_keys - n) * sizeof(k->keys[0]));
    k->n_keys = n;
}

int
tde_keyring_add_next(struct tde_keyring *k, const struct ks_key32 *key, int64_t now, struct ks_diag *diag)
{
    if (tde_keyring_has_next(k))
        return 0;
    uint32_t generation = 0;
    for (size_t i = 0; i < k->n_keys; i++)
        if (k->keys[i].generation > generation)
            generation = k->keys[i].generation;
    if (generation == UINT32_MAX)
        return ks_fail(diag, KS_E_LIMIT, "there is no generation behind %u", generation);
    while (k->n_keys + TDE_PURPOSE_MISC > TDE_BUNDLE_KEYS_MAX)
        drop_oldest(k);
    KS_CLEANUP(ks_seal_key_freep) struct ks_seal_key *sealing = NULL;
    KS_TRY(sealing_key(k, key, &sealing, diag));
    struct tde_data_key next[TDE_PURPOSE_MISC] = {{.purpose = 0}};
    for (uint32_t purpose = TDE_PURPOSE_REL; purpose <= TDE_PURPOSE_MISC; purpose++) {
        next[purpose - 1] = (struct tde_data_key){
            .purpose = purpose, .generation = generation + 1, .state = TDE_KEY_NEXT, .created = now};
        KS_TRY(make_key(k, sealing, &next[purpose - 1], diag));
    }
    memcpy(&k->keys[k->n_keys], next, sizeof(next));
    k->n_keys += TDE_PURPOSE_MISC;
    return 0;
}

void
tde_keyring_promote_next(struct tde_keyring *k)
{
    if (!tde_keyring_has_next(k))
        return;
    for (size_t i = 0; i < k->n_keys; i++)
        if (k->keys[i].state != TDE_KEY_DECRYPT_ONLY)
            k->keys[i].state = k->keys[i].state == TDE_KEY_NEXT ? TDE_KEY_ACTIVE : TDE_KEY_DECRYPT_ONLY;
}

int
tde_keyring_bundle(const struct tde_keyring *keyring, const struct ks_key32 *key, struct tde_bundle *ret,
                   struct ks_diag *diag)
{
    KS_CLEANUP(ks_seal_key_freep) struct ks_seal_key *sealing = NULL;
    KS_TRY(sealing_key(keyring, key, &sealing, diag));
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->magic, TDE_BUNDLE_MAGIC, sizeof(ret->magic));
    ret->size = sizeof(*ret);
    ret->count = keyring->n_keys;
    memcpy(ret->cluster, keyring->cluster, sizeof(ret->cluster));
    ret->epoch = keyring->epoch;
    for (size_t i = 0; i < keyring->n_keys; i++) {
        const struct tde_data_key *from = &keyring->keys[i];
        struct tde_bundle_key *to = &ret->keys[i];
        uint8_t aad[KEY_AAD];
        key_aad(keyring, from, aad);
        KS_CLEANUP(ks_buf_done) struct ks_buf clear = KS_BUF(TDE_BUNDLE_KEY + 1);
        const int rc =
            ks_open(sealing, KS_SPAN(aad, sizeof(aad)), KS_SPAN(from->sealed, sizeof(from->sealed)), &clear, NULL);
        if (rc != 0) {
            ks_wipe(ret, sizeof(*ret));
            return ks_fail(diag, rc, "data key %zu of the keyring does not open: the file was changed; restore it",
                           i + 1);
        }
        memcpy(to->id, from->id, sizeof(to->id));
        to->purpose = from->purpose;
        to->generation = from->generation;
        to->state = from->state;
        memcpy(to->key, clear.data, sizeof(to->key));
    }
    return 0;
}

int
tde_keyring_open(const struct tde_keyring *keyring, struct ks_span file, const struct ks_key32 *key,
                 struct ks_diag *diag)
{
    if (file.len < MAC_LEN)
        return ks_fail(diag, KS_E_MALFORMED, "the keyring is cut off");
    uint8_t mac[MAC_LEN];
    const size_t len = file.len - MAC_LEN;
    KS_TRY(file_mac(keyring, key, KS_SPAN(file.data, len), mac, diag));
    if (!ks_equal_secret(mac, file.data + len, MAC_LEN))
        return ks_fail(diag, KS_E_INTEGRITY,
                       "the keyring was changed by another hand, or is damaged: restore it from a "
                       "backup of this cluster");
    KS_SECRET *bundle = NULL;
    if (ks_secret_new(sizeof(struct tde_bundle), &bundle) != 0)
        return ks_fail(diag, KS_E_NOMEM, "keyring: out of memory");
    return tde_keyring_bundle(keyring, key, (struct tde_bundle *)(void *)ks_secret_data(bundle), diag);
}

int
tde_keyring_encode(const struct tde_keyring *keyring, const struct ks_key32 *key, struct ks_buf *ret,
                   struct ks_diag *diag)
{
    const char *wrong = keyring->n_slots == 0 || keyring->n_slots > TDE_SLOTS_MAX || keyring->n_keys == 0 ||
                                keyring->n_keys > TDE_BUNDLE_KEYS_MAX
                            ? "it has no slot or no data key"
                            : slots_wrong(keyring);
    if (wrong == NULL)
        wrong = keys_wrong(keyring);
    if (wrong != NULL)
        return ks_fail(diag, KS_E_INVALID, "the keyring cannot be written: %s", wrong);
    TDE_KEYRING_PTR *copy = malloc(sizeof(*copy)); /* the walk writes and reads: it takes no const */
    if (copy == NULL)
        return ks_fail(diag, KS_E_NOMEM, "keyring: out of memory");
    *copy = *keyring;
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(TDE_KEYRING_MAX);
    (void)ks_buf_add(&out, magic, sizeof(magic));
    (void)ks_buf_add_be32(&out, TDE_KEYRING_VERSION);
    (void)ks_buf_add_be32(&out, 0);
    struct walk w = {.out = &out};
    body_walk(&w, copy);
    if (w.wrong != NULL)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the cleanup attribute frees it */
        return ks_fail(diag, KS_E_INVALID, "the keyring cannot be written: %s", w.wrong);
    if (out.err == 0)
        (void)ks_buf_put_be32(&out, sizeof(magic) + 4, (uint32_t)out.len + MAC_LEN);
    if (out.err != 0)
        return ks_fail(diag, out.err, "the keyring has more than %d bytes", TDE_KEYRING_MAX);
    uint8_t mac[MAC_LEN];
    KS_TRY(file_mac(keyring, key, ks_buf_span(&out), mac, diag));
    if (ks_buf_add(&out, mac, sizeof(mac)) != 0 || ks_buf_add_span(ret, ks_buf_span(&out)) != 0)
        return ks_fail(diag, KS_E_LIMIT, "the keyring has more than %d bytes", TDE_KEYRING_MAX);
    return 0;
}

/* ---- Slots ---- */

struct tde_slot *
tde_keyring_primary(struct tde_keyring *keyring)
{
    for (size_t i = 0; i < keyring->n_slots; i++)
        if (keyring->slots[i].primary == 1)
            return &keyring->slots[i];
    return NULL;
}

struct tde_slot *
tde_keyring_slot(struct tde_keyring *keyring, uint32_t id)
{
    for (size_t i = 0; i < keyring->n_slots; i++)
        if (keyring->slots[i].id == id)
            return &keyring->slots[i];
    return NULL;
}

struct tde_slot *
tde_keyring_add_slot(struct tde_keyring *keyring, int64_t now)
{
    uint32_t id = 0;
    if (keyring->n_slots == TDE_SLOTS_MAX)
        return NULL;
    for (size_t i = 0; i < keyring->n_slots; i++)
        id = keyring->slots[i].id > id ? keyring->slots[i].id : id;
    struct tde_slot *slot = &keyring->slots[keyring->n_slots++];
    *slot = (struct tde_slot){.id = id + 1, .primary = keyring->n_slots == 1, .created = now};
    return slot;
}

void
tde_keyring_drop_slot(struct tde_keyring *keyring, uint32_t id)
{
    for (size_t i = 0; i < keyring->n_slots; i++) {
        if (keyring->slots[i].id != id || keyring->slots[i].primary == 1)
            continue;
        memmove(&keyring->slots[i], &keyring->slots[i + 1], (keyring->n_slots - i - 1) * sizeof(keyring->slots[0]));
        keyring->n_slots--;
        ks_wipe(&keyring->slots[keyring->n_slots], sizeof(keyring->slots[0]));
        return;
    }
}
