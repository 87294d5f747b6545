/* The operation PKCS#11: session objects. */
#include "pkcs11_call.h"
#include "server/engine/ctx.h"

/* An AES key for the session (or the token) that encrypts and decrypts. */
static uint64_t
make(struct state *s, uint64_t session, const char *label, bool token)
{
    struct call *c = &s->c;
    u64(c, session);
    u64(c, 0x1080);
    u8(c, 0);
    u32(c, 5);
    number_attr(c, 0x161, 32);
    bytes_attr(c, 3, label, strlen(label));
    bool_attr(c, 0x104, true);
    bool_attr(c, 0x105, true);
    bool_attr(c, 1, token);
    GIVES(c, C_GENERATEKEY, OK);
    const uint64_t handle = ks_cursor_be64(&c->out);
    nothing_left(c);
    return handle;
}

/* How many objects a session finds. token: -1: whatever they are. */
static size_t
count(struct state *s, uint64_t session, int token)
{
    struct call *c = &s->c;
    u64(c, session);
    u32(c, token >= 0);
    if (token >= 0)
        bool_attr(c, 1, token);
    GIVES(c, C_FINDOBJECTSINIT, OK);
    u64(c, session);
    u64(c, 1000);
    GIVES(c, C_FINDOBJECTS, OK);
    const size_t n = ks_cursor_be32(&c->out);
    u64(c, session);
    GIVES(c, C_FINDOBJECTSFINAL, OK);
    return n;
}

static uint32_t
encrypt(struct state *s, uint64_t session, uint64_t key)
{
    struct call *c = &s->c;
    static const uint8_t iv[16];
    u64(c, session);
    u64(c, 0x1082);
    u8(c, 1);
    u32(c, 20);
    bytes(c, iv, 16);
    u64(c, key);
    (void)call(c, KMIP_PKCS_11_FUNCTION_C_ENCRYPTINIT);
    if (c->code != 0)
        return c->code;
    u64(c, session);
    bytes(c, iv, 16);
    space(c, true, 16);
    (void)call(c, KMIP_PKCS_11_FUNCTION_C_ENCRYPT);
    return c->code;
}

static uint32_t
destroy(struct state *s, uint64_t session, uint64_t key)
{
    u64(&s->c, session);
    u64(&s->c, key);
    (void)call(&s->c, KMIP_PKCS_11_FUNCTION_C_DESTROYOBJECT);
    return s->c.code;
}

static size_t
located(struct state *s)
{
    const struct kmip_locate_request r = {0};
    const struct kmip_locate_response *a = talk_do(&s->talk, KMIP_OPERATION_LOCATE, &r);
    return a->n_unique_identifier;
}

/* Its Unique Identifier, as C_GetAttributeValue says it. */
static const char *
unique_id(struct state *s, uint64_t key)
{
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, key);
    u32(c, 1);
    asked_attr(c, 4);
    GIVES(c, C_GETATTRIBUTEVALUE, OK);
    (void)ks_cursor_take(&c->out, 4 + 10);
    assert_int_equal(ks_cursor_be32(&c->out), 36);
    const struct kmip_uid id = {.type = KMIP_TYPE_TEXT_STRING, .text = ks_cursor_take(&c->out, 36)};
    return uid_string(&s->talk, &id);
}

static bool
is_token(struct state *s, uint64_t key)
{
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, key);
    u32(c, 1);
    asked_attr(c, 1);
    GIVES(c, C_GETATTRIBUTEVALUE, OK);
    (void)ks_cursor_take(&c->out, 4 + 10);
    return ks_cursor_u8(&c->out) != 0;
}

