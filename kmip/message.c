/* Whole messages, and one encoding into another. */
#include "kmip/walk.h"

/* A failure that only a code tells about (a full buffer, say) gets its text here. */
static int
finish(int rc, struct ks_diag *diag)
{
    return rc == 0 ? 0 : ks_fail(diag, rc, "%s", ks_err_text(rc));
}

/* The one structure that the reader holds, into a struct of the schema; *ret is set as soon as there is one. */
static int
decode_message(struct kmip_decoder *d, const struct kmip_schema *schema, void **ret)
{
    struct kmip_event e;
    KS_TRY(kmip_reader_next(d->r, &e));
    if (e.kind != KMIP_BEGIN || e.item.tag != schema->tag)
        return kmip_misfit(d, KMIP_MISFIT_MESSAGE, "a %s is expected", kmip_tag_xml_name(schema->tag));
    void *message = ks_arena_alloc(d->arena, schema->size);
    if (message == NULL)
        return kmip_decode_no_memory(d);
    *ret = message;
    KS_TRY(kmip_decode_fields(d, schema, message));
    return kmip_reader_next(d->r, &e); /* trailing bytes */
}

int
kmip_request_read(struct kmip_reader *r, struct ks_arena *arena, struct kmip_request_message **ret,
                  struct ks_diag *diag)
{
    struct kmip_decoder d;
    void *message = NULL;
    kmip_decoder_init(&d, r, arena, KMIP_VERSION_ANY, true, diag);
    const int rc = decode_message(&d, &kmip_schema_request_message, &message);
    if (rc == 0 || rc == KS_E_UNSUPPORTED || (rc != KS_E_NOMEM && d.version != KMIP_VERSION_ANY))
        *ret = message;
    /* Of bytes that are no TTLV, 1.x says what it says of a message; 2.x has a word of its own (2.1: 11.46). */
    if (rc == KS_E_MALFORMED && message != NULL)
        ((struct kmip_request_message *)message)->reason = !r->failed ? d.reason
                                                           : d.version >= KMIP_V2_0
                                                               ? KMIP_RESULT_REASON_CODEC_ERROR
                                                               : KMIP_RESULT_REASON_INVALID_MESSAGE;
    return rc;
}

int
kmip_response_read(struct kmip_reader *r, struct ks_arena *arena, struct kmip_response_message **ret,
                   struct ks_diag *diag)
{
    struct kmip_decoder d;
    void *message = NULL;
    kmip_decoder_init(&d, r, arena, KMIP_VERSION_ANY, false, diag);
    const int rc = decode_message(&d, &kmip_schema_response_message, &message);
    if (rc == 0 || rc == KS_E_UNSUPPORTED)
        *ret = message;
    return rc;
}

int
kmip_request_decode(struct ks_span bytes, const struct kmip_limits *limits, struct ks_arena *arena,
                    struct kmip_request_message **ret, struct ks_diag *diag)
{
    struct kmip_ttlv_reader r;
    kmip_ttlv_reader_init(&r, bytes, limits, diag);
    return kmip_request_read(&r.base, arena, ret, diag);
}

int
kmip_response_decode(struct ks_span bytes, const struct kmip_limits *limits, struct ks_arena *arena,
                     struct kmip_response_message **ret, struct ks_diag *diag)
{
    struct kmip_ttlv_reader r;
    kmip_ttlv_reader_init(&r, bytes, limits, diag);
    return kmip_response_read(&r.base, arena, ret, diag);
}

static int
encode_message(const struct kmip_schema *schema, const struct kmip_protocol_version *number, const void *msg,
               struct kmip_writer *w, struct ks_diag *diag)
{
    struct kmip_encoder e = {.w = w, .request = schema == &kmip_schema_request_message, .diag = diag};
    if (number == NULL ||
        kmip_version_find(number->protocol_version_major, number->protocol_version_minor, &e.version) != 0)
        return ks_fail(diag, KS_E_UNSUPPORTED, "the header of the message has no protocol version that is supported");
    return finish(kmip_encode_struct(&e, schema, schema->tag, msg), diag);
}

