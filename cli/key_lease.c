/* keystead key check, lease, allocate: what may be done with a key, for how long and how often. */
#include <stdio.h>

#include "base/text.h"
#include "cli/key.h"
#include "cli/output.h"

static int
check(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    struct ks_check params = {.uid = uid};
    int64_t lease;
    KS_TRY(key_mask(cli, "usage", 0, &params.usage_mask));
    KS_TRY(cli_number(cli, "units", 1, INT64_MAX, 0, &params.usage_limits_count));
    KS_TRY(cli_duration(cli, "lease", 0, &lease));
    params.lease_time_s = (uint32_t)lease;
    KS_TRY(key_find(cli, 0, uid));
    KS_TRY(ks_client_check(cli->client, &cli->call, &params, &cli->error));
    if (!cli->json) {
        printf("allowed\n");
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "identifier", uid);
    json_bool(&json, "allowed", true);
    json_close(&json, '}');
    return output_json(&json);
}

static int
lease(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    struct ks_lease got;
    KS_TRY(key_find(cli, 0, uid));
    KS_TRY(ks_client_obtain_lease(cli->client, &cli->call, uid, &got, &cli->error));
    if (!cli->json) {
        char text[64];
        snprintf(text, sizeof(text), "%u s", got.seconds);
        output_field("Lease", got.seconds != 0 ? text : "without end");
        char changed[KS_TIME_TEXT_LEN];
        output_time(got.last_change, changed);
        output_field("Last change", changed);
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "identifier", uid);
    json_number(&json, "lease_s", got.seconds);
    json_date(&json, "last_change", got.last_change);
    json_close(&json, '}');
    return output_json(&json);
}

static int
allocate(struct cli *cli)
{
    int64_t units;
    KS_CLEANUP(key_ref_done) struct key_ref ref = KEY_REF;
    if (ks_parse_i64(ks_span_str(cli->args[1]), 1, INT64_MAX, &units) != 0)
        return cli_fail(cli, KS_E_INVALID, "%.60s: from 1 unit on can be allocated", cli->args[1]);
    KS_TRY(key_find_ref(cli, &ref));
    KS_TRY(ks_client_get_usage_allocation(cli->client, &cli->call, ref.uid, units, &cli->error));
    return key_report(cli, "Allocated units of", ref.uid, ref.name);
}

static const struct cli_option check_options[] = {
    {"usage", CLI_TEXT, "LIST", "encrypt,decrypt,...: whether it may be used so"},
    {"units", CLI_TEXT, "N", "bytes or objects: whether so many are left of its Usage Limits"},
    {"lease", CLI_TEXT, "TIME", "90s, 15m, 1h: whether it can be leased for so long"},
};

const struct cli_command cli_key_check = {
    .name = "key check",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "ask whether a key may be used in a way",
    .details = KEY_HINT " Nothing is used up by asking.\nEnds with status 1 or 5 if it may not.",
    .examples = "  keystead key check invoices --usage encrypt\n"
                "  keystead key check invoices --units 1000\n",
    .options = check_options,
    .n_options = KS_ARRAY_LEN(check_options),
    .run = check,
};

const struct cli_command cli_key_lease = {
    .name = "key lease",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "obtain a lease: how long a copy of a key is good",
    .details = KEY_HINT,
    .examples = "  keystead key lease invoices\n",
    .run = lease,
};

const struct cli_command cli_key_allocate = {
    .name = "key allocate",
    .args = "KEY UNITS",
    .min_args = 2,
    .max_args = 2,
    .connects = true,
    .summary = "take units of a key's Usage Limits for oneself",
    .details = KEY_HINT " UNITS are bytes or objects, as the key's\nlimits count. What is not used is lost.",
    .examples = "  keystead key allocate invoices 1000\n",
    .run = allocate,
};
