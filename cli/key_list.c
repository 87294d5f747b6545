/* keystead key list: objects, filtered by the server. */
#include <stdio.h>
#include <time.h>

#include "base/text.h"
#include "cli/key.h"
#include "cli/output.h"

static const struct ks_attribute_name wanted[] = {
    {.tag = KMIP_TAG_NAME},
    {.tag = KMIP_TAG_OBJECT_TYPE},
    {.tag = KMIP_TAG_STATE},
    {.tag = KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM},
    {.tag = KMIP_TAG_CRYPTOGRAPHIC_LENGTH},
    {.tag = KMIP_TAG_INITIAL_DATE},
    {.tag = KMIP_TAG_ACTIVATION_DATE},
    /* The last: Keystead's own, others may not like it. */
    {.tag = KMIP_TAG_ATTRIBUTE, .vendor = "y", .name = "Suspended"},
};

static void
uids_freep(struct ks_uids **uids)
{
    ks_uids_free(*uids);
}

static void
list_freep(struct ks_attributes_list **list)
{
    ks_attributes_list_free(*list);
}

/* The options that are an attribute whose value is a word. */
static const struct {
    const char *option;
    enum words_set set;
    uint32_t tag;
} filters[] = {
    {"state", WORDS_STATE, KMIP_TAG_STATE},
    {"type", WORDS_OBJECT_TYPE, KMIP_TAG_OBJECT_TYPE},
    {"algorithm", WORDS_CRYPTOGRAPHIC_ALGORITHM, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM},
};

enum { MAX_FILTERS = KS_ARRAY_LEN(filters) + 4 };

/* A date as an attribute: twice makes a range (Locate, 1.4: 4.9). */
static int
add_date(struct cli *cli, const char *option, struct ks_attribute *v, size_t *n)
{
    const char *text = cli_value(cli, option);
    int64_t seconds;
    if (text == NULL)
        return 0;
    char whole[48];
    snprintf(whole, sizeof(whole), strlen(text) == 10 ? "%sT00:00:00Z" : "%s", text);
    if (ks_time_parse(ks_span_str(whole), &seconds) != 0)
        return cli_fail(cli, KS_E_INVALID, "--%s: '%s' is no date; write 2026-11-24 or 2026-11-24T06:57:42Z", option,
                        text);
    v[(*n)++] =
        (struct ks_attribute){.value = {.tag = KMIP_TAG_INITIAL_DATE, .type = KMIP_TYPE_DATE_TIME, .number = seconds}};
    return 0;
}

static int
add_filters(struct cli *cli, struct ks_attribute v[MAX_FILTERS], size_t *n)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(filters); i++) {
        uint32_t value;
        if (!cli_flag(cli, filters[i].option))
            continue;
        KS_TRY(key_word(cli, filters[i].option, filters[i].set, 0, &value));
        v[(*n)++] = (struct ks_attribute){
            .value = {.tag = filters[i].tag, .type = KMIP_TYPE_ENUMERATION, .enumeration = value}};
    }
    const bool before = cli_flag(cli, "created-before");
    const bool after = cli_flag(cli, "created-after");
    KS_TRY(add_date(cli, "created-after", v, n));
    KS_TRY(add_date(cli, "created-before", v, n));
    if (before != after) { /* one end given: the other is the beginning of time, or now */
        const int64_t end = before ? 0 : (int64_t)time(NULL) + 86400;
        v[(*n)++] =
            (struct ks_attribute){.value = {.tag = KMIP_TAG_INITIAL_DATE, .type = KMIP_TYPE_DATE_TIME, .number = end}};
    }
    const char *group = cli_value(cli, "group");
    if (group != NULL)
        v[(*n)++] = (struct ks_attribute){.value = {.tag = KMIP_TAG_OBJECT_GROUP,
                                                    .type = KMIP_TYPE_TEXT_STRING,
                                                    .bytes = {(const uint8_t *)group, strlen(group)}}};
    return 0;
}

static const char *
word_of(const struct ks_attributes *attributes, uint32_t tag, enum words_set set)
{
    const struct ks_attribute *attribute = ks_attributes_find(attributes, tag);
    return attribute != NULL && attribute->value.type == KMIP_TYPE_ENUMERATION
               ? words_text(set, attribute->value.enumeration)
               : NULL;
}

