/* keystead key destroy */
#include "cli/key.h"

static int
run(struct cli *cli)
{
    KS_CLEANUP(key_ref_done) struct key_ref ref = KEY_REF;
    KS_TRY(key_find_ref(cli, &ref));
    KS_TRY(key_confirm(cli, &ref, "Destroy", "? Whatever it encrypted is lost with it, and nothing brings it back."));
    KS_TRY(ks_client_destroy(cli->client, &cli->call, ref.uid, &cli->error));
    return key_report(cli, "Destroyed", ref.uid, ref.name);
}

static const struct cli_option options[] = {
    {"yes", CLI_FLAG, NULL, "do not ask"},
};

const struct cli_command cli_key_destroy = {
    .name = "key destroy",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "destroy the material of a key",
    .details = KEY_HINT " An active key must be revoked first.",
    .examples = "  keystead key destroy invoices\n"
                "  keystead key destroy invoices --yes\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
