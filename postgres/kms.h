/*
 * What the extension asks of the key management system, through libkeystead.
 *
 * No PostgreSQL here: nothing in this file or below it can longjmp, palloc or log, so cleanup attributes hold. The
 * caller turns a struct ks_error into an SQL error when all is freed and wiped (postgres/report.h).
 *
 * A key encryption key (KEK) is an AES-256 key that stays in the KMS: good for Encrypt and Decrypt alone, sensitive and
 * not extractable where the server can promise that. A data key is 32 random bytes made here; the KMS wraps it with
 * AES-GCM, and the associated data says whose it is.
 */
#pragma once

#include <keystead/client.h>

#include "base/mem.h"

enum {
    KS_KMS_IV = 12,
    KS_KMS_TAG = 16,
    KS_KMS_WRAPPED = KS_KMS_IV + 32 + KS_KMS_TAG, /* IV | ciphertext | tag */
};

struct ks_kms;

struct ks_kms_config {
    const char *config_file; /* "" or NULL where not set, as the other texts */
    const char *servers;     /* comma-separated; tried before those in the file */
    const char *ca_file, *certificate_file, *key_file;
    int connect_timeout_ms, request_timeout_ms;
    int (*interrupted)(void *arg); /* non-zero: the statement was cancelled */
};

/* Whether servers is a list as the setting wants it. KS_E_CONFIG names the entry that is wrong. */
int ks_kms_check_servers(const char *servers, struct ks_error *error) KS_MUST_CHECK;

/* Reads the files; connects with the first request. */
int ks_kms_new(const struct ks_kms_config *config, struct ks_kms **ret, struct ks_error *error) KS_MUST_CHECK;
void ks_kms_free(struct ks_kms *kms); /* closes connections; accepts NULL */

/*
 * A new, active KEK with that Name. information goes into Application Specific Information ("cluster=...;db=..."), if
 * the server takes it. KS_E_EXISTS: the name is taken.
 */
int ks_kms_create(struct ks_kms *kms, const char *name, const char *information, char ret_uid[KS_UID_SIZE],
                  struct ks_error *error) KS_MUST_CHECK;

/* Revokes and destroys a KEK that nothing was kept under. */
int ks_kms_discard(struct ks_kms *kms, const char *uid, struct ks_error *error) KS_MUST_CHECK;

/* The KEK that takes the old one's place and name; active. */
int ks_kms_rekey(struct ks_kms *kms, const char *uid, char ret_new_uid[KS_UID_SIZE],
                 struct ks_error *error) KS_MUST_CHECK;

/*
 * The key that has replaced this one, at the end of the chain of Replacement Object Links, if there is one and it is
 * Active.
 */
int ks_kms_successor(struct ks_kms *kms, const char *uid, bool *ret_found, char ret_uid[KS_UID_SIZE],
                     struct ks_error *error) KS_MUST_CHECK;

int ks_kms_wrap(struct ks_kms *kms, const char *uid, struct ks_span aad, const struct ks_key32 *key,
                uint8_t ret[KS_KMS_WRAPPED], struct ks_error *error) KS_MUST_CHECK;

/*
 * The KEK must be Active: KMIP lets a deactivated key decrypt, but here revoked means that the data is not to be read.
 * KS_E_DENIED with the state in the message otherwise, and ret_state is set then (KMIP State; 0: the failure is
 * another).
 */
int ks_kms_unwrap(struct ks_kms *kms, const char *uid, struct ks_span aad, struct ks_span wrapped, struct ks_key32 *ret,
                  uint32_t *ret_state, struct ks_error *error) KS_MUST_CHECK;

/* What the view shows of KEKs; dates in seconds since 1970, 0 where there is none. */
struct ks_kms_info {
    int code; /* KS_E_*: why nothing is known of this one */
    uint32_t state;
    uint32_t algorithm;
    int32_t length;
    int64_t created, activated, deactivated;
};

/* ret has room for n. Fails as a whole only if the server cannot be asked. */
int ks_kms_describe(struct ks_kms *kms, const char *const *uids, size_t n, struct ks_kms_info *ret,
                    struct ks_error *error) KS_MUST_CHECK;
