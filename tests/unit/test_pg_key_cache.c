/* The cache of data keys: postgres/key_cache.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/time.h>

#include "postgres/key_cache.h"

static struct ks_value_key
which(uint32_t version)
{
    return (struct ks_value_key){.id = "0123456789abcde", .version = version};
}

static void
add(struct ks_key_cache *cache, uint32_t version, uint8_t byte, int64_t end)
{
    const struct ks_value_key w = which(version);
    const struct ks_key32 key = {{byte}};
    ks_key_cache_add(cache, &w, &key, end);
}

/* The first byte of the key; -1: it is not there. */
static int
find(struct ks_key_cache *cache, uint32_t version, int64_t now)
{
    const struct ks_value_key w = which(version);
    struct ks_key32 key;
    return ks_key_cache_find(cache, &w, now, &key) ? key.b[0] : -1;
}

static int
setup(void **state)
{
    return ks_key_cache_new(3, (struct ks_key_cache **)state);
}

static int
teardown(void **state)
{
    ks_key_cache_free(*state);
    return 0;
}

static void
found_until_its_end(void **state)
{
    add(*state, 1, 11, 1000);
    assert_int_equal(find(*state, 1, 999), 11);
    assert_int_equal(find(*state, 2, 999), -1);
    assert_int_equal(find(*state, 1, 1000), -1);
    assert_int_equal(find(*state, 1, 0), -1); /* expired is gone, also if the clock were to step back */
    assert_int_equal(ks_key_cache_count(*state), 0);
}

static void
added_again_is_replaced(void **state)
{
    add(*state, 1, 11, 1000);
    add(*state, 1, 12, 2000);
    assert_int_equal(find(*state, 1, 1500), 12);
    assert_int_equal(ks_key_cache_count(*state), 1);
}

static void
full_drops_what_ends_first(void **state)
{
    add(*state, 1, 11, 3000);
    add(*state, 2, 12, 1000);
    add(*state, 3, 13, 2000);
    assert_int_equal(ks_key_cache_next_end(*state), 1000);
    add(*state, 4, 14, 4000);
    assert_int_equal(find(*state, 2, 0), -1);
    assert_int_equal(find(*state, 1, 0), 11);
    assert_int_equal(find(*state, 3, 0), 13);
    assert_int_equal(find(*state, 4, 0), 14);
}

static void
expire_drops_what_ended_and_clear_all(void **state)
{
    add(*state, 1, 11, 1000);
    add(*state, 2, 12, 2000);
    ks_key_cache_expire(*state, 1500);
    assert_int_equal(ks_key_cache_count(*state), 1);
    assert_int_equal(find(*state, 2, 0), 12);
    ks_key_cache_clear(*state);
    assert_int_equal(ks_key_cache_count(*state), 0);
    assert_true(ks_key_cache_next_end(*state) == INT64_MAX);
}

static struct ks_key_cache *interrupted_cache;
static volatile sig_atomic_t interruptions;

static void
on_alarm(int signal)
{
    (void)signal;
    ks_key_cache_clear(interrupted_cache);
    interruptions++;
}

/* A handler that clears at any instruction never leaves a key behind, and never gives out half a one. */
static void
cleared_from_a_signal_handler(void **state)
{
    interrupted_cache = *state;
    interruptions = 0;
    const struct sigaction action = {.sa_handler = on_alarm};
    struct sigaction before;
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    const struct itimerval fast = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
    assert_int_equal(setitimer(ITIMER_REAL, &fast, NULL), 0);
    struct ks_key32 whole;
    memset(&whole, 0x5a, sizeof(whole));
    bool torn = false;
    while (interruptions < 1000) {
        const struct ks_value_key w = which(1);
        struct ks_key32 key;
        ks_key_cache_add(*state, &w, &whole, INT64_MAX);
        if (ks_key_cache_find(*state, &w, 0, &key))
            torn = torn || memcmp(&key, &whole, sizeof(key)) != 0;
    }
    assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
    assert_true(signal(SIGALRM, SIG_IGN) != SIG_ERR); /* drops one that is pending, which would end the process */
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    assert_false(torn);
    ks_key_cache_clear(*state);
    assert_int_equal(ks_key_cache_count(*state), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(found_until_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(added_again_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(full_drops_what_ends_first, setup, teardown),
        cmocka_unit_test_setup_teardown(expire_drops_what_ended_and_clear_all, setup, teardown),
        cmocka_unit_test_setup_teardown(cleared_from_a_signal_handler, setup, teardown),
    };
    return cmocka_run_group_tests_name("pg_key_cache", tests, NULL, NULL);
}
