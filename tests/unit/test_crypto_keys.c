/* crypto/keyformat.h and crypto/keygen.h */
#include "tests/unit/crypto_test.h"

#include <openssl/err.h>

#include "crypto/crypto.h"
#include "crypto/keyformat.h"
#include "crypto/keygen.h"
#include "crypto/keyread.h"

#define BUF KS_CLEANUP(ks_buf_done) struct ks_buf

enum {
    RSA_KEY = KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA,
    EC = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC,
    ED25519 = KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519,
    AES = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
    TDES = KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES,
    RAW = KMIP_KEY_FORMAT_TYPE_RAW,
    PKCS_1 = KMIP_KEY_FORMAT_TYPE_PKCS_1,
    PKCS_8 = KMIP_KEY_FORMAT_TYPE_PKCS_8,
    SEC_1 = KMIP_KEY_FORMAT_TYPE_EC_PRIVATE_KEY,
    SPKI = KMIP_KEY_FORMAT_TYPE_X_509,
    P_256 = KMIP_RECOMMENDED_CURVE_P_256
};

static const struct {
    const char *part[8]; /* n e d p q dp dq qi */
    const char *pkcs1, *pkcs1_public, *pkcs8, *spki;
} rsa = {
#define RSA_VECTOR(n, e, d, p, q, dp, dq, qi, pkcs1, pkcs1_public, pkcs8, spki)                                        \
    {n, e, d, p, q, dp, dq, qi}, pkcs1, pkcs1_public, pkcs8, spki
#define EC_VECTOR(...)
#include "tests/vectors/keys.def"
#undef RSA_VECTOR
#undef EC_VECTOR
};

