#include "tde/wrap.h"

#include <stdio.h>
#include <time.h>

#include "base/text.h"
#include "crypto/kdf.h"
#include "crypto/seal.h"

static const struct {
    uint32_t provider;
    tde_kek_fn *kek;
} providers[] = {
    {TDE_PROVIDER_PASSPHRASE, tde_passphrase_kek},
    {TDE_PROVIDER_KEY_FILE, tde_key_file_kek},
    {TDE_PROVIDER_KMIP, tde_kmip_kek},
    {TDE_PROVIDER_KEY_COMMAND, tde_key_command_kek},
};

static tde_kek_fn *
provider_kek(uint32_t provider)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(providers); i++)
        if (providers[i].provider == provider)
            return providers[i].kek;
    return NULL;
}

void
tde_wrap_aad(const struct tde_keyring *keyring, uint8_t ret[TDE_AAD])
{
    memcpy(ret, keyring->cluster, TDE_BUNDLE_ID);
    memcpy(ret + TDE_BUNDLE_ID, keyring->key_id, TDE_BUNDLE_ID);
}

void
tde_slot_text(const struct tde_slot *slot, char ret[2 * TDE_TEXT])
{
    const char *word = tde_provider_word(slot->provider);
    if (slot->provider == TDE_PROVIDER_KMIP)
        (void)snprintf(ret, (size_t)2 * TDE_TEXT, "slot %u (kmip: key %.200s at %.800s)", slot->id,
                       slot->name[0] != '\0' ? slot->name : slot->uid, slot->servers);
    else
        (void)snprintf(ret, (size_t)2 * TDE_TEXT, "slot %u (%s%s%s%s)", slot->id, word != NULL ? word : "unknown",
                       slot->source == TDE_SOURCE_COMMAND ? " by command" : "", slot->path[0] != '\0' ? ": " : "",
                       slot->path);
}

/* Tells a wrong key encryption key from a damaged file. */
static int
check_value(const struct tde_keyring *keyring, const struct ks_key32 *kek, uint8_t ret[TDE_CHECK_VALUE],
            struct ks_diag *diag)
{
    uint8_t aad[TDE_AAD];
    tde_wrap_aad(keyring, aad);
    return ks_kdf_subkey(KS_SPAN(kek->b, sizeof(kek->b)), KS_LIT("keystead tde check value"), KS_SPAN(aad, sizeof(aad)),
                         ret, TDE_CHECK_VALUE, diag);
}

int
tde_wrap(const struct tde_keyring *keyring, struct tde_slot *slot, const struct tde_how *how,
         const struct ks_key32 *key, struct ks_diag *diag)
{
    if (slot->mode == TDE_KMS_ENCRYPT)
        return tde_kmip_encrypt(keyring, slot, how, key, diag);
    tde_kek_fn *fn = provider_kek(slot->provider);
    if (fn == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "slot %u: there is no provider %u", slot->id, slot->provider);
    KS_KEY32 kek;
    KS_CLEANUP(ks_seal_key_freep) struct ks_seal_key *sealing = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf wrapped = KS_BUF(TDE_WRAPPED_MAX);
    uint8_t aad[TDE_AAD], check[TDE_CHECK_VALUE];
    KS_TRY(fn(slot, how, true, &kek, diag));
    KS_TRY(check_value(keyring, &kek, check, diag));
    KS_TRY(ks_seal_key_new(kek.b, &sealing, diag));
    tde_wrap_aad(keyring, aad);
    KS_TRY(ks_seal(sealing, KS_SPAN(aad, sizeof(aad)), KS_SPAN(key->b, sizeof(key->b)), &wrapped, diag));
    memcpy(slot->check, check, sizeof(check));
    memcpy(slot->wrapped, wrapped.data, wrapped.len);
    slot->wrapped_len = (uint32_t)wrapped.len;
    return 0;
}

static int
wrong_key(const struct tde_slot *slot, struct ks_diag *diag)
{
    switch (slot->provider) {
    case TDE_PROVIDER_PASSPHRASE:
        return ks_fail(diag, KS_E_DENIED, "wrong passphrase for slot %u%s%s%s", slot->id,
                       slot->path[0] != '\0' ? " (from " : "", slot->path, slot->path[0] != '\0' ? ")" : "");
    case TDE_PROVIDER_KMIP:
        return ks_fail(diag, KS_E_DENIED,
                       "the KMS gave another key as %s than slot %u was wrapped with: was the key replaced?", slot->uid,
                       slot->id);
    default:
        return ks_fail(diag, KS_E_DENIED, "wrong key for slot %u: %s gives another one than it was wrapped with",
                       slot->id, slot->path);
    }
}

