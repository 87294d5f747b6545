/*
 * Encrypt and Decrypt (KMIP 1.4: 4.29, 4.30; 2.1: 6.1.17, 6.1.11), whole and in parts; with asymmetric keys see
 * crypt_asym.c.
 */
#include "crypto/cipher.h"
#include "server/engine/op/crypto.h"

enum { BITS_MOST = 1024, GCM_IV_LEAST = 12 };

/*
 * The parts of a counter mode's IV, in bits (2.1: 4.16; SP 800-38A, B; SP 800-38D, 8.2). The IV that is sent may be
 * whole, or lack CTR's counter, which then begins with the Initial Counter Value (1, as in RFC 3686, where there is
 * none).
 */
struct iv_parts {
    bool any, has_first;
    size_t front; /* bytes of fixed and invocation field together */
    size_t counter;
    uint32_t first;
};

static int
bad_parts(struct ctx *ctx)
{
    return engine_fail(ctx, COND_BAD_PARAMETERS,
                       "Fixed Field, Invocation Field and Counter Length do not fit the mode or the IV: they are bits, "
                       "in whole bytes, 128 together for CTR, and as many as the IV has for GCM (no counter there, or "
                       "one of 32)");
}

static int
iv_parts(struct ctx *ctx, const struct kmip_cryptographic_parameters *p, struct iv_parts *ret)
{
    const int64_t fixed = p->has_fixed_field_length ? p->fixed_field_length : 0;
    const int64_t invocation = p->has_invocation_field_length ? p->invocation_field_length : 0;
    const bool gcm = p->block_cipher_mode == KMIP_BLOCK_CIPHER_MODE_GCM;
    *ret = (struct iv_parts){.any = p->has_fixed_field_length || p->has_invocation_field_length ||
                                    p->has_counter_length || p->has_initial_counter_value,
                             .has_first = p->has_initial_counter_value,
                             .first = p->has_initial_counter_value ? (uint32_t)p->initial_counter_value : 1};
    if (!ret->any)
        return 0;
    if (!p->has_block_cipher_mode || (!gcm && p->block_cipher_mode != KMIP_BLOCK_CIPHER_MODE_CTR))
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED, "only the IVs of CTR and GCM have parts");
    if (fixed < 0 || invocation < 0 || fixed > BITS_MOST || invocation > BITS_MOST || (fixed + invocation) % 8 != 0)
        return bad_parts(ctx);
    ret->front = (size_t)(fixed + invocation) / 8;
    if (gcm) {
        if (p->has_initial_counter_value || (p->has_counter_length && p->counter_length != 32))
            return bad_parts(ctx);
        return 0;
    }
    if (ret->front >= 16)
        return bad_parts(ctx);
    ret->counter = 16 - ret->front;
    if ((p->has_counter_length && p->counter_length != (int64_t)ret->counter * 8) ||
        (ret->counter < 4 && ret->first >> 8 * ret->counter != 0))
        return bad_parts(ctx);
    return 0;
}

/* The counter block of CTR from what stands before the counter. */
static int
with_counter(struct ctx *ctx, const struct iv_parts *parts, struct ks_span front, struct ks_span *ret)
{
    uint8_t *iv = ks_arena_alloc(ctx->arena, 16);
    if (iv == NULL)
        return KS_E_NOMEM;
    memcpy(iv, front.data, front.len);
    for (size_t i = 0; i < parts->counter && i < 4; i++)
        iv[15 - i] = (uint8_t)(parts->first >> 8 * i);
    *ret = KS_SPAN(iv, 16);
    return 0;
}

/* An IV that was sent, by its parts and its length. */
static int
sent_iv(struct ctx *ctx, const struct kmip_cryptographic_parameters *p, const struct iv_parts *parts,
        struct ks_span sent, struct ks_cipher_params *params)
{
    params->iv = sent;
    if (!parts->any) {
        if (p->has_iv_length && p->iv_length != (int64_t)sent.len * 8)
            return engine_fail(ctx, COND_BAD_PARAMETERS, "the IV has %zu bits where IV Length says %d", sent.len * 8,
                               (int)p->iv_length);
        return 0;
    }
    if (parts->counter == 0)
        return parts->front == 0 || parts->front == sent.len ? 0 : bad_parts(ctx);
    params->counter_bits = (unsigned)parts->counter * 8;
    if (sent.len == parts->front && sent.len != 0)
        return with_counter(ctx, parts, sent, &params->iv);
    if (sent.len != 16)
        return bad_parts(ctx);
    if (!parts->has_first)
        return 0;
    struct ks_span expected;
    KS_TRY(with_counter(ctx, parts, KS_SPAN(sent.data, parts->front), &expected));
    return ks_span_equal(expected, sent) ? 0 : bad_parts(ctx);
}