static const struct {
    uint32_t curve, algorithm;
    const char *d, *q;
} ec[] = {
#define RSA_VECTOR(...)
#define EC_VECTOR(curve, algorithm, d, q)                                                                              \
    {KMIP_RECOMMENDED_CURVE_##curve, KMIP_CRYPTOGRAPHIC_ALGORITHM_##algorithm, d, q},
#include "tests/vectors/keys.def"
#undef RSA_VECTOR
#undef EC_VECTOR
};

static struct ks_pkey *
parse(uint32_t format, bool is_private, uint32_t algorithm, uint32_t curve, struct ks_span bytes)
{
    struct ks_pkey *key = NULL;
    struct ks_diag diag = {0};
    if (ks_pkey_parse(format, is_private, algorithm, curve, bytes, &key, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
    assert_int_equal(ERR_peek_error(), 0);
    return key;
}

static void
assert_exports(const struct ks_pkey *key, uint32_t format, bool is_private, const char *expected)
{
    BUF out = KS_BUF(1 << 16);
    assert_int_equal(ks_pkey_export(key, format, is_private, &out, NULL), 0);
    assert_hex(out.data, out.len, expected);
}

static void
assert_all_rsa_parts(const struct ks_pkey *key)
{
    TEST_ARENA(arena);
    struct ks_rsa_parts parts;
    assert_int_equal(ks_pkey_rsa(key, &arena, &parts, NULL), 0);
    const struct ks_span spans[8] = {parts.n, parts.e, parts.d, parts.p, parts.q, parts.dp, parts.dq, parts.qi};
    for (size_t i = 0; i < 8; i++)
        assert_hex(spans[i].data, spans[i].len, rsa.part[i]);
}

static void
rsa_formats_are_the_published_bytes(void **state)
{
    (void)state;
    TEST_ARENA(arena);
    const struct {
        uint32_t format;
        bool is_private;
        const char *der;
    } forms[] = {{PKCS_1, true, rsa.pkcs1},
                 {PKCS_8, true, rsa.pkcs8},
                 {PKCS_1, false, rsa.pkcs1_public},
                 {SPKI, false, rsa.spki}};
    for (size_t i = 0; i < KS_ARRAY_LEN(forms); i++) {
        KS_PKEY *key = parse(forms[i].format, forms[i].is_private, RSA_KEY, 0, hex(&arena, forms[i].der));
        struct ks_pkey_info info;
        ks_pkey_info(key, &info);
        assert_int_equal(info.algorithm, RSA_KEY);
        assert_int_equal(info.bits, 2048);
        assert_int_equal(info.curve, 0);
        assert_int_equal(info.is_private, forms[i].is_private);
        assert_int_equal(ks_pkey_check(key, NULL), 0);
        assert_exports(key, PKCS_1, false, rsa.pkcs1_public);
        assert_exports(key, SPKI, false, rsa.spki);
        if (info.is_private) {
            assert_exports(key, PKCS_1, true, rsa.pkcs1);
            assert_exports(key, PKCS_8, true, rsa.pkcs8);
            assert_all_rsa_parts(key);
        }
        BUF out = KS_BUF(1 << 16);
        assert_int_equal(ks_pkey_export(key, PKCS_8, true, &out, NULL), info.is_private ? 0 : KS_E_INVALID);
        assert_int_equal(ks_pkey_export(key, RAW, false, &out, NULL), KS_E_UNSUPPORTED);
        assert_int_equal(ks_pkey_export(key, PKCS_8, false, &out, NULL), KS_E_UNSUPPORTED);
        if (info.is_private)
            assert_int_equal(ks_pkey_export(key, SEC_1, true, &out, NULL), KS_E_UNSUPPORTED);
        assert_int_equal(ks_pkey_default_format(key, info.is_private), PKCS_1);
    }
}

/* Whatever a peer leaves out that can be computed is computed, and comes out the same. */
static void
rsa_from_what_there_is(void **state)
{
    (void)state;
    TEST_ARENA(arena);
    struct ks_span s[8];
    for (size_t i = 0; i < 8; i++)
        s[i] = hex(&arena, rsa.part[i]);
    const struct ks_rsa_parts all = {s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]};
    const struct ks_rsa_parts private_cases[] = {
        all,
        {.n = s[0], .e = s[1], .d = s[2], .p = s[3], .q = s[4]},
        {.n = s[0], .e = s[1], .d = s[2]},                         /* primes recovered */
        {.n = s[0], .d = s[2], .p = s[3], .q = s[4]},              /* exponent recovered */
        {.n = s[0], .e = s[1], .d = s[2], .dp = s[5], .qi = s[7]}, /* CRT without primes */
        {.n = s[0], .e = s[1], .d = s[2], .p = s[3]},              /* half the primes */
        {.n = s[0], .e = s[1], .p = s[3], .q = s[4]},              /* the primes alone */
        {.n = s[0], .e = s[1], .dp = s[5], .dq = s[6]},            /* CRT exponents alone */
        {.n = s[0], .e = s[1], .dp = s[5], .dq = s[6], .qi = s[7]},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(private_cases); i++) {
        KS_PKEY *key = NULL;
        assert_int_equal(ks_pkey_from_rsa(&private_cases[i], &key, NULL), 0);
        assert_int_equal(ks_pkey_check(key, NULL), 0);
        assert_all_rsa_parts(key);
        assert_exports(key, PKCS_1, true, rsa.pkcs1);
    }
    KS_PKEY *public = NULL;
    assert_int_equal(ks_pkey_from_rsa(&(struct ks_rsa_parts){.n = s[0], .e = s[1]}, &public, NULL), 0);
    assert_exports(public, SPKI, false, rsa.spki);
    struct ks_rsa_parts parts;
    assert_int_equal(ks_pkey_rsa(public, &arena, &parts, NULL), 0);
    assert_int_equal(parts.d.len + parts.p.len + parts.qi.len, 0);

    const struct ks_rsa_parts bad[] = {
        {.n = KS_SPAN_NONE},
        {.n = s[0]},
        {.e = s[1], .d = s[2]},
        {.n = s[0], .d = s[2]},
        {.n = s[0], .p = s[3], .q = s[4]},
        {.n = s[0], .e = s[1], .p = s[3]},
        {.n = s[0], .e = s[1], .p = s[3], .q = s[3]},   /* not the primes of n */
        {.n = s[0], .e = s[1], .dp = s[7], .dq = s[6]}, /* not the exponent of a prime */
        {.n = s[0], .e = s[1], .d = s[0]},
        {.n = s[0], .e = s[1], .d = s[3]}, /* d of another key: no primes come of it */
        {.n = s[0], .e = KS_LIT("\x02"), .d = s[2]},
        {.n = KS_LIT("\x0f"), .e = KS_LIT("\x03")}, /* no key at all */
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(bad); i++) {
        KS_PKEY *key = NULL;
        struct ks_diag diag = {0};
        const int rc = ks_pkey_from_rsa(&bad[i], &key, &diag);
        assert_true(rc == KS_E_INVALID || rc == KS_E_UNSUPPORTED);
        assert_null(key);
        assert_non_null(strstr(diag.message, "RSA"));
        assert_int_equal(ERR_peek_error(), 0);
    }
}

/*
 * Finding primes is work that a peer can ask for with numbers of his choice: what leads to none is refused by its
 * sizes, or by the first power. (A series of tries took seconds at 4096 bits, minutes at 16384.)
 */
static void
hopeless_searches_for_primes_end_at_once(void **state)
{
    (void)state;
    static const struct {
        size_t n, e;
        const char *says;
    } cases[] = {
        {513, 3, "without its primes"},
        {512, 3, "do not belong together"},
        {512, 33, "public exponent of 264 bits"},
        {2048, 2048, "without its primes"},
    };
    uint8_t n[2048], e[2048], d[2048];
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        memset(n, 0xa5, sizeof(n));
        memset(e, 0x9b, sizeof(e));
        memset(d, 0x95, sizeof(d));
        const struct ks_rsa_parts parts = {
            .n = KS_SPAN(n, cases[i].n), .e = KS_SPAN(e, cases[i].e), .d = KS_SPAN(d, cases[i].n)};
        KS_PKEY *key = NULL;
        struct ks_diag diag = {0};
        assert_int_equal(ks_pkey_from_rsa(&parts, &key, &diag), KS_E_INVALID);
        if (strstr(diag.message, cases[i].says) == NULL)
            fail_msg("%s instead of %s", diag.message, cases[i].says);
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void
unsound_keys_are_found(void **state)
{
    (void)state;
    TEST_ARENA(arena);
    struct ks_span s[8];
    for (size_t i = 0; i < 8; i++)
        s[i] = hex(&arena, rsa.part[i]);
    /* The primes do not make the modulus. */
    uint8_t n[256];
    memcpy(n, s[0].data, 256);
    n[200] ^= 1;
    KS_PKEY *key = NULL;
    const struct ks_rsa_parts wrong = {KS_SPAN(n, 256), s[1], s[2], s[3], s[4], s[5], s[6], s[7]};
    assert_int_equal(ks_pkey_from_rsa(&wrong, &key, NULL), 0);
    struct ks_diag diag = {0};
    assert_int_equal(ks_pkey_check(key, &diag), KS_E_INVALID);
    assert_non_null(strstr(diag.message, "not sound"));
    assert_int_equal(ERR_peek_error(), 0);

    /* Another key's point; a point that is on no curve. */
    /* cppcheck-suppress arrayIndexOutOfBounds ; the rows are in an included file */
    const struct ks_span d = hex(&arena, ec[1].d);
    KS_PKEY *other = NULL;
    assert_int_equal(ks_keygen_pair(&(struct ks_keypair_params){.algorithm = EC, .curve = P_256}, &other, NULL), 0);
    struct ks_ec_parts parts;
    assert_int_equal(ks_pkey_ec(other, &arena, &parts, NULL), 0);
    KS_PKEY *mixed = NULL;
    const struct ks_ec_parts mix = {.curve = P_256, .d = d, .q = parts.q};
    int rc = ks_pkey_from_ec(&mix, &mixed, NULL);
    if (rc == 0)
        rc = ks_pkey_check(mixed, NULL);
    assert_int_equal(rc, KS_E_INVALID);
    uint8_t q[65];
    memcpy(q, parts.q.data, 65);
    q[64] ^= 1;
    KS_PKEY *off = NULL;
    assert_int_equal(ks_pkey_from_ec(&(struct ks_ec_parts){.curve = P_256, .q = KS_SPAN(q, 65)}, &off, NULL),
                     KS_E_INVALID);
    const struct ks_ec_parts bad[] = {
        {.curve = P_256},
        {.curve = 0, .d = d},
        {.curve = KMIP_RECOMMENDED_CURVE_B_163, .d = d},
        {.curve = P_256, .d = KS_LIT("\0")},
        {.curve = P_256,
         .d = KS_LIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                     "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
        {.curve = KMIP_RECOMMENDED_CURVE_CURVE25519, .d = KS_LIT("short")},
        {.curve = KMIP_RECOMMENDED_CURVE_CURVE25519, .d = d, .q = d},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(bad); i++) {
        rc = ks_pkey_from_ec(&bad[i], &off, NULL);
        assert_int_equal(rc, i == 1 || i == 2 ? KS_E_UNSUPPORTED : KS_E_INVALID);
        assert_null(off);
    }
}

static void
curves_give_the_published_points(void **state)
{
    (void)state;
    TEST_ARENA(arena);
    for (size_t i = 0; i < KS_ARRAY_LEN(ec); i++) {
        const struct ks_span d = hex(&arena, ec[i].d), q = hex(&arena, ec[i].q);
        KS_PKEY *key = parse(RAW, true, ec[i].algorithm, ec[i].curve, d);
        KS_PKEY *public = parse(RAW, false, ec[i].algorithm, ec[i].curve, q);
        assert_true(ks_pkey_same_public(key, public));
        assert_int_equal(ks_pkey_check(key, NULL), 0);
        assert_int_equal(ks_pkey_check(public, NULL), 0);
        assert_exports(key, RAW, true, ec[i].d);
        assert_exports(key, RAW, false, ec[i].q);
        struct ks_pkey_info info;
        ks_pkey_info(key, &info);
        assert_int_equal(info.algorithm, ec[i].algorithm);
        assert_int_equal(info.curve, ec[i].curve);
        assert_true(info.is_private);

        struct ks_ec_parts parts;
        assert_int_equal(ks_pkey_ec(key, &arena, &parts, NULL), 0);
        assert_true(ks_span_equal(parts.d, d) && ks_span_equal(parts.q, q));
        struct ks_rsa_parts none;
        assert_int_equal(ks_pkey_rsa(key, &arena, &none, NULL), KS_E_INVALID);

        /* Through PKCS#8 and SubjectPublicKeyInfo and back. */
        BUF p8 = KS_BUF(4096);
        BUF spki = KS_BUF(4096);
        assert_int_equal(ks_pkey_export(key, PKCS_8, true, &p8, NULL), 0);
        assert_int_equal(ks_pkey_export(key, SPKI, false, &spki, NULL), 0);
        KS_PKEY *again = parse(PKCS_8, true, 0, 0, ks_buf_span(&p8));
        KS_PKEY *public_again = parse(SPKI, false, ec[i].algorithm, ec[i].curve, ks_buf_span(&spki));
        assert_exports(again, RAW, true, ec[i].d);
        assert_exports(public_again, RAW, false, ec[i].q);
        KS_PKEY *half = NULL;
        assert_int_equal(ks_pkey_public(key, &half, NULL), 0);
        ks_pkey_info(half, &info);
        assert_false(info.is_private);
        assert_exports(half, RAW, false, ec[i].q);
        /* and ECPrivateKey, for the curves that have it */
        BUF sec1 = KS_BUF(4096);
        const bool weierstrass = q.data[0] == 4 && q.len % 2 == 1 && ec[i].algorithm == EC;
        const int rc = ks_pkey_export(key, SEC_1, true, &sec1, NULL);
        assert_int_equal(rc, weierstrass ? 0 : KS_E_UNSUPPORTED);
        if (rc == 0) {
            KS_PKEY *third = parse(SEC_1, true, KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA, ec[i].curve, ks_buf_span(&sec1));
            assert_exports(third, RAW, true, ec[i].d);
        }
    }
}

/* The ECPrivateKey on secp256k1 of KMIP's test case TC-ECC-3. */
static void
the_key_of_tc_ecc_3(void **state)
{
    (void)state;
    TEST_ARENA(arena);
    static const char der[] =
        "30740201010420db4d128c30ca309e62c4019758c00ba244dd64d9bf52a31078866b8a00c19c68a00706052b8104000a"
        "a14403420004dab5d3c253113db414abfc1c0ebf5a02559e656aa1c8b0aa8d870aa0324cda4899925ea1e6dbc259a6"
        "c7825cf46592ac7594cc40bd604b728d88b636f317d366";
    KS_PKEY *key = parse(SEC_1, true, EC, 0, hex(&arena, der));
    struct ks_pkey_info info;
    ks_pkey_info(key, &info);
    assert_int_equal(info.curve, KMIP_RECOMMENDED_CURVE_SECP256K1);
    assert_int_equal(info.bits, 256);
    assert_int_equal(ks_pkey_check(key, NULL), 0);
    assert_exports(key, SEC_1, true, der);
}

static void
what_does_not_parse_is_refused(void **state)
{
    (void)state;
    TEST_ARENA(arena);
    const struct ks_span p8 = hex(&arena, rsa.pkcs8);
    struct ks_pkey *key = NULL;
    struct ks_diag diag = {0};
    assert_int_equal(ks_pkey_parse(PKCS_8, true, 0, 0, KS_SPAN_NONE, &key, NULL), KS_E_MALFORMED);
    assert_int_equal(ks_pkey_parse(PKCS_1, true, 0, 0, p8, &key, &diag), KS_E_MALFORMED);
    assert_non_null(strstr(diag.message, "PKCS#1"));
    assert_int_equal(ks_pkey_parse(SPKI, false, 0, 0, p8, &key, NULL), KS_E_MALFORMED);
    assert_int_equal(ks_pkey_parse(SEC_1, true, 0, 0, p8, &key, NULL), KS_E_MALFORMED);
    assert_int_equal(ks_pkey_parse(PKCS_8, true, EC, 0, p8, &key, NULL), KS_E_INVALID);
    assert_int_equal(ks_pkey_parse(PKCS_8, true, RSA_KEY, P_256, p8, &key, NULL), KS_E_INVALID);
    assert_int_equal(ks_pkey_parse(PKCS_8, false, 0, 0, p8, &key, NULL), KS_E_UNSUPPORTED);
    assert_int_equal(ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_PKCS_12, true, 0, 0, p8, &key, NULL), KS_E_UNSUPPORTED);
    assert_int_equal(ks_pkey_parse(RAW, true, RSA_KEY, 0, p8, &key, NULL), KS_E_UNSUPPORTED);
    for (size_t len = 1; len < p8.len; len += 37)
        assert_int_equal(ks_pkey_parse(PKCS_8, true, 0, 0, KS_SPAN(p8.data, len), &key, NULL), KS_E_MALFORMED);
    BUF more = KS_BUF(1 << 16);
    ks_buf_add_span(&more, p8);
    ks_buf_add_u8(&more, 0);
    assert_int_equal(ks_pkey_parse(PKCS_8, true, 0, 0, ks_buf_span(&more), &key, NULL), KS_E_MALFORMED);
    uint8_t *large = ks_arena_alloc(&arena, 1 << 17);
    assert_int_equal(ks_pkey_parse(PKCS_8, true, 0, 0, KS_SPAN(large, 1 << 17), &key, NULL), KS_E_LIMIT);
    assert_null(key);
    assert_int_equal(ERR_peek_error(), 0);
}

static void
symmetric_keys_have_legal_lengths(void **state)
{
    (void)state;
    static const struct {
        uint32_t algorithm;
        size_t bits;
        unsigned flags;
        int rc;
        size_t bytes;
    } rows[] = {
        {AES, 128, 0, 0, 16},
        {AES, 192, 0, 0, 24},
        {AES, 256, 0, 0, 32},
        {AES, 0, 0, 0, 32},
        {AES, 512, 0, KS_E_INVALID, 0},
        {AES, 512, KS_KEYLEN_XTS, 0, 64},
        {AES, 0, KS_KEYLEN_XTS, 0, 64},
        {AES, 128, KS_KEYLEN_XTS, KS_E_INVALID, 0},
        {AES, 129, 0, KS_E_INVALID, 0},
        {AES, 8, 0, KS_E_INVALID, 0},
        {TDES, 168, 0, 0, 24},
        {TDES, 192, 0, 0, 24},
        {TDES, 112, 0, 0, 16},
        {TDES, 128, 0, 0, 16},
        {TDES, 0, 0, 0, 24},
        {TDES, 56, 0, KS_E_INVALID, 0},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, 0, 0, 0, 32},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA512, 0, 0, 0, 64},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, 136, 0, 0, 17},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, 137, 0, KS_E_INVALID, 0},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, 104, 0, KS_E_INVALID, 0},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256, 8200, 0, KS_E_INVALID, 0},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_MD5, 128, 0, KS_E_UNSUPPORTED, 0},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20, 0, 0, 0, 32},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_CHACHA20POLY1305, 128, 0, KS_E_INVALID, 0},
        {RSA_KEY, 2048, 0, KS_E_UNSUPPORTED, 0},
        {0, 128, 0, KS_E_UNSUPPORTED, 0},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        KS_SECRET *key = NULL;
        KS_SECRET *other = NULL;
        assert_int_equal(ks_keygen_symmetric(rows[i].algorithm, rows[i].bits, rows[i].flags, &key, NULL), rows[i].rc);
        if (rows[i].rc != 0) {
            assert_null(key);
            continue;
        }
        assert_int_equal(ks_secret_len(key), rows[i].bytes);
        assert_int_equal(ks_keygen_symmetric(rows[i].algorithm, rows[i].bits, rows[i].flags, &other, NULL), 0);
        assert_memory_not_equal(ks_secret_data(key), ks_secret_data(other), rows[i].bytes);
        for (size_t k = 0; rows[i].algorithm == TDES && k < rows[i].bytes; k++)
            assert_int_equal(__builtin_parity(ks_secret_data(key)[k]), 1);
    }
    assert_int_equal(ks_keygen_length(AES, 0, 0, NULL, NULL), KS_E_INVALID);
    assert_int_equal(ks_keygen_length(TDES, 0, 0, NULL, NULL), KS_E_INVALID);
}

