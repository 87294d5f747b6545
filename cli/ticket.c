/* keystead ticket create, delegate, end. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/key.h"
#include "cli/output.h"

#include <keystead/access.h>

enum { NAMES_MAX = 32 };

static void
ticket_freep(struct ks_ticket **ticket)
{
    ks_ticket_free(*ticket);
}

/* The ticket's value in hexadecimal: to --out, or to standard output. */
static int
give(struct cli *cli, const struct ks_ticket *ticket)
{
    const char *out = cli_value(cli, "out");
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(4096);
    (void)ks_hex_add(&text, ticket->value.data, ticket->value.len);
    if (cli->json && out == NULL) {
        KS_CLEANUP(json_done) struct json json = JSON;
        json_open(&json, NULL, '{');
        json_text(&json, "ticket", ks_buf_cstr(&text));
        json_close(&json, '}');
        return output_json(&json);
    }
    (void)ks_buf_add_u8(&text, '\n');
    if (text.err != 0)
        return text.err;
    KS_TRY(cli_write(cli, out, ks_buf_span(&text)));
    if (!cli->json)
        return 0;
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "file", out);
    json_close(&json, '}');
    return output_json(&json);
}

static int
terms(struct cli *cli, struct ks_login *ret)
{
    int64_t lease, requests;
    KS_TRY(cli_duration(cli, "valid", 0, &lease));
    KS_TRY(cli_number(cli, "requests", 1, INT32_MAX, 0, &requests));
    *ret = (struct ks_login){.lease_s = (uint32_t)lease, .requests = (int32_t)requests};
    return 0;
}

static int
create(struct cli *cli)
{
    struct ks_login params;
    KS_CLEANUP(ticket_freep) struct ks_ticket *ticket = NULL;
    KS_TRY(terms(cli, &params));
    KS_TRY(ks_client_login(cli->client, &cli->call, &params, &ticket, &cli->error));
    return give(cli, ticket);
}

/* Cuts a list with commas between into ret, in place. */
static int
cut(struct cli *cli, const char *option, char *list, const char *ret[NAMES_MAX], size_t *ret_n)
{
    size_t n = 0;
    for (char *at = list; at != NULL && *at != '\0';) {
        char *comma = strchr(at, ',');
        if (n == NAMES_MAX)
            return cli_fail(cli, KS_E_INVALID, "--%s: %d at most", option, NAMES_MAX);
        if (comma != NULL)
            *comma = '\0';
        ret[n++] = at;
        at = comma != NULL ? comma + 1 : NULL;
    }
    *ret_n = n;
    return 0;
}

