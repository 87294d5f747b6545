/* crypto/hash.h */
#include "tests/unit/crypto_test.h"

#include <openssl/err.h>
#include <pthread.h>

#include "crypto/crypto.h"
#include "crypto/hash.h"

static void
published_digests(void **state)
{
    (void)state;
    static const struct {
        uint32_t hash;
        const char *message, *digest;
    } rows[] = {
#define HASH_VECTOR(hash, message, digest) {KMIP_HASHING_ALGORITHM_##hash, message, digest},
#define HMAC_VECTOR(hash, key, data, mac)
#include "tests/vectors/hash.def"
#undef HASH_VECTOR
#undef HMAC_VECTOR
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        uint8_t out[KS_HASH_MAX + 1];
        memset(out, 0x5a, sizeof(out));
        assert_int_equal(ks_hash(rows[i].hash, ks_span_str(rows[i].message), out, NULL), 0);
        const size_t len = ks_hash_len(rows[i].hash);
        assert_hex(out, len, rows[i].digest);
        assert_int_equal(out[len], 0x5a);
        assert_non_null(ks_hash_name(rows[i].hash));
    }
}

static void
published_macs(void **state)
{
    (void)state;
    static const struct {
        uint32_t hash;
        const char *key, *data, *mac;
    } rows[] = {
#define HASH_VECTOR(hash, message, digest)
#define HMAC_VECTOR(hash, key, data, mac) {KMIP_HASHING_ALGORITHM_##hash, key, data, mac},
#include "tests/vectors/hash.def"
#undef HASH_VECTOR
#undef HMAC_VECTOR
    };
    TEST_ARENA(arena);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const struct ks_span key = hex(&arena, rows[i].key), data = hex(&arena, rows[i].data);
        uint8_t out[KS_HASH_MAX];
        assert_int_equal(ks_hmac(rows[i].hash, key, data, out, NULL), 0);
        assert_hex(out, ks_hash_len(rows[i].hash), rows[i].mac);

        struct ks_hmac_key *keyed;
        assert_int_equal(ks_hmac_key_new(rows[i].hash, key, &keyed, NULL), 0);
        const struct ks_span parts[] = {KS_SPAN(data.data, 3), KS_SPAN_NONE, KS_SPAN(data.data + 3, data.len - 3)};
        for (int round = 0; round < 3; round++) {
            memset(out, 0, sizeof(out));
            assert_int_equal(ks_hmac_key_sum(keyed, parts, 3, out), 0);
            assert_hex(out, ks_hash_len(rows[i].hash), rows[i].mac);
        }
        ks_hmac_key_free(keyed);
    }
}

static void
sha256_in_pieces(void **state)
{
    (void)state;
    uint8_t once[KS_SHA256], out[KS_SHA256];
    assert_int_equal(ks_hash(KMIP_HASHING_ALGORITHM_SHA_256, KS_LIT("abcdef"), once, NULL), 0);
    const struct ks_span parts[] = {KS_LIT("ab"), KS_LIT(""), KS_LIT("cdef")};
    assert_int_equal(ks_sha256(parts, 3, out), 0);
    assert_memory_equal(out, once, KS_SHA256);

    struct ks_sha256_ctx *ctx;
    assert_int_equal(ks_sha256_new(&ctx), 0);
    for (int round = 0; round < 2; round++) { /* reusable */
        assert_int_equal(ks_sha256_update(ctx, KS_LIT("abc")), 0);
        assert_int_equal(ks_sha256_peek(ctx, out), 0);
        assert_hex(out, KS_SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_int_equal(ks_sha256_update(ctx, KS_LIT("def")), 0);
        assert_int_equal(ks_sha256_final(ctx, out), 0);
        assert_memory_equal(out, once, KS_SHA256);
    }
    ks_sha256_free(ctx);
    ks_sha256_free(NULL);
    assert_int_equal(ks_sha256(NULL, 0, out), 0);
    assert_hex(out, KS_SHA256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void
what_is_not_offered_is_said(void **state)
{
    (void)state;
    static const uint32_t no[] = {KMIP_HASHING_ALGORITHM_MD2,
                                  KMIP_HASHING_ALGORITHM_MD4,
                                  KMIP_HASHING_ALGORITHM_TIGER,
                                  KMIP_HASHING_ALGORITHM_WHIRLPOOL,
                                  0,
                                  0x80000001};
    for (size_t i = 0; i < KS_ARRAY_LEN(no); i++) {
        struct ks_diag diag = {0};
        uint8_t out[KS_HASH_MAX] = {7};
        assert_int_equal(ks_hash(no[i], KS_LIT("x"), out, &diag), KS_E_UNSUPPORTED);
        assert_non_null(strstr(diag.message, "not offered"));
        assert_int_equal(out[0], 7);
        assert_int_equal(ks_hmac(no[i], KS_LIT("k"), KS_LIT("x"), out, NULL), KS_E_UNSUPPORTED);
        assert_int_equal(ks_hash_len(no[i]), 0);
        assert_null(ks_hash_name(no[i]));
    }
    uint8_t out[KS_HASH_MAX];
    assert_int_equal(ks_hmac(KMIP_HASHING_ALGORITHM_SHA_256, KS_SPAN_NONE, KS_LIT("x"), out, NULL), KS_E_INVALID);
    assert_int_equal(ks_hash_of_hmac(KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256), KMIP_HASHING_ALGORITHM_SHA_256);
    assert_int_equal(ks_hash_of_hmac(KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_MD5), KMIP_HASHING_ALGORITHM_MD5);
    assert_true(ks_hash_is_weak(KMIP_HASHING_ALGORITHM_MD5));
    assert_true(ks_hash_is_weak(KMIP_HASHING_ALGORITHM_RIPEMD_160));
    assert_false(ks_hash_is_weak(KMIP_HASHING_ALGORITHM_SHA_1));
    assert_false(ks_hash_is_weak(0));
    assert_int_equal(ks_hash_of_hmac(KMIP_CRYPTOGRAPHIC_ALGORITHM_AES), 0);
    assert_int_equal(ks_hash_of_hmac(0), 0);
    assert_int_equal(ERR_peek_error(), 0);
}

enum { THREADS = 4, ROUNDS = 200 };

static void *
hash_often(void *arg)
{
    uint8_t out[KS_SHA256];
    for (int i = 0; i < ROUNDS; i++) {
        const struct ks_span abc = KS_LIT("abc");
        if (ks_sha256(&abc, 1, out) != 0 || out[0] != 0xba)
            *(bool *)arg = true;
    }
    return NULL;
}

/* All of them come for an algorithm that is not fetched yet. */
static void
threads_fetch_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        ks_crypto_done();
        pthread_t threads[THREADS];
        bool failed[THREADS] = {false};
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, hash_often, &failed[i]), 0);
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_false(failed[i]);
        }
    }
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
        cmocka_unit_test(published_digests),     cmocka_unit_test(published_macs),
        cmocka_unit_test(sha256_in_pieces),      cmocka_unit_test(what_is_not_offered_is_said),
        cmocka_unit_test(threads_fetch_at_once),
    };
    return cmocka_run_group_tests_name("crypto/hash", tests, NULL, done);
}
