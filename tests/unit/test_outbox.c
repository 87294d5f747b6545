/* The outbox: what listeners are told of, what they are not, and what becomes of it. */
#include "engine_talk.h"

#include <stdio.h>

#define ADDRESS "192.0.2.7:5699"
static const char *const allowed[] = {ADDRESS};
enum { MASK = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT };

static void
open_with_listeners(struct talk *t)
{
    const struct engine_config config = {.listeners = allowed, .n_listeners = 1};
    talk_open_with(t, &config);
}

static void
listen_for(struct talk *t, bool notify, bool put, bool own)
{
    const struct kmip_listener_set_request r = {.listener_address = KS_LIT(ADDRESS),
                                                .has_listener_address = true,
                                                .listener_notify = notify,
                                                .has_listener_notify = true,
                                                .listener_put = put,
                                                .has_listener_put = true,
                                                .listener_own = own,
                                                .has_listener_own = true};
    (void)talk_do(t, KMIP_OPERATION_LISTENER_SET, &r);
}

/* The next message, its record committed; NULL: nothing is to be sent, or it was dropped. */
static const struct kmip_request_batch_item *
next(struct talk *t, struct engine_notice *ret)
{
    struct kmip_request_message *message;
    if (!engine_notice(t->rig.engine, &t->rig.reply, ret))
        return NULL;
    rig_commit(&t->rig);
    const struct ks_span bytes = ks_buf_span(&t->rig.reply.response);
    if (bytes.len == 0)
        return NULL;
    struct ks_span copy;
    assert_int_equal(ks_arena_span(&t->arena, bytes, &copy), 0);
    assert_int_equal(kmip_request_decode(copy, &kmip_limits_default, &t->arena, &message, NULL), 0);
    assert_int_equal(message->n_batch_item, 1);
    assert_false(message->request_header->has_maximum_response_size);
    assert_string_equal(ret->address, ADDRESS);
    return message->batch_item[0];
}

static void
done(struct talk *t, const struct engine_notice *notice, bool final, const char *failure)
{
    assert_true(engine_notice_done(t->rig.engine, notice->id, final, ks_span_str(failure), &t->rig.reply));
    rig_commit(&t->rig);
}

static const struct kmip_attr *
find(const struct kmip_attrs *attrs, uint32_t tag)
{
    for (const struct kmip_attr *a = attrs->first; a != NULL; a = a->next)
        if (a->tag == tag)
            return a;
    return NULL;
}

/* Of an attribute that has to be there. */
static const struct kmip_item *
value_of(const struct kmip_attrs *attrs, uint32_t tag)
{
    const struct kmip_attr *a = find(attrs, tag);
    if (a == NULL || a->value == NULL)
        fail_msg("%s is not there", kmip_tag_name(tag));
    return a != NULL ? a->value : NULL;
}

static uint32_t
state_in(const struct kmip_request_batch_item *item)
{
    const struct kmip_item *state;
    assert_int_equal(item->operation, KMIP_OPERATION_NOTIFY);
    state = value_of(&((const struct kmip_notify_request *)item->payload)->attributes, KMIP_TAG_STATE);
    return state != NULL ? state->u32 : 0;
}

static void
nobody_is_told_without_a_listener(void **unused)
{
    (void)unused;
    struct talk t;
    struct engine_notice notice;
    const struct kmip_listener_set_request elsewhere = {
        .listener_address = KS_LIT("192.0.2.8:5699"), .has_listener_address = true, .listener_put = true};
    const struct kmip_listener_set_request nothing = {.listener_address = KS_LIT(ADDRESS),
                                                      .has_listener_address = true};
    open_with_listeners(&t);
    (void)make_key(&t, "quiet", MASK);
    assert_null(next(&t, &notice));
    talk_refused(&t, KMIP_OPERATION_LISTENER_SET, &elsewhere, KMIP_RESULT_REASON_PERMISSION_DENIED);
    assert_int_not_equal(talk_ask(&t, KMIP_OPERATION_LISTENER_SET, &nothing)->result_status,
                         KMIP_RESULT_STATUS_SUCCESS);
    (void)make_key(&t, "quiet too", MASK);
    assert_null(next(&t, &notice));
    talk_close(&t);
}

