/* Keys over finite fields, DSA and DH: taken apart and put together (crypto/keyformat.h). */
#include <openssl/core_names.h>
#include <openssl/err.h>

#include "crypto/pkey.h"

enum { BYTES_MAX = 8192 / 8 };

enum number { P, Q, G, X, Y, NUMBERS };
struct numbers {
    BIGNUM *b[NUMBERS];
};

static void
numbers_done(struct numbers *n)
{
    for (int i = 0; i < NUMBERS; i++)
        BN_clear_free(n->b[i]);
}

static const char *const names[NUMBERS] = {
    [P] = OSSL_PKEY_PARAM_FFC_P,    [Q] = OSSL_PKEY_PARAM_FFC_Q,   [G] = OSSL_PKEY_PARAM_FFC_G,
    [X] = OSSL_PKEY_PARAM_PRIV_KEY, [Y] = OSSL_PKEY_PARAM_PUB_KEY,
};

static int
no_memory(struct ks_diag *diag)
{
    ERR_clear_error();
    return ks_fail(diag, KS_E_NOMEM, "no memory for the components of a key");
}

int
ks_pkey_ffc(const struct ks_pkey *key, struct ks_arena *arena, struct ks_ffc_parts *ret, struct ks_diag *diag)
{
    if (!ks_pkey_is_ffc(key))
        return ks_fail(diag, KS_E_INVALID, "a key of type %s is neither DSA nor DH", ks_pkey_text(key));
    struct ks_ffc_parts parts = {.algorithm = key->info.algorithm};
    struct ks_span *const spans[NUMBERS] = {
        [P] = &parts.p, [Q] = &parts.q, [G] = &parts.g, [X] = &parts.x, [Y] = &parts.y};
    for (int i = 0; i < NUMBERS; i++) {
        KS_CLEANUP(BN_clear_freep) BIGNUM *b = NULL;
        if (i == X && !key->info.is_private)
            continue;
        if (EVP_PKEY_get_bn_param(key->pkey, names[i], &b) != 1) {
            if (i != Q) /* DH without a subgroup order */
                return ks_ossl_fail(diag, KS_E_CRYPTO, "component %s of a key of type %s", names[i], ks_pkey_text(key));
            ERR_clear_error();
            continue;
        }
        const size_t len = (size_t)BN_num_bytes(b);
        uint8_t *p = ks_arena_alloc(arena, len != 0 ? len : 1);
        if (p == NULL || BN_bn2binpad(b, p, (int)len) < 0)
            return no_memory(diag);
        *spans[i] = KS_SPAN(p, len);
    }
    *ret = parts;
    return 0;
}

static int
read_numbers(const struct ks_ffc_parts *parts, struct numbers *n, struct ks_diag *diag)
{
    const struct ks_span spans[NUMBERS] = {parts->p, parts->q, parts->g, parts->x, parts->y};
    for (int i = 0; i < NUMBERS; i++) {
        if (spans[i].len == 0)
            continue;
        if (spans[i].len > BYTES_MAX)
            return ks_fail(diag, KS_E_INVALID, "a DSA or DH component of %zu bytes; %d at most", spans[i].len,
                           BYTES_MAX);
        n->b[i] = BN_bin2bn(spans[i].data, (int)spans[i].len, NULL);
        if (n->b[i] == NULL)
            return no_memory(diag);
        BN_set_flags(n->b[i], BN_FLG_CONSTTIME);
    }
    if (n->b[P] == NULL || n->b[G] == NULL || (n->b[X] == NULL && n->b[Y] == NULL) ||
        (n->b[Q] == NULL && parts->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA))
        return ks_fail(diag, KS_E_INVALID, "DSA or DH: a component is missing");
    return 0;
}

/* What belongs below p is there, and p can be a modulus. That it is prime is not looked into. */
static int
check_numbers(const struct numbers *n, struct ks_diag *diag)
{
    bool fits = BN_is_odd(n->b[P]) && !BN_is_one(n->b[P]);
    for (int i = Q; i < NUMBERS && fits; i++)
        fits = n->b[i] == NULL || (!BN_is_zero(n->b[i]) && BN_cmp(n->b[i], n->b[P]) < 0);
    fits = fits && (n->b[X] == NULL || n->b[Q] == NULL || BN_cmp(n->b[X], n->b[Q]) < 0) && !BN_is_one(n->b[G]);
    return fits ? 0 : ks_fail(diag, KS_E_INVALID, "DSA or DH: the components do not belong together");
}

/* y from x, or whether it is the one that was given. */
static int
complete(struct numbers *n, struct ks_diag *diag)
{
    if (n->b[X] == NULL)
        return 0;
    KS_CLEANUP(BN_CTX_freep) BN_CTX *ctx = BN_CTX_secure_new();
    BIGNUM *y = BN_new();
    if (ctx == NULL || y == NULL || BN_mod_exp(y, n->b[G], n->b[X], n->b[P], ctx) != 1) {
        BN_clear_free(y);
        return no_memory(diag);
    }
    if (n->b[Y] == NULL) {
        n->b[Y] = y;
        return 0;
    }
    const bool same = BN_cmp(y, n->b[Y]) == 0;
    BN_clear_free(y);
    return same ? 0 : ks_fail(diag, KS_E_INVALID, "DSA or DH: the public half does not belong to the private one");
}

int
ks_pkey_from_ffc(const struct ks_ffc_parts *parts, struct ks_pkey **ret, struct ks_diag *diag)
{
    KS_CLEANUP(numbers_done) struct numbers n = {0};
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA((size_t)NUMBERS * (BYTES_MAX + 64));
    const char *type = parts->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA ? "DSA" : parts->q.len != 0 ? "DHX" : "DH";
    struct ks_ossl_params ps = {.n = 0};
    KS_TRY(read_numbers(parts, &n, diag));
    KS_TRY(check_numbers(&n, diag));
    KS_TRY(complete(&n, diag));
    for (int i = 0; i < NUMBERS; i++) {
        if (n.b[i] == NULL)
            continue;
        const size_t len = (size_t)BN_num_bytes(n.b[i]);
        uint8_t *p = ks_arena_alloc(&arena, len);
        if (p == NULL || BN_bn2nativepad(n.b[i], p, (int)len) < 0)
            return no_memory(diag);
        ps.p[ps.n++] = OSSL_PARAM_construct_BN(names[i], p, len);
    }
    (void)ks_ossl_params_end(&ps);
    KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;
    const bool is_private = n.b[X] != NULL;
    const int selection = is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &pkey, selection, ps.p) != 1)
        return ks_ossl_fail(diag, KS_E_INVALID, "the components make no %s key", type);
    return ks_pkey_take(pkey, is_private, ret, diag);
}
