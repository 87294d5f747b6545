/*
 * What the fuzz targets share. A target reads the input with limits as a server has them; what it accepts must survive
 * being written and read again. A broken promise ends in abort().
 *
 * Each target is built twice: with libFuzzer by script/fuzz, and with fuzz_main.c, which replays the corpus, in the
 * tests.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "kmip/kmip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct kmip_limits fuzz_limits = {.bytes = 65536, .depth = 32, .items = 4096, .text = 32768};
/* Other encodings of the same message are longer. */
static const struct kmip_limits fuzz_wide_limits = {.bytes = 8 << 20, .depth = 32, .items = 4096, .text = 1 << 20};
enum { FUZZ_MEMORY = 32 << 20 };

#define FUZZ_ASSERT(what)                                                                                              \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* TTLV through another encoding and back is the same TTLV. XML cannot carry every text. */
static inline void
fuzz_through(enum kmip_encoding by, struct ks_span ttlv)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(FUZZ_MEMORY);
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(8 << 20), again = KS_BUF(8 << 20);
    struct ks_diag diag = {0};
    int rc = kmip_transcode(KMIP_ENCODING_TTLV, ttlv, by, &fuzz_wide_limits, &arena, &text, &diag);
    if (rc == KS_E_UNSUPPORTED && by == KMIP_ENCODING_XML)
        return;
    FUZZ_ASSERT(rc == 0);
    rc = kmip_transcode(by, ks_buf_span(&text), KMIP_ENCODING_TTLV, &fuzz_wide_limits, &arena, &again, &diag);
    if (rc != 0)
        fprintf(stderr, "%s\n", ks_diag_text(&diag));
    FUZZ_ASSERT(rc == 0);
    FUZZ_ASSERT(ks_span_equal(ks_buf_span(&again), ttlv));
}

/* A text encoding: what is accepted is the same TTLV when it is written and read again. */
static inline int
fuzz_text(enum kmip_encoding encoding, const uint8_t *data, size_t size)
{
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(FUZZ_MEMORY);
    KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(8 << 20), outline = KS_BUF(8 << 20);
    struct ks_diag diag = {0};
    const int rc =
        kmip_transcode(encoding, KS_SPAN(data, size), KMIP_ENCODING_TTLV, &fuzz_limits, &arena, &ttlv, &diag);
    if (rc != 0) {
        FUZZ_ASSERT(diag.code == rc && diag.message[0] != '\0' && diag.offset <= size);
        return 0;
    }
    fuzz_through(encoding, ks_buf_span(&ttlv));
    FUZZ_ASSERT(kmip_transcode(KMIP_ENCODING_TTLV, ks_buf_span(&ttlv), KMIP_ENCODING_OUTLINE, &fuzz_wide_limits, &arena,
                               &outline, &diag) == 0);
    return 0;
}
