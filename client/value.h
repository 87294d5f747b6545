/* Public values and attributes from the message model's, and back. */
#pragma once

#include <keystead/client.h>

#include "kmip/kmip.h"

/* Deep copies: bytes and fields go into the arena. KS_E_NOMEM, KS_E_INVALID (a type that has no such value). */
int client_value_from_item(const struct kmip_item *item, struct ks_arena *arena, struct ks_value *ret) KS_MUST_CHECK;
int client_item_from_value(const struct ks_value *value, struct ks_arena *arena, struct kmip_item **ret) KS_MUST_CHECK;

int client_attributes_from(const struct kmip_attrs *attrs, struct ks_arena *arena,
                           struct ks_attributes *ret) KS_MUST_CHECK;
/* Appends. Spans point to what the attribute points to. */
int client_attrs_append(struct ks_arena *arena, struct kmip_attrs *attrs,
                        const struct ks_attribute *attribute) KS_MUST_CHECK;
int client_refs_from(struct ks_arena *arena, const struct ks_attribute_name *names, size_t n,
                     struct kmip_attr_refs *ret) KS_MUST_CHECK;

/* The attributes that have a parameter of their own. */
int client_attrs_add_name(struct ks_arena *arena, struct kmip_attrs *attrs, const char *name) KS_MUST_CHECK;
int client_attrs_add_enum(struct ks_arena *arena, struct kmip_attrs *attrs, uint32_t tag, uint32_t value) KS_MUST_CHECK;
int client_attrs_add_int(struct ks_arena *arena, struct kmip_attrs *attrs, uint32_t tag, int32_t value) KS_MUST_CHECK;

/* A Unique Identifier as the request names it, and as text (KS_E_LIMIT, KS_E_MALFORMED: none that is text). */
static inline struct kmip_uid
client_uid(const char *text)
{
    return (struct kmip_uid){.type = KMIP_TYPE_TEXT_STRING, .text = ks_span_str(text)};
}
int client_uid_text(const struct kmip_uid *uid, char ret[KS_UID_SIZE]) KS_MUST_CHECK;

static inline struct ks_span
client_span(struct ks_bytes bytes)
{
    return KS_SPAN(bytes.data, bytes.len);
}