static char *
list_of(struct cli *cli, const char *option, struct ks_arena *arena)
{
    const char *text = cli_value(cli, option);
    return ks_arena_dup(arena, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
}

/* Words of a comma list as operations. */
static int
find_operations(struct cli *cli, struct ks_arena *arena, uint32_t ret[NAMES_MAX], size_t *ret_n)
{
    const char *words[NAMES_MAX];
    char *list = list_of(cli, "allow", arena);
    if (list == NULL)
        return KS_E_NOMEM;
    KS_TRY(cut(cli, "allow", list, words, ret_n));
    for (size_t i = 0; i < *ret_n; i++)
        if (words_find_of(KMIP_TAG_OPERATION, ks_span_str(words[i]), &ret[i]) != 0)
            return cli_fail(cli, KS_E_INVALID, "--allow: '%.60s' is no operation; see: keystead query", words[i]);
    return 0;
}

static int
delegate(struct cli *cli)
{
    struct ks_login params;
    uint32_t operations[NAMES_MAX];
    char uids[CLI_MAX_ARGS][KS_UID_SIZE];
    const char *objects[CLI_MAX_ARGS];
    const char *groups[NAMES_MAX];
    struct ks_right right = {.operations = operations, .uids = objects, .groups = groups};
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
    KS_CLEANUP(ticket_freep) struct ks_ticket *ticket = NULL;
    KS_TRY(terms(cli, &params));
    KS_TRY(find_operations(cli, &arena, operations, &right.n_operations));
    char *list = list_of(cli, "group", &arena);
    if (list == NULL)
        return KS_E_NOMEM;
    KS_TRY(cut(cli, "group", list, groups, &right.n_groups));
    for (size_t i = 0; i < cli->n_args; i++) {
        KS_TRY(key_find(cli, i, uids[i]));
        objects[right.n_uids++] = uids[i];
    }
    if (right.n_operations == 0 && right.n_uids == 0 && right.n_groups == 0 && !cli_flag(cli, "everything"))
        return cli_fail(cli, KS_E_INVALID,
                        "this would give all that you may; name keys, or --allow or --group, or say --everything");
    KS_TRY(ks_client_delegated_login(cli->client, &cli->call, &params, &right, 1, &ticket, &cli->error));
    return give(cli, ticket);
}

static int
end(struct cli *cli)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf value = KS_BUF(4096);
    KS_TRY(cli_read_ticket(cli, cli->args[0], &value));
    KS_TRY(ks_client_logout(cli->client, &cli->call, (struct ks_bytes){value.data, value.len}, &cli->error));
    if (!cli->json) {
        printf("Ended\n");
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_bool(&json, "ended", true);
    json_close(&json, '}');
    return output_json(&json);
}

/* clang-format off */
#define TICKET_HINT                                                                                                    \
    "The ticket is a secret: write it to a file with --out. Other commands show it\n"                                   \
    "with --ticket FILE. Needs KMIP 2.0."
/* clang-format on */

static const struct cli_option create_options[] = {
    {"out", CLI_FILE, "FILE", "write to FILE, which nobody but you can read"},
    {"valid", CLI_TEXT, "TIME", "how long it is good: 15m, 1h (default: the server's)"},
    {"requests", CLI_TEXT, "N", "how many requests it is good for (default: any number)"},
};

const struct cli_command cli_ticket_create = {
    .name = "ticket create",
    .args = "",
    .connects = true,
    .summary = "get a ticket for this client's own requests",
    .details = TICKET_HINT,
    .examples = "  keystead ticket create --valid 1h --out session.ticket\n"
                "  keystead ticket create --requests 100 --json\n",
    .options = create_options,
    .n_options = KS_ARRAY_LEN(create_options),
    .run = create,
};

static const struct cli_option delegate_options[] = {
    {"allow", CLI_TEXT, "LIST", "get,decrypt,...: these operations alone (default: all)"},
    {"group", CLI_TEXT, "LIST", "objects of these Object Groups alone"},
    {"everything", CLI_FLAG, NULL, "all that you may: neither keys nor operations are named"},
    {"out", CLI_FILE, "FILE", "write to FILE, which nobody but you can read"},
    {"valid", CLI_TEXT, "TIME", "how long it is good: 15m, 1h (default: the server's)"},
    {"requests", CLI_TEXT, "N", "how many requests it is good for (default: any number)"},
};

const struct cli_command cli_ticket_delegate = {
    .name = "ticket delegate",
    .args = "[KEY]...",
    .max_args = CLI_MAX_ARGS,
    .connects = true,
    .summary = "get a ticket for another client to use your keys",
    .details = KEY_HINT " Without a KEY it is good for all of yours.\n" TICKET_HINT "\n"
                        "Who shows it gives a key's identifier: looking a name up is an operation too.",
    .examples = "  keystead ticket delegate invoices --allow get,decrypt --valid 15m --out for-bob\n"
                "  keystead ticket delegate --group finance --requests 5 --out for-bob\n",
    .options = delegate_options,
    .n_options = KS_ARRAY_LEN(delegate_options),
    .run = delegate,
};

const struct cli_command cli_ticket_end = {
    .name = "ticket end",
    .args = "FILE",
    .min_args = 1,
    .max_args = 1,
    .arg_kind = CLI_FILE,
    .connects = true,
    .summary = "log out: a ticket is good for nothing any more",
    .details = "FILE is what ticket create or ticket delegate wrote; - is standard input.",
    .examples = "  keystead ticket end session.ticket\n",
    .run = end,
};
