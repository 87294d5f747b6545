#include "ops_pkcs11.h"

#include "kmip/kmip.h"
#include "server/engine/pkcs11/template.h"

enum { CALL_MAX = 8192 };

/* Parameters, a letter each: s session, o object, m mechanism, b bytes, p space for the output, u number, y byte, r
 * anything; templates: c of what is created, g generated, P and Q of a pair, w of what is unwrapped or derived, t any.
 */
static const struct {
    uint32_t function;
    const char *takes;
} calls[] = {
#define CALL(NAME, takes)                                                                                              \
    {                                                                                                                  \
        KMIP_PKCS_11_FUNCTION_##NAME, takes                                                                            \
    }
    CALL(C_INITIALIZE, "y"),
    CALL(C_OPENSESSION, "uu"),
    CALL(C_OPENSESSION, "uu"),
    CALL(C_CREATEOBJECT, "sc"),
    CALL(C_CREATEOBJECT, "sc"),
    CALL(C_GENERATEKEY, "smg"),
    CALL(C_GENERATEKEYPAIR, "smPQ"),
    CALL(C_GENERATEKEYPAIR, "smPQ"),
    CALL(C_COPYOBJECT, "sot"),
    CALL(C_DESTROYOBJECT, "so"),
    CALL(C_GETATTRIBUTEVALUE, "sot"),
    CALL(C_SETATTRIBUTEVALUE, "sot"),
    CALL(C_GETOBJECTSIZE, "so"),
    CALL(C_WRAPKEY, "smoop"),
    CALL(C_WRAPKEY, "smoop"),
    CALL(C_UNWRAPKEY, "smobw"),
    CALL(C_DERIVEKEY, "smow"),
    CALL(C_DERIVEKEY, "smow"),
    CALL(C_FINDOBJECTSINIT, "st"),
    CALL(C_FINDOBJECTS, "su"),
    CALL(C_FINDOBJECTSFINAL, "s"),
    CALL(C_ENCRYPTINIT, "smo"),
    CALL(C_ENCRYPT, "sbp"),
    CALL(C_DECRYPTINIT, "smo"),
    CALL(C_DECRYPT, "sbp"),
    CALL(C_DIGESTINIT, "sm"),
    CALL(C_DIGESTKEY, "so"),
    CALL(C_DIGESTENCRYPTUPDATE, "sbp"),
    CALL(C_DIGESTFINAL, "sp"),
    CALL(C_SIGNINIT, "smo"),
    CALL(C_SIGN, "sbp"),
    CALL(C_SIGNRECOVERINIT, "smo"),
    CALL(C_SIGNRECOVER, "sbp"),
    CALL(C_VERIFYINIT, "smo"),
    CALL(C_VERIFY, "sbb"),
    CALL(C_CLOSESESSION, "s"),
    CALL(C_FINALIZE, ""),
#undef CALL
};

