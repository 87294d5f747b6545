/*
 * Readers and writers: every encoding of KMIP as the same stream of events, and item trees as one more.
 *
 *     BEGIN RequestMessage, BEGIN RequestHeader, LEAF MaximumResponseSize 4096, END, ..., END, DONE
 *
 * A reader checks everything that the encoding asks for and every limit; what comes out of it is sound. A reader
 * reads one message and refuses trailing bytes. After an error it stays failed.
 */
#pragma once

#include "kmip/kmip.h"

/* No message nests deeper, whatever the limits say: readers and writers keep one step per level in themselves. */
enum { KMIP_DEPTH_MAX = 64 };

enum kmip_event_kind { KMIP_BEGIN, KMIP_LEAF, KMIP_END, KMIP_DONE };

struct kmip_event {
    enum kmip_event_kind kind;
    size_t offset;         /* of the item in the input */
    struct kmip_item item; /* BEGIN: tag and type; LEAF: the value too */
};

struct kmip_reader {
    int (*next)(struct kmip_reader *r, struct kmip_event *ret);
    struct kmip_limits limits;
    struct ks_diag *diag;
    bool failed;   /* the input is at fault, not what was made of it: nothing more can be read */
    size_t offset; /* of the item that the last event was about */
    size_t n_items;
    unsigned depth; /* structures open */
    enum { KMIP_AT_OPEN, KMIP_AT_LEAF, KMIP_AT_CLOSED } at;
    /* step[d]: the structure open at depth d, and which of its children came last. */
    struct kmip_step {
        uint32_t tag, index; /* index: how many neighbours of the same tag came before it */
        uint32_t last_tag, last_index;
        size_t offset; /* of the structure */
    } step[KMIP_DEPTH_MAX + 1];
};

/* For readers: the base part, and the book-keeping of one item, of entering one and of leaving one. */
void kmip_reader_init(struct kmip_reader *r, int (*next)(struct kmip_reader *, struct kmip_event *),
                      const struct kmip_limits *limits, struct ks_diag *diag);
int kmip_reader_item(struct kmip_reader *r, uint32_t tag, size_t offset) KS_MUST_CHECK;
int kmip_reader_enter(struct kmip_reader *r) KS_MUST_CHECK;
void kmip_reader_leave(struct kmip_reader *r);

/* The path of the item that the last event was about. */
void kmip_reader_path(const struct kmip_reader *r, char *ret, size_t size);

/* Reports the input as unsound at the offset; for readers. */
int kmip_reader_fail(struct kmip_reader *r, int code, size_t offset, const char *fmt, ...) KS_PRINTF(4, 5);

/* Reports, to diag, something about the item of the last event; the reader can go on. */
int kmip_reader_complain(const struct kmip_reader *r, struct ks_diag *diag, int code, const char *fmt, ...)
    KS_PRINTF(4, 5);

#ifdef __clang_analyzer__
#define kmip_reader_fail(...) ks_fail_not_zero(kmip_reader_fail(__VA_ARGS__))
#define kmip_reader_complain(...) ks_fail_not_zero(kmip_reader_complain(__VA_ARGS__))
#endif

static inline int
kmip_reader_next(struct kmip_reader *r, struct kmip_event *ret)
{
    return r->next(r, ret);
}

/* Reads on until `depth` structures are open: passes over what is left of the deeper ones. */
int kmip_reader_unwind(struct kmip_reader *r, unsigned depth) KS_MUST_CHECK;

/* The item that the event begins, with everything in it. Spans point to where the reader's do. */
int kmip_reader_tree(struct kmip_reader *r, const struct kmip_event *event, struct ks_arena *arena,
                     struct kmip_item **ret) KS_MUST_CHECK;

struct kmip_ttlv_reader {
    struct kmip_reader base;
    struct ks_span in;
    size_t pos;
    size_t end[KMIP_DEPTH_MAX + 1];
};
/* Values are spans into the input. */
void kmip_ttlv_reader_init(struct kmip_ttlv_reader *r, struct ks_span in, const struct kmip_limits *limits,
                           struct ks_diag *diag);