/* TC-NP-1 and TC-NP-2: also of what the client does itself. */
static void
told_of_its_own_changes(void **unused)
{
    (void)unused;
    struct talk t;
    struct engine_notice notice;
    open_with_listeners(&t);
    listen_for(&t, true, true, true);
    const char *id = make_key(&t, "own", MASK);

    const struct kmip_request_batch_item *item = next(&t, &notice);
    assert_non_null(item);
    assert_int_equal(item->operation, KMIP_OPERATION_PUT);
    const struct kmip_put_request *put = item->payload;
    assert_int_equal(put->put_function, KMIP_PUT_FUNCTION_NEW);
    assert_string_equal(uid_string(&t, &put->unique_identifier), id);
    assert_non_null(put->object.symmetric_key);
    assert_non_null(find(&put->attributes, KMIP_TAG_DIGEST));
    const struct kmip_item *fresh = value_of(&put->attributes, KMIP_TAG_FRESH);
    assert_true(fresh != NULL && fresh->b);
    assert_non_null(strstr(records(&t), "\"form\":\"plaintext\""));
    done(&t, &notice, true, "");
    assert_false(attribute(&t, id, KMIP_TAG_FRESH)->b); /* it was served */
    assert_null(next(&t, &notice));                     /* and that is no news */

    activate_key(&t, id);
    item = next(&t, &notice);
    assert_non_null(item);
    assert_int_equal(item->operation, KMIP_OPERATION_NOTIFY);
    const struct kmip_notify_request *notify = item->payload;
    assert_non_null(find(&notify->attributes, KMIP_TAG_LAST_CHANGE_DATE));
    assert_int_equal(state_in(item), KMIP_STATE_ACTIVE);
    assert_null(find(&notify->attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH));
    done(&t, &notice, true, "");
    talk_close(&t);
}

/* Who answers slowly holds up its own messages, and nobody else's. */
static void
one_at_a_time_to_each(void **unused)
{
    (void)unused;
    struct talk t;
    struct engine_notice slow, quick, none;
    struct identity other;
    open_with_listeners(&t);
    rig_add_other(&t.rig, &other);
    const struct identity *first = t.who;
    listen_for(&t, false, true, true);
    const char *one = make_key(&t, "one", MASK);
    make_key(&t, "two", MASK);
    t.who = &other;
    listen_for(&t, false, true, true);
    const char *others = make_key(&t, "others", MASK);
    t.who = first;
    const struct kmip_put_request *put = next(&t, &slow)->payload;
    assert_string_equal(uid_string(&t, &put->unique_identifier), one);
    put = next(&t, &quick)->payload;
    assert_string_equal(uid_string(&t, &put->unique_identifier), others);
    assert_memory_equal(quick.fingerprint, other.fingerprint, 32);
    assert_null(next(&t, &none)); /* "two" waits for "one" */
    done(&t, &quick, true, "");
    assert_null(next(&t, &none));
    done(&t, &slow, true, "");
    put = next(&t, &slow)->payload;
    assert_memory_equal(slow.fingerprint, first->fingerprint, 32);
    /* What is answered twice, or was never under way, is nothing. */
    assert_false(engine_notice_done(t.rig.engine, quick.id, true, KS_SPAN_NONE, &t.rig.reply));
    assert_false(engine_notice_done(t.rig.engine, 0, true, KS_SPAN_NONE, &t.rig.reply));
    done(&t, &slow, true, "");
    talk_close(&t);
}

static void
not_told_of_its_own_changes(void **unused)
{
    (void)unused;
    struct talk t;
    struct engine_notice notice;
    open_with_listeners(&t);
    listen_for(&t, true, true, false);
    const char *id = make_key(&t, "own", MASK);
    activate_key(&t, id);
    assert_null(next(&t, &notice));
    t.who = &t.rig.admin; /* another's doing is news */
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION);
    t.who = &t.rig.client;
    const struct kmip_request_batch_item *item = next(&t, &notice);
    assert_non_null(item);
    assert_int_equal(state_in(item), KMIP_STATE_DEACTIVATED);
    talk_close(&t);
}

