#include "server/engine/material.h"

#include "crypto/keygen.h"
#include "server/engine/attr.h"
#include "server/engine/profile.h"

bool
material_is_transparent(uint32_t format)
{
    return format >= KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY &&
           format <= KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY;
}

bool
material_is_key(uint32_t type)
{
    switch (type) {
    case KMIP_OBJECT_TYPE_SYMMETRIC_KEY:
    case KMIP_OBJECT_TYPE_PUBLIC_KEY:
    case KMIP_OBJECT_TYPE_PRIVATE_KEY:
    case KMIP_OBJECT_TYPE_SPLIT_KEY:
    case KMIP_OBJECT_TYPE_SECRET_DATA:
    case KMIP_OBJECT_TYPE_PGP_KEY:
        return true;
    default:
        return false;
    }
}

int
material_open(struct ctx *ctx, const struct object *object, struct material *ret)
{
    struct ks_span plain;
    KS_TRY(row_material(ctx, object, &plain));
    if (plain.len == 0 || plain.data[0] > MATERIAL_WRAPPED)
        return KS_E_CORRUPT;
    ret->kind = (enum material_kind)plain.data[0];
    ret->bytes = KS_SPAN(plain.data + 1, plain.len - 1);
    return 0;
}

int
material_put(struct ctx *ctx, struct rev *draft, enum material_kind kind, struct ks_span bytes)
{
    uint8_t *plain = ks_arena_alloc(ctx->arena, bytes.len + 1);
    if (plain == NULL)
        return KS_E_NOMEM;
    plain[0] = (uint8_t)kind;
    if (bytes.len != 0)
        memcpy(plain + 1, bytes.data, bytes.len);
    draft->material = KS_SPAN(plain, bytes.len + 1);
    draft->new_material = true;
    return attr_digest(ctx, draft, bytes);
}

/* Numbers: crypto/ has them without signs, KMIP in two's complement and multiples of 8 bytes. */

static struct ks_span
unsigned_of(struct ks_span big)
{
    while (big.len != 0 && big.data[0] == 0)
        big = KS_SPAN(big.data + 1, big.len - 1);
    return big;
}

static int
signed_of(struct ks_arena *arena, struct ks_span number, struct ks_span *ret)
{
    const size_t len = (number.len + 8) & ~(size_t)7;
    uint8_t *p = ks_arena_alloc(arena, len);
    if (p == NULL)
        return KS_E_NOMEM;
    if (number.len != 0)
        memcpy(p + len - number.len, number.data, number.len);
    *ret = KS_SPAN(p, len);
    return 0;
}

/* Reading keys */

static int
rsa_from_item(struct ctx *ctx, const struct kmip_item *item, bool is_private, struct ks_pkey **ret)
{
    struct ks_rsa_parts parts = {0};
    void *decoded;
    if (is_private) {
        KS_TRY(kmip_item_decode(&kmip_schema_transparent_rsa_private_key, KMIP_V2_1, item, ctx->arena, &decoded, NULL));
        const struct kmip_transparent_rsa_private_key *k = decoded;
        parts = (struct ks_rsa_parts){.n = unsigned_of(k->modulus),
                                      .e = unsigned_of(k->public_exponent),
                                      .d = unsigned_of(k->private_exponent),
                                      .p = unsigned_of(k->p),
                                      .q = unsigned_of(k->q),
                                      .dp = unsigned_of(k->prime_exponent_p),
                                      .dq = unsigned_of(k->prime_exponent_q),
                                      .qi = unsigned_of(k->crt_coefficient)};
    } else {
        KS_TRY(kmip_item_decode(&kmip_schema_transparent_rsa_public_key, KMIP_V2_1, item, ctx->arena, &decoded, NULL));
        const struct kmip_transparent_rsa_public_key *k = decoded;
        parts = (struct ks_rsa_parts){.n = unsigned_of(k->modulus), .e = unsigned_of(k->public_exponent)};
    }
    return ks_pkey_from_rsa(&parts, ret, NULL);
}

enum { ED448_BYTES = 57 }; /* RFC 8032, 5.2.5: a byte more than the curve's */

