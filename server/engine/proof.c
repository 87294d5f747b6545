#include "server/engine/proof.h"

#include "crypto/hash.h"
#include "server/engine/otp.h"

int
proof_keep(struct ctx *ctx, const struct kmip_schema *schema, const void *credential, struct rev *draft)
{
    struct kmip_item *item;
    KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(65536);
    KS_TRY(kmip_item_encode(schema, KMIP_V3_0, credential, ctx->arena, &item));
    KS_TRY(kmip_item_to_ttlv(item, &ttlv));
    KS_TRY(ks_arena_span(ctx->arena, ks_buf_span(&ttlv), &draft->material));
    draft->new_material = true;
    return 0;
}

int
proof_kept(struct ctx *ctx, const struct object *object, const struct kmip_schema *schema, void **ret)
{
    struct ks_span ttlv;
    struct kmip_item *item;
    KS_TRY(row_material(ctx, object, &ttlv));
    KS_TRY(kmip_item_from_ttlv(ttlv, &kmip_limits_default, ctx->arena, &item, NULL));
    return kmip_item_decode(schema, KMIP_V3_0, item, ctx->arena, ret, NULL);
}

static bool
same(struct ks_span a, struct ks_span b)
{
    return a.len == b.len && ks_equal_secret(a.data, b.data, a.len);
}

/* Hash of two parts, in the arena. */
static int
hash_two(struct ctx *ctx, uint32_t hash, struct ks_span a, struct ks_span b, struct ks_span *ret)
{
    uint8_t *both = ks_arena_alloc(ctx->arena, a.len + b.len + 1);
    uint8_t *digest = ks_arena_alloc(ctx->arena, KS_HASH_MAX);
    if (both == NULL || digest == NULL)
        return KS_E_NOMEM;
    if (a.len != 0)
        memcpy(both, a.data, a.len);
    if (b.len != 0)
        memcpy(both + a.len, b.data, b.len);
    KS_TRY(ks_hash(hash, KS_SPAN(both, a.len + b.len), digest, NULL));
    *ret = KS_SPAN(digest, ks_hash_len(hash));
    return 0;
}

/* S1 = Hash(Username || Password), S2 = Hash(Password || Username). */
struct halves {
    struct ks_span s1, s2;
};

static int
compare_hashed(struct ctx *ctx, struct object *credential, const struct halves *kept, struct proof *proof)
{
    uint8_t stamp[8];
    struct ks_span first, inner, outer;
    const size_t len = ks_hash_len(proof->hash);
    ks_put_be64(stamp, (uint64_t)proof->time_us);
    const struct ks_span time = KS_SPAN(stamp, sizeof(stamp));
    KS_TRY(hash_two(ctx, proof->hash, kept->s1, time, &first));
    proof->comparable = true;
    const bool fits = proof->hashed.len == 2 * len && same(first, KS_SPAN(proof->hashed.data, len)) &&
                      same(kept->s2, KS_SPAN(proof->hashed.data + len, len));
    if (!fits || proof->time_us < core_get(&credential->rev->core, CORE_PAD_USED) ||
        proof->time_us > ctx->now_us + (int64_t)PROOF_CLOCK_S * 1000000)
        return 0;
    /* The server shows that it knows the password as well: Hash(Time Stamp || S1 || Hash(S2)). */
    KS_TRY(hash_two(ctx, proof->hash, kept->s2, KS_SPAN_NONE, &inner));
    uint8_t *tail = ks_arena_alloc(ctx->arena, kept->s1.len + inner.len);
    if (tail == NULL)
        return KS_E_NOMEM;
    memcpy(tail, kept->s1.data, kept->s1.len);
    memcpy(tail + kept->s1.len, inner.data, inner.len);
    KS_TRY(hash_two(ctx, proof->hash, time, KS_SPAN(tail, kept->s1.len + inner.len), &outer));
    proof->fits = true;
    proof->once = credential;
    proof->next = proof->time_us + 1;
    proof->answer = outer;
    return 0;
}

