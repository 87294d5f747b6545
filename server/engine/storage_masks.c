#include "server/engine/storage_masks.h"

#include "kmip/schema.h"

/* The masks that the payload has under the tag; NULL: none. */
static const struct kmip_protection_storage_masks *
masks_of(const struct ctx *ctx, const void *payload, uint32_t tag)
{
    const struct kmip_schema *schema = ctx->op->request;
    const void *masks = NULL;
    for (size_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i].tag == tag && schema->fields[i].sub == &kmip_schema_protection_storage_masks &&
            schema->fields[i].card == KMIP_CARD_OPT)
            memcpy(&masks, (const uint8_t *)payload + schema->fields[i].at, sizeof(masks));
    return masks;
}

static int
check(struct ctx *ctx, const struct kmip_protection_storage_masks *masks, enum condition condition)
{
    if (masks == NULL || masks->n_protection_storage_mask == 0)
        return 0;
    for (size_t i = 0; i < masks->n_protection_storage_mask; i++)
        if ((masks->protection_storage_mask[i] & ~(uint32_t)STORAGE_MASKS_HERE) == 0)
            return 0;
    return engine_fail(ctx, condition,
                       "no Protection Storage Mask of the request can be met: this server keeps objects in Software");
}

int
storage_masks_check(struct ctx *ctx, const void *payload)
{
    if (ctx->version < KMIP_V2_0)
        return 0;
    const struct kmip_protection_storage_masks *common =
        masks_of(ctx, payload, KMIP_TAG_COMMON_PROTECTION_STORAGE_MASKS);
    const struct kmip_protection_storage_masks *private =
        masks_of(ctx, payload, KMIP_TAG_PRIVATE_PROTECTION_STORAGE_MASKS);
    const struct kmip_protection_storage_masks *public =
        masks_of(ctx, payload, KMIP_TAG_PUBLIC_PROTECTION_STORAGE_MASKS);
    KS_TRY(check(ctx, masks_of(ctx, payload, KMIP_TAG_PROTECTION_STORAGE_MASKS), COND_STORAGE_MASKS));
    KS_TRY(check(ctx, private != NULL ? private : common, private != NULL ? COND_STORAGE_PRIVATE : COND_STORAGE_MASKS));
    return check(ctx, public != NULL ? public : common, public != NULL ? COND_STORAGE_PUBLIC : COND_STORAGE_MASKS);
}
