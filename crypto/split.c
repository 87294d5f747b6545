#include "crypto/split.h"

#include <keystead/kmip.h>

#include "crypto/ossl.h"
#include "crypto/random.h"

/*
 * Fields. Elements are bytes or pairs of bytes; additions are XOR. No table, no branch depends on an element.
 * GF(2^8) modulo x^8 + ...: the low byte of the polynomial.
 */
enum { RIJNDAEL = 0x1b /* 283, FIPS 197 */, POLYNOMIAL_285 = 0x1d, M = 0x3a };

static uint8_t
mul8(uint8_t a, uint8_t b, uint8_t polynomial)
{
    unsigned sum = 0, x = a;
    for (unsigned i = 0; i < 8; i++) {
        sum ^= x & (0U - (b >> i & 1U));
        x = (x << 1 ^ (polynomial & (0U - (x >> 7 & 1U)))) & 0xff;
    }
    return (uint8_t)sum;
}

static uint8_t
inverse8(uint8_t a, uint8_t polynomial)
{
    /* a^254 */
    uint8_t power = a, product = 1;
    for (unsigned i = 1; i < 8; i++) {
        power = mul8(power, power, polynomial);
        product = mul8(product, power, polynomial);
    }
    return product;
}

/*
 * GF(2^16) as GF(2^8)[y] / (y^2 + y + M): u y + v is u << 8 | v. The specification's formula of the product has M in
 * the wrong place (it multiplies s v); this is the field that it defines, and the one of its formula of the inverse.
 */
static uint16_t
mul16(uint16_t a, uint16_t b)
{
    const uint8_t r = (uint8_t)(a >> 8), s = (uint8_t)a, u = (uint8_t)(b >> 8), v = (uint8_t)b;
    const uint8_t sv = mul8(s, v, RIJNDAEL), ru = mul8(r, u, RIJNDAEL);
    const uint8_t high = (uint8_t)(mul8((uint8_t)(r ^ s), (uint8_t)(u ^ v), RIJNDAEL) ^ sv);
    return (uint16_t)(high << 8 | (sv ^ mul8(ru, M, RIJNDAEL)));
}

static uint16_t
inverse16(uint16_t a)
{
    const uint8_t u = (uint8_t)(a >> 8), v = (uint8_t)a, w = (uint8_t)(u ^ v);
    const uint8_t d = (uint8_t)(mul8(w, v, RIJNDAEL) ^ mul8(mul8(u, u, RIJNDAEL), M, RIJNDAEL));
    const uint8_t e = inverse8(d, RIJNDAEL);
    return (uint16_t)(mul8(u, e, RIJNDAEL) << 8 | mul8(w, e, RIJNDAEL));
}

struct field {
    size_t width; /* bytes of an element */
    uint8_t polynomial;
};

static uint16_t
mul(const struct field *f, uint16_t a, uint16_t b)
{
    return f->width == 1 ? mul8((uint8_t)a, (uint8_t)b, f->polynomial) : mul16(a, b);
}

static uint16_t
inverse(const struct field *f, uint16_t a)
{
    return f->width == 1 ? inverse8((uint8_t)a, f->polynomial) : inverse16(a);
}

/* The element at a place; beyond the end of the bytes there are zeros. */
static uint16_t
element(const struct field *f, struct ks_span bytes, size_t at)
{
    const uint8_t first = bytes.data[at];
    if (f->width == 1)
        return first;
    return (uint16_t)(first << 8 | (at + 1 < bytes.len ? bytes.data[at + 1] : 0));
}

static void
put_element(const struct field *f, uint8_t *to, size_t at, uint16_t e)
{
    if (f->width == 2)
        to[at++] = (uint8_t)(e >> 8);
    to[at] = (uint8_t)e;
}

