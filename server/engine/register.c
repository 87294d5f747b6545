/* The object in a Register request: its facts, and its material as it is kept. */
#include "crypto/cert.h"
#include "crypto/keygen.h"
#include "crypto/pq.h"
#include "server/engine/attr.h"
#include "server/engine/certificate.h"
#include "server/engine/material.h"
#include "server/engine/wrap.h"

/* A fact that both the attributes and the object may state: they have to agree. */
static int
agree(struct ctx *ctx, struct core *core, enum core_id id, bool has, int64_t value)
{
    if (!has)
        return 0;
    if (core_has(core, id) && core_get(core, id) != value)
        return engine_fail(ctx, COND_BAD_FIELD, "%s in the attributes is not that of the object",
                           kmip_tag_name(core_rows[id].tag));
    core_set(core, id, value);
    return 0;
}

static int
check_symmetric(struct ctx *ctx, struct core *core, size_t len)
{
    size_t bytes = 0;
    const int64_t bits = core_get(core, CORE_LENGTH);
    if (!core_has(core, CORE_LENGTH)) {
        core_set(core, CORE_LENGTH, (int64_t)len * 8);
        return 0;
    }
    if (bits == (int64_t)len * 8)
        return 0;
    if (bits > 0 && ks_keygen_length((uint32_t)core_get(core, CORE_ALGORITHM), (size_t)bits, 0, &bytes, NULL) == 0 &&
        bytes == len)
        return 0;
    return engine_fail(ctx, COND_BAD_FIELD,
                       "the Key Material has %zu bytes, which does not fit its Cryptographic Length", len);
}

/* PKCS#8's EncryptedPrivateKeyInfo begins with an AlgorithmIdentifier, PrivateKeyInfo with a version. */
static bool
is_encrypted_pkcs8(const struct core *core, const struct material *material)
{
    const struct ks_span b = material->bytes;
    if (core_get(core, CORE_KEY_FORMAT_TYPE) != KMIP_KEY_FORMAT_TYPE_PKCS_8 || b.len < 8 || b.data[0] != 0x30)
        return false;
    const size_t at = b.data[1] < 0x80 ? 2 : 2 + (size_t)(b.data[1] & 0x7f);
    return at < b.len && b.data[at] == 0x30;
}

/* An asymmetric key in a format that crypto/ reads has to be one, and says algorithm and length itself. */
static int
check_pkey(struct ctx *ctx, struct rev *draft, const struct material *material, struct ks_pkey **ret)
{
    KS_PKEY *key = NULL;
    const int rc = material_pkey(ctx, draft, material, &key);
    if (rc == KS_E_UNSUPPORTED || (rc != KS_E_NOMEM && rc != 0 && is_encrypted_pkcs8(&draft->core, material)))
        return 0; /* kept as it is */
    if (rc == KS_E_NOMEM)
        return rc;
    if (rc != 0)
        return engine_fail(ctx, COND_BAD_FIELD, "the Key Material is no key of its Key Format Type");
    struct ks_pkey_info info;
    ks_pkey_info(key, &info);
    if (!core_has(&draft->core, CORE_ALGORITHM))
        core_set(&draft->core, CORE_ALGORITHM, info.algorithm);
    if (!core_has(&draft->core, CORE_LENGTH))
        core_set(&draft->core, CORE_LENGTH, info.bits);
    const uint32_t said = (uint32_t)core_get(&draft->core, CORE_ALGORITHM);
    if (said != info.algorithm && (ks_pq_is(said) || ks_pq_is(info.algorithm)))
        return engine_fail(ctx, COND_BAD_FIELD,
                           "the Key Material is a key of another kind than its Cryptographic Algorithm says");
    if (info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA && core_get(&draft->core, CORE_ALGORITHM) != info.algorithm)
        return engine_fail(ctx, COND_BAD_FIELD,
                           "the Key Material is an RSA key, which its Cryptographic Algorithm does not say");
    *ret = key;
    key = NULL; /* transferred */
    return 0;
}

