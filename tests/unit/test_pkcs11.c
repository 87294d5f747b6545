/* The operation PKCS#11: functions of another interface, marshalled as its profile says, on the same keys. */
#include "pkcs11_call.h"

/* AES 256, usable for what the template says. */
static uint64_t
generate(struct state *s, const char *label, bool sensitive)
{
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, 0x1080);
    u8(c, 0);
    u32(c, 7);
    number_attr(c, 0x161, 32);
    bytes_attr(c, 3, label, strlen(label));
    bytes_attr(c, 0x102, "\1\2", 2);
    bool_attr(c, 0x104, true);
    bool_attr(c, 0x105, true);
    bool_attr(c, 0x103, sensitive);
    bool_attr(c, 1, true);
    GIVES(c, C_GENERATEKEY, OK);
    const uint64_t handle = ks_cursor_be64(&c->out);
    nothing_left(c);
    return handle;
}

static void
init_aes(struct state *s, uint32_t function, uint64_t mechanism, const void *iv, size_t iv_len, uint64_t key,
         uint32_t code)
{
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, mechanism);
    u8(c, iv_len != 0);
    if (iv_len != 0) {
        u32(c, (uint32_t)iv_len + 4);
        bytes(c, iv, iv_len);
    }
    u64(c, key);
    call_gives(c, function, code);
}

static void
test_info(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    GIVES(c, C_GETINFO, OK);
    assert_int_equal(ks_cursor_left(&c->out), 76);
    assert_int_equal(ks_cursor_u8(&c->out), 3);
    space(c, false, 0);
    start(c);
    u8(c, 1);
    space(c, false, 0);
    GIVES(c, C_GETSLOTLIST, OK);
    assert_int_equal(ks_cursor_u8(&c->out), 0);
    assert_int_equal(ks_cursor_be32(&c->out), 1);
    nothing_left(c);
    u8(c, 1);
    space(c, true, 1);
    GIVES(c, C_GETSLOTLIST, OK);
    assert_int_equal(ks_cursor_u8(&c->out), 1);
    assert_int_equal(ks_cursor_be32(&c->out), 1);
    assert_int_equal(ks_cursor_be64(&c->out), 1);
    nothing_left(c);
    u64(c, 1);
    GIVES(c, C_GETSLOTINFO, OK);
    assert_int_equal(ks_cursor_left(&c->out), 64 + 32 + 8 + 4);
    u64(c, 1);
    GIVES(c, C_GETTOKENINFO, OK);
    assert_int_equal(ks_cursor_left(&c->out), 32 + 32 + 16 + 16 + 11 * 8 + 4 + 16);
    u64(c, 2);
    GIVES(c, C_GETTOKENINFO, SLOT_ID_INVALID);
    u64(c, 1);
    space(c, true, 1);
    GIVES(c, C_GETMECHANISMLIST, BUFFER_TOO_SMALL);
    assert_int_equal(ks_cursor_u8(&c->out), 0);
    const uint32_t n = ks_cursor_be32(&c->out);
    assert_true(n > 5);
    u64(c, 1);
    space(c, true, n);
    GIVES(c, C_GETMECHANISMLIST, OK);
    assert_int_equal(ks_cursor_left(&c->out), 5 + 8 * (size_t)n);
    u64(c, 1);
    u64(c, 0x1087);
    GIVES(c, C_GETMECHANISMINFO, OK);
    assert_int_equal(ks_cursor_be64(&c->out), 16);
    assert_int_equal(ks_cursor_be64(&c->out), 32);
    assert_int_equal(ks_cursor_be64(&c->out), 0x300);
    u64(c, 1);
    u64(c, 0x99999);
    GIVES(c, C_GETMECHANISMINFO, MECHANISM_INVALID);
}

