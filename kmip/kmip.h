/*
 * The KMIP message model. No I/O, no clock, no cryptography.
 *
 * A message is decoded from TTLV, JSON or XML into plain C structs that live in one arena, and encoded from
 * such structs. Structs, decoder, encoder, checker, comparer and printer all walk the rows of
 * kmip/spec/structs.def; see there for the row grammar and kmip/model.h for the structs that come of it.
 *
 *     KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
 *     struct kmip_request_message *request;
 *     KS_TRY(kmip_request_decode(bytes, &kmip_limits_default, &arena, &request, &diag));
 *
 * In memory an attribute is an attribute: whether it travels as 1.x Template-Attribute / Attribute {name, index,
 * value} or as 2.x Attributes is decided by rows, by the version of the message.
 */
#pragma once

#include <keystead/kmip.h>

#include "base/mem.h"

/* A generic item: what has no schema (custom attribute values, key material, extensions) and attribute values. */
struct kmip_item {
    uint32_t tag;
    uint8_t type; /* enum kmip_type */
    bool secret;  /* redacted by dump, compared in constant time */
    union {
        int32_t i32;             /* INTEGER */
        int64_t i64;             /* LONG_INTEGER, DATE_TIME (s), DATE_TIME_EXTENDED (us) */
        uint32_t u32;            /* ENUMERATION, INTERVAL (s) */
        bool b;                  /* BOOLEAN */
        struct ks_span s;        /* TEXT_STRING, BYTE_STRING, BIG_INTEGER (two's complement), 3.0's references */
        struct kmip_item *first; /* STRUCTURE: children in order */
    };
    struct kmip_item *next; /* next sibling */
};

/* An attribute of an object. */
struct kmip_attr {
    uint32_t tag;            /* the attribute's own tag; KMIP_TAG_ATTRIBUTE for a vendor (custom) attribute */
    struct ks_span vendor;   /* vendor attribute: Vendor Identification; 1.x "x-foo" is vendor "x", name "foo" */
    struct ks_span name;     /* vendor attribute: Attribute Name */
    int32_t index;           /* 1.x Attribute Index, -1 where absent (then it means 0) */
    struct kmip_item *value; /* tagged as `tag`; KMIP_TAG_ATTRIBUTE_VALUE for a vendor attribute; NULL: no value sent */
    struct kmip_attr *next;
};

struct kmip_attrs {
    bool present; /* the enclosing structure was there, even if empty */
    size_t n;
    struct kmip_attr *first, *last;
    struct kmip_item *names; /* 1.x Template-Attribute: the Name values of templates, else NULL */
};

/* Which attribute: 1.x Attribute Name (and index), 2.x Attribute Reference. */
struct kmip_attr_ref {
    uint32_t tag; /* as in struct kmip_attr; 0: a name that is no attribute of the standard and has no vendor prefix */
    struct ks_span vendor, name;
    int32_t index; /* -1 where absent */
};

struct kmip_attr_refs {
    size_t n;
    struct kmip_attr_ref *v;
};

/* Unique Identifier: text in 1.x and mostly; from 2.0 also an enumeration (ID Placeholder, ...) or an index. */
struct kmip_uid {
    uint8_t type; /* 0: absent; KMIP_TYPE_TEXT_STRING, _ENUMERATION, _INTEGER, _IDENTIFIER ... */
    uint32_t number;
    struct ks_span text;
};

struct kmip_schema;
struct kmip_request_message;
struct kmip_response_message;

#include "kmip/model.h"

/* Bounds that every reader enforces. */
struct kmip_limits {
    size_t bytes;   /* whole message */
    unsigned depth; /* nesting of structures */
    size_t items;   /* items in all */
    size_t text;    /* bytes of one text, byte string or big integer */
};
extern const struct kmip_limits kmip_limits_default;   /* 1 MiB, 32, 65536, 1 MiB */
extern const struct kmip_limits kmip_limits_anonymous; /* before authentication: 16 KiB, 16, 256, 8 KiB */

