/* The rows of KMIP: against themselves, against the numbers of the specifications, and against the registry of
 * ../shared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmip/kmip.h"
#include "kmip/schema.h"

struct row {
    const char *set; /* "" for tags */
    uint32_t tag;    /* one that carries the set */
    uint32_t value;
    const char *text, *xml;
    enum kmip_version since, until;
    bool mask;
};

#define KMIP_TAG(name, value, text, xml, set, since, until)                                                            \
    {"", 0, value, text, xml, KMIP_##since, KMIP_##until, false},
#define KMIP_ENUM_SET(set, xml)
#define KMIP_ENUM(set, name, value, text, xml, since, until)                                                           \
    {#set, KMIP_TAG_##set, value, text, xml, KMIP_##since, KMIP_##until, false},
#define KMIP_MASK_SET(set, xml)
#define KMIP_MASK(set, name, value, text, xml, since, until)                                                           \
    {#set, KMIP_TAG_##set, value, text, xml, KMIP_##since, KMIP_##until, true},
static const struct row tags[] = {
#include <keystead/spec/tags.def>
};
#define KMIP_TAG_ITEM_TYPE KMIP_TAG_EXTENSION_TYPE /* no tag has the name of this set */
static const struct row values[] = {
#include <keystead/spec/enums.def>
#include <keystead/spec/masks.def>
};
#undef KMIP_TAG
#undef KMIP_ENUM_SET
#undef KMIP_ENUM
#undef KMIP_MASK_SET
#undef KMIP_MASK

static const char *const set_xml_names[][2] = {
#define KMIP_ENUM_SET(set, xml) {#set, xml},
#define KMIP_ENUM(set, name, value, text, xml, since, until)
#define KMIP_MASK_SET KMIP_ENUM_SET
#define KMIP_MASK KMIP_ENUM
#include <keystead/spec/enums.def>
#include <keystead/spec/masks.def>
#undef KMIP_ENUM_SET
#undef KMIP_ENUM
#undef KMIP_MASK_SET
#undef KMIP_MASK
};

static bool
is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/*
 * The name rule of the Profiles for XML and JSON (2.1: 5.1.1): parentheses and a mark before a word of two or more
 * letters, the second a small one, end a word; other marks become '_'; digits that begin the name go behind its first
 * word; every word begins with a capital.
 */
static void
xml_name_by_rule(const char *text, char *ret, size_t size)
{
    char spaced[256];
    size_t n = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        assert_true(n + 2 < sizeof(spaced));
        if (text[i] == '(' || text[i] == ')')
            spaced[n++] = ' ';
        else if (is_word(text[i]) || text[i] == ' ')
            spaced[n++] = text[i];
        else if (isalpha((unsigned char)text[i + 1]) && islower((unsigned char)text[i + 2]))
            spaced[n++] = ' ';
        else
            spaced[n++] = '_';
    }
    spaced[n] = '\0';
    size_t out = 0;
    bool first = true;
    for (char *save = NULL, *word = strtok_r(spaced, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        const size_t digits = first ? strspn(word, "0123456789") : 0;
        const size_t moved = word[digits] != '\0' ? digits : 0;
        assert_true(out + strlen(word) < size);
        const size_t at = out;
        for (const char *p = word + moved; *p != '\0'; p++)
            ret[out++] = *p;
        for (size_t i = 0; i < moved; i++)
            ret[out++] = word[i];
        ret[at] = (char)toupper((unsigned char)ret[at]);
        first = false;
    }
    ret[out] = '\0';
}

static void
xml_names_follow_the_published_rule(void **state)
{
    (void)state;
    char name[256];
    xml_name_by_rule("PKCS#11 Function", name, sizeof(name));
    assert_string_equal(name, "PKCS_11Function");
    xml_name_by_rule("3DES", name, sizeof(name));
    assert_string_equal(name, "DES3");
    for (size_t i = 0; i < KS_ARRAY_LEN(tags); i++) {
        xml_name_by_rule(tags[i].text, name, sizeof(name));
        assert_string_equal(name, tags[i].xml);
    }
    for (size_t i = 0; i < KS_ARRAY_LEN(values); i++) {
        xml_name_by_rule(values[i].text, name, sizeof(name));
        assert_string_equal(name, values[i].xml);
    }
}

static void
rows_are_sorted_and_live_for_some_version(void **state)
{
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(tags); i++) {
        assert_true(tags[i].since <= tags[i].until);
        if (i > 0)
            assert_true(tags[i - 1].value < tags[i].value);
    }
    for (size_t i = 0; i < KS_ARRAY_LEN(values); i++) {
        assert_true(values[i].since <= values[i].until);
        if (i > 0 && strcmp(values[i - 1].set, values[i].set) == 0)
            assert_true(values[i - 1].value <= values[i].value);
        if (values[i].mask)
            assert_true(values[i].value != 0 && (values[i].value & (values[i].value - 1)) == 0);
    }
}

static void
tags_are_found_by_number_and_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(tags); i++) {
        assert_string_equal(kmip_tag_name(tags[i].value), tags[i].text);
        assert_string_equal(kmip_tag_xml_name(tags[i].value), tags[i].xml);
        uint32_t tag = 0;
        assert_int_equal(kmip_tag_find(ks_span_str(tags[i].text), &tag), 0);
        assert_int_equal(tag, tags[i].value);
        tag = 0;
        assert_int_equal(kmip_tag_find(ks_span_str(tags[i].xml), &tag), 0);
        assert_int_equal(tag, tags[i].value);
        for (int v = 0; v < KMIP_VERSION_COUNT; v++)
            assert_int_equal(kmip_tag_known(tags[i].value, (enum kmip_version)v),
                             (int)tags[i].since <= v && v <= (int)tags[i].until);
    }
    static const uint32_t unknown[] = {0,        0x420000, 0x4203FF, 0x420400,  0x43FFFF,
                                       0x540000, 0x5400FF, 0x540100, UINT32_MAX};
    for (size_t i = 0; i < KS_ARRAY_LEN(unknown); i++) {
        assert_null(kmip_tag_name(unknown[i]));
        assert_null(kmip_tag_xml_name(unknown[i]));
        assert_false(kmip_tag_known(unknown[i], KMIP_V2_1));
    }
    static const char *const no_names[] = {"", "A", "Activation Dat", "Activation Date ", "activation date", "zzz"};
    for (size_t i = 0; i < KS_ARRAY_LEN(no_names); i++) {
        uint32_t tag = 7;
        assert_int_equal(kmip_tag_find(ks_span_str(no_names[i]), &tag), KS_E_NOT_FOUND);
        assert_int_equal(tag, 7);
    }
}