/* How the object of a request is taken: as it is, or unwrapped, with the attributes that were wrapped with it. */
struct taking {
    bool unwrap;
    struct kmip_attrs *ret_attributes;
};

static int
take_material(struct ctx *ctx, struct rev *draft, const struct kmip_key_block *block, struct taking *how,
              struct material *material)
{
    const struct kmip_item *value = block->key_value;
    if (block->key_wrapping_data != NULL && how->unwrap)
        return unwrap_key_value(ctx, block->key_wrapping_data, value, material, how->ret_attributes);
    if (block->key_wrapping_data != NULL) {
        KS_TRY(kmip_item_encode(&kmip_schema_key_wrapping_data, KMIP_V2_1, block->key_wrapping_data, ctx->arena,
                                &draft->wrapping));
        if (value->type == KMIP_TYPE_BYTE_STRING) {
            *material = (struct material){MATERIAL_WRAPPED, value->s};
            return 0;
        }
    }
    return key_value_material(ctx, value, material);
}

/* The material, checked for what it is; ret_key: an asymmetric key that could be read. */
static int
check_material(struct ctx *ctx, struct rev *draft, const struct material *material, struct ks_pkey **ret_key)
{
    struct core *core = &draft->core;
    const int64_t type = core_get(core, CORE_OBJECT_TYPE);
    const uint32_t format = (uint32_t)core_get(core, CORE_KEY_FORMAT_TYPE);
    if (draft->wrapping != NULL)
        return 0;
    if ((material->kind == MATERIAL_ITEM) != material_is_transparent(format))
        return engine_fail(ctx, COND_BAD_FIELD, "the Key Material does not have the form of its Key Format Type");
    if (type == KMIP_OBJECT_TYPE_SYMMETRIC_KEY && format == KMIP_KEY_FORMAT_TYPE_RAW)
        return check_symmetric(ctx, core, material->bytes.len);
    if (type == KMIP_OBJECT_TYPE_PUBLIC_KEY || type == KMIP_OBJECT_TYPE_PRIVATE_KEY)
        return check_pkey(ctx, draft, material, ret_key);
    return 0;
}

static int
take_key_block(struct ctx *ctx, const struct kmip_key_block *block, struct taking *how, struct rev *draft)
{
    struct core *core = &draft->core;
    struct material material;
    if (block == NULL)
        return engine_fail(ctx, COND_MISSING, "the object has no Key Block");
    if (block->has_key_compression_type)
        core_set(core, CORE_KEY_COMPRESSION_TYPE, block->key_compression_type);
    core_set(core, CORE_KEY_FORMAT_TYPE, block->key_format_type);
    KS_TRY(agree(ctx, core, CORE_ALGORITHM, block->has_cryptographic_algorithm, block->cryptographic_algorithm));
    KS_TRY(agree(ctx, core, CORE_LENGTH, block->has_cryptographic_length, block->cryptographic_length));
    if (block->key_value == NULL) {
        /* 1.2 and later: the key value is elsewhere, at a Key Value Location. */
        core_set(core, CORE_KEY_VALUE_PRESENT, false);
        return 0;
    }
    KS_TRY(take_material(ctx, draft, block, how, &material));
    KS_PKEY *key = NULL;
    KS_TRY(check_material(ctx, draft, &material, &key));
    return key != NULL ? material_put_key(ctx, draft, &material, key)
                       : material_put(ctx, draft, material.kind, material.bytes);
}

static int
take_certificate(struct ctx *ctx, const struct kmip_certificate *certificate, struct rev *draft)
{
    KS_TRY(agree(ctx, &draft->core, CORE_CERTIFICATE_TYPE, true, certificate->certificate_type));
    core_set(&draft->core, CORE_CERTIFICATE_LENGTH, (int64_t)certificate->certificate_value.len);
    if (certificate->certificate_type == KMIP_CERTIFICATE_TYPE_X_509)
        KS_TRY(certificate_facts(ctx, certificate->certificate_value, draft));
    return material_put(ctx, draft, MATERIAL_BYTES, certificate->certificate_value);
}

