#include "kmip/schema.h"

#include <stddef.h>

#define SECRET KMIP_FIELD_SECRET
#define PARTIAL KMIP_FIELD_PARTIAL
#define KMIP_TAG_0 0

#define COUNT_FLAG(name, member) offsetof(struct kmip_##name, has_##member)
#define COUNT_SELF(name, member) KMIP_FIELD_NO_COUNT
#define COUNT_ONE(name, member, KIND) KMIP_FIELD_NO_COUNT
#define COUNT_OPT(name, member, KIND) KMIP_CAT(COUNT_, KMIP_OPT_##KIND)(name, member)
#define COUNT_MANY(name, member, KIND) offsetof(struct kmip_##name, n_##member)
#define COUNT_SOME(name, member, KIND) offsetof(struct kmip_##name, n_##member)
#define KMIP_OPT_STRUCT SELF

#define ROW(name, m, TAG, KIND, CARD, SINCE, UNTIL, FLAGS, is_alt, size, subschema)                                    \
    {.tag = KMIP_TAG_##TAG,                                                                                            \
     .at = offsetof(struct kmip_##name, m),                                                                            \
     .count_at = COUNT_##CARD(name, m, KIND),                                                                          \
     .member_size = (size),                                                                                            \
     .kind = KMIP_KIND_##KIND,                                                                                         \
     .card = KMIP_CARD_##CARD,                                                                                         \
     .since = KMIP_##SINCE,                                                                                            \
     .until = KMIP_##UNTIL,                                                                                            \
     .flags = (FLAGS),                                                                                                 \
     .alt = (is_alt),                                                                                                  \
     .sub = (subschema),                                                                                               \
     .member = #m},

#define SCHEMA(name, TAG) static const struct kmip_field fields_##name[] = {
#define F(name, m, TAG, KIND, CARD, SINCE, UNTIL, FLAGS)                                                               \
    ROW(name, m, TAG, KIND, CARD, SINCE, UNTIL, FLAGS, false, sizeof(KMIP_CT_##KIND), NULL)
#define ALT(name, m, TAG, KIND, CARD, SINCE, UNTIL, FLAGS)                                                             \
    ROW(name, m, TAG, KIND, CARD, SINCE, UNTIL, FLAGS, true, sizeof(KMIP_CT_##KIND), NULL)
#define FS(name, m, TAG, s, CARD, SINCE, UNTIL, FLAGS)                                                                 \
    ROW(name, m, TAG, STRUCT, CARD, SINCE, UNTIL, FLAGS, false, sizeof(void *), &kmip_schema_##s)
#define ALTS(name, m, TAG, s, CARD, SINCE, UNTIL, FLAGS)                                                               \
    ROW(name, m, TAG, STRUCT, CARD, SINCE, UNTIL, FLAGS, true, sizeof(void *), &kmip_schema_##s)
#define FG(name, m, s)                                                                                                 \
    {.at = offsetof(struct kmip_##name, m),                                                                            \
     .count_at = KMIP_FIELD_NO_COUNT,                                                                                  \
     .kind = KMIP_KIND_GROUP,                                                                                          \
     .until = KMIP_VERSION_COUNT - 1,                                                                                  \
     .sub = &kmip_schema_##s,                                                                                          \
     .member = #m},
#define FX(name, m, c_type)
/* The last row is no field: a struct without fields needs one for its table to be an array. */
#define END(name)                                                                                                      \
    {                                                                                                                  \
        .tag = 0                                                                                                       \
    }                                                                                                                  \
    }                                                                                                                  \
    ;                                                                                                                  \
    _Static_assert(KS_ARRAY_LEN(fields_##name) <= 64, "decoding marks the fields seen in 64 bits");
#include "kmip/spec/structs.def"
#undef SCHEMA
#undef F
#undef FS
#undef FG
#undef FX
#undef ALT
#undef ALTS
#undef END

#define F(name, member, TAG, KIND, CARD, SINCE, UNTIL, FLAGS)
#define FS(name, member, TAG, sub, CARD, SINCE, UNTIL, FLAGS)
#define FG(name, member, sub)
#define FX(name, member, c_type)
#define ALT(name, member, TAG, KIND, CARD, SINCE, UNTIL, FLAGS)
#define ALTS(name, member, TAG, sub, CARD, SINCE, UNTIL, FLAGS)
#define END(name)

#define SCHEMA(name_, TAG)                                                                                             \
    const struct kmip_schema kmip_schema_##name_ = {                                                                   \
        .name = #name_,                                                                                                \
        .tag = KMIP_TAG_##TAG,                                                                                         \
        .size = sizeof(struct kmip_##name_),                                                                           \
        .n_fields = KS_ARRAY_LEN(fields_##name_) - 1,                                                                  \
        .fields = fields_##name_,                                                                                      \
    };
#include "kmip/spec/structs.def"
#undef SCHEMA

#define SCHEMA(name, TAG) &kmip_schema_##name,
static const struct kmip_schema *const schemas[] = {
#include "kmip/spec/structs.def"
    NULL};
#undef SCHEMA

const struct kmip_schema *const *
kmip_schemas(size_t *ret_n)
{
    *ret_n = KS_ARRAY_LEN(schemas) - 1;
    return schemas;
}

bool
kmip_tag_is_secret(uint32_t tag)
{
    for (size_t i = 0; schemas[i] != NULL; i++)
        for (size_t j = 0; j < schemas[i]->n_fields; j++)
            if (schemas[i]->fields[j].tag == tag && (schemas[i]->fields[j].flags & KMIP_FIELD_SECRET) != 0)
                return true;
    return false;
}

const struct kmip_field *
kmip_schema_field(const struct kmip_schema *schema, uint32_t tag, int version)
{
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct kmip_field *f = &schema->fields[i];
        const struct kmip_field *in_group = f->kind == KMIP_KIND_GROUP ? kmip_schema_field(f->sub, tag, version) : NULL;
        if (in_group != NULL)
            return in_group;
        if (f->kind != KMIP_KIND_GROUP && f->tag == tag &&
            (version < 0 || kmip_field_in(f, (enum kmip_version)version)))
            return f;
    }
    return NULL;
}

bool
kmip_tag_has_field(uint32_t structure, uint32_t field)
{
    for (size_t i = 0; schemas[i] != NULL; i++)
        if (schemas[i]->tag == structure && (field == 0 || kmip_schema_field(schemas[i], field, -1) != NULL))
            return true;
    return false;
}
