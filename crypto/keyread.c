#include "crypto/keyread.h"

#include <keystead/kmip.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include "crypto/pkey.h"

enum {
    DER_INTEGER = 0x02,
    DER_BITS = 0x03,
    DER_OCTETS = 0x04,
    DER_NULL = 0x05,
    DER_OID = 0x06,
    DER_SEQUENCE = 0x30,
    DER_CONTEXT_0 = 0xa0,
    DER_CONTEXT_1 = 0xa1,
};

/* The next element, which has to be of the type; its length in the one form that DER has for it. */
static bool
take(struct ks_cursor *c, uint8_t type, struct ks_span *ret)
{
    if (ks_cursor_left(c) < 2 || ks_cursor_u8(c) != type)
        return false;
    size_t len = ks_cursor_u8(c);
    if (len == 0x81 && ks_cursor_left(c) >= 1) {
        len = ks_cursor_u8(c);
        if (len < 0x80)
            return false;
    } else if (len == 0x82 && ks_cursor_left(c) >= 2) {
        len = (size_t)ks_cursor_u8(c) << 8;
        len |= ks_cursor_u8(c);
        if (len < 0x100)
            return false;
    } else if (len >= 0x80) {
        return false;
    }
    if (len > ks_cursor_left(c))
        return false;
    *ret = ks_cursor_take(c, len);
    return c->err == 0;
}

static bool
next_is(const struct ks_cursor *c, uint8_t type)
{
    struct ks_cursor look = *c;
    return ks_cursor_left(&look) != 0 && ks_cursor_u8(&look) == type;
}

static bool
enter(struct ks_cursor *c, uint8_t type, struct ks_cursor *ret)
{
    struct ks_span body;
    if (!take(c, type, &body))
        return false;
    *ret = KS_CURSOR(body);
    return true;
}

/* One element of the type and nothing behind it. */
static bool
enter_whole(struct ks_span der, uint8_t type, struct ks_cursor *ret)
{
    struct ks_cursor c = KS_CURSOR(der);
    return enter(&c, type, ret) && ks_cursor_left(&c) == 0;
}

static bool
version(struct ks_cursor *c, uint8_t number)
{
    struct ks_span v;
    return take(c, DER_INTEGER, &v) && v.len == 1 && v.data[0] == number;
}

/* A number above 0, without the zero that keeps it from being negative. */
static bool
number(struct ks_cursor *c, struct ks_span *ret)
{
    struct ks_span v;
    if (!take(c, DER_INTEGER, &v) || v.len == 0 || (v.data[0] & 0x80) != 0)
        return false;
    if (v.data[0] == 0) {
        if (v.len == 1 || (v.data[1] & 0x80) == 0)
            return false;
        v = KS_SPAN(v.data + 1, v.len - 1);
    }
    *ret = v;
    return true;
}

/* Bit strings of whole bytes. */
static bool
bits(struct ks_cursor *c, struct ks_span *ret)
{
    struct ks_span v;
    if (!take(c, DER_BITS, &v) || v.len == 0 || v.data[0] != 0)
        return false;
    *ret = KS_SPAN(v.data + 1, v.len - 1);
    return true;
}

static int
rsa_private(struct ks_span der, struct ks_pkey **ret)
{
    struct ks_rsa_parts p;
    struct ks_cursor c;
    if (!enter_whole(der, DER_SEQUENCE, &c) || !version(&c, 0) || !number(&c, &p.n) || !number(&c, &p.e) ||
        !number(&c, &p.d) || !number(&c, &p.p) || !number(&c, &p.q) || !number(&c, &p.dp) || !number(&c, &p.dq) ||
        !number(&c, &p.qi) || ks_cursor_left(&c) != 0)
        return KS_E_UNSUPPORTED;
    return ks_pkey_from_rsa(&p, ret, NULL);
}

static int
rsa_public(struct ks_span der, struct ks_pkey **ret)
{
    struct ks_rsa_parts p = {.n = KS_SPAN_NONE};
    struct ks_cursor c;
    if (!enter_whole(der, DER_SEQUENCE, &c) || !number(&c, &p.n) || !number(&c, &p.e) || ks_cursor_left(&c) != 0)
        return KS_E_UNSUPPORTED;
    return ks_pkey_from_rsa(&p, ret, NULL);
}

/* The curve that an object identifier names; NULL: none that is offered. */
static const struct ks_curve *
curve_of(struct ks_span oid)
{
    uint8_t der[2 + 16] = {DER_OID, (uint8_t)oid.len};
    if (oid.len == 0 || oid.len > sizeof(der) - 2)
        return NULL;
    memcpy(der + 2, oid.data, oid.len);
    const unsigned char *at = der;
    ASN1_OBJECT *object = d2i_ASN1_OBJECT(NULL, &at, (long)(2 + oid.len));
    const int nid = object != NULL ? OBJ_obj2nid(object) : NID_undef;
    ASN1_OBJECT_free(object);
    return nid != NID_undef ? ks_curve_find_group(OBJ_nid2sn(nid)) : NULL;
}