static void
dates_that_come(void **unused)
{
    (void)unused;
    struct talk t;
    struct engine_notice notice;
    open_with_listeners(&t);
    const char *id = make_key(&t, "by date", MASK);
    struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
    add.new_attribute.present = true;
    put_number(&t, &add.new_attribute, KMIP_TAG_ACTIVATION_DATE, RIG_START_S + 1000);
    (void)talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
    listen_for(&t, true, false, false);
    t.rig.now_us += 2000 * 1000000LL;
    assert_true(rig_tick(&t.rig));
    const struct kmip_request_batch_item *item = next(&t, &notice);
    assert_non_null(item);
    assert_int_equal(state_in(item), KMIP_STATE_ACTIVE);
    talk_close(&t);
}

/* What waits is one message, survives a restart, and says how things are when it is sent. */
static void
waits_as_one(void **unused)
{
    (void)unused;
    struct talk t;
    struct engine_notice notice;
    struct ks_diag diag = {0};
    open_with_listeners(&t);
    const char *id = make_key(&t, "waits", MASK);
    listen_for(&t, true, false, true);
    activate_key(&t, id);
    revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION);
    assert_int_equal(rig_reload(&t.rig, &diag), 0);
    const struct kmip_request_batch_item *item = next(&t, &notice);
    assert_non_null(item);
    const struct kmip_notify_request *notify = item->payload;
    assert_int_equal(state_in(item), KMIP_STATE_DEACTIVATED);
    assert_non_null(find(&notify->attributes, KMIP_TAG_ACTIVATION_DATE));
    assert_null(next(&t, &notice)); /* one at a time, and there is no other */
    /* Changed while it is under way: another follows. */
    const uint64_t first = notice.id;
    destroy_key(&t, id);
    notice.id = first;
    done(&t, &notice, true, "");
    item = next(&t, &notice);
    assert_non_null(item);
    assert_int_equal(state_in(item), KMIP_STATE_DESTROYED);
    done(&t, &notice, true, "");
    assert_int_equal(rig_reload(&t.rig, &diag), 0);
    assert_null(next(&t, &notice)); /* what was sent is gone from the store too */
    talk_close(&t);
}

static void
deleted_attributes(void **unused)
{
    (void)unused;
    static const enum kmip_version versions[] = {KMIP_V1_4, KMIP_V2_1};
    for (size_t i = 0; i < KS_ARRAY_LEN(versions); i++) {
        struct talk t;
        struct engine_notice notice;
        open_with_listeners(&t);
        t.version = versions[i];
        listen_for(&t, true, false, true);
        const char *id = make_key(&t, "shrinks", MASK);
        const struct kmip_request_batch_item *item = next(&t, &notice);
        assert_null(item); /* no Put is wanted */
        struct kmip_add_attribute_request add = {.unique_identifier = uid(id)};
        add.new_attribute.present = true;
        put_vendor(&t, &add.new_attribute, "x", "site", "here");
        (void)talk_do(&t, KMIP_OPERATION_ADD_ATTRIBUTE, &add);
        item = next(&t, &notice);
        assert_non_null(item);
        const struct kmip_attr *site =
            find(&((const struct kmip_notify_request *)item->payload)->attributes, KMIP_TAG_ATTRIBUTE);
        assert_true(site != NULL && site->value != NULL);
        done(&t, &notice, true, "");
        struct kmip_delete_attribute_request gone = {.unique_identifier = uid(id)};
        struct kmip_attr_ref ref = {
            .tag = KMIP_TAG_ATTRIBUTE, .vendor = KS_LIT("x"), .name = KS_LIT("site"), .index = -1};
        gone.attribute_refs = (struct kmip_attr_refs){1, &ref};
        (void)talk_do(&t, KMIP_OPERATION_DELETE_ATTRIBUTE, &gone);
        item = next(&t, &notice);
        assert_non_null(item);
        const struct kmip_notify_request *notify = item->payload;
        site = find(&notify->attributes, KMIP_TAG_ATTRIBUTE);
        if (versions[i] < KMIP_V2_0) {
            assert_true(site != NULL && site->value == NULL);
        } else {
            assert_null(site);
            assert_int_equal(notify->attribute_refs.n, 1);
            assert_true(ks_span_is(notify->attribute_refs.v[0].name, "site"));
        }
        talk_close(&t);
    }
}

