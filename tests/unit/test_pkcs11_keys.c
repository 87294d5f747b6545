/* The operation PKCS#11: keys wrapped, unwrapped, derived, copied and changed. */
#include "pkcs11_call.h"
#include "server/engine/ctx.h"

enum { CODE_OK = KMIP_PKCS_11_RETURN_CODE_OK };
#define CODE(name) KMIP_PKCS_11_RETURN_CODE_##name
#define P256 "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
#define X25519 "\x06\x03\x2b\x65\x6e"

static const uint8_t kek_bytes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const uint8_t key_bytes_given[] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                          0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
/* RFC 3394, 4.1 */
static const uint8_t wrapped_bytes[] = {0x1f, 0xa6, 0x8b, 0x0a, 0x81, 0x12, 0xb4, 0x47, 0xae, 0xf3, 0x4b, 0xd8,
                                        0xfb, 0x5a, 0x7b, 0x82, 0x9d, 0x3e, 0x86, 0x23, 0x71, 0xd2, 0xcf, 0xe5};

/* A secret key of the session, for two uses (attribute types, 0: none). */
static uint64_t
create(struct state *s, uint64_t key_type, const void *value, size_t len, uint64_t use, uint64_t use2)
{
    struct call *c = &s->c;
    u64(c, s->session);
    u32(c, 3 + (use != 0) + (use2 != 0));
    number_attr(c, 0, 4);
    number_attr(c, 0x100, key_type);
    bytes_attr(c, 0x11, value, len);
    if (use != 0)
        bool_attr(c, use, true);
    if (use2 != 0)
        bool_attr(c, use2, true);
    GIVES(c, C_CREATEOBJECT, OK);
    return ks_cursor_be64(&c->out);
}

static void
mechanism(struct call *c, uint64_t value, const void *parameter, size_t len)
{
    u64(c, value);
    u8(c, parameter != NULL);
    if (parameter != NULL)
        bytes(c, parameter, len);
}

static struct ks_span
wrap_at(struct state *s, uint64_t how, const void *parameter, size_t len, uint64_t kek, uint64_t key, uint32_t code,
        int line)
{
    struct call *c = &s->c;
    u64(c, s->session);
    mechanism(c, how, parameter, len);
    u64(c, kek);
    u64(c, key);
    space(c, true, 4096);
    call_gives_at(c, KMIP_PKCS_11_FUNCTION_C_WRAPKEY, code, line);
    if (code != CODE_OK)
        return KS_SPAN_NONE;
    assert_int_equal(ks_cursor_u8(&c->out), 1);
    const uint32_t n = ks_cursor_be32(&c->out);
    const struct ks_span out = ks_cursor_take(&c->out, n);
    nothing_left(c);
    return out;
}
#define wrap(s, how, parameter, len, kek, key, code) wrap_at(s, how, parameter, len, kek, key, code, __LINE__)

static uint64_t
unwrap_at(struct state *s, uint64_t how, const void *parameter, size_t len, uint64_t kek, struct ks_span wrapped,
          uint64_t object_class, uint64_t key_type, uint32_t code, int line)
{
    struct call *c = &s->c;
    u64(c, s->session);
    mechanism(c, how, parameter, len);
    u64(c, kek);
    bytes(c, wrapped.data, wrapped.len);
    u32(c, 2);
    number_attr(c, 0, object_class);
    number_attr(c, 0x100, key_type);
    call_gives_at(c, KMIP_PKCS_11_FUNCTION_C_UNWRAPKEY, code, line);
    return code == CODE_OK ? ks_cursor_be64(&c->out) : 0;
}
#define unwrap(s, how, parameter, len, kek, wrapped, object_class, key_type, code)                                     \
    unwrap_at(s, how, parameter, len, kek, wrapped, object_class, key_type, code, __LINE__)

static struct ks_span
value_at(struct state *s, uint64_t key, uint64_t type, uint32_t code, int line)
{
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, key);
    u32(c, 1);
    asked_attr(c, type);
    call_gives_at(c, KMIP_PKCS_11_FUNCTION_C_GETATTRIBUTEVALUE, code, line);
    (void)ks_cursor_take(&c->out, 4 + 10);
    if (code != CODE_OK)
        return KS_SPAN_NONE;
    const uint32_t n = ks_cursor_be32(&c->out);
    return ks_cursor_take(&c->out, n);
}
#define value(s, key, type, code) value_at(s, key, type, code, __LINE__)