/* Parameters for crypto/, from the request's or the key's own. */
static int
cipher_params(struct ctx *ctx, const struct object *key, const struct kmip_cryptographic_parameters *p, bool encrypt,
              struct ks_cipher_params *ret)
{
    const struct core *core = &key->rev->core;
    if (object_type(key) != KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        return engine_fail(ctx, COND_OBJECT_UNFIT, "object %s is no key", key->uid);
    if (p->has_cryptographic_algorithm && p->cryptographic_algorithm != core_get(core, CORE_ALGORITHM))
        return engine_fail(ctx, COND_BAD_PARAMETERS, "the parameters name another algorithm than that of key %s",
                           key->uid);
    ret->algorithm = (uint32_t)core_get(core, CORE_ALGORITHM);
    ret->mode = p->has_block_cipher_mode ? p->block_cipher_mode : 0;
    ret->padding = p->has_padding_method ? p->padding_method : 0;
    ret->tag_len = p->has_tag_length && p->tag_length > 0 ? (size_t)p->tag_length : 0;
    if (p->has_tag_length && (p->tag_length <= 0 || !ks_cipher_tag_fits(ret)))
        return engine_fail(ctx, COND_TAG_LENGTH, "the mode has no tag of %d bytes", (int)p->tag_length);
    if (ret->mode == 0 && ret->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES)
        return engine_fail(ctx, COND_BAD_PARAMETERS,
                           "neither the request nor key %s says which Block Cipher Mode to use", key->uid);
    struct profile_what what = profile_key(key);
    what.mode = ret->mode;
    return profile_check(ctx, encrypt ? PROFILE_PROTECT : PROFILE_PROCESS, &what);
}

/* How long an IV to make: what the mode likes, unless the parameters say. */
static int
made_length(struct ctx *ctx, const struct kmip_cryptographic_parameters *p, const struct iv_parts *parts, size_t usual,
            size_t *ret)
{
    const bool gcm = p->has_block_cipher_mode && p->block_cipher_mode == KMIP_BLOCK_CIPHER_MODE_GCM;
    size_t len = usual;
    if (p->has_iv_length) {
        if (p->iv_length <= 0 || p->iv_length > BITS_MOST || p->iv_length % 8 != 0)
            return engine_fail(ctx, COND_BAD_PARAMETERS, "an IV Length of %d bits is not possible", (int)p->iv_length);
        len = (size_t)p->iv_length / 8;
    }
    if (gcm && parts->any && parts->front != 0) {
        if (p->has_iv_length && len != parts->front)
            return bad_parts(ctx);
        len = parts->front;
    }
    if (gcm && len < GCM_IV_LEAST)
        return engine_fail(ctx, COND_BAD_PARAMETERS, "an IV that the server makes for GCM has 96 bits at least");
    *ret = len;
    return 0;
}

/* The IV to encrypt with: the one sent, or a random one. */
static int
encrypt_iv(struct ctx *ctx, const struct kmip_cryptographic_parameters *p, bool has, struct ks_span sent,
           size_t key_len, struct ks_cipher_params *params, bool *ret_made)
{
    struct ks_diag diag = {0};
    struct iv_parts parts;
    size_t len = 0;
    *ret_made = false;
    KS_TRY(iv_parts(ctx, p, &parts));
    const int rc = ks_cipher_iv_len(params, key_len, &len, &diag);
    if (rc != 0)
        return crypto_fail(ctx, rc, &diag);
    if (has)
        return sent_iv(ctx, p, &parts, sent, params);
    if (len == 0)
        return 0;
    if (p->has_random_iv && !p->random_iv)
        return engine_fail(ctx, COND_MISSING_IV, "the mode needs an IV: send one, or ask for a Random IV");
    KS_TRY(made_length(ctx, p, &parts, len, &len));
    uint8_t *iv = ks_arena_alloc(ctx->arena, len);
    if (iv == NULL)
        return KS_E_NOMEM;
    KS_TRY(engine_random(ctx->engine, iv, len));
    params->iv = KS_SPAN(iv, len);
    *ret_made = true;
    if (parts.any && parts.counter != 0) {
        params->counter_bits = (unsigned)parts.counter * 8;
        return with_counter(ctx, &parts, KS_SPAN(iv, parts.front), &params->iv);
    }
    return 0;
}

/* What an Encrypt and a Decrypt request have in common, and what has become of it. */
struct crypt {
    bool encrypt;
    enum part part;
    struct stream *stream;
    struct object *key;
    const struct kmip_cryptographic_parameters *p;
    struct ks_cipher_params params;
    struct ks_span bytes; /* of the key */
    bool made_iv;
    struct ks_cipher_tag tag;
    struct ks_buf out;
};

static void
crypt_done(struct crypt *c)
{
    ks_buf_done(&c->out);
}

/* A first part: the stream, after everything about key and parameters was checked. */
static int
begin(struct ctx *ctx, struct crypt *c)
{
    struct ks_diag diag = {0};
    KS_CLEANUP(ks_cipher_stream_freep) struct ks_cipher_stream *cipher = NULL;
    const int rc = ks_cipher_stream_new(&c->params, c->bytes, c->encrypt, STREAM_COLLECT, &cipher, &diag);
    if (rc != 0)
        return crypto_fail(ctx, rc, &diag);
    KS_TRY(stream_open(ctx, c->key, &c->stream));
    c->stream->cipher = cipher;
    if (ks_cipher_has_tag(&c->params))
        c->stream->tag_len = c->params.tag_len != 0 ? c->params.tag_len : KS_CIPHER_TAG_MAX;
    cipher = NULL; /* transferred */
    return 0;
}

/* The data of one part of a stream; the tag as far as it came. */
static int
go_on(struct ctx *ctx, struct crypt *c, struct ks_span data, struct ks_span tag)
{
    struct stream *s = c->stream;
    struct ks_diag diag = {0};
    KS_TRY(stream_room(ctx, data.len));
    stream_touch(ctx, s);
    if (tag.len != 0) {
        ks_buf_reset(&s->claim);
        if (ks_buf_add_span(&s->claim, tag) != 0)
            return engine_fail(ctx, COND_TAG_LENGTH, "the tag is too long");
    }
    int rc = ks_cipher_stream_update(s->cipher, data, &c->out, &diag);
    if (rc == 0 && c->part == PART_LAST && !c->encrypt && s->claim.len == 0 && ctx->version < KMIP_V1_4) {
        uint8_t end[KS_CIPHER_TAG_MAX];
        rc = ks_cipher_stream_take_end(s->cipher, end, s->tag_len);
        if (rc == 0)
            rc = ks_buf_add(&s->claim, end, s->tag_len);
    }
    if (rc == 0 && c->part == PART_LAST)
        rc = ks_cipher_stream_final(s->cipher, ks_buf_span(&s->claim), &c->out, c->encrypt ? &c->tag : NULL, &diag);
    return rc == 0 ? 0 : crypto_fail(ctx, rc, &diag);
}

static bool
is_asymmetric(const struct object *key)
{
    const uint32_t type = object_type(key);
    return type == KMIP_OBJECT_TYPE_PRIVATE_KEY || type == KMIP_OBJECT_TYPE_PUBLIC_KEY ||
           type == KMIP_OBJECT_TYPE_CERTIFICATE;
}

static int
asymmetric(struct ctx *ctx, const struct crypt *c, struct ks_span data, struct ks_span *ret)
{
    if (c->part != PART_WHOLE)
        return engine_fail(ctx, COND_NO_SUCH_FEATURE,
                           "an asymmetric key encrypts one short message: send it in one request");
    return crypt_asym(ctx, c->key, c->p, c->encrypt, data, ret);
}

/* The whole of a request with a One Time Pad; iv goes in, and the answer's comes out. */
static int
with_pad(struct ctx *ctx, const struct crypt *c, bool has_aad, struct ks_span data, struct ks_span *iv, bool *has_iv,
         struct ks_span *ret)
{
    if (c->part != PART_WHOLE)
        return engine_fail(ctx, COND_NO_SUCH_FEATURE, "a One Time Pad is used for one message in one request");
    if (has_aad)
        return engine_fail(ctx, COND_BAD_FIELD, "a One Time Pad authenticates nothing: send no additional data");
    return crypt_pad(ctx, c->key, c->p, c->encrypt, data, iv, has_iv, ret);
}

static int
encrypt_data(struct ctx *ctx, struct crypt *c, const struct kmip_encrypt_request *r)
{
    struct ks_diag diag = {0};
    if (c->part == PART_WHOLE || c->part == PART_FIRST) {
        KS_TRY(cipher_params(ctx, c->key, c->p, true, &c->params));
        KS_TRY(material_symmetric(ctx, c->key, &c->bytes));
        KS_TRY(
            encrypt_iv(ctx, c->p, r->has_iv_counter_nonce, r->iv_counter_nonce, c->bytes.len, &c->params, &c->made_iv));
        if (r->has_authenticated_encryption_additional_data)
            c->params.aad = r->authenticated_encryption_additional_data;
    } else if (r->has_authenticated_encryption_additional_data || r->has_iv_counter_nonce) {
        return engine_fail(ctx, COND_BAD_FIELD, "IV and additional data belong to the first part of a stream");
    }
    if (c->part == PART_FIRST)
        KS_TRY(begin(ctx, c));
    if (c->part != PART_WHOLE)
        return go_on(ctx, c, r->data, KS_SPAN_NONE);
    const int rc = ks_cipher_encrypt(&c->params, c->bytes, r->data, &c->out, &c->tag, &diag);
    return rc == 0 ? 0 : crypto_fail(ctx, rc, &diag);
}

int
op_encrypt(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_encrypt_request *r = request;
    KS_CLEANUP(crypt_done) struct crypt c = {.encrypt = true, .out = KS_BUF(r->data.len + STREAM_COLLECT + 64)};
    OP_RESPONSE(ctx, kmip_encrypt_response, response);
    KS_TRY(stream_part(ctx, PART_FIELDS(r), &c.part));
    const struct use use = {.use = USE_PROTECT,
                            .mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT,
                            .bytes = (int64_t)r->data.len,
                            .further = c.part == PART_NEXT || c.part == PART_LAST};
    KS_TRY(stream_key(ctx, c.part, &r->unique_identifier, r->correlation_value, &c.stream, &c.key));
    KS_TRY(engine_use(ctx, c.key, &use));
    KS_TRY(stream_data(ctx, c.part, r->has_data));
    KS_TRY(parameters_of(ctx, c.key, r->cryptographic_parameters, &c.p));
    if (is_asymmetric(c.key)) {
        KS_TRY(asymmetric(ctx, &c, r->data, &response->data));
        response->has_data = true;
    } else if (crypt_is_pad(c.key)) {
        response->iv_counter_nonce = r->iv_counter_nonce;
        response->has_iv_counter_nonce = r->has_iv_counter_nonce;
        KS_TRY(with_pad(ctx, &c, r->has_authenticated_encryption_additional_data, r->data, &response->iv_counter_nonce,
                        &response->has_iv_counter_nonce, &response->data));
        response->has_data = true;
    } else {
        KS_TRY(encrypt_data(ctx, &c, r));
        /* 1.2 and 1.3 have no field for a tag: there it is the end of the data. */
        if (c.tag.len != 0 && ctx->version < KMIP_V1_4)
            KS_TRY(ks_buf_add(&c.out, c.tag.b, c.tag.len));
        KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&c.out), &response->data));
        KS_TRY(ks_arena_span(ctx->arena, KS_SPAN(c.tag.b, c.tag.len), &response->authenticated_encryption_tag));
        response->has_data = c.part == PART_WHOLE || c.out.len != 0;
        response->has_authenticated_encryption_tag = c.tag.len != 0;
        response->iv_counter_nonce = c.params.iv;
        response->has_iv_counter_nonce = c.made_iv;
    }
    response->unique_identifier = uid_of(c.key);
    KS_TRY(engine_used(ctx, c.key, &use));
    KS_TRY(stream_answer(ctx, c.part, c.stream, &response->correlation_value, &response->has_correlation_value));
    *ret_response = response;
    return 0;
}

