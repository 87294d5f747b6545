/* keystead client revoke */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/output.h"

static int
run(struct cli *cli)
{
    char question[400];
    snprintf(question, sizeof(question), "Take all access from client %.200s?", cli->args[0]);
    if (!cli_flag(cli, "yes"))
        KS_TRY(cli_confirm(cli, question));
    KS_TRY(ks_client_revoke_client(cli->client, &cli->call, cli->args[0], &cli->error));
    if (!cli->json) {
        printf("Revoked client %s\n", cli->args[0]);
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "client", cli->args[0]);
    json_bool(&json, "revoked", true);
    json_close(&json, '}');
    return output_json(&json);
}

static const struct cli_option options[] = {
    {"yes", CLI_FLAG, NULL, "do not ask"},
};

const struct cli_command cli_client_revoke = {
    .name = "client revoke",
    .args = "NAME",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "take all access from a client",
    .examples = "  keystead client revoke database-1 --yes\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
