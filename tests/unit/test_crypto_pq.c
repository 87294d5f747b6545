/* crypto/pq.h: what is there is used, what is not is refused, by what libcrypto has at run time. */
#include "tests/unit/crypto_test.h"

#include <openssl/err.h>

#include "crypto/agree.h"
#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "crypto/keygen.h"
#include "crypto/pq.h"
#include "crypto/sign.h"

#define BUF KS_CLEANUP(ks_buf_done) struct ks_buf

enum { KEM, SIGN, SLOW, KEY_MOST = 1 << 16 };

static const struct {
    uint32_t algorithm;
    const char *name;
    int kind;
    uint32_t strength;
    size_t public_bytes, private_bytes;
} rows[] = {
#define PQ(id, name, kind, strength, public, private, seed, arc, last)                                                 \
    {KMIP_CRYPTOGRAPHIC_ALGORITHM_##id, name, kind, strength, public, private},
#include "crypto/pq.def"
#undef PQ
};

static bool
is_there(uint32_t algorithm)
{
    return ks_pq_check(algorithm, NULL) == 0;
}

static void
assert_absent(int rc, const struct ks_diag *diag, const char *name)
{
    assert_int_equal(rc, KS_E_UNSUPPORTED);
    if (strstr(diag->message, name) == NULL || strstr(diag->message, "3.5 or later is needed") == NULL)
        fail_msg("%s: %s", name, diag->message);
    assert_int_equal(ERR_peek_error(), 0);
}

/* Read back from each of its formats it is the same key. */
static void
check_formats(const struct ks_pkey *key, size_t row)
{
    static const uint32_t formats[] = {KMIP_KEY_FORMAT_TYPE_PKCS_8, KMIP_KEY_FORMAT_TYPE_X_509,
                                       KMIP_KEY_FORMAT_TYPE_RAW, KMIP_KEY_FORMAT_TYPE_RAW};
    static const bool is_private[] = {true, false, true, false};
    for (size_t i = 0; i < KS_ARRAY_LEN(formats); i++) {
        const uint32_t raw = formats[i] == KMIP_KEY_FORMAT_TYPE_RAW ? rows[row].algorithm : 0;
        BUF bytes = KS_BUF(KEY_MOST);
        BUF again = KS_BUF(KEY_MOST);
        KS_PKEY *back = NULL;
        struct ks_pkey_info info;
        assert_int_equal(ks_pkey_export(key, formats[i], is_private[i], &bytes, NULL), 0);
        if (raw != 0)
            assert_int_equal(bytes.len, is_private[i] ? rows[row].private_bytes : rows[row].public_bytes);
        assert_int_equal(ks_pkey_parse(formats[i], is_private[i], raw, 0, ks_buf_span(&bytes), &back, NULL), 0);
        ks_pkey_info(back, &info);
        assert_int_equal(info.algorithm, rows[row].algorithm);
        assert_int_equal(info.bits, rows[row].public_bytes * 8);
        assert_int_equal(info.curve, 0);
        assert_true(ks_pkey_same_public(key, back));
        assert_int_equal(ks_pkey_check(back, NULL), 0);
        assert_int_equal(ks_pkey_export(back, formats[i], is_private[i], &again, NULL), 0);
        assert_true(ks_span_equal(ks_buf_span(&bytes), ks_buf_span(&again)));
        /* A byte less, a byte more, another algorithm. */
        KS_PKEY *none = NULL;
        assert_int_not_equal(
            ks_pkey_parse(formats[i], is_private[i], raw, 0, KS_SPAN(bytes.data, bytes.len - 1), &none, NULL), 0);
        assert_int_equal(ks_buf_add(&bytes, "", 1), 0);
        assert_int_not_equal(ks_pkey_parse(formats[i], is_private[i], raw, 0, ks_buf_span(&bytes), &none, NULL), 0);
        if (raw == 0)
            assert_int_equal(ks_pkey_parse(formats[i], is_private[i], rows[(row + 1) % KS_ARRAY_LEN(rows)].algorithm, 0,
                                           ks_buf_span(&again), &none, NULL),
                             KS_E_INVALID);
        assert_null(none);
    }
}

static void
check_signing(const struct ks_pkey *key, size_t row)
{
    const struct ks_sign_params plain = {0};
    const struct ks_span data = KS_LIT("a message");
    KS_PKEY *public = NULL;
    BUF signature = KS_BUF(1 << 16);
    uint32_t hash = 1;
    struct ks_diag diag = {0};
    assert_int_equal(ks_pkey_public(key, &public, NULL), 0);
    assert_int_equal(ks_sign_hash(key, &plain, &hash, NULL), 0);
    assert_int_equal(hash, 0); /* the message goes in whole */
    assert_int_equal(ks_sign(key, &plain, data, &signature, &diag), 0);
    assert_int_equal(ks_verify(public, &plain, data, ks_buf_span(&signature), NULL), 0);
    assert_int_equal(ks_verify(public, &plain, KS_LIT("another"), ks_buf_span(&signature), &diag), KS_E_INTEGRITY);
    assert_non_null(strstr(diag.message, strncmp(rows[row].name, "ML", 2) == 0 ? "ML-DSA" : "SLH-DSA"));
    assert_int_equal(ks_verify(public, &plain, data, KS_SPAN(signature.data, signature.len - 1), NULL), KS_E_INTEGRITY);
    signature.data[signature.len / 2] ^= 1;
    assert_int_equal(ks_verify(public, &plain, data, ks_buf_span(&signature), NULL), KS_E_INTEGRITY);
    assert_int_equal(ks_verify(public, &plain, data, KS_SPAN_NONE, NULL), KS_E_INTEGRITY);
    /* No hash, no digest, no padding, no other algorithm; and not with the public half. */
    const struct ks_sign_params wrong[] = {
        {.hash = KMIP_HASHING_ALGORITHM_SHA_256},
        {.digested = true},
        {.padding = KMIP_PADDING_METHOD_PSS},
        {.signature = KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA256},
    };
    BUF none = KS_BUF(1 << 16);
    for (size_t i = 0; i < KS_ARRAY_LEN(wrong); i++)
        assert_int_equal(ks_sign(key, &wrong[i], data, &none, NULL), KS_E_INVALID);
    assert_int_equal(ks_sign(public, &plain, data, &none, NULL), KS_E_INVALID);
    assert_int_equal(none.len, 0);
}

static void
check_other_uses(const struct ks_pkey *key, bool signs)
{
    const struct ks_sign_params plain = {0};
    const struct ks_asym_params asym = {0};
    TEST_ARENA(arena);
    BUF out = KS_BUF(1 << 16);
    struct ks_rsa_parts rsa;
    struct ks_ec_parts ec;
    if (!signs)
        assert_int_equal(ks_sign(key, &plain, KS_LIT("x"), &out, NULL), KS_E_INVALID);
    assert_int_equal(ks_asym_encrypt(key, &asym, KS_LIT("x"), &out, NULL), KS_E_INVALID);
    assert_int_equal(ks_asym_decrypt(key, &asym, KS_LIT("x"), &out, NULL), KS_E_INVALID);
    assert_int_equal(ks_agree(key, key, &out, NULL), KS_E_UNSUPPORTED);
    assert_int_equal(ks_pkey_rsa(key, &arena, &rsa, NULL), KS_E_INVALID);
    assert_int_equal(ks_pkey_ec(key, &arena, &ec, NULL), KS_E_INVALID);
    assert_int_equal(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_PKCS_1, true, &out, NULL), KS_E_UNSUPPORTED);
    assert_int_equal(out.len, 0);
}

