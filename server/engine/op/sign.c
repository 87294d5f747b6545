/* Sign and Signature Verify (KMIP 2.1: 6.1.55, 6.1.56), whole and in parts. */
#include "crypto/sign.h"
#include "crypto/pq.h"

#include "server/engine/op/crypto.h"

/* What both requests have in common, and what becomes of it. */
struct signing {
    bool verify;
    enum part part;
    struct stream *stream;
    struct object *key;
    struct ks_pkey *pkey;
    struct ks_sign_params params;
    bool mismatch; /* verify: the parameters are about another kind of key, so it can not be that key's signature */
    struct ks_span data;
    bool has_data;
};

static void
signing_done(struct signing *s)
{
    ks_pkey_free(s->pkey);
}

static int
params_of(struct ctx *ctx, struct signing *s, const struct kmip_cryptographic_parameters *p)
{
    const uint32_t own = (uint32_t)core_get(&s->key->rev->core, CORE_ALGORITHM);
    struct ks_sign_params *to = &s->params;
    s->mismatch = !crypto_algorithm_fits(s->key, p);
    if (s->mismatch && (!s->verify || s->part != PART_WHOLE))
        return engine_fail(ctx, COND_BAD_PARAMETERS, "the parameters name another algorithm than that of key %s",
                           s->key->uid);
    if (p->has_mask_generator && p->mask_generator != KMIP_MASK_GENERATOR_MGF1)
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED, "MGF1 is the only Mask Generator");
    if (p->has_trailer_field && p->trailer_field != 1)
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED, "the Trailer Field of PSS is 1, and no other is defined");
    to->signature = p->has_digital_signature_algorithm ? p->digital_signature_algorithm : 0;
    to->hash = p->has_hashing_algorithm ? p->hashing_algorithm : 0;
    to->padding = p->has_padding_method ? p->padding_method : 0;
    /* The text has SHA-1 where nothing is said; the published signature (TC-STREAM-SIGNVFY-1) has the data's hash. */
    to->mgf_hash = p->has_mask_generator_hashing_algorithm ? p->mask_generator_hashing_algorithm : 0;
    to->salt_len = p->has_salt_length ? p->salt_length : -1;
    if (p->has_salt_length && p->salt_length < 0)
        return engine_fail(ctx, COND_BAD_PARAMETERS, "a Salt Length of %d bytes is not possible", (int)p->salt_length);
    /* Edwards curves and post-quantum keys take no parameters; of all others at least something must be known. */
    if (own != KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519 && own != KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448 && !ks_pq_is(own) &&
        !p->has_digital_signature_algorithm && !p->has_hashing_algorithm && !p->has_padding_method &&
        !p->has_cryptographic_algorithm)
        return engine_fail(ctx, COND_BAD_PARAMETERS, "neither the request nor key %s says how to sign", s->key->uid);
    return 0;
}

/* Whether the profile allows it: the key, and the hash that the signature is made of. */
static int
allowed(struct ctx *ctx, const struct signing *s)
{
    struct profile_what what = profile_key(s->key);
    struct ks_diag diag = {0};
    if (s->mismatch)
        return 0;
    const int rc = ks_sign_hash(s->pkey, &s->params, &what.signature_hash, &diag);
    if (rc != 0)
        return crypto_fail(ctx, rc, &diag);
    return profile_check(ctx, s->verify ? PROFILE_PROCESS : PROFILE_PROTECT, &what);
}

/* A first part: the stream computes the digest, or collects the message where the algorithm wants it whole. */
static int
begin(struct ctx *ctx, struct signing *s)
{
    struct ks_diag diag = {0};
    struct ks_hash_stream *hash = NULL;
    uint32_t which = 0;
    int rc = s->mismatch ? 0 : ks_sign_hash(s->pkey, &s->params, &which, &diag);
    if (rc == 0 && which != 0)
        rc = ks_hash_stream_new(which, &hash, &diag);
    if (rc != 0)
        return crypto_fail(ctx, rc, &diag);
    rc = stream_open(ctx, s->key, &s->stream);
    if (rc != 0) {
        ks_hash_stream_free(hash);
        return rc;
    }
    s->stream->hash = hash;
    s->stream->sign = s->params;
    if (which != 0)
        s->stream->sign.hash = which;
    return 0;
}

