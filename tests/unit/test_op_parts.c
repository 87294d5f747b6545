/* Cryptographic operations in parts: the streams that the engine keeps between requests. */
#include "engine_talk.h"

enum {
    CBC = KMIP_BLOCK_CIPHER_MODE_CBC,
    GCM = KMIP_BLOCK_CIPHER_MODE_GCM,
    MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT |
           KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE | KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_VERIFY,
    NO_STREAM = KMIP_RESULT_REASON_INVALID_CORRELATION_VALUE,
    MOST = 16, /* of a client */
    LIFE_S = 300
};

static struct kmip_cryptographic_parameters cbc = {.has_block_cipher_mode = true,
                                                   .block_cipher_mode = CBC,
                                                   .has_padding_method = true,
                                                   .padding_method = KMIP_PADDING_METHOD_PKCS5};

static struct ks_span
keep(struct talk *t, struct ks_span s)
{
    struct ks_span ret;
    assert_int_equal(ks_arena_span(&t->arena, s, &ret), 0);
    return ret;
}

static const char *
active_key(struct talk *t)
{
    const char *id = make_key(t, NULL, MASK);
    activate_key(t, id);
    return id;
}

static struct kmip_encrypt_request
first(const char *id, struct ks_span data)
{
    return (struct kmip_encrypt_request){.unique_identifier = uid(id),
                                         .cryptographic_parameters = &cbc,
                                         .data = data,
                                         .has_data = true,
                                         .iv_counter_nonce = KS_LIT("0123456789abcdef"),
                                         .has_iv_counter_nonce = true,
                                         .init_indicator = true,
                                         .has_init_indicator = true};
}

static struct kmip_encrypt_request
further(const char *id, struct ks_span data, struct ks_span value, bool last)
{
    return (struct kmip_encrypt_request){.unique_identifier = id != NULL ? uid(id) : (struct kmip_uid){0},
                                         .data = data,
                                         .has_data = data.data != NULL,
                                         .correlation_value = value,
                                         .has_correlation_value = true,
                                         .final_indicator = last,
                                         .has_final_indicator = last};
}

static struct ks_span
begin(struct talk *t, const char *id, struct ks_span data)
{
    const struct kmip_encrypt_request r = first(id, data);
    const struct kmip_encrypt_response *a = talk_do(t, KMIP_OPERATION_ENCRYPT, &r);
    assert_true(a->has_correlation_value);
    return keep(t, a->correlation_value);
}

static void
parts_are_the_whole(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = active_key(&t);
    struct kmip_encrypt_request r = first(id, KS_LIT("twenty bytes of data"));
    r.final_indicator = r.has_final_indicator = true; /* both: whole */
    const struct kmip_encrypt_response *a = talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    assert_false(a->has_correlation_value);
    const struct ks_span whole = keep(&t, a->data);
    assert_int_equal(whole.len, 32);

    const struct ks_span value = begin(&t, id, KS_LIT("twenty "));
    r = further(NULL, KS_LIT("bytes of da"), value, false); /* the stream knows its key */
    a = talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    assert_true(a->has_data && ks_span_equal(a->data, KS_SPAN(whole.data, 16)));
    assert_true(ks_span_equal(a->correlation_value, value));
    assert_string_equal(uid_string(&t, &a->unique_identifier), id);
    r = further(id, KS_LIT("ta"), value, true);
    a = talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    assert_false(a->has_correlation_value);
    assert_true(ks_span_equal(a->data, KS_SPAN(whole.data + 16, 16)));
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, NO_STREAM); /* it has ended */
    talk_close(&t);
}

