/* A keyring for tests, with one slot that nobody's key wraps. Behind cmocka's headers. */
#pragma once

#include "tde/keyring.h"

enum { TDE_TEST_NOW = 1790000000 };

static inline struct tde_keyring *
tde_test_keyring(struct ks_key32 *ret_key)
{
    struct tde_keyring *keyring = NULL;
    assert_int_equal(tde_keyring_new(TDE_TEST_NOW, &keyring, ret_key, NULL), 0);
    struct tde_slot *slot = tde_keyring_add_slot(keyring, TDE_TEST_NOW);
    assert_non_null(slot);
    slot->provider = TDE_PROVIDER_KEY_FILE;
    memcpy(slot->path, "/run/keys/cluster", 18);
    slot->wrapped_len = 60;
    memset(slot->wrapped, 0xa5, slot->wrapped_len);
    return keyring;
}