static void
values_are_found_by_number_and_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(values); i++) {
        const struct row *row = &values[i];
        uint32_t value = ~row->value;
        assert_int_equal(kmip_enum_find(row->tag, ks_span_str(row->text), &value), 0);
        assert_int_equal(value, row->value);
        value = ~row->value;
        assert_int_equal(kmip_enum_find(row->tag, ks_span_str(row->xml), &value), 0);
        assert_int_equal(value, row->value);
        /* The name by number is one that leads back, the row's own if it is the only spelling. */
        assert_int_equal(kmip_enum_find(row->tag, ks_span_str(kmip_enum_name(row->tag, row->value)), &value), 0);
        assert_int_equal(value, row->value);
        assert_int_equal(kmip_enum_find(row->tag, ks_span_str(kmip_enum_xml_name(row->tag, row->value)), &value), 0);
        assert_int_equal(value, row->value);
        assert_true(kmip_enum_known(row->tag, row->value, row->since));
        assert_true(kmip_enum_known(row->tag, row->value, row->until));
        assert_int_equal(kmip_tag_is_mask(row->tag), row->mask);
        if (row->mask)
            assert_non_null(kmip_mask_xml_name(row->tag, row->value));
    }
}

static void
the_spelling_that_lives_longest_names_a_value(void **state)
{
    (void)state;
    assert_string_equal(kmip_enum_name(KMIP_TAG_DIGITAL_SIGNATURE_ALGORITHM, 5), "SHA-256 with RSA Encryption");
    assert_string_equal(kmip_enum_name(KMIP_TAG_MASK_GENERATOR, 1), "MGF1");
    assert_string_equal(kmip_enum_name(KMIP_TAG_RESULT_REASON, KMIP_RESULT_REASON_NOT_AUTHORISED), "Not Authorised");
    assert_string_equal(kmip_enum_xml_name(KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, 2), "DES3");
    assert_string_equal(kmip_enum_name(KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, 2), "3DES");
}

