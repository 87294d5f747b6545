/* The format of the keyring: what is written is read, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tde/keyring.h"
#include "tde_testing.h"

static struct tde_keyring *keyring;
static struct ks_key32 key;
static struct ks_buf file;

static int
setup(void **state)
{
    (void)state;
    keyring = tde_test_keyring(&key);
    file = KS_BUF(TDE_KEYRING_MAX);
    assert_int_equal(tde_keyring_encode(keyring, &key, &file, NULL), 0);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    ks_buf_done(&file);
    tde_keyring_free(keyring);
    return 0;
}

/* Reads and verifies: what a start does. */
static int
read_all(struct ks_span bytes, const struct ks_key32 *with, struct ks_diag *diag)
{
    TDE_KEYRING_PTR *read = NULL;
    KS_TRY(tde_keyring_decode(bytes, &read, diag));
    return tde_keyring_open(read, bytes, with, diag);
}

static void
test_round_trip(void **state)
{
    (void)state;
    TDE_KEYRING_PTR *read = NULL;
    struct tde_slot *kmip = tde_keyring_add_slot(keyring, TDE_TEST_NOW + 1);
    kmip->provider = TDE_PROVIDER_KMIP;
    kmip->mode = TDE_KMS_ENCRYPT;
    memcpy(kmip->uid, "0193-uid", 9);
    memcpy(kmip->name, "Schl\xc3\xbcssel", 11);
    memcpy(kmip->servers, "a:5696,b:5696", 14);
    kmip->wrapped_len = TDE_WRAPPED_MAX;
    keyring->wait_s = 17;
    keyring->epoch = UINT64_MAX;
    ks_buf_reset(&file);
    assert_int_equal(tde_keyring_encode(keyring, &key, &file, NULL), 0);
    assert_int_equal(tde_keyring_decode(ks_buf_span(&file), &read, NULL), 0);
    assert_memory_equal(read, keyring, sizeof(*read));
    assert_int_equal(tde_keyring_open(read, ks_buf_span(&file), &key, NULL), 0);
    assert_int_equal(tde_keyring_primary(read)->id, 1);
    assert_string_equal(tde_keyring_slot(read, 2)->name, "Schl\xc3\xbcssel");
    assert_null(tde_keyring_slot(read, 3));
}

static void
test_bundle(void **state)
{
    (void)state;
    struct tde_bundle bundle, again;
    assert_int_equal(tde_keyring_bundle(keyring, &key, &bundle, NULL), 0);
    assert_memory_equal(bundle.magic, TDE_BUNDLE_MAGIC, 8);
    assert_int_equal(bundle.size, sizeof(bundle));
    assert_int_equal(bundle.count, 3);
    assert_memory_equal(bundle.cluster, keyring->cluster, TDE_BUNDLE_ID);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(bundle.keys[i].purpose, i + 1);
        assert_int_equal(bundle.keys[i].generation, 1);
        assert_int_equal(bundle.keys[i].state, TDE_KEY_ACTIVE);
    }
    assert_memory_not_equal(bundle.keys[0].key, bundle.keys[1].key, TDE_BUNDLE_KEY);
    assert_memory_not_equal(bundle.keys[1].key, bundle.keys[2].key, TDE_BUNDLE_KEY);
    assert_int_equal(tde_keyring_bundle(keyring, &key, &again, NULL), 0);
    assert_memory_equal(&bundle, &again, sizeof(bundle));
    /* None of them is in the file as it is. */
    for (size_t i = 0; i < 3; i++)
        assert_null(memmem(file.data, file.len, bundle.keys[i].key, TDE_BUNDLE_KEY));
    assert_null(memmem(file.data, file.len, key.b, sizeof(key.b)));
}

