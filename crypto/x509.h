/* Inside crypto/ only: certificates of libcrypto. */
#pragma once

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/cert.h"
#include "crypto/pkey.h"

KS_OSSL_CLEANUP(X509, X509_free)
KS_OSSL_CLEANUP(X509_REQ, X509_REQ_free)
KS_OSSL_CLEANUP(GENERAL_NAMES, GENERAL_NAMES_free)

/* The certificate, and nothing behind it; the caller frees it. KS_E_MALFORMED. */
int ks_x509_parse(struct ks_span der, X509 **ret, struct ks_diag *diag) KS_MUST_CHECK;