/* A PKCS#10 request has to be one, and signed by the key that it asks for; others are kept as they are. */
static int
take_request(struct ctx *ctx, const struct kmip_certificate_request *request, struct rev *draft)
{
    struct core *core = &draft->core;
    KS_PKEY *key = NULL;
    struct ks_span der;
    core_set(core, CORE_CERTIFICATE_REQUEST_TYPE, request->certificate_request_type);
    core_set(core, CORE_KEY_FORMAT_TYPE, KMIP_KEY_FORMAT_TYPE_RAW);
    if (certificate_request_readable(request->certificate_request_type)) {
        KS_TRY(certificate_request_der(ctx, request->certificate_request_type, request->certificate_request_value, &der,
                                       &key));
        struct ks_pkey_info info;
        ks_pkey_info(key, &info);
        if (!core_has(core, CORE_ALGORITHM))
            core_set(core, CORE_ALGORITHM, info.algorithm);
        if (!core_has(core, CORE_LENGTH))
            core_set(core, CORE_LENGTH, info.bits);
    }
    return material_put(ctx, draft, MATERIAL_BYTES, request->certificate_request_value);
}

/* A Name that stands in the template and not in the request is the template's own. */
static int
take_template(struct ctx *ctx, const struct kmip_template *template, struct rev *draft)
{
    const bool named = rev_name(draft).len != 0;
    for (const struct kmip_attr *a = template->attributes.first; a != NULL; a = a->next) {
        const struct kmip_attr_rule *rule = kmip_attr_rule_find(a->tag);
        if (a->tag == KMIP_TAG_NAME && ctx->version >= KMIP_V1_2)
            return engine_fail(ctx, COND_BAD_FIELD, "from 1.2 the Name of a template stands in the Template-Attribute");
        if (rule == NULL || (rule->flags & (KMIP_ATTR_CLIENT_SETS | KMIP_ATTR_CLIENT_ASKS)) == 0)
            return engine_fail(ctx, COND_ATTRIBUTE_READ_ONLY, "a template can not hold %s",
                               a->tag != 0 && kmip_tag_name(a->tag) != NULL ? kmip_tag_name(a->tag) : "that attribute");
        struct kmip_attr *copy = kmip_attrs_add(ctx->arena, &draft->content, a->tag, a->value);
        if (copy == NULL)
            return KS_E_NOMEM;
        copy->vendor = a->vendor;
        copy->name = a->name;
        copy->index = a->index;
        if (a->tag == KMIP_TAG_NAME && !named)
            KS_TRY(attr_put(ctx, draft, KMIP_TAG_NAME, a->value));
    }
    return 0;
}

static int
take_split_key(struct ctx *ctx, const struct kmip_split_key *split, struct taking *how, struct rev *draft)
{
    struct core *core = &draft->core;
    core_set(core, CORE_SPLIT_KEY_PARTS, split->split_key_parts);
    core_set(core, CORE_KEY_PART_IDENTIFIER, split->key_part_identifier);
    core_set(core, CORE_SPLIT_KEY_THRESHOLD, split->split_key_threshold);
    core_set(core, CORE_SPLIT_KEY_METHOD, split->split_key_method);
    if (split->has_split_key_polynomial)
        core_set(core, CORE_SPLIT_KEY_POLYNOMIAL, split->split_key_polynomial);
    if (split->has_prime_field_size) {
        struct kmip_item *prime = kmip_item_new(ctx->arena, KMIP_TAG_PRIME_FIELD_SIZE, KMIP_TYPE_BIG_INTEGER);
        if (prime == NULL)
            return KS_E_NOMEM;
        prime->s = split->prime_field_size;
        if (kmip_attrs_add(ctx->arena, &draft->content, KMIP_TAG_PRIME_FIELD_SIZE, prime) == NULL)
            return KS_E_NOMEM;
    }
    return take_key_block(ctx, split->key_block, how, draft);
}

