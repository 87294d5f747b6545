#include "server/engine/wrap_keys.h"

#include "crypto/cipher.h"
#include "crypto/hash.h"
#include "crypto/keywrap.h"
#include "crypto/mac.h"
#include "crypto/pq.h"
#include "crypto/sign.h"
#include "server/engine/attr.h"
#include "server/engine/profile.h"

enum { WRAPPED_MOST = 1 << 20, TAG = 16 };

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

/* Finding keys */

static struct object *
visible(struct ctx *ctx, struct ks_span uid)
{
    struct object *key = engine_find(ctx, uid);
    return key != NULL && policy_may(ctx->client, RIGHT_SEE, key) ? key : NULL;
}

static int
find_key(struct ctx *ctx, const struct kmip_uid *uid, enum state_use use, struct object **ret)
{
    struct ks_span text = KS_SPAN_NONE;
    if (uid->type != 0)
        KS_TRY(engine_uid(ctx, uid, &text));
    struct object *key = visible(ctx, text);
    if (key == NULL)
        return engine_fail(ctx, COND_WRAPPING_KEY_UNKNOWN,
                           "there is no wrapping key of that identifier, or it is not visible to this client");
    const enum state_column at = state_column(&key->rev->core, use, ctx->now);
    const bool may = policy_may(ctx->client, state_rows[use].right, key);
    if (may && (at == STATE_DESTROYED || at == STATE_DESTROYED_COMPROMISED))
        return engine_fail(ctx, COND_WRAPPING_KEY_DESTROYED, "wrapping key %s is destroyed", key->uid);
    if (may && at == STATE_ARCHIVED)
        return engine_fail(ctx, COND_WRAPPING_KEY_ARCHIVED, "wrapping key %s is archived; recover it first", key->uid);
    const uint32_t type = object_type(key);
    if (!material_is_key(type) && type != KMIP_OBJECT_TYPE_CERTIFICATE)
        return engine_fail(ctx, COND_WRAPPING_NO_KEY, "object %s is no key: it can not wrap", key->uid);
    *ret = key;
    return 0;
}

/* The other half of a pair, where the operation takes that half and the link to it is there. */
static struct object *
other_half(struct ctx *ctx, struct object *key, uint32_t wanted)
{
    struct ks_span uid;
    const uint32_t link =
        wanted == KMIP_OBJECT_TYPE_PRIVATE_KEY ? KMIP_LINK_TYPE_PRIVATE_KEY_LINK : KMIP_LINK_TYPE_PUBLIC_KEY_LINK;
    const uint32_t type = object_type(key);
    const bool pair = type == KMIP_OBJECT_TYPE_PRIVATE_KEY || type == KMIP_OBJECT_TYPE_PUBLIC_KEY;
    if (!pair || type == wanted || !attr_linked(key->rev, link, &uid))
        return key;
    struct object *half = visible(ctx, uid);
    return half != NULL && object_type(half) == wanted ? half : key;
}

/* One of the bits is enough. */
static int
check_use(struct ctx *ctx, struct object *key, enum state_use use, uint32_t bits)
{
    const struct use none = {.use = use};
    KS_TRY(engine_use(ctx, key, &none));
    if ((core_get(&key->rev->core, CORE_USAGE_MASK) & bits) == 0)
        return engine_fail(ctx, COND_USAGE_MASK, "the Cryptographic Usage Mask of key %s does not allow that use",
                           key->uid);
    return 0;
}