/* oid: of the curve, where whatever is around it says that; else empty, and the key has to. */
static int
ec_private(struct ks_span der, struct ks_span oid, struct ks_pkey **ret)
{
    struct ks_span d, own, q = KS_SPAN_NONE;
    struct ks_cursor c, inner;
    if (!enter_whole(der, DER_SEQUENCE, &c) || !version(&c, 1) || !take(&c, DER_OCTETS, &d))
        return KS_E_UNSUPPORTED;
    if (next_is(&c, DER_CONTEXT_0)) {
        if (!enter(&c, DER_CONTEXT_0, &inner) || !take(&inner, DER_OID, &own) || ks_cursor_left(&inner) != 0 ||
            (oid.len != 0 && !ks_span_equal(oid, own)))
            return KS_E_UNSUPPORTED;
        oid = own;
    }
    if (next_is(&c, DER_CONTEXT_1) &&
        (!enter(&c, DER_CONTEXT_1, &inner) || !bits(&inner, &q) || ks_cursor_left(&inner) != 0))
        return KS_E_UNSUPPORTED;
    const struct ks_curve *curve = curve_of(oid);
    if (ks_cursor_left(&c) != 0 || curve == NULL || d.len != curve->bytes || (q.len != 0 && q.data[0] != 0x04))
        return KS_E_UNSUPPORTED;
    const struct ks_ec_parts parts = {.curve = curve->curve, .d = d, .q = q};
    return ks_pkey_from_ec(&parts, ret, NULL);
}

static int
ec_public(struct ks_span point, struct ks_span oid, struct ks_pkey **ret)
{
    const struct ks_curve *curve = curve_of(oid);
    if (curve == NULL || point.len != 1 + 2 * curve->bytes || point.data[0] != 0x04)
        return KS_E_UNSUPPORTED;
    const struct ks_ec_parts parts = {.curve = curve->curve, .q = point};
    return ks_pkey_from_ec(&parts, ret, NULL);
}

/* RFC 8410: Edwards keys. In PKCS#8 the bytes are an octet string once more. */
static int
edwards(bool is_private, uint32_t algorithm, struct ks_span bytes, struct ks_pkey **ret)
{
    struct ks_ec_parts parts = {.algorithm = algorithm};
    struct ks_cursor c = KS_CURSOR(bytes);
    if (!is_private)
        parts.q = bytes;
    else if (!take(&c, DER_OCTETS, &parts.d) || ks_cursor_left(&c) != 0)
        return KS_E_UNSUPPORTED;
    return ks_pkey_from_ec(&parts, ret, NULL);
}

/* What an AlgorithmIdentifier's key is: `bytes` are those of the octet string of PKCS#8, or of the bit string. */
static int
by_algorithm(bool is_private, struct ks_cursor *c, struct ks_span bytes, struct ks_pkey **ret)
{
    static const uint8_t rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
    static const uint8_t ec[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
    static const uint8_t ed25519[] = {0x2b, 0x65, 0x70}, ed448[] = {0x2b, 0x65, 0x71};
    struct ks_span oid, more = KS_SPAN_NONE;
    if (!take(c, DER_OID, &oid))
        return KS_E_UNSUPPORTED;
    if (ks_span_equal(oid, KS_SPAN(ed25519, sizeof(ed25519))) && ks_cursor_left(c) == 0)
        return edwards(is_private, KMIP_CRYPTOGRAPHIC_ALGORITHM_ED25519, bytes, ret);
    if (ks_span_equal(oid, KS_SPAN(ed448, sizeof(ed448))) && ks_cursor_left(c) == 0)
        return edwards(is_private, KMIP_CRYPTOGRAPHIC_ALGORITHM_ED448, bytes, ret);
    if (ks_span_equal(oid, KS_SPAN(rsa, sizeof(rsa))) && take(c, DER_NULL, &more) && more.len == 0 &&
        ks_cursor_left(c) == 0)
        return is_private ? rsa_private(bytes, ret) : rsa_public(bytes, ret);
    if (ks_span_equal(oid, KS_SPAN(ec, sizeof(ec))) && take(c, DER_OID, &more) && ks_cursor_left(c) == 0)
        return is_private ? ec_private(bytes, more, ret) : ec_public(bytes, more, ret);
    return KS_E_UNSUPPORTED;
}

static int
read_any(uint32_t format, bool is_private, struct ks_span der, struct ks_pkey **ret)
{
    struct ks_cursor c, algorithm;
    struct ks_span bytes;
    switch (format) {
    case KMIP_KEY_FORMAT_TYPE_PKCS_1:
        return is_private ? rsa_private(der, ret) : rsa_public(der, ret);
    case KMIP_KEY_FORMAT_TYPE_EC_PRIVATE_KEY:
        return is_private ? ec_private(der, KS_SPAN_NONE, ret) : KS_E_UNSUPPORTED;
    case KMIP_KEY_FORMAT_TYPE_PKCS_8:
        if (!is_private || !enter_whole(der, DER_SEQUENCE, &c) || !version(&c, 0) ||
            !enter(&c, DER_SEQUENCE, &algorithm) || !take(&c, DER_OCTETS, &bytes) || ks_cursor_left(&c) != 0)
            return KS_E_UNSUPPORTED;
        return by_algorithm(true, &algorithm, bytes, ret);
    case KMIP_KEY_FORMAT_TYPE_X_509:
        if (is_private || !enter_whole(der, DER_SEQUENCE, &c) || !enter(&c, DER_SEQUENCE, &algorithm) ||
            !bits(&c, &bytes) || ks_cursor_left(&c) != 0)
            return KS_E_UNSUPPORTED;
        return by_algorithm(false, &algorithm, bytes, ret);
    default:
        return KS_E_UNSUPPORTED;
    }
}

int
ks_pkey_read(uint32_t format, bool is_private, struct ks_span der, struct ks_pkey **ret)
{
    const int rc = read_any(format, is_private, der, ret);
    if (rc != 0)
        ERR_clear_error();
    return rc == 0 || rc == KS_E_NOMEM ? rc : KS_E_UNSUPPORTED;
}
