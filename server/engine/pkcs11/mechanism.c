/* The mechanisms that are offered: rows of mechanisms.def, one for each KMIP operation that a mechanism is. */
#include "server/engine/message.h"
#include "server/engine/pkcs11/p11.h"

static const struct p11_mechanism mechanisms[] = {
#define P11_MECHANISM(value_, name, by, parameter_, least_, most_, flags_, algorithm_, mode_, padding_, signature_,    \
                      hash_)                                                                                           \
    {.value = (value_),                                                                                                \
     .operation = KMIP_OPERATION_##by,                                                                                 \
     .parameter = P11_PARAMETER_##parameter_,                                                                          \
     .least = (least_),                                                                                                \
     .most = (most_),                                                                                                  \
     .flags = (flags_),                                                                                                \
     .algorithm = (algorithm_),                                                                                        \
     .mode = (mode_),                                                                                                  \
     .padding = (padding_),                                                                                            \
     .signature = (signature_),                                                                                        \
     .hash = (hash_)},
#define P11_DERIVATION(value_, name, method_, parameter_, least_, most_, algorithm_, mode_, hash_)                     \
    {.value = (value_),                                                                                                \
     .operation = KMIP_OPERATION_DERIVE_KEY,                                                                           \
     .parameter = P11_PARAMETER_##parameter_,                                                                          \
     .least = (least_),                                                                                                \
     .most = (most_),                                                                                                  \
     .flags = CKF_DERIVE,                                                                                              \
     .method = KMIP_DERIVATION_METHOD_##method_,                                                                       \
     .algorithm = (algorithm_),                                                                                        \
     .mode = (mode_),                                                                                                  \
     .hash = (hash_)},
#include "server/engine/pkcs11/mechanisms.def"
#undef P11_MECHANISM
#undef P11_DERIVATION
};

static bool
is_offered(const struct p11 *p, const struct p11_mechanism *m)
{
    return engine_offers(m->operation, p->ctx->version);
}

/* What takes place on a curve says so besides (CKF_EC_F_P, CKF_EC_NAMEDCURVE, CKF_EC_UNCOMPRESS). */
static uint32_t
shown_flags(const struct p11_mechanism *m)
{
    enum { CURVES = 0x00100000 | 0x00800000 | 0x01000000 };
    return m->flags | (m->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC ? (uint32_t)CURVES : 0);
}

bool
p11_take_mechanism(struct p11 *p, uint32_t flag, const struct p11_mechanism **ret, struct ks_span *ret_parameter)
{
    const uint64_t value = ks_cursor_be64(&p->in);
    const bool has = ks_cursor_u8(&p->in) != 0;
    *ret_parameter = has ? p11_take_bytes(p) : KS_SPAN_NONE;
    *ret = NULL;
    for (size_t i = 0; i < KS_ARRAY_LEN(mechanisms) && *ret == NULL; i++)
        if (mechanisms[i].value == value && (mechanisms[i].flags & flag) != 0 && is_offered(p, &mechanisms[i]))
            *ret = &mechanisms[i];
    return *ret != NULL;
}

uint32_t
p11_get_mechanism_list(struct p11 *p)
{
    uint64_t values[KS_ARRAY_LEN(mechanisms)];
    size_t n = 0;
    const uint64_t slot = ks_cursor_be64(&p->in);
    const struct p11_space space = p11_take_space(p);
    P11_END(p);
    if (slot != P11_SLOT)
        return CKR(SLOT_ID_INVALID);
    for (size_t i = 0; i < KS_ARRAY_LEN(mechanisms); i++) {
        bool said = !is_offered(p, &mechanisms[i]);
        for (size_t j = 0; j < n && !said; j++)
            said = values[j] == mechanisms[i].value;
        if (!said)
            values[n++] = mechanisms[i].value;
    }
    return p11_put_numbers(p, &space, values, n);
}

uint32_t
p11_get_mechanism_info(struct p11 *p)
{
    uint32_t least = UINT32_MAX, most = 0, flags = 0;
    const uint64_t slot = ks_cursor_be64(&p->in), value = ks_cursor_be64(&p->in);
    P11_END(p);
    if (slot != P11_SLOT)
        return CKR(SLOT_ID_INVALID);
    for (size_t i = 0; i < KS_ARRAY_LEN(mechanisms); i++) {
        const struct p11_mechanism *m = &mechanisms[i];
        if (m->value != value || !is_offered(p, m))
            continue;
        least = m->least < least ? m->least : least;
        most = m->most > most ? m->most : most;
        flags |= shown_flags(m);
    }
    if (flags == 0)
        return CKR(MECHANISM_INVALID);
    p11_put_u64(p, least);
    p11_put_u64(p, most);
    p11_put_u64(p, flags);
    return CKR(OK);
}
