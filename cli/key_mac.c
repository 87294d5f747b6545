/* keystead key mac */
#include "cli/key.h"
#include "cli/parts.h"

static int
run(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    struct ks_crypto_params crypto = {0};
    const char *in = cli_value(cli, "in");
    KS_CLEANUP(parts_result_freep) struct ks_crypto_result *result = NULL;
    KS_TRY(key_find(cli, 0, uid));
    KS_TRY(key_mac_params(cli, uid, &crypto));
    struct ks_crypto params = {.uid = uid, .crypto = &crypto};
    KS_TRY(parts_run(cli, ks_client_mac, &params, in != NULL ? in : "-", &result));
    return parts_write(cli, KS_SPAN(result->data.data, result->data.len));
}

static const struct cli_option options[] = {
    {"in", CLI_FILE, "FILE", "the data (default: standard input); of any size"},
    {"out", CLI_FILE, "FILE", "where the MAC goes, as bytes (default: hexadecimal on standard output)"},
    {"hash", CLI_TEXT, "HASH", "HMAC with sha-256 (default), sha-384, sha-512, sha3-256 and so on"},
    {"cmac", CLI_FLAG, NULL, "CMAC in place of HMAC: AES keys"},
};

const struct cli_command cli_key_mac = {
    .name = "key mac",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "make a MAC with a key that stays on the server",
    .details = KEY_HINT " The key needs the usage mac-generate, and mac-verify for `keystead key verify`.",
    .examples = "  keystead key mac invoices --in invoice.pdf\n"
                "  keystead key mac invoices --cmac --in invoice.pdf --out invoice.mac\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