/* What the policy profile says of the key, and of how it is to be used. */
static int
check_profile(struct ctx *ctx, const struct wrap_key *key, bool encrypts, bool unwrap)
{
    struct profile_what what = profile_key(key->object);
    const struct kmip_cryptographic_parameters *p = key->parameters;
    if (object_type(key->object) == KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        what.mode = p->has_block_cipher_mode ? p->block_cipher_mode : 0;
    else if (encrypts)
        what.padding = p->has_padding_method ? p->padding_method : KMIP_PADDING_METHOD_OAEP;
    return profile_check(ctx, unwrap ? PROFILE_PROCESS : PROFILE_PROTECT, &what);
}

int
wrap_find_encryption_key(struct ctx *ctx, const struct kmip_encryption_key_information *info, bool unwrap,
                         struct wrap_key *ret)
{
    const enum state_use use = unwrap ? USE_PROCESS : USE_PROTECT;
    /* A key that may wrap may unwrap what it wrapped: so the published cases (TC-WRAP-2). */
    const uint32_t bits = unwrap ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_UNWRAP_KEY | KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY
                                 : KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY;
    if (info == NULL)
        return engine_fail(ctx, COND_MISSING, "the request does not say with which key to wrap");
    KS_TRY(find_key(ctx, &info->unique_identifier, use, &ret->object));
    ret->object = other_half(ctx, ret->object, unwrap ? KMIP_OBJECT_TYPE_PRIVATE_KEY : KMIP_OBJECT_TYPE_PUBLIC_KEY);
    KS_TRY(check_use(ctx, ret->object, use, bits));
    KS_TRY(parameters_of(ctx, ret->object, info->cryptographic_parameters, &ret->parameters));
    return check_profile(ctx, ret, true, unwrap);
}

int
wrap_find_mac_key(struct ctx *ctx, const struct kmip_mac_signature_key_information *info, bool unwrap,
                  struct wrap_key *ret)
{
    const enum state_use use = unwrap ? USE_PROCESS : USE_PROTECT;
    if (info == NULL)
        return engine_fail(ctx, COND_MISSING, "the request does not say with which key to MAC or sign");
    KS_TRY(find_key(ctx, &info->unique_identifier, use, &ret->object));
    ret->object = other_half(ctx, ret->object, unwrap ? KMIP_OBJECT_TYPE_PUBLIC_KEY : KMIP_OBJECT_TYPE_PRIVATE_KEY);
    const bool symmetric = object_type(ret->object) == KMIP_OBJECT_TYPE_SYMMETRIC_KEY;
    uint32_t bits = symmetric ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE : KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN;
    if (unwrap) /* whoever may make one may check it */
        bits |= symmetric ? KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_VERIFY : KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY;
    KS_TRY(check_use(ctx, ret->object, use, bits));
    KS_TRY(parameters_of(ctx, ret->object, info->cryptographic_parameters, &ret->parameters));
    return check_profile(ctx, ret, false, unwrap);
}

/* Strength */

static int64_t
rsa_strength(int64_t bits)
{
    static const struct {
        int64_t bits, strength;
    } rows[] = {{15360, 256}, {7680, 192}, {3072, 128}, {2048, 112}, {1024, 80}}; /* SP 800-57 part 1, table 2 */
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (bits >= rows[i].bits)
            return rows[i].strength;
    return 0;
}

/* Bits of security of a key; 0: not known, or no key (a password, say). */
static int64_t
strength(const struct object *object)
{
    enum { MOST = 256, TRIPLE_DES = 112 };
    const struct core *core = &object->rev->core;
    const int64_t bits = core_get(core, CORE_LENGTH);
    const uint32_t type = object_type(object);
    if (type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY) {
        if (core_get(core, CORE_ALGORITHM) == KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES)
            return TRIPLE_DES;
        return bits < MOST ? bits : MOST;
    }
    if (type != KMIP_OBJECT_TYPE_PUBLIC_KEY && type != KMIP_OBJECT_TYPE_PRIVATE_KEY)
        return 0;
    switch (core_get(core, CORE_ALGORITHM)) {
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_DH:
        return rsa_strength(bits);
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_EC:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ECMQV:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519:
    case KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448:
        return bits / 2 < MOST ? bits / 2 : MOST;
    default:
        return ks_pq_strength((uint32_t)core_get(core, CORE_ALGORITHM));
    }
}

int
wrap_check_strength(struct ctx *ctx, const struct object *object, const struct wrap_key *key)
{
    const int64_t needed = strength(object), given = strength(key->object);
    /* A public key is no secret. */
    if (object_type(object) == KMIP_OBJECT_TYPE_PUBLIC_KEY || needed <= given ||
        ctx->engine->config.profile == PROFILE_COMPAT)
        return 0;
    return engine_fail(ctx, COND_NOT_PERMITTED,
                       "key %s (%lld bits of security) is too weak to wrap object %s (%lld); use a stronger one",
                       key->object->uid, (long long)given, object->uid, (long long)needed);
}

/* Encryption */

static bool
is_keywrap(const struct wrap_key *key, enum ks_keywrap *ret)
{
    const struct kmip_cryptographic_parameters *p = key->parameters;
    const bool aes = core_get(&key->object->rev->core, CORE_ALGORITHM) == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES;
    const uint32_t mode = p->has_block_cipher_mode ? p->block_cipher_mode : KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP;
    *ret = mode == KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP ? KS_KEYWRAP_RFC3394 : KS_KEYWRAP_RFC5649;
    return aes && (mode == KMIP_BLOCK_CIPHER_MODE_NISTKEYWRAP || mode == KMIP_BLOCK_CIPHER_MODE_AESKEYWRAPPADDING);
}

static void
cipher_of(const struct wrap_key *key, struct ks_cipher_params *ret)
{
    const struct kmip_cryptographic_parameters *p = key->parameters;
    *ret = (struct ks_cipher_params){
        .algorithm = (uint32_t)core_get(&key->object->rev->core, CORE_ALGORITHM),
        .mode = p->block_cipher_mode,
        .padding = p->padding_method,
        .tag_len = TAG,
    };
    if (p->has_tag_length && p->tag_length > 0)
        ret->tag_len = (size_t)p->tag_length;
}

/* A key wrapped in a way that the parameters do not offer, or that failed. */
static int
failed(struct ctx *ctx, int rc, struct ks_diag *diag)
{
    switch (rc) {
    case 0:
    case KS_E_NOMEM:
        return rc;
    case KS_E_UNSUPPORTED:
        return engine_fail_diag(ctx, COND_PARAMETERS_NOT_OFFERED, diag);
    case KS_E_INVALID:
        return engine_fail_diag(ctx, COND_BAD_PARAMETERS, diag);
    default:
        return engine_fail_diag(ctx, COND_CRYPTOGRAPHY, diag);
    }
}

/* For whoever sends wrapped keys all failures to unwrap are one: no oracle for paddings and tags. */
static int
does_not_unwrap(struct ctx *ctx, int rc, struct ks_diag *diag)
{
    if (rc == KS_E_UNSUPPORTED || rc == KS_E_NOMEM)
        return failed(ctx, rc, diag);
    return engine_fail(ctx, COND_CRYPTOGRAPHY,
                       "the wrapped key does not unwrap: another wrapping key, other parameters, or changed bytes");
}

static void
oaep_of(const struct wrap_key *key, struct ks_asym_params *ret)
{
    const struct kmip_cryptographic_parameters *p = key->parameters;
    *ret = (struct ks_asym_params){.padding = p->has_padding_method ? p->padding_method : KMIP_PADDING_METHOD_OAEP,
                                   .hash = p->hashing_algorithm,
                                   .label = p->p_source};
    /* The default for the mask generator is SHA-1 (2.1: 4.14), whatever the hash is. */
    ret->mgf_hash =
        p->has_mask_generator_hashing_algorithm ? p->mask_generator_hashing_algorithm : KMIP_HASHING_ALGORITHM_SHA_1;
}

static bool
is_asymmetric(const struct object *object)
{
    return object_type(object) == KMIP_OBJECT_TYPE_PUBLIC_KEY || object_type(object) == KMIP_OBJECT_TYPE_PRIVATE_KEY;
}

static int
check_symmetric(struct ctx *ctx, const struct object *object)
{
    if (object_type(object) != KMIP_OBJECT_TYPE_SYMMETRIC_KEY)
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED,
                           "keys are wrapped with symmetric keys and RSA keys; object %s is neither", object->uid);
    return 0;
}

