/* The checker: whether a struct that a program filled in can be sent. Decoding checks the same for what was received.
 */
#include "kmip/walk.h"

static int
check_one(const struct kmip_field *f, enum kmip_version version, uint32_t operation, const void *value,
          struct ks_diag *diag)
{
    const struct kmip_operation *op;
    switch (f->kind) {
    case KMIP_KIND_ENUM:
        if (!kmip_enum_known(f->tag, *(const uint32_t *)value, version))
            return ks_fail(diag, f->tag == KMIP_TAG_OPERATION ? KS_E_UNSUPPORTED : KS_E_INVALID,
                           "%s 0x%08X does not exist in this version of KMIP", kmip_tag_name(f->tag),
                           *(const uint32_t *)value);
        return 0;
    case KMIP_KIND_TEXT:
    case KMIP_KIND_BYTES:
    case KMIP_KIND_BIG:
        if (((const struct ks_span *)value)->len > UINT32_MAX - 8)
            return ks_fail(diag, KS_E_LIMIT, "%s is longer than 4 GiB", kmip_tag_name(f->tag));
        return 0;
    case KMIP_KIND_STRUCT:
        return kmip_check(f->sub, version, *(const void *const *)value, diag);
    case KMIP_KIND_PAYLOAD:
        op = kmip_operation_find(operation);
        if (op == NULL || version < op->since || version > op->until)
            return ks_fail(diag, KS_E_UNSUPPORTED, "the operation 0x%08X does not exist in this version of KMIP",
                           operation);
        return kmip_check(f->tag == KMIP_TAG_REQUEST_PAYLOAD ? op->request : op->response, version,
                          *(const void *const *)value, diag);
    default:
        return 0;
    }
}

int
kmip_check(const struct kmip_schema *schema, enum kmip_version version, const void *base, struct ks_diag *diag)
{
    uint32_t operation = 0;
    for (unsigned i = 0; i < schema->n_fields; i++) {
        const struct kmip_field *f = &schema->fields[i];
        if (f->kind == KMIP_KIND_GROUP) {
            KS_TRY(kmip_check(f->sub, version, kmip_field_at(f, base), diag));
            continue;
        }
        if (!kmip_field_in(f, version))
            continue;
        const bool wrapped = f->kind == KMIP_KIND_ATTRS_T || f->kind == KMIP_KIND_ATTRS_2;
        const size_t n = kmip_field_count(f, base);
        if (n == 0 && !wrapped && (f->card == KMIP_CARD_ONE || f->card == KMIP_CARD_SOME))
            return ks_fail(diag, KS_E_INVALID, "%s of %s is required and was not set", f->member, schema->name);
        if (f->tag == KMIP_TAG_OPERATION && f->card <= KMIP_CARD_OPT)
            operation = *(const uint32_t *)kmip_field_at(f, base);
        const bool array = f->card == KMIP_CARD_MANY || f->card == KMIP_CARD_SOME;
        const uint8_t *at = kmip_field_at(f, base);
        for (size_t j = 0; j < n && (array || j == 0); j++)
            KS_TRY(check_one(f, version, operation,
                             array ? *(const uint8_t *const *)(const void *)at + j * f->member_size : at, diag));
    }
    return 0;
}