/* As Get: what may not be read in the clear is not sent, and that is on record. */
static void
sensitive_objects_are_not_put(void **unused)
{
    (void)unused;
    struct talk t;
    struct engine_notice notice = {0};
    open_with_listeners(&t);
    listen_for(&t, false, true, true);
    const char *id = make_key(&t, "sensitive", MASK);
    struct kmip_modify_attribute_request modify = {.unique_identifier = uid(id)};
    modify.new_attribute.present = true;
    put_number(&t, &modify.new_attribute, KMIP_TAG_SENSITIVE, true);
    (void)talk_do(&t, KMIP_OPERATION_MODIFY_ATTRIBUTE, &modify);
    assert_true(engine_notice(t.rig.engine, &t.rig.reply, &notice));
    assert_int_equal(t.rig.reply.response.len, 0);
    rig_commit(&t.rig);
    const char *text = records(&t);
    assert_non_null(strstr(text, "\"event\":\"notice\""));
    assert_non_null(strstr(text, "\"status\":\"failed\""));
    assert_null(next(&t, &notice));
    talk_close(&t);
}

static void
tries_again_and_gives_up(void **unused)
{
    (void)unused;
    struct talk t;
    struct engine_notice notice;
    open_with_listeners(&t);
    listen_for(&t, true, false, true);
    const char *id = make_key(&t, "nobody there", MASK);
    activate_key(&t, id);
    int tries = 0;
    while (next(&t, &notice) != NULL) {
        tries++;
        done(&t, &notice, false, "cannot connect");
        assert_non_null(strstr(records(&t), "cannot connect"));
        assert_null(next(&t, &notice)); /* not at once */
        t.rig.now_us += 301 * 1000000LL;
        assert_in_range(tries, 1, 100);
    }
    assert_int_equal(tries, 12);
    /* A result that comes twice, or of another run, counts for nothing. */
    assert_false(engine_notice_done(t.rig.engine, notice.id, true, KS_SPAN_NONE, &t.rig.reply));
    talk_close(&t);
}

static void
bounded(void **unused)
{
    (void)unused;
    struct talk t;
    struct engine_notice notice;
    char name[32];
    open_with_listeners(&t);
    listen_for(&t, true, true, true);
    bool said = false;
    for (int i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof(name), "key %d", i);
        (void)make_key(&t, name, MASK);
        said = said || strstr(records(&t), "too much waits") != NULL;
    }
    assert_true(said);
    int sent = 0;
    while (next(&t, &notice) != NULL) {
        sent++;
        done(&t, &notice, true, "");
    }
    assert_int_equal(sent, 256);
    talk_close(&t);
}

static void
listens_no_more(void **unused)
{
    (void)unused;
    struct talk t;
    struct engine_notice notice;
    struct ks_diag diag = {0};
    const struct kmip_listener_set_request off = {.has_listener_address = false};
    open_with_listeners(&t);
    listen_for(&t, true, true, true);
    (void)make_key(&t, "a", MASK);
    (void)make_key(&t, "b", MASK);
    (void)talk_do(&t, KMIP_OPERATION_LISTENER_SET, &off);
    assert_null(next(&t, &notice));
    (void)make_key(&t, "c", MASK);
    assert_int_equal(rig_reload(&t.rig, &diag), 0);
    assert_null(next(&t, &notice));
    talk_close(&t);
}