/* Ciphers that protect keys. */
static int
check_cipher(struct ctx *ctx, const struct object *object)
{
    const int64_t algorithm = core_get(&object->rev->core, CORE_ALGORITHM);
    KS_TRY(check_symmetric(ctx, object));
    if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES || algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20 ||
        algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20POLY1305)
        return 0;
    return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED,
                       "keys are encrypted with AES and ChaCha20 keys alone; key %s is none", object->uid);
}

int
wrap_encrypt(struct ctx *ctx, const struct wrap_key *key, struct ks_span input, struct ks_span *ret,
             struct ks_span *ret_iv)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(WRAPPED_MOST);
    struct ks_diag diag = {0};
    struct ks_span kek;
    enum ks_keywrap method;
    *ret_iv = KS_SPAN_NONE;
    if (is_asymmetric(key->object)) {
        KS_PKEY *pkey = NULL;
        struct ks_asym_params params;
        KS_TRY(parsed_key(ctx, key->object, &pkey));
        oaep_of(key, &params);
        KS_TRY(failed(ctx, ks_asym_encrypt(pkey, &params, input, &out, &diag), &diag));
        return ks_arena_span(ctx->arena, ks_buf_span(&out), ret);
    }
    KS_TRY(check_cipher(ctx, key->object));
    KS_TRY(material_symmetric(ctx, key->object, &kek));
    if (is_keywrap(key, &method)) {
        KS_TRY(failed(ctx, ks_keywrap(method, kek, input, &out, &diag), &diag));
        return ks_arena_span(ctx->arena, ks_buf_span(&out), ret);
    }
    struct ks_cipher_params params;
    struct ks_cipher_tag tag = {0};
    size_t iv_len;
    cipher_of(key, &params);
    KS_TRY(failed(ctx, ks_cipher_iv_len(&params, kek.len, &iv_len, &diag), &diag));
    if (iv_len != 0 && ctx->p11 != NULL && ctx->p11->iv.len == iv_len) {
        params.iv = ctx->p11->iv;
    } else if (iv_len != 0) {
        uint8_t *iv = ks_arena_alloc(ctx->arena, iv_len);
        if (iv == NULL)
            return KS_E_NOMEM;
        KS_TRY(engine_random(ctx->engine, iv, iv_len));
        params.iv = KS_SPAN(iv, iv_len);
    }
    KS_TRY(failed(ctx, ks_cipher_encrypt(&params, kek, input, &out, &tag, &diag), &diag));
    KS_TRY(ks_buf_add(&out, tag.b, tag.len)); /* Key Wrapping Data has no place for it: it follows the ciphertext */
    KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&out), ret));
    *ret_iv = params.iv;
    return 0;
}

