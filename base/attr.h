/*
 * Compiler attributes and cleanup helpers.
 *
 *     KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(4096);
 *     KS_TRY(do_this(&out));          // returns the error at once; out is wiped and freed
 *
 * A destructor named in KS_CLEANUP takes a pointer to the variable and accepts one that is
 * zero or half built.
 */
#pragma once

#define KS_MUST_CHECK __attribute__((warn_unused_result))
#define KS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define KS_CLEANUP(fn) __attribute__((cleanup(fn)))
#define KS_PUBLIC __attribute__((visibility("default")))

/* Evaluates a call that returns 0 or a negative KS_E_* code, and returns from the caller if it failed. */
#define KS_TRY(call)                                                                                                   \
    do {                                                                                                               \
        const int ks_try_rc_ = (call);                                                                                 \
        if (ks_try_rc_ != 0)                                                                                           \
            return ks_try_rc_;                                                                                         \
    } while (0)

#define KS_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
