/* Attributes between versions, and what happens to a request that does not fit its version. */
#include "kmip_testing.h"

/* A whole request around a payload. */
static const char *
request(const char *version, const char *operation, const char *payload)
{
    static char text[8192];
    snprintf(text, sizeof(text),
             "<RequestMessage><RequestHeader><ProtocolVersion><ProtocolVersionMajor type='Integer' value='%c'/>"
             "<ProtocolVersionMinor type='Integer' value='%c'/></ProtocolVersion>%s</RequestHeader>"
             "<BatchItem><Operation type='Enumeration' value='%s'/><RequestPayload>%s</RequestPayload></BatchItem>"
             "</RequestMessage>",
             version[0], version[2], version[0] == '3' ? "" : "<BatchCount type='Integer' value='1'/>", operation,
             payload);
    return text;
}

static struct kmip_request_message *
decode(const char *xml, struct ks_arena *arena)
{
    struct kmip_any_reader reader;
    struct kmip_reader *r;
    struct kmip_request_message *message;
    struct ks_diag diag = {0};
    if (kmip_read_from(KMIP_ENCODING_XML, ks_span_str(xml), &kmip_limits_default, arena, &reader, &r, &diag) != 0 ||
        kmip_request_read(r, arena, &message, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
    return message;
}

/* The payload as XML on one line without blanks between elements, as another version has it. */
static const char *
encode_as(struct kmip_request_message *message, const char *version)
{
    static char text[8192];
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(65536);
    struct kmip_any_writer writer;
    struct kmip_writer *w;
    struct ks_diag diag = {0};
    message->request_header->protocol_version->protocol_version_major = version[0] - '0';
    message->request_header->protocol_version->protocol_version_minor = version[2] - '0';
    if (kmip_write_to(KMIP_ENCODING_XML, false, &writer, &out, &w, &diag) != 0 ||
        kmip_request_write(message, w, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
    const char *xml = ks_buf_cstr(&out);
    const char *from = strstr(xml, "<RequestPayload>") + strlen("<RequestPayload>");
    const char *to = strstr(xml, "</RequestPayload>");
    size_t n = 0;
    bool line = false;
    for (const char *p = from; p < to; p++) {
        if (*p == '\n')
            line = true;
        else if (!line || *p != ' ')
            text[n++] = *p == '"' ? '\'' : *p, line = false;
    }
    text[n] = '\0';
    return text;
}

#define ATTR(name, type, value)                                                                                        \
    "<Attribute><AttributeName type='TextString' value='" name "'/><AttributeValue type='" type "' value='" value      \
    "'/></Attribute>"
#define UID "<UniqueIdentifier type='TextString' value='u'/>"
#define UID_3 "<UniqueIdentifier type='Identifier' value='u'/>"

/* One payload in three versions; NULL: not tried. Each is decoded and written as each of the others. */
static const struct {
    const char *operation, *v1_4, *v2_1, *v3_0;
} shapes[] = {
    {"Create",
     "<ObjectType type='Enumeration' value='SymmetricKey'/><TemplateAttribute>" ATTR("Cryptographic Algorithm",
                                                                                     "Enumeration", "AES")
         ATTR("Cryptographic Usage Mask", "Integer", "Encrypt Decrypt") "</TemplateAttribute>",
     "<ObjectType type='Enumeration' value='SymmetricKey'/><Attributes><CryptographicAlgorithm type='Enumeration' "
     "value='AES'/><CryptographicUsageMask type='Integer' value='Encrypt Decrypt'/></Attributes>",
     "<ObjectType type='Enumeration' value='SymmetricKey'/><Attributes><CryptographicAlgorithm type='Enumeration' "
     "value='AES'/><CryptographicUsageMask type='Integer' value='Encrypt Decrypt'/></Attributes>"},
    {"AddAttribute",
     UID "<Attribute><AttributeName type='TextString' value='Name'/><AttributeValue><NameValue type='TextString' "
         "value='n'/><NameType type='Enumeration' value='UninterpretedTextString'/></AttributeValue></Attribute>",
     UID "<NewAttribute><Name><NameValue type='TextString' value='n'/><NameType type='Enumeration' "
         "value='UninterpretedTextString'/></Name></NewAttribute>",
     UID_3 "<NewAttribute><Name type='TextString' value='n'/></NewAttribute>"},
    {"AddAttribute",
     UID "<Attribute><AttributeName type='TextString' value='Link'/><AttributeValue><LinkType type='Enumeration' "
         "value='NextLink'/><LinkedObjectIdentifier type='TextString' value='b'/></AttributeValue></Attribute>",
     UID "<NewAttribute><Link><LinkType type='Enumeration' value='NextLink'/><LinkedObjectIdentifier type='TextString' "
         "value='b'/></Link></NewAttribute>",
     UID_3 "<NewAttribute><NextLink type='Reference' value='b'/></NewAttribute>"},
    {"AddAttribute", UID ATTR("x-Rack", "TextString", "7"),
     UID "<NewAttribute><Attribute><VendorIdentification type='TextString' value='x'/><AttributeName type='TextString' "
         "value='Rack'/><AttributeValue type='TextString' value='7'/></Attribute></NewAttribute>",
     UID_3 "<NewAttribute><Attribute><VendorIdentification type='TextString' value='x'/><AttributeName "
           "type='TextString' value='Rack'/><AttributeValue type='TextString' value='7'/></Attribute></NewAttribute>"},
    {"GetAttributes",
     UID "<AttributeName type='TextString' value='State'/><AttributeName type='TextString' value='y-Rack'/>",
     UID "<AttributeReference type='Enumeration' value='State'/><AttributeReference><VendorIdentification "
         "type='TextString' value='y'/><AttributeName type='TextString' value='Rack'/></AttributeReference>",
     UID_3 "<AttributeReference type='Enumeration' value='State'/><AttributeReference><VendorIdentification "
           "type='TextString' value='y'/><AttributeName type='TextString' value='Rack'/></AttributeReference>"},
    {"Locate", ATTR("State", "Enumeration", "Active") ATTR("Unique Identifier", "TextString", "u"),
     "<Attributes><State type='Enumeration' value='Active'/><UniqueIdentifier type='TextString' "
     "value='u'/></Attributes>",
     "<Attributes><State type='Enumeration' value='Active'/><UniqueIdentifier type='Identifier' "
     "value='u'/></Attributes>"},
};

static void
an_attribute_is_the_same_in_every_version(void **state)
{
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(shapes); i++) {
        const char *const payloads[] = {shapes[i].v1_4, shapes[i].v2_1, shapes[i].v3_0};
        static const char *const versions[] = {"1.4", "2.1", "3.0"};
        for (size_t from = 0; from < 3; from++)
            for (size_t to = 0; to < 3; to++) {
                KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
                struct kmip_request_message *m =
                    decode(request(versions[from], shapes[i].operation, payloads[from]), &arena);
                const struct kmip_request_batch_item *item = m->batch_item[0];
                if (item->payload_error != 0)
                    fail_msg("%.*s", (int)item->payload_message.len, item->payload_message.data);
                assert_string_equal(encode_as(m, versions[to]), payloads[to]);
            }
    }
}

/* What a version does not have is left out. */
static const struct {
    const char *version, *from, *to, *payload;
} older[] = {
    {"1.0", "1.4", UID, UID ATTR("Sensitive", "Boolean", "true")},
    {"1.4", "2.1", UID, UID "<NewAttribute><ProtectionLevel type='Enumeration' value='High'/></NewAttribute>"},
    {"1.4", "2.1", UID,
     UID "<NewAttribute><Attribute><VendorIdentification type='TextString' value='ACME'/><AttributeName "
         "type='TextString' value='Rack'/><AttributeValue type='Integer' value='7'/></Attribute>"
         "</NewAttribute>"},
    {"2.1", "1.4", UID "<NewAttribute></NewAttribute>", UID ATTR("Operation Policy Name", "TextString", "default")},
    {"1.1", "1.4",
     UID "<Attribute><AttributeName type='TextString' value='Cryptographic Parameters'/><AttributeValue><PaddingMethod "
         "type='Enumeration' value='PSS'/></AttributeValue></Attribute>",
     UID "<Attribute><AttributeName type='TextString' value='Cryptographic Parameters'/><AttributeValue><PaddingMethod "
         "type='Enumeration' value='PSS'/><TagLength type='Integer' value='16'/><SaltLength type='Integer' value='8'/>"
         "</AttributeValue></Attribute>"},
};

static void
what_a_version_lacks_is_left_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(older); i++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
        struct kmip_request_message *m = decode(request(older[i].from, "AddAttribute", older[i].payload), &arena);
        const struct kmip_request_batch_item *item = m->batch_item[0];
        if (item->payload_error != 0)
            fail_msg("%.*s", (int)item->payload_message.len, item->payload_message.data);
        assert_string_equal(encode_as(m, older[i].version), older[i].to);
    }
}

/* A question for what the version lacks is not turned into one without names, which asks for everything. */
static void
a_reference_in_a_request_is_never_left_out(void **state)
{
    (void)state;
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
    struct kmip_request_message *m = decode(
        request("2.1", "GetAttributes", UID "<AttributeReference type='Enumeration' value='RotateInterval'/>"), &arena);
    assert_string_equal(encode_as(m, "2.0"), UID "<AttributeReference type='Enumeration' value='RotateInterval'/>");
    assert_string_equal(encode_as(m, "1.4"), UID "<AttributeName type='TextString' value='Rotate Interval'/>");
}

static void
a_custom_attribute_is_one_of_a_vendor(void **state)
{
    (void)state;
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
    struct kmip_request_message *m = decode(
        request("1.2", "AddAttribute",
                UID
                "<Attribute><AttributeName type='TextString' value='x-a-b'/><AttributeIndex type='Integer' value='3'/>"
                "<AttributeValue type='Interval' value='5'/></Attribute>"),
        &arena);
    const struct kmip_add_attribute_request *add = m->batch_item[0]->payload;
    const struct kmip_attr *attr = add->new_attribute.first;
    assert_int_equal(add->new_attribute.n, 1);
    assert_int_equal(attr->tag, KMIP_TAG_ATTRIBUTE);
    assert_true(ks_span_is(attr->vendor, "x"));
    assert_true(ks_span_is(attr->name, "a-b"));
    assert_int_equal(attr->index, 3);
    assert_int_equal(attr->value->tag, KMIP_TAG_ATTRIBUTE_VALUE);
    assert_int_equal(attr->value->type, KMIP_TYPE_INTERVAL);
    assert_int_equal(attr->value->u32, 5);
}

/* Requests with something wrong in one batch item: its answer, and where the fault is said to be. */
static const struct {
    const char *version, *operation, *payload;
    int code;
    uint32_t reason;
    const char *message;
} faults[] = {
    {"1.4", "Get", UID UID, KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_MESSAGE,
     "RequestMessage/BatchItem[0]/RequestPayload/UniqueIdentifier[1] at offset 333: the field is there twice"},
    {"1.4", "Get", "<UniqueIdentifier type='Integer' value='1'/>", KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_MESSAGE,
     "Integer is no type of an identifier"},
    {"2.1", "Get", UID_3, KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_MESSAGE, "Identifier is no type of an identifier"},
    {"1.4", "Get", "<BatchCount type='Integer' value='1'/>", KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_FIELD,
     "does not belong here"},
    {"2.1", "Get", "<BatchCount type='Integer' value='1'/>", KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_MESSAGE,
     "does not belong here"},
    {"2.1", "Get", "<TTLV tag='0x42FFFF' type='Integer' value='1'/>", KS_E_MALFORMED, KMIP_RESULT_REASON_UNKNOWN_TAG,
     "RequestPayload/0x42FFFF at offset 286: the tag is unknown"},
    {"1.4", "Get", "<TTLV tag='0x42FFFF'/>", KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_FIELD, "the tag is unknown"},
    {"2.1", "Get", "<TTLV tag='0x54FFFF' type='Integer' value='1'/>", KS_E_MALFORMED,
     KMIP_RESULT_REASON_INVALID_MESSAGE, "does not belong here"},
    {"1.3", "Get", "<KeyWrapType type='Enumeration' value='NotWrapped'/>", KS_E_MALFORMED,
     KMIP_RESULT_REASON_INVALID_FIELD, "this version of KMIP does not have the field here"},
    {"1.4", "Get", "<KeyFormatType type='TextString' value='Raw'/>", KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_MESSAGE,
     "Enumeration is expected, not TextString"},
    {"1.4", "Get", "<KeyFormatType type='Enumeration' value='0x77'/>", KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_FIELD,
     "KeyFormatType at offset 286: the value 0x00000077 is unknown"},
    {"2.1", "Get", "<KeyFormatType type='Enumeration' value='0x77'/>", KS_E_MALFORMED,
     KMIP_RESULT_REASON_UNKNOWN_ENUMERATION, "the value 0x00000077 is unknown"},
    {"1.4", "Activate", "<UniqueIdentifier type='Enumeration' value='IDPlaceholder'/>", KS_E_MALFORMED,
     KMIP_RESULT_REASON_INVALID_MESSAGE, "no type of an identifier"},
    {"2.1", "Create", "<Attributes/>", KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_MESSAGE,
     "RequestMessage/BatchItem[0]/RequestPayload at offset 273: ObjectType is missing"},
    {"1.4", "Create", "<ObjectType type='Enumeration' value='SymmetricKey'/><Attributes/>", KS_E_MALFORMED,
     KMIP_RESULT_REASON_INVALID_FIELD, "this version of KMIP does not have the field here"},
    {"1.4", "AddAttribute", UID ATTR("Colour", "TextString", "red"), KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_FIELD,
     "\"Colour\" is no attribute"},
    {"1.3", "AddAttribute", UID ATTR("Sensitive", "Boolean", "true"), KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_FIELD,
     "\"Sensitive\" is no attribute in this version"},
    {"1.4", "AddAttribute", UID ATTR("State", "Integer", "1"), KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_FIELD,
     "the value of State is Enumeration, not Integer"},
    {"2.1", "AddAttribute", UID "<NewAttribute><State type='Integer' value='1'/></NewAttribute>", KS_E_MALFORMED,
     KMIP_RESULT_REASON_INVALID_ATTRIBUTE_VALUE, "the value of State is Enumeration, not Integer"},
    {"2.1", "AddAttribute", UID "<NewAttribute><State type='Enumeration' value='0x77'/></NewAttribute>", KS_E_MALFORMED,
     KMIP_RESULT_REASON_INVALID_ATTRIBUTE_VALUE, "0x00000077 is unknown as State"},
    {"2.1", "AddAttribute", UID "<NewAttribute><BatchCount type='Integer' value='1'/></NewAttribute>", KS_E_MALFORMED,
     KMIP_RESULT_REASON_INVALID_ATTRIBUTE, "no attribute in this version"},
    {"2.1", "AddAttribute", UID "<NewAttribute><TTLV tag='0x42FFFF' type='Integer' value='1'/></NewAttribute>",
     KS_E_MALFORMED, KMIP_RESULT_REASON_UNKNOWN_TAG, "the tag is unknown"},
    {"2.1", "AddAttribute", UID "<NewAttribute><Name><NameValue type='TextString' value='n'/></Name></NewAttribute>",
     KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_ATTRIBUTE_VALUE, "Name: NameType is missing"},
    {"2.1", "AddAttribute", UID "<NewAttribute><Name type='TextString' value='n'/></NewAttribute>", KS_E_MALFORMED,
     KMIP_RESULT_REASON_INVALID_ATTRIBUTE_VALUE, "the value of Name is Structure, not TextString"},
    {"1.4", "AddAttribute", UID "<Attribute><AttributeValue type='Integer' value='1'/></Attribute>", KS_E_MALFORMED,
     KMIP_RESULT_REASON_INVALID_MESSAGE, "AttributeName is missing"},
    {"1.4", "AddAttribute", UID "<Attribute><AttributeName type='TextString' value='x-a'/><BatchItem/></Attribute>",
     KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_MESSAGE, "does not belong here"},
    {"1.4", "AddAttribute",
     UID "<Attribute><AttributeName type='TextString' value='x-a'/><AttributeIndex type='Integer' "
         "value='-1'/></Attribute>",
     KS_E_MALFORMED, KMIP_RESULT_REASON_INVALID_MESSAGE, "not negative"},
    {"2.1", "DeleteAttribute", UID "<AttributeReference type='Enumeration' value='0x00000000'/>", KS_E_MALFORMED,
     KMIP_RESULT_REASON_INVALID_ATTRIBUTE, "AttributeReference 0x00000000 names no attribute"},
    {"2.1", "DeleteAttribute", UID "<AttributeReference type='Enumeration' value='0x00420008'/>", KS_E_MALFORMED,
     KMIP_RESULT_REASON_INVALID_ATTRIBUTE, "AttributeReference 0x00420008 names no attribute"},
    {"1.4", "0x80001234", UID, KS_E_UNSUPPORTED, KMIP_RESULT_REASON_OPERATION_NOT_SUPPORTED,
     "RequestPayload at offset 277: the operation 0x80001234 is not supported"},
    {"1.1", "Encrypt", UID, KS_E_UNSUPPORTED, KMIP_RESULT_REASON_OPERATION_NOT_SUPPORTED,
     "is not supported in this version"},
};

static void
a_fault_is_that_of_its_batch_item(void **state)
{
    (void)state;
    bool ok = true;
    for (size_t i = 0; i < KS_ARRAY_LEN(faults); i++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
        struct kmip_request_message *m =
            decode(request(faults[i].version, faults[i].operation, faults[i].payload), &arena);
        const struct kmip_request_batch_item *item = m->batch_item[0];
        const char *message = (const char *)item->payload_message.data; /* arenas put a NUL behind spans */
        if (item->payload_error == faults[i].code && item->payload_reason == faults[i].reason &&
            item->payload == NULL && strstr(message, faults[i].message) != NULL)
            continue;
        print_error("%zu: %d, reason 0x%02x: %s\n", i, item->payload_error, item->payload_reason,
                    message != NULL ? message : "accepted");
        ok = false;
    }
    assert_true(ok);
}

#define HEADER                                                                                                         \
    "<RequestHeader><ProtocolVersion><ProtocolVersionMajor type='Integer' value='2'/><ProtocolVersionMinor "           \
    "type='Integer' value='1'/></ProtocolVersion><BatchCount type='Integer' value='3'/></RequestHeader>"
#define GET "<BatchItem><Operation type='Enumeration' value='Get'/>"

static void
the_other_batch_items_are_whole(void **state)
{
    (void)state;
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
    struct kmip_request_message *m =
        decode("<RequestMessage>" HEADER GET "<RequestPayload>" UID "</RequestPayload></BatchItem>"
               "<BatchItem><BatchCount type='Integer' value='1'/><Operation type='Enumeration' value='Get'/>"
               "<UniqueBatchItemID type='ByteString' value='07'/><RequestPayload>" UID "</RequestPayload></BatchItem>"
               "<BatchItem><RequestPayload/><Operation type='Enumeration' value='Get'/></BatchItem>"
               "<BatchItem/>" GET "<RequestPayload>" UID "</RequestPayload><MessageExtension><VendorIdentification "
               "type='TextString' value='v'/><TTLV tag='0x54FFFF' type='Integer' value='1'/><CriticalityIndicator "
               "type='Boolean' value='true'/><VendorExtension/></MessageExtension></BatchItem></RequestMessage>",
               &arena);
    assert_int_equal(m->n_batch_item, 5);
    assert_int_equal(m->batch_item[0]->payload_error, 0);
    assert_non_null(m->batch_item[0]->payload);
    /* The fault is in front; what identifies the item is read all the same. */
    assert_int_equal(m->batch_item[1]->payload_error, KS_E_MALFORMED);
    assert_null(m->batch_item[1]->payload);
    assert_int_equal(m->batch_item[1]->operation, KMIP_OPERATION_GET);
    assert_true(m->batch_item[1]->has_unique_batch_item_id);
    assert_int_equal(m->batch_item[2]->payload_error, KS_E_MALFORMED);
    assert_non_null(strstr((const char *)m->batch_item[2]->payload_message.data, "the Operation comes before"));
    assert_int_equal(m->batch_item[3]->payload_error, KS_E_MALFORMED);
    assert_non_null(strstr((const char *)m->batch_item[3]->payload_message.data, "Operation is missing"));
    assert_int_equal(m->batch_item[4]->payload_error, 0);
    assert_int_equal(m->batch_item[4]->n_message_extension, 1);
    assert_true(m->batch_item[4]->message_extension[0]->criticality_indicator);
}

/* In the message and its header there is nothing to go on with. */
static void
a_fault_in_the_header_is_that_of_the_message(void **state)
{
    static const struct {
        const char *xml;
        int code;
        const char *message;
        int32_t major; /* 0: it was not read */
    } cases[] = {
        {"<ResponseMessage/>", KS_E_MALFORMED, "a RequestMessage is expected", 0},
        {"<RequestMessage/>", KS_E_MALFORMED, "RequestMessage at offset 0: RequestHeader is missing", 0},
        {"<RequestMessage><RequestHeader/></RequestMessage>", KS_E_MALFORMED, "ProtocolVersion is missing", 0},
        {"<RequestMessage>" HEADER "</RequestMessage>", KS_E_MALFORMED, "BatchItem is missing", 2},
        {"<RequestMessage>" HEADER HEADER "<BatchItem/></RequestMessage>", KS_E_MALFORMED, "there twice", 2},
        {"<RequestMessage>" GET "</BatchItem>" HEADER "</RequestMessage>", KS_E_MALFORMED, "the header comes before",
         0},
        {"<RequestMessage>" HEADER "<Operation type='Enumeration' value='Get'/></RequestMessage>", KS_E_MALFORMED,
         "RequestMessage/Operation at offset 216: the field does not belong here", 2},
        {"<RequestMessage><RequestHeader><ProtocolVersion><ProtocolVersionMajor type='Integer' value='2'/>"
         "</ProtocolVersion></RequestHeader></RequestMessage>",
         KS_E_MALFORMED, "ProtocolVersionMinor is missing", 0},
        {"<RequestMessage><RequestHeader><ProtocolVersion><ProtocolVersionMajor type='Integer' value='9'/>"
         "<ProtocolVersionMinor type='Integer' value='0'/></ProtocolVersion><TTLV tag='0x42FFFF'/></RequestHeader>"
         "<BatchItem/></RequestMessage>",
         KS_E_UNSUPPORTED, "RequestMessage/RequestHeader", 9},
    };
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
        struct kmip_any_reader reader;
        struct kmip_reader *r;
        struct kmip_request_message *message = NULL;
        struct ks_diag diag = {0};
        assert_int_equal(kmip_read_from(KMIP_ENCODING_XML, ks_span_str(cases[i].xml), &kmip_limits_default, &arena,
                                        &reader, &r, &diag),
                         0);
        const int rc = kmip_request_read(r, &arena, &message, &diag);
        if (rc != cases[i].code || strstr(ks_diag_text(&diag), cases[i].message) == NULL)
            fail_msg("%zu: %d: %s", i, rc, ks_diag_text(&diag));
        /* The version is there for the answer if it was read. */
        const int32_t major = message != NULL ? message->request_header->protocol_version->protocol_version_major : 0;
        assert_int_equal(major, cases[i].major);
    }
}