static struct field
field_of(const struct ks_split *how)
{
    if (how->method == KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_GF_2_16)
        return (struct field){2, RIJNDAEL};
    return (struct field){1, how->polynomial == KMIP_SPLIT_KEY_POLYNOMIAL_POLYNOMIAL_283 ? RIJNDAEL : POLYNOMIAL_285};
}

/* What is possible */

static int
check_prime(const struct ks_split *how, size_t secret_len, struct ks_diag *diag)
{
    struct ks_span p = how->prime;
    while (p.len != 0 && p.data[0] == 0)
        p = KS_SPAN(p.data + 1, p.len - 1);
    /* One byte more is always greater; so is nothing that is shorter. */
    if (p.len <= secret_len || p.len != how->prime.len)
        return ks_fail(diag, KS_E_INVALID, "the Prime Field Size is not greater than a secret of %zu bytes can be",
                       secret_len);
    if (p.len > KS_SPLIT_PRIME_MOST)
        return ks_fail(diag, KS_E_INVALID, "a Prime Field Size has %d bytes at most", KS_SPLIT_PRIME_MOST);
    return 0;
}

int
ks_split_length(const struct ks_split *how, size_t secret_len, size_t *ret_len, struct ks_diag *diag)
{
    const bool is_xor = how->method == KMIP_SPLIT_KEY_METHOD_XOR;
    if (how->parts < 2 || how->parts > KS_SPLIT_MOST || how->threshold < 2 || how->threshold > how->parts)
        return ks_fail(diag, KS_E_INVALID, "a secret is split into 2 to %d parts, of which 2 to all are needed",
                       KS_SPLIT_MOST);
    if (is_xor && how->threshold != how->parts)
        return ks_fail(diag, KS_E_INVALID,
                       "XOR takes all parts: the Split Key Threshold has to be the Split Key Parts");
    if (secret_len == 0)
        return ks_fail(diag, KS_E_INVALID, "there is nothing to split");
    switch (how->method) {
    case KMIP_SPLIT_KEY_METHOD_XOR:
    case KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_GF_2_8:
        *ret_len = secret_len;
        return 0;
    case KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_GF_2_16:
        *ret_len = (secret_len + 1) & ~(size_t)1;
        return 0;
    case KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_PRIME_FIELD:
        KS_TRY(check_prime(how, secret_len, diag));
        *ret_len = how->prime.len;
        return 0;
    default:
        return ks_fail(diag, KS_E_UNSUPPORTED, "Split Key Method %u is not offered", how->method);
    }
}

uint64_t
ks_split_work(const struct ks_split *how, size_t secret_len, size_t n)
{
    const uint64_t len = secret_len, t = how->threshold, p = how->prime.len;
    const uint64_t rounds = n > t ? n - t + 1 : 1; /* each part beyond the threshold is compared */
    switch (how->method) {
    case KMIP_SPLIT_KEY_METHOD_XOR:
        return len * how->parts;
    case KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_PRIME_FIELD: {
        const uint64_t product = p * p / 512 + 32; /* modulo the prime */
        return n != 0 ? 3 * rounds * t * t * product : how->parts * t * product + p * p * p;
    }
    default: {
        const uint64_t product = field_of(how).width == 1 ? 1 : 3;
        return product * (n != 0 ? rounds * (len * t + t * t) : len * how->parts * t);
    }
    }
}

/* Splitting */

static int
split_xor(const struct ks_split *how, struct ks_span secret, uint8_t *ret)
{
    const size_t len = secret.len;
    uint8_t *last = ret + (how->parts - 1) * len;
    KS_TRY(ks_random_key(ret, (how->parts - 1) * len));
    memcpy(last, secret.data, len);
    for (size_t part = 0; part + 1 < how->parts; part++)
        for (size_t i = 0; i < len; i++)
            last[i] ^= ret[part * len + i];
    return 0;
}

