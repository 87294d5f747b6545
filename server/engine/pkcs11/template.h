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
    CKK_EC_EDWARDS = 0x40,
    CKK_EC_MONTGOMERY = 0x41
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

/* Under which CKA_ID is kept. */
#define P11_VENDOR "PKCS11"
#define P11_VENDOR_ID "CKA_ID"

/* CKA_KEY_TYPE and CKA_CLASS as KMIP's enumerations and back; 0, false: nothing like it. */
uint32_t p11_algorithm_of(uint64_t key_type, size_t at); /* the at-th of them */
bool p11_key_type_of(uint32_t algorithm, uint64_t *ret);
bool p11_is_secret_type(uint64_t key_type); /* a secret key with an algorithm */
uint32_t p11_object_type(uint64_t object_class);

/* The bits of the Cryptographic Usage Mask that an attribute stands for, in an object of that class. */
uint32_t p11_usage_bits(enum p11_attr attr, uint64_t object_class);

/* What Get Attributes says of an object. */
struct p11_facts {
    const struct kmip_attrs *attrs;
    uint32_t type, algorithm, bits, usage, curve;
    uint64_t object_class;
    bool has_key_type, of_session;
    uint64_t key_type;
};
uint32_t p11_attributes(struct p11 *p, const struct kmip_uid *uid, struct p11_facts *ret);

/* Numbers as KMIP attributes, of the type that the attribute has. */
uint32_t p11_add_number(struct p11 *p, struct kmip_attrs *attrs, uint32_t tag, int64_t value);

/* Curves, by the DER of their CKA_EC_PARAMS: an OID, or a name (PrintableString) for those that have one. */
struct p11_curve {
    uint32_t curve, algorithm, bits;
    uint64_t key_type, generation; /* generation: the mechanism that makes such pairs */
    struct ks_span oid, name;
};
const struct p11_curve *p11_curve_of(struct ks_span params); /* NULL: not known */
const struct p11_curve *p11_curve_find(uint32_t curve, uint64_t key_type);
/* Cryptographic Domain Parameters that name the curve. */
uint32_t p11_add_curve(struct p11 *p, struct kmip_attrs *attrs, uint32_t curve);
/* The bytes of a point: those of the OCTET STRING that a CKA_EC_POINT is, or what was sent, where it is none. */
struct ks_span p11_point(struct ks_span value);

/* Whether the attribute is there and true. */
bool p11_flag(const struct p11_facts *facts, uint32_t tag);

/* make.c. Refuses parts of a key in a template for what is not made of them. */
uint32_t p11_no_parts(const struct p11_template *t);
/* What every new object is told: its algorithm (0: nothing), what it is for if the template does not say, and that it
 * is in use. */
uint32_t p11_add_facts(struct p11 *p, struct kmip_attrs *attrs, uint32_t algorithm, uint32_t usage);
uint32_t p11_usual_usage(uint64_t object_class, uint64_t key_type);
/* A Key Block with bytes in it (NULL: no memory), and the object around it. */
struct kmip_key_block *p11_key_block(struct p11 *p, uint32_t format, struct ks_span bytes);
uint32_t p11_put_block(struct p11 *p, uint32_t object_type, struct kmip_key_block *block,
                       struct kmip_managed_object *ret);
/* The handle of an object, into the output. */
uint32_t p11_put_handle(struct p11 *p, const struct kmip_uid *uid);
