#include "cli/attribute.h"

#include <ctype.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/words.h"
#include "kmip/kmip.h"

enum { TEXT_MAX = 65536 };

/* ---- Written ---- */

static const char *
copy(struct ks_arena *arena, struct ks_span text)
{
    return ks_arena_dup(arena, text.data, text.len); /* a NUL stands behind it */
}

int
attribute_name(struct cli *cli, struct ks_arena *arena, struct ks_span text, struct ks_attribute_name *ret)
{
    size_t n;
    const struct kmip_attr_rule *rules = kmip_attr_rules(&n);
    for (size_t i = 0; i < n; i++) {
        const char *name = kmip_tag_name(rules[i].tag);
        if (name != NULL && rules[i].tag != KMIP_TAG_ATTRIBUTE && words_same(name, text)) {
            *ret = (struct ks_attribute_name){.tag = rules[i].tag};
            return 0;
        }
    }
    /* Only x-... and VENDOR:NAME: what was mistyped is not to become an attribute of its own. */
    const uint8_t *colon = text.len != 0 ? memchr(text.data, ':', text.len) : NULL;
    const bool custom = text.len > 2 && (text.data[0] == 'x' || text.data[0] == 'X') && text.data[1] == '-';
    const size_t at = colon != NULL ? (size_t)(colon - text.data) : custom ? 1 : 0;
    if (at == 0 || at + 1 == text.len)
        return cli_fail(cli, KS_E_INVALID,
                        "'%.*s' is no attribute; write one of KMIP's (cryptographic-length), or your own: x-color, or "
                        "VENDOR:NAME",
                        (int)(text.len < 60 ? text.len : 60), (const char *)text.data);
    *ret = (struct ks_attribute_name){.tag = KMIP_TAG_ATTRIBUTE,
                                      .vendor = copy(arena, KS_SPAN(text.data, at)),
                                      .name = copy(arena, KS_SPAN(text.data + at + 1, text.len - at - 1))};
    return ret->vendor != NULL && ret->name != NULL ? 0 : KS_E_NOMEM;
}

static int
no_value(struct cli *cli, const char *text, const char *wanted)
{
    return cli_fail(cli, KS_E_INVALID, "'%.100s': the value has to be %s", text, wanted);
}

static int
parse_mask(struct ks_span value, uint32_t tag, uint32_t *ret)
{
    uint32_t mask = 0;
    for (size_t at = 0; at <= value.len;) {
        size_t end = at;
        uint32_t bit;
        while (end < value.len && value.data[end] != ',')
            end++;
        KS_TRY(words_find_of(tag, KS_SPAN(value.data + at, end - at), &bit));
        mask |= bit;
        at = end + 1;
    }
    *ret = mask;
    return 0;
}

static int
parse_date(struct ks_span value, int64_t *ret)
{
    char whole[48];
    const bool day = value.len == 10;
    if (value.len >= sizeof(whole) - 16)
        return KS_E_INVALID;
    snprintf(whole, sizeof(whole), "%.*s%s", (int)value.len, (const char *)value.data, day ? "T00:00:00Z" : "");
    return ks_time_parse(ks_span_str(whole), ret);
}

static int
parse_interval(struct ks_span value, uint32_t *ret)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    int64_t n, by = 1;
    for (size_t i = 0; i < KS_ARRAY_LEN(units); i++)
        if (value.len > 1 && value.data[value.len - 1] == (uint8_t)units[i].unit)
            by = units[i].seconds;
    const bool has_unit = value.len > 1 && isdigit(value.data[value.len - 1]) == 0;
    if (ks_parse_i64(KS_SPAN(value.data, value.len - has_unit), 0, UINT32_MAX / by, &n) != 0)
        return KS_E_INVALID;
    *ret = (uint32_t)(n * by);
    return 0;
}

static int
parse_name(struct ks_arena *arena, struct ks_span value, struct ks_value *ret)
{
    struct ks_value *fields = ks_arena_array(arena, 2, sizeof(*fields));
    if (fields == NULL)
        return KS_E_NOMEM;
    fields[0] =
        (struct ks_value){.tag = KMIP_TAG_NAME_VALUE, .type = KMIP_TYPE_TEXT_STRING, .bytes = {value.data, value.len}};
    fields[1] = (struct ks_value){.tag = KMIP_TAG_NAME_TYPE,
                                  .type = KMIP_TYPE_ENUMERATION,
                                  .enumeration = KMIP_NAME_TYPE_UNINTERPRETED_TEXT_STRING};
    ret->fields = fields;
    ret->n_fields = 2;
    return 0;
}