/* Horner's rule at every identifier, element by element. */
static int
split_field(const struct ks_split *how, struct ks_span secret, uint8_t *ret, size_t len)
{
    const struct field f = field_of(how);
    uint8_t coefficients[2 * KS_SPLIT_MOST];
    for (size_t at = 0; at < len; at += f.width) {
        const struct ks_span c = KS_SPAN(coefficients, (how->threshold - 1) * f.width);
        const int rc = ks_random_key(coefficients, c.len);
        if (rc != 0) {
            ks_wipe(coefficients, sizeof(coefficients));
            return rc;
        }
        for (unsigned part = 0; part < how->parts; part++) {
            uint16_t sum = 0;
            for (size_t k = c.len; k != 0; k -= f.width)
                sum = mul(&f, (uint16_t)(sum ^ element(&f, c, k - f.width)), (uint16_t)(part + 1));
            put_element(&f, ret + part * len, at, (uint16_t)(sum ^ element(&f, secret, at)));
        }
    }
    ks_wipe(coefficients, sizeof(coefficients));
    return 0;
}

struct numbers {
    BN_CTX *ctx;
    BIGNUM *prime;
};

static void
numbers_done(struct numbers *n)
{
    BN_CTX_end(n->ctx);
    BN_CTX_free(n->ctx);
    BN_clear_free(n->prime);
}

static int
numbers_of(const struct ks_split *how, struct numbers *n, struct ks_diag *diag)
{
    n->ctx = BN_CTX_secure_new();
    if (n->ctx == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "splitting in a prime field");
    BN_CTX_start(n->ctx);
    n->prime = BN_bin2bn(how->prime.data, (int)how->prime.len, NULL);
    if (n->prime == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "splitting in a prime field");
    return 0;
}

/* A random element: 16 bytes more than the prime has, so that what is nearer to zero is not drawn more often. */
static bool
random_element(const struct numbers *n, BIGNUM *ret)
{
    uint8_t bytes[KS_SPLIT_PRIME_MOST + 16];
    const size_t len = (size_t)BN_num_bytes(n->prime) + 16;
    const bool good = len <= sizeof(bytes) && ks_random_key(bytes, len) == 0 &&
                      BN_bin2bn(bytes, (int)len, ret) != NULL && BN_nnmod(ret, ret, n->prime, n->ctx) == 1;
    ks_wipe(bytes, sizeof(bytes));
    return good;
}

static int
split_prime(const struct ks_split *how, struct ks_span secret, uint8_t *ret, size_t len, struct ks_diag *diag)
{
    KS_CLEANUP(numbers_done) struct numbers n = {0};
    KS_TRY(numbers_of(how, &n, diag));
    if (BN_check_prime(n.prime, n.ctx, NULL) != 1)
        return ks_fail(diag, KS_E_INVALID, "the Prime Field Size is no prime");
    BIGNUM *coefficient[KS_SPLIT_MOST];
    BIGNUM *x = BN_CTX_get(n.ctx), *sum = BN_CTX_get(n.ctx);
    bool good = sum != NULL;
    for (unsigned k = 0; good && k < how->threshold; k++) {
        coefficient[k] = BN_CTX_get(n.ctx);
        good = coefficient[k] != NULL && (k == 0 ? BN_bin2bn(secret.data, (int)secret.len, coefficient[0]) != NULL
                                                 : random_element(&n, coefficient[k]));
    }
    for (unsigned part = 0; good && part < how->parts; part++) {
        BN_zero(sum);
        good = BN_set_word(x, part + 1) == 1;
        for (unsigned k = how->threshold; good && k != 0; k--)
            good = BN_mod_mul(sum, sum, x, n.prime, n.ctx) == 1 &&
                   BN_mod_add(sum, sum, coefficient[k - 1], n.prime, n.ctx) == 1;
        good = good && BN_bn2binpad(sum, ret + part * len, (int)len) == (int)len;
    }
    return good ? 0 : ks_ossl_fail(diag, KS_E_CRYPTO, "splitting in a prime field");
}

