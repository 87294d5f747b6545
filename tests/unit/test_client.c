/* client/: connections, TLS, deadlines, retries and failover, against a peer that follows a script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <keystead/client.h>

#include "base/text.h"
#include "client_peer.h"

static struct world world;

#define assert_message(error, part)                                                                                    \
    do {                                                                                                               \
        if (strstr((error).message, (part)) == NULL)                                                                   \
            fail_msg("\"%s\" is not in \"%s\"", (part), (error).message);                                              \
    } while (0)

static struct peer
good_peer(peer_script *script)
{
    return (struct peer){.script = script, .cert = &world.server, .ca = &world.ca};
}

static int
get(struct ks_client *client, const struct ks_call *call, struct ks_error *error)
{
    struct ks_object *object = NULL;
    const int rc = ks_client_get(client, call, &(struct ks_get){.uid = "key-1"}, &object, error);
    assert_true((rc == 0) == (object != NULL));
    if (object != NULL) {
        assert_int_equal(object->material.len, 32);
        assert_memory_equal(object->material.data, "0123456789abcdef0123456789abcdef", 32);
    }
    ks_object_free(object);
    return rc;
}

static int
create(struct ks_client *client, const struct ks_call *call, struct ks_error *error)
{
    char uid[KS_UID_SIZE] = "untouched";
    const int rc = ks_client_create(
        client, call, &(struct ks_create){.object = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, .length = 256}},
        uid, error);
    assert_string_equal(uid, rc == 0 ? "key-1" : "untouched");
    return rc;
}

static void
connections_are_used_again(void **state)
{
    (void)state;
    struct peer peer = good_peer(NULL);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(get(client, NULL, &error), 0);
    assert_int_equal(peer.n_connections, 1);
    assert_int_equal(peer.n_requests, 5);
    assert_int_equal(error.code, 0);
    ks_client_free(client);
    peer_stop(&peer);
}

static void
the_newest_common_version_is_spoken(void **state)
{
    (void)state;
    static const struct {
        int newest;
        const char *settings;
        int32_t major, minor;
    } cases[] = {
        {KMIP_V2_1, "", 2, 1},
        {KMIP_V1_4, "", 1, 4},
        {KMIP_V1_1, "", 1, 1},
        {-1, "", 1, 0},
        {KMIP_V2_1, "versions=1.0-1.2", 1, 2},
        {KMIP_V2_1, "versions=1.3", 1, 3},
        {KMIP_V2_0, "versions=1.2-2.1", 2, 0},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        struct peer peer = good_peer(NULL);
        peer.newest = cases[i].newest;
        peer_start(&peer);
        struct ks_client *client = CLIENT(&world, cases[i].settings, &peer);
        struct ks_error error = {0};
        assert_int_equal(get(client, NULL, &error), 0);
        assert_int_equal(peer.last_major, cases[i].major);
        assert_int_equal(peer.last_minor, cases[i].minor);
        ks_client_free(client);
        peer_stop(&peer);
    }
}

static void
no_common_version_is_an_error(void **state)
{
    (void)state;
    static const int newest[] = {KMIP_V1_4, -1};
    for (size_t i = 0; i < KS_ARRAY_LEN(newest); i++) {
        struct peer peer = good_peer(NULL);
        peer.newest = newest[i];
        peer_start(&peer);
        struct ks_client *client = CLIENT(&world, "versions=2.0-2.1", &peer);
        struct ks_error error = {0};
        assert_int_equal(get(client, NULL, &error), KS_E_UNSUPPORTED);
        assert_message(error, "versions");
        assert_int_equal(peer.n_requests, 0);
        ks_client_free(client);
        peer_stop(&peer);
    }
}

static void
discovering_versions_of_a_1_0_server_gives_1_0(void **state)
{
    (void)state;
    struct peer peer = good_peer(NULL);
    peer.newest = -1;
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_versions *versions = NULL;
    assert_int_equal(ks_client_discover_versions(client, NULL, &versions, NULL), 0);
    assert_int_equal(versions->n, 1);
    assert_int_equal(versions->v[0].major, 1);
    assert_int_equal(versions->v[0].minor, 0);
    ks_versions_free(versions);
    ks_client_free(client);
    peer_stop(&peer);
}

/* ---- Who is trusted ---- */