/* Nothing is given out before the tag was right. */
static void
authenticated_data_waits_for_its_tag(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = active_key(&t);
    struct kmip_cryptographic_parameters p = {.has_block_cipher_mode = true, .block_cipher_mode = GCM};
    struct kmip_encrypt_request e = first(id, KS_LIT("secret"));
    e.cryptographic_parameters = &p;
    e.has_init_indicator = false;
    e.authenticated_encryption_additional_data = KS_LIT("aad");
    e.has_authenticated_encryption_additional_data = true;
    const struct kmip_encrypt_response *a = talk_do(&t, KMIP_OPERATION_ENCRYPT, &e);
    const struct ks_span cipher = keep(&t, a->data), tag = keep(&t, a->authenticated_encryption_tag);
    for (int right = 0; right < 2; right++) {
        struct kmip_decrypt_request d = {.unique_identifier = uid(id),
                                         .cryptographic_parameters = &p,
                                         .data = KS_SPAN(cipher.data, 4),
                                         .has_data = true,
                                         .iv_counter_nonce = e.iv_counter_nonce,
                                         .has_iv_counter_nonce = true,
                                         .authenticated_encryption_additional_data = KS_LIT("aad"),
                                         .has_authenticated_encryption_additional_data = true,
                                         .init_indicator = true,
                                         .has_init_indicator = true};
        const struct kmip_decrypt_response *b = talk_do(&t, KMIP_OPERATION_DECRYPT, &d);
        assert_false(b->has_data);
        const struct kmip_decrypt_request last = {.unique_identifier = uid(id),
                                                  .data = KS_SPAN(cipher.data + 4, cipher.len - 4),
                                                  .has_data = true,
                                                  .correlation_value = keep(&t, b->correlation_value),
                                                  .has_correlation_value = true,
                                                  .authenticated_encryption_tag =
                                                      right ? tag : KS_LIT("0123456789abcdef"),
                                                  .has_authenticated_encryption_tag = true,
                                                  .final_indicator = true,
                                                  .has_final_indicator = true};
        if (right) {
            b = talk_do(&t, KMIP_OPERATION_DECRYPT, &last);
            assert_true(ks_span_is(b->data, "secret"));
        } else {
            talk_refused(&t, KMIP_OPERATION_DECRYPT, &last, KMIP_RESULT_REASON_CRYPTOGRAPHIC_FAILURE);
            talk_refused(&t, KMIP_OPERATION_DECRYPT, &last, NO_STREAM);
        }
    }
    talk_close(&t);
}

/* Whoever did not begin it, for whatever else, has no such stream. */
static void
a_stream_is_its_makers(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.who = &t.rig.client;
    const char *id = active_key(&t), *other = active_key(&t);
    const struct ks_span value = begin(&t, id, KS_LIT("data"));
    struct kmip_encrypt_request r = further(id, KS_LIT("more"), value, false);
    t.who = &t.rig.admin;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, NO_STREAM);
    t.who = &t.rig.client;
    r.unique_identifier = uid(other);
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, NO_STREAM);
    const struct kmip_decrypt_request d = {.unique_identifier = uid(id),
                                           .data = KS_LIT("more"),
                                           .has_data = true,
                                           .correlation_value = value,
                                           .has_correlation_value = true};
    talk_refused(&t, KMIP_OPERATION_DECRYPT, &d, NO_STREAM);
    r = further(id, KS_LIT("more"), KS_LIT("x"), false);
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, NO_STREAM);
    r = further(id, KS_SPAN_NONE, value, false);
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_MISSING_DATA);
    r = further(id, KS_LIT("more"), value, false);
    r.init_indicator = r.has_init_indicator = true;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    r = further(id, KS_LIT("more"), value, false);
    r.iv_counter_nonce = KS_LIT("0123456789abcdef");
    r.has_iv_counter_nonce = true;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    r = further(id, KS_LIT("more"), value, true);
    r.has_correlation_value = false;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, NO_STREAM);
    t.version = KMIP_V1_4;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    t.version = KMIP_V2_1;
    /* None of this has hurt it. */
    r = further(id, KS_LIT("more"), value, true);
    talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    talk_close(&t);
}

/* The key's state counts at every part, and a stream that nobody goes on with ends. */
static void
time_passes(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = active_key(&t);
    struct ks_span value = begin(&t, id, KS_LIT("data"));
    struct kmip_encrypt_request r = further(id, KS_LIT("more"), value, false);
    t.rig.now_us += (int64_t)(LIFE_S - 1) * 1000000;
    talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    t.rig.now_us += (int64_t)(LIFE_S - 1) * 1000000;
    talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    t.rig.now_us += (int64_t)LIFE_S * 1000000;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, NO_STREAM);
    value = begin(&t, id, KS_LIT("data"));
    r = further(id, KS_LIT("more"), value, false);
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION);
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    talk_close(&t);
}

static void
a_restart_ends_streams_and_says_so(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = active_key(&t);
    const struct ks_span value = begin(&t, id, KS_LIT("data"));
    const struct kmip_encrypt_request r = further(id, KS_LIT("more"), value, false);
    /* After a commit that failed memory is what the store holds. */
    assert_int_equal(rig_reload(&t.rig, NULL), 0);
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, NO_STREAM);
    rig_restart(&t.rig);
    const struct kmip_response_batch_item *a = talk_ask(&t, KMIP_OPERATION_ENCRYPT, &r);
    assert_int_equal(a->result_reason, NO_STREAM);
    assert_non_null(memmem(a->result_message.data, a->result_message.len, "last started", 12));
    talk_close(&t);
}

