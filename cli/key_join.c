/* keystead key join: Join Split Key. */
#include "cli/key.h"

#define MASK(bit) KMIP_CRYPTOGRAPHIC_USAGE_MASK_##bit

static int
run(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    char parts[CLI_MAX_ARGS][KS_UID_SIZE];
    const char *uids[CLI_MAX_ARGS];
    struct ks_join_split_key params = {.object = {.name = cli->args[0], .activate = !cli_flag(cli, "pre-active")},
                                       .object_type = cli_flag(cli, "secret") ? KMIP_OBJECT_TYPE_SECRET_DATA
                                                                              : KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                       .uids = uids};
    KS_TRY(key_mask(cli, "usage", MASK(ENCRYPT) | MASK(DECRYPT) | MASK(WRAP_KEY) | MASK(UNWRAP_KEY),
                    &params.object.usage_mask));
    for (size_t i = 1; i < cli->n_args; i++) {
        KS_TRY(key_find(cli, i, parts[i]));
        uids[params.n_uids++] = parts[i];
    }
    KS_TRY(ks_client_join_split_key(cli->client, &cli->call, &params, uid, &cli->error));
    return key_report(cli, "Joined", uid, cli->args[0]);
}

static const struct cli_option options[] = {
    {"usage", CLI_TEXT, "LIST", "what the key is for (default: encrypt,decrypt,wrap-key,unwrap-key)"},
    {"secret", CLI_FLAG, NULL, "what was split is secret data, not a key"},
    {"pre-active", CLI_FLAG, NULL, "do not activate it yet; do so later with: keystead key activate"},
};

const struct cli_command cli_key_join = {
    .name = "key join",
    .args = "NAME PART PART...",
    .min_args = 3,
    .max_args = CLI_MAX_ARGS,
    .connects = true,
    .summary = "give back a key from its parts, as a new object",
    .details = "PART is a name or an identifier, as keystead key split prints it; as many as the threshold, or more.\n"
               "The server joins, and nothing leaves it.",
    .examples = "  keystead key join invoices-again 01931f7c-... 01931f7d-...\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
