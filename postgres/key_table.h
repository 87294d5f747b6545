/*
 * The tables keystead.key and keystead.data_key.
 *
 * Users may not read them; they are read and written here as their owner, with qualified names and operators, so
 * that the caller's rights and search_path do not matter. What a caller may do is decided by the right to execute
 * the SQL function.
 *
 * Names are remembered per backend. Whoever changes the tables makes every backend forget them: triggers send a
 * cache invalidation, so a rotation is seen by other sessions with its commit.
 */
#pragma once

#include "postgres/compat.h"

#include "postgres/kms.h"
#include "postgres/value.h"

enum {
    KS_KEY_NAME_SIZE = 128,
    KS_DATA_KEY_CHECK = 16,
    KS_DATA_KEY_WRAPPED = KS_KMS_WRAPPED + KS_DATA_KEY_CHECK, /* what the KMS made | check: see data_key.c */
};

struct ks_data_key {
    struct ks_value_key which;
    char name[KS_KEY_NAME_SIZE];
    char kek[KS_UID_SIZE];      /* the KMS's identifier of the key that wraps it */
    uint64_t system_identifier; /* the cluster and database that it was wrapped for */
    Oid database;
    uint8_t wrapped[KS_DATA_KEY_WRAPPED];
};

/* The key of that name, with its current version. Reports an unknown name. */
void ks_key_table_find(const char *name, struct ks_value_key *ret);

/* The same with the row locked until the transaction ends. */
void ks_key_table_lock(const char *name, struct ks_value_key *ret);

/* Locks all keys. */
void ks_key_table_lock_all(void);

/* The name of a key; "an unknown key" if it is not here. In the current memory context. */
const char *ks_key_table_name(const uint8_t id[KS_VALUE_ID]);

/* Whether there is such a data key. */
bool ks_key_table_data_key(const struct ks_value_key *which, struct ks_data_key *ret);

/*
 * The data keys of one key, or of all (id NULL), by key and version; the array is in the current memory context.
 * current_only: the current version of each alone.
 */
size_t ks_key_table_data_keys(const uint8_t *id, bool current_only, struct ks_data_key **ret);

/* Whether a data key is wrapped by that KEK. */
bool ks_key_table_uses(const char *kek);

/* Reports a name that is taken. */
void ks_key_table_insert(const char *name, const uint8_t id[KS_VALUE_ID]);
void ks_key_table_insert_data_key(const struct ks_data_key *data_key);
void ks_key_table_update_data_key(const struct ks_data_key *data_key);
void ks_key_table_set_version(const struct ks_value_key *current);

/* For the trigger and for abort: forgets the names that this backend remembers. */
void ks_key_table_forget_names(void);
