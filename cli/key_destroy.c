/* keystead key destroy */
#include <stdio.h>

#include "cli/key.h"

static int
run(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    char question[KS_UID_SIZE + 120];
    KS_TRY(key_find(cli, 0, uid));
    snprintf(question, sizeof(question),
             "Destroy %s? Whatever it encrypted is lost with it, and nothing brings it back.", uid);
    if (!cli_flag(cli, "yes"))
        KS_TRY(cli_confirm(cli, question));
    KS_TRY(ks_client_destroy(cli->client, &cli->call, uid, &cli->error));
    return key_report(cli, "Destroyed", uid, NULL);
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