int
kmip_request_write(const struct kmip_request_message *msg, struct kmip_writer *w, struct ks_diag *diag)
{
    const struct kmip_request_header *h = msg->request_header;
    return encode_message(&kmip_schema_request_message, h != NULL ? h->protocol_version : NULL, msg, w, diag);
}

int
kmip_response_write(const struct kmip_response_message *msg, struct kmip_writer *w, struct ks_diag *diag)
{
    const struct kmip_response_header *h = msg->response_header;
    return encode_message(&kmip_schema_response_message, h != NULL ? h->protocol_version : NULL, msg, w, diag);
}

int
kmip_request_encode(const struct kmip_request_message *msg, struct ks_buf *ret, struct ks_diag *diag)
{
    struct kmip_ttlv_writer w;
    kmip_ttlv_writer_init(&w, ret, diag);
    return kmip_request_write(msg, &w.base, diag);
}

int
kmip_response_encode(const struct kmip_response_message *msg, struct ks_buf *ret, struct ks_diag *diag)
{
    struct kmip_ttlv_writer w;
    kmip_ttlv_writer_init(&w, ret, diag);
    return kmip_response_write(msg, &w.base, diag);
}

int
kmip_dump(const struct kmip_schema *schema, enum kmip_version version, const void *from, bool show_secrets,
          struct ks_buf *ret, struct ks_diag *diag)
{
    struct kmip_text_writer w;
    kmip_outline_writer_init(&w, ret, show_secrets, diag);
    struct kmip_encoder e = {.w = &w.base, .version = version, .diag = diag};
    return finish(kmip_encode_struct(&e, schema, schema->tag, from), diag);
}

/* Encodings */

const char *
kmip_encoding_name(enum kmip_encoding encoding)
{
    static const char *const names[] = {[KMIP_ENCODING_TTLV] = "ttlv",
                                        [KMIP_ENCODING_JSON] = "json",
                                        [KMIP_ENCODING_XML] = "xml",
                                        [KMIP_ENCODING_OUTLINE] = "outline"};
    return names[encoding];
}

