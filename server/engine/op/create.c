/* Create (KMIP 1.4: 4.1; 2.1: 6.1.8), and what making any object takes. */
#include "crypto/keygen.h"
#include "server/engine/op/op.h"
#include "server/engine/profile.h"
#include "server/engine/required.h"
#include "server/engine/rules.h"

int
op_new_object(struct ctx *ctx, struct client *owner, struct rev *draft, bool made, struct object **ret)
{
    KS_TRY(attr_defaults(ctx, draft, made));
    if (ctx->engine->config.refuse_past_activation && core_has(&draft->core, CORE_ACTIVATION_DATE) &&
        core_get(&draft->core, CORE_ACTIVATION_DATE) < ctx->now)
        return engine_fail(ctx, COND_ATTRIBUTE_VALUE, "the Activation Date is in the past, which this server refuses");
    KS_TRY(attr_check(ctx, owner, draft, NULL, false));
    (void)state_settle(&draft->core, ctx->now);
    KS_TRY(tx_create(ctx, owner, draft, ret));
    engine_about(ctx, *ret);
    if (ctx->record != NULL) {
        ctx->record->event.state_after = ctx->record->event.state_before;
        ctx->record->event.state_before = NULL;
    }
    return 0;
}

/* Ciphers of old that others compute with: for them a key is so many random bits, and this server only keeps it. */
static const struct {
    uint32_t algorithm;
    uint16_t least, most, step;
} legacy[] = {
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_DES, 64, 64, 64},        {KMIP_CRYPTOGRAPHIC_ALGORITHM_BLOWFISH, 128, 448, 8},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_CAST5, 80, 128, 8},      {KMIP_CRYPTOGRAPHIC_ALGORITHM_IDEA, 128, 128, 128},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_SKIPJACK, 80, 80, 80},   {KMIP_CRYPTOGRAPHIC_ALGORITHM_TWOFISH, 128, 256, 64},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_CAMELLIA, 128, 256, 64}, {KMIP_CRYPTOGRAPHIC_ALGORITHM_RC4, 40, 2048, 8},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_RC2, 40, 1024, 8},       {KMIP_CRYPTOGRAPHIC_ALGORITHM_SEED, 128, 128, 128},
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_ARIA, 128, 256, 64},
};

static bool
legacy_fits(uint32_t algorithm, size_t bits)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(legacy); i++)
        if (legacy[i].algorithm == algorithm)
            return bits >= legacy[i].least && bits <= legacy[i].most && bits % legacy[i].step == 0;
    return false;
}

static int
random_key(struct ctx *ctx, size_t len, struct ks_span *ret)
{
    uint8_t *key = ks_arena_alloc(ctx->arena, len);
    if (key == NULL)
        return KS_E_NOMEM;
    KS_TRY(ks_random_key(key, len));
    *ret = KS_SPAN(key, len);
    return 0;
}

static int
make_bytes(struct ctx *ctx, uint32_t algorithm, size_t bits, struct ks_span *ret)
{
    struct ks_diag diag = {0};
    KS_SECRET *secret = NULL;
    size_t len = 0;
    /* An AES key of 512 bits can only be one for XTS: two halves. */
    const bool xts = algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES && bits == 512;
    const unsigned flags = xts ? KS_KEYLEN_XTS : 0;
    /* A key of AES is nothing but random bytes: no need to go by way of locked pages, the arena is wiped as well. */
    if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_AES && bits != 0 && !xts &&
        ks_keygen_length(algorithm, bits, flags, &len, &diag) == 0)
        return random_key(ctx, len, ret);
    const int rc = ks_keygen_symmetric(algorithm, bits, flags, &secret, &diag);
    if (rc == 0)
        return ks_arena_span(ctx->arena, KS_SPAN(ks_secret_data(secret), ks_secret_len(secret)), ret);
    if (rc == KS_E_UNSUPPORTED && legacy_fits(algorithm, bits))
        return random_key(ctx, bits / 8, ret);
    if (rc == KS_E_INVALID || rc == KS_E_UNSUPPORTED)
        return engine_fail_diag(ctx, COND_AGAINST_POLICY, &diag);
    return rc == KS_E_CRYPTO ? engine_fail_diag(ctx, COND_CRYPTOGRAPHY, &diag) : rc;
}

static int
put_key(struct ctx *ctx, struct rev *draft, struct ks_span key)
{
    if (core_get(&draft->core, CORE_KEY_FORMAT_TYPE) == KMIP_KEY_FORMAT_TYPE_RAW)
        return material_put(ctx, draft, MATERIAL_BYTES, key);
    struct kmip_item *item;
    const struct kmip_transparent_symmetric_key transparent = {.key = key};
    KS_TRY(kmip_item_encode(&kmip_schema_transparent_symmetric_key, KMIP_V2_1, &transparent, ctx->arena, &item));
    KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(65536);
    KS_TRY(kmip_item_to_ttlv(item, &ttlv));
    return material_put(ctx, draft, MATERIAL_ITEM, ks_buf_span(&ttlv));
}

