/* Components of asymmetric keys: taking keys apart and putting them together (crypto/keyformat.h). */
#include <keystead/kmip.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include "crypto/pkey.h"

enum { RSA_BYTES_MAX = 16384 / 8, EC_BYTES_MAX = 66 };

/* The search for primes costs the third power of the modulus, and a peer chooses the numbers. FIPS 186-5, A.1.1. */
enum { SEARCH_BITS_MAX = 4096, SEARCH_EXPONENT_BITS_MAX = 256, SEARCH_TRIES = 32 };

/* Big numbers of one computation, in order of RSA's components. All are wiped. */
enum number { N, E, D, P, Q, DP, DQ, QI, NUMBERS };
struct numbers {
    BIGNUM *b[NUMBERS];
};

static void
numbers_done(struct numbers *x)
{
    for (int i = 0; i < NUMBERS; i++)
        BN_clear_free(x->b[i]);
}

static const char *const names[NUMBERS] = {
    [N] = OSSL_PKEY_PARAM_RSA_N,          [E] = OSSL_PKEY_PARAM_RSA_E,
    [D] = OSSL_PKEY_PARAM_RSA_D,          [P] = OSSL_PKEY_PARAM_RSA_FACTOR1,
    [Q] = OSSL_PKEY_PARAM_RSA_FACTOR2,    [DP] = OSSL_PKEY_PARAM_RSA_EXPONENT1,
    [DQ] = OSSL_PKEY_PARAM_RSA_EXPONENT2, [QI] = OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

static int
no_memory(struct ks_diag *diag)
{
    ERR_clear_error();
    return ks_fail(diag, KS_E_NOMEM, "no memory for the components of a key");
}

/* Copies a number into the arena, big-endian; len 0: as short as it is. */
static int
to_span(const BIGNUM *b, size_t len, struct ks_arena *arena, struct ks_span *ret, struct ks_diag *diag)
{
    if (len == 0)
        len = (size_t)BN_num_bytes(b);
    uint8_t *p = ks_arena_alloc(arena, len);
    if (p == NULL || BN_bn2binpad(b, p, (int)len) < 0)
        return no_memory(diag);
    *ret = KS_SPAN(p, len);
    return 0;
}

int
ks_pkey_rsa(const struct ks_pkey *key, struct ks_arena *arena, struct ks_rsa_parts *ret, struct ks_diag *diag)
{
    if (!ks_pkey_is_rsa(key))
        return ks_fail(diag, KS_E_INVALID, "a key of type %s has no RSA components", ks_pkey_text(key));
    struct ks_rsa_parts parts = {0};
    struct ks_span *const spans[NUMBERS] = {[N] = &parts.n, [E] = &parts.e,   [D] = &parts.d,   [P] = &parts.p,
                                            [Q] = &parts.q, [DP] = &parts.dp, [DQ] = &parts.dq, [QI] = &parts.qi};
    const int last = key->info.is_private ? QI : E;
    for (int i = N; i <= last; i++) {
        KS_CLEANUP(BN_clear_freep) BIGNUM *b = NULL;
        if (EVP_PKEY_get_bn_param(key->pkey, names[i], &b) != 1) {
            if (i <= D)
                return ks_ossl_fail(diag, KS_E_CRYPTO, "RSA component %s", names[i]);
            ERR_clear_error(); /* a key without primes; none is made here, but a provider may hold one */
            continue;
        }
        KS_TRY(to_span(b, 0, arena, spans[i], diag));
    }
    *ret = parts;
    return 0;
}

static int
from_span(struct ks_span span, BIGNUM **ret, struct ks_diag *diag)
{
    if (span.len == 0)
        return 0; /* absent */
    if (span.len > RSA_BYTES_MAX + 1)
        return ks_fail(diag, KS_E_LIMIT, "an RSA component of %zu bytes; %d at most", span.len, RSA_BYTES_MAX);
    BIGNUM *b = BN_bin2bn(span.data, (int)span.len, NULL);
    if (b == NULL)
        return no_memory(diag);
    BN_set_flags(b, BN_FLG_CONSTTIME);
    *ret = b;
    return 0;
}

/*
 * The primes of n from e and d: SP 800-56B rev. 2, appendix C.1. e * d - 1 = 2^t * r with r odd; for random g, some
 * square in the series g^r, g^2r, ... is a root of 1 that is neither 1 nor -1, and shares a factor with n. That is so
 * for every second g at least. A series that does not end in 1 says that e and d are no pair.
 */
static int
recover_primes(struct numbers *x, BN_CTX *ctx, struct ks_diag *diag)
{
    if (BN_num_bits(x->b[N]) > SEARCH_BITS_MAX)
        return ks_fail(diag, KS_E_INVALID, "RSA: a private key of %d bits is not taken without its primes",
                       BN_num_bits(x->b[N]));
    if (BN_num_bits(x->b[E]) > SEARCH_EXPONENT_BITS_MAX)
        return ks_fail(diag, KS_E_INVALID, "RSA: a public exponent of %d bits; %d at most", BN_num_bits(x->b[E]),
                       SEARCH_EXPONENT_BITS_MAX);
    KS_CLEANUP(BN_clear_freep) BIGNUM *r = BN_new();
    KS_CLEANUP(BN_clear_freep) BIGNUM *g = BN_new();
    KS_CLEANUP(BN_clear_freep) BIGNUM *y = BN_new();
    KS_CLEANUP(BN_clear_freep) BIGNUM *less = BN_dup(x->b[N]);
    x->b[P] = BN_new();
    x->b[Q] = BN_new();
    if (r == NULL || g == NULL || y == NULL || less == NULL || x->b[P] == NULL || x->b[Q] == NULL ||
        BN_sub_word(less, 1) != 1 || BN_mul(r, x->b[D], x->b[E], ctx) != 1 || BN_sub_word(r, 1) != 1)
        return no_memory(diag);
    int t = 0;
    while (!BN_is_zero(r) && !BN_is_odd(r)) {
        t++;
        if (BN_rshift1(r, r) != 1)
            return no_memory(diag);
    }
    if (t == 0)
        return ks_fail(diag, KS_E_INVALID, "RSA: the exponents do not belong together");
    for (int i = 0, k = 0; i < SEARCH_TRIES && k < t; i++) {
        if (BN_priv_rand_range(g, x->b[N]) != 1 || BN_mod_exp(y, g, r, x->b[N], ctx) != 1)
            return ks_ossl_fail(diag, KS_E_INVALID, "RSA: finding the primes");
        for (k = 0; k < t && !BN_is_one(y) && BN_cmp(y, less) != 0; k++) {
            if (BN_mod_sqr(g, y, x->b[N], ctx) != 1)
                return no_memory(diag);
            if (BN_is_one(g)) {
                if (BN_sub_word(y, 1) != 1 || BN_gcd(x->b[P], y, x->b[N], ctx) != 1 ||
                    BN_div(x->b[Q], NULL, x->b[N], x->b[P], ctx) != 1)
                    return no_memory(diag);
                if (BN_cmp(x->b[P], x->b[Q]) < 0)
                    BN_swap(x->b[P], x->b[Q]);
                return 0;
            }
            if (BN_copy(y, g) == NULL)
                return no_memory(diag);
        }
    }
    return ks_fail(diag, KS_E_INVALID, "RSA: modulus and exponents do not belong together");
}

/* The primes of n from e and the CRT exponents: e * dp is 1 modulo p - 1, so g^(e * dp) is g modulo p alone. */
static int
primes_of_crt(struct numbers *x, BN_CTX *ctx, struct ks_diag *diag)
{
    if (BN_num_bits(x->b[N]) > SEARCH_BITS_MAX || BN_num_bits(x->b[E]) > SEARCH_EXPONENT_BITS_MAX ||
        BN_cmp(x->b[DP], x->b[N]) >= 0)
        return ks_fail(diag, KS_E_INVALID, "RSA: a private key of %d bits is not taken without its primes",
                       BN_num_bits(x->b[N]));
    KS_CLEANUP(BN_clear_freep) BIGNUM *y = BN_new();
    KS_CLEANUP(BN_clear_freep) BIGNUM *g = BN_new();
    KS_CLEANUP(BN_clear_freep) BIGNUM *rest = BN_new();
    BN_clear_free(x->b[P]);
    BN_clear_free(x->b[Q]);
    x->b[P] = BN_new();
    x->b[Q] = BN_new();
    if (y == NULL || g == NULL || rest == NULL || x->b[P] == NULL || x->b[Q] == NULL)
        return no_memory(diag);
    if (BN_priv_rand_range(g, x->b[N]) != 1 || BN_mod_exp(y, g, x->b[DP], x->b[N], ctx) != 1 ||
        BN_mod_exp(y, y, x->b[E], x->b[N], ctx) != 1 || BN_mod_sub(y, y, g, x->b[N], ctx) != 1 ||
        BN_gcd(x->b[P], y, x->b[N], ctx) != 1 || BN_div(x->b[Q], rest, x->b[N], x->b[P], ctx) != 1)
        return ks_ossl_fail(diag, KS_E_INVALID, "RSA: finding the primes");
    if (BN_is_one(x->b[P]) || BN_is_one(x->b[Q]) || !BN_is_zero(rest))
        return ks_fail(diag, KS_E_INVALID, "RSA: modulus and exponents do not belong together");
    return 0;
}

/* *ret: the inverse of a modulo lcm(p - 1, q - 1): e from d, and d from e. */
static int
inverse(const struct numbers *x, const BIGNUM *a, BN_CTX *ctx, BIGNUM **ret, struct ks_diag *diag)
{
    KS_CLEANUP(BN_clear_freep) BIGNUM *p1 = BN_dup(x->b[P]);
    KS_CLEANUP(BN_clear_freep) BIGNUM *q1 = BN_dup(x->b[Q]);
    KS_CLEANUP(BN_clear_freep) BIGNUM *gcd = BN_new();
    KS_CLEANUP(BN_clear_freep) BIGNUM *lcm = BN_new();
    if (p1 == NULL || q1 == NULL || gcd == NULL || lcm == NULL || BN_sub_word(p1, 1) != 1 || BN_sub_word(q1, 1) != 1 ||
        BN_gcd(gcd, p1, q1, ctx) != 1 || BN_mul(lcm, p1, q1, ctx) != 1)
        return no_memory(diag);
    BN_set_flags(lcm, BN_FLG_CONSTTIME);
    if (BN_is_zero(gcd) || BN_div(lcm, NULL, lcm, gcd, ctx) != 1 || (*ret = BN_mod_inverse(NULL, a, lcm, ctx)) == NULL)
        return ks_ossl_fail(diag, KS_E_INVALID, "RSA: one exponent does not follow from the other and the primes");
    return 0;
}

/* d from the primes, which have to be those of the modulus: nothing else would show that they are not. */
static int
recover_d(struct numbers *x, BN_CTX *ctx, struct ks_diag *diag)
{
    KS_CLEANUP(BN_clear_freep) BIGNUM *n = BN_new();
    if (n == NULL || BN_mul(n, x->b[P], x->b[Q], ctx) != 1)
        return no_memory(diag);
    if (BN_cmp(n, x->b[N]) != 0)
        return ks_fail(diag, KS_E_INVALID, "RSA: the primes are not those of the modulus");
    KS_TRY(inverse(x, x->b[E], ctx, &x->b[D], diag));
    BN_set_flags(x->b[D], BN_FLG_CONSTTIME);
    return 0;
}

static int
recover_crt(struct numbers *x, BN_CTX *ctx, struct ks_diag *diag)
{
    for (int i = 0; i < 2; i++) { /* dp and dq */
        if (x->b[DP + i] != NULL)
            continue;
        KS_CLEANUP(BN_clear_freep) BIGNUM *less = BN_dup(x->b[P + i]);
        x->b[DP + i] = BN_new();
        if (less == NULL || x->b[DP + i] == NULL || BN_sub_word(less, 1) != 1)
            return no_memory(diag);
        if (BN_is_zero(less) || BN_mod(x->b[DP + i], x->b[D], less, ctx) != 1)
            return ks_ossl_fail(diag, KS_E_INVALID, "RSA: a prime is 1");
    }
    if (x->b[QI] == NULL && (x->b[QI] = BN_mod_inverse(NULL, x->b[Q], x->b[P], ctx)) == NULL)
        return ks_ossl_fail(diag, KS_E_INVALID, "RSA: the primes are not prime to each other");
    return 0;
}

/* A private exponent without primes: what belongs to them is in an order that is not known, and goes. */
static int
primes_of_d(struct numbers *x, BN_CTX *ctx, struct ks_diag *diag)
{
    for (int i = P; i < NUMBERS; i++) {
        BN_clear_free(x->b[i]);
        x->b[i] = NULL;
    }
    return recover_primes(x, ctx, diag);
}

/* What a private key lacks, from what it has: d, both primes, or both CRT exponents. */
static int
complete_private(struct numbers *x, struct ks_diag *diag)
{
    const bool primes = x->b[P] != NULL && x->b[Q] != NULL;
    if (x->b[D] != NULL && (BN_is_zero(x->b[D]) || BN_cmp(x->b[D], x->b[N]) >= 0))
        return ks_fail(diag, KS_E_INVALID, "RSA: the private exponent is not between 0 and the modulus");
    KS_CLEANUP(BN_CTX_freep) BN_CTX *ctx = BN_CTX_secure_new();
    if (ctx == NULL)
        return no_memory(diag);
    if (!primes)
        KS_TRY(x->b[D] != NULL ? primes_of_d(x, ctx, diag) : primes_of_crt(x, ctx, diag));
    if (x->b[D] == NULL)
        KS_TRY(recover_d(x, ctx, diag));
    if (x->b[E] == NULL)
        KS_TRY(inverse(x, x->b[D], ctx, &x->b[E], diag));
    return recover_crt(x, ctx, diag);
}

/* A key of libcrypto from parameters. */
static int
make(const char *type, struct ks_ossl_params *ps, bool is_private, struct ks_pkey **ret, struct ks_diag *diag)
{
    KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;
    const int selection = is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
    (void)ks_ossl_params_end(ps);
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &pkey, selection, ps->p) != 1)
        return ks_ossl_fail(diag, KS_E_INVALID, "the components make no %s key", type);
    return ks_pkey_take(pkey, is_private, ret, diag);
}

