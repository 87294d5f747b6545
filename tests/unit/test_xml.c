/* XML: values as the profiles have them, and everything that is no message. */
#include "kmip_testing.h"

#define ITEM(type, value) "<CompromiseDate type=\"" type "\" value=\"" value "\"/>\n"

/* What TTLV says, as it is written in XML. */
static const struct {
    const char *hex, *xml;
} values[] = {
    {"420020 02 00000004 FFFFFFFF00000000", ITEM("Integer", "-1")},
    {"42002C 02 00000004 0000000C00000000", "<CryptographicUsageMask type=\"Integer\" value=\"Encrypt Decrypt\"/>\n"},
    {"42002C 02 00000004 4000000100000000", "<CryptographicUsageMask type=\"Integer\" value=\"Sign 0x40000000\"/>\n"},
    {"42002C 02 00000004 0000000000000000", "<CryptographicUsageMask type=\"Integer\" value=\"0\"/>\n"},
    {"420020 03 00000008 8000000000000000", ITEM("LongInteger", "-9223372036854775808")},
    {"420020 04 00000008 FFFFFFFFFFFFFFFE", ITEM("BigInteger", "fffffffffffffffe")},
    {"420057 05 00000004 0000000200000000", "<ObjectType type=\"Enumeration\" value=\"SymmetricKey\"/>\n"},
    {"420057 05 00000004 8000000200000000", "<ObjectType type=\"Enumeration\" value=\"0x80000002\"/>\n"},
    {"420020 06 00000008 0000000000000000", ITEM("Boolean", "false")},
    {"420020 07 0000000B 3C263E22270A0D09C3A921 0000000000",
     ITEM("TextString", "&#60;&#38;&#62;&#34;'&#10;&#13;&#9;\xc3\xa9!")},
    {"420020 07 00000000", ITEM("TextString", "")},
    {"420020 08 00000002 00FF000000000000", ITEM("ByteString", "00ff")},
    {"420020 09 00000008 0000000047DA67F8", ITEM("DateTime", "2008-03-14T11:56:40+00:00")},
    {"420020 09 00000008 8000000000000000", ITEM("DateTime", "0x8000000000000000")},
    {"420020 0A 00000004 FFFFFFFF00000000", ITEM("Interval", "4294967295")},
    /* Extensions, ours too, are numbers to others. */
    {"540001 01 00000010 42005C 05 00000004 8000000100000000",
     "<TTLV tag=\"0x540001\">\n  <Operation type=\"Enumeration\" value=\"0x80000001\"/>\n</TTLV>\n"},
    {"54FFFF 0E 00000001 6100000000000000", "<TTLV tag=\"0x54FFFF\" type=\"NameReference\" value=\"a\"/>\n"},
    {"54FFFF 01 00000008 420078 01 00000000",
     "<TTLV tag=\"0x54FFFF\">\n  <RequestMessage>\n  </RequestMessage>\n</TTLV>\n"},
};

static void
values_are_written_and_read_as_the_profiles_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(values); i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(4096), xml = KS_BUF(4096), again = KS_BUF(4096);
        from_hex(values[i].hex, &ttlv);
        transcode(KMIP_ENCODING_TTLV, ks_buf_span(&ttlv), KMIP_ENCODING_XML, &xml);
        assert_string_equal(ks_buf_cstr(&xml), values[i].xml);
        transcode(KMIP_ENCODING_XML, ks_span_str(values[i].xml), KMIP_ENCODING_TTLV, &again);
        assert_bytes(ks_buf_span(&again), ks_buf_span(&ttlv));
    }
}

