#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The analyzer's versions are for callers. */
#undef ks_fail
#undef ks_fail_at
#undef ks_fail_errno

static const struct {
    int code;
    int exit_status;
    const char *text;
} rows[] = {
#define KS_ERR(name, number, exit_status, text) {(number), (exit_status), (text)},
#include <keystead/spec/err.def>
#undef KS_ERR
};

const char *
ks_err_text(int code)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (rows[i].code == code)
            return rows[i].text;
    return "unknown error";
}

int
ks_err_exit_status(int code)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (rows[i].code == code)
            return rows[i].exit_status;
    return 70;
}

static void
fill(struct ks_diag *diag, int code, const char *path, size_t offset, const char *fmt, va_list args)
{
    diag->code = code;
    diag->offset = offset;
    snprintf(diag->path, sizeof(diag->path), "%s", path != NULL ? path : "");
    vsnprintf(diag->message, sizeof(diag->message), fmt, args);
}

int
ks_fail(struct ks_diag *diag, int code, const char *fmt, ...)
{
    if (diag != NULL && diag->code == 0) {
        va_list args;
        va_start(args, fmt);
        fill(diag, code, NULL, KS_DIAG_NO_OFFSET, fmt, args);
        va_end(args);
    }
    return code;
}

int
ks_fail_at(struct ks_diag *diag, int code, const char *path, size_t offset, const char *fmt, ...)
{
    if (diag != NULL && diag->code == 0) {
        va_list args;
        va_start(args, fmt);
        fill(diag, code, path, offset, fmt, args);
        va_end(args);
    }
    return code;
}

int
ks_fail_errno(struct ks_diag *diag, int code, int err, const char *fmt, ...)
{
    if (code == KS_E_IO && (err == ENOSPC || err == EDQUOT))
        code = KS_E_FULL;
    if (diag != NULL && diag->code == 0) {
        va_list args;
        va_start(args, fmt);
        fill(diag, code, NULL, KS_DIAG_NO_OFFSET, fmt, args);
        va_end(args);
        const size_t used = strlen(diag->message);
        char text[128];
        snprintf(diag->message + used, sizeof(diag->message) - used, ": %s", strerror_r(err, text, sizeof(text)));
    }
    return code;
}

const char *
ks_diag_text(struct ks_diag *diag)
{
    const char *message = diag->message[0] != '\0' ? diag->message : ks_err_text(diag->code);
    const char *path = diag->path;
    if (path[0] != '\0' && diag->offset != KS_DIAG_NO_OFFSET)
        snprintf(diag->text, sizeof(diag->text), "%s at offset %zu: %s", path, diag->offset, message);
    else if (path[0] != '\0')
        snprintf(diag->text, sizeof(diag->text), "%s: %s", path, message);
    else if (diag->offset != KS_DIAG_NO_OFFSET && diag->code != 0)
        snprintf(diag->text, sizeof(diag->text), "at offset %zu: %s", diag->offset, message);
    else
        snprintf(diag->text, sizeof(diag->text), "%s", message);
    return diag->text;
}