static int
ec_from_item(struct ctx *ctx, const struct core *core, const struct kmip_item *item, bool is_private,
             struct ks_pkey **ret)
{
    struct ks_ec_parts parts = {0};
    void *decoded;
    if (is_private) {
        KS_TRY(kmip_item_decode(&kmip_schema_transparent_ec_private_key, KMIP_V2_1, item, ctx->arena, &decoded, NULL));
        const struct kmip_transparent_ec_private_key *k = decoded;
        parts.curve = k->recommended_curve;
        parts.d = unsigned_of(k->d);
    } else {
        KS_TRY(kmip_item_decode(&kmip_schema_transparent_ec_public_key, KMIP_V2_1, item, ctx->arena, &decoded, NULL));
        const struct kmip_transparent_ec_public_key *k = decoded;
        parts.curve = k->recommended_curve;
        parts.q = k->q_string;
    }
    const uint32_t algorithm = (uint32_t)core_get(core, CORE_ALGORITHM);
    if (algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519 || algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448)
        parts.algorithm = algorithm;
    if (is_private && parts.d.len != 0) {
        /* The scalar is as long as the group's order; a Big Integer has lost the zeros before it. */
        const bool ed448 = parts.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448;
        const size_t len = ed448 ? ED448_BYTES : (ks_curve_bits(parts.curve) + 7) / 8;
        uint8_t *d = len >= parts.d.len ? ks_arena_alloc(ctx->arena, len) : NULL;
        if (d == NULL)
            return KS_E_INVALID;
        memcpy(d + len - parts.d.len, parts.d.data, parts.d.len);
        parts.d = KS_SPAN(d, len);
    }
    return ks_pkey_from_ec(&parts, ret, NULL);
}

static int
ffc_from_item(struct ctx *ctx, const struct kmip_item *item, uint32_t format, struct ks_pkey **ret)
{
    struct ks_ffc_parts parts = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA};
    void *decoded;
    /* The four structures have the same fields; what differs is which half there is, and that DH has no need of Q. */
    switch (format) {
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DSA_PRIVATE_KEY: {
        KS_TRY(kmip_item_decode(&kmip_schema_transparent_dsa_private_key, KMIP_V2_1, item, ctx->arena, &decoded, NULL));
        const struct kmip_transparent_dsa_private_key *k = decoded;
        parts = (struct ks_ffc_parts){parts.algorithm,   unsigned_of(k->p), unsigned_of(k->q),
                                      unsigned_of(k->g), unsigned_of(k->x), KS_SPAN_NONE};
        break;
    }
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DSA_PUBLIC_KEY: {
        KS_TRY(kmip_item_decode(&kmip_schema_transparent_dsa_public_key, KMIP_V2_1, item, ctx->arena, &decoded, NULL));
        const struct kmip_transparent_dsa_public_key *k = decoded;
        parts = (struct ks_ffc_parts){parts.algorithm,   unsigned_of(k->p), unsigned_of(k->q),
                                      unsigned_of(k->g), KS_SPAN_NONE,      unsigned_of(k->y)};
        break;
    }
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DH_PRIVATE_KEY: {
        KS_TRY(kmip_item_decode(&kmip_schema_transparent_dh_private_key, KMIP_V2_1, item, ctx->arena, &decoded, NULL));
        const struct kmip_transparent_dh_private_key *k = decoded;
        parts = (struct ks_ffc_parts){KMIP_CRYPTOGRAPHIC_ALGORITHM_DH,
                                      unsigned_of(k->p),
                                      unsigned_of(k->q),
                                      unsigned_of(k->g),
                                      unsigned_of(k->x),
                                      KS_SPAN_NONE};
        break;
    }
    default: {
        KS_TRY(kmip_item_decode(&kmip_schema_transparent_dh_public_key, KMIP_V2_1, item, ctx->arena, &decoded, NULL));
        const struct kmip_transparent_dh_public_key *k = decoded;
        parts = (struct ks_ffc_parts){KMIP_CRYPTOGRAPHIC_ALGORITHM_DH,
                                      unsigned_of(k->p),
                                      unsigned_of(k->q),
                                      unsigned_of(k->g),
                                      KS_SPAN_NONE,
                                      unsigned_of(k->y)};
    }
    }
    return ks_pkey_from_ffc(&parts, ret, NULL);
}

/* A raw key does not say which curve it is on: its domain parameters do, else its length means NIST's of that length.
 */