int
ks_split(const struct ks_split *how, struct ks_span secret, uint8_t *ret, struct ks_diag *diag)
{
    size_t len = 0;
    int rc;
    KS_TRY(ks_split_length(how, secret.len, &len, diag));
    if (how->method == KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_PRIME_FIELD)
        rc = split_prime(how, secret, ret, len, diag);
    else
        rc =
            how->method == KMIP_SPLIT_KEY_METHOD_XOR ? split_xor(how, secret, ret) : split_field(how, secret, ret, len);
    if (rc == 0)
        return 0;
    ks_wipe(ret, len * how->parts);
    return diag != NULL && diag->code != 0 ? rc : ks_fail(diag, rc, "the secret could not be split");
}

/* Joining */

/* Lagrange's weights at x, of the first `threshold` parts: public numbers. */
static void
weights(const struct ks_split *how, const struct field *f, const struct ks_share *shares, unsigned x, uint16_t *ret)
{
    for (unsigned i = 0; i < how->threshold; i++) {
        uint16_t over = 1, under = 1;
        for (unsigned k = 0; k < how->threshold; k++) {
            if (k == i)
                continue;
            over = mul(f, over, (uint16_t)(x ^ shares[k].identifier));
            under = mul(f, under, (uint16_t)(shares[i].identifier ^ shares[k].identifier));
        }
        ret[i] = mul(f, over, inverse(f, under));
    }
}

static uint16_t
at_place(const struct ks_split *how, const struct field *f, const struct ks_share *shares, const uint16_t *weight,
         size_t at)
{
    uint16_t sum = 0;
    for (unsigned i = 0; i < how->threshold; i++)
        sum ^= mul(f, element(f, shares[i].bytes, at), weight[i]);
    return sum;
}

static int
join_field(const struct ks_split *how, const struct ks_share *shares, size_t n, uint8_t *ret, size_t secret_len,
           size_t len)
{
    const struct field f = field_of(how);
    uint16_t weight[KS_SPLIT_MOST];
    unsigned wrong = 0;
    for (size_t extra = how->threshold; extra < n; extra++) {
        weights(how, &f, shares, shares[extra].identifier, weight);
        for (size_t at = 0; at < len; at += f.width)
            wrong |= (unsigned)(at_place(how, &f, shares, weight, at) ^ element(&f, shares[extra].bytes, at));
    }
    weights(how, &f, shares, 0, weight);
    for (size_t at = 0; at < len; at += f.width) {
        const uint16_t e = at_place(how, &f, shares, weight, at);
        if (at + f.width <= secret_len) {
            put_element(&f, ret, at, e);
        } else { /* the byte that filled up the last pair */
            ret[at] = (uint8_t)(e >> 8);
            wrong |= e & 0xffU;
        }
    }
    return wrong == 0 ? 0 : KS_E_INTEGRITY;
}

static int
join_xor(const struct ks_share *shares, size_t n, uint8_t *ret, size_t len)
{
    memset(ret, 0, len);
    for (size_t part = 0; part < n; part++)
        for (size_t i = 0; i < len; i++)
            ret[i] ^= shares[part].bytes.data[i];
    return 0;
}

