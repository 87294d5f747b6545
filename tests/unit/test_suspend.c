/* Suspend and Resume: what is withdrawn for a time, by one administrator, and given back by two. */
#include "engine_talk.h"

#include "server/engine/suspend.h"

static struct identity deputy; /* the other administrator */

enum { DAY = 86400 };

static void
open_with_deputy(struct talk *t)
{
    talk_open(t);
    rig_add_admin(&t->rig, &deputy);
}

static void
later(struct talk *t, int64_t seconds)
{
    t->rig.now_us += seconds * 1000000;
    (void)rig_tick(&t->rig);
}

static struct kmip_suspend_request
suspension(const char *id, const char *mode, const char *why)
{
    return (struct kmip_suspend_request){.unique_identifier = uid(id),
                                         .has_suspension_mode = mode != NULL,
                                         .suspension_mode = ks_span_str(mode),
                                         .suspension_reason = ks_span_str(why)};
}

/* Whoever asks otherwise, administrators do this. */
static void
suspend(struct talk *t, const char *id, const char *mode)
{
    const struct identity *asked = t->who;
    const struct kmip_suspend_request r = suspension(id, mode, "laptop stolen");
    t->who = &t->rig.admin;
    (void)talk_do(t, KMIP_OPERATION_SUSPEND, &r);
    t->who = asked;
}

static bool
resume(struct talk *t, const char *id, const struct identity *who)
{
    const struct identity *asked = t->who;
    const struct kmip_resume_request r = {.unique_identifier = uid(id)};
    t->who = who;
    const struct kmip_resume_response *response = talk_do(t, KMIP_OPERATION_RESUME, &r);
    t->who = asked;
    return response->resumed;
}

static void
resume_refused(struct talk *t, const char *id, const struct identity *who, uint32_t reason)
{
    const struct identity *asked = t->who;
    const struct kmip_resume_request r = {.unique_identifier = uid(id)};
    t->who = who;
    talk_refused(t, KMIP_OPERATION_RESUME, &r, reason);
    t->who = asked;
}

static const struct kmip_response_batch_item *
ask_encrypt(struct talk *t, const char *id)
{
    static struct kmip_cryptographic_parameters gcm = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM,
                                                       .has_block_cipher_mode = true};
    const struct kmip_encrypt_request r = {.unique_identifier = uid(id),
                                           .cryptographic_parameters = &gcm,
                                           .data = KS_LIT("sixteen bytes..."),
                                           .has_data = true};
    return talk_ask(t, KMIP_OPERATION_ENCRYPT, &r);
}

static bool
decrypts(struct talk *t, const char *id, const struct kmip_encrypt_response *from)
{
    static struct kmip_cryptographic_parameters gcm = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM,
                                                       .has_block_cipher_mode = true};
    const struct kmip_decrypt_request r = {.unique_identifier = uid(id),
                                           .cryptographic_parameters = &gcm,
                                           .data = from->data,
                                           .has_data = true,
                                           .iv_counter_nonce = from->iv_counter_nonce,
                                           .has_iv_counter_nonce = true,
                                           .authenticated_encryption_tag = from->authenticated_encryption_tag,
                                           .has_authenticated_encryption_tag = true};
    const struct kmip_response_batch_item *item = talk_ask(t, KMIP_OPERATION_DECRYPT, &r);
    if (item->result_status != KMIP_RESULT_STATUS_SUCCESS)
        return false;
    const struct kmip_decrypt_response *response = item->payload;
    assert_true(ks_span_is(response->data, "sixteen bytes..."));
    return true;
}

static const char *
active_key(struct talk *t, const char *name)
{
    const char *id = make_key(t, name, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT);
    activate_key(t, id);
    return id;
}

