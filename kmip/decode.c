/* The decoder: events into any struct of spec/structs.def. */
#include <stdarg.h>
#include <stdio.h>

#include "kmip/walk.h"

void
kmip_decoder_init(struct kmip_decoder *d, struct kmip_reader *r, struct ks_arena *arena, int version, bool strict,
                  struct ks_diag *diag)
{
    d->r = r;
    d->arena = arena;
    d->diag = diag;
    d->version = version;
    d->strict = strict;
    d->partial = false;
    d->unsupported = false;
    d->reason = 0;
    d->item_diag.code = 0;
}

/* The Result Reason of each misfit: what 1.x has, and the finer one of 2.0 on (2.1, 9.19). */
static uint32_t
reason_of(enum kmip_misfit what, int version)
{
    static const uint32_t reasons[][2] = {
        [KMIP_MISFIT_MESSAGE] = {KMIP_RESULT_REASON_INVALID_MESSAGE, KMIP_RESULT_REASON_INVALID_MESSAGE},
        /* 1.x: an unknown field (1.4: 11.1). */
        [KMIP_MISFIT_FIELD] = {KMIP_RESULT_REASON_INVALID_FIELD, KMIP_RESULT_REASON_INVALID_MESSAGE},
        [KMIP_MISFIT_TAG] = {KMIP_RESULT_REASON_INVALID_FIELD, KMIP_RESULT_REASON_UNKNOWN_TAG},
        [KMIP_MISFIT_ENUM] = {KMIP_RESULT_REASON_INVALID_FIELD, KMIP_RESULT_REASON_UNKNOWN_ENUMERATION},
        [KMIP_MISFIT_ATTRIBUTE] = {KMIP_RESULT_REASON_INVALID_FIELD, KMIP_RESULT_REASON_INVALID_ATTRIBUTE},
        [KMIP_MISFIT_ATTRIBUTE_VALUE] = {KMIP_RESULT_REASON_INVALID_FIELD, KMIP_RESULT_REASON_INVALID_ATTRIBUTE_VALUE},
        [KMIP_MISFIT_OPERATION] = {KMIP_RESULT_REASON_OPERATION_NOT_SUPPORTED,
                                   KMIP_RESULT_REASON_OPERATION_NOT_SUPPORTED},
    };
    return reasons[what][version >= KMIP_V2_0];
}

int
kmip_misfit(struct kmip_decoder *d, enum kmip_misfit what, const char *fmt, ...)
{
    char message[sizeof(d->diag->message)];
    const int code = what == KMIP_MISFIT_OPERATION ? KS_E_UNSUPPORTED : KS_E_MALFORMED;
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt,
              args); /* NOLINT(clang-analyzer-valist.Uninitialized): started just above */
    va_end(args);
    d->reason = reason_of(what, d->version);
    return kmip_reader_complain(d->r, d->diag, code, "%s", message);
}

int
kmip_decode_no_memory(struct kmip_decoder *d)
{
    return kmip_reader_complain(d->r, d->diag, KS_E_NOMEM, "the message needs more memory than it may have");
}

int
kmip_decode_grow(struct kmip_decoder *d, void **array, size_t n, size_t size)
{
    enum { FIRST = 2 };
    if (n != 0 && (n < FIRST || (n & (n - 1)) != 0))
        return 0;
    void *more = ks_arena_array(d->arena, n == 0 ? FIRST : 2 * n, size);
    if (more == NULL)
        return kmip_decode_no_memory(d);
    if (n != 0)
        memcpy(more, *array, n * size);
    *array = more;
    return 0;
}

/* One struct being decoded. */
struct frame {
    const struct kmip_schema *schema;
    uint8_t *base;
    uint64_t seen;      /* a bit per field, counted through groups */
    uint32_t operation; /* PAYLOAD goes by it */
    bool has_operation;
    unsigned next; /* rows before this one were seen or passed; groups end the short way */
};

struct found {
    const struct kmip_field *field;
    unsigned bit;
    size_t at; /* of the group that it is in */
};

static bool
in_version(const struct kmip_field *f, int version)
{
    return version == KMIP_VERSION_ANY || kmip_field_in(f, (enum kmip_version)version);
}