static void
test_what_is_not_offered(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    u64(c, s->session);
    GIVES(c, C_INITPIN, FUNCTION_NOT_SUPPORTED);
    GIVES(c, C_MESSAGEENCRYPTINIT, FUNCTION_NOT_SUPPORTED);
    struct kmip_pkcs_11_request r = request_of(c, 0x80000001);
    talk_refused(&s->talk, KMIP_OPERATION_PKCS_11, &r, KMIP_RESULT_REASON_PKCS_11_INVALID_FUNCTION);
    r = request_of(c, KMIP_PKCS_11_FUNCTION_C_GETINFO);
    r.pkcs_11_interface = KS_LIT("Vendor");
    r.has_pkcs_11_interface = true;
    talk_refused(&s->talk, KMIP_OPERATION_PKCS_11, &r, KMIP_RESULT_REASON_PKCS_11_INVALID_INTERFACE);
    r.pkcs_11_interface = KS_LIT("PKCS 11");
    (void)talk_do(&s->talk, KMIP_OPERATION_PKCS_11, &r);
    s->talk.version = KMIP_V1_4;
    talk_refused(&s->talk, KMIP_OPERATION_PKCS_11, &r, KMIP_RESULT_REASON_OPERATION_NOT_SUPPORTED);
}

/* Every call of a working sequence, cut off at every byte and with one too many: none of them does anything. */
static void
test_parameters_that_are_none(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, 0x1080);
    u8(c, 0);
    u32(c, 1);
    number_attr(c, 0x161, 32);
    KS_CLEANUP(ks_buf_done) struct ks_buf good = KS_BUF(1024);
    assert_int_equal(ks_buf_add_span(&good, ks_buf_span(&c->in)), 0);
    for (size_t len = 0; len <= good.len + 1; len++) {
        if (len == good.len)
            continue;
        start(c);
        assert_int_equal(ks_buf_add(&c->in, good.data, len < good.len ? len : good.len), 0);
        if (len > good.len)
            u8(c, 0);
        const struct kmip_pkcs_11_request r = request_of(c, KMIP_PKCS_11_FUNCTION_C_GENERATEKEY);
        talk_refused(&s->talk, KMIP_OPERATION_PKCS_11, &r, KMIP_RESULT_REASON_PKCS_11_CODEC_ERROR);
    }
    start(c);
    u64(c, s->session);
    u32(c, 0);
    GIVES(c, C_FINDOBJECTSINIT, OK);
    u64(c, s->session);
    u64(c, 10);
    GIVES(c, C_FINDOBJECTS, OK);
    assert_int_equal(ks_cursor_be32(&c->out), 0);
}

static void
test_applications_belong_to_their_client(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    const struct ks_span own = c->value;
    s->talk.who = &s->talk.rig.admin;
    GIVES(c, C_GETINFO, CRYPTOKI_NOT_INITIALIZED); /* somebody else's value */
    c->value = KS_SPAN_NONE;
    GIVES(c, C_GETINFO, CRYPTOKI_NOT_INITIALIZED); /* none of one's own */
    initialize(c);
    u64(c, s->session);
    GIVES(c, C_GETSESSIONINFO, SESSION_HANDLE_INVALID);
    GIVES(c, C_FINALIZE, OK);
    GIVES(c, C_GETINFO, CRYPTOKI_NOT_INITIALIZED);
    s->talk.who = &s->talk.rig.client;
    c->value = KS_SPAN_NONE; /* without a value: the one used last */
    GIVES(c, C_GETINFO, OK);
    c->value = own;
    s->talk.rig.now_us += 901 * 1000000LL;
    GIVES(c, C_GETINFO, CRYPTOKI_NOT_INITIALIZED); /* lapsed */
    /* No more of them than one client may have: the oldest goes. */
    initialize(c);
    const struct ks_span first = c->value;
    for (int i = 0; i < 8; i++)
        initialize(c);
    GIVES(c, C_GETINFO, OK);
    c->value = first;
    GIVES(c, C_GETINFO, CRYPTOKI_NOT_INITIALIZED);
    /* What the engine reads anew knows none. */
    c->value = KS_SPAN_NONE;
    GIVES(c, C_GETINFO, OK);
    struct ks_diag diag = {0};
    assert_int_equal(rig_reload(&s->talk.rig, &diag), 0);
    GIVES(c, C_GETINFO, CRYPTOKI_NOT_INITIALIZED);
}