static void
a_value_belongs_to_its_versions(void **state)
{
    (void)state;
    assert_true(kmip_enum_known(KMIP_TAG_OBJECT_TYPE, KMIP_OBJECT_TYPE_TEMPLATE, KMIP_V1_4));
    assert_false(kmip_enum_known(KMIP_TAG_OBJECT_TYPE, KMIP_OBJECT_TYPE_TEMPLATE, KMIP_V2_0));
    assert_false(kmip_enum_known(KMIP_TAG_OBJECT_TYPE, KMIP_OBJECT_TYPE_PGP_KEY, KMIP_V1_1));
    assert_true(kmip_enum_known(KMIP_TAG_OBJECT_TYPE, KMIP_OBJECT_TYPE_PGP_KEY, KMIP_V1_2));
    assert_false(kmip_enum_known(KMIP_TAG_STATE, 0, KMIP_V1_0));
    assert_false(kmip_enum_known(KMIP_TAG_STATE, 7, KMIP_V3_0));
    assert_true(kmip_enum_known(KMIP_TAG_STATE, 0x80000000, KMIP_V1_0)); /* an extension */
    assert_true(kmip_enum_known(KMIP_TAG_STATE, 0x8FFFFFFF, KMIP_V1_0));
    assert_false(kmip_enum_known(KMIP_TAG_STATE, 0x90000000, KMIP_V1_0));
    assert_true(kmip_enum_known(KMIP_TAG_OPAQUE_DATA_TYPE, 0x80000001, KMIP_V1_0));
    assert_false(kmip_enum_known(KMIP_TAG_OPAQUE_DATA_TYPE, 1, KMIP_V1_0));
    assert_true(kmip_enum_known(KMIP_TAG_BATCH_COUNT, 99, KMIP_V1_0)); /* has no set */
    assert_true(kmip_enum_known(KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, 0xC, KMIP_V1_0));
    assert_false(kmip_enum_known(KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, 0x800001, KMIP_V1_4));
    assert_true(kmip_enum_known(KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, 0x800001, KMIP_V2_0));
    assert_null(kmip_enum_name(KMIP_TAG_STATE, 7));
    assert_null(kmip_enum_name(KMIP_TAG_BATCH_COUNT, 1));
    assert_null(kmip_mask_xml_name(KMIP_TAG_STATE, 1));
    uint32_t value = 3;
    assert_int_equal(kmip_enum_find(KMIP_TAG_STATE, KS_LIT("AES"), &value), KS_E_NOT_FOUND);
    assert_int_equal(kmip_enum_find(KMIP_TAG_BATCH_COUNT, KS_LIT("Active"), &value), KS_E_NOT_FOUND);
    assert_int_equal(value, 3);
}

