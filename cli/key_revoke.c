/* keystead key revoke */
#include "cli/key.h"

static int
run(struct cli *cli)
{
    KS_CLEANUP(key_ref_done) struct key_ref ref = KEY_REF;
    uint32_t reason = 0;
    KS_TRY(key_word(cli, "reason", WORDS_REVOCATION_REASON_CODE, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION,
                    &reason));
    KS_TRY(key_find_ref(cli, &ref));
    KS_TRY(key_confirm(cli, &ref, "Revoke", "? It cannot be used to protect data any more, for ever."));
    KS_TRY(ks_client_revoke(cli->client, &cli->call, ref.uid, reason, cli_value(cli, "message"), 0, &cli->error));
    return key_report(cli, "Revoked", ref.uid, ref.name);
}

static const struct cli_option options[] = {
    {"reason", CLI_CHOICE,
     "unspecified|key-compromise|ca-compromise|affiliation-changed|superseded|cessation-of-operation|privilege-"
     "withdrawn",
     "why (default cessation-of-operation); a compromise makes it Compromised, all else Deactivated"},
    {"message", CLI_TEXT, "TEXT", "a note that is kept with it"},
    {"yes", CLI_FLAG, NULL, "do not ask"},
};

const struct cli_command cli_key_revoke = {
    .name = "key revoke",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "end the use of a key",
    .details = KEY_HINT " What it encrypted can still be decrypted until it is destroyed, unless it is compromised.",
    .examples = "  keystead key revoke invoices --reason superseded\n"
                "  keystead key revoke invoices --reason key-compromise --message 'laptop stolen' --yes\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
