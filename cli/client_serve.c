/* keystead client serve */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/output.h"

enum { WAIT_MOST_S = 30 };

struct listening {
    struct cli *cli;
    int64_t left; /* messages; below 0: no end */
    bool heard;   /* since the last connection */
};

static int
print_json(const struct ks_served *served)
{
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "operation", served->put ? "Put" : "Notify");
    json_text(&json, "uid", served->uid);
    if (served->replaced != NULL)
        json_text(&json, "replaces", served->replaced);
    json_open(&json, "attributes", '[');
    for (size_t i = 0; i < served->attributes->n; i++) {
        const struct ks_attribute *a = &served->attributes->v[i];
        json_text(&json, NULL, a->name != NULL ? a->name : ks_client_tag_name(a->value.tag));
    }
    json_close(&json, ']');
    json_number(&json, "deleted", (int64_t)served->n_deleted);
    json_close(&json, '}');
    return output_json(&json);
}

static int
take(void *arg, const struct ks_served *served)
{
    struct listening *listening = arg;
    listening->heard = true;
    if (listening->cli->json) {
        KS_TRY(print_json(served));
    } else {
        printf("%s ", served->put ? "Put" : "Notify");
        output_safe(stdout, served->uid);
        for (size_t i = 0; i < served->attributes->n && !served->put; i++) {
            const struct ks_attribute *a = &served->attributes->v[i];
            const char *name = a->name != NULL ? a->name : ks_client_tag_name(a->value.tag);
            printf("%s", i == 0 ? ": " : ", ");
            output_safe(stdout, name != NULL ? name : "?");
        }
        printf("\n");
    }
    KS_TRY(output_flush());
    if (listening->left > 0)
        listening->left--;
    return listening->left == 0 ? KS_SERVE_LAST : 0;
}

static int
run(struct cli *cli)
{
    struct listening listening = {.cli = cli};
    const struct ks_listener listener = {
        .address = "", .notify = cli_flag(cli, "notify"), .put = cli_flag(cli, "put"), .own = cli_flag(cli, "own")};
    unsigned wait_s = 1;
    KS_TRY(cli_number(cli, "count", 1, INT32_MAX, -1, &listening.left));
    if (listener.notify || listener.put)
        KS_TRY(ks_client_listener_set(cli->client, &cli->call, &listener, &cli->error));
    for (;;) {
        listening.heard = false;
        const int rc = ks_client_serve(cli->client, &cli->call, take, &listening, &cli->error);
        if (rc != KS_E_CLOSED && rc != KS_E_CONNECT) /* what waits is sent on the next connection */
            return rc;
        wait_s = listening.heard ? 1 : wait_s < WAIT_MOST_S / 2 ? 2 * wait_s : WAIT_MOST_S;
        (void)sleep(wait_s);
    }
}

static const struct cli_option options[] = {
    {"notify", CLI_FLAG, NULL, "be told when attributes of own objects change"},
    {"put", CLI_FLAG, NULL, "be told of objects that are made for this client"},
    {"own", CLI_FLAG, NULL, "also of what this client does itself"},
    {"count", CLI_TEXT, "N", "end after so many messages"},
};

const struct cli_command cli_client_serve = {
    .name = "client serve",
    .args = "",
    .connects = true,
    .summary = "take Notify and Put over a connection of its own",
    .details =
        "The server sends over it, so nothing has to be open to the outside. Each message is one line; keys that are\n"
        "put are not printed. A connection that breaks is opened again, and what waits is sent then. Without --notify\n"
        "and --put it is what was registered before, or both, of what others do.",
    .examples = "  keystead client serve --notify --put\n"
                "  keystead client serve --notify --json\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