static void
an_attribute_reference_is_a_tag(void **state)
{
    (void)state;
    assert_string_equal(kmip_enum_name(KMIP_TAG_ATTRIBUTE_REFERENCE, KMIP_TAG_STATE), "State");
    uint32_t tag = 0;
    assert_int_equal(kmip_enum_find(KMIP_TAG_ATTRIBUTE_REFERENCE, KS_LIT("ObjectGroup"), &tag), 0);
    assert_int_equal(tag, KMIP_TAG_OBJECT_GROUP);
    assert_true(kmip_enum_known(KMIP_TAG_ATTRIBUTE_REFERENCE, KMIP_TAG_OBJECT_GROUP, KMIP_V2_1));
    assert_false(kmip_enum_known(KMIP_TAG_ATTRIBUTE_REFERENCE, KMIP_TAG_OBJECT_GROUP, KMIP_V3_0));
    assert_true(kmip_enum_known(KMIP_TAG_ATTRIBUTE_REFERENCE, 0x54FFFF, KMIP_V2_1));
}

static void
types_have_their_names(void **state)
{
    (void)state;
    assert_string_equal(kmip_type_name(KMIP_TYPE_DATE_TIME_EXTENDED), "DateTimeExtended");
    assert_null(kmip_type_name((enum kmip_type)0));
    assert_null(kmip_type_name((enum kmip_type)0x0F));
}

/*
 * Tags, values (each counted once) and mask bits in the tables of each specification. 2.0 and 2.1 have a bit more here:
 * Content Commitment, see masks.def.
 */
static const struct golden {
    enum kmip_version version;
    int tags, values, masks;
} golden[] = {
    {KMIP_V1_0, 161, 245, 22}, {KMIP_V1_1, 183, 271, 22}, {KMIP_V1_2, 211, 361, 22}, {KMIP_V1_3, 247, 536, 22},
    {KMIP_V1_4, 292, 608, 22}, {KMIP_V2_0, 337, 630, 34}, {KMIP_V2_1, 354, 644, 34}, {KMIP_V3_0, 393, 676, 33},
};

/* Whether the row is the first of its set with its value that the version has. */
static bool
counts(const struct row *rows, size_t i, enum kmip_version version)
{
    if (rows[i].since > version || version > rows[i].until)
        return false;
    for (size_t j = i; j > 0 && strcmp(rows[j - 1].set, rows[i].set) == 0 && rows[j - 1].value == rows[i].value; j--)
        if (rows[j - 1].since <= version && version <= rows[j - 1].until)
            return false;
    return true;
}

static bool
is_ours(const struct row *row)
{
    return row->set[0] == '\0' ? row->value >= 0x540000 : row->value >= 0x80000000;
}

/* PKCS#11 defines these two, the specification refers to it. */
static bool
is_pkcs11(const struct row *row)
{
    return strncmp(row->set, "PKCS_11_", 8) == 0;
}

static void
each_version_has_as_many_rows_as_its_specification(void **state)
{
    (void)state;
    for (size_t g = 0; g < KS_ARRAY_LEN(golden); g++) {
        struct golden n = {.version = golden[g].version};
        for (size_t i = 0; i < KS_ARRAY_LEN(tags); i++)
            n.tags += counts(tags, i, n.version) && !is_ours(&tags[i]);
        for (size_t i = 0; i < KS_ARRAY_LEN(values); i++) {
            if (!counts(values, i, n.version) || is_ours(&values[i]) || is_pkcs11(&values[i]))
                continue;
            *(values[i].mask ? &n.masks : &n.values) += 1;
        }
        assert_int_equal(n.tags, golden[g].tags);
        assert_int_equal(n.values, golden[g].values);
        assert_int_equal(n.masks, golden[g].masks);
    }
}

