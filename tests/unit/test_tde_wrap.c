/* Wraps that need no KMS: key file, key command, passphrase by file and by command; those of a KMS are system tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "tde/wrap.h"
#include "tde_testing.h"

static struct tde_keyring *keyring;
static struct ks_key32 key;
static char dir[64], path[96];
static const struct tde_how how = {.data = "/data"};

static void
put(const char *text)
{
    assert_int_equal(ks_file_write(path, ks_span_str(text), 0600, NULL), 0);
}

static int
setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/ks-wrap-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/key", dir);
    keyring = tde_test_keyring(&key);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    assert_int_equal(rmdir(dir), 0);
    tde_keyring_free(keyring);
    return 0;
}

static struct tde_slot *
slot_of(uint32_t provider, uint32_t source, const char *where)
{
    struct tde_slot *slot = &keyring->slots[0];
    slot->provider = provider;
    slot->source = source;
    (void)snprintf(slot->path, sizeof(slot->path), "%s", where);
    return slot;
}

static void
unwraps(const struct tde_slot *slot)
{
    struct ks_key32 got = {{0}};
    struct ks_diag diag = {0};
    if (tde_unwrap(keyring, slot, &how, &got, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
    assert_memory_equal(got.b, key.b, sizeof(key.b));
}

static void
refused(const struct tde_slot *slot, int code, const char *why)
{
    struct ks_key32 got = {{0}};
    struct ks_diag diag = {0};
    assert_int_equal(tde_unwrap(keyring, slot, &how, &got, &diag), code);
    if (strstr(diag.message, why) == NULL)
        fail_msg("'%s' is not in: %s", why, diag.message);
    assert_memory_equal(got.b, (uint8_t[32]){0}, 32);
}

static const char hex_a[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char hex_b[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";

static void
test_key_file(void **state)
{
    (void)state;
    struct tde_slot *slot = slot_of(TDE_PROVIDER_KEY_FILE, TDE_SOURCE_NONE, path);
    put(hex_a);
    assert_int_equal(tde_wrap(keyring, slot, &how, &key, NULL), 0);
    unwraps(slot);
    put("\x00"); /* an empty text */
    refused(slot, KS_E_MALFORMED, "64 hexadecimal digits");
    put(hex_b);
    refused(slot, KS_E_DENIED, "wrong key for slot 1");
    assert_int_equal(unlink(path), 0);
    refused(slot, KS_E_NOT_FOUND, path);
    /* The same key as bytes. */
    uint8_t raw[32];
    for (size_t i = 0; i < sizeof(raw); i++)
        raw[i] = (uint8_t)i;
    assert_int_equal(ks_file_write(path, KS_SPAN(raw, sizeof(raw)), 0600, NULL), 0);
    unwraps(slot);
    assert_int_equal(ks_file_write(path, KS_SPAN(raw, sizeof(raw)), 0644, NULL), 0);
    refused(slot, KS_E_DENIED, "chmod 600");
}

static void
test_what_was_changed(void **state)
{
    (void)state;
    struct tde_slot *slot = slot_of(TDE_PROVIDER_KEY_FILE, TDE_SOURCE_NONE, path);
    put(hex_a);
    assert_int_equal(tde_wrap(keyring, slot, &how, &key, NULL), 0);
    for (size_t i = 0; i < slot->wrapped_len; i++) {
        slot->wrapped[i] ^= 1;
        refused(slot, KS_E_INTEGRITY, "was changed");
        slot->wrapped[i] ^= 1;
    }
    /* In the keyring of another cluster it is worth nothing. */
    keyring->cluster[0] ^= 1;
    refused(slot, KS_E_DENIED, "wrong key");
    keyring->cluster[0] ^= 1;
    keyring->key_id[15] ^= 1;
    refused(slot, KS_E_DENIED, "wrong key");
    keyring->key_id[15] ^= 1;
    unwraps(slot);
}

static void
test_key_command(void **state)
{
    (void)state;
    char command[160];
    (void)snprintf(command, sizeof(command), "cat %s", path);
    struct tde_slot *slot = slot_of(TDE_PROVIDER_KEY_COMMAND, TDE_SOURCE_NONE, command);
    put(hex_a);
    assert_int_equal(tde_wrap(keyring, slot, &how, &key, NULL), 0);
    unwraps(slot);
    put(hex_b);
    refused(slot, KS_E_DENIED, "wrong key");
    put("");
    refused(slot, KS_E_MALFORMED, "0 bytes");
    slot_of(TDE_PROVIDER_KEY_COMMAND, TDE_SOURCE_NONE, "exit 3");
    refused(slot, KS_E_IO, "exit status 3");
    slot_of(TDE_PROVIDER_KEY_COMMAND, TDE_SOURCE_NONE, "kill -9 $$");
    refused(slot, KS_E_IO, "signal 9");
    slot_of(TDE_PROVIDER_KEY_COMMAND, TDE_SOURCE_NONE, "head -c 5000 /dev/zero");
    refused(slot, KS_E_LIMIT, "more than");
}