/* How it is suspended ("all", "protect"); NULL: it is not. */
static const char *
suspended(const struct ks_attributes *attributes)
{
    for (size_t i = 0; i < attributes->n; i++) {
        const struct ks_attribute *a = &attributes->v[i];
        if (a->vendor != NULL && a->name != NULL && strcmp(a->vendor, "y") == 0 && strcmp(a->name, "Suspended") == 0 &&
            a->value.type == KMIP_TYPE_TEXT_STRING)
            return (const char *)a->value.bytes.data;
    }
    return NULL;
}

/* What the table says of its life: suspension lies over the State. */
static const char *
state_of(const struct ks_attributes *attributes)
{
    if (attributes->code != 0)
        return ks_client_error_text(attributes->code);
    return suspended(attributes) != NULL ? "Suspended" : word_of(attributes, KMIP_TAG_STATE, WORDS_STATE);
}

static void
add_json_date(struct json *json, const char *name, const struct ks_attributes *attributes, uint32_t tag)
{
    const struct ks_attribute *date = ks_attributes_find(attributes, tag);
    if (date != NULL && date->value.type == KMIP_TYPE_DATE_TIME)
        json_date(json, name, date->value.number);
    else
        json_text(json, name, NULL);
}

static int
print_json(const struct ks_attributes_list *list)
{
    KS_CLEANUP(json_done) struct json json = JSON;
    json_open(&json, NULL, '[');
    for (size_t i = 0; i < list->n; i++) {
        const struct ks_attributes *a = &list->v[i];
        const struct ks_attribute *length = ks_attributes_find(a, KMIP_TAG_CRYPTOGRAPHIC_LENGTH);
        json_open(&json, NULL, '{');
        json_text(&json, "identifier", a->uid);
        json_text(&json, "name", ks_attributes_name(a));
        json_text(&json, "type", word_of(a, KMIP_TAG_OBJECT_TYPE, WORDS_OBJECT_TYPE));
        json_text(&json, "state", word_of(a, KMIP_TAG_STATE, WORDS_STATE));
        json_text(&json, "suspended", suspended(a));
        json_text(&json, "algorithm", word_of(a, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, WORDS_CRYPTOGRAPHIC_ALGORITHM));
        if (length != NULL && length->value.type == KMIP_TYPE_INTEGER)
            json_number(&json, "length", length->value.integer);
        add_json_date(&json, "created", a, KMIP_TAG_INITIAL_DATE);
        add_json_date(&json, "activated", a, KMIP_TAG_ACTIVATION_DATE);
        if (a->code != 0)
            json_text(&json, "error", ks_client_error_text(a->code));
        json_close(&json, '}');
    }
    json_close(&json, ']');
    return output_json(&json);
}

/* "AES-256", "RSA-2048 private", "Certificate": type and algorithm in one column, to keep to 80. */
static void
add_kind(struct table *table, const struct ks_attributes *a)
{
    const struct ks_attribute *type = ks_attributes_find(a, KMIP_TAG_OBJECT_TYPE);
    const uint32_t is = type != NULL && type->value.type == KMIP_TYPE_ENUMERATION ? type->value.enumeration : 0;
    const char *half = is == KMIP_OBJECT_TYPE_PRIVATE_KEY  ? " private"
                       : is == KMIP_OBJECT_TYPE_PUBLIC_KEY ? " public"
                                                           : "";
    if (is != KMIP_OBJECT_TYPE_SYMMETRIC_KEY && half[0] == '\0') {
        table_add(table, words_text(WORDS_OBJECT_TYPE, is));
        return;
    }
    const char *algorithm = word_of(a, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, WORDS_CRYPTOGRAPHIC_ALGORITHM);
    const struct ks_attribute *length = ks_attributes_find(a, KMIP_TAG_CRYPTOGRAPHIC_LENGTH);
    char text[64];
    if (algorithm != NULL && length != NULL && length->value.type == KMIP_TYPE_INTEGER)
        snprintf(text, sizeof(text), "%s-%d%s", algorithm, length->value.integer, half);
    else
        snprintf(text, sizeof(text), "%s%s", algorithm != NULL ? algorithm : "Key", half);
    table_add(table, text);
}