static void
refused(struct peer *peer, const char *settings, const char *why)
{
    peer_start(peer);
    struct ks_client *client = CLIENT(&world, settings, peer);
    struct ks_error error = {0};
    assert_int_equal(get(client, NULL, &error), KS_E_TLS);
    assert_message(error, why);
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%d", peer->port);
    assert_string_equal(error.server, address);
    assert_false(error.maybe_done);
    assert_int_equal(peer->n_requests, 0);
    ks_client_free(client);
    peer_stop(peer);
}

static void
a_server_of_a_foreign_ca_is_refused(void **state)
{
    (void)state;
    struct peer peer = good_peer(NULL);
    peer.cert = &world.foreign_server;
    refused(&peer, "", "certificate was refused: unable to get local issuer certificate");
}

static void
a_certificate_for_another_name_is_refused(void **state)
{
    (void)state;
    struct pki other = {0};
    pki_issue(&world.ca, &other, "127.0.0.1", "DNS:other.example,IP:192.0.2.1", -3600, 3600);
    struct peer peer = good_peer(NULL);
    peer.cert = &other;
    refused(&peer, "", "not for \"127.0.0.1\"");
    pki_done(&other);
    struct peer named = good_peer(NULL);
    refused(&named, "server_name=db.example", "not for \"db.example\"");
}

static void
an_expired_certificate_is_refused(void **state)
{
    (void)state;
    struct pki old = {0};
    pki_issue(&world.ca, &old, "server", "IP:127.0.0.1", -7200, -3600);
    struct peer peer = good_peer(NULL);
    peer.cert = &old;
    refused(&peer, "", "expired");
    pki_done(&old);
}

static void
the_name_to_verify_can_be_given(void **state)
{
    (void)state;
    struct pki named = {0};
    pki_issue(&world.ca, &named, "server", "DNS:kms.example", -3600, 3600);
    struct peer peer = good_peer(NULL);
    peer.cert = &named;
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "server_name=kms.example", &peer);
    assert_int_equal(get(client, NULL, NULL), 0);
    ks_client_free(client);
    peer_stop(&peer);
    pki_done(&named);
}

static void
a_client_certificate_that_the_server_refuses_is_told(void **state)
{
    (void)state;
    struct peer peer = good_peer(NULL);
    peer.ca = &world.foreign_ca; /* the server wants its own clients */
    refused(&peer, "", "does not accept this client's certificate");
}

/* ---- Deadlines ---- */

static enum peer_action
say_nothing(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    (void)request;
    (void)reply;
    return PEER_SILENT;
}

static void
a_silent_server_is_left_at_the_deadline(void **state)
{
    (void)state;
    struct peer peer = good_peer(say_nothing);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    const struct ks_call call = {.timeout_ms = 1500}; /* ample for a handshake, also under valgrind */
    assert_int_equal(get(client, &call, &error), KS_E_TIMEOUT);
    assert_int_equal(create(client, &call, &error), KS_E_TIMEOUT);
    assert_true(error.maybe_done);
    assert_message(error, "may have been carried out");
    assert_int_equal(peer.n_requests, 2);
    ks_client_free(client);
    client = CLIENT(&world, "request_timeout=1s", &peer);
    assert_int_equal(get(client, NULL, &error), KS_E_TIMEOUT);
    ks_client_free(client);
    peer_stop(&peer);
}

static void
a_server_that_never_shakes_hands_is_left(void **state)
{
    (void)state;
    struct peer peer = good_peer(NULL);
    peer.never_handshake = true;
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "connect_timeout=200ms", &peer);
    struct ks_error error = {0};
    assert_int_equal(create(client, NULL, &error), KS_E_TIMEOUT);
    assert_false(error.maybe_done);
    assert_message(error, "TLS handshake");
    assert_message(error, "127.0.0.1:"); /* which server */
    assert_int_equal(create(client, &(struct ks_call){.timeout_ms = 100}, &error), KS_E_TIMEOUT);
    assert_message(error, "127.0.0.1:");
    ks_client_free(client);
    peer_stop(&peer);
}

