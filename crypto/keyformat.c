#include "crypto/keyformat.h"

#include <keystead/kmip.h>
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "crypto/keyread.h"
#include "crypto/pkey.h"
#include "crypto/pq.h"

/* Keys are short; an RSA key of 16384 bits is about 9 KiB. RSA below 512 bits is a toy, above it costs seconds. */
enum { KEY_BYTES_MAX = 1 << 16, RSA_BITS_MIN = 512, RSA_BITS_MAX = 16384, FFC_BITS_MIN = 512, FFC_BITS_MAX = 8192 };

static const struct ks_curve curves[] = {
#define CURVE(curve, algorithm, type, group, bits, bytes)                                                              \
    {KMIP_RECOMMENDED_CURVE_##curve, KMIP_CRYPTOGRAPHIC_ALGORITHM_##algorithm, type, group, bits, bytes},
#include "crypto/curve.def"
#undef CURVE
};

static bool
is_any_curve_algorithm(uint32_t algorithm)
{
    return algorithm == 0 || algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC ||
           algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA || algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH;
}

const struct ks_curve *
ks_curve_find(uint32_t curve, uint32_t algorithm)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(curves); i++) {
        const struct ks_curve *c = &curves[i];
        const bool fits = c->algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC ? is_any_curve_algorithm(algorithm)
                                                                          : c->algorithm == algorithm;
        const bool same = c->curve == curve || (curve == 0 && c->algorithm != KMIP_CRYPTOGRAPHIC_ALGORITHM_EC);
        if (fits && same)
            return c;
    }
    return NULL;
}

const struct ks_curve *
ks_curve_find_group(const char *group)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(curves); i++)
        if (curves[i].group != NULL && strcmp(curves[i].group, group) == 0)
            return &curves[i];
    return NULL;
}

uint32_t
ks_curve_bits(uint32_t curve)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(curves); i++)
        if (curves[i].curve == curve)
            return curves[i].bits;
    return 0;
}

/* Which row a key of libcrypto is; NULL for kinds that are not offered, explicit curve parameters among them. */
static const struct ks_curve *
find_curve_of(EVP_PKEY *pkey)
{
    char group[64] = "";
    if (EVP_PKEY_is_a(pkey, "EC") == 1 &&
        EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL) != 1)
        return NULL;
    for (size_t i = 0; i < KS_ARRAY_LEN(curves); i++) {
        const struct ks_curve *c = &curves[i];
        if (EVP_PKEY_is_a(pkey, c->type) == 1 && (c->group == NULL || strcmp(c->group, group) == 0))
            return c;
    }
    return NULL;
}

int
ks_pkey_take(EVP_PKEY *taken, bool is_private, struct ks_pkey **ret, struct ks_diag *diag)
{
    KS_CLEANUP(EVP_PKEY_freep) EVP_PKEY *pkey = taken;
    const struct ks_curve *curve = NULL;
    const struct ks_pq *pq = NULL;
    struct ks_pkey_info info = {.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA, .is_private = is_private};
    if (EVP_PKEY_is_a(pkey, "RSA") == 1) {
        const int bits = EVP_PKEY_get_bits(pkey);
        if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
            return ks_fail(diag, KS_E_UNSUPPORTED, "RSA keys of %d bits are not offered", bits);
        info.bits = (uint32_t)bits;
        KS_CLEANUP(BN_clear_freep) BIGNUM *e = NULL;
        if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) != 1)
            return ks_ossl_fail(diag, KS_E_CRYPTO, "reading the public exponent of an RSA key");
        info.exponent_bits = (uint32_t)BN_num_bits(e);
    } else if (EVP_PKEY_is_a(pkey, "DSA") == 1 || EVP_PKEY_is_a(pkey, "DH") == 1 || EVP_PKEY_is_a(pkey, "DHX") == 1) {
        const int bits = EVP_PKEY_get_bits(pkey);
        if (bits < FFC_BITS_MIN || bits > FFC_BITS_MAX)
            return ks_fail(diag, KS_E_UNSUPPORTED, "DSA and DH keys of %d bits are not offered", bits);
        info.algorithm =
            EVP_PKEY_is_a(pkey, "DSA") == 1 ? KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA : KMIP_CRYPTOGRAPHIC_ALGORITHM_DH;
        info.bits = (uint32_t)bits;
    } else if ((curve = find_curve_of(pkey)) == NULL && (pq = ks_pq_find_pkey(pkey)) != NULL) {
        info.algorithm = pq->algorithm;
        info.bits = (uint32_t)pq->public_bytes * 8;
    } else {
        if (curve == NULL) {
            const char *type = EVP_PKEY_get0_type_name(pkey);
            return ks_ossl_fail(diag, KS_E_UNSUPPORTED, "keys of type %s on this curve are not offered",
                                type != NULL ? type : "unknown");
        }
        info.algorithm = curve->algorithm;
        info.curve = curve->curve;
        info.bits = curve->bits;
    }
    struct ks_pkey *key = calloc(1, sizeof(*key));
    if (key == NULL)
        return ks_fail(diag, KS_E_NOMEM, "no memory for a key");
    key->pkey = pkey;
    pkey = NULL; /* transferred */
    key->curve = curve;
    key->pq = pq;
    key->info = info;
    *ret = key;
    return 0;
}

