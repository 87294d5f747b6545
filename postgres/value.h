/*
 * The form of an encrypted value, as it stands in a bytea column.
 *
 *     format (1 byte, 1) | key (16) | version (4, big-endian) | salt (12) | IV (12) | ciphertext | tag (16)
 *
 * Each value is sealed with AES-256-GCM under a subkey of its own, derived from the data key (SP 800-108) with the
 * first 33 bytes, its header, as context; the header is also the associated data. Salt and IV are 192 random bits
 * together, so that a data key is not bound to the 2^32 messages that SP 800-38D allows a GCM key with random IVs:
 * no counter has to be kept in the database or agreed on between backends.
 *
 * No PostgreSQL here, so that it can be tested alone.
 */
#pragma once

#include "base/mem.h"
#include "crypto/seal.h"

enum {
    KS_VALUE_ID = 16,
    KS_VALUE_SALT = 12,
    KS_VALUE_FORMAT = 1,
    KS_VALUE_HEADER = 1 + KS_VALUE_ID + 4 + KS_VALUE_SALT,
    KS_VALUE_OVERHEAD = KS_VALUE_HEADER + KS_SEAL_OVERHEAD,
};

/* What a value says about its key. Believed only after ks_value_open. */
struct ks_value_key {
    uint8_t id[KS_VALUE_ID];
    uint32_t version;
};

/* KS_E_MALFORMED: too short, or a format that this version does not know; says which. */
int ks_value_parse(struct ks_span value, struct ks_value_key *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* Appends the encrypted value: plaintext.len + KS_VALUE_OVERHEAD bytes. data_key belongs to that key and version. */
int ks_value_seal(const struct ks_key32 *data_key, const struct ks_value_key *key, struct ks_span plaintext,
                  struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* Appends the plaintext. KS_E_INTEGRITY: changed bytes, or another data key. KS_E_MALFORMED as ks_value_parse. */
int ks_value_open(const struct ks_key32 *data_key, struct ks_span value, struct ks_buf *ret,
                  struct ks_diag *diag) KS_MUST_CHECK;
