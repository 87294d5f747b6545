/* TTLV: the examples of the specification, and everything that is no TTLV. */
#include "kmip_testing.h"

/* KMIP 1.4, 9.1.2 (the same in every version; 2.0 adds Date-Time Extended, 3.0 the three types of references). */
static const struct {
    const char *hex, *xml;
} examples[] = {
    {"420020 | 02 | 00000004 | 0000000800000000", "<CompromiseDate type=\"Integer\" value=\"8\"/>\n"},
    {"420020 | 03 | 00000008 | 01B69B4BA5749200",
     "<CompromiseDate type=\"LongInteger\" value=\"123456789000000000\"/>\n"},
    {"420020 | 04 | 00000010 | 0000000003FD35EB6BC2DF4618080000",
     "<CompromiseDate type=\"BigInteger\" value=\"0000000003fd35eb6bc2df4618080000\"/>\n"},
    {"420020 | 05 | 00000004 | 000000FF00000000", "<CompromiseDate type=\"Enumeration\" value=\"0x000000FF\"/>\n"},
    {"420020 | 06 | 00000008 | 0000000000000001", "<CompromiseDate type=\"Boolean\" value=\"true\"/>\n"},
    {"420020 | 07 | 0000000B | 48656C6C6F20576F726C640000000000",
     "<CompromiseDate type=\"TextString\" value=\"Hello World\"/>\n"},
    {"420020 | 08 | 00000003 | 0102030000000000", "<CompromiseDate type=\"ByteString\" value=\"010203\"/>\n"},
    {"420020 | 09 | 00000008 | 0000000047DA67F8",
     "<CompromiseDate type=\"DateTime\" value=\"2008-03-14T11:56:40+00:00\"/>\n"},
    {"420020 | 0A | 00000004 | 000D2F0000000000", "<CompromiseDate type=\"Interval\" value=\"864000\"/>\n"},
    {"420020 | 01 | 00000020 | 420004 05 00000004 000000FE00000000 | 420005 02 00000004 000000FF00000000",
     "<CompromiseDate>\n  <ApplicationSpecificInformation type=\"Enumeration\" value=\"0x000000FE\"/>\n"
     "  <ArchiveDate type=\"Integer\" value=\"255\"/>\n</CompromiseDate>\n"},
    {"420020 | 0B | 00000008 | 0000000000000001",
     "<CompromiseDate type=\"DateTimeExtended\" value=\"1970-01-01T00:00:00.000001Z\"/>\n"},
    {"420020 | 0C | 00000001 | 6100000000000000", "<CompromiseDate type=\"Identifier\" value=\"a\"/>\n"},
    {"420020 | 0D | 00000000", "<CompromiseDate type=\"Reference\" value=\"\"/>\n"},
    {"420020 | 0E | 00000008 | 6162636465666768", "<CompromiseDate type=\"NameReference\" value=\"abcdefgh\"/>\n"},
    {"54FFFF | 02 | 00000004 | FFFFFFFF00000000", "<TTLV tag=\"0x54FFFF\" type=\"Integer\" value=\"-1\"/>\n"},
    {"42007B | 01 | 00000000", "<ResponseMessage>\n</ResponseMessage>\n"},
};

static void
the_examples_of_the_specification_read_and_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(examples); i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(4096), text = KS_BUF(4096), again = KS_BUF(4096);
        from_hex(examples[i].hex, &ttlv);
        transcode(KMIP_ENCODING_TTLV, ks_buf_span(&ttlv), KMIP_ENCODING_XML, &text);
        assert_string_equal(ks_buf_cstr(&text), examples[i].xml);
        transcode(KMIP_ENCODING_XML, ks_span_str(examples[i].xml), KMIP_ENCODING_TTLV, &again);
        assert_bytes(ks_buf_span(&again), ks_buf_span(&ttlv));
    }
}

