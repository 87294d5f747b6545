/* keystead key export: an object with all its attributes, for keystead key import. */
#include <string.h>
#include <unistd.h>

#include "cli/key.h"

static void
exported_freep(struct ks_exported **exported)
{
    ks_exported_free(*exported);
}

static int
run(struct cli *cli)
{
    char uid[KS_UID_SIZE], wrap_uid[KS_UID_SIZE];
    struct ks_get params = {.uid = uid};
    const struct ks_wrap wrap = {.key_uid = wrap_uid, .encoding_option = KMIP_ENCODING_OPTION_TTLV_ENCODING};
    const char *out = cli_value(cli, "out");
    if (out == NULL || (strcmp(out, "-") == 0 && isatty(STDOUT_FILENO) == 1))
        return cli_fail(cli, KS_E_INVALID, "give the file to write with --out FILE: it is not for people to read");
    if (cli_value(cli, "wrap-with") != NULL) {
        KS_TRY(ks_client_find(cli->client, &cli->call, cli_value(cli, "wrap-with"), wrap_uid, &cli->error));
        params.wrap = &wrap;
    }
    KS_TRY(key_find(cli, 0, uid));
    KS_CLEANUP(exported_freep) struct ks_exported *exported = NULL;
    KS_TRY(ks_client_export(cli->client, &cli->call, &params, &exported, &cli->error));
    return cli_write(cli, out, KS_SPAN(exported->bytes.data, exported->bytes.len));
}

static const struct cli_option options[] = {
    {"out", CLI_FILE, "FILE", "write to FILE, which nobody but you can read"},
    {"wrap-with", CLI_TEXT, "KEY", "the key in it encrypted with that key (NIST key wrap)"},
};

const struct cli_command cli_key_export = {
    .name = "key export",
    .args = "KEY --out FILE",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "write an object and all its attributes to a file",
    .details = KEY_HINT " The file is a KMIP message in TTLV ('keystead ttlv' shows it) and holds the key itself,\n"
                        "unless --wrap-with is given. Of a destroyed key it holds the attributes alone.",
    .examples = "  keystead key export invoices --out invoices.kmip\n"
                "  keystead key export invoices --wrap-with master --out invoices.kmip\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
