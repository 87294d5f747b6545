/*
 * libkeystead: a KMIP client.
 *
 *     struct ks_client_config *config = NULL;
 *     struct ks_client *client = NULL;
 *     struct ks_error error = {0};
 *     char uid[KS_UID_SIZE];
 *     if (ks_client_config_new(&config) != 0 ||
 *         ks_client_config_load(config, "/etc/keystead/client.conf", &error) != 0 ||
 *         ks_client_new(config, &client, &error) != 0 ||
 *         ks_client_create(client, NULL, &(struct ks_create){.object.name = "invoices",
 *                          .object.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, .object.length = 256,
 *                          .object.usage_mask = KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT |
 *                          KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT}, uid, &error) != 0)
 *         fprintf(stderr, "%s\n", error.message);
 *     ks_client_free(client);
 *     ks_client_config_free(config);
 *
 * Results: 0 or a negative KS_E_* code (keystead/error.h). Details go to a struct ks_error that the caller owns
 * (NULL where nobody wants them). Outputs come last but for the error, and are untouched on failure.
 *
 * Ownership: what is passed in stays the caller's and is not kept after the call. Results that a call returns by
 * pointer are freed with the function named beside them, which wipes; everything a result points to lives as long as
 * it does. Key material lies in memory of its own that is locked where limits allow it and left out of core dumps.
 *
 * Threads: one ks_client may be used by any number of threads at once; each call has its connection to itself. A
 * configuration, a struct ks_error and a result belong to one thread at a time. ks_client_free waits for nobody: call
 * it when no call is running. A client must not be used on both sides of a fork: make it after the fork.
 *
 * The library changes no process-wide state: no signal handlers (it cannot raise SIGPIPE), no locale, no environment.
 * It never logs. Host names are looked up in a short-lived thread that has all signals blocked, because getaddrinfo
 * cannot be interrupted; addresses in numbers need none.
 *
 * Two more headers: <keystead/access.h> for tickets, rules of new objects and users, <keystead/operations.h> for the
 * operations that few programs need.
 */
#ifndef KEYSTEAD_CLIENT_H
#define KEYSTEAD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <keystead/error.h>
#include <keystead/kmip.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KS_API __attribute__((visibility("default")))
#define KS_API_MUST_CHECK __attribute__((visibility("default"), warn_unused_result))

/* "0.1.0" */
KS_API const char *ks_client_library_version(void);
/* The fixed text of a KS_E_* code, and the exit status that a command should end with; never NULL. */
KS_API const char *ks_client_error_text(int code);
KS_API int ks_client_exit_status(int code);
/* Names as the specification writes them: "AES", "Item Not Found"; NULL where there is none. Static. */
KS_API const char *ks_client_enum_name(uint32_t tag, uint32_t value);
KS_API const char *ks_client_tag_name(uint32_t tag);

/* ---- Errors ---------------------------------------------------------------------------------------------------- */

struct ks_error {
    int code;               /* KS_E_*; 0: nothing was reported */
    bool answered;          /* the server answered: the two below are its */
    uint32_t result_status; /* KMIP Result Status */
    uint32_t result_reason; /* KMIP Result Reason; 0: none given */
    uint32_t operation;     /* KMIP Operation; 0: before there was one */
    bool maybe_done;   /* the request may have been carried out although no answer came: look before repeating it */
    char server[256];  /* "host:port" of the server that was talked to last; "" if none */
    char message[768]; /* one line for people: what happened, to what, what to do next */
};

/*
 * What an answer that is a refusal becomes: Item Not Found and Object Not Found KS_E_NOT_FOUND; Permission Denied, Not
 * Authorised, Authentication Not Successful KS_E_DENIED; Object Already Exists, Non Unique Name Attribute KS_E_EXISTS;
 * Operation and Feature Not Supported KS_E_UNSUPPORTED; all else KS_E_KMIP, or KS_E_SEALED from a sealed Keystead.
 * Besides: KS_E_CONNECT (no server could be reached), KS_E_TLS (a certificate did not convince), KS_E_TIMEOUT,
 * KS_E_CANCELLED, KS_E_CLOSED (connection lost with the request sent), KS_E_MALFORMED and KS_E_LIMIT (answer),
 * KS_E_UNSUPPORTED (not in the protocol version that was agreed on), KS_E_INVALID (arguments), KS_E_NOMEM.
 */

/* ---- Configuration --------------------------------------------------------------------------------------------- */

struct ks_client_config;

/* Empty but for defaults. KS_E_NOMEM. */
KS_API_MUST_CHECK int ks_client_config_new(struct ks_client_config **ret);
KS_API void ks_client_config_free(struct ks_client_config *config); /* accepts NULL */

/*
 * Sets one value by name; `server` may be set several times, in failover order. The names (client/config.def):
 *
 *   server           HOST, HOST:PORT, [ADDRESS]:PORT (5696 if no port is given)
 *   servers          the whole list at once, commas or blanks between; replaces what was set before
 *   ca               file of PEM certificates to trust, and none else
 *   certificate      file: this client's certificate, PEM, then the chain if there is one
 *   key              file: its private key, PEM, unencrypted, readable by its owner alone
 *   server_name      name to verify in the server's certificate, if it is not the host of `server`
 *   connect_timeout  "5s", "500ms": for each server, name lookup and handshake included (default 5s)
 *   request_timeout  for a whole call, connecting and failing over included (default 30s)
 *   versions         range of KMIP versions, "1.0-2.1"; the highest that both sides have is used (default 1.0-2.1;
 *                    3.0 is a draft that is used only where it is asked for here, and the server offers it)
 *   pool_size        idle connections kept per server (default 4)
 *   idle_timeout     an idle connection is not used again after this (default 60s)
 *   max_response     bytes that an answer may have, 1024 at least (default 8388608)
 *
 * KS_E_CONFIG: no such name, or no such value.
 */