static void
fields_have_tags_that_their_versions_know(void **state)
{
    (void)state;
    size_t n = 0;
    const struct kmip_schema *const *schemas = kmip_schemas(&n);
    assert_true(n > 200);
    for (size_t i = 0; i < n; i++) {
        assert_true(schemas[i]->tag == 0 || kmip_tag_name(schemas[i]->tag) != NULL);
        for (size_t j = 0; j < schemas[i]->n_fields; j++) {
            const struct kmip_field *field = &schemas[i]->fields[j];
            if (field->kind == KMIP_KIND_GROUP) {
                assert_non_null(field->sub);
                continue;
            }
            assert_true(field->since <= field->until);
            for (int v = field->since; v <= field->until; v++)
                if (!kmip_tag_known(field->tag, (enum kmip_version)v))
                    fail_msg("%s.%s: version %d has no tag 0x%" PRIX32, schemas[i]->name, field->member, v, field->tag);
            if (field->kind == KMIP_KIND_MASK && !kmip_tag_is_mask(field->tag))
                fail_msg("%s.%s is no mask", schemas[i]->name, field->member);
            /* An enumeration has a set: a value of no set would be known always. */
            if (field->kind == KMIP_KIND_ENUM && kmip_enum_known(field->tag, 0x7FFFFFFF, KMIP_V2_1))
                fail_msg("%s.%s: no set", schemas[i]->name, field->member);
            if (field->kind == KMIP_KIND_STRUCT)
                assert_non_null(field->sub);
        }
    }
}

/* Two fields of one structure with the same tag in one version could not be told apart. */
static void
no_version_has_a_tag_twice_in_a_structure(void **state)
{
    (void)state;
    size_t n = 0;
    const struct kmip_schema *const *schemas = kmip_schemas(&n);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < schemas[i]->n_fields; j++)
            for (size_t k = 0; k < j; k++) {
                const struct kmip_field *a = &schemas[i]->fields[j], *b = &schemas[i]->fields[k];
                if (a->tag != 0 && a->tag == b->tag && a->since <= b->until && b->since <= a->until)
                    fail_msg("%s: %s and %s", schemas[i]->name, a->member, b->member);
            }
}

static void
operations_agree_with_their_enumeration(void **state)
{
    (void)state;
    size_t n = 0, n_rows = 0;
    const struct kmip_operation *operations = kmip_operations(&n);
    for (size_t i = 0; i < n; i++) {
        const struct kmip_operation *op = &operations[i];
        assert_ptr_equal(kmip_operation_find(op->value), op);
        assert_string_equal(kmip_enum_name(KMIP_TAG_OPERATION, op->value), op->name);
        assert_int_equal(op->request->tag, KMIP_TAG_REQUEST_PAYLOAD);
        assert_int_equal(op->response->tag, KMIP_TAG_RESPONSE_PAYLOAD);
        assert_int_equal((op->flags & KMIP_OP_VENDOR) != 0, op->value >= 0x80000000);
    }
    for (size_t i = 0; i < KS_ARRAY_LEN(values); i++) {
        if (values[i].tag != KMIP_TAG_OPERATION)
            continue;
        n_rows++;
        const struct kmip_operation *op = kmip_operation_find(values[i].value);
        assert_non_null(op);
        assert_int_equal(op->since, values[i].since);
        assert_int_equal(op->until, values[i].until);
    }
    assert_int_equal(n, n_rows);
    assert_null(kmip_operation_find(0));
    assert_null(kmip_operation_find(0x41));
    assert_null(kmip_operation_find(0x80000000));
    assert_null(kmip_operation_find(UINT32_MAX));
}

static void
attribute_rules_agree_with_tags_and_schemas(void **state)
{
    (void)state;
    size_t n = 0;
    const struct kmip_attr_rule *rules = kmip_attr_rules(&n);
    for (size_t i = 0; i < n; i++) {
        const struct kmip_attr_rule *rule = &rules[i];
        assert_ptr_equal(kmip_attr_rule_find(rule->tag), rule);
        for (int v = (int)rule->since; v <= (int)rule->until; v++)
            if (!kmip_tag_known(rule->tag, (enum kmip_version)v))
                fail_msg("%s: not a tag of version %d", kmip_tag_name(rule->tag), v);
        assert_int_equal(rule->type == KMIP_TYPE_STRUCTURE, rule->schema != NULL);
        if (rule->schema != NULL)
            assert_int_equal(rule->schema->tag, rule->tag);
        if (rule->type == KMIP_TYPE_ENUMERATION)
            assert_false(kmip_enum_known(rule->tag, 0x7FFFFFFF, KMIP_V2_1));
        assert_true(rule->type == 0 || kmip_type_name((enum kmip_type)rule->type) != NULL);
        assert_true((rule->flags & (KMIP_ATTR_CLIENT_SETS | KMIP_ATTR_SERVER_SETS)) != 0); /* someone can */
        assert_true(rule->objects != 0);
    }
    assert_null(kmip_attr_rule_find(KMIP_TAG_BATCH_COUNT));
    assert_null(kmip_attr_rule_find(0));
    assert_null(kmip_attr_rule_find(UINT32_MAX));
}

