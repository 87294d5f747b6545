/* JSON: values as the profiles have them, and everything that is no message. */
#include "kmip_testing.h"

/* What TTLV says, as it is written in JSON. */
static const struct {
    const char *hex, *json;
} values[] = {
    {"420020 02 00000004 0000000800000000", "{\"tag\": \"CompromiseDate\", \"type\": \"Integer\", \"value\": 8}"},
    {"420020 02 00000004 FFFFFFFF00000000", "{\"tag\": \"CompromiseDate\", \"type\": \"Integer\", \"value\": -1}"},
    {"42002C 02 00000004 0000000C00000000",
     "{\"tag\": \"CryptographicUsageMask\", \"type\": \"Integer\", \"value\": \"Encrypt|Decrypt\"}"},
    {"42002C 02 00000004 4000000100000000",
     "{\"tag\": \"CryptographicUsageMask\", \"type\": \"Integer\", \"value\": \"Sign|0x40000000\"}"},
    {"42002C 02 00000004 0000000000000000",
     "{\"tag\": \"CryptographicUsageMask\", \"type\": \"Integer\", \"value\": 0}"},
    {"420020 03 00000008 001FFFFFFFFFFFFF",
     "{\"tag\": \"CompromiseDate\", \"type\": \"LongInteger\", \"value\": 9007199254740991}"},
    {"420020 03 00000008 0020000000000000",
     "{\"tag\": \"CompromiseDate\", \"type\": \"LongInteger\", \"value\": \"0x0020000000000000\"}"},
    {"420020 03 00000008 8000000000000000",
     "{\"tag\": \"CompromiseDate\", \"type\": \"LongInteger\", \"value\": \"0x8000000000000000\"}"},
    {"420020 04 00000008 FFFFFFFFFFFFFFFE",
     "{\"tag\": \"CompromiseDate\", \"type\": \"BigInteger\", \"value\": \"0xfffffffffffffffe\"}"},
    {"420057 05 00000004 0000000200000000",
     "{\"tag\": \"ObjectType\", \"type\": \"Enumeration\", \"value\": \"SymmetricKey\"}"},
    {"420057 05 00000004 8000000200000000",
     "{\"tag\": \"ObjectType\", \"type\": \"Enumeration\", \"value\": \"0x80000002\"}"},
    {"420020 06 00000008 0000000000000000", "{\"tag\": \"CompromiseDate\", \"type\": \"Boolean\", \"value\": false}"},
    {"420020 07 0000000A C3A9220A5CF09F94910A000000000000",
     "{\"tag\": \"CompromiseDate\", \"type\": \"TextString\", \"value\": "
     "\"\xc3\xa9\\\"\\u000a\\\\\xf0\x9f\x94\x91\\u000a\"}"},
    {"420020 07 00000001 0000000000000000",
     "{\"tag\": \"CompromiseDate\", \"type\": \"TextString\", \"value\": \"\\u0000\"}"},
    {"420020 08 00000002 00FF000000000000",
     "{\"tag\": \"CompromiseDate\", \"type\": \"ByteString\", \"value\": \"00ff\"}"},
    {"420020 09 00000008 0000000047DA67F8",
     "{\"tag\": \"CompromiseDate\", \"type\": \"DateTime\", \"value\": \"2008-03-14T11:56:40+00:00\"}"},
    {"420020 09 00000008 7FFFFFFFFFFFFFFF",
     "{\"tag\": \"CompromiseDate\", \"type\": \"DateTime\", \"value\": \"0x7FFFFFFFFFFFFFFF\"}"},
    {"420020 0A 00000004 FFFFFFFF00000000",
     "{\"tag\": \"CompromiseDate\", \"type\": \"Interval\", \"value\": 4294967295}"},
    {"420020 0B 00000008 FFFFFFFFFFFFFFFF",
     "{\"tag\": \"CompromiseDate\", \"type\": \"DateTimeExtended\", \"value\": \"1969-12-31T23:59:59.999999Z\"}"},
    {"54FFFF 0C 00000001 6100000000000000", "{\"tag\": \"0x54FFFF\", \"type\": \"Identifier\", \"value\": \"a\"}"},
    /* Extensions, ours too, are numbers to others. */
    {"540001 02 00000004 0000000100000000", "{\"tag\": \"0x540001\", \"type\": \"Integer\", \"value\": 1}"},
    {"42005C 05 00000004 8000000100000000",
     "{\"tag\": \"Operation\", \"type\": \"Enumeration\", \"value\": \"0x80000001\"}"},
    {"420078 01 00000000", "{\"tag\": \"RequestMessage\", \"value\": []}\n"},
};

