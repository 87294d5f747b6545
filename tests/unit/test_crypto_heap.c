/* ks_crypto_wipe_heap: in a program of its own, as it must come before anything else of libcrypto. */
#include "tests/unit/crypto_test.h"

#include <openssl/crypto.h>

#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "crypto/keygen.h"
#include "crypto/seal.h"

static bool first;

static void
it_is_in_force(void **state)
{
    (void)state;
    assert_true(first);
    struct ks_diag diag = {0};
    assert_int_equal(ks_crypto_init(&diag), 0);
    assert_true(ks_crypto_wipe_heap()); /* still */
}

static void
blocks_grow_shrink_and_go(void **state)
{
    (void)state;
    uint8_t *p = OPENSSL_malloc(100);
    assert_non_null(p);
    memset(p, 0x77, 100);
    p = OPENSSL_realloc(p, 100000);
    assert_non_null(p);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(p[i], 0x77);
    p = OPENSSL_realloc(p, 10);
    assert_non_null(p);
    assert_int_equal(p[9], 0x77);
    assert_null(OPENSSL_realloc(p, 0));
    assert_null(OPENSSL_malloc(0));
    p = OPENSSL_realloc(NULL, 10);
    assert_non_null(p);
    OPENSSL_free(p);
    OPENSSL_free(NULL);
}

static void
the_rest_works_as_before(void **state)
{
    (void)state;
    KS_PKEY *key = NULL;
    KS_PKEY *again = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf pem = KS_BUF(1 << 16);
    const struct ks_keypair_params p256 = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_EC};
    assert_int_equal(ks_keygen_pair(&p256, &key, NULL), 0);
    assert_int_equal(ks_pem_encode_key(key, &pem, NULL), 0);
    assert_int_equal(ks_pem_decode_key(ks_buf_span(&pem), &again, NULL), 0);
    assert_true(ks_pkey_same_public(key, again));
    static const uint8_t bytes[KS_SEAL_KEY] = {1};
    KS_CLEANUP(ks_seal_key_freep) struct ks_seal_key *seal = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf sealed = KS_BUF(4096);
    assert_int_equal(ks_seal_key_new(bytes, &seal, NULL), 0);
    assert_int_equal(ks_seal(seal, KS_SPAN_NONE, KS_LIT("data"), &sealed, NULL), 0);
}

int
main(void)
{
    first = ks_crypto_wipe_heap();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_in_force),
        cmocka_unit_test(blocks_grow_shrink_and_go),
        cmocka_unit_test(the_rest_works_as_before),
    };
    const int failed = cmocka_run_group_tests_name("crypto/heap", tests, NULL, NULL);
    ks_crypto_done();
    return failed;
}