int
tde_unwrap(const struct tde_keyring *keyring, const struct tde_slot *slot, const struct tde_how *how,
           struct ks_key32 *ret, struct ks_diag *diag)
{
    if (slot->mode == TDE_KMS_ENCRYPT)
        return tde_kmip_decrypt(keyring, slot, how, ret, diag);
    tde_kek_fn *fn = provider_kek(slot->provider);
    if (fn == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "slot %u: there is no provider %u", slot->id, slot->provider);
    KS_KEY32 kek;
    KS_KEY32 key;
    KS_CLEANUP(ks_seal_key_freep) struct ks_seal_key *sealing = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf clear = KS_BUF(sizeof(key.b) + 1);
    uint8_t aad[TDE_AAD], check[TDE_CHECK_VALUE];
    struct tde_slot copy = *slot; /* that is not changed where nothing fresh is asked for */
    KS_TRY(fn(&copy, how, false, &kek, diag));
    KS_TRY(check_value(keyring, &kek, check, diag));
    if (!ks_equal_secret(check, slot->check, sizeof(check)))
        return wrong_key(slot, diag);
    KS_TRY(ks_seal_key_new(kek.b, &sealing, diag));
    tde_wrap_aad(keyring, aad);
    if (ks_open(sealing, KS_SPAN(aad, sizeof(aad)), KS_SPAN(slot->wrapped, slot->wrapped_len), &clear, NULL) != 0 ||
        clear.len != sizeof(key.b))
        return ks_fail(diag, KS_E_INTEGRITY, "the wrapped key of slot %u was changed: restore the keyring", slot->id);
    memcpy(key.b, clear.data, sizeof(key.b));
    *ret = key;
    return 0;
}

bool
tde_is_unreachable(int code)
{
    return code == KS_E_CONNECT || code == KS_E_TIMEOUT || code == KS_E_CLOSED || code == KS_E_SEALED;
}

/* One slot, again and again until the deadline while its KMS does not answer. */
static int
unwrap_waiting(const struct tde_keyring *keyring, const struct tde_slot *slot, const struct tde_how *how,
               struct ks_key32 *ret, struct ks_diag *diag)
{
    enum { FIRST_PAUSE_MS = 250, LONGEST_PAUSE_MS = 5000 };
    bool told = false;
    for (int64_t pause = FIRST_PAUSE_MS;; pause = pause * 2 < LONGEST_PAUSE_MS ? pause * 2 : LONGEST_PAUSE_MS) {
        struct ks_diag why = {0};
        const int rc = tde_unwrap(keyring, slot, how, ret, &why);
        const int64_t left = how->deadline_ms - ks_monotonic_ms();
        if (rc == 0 || !tde_is_unreachable(rc) || slot->provider != TDE_PROVIDER_KMIP)
            return rc == 0 ? 0 : ks_fail(diag, rc, "%s", why.message);
        if (left <= 0)
            return ks_fail(diag, rc, "no KMS answered for %.300s within %u s: %s", slot->servers, keyring->wait_s,
                           why.message);
        if (!told && how->notice != NULL)
            how->notice(why.message);
        told = true;
        const int64_t wait = pause < left ? pause : left;
        const struct timespec t = {.tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000};
        (void)nanosleep(&t, NULL); /* an interruption makes the pause shorter */
    }
}

static int
unlock_by(const struct tde_keyring *keyring, const struct tde_slot *slot, struct ks_span file,
          const struct tde_how *how, struct ks_key32 *ret, uint32_t *ret_slot, struct ks_diag *diag)
{
    KS_KEY32 key;
    KS_TRY(unwrap_waiting(keyring, slot, how, &key, diag));
    KS_TRY(tde_keyring_open(keyring, file, &key, diag));
    *ret = key;
    *ret_slot = slot->id;
    return 0;
}

int
tde_unlock(const struct tde_keyring *keyring, struct ks_span file, const struct tde_how *how, struct ks_key32 *ret,
           uint32_t *ret_slot, struct ks_diag *diag)
{
    struct tde_how waiting = *how;
    waiting.deadline_ms = ks_monotonic_ms() + (int64_t)keyring->wait_s * 1000;
    struct ks_diag why = {0};
    int rc = KS_E_MALFORMED;
    for (size_t i = 0; i < keyring->n_slots; i++)
        if (keyring->slots[i].primary == 1)
            rc = unlock_by(keyring, &keyring->slots[i], file, &waiting, ret, ret_slot, &why);
    if (rc == 0 || !tde_is_unreachable(rc) || keyring->unreachable != TDE_UNREACHABLE_OTHER)
        return rc == 0 ? 0 : ks_fail(diag, rc, "%s", ks_diag_text(&why));
    waiting.deadline_ms = 0;
    for (size_t i = 0; i < keyring->n_slots; i++) {
        if (keyring->slots[i].primary == 1)
            continue;
        if (how->notice != NULL)
            how->notice("no KMS answers; by the keyring's policy another slot is used");
        if (unlock_by(keyring, &keyring->slots[i], file, &waiting, ret, ret_slot, NULL) == 0)
            return 0;
    }
    return ks_fail(diag, rc, "%s; no other slot opened the keyring either", ks_diag_text(&why));
}
