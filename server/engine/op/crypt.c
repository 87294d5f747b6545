/* Encrypt and Decrypt (KMIP 1.4: 4.29, 4.30; 2.1: 6.1.15, 6.1.11) with symmetric keys. */
#include "crypto/cipher.h"
#include "server/engine/op/op.h"
#include "server/engine/profile.h"
#include "server/engine/wrap.h"

static int
check_stream(struct ctx *ctx, bool correlation, bool init, bool final)
{
    if (correlation || (init && !final))
        return engine_fail(ctx, COND_NO_SUCH_FEATURE, "data in several parts is not supported; send it in one request");
    return 0;
}

/* Parameters for crypto/, from the request's or the key's own. */
static int
cipher_params(struct ctx *ctx, const struct object *key, const struct kmip_cryptographic_parameters *p,
              enum profile_use use, struct ks_cipher_params *ret)
{
    const struct core *core = &key->rev->core;
    if (object_type(key) != KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        return engine_fail(ctx, COND_OBJECT_KIND, "object %s is no symmetric key", key->uid);
    if (p->has_cryptographic_algorithm && p->cryptographic_algorithm != core_get(core, CORE_ALGORITHM))
        return engine_fail(ctx, COND_BAD_PARAMETERS, "the parameters name another algorithm than that of key %s",
                           key->uid);
    ret->algorithm = (uint32_t)core_get(core, CORE_ALGORITHM);
    ret->mode = p->has_block_cipher_mode ? p->block_cipher_mode : 0;
    ret->padding = p->has_padding_method ? p->padding_method : 0;
    /* Modes are computed the one way that libcrypto has: what would make another one of them is not passed over. */
    if (p->has_counter_length || p->has_fixed_field_length || p->has_invocation_field_length ||
        p->has_initial_counter_value)
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED,
                           "the parts of a counter are not for this server to choose: send the whole as the IV");
    if (p->has_tag_length && (p->tag_length <= 0 || p->tag_length > KS_CIPHER_TAG_MAX))
        return engine_fail(ctx, COND_BAD_PARAMETERS, "a Tag Length of %d bytes is not possible", (int)p->tag_length);
    ret->tag_len = p->has_tag_length ? (size_t)p->tag_length : 0;
    if (ret->mode == 0 && ret->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES)
        return engine_fail(ctx, COND_BAD_PARAMETERS,
                           "neither the request nor key %s says which Block Cipher Mode to use", key->uid);
    ret->allow_legacy = true;
    struct profile_what what = profile_key(key);
    what.mode = ret->mode;
    return profile_check(ctx, use, &what);
}

static int
fail_cipher(struct ctx *ctx, int rc, struct ks_diag *diag)
{
    switch (rc) {
    case KS_E_UNSUPPORTED:
        return engine_fail_diag(ctx, COND_PARAMETERS_NOT_OFFERED, diag);
    case KS_E_INVALID:
        return engine_fail_diag(ctx, COND_BAD_PARAMETERS, diag);
    case KS_E_INTEGRITY:
    case KS_E_MALFORMED:
        /* One text for both: padding must not tell. */
        return engine_fail(ctx, COND_CRYPTOGRAPHY, "the data can not be decrypted with this key and these parameters");
    case KS_E_CRYPTO:
        return engine_fail(ctx, COND_CRYPTOGRAPHY, "the cryptographic operation failed");
    default:
        return rc;
    }
}

/* The IV to encrypt with: the one sent, or a random one if the parameters ask for that. */
static int
encrypt_iv(struct ctx *ctx, const struct kmip_cryptographic_parameters *p, bool has, struct ks_span sent,
           size_t key_len, struct ks_cipher_params *params, bool *ret_made)
{
    struct ks_diag diag = {0};
    size_t len = 0;
    params->iv = has ? sent : KS_SPAN_NONE;
    *ret_made = false;
    const int rc = ks_cipher_iv_len(params, key_len, &len, &diag);
    if (rc != 0)
        return fail_cipher(ctx, rc, &diag);
    if (len == 0 || has)
        return 0;
    if (p->has_random_iv && !p->random_iv)
        return engine_fail(ctx, COND_MISSING_IV, "the mode needs an IV: send one, or ask for a Random IV");
    uint8_t *iv = ks_arena_alloc(ctx->arena, len);
    if (iv == NULL)
        return KS_E_NOMEM;
    KS_TRY(engine_random(ctx->engine, iv, len));
    params->iv = KS_SPAN(iv, len);
    *ret_made = true;
    return 0;
}