static void
there_are_only_so_many(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = active_key(&t);
    struct ks_span value = KS_SPAN_NONE;
    for (int i = 0; i < MOST; i++)
        value = begin(&t, id, KS_LIT("data"));
    struct kmip_encrypt_request r = first(id, KS_LIT("data"));
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    r = further(id, KS_SPAN_NONE, value, true);
    talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    begin(&t, id, KS_LIT("data")); /* room for one again */
    t.rig.now_us += (int64_t)LIFE_S * 1000000;
    begin(&t, id, KS_LIT("data")); /* and after a while for all */
    talk_close(&t);
}

/* What was undone did not happen; a stream can not go back, so it ends. */
static void
an_undone_part_ends_the_stream(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = active_key(&t);
    const struct ks_span value = begin(&t, id, KS_LIT("data")), other = begin(&t, id, KS_LIT("data"));
    const struct kmip_encrypt_request r = further(id, KS_LIT("more"), value, false),
                                      unknown = further(id, KS_LIT("more"), KS_LIT("x"), false),
                                      untouched = further(id, KS_LIT("more"), other, false);
    const struct talk_item items[] = {{KMIP_OPERATION_ENCRYPT, &r}, {KMIP_OPERATION_ENCRYPT, &unknown}};
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
    talk_batch(&t, items, 2);
    t.option = 0;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, NO_STREAM);
    talk_do(&t, KMIP_OPERATION_ENCRYPT, &untouched);
    /* With Continue the item that succeeded stays what it was. */
    const struct talk_item more[] = {{KMIP_OPERATION_ENCRYPT, &untouched}, {KMIP_OPERATION_ENCRYPT, &unknown}};
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_CONTINUE;
    talk_batch(&t, more, 2);
    t.option = 0;
    talk_do(&t, KMIP_OPERATION_ENCRYPT, &untouched);
    talk_close(&t);
}

/* Bytes count part by part, an object once. */
static void
limits_count_every_part(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    static const uint32_t units[] = {KMIP_USAGE_LIMITS_UNIT_BYTE, KMIP_USAGE_LIMITS_UNIT_OBJECT};
    for (size_t i = 0; i < KS_ARRAY_LEN(units); i++) {
        const char *id = active_key(&t);
        struct kmip_item *limits = kmip_item_new(&t.arena, KMIP_TAG_USAGE_LIMITS, KMIP_TYPE_STRUCTURE);
        struct kmip_usage_limits l = {.usage_limits_total = i == 0 ? 10 : 1, .usage_limits_unit = units[i]};
        assert_int_equal(kmip_item_encode(&kmip_schema_usage_limits, KMIP_V2_1, &l, &t.arena, &limits), 0);
        struct kmip_attr *attr = ks_arena_alloc(&t.arena, sizeof(*attr));
        *attr = (struct kmip_attr){.tag = KMIP_TAG_USAGE_LIMITS, .value = limits};
        struct kmip_add_attribute_request add = {.unique_identifier = uid(id),
                                                 .new_attribute = {.present = true, .first = attr}};
        talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
        const struct ks_span value = begin(&t, id, KS_LIT("12345678"));
        struct kmip_encrypt_request r = further(id, KS_LIT("abc"), value, false);
        if (i == 0)
            talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
        else
            talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
        r = further(id, KS_LIT("90"), value, true);
        talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
        r = first(id, KS_LIT("1"));
        talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
    }
    talk_close(&t);
}