static const struct {
    const char *xml, *hex;
} spellings[] = {
    {"<?xml version='1.0' encoding='UTF-8'?><!-- x --><CompromiseDate value='0x08' type='0x02'></CompromiseDate>\n",
     "420020 02 00000004 0000000800000000"},
    {"<TTLV tag='0x420020' name='mine' type='Integer' value='8'/>", "420020 02 00000004 0000000800000000"},
    {"<RequestMessage type='Structure'> <BatchItem/> </RequestMessage>", "420078 01 00000008 42000F 01 00000000"},
    {"<CryptographicUsageMask type='Integer' value=' Encrypt | Decrypt '/>", "42002C 02 00000004 0000000C00000000"},
    {"<CompromiseDate type='DateTime' value='2008-03-14T11:56:40Z'/>", "420020 09 00000008 0000000047DA67F8"},
    {"<CompromiseDate type='DateTimeExtended' value='1970-01-01T00:00:01.5Z'/>", "420020 0B 00000008 000000000016E360"},
    {"<CompromiseDate type='ByteString' value='00 FF'/>", "420020 08 00000002 00FF000000000000"},
    {"<CompromiseDate type='TextString' value='&lt;&#xe9;'/>", "420020 07 00000003 3CC3A90000000000"},
    /* The enumeration inside an Attribute Value is that of the attribute, only behind its name and in its structure. */
    {"<Attribute><AttributeName type='TextString' value='Object Type'/>"
     "<AttributeValue type='Enumeration' value='SecretData'/></Attribute>",
     "420008 01 00000028 42000A 07 0000000B 4F626A65637420547970650000000000 42000B 05 00000004 0000000700000000"},
};

static void
other_spellings_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(spellings); i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf want = KS_BUF(4096), got = KS_BUF(4096);
        from_hex(spellings[i].hex, &want);
        transcode(KMIP_ENCODING_XML, ks_span_str(spellings[i].xml), KMIP_ENCODING_TTLV, &got);
        assert_bytes(ks_buf_span(&got), ks_buf_span(&want));
    }
}

static const struct malformed malformed[] = {
    {"empty", "", KS_E_MALFORMED, 0, "", "no element found"},
    {"no XML", "hello", KS_E_MALFORMED, 0, "", "syntax error"},
    {"no end", "<BatchItem>", KS_E_MALFORMED, 11, "BatchItem[0]", "no element found"},
    {"another end", "<BatchItem></Batch>", KS_E_MALFORMED, 13, "BatchItem[0]", "mismatched tag"},
    {"two messages", "<BatchItem/><BatchItem/>", KS_E_MALFORMED, 12, "BatchItem[0]", "junk after"},
    {"an unknown element", "<Bird/>", KS_E_MALFORMED, 0, "", "\"Bird\" is no tag"},
    {"an unknown tag", "<TTLV tag='0x430000'/>", KS_E_MALFORMED, 0, "", "is no tag"},
    {"TTLV without a tag", "<TTLV/>", KS_E_MALFORMED, 0, "", "the attribute tag belongs"},
    {"a tag without TTLV", "<BatchItem tag='0x42000F'/>", KS_E_MALFORMED, 0, "", "the attribute tag belongs"},
    {"an unknown type", "<BatchItem type='Float' value='1'/>", KS_E_MALFORMED, 0, "BatchItem[0]", "no item type"},
    {"an unknown attribute", "<BatchItem kind='Float'/>", KS_E_MALFORMED, 0, "", "has the attributes"},
    {"a structure with a value", "<BatchItem value='1'/>", KS_E_MALFORMED, 0, "BatchItem[0]", "has no value"},
    {"a leaf without", "<CompromiseDate type='Integer'/>", KS_E_MALFORMED, 0, "CompromiseDate",
     "the element has no value"},
    {"a leaf with children", "<CompromiseDate type='Integer' value='1'><BatchItem/></CompromiseDate>", KS_E_MALFORMED,
     41, "CompromiseDate", "no elements inside"},
    {"text", "<BatchItem>1</BatchItem>", KS_E_MALFORMED, 11, "BatchItem[0]", "values stand in"},
    {"text in the second", "<RequestMessage><BatchItem/><BatchItem>x</BatchItem></RequestMessage>", KS_E_MALFORMED, 39,
     "RequestMessage/BatchItem[1]", "values stand in"},
    {"a document type", "<!DOCTYPE a [<!ENTITY b 'c'>]><BatchItem/>", KS_E_MALFORMED, 12, "", "document type"},
    {"an entity", "<CompromiseDate type='TextString' value='&b;'/>", KS_E_MALFORMED, 0, "", "undefined entity"},
    {"not UTF-8", "<CompromiseDate type='TextString' value='\xff'/>", KS_E_MALFORMED, 41, "", "not well-formed"},
    {"a control character", "<CompromiseDate type='TextString' value='&#1;'/>", KS_E_MALFORMED, 41, "",
     "invalid character"},
    {"an Integer too large", ITEM("Integer", "2147483648"), KS_E_LIMIT, 0, "CompromiseDate", "too large for Integer"},
    {"an Integer of letters", ITEM("Integer", "1x"), KS_E_MALFORMED, 0, "CompromiseDate", "is no Integer"},
    {"hexadecimal too long", ITEM("Integer", "0x100000000"), KS_E_LIMIT, 0, "CompromiseDate", "too large for Integer"},
    {"hexadecimal of letters", ITEM("Integer", "0xxy"), KS_E_MALFORMED, 0, "CompromiseDate", "is no Integer"},
    {"a Boolean of neither", ITEM("Boolean", "TRUE"), KS_E_MALFORMED, 0, "CompromiseDate", "is no Boolean"},
    {"a date of neither", ITEM("DateTime", "yesterday"), KS_E_MALFORMED, 0, "CompromiseDate", "is no DateTime"},
    {"a year too many", ITEM("DateTime", "10000-01-01T00:00:00Z"), KS_E_MALFORMED, 0, "CompromiseDate",
     "is no DateTime"},
    {"an unknown value", "<ObjectType type='Enumeration' value='Bird'/>", KS_E_MALFORMED, 0, "ObjectType",
     "\"Bird\" is no value of ObjectType"},
    {"a text for an element in it",
     "<RequestMessage><BatchItem><ObjectType type='Enumeration' value='Bird'/>"
     "</BatchItem></RequestMessage>",
     KS_E_MALFORMED, 27, "RequestMessage/BatchItem[0]/ObjectType", "\"Bird\""},
};

