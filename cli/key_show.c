/* keystead key show: all attributes of an object; never its material. */
#include <stdio.h>

#include "base/text.h"
#include "cli/key.h"
#include "cli/output.h"

enum { TEXT_MAX = 65536 };

static void
attributes_freep(struct ks_attributes **attributes)
{
    ks_attributes_free(*attributes);
}

/* "Encrypt, Decrypt" */
static void
mask_text(uint32_t mask, struct ks_buf *ret)
{
    bool any = false;
    for (unsigned bit = 0; bit < 32; bit++) {
        const char *text = (mask >> bit & 1) != 0 ? words_text(WORDS_CRYPTOGRAPHIC_USAGE_MASK, 1U << bit) : NULL;
        if (text != NULL)
            (void)ks_buf_addf(ret, "%s%s", any ? ", " : "", text);
        any = any || text != NULL;
    }
}

static void
enumeration_text(const struct ks_value *value, struct ks_buf *ret)
{
    const char *text = ks_client_enum_name(value->tag, value->enumeration);
    if (text != NULL)
        (void)ks_buf_add_str(ret, text);
    else
        (void)ks_buf_addf(ret, "0x%08X", value->enumeration);
}

static void
date_text(int64_t seconds, struct ks_buf *ret)
{
    char text[KS_TIME_TEXT_LEN];
    output_time(seconds, text);
    if (text[0] != '\0')
        (void)ks_buf_add_str(ret, text);
    else
        (void)ks_buf_addf(ret, "%lld", (long long)seconds);
}

/* A value in words: "AES", "2026-11-24T06:57:42Z", "Name Value invoices, Name Type Uninterpreted Text String". */
static void
value_text(const struct ks_value *value, struct ks_buf *ret)
{
    switch (value->type) {
    case KMIP_TYPE_INTEGER:
        if (value->tag == KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK)
            mask_text((uint32_t)value->integer, ret);
        else
            (void)ks_buf_addf(ret, "%d", value->integer);
        break;
    case KMIP_TYPE_LONG_INTEGER:
        (void)ks_buf_addf(ret, "%lld", (long long)value->number);
        break;
    case KMIP_TYPE_DATE_TIME:
        date_text(value->number, ret);
        break;
    case KMIP_TYPE_DATE_TIME_EXTENDED:
        date_text(value->number / 1000000, ret);
        break;
    case KMIP_TYPE_ENUMERATION:
        enumeration_text(value, ret);
        break;
    case KMIP_TYPE_INTERVAL:
        (void)ks_buf_addf(ret, "%u s", value->enumeration);
        break;
    case KMIP_TYPE_BOOLEAN:
        (void)ks_buf_add_str(ret, value->boolean ? "yes" : "no");
        break;
    case KMIP_TYPE_STRUCTURE:
        for (size_t i = 0; i < value->n_fields; i++) {
            const char *name = ks_client_tag_name(value->fields[i].tag);
            (void)ks_buf_addf(ret, "%s%s ", i > 0 ? ", " : "", name != NULL ? name : "?");
            value_text(&value->fields[i], ret);
        }
        break;
    case KMIP_TYPE_TEXT_STRING:
        (void)ks_buf_add(ret, value->bytes.data, value->bytes.len);
        break;
    default:
        (void)ks_hex_add(ret, value->bytes.data, value->bytes.len);
        break;
    }
}

static const char *
attribute_name(const struct ks_attribute *attribute, char buffer[256])
{
    if (attribute->value.tag == KMIP_TAG_ATTRIBUTE) {
        snprintf(buffer, 256, "%s-%s", attribute->vendor, attribute->name);
        return buffer;
    }
    const char *name = ks_client_tag_name(attribute->value.tag);
    if (name == NULL)
        snprintf(buffer, 256, "0x%06X", attribute->value.tag);
    return name != NULL ? name : buffer;
}

/* A Name is shown as its text alone. */
static void
text_of(const struct ks_attribute *attribute, struct ks_buf *ret)
{
    const struct ks_value *value = &attribute->value;
    if (value->tag == KMIP_TAG_NAME && value->type == KMIP_TYPE_STRUCTURE && value->n_fields > 0)
        value = &value->fields[0];
    value_text(value, ret);
}

/* JSON with numbers as numbers and everything else as in the table. */
static void
add_json(struct json *json, const struct ks_attribute *attribute)
{
    char buffer[256];
    const struct ks_value *value = &attribute->value;
    json_open(json, NULL, '{');
    json_text(json, "attribute", attribute_name(attribute, buffer));
    if (attribute->index > 0)
        json_number(json, "index", attribute->index);
    if (value->type == KMIP_TYPE_INTEGER && value->tag != KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK) {
        json_number(json, "value", value->integer);
    } else if (value->type == KMIP_TYPE_LONG_INTEGER) {
        json_number(json, "value", value->number);
    } else if (value->type == KMIP_TYPE_INTERVAL) {
        json_number(json, "value", value->enumeration);
    } else if (value->type == KMIP_TYPE_BOOLEAN) {
        json_bool(json, "value", value->boolean);
    } else {
        KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(TEXT_MAX);
        text_of(attribute, &text);
        json_text(json, "value", ks_buf_cstr(&text));
    }
    json_close(json, '}');
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
        add_json(&json, &attributes->v[i]);
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
        text_of(&attributes->v[i], &text);
        table_add(&table, attribute_name(&attributes->v[i], buffer));
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
