/* The vault's side of a net worker: what a worker that is no longer ours can make it do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "kmip/kmip.h"
#include "server/vault/internal.h"

enum { CONNECTION = 7 };

struct rig {
    struct vault vault;
    struct server_config config;
    int worker; /* the net worker's end */
    size_t sent;
};

static int
set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    int pair[2];
    assert_non_null(rig);
    rig->vault.config = &rig->config;
    rig->vault.state = VAULT_OPEN;
    rig->vault.batch_end = &rig->vault.batch;
    rig->vault.sealed.fd = -1;
    const struct engine_config config = {.node = KS_LIT("test")};
    assert_int_equal(engine_new(NULL, &config, &rig->vault.engine), 0);
    assert_int_equal(prepare_pool_new(1, &rig->vault.pool), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(channel_add(&rig->vault, pair[0]), 0);
    rig->worker = pair[1];
    *state = rig;
    return 0;
}

static int
tear_down(void **state)
{
    struct rig *rig = *state;
    channel_close(rig->vault.channels);
    prepare_pool_free(rig->vault.pool);
    channel_reap(&rig->vault);
    assert_null(rig->vault.channels);
    for (struct job *job = rig->vault.free_jobs, *next; job != NULL; job = next) {
        next = job->next_free;
        engine_reply_done(&job->reply);
        free(job);
    }
    engine_free(rig->vault.engine);
    ks_closep(&rig->worker);
    free(rig);
    return 0;
}

/* The vault reads until it wants no more, or there is no more. */
static void
let_read(struct rig *rig)
{
    struct channel *c = rig->vault.channels;
    struct pollfd fd = {c->fd, POLLIN, 0};
    while (channel_takes(c) && poll(&fd, 1, 0) == 1)
        channel_read(c);
}

/* False: the vault takes no more. */
static bool
say(struct rig *rig, enum frame_type type, struct ks_span body)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf bytes = KS_BUF(FRAME_HEADER_LEN + (size_t)FRAME_BODY_MAX);
    const struct frame frame = {.type = (uint8_t)type, .connection = CONNECTION, .body = body};
    assert_int_equal(frame_add(&bytes, &frame), 0);
    for (size_t done = 0; done < bytes.len;) {
        const ssize_t n = send(rig->worker, bytes.data + done, bytes.len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            done += (size_t)n;
        const size_t before = rig->vault.channels->in.len;
        let_read(rig);
        if (n < 0 && before == rig->vault.channels->in.len && !channel_takes(rig->vault.channels))
            return false;
    }
    rig->sent += bytes.len;
    return true;
}

static void
open_connection(struct rig *rig)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf body = KS_BUF(4096);
    const struct identity who = {.authenticated = true};
    assert_int_equal(identity_encode(&who, &body), 0);
    assert_true(say(rig, FRAME_OPEN, ks_buf_span(&body)));
}

/* An item that makes a request slow; it is none otherwise. */
static const uint8_t slow[] = {0x42, 0x00, 0x5C, 0x05, 0, 0, 0, 4, 0, 0, 0, KMIP_OPERATION_CREATE_KEY_PAIR};

static struct prepare_task *
wait_for_task(struct rig *rig)
{
    struct pollfd fd = {prepare_fd(rig->vault.pool), POLLIN, 0};
    assert_int_equal(poll(&fd, 1, 20000), 1);
    return prepare_take_done(rig->vault.pool);
}

static void
requests_behind_a_slow_one_are_bounded(void **state)
{
    struct rig *rig = *state;
    struct channel *c = rig->vault.channels;
    KS_CLEANUP(ks_buf_done) struct ks_buf large = KS_BUF(1 << 20);
    assert_int_equal(ks_buf_reserve(&large, 1 << 20), 0);
    memset(large.data, 'x', 1 << 20);
    large.len = 1 << 20;
    open_connection(rig);
    assert_true(say(rig, FRAME_REQUEST, KS_SPAN(slow, sizeof(slow))));
    const size_t most = (size_t)CHANNEL_BYTES_MAX + (8 << 20);
    while (rig->sent < 2 * most && say(rig, FRAME_REQUEST, ks_buf_span(&large)))
        continue;
    assert_true(rig->sent <= most);
    assert_false(channel_takes(c));

    /* Once the slow one is through they are answered, and the channel is read again. */
    rig->vault.state = VAULT_FAILED; /* answers at once */
    channel_prepared(&rig->vault, wait_for_task(rig));
    assert_true(c->fd >= 0);
    assert_int_equal(c->under_way, 0);
    assert_int_equal(c->bytes, 0);
    assert_true(channel_takes(c));
}

static void
a_closed_connection_gives_back_what_waits(void **state)
{
    struct rig *rig = *state;
    struct channel *c = rig->vault.channels;
    open_connection(rig);
    assert_true(say(rig, FRAME_REQUEST, KS_SPAN(slow, sizeof(slow))));
    const size_t task = c->bytes;
    for (int i = 0; i < 100; i++)
        assert_true(say(rig, FRAME_REQUEST, KS_LIT("waits")));
    assert_true(c->bytes > task);
    assert_true(say(rig, FRAME_CLOSE, KS_SPAN_NONE));
    assert_int_equal(c->bytes, task);
    rig->vault.state = VAULT_FAILED;
    channel_prepared(&rig->vault, wait_for_task(rig));
    assert_int_equal(c->bytes, 0);
    assert_int_equal(c->under_way, 0);
}

static void
an_answer_that_cannot_be_passed_on_ends_the_channel(void **state)
{
    struct rig *rig = *state;
    struct channel *c = rig->vault.channels;
    open_connection(rig);
    assert_true(say(rig, FRAME_REQUEST, KS_SPAN(slow, sizeof(slow))));
    for (int i = 0; i < 3; i++)
        assert_true(say(rig, FRAME_REQUEST, KS_LIT("waits")));
    struct prepare_task *task = wait_for_task(rig);
    rig->vault.state = VAULT_FAILED;
    c->out.max = 400; /* the first answer fits, the next does not: the peer goes while its requests are looked at */
    channel_prepared(&rig->vault, task);
    assert_int_equal(c->fd, -1);
    assert_int_equal(c->under_way, 0);
    assert_int_equal(c->bytes, 0);
}

static void
an_answer_that_is_too_large_ends_its_connection_alone(void **state)
{
    struct rig *rig = *state;
    struct channel *c = rig->vault.channels;
    open_connection(rig);
    struct job *job = vault_job(&rig->vault);
    assert_non_null(job);
    job->channel = c;
    job->connection = CONNECTION;
    c->under_way++;
    assert_int_equal(ks_buf_reserve(&job->reply.response, (size_t)FRAME_BODY_MAX + 1), 0);
    memset(job->reply.response.data, 'x', (size_t)FRAME_BODY_MAX + 1);
    job->reply.response.len = (size_t)FRAME_BODY_MAX + 1;
    channel_answer(c, job);
    job->next_free = rig->vault.free_jobs;
    rig->vault.free_jobs = job;
    assert_true(c->fd >= 0);
    struct frame frame;
    size_t used;
    assert_int_equal(frame_take(ks_buf_span(&c->out), &frame, &used), 0);
    assert_int_equal(used, c->out.len);
    assert_int_equal(frame.type, FRAME_DROP);
    assert_int_equal(frame.connection, CONNECTION);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_behind_a_slow_one_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_closed_connection_gives_back_what_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_that_is_too_large_ends_its_connection_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_that_cannot_be_passed_on_ends_the_channel, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