static bool
flag(struct state *s, uint64_t key, uint64_t type)
{
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, key);
    u32(c, 1);
    asked_attr(c, type);
    GIVES(c, C_GETATTRIBUTEVALUE, OK);
    (void)ks_cursor_take(&c->out, 4 + 10);
    return ks_cursor_u8(&c->out) != 0;
}

static void
set_flag_at(struct state *s, uint64_t key, uint64_t type, bool v, uint32_t code, int line)
{
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, key);
    u32(c, 1);
    bool_attr(c, type, v);
    call_gives_at(c, KMIP_PKCS_11_FUNCTION_C_SETATTRIBUTEVALUE, code, line);
}
#define set_flag(s, key, type, v, code) set_flag_at(s, key, type, v, code, __LINE__)

static size_t
objects(struct state *s)
{
    return s->talk.rig.engine->pkcs11.n_objects;
}

static bool
same(struct ks_span a, const void *b, size_t len)
{
    return ks_span_equal(a, KS_SPAN(b, len));
}

static void
test_wrap_known_answer(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    const uint64_t kek = create(s, 0x1f, kek_bytes, 16, 0x106, 0x107);
    const uint64_t key = create(s, 0x1f, key_bytes_given, 16, 0x104, 0);
    const struct ks_span w = wrap(s, 0x2109, NULL, 0, kek, key, CODE_OK);
    assert_true(same(w, wrapped_bytes, sizeof(wrapped_bytes)));
    assert_non_null(strstr(records(&s->talk), "\"wrapped\""));
    /* How long will it be? Nothing leaves by that, and too little room leaves nothing either. */
    for (int room = 0; room < 2; room++) {
        u64(c, s->session);
        mechanism(c, 0x2109, NULL, 0);
        u64(c, kek);
        u64(c, key);
        space(c, room, 23);
        call_gives(c, KMIP_PKCS_11_FUNCTION_C_WRAPKEY, room ? CODE(BUFFER_TOO_SMALL) : CODE_OK);
        assert_int_equal(ks_cursor_u8(&c->out), 0);
        assert_int_equal(ks_cursor_be32(&c->out), 24);
        nothing_left(c);
        assert_null(strstr(records(&s->talk), "\"form\""));
    }
    const uint64_t back = unwrap(s, 0x2109, NULL, 0, kek, w, 4, 0x1f, CODE_OK);
    assert_true(same(value(s, back, 0x11, CODE_OK), key_bytes_given, 16));
    assert_false(flag(s, back, 0x165)); /* ALWAYS_SENSITIVE */
    assert_false(flag(s, back, 0x164)); /* NEVER_EXTRACTABLE */
    assert_false(flag(s, back, 1));     /* TOKEN */
    /* Changed bytes, another length, and what is no AES key: all the same to the asker. */
    const size_t before = objects(s);
    uint8_t bad[24];
    memcpy(bad, wrapped_bytes, sizeof(bad));
    bad[3] ^= 1;
    (void)unwrap(s, 0x2109, NULL, 0, kek, KS_SPAN(bad, 24), 4, 0x1f, CODE(WRAPPED_KEY_INVALID));
    (void)unwrap(s, 0x210b, NULL, 0, kek, KS_SPAN(bad, 24), 4, 0x1f, CODE(WRAPPED_KEY_INVALID));
    const uint64_t odd = create(s, 0x2b, key_bytes_given, 15, 0x108, 0);
    (void)wrap(s, 0x2109, NULL, 0, kek, odd, CODE(KEY_SIZE_RANGE));
    const struct ks_span padded = wrap(s, 0x210b, NULL, 0, kek, odd, CODE_OK);
    (void)unwrap(s, 0x210b, NULL, 0, kek, padded, 4, 0x1f, CODE(WRAPPED_KEY_INVALID));
    assert_int_equal(objects(s), before + 1);
    (void)unwrap(s, 0x210b, NULL, 0, kek, padded, 4, 0x2b, CODE_OK);
    /* Not for a use that it is not for. */
    (void)wrap(s, 0x2109, NULL, 0, key, kek, CODE(KEY_FUNCTION_NOT_PERMITTED));
    (void)wrap(s, 0x2109, NULL, 0, 999, key, CODE(WRAPPING_KEY_HANDLE_INVALID));
    (void)wrap(s, 0x2109, NULL, 0, kek, 999, CODE(KEY_HANDLE_INVALID));
    (void)wrap(s, 0x2109, NULL, 0, odd, key, CODE(WRAPPING_KEY_TYPE_INCONSISTENT));
    (void)wrap(s, 0x1080, NULL, 0, kek, key, CODE(MECHANISM_INVALID));
    (void)unwrap(s, 0x2109, NULL, 0, key, w, 4, 0x1f, CODE(KEY_FUNCTION_NOT_PERMITTED));
    (void)unwrap(s, 0x2109, NULL, 0, kek, w, 2, 0, CODE(ATTRIBUTE_VALUE_INVALID));
}