/* Appends a number as a parameter; its bytes lie in the arena. */
static int
put_number(struct ks_ossl_params *ps, const char *name, const BIGNUM *b, struct ks_arena *arena, struct ks_diag *diag)
{
    const size_t len = (size_t)BN_num_bytes(b);
    uint8_t *p = ks_arena_alloc(arena, len != 0 ? len : 1);
    if (p == NULL || BN_bn2nativepad(b, p, (int)(len != 0 ? len : 1)) < 0)
        return no_memory(diag);
    ps->p[ps->n++] = OSSL_PARAM_construct_BN(name, p, len != 0 ? len : 1);
    return 0;
}

int
ks_pkey_from_rsa(const struct ks_rsa_parts *parts, struct ks_pkey **ret, struct ks_diag *diag)
{
    KS_CLEANUP(numbers_done) struct numbers x = {0};
    const struct ks_span spans[NUMBERS] = {parts->n, parts->e,  parts->d,  parts->p,
                                           parts->q, parts->dp, parts->dq, parts->qi};
    for (int i = N; i < NUMBERS; i++)
        KS_TRY(from_span(spans[i], &x.b[i], diag));
    const bool primes = x.b[P] != NULL && x.b[Q] != NULL;
    const bool is_private = x.b[D] != NULL || primes || (x.b[DP] != NULL && x.b[DQ] != NULL);
    if (x.b[N] == NULL)
        return ks_fail(diag, KS_E_INVALID, "RSA: the modulus is missing");
    if (x.b[E] == NULL && !(x.b[D] != NULL && primes))
        return ks_fail(diag, is_private ? KS_E_UNSUPPORTED : KS_E_INVALID, "RSA: the public exponent is missing");
    if (!is_private && (x.b[P] != NULL || x.b[Q] != NULL || x.b[DP] != NULL || x.b[DQ] != NULL))
        return ks_fail(diag, KS_E_INVALID, "RSA: the private exponent is missing");
    if (BN_num_bits(x.b[N]) > RSA_BYTES_MAX * 8 || !BN_is_odd(x.b[N]))
        return ks_fail(diag, KS_E_INVALID, "RSA: an impossible modulus");
    if (is_private)
        KS_TRY(complete_private(&x, diag));
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA((size_t)NUMBERS * (RSA_BYTES_MAX + 16));
    struct ks_ossl_params ps = {.n = 0};
    for (int i = N; i <= (is_private ? QI : E); i++)
        KS_TRY(put_number(&ps, names[i], x.b[i], &arena, diag));
    return make("RSA", &ps, is_private, ret, diag);
}