static void
test_sessions(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    u64(c, s->session);
    GIVES(c, C_GETSESSIONINFO, OK);
    assert_int_equal(ks_cursor_be64(&c->out), 1);
    assert_int_equal(ks_cursor_be64(&c->out), 2);
    assert_int_equal(ks_cursor_be64(&c->out), 6);
    u64(c, s->session);
    u64(c, 0);
    bytes(c, "", 0);
    GIVES(c, C_LOGIN, USER_TYPE_INVALID);
    u64(c, s->session);
    u64(c, 1);
    bytes(c, "1234", 4);
    GIVES(c, C_LOGIN, PIN_INCORRECT);
    u64(c, s->session);
    u64(c, 1);
    bytes(c, "", 0);
    GIVES(c, C_LOGIN, OK);
    u64(c, s->session);
    GIVES(c, C_LOGOUT, OK);
    u64(c, s->session);
    GIVES(c, C_LOGOUT, USER_NOT_LOGGED_IN);
    u64(c, 1);
    u64(c, 2);
    GIVES(c, C_OPENSESSION, SESSION_PARALLEL_NOT_SUPPORTED);
    for (int i = 0; i < 15; i++)
        (void)open_session(c, 4);
    u64(c, 1);
    u64(c, 4);
    GIVES(c, C_OPENSESSION, SESSION_COUNT);
    u64(c, 1);
    GIVES(c, C_CLOSEALLSESSIONS, OK);
    u64(c, s->session);
    GIVES(c, C_CLOSESESSION, SESSION_HANDLE_INVALID);
    const uint64_t reader = open_session(c, 4);
    for (int token = 0; token < 2; token++) { /* what it makes is its own, and nothing of the token */
        u64(c, reader);
        u64(c, 0x1080);
        u8(c, 0);
        u32(c, 2);
        number_attr(c, 0x161, 32);
        bool_attr(c, 1, token);
        call_gives(c, KMIP_PKCS_11_FUNCTION_C_GENERATEKEY, token ? KMIP_PKCS_11_RETURN_CODE_SESSION_READ_ONLY : 0);
    }
}

static size_t
find(struct state *s, uint64_t *ret, size_t most)
{
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, most);
    GIVES(c, C_FINDOBJECTS, OK);
    const size_t n = ks_cursor_be32(&c->out);
    for (size_t i = 0; i < n && i < most; i++)
        ret[i] = ks_cursor_be64(&c->out);
    nothing_left(c);
    u64(c, s->session);
    GIVES(c, C_FINDOBJECTSFINAL, OK);
    return n;
}