KS_API_MUST_CHECK int ks_client_config_set(struct ks_client_config *config, const char *name, const char *value,
                                           struct ks_error *error);

/*
 * Reads `name = value` lines; # begins a comment; values may stand in double quotes. File names are relative to the
 * folder of the file. Errors name the line. KS_E_CONFIG, KS_E_IO, KS_E_NOT_FOUND, KS_E_LIMIT (64 KiB).
 */
KS_API_MUST_CHECK int ks_client_config_load(struct ks_client_config *config, const char *path, struct ks_error *error);

/* ---- The client ------------------------------------------------------------------------------------------------ */

struct ks_client;

/*
 * Reads the certificates and the key, connects to nobody yet. The configuration is copied. KS_E_CONFIG (something is
 * missing), KS_E_DENIED (a key that others can read), KS_E_IO, KS_E_TLS (certificate and key unusable), KS_E_NOMEM.
 */
KS_API_MUST_CHECK int ks_client_new(const struct ks_client_config *config, struct ks_client **ret,
                                    struct ks_error *error);
KS_API void ks_client_free(struct ks_client *client); /* closes connections; accepts NULL */

/* ---- Values ---------------------------------------------------------------------------------------------------- */

/* Borrowed bytes. In results, text has a NUL behind its len bytes. */
struct ks_bytes {
    const uint8_t *data;
    size_t len;
};

/* How one call is made. NULL, or all zero: the configured request timeout, not to be interrupted. */
struct ks_call {
    int64_t timeout_ms; /* for the whole call; 0: the configured one */
    int (*interrupted)(
        void *arg); /* asked at least every 100 ms while waiting; non-zero ends the call: KS_E_CANCELLED */
    void *interrupted_arg;
    struct ks_bytes ticket; /* of Login or Delegated Login (keystead/access.h), from 2.0; empty: none */
};

/* A Unique Identifier as text. Longer ones than fit are refused (KS_E_LIMIT). */
#define KS_UID_SIZE 256

/* A value of KMIP: an attribute's, or one inside a structure. */
struct ks_value {
    uint32_t tag; /* enum kmip_tag */
    uint8_t type; /* enum kmip_type */
    union {
        int32_t integer;       /* INTEGER */
        int64_t number;        /* LONG_INTEGER; DATE_TIME in seconds, DATE_TIME_EXTENDED in microseconds since 1970 */
        uint32_t enumeration;  /* ENUMERATION, and INTERVAL in seconds */
        bool boolean;          /* BOOLEAN */
        struct ks_bytes bytes; /* TEXT_STRING (UTF-8), BYTE_STRING, BIG_INTEGER (two's complement), 3.0: references */
        struct {
            const struct ks_value *fields;
            size_t n_fields;
        }; /* STRUCTURE */
    };
};

/*
 * An attribute: value.tag says which (KMIP_TAG_STATE, ...). A vendor's own has the tag KMIP_TAG_ATTRIBUTE, and vendor
 * and name set (KMIP 1.x "x-color" is vendor "x", name "color").
 */
struct ks_attribute {
    const char *vendor, *name;
    int32_t index; /* instance, of attributes with several (1.x); from 2.0 always 0 */
    struct ks_value value;
};

/* Which attribute is meant; of a standard one only the tag is set. */
struct ks_attribute_name {
    uint32_t tag;
    const char *vendor, *name;
    int32_t index;
};

struct ks_attributes {
    char uid[KS_UID_SIZE];
    int code; /* of ks_client_get_attributes_many: 0, or why this object has none (KS_E_NOT_FOUND, KS_E_DENIED, ...) */
    size_t n;
    const struct ks_attribute *v;
};
/* The first with that tag, or NULL. */
KS_API const struct ks_attribute *ks_attributes_find(const struct ks_attributes *attributes, uint32_t tag);
/* The first Name as text, or NULL. */
KS_API const char *ks_attributes_name(const struct ks_attributes *attributes);

/* ---- Making objects -------------------------------------------------------------------------------------------- */

/* What every new object is given. Whatever is 0 or NULL is left out. */
struct ks_new_object {
    const char *name;                      /* a Name (uninterpreted text) */
    uint32_t algorithm;                    /* Cryptographic Algorithm */
    int32_t length;                        /* Cryptographic Length, bits */
    uint32_t usage_mask;                   /* Cryptographic Usage Mask */
    const struct ks_attribute *attributes; /* any others */
    size_t n_attributes;
    /*
     * Activate it in the same message (Create, then Activate). If the second fails, the error says so, ret_uid is set
     * and the object is there, Pre-Active.
     */
    bool activate;
};

/* Create (1.4: 4.1; 2.1: 6.1.8): a symmetric key. */
struct ks_create {
    struct ks_new_object object;
};
KS_API_MUST_CHECK int ks_client_create(struct ks_client *client, const struct ks_call *call,
                                       const struct ks_create *params, char ret_uid[KS_UID_SIZE],
                                       struct ks_error *error);