static const struct malformed malformed[] = {
    {"empty", "", KS_E_MALFORMED, 0, "", "inside the header"},
    {"half a header", "42002002", KS_E_MALFORMED, 0, "", "inside the header"},
    {"a tag that is none", "41002002 00000004 0000000800000000", KS_E_MALFORMED, 0, "0x410020", "is no tag"},
    {"type 0", "42002000 00000004 0000000800000000", KS_E_MALFORMED, 3, "CompromiseDate", "0x00 is no item type"},
    {"type 15", "4200200F 00000004 0000000800000000", KS_E_MALFORMED, 3, "CompromiseDate", "0x0F is no item type"},
    {"an Integer of 5 bytes", "42002002 00000005 0000000800000000", KS_E_MALFORMED, 4, "CompromiseDate", "is 4, not 5"},
    {"an Integer of 0 bytes", "42002002 00000000", KS_E_MALFORMED, 4, "CompromiseDate", "is 4, not 0"},
    {"a Long Integer of 4", "42002003 00000004 0000000800000000", KS_E_MALFORMED, 4, "CompromiseDate", "is 8, not 4"},
    {"an Enumeration of 8", "42002005 00000008 0000000800000000", KS_E_MALFORMED, 4, "CompromiseDate", "is 4, not 8"},
    {"a Boolean of 4", "42002006 00000004 0000000100000000", KS_E_MALFORMED, 4, "CompromiseDate", "is 8, not 4"},
    {"a Date-Time of 4", "42002009 00000004 0000000100000000", KS_E_MALFORMED, 4, "CompromiseDate", "is 8, not 4"},
    {"an Interval of 8", "4200200A 00000008 0000000100000000", KS_E_MALFORMED, 4, "CompromiseDate", "is 4, not 8"},
    {"an extended date of 4", "4200200B 00000004 0000000100000000", KS_E_MALFORMED, 4, "CompromiseDate", "is 8, not 4"},
    {"a Big Integer of 0", "42002004 00000000", KS_E_MALFORMED, 4, "CompromiseDate", "multiple of 8"},
    {"a Big Integer of 4", "42002004 00000004 0000000800000000", KS_E_MALFORMED, 4, "CompromiseDate", "multiple of 8"},
    {"a structure of 4", "42002001 00000004 0000000800000000", KS_E_MALFORMED, 4, "CompromiseDate", "multiple of 8"},
    {"a Boolean that is 2", "42002006 00000008 0000000000000002", KS_E_MALFORMED, 8, "CompromiseDate", "0 or 1"},
    {"a Boolean in the wrong byte", "42002006 00000008 0100000000000000", KS_E_MALFORMED, 8, "CompromiseDate",
     "0 or 1"},
    {"padding of an Integer", "42002002 00000004 0000000800000001", KS_E_MALFORMED, 12, "CompromiseDate", "padding"},
    {"padding of a text", "42002007 00000003 6162630000000100", KS_E_MALFORMED, 11, "CompromiseDate", "padding"},
    {"not UTF-8", "42002007 00000002 C328000000000000", KS_E_MALFORMED, 8, "CompromiseDate", "UTF-8"},
    {"an Identifier that is not UTF-8", "4200200C 00000001 FF00000000000000", KS_E_MALFORMED, 8, "CompromiseDate",
     "UTF-8"},
    {"a length past the input", "42002008 00000009 0102030000000000", KS_E_MALFORMED, 4, "CompromiseDate",
     "8 bytes are left"},
    {"the largest length", "42002008 FFFFFFFF 0102030000000000", KS_E_MALFORMED, 4, "CompromiseDate",
     "8 bytes are left"},
    {"a largest structure", "42002001 FFFFFFF8 0102030000000000", KS_E_MALFORMED, 4, "CompromiseDate",
     "8 bytes are left"},
    {"missing padding", "42002007 00000003 616263", KS_E_MALFORMED, 4, "CompromiseDate", "3 bytes are left"},
    {"trailing bytes", "42002002 00000004 0000000800000000 00", KS_E_MALFORMED, 16, "CompromiseDate", "1 bytes follow"},
    {"a second item", "42002002 00000004 0000000800000000 42002002 00000004 0000000800000000", KS_E_MALFORMED, 16,
     "CompromiseDate", "16 bytes follow"},
    {"a child past the end of its parent", "42007801 00000010 42000F01 00000000 42000F01 00000008", KS_E_MALFORMED, 20,
     "RequestMessage/BatchItem[1]", "0 bytes are left"},
    {"a child past its parent", "42007801 00000010 42000F01 00000010 42000F01 00000000 42000F01 00000000",
     KS_E_MALFORMED, 12, "RequestMessage/BatchItem[0]", "8 bytes are left in the structure"},
    {"a second child", "42007801 00000020 42000F01 00000000 42000F01 00000010 42005C05 00000003 0000000A00000000",
     KS_E_MALFORMED, 28, "RequestMessage/BatchItem[1]/Operation", "is 4, not 3"},
    {"a tag in a structure", "42007801 00000010 00000000 00000000 42000F01 00000000", KS_E_MALFORMED, 8,
     "RequestMessage/0x000000", "is no tag"},
};

static void
malformed_input_is_refused_with_its_path_and_offset(void **state)
{
    (void)state;
    bool ok = true;
    for (size_t i = 0; i < KS_ARRAY_LEN(malformed); i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf in = KS_BUF(4096);
        from_hex(malformed[i].in, &in);
        ok &= is_malformed(&malformed[i], KMIP_ENCODING_TTLV, ks_buf_span(&in), &kmip_limits_default);
    }
    assert_true(ok);
}

