/* MAC and MAC Verify (KMIP 2.1: 6.1.34, 6.1.35), whole and in parts. */
#include "crypto/mac.h"

#include "server/engine/op/crypto.h"

struct macing {
    enum profile_use use;
    enum part part;
    struct stream *stream;
    struct object *key;
    struct ks_mac *own; /* of a whole operation */
    uint8_t code[KS_MAC_MAX];
    size_t len; /* 0: not the end yet */
};

static void
macing_done(struct macing *m)
{
    ks_mac_free(m->own);
    ks_wipe(m->code, sizeof(m->code));
}

/*
 * Which code: the algorithm of the parameters, else of the key. AES and 3DES mean CMAC, where it is said: by that
 * algorithm in the parameters or by the mode. A hash, with a key for anything, means its HMAC.
 */
static int
algorithm_of(struct ctx *ctx, const struct object *key, const struct kmip_cryptographic_parameters *p, uint32_t *ret)
{
    const uint32_t own = (uint32_t)core_get(&key->rev->core, CORE_ALGORITHM);
    const uint32_t algorithm = p->has_cryptographic_algorithm ? p->cryptographic_algorithm : own;
    const uint32_t hash = ks_hash_of_hmac(algorithm);
    const uint32_t of_hash = p->has_hashing_algorithm ? ks_hmac_of_hash(p->hashing_algorithm) : 0;
    if (hash != 0 && p->has_hashing_algorithm && p->hashing_algorithm != hash)
        return engine_fail(ctx, COND_BAD_PARAMETERS, "Cryptographic Algorithm and Hashing Algorithm contradict");
    if (hash == 0 && of_hash != 0 && !p->has_cryptographic_algorithm && !p->has_block_cipher_mode) {
        *ret = of_hash;
        return 0;
    }
    if (hash != 0) {
        *ret = algorithm;
        return 0;
    }
    if (ks_mac_len(algorithm) == 0)
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED,
                           "neither request nor key %s names an algorithm for a message authentication code that is "
                           "offered: HMAC with a hash, or CMAC with AES or 3DES",
                           key->uid);
    if (algorithm != own)
        return engine_fail(ctx, COND_BAD_PARAMETERS, "CMAC is made with the key's own algorithm");
    if (p->has_block_cipher_mode ? p->block_cipher_mode != KMIP_BLOCK_CIPHER_MODE_CMAC
                                 : !p->has_cryptographic_algorithm)
        return engine_fail(ctx, COND_BAD_PARAMETERS,
                           "say which code key %s is to make: an HMAC as Cryptographic Algorithm, or CMAC as Block "
                           "Cipher Mode",
                           key->uid);
    *ret = algorithm;
    return 0;
}

static int
new_mac(struct ctx *ctx, const struct object *key, const struct kmip_cryptographic_parameters *asked,
        enum profile_use use, struct ks_mac **ret)
{
    const struct kmip_cryptographic_parameters *p;
    struct ks_diag diag = {0};
    struct ks_span bytes;
    uint32_t algorithm;
    if (object_type(key) != KMIP_OBJECT_TYPE_SYMMETRIC_KEY && object_type(key) != KMIP_OBJECT_TYPE_SECRET_DATA)
        return engine_fail(ctx, COND_OBJECT_UNFIT, "object %s is no symmetric key or secret data", key->uid);
    KS_TRY(parameters_of(ctx, key, asked, &p));
    KS_TRY(algorithm_of(ctx, key, p, &algorithm));
    struct profile_what what = profile_key(key);
    what.algorithm = algorithm;
    what.hash = ks_hash_of_hmac(algorithm);
    KS_TRY(profile_check(ctx, use, &what));
    KS_TRY(material_symmetric(ctx, key, &bytes));
    const int rc = ks_mac_new(algorithm, bytes, ret, &diag);
    return rc == 0 ? 0 : crypto_fail(ctx, rc, &diag);
}