/* Create Key Pair (1.4: 4.2; 2.1: 6.1.9). With activate, the private key is activated, then the public key. */
struct ks_create_key_pair {
    struct ks_new_object common; /* algorithm, length and so on; its name and usage_mask are not used */
    const char *private_name, *public_name;
    uint32_t private_usage_mask, public_usage_mask;
    uint32_t curve; /* Recommended Curve, for EC */
};
KS_API_MUST_CHECK int ks_client_create_key_pair(struct ks_client *client, const struct ks_call *call,
                                                const struct ks_create_key_pair *params,
                                                char ret_private_uid[KS_UID_SIZE], char ret_public_uid[KS_UID_SIZE],
                                                struct ks_error *error);

/* Register (1.4: 4.3; 2.1: 6.1.43): an object that exists already. */
struct ks_register {
    struct ks_new_object object;
    uint32_t object_type; /* SYMMETRIC_KEY, PUBLIC_KEY, PRIVATE_KEY, SECRET_DATA, CERTIFICATE, OPAQUE_OBJECT */
    uint32_t key_format;  /* keys and secret data; 0: Raw (secret data: Opaque) */
    uint32_t subtype;     /* Certificate Type, Secret Data Type or Opaque Data Type; 0: X.509, Password, 0x80000001 */
    struct ks_bytes material; /* the key's bytes in that format, the certificate's DER, ... */
    /* Transparent formats, in place of material: a structure whose tag is KMIP_TAG_KEY_MATERIAL. NULL: none. */
    const struct ks_value *structure;
};
KS_API_MUST_CHECK int ks_client_register(struct ks_client *client, const struct ks_call *call,
                                         const struct ks_register *params, char ret_uid[KS_UID_SIZE],
                                         struct ks_error *error);

/*
 * Re-key (1.4: 4.4; 2.1: 6.1.46): a new symmetric key that takes the old one's name and attributes. offset_s: seconds
 * from creation to activation of the new key; negative: not given. activate: as in struct ks_new_object.
 */
KS_API_MUST_CHECK int ks_client_rekey(struct ks_client *client, const struct ks_call *call, const char *uid,
                                      int64_t offset_s, bool activate, char ret_new_uid[KS_UID_SIZE],
                                      struct ks_error *error);

/* Re-key Key Pair (1.4: 4.5; 2.1: 6.1.47): the same for a pair that its private key names. Needs 1.1. */
KS_API_MUST_CHECK int ks_client_rekey_key_pair(struct ks_client *client, const struct ks_call *call,
                                               const char *private_uid, int64_t offset_s,
                                               char ret_private_uid[KS_UID_SIZE], char ret_public_uid[KS_UID_SIZE],
                                               struct ks_error *error);

/*
 * Derive Key (1.4: 4.6; 2.1: 6.1.14): a key, or secret data, from one managed object or from two. What a method takes
 * is left out where it is empty or 0.
 */
struct ks_derive {
    struct ks_new_object object;
    uint32_t object_type; /* SYMMETRIC_KEY, SECRET_DATA; 0: SYMMETRIC_KEY */
    const char *const *uids;
    size_t n_uids;
    uint32_t method;                       /* KMIP_DERIVATION_METHOD_* */
    const struct ks_crypto_params *crypto; /* hash, mode, padding; NULL: the server's choice */
    struct ks_bytes data, iv, salt;        /* Derivation Data, Initialization Vector, Salt */
    int32_t iterations;                    /* of PBKDF2 */
};
KS_API_MUST_CHECK int ks_client_derive_key(struct ks_client *client, const struct ks_call *call,
                                           const struct ks_derive *params, char ret_uid[KS_UID_SIZE],
                                           struct ks_error *error);

/*
 * Create Split Key (1.4: 4.38; 2.1: 6.1.10). Needs 1.2. The parts of one key, in their order; object: what each of them
 * is given (a name can not be shared), and with uid NULL algorithm and length of the new key that is split; its
 * activate is not used.
 */
struct ks_create_split_key {
    struct ks_new_object object;
    const char *uid; /* of the key to split; NULL: a new one, which is kept in parts alone */
    int32_t parts, threshold;
    uint32_t method;       /* KMIP_SPLIT_KEY_METHOD_*; 0: Polynomial Sharing GF (2^8) */
    struct ks_bytes prime; /* Prime Field Size, for that method */
};
struct ks_uids; /* below, with Locate */
KS_API_MUST_CHECK int ks_client_create_split_key(struct ks_client *client, const struct ks_call *call,
                                                 const struct ks_create_split_key *params, struct ks_uids **ret,
                                                 struct ks_error *error);

/* Join Split Key (1.4: 4.39; 2.1: 6.1.27). Needs 1.2. The key that the parts are of, as a new object. */
struct ks_join_split_key {
    struct ks_new_object object;
    uint32_t object_type; /* SYMMETRIC_KEY, PRIVATE_KEY, SECRET_DATA; 0: SYMMETRIC_KEY */
    const char *const *uids;
    size_t n_uids;
    uint32_t secret_data_type; /* 0: not said */
};
KS_API_MUST_CHECK int ks_client_join_split_key(struct ks_client *client, const struct ks_call *call,
                                               const struct ks_join_split_key *params, char ret_uid[KS_UID_SIZE],
                                               struct ks_error *error);

/* ---- Certificates ---------------------------------------------------------------------------------------------- */

/*
 * Certify (1.4: 4.7; 2.1: 6.1.6): a certificate for a managed public key (uid), or for the key of a request, or for
 * both if they are the same key. object: what the certificate object is given.
 */
