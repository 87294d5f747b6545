#include "client/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kmip/kmip.h"

#undef client_fail /* what the analyzer is told in the header */
#undef client_fail_diag

struct ks_error *
client_error_begin(struct ks_error *error, struct ks_error *spare)
{
    if (error == NULL)
        error = spare;
    memset(error, 0, sizeof(*error));
    return error;
}

int
client_fail(struct ks_error *error, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): started just above */
    vsnprintf(error->message, sizeof(error->message), fmt, args);
    va_end(args);
    error->code = code;
    return code;
}

int
client_fail_diag(struct ks_error *error, struct ks_diag *diag, int code, const char *prefix)
{
    const char *text = diag->code != 0 ? ks_diag_text(diag) : ks_err_text(code);
    if (prefix != NULL)
        return client_fail(error, code, "%s: %s", prefix, text);
    return client_fail(error, code, "%s", text);
}

void
client_error_prefix(struct ks_error *error, const char *fmt, ...)
{
    char message[sizeof(error->message)];
    va_list args;
    va_start(args, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): started just above */
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    const size_t used = strlen(message);
    snprintf(message + used, sizeof(message) - used, "%s", error->message);
    memcpy(error->message, message, sizeof(message));
}

const char *
ks_client_library_version(void)
{
    return KEYSTEAD_VERSION;
}

const char *
ks_client_error_text(int code)
{
    return ks_err_text(code);
}

int
ks_client_exit_status(int code)
{
    return ks_err_exit_status(code);
}

const char *
ks_client_enum_name(uint32_t tag, uint32_t value)
{
    return kmip_enum_name(tag, value);
}

const char *
ks_client_tag_name(uint32_t tag)
{
    return kmip_tag_name(tag);
}
