#include "cli/pg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "crypto/crypto.h"

void
pg_harden(void)
{
    const struct rlimit none = {0, 0};
    (void)ks_crypto_wipe_heap();
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
}

int
pg_data(struct cli *cli, const char *given, char ret[PATH_MAX])
{
    const char *data = given != NULL ? given : getenv("PGDATA");
    struct stat st;
    char path[PATH_MAX];
    if (data == NULL || data[0] == '\0')
        return cli_fail(cli, KS_E_INVALID, "which cluster? Give its data directory by --data DIR or PGDATA");
    if (realpath(data, path) == NULL || stat(path, &st) != 0)
        return cli_fail(cli, errno == ENOENT ? KS_E_NOT_FOUND : KS_E_IO, "%s: %s", data, strerror(errno));
    if (st.st_uid != geteuid())
        return cli_fail(cli, KS_E_DENIED,
                        "%s belongs to user %u: run this as that user (runuser -u postgres -- keystead ...)", path,
                        (unsigned)st.st_uid);
    memcpy(ret, path, strlen(path) + 1);
    return 0;
}

void
pg_ring_done(struct pg_ring *ring)
{
    ks_buf_done(&ring->bytes);
    tde_keyring_freep(&ring->keyring);
    ks_key32_done(&ring->key);
    tde_memo_done(&ring->memo);
}

