/* Requests that are put off: Poll, Cancel, Process, batches, restarts, bounds. */
#include "engine_talk.h"

#include <stdio.h>

#include "server/engine/async.h"

enum {
    BOTH = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT | KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT,
    MANDATORY = KMIP_ASYNCHRONOUS_INDICATOR_MANDATORY,
    OPTIONAL = KMIP_ASYNCHRONOUS_INDICATOR_OPTIONAL,
    UNKNOWN = KMIP_RESULT_REASON_INVALID_ASYNCHRONOUS_CORRELATION_VALUE
};

static struct kmip_create_request
new_key(struct talk *t, const char *name)
{
    struct kmip_create_request r = {.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}};
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_number(t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, BOTH);
    put_name(t, &r.attributes, name);
    return r;
}

static size_t
count_named(struct talk *t, const char *name)
{
    struct kmip_locate_request r = {0};
    put_name(t, &r.attributes, name);
    const uint32_t asynchronous = t->asynchronous;
    t->asynchronous = 0;
    const struct kmip_locate_response *response = talk_do(t, KMIP_OPERATION_LOCATE, &r);
    t->asynchronous = asynchronous;
    return response->n_unique_identifier;
}

/* Its correlation value. */
static struct ks_span
is_pending(const struct kmip_response_batch_item *item)
{
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_OPERATION_PENDING);
    assert_true(item->has_asynchronous_correlation_value);
    assert_int_equal(item->asynchronous_correlation_value.len, ASYNC_ID_LEN);
    assert_null(item->payload);
    return item->asynchronous_correlation_value;
}

static struct ks_span
put_off(struct talk *t, uint32_t operation, const void *payload)
{
    t->asynchronous = MANDATORY;
    const struct ks_span id = is_pending(talk_ask(t, operation, payload));
    t->asynchronous = 0;
    return id;
}

static const struct kmip_response_batch_item *
poll_for(struct talk *t, struct ks_span id)
{
    const struct kmip_poll_request r = {.asynchronous_correlation_value = id};
    return talk_ask(t, KMIP_OPERATION_POLL, &r);
}

static void
not_pending(struct talk *t, struct ks_span id)
{
    const struct kmip_poll_request r = {.asynchronous_correlation_value = id};
    talk_refused(t, KMIP_OPERATION_POLL, &r, UNKNOWN);
}

static uint32_t
cancel(struct talk *t, struct ks_span id)
{
    const struct kmip_cancel_request r = {.asynchronous_correlation_value = id};
    const struct kmip_cancel_response *response = talk_do(t, KMIP_OPERATION_CANCEL, &r);
    assert_true(ks_span_equal(response->asynchronous_correlation_value, id));
    return response->cancellation_result;
}

static size_t
outstanding(struct talk *t)
{
    const struct kmip_query_asynchronous_requests_request r = {0};
    const struct kmip_query_asynchronous_requests_response *response =
        talk_do(t, KMIP_OPERATION_QUERY_ASYNCHRONOUS_REQUESTS, &r);
    return response->n_asynchronous_request;
}

static void
pass(struct talk *t)
{
    t->rig.now_us += ASYNC_DELAY_US;
}

static void
the_clock_carries_it_out(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_create_request a = new_key(&t, "a");
    const struct ks_span id = put_off(&t, KMIP_OPERATION_CREATE, &a);
    assert_non_null(strstr(records(&t), "\"status\":\"pending\""));
    assert_non_null(strstr(records(&t), "asynchronous request "));
    assert_int_equal(count_named(&t, "a"), 0);
    assert_false(rig_tick(&t.rig)); /* not at once: it may be canceled */
    pass(&t);
    assert_true(rig_tick(&t.rig));
    /* On record as what its client does. */
    assert_non_null(strstr(records(&t), "\"operation\":\"Create\""));
    assert_non_null(strstr(records(&t), "\"status\":\"success\""));
    assert_non_null(strstr(records(&t), "app"));
    assert_null(strstr(records(&t), "system"));
    assert_int_equal(count_named(&t, "a"), 1);
    assert_false(rig_tick(&t.rig));

    /* Its answer is one of its version: in another it has parts that are not known there, or lacks some. */
    const enum kmip_version own = t.version;
    const struct kmip_poll_request early = {.asynchronous_correlation_value = id};
    t.version = KMIP_V1_4;
    talk_refused(&t, KMIP_OPERATION_POLL, &early, KMIP_RESULT_REASON_ITEM_NOT_FOUND);
    t.version = own;
    const struct kmip_response_batch_item *item = poll_for(&t, id);
    assert_int_equal(item->operation, KMIP_OPERATION_CREATE);
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_false(item->has_asynchronous_correlation_value);
    const struct kmip_create_response *made = item->payload;
    assert_int_equal(state_of(&t, uid_string(&t, &made->unique_identifier)), KMIP_STATE_PRE_ACTIVE);
    not_pending(&t, id); /* once */
    t.version = KMIP_V1_4;
    const struct kmip_poll_request again = {.asynchronous_correlation_value = id};
    talk_refused(&t, KMIP_OPERATION_POLL, &again, KMIP_RESULT_REASON_ITEM_NOT_FOUND);
    assert_int_equal(t.rig.engine->async.n, 0);
    talk_close(&t);
}