static bool
scan(const struct kmip_schema *schema, uint32_t tag, int version, struct found *ret)
{
    for (unsigned i = 0; i < schema->n_fields; i++) {
        const struct kmip_field *f = &schema->fields[i];
        if (f->kind == KMIP_KIND_GROUP) {
            if (scan(f->sub, tag, version, ret)) {
                ret->at += f->at;
                return true;
            }
            continue;
        }
        if (f->tag == tag && in_version(f, version)) {
            ret->field = f;
            return true;
        }
        ret->bit++;
    }
    return false;
}

/* Fields come in the order of the rows, mostly: the search goes on where the last one ended. */
static bool
find(const struct kmip_decoder *d, struct frame *frame, uint32_t tag, struct found *ret)
{
    const struct kmip_schema *schema = frame->schema;
    for (unsigned i = frame->next; i < schema->n_fields; i++) {
        const struct kmip_field *f = &schema->fields[i];
        if (f->kind == KMIP_KIND_GROUP)
            break;
        if (f->tag == tag && in_version(f, d->version)) {
            *ret = (struct found){f, i, 0};
            frame->next = i;
            return true;
        }
    }
    *ret = (struct found){0};
    if (scan(schema, tag, d->version, ret))
        return true;
    *ret = (struct found){0};
    /* Servers may send what their version does not have yet. */
    return !d->strict && scan(schema, tag, KMIP_VERSION_ANY, ret);
}

static int
skip(struct kmip_decoder *d, const struct kmip_event *e)
{
    return e->kind == KMIP_BEGIN ? kmip_reader_unwind(d->r, d->r->depth - 1) : 0;
}

static int
unknown(struct kmip_decoder *d, const struct frame *frame, const struct kmip_event *e)
{
    const uint32_t tag = e->item.tag;
    const bool vendor = tag >> 16 == 0x54;
    struct found elsewhere = {0};
    if (!d->strict || d->version == KMIP_VERSION_ANY || (vendor && frame->schema == &kmip_schema_message_extension))
        return skip(d, e);
    if (scan(frame->schema, tag, KMIP_VERSION_ANY, &elsewhere))
        return kmip_misfit(d, KMIP_MISFIT_FIELD, "this version of KMIP does not have the field here");
    if (vendor || kmip_tag_known(tag, (enum kmip_version)d->version))
        return kmip_misfit(d, KMIP_MISFIT_FIELD, "the field does not belong here");
    return kmip_misfit(d, KMIP_MISFIT_TAG, "the tag is unknown in this version of KMIP");
}

static int
wrong_type(struct kmip_decoder *d, const struct kmip_event *e, uint8_t wanted)
{
    return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "%s is expected, not %s", kmip_type_name(wanted),
                       kmip_type_name(e->item.type));
}

static int
take_scalar(struct kmip_decoder *d, const struct kmip_field *f, const struct kmip_event *e, void *slot)
{
    const struct kmip_item *item = &e->item;
    switch (f->kind) {
    case KMIP_KIND_INT:
        *(int32_t *)slot = item->i32;
        return 0;
    case KMIP_KIND_MASK:
        *(uint32_t *)slot = (uint32_t)item->i32;
        return 0;
    case KMIP_KIND_LONG:
    case KMIP_KIND_DATE:
    case KMIP_KIND_DATEX:
        *(int64_t *)slot = item->i64;
        return 0;
    case KMIP_KIND_ENUM:
        /* An unknown operation has an answer of its own, given where the payload is. */
        if (d->strict && d->version != KMIP_VERSION_ANY && item->tag != KMIP_TAG_OPERATION &&
            !kmip_enum_known(item->tag, item->u32, (enum kmip_version)d->version))
            return kmip_misfit(d, KMIP_MISFIT_ENUM, "the value 0x%08X is unknown in this version of KMIP", item->u32);
        *(uint32_t *)slot = item->u32;
        return 0;
    case KMIP_KIND_INTERVAL:
        *(uint32_t *)slot = item->u32;
        return 0;
    case KMIP_KIND_BOOL:
        *(bool *)slot = item->b;
        return 0;
    default:
        *(struct ks_span *)slot = item->s;
        return 0;
    }
}