/* An item tree as events. Offsets count items. */
struct kmip_item_reader {
    struct kmip_reader base;
    const struct kmip_item *next[KMIP_DEPTH_MAX + 1];
    bool done;
};
void kmip_item_reader_init(struct kmip_item_reader *r, const struct kmip_item *item, struct ks_diag *diag);

/*
 * JSON and XML are parsed whole, into events in the arena (values that need unescaping as well), and then handed out.
 */
struct kmip_text_reader {
    struct kmip_reader base;
    struct ks_arena *arena;
    struct kmip_event *events;
    size_t n_events, next_event;
    uint32_t value_tag[KMIP_DEPTH_MAX + 2]; /* per depth: the attribute that AttributeName named */
};
int kmip_json_reader_init(struct kmip_text_reader *r, struct ks_span in, const struct kmip_limits *limits,
                          struct ks_arena *arena, struct ks_diag *diag) KS_MUST_CHECK;
int kmip_xml_reader_init(struct kmip_text_reader *r, struct ks_span in, const struct kmip_limits *limits,
                         struct ks_arena *arena, struct ks_diag *diag) KS_MUST_CHECK;

struct kmip_writer {
    int (*begin)(struct kmip_writer *w, uint32_t tag);
    int (*leaf)(struct kmip_writer *w, const struct kmip_item *item);
    int (*end)(struct kmip_writer *w);
    struct ks_diag *diag;
    unsigned depth;
};

static inline int
kmip_writer_begin(struct kmip_writer *w, uint32_t tag)
{
    return w->begin(w, tag);
}

static inline int
kmip_writer_leaf(struct kmip_writer *w, const struct kmip_item *item)
{
    return w->leaf(w, item);
}

static inline int
kmip_writer_end(struct kmip_writer *w)
{
    return w->end(w);
}

struct kmip_ttlv_writer {
    struct kmip_writer base;
    struct ks_buf *out;
    size_t at[KMIP_DEPTH_MAX + 1]; /* where the value of each open structure begins */
};
void kmip_ttlv_writer_init(struct kmip_ttlv_writer *w, struct ks_buf *out, struct ks_diag *diag);

/* What an open structure hides of its children in an outline. */
enum kmip_hides {
    KMIP_HIDES_SECRETS, /* those whose rows say SECRET */
    KMIP_HIDES_UNKNOWN, /* and those that are no field of the structure, which is a secret itself */
    KMIP_HIDES_ALL,
};

/* JSON, XML and the outline. */
struct kmip_text_writer {
    struct kmip_writer base;
    struct ks_buf *out;
    bool show_secrets; /* outline only */
    bool has_child[KMIP_DEPTH_MAX + 2];
    uint32_t tag[KMIP_DEPTH_MAX + 2];
    uint32_t value_tag[KMIP_DEPTH_MAX + 2];
    uint8_t hides[KMIP_DEPTH_MAX + 2]; /* outline: enum kmip_hides */
};
void kmip_json_writer_init(struct kmip_text_writer *w, struct ks_buf *out, struct ks_diag *diag);
void kmip_xml_writer_init(struct kmip_text_writer *w, struct ks_buf *out, struct ks_diag *diag);
void kmip_outline_writer_init(struct kmip_text_writer *w, struct ks_buf *out, bool show_secrets, struct ks_diag *diag);

/* Events into an item tree. Its spans are those of the events; where these do not last, `copies` is to be set. */
struct kmip_item_writer {
    struct kmip_writer base;
    struct ks_arena *arena;
    bool copies;
    struct kmip_item *root;
    struct kmip_item *open[KMIP_DEPTH_MAX + 1];
    struct kmip_item *last[KMIP_DEPTH_MAX + 1];
};
void kmip_item_writer_init(struct kmip_item_writer *w, struct ks_arena *arena, struct ks_diag *diag);