static int
interrupt_third(void *arg)
{
    int *asked = arg;
    return ++*asked >= 3;
}

static void
a_call_can_be_interrupted(void **state)
{
    (void)state;
    struct peer peer = good_peer(say_nothing);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    int asked = 0;
    const struct ks_call call = {.interrupted = interrupt_third, .interrupted_arg = &asked};
    assert_int_equal(create(client, &call, &error), KS_E_CANCELLED);
    assert_int_equal(asked, 3);
    assert_false(error.maybe_done); /* three looks are over before the handshake is */
    ks_client_free(client);
    peer_stop(&peer);
}

static int
interrupt_when_asked(void *arg)
{
    const struct peer *peer = arg;
    return peer->n_requests > 0; /* the request has arrived, the answer will not */
}

static void
a_waiting_call_can_be_interrupted(void **state)
{
    (void)state;
    struct peer peer = good_peer(say_nothing);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    const struct ks_call call = {.interrupted = interrupt_when_asked, .interrupted_arg = &peer};
    assert_int_equal(create(client, &call, &error), KS_E_CANCELLED);
    assert_true(error.maybe_done);
    assert_int_equal(peer.n_requests, 1);
    assert_int_equal(peer.n_connections, 1);
    ks_client_free(client);
    peer_stop(&peer);
}

/* ---- Broken connections and answers ---- */

struct break_first {
    size_t n; /* how many requests */
    enum peer_action how;
};

static enum peer_action
break_the_first(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)reply;
    const struct break_first *plan = peer->arg;
    return request->n < plan->n ? plan->how : PEER_ANSWER;
}

static void
a_broken_connection_is_never_papered_over(void **state)
{
    (void)state;
    static const enum peer_action actions[] = {PEER_CLOSE, PEER_HALF};
    for (size_t i = 0; i < KS_ARRAY_LEN(actions); i++) {
        struct break_first plan = {1, actions[i]};
        struct peer peer = good_peer(break_the_first);
        peer.arg = &plan;
        peer_start(&peer);
        struct ks_client *client = CLIENT(&world, "", &peer);
        struct ks_error error = {0};
        assert_int_equal(create(client, NULL, &error), KS_E_CLOSED);
        assert_true(error.maybe_done);
        assert_int_equal(peer.n_requests, 1); /* not sent again */
        assert_int_equal(create(client, NULL, &error), 0);
        assert_false(error.maybe_done);
        ks_client_free(client);
        peer_stop(&peer);
    }
}

static enum peer_action
spoil_the_second(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    (void)reply;
    return request->n == 0 ? PEER_LAST : PEER_SPOILT;
}

static void
a_create_whose_answer_was_spoilt_is_not_sent_again(void **state)
{
    (void)state;
    struct peer peer = good_peer(spoil_the_second), other = good_peer(NULL);
    peer_start(&peer);
    peer_start(&other);
    struct ks_client *client = CLIENT(&world, "", &peer, &other);
    struct ks_error error = {0};
    assert_int_equal(get(client, NULL, &error), 0); /* the version is known now */
    usleep(100000);                                 /* and the connection gone */
    assert_int_equal(create(client, NULL, &error), KS_E_TLS);
    assert_true(error.maybe_done);
    assert_int_equal(peer.n_requests, 2);
    assert_int_equal(other.n_requests, 0);
    ks_client_free(client);
    peer_stop(&peer);
    peer_stop(&other);
}

