/* Trust anchors and lists of revoked certificates, from files (crypto/cert.h: ks_trust). */
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pemerr.h>

#include "crypto/x509.h"

int
ks_trust_new(struct ks_trust **ret)
{
    struct ks_trust *trust = calloc(1, sizeof(*trust));
    if (trust == NULL)
        return KS_E_NOMEM;
    trust->anchors = sk_X509_new_null();
    trust->crls = sk_X509_CRL_new_null();
    if (trust->anchors == NULL || trust->crls == NULL) {
        ks_trust_free(trust);
        return KS_E_NOMEM;
    }
    *ret = trust;
    return 0;
}

void
ks_trust_free(struct ks_trust *trust)
{
    if (trust == NULL)
        return;
    sk_X509_pop_free(trust->anchors, X509_free);
    sk_X509_CRL_pop_free(trust->crls, X509_CRL_free);
    free(trust);
}

size_t
ks_trust_count(const struct ks_trust *trust, enum ks_trust_kind kind)
{
    return (size_t)(kind == KS_TRUST_ANCHORS ? sk_X509_num(trust->anchors) : sk_X509_CRL_num(trust->crls));
}

static int
add_anchor(struct ks_trust *trust, struct ks_span der, struct ks_diag *diag)
{
    X509 *cert = NULL;
    if (sk_X509_num(trust->anchors) >= KS_TRUST_ANCHORS_MOST)
        return ks_fail(diag, KS_E_LIMIT, "more than %d trust anchors", KS_TRUST_ANCHORS_MOST);
    KS_TRY(ks_x509_parse(der, &cert, diag));
    if (sk_X509_push(trust->anchors, cert) <= 0) {
        X509_free(cert);
        return ks_ossl_fail(diag, KS_E_NOMEM, "no memory for a trust anchor");
    }
    return 0;
}

static int
add_crl(struct ks_trust *trust, struct ks_span der, struct ks_diag *diag)
{
    const unsigned char *p = der.data;
    KS_CLEANUP(X509_CRL_freep) X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.len);
    if (crl == NULL || p != der.data + der.len)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "not a list of revoked certificates (X.509 CRL)");
    if (sk_X509_CRL_push(trust->crls, crl) <= 0)
        return ks_ossl_fail(diag, KS_E_NOMEM, "no memory for a list of revoked certificates");
    crl = NULL; /* transferred */
    return 0;
}

static int
add_der(struct ks_trust *trust, enum ks_trust_kind kind, struct ks_span der, struct ks_diag *diag)
{
    if (der.len == 0 || der.len > KS_TRUST_BYTES_MOST - trust->bytes)
        return ks_fail(diag, KS_E_LIMIT, "trust anchors and lists of more than %d bytes in all", KS_TRUST_BYTES_MOST);
    KS_TRY(kind == KS_TRUST_ANCHORS ? add_anchor(trust, der, diag) : add_crl(trust, der, diag));
    trust->bytes += der.len;
    return 0;
}

static int
add_block(struct ks_trust *trust, enum ks_trust_kind kind, const char *label, struct ks_span der, struct ks_diag *diag)
{
    const char *want = kind == KS_TRUST_ANCHORS ? PEM_STRING_X509 : PEM_STRING_X509_CRL;
    if (strcmp(label, want) != 0)
        return ks_fail(diag, KS_E_INVALID, "it holds a block \"%.40s\" where \"%s\" alone belongs", label, want);
    return add_der(trust, kind, der, diag);
}

int
ks_trust_add(struct ks_trust *trust, enum ks_trust_kind kind, struct ks_span file, struct ks_diag *diag)
{
    if (file.len == 0 || file.len > KS_TRUST_BYTES_MOST)
        return ks_fail(diag, KS_E_LIMIT, "a file of %zu bytes; from 1 to %d", file.len, KS_TRUST_BYTES_MOST);
    if (file.data[0] == 0x30) /* a SEQUENCE; no text begins with it that a PEM could be in without a digit before it */
        return add_der(trust, kind, file, diag);
    KS_CLEANUP(BIO_free_allp) BIO *bio = BIO_new_mem_buf(file.data, (int)file.len);
    if (bio == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "PEM");
    for (size_t n = 0;; n++) {
        char *name = NULL, *header = NULL;
        unsigned char *data = NULL;
        long len = 0;
        if (PEM_read_bio(bio, &name, &header, &data, &len) != 1) {
            if (n == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
                return ks_ossl_fail(diag, KS_E_MALFORMED, "neither PEM nor DER");
            ERR_clear_error();
            return 0;
        }
        const int rc = add_block(trust, kind, name, KS_SPAN(data, (size_t)len), diag);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(data, (size_t)len); /* it may be a key that does not belong there */
        KS_TRY(rc);
    }
}
