/* What commands and the KMIP provider have in common: a slot's KMS. */
#pragma once

#include <keystead/client.h>

#include "tde/wrap.h"

/* A client of the slot's servers, with its files. timeout_ms: of each call. Freed by ks_client_free. */
int tde_kmip_connect(const struct tde_slot *slot, int64_t timeout_ms, struct ks_client **ret,
                     struct ks_diag *diag) KS_MUST_CHECK;

/* An Active key that Keystead says is suspended, in whichever mode, or whose Process Start Date is still to come:
 * KMIP's way to suspend one, which nothing is decrypted with. */
enum { TDE_KMIP_SUSPENDED = 0x7ffffff1 };

/*
 * State of the slot's key encryption key, enum kmip_state or TDE_KMIP_SUSPENDED; 0: the KMS does not say. KS_E_DENIED:
 * it answered that the key is not there or not for this client.
 */
int tde_kmip_state(struct ks_client *client, const struct tde_slot *slot, uint32_t *ret,
                   struct ks_diag *diag) KS_MUST_CHECK;

/* Whether the KMS answered, and took the key from us: gone, archived, not permitted. Other failures are its own. */
bool tde_kmip_refused(const struct ks_error *error);

/* "Deactivated"; never NULL. */
const char *tde_kmip_state_word(uint32_t state);
