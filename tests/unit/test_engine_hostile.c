/* Clients that mean harm: what they may not get, use up, break, or get around. */
#include "engine_talk.h"

#include "base/text.h"
#include "kmip/schema.h"
#include "server/engine/ctx.h"

enum {
    MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT,
    WRAP = KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY,
};

static struct kmip_encrypt_request
encryption(const char *id, struct kmip_cryptographic_parameters *p, struct ks_span data)
{
    *p = (struct kmip_cryptographic_parameters){.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM,
                                                .has_block_cipher_mode = true};
    return (struct kmip_encrypt_request){
        .unique_identifier = uid(id), .cryptographic_parameters = p, .data = data, .has_data = true};
}

static void
put_limits(struct talk *t, struct kmip_attrs *attrs, int64_t total, uint32_t unit)
{
    struct kmip_item *item;
    const struct kmip_usage_limits limits = {.usage_limits_total = total, .usage_limits_unit = unit};
    assert_int_equal(kmip_item_encode(&kmip_schema_usage_limits, KMIP_V2_1, &limits, &t->arena, &item), 0);
    attrs->present = true;
    assert_non_null(kmip_attrs_add(&t->arena, attrs, KMIP_TAG_USAGE_LIMITS, item));
}

static const struct kmip_get_request *
wrapped_get(struct talk *t, const char *id, const char *kek)
{
    struct kmip_encryption_key_information *info = ks_arena_alloc(&t->arena, sizeof(*info));
    struct kmip_key_wrapping_specification *how = ks_arena_alloc(&t->arena, sizeof(*how));
    struct kmip_get_request *get = ks_arena_alloc(&t->arena, sizeof(*get));
    info->unique_identifier = uid(kek);
    how->wrapping_method = KMIP_WRAPPING_METHOD_ENCRYPT;
    how->encryption_key_information = info;
    get->unique_identifier = uid(id);
    get->key_wrapping_specification = how;
    return get;
}

/* What takes much more memory than it takes bytes must not make a row that can be written and not be read again. */
static void
what_was_stored_can_be_loaded(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "k", MASK);
    unsigned kept = 0;
    for (unsigned i = 0; i < 12; i++) {
        struct kmip_add_attribute_request r = {.unique_identifier = uid(id), .new_attribute = {.present = true}};
        struct kmip_item *value = kmip_item_new(&t.arena, KMIP_TAG_ATTRIBUTE_VALUE, KMIP_TYPE_STRUCTURE);
        for (unsigned n = 0; n < 60000; n++) {
            struct kmip_item *child = kmip_item_new(&t.arena, KMIP_TAG_ATTRIBUTE_VALUE, KMIP_TYPE_STRUCTURE);
            child->next = value->first;
            value->first = child;
        }
        struct kmip_attr *attr = kmip_attrs_add(&t.arena, &r.new_attribute, KMIP_TAG_ATTRIBUTE, value);
        attr->vendor = KS_LIT("x");
        attr->name = KS_LIT("many");
        kept += talk_ask(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &r)->result_status == KMIP_RESULT_STATUS_SUCCESS;
    }
    assert_int_equal(t.response->batch_item[0]->result_reason, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    assert_in_range(kept, 1, 11);
    struct ks_diag diag = {0};
    if (rig_reload(&t.rig, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
    assert_int_equal(state_of(&t, id), KMIP_STATE_PRE_ACTIVE);
    talk_close(&t);
}

/* The bytes of a key that was registered wrapped are no key: anyone may know them. */
static void
a_wrapped_key_is_not_used_as_it_is(void **unused)
{
    (void)unused;
    static const uint8_t bytes[24] = {1, 2, 3};
    struct talk t;
    talk_open(&t);
    struct kmip_item *material = kmip_item_new(&t.arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    struct kmip_item *value = kmip_item_new(&t.arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    material->s = KS_SPAN(bytes, sizeof(bytes)); /* 16 bytes, wrapped: the size of a key of 192 bits */
    kmip_item_append(value, material);
    struct kmip_encryption_key_information info = {.unique_identifier = uid("elsewhere")};
    struct kmip_key_wrapping_data wrapping = {.wrapping_method = KMIP_WRAPPING_METHOD_ENCRYPT,
                                              .encryption_key_information = &info,
                                              .encoding_option = KMIP_ENCODING_OPTION_NO_ENCODING,
                                              .has_encoding_option = true};
    struct kmip_key_block block = {.key_format_type = KMIP_KEY_FORMAT_TYPE_RAW,
                                   .key_value = value,
                                   .cryptographic_algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
                                   .has_cryptographic_algorithm = true,
                                   .cryptographic_length = 128,
                                   .has_cryptographic_length = true,
                                   .key_wrapping_data = &wrapping};
    struct kmip_symmetric_key key = {.key_block = &block};
    struct kmip_register_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                      .attributes = {.present = true},
                                      .object = {.symmetric_key = &key}};
    put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, MASK | WRAP);
    const struct kmip_register_response *made = talk_do(&t, KMIP_OPERATION_REGISTER, &r);
    const char *id = uid_string(&t, &made->unique_identifier), *other = make_key(&t, NULL, MASK);
    activate_key(&t, id);
    struct kmip_cryptographic_parameters p;
    const struct kmip_encrypt_request e = encryption(id, &p, KS_LIT("4111"));
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &e, KMIP_RESULT_REASON_KEY_FORMAT_TYPE_NOT_SUPPORTED);
    talk_refused(&t, KMIP_OPERATION_GET, wrapped_get(&t, other, id), KMIP_RESULT_REASON_KEY_FORMAT_TYPE_NOT_SUPPORTED);
    talk_close(&t);
}

/* What is undone has not been handed out either. */
static void
undone_means_nothing_was_handed_out(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "k", MASK);
    activate_key(&t, id);
    struct kmip_cryptographic_parameters p;
    const struct kmip_encrypt_request e = encryption(id, &p, KS_LIT("4111"));
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    const struct kmip_check_request check = {.unique_identifier = uid(id)};
    const struct kmip_destroy_request none = {.unique_identifier = uid("nothing")};
    const struct talk_item items[] = {{KMIP_OPERATION_GET, &get},
                                      {KMIP_OPERATION_ENCRYPT, &e},
                                      {KMIP_OPERATION_CHECK, &check},
                                      {KMIP_OPERATION_DESTROY, &none}};
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
    const struct kmip_response_message *r = talk_batch(&t, items, 4);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(r->batch_item[i]->result_status, KMIP_RESULT_STATUS_OPERATION_UNDONE);
    assert_null(r->batch_item[0]->payload);
    assert_null(r->batch_item[1]->payload);
    assert_non_null(r->batch_item[2]->payload); /* BL-M-2-21 */
    assert_null(strstr(records(&t), "plaintext"));
    talk_close(&t);
}