/* CBC with the IV that the caller has, as PKCS#11 wants it, and what Encrypt gives of the same bytes. */
static void
test_wrap_cbc(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const uint8_t iv[20] = {0, 0, 0, 16, 9, 8, 7};
    const uint64_t kek = create(s, 0x1f, kek_bytes, 16, 0x106, 0x107);
    const uint64_t twin = create(s, 0x1f, kek_bytes, 16, 0x104, 0);
    const uint64_t key = create(s, 0x1f, key_bytes_given, 16, 0x104, 0);
    static const uint64_t mechanisms[] = {0x1082, 0x1085};
    for (size_t i = 0; i < KS_ARRAY_LEN(mechanisms); i++) {
        uint8_t kept[32];
        const struct ks_span w = wrap(s, mechanisms[i], iv, sizeof(iv), kek, key, CODE_OK);
        assert_int_equal(w.len, 16 + 16 * i);
        memcpy(kept, w.data, w.len);
        u64(c, s->session);
        mechanism(c, mechanisms[i], iv, sizeof(iv));
        u64(c, twin);
        GIVES(c, C_ENCRYPTINIT, OK);
        u64(c, s->session);
        bytes(c, key_bytes_given, 16);
        space(c, true, 64);
        GIVES(c, C_ENCRYPT, OK);
        assert_int_equal(ks_cursor_u8(&c->out), 1);
        assert_int_equal(ks_cursor_be32(&c->out), w.len);
        assert_memory_equal(ks_cursor_take(&c->out, w.len).data, kept, w.len);
        const uint64_t back = unwrap(s, mechanisms[i], iv, sizeof(iv), kek, KS_SPAN(kept, w.len), 4, 0x1f, CODE_OK);
        assert_true(same(value(s, back, 0x11, CODE_OK), key_bytes_given, 16));
    }
    (void)wrap(s, 0x1082, iv, 19, kek, key, CODE(MECHANISM_PARAM_INVALID));
}

/* What may not leave does not leave wrapped, what is sensitive does; and either can only become stricter. */
static void
test_secrecy_goes_one_way(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    const uint64_t kek = create(s, 0x1f, kek_bytes, 16, 0x106, 0x107);
    const uint64_t key = create(s, 0x1f, key_bytes_given, 16, 0x104, 0);
    set_flag(s, key, 0x103, false, CODE_OK); /* as it is */
    set_flag(s, key, 0x103, true, CODE_OK);
    (void)value(s, key, 0x11, CODE(ATTRIBUTE_SENSITIVE));
    (void)wrap(s, 0x2109, NULL, 0, kek, key, CODE_OK);
    set_flag(s, key, 0x103, false, CODE(ATTRIBUTE_READ_ONLY));
    set_flag(s, key, 0x162, false, CODE_OK);
    (void)wrap(s, 0x2109, NULL, 0, kek, key, CODE(KEY_UNEXTRACTABLE));
    set_flag(s, key, 0x162, true, CODE(ATTRIBUTE_READ_ONLY));
    set_flag(s, key, 0x106, true, CODE(ATTRIBUTE_READ_ONLY)); /* what it is for stays */
    set_flag(s, key, 1, true, CODE(ATTRIBUTE_READ_ONLY));
    assert_false(flag(s, key, 0x165));
    assert_false(flag(s, key, 0x164));
    /* A copy is no way around, nor for more than the key is for. */
    static const struct {
        uint64_t type;
        bool v;
        uint32_t code;
    } rows[] = {{0x103, false, CODE(ATTRIBUTE_READ_ONLY)},
                {0x162, true, CODE(ATTRIBUTE_READ_ONLY)},
                {0x106, true, CODE(ATTRIBUTE_VALUE_INVALID)},
                {0x104, true, CODE_OK}};
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        u64(c, s->session);
        u64(c, key);
        u32(c, 1);
        bool_attr(c, rows[i].type, rows[i].v);
        call_gives(c, KMIP_PKCS_11_FUNCTION_C_COPYOBJECT, rows[i].code);
    }
    const uint64_t copy = ks_cursor_be64(&c->out);
    (void)value(s, copy, 0x11, CODE(ATTRIBUTE_SENSITIVE));
    (void)wrap(s, 0x2109, NULL, 0, kek, copy, CODE(KEY_UNEXTRACTABLE));
}