static void
what_may_be_repeated_is_repeated_once_on_a_used_connection(void **state)
{
    (void)state;
    struct break_first plan = {0, PEER_CLOSE};
    struct peer peer = good_peer(break_the_first);
    peer.arg = &plan;
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    assert_int_equal(get(client, NULL, &error), 0);
    plan.n = 2; /* the second request finds the connection dying */
    assert_int_equal(get(client, NULL, &error), 0);
    assert_int_equal(peer.n_requests, 3);
    assert_int_equal(peer.n_connections, 2);
    plan.n = 100;
    assert_int_equal(get(client, NULL, &error), KS_E_CLOSED);
    assert_int_equal(peer.n_requests, 5);
    ks_client_free(client);
    peer_stop(&peer);
}

static enum peer_action
close_after_each(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    (void)request;
    (void)reply;
    return PEER_LAST;
}

static void
a_stale_connection_is_noticed_before_a_create_goes_into_it(void **state)
{
    (void)state;
    struct peer peer = good_peer(close_after_each);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(create(client, NULL, &error), 0);
        usleep(100000); /* so that the goodbye has arrived */
    }
    assert_int_equal(peer.n_requests, 3);
    assert_int_equal(peer.n_connections, 3);
    ks_client_free(client);
    peer_stop(&peer);
}

static enum peer_action
send_raw(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)request;
    const struct ks_span *bytes = peer->arg;
    assert_int_equal(ks_buf_add_span(&reply->raw, *bytes), 0);
    return PEER_BYTES;
}

static void
lying_answers_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct ks_span bytes;
        int code;
    } cases[] = {
        {{(const uint8_t *)"\x42\x00\x7b\x01\xff\xff\xff\xf0", 8}, KS_E_LIMIT},
        {{(const uint8_t *)"\x42\x00\x7b\x01\x00\x80\x00\x00", 8}, KS_E_LIMIT},
        {{(const uint8_t *)"\x42\x00\x78\x01\x00\x00\x00\x00", 8}, KS_E_MALFORMED}, /* a request */
        {{(const uint8_t *)"HTTP/1.1 400 Bad Request\r\n\r\n", 28}, KS_E_MALFORMED},
        {{(const uint8_t *)"\x42\x00\x7b\x01\x00\x00\x00\x00", 8}, KS_E_MALFORMED}, /* empty */
        {{(const uint8_t *)"\x42\x00\x7b\x01\x00\x00\x00\x08\x42\x00\x7a\x01\x00\x00\x10\x00", 16}, KS_E_MALFORMED},
    };
    for (size_t i = 0; i < KS_ARRAY_LEN(cases); i++) {
        struct ks_span bytes = cases[i].bytes;
        struct peer peer = good_peer(send_raw);
        peer.arg = &bytes;
        peer_start(&peer);
        struct ks_client *client = CLIENT(&world, "", &peer);
        struct ks_error error = {0};
        assert_int_equal(create(client, NULL, &error), cases[i].code);
        assert_true(error.maybe_done);
        assert_int_equal(peer.n_requests, 1);
        ks_client_free(client);
        peer_stop(&peer);
    }
}

static enum peer_action
drip(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    (void)request;
    (void)reply;
    return PEER_DRIP;
}

static void
an_answer_may_come_byte_by_byte(void **state)
{
    (void)state;
    struct peer peer = good_peer(drip);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    assert_int_equal(get(client, NULL, NULL), 0);
    assert_int_equal(get(client, NULL, NULL), 0);
    ks_client_free(client);
    peer_stop(&peer);
}

static void
an_answer_is_not_larger_than_allowed(void **state)
{
    (void)state;
    static uint8_t big[4096] = {0x42, 0x00, 0x7b, 0x01, 0x00, 0x00, 0x0f, 0xf8};
    struct ks_span bytes = KS_SPAN(big, sizeof(big));
    struct peer peer = good_peer(send_raw);
    peer.arg = &bytes;
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "max_response=4095", &peer);
    struct ks_error error = {0};
    assert_int_equal(get(client, NULL, &error), KS_E_LIMIT);
    assert_message(error, "max_response");
    ks_client_free(client);
    client = CLIENT(&world, "max_response=4096", &peer);
    assert_int_equal(get(client, NULL, &error), KS_E_MALFORMED); /* all read, and then it makes no sense */
    ks_client_free(client);
    peer_stop(&peer);
}

