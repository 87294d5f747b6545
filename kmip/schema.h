/* The rows of spec/structs.def as tables, for the walkers. */
#pragma once

#include "kmip/kmip.h"

enum kmip_kind {
    KMIP_KIND_INT,
    KMIP_KIND_MASK,
    KMIP_KIND_LONG,
    KMIP_KIND_BIG,
    KMIP_KIND_ENUM,
    KMIP_KIND_BOOL,
    KMIP_KIND_TEXT,
    KMIP_KIND_BYTES,
    KMIP_KIND_DATE,
    KMIP_KIND_DATEX,
    KMIP_KIND_INTERVAL,
    KMIP_KIND_UID,
    KMIP_KIND_ITEM,
    KMIP_KIND_ATTRS_T,
    KMIP_KIND_ATTRS_1,
    KMIP_KIND_ATTRS_2,
    KMIP_KIND_REFS_1,
    KMIP_KIND_REFS_2,
    KMIP_KIND_PAYLOAD,
    KMIP_KIND_STRUCT, /* FS */
    KMIP_KIND_GROUP,  /* FG */
};

enum kmip_card { KMIP_CARD_ONE, KMIP_CARD_OPT, KMIP_CARD_MANY, KMIP_CARD_SOME };

enum { KMIP_FIELD_SECRET = 1, KMIP_FIELD_PARTIAL = 2 };

#define KMIP_FIELD_NO_COUNT UINT16_MAX

struct kmip_field {
    uint32_t tag;
    uint16_t at;          /* offset of the member */
    uint16_t count_at;    /* offset of has_member or n_member; KMIP_FIELD_NO_COUNT: the member says it itself */
    uint16_t member_size; /* of one value: the element of an array */
    uint8_t kind, card;
    uint8_t since, until;
    uint8_t flags;
    bool alt;                      /* another form of the row above it */
    const struct kmip_schema *sub; /* STRUCT and GROUP */
    const char *member;
};

struct kmip_schema {
    const char *name;
    uint32_t tag; /* 0: none of its own */
    uint16_t size;
    uint16_t n_fields;
    const struct kmip_field *fields;
};

/* Every schema, for tests and tools. */
const struct kmip_schema *const *kmip_schemas(size_t *ret_n);

/* Whether the field exists in the version. */
static inline bool
kmip_field_in(const struct kmip_field *field, enum kmip_version version)
{
    return field->since <= version && version <= field->until;
}

/* Whether a tag carries secrets wherever it stands: some row of it has SECRET. */
bool kmip_tag_is_secret(uint32_t tag);

/* Whether a structure of that tag can have the field, in any version; field 0: whether the tag has rows at all. */
bool kmip_tag_has_field(uint32_t structure, uint32_t field);

/* The field of a tag in a version, or in any (-1); looks into groups as well. NULL where there is none. */
const struct kmip_field *kmip_schema_field(const struct kmip_schema *schema, uint32_t tag, int version);