/* Version facts. */
struct kmip_version_number {
    int32_t major, minor;
};
struct kmip_version_number kmip_version_number(enum kmip_version version);
/* KS_E_UNSUPPORTED for a version that is not in versions.def. */
int kmip_version_find(int32_t major, int32_t minor, enum kmip_version *ret) KS_MUST_CHECK;

/*
 * Whole messages from and to TTLV. Decoding a request accepts a batch item whose payload does not fit its
 * schema as long as the TTLV itself is sound: item->payload is then NULL, item->payload_error the KS_E_* code,
 * item->payload_reason the KMIP Result Reason to answer with and item->payload_message what is wrong, and where; the
 * server answers that item alone. In the header of a request everything must fit. Attributes that the version does
 * not have are such errors too, so the tag of an attribute in a request is never 0. Responses are taken leniently:
 * what is unknown is passed over, attributes of unknown name have tag 0.
 * Spans in the result point into `bytes`, which must live as long as the message. KS_E_MALFORMED, KS_E_LIMIT,
 * KS_E_NOMEM, KS_E_UNSUPPORTED (protocol version; *ret is then set with the header decoded); diag has path and offset.
 * Of a request that is refused with another code *ret is set if its version was read: for the version to answer in and
 * the Result Reason (reason; 0: none better than Invalid Message), and for nothing else.
 */
int kmip_request_decode(struct ks_span bytes, const struct kmip_limits *limits, struct ks_arena *arena,
                        struct kmip_request_message **ret, struct ks_diag *diag) KS_MUST_CHECK;
int kmip_response_decode(struct ks_span bytes, const struct kmip_limits *limits, struct ks_arena *arena,
                         struct kmip_response_message **ret, struct ks_diag *diag) KS_MUST_CHECK;
