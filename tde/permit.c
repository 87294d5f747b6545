#include "tde/permit.h"

#include <keystead/kmip.h>

#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"

static const uint8_t magic[8] = {'K', 'S', 'T', 'D', 'E', 'P', 'M', '1'};
enum { MAC = 32, BODY = TDE_PERMIT_LEN - MAC };

static int
code(const struct tde_bundle *bundle, const uint8_t body[BODY], uint8_t ret[MAC])
{
    KS_KEY32 key;
    const struct tde_bundle_key *from = NULL;
    for (uint32_t i = 0; i < bundle->count; i++)
        if (bundle->keys[i].purpose == TDE_PURPOSE_MISC && bundle->keys[i].state == TDE_KEY_ACTIVE)
            from = &bundle->keys[i];
    if (from == NULL)
        return KS_E_NOT_FOUND;
    KS_TRY(ks_kdf_hkdf(KMIP_HASHING_ALGORITHM_SHA_256, KS_SPAN(from->key, TDE_BUNDLE_KEY), KS_SPAN_NONE,
                       KS_LIT("keystead tde 1 permit"), key.b, sizeof(key.b), NULL));
    return ks_hmac(KMIP_HASHING_ALGORITHM_SHA_256, KS_SPAN(key.b, sizeof(key.b)), KS_SPAN(body, BODY), ret, NULL);
}

int
tde_permit_make(const struct tde_bundle *bundle, int64_t until, uint8_t ret[TDE_PERMIT_LEN])
{
    uint8_t permit[TDE_PERMIT_LEN];
    memcpy(permit, magic, sizeof(magic));
    memcpy(permit + sizeof(magic), bundle->cluster, TDE_BUNDLE_ID);
    ks_put_be64(permit + sizeof(magic) + TDE_BUNDLE_ID, (uint64_t)until);
    KS_TRY(code(bundle, permit, permit + BODY));
    memcpy(ret, permit, sizeof(permit));
    return 0;
}

int
tde_permit_check(const struct tde_bundle *bundle, struct ks_span file, int64_t now, int64_t *ret_until)
{
    uint8_t mac[MAC];
    if (file.len != TDE_PERMIT_LEN || memcmp(file.data, magic, sizeof(magic)) != 0)
        return KS_E_MALFORMED;
    KS_TRY(code(bundle, file.data, mac));
    if (memcmp(file.data + sizeof(magic), bundle->cluster, TDE_BUNDLE_ID) != 0 ||
        !ks_equal_secret(mac, file.data + BODY, MAC))
        return KS_E_INTEGRITY;
    const int64_t until = (int64_t)ks_be64(file.data + sizeof(magic) + TDE_BUNDLE_ID);
    *ret_until = until;
    return now < until ? 0 : KS_E_DENIED;
}