int
pg_ring_read(struct cli *cli, const char *data, struct pg_ring *ring)
{
    struct ks_diag diag = {0};
    KS_TRY(pg_data(cli, data, ring->data));
    return tde_keyring_file_read(ring->data, &ring->bytes, &ring->keyring, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}

int
pg_ring_new(struct cli *cli, const char *data, struct pg_ring *ring)
{
    struct ks_diag diag = {0};
    char name[PG_KEY_NAME];
    int64_t wait_s = TDE_WAIT_DEFAULT;
    const char *policy = cli_value(cli, "when-unreachable");
    KS_TRY(cli_duration(cli, "wait", TDE_WAIT_DEFAULT, &wait_s));
    if (wait_s > TDE_WAIT_MAX)
        return cli_fail(cli, KS_E_INVALID, "--wait: %d seconds at most", TDE_WAIT_MAX);
    if (policy != NULL && strcmp(policy, "refuse") != 0 && strcmp(policy, "other-slot") != 0)
        return cli_fail(cli, KS_E_INVALID, "--when-unreachable: '%s' is neither refuse nor other-slot", policy);
    if (data != ring->data)
        (void)snprintf(ring->data, sizeof(ring->data), "%s", data);
    const int64_t now = ks_clock_us() / 1000000;
    if (tde_keyring_new(now, &ring->keyring, &ring->key, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    ring->keyring->wait_s = (uint32_t)wait_s;
    ring->keyring->unreachable =
        policy != NULL && strcmp(policy, "other-slot") == 0 ? TDE_UNREACHABLE_OTHER : TDE_UNREACHABLE_REFUSE;
    struct tde_slot *slot = tde_keyring_add_slot(ring->keyring, now);
    if (slot == NULL)
        return cli_fail(cli, KS_E_INTERNAL, "no slot");
    KS_TRY(pg_key_name(cli, ring->keyring, name));
    KS_TRY(pg_provider_slot(cli, ring->keyring, slot, name));
    const struct tde_how how = {.data = ring->data, .ask = true, .memo = &ring->memo};
    if (tde_wrap(ring->keyring, slot, &how, &ring->key, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    ring->slot = slot->id;
    return 0;
}

static void
notice(const char *line)
{
    fprintf(stderr, "keystead pg: waiting for the KMS: %s\n", line);
}

void
pg_note_contact(const struct pg_ring *ring)
{
    char path[PATH_MAX], when[KS_TIME_TEXT_LEN];
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(256);
    const struct tde_slot *slot = tde_keyring_slot(ring->keyring, ring->slot);
    if (slot == NULL || slot->provider != TDE_PROVIDER_KMIP ||
        (size_t)snprintf(path, sizeof(path), "%s/keystead/contact", ring->data) >= sizeof(path) ||
        ks_time_format(ks_clock_us() / 1000000, when) != 0 || ks_buf_addf(&text, "%s slot %u\n", when, slot->id) != 0)
        return;
    (void)!ks_file_write(path, ks_buf_span(&text), 0600, NULL);
}

int
pg_ring_unlock(struct cli *cli, struct pg_ring *ring, bool ask)
{
    struct ks_diag diag = {0};
    const struct tde_how how = {.data = ring->data, .ask = ask, .notice = notice, .memo = &ring->memo};
    if (tde_unlock(ring->keyring, ks_buf_span(&ring->bytes), &how, &ring->key, &ring->slot, &diag) != 0)
        return cli_fail(cli, diag.code, "the keys of %s stay locked: %s", ring->data, ks_diag_text(&diag));
    pg_note_contact(ring);
    return 0;
}

int
pg_ring_unlock_by(struct cli *cli, struct pg_ring *ring, const struct tde_slot *slot)
{
    struct ks_diag diag = {0};
    const struct tde_how how = {.data = ring->data, .ask = true, .memo = &ring->memo};
    char text[2 * TDE_TEXT];
    tde_slot_text(slot, text);
    if (tde_unwrap(ring->keyring, slot, &how, &ring->key, &diag) != 0 ||
        tde_keyring_open(ring->keyring, ks_buf_span(&ring->bytes), &ring->key, &diag) != 0)
        return cli_fail(cli, diag.code, "%.300s does not open the keyring: %.400s", text, ks_diag_text(&diag));
    ring->slot = slot->id;
    pg_note_contact(ring);
    return 0;
}

struct verify {
    struct pg_ring *ring;
    uint32_t slot;
};

/* From the disk, by the wrap, to the same keyring key. A person who typed the passphrase of it twice is not asked
 * again. */
static int
verify(struct ks_span file, void *arg, struct ks_diag *diag)
{
    const struct verify *v = arg;
    const struct tde_how how = {.data = v->ring->data, .ask = true, .memo = &v->ring->memo};
    TDE_KEYRING_PTR *keyring = NULL;
    KS_KEY32 key;
    KS_TRY(tde_keyring_decode(file, &keyring, diag));
    const struct tde_slot *slot = tde_keyring_slot(keyring, v->slot);
    if (slot == NULL)
        return ks_fail(diag, KS_E_INTERNAL, "slot %u is not in the new keyring", v->slot);
    if (slot->source == TDE_SOURCE_PROMPT)
        return tde_keyring_open(keyring, file, &v->ring->key, diag);
    KS_TRY(tde_unwrap(keyring, slot, &how, &key, diag));
    return tde_keyring_open(keyring, file, &key, diag);
}

int
pg_ring_write(struct cli *cli, struct pg_ring *ring, uint32_t slot)
{
    struct ks_diag diag = {0};
    struct verify v = {.ring = ring, .slot = slot};
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(TDE_KEYRING_MAX);
    ring->keyring->epoch++;
    ring->keyring->changed = ks_clock_us() / 1000000;
    if (tde_keyring_encode(ring->keyring, &ring->key, &file, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    if (tde_keyring_file_write(ring->data, ks_buf_span(&file), verify, &v, &diag) != 0)
        return cli_fail(cli, diag.code, "the keyring is as it was: %s", ks_diag_text(&diag));
    ks_buf_reset(&ring->bytes);
    const int rc = ks_buf_add_span(&ring->bytes, ks_buf_span(&file));
    return rc == 0 ? 0 : cli_fail(cli, rc, "%s", ks_err_text(rc));
}

int
pg_ring_lock(struct cli *cli, const char *data, struct pg_ring *ring, int *ret_lock)
{
    struct ks_diag diag = {0};
    KS_TRY(pg_ring_read(cli, data, ring)); /* says best what is wrong with the folder */
    if (tde_keyring_file_lock(ring->data, ret_lock, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    ks_buf_reset(&ring->bytes);
    tde_keyring_freep(&ring->keyring);
    return tde_keyring_file_read(ring->data, &ring->bytes, &ring->keyring, &diag) == 0 ? 0 : cli_fail_diag(cli, &diag);
}