static void
test_objects(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    uint64_t found[4] = {0};
    const uint64_t one = generate(s, "one", false), two = generate(s, "two", true);
    u64(c, s->session);
    u32(c, 3);
    number_attr(c, 0, 4);
    bytes_attr(c, 3, "one", 3);
    bytes_attr(c, 0x102, "\1\2", 2);
    GIVES(c, C_FINDOBJECTSINIT, OK);
    assert_int_equal(find(s, found, 4), 1);
    assert_int_equal(found[0], one);
    u64(c, s->session);
    u32(c, 1);
    bool_attr(c, 0x103, true);
    GIVES(c, C_FINDOBJECTSINIT, OK);
    assert_int_equal(find(s, found, 4), 1);
    assert_int_equal(found[0], two);
    u64(c, s->session);
    u32(c, 1);
    bool_attr(c, 1, false); /* objects of the session: there are none */
    GIVES(c, C_FINDOBJECTSINIT, OK);
    assert_int_equal(find(s, found, 4), 0);

    u64(c, s->session);
    u64(c, one);
    u32(c, 6);
    asked_attr(c, 0);
    asked_attr(c, 0x100);
    asked_attr(c, 3);
    asked_attr(c, 0x104);
    asked_attr(c, 0x108);
    asked_attr(c, 0x11);
    GIVES(c, C_GETATTRIBUTEVALUE, OK);
    assert_int_equal(ks_cursor_be32(&c->out), 6);
    static const uint64_t types[] = {0, 0x100}, values[] = {4, 0x1f};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(ks_cursor_be64(&c->out), types[i]);
        assert_int_equal(ks_cursor_u8(&c->out), 1);
        assert_int_equal(ks_cursor_u8(&c->out), 1);
        assert_int_equal(ks_cursor_be64(&c->out), values[i]);
    }
    assert_int_equal(ks_cursor_be64(&c->out), 3);
    (void)ks_cursor_take(&c->out, 2);
    assert_int_equal(ks_cursor_be32(&c->out), 3);
    assert_true(ks_span_is(ks_cursor_take(&c->out, 3), "one"));
    static const struct {
        uint64_t type;
        uint8_t value;
    } flags[] = {{0x104, 1}, {0x108, 0}};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(ks_cursor_be64(&c->out), flags[i].type);
        (void)ks_cursor_take(&c->out, 2);
        assert_int_equal(ks_cursor_u8(&c->out), flags[i].value);
    }
    assert_int_equal(ks_cursor_be64(&c->out), 0x11);
    (void)ks_cursor_take(&c->out, 2);
    assert_int_equal(ks_cursor_be32(&c->out), 32);
    (void)ks_cursor_take(&c->out, 32);
    nothing_left(c);

    /* What is sensitive does not leave, and the rest is there all the same. */
    u64(c, s->session);
    u64(c, two);
    u32(c, 2);
    asked_attr(c, 0x11);
    asked_attr(c, 0x161);
    GIVES(c, C_GETATTRIBUTEVALUE, ATTRIBUTE_SENSITIVE);
    assert_int_equal(ks_cursor_be32(&c->out), 2);
    (void)ks_cursor_take(&c->out, 8);
    assert_int_equal(ks_cursor_u8(&c->out), 0);
    assert_int_equal(ks_cursor_u8(&c->out), 0);
    assert_int_equal(ks_cursor_be64(&c->out), 0x161);
    (void)ks_cursor_take(&c->out, 2);
    assert_int_equal(ks_cursor_be64(&c->out), 32);
    nothing_left(c);
    assert_non_null(strstr(records(&s->talk), "\"status\":\"failed\""));
    assert_non_null(strstr(records(&s->talk), "C_GetAttributeValue: ATTRIBUTE_SENSITIVE"));

    u64(c, s->session);
    u64(c, one);
    GIVES(c, C_DESTROYOBJECT, OK);
    u64(c, s->session);
    u64(c, one);
    u32(c, 1);
    asked_attr(c, 0x11);
    (void)call(c, KMIP_PKCS_11_FUNCTION_C_GETATTRIBUTEVALUE);
    assert_int_not_equal(c->code, 0);
    u64(c, s->session);
    u64(c, 777);
    GIVES(c, C_DESTROYOBJECT, OBJECT_HANDLE_INVALID);
}

/* A key that was handed out was handed out, whatever else the same call asked for in vain: so the record says. */
static void
test_a_value_beside_a_failure_is_on_record(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    const uint64_t key = generate(s, "one", false);
    u64(c, s->session);
    u64(c, key);
    u32(c, 2);
    asked_attr(c, 0x11);
    asked_attr(c, 0x120); /* a modulus, which it has not */
    GIVES(c, C_GETATTRIBUTEVALUE, ATTRIBUTE_TYPE_INVALID);
    assert_int_equal(ks_cursor_be32(&c->out), 2);
    assert_int_equal(ks_cursor_be64(&c->out), 0x11);
    (void)ks_cursor_take(&c->out, 2);
    assert_int_equal(ks_cursor_be32(&c->out), 32);
    assert_non_null(strstr(records(&s->talk), "plaintext"));
    assert_non_null(strstr(records(&s->talk), "\"status\":\"success\""));
    assert_null(strstr(records(&s->talk), "\"status\":\"failed\""));
    assert_non_null(strstr(records(&s->talk), "C_GetAttributeValue: ATTRIBUTE_TYPE_INVALID"));
}