static int
parse_bytes(struct ks_arena *arena, struct ks_span value, struct ks_value *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(TEXT_MAX);
    struct ks_span kept;
    KS_TRY(ks_hex_decode(value, &bytes));
    KS_TRY(ks_arena_span(arena, ks_buf_span(&bytes), &kept));
    ret->bytes = (struct ks_bytes){kept.data, kept.len};
    return 0;
}

/* The value of a standard attribute, by the type that its row says. */
static int
parse_value(struct cli *cli, struct ks_arena *arena, const char *text, struct ks_span value, struct ks_value *ret)
{
    int64_t number;
    uint32_t word;
    switch (ret->type) {
    case KMIP_TYPE_INTEGER:
        if (kmip_tag_is_mask(ret->tag) && parse_mask(value, ret->tag, &word) == 0)
            number = (int32_t)word;
        else if (ks_parse_i64(value, INT32_MIN, INT32_MAX, &number) != 0)
            return no_value(cli, text, kmip_tag_is_mask(ret->tag) ? "a list: encrypt,decrypt" : "a number");
        ret->integer = (int32_t)number;
        return 0;
    case KMIP_TYPE_LONG_INTEGER:
        return ks_parse_i64(value, INT64_MIN, INT64_MAX, &ret->number) == 0 ? 0 : no_value(cli, text, "a number");
    case KMIP_TYPE_ENUMERATION:
        return words_find_of(ret->tag, value, &ret->enumeration) == 0
                   ? 0
                   : no_value(cli, text, "a word of the specification, as in: keystead key show");
    case KMIP_TYPE_BOOLEAN:
        ret->boolean = ks_span_is(value, "yes") || ks_span_is(value, "true");
        return ret->boolean || ks_span_is(value, "no") || ks_span_is(value, "false") ? 0
                                                                                     : no_value(cli, text, "yes or no");
    case KMIP_TYPE_INTERVAL:
        return parse_interval(value, &ret->enumeration) == 0 ? 0 : no_value(cli, text, "a time: 90s, 15m, 1h, 30d");
    case KMIP_TYPE_DATE_TIME:
        return parse_date(value, &ret->number) == 0 ? 0
                                                    : no_value(cli, text, "a date: 2026-11-24 or 2026-11-24T06:57:42Z");
    case KMIP_TYPE_BYTE_STRING:
    case KMIP_TYPE_BIG_INTEGER:
        return parse_bytes(arena, value, ret) == 0 ? 0 : no_value(cli, text, "bytes in hexadecimal");
    case KMIP_TYPE_STRUCTURE:
        if (ret->tag == KMIP_TAG_NAME)
            return parse_name(arena, value, ret);
        return cli_fail(cli, KS_E_UNSUPPORTED, "%s has parts, and is written by programs alone (libkeystead)",
                        ks_client_tag_name(ret->tag));
    default: /* text, and 3.0's references */
        ret->bytes = (struct ks_bytes){value.data, value.len};
        return 0;
    }
}

int
attribute_parse(struct cli *cli, struct ks_arena *arena, const char *text, struct ks_attribute *ret)
{
    const char *equals = strchr(text, '=');
    struct ks_attribute_name name = {0};
    if (equals == NULL)
        return cli_fail(cli, KS_E_INVALID, "'%.100s' is no attribute with a value; write NAME=VALUE", text);
    KS_TRY(attribute_name(cli, arena, KS_SPAN(text, equals - text), &name));
    const struct ks_span value = ks_span_str(equals + 1);
    *ret = (struct ks_attribute){.vendor = name.vendor, .name = name.name, .value.tag = name.tag};
    const struct kmip_attr_rule *rule = name.tag != KMIP_TAG_ATTRIBUTE ? kmip_attr_rule_find(name.tag) : NULL;
    ret->value.type = rule != NULL && rule->type != 0 ? rule->type : KMIP_TYPE_TEXT_STRING;
    return parse_value(cli, arena, text, value, &ret->value);
}

/* ---- Read ---- */

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

const char *
attribute_label(const struct ks_attribute *attribute, char buffer[256])
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
void
attribute_text(const struct ks_attribute *attribute, struct ks_buf *ret)
{
    const struct ks_value *value = &attribute->value;
    if (value->tag == KMIP_TAG_NAME && value->type == KMIP_TYPE_STRUCTURE && value->n_fields > 0)
        value = &value->fields[0];
    value_text(value, ret);
}

/* JSON with numbers as numbers and everything else as in the table. */
void
attribute_json(struct json *json, const struct ks_attribute *attribute)
{
    char buffer[256];
    const struct ks_value *value = &attribute->value;
    json_open(json, NULL, '{');
    json_text(json, "attribute", attribute_label(attribute, buffer));
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
        attribute_text(attribute, &text);
        json_text(json, "value", ks_buf_cstr(&text));
    }
    json_close(json, '}');
}
