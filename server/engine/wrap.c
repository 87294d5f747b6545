/* Putting a wrapped Key Block together, and taking one apart. */
#include "server/engine/wrap.h"

#include "server/engine/attr.h"
#include "server/engine/wrap_keys.h"

/* The keys of one wrapping, those that its method takes. */
struct wrapping {
    uint32_t method;
    struct wrap_key encrypt, mac;
};

static bool
encrypts(uint32_t method)
{
    return method != KMIP_WRAPPING_METHOD_MAC_SIGN;
}

static bool
macs(uint32_t method)
{
    return method != KMIP_WRAPPING_METHOD_ENCRYPT;
}

bool
wrap_is_readable(uint32_t method)
{
    return !encrypts(method);
}

static int
find_keys(struct ctx *ctx, uint32_t method, const struct kmip_encryption_key_information *encrypt,
          const struct kmip_mac_signature_key_information *mac, bool unwrap, struct wrapping *ret)
{
    *ret = (struct wrapping){.method = method};
    if (method < KMIP_WRAPPING_METHOD_ENCRYPT || method > KMIP_WRAPPING_METHOD_MAC_SIGN_THEN_ENCRYPT)
        return engine_fail(ctx, COND_NO_SUCH_FEATURE,
                           "keys are wrapped by encryption, MAC or signature, and both; not by that method");
    if (!macs(method) && mac != NULL)
        return engine_fail(ctx, COND_BAD_FIELD, "the method Encrypt takes no MAC/Signature Key Information");
    if (!encrypts(method) && encrypt != NULL)
        return engine_fail(ctx, COND_BAD_FIELD, "the method MAC/sign takes no Encryption Key Information");
    if (encrypts(method))
        KS_TRY(wrap_find_encryption_key(ctx, encrypt, unwrap, &ret->encrypt));
    if (macs(method))
        KS_TRY(wrap_find_mac_key(ctx, mac, unwrap, &ret->mac));
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
    if (raw && how->has_encoding_option && how->attribute_refs.n != 0)
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

/* The Key Wrapping Data of the answer, as the request specified it. */
static int
wrapping_data(struct ctx *ctx, const struct kmip_key_wrapping_specification *how, bool raw,
              struct kmip_key_wrapping_data **ret)
{
    struct kmip_key_wrapping_data *data = CTX_NEW(ctx, struct kmip_key_wrapping_data);
    if (data == NULL)
        return KS_E_NOMEM;
    data->wrapping_method = how->wrapping_method;
    data->encryption_key_information = how->encryption_key_information;
    data->mac_signature_key_information = how->mac_signature_key_information;
    data->encoding_option = raw ? KMIP_ENCODING_OPTION_NO_ENCODING : KMIP_ENCODING_OPTION_TTLV_ENCODING;
    data->has_encoding_option = how->has_encoding_option;
    *ret = data;
    return 0;
}

/* The bytes wrapped; MAC or signature and IV into the data. */
static int
wrap_bytes(struct ctx *ctx, const struct wrapping *w, struct ks_span input, struct kmip_key_wrapping_data *data,
           struct ks_span *ret)
{
    struct ks_span out = input, iv = KS_SPAN_NONE;
    if (w->method == KMIP_WRAPPING_METHOD_MAC_SIGN_THEN_ENCRYPT || w->method == KMIP_WRAPPING_METHOD_MAC_SIGN)
        KS_TRY(wrap_mac(ctx, &w->mac, input, &data->mac_signature));
    if (encrypts(w->method))
        KS_TRY(wrap_encrypt(ctx, &w->encrypt, input, &out, &iv));
    if (w->method == KMIP_WRAPPING_METHOD_ENCRYPT_THEN_MAC_SIGN)
        KS_TRY(wrap_mac(ctx, &w->mac, out, &data->mac_signature));
    data->has_mac_signature = macs(w->method);
    data->iv_counter_nonce = iv;
    data->has_iv_counter_nonce = iv.len != 0;
    *ret = out;
    return 0;
}

/*
 * Whether the bare bytes of the key are wrapped. By the text an absent Encoding Option means TTLV Encoding; where the
 * specification of 1.1 and 1.2 also names attributes, the published case (TC-142) has the bare key, and cases win.
 */
static bool
wraps_bare(const struct ctx *ctx, const struct kmip_key_wrapping_specification *how, const struct material *material)
{
    if (how->has_encoding_option)
        return how->encoding_option == KMIP_ENCODING_OPTION_NO_ENCODING;
    return how->attribute_refs.n != 0 && material->kind == MATERIAL_BYTES &&
           (ctx->version == KMIP_V1_1 || ctx->version == KMIP_V1_2);
}

int
wrap_key_block(struct ctx *ctx, const struct object *object, const struct kmip_key_wrapping_specification *how,
               const struct material *material, struct kmip_key_block *block)
{
    struct wrapping w;
    struct ks_span input, out;
    struct material wrapped = {MATERIAL_WRAPPED, KS_SPAN_NONE};
    const bool raw = wraps_bare(ctx, how, material);
    KS_TRY(find_keys(ctx, how->wrapping_method, how->encryption_key_information, how->mac_signature_key_information,
                     false, &w));
    if (w.encrypt.object == object || w.mac.object == object)
        return engine_fail(ctx, COND_BAD_FIELD, "a key is not wrapped with itself");
    KS_TRY(wrap_input(ctx, object, how, material, raw, &input));
    struct object *counted[] = {w.encrypt.object, w.mac.object};
    const struct use use = {.use = USE_PROTECT, .bytes = (int64_t)input.len};
    for (size_t i = 0; i < KS_ARRAY_LEN(counted); i++)
        if (counted[i] != NULL)
            KS_TRY(engine_use(ctx, counted[i], &use));
    KS_TRY(wrapping_data(ctx, how, raw, &block->key_wrapping_data));
    KS_TRY(wrap_bytes(ctx, &w, input, block->key_wrapping_data, &out));
    if (encrypts(w.method))
        KS_TRY(wrap_check_strength(ctx, object, &w.encrypt));
    wrapped.bytes = out;
    /* Whatever was encoded, a wrapped Key Value is a Byte String. */
    KS_TRY(material_key_value(ctx, &wrapped, NULL, &block->key_value));
    engine_note(ctx, "wrapped with %s", (encrypts(w.method) ? w.encrypt.object : w.mac.object)->uid);
    for (size_t i = 0; i < KS_ARRAY_LEN(counted); i++)
        if (counted[i] != NULL)
            KS_TRY(engine_used(ctx, counted[i], &use));
    return 0;
}

/* Unwrapping */

int
key_value_material(struct ctx *ctx, const struct kmip_item *value, struct material *ret)
{
    const struct kmip_item *key =
        value->type == KMIP_TYPE_STRUCTURE ? kmip_item_child(value, KMIP_TAG_KEY_MATERIAL) : NULL;
    if (key == NULL)
        return engine_fail(ctx, COND_BAD_FIELD, "the Key Value holds no Key Material");
    if (key->type == KMIP_TYPE_BYTE_STRING) {
        *ret = (struct material){MATERIAL_BYTES, key->s};
        return 0;
    }
    if (key->type != KMIP_TYPE_STRUCTURE)
        return engine_fail(ctx, COND_BAD_FIELD, "Key Material is a Byte String or a Structure");
    KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(1 << 20);
    KS_TRY(kmip_item_to_ttlv(key, &ttlv));
    ret->kind = MATERIAL_ITEM;
    return ks_arena_span(ctx->arena, ks_buf_span(&ttlv), &ret->bytes);
}

/* The bytes that were wrapped. A Key Value that was only MACed or signed may stand there as the structure it is. */
static int
unwrap_bytes(struct ctx *ctx, const struct kmip_key_wrapping_data *how, const struct kmip_item *value,
             struct ks_span *ret)
{
    struct wrapping w;
    struct ks_span in;
    /* No Encoding: some send the wrapped bytes in the place of the Key Material that they are (TC-WRAP-2). */
    const struct kmip_item *inside =
        value->type == KMIP_TYPE_STRUCTURE ? kmip_item_child(value, KMIP_TAG_KEY_MATERIAL) : NULL;
    KS_TRY(find_keys(ctx, how->wrapping_method, how->encryption_key_information, how->mac_signature_key_information,
                     true, &w));
    if (value->type == KMIP_TYPE_BYTE_STRING) {
        in = value->s;
    } else if (inside != NULL && inside->type == KMIP_TYPE_BYTE_STRING &&
               (encrypts(w.method) || how->encoding_option == KMIP_ENCODING_OPTION_NO_ENCODING)) {
        in = inside->s;
    } else if (!encrypts(w.method)) {
        KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(1 << 20);
        KS_TRY(kmip_item_to_ttlv(value, &ttlv));
        KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&ttlv), &in));
    } else {
        return engine_fail(ctx, COND_BAD_FIELD, "a wrapped Key Value is a Byte String");
    }
    if (macs(w.method) && !how->has_mac_signature)
        return engine_fail(ctx, COND_MISSING, "the Key Wrapping Data has no MAC/Signature");
    if (w.method == KMIP_WRAPPING_METHOD_ENCRYPT_THEN_MAC_SIGN)
        KS_TRY(wrap_mac_verify(ctx, &w.mac, in, how->mac_signature));
    struct ks_span out = in;
    if (encrypts(w.method))
        KS_TRY(wrap_decrypt(ctx, &w.encrypt, in, how->iv_counter_nonce, &out));
    if (macs(w.method) && w.method != KMIP_WRAPPING_METHOD_ENCRYPT_THEN_MAC_SIGN)
        KS_TRY(wrap_mac_verify(ctx, &w.mac, out, how->mac_signature));
    engine_note(ctx, "unwrapped with %s", (encrypts(w.method) ? w.encrypt.object : w.mac.object)->uid);
    *ret = out;
    return 0;
}

