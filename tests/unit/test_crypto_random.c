/* crypto/random.h */
#include "tests/unit/crypto_test.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "crypto/random.h"

static void
draws_of_every_size_differ(void **state)
{
    (void)state;
    static const size_t sizes[] = {12, 16, 32, 255, 256, 257, 5000};
    for (size_t i = 0; i < KS_ARRAY_LEN(sizes); i++) {
        uint8_t a[5000] = {0}, b[5000] = {0}, zero[5000] = {0};
        for (int round = 0; round < 40; round++) { /* past the end of the pool */
            assert_int_equal(ks_random(a, sizes[i]), 0);
            assert_int_equal(ks_random(b, sizes[i]), 0);
            assert_memory_not_equal(a, b, sizes[i]);
            assert_memory_not_equal(a, zero, sizes[i]);
        }
        assert_memory_equal(a + sizes[i], zero, sizeof(a) - sizes[i]); /* nothing behind the end */
        assert_int_equal(ks_random_key(b, sizes[i]), 0);
        assert_memory_not_equal(a, b, sizes[i]);
    }
    assert_int_equal(ks_random(NULL, 0), 0);
}

static void
a_forked_child_draws_other_bytes(void **state)
{
    (void)state;
    uint8_t mine[16], childs[16];
    assert_int_equal(ks_random(mine, sizeof(mine)), 0); /* fills the pool */
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        uint8_t b[16];
        _exit(ks_random(b, sizeof(b)) == 0 && write(fds[1], b, sizeof(b)) == (ssize_t)sizeof(b) ? 0 : 1);
    }
    assert_int_equal(ks_random(mine, sizeof(mine)), 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(read(fds[0], childs, sizeof(childs)), sizeof(childs));
    assert_memory_not_equal(mine, childs, sizeof(mine));
    close(fds[0]);
    close(fds[1]);
}

static void
uuids_are_what_rfc_9562_says(void **state)
{
    (void)state;
    /* RFC 9562, A.6: 2022-02-22 19:22:22 GMT; there rand_a is cc3, here its top bit is the counter's and 0. */
    static const uint8_t random[KS_UUID_RANDOM] = {0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f, 0x0c, 0xc3};
    struct ks_uuid_gen gen = {0};
    char text[KS_UUID_TEXT];
    ks_uuid7(&gen, 0x017F22E279B0, random, text);
    assert_string_equal(text, "017f22e2-79b0-74c3-98c4-dc0c0c07398f");
    ks_uuid7(&gen, 0x017F22E279B0, random, text); /* same millisecond: the counter */
    assert_string_equal(text, "017f22e2-79b0-74c4-98c4-dc0c0c07398f");
    ks_uuid7(&gen, 0x017F22E279B0 - 5000, random, text); /* the clock stepped back */
    assert_string_equal(text, "017f22e2-79b0-74c5-98c4-dc0c0c07398f");
    ks_uuid7(&gen, 0x017F22E279B1, random, text);
    assert_string_equal(text, "017f22e2-79b1-74c3-98c4-dc0c0c07398f");
}

static void
uuids_grow_when_the_counter_overflows(void **state)
{
    (void)state;
    static const uint8_t random[KS_UUID_RANDOM] = {0};
    struct ks_uuid_gen gen = {0};
    char last[KS_UUID_TEXT] = "", text[KS_UUID_TEXT];
    for (int i = 0; i < 10000; i++) { /* more than 4096 */
        ks_uuid7(&gen, 1000, random, text);
        assert_true(strcmp(text, last) > 0);
        memcpy(last, text, sizeof(last));
    }
}

enum { THREADS = 4, EACH = 2000 };
static struct ks_uuid_gen shared_gen;
static char uuids[THREADS][EACH][KS_UUID_TEXT];

static void *
make_uuids(void *arg)
{
    char(*mine)[KS_UUID_TEXT] = arg;
    static const uint8_t random[KS_UUID_RANDOM] = {0}; /* the same for all: only the counter can tell them apart */
    for (int i = 0; i < EACH; i++)
        ks_uuid7(&shared_gen, 1000, random, mine[i]);
    return NULL;
}

static int
compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void
uuids_are_unique_across_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_uuids, uuids[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    qsort(uuids, (size_t)THREADS * EACH, KS_UUID_TEXT, compare);
    const char *all = uuids[0][0];
    for (size_t i = 1; i < (size_t)THREADS * EACH; i++)
        assert_true(strcmp(all + (i - 1) * KS_UUID_TEXT, all + i * KS_UUID_TEXT) < 0);
}

static void
init_and_done_repeat(void **state)
{
    (void)state;
    struct ks_diag diag = {0};
    ks_crypto_done();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ks_crypto_init(&diag), 0);
        assert_int_equal(ks_crypto_init(NULL), 0);
        ks_crypto_done();
        ks_crypto_done();
    }
    assert_false(ks_crypto_wipe_heap()); /* too late: libcrypto has allocated long since */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_of_every_size_differ),      cmocka_unit_test(a_forked_child_draws_other_bytes),
        cmocka_unit_test(uuids_are_what_rfc_9562_says),    cmocka_unit_test(uuids_grow_when_the_counter_overflows),
        cmocka_unit_test(uuids_are_unique_across_threads), cmocka_unit_test(init_and_done_repeat),
    };
    return cmocka_run_group_tests_name("crypto/random", tests, NULL, NULL);
}
