/* Request messages from payload structs, and payload structs from response messages. */
#pragma once

#include "base/mem.h"
#include "client/config.h"
#include "kmip/kmip.h"

/* One operation of a message: what is asked, and what came back. */
struct client_op {
    uint32_t operation;     /* KMIP_OPERATION_* */
    const void *request;    /* struct kmip_<operation>_request */
    bool once;              /* never to be repeated, although the operation as such could be */
    bool put_off;           /* asked for later on: Asynchronous Indicator true, or Mandatory */
    uint32_t answered;      /* the operation of the answer; Poll is answered for another */
    struct ks_span pending; /* Asynchronous Correlation Value: it is not carried out yet; response is NULL */
    void *response;         /* struct kmip_<operation>_response in the arena; NULL after a failure */
    int code; /* 0, or the KS_E_* code of the refusal; KS_E_CANCELLED: not carried out after an earlier one */
    uint32_t status, reason;
    struct ks_span text; /* Result Message */
};

/*
 * Encodes, with a ticket in the header unless it is empty. KS_E_UNSUPPORTED: the version does not know an operation, a
 * field or an attribute that is asked for; nothing is ever left out silently.
 */
int message_encode(const struct client_op *ops, size_t n_ops, enum kmip_version version, size_t max_response,
                   struct ks_span ticket, struct ks_arena *arena, struct ks_buf *ret,
                   struct ks_error *error) KS_MUST_CHECK;

/* Decodes what message_encode's message was answered with. bytes must outlive what is in the arena. */
int message_decode(struct ks_span bytes, struct client_op *ops, size_t n_ops, struct ks_arena *arena,
                   struct ks_error *error) KS_MUST_CHECK;

/* Puts a refusal into error: "<what>: <reason>: <text>; <what to do>". Returns op->code. */
int message_refuse(const struct client_op *op, const char *what, struct ks_error *error);
