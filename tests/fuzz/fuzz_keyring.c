/* A keyring: whoever can write into a data directory can have written it. What is read is what would be written. */
#include "fuzz.h"

#include "tde/keyring.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ks_diag diag = {0};
    TDE_KEYRING_PTR *keyring = NULL;
    const int rc = tde_keyring_decode(KS_SPAN(data, size), &keyring, &diag);
    if (rc != 0) {
        FUZZ_ASSERT(keyring == NULL && diag.code == rc && diag.message[0] != '\0');
        return 0;
    }
    const struct ks_key32 key = {{1}};
    KS_CLEANUP(ks_buf_done) struct ks_buf again = KS_BUF(TDE_KEYRING_MAX);
    FUZZ_ASSERT(tde_keyring_primary(keyring) != NULL);
    FUZZ_ASSERT(tde_keyring_encode(keyring, &key, &again, NULL) == 0);
    FUZZ_ASSERT(again.len == size && memcmp(again.data, data, size - 32) == 0); /* all but the code */
    return 0;
}
