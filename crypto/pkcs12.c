#include "crypto/pkcs12.h"

#include <openssl/pkcs12.h>

#include "crypto/x509.h"

enum { PASSWORD_MOST = 1024, CONTAINER_MOST = 1 << 20 };

static inline void
certs_freep(STACK_OF(X509) * *certs)
{
    sk_X509_pop_free(*certs, X509_free);
}

/* The password as text that ends in NUL; in memory that is wiped. */
static int
password_text(struct ks_span password, struct ks_buf *ret, struct ks_diag *diag)
{
    if (password.len == 0 || password.len > PASSWORD_MOST || memchr(password.data, 0, password.len) != NULL)
        return ks_fail(diag, KS_E_INVALID, "PKCS#12: a password has 1 to %d bytes and no NUL", PASSWORD_MOST);
    ks_buf_add_span(ret, password);
    return ks_buf_add_u8(ret, 0) == 0 ? 0 : ks_fail(diag, ret->err, "PKCS#12: no memory for the password");
}

int
ks_pkcs12_make(const struct ks_pkey *key, const struct ks_span *certs, size_t n_certs, const char *friendly,
               struct ks_span password, struct ks_buf *ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(PASSWORD_MOST + 1);
    KS_CLEANUP(X509_freep) X509 *own = NULL;
    KS_CLEANUP(certs_freep) STACK_OF(X509) *others = sk_X509_new_null();
    KS_TRY(password_text(password, &text, diag));
    if (others == NULL)
        return ks_ossl_fail(diag, KS_E_NOMEM, "PKCS#12");
    for (size_t i = 0; i < n_certs; i++) {
        X509 *cert = NULL;
        KS_TRY(ks_x509_parse(certs[i], &cert, diag));
        if (i == 0) {
            own = cert;
        } else if (sk_X509_push(others, cert) <= 0) {
            X509_free(cert);
            return ks_ossl_fail(diag, KS_E_NOMEM, "PKCS#12");
        }
    }
    if (own != NULL && X509_check_private_key(own, key->pkey) != 1)
        return ks_ossl_fail(diag, KS_E_INVALID, "PKCS#12: the certificate is not one of the private key");
    KS_CLEANUP(PKCS12_freep)
    PKCS12 *container = PKCS12_create((const char *)text.data, friendly, key->pkey, own, others, NID_aes_256_cbc,
                                      NID_aes_256_cbc, PKCS12_DEFAULT_ITER, PKCS12_DEFAULT_ITER, 0);
    if (container == NULL)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "PKCS#12: making the container");
    unsigned char *der = NULL;
    const int len = i2d_PKCS12(container, &der);
    if (len <= 0)
        return ks_ossl_fail(diag, KS_E_CRYPTO, "PKCS#12: writing the container");
    const int rc = ks_buf_add(ret, der, (size_t)len);
    OPENSSL_free(der);
    return rc == 0 ? 0 : ks_fail(diag, rc, "no room for a PKCS#12 container of %d bytes", len);
}

int
ks_pkcs12_key(struct ks_span container, struct ks_span password, struct ks_pkey **ret, struct ks_diag *diag)
{
    KS_CLEANUP(ks_buf_done) struct ks_buf text = KS_BUF(PASSWORD_MOST + 1);
    KS_TRY(password_text(password, &text, diag));
    if (container.len == 0 || container.len > CONTAINER_MOST)
        return ks_fail(diag, KS_E_LIMIT, "a PKCS#12 container of %zu bytes", container.len);
    const unsigned char *at = container.data;
    KS_CLEANUP(PKCS12_freep) PKCS12 *parsed = d2i_PKCS12(NULL, &at, (long)container.len);
    if (parsed == NULL || at != container.data + container.len)
        return ks_ossl_fail(diag, KS_E_MALFORMED, "this is no PKCS#12 container");
    EVP_PKEY *pkey = NULL;
    X509 *cert = NULL;
    if (PKCS12_parse(parsed, (const char *)text.data, &pkey, &cert, NULL) != 1)
        return ks_ossl_fail(diag, KS_E_INTEGRITY,
                            "the PKCS#12 container does not open: another password, or changed bytes");
    X509_free(cert);
    if (pkey == NULL)
        return ks_ossl_fail(diag, KS_E_NOT_FOUND, "the PKCS#12 container has no private key in it");
    return ks_pkey_take(pkey, true, ret, diag);
}
