/*
 * The constants of KMIP 1.0 to 3.0: versions, item types, tags, enumeration values and mask bits.
 *
 * Made from the rows in keystead/spec/: KMIP_TAG_UNIQUE_IDENTIFIER, KMIP_STATE_ACTIVE,
 * KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT and so on.
 */
#ifndef KEYSTEAD_KMIP_H
#define KEYSTEAD_KMIP_H

enum kmip_version {
#define KMIP_VERSION(name, major, minor) KMIP_##name,
#include <keystead/spec/versions.def>
#undef KMIP_VERSION
    KMIP_VERSION_COUNT
};

enum kmip_type {
#define KMIP_TYPE(name, value, text, since, until) KMIP_TYPE_##name = (value),
#include <keystead/spec/types.def>
#undef KMIP_TYPE
};

enum kmip_tag {
#define KMIP_TAG(name, value, text, xml, set, since, until) KMIP_TAG_##name = (value),
#include <keystead/spec/tags.def>
#undef KMIP_TAG
};

/* One C enumeration for all values: sets are open (vendors add 8XXXXXXX), so members are plain uint32_t. */
enum {
#define KMIP_ENUM_SET(set, text)
#define KMIP_ENUM(set, name, value, text, xml, since, until) KMIP_##set##_##name = (int)(value),
#define KMIP_MASK_SET(set, text)
#define KMIP_MASK(set, name, value, text, xml, since, until) KMIP_##set##_##name = (int)(value),
#include <keystead/spec/enums.def>
#include <keystead/spec/masks.def>
#undef KMIP_ENUM_SET
#undef KMIP_ENUM
#undef KMIP_MASK_SET
#undef KMIP_MASK
};

#endif
