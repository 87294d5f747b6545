/* The operation PKCS#11: digests, MACs and signatures. */
#include "pkcs11_call.h"

static void
init_with(struct state *s, uint32_t function, uint64_t mechanism, uint64_t key, bool has_key, uint32_t code)
{
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, mechanism);
    u8(c, 0);
    if (has_key)
        u64(c, key);
    call_gives(c, function, code);
}

/* FIPS 180-2, B.1: SHA-256 of "abc", whole and in parts. */
static void
test_digest(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const uint8_t abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                  0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                  0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    for (int parts = 0; parts < 2; parts++) {
        init_with(s, KMIP_PKCS_11_FUNCTION_C_DIGESTINIT, 0x250, 0, false, 0);
        for (int i = 0; parts == 1 && i < 3; i++) {
            u64(c, s->session);
            bytes(c, "abc" + i, 1);
            GIVES(c, C_DIGESTUPDATE, OK);
        }
        u64(c, s->session);
        if (parts == 0)
            bytes(c, "abc", 3);
        space(c, true, 32);
        call_gives(c, parts == 0 ? KMIP_PKCS_11_FUNCTION_C_DIGEST : KMIP_PKCS_11_FUNCTION_C_DIGESTFINAL, 0);
        assert_int_equal(ks_cursor_u8(&c->out), 1);
        assert_int_equal(ks_cursor_be32(&c->out), 32);
        assert_memory_equal(ks_cursor_take(&c->out, 32).data, abc, 32);
        nothing_left(c);
    }
    init_with(s, KMIP_PKCS_11_FUNCTION_C_DIGESTINIT, 0x1082, 0, false, KMIP_PKCS_11_RETURN_CODE_MECHANISM_INVALID);
}

/* RFC 4231, test case 1. */
static void
test_hmac(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const uint8_t mac[] = {0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53, 0x5c, 0xa8, 0xaf,
                                  0xce, 0xaf, 0x0b, 0xf1, 0x2b, 0x88, 0x1d, 0xc2, 0x00, 0xc9, 0x83,
                                  0x3d, 0xa7, 0x26, 0xe9, 0x37, 0x6c, 0x2e, 0x32, 0xcf, 0xf7};
    uint8_t secret[20];
    memset(secret, 0x0b, sizeof(secret));
    u64(c, s->session);
    u32(c, 5);
    number_attr(c, 0, 4);
    number_attr(c, 0x100, 0x2b);
    bytes_attr(c, 0x11, secret, sizeof(secret));
    bool_attr(c, 0x108, true);
    bool_attr(c, 0x10a, true);
    GIVES(c, C_CREATEOBJECT, OK);
    const uint64_t key = ks_cursor_be64(&c->out);
    init_with(s, KMIP_PKCS_11_FUNCTION_C_SIGNINIT, 0x251, key, true, 0);
    u64(c, s->session);
    bytes(c, "Hi There", 8);
    space(c, true, 32);
    GIVES(c, C_SIGN, OK);
    assert_int_equal(ks_cursor_u8(&c->out), 1);
    assert_int_equal(ks_cursor_be32(&c->out), 32);
    assert_memory_equal(ks_cursor_take(&c->out, 32).data, mac, 32);
    for (int bad = 0; bad < 2; bad++) {
        init_with(s, KMIP_PKCS_11_FUNCTION_C_VERIFYINIT, 0x251, key, true, 0);
        u64(c, s->session);
        bytes(c, "Hi Ther", 7);
        GIVES(c, C_VERIFYUPDATE, OK);
        u64(c, s->session);
        bytes(c, bad ? "!" : "e", 1);
        GIVES(c, C_VERIFYUPDATE, OK);
        u64(c, s->session);
        bytes(c, mac, sizeof(mac));
        call_gives(c, KMIP_PKCS_11_FUNCTION_C_VERIFYFINAL, bad ? KMIP_PKCS_11_RETURN_CODE_SIGNATURE_INVALID : 0);
    }
}

/* ECDSA: r and s side by side, as PKCS#11 has them; 40 signatures, so that short ones and such with a sign are among.
 */
