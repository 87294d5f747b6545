/* What the tests of crypto/ share: hexadecimal vectors. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <keystead/kmip.h>

#include "base/mem.h"
#include "base/text.h"

/* The bytes that a vector's hexadecimal text names, in the arena. */
static inline struct ks_span
hex(struct ks_arena *arena, const char *text)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf buf = KS_BUF(1 << 20);
    assert_int_equal(ks_hex_decode(ks_span_str(text), &buf), 0);
    struct ks_span span;
    assert_int_equal(ks_arena_span(arena, ks_buf_span(&buf), &span), 0);
    return span;
}

static inline void
assert_hex(const void *bytes, size_t len, const char *expected)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(1 << 20);
    assert_int_equal(ks_hex_add(&text, bytes, len), 0);
    assert_string_equal(ks_buf_cstr(&text), expected);
}

#define TEST_ARENA(name) KS_CLEANUP(ks_arena_done) struct ks_arena name = KS_ARENA(1 << 22)
