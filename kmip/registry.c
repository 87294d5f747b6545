/* Names, operations and attribute rules: look-ups in the rows of keystead/spec/ and kmip/spec/. */
#include "kmip/kmip.h"
#include "kmip/registry_rows.h"
#include "kmip/schema.h"

#include "kmip_names.h" /* made by gen_names.c */

/* Tags come from two ranges; both together are small enough for arrays that a tag indexes. */
enum {
    SLOTS_STANDARD = 0x400, /* 0x420000 up */
    SLOTS_VENDOR = 0x100,   /* 0x540000 up */
    N_SLOTS = SLOTS_STANDARD + SLOTS_VENDOR,
};
#define TAG_SLOT(tag) ((tag) < 0x540000 ? (tag)-0x420000 : SLOTS_STANDARD + (tag)-0x540000)

/* The slot of any number; N_SLOTS where it can not be a tag. */
static size_t
tag_slot(uint32_t tag)
{
    if (tag >= 0x420000 && tag < 0x420000 + SLOTS_STANDARD)
        return TAG_SLOT(tag);
    if (tag >= 0x540000 && tag < 0x540000 + SLOTS_VENDOR)
        return TAG_SLOT(tag);
    return N_SLOTS;
}

enum {
#define KMIP_TAG(name, value, text, xml, set, since, until) TAG_ROW_##name,
#include <keystead/spec/tags.def>
#undef KMIP_TAG
};

/* Row + 1 by slot; 0: no such tag. */
static const uint16_t tag_row_at[N_SLOTS] = {
#define KMIP_TAG(name, value, text, xml, set, since, until) [TAG_SLOT(value)] = TAG_ROW_##name + 1,
#include <keystead/spec/tags.def>
#undef KMIP_TAG
};

/* The rows of set s in value_rows: AT_s up to, not including, AT of the set behind it. */
enum {
#define KMIP_ENUM_SET(set, xml) AT_##set, AT_REPEAT_##set = AT_##set - 1,
#define KMIP_ENUM(set, name, value, text, xml, since, until) VALUE_ROW_##set##_##name,
#define KMIP_MASK_SET KMIP_ENUM_SET
#define KMIP_MASK KMIP_ENUM
#include <keystead/spec/enums.def>
    AT_FIRST_MASK_,
    AT_REPEAT_FIRST_MASK_ = AT_FIRST_MASK_ - 1,
#include <keystead/spec/masks.def>
    AT_END
#undef KMIP_ENUM_SET
#undef KMIP_ENUM
#undef KMIP_MASK_SET
#undef KMIP_MASK
};
_Static_assert(AT_END == KS_ARRAY_LEN(value_rows), "sets and values disagree");

static const uint16_t values_at[SET_COUNT + 1] = {
#define KMIP_ENUM_SET(set, xml) [SET_##set] = AT_##set,
#define KMIP_ENUM(set, name, value, text, xml, since, until)
#define KMIP_MASK_SET KMIP_ENUM_SET
#define KMIP_MASK KMIP_ENUM
#include <keystead/spec/enums.def>
    [SET_FIRST_MASK_] = AT_FIRST_MASK_,
#include <keystead/spec/masks.def>
    [SET_COUNT] = AT_END,
#undef KMIP_ENUM_SET
#undef KMIP_ENUM
#undef KMIP_MASK_SET
#undef KMIP_MASK
};

static const struct tag_row *
find_tag(uint32_t tag)
{
    const size_t slot = tag_slot(tag);
    return slot < N_SLOTS && tag_row_at[slot] != 0 ? &tag_rows[tag_row_at[slot] - 1] : NULL;
}

static enum value_set
set_of_tag(uint32_t tag)
{
    const struct tag_row *row = find_tag(tag);
    return row != NULL ? (enum value_set)row->set : SET_NONE;
}

static bool
in_version(uint8_t since, uint8_t until, enum kmip_version version)
{
    return since <= (unsigned)version && (unsigned)version <= until;
}