/* An attribute of the server's own; NULL: the object does not have it. */
static const struct kmip_item *
own(struct talk *t, const char *id, const char *name)
{
    struct kmip_attr_ref ref = {
        .tag = KMIP_TAG_ATTRIBUTE, .vendor = KS_LIT("y"), .name = ks_span_str(name), .index = -1};
    const struct kmip_get_attributes_request r = {.unique_identifier = uid(id), .attribute_refs = {.n = 1, .v = &ref}};
    const struct kmip_get_attributes_response *response = talk_do(t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    return response->attributes.first != NULL ? response->attributes.first->value : NULL;
}

static size_t
located(struct talk *t, const char *mode)
{
    struct kmip_locate_request r = {.attributes = {.present = true}};
    put_name(t, &r.attributes, "invoices");
    if (mode != NULL)
        put_vendor(t, &r.attributes, "y", "Suspended", mode);
    const struct kmip_locate_response *response = talk_do(t, KMIP_OPERATION_LOCATE, &r);
    return response->n_unique_identifier;
}

static size_t
listed(struct talk *t, const char *id)
{
    const struct kmip_get_attribute_list_request r = {.unique_identifier = uid(id)};
    const struct kmip_get_attribute_list_response *response = talk_do(t, KMIP_OPERATION_GET_ATTRIBUTE_LIST, &r);
    size_t n = 0;
    for (size_t i = 0; i < response->attribute_refs.n; i++)
        n += ks_span_is(response->attribute_refs.v[i].vendor, "y");
    return n;
}

static void
get_refused(struct talk *t, const char *id)
{
    static const char *const parts[] = {"is suspended (all) since 2030-", "by admin: laptop stolen", "two of them"};
    const struct kmip_get_request r = {.unique_identifier = uid(id)};
    const struct kmip_response_batch_item *item = talk_ask(t, KMIP_OPERATION_GET, &r);
    assert_int_equal(item->result_reason, KMIP_RESULT_REASON_PERMISSION_DENIED);
    for (size_t i = 0; i < KS_ARRAY_LEN(parts); i++)
        assert_non_null(memmem(item->result_message.data, item->result_message.len, parts[i], strlen(parts[i])));
}

static void
shown_and_refused_in_every_version(void **unused)
{
    (void)unused;
    struct talk t;
    open_with_deputy(&t);
    const char *id = active_key(&t, "invoices");
    suspend(&t, id, NULL);
    for (enum kmip_version v = KMIP_V1_0; v <= KMIP_V3_0; v++) {
        t.version = v;
        get_refused(&t, id);
        if (v >= KMIP_V1_2)
            assert_int_equal(ask_encrypt(&t, id)->result_reason, v >= KMIP_V2_1
                                                                     ? KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE
                                                                     : KMIP_RESULT_REASON_PERMISSION_DENIED);
        assert_int_equal(state_of(&t, id), KMIP_STATE_ACTIVE);
        assert_int_equal(listed(&t, id), 4);
        assert_true(ks_span_is(own(&t, id, "Suspended")->s, "all"));
        assert_true(ks_span_is(own(&t, id, "Suspended-By")->s, "admin"));
        assert_true(ks_span_is(own(&t, id, "Suspended-Reason")->s, "laptop stolen"));
        assert_int_equal(own(&t, id, "Suspended-Since")->i64, t.rig.now_us / 1000000);
        assert_int_equal(located(&t, NULL), 1);
        assert_int_equal(located(&t, "all"), 1);
        assert_int_equal(located(&t, "protect"), 0);
    }
    t.version = KMIP_V2_1;
    struct kmip_create_request same = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_name(&t, &same.attributes, "invoices");
    put_number(&t, &same.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(&t, &same.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(&t, &same.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    talk_refused(&t, KMIP_OPERATION_CREATE, &same, KMIP_RESULT_REASON_NON_UNIQUE_NAME_ATTRIBUTE);
    talk_close(&t);
}

/* Neither the owner nor an administrator writes what the server says of it. */
static void
clients_do_not_write_it(void **unused)
{
    (void)unused;
    struct talk t;
    open_with_deputy(&t);
    const char *id = active_key(&t, "invoices");
    struct kmip_attr_ref ref = {
        .tag = KMIP_TAG_ATTRIBUTE, .vendor = KS_LIT("y"), .name = KS_LIT("Suspended"), .index = -1};
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    struct kmip_modify_attribute_request modify = {.unique_identifier = uid(id)};
    struct kmip_set_attribute_request set = {.unique_identifier = uid(id)};
    const struct kmip_delete_attribute_request delete = {.unique_identifier = uid(id),
                                                         .attribute_refs = {.n = 1, .v = &ref}};
    put_vendor(&t, &add.new_attribute, "y", "Suspended", "protect");
    put_vendor(&t, &modify.new_attribute, "y", "Suspended", "protect");
    put_vendor(&t, &set.new_attribute, "y", "Suspended", "protect");
    for (int suspended = 0; suspended < 2; suspended++) {
        for (enum kmip_version v = KMIP_V1_0; v <= KMIP_V3_0; v++)
            for (int admin = 0; admin < 2; admin++) {
                const uint32_t denied = KMIP_RESULT_REASON_PERMISSION_DENIED;
                t.version = v;
                t.who = admin != 0 ? &t.rig.admin : &t.rig.client;
                talk_refused(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add,
                             v < KMIP_V2_0 ? denied : KMIP_RESULT_REASON_READ_ONLY_ATTRIBUTE);
                talk_refused(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &modify,
                             v < KMIP_V2_0 ? denied : KMIP_RESULT_REASON_ATTRIBUTE_READ_ONLY);
                talk_refused(&t, KMIP_OPERATION_DELETE_ATTRIBUTE, &delete,
                             v < KMIP_V2_0 ? denied : KMIP_RESULT_REASON_ATTRIBUTE_READ_ONLY);
                if (v >= KMIP_V2_0)
                    talk_refused(&t, KMIP_OPERATION_SET_ATTRIBUTE, &set, KMIP_RESULT_REASON_READ_ONLY_ATTRIBUTE);
            }
        if (suspended == 0)
            suspend(&t, id, "all");
    }
    talk_close(&t);
}

static void
two_resume_again_and_again(void **unused)
{
    (void)unused;
    struct talk t;
    struct ks_diag diag = {0};
    open_with_deputy(&t);
    const char *id = active_key(&t, "invoices");
    const struct ks_span key = key_bytes(&t, id);
    const struct kmip_suspend_request by_owner = suspension(id, "all", "why");
    talk_refused(&t, KMIP_OPERATION_SUSPEND, &by_owner, KMIP_RESULT_REASON_PERMISSION_DENIED);
    resume_refused(&t, id, &t.rig.admin, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE); /* of what is not suspended */
    for (int round = 0; round < 3; round++) {
        suspend(&t, id, "all");
        assert_int_equal(rig_reload(&t.rig, &diag), 0); /* it is in the store */
        get_refused(&t, id);
        resume_refused(&t, id, &t.rig.client, KMIP_RESULT_REASON_PERMISSION_DENIED);
        assert_false(resume(&t, id, round == 1 ? &deputy : &t.rig.admin));
        assert_int_equal(listed(&t, id), 6);
        assert_false(resume(&t, id, round == 1 ? &deputy : &t.rig.admin)); /* one is not two */
        assert_int_equal(rig_reload(&t.rig, &diag), 0);
        get_refused(&t, id);
        assert_true(resume(&t, id, round == 1 ? &t.rig.admin : &deputy));
        assert_non_null(strstr(records(&t), "\"operation\":\"Resume\""));
        assert_int_equal(rig_reload(&t.rig, &diag), 0);
        assert_int_equal(listed(&t, id), 0);
        assert_true(ks_span_equal(key_bytes(&t, id), key));
        assert_int_equal(ask_encrypt(&t, id)->result_status, KMIP_RESULT_STATUS_SUCCESS);
    }
    talk_close(&t);
}

static void
agreements_end(void **unused)
{
    (void)unused;
    struct talk t;
    open_with_deputy(&t);
    const char *id = active_key(&t, "invoices");
    suspend(&t, id, "all");
    assert_false(resume(&t, id, &deputy));
    later(&t, DAY);
    assert_false(resume(&t, id, &t.rig.admin)); /* that was yesterday: this is the first one */
    later(&t, DAY - 10);
    suspend(&t, id, "all"); /* whoever suspends it anew has not agreed to anything */
    assert_false(resume(&t, id, &deputy));
    const struct kmip_client_revoke_request revocation = {.client_name = KS_LIT("deputy")};
    t.who = &t.rig.admin;
    (void)talk_do(&t, KMIP_OPERATION_CLIENT_REVOKE, &revocation);
    t.who = &t.rig.client;
    assert_false(resume(&t, id, &t.rig.admin)); /* an administrator who is none any more */
    get_refused(&t, id);
    talk_close(&t);
}

static void
protect_leaves_what_is_there(void **unused)
{
    (void)unused;
    struct talk t;
    open_with_deputy(&t);
    const char *id = active_key(&t, "invoices");
    const struct kmip_encrypt_response *from = ask_encrypt(&t, id)->payload;
    suspend(&t, id, "protect");
    assert_int_equal(ask_encrypt(&t, id)->result_reason, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    assert_true(decrypts(&t, id, from));
    assert_non_null(strstr(records(&t), "while it is suspended"));
    (void)key_bytes(&t, id);
    assert_false(resume(&t, id, &deputy));
    suspend(&t, id, "all"); /* one may tighten it, and what was agreed to is not this */
    assert_false(decrypts(&t, id, from));
    assert_false(resume(&t, id, &t.rig.admin));
    const struct kmip_suspend_request looser = suspension(id, "protect", "less");
    t.who = &deputy;
    talk_refused(&t, KMIP_OPERATION_SUSPEND, &looser, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    t.who = &t.rig.client;
    assert_false(decrypts(&t, id, from));
    assert_true(resume(&t, id, &deputy));
    assert_true(decrypts(&t, id, from));
    talk_close(&t);
}

/* The dates go on. What has come to its end is not resumed, and does not become usable by that end. */
static void
the_end_comes_all_the_same(void **unused)
{
    (void)unused;
    struct talk t;
    open_with_deputy(&t);
    const char *id = active_key(&t, "invoices");
    struct kmip_add_attribute_request end = {.unique_identifier = uid(id)};
    const struct kmip_destroy_request destroy = {.unique_identifier = uid(id)};
    put_number(&t, &end.new_attribute, KMIP_TAG_DEACTIVATION_DATE, t.rig.now_us / 1000000 + 100);
    (void)talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &end);
    const struct kmip_encrypt_response *from = ask_encrypt(&t, id)->payload;
    suspend(&t, id, "all");
    assert_false(resume(&t, id, &deputy));
    t.who = &t.rig.admin;
    talk_refused(&t, KMIP_OPERATION_DESTROY, &destroy, KMIP_RESULT_REASON_PERMISSION_DENIED);
    t.who = &t.rig.client;
    later(&t, 200);
    assert_int_equal(state_of(&t, id), KMIP_STATE_DEACTIVATED);
    assert_false(decrypts(&t, id, from));
    resume_refused(&t, id, &t.rig.admin, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    talk_refused(&t, KMIP_OPERATION_DESTROY, &destroy, KMIP_RESULT_REASON_PERMISSION_DENIED);
    t.who = &t.rig.admin;
    (void)talk_do(&t, KMIP_OPERATION_DESTROY, &destroy);
    talk_close(&t);
}

/* Nor by its owner's Revoke. */
static void
revoke_is_no_way_around(void **unused)
{
    (void)unused;
    struct talk t;
    open_with_deputy(&t);
    const char *id = active_key(&t, "invoices");
    const struct kmip_encrypt_response *from = ask_encrypt(&t, id)->payload;
    suspend(&t, id, "all");
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
    assert_int_equal(state_of(&t, id), KMIP_STATE_COMPROMISED);
    assert_false(decrypts(&t, id, from));
    get_refused(&t, id);
    talk_close(&t);
}

static void
a_replacement_is_not_suspended(void **unused)
{
    (void)unused;
    struct talk t;
    open_with_deputy(&t);
    const char *id = active_key(&t, "invoices");
    suspend(&t, id, "all");
    assert_false(resume(&t, id, &deputy));
    const struct kmip_re_key_request r = {.unique_identifier = uid(id)};
    talk_refused(&t, KMIP_OPERATION_RE_KEY, &r, KMIP_RESULT_REASON_PERMISSION_DENIED);
    t.who = &t.rig.admin;
    const struct kmip_re_key_response *made = talk_do(&t, KMIP_OPERATION_RE_KEY, &r);
    t.who = &t.rig.client;
    const char *next = uid_string(&t, &made->unique_identifier);
    assert_int_equal(listed(&t, next), 0);
    (void)key_bytes(&t, next);
    get_refused(&t, id);
    talk_close(&t);
}

/* A key of the same bytes that is not suspended: by none of the operations that make one. */
static void
no_copy_is_made(void **unused)
{
    (void)unused;
    struct talk t;
    open_with_deputy(&t);
    const char *id = active_key(&t, "invoices");
    const struct kmip_export_request export = {.unique_identifier = uid(id)};
    const struct kmip_create_split_key_request split = {.object_type = KMIP_OBJECT_TYPE_SPLIT_KEY,
                                                        .unique_identifier = uid(id),
                                                        .split_key_method = KMIP_SPLIT_KEY_METHOD_XOR,
                                                        .split_key_parts = 2,
                                                        .split_key_threshold = 2,
                                                        .attributes = {.present = true}};
    const struct kmip_create_split_key_response *made = talk_do(&t, KMIP_OPERATION_CREATE_SPLIT_KEY, &split);
    struct kmip_uid parts[2] = {uid(uid_string(&t, &made->unique_identifier[0])),
                                uid(uid_string(&t, &made->unique_identifier[1]))};
    struct kmip_join_split_key_request join = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
                                               .unique_identifier = parts,
                                               .n_unique_identifier = 2,
                                               .attributes = {.present = true}};
    put_number(&t, &join.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(&t, &join.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(&t, &join.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    (void)talk_do(&t, KMIP_OPERATION_JOIN_SPLIT_KEY, &join);
    suspend(&t, id, "protect");
    suspend(&t, uid_string(&t, &parts[1]), "protect");
    (void)key_bytes(&t, id);
    talk_refused(&t, KMIP_OPERATION_EXPORT, &export, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_refused(&t, KMIP_OPERATION_CREATE_SPLIT_KEY, &split, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_refused(&t, KMIP_OPERATION_JOIN_SPLIT_KEY, &join, KMIP_RESULT_REASON_PERMISSION_DENIED);
    talk_close(&t);
}

/* What was begun before is not gone on with. */
static void
parts_of_a_message_end(void **unused)
{
    (void)unused;
    struct talk t;
    open_with_deputy(&t);
    const char *id = active_key(&t, "invoices");
    struct kmip_cryptographic_parameters ctr = {.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CTR,
                                                .has_block_cipher_mode = true};
    struct kmip_encrypt_request r = {.unique_identifier = uid(id),
                                     .cryptographic_parameters = &ctr,
                                     .data = KS_LIT("sixteen bytes..."),
                                     .has_data = true,
                                     .iv_counter_nonce = KS_LIT("0123456789abcdef"),
                                     .has_iv_counter_nonce = true,
                                     .init_indicator = true,
                                     .has_init_indicator = true};
    const struct kmip_encrypt_response *first = talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    r.has_init_indicator = r.has_iv_counter_nonce = false;
    r.correlation_value = first->correlation_value;
    r.has_correlation_value = true;
    (void)talk_do(&t, KMIP_OPERATION_ENCRYPT, &r);
    suspend(&t, id, "protect");
    talk_refused(&t, KMIP_OPERATION_ENCRYPT, &r, KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE);
    talk_close(&t);
}

static void
a_batch_that_fails_suspends_nothing(void **unused)
{
    (void)unused;
    struct talk t;
    struct ks_diag diag = {0};
    open_with_deputy(&t);
    const char *id = active_key(&t, "invoices");
    const struct kmip_suspend_request r = suspension(id, "all", "why");
    const struct kmip_destroy_request destroy = {.unique_identifier = uid(id)};
    const struct talk_item items[] = {{KMIP_OPERATION_SUSPEND, &r}, {KMIP_OPERATION_DESTROY, &destroy}};
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
    t.who = &t.rig.admin;
    const struct kmip_response_message *response = talk_batch(&t, items, 2);
    assert_int_equal(response->batch_item[0]->result_status, KMIP_RESULT_STATUS_OPERATION_UNDONE);
    t.option = 0;
    t.who = &t.rig.client;
    (void)key_bytes(&t, id);
    assert_int_equal(rig_reload(&t.rig, &diag), 0);
    (void)key_bytes(&t, id);
    assert_int_equal(listed(&t, id), 0);
    talk_close(&t);
}

/* The clock replaces no key that is suspended, and makes up for it. */
static void
rotation_waits(void **unused)
{
    (void)unused;
    struct talk t;
    open_with_deputy(&t);
    const char *id = active_key(&t, "invoices");
    struct kmip_set_attribute_request automatic = {.unique_identifier = uid(id)};
    struct kmip_set_attribute_request interval = {.unique_identifier = uid(id)};
    put_number(&t, &automatic.new_attribute, KMIP_TAG_ROTATE_AUTOMATIC, 1);
    put_number(&t, &interval.new_attribute, KMIP_TAG_ROTATE_INTERVAL, 1000);
    (void)talk_do(&t, KMIP_OPERATION_SET_ATTRIBUTE, &automatic);
    (void)talk_do(&t, KMIP_OPERATION_SET_ATTRIBUTE, &interval);
    suspend(&t, id, "all");
    later(&t, 2000);
    assert_null(attribute(&t, id, KMIP_TAG_ROTATE_DATE));
    assert_false(resume(&t, id, &deputy));
    assert_true(resume(&t, id, &t.rig.admin));
    later(&t, 1);
    assert_non_null(attribute(&t, id, KMIP_TAG_ROTATE_DATE));
    talk_close(&t);
}

static void
what_is_no_suspension(void **unused)
{
    (void)unused;
    static const char longest[] =
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "890123456789012345678901234567890123456789012345678901234567890123456789";
    struct talk t;
    open_with_deputy(&t);
    const char *id = active_key(&t, "invoices"), *gone = active_key(&t, NULL);
    revoke_key(&t, gone, KMIP_REVOCATION_REASON_CODE_SUPERSEDED);
    const struct {
        struct kmip_suspend_request r;
        uint32_t reason;
    } rows[] = {
        {suspension(id, "some", "why"), KMIP_RESULT_REASON_INVALID_FIELD},
        {suspension(id, "all", ""), KMIP_RESULT_REASON_INVALID_FIELD},
        {suspension(id, "all", "two\nlines"), KMIP_RESULT_REASON_INVALID_FIELD},
        {suspension(gone, "all", "why"), KMIP_RESULT_REASON_WRONG_KEY_LIFECYCLE_STATE},
        {suspension("nobody", "all", "why"), KMIP_RESULT_REASON_OBJECT_NOT_FOUND},
    };
    t.who = &t.rig.admin;
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        talk_refused(&t, KMIP_OPERATION_SUSPEND, &rows[i].r, rows[i].reason);
    _Static_assert(sizeof(longest) - 1 == SUSPEND_REASON_MOST, "the longest there is");
    const struct kmip_suspend_request whole = suspension(id, "all", longest);
    (void)talk_do(&t, KMIP_OPERATION_SUSPEND, &whole);
    const struct kmip_get_request get = {.unique_identifier = uid(id)};
    t.who = &t.rig.client;
    const struct kmip_response_batch_item *item = talk_ask(&t, KMIP_OPERATION_GET, &get);
    assert_non_null(memmem(item->result_message.data, item->result_message.len, "resume it", 9)); /* nothing is cut */
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shown_and_refused_in_every_version),
        cmocka_unit_test(clients_do_not_write_it),
        cmocka_unit_test(two_resume_again_and_again),
        cmocka_unit_test(agreements_end),
        cmocka_unit_test(protect_leaves_what_is_there),
        cmocka_unit_test(the_end_comes_all_the_same),
        cmocka_unit_test(revoke_is_no_way_around),
        cmocka_unit_test(a_replacement_is_not_suspended),
        cmocka_unit_test(no_copy_is_made),
        cmocka_unit_test(parts_of_a_message_end),
        cmocka_unit_test(a_batch_that_fails_suspends_nothing),
        cmocka_unit_test(rotation_waits),
        cmocka_unit_test(what_is_no_suspension),
    };
    return cmocka_run_group_tests_name("suspend", tests, NULL, NULL);
}