int
op_encrypt(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_encrypt_request *r = request;
    const struct kmip_cryptographic_parameters *p;
    struct ks_cipher_params params = {0};
    struct ks_cipher_tag tag = {0};
    struct ks_diag diag = {0};
    struct object *key;
    struct ks_span bytes;
    bool made;
    OP_RESPONSE(ctx, kmip_encrypt_response, response);
    const struct use use = {
        .use = USE_PROTECT, .mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT, .bytes = (int64_t)r->data.len};
    KS_TRY(engine_object(ctx, &r->unique_identifier, &key));
    KS_TRY(engine_use(ctx, key, &use));
    KS_TRY(check_stream(ctx, r->has_correlation_value, r->has_init_indicator && r->init_indicator,
                        r->has_final_indicator && r->final_indicator));
    if (!r->has_data)
        return engine_fail(ctx, COND_MISSING, "the request has no Data");
    KS_TRY(parameters_of(ctx, key, r->cryptographic_parameters, &p));
    KS_TRY(cipher_params(ctx, key, p, PROFILE_PROTECT, &params));
    KS_TRY(material_symmetric(ctx, key, &bytes));
    KS_TRY(encrypt_iv(ctx, p, r->has_iv_counter_nonce, r->iv_counter_nonce, bytes.len, &params, &made));
    if (r->has_authenticated_encryption_additional_data)
        params.aad = r->authenticated_encryption_additional_data;
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(r->data.len + 64);
    const int rc = ks_cipher_encrypt(&params, bytes, r->data, &out, &tag, &diag);
    if (rc != 0)
        return fail_cipher(ctx, rc, &diag);
    /* 1.2 and 1.3 have no field for a tag: there it is the end of the data. */
    if (tag.len != 0 && ctx->version < KMIP_V1_4)
        KS_TRY(ks_buf_add(&out, tag.b, tag.len));
    KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&out), &response->data));
    KS_TRY(ks_arena_span(ctx->arena, KS_SPAN(tag.b, tag.len), &response->authenticated_encryption_tag));
    response->has_data = true;
    response->has_authenticated_encryption_tag = tag.len != 0;
    response->iv_counter_nonce = params.iv;
    response->has_iv_counter_nonce = made;
    response->unique_identifier = uid_of(key);
    KS_TRY(engine_used(ctx, key, &use));
    *ret_response = response;
    return 0;
}

int
op_decrypt(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_decrypt_request *r = request;
    const struct kmip_cryptographic_parameters *p;
    struct ks_cipher_params params = {0};
    struct ks_diag diag = {0};
    struct object *key;
    struct ks_span bytes, data = r->data, tag = KS_SPAN_NONE;
    size_t iv_len = 0;
    OP_RESPONSE(ctx, kmip_decrypt_response, response);
    const struct use use = {.use = USE_PROCESS, .mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT};
    KS_TRY(engine_object(ctx, &r->unique_identifier, &key));
    KS_TRY(engine_use(ctx, key, &use));
    KS_TRY(check_stream(ctx, r->has_correlation_value, r->has_init_indicator && r->init_indicator,
                        r->has_final_indicator && r->final_indicator));
    if (!r->has_data)
        return engine_fail(ctx, COND_MISSING, "the request has no Data");
    KS_TRY(parameters_of(ctx, key, r->cryptographic_parameters, &p));
    KS_TRY(cipher_params(ctx, key, p, PROFILE_PROCESS, &params));
    KS_TRY(material_symmetric(ctx, key, &bytes));
    if (r->has_iv_counter_nonce)
        params.iv = r->iv_counter_nonce;
    int rc = ks_cipher_iv_len(&params, bytes.len, &iv_len, &diag);
    if (rc != 0)
        return fail_cipher(ctx, rc, &diag);
    if (iv_len != 0 && params.iv.len == 0)
        return engine_fail(ctx, COND_MISSING_IV, "the mode needs the IV with which the data was encrypted");
    if (r->has_authenticated_encryption_additional_data)
        params.aad = r->authenticated_encryption_additional_data;
    if (r->has_authenticated_encryption_tag)
        tag = r->authenticated_encryption_tag;
    if (ks_cipher_has_tag(&params) && tag.len == 0 && ctx->version < KMIP_V1_4) {
        const size_t n = params.tag_len != 0 ? params.tag_len : KS_CIPHER_TAG_MAX;
        if (data.len >= n) {
            tag = KS_SPAN(data.data + data.len - n, n);
            data.len -= n;
        }
    }
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(data.len + 64);
    rc = ks_cipher_decrypt(&params, bytes, data, tag, &out, &diag);
    if (rc != 0)
        return fail_cipher(ctx, rc, &diag);
    KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&out), &response->data));
    response->has_data = true;
    response->unique_identifier = uid_of(key);
    *ret_response = response;
    return 0;
}