static int
take_payload(struct kmip_decoder *d, const struct frame *frame, const struct kmip_event *e, void *slot)
{
    const struct kmip_operation *op = frame->has_operation ? kmip_operation_find(frame->operation) : NULL;
    const bool request = e->item.tag == KMIP_TAG_REQUEST_PAYLOAD;
    const bool has = op != NULL && (d->version == KMIP_VERSION_ANY || !d->strict ||
                                    ((int)op->since <= d->version && d->version <= (int)op->until));
    if (!has) {
        if (!d->strict)
            return skip(d, e);
        if (!frame->has_operation)
            return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "the Operation comes before the payload");
        return kmip_misfit(d, KMIP_MISFIT_OPERATION, "the operation 0x%08X is not supported in this version of KMIP",
                           frame->operation);
    }
    const struct kmip_schema *schema = request ? op->request : op->response;
    void *payload = ks_arena_alloc(d->arena, schema->size);
    if (payload == NULL)
        return kmip_decode_no_memory(d);
    KS_TRY(kmip_decode_fields(d, schema, payload));
    *(void **)slot = payload;
    return 0;
}

/* The header's version rules all that follows it. */
static int
learn_version(struct kmip_decoder *d, const struct kmip_field *f, const void *sub)
{
    if (f->sub == &kmip_schema_protocol_version && d->version == KMIP_VERSION_ANY) {
        const struct kmip_protocol_version *v = sub;
        enum kmip_version version;
        if (kmip_version_find(v->protocol_version_major, v->protocol_version_minor, &version) == 0)
            d->version = (int)version;
        else
            d->unsupported = true;
        return 0;
    }
    if (d->unsupported && (f->sub == &kmip_schema_request_header || f->sub == &kmip_schema_response_header)) {
        d->reason = KMIP_RESULT_REASON_INVALID_MESSAGE;
        return kmip_reader_complain(d->r, d->diag, KS_E_UNSUPPORTED, "the protocol version is not supported");
    }
    return 0;
}

static int
take_struct(struct kmip_decoder *d, const struct kmip_field *f, void *slot)
{
    void *sub = ks_arena_alloc(d->arena, f->sub->size);
    if (sub == NULL)
        return kmip_decode_no_memory(d);
    *(void **)slot = sub;
    const bool request = f->sub == &kmip_schema_request_batch_item;
    if (d->version == KMIP_VERSION_ANY && (request || f->sub == &kmip_schema_response_batch_item))
        return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "the header comes before the batch items");
    if (!request || !d->strict) {
        KS_TRY(kmip_decode_fields(d, f->sub, sub));
        return learn_version(d, f, sub);
    }
    struct ks_diag *outer = d->diag;
    d->item_diag.code = 0;
    d->diag = &d->item_diag;
    const int rc = kmip_decode_fields(d, f->sub, sub);
    d->diag = outer;
    if (rc == KS_E_NOMEM)
        (void)kmip_decode_no_memory(d);
    return rc;
}

static int
take_item(struct kmip_decoder *d, const struct kmip_field *f, const struct kmip_event *e, void *slot)
{
    struct kmip_item *item;
    KS_TRY(kmip_reader_tree(d->r, e, d->arena, &item));
    item->secret = (f->flags & KMIP_FIELD_SECRET) != 0;
    *(struct kmip_item **)slot = item;
    return 0;
}

static int
take_one(struct kmip_decoder *d, struct frame *frame, const struct kmip_field *f, const struct kmip_event *e,
         void *slot)
{
    const uint8_t type = kmip_kind_type(f->kind);
    if (type != 0 && e->item.type != type)
        return wrong_type(d, e, type);
    switch (f->kind) {
    case KMIP_KIND_STRUCT:
        return take_struct(d, f, slot);
    case KMIP_KIND_PAYLOAD:
        return take_payload(d, frame, e, slot);
    case KMIP_KIND_ITEM:
        return take_item(d, f, e, slot);
    case KMIP_KIND_UID:
        return kmip_uid_decode(d, e, slot);
    case KMIP_KIND_ATTRS_T:
    case KMIP_KIND_ATTRS_1:
    case KMIP_KIND_ATTRS_2:
        return kmip_attrs_decode(d, f, e, slot);
    case KMIP_KIND_REFS_1:
    case KMIP_KIND_REFS_2:
        return kmip_refs_decode(d, f, e, slot);
    default:
        KS_TRY(take_scalar(d, f, e, slot));
        if (f->tag == KMIP_TAG_OPERATION && f->kind == KMIP_KIND_ENUM) {
            frame->operation = e->item.u32;
            frame->has_operation = true;
        }
        return 0;
    }
}

