/* keystead constraint and default: what new objects must have, and what they get where nothing is said. */
#include <stdio.h>
#include <string.h>

#include "cli/attribute.h"
#include "cli/words.h"

#include <keystead/access.h>

enum { ARENA_MAX = 4 << 20, TEXT_MAX = 65536 };

static void
rules_freep(struct ks_rules **rules)
{
    ks_rules_free(*rules);
}

typedef int get_fn(struct ks_client *client, const struct ks_call *call, struct ks_rules **ret, struct ks_error *error);
typedef int set_fn(struct ks_client *client, const struct ks_call *call, const struct ks_rule *rules, size_t n,
                   struct ks_error *error);

/* ---- list ---- */

static int
print_json(const struct ks_rules *rules)
{
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '[');
    for (size_t i = 0; i < rules->n; i++) {
        const struct ks_rule *rule = &rules->v[i];
        json_open(&json, NULL, '{');
        json_open(&json, "types", '[');
        for (size_t k = 0; k < rule->n_object_types; k++)
            json_text(&json, NULL, words_text(WORDS_OBJECT_TYPE, rule->object_types[k]));
        json_close(&json, ']');
        json_open(&json, "groups", '[');
        for (size_t k = 0; k < rule->n_groups; k++)
            json_text(&json, NULL, rule->groups[k]);
        json_close(&json, ']');
        json_open(&json, "attributes", '[');
        for (size_t k = 0; k < rule->n_attributes; k++)
            attribute_json(&json, &rule->attributes[k]);
        json_close(&json, ']');
        json_close(&json, '}');
    }
    json_close(&json, ']');
    return output_json(&json);
}

static void
join(struct ks_buf *to, const char *text)
{
    (void)ks_buf_addf(to, "%s%s", to->len > 0 ? ", " : "", text != NULL ? text : "?");
}

static int
add_row(struct table *table, const struct ks_rule *rule)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf types = KS_BUF(TEXT_MAX);
    KS_CLEANUP(ks_buf_done) struct ks_buf groups = KS_BUF(TEXT_MAX);
    for (size_t k = 0; k < rule->n_object_types; k++)
        join(&types, words_text(WORDS_OBJECT_TYPE, rule->object_types[k]));
    for (size_t k = 0; k < rule->n_groups; k++)
        join(&groups, rule->groups[k]);
    for (size_t k = 0; k < rule->n_attributes; k++) {
        char buffer[256];
        KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(TEXT_MAX);
        attribute_text(&rule->attributes[k], &text);
        table_add(table, types.len > 0 ? ks_buf_cstr(&types) : "any");
        table_add(table, groups.len > 0 ? ks_buf_cstr(&groups) : "any");
        table_add(table, attribute_label(&rule->attributes[k], buffer));
        table_add(table, ks_buf_cstr(&text));
    }
    return types.err != 0 ? types.err : groups.err;
}

static int
list(struct cli *cli, get_fn *get)
{
    static const char *const columns[] = {"TYPES", "GROUPS", "ATTRIBUTE", "VALUE"};
    KS_CLEANUP(rules_freep) struct ks_rules *rules = NULL;
    KS_CLEANUP(table_done) struct table table = TABLE(columns);
    KS_TRY(get(cli->client, &cli->call, &rules, &cli->error));
    if (cli->json)
        return print_json(rules);
    for (size_t i = 0; i < rules->n; i++)
        KS_TRY(add_row(&table, &rules->v[i]));
    return table_print(&table);
}

/* ---- set, add, clear ---- */

/* The rule that the command line says. */
struct written {
    struct ks_arena arena;
    struct ks_attribute attributes[CLI_MAX_ARGS];
    uint32_t type;
    const char *group;
    struct ks_rule rule;
};

static void
written_done(struct written *written)
{
    ks_arena_done(&written->arena);
}

static int
read_rule(struct cli *cli, struct written *ret)
{
    const char *type = cli_value(cli, "type");
    ret->arena = KS_ARENA(ARENA_MAX);
    for (size_t i = 0; i < cli->n_args; i++)
        KS_TRY(attribute_parse(cli, &ret->arena, cli->args[i], &ret->attributes[i]));
    ret->rule = (struct ks_rule){.attributes = ret->attributes, .n_attributes = cli->n_args};
    if (type != NULL && words_find(WORDS_OBJECT_TYPE, type, &ret->type) != 0)
        return cli_fail(cli, KS_E_INVALID,
                        "--type: '%.60s' is no type of object; write symmetric-key, private-key, ...", type);
    if (type != NULL) {
        ret->rule.object_types = &ret->type;
        ret->rule.n_object_types = 1;
    }
    ret->group = cli_value(cli, "group");
    if (ret->group != NULL) {
        ret->rule.groups = &ret->group;
        ret->rule.n_groups = 1;
    }
    return 0;
}

static int
report(struct cli *cli, size_t n)
{
    if (!cli->json) {
        if (n == 0)
            printf("There are none any more\n");
        else
            printf("%zu in force\n", n);
        return 0;
    }
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '{');
    json_number(&json, "rules", (int64_t)n);
    json_close(&json, '}');
    return output_json(&json);
}

