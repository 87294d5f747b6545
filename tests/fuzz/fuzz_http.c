/*
 * HTTP from the wire. The first byte says in what pieces the rest comes; what is taken must not depend on them, nor on
 * what was taken before.
 */
#include "fuzz.h"

#include "server/net/http.h"

enum { TTLV_MAX = 4096, TEXT_MAX = 8192 };

/* The requests, and the refusal if there is one, as text. */
static void
read_all(struct ks_span in, size_t piece, struct ks_buf *ret)
{
    struct http_reader r;
    http_reader_init(&r, TTLV_MAX, TEXT_MAX);
    enum http_result result = HTTP_MORE;
    for (size_t at = 0; at < in.len && result != HTTP_REFUSED;) {
        const size_t n = in.len - at < piece ? in.len - at : piece;
        size_t used = SIZE_MAX;
        result = http_reader_take(&r, KS_SPAN(in.data + at, n), &used);
        FUZZ_ASSERT(used <= n && (used == n || result != HTTP_MORE));
        FUZZ_ASSERT(http_reader_memory(&r) <= 2 * (TEXT_MAX + HTTP_HEAD_MAX));
        at += used;
        if (result == HTTP_REQUEST) {
            FUZZ_ASSERT(r.body.len <= (r.encoding == KMIP_ENCODING_TTLV ? TTLV_MAX : TEXT_MAX));
            FUZZ_ASSERT(r.content_type != NULL);
            (void)ks_buf_addf(ret, "%d %d %zu %zu\n", (int)r.encoding, r.close, r.body.len, at);
            (void)ks_buf_add_span(ret, ks_buf_span(&r.body));
            http_reader_next(&r);
            FUZZ_ASSERT(http_reader_is_idle(&r) && http_reader_memory(&r) == 0);
        } else if (result == HTTP_REFUSED) {
            FUZZ_ASSERT(r.status >= 400 && r.status < 600 && r.why != NULL);
            (void)ks_buf_addf(ret, "refused %d %zu\n", r.status, at);
        }
    }
    FUZZ_ASSERT(ret->err == 0);
    http_reader_done(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const struct ks_span in = KS_SPAN(data + 1, size - 1);
    KS_CLEANUP(ks_buf_done) struct ks_buf whole = KS_BUF(8 << 20), pieces = KS_BUF(8 << 20);
    read_all(in, SIZE_MAX, &whole);
    read_all(in, 1 + data[0] % 64, &pieces);
    FUZZ_ASSERT(ks_span_equal(ks_buf_span(&whole), ks_buf_span(&pieces)));
    return 0;
}
