/* One Time Pad: the figures of the published cases, and that no byte of a pad protects two messages. */
#include "base/text.h"
#include "engine_talk.h"

enum {
    CRYPT = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT,
    PAD = KMIP_CRYPTOGRAPHIC_ALGORITHM_ONE_TIME_PAD
};

static const struct engine_config compat = {.node = {(const uint8_t *)"n", 1}, .profile = PROFILE_COMPAT};

static struct ks_span
hex(struct talk *t, const char *text)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(4096);
    struct ks_span span;
    assert_int_equal(ks_hex_decode(ks_span_str(text), &buf), 0);
    assert_int_equal(ks_arena_span(&t->arena, ks_buf_span(&buf), &span), 0);
    return span;
}

/* An active pad; bytes empty: one whose value is not on the server. */
static const char *
make_pad(struct talk *t, struct ks_span bytes)
{
    struct kmip_item value = {.tag = KMIP_TAG_KEY_VALUE, .type = KMIP_TYPE_STRUCTURE},
                     material = {.tag = KMIP_TAG_KEY_MATERIAL, .type = KMIP_TYPE_BYTE_STRING, .s = bytes};
    value.first = &material;
    struct kmip_key_block block = {.key_format_type = KMIP_KEY_FORMAT_TYPE_OPAQUE,
                                   .key_value = bytes.len != 0 ? &value : NULL};
    struct kmip_secret_data secret = {.key_block = &block, .secret_data_type = KMIP_SECRET_DATA_TYPE_PASSWORD};
    struct kmip_register_request r = {.object_type = KMIP_OBJECT_TYPE_SECRET_DATA, .attributes = {.present = true}};
    r.object.secret_data = &secret;
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, PAD);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, CRYPT);
    put_number(t, &r.attributes, KMIP_TAG_ACTIVATION_DATE, 1);
    const struct kmip_register_response *made = talk_do(t, KMIP_OPERATION_REGISTER, &r);
    return uid_string(t, &made->unique_identifier);
}

static struct kmip_encrypt_request
to_encrypt(const char *id, struct ks_span data, struct ks_span at)
{
    return (struct kmip_encrypt_request){.unique_identifier = uid(id),
                                         .data = data,
                                         .has_data = true,
                                         .iv_counter_nonce = at,
                                         .has_iv_counter_nonce = at.len != 0};
}

static struct kmip_decrypt_request
to_decrypt(const char *id, struct ks_span data, struct ks_span at)
{
    return (struct kmip_decrypt_request){.unique_identifier = uid(id),
                                         .data = data,
                                         .has_data = true,
                                         .iv_counter_nonce = at,
                                         .has_iv_counter_nonce = at.len != 0};
}

static void
expect_encrypted(struct talk *t, const char *id, const char *data, const char *expected, const char *expected_at)
{
    const struct kmip_encrypt_request r = to_encrypt(id, hex(t, data), KS_SPAN_NONE);
    const struct kmip_encrypt_response *a = talk_do(t, KMIP_OPERATION_ENCRYPT, &r);
    assert_true(ks_span_equal(a->data, hex(t, expected)));
    assert_int_equal(a->has_iv_counter_nonce, expected_at != NULL);
    if (expected_at != NULL)
        assert_true(ks_span_equal(a->iv_counter_nonce, hex(t, expected_at)));
}

static void
expect_decrypted(struct talk *t, const char *id, const char *data, const char *at, const char *expected)
{
    const struct kmip_decrypt_request r = to_decrypt(id, hex(t, data), at != NULL ? hex(t, at) : KS_SPAN_NONE);
    const struct kmip_decrypt_response *a = talk_do(t, KMIP_OPERATION_DECRYPT, &r);
    assert_true(ks_span_equal(a->data, hex(t, expected)));
}

static void
refuse_encrypt(struct talk *t, const char *id, const char *data, const char *at, uint32_t reason)
{
    const struct kmip_encrypt_request r = to_encrypt(id, hex(t, data), at != NULL ? hex(t, at) : KS_SPAN_NONE);
    talk_refused(t, KMIP_OPERATION_ENCRYPT, &r, reason);
}