static int
pkey_from_raw(const struct rev *rev, bool is_private, struct ks_span bytes, struct ks_pkey **ret)
{
    const struct profile_what what = profile_facts(rev);
    const bool guess = what.curve == 0 && (what.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC ||
                                           what.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA ||
                                           what.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH);
    const uint32_t curve = guess ? ks_curve_of_length(what.bits) : what.curve;
    const int rc = ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_RAW, is_private, what.algorithm, curve, bytes, ret, NULL);
    return guess && (rc == KS_E_INVALID || rc == KS_E_MALFORMED) ? KS_E_UNSUPPORTED : rc;
}

int
material_pkey(struct ctx *ctx, const struct rev *rev, const struct material *material, struct ks_pkey **ret)
{
    const struct core *core = &rev->core;
    const uint32_t format = (uint32_t)core_get(core, CORE_KEY_FORMAT_TYPE);
    const bool is_private = core_get(core, CORE_OBJECT_TYPE) == KMIP_OBJECT_TYPE_PRIVATE_KEY;
    if (material->kind == MATERIAL_WRAPPED)
        return KS_E_UNSUPPORTED;
    if (material->kind == MATERIAL_BYTES && format == KMIP_KEY_FORMAT_TYPE_RAW)
        return pkey_from_raw(rev, is_private, material->bytes, ret);
    if (material->kind == MATERIAL_BYTES)
        return ks_pkey_parse(format, is_private, 0, 0, material->bytes, ret, NULL);
    struct kmip_item *item;
    KS_TRY(kmip_item_from_ttlv(material->bytes, &kmip_limits_default, ctx->arena, &item, NULL));
    switch (format) {
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PUBLIC_KEY:
        return rsa_from_item(ctx, item, is_private, ret);
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DSA_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DSA_PUBLIC_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DH_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DH_PUBLIC_KEY:
        return ffc_from_item(ctx, item, format, ret);
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PUBLIC_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDH_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDH_PUBLIC_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECMQV_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECMQV_PUBLIC_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY:
        return ec_from_item(ctx, core, item, is_private, ret);
    default:
        return KS_E_UNSUPPORTED;
    }
}

int
material_symmetric(struct ctx *ctx, const struct object *object, struct ks_span *ret)
{
    struct material material;
    /* What was registered wrapped (No Encoding leaves it Key Material) is no key: anyone may know it. */
    if (object->rev->wrapping != NULL)
        return engine_fail(ctx, COND_KEY_FORMAT, "object %s was registered wrapped: it can not be used here",
                           object->uid);
    KS_TRY(material_open(ctx, object, &material));
    if (material.kind == MATERIAL_BYTES) {
        *ret = material.bytes;
        return 0;
    }
    if (material.kind == MATERIAL_ITEM) {
        struct kmip_item *item;
        KS_TRY(kmip_item_from_ttlv(material.bytes, &kmip_limits_default, ctx->arena, &item, NULL));
        const struct kmip_item *key = item->type == KMIP_TYPE_STRUCTURE ? kmip_item_child(item, KMIP_TAG_KEY) : NULL;
        if (key != NULL && key->type == KMIP_TYPE_BYTE_STRING) {
            *ret = key->s;
            return 0;
        }
    }
    return engine_fail(ctx, COND_KEY_FORMAT,
                       "the key material of object %s is no symmetric key: it can not be used here", object->uid);
}

/* Writing keys */

static int
item_material(struct ctx *ctx, const struct kmip_schema *schema, const void *key, struct material *ret)
{
    struct kmip_item *item;
    KS_TRY(kmip_item_encode(schema, KMIP_V2_1, key, ctx->arena, &item));
    KS_CLEANUP(ks_buf_done) struct ks_buf ttlv = KS_BUF(1 << 20);
    KS_TRY(kmip_item_to_ttlv(item, &ttlv));
    ret->kind = MATERIAL_ITEM;
    return ks_arena_span(ctx->arena, ks_buf_span(&ttlv), &ret->bytes);
}