/* They are offered, and a client that sends one to the server is refused. */
static void
not_for_clients_to_ask(void **unused)
{
    (void)unused;
    struct talk t;
    uint32_t function = KMIP_QUERY_FUNCTION_QUERY_OPERATIONS;
    const struct kmip_query_request query = {.query_function = &function, .n_query_function = 1};
    open_with_listeners(&t);
    const struct kmip_query_response *all = talk_do(&t, KMIP_OPERATION_QUERY, &query);
    bool notify = false, put = false;
    for (size_t i = 0; i < all->n_operation; i++) {
        notify = notify || all->operation[i] == KMIP_OPERATION_NOTIFY;
        put = put || all->operation[i] == KMIP_OPERATION_PUT;
    }
    assert_true(notify && put);
    const char *id = make_key(&t, "mine", MASK);
    struct kmip_notify_request r = {.unique_identifier = uid(id), .attributes = {.present = true}};
    put_number(&t, &r.attributes, KMIP_TAG_LAST_CHANGE_DATE, RIG_START_S);
    talk_refused(&t, KMIP_OPERATION_NOTIFY, &r, KMIP_RESULT_REASON_OPERATION_NOT_SUPPORTED);
    talk_close(&t);
}

/* Set Endpoint Role */

static void
set_role(struct talk *t)
{
    const struct kmip_set_endpoint_role_request r = {.endpoint_role = KMIP_ENDPOINT_ROLE_CLIENT};
    t->version = KMIP_V2_1;
    (void)talk_do(t, KMIP_OPERATION_SET_ENDPOINT_ROLE, &r);
}

/* What the server asks at that end of the connection; 0: nothing. */
static uint32_t
asked(struct talk *t, struct engine_endpoint *endpoint)
{
    struct kmip_request_message *message;
    struct ks_span copy;
    if (!engine_ask(t->rig.engine, endpoint, &t->rig.reply))
        return 0;
    rig_commit(&t->rig);
    if (t->rig.reply.response.len == 0)
        return 0;
    assert_int_equal(ks_arena_span(&t->arena, ks_buf_span(&t->rig.reply.response), &copy), 0);
    assert_int_equal(kmip_request_decode(copy, &kmip_limits_default, &t->arena, &message, NULL), 0);
    return message->batch_item[0]->operation;
}

static bool
answer_with(struct talk *t, struct engine_endpoint *endpoint, uint32_t operation, void *payload)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(65536);
    struct kmip_protocol_version version = {.protocol_version_major = 2, .protocol_version_minor = 1};
    struct kmip_response_header header = {.protocol_version = &version, .time_stamp = RIG_START_S, .batch_count = 1};
    struct kmip_response_batch_item item = {.operation = operation, .has_operation = true, .payload = payload};
    struct kmip_response_batch_item *items[] = {&item};
    const struct kmip_response_message message = {.response_header = &header, .batch_item = items, .n_batch_item = 1};
    assert_int_equal(kmip_response_encode(&message, &buf, NULL), 0);
    const bool commits = engine_answered(t->rig.engine, endpoint, ks_buf_span(&buf), KS_SPAN_NONE, &t->rig.reply);
    if (commits)
        rig_commit(&t->rig);
    return commits;
}

static struct engine_endpoint
endpoint_of(struct talk *t)
{
    struct engine_endpoint endpoint = {.version = KMIP_V2_1};
    memcpy(endpoint.fingerprint, t->who->fingerprint, sizeof(endpoint.fingerprint));
    return endpoint;
}

static void
introduce(struct talk *t, struct engine_endpoint *endpoint)
{
    struct kmip_discover_versions_response versions = {0};
    struct kmip_query_response query = {0};
    assert_int_equal(asked(t, endpoint), KMIP_OPERATION_DISCOVER_VERSIONS);
    assert_true(answer_with(t, endpoint, KMIP_OPERATION_DISCOVER_VERSIONS, &versions));
    assert_int_equal(asked(t, endpoint), KMIP_OPERATION_QUERY);
    assert_true(answer_with(t, endpoint, KMIP_OPERATION_QUERY, &query));
    assert_int_equal(endpoint->stage, ENDPOINT_OPEN);
    assert_false(endpoint->over);
}