bool
kmip_encoding_guess(struct ks_span in, enum kmip_encoding *ret)
{
    if (in.len != 0 && (in.data[0] == 0x42 || in.data[0] == 0x54) && (in.len < 2 || in.data[1] < 0x20)) {
        *ret = KMIP_ENCODING_TTLV;
        return true;
    }
    size_t i = in.len >= 3 && memcmp(in.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (i < in.len && (in.data[i] == ' ' || in.data[i] == '\t' || in.data[i] == '\n' || in.data[i] == '\r'))
        i++;
    if (i == in.len || (in.data[i] != '{' && in.data[i] != '<'))
        return false;
    *ret = in.data[i] == '{' ? KMIP_ENCODING_JSON : KMIP_ENCODING_XML;
    return true;
}

int
kmip_ttlv_length(struct ks_span in, const struct kmip_limits *limits, size_t *ret, struct ks_diag *diag)
{
    static const char what[] = "the input ends inside the header of an item";
    if (in.len < 8)
        return ks_fail_at(diag, KS_E_MALFORMED, NULL, 0, "%s", what);
    if (in.data[0] != 0x42 && in.data[0] != 0x54)
        return ks_fail_at(diag, KS_E_MALFORMED, NULL, 0, "this is no TTLV: tags begin with 42 or 54");
    const size_t len = ks_be32(in.data + 4);
    const size_t padded = (len + 7) & ~(size_t)7;
    if (padded > limits->bytes - 8)
        return ks_fail_at(diag, KS_E_LIMIT, NULL, 4, "the message has %zu bytes; at most %zu are taken", padded + 8,
                          limits->bytes);
    *ret = padded + 8;
    return 0;
}

int
kmip_write_to(enum kmip_encoding encoding, bool show_secrets, struct kmip_any_writer *w, struct ks_buf *out,
              struct kmip_writer **ret, struct ks_diag *diag)
{
    switch (encoding) {
    case KMIP_ENCODING_TTLV:
        kmip_ttlv_writer_init(&w->ttlv, out, diag);
        *ret = &w->ttlv.base;
        return 0;
    case KMIP_ENCODING_JSON:
        kmip_json_writer_init(&w->text, out, diag);
        break;
    case KMIP_ENCODING_XML:
        kmip_xml_writer_init(&w->text, out, diag);
        break;
    case KMIP_ENCODING_OUTLINE:
        kmip_outline_writer_init(&w->text, out, show_secrets, diag);
        break;
    default:
        return ks_fail(diag, KS_E_INVALID, "no such encoding");
    }
    *ret = &w->text.base;
    return 0;
}

int
kmip_read_from(enum kmip_encoding encoding, struct ks_span in, const struct kmip_limits *limits, struct ks_arena *arena,
               struct kmip_any_reader *r, struct kmip_reader **ret, struct ks_diag *diag)
{
    switch (encoding) {
    case KMIP_ENCODING_TTLV:
        kmip_ttlv_reader_init(&r->ttlv, in, limits, diag);
        *ret = &r->ttlv.base;
        return 0;
    case KMIP_ENCODING_JSON:
        *ret = &r->text.base;
        return kmip_json_reader_init(&r->text, in, limits, arena, diag);
    case KMIP_ENCODING_XML:
        *ret = &r->text.base;
        return kmip_xml_reader_init(&r->text, in, limits, arena, diag);
    default:
        return ks_fail(diag, KS_E_INVALID, "an outline cannot be read");
    }
}

int
kmip_transcode(enum kmip_encoding from, struct ks_span in, enum kmip_encoding to, const struct kmip_limits *limits,
               struct ks_arena *arena, struct ks_buf *ret, struct ks_diag *diag)
{
    struct kmip_any_reader reader;
    struct kmip_any_writer writer;
    struct kmip_reader *r;
    struct kmip_writer *w;
    KS_TRY(kmip_write_to(to, false, &writer, ret, &w, diag));
    KS_TRY(kmip_read_from(from, in, limits, arena, &reader, &r, diag));
    return finish(kmip_pump(r, w), diag);
}

struct kmip_version_number
kmip_transcode_version(enum kmip_encoding from, struct ks_span in, const struct kmip_limits *limits,
                       struct ks_arena *arena)
{
    static const struct {
        uint8_t kind, type;
        uint32_t tag;
    } begins[] = {{KMIP_BEGIN, KMIP_TYPE_STRUCTURE, KMIP_TAG_REQUEST_MESSAGE},
                  {KMIP_BEGIN, KMIP_TYPE_STRUCTURE, KMIP_TAG_REQUEST_HEADER},
                  {KMIP_BEGIN, KMIP_TYPE_STRUCTURE, KMIP_TAG_PROTOCOL_VERSION},
                  {KMIP_LEAF, KMIP_TYPE_INTEGER, KMIP_TAG_PROTOCOL_VERSION_MAJOR},
                  {KMIP_LEAF, KMIP_TYPE_INTEGER, KMIP_TAG_PROTOCOL_VERSION_MINOR}};
    struct kmip_limits few = *limits;
    struct kmip_any_reader reader = {.text = {.n_events = 0}};
    struct kmip_reader *r;
    few.items = KS_ARRAY_LEN(begins);
    if ((from != KMIP_ENCODING_JSON && from != KMIP_ENCODING_XML) ||
        kmip_read_from(from, in, &few, arena, &reader, &r, NULL) == KS_E_NOMEM ||
        reader.text.n_events < KS_ARRAY_LEN(begins))
        return (struct kmip_version_number){0, 0};
    const struct kmip_event *e = reader.text.events;
    for (size_t i = 0; i < KS_ARRAY_LEN(begins); i++)
        if (e[i].kind != begins[i].kind || e[i].item.tag != begins[i].tag || e[i].item.type != begins[i].type)
            return (struct kmip_version_number){0, 0};
    return (struct kmip_version_number){e[3].item.i32, e[4].item.i32};
}