/* A Password Credential: the password itself, or the hash of it with a salt behind it. */
static int
compare_with_password(struct ctx *ctx, struct object *credential, struct proof *proof)
{
    struct ks_span kept, hash;
    KS_TRY(row_material(ctx, credential, &kept));
    /* TTLV of the structure begins with its tag, which begins no text. */
    const bool salted = kept.len > 4 && ks_be32(kept.data) == (KMIP_TAG_PASSWORD_CREDENTIAL << 8 | KMIP_TYPE_STRUCTURE);
    if (proof->kind == PROOF_HASHED) {
        struct halves halves;
        if (salted)
            return 0;
        KS_TRY(hash_two(ctx, proof->hash, proof->username, kept, &halves.s1));
        KS_TRY(hash_two(ctx, proof->hash, kept, proof->username, &halves.s2));
        return compare_hashed(ctx, credential, &halves, proof);
    }
    proof->comparable = true;
    if (!salted) {
        proof->fits = proof->fits || same(kept, proof->password);
        return 0;
    }
    void *value;
    KS_TRY(proof_kept(ctx, credential, &kmip_schema_password_credential, &value));
    const struct kmip_password_credential *p = value;
    KS_TRY(hash_two(ctx, p->password_salt_algorithm, proof->password, p->password_salt, &hash));
    proof->fits = proof->fits || same(hash, p->salted_password);
    return 0;
}

static int
compare_with_hashes(struct ctx *ctx, struct object *credential, struct proof *proof)
{
    void *value;
    KS_TRY(proof_kept(ctx, credential, &kmip_schema_kept_hashed_password, &value));
    const struct kmip_kept_hashed_password *kept = value;
    const uint32_t hash = kept->has_hashing_algorithm ? kept->hashing_algorithm : KMIP_HASHING_ALGORITHM_SHA_256;
    const struct halves halves = {kept->hashed_username_password, kept->hashed_password_username};
    struct ks_span s1;
    if (proof->kind == PROOF_HASHED)
        return proof->hash == hash ? compare_hashed(ctx, credential, &halves, proof) : 0;
    proof->comparable = true;
    KS_TRY(hash_two(ctx, hash, proof->username, proof->password, &s1));
    proof->fits = proof->fits || same(s1, halves.s1);
    return 0;
}

static int
number_of(struct ctx *ctx, const struct kmip_item *item, int64_t usual, int64_t *ret)
{
    if (item == NULL)
        *ret = usual;
    else if (item->type == KMIP_TYPE_INTEGER)
        *ret = item->i32;
    else if (item->type == KMIP_TYPE_LONG_INTEGER)
        *ret = item->i64;
    else if (item->type == KMIP_TYPE_INTERVAL)
        *ret = item->u32;
    else
        return engine_fail(ctx, COND_BAD_FIELD, "%s is a whole number", kmip_tag_name(item->tag));
    return 0;
}

int
proof_otp_facts(struct ctx *ctx, const struct kmip_otp_credential *from, struct otp_facts *ret)
{
    enum { SEED_LEAST = 10, SEED_MOST = 128, DAY_S = 86400 };
    struct otp_facts f = {.timed = from->otp_algorithm == KMIP_OTP_ALGORITHM_TOTP,
                          .hash = from->has_otp_digest ? from->otp_digest : KMIP_HASHING_ALGORITHM_SHA_1};
    int64_t digits;
    if (!f.timed && from->otp_algorithm != KMIP_OTP_ALGORITHM_HOTP)
        return engine_fail(ctx, COND_NO_SUCH_FEATURE, "one-time passwords are of the algorithms HOTP and TOTP");
    if (ks_hash_len(f.hash) < 20 || ks_hash_is_weak(f.hash))
        return engine_fail(ctx, COND_BAD_FIELD, "the OTP Digest is SHA-1 or one of SHA-2 or SHA-3");
    if (from->otp_seed->type != KMIP_TYPE_BYTE_STRING && from->otp_seed->type != KMIP_TYPE_TEXT_STRING)
        return engine_fail(ctx, COND_BAD_FIELD, "the OTP Seed is bytes or text");
    f.seed = from->otp_seed->s;
    if (f.seed.len < SEED_LEAST || f.seed.len > SEED_MOST)
        return engine_fail(ctx, COND_BAD_FIELD, "an OTP Seed has %d to %d bytes", SEED_LEAST, SEED_MOST);
    KS_TRY(number_of(ctx, from->otp_digits, OTP_DIGITS_LEAST, &digits));
    KS_TRY(number_of(ctx, from->otp_interval, 30, &f.interval));
    KS_TRY(number_of(ctx, from->otp_counter, 0, &f.counter));
    if (digits < OTP_DIGITS_LEAST || digits > OTP_DIGITS_MOST)
        return engine_fail(ctx, COND_BAD_FIELD, "OTP Digits are %d to %d", OTP_DIGITS_LEAST, OTP_DIGITS_MOST);
    if (f.interval < 1 || f.interval > DAY_S || f.counter < 0 || f.counter > INT64_MAX - OTP_AHEAD)
        return engine_fail(ctx, COND_BAD_FIELD, "OTP Interval or OTP Counter is out of range");
    f.digits = (unsigned)digits;
    *ret = f;
    return 0;
}

