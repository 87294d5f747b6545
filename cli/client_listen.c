/* keystead client listen */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/output.h"

static int
run(struct cli *cli)
{
    const char *address = cli->n_args != 0 ? cli->args[0] : NULL;
    const struct ks_listener listener = {.address = address,
                                         .notify = cli_flag(cli, "notify"),
                                         .put = cli_flag(cli, "put"),
                                         .own = cli_flag(cli, "own")};
    KS_TRY(ks_client_listener_set(cli->client, &cli->call, &listener, &cli->error));
    if (!cli->json) {
        if (address != NULL)
            printf("The server sends to %s\n", address);
        else
            printf("The server sends nothing\n");
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    if (address != NULL)
        json_text(&json, "listener", address);
    json_bool(&json, "listens", address != NULL);
    json_close(&json, '}');
    return output_json(&json);
}

static const struct cli_option options[] = {
    {"notify", CLI_FLAG, NULL, "be told when attributes of own objects change"},
    {"put", CLI_FLAG, NULL, "be sent objects that are made for this client"},
    {"own", CLI_FLAG, NULL, "also of what this client does itself"},
};

const struct cli_command cli_client_listen = {
    .name = "client listen",
    .args = "[ADDRESS:PORT]",
    .max_args = 1,
    .connects = true,
    .summary = "say where this client listens for Notify and Put",
    .details =
        "The address has to be one that the server's configuration allows: server { listeners }. Who listens there\n"
        "shows this client's certificate. Without an address the server sends nothing any more.",
    .examples = "  keystead client listen 192.0.2.7:5699 --notify --put\n"
                "  keystead client listen\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