/* The point that belongs to scalar d, uncompressed. */
static int
point_of(const struct ks_curve *curve, const BIGNUM *d, struct ks_arena *arena, struct ks_span *ret,
         struct ks_diag *diag)
{
    const size_t len = 1 + 2 * curve->bytes;
    uint8_t *p = ks_arena_alloc(arena, len);
    EC_GROUP *group = EC_GROUP_new_by_curve_name_ex(NULL, NULL, OBJ_sn2nid(curve->group));
    EC_POINT *point = group != NULL ? EC_POINT_new(group) : NULL;
    int rc = p == NULL || point == NULL ? no_memory(diag) : 0;
    if (rc == 0 && (BN_is_zero(d) || BN_cmp(d, EC_GROUP_get0_order(group)) >= 0))
        rc = ks_fail(diag, KS_E_INVALID, "%s: the scalar is not between 0 and the order of the group", curve->group);
    if (rc == 0 && (EC_POINT_mul(group, point, d, NULL, NULL, NULL) != 1 ||
                    EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, p, len, NULL) != len))
        rc = ks_ossl_fail(diag, KS_E_CRYPTO, "%s: computing the public point", curve->group);
    EC_POINT_free(point);
    EC_GROUP_free(group);
    if (rc == 0)
        *ret = KS_SPAN(p, len);
    return rc;
}

