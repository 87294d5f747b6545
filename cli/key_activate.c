/* keystead key activate */
#include "cli/key.h"

static int
run(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    KS_TRY(key_find(cli, 0, uid));
    KS_TRY(ks_client_activate(cli->client, &cli->call, uid, &cli->error));
    return key_report(cli, "Activated", uid, NULL);
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
