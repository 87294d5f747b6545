/*
 * keystead pg migrate: from one place of the key encryption key to another, in four steps, each of which leaves a
 * cluster that starts, and can be taken back.
 */
#include <stdio.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/pg.h"

struct job {
    struct pg_ring ring;
    int lock;
};

static void
job_done(struct job *job)
{
    ks_closep(&job->lock);
    pg_ring_done(&job->ring);
}

/* The slot that an argument names. */
static int
slot_of(struct cli *cli, struct job *job, size_t arg, struct tde_slot **ret)
{
    int64_t id;
    if (cli->n_args <= arg)
        return cli_fail(cli, KS_E_INVALID, "which slot? Give its number: see keystead pg status");
    if (ks_parse_i64(ks_span_str(cli->args[arg]), 1, UINT32_MAX, &id) != 0 ||
        (*ret = tde_keyring_slot(job->ring.keyring, (uint32_t)id)) == NULL)
        return cli_fail(cli, KS_E_NOT_FOUND, "the keyring has no slot %s: see keystead pg status", cli->args[arg]);
    return 0;
}

static void
say(const struct cli *cli, const char *done, const struct tde_slot *slot)
{
    char text[2 * TDE_TEXT];
    tde_slot_text(slot, text);
    if (!cli->json)
        printf("%s %s.\n", done, text);
}