static int
export_rsa(struct ctx *ctx, const struct ks_pkey *key, bool is_private, struct material *ret)
{
    struct ks_rsa_parts parts;
    KS_TRY(ks_pkey_rsa(key, ctx->arena, &parts, NULL));
    if (!is_private) {
        struct kmip_transparent_rsa_public_key k = {0};
        KS_TRY(signed_of(ctx->arena, parts.n, &k.modulus));
        KS_TRY(signed_of(ctx->arena, parts.e, &k.public_exponent));
        return item_material(ctx, &kmip_schema_transparent_rsa_public_key, &k, ret);
    }
    struct kmip_transparent_rsa_private_key k = {0};
    const struct {
        struct ks_span from, *to;
        bool *has;
    } fields[] = {
        {parts.d, &k.private_exponent, &k.has_private_exponent},
        {parts.e, &k.public_exponent, &k.has_public_exponent},
        {parts.p, &k.p, &k.has_p},
        {parts.q, &k.q, &k.has_q},
        {parts.dp, &k.prime_exponent_p, &k.has_prime_exponent_p},
        {parts.dq, &k.prime_exponent_q, &k.has_prime_exponent_q},
        {parts.qi, &k.crt_coefficient, &k.has_crt_coefficient},
    };
    KS_TRY(signed_of(ctx->arena, parts.n, &k.modulus));
    for (size_t i = 0; i < KS_ARRAY_LEN(fields); i++) {
        if (fields[i].from.len == 0)
            continue;
        KS_TRY(signed_of(ctx->arena, fields[i].from, fields[i].to));
        *fields[i].has = true;
    }
    return item_material(ctx, &kmip_schema_transparent_rsa_private_key, &k, ret);
}

static int
export_ec(struct ctx *ctx, const struct ks_pkey *key, bool is_private, struct material *ret)
{
    struct ks_ec_parts parts;
    KS_TRY(ks_pkey_ec(key, ctx->arena, &parts, NULL));
    if (!is_private) {
        const struct kmip_transparent_ec_public_key k = {.recommended_curve = parts.curve, .q_string = parts.q};
        return item_material(ctx, &kmip_schema_transparent_ec_public_key, &k, ret);
    }
    struct kmip_transparent_ec_private_key k = {.recommended_curve = parts.curve};
    KS_TRY(signed_of(ctx->arena, parts.d, &k.d));
    return item_material(ctx, &kmip_schema_transparent_ec_private_key, &k, ret);
}

static int
export_ffc(struct ctx *ctx, const struct ks_pkey *key, uint32_t format, struct material *ret)
{
    struct ks_ffc_parts parts;
    struct ks_span p, q = KS_SPAN_NONE, g, x = KS_SPAN_NONE, y;
    const bool dsa = format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DSA_PRIVATE_KEY ||
                     format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DSA_PUBLIC_KEY;
    KS_TRY(ks_pkey_ffc(key, ctx->arena, &parts, NULL));
    if (dsa != (parts.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA))
        return KS_E_UNSUPPORTED;
    const struct {
        struct ks_span from, *to;
    } fields[] = {{parts.p, &p}, {parts.q, &q}, {parts.g, &g}, {parts.x, &x}, {parts.y, &y}};
    for (size_t i = 0; i < KS_ARRAY_LEN(fields); i++)
        if (i != 1 || parts.q.len != 0)
            KS_TRY(signed_of(ctx->arena, fields[i].from, fields[i].to));
    if (format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DSA_PRIVATE_KEY) {
        const struct kmip_transparent_dsa_private_key k = {.p = p, .q = q, .g = g, .x = x};
        return item_material(ctx, &kmip_schema_transparent_dsa_private_key, &k, ret);
    }
    if (format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DSA_PUBLIC_KEY) {
        const struct kmip_transparent_dsa_public_key k = {.p = p, .q = q, .g = g, .y = y};
        return item_material(ctx, &kmip_schema_transparent_dsa_public_key, &k, ret);
    }
    if (format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DH_PRIVATE_KEY) {
        const struct kmip_transparent_dh_private_key k = {.p = p, .q = q, .has_q = q.len != 0, .g = g, .x = x};
        return item_material(ctx, &kmip_schema_transparent_dh_private_key, &k, ret);
    }
    const struct kmip_transparent_dh_public_key k = {.p = p, .q = q, .has_q = q.len != 0, .g = g, .y = y};
    return item_material(ctx, &kmip_schema_transparent_dh_public_key, &k, ret);
}

static int
export_bytes(struct ctx *ctx, const struct ks_pkey *key, uint32_t format, bool is_private, struct material *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(1 << 16);
    KS_TRY(ks_pkey_export(key, format, is_private, &out, NULL));
    ret->kind = MATERIAL_BYTES;
    return ks_arena_span(ctx->arena, ks_buf_span(&out), &ret->bytes);
}

