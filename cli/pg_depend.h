/*
 * What depends on a key encryption key, as the KMS is told: custom attributes of the key, x-keystead-needs-<id>, whose
 * values say it in words. Any KMIP server keeps them; Keystead's does not destroy a key that has some.
 */
#pragma once

#include "cli/pg.h"

enum { PG_DEPEND_ID = 96, PG_DEPEND_TEXT = 512 };

/* The id of a backup, or of the WAL of a timeline, of a cluster: what is no letter or digit in it becomes "-". */
void pg_depend_id(const struct tde_keyring *keyring, const char *what, char ret[PG_DEPEND_ID]);

/*
 * At the KMS of each KMIP slot: it is needed by this; text NULL: not any more. keep: what is said of it there
 * already stays. ret_n: how many slots that were.
 * KS_E_NOT_FOUND: it was not registered there.
 */
int pg_depend_set(struct cli *cli, const struct tde_keyring *keyring, const char *id, const char *text, bool keep,
                  int64_t timeout_ms, size_t *ret_n) KS_MUST_CHECK;

/* Calls `each` for everything that a key has of it; how many. attributes: of the key, all. */
struct ks_attributes;
typedef void pg_depend_fn(void *arg, const char *id, const char *text);
size_t pg_depend_list(const struct ks_attributes *attributes, pg_depend_fn *each, void *arg);
