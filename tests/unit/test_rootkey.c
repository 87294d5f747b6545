/* server/vault/rootkey.h */
#include "tests/unit/instance_test.h"

#include "server/vault/rootkey.h"
#include "store/keyring.h"

static void
a_key_file_comes_back(void **state)
{
    (void)state;
    SCRATCH(s);
    struct ks_key32 made;
    struct ks_key32 read;
    struct ks_diag diag = {0};
    assert_int_equal(rootkey_file_read(s.store, &read, &diag), KS_E_NOT_FOUND);
    assert_int_equal(rootkey_file_create(s.store, &made, NULL), 0);
    struct stat st;
    assert_int_equal(stat(s.store, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(rootkey_file_read(s.store, &read, NULL), 0);
    assert_memory_equal(made.b, read.b, 32);
    struct ks_key32 other = made;
    assert_int_equal(rootkey_file_create(s.store, &other, NULL), KS_E_EXISTS);
    assert_memory_equal(made.b, other.b, 32);
    assert_int_equal(chmod(s.store, 0640), 0);
    diag = (struct ks_diag){0};
    assert_int_equal(rootkey_file_read(s.store, &read, &diag), KS_E_DENIED);
    assert_contains(ks_diag_text(&diag), "chmod 600");
}

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void
other_files_are_no_key_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } cases[] = {
        {"keystead-root-key 1\n" HEX "\n", 0},
        {"keystead-root-key 1\n" HEX, 0}, /* typed without a line end */
        {"", KS_E_MALFORMED},
        {"keystead-root-key 1", KS_E_MALFORMED},
        {"keystead-root-key 1\n", KS_E_MALFORMED},
        {"keystead-root-key 2\n" HEX "\n", KS_E_MALFORMED},
        {HEX "\n", KS_E_MALFORMED},
        {"keystead-root-key 1\n0" HEX "\n", KS_E_MALFORMED},
        {"keystead-root-key 1\n00" HEX "\n", KS_E_MALFORMED},
        {"keystead-root-key 1\n" HEX "\n" HEX "\n", KS_E_MALFORMED},
        {"keystead-root-key 1\n" HEX "x\n", KS_E_MALFORMED},
    };
    SCRATCH(s);
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        struct ks_key32 key = {{42}};
        assert_int_equal(ks_file_write(s.store, ks_span_str(cases[i].text), 0600, NULL), 0);
        struct ks_diag diag = {0};
        assert_int_equal(rootkey_file_read(s.store, &key, &diag), cases[i].rc);
        assert_int_equal(key.b[1], cases[i].rc == 0 ? 0x11 : 0);
        if (cases[i].rc != 0)
            assert_contains(ks_diag_text(&diag), s.store);
    }
}

static void
a_passphrase_opens_the_store_it_made(void **state)
{
    (void)state;
    SCRATCH(s);
    char params[128];
    snprintf(params, sizeof(params), "%s/root.passphrase", s.dir);
    KS_KEY32 root;
    KS_KEY32 again;
    assert_int_equal(rootkey_passphrase_create(params, KS_SPAN_NONE, &root, NULL), KS_E_INVALID);
    assert_int_equal(rootkey_passphrase_create(params, KS_LIT("correct horse"), &root, NULL), 0);
    assert_int_equal(rootkey_passphrase_derive(params, KS_LIT("correct horse"), &again, NULL), 0);
    assert_memory_equal(root.b, again.b, 32);
    struct store *store;
    struct keyring *keyring = NULL;
    assert_int_equal(store_create(s.store, NULL), 0);
    assert_int_equal(store_open(s.store, &store, NULL), 0);
    assert_int_equal(keyring_create(store, &root, NULL), 0);
    assert_int_equal(rootkey_passphrase_derive(params, KS_LIT("correct horsf"), &again, NULL), 0);
    struct ks_diag diag = {0};
    assert_int_equal(keyring_open(store, &again, &keyring, &diag), KS_E_INTEGRITY);
    assert_contains(ks_diag_text(&diag), "passphrase");
    assert_int_equal(keyring_open(store, &root, &keyring, NULL), 0);
    keyring_free(keyring);
    store_close(store);
    /* Nothing of the passphrase or the key is in the file. */
    BUF text = KS_BUF(4096);
    assert_int_equal(ks_file_read(params, &text, NULL), 0);
    assert_null(memmem(text.data, text.len, "correct", 7));
    assert_int_equal(rootkey_passphrase_create(params, KS_LIT("x"), &again, NULL), KS_E_EXISTS);
}

static void
parameters_are_not_weakened(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "keystead-passphrase 1\n",
        "keystead-passphrase 2\nscrypt n=131072 r=8 p=1\nsalt " HEX "\n",
        "keystead-passphrase 1\nscrypt n=65536 r=8 p=1\nsalt " HEX "\n",
        "keystead-passphrase 1\nscrypt n=131072 r=1 p=1\nsalt " HEX "\n",
        "keystead-passphrase 1\nscrypt n=131072 r=8 p=0\nsalt " HEX "\n",
        "keystead-passphrase 1\nscrypt n=99999999999 r=8 p=1\nsalt " HEX "\n",
        "keystead-passphrase 1\nscrypt n=131072 r=8 p=1 x\nsalt " HEX "\n",
        "keystead-passphrase 1\nscrypt n=131072 r=8\nsalt " HEX "\n",
        "keystead-passphrase 1\nscrypt n=131072 r=8 p=1\nsalt 00\n",
        "keystead-passphrase 1\nscrypt n=131072 r=8 p=1\n",
        "keystead-passphrase 1\nscrypt n=131072 r=8 p=1\nsalt " HEX "\nmore\n",
    };
    SCRATCH(s);
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        struct ks_key32 key = {{42}};
        assert_int_equal(ks_file_write(s.store, ks_span_str(cases[i]), 0600, NULL), 0);
        struct ks_diag diag = {0};
        assert_int_equal(rootkey_passphrase_derive(s.store, KS_LIT("x"), &key, &diag), KS_E_MALFORMED);
        assert_contains(ks_diag_text(&diag), s.store);
        assert_int_equal(key.b[0], 42);
    }
    /* Allowed numbers that would take more memory than a start may. */
    struct ks_key32 key;
    assert_int_equal(
        ks_file_write(s.store, KS_LIT("keystead-passphrase 1\nscrypt n=4194304 r=32 p=1\nsalt " HEX "\n"), 0600, NULL),
        0);
    assert_int_equal(rootkey_passphrase_derive(s.store, KS_LIT("x"), &key, NULL), KS_E_LIMIT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_file_comes_back),
        cmocka_unit_test(other_files_are_no_key_files),
        cmocka_unit_test(a_passphrase_opens_the_store_it_made),
        cmocka_unit_test(parameters_are_not_weakened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
