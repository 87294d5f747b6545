/*
 * The walkers: one each for decoding, encoding, checking, comparing and printing any struct of spec/structs.def.
 */
#pragma once

#include "kmip/schema.h"
#include "kmip/wire.h"

/* The ways in which a sound message can fail to be what the specification asks for; each has its Result Reasons. */
enum kmip_misfit {
    KMIP_MISFIT_MESSAGE,         /* wrong type, missing, repeated or misplaced */
    KMIP_MISFIT_FIELD,           /* a field that the version does not have here */
    KMIP_MISFIT_TAG,             /* a tag that the version does not know */
    KMIP_MISFIT_ENUM,            /* an enumeration value that the version does not know */
    KMIP_MISFIT_ATTRIBUTE,       /* no such attribute in the version */
    KMIP_MISFIT_ATTRIBUTE_VALUE, /* the value is not as the attribute's has to be */
    KMIP_MISFIT_OPERATION,       /* no such operation in the version */
};

enum { KMIP_VERSION_ANY = -1 };

struct kmip_decoder {
    struct kmip_reader *r;
    struct ks_arena *arena;
    struct ks_diag *diag;     /* of complaints; the reader has its own */
    int version;              /* enum kmip_version; KMIP_VERSION_ANY until the header has told */
    bool strict;              /* requests: what is unknown is an error; else it is passed over */
    bool partial;             /* structures of attributes to search by may lack fields */
    bool unsupported;         /* the header named a version that is not ours */
    uint32_t reason;          /* Result Reason of the last complaint */
    struct ks_diag item_diag; /* of complaints about the current batch item */
};

/* diag->code is what counts of a fresh one: the texts need no clearing. */
void kmip_decoder_init(struct kmip_decoder *d, struct kmip_reader *r, struct ks_arena *arena, int version, bool strict,
                       struct ks_diag *diag);

/* The structure whose BEGIN was just read, up to and with its END. `base` is a zeroed struct of the schema. */
int kmip_decode_fields(struct kmip_decoder *d, const struct kmip_schema *schema, void *base) KS_MUST_CHECK;

/* Complains about the last item. Returns KS_E_MALFORMED (KS_E_UNSUPPORTED for an operation). */
int kmip_misfit(struct kmip_decoder *d, enum kmip_misfit what, const char *fmt, ...) KS_PRINTF(3, 4);

/* KS_E_NOMEM, with the reason in diag. */
int kmip_decode_no_memory(struct kmip_decoder *d);

/* Doubles an array in the arena when it is full: *array with n elements of `size` bytes. */
int kmip_decode_grow(struct kmip_decoder *d, void **array, size_t n, size_t size) KS_MUST_CHECK;

struct kmip_encoder {
    struct kmip_writer *w;
    enum kmip_version version;
    bool request; /* references go out as they came in: left out, a question for one attribute would be for all */
    struct ks_diag *diag;
};

/* The fields alone, without the structure around them. */
int kmip_encode_fields(struct kmip_encoder *e, const struct kmip_schema *schema, const void *base) KS_MUST_CHECK;
/* The whole, under the tag. */
int kmip_encode_struct(struct kmip_encoder *e, const struct kmip_schema *schema, uint32_t tag,
                       const void *base) KS_MUST_CHECK;

/* kmip/shape.c: attributes and references to them, in the forms that the versions have. `event` begins them. */
int kmip_attrs_decode(struct kmip_decoder *d, const struct kmip_field *field, const struct kmip_event *event,
                      struct kmip_attrs *ret) KS_MUST_CHECK;
int kmip_attrs_encode(struct kmip_encoder *e, const struct kmip_field *field,
                      const struct kmip_attrs *attrs) KS_MUST_CHECK;
int kmip_refs_decode(struct kmip_decoder *d, const struct kmip_field *field, const struct kmip_event *event,
                     struct kmip_attr_refs *ret) KS_MUST_CHECK;
int kmip_refs_encode(struct kmip_encoder *e, const struct kmip_field *field,
                     const struct kmip_attr_refs *refs) KS_MUST_CHECK;
int kmip_uid_decode(struct kmip_decoder *d, const struct kmip_event *event, struct kmip_uid *ret) KS_MUST_CHECK;
int kmip_uid_encode(struct kmip_encoder *e, uint32_t tag, const struct kmip_uid *uid) KS_MUST_CHECK;

/* How many values a member has: 0 or 1, or the length of an array or list. */
size_t kmip_field_count(const struct kmip_field *field, const void *base);

static inline const void *
kmip_field_at(const struct kmip_field *field, const void *base)
{
    return (const uint8_t *)base + field->at;
}

/* The item type of a KIND on the wire; 0 where there is not just one. */
static inline uint8_t
kmip_kind_type(uint8_t kind)
{
    static const uint8_t types[] = {
        [KMIP_KIND_INT] = KMIP_TYPE_INTEGER,        [KMIP_KIND_MASK] = KMIP_TYPE_INTEGER,
        [KMIP_KIND_LONG] = KMIP_TYPE_LONG_INTEGER,  [KMIP_KIND_BIG] = KMIP_TYPE_BIG_INTEGER,
        [KMIP_KIND_ENUM] = KMIP_TYPE_ENUMERATION,   [KMIP_KIND_BOOL] = KMIP_TYPE_BOOLEAN,
        [KMIP_KIND_TEXT] = KMIP_TYPE_TEXT_STRING,   [KMIP_KIND_BYTES] = KMIP_TYPE_BYTE_STRING,
        [KMIP_KIND_DATE] = KMIP_TYPE_DATE_TIME,     [KMIP_KIND_DATEX] = KMIP_TYPE_DATE_TIME_EXTENDED,
        [KMIP_KIND_INTERVAL] = KMIP_TYPE_INTERVAL,  [KMIP_KIND_ATTRS_T] = KMIP_TYPE_STRUCTURE,
        [KMIP_KIND_ATTRS_1] = KMIP_TYPE_STRUCTURE,  [KMIP_KIND_ATTRS_2] = KMIP_TYPE_STRUCTURE,
        [KMIP_KIND_REFS_1] = KMIP_TYPE_TEXT_STRING, [KMIP_KIND_PAYLOAD] = KMIP_TYPE_STRUCTURE,
        [KMIP_KIND_STRUCT] = KMIP_TYPE_STRUCTURE,   [KMIP_KIND_GROUP] = 0,
    };
    return types[kind];
}