static void
malformed_input_is_refused_with_its_path_and_offset(void **state)
{
    (void)state;
    bool ok = true;
    for (size_t i = 0; i < KS_ARRAY_LEN(malformed); i++)
        ok &= is_malformed(&malformed[i], KMIP_ENCODING_XML, ks_span_str(malformed[i].in), &kmip_limits_default);
    assert_true(ok);
}

static void
limits_are_kept(void **state)
{
    static const char nested[] = "<RequestMessage><BatchItem></BatchItem></RequestMessage>";
    static const struct {
        struct kmip_limits limits;
        struct malformed m;
    } cases[] = {
        {{sizeof(nested) - 2, 32, 100, 100}, {"bytes", nested, KS_E_LIMIT, 0, "", "bytes; at most"}},
        {{100, 1, 100, 100}, {"depth", nested, KS_E_LIMIT, 16, "RequestMessage/BatchItem[0]", "more than 1 deep"}},
        {{100, 2, 1, 100}, {"items", nested, KS_E_LIMIT, 16, "RequestMessage/BatchItem[0]", "more than 1 items"}},
        {{100, 2, 2, 2}, {"text", ITEM("TextString", "abc"), KS_E_LIMIT, 0, "CompromiseDate", "3 bytes in one"}},
        {{100, 2, 2, 2}, {"bytes", ITEM("ByteString", "010203"), KS_E_LIMIT, 0, "CompromiseDate", "too large"}},
        {{100, 2, 2, 3}, {"enough", ITEM("ByteString", "010203"), 0, 0, "", ""}},
    };
    (void)state;
    bool ok = true;
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++)
        ok &= is_malformed(&cases[i].m, KMIP_ENCODING_XML, ks_span_str(cases[i].m.in), &cases[i].limits);
    assert_true(ok);
}