/* Whether the request holds an object, of whatever type. */
static bool
has_object(const struct kmip_managed_object *from)
{
    return from->certificate != NULL || from->symmetric_key != NULL || from->public_key != NULL ||
           from->private_key != NULL || from->split_key != NULL || from->template != NULL ||
           from->secret_data != NULL || from->opaque_object != NULL || from->pgp_key != NULL ||
           from->certificate_request != NULL;
}

static int
take_object(struct ctx *ctx, const struct kmip_managed_object *from, struct taking *how, struct rev *draft)
{
    struct core *core = &draft->core;
    switch (core_get(core, CORE_OBJECT_TYPE)) {
    case KMIP_OBJECT_TYPE_CERTIFICATE:
        if (from->certificate != NULL)
            return take_certificate(ctx, from->certificate, draft);
        break;
    case KMIP_OBJECT_TYPE_SYMMETRIC_KEY:
        if (from->symmetric_key != NULL)
            return take_key_block(ctx, from->symmetric_key->key_block, how, draft);
        break;
    case KMIP_OBJECT_TYPE_PUBLIC_KEY:
        if (from->public_key != NULL)
            return take_key_block(ctx, from->public_key->key_block, how, draft);
        break;
    case KMIP_OBJECT_TYPE_PRIVATE_KEY:
        if (from->private_key != NULL)
            return take_key_block(ctx, from->private_key->key_block, how, draft);
        break;
    case KMIP_OBJECT_TYPE_SPLIT_KEY:
        if (from->split_key != NULL)
            return take_split_key(ctx, from->split_key, how, draft);
        break;
    case KMIP_OBJECT_TYPE_TEMPLATE:
        if (from->template != NULL)
            return take_template(ctx, from->template, draft);
        break;
    case KMIP_OBJECT_TYPE_SECRET_DATA:
        if (from->secret_data != NULL) {
            core_set(core, CORE_SECRET_DATA_TYPE, from->secret_data->secret_data_type);
            return take_key_block(ctx, from->secret_data->key_block, how, draft);
        }
        break;
    case KMIP_OBJECT_TYPE_OPAQUE_OBJECT:
        if (from->opaque_object != NULL) {
            core_set(core, CORE_OPAQUE_DATA_TYPE, from->opaque_object->opaque_data_type);
            return material_put(ctx, draft, MATERIAL_BYTES, from->opaque_object->opaque_data_value);
        }
        break;
    case KMIP_OBJECT_TYPE_CERTIFICATE_REQUEST:
        if (from->certificate_request != NULL)
            return take_request(ctx, from->certificate_request, draft);
        break;
    case KMIP_OBJECT_TYPE_PGP_KEY:
        if (from->pgp_key != NULL) {
            core_set(core, CORE_PGP_KEY_VERSION, from->pgp_key->pgp_key_version);
            return take_key_block(ctx, from->pgp_key->key_block, how, draft);
        }
        break;
    default:
        return engine_fail(ctx, COND_OBJECT_KIND, "objects of that type can not be registered");
    }
    if (has_object(from))
        return engine_fail(ctx, COND_BAD_FIELD, "the object of the request is not of the Object Type that it names");
    return engine_fail(ctx, COND_MISSING, "the request holds no object of the Object Type that it names");
}

int
material_register(struct ctx *ctx, const struct kmip_managed_object *from, struct rev *draft)
{
    struct taking as_it_is = {.unwrap = false};
    return take_object(ctx, from, &as_it_is, draft);
}

int
material_unwrap(struct ctx *ctx, const struct kmip_managed_object *from, struct rev *draft,
                struct kmip_attrs *ret_attributes)
{
    struct taking unwrapped = {.unwrap = true, .ret_attributes = ret_attributes};
    *ret_attributes = (struct kmip_attrs){0};
    return take_object(ctx, from, &unwrapped, draft);
}
