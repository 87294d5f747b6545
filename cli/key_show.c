/* keystead key show: all attributes of an object; never its material. */
#include <stdio.h>

#include "cli/attribute.h"
#include "cli/key.h"
#include "cli/output.h"

enum { TEXT_MAX = 65536 };

static void
attributes_freep(struct ks_attributes **attributes)
{
    ks_attributes_free(*attributes);
}

static int
print_json(const struct ks_attributes *attributes)
{
    KS_CLEANUP(json_done) struct json json = JSON;
    const struct ks_attribute *state = ks_attributes_find(attributes, KMIP_TAG_STATE);
    json_open(&json, NULL, '{');
    json_text(&json, "identifier", attributes->uid);
    json_text(&json, "name", ks_attributes_name(attributes));
    json_text(&json, "state", state != NULL ? words_text(WORDS_STATE, state->value.enumeration) : NULL);
    json_open(&json, "attributes", '[');
    for (size_t i = 0; i < attributes->n; i++)
        attribute_json(&json, &attributes->v[i]);
    json_close(&json, ']');
    json_close(&json, '}');
    return output_json(&json);
}

static int
print_table(const struct ks_attributes *attributes)
{
    static const char *const columns[] = {"ATTRIBUTE", "VALUE"};
    KS_CLEANUP(table_done) struct table table = TABLE(columns);
    for (size_t i = 0; i < attributes->n; i++) {
        char buffer[256];
        KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(TEXT_MAX);
        attribute_text(&attributes->v[i], &text);
        table_add(&table, attribute_label(&attributes->v[i], buffer));
        table_add(&table, ks_buf_cstr(&text));
    }
    return table_print(&table);
}

static int
run(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    KS_CLEANUP(attributes_freep) struct ks_attributes *attributes = NULL;
    KS_TRY(key_find(cli, 0, uid));
    KS_TRY(ks_client_get_attributes(cli->client, &cli->call, uid, NULL, 0, &attributes, &cli->error));
    return cli->json ? print_json(attributes) : print_table(attributes);
}

const struct cli_command cli_key_show = {
    .name = "key show",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "show the attributes of an object",
    .details = KEY_HINT " Material is not an attribute and never shown here.",
    .examples = "  keystead key show invoices\n"
                "  keystead key show 0193c1f0-7d2a-7c3e-9a55-0242ac120002 --json\n",
    .run = run,
};