static void
key_pairs_are_sound(void **state)
{
    (void)state;
    static const struct {
        struct ks_keypair_params p;
        int rc;
        uint32_t algorithm, curve, bits;
    } rows[] = {
        {{.algorithm = RSA_KEY, .bits = 2048}, 0, RSA_KEY, 0, 2048},
        {{.algorithm = RSA_KEY, .bits = 2304, .exponent = 65539}, 0, RSA_KEY, 0, 2304},
        {{.algorithm = RSA_KEY, .bits = 768}, KS_E_INVALID, 0, 0, 0},
        {{.algorithm = RSA_KEY, .bits = 2049}, KS_E_INVALID, 0, 0, 0},
        {{.algorithm = RSA_KEY, .bits = 16384}, KS_E_INVALID, 0, 0, 0},
        {{.algorithm = RSA_KEY, .bits = 2048, .exponent = 3}, KS_E_INVALID, 0, 0, 0},
        {{.algorithm = RSA_KEY, .bits = 2048, .exponent = 65538}, KS_E_INVALID, 0, 0, 0},
        {{.algorithm = RSA_KEY, .bits = 2048, .curve = P_256}, KS_E_INVALID, 0, 0, 0},
        {{.algorithm = EC}, 0, EC, P_256, 256},
        {{.algorithm = EC, .bits = 384}, 0, EC, KMIP_RECOMMENDED_CURVE_P_384, 384},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA, .bits = 521}, 0, EC, KMIP_RECOMMENDED_CURVE_P_521, 521},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH, .curve = KMIP_RECOMMENDED_CURVE_P_224},
         0,
         EC,
         KMIP_RECOMMENDED_CURVE_P_224,
         224},
        {{.algorithm = EC, .curve = KMIP_RECOMMENDED_CURVE_SECP256K1, .bits = 256},
         0,
         EC,
         KMIP_RECOMMENDED_CURVE_SECP256K1,
         256},
        {{.algorithm = EC, .curve = KMIP_RECOMMENDED_CURVE_BRAINPOOLP384R1},
         0,
         EC,
         KMIP_RECOMMENDED_CURVE_BRAINPOOLP384R1,
         384},
        {{.algorithm = EC, .curve = KMIP_RECOMMENDED_CURVE_CURVE25519}, 0, EC, KMIP_RECOMMENDED_CURVE_CURVE25519, 256},
        {{.algorithm = EC, .curve = KMIP_RECOMMENDED_CURVE_CURVE448}, 0, EC, KMIP_RECOMMENDED_CURVE_CURVE448, 448},
        {{.algorithm = ED25519}, 0, ED25519, KMIP_RECOMMENDED_CURVE_CURVE25519, 256},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448},
         0,
         KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448,
         KMIP_RECOMMENDED_CURVE_CURVE448,
         456},
        {{.algorithm = ED25519, .curve = P_256}, KS_E_UNSUPPORTED, 0, 0, 0},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA, .curve = KMIP_RECOMMENDED_CURVE_CURVE25519},
         KS_E_INVALID,
         0,
         0,
         0},
        {{.algorithm = EC, .bits = 192}, KS_E_INVALID, 0, 0, 0},
        {{.algorithm = EC, .curve = P_256, .bits = 384}, KS_E_INVALID, 0, 0, 0},
        {{.algorithm = EC, .curve = KMIP_RECOMMENDED_CURVE_B_163}, KS_E_UNSUPPORTED, 0, 0, 0},
        {{.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA, .bits = 2048}, KS_E_UNSUPPORTED, 0, 0, 0},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        KS_PKEY *key = NULL;
        struct ks_diag diag = {0};
        const int rc = ks_keygen_pair(&rows[i].p, &key, &diag);
        if (rc != rows[i].rc)
            fail_msg("row %zu: %d, %s", i, rc, ks_diag_text(&diag));
        assert_int_equal(ERR_peek_error(), 0);
        if (rc != 0)
            continue;
        struct ks_pkey_info info;
        ks_pkey_info(key, &info);
        assert_int_equal(info.algorithm, rows[i].algorithm);
        assert_int_equal(info.curve, rows[i].curve);
        assert_int_equal(info.bits, rows[i].bits);
        assert_true(info.is_private);
        assert_int_equal(ks_pkey_check(key, NULL), 0);
        BUF p8 = KS_BUF(1 << 16);
        assert_int_equal(ks_pkey_export(key, PKCS_8, true, &p8, NULL), 0);
        KS_PKEY *again = parse(PKCS_8, true, rows[i].p.algorithm, info.curve, ks_buf_span(&p8));
        assert_true(ks_pkey_same_public(key, again));
        assert_int_equal(ks_curve_bits(info.curve), info.curve == 0                            ? 0
                                                    : info.algorithm == EC || info.bits == 256 ? info.bits
                                                                                               : 448);
    }
    assert_int_equal(ks_curve_bits(KMIP_RECOMMENDED_CURVE_B_163), 0);
}

