/* keystead client token create */
#include <stdio.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/output.h"

static void
token_freep(struct ks_enroll_token **token)
{
    ks_enroll_token_free(*token);
}

static int
run(struct cli *cli)
{
    int64_t valid = 0;
    KS_TRY(cli_duration(cli, "valid", 0, &valid));
    KS_CLEANUP(token_freep) struct ks_enroll_token *token = NULL;
    KS_TRY(ks_client_enroll_token_create(cli->client, &cli->call, cli->args[0], cli_value(cli, "role"), (uint32_t)valid,
                                         cli_value(cli, "lenient"), &token, &cli->error));
    char expires[KS_TIME_TEXT_LEN] = "";
    output_time(token->expires, expires);
    if (!cli->json) {
        printf("%s\n", token->text);
        fprintf(stderr, "On the machine of %s, before %s:\n  keystead client enroll TOKEN --server HOST:PORT\n",
                cli->args[0], expires);
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "client", cli->args[0]);
    json_text(&json, "token", token->text);
    json_text(&json, "expires", expires);
    json_close(&json, '}');
    return output_json(&json);
}

static const struct cli_option options[] = {
    {"role", CLI_CHOICE, "client|admin", "what it may do (default client)"},
    {"valid", CLI_TEXT, "TIME", "how long the token can be used: 15m, 1h (default: the server's)"},
    {"lenient", CLI_TEXT, "NAMES", "faults of its software to forgive, with commas between: see docs/kmip.md"},
};

const struct cli_command cli_client_token_create = {
    .name = "client token create",
    .args = "NAME",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "make a token with which a machine enrols once",
    .details = "Whoever has the token becomes client NAME: hand it over safely. It works once.",
    .examples = "  keystead client token create database-1\n"
                "  keystead client token create alice --role admin --valid 15m --json\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