static void
values_are_written_and_read_as_the_profiles_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(values); i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(4096), json = KS_BUF(4096), again = KS_BUF(4096);
        from_hex(values[i].hex, &ttlv);
        transcode(KMIP_ENCODING_TTLV, ks_buf_span(&ttlv), KMIP_ENCODING_JSON, &json);
        assert_string_equal(ks_buf_cstr(&json), values[i].json);
        transcode(KMIP_ENCODING_JSON, ks_buf_span(&json), KMIP_ENCODING_TTLV, &again);
        assert_bytes(ks_buf_span(&again), ks_buf_span(&ttlv));
    }
}

/* Other ways to write the same, which others use. */
static const struct {
    const char *json, *hex;
} spellings[] = {
    {"{\"value\":\"8\",\"type\":\"Integer\",\"tag\":\"CompromiseDate\"}", "420020 02 00000004 0000000800000000"},
    {" {\"tag\" : \"0x420020\",\"type\":\"0x02\",\"value\":\"0xFFFFFFFF\"} \n", "420020 02 00000004 FFFFFFFF00000000"},
    {"{\"tag\":\"CompromiseDate\",\"type\":\"Enumeration\",\"value\":255}", "420020 05 00000004 000000FF00000000"},
    {"{\"tag\":\"ObjectType\",\"type\":\"Enumeration\",\"value\":\"0x00000002\"}",
     "420057 05 00000004 0000000200000000"},
    {"{\"tag\":\"CryptographicUsageMask\",\"type\":\"Integer\",\"value\":\"Encrypt Decrypt\"}",
     "42002C 02 00000004 0000000C00000000"},
    {"{\"tag\":\"CompromiseDate\",\"type\":\"DateTime\",\"value\":\"2008-03-14T12:56:40+01:00\"}",
     "420020 09 00000008 0000000047DA67F8"},
    {"{\"tag\":\"CompromiseDate\",\"type\":\"DateTime\",\"value\":1205495800}", "420020 09 00000008 0000000047DA67F8"},
    {"{\"tag\":\"CompromiseDate\",\"type\":\"BigInteger\",\"value\":\"FE\"}", "420020 04 00000008 FFFFFFFFFFFFFFFE"},
    {"{\"tag\":\"CompromiseDate\",\"type\":\"TextString\",\"value\":\"\\u00e9\\ud83d\\udd11\\/\\b\\f\\n\\r\\t\"}",
     "420020 07 0000000C C3A9F09F94912F080C0A0D0900000000"},
    {"{\"tag\":\"0x54FFFF\",\"name\":\"ours\",\"type\":\"Boolean\",\"value\":\"0x0000000000000001\"}",
     "54FFFF 06 00000008 0000000000000001"},
    {"{\"tag\":\"RequestMessage\",\"type\":\"Structure\",\"value\":[ ]}", "420078 01 00000000"},
    {"{\"value\":[{\"value\":[],\"tag\":\"BatchItem\"}],\"tag\":\"RequestMessage\"}",
     "420078 01 00000008 42000F 01 00000000"},
    /* The enumeration inside an Attribute Value is that of the attribute. */
    {"{\"tag\":\"Attribute\",\"value\":[{\"tag\":\"AttributeName\",\"type\":\"TextString\",\"value\":\"State\"},"
     "{\"tag\":\"AttributeValue\",\"type\":\"Enumeration\",\"value\":\"Active\"}]}",
     "420008 01 00000020 42000A 07 00000005 5374617465000000 42000B 05 00000004 0000000200000000"},
};

static void
other_spellings_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(spellings); i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf want = KS_BUF(4096), got = KS_BUF(4096);
        from_hex(spellings[i].hex, &want);
        transcode(KMIP_ENCODING_JSON, ks_span_str(spellings[i].json), KMIP_ENCODING_TTLV, &got);
        assert_bytes(ks_buf_span(&got), ks_buf_span(&want));
    }
}

#define ITEM(type, value) "{\"tag\":\"CompromiseDate\",\"type\":\"" type "\",\"value\":" value "}"
enum { VALUE_AT = sizeof("{\"tag\":\"CompromiseDate\",\"type\":\"\",\"value\":") - 1 };

