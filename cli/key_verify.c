/* keystead key verify: a signature, or a MAC. */
#include "base/text.h"
#include "cli/command.h"
#include "cli/key.h"
#include "cli/parts.h"

enum { CLAIM_MOST = 1 << 16 };

/* The signature or MAC: bytes, or the hexadecimal text that `key sign` and `key mac` print. */
static int
read_claim(struct cli *cli, const char *path, struct ks_buf *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(CLAIM_MOST);
    struct ks_diag diag = {0};
    if (command_read(path, &bytes, &diag) != 0)
        return cli_fail_diag(cli, &diag);
    struct ks_span text = ks_buf_span(&bytes);
    while (text.len != 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.len--;
    if (text.len != 0 && ks_hex_decode(text, ret) == 0)
        return 0;
    ks_buf_reset(ret);
    if (ks_buf_add_span(ret, ks_buf_span(&bytes)) != 0)
        return cli_fail(cli, ret->err, "%s: %s", path, ks_err_text(ret->err));
    return 0;
}

static int
run(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    struct ks_crypto_params crypto = {0};
    const char *in = cli_value(cli, "in"), *mac = cli_value(cli, "mac"), *signature = cli_value(cli, "signature");
    KS_CLEANUP(parts_result_freep) struct ks_crypto_result *result = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf claim = KS_BUF(CLAIM_MOST);
    if ((mac != NULL) == (signature != NULL))
        return cli_fail(cli, KS_E_INVALID, "say what to verify: --signature FILE or --mac FILE");
    KS_TRY(read_claim(cli, mac != NULL ? mac : signature, &claim));
    KS_TRY(key_find(cli, 0, uid));
    KS_TRY(mac != NULL ? key_mac_params(cli, uid, &crypto) : key_signature(cli, uid, &crypto));
    struct ks_crypto params = {.uid = uid, .crypto = &crypto, .claim = {claim.data, claim.len}};
    KS_TRY(parts_run(cli, mac != NULL ? ks_client_mac_verify : ks_client_signature_verify, &params,
                     in != NULL ? in : "-", &result));
    if (result->validity != KMIP_VALIDITY_INDICATOR_VALID)
        return cli_fail(cli, KS_E_INTEGRITY, "the %s is not valid for this data and key",
                        mac != NULL ? "MAC" : "signature");
    return cli_write(cli, NULL, KS_LIT("valid\n"));
}

static const struct cli_option options[] = {
    {"in", CLI_FILE, "FILE", "the data (default: standard input); of any size"},
    {"signature", CLI_FILE, "FILE", "what `keystead key sign` wrote: bytes or hexadecimal"},
    {"mac", CLI_FILE, "FILE", "or what `keystead key mac` wrote"},
    {"hash", CLI_TEXT, "HASH", "as with `key sign` and `key mac` (default sha-256)"},
    {"pss", CLI_FLAG, NULL, "RSA: PSS padding (default: PKCS#1 v1.5)"},
    {"cmac", CLI_FLAG, NULL, "--mac of an AES key: CMAC"},
};

const struct cli_command cli_key_verify = {
    .name = "key verify",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "verify a signature or a MAC with a key on the server",
    .details = KEY_HINT " For signatures the public one of a pair. Ends with status 0 only if it is valid.",
    .examples = "  keystead key verify release-public --in app.tar --signature app.sig\n"
                "  keystead key verify invoices --in invoice.pdf --mac invoice.mac\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