static int
set(struct cli *cli, set_fn *fn)
{
    KS_CLEANUP(written_done) struct written written = {0};
    KS_TRY(read_rule(cli, &written));
    KS_TRY(fn(cli->client, &cli->call, &written.rule, 1, &cli->error));
    return report(cli, 1);
}

/* KMIP sets all of them at once: those that there are, and one more. */
static int
add(struct cli *cli, get_fn *get, set_fn *fn)
{
    KS_CLEANUP(written_done) struct written written = {0};
    KS_CLEANUP(rules_freep) struct ks_rules *rules = NULL;
    KS_TRY(read_rule(cli, &written));
    KS_TRY(get(cli->client, &cli->call, &rules, &cli->error));
    struct ks_rule *all = ks_arena_array(&written.arena, rules->n + 1, sizeof(*all));
    if (all == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < rules->n; i++)
        all[i] = rules->v[i];
    all[rules->n] = written.rule;
    KS_TRY(fn(cli->client, &cli->call, all, rules->n + 1, &cli->error));
    return report(cli, rules->n + 1);
}

static int
clear(struct cli *cli, set_fn *fn)
{
    KS_TRY(fn(cli->client, &cli->call, NULL, 0, &cli->error));
    return report(cli, 0);
}

/* ---- The commands, twice ---- */

static const struct cli_option rule_options[] = {
    {"type", CLI_TEXT, "TYPE", "of objects of that type: symmetric-key, private-key, ..."},
    {"group", CLI_TEXT, "GROUP", "of objects of that Object Group"},
};

#define RULE_COMMANDS(word, get, fn, text, must, example)                                                              \
    static int word##_list(struct cli *cli)                                                                            \
    {                                                                                                                  \
        return list(cli, get);                                                                                         \
    }                                                                                                                  \
    static int word##_set(struct cli *cli)                                                                             \
    {                                                                                                                  \
        return set(cli, fn);                                                                                           \
    }                                                                                                                  \
    static int word##_add(struct cli *cli)                                                                             \
    {                                                                                                                  \
        return add(cli, get, fn);                                                                                      \
    }                                                                                                                  \
    static int word##_clear(struct cli *cli)                                                                           \
    {                                                                                                                  \
        return clear(cli, fn);                                                                                         \
    }                                                                                                                  \
    const struct cli_command cli_##word##_list = {                                                                     \
        .name = #word " list",                                                                                         \
        .args = "",                                                                                                    \
        .connects = true,                                                                                              \
        .summary = "list " text,                                                                                       \
        .examples = "  keystead " #word " list\n",                                                                     \
        .run = word##_list,                                                                                            \
    };                                                                                                                 \
    const struct cli_command cli_##word##_add = {                                                                      \
        .name = #word " add",                                                                                          \
        .args = "ATTRIBUTE=VALUE...",                                                                                  \
        .min_args = 1,                                                                                                 \
        .max_args = CLI_MAX_ARGS,                                                                                      \
        .connects = true,                                                                                              \
        .summary = "add to " text,                                                                                     \
        .details = must " For administrators.",                                                                        \
        .examples = "  keystead " #word " add " example "\n",                                                          \
        .options = rule_options,                                                                                       \
        .n_options = KS_ARRAY_LEN(rule_options),                                                                       \
        .run = word##_add,                                                                                             \
    };                                                                                                                 \
    const struct cli_command cli_##word##_set = {                                                                      \
        .name = #word " set",                                                                                          \
        .args = "ATTRIBUTE=VALUE...",                                                                                  \
        .min_args = 1,                                                                                                 \
        .max_args = CLI_MAX_ARGS,                                                                                      \
        .connects = true,                                                                                              \
        .summary = "replace all " text " by one",                                                                      \
        .details = must " For administrators.",                                                                        \
        .examples = "  keystead " #word " set " example "\n",                                                          \
        .options = rule_options,                                                                                       \
        .n_options = KS_ARRAY_LEN(rule_options),                                                                       \
        .run = word##_set,                                                                                             \
    };                                                                                                                 \
    const struct cli_command cli_##word##_clear = {                                                                    \
        .name = #word " clear",                                                                                        \
        .args = "",                                                                                                    \
        .connects = true,                                                                                              \
        .summary = "remove all " text,                                                                                 \
        .details = "For administrators.",                                                                              \
        .examples = "  keystead " #word " clear\n",                                                                    \
        .run = word##_clear,                                                                                           \
    };

RULE_COMMANDS(constraint, ks_client_get_constraints, ks_client_set_constraints, "constraints on new objects",
              "A new object that has another value for such an attribute is refused.",
              "--type symmetric-key cryptographic-length=256")
RULE_COMMANDS(default, ks_client_get_defaults, ks_client_set_defaults, "defaults of new objects",
              "A new object that says nothing of such an attribute is given it.",
              "--type symmetric-key contact-information=keys@example.org")
