/*
 * libkeystead: who may do what. Tickets and their rights, constraints and defaults of new objects, users, groups and
 * credentials. <keystead/client.h> says what holds for every call: results, ownership, threads.
 *
 *     const uint32_t operations[] = {KMIP_OPERATION_GET};
 *     const struct ks_right right = {.operations = operations, .n_operations = 1, .uids = &uid, .n_uids = 1};
 *     struct ks_ticket *ticket = NULL;
 *     ... ks_client_delegated_login(client, NULL, &(struct ks_login){.lease_s = 600}, &right, 1, &ticket, &error)
 *
 * and whoever has the ticket may, with a certificate of his own, for ten minutes:
 *
 *     ... ks_client_get(other, &(struct ks_call){.ticket = ticket->value}, &get, &object, &error)
 */
#ifndef KEYSTEAD_ACCESS_H
#define KEYSTEAD_ACCESS_H

#include <keystead/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Tickets --------------------------------------------------------------------------------------------------- */

/* How long and how often a ticket is good. */
struct ks_login {
    uint32_t lease_s;    /* seconds; 0: the server's choice */
    int32_t requests;    /* 0: any number */
    uint32_t usage_unit; /* KMIP_USAGE_LIMITS_UNIT_*, of usage_total; 0: no limit */
    int64_t usage_total; /* bytes or objects, of cryptographic operations */
};
struct ks_ticket {
    struct ks_bytes value; /* secret; for ks_call.ticket */
};

/* Login (2.1: 6.1.30): a ticket for this client's own requests. params NULL: as the server has it. Needs 2.0. */
KS_API_MUST_CHECK int ks_client_login(struct ks_client *client, const struct ks_call *call,
                                      const struct ks_login *params, struct ks_ticket **ret, struct ks_error *error);
KS_API void ks_ticket_free(struct ks_ticket *ticket); /* wipes; accepts NULL */

/* Logout (2.1: 6.1.31): the ticket is good for nothing any more. */
KS_API_MUST_CHECK int ks_client_logout(struct ks_client *client, const struct ks_call *call, struct ks_bytes ticket,
                                       struct ks_error *error);

/* One right that a ticket gives: such operations, on such objects. A list that is empty does not restrict. */
struct ks_right {
    const uint32_t *operations; /* KMIP_OPERATION_* */
    size_t n_operations;
    const char *const *uids; /* objects */
    size_t n_uids;
    const char *const *groups; /* Object Groups; needs 2.1 */
    size_t n_groups;
    uint32_t usage_unit; /* as in struct ks_login, of this right alone */
    int64_t usage_total;
};

/* Delegated Login (2.1: 6.1.12): a ticket for another client, which gives him these of this client's rights. */
KS_API_MUST_CHECK int ks_client_delegated_login(struct ks_client *client, const struct ks_call *call,
                                                const struct ks_login *params, const struct ks_right *rights,
                                                size_t n_rights, struct ks_ticket **ret, struct ks_error *error);

/* ---- Constraints and defaults ---------------------------------------------------------------------------------- */

/* Attributes that new objects must have (constraints), or get where none is given (defaults). */
struct ks_rule {
    const uint32_t *object_types; /* KMIP_OBJECT_TYPE_*; none: objects of every type */
    size_t n_object_types;
    const char *const *groups; /* Object Groups; none: whatever the group */
    size_t n_groups;
    const struct ks_attribute *attributes;
    size_t n_attributes;
};
struct ks_rules {
    size_t n;
    const struct ks_rule *v;
};

/* Set Constraints (2.1: 6.1.52), in place of all that there are; n 0: there are none any more. For administrators. */
KS_API_MUST_CHECK int ks_client_set_constraints(struct ks_client *client, const struct ks_call *call,
                                                const struct ks_rule *rules, size_t n, struct ks_error *error);
/* Get Constraints (2.1: 6.1.22). */
KS_API_MUST_CHECK int ks_client_get_constraints(struct ks_client *client, const struct ks_call *call,
                                                struct ks_rules **ret, struct ks_error *error);
/* Set Defaults (2.1: 6.1.53), in place of all that there are; n 0: there are none any more. For administrators. */
KS_API_MUST_CHECK int ks_client_set_defaults(struct ks_client *client, const struct ks_call *call,
                                             const struct ks_rule *rules, size_t n, struct ks_error *error);
/* What Query says of them (2.1: 6.1.40, Defaults Information). Needs 2.0. */
KS_API_MUST_CHECK int ks_client_get_defaults(struct ks_client *client, const struct ks_call *call,
                                             struct ks_rules **ret, struct ks_error *error);
KS_API void ks_rules_free(struct ks_rules *rules); /* accepts NULL */

/* ---- Users, groups, credentials -------------------------------------------------------------------------------- */

/* All need 3.0 (`versions`, and a server that offers it), and are for administrators. */

/* Create Credential (3.0): what a user is known by. One of the members that follow type. */
struct ks_new_credential {
    const char *name; /* NULL: none */
    uint32_t type;    /* KMIP_CREDENTIAL_TYPE_PASSWORD, _CERTIFICATE, _DEVICE, _ONE_TIME_PASSWORD, _HASHED_PASSWORD */
    const char *password;        /* Password; Device: NULL: none */
    struct ks_bytes certificate; /* Certificate: X.509, DER */
    struct {                     /* Device: one at least; NULL: not given */
        const char *serial_number, *identifier, *network, *machine, *media;
    } device;
    struct {                        /* One Time Password */
        uint32_t algorithm, digest; /* KMIP_OTP_ALGORITHM_*, KMIP_HASHING_ALGORITHM_*; digest 0: the server's choice */
        struct ks_bytes seed;
        int32_t interval, digits, counter; /* interval in seconds; 0: not given */
    } otp;
    struct {           /* Hashed Password: the hashes of user name and password, and of password and user name */
        uint32_t hash; /* KMIP_HASHING_ALGORITHM_*; 0: SHA-256 */
        struct ks_bytes username_password, password_username;
    } hashed;
    const struct ks_attribute *attributes; /* any others */
    size_t n_attributes;
};
KS_API_MUST_CHECK int ks_client_create_credential(struct ks_client *client, const struct ks_call *call,
                                                  const struct ks_new_credential *params, char ret_uid[KS_UID_SIZE],
                                                  struct ks_error *error);

/* Create Group (3.0). attributes may be NULL. */
KS_API_MUST_CHECK int ks_client_create_group(struct ks_client *client, const struct ks_call *call, const char *name,
                                             const struct ks_attribute *attributes, size_t n_attributes,
                                             char ret_uid[KS_UID_SIZE], struct ks_error *error);

/* Create User (3.0). */
struct ks_new_user {
    const char *name;
    const char *const *credentials; /* identifiers; one at least */
    size_t n_credentials;
    const char *const *groups; /* names of groups that the user is a member of */
    size_t n_groups;
    const struct ks_attribute *attributes; /* any others */
    size_t n_attributes;
};
KS_API_MUST_CHECK int ks_client_create_user(struct ks_client *client, const struct ks_call *call,
                                            const struct ks_new_user *params, char ret_uid[KS_UID_SIZE],
                                            struct ks_error *error);

#ifdef __cplusplus
}
#endif

#endif
