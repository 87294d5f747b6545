/* Users of 3.0: what they show to be users, and what that lets them do. */
#include "engine_talk.h"

#include <stdio.h>

#include "crypto/hash.h"
#include "server/engine/otp.h"

static const struct kmip_ping_request ping;

static void
otp_is_as_the_rfcs_have_it(void **unused)
{
    (void)unused;
    uint32_t value;
#define OTP(HASH, SEED, COUNTER, DIGITS, VALUE)                                                                        \
    assert_int_equal(otp_value(KMIP_HASHING_ALGORITHM_##HASH, KS_LIT(SEED), COUNTER, DIGITS, &value), 0);              \
    assert_int_equal(value, VALUE);
#include "../vectors/otp.def"
#undef OTP
    assert_true(otp_is(KS_LIT("000042"), 42, 6));
    assert_false(otp_is(KS_LIT("42"), 42, 6));
    assert_false(otp_is(KS_LIT("000043"), 42, 6));
    assert_int_equal(otp_value(KMIP_HASHING_ALGORITHM_SHA_1, KS_LIT("12345678901234567890"), 0, 5, &value),
                     KS_E_INVALID);
}

/* Making them */

static const char *
make(struct talk *t, struct kmip_create_credential_request r)
{
    r.attributes.present = true;
    const struct kmip_create_credential_response *made = talk_do(t, KMIP_OPERATION_CREATE_CREDENTIAL, &r);
    return uid_string(t, &made->unique_identifier);
}

static const char *
password(struct talk *t, const char *text)
{
    struct kmip_password_credential p = {.password = ks_span_str(text), .has_password = true};
    return make(t, (struct kmip_create_credential_request){.credential_type = KMIP_CREDENTIAL_TYPE_PASSWORD,
                                                           .password_credential = &p});
}

static void
put_reference(struct talk *t, struct kmip_attrs *attrs, uint32_t tag, uint8_t type, const char *text)
{
    struct kmip_item *item = kmip_item_new(&t->arena, tag, type);
    item->s = ks_span_str(text);
    assert_non_null(kmip_attrs_add(&t->arena, attrs, tag, item));
}

static const char *
user(struct talk *t, const char *name, const char *credential, const char *group)
{
    struct kmip_create_user_request r = {.attributes = {.present = true}};
    put_reference(t, &r.attributes, KMIP_TAG_CREDENTIAL_LINK, KMIP_TYPE_REFERENCE, credential);
    if (group != NULL)
        put_reference(t, &r.attributes, KMIP_TAG_GROUP_LINK, KMIP_TYPE_NAME_REFERENCE, group);
    put_name(t, &r.attributes, name);
    const struct kmip_create_user_response *made = talk_do(t, KMIP_OPERATION_CREATE_USER, &r);
    return uid_string(t, &made->unique_identifier);
}

/* Showing them */

static void
show(struct talk *t, uint32_t type, const struct kmip_schema *schema, const void *value)
{
    struct kmip_credential *c = ks_arena_alloc(&t->arena, sizeof(*c));
    c->credential_type = type;
    assert_int_equal(kmip_item_encode(schema, KMIP_V2_1, value, &t->arena, &c->credential_value), 0);
    t->authentication = ks_arena_alloc(&t->arena, sizeof(*t->authentication));
    t->authentication->credential = ks_arena_alloc(&t->arena, sizeof(c));
    t->authentication->credential[0] = c;
    t->authentication->n_credential = 1;
}

static void
say(struct talk *t, const char *name, const char *text)
{
    const struct kmip_username_password_credential value = {
        .username = ks_span_str(name), .password = ks_span_str(text), .has_password = true};
    show(t, KMIP_CREDENTIAL_TYPE_USERNAME_AND_PASSWORD, &kmip_schema_username_password_credential, &value);
}

/* 0: success. */
static uint32_t
outcome(struct talk *t)
{
    const struct kmip_response_message *got = talk_batch(t, &(struct talk_item){KMIP_OPERATION_PING, &ping}, 1);
    return got->batch_item[0]->result_status == KMIP_RESULT_STATUS_SUCCESS ? 0 : got->batch_item[0]->result_reason;
}

static const uint32_t refused = KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL;

static uint32_t
say_otp(struct talk *t, const char *name, uint32_t value)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%06u", (unsigned)value);
    const struct kmip_one_time_password_credential c = {.username = ks_span_str(name),
                                                        .one_time_password = ks_span_str(text)};
    show(t, KMIP_CREDENTIAL_TYPE_ONE_TIME_PASSWORD, &kmip_schema_one_time_password_credential, &c);
    return outcome(t);
}

static void
open_users(struct talk *t)
{
    talk_open(t);
    t->version = KMIP_V3_0;
    t->who = &t->rig.admin;
}

static void
one_time_passwords_are_good_once(void **unused)
{
    (void)unused;
    struct talk t;
    struct ks_diag diag = {0};
    open_users(&t);
    struct kmip_item seed = {
        .tag = KMIP_TAG_OTP_SEED, .type = KMIP_TYPE_BYTE_STRING, .s = KS_LIT("12345678901234567890")};
    struct kmip_otp_credential otp = {.otp_algorithm = KMIP_OTP_ALGORITHM_HOTP, .otp_seed = &seed};
    const struct kmip_create_credential_request r = {.credential_type = KMIP_CREDENTIAL_TYPE_ONE_TIME_PASSWORD,
                                                     .otp_credential = &otp};
    user(&t, "ada", make(&t, r), NULL);
    otp.otp_algorithm = KMIP_OTP_ALGORITHM_TOTP;
    user(&t, "bob", make(&t, r), NULL);
    t.who = &t.rig.client;
    assert_int_equal(say_otp(&t, "ada", 755224), 0);
    assert_int_equal(say_otp(&t, "ada", 755224), refused);
    assert_int_equal(say_otp(&t, "ada", 969429), 0); /* counter 3: two were not used */
    assert_int_equal(say_otp(&t, "ada", 287082), refused);
    assert_int_equal(rig_reload(&t.rig, &diag), 0);
    assert_int_equal(say_otp(&t, "ada", 969429), refused);
    assert_int_equal(say_otp(&t, "nobody", 969429), refused);
    uint32_t now, before, later;
    const uint64_t step = (uint64_t)(t.rig.now_us / 1000000) / 30;
    assert_int_equal(otp_value(KMIP_HASHING_ALGORITHM_SHA_1, seed.s, step - 1, 6, &before), 0);
    assert_int_equal(otp_value(KMIP_HASHING_ALGORITHM_SHA_1, seed.s, step, 6, &now), 0);
    assert_int_equal(otp_value(KMIP_HASHING_ALGORITHM_SHA_1, seed.s, step + 2, 6, &later), 0);
    assert_int_equal(say_otp(&t, "bob", later), refused);
    assert_int_equal(say_otp(&t, "bob", now), 0);
    assert_int_equal(say_otp(&t, "bob", now), refused);
    assert_int_equal(say_otp(&t, "bob", before), refused);
    t.rig.now_us += INT64_C(60000000);
    assert_int_equal(say_otp(&t, "bob", later), 0);
    talk_close(&t);
}

static void
hash_of(struct ks_span *ret, uint8_t *digest, struct ks_span a, struct ks_span b)
{
    const struct ks_span parts[] = {a, b};
    assert_int_equal(ks_sha256(parts, 2, digest), 0);
    *ret = KS_SPAN(digest, KS_SHA256);
}

/* What a client sends (2.1: 9.11): Hash(S1 || Time Stamp) || S2. */
static uint32_t
say_hashed(struct talk *t, const char *name, const char *secret, int64_t time_us)
{
    uint8_t d1[32], d2[32], stamp[8], both[64];
    struct ks_span s1, s2, first;
    ks_put_be64(stamp, (uint64_t)time_us);
    hash_of(&s1, d1, ks_span_str(name), ks_span_str(secret));
    hash_of(&s2, d2, ks_span_str(secret), ks_span_str(name));
    hash_of(&first, both, s1, KS_SPAN(stamp, 8));
    memcpy(both + 32, d2, 32);
    const struct kmip_hashed_password_credential c = {
        .username = ks_span_str(name), .time_stamp = time_us, .hashed_password = KS_SPAN(both, 64)};
    show(t, KMIP_CREDENTIAL_TYPE_HASHED_PASSWORD, &kmip_schema_hashed_password_credential, &c);
    const uint32_t result = outcome(t);
    if (result != 0)
        return result;
    /* And what the server shows for it: Hash(Time Stamp || S1 || Hash(S2)). */
    uint8_t inner[32], outer[32];
    struct ks_span s3;
    hash_of(&s3, inner, s2, KS_SPAN_NONE);
    const struct ks_span parts[] = {KS_SPAN(stamp, 8), s1, s3};
    assert_int_equal(ks_sha256(parts, 3, outer), 0);
    const struct kmip_response_header *h = t->response->response_header;
    assert_true(h->has_server_hashed_password);
    assert_int_equal(h->server_hashed_password.len, 32);
    assert_memory_equal(h->server_hashed_password.data, outer, 32);
    return 0;
}

static void
hashed_passwords_are_good_once(void **unused)
{
    (void)unused;
    struct talk t;
    uint8_t d1[32], d2[32];
    open_users(&t);
    struct kmip_kept_hashed_password kept = {0};
    hash_of(&kept.hashed_username_password, d1, KS_LIT("ada"), KS_LIT("secret"));
    hash_of(&kept.hashed_password_username, d2, KS_LIT("secret"), KS_LIT("ada"));
    const struct kmip_create_credential_request r = {.credential_type = KMIP_CREDENTIAL_TYPE_HASHED_PASSWORD,
                                                     .hashed_password_credential = &kept};
    user(&t, "ada", make(&t, r), NULL);
    user(&t, "bob", password(&t, "secret"), NULL); /* a password does as well */
    t.who = &t.rig.client;
    static const char *const names[] = {"ada", "bob"};
    for (size_t i = 0; i < 2; i++) {
        const int64_t now = t.rig.now_us;
        assert_int_equal(say_hashed(&t, names[i], "secret", now), 0);
        assert_int_equal(say_hashed(&t, names[i], "secret", now), refused);
        assert_int_equal(say_hashed(&t, names[i], "secret", now - 1), refused);
        assert_int_equal(say_hashed(&t, names[i], "secreT", now + 1), refused);
        assert_int_equal(say_hashed(&t, names[i], "secret", now + INT64_C(3600000000)), refused);
        assert_int_equal(say_hashed(&t, names[i], "secret", now + 1), 0);
        say(&t, names[i], "secret");
        assert_int_equal(outcome(&t), 0);
        say(&t, names[i], "secreT");
        assert_int_equal(outcome(&t), refused);
    }
    talk_close(&t);
}

static void
devices_and_salts(void **unused)
{
    (void)unused;
    struct talk t;
    uint8_t digest[32];
    open_users(&t);
    struct kmip_kept_device_credential kept = {.device_serial_number = KS_LIT("17"),
                                               .has_device_serial_number = true,
                                               .machine_identifier = KS_LIT("tape"),
                                               .has_machine_identifier = true,
                                               .password = KS_LIT("secret"),
                                               .has_password = true};
    const char *device = make(&t, (struct kmip_create_credential_request){
                                      .credential_type = KMIP_CREDENTIAL_TYPE_DEVICE, .device_credential = &kept});
    user(&t, "drive", device, NULL);
    struct kmip_password_credential salted = {.password_salt = KS_LIT("salt"),
                                              .has_password_salt = true,
                                              .password_salt_algorithm = KMIP_HASHING_ALGORITHM_SHA_256,
                                              .has_password_salt_algorithm = true,
                                              .has_salted_password = true};
    hash_of(&salted.salted_password, digest, KS_LIT("pepper"), KS_LIT("salt"));
    const char *hashed =
        make(&t, (struct kmip_create_credential_request){.credential_type = KMIP_CREDENTIAL_TYPE_PASSWORD,
                                                         .password_credential = &salted});
    user(&t, "sal", hashed, NULL);
    t.who = &t.rig.client;
    static const struct {
        const char *serial, *machine, *password;
        bool fits, known;
    } tries[] = {{"17", "tape", "secret", true, true},
                 {"17", "tape", "secreT", false, true},
                 {"17", "tape", "", false, true},
                 {"17", "disk", "x", false, false},
                 {"18", "tape", "x", false, false}};
    for (size_t i = 0; i < KS_ARRAY_LEN(tries); i++) {
        const struct kmip_device_credential c = {.device_serial_number = ks_span_str(tries[i].serial),
                                                 .has_device_serial_number = true,
                                                 .machine_identifier = ks_span_str(tries[i].machine),
                                                 .has_machine_identifier = true,
                                                 .password = ks_span_str(tries[i].password),
                                                 .has_password = true};
        show(&t, KMIP_CREDENTIAL_TYPE_DEVICE, &kmip_schema_device_credential, &c);
        assert_int_equal(outcome(&t), tries[i].fits || !tries[i].known ? 0 : refused);
    }
    say(&t, "sal", "pepper");
    assert_int_equal(outcome(&t), 0);
    say(&t, "sal", "salt");
    assert_int_equal(outcome(&t), refused);
    talk_close(&t);
}

static void
guessing_takes_time(void **unused)
{
    (void)unused;
    struct talk t;
    open_users(&t);
    user(&t, "ada", password(&t, "secret"), NULL);
    t.who = &t.rig.client;
    for (int i = 0; i < 5; i++) {
        say(&t, "ada", "guess");
        assert_int_equal(outcome(&t), refused);
    }
    say(&t, "ada", "secret");
    assert_int_equal(outcome(&t), refused); /* too late */
    t.who = &t.rig.admin;
    assert_int_equal(outcome(&t), 0); /* others need not wait */
    t.who = &t.rig.client;
    t.rig.now_us += INT64_C(61000000);
    assert_int_equal(outcome(&t), 0);
    talk_close(&t);
}

/* What users have */

static uint32_t
get(struct talk *t, const char *id)
{
    const struct kmip_get_request r = {.unique_identifier = uid(id)};
    const struct kmip_response_batch_item *item = talk_ask(t, KMIP_OPERATION_GET, &r);
    return item->result_status == KMIP_RESULT_STATUS_SUCCESS ? 0 : item->result_reason;
}

static size_t
located(struct talk *t)
{
    struct kmip_locate_request r = {.attributes = {.present = true}};
    put_number(t, &r.attributes, KMIP_TAG_OBJECT_TYPE, KMIP_OBJECT_TYPE_SYMMETRIC_KEY);
    const struct kmip_locate_response *found = talk_do(t, KMIP_OPERATION_LOCATE, &r);
    return found->n_unique_identifier;
}

static void
users_divide_a_client(void **unused)
{
    (void)unused;
    struct talk t;
    struct identity other;
    struct ks_diag diag = {0};
    open_users(&t);
    rig_add_other(&t.rig, &other);
    const char *fred = user(&t, "Fred", password(&t, "password1"), NULL);
    user(&t, "Barney", password(&t, "secret2"), NULL);
    t.who = &t.rig.client;
    t.version = KMIP_V1_0;
    const char *shared = make_key(&t, "shared", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    say(&t, "Fred", "password1");
    const char *own = make_key(&t, "own", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    for (int turn = 0; turn < 2; turn++) {
        say(&t, "Fred", "password1");
        assert_int_equal(get(&t, own), 0);
        assert_int_equal(get(&t, shared), 0);
        assert_int_equal(located(&t), 2);
        say(&t, "Barney", "secret2");
        assert_int_equal(get(&t, own), KMIP_RESULT_REASON_PERMISSION_DENIED);
        assert_int_equal(get(&t, shared), 0);
        assert_int_equal(located(&t), 1);
        const struct kmip_get_attribute_list_request list = {.unique_identifier = uid(own)};
        talk_refused(&t, KMIP_OPERATION_GET_ATTRIBUTE_LIST, &list, KMIP_RESULT_REASON_PERMISSION_DENIED);
        const struct kmip_destroy_request destroy = {.unique_identifier = uid(own)};
        talk_refused(&t, KMIP_OPERATION_DESTROY, &destroy, KMIP_RESULT_REASON_PERMISSION_DENIED);
        t.authentication = NULL;
        assert_int_equal(get(&t, own), KMIP_RESULT_REASON_PERMISSION_DENIED);
        assert_int_equal(located(&t), 1);
        /* The password alone is not enough: the object is this client's. */
        t.who = &other;
        say(&t, "Fred", "password1");
        assert_int_equal(get(&t, own), KMIP_RESULT_REASON_ITEM_NOT_FOUND);
        t.who = &t.rig.client;
        assert_int_equal(rig_reload(&t.rig, &diag), 0);
    }
    /* What takes its place is the user's as well, and nobody sees whose it is in its attributes. */
    say(&t, "Fred", "password1");
    const struct kmip_re_key_request again = {.unique_identifier = uid(own)};
    const struct kmip_re_key_response *made = talk_do(&t, KMIP_OPERATION_RE_KEY, &again);
    const char *next = uid_string(&t, &made->unique_identifier);
    const struct kmip_get_attribute_list_request list = {.unique_identifier = uid(own)};
    const struct kmip_get_attribute_list_response *names = talk_do(&t, KMIP_OPERATION_GET_ATTRIBUTE_LIST, &list);
    for (size_t i = 0; i < names->attribute_refs.n; i++)
        assert_true(names->attribute_refs.v[i].tag != KMIP_TAG_OBJECT_USER);
    t.authentication = NULL;
    assert_int_equal(get(&t, next), KMIP_RESULT_REASON_PERMISSION_DENIED);
    /* Of a user who is gone it is the client's again. */
    t.version = KMIP_V3_0;
    t.who = &t.rig.admin;
    const struct kmip_obliterate_request gone = {.unique_identifier = uid(fred)};
    talk_do(&t, KMIP_OPERATION_OBLITERATE, &gone);
    t.who = &t.rig.client;
    assert_int_equal(get(&t, next), 0);
    talk_close(&t);
}

static const char *
make_in_group(struct talk *t, const char *name, const char *group)
{
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    put_name(t, &r.attributes, name);
    put_reference(t, &r.attributes, KMIP_TAG_GROUP_LINK, KMIP_TYPE_NAME_REFERENCE, group);
    const struct kmip_create_response *made = talk_do(t, KMIP_OPERATION_CREATE, &r);
    return uid_string(t, &made->unique_identifier);
}

static void
groups_share(void **unused)
{
    (void)unused;
    struct talk t;
    struct identity other;
    open_users(&t);
    rig_add_other(&t.rig, &other);
    const uint32_t unknown = KMIP_RESULT_REASON_OBJECT_NOT_FOUND;
    struct kmip_create_group_request g = {.attributes = {.present = true}};
    put_name(&t, &g.attributes, "staff");
    user(&t, "ada", password(&t, "a"), "staff");
    user(&t, "bob", password(&t, "b"), "staff");
    user(&t, "eve", password(&t, "e"), NULL);
    t.who = &t.rig.client;
    say(&t, "ada", "a");
    const char *key = make_in_group(&t, "key", "staff");
    t.who = &other;
    say(&t, "bob", "b");
    assert_int_equal(get(&t, key), unknown); /* no such group yet */
    t.who = &t.rig.admin;
    t.authentication = NULL;
    talk_do(&t, KMIP_OPERATION_CREATE_GROUP, &g);
    t.who = &other;
    say(&t, "bob", "b");
    assert_int_equal(get(&t, key), 0);
    assert_int_equal(located(&t), 1);
    /* Members use; they do not manage. */
    const struct kmip_activate_request activate = {.unique_identifier = uid(key)};
    talk_refused(&t, KMIP_OPERATION_ACTIVATE, &activate, KMIP_RESULT_REASON_PERMISSION_DENIED);
    say(&t, "eve", "e");
    assert_int_equal(get(&t, key), unknown);
    assert_int_equal(located(&t), 0);
    /* Nobody slips in what is no member's. */
    make_in_group(&t, "false key", "staff");
    t.authentication = NULL;
    make_in_group(&t, "another false key", "staff");
    t.who = &t.rig.client;
    say(&t, "bob", "b");
    assert_int_equal(located(&t), 1);
    assert_int_equal(get(&t, key), 0);
    talk_close(&t);
}

/* The identifiers that a search finds, in order, as one text. */
static const char *
search(struct talk *t, const char *name)
{
    struct kmip_locate_request r = {.attributes = {.present = true}};
    char *text = ks_arena_alloc(&t->arena, 1024);
    put_number(t, &r.attributes, KMIP_TAG_OBJECT_TYPE, KMIP_OBJECT_TYPE_SYMMETRIC_KEY); /* the users are of the group */
    if (name != NULL)
        put_name(t, &r.attributes, name);
    const struct kmip_locate_response *found = talk_do(t, KMIP_OPERATION_LOCATE, &r);
    for (size_t i = 0; i < found->n_unique_identifier && i < 16; i++)
        (void)snprintf(text + strlen(text), 64, "%s ", uid_string(t, &found->unique_identifier[i]));
    return text;
}

static const char *
joined(struct talk *t, const char *const *ids)
{
    char *text = ks_arena_alloc(&t->arena, 1024);
    for (; *ids != NULL; ids++)
        (void)snprintf(text + strlen(text), 64, "%s ", *ids);
    return text;
}

/* A member's searches look at what is its own and its groups', whatever others have. */
static void
members_search_their_groups_alone(void **unused)
{
    (void)unused;
    struct talk t;
    struct identity other;
    struct kmip_create_group_request g = {.attributes = {.present = true}};
    const struct kmip_locate_request all = {.attributes = {.present = true}};
    /* Far less than the 40 of another's; what is read back from the store counts as sixteen. */
    const uint32_t most = getenv("KEYSTEAD_TEST_COLD") != NULL ? 16 * 12 : 12;
    talk_open_with(&t, &(const struct engine_config){.node = KS_LIT("node1"), .search_most = most});
    t.version = KMIP_V3_0;
    t.who = &t.rig.admin;
    rig_add_other(&t.rig, &other);
    put_name(&t, &g.attributes, "staff");
    talk_do(&t, KMIP_OPERATION_CREATE_GROUP, &g);
    user(&t, "ada", password(&t, "a"), "staff");
    user(&t, "bob", password(&t, "b"), "staff");
    t.who = &t.rig.client;
    for (size_t i = 0; i < 40; i++)
        make_key(&t, NULL, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    t.who = &other;
    const char *own = make_key(&t, "own", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    t.who = &t.rig.client;
    say(&t, "ada", "a");
    const char *shared = make_in_group(&t, "key", "staff");
    t.who = &other;
    say(&t, "bob", "b");
    const char *bobs = make_in_group(&t, "key", "staff");
    t.authentication = NULL;
    const char *last = make_key(&t, "last", KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
    for (unsigned i = 0; i < 2; i++) {
        say(&t, "bob", "b");
        /* In the order in which they were made, whose ever they are: by the walk, and by the index. */
        assert_string_equal(search(&t, NULL), joined(&t, (const char *[]){last, bobs, shared, own, NULL}));
        assert_string_equal(search(&t, "key"), joined(&t, (const char *[]){bobs, shared, NULL}));
        assert_string_equal(search(&t, "last"), joined(&t, (const char *[]){last, NULL}));
        /* Two searches in one request: the first did not use up what they may look at. */
        const struct talk_item twice[] = {{KMIP_OPERATION_LOCATE, &all}, {KMIP_OPERATION_LOCATE, &all}};
        const struct kmip_response_message *m = talk_batch(&t, twice, 2);
        assert_int_equal(m->batch_item[1]->result_status, KMIP_RESULT_STATUS_SUCCESS);
        t.authentication = NULL;
        assert_int_equal(rig_reload(&t.rig, NULL), 0);
    }
    /* What leaves the group is out of sight; what is destroyed is found by who asks for it. */
    t.who = &t.rig.client;
    say(&t, "ada", "a");
    destroy_key(&t, shared);
    t.who = &other;
    say(&t, "bob", "b");
    assert_string_equal(search(&t, "key"), joined(&t, (const char *[]){bobs, NULL}));
    const struct kmip_locate_request destroyed = {.storage_status_mask = KMIP_STORAGE_STATUS_MASK_DESTROYED_STORAGE,
                                                  .has_storage_status_mask = true,
                                                  .attributes = {.present = true}};
    const struct kmip_locate_response *found = talk_do(&t, KMIP_OPERATION_LOCATE, &destroyed);
    assert_int_equal(found->n_unique_identifier, 1);
    assert_string_equal(uid_string(&t, &found->unique_identifier[0]), shared);
    talk_close(&t);
}

static void
a_certificate_is_a_credential(void **unused)
{
    (void)unused;
    struct talk t;
    struct identity other;
    struct ks_diag diag = {0};
    open_users(&t);
    rig_add_other(&t.rig, &other);
    struct kmip_create_group_request g = {.attributes = {.present = true}};
    put_name(&t, &g.attributes, "staff");
    talk_do(&t, KMIP_OPERATION_CREATE_GROUP, &g);
    user(&t, "ada", password(&t, "a"), "staff");
    t.who = &t.rig.client;
    say(&t, "ada", "a");
    const char *key = make_in_group(&t, "key", "staff");
    t.authentication = NULL;
    t.who = &other;
    assert_int_equal(get(&t, key), KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    struct kmip_certificate certificate = {.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
                                           .certificate_value = ks_buf_span(&t.rig.ca)};
    t.who = &t.rig.admin;
    const char *id = make(&t, (struct kmip_create_credential_request){
                                  .credential_type = KMIP_CREDENTIAL_TYPE_CERTIFICATE, .certificate = &certificate});
    const char *bob = user(&t, "bob", id, "staff");
    for (int turn = 0; turn < 3; turn++) {
        t.who = &other;
        assert_int_equal(get(&t, key), 0);
        t.who = &t.rig.client;
        assert_int_equal(get(&t, key), KMIP_RESULT_REASON_PERMISSION_DENIED);
        if (turn != 0)
            assert_int_equal(rig_reload(&t.rig, &diag), 0);
    }
    /* One request is one user's. */
    t.who = &other;
    say(&t, "ada", "a");
    assert_int_equal(outcome(&t), refused);
    t.authentication = NULL;
    t.who = &t.rig.admin;
    destroy_key(&t, bob);
    t.who = &other;
    assert_int_equal(get(&t, key), KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    talk_close(&t);
}

/* Neither a suspended user nor a suspended credential says who somebody is: what is the user's is out of reach. */
static void
the_suspended_are_nobody(void **unused)
{
    (void)unused;
    struct talk t;
    open_users(&t);
    for (int of_user = 0; of_user < 2; of_user++) {
        const char *name = of_user != 0 ? "ada" : "bob", *credential = password(&t, "secret");
        const char *who = user(&t, name, credential, NULL);
        t.who = &t.rig.client;
        say(&t, name, "secret");
        const char *key = make_key(&t, name, KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT);
        const struct kmip_get_request get = {.unique_identifier = uid(key)};
        (void)key_bytes(&t, key);
        t.authentication = NULL;
        t.who = &t.rig.admin;
        const struct kmip_suspend_request r = {.unique_identifier = uid(of_user != 0 ? who : credential),
                                               .suspension_reason = KS_LIT("laptop stolen")};
        (void)talk_do(&t, KMIP_OPERATION_SUSPEND, &r);
        t.who = &t.rig.client;
        say(&t, name, "secret");
        talk_refused(&t, KMIP_OPERATION_GET, &get, KMIP_RESULT_REASON_PERMISSION_DENIED);
        t.authentication = NULL;
        t.who = &t.rig.admin;
    }
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(otp_is_as_the_rfcs_have_it),
        cmocka_unit_test(one_time_passwords_are_good_once),
        cmocka_unit_test(hashed_passwords_are_good_once),
        cmocka_unit_test(devices_and_salts),
        cmocka_unit_test(guessing_takes_time),
        cmocka_unit_test(users_divide_a_client),
        cmocka_unit_test(groups_share),
        cmocka_unit_test(members_search_their_groups_alone),
        cmocka_unit_test(a_certificate_is_a_credential),
        cmocka_unit_test(the_suspended_are_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
