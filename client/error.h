/* Filling a struct ks_error. */
#pragma once

#include <keystead/client.h>

#include "base/attr.h"
#include "base/err.h"

/*
 * At the start of every public call: error may be NULL, then spare is used; either way it is emptied.
 * `error = client_error_begin(error, &spare);`
 */
struct ks_error *client_error_begin(struct ks_error *error, struct ks_error *spare);

/* Sets code and message (a later report replaces an earlier one; server and operation stay) and returns code. */
int client_fail(struct ks_error *error, int code, const char *fmt, ...) KS_PRINTF(3, 4);

/* The same from a diag, behind a prefix (NULL: none). */
int client_fail_diag(struct ks_error *error, struct ks_diag *diag, int code, const char *prefix);

/* Puts text in front of the message. */
void client_error_prefix(struct ks_error *error, const char *fmt, ...) KS_PRINTF(2, 3);

#ifdef __clang_analyzer__
/* As for ks_fail (base/err.h). */
#define client_fail(...) ks_fail_not_zero(client_fail(__VA_ARGS__))
#define client_fail_diag(...) ks_fail_not_zero(client_fail_diag(__VA_ARGS__))
#endif