/* Label and identifier: set, changed, taken away; and all of a template or nothing. */
static void
test_labels(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    const uint64_t key = create(s, 0x1f, key_bytes_given, 16, 0x104, 0);
    static const char *const texts[] = {"one", "two", "", "three"};
    for (size_t i = 0; i < KS_ARRAY_LEN(texts); i++) {
        u64(c, s->session);
        u64(c, key);
        u32(c, 2);
        bytes_attr(c, 3, texts[i], strlen(texts[i]));
        bytes_attr(c, 0x102, texts[i], strlen(texts[i]));
        GIVES(c, C_SETATTRIBUTEVALUE, OK);
        assert_true(ks_span_is(value(s, key, 3, CODE_OK), texts[i]));
        assert_true(ks_span_is(value(s, key, 0x102, CODE_OK), texts[i]));
    }
    u64(c, s->session);
    u64(c, key);
    u32(c, 2);
    bytes_attr(c, 3, "four", 4);
    number_attr(c, 0x161, 32);
    GIVES(c, C_SETATTRIBUTEVALUE, ATTRIBUTE_READ_ONLY);
    assert_true(ks_span_is(value(s, key, 3, CODE_OK), "three"));
}

/* To the token and back; a reading session makes no copies there, and changes nothing there. */
static void
test_copies(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    const uint64_t key = create(s, 0x1f, key_bytes_given, 16, 0x104, 0x105), reader = open_session(c, 4);
    uint64_t kept = 0;
    for (int writes = 0; writes < 2; writes++) {
        u64(c, writes ? s->session : reader);
        u64(c, key);
        u32(c, 2);
        bool_attr(c, 1, true);
        bytes_attr(c, 3, "kept", 4);
        call_gives(c, KMIP_PKCS_11_FUNCTION_C_COPYOBJECT, writes ? CODE_OK : CODE(SESSION_READ_ONLY));
        kept = writes ? ks_cursor_be64(&c->out) : 0;
    }
    assert_non_null(strstr(records(&s->talk), "C_CopyObject"));
    assert_true(same(value(s, kept, 0x11, CODE_OK), key_bytes_given, 16));
    assert_true(flag(s, kept, 1));
    assert_true(flag(s, kept, 0x105));
    u64(c, reader);
    u64(c, kept);
    u32(c, 1);
    bytes_attr(c, 3, "mine", 4);
    GIVES(c, C_SETATTRIBUTEVALUE, SESSION_READ_ONLY);
    u64(c, reader);
    u64(c, kept);
    u32(c, 0);
    GIVES(c, C_COPYOBJECT, SESSION_READ_ONLY);
    u64(c, s->session);
    u64(c, kept);
    u32(c, 1);
    bool_attr(c, 0x105, true); /* for less than it was */
    GIVES(c, C_COPYOBJECT, OK);
    const uint64_t second = ks_cursor_be64(&c->out);
    assert_false(flag(s, second, 0x104));
    assert_int_equal(value(s, second, 3, CODE_OK).len, 0); /* the label is the other's */
    u64(c, s->session);
    u64(c, kept);
    u32(c, 1);
    number_attr(c, 0, 4);
    GIVES(c, C_COPYOBJECT, ATTRIBUTE_READ_ONLY);
    u64(c, s->session);
    u64(c, second);
    GIVES(c, C_GETOBJECTSIZE, OK);
    assert_int_equal(ks_cursor_be64(&c->out), 16);
}