static void
limits_are_kept(void **state)
{
    static const char nested[] = "42007801 00000018 42000F01 00000010 42007901 00000008 42000F01 00000000";
    static const char text[] = "42002007 00000003 6162630000000000";
    static const struct {
        struct kmip_limits limits;
        struct malformed m;
    } cases[] = {
        {{31, 32, 100, 100}, {"bytes", nested, KS_E_LIMIT, 0, "", "32 bytes; at most 31"}},
        {{32, 3, 100, 100},
         {"depth", nested, KS_E_LIMIT, 24, "RequestMessage/BatchItem[0]/RequestPayload/BatchItem[0]",
          "more than 3 deep"}},
        {{32, 4, 3, 100},
         {"items", nested, KS_E_LIMIT, 24, "RequestMessage/BatchItem[0]/RequestPayload/BatchItem[0]",
          "more than 3 items"}},
        {{100, 4, 3, 2}, {"text", text, KS_E_LIMIT, 4, "CompromiseDate", "3 bytes in one item; at most 2"}},
        {{32, 4, 4, 0}, {"just enough", nested, 0, 0, "", ""}},
        {{16, 0, 1, 3}, {"just enough for a text", text, 0, 0, "", ""}},
    };
    (void)state;
    bool ok = true;
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf in = KS_BUF(4096);
        from_hex(cases[i].m.in, &in);
        ok &= is_malformed(&cases[i].m, KMIP_ENCODING_TTLV, ks_buf_span(&in), &cases[i].limits);
    }
    assert_true(ok);
}

/* No limit lets a message nest deeper than the readers and writers have room for. */
static void
depth_ends_where_the_readers_end(void **state)
{
    (void)state;
    static const struct kmip_limits limits = {1 << 20, 1000, 100000, 1 << 20};
    for (unsigned depth = KMIP_DEPTH_MAX; depth <= KMIP_DEPTH_MAX + 1; depth++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
        KS_CLEANUP(ks_buf_done) struct ks_buf in = KS_BUF(4096), out = KS_BUF(65536);
        for (unsigned i = 0; i < depth; i++) {
            ks_buf_add_be32(&in, 0x42007801);
            ks_buf_add_be32(&in, 8 * (depth - 1 - i));
        }
        for (unsigned to = KMIP_ENCODING_TTLV; to <= KMIP_ENCODING_OUTLINE; to++)
            assert_int_equal(kmip_transcode(KMIP_ENCODING_TTLV, ks_buf_span(&in), (enum kmip_encoding)to, &limits,
                                            &arena, &out, NULL),
                             depth <= KMIP_DEPTH_MAX ? 0 : KS_E_LIMIT);
    }
}

/* A request with every item type, used for cutting and flipping. */
static const char sample[] =
    "42007801 000000D8 | 42007701 00000038 42006901 00000020 42006A02 00000004 0000000200000000 42006B02 00000004 "
    "0000000100000000 42000D02 00000004 0000000100000000 | 42000F01 00000090 42005C05 00000004 0000000A00000000 "
    "42009308 00000003 0102030000000000 42007901 00000068 42009407 00000005 6162636465000000 42002006 00000008 "
    "0000000000000001 42002104 00000008 FFFFFFFFFFFFFFFF 42002209 00000008 0000000047DA67F8 4200220A 00000004 "
    "0000003C00000000 42002203 00000008 0000000000000001 42002308 00000000";

static void
cut_anywhere_it_is_refused(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf in = KS_BUF(4096), out = KS_BUF(4096);
    from_hex(sample, &in);
    transcode(KMIP_ENCODING_TTLV, ks_buf_span(&in), KMIP_ENCODING_TTLV, &out);
    assert_bytes(ks_buf_span(&out), ks_buf_span(&in));
    for (size_t len = 0; len < in.len; len++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
        struct ks_diag diag = {0};
        /* A copy of its own, so that a tool that watches memory sees a step too far. */
        uint8_t *copy = malloc(len != 0 ? len : 1);
        assert_non_null(copy);
        memcpy(copy, in.data, len);
        ks_buf_reset(&out);
        assert_int_equal(kmip_transcode(KMIP_ENCODING_TTLV, KS_SPAN(copy, len), KMIP_ENCODING_TTLV,
                                        &kmip_limits_default, &arena, &out, &diag),
                         KS_E_MALFORMED);
        assert_true(diag.offset <= len);
        assert_true(diag.message[0] != '\0');
        free(copy);
    }
}