/*
 * As many attributes as the specifications have tables of rules, but for: the Vendor Attribute of 2.x, which has none,
 * and the 24 Certificate Attributes, with one table in 2.x and none in 1.4.
 */
static void
each_version_has_the_attributes_of_its_specification(void **state)
{
    (void)state;
    static const int counts_of[KMIP_VERSION_COUNT] = {33, 39, 43, 44, 75, 79, 86};
    size_t n = 0;
    const struct kmip_attr_rule *rules = kmip_attr_rules(&n);
    for (int v = 0; v < KMIP_V3_0; v++) {
        int known = 0;
        for (size_t i = 0; i < n; i++)
            known += (int)rules[i].since <= v && v <= (int)rules[i].until;
        assert_int_equal(known, counts_of[v]);
    }
}

static void
rules_say_what_their_tables_say(void **state)
{
    (void)state;
    const struct kmip_attr_rule *name = kmip_attr_rule_find(KMIP_TAG_NAME);
    assert_int_equal(name->flags,
                     KMIP_ATTR_MULTI | KMIP_ATTR_CLIENT_SETS | KMIP_ATTR_CLIENT_MODIFIES | KMIP_ATTR_CLIENT_DELETES);
    assert_int_equal(name->implicit, KMIP_ATTR_BY_RE_KEY | KMIP_ATTR_BY_RE_KEY_KEY_PAIR | KMIP_ATTR_BY_RE_CERTIFY);
    const struct kmip_attr_rule *of_state = kmip_attr_rule_find(KMIP_TAG_STATE);
    assert_int_equal(of_state->flags, KMIP_ATTR_SERVER_SETS | KMIP_ATTR_ALWAYS);
    const struct kmip_attr_rule *certificate_type = kmip_attr_rule_find(KMIP_TAG_CERTIFICATE_TYPE);
    assert_int_equal(certificate_type->objects, 1u << KMIP_OBJECT_TYPE_CERTIFICATE);
    const struct kmip_attr_rule *activation = kmip_attr_rule_find(KMIP_TAG_ACTIVATION_DATE);
    assert_int_equal(activation->implicit, KMIP_ATTR_BY_NEW | KMIP_ATTR_BY_ACTIVATE);
}