static int
export_as(struct ctx *ctx, const struct ks_pkey *key, uint32_t format, bool is_private, struct material *ret)
{
    switch (format) {
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PUBLIC_KEY:
        return is_private == (format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PRIVATE_KEY)
                   ? export_rsa(ctx, key, is_private, ret)
                   : KS_E_UNSUPPORTED;
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DSA_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DH_PRIVATE_KEY:
        return is_private ? export_ffc(ctx, key, format, ret) : KS_E_UNSUPPORTED;
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DSA_PUBLIC_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DH_PUBLIC_KEY:
        return !is_private ? export_ffc(ctx, key, format, ret) : KS_E_UNSUPPORTED;
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDH_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECMQV_PRIVATE_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PRIVATE_KEY:
        return is_private ? export_ec(ctx, key, true, ret) : KS_E_UNSUPPORTED;
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PUBLIC_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDH_PUBLIC_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECMQV_PUBLIC_KEY:
    case KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY:
        return !is_private ? export_ec(ctx, key, false, ret) : KS_E_UNSUPPORTED;
    default:
        return export_bytes(ctx, key, format, is_private, ret);
    }
}

int
material_export(struct ctx *ctx, const struct ks_pkey *key, uint32_t format, bool is_private, struct material *ret)
{
    const int rc = export_as(ctx, key, format, is_private, ret);
    if (rc == 0 || rc == KS_E_NOMEM)
        return rc;
    return engine_fail(ctx, COND_KEY_FORMAT, "the key can not be given in that Key Format Type");
}

uint32_t
material_default_format(const struct ctx *ctx, const struct ks_pkey *key, bool is_private)
{
    /* 2.0 and 2.1: 4.26. RSA keys are PKCS#1 in all versions, and for other kinds no version names a format. */
    static const struct {
        uint32_t algorithm, private, public;
        enum kmip_version since;
    } rows[] = {
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_EC, KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PRIVATE_KEY,
         KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY, KMIP_V2_0},
        {KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA, KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DSA_PRIVATE_KEY,
         KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DSA_PUBLIC_KEY, KMIP_V2_0},
    };
    struct ks_pkey_info info;
    ks_pkey_info(key, &info);
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++)
        if (rows[i].algorithm == info.algorithm && ctx->version >= rows[i].since)
            return is_private ? rows[i].private : rows[i].public;
    return ks_pkey_default_format(key, is_private);
}

int
material_put_key(struct ctx *ctx, struct rev *draft, const struct material *material, const struct ks_pkey *key)
{
    const bool is_private = core_get(&draft->core, CORE_OBJECT_TYPE) == KMIP_OBJECT_TYPE_PRIVATE_KEY;
    const uint32_t usual = material_default_format(ctx, key, is_private);
    struct material in_usual;
    KS_TRY(material_put(ctx, draft, material->kind, material->bytes));
    if (core_get(&draft->core, CORE_KEY_FORMAT_TYPE) == usual ||
        (material->kind != MATERIAL_ITEM && ctx->version < KMIP_V2_0))
        return 0;
    const int rc = export_as(ctx, key, usual, is_private, &in_usual);
    if (rc != 0) /* such as a curve that has no number: there is nothing in that format to have a Digest of */
        return rc == KS_E_NOMEM ? rc : 0;
    return attr_digest_as(ctx, draft, usual, in_usual.bytes);
}

/* Symmetric keys and secret data */

static int
plain_bytes(struct ctx *ctx, const struct material *material, struct ks_span *ret)
{
    if (material->kind == MATERIAL_BYTES) {
        *ret = material->bytes;
        return 0;
    }
    struct kmip_item *item;
    KS_TRY(kmip_item_from_ttlv(material->bytes, &kmip_limits_default, ctx->arena, &item, NULL));
    const struct kmip_item *key = item->type == KMIP_TYPE_STRUCTURE ? kmip_item_child(item, KMIP_TAG_KEY) : NULL;
    if (key == NULL || key->type != KMIP_TYPE_BYTE_STRING)
        return KS_E_MALFORMED;
    *ret = key->s;
    return 0;
}

