/* crypto/kdf.h */
#include "tests/unit/crypto_test.h"

#include <openssl/err.h>

#include "crypto/agree.h"
#include "crypto/crypto.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"

enum { MIB = 1 << 20, SHA256 = KMIP_HASHING_ALGORITHM_SHA_256 };

static void
published_derivations(void **state)
{
    (void)state;
    TEST_ARENA(arena);
    uint8_t out[64];
#define CHECK(expected, call)                                                                                          \
    do {                                                                                                               \
        const size_t len = strlen(expected) / 2;                                                                       \
        assert_int_equal(call, 0);                                                                                     \
        assert_hex(out, len, expected);                                                                                \
    } while (0)
#define KDF_COUNTER(hash, key, fixed, expected)                                                                        \
    CHECK(expected,                                                                                                    \
          ks_kdf_counter(KMIP_HASHING_ALGORITHM_##hash, hex(&arena, key), hex(&arena, fixed), out, len, NULL));
#define KDF_HKDF(hash, key, salt, info, expected)                                                                      \
    CHECK(expected, ks_kdf_hkdf(KMIP_HASHING_ALGORITHM_##hash, hex(&arena, key), hex(&arena, salt), hex(&arena, info), \
                                out, len, NULL));
#define KDF_X963(hash, secret, info, expected)                                                                         \
    CHECK(expected, ks_kdf_x963(KMIP_HASHING_ALGORITHM_##hash, hex(&arena, secret), hex(&arena, info), out, len, NULL));
#define KDF_PBKDF2(hash, passphrase, salt, iterations, expected)                                                       \
    CHECK(expected,                                                                                                    \
          ks_kdf_pbkdf2(KMIP_HASHING_ALGORITHM_##hash, KS_LIT(passphrase), KS_LIT(salt), iterations, out, len, NULL));
#define KDF_SCRYPT(passphrase, salt, n, r, p, expected)                                                                \
    CHECK(expected, ks_kdf_scrypt(KS_LIT(passphrase), KS_LIT(salt), n, r, p, 32 * MIB, out, len, NULL));
#define KDF_108(mode, hash, key, iv, fixed, expected)                                                                  \
    CHECK(expected,                                                                                                    \
          ks_kdf_108(KS_KDF108_##mode, hash, hex(&arena, key), hex(&arena, iv), hex(&arena, fixed), out, len, NULL));
#define KDF_AWS4(secret, date, region, service, expected)                                                              \
    CHECK(expected, ks_kdf_aws4(KS_LIT(secret), KS_LIT(date), KS_LIT(region), KS_LIT(service), out, NULL));
#include "tests/vectors/kdf.def"
}

static void
published_agreements(void **state)
{
    (void)state;
    static const struct {
        uint32_t curve;
        const char *own, *peer, *secret;
    } rows[] = {
#define AGREE(curve, own, peer, secret) {KMIP_RECOMMENDED_CURVE_##curve, own, peer, secret},
#include "tests/vectors/agree.def"
    };
    TEST_ARENA(arena);
    KS_PKEY *first = NULL;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const struct ks_ec_parts own = {.curve = rows[i].curve, .d = hex(&arena, rows[i].own)};
        const struct ks_ec_parts peer = {.curve = rows[i].curve, .q = hex(&arena, rows[i].peer)};
        KS_PKEY *a = NULL, *b = NULL;
        KS_CLEANUP(ks_buf_done) struct ks_buf secret = KS_BUF(128);
        assert_int_equal(ks_pkey_from_ec(&own, &a, NULL), 0);
        assert_int_equal(ks_pkey_from_ec(&peer, &b, NULL), 0);
        assert_int_equal(ks_agree(a, b, &secret, NULL), 0);
        assert_hex(secret.data, secret.len, rows[i].secret);
        /* A public key agrees on nothing, nor do keys on two curves. */
        assert_int_equal(ks_agree(b, b, &secret, NULL), KS_E_INVALID);
        if (first == NULL) {
            first = a;
            a = NULL;
        } else {
            assert_int_equal(ks_agree(first, b, &secret, NULL), KS_E_INVALID);
        }
    }
}

/* A public key of X25519 that makes the secret zeros for everybody (RFC 7748, 6.1). */
static void
a_secret_of_zeros_is_refused(void **state)
{
    (void)state;
    static const uint8_t zeros[32] = {0}, d[32] = {8};
    const struct ks_ec_parts own = {.curve = KMIP_RECOMMENDED_CURVE_CURVE25519, .d = KS_SPAN(d, 32)};
    const struct ks_ec_parts peer = {.curve = KMIP_RECOMMENDED_CURVE_CURVE25519, .q = KS_SPAN(zeros, 32)};
    KS_PKEY *a = NULL, *b = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf secret = KS_BUF(128);
    assert_int_equal(ks_pkey_from_ec(&own, &a, NULL), 0);
    assert_int_equal(ks_pkey_from_ec(&peer, &b, NULL), 0);
    assert_int_equal(ks_agree(a, b, &secret, NULL), KS_E_INVALID);
    assert_int_equal(secret.len, 0);
}

static void
sp_800_108_has_limits(void **state)
{
    (void)state;
    uint8_t out[32];
    const struct ks_span key = KS_LIT("0123456789abcdef");
    assert_int_equal(ks_kdf_108(KS_KDF108_COUNTER, SHA256, KS_SPAN_NONE, KS_SPAN_NONE, key, out, 32, NULL),
                     KS_E_INVALID);
    assert_int_equal(ks_kdf_108(KS_KDF108_COUNTER, SHA256, key, KS_SPAN_NONE, key, out, 0, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_108(KS_KDF108_COUNTER, SHA256, key, key, key, out, 32, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_108(KS_KDF108_COUNTER, 0, KS_LIT("short"), KS_SPAN_NONE, key, out, 32, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_108(KS_KDF108_COUNTER, 0xffff, key, KS_SPAN_NONE, key, out, 32, NULL), KS_E_UNSUPPORTED);
}

/* The subkey function is the counter KDF over label || 00 || context || [L]: made here by hand with HMAC. */
static void
a_subkey_is_sp_800_108(void **state)
{
    (void)state;
    uint8_t key[32];
    memset(key, 0x11, sizeof(key));
    uint8_t out[48], expected[64];
    for (uint8_t i = 1; i <= 2; i++) {
        KS_CLEANUP(ks_buf_done) struct ks_buf input = KS_BUF(256);
        ks_buf_add_be32(&input, i);
        ks_buf_add_str(&input, "object");
        ks_buf_add_u8(&input, 0);
        ks_buf_add_str(&input, "context");
        ks_buf_add_be32(&input, 48 * 8);
        assert_int_equal(input.err, 0);
        assert_int_equal(ks_hmac(SHA256, KS_SPAN(key, 32), ks_buf_span(&input), expected + 32 * (i - 1), NULL), 0);
    }
    assert_int_equal(ks_kdf_subkey(KS_SPAN(key, 32), KS_LIT("object"), KS_LIT("context"), out, 48, NULL), 0);
    assert_memory_equal(out, expected, 48);

    /* Other label, other context: other key; and nothing at all as label or context is taken. */
    assert_int_equal(ks_kdf_subkey(KS_SPAN(key, 32), KS_LIT("name"), KS_LIT("context"), expected, 48, NULL), 0);
    assert_memory_not_equal(out, expected, 48);
    assert_int_equal(ks_kdf_subkey(KS_SPAN(key, 32), KS_LIT("object"), KS_SPAN_NONE, expected, 48, NULL), 0);
    assert_memory_not_equal(out, expected, 48);
}

static void
wrong_parameters_are_refused(void **state)
{
    (void)state;
    uint8_t out[32] = {7};
    struct ks_diag diag = {0};
    const struct ks_span pw = KS_LIT("pw"), salt = KS_LIT("salt");
    assert_int_equal(ks_kdf_scrypt(pw, salt, 0, 8, 1, MIB, out, 32, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_scrypt(pw, salt, 1, 8, 1, MIB, out, 32, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_scrypt(pw, salt, 1000, 8, 1, MIB, out, 32, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_scrypt(pw, salt, 1024, 0, 1, MIB, out, 32, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_scrypt(pw, salt, 1024, 8, 0, MIB, out, 32, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_scrypt(pw, salt, 1024, 8, 1, MIB, out, 32, &diag), KS_E_LIMIT);
    assert_non_null(strstr(diag.message, "N=1024"));
    assert_int_equal(ks_kdf_scrypt(pw, salt, UINT64_C(1) << 63, UINT32_MAX, UINT32_MAX, UINT64_MAX, out, 32, NULL),
                     KS_E_LIMIT);
    assert_int_equal(ks_kdf_scrypt(pw, salt, 16, 1, 1, MIB, out, 0, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_hkdf(SHA256, KS_SPAN_NONE, salt, salt, out, 32, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_hkdf(SHA256, pw, salt, salt, out, 255 * 32 + 1, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_x963(SHA256, KS_SPAN_NONE, salt, out, 32, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_x963(0x77, pw, salt, out, 32, NULL), KS_E_UNSUPPORTED);
    assert_int_equal(ks_kdf_hkdf(0x77, pw, salt, salt, out, 32, NULL), KS_E_UNSUPPORTED);
    assert_int_equal(ks_kdf_pbkdf2(SHA256, pw, salt, 0, out, 32, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_pbkdf2(KMIP_HASHING_ALGORITHM_MD5, pw, salt, 1, out, 32, NULL), KS_E_UNSUPPORTED);
    assert_int_equal(ks_kdf_subkey(KS_SPAN_NONE, salt, salt, out, 32, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_subkey(pw, salt, salt, out, 0, NULL), KS_E_INVALID);
    assert_int_equal(ks_kdf_counter(0x77, pw, salt, out, 32, NULL), KS_E_UNSUPPORTED);
    assert_int_equal(ks_kdf_counter(SHA256, KS_SPAN_NONE, salt, out, 32, NULL), KS_E_INVALID);
    assert_int_equal(out[0], 7);
    assert_int_equal(ERR_peek_error(), 0);
}

/* An empty passphrase and the parameters that the server uses work too. */
static void
scrypt_as_the_server_uses_it(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    assert_int_equal(
        ks_kdf_scrypt(KS_LIT("pw"), KS_LIT("salt"), KS_SCRYPT_N, KS_SCRYPT_R, KS_SCRYPT_P, 256 * MIB, a, 32, NULL), 0);
    assert_int_equal(
        ks_kdf_scrypt(KS_LIT("pv"), KS_LIT("salt"), KS_SCRYPT_N, KS_SCRYPT_R, KS_SCRYPT_P, 256 * MIB, b, 32, NULL), 0);
    assert_memory_not_equal(a, b, 32);
}

static int
done(void **state)
{
    (void)state;
    ks_crypto_done();
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_derivations),        cmocka_unit_test(published_agreements),
        cmocka_unit_test(a_secret_of_zeros_is_refused), cmocka_unit_test(sp_800_108_has_limits),
        cmocka_unit_test(a_subkey_is_sp_800_108),       cmocka_unit_test(wrong_parameters_are_refused),
        cmocka_unit_test(scrypt_as_the_server_uses_it),
    };
    return cmocka_run_group_tests_name("crypto/kdf", tests, NULL, done);
}