int
op_make_symmetric(struct ctx *ctx, struct rev *draft)
{
    struct core *core = &draft->core;
    struct ks_span key;
    const int64_t bits = core_get(core, CORE_LENGTH);
    if (!core_has(core, CORE_KEY_FORMAT_TYPE))
        core_set(core, CORE_KEY_FORMAT_TYPE, KMIP_KEY_FORMAT_TYPE_RAW);
    const int64_t format = core_get(core, CORE_KEY_FORMAT_TYPE);
    if (format != KMIP_KEY_FORMAT_TYPE_RAW && format != KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY)
        return engine_fail(ctx, COND_KEY_FORMAT,
                           "symmetric keys are made in the formats Raw and Transparent Symmetric Key");
    if (core_has(core, CORE_LENGTH) && (bits <= 0 || bits > 65536))
        return engine_fail(ctx, COND_AGAINST_POLICY, "no key has a Cryptographic Length of %lld", (long long)bits);
    const struct profile_what what = profile_facts(draft);
    KS_TRY(profile_check(ctx, PROFILE_MAKE, &what));
    KS_TRY(make_bytes(ctx, (uint32_t)core_get(core, CORE_ALGORITHM), (size_t)bits, &key));
    if (!core_has(core, CORE_LENGTH))
        core_set(core, CORE_LENGTH, (int64_t)key.len * 8);
    return put_key(ctx, draft, key);
}

/* Secret data that the server makes: random bytes. Of what type they are no attribute can say: a password is. */
static int
make_secret(struct ctx *ctx, struct rev *draft)
{
    enum { USUAL_BITS = 256, MOST_BITS = 65536 };
    struct core *core = &draft->core;
    struct ks_span secret;
    const int64_t bits = core_has(core, CORE_LENGTH) ? core_get(core, CORE_LENGTH) : USUAL_BITS;
    if (bits <= 0 || bits > MOST_BITS || bits % 8 != 0)
        return engine_fail(ctx, COND_AGAINST_POLICY,
                           "secret data is made with a Cryptographic Length of 8 to %d bits, in steps of 8", MOST_BITS);
    if (!core_has(core, CORE_KEY_FORMAT_TYPE))
        core_set(core, CORE_KEY_FORMAT_TYPE, KMIP_KEY_FORMAT_TYPE_OPAQUE);
    const int64_t format = core_get(core, CORE_KEY_FORMAT_TYPE);
    if (format != KMIP_KEY_FORMAT_TYPE_OPAQUE && format != KMIP_KEY_FORMAT_TYPE_RAW)
        return engine_fail(ctx, COND_KEY_FORMAT, "secret data is made in the formats Opaque and Raw");
    core_set(core, CORE_SECRET_DATA_TYPE, KMIP_SECRET_DATA_TYPE_PASSWORD);
    KS_TRY(random_key(ctx, (size_t)bits / 8, &secret));
    return material_put(ctx, draft, MATERIAL_BYTES, secret);
}

int
op_create(struct ctx *ctx, const void *request, void **ret_response)
{
    const struct kmip_create_request *r = request;
    struct rev draft = {0};
    struct object *object;
    OP_RESPONSE(ctx, kmip_create_response, response);
    /* 1.4 and later make secret data as well. */
    const bool secret = r->object_type == KMIP_OBJECT_TYPE_SECRET_DATA && ctx->version >= KMIP_V1_4;
    if (r->object_type != KMIP_OBJECT_TYPE_SYMMETRIC_KEY && !secret)
        return engine_fail(ctx, COND_OBJECT_KIND,
                           "Create makes symmetric keys and, from 1.4, secret data; use Register for other objects");
    core_set(&draft.core, CORE_OBJECT_TYPE, r->object_type);
    KS_TRY(attr_new(ctx, &r->attributes, &draft));
    KS_TRY(rules_fill(ctx, &draft));
    KS_TRY(required_check(ctx, KMIP_OPERATION_CREATE, &draft));
    KS_TRY(secret ? make_secret(ctx, &draft) : op_make_symmetric(ctx, &draft));
    KS_TRY(op_new_object(ctx, ctx->client, &draft, true, &object));
    engine_result(ctx, KMIP_UNIQUE_IDENTIFIER_CREATE, object_uid(object));
    response->object_type = r->object_type;
    response->unique_identifier = uid_of(object);
    *ret_response = response;
    return 0;
}
