/* What the tests of the codec share. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "kmip/walk.h"

/* "42 00 20 | 02" as bytes: what is no hexadecimal digit is for the eye. */
static inline void
from_hex(const char *hex, struct ks_buf *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf digits = KS_BUF(1 << 20);
    for (const char *p = hex; *p != '\0'; p++)
        if (*p != '|' && *p != ' ')
            ks_buf_add_u8(&digits, (uint8_t)*p);
    ks_buf_reset(ret);
    assert_int_equal(ks_hex_decode(ks_buf_span(&digits), ret), 0);
}

static inline void
assert_bytes(struct ks_span got, struct ks_span want)
{
    if (!ks_span_equal(got, want)) {
        KS_CLEANUP(ks_buf_done) struct ks_buf a = KS_BUF(1 << 22), b = KS_BUF(1 << 22);
        ks_hex_add(&a, got.data, got.len);
        ks_hex_add(&b, want.data, want.len);
        fail_msg("%s\n  instead of\n%s", ks_buf_cstr(&a), ks_buf_cstr(&b));
    }
}

/* A message in one encoding as another; fails the test if that does not work. */
static inline void
transcode(enum kmip_encoding from, struct ks_span in, enum kmip_encoding to, struct ks_buf *ret)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(64 << 20);
    struct ks_diag diag = {0};
    ks_buf_reset(ret);
    if (kmip_transcode(from, in, to, &kmip_limits_default, &arena, ret, &diag) != 0)
        fail_msg("%s", ks_diag_text(&diag));
}

/* A malformed input and what is to be said about it. */
struct malformed {
    const char *name, *in;
    int code;
    size_t offset;
    const char *path, *message; /* message: a part of it */
};

/* Prints what is wrong, so that a table can be walked to its end before the test fails. */
static inline bool
is_malformed(const struct malformed *m, enum kmip_encoding encoding, struct ks_span in,
             const struct kmip_limits *limits)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(1 << 22);
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(1 << 22);
    struct ks_diag diag = {0};
    const int rc = kmip_transcode(encoding, in, KMIP_ENCODING_TTLV, limits, &arena, &out, &diag);
    if (rc == m->code && diag.offset == m->offset && strcmp(diag.path, m->path) == 0 &&
        strstr(diag.message, m->message) != NULL)
        return true;
    print_error("%s: %d %s\n", m->name, rc, rc != 0 ? ks_diag_text(&diag) : "accepted");
    return false;
}