/* There is one way to write a message: what is accepted comes out as it went in. */
static void
a_flipped_bit_is_refused_or_kept(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf in = KS_BUF(4096), out = KS_BUF(4096);
    unsigned refused = 0, kept = 0;
    from_hex(sample, &in);
    for (size_t bit = 0; bit < 8 * in.len; bit++) {
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
        struct ks_diag diag = {0};
        in.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        ks_buf_reset(&out);
        const int rc = kmip_transcode(KMIP_ENCODING_TTLV, ks_buf_span(&in), KMIP_ENCODING_TTLV, &kmip_limits_default,
                                      &arena, &out, &diag);
        if (rc == 0) {
            kept++;
            assert_bytes(ks_buf_span(&out), ks_buf_span(&in));
        } else {
            refused++;
            assert_int_equal(rc, KS_E_MALFORMED);
            assert_true(diag.offset < in.len);
        }
        in.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_true(refused > 500);
    assert_true(kept > 100);
}

static void
an_item_survives_its_ttlv(void **state)
{
    (void)state;
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
    KS_CLEANUP(ks_buf_done) struct ks_buf in = KS_BUF(4096), out = KS_BUF(4096);
    struct ks_diag diag = {0};
    struct kmip_item *item;
    from_hex(sample, &in);
    assert_int_equal(kmip_item_from_ttlv(ks_buf_span(&in), &kmip_limits_default, &arena, &item, &diag), 0);
    struct kmip_item *copy = kmip_item_copy(&arena, item);
    assert_non_null(copy);
    assert_true(kmip_item_equal(item, copy));
    assert_int_equal(kmip_item_to_ttlv(copy, &out), 0);
    assert_bytes(ks_buf_span(&out), ks_buf_span(&in));
    /* The copy has bytes of its own. */
    struct kmip_item *batch = kmip_item_child(copy, KMIP_TAG_BATCH_ITEM);
    struct kmip_item *id = kmip_item_child(batch, KMIP_TAG_UNIQUE_BATCH_ITEM_ID);
    assert_int_equal(id->s.len, 3);
    assert_true(id->s.data < in.data || id->s.data >= in.data + in.len);
    id->s.len = 2;
    assert_false(kmip_item_equal(item, copy));
    assert_null(kmip_item_child(batch, KMIP_TAG_RESPONSE_PAYLOAD));
    assert_null(kmip_item_child(id, KMIP_TAG_BATCH_ITEM));
}

static void
a_big_integer_is_filled_up_with_its_sign(void **state)
{
    static const struct {
        const char *number, *ttlv;
    } cases[] = {
        {"", "42002004 00000008 0000000000000000"},
        {"7F", "42002004 00000008 000000000000007F"},
        {"80", "42002004 00000008 FFFFFFFFFFFFFF80"},
        {"010000000000000000", "42002004 00000010 0000000000000001 0000000000000000"},
    };
    (void)state;
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf number = KS_BUF(64), want = KS_BUF(64), got = KS_BUF(64);
        from_hex(cases[i].number, &number);
        from_hex(cases[i].ttlv, &want);
        const struct kmip_item item = {
            .tag = KMIP_TAG_COMPROMISE_DATE, .type = KMIP_TYPE_BIG_INTEGER, .s = ks_buf_span(&number)};
        assert_int_equal(kmip_item_to_ttlv(&item, &got), 0);
        assert_bytes(ks_buf_span(&got), ks_buf_span(&want));
    }
}

static void
the_length_of_a_message_is_in_its_first_bytes(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf in = KS_BUF(64);
    struct ks_diag diag = {0};
    size_t len;
    from_hex("42007801 00000161", &in);
    assert_int_equal(kmip_ttlv_length(ks_buf_span(&in), &kmip_limits_default, &len, &diag), 0);
    assert_int_equal(len, 0x168 + 8);
    assert_int_equal(kmip_ttlv_length(KS_SPAN(in.data, 7), &kmip_limits_default, &len, NULL), KS_E_MALFORMED);
    from_hex("42007801 FFFFFFFF", &in);
    assert_int_equal(kmip_ttlv_length(ks_buf_span(&in), &kmip_limits_default, &len, NULL), KS_E_LIMIT);
    from_hex("16030100 00000000", &in); /* a TLS record */
    assert_int_equal(kmip_ttlv_length(ks_buf_span(&in), &kmip_limits_default, &len, NULL), KS_E_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_specification_read_and_write),
        cmocka_unit_test(malformed_input_is_refused_with_its_path_and_offset),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(depth_ends_where_the_readers_end),
        cmocka_unit_test(cut_anywhere_it_is_refused),
        cmocka_unit_test(a_flipped_bit_is_refused_or_kept),
        cmocka_unit_test(an_item_survives_its_ttlv),
        cmocka_unit_test(a_big_integer_is_filled_up_with_its_sign),
        cmocka_unit_test(the_length_of_a_message_is_in_its_first_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
