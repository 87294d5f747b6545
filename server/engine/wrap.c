#include "server/engine/wrap.h"

#include "crypto/keywrap.h"
#include "server/engine/attr.h"

int
parameters_of(struct ctx *ctx, const struct object *key, const struct kmip_cryptographic_parameters *asked,
              const struct kmip_cryptographic_parameters **ret)
{
    static const struct kmip_cryptographic_parameters none;
    if (asked != NULL) {
        *ret = asked;
        return 0;
    }
    *ret = &none;
    for (const struct kmip_attr *a = key->rev->attrs.first; a != NULL; a = a->next) {
        if (a->tag != KMIP_TAG_CRYPTOGRAPHIC_PARAMETERS || a->value == NULL)
            continue;
        void *decoded;
        KS_TRY(
            kmip_item_decode(&kmip_schema_cryptographic_parameters, KMIP_V2_1, a->value, ctx->arena, &decoded, NULL));
        *ret = decoded;
        return 0;
    }
    return 0;
}

/* What went wrong with the wrapping key is said with the reasons that are its own. */
static int
find_wrapping_key(struct ctx *ctx, const struct kmip_uid *uid, struct object **ret)
{
    const struct use use = {.use = USE_PROTECT, .mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY, .bytes = 0};
    struct object *key = uid->type == KMIP_TYPE_TEXT_STRING ? objects_find(&ctx->engine->objects, uid->text) : NULL;
    if (key == NULL || !policy_may(ctx->client, RIGHT_SEE, key))
        return engine_fail(ctx, COND_WRAPPING_KEY_UNKNOWN,
                           "there is no wrapping key of that identifier, or it is not visible to this client");
    const enum state_column at = state_column(&key->rev->core, USE_PROTECT, ctx->now);
    if (policy_may(ctx->client, RIGHT_PROTECT, key) && (at == STATE_DESTROYED || at == STATE_DESTROYED_COMPROMISED))
        return engine_fail(ctx, COND_WRAPPING_KEY_DESTROYED, "wrapping key %s is destroyed", key->uid);
    if (policy_may(ctx->client, RIGHT_PROTECT, key) && at == STATE_ARCHIVED)
        return engine_fail(ctx, COND_WRAPPING_KEY_ARCHIVED, "wrapping key %s is archived; recover it first", key->uid);
    KS_TRY(engine_use(ctx, key, &use));
    *ret = key;
    return 0;
}

/* Block Cipher Mode of the wrapping: NIST key wrap unless the parameters say with padding. */
static int
wrap_method(struct ctx *ctx, const struct object *key, const struct kmip_cryptographic_parameters *p,
            enum ks_keywrap *ret)
{
    if (core_get(&key->rev->core, CORE_ALGORITHM) != KMIP_CRYPTOGRAPHIC_ALGORITHM_AES ||
        object_type(key) != KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED, "keys are wrapped with AES keys alone; %s is none",
                           key->uid);
    const uint32_t mode = p->has_block_cipher_mode ? p->block_cipher_mode : KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP;
    if (mode != KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP && mode != KMIP_BLOCK_CIPHER_MODE_AESKEYWRAPPADDING)
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED,
                           "keys are wrapped by NISTKeyWrap or AESKeyWrapPadding alone");
    *ret = mode == KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP ? KS_KEYWRAP_RFC3394 : KS_KEYWRAP_RFC5649;
    return 0;
}

/* What is wrapped: the TTLV of the Key Value, or (No Encoding) the bytes of the Key Material. */
static int
wrap_input(struct ctx *ctx, const struct object *object, const struct kmip_key_wrapping_specification *how,
           const struct material *material, bool raw, struct ks_span *ret)
{
    struct kmip_item *value;
    struct kmip_attrs attributes;
    const struct kmip_attrs *with = NULL;
    if (raw && how->attribute_refs.n != 0)
        return engine_fail(ctx, COND_ENCODING, "attributes can be wrapped with a key only under TTLV Encoding");
    if (raw && material->kind != MATERIAL_BYTES)
        return engine_fail(ctx, COND_ENCODING, "a key in a transparent format can be wrapped only under TTLV Encoding");
    if (raw) {
        *ret = material->bytes;
        return 0;
    }
    if (how->attribute_refs.n != 0) {
        KS_TRY(attr_collect(ctx, object, &how->attribute_refs, &attributes));
        with = &attributes;
    }
    KS_TRY(material_key_value(ctx, material, with, &value));
    KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(1 << 20);
    KS_TRY(kmip_item_to_ttlv(value, &ttlv));
    return ks_arena_span(ctx->arena, ks_buf_span(&ttlv), ret);
}

