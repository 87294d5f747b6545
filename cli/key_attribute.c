/* keystead key attribute: list, add, set, modify, delete, adjust. */
#include <stdio.h>

#include "base/text.h"
#include "cli/attribute.h"
#include "cli/key.h"

#include <keystead/operations.h>

enum { ARENA_MAX = 1 << 20 };

static void
names_freep(struct ks_attribute_names **names)
{
    ks_attribute_names_free(*names);
}

static int
list(struct cli *cli)
{
    char uid[KS_UID_SIZE];
    static const char *const columns[] = {"ATTRIBUTE"};
    KS_CLEANUP(names_freep) struct ks_attribute_names *names = NULL;
    KS_CLEANUP(table_done) struct table table = TABLE(columns);
    KS_CLEANUP(json_done) struct json json = JSON;
    KS_TRY(key_find(cli, 0, uid));
    KS_TRY(ks_client_get_attribute_list(cli->client, &cli->call, uid, &names, &cli->error));
    json_open(&json, NULL, '[');
    for (size_t i = 0; i < names->n; i++) {
        char buffer[256];
        const struct ks_attribute one = {
            .vendor = names->v[i].vendor, .name = names->v[i].name, .value.tag = names->v[i].tag};
        const char *label = attribute_label(&one, buffer);
        table_add(&table, label);
        json_text(&json, NULL, label);
    }
    json_close(&json, ']');
    return cli->json ? output_json(&json) : table_print(&table);
}

typedef int change_fn(struct ks_client *client, const struct ks_call *call, const char *uid,
                      const struct ks_attribute *attribute, struct ks_error *error);

/* Each of the attributes that stand behind KEY; what was done before a refusal stays done. */
static int
change(struct cli *cli, change_fn *fn)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(ARENA_MAX);
    KS_CLEANUP(key_ref_done) struct key_ref ref = KEY_REF;
    struct ks_attribute attributes[CLI_MAX_ARGS];
    for (size_t i = 1; i < cli->n_args; i++)
        KS_TRY(attribute_parse(cli, &arena, cli->args[i], &attributes[i]));
    KS_TRY(key_find_ref(cli, &ref));
    for (size_t i = 1; i < cli->n_args; i++)
        KS_TRY(fn(cli->client, &cli->call, ref.uid, &attributes[i], &cli->error));
    return key_report(cli, "Changed", ref.uid, ref.name);
}

static int
add(struct cli *cli)
{
    return change(cli, ks_client_add_attribute);
}

static int
set(struct cli *cli)
{
    return change(cli, ks_client_set_attribute);
}

static int
modify(struct cli *cli)
{
    return change(cli, ks_client_modify_attribute);
}

static int
remove_attributes(struct cli *cli)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(ARENA_MAX);
    KS_CLEANUP(key_ref_done) struct key_ref ref = KEY_REF;
    struct ks_attribute_name names[CLI_MAX_ARGS];
    for (size_t i = 1; i < cli->n_args; i++)
        KS_TRY(attribute_name(cli, &arena, ks_span_str(cli->args[i]), &names[i]));
    KS_TRY(key_find_ref(cli, &ref));
    for (size_t i = 1; i < cli->n_args; i++)
        KS_TRY(ks_client_delete_attribute(cli->client, &cli->call, ref.uid, &names[i], &cli->error));
    return key_report(cli, "Changed", ref.uid, ref.name);
}

