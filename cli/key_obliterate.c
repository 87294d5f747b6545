/* keystead key deactivate, obliterate: of KMIP 3.0. */
#include "cli/key.h"

#include <keystead/operations.h>

static int
deactivate(struct cli *cli)
{
    KS_CLEANUP(key_ref_done) struct key_ref ref = KEY_REF;
    const char *message = cli_value(cli, "message");
    const uint32_t reason = message != NULL ? KMIP_DEACTIVATION_REASON_CODE_UNSPECIFIED : 0;
    KS_TRY(key_find_ref(cli, &ref));
    KS_TRY(ks_client_deactivate(cli->client, &cli->call, ref.uid, reason, message, &cli->error));
    return key_report(cli, "Deactivated", ref.uid, ref.name);
}

static int
obliterate(struct cli *cli)
{
    KS_CLEANUP(key_ref_done) struct key_ref ref = KEY_REF;
    KS_TRY(key_find_ref(cli, &ref));
    KS_TRY(key_confirm(cli, &ref, "Obliterate", "? Nothing of it stays but the audit trail."));
    KS_TRY(ks_client_obliterate(cli->client, &cli->call, ref.uid, &cli->error));
    return key_report(cli, "Obliterated", ref.uid, ref.name);
}

static const struct cli_option deactivate_options[] = {
    {"message", CLI_TEXT, "TEXT", "why, for those who look at it later"},
};

const struct cli_command cli_key_deactivate = {
    .name = "key deactivate",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .draft = true,
    .summary = "end what a key protects; it still decrypts",
    .details = KEY_HINT " For a key that was compromised: keystead key revoke.",
    .examples = "  keystead key deactivate invoices --message 'a year is over'\n",
    .options = deactivate_options,
    .n_options = KS_ARRAY_LEN(deactivate_options),
    .run = deactivate,
};

static const struct cli_option obliterate_options[] = {
    {"yes", CLI_FLAG, NULL, "do not ask"},
};

const struct cli_command cli_key_obliterate = {
    .name = "key obliterate",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .draft = true,
    .summary = "remove all that is known of an object",
    .details = KEY_HINT " keystead key destroy keeps its attributes.",
    .examples = "  keystead key obliterate invoices --yes\n",
    .options = obliterate_options,
    .n_options = KS_ARRAY_LEN(obliterate_options),
    .run = obliterate,
};