static int
decrypt_params(struct ctx *ctx, struct crypt *c, const struct kmip_decrypt_request *r)
{
    struct ks_diag diag = {0};
    struct iv_parts parts;
    size_t iv_len = 0;
    KS_TRY(cipher_params(ctx, c->key, c->p, false, &c->params));
    KS_TRY(material_symmetric(ctx, c->key, &c->bytes));
    const int rc = ks_cipher_iv_len(&c->params, c->bytes.len, &iv_len, &diag);
    if (rc != 0)
        return crypto_fail(ctx, rc, &diag);
    if (iv_len != 0 && (!r->has_iv_counter_nonce || r->iv_counter_nonce.len == 0))
        return engine_fail(ctx, COND_MISSING_IV, "the mode needs the IV with which the data was encrypted");
    if (r->has_iv_counter_nonce) {
        KS_TRY(iv_parts(ctx, c->p, &parts));
        KS_TRY(sent_iv(ctx, c->p, &parts, r->iv_counter_nonce, &c->params));
    }
    if (r->has_authenticated_encryption_additional_data)
        c->params.aad = r->authenticated_encryption_additional_data;
    return 0;
}

/* 1.2 and 1.3 have the tag at the end of the data. */
static void
split_tag(const struct ks_cipher_params *params, struct ks_span *data, struct ks_span *tag)
{
    const size_t n = params->tag_len != 0 ? params->tag_len : KS_CIPHER_TAG_MAX;
    if (!ks_cipher_has_tag(params) || tag->len != 0 || data->len < n)
        return;
    *tag = KS_SPAN(data->data + data->len - n, n);
    data->len -= n;
}

