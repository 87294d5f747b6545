/*
 * How answers are judged: what may differ from a published answer, and what may not. Each row is an answer of the case,
 * an answer that came, and whether they differ.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/text.h"
#include "conform/compare.h"
#include "conform/run.h"

#define HEADER(minor)                                                                                                  \
    "<ResponseHeader><ProtocolVersion><ProtocolVersionMajor type=\"Integer\" value=\"2\"/>"                            \
    "<ProtocolVersionMinor type=\"Integer\" value=\"" minor "\"/></ProtocolVersion>"                                   \
    "<TimeStamp type=\"DateTime\" value=\"$NOW\"/><BatchCount type=\"Integer\" value=\"1\"/></ResponseHeader>"
#define ANSWER(op, payload)                                                                                            \
    "<ResponseMessage>" HEADER("1") "<BatchItem><Operation type=\"Enumeration\" value=\"" op "\"/>"                    \
                                    "<ResultStatus type=\"Enumeration\" value=\"Success\"/><ResponsePayload>" payload  \
                                    "</ResponsePayload></BatchItem></ResponseMessage>"
#define REQUEST(op, payload)                                                                                           \
    "<RequestMessage><RequestHeader><ProtocolVersion><ProtocolVersionMajor type=\"Integer\" value=\"2\"/>"             \
    "<ProtocolVersionMinor type=\"Integer\" value=\"1\"/></ProtocolVersion><BatchCount type=\"Integer\" value=\"1\"/>" \
    "</RequestHeader><BatchItem><Operation type=\"Enumeration\" value=\"" op "\"/><RequestPayload>" payload            \
    "</RequestPayload></BatchItem></RequestMessage>"
#define UID(v) "<UniqueIdentifier type=\"TextString\" value=\"" v "\"/>"
#define DATA(v) "<Data type=\"ByteString\" value=\"" v "\"/>"
#define NAME(v)                                                                                                        \
    "<Name><NameValue type=\"TextString\" value=\"" v "\"/>"                                                           \
    "<NameType type=\"Enumeration\" value=\"UninterpretedTextString\"/></Name>"
#define STATE(v) "<State type=\"Enumeration\" value=\"" v "\"/>"
#define KEY(v)                                                                                                         \
    "<ObjectType type=\"Enumeration\" value=\"SymmetricKey\"/>" UID(                                                   \
        "k") "<SymmetricKey><KeyBlock><KeyFormatType type=\"Enumeration\" value=\"Raw\"/><KeyValue>"                   \
             "<KeyMaterial type=\"ByteString\" value=\"" v "\"/></KeyValue></KeyBlock></SymmetricKey>"

static const struct row {
    const char *what, *request, *expected, *actual;
    bool differs;
} rows[] = {
    {"the same", REQUEST("Get", UID("k")), ANSWER("Get", KEY("0011")), ANSWER("Get", KEY("0011")), false},
    {"other material of a key that the client registered", REQUEST("Get", UID("k")), ANSWER("Get", KEY("0011")),
     ANSWER("Get", KEY("0012")), true},
    {"a placeholder takes what comes", REQUEST("Activate", UID("k")), ANSWER("Activate", UID("$U")),
     ANSWER("Activate", UID("abc")), false},
    {"twice the same placeholder, two values", REQUEST("Locate", ""), ANSWER("Locate", UID("$U") UID("$U")),
     ANSWER("Locate", UID("a") UID("b")), true},
    {"what is located has no order", REQUEST("Locate", ""), ANSWER("Locate", UID("a") UID("b")),
     ANSWER("Locate", UID("b") UID("a")), false},
    {"something else is located", REQUEST("Locate", ""), ANSWER("Locate", UID("a")),
     ANSWER("Locate", UID("a") UID("b")), true},
    {"attributes have no order", REQUEST("GetAttributes", UID("k")),
     ANSWER("GetAttributes", UID("k") "<Attributes>" STATE("Active") NAME("n") "</Attributes>"),
     ANSWER("GetAttributes", UID("k") "<Attributes>" NAME("n") STATE("Active") "</Attributes>"), false},
    {"payload fields have one", REQUEST("Get", UID("k")), ANSWER("Sign", UID("k") DATA("00")),
     ANSWER("Sign", DATA("00") UID("k")), true},
    {"more attributes, where all are asked for", REQUEST("GetAttributes", UID("k")),
     ANSWER("GetAttributes", UID("k") "<Attributes>" STATE("Active") "</Attributes>"),
     ANSWER("GetAttributes", UID("k") "<Attributes>" STATE("Active") NAME("n") "</Attributes>"), false},
    {"more attributes than were named",
     REQUEST("GetAttributes", UID("k") "<AttributeReference type=\"Enumeration\" value=\"State\"/>"),
     ANSWER("GetAttributes", UID("k") "<Attributes>" STATE("Active") "</Attributes>"),
     ANSWER("GetAttributes", UID("k") "<Attributes>" STATE("Active") NAME("n") "</Attributes>"), true},
    {"an attribute is missing", REQUEST("GetAttributes", UID("k")),
     ANSWER("GetAttributes", UID("k") "<Attributes>" STATE("Active") NAME("n") "</Attributes>"),
     ANSWER("GetAttributes", UID("k") "<Attributes>" STATE("Active") "</Attributes>"), true},
    {"random bytes", REQUEST("RNGRetrieve", ""), ANSWER("RNGRetrieve", DATA("0001")),
     ANSWER("RNGRetrieve", DATA("0203")), false},
    {"bytes that follow from what was sent", REQUEST("Hash", DATA("00")), ANSWER("Hash", DATA("0001")),
     ANSWER("Hash", DATA("0203")), true},
    {"another server's operations", REQUEST("Query", ""),
     ANSWER("Query", "<Operation type=\"Enumeration\" value=\"Create\"/>"),
     ANSWER("Query",
            "<Operation type=\"Enumeration\" value=\"Get\"/><Operation type=\"Enumeration\" value=\"Create\"/>"),
     false},
    {"an operation is missing", REQUEST("Query", ""),
     ANSWER("Query", "<Operation type=\"Enumeration\" value=\"Create\"/>"),
     ANSWER("Query", "<Operation type=\"Enumeration\" value=\"Get\"/>"), true},
    {"another vendor", REQUEST("Query", ""), ANSWER("Query", "<VendorIdentification type=\"TextString\" value=\"a\"/>"),
     ANSWER("Query", "<VendorIdentification type=\"TextString\" value=\"b\"/>"), false},
    {"a date that no request gave", REQUEST("GetAttributes", UID("k")),
     ANSWER("GetAttributes",
            "<Attributes><InitialDate type=\"DateTime\" value=\"2012-04-27T08:14:38+00:00\"/></Attributes>"),
     ANSWER("GetAttributes",
            "<Attributes><InitialDate type=\"DateTime\" value=\"2026-04-27T08:14:38+00:00\"/></Attributes>"),
     false},
    {"a date that one gave",
     REQUEST("Create",
             "<Attributes><ActivationDate type=\"DateTime\" value=\"2012-04-27T08:14:38+00:00\"/></Attributes>"),
     ANSWER("GetAttributes",
            "<Attributes><ActivationDate type=\"DateTime\" value=\"2012-04-27T08:14:38+00:00\"/></Attributes>"),
     ANSWER("GetAttributes",
            "<Attributes><ActivationDate type=\"DateTime\" value=\"2026-04-27T08:14:38+00:00\"/></Attributes>"),
     true},
    {"a date far from now", REQUEST("GetAttributes", UID("k")),
     ANSWER("GetAttributes", "<Attributes><InitialDate type=\"DateTime\" value=\"$NOW-3600\"/></Attributes>"),
     ANSWER("GetAttributes",
            "<Attributes><InitialDate type=\"DateTime\" value=\"2001-04-27T08:14:38+00:00\"/></Attributes>"),
     true},
    {"an extension", REQUEST("Activate", UID("k")), ANSWER("Activate", UID("k")),
     "<ResponseMessage>" HEADER(
         "1") "<BatchItem><Operation type=\"Enumeration\" value=\"Activate\"/>"
              "<ResultStatus type=\"Enumeration\" value=\"Success\"/><ResponsePayload>" UID(
                  "k") "</ResponsePayload>"
                       "<MessageExtension><VendorIdentification type=\"TextString\" value=\"x\"/>"
                       "<CriticalityIndicator type=\"Boolean\" "
                       "value=\"false\"/><VendorExtension/></MessageExtension></BatchItem>"
                       "</ResponseMessage>",
     false},
    {"a critical one", REQUEST("Activate", UID("k")), ANSWER("Activate", UID("k")),
     "<ResponseMessage>" HEADER(
         "1") "<BatchItem><Operation type=\"Enumeration\" value=\"Activate\"/>"
              "<ResultStatus type=\"Enumeration\" value=\"Success\"/><ResponsePayload>" UID(
                  "k") "</ResponsePayload>"
                       "<MessageExtension><VendorIdentification type=\"TextString\" value=\"x\"/>"
                       "<CriticalityIndicator type=\"Boolean\" "
                       "value=\"true\"/><VendorExtension/></MessageExtension></BatchItem>"
                       "</ResponseMessage>",
     true},
    {"another version", REQUEST("Activate", UID("k")), ANSWER("Activate", UID("k")),
     "<ResponseMessage>" HEADER("0") "<BatchItem><Operation type=\"Enumeration\" value=\"Activate\"/>"
                                     "<ResultStatus type=\"Enumeration\" value=\"Success\"/><ResponsePayload>" UID(
                                         "k") "</ResponsePayload></BatchItem>"
                                              "</ResponseMessage>",
     true},
    {"a refusal", REQUEST("Activate", UID("k")), ANSWER("Activate", UID("k")),
     "<ResponseMessage>" HEADER(
         "1") "<BatchItem><Operation type=\"Enumeration\" value=\"Activate\"/>"
              "<ResultStatus type=\"Enumeration\" value=\"OperationFailed\"/>"
              "<ResultReason type=\"Enumeration\" value=\"PermissionDenied\"/></BatchItem></ResponseMessage>",
     true},
    {"no answer to the item", REQUEST("Activate", UID("k")), ANSWER("Activate", UID("k")),
     "<ResponseMessage>" HEADER("1") "</ResponseMessage>", true},
};

static struct tree *
read_tree(const char *xml, struct ks_arena *arena, bool as_sent, int64_t now)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(1 << 20);
    struct ks_diag diag = {0};
    struct tree *t = NULL;
    char date[KS_TIME_TEXT_LEN];
    if (!as_sent) {
        assert_int_equal(tree_read_case(ks_span_str(xml), arena, &t, &diag), 0);
        return t;
    }
    /* What a server sends has its time where the case has $NOW. */
    assert_int_equal(ks_time_format(now, date), 0);
    const char *at;
    for (; (at = strstr(xml, "$NOW")) != NULL; xml = at + 4) {
        ks_buf_add(&text, xml, (size_t)(at - xml));
        ks_buf_add_str(&text, date);
    }
    ks_buf_add_str(&text, xml);
    struct ks_span copy;
    assert_int_equal(ks_arena_span(arena, ks_buf_span(&text), &copy), 0);
    if (tree_read(KMIP_ENCODING_XML, copy, arena, &t, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
    return t;
}

static void
test_what_may_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(16 << 20);
        KS_CLEANUP(provenance_done) struct provenance provenance = {KS_BUF(1 << 16), KS_BUF(1 << 16)};
        const int64_t now = 1780000000;
        struct memory m = {.arena = &arena,
                           .provenance = &provenance,
                           .version = KMIP_V2_1,
                           .started = now,
                           .now = now,
                           .tolerance = 30};
        struct difference *d = NULL;
        const struct tree *request = read_tree(rows[i].request, &arena, true, now);
        assert_int_equal(memory_request(&m, request), 0);
        assert_int_equal(compare_answers(&m, request, read_tree(rows[i].expected, &arena, false, now),
                                         read_tree(rows[i].actual, &arena, true, now), &d),
                         0);
        if ((d != NULL) != rows[i].differs)
            fail_msg("%s: %s%s%s", rows[i].what, d != NULL ? d->path : "no difference", d != NULL ? ": " : "",
                     d != NULL ? d->got : "");
    }
}

