/* How soon who may try to unseal again. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "server/vault/tries.h"

static const uint8_t a[32] = {1}, b[32] = {2};

static void
who_guesses_waits_longer(void **unused)
{
    (void)unused;
    struct tries t = {0};
    int64_t now = 5000, wait = TRIES_FIRST_MS;
    for (int i = 0; i < 12; i++) {
        assert_true(tries_may(&t, a, now));
        tries_made(&t, a, true, now);
        assert_false(tries_may(&t, a, now + wait - 1));
        now += wait;
        wait = 2 * wait < TRIES_LONGEST_MS ? 2 * wait : TRIES_LONGEST_MS;
    }
    assert_int_equal(wait, TRIES_LONGEST_MS);
    /* Much later it begins anew. */
    now += TRIES_FORGET_MS;
    tries_made(&t, a, true, now);
    assert_true(tries_may(&t, a, now + TRIES_FIRST_MS));
}

/* One that guesses as often as it may, and another that has the passphrase. */
static void
who_guesses_keeps_nobody_out(void **unused)
{
    (void)unused;
    struct tries t = {0};
    tries_made(&t, a, true, 1000);
    assert_false(tries_may(&t, b, 1000 + TRIES_PAUSE_MS - 1)); /* all together are bounded */
    assert_true(tries_may(&t, b, 1000 + TRIES_PAUSE_MS));
    assert_false(tries_may(&t, a, 1000 + TRIES_PAUSE_MS));
    tries_made(&t, b, false, 1000 + TRIES_PAUSE_MS);
    assert_int_equal(t.n, 1);
}

static void
what_is_remembered_is_bounded(void **unused)
{
    (void)unused;
    struct tries t = {0};
    for (int i = 0; i < 2 * TRIES_MOST; i++) {
        uint8_t who[32] = {3};
        memcpy(who + 1, &i, sizeof(i));
        tries_made(&t, who, true, 1000 + i);
    }
    assert_int_equal(t.n, TRIES_MOST);
    uint8_t newest[32] = {3};
    const int last = 2 * TRIES_MOST - 1;
    memcpy(newest + 1, &last, sizeof(last));
    assert_false(tries_may(&t, newest, 1000 + last + TRIES_FIRST_MS - 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_guesses_waits_longer),
        cmocka_unit_test(who_guesses_keeps_nobody_out),
        cmocka_unit_test(what_is_remembered_is_bounded),
    };
    return cmocka_run_group_tests_name("tries", tests, NULL, NULL);
}