static void
test_ecdsa(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    u64(c, s->session);
    u64(c, 0x1040);
    u8(c, 0);
    u32(c, 1);
    bytes_attr(c, 0x180, p256, sizeof(p256));
    u32(c, 0);
    GIVES(c, C_GENERATEKEYPAIR, OK);
    const uint64_t public = ks_cursor_be64(&c->out), private = ks_cursor_be64(&c->out);
    for (uint8_t i = 0; i < 40; i++) {
        uint8_t signature[64];
        init_with(s, KMIP_PKCS_11_FUNCTION_C_SIGNINIT, 0x1044, private, true, 0);
        u64(c, s->session);
        bytes(c, &i, 1);
        space(c, true, sizeof(signature));
        GIVES(c, C_SIGN, OK);
        assert_int_equal(ks_cursor_u8(&c->out), 1);
        assert_int_equal(ks_cursor_be32(&c->out), sizeof(signature));
        memcpy(signature, ks_cursor_take(&c->out, sizeof(signature)).data, sizeof(signature));
        for (int bad = 0; bad < 2; bad++) {
            signature[i] = (uint8_t)(signature[i] ^ bad);
            init_with(s, KMIP_PKCS_11_FUNCTION_C_VERIFYINIT, 0x1044, public, true, 0);
            u64(c, s->session);
            bytes(c, &i, 1);
            bytes(c, signature, sizeof(signature));
            call_gives(c, KMIP_PKCS_11_FUNCTION_C_VERIFY, bad ? KMIP_PKCS_11_RETURN_CODE_SIGNATURE_INVALID : 0);
        }
    }
    init_with(s, KMIP_PKCS_11_FUNCTION_C_VERIFYINIT, 0x1044, public, true, 0);
    u64(c, s->session);
    bytes(c, "x", 1);
    bytes(c, p256, sizeof(p256));
    GIVES(c, C_VERIFY, SIGNATURE_LEN_RANGE);
    init_with(s, KMIP_PKCS_11_FUNCTION_C_SIGNINIT, 0x1044, public, true,
              KMIP_PKCS_11_RETURN_CODE_KEY_FUNCTION_NOT_PERMITTED);
    init_with(s, KMIP_PKCS_11_FUNCTION_C_SIGNINIT, 0x40, private, true, KMIP_PKCS_11_RETURN_CODE_KEY_TYPE_INCONSISTENT);
}

static void
test_rsa(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const uint64_t mechanisms[] = {0x40, 0x43};
    uint8_t text[256];
    u64(c, s->session);
    u64(c, 0);
    u8(c, 0);
    u32(c, 2);
    number_attr(c, 0x121, 2048);
    bytes_attr(c, 0x122, "\1\0\1", 3);
    u32(c, 0);
    GIVES(c, C_GENERATEKEYPAIR, OK);
    const uint64_t public = ks_cursor_be64(&c->out), private = ks_cursor_be64(&c->out);
    for (size_t i = 0; i < KS_ARRAY_LEN(mechanisms); i++)
        for (int verify = 0; verify < 2; verify++) {
            u64(c, s->session);
            u64(c, mechanisms[i]);
            u8(c, i == 1);
            if (i == 1) { /* PSS: SHA-256, MGF1 with it, a salt of 32 bytes */
                u32(c, 24);
                u64(c, 0x250);
                u64(c, 2);
                u64(c, 32);
            }
            u64(c, verify ? public : private);
            call_gives(c, verify ? KMIP_PKCS_11_FUNCTION_C_VERIFYINIT : KMIP_PKCS_11_FUNCTION_C_SIGNINIT, 0);
            u64(c, s->session);
            bytes(c, "message", 7);
            if (verify)
                bytes(c, text, sizeof(text));
            else
                space(c, true, sizeof(text));
            call_gives(c, verify ? KMIP_PKCS_11_FUNCTION_C_VERIFY : KMIP_PKCS_11_FUNCTION_C_SIGN, 0);
            if (verify)
                continue;
            (void)ks_cursor_u8(&c->out);
            assert_int_equal(ks_cursor_be32(&c->out), sizeof(text));
            memcpy(text, ks_cursor_take(&c->out, sizeof(text)).data, sizeof(text));
        }
    for (int decrypt = 0; decrypt < 2; decrypt++) {
        u64(c, s->session);
        u64(c, 9); /* OAEP: SHA-256, MGF1 with it, no label */
        u8(c, 1);
        u32(c, 28);
        u64(c, 0x250);
        u64(c, 2);
        u64(c, 1);
        bytes(c, "", 0);
        u64(c, decrypt ? private : public);
        call_gives(c, decrypt ? KMIP_PKCS_11_FUNCTION_C_DECRYPTINIT : KMIP_PKCS_11_FUNCTION_C_ENCRYPTINIT, 0);
        u64(c, s->session);
        bytes(c, decrypt ? (const void *)text : "secret", decrypt ? sizeof(text) : 6);
        space(c, true, sizeof(text));
        call_gives(c, decrypt ? KMIP_PKCS_11_FUNCTION_C_DECRYPT : KMIP_PKCS_11_FUNCTION_C_ENCRYPT, 0);
        (void)ks_cursor_u8(&c->out);
        assert_int_equal(ks_cursor_be32(&c->out), decrypt ? 6 : sizeof(text));
        if (decrypt)
            assert_true(ks_span_is(ks_cursor_take(&c->out, 6), "secret"));
        else
            memcpy(text, ks_cursor_take(&c->out, sizeof(text)).data, sizeof(text));
    }
    u64(c, s->session);
    u64(c, public);
    u32(c, 2);
    asked_attr(c, 0x120);
    asked_attr(c, 0x122);
    GIVES(c, C_GETATTRIBUTEVALUE, OK);
    (void)ks_cursor_take(&c->out, 4 + 10);
    assert_int_equal(ks_cursor_be32(&c->out), 256);
    (void)ks_cursor_take(&c->out, 256 + 10);
    assert_int_equal(ks_cursor_be32(&c->out), 3);
    assert_memory_equal(ks_cursor_take(&c->out, 3).data, "\1\0\1", 3);
}