static int
from_raw(const struct ks_curve *curve, const struct ks_ec_parts *parts, struct ks_pkey **ret, struct ks_diag *diag)
{
    const bool is_private = parts->d.len != 0;
    const struct ks_span span = is_private ? parts->d : parts->q;
    if (span.len != curve->bytes)
        return ks_fail(diag, KS_E_INVALID, "%s keys have %zu bytes, not %zu", curve->type, curve->bytes, span.len);
    EVP_PKEY *pkey = is_private ? EVP_PKEY_new_raw_private_key_ex(NULL, curve->type, NULL, span.data, span.len)
                                : EVP_PKEY_new_raw_public_key_ex(NULL, curve->type, NULL, span.data, span.len);
    if (pkey == NULL)
        return ks_ossl_fail(diag, KS_E_INVALID, "%s: an impossible key", curve->type);
    uint8_t q[EC_BYTES_MAX];
    size_t len = sizeof(q);
    if (is_private && parts->q.len != 0 &&
        (EVP_PKEY_get_raw_public_key(pkey, q, &len) != 1 || !ks_span_equal(KS_SPAN(q, len), parts->q))) {
        EVP_PKEY_free(pkey);
        return ks_ossl_fail(diag, KS_E_INVALID, "%s: the public half does not belong to the private one", curve->type);
    }
    return ks_pkey_take(pkey, is_private, ret, diag);
}

