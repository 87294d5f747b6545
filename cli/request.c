/* keystead request list, result, cancel: what the server was asked to do later. */
#include "cli/request.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/output.h"

#include <keystead/operations.h>

void
request_text(const struct ks_pending *pending, struct ks_buf *ret)
{
    (void)ks_hex_add(ret, pending->value, pending->len);
}

static int
no_such(struct cli *cli)
{
    return cli_fail(cli, KS_E_INVALID, "'%.60s' does not name a request; see: keystead request list", cli->args[0]);
}

int
request_find(struct cli *cli, struct ks_pending *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf value = KS_BUF(sizeof(ret->value));
    if (ks_hex_decode(ks_span_str(cli->args[0]), &value) != 0 || value.len == 0)
        return no_such(cli);
    *ret = (struct ks_pending){.len = value.len};
    memcpy(ret->value, value.data, value.len);
    return 0;
}

int
request_submit(struct cli *cli, uint32_t operation, const char *uid)
{
    struct ks_pending pending;
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(256);
    KS_TRY(ks_client_submit(cli->client, &cli->call, operation, uid, &pending, &cli->error));
    request_text(&pending, &text);
    const char *name = pending.len != 0 ? ks_buf_cstr(&text) : NULL;
    if (!cli->json) {
        printf("%s\n", name != NULL ? name : "done");
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "request", name);
    json_close(&json, '}');
    return output_json(&json);
}

static void
list_freep(struct ks_pending_list **list)
{
    ks_pending_list_free(*list);
}

static const char *
word(uint32_t set, uint32_t value)
{
    const char *name = ks_client_enum_name(set, value);
    return name != NULL ? name : "?";
}

static int
list_json(const struct ks_pending_list *list)
{
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '[');
    for (size_t i = 0; i < list->n; i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(256);
        request_text(&list->v[i].pending, &text);
        json_open(&json, NULL, '{');
        json_text(&json, "request", ks_buf_cstr(&text));
        json_text(&json, "operation", word(KMIP_TAG_OPERATION, list->v[i].operation));
        json_text(&json, "stage", word(KMIP_TAG_PROCESSING_STAGE, list->v[i].stage));
        json_date(&json, "submitted", list->v[i].submitted_us / 1000000);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    return output_json(&json);
}

static int
list(struct cli *cli)
{
    KS_CLEANUP(list_freep) struct ks_pending_list *pending = NULL;
    KS_TRY(ks_client_pending(cli->client, &cli->call, &pending, &cli->error));
    if (cli->json)
        return list_json(pending);
    static const char *const columns[] = {"REQUEST", "OPERATION", "STAGE", "SUBMITTED"};
    KS_CLEANUP(table_done) struct table table = TABLE(columns);
    for (size_t i = 0; i < pending->n; i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(256);
        request_text(&pending->v[i].pending, &text);
        table_add(&table, ks_buf_cstr(&text));
        table_add(&table, word(KMIP_TAG_OPERATION, pending->v[i].operation));
        table_add(&table, word(KMIP_TAG_PROCESSING_STAGE, pending->v[i].stage));
        table_add_date(&table, pending->v[i].submitted_us / 1000000);
    }
    return table_print(&table);
}

static void
result_freep(struct ks_poll_result **result)
{
    ks_poll_result_free(*result);
}

static int
result(struct cli *cli)
{
    struct ks_pending pending;
    KS_CLEANUP(result_freep) struct ks_poll_result *got = NULL;
    KS_TRY(request_find(cli, &pending));
    KS_TRY(ks_client_poll(cli->client, &cli->call, &pending, &got, &cli->error));
    if (cli->json) {
        KS_CLEANUP(json_done) struct json json = JSON;
        json_open(&json, NULL, '{');
        json_bool(&json, "pending", got->pending);
        json_text(&json, "operation", got->pending ? NULL : word(KMIP_TAG_OPERATION, got->operation));
        json_open(&json, "identifiers", '[');
        for (size_t i = 0; i < got->n; i++)
            json_text(&json, NULL, got->uids[i]);
        json_close(&json, ']');
        json_close(&json, '}');
        return output_json(&json);
    }
    printf("%s\n", got->pending ? "pending" : word(KMIP_TAG_OPERATION, got->operation));
    for (size_t i = 0; i < got->n; i++) {
        output_safe(stdout, got->uids[i]);
        printf("\n");
    }
    return 0;
}

static int
cancel(struct cli *cli)
{
    struct ks_pending pending;
    uint32_t outcome = 0;
    KS_TRY(request_find(cli, &pending));
    KS_TRY(ks_client_cancel(cli->client, &cli->call, &pending, &outcome, &cli->error));
    if (outcome == KMIP_CANCELLATION_RESULT_UNAVAILABLE)
        return cli_fail(cli, KS_E_NOT_FOUND,
                        "no request is pending under that name; a result is given once, and kept "
                        "for a while only");
    if (outcome != KMIP_CANCELLATION_RESULT_CANCELED)
        return cli_fail(cli, KS_E_KMIP, "it was carried out already; see: keystead request result");
    if (!cli->json) {
        printf("Canceled %s\n", cli->args[0]);
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "request", cli->args[0]);
    json_bool(&json, "canceled", true);
    json_close(&json, '}');
    return output_json(&json);
}

static int
process(struct cli *cli)
{
    struct ks_pending pending;
    KS_TRY(request_find(cli, &pending));
    KS_TRY(ks_client_process(cli->client, &cli->call, &pending, &cli->error));
    if (!cli->json) {
        printf("Carried out; see: keystead request result %s\n", cli->args[0]);
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_text(&json, "request", cli->args[0]);
    json_bool(&json, "processed", true);
    json_close(&json, '}');
    return output_json(&json);
}

const struct cli_command cli_request_list = {
    .name = "request list",
    .args = "",
    .connects = true,
    .summary = "list what the server was asked to do later",
    .details = "Only requests of this client whose results nobody has fetched. Needs KMIP 2.1.",
    .examples = "  keystead request list\n"
                "  keystead request list --json\n",
    .run = list,
};

const struct cli_command cli_request_result = {
    .name = "request result",
    .args = "REQUEST",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "fetch the result of a request that was put off",
    .details = "Says \"pending\" while there is none. A result is given once.",
    .examples = "  keystead request result 8d1f7c0a9b3e4d5566aa77bb00000001\n",
    .run = result,
};

const struct cli_command cli_request_cancel = {
    .name = "request cancel",
    .args = "REQUEST",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "cancel a request that was not carried out yet",
    .examples = "  keystead request cancel 8d1f7c0a9b3e4d5566aa77bb00000001\n",
    .run = cancel,
};

const struct cli_command cli_request_process = {
    .name = "request process",
    .args = "REQUEST",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "have a request that was put off carried out now",
    .details = "Its result is fetched as ever: keystead request result. Needs KMIP 2.1.",
    .examples = "  keystead request process 8d1f7c0a9b3e4d5566aa77bb00000001\n",
    .run = process,
};