/* The value at x of the polynomial through the first `threshold` parts. */
static bool
interpolate(const struct ks_split *how, const struct numbers *n, const struct ks_share *shares, unsigned at,
            BIGNUM *ret)
{
    BN_CTX_start(n->ctx);
    BIGNUM *over = BN_CTX_get(n->ctx), *under = BN_CTX_get(n->ctx), *a = BN_CTX_get(n->ctx), *b = BN_CTX_get(n->ctx);
    bool good = b != NULL;
    BN_zero(ret);
    for (unsigned i = 0; good && i < how->threshold; i++) {
        good = BN_set_word(over, 1) == 1 && BN_set_word(under, 1) == 1;
        for (unsigned k = 0; good && k < how->threshold; k++) {
            if (k == i)
                continue;
            good = BN_set_word(a, shares[k].identifier) == 1 && BN_set_word(b, at) == 1 &&
                   BN_mod_sub(b, b, a, n->prime, n->ctx) == 1 && BN_mod_mul(over, over, b, n->prime, n->ctx) == 1 &&
                   BN_set_word(b, shares[i].identifier) == 1 && BN_mod_sub(b, b, a, n->prime, n->ctx) == 1 &&
                   BN_mod_mul(under, under, b, n->prime, n->ctx) == 1;
        }
        good = good && BN_mod_inverse(under, under, n->prime, n->ctx) != NULL &&
               BN_mod_mul(over, over, under, n->prime, n->ctx) == 1 &&
               BN_bin2bn(shares[i].bytes.data, (int)shares[i].bytes.len, a) != NULL &&
               BN_mod_mul(over, over, a, n->prime, n->ctx) == 1 && BN_mod_add(ret, ret, over, n->prime, n->ctx) == 1;
    }
    BN_CTX_end(n->ctx);
    return good;
}

static int
join_prime(const struct ks_split *how, const struct ks_share *shares, size_t n, uint8_t *ret, size_t secret_len,
           struct ks_diag *diag)
{
    KS_CLEANUP(numbers_done) struct numbers numbers = {0};
    KS_TRY(numbers_of(how, &numbers, diag));
    BIGNUM *sum = BN_CTX_get(numbers.ctx), *given = BN_CTX_get(numbers.ctx);
    bool good = given != NULL, fits = true;
    for (size_t extra = how->threshold; good && extra < n; extra++) {
        good = interpolate(how, &numbers, shares, shares[extra].identifier, sum) &&
               BN_bin2bn(shares[extra].bytes.data, (int)shares[extra].bytes.len, given) != NULL;
        fits = fits && good && BN_cmp(sum, given) == 0;
    }
    good = good && interpolate(how, &numbers, shares, 0, sum);
    if (!good)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "joining in a prime field");
    if (!fits || (size_t)BN_num_bytes(sum) > secret_len || BN_bn2binpad(sum, ret, (int)secret_len) != (int)secret_len)
        return KS_E_INTEGRITY;
    return 0;
}

int
ks_split_join(const struct ks_split *how, const struct ks_share *shares, size_t n, uint8_t *ret, size_t secret_len,
              struct ks_diag *diag)
{
    size_t len = 0;
    KS_TRY(ks_split_length(how, secret_len, &len, diag));
    if (n < how->threshold)
        return ks_fail(diag, KS_E_INVALID, "%zu parts are too few: the threshold is %u", n, how->threshold);
    for (size_t i = 0; i < n; i++) {
        if (shares[i].identifier < 1 || shares[i].identifier > how->parts || shares[i].bytes.len != len)
            return ks_fail(diag, KS_E_INVALID, "part %u of %u with %zu bytes is none of this secret",
                           shares[i].identifier, how->parts, shares[i].bytes.len);
        for (size_t k = 0; k < i; k++)
            if (shares[k].identifier == shares[i].identifier)
                return ks_fail(diag, KS_E_INVALID, "part %u is there twice", shares[i].identifier);
    }
    int rc;
    if (how->method == KMIP_SPLIT_KEY_METHOD_XOR)
        rc = join_xor(shares, n, ret, len);
    else if (how->method == KMIP_SPLIT_KEY_METHOD_POLYNOMIAL_SHARING_PRIME_FIELD)
        rc = join_prime(how, shares, n, ret, secret_len, diag);
    else
        rc = join_field(how, shares, n, ret, secret_len, len);
    if (rc == 0)
        return 0;
    ks_wipe(ret, secret_len);
    return rc == KS_E_INTEGRITY ? ks_fail(diag, rc, "the parts do not belong together") : rc;
}