struct ks_certify {
    struct ks_new_object object;   /* name, usage_mask and attributes count */
    const char *uid;               /* public key; NULL: none */
    struct ks_bytes request;       /* empty: none */
    uint32_t request_type;         /* Certificate Request Type; 0: PKCS#10 */
    const char *issuer_uid;        /* certificate under which to issue; NULL: the server's choice */
    const char *common_name;       /* where there is no request, from 2.0; NULL: the server's choice */
    int64_t not_before, not_after; /* seconds since 1970; 0: the server's choice */
};
KS_API_MUST_CHECK int ks_client_certify(struct ks_client *client, const struct ks_call *call,
                                        const struct ks_certify *params, char ret_uid[KS_UID_SIZE],
                                        struct ks_error *error);

/* Re-certify (1.4: 4.8; 2.1: 6.1.45): a new certificate in place of one. params->uid is the certificate's. offset_s:
 * seconds from now to its Activation Date; negative: not given. */
KS_API_MUST_CHECK int ks_client_recertify(struct ks_client *client, const struct ks_call *call,
                                          const struct ks_certify *params, int64_t offset_s,
                                          char ret_new_uid[KS_UID_SIZE], struct ks_error *error);

/*
 * Validate (1.4: 4.24; 2.1: 6.1.57): certificates in DER and managed ones, together one chain, in any order. at:
 * seconds since 1970; 0: now. ret_indicator: KMIP_VALIDITY_INDICATOR_*.
 */
struct ks_validate {
    const struct ks_bytes *certificates;
    size_t n_certificates;
    const char *const *uids;
    size_t n_uids;
    int64_t at;
};
KS_API_MUST_CHECK int ks_client_validate(struct ks_client *client, const struct ks_call *call,
                                         const struct ks_validate *params, uint32_t *ret_indicator,
                                         struct ks_error *error);

/* ---- Reading --------------------------------------------------------------------------------------------------- */

/* How a key is to be wrapped by another (NIST key wrap unless said otherwise). */
struct ks_wrap {
    const char *key_uid;        /* the wrapping key */
    uint32_t block_cipher_mode; /* 0: NIST Key Wrap */
    uint32_t encoding_option;   /* 0: No Encoding, from 1.1 (the bare key is wrapped, not a TTLV structure) */
};

struct ks_object {
    char uid[KS_UID_SIZE];
    uint32_t object_type;
    uint32_t key_format; /* 0 for objects that are not keys */
    uint32_t algorithm;  /* 0 where not said */
    int32_t length;      /* bits; 0 where not said */
    uint32_t subtype;    /* Certificate Type, Secret Data Type or Opaque Data Type */
    bool wrapped;        /* material is encrypted */
    uint32_t wrap_mode;  /* wrapped: Block Cipher Mode; 0 where not said */
    struct ks_bytes wrap_iv;
    struct ks_bytes material;  /* secret; empty if the key came as a structure */
    struct ks_value structure; /* Key Material of the transparent formats; type 0: none. A Transparent Symmetric Key
                                  is in material as well */
};

/* Get (1.4: 4.11; 2.1: 6.1.19). key_format 0: as it is kept. wrap NULL: in the clear. */
struct ks_get {
    const char *uid;
    uint32_t key_format;
    const struct ks_wrap *wrap;
    bool unwrap;              /* from 1.4: one that was registered wrapped is to be unwrapped */
    uint32_t key_compression; /* Key Compression Type; 0: as it is kept */
};
KS_API_MUST_CHECK int ks_client_get(struct ks_client *client, const struct ks_call *call, const struct ks_get *params,
                                    struct ks_object **ret, struct ks_error *error);
KS_API void ks_object_free(struct ks_object *object); /* wipes; accepts NULL */

/*
 * Export (1.4: 4.40; 2.1: 6.1.18): an object with all its attributes. bytes: the answer's payload in TTLV (KMIP 2.1),
 * secret unless the key is wrapped; what ks_client_import takes, of this server or another. Needs 1.4.
 */
struct ks_exported {
    char uid[KS_UID_SIZE];
    uint32_t object_type;
    struct ks_bytes bytes;
};
KS_API_MUST_CHECK int ks_client_export(struct ks_client *client, const struct ks_call *call,
                                       const struct ks_get *params, struct ks_exported **ret, struct ks_error *error);
KS_API void ks_exported_free(struct ks_exported *exported); /* wipes; accepts NULL */

/*
 * Import (1.4: 4.41; 2.1: 6.1.25): what ks_client_export gave, with state and dates as they were. KS_E_MALFORMED: it is
 * no export.
 */
struct ks_import {
    struct ks_bytes bytes;
    const char *uid; /* NULL: as it was exported */
    bool replace;    /* an object of that identifier that is there */
    bool unwrap;     /* a wrapped key is to be kept unwrapped */
};
KS_API_MUST_CHECK int ks_client_import(struct ks_client *client, const struct ks_call *call,
                                       const struct ks_import *params, char ret_uid[KS_UID_SIZE],
                                       struct ks_error *error);

/* Get Attributes (1.4: 4.12; 2.1: 6.1.20). names NULL: all. */
KS_API_MUST_CHECK int ks_client_get_attributes(struct ks_client *client, const struct ks_call *call, const char *uid,
                                               const struct ks_attribute_name *names, size_t n_names,
                                               struct ks_attributes **ret, struct ks_error *error);
KS_API void ks_attributes_free(struct ks_attributes *attributes);

