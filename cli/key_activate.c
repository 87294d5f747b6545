/* keystead key activate */
#include "cli/key.h"

static int
run(struct cli *cli)
{
    KS_CLEANUP(key_ref_done) struct key_ref ref = KEY_REF;
    KS_TRY(key_find_ref(cli, &ref));
    KS_TRY(ks_client_activate(cli->client, &cli->call, ref.uid, &cli->error));
    return key_report(cli, "Activated", ref.uid, ref.name);
}

const struct cli_command cli_key_activate = {
    .name = "key activate",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "let a key be used from now on",
    .details = KEY_HINT,
    .examples = "  keystead key activate invoices\n",
    .run = run,
};