int
unwrap_key_value(struct ctx *ctx, const struct kmip_key_wrapping_data *how, const struct kmip_item *value,
                 struct material *ret, struct kmip_attrs *ret_attributes)
{
    const bool raw = how->has_encoding_option && how->encoding_option == KMIP_ENCODING_OPTION_NO_ENCODING;
    struct ks_span bytes;
    struct kmip_item *item;
    void *decoded;
    *ret_attributes = (struct kmip_attrs){0};
    KS_TRY(unwrap_bytes(ctx, how, value, &bytes));
    if (raw) {
        *ret = (struct material){MATERIAL_BYTES, bytes};
        return 0;
    }
    int rc = kmip_item_from_ttlv(bytes, &kmip_limits_default, ctx->arena, &item, NULL);
    if (rc == 0)
        rc = item->tag == KMIP_TAG_KEY_VALUE
                 ? kmip_item_decode(&kmip_schema_key_value, ctx->version, item, ctx->arena, &decoded, NULL)
                 : KS_E_MALFORMED;
    if (rc == KS_E_NOMEM)
        return rc;
    if (rc != 0)
        return engine_fail(ctx, COND_ENCODING, "what was wrapped is no Key Value in TTLV Encoding");
    const struct kmip_key_value *plain = decoded;
    *ret_attributes = plain->attributes;
    return key_value_material(ctx, item, ret);
}

int
unwrap_object(struct ctx *ctx, const struct object *object, struct material *ret)
{
    struct material kept;
    struct kmip_item *value;
    struct kmip_attrs attributes;
    void *how;
    KS_TRY(material_open(ctx, object, &kept));
    KS_TRY(kmip_item_decode(&kmip_schema_key_wrapping_data, KMIP_V2_1, object->rev->wrapping, ctx->arena, &how, NULL));
    KS_TRY(material_key_value(ctx, &kept, NULL, &value));
    return unwrap_key_value(ctx, how, value, ret, &attributes);
}