/* The key that a server makes has some material, and the same the next time. */
static void
test_generated_material(void **state)
{
    (void)state;
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(16 << 20);
    KS_CLEANUP(provenance_done) struct provenance provenance = {KS_BUF(1 << 16), KS_BUF(1 << 16)};
    struct memory m = {.arena = &arena, .provenance = &provenance, .version = KMIP_V2_1, .tolerance = 30};
    static const struct {
        const char *request, *expected, *actual;
        bool differs;
    } steps[] = {
        {REQUEST("Create", ""), ANSWER("Create", UID("$U")), ANSWER("Create", UID("k")), false},
        {REQUEST("Get", UID("k")), ANSWER("Get", KEY("0011")), ANSWER("Get", KEY("aabb")), false},
        {REQUEST("Get", UID("k")), ANSWER("Get", KEY("0011")), ANSWER("Get", KEY("aabb")), false},
        {REQUEST("Get", UID("k")), ANSWER("Get", KEY("0011")), ANSWER("Get", KEY("ccdd")), true},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(steps); i++) {
        struct difference *d = NULL;
        const struct tree *request = read_tree(steps[i].request, &arena, true, 0);
        assert_int_equal(memory_request(&m, request), 0);
        assert_int_equal(compare_answers(&m, request, read_tree(steps[i].expected, &arena, false, 0),
                                         read_tree(steps[i].actual, &arena, true, 0), &d),
                         0);
        assert_int_equal(d != NULL, steps[i].differs);
    }
}

static void
test_placeholders(void **state)
{
    (void)state;
    struct ks_span name;
    int64_t offset;
    assert_true(tree_var(KS_LIT("$NOW-3600"), &name, &offset));
    assert_true(ks_span_is(name, "NOW"));
    assert_int_equal(offset, -3600);
    assert_true(tree_var(KS_LIT("$UNIQUE_IDENTIFIER_0"), &name, &offset));
    assert_true(ks_span_is(name, "UNIQUE_IDENTIFIER_0"));
    assert_false(tree_var(KS_LIT("$5"), &name, &offset));
    assert_false(tree_var(KS_LIT("$A b"), &name, &offset));
    assert_false(tree_var(KS_LIT("a$B"), &name, &offset));
    assert_false(tree_var(KS_LIT("$"), &name, &offset));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_may_differ),
        cmocka_unit_test(test_generated_material),
        cmocka_unit_test(test_placeholders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