static int
add_wrap(struct cli *cli, struct job *job, struct tde_slot **ret)
{
    struct pg_ring *ring = &job->ring;
    struct ks_diag diag = {0};
    char name[PG_KEY_NAME];
    KS_TRY(pg_ring_unlock_by(cli, ring, tde_keyring_primary(ring->keyring)));
    struct tde_slot *slot = tde_keyring_add_slot(ring->keyring, ks_clock_us() / 1000000);
    if (slot == NULL)
        return cli_fail(cli, KS_E_LIMIT, "the keyring has %d slots already: drop one first", TDE_SLOTS_MAX);
    KS_TRY(pg_key_name(cli, ring->keyring, name));
    KS_TRY(pg_provider_slot(cli, ring->keyring, slot, name));
    const struct tde_how how = {.data = ring->data, .ask = true, .memo = &ring->memo};
    if (tde_wrap(ring->keyring, slot, &how, &ring->key, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    KS_TRY(pg_ring_write(cli, ring, slot->id));
    say(cli, "Added", slot);
    *ret = slot;
    return 0;
}

static int
verify(struct cli *cli, struct job *job, struct tde_slot *slot)
{
    KS_TRY(pg_ring_unlock_by(cli, &job->ring, slot));
    say(cli, "Opens the keyring:", slot);
    return 0;
}

/* Nothing becomes primary that does not open the keyring at this moment. */
static int
make_primary(struct cli *cli, struct job *job, struct tde_slot *slot)
{
    KS_TRY(pg_ring_unlock_by(cli, &job->ring, slot));
    tde_keyring_primary(job->ring.keyring)->primary = 0;
    slot->primary = 1;
    KS_TRY(pg_ring_write(cli, &job->ring, slot->id));
    say(cli, "Primary now:", slot);
    return 0;
}

/* The one that stays has to open it, before the other goes. */
static int
drop_wrap(struct cli *cli, struct job *job, struct tde_slot *slot)
{
    struct tde_slot *primary = tde_keyring_primary(job->ring.keyring);
    char text[2 * TDE_TEXT];
    if (slot == primary)
        return cli_fail(cli, KS_E_DENIED, "slot %u is the primary one: make another one primary first", slot->id);
    KS_TRY(pg_ring_unlock_by(cli, &job->ring, primary));
    const uint32_t stays = primary->id;
    tde_slot_text(slot, text);
    tde_keyring_drop_slot(job->ring.keyring, slot->id);
    KS_TRY(pg_ring_write(cli, &job->ring, stays));
    if (!cli->json)
        printf("Dropped %s.\nKeyrings in older backups are opened by it still.\n", text);
    return 0;
}

/* All of it; the last step is asked for. */
static int
guided(struct cli *cli, struct job *job)
{
    struct tde_slot *slot = NULL;
    char text[2 * TDE_TEXT], question[2 * TDE_TEXT + 64];
    const uint32_t old = tde_keyring_primary(job->ring.keyring)->id;
    KS_TRY(add_wrap(cli, job, &slot));
    if (slot == NULL)
        return KS_E_NOT_FOUND;
    KS_TRY(verify(cli, job, slot));
    KS_TRY(make_primary(cli, job, slot));
    struct tde_slot *before = tde_keyring_slot(job->ring.keyring, old);
    tde_slot_text(before, text);
    (void)snprintf(question, sizeof(question), "Drop the old one, %s?", text);
    if (cli_flag(cli, "keep") || (!cli_flag(cli, "yes") && cli_confirm(cli, question) != 0)) {
        cli->error = (struct ks_error){0};
        if (!cli->json)
            printf("Kept: %s. Later: keystead pg migrate drop-wrap %u\n", text, old);
        return 0;
    }
    return drop_wrap(cli, job, before);
}

static int
step(struct cli *cli, struct job *job)
{
    struct tde_slot *slot = NULL;
    const char *verb = cli->n_args > 0 ? cli->args[0] : "";
    if (cli->n_args == 0)
        return guided(cli, job);
    if (strcmp(verb, "add-wrap") == 0)
        return add_wrap(cli, job, &slot);
    if (strcmp(verb, "verify") != 0 && strcmp(verb, "make-primary") != 0 && strcmp(verb, "drop-wrap") != 0)
        return cli_fail(cli, KS_E_INVALID, "'%s' is none of add-wrap, verify, make-primary, drop-wrap", verb);
    KS_TRY(slot_of(cli, job, 1, &slot));
    if (slot == NULL)
        return KS_E_NOT_FOUND;
    return verb[0] == 'v'   ? verify(cli, job, slot)
           : verb[0] == 'm' ? make_primary(cli, job, slot)
                            : drop_wrap(cli, job, slot);
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(job_done) struct job job = {.ring = PG_RING, .lock = -1};
    pg_harden();
    KS_TRY(pg_ring_lock(cli, cli_value(cli, "data"), &job.ring, &job.lock));
    KS_TRY(step(cli, &job));
    if (!cli->json)
        return 0;
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_number(&json, "epoch", (int64_t)job.ring.keyring->epoch);
    json_open(&json, "slots", '[');
    for (size_t i = 0; i < job.ring.keyring->n_slots; i++) {
        json_open(&json, NULL, '{');
        json_number(&json, "slot", job.ring.keyring->slots[i].id);
        json_text(&json, "provider", tde_provider_word(job.ring.keyring->slots[i].provider));
        json_bool(&json, "primary", job.ring.keyring->slots[i].primary == 1);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    return output_json(&json);
}

static const struct cli_option options[] = {
    {"data", CLI_FOLDER, "DIR", "the data directory (default PGDATA)"},
    {"yes", CLI_FLAG, NULL, "all four steps: drop the old wrap without asking"},
    {"keep", CLI_FLAG, NULL, "all four steps but the last: the old wrap stays"},
    PG_PROVIDER_OPTIONS,
};

const struct cli_command cli_pg_migrate = {
    .name = "pg migrate",
    .args = "[add-wrap|verify SLOT|make-primary SLOT|drop-wrap SLOT]",
    .max_args = 2,
    .arg_kind = CLI_CHOICE,
    .arg_choices = "add-wrap|verify|make-primary|drop-wrap",
    .summary = "move a cluster's keys to a KMS, to another one, or back",
    .details =
        "Without a step all of them, one after the other: the keys are wrapped by the new key encryption key too,\n"
        "that wrap is verified, becomes the one that a start uses, and the old one is dropped. The server runs on.\n"
        "Until the last step the old wrap is there: make-primary takes you back.",
    .examples = "  keystead pg migrate --data /srv/pg --kmip kms1:5696,kms2:5696 --create-key\n"
                "  keystead pg migrate add-wrap --data /srv/pg --config new-kms.conf --key payroll\n"
                "  keystead pg migrate make-primary 2 --data /srv/pg\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