/* A command sees no secret, no layer and no other descriptor of ours. */
static void
test_a_command_is_given_nothing(void **state)
{
    (void)state;
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(1000);
    assert_int_equal(setenv(TDE_ENV_FD, "9", 1), 0);
    assert_int_equal(
        tde_command_output("cat; echo \"[$LD_PRELOAD$" TDE_ENV_FD "]\"; ls /proc/self/fd | wc -l", &out, NULL), 0);
    assert_int_equal(unsetenv(TDE_ENV_FD), 0);
    assert_string_equal(ks_buf_cstr(&out), "[]\n4\n"); /* 0, 1, 2, and the folder that ls reads */
}

static void
test_passphrase(void **state)
{
    (void)state;
    char command[160];
    struct tde_slot *slot = slot_of(TDE_PROVIDER_PASSPHRASE, TDE_SOURCE_FILE, path);
    put("correct horse\n");
    assert_int_equal(tde_wrap(keyring, slot, &how, &key, NULL), 0);
    unwraps(slot);
    put("correct Horse\n");
    refused(slot, KS_E_DENIED, "wrong passphrase for slot 1");
    (void)snprintf(command, sizeof(command), "echo correct horse; cat %s", path);
    slot_of(TDE_PROVIDER_PASSPHRASE, TDE_SOURCE_COMMAND, command);
    unwraps(slot);
    slot_of(TDE_PROVIDER_PASSPHRASE, TDE_SOURCE_COMMAND, "echo");
    refused(slot, KS_E_INVALID, "no passphrase");
    slot_of(TDE_PROVIDER_PASSPHRASE, TDE_SOURCE_PROMPT, "");
    refused(slot, KS_E_DENIED, "there is no terminal to ask at");
}

/* A KMS that is not there: the message says which, and the wait ends; then what the policy says. */
static void
test_nobody_answers(void **state)
{
    (void)state;
    put(hex_a);
    struct tde_slot *slot = slot_of(TDE_PROVIDER_KEY_FILE, TDE_SOURCE_NONE, path);
    assert_int_equal(tde_wrap(keyring, slot, &how, &key, NULL), 0);
    struct tde_slot *kmip = tde_keyring_add_slot(keyring, TDE_TEST_NOW);
    kmip->provider = TDE_PROVIDER_KMIP;
    kmip->mode = TDE_KMS_ENCRYPT;
    kmip->wrapped_len = 60;
    (void)snprintf(kmip->uid, sizeof(kmip->uid), "uid");
    (void)snprintf(kmip->servers, sizeof(kmip->servers), "127.0.0.1:1");
    kmip->primary = 1;
    keyring->slots[0].primary = 0;
    keyring->wait_s = 0;
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(TDE_KEYRING_MAX);
    assert_int_equal(tde_keyring_encode(keyring, &key, &file, NULL), 0);
    struct ks_key32 got = {{0}};
    uint32_t by = 0;
    struct ks_diag diag = {0};
    /* No certificate: that is no KMS that does not answer, and no other slot is tried. */
    keyring->unreachable = TDE_UNREACHABLE_OTHER;
    const int rc = tde_unlock(keyring, ks_buf_span(&file), &how, &got, &by, &diag);
    assert_int_equal(rc, KS_E_CONFIG);
    assert_int_equal(by, 0);
    assert_true(tde_is_unreachable(KS_E_CONNECT) && tde_is_unreachable(KS_E_TIMEOUT) &&
                tde_is_unreachable(KS_E_SEALED));
    assert_false(tde_is_unreachable(KS_E_DENIED) || tde_is_unreachable(KS_E_KMIP) || tde_is_unreachable(KS_E_TLS));
}

static void
test_unlock(void **state)
{
    (void)state;
    put(hex_a);
    struct tde_slot *slot = slot_of(TDE_PROVIDER_KEY_FILE, TDE_SOURCE_NONE, path);
    assert_int_equal(tde_wrap(keyring, slot, &how, &key, NULL), 0);
    KS_CLEANUP(ks_buf_done) struct ks_buf file = KS_BUF(TDE_KEYRING_MAX);
    assert_int_equal(tde_keyring_encode(keyring, &key, &file, NULL), 0);
    struct ks_key32 got = {{0}};
    uint32_t by = 0;
    assert_int_equal(tde_unlock(keyring, ks_buf_span(&file), &how, &got, &by, NULL), 0);
    assert_int_equal(by, 1);
    assert_memory_equal(got.b, key.b, sizeof(key.b));
    /* Who can write the file but has no key cannot change what it says. */
    file.data[file.len - 40] ^= 1;
    got = (struct ks_key32){{0}};
    assert_int_equal(tde_unlock(keyring, ks_buf_span(&file), &how, &got, &by, NULL), KS_E_INTEGRITY);
    assert_memory_equal(got.b, (uint8_t[32]){0}, 32);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        TEST(key_file),   TEST(what_was_changed), TEST(key_command),    TEST(a_command_is_given_nothing),
        TEST(passphrase), TEST(unlock),           TEST(nobody_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
