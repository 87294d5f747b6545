/* keystead key import: what keystead key export wrote. */
#include "cli/command.h"
#include "cli/key.h"

enum { FILE_MAX = 16 << 20 };

static int
run(struct cli *cli)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(FILE_MAX);
    struct ks_diag diag = {0};
    char uid[KS_UID_SIZE];
    if (command_read(cli->args[0], &bytes, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    const struct ks_import params = {.bytes = {bytes.data, bytes.len},
                                     .uid = cli_value(cli, "identifier"),
                                     .replace = cli_flag(cli, "replace"),
                                     .unwrap = cli_flag(cli, "unwrap")};
    KS_TRY(ks_client_import(cli->client, &cli->call, &params, uid, &cli->error));
    return key_report(cli, "Imported", uid, NULL);
}

static const struct cli_option options[] = {
    {"identifier", CLI_TEXT, "UUID", "under this identifier (default: the one it was exported with)"},
    {"replace", CLI_FLAG, NULL, "in place of an object of yours that has the identifier"},
    {"unwrap", CLI_FLAG, NULL, "a wrapped key is kept unwrapped; the server has to have the wrapping key"},
};

const struct cli_command cli_key_import = {
    .name = "key import",
    .args = "FILE",
    .min_args = 1,
    .max_args = 1,
    .arg_kind = CLI_FILE,
    .connects = true,
    .summary = "bring back what 'key export' wrote",
    .details = "State, dates, names and all other attributes are those of the file (- is standard input).",
    .examples = "  keystead key import invoices.kmip\n"
                "  keystead key import invoices.kmip --replace\n"
                "  keystead key import invoices.kmip --unwrap\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