static void
test_templates_that_do_not_do(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const struct {
        uint64_t type, value;
        uint32_t code;
    } rows[] = {
        {0, 2, KMIP_PKCS_11_RETURN_CODE_TEMPLATE_INCONSISTENT},
        {0x100, 0, KMIP_PKCS_11_RETURN_CODE_TEMPLATE_INCONSISTENT},
        {0x80, 0, KMIP_PKCS_11_RETURN_CODE_ATTRIBUTE_READ_ONLY},
        {0x161, 32, KMIP_PKCS_11_RETURN_CODE_TEMPLATE_INCONSISTENT}, /* twice */
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        u64(c, s->session);
        u64(c, 0x1080);
        u8(c, 0);
        u32(c, 2);
        number_attr(c, 0x161, 32);
        number_attr(c, rows[i].type, rows[i].value);
        call_gives(c, KMIP_PKCS_11_FUNCTION_C_GENERATEKEY, rows[i].code);
    }
    u64(c, s->session);
    u64(c, 0x1080);
    u8(c, 0);
    u32(c, 0);
    GIVES(c, C_GENERATEKEY, TEMPLATE_INCOMPLETE);
    u64(c, s->session);
    u64(c, 0x1080);
    u8(c, 0);
    u32(c, 1);
    number_attr(c, 0x161, 17);
    GIVES(c, C_GENERATEKEY, ATTRIBUTE_VALUE_INVALID);
    u64(c, s->session);
    u32(c, 1);
    number_attr(c, 0x999, 17);
    GIVES(c, C_FINDOBJECTSINIT, ATTRIBUTE_TYPE_INVALID);
    u64(c, s->session);
    u32(c, 65);
    GIVES(c, C_FINDOBJECTSINIT, ARGUMENTS_BAD);
}

/* NIST SP 800-38A, F.2.1: the key comes by C_CreateObject. */
static void
test_encrypt_known_answer(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const uint8_t key[] = {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
                                  0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c};
    static const uint8_t iv[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    static const uint8_t plain[] = {0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96,
                                    0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a};
    static const uint8_t cipher[] = {0x76, 0x49, 0xab, 0xac, 0x81, 0x19, 0xb2, 0x46,
                                     0xce, 0xe9, 0x8e, 0x9b, 0x12, 0xe9, 0x19, 0x7d};
    u64(c, s->session);
    u32(c, 3);
    number_attr(c, 0, 4);
    number_attr(c, 0x100, 0x1f);
    bytes_attr(c, 0x11, key, sizeof(key));
    GIVES(c, C_CREATEOBJECT, OK);
    const uint64_t handle = ks_cursor_be64(&c->out);

    init_aes(s, KMIP_PKCS_11_FUNCTION_C_ENCRYPTINIT, 0x1082, iv, sizeof(iv), handle, 0);
    init_aes(s, KMIP_PKCS_11_FUNCTION_C_ENCRYPTINIT, 0x1082, iv, sizeof(iv), handle,
             KMIP_PKCS_11_RETURN_CODE_OPERATION_ACTIVE);
    u64(c, s->session); /* how long will it be? */
    bytes(c, plain, sizeof(plain));
    space(c, false, 0);
    GIVES(c, C_ENCRYPT, OK);
    assert_int_equal(ks_cursor_u8(&c->out), 0);
    assert_true(ks_cursor_be32(&c->out) >= sizeof(cipher));
    u64(c, s->session); /* too little room: it goes on */
    bytes(c, plain, sizeof(plain));
    space(c, true, 15);
    GIVES(c, C_ENCRYPT, BUFFER_TOO_SMALL);
    assert_int_equal(ks_cursor_u8(&c->out), 0);
    assert_int_equal(ks_cursor_be32(&c->out), 16);
    nothing_left(c);
    u64(c, s->session);
    bytes(c, plain, sizeof(plain));
    space(c, true, 16);
    GIVES(c, C_ENCRYPT, OK);
    assert_int_equal(ks_cursor_u8(&c->out), 1);
    assert_int_equal(ks_cursor_be32(&c->out), 16);
    assert_memory_equal(ks_cursor_take(&c->out, 16).data, cipher, 16);
    nothing_left(c);
    u64(c, s->session);
    bytes(c, plain, sizeof(plain));
    space(c, true, 16);
    GIVES(c, C_ENCRYPT, OPERATION_NOT_INITIALIZED);

    /* And back, in parts. */
    init_aes(s, KMIP_PKCS_11_FUNCTION_C_DECRYPTINIT, 0x1082, iv, sizeof(iv), handle, 0);
    for (size_t i = 0; i < 16; i += 4) {
        u64(c, s->session);
        bytes(c, cipher + i, 4);
        space(c, true, 64);
        GIVES(c, C_DECRYPTUPDATE, OK);
    }
    u64(c, s->session);
    space(c, true, 64);
    GIVES(c, C_DECRYPTFINAL, OK);
    assert_int_equal(ks_cursor_u8(&c->out), 1);
    assert_int_equal(ks_cursor_be32(&c->out), 16);
    assert_memory_equal(ks_cursor_take(&c->out, 16).data, plain, 16);
}

static void
init_gcm(struct state *s, uint32_t function, const char *aad, uint64_t key)
{
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, 0x1087);
    u8(c, 1);
    u32(c, (uint32_t)(4 + 12 + 8 + 4 + strlen(aad) + 8));
    bytes(c, "twelve bytes", 12);
    u64(c, 96);
    bytes(c, aad, strlen(aad));
    u64(c, 128);
    u64(c, key);
    call_gives(c, function, 0);
}

