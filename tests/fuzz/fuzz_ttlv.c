/* TTLV from the wire: as items, and as a request and a response. */
#include "fuzz.h"

static void
items(struct ks_span in)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(FUZZ_MEMORY);
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(1 << 20);
    struct ks_diag diag = {0};
    struct kmip_item *item;
    const int rc = kmip_item_from_ttlv(in, &fuzz_limits, &arena, &item, &diag);
    if (rc != 0) {
        FUZZ_ASSERT(diag.code == rc && diag.message[0] != '\0' && diag.offset <= in.len);
        return;
    }
    FUZZ_ASSERT(kmip_item_to_ttlv(item, &out) == 0);
    FUZZ_ASSERT(ks_span_equal(ks_buf_span(&out), in));
    struct kmip_item *copy = kmip_item_copy(&arena, item);
    FUZZ_ASSERT(copy != NULL && kmip_item_equal(item, copy));
    fuzz_through(KMIP_ENCODING_JSON, in);
    fuzz_through(KMIP_ENCODING_XML, in);
}

static bool
is_whole(const struct kmip_request_message *request)
{
    for (size_t i = 0; i < request->n_batch_item; i++) {
        const struct kmip_request_batch_item *item = request->batch_item[i];
        FUZZ_ASSERT((item->payload == NULL) == (item->payload_error != 0));
        FUZZ_ASSERT(item->payload_error == 0 || (item->payload_reason != 0 && item->payload_message.len != 0));
        if (item->payload_error != 0)
            return false;
    }
    return true;
}

/* What was decoded can be encoded; what that gives decodes to the same, and encodes to the same bytes. */
static void
request(struct ks_span in)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(FUZZ_MEMORY);
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(1 << 20), again = KS_BUF(1 << 20);
    struct ks_diag diag = {0};
    struct kmip_request_message *first, *second;
    if (kmip_request_decode(in, &fuzz_limits, &arena, &first, &diag) != 0 || !is_whole(first))
        return;
    FUZZ_ASSERT(kmip_request_encode(first, &out, &diag) == 0);
    FUZZ_ASSERT(kmip_request_decode(ks_buf_span(&out), &fuzz_wide_limits, &arena, &second, &diag) == 0);
    FUZZ_ASSERT(is_whole(second));
    FUZZ_ASSERT(kmip_equal(&kmip_schema_request_message, first, second));
    FUZZ_ASSERT(kmip_request_encode(second, &again, &diag) == 0);
    FUZZ_ASSERT(ks_span_equal(ks_buf_span(&out), ks_buf_span(&again)));
}

/* As request, but what a version does not have is left out when it is encoded. */
static void
response(struct ks_span in)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(FUZZ_MEMORY);
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(1 << 20), again = KS_BUF(1 << 20);
    struct ks_diag diag = {0};
    struct kmip_response_message *first, *second;
    if (kmip_response_decode(in, &fuzz_limits, &arena, &first, &diag) != 0)
        return;
    FUZZ_ASSERT(kmip_response_encode(first, &out, &diag) == 0);
    FUZZ_ASSERT(kmip_response_decode(ks_buf_span(&out), &fuzz_wide_limits, &arena, &second, &diag) == 0);
    FUZZ_ASSERT(kmip_response_encode(second, &again, &diag) == 0);
    FUZZ_ASSERT(ks_span_equal(ks_buf_span(&out), ks_buf_span(&again)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ks_span in = KS_SPAN(data, size);
    items(in);
    request(in);
    response(in);
    return 0;
}