/* ---- Several servers ---- */

static void
servers_are_tried_in_order(void **state)
{
    (void)state;
    struct peer gone = good_peer(NULL);
    struct peer silent = good_peer(NULL);
    struct peer foreign = good_peer(NULL);
    struct peer good = good_peer(NULL);
    silent.never_handshake = true;
    foreign.cert = &world.foreign_server;
    peer_start(&gone);
    peer_stop(&gone); /* nobody listens there now */
    peer_start(&silent);
    peer_start(&foreign);
    peer_start(&good);
    struct ks_client *client = CLIENT(&world, "connect_timeout=1s", &gone, &silent, &foreign, &good);
    struct ks_error error = {0};
    assert_int_equal(create(client, NULL, &error), 0);
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%d", good.port);
    assert_string_equal(error.server, address);
    assert_int_equal(silent.n_connections, 1);
    assert_int_equal(foreign.n_connections, 1);
    for (int i = 0; i < 3; i++) /* those that failed are left alone for a while */
        assert_int_equal(create(client, NULL, &error), 0);
    assert_int_equal(silent.n_connections, 1);
    assert_int_equal(foreign.n_connections, 1);
    assert_int_equal(good.n_connections, 1);
    assert_int_equal(good.n_requests, 4);
    peer_stop(&good); /* and are tried again if nobody else is left */
    assert_int_equal(get(client, NULL, &error), KS_E_CONNECT);
    assert_int_equal(silent.n_connections, 2);
    assert_int_equal(foreign.n_connections, 2);
    assert_message(error, "TLS handshake: timed out");
    assert_message(error, "certificate was refused");
    assert_message(error, "Connection refused");
    ks_client_free(client);
    peer_stop(&silent);
    peer_stop(&foreign);
}

static void
a_request_that_may_be_repeated_moves_on_from_a_hanging_server(void **state)
{
    (void)state;
    struct peer hanging = good_peer(say_nothing);
    struct peer good = good_peer(NULL);
    peer_start(&hanging);
    peer_start(&good);
    struct ks_client *client = CLIENT(&world, "", &hanging, &good);
    struct ks_error error = {0};
    const struct ks_call call = {.timeout_ms = 3000};
    assert_int_equal(get(client, &call, &error), 0);
    assert_int_equal(hanging.n_requests, 1);
    assert_int_equal(good.n_requests, 1);
    ks_client_free(client);
    client = CLIENT(&world, "", &hanging, &good);
    const struct ks_call brief = {.timeout_ms = 1500};
    assert_int_equal(create(client, &brief, &error), KS_E_TIMEOUT); /* may have been carried out there */
    assert_int_equal(good.n_requests, 1);
    assert_true(error.maybe_done);
    ks_client_free(client);
    peer_stop(&hanging);
    peer_stop(&good);
}

static enum peer_action
say_sealed(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)peer;
    (void)request;
    reply->status[0] = KMIP_RESULT_STATUS_OPERATION_FAILED;
    reply->reason[0] = KMIP_RESULT_REASON_INTERNAL_SERVER_ERROR;
    reply->text = "not now";
    reply->sealed_by = "Keystead";
    return PEER_ANSWER;
}

/* Words, and what another vendor may mean by it, are not enough. */
static enum peer_action
say_something_like_it(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    (void)say_sealed(peer, request, reply);
    reply->text = "the server is sealed";
    reply->sealed_by = "Other";
    return PEER_ANSWER;
}

