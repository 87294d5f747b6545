/* Attributes of PKCS#11 objects: on the wire, and what they are in KMIP. */
#pragma once

#include "server/engine/pkcs11/p11.h"

enum p11_kind { P11_BOOL, P11_ULONG, P11_DATE, P11_BYTES };

enum p11_attr {
#define P11_ATTRIBUTE(NAME, value, kind, meaning) CKA_##NAME,
#include "server/engine/pkcs11/attributes.def"
#undef P11_ATTRIBUTE
    CKA_COUNT
};

/* Values of CKA_CLASS and CKA_KEY_TYPE. */
enum { CKO_DATA = 0, CKO_CERTIFICATE = 1, CKO_PUBLIC_KEY = 2, CKO_PRIVATE_KEY = 3, CKO_SECRET_KEY = 4 };
enum {
    CKK_RSA = 0,
    CKK_EC = 3,
    CKK_GENERIC_SECRET = 0x10,
    CKK_AES = 0x1f,
    CKK_SHA256_HMAC = 0x2b,
    CKK_SHA384_HMAC = 0x2c,
    CKK_SHA512_HMAC = 0x2d,
    CKK_EC_EDWARDS = 0x40
};

struct p11_value {
    bool given; /* is in the template */
    bool has_value;
    uint64_t number;      /* BOOL, ULONG */
    struct ks_span bytes; /* BYTES, DATE */
    bool has_length;
    uint32_t length; /* BYTES: the space for it, where no value is given */
};

struct p11_template {
    size_t n;
    enum p11_attr order[PKCS11_TEMPLATE];
    struct p11_value v[CKA_COUNT];
};

/* Reads a template: OK, P11_CODEC, ATTRIBUTE_TYPE_INVALID, ... values: every attribute has to have one. */
uint32_t p11_take_template(struct p11 *p, bool values, struct p11_template *ret);

/* The attribute of a row, on the wire. */
uint64_t p11_attr_type(enum p11_attr attr);
enum p11_kind p11_attr_kind(enum p11_attr attr);

/* As attributes of a KMIP request for an object of that class. search: as filters; else for a new object. */
uint32_t p11_template_attrs(struct p11 *p, const struct p11_template *t, uint64_t object_class, bool search,
                            struct kmip_attrs *ret);

/*
 * Where a new object of the class goes: to the token where the template says CKA_TOKEN, else to the session (what the
 * operations make from then on). SESSION_READ_ONLY: the session may not make objects of the token.
 */
uint32_t p11_place(struct p11 *p, const struct p11_template *t, uint64_t object_class);

/* No return code: no object can be what the search asks for. */
#define P11_NOTHING (UINT32_MAX - 1)

/* Under which CKA_ID is kept. */
#define P11_VENDOR "PKCS11"
#define P11_VENDOR_ID "CKA_ID"

/* CKA_KEY_TYPE and CKA_CLASS as KMIP's enumerations and back; 0, false: nothing like it. */
uint32_t p11_algorithm_of(uint64_t key_type);
bool p11_key_type_of(uint32_t algorithm, uint64_t *ret);
uint32_t p11_object_type(uint64_t object_class);

/* The bits of the Cryptographic Usage Mask that an attribute stands for, in an object of that class. */
uint32_t p11_usage_bits(enum p11_attr attr, uint64_t object_class);

/* What Get Attributes says of an object. */
struct p11_facts {
    const struct kmip_attrs *attrs;
    uint32_t type, algorithm, bits, usage;
};
uint32_t p11_attributes(struct p11 *p, const struct kmip_uid *uid, struct p11_facts *ret);

/* Numbers as KMIP attributes, of the type that the attribute has. */
uint32_t p11_add_number(struct p11 *p, struct kmip_attrs *attrs, uint32_t tag, int64_t value);

/* DER of the OID of a curve, and the curve of such DER; empty, 0: not known. */
struct ks_span p11_curve_oid(uint32_t curve);
uint32_t p11_curve_of(struct ks_span oid);

#define P11_TRY(call)                                                                                                  \
    do {                                                                                                               \
        const uint32_t p11_code_ = (call);                                                                             \
        if (p11_code_ != CKR(OK))                                                                                      \
            return p11_code_;                                                                                          \
    } while (0)