static void
test_cut_off_at_every_byte(void **state)
{
    (void)state;
    for (size_t len = 0; len < file.len; len++) {
        struct ks_diag diag = {0};
        assert_int_not_equal(read_all(KS_SPAN(file.data, len), &key, &diag), 0);
        assert_string_not_equal(diag.message, "");
        /* Also where the length that it says of itself is made to fit. */
        KS_CLEANUP(ks_buf_done) struct ks_buf cut = KS_BUF(TDE_KEYRING_MAX);
        assert_int_equal(ks_buf_add(&cut, file.data, len), 0);
        if (len >= 16)
            assert_int_equal(ks_buf_put_be32(&cut, 12, (uint32_t)len), 0);
        assert_int_not_equal(read_all(ks_buf_span(&cut), &key, NULL), 0);
    }
}

static void
test_every_bit_counts(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < file.len * 8; bit++) {
        file.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        const int rc = read_all(ks_buf_span(&file), &key, NULL);
        assert_true(rc == KS_E_MALFORMED || rc == KS_E_INTEGRITY || rc == KS_E_UNSUPPORTED);
        file.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_int_equal(read_all(ks_buf_span(&file), &key, NULL), 0);
}

static void
test_another_key(void **state)
{
    (void)state;
    struct ks_key32 other = key;
    other.b[31] ^= 1;
    assert_int_equal(read_all(ks_buf_span(&file), &other, NULL), KS_E_INTEGRITY);
    assert_int_equal(ks_buf_add_u8(&file, 0), 0);
    assert_int_equal(read_all(ks_buf_span(&file), &key, NULL), KS_E_MALFORMED); /* something behind its end */
}

/* A data key that is put into another one's place does not open, whoever made the code of the file. */
static void
test_data_keys_keep_their_places(void **state)
{
    (void)state;
    uint8_t sealed[TDE_SEALED_KEY];
    struct tde_bundle bundle;
    memcpy(sealed, keyring->keys[0].sealed, sizeof(sealed));
    memcpy(keyring->keys[0].sealed, keyring->keys[1].sealed, sizeof(sealed));
    memcpy(keyring->keys[1].sealed, sealed, sizeof(sealed));
    assert_int_equal(tde_keyring_bundle(keyring, &key, &bundle, NULL), KS_E_INTEGRITY);
    ks_buf_reset(&file);
    assert_int_equal(tde_keyring_encode(keyring, &key, &file, NULL), 0);
    assert_int_equal(read_all(ks_buf_span(&file), &key, NULL), KS_E_INTEGRITY);
}

static void
test_what_is_not_written(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(TDE_KEYRING_MAX);
    struct tde_keyring *good = malloc(sizeof(*good));
    assert_non_null(good);
    *good = *keyring;
#define REFUSED(change)                                                                                                \
    do {                                                                                                               \
        change;                                                                                                        \
        assert_int_equal(tde_keyring_encode(keyring, &key, &out, NULL), KS_E_INVALID);                                 \
        assert_int_equal(out.len, 0);                                                                                  \
        *keyring = *good;                                                                                              \
    } while (0)
    REFUSED(keyring->n_slots = 0);
    REFUSED(keyring->slots[0].primary = 0);
    REFUSED(tde_keyring_add_slot(keyring, TDE_TEST_NOW)->primary = 1);
    REFUSED(keyring->slots[0].provider = 9);
    REFUSED(keyring->slots[0].mode = TDE_KMS_GET);
    REFUSED(keyring->slots[0].provider = TDE_PROVIDER_KMIP);
    REFUSED(keyring->slots[0].provider = TDE_PROVIDER_PASSPHRASE);
    REFUSED(keyring->slots[0].path[3] = '\n');
    REFUSED(keyring->slots[0].wrapped_len = 0);
    REFUSED(keyring->keys[1].purpose = TDE_PURPOSE_REL);
    REFUSED(keyring->keys[1].state = TDE_KEY_DECRYPT_ONLY);
    REFUSED(keyring->keys[2].generation = 0);
    REFUSED(assert_int_equal(tde_keyring_add_next(keyring, &key, TDE_TEST_NOW, NULL), 0); keyring->n_keys--);
    REFUSED(keyring->wait_s = TDE_WAIT_MAX + 1);
    REFUSED(memcpy(keyring->keys[1].id, keyring->keys[0].id, TDE_BUNDLE_ID));
#undef REFUSED
    assert_int_equal(tde_keyring_encode(keyring, &key, &out, NULL), 0);
    free(good);
}