static const struct malformed malformed[] = {
    {"empty", "", KS_E_MALFORMED, 0, "", "an item begins with '{'"},
    {"an array", "[]", KS_E_MALFORMED, 0, "", "an item begins with '{'"},
    {"no members", "{}", KS_E_MALFORMED, 1, "", "name of a member"},
    {"no tag", "{\"value\":[]}", KS_E_MALFORMED, 0, "", "no \"tag\""},
    {"no value", " {\"tag\":\"BatchItem\"}", KS_E_MALFORMED, 1, "", "no \"value\""},
    {"another member", "{\"tag\":\"BatchItem\",\"values\":[]}", KS_E_MALFORMED, 19, "", "has the members"},
    {"a member twice", "{\"tag\":\"BatchItem\",\"tag\":\"BatchItem\"}", KS_E_MALFORMED, 19, "", "twice"},
    {"a tag that is a number", "{\"tag\":4325391,\"value\":[]}", KS_E_MALFORMED, 7, "", "a string is expected"},
    {"an unknown tag", "{\"tag\":\"Bird\",\"value\":[]}", KS_E_MALFORMED, 7, "", "\"Bird\" is no tag"},
    {"a tag out of range", "{\"tag\":\"0x430000\",\"value\":[]}", KS_E_MALFORMED, 7, "", "is no tag"},
    {"an unknown type", ITEM("Float", "1"), KS_E_MALFORMED, 31, "CompromiseDate", "\"Float\" is no item type"},
    {"type 0", ITEM("0x00", "1"), KS_E_MALFORMED, 31, "CompromiseDate", "is no item type"},
    {"no colon", "{\"tag\" \"BatchItem\"}", KS_E_MALFORMED, 7, "", "':'"},
    {"no comma", "{\"tag\":\"BatchItem\" \"value\":[]}", KS_E_MALFORMED, 19, "", "',' or '}'"},
    {"a comma too many", "{\"tag\":\"BatchItem\",}", KS_E_MALFORMED, 19, "", "name of a member"},
    {"no end", "{\"tag\":\"BatchItem\",\"value\":[", KS_E_MALFORMED, 28, "", "ends inside a value"},
    {"a string without an end", "{\"tag\":\"Batch", KS_E_MALFORMED, 7, "", "without an end"},
    {"a string that ends in a backslash", "{\"tag\":\"Batch\\", KS_E_MALFORMED, 7, "", "without an end"},
    {"more behind it", "{\"tag\":\"BatchItem\",\"value\":[]} {}", KS_E_MALFORMED, 31, "", "more follows"},
    {"a NUL behind it", NULL, KS_E_MALFORMED, 30, "", "more follows"},
    {"brackets", "{\"tag\":\"BatchItem\",\"value\":[}}", KS_E_MALFORMED, 28, "BatchItem[0]", "an item begins with '{'"},
    {"a comma in an array", "{\"tag\":\"BatchItem\",\"value\":[{\"tag\":\"BatchItem\",\"value\":[]},]}", KS_E_MALFORMED,
     59, "BatchItem[0]/BatchItem[0]", "an item begins with '{'"},
    {"a structure with a text", ITEM("Structure", "\"x\""), KS_E_MALFORMED, VALUE_AT + 9, "CompromiseDate", "an array"},
    {"an array for a leaf", ITEM("Integer", "[1]"), KS_E_MALFORMED, VALUE_AT + 7, "CompromiseDate", "only a structure"},
    {"null", ITEM("Integer", "null"), KS_E_MALFORMED, VALUE_AT + 7, "CompromiseDate", "a string is expected"},
    {"a fraction", ITEM("Integer", "1.5"), KS_E_MALFORMED, VALUE_AT + 7, "", "whole numbers"},
    {"an exponent", ITEM("Integer", "1e3"), KS_E_MALFORMED, VALUE_AT + 7, "", "whole numbers"},
    {"a leading zero", ITEM("Integer", "012"), KS_E_MALFORMED, VALUE_AT + 7, "", "a value is missing"},
    {"a lone minus", ITEM("Integer", "-"), KS_E_MALFORMED, VALUE_AT + 7, "", "a value is missing"},
    {"an Integer too large", ITEM("Integer", "2147483648"), KS_E_LIMIT, VALUE_AT + 7, "CompromiseDate",
     "too large for Integer"},
    {"an Integer too small", ITEM("Integer", "-2147483649"), KS_E_LIMIT, VALUE_AT + 7, "CompromiseDate",
     "too large for Integer"},
    {"a Long Integer too large", ITEM("LongInteger", "9223372036854775808"), KS_E_LIMIT, VALUE_AT + 11,
     "CompromiseDate", "too large for LongInteger"},
    {"an Interval below 0", ITEM("Interval", "-1"), KS_E_MALFORMED, VALUE_AT + 8, "CompromiseDate", "is no Interval"},
    {"an Interval too large", ITEM("Interval", "4294967296"), KS_E_LIMIT, VALUE_AT + 8, "CompromiseDate", "too large"},
    {"true for a number", ITEM("Integer", "true"), KS_E_MALFORMED, VALUE_AT + 7, "CompromiseDate",
     "a string is expected"},
    {"a number for a Boolean", ITEM("Boolean", "1"), KS_E_MALFORMED, VALUE_AT + 7, "CompromiseDate",
     "a string is expected"},
    {"a Boolean of neither", ITEM("Boolean", "\"yes\""), KS_E_MALFORMED, VALUE_AT + 7, "CompromiseDate",
     "is no Boolean"},
    {"a number for a text", ITEM("TextString", "1"), KS_E_MALFORMED, VALUE_AT + 10, "CompromiseDate",
     "a string is expected"},
    {"an unknown value", ITEM("Enumeration", "\"Bird\""), KS_E_MALFORMED, VALUE_AT + 11, "CompromiseDate",
     "\"Bird\" is no value"},
    {"an unknown bit", ITEM("Integer", "\"Bird\""), KS_E_MALFORMED, VALUE_AT + 7, "CompromiseDate", "is no Integer"},
    {"no Integer at all", ITEM("Integer", "\"\""), KS_E_MALFORMED, VALUE_AT + 7, "CompromiseDate", "is no Integer"},
    {"odd hexadecimal", ITEM("ByteString", "\"123\""), KS_E_MALFORMED, VALUE_AT + 10, "CompromiseDate",
     "is no ByteString"},
    {"no hexadecimal", ITEM("ByteString", "\"0g\""), KS_E_MALFORMED, VALUE_AT + 10, "CompromiseDate",
     "is no ByteString"},
    {"an empty Big Integer", ITEM("BigInteger", "\"\""), KS_E_MALFORMED, VALUE_AT + 10, "CompromiseDate",
     "is no BigInteger"},
    {"the 30th of February", ITEM("DateTime", "\"2026-02-30T00:00:00Z\""), KS_E_MALFORMED, VALUE_AT + 8,
     "CompromiseDate", "is no DateTime"},
    {"a control character", ITEM("TextString", "\"\n\""), KS_E_MALFORMED, VALUE_AT + 11, "", "control character"},
    {"not UTF-8", ITEM("TextString", "\"\xff\""), KS_E_MALFORMED, VALUE_AT + 10, "CompromiseDate", "UTF-8"},
    {"an escape that is none", ITEM("TextString", "\"\\x\""), KS_E_MALFORMED, VALUE_AT + 12, "CompromiseDate",
     "no such escape"},
    {"a short \\u", ITEM("TextString", "\"\\u12\""), KS_E_MALFORMED, VALUE_AT + 15, "CompromiseDate",
     "four hexadecimal"},
    {"half a pair", ITEM("TextString", "\"\\ud83d\""), KS_E_MALFORMED, VALUE_AT + 17, "CompromiseDate", "surrogate"},
    {"the other half", ITEM("TextString", "\"\\udd11\""), KS_E_MALFORMED, VALUE_AT + 17, "CompromiseDate", "surrogate"},
    {"two first halves", ITEM("TextString", "\"\\ud83d\\ud83d\""), KS_E_MALFORMED, VALUE_AT + 23, "CompromiseDate",
     "surrogate"},
};