static int
print_table(const struct ks_attributes_list *list)
{
    static const char *const columns[] = {"NAME", "IDENTIFIER", "STATE", "KIND", "CREATED"};
    KS_CLEANUP(table_done) struct table table = TABLE(columns);
    for (size_t i = 0; i < list->n; i++) {
        const struct ks_attributes *a = &list->v[i];
        const struct ks_attribute *created = ks_attributes_find(a, KMIP_TAG_INITIAL_DATE);
        table_add(&table, ks_attributes_name(a));
        table_add(&table, a->uid);
        table_add(&table, state_of(a));
        add_kind(&table, a);
        if (created != NULL && created->value.type == KMIP_TYPE_DATE_TIME)
            table_add_date(&table, created->value.number);
        else
            table_add(&table, NULL);
    }
    return table_print(&table);
}

static bool
any_failed(const struct ks_attributes_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->v[i].code != 0)
            return true;
    return false;
}

/* A server that does not like to be asked for what is Keystead's own is asked for the rest. */
static int
get_wanted(struct cli *cli, const struct ks_uids *uids, struct ks_attributes_list **ret)
{
    size_t n = KS_ARRAY_LEN(wanted);
    KS_CLEANUP(list_freep) struct ks_attributes_list *list = NULL;
    const int rc =
        ks_client_get_attributes_many(cli->client, &cli->call, uids->v, uids->n, wanted, n, &list, &cli->error);
    if (rc != 0 && !cli->error.answered)
        return rc;
    if (rc == 0 && !any_failed(list)) {
        *ret = list;
        list = NULL;
        return 0;
    }
    return ks_client_get_attributes_many(cli->client, &cli->call, uids->v, uids->n, wanted, n - 1, ret, &cli->error);
}

static int
run(struct cli *cli)
{
    struct ks_attribute v[MAX_FILTERS];
    struct ks_locate params = {.name = cli_value(cli, "name"), .attributes = v};
    int64_t limit = 0;
    int64_t offset = 0;
    KS_TRY(add_filters(cli, v, &params.n_attributes));
    KS_TRY(cli_number(cli, "limit", 1, INT32_MAX, 0, &limit));
    KS_TRY(cli_number(cli, "offset", 0, INT32_MAX, 0, &offset));
    params.maximum = (int32_t)limit;
    params.offset = (int32_t)offset;
    KS_CLEANUP(uids_freep) struct ks_uids *uids = NULL;
    KS_TRY(ks_client_locate(cli->client, &cli->call, &params, &uids, &cli->error));
    KS_CLEANUP(list_freep) struct ks_attributes_list *list = NULL;
    KS_TRY(get_wanted(cli, uids, &list));
    return cli->json ? print_json(list) : print_table(list);
}

static const struct cli_option options[] = {
    {"name", CLI_TEXT, "NAME", "with this name"},
    {"state", CLI_CHOICE, "pre-active|active|deactivated|compromised|destroyed|destroyed-compromised", "in this state"},
    {"type", CLI_CHOICE, "symmetric-key|private-key|public-key|secret-data|certificate|opaque-object", "of this type"},
    {"algorithm", CLI_TEXT, "ALGORITHM", "for this algorithm"},
    {"group", CLI_TEXT, "GROUP", "in this object group"},
    {"created-after", CLI_TEXT, "DATE", "created then or later"},
    {"created-before", CLI_TEXT, "DATE", "created then or earlier"},
    {"limit", CLI_TEXT, "N", "at most so many"},
    {"offset", CLI_TEXT, "N", "leaving out the first N"},
};

const struct cli_command cli_key_list = {
    .name = "key list",
    .args = "",
    .connects = true,
    .summary = "list objects that you may see",
    .examples = "  keystead key list\n"
                "  keystead key list --state active --algorithm aes\n"
                "  keystead key list --created-after 2026-01-01 --json\n",
    .options = options,
    .n_options = KS_ARRAY_LEN(options),
    .run = run,
};