/* Of such keys the long ones are not made at all: one of 8192 bits would stop the server for a minute. */
static void
the_longest_key_pairs_are_made_beforehand_only(void **state)
{
    (void)state;
    struct talk t;
    talk_open(&t);
    struct kmip_create_key_pair_request r = {.common_attributes = {.present = true}};
    put_number(&t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA);
    put_number(&t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 8192);
    put_number(&t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK,
               KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN | KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
    talk_refused(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &r, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    talk_close(&t);
}

/* RSA keys take long: those that were not made beforehand must not keep the others waiting for minutes. */
static void
a_batch_makes_few_rsa_keys(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    struct kmip_create_key_pair_request r = {0};
    put_number(&t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA);
    put_number(&t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 2048);
    put_number(&t, &r.private_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
    put_number(&t, &r.public_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
    const struct talk_item items[] = {{KMIP_OPERATION_CREATE_KEY_PAIR, &r}, {KMIP_OPERATION_CREATE_KEY_PAIR, &r}};
    const struct kmip_response_message *answer = talk_batch(&t, items, 2);
    assert_int_equal(answer->batch_item[0]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(answer->batch_item[1]->result_reason, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    talk_close(&t);
}

/* One request searches all objects once or twice, not a thousand times. */
static void
a_batch_searches_only_so_much(void **unused)
{
    (void)unused;
    const struct engine_config config = {.node = KS_LIT("n"), .search_most = 8, .object_memory = 1 << 30};
    struct talk t;
    talk_open_with(&t, &config);
    for (unsigned i = 0; i < 5; i++)
        make_key(&t, NULL, MASK);
    const char *named = make_key(&t, "named", MASK);
    struct kmip_locate_request all = {.attributes = {.present = true}}, one = {.attributes = {.present = true}};
    put_number(&t, &all.attributes, KMIP_TAG_STATE, KMIP_STATE_PRE_ACTIVE);
    put_name(&t, &one.attributes, "named");
    const struct talk_item items[] = {{KMIP_OPERATION_LOCATE, &one},
                                      {KMIP_OPERATION_LOCATE, &all},
                                      {KMIP_OPERATION_LOCATE, &all},
                                      {KMIP_OPERATION_LOCATE, &all}};
    const struct kmip_response_message *r = talk_batch(&t, items, 4);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(r->batch_item[i]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    const struct kmip_locate_response *found = r->batch_item[0]->payload;
    assert_string_equal(uid_string(&t, &found->unique_identifier[0]), named);
    found = r->batch_item[2]->payload;
    assert_int_equal(found->n_unique_identifier, 6);
    assert_int_equal(r->batch_item[3]->result_reason, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    talk_close(&t);
}

/* Neither deleting the limit nor wrapping more than is left gets around it. */
static void
usage_limits_hold(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK), *kek = make_key(&t, NULL, WRAP);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    put_limits(&t, &add.new_attribute, 1, KMIP_USAGE_LIMITS_UNIT_OBJECT);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    add = (struct kmip_add_attribute_request){.unique_identifier = uid(kek)};
    put_limits(&t, &add.new_attribute, 10, KMIP_USAGE_LIMITS_UNIT_BYTE);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    /* Unused, it may go and come back. */
    struct kmip_attr_ref ref = {.tag = KMIP_TAG_USAGE_LIMITS, .index = -1};
    const struct kmip_delete_attribute_request gone = {.unique_identifier = uid(id),
                                                       .attribute_refs = {.n = 1, .v = &ref}};
    add = (struct kmip_add_attribute_request){.unique_identifier = uid(id)};
    put_limits(&t, &add.new_attribute, 1, KMIP_USAGE_LIMITS_UNIT_OBJECT);
    talk_do(&t, KMIP_OPERATION_DELETE_ATTRIBUTE, &gone);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    activate_key(&t, id);
    activate_key(&t, kek);
    struct kmip_cryptographic_parameters p;
    const struct kmip_encrypt_request e = encryption(id, &p, KS_LIT("4111"));
    talk_do(&t, KMIP_OPERATION_ENCRYPT, &e);
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &e, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_refused(&t, KMIP_OPERATION_DELETE_ATTRIBUTE, &gone, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_refused(&t, KMIP_OPERATION_GET, wrapped_get(&t, id, kek), KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

/* What can not be undone is refused beforehand where its answer may not fit. */
static void
what_can_not_be_undone_is_not_begun(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_client_revoke_request r = {.client_name = KS_LIT("app")};
    t.who = &t.rig.admin;
    t.max_response = 1;
    const struct kmip_response_batch_item *item = talk_ask(&t, KMIP_OPERATION_CLIENT_REVOKE, &r);
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    assert_int_equal(item->result_reason, KMIP_RESULT_REASON_RESPONSE_TOO_LARGE);
    t.max_response = 0;
    t.who = &t.rig.client;
    make_key(&t, NULL, MASK); /* not revoked */
    talk_close(&t);
}

static const char *
register_secret(struct talk *t, struct ks_span password)
{
    struct kmip_item *material = kmip_item_new(&t->arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
    struct kmip_item *value = kmip_item_new(&t->arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_STRUCTURE);
    material->s = password;
    kmip_item_append(value, material);
    struct kmip_key_block block = {.key_format_type = KMIP_KEY_FORMAT_TYPE_RAW, .key_value = value};
    struct kmip_secret_data secret = {.secret_data_type = KMIP_SECRET_DATA_TYPE_PASSWORD, .key_block = &block};
    struct kmip_register_request r = {.object_type = KMIP_OBJECT_TYPE_SECRET_DATA,
                                      .attributes = {.present = true},
                                      .object = {.secret_data = &secret}};
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
    const struct kmip_register_response *made = talk_do(t, KMIP_OPERATION_REGISTER, &r);
    return uid_string(t, &made->unique_identifier);
}

/* A password can be guessed from its Digest: only who may read the one may read the other. */
static void
digests_of_secrets_are_for_readers(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = register_secret(&t, KS_LIT("hunter2"));
    const struct kmip_item *digest = attribute(&t, id, KMIP_TAG_DIGEST);
    assert_non_null(digest);
    struct kmip_locate_request locate = {.attributes = {.present = true}};
    struct kmip_item *wanted = kmip_item_new(&t.arena, KMIP_TAG_DIGEST, KMIP_TYPE_STRUCTURE);
    wanted->first = digest->first;
    assert_non_null(kmip_attrs_add(&t.arena, &locate.attributes, KMIP_TAG_DIGEST, wanted));
    const struct kmip_locate_response *found = talk_do(&t, KMIP_OPERATION_LOCATE, &locate);
    assert_int_equal(found->n_unique_identifier, 1);
    t.who = &t.rig.admin;
    assert_null(attribute(&t, id, KMIP_TAG_DIGEST));
    found = talk_do(&t, KMIP_OPERATION_LOCATE, &locate);
    assert_int_equal(found->n_unique_identifier, 0);
    assert_non_null(attribute(&t, id, KMIP_TAG_STATE));
    talk_close(&t);
}

/* Changes of an object whose date is far off leave one entry in the list of what falls due. */
static void
changes_leave_nothing_behind(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    put_number(&t, &add.new_attribute, KMIP_TAG_ACTIVATION_DATE, RIG_START_S + 1000000);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    for (unsigned i = 0; i < 300; i++) {
        struct kmip_modify_attribute_request m = {.unique_identifier = uid(id)};
        put_number(&t, &m.new_attribute, KMIP_TAG_ACTIVATION_DATE, RIG_START_S + 1000000 + i % 2);
        talk_do(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &m);
    }
    assert_in_range(t.rig.engine->objects.cap_due, 1, 128);
    t.rig.now_us += INT64_C(1000001) * 1000000;
    assert_int_equal(state_of(&t, id), KMIP_STATE_ACTIVE);
    talk_close(&t);
}

static void
dates_at_their_ends(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "k", MASK);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    put_number(&t, &add.new_attribute, KMIP_TAG_DEACTIVATION_DATE, INT64_MAX);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    add = (struct kmip_add_attribute_request){.unique_identifier = uid(id)};
    put_number(&t, &add.new_attribute, KMIP_TAG_ACTIVATION_DATE, INT64_MIN);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    assert_int_equal(state_of(&t, id), KMIP_STATE_ACTIVE);
    const struct kmip_re_key_request r = {.unique_identifier = uid(id), .offset = UINT32_MAX, .has_offset = true};
    talk_refused(&t, KMIP_OPERATION_RE_KEY, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    talk_close(&t);
}

/* A key has one replacement; its Re-key is on record with both. */
static void
a_key_is_replaced_once(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "k", MASK);
    const struct kmip_re_key_request r = {.unique_identifier = uid(id)};
    const struct kmip_re_key_response *made = talk_do(&t, KMIP_OPERATION_RE_KEY, &r);
    assert_non_null(strstr(records(&t), uid_string(&t, &made->unique_identifier)));
    assert_non_null(strstr(records(&t), id));
    talk_refused(&t, KMIP_OPERATION_RE_KEY, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

/* Which key it was wrapped with, and both halves of a pair. */
static void
records_name_every_object(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK), *kek = make_key(&t, NULL, WRAP);
    activate_key(&t, kek);
    talk_do(&t, KMIP_OPERATION_GET, wrapped_get(&t, id, kek));
    assert_non_null(strstr(records(&t), id));
    assert_non_null(strstr(records(&t), kek));
    struct kmip_create_key_pair_request r = {0};
    put_number(&t, &r.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519);
    put_number(&t, &r.private_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
    put_number(&t, &r.public_attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_VERIFY);
    const struct kmip_create_key_pair_response *made = talk_do(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &r);
    assert_non_null(strstr(records(&t), uid_string(&t, &made->private_key_unique_identifier)));
    assert_non_null(strstr(records(&t), uid_string(&t, &made->public_key_unique_identifier)));
    talk_close(&t);
}

static void
revocations_are_consistent(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, "k", MASK);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    put_number(&t, &add.new_attribute, KMIP_TAG_PROTECT_STOP_DATE, RIG_START_S + 1000);
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    activate_key(&t, id);
    struct kmip_revocation_reason reason = {.revocation_reason_code = KMIP_REVOCATION_REASON_CODE_SUPERSEDED};
    struct kmip_revoke_request r = {.unique_identifier = uid(id),
                                    .revocation_reason = &reason,
                                    .compromise_occurrence_date = RIG_START_S,
                                    .has_compromise_occurrence_date = true};
    talk_refused(&t, KMIP_OPERATION_REVOKE, &r, KMIP_RESULT_REASON_INVALID_FIELD);
    reason.revocation_reason_code = 99;
    r.has_compromise_occurrence_date = false;
    talk_refused(&t, KMIP_OPERATION_REVOKE, &r, KMIP_RESULT_REASON_UNKNOWN_ENUMERATION);
    reason.revocation_reason_code = KMIP_REVOCATION_REASON_CODE_SUPERSEDED;
    talk_do(&t, KMIP_OPERATION_REVOKE, &r);
    /* The Protect Stop Date is after the end now: other attributes can be changed all the same. */
    add = (struct kmip_add_attribute_request){.unique_identifier = uid(id)};
    put_text(&t, &add.new_attribute, KMIP_TAG_CONTACT_INFORMATION, "custodian");
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    talk_close(&t);
}

/* An answer beyond all bounds is a refusal, not silence. */
static void
huge_answers_are_refused(void **unused)
{
    (void)unused;
    enum { N = 40 };
    struct talk t;
    talk_open(&t);
    uint8_t *big = ks_arena_alloc(&t.arena, 600000);
    struct kmip_opaque_object opaque = {.opaque_data_type = 0x80000001, .opaque_data_value = KS_SPAN(big, 600000)};
    const struct kmip_register_request r = {.object_type = KMIP_OBJECT_TYPE_OPAQUE_OBJECT,
                                            .attributes = {.present = true},
                                            .object = {.opaque_object = &opaque}};
    const struct kmip_register_response *made = talk_do(&t, KMIP_OPERATION_REGISTER, &r);
    const struct kmip_get_request get = {.unique_identifier = uid(uid_string(&t, &made->unique_identifier))};
    struct talk_item items[N];
    for (size_t i = 0; i < N; i++)
        items[i] = (struct talk_item){KMIP_OPERATION_GET, &get};
    const struct kmip_response_message *answer = talk_batch(&t, items, N);
    assert_non_null(answer);
    assert_int_equal(answer->batch_item[0]->result_reason, KMIP_RESULT_REASON_RESPONSE_TOO_LARGE);
    assert_null(strstr(records(&t), "plaintext"));
    talk_close(&t);
}

/* Messages quote what was sent, cut to a length: never in the middle of a character. */
static void
messages_are_text(void **unused)
{
    (void)unused;
    char name[100] = "a";
    for (size_t i = 1; i + 2 < sizeof(name); i += 2)
        memcpy(name + i, "\xc3\xa9", 3);
    struct talk t;
    talk_open(&t);
    const struct kmip_get_request get = {.unique_identifier = uid(name)};
    talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    assert_true(ks_utf8_valid(t.response->batch_item[0]->result_message));
    assert_true(ks_utf8_valid(ks_span_str(records(&t))));
    make_key(&t, name, MASK);
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, MASK);
    put_name(&t, &r.attributes, name);
    talk_refused(&t, KMIP_OPERATION_CREATE, &r, KMIP_RESULT_REASON_NON_UNIQUE_NAME_ATTRIBUTE);
    assert_true(ks_utf8_valid(ks_span_str(records(&t))));
    talk_close(&t);
}

/* What would be computed otherwise than asked for is refused. */
static void
counter_parameters_are_not_passed_over(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK);
    activate_key(&t, id);
    struct kmip_cryptographic_parameters p;
    struct kmip_encrypt_request e = encryption(id, &p, KS_LIT("12345678"));
    p.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CTR;
    p.counter_length = 4;
    p.has_counter_length = true;
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &e, KMIP_RESULT_REASON_BAD_CRYPTOGRAPHIC_PARAMETERS);
    talk_close(&t);
}

/* So much that falls due at one moment that one answer cannot hold it stops nobody, and nothing is used meanwhile. */
static void
much_falls_due_at_once(void **unused)
{
    (void)unused;
    enum { N = 40, SIZE = 900000 };
    struct talk t;
    const char *last = NULL;
    talk_open(&t);
    char *text = ks_arena_alloc(&t.arena, SIZE + 1);
    memset(text, 'x', SIZE);
    for (unsigned i = 0; i < N; i++) {
        last = make_key(&t, NULL, MASK);
        struct kmip_add_attribute_request add = {.unique_identifier = uid(last)};
        put_number(&t, &add.new_attribute, KMIP_TAG_DEACTIVATION_DATE, RIG_START_S + 1000);
        talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
        activate_key(&t, last);
        for (unsigned n = 0; n < 2; n++) {
            add = (struct kmip_add_attribute_request){.unique_identifier = uid(last)};
            put_vendor(&t, &add.new_attribute, "x", "note", text);
            talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
        }
    }
    t.rig.now_us += INT64_C(1000) * 1000000;
    struct kmip_cryptographic_parameters p;
    const struct kmip_encrypt_request e = encryption(last, &p, KS_LIT("4111"));
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &e, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    for (unsigned i = 0; i < N; i++)
        if (state_of(&t, last) == KMIP_STATE_DEACTIVATED)
            break;
    assert_int_equal(state_of(&t, last), KMIP_STATE_DEACTIVATED);
    talk_close(&t);
}

/* A structure of many fields is compared as a whole, not each field with each. */
static void
a_structure_is_no_square(void **unused)
{
    (void)unused;
    enum { N = 30000 };
    struct talk t;
    talk_open(&t);
    const char *id = make_key(&t, NULL, MASK);
    struct kmip_item *stored = kmip_item_new(&t.arena, KMIP_TAG_ATTRIBUTE_VALUE, KMIP_TYPE_STRUCTURE);
    struct kmip_item *wanted = kmip_item_new(&t.arena, KMIP_TAG_ATTRIBUTE_VALUE, KMIP_TYPE_STRUCTURE);
    for (unsigned i = 0; i < N; i++) {
        struct kmip_item *a = kmip_item_new(&t.arena, KMIP_TAG_ATTRIBUTE_VALUE, KMIP_TYPE_INTEGER);
        struct kmip_item *b = kmip_item_new(&t.arena, KMIP_TAG_ATTRIBUTE_VALUE, KMIP_TYPE_INTEGER);
        a->i32 = i == 0;
        b->i32 = 1;
        a->next = stored->first;
        stored->first = a;
        b->next = wanted->first;
        wanted->first = b;
    }
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id), .new_attribute = {.present = true}};
    struct kmip_locate_request locate = {.attributes = {.present = true}};
    struct kmip_attr *attr = kmip_attrs_add(&t.arena, &add.new_attribute, KMIP_TAG_ATTRIBUTE, stored);
    attr->vendor = attr->name = KS_LIT("x");
    talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    attr = kmip_attrs_add(&t.arena, &locate.attributes, KMIP_TAG_ATTRIBUTE, wanted);
    attr->vendor = attr->name = KS_LIT("x");
    const struct kmip_locate_response *found = talk_do(&t, KMIP_OPERATION_LOCATE, &locate);
    assert_int_equal(found->n_unique_identifier, 0); /* each of its fields is there, and it is another structure */
    talk_close(&t);
}

static void
a_batch_takes_only_so_long(void **unused)
{
    (void)unused;
    static const struct kmip_ping_request ping;
    const struct talk_item items[] = {
        {KMIP_OPERATION_PING, &ping}, {KMIP_OPERATION_PING, &ping}, {KMIP_OPERATION_PING, &ping}};
    struct talk t;
    talk_open(&t);
    t.rig.step_us = 600000;
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_CONTINUE;
    const struct kmip_response_message *r = talk_batch(&t, items, 3);
    assert_int_equal(r->batch_item[0]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(r->batch_item[1]->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(r->batch_item[2]->result_reason, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_key_pairs_are_made_beforehand_only),
        cmocka_unit_test(what_was_stored_can_be_loaded),
        cmocka_unit_test(a_wrapped_key_is_not_used_as_it_is),
        cmocka_unit_test(undone_means_nothing_was_handed_out),
        cmocka_unit_test(a_batch_makes_few_rsa_keys),
        cmocka_unit_test(a_batch_searches_only_so_much),
        cmocka_unit_test(usage_limits_hold),
        cmocka_unit_test(what_can_not_be_undone_is_not_begun),
        cmocka_unit_test(digests_of_secrets_are_for_readers),
        cmocka_unit_test(changes_leave_nothing_behind),
        cmocka_unit_test(dates_at_their_ends),
        cmocka_unit_test(a_key_is_replaced_once),
        cmocka_unit_test(records_name_every_object),
        cmocka_unit_test(revocations_are_consistent),
        cmocka_unit_test(huge_answers_are_refused),
        cmocka_unit_test(messages_are_text),
        cmocka_unit_test(counter_parameters_are_not_passed_over),
        cmocka_unit_test(much_falls_due_at_once),
        cmocka_unit_test(a_structure_is_no_square),
        cmocka_unit_test(a_batch_takes_only_so_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