static void
reasons_exist_in_their_version(void **state)
{
    (void)state;
    for (int c = 0; c < KMIP_CONDITION_COUNT; c++)
        for (int v = 0; v < KMIP_VERSION_COUNT; v++) {
            const uint32_t reason = kmip_reason((enum kmip_condition)c, (enum kmip_version)v);
            if (!kmip_enum_known(KMIP_TAG_RESULT_REASON, reason, (enum kmip_version)v))
                fail_msg("condition %d: version %d has no reason 0x%" PRIX32, c, v, reason);
        }
    assert_int_equal(kmip_reason(KMIP_CONDITION_UNKNOWN_OBJECT, KMIP_V1_3), KMIP_RESULT_REASON_ITEM_NOT_FOUND);
    assert_int_equal(kmip_reason(KMIP_CONDITION_UNKNOWN_OBJECT, KMIP_V2_0), KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    assert_int_equal(kmip_reason(KMIP_CONDITION_WRONG_STATE, KMIP_V2_0), KMIP_RESULT_REASON_PERMISSION_DENIED);
    assert_int_equal(kmip_reason(KMIP_CONDITION_WRONG_STATE, KMIP_V2_1), KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    assert_int_equal(kmip_reason(KMIP_CONDITION_SENSITIVE, KMIP_V1_3), KMIP_RESULT_REASON_PERMISSION_DENIED);
    assert_int_equal(kmip_reason(KMIP_CONDITION_SENSITIVE, KMIP_V1_4), KMIP_RESULT_REASON_SENSITIVE);
}

/* Where our rows differ from the extracted registry of ../shared, and why. */
static const struct difference {
    const char *set; /* XML name of the set, "" for tags */
    const char *xml; /* "*": any of the set */
    const char *why;
} differences[] = {
    {"CryptographicUsageMask", "*", "the 3.0 extract has no mask tables; 3.0's test cases use the masks of 2.1"},
    {"ProtectionStorageMask", "*", "the 3.0 extract has no mask tables; 3.0's test cases use the masks of 2.1"},
    {"StorageStatusMask", "*", "the 3.0 extract has no mask tables"},
    {"MaskGenerator", "MGF1", "2.0 to 3.0 misspell it as MFG1 in the table and write MGF1 in the test cases"},
    {"SplitKeyMethod", "PolynomialSharingGF216", "the extract lost a superscript: 2^16"},
    {"SplitKeyMethod", "PolynomialSharingGF2_16", "the extract lost a superscript: 2^16"},
    {"SplitKeyMethod", "PolynomialSharingGF28", "the extract lost a superscript: 2^8"},
    {"SplitKeyMethod", "PolynomialSharingGF2_8", "the extract lost a superscript: 2^8"},
    {"ResultReason", "NotAuthorized", "a spelling of test cases beside Not Authorised"},
    {"PKCS_11Function", "*", "defined by PKCS#11, to which the specification refers"},
    {"PKCS_11ReturnCode", "*", "defined by PKCS#11, to which the specification refers"},
};
static bool difference_seen[KS_ARRAY_LEN(differences)];

static void
expect_difference(const char *set, const char *xml, const char *what)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(differences); i++)
        if (strcmp(differences[i].set, set) == 0 &&
            (strcmp(differences[i].xml, "*") == 0 || strcmp(differences[i].xml, xml) == 0)) {
            difference_seen[i] = true;
            return;
        }
    fail_msg("%s %s: %s", set[0] != '\0' ? set : "tag", xml, what);
}

static enum kmip_version
version_of(const json_t *text, enum kmip_version absent)
{
    if (text == NULL)
        return absent;
    int major = 0, minor = 0;
    assert_int_equal(sscanf(json_string_value(text), "%d.%d", &major, &minor), 2);
    static const int numbers[][2] = {
#define KMIP_VERSION(name, major_, minor_) {major_, minor_},
#include <keystead/spec/versions.def>
#undef KMIP_VERSION
    };
    for (int v = 0; v < KMIP_VERSION_COUNT; v++)
        if (numbers[v][0] == major && numbers[v][1] == minor)
            return (enum kmip_version)v;
    fail_msg("no version %d.%d", major, minor);
    return absent;
}

/* Compares one group of the registry (tags, or the values of a set) with the rows of that group, both ways. */
static void
compare_group(const char *set_xml, const json_t *group, const struct row *rows, size_t n)
{
    const char *key;
    json_t *entry;
    size_t found = 0;
    json_object_foreach((json_t *)(uintptr_t)group, key, entry)
    {
        const struct row *row = NULL;
        for (size_t i = 0; i < n && row == NULL; i++)
            if (strcmp(rows[i].xml, key) == 0)
                row = &rows[i];
        if (row == NULL) {
            expect_difference(set_xml, key, "no row");
            continue;
        }
        found++;
        const uint32_t value = (uint32_t)strtoul(json_string_value(json_object_get(entry, "value")), NULL, 16);
        if (row->value != value || row->since != version_of(json_object_get(entry, "since"), KMIP_V1_0) ||
            row->until != version_of(json_object_get(entry, "until"), KMIP_V3_0))
            expect_difference(set_xml, key, "another value or other versions");
    }
    if (set_xml[0] == '\0' || group != NULL)
        assert_true(found > 0);
    for (size_t i = 0; i < n; i++)
        if (!is_ours(&rows[i]) && json_object_get(group, rows[i].xml) == NULL)
            expect_difference(set_xml, rows[i].xml, "not in the registry");
}