/* The same for many objects in few messages. One that cannot be read has its code set; the call succeeds. */
struct ks_attributes_list {
    size_t n; /* as many as uids, in their order */
    const struct ks_attributes *v;
};
KS_API_MUST_CHECK int ks_client_get_attributes_many(struct ks_client *client, const struct ks_call *call,
                                                    const char *const *uids, size_t n_uids,
                                                    const struct ks_attribute_name *names, size_t n_names,
                                                    struct ks_attributes_list **ret, struct ks_error *error);
KS_API void ks_attributes_list_free(struct ks_attributes_list *list);

/* Locate (1.4: 4.9; 2.1: 6.1.28). All zero: whatever the caller may see. */
struct ks_locate {
    const char *name;                      /* a Name equal to this */
    const struct ks_attribute *attributes; /* all must match; a date twice is a range */
    size_t n_attributes;
    int32_t maximum, offset;      /* 0: not given. offset from 1.3 */
    uint32_t storage_status_mask; /* 0: not given (on-line objects) */
};
struct ks_uids {
    int32_t located; /* how many match in all, from 1.3; -1: not said */
    size_t n;
    const char *const *v;
};
KS_API_MUST_CHECK int ks_client_locate(struct ks_client *client, const struct ks_call *call,
                                       const struct ks_locate *params, struct ks_uids **ret, struct ks_error *error);
KS_API void ks_uids_free(struct ks_uids *uids);

/*
 * The one object that a person means: ref is a Name or a Unique Identifier. What has the form of a UUID is looked for
 * as an identifier first, everything else as a name first. KS_E_NOT_FOUND: neither; KS_E_INVALID: several objects have
 * that name, and the message lists them. Two round trips at most.
 */
KS_API_MUST_CHECK int ks_client_find(struct ks_client *client, const struct ks_call *call, const char *ref,
                                     char ret_uid[KS_UID_SIZE], struct ks_error *error);

/* Check (1.4: 4.10; 2.1: 6.1.7). Whatever is 0 is not asked; KS_E_KMIP says that the key may not be used so. */
struct ks_check {
    const char *uid;
    uint32_t usage_mask;
    int64_t usage_limits_count;
    uint32_t lease_time_s;
};
KS_API_MUST_CHECK int ks_client_check(struct ks_client *client, const struct ks_call *call,
                                      const struct ks_check *params, struct ks_error *error);

/* ---- Changing -------------------------------------------------------------------------------------------------- */

/* Activate (1.4: 4.19; 2.1: 6.1.1). */
KS_API_MUST_CHECK int ks_client_activate(struct ks_client *client, const struct ks_call *call, const char *uid,
                                         struct ks_error *error);

/* Revoke (1.4: 4.20; 2.1: 6.1.44). message may be NULL. occurred: seconds since 1970, for compromises; 0: not given. */
KS_API_MUST_CHECK int ks_client_revoke(struct ks_client *client, const struct ks_call *call, const char *uid,
                                       uint32_t reason, const char *message, int64_t occurred, struct ks_error *error);

/* Destroy (1.4: 4.21; 2.1: 6.1.15). */
KS_API_MUST_CHECK int ks_client_destroy(struct ks_client *client, const struct ks_call *call, const char *uid,
                                        struct ks_error *error);

/*
 * Suspend and Resume, Keystead's own, for administrators: the object is withdrawn for a time, whatever its State. One
 * suspends: all uses, or (protect) new ones alone, reason: one line, up to 160 bytes. Two resume: the first one's call
 * says false in ret_resumed, and another one's within 24 hours does it.
 */
KS_API_MUST_CHECK int ks_client_suspend(struct ks_client *client, const struct ks_call *call, const char *uid,
                                        bool protect, const char *reason, struct ks_error *error);
KS_API_MUST_CHECK int ks_client_resume(struct ks_client *client, const struct ks_call *call, const char *uid,
                                       bool *ret_resumed, struct ks_error *error);

/*
 * Archive, Recover (1.4: 4.22, 4.23; 2.1: 6.1.4, 6.1.42): out of use until it is recovered. A server that does so later
 * on, although it was not asked to, is KS_E_UNSUPPORTED: use ks_client_submit.
 */
KS_API_MUST_CHECK int ks_client_archive(struct ks_client *client, const struct ks_call *call, const char *uid,
                                        struct ks_error *error);
KS_API_MUST_CHECK int ks_client_recover(struct ks_client *client, const struct ks_call *call, const char *uid,
                                        struct ks_error *error);

/* ---- Leases and allocations ------------------------------------------------------------------------------------ */

/*
 * Obtain Lease (1.4: 4.17; 2.1: 6.1.35). Not to be used any more after so many seconds (0: without limit), unless
 * another lease is obtained; attributes that were read before last_change are out of date.
 */
struct ks_lease {
    uint32_t seconds;
    int64_t last_change; /* seconds since 1970 */
};
KS_API_MUST_CHECK int ks_client_obtain_lease(struct ks_client *client, const struct ks_call *call, const char *uid,
                                             struct ks_lease *ret, struct ks_error *error);

/*
 * Get Usage Allocation (1.4: 4.18; 2.1: 6.1.23): so many units of the key's Usage Limits are this caller's to use, all
 * or none. What is not used is lost; never repeated by itself.
 */
KS_API_MUST_CHECK int ks_client_get_usage_allocation(struct ks_client *client, const struct ks_call *call,
                                                     const char *uid, int64_t units, struct ks_error *error);

/* ---- Requests that are carried out later ----------------------------------------------------------------------- */

/* An Asynchronous Correlation Value: names a request that the server has put off. */
struct ks_pending {
    size_t len; /* 0: none */
    uint8_t value[64];
};

