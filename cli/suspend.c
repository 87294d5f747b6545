/* keystead suspend, keystead resume */
#include <stdio.h>

#include "cli/key.h"
#include "cli/output.h"

static int
report(const struct key_ref *ref, const char *member, bool is)
{
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "identifier", ref->uid);
    if (ref->name != NULL)
        json_text(&json, "name", ref->name);
    json_bool(&json, member, is);
    json_close(&json, '}');
    return output_json(&json);
}

static int
run_suspend(struct cli *cli)
{
    KS_CLEANUP(key_ref_done) struct key_ref ref = KEY_REF;
    const char *mode = cli_value(cli, "mode"), *reason = cli_value(cli, "reason");
    if (reason == NULL)
        return cli_fail(cli, KS_E_INVALID, "say why with --reason TEXT: whoever is refused the key is told");
    if (mode != NULL && strcmp(mode, "all") != 0 && strcmp(mode, "protect") != 0)
        return cli_fail(cli, KS_E_INVALID, "--mode is all or protect, not %.40s", mode);
    KS_TRY(key_find_ref(cli, &ref));
    KS_TRY(ks_client_suspend(cli->client, &cli->call, ref.uid, mode != NULL && strcmp(mode, "protect") == 0, reason,
                             &cli->error));
    return cli->json ? report(&ref, "suspended", true) : key_report(cli, "Suspended", ref.uid, ref.name);
}

static int
run_resume(struct cli *cli)
{
    KS_CLEANUP(key_ref_done) struct key_ref ref = KEY_REF;
    bool resumed = false;
    KS_TRY(key_find_ref(cli, &ref));
    KS_TRY(ks_client_resume(cli->client, &cli->call, ref.uid, &resumed, &cli->error));
    if (cli->json)
        return report(&ref, "resumed", resumed);
    if (resumed)
        return key_report(cli, "Resumed", ref.uid, ref.name);
    KS_TRY(key_report(cli, "Agreed to resume", ref.uid, ref.name));
    printf("It stays suspended until another administrator runs the same command, within 24 hours.\n");
    return 0;
}

static const struct cli_option suspend_options[] = {
    {"reason", CLI_TEXT, "TEXT", "why, in one line of up to 160 bytes; whoever is refused the key is told"},
    {"mode", CLI_CHOICE, "all|protect",
     "all (default): no use; protect: its owner can still read it, decrypt and verify"},
};

const struct cli_command cli_suspend = {
    .name = "suspend",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "withdraw a key for a time",
    .details = KEY_HINT " For administrators: one suspends, at once; two take it back\n"
                        "(keystead resume). The key stays Active, and its dates go on. A database whose key\n"
                        "encryption key it is does what its lease policy says.",
    .examples = "  keystead suspend invoices --reason 'laptop stolen, ticket 4711'\n"
                "  keystead suspend invoices --mode protect --reason 'audit under way'\n",
    .options = suspend_options,
    .n_options = KS_ARRAY_LEN(suspend_options),
    .run = run_suspend,
};

const struct cli_command cli_resume = {
    .name = "resume",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "give a suspended key back: two administrators",
    .details = KEY_HINT " For administrators. The first one's call is an agreement\n"
                        "that is good for 24 hours; another one's resumes the key. A key whose Deactivation\n"
                        "Date has come is not resumed.",
    .examples = "  keystead resume invoices\n"
                "  keystead resume invoices --json\n",
    .run = run_resume,
};
