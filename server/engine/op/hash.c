/* Hash (KMIP 2.1: 6.1.24), whole and in parts. */
#include "server/engine/op/crypto.h"

int
op_hash(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_hash_request *r = request;
    const struct kmip_cryptographic_parameters *p = r->cryptographic_parameters;
    struct stream *stream = NULL;
    struct ks_diag diag = {0};
    enum part part;
    uint8_t digest[KS_HASH_MAX];
    size_t len = 0;
    int rc = 0;
    OP_RESPONSE(ctx, kmip_hash_response, response);
    KS_TRY(stream_part(ctx, PART_FIELDS(r), &part));
    KS_TRY(stream_data(ctx, part, r->has_data));
    if (part == PART_WHOLE || part == PART_FIRST) {
        if (p == NULL || !p->has_hashing_algorithm)
            return engine_fail(ctx, COND_MISSING, "the Cryptographic Parameters do not say which Hashing Algorithm");
        const struct profile_what what = {.hash = p->hashing_algorithm};
        KS_TRY(profile_check(ctx, PROFILE_PROTECT, &what));
    } else {
        KS_TRY(stream_find(ctx, r->correlation_value, &stream));
    }
    if (part == PART_WHOLE) {
        rc = ks_hash(p->hashing_algorithm, r->data, digest, &diag);
        len = ks_hash_len(p->hashing_algorithm);
    } else {
        if (part == PART_FIRST) {
            struct ks_hash_stream *hash;
            rc = ks_hash_stream_new(p->hashing_algorithm, &hash, &diag);
            if (rc != 0)
                return crypto_fail(ctx, rc, &diag);
            rc = stream_open(ctx, NULL, &stream);
            if (rc != 0) {
                ks_hash_stream_free(hash);
                return rc;
            }
            stream->hash = hash;
        }
        stream_touch(ctx, stream);
        rc = ks_hash_stream_update(stream->hash, r->data, &diag);
        if (rc == 0 && part == PART_LAST)
            rc = ks_hash_stream_final(stream->hash, digest, &len, &diag);
    }
    if (rc != 0)
        return crypto_fail(ctx, rc, &diag);
    if (part == PART_WHOLE || part == PART_LAST) {
        KS_TRY(ks_arena_span(ctx->arena, KS_SPAN(digest, len), &response->data));
        response->has_data = true;
        ks_wipe(digest, sizeof(digest));
    }
    KS_TRY(stream_answer(ctx, part, stream, &response->correlation_value, &response->has_correlation_value));
    *ret_response = response;
    return 0;
}
