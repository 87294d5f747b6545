/* The forms in which a point on an elliptic curve is written (X9.62, 4.3.6; crypto/keyformat.h). */
#include <keystead/kmip.h>
#include <openssl/core_names.h>

#include "crypto/pkey.h"

int
ks_point_write(const struct ks_ec_parts *parts, enum ks_point_form form, struct ks_arena *arena, struct ks_span *ret,
               struct ks_diag *diag)
{
    const struct ks_span q = parts->q;
    if (q.len < 3 || q.len % 2 != 1 || q.data[0] != POINT_CONVERSION_UNCOMPRESSED)
        return ks_fail(diag, KS_E_UNSUPPORTED, "the key has no point on a curve that could be written so");
    const size_t len = form == KS_POINT_COMPRESSED ? 1 + q.len / 2 : q.len;
    uint8_t *out = ks_arena_dup(arena, q.data, len);
    if (out == NULL)
        return ks_fail(diag, KS_E_NOMEM, "no memory for a point");
    /* The lowest bit of y says which of the two points with that x it is. */
    if (form != KS_POINT_UNCOMPRESSED)
        out[0] = (uint8_t)((form == KS_POINT_COMPRESSED ? POINT_CONVERSION_COMPRESSED : POINT_CONVERSION_HYBRID) |
                           (q.data[q.len - 1] & 1));
    *ret = KS_SPAN(out, len);
    return 0;
}

static int
export_x509(const struct ks_pkey *key, enum ks_point_form form, struct ks_buf *ret, struct ks_diag *diag)
{
    static const char *const names[] = {[KS_POINT_UNCOMPRESSED] = OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED,
                                        [KS_POINT_COMPRESSED] = OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_COMPRESSED,
                                        [KS_POINT_HYBRID] = OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_HYBRID};
    KS_PKEY *copy = NULL; /* the form is a property of the key; the caller's stays as it is */
    KS_TRY(ks_pkey_public(key, &copy, diag));
    if (EVP_PKEY_set_utf8_string_param(copy->pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, names[form]) != 1)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "choosing the form of a point on %s", ks_pkey_text(key));
    return ks_pkey_export(copy, KMIP_KEY_FORMAT_TYPE_X_509, false, ret, diag);
}

int
ks_pkey_export_point(const struct ks_pkey *key, uint32_t format, enum ks_point_form form, struct ks_buf *ret,
                     struct ks_diag *diag)
{
    if (key->curve == NULL || key->curve->group == NULL)
        return ks_fail(diag, KS_E_UNSUPPORTED, "a key of type %s has no point", ks_pkey_text(key));
    if (format == KMIP_KEY_FORMAT_TYPE_X_509)
        return export_x509(key, form, ret, diag);
    if (format != KMIP_KEY_FORMAT_TYPE_RAW)
        return ks_fail(diag, KS_E_UNSUPPORTED, "points are written in other forms in X.509 and Raw format alone");
    KS_CLEANUP(ks_arena_done) struct ks_arena arena = KS_ARENA(4096);
    struct ks_ec_parts parts;
    struct ks_span point;
    KS_TRY(ks_pkey_ec(key, &arena, &parts, diag));
    KS_TRY(ks_point_write(&parts, form, &arena, &point, diag));
    const int rc = ks_buf_add_span(ret, point);
    return rc == 0 ? 0 : ks_fail(diag, rc, "no room for a point");
}
