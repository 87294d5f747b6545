/*
 * The rows of keystead/spec/ as tables. Included by registry.c, which looks things up in them, and by gen_names.c,
 * which sorts their names when Keystead is built.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <keystead/kmip.h>

/* Every set of values that a tag can carry; the sets of enums.def and masks.def in their order. */
enum value_set {
    SET_NONE,
    SET_TAG, /* the value is a tag */
#define KMIP_ENUM_SET(set, xml) SET_##set,
#define KMIP_ENUM(set, name, value, text, xml, since, until)
#include <keystead/spec/enums.def>
#undef KMIP_ENUM_SET
#undef KMIP_ENUM
    SET_FIRST_MASK_, /* no set: those behind are masks */
#define KMIP_MASK_SET(set, xml) SET_##set,
#define KMIP_MASK(set, name, value, text, xml, since, until)
#include <keystead/spec/masks.def>
#undef KMIP_MASK_SET
#undef KMIP_MASK
    SET_COUNT
};

struct tag_row {
    uint32_t value;
    const char *text, *xml;
    uint8_t set; /* enum value_set */
    uint8_t since, until;
};

static const struct tag_row tag_rows[] = {
#define KMIP_TAG(name, value, text, xml, set, since, until) {value, text, xml, SET_##set, KMIP_##since, KMIP_##until},
#include <keystead/spec/tags.def>
#undef KMIP_TAG
};
enum { N_TAGS = sizeof(tag_rows) / sizeof(tag_rows[0]) };

struct value_row {
    uint32_t value;
    const char *text, *xml;
    uint8_t set;
    uint8_t since, until;
};

static const struct value_row value_rows[] = {
#define KMIP_ENUM_SET(set, xml)
#define KMIP_ENUM(set, name, value, text, xml, since, until) {value, text, xml, SET_##set, KMIP_##since, KMIP_##until},
#include <keystead/spec/enums.def>
#undef KMIP_ENUM_SET
#undef KMIP_ENUM
#define KMIP_MASK_SET(set, xml)
#define KMIP_MASK(set, name, value, text, xml, since, until) {value, text, xml, SET_##set, KMIP_##since, KMIP_##until},
#include <keystead/spec/masks.def>
#undef KMIP_MASK_SET
#undef KMIP_MASK
};
enum { N_VALUES = sizeof(value_rows) / sizeof(value_rows[0]) };
