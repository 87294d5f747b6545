/*
 * Encrypt and Decrypt with a One Time Pad (KMIP 1.3 and later: Cryptographic Algorithm One Time Pad): data and pad are
 * added bit by bit.
 *
 * No byte of a pad protects two messages. The object remembers how much of it is used (PAD_USED), and what a reply says
 * leaves only after that is on stable storage. Where in the pad a message begins is 8 bytes, big endian, in IV/Counter/
 * Nonce: Encrypt answers with it, and Decrypt takes it; without it, a message begins with the pad, as the published
 * cases (TC-OTP-1, -2) have it. Two that share a pad can divide it by sending it to Encrypt.
 *
 * What Decrypt gives out tells the pad to whoever knows the ciphertext: that part is used, too.
 */
#include "server/engine/op/crypto.h"

enum { START_LEN = 8 };

bool
crypt_is_pad(const struct object *key)
{
    const uint32_t type = object_type(key);
    return (type == KMIP_OBJECT_TYPE_SECRET_DATA || type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY) &&
           core_get(&key->rev->core, CORE_ALGORITHM) == KMIP_CRYPTOGRAPHIC_ALGORITHM_ONE_TIME_PAD;
}

static int
check_parameters(struct ctx *ctx, const struct object *key, const struct kmip_cryptographic_parameters *p, bool encrypt)
{
    if (p->has_cryptographic_algorithm && p->cryptographic_algorithm != KMIP_CRYPTOGRAPHIC_ALGORITHM_ONE_TIME_PAD)
        return engine_fail(ctx, COND_BAD_PARAMETERS, "the parameters name another algorithm than that of key %s",
                           key->uid);
    if (p->has_block_cipher_mode || (p->has_padding_method && p->padding_method != KMIP_PADDING_METHOD_NONE) ||
        p->has_tag_length)
        return engine_fail(ctx, COND_PARAMETERS_NOT_OFFERED, "a One Time Pad has no mode, no padding and no tag");
    const struct profile_what what = profile_key(key);
    return profile_check(ctx, encrypt ? PROFILE_PROTECT : PROFILE_PROCESS, &what);
}

static int
read_start(struct ctx *ctx, struct ks_span sent, uint64_t *ret)
{
    if (sent.len != START_LEN)
        return engine_fail(ctx, COND_BAD_PARAMETERS,
                           "the IV/Counter/Nonce of a One Time Pad is where in the pad the message begins: %d bytes",
                           START_LEN);
    uint64_t v = 0;
    for (size_t i = 0; i < START_LEN; i++)
        v = v << 8 | sent.data[i];
    *ret = v;
    return 0;
}

static int
write_start(struct ctx *ctx, uint64_t v, struct ks_span *ret)
{
    uint8_t *b = ks_arena_alloc(ctx->arena, START_LEN);
    if (b == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < START_LEN; i++)
        b[i] = (uint8_t)(v >> 8 * (START_LEN - 1 - i));
    *ret = KS_SPAN(b, START_LEN);
    return 0;
}

/* The part of the pad is there, and to encrypt with it is not used yet. */
static int
check_part(struct ctx *ctx, const struct object *key, bool encrypt, size_t pad_len, uint64_t at, size_t len)
{
    const uint64_t used = (uint64_t)core_get(&key->rev->core, CORE_PAD_USED);
    if (len == 0)
        return engine_fail(ctx, COND_BAD_FIELD, "there is no data to add to a One Time Pad");
    if (encrypt && at < used)
        return engine_fail(ctx, COND_USED_UP,
                           "the first %llu bytes of pad %s are used, and no part of a pad is used twice; leave out the "
                           "IV/Counter/Nonce, and the server takes what is next",
                           (unsigned long long)used, key->uid);
    if (at > pad_len || len > pad_len - at)
        return engine_fail(ctx, encrypt ? COND_USED_UP : COND_BAD_FIELD,
                           "pad %s has %llu bytes from there on, and the data has %zu; %s", key->uid,
                           (unsigned long long)(at < pad_len ? pad_len - at : 0), len,
                           encrypt ? "register another pad" : "it is not of this part of this pad");
    return 0;
}

static int
mark_used(struct ctx *ctx, struct object *key, uint64_t end)
{
    struct rev draft;
    if ((int64_t)end <= core_get(&key->rev->core, CORE_PAD_USED))
        return 0;
    KS_TRY(rev_draft(ctx->arena, key->rev, &draft));
    core_set(&draft.core, CORE_PAD_USED, (int64_t)end);
    return tx_put(ctx, key, &draft, false);
}

int
crypt_pad(struct ctx *ctx, struct object *key, const struct kmip_cryptographic_parameters *p, bool encrypt,
          struct ks_span data, struct ks_span *start, bool *has_start, struct ks_span *ret)
{
    struct ks_span pad, said = *start;
    uint64_t at = encrypt ? (uint64_t)core_get(&key->rev->core, CORE_PAD_USED) : 0;
    KS_TRY(check_parameters(ctx, key, p, encrypt));
    KS_TRY(material_symmetric(ctx, key, &pad));
    if (*has_start)
        KS_TRY(read_start(ctx, *start, &at));
    KS_TRY(check_part(ctx, key, encrypt, pad.len, at, data.len));
    uint8_t *out = ks_arena_alloc(ctx->arena, data.len);
    if (out == NULL)
        return KS_E_NOMEM;
    for (size_t i = 0; i < data.len; i++)
        out[i] = (uint8_t)(data.data[i] ^ pad.data[at + i]);
    KS_TRY(write_start(ctx, at, &said));
    KS_TRY(mark_used(ctx, key, at + data.len));
    *start = said;
    *has_start = encrypt && at != 0;
    *ret = KS_SPAN(out, data.len);
    return 0;
}
