/*
 * What the codec costs: nanoseconds to decode a message and to encode it again, as lines of JSON.
 *
 *     bench_codec [rounds [message]]     each message, or that one, `rounds` times (200000), the best of five passes
 *     valgrind --tool=callgrind build/bench/bench_codec 1000 get_request     instructions
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kmip/kmip.h"

/* XML, for people to see what is measured; turned into TTLV before the clock starts. */
static const struct message {
    const char *name;
    bool request;
    const char *xml;
} messages[] = {
    {"get_request", true,
     "<RequestMessage><RequestHeader><ProtocolVersion><ProtocolVersionMajor type='Integer' value='2'/>"
     "<ProtocolVersionMinor type='Integer' value='1'/></ProtocolVersion><BatchCount type='Integer' value='1'/>"
     "</RequestHeader><BatchItem><Operation type='Enumeration' value='Get'/><RequestPayload><UniqueIdentifier "
     "type='TextString' value='0194a7b4-6c1f-7000-8000-000000000001'/></RequestPayload></BatchItem></RequestMessage>"},
    {"get_response", false,
     "<ResponseMessage><ResponseHeader><ProtocolVersion><ProtocolVersionMajor type='Integer' value='2'/>"
     "<ProtocolVersionMinor type='Integer' value='1'/></ProtocolVersion><TimeStamp type='DateTime' "
     "value='2026-11-24T07:00:00+00:00'/><BatchCount type='Integer' value='1'/></ResponseHeader><BatchItem><Operation "
     "type='Enumeration' value='Get'/><ResultStatus type='Enumeration' value='Success'/><ResponsePayload><ObjectType "
     "type='Enumeration' value='SymmetricKey'/><UniqueIdentifier type='TextString' "
     "value='0194a7b4-6c1f-7000-8000-000000000001'/><SymmetricKey><KeyBlock><KeyFormatType type='Enumeration' "
     "value='Raw'/><KeyValue><KeyMaterial type='ByteString' "
     "value='000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'/></KeyValue><CryptographicAlgorithm "
     "type='Enumeration' value='AES'/><CryptographicLength type='Integer' value='256'/></KeyBlock></SymmetricKey>"
     "</ResponsePayload></BatchItem></ResponseMessage>"},
    {"create_request", true,
     "<RequestMessage><RequestHeader><ProtocolVersion><ProtocolVersionMajor type='Integer' value='2'/>"
     "<ProtocolVersionMinor type='Integer' value='1'/></ProtocolVersion><BatchCount type='Integer' value='1'/>"
     "</RequestHeader><BatchItem><Operation type='Enumeration' value='Create'/><RequestPayload><ObjectType "
     "type='Enumeration' value='SymmetricKey'/><Attributes><CryptographicAlgorithm type='Enumeration' value='AES'/>"
     "<CryptographicLength type='Integer' value='256'/><CryptographicUsageMask type='Integer' value='Encrypt Decrypt'/>"
     "<Name><NameValue type='TextString' value='customers'/><NameType type='Enumeration' "
     "value='UninterpretedTextString'/></Name></Attributes></RequestPayload></BatchItem></RequestMessage>"},
    {"create_request_1_4", true,
     "<RequestMessage><RequestHeader><ProtocolVersion><ProtocolVersionMajor type='Integer' value='1'/>"
     "<ProtocolVersionMinor type='Integer' value='4'/></ProtocolVersion><BatchCount type='Integer' value='1'/>"
     "</RequestHeader><BatchItem><Operation type='Enumeration' value='Create'/><RequestPayload><ObjectType "
     "type='Enumeration' value='SymmetricKey'/><TemplateAttribute><Attribute><AttributeName type='TextString' "
     "value='Cryptographic Algorithm'/><AttributeValue type='Enumeration' value='AES'/></Attribute><Attribute>"
     "<AttributeName type='TextString' value='Cryptographic Length'/><AttributeValue type='Integer' value='256'/>"
     "</Attribute><Attribute><AttributeName type='TextString' value='Cryptographic Usage Mask'/><AttributeValue "
     "type='Integer' value='Encrypt Decrypt'/></Attribute></TemplateAttribute></RequestPayload></BatchItem>"
     "</RequestMessage>"},
    {"create_response", false,
     "<ResponseMessage><ResponseHeader><ProtocolVersion><ProtocolVersionMajor type='Integer' value='2'/>"
     "<ProtocolVersionMinor type='Integer' value='1'/></ProtocolVersion><TimeStamp type='DateTime' "
     "value='2026-11-24T07:00:00+00:00'/><BatchCount type='Integer' value='1'/></ResponseHeader><BatchItem><Operation "
     "type='Enumeration' value='Create'/><ResultStatus type='Enumeration' "
     "value='Success'/><ResponsePayload><ObjectType "
     "type='Enumeration' value='SymmetricKey'/><UniqueIdentifier type='TextString' "
     "value='0194a7b4-6c1f-7000-8000-000000000001'/></ResponsePayload></BatchItem></ResponseMessage>"},
};

static void
die(struct ks_diag *diag, const char *name)
{
    fprintf(stderr, "%s: %s\n", name, ks_diag_text(diag));
    exit(1);
}

static double
now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* As a server does it: one arena and one buffer, reset for every message. */
static void
once(const struct message *m, struct ks_span ttlv, struct ks_arena *arena, struct ks_buf *out)
{
    struct ks_diag diag;
    struct kmip_request_message *request;
    struct kmip_response_message *response;
    int rc;
    diag.code = 0;
    ks_arena_reset(arena);
    ks_buf_reset(out);
    if (m->request) {
        rc = kmip_request_decode(ttlv, &kmip_limits_default, arena, &request, &diag);
        if (rc == 0)
            rc = kmip_request_encode(request, out, &diag);
    } else {
        rc = kmip_response_decode(ttlv, &kmip_limits_default, arena, &response, &diag);
        if (rc == 0)
            rc = kmip_response_encode(response, out, &diag);
    }
    if (rc != 0)
        die(&diag, m->name);
}

int
main(int argc, char **argv)
{
    const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 200000;
    for (size_t i = 0; i < KS_ARRAY_LEN(messages); i++) {
        const struct message *m = &messages[i];
        if (argc > 2 && strcmp(argv[2], m->name) != 0)
            continue;
        KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 20);
        KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(1 << 20), out = KS_BUF(1 << 20);
        struct ks_diag diag = {0};
        if (kmip_transcode(KMIP_ENCODING_XML, ks_span_str(m->xml), KMIP_ENCODING_TTLV, &kmip_limits_default, &arena,
                           &ttlv, &diag) != 0)
            die(&diag, m->name);
        double best = 0;
        for (int pass = 0; pass < 5 && rounds > 0; pass++) {
            const double start = now_ns();
            for (long n = 0; n < rounds; n++)
                once(m, ks_buf_span(&ttlv), &arena, &out);
            const double each = (now_ns() - start) / (double)rounds;
            best = pass == 0 || each < best ? each : best;
        }
        if (!ks_span_equal(ks_buf_span(&ttlv), ks_buf_span(&out))) {
            fprintf(stderr, "%s: what was encoded differs from what was decoded\n", m->name);
            return 1;
        }
        printf("{\"bench\": \"codec\", \"message\": \"%s\", \"bytes\": %zu, \"rounds\": %ld, \"ns\": %.0f}\n", m->name,
               ttlv.len, rounds, best);
    }
    return 0;
}
