/* keystead key split: Create Split Key. */
#include <stdio.h>

#include "cli/key.h"
#include "cli/output.h"

enum { PARTS_MOST = 255 };

static void
uids_freep(struct ks_uids **uids)
{
    ks_uids_free(*uids);
}

static int
report(struct cli *cli, const struct ks_uids *parts, int64_t threshold)
{
    if (!cli->json) {
        for (size_t i = 0; i < parts->n; i++)
            printf("Part %zu %s\n", i + 1, parts->v[i]);
        printf("Any %lld of them give back the key: keystead key join NAME PART...\n", (long long)threshold);
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_open(&json, "parts", '[');
    for (size_t i = 0; i < parts->n; i++)
        json_text(&json, NULL, parts->v[i]);
    json_close(&json, ']');
    json_number(&json, "threshold", threshold);
    json_close(&json, '}');
    return output_json(&json);
}

static int
run(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    int64_t parts, threshold;
    KS_CLEANUP(uids_freep) struct ks_uids *uids = NULL;
    KS_TRY(cli_number(cli, "parts", 2, PARTS_MOST, 3, &parts));
    KS_TRY(cli_number(cli, "threshold", 2, PARTS_MOST, 2, &threshold));
    if (threshold > parts)
        return cli_fail(cli, KS_E_INVALID, "--threshold %lld is more than there are parts (%lld)", (long long)threshold,
                        (long long)parts);
    KS_TRY(key_find(cli, 0, uid));
    const struct ks_create_split_key params = {.uid = uid, .parts = (int32_t)parts, .threshold = (int32_t)threshold};
    KS_TRY(ks_client_create_split_key(cli->client, &cli->call, &params, &uids, &cli->error));
    return report(cli, uids, threshold);
}

static const struct cli_option options[] = {
    {"parts", CLI_TEXT, "N", "how many parts (default 3)"},
    {"threshold", CLI_TEXT, "N", "how many of them give back the key (default 2)"},
};

const struct cli_command cli_key_split = {
    .name = "key split",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "split a key into parts, some of which give it back",
    .details = KEY_HINT " The parts are new objects on the server (Shamir's sharing over GF(2^8)); fewer of them than\n"
                        "the threshold say nothing about the key. The key itself stays: destroy it if only the parts\n"
                        "are to be left.",
    .examples = "  keystead key split invoices\n"
                "  keystead key split invoices --parts 5 --threshold 3 --json\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
