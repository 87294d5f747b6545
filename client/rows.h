/* Lists that several payloads have (access.c). In the call's arena; failures are reported. */
#pragma once

#include "client/call.h"

int client_rows_numbers(struct client_call *call, const uint32_t *from, size_t n, uint32_t **ret,
                        size_t *ret_n) KS_MUST_CHECK;
/* Object Groups; none: NULL, so that the element is left out. */
int client_rows_groups(struct client_call *call, const char *const *from, size_t n,
                       struct kmip_object_groups **ret) KS_MUST_CHECK;