static void
malformed_input_is_refused_with_its_path_and_offset(void **state)
{
    static const char with_nul[] = "{\"tag\":\"BatchItem\",\"value\":[]}";
    (void)state;
    bool ok = true;
    for (size_t i = 0; i < KS_ARRAY_LEN(malformed); i++) {
        const struct malformed *m = &malformed[i];
        const struct ks_span in = m->in != NULL ? ks_span_str(m->in) : KS_SPAN(with_nul, sizeof(with_nul));
        ok &= is_malformed(m, KMIP_ENCODING_JSON, in, &kmip_limits_default);
    }
    assert_true(ok);
}

static void
limits_are_kept(void **state)
{
    static const char nested[] = "{\"tag\":\"RequestMessage\",\"value\":[{\"tag\":\"BatchItem\",\"value\":[]}]}";
    static const struct {
        struct kmip_limits limits;
        struct malformed m;
    } cases[] = {
        {{64, 32, 100, 100}, {"bytes", nested, KS_E_LIMIT, 0, "", "65 bytes; at most 64"}},
        {{100, 1, 100, 100}, {"depth", nested, KS_E_LIMIT, 33, "RequestMessage/BatchItem[0]", "more than 1 deep"}},
        {{100, 2, 1, 100}, {"items", nested, KS_E_LIMIT, 33, "RequestMessage/BatchItem[0]", "more than 1 items"}},
        {{100, 2, 2, 2},
         {"text", ITEM("TextString", "\"abc\""), KS_E_LIMIT, VALUE_AT + 10, "CompromiseDate", "3 bytes in one"}},
        {{100, 2, 2, 2},
         {"bytes", ITEM("ByteString", "\"010203\""), KS_E_LIMIT, VALUE_AT + 10, "CompromiseDate", "too large"}},
        {{100, 2, 2, 3}, {"enough", ITEM("ByteString", "\"010203\""), 0, 0, "", ""}},
    };
    (void)state;
    bool ok = true;
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++)
        ok &= is_malformed(&cases[i].m, KMIP_ENCODING_JSON, ks_span_str(cases[i].m.in), &cases[i].limits);
    assert_true(ok);
}

