/* keystead key archive */
#include "cli/key.h"
#include "cli/request.h"

static int
run(struct cli *cli)
{
    KS_CLEANUP(key_ref_done) struct key_ref ref = KEY_REF;
    KS_TRY(key_find_ref(cli, &ref));
    if (cli_flag(cli, "later"))
        return request_submit(cli, KMIP_OPERATION_ARCHIVE, ref.uid);
    KS_TRY(ks_client_archive(cli->client, &cli->call, ref.uid, &cli->error));
    return key_report(cli, "Archived", ref.uid, ref.name);
}

static const struct cli_option options[] = {
    {"later", CLI_FLAG, NULL, "let the server do it when it can, and print what to ask for the result with"},
};

const struct cli_command cli_key_archive = {
    .name = "key archive",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "take a key out of use until it is recovered",
    .details = KEY_HINT " A key that is active has to be revoked first.",
    .examples = "  keystead key archive invoices-2019\n"
                "  keystead key archive invoices-2019 --later\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