/* RFC 8032, 7.1, test 2: the private key comes in parts, and so does the public one. */
static void
test_eddsa(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const uint8_t ed25519[] = {0x06, 0x03, 0x2b, 0x65, 0x70};
    static const uint8_t secret[] = {0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3,
                                     0x46, 0xec, 0x11, 0x4e, 0x0f, 0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab,
                                     0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb};
    static const uint8_t point[] = {0x04, 0x20, 0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7,
                                    0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4,
                                    0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c};
    static const uint8_t expected[] = {0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82, 0x0b, 0x5f,
                                       0x64, 0x25, 0x40, 0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76,
                                       0x22, 0x23, 0xeb, 0xdb, 0x69, 0xda, 0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99,
                                       0x6e, 0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c, 0x38, 0x7b, 0x2e, 0xae,
                                       0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00};
    uint64_t keys[2]; /* public, private */
    for (int private = 0; private < 2; private ++) {
        u64(c, s->session);
        u32(c, 4);
        number_attr(c, 0, private ? 3 : 2);
        number_attr(c, 0x100, 0x40);
        bytes_attr(c, 0x180, ed25519, sizeof(ed25519));
        if (private)
            bytes_attr(c, 0x11, secret, sizeof(secret));
        else
            bytes_attr(c, 0x181, point, sizeof(point));
        GIVES(c, C_CREATEOBJECT, OK);
        keys[private] = ks_cursor_be64(&c->out);
    }
    init_with(s, KMIP_PKCS_11_FUNCTION_C_SIGNINIT, 0x1057, keys[1], true, 0);
    u64(c, s->session);
    bytes(c, "\x72", 1);
    space(c, true, 128);
    GIVES(c, C_SIGN, OK);
    assert_int_equal(ks_cursor_u8(&c->out), 1);
    assert_int_equal(ks_cursor_be32(&c->out), sizeof(expected));
    assert_memory_equal(ks_cursor_take(&c->out, sizeof(expected)).data, expected, sizeof(expected));
    for (int bad = 0; bad < 2; bad++) {
        init_with(s, KMIP_PKCS_11_FUNCTION_C_VERIFYINIT, 0x1057, keys[0], true, 0);
        u64(c, s->session);
        bytes(c, bad ? "\x73" : "\x72", 1);
        bytes(c, expected, sizeof(expected));
        call_gives(c, KMIP_PKCS_11_FUNCTION_C_VERIFY, bad ? KMIP_PKCS_11_RETURN_CODE_SIGNATURE_INVALID : 0);
    }
    /* What is of the public key can be read, and of the private key the curve. */
    for (int private = 0; private < 2; private ++) {
        u64(c, s->session);
        u64(c, keys[private]);
        u32(c, 3);
        asked_attr(c, 0x100);
        asked_attr(c, 0x180);
        asked_attr(c, 0x181);
        call_gives(c, KMIP_PKCS_11_FUNCTION_C_GETATTRIBUTEVALUE,
                   private ? KMIP_PKCS_11_RETURN_CODE_ATTRIBUTE_TYPE_INVALID : 0);
        (void)ks_cursor_take(&c->out, 4 + 10);
        assert_int_equal(ks_cursor_be64(&c->out), 0x40);
        (void)ks_cursor_take(&c->out, 10);
        assert_int_equal(ks_cursor_be32(&c->out), sizeof(ed25519));
        assert_memory_equal(ks_cursor_take(&c->out, sizeof(ed25519)).data, ed25519, sizeof(ed25519));
        (void)ks_cursor_take(&c->out, 10);
        if (private)
            continue;
        assert_int_equal(ks_cursor_be32(&c->out), sizeof(point));
        assert_memory_equal(ks_cursor_take(&c->out, sizeof(point)).data, point, sizeof(point));
    }
    /* Pairs are made by the curve's OID or its name; ECDSA is not for them, nor is the other mechanism. */
    static const char name[] = "\x13\x0c"
                               "edwards25519";
    u64(c, s->session);
    u64(c, 0x1055);
    u8(c, 0);
    u32(c, 1);
    bytes_attr(c, 0x180, name, sizeof(name) - 1);
    u32(c, 0);
    GIVES(c, C_GENERATEKEYPAIR, OK);
    (void)ks_cursor_be64(&c->out);
    const uint64_t made = ks_cursor_be64(&c->out);
    init_with(s, KMIP_PKCS_11_FUNCTION_C_SIGNINIT, 0x1044, made, true, KMIP_PKCS_11_RETURN_CODE_KEY_TYPE_INCONSISTENT);
    init_with(s, KMIP_PKCS_11_FUNCTION_C_SIGNINIT, 0x1057, made, true, 0);
    u64(c, s->session);
    u64(c, 0x1040);
    u8(c, 0);
    u32(c, 1);
    bytes_attr(c, 0x180, ed25519, sizeof(ed25519));
    u32(c, 0);
    GIVES(c, C_GENERATEKEYPAIR, CURVE_NOT_SUPPORTED);
    u64(c, s->session);
    u32(c, 1);
    number_attr(c, 0x100, 0x40);
    GIVES(c, C_FINDOBJECTSINIT, OK);
    u64(c, s->session);
    u64(c, 100);
    GIVES(c, C_FINDOBJECTS, OK);
    assert_int_equal(ks_cursor_be32(&c->out), 4);
}