int
ks_pkey_from_ec(const struct ks_ec_parts *parts, struct ks_pkey **ret, struct ks_diag *diag)
{
    const struct ks_curve *curve = ks_curve_find(parts->curve, parts->algorithm);
    if (curve == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "recommended curve %#x is not offered with cryptographic algorithm %#x",
                       parts->curve, parts->algorithm);
    const bool is_private = parts->d.len != 0;
    if (!is_private && parts->q.len == 0)
        return ks_fail(diag, KS_E_INVALID, "%s: neither scalar nor point is there", curve->type);
    if (curve->group == NULL)
        return from_raw(curve, parts, ret, diag);

    /* KMIP's Big Integers are padded with zeros to 8 bytes. */
    if (parts->d.len > curve->bytes + 8 || parts->q.len > 2 * curve->bytes + 1)
        return ks_fail(diag, KS_E_INVALID, "%s: a scalar or point of too many bytes", curve->group);
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1024);
    KS_CLEANUP(BN_clear_freep) BIGNUM *d = NULL;
    struct ks_span q = parts->q;
    if (is_private) {
        d = BN_bin2bn(parts->d.data, (int)parts->d.len, NULL);
        if (d == NULL)
            return no_memory(diag);
        BN_set_flags(d, BN_FLG_CONSTTIME);
        struct ks_span computed = KS_SPAN_NONE;
        KS_TRY(point_of(curve, d, &arena, &computed, diag));
        if (q.len == 0)
            q = computed;
    }
    struct ks_ossl_params ps = {.n = 0};
    ks_ossl_put_text(&ps, OSSL_PKEY_PARAM_GROUP_NAME, curve->group);
    ks_ossl_put_bytes(&ps, OSSL_PKEY_PARAM_PUB_KEY, q);
    if (is_private)
        KS_TRY(put_number(&ps, OSSL_PKEY_PARAM_PRIV_KEY, d, &arena, diag));
    return make("EC", &ps, is_private, ret, diag);
}

