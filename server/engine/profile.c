#include "server/engine/profile.h"

#include <stdio.h>

enum kind { KIND_ALGORITHM, KIND_CURVE, KIND_MODE, KIND_PADDING, KIND_HASH, KIND_SIGNATURE_HASH, KIND_DERIVATION };

/* Bits by enum profile_use. */
enum {
    NO = 0,
    OLD = 1 << PROFILE_PROCESS,
    GIVE = OLD | 1 << PROFILE_MAKE,
    ALL = GIVE | 1 << PROFILE_PROTECT,
};

static const char *const names[PROFILE_COUNT] = {
#define PROFILE(NAME, text) [PROFILE_##NAME] = text,
#define PROFILE_ROW(KIND, VALUE, LEAST, MOST, FIPS, CNSA2, COMPAT)
#include "server/engine/profile.def"
#undef PROFILE_ROW
#undef PROFILE
};

#define VALUE_ALGORITHM(V) KMIP_CRYPTOGRAPHIC_ALGORITHM_##V
#define VALUE_CURVE(V) KMIP_RECOMMENDED_CURVE_##V
#define VALUE_MODE(V) KMIP_BLOCK_CIPHER_MODE_##V
#define VALUE_PADDING(V) KMIP_PADDING_METHOD_##V
#define VALUE_HASH(V) KMIP_HASHING_ALGORITHM_##V
#define VALUE_SIGNATURE_HASH(V) KMIP_HASHING_ALGORITHM_##V
#define VALUE_DERIVATION(V) KMIP_DERIVATION_METHOD_##V

static const struct row {
    enum kind kind;
    uint32_t value;
    uint16_t least, most;
    uint8_t allows[PROFILE_COUNT];
} rows[] = {
#define PROFILE(NAME, text)
#define PROFILE_ROW(KIND, VALUE, LEAST, MOST, FIPS, CNSA2, COMPAT)                                                     \
    {KIND_##KIND, VALUE_##KIND(VALUE), LEAST, MOST, {FIPS, CNSA2, COMPAT}},
#include "server/engine/profile.def"
#undef PROFILE_ROW
#undef PROFILE
};

/* What there is to check, in this order: where it stands in struct profile_what, and what it is called. */
static const struct {
    enum kind kind;
    size_t offset;
    uint32_t tag; /* of the enumeration that has the names */
    const char *text;
} parts[] = {
    {KIND_ALGORITHM, offsetof(struct profile_what, algorithm), KMIP_TAG_CRYPTOGRAPHIC_ALGORITHM, "algorithm"},
    {KIND_CURVE, offsetof(struct profile_what, curve), KMIP_TAG_RECOMMENDED_CURVE, "curve"},
    {KIND_MODE, offsetof(struct profile_what, mode), KMIP_TAG_BLOCK_CIPHER_MODE, "mode"},
    {KIND_PADDING, offsetof(struct profile_what, padding), KMIP_TAG_PADDING_METHOD, "padding"},
    {KIND_HASH, offsetof(struct profile_what, hash), KMIP_TAG_HASHING_ALGORITHM, "hash"},
    {KIND_SIGNATURE_HASH, offsetof(struct profile_what, signature_hash), KMIP_TAG_HASHING_ALGORITHM, "signature hash"},
    {KIND_DERIVATION, offsetof(struct profile_what, derivation), KMIP_TAG_DERIVATION_METHOD, "derivation method"},
};

static bool
row_allows(enum profile profile, enum profile_use use, enum kind kind, uint32_t value, uint32_t bits)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        if (r->kind != kind || r->value != value)
            continue;
        if (r->most != 0 && (bits < r->least || bits > r->most))
            continue;
        return (r->allows[profile] >> use & 1) != 0;
    }
    return profile == PROFILE_COMPAT;
}

/* Only keys on curves that may be one or another are judged by it: Ed25519 and Ed448 say all themselves. */
static bool
has_curve(uint32_t algorithm)
{
    return algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC || algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA ||
           algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH || algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECMQV;
}

bool
profile_allows(enum profile profile, enum profile_use use, const struct profile_what *what, const char **ret_kind,
               const char **ret_name)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(parts); i++) {
        uint32_t value;
        memcpy(&value, (const char *)what + parts[i].offset, sizeof(value));
        if (value == 0 || (parts[i].kind == KIND_CURVE && !has_curve(what->algorithm)) ||
            row_allows(profile, use, parts[i].kind, value, what->bits))
            continue;
        const char *name = kmip_enum_name(parts[i].tag, value);
        if (ret_kind != NULL)
            *ret_kind = parts[i].text;
        if (ret_name != NULL)
            *ret_name = name != NULL ? name : "unknown";
        return false;
    }
    return true;
}

int
profile_check(struct ctx *ctx, enum profile_use use, const struct profile_what *what)
{
    static const char *const uses[] = {
        [PROFILE_MAKE] = "made", [PROFILE_PROTECT] = "used to protect anything", [PROFILE_PROCESS] = "used"};
    const enum profile profile = ctx->engine->config.profile;
    const char *kind, *name;
    if (profile_allows(profile, use, what, &kind, &name))
        return 0;
    const bool length = what->bits != 0 && strcmp(kind, "algorithm") == 0;
    char bits[32] = "";
    if (length)
        (void)snprintf(bits, sizeof(bits), " of %u bits", what->bits);
    return engine_fail(ctx, use == PROFILE_MAKE ? COND_AGAINST_POLICY : COND_PARAMETERS_NOT_OFFERED,
                       "the policy profile \"%s\" does not allow %s %s%s to be %s; choose another, or set policy { "
                       "profile } in the server's configuration",
                       names[profile], kind, name, bits, uses[use]);
}

struct profile_what
profile_facts(const struct rev *rev)
{
    struct profile_what what = {.algorithm = (uint32_t)core_get(&rev->core, CORE_ALGORITHM),
                                .bits = (uint32_t)core_get(&rev->core, CORE_LENGTH)};
    for (const struct kmip_attr *a = rev->attrs.first; a != NULL && what.curve == 0; a = a->next) {
        const struct kmip_item *curve = a->tag == KMIP_TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS && a->value != NULL
                                            ? kmip_item_child(a->value, KMIP_TAG_RECOMMENDED_CURVE)
                                            : NULL;
        if (curve != NULL && curve->type == KMIP_TYPE_ENUMERATION)
            what.curve = curve->u32;
    }
    return what;
}

bool
profile_find(const char *name, enum profile *ret)
{
    for (int i = 0; i < PROFILE_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *ret = (enum profile)i;
            return true;
        }
    }
    return false;
}

const char *
profile_name(enum profile profile)
{
    return names[profile];
}
