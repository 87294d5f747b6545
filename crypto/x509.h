/* Inside crypto/ only: certificates of libcrypto. */
#pragma once

#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/cert.h"
#include "crypto/pkey.h"

KS_OSSL_CLEANUP(PKCS12, PKCS12_free)
KS_OSSL_CLEANUP(X509, X509_free)
KS_OSSL_CLEANUP(X509_CRL, X509_CRL_free)
KS_OSSL_CLEANUP(X509_REQ, X509_REQ_free)
KS_OSSL_CLEANUP(X509_STORE, X509_STORE_free)
KS_OSSL_CLEANUP(X509_STORE_CTX, X509_STORE_CTX_free)
KS_OSSL_CLEANUP(GENERAL_NAMES, GENERAL_NAMES_free)
KS_OSSL_CLEANUP(PBEPARAM, PBEPARAM_free)
KS_OSSL_CLEANUP(PBE2PARAM, PBE2PARAM_free)
KS_OSSL_CLEANUP(PBKDF2PARAM, PBKDF2PARAM_free)

/* Parts of making certificates (cert_make.c). */
int ks_x509_check_signer(const struct ks_pkey *key, struct ks_diag *diag) KS_MUST_CHECK;
int ks_x509_set_serial(X509 *cert, struct ks_diag *diag) KS_MUST_CHECK;
int ks_x509_set_validity(X509 *cert, int64_t not_before, int64_t not_after, struct ks_diag *diag) KS_MUST_CHECK;
int ks_x509_add_name(X509_NAME *name, int nid, const char *what, const char *text, struct ks_diag *diag) KS_MUST_CHECK;
/* value is in OpenSSL's little language: never a stranger's text. */
int ks_x509_add_extension(X509 *cert, X509 *issuer, int nid, const char *value, struct ks_diag *diag) KS_MUST_CHECK;
bool ks_x509_is_dns_name(const char *name);
/* Signs, and appends the DER. */
int ks_x509_sign(X509 *cert, const struct ks_pkey *key, struct ks_buf *ret, struct ks_diag *diag) KS_MUST_CHECK;

/* The certificate, and nothing behind it; the caller frees it. KS_E_MALFORMED. */
int ks_x509_parse(struct ks_span der, X509 **ret, struct ks_diag *diag) KS_MUST_CHECK;

/* Trust anchors and lists of what was revoked (trust.c). */
struct ks_trust {
    STACK_OF(X509) * anchors;
    STACK_OF(X509_CRL) * crls;
    size_t bytes;
};