int
wrap_decrypt(struct ctx *ctx, const struct wrap_key *key, struct ks_span input, struct ks_span iv, struct ks_span *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(WRAPPED_MOST);
    struct ks_diag diag = {0};
    struct ks_span kek;
    enum ks_keywrap method;
    int rc;
    if (is_asymmetric(key->object)) {
        KS_PKEY *pkey = NULL;
        struct ks_asym_params params;
        KS_TRY(parsed_key(ctx, key->object, &pkey));
        oaep_of(key, &params);
        rc = ks_asym_decrypt(pkey, &params, input, &out, &diag);
    } else {
        KS_TRY(check_cipher(ctx, key->object));
        KS_TRY(material_symmetric(ctx, key->object, &kek));
        struct ks_cipher_params params;
        cipher_of(key, &params);
        params.iv = iv;
        if (is_keywrap(key, &method)) {
            rc = ks_keyunwrap(method, kek, input, &out, &diag);
        } else {
            const size_t tag = ks_cipher_has_tag(&params) ? params.tag_len : 0;
            rc = input.len < tag ? KS_E_INTEGRITY
                                 : ks_cipher_decrypt(&params, kek, KS_SPAN(input.data, input.len - tag),
                                                     KS_SPAN(input.data + input.len - tag, tag), &out, &diag);
        }
    }
    if (rc != 0)
        return does_not_unwrap(ctx, rc, &diag);
    return ks_arena_span(ctx->arena, ks_buf_span(&out), ret);
}

/* MACs and signatures */

/*
 * Which code a symmetric key makes: the HMAC that its own algorithm is; CMAC, for AES and 3DES, where the parameters
 * say so by the mode, or by that algorithm; else an HMAC, with the hash of the parameters.
 */