static void
every_algorithm_is_there_or_refused(void **unused)
{
    (void)unused;
    size_t there = 0;
    bool slow = false;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const struct ks_keypair_params params = {.algorithm = rows[i].algorithm};
        struct ks_diag diag = {0};
        KS_PKEY *key = NULL;
        assert_true(ks_pq_is(rows[i].algorithm));
        assert_int_equal(ks_pq_strength(rows[i].algorithm), rows[i].strength);
        assert_int_equal(ks_pq_signs(rows[i].algorithm), rows[i].kind != KEM);
        assert_int_equal(ks_pq_is_slow(rows[i].algorithm), rows[i].kind == SLOW);
        if (!is_there(rows[i].algorithm)) {
            const uint8_t bytes[64] = {1};
            assert_absent(ks_keygen_pair(&params, &key, &diag), &diag, rows[i].name);
            struct ks_diag other = {0};
            assert_absent(ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_RAW, false, rows[i].algorithm, 0,
                                        KS_SPAN(bytes, sizeof(bytes)), &key, &other),
                          &other, rows[i].name);
            assert_null(key);
            continue;
        }
        there++;
        assert_int_equal(ks_keygen_pair(&params, &key, &diag), 0);
        check_formats(key, i);
        check_other_uses(key, rows[i].kind != KEM);
        if (rows[i].kind == SIGN || (rows[i].kind == SLOW && !slow))
            check_signing(key, i);
        slow = slow || rows[i].kind == SLOW;
    }
    assert_true(there == 0 || there == KS_ARRAY_LEN(rows));
    assert_false(ks_pq_is(KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA));
    assert_int_equal(ks_pq_check(KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, NULL), 0);
    assert_int_equal(ks_pq_strength(KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA), 0);
}

/* The name of the algorithm says all. */
static void
lengths_and_curves_are_not_asked_for(void **unused)
{
    (void)unused;
    const uint32_t kem = KMIP_CRYPTOGRAPHIC_ALGORITHM_ML_KEM_768;
    const struct {
        struct ks_keypair_params params;
        int rc;
    } wrong[] = {
        {{.algorithm = kem, .curve = KMIP_RECOMMENDED_CURVE_P_256}, KS_E_INVALID},
        {{.algorithm = kem, .bits = 768}, KS_E_INVALID},
        {{.algorithm = kem, .bits = 1184 * 8}, is_there(kem) ? 0 : KS_E_UNSUPPORTED},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(wrong); i++) {
        KS_PKEY *key = NULL;
        assert_int_equal(ks_keygen_pair(&wrong[i].params, &key, NULL), wrong[i].rc);
    }
}