/* Data of a part; at the end what is to be signed, and how, is in s. */
static int
go_on(struct ctx *ctx, struct signing *s, uint8_t digest[KS_HASH_MAX])
{
    struct stream *stream = s->stream;
    struct ks_diag diag = {0};
    size_t len = 0;
    stream_touch(ctx, stream);
    if (stream->hash == NULL) {
        KS_TRY(stream_collect(ctx, stream, s->data));
        s->params = stream->sign;
        s->data = ks_buf_span(&stream->whole);
        return 0;
    }
    int rc = ks_hash_stream_update(stream->hash, s->data, &diag);
    if (rc == 0 && s->part == PART_LAST)
        rc = ks_hash_stream_final(stream->hash, digest, &len, &diag);
    if (rc != 0)
        return crypto_fail(ctx, rc, &diag);
    s->params = stream->sign;
    s->params.digested = true;
    s->data = KS_SPAN(digest, len);
    return 0;
}

/* Everything up to the signature itself. */
static int
prepare(struct ctx *ctx, struct signing *s, const struct kmip_cryptographic_parameters *asked, bool has_digest,
        struct ks_span digested, uint8_t digest[KS_HASH_MAX])
{
    const struct kmip_cryptographic_parameters *p;
    if (s->part == PART_WHOLE || s->part == PART_FIRST) {
        KS_TRY(parameters_of(ctx, s->key, asked, &p));
        KS_TRY(params_of(ctx, s, p));
    }
    KS_TRY(crypto_pkey(ctx, s->key, &s->pkey));
    if (!s->verify && object_type(s->key) != KMIP_OBJECT_TYPE_PRIVATE_KEY)
        return engine_fail(ctx, COND_OBJECT_UNFIT, "object %s is no private key, which it takes to sign", s->key->uid);
    if (has_digest && s->part != PART_WHOLE)
        return engine_fail(ctx, COND_BAD_FIELD, "Digested Data is not sent in parts");
    if (has_digest && s->has_data)
        return engine_fail(ctx, COND_BAD_FIELD, "Data and Digested Data exclude each other");
    if (s->part == PART_WHOLE) {
        s->params.digested = has_digest;
        if (has_digest)
            s->data = digested;
        return allowed(ctx, s);
    }
    if (s->part == PART_FIRST) {
        KS_TRY(allowed(ctx, s));
        KS_TRY(begin(ctx, s));
    }
    return go_on(ctx, s, digest);
}

int
op_sign(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_sign_request *r = request;
    KS_CLEANUP(signing_done) struct signing s = {.data = r->data, .has_data = r->has_data};
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(1 << 16);
    struct ks_diag diag = {0};
    uint8_t digest[KS_HASH_MAX];
    OP_RESPONSE(ctx, kmip_sign_response, response);
    KS_TRY(stream_part(ctx, PART_FIELDS(r), &s.part));
    const struct use use = {.use = USE_PROTECT,
                            .mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN,
                            .bytes = (int64_t)(r->has_data ? r->data.len : r->digested_data.len),
                            .further = s.part == PART_NEXT || s.part == PART_LAST};
    KS_TRY(stream_key(ctx, s.part, &r->unique_identifier, r->correlation_value, &s.stream, &s.key));
    KS_TRY(engine_use(ctx, s.key, &use));
    KS_TRY(stream_data(ctx, s.part, r->has_data || r->has_digested_data));
    KS_TRY(prepare(ctx, &s, r->cryptographic_parameters, r->has_digested_data, r->digested_data, digest));
    if (s.part == PART_WHOLE || s.part == PART_LAST) {
        /* A large part of a second each, while all others wait. */
        if (ks_pq_is_slow((uint32_t)core_get(&s.key->rev->core, CORE_ALGORITHM)) && ctx->n_slow++ != 0)
            return engine_fail(ctx, COND_SERVER_LIMIT,
                               "a request makes or signs with one SLH-DSA key of small signatures; send another");
        const int rc = ks_sign(s.pkey, &s.params, s.data, &out, &diag);
        if (rc != 0)
            return crypto_fail(ctx, rc, &diag);
        KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&out), &response->signature_data));
        response->has_signature_data = true;
    }
    response->unique_identifier = uid_of(s.key);
    KS_TRY(engine_used(ctx, s.key, &use));
    KS_TRY(stream_answer(ctx, s.part, s.stream, &response->correlation_value, &response->has_correlation_value));
    *ret_response = response;
    return 0;
}

