/* PKCS#12 containers that come from outside. */
#include "crypto_test.h"

#include "crypto/keygen.h"
#include "crypto/pkcs12.h"

static const char public_key[] =
    "3059301306072a8648ce3d020106082a8648ce3d03010703420004f90d6261c3605b9eb27877e57d60b0eb2e661d9f8efe62"
    "3f6d1e59328f634b7634e95dc719a725bffe9c870a171516ccdd23f1b08ccfe4543f6ab801be873c27";

static const struct vector {
    const char *name, *container;
    int error;
} vectors[] = {
#define PKCS12(NAME, container, error) {#NAME, container, error},
#include "../vectors/pkcs12.def"
#undef PKCS12
};

static void
containers_are_opened_within_bounds(void **unused)
{
    (void)unused;
    TEST_ARENA(arena);
    for (size_t i = 0; i < KS_ARRAY_LEN(vectors); i++) {
        KS_PKEY *key = NULL;
        KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(4096);
        struct ks_diag diag = {0};
        const int rc = ks_pkcs12_key(hex(&arena, vectors[i].container), KS_LIT("secret"), &key, &diag);
        if (rc != vectors[i].error)
            fail_msg("%s: %s, %s", vectors[i].name, ks_err_text(rc), ks_diag_text(&diag));
        if (rc != 0) {
            assert_null(key);
            assert_int_equal(diag.code, rc);
            continue;
        }
        assert_int_equal(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_X_509, false, &der, NULL), 0);
        assert_hex(der.data, der.len, public_key);
    }
}

static void
what_is_not_whole_is_refused(void **unused)
{
    (void)unused;
    TEST_ARENA(arena);
    const struct ks_span good = hex(&arena, vectors[0].container);
    uint8_t *copy = ks_arena_alloc(&arena, good.len + 1);
    assert_non_null(copy);
    KS_PKEY *key = NULL;
    struct ks_diag diag = {0};
    assert_int_equal(ks_pkcs12_key(good, KS_LIT("Secret"), &key, &diag), KS_E_INTEGRITY);
    assert_int_equal(ks_pkcs12_key(good, KS_LIT(""), &key, &diag), KS_E_INVALID);
    assert_int_equal(ks_pkcs12_key(good, KS_LIT("se\0cret"), &key, &diag), KS_E_INVALID);
    memcpy(copy, good.data, good.len);
    copy[good.len] = 0;
    assert_int_equal(ks_pkcs12_key(KS_SPAN(copy, good.len + 1), KS_LIT("secret"), &key, &diag), KS_E_MALFORMED);
    /* The MAC is over what is between the lengths before it and the MAC itself. */
    for (size_t at = 64; at < good.len - 96; at += 23) {
        copy[at] ^= 1;
        assert_int_not_equal(ks_pkcs12_key(KS_SPAN(copy, good.len), KS_LIT("secret"), &key, &diag), 0);
        assert_null(key);
        copy[at] ^= 1;
    }
    for (size_t len = 0; len < good.len; len += 31)
        assert_int_not_equal(ks_pkcs12_key(KS_SPAN(copy, len), KS_LIT("secret"), &key, &diag), 0);
    assert_int_equal(ks_pkcs12_key(KS_SPAN(copy, good.len), KS_LIT("secret"), &key, &diag), 0);
}

static void
what_is_made_is_read(void **unused)
{
    (void)unused;
    KS_PKEY *key = NULL, *again = NULL;
    KS_CLEANUP(ks_buf_done) struct ks_buf container = KS_BUF(8192), a = KS_BUF(4096), b = KS_BUF(4096);
    const struct ks_keypair_params params = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519};
    assert_int_equal(ks_keygen_pair(&params, &key, NULL), 0);
    assert_int_equal(ks_pkcs12_make(key, NULL, 0, "key", KS_LIT("pass"), &container, NULL), 0);
    assert_int_equal(ks_pkcs12_key(ks_buf_span(&container), KS_LIT("pass"), &again, NULL), 0);
    assert_int_equal(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_PKCS_8, true, &a, NULL), 0);
    assert_int_equal(ks_pkey_export(again, KMIP_KEY_FORMAT_TYPE_PKCS_8, true, &b, NULL), 0);
    assert_true(ks_span_equal(ks_buf_span(&a), ks_buf_span(&b)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(containers_are_opened_within_bounds),
        cmocka_unit_test(what_is_not_whole_is_refused),
        cmocka_unit_test(what_is_made_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