void
ks_pkey_free(struct ks_pkey *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey); /* libcrypto wipes private components */
    free(key);
}

int
ks_pkey_share(const struct ks_pkey *key, struct ks_pkey **ret)
{
    struct ks_pkey *other = malloc(sizeof(*other));
    if (other == NULL || EVP_PKEY_up_ref(key->pkey) != 1) {
        free(other);
        return KS_E_NOMEM;
    }
    *other = *key;
    *ret = other;
    return 0;
}

void
ks_pkey_info(const struct ks_pkey *key, struct ks_pkey_info *ret)
{
    *ret = key->info;
}

const char *
ks_pkey_text(const struct ks_pkey *key)
{
    if (ks_pkey_is_ffc(key))
        return key->info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA ? "DSA" : "DH";
    if (key->pq != NULL)
        return key->pq->type;
    if (key->curve == NULL)
        return "RSA";
    return key->curve->group != NULL ? key->curve->group : key->curve->type;
}

enum { DER_INTEGER = 0x02, DER_OCTETS = 0x04, DER_BITS = 0x03, DER_OID = 0x06, DER_SEQUENCE = 0x30 };

/*
 * Formats that are DER: which half, which key type (NULL: any), OpenSSL's name of the structure; the types of the
 * first two elements tell them apart, because OpenSSL's decoders take PKCS#8 for the key inside it as well.
 */
static const struct format {
    uint32_t format;
    bool is_private;
    const char *type, *structure, *text;
    uint8_t first, second;
} formats[] = {
    {KMIP_KEY_FORMAT_TYPE_PKCS_1, true, "RSA", "type-specific", "PKCS#1 RSAPrivateKey", DER_INTEGER, DER_INTEGER},
    {KMIP_KEY_FORMAT_TYPE_PKCS_1, false, "RSA", "type-specific", "PKCS#1 RSAPublicKey", DER_INTEGER, DER_INTEGER},
    {KMIP_KEY_FORMAT_TYPE_PKCS_8, true, NULL, "PrivateKeyInfo", "PKCS#8 PrivateKeyInfo", DER_INTEGER, DER_SEQUENCE},
    {KMIP_KEY_FORMAT_TYPE_EC_PRIVATE_KEY, true, "EC", "type-specific", "ECPrivateKey", DER_INTEGER, DER_OCTETS},
    {KMIP_KEY_FORMAT_TYPE_X_509, false, NULL, "SubjectPublicKeyInfo", "X.509 SubjectPublicKeyInfo", DER_SEQUENCE,
     DER_BITS},
};

static const struct format *
find_format(uint32_t number, bool is_private)
{
    for (size_t i = 0; i < KS_ARRAY_LEN(formats); i++)
        if (formats[i].format == number && formats[i].is_private == is_private)
            return &formats[i];
    return NULL;
}

static int
no_format(uint32_t number, bool is_private, struct ks_diag *diag)
{
    return ks_fail(diag, KS_E_UNSUPPORTED, "key format type %#x is not offered for %s keys", number,
                   is_private ? "private" : "public");
}

static bool
algorithm_fits(const struct ks_pkey *key, uint32_t algorithm, uint32_t curve)
{
    if (curve != 0 && key->info.curve != curve)
        return false;
    if (algorithm == 0 || key->info.algorithm == algorithm)
        return true;
    return key->info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_EC && is_any_curve_algorithm(algorithm);
}

/* Reads type and length of an element and gives what is in it; an impossible length sticks to the cursor. */
static uint8_t
next_element(struct ks_cursor *c, struct ks_span *ret)
{
    const uint8_t type = ks_cursor_u8(c);
    size_t len = ks_cursor_u8(c);
    if (len >= 0x80) {
        size_t n = len - 0x80;
        if (n > 4)
            n = SIZE_MAX; /* longer than any key; taking it fails */
        const struct ks_span bytes = ks_cursor_take(c, n);
        len = 0;
        for (size_t i = 0; i < bytes.len; i++)
            len = len << 8 | bytes.data[i];
    }
    *ret = ks_cursor_take(c, len);
    return type;
}