static void
a_sealed_server_is_passed_over(void **state)
{
    (void)state;
    struct peer sealed = good_peer(say_sealed);
    struct peer good = good_peer(NULL);
    peer_start(&sealed);
    peer_start(&good);
    struct ks_client *client = CLIENT(&world, "", &sealed, &good);
    struct ks_error error = {0};
    assert_int_equal(create(client, NULL, &error), 0);
    assert_int_equal(sealed.n_requests, 1);
    ks_client_free(client);
    client = CLIENT(&world, "", &sealed);
    assert_int_equal(create(client, NULL, &error), KS_E_SEALED);
    assert_message(error, "keystead unseal");
    assert_false(error.maybe_done);
    ks_client_free(client);
    struct peer other = good_peer(say_something_like_it);
    peer_start(&other);
    client = CLIENT(&world, "", &other);
    assert_int_equal(create(client, NULL, &error), KS_E_KMIP);
    ks_client_free(client);
    peer_stop(&other);
    peer_stop(&sealed);
    peer_stop(&good);
}

/* ---- Threads ---- */

enum { THREADS = 8, ROUNDS = 25 };

static void *
get_often(void *arg)
{
    struct ks_client *client = arg;
    size_t good = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct ks_object *object = NULL;
        if (ks_client_get(client, NULL, &(struct ks_get){.uid = "key-1"}, &object, NULL) == 0 &&
            object->material.len == 32)
            good++;
        ks_object_free(object);
    }
    return (void *)good;
}

static void
threads_share_a_client(void **state)
{
    (void)state;
    struct peer peer = good_peer(NULL);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "pool_size=2", &peer);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_often, client), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *good = NULL;
        assert_int_equal(pthread_join(threads[i], &good), 0);
        assert_int_equal((size_t)good, ROUNDS);
    }
    assert_int_equal(peer.n_requests, THREADS * ROUNDS);
    ks_client_free(client);
    peer_stop(&peer);
}

/* ---- Names, raw messages, enrolment ---- */

static void
a_host_that_does_not_exist_is_told(void **state)
{
    (void)state;
    struct ks_client_config *config = NULL;
    struct ks_client *client = NULL;
    struct ks_error error = {0};
    char path[128];
    assert_int_equal(ks_client_config_new(&config), 0);
    snprintf(path, sizeof(path), "%s/ca.pem", world.dir);
    assert_int_equal(ks_client_config_set(config, "ca", path, &error), 0);
    assert_int_equal(ks_client_config_set(config, "server", "no-such-host.invalid", &error), 0);
    assert_int_equal(ks_client_new(config, &client, &error), 0);
    const int rc = get(client, &(struct ks_call){.timeout_ms = 20000}, &error);
    assert_true(rc == KS_E_CONNECT || rc == KS_E_TIMEOUT); /* the latter where the name service does not answer */
    assert_message(error, "no-such-host.invalid");
    ks_client_free(client);
    ks_client_config_free(config);
}

static void
a_host_can_be_a_name(void **state)
{
    (void)state;
    struct peer peer = good_peer(NULL);
    peer_start(&peer);
    struct ks_client_config *config = NULL;
    struct ks_client *client = NULL;
    struct ks_error error = {0};
    char text[128];
    assert_int_equal(ks_client_config_new(&config), 0);
    static const char *const settings[][2] = {{"ca", "ca.pem"}, {"certificate", "client.pem"}, {"key", "client.key"}};
    for (size_t i = 0; i < KS_ARRAY_LEN(settings); i++) {
        snprintf(text, sizeof(text), "%s/%s", world.dir, settings[i][1]);
        assert_int_equal(ks_client_config_set(config, settings[i][0], text, &error), 0);
    }
    snprintf(text, sizeof(text), "localhost:%d", peer.port);
    assert_int_equal(ks_client_config_set(config, "server", text, &error), 0);
    assert_int_equal(ks_client_new(config, &client, &error), 0);
    assert_int_equal(get(client, NULL, &error), 0);
    assert_string_equal(error.server, text);
    ks_client_free(client);
    ks_client_config_free(config);
    peer_stop(&peer);
}

