/* keystead unseal */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "server/passphrase.h"

static int
run(struct cli *cli)
{
    const char *path = cli_value(cli, "passphrase-file");
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_buf_done) struct ks_buf passphrase = KS_BUF(PASSPHRASE_MAX);
    if ((path != NULL ? passphrase_from_file(path, &passphrase, &diag)
                      : passphrase_ask("Passphrase of the store: ", false, &passphrase, &diag)) != 0)
        return cli_fail_diag(cli, &diag);
    bool sealed = true;
    KS_TRY(ks_client_unseal(cli->client, &cli->call, (struct ks_bytes){passphrase.data, passphrase.len}, &sealed,
                            &cli->error));
    if (cli->json) {
        KS_CLEANUP(json_done) struct json json = JSON;
        json_open(&json, NULL, '{');
        json_bool(&json, "sealed", sealed);
        json_close(&json, '}');
        KS_TRY(output_json(&json));
    } else if (!sealed) {
        printf("The server is open.\n");
    }
    return sealed ? cli_fail(cli, KS_E_SEALED, "the server is sealed still") : 0;
}

static const struct cli_option options[] = {
    {"passphrase-file", CLI_FILE, "FILE",
     "its first line is the passphrase (- is standard input); else it is asked for"},
};

const struct cli_command cli_unseal = {
    .name = "unseal",
    .args = "",
    .connects = true,
    .summary = "give the server the passphrase of its store",
    .examples = "  keystead unseal --dir /var/lib/keystead\n"
                "  keystead unseal --passphrase-file /run/keys/keystead\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