/* ECDSA of a digest is what the mechanism that computes the digest makes, both ways; keys on other curves are other
 * keys. */
static void
test_ecdsa_of_a_digest(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    static const uint8_t abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                  0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                  0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    u64(c, s->session);
    u64(c, 0x1040);
    u8(c, 0);
    u32(c, 1);
    bytes_attr(c, 0x180, p256, sizeof(p256));
    u32(c, 0);
    GIVES(c, C_GENERATEKEYPAIR, OK);
    const uint64_t public = ks_cursor_be64(&c->out), private = ks_cursor_be64(&c->out);
    for (int raw = 0; raw < 2; raw++) {
        uint8_t signature[64];
        init_with(s, KMIP_PKCS_11_FUNCTION_C_SIGNINIT, raw ? 0x1041 : 0x1044, private, true, 0);
        u64(c, s->session);
        bytes(c, raw ? (const void *)abc : "abc", raw ? sizeof(abc) : 3);
        space(c, true, sizeof(signature));
        GIVES(c, C_SIGN, OK);
        (void)ks_cursor_take(&c->out, 5);
        memcpy(signature, ks_cursor_take(&c->out, sizeof(signature)).data, sizeof(signature));
        init_with(s, KMIP_PKCS_11_FUNCTION_C_VERIFYINIT, raw ? 0x1044 : 0x1041, public, true, 0);
        u64(c, s->session);
        bytes(c, raw ? "abc" : (const void *)abc, raw ? 3 : sizeof(abc));
        bytes(c, signature, sizeof(signature));
        GIVES(c, C_VERIFY, OK);
    }
    u64(c, s->session);
    u32(c, 1);
    number_attr(c, 0x100, 0x41); /* Montgomery: KMIP calls both EC */
    GIVES(c, C_FINDOBJECTSINIT, OK);
    u64(c, s->session);
    u64(c, 100);
    GIVES(c, C_FINDOBJECTS, OK);
    assert_int_equal(ks_cursor_be32(&c->out), 0);
}