static void
a_response_is_taken_leniently(void **state)
{
    (void)state;
    static const char xml[] =
        "<ResponseMessage><ResponseHeader><ProtocolVersion><ProtocolVersionMajor type='Integer' value='1'/>"
        "<ProtocolVersionMinor type='Integer' value='0'/></ProtocolVersion><TimeStamp type='DateTime' value='0'/>"
        "<TTLV tag='0x42FFFF'><BatchItem/></TTLV><BatchCount type='Integer' value='1'/></ResponseHeader><BatchItem>"
        "<Operation type='Enumeration' value='GetAttributes'/><ResultStatus type='Enumeration' value='0x77'/>"
        "<ResponsePayload>" UID "<BatchItem/>" ATTR("Colour", "TextString", "red")
            ATTR("Sensitive", "Boolean", "true") "</ResponsePayload></BatchItem><BatchItem><Operation "
                                                 "type='Enumeration' value='0x80001234'/><ResultStatus "
                                                 "type='Enumeration' value='Success'/><ResponsePayload>" UID
                                                 "</ResponsePayload></BatchItem></ResponseMessage>";
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
    struct kmip_any_reader reader;
    struct kmip_reader *r;
    struct kmip_response_message *m;
    struct ks_diag diag = {0};
    if (kmip_read_from(KMIP_ENCODING_XML, ks_span_str(xml), &kmip_limits_default, &arena, &reader, &r, &diag) != 0 ||
        kmip_response_read(r, &arena, &m, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
    assert_int_equal(m->n_batch_item, 2);
    assert_int_equal(m->batch_item[0]->result_status, 0x77);
    const struct kmip_get_attributes_response *got = m->batch_item[0]->payload;
    assert_int_equal(got->attributes.n, 2);
    assert_int_equal(got->attributes.first->tag, 0);
    assert_true(ks_span_is(got->attributes.first->name, "Colour"));
    assert_int_equal(got->attributes.last->tag, KMIP_TAG_SENSITIVE);
    assert_null(m->batch_item[1]->payload);
}

static void
the_outline_hides_secrets_alone(void **state)
{
    static const char xml[] =
        "<KeyBlock><KeyFormatType type='Enumeration' value='Raw'/><KeyValue><KeyMaterial type='ByteString' "
        "value='5ec5e7'/><Attribute><AttributeName type='TextString' value='State'/><AttributeValue type='Enumeration' "
        "value='Active'/></Attribute><TTLV tag='0x54FFFF' type='ByteString' value='5ec5e7'/></KeyValue></KeyBlock>";
    static const char outline[] = "KeyBlock\n"
                                  "  KeyFormatType: Raw\n"
                                  "  KeyValue\n"
                                  "    KeyMaterial: (secret, 3 bytes)\n"
                                  "    Attribute\n"
                                  "      AttributeName: \"State\"\n"
                                  "      AttributeValue: Active\n"
                                  "    0x54FFFF: (secret, 3 bytes)\n";
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(4096);
    transcode(KMIP_ENCODING_XML, ks_span_str(xml), KMIP_ENCODING_OUTLINE, &out);
    assert_string_equal(ks_buf_cstr(&out), outline);
    transcode(KMIP_ENCODING_XML,
              ks_span_str("<CredentialValue><Username type='TextString' value='u'/><Password type='TextString' "
                          "value='pw'/><TTLV tag='0x54FFFF'><BatchCount type='Integer' value='7'/></TTLV>"
                          "</CredentialValue>"),
              KMIP_ENCODING_OUTLINE, &out);
    assert_string_equal(ks_buf_cstr(&out), "CredentialValue\n"
                                           "  Username: \"u\"\n"
                                           "  Password: (secret, 2 bytes)\n"
                                           "  0x54FFFF\n"
                                           "    BatchCount: (secret)\n");
    /* What a vendor extends messages with, nobody else knows; and a hash of a password is a password to guess. */
    transcode(KMIP_ENCODING_XML,
              ks_span_str("<MessageExtension><VendorIdentification type='TextString' value='acme'/><VendorExtension>"
                          "<TTLV tag='0x54FFFF' type='TextString' value='pw'/></VendorExtension></MessageExtension>"),
              KMIP_ENCODING_OUTLINE, &out);
    assert_string_equal(ks_buf_cstr(&out), "MessageExtension\n"
                                           "  VendorIdentification: \"acme\"\n"
                                           "  VendorExtension\n"
                                           "    0x54FFFF: (secret, 2 bytes)\n");
    transcode(KMIP_ENCODING_XML, ks_span_str("<ServerHashedPassword type='ByteString' value='5ec5e7'/>"),
              KMIP_ENCODING_OUTLINE, &out);
    assert_string_equal(ks_buf_cstr(&out), "ServerHashedPassword: (secret, 3 bytes)\n");
}

/* A custom attribute's name in 1.x is put together; as an item it lasts as long as the arena. */
static void
names_of_custom_attributes_last_in_items(void **state)
{
    (void)state;
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
    struct kmip_item *material = kmip_item_new(&arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    struct kmip_item *value = kmip_item_new(&arena, KMIP_TAG_ATTRIBUTE_VALUE, KMIP_TYPE_TEXT_STRING), *item;
    struct kmip_key_value key_value = {.key_material = material, .attributes = {.present = true}};
    struct kmip_attr *attr = kmip_attrs_add(&arena, &key_value.attributes, KMIP_TAG_ATTRIBUTE, value);
    attr->vendor = KS_LIT("x");
    attr->name = KS_LIT("purpose");
    assert_int_equal(kmip_item_encode(&kmip_schema_key_value, KMIP_V1_4, &key_value, &arena, &item), 0);
    /* Memory that was given back meanwhile is used by others. */
    KS_CLEANUP(ks_buf_done) struct ks_buf other = KS_BUF(512);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(ks_buf_add_u8(&other, 'z'), 0);
    const struct kmip_item *name = kmip_item_child(kmip_item_child(item, KMIP_TAG_ATTRIBUTE), KMIP_TAG_ATTRIBUTE_NAME);
    assert_true(ks_span_is(name->s, "x-purpose"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attribute_is_the_same_in_every_version),
        cmocka_unit_test(what_a_version_lacks_is_left_out),
        cmocka_unit_test(a_reference_in_a_request_is_never_left_out),
        cmocka_unit_test(a_custom_attribute_is_one_of_a_vendor),
        cmocka_unit_test(a_fault_is_that_of_its_batch_item),
        cmocka_unit_test(the_other_batch_items_are_whole),
        cmocka_unit_test(a_fault_in_the_header_is_that_of_the_message),
        cmocka_unit_test(a_response_is_taken_leniently),
        cmocka_unit_test(names_of_custom_attributes_last_in_items),
        cmocka_unit_test(the_outline_hides_secrets_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
