/*
 * The message structs: one struct kmip_<name> for each SCHEMA of spec/structs.def, whose grammar comment says which
 * members a row makes. Included by kmip/kmip.h alone, behind the types that the members have.
 *
 * A struct starts out all zero (ks_arena_alloc gives it so): nothing is present. Every struct ends in a filler, so
 * that one without fields has a size and `{0}` always means "nothing present".
 */
#pragma once

/* The C type of a KIND. */
#define KMIP_CT_INT int32_t
#define KMIP_CT_MASK uint32_t
#define KMIP_CT_LONG int64_t
#define KMIP_CT_BIG struct ks_span
#define KMIP_CT_ENUM uint32_t
#define KMIP_CT_BOOL bool
#define KMIP_CT_TEXT struct ks_span
#define KMIP_CT_BYTES struct ks_span
#define KMIP_CT_DATE int64_t
#define KMIP_CT_DATEX int64_t
#define KMIP_CT_INTERVAL uint32_t
#define KMIP_CT_UID struct kmip_uid
#define KMIP_CT_ITEM struct kmip_item *
#define KMIP_CT_ATTRS_T struct kmip_attrs
#define KMIP_CT_ATTRS_1 struct kmip_attrs
#define KMIP_CT_ATTRS_2 struct kmip_attrs
#define KMIP_CT_REFS_1 struct kmip_attr_refs
#define KMIP_CT_REFS_2 struct kmip_attr_refs
#define KMIP_CT_PAYLOAD void *

/* Whether an optional member of a KIND has a has_ beside it (FLAG), or says by itself that it is absent (SELF). */
#define KMIP_OPT_INT FLAG
#define KMIP_OPT_MASK FLAG
#define KMIP_OPT_LONG FLAG
#define KMIP_OPT_BIG FLAG
#define KMIP_OPT_ENUM FLAG
#define KMIP_OPT_BOOL FLAG
#define KMIP_OPT_TEXT FLAG
#define KMIP_OPT_BYTES FLAG
#define KMIP_OPT_DATE FLAG
#define KMIP_OPT_DATEX FLAG
#define KMIP_OPT_INTERVAL FLAG
#define KMIP_OPT_UID SELF
#define KMIP_OPT_ITEM SELF
#define KMIP_OPT_ATTRS_T SELF
#define KMIP_OPT_ATTRS_1 SELF
#define KMIP_OPT_ATTRS_2 SELF
#define KMIP_OPT_REFS_1 SELF
#define KMIP_OPT_REFS_2 SELF
#define KMIP_OPT_PAYLOAD SELF

#define KMIP_CAT_(a, b) a##b
#define KMIP_CAT(a, b) KMIP_CAT_(a, b)

#define KMIP_HAS_FLAG(member) bool has_##member;
#define KMIP_HAS_SELF(member)
#define KMIP_MEMBER_ONE(KIND, member) KMIP_CT_##KIND member;
#define KMIP_MEMBER_OPT(KIND, member)                                                                                  \
    KMIP_CT_##KIND member;                                                                                             \
    KMIP_CAT(KMIP_HAS_, KMIP_OPT_##KIND)(member)
#define KMIP_MEMBER_MANY(KIND, member)                                                                                 \
    KMIP_CT_##KIND *member;                                                                                            \
    size_t n_##member;
#define KMIP_MEMBER_SOME(KIND, member) KMIP_MEMBER_MANY(KIND, member)
#define KMIP_STRUCT_ONE(sub, member) struct kmip_##sub *member;
#define KMIP_STRUCT_OPT(sub, member) struct kmip_##sub *member;
#define KMIP_STRUCT_MANY(sub, member)                                                                                  \
    struct kmip_##sub **member;                                                                                        \
    size_t n_##member;
#define KMIP_STRUCT_SOME(sub, member) KMIP_STRUCT_MANY(sub, member)

/* clang-format off */
#define SCHEMA(name, TAG) struct kmip_##name {
#define F(name, member, TAG, KIND, CARD, SINCE, UNTIL, FLAGS) KMIP_MEMBER_##CARD(KIND, member)
#define FS(name, member, TAG, sub, CARD, SINCE, UNTIL, FLAGS) KMIP_STRUCT_##CARD(sub, member)
#define FG(name, member, sub) struct kmip_##sub member;
#define FX(name, member, c_type) c_type member;
#define ALT(name, member, TAG, KIND, CARD, SINCE, UNTIL, FLAGS)
#define ALTS(name, member, TAG, sub, CARD, SINCE, UNTIL, FLAGS)
#define END(name) uint8_t filler; };
/* clang-format on */
#include "kmip/spec/structs.def"
#undef SCHEMA
#undef F
#undef FS
#undef FG
#undef FX
#undef ALT
#undef ALTS
#undef END

/* The rows of each struct, for the walkers (kmip/schema.h). */
#define SCHEMA(name, TAG) extern const struct kmip_schema kmip_schema_##name;
#define F(name, member, TAG, KIND, CARD, SINCE, UNTIL, FLAGS)
#define FS(name, member, TAG, sub, CARD, SINCE, UNTIL, FLAGS)
#define FG(name, member, sub)
#define FX(name, member, c_type)
#define ALT(name, member, TAG, KIND, CARD, SINCE, UNTIL, FLAGS)
#define ALTS(name, member, TAG, sub, CARD, SINCE, UNTIL, FLAGS)
#define END(name)
#include "kmip/spec/structs.def"
#undef SCHEMA
#undef F
#undef FS
#undef FG
#undef FX
#undef ALT
#undef ALTS
#undef END
