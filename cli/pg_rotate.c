/* keystead pg rotate: another key encryption key, or another passphrase, for a slot; or other data keys. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/pg.h"
#include "cli/pg_rotate_data.h"

/* What the options do not say again stays: a KMS gives a new key with a name that says the epoch. */
static int
next_slot(struct cli *cli, const struct pg_ring *ring, const struct tde_slot *old, struct tde_slot *slot)
{
    char name[PG_KEY_NAME];
    KS_TRY(pg_key_name(cli, ring->keyring, name));
    if (pg_provider_given(cli)) {
        *slot = (struct tde_slot){.id = old->id, .primary = old->primary};
        return pg_provider_slot(cli, ring->keyring, slot, name);
    }
    *slot = *old;
    switch (old->provider) {
    case TDE_PROVIDER_KMIP:
        return pg_provider_create_key(cli, ring->keyring, slot, name);
    case TDE_PROVIDER_PASSPHRASE:
        if (old->source == TDE_SOURCE_PROMPT)
            return 0; /* it is asked for */
        return cli_fail(
            cli, KS_E_INVALID,
            "where is the new passphrase? Give --passphrase-file or --passphrase-command with another file or "
            "command than %s, which is to give the old one until this is done",
            old->path);
    default:
        return cli_fail(cli, KS_E_INVALID, "where is the new key? Give --key-file, --key-command or --kmip");
    }
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(pg_ring_done) struct pg_ring ring = PG_RING;
    KS_CLEANUP(ks_closep) int lock = -1;
    struct ks_diag diag = {0};
    int64_t id = 0;
    char before[2 * TDE_TEXT], after[2 * TDE_TEXT];
    if (cli_flag(cli, "kek") == cli_flag(cli, "data-keys"))
        return cli_fail(
            cli, KS_E_INVALID,
            "what is to be rotated? --kek: the key encryption key; --data-keys: what the files are encrypted "
            "with");
    if (cli_flag(cli, "data-keys"))
        return pg_provider_given(cli) || cli_value(cli, "slot") != NULL
                   ? cli_fail(cli, KS_E_INVALID, "--data-keys: what wraps the keys stays as it is")
                   : pg_rotate_data_keys(cli);
    pg_harden();
    KS_TRY(cli_number(cli, "slot", 1, UINT32_MAX, 0, &id));
    KS_TRY(pg_ring_lock(cli, cli_value(cli, "data"), &ring, &lock));
    struct tde_slot *slot = id != 0 ? tde_keyring_slot(ring.keyring, (uint32_t)id) : tde_keyring_primary(ring.keyring);
    if (slot == NULL)
        return cli_fail(cli, KS_E_NOT_FOUND, "the keyring has no slot %lld: see keystead pg status", (long long)id);
    KS_TRY(pg_ring_unlock_by(cli, &ring, slot));
    tde_slot_text(slot, before);
    struct tde_slot *next = malloc(sizeof(*next));
    if (next == NULL)
        return cli_fail(cli, KS_E_NOMEM, "out of memory");
    const struct tde_how how = {.data = ring.data, .ask = true, .memo = &ring.memo};
    int rc = next_slot(cli, &ring, slot, next);
    if (rc == 0 && tde_wrap(ring.keyring, next, &how, &ring.key, &diag) != 0)
        rc = cli_fail_diag(cli, &diag);
    if (rc == 0) {
        next->created = ks_clock_us() / 1000000;
        *slot = *next;
    }
    ks_wipe(next, sizeof(*next));
    free(next);
    KS_TRY(rc);
    KS_TRY(pg_ring_write(cli, &ring, slot->id));
    tde_slot_text(slot, after);
    if (cli->json) {
        KS_CLEANUP(json_done) struct json json = JSON;
        json_open(&json, NULL, '{');
        json_number(&json, "slot", slot->id);
        json_number(&json, "epoch", (int64_t)ring.keyring->epoch);
        json_text(&json, "key_identifier", slot->uid[0] != '\0' ? slot->uid : NULL);
        json_text(&json, "key_name", slot->name[0] != '\0' ? slot->name : NULL);
        json_close(&json, '}');
        return output_json(&json);
    }
    printf("Rotated, epoch %llu.\n  before: %s\n  now:    %s\n"
           "Keyrings in backups that were made before are opened by what was there before: keep it as long as them.\n",
           (unsigned long long)ring.keyring->epoch, before, after);
    return 0;
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "the data directory (default PGDATA)"},
    {"kek", CLI_FLAG, NULL, "the key encryption key or passphrase: the keys are wrapped again"},
    {"data-keys", CLI_FLAG, NULL, "the data keys: all files of the stopped cluster are written anew"},
    {"slot", CLI_TEXT, "N", "of this slot (default: the primary one)"},
    PG_PROVIDER_OPTIONS,
};

const struct cli_command cli_pg_rotate = {
    .name = "pg rotate",
    .args = "",
    .summary = "change the keys of a cluster",
    .details =
        "--kek: the server runs on, and a base backup may: the file with the wrapped keys is replaced in one step,\n"
        "and no data is written anew. Without options for a new key a KMS makes one. The old one is not touched:\n"
        "old backups need it.\n"
        "--data-keys: the cluster is stopped, and each file is written anew and replaced in one step, as by\n"
        "keystead pg encrypt. To suspend it, interrupt it; to go on, run the same command. Until it is finished no\n"
        "server starts. Take a new base backup afterwards.",
    .examples = "  keystead pg rotate --kek --data /srv/pg\n"
                "  keystead pg rotate --kek --data /srv/pg --passphrase-file /run/keys/pg-2\n"
                "  keystead pg rotate --kek --data /srv/pg --key payroll-2027\n"
                "  keystead pg rotate --data-keys --data /srv/pg\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