static void
who_polls_need_not_wait(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_get_request nothing = {.unique_identifier = uid("nothing")};
    const char *key = make_key(&t, "b", BOTH);
    const struct kmip_get_request get = {.unique_identifier = uid(key)};
    const struct ks_span good = put_off(&t, KMIP_OPERATION_GET, &get), bad = put_off(&t, KMIP_OPERATION_GET, &nothing);
    const struct kmip_response_batch_item *item = poll_for(&t, bad);
    assert_int_equal(item->operation, KMIP_OPERATION_GET);
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    assert_int_equal(item->result_reason, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    item = poll_for(&t, good);
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_SUCCESS);
    const struct kmip_get_response *got = item->payload;
    assert_non_null(got->object.symmetric_key);
    assert_non_null(strstr(uid_string(&t, &got->unique_identifier), key));
    talk_close(&t);
}

/* A key that was to be handed out, and is destroyed before anybody asks for it, is gone. */
static void
no_copy_outlives_a_key(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const char *key = make_key(&t, "b", BOTH);
    const struct kmip_get_request get = {.unique_identifier = uid(key)};
    const struct kmip_create_request a = new_key(&t, "a");
    const struct talk_item items[] = {{KMIP_OPERATION_GET, &get}, {KMIP_OPERATION_CREATE, &a}};
    const struct ks_span id = put_off(&t, KMIP_OPERATION_GET, &get);
    pass(&t);
    assert_false(rig_tick(&t.rig));
    destroy_key(&t, key);
    assert_int_equal(poll_for(&t, id)->result_reason, KMIP_RESULT_REASON_OBJECT_DESTROYED);
    /* Who never asks lets it lapse, and what waits behind it. */
    t.asynchronous = MANDATORY;
    const struct kmip_response_message *response = talk_batch(&t, items, 2);
    const struct ks_span second = is_pending(response->batch_item[1]);
    t.asynchronous = 0;
    pass(&t);
    assert_false(rig_tick(&t.rig));
    t.rig.now_us += ASYNC_KEEP_S * INT64_C(1000000);
    assert_true(rig_tick(&t.rig));
    assert_int_equal(poll_for(&t, second)->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    assert_int_equal(count_named(&t, "a"), 0);
    assert_int_equal(t.rig.engine->async.n, 0);
    talk_close(&t);
}

static void
what_is_canceled_never_happens(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_create_request a = new_key(&t, "a");
    const struct kmip_activate_request nothing = {.unique_identifier = uid("nothing")};
    const struct ks_span id = put_off(&t, KMIP_OPERATION_CREATE, &a);
    assert_int_equal(cancel(&t, id), KMIP_CANCELLATION_RESULT_CANCELED);
    assert_int_equal(outstanding(&t), 0);
    pass(&t);
    assert_false(rig_tick(&t.rig));
    assert_int_equal(count_named(&t, "a"), 0);
    assert_int_equal(cancel(&t, id), KMIP_CANCELLATION_RESULT_CANCELED);
    const struct kmip_response_batch_item *item = poll_for(&t, id);
    assert_int_equal(item->operation, KMIP_OPERATION_CREATE);
    assert_int_equal(item->result_reason, KMIP_RESULT_REASON_OPERATION_CANCELED_BY_REQUESTER);
    assert_int_equal(cancel(&t, id), KMIP_CANCELLATION_RESULT_UNAVAILABLE);

    const struct ks_span done = put_off(&t, KMIP_OPERATION_CREATE, &a),
                         failed = put_off(&t, KMIP_OPERATION_ACTIVATE, &nothing);
    pass(&t);
    assert_true(rig_tick(&t.rig));
    assert_int_equal(cancel(&t, done), KMIP_CANCELLATION_RESULT_COMPLETED);
    assert_int_equal(cancel(&t, failed), KMIP_CANCELLATION_RESULT_FAILED);
    assert_int_equal(cancel(&t, KS_LIT("0123456789abcdef")), KMIP_CANCELLATION_RESULT_UNAVAILABLE);
    assert_int_equal(cancel(&t, KS_LIT("x")), KMIP_CANCELLATION_RESULT_UNAVAILABLE);
    assert_int_equal(poll_for(&t, done)->result_status, KMIP_RESULT_STATUS_SUCCESS);
    talk_close(&t);
}

static void
it_is_the_clients_own(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_create_request a = new_key(&t, "a");
    const struct ks_span id = put_off(&t, KMIP_OPERATION_CREATE, &a);
    t.who = &t.rig.admin;
    not_pending(&t, id);
    assert_int_equal(cancel(&t, id), KMIP_CANCELLATION_RESULT_UNAVAILABLE);
    assert_int_equal(outstanding(&t), 0);
    assert_int_equal(count_named(&t, "a"), 0);
    t.who = &t.rig.client;
    assert_int_equal(outstanding(&t), 1);
    assert_int_equal(poll_for(&t, id)->result_status, KMIP_RESULT_STATUS_SUCCESS);
    talk_close(&t);
}

static void
a_restart_loses_nothing(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_create_request a = new_key(&t, "a"), b = new_key(&t, "b"), c = new_key(&t, "c");
    const struct ks_span first = put_off(&t, KMIP_OPERATION_CREATE, &a),
                         second = put_off(&t, KMIP_OPERATION_CREATE, &b),
                         third = put_off(&t, KMIP_OPERATION_CREATE, &c);
    assert_int_equal(cancel(&t, third), KMIP_CANCELLATION_RESULT_CANCELED);
    rig_restart(&t.rig);
    assert_int_equal(outstanding(&t), 2);
    pass(&t);
    assert_true(rig_tick(&t.rig));
    rig_restart(&t.rig);
    assert_false(rig_tick(&t.rig));
    assert_int_equal(poll_for(&t, first)->result_status, KMIP_RESULT_STATUS_SUCCESS);
    rig_restart(&t.rig);
    not_pending(&t, first);
    assert_int_equal(poll_for(&t, second)->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(poll_for(&t, third)->result_reason, KMIP_RESULT_REASON_OPERATION_CANCELED_BY_REQUESTER);
    assert_int_equal(count_named(&t, "a") + count_named(&t, "b") + count_named(&t, "c"), 2);
    talk_close(&t);
}

/* What could not be committed did not happen: memory is what the store has. */
static void
a_failed_commit_takes_it_back(void **unused)
{
    (void)unused;
    struct talk t;
    struct ks_diag diag = {0};
    talk_open(&t);
    const struct kmip_create_request a = new_key(&t, "a");
    const struct ks_span id = put_off(&t, KMIP_OPERATION_CREATE, &a);
    pass(&t);
    assert_true(engine_tick(t.rig.engine, &t.rig.reply)); /* and is not committed */
    assert_int_equal(rig_reload(&t.rig, &diag), 0);
    assert_int_equal(count_named(&t, "a"), 0);
    assert_int_equal(outstanding(&t), 1);
    assert_true(rig_tick(&t.rig));
    assert_int_equal(poll_for(&t, id)->result_status, KMIP_RESULT_STATUS_SUCCESS);
    talk_close(&t);
}

/* In the order of the batch, each with the ID Placeholder of those before it, whichever is polled for first. */
static void
a_batch_keeps_its_order(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_create_request a = new_key(&t, "a");
    const struct kmip_activate_request activate = {0};
    const struct kmip_get_attributes_request attributes = {0};
    const struct talk_item items[] = {{KMIP_OPERATION_CREATE, &a},
                                      {KMIP_OPERATION_ACTIVATE, &activate},
                                      {KMIP_OPERATION_GET_ATTRIBUTES, &attributes}};
    for (int restart = 0; restart < 2; restart++) {
        t.asynchronous = MANDATORY;
        const struct kmip_response_message *response = talk_batch(&t, items, 3);
        t.asynchronous = 0;
        assert_int_equal(response->n_batch_item, 3);
        struct ks_span ids[3];
        for (size_t i = 0; i < 3; i++)
            ids[i] = is_pending(response->batch_item[i]);
        if (restart)
            rig_restart(&t.rig);
        const struct kmip_response_batch_item *item = poll_for(&t, ids[1]);
        assert_int_equal(item->operation, KMIP_OPERATION_ACTIVATE);
        assert_int_equal(item->result_status, KMIP_RESULT_STATUS_SUCCESS);
        const struct kmip_activate_response *activated = item->payload;
        assert_int_equal(state_of(&t, uid_string(&t, &activated->unique_identifier)), KMIP_STATE_ACTIVE);
        const struct kmip_create_response *made = poll_for(&t, ids[0])->payload;
        const char *id = uid_string(&t, &made->unique_identifier);
        assert_string_equal(id, uid_string(&t, &activated->unique_identifier));
        pass(&t);
        assert_true(rig_tick(&t.rig));
        const struct kmip_get_attributes_response *got = poll_for(&t, ids[2])->payload;
        assert_string_equal(uid_string(&t, &got->unique_identifier), id);
        revoke_key(&t, id, KMIP_REVOCATION_REASON_CODE_CESSATION_OF_OPERATION);
        destroy_key(&t, id);
    }
    assert_int_equal(t.rig.engine->async.n, 0);
    talk_close(&t);
}

static void
errors_in_a_batch(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_create_request a = new_key(&t, "a");
    const struct kmip_activate_request nothing = {.unique_identifier = uid("nothing")};
    const struct talk_item items[] = {{KMIP_OPERATION_ACTIVATE, &nothing}, {KMIP_OPERATION_CREATE, &a}};
    /* Stop */
    t.asynchronous = MANDATORY;
    const struct kmip_response_message *response = talk_batch(&t, items, 2);
    struct ks_span first = is_pending(response->batch_item[0]), second = is_pending(response->batch_item[1]);
    t.asynchronous = 0;
    pass(&t);
    assert_true(rig_tick(&t.rig));
    assert_int_equal(poll_for(&t, second)->result_status, KMIP_RESULT_STATUS_OPERATION_FAILED);
    assert_int_equal(poll_for(&t, first)->result_reason, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    assert_int_equal(count_named(&t, "a"), 0);
    /* Continue */
    t.asynchronous = MANDATORY;
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_CONTINUE;
    response = talk_batch(&t, items, 2);
    first = is_pending(response->batch_item[0]);
    second = is_pending(response->batch_item[1]);
    t.asynchronous = t.option = 0;
    pass(&t);
    assert_true(rig_tick(&t.rig));
    assert_int_equal(poll_for(&t, first)->result_reason, KMIP_RESULT_REASON_OBJECT_NOT_FOUND);
    assert_int_equal(poll_for(&t, second)->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(count_named(&t, "a"), 1);
    /* Undo is not to be had: what was carried out before could not be taken back. */
    t.asynchronous = MANDATORY;
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
    response = talk_batch(&t, items, 2);
    assert_int_equal(response->batch_item[0]->result_reason, KMIP_RESULT_REASON_FEATURE_NOT_SUPPORTED);
    assert_int_equal(t.rig.engine->async.n, 0);
    talk_close(&t);
}

/* Whose certificate is revoked meanwhile gets nothing done. */
static void
rights_are_those_of_the_time_of_execution(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_create_request a = new_key(&t, "a");
    const struct kmip_client_revoke_request revocation = {.client_name = KS_LIT("app")};
    (void)put_off(&t, KMIP_OPERATION_CREATE, &a);
    t.who = &t.rig.admin;
    talk_do(&t, KMIP_OPERATION_CLIENT_REVOKE, &revocation);
    const size_t before = t.rig.engine->objects.all.n;
    pass(&t);
    assert_true(rig_tick(&t.rig));
    assert_non_null(strstr(records(&t), "\"status\":\"failed\""));
    assert_int_equal(t.rig.engine->objects.all.n, before);
    talk_close(&t);
}

static void
bounded_for_each_client(void **unused)
{
    (void)unused;
    struct talk t;
    struct ks_span ids[ASYNC_CLIENT_MOST];
    const struct kmip_ping_request ping = {0};
    talk_open(&t);
    for (size_t i = 0; i < KS_ARRAY_LEN(ids); i++)
        ids[i] = put_off(&t, KMIP_OPERATION_PING, &ping);
    t.asynchronous = MANDATORY;
    talk_refused(&t, KMIP_OPERATION_PING, &ping, KMIP_RESULT_REASON_SERVER_LIMIT_EXCEEDED);
    t.who = &t.rig.admin; /* others are not kept out */
    const struct ks_span other = put_off(&t, KMIP_OPERATION_PING, &ping);
    assert_int_equal(poll_for(&t, other)->result_status, KMIP_RESULT_STATUS_SUCCESS);
    t.who = &t.rig.client;
    for (size_t i = 0; i < 1000; i++) { /* nor can the table be filled with what was canceled */
        assert_int_equal(cancel(&t, ids[0]), KMIP_CANCELLATION_RESULT_CANCELED);
        ids[0] = put_off(&t, KMIP_OPERATION_PING, &ping);
    }
    assert_true(t.rig.engine->async.n <= ASYNC_CLIENT_MOST + 1);
    /* Results that nobody fetches are forgotten. */
    pass(&t);
    while (rig_tick(&t.rig))
        ;
    t.rig.now_us += ASYNC_KEEP_S * INT64_C(1000000);
    assert_true(rig_tick(&t.rig));
    assert_non_null(strstr(records(&t), "result-expired"));
    assert_int_equal(t.rig.engine->async.n, 0);
    not_pending(&t, ids[3]);
    talk_close(&t);
}

static void
an_acceptance_that_does_not_fit_is_none(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_create_request a = new_key(&t, "a");
    t.asynchronous = MANDATORY;
    t.max_response = 100;
    const struct kmip_response_batch_item *item = talk_ask(&t, KMIP_OPERATION_CREATE, &a);
    assert_int_equal(item->result_reason, KMIP_RESULT_REASON_RESPONSE_TOO_LARGE);
    assert_int_equal(t.rig.engine->async.n, 0);
    /* And a result that does not fit is a failure that says so; nothing was carried out. */
    t.asynchronous = t.max_response = 0;
    const struct kmip_get_attributes_request r = {.unique_identifier = uid(make_key(&t, "k", BOTH))};
    t.max_response = 260;
    const struct ks_span id = put_off(&t, KMIP_OPERATION_GET_ATTRIBUTES, &r);
    t.max_response = 0;
    item = poll_for(&t, id);
    assert_int_equal(item->result_reason, KMIP_RESULT_REASON_RESPONSE_TOO_LARGE);
    talk_close(&t);
}

/* A Poll in a batch that is undone has not fetched the result. */
static void
an_undone_poll_fetches_nothing(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_create_request a = new_key(&t, "a");
    const struct kmip_get_request nothing = {.unique_identifier = uid("nothing")};
    const struct ks_span id = put_off(&t, KMIP_OPERATION_CREATE, &a);
    const struct kmip_poll_request poll = {.asynchronous_correlation_value = id};
    const struct talk_item items[] = {{KMIP_OPERATION_POLL, &poll}, {KMIP_OPERATION_GET, &nothing}};
    t.option = KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
    const struct kmip_response_message *response = talk_batch(&t, items, 2);
    t.option = 0;
    assert_int_equal(response->batch_item[0]->result_status, KMIP_RESULT_STATUS_OPERATION_UNDONE);
    assert_int_equal(count_named(&t, "a"), 1); /* it was its turn all the same */
    assert_int_equal(poll_for(&t, id)->result_status, KMIP_RESULT_STATUS_SUCCESS);
    assert_int_equal(count_named(&t, "a"), 1);
    talk_close(&t);
}

static void
process_and_query(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_create_request a = new_key(&t, "a");
    const struct kmip_ping_request ping = {0};
    const struct ks_span id = put_off(&t, KMIP_OPERATION_CREATE, &a);
    (void)put_off(&t, KMIP_OPERATION_PING, &ping);
    uint32_t wanted[] = {KMIP_OPERATION_CREATE};
    struct kmip_operations operations = {.operation = wanted, .n_operation = 1};
    const struct kmip_query_asynchronous_requests_request q = {.operations = &operations};
    const struct kmip_query_asynchronous_requests_response *r =
        talk_do(&t, KMIP_OPERATION_QUERY_ASYNCHRONOUS_REQUESTS, &q);
    assert_int_equal(r->n_asynchronous_request, 1);
    assert_int_equal(r->asynchronous_request[0]->operation, KMIP_OPERATION_CREATE);
    assert_int_equal(r->asynchronous_request[0]->processing_stage, KMIP_PROCESSING_STAGE_SUBMITTED);
    assert_int_equal(r->asynchronous_request[0]->submission_date, t.rig.now_us);
    assert_true(ks_span_equal(r->asynchronous_request[0]->asynchronous_correlation_value, id));

    const struct kmip_process_request process = {.asynchronous_correlation_value = id};
    talk_do(&t, KMIP_OPERATION_PROCESS, &process);
    assert_int_equal(count_named(&t, "a"), 1);
    talk_refused(&t, KMIP_OPERATION_PROCESS, &process, KMIP_RESULT_REASON_DUPLICATE_PROCESS_REQUEST);
    r = talk_do(&t, KMIP_OPERATION_QUERY_ASYNCHRONOUS_REQUESTS, &q);
    assert_int_equal(r->asynchronous_request[0]->processing_stage, KMIP_PROCESSING_STAGE_COMPLETED);
    struct ks_span ids[] = {id};
    struct kmip_asynchronous_correlation_values values = {.asynchronous_correlation_value = ids,
                                                          .n_asynchronous_correlation_value = 1};
    const struct kmip_query_asynchronous_requests_request by_value = {.asynchronous_correlation_values = &values};
    r = talk_do(&t, KMIP_OPERATION_QUERY_ASYNCHRONOUS_REQUESTS, &by_value);
    assert_int_equal(r->n_asynchronous_request, 1);
    assert_int_equal(poll_for(&t, id)->result_status, KMIP_RESULT_STATUS_SUCCESS);
    talk_refused(&t, KMIP_OPERATION_PROCESS, &process, UNKNOWN);
    assert_int_equal(outstanding(&t), 1);
    talk_close(&t);
}

/* Optional, and Mandatory for what has no answer that could come later. */
static void
what_is_answered_at_once(void **unused)
{
    (void)unused;
    struct talk t;
    talk_open(&t);
    const struct kmip_create_request a = new_key(&t, "a");
    const struct kmip_cancel_request none = {.asynchronous_correlation_value = KS_LIT("0123456789abcdef")};
    const struct kmip_poll_request poll = {.asynchronous_correlation_value = none.asynchronous_correlation_value};
    const struct kmip_enroll_token_create_request token = {.client_name = KS_LIT("new"),
                                                           .client_role = KS_LIT("client")};
    t.asynchronous = OPTIONAL;
    talk_do(&t, KMIP_OPERATION_CREATE, &a);
    t.asynchronous = MANDATORY;
    talk_do(&t, KMIP_OPERATION_CANCEL, &none);
    talk_refused(&t, KMIP_OPERATION_POLL, &poll, UNKNOWN);
    t.who = &t.rig.admin;
    talk_refused(&t, KMIP_OPERATION_ENROLL_TOKEN_CREATE, &token, KMIP_RESULT_REASON_FEATURE_NOT_SUPPORTED);
    t.who = &t.rig.nobody;
    talk_refused(&t, KMIP_OPERATION_CREATE, &a, KMIP_RESULT_REASON_AUTHENTICATION_NOT_SUCCESSFUL);
    assert_int_equal(t.rig.engine->async.n, 0);
    talk_close(&t);
}

/* A key that takes long is made by whoever the engine's user has for it; the tick leaves it to them. */
static void
slow_keys_are_made_elsewhere(void **unused)
{
    (void)unused;
    struct talk t;
    const struct engine_config config = {.node = KS_LIT("test"), .prepares = true};
    uint8_t id[ENGINE_ASYNC_ID], other[ENGINE_ASYNC_ID];
    talk_open_with(&t, &config);
    struct kmip_create_key_pair_request pair = {0};
    put_number(&t, &pair.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA);
    put_number(&t, &pair.common_attributes, KMIP_TAG_CRYPTOGRAPHIC_LENGTH, 2048);
    t.asynchronous = OPTIONAL;
    const struct ks_span value = is_pending(talk_ask(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &pair));
    t.asynchronous = 0;
    KS_CLEANUP(ks_buf_done) struct ks_buf request = KS_BUF(65536);
    KS_CLEANUP(ks_buf_done) struct ks_buf more = KS_BUF(65536);
    assert_false(engine_async_slow(t.rig.engine, &request, id));
    pass(&t);
    assert_false(rig_tick(&t.rig));
    assert_int_equal(poll_for(&t, value)->result_status, KMIP_RESULT_STATUS_OPERATION_PENDING);
    assert_true(engine_async_slow(t.rig.engine, &request, id));
    assert_memory_equal(id, value.data, sizeof(id));
    assert_false(engine_async_slow(t.rig.engine, &more, other)); /* one at a time */
    assert_true(engine_is_slow(ks_buf_span(&request)));
    struct engine_prepared *prepared = engine_prepare(ks_buf_span(&request));
    assert_non_null(prepared);
    assert_true(engine_async_prepared(t.rig.engine, id, prepared, &t.rig.reply));
    rig_commit(&t.rig);
    engine_prepared_free(prepared);
    const struct kmip_response_batch_item *item = poll_for(&t, value);
    assert_int_equal(item->result_status, KMIP_RESULT_STATUS_SUCCESS);
    const struct kmip_create_key_pair_response *made = item->payload;
    assert_int_equal(
        attribute(&t, uid_string(&t, &made->private_key_unique_identifier), KMIP_TAG_CRYPTOGRAPHIC_LENGTH)->i32, 2048);
    /* Canceled while the key is being made: nothing comes of it. */
    t.asynchronous = MANDATORY;
    const struct ks_span second = is_pending(talk_ask(&t, KMIP_OPERATION_CREATE_KEY_PAIR, &pair));
    t.asynchronous = 0;
    pass(&t);
    assert_true(engine_async_slow(t.rig.engine, &more, id));
    assert_int_equal(cancel(&t, second), KMIP_CANCELLATION_RESULT_CANCELED);
    const size_t n = t.rig.engine->objects.all.n;
    assert_false(engine_async_prepared(t.rig.engine, id, NULL, &t.rig.reply));
    assert_int_equal(t.rig.engine->objects.all.n, n);
    talk_close(&t);
}

/* A key on its way through the table lies in the store as any key: sealed. */
static void
nothing_lies_open(void **unused)
{
    (void)unused;
    struct talk t;
    static const uint8_t key[32] = "this is the key to be registered";
    talk_open(&t);
    const char *there = register_key(&t, "there", BOTH, KS_SPAN(key, 32));
    const struct kmip_get_request get = {.unique_identifier = uid(there)};
    const struct kmip_get_response *got = talk_do(&t, KMIP_OPERATION_GET, &get);
    struct kmip_register_request r = {
        .object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY, .attributes = {.present = true}, .object = got->object};
    put_number(&t, &r.attributes, KMIP_TAG_CRYPTOGRAPHIC_USAGE_MASK, BOTH);
    const struct ks_span id = put_off(&t, KMIP_OPERATION_REGISTER, &r);
    for (size_t i = 0; i < t.rig.reply.job.n_changes; i++)
        assert_null(memmem(t.rig.reply.job.changes[i].value.data, t.rig.reply.job.changes[i].value.len, key, 16));
    for (size_t i = 0; i < ASYNC_MOST; i++)
        if (t.rig.engine->async.v[i] != NULL)
            assert_null(memmem(t.rig.engine->async.v[i]->row.data, t.rig.engine->async.v[i]->row.len, key, 16));
    const struct kmip_register_response *made = poll_for(&t, id)->payload;
    assert_memory_equal(key_bytes(&t, uid_string(&t, &made->unique_identifier)).data, key, 32);
    talk_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_carries_it_out),
        cmocka_unit_test(who_polls_need_not_wait),
        cmocka_unit_test(no_copy_outlives_a_key),
        cmocka_unit_test(what_is_canceled_never_happens),
        cmocka_unit_test(it_is_the_clients_own),
        cmocka_unit_test(a_restart_loses_nothing),
        cmocka_unit_test(a_failed_commit_takes_it_back),
        cmocka_unit_test(a_batch_keeps_its_order),
        cmocka_unit_test(errors_in_a_batch),
        cmocka_unit_test(rights_are_those_of_the_time_of_execution),
        cmocka_unit_test(bounded_for_each_client),
        cmocka_unit_test(an_acceptance_that_does_not_fit_is_none),
        cmocka_unit_test(an_undone_poll_fetches_nothing),
        cmocka_unit_test(process_and_query),
        cmocka_unit_test(what_is_answered_at_once),
        cmocka_unit_test(slow_keys_are_made_elsewhere),
        cmocka_unit_test(nothing_lies_open),
    };
    return cmocka_run_group_tests_name("engine: asynchronous requests", tests, NULL, NULL);
}
