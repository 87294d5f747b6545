/* keystead status */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/output.h"

static void
status_freep(struct ks_status **status)
{
    ks_status_free(*status);
}

static int
print_json(const struct ks_status *status)
{
    KS_CLEANUP(json_done) struct json json = JSON;
    char kmip[32];
    snprintf(kmip, sizeof(kmip), "%d.%d", status->version.major, status->version.minor);
    json_open(&json, NULL, '{');
    json_text(&json, "server", status->server);
    json_text(&json, "node", status->node);
    json_text(&json, "version", status->server_version);
    json_text(&json, "kmip", status->version.major != 0 ? kmip : NULL);
    json_bool(&json, "sealed", status->sealed);
    if (status->profile != NULL)
        json_text(&json, "profile", status->profile);
    if (status->objects >= 0)
        json_number(&json, "objects", status->objects);
    json_number(&json, "uptime_s", status->uptime_s);
    json_close(&json, '}');
    return output_json(&json);
}

static void
print(const struct ks_status *status)
{
    char text[64];
    output_field("Server", status->server);
    output_field("Node", status->node);
    output_field("Keystead", status->server_version);
    if (status->version.major != 0) {
        snprintf(text, sizeof(text), "%d.%d", status->version.major, status->version.minor);
        output_field("KMIP", text);
    }
    output_field("State", status->sealed ? "sealed; unseal it with: keystead unseal" : "serving");
    if (status->profile != NULL)
        output_field("Policy profile", status->profile);
    if (status->objects >= 0) {
        snprintf(text, sizeof(text), "%lld", (long long)status->objects);
        output_field("Objects", text);
    }
    const uint32_t s = status->uptime_s;
    snprintf(text, sizeof(text), "%ud %02u:%02u:%02u", s / 86400, s / 3600 % 24, s / 60 % 60, s % 60);
    output_field("Up", text);
}

static int
run(struct cli *cli)
{
    KS_CLEANUP(status_freep) struct ks_status *status = NULL;
    KS_TRY(ks_client_status(cli->client, &cli->call, &status, &cli->error));
    if (cli->json)
        KS_TRY(print_json(status));
    else
        print(status);
    return status->sealed ? cli_fail(cli, KS_E_SEALED, "%s is sealed", status->server) : 0;
}

const struct cli_command cli_status = {
    .name = "status",
    .args = "",
    .connects = true,
    .summary = "show whether the server answers, and how it is",
    .details = "Ends with status 6 if the server is sealed.",
    .examples = "  keystead status --dir /var/lib/keystead\n"
                "  keystead status --json\n",
    .run = run,
};
