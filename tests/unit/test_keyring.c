/* store/keyring.h */
#include "tests/unit/instance_test.h"

#include <pthread.h>

#include "store/keyring.h"

static struct keyring *
new_keyring(const struct scratch *s, struct store **ret_store)
{
    struct keyring *keyring;
    assert_int_equal(store_create(s->store, NULL), 0);
    assert_int_equal(store_open(s->store, ret_store, NULL), 0);
    assert_int_equal(keyring_create(*ret_store, &test_root, NULL), 0);
    assert_int_equal(keyring_open(*ret_store, &test_root, &keyring, NULL), 0);
    return keyring;
}

static void
what_was_sealed_opens_again_in_its_place_alone(void **state)
{
    (void)state;
    SCRATCH(s);
    struct store *store;
    struct keyring *keyring = new_keyring(&s, &store);
    BUF sealed = KS_BUF(4096);
    assert_int_equal(ks_buf_add_str(&sealed, "head"), 0);
    assert_int_equal(keyring_seal(keyring, KEYRING_OBJECT, KS_LIT("row 1"), KS_LIT("secret"), &sealed), 0);
    assert_null(memmem(sealed.data, sealed.len, "secret", 6));
    const struct ks_span blob = KS_SPAN(sealed.data + 4, sealed.len - 4);

    keyring_free(keyring); /* a later start opens it too */
    assert_int_equal(keyring_open(store, &test_root, &keyring, NULL), 0);
    BUF clear = KS_BUF(64);
    assert_int_equal(keyring_open_sealed(keyring, KEYRING_OBJECT, KS_LIT("row 1"), blob, &clear), 0);
    assert_true(ks_span_is(ks_buf_span(&clear), "secret"));
    ks_buf_reset(&clear);
    assert_int_equal(keyring_open_sealed(keyring, KEYRING_OBJECT, KS_LIT("row 2"), blob, &clear), KS_E_INTEGRITY);
    for (int purpose = 0; purpose < KEYRING_PURPOSE_COUNT; purpose++)
        if (purpose != KEYRING_OBJECT)
            assert_int_equal(keyring_open_sealed(keyring, purpose, KS_LIT("row 1"), blob, &clear), KS_E_INTEGRITY);
    for (size_t n = 0; n < blob.len; n++)
        assert_int_equal(keyring_open_sealed(keyring, KEYRING_OBJECT, KS_LIT("row 1"), KS_SPAN(blob.data, n), &clear),
                         KS_E_INTEGRITY);
    for (size_t bit = 0; bit < blob.len * 8; bit++) {
        sealed.data[4 + bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(keyring_open_sealed(keyring, KEYRING_OBJECT, KS_LIT("row 1"), blob, &clear), KS_E_INTEGRITY);
        sealed.data[4 + bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(clear.len, 0);
    /* No room: nothing is appended. */
    BUF small = KS_BUF(20);
    assert_int_equal(keyring_seal(keyring, KEYRING_OBJECT, KS_LIT("row 1"), KS_LIT("secret"), &small), KS_E_LIMIT);
    assert_int_equal(small.len, 0);
    keyring_free(keyring);
    store_close(store);
}

static void
macs_differ_by_purpose_and_instance(void **state)
{
    (void)state;
    uint8_t macs[2][KEYRING_PURPOSE_COUNT][32];
    for (int instance = 0; instance < 2; instance++) {
        SCRATCH(s);
        struct store *store;
        struct keyring *keyring = new_keyring(&s, &store);
        for (int purpose = 0; purpose < KEYRING_PURPOSE_COUNT; purpose++) {
            assert_int_equal(keyring_mac(keyring, purpose, KS_LIT("data"), macs[instance][purpose]), 0);
            const struct ks_span parts[] = {KS_LIT("da"), KS_SPAN_NONE, KS_LIT("ta")};
            uint8_t again[32];
            assert_int_equal(keyring_mac_parts(keyring, purpose, parts, 3, again), 0);
            assert_memory_equal(again, macs[instance][purpose], 32);
        }
        keyring_free(keyring);
        store_close(store);
    }
    for (int a = 0; a < 2 * KEYRING_PURPOSE_COUNT; a++)
        for (int b = 0; b < a; b++)
            assert_memory_not_equal(macs[a / KEYRING_PURPOSE_COUNT][a % KEYRING_PURPOSE_COUNT],
                                    macs[b / KEYRING_PURPOSE_COUNT][b % KEYRING_PURPOSE_COUNT], 32);
}

static void
only_the_root_key_opens_it(void **state)
{
    (void)state;
    SCRATCH(s);
    struct store *store;
    keyring_free(new_keyring(&s, &store));
    struct keyring *keyring = NULL;
    for (size_t bit = 0; bit < 256; bit += 15) {
        struct ks_key32 wrong = test_root;
        wrong.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct ks_diag diag = {0};
        assert_int_equal(keyring_open(store, &wrong, &keyring, &diag), KS_E_INTEGRITY);
        assert_contains(ks_diag_text(&diag), "the root key file or the passphrase is not the one");
        assert_null(keyring);
    }
    struct ks_diag diag = {0};
    assert_int_equal(keyring_create(store, &test_root, &diag), KS_E_EXISTS); /* never a second time */
    store_close(store);
    /* The root is nowhere in the file, nor is what it wraps. */
    BUF file = KS_BUF(1 << 20);
    assert_int_equal(ks_file_read(s.store, &file, NULL), 0);
    assert_null(memmem(file.data, file.len, test_root.b, 9));
}

static void
a_store_without_keyring_says_so(void **state)
{
    (void)state;
    SCRATCH(s);
    struct store *store;
    struct keyring *keyring = NULL;
    assert_int_equal(store_create(s.store, NULL), 0);
    assert_int_equal(store_open(s.store, &store, NULL), 0);
    struct ks_diag diag = {0};
    assert_int_equal(keyring_open(store, &test_root, &keyring, &diag), KS_E_CORRUPT);
    assert_contains(ks_diag_text(&diag), "master/1");
    store_close(store);
}

enum { THREADS = 4, ROUNDS = 2000 };

static void *
seal_and_open(void *arg)
{
    struct keyring *keyring = arg;
    for (int n = 0; n < ROUNDS; n++) {
        BUF sealed = KS_BUF(256);
        BUF clear = KS_BUF(256);
        char text[16];
        snprintf(text, sizeof(text), "%d", n);
        uint8_t mac[32];
        if (keyring_seal(keyring, KEYRING_OBJECT, ks_span_str(text), ks_span_str(text), &sealed) != 0 ||
            keyring_open_sealed(keyring, KEYRING_OBJECT, ks_span_str(text), ks_buf_span(&sealed), &clear) != 0 ||
            !ks_span_is(ks_buf_span(&clear), text) || keyring_mac(keyring, KEYRING_OBJECT, ks_span_str(text), mac) != 0)
            return arg;
    }
    return NULL;
}

static void
threads_share_it(void **state)
{
    (void)state;
    SCRATCH(s);
    struct store *store;
    struct keyring *keyring = new_keyring(&s, &store);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, seal_and_open, keyring), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    keyring_free(keyring);
    store_close(store);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_opens_again_in_its_place_alone),
        cmocka_unit_test(macs_differ_by_purpose_and_instance),
        cmocka_unit_test(only_the_root_key_opens_it),
        cmocka_unit_test(a_store_without_keyring_says_so),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
