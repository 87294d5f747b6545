/*
 * Attributes as people write and read them: "State", "cryptographic-length=256", "x-color=red".
 */
#pragma once

#include "cli/cli.h"
#include "cli/output.h"

/* A name that somebody typed: a standard one, "x-color", or "VENDOR:NAME". KS_E_INVALID, with the message set. */
int attribute_name(struct cli *cli, struct ks_arena *arena, struct ks_span text,
                   struct ks_attribute_name *ret) KS_MUST_CHECK;
/*
 * "NAME=VALUE". Enumerations and masks in words, dates as "2026-11-24" or with the time, intervals in seconds ("90s"),
 * bytes in hexadecimal. A structure but Name cannot be written so: KS_E_UNSUPPORTED.
 */
int attribute_parse(struct cli *cli, struct ks_arena *arena, const char *text, struct ks_attribute *ret) KS_MUST_CHECK;

/* The attribute's name; in buffer where it has none of its own. */
const char *attribute_label(const struct ks_attribute *attribute, char buffer[256]);
/* The value: "AES", "2026-11-24T06:57:42Z". A Name is its text alone. */
void attribute_text(const struct ks_attribute *attribute, struct ks_buf *ret);
/* {"attribute": ..., "value": ...} */
void attribute_json(struct json *json, const struct ks_attribute *attribute);