static int
compare_with_otp(struct ctx *ctx, struct object *credential, struct proof *proof)
{
    void *value;
    struct otp_facts f;
    if (proof->kind != PROOF_OTP)
        return 0;
    KS_TRY(proof_kept(ctx, credential, &kmip_schema_otp_credential, &value));
    KS_TRY(proof_otp_facts(ctx, value, &f));
    proof->comparable = true;
    const int64_t unused = core_get(&credential->rev->core, CORE_PAD_USED);
    const int64_t step = ctx->now / f.interval;
    const int64_t first = f.timed ? step - 1 : unused;
    const int64_t last = f.timed ? step + 1 : unused + OTP_AHEAD - 1;
    for (int64_t at = first; at <= last; at++) {
        uint32_t wanted;
        if (at < unused || at < 0)
            continue;
        KS_TRY(otp_value(f.hash, f.seed, (uint64_t)at, f.digits, &wanted));
        if (!otp_is(proof->otp, wanted, f.digits) || proof->fits)
            continue;
        proof->fits = true;
        proof->once = credential;
        proof->next = at + 1;
    }
    return 0;
}

static int
compare_all(struct ctx *ctx, const struct object *user, struct proof *proof)
{
    for (const struct kmip_attr *a = user->rev->attrs.first; a != NULL; a = a->next) {
        struct object *credential = a->tag == KMIP_TAG_CREDENTIAL_LINK && a->value != NULL
                                        ? objects_find(&ctx->engine->objects, a->value->s)
                                        : NULL;
        if (credential == NULL || credential->owner->role != IDENTITY_ADMIN || credential->rev->material.len == 0 ||
            !object_stands(credential))
            continue;
        const uint32_t type = object_type(credential);
        if (type == KMIP_OBJECT_TYPE_PASSWORD_CREDENTIAL && proof->kind != PROOF_OTP)
            KS_TRY(compare_with_password(ctx, credential, proof));
        else if (type == KMIP_OBJECT_TYPE_HASHED_PASSWORD_CREDENTIAL && proof->kind != PROOF_OTP)
            KS_TRY(compare_with_hashes(ctx, credential, proof));
        else if (type == KMIP_OBJECT_TYPE_ONE_TIME_PASSWORD_CREDENTIAL)
            KS_TRY(compare_with_otp(ctx, credential, proof));
    }
    return 0;
}

int
proof_compare(struct ctx *ctx, const struct object *user, struct proof *proof)
{
    KS_TRY(compare_all(ctx, user, proof));
    if (proof->kind != PROOF_OTP || proof->password.len == 0)
        return 0;
    struct proof beside = {.kind = PROOF_PASSWORD, .username = proof->username, .password = proof->password};
    KS_TRY(compare_all(ctx, user, &beside));
    proof->fits = proof->fits && beside.fits;
    return 0;
}

int
proof_spend(struct ctx *ctx, const struct proof *proof)
{
    struct rev draft;
    if (proof->once == NULL)
        return 0;
    KS_TRY(rev_draft(ctx->arena, proof->once->rev, &draft));
    core_set(&draft.core, CORE_PAD_USED, proof->next);
    return tx_put(ctx, proof->once, &draft, false);
}