static void
on_a_turned_connection(void **unused)
{
    (void)unused;
    struct talk t;
    struct engine_notice notice;
    struct ks_diag diag = {0};
    const struct kmip_listener_set_request own = {.listener_address = KS_LIT(""),
                                                  .has_listener_address = true,
                                                  .listener_put = true,
                                                  .has_listener_put = true,
                                                  .listener_own = true,
                                                  .has_listener_own = true};
    talk_open(&t); /* no address is allowed at all */
    (void)talk_do(&t, KMIP_OPERATION_LISTENER_SET, &own);
    set_role(&t);
    assert_true(t.rig.reply.turns);
    struct engine_endpoint endpoint = endpoint_of(&t);
    introduce(&t, &endpoint);
    assert_int_equal(asked(&t, &endpoint), 0);
    (void)make_key(&t, "turned", MASK);
    assert_false(t.rig.reply.turns);
    assert_null(next(&t, &notice)); /* not the notifier's */
    assert_int_equal(asked(&t, &endpoint), KMIP_OPERATION_PUT);
    assert_int_equal(asked(&t, &endpoint), 0); /* one at a time */
    /* It breaks: sent again on the next connection, after a while, and by what the store holds. */
    assert_true(engine_answered(t.rig.engine, &endpoint, KS_SPAN_NONE, KS_LIT("broke"), &t.rig.reply));
    rig_commit(&t.rig);
    assert_true(endpoint.over);
    assert_int_equal(rig_reload(&t.rig, &diag), 0);
    endpoint = endpoint_of(&t);
    introduce(&t, &endpoint);
    assert_int_equal(asked(&t, &endpoint), KMIP_OPERATION_PUT);
    assert_true(answer_with(&t, &endpoint, KMIP_OPERATION_PUT, NULL));
    assert_int_equal(asked(&t, &endpoint), 0);
    talk_close(&t);
}

static void
what_a_turned_connection_may_not(void **unused)
{
    (void)unused;
    struct talk t;
    struct kmip_query_response query = {0};
    const struct kmip_set_endpoint_role_request r = {.endpoint_role = KMIP_ENDPOINT_ROLE_CLIENT};
    talk_open(&t);
    set_role(&t);
    /* An answer of another kind is not taken for what was asked. */
    struct engine_endpoint endpoint = endpoint_of(&t);
    assert_int_equal(asked(&t, &endpoint), KMIP_OPERATION_DISCOVER_VERSIONS);
    assert_true(answer_with(&t, &endpoint, KMIP_OPERATION_QUERY, &query));
    assert_true(endpoint.over);
    assert_int_equal(asked(&t, &endpoint), 0);
    /* A certificate that the registry does not have, or no more. */
    endpoint = endpoint_of(&t);
    endpoint.fingerprint[0] ^= 1;
    assert_int_equal(asked(&t, &endpoint), 0);
    assert_true(endpoint.over);
    /* Within HTTP there is nothing to turn. */
    struct identity web = *t.who;
    web.http = true;
    t.who = &web;
    talk_refused(&t, KMIP_OPERATION_SET_ENDPOINT_ROLE, &r, KMIP_RESULT_REASON_FEATURE_NOT_SUPPORTED);
    assert_false(t.rig.reply.turns);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_told_without_a_listener),
        cmocka_unit_test(told_of_its_own_changes),
        cmocka_unit_test(one_at_a_time_to_each),
        cmocka_unit_test(not_told_of_its_own_changes),
        cmocka_unit_test(dates_that_come),
        cmocka_unit_test(waits_as_one),
        cmocka_unit_test(deleted_attributes),
        cmocka_unit_test(sensitive_objects_are_not_put),
        cmocka_unit_test(tries_again_and_gives_up),
        cmocka_unit_test(bounded),
        cmocka_unit_test(listens_no_more),
        cmocka_unit_test(not_for_clients_to_ask),
        cmocka_unit_test(on_a_turned_connection),
        cmocka_unit_test(what_a_turned_connection_may_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