static int
mac_algorithm(struct ctx *ctx, const struct wrap_key *key, uint32_t *ret)
{
    const struct kmip_cryptographic_parameters *p = key->parameters;
    const uint32_t own = (uint32_t)core_get(&key->object->rev->core, CORE_ALGORITHM);
    const bool cmac_mode = p->has_block_cipher_mode && p->block_cipher_mode == KMIP_BLOCK_CIPHER_MODE_CMAC;
    const bool cipher = ks_hash_of_hmac(own) == 0 && ks_mac_len(own) != 0;
    const uint32_t asked = p->has_cryptographic_algorithm ? p->cryptographic_algorithm : own;
    if (cmac_mode && (!cipher || asked != own))
        return engine_fail(ctx, COND_BAD_PARAMETERS,
                           "CMAC is made with AES and 3DES keys, and the key's own algorithm; key %s is not fit for it",
                           key->object->uid);
    if (cipher && (cmac_mode || (p->has_cryptographic_algorithm && asked == own))) {
        *ret = own;
        return 0;
    }
    if (ks_hash_of_hmac(own) != 0)
        *ret = own;
    else if (ks_hash_of_hmac(asked) != 0)
        *ret = asked;
    else
        *ret = ks_hmac_of_hash(p->has_hashing_algorithm ? p->hashing_algorithm : KMIP_HASHING_ALGORITHM_SHA_256);
    return 0;
}

static int
mac_of(struct ctx *ctx, const struct wrap_key *key, enum profile_use use, struct ks_span input, struct ks_span *ret)
{
    KS_CLEANUP(ks_mac_freep) struct ks_mac *mac = NULL;
    struct ks_diag diag = {0};
    struct ks_span bytes;
    uint32_t algorithm;
    size_t len;
    uint8_t *code = ks_arena_alloc(ctx->arena, KS_MAC_MAX);
    if (code == NULL)
        return KS_E_NOMEM;
    KS_TRY(check_symmetric(ctx, key->object));
    KS_TRY(mac_algorithm(ctx, key, &algorithm));
    struct profile_what what = profile_key(key->object);
    what.algorithm = algorithm;
    what.hash = ks_hash_of_hmac(algorithm);
    KS_TRY(profile_check(ctx, use, &what));
    KS_TRY(material_symmetric(ctx, key->object, &bytes));
    int rc = ks_mac_new(algorithm, bytes, &mac, &diag);
    if (rc == 0)
        rc = ks_mac_update(mac, input, &diag);
    if (rc == 0)
        rc = ks_mac_final(mac, code, &len, &diag);
    KS_TRY(failed(ctx, rc, &diag));
    *ret = KS_SPAN(code, len);
    return 0;
}

static void
signature_of(const struct wrap_key *key, struct ks_sign_params *ret)
{
    const struct kmip_cryptographic_parameters *p = key->parameters;
    *ret = (struct ks_sign_params){.signature = p->digital_signature_algorithm,
                                   .hash = p->hashing_algorithm,
                                   .padding = p->padding_method,
                                   .mgf_hash = p->mask_generator_hashing_algorithm,
                                   .salt_len = p->has_salt_length ? p->salt_length : -1};
}

int
wrap_mac(struct ctx *ctx, const struct wrap_key *key, struct ks_span input, struct ks_span *ret)
{
    if (!is_asymmetric(key->object))
        return mac_of(ctx, key, PROFILE_PROTECT, input, ret);
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(1 << 16);
    KS_PKEY *pkey = NULL;
    struct ks_sign_params params;
    struct ks_diag diag = {0};
    KS_TRY(parsed_key(ctx, key->object, &pkey));
    signature_of(key, &params);
    KS_TRY(failed(ctx, ks_sign(pkey, &params, input, &out, &diag), &diag));
    return ks_arena_span(ctx->arena, ks_buf_span(&out), ret);
}

int
wrap_mac_verify(struct ctx *ctx, const struct wrap_key *key, struct ks_span input, struct ks_span mac)
{
    struct ks_diag diag = {0};
    int rc;
    if (is_asymmetric(key->object)) {
        KS_PKEY *pkey = NULL;
        struct ks_sign_params params;
        KS_TRY(parsed_key(ctx, key->object, &pkey));
        signature_of(key, &params);
        rc = ks_verify(pkey, &params, input, mac, &diag);
    } else {
        struct ks_span computed;
        KS_TRY(mac_of(ctx, key, PROFILE_PROCESS, input, &computed));
        rc = computed.len == mac.len && ks_equal_secret(computed.data, mac.data, mac.len) ? 0 : KS_E_INTEGRITY;
    }
    return rc == 0 ? 0 : does_not_unwrap(ctx, rc, &diag);
}
