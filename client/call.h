/*
 * A call: payload structs in, payload structs out.
 *
 *     CALL(call, client, options, error);     declares the call, its memory, and error if the caller gave none
 *     struct kmip_get_request request = {.unique_identifier = client_uid(uid)};
 *     struct kmip_get_response *response;
 *     KS_TRY(client_call_one(&call, KMIP_OPERATION_GET, &request, (void **)&response, "get", uid));
 */
#pragma once

#include "client/client.h"
#include "client/error.h"
#include "client/message.h"
#include "client/result.h"
#include "client/value.h"

struct client_call {
    struct ks_client *client;
    const struct ks_call *options;
    struct ks_error *error;
    struct ks_error spare;
    struct ks_arena arena; /* of requests and responses; wiped at the end */
    struct ks_buf answer;  /* the responses' bytes */
};
void client_call_begin(struct client_call *call, struct ks_client *client, const struct ks_call *options,
                       struct ks_error *error);
void client_call_done(struct client_call *call);
#define CALL(call, client, options, error)                                                                             \
    KS_CLEANUP(client_call_done) struct client_call call;                                                              \
    client_call_begin(&(call), (client), (options), (error))

/* One operation. verb and object are for messages: "get", "invoices". */
int client_call_one(struct client_call *call, uint32_t operation, const void *request, void **ret_response,
                    const char *verb, const char *object) KS_MUST_CHECK;

/*
 * Several in one message. Refusals are found in the ops (client_refuse tells the caller of one); it fails only if there
 * was no answer.
 */
int client_call_batch(struct client_call *call, struct client_op *ops, size_t n_ops, const char *verb,
                      const char *object) KS_MUST_CHECK;

/* A Key Wrapping Specification and what it points to (read.c). */
struct client_wrapping {
    struct kmip_cryptographic_parameters cipher;
    struct kmip_encryption_key_information key;
    struct kmip_key_wrapping_specification how;
};
void client_wrapping(const struct ks_wrap *wrap, struct client_wrapping *ret); /* not to be moved */

/*
 * An operation that makes one object, and Activate of it in the same message (by the ID Placeholder) if wanted, or
 * behind it where the server needs that (object.c). uid_of finds the identifier in the response.
 */
int client_make(struct client_call *call, uint32_t operation, const void *request, bool activate,
                const struct kmip_uid *(*uid_of)(const void *response), const char *verb, const char *name,
                char ret_uid[KS_UID_SIZE]) KS_MUST_CHECK;
/* Algorithm, length and the other attributes of a new object, without name and usage mask. */
int client_new_facts(struct client_call *call, struct kmip_attrs *attrs,
                     const struct ks_new_object *object) KS_MUST_CHECK;

/* The attributes of a new object but algorithm and length, and the identifier of one that was made (object.c). */
int client_new_attributes(struct client_call *call, const struct ks_new_object *object,
                          struct kmip_attrs *ret) KS_MUST_CHECK;
int client_new_uid(struct client_call *call, const struct kmip_uid *uid, char ret[KS_UID_SIZE]) KS_MUST_CHECK;

/* An object as Get has it; object is a result (read.c). */
int client_object_from(const struct kmip_get_response *response, struct ks_object *object) KS_MUST_CHECK;

/* Cryptographic Parameters as a payload has them (cipher.c). */
struct kmip_cryptographic_parameters client_crypto_params(const struct ks_crypto_params *from);

/* Reports an operation's refusal. */
int client_refuse(struct client_call *call, const struct client_op *op, const char *verb, const char *object);

/* Reports code (KS_E_NOMEM and the like) with its fixed text, unless it is 0. */
int client_report(struct client_call *call, int code);