static unsigned
in_state(uint32_t state)
{
    unsigned n = 0;
    for (size_t i = 0; i < keyring->n_keys; i++)
        n += keyring->keys[i].state == state;
    return n;
}

/* Generation after generation: three keys are active at any time, and when there is no more room the oldest go. */
static void
test_rotation(void **state)
{
    (void)state;
    assert_false(tde_keyring_has_next(keyring));
    for (uint32_t generation = 2; generation < 40; generation++) {
        assert_int_equal(tde_keyring_add_next(keyring, &key, TDE_TEST_NOW, NULL), 0);
        const uint32_t n = keyring->n_keys;
        assert_int_equal(tde_keyring_add_next(keyring, &key, TDE_TEST_NOW, NULL), 0); /* the same once more */
        assert_int_equal(keyring->n_keys, n);
        assert_int_equal(in_state(TDE_KEY_NEXT), 3);
        assert_int_equal(in_state(TDE_KEY_ACTIVE), 3);
        ks_buf_reset(&file);
        assert_int_equal(tde_keyring_encode(keyring, &key, &file, NULL), 0);
        assert_int_equal(read_all(ks_buf_span(&file), &key, NULL), 0);
        tde_keyring_promote_next(keyring);
        tde_keyring_promote_next(keyring); /* nothing */
        assert_int_equal(in_state(TDE_KEY_NEXT), 0);
        assert_int_equal(in_state(TDE_KEY_ACTIVE), 3);
        for (size_t i = 0; i < keyring->n_keys; i++)
            assert_int_equal(keyring->keys[i].state == TDE_KEY_ACTIVE, keyring->keys[i].generation == generation);
        ks_buf_reset(&file);
        assert_int_equal(tde_keyring_encode(keyring, &key, &file, NULL), 0);
        assert_int_equal(read_all(ks_buf_span(&file), &key, NULL), 0);
    }
    assert_true(keyring->n_keys > TDE_BUNDLE_KEYS_MAX - 6);
    for (size_t i = 0; i < keyring->n_keys; i++)
        assert_true(keyring->keys[i].generation > 15);
}

static void
test_slots(void **state)
{
    (void)state;
    for (uint32_t i = 2; i <= TDE_SLOTS_MAX; i++)
        assert_int_equal(tde_keyring_add_slot(keyring, TDE_TEST_NOW)->id, i);
    assert_null(tde_keyring_add_slot(keyring, TDE_TEST_NOW));
    tde_keyring_drop_slot(keyring, 1); /* the primary one stays */
    assert_int_equal(keyring->n_slots, TDE_SLOTS_MAX);
    tde_keyring_drop_slot(keyring, 3);
    assert_null(tde_keyring_slot(keyring, 3));
    assert_int_equal(keyring->n_slots, TDE_SLOTS_MAX - 1);
    assert_int_equal(tde_keyring_add_slot(keyring, TDE_TEST_NOW)->id, TDE_SLOTS_MAX + 1);
}

static void
test_uuid(void **state)
{
    (void)state;
    char text[TDE_UUID_TEXT];
    tde_uuid_text((const uint8_t *)"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef", text);
    assert_string_equal(text, "01234567-89ab-cdef-0123-456789abcdef");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        TEST(round_trip),
        TEST(bundle),
        TEST(cut_off_at_every_byte),
        TEST(every_bit_counts),
        TEST(another_key),
        TEST(data_keys_keep_their_places),
        TEST(what_is_not_written),
        TEST(rotation),
        TEST(slots),
        TEST(uuid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