static void
published_figures(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open_with(&t, &compat);
    const char *id = make_pad(&t, hex(&t, "fc932e1428bd"));
    expect_encrypted(&t, id, "010203040506", "fd912d102dbb", NULL);
    expect_decrypted(&t, id, "fd912d102dbb", NULL, "010203040506");
    /* All of it is used. */
    refuse_encrypt(&t, id, "01", NULL, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

static void
no_byte_is_used_twice(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open_with(&t, &compat);
    const char *id = make_pad(&t, hex(&t, "00112233445566778899"));
    expect_encrypted(&t, id, "0000", "0011", NULL);
    expect_encrypted(&t, id, "0000", "2233", "0000000000000002");
    refuse_encrypt(&t, id, "00", "0000000000000000", KMIP_RESULT_REASON_PERMISSION_DENIED);
    refuse_encrypt(&t, id, "00", "0000000000000003", KMIP_RESULT_REASON_PERMISSION_DENIED);
    /* Not even by a server that was started again. */
    rig_restart(&t.rig);
    expect_encrypted(&t, id, "00", "44", "0000000000000004");
    /* A part that Decrypt has told is used. */
    expect_decrypted(&t, id, "0000", "0000000000000005", "5566");
    expect_encrypted(&t, id, "ff", "88", "0000000000000007");
    expect_decrypted(&t, id, "88", "0000000000000007", "ff");
    /* Two bytes are left: a refusal takes none of them. */
    refuse_encrypt(&t, id, "000000", NULL, KMIP_RESULT_REASON_PERMISSION_DENIED);
    refuse_encrypt(&t, id, "00", "000000000000000a", KMIP_RESULT_REASON_PERMISSION_DENIED);
    refuse_encrypt(&t, id, "00", "ffffffffffffffff", KMIP_RESULT_REASON_PERMISSION_DENIED);
    const struct kmip_encrypt_request last = to_encrypt(id, hex(&t, "01"), hex(&t, "0000000000000009"));
    const struct kmip_encrypt_response *a = talk_do(&t, KMIP_OPERATION_ENCRYPT, &last);
    assert_true(ks_span_equal(a->data, hex(&t, "98")));
    refuse_encrypt(&t, id, "00", NULL, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

/* What an item of a batch used that was undone with it never left. */
static void
undone_is_unused(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open_with(&t, &compat);
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
    const char *id = make_pad(&t, hex(&t, "fc932e1428bd"));
    const struct kmip_encrypt_request one = to_encrypt(id, hex(&t, "0102"), KS_SPAN_NONE),
                                      bad = to_encrypt(id, hex(&t, "01020304050607"), KS_SPAN_NONE);
    const struct talk_item items[] = {{KMIP_OPERATION_ENCRYPT, &one}, {KMIP_OPERATION_ENCRYPT, &bad}};
    const struct kmip_response_message *m = talk_batch(&t, items, 2);
    assert_int_equal(m->n_batch_item, 2);
    assert_int_equal(m->batch_item[1]->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    const struct kmip_encrypt_response *undone = m->batch_item[0]->payload;
    assert_true(undone == NULL || undone->data.len == 0);
    expect_encrypted(&t, id, "010203040506", "fd912d102dbb", NULL);
    talk_close(&t);
}

static void
it_does_not_leave(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open_with(&t, &compat);
    const char *id = make_pad(&t, hex(&t, "fc932e1428bd"));
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    const struct kmip_export_request out = {.unique_identifier = uid(id)};
    const struct kmip_create_split_key_request split = {.object_type = KMIP_OBJECT_TYPE_SPLIT_KEY,
                                                        .unique_identifier = uid(id),
                                                        .split_key_parts = 2,
                                                        .split_key_threshold = 2,
                                                        .split_key_method = KMIP_SPLIT_KEY_METHOD_XOR,
                                                        .attributes = {.present = true}};
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_refused(&t, KMIP_OPERATION_EXPORT, &out, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_refused(&t, KMIP_OPERATION_CREATE_SPLIT_KEY, &split, KMIP_RESULT_REASON_PERMISSION_DENIED);
    /* Of one that is not here nothing can leave (TC-OTP-3), and nothing can be encrypted with it. */
    const char *elsewhere = make_pad(&t, KS_SPAN_NONE);
    const struct kmip_get_request empty = {.unique_identifier = uid(elsewhere)};
    const struct kmip_get_response *got = talk_do(&t, KMIP_OPERATION_GET, &empty);
    assert_null(got->object.secret_data->key_block->key_value);
    refuse_encrypt(&t, elsewhere, "01", NULL, KMIP_RESULT_REASON_KEY_VALUE_NOT_PRESENT);
    talk_close(&t);
}

static void
what_is_refused(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open_with(&t, &compat);
    const char *id = make_pad(&t, hex(&t, "fc932e1428bd"));
    struct kmip_cryptographic_parameters mode = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CBC,
                                                 .has_block_cipher_mode = true},
                                         other = {.cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                                                  .has_cryptographic_algorithm = true};
    struct kmip_encrypt_request r = to_encrypt(id, hex(&t, "01"), KS_SPAN_NONE);
    r.cryptographic_parameters = &mode;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS);
    r.cryptographic_parameters = &other;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    r = to_encrypt(id, hex(&t, "01"), hex(&t, "00"));
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    r = to_encrypt(id, KS_SPAN_NONE, KS_SPAN_NONE);
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    r = to_encrypt(id, hex(&t, "01"), KS_SPAN_NONE);
    r.init_indicator = r.has_init_indicator = true;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_FEATURE_NOT_SUPPORTED);
    const struct kmip_decrypt_request d = to_decrypt(id, hex(&t, "01020304050607"), KS_SPAN_NONE);
    talk_refused(&t, KMIP_OPERATION_DECRYPT, &d, KMIP_RESULT_REASON_INVALID_FIELD);
    /* None of that used any of it. */
    expect_encrypted(&t, id, "010203040506", "fd912d102dbb", NULL);
    talk_close(&t);

    /* Approved by nobody: the default profile has no pads. */
    talk_open(&t);
    const char *unapproved = make_pad(&t, hex(&t, "fc932e1428bd"));
    refuse_encrypt(&t, unapproved, "01", NULL, KMIP_RESULT_REASON_UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_figures), cmocka_unit_test(no_byte_is_used_twice),
        cmocka_unit_test(undone_is_unused),  cmocka_unit_test(it_does_not_leave),
        cmocka_unit_test(what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