/* The data of the request; the code, if it is the end. */
static int
run(struct ctx *ctx, struct macing *m, const struct kmip_cryptographic_parameters *asked, struct ks_span data)
{
    struct ks_diag diag = {0};
    if (m->part == PART_WHOLE || m->part == PART_FIRST)
        KS_TRY(new_mac(ctx, m->key, asked, m->use, &m->own));
    if (m->part == PART_FIRST) {
        KS_TRY(stream_open(ctx, m->key, &m->stream));
        m->stream->mac = m->own;
        m->own = NULL; /* transferred */
    }
    if (m->part != PART_WHOLE)
        stream_touch(ctx, m->stream);
    struct ks_mac *mac = m->part == PART_WHOLE ? m->own : m->stream->mac;
    int rc = ks_mac_update(mac, data, &diag);
    if (rc == 0 && (m->part == PART_WHOLE || m->part == PART_LAST))
        rc = ks_mac_final(mac, m->code, &m->len, &diag);
    return rc == 0 ? 0 : crypto_fail(ctx, rc, &diag);
}

int
op_mac(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_mac_request *r = request;
    KS_CLEANUP(macing_done) struct macing m = {.use = PROFILE_PROTECT};
    OP_RESPONSE(ctx, kmip_mac_response, response);
    KS_TRY(stream_part(ctx, PART_FIELDS(r), &m.part));
    const struct use use = {.use = USE_PROTECT,
                            .mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE,
                            .bytes = (int64_t)r->data.len,
                            .further = m.part == PART_NEXT || m.part == PART_LAST};
    KS_TRY(stream_key(ctx, m.part, &r->unique_identifier, r->correlation_value, &m.stream, &m.key));
    KS_TRY(engine_use(ctx, m.key, &use));
    KS_TRY(stream_data(ctx, m.part, r->has_data));
    KS_TRY(run(ctx, &m, r->cryptographic_parameters, r->data));
    if (m.len != 0) {
        KS_TRY(ks_arena_span(ctx->arena, KS_SPAN(m.code, m.len), &response->mac_data));
        response->has_mac_data = true;
    }
    response->unique_identifier = uid_of(m.key);
    KS_TRY(engine_used(ctx, m.key, &use));
    KS_TRY(stream_answer(ctx, m.part, m.stream, &response->correlation_value, &response->has_correlation_value));
    *ret_response = response;
    return 0;
}

/* The code to compare with: of this request, or of an earlier part. */
static int
claimed(struct ctx *ctx, struct macing *m, bool has, struct ks_span sent, struct ks_span *ret)
{
    *ret = sent;
    if (m->part != PART_WHOLE) {
        struct ks_buf *claim = &m->stream->claim;
        if (has) {
            ks_buf_reset(claim);
            if (ks_buf_add_span(claim, sent) != 0)
                return engine_fail(ctx, COND_BAD_FIELD, "the MAC Data is too long");
        }
        *ret = ks_buf_span(claim);
        has = claim->len != 0;
    }
    if (!has && m->len != 0)
        return engine_fail(ctx, COND_MISSING, "the request has no MAC Data");
    return 0;
}

int
op_mac_verify(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_mac_verify_request *r = request;
    KS_CLEANUP(macing_done) struct macing m = {.use = PROFILE_PROCESS};
    struct ks_span claim;
    OP_RESPONSE(ctx, kmip_mac_verify_response, response);
    const struct use use = {.use = USE_PROCESS, .mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_VERIFY};
    KS_TRY(stream_part(ctx, PART_FIELDS(r), &m.part));
    KS_TRY(stream_key(ctx, m.part, &r->unique_identifier, r->correlation_value, &m.stream, &m.key));
    KS_TRY(engine_use(ctx, m.key, &use));
    KS_TRY(stream_data(ctx, m.part, r->has_data));
    KS_TRY(run(ctx, &m, r->cryptographic_parameters, r->data));
    KS_TRY(claimed(ctx, &m, r->has_mac_data, r->mac_data, &claim));
    if (m.len != 0) {
        /* Whole or not at all: a code that was cut is none. */
        const bool valid = claim.len == m.len && ks_equal_secret(claim.data, m.code, m.len);
        response->validity_indicator = valid ? KMIP_VALIDITY_INDICATOR_VALID : KMIP_VALIDITY_INDICATOR_INVALID;
        response->has_validity_indicator = true;
    }
    response->unique_identifier = uid_of(m.key);
    KS_TRY(stream_answer(ctx, m.part, m.stream, &response->correlation_value, &response->has_correlation_value));
    *ret_response = response;
    return 0;
}