static void
a_raw_message_goes_as_it_is(void **state)
{
    (void)state;
    struct peer peer = good_peer(NULL);
    peer_start(&peer);
    struct ks_client *client = CLIENT(&world, "", &peer);
    struct ks_error error = {0};
    struct ks_raw_response *response = NULL;
    assert_int_equal(
        ks_client_raw(client, NULL, (struct ks_bytes){(const uint8_t *)"nonsense", 8}, true, &response, &error),
        KS_E_INVALID);
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(1000); /* Get of key-1 in 1.2 */
    assert_int_equal(ks_hex_decode(ks_span_str("42007801000000704200770100000038420069010000002042006a0200000004"
                                               "000000010000000042006b0200000004000000020000000042000d0200000004"
                                               "000000010000000042000f010000002842005c05000000040000000a00000000"
                                               "420079010000001042009407000000056b65792d31000000"),
                                   &bytes),
                     0);
    const int rc = ks_client_raw(client, NULL, (struct ks_bytes){bytes.data, bytes.len}, true, &response, &error);
    assert_int_equal(rc, 0);
    assert_true(response->bytes.len > 8);
    assert_int_equal(ks_be32(response->bytes.data), 0x42007b01);
    assert_int_equal(peer.last_minor, 2);
    ks_raw_response_free(response);
    ks_client_free(client);
    peer_stop(&peer);
}

static enum peer_action
enroll(struct peer *peer, const struct peer_request *request, struct peer_reply *reply)
{
    assert_true(request->operation == (uint32_t)KMIP_OPERATION_ENROLL);
    const struct kmip_enroll_request *asked = request->message->batch_item[0]->payload;
    assert_true(ks_span_is(asked->certificate_signing_request, "a request"));
    struct kmip_enroll_response *payload = ks_arena_alloc(reply->arena, sizeof(*payload));
    payload->client_name = KS_LIT("db1");
    payload->issued_certificate = KS_LIT("a certificate");
    uint8_t *der = NULL;
    const struct pki *ca = peer->arg;
    const int len = i2d_X509(ca->cert, &der);
    assert_true(len > 0 && ks_arena_span(reply->arena, KS_SPAN(der, (size_t)len), &payload->ca_certificate) == 0);
    OPENSSL_free(der);
    reply->payload[0] = payload;
    return PEER_ANSWER;
}

static void
token_for(const struct pki *ca, char token[128])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    assert_int_equal(X509_digest(ca->cert, EVP_sha256(), digest, &len), 1);
    KS_CLEANUP(ks_buf_done) struct ks_buf hex = KS_BUF(64);
    assert_int_equal(ks_hex_add(&hex, digest, 16), 0);
    snprintf(token, 128, "ks1-00112233445566778899aabbccddeeff-%s", ks_buf_cstr(&hex));
}

static int
try_to_enroll(struct peer *peer, const char *token, struct ks_error *error)
{
    char server[32];
    snprintf(server, sizeof(server), "127.0.0.1:%d", peer->port);
    struct ks_enroll_result *result = NULL;
    const struct ks_enroll params = {.token = token, .server = server, .request = {(const uint8_t *)"a request", 9}};
    const int rc = ks_client_enroll(&params, &(struct ks_call){.timeout_ms = 10000}, &result, error);
    assert_true((rc == 0) == (result != NULL));
    if (rc == 0) {
        assert_string_equal(result->name, "db1");
        assert_int_equal(result->certificate.len, 13);
        assert_true(result->ca.len > 100);
    }
    ks_enroll_result_free(result);
    return rc;
}

