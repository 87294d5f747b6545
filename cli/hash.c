/* keystead hash */
#include "cli/key.h"
#include "cli/parts.h"

static int
run(struct cli *cli)
{
    struct ks_crypto_params crypto = {0};
    KS_CLEANUP(parts_result_freep) struct ks_crypto_result *result = NULL;
    KS_TRY(key_word(cli, "hash", WORDS_HASHING_ALGORITHM, KMIP_HASHING_ALGORITHM_SHA_256, &crypto.hashing_algorithm));
    struct ks_crypto params = {.crypto = &crypto};
    KS_TRY(parts_run(cli, ks_client_hash, &params, cli->n_args > 0 ? cli->args[0] : "-", &result));
    return parts_write(cli, KS_SPAN(result->data.data, result->data.len));
}

static const struct cli_option options[] = {
    {"hash", CLI_TEXT, "HASH", "sha-256 (default), sha-384, sha-512, sha3-256 and so on"},
    {"out", CLI_FILE, "FILE", "where the digest goes, as bytes (default: hexadecimal on standard output)"},
};

const struct cli_command cli_hash = {
    .name = "hash",
    .args = "[FILE]",
    .max_args = 1,
    .arg_kind = CLI_FILE,
    .connects = true,
    .summary = "have the server hash a file",
    .details = "FILE, or standard input, goes to the server; the digest comes back.",
    .examples = "  keystead hash app.tar\n"
                "  keystead hash --hash sha-512 app.tar\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