/* The signature: of this request, or of an earlier part. */
static int
claimed(struct ctx *ctx, struct signing *s, bool has, struct ks_span sent, struct ks_span *ret)
{
    *ret = sent;
    if (s->part != PART_WHOLE) {
        struct ks_buf *claim = &s->stream->claim;
        if (has) {
            ks_buf_reset(claim);
            if (ks_buf_add_span(claim, sent) != 0)
                return engine_fail(ctx, COND_BAD_FIELD, "the signature is too long");
        }
        *ret = ks_buf_span(claim);
        has = claim->len != 0;
    }
    if (!has && (s->part == PART_WHOLE || s->part == PART_LAST))
        return engine_fail(ctx, COND_MISSING, "the request has no Signature Data");
    return 0;
}

static int
judge(struct ctx *ctx, const struct signing *s, struct ks_span signature, bool recover,
      struct kmip_signature_verify_response *response)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(1 << 14);
    struct ks_diag diag = {0};
    int rc = KS_E_INTEGRITY;
    if (!s->mismatch)
        rc = recover ? ks_verify_recover(s->pkey, &s->params, signature, &out, &diag)
                     : ks_verify(s->pkey, &s->params, s->data, signature, &diag);
    if (rc != 0 && rc != KS_E_INTEGRITY)
        return crypto_fail(ctx, rc, &diag);
    response->validity_indicator = rc == 0 ? KMIP_VALIDITY_INDICATOR_VALID : KMIP_VALIDITY_INDICATOR_INVALID;
    response->has_validity_indicator = true;
    if (rc != 0 || !recover)
        return 0;
    response->has_data = true;
    return ks_arena_span(ctx->arena, ks_buf_span(&out), &response->data);
}

int
op_signature_verify(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_signature_verify_request *r = request;
    KS_CLEANUP(signing_done) struct signing s = {.verify = true, .data = r->data, .has_data = r->has_data};
    struct ks_span signature;
    uint8_t digest[KS_HASH_MAX];
    OP_RESPONSE(ctx, kmip_signature_verify_response, response);
    const struct use use = {.use = USE_PROCESS, .mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY};
    KS_TRY(stream_part(ctx, PART_FIELDS(r), &s.part));
    KS_TRY(stream_key(ctx, s.part, &r->unique_identifier, r->correlation_value, &s.stream, &s.key));
    KS_TRY(engine_use(ctx, s.key, &use));
    /* A whole verification without data recovers it from the signature. */
    KS_TRY(stream_data(ctx, s.part, r->has_data || s.part == PART_WHOLE));
    KS_TRY(prepare(ctx, &s, r->cryptographic_parameters, r->has_digested_data, r->digested_data, digest));
    KS_TRY(claimed(ctx, &s, r->has_signature_data, r->signature_data, &signature));
    if (s.part == PART_WHOLE || s.part == PART_LAST)
        KS_TRY(judge(ctx, &s, signature, s.part == PART_WHOLE && !r->has_data && !r->has_digested_data, response));
    response->unique_identifier = uid_of(s.key);
    KS_TRY(stream_answer(ctx, s.part, s.stream, &response->correlation_value, &response->has_correlation_value));
    *ret_response = response;
    return 0;
}