int
material_convert_bytes(struct ctx *ctx, const struct object *object, uint32_t format, struct material *material)
{
    const bool secret = object_type(object) == KMIP_OBJECT_TYPE_SECRET_DATA;
    const int64_t kept = core_get(&object->rev->core, CORE_KEY_FORMAT_TYPE);
    const bool raw = format == KMIP_KEY_FORMAT_TYPE_RAW || format == KMIP_KEY_FORMAT_TYPE_OPAQUE;
    const bool transparent = format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY && !secret;
    /* What was registered as Opaque is bytes of which this server knows nothing: no key of that length, say. */
    const bool known = kept == KMIP_KEY_FORMAT_TYPE_RAW || kept == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY ||
                       (secret && kept == KMIP_KEY_FORMAT_TYPE_OPAQUE);
    struct ks_span bytes;
    if (!known || (!raw && !transparent) || plain_bytes(ctx, material, &bytes) != 0)
        return engine_fail(ctx, COND_KEY_FORMAT, "object %s can not be given in that Key Format Type", object->uid);
    if (raw) {
        *material = (struct material){MATERIAL_BYTES, bytes};
        return 0;
    }
    const struct kmip_transparent_symmetric_key key = {.key = bytes};
    return item_material(ctx, &kmip_schema_transparent_symmetric_key, &key, material);
}

/* Compression of points */

static int
point_form(uint32_t compression, enum ks_point_form *ret)
{
    switch (compression) {
    case KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_UNCOMPRESSED:
        *ret = KS_POINT_UNCOMPRESSED;
        return 0;
    case KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_X9_62_COMPRESSED_PRIME:
        *ret = KS_POINT_COMPRESSED;
        return 0;
    case KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_X9_62_HYBRID:
        *ret = KS_POINT_HYBRID;
        return 0;
    default:
        return KS_E_UNSUPPORTED; /* curves over binary fields are not offered */
    }
}

int
material_compress(struct ctx *ctx, const struct rev *rev, uint32_t format, uint32_t compression,
                  struct material *material)
{
    KS_PKEY *key = NULL;
    enum ks_point_form form = KS_POINT_UNCOMPRESSED;
    struct ks_ec_parts parts;
    int rc = core_get(&rev->core, CORE_OBJECT_TYPE) == KMIP_OBJECT_TYPE_PUBLIC_KEY ? point_form(compression, &form)
                                                                                   : KS_E_UNSUPPORTED;
    if (rc == 0)
        rc = material_pkey(ctx, rev, material, &key);
    if (rc == 0 && !material_is_transparent(format)) {
        KS_CLEANUP(ks_buf_done) struct ks_buf out = KS_BUF(1 << 12);
        rc = ks_pkey_export_point(key, format, form, &out, NULL);
        material->kind = MATERIAL_BYTES;
        if (rc == 0)
            rc = ks_arena_span(ctx->arena, ks_buf_span(&out), &material->bytes);
    } else if (rc == 0) {
        rc = ks_pkey_ec(key, ctx->arena, &parts, NULL);
        if (rc == 0)
            rc = ks_point_write(&parts, form, ctx->arena, &parts.q, NULL);
        const struct kmip_transparent_ec_public_key k = {.recommended_curve = parts.curve, .q_string = parts.q};
        if (rc == 0)
            rc = item_material(ctx, &kmip_schema_transparent_ec_public_key, &k, material);
    }
    if (rc == 0 || rc == KS_E_NOMEM)
        return rc;
    return engine_fail(ctx, COND_KEY_COMPRESSION,
                       "only public keys on elliptic curves have a Key Compression Type, and this one not that");
}

int
material_key_value(struct ctx *ctx, const struct material *material, const struct kmip_attrs *attributes,
                   struct kmip_item **ret)
{
    if (material->kind == MATERIAL_WRAPPED) {
        struct kmip_item *wrapped = kmip_item_new(ctx->arena, KMIP_TAG_KEY_VALUE, KMIP_TYPE_BYTE_STRING);
        if (wrapped == NULL)
            return KS_E_NOMEM;
        wrapped->s = material->bytes;
        *ret = wrapped;
        return 0;
    }
    struct kmip_key_value value = {0};
    if (material->kind == MATERIAL_ITEM) {
        KS_TRY(kmip_item_from_ttlv(material->bytes, &kmip_limits_default, ctx->arena, &value.key_material, NULL));
    } else {
        value.key_material = kmip_item_new(ctx->arena, KMIP_TAG_KEY_MATERIAL, KMIP_TYPE_BYTE_STRING);
        if (value.key_material == NULL)
            return KS_E_NOMEM;
        value.key_material->s = material->bytes;
    }
    if (attributes != NULL)
        value.attributes = *attributes;
    return kmip_item_encode(&kmip_schema_key_value, ctx->version, &value, ctx->arena, ret);
}