static bool
looks_like(const struct format *format, struct ks_span bytes)
{
    struct ks_cursor outer = KS_CURSOR(bytes);
    struct ks_span body, element;
    if (next_element(&outer, &body) != DER_SEQUENCE || outer.err != 0)
        return false;
    struct ks_cursor inner = KS_CURSOR(body);
    const uint8_t first = next_element(&inner, &element);
    const uint8_t second = next_element(&inner, &element);
    return inner.err == 0 && first == format->first && second == format->second;
}

/* The post-quantum algorithm that the AlgorithmIdentifier of a PKCS#8 or X.509 key names; NULL: none. */
static const struct ks_pq *
announced(const struct format *format, struct ks_span bytes)
{
    struct ks_cursor c = KS_CURSOR(bytes);
    struct ks_span body, element, oid;
    (void)next_element(&c, &body);
    c = KS_CURSOR(body);
    uint8_t type = next_element(&c, &element);
    if (format->format == KMIP_KEY_FORMAT_TYPE_PKCS_8)
        type = next_element(&c, &element);
    if (type != DER_SEQUENCE || c.err != 0)
        return NULL;
    c = KS_CURSOR(element);
    return next_element(&c, &oid) == DER_OID && c.err == 0 ? ks_pq_find_oid(oid) : NULL;
}

static int
parse_der(const struct format *format, struct ks_span bytes, struct ks_pkey **ret, struct ks_diag *diag)
{
    if (!looks_like(format, bytes))
        return ks_fail(diag, KS_E_MALFORMED, "this is no %s", format->text);
    /* Where libcrypto does not know the algorithm it calls a sound key malformed. */
    const struct ks_pq *pq = announced(format, bytes);
    if (pq != NULL)
        KS_TRY(ks_pq_check(pq->algorithm, diag));
    KS_CLEANUP(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
    const int selection = format->is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
    OSSL_DECODER_CTX *ctx =
        OSSL_DECODER_CTX_new_for_pkey(&pkey, "DER", format->structure, format->type, selection, NULL, NULL);
    if (ctx == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "%s", format->text);
    const unsigned char *at = bytes.data;
    size_t left = bytes.len;
    const int ok = OSSL_DECODER_from_data(ctx, &at, &left);
    OSSL_DECODER_CTX_free(ctx);
    if (ok != 1 || pkey == NULL)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "this is no %s", format->text);
    ERR_clear_error(); /* of the decoders that were tried and did not fit */
    if (left != 0)
        return ks_fail(diag, KS_E_MALFORMED, "%zu bytes behind the end of %s", left, format->text);
    EVP_PKEY *taken = pkey;
    pkey = NULL; /* transferred */
    return ks_pkey_take(taken, format->is_private, ret, diag);
}

static int
parse_raw(bool is_private, uint32_t algorithm, uint32_t curve, struct ks_span bytes, struct ks_pkey **ret,
          struct ks_diag *diag)
{
    const struct ks_pq *pq = ks_pq_find(algorithm);
    if (pq != NULL)
        return ks_pq_from_raw(pq, is_private, bytes, ret, diag);
    if (ks_curve_find(curve, algorithm) == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED,
                       "a raw asymmetric key needs an elliptic curve: cryptographic algorithm %#x, curve %#x is none "
                       "that is offered",
                       algorithm, curve);
    struct ks_ec_parts parts = {.algorithm = algorithm, .curve = curve};
    if (is_private)
        parts.d = bytes;
    else
        parts.q = bytes;
    return ks_pkey_from_ec(&parts, ret, diag);
}

int
ks_pkey_parse(uint32_t format, bool is_private, uint32_t algorithm, uint32_t curve, struct ks_span bytes,
              struct ks_pkey **ret, struct ks_diag *diag)
{
    if (bytes.len == 0)
        return ks_fail(diag, KS_E_MALFORMED, "the key is empty");
    if (bytes.len > KEY_BYTES_MAX)
        return ks_fail(diag, KS_E_LIMIT, "a key of %zu bytes; %d at most", bytes.len, KEY_BYTES_MAX);
    if (format == KMIP_KEY_FORMAT_TYPE_RAW)
        return parse_raw(is_private, algorithm, curve, bytes, ret, diag);
    const struct format *f = find_format(format, is_private);
    if (f == NULL)
        return no_format(format, is_private, diag);
    KS_PKEY *key = NULL;
    const int rc = ks_pkey_read(format, is_private, bytes, &key);
    if (rc == KS_E_NOMEM)
        return ks_fail(diag, rc, "no memory for a key");
    if (rc != 0)
        KS_TRY(parse_der(f, bytes, &key, diag));
    if (!algorithm_fits(key, algorithm, curve))
        return ks_fail(diag, KS_E_INVALID, "the %s holds a key of type %s, which cryptographic algorithm %#x%s is not",
                       f->text, ks_pkey_text(key), algorithm, curve != 0 ? " on that curve" : "");
    *ret = key;
    key = NULL; /* transferred */
    return 0;
}

