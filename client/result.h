/*
 * Results: a public struct with what it points to behind it, all wiped together.
 *
 *     struct ks_uids *uids = client_result_new(sizeof(*uids));
 *     uids->v = ks_arena_array(client_result_arena(uids), n, sizeof(*uids->v));
 *     ...
 *     client_result_free(uids);
 */
#pragma once

#include <keystead/client.h>

#include "base/mem.h"

void *client_result_new(size_t size);  /* zeroed; NULL: no memory */
void client_result_free(void *result); /* accepts NULL */
struct ks_arena *client_result_arena(void *result);

/* For KS_CLEANUP: frees a result that a pointer of any type points to. */
#define CLIENT_RESULT KS_CLEANUP(client_result_freep)
void client_result_freep(void *pointer_to_result);

/* Copies into the result. Text gets a NUL behind it; NULL: no memory. */
int client_result_bytes(void *result, struct ks_span from, struct ks_bytes *ret) KS_MUST_CHECK;
const char *client_result_text(void *result, struct ks_span from);
/* One secret per result: locked memory of its own. */
int client_result_secret(void *result, struct ks_span from, struct ks_bytes *ret) KS_MUST_CHECK;