static void
a_token_says_which_server_to_trust(void **state)
{
    (void)state;
    char good[128];
    char bad[128];
    token_for(&world.ca, good);
    token_for(&world.foreign_ca, bad);
    struct peer peer = good_peer(enroll);
    peer.arg = &world.ca;
    peer.send_ca = true;
    peer.no_client_certificate = true;
    peer_start(&peer);
    struct ks_error error = {0};
    assert_int_equal(try_to_enroll(&peer, good, &error), 0);
    assert_int_equal(peer.n_requests, 1);
    assert_int_equal(try_to_enroll(&peer, bad, &error), KS_E_TLS);
    assert_message(error, "not the server that the token was made by");
    assert_int_equal(try_to_enroll(&peer, "ks1-", &error), KS_E_INVALID);
    assert_int_equal(try_to_enroll(&peer, "ks1-00-1234", &error), KS_E_INVALID);
    assert_int_equal(peer.n_requests, 1); /* the token went nowhere */
    peer_stop(&peer);
    /* The server's key in wrong hands: another authority to be trusted from now on. */
    struct peer taken = good_peer(enroll);
    taken.arg = &world.foreign_ca;
    taken.send_ca = true;
    taken.no_client_certificate = true;
    peer_start(&taken);
    assert_int_equal(try_to_enroll(&taken, good, &error), KS_E_INTEGRITY);
    assert_message(error, "another authority than the token names");
    peer_stop(&taken);
    /* An impostor that shows the right CA certificate beside a certificate of its own. */
    struct peer impostor = good_peer(enroll);
    impostor.cert = &world.foreign_server;
    impostor.send_ca = true;
    impostor.no_client_certificate = true;
    peer_start(&impostor);
    assert_int_equal(try_to_enroll(&impostor, good, &error), KS_E_TLS);
    assert_int_equal(impostor.n_requests, 0);
    peer_stop(&impostor);
    /* The right CA, but a certificate for another host. */
    struct pki other = {0};
    pki_issue(&world.ca, &other, "server", "DNS:other.example", -3600, 3600);
    struct peer misnamed = good_peer(enroll);
    misnamed.cert = &other;
    misnamed.send_ca = true;
    misnamed.no_client_certificate = true;
    peer_start(&misnamed);
    assert_int_equal(try_to_enroll(&misnamed, good, &error), KS_E_TLS);
    assert_message(error, "not for");
    assert_int_equal(misnamed.n_requests, 0);
    peer_stop(&misnamed);
    pki_done(&other);
}

int
main(void)
{
    /* SIGPIPE keeps its default action, which ends the program: the client must not raise it. */
    world_start(&world);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_used_again),
        cmocka_unit_test(the_newest_common_version_is_spoken),
        cmocka_unit_test(no_common_version_is_an_error),
        cmocka_unit_test(discovering_versions_of_a_1_0_server_gives_1_0),
        cmocka_unit_test(a_server_of_a_foreign_ca_is_refused),
        cmocka_unit_test(a_certificate_for_another_name_is_refused),
        cmocka_unit_test(an_expired_certificate_is_refused),
        cmocka_unit_test(the_name_to_verify_can_be_given),
        cmocka_unit_test(a_client_certificate_that_the_server_refuses_is_told),
        cmocka_unit_test(a_silent_server_is_left_at_the_deadline),
        cmocka_unit_test(a_server_that_never_shakes_hands_is_left),
        cmocka_unit_test(a_call_can_be_interrupted),
        cmocka_unit_test(a_waiting_call_can_be_interrupted),
        cmocka_unit_test(a_broken_connection_is_never_papered_over),
        cmocka_unit_test(a_create_whose_answer_was_spoilt_is_not_sent_again),
        cmocka_unit_test(what_may_be_repeated_is_repeated_once_on_a_used_connection),
        cmocka_unit_test(a_stale_connection_is_noticed_before_a_create_goes_into_it),
        cmocka_unit_test(lying_answers_are_refused),
        cmocka_unit_test(an_answer_may_come_byte_by_byte),
        cmocka_unit_test(an_answer_is_not_larger_than_allowed),
        cmocka_unit_test(servers_are_tried_in_order),
        cmocka_unit_test(a_request_that_may_be_repeated_moves_on_from_a_hanging_server),
        cmocka_unit_test(a_sealed_server_is_passed_over),
        cmocka_unit_test(threads_share_a_client),
        cmocka_unit_test(a_host_that_does_not_exist_is_told),
        cmocka_unit_test(a_host_can_be_a_name),
        cmocka_unit_test(a_raw_message_goes_as_it_is),
        cmocka_unit_test(a_token_says_which_server_to_trust),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_stop(&world);
    return failed;
}