static void
codes_and_digests_in_parts(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = active_key(&t);
    struct kmip_cryptographic_parameters p = {.has_cryptographic_algorithm = true,
                                              .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256,
                                              .has_hashing_algorithm = true,
                                              .hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256};
    struct kmip_mac_request m = {
        .unique_identifier = uid(id), .cryptographic_parameters = &p, .data = KS_LIT("abc"), .has_data = true};
    const struct kmip_mac_response *a = talk_do(&t, KMIP_OPERATION_MAC, &m);
    const struct ks_span code = keep(&t, a->mac_data);
    m.data = KS_LIT("ab");
    m.init_indicator = m.has_init_indicator = true;
    a = talk_do(&t, KMIP_OPERATION_MAC, &m);
    assert_false(a->has_mac_data);
    m = (struct kmip_mac_request){.unique_identifier = uid(id),
                                  .data = KS_LIT("c"),
                                  .has_data = true,
                                  .correlation_value = keep(&t, a->correlation_value),
                                  .has_correlation_value = true,
                                  .final_indicator = true,
                                  .has_final_indicator = true};
    a = talk_do(&t, KMIP_OPERATION_MAC, &m);
    assert_true(ks_span_equal(a->mac_data, code));

    struct kmip_mac_verify_request v = {.unique_identifier = uid(id),
                                        .cryptographic_parameters = &p,
                                        .data = KS_LIT("a"),
                                        .has_data = true,
                                        .mac_data = code,
                                        .has_mac_data = true,
                                        .init_indicator = true,
                                        .has_init_indicator = true};
    const struct kmip_mac_verify_response *b = talk_do(&t, KMIP_OPERATION_MAC_VERIFY, &v);
    assert_false(b->has_validity_indicator);
    v = (struct kmip_mac_verify_request){.unique_identifier = uid(id),
                                         .data = KS_LIT("bc"),
                                         .has_data = true,
                                         .correlation_value = keep(&t, b->correlation_value),
                                         .has_correlation_value = true,
                                         .final_indicator = true,
                                         .has_final_indicator = true};
    b = talk_do(&t, KMIP_OPERATION_MAC_VERIFY, &v);
    assert_int_equal(b->validity_indicator, KMIP_VALIDITY_INDICATOR_VALID);

    struct kmip_hash_request h = {.cryptographic_parameters = &p, .data = KS_LIT("abc"), .has_data = true};
    const struct kmip_hash_response *c = talk_do(&t, KMIP_OPERATION_HASH, &h);
    const struct ks_span digest = keep(&t, c->data);
    h.data = KS_LIT("a");
    h.init_indicator = h.has_init_indicator = true;
    c = talk_do(&t, KMIP_OPERATION_HASH, &h);
    h = (struct kmip_hash_request){.cryptographic_parameters = &p,
                                   .data = KS_LIT("bc"),
                                   .has_data = true,
                                   .correlation_value = keep(&t, c->correlation_value),
                                   .has_correlation_value = true,
                                   .final_indicator = true,
                                   .has_final_indicator = true};
    c = talk_do(&t, KMIP_OPERATION_HASH, &h);
    assert_true(ks_span_equal(c->data, digest));
    talk_close(&t);
}

/* Another key in the place of a destroyed one does not bring back what was begun with that. */
static void
a_stream_ends_with_its_key(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    t.version = KMIP_V2_1;
    const char *id = active_key(&t);
    const struct ks_span value = begin(&t, id, KS_LIT("begun"));
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION);
    destroy_key(&t, id);
    struct kmip_item *key = kmip_item_new(&t.arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    struct kmip_item *bytes = kmip_item_new(&t.arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    bytes->s = KS_LIT("0123456789abcdef0123456789abcdef");
    kmip_item_append(key, bytes);
    struct kmip_key_block block = {.key_format_type = KMIP_KEY_FORMAT_TYPE_RAW,
                                   .key_value = key,
                                   .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                                   .has_cryptographic_algorithm = true,
                                   .cryptographic_length = 256,
                                   .has_cryptographic_length = true};
    struct kmip_symmetric_key symmetric = {.key_block = &block};
    struct kmip_import_request import = {.unique_identifier = uid(id),
                                         .object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                         .replace_existing = true,
                                         .has_replace_existing = true,
                                         .attributes = {.present = true},
                                         .object = {.symmetric_key = &symmetric}};
    put_number(&t, &import.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, MASK);
    put_number(&t, &import.attributes, KMIP_TAG_STATE, KMIP_STATE_ACTIVE);
    talk_do(&t, KMIP_OPERATION_IMPORT, &import);
    const struct kmip_encrypt_request r = further(id, KS_LIT("end"), value, true);
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, NO_STREAM);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_the_whole),
        cmocka_unit_test(authenticated_data_waits_for_its_tag),
        cmocka_unit_test(a_stream_is_its_makers),
        cmocka_unit_test(time_passes),
        cmocka_unit_test(a_restart_ends_streams_and_says_so),
        cmocka_unit_test(there_are_only_so_many),
        cmocka_unit_test(an_undone_part_ends_the_stream),
        cmocka_unit_test(limits_count_every_part),
        cmocka_unit_test(codes_and_digests_in_parts),
        cmocka_unit_test(a_stream_ends_with_its_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
