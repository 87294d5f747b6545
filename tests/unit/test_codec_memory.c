/*
 * The codec without memory: every allocation fails in turn, by the system and by the limit of the arena. Each time the
 * answer is KS_E_NOMEM (KS_E_LIMIT where a buffer is full), and nothing is left behind.
 */
#include "kmip_testing.h"

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

static long until_failure = -1; /* allocations that still work; -1: all do */

void *
__wrap_malloc(size_t size)
{
    if (until_failure == 0)
        return NULL;
    if (until_failure > 0)
        until_failure--;
    return __real_malloc(size);
}

static const char request_xml[] =
    "<RequestMessage><RequestHeader><ProtocolVersion><ProtocolVersionMajor type='Integer' value='1'/>"
    "<ProtocolVersionMinor type='Integer' value='4'/></ProtocolVersion><BatchCount type='Integer' value='1'/>"
    "</RequestHeader><BatchItem><Operation type='Enumeration' value='Create'/><RequestPayload><ObjectType "
    "type='Enumeration' value='SymmetricKey'/><TemplateAttribute><Attribute><AttributeName type='TextString' "
    "value='Cryptographic Parameters'/><AttributeValue><TagLength type='Integer' value='16'/></AttributeValue>"
    "</Attribute><Attribute><AttributeName type='TextString' value='x-Rack'/><AttributeValue type='ByteString' "
    "value='00010203'/></Attribute></TemplateAttribute></RequestPayload></BatchItem><BatchItem><Operation "
    "type='Enumeration' value='Get'/><RequestPayload><BatchItem/></RequestPayload></BatchItem></RequestMessage>";

/* Reads and writes the sample by way of `by`, within the limits given. */
static int
round_trip(enum kmip_encoding by, struct ks_span in, size_t arena_limit, size_t buffer_limit)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(arena_limit);
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(buffer_limit), ttlv = KS_BUF(buffer_limit);
    struct kmip_any_reader reader;
    struct kmip_reader *r;
    struct kmip_request_message *message;
    struct ks_diag diag = {0};
    KS_TRY(kmip_transcode(by, in, KMIP_ENCODING_TTLV, &kmip_limits_default, &arena, &ttlv, &diag));
    KS_TRY(kmip_read_from(by, in, &kmip_limits_default, &arena, &reader, &r, &diag));
    KS_TRY(kmip_request_read(r, &arena, &message, &diag));
    assert_int_equal(message->n_batch_item, 2);
    assert_int_equal(message->batch_item[0]->payload_error, 0);
    assert_int_equal(message->batch_item[1]->payload_error, KS_E_MALFORMED);
    message->n_batch_item = 1;
    KS_TRY(kmip_request_encode(message, &out, &diag));
    struct kmip_item *item;
    KS_TRY(kmip_item_from_ttlv(ks_buf_span(&out), &kmip_limits_default, &arena, &item, &diag));
    if (kmip_item_copy(&arena, item) == NULL)
        return KS_E_NOMEM;
    return 0;
}

static void
sample(enum kmip_encoding encoding, struct ks_buf *ret)
{
    transcode(KMIP_ENCODING_XML, ks_span_str(request_xml), encoding, ret);
}

static void
every_allocation_may_fail(void **state)
{
    (void)state;
    for (unsigned by = KMIP_ENCODING_TTLV; by <= KMIP_ENCODING_XML; by++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf in = KS_BUF(65536);
        sample((enum kmip_encoding)by, &in);
        long n = 0;
        for (;; n++) {
            until_failure = n;
            const int rc = round_trip((enum kmip_encoding)by, ks_buf_span(&in), 1 << 20, 65536);
            until_failure = -1;
            if (rc == 0)
                break;
            assert_int_equal(rc, KS_E_NOMEM);
        }
        assert_true(n >= 3);
    }
}

static void
every_arena_may_be_too_small(void **state)
{
    (void)state;
    for (unsigned by = KMIP_ENCODING_TTLV; by <= KMIP_ENCODING_XML; by++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf in = KS_BUF(65536);
        sample((enum kmip_encoding)by, &in);
        size_t limit = 0;
        int rc;
        while ((rc = round_trip((enum kmip_encoding)by, ks_buf_span(&in), limit, 65536)) != 0) {
            assert_int_equal(rc, KS_E_NOMEM);
            limit += 8;
        }
        /* What a message takes is in proportion to it: here it is read twice and copied twice. */
        assert_true(limit < 64 * in.len + 16384);
    }
}

static void
every_buffer_may_be_too_small(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf in = KS_BUF(65536);
    sample(KMIP_ENCODING_TTLV, &in);
    for (size_t limit = 0; limit < in.len; limit += 4)
        assert_int_equal(round_trip(KMIP_ENCODING_TTLV, ks_buf_span(&in), 1 << 20, limit), KS_E_LIMIT);
    assert_int_equal(round_trip(KMIP_ENCODING_TTLV, ks_buf_span(&in), 1 << 20, in.len), 0);
    for (unsigned to = KMIP_ENCODING_JSON; to <= KMIP_ENCODING_OUTLINE; to++)
        for (size_t limit = 0; limit < 400; limit++) {
            KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
            KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(limit);
            struct ks_diag diag = {0};
            assert_int_equal(kmip_transcode(KMIP_ENCODING_TTLV, ks_buf_span(&in), (enum kmip_encoding)to,
                                            &kmip_limits_default, &arena, &out, &diag),
                             KS_E_LIMIT);
            assert_true(diag.message[0] != '\0');
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_arena_may_be_too_small),
        cmocka_unit_test(every_buffer_may_be_too_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