/* The first row of the set with the value, or NULL; its other spellings follow it. */
static const struct value_row *
first_value(enum value_set set, uint32_t value)
{
    if (set == SET_NONE || set == SET_TAG)
        return NULL;
    size_t low = values_at[set], high = values_at[set + 1];
    const size_t end = high;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (value_rows[middle].value < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && value_rows[low].value == value ? &value_rows[low] : NULL;
}

static const struct value_row *
next_spelling(const struct value_row *row)
{
    const struct value_row *next = row + 1;
    return next < value_rows + N_VALUES && next->set == row->set && next->value == row->value ? next : NULL;
}

/* The row that names the value: the spelling that lives longest, the first of equals. */
static const struct value_row *
find_value(enum value_set set, uint32_t value)
{
    const struct value_row *best = first_value(set, value);
    for (const struct value_row *row = best; row != NULL; row = next_spelling(row))
        if (row->until > best->until)
            best = row;
    return best;
}

static bool
value_known(enum value_set set, uint32_t value, enum kmip_version version)
{
    for (const struct value_row *row = first_value(set, value); row != NULL; row = next_spelling(row))
        if (in_version(row->since, row->until, version))
            return true;
    return false;
}

static int
compare_name(struct ks_span name, const char *to)
{
    const size_t len = strlen(to), shorter = name.len < len ? name.len : len;
    const int c = shorter > 0 ? memcmp(name.data, to, shorter) : 0;
    return c != 0 ? c : (name.len > len) - (name.len < len);
}

static const char *
tag_name_at(size_t at)
{
    const struct tag_row *row = &tag_rows[tag_names[at] / 2];
    return tag_names[at] % 2 == 0 ? row->text : row->xml;
}

static const char *
value_name_at(size_t at)
{
    const struct value_row *row = &value_rows[value_names[at] / 2];
    return value_names[at] % 2 == 0 ? row->text : row->xml;
}

/* Binary search for the name in [low, high) of one of the two tables of names; SIZE_MAX: not there. */
static size_t
search_names(struct ks_span name, const char *(*name_at)(size_t), size_t low, size_t high)
{
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int c = compare_name(name, name_at(middle));
        if (c == 0)
            return middle;
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return SIZE_MAX;
}

const char *
kmip_tag_name(uint32_t tag)
{
    const struct tag_row *row = find_tag(tag);
    return row != NULL ? row->text : NULL;
}

const char *
kmip_tag_xml_name(uint32_t tag)
{
    const struct tag_row *row = find_tag(tag);
    return row != NULL ? row->xml : NULL;
}

int
kmip_tag_find(struct ks_span name, uint32_t *ret)
{
    const size_t at = search_names(name, tag_name_at, 0, KS_ARRAY_LEN(tag_names));
    if (at == SIZE_MAX)
        return KS_E_NOT_FOUND;
    *ret = tag_rows[tag_names[at] / 2].value;
    return 0;
}

bool
kmip_tag_known(uint32_t tag, enum kmip_version version)
{
    const struct tag_row *row = find_tag(tag);
    return row != NULL && in_version(row->since, row->until, version);
}

const char *
kmip_enum_name(uint32_t tag, uint32_t value)
{
    const enum value_set set = set_of_tag(tag);
    if (set == SET_TAG)
        return kmip_tag_name(value);
    const struct value_row *row = find_value(set, value);
    return row != NULL ? row->text : NULL;
}

const char *
kmip_enum_xml_name(uint32_t tag, uint32_t value)
{
    const enum value_set set = set_of_tag(tag);
    if (set == SET_TAG)
        return kmip_tag_xml_name(value);
    const struct value_row *row = find_value(set, value);
    return row != NULL ? row->xml : NULL;
}

int
kmip_enum_find(uint32_t tag, struct ks_span name, uint32_t *ret)
{
    const enum value_set set = set_of_tag(tag);
    if (set == SET_TAG)
        return kmip_tag_find(name, ret);
    const size_t at = search_names(name, value_name_at, value_names_at[set], value_names_at[set + 1]);
    if (at == SIZE_MAX)
        return KS_E_NOT_FOUND;
    *ret = value_rows[value_names[at] / 2].value;
    return 0;
}

bool
kmip_enum_known(uint32_t tag, uint32_t value, enum kmip_version version)
{
    const enum value_set set = set_of_tag(tag);
    if (set == SET_NONE)
        return true;
    if (set == SET_TAG) /* 54XXXX is for the extensions of others as well */
        return kmip_tag_known(value, version) || value >> 16 == 0x54;
    if (set < SET_FIRST_MASK_)
        return value >> 28 == 8 || value_known(set, value, version);
    for (uint32_t bit = 1; bit != 0; bit <<= 1)
        if ((value & bit) != 0 && !value_known(set, bit, version))
            return false;
    return true;
}

bool
kmip_tag_is_mask(uint32_t tag)
{
    return set_of_tag(tag) > SET_FIRST_MASK_;
}

const char *
kmip_mask_xml_name(uint32_t tag, uint32_t bit)
{
    return kmip_tag_is_mask(tag) ? kmip_enum_xml_name(tag, bit) : NULL;
}

const char *
kmip_type_name(enum kmip_type type)
{
    switch (type) {
#define KMIP_TYPE(name, value, text, since, until)                                                                     \
    case KMIP_TYPE_##name:                                                                                             \
        return text;
#include <keystead/spec/types.def>
#undef KMIP_TYPE
    }
    return NULL;
}

static const struct kmip_operation operations[] = {
#define KMIP_OPERATION(NAME, value, text, request, response, since, until, flags)                                      \
    {value, text, &kmip_schema_##request, &kmip_schema_##response, KMIP_##since, KMIP_##until, flags},
#include "kmip/spec/ops.def"
#undef KMIP_OPERATION
};

const struct kmip_operation *
kmip_operations(size_t *ret_n)
{
    *ret_n = KS_ARRAY_LEN(operations);
    return operations;
}

/* The rows are in the order of their values. */
const struct kmip_operation *
kmip_operation_find(uint32_t value)
{
    size_t low = 0, high = KS_ARRAY_LEN(operations);
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (operations[middle].value == value)
            return &operations[middle];
        if (operations[middle].value < value)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

uint32_t
kmip_reason(enum kmip_condition condition, enum kmip_version version)
{
    static const uint32_t reasons[][5] = {
#define KMIP_REASON(NAME, r10, r14, r20, r21, r30)                                                                     \
    [KMIP_CONDITION_##NAME] = {KMIP_RESULT_REASON_##r10, KMIP_RESULT_REASON_##r14, KMIP_RESULT_REASON_##r20,           \
                               KMIP_RESULT_REASON_##r21, KMIP_RESULT_REASON_##r30},
#include "kmip/spec/reasons.def"
#undef KMIP_REASON
    };
    static const uint8_t column[KMIP_VERSION_COUNT] = {
        [KMIP_V1_0] = 0, [KMIP_V1_1] = 0, [KMIP_V1_2] = 0, [KMIP_V1_3] = 0,
        [KMIP_V1_4] = 1, [KMIP_V2_0] = 2, [KMIP_V2_1] = 3, [KMIP_V3_0] = 4,
    };
    return reasons[condition][column[version]];
}

/* The bare names of attrs.def. */
enum {
    KMIP_TYPE_ANY = 0,
    MULTI = KMIP_ATTR_MULTI,
    CLIENT_SETS = KMIP_ATTR_CLIENT_SETS,
    CLIENT_ASKS = KMIP_ATTR_CLIENT_ASKS,
    CLIENT_MODIFIES = KMIP_ATTR_CLIENT_MODIFIES,
    CLIENT_DELETES = KMIP_ATTR_CLIENT_DELETES,
    SERVER_SETS = KMIP_ATTR_SERVER_SETS,
    ALWAYS = KMIP_ATTR_ALWAYS,
    BY_NEW = KMIP_ATTR_BY_NEW,
    BY_CREATE = KMIP_ATTR_BY_CREATE,
    BY_CREATE_KEY_PAIR = KMIP_ATTR_BY_CREATE_KEY_PAIR,
    BY_REGISTER = KMIP_ATTR_BY_REGISTER,
    BY_DERIVE_KEY = KMIP_ATTR_BY_DERIVE_KEY,
    BY_CERTIFY = KMIP_ATTR_BY_CERTIFY,
    BY_RE_CERTIFY = KMIP_ATTR_BY_RE_CERTIFY,
    BY_RE_KEY = KMIP_ATTR_BY_RE_KEY,
    BY_RE_KEY_KEY_PAIR = KMIP_ATTR_BY_RE_KEY_KEY_PAIR,
    BY_ACTIVATE = KMIP_ATTR_BY_ACTIVATE,
    BY_REVOKE = KMIP_ATTR_BY_REVOKE,
    BY_DESTROY = KMIP_ATTR_BY_DESTROY,
    BY_ARCHIVE = KMIP_ATTR_BY_ARCHIVE,
    BY_RECOVER = KMIP_ATTR_BY_RECOVER,
    BY_ATTRIBUTES = KMIP_ATTR_BY_ATTRIBUTES,
    BY_USAGE_ALLOCATION = KMIP_ATTR_BY_USAGE_ALLOCATION,
    BY_ROTATE = KMIP_ATTR_BY_ROTATE,
};
#define ALL UINT32_MAX
#define CERTIFICATES (1u << KMIP_OBJECT_TYPE_CERTIFICATE)
#define PUBLIC_KEYS (1u << KMIP_OBJECT_TYPE_PUBLIC_KEY)
#define PRIVATE_KEYS (1u << KMIP_OBJECT_TYPE_PRIVATE_KEY)
#define OPAQUE_OBJECTS (1u << KMIP_OBJECT_TYPE_OPAQUE_OBJECT)
#define PGP_KEYS (1u << KMIP_OBJECT_TYPE_PGP_KEY)
#define SYMMETRIC_KEYS (1u << KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
#define SPLIT_KEYS (1u << KMIP_OBJECT_TYPE_SPLIT_KEY)
#define SECRET_DATA (1u << KMIP_OBJECT_TYPE_SECRET_DATA)
#define TEMPLATES (1u << KMIP_OBJECT_TYPE_TEMPLATE)
#define KEYS (SYMMETRIC_KEYS | PUBLIC_KEYS | PRIVATE_KEYS | SPLIT_KEYS | PGP_KEYS)
#define CRYPTOGRAPHIC (KEYS | CERTIFICATES | SECRET_DATA)

static const struct kmip_attr_rule attr_rules[] = {
#define KMIP_ATTR(TAG, type, since, until, flags, objects, implicit)                                                   \
    {KMIP_TAG_##TAG, KMIP_TYPE_##type, NULL, KMIP_##since, KMIP_##until, flags, objects, implicit},
#define KMIP_ATTR_STRUCT(TAG, schema, since, until, flags, objects, implicit)                                          \
    {KMIP_TAG_##TAG, KMIP_TYPE_STRUCTURE, &kmip_schema_##schema, KMIP_##since, KMIP_##until, flags, objects, implicit},
#include "kmip/spec/attrs.def"
#undef KMIP_ATTR
#undef KMIP_ATTR_STRUCT
};

enum {
#define KMIP_ATTR(TAG, type, since, until, flags, objects, implicit) ATTR_ROW_##TAG,
#define KMIP_ATTR_STRUCT(TAG, schema, since, until, flags, objects, implicit) ATTR_ROW_##TAG,
#include "kmip/spec/attrs.def"
#undef KMIP_ATTR
#undef KMIP_ATTR_STRUCT
};

/* Row + 1 by slot of the tag. */
static const uint8_t attr_rule_at[N_SLOTS] = {
#define KMIP_ATTR(TAG, type, since, until, flags, objects, implicit) [TAG_SLOT(KMIP_TAG_##TAG)] = ATTR_ROW_##TAG + 1,
#define KMIP_ATTR_STRUCT KMIP_ATTR
#include "kmip/spec/attrs.def"
#undef KMIP_ATTR
#undef KMIP_ATTR_STRUCT
};
_Static_assert(KS_ARRAY_LEN(attr_rules) < UINT8_MAX, "attr_rule_at needs wider elements");

/* By slot of the tag; 0: as in 2.x. */
static const uint32_t attr_objects_1[N_SLOTS] = {
#define KMIP_ATTR_1(TAG, objects) [TAG_SLOT(KMIP_TAG_##TAG)] = (objects),
#include "kmip/spec/attrs_1.def"
#undef KMIP_ATTR_1
};

bool
kmip_attr_applies(const struct kmip_attr_rule *rule, enum kmip_version version, uint32_t object_type)
{
    if (version < rule->since || version > rule->until || object_type >= 32)
        return false;
    const size_t slot = tag_slot(rule->tag);
    const uint32_t old = version < KMIP_V2_0 && slot < N_SLOTS ? attr_objects_1[slot] : 0;
    return ((old != 0 ? old : rule->objects) >> object_type & 1) != 0;
}

const struct kmip_attr_rule *
kmip_attr_rules(size_t *ret_n)
{
    *ret_n = KS_ARRAY_LEN(attr_rules);
    return attr_rules;
}

const struct kmip_attr_rule *
kmip_attr_rule_find(uint32_t tag)
{
    const size_t slot = tag_slot(tag);
    return slot < N_SLOTS && attr_rule_at[slot] != 0 ? &attr_rules[attr_rule_at[slot] - 1] : NULL;
}
