/* keystead client list */
#include "cli/cli.h"
#include "cli/output.h"

static void
entries_freep(struct ks_client_entries **entries)
{
    ks_client_entries_free(*entries);
}

static int
print_json(const struct ks_client_entries *entries)
{
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '[');
    for (size_t i = 0; i < entries->n; i++) {
        json_open(&json, NULL, '{');
        json_text(&json, "name", entries->v[i].name);
        json_text(&json, "role", entries->v[i].role);
        json_text(&json, "fingerprint", entries->v[i].fingerprint);
        json_date(&json, "expires", entries->v[i].expires);
        json_bool(&json, "revoked", entries->v[i].revoked);
        if (entries->v[i].leniency != NULL)
            json_text(&json, "lenient", entries->v[i].leniency);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    return output_json(&json);
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(entries_freep) struct ks_client_entries *entries = NULL;
    KS_TRY(ks_client_list(cli->client, &cli->call, &entries, &cli->error));
    if (cli->json)
        return print_json(entries);
    static const char *const columns[] = {"NAME", "ROLE", "STATE", "EXPIRES", "CERTIFICATE"};
    KS_CLEANUP(table_done) struct table table = TABLE(columns);
    for (size_t i = 0; i < entries->n; i++) {
        table_add(&table, entries->v[i].name);
        table_add(&table, entries->v[i].role);
        table_add(&table, entries->v[i].revoked ? "revoked" : "enrolled");
        table_add_date(&table, entries->v[i].expires);
        char fingerprint[36]; /* enough to tell certificates apart; JSON has all of it */
        snprintf(fingerprint, sizeof(fingerprint), "%.32s...", entries->v[i].fingerprint);
        table_add(&table, fingerprint);
    }
    return table_print(&table);
}

const struct cli_command cli_client_list = {
    .name = "client list",
    .args = "",
    .connects = true,
    .summary = "list the clients that are enrolled",
    .examples = "  keystead client list\n"
                "  keystead client list --json\n",
    .run = run,
};
