#include "tde/wrap_lease.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "tde/wrap_kmip.h"

static void say(struct tde_lease *ret, enum tde_lease_state state, const char *word, const char *fmt, ...)
    KS_PRINTF(4, 5);
static void
say(struct tde_lease *ret, enum tde_lease_state state, const char *word, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): started just above */
    (void)vsnprintf(ret->message, sizeof(ret->message), fmt, args);
    va_end(args);
    (void)snprintf(ret->word, sizeof(ret->word), "%s", word);
    for (char *p = ret->word; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    ret->state = state;
}

/* The key is there and active: is it leased to us? */
static void
obtain(struct ks_client *client, const struct tde_slot *slot, const char *what, struct tde_lease *ret)
{
    struct ks_lease lease = {0};
    struct ks_error error = {0};
    const int rc = ks_client_obtain_lease(client, NULL, slot->uid, &lease, &error);
    if (rc != 0 && rc != KS_E_UNSUPPORTED) { /* a KMS without leases has told the state */
        const bool refused = tde_kmip_refused(&error);
        say(ret, refused ? TDE_LEASE_WITHDRAWN : TDE_LEASE_UNKNOWN, refused ? "not permitted" : "unknown",
            "%s is not leased any more: %.300s", what, error.message);
        return;
    }
    ret->seconds = lease.seconds;
    say(ret, TDE_LEASE_ACTIVE, "active", "%s is active", what);
}

static void
ask_slot(const struct tde_slot *slot, int64_t timeout_ms, struct tde_lease *ret)
{
    struct ks_client *client = NULL;
    struct ks_diag diag = {0};
    uint32_t state = 0;
    char what[320];
    ret->slot = slot->id;
    ret->seconds = 0;
    (void)snprintf(what, sizeof(what), "the key encryption key %.120s at the KMS (%.160s)",
                   slot->name[0] != '\0' ? slot->name : slot->uid, slot->servers);
    int rc = tde_kmip_connect(slot, timeout_ms, &client, &diag);
    if (rc == 0)
        rc = tde_kmip_state(client, slot, &state, &diag);
    if (rc == KS_E_DENIED)
        say(ret, TDE_LEASE_WITHDRAWN, "not permitted", "%s", diag.message);
    else if (rc != 0)
        say(ret, TDE_LEASE_UNKNOWN, tde_is_unreachable(rc) ? "unreachable" : "unknown", "%s", diag.message);
    else if (state != 0 && state != KMIP_STATE_ACTIVE)
        say(ret, TDE_LEASE_WITHDRAWN, tde_kmip_state_word(state), "%s is %s", what, tde_kmip_state_word(state));
    else
        obtain(client, slot, what, ret);
    ks_client_free(client);
}

void
tde_lease_ask(struct tde_keyring *keyring, int64_t timeout_ms, struct tde_lease *ret)
{
    const struct tde_slot *primary = tde_keyring_primary(keyring);
    struct tde_lease other = {0};
    *ret = (struct tde_lease){.slot = primary != NULL ? primary->id : 0};
    if (primary == NULL || primary->provider != TDE_PROVIDER_KMIP) {
        say(ret, TDE_LEASE_NONE, "internal", "the keys are not wrapped by a KMS: there is no lease");
        return;
    }
    ask_slot(primary, timeout_ms, ret);
    for (size_t i = 0;
         ret->state == TDE_LEASE_UNKNOWN && keyring->unreachable == TDE_UNREACHABLE_OTHER && i < keyring->n_slots;
         i++) {
        const struct tde_slot *slot = &keyring->slots[i];
        if (slot->primary == 1 || slot->provider != TDE_PROVIDER_KMIP)
            continue;
        ask_slot(slot, timeout_ms, &other);
        if (other.state == TDE_LEASE_ACTIVE)
            *ret = other;
    }
}
