/* Data keys: getting one unwrapped, making one, wrapping one again. */
#pragma once

#include "postgres/compat.h"

#include "postgres/key_table.h"
#include "postgres/kms.h"

/*
 * The data key, from this backend's cache or unwrapped by the KMS. Reports every failure; when it returns, ret holds
 * the key and nothing may ereport until it is wiped.
 */
void ks_data_key_get(const struct ks_value_key *which, struct ks_key32 *ret);

/*
 * A fresh data key for this database, wrapped by kek; fills data_key's wrapped, system_identifier and database.
 * which, name and kek are set. Does not report.
 */
int ks_data_key_make(struct ks_kms *kms, struct ks_data_key *data_key, struct ks_error *error) KS_MUST_CHECK;

/*
 * The same key under another KEK, for this database, whichever database it was wrapped for before. Does not report.
 * ret_state as of ks_kms_unwrap.
 */
int ks_data_key_rewrap(struct ks_kms *kms, struct ks_data_key *data_key, const char *new_kek, uint32_t *ret_state,
                       struct ks_error *error) KS_MUST_CHECK;

/* Whether it was wrapped for this cluster and database. */
bool ks_data_key_is_ours(const struct ks_data_key *data_key);