static int
export_der(const struct ks_pkey *key, const struct format *format, struct ks_buf *ret, struct ks_diag *diag)
{
    if (format->type != NULL && EVP_PKEY_is_a(key->pkey, format->type) != 1)
        return ks_fail(diag, KS_E_UNSUPPORTED, "a key of type %s has no %s form", ks_pkey_text(key), format->text);
    const int selection = format->is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
    OSSL_ENCODER_CTX *ctx = OSSL_ENCODER_CTX_new_for_pkey(key->pkey, selection, "DER", format->structure, NULL);
    unsigned char *der = NULL;
    size_t len = 0;
    const bool ok = ctx != NULL && OSSL_ENCODER_to_data(ctx, &der, &len) == 1;
    OSSL_ENCODER_CTX_free(ctx);
    if (!ok)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "writing %s as %s", ks_pkey_text(key), format->text);
    const int rc = ks_buf_add(ret, der, len);
    OPENSSL_clear_free(der, len);
    return rc == 0 ? 0 : ks_fail(diag, rc, "no room for a key of %zu bytes", len);
}

static int
export_raw(const struct ks_pkey *key, bool is_private, struct ks_buf *ret, struct ks_diag *diag)
{
    if (key->pq != NULL)
        return ks_pq_raw(key, is_private, ret, diag);
    if (key->curve == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "a key of type %s has no raw form", ks_pkey_text(key));
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(4096);
    struct ks_ec_parts parts;
    KS_TRY(ks_pkey_ec(key, &arena, &parts, diag));
    const int rc = ks_buf_add_span(ret, is_private ? parts.d : parts.q);
    return rc == 0 ? 0 : ks_fail(diag, rc, "no room for the key");
}

int
ks_pkey_export(const struct ks_pkey *key, uint32_t format, bool is_private, struct ks_buf *ret, struct ks_diag *diag)
{
    if (is_private && !key->info.is_private)
        return ks_fail(diag, KS_E_INVALID, "a public key of type %s has no private half", ks_pkey_text(key));
    if (format == KMIP_KEY_FORMAT_TYPE_RAW)
        return export_raw(key, is_private, ret, diag);
    const struct format *f = find_format(format, is_private);
    if (f == NULL)
        return no_format(format, is_private, diag);
    return export_der(key, f, ret, diag);
}

uint32_t
ks_pkey_default_format(const struct ks_pkey *key, bool is_private)
{
    if (key->info.algorithm == KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA)
        return KMIP_KEY_FORMAT_TYPE_PKCS_1;
    return is_private ? KMIP_KEY_FORMAT_TYPE_PKCS_8 : KMIP_KEY_FORMAT_TYPE_X_509;
}

int
ks_pkey_check(const struct ks_pkey *key, struct ks_diag *diag)
{
    KS_CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (ctx == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "checking a key of type %s", ks_pkey_text(key));
    const int ok = key->info.is_private ? EVP_PKEY_check(ctx) : EVP_PKEY_public_check(ctx);
    if (ok != 1)
        return ks_ossl_fail(diag, KS_E_INVALID, "the %s key of type %s is not sound",
                            key->info.is_private ? "private" : "public", ks_pkey_text(key));
    return 0;
}

bool
ks_pkey_same_public(const struct ks_pkey *a, const struct ks_pkey *b)
{
    const bool same = EVP_PKEY_eq(a->pkey, b->pkey) == 1;
    ERR_clear_error();
    return same;
}

int
ks_pkey_public(const struct ks_pkey *key, struct ks_pkey **ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf der = KS_BUF(KEY_BYTES_MAX);
    KS_TRY(ks_pkey_export(key, KMIP_KEY_FORMAT_TYPE_X_509, false, &der, diag));
    return ks_pkey_parse(KMIP_KEY_FORMAT_TYPE_X_509, false, 0, 0, ks_buf_span(&der), ret, diag);
}