/* The two raw halves of an RFC 7748 or RFC 8032 key. */
static int
raw_parts(const struct ks_pkey *key, struct ks_arena *arena, struct ks_ec_parts *parts, struct ks_diag *diag)
{
    size_t d_len = key->curve->bytes, q_len = d_len;
    uint8_t *d = ks_arena_alloc(arena, d_len), *q = ks_arena_alloc(arena, q_len);
    if (d == NULL || q == NULL)
        return no_memory(diag);
    if (EVP_PKEY_get_raw_public_key(key->pkey, q, &q_len) != 1 ||
        (key->info.is_private && EVP_PKEY_get_raw_private_key(key->pkey, d, &d_len) != 1))
        return ks_ossl_fail(diag, KS_E_CRYPTO, "the bytes of a key of type %s", ks_pkey_text(key));
    parts->q = KS_SPAN(q, q_len);
    if (key->info.is_private)
        parts->d = KS_SPAN(d, d_len);
    return 0;
}

int
ks_pkey_ec(const struct ks_pkey *key, struct ks_arena *arena, struct ks_ec_parts *ret, struct ks_diag *diag)
{
    if (key->curve == NULL)
        return ks_fail(diag, KS_E_INVALID, "a key of type %s has no elliptic curve components", ks_pkey_text(key));
    struct ks_ec_parts parts = {.algorithm = key->info.algorithm, .curve = key->info.curve};
    if (key->curve->group == NULL) {
        KS_TRY(raw_parts(key, arena, &parts, diag));
        *ret = parts;
        return 0;
    }
    const size_t len = key->curve->bytes;
    KS_CLEANUP(BN_clear_freep) BIGNUM *x = NULL;
    KS_CLEANUP(BN_clear_freep) BIGNUM *y = NULL;
    KS_CLEANUP(BN_clear_freep) BIGNUM *d = NULL;
    if (EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) != 1 ||
        EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) != 1 ||
        (key->info.is_private && EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &d) != 1))
        return ks_ossl_fail(diag, KS_E_CRYPTO, "the components of a key on %s", ks_pkey_text(key));
    uint8_t *q = ks_arena_alloc(arena, 1 + 2 * len);
    if (q == NULL || BN_bn2binpad(x, q + 1, (int)len) < 0 || BN_bn2binpad(y, q + 1 + len, (int)len) < 0)
        return no_memory(diag);
    q[0] = POINT_CONVERSION_UNCOMPRESSED;
    parts.q = KS_SPAN(q, 1 + 2 * len);
    if (d != NULL)
        KS_TRY(to_span(d, len, arena, &parts.d, diag));
    *ret = parts;
    return 0;
}