/*
 * Asks for an operation on an object (KMIP_OPERATION_*: one that takes nothing but a Unique Identifier, such as
 * Archive, Recover, Activate, Destroy) to be carried out later (1.4: 6.7; 2.1: 9.2). ret->len 0: the server did it at
 * once, as one of 1.x may.
 */
KS_API_MUST_CHECK int ks_client_submit(struct ks_client *client, const struct ks_call *call, uint32_t operation,
                                       const char *uid, struct ks_pending *ret, struct ks_error *error);

/*
 * Poll (1.4: 4.28; 2.1: 6.1.38). pending: not done yet. Otherwise the operation was carried out, and uids are the
 * objects that its answer names; or it failed, and so does this call, with its reason. An answer is given once: if it
 * is lost on the way (error->maybe_done) it is gone. KS_E_KMIP or KS_E_NOT_FOUND: nothing is pending under that value.
 */
struct ks_poll_result {
    bool pending;
    uint32_t operation;
    size_t n;
    const char *const *uids;
};
KS_API_MUST_CHECK int ks_client_poll(struct ks_client *client, const struct ks_call *call,
                                     const struct ks_pending *pending, struct ks_poll_result **ret,
                                     struct ks_error *error);
KS_API void ks_poll_result_free(struct ks_poll_result *result);

/* Cancel (1.4: 4.27; 2.1: 6.1.5). ret: KMIP_CANCELLATION_RESULT_*. */
KS_API_MUST_CHECK int ks_client_cancel(struct ks_client *client, const struct ks_call *call,
                                       const struct ks_pending *pending, uint32_t *ret, struct ks_error *error);

/* Query Asynchronous Requests (2.1: 6.1.41): the caller's requests whose results nobody has fetched. */
struct ks_pending_entry {
    struct ks_pending pending;
    uint32_t operation, stage; /* KMIP_PROCESSING_STAGE_* */
    int64_t submitted_us;      /* microseconds since 1970 */
};
struct ks_pending_list {
    size_t n;
    const struct ks_pending_entry *v;
};
KS_API_MUST_CHECK int ks_client_pending(struct ks_client *client, const struct ks_call *call,
                                        struct ks_pending_list **ret, struct ks_error *error);
KS_API void ks_pending_list_free(struct ks_pending_list *list);

/* ---- Attributes ------------------------------------------------------------------------------------------------ */

/* Add, Modify, Delete Attribute (1.4: 4.14 to 4.16; 2.1: 6.1.2, 6.1.34, 6.1.13). */
KS_API_MUST_CHECK int ks_client_add_attribute(struct ks_client *client, const struct ks_call *call, const char *uid,
                                              const struct ks_attribute *attribute, struct ks_error *error);
KS_API_MUST_CHECK int ks_client_modify_attribute(struct ks_client *client, const struct ks_call *call, const char *uid,
                                                 const struct ks_attribute *attribute, struct ks_error *error);
KS_API_MUST_CHECK int ks_client_delete_attribute(struct ks_client *client, const struct ks_call *call, const char *uid,
                                                 const struct ks_attribute_name *name, struct ks_error *error);

/* ---- Cryptography ---------------------------------------------------------------------------------------------- */

/* Cryptographic Parameters (1.4: 3.6; 2.1: 4.14). 0 and empty: not given. */
struct ks_crypto_params {
    uint32_t block_cipher_mode, padding_method, hashing_algorithm, key_role_type, digital_signature_algorithm,
        cryptographic_algorithm;
    bool random_iv; /* Encrypt: the server makes the IV */
    int32_t iv_length, tag_length, fixed_field_length, invocation_field_length, counter_length; /* bytes; bits for
                                                                                the last three and the IV's length */
    bool has_initial_counter_value;
    int32_t initial_counter_value;
    int32_t salt_length;
    uint32_t mask_generator, mask_generator_hashing_algorithm;
    struct ks_bytes p_source;
    int32_t trailer_field;
};

/* Encrypt, Decrypt (1.4: 4.29, 4.30; 2.1: 6.1.17, 6.1.11). Needs 1.2; correlation 1.3; aad and tag 1.4. */
struct ks_cipher {
    const char *uid;
    const struct ks_crypto_params *crypto; /* NULL: those of the key */
    struct ks_bytes data;
    struct ks_bytes iv;          /* IV, counter or nonce */
    struct ks_bytes aad;         /* authenticated, not encrypted */
    struct ks_bytes tag;         /* Decrypt */
    struct ks_bytes correlation; /* streaming: of the part before */
    bool init, final;            /* streaming: first, last part */
};
struct ks_cipher_result {
    struct ks_bytes data; /* secret after Decrypt */
    struct ks_bytes iv;   /* Encrypt: where the server made it */
    struct ks_bytes tag;  /* Encrypt */
    struct ks_bytes correlation;
};
KS_API_MUST_CHECK int ks_client_encrypt(struct ks_client *client, const struct ks_call *call,
                                        const struct ks_cipher *params, struct ks_cipher_result **ret,
                                        struct ks_error *error);
KS_API_MUST_CHECK int ks_client_decrypt(struct ks_client *client, const struct ks_call *call,
                                        const struct ks_cipher *params, struct ks_cipher_result **ret,
                                        struct ks_error *error);
KS_API void ks_cipher_result_free(struct ks_cipher_result *result); /* wipes; accepts NULL */

