/*
 * Error codes and diagnostics.
 *
 * A function that can fail returns int: 0, or a negative KS_E_* code from err.def. Details go to a
 * struct ks_diag that the caller owns (NULL where nobody wants them), never to a global:
 *
 *     struct ks_diag diag = {0};
 *     if (ks_file_read(path, 65536, &buf, &diag) != 0)
 *         fprintf(stderr, "keystead: %s\n", ks_diag_text(&diag));
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <keystead/error.h>

#include "base/attr.h"

#define KS_DIAG_NO_OFFSET SIZE_MAX

struct ks_diag {
    int code;          /* KS_E_*, 0 when nothing was reported */
    size_t offset;     /* byte (or character) in the input, KS_DIAG_NO_OFFSET if that means nothing */
    char path[256];    /* where in a message: "RequestMessage/BatchItem[0]/Operation", else empty */
    char message[512]; /* what happened, to what, and what to do next; no trailing newline */
    char text[832];    /* path, offset and message joined by ks_diag_text */
};

/* The fixed text of a code; never NULL. */
const char *ks_err_text(int code);

/* The exit status that a command ends with for this code. */
int ks_err_exit_status(int code);

/*
 * Fills diag (if not NULL) and returns code, so that a failure is reported in one line:
 * `return ks_fail(diag, KS_E_CONFIG, "%s: no such section", name);`. The first report stays: a diag
 * that already has a code is not overwritten.
 */
int ks_fail(struct ks_diag *diag, int code, const char *fmt, ...) KS_PRINTF(3, 4);

/* As ks_fail, with a message path and an offset. */
int ks_fail_at(struct ks_diag *diag, int code, const char *path, size_t offset, const char *fmt, ...) KS_PRINTF(5, 6);

/* As ks_fail, with ": " and the text of errno value err added. ENOSPC and EDQUOT turn KS_E_IO into KS_E_FULL. */
int ks_fail_errno(struct ks_diag *diag, int code, int err, const char *fmt, ...) KS_PRINTF(4, 5);

/* One line that a person can read: the path and the offset where known, and the message. Belongs to diag. */
const char *ks_diag_text(struct ks_diag *diag);

#ifdef __clang_analyzer__
/* The analyzer looks at one file at a time and has to be told that the code of a failure is not 0. */
static inline int
ks_fail_not_zero(int code)
{
    if (code == 0)
        __builtin_unreachable();
    return code;
}
#define ks_fail(...) ks_fail_not_zero(ks_fail(__VA_ARGS__))
#define ks_fail_at(...) ks_fail_not_zero(ks_fail_at(__VA_ARGS__))
#define ks_fail_errno(...) ks_fail_not_zero(ks_fail_errno(__VA_ARGS__))
#endif