static bool
is_list(const struct kmip_field *f)
{
    return f->kind == KMIP_KIND_ATTRS_1 || f->kind == KMIP_KIND_REFS_1 || f->kind == KMIP_KIND_REFS_2;
}

static int
take_field(struct kmip_decoder *d, struct frame *frame, const struct kmip_event *e)
{
    struct found found;
    if (!find(d, frame, e->item.tag, &found))
        return unknown(d, frame, e);
    const struct kmip_field *f = found.field;
    uint8_t *base = frame->base + found.at;
    const uint64_t bit = (uint64_t)1 << found.bit;
    void *slot = base + f->at;
    if (f->card == KMIP_CARD_MANY || f->card == KMIP_CARD_SOME) {
        size_t *n = (size_t *)(void *)(base + f->count_at);
        KS_TRY(kmip_decode_grow(d, slot, *n, f->member_size));
        KS_TRY(take_one(d, frame, f, e, *(uint8_t **)slot + *n * f->member_size));
        ++*n;
    } else {
        if ((frame->seen & bit) != 0 && !is_list(f))
            return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "the field is there twice");
        KS_TRY(take_one(d, frame, f, e, slot));
        if (f->count_at != KMIP_FIELD_NO_COUNT)
            *(bool *)(base + f->count_at) = true;
    }
    frame->seen |= bit;
    return 0;
}

static int
check_required(struct kmip_decoder *d, const struct kmip_schema *schema, uint64_t seen, unsigned *bit)
{
    for (unsigned i = 0; i < schema->n_fields; i++) {
        const struct kmip_field *f = &schema->fields[i];
        if (f->kind == KMIP_KIND_GROUP) {
            KS_TRY(check_required(d, f->sub, seen, bit));
            continue;
        }
        /* Before the version is known, what every version has. */
        const bool always = f->since == 0 && f->until == KMIP_VERSION_COUNT - 1;
        const bool applies = d->version == KMIP_VERSION_ANY ? always : in_version(f, d->version);
        const bool missing = applies && !d->partial && (seen >> *bit & 1) == 0 &&
                             (f->card == KMIP_CARD_ONE || f->card == KMIP_CARD_SOME);
        ++*bit;
        if (missing)
            return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "%s is missing", kmip_tag_xml_name(f->tag));
    }
    return 0;
}

/* Keeps the first thing that is wrong with a batch item, for the server to answer that item with. */
static int
note_error(struct kmip_decoder *d, struct kmip_request_batch_item *item, int code)
{
    if (code == KS_E_NOMEM || d->r->failed)
        return code;
    if (item->payload_error == 0) {
        item->payload_error = code;
        item->payload_reason = d->reason;
        const struct ks_span text = ks_span_str(ks_diag_text(&d->item_diag));
        if (ks_arena_span(d->arena, text, &item->payload_message) != 0)
            return KS_E_NOMEM;
    }
    return 0;
}

int
kmip_decode_fields(struct kmip_decoder *d, const struct kmip_schema *schema, void *base)
{
    struct frame frame = {.schema = schema, .base = base};
    const unsigned depth = d->r->depth;
    const bool keeps_going = d->strict && schema == &kmip_schema_request_batch_item;
    struct kmip_event e;
    for (;;) {
        KS_TRY(kmip_reader_next(d->r, &e));
        if (e.kind == KMIP_END)
            break;
        const int rc = take_field(d, &frame, &e);
        if (rc == 0)
            continue;
        if (!keeps_going)
            return rc;
        KS_TRY(note_error(d, base, rc));
        KS_TRY(kmip_reader_unwind(d->r, depth));
    }
    unsigned bit = 0;
    int rc = check_required(d, schema, frame.seen, &bit);
    if (keeps_going) {
        struct kmip_request_batch_item *item = base;
        if (rc != 0)
            KS_TRY(note_error(d, item, rc));
        if (item->payload_error != 0)
            item->payload = NULL;
        rc = 0;
    }
    return rc;
}