static void
cut_anywhere_it_is_refused(void **state)
{
    static const char sample[] =
        "{\"tag\":\"RequestMessage\",\"value\":[{\"tag\":\"BatchItem\",\"type\":\"Structure\",\"value\":"
        "[{\"tag\":\"Operation\",\"type\":\"Enumeration\",\"value\":\"G\\u0065t\"},{\"tag\":"
        "\"BatchCount\",\"type\":\"Integer\",\"value\":12}]}]}";
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(4096);
    transcode(KMIP_ENCODING_JSON, ks_span_str(sample), KMIP_ENCODING_TTLV, &out);
    for (size_t len = 0; len < sizeof(sample) - 1; len++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
        struct ks_diag diag = {0};
        uint8_t *copy = malloc(len != 0 ? len : 1);
        assert_non_null(copy);
        memcpy(copy, sample, len);
        ks_buf_reset(&out);
        assert_int_equal(kmip_transcode(KMIP_ENCODING_JSON, KS_SPAN(copy, len), KMIP_ENCODING_TTLV,
                                        &kmip_limits_default, &arena, &out, &diag),
                         KS_E_MALFORMED);
        assert_true(diag.offset <= len);
        free(copy);
    }
}

/* A message with a fault is answered in its own version, wherever behind that the fault is. */
static void
the_version_is_found_before_a_fault(void **state)
{
    static const char before[] = "{\"tag\":\"RequestMessage\",\"value\":[{\"tag\":\"RequestHeader\",\"value\":[{"
                                 "\"tag\":\"ProtocolVersion\",\"value\":["
                                 "{\"tag\":\"ProtocolVersionMajor\",\"type\":\"Integer\",\"value\":2},"
                                 "{\"tag\":\"ProtocolVersionMinor\",\"type\":\"Integer\",\"value\":1}";
    static const char behind[] = "]},{\"tag\":\"BatchCount\",\"type\":\"Integer\",\"value\":1}]}]}";
    static const char *const none[] = {
        "",
        "{\"tag\":\"RequestMessage\",\"value\":[{\"tag\":\"RequestHeader\",\"value\":[{\"tag\":\"BatchCount\",\"type\":"
        "\"Integer\","
        "\"value\":1}]}]",
        "{\"tag\":\"ResponseMessage\",\"value\":[]",
        "{\"tag\":\"RequestMessage\",\"value\":[[[[",
        "{\"tag\":\"RequestMessage\",\"type\":\"Integer\",\"value\":[",
    };
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(4096);
    assert_int_equal(ks_buf_add_str(&text, before), 0);
    assert_int_equal(ks_buf_add_str(&text, behind), 0);
    for (size_t len = 0; len < text.len; len++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 16);
        const struct kmip_version_number got =
            kmip_transcode_version(KMIP_ENCODING_JSON, KS_SPAN(text.data, len), &kmip_limits_default, &arena);
        const bool found = len >= sizeof(before) - 1;
        assert_int_equal(got.major, found ? 2 : 0);
        assert_int_equal(got.minor, found ? 1 : 0);
    }
    for (size_t i = 0; i < KS_ARRAY_LEN(none); i++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 16);
        const struct kmip_version_number got =
            kmip_transcode_version(KMIP_ENCODING_JSON, ks_span_str(none[i]), &kmip_limits_default, &arena);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