/* What of the rows a function takes, and how the parameter is put together. */
static const struct {
    uint64_t value;
    enum p11_parameter parameter;
    uint32_t flags;
} mechanisms[] = {
#define P11_MECHANISM(value, name, by, parameter, least, most, flags, algorithm, mode, padding, signature, hash)       \
    {(value), P11_PARAMETER_##parameter, (flags)},
#define P11_DERIVATION(value, name, method, parameter, least, most, algorithm, mode, hash)                             \
    {(value), P11_PARAMETER_##parameter, CKF_DERIVE},
#include "server/engine/pkcs11/mechanisms.def"
#undef P11_MECHANISM
#undef P11_DERIVATION
};

/* The generator of P-256, which is a point as good as any. */
static const uint8_t point[] = {0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5,
                                0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4,
                                0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a,
                                0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
                                0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};

static void
add_counted(struct ks_buf *b, struct ks_span s)
{
    (void)ks_buf_add_be32(b, (uint32_t)s.len);
    (void)ks_buf_add_span(b, s);
}

/* Bytes that an answer held, without the length before them; or some. */
static struct ks_span
draw_bytes(struct feed *f)
{
    static const uint8_t some[64] = {1, 2, 3};
    const struct value *v = f->values.n != 0 ? &f->values.v[draw(f, (uint32_t)f->values.n)] : NULL;
    if (v != NULL && draw(f, 2) == 0)
        return KS_SPAN(v->b + (v->len > 5 ? 5 : 0), v->len > 5 ? v->len - 5 : v->len);
    return KS_SPAN(some, draw(f, 4) * 16 + draw(f, 2));
}

static void
add_parameter(struct feed *f, enum p11_parameter parameter, struct ks_buf *b)
{
    static const uint8_t zeros[32];
    static const uint64_t hashes[] = {0x250, 0x260, 0x270, 0x220};
    const uint64_t hash = hashes[draw(f, 4)], mgf = 2 + draw(f, 3);
    switch (parameter) {
    case P11_PARAMETER_NO:
    case P11_PARAMETER_EDDSA:
        break;
    case P11_PARAMETER_IV:
        add_counted(b, KS_SPAN(zeros, 16));
        break;
    case P11_PARAMETER_CTR:
        (void)ks_buf_add_be64(b, 128);
        (void)ks_buf_add(b, zeros, 16);
        break;
    case P11_PARAMETER_GCM:
        add_counted(b, KS_SPAN(zeros, 12));
        (void)ks_buf_add_be64(b, 96);
        add_counted(b, KS_SPAN(zeros, draw(f, 8)));
        (void)ks_buf_add_be64(b, 128);
        break;
    case P11_PARAMETER_OAEP:
        (void)ks_buf_add_be64(b, hash);
        (void)ks_buf_add_be64(b, mgf);
        (void)ks_buf_add_be64(b, 0);
        (void)ks_buf_add_be32(b, 0);
        break;
    case P11_PARAMETER_PSS:
    case P11_PARAMETER_PSS_DIGEST:
        (void)ks_buf_add_be64(b, hash);
        (void)ks_buf_add_be64(b, mgf);
        (void)ks_buf_add_be64(b, 32);
        break;
    case P11_PARAMETER_ECDH:
        (void)ks_buf_add_be64(b, 1 + draw(f, 9));
        add_counted(b, KS_SPAN(zeros, draw(f, 2)));
        add_counted(b, KS_SPAN(point, draw(f, 8) == 0 ? 32 : sizeof(point)));
        break;
    case P11_PARAMETER_IV_DATA:
        (void)ks_buf_add(b, zeros, 16);
        add_counted(b, KS_SPAN(zeros, 16 * (1 + draw(f, 2))));
        break;
    case P11_PARAMETER_DATA:
        add_counted(b, KS_SPAN(zeros, 16 * (1 + draw(f, 2))));
        break;
    case P11_PARAMETER_HKDF:
        (void)ks_buf_add_u8(b, 1);
        (void)ks_buf_add_u8(b, draw(f, 4) != 0);
        (void)ks_buf_add_be64(b, hash);
        (void)ks_buf_add_be64(b, 2);
        add_counted(b, KS_SPAN(zeros, draw(f, 16)));
        (void)ks_buf_add_be64(b, 0);
        add_counted(b, KS_SPAN(zeros, draw(f, 16)));
        break;
    }
}

static uint32_t
flags_of(uint32_t function)
{
    switch (function) {
    case KMIP_PKCS_11_FUNCTION_C_GENERATEKEY:
        return CKF_GENERATE;
    case KMIP_PKCS_11_FUNCTION_C_GENERATEKEYPAIR:
        return CKF_GENERATE_KEY_PAIR;
    case KMIP_PKCS_11_FUNCTION_C_WRAPKEY:
    case KMIP_PKCS_11_FUNCTION_C_UNWRAPKEY:
        return CKF_WRAP;
    case KMIP_PKCS_11_FUNCTION_C_DERIVEKEY:
        return CKF_DERIVE;
    case KMIP_PKCS_11_FUNCTION_C_ENCRYPTINIT:
    case KMIP_PKCS_11_FUNCTION_C_DECRYPTINIT:
        return CKF_ENCRYPT;
    case KMIP_PKCS_11_FUNCTION_C_DIGESTINIT:
        return CKF_DIGEST;
    case KMIP_PKCS_11_FUNCTION_C_SIGNRECOVERINIT:
        return CKF_SIGN_RECOVER;
    default:
        return CKF_SIGN;
    }
}

/* An RSA pair takes longer than a fuzzer has. */
static void
add_mechanism(struct feed *f, uint32_t function, struct ks_buf *b)
{
    enum { RSA_PAIR = 0 };
    size_t fit[KS_ARRAY_LEN(mechanisms)] = {0};
    uint32_t n = 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(mechanisms); i++)
        if ((mechanisms[i].flags & flags_of(function)) != 0 && mechanisms[i].value != RSA_PAIR)
            fit[n++] = i;
    const size_t which = fit[draw(f, n)];
    KS_CLEANUP(ks_buf_done) struct ks_buf parameter = KS_BUF(CALL_MAX);
    add_parameter(f, mechanisms[which].parameter, &parameter);
    (void)ks_buf_add_be64(b, mechanisms[which].value);
    (void)ks_buf_add_u8(b, parameter.len != 0);
    if (parameter.len != 0)
        add_counted(b, ks_buf_span(&parameter));
}

static uint64_t
draw_number(struct feed *f, enum p11_attr attr)
{
    static const uint64_t types[] = {CKK_AES, CKK_GENERIC_SECRET, CKK_SHA256_HMAC, CKK_EC, CKK_EC_EDWARDS, CKK_RSA};
    static const uint64_t lengths[] = {16, 32, 24, 17};
    switch (attr) {
    case CKA_CLASS:
        return draw(f, 4) == 0 ? draw(f, 5) : CKO_SECRET_KEY;
    case CKA_KEY_TYPE:
        return types[draw(f, KS_ARRAY_LEN(types))];
    case CKA_VALUE_LEN:
        return lengths[draw(f, KS_ARRAY_LEN(lengths))];
    case CKA_MODULUS_BITS:
        return 2048;
    default:
        return draw(f, 2);
    }
}

static struct ks_span
draw_value(struct feed *f, enum p11_attr attr)
{
    static const struct ks_span curves[] = {
#define P11_CURVE(curve, algorithm, bits, key_type, generation, oid, name) {(const uint8_t *)(oid), sizeof(oid) - 1},
#include "server/engine/pkcs11/curves.def"
#undef P11_CURVE
    };
    static const uint8_t bytes[32] = {9};
    switch (attr) {
    case CKA_EC_PARAMS:
        return curves[draw(f, 3) == 0 ? draw(f, KS_ARRAY_LEN(curves)) : 0];
    case CKA_EC_POINT:
        return KS_SPAN(point, sizeof(point));
    case CKA_VALUE:
        return KS_SPAN(bytes, draw(f, 2) == 0 ? 16 : 32);
    default:
        return KS_SPAN("abcd", draw(f, 5));
    }
}

static void
add_attribute(struct feed *f, enum p11_attr attr, bool values, struct ks_buf *b)
{
    static const struct {
        uint64_t type;
        enum p11_kind kind;
    } rows[] = {
#define P11_ATTRIBUTE(NAME, value, kind, meaning) {(value), P11_##kind},
#include "server/engine/pkcs11/attributes.def"
#undef P11_ATTRIBUTE
    };
    (void)ks_buf_add_be64(b, rows[attr].type);
    (void)ks_buf_add_u8(b, values);
    (void)ks_buf_add_u8(b, values);
    if (!values)
        return;
    switch (rows[attr].kind) {
    case P11_BOOL:
        (void)ks_buf_add_u8(b, draw(f, 4) != 0);
        break;
    case P11_ULONG:
        (void)ks_buf_add_be64(b, draw_number(f, attr));
        break;
    case P11_DATE:
        (void)ks_buf_add(b, "20300101", 8);
        break;
    case P11_BYTES:
        add_counted(b, draw_value(f, attr));
        break;
    }
}

static void
add_template(struct feed *f, char kind, bool values, struct ks_buf *b)
{
    static const struct {
        char kind;
        enum p11_attr first[4];
        uint32_t n;
    } usual[] = {{'c', {CKA_CLASS, CKA_KEY_TYPE, CKA_VALUE}, 3},
                 {'g', {CKA_VALUE_LEN}, 1},
                 {'P', {CKA_EC_PARAMS}, 1},
                 {'w', {CKA_CLASS, CKA_KEY_TYPE, CKA_VALUE_LEN}, 3}};
    static const enum p11_attr more[] = {CKA_TOKEN,  CKA_WRAP,      CKA_UNWRAP,      CKA_DERIVE, CKA_ENCRYPT,
                                         CKA_LABEL,  CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_SIGN,   CKA_ID,
                                         CKA_VERIFY, CKA_DECRYPT,   CKA_CLASS,       CKA_VALUE,  CKA_EC_POINT};
    bool given[CKA_COUNT] = {false};
    enum p11_attr attrs[CKA_COUNT] = {CKA_CLASS};
    uint32_t n = 0;
    for (size_t i = 0; i < KS_ARRAY_LEN(usual); i++)
        for (uint32_t k = 0; usual[i].kind == kind && k < usual[i].n; k++)
            attrs[n++] = usual[i].first[k];
    if (kind == 'w' && draw(f, 2) == 0)
        n = 2;
    for (uint32_t k = 0; k < n; k++)
        given[attrs[k]] = true;
    for (uint32_t left = draw(f, 8); left != 0; left--) {
        const enum p11_attr a =
            draw(f, 16) == 0 ? (enum p11_attr)draw(f, CKA_COUNT) : more[draw(f, KS_ARRAY_LEN(more))];
        if (!given[a])
            attrs[n++] = a;
        given[a] = true;
    }
    (void)ks_buf_add_be32(b, n);
    for (uint32_t k = 0; k < n; k++)
        add_attribute(f, attrs[k], values, b);
}

static void
add_one(struct feed *f, uint32_t function, char what, struct ks_buf *b)
{
    switch (what) {
    case 's':
        (void)ks_buf_add_be64(b, 1 + (draw(f, 4) == 0 ? draw(f, 3) : 0));
        break;
    case 'o':
        (void)ks_buf_add_be64(b, 1 + draw(f, 8));
        break;
    case 'm':
        add_mechanism(f, function, b);
        break;
    case 'b':
        add_counted(b, draw_bytes(f));
        break;
    case 'p':
        (void)ks_buf_add_u8(b, draw(f, 4) != 0);
        (void)ks_buf_add_be32(b, draw(f, 4) == 0 ? draw(f, 64) : 4096);
        break;
    case 'u':
        (void)ks_buf_add_be64(b, b->len == 0 || draw(f, 4) == 0 ? 1 + draw(f, 2) * draw(f, 8) : 6);
        break;
    case 'y':
        (void)ks_buf_add_u8(b, 1);
        break;
    default:
        add_template(f, what, function != KMIP_PKCS_11_FUNCTION_C_GETATTRIBUTEVALUE, b);
    }
}

void
draw_pkcs11(struct feed *f, struct kmip_pkcs_11_request *ret)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf b = KS_BUF(CALL_MAX);
    const size_t which = draw(f, KS_ARRAY_LEN(calls));
    for (const char *what = calls[which].takes; *what != '\0'; what++)
        add_one(f, calls[which].function, *what, &b);
    *ret = (struct kmip_pkcs_11_request){.pkcs_11_function = calls[which].function,
                                         .pkcs_11_input_parameters = keep(f, ks_buf_span(&b)),
                                         .has_pkcs_11_input_parameters = b.len != 0};
}