static void
test_gcm(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    uint8_t sealed[21];
    const uint64_t key = generate(s, "gcm", true);
    init_gcm(s, KMIP_PKCS_11_FUNCTION_C_ENCRYPTINIT, "aad", key);
    u64(c, s->session);
    bytes(c, "hello", 5);
    space(c, true, 64);
    GIVES(c, C_ENCRYPT, OK);
    (void)ks_cursor_u8(&c->out);
    assert_int_equal(ks_cursor_be32(&c->out), sizeof(sealed)); /* the tag is behind the data */
    memcpy(sealed, ks_cursor_take(&c->out, sizeof(sealed)).data, sizeof(sealed));
    init_gcm(s, KMIP_PKCS_11_FUNCTION_C_DECRYPTINIT, "aad", key);
    u64(c, s->session);
    bytes(c, sealed, sizeof(sealed));
    space(c, true, 64);
    GIVES(c, C_DECRYPT, OK);
    (void)ks_cursor_u8(&c->out);
    assert_int_equal(ks_cursor_be32(&c->out), 5);
    assert_true(ks_span_is(ks_cursor_take(&c->out, 5), "hello"));
    init_gcm(s, KMIP_PKCS_11_FUNCTION_C_DECRYPTINIT, "aax", key);
    u64(c, s->session);
    bytes(c, sealed, sizeof(sealed));
    space(c, true, 64);
    GIVES(c, C_DECRYPT, ENCRYPTED_DATA_INVALID);
    init_gcm(s, KMIP_PKCS_11_FUNCTION_C_DECRYPTINIT, "aad", key);
    u64(c, s->session);
    bytes(c, sealed, 8);
    space(c, true, 64);
    GIVES(c, C_DECRYPT, ENCRYPTED_DATA_LEN_RANGE);
}