static int
adjust(struct cli *cli)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(ARENA_MAX);
    KS_CLEANUP(key_ref_done) struct key_ref ref = KEY_REF;
    struct ks_attribute_name name;
    int64_t by;
    KS_TRY(attribute_name(cli, &arena, ks_span_str(cli->args[1]), &name));
    KS_TRY(cli_number(cli, "by", INT32_MIN + 1, INT32_MAX, 0, &by));
    if ((cli_value(cli, "by") != NULL) == cli_flag(cli, "negate"))
        return cli_fail(cli, KS_E_INVALID, "say either --by N (less than 0 takes away), or --negate");
    const uint32_t kind = cli_flag(cli, "negate") ? KMIP_ADJUSTMENT_TYPE_NEGATE
                          : by < 0                ? KMIP_ADJUSTMENT_TYPE_DECREMENT
                                                  : KMIP_ADJUSTMENT_TYPE_INCREMENT;
    by = by < 0 ? -by : by;
    KS_TRY(key_find_ref(cli, &ref));
    KS_TRY(ks_client_adjust_attribute(cli->client, &cli->call, ref.uid, &name, kind,
                                      cli_flag(cli, "negate") ? NULL : &by, &cli->error));
    return key_report(cli, "Changed", ref.uid, ref.name);
}

/* clang-format off */
#define VALUES_HINT                                                                                                    \
    "An attribute is written as KMIP calls it, in any spelling: contact-information,\n"                                 \
    "\"Process Start Date\"; one of your own: x-color, or VENDOR:NAME. Which there\n"                                   \
    "are: keystead key show."
/* clang-format on */

const struct cli_command cli_key_attribute_list = {
    .name = "key attribute list",
    .args = "KEY",
    .min_args = 1,
    .max_args = 1,
    .connects = true,
    .summary = "list which attributes an object has",
    .details = KEY_HINT " Their values: keystead key show.",
    .examples = "  keystead key attribute list invoices\n",
    .run = list,
};

const struct cli_command cli_key_attribute_add = {
    .name = "key attribute add",
    .args = "KEY ATTRIBUTE=VALUE...",
    .min_args = 2,
    .max_args = CLI_MAX_ARGS,
    .connects = true,
    .summary = "add attributes that an object does not have",
    .details = VALUES_HINT,
    .examples = "  keystead key attribute add invoices x-owner=billing object-group=finance\n",
    .run = add,
};

const struct cli_command cli_key_attribute_set = {
    .name = "key attribute set",
    .args = "KEY ATTRIBUTE=VALUE...",
    .min_args = 2,
    .max_args = CLI_MAX_ARGS,
    .connects = true,
    .summary = "set attributes, whether the object has them or not",
    .details = VALUES_HINT " Needs KMIP 2.0.",
    .examples = "  keystead key attribute set invoices contact-information=billing@example.org\n"
                "  keystead key attribute set invoices deactivation-date=2030-01-01\n",
    .run = set,
};

const struct cli_command cli_key_attribute_modify = {
    .name = "key attribute modify",
    .args = "KEY ATTRIBUTE=VALUE...",
    .min_args = 2,
    .max_args = CLI_MAX_ARGS,
    .connects = true,
    .summary = "change attributes that an object has",
    .details = VALUES_HINT,
    .examples = "  keystead key attribute modify invoices x-owner=payments\n",
    .run = modify,
};

const struct cli_command cli_key_attribute_delete = {
    .name = "key attribute delete",
    .args = "KEY ATTRIBUTE...",
    .min_args = 2,
    .max_args = CLI_MAX_ARGS,
    .connects = true,
    .summary = "take attributes from an object",
    .details = VALUES_HINT,
    .examples = "  keystead key attribute delete invoices x-owner\n",
    .run = remove_attributes,
};

static const struct cli_option adjust_options[] = {
    {"by", CLI_TEXT, "N", "add N, to dates seconds; take away what is less than 0: --by=-1"},
    {"negate", CLI_FLAG, NULL, "yes becomes no, and no yes"},
};

const struct cli_command cli_key_attribute_adjust = {
    .name = "key attribute adjust",
    .args = "KEY ATTRIBUTE",
    .min_args = 2,
    .max_args = 2,
    .connects = true,
    .summary = "add to an attribute that is a number, or negate one",
    .details = VALUES_HINT " Needs KMIP 2.0.",
    .examples = "  keystead key attribute adjust invoices deactivation-date --by 86400\n"
                "  keystead key attribute adjust invoices sensitive --negate\n",
    .options = adjust_options,
    .n_options = KS_ARRAY_LEN(adjust_options),
    .run = adjust,
};