/*
 * Sign, Signature Verify, MAC, MAC Verify, Hash (1.4: 4.31 to 4.36; 2.1: 6.1.55, 6.1.56, 6.1.34, 6.1.35, 6.1.24). Need
 * 1.2; in parts 1.3; digested 1.4. In parts: `init` with the first, the correlation that its answer has with all
 * others, `final` with the last. Parts are sent once: whether one whose answer was lost has arrived, nobody knows.
 */
struct ks_crypto {
    const char *uid;                       /* of the key; Hash: none */
    const struct ks_crypto_params *crypto; /* NULL: those of the key */
    struct ks_bytes data;
    struct ks_bytes digested; /* Sign, Signature Verify: the digest, in place of data */
    struct ks_bytes claim;    /* the verifying ones: signature or MAC; in parts with any of them */
    struct ks_bytes correlation;
    bool init, final;
};
struct ks_crypto_result {
    struct ks_bytes data; /* signature, MAC, digest; Signature Verify: what the signature gave back, if anything */
    struct ks_bytes correlation;
    uint32_t validity; /* KMIP Validity Indicator, of the verifying ones; 0: not said yet */
};
KS_API_MUST_CHECK int ks_client_sign(struct ks_client *client, const struct ks_call *call,
                                     const struct ks_crypto *params, struct ks_crypto_result **ret,
                                     struct ks_error *error);
KS_API_MUST_CHECK int ks_client_signature_verify(struct ks_client *client, const struct ks_call *call,
                                                 const struct ks_crypto *params, struct ks_crypto_result **ret,
                                                 struct ks_error *error);
KS_API_MUST_CHECK int ks_client_mac(struct ks_client *client, const struct ks_call *call,
                                    const struct ks_crypto *params, struct ks_crypto_result **ret,
                                    struct ks_error *error);
KS_API_MUST_CHECK int ks_client_mac_verify(struct ks_client *client, const struct ks_call *call,
                                           const struct ks_crypto *params, struct ks_crypto_result **ret,
                                           struct ks_error *error);
KS_API_MUST_CHECK int ks_client_hash(struct ks_client *client, const struct ks_call *call,
                                     const struct ks_crypto *params, struct ks_crypto_result **ret,
                                     struct ks_error *error);
KS_API void ks_crypto_result_free(struct ks_crypto_result *result); /* wipes; accepts NULL */

/*
 * RNG Retrieve (1.4: 4.34; 2.1: 6.1.49): len random bytes of the server's, in as many requests as it takes. Nothing is
 * written to ret unless all came. RNG Seed (6.1.50): ret_taken (may be NULL): how many bytes the server says it took.
 */
KS_API_MUST_CHECK int ks_client_rng_retrieve(struct ks_client *client, const struct ks_call *call, void *ret,
                                             size_t len, struct ks_error *error);
KS_API_MUST_CHECK int ks_client_rng_seed(struct ks_client *client, const struct ks_call *call, struct ks_bytes seed,
                                         size_t *ret_taken, struct ks_error *error);

/* ---- The server ------------------------------------------------------------------------------------------------ */

struct ks_version {
    int32_t major, minor;
};

/* Discover Versions (1.4: 4.26; 2.1: 6.1.16): what the server speaks, best first. A server of 1.0 gives 1.0. */
struct ks_versions {
    size_t n;
    const struct ks_version *v;
};
KS_API_MUST_CHECK int ks_client_discover_versions(struct ks_client *client, const struct ks_call *call,
                                                  struct ks_versions **ret, struct ks_error *error);
KS_API void ks_versions_free(struct ks_versions *versions);

/* Query (1.4: 4.25; 2.1: 6.1.40): operations, object types, server information. */
struct ks_query_result {
    size_t n_operations, n_object_types, n_namespaces;
    const uint32_t *operations, *object_types;
    const char *const *namespaces; /* Application Namespaces */
    const char *vendor;            /* Vendor Identification; NULL: not given */
};
KS_API_MUST_CHECK int ks_client_query(struct ks_client *client, const struct ks_call *call,
                                      struct ks_query_result **ret, struct ks_error *error);
KS_API void ks_query_result_free(struct ks_query_result *result);

/*
 * Keystead's own operations (kmip/spec/ops.def). Server Status is answered by a sealed server too. `version` is the
 * protocol version that was agreed on, `server` the one that answered.
 */
struct ks_status {
    char server[256];
    struct ks_version version;
    const char *server_version; /* "0.1.0" */
    const char *node;
    bool sealed;
    int64_t objects; /* -1: not said */
    uint32_t uptime_s;
    const char *profile; /* of algorithms: "fips", "cnsa2", "compat"; NULL: not said */
};
KS_API_MUST_CHECK int ks_client_status(struct ks_client *client, const struct ks_call *call, struct ks_status **ret,
                                       struct ks_error *error);
KS_API void ks_status_free(struct ks_status *status);

/* KS_E_DENIED or KS_E_KMIP: a wrong passphrase. ret_sealed: whether it is sealed still. */
KS_API_MUST_CHECK int ks_client_unseal(struct ks_client *client, const struct ks_call *call, struct ks_bytes passphrase,
                                       bool *ret_sealed, struct ks_error *error);

/*
 * A token that lets another machine enrol once, as that client. role NULL: client. valid_s 0: the server's choice.
 * leniency: what that client is to be forgiven, names with commas between them (see the manual); NULL: nothing.
 */
struct ks_enroll_token {
    const char *text; /* secret */
    int64_t expires;  /* seconds since 1970 */
};
KS_API_MUST_CHECK int ks_client_enroll_token_create(struct ks_client *client, const struct ks_call *call,
                                                    const char *name, const char *role, uint32_t valid_s,
                                                    const char *leniency, struct ks_enroll_token **ret,
                                                    struct ks_error *error);