/* Usage Limits are of the key: a copy would double them. */
static void
test_limits_are_not_copied(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY};
    const struct kmip_usage_limits limits = {.usage_limits_total = 10,
                                             .usage_limits_count = 10,
                                             .has_usage_limits_count = true,
                                             .usage_limits_unit = KMIP_USAGE_LIMITS_UNIT_OBJECT};
    struct kmip_item *item;
    put_number(&s->talk, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(&s->talk, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 128);
    put_number(&s->talk, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    assert_int_equal(kmip_item_encode(&kmip_schema_usage_limits, KMIP_V2_1, &limits, &s->talk.arena, &item), 0);
    assert_non_null(kmip_attrs_add(&s->talk.arena, &r.attributes, KMIP_TAG_USAGE_LIMITS, item));
    (void)talk_do(&s->talk, KMIP_OPERATION_CREATE, &r);
    u64(c, s->session);
    u32(c, 0);
    GIVES(c, C_FINDOBJECTSINIT, OK);
    u64(c, s->session);
    u64(c, 1);
    GIVES(c, C_FINDOBJECTS, OK);
    assert_int_equal(ks_cursor_be32(&c->out), 1);
    const uint64_t key = ks_cursor_be64(&c->out);
    u64(c, s->session);
    u64(c, key);
    u32(c, 1);
    bool_attr(c, 1, false);
    GIVES(c, C_COPYOBJECT, ACTION_PROHIBITED);
    assert_int_equal(objects(s), 0);
}

static void
pair(struct state *s, uint64_t how, const char *curve, size_t len, bool derive, uint64_t *ret_public,
     uint64_t *ret_private)
{
    struct call *c = &s->c;
    u64(c, s->session);
    mechanism(c, how, NULL, 0);
    u32(c, 1);
    bytes_attr(c, 0x180, curve, len);
    u32(c, derive);
    if (derive)
        bool_attr(c, 0x10c, true);
    GIVES(c, C_GENERATEKEYPAIR, OK);
    *ret_public = ks_cursor_be64(&c->out);
    *ret_private = ks_cursor_be64(&c->out);
}

static uint64_t
derive_at(struct state *s, uint64_t how, struct ks_span parameter, uint64_t base, uint64_t key_type, size_t len,
          uint32_t code, int line)
{
    struct call *c = &s->c;
    u64(c, s->session);
    mechanism(c, how, parameter.data, parameter.len);
    u64(c, base);
    u32(c, 2 + (len != 0));
    number_attr(c, 0, 4);
    number_attr(c, 0x100, key_type);
    if (len != 0)
        number_attr(c, 0x161, len);
    call_gives_at(c, KMIP_PKCS_11_FUNCTION_C_DERIVEKEY, code, line);
    return code == CODE_OK ? ks_cursor_be64(&c->out) : 0;
}
#define derive(s, how, parameter, base, key_type, len, code)                                                           \
    derive_at(s, how, parameter, base, key_type, len, code, __LINE__)

/* CK_ECDH1_DERIVE_PARAMS */
static struct ks_span
ecdh(struct ks_buf *b, uint64_t kdf, const char *shared, struct ks_span point)
{
    ks_buf_reset(b);
    (void)ks_buf_add_be64(b, kdf);
    (void)ks_buf_add_be32(b, (uint32_t)strlen(shared));
    (void)ks_buf_add_str(b, shared);
    (void)ks_buf_add_be32(b, (uint32_t)point.len);
    assert_int_equal(ks_buf_add_span(b, point), 0);
    return ks_buf_span(b);
}

/* Two sides come to the same key, whichever way the point is written and the key is made. */
static void
test_agreement(void **state)
{
    struct state *s = *state;
    static const struct {
        uint64_t how;
        const char *curve;
        size_t len;
    } curves[] = {{0x1040, P256, sizeof(P256) - 1}, {0x1056, X25519, sizeof(X25519) - 1}};
    static const struct {
        uint64_t kdf;
        const char *shared;
        uint64_t key_type;
        size_t len, gives;
    } rows[] = {{1, "", 0x10, 0, 32}, {1, "", 0x1f, 16, 16}, {6, "info", 0x1f, 32, 32}, {8, "", 0x10, 100, 100}};
    KS_CLEANUP(ks_buf_done) struct ks_buf b = KS_BUF(4096);
    for (size_t k = 0; k < KS_ARRAY_LEN(curves); k++) {
        uint64_t public[2], private[2];
        struct ks_span whole = KS_SPAN_NONE;
        for (size_t i = 0; i < 2; i++)
            pair(s, curves[k].how, curves[k].curve, curves[k].len, true, &public[i], &private[i]);
        for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
            struct ks_span secret[2];
            for (size_t side = 0; side < 2; side++) {
                struct ks_span point = value(s, public[1 - side], 0x181, CODE_OK);
                if (side == 1)
                    point = KS_SPAN(point.data + 2, point.len - 2); /* without the OCTET STRING */
                const uint64_t key = derive(s, 0x1050, ecdh(&b, rows[i].kdf, rows[i].shared, point), private[side],
                                            rows[i].key_type, rows[i].len, CODE_OK);
                secret[side] = value(s, key, 0x11, CODE_OK);
                assert_int_equal(secret[side].len, rows[i].gives);
            }
            assert_true(ks_span_equal(secret[0], secret[1]));
            if (i == 0)
                whole = secret[0];
            if (i == 1) /* what is shorter is the end of it */
                assert_true(same(secret[0], whole.data + 16, 16));
        }
        const struct ks_span point = value(s, public[0], 0x181, CODE_OK);
        (void)derive(s, 0x1050, ecdh(&b, 1, "", point), private[1], 0x10, 33, CODE(FUNCTION_FAILED));
        (void)derive(s, 0x1050, ecdh(&b, 1, "", KS_SPAN(point.data, point.len - 1)), private[1], 0x10, 0,
                     CODE(MECHANISM_PARAM_INVALID));
        (void)derive(s, 0x1050, ecdh(&b, 3, "", point), private[1], 0x10, 0, CODE(MECHANISM_PARAM_INVALID));
        (void)derive(s, 0x1050, ecdh(&b, 6, "", point), private[1], 0x10, 0, CODE(TEMPLATE_INCOMPLETE));
        (void)derive(s, 0x1050, ecdh(&b, 1, "", point), public[1], 0x10, 0,
                     k == 0 ? CODE(KEY_FUNCTION_NOT_PERMITTED) : CODE(KEY_TYPE_INCONSISTENT));
    }
    uint64_t public, private;
    pair(s, 0x1040, P256, sizeof(P256) - 1, false, &public, &private);
    (void)derive(s, 0x1050, ecdh(&b, 1, "", value(s, public, 0x181, CODE_OK)), private, 0x10, 0,
                 CODE(KEY_FUNCTION_NOT_PERMITTED));
}

