/* The key encryption key is scrypt of a passphrase: from a file, from a command, or from a person. */
#include "crypto/kdf.h"
#include "crypto/random.h"
#include "server/passphrase.h"
#include "tde/wrap.h"

#define MEMORY_MAX (UINT64_C(1) << 30) /* what a start may take, whoever wrote the parameters */

static int
from_command(const char *command, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(PASSPHRASE_MAX);
    KS_TRY(tde_command_output(command, &text, diag));
    size_t len = 0;
    while (len < text.len && text.data[len] != '\n')
        len++;
    if (len != 0 && text.data[len - 1] == '\r')
        len--;
    if (len == 0)
        return ks_fail(diag, KS_E_INVALID, "the command '%s' printed no passphrase", command);
    return ks_buf_add(ret, text.data, len);
}

static int
from_person(const struct tde_slot *slot, const struct tde_how *how, struct ks_buf *ret, struct ks_diag *diag)
{
    struct ks_diag why = {0};
    const char *prompt = how->again ? "New passphrase of the keyring: " : "Passphrase of the keyring: ";
    const int rc = how->ask ? passphrase_ask(prompt, how->again, ret, &why) : KS_E_NOT_FOUND;
    if (rc == KS_E_NOT_FOUND) /* a server that is started has no terminal, even if who started it has */
        return ks_fail(
            diag, KS_E_DENIED,
            "slot %u has its passphrase from a person, and there is no terminal to ask at: use `keystead pg exec`, or "
            "give it a --passphrase-file or --passphrase-command by `keystead pg rotate --kek`",
            slot->id);
    return rc == 0 ? 0 : ks_fail(diag, rc, "%s", ks_diag_text(&why));
}

static int
passphrase(const struct tde_slot *slot, const struct tde_how *how, struct ks_buf *ret, struct ks_diag *diag)
{
    switch (slot->source) {
    case TDE_SOURCE_FILE:
        return passphrase_from_file(slot->path, ret, diag);
    case TDE_SOURCE_COMMAND:
        return from_command(slot->path, ret, diag);
    default:
        return from_person(slot, how, ret, diag);
    }
}

void
tde_memo_done(struct tde_memo *memo)
{
    ks_buf_done(&memo->passphrase);
    ks_key32_done(&memo->key);
}

static bool
remembers(const struct tde_memo *memo, const struct tde_slot *slot, struct ks_span text)
{
    return memo != NULL && memo->scrypt_n != 0 && memo->scrypt_n == slot->scrypt_n &&
           memo->scrypt_r == slot->scrypt_r && memo->scrypt_p == slot->scrypt_p &&
           memcmp(memo->salt, slot->salt, sizeof(memo->salt)) == 0 && memo->passphrase.len == text.len &&
           ks_equal_secret(memo->passphrase.data, text.data, text.len);
}

/* One that it has no room for is not remembered. */
static void
remember(struct tde_memo *memo, const struct tde_slot *slot, struct ks_span text, const struct ks_key32 *key)
{
    if (memo == NULL)
        return;
    tde_memo_done(memo);
    memo->scrypt_n = ks_buf_add_span(&memo->passphrase, text) == 0 ? slot->scrypt_n : 0;
    memo->scrypt_r = slot->scrypt_r;
    memo->scrypt_p = slot->scrypt_p;
    memcpy(memo->salt, slot->salt, sizeof(memo->salt));
    memo->key = *key;
}

int
tde_passphrase_kek(struct tde_slot *slot, const struct tde_how *how, bool fresh, struct ks_key32 *ret,
                   struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(PASSPHRASE_MAX);
    KS_KEY32 key;
    struct tde_how asked = *how;
    asked.again = fresh;
    KS_TRY(passphrase(slot, &asked, &text, diag));
    if (fresh) {
        if (ks_random(slot->salt, sizeof(slot->salt)) != 0)
            return ks_fail(diag, KS_E_CRYPTO, "no random bytes for a salt");
        slot->scrypt_n = KS_SCRYPT_N;
        slot->scrypt_r = KS_SCRYPT_R;
        slot->scrypt_p = KS_SCRYPT_P;
    }
    if (remembers(how->memo, slot, ks_buf_span(&text))) {
        *ret = how->memo->key;
        return 0;
    }
    KS_TRY(ks_kdf_scrypt(ks_buf_span(&text), KS_SPAN(slot->salt, sizeof(slot->salt)), slot->scrypt_n, slot->scrypt_r,
                         slot->scrypt_p, MEMORY_MAX, key.b, sizeof(key.b), diag));
    remember(how->memo, slot, ks_buf_span(&text), &key);
    *ret = key;
    return 0;
}