KS_API void ks_enroll_token_free(struct ks_enroll_token *token); /* wipes; accepts NULL */

/*
 * Turns a token into a certificate: without a client, since there is no certificate yet. The server must show a CA
 * certificate whose fingerprint is the one in the token, and a certificate of that CA for the host; nothing is sent
 * before that. request: PKCS#10, DER. KS_E_INVALID: not a token. KS_E_TLS: not the server that the token was made by.
 */
struct ks_enroll {
    const char *token;
    const char *server;      /* as in the configuration */
    const char *server_name; /* NULL: the host of server */
    struct ks_bytes request;
};
struct ks_enroll_result {
    const char *name;            /* of the client */
    struct ks_bytes certificate; /* DER */
    struct ks_bytes ca;          /* DER */
};
KS_API_MUST_CHECK int ks_client_enroll(const struct ks_enroll *params, const struct ks_call *call,
                                       struct ks_enroll_result **ret, struct ks_error *error);
KS_API void ks_enroll_result_free(struct ks_enroll_result *result);

/*
 * Re-Provision (2.1: 6.1.48): another certificate for this client itself. By a request for it, it is there to Get under
 * ret_uid. A certificate of one's own is taken if an authority that the server takes clients from stands for it. With
 * neither the server makes a key: ret_uid is the private key, whose Certificate Link leads to the certificate. The old
 * one is good until the new one is first used. Needs 2.0.
 */
struct ks_re_provision {
    struct ks_bytes request;     /* PKCS#10, DER; empty: none */
    struct ks_bytes certificate; /* X.509, DER; empty: none */
};
KS_API_MUST_CHECK int ks_client_re_provision(struct ks_client *client, const struct ks_call *call,
                                             const struct ks_re_provision *params, char ret_uid[KS_UID_SIZE],
                                             struct ks_error *error);

/* The clients that the server knows. */
struct ks_client_entry {
    const char *name, *role;
    const char *fingerprint; /* SHA-256 of the certificate, hexadecimal */
    int64_t expires;         /* seconds since 1970 */
    bool revoked;
    const char *leniency; /* what it is forgiven; NULL: nothing */
};
struct ks_client_entries {
    size_t n;
    const struct ks_client_entry *v;
};
KS_API_MUST_CHECK int ks_client_list(struct ks_client *client, const struct ks_call *call,
                                     struct ks_client_entries **ret, struct ks_error *error);
KS_API void ks_client_entries_free(struct ks_client_entries *entries);
/* Takes all access from the client of that name. */
KS_API_MUST_CHECK int ks_client_revoke_client(struct ks_client *client, const struct ks_call *call, const char *name,
                                              struct ks_error *error);

/*
 * Where this client listens for Notify and Put (docs/kmip.md); address NULL: nowhere any more. An address that the
 * server's configuration does not allow is refused (KS_E_DENIED).
 */
struct ks_listener {
    const char *address; /* "192.0.2.7:5699"; "": where ks_client_serve is called */
    bool notify, put;    /* what it wants; one at least */
    bool own;            /* also of what this client does itself */
};
KS_API_MUST_CHECK int ks_client_listener_set(struct ks_client *client, const struct ks_call *call,
                                             const struct ks_listener *listener, struct ks_error *error);

/*
 * Takes Notify and Put over a connection of its own, whose roles it turns (Set Endpoint Role, KMIP 2.0): for clients
 * that cannot be called. A client that has not said what it wants (ks_client_listener_set) is sent both, of what others
 * do with its objects. Returns when take says so, when the call is interrupted or its timeout_ms is over (0: no end),
 * or KS_E_CLOSED when the connection ends: what waits at the server is sent on the next one, what was not answered
 * again.
 *
 * take: 0: taken; KS_SERVE_LAST: taken, and ks_client_serve is to return 0; other codes: the server is told that it was
 * not taken, and does not send it again. What served points to is wiped when take returns.
 */
struct ks_served {
    bool put;                       /* else Notify */
    const char *uid;                /* of the object */
    const char *replaced;           /* Put: of the object whose place it takes; NULL: none */
    const struct ks_object *object; /* Put; NULL: Notify */
    const struct ks_attributes
        *attributes;  /* Notify: that changed, in 1.x with no value where they are gone; Put: all */
    size_t n_deleted; /* Notify from 2.0: how many are gone */
};
enum { KS_SERVE_LAST = 1 };
typedef int (*ks_client_serve_fn)(void *arg, const struct ks_served *served);
KS_API_MUST_CHECK int ks_client_serve(struct ks_client *client, const struct ks_call *call, ks_client_serve_fn take,
                                      void *arg, struct ks_error *error);

/* ---- Anything else --------------------------------------------------------------------------------------------- */

/*
 * One Request Message in TTLV, one Response Message back, as they are: neither is looked into but for its length.
 * repeatable: the request may be sent a second time if a connection breaks before the answer.
 */
struct ks_raw_response {
    struct ks_bytes bytes;
};
KS_API_MUST_CHECK int ks_client_raw(struct ks_client *client, const struct ks_call *call, struct ks_bytes request,
                                    bool repeatable, struct ks_raw_response **ret, struct ks_error *error);
KS_API void ks_raw_response_free(struct ks_raw_response *response); /* wipes; accepts NULL */

#ifdef __cplusplus
}
#endif

#endif