/* RFC 5869, A.1; FIPS 180-2; and the ECB of what is said. */
static void
test_derivations(void **state)
{
    struct state *s = *state;
    KS_CLEANUP(ks_buf_done) struct ks_buf b = KS_BUF(4096);
    static const uint8_t okm[] = {0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a, 0x90, 0x43, 0x4f, 0x64, 0xd0, 0x36,
                                  0x2f, 0x2a, 0x2d, 0x2d, 0x0a, 0x90, 0xcf, 0x1a, 0x5a, 0x4c, 0x5d, 0xb0, 0x2d, 0x56,
                                  0xec, 0xc4, 0xc5, 0xbf, 0x34, 0x00, 0x72, 0x08, 0xd5, 0xb8, 0x87, 0x18, 0x58, 0x65};
    static const uint8_t abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae,
                                  0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61};
    uint8_t ikm[22], salt[13], info[10];
    memset(ikm, 0x0b, sizeof(ikm));
    for (uint8_t i = 0; i < sizeof(salt); i++)
        salt[i] = i;
    for (uint8_t i = 0; i < sizeof(info); i++)
        info[i] = (uint8_t)(0xf0 + i);
    const uint64_t secret = create(s, 0x10, ikm, sizeof(ikm), 0x10c, 0);
    (void)ks_buf_add_u8(&b, 1);
    (void)ks_buf_add_u8(&b, 1);
    (void)ks_buf_add_be64(&b, 0x250);
    (void)ks_buf_add_be64(&b, 2);
    (void)ks_buf_add_be32(&b, sizeof(salt));
    (void)ks_buf_add(&b, salt, sizeof(salt));
    (void)ks_buf_add_be64(&b, 0);
    (void)ks_buf_add_be32(&b, sizeof(info));
    assert_int_equal(ks_buf_add(&b, info, sizeof(info)), 0);
    const uint64_t key = derive(s, 0x402a, ks_buf_span(&b), secret, 0x10, sizeof(okm), CODE_OK);
    assert_true(same(value(s, key, 0x11, CODE_OK), okm, sizeof(okm)));
    (void)derive(s, 0x402a, ks_buf_span(&b), secret, 0x10, 0, CODE(TEMPLATE_INCOMPLETE));
    b.data[0] = 0; /* no extraction */
    (void)derive(s, 0x402a, ks_buf_span(&b), secret, 0x10, 16, CODE(MECHANISM_PARAM_INVALID));

    const uint64_t text = create(s, 0x10, "abc", 3, 0x10c, 0);
    const uint64_t hashed = derive(s, 0x393, KS_SPAN_NONE, text, 0x2b, 0, CODE_OK);
    assert_memory_equal(value(s, hashed, 0x11, CODE_OK).data, abc, sizeof(abc));

    /* FIPS 197, C.1 */
    static const uint8_t cipher[] = {0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30,
                                     0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a};
    const uint64_t aes = create(s, 0x1f, kek_bytes, 16, 0x10c, 0);
    ks_buf_reset(&b);
    (void)ks_buf_add_be32(&b, 16);
    assert_int_equal(ks_buf_add(&b, key_bytes_given, 16), 0);
    const uint64_t made = derive(s, 0x1104, ks_buf_span(&b), aes, 0x1f, 16, CODE_OK);
    assert_true(same(value(s, made, 0x11, CODE_OK), cipher, 16));
    (void)derive(s, 0x1104, ks_buf_span(&b), text, 0x1f, 16, CODE(KEY_TYPE_INCONSISTENT));
    (void)derive(s, 0x1104, ks_buf_span(&b), aes, 0x1f, 17, CODE(ATTRIBUTE_VALUE_INVALID));
}