/* The version comes from the header. What the version does not know is left out, never an error. */
int kmip_request_encode(const struct kmip_request_message *msg, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;
int kmip_response_encode(const struct kmip_response_message *msg, struct ks_buf *ret,
                         struct ks_diag *diag) KS_MUST_CHECK;

/*
 * The other encodings (KMIP Profiles) say the same as TTLV does: a server turns JSON or XML into TTLV first, and its
 * answer back. The outline is for people; secrets in it are left out, and it cannot be read.
 */
enum kmip_encoding { KMIP_ENCODING_TTLV, KMIP_ENCODING_JSON, KMIP_ENCODING_XML, KMIP_ENCODING_OUTLINE };
const char *kmip_encoding_name(enum kmip_encoding encoding);          /* "ttlv" */
bool kmip_encoding_guess(struct ks_span in, enum kmip_encoding *ret); /* by the first bytes; false: none of them */
/* One message of any kind into another encoding; appends to ret. The arena holds what JSON and XML are parsed into. */
int kmip_transcode(enum kmip_encoding from, struct ks_span in, enum kmip_encoding to, const struct kmip_limits *limits,
                   struct ks_arena *arena, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;
/*
 * The version that a request in JSON or XML says it is of, when kmip_transcode failed: it stands before the fault, and
 * first in the message, as in TTLV. No more than that is read. {0, 0}: it says none.
 */
struct kmip_version_number kmip_transcode_version(enum kmip_encoding from, struct ks_span in,
                                                  const struct kmip_limits *limits, struct ks_arena *arena);
/* The length of the TTLV message that begins with these 8 or more bytes: how much to read from a connection. */
int kmip_ttlv_length(struct ks_span in, const struct kmip_limits *limits, size_t *ret,
                     struct ks_diag *diag) KS_MUST_CHECK;

/* Whether a struct that a program filled in can be sent: required fields, known enumeration values. KS_E_INVALID ... */
int kmip_check(const struct kmip_schema *schema, enum kmip_version version, const void *from,
               struct ks_diag *diag) KS_MUST_CHECK;
/* Whether two structs say the same; fields marked SECRET are compared in constant time. NULL equals NULL. */
bool kmip_equal(const struct kmip_schema *schema, const void *a, const void *b);
/* The struct as an outline, appended to ret. */
int kmip_dump(const struct kmip_schema *schema, enum kmip_version version, const void *from, bool show_secrets,
              struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/*
 * Struct <-> generic item, for what is carried as an item (attribute values, Key Value, Key Material). Decoding is as
 * strict as for a request: unknown and missing fields are KS_E_MALFORMED.
 */
int kmip_item_decode(const struct kmip_schema *schema, enum kmip_version version, const struct kmip_item *item,
                     struct ks_arena *arena, void **ret, struct ks_diag *diag) KS_MUST_CHECK;
int kmip_item_encode(const struct kmip_schema *schema, enum kmip_version version, const void *from,
                     struct ks_arena *arena, struct kmip_item **ret) KS_MUST_CHECK;

/* Items. All made ones live in the arena; NULL when it is full. */
struct kmip_item *kmip_item_new(struct ks_arena *arena, uint32_t tag, enum kmip_type type);
struct kmip_item *kmip_item_copy(struct ks_arena *arena, const struct kmip_item *from); /* deep, bytes included */
void kmip_item_append(struct kmip_item *parent, struct kmip_item *child);
struct kmip_item *kmip_item_child(const struct kmip_item *parent, uint32_t tag); /* the first one, or NULL */
bool kmip_item_equal(const struct kmip_item *a, const struct kmip_item *b);
bool kmip_item_has_span(const struct kmip_item *item); /* whether its value is `s` */
/* One item as TTLV, and back (for storing attribute values). */
int kmip_item_to_ttlv(const struct kmip_item *item, struct ks_buf *ret) KS_MUST_CHECK;
int kmip_item_from_ttlv(struct ks_span bytes, const struct kmip_limits *limits, struct ks_arena *arena,
                        struct kmip_item **ret, struct ks_diag *diag) KS_MUST_CHECK;

/* Attribute lists. */
struct kmip_attr *kmip_attrs_add(struct ks_arena *arena, struct kmip_attrs *attrs, uint32_t tag,
                                 struct kmip_item *value); /* appended, index -1; NULL: arena full */

/* 3.0 has an attribute for each Link Type, which in memory is a Link all the same: one from the other; 0: none. */
uint32_t kmip_link_type(uint32_t tag);
uint32_t kmip_link_tag(uint32_t type);

/* Vendor Identification of this project, where KMIP has one. */
#define KMIP_VENDOR_KEYSTEAD "Keystead"

/* Names: the facts of the registry by number and by name. NULL or KS_E_NOT_FOUND where there is none. */
const char *kmip_tag_name(uint32_t tag);     /* "Unique Identifier": specification text, 1.x attribute name */
const char *kmip_tag_xml_name(uint32_t tag); /* "UniqueIdentifier" */
int kmip_tag_find(struct ks_span name, uint32_t *ret) KS_MUST_CHECK; /* either form */
bool kmip_tag_known(uint32_t tag, enum kmip_version version);
const char *kmip_enum_name(uint32_t tag,
                           uint32_t value); /* "AES" as the specification prints it; by the tag that carries it */
const char *kmip_enum_xml_name(uint32_t tag, uint32_t value);
int kmip_enum_find(uint32_t tag, struct ks_span name, uint32_t *ret) KS_MUST_CHECK;
bool kmip_enum_known(uint32_t tag, uint32_t value,
                     enum kmip_version version); /* true for 8XXXXXXX, and for tags without a set */
bool kmip_tag_is_mask(uint32_t tag);             /* an Integer whose bits have names */
const char *kmip_mask_xml_name(uint32_t tag, uint32_t bit);
const char *kmip_type_name(enum kmip_type type);

/* Operations (kmip/spec/ops.def). */
struct kmip_operation {
    uint32_t value;
    const char *name; /* "Create Key Pair" */
    const struct kmip_schema *request, *response;
    enum kmip_version since, until;
    unsigned flags;
};
enum {
    KMIP_OP_SETS_PLACEHOLDER = 1, /* success sets the ID Placeholder */
    KMIP_OP_USES_PLACEHOLDER = 2, /* an absent Unique Identifier means the ID Placeholder */
    KMIP_OP_SERVER_TO_CLIENT = 4,
    KMIP_OP_VENDOR = 8, /* Keystead's own, 0x8.......: known in all versions */
};
const struct kmip_operation *kmip_operation_find(uint32_t value); /* NULL: unknown in every version */
const struct kmip_operation *kmip_operations(size_t *ret_n);      /* all, by value */

/* What went wrong, and the Result Reason that each version has for it (kmip/spec/reasons.def). */
enum kmip_condition {
#define KMIP_REASON(NAME, r10, r14, r20, r21, r30) KMIP_CONDITION_##NAME,
#include "kmip/spec/reasons.def"
#undef KMIP_REASON
    KMIP_CONDITION_COUNT
};
uint32_t kmip_reason(enum kmip_condition condition, enum kmip_version version);

/* Attributes' rules (kmip/spec/attrs.def): one row per attribute of the standard. */
enum kmip_attr_flag {
    KMIP_ATTR_MULTI = 1,       /* several instances */
    KMIP_ATTR_CLIENT_SETS = 2, /* may be given at creation or added by the client */
    KMIP_ATTR_CLIENT_MODIFIES = 4,
    KMIP_ATTR_CLIENT_DELETES = 8,
    KMIP_ATTR_SERVER_SETS = 16,  /* initially set by the server */
    KMIP_ATTR_ALWAYS = 32,       /* every object that it applies to has it */
    KMIP_ATTR_NO_GET = 64,       /* not listed or returned unless asked for by name */
    KMIP_ATTR_CLIENT_ASKS = 128, /* the server sets it, to what the client gives at creation */
};
/* Groups of operations that may set an attribute although the request does not give it. */
enum kmip_attr_by {
    KMIP_ATTR_BY_CREATE = 1,
    KMIP_ATTR_BY_CREATE_KEY_PAIR = 2,
    KMIP_ATTR_BY_REGISTER = 4,
    KMIP_ATTR_BY_DERIVE_KEY = 8,
    KMIP_ATTR_BY_CERTIFY = 16,
    KMIP_ATTR_BY_RE_CERTIFY = 32,
    KMIP_ATTR_BY_RE_KEY = 64,
    KMIP_ATTR_BY_RE_KEY_KEY_PAIR = 128,
    KMIP_ATTR_BY_NEW = 255, /* all of the above: an object comes into being */
    KMIP_ATTR_BY_ACTIVATE = 256,
    KMIP_ATTR_BY_REVOKE = 512,
    KMIP_ATTR_BY_DESTROY = 1024,
    KMIP_ATTR_BY_ARCHIVE = 2048,
    KMIP_ATTR_BY_RECOVER = 4096,
    KMIP_ATTR_BY_ATTRIBUTES = 8192, /* Add, Modify, Delete, Set, Adjust Attribute */
    KMIP_ATTR_BY_USAGE_ALLOCATION = 16384,
    KMIP_ATTR_BY_ROTATE = 32768, /* by the server, when it rotates the object */
};
struct kmip_attr_rule {
    uint32_t tag;
    uint8_t type;                     /* enum kmip_type of the value in memory; 0: any */
    const struct kmip_schema *schema; /* for structures, else NULL */
    enum kmip_version since, until;
    unsigned flags;
    uint32_t objects;  /* bit (1 << Object Type) for each it applies to, from 2.0 on */
    uint32_t implicit; /* enum kmip_attr_by */
};
const struct kmip_attr_rule *kmip_attr_rule_find(uint32_t tag); /* NULL: the tag is not an attribute */
const struct kmip_attr_rule *kmip_attr_rules(size_t *ret_n);    /* all, in the order of the specification */
/* Whether a version has the attribute, and has it for objects of that Object Type (kmip/spec/attrs_1.def). */
bool kmip_attr_applies(const struct kmip_attr_rule *rule, enum kmip_version version, uint32_t object_type);
