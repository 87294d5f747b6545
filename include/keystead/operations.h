/*
 * libkeystead: the operations of KMIP that few programs need; <keystead/client.h> has all others, and says what holds
 * for every call: results, ownership, threads. Tickets, users and rules are in <keystead/access.h>.
 */
#ifndef KEYSTEAD_OPERATIONS_H
#define KEYSTEAD_OPERATIONS_H

#include <keystead/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Attributes ------------------------------------------------------------------------------------------------ */

/* Get Attribute List (1.4: 4.13; 2.1: 6.1.21): which attributes an object has. */
struct ks_attribute_names {
    size_t n;
    const struct ks_attribute_name *v;
};
KS_API_MUST_CHECK int ks_client_get_attribute_list(struct ks_client *client, const struct ks_call *call,
                                                   const char *uid, struct ks_attribute_names **ret,
                                                   struct ks_error *error);
KS_API void ks_attribute_names_free(struct ks_attribute_names *names); /* accepts NULL */

/* Set Attribute (2.1: 6.1.51): adds the attribute, or changes the one instance that there is. Needs 2.0. */
KS_API_MUST_CHECK int ks_client_set_attribute(struct ks_client *client, const struct ks_call *call, const char *uid,
                                              const struct ks_attribute *attribute, struct ks_error *error);

/*
 * Adjust Attribute (2.1: 6.1.3): KMIP_ADJUSTMENT_TYPE_INCREMENT, _DECREMENT (of numbers; by NULL: by one) or _NEGATE
 * (of booleans). Needs 2.0. Never repeated by itself.
 */
KS_API_MUST_CHECK int ks_client_adjust_attribute(struct ks_client *client, const struct ks_call *call, const char *uid,
                                                 const struct ks_attribute_name *name, uint32_t adjustment,
                                                 const int64_t *by, struct ks_error *error);

/* ---- Objects of 3.0 -------------------------------------------------------------------------------------------- */

/*
 * Deactivate (3.0): as its Deactivation Date would. reason: KMIP_DEACTIVATION_REASON_CODE_*, 0: none is given; message
 * may be NULL, and needs a reason. Needs 3.0 (`versions`).
 */
KS_API_MUST_CHECK int ks_client_deactivate(struct ks_client *client, const struct ks_call *call, const char *uid,
                                           uint32_t reason, const char *message, struct ks_error *error);

/* Obliterate (3.0): nothing of the object stays, not even that it was destroyed. Needs 3.0. */
KS_API_MUST_CHECK int ks_client_obliterate(struct ks_client *client, const struct ks_call *call, const char *uid,
                                           struct ks_error *error);

/* ---- Requests that are carried out later ----------------------------------------------------------------------- */

/* Process (2.1: 6.1.39): the server is to carry it out now. KS_E_NOT_FOUND: nothing is pending under that value. */
KS_API_MUST_CHECK int ks_client_process(struct ks_client *client, const struct ks_call *call,
                                        const struct ks_pending *pending, struct ks_error *error);

/* ---- The server ------------------------------------------------------------------------------------------------ */

/* Ping (2.1: 6.1.37): whether the server answers this client. Needs 2.1. */
KS_API_MUST_CHECK int ks_client_ping(struct ks_client *client, const struct ks_call *call, struct ks_error *error);

/* Log (2.1: 6.1.29): a line for the server's audit trail, UTF-8. Needs 2.0. */
KS_API_MUST_CHECK int ks_client_log(struct ks_client *client, const struct ks_call *call, const char *message,
                                    struct ks_error *error);

/* Interop (2.1: 6.1.26): the beginning or the end of a test of that name. function: KMIP_INTEROP_FUNCTION_*. */
KS_API_MUST_CHECK int ks_client_interop(struct ks_client *client, const struct ks_call *call, uint32_t function,
                                        const char *identifier, struct ks_error *error);

/*
 * PKCS#11 (2.1: 6.1.36; the parameters' encoding: KMIP Profiles and Usage Guide): one call of a PKCS#11 function.
 * A return code that is no success does not make the call fail. Needs 2.0. Never repeated by itself.
 */
struct ks_pkcs11 {
    uint32_t function;           /* KMIP_PKCS_11_FUNCTION_* */
    const char *interface;       /* NULL: the server's */
    struct ks_bytes correlation; /* of the answer to C_Initialize; empty there */
    struct ks_bytes input;       /* encoded */
};
struct ks_pkcs11_result {
    uint32_t return_code; /* KMIP_PKCS_11_RETURN_CODE_*, CKR_* of PKCS#11 */
    struct ks_bytes correlation;
    struct ks_bytes output; /* secret */
};
KS_API_MUST_CHECK int ks_client_pkcs11(struct ks_client *client, const struct ks_call *call,
                                       const struct ks_pkcs11 *params, struct ks_pkcs11_result **ret,
                                       struct ks_error *error);
KS_API void ks_pkcs11_result_free(struct ks_pkcs11_result *result); /* wipes; accepts NULL */

#ifdef __cplusplus
}
#endif

#endif