/* A digest that goes over a key too, and one beside an encryption. */
static void
test_digest_of_more(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const uint8_t abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea};
    static const uint8_t iv[20] = {0, 0, 0, 16}, block[16];
    u64(c, s->session);
    u32(c, 3);
    number_attr(c, 0, 4);
    number_attr(c, 0x100, 0x10);
    bytes_attr(c, 0x11, "bc", 2);
    GIVES(c, C_CREATEOBJECT, OK);
    const uint64_t key = ks_cursor_be64(&c->out);
    u64(c, s->session);
    u64(c, key);
    GIVES(c, C_DIGESTKEY, OPERATION_NOT_INITIALIZED);
    for (int sensitive = 0; sensitive < 2; sensitive++) {
        init_with(s, KMIP_PKCS_11_FUNCTION_C_DIGESTINIT, 0x250, 0, false, 0);
        u64(c, s->session);
        bytes(c, "a", 1);
        GIVES(c, C_DIGESTUPDATE, OK);
        u64(c, s->session);
        u64(c, key);
        call_gives(c, KMIP_PKCS_11_FUNCTION_C_DIGESTKEY, sensitive ? KMIP_PKCS_11_RETURN_CODE_KEY_INDIGESTIBLE : 0);
        u64(c, s->session);
        space(c, true, 32);
        GIVES(c, C_DIGESTFINAL, OK);
        (void)ks_cursor_take(&c->out, 5);
        const bool whole = memcmp(ks_cursor_take(&c->out, 32).data, abc, sizeof(abc)) == 0;
        assert_true(whole == !sensitive);
        u64(c, s->session);
        u64(c, key);
        u32(c, 1);
        bool_attr(c, 0x103, true);
        GIVES(c, C_SETATTRIBUTEVALUE, OK);
    }
    u64(c, s->session);
    u32(c, 3);
    number_attr(c, 0, 4);
    number_attr(c, 0x100, 0x1f);
    bytes_attr(c, 0x11, block, sizeof(block));
    GIVES(c, C_CREATEOBJECT, OK);
    const uint64_t aes = ks_cursor_be64(&c->out);
    init_with(s, KMIP_PKCS_11_FUNCTION_C_DIGESTINIT, 0x250, 0, false, 0);
    u64(c, s->session);
    bytes(c, "abc", 3);
    space(c, true, 64);
    GIVES(c, C_DIGESTENCRYPTUPDATE, OPERATION_NOT_INITIALIZED);
    u64(c, s->session);
    u64(c, 0x1085);
    u8(c, 1);
    bytes(c, iv, sizeof(iv));
    u64(c, aes);
    GIVES(c, C_ENCRYPTINIT, OK);
    u64(c, s->session);
    bytes(c, "abc", 3);
    space(c, true, 64);
    GIVES(c, C_DIGESTENCRYPTUPDATE, OK);
    u64(c, s->session);
    space(c, true, 64);
    GIVES(c, C_DIGESTFINAL, OK);
    (void)ks_cursor_take(&c->out, 5);
    assert_memory_equal(ks_cursor_take(&c->out, 32).data, abc, sizeof(abc));
    u64(c, s->session);
    space(c, true, 64);
    GIVES(c, C_ENCRYPTFINAL, OK);
    assert_int_equal(ks_cursor_u8(&c->out), 1);
    assert_int_equal(ks_cursor_be32(&c->out), 16);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_digest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hmac, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ecdsa, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rsa, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_eddsa, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ecdsa_of_a_digest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_digest_of_more, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
