/*
 * From a failure of the key management system to an SQL error: SQLSTATE, detail (server, KMIP reason) and hint.
 *
 * Call it when everything the library gave is freed and every secret is wiped: it does not return.
 */
#pragma once

#include "postgres/compat.h"

#include <keystead/client.h>

#include "base/attr.h"

/*
 * what, with its arguments, is the sentence of the error without the cause: "could not unwrap data key 3 of
 * \"cards\"". A cancelled statement ends with PostgreSQL's own error for that.
 */
KS_NORETURN void ks_report_kms(const struct ks_error *error, const char *what, ...) KS_PRINTF(2, 3);

/*
 * An error's message as text in the database's encoding: the library's is UTF-8, and may be cut within a character. In
 * the current memory context.
 */
const char *ks_report_text(const char *message);

/* A failure that has nothing to do with a server: memory, libcrypto. */
KS_NORETURN void ks_report_local(int code, const char *detail, const char *what);

/* The callback that libkeystead asks while it waits. */
int ks_report_interrupted(void *arg);
