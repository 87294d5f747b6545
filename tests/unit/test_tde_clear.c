/* tde/clear.c: ciphertext is never taken for plaintext, and what plaintext looks like is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "crypto/random.h"
#include "tde/clear.h"

enum { PAGE = 8192 };

static void
put16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

/* As long as pieces and tails of files are; with zeros in them as an extension leaves them. */
static void
random_bytes_are_none(void **state)
{
    static const size_t sizes[] = {1, 16, 63, 64, 100, 127, 128, 200, 256, 500, 512, 1024, 4096, PAGE};
    static const enum tde_class classes[] = {TDE_REL, TDE_SLRU, TDE_WAL, TDE_TEMP, TDE_SPILL, TDE_STATE, TDE_TEXTS};
    uint8_t data[PAGE];
    (void)state;
    for (size_t round = 0; round < 300; round++)
        for (size_t i = 0; i < KS_ARRAY_LEN(sizes); i++) {
            assert_int_equal(ks_random(data, sizeof(data)), 0);
            if (round % 3 == 0)
                memset(data + sizes[i] / 32 * 16, 0, sizeof(data) - sizes[i] / 32 * 16);
            for (size_t c = 0; c < KS_ARRAY_LEN(classes); c++)
                assert_null(tde_clear_piece(classes[c], data, sizes[i]));
        }
}

static void
a_page_is_known_by_its_header(void **state)
{
    uint8_t page[PAGE];
    (void)state;
    assert_int_equal(ks_random(page, sizeof(page)), 0);
    put16(page + 10, 5);
    put16(page + 12, 40);
    put16(page + 14, 8000);
    put16(page + 16, 8176);
    put16(page + 18, 0x2004);
    assert_string_equal(tde_clear_piece(TDE_REL, page, sizeof(page)), "page header");
    assert_null(tde_clear_piece(TDE_SLRU, page, sizeof(page)));
    assert_null(tde_clear_piece(TDE_REL, page, sizeof(page) - 1));
    static const struct {
        size_t at;
        uint16_t v;
    } wrong[] = {{10, 8}, {12, 23}, {12, 8001}, {14, 8177}, {16, 8193}, {16, 8175}, {18, 0x2003}, {18, 0x4004}};
    for (size_t i = 0; i < KS_ARRAY_LEN(wrong); i++) {
        uint8_t other[PAGE];
        memcpy(other, page, sizeof(page));
        put16(other + wrong[i].at, wrong[i].v);
        assert_null(tde_clear_piece(TDE_REL, other, sizeof(other)));
    }
}

static void
wal_is_known_by_its_header(void **state)
{
    uint8_t page[512];
    const uint32_t timeline = 3;
    const uint64_t address = UINT64_C(0x123456000);
    (void)state;
    assert_int_equal(ks_random(page, sizeof(page)), 0);
    put16(page, 0xd110);
    put16(page + 2, 7);
    memcpy(page + 4, &timeline, sizeof(timeline));
    memcpy(page + 8, &address, sizeof(address));
    assert_string_equal(tde_clear_piece(TDE_WAL, page, sizeof(page)), "WAL page header");
    assert_null(tde_clear_piece(TDE_TEMP, page, sizeof(page)));
    page[9] = 1; /* no address of a page */
    assert_null(tde_clear_piece(TDE_WAL, page, sizeof(page)));
}

static void
texts_and_structures_are_readable(void **state)
{
    static const char text[] = "INSERT INTO customers VALUES (1, 'Ada'), (2, 'Grace'), (3, 'Edith'), (4, 'Joan')";
    uint8_t counted[512] = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(counted); i += 4)
        counted[i] = (uint8_t)(i / 4);
    assert_string_equal(tde_clear_piece(TDE_STATE, (const uint8_t *)text, sizeof(text)), "readable bytes");
    assert_string_equal(tde_clear_piece(TDE_STATE, counted, sizeof(counted)), "readable bytes");
    assert_null(tde_clear_piece(TDE_STATE, (const uint8_t *)text, 40)); /* too few to tell */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_bytes_are_none),
        cmocka_unit_test(a_page_is_known_by_its_header),
        cmocka_unit_test(wal_is_known_by_its_header),
        cmocka_unit_test(texts_and_structures_are_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