static int
wrapping_data(struct ctx *ctx, const struct object *key, const struct kmip_key_wrapping_specification *how, bool raw,
              struct kmip_key_wrapping_data **ret)
{
    struct kmip_key_wrapping_data *data = CTX_NEW(ctx, struct kmip_key_wrapping_data);
    struct kmip_encryption_key_information *info = CTX_NEW(ctx, struct kmip_encryption_key_information);
    if (data == NULL || info == NULL)
        return KS_E_NOMEM;
    info->unique_identifier = uid_of(key);
    info->cryptographic_parameters = how->encryption_key_information->cryptographic_parameters;
    data->wrapping_method = how->wrapping_method;
    data->encryption_key_information = info;
    data->encoding_option = raw ? KMIP_ENCODING_OPTION_NO_ENCODING : KMIP_ENCODING_OPTION_TTLV_ENCODING;
    data->has_encoding_option = how->has_encoding_option;
    *ret = data;
    return 0;
}

/* Whatever was encoded, a wrapped Key Value is a Byte String. */
static int
put_wrapped(struct ctx *ctx, struct ks_span wrapped, struct kmip_key_block *block)
{
    struct material material = {MATERIAL_WRAPPED, KS_SPAN_NONE};
    KS_TRY(ks_arena_span(ctx->arena, wrapped, &material.bytes));
    return material_key_value(ctx, &material, NULL, &block->key_value);
}

int
wrap_key_block(struct ctx *ctx, const struct object *object, const struct kmip_key_wrapping_specification *how,
               const struct material *material, struct kmip_key_block *block)
{
    struct object *key;
    const struct kmip_cryptographic_parameters *p;
    enum ks_keywrap method;
    struct ks_span input, kek;
    struct ks_diag diag = {0};
    if (how->wrapping_method != KMIP_WRAPPING_METHOD_ENCRYPT || how->mac_signature_key_information != NULL)
        return engine_fail(ctx, COND_NO_SUCH_FEATURE, "keys are wrapped by the method Encrypt alone");
    if (how->encryption_key_information == NULL)
        return engine_fail(ctx, COND_MISSING, "the request does not say with which key to wrap");
    const bool raw = how->has_encoding_option && how->encoding_option == KMIP_ENCODING_OPTION_NO_ENCODING;
    KS_TRY(find_wrapping_key(ctx, &how->encryption_key_information->unique_identifier, &key));
    if (key == object)
        return engine_fail(ctx, COND_BAD_FIELD, "a key is not wrapped with itself");
    KS_TRY(parameters_of(ctx, key, how->encryption_key_information->cryptographic_parameters, &p));
    KS_TRY(wrap_method(ctx, key, p, &method));
    KS_TRY(wrap_input(ctx, object, how, material, raw, &input));
    const struct use use = {
        .use = USE_PROTECT, .mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY, .bytes = (int64_t)input.len};
    KS_TRY(engine_use(ctx, key, &use));
    KS_TRY(material_symmetric(ctx, key, &kek));
    KS_CLEANUP(ks_buf_done) struct ks_buf wrapped = KS_BUF(1 << 20);
    const int rc = ks_keywrap(method, kek, input, &wrapped, &diag);
    if (rc != 0)
        return rc == KS_E_INVALID ? engine_fail_diag(ctx, COND_BAD_PARAMETERS, &diag)
                                  : engine_fail_diag(ctx, COND_CRYPTOGRAPHY, &diag);
    KS_TRY(wrapping_data(ctx, key, how, raw, &block->key_wrapping_data));
    KS_TRY(put_wrapped(ctx, ks_buf_span(&wrapped), block));
    engine_note(ctx, "wrapped with %s", key->uid);
    return engine_used(ctx, key, &use);
}