static uint64_t
private_with(struct state *s, uint64_t mech, uint64_t kek, struct ks_span wrapped, uint64_t key_type, uint32_t code)
{
    return unwrap(s, mech, NULL, 0, kek, wrapped, 3, key_type, code);
}

static void
sign_and_verify(struct state *s, uint64_t signer, uint64_t verifier, uint64_t how, uint64_t check)
{
    struct call *c = &s->c;
    uint8_t signature[512];
    u64(c, s->session);
    mechanism(c, how, NULL, 0);
    u64(c, signer);
    GIVES(c, C_SIGNINIT, OK);
    u64(c, s->session);
    bytes(c, "message", 7);
    space(c, true, sizeof(signature));
    GIVES(c, C_SIGN, OK);
    (void)ks_cursor_u8(&c->out);
    const uint32_t n = ks_cursor_be32(&c->out);
    memcpy(signature, ks_cursor_take(&c->out, n).data, n);
    u64(c, s->session);
    mechanism(c, check, NULL, 0);
    u64(c, verifier);
    GIVES(c, C_VERIFYINIT, OK);
    u64(c, s->session);
    bytes(c, "message", 7);
    bytes(c, signature, n);
    GIVES(c, C_VERIFY, OK);
}

/* Private keys travel as PKCS#8, and are what they were when they come back. */
static void
test_wrapped_private_keys(void **state)
{
    struct state *s = *state;
    const uint64_t kek = create(s, 0x1f, kek_bytes, 16, 0x106, 0x107);
    uint64_t public, private;
    pair(s, 0x1040, P256, sizeof(P256) - 1, false, &public, &private);
    const struct ks_span w = wrap(s, 0x210b, NULL, 0, kek, private, CODE_OK);
    const size_t before = objects(s);
    (void)private_with(s, 0x210b, kek, w, 0, CODE(WRAPPED_KEY_INVALID)); /* it is no RSA key */
    (void)unwrap(s, 0x210b, NULL, 0, kek, w, 4, 0x1f, CODE(WRAPPED_KEY_INVALID));
    assert_int_equal(objects(s), before);
    const uint64_t back = private_with(s, 0x210b, kek, w, 3, CODE_OK);
    sign_and_verify(s, back, public, 0x1044, 0x1044);
    (void)wrap(s, 0x210b, NULL, 0, kek, public, CODE(KEY_NOT_WRAPPABLE));
}