/* The checks are KMIP's: mask, state, kind of key, and whose it is. */
static void
test_keys_that_may_not(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const uint8_t iv[16];
    s->talk.who = &s->talk.rig.admin;
    initialize(c);
    s->session = open_session(c, 6);
    const uint64_t key = generate(s, "mine", true);
    const uint32_t function = KMIP_PKCS_11_FUNCTION_C_ENCRYPTINIT;
    init_aes(s, function, 0x1082, iv, 15, key, KMIP_PKCS_11_RETURN_CODE_MECHANISM_PARAM_INVALID);
    init_aes(s, function, 0x1082, NULL, 0, key, KMIP_PKCS_11_RETURN_CODE_MECHANISM_PARAM_INVALID);
    init_aes(s, function, 0x1081, iv, 16, key, KMIP_PKCS_11_RETURN_CODE_MECHANISM_PARAM_INVALID);
    init_aes(s, function, 0x1080, NULL, 0, key, KMIP_PKCS_11_RETURN_CODE_MECHANISM_INVALID);
    init_aes(s, function, 0x0009, NULL, 0, key, KMIP_PKCS_11_RETURN_CODE_MECHANISM_PARAM_INVALID);
    init_aes(s, function, 0x0001, NULL, 0, key, KMIP_PKCS_11_RETURN_CODE_KEY_TYPE_INCONSISTENT);
    init_aes(s, function, 0x1082, iv, 16, 99, KMIP_PKCS_11_RETURN_CODE_KEY_HANDLE_INVALID);

    /* A key that KMIP made, without the right to encrypt; then one that is not in use yet. */
    const char *mac = make_key(&s->talk, "only MAC", KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE);
    (void)mac;
    (void)make_key(&s->talk, "not active", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    static const char *const labels[] = {"only MAC", "not active"};
    uint64_t handles[2];
    for (size_t i = 0; i < 2; i++) {
        u64(c, s->session);
        u32(c, 1);
        bytes_attr(c, 3, labels[i], strlen(labels[i]));
        GIVES(c, C_FINDOBJECTSINIT, OK);
        assert_int_equal(find(s, &handles[i], 1), 1);
    }
    init_aes(s, function, 0x1082, iv, 16, handles[0], KMIP_PKCS_11_RETURN_CODE_KEY_FUNCTION_NOT_PERMITTED);
    init_aes(s, function, 0x1082, iv, 16, handles[1], 0);
    u64(c, s->session);
    bytes(c, iv, 16);
    space(c, true, 64);
    GIVES(c, C_ENCRYPT, ACTION_PROHIBITED);

    /* Another client sees none of them, whatever number it says. */
    s->talk.who = &s->talk.rig.client;
    initialize(c);
    s->session = open_session(c, 6);
    u64(c, s->session);
    u32(c, 0);
    GIVES(c, C_FINDOBJECTSINIT, OK);
    uint64_t none;
    assert_int_equal(find(s, &none, 1), 0);
    init_aes(s, function, 0x1082, iv, 16, key, KMIP_PKCS_11_RETURN_CODE_KEY_HANDLE_INVALID);
}

/* Parts are bounded for one operation. */
static void
test_parts_are_bounded(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const uint8_t iv[16], block[65536];
    const uint64_t key = generate(s, "large", true);
    init_aes(s, KMIP_PKCS_11_FUNCTION_C_ENCRYPTINIT, 0x1085, iv, 16, key, 0);
    for (int i = 0; i < 8; i++) {
        u64(c, s->session);
        bytes(c, block, sizeof(block));
        space(c, true, 1 << 20);
        GIVES(c, C_ENCRYPTUPDATE, OK);
    }
    u64(c, s->session);
    bytes(c, block, 1);
    space(c, true, 1 << 20);
    GIVES(c, C_ENCRYPTUPDATE, DEVICE_MEMORY);
    u64(c, s->session);
    space(c, true, 1 << 20);
    GIVES(c, C_ENCRYPTFINAL, OPERATION_NOT_INITIALIZED);
    init_aes(s, KMIP_PKCS_11_FUNCTION_C_ENCRYPTINIT, 0x1085, iv, 16, key, 0);
    u64(c, s->session);
    u64(c, 0x100);
    GIVES(c, C_SESSIONCANCEL, OK);
    init_aes(s, KMIP_PKCS_11_FUNCTION_C_ENCRYPTINIT, 0x1085, iv, 16, key, 0);
}

static void
test_pairs(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    u64(c, s->session);
    u64(c, 0x1040);
    u8(c, 0);
    u32(c, 1);
    bytes_attr(c, 0x180, p256, sizeof(p256));
    u32(c, 2);
    bool_attr(c, 0x103, true);
    bool_attr(c, 0x108, true);
    GIVES(c, C_GENERATEKEYPAIR, OK);
    const uint64_t public = ks_cursor_be64(&c->out), private = ks_cursor_be64(&c->out);
    nothing_left(c);
    assert_int_not_equal(public, private);
    u64(c, s->session);
    u64(c, public);
    u32(c, 4);
    asked_attr(c, 0);
    asked_attr(c, 0x100);
    asked_attr(c, 0x180);
    asked_attr(c, 0x181);
    GIVES(c, C_GETATTRIBUTEVALUE, OK);
    (void)ks_cursor_take(&c->out, 4 + 10);
    assert_int_equal(ks_cursor_be64(&c->out), 2);
    (void)ks_cursor_take(&c->out, 10);
    assert_int_equal(ks_cursor_be64(&c->out), 3);
    (void)ks_cursor_take(&c->out, 10);
    assert_int_equal(ks_cursor_be32(&c->out), sizeof(p256));
    assert_memory_equal(ks_cursor_take(&c->out, sizeof(p256)).data, p256, sizeof(p256));
    (void)ks_cursor_take(&c->out, 10);
    assert_int_equal(ks_cursor_be32(&c->out), 67);
    assert_memory_equal(ks_cursor_take(&c->out, 67).data, "\x04\x41\x04", 3);
    nothing_left(c);
    u64(c, s->session);
    u64(c, private);
    u32(c, 1);
    asked_attr(c, 0x11);
    GIVES(c, C_GETATTRIBUTEVALUE, ATTRIBUTE_SENSITIVE);
    /* A curve that is not known, and a template without one. */
    u64(c, s->session);
    u64(c, 0x1040);
    u8(c, 0);
    u32(c, 1);
    bytes_attr(c, 0x180, p256, sizeof(p256) - 1);
    u32(c, 0);
    GIVES(c, C_GENERATEKEYPAIR, CURVE_NOT_SUPPORTED);
    u64(c, s->session);
    u64(c, 0x1040);
    u8(c, 0);
    u32(c, 0);
    u32(c, 0);
    GIVES(c, C_GENERATEKEYPAIR, TEMPLATE_INCOMPLETE);
}

static void
test_random(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    u64(c, s->session);
    u32(c, 20);
    GIVES(c, C_GENERATERANDOM, OK);
    assert_int_equal(ks_cursor_be32(&c->out), 20);
    assert_int_equal(ks_cursor_left(&c->out), 20);
    u64(c, s->session);
    u32(c, UINT32_MAX);
    (void)call(c, KMIP_PKCS_11_FUNCTION_C_GENERATERANDOM);
    assert_int_not_equal(c->code, 0);
}

/* The request's ticket: of a Delegated Login with one right, for those operations and so many uses. */
static void
present_ticket(struct talk *t, uint32_t *may, size_t n, int64_t uses)
{
    struct kmip_operations operations = {.operation = may, .n_operation = n};
    struct kmip_usage_limits limits = {.usage_limits_total = uses, .usage_limits_unit = KMIP_USAGE_LIMITS_UNIT_OBJECT};
    struct kmip_right right = {.operations = &operations, .usage_limits = &limits};
    struct kmip_right *list[] = {&right};
    struct kmip_rights rights = {.right = list, .n_right = 1};
    const struct kmip_delegated_login_request r = {.rights = &rights};
    t->authentication = NULL;
    const struct kmip_delegated_login_response *got = talk_do(t, KMIP_OPERATION_DELEGATED_LOGIN, &r);
    const struct kmip_ticket_credential shown = {.ticket = got->ticket};
    t->authentication = ks_arena_alloc(&t->arena, sizeof(*t->authentication));
    t->authentication->credential = ks_arena_alloc(&t->arena, sizeof(void *));
    t->authentication->credential[0] = ks_arena_alloc(&t->arena, sizeof(struct kmip_credential));
    t->authentication->n_credential = 1;
    struct kmip_credential *c = t->authentication->credential[0];
    c->credential_type = KMIP_CREDENTIAL_TYPE_TICKET;
    assert_int_equal(
        kmip_item_encode(&kmip_schema_ticket_credential, KMIP_V2_1, &shown, &t->arena, &c->credential_value), 0);
}

/* What a ticket does not reach by KMIP it does not reach this way either, and uses are counted. */
static void
test_tickets(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    uint32_t calls[] = {KMIP_OPERATION_PKCS_11, KMIP_OPERATION_RNG_RETRIEVE};
    present_ticket(&s->talk, calls, 1, 10);
    u64(c, s->session);
    u32(c, 20);
    GIVES(c, C_GENERATERANDOM, ACTION_PROHIBITED);
    u64(c, s->session);
    u64(c, 0x1080);
    u8(c, 0);
    u32(c, 1);
    number_attr(c, 0x161, 32);
    GIVES(c, C_GENERATEKEY, ACTION_PROHIBITED);
    present_ticket(&s->talk, calls, 2, 2);
    for (unsigned i = 0; i < 3; i++) {
        u64(c, s->session);
        u32(c, 20);
        call_gives(c, KMIP_PKCS_11_FUNCTION_C_GENERATERANDOM,
                   i < 2 ? KMIP_PKCS_11_RETURN_CODE_OK : KMIP_PKCS_11_RETURN_CODE_ACTION_PROHIBITED);
    }
    s->talk.authentication = NULL;
    u64(c, s->session);
    u32(c, 20);
    GIVES(c, C_GENERATERANDOM, OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_info, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_not_offered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parameters_that_are_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_applications_belong_to_their_client, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sessions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_objects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_value_beside_a_failure_is_on_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_templates_that_do_not_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_encrypt_known_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gcm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_that_may_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pairs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_random, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tickets, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