/* Used like any key, seen by the application's sessions, and by nobody else. */
static void
test_used_and_seen(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    const uint64_t other = open_session(c, 4), kept = make(s, s->session, "kept", true);
    const uint64_t key = make(s, s->session, "kept", false); /* the label of another is free to it */
    assert_true(is_token(s, kept));
    assert_false(is_token(s, key));
    assert_int_equal(encrypt(s, s->session, key), 0);
    assert_int_equal(encrypt(s, other, key), 0);
    assert_int_equal(count(s, s->session, -1), 2);
    assert_int_equal(count(s, other, 0), 1);
    assert_int_equal(count(s, other, 1), 1);
    /* Not for KMIP: not found, and not had by its name. */
    assert_int_equal(located(s), 1);
    const char *id = unique_id(s, key);
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    talk_refused(&s->talk, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    const struct kmip_destroy_request gone = {.unique_identifier = uid(id)};
    talk_refused(&s->talk, KMIP_OPERATION_DESTROY, &gone, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    /* Not for another application of the same client. */
    const struct ks_span mine = c->value;
    initialize(c);
    const uint64_t elsewhere = open_session(c, 6);
    assert_int_equal(count(s, elsewhere, 0), 0);
    assert_int_equal(count(s, elsewhere, -1), 1);
    assert_int_equal(encrypt(s, elsewhere, key), KMIP_PKCS_11_RETURN_CODE_KEY_HANDLE_INVALID);
    c->value = mine;
    /* A reading session may destroy what is of a session. */
    assert_int_equal(destroy(s, other, kept), KMIP_PKCS_11_RETURN_CODE_SESSION_READ_ONLY);
    assert_int_equal(destroy(s, other, key), 0);
    assert_int_equal(encrypt(s, s->session, key), KMIP_PKCS_11_RETURN_CODE_KEY_HANDLE_INVALID);
    assert_int_equal(destroy(s, other, key), KMIP_PKCS_11_RETURN_CODE_OBJECT_HANDLE_INVALID);
    assert_int_equal(count(s, s->session, -1), 1);
}

/* The record names them; the store never has them. */
static void
test_on_record_and_not_in_the_store(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    u64(c, s->session);
    u64(c, 0x1080);
    u8(c, 0);
    u32(c, 1);
    number_attr(c, 0x161, 32);
    GIVES(c, C_GENERATEKEY, OK);
    assert_non_null(strstr(records(&s->talk), "C_GenerateKey"));
    assert_non_null(strstr(records(&s->talk), "\"object\""));
    assert_int_equal(s->talk.rig.reply.job.n_changes, 0);
    struct ks_diag diag = {0};
    assert_int_equal(rig_reload(&s->talk.rig, &diag), 0);
    assert_int_equal(located(s), 0);
}

/* They go with the session that made them, with the application, and with its time. */
static void
test_they_go(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    const uint64_t other = open_session(c, 4), key = make(s, other, "of the other", false);
    const uint64_t own = make(s, s->session, "own", false);
    u64(c, other);
    GIVES(c, C_CLOSESESSION, OK);
    assert_int_equal(encrypt(s, s->session, key), KMIP_PKCS_11_RETURN_CODE_KEY_HANDLE_INVALID);
    assert_int_equal(encrypt(s, s->session, own), 0);
    assert_int_equal(s->talk.rig.engine->pkcs11.n_objects, 1);
    GIVES(c, C_FINALIZE, OK);
    assert_int_equal(s->talk.rig.engine->pkcs11.n_objects, 0);
    initialize(c);
    s->session = open_session(c, 6);
    (void)make(s, s->session, "own", false);
    s->talk.rig.now_us += 901 * 1000000LL;
    (void)rig_tick(&s->talk.rig);
    assert_int_equal(s->talk.rig.engine->pkcs11.n_objects, 0);
    GIVES(c, C_GETINFO, CRYPTOKI_NOT_INITIALIZED);
}

static void
test_bounded(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const char label[16384];
    for (int app = 0; app < 2; app++) {
        for (size_t i = 0; i < PKCS11_CLIENT_OBJECTS / 2; i++)
            (void)make(s, s->session, "one of many", false);
        if (app == 0) {
            initialize(c); /* another application of the same client does not help */
            s->session = open_session(c, 6);
        }
    }
    u64(c, s->session);
    u64(c, 0x1080);
    u8(c, 0);
    u32(c, 1);
    number_attr(c, 0x161, 32);
    GIVES(c, C_GENERATEKEY, DEVICE_MEMORY);
    u64(c, 1);
    GIVES(c, C_CLOSEALLSESSIONS, OK);
    s->session = open_session(c, 6);
    (void)make(s, s->session, "room again", false);
    u64(c, s->session);
    u64(c, 0x1080);
    u8(c, 0);
    u32(c, 2);
    number_attr(c, 0x161, 32);
    bytes_attr(c, 0x102, label, sizeof(label));
    GIVES(c, C_GENERATEKEY, DEVICE_MEMORY);
    assert_int_equal(count(s, s->session, 0), 1);
}

/* A pair whose public half is kept: nothing of that points to the half that goes. */
static void
test_pair_of_both(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    u64(c, s->session);
    u64(c, 0x1040);
    u8(c, 0);
    u32(c, 2);
    bytes_attr(c, 0x180, p256, sizeof(p256));
    bool_attr(c, 1, true);
    u32(c, 0);
    GIVES(c, C_GENERATEKEYPAIR, OK);
    const uint64_t public = ks_cursor_be64(&c->out), private = ks_cursor_be64(&c->out);
    assert_true(is_token(s, public));
    assert_false(is_token(s, private));
    assert_int_equal(located(s), 1);
    assert_null(attribute(&s->talk, unique_id(s, public), KMIP_TAG_LINK));
}

static struct talk_item
item(struct call *c, uint32_t function, struct kmip_pkcs_11_request *ret)
{
    *ret = request_of(c, function);
    start(c);
    return (struct talk_item){KMIP_OPERATION_PKCS_11, ret};
}

/* A batch that is undone: what it made is gone, what it destroyed is back, unless its session is gone too. */
static void
test_undone(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    s->talk.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
    for (int closes = 0; closes < 2; closes++) {
        const uint64_t key = make(s, s->session, "there", false);
        const struct kmip_get_request get = {.unique_identifier = uid("nothing")};
        struct kmip_pkcs_11_request r[4];
        struct talk_item items[5];
        size_t n = 0;
        u64(c, s->session);
        u64(c, key);
        items[n] = item(c, KMIP_PKCS_11_FUNCTION_C_DESTROYOBJECT, &r[n]);
        n++;
        u64(c, s->session);
        u64(c, 0x1080);
        u8(c, 0);
        u32(c, 1);
        number_attr(c, 0x161, 32);
        items[n] = item(c, KMIP_PKCS_11_FUNCTION_C_GENERATEKEY, &r[n]);
        n++;
        if (closes) {
            u64(c, s->session);
            items[n] = item(c, KMIP_PKCS_11_FUNCTION_C_CLOSESESSION, &r[n]);
            n++;
        }
        items[n++] = (struct talk_item){KMIP_OPERATION_GET, &get};
        const struct kmip_response_message *a = talk_batch(&s->talk, items, n);
        assert_int_equal(a->batch_item[0]->result_status, KMIP_RESULT_STATUS_OPERATION_UNDONE);
        assert_int_equal(s->talk.rig.engine->pkcs11.n_objects, !closes);
        if (!closes) {
            assert_int_equal(count(s, s->session, 0), 1);
            assert_int_equal(encrypt(s, s->session, key), 0);
            assert_int_equal(destroy(s, s->session, key), 0);
        }
    }
}

/* Made, changed, destroyed and its session closed in one batch that stands. */
static void
test_in_one_batch(void **state)
{
    struct state *s = *state;
    struct call *c = &s->c;
    const uint64_t key = make(s, s->session, "there", false), other = make(s, s->session, "there too", false);
    struct kmip_pkcs_11_request r[4];
    struct talk_item items[4];
    u64(c, s->session);
    u64(c, 0x1080);
    u8(c, 0);
    u32(c, 1);
    number_attr(c, 0x161, 32);
    items[0] = item(c, KMIP_PKCS_11_FUNCTION_C_GENERATEKEY, &r[0]);
    for (size_t i = 1; i < 3; i++) {
        u64(c, s->session);
        u64(c, i == 1 ? key : other);
        items[i] = item(c, KMIP_PKCS_11_FUNCTION_C_DESTROYOBJECT, &r[i]);
    }
    u64(c, s->session);
    items[3] = item(c, KMIP_PKCS_11_FUNCTION_C_CLOSESESSION, &r[3]);
    const struct kmip_response_message *a = talk_batch(&s->talk, items, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(a->batch_item[i]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(s->talk.rig.engine->pkcs11.n_objects, 0);
    assert_int_equal(s->talk.rig.reply.job.n_changes, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_used_and_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_on_record_and_not_in_the_store, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_they_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pair_of_both, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_undone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_one_batch, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