static int
done(void **state)
{
    (void)state;
    ks_crypto_done();
    return 0;
}

/* Usual forms are read without libcrypto's decoders, and to the letter: what is anything else is left to those. */
static void
usual_forms_are_read_quickly(void **unused)
{
    (void)unused;
    static const struct ks_keypair_params kinds[] = {
        {.algorithm = RSA_KEY, .bits = 2048},
        {.algorithm = EC, .curve = P_256},
        {.algorithm = EC, .curve = KMIP_RECOMMENDED_CURVE_P_521},
        {.algorithm = EC, .curve = KMIP_RECOMMENDED_CURVE_SECP256K1},
        {.algorithm = ED25519},
        {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448},
    };
    static const struct {
        uint32_t format;
        bool is_private;
    } forms[] = {{PKCS_1, true}, {PKCS_1, false}, {PKCS_8, true}, {SEC_1, true}, {SPKI, false}};
    unsigned read = 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(kinds); i++) {
        KS_PKEY *key = NULL;
        assert_int_equal(ks_keygen_pair(&kinds[i], &key, NULL), 0);
        for (size_t j = 0; j < KS_ARRAY_LEN(forms); j++) {
            BUF der = KS_BUF(1 << 16);
            BUF again = KS_BUF(1 << 16);
            KS_PKEY *same = NULL, *none = NULL;
            if (ks_pkey_export(key, forms[j].format, forms[j].is_private, &der, NULL) != 0)
                continue; /* a form that this kind has not */
            assert_int_equal(ks_pkey_read(forms[j].format, forms[j].is_private, ks_buf_span(&der), &same), 0);
            assert_int_equal(ks_pkey_export(same, forms[j].format, forms[j].is_private, &again, NULL), 0);
            assert_true(ks_span_equal(ks_buf_span(&der), ks_buf_span(&again)));
            assert_true(ks_pkey_same_public(key, same));
            read++;
            for (size_t len = 0; len < der.len; len++)
                assert_int_equal(ks_pkey_read(forms[j].format, forms[j].is_private, KS_SPAN(der.data, len), &none),
                                 KS_E_UNSUPPORTED);
            assert_int_equal(ks_buf_add_u8(&der, 0), 0);
            assert_int_equal(ks_pkey_read(forms[j].format, forms[j].is_private, ks_buf_span(&der), &none),
                             KS_E_UNSUPPORTED);
            assert_null(none);
            assert_int_equal(ERR_peek_error(), 0);
        }
    }
    assert_int_equal(read, 4 + 3 * 3 + 2 * 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rsa_formats_are_the_published_bytes),
        cmocka_unit_test(rsa_from_what_there_is),
        cmocka_unit_test(hopeless_searches_for_primes_end_at_once),
        cmocka_unit_test(unsound_keys_are_found),
        cmocka_unit_test(curves_give_the_published_points),
        cmocka_unit_test(the_key_of_tc_ecc_3),
        cmocka_unit_test(what_does_not_parse_is_refused),
        cmocka_unit_test(symmetric_keys_have_legal_lengths),
        cmocka_unit_test(usual_forms_are_read_quickly),
        cmocka_unit_test(key_pairs_are_sound),
    };
    return cmocka_run_group_tests_name("crypto/keys", tests, NULL, done);
}
