#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <keystead/error.h>

#include "tde/permit.h"

enum { UNTIL = 1790000000 };

static struct tde_bundle bundle;

static int
fill(void **state)
{
    (void)state;
    memset(&bundle, 0, sizeof(bundle));
    memset(bundle.cluster, 7, sizeof(bundle.cluster));
    bundle.count = 3;
    for (uint32_t i = 0; i < bundle.count; i++) {
        bundle.keys[i].purpose = i + 1;
        bundle.keys[i].state = TDE_KEY_ACTIVE;
        memset(bundle.keys[i].key, (int)(i + 20), TDE_BUNDLE_KEY);
    }
    return 0;
}

static int
check(const uint8_t *file, size_t len, int64_t now, int64_t *ret_until)
{
    return tde_permit_check(&bundle, KS_SPAN(file, len), now, ret_until);
}

static void
test_time(void **state)
{
    (void)state;
    uint8_t permit[TDE_PERMIT_LEN];
    int64_t until = 0;
    assert_int_equal(tde_permit_make(&bundle, UNTIL, permit), 0);
    assert_int_equal(check(permit, sizeof(permit), UNTIL - 1, &until), 0);
    assert_int_equal(until, UNTIL);
    until = 0;
    assert_int_equal(check(permit, sizeof(permit), UNTIL, &until), KS_E_DENIED);
    assert_int_equal(until, UNTIL);
}

static void
test_every_change(void **state)
{
    (void)state;
    uint8_t permit[TDE_PERMIT_LEN + 1] = {0};
    int64_t until = 0;
    assert_int_equal(tde_permit_make(&bundle, UNTIL, permit), 0);
    for (size_t bit = 0; bit < (size_t)TDE_PERMIT_LEN * 8; bit++) {
        permit[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(check(permit, TDE_PERMIT_LEN, 0, &until), bit < 64 ? KS_E_MALFORMED : KS_E_INTEGRITY);
        permit[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < TDE_PERMIT_LEN; len++)
        assert_int_equal(check(permit, len, 0, &until), KS_E_MALFORMED);
    assert_int_equal(check(permit, TDE_PERMIT_LEN + 1, 0, &until), KS_E_MALFORMED);
    assert_int_equal(until, 0);
}

static void
test_keys(void **state)
{
    (void)state;
    uint8_t permit[TDE_PERMIT_LEN];
    int64_t until = 0;
    assert_int_equal(tde_permit_make(&bundle, UNTIL, permit), 0);
    bundle.cluster[3] ^= 1;
    assert_int_equal(check(permit, sizeof(permit), 0, &until), KS_E_INTEGRITY);
    bundle.cluster[3] ^= 1;
    bundle.keys[2].key[31] ^= 1;
    assert_int_equal(check(permit, sizeof(permit), 0, &until), KS_E_INTEGRITY);
    bundle.keys[2].state = TDE_KEY_DECRYPT_ONLY; /* no active one */
    assert_int_equal(check(permit, sizeof(permit), 0, &until), KS_E_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_time, fill),
        cmocka_unit_test_setup(test_every_change, fill),
        cmocka_unit_test_setup(test_keys, fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