static void
cut_anywhere_it_is_refused(void **state)
{
    static const char sample[] = "<RequestMessage><!-- c --><BatchItem type='Structure'><Operation type='Enumeration' "
                                 "value='G&#101;t'/><TTLV tag='0x54FFFF' type='Integer' value='12'></TTLV></BatchItem>"
                                 "</RequestMessage>";
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(4096);
    transcode(KMIP_ENCODING_XML, ks_span_str(sample), KMIP_ENCODING_TTLV, &out);
    for (size_t len = 0; len < sizeof(sample) - 1; len++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
        struct ks_diag diag = {0};
        ks_buf_reset(&out);
        assert_int_equal(kmip_transcode(KMIP_ENCODING_XML, KS_SPAN(sample, len), KMIP_ENCODING_TTLV,
                                        &kmip_limits_default, &arena, &out, &diag),
                         KS_E_MALFORMED);
        assert_true(diag.offset <= len);
    }
}

static void
what_xml_cannot_carry_is_not_written(void **state)
{
    static const char *const texts[] = {"01", "00", "EFBFBE", "61EFBFBF"};
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(texts); i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(64), ttlv = KS_BUF(64), xml = KS_BUF(256);
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
        struct ks_diag diag = {0};
        from_hex(texts[i], &text);
        const struct kmip_item item = {
            .tag = KMIP_TAG_NAME_VALUE, .type = KMIP_TYPE_TEXT_STRING, .s = ks_buf_span(&text)};
        assert_int_equal(kmip_item_to_ttlv(&item, &ttlv), 0);
        assert_int_equal(kmip_transcode(KMIP_ENCODING_TTLV, ks_buf_span(&ttlv), KMIP_ENCODING_XML, &kmip_limits_default,
                                        &arena, &xml, &diag),
                         KS_E_UNSUPPORTED);
        assert_non_null(strstr(diag.message, "XML cannot carry"));
    }
}

/* A message with a fault is answered in its own version, wherever behind that the fault is. */
static void
the_version_is_found_before_a_fault(void **state)
{
    static const char before[] =
        "<RequestMessage><RequestHeader><ProtocolVersion><ProtocolVersionMajor type='Integer' value='2'/>"
        "<ProtocolVersionMinor type='Integer' value='1'/>";
    static const char behind[] =
        "</ProtocolVersion><BatchCount type='Integer' value='1'/></RequestHeader></RequestMessage>";
    static const char *const none[] = {
        "",
        "<RequestMessage><RequestHeader><BatchCount type='Integer' value='1'/></RequestHeader>",
        "<ResponseMessage>",
        "<RequestMessage><RequestMessage>",
    };
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(4096);
    assert_int_equal(ks_buf_add_str(&text, before), 0);
    assert_int_equal(ks_buf_add_str(&text, behind), 0);
    for (size_t len = 0; len < text.len; len++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 16);
        const struct kmip_version_number got =
            kmip_transcode_version(KMIP_ENCODING_XML, KS_SPAN(text.data, len), &kmip_limits_default, &arena);
        const bool found = len >= sizeof(before) - 1;
        assert_int_equal(got.major, found ? 2 : 0);
        assert_int_equal(got.minor, found ? 1 : 0);
    }
    for (size_t i = 0; i < KS_ARRAY_LEN(none); i++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 16);
        const struct kmip_version_number got =
            kmip_transcode_version(KMIP_ENCODING_XML, ks_span_str(none[i]), &kmip_limits_default, &arena);
        assert_int_equal(got.major, 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_written_and_read_as_the_profiles_say),
        cmocka_unit_test(other_spellings_are_read),
        cmocka_unit_test(malformed_input_is_refused_with_its_path_and_offset),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(cut_anywhere_it_is_refused),
        cmocka_unit_test(the_version_is_found_before_a_fault),
        cmocka_unit_test(what_xml_cannot_carry_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