static void
seeds_make_the_keys_that_nist_says(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t algorithm;
        const char *seed, *public_first, *public_last, *private_first, *private_last;
    } vectors[] = {
#define PQ_VECTOR(algorithm, ...) {KMIP_CRYPTOGRAPHIC_ALGORITHM_##algorithm, __VA_ARGS__},
#include "tests/vectors/pq.def"
#undef PQ_VECTOR
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(vectors); i++) {
        TEST_ARENA(arena);
        KS_PKEY *key = NULL;
        const int rc = ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_RAW, true, vectors[i].algorithm, 0,
                                     hex(&arena, vectors[i].seed), &key, NULL);
        assert_int_equal(rc, is_there(vectors[i].algorithm) ? 0 : KS_E_UNSUPPORTED);
        for (int half = 0; rc == 0 && half < 2; half++) {
            const struct ks_span first = hex(&arena, half == 0 ? vectors[i].public_first : vectors[i].private_first);
            const struct ks_span last = hex(&arena, half == 0 ? vectors[i].public_last : vectors[i].private_last);
            BUF raw = KS_BUF(KEY_MOST);
            assert_int_equal(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_RAW, half == 1, &raw, NULL), 0);
            assert_memory_equal(raw.data, first.data, first.len);
            assert_memory_equal(raw.data + raw.len - last.len, last.data, last.len);
        }
    }
}

/* A sound SubjectPublicKeyInfo (any 32 bytes are a public key of SLH-DSA) and a sound PKCS#8. */
static void
what_libcrypto_does_not_know_is_not_malformed(void **unused)
{
    (void)unused;
    static const char info[] =
        "3030300b06096086480165030403140321000102030405060708090a0b0c0d0e0f101112131415161718191a"
        "1b1c1d1e1f20";
    const uint32_t algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_SLH_DSA_SHA2_128S;
    TEST_ARENA(arena);
    KS_PKEY *key = NULL;
    struct ks_diag diag = {0};
    const int rc = ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_X_509, false, 0, 0, hex(&arena, info), &key, &diag);
    if (is_there(algorithm))
        assert_int_equal(rc, 0);
    else
        assert_absent(rc, &diag, "SLH-DSA-SHA2-128s");
    if (!is_there(algorithm)) {
        /* ML-DSA-44, from a seed of zeros. */
        static const char pkcs8[] =
            "3034020100300b0609608648016503040311042280200000000000000000000000000000000000000000"
            "000000000000000000000000";
        struct ks_diag other = {0};
        assert_absent(ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_PKCS_8, true, 0, 0, hex(&arena, pkcs8), &key, &other), &other,
                      "ML-DSA-44");
    }
}

static void
certificates_are_signed_and_certify(void **unused)
{
    (void)unused;
    const struct ks_keypair_params dsa = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ML_DSA_65},
                                   kem = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ML_KEM_768};
    const struct ks_cert_spec spec = {.common_name = "a", .not_before = 1700000000, .not_after = 1800000000};
    KS_PKEY *ca_key = NULL, *kem_key = NULL, *asked = NULL;
    BUF ca = KS_BUF(1 << 16);
    BUF cert = KS_BUF(1 << 16);
    BUF request = KS_BUF(1 << 16);
    struct ks_diag diag = {0};
    if (!is_there(dsa.algorithm)) {
        assert_absent(ks_keygen_pair(&dsa, &ca_key, &diag), &diag, "ML-DSA-65");
        return;
    }
    assert_int_equal(ks_keygen_pair(&dsa, &ca_key, NULL), 0);
    assert_int_equal(ks_keygen_pair(&kem, &kem_key, NULL), 0);
    assert_int_equal(ks_cert_ca(ca_key, &spec, &ca, NULL), 0);
    assert_int_equal(ks_cert_issue(ks_buf_span(&ca), ca_key, kem_key, &spec, &cert, NULL), 0);
    assert_int_equal(ks_cert_signed_by(ks_buf_span(&cert), ks_buf_span(&ca), NULL), 0);
    assert_int_equal(ks_cert_request(ca_key, "a", &request, NULL), 0);
    assert_int_equal(ks_cert_request_key(ks_buf_span(&request), &asked, NULL), 0);
    assert_true(ks_pkey_same_public(asked, ca_key));
    /* A key that does not sign signs no certificate and no request. */
    BUF none = KS_BUF(1 << 16);
    assert_int_equal(ks_cert_ca(kem_key, &spec, &none, NULL), KS_E_INVALID);
    assert_int_equal(ks_cert_request(kem_key, "a", &none, NULL), KS_E_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm_is_there_or_refused),
        cmocka_unit_test(lengths_and_curves_are_not_asked_for),
        cmocka_unit_test(seeds_make_the_keys_that_nist_says),
        cmocka_unit_test(what_libcrypto_does_not_know_is_not_malformed),
        cmocka_unit_test(certificates_are_signed_and_certify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
