/*
 * client/: every allocation fails once, and reads and writes are short and interrupted.
 *
 * The linker wraps malloc and its like, send and recv where our own code calls them; OpenSSL keeps the real ones. Only
 * the test's thread is disturbed, not the peer's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <keystead/client.h>

#include "client_peer.h"

static struct world world;

/* Allocations until one fails; negative: none does. */
static _Thread_local long allocations_left = -1;
static _Thread_local bool disturb_io;
static _Thread_local unsigned turn;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
char *__real_strdup(const char *text);
void *__real_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
ssize_t __real_send(int fd, const void *data, size_t len, int flags);
ssize_t __real_recv(int fd, void *data, size_t len, int flags);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
char *__wrap_strdup(const char *text);
void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t len, int flags);

static bool
fails(void)
{
    if (allocations_left < 0)
        return false;
    if (allocations_left == 0) {
        errno = ENOMEM;
        allocations_left = -1; /* the next one works: what is left behind is to be cleaned up */
        return true;
    }
    allocations_left--;
    return false;
}

void *
__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

char *
__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

void *
__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
    return fails() ? MAP_FAILED : __real_mmap(at, len, protection, flags, fd, offset);
}

/* In turn: interrupted, would block, 1 to 7 bytes. */
static bool
disturbed(size_t *len)
{
    if (!disturb_io)
        return false;
    turn++;
    if (turn % 3 == 0) {
        errno = turn % 2 == 0 ? EINTR : EAGAIN;
        return true;
    }
    if (*len > turn % 7 + 1)
        *len = turn % 7 + 1;
    return false;
}

ssize_t
__wrap_send(int fd, const void *data, size_t len, int flags)
{
    return disturbed(&len) ? -1 : __real_send(fd, data, len, flags);
}

ssize_t
__wrap_recv(int fd, void *data, size_t len, int flags)
{
    return disturbed(&len) ? -1 : __real_recv(fd, data, len, flags);
}

/* ---- What is tried with every allocation failing: a client from nothing, a few calls, and its end ---- */

static int
read_and_change(struct ks_client *client, struct ks_error *error)
{
    struct ks_object *object = NULL;
    struct ks_attributes *attributes = NULL;
    char uid[KS_UID_SIZE];
    int rc = ks_client_get(client, NULL, &(struct ks_get){.uid = "key-1"}, &object, error);
    assert_true((rc == 0) == (object != NULL));
    ks_object_free(object);
    if (rc == 0)
        rc = ks_client_get_attributes(client, NULL, "key-1", NULL, 0, &attributes, error);
    ks_attributes_free(attributes);
    if (rc == 0)
        rc = ks_client_create(client, NULL, &(struct ks_create){.object = {.name = "n", .algorithm = 3, .length = 256}},
                              uid, error);
    return rc;
}

static int
everything(const struct peer *peer, struct ks_error *error)
{
    struct ks_client_config *config = NULL;
    struct ks_client *client = NULL;
    char text[128];
    int rc = ks_client_config_new(&config);
    static const char *const settings[][2] = {{"ca", "ca.pem"}, {"certificate", "client.pem"}, {"key", "client.key"}};
    for (size_t i = 0; rc == 0 && i < KS_ARRAY_LEN(settings); i++) {
        snprintf(text, sizeof(text), "%s/%s", world.dir, settings[i][1]);
        rc = ks_client_config_set(config, settings[i][0], text, error);
    }
    snprintf(text, sizeof(text), "127.0.0.1:%d", peer->port);
    if (rc == 0)
        rc = ks_client_config_set(config, "server", text, error);
    if (rc == 0)
        rc = ks_client_new(config, &client, error);
    assert_true((rc == 0) == (client != NULL));
    if (rc == 0)
        rc = read_and_change(client, error);
    ks_client_free(client);
    ks_client_config_free(config);
    return rc;
}

static void
every_allocation_may_fail(void **state)
{
    (void)state;
    struct peer peer = {.cert = &world.server, .ca = &world.ca};
    peer_start(&peer);
    long n = 0;
    for (;; n++) {
        struct ks_error error = {0};
        allocations_left = n;
        const int rc = everything(&peer, &error);
        const bool all_worked = allocations_left >= 0;
        allocations_left = -1;
        if (rc == 0 && all_worked)
            break;
        /* One that failed is either told, or done without. */
        if (rc != 0 && rc != KS_E_NOMEM && rc != KS_E_LIMIT)
            fail_msg("allocation %ld: %d: %s", n, rc, error.message);
        if (rc != 0 && error.code != 0)
            assert_true(error.message[0] != '\0');
        assert_true(n < 5000);
    }
    assert_true(n > 25); /* they were wrapped */
    peer_stop(&peer);
}

static void
reads_and_writes_may_be_short(void **state)
{
    (void)state;
    struct peer peer = {.cert = &world.server, .ca = &world.ca};
    peer_start(&peer);
    struct ks_error error = {0};
    disturb_io = true;
    const int rc = everything(&peer, &error);
    disturb_io = false;
    if (rc != 0)
        fail_msg("%s", error.message);
    assert_true(turn > 500); /* it did happen */
    assert_int_equal(peer.n_requests, 3);
    peer_stop(&peer);
}

int
main(void)
{
    world_start(&world);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(reads_and_writes_may_be_short),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_stop(&world);
    return failed;
}