static int
decrypt_data(struct ctx *ctx, struct crypt *c, const struct kmip_decrypt_request *r)
{
    struct ks_diag diag = {0};
    struct ks_span data = r->data;
    struct ks_span tag = r->has_authenticated_encryption_tag ? r->authenticated_encryption_tag : KS_SPAN_NONE;
    if (c->part == PART_WHOLE || c->part == PART_FIRST)
        KS_TRY(decrypt_params(ctx, c, r));
    else if (r->has_authenticated_encryption_additional_data || r->has_iv_counter_nonce)
        return engine_fail(ctx, COND_BAD_FIELD, "IV and additional data belong to the first part of a stream");
    if (c->part == PART_FIRST)
        KS_TRY(begin(ctx, c));
    if (c->part != PART_WHOLE)
        return go_on(ctx, c, data, tag);
    if (ctx->version < KMIP_V1_4)
        split_tag(&c->params, &data, &tag);
    const int rc = ks_cipher_decrypt(&c->params, c->bytes, data, tag, &c->out, &diag);
    return rc == 0 ? 0 : crypto_fail(ctx, rc, &diag);
}

int
op_decrypt(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_decrypt_request *r = request;
    KS_CLEANUP(crypt_done) struct crypt c = {.out = KS_BUF(r->data.len + STREAM_COLLECT + 64)};
    OP_RESPONSE(ctx, kmip_decrypt_response, response);
    const struct use use = {.use = USE_PROCESS, .mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT};
    KS_TRY(stream_part(ctx, PART_FIELDS(r), &c.part));
    KS_TRY(stream_key(ctx, c.part, &r->unique_identifier, r->correlation_value, &c.stream, &c.key));
    KS_TRY(engine_use(ctx, c.key, &use));
    KS_TRY(stream_data(ctx, c.part, r->has_data));
    KS_TRY(parameters_of(ctx, c.key, r->cryptographic_parameters, &c.p));
    if (is_asymmetric(c.key)) {
        KS_TRY(asymmetric(ctx, &c, r->data, &response->data));
        response->has_data = true;
    } else if (crypt_is_pad(c.key)) {
        struct ks_span iv = r->iv_counter_nonce;
        bool has_iv = r->has_iv_counter_nonce;
        KS_TRY(
            with_pad(ctx, &c, r->has_authenticated_encryption_additional_data, r->data, &iv, &has_iv, &response->data));
        response->has_data = true;
    } else {
        KS_TRY(decrypt_data(ctx, &c, r));
        KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&c.out), &response->data));
        response->has_data = c.part == PART_WHOLE || c.out.len != 0;
    }
    response->unique_identifier = uid_of(c.key);
    KS_TRY(stream_answer(ctx, c.part, c.stream, &response->correlation_value, &response->has_correlation_value));
    *ret_response = response;
    return 0;
}