static json_t *
load_registry(void)
{
    const char *shared = getenv("KEYSTEAD_SHARED"), *source = getenv("KEYSTEAD_SOURCE");
    char path[4096];
    const int len = shared != NULL ? snprintf(path, sizeof(path), "%s/kmipconf/kmip_registry.json", shared)
                                   : snprintf(path, sizeof(path), "%s/../shared/kmipconf/kmip_registry.json",
                                              source != NULL ? source : ".");
    assert_true(len > 0 && (size_t)len < sizeof(path));
    json_error_t error;
    json_t *registry = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (registry == NULL)
        print_message("%s: %s; not compared with it (KEYSTEAD_SHARED names the folder)\n", path, error.text);
    return registry;
}

static void
rows_are_those_of_the_shared_registry(void **state)
{
    (void)state;
    json_t *registry = load_registry();
    if (registry == NULL)
        skip();
    compare_group("", json_object_get(registry, "tags"), tags, KS_ARRAY_LEN(tags));
    size_t n_sets = 0;
    for (size_t s = 0; s < KS_ARRAY_LEN(set_xml_names); s++) {
        size_t first = 0, n = 0;
        while (first < KS_ARRAY_LEN(values) && strcmp(values[first].set, set_xml_names[s][0]) != 0)
            first++;
        while (first + n < KS_ARRAY_LEN(values) && strcmp(values[first + n].set, set_xml_names[s][0]) == 0)
            n++;
        if (n == 0)
            continue;
        const char *kind = values[first].mask ? "masks" : "enums";
        const json_t *group = json_object_get(json_object_get(registry, kind), set_xml_names[s][1]);
        n_sets += group != NULL;
        compare_group(set_xml_names[s][1], group, values + first, n);
    }
    assert_int_equal(n_sets, json_object_size(json_object_get(registry, "enums")) +
                                 json_object_size(json_object_get(registry, "masks")));
    for (size_t i = 0; i < KS_ARRAY_LEN(differences); i++)
        if (!difference_seen[i])
            fail_msg("%s %s: no difference any more", differences[i].set, differences[i].xml);
    json_decref(registry);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xml_names_follow_the_published_rule),
        cmocka_unit_test(rows_are_sorted_and_live_for_some_version),
        cmocka_unit_test(tags_are_found_by_number_and_by_name),
        cmocka_unit_test(values_are_found_by_number_and_by_name),
        cmocka_unit_test(the_spelling_that_lives_longest_names_a_value),
        cmocka_unit_test(a_value_belongs_to_its_versions),
        cmocka_unit_test(an_attribute_reference_is_a_tag),
        cmocka_unit_test(types_have_their_names),
        cmocka_unit_test(each_version_has_as_many_rows_as_its_specification),
        cmocka_unit_test(fields_have_tags_that_their_versions_know),
        cmocka_unit_test(no_version_has_a_tag_twice_in_a_structure),
        cmocka_unit_test(operations_agree_with_their_enumeration),
        cmocka_unit_test(attribute_rules_agree_with_tags_and_schemas),
        cmocka_unit_test(each_version_has_the_attributes_of_its_specification),
        cmocka_unit_test(rules_say_what_their_tables_say),
        cmocka_unit_test(reasons_exist_in_their_version),
        cmocka_unit_test(rows_are_those_of_the_shared_registry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