/* An item, with everything in it, to a writer. KS_E_LIMIT if it nests too deeply. */
int kmip_writer_tree(struct kmip_writer *w, const struct kmip_item *item) KS_MUST_CHECK;

/* Everything that is left in the reader to the writer. */
int kmip_pump(struct kmip_reader *r, struct kmip_writer *w) KS_MUST_CHECK;

/*
 * The value of a leaf as text, as JSON and XML have it (KMIP Profiles: names for enumerations and masks, hexadecimal
 * for bytes, ISO 8601 for dates), and back. value_tag says which enumeration or mask; separator stands between names
 * of a mask. Text types are not for these.
 */
int kmip_value_format(const struct kmip_item *item, uint32_t value_tag, char separator, struct ks_buf *ret);
int kmip_value_parse(struct kmip_text_reader *r, struct ks_span text, uint32_t value_tag, size_t offset,
                     struct kmip_item *ret) KS_MUST_CHECK;

/* For the readers of text: before parsing; events while parsing; and, when all went well, from the first event on. */
void kmip_text_reader_start(struct kmip_text_reader *r, const struct kmip_limits *limits, struct ks_arena *arena,
                            struct ks_diag *diag);
void kmip_text_reader_replay(struct kmip_text_reader *r);
int kmip_text_reader_add(struct kmip_text_reader *r, enum kmip_event_kind kind, size_t offset,
                         const struct kmip_item *item) KS_MUST_CHECK;
int kmip_text_reader_tag(struct kmip_text_reader *r, struct ks_span name, size_t offset, uint32_t *ret) KS_MUST_CHECK;
int kmip_text_reader_type(struct kmip_text_reader *r, struct ks_span name, size_t offset, uint8_t *ret) KS_MUST_CHECK;

/*
 * The name that a tag has in JSON and XML; NULL: it is written as a number. Extensions always are: their names are
 * nobody's but ours, and another vendor may mean something else by the number.
 */
static inline const char *
kmip_tag_text_name(uint32_t tag)
{
    return tag >> 16 == 0x42 ? kmip_tag_xml_name(tag) : NULL;
}

/* Which tag tells how to read a value: that of the item, or of the attribute that a sibling AttributeName names. */
static inline uint32_t
kmip_value_tag(uint32_t tag, uint32_t attribute_tag)
{
    return tag == KMIP_TAG_ATTRIBUTE_VALUE && attribute_tag != 0 ? attribute_tag : tag;
}

/* A reader or writer of an encoding chosen at run time. */
struct kmip_any_reader {
    union {
        struct kmip_ttlv_reader ttlv;
        struct kmip_text_reader text;
    };
};
int kmip_read_from(enum kmip_encoding encoding, struct ks_span in, const struct kmip_limits *limits,
                   struct ks_arena *arena, struct kmip_any_reader *r, struct kmip_reader **ret,
                   struct ks_diag *diag) KS_MUST_CHECK;
struct kmip_any_writer {
    union {
        struct kmip_ttlv_writer ttlv;
        struct kmip_text_writer text;
    };
};
int kmip_write_to(enum kmip_encoding encoding, bool show_secrets, struct kmip_any_writer *w, struct ks_buf *out,
                  struct kmip_writer **ret, struct ks_diag *diag) KS_MUST_CHECK;

/* Messages from and to any encoding. As kmip_request_decode and its like. */
int kmip_request_read(struct kmip_reader *r, struct ks_arena *arena, struct kmip_request_message **ret,
                      struct ks_diag *diag) KS_MUST_CHECK;
int kmip_response_read(struct kmip_reader *r, struct ks_arena *arena, struct kmip_response_message **ret,
                       struct ks_diag *diag) KS_MUST_CHECK;
int kmip_request_write(const struct kmip_request_message *msg, struct kmip_writer *w,
                       struct ks_diag *diag) KS_MUST_CHECK;
int kmip_response_write(const struct kmip_response_message *msg, struct kmip_writer *w,
                        struct ks_diag *diag) KS_MUST_CHECK;
