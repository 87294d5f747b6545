/* What commands and the KMIP provider have in common: a slot's KMS. */
#pragma once

#include <keystead/client.h>

#include "tde/wrap.h"

/* A client of the slot's servers, with its files. timeout_ms: of each call. Freed by ks_client_free. */
int tde_kmip_connect(const struct tde_slot *slot, int64_t timeout_ms, struct ks_client **ret,
                     struct ks_diag *diag) KS_MUST_CHECK;

/* State of the slot's key encryption key, enum kmip_state; 0: the KMS does not say. */
int tde_kmip_state(struct ks_client *client, const struct tde_slot *slot, uint32_t *ret,
                   struct ks_diag *diag) KS_MUST_CHECK;

/* "Deactivated"; never NULL. */
const char *tde_kmip_state_word(uint32_t state);