/* RSA: wrapping with OAEP; a signature of a DigestInfo, which gives it back. */
static void
test_rsa(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, 0);
    u8(c, 0);
    u32(c, 3);
    number_attr(c, 0x121, 2048);
    bool_attr(c, 0x106, true);
    bool_attr(c, 0x10a, true);
    u32(c, 2);
    bool_attr(c, 0x107, true);
    bool_attr(c, 0x108, true);
    GIVES(c, C_GENERATEKEYPAIR, OK);
    const uint64_t public = ks_cursor_be64(&c->out), private = ks_cursor_be64(&c->out);
    KS_CLEANUP(ks_buf_done) struct ks_buf b = KS_BUF(4096);
    (void)ks_buf_add_be64(&b, 0x250);
    (void)ks_buf_add_be64(&b, 2);
    (void)ks_buf_add_be64(&b, 0);
    assert_int_equal(ks_buf_add_be32(&b, 0), 0);
    /* 2048 bits are worth 112: enough for that key, and for no AES key. */
    const uint64_t weak = create(s, 0x2b, key_bytes_given, 14, 0x108, 0);
    const uint64_t key = create(s, 0x1f, key_bytes_given, 16, 0x104, 0);
    (void)wrap(s, 0x9, b.data, b.len, public, key, CODE(ACTION_PROHIBITED));
    const struct ks_span w = wrap(s, 0x9, b.data, b.len, public, weak, CODE_OK);
    assert_int_equal(w.len, 256);
    const uint64_t back = unwrap(s, 0x9, b.data, b.len, private, w, 4, 0x2b, CODE_OK);
    assert_true(same(value(s, back, 0x11, CODE_OK), key_bytes_given, 14));
    /* Padding of version 1.5 protects nothing under this profile. */
    (void)wrap(s, 0x1, NULL, 0, public, weak, CODE(MECHANISM_INVALID));

    uint8_t signature[256];
    for (int recovers = 0; recovers < 2; recovers++) {
        u64(c, s->session);
        mechanism(c, 1, NULL, 0);
        u64(c, private);
        call_gives(c, recovers ? KMIP_PKCS_11_FUNCTION_C_SIGNRECOVERINIT : KMIP_PKCS_11_FUNCTION_C_SIGNINIT, CODE_OK);
        u64(c, s->session);
        bytes(c, "whatever is to be padded", 24);
        space(c, true, 256);
        call_gives(c, recovers ? KMIP_PKCS_11_FUNCTION_C_SIGNRECOVER : KMIP_PKCS_11_FUNCTION_C_SIGN, CODE_OK);
        assert_int_equal(ks_cursor_u8(&c->out), 1);
        assert_int_equal(ks_cursor_be32(&c->out), 256);
        memcpy(signature, ks_cursor_take(&c->out, 256).data, 256);
    }
    for (int bad = 0; bad < 2; bad++) {
        signature[200] = (uint8_t)(signature[200] ^ bad);
        u64(c, s->session);
        mechanism(c, 1, NULL, 0);
        u64(c, public);
        GIVES(c, C_VERIFYRECOVERINIT, OK);
        u64(c, s->session);
        bytes(c, signature, sizeof(signature));
        space(c, true, 256);
        call_gives(c, KMIP_PKCS_11_FUNCTION_C_VERIFYRECOVER, bad ? CODE(SIGNATURE_INVALID) : CODE_OK);
        if (bad)
            continue;
        assert_int_equal(ks_cursor_u8(&c->out), 1);
        assert_int_equal(ks_cursor_be32(&c->out), 24);
        assert_true(ks_span_is(ks_cursor_take(&c->out, 24), "whatever is to be padded"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wrap_known_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrap_cbc, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_secrecy_goes_one_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_labels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_copies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits_are_not_copied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_agreement, set_up_compat, tear_down),
        cmocka_unit_test_setup_teardown(test_derivations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrapped_private_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rsa, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
