/* keystead key sign */
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
    KS_TRY(key_signature(cli, uid, &crypto));
    struct ks_crypto params = {.uid = uid, .crypto = &crypto};
    KS_TRY(parts_run(cli, ks_client_sign, &params, in != NULL ? in : "-", &result));
    return parts_write(cli, KS_SPAN(result->data.data, result->data.len));
}

static const struct cli_option options[] = {
    {"in", CLI_FILE, "FILE", "what to sign (default: standard input); of any size"},
    {"out", CLI_FILE, "FILE", "where the signature goes, as bytes (default: hexadecimal on standard output)"},
    {"hash", CLI_TEXT, "HASH", "sha-256 (default), sha-384, sha-512, sha3-256 and so on; not for Ed25519 and Ed448"},
    {"pss", CLI_FLAG, NULL, "RSA: PSS padding (default: PKCS#1 v1.5)"},
};

const struct cli_command cli_key_sign = {
    .name = "key sign",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "sign data with a private key that stays on the server",
    .details = KEY_HINT " The private one of a pair.",
    .examples = "  keystead key sign release --in app.tar --out app.sig\n"
                "  keystead key sign release --hash sha-384 --in app.tar\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
